/* tiny_llama.h - random llama models of any shape as GGUF files in memory, for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TINY_LLAMA_H
#define TINY_LLAMA_H

#include "accel_llm.h"
#include "gguf_writer.h"

#include <stdbool.h>

enum { TINY_VOCAB = 300, TINY_MAX_TENSORS = 128 };

struct tiny_llama {
    /* What to build; tiny_default() fills in a small model. */
    uint32_t layers, embd, ff, heads, kv_heads, context;
    uint32_t head_dim; /* 0: embd / heads, and no key_length in the file */
    uint32_t rope_dim; /* 0: all of the head, and no key in the file */
    float rope_factor; /* 0: no scaling */
    bool separate_head, fused_qkv, rope_freqs, q8_k, kv_array;
    const char *rope_scaling; /* NULL: "linear" if there is a factor */
    const char *architecture;
    uint32_t experts, block_count;             /* 0: leave the key out; 0: layers */
    uint32_t value_length;                     /* 0: no key */
    const char *without_key;                   /* metadata to leave out */
    const char *without_tensor, *short_tensor; /* leave out; give one column less */
    const char *extra_tensor;                  /* one that no llama has */
    float norm_scale;                          /* norm weights are around it; 0: 1 */

    /* What was built. */
    struct gguf_writer w;
    struct tiny_tensor {
        char name[64];
        size_t offset; /* of its floats in w.data */
        uint64_t rows, cols;
        bool floats;
    } tensors[TINY_MAX_TENSORS];
    size_t tensor_count;
};

void tiny_default(struct tiny_llama *t);
void tiny_build(struct tiny_llama *t);
void tiny_free(struct tiny_llama *t);
/* Build it, and open it and cpu:. @return 0, or a status with err */
int tiny_open(struct tiny_llama *t, accel_dev **dev, accel_model **model, struct accel_error *err);
void tiny_close(struct tiny_llama *t, accel_dev *dev, accel_model *model);
/* The floats of a tensor, or NULL. */
float *tiny_floats(struct tiny_llama *t, const char *name);

#endif
