/* row.h - one row on its way to codes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_QUANT_ROW_H
#define ACCEL_QUANT_ROW_H

#include "quant.h"

/* What a thread needs for a row; the arrays are its own. */
struct row_work {
    struct quant_type type;
    uint32_t cols, groups;
    const struct quant_levels *levels; /* by selector */
    struct quant_levels book;          /* of the row at hand, codebooks only */
    struct quant_row row;
    float *step;    /* [groups] row_scale * sc, or the power */
    float *zero;    /* [groups] -oc / sc: value = step * (k - zero) */
    float *value;   /* [cols] what the codes stand for, outliers and all */
    float *base;    /* [cols] the same without outliers; value itself if the type has none */
    uint32_t *slot; /* [cols] 1 + place among the outliers, or 0; NULL if the type has none */
    float *rest; /* [cols] what is left for the codes, and how it counts; outliers and N:M only */
    float *rest_weight; /* [cols] */
    float *work, *grad; /* [cols]; work: costs while columns are picked, then GPTQ's, as grad is */
};

static inline const struct quant_levels *row_levels(const struct row_work *r, uint32_t g)
{
    return r->row.book ? &r->book : &r->levels[r->row.sel ? r->row.sel[g] : 0];
}

static inline uint32_t row_group(const struct row_work *r, uint32_t col)
{
    return r->type.group ? col / r->type.group : 0;
}

/* step and zero of a group from sc, zero point and row scale. */
void row_set_step(struct row_work *r, uint32_t g);
/* The code of column c for the value v; sets value[c]. */
void row_set_code(struct row_work *r, uint32_t c, float v);

/* Codes, then scales and codes in turn. Scales are there. */
void gptq_row(const struct gptq *g, struct row_work *r, const float *w);
/* The damped hessian's diagonal: how much each input counts. */
const float *gptq_weights(const struct gptq *g);
/* The diagonal of that hessian's inverse. */
const float *gptq_inverse(const struct gptq *g);
/* e^T H e for e = value - w, and w^T H w. */
void gptq_error(const struct gptq *g, struct row_work *r, const float *w, double *error,
                double *norm);

#endif
