/* random_matrix.c - repeatable random numbers and matrices for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "random_matrix.h"

#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint32_t group_at[GROUPS] = { 0, 16, 32, 48, 64, 96, 128, 256 };

uint64_t rng_next(struct rng *r)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state * 0x2545F4914F6CDD1Du;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)((rng_next(r) >> 33) % n);
}

float rng_float(struct rng *r)
{
    return (float)((int)rng_below(r, 2000001) - 1000000) / 1e6f;
}

accel_format format_at(int i)
{
    static const accel_format others[ALL_FORMATS - FORMATS] = {
        ACCEL_FLOAT(1, 1), ACCEL_FLOAT(1, 2), ACCEL_FLOAT(1, 3), ACCEL_FLOAT(1, 4),
        ACCEL_FLOAT(1, 5), ACCEL_FLOAT(1, 6), ACCEL_FLOAT(2, 0), ACCEL_FLOAT(2, 1),
        ACCEL_FLOAT(2, 2), ACCEL_FLOAT(2, 3), ACCEL_FLOAT(2, 4), ACCEL_FLOAT(2, 5),
        ACCEL_FLOAT(3, 0), ACCEL_FLOAT(3, 1), ACCEL_FLOAT(3, 2), ACCEL_FLOAT(3, 3),
        ACCEL_FLOAT(3, 4), ACCEL_FLOAT(4, 0), ACCEL_FLOAT(4, 1), ACCEL_FLOAT(4, 2),
        ACCEL_FLOAT(4, 3), ACCEL_FP3,         ACCEL_FP4,         ACCEL_POT4,
        ACCEL_FLINT4,      ACCEL_UFLINT4,     ACCEL_ANT4,        ACCEL_OLIVE4,
        ACCEL_OLIVE4F,     ACCEL_CODEBOOK3,   ACCEL_CODEBOOK4
    };
    if (i < 8)
        return ACCEL_INT(i + 1);
    if (i < 16)
        return ACCEL_UINT(i - 7);
    if (i < 24)
        return ACCEL_BIP(i - 15);
    return i == 24 ? ACCEL_TERNARY : others[i - FORMATS];
}

/* Replace what is illegal: NaN by the largest value, pairs of OliVe by pairs that exist. */
static void make_legal(struct rng *r, accel_format f, uint8_t *row, uint32_t cols)
{
    for (uint32_t c = 0; c < cols; c++)
        if (f == ACCEL_FLOAT(4, 3) && (row[c] & 0x7F) == 0x7F)
            row[c] &= 0xFE;
    if (f != ACCEL_OLIVE4 && f != ACCEL_OLIVE4F)
        return;
    for (uint32_t c = 0; c < cols; c++)
        if (row[c] == 8) /* would be a victim */
            row[c] = 7;
    for (uint32_t c = 0; c + 1 < cols; c += 2) {
        uint32_t victim = c + rng_below(r, 2);
        if (row[victim ^ 1u] % 8 != 0 && rng_below(r, 3) == 0)
            row[victim] = 8;
    }
}

accel_matrix *random_matrix(struct rng *r, accel_format f, uint32_t group, uint32_t rows,
                            uint32_t cols, int asymmetric)
{
    uint32_t groups = group ? (cols + group - 1) / group : 1;
    size_t headers = (size_t)rows * groups, books = (size_t)rows << accel_format_bits(f);
    int has_sel = accel_format_has_sel(f);
    int has_book = f == ACCEL_CODEBOOK3 || f == ACCEL_CODEBOOK4;
    uint8_t *codes = malloc((size_t)rows * cols), *sh = malloc(headers), *sel = malloc(headers);
    int16_t *sc = malloc(headers * sizeof *sc);
    int32_t *oc = malloc(headers * sizeof *oc);
    float *scale = malloc(rows * sizeof *scale);
    int8_t *book = malloc(books);
    accel_matrix *mat = NULL;
    struct accel_error err = { 0, "" };
    if (!codes || !sh || !sel || !sc || !oc || !scale || !book)
        abort();
    uint32_t top = f == ACCEL_TERNARY ? 3 : 1u << accel_format_bits(f);
    int sc_end = has_sel ? 512 : 2048;
    /* 2^11 * 2^8 * 2^7 * cols * 2^sh, and the same for oc, stay below 2^47 */
    uint32_t sh_top = 1, room = 47 - 28;
    while (room > 0 && (1u << (47 - 28 - room)) < cols)
        room--;
    sh_top = room > 15 ? 16 : room ? room : 1;
    for (size_t i = 0; i < (size_t)rows * cols; i++)
        codes[i] = (uint8_t)rng_below(r, top);
    for (size_t i = 0; i < headers; i++) {
        sc[i] = (int16_t)((int)rng_below(r, (uint32_t)(2 * sc_end)) - sc_end);
        sh[i] = (uint8_t)rng_below(r, sh_top);
        oc[i] = (int32_t)rng_below(r, 1048576) - 524288;
        sel[i] = (uint8_t)(has_sel ? rng_below(r, 4) : 0);
    }
    for (size_t i = 0; i < books && has_book; i++)
        book[i] = (int8_t)rng_next(r);
    for (uint32_t m = 0; m < rows; m++)
        scale[m] = rng_float(r);
    if (rng_below(r, 4) == 0) { /* a row at the ends of every range */
        memset(codes, (int)top - 1, cols);
        for (uint32_t g = 0; g < groups; g++) {
            sc[g] = (int16_t)-sc_end;
            oc[g] = -524288;
        }
    }
    for (uint32_t m = 0; m < rows; m++)
        make_legal(r, f, codes + (size_t)m * cols, cols);
    struct accel_matrix_parts parts = { .format = f,
                                        .rows = rows,
                                        .cols = cols,
                                        .group = group,
                                        .codes = codes,
                                        .sc = sc,
                                        .sh = sh,
                                        .oc = asymmetric ? oc : NULL,
                                        .row_scale = scale,
                                        .sel = has_sel ? sel : NULL,
                                        .codebook = has_book ? book : NULL };
    int rc = accel_matrix_from_codes(&parts, &mat, &err);
    while (rc == ACCEL_E_OVERFLOW) { /* the proof decides what is small enough */
        int all_zero = 1;
        for (size_t i = 0; i < headers; i++) {
            sh[i] /= 2;
            all_zero = all_zero && sh[i] == 0;
        }
        for (size_t i = 0; i < headers && all_zero; i++) {
            oc[i] /= 2;
            sc[i] /= 2;
        }
        rc = accel_matrix_from_codes(&parts, &mat, &err);
    }
    if (rc) {
        fprintf(stderr, "random_matrix: %s\n", err.text);
        abort();
    }
    free(codes);
    free(sh);
    free(sel);
    free(sc);
    free(oc);
    free(scale);
    free(book);
    return mat;
}

