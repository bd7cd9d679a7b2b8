/* floats.h - the forward pass between two products, on a GPU. Pointers are to its memory; results are cudaError_t.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each of these ends as the host's part between two jobs does: inputs of the next products, quantized. They do what
 * llama.c does with fmath.h, operation by operation, so that every bit is the same. Those for a single token also
 * lay the inputs out; after the others, cuda_prepare does. */
#ifndef ACCEL_CUDA_FLOATS_H
#define ACCEL_CUDA_FLOATS_H

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CUDA_PARTS = 3, CUDA_MEETING = 256 }; /* blocks that can meet */

/* Inputs of a linear layer, n tokens. */
struct cuda_input {
    int8_t *q;     /* [n][cols] */
    float *scale;  /* [n] */
    uint32_t *bad; /* becomes 1 if a value is not finite */
    uint32_t cols;
    uint32_t parts; /* below, for a single token */
    struct {
        struct cuda_layout at;
        uint32_t *planes, *bytes; /* what is NULL is not wanted */
        int32_t *sums;
    } part[CUDA_PARTS];
};

/* What a linear layer's products made: part after part, [n][rows of the part] each. */
struct cuda_output {
    float *y;
    uint32_t n, parts;
    uint32_t first[CUDA_PARTS], rows[CUDA_PARTS];
};

/* x_to = x + y (NULL: x); the norm of tokens first .. first + n - 1. */
struct cuda_norm {
    const float *x, *y; /* [tokens][embd] */
    float *x_to;        /* elsewhere than x */
    const float *weight;
    uint32_t first, n;
    float eps;
    uint32_t *meeting; /* [CUDA_MEETING], made 0 for what follows */
    struct cuda_input to;
};

/* Rotate Q and K, put K and V into the cache, attend. */
struct cuda_attention {
    struct cuda_output qkv;
    uint32_t heads, kv_heads, head_dim, rope_dim, context, n;
    const uint32_t *pos; /* of the first token */
    const float *rope;
    float *keys, *values; /* of the layer; see llama.h */
    float *out;           /* [n][heads * head_dim] */
    uint32_t *done;       /* [n], heads that are; 0, and 0 again in the end */
    float scale;
    uint32_t *meeting; /* all 0; only of a single token */
    struct cuda_input to;
};

/* SiLU(gate) * up */
struct cuda_gates {
    struct cuda_output gate_up;
    uint32_t ff, n;
    uint32_t *meeting; /* as above */
    struct cuda_input to;
};

/* Columns of a linear layer, and tokens of context, that fit a multiprocessor's shared memory. */
#define CUDA_MAX_INPUT   24576u
#define CUDA_MAX_CONTEXT 32768u
#define CUDA_MAX_HEAD    256u /* channels of a head: a thread each */

/* y, [n][rows], from shares of its rows one after the other, [n][each] but for the last, which has what is left. */
int cuda_join(const float *shares, uint32_t each, uint32_t rows, uint32_t n, float *y,
              void *stream);
int cuda_run_norm(const struct cuda_norm *a, const struct cuda_how *how, void *stream);
int cuda_run_attention(const struct cuda_attention *a, const struct cuda_how *how, void *stream);
int cuda_run_gates(const struct cuda_gates *a, const struct cuda_how *how, void *stream);
/* Of a single token. Attention and gates: of layers with one part, of no more steps than there are multiprocessors. */
int cuda_norm_token(const struct cuda_norm *a, const struct cuda_how *how, void *stream);
int cuda_attention_token(const struct cuda_attention *a, const struct cuda_how *how, void *stream);
int cuda_gates_token(const struct cuda_gates *a, const struct cuda_how *how, void *stream);

#ifdef __cplusplus
}
#endif
#endif
