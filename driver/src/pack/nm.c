/* nm.c - words of structured sparsity (nm, nm16): two slots for each block of lanes, steps without weights left out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2 }; /* of a block, in one word */

/* Words that a step takes: half of the smallest of 0, 2, 4, 8, 16 that is no less than the weights of any block. */
static unsigned words_of(unsigned most)
{
    unsigned words = most ? 1 : 0;
    while (words * SLOTS < most)
        words *= 2;
    return words;
}

/* The most weights that a block of this step has in any row; more than the kind takes is an error. */
static int count_step(const struct pack_chunk *c, uint32_t step, unsigned *most,
                      struct accel_error *err)
{
    const uint32_t block = c->kind->block;
    *most = 0;
    for (uint32_t r = 0; r < c->shape->rows; r++) {
        const uint8_t *codes = c->codes + r * c->stride + (size_t)step * c->shape->lanes;
        for (uint32_t lane = 0; lane < c->shape->lanes; lane += block) {
            unsigned n = 0;
            for (uint32_t i = 0; i < block; i++)
                n += codes[lane + i] != c->zero;
            if (c->kind->keeps && n > c->kind->keeps) {
                uint32_t col = c->col + step * c->shape->lanes + lane;
                return accel_fail(
                    err, ACCEL_E_UNSUPPORTED,
                    "kind %s cannot run this %s matrix: row %u is not %u:%u, columns %u..%u hold "
                    "%u weights: prune it, or use nm16",
                    c->kind->name, c->format_name, c->row + r, c->kind->keeps, block, col,
                    col + block - 1, n);
            }
            *most = n > *most ? n : *most;
        }
    }
    return ACCEL_OK;
}

/* The slots of word `word` of a step: weights 2 * word and 2 * word + 1 of each block, and where they lie. */
static void fill_slots(const struct pack_chunk *c, uint32_t step, unsigned word, uint8_t *code,
                       uint8_t *lane)
{
    const uint32_t block = c->kind->block, blocks = c->shape->lanes / block;
    for (uint32_t r = 0; r < c->shape->rows; r++) {
        const uint8_t *codes = c->codes + r * c->stride + (size_t)step * c->shape->lanes;
        for (uint32_t b = 0; b < blocks; b++, code += SLOTS, lane += SLOTS) {
            unsigned n = 0;
            for (uint32_t i = 0; i < block; i++) {
                uint8_t k = codes[b * block + i];
                if (k == c->zero || n++ / SLOTS != word)
                    continue;
                code[(n - 1) % SLOTS] = k;
                lane[(n - 1) % SLOTS] = (uint8_t)i;
            }
        }
    }
}

int nm_pack_chunk(const struct pack_chunk *c, struct beats *out, struct accel_error *err)
{
    const uint32_t rows = c->shape->rows, slots = c->shape->lanes / c->kind->block * SLOTS;
    const size_t size = (size_t)rows * slots, per_word = c->kind->extra_planes + c->planes;
    size_t last = out->count; /* first beat of the last word */
    uint32_t at = 0;          /* step of the last word */
    bool any = false;
    int rc = ACCEL_OK;
    uint8_t *slot = malloc(2 * size); /* codes, then lanes; at most 2 * 2^15 bytes */
    if (!slot)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: packing codes");
    for (uint32_t s = 0; s < c->steps && !rc; s++) {
        unsigned most;
        rc = count_step(c, s, &most, err);
        if (!rc && s + 1 == c->steps && !any && most == 0)
            most = 1; /* a chunk has at least one word */
        for (unsigned w = 0; !rc && w < words_of(most); w++) {
            memset(slot, c->zero, size);
            memset(slot + size, 0, size);
            fill_slots(c, s, w, slot, slot + size);
            last = out->count;
            uint8_t *to = beats_add(out, per_word);
            if (!to) {
                rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory: packing codes");
                break;
            }
            pack_planes(to, out->bytes, slot + size, slots, rows, slots, c->kind->extra_planes);
            pack_planes(to + c->kind->extra_planes * out->bytes, out->bytes, slot, slots, rows,
                        slots, c->planes);
            to[out->bytes - 1] = pack_walk(false, s - at);
            at = s;
            any = true;
        }
    }
    if (!rc)
        out->data[(last + 1) * out->bytes - 1] |= pack_walk(true, 0);
    free(slot);
    return rc;
}
