/* calib.h - what a model's matrices are multiplied by, layer after layer.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Two copies of the model run over the calibration tokens in float arithmetic: one as it is, one whose
 * matrices are replaced by their quantized values as they become known, and whose activations are rounded to
 * int8 as a device gets them. So each matrix learns from the inputs it will really have, and from those it
 * should have had. */
#ifndef ACCEL_QUANT_CALIB_H
#define ACCEL_QUANT_CALIB_H

#include "model.h"

struct calib;

/* Matrices that read the same inputs, in the order of the forward pass. */
enum calib_stage { CALIB_QKV, CALIB_ATTN_OUTPUT, CALIB_GATE_UP, CALIB_DOWN, CALIB_STAGES };

struct calib_options {
    bool as_is; /* the copy that is quantized is not wanted: calib_inputs and calib_advance alone */
    const char *text; /* NULL: the model writes its own */
    size_t len;
    uint32_t tokens;
    uint64_t seed;
    accel_progress_fn *progress; /* while the model writes; may be NULL */
    void *user;
};

/* @return ACCEL_OK, _E_ARG (the text is too short), _E_NOMEM, _E_CORRUPT, _E_CANCELLED */
int calib_new(const struct accel_model *model, const struct calib_options *o, struct calib **out,
              struct accel_error *err);
void calib_free(struct calib *c);
uint64_t calib_tokens(const struct calib *c);
/* Sums over the tokens of q q^T, of f q^T in `cross`, and in `missing`, for stages whose outputs are added to the
 * residual stream, of d q^T: q the inputs that this stage will have, f those of the model as it was, d the
 * stream as it was - the stream as it is. layer = the number of layers: the output head. hessian and cross are
 * [cols][cols], missing is [embd][cols]; the caller's. */
int calib_collect(struct calib *c, uint32_t layer, enum calib_stage stage, uint32_t cols,
                  float *hessian, float *cross, float *missing, struct accel_error *err);
/* Of the stage's inputs in the model as it is, over the tokens: the mean magnitude, the largest one, and the sum of
 * squares of each; [cols]. */
int calib_inputs(struct calib *c, uint32_t layer, enum calib_stage stage, uint32_t cols,
                 float *mean, float *most, float *squares, struct accel_error *err);
/* Add to sums, [embd][embd], x x^T over the tokens: x the residual stream before the stage in the model as it is, scaled to a mean
 * square of 1. */
int calib_stream(struct calib *c, uint32_t layer, enum calib_stage stage, double *sums,
                 struct accel_error *err);
/* Whether the stage's outputs are added to the residual stream. */
bool calib_adds(enum calib_stage stage);
/* Where to put the quantized values of the stage's matrices: rows of all of them, one below the other. */
float *calib_weights(struct calib *c, uint32_t layer, enum calib_stage stage);
/* All stages of the layer are quantized: run it. */
int calib_advance(struct calib *c, uint32_t layer, struct accel_error *err);

#endif
