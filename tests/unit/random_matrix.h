/* random_matrix.h - repeatable random numbers and matrices for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RANDOM_MATRIX_H
#define RANDOM_MATRIX_H

#include "accel.h"

struct rng {
    uint64_t state; /* any seed but 0 */
};

uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0 .. n - 1 */
float rng_float(struct rng *r);                /* -1 .. 1 */

/* All formats by index, those that are plain integers, ternary or bipolar (FORMATS of them) first. */
#define FORMATS     25
#define ALL_FORMATS 56
accel_format format_at(int i);
/* The legal group sizes. */
#define GROUPS 8
extern const uint32_t group_at[GROUPS];

/* A matrix with random legal codes, selectors, codebooks and headers, all of full range (smaller
 * where 48 bits ask for it). */
accel_matrix *random_matrix(struct rng *r, accel_format f, uint32_t group, uint32_t rows,
                            uint32_t cols, int asymmetric);
/* The same matrix with up to `most` outliers a row; in some rows their magnitudes add up to all
 * that a row may hold. */
accel_matrix *with_outliers(struct rng *r, const accel_matrix *mat, uint32_t most);
/* Activations: random, and now and then all at an end of their range. */
void random_activations(struct rng *r, int8_t *x, size_t count);

#endif
