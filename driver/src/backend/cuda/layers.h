/* layers.h - all layers of a llama for a token by itself, in one kernel. Pointers are to the GPU's memory.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CUDA_LAYERS_H
#define ACCEL_CUDA_LAYERS_H

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CUDA_QKV, CUDA_OUTPUT, CUDA_GATE_UP, CUDA_DOWN, CUDA_MATRICES };

struct cuda_layer {
    const uint8_t *codes[CUDA_MATRICES], *headers[CUDA_MATRICES];
    const float *row_scale[CUDA_MATRICES];
    const float *attn_norm, *ffn_norm;
};

struct cuda_layers {
    const struct cuda_layer *layer;
    uint32_t count;
    struct cuda_layout at[CUDA_MATRICES]; /* of every layer */
    uint32_t embd, ff, heads, kv_heads, head_dim, rope_dim, context;
    float eps, scale;
    const uint32_t *pos;
    const float *rope;
    float *keys, *values; /* see llama.h */
    float *x;             /* [embd] */
    float *y
        [CUDA_MATRICES]; /* what each product makes, [rows], of gate and up [ff]; the last layer's y[CUDA_DOWN] is still to be added to x */
    float *out;          /* [heads * head_dim] */
    float *scores;       /* [heads][context] */
    uint32_t *met;       /* [1 + heads + 2 * count], set to 0 */
    uint32_t *bad;
};

/* Whether there is a kernel for such layers. */
bool cuda_layers_fit(const struct cuda_layers *a, const struct cuda_how *how);
int cuda_run_layers(const struct cuda_layers *a, const struct cuda_how *how, void *stream);

#ifdef __cplusplus
}
#endif
#endif
