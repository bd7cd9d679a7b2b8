/* random_matrix.c - repeatable random numbers and matrices for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "random_matrix.h"

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
    if (i < 8)
        return ACCEL_INT(i + 1);
    if (i < 16)
        return ACCEL_UINT(i - 7);
    if (i < 24)
        return ACCEL_BIP(i - 15);
    return ACCEL_TERNARY;
}

accel_matrix *random_matrix(struct rng *r, accel_format f, uint32_t group, uint32_t rows,
                            uint32_t cols, int asymmetric)
{
    uint32_t groups = group ? (cols + group - 1) / group : 1;
    size_t headers = (size_t)rows * groups;
    uint8_t *codes = malloc((size_t)rows * cols), *sh = malloc(headers);
    int16_t *sc = malloc(headers * sizeof *sc);
    int32_t *oc = malloc(headers * sizeof *oc);
    float *scale = malloc(rows * sizeof *scale);
    accel_matrix *mat = NULL;
    struct accel_error err = { 0, "" };
    if (!codes || !sh || !sc || !oc || !scale)
        abort();
    uint32_t top = f == ACCEL_TERNARY ? 3 : 1u << accel_format_bits(f);
    /* 2^11 * 2^8 * 2^7 * cols * 2^sh, and the same for oc, stay below 2^47 */
    uint32_t sh_top = 1, room = 47 - 28;
    while (room > 0 && (1u << (47 - 28 - room)) < cols)
        room--;
    sh_top = room > 15 ? 16 : room ? room : 1;
    for (size_t i = 0; i < (size_t)rows * cols; i++)
        codes[i] = (uint8_t)rng_below(r, top);
    for (size_t i = 0; i < headers; i++) {
        sc[i] = (int16_t)((int)rng_below(r, 4096) - 2048);
        sh[i] = (uint8_t)rng_below(r, sh_top);
        oc[i] = (int32_t)rng_below(r, 1048576) - 524288;
    }
    for (uint32_t m = 0; m < rows; m++)
        scale[m] = rng_float(r);
    if (rng_below(r, 4) == 0) { /* a row at the ends of every range */
        memset(codes, (int)top - 1, cols);
        for (uint32_t g = 0; g < groups; g++) {
            sc[g] = -2048;
            oc[g] = -524288;
        }
    }
    struct accel_matrix_parts parts = { f,     rows, cols, group,
                                        codes, sc,   sh,   asymmetric ? oc : NULL,
                                        scale };
    int rc = accel_matrix_from_codes(&parts, &mat, &err);
    while (rc == ACCEL_E_OVERFLOW) { /* the proof decides what is small enough */
        int all_zero = 1;
        for (size_t i = 0; i < headers; i++) {
            sh[i] /= 2;
            all_zero = all_zero && sh[i] == 0;
        }
        if (all_zero)
            for (size_t i = 0; i < headers; i++)
                oc[i] /= 2;
        rc = accel_matrix_from_codes(&parts, &mat, &err);
    }
    if (rc) {
        fprintf(stderr, "random_matrix: %s\n", err.text);
        abort();
    }
    free(codes);
    free(sh);
    free(sc);
    free(oc);
    free(scale);
    return mat;
}

void random_activations(struct rng *r, int8_t *x, size_t count)
{
    uint32_t how = rng_below(r, 6);
    for (size_t i = 0; i < count; i++)
        x[i] = how == 0 ? (int8_t)-128 : how == 1 ? (int8_t)127 : (int8_t)rng_next(r);
}