accel_matrix *with_outliers(struct rng *r, const accel_matrix *mat, uint32_t most)
{
    const uint32_t rows = mat->rows, cols = mat->cols;
    const size_t room = (size_t)rows * (most < cols ? most : cols) + 1;
    uint32_t *first = calloc((size_t)rows + 1, sizeof *first), *col = calloc(room, sizeof *col);
    int16_t *k = calloc(room, sizeof *k), *sc = calloc(rows, sizeof *sc);
    uint8_t *sh = calloc(rows, 1);
    accel_matrix *out = NULL;
    struct accel_error err = { 0, "" };
    if (!first || !col || !k || !sc || !sh)
        abort();
    for (uint32_t m = 0; m < rows; m++) {
        uint32_t at = first[m], want = rng_below(r, 4) == 0 ? most : rng_below(r, most + 1);
        int32_t left = 65535; /* of the sum of magnitudes */
        int full = rng_below(r, 3) == 0;
        want = want < cols ? want : cols;
        for (uint32_t c = 0; c < cols && want; c++) {
            if (rng_below(r, cols - c) >= want)
                continue;
            int32_t room_k = left < 32767 ? left : 32767;
            if (!full)
                room_k = room_k < 65535 / (int32_t)most ? room_k : 65535 / (int32_t)most;
            int32_t v = full ? room_k : (int32_t)rng_below(r, (uint32_t)room_k + 1);
            left -= v;
            col[at] = c;
            k[at++] = (int16_t)(rng_below(r, 2) ? v : -v);
            want--;
        }
        first[m + 1] = at;
        sc[m] = (int16_t)((int)rng_below(r, 4096) - 2048);
        sh[m] = (uint8_t)rng_below(r, 16);
    }
    struct accel_outliers outliers = { first, col, k, sc, sh };
    struct accel_matrix_parts parts = { .format = mat->format,
                                        .rows = rows,
                                        .cols = cols,
                                        .group = mat->group,
                                        .codes = mat->codes,
                                        .sc = mat->sc,
                                        .sh = mat->sh,
                                        .oc = mat->oc,
                                        .row_scale = mat->row_scale,
                                        .sel = mat->sel,
                                        .codebook = mat->codebook,
                                        .outliers = &outliers };
    int rc = accel_matrix_from_codes(&parts, &out, &err);
    for (int i = 0; i < 26 && rc == ACCEL_E_OVERFLOW; i++) {
        for (uint32_t m = 0; m < rows; m++) { /* the matrix alone was small enough */
            sc[m] = (int16_t)(sh[m] ? sc[m] : sc[m] / 2);
            sh[m] = (uint8_t)(sh[m] ? sh[m] - 1 : 0);
        }
        rc = accel_matrix_from_codes(&parts, &out, &err);
    }
    if (rc) {
        fprintf(stderr, "with_outliers: %s\n", err.text);
        abort();
    }
    free(first);
    free(col);
    free(k);
    free(sc);
    free(sh);
    return out;
}

void random_activations(struct rng *r, int8_t *x, size_t count)
{
    uint32_t how = rng_below(r, 6);
    for (size_t i = 0; i < count; i++)
        x[i] = how == 0 ? (int8_t)-128 : how == 1 ? (int8_t)127 : (int8_t)rng_next(r);
}
