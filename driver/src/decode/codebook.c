/* codebook.c - indices into a table of int8 values for each row.
 * SPDX-License-Identifier: Apache-2.0 */
#include "decode/decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int check_shape(const struct codebook_shape *s, struct accel_error *err)
{
    if (s->bits != 3 && s->bits != 4)
        return accel_fail(err, ACCEL_E_ARG, "codebook: indices of %u bits, not 3 or 4", s->bits);
    if (!s->rows || !s->lanes || s->rows > 4096 || s->lanes > 4096 || s->rows * s->lanes % 8)
        return accel_fail(err, ACCEL_E_ARG,
                          "codebook: array of %u x %u; rows * lanes must be a multiple of 8",
                          s->rows, s->lanes);
    return ACCEL_OK;
}

int codebook_round(const float *centroid, unsigned bits, int8_t *book, float *scale, double *error,
                   struct accel_error *err)
{
    float top = 0;

    if (bits != 3 && bits != 4)
        return accel_fail(err, ACCEL_E_ARG, "codebook: indices of %u bits, not 3 or 4", bits);
    for (unsigned i = 0; i < 1u << bits; i++) {
        if (!isfinite(centroid[i]))
            return accel_fail(err, ACCEL_E_ARG, "codebook: centroid %u is not finite", i);
        top = fmaxf(top, fabsf(centroid[i]));
    }
    *scale = top / 127.0f;
    *error = 0;
    for (unsigned i = 0; i < 1u << bits; i++) {
        const double v = *scale > 0 ? (double)centroid[i] / (double)*scale : 0;
        double k = floor(v);
        if (v - k > 0.5 || (v - k == 0.5 && fmod(k, 2.0) != 0.0))
            k += 1;
        k = k > 127 ? 127 : k < -127 ? -127 : k; /* a subnormal scale may be rounded down */
        book[i] = (int8_t)k;
        *error = fmax(*error, fabs((double)centroid[i] - k * (double)*scale));
    }
    return ACCEL_OK;
}

int codebook_encode(const struct codebook_shape *shape, const uint8_t *index, const int8_t *book,
                    uint32_t rows, uint32_t cols, struct codebook_stream *out,
                    struct accel_error *err)
{
    int rc = check_shape(shape, err);
    if (rc)
        return rc;
    if (!rows || !cols)
        return accel_fail(err, ACCEL_E_ARG, "codebook: a matrix of %u x %u", rows, cols);

    const uint32_t r_n = shape->rows, l_n = shape->lanes, entries = 1u << shape->bits;
    struct codebook_stream s = { .tiles = (rows - 1) / r_n + 1, .steps = (cols - 1) / l_n + 1 };
    const size_t beat = (size_t)r_n * l_n * shape->bits / 8;
    if (!mul_size(s.tiles, (size_t)entries * r_n, &s.table_bytes) ||
        !mul_size((size_t)s.tiles, s.steps, &s.index_bytes) ||
        !mul_size(s.index_bytes, beat, &s.index_bytes))
        return accel_fail(err, ACCEL_E_ARG, "codebook: %u x %u weights are too many", rows, cols);
    s.tables = calloc(s.table_bytes, 1);
    s.indices = calloc(s.index_bytes, 1);
    if (!s.tables || !s.indices) {
        rc = accel_fail(err, ACCEL_E_NOMEM, "codebook: no memory for %u x %u weights", rows, cols);
        goto out;
    }
    for (uint32_t m = 0; m < rows; m++) {
        const uint32_t tile = m / r_n, r = m % r_n;
        for (uint32_t e = 0; e < entries; e++)
            s.tables[((size_t)tile * entries + e) * r_n + r] = (uint8_t)
                book[(size_t)m * entries + e];
        for (uint32_t c = 0; c < cols; c++) {
            const unsigned v = index[(size_t)m * cols + c];
            if (v >= entries) {
                rc = accel_fail(err, ACCEL_E_ARG,
                                "codebook: row %u column %u: index %u is beyond the %u entries", m,
                                c, v, entries);
                goto out;
            }
            const size_t at = ((size_t)tile * s.steps + c / l_n) * beat;
            bits_put(s.indices + at, ((size_t)r * l_n + c % l_n) * shape->bits, v);
        }
    }
    *out = s;
    return ACCEL_OK;
out:
    codebook_free(&s);
    return rc;
}

void codebook_free(struct codebook_stream *s)
{
    free(s->tables);
    free(s->indices);
    *s = (struct codebook_stream){ 0 };
}

int codebook_decode(const struct codebook_shape *shape, const struct codebook_stream *s,
                    int8_t *code, struct accel_error *err)
{
    int rc = check_shape(shape, err);
    if (rc)
        return rc;

    const size_t weights = (size_t)shape->rows * shape->lanes, beat = weights * shape->bits / 8;
    const size_t book = (size_t)shape->rows << shape->bits;
    size_t tables, indices;
    if (!mul_size(s->tiles, book, &tables) || !mul_size((size_t)s->tiles, s->steps, &indices) ||
        !mul_size(indices, beat, &indices) || tables != s->table_bytes || indices != s->index_bytes)
        return accel_fail(
            err, ACCEL_E_CORRUPT,
            "codebook: %zu bytes of tables and %zu of indices are not %u row tiles of %u steps",
            s->table_bytes, s->index_bytes, s->tiles, s->steps);
    for (size_t t = 0; t < s->tiles; t++)
        for (size_t k = t * s->steps; k < (t + 1) * s->steps; k++)
            for (size_t i = 0; i < weights; i++) {
                const unsigned v = bits_get(s->indices + k * beat, i * shape->bits, shape->bits);
                code[k * weights + i] =
                    (int8_t)s->tables[t * book + v * (size_t)shape->rows + i / shape->lanes];
            }
    return ACCEL_OK;
}
