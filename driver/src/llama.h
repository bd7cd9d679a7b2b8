/* llama.h - a llama model on a device: packed matrices, KV cache, buffers of the forward pass.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_LLAMA_H
#define ACCEL_LLAMA_H

#include "accel_llm.h"
#include "kv.h"
#include "kv_jobs.h"
#include "model.h"
#include "plan.h"

enum { LINEAR_PARTS = 3, WIDE_TOKENS = 8 }; /* tokens of 16 bits whose sums are kept at once */

/* One linear layer, or several that read the same activations: one job if their formats allow to
 * stack them, else one a part. Outputs lie one after the other. */
struct linear {
    uint32_t parts;
    uint32_t cols, rows; /* rows of all parts together */
    accel_weights *w[LINEAR_PARTS];
    accel_dev *dev[LINEAR_PARTS]; /* where each part is */
    uint32_t first[LINEAR_PARTS]; /* first output row of each part */
    uint32_t max_n[LINEAR_PARTS]; /* columns the device takes in one job of this part */
    const char *name;             /* of the first tensor, for messages */
    float *real;                  /* [rows][cols], multiplied here instead of by jobs; or NULL */
};

struct llama_layer {
    float *attn_norm, *ffn_norm; /* [embd] */
    struct linear qkv, attn_output, gate_up, down;
};

/* May change the inputs, n columns of l->cols values. Not ACCEL_OK: the evaluation ends with that. */
typedef int llama_tap(void *user, const struct linear *l, float *x, size_t stride, size_t n);

struct accel_llm {
    const struct accel_model *model;
    accel_dev *dev;
    accel_dev *host;            /* cpu:, for matrices that dev refuses; NULL while there are none */
    struct accel_error refused; /* why, of the first one */
    bool strict, float_math;
    uint32_t act_bits; /* 4, 8 or 16 */
    uint64_t deadline_ns;
    void *
        on_device; /* the whole model on dev, which then has the KV cache; NULL: all but jobs runs here */
    struct llama_layer *layers;
    float *output_norm;
    struct linear head;
    struct accel_llm_info info;

    float *rope;   /* [context][2][rope_dim], see attention_rotate */
    float *keys;   /* [layers][kv_heads][head_dim][context]; of one layer where kv has the cache */
    float *values; /* [layers][kv_heads][context][head_dim]; likewise */
    struct kv_cache *kv;  /* NULL: the cache is float32 */
    struct kv_jobs *jobs; /* NULL: attention is computed here */

    float *x;      /* [batch][embd], the residual stream */
    float *y;      /* [batch][y_stride], what a job returned */
    float *row;    /* [widest cols], one token's input of a linear layer */
    float *scores; /* [context] */
    int8_t *
        q; /* [batch][q_stride], quantized input of a linear layer; 16 bits: high bytes, low bytes in turn */
    int64_t *sums;  /* 16 bits: [2 * WIDE_TOKENS][widest rows]; else NULL */
    float *scale;   /* [batch] */
    float *inputs;  /* [batch][q_stride], float_math: q's place; else NULL */
    llama_tap *tap; /* float_math: sees the inputs of every linear layer; NULL: nobody does */
    void *tap_user;
    size_t y_stride, q_stride;
};

/* What accel_llm_open does not offer. */
struct llama_how {
    bool float_math;         /* no jobs: float32 weights by float32 activations, to compare with */
    const struct plan *plan; /* formats of float tensors by name; NULL: all as the options say */
};
int llama_open(const accel_model *model, accel_dev *dev, const struct accel_llm_options *options,
               const struct llama_how *how, accel_llm **llm, struct accel_error *err);
/* The forward pass in parts: embeddings of n tokens into llm->x; a layer on llm->x, for tokens at position pos
 * and following; the logits of all of them. */
int llama_embed(struct accel_llm *llm, const uint32_t *ids, size_t n, struct accel_error *err);
int llama_run_layer(struct accel_llm *llm, uint32_t layer, size_t n, size_t pos,
                    struct accel_error *err);
int llama_run_head(struct accel_llm *llm, size_t n, size_t want, float *logits,
                   struct accel_error *err);
/* y[i][m] = sum over c of w[m][c] * x[i][c], over 16 partial sums: c goes to sum c % 16. */
void llama_product(const float *w, size_t rows, size_t cols, const float *x, size_t x_stride,
                   size_t n, float *y, size_t y_stride);

/* One head's attention, all sums in ascending order of their index:
 *     scores[t] = (sum over d of q[d] * keys[d][t]) * scale;  w = softmax(scores[0..count-1])
 *     out[d]    = sum over t of w[t] * values[t][d]
 * keys is [dim][stride], values [count][dim], count >= 1. */
void attention_head(const float *q, const float *keys, const float *values, size_t dim,
                    size_t stride, size_t count, float scale, float *scores, float *out);
/* Its two sums: scores without the scale, and what softmaxed ones make of values. */
void attention_scores(const float *q, const float *keys, size_t dim, size_t stride, size_t count,
                      float *scores);
void attention_mix(const float *scores, const float *values, size_t dim, size_t count, float *out);
/* Rotate adjacent pairs of v: turn is [2][dim], the cosine for each element, then what the other
 * element of its pair is multiplied by: minus the sine, the sine. */
void attention_rotate(float *v, const float *turn, size_t dim);
/* The same for tokens pos and following, keys as attention_head takes them. */
void attention_rotate_keys(float *keys, size_t stride, const float *rope, size_t pos, size_t count,
                           size_t dim);
/* Fill rope for `context` positions; freqs (may be NULL) divides each frequency. */
void attention_angles(float *rope, uint32_t context, const struct accel_model_info *h,
                      const float *freqs);

/* Pack every matrix (llama_load.c). On failure llm is left for accel_llm_free. */
int llama_load(struct accel_llm *llm, accel_format format, uint32_t group, const struct plan *plan,
               struct accel_error *err);
void linear_free(struct linear *l);
/* Columns of a matrix of that width and group that the device takes in one job. */
uint32_t llama_columns(const struct accel_caps *caps, uint32_t cols, uint32_t group);

#endif
