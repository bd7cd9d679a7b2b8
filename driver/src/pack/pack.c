/* pack.c - a quantized matrix as the core's code and header streams (docs/core.md).
 * SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_MAX 256u   /* elements that may share one D */
#define FIELD_MAX 65535u /* row tiles and steps are 16-bit fields of a command */

/* Bit `plane` of eight codes as one byte, code i in bit i. */
static inline uint8_t gather_plane(const uint8_t *codes, unsigned plane)
{
    uint64_t eight = 0;
    for (unsigned i = 0; i < 8; i++)
        eight |= (uint64_t)codes[i] << (8 * i);
    eight = (eight >> plane) & 0x0101010101010101u;
    return (uint8_t)((eight * 0x0102040810204080u) >> 56);
}

/* What a code of this format is on the wire, before it is cut into planes. */
static void wire_table(const struct pe_kind *kind, accel_format f, uint8_t table[256])
{
    unsigned bits = accel_format_bits(f);
    unsigned mask = (1u << bits) - 1;
    bool is_signed = f == ACCEL_TERNARY || (f & ACCEL_CODING_BIPOLAR) == ACCEL_CODING_SIGNED;
    for (unsigned c = 0; c < 256; c++) {
        unsigned u = c & mask;
        if (f == ACCEL_TERNARY)
            u = (unsigned)accel_format_decode(f, c) & mask;
        if (is_signed && kind->offset_binary)
            u ^= 1u << (bits - 1);
        table[c] = (uint8_t)u;
    }
}

static void pack_codes(const struct pe_kind *kind, const struct pack_shape *shape,
                       const struct accel_matrix *mat, const struct packed *p, uint8_t *wire_row)
{
    uint8_t table[256];
    wire_table(kind, mat->format, table);
    const uint32_t lanes = shape->lanes, row_bytes = lanes / 8;
    const size_t beat = (size_t)shape->rows * row_bytes;
    const uint32_t group = p->row_header ? mat->cols : mat->group;
    const size_t padded = p->row_header ? p->group_pad : (size_t)p->chunk_steps * lanes;
    for (size_t m = 0; m < (size_t)p->row_tiles * shape->rows; m++) {
        memset(wire_row, table[0], p->group_pad);
        if (m < mat->rows) {
            const uint8_t *codes = mat->codes + m * mat->cols;
            uint8_t *to = wire_row;
            for (size_t from = 0; from < mat->cols; from += group, to += padded) {
                size_t n = mat->cols - from < group ? mat->cols - from : group;
                for (size_t i = 0; i < n; i++)
                    to[i] = table[codes[from + i]];
            }
        }
        uint8_t *tile = p->codes + m / shape->rows * ((size_t)p->steps * p->planes * beat) +
                        m % shape->rows * row_bytes;
        for (uint32_t first = 0; first < p->steps; first += p->chunk_steps) {
            uint32_t len = p->steps - first < p->chunk_steps ? p->steps - first : p->chunk_steps;
            uint8_t *chunk = tile + (size_t)first * p->planes * beat;
            for (uint32_t s = 0; s < len; s++) {
                const uint8_t *step = wire_row + (size_t)(first + s) * lanes;
                for (uint32_t i = 0; i < p->planes; i++) { /* most significant plane first */
                    size_t word = kind->step_major ? (size_t)s * p->planes + i
                                                   : (size_t)i * len + s;
                    uint8_t *to = chunk + word * beat;
                    for (uint32_t b = 0; b < row_bytes; b++)
                        to[b] = gather_plane(step + 8 * b, p->planes - 1 - i);
                    if (kind->recode)
                        kind->recode(to, lanes);
                }
            }
        }
    }
}

static void pack_headers(const struct pack_shape *shape, const struct accel_matrix *mat,
                         const struct packed *p)
{
    uint16_t *to = p->headers;
    const uint32_t rows = shape->rows;
    for (uint32_t tile = 0; tile < p->row_tiles; tile++) {
        for (uint32_t g = 0; g < mat->groups; g++) {
            /* every slice's word 0, then every slice's word 1: simply the rows in order */
            for (uint32_t r = 0; r < rows; r++) {
                size_t m = (size_t)tile * rows + r;
                if (m >= mat->rows)
                    continue; /* padding rows: sc = oc = 0 */
                size_t i = m * mat->groups + g;
                to[r] = (uint16_t)((unsigned)mat->sh[i] << 12 | ((unsigned)mat->sc[i] & 0xFFFu));
                if (p->asymmetric) {
                    to[rows + r] = (uint16_t)((uint32_t)mat->oc[i] & 0xFFFFu);
                    to[2 * rows + r] = (uint16_t)((uint32_t)mat->oc[i] >> 16);
                }
            }
            to += (size_t)rows * (p->asymmetric ? 3 : 1);
        }
    }
}

