/* allocate.h - what each matrix of a model loses in each format, alone and with the others.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Losses are KL divergences to the model in float arithmetic, in nats a token, on calibration tokens. */
#ifndef ACCEL_ALLOCATE_H
#define ACCEL_ALLOCATE_H

#include "accel_llm.h"
#include "plan.h"
#include "quant/quant.h"

struct linear;

struct allocate_unit {
    char name[PLAN_NAME]; /* of the tensor */
    uint32_t rows, cols;
    float *w; /* [rows][cols], in the model that is measured */
    const struct linear *linear;
    float *hessian; /* [cols][cols], for GPTQ; units that read the same inputs share it */
    bool owner;     /* of the hessian */
};

struct allocate {
    accel_llm *llm;           /* in float arithmetic */
    enum quant_method method; /* how units are rounded */
    struct allocate_unit *units;
    uint32_t unit_count;
    uint32_t *ids; /* [chunks][chunk] */
    uint32_t chunk, chunks;
    float *logits;  /* of the model as it is, [chunks * (chunk - 1)][vocab] */
    double *norms;  /* [chunks * (chunk - 1)]: ln of the sum of e^logit */
    float *scratch; /* [chunk - 1][vocab] */
};

/* Calibration on text, or if that is NULL on what the model itself says, by this seed.
 * dev: any; used only to ask for what it is. method: QUANT_GPTQ makes up for errors by the inputs that
 * calibration sees. @return ACCEL_OK, _E_ARG, _E_NOMEM, ... */
int allocate_open(const accel_model *model, accel_dev *dev, const char *text, size_t len,
                  uint32_t chunk, uint32_t chunks, uint64_t seed, enum quant_method method,
                  struct allocate *a, struct accel_error *err);
void allocate_close(struct allocate *a);

/* KL divergence of the model with the weights it has now. sketch (ALLOCATE_SKETCH floats, or NULL): the
 * change of the logits, weighted by the Fisher matrix's root of each token and folded by random signs,
 * so that two sketches' product is to first order what both changes lose together, doubled. */
enum { ALLOCATE_SKETCH = 1 << 16 };
int allocate_loss(struct allocate *a, float *sketch, double *loss, struct accel_error *err);

/* Round one unit to a format, measure, and put its weights back.
 * error (or NULL): the sum of squared changes of weights. */
int allocate_try(struct allocate *a, uint32_t unit, struct plan_choice choice, float *sketch,
                 double *loss, double *error, struct accel_error *err);
/* What rounding changes, without measuring: error as above. */
int allocate_round(struct allocate *a, uint32_t unit, struct plan_choice choice, double *error,
                   struct accel_error *err);
/* All units at once, choice[i] for unit i. */
int allocate_try_all(struct allocate *a, const struct plan_choice *choice, double *loss,
                     struct accel_error *err);

/* Losses of pairs for allocate_solve: pair[i][j] is what changes i and j lose on top of loss[i] + loss[j],
 * halved; the products of n sketches, each scaled to the loss that was measured. Positive semidefinite. */
void allocate_pairs(const float *sketch, const double *loss, uint32_t n, double *pair);

/* HAWQ-V2's sensitivity: half of the mean of the Fisher matrix's diagonal, by Hutchinson's estimate over
 * `samples` random directions; times a sum of squared changes it is a loss. */
int allocate_trace(struct allocate *a, uint32_t unit, uint32_t samples, uint64_t seed,
                   double *half_mean, struct accel_error *err);

#endif
