/* quant.h - quantize one matrix to a tensor type of a GGUF file.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_QUANT_H
#define ACCEL_QUANT_H

#include "layout.h"

/* What is known of a matrix's inputs x: sums over the calibration tokens. All may be NULL: every input then
 * counts alike. */
struct quant_stats {
    const float *diag;    /* [cols] sums of x_i^2 */
    const float *hessian; /* [cols][cols] sums of x_i * x_j; goes before diag */
};

enum quant_method {
    QUANT_RTN, /* nearest values, each group's scale searched for the least (weighted) squared error */
    QUANT_GPTQ /* columns one after the other, later ones making up for the errors of earlier ones; then scales
                  and codes in turn as long as the output's error falls. Needs the hessian: without, it is RTN */
};

/* A quantized matrix as a file holds it. */
struct quant_tensor {
    uint32_t type;
    uint8_t *
        data; /* rows of equal size; ggml_dequantize_row and accel_matrix_from_ggml take it with type */
    size_t size;
    double bits;  /* bits per weight, headers and all */
    double error; /* sum of squared errors, weighted by what is known of the inputs */
    double norm;  /* the same of the weights themselves */
};

/* w: [rows][cols], all finite. type: quant_type_id's, or one of ggml's that quant_ggml_find knows (which have
 * one method, ggml's own). threads: at most that many; the result does not depend on it.
 * @return ACCEL_OK, _E_ARG (type, a weight that is not finite), _E_UNSUPPORTED (a negative weight for uflint4;
 *         rows that the type's blocks do not divide), _E_NOMEM */
int quant_matrix(uint32_t type, enum quant_method method, uint32_t rows, uint32_t cols,
                 const float *w, const struct quant_stats *stats, unsigned threads,
                 struct quant_tensor *out, struct accel_error *err);
void quant_tensor_free(struct quant_tensor *t); /* one that is all zero is fine */
/* The values that the tensor holds; values: [rows][cols]. @return ACCEL_OK, _E_NOMEM */
int quant_tensor_values(const struct quant_tensor *t, uint32_t rows, uint32_t cols, float *values,
                        struct accel_error *err);

/* ---- ggml.c: ggml's reference quantizers, byte for byte ---- */

/* 1 for Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 TQ1_0 TQ2_0 MXFP4, and F16, F32, BF16. */
bool quant_ggml_find(uint32_t type);
/* n: a multiple of the block length. */
void quant_ggml_row(uint32_t type, const float *w, size_t n, uint8_t *out);

/* ---- levels.c: the values of a format ---- */

enum { LEVELS_MAX = 256 };

/* Integers: every whole number from low to high. Else a list, ascending. */
struct quant_levels {
    bool integer;
    float low, high;                         /* least and largest k */
    unsigned count;                          /* of the list */
    float k[LEVELS_MAX], border[LEVELS_MAX]; /* border i lies between k[i] and k[i + 1] */
    uint8_t code[LEVELS_MAX];
};
/* What a group with this selector, or a row with this codebook (else NULL), may hold. */
void quant_levels_init(accel_format f, unsigned sel, const int8_t *book, struct quant_levels *l);
/* The value nearest to q, and its code if code is not NULL. zero is added to integers before they are rounded
 * and taken off again. */
float quant_nearest(const struct quant_levels *l, float q, float zero, uint8_t *code);

/* ---- scale.c: scales of groups ---- */

/* A group's scale and zero point: value = scale * (k - zero). zero is 0 but for UINT formats. */
struct quant_scale {
    float scale, zero;
    uint8_t sel;
    double error; /* weighted, squared */
};
/* The scale, zero point and selector of least error; weight may be NULL. levels: by selector, 4 of them for
 * formats with selector, else 1. signs: the scale may be negative, too. */
void quant_find_scale(accel_format f, const struct quant_levels *levels, const float *w,
                      const float *weight, uint32_t n, struct quant_scale *best);
/* Codes and values of integers. */
void quant_round(const struct quant_levels *l, const float *w, uint32_t n, float scale, float zero,
                 uint8_t *codes, float *values);
double quant_scale_error(const struct quant_levels *l, const float *w, const float *weight,
                         uint32_t n, float scale, float zero);

/* ---- gptq.c ---- */

/* What GPTQ needs of a hessian, shared by all rows. */
struct gptq;
/* @return ACCEL_OK, _E_NOMEM, _E_ARG (not finite) */
int gptq_new(const float *hessian, uint32_t cols, struct gptq **out, struct accel_error *err);
void gptq_free(struct gptq *g);
/* Weights that make up for inputs q that are not the f they were, and for the distance d at which what they
 * are added to is from what it was: with hessian = sum of q q^T, cross = sum of f q^T and missing = sum of d q^T
 * (may be NULL), w += (w (cross - hessian) + missing) hessian^-1, damped. Then w q comes nearest to w f + d.
 * w, missing: [rows][cols]. @return ACCEL_OK, _E_NOMEM, _E_ARG (not finite) */
int quant_correct(const float *hessian, const float *cross, const float *missing, uint32_t rows,
                  uint32_t cols, float *w, struct accel_error *err);

#endif
