/* tlut.c - ternary weights for the table kind tlut: three in five bits (docs/core.md).
 * SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

/* {sign, how, entry} of w0, w1, w2 in -1..1. Entries: a2, a1, a1 - a2, a1 + a2. */
static unsigned tlut_code(int w0, int w1, int w2)
{
    if (w1 == 0 && w2 == 0) /* a0 or nothing */
        return (w0 < 0 ? 16u : 0u) | 12u | (w0 != 0);
    unsigned sign = w1 < 0 || (w1 == 0 && w2 < 0);
    int s = sign ? -1 : 1;
    unsigned entry = w1 == 0 ? 0 : w2 == 0 ? 1 : w1 * w2 < 0 ? 2 : 3;
    unsigned how = w0 == 0 ? 0 : w0 * s > 0 ? 1 : 2;
    return sign << 4 | how << 2 | entry;
}

static int weight_at(const uint8_t *codes, unsigned planes, unsigned i)
{
    int v = codes[i], half = 1 << (planes - 1);
    return planes > 1 && v >= half ? v - 2 * half : v;
}

int tlut_pack_chunk(const struct pack_chunk *c, struct beats *out, struct accel_error *err)
{
    const uint32_t cells = c->shape->lanes / 3;
    uint8_t *beat = beats_add(out, c->steps);
    if (!beat)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: packing codes");
    for (uint32_t s = 0; s < c->steps; s++, beat += out->bytes) {
        for (uint32_t r = 0; r < c->shape->rows; r++) {
            const uint8_t *codes = c->codes + r * c->stride + (size_t)s * c->shape->lanes;
            for (uint32_t i = 0; i < cells; i++) {
                size_t bit = ((size_t)r * cells + i) * 5;
                unsigned code = tlut_code(weight_at(codes, c->planes, 3 * i),
                                          weight_at(codes, c->planes, 3 * i + 1),
                                          weight_at(codes, c->planes, 3 * i + 2));
                for (unsigned b = 0; b < 5; b++)
                    beat[(bit + b) / 8] |= (uint8_t)((code >> b & 1u) << (bit + b) % 8);
            }
        }
    }
    return ACCEL_OK;
}

const char *tlut_refuse(accel_format f)
{
    if (f == ACCEL_TERNARY || f == ACCEL_UINT(1))
        return NULL;
    return "its tables hold sums of weights -1, 0 and 1 only";
}