static bool power_of_two(uint32_t v)
{
    return v && !(v & (v - 1));
}

int pack_matrix(const struct pe_kind *kind, const struct pack_shape *shape,
                const struct accel_matrix *mat, struct packed *out, struct accel_error *err)
{
    if (!kind || !shape || !mat || !out)
        return accel_fail(err, ACCEL_E_ARG, "pack: kind, shape, matrix and out must be given");
    const uint32_t rows = shape->rows, lanes = shape->lanes;
    if (!power_of_two(rows) || rows > 256 || !power_of_two(lanes) || lanes < 8 ||
        lanes > CHUNK_MAX || !power_of_two(shape->scale_units) || shape->scale_units > rows)
        return accel_fail(err, ACCEL_E_ARG,
                          "pack: no such array: rows=%u, lanes=%u, scale units %u (powers of two, "
                          "rows <= 256, lanes 8..256, scale units <= rows)",
                          rows, lanes, shape->scale_units);
    const char *why = kind->refuse ? kind->refuse(mat->format) : NULL;
    if (why)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "kind %s cannot run %s: %s", kind->name,
                          accel_format_name(mat->format), why);

    struct packed p = { 0 };
    p.planes = accel_format_bits(mat->format);
    unsigned coding = mat->format & 0xF00u;
    p.coding = coding == ACCEL_CODING_UNSIGNED ? 1 : coding == ACCEL_CODING_BIPOLAR ? 2 : 0;
    p.asymmetric = mat->asymmetric;
    p.row_header = mat->groups == 1; /* one group in a row needs no padding to its end */
    p.row_tiles = (mat->rows - 1) / rows + 1;
    uint64_t steps;
    if (p.row_header) {
        p.chunk_steps = CHUNK_MAX / lanes;
        steps = ((uint64_t)mat->cols + lanes - 1) / lanes;
        if (p.chunk_steps > steps)
            p.chunk_steps = (uint32_t)steps;
    } else {
        p.chunk_steps = (mat->group + lanes - 1) / lanes;
        steps = (uint64_t)mat->groups * p.chunk_steps;
    }
    if (p.row_tiles > FIELD_MAX || steps > FIELD_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "matrix of %u x %u: %u row tiles and %llu steps, a command holds %u of "
                          "each; cut the matrix or use a larger array",
                          mat->rows, mat->cols, p.row_tiles, (unsigned long long)steps, FIELD_MAX);
    p.steps = (uint32_t)steps;
    p.group_pad = p.steps * lanes; /* at most 2^24 */

    int rc = ACCEL_E_NOMEM;
    uint8_t *wire_row = NULL;
    const size_t words = p.asymmetric ? 3 : 1;
    size_t code_bytes, header_words;
    p.code_beats = (size_t)p.row_tiles * p.steps * p.planes;
    p.header_beats = (size_t)p.row_tiles * mat->groups * words * (rows / shape->scale_units);
    if (!mul_size(p.code_beats, (size_t)rows * lanes / 8, &code_bytes) ||
        !mul_size(p.header_beats, shape->scale_units, &header_words))
        goto out;
    wire_row = malloc(p.group_pad);
    p.codes = malloc(code_bytes);
    p.headers = calloc(header_words, sizeof *p.headers);
    if (!wire_row || !p.codes || !p.headers)
        goto out;
    pack_codes(kind, shape, mat, &p, wire_row);
    pack_headers(shape, mat, &p);
    *out = p;
    rc = ACCEL_OK;
out:
    free(wire_row);
    if (rc) {
        pack_free(&p);
        accel_fail(err, rc, "out of memory: packing a matrix of %u x %u", mat->rows, mat->cols);
    }
    return rc;
}

void pack_free(struct packed *p)
{
    if (!p)
        return;
    free(p->codes);
    free(p->headers);
    p->codes = NULL;
    p->headers = NULL;
}

void pack_activations(const struct packed *p, uint32_t lanes, uint32_t cols, uint32_t group,
                      const int8_t *x, int8_t *out)
{
    size_t padded = p->row_header ? p->group_pad : (size_t)p->chunk_steps * lanes;
    size_t take = p->row_header || group == 0 ? cols : group;
    for (size_t from = 0; from < cols; from += take, out += padded) {
        size_t n = cols - from < take ? cols - from : take;
        memcpy(out, x + from, n);
        memset(out + n, 0, padded - n);
    }
}
