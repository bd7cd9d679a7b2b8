/* matrix.h - quantized matrices, as the library's own files see them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_MATRIX_H
#define ACCEL_MATRIX_H

#include "internal.h"

#define SC_BITS     11 /* magnitude bits of sc ... */
#define SC_SEL_BITS 9  /* ... where the header holds a selector as well */
#define OC_BITS     19 /* magnitude bits of oc */
#define OC_MAX      524287
#define SH_MAX      15
#define ACC_LIMIT   ((uint64_t)1 << 47)

/* ---- matrix.c ---- */

/* 16, 32, 48, 64, 96, 128, 256 or 0 (one group per row). */
bool matrix_group_valid(uint32_t group);
/* @return ACCEL_OK, _E_ARG */
int matrix_check_shape(accel_format f, uint32_t rows, uint32_t cols, uint32_t group,
                       struct accel_error *err);
/* A matrix of that shape: codes not set, sc, sh, oc, sel and codebooks 0, row scales 1. */
int matrix_new(accel_format f, uint32_t rows, uint32_t cols, uint32_t group,
               struct accel_matrix **out, struct accel_error *err);
/* An independent copy. @return ACCEL_OK, _E_NOMEM */
int matrix_clone(const struct accel_matrix *mat, struct accel_matrix **copy,
                 struct accel_error *err);

/* k of every code of a format in every context, but for codebooks. */
struct k_tables {
    bool pairs;        /* one table, [code | code of the pair's other column << 4]; else ... */
    int32_t k[4][256]; /* ... [sel][code], of which formats without selector use the first */
};
void matrix_tables(accel_format f, struct k_tables *t);
/* k of `count` columns from `first` on, all of one group, by the tables of the matrix's format. */
void matrix_decode(const struct accel_matrix *m, const struct k_tables *t, uint32_t row,
                   uint32_t first, uint32_t count, int32_t *k);

/* The sums of |k| of each group of a row. */
void matrix_sum_magnitudes(const struct accel_matrix *m, uint32_t row, const struct k_tables *t,
                           uint64_t *sums);
/* The largest |acc| of a row that any activations can give, from those sums. */
uint64_t matrix_row_bound(const struct accel_matrix *m, uint32_t row, const uint64_t *sums);
/* Fill in acc_bits and asymmetric. @return ACCEL_OK, _E_OVERFLOW, _E_NOMEM */
int matrix_prove(struct accel_matrix *m, struct accel_error *err);

/* ---- outliers.c ---- */

/* The magnitudes of a row's outliers add up to no more: 128 times it is the largest sum of products that 24 bits hold. */
#define OUTLIERS_SUM 65535u

void outliers_free(struct outliers *o); /* NULL is fine */
/* Lists with room for that many, all empty, sc and sh 0; or NULL: out of memory. */
struct outliers *outliers_new(uint32_t rows, size_t count);
struct outliers *outliers_clone(const struct outliers *o, uint32_t rows); /* likewise */
/* Checks and copies p->outliers; *out stays as it is if there are none.
 * @return ACCEL_OK, _E_ARG, _E_NOMEM */
int outliers_from_parts(const struct accel_matrix_parts *p, struct outliers **out,
                        struct accel_error *err);
/* Sets m->outliers to those of all the matrices. @return ACCEL_OK, _E_ARG, _E_NOMEM */
int outliers_stack(const struct accel_matrix *const *mats, uint32_t count, struct accel_matrix *m,
                   struct accel_error *err);
/* The sum of |k| of a row. */
uint64_t outliers_row_sum(const struct outliers *o, uint32_t row);
/* (sc * k) << sh of one column, 0 where there is no outlier. */
int64_t outliers_value(const struct outliers *o, uint32_t row, uint32_t col);

/* ---- align.c: real scales to (sc, sh, oc) and a row scale ---- */

/* What aligning needs beside the matrix; the arrays are [groups]. */
struct aligner {
    struct k_tables tables;
    int sc_bits; /* magnitude bits of the format's sc */
    uint64_t *sums;
    double *scale, *offset; /* of the row at hand */
    bool uniform;           /* every row so far has one scale, offset and selector throughout */
};

/* On failure, too, the caller frees it. @return ACCEL_OK, _E_NOMEM */
int aligner_init(struct aligner *a, const struct accel_matrix *m, struct accel_error *err);
void aligner_free(struct aligner *a); /* one that is all zero is fine */
/* Give a row its sc, sh, oc and row scale from a->scale and a->offset. Its codes, selectors and
 * codebook are there. @return ACCEL_OK, _E_OVERFLOW */
int align_row(struct accel_matrix *m, uint32_t row, struct aligner *a, struct accel_error *err);
/* All rows aligned: drop repeated headers if every row repeats one, and prove. */
int align_finish(struct accel_matrix *m, const struct aligner *a, struct accel_error *err);

/* ---- quantize.c: real weights to codes ---- */

struct quantizer;
/* @return ACCEL_OK, _E_NOMEM */
int quantizer_new(accel_format f, struct quantizer **q, struct accel_error *err);
void quantizer_free(struct quantizer *q); /* NULL is fine */
/* Codes, selectors, codebook and, aligned, headers of one row.
 * @return ACCEL_OK, _E_ARG, _E_UNSUPPORTED, _E_OVERFLOW */
int quantize_row(const struct quantizer *q, struct accel_matrix *m, uint32_t row, const float *w,
                 struct aligner *a, struct accel_error *err);

/* The row's codebook of 2^bits values in -127..127 (times *scale) of least squared error, each weight's error
 * times weight[c] (NULL: all alike). */
void quantizer_fit_book(unsigned bits, const float *w, const float *weight, uint32_t count,
                        int8_t *book, double *scale);

/* Nearest integer, halves to even, for |v| < 2^51. */
static inline double round_even(double v)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
    return (v + magic) - magic;
}

#endif
