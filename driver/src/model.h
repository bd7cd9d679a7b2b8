/* model.h - a checked llama model: hyperparameters and where its tensors are.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_MODEL_H
#define ACCEL_MODEL_H

#include "accel_llm.h"
#include "gguf.h"
#include "tokenizer.h"

struct model_layer {
    const struct gguf_tensor *attn_norm, *ffn_norm;
    const struct gguf_tensor *q, *k, *v; /* or NULL when qkv is not */
    const struct gguf_tensor *qkv;       /* one tensor: Q rows, then K, then V */
    const struct gguf_tensor *attn_output, *gate, *up, *down;
};

struct accel_model {
    struct gguf_file *file;
    struct tokenizer *tokenizer;
    struct accel_model_info info;
    const struct gguf_tensor *token_embd, *output, *output_norm, *rope_freqs;
    struct model_layer *layers; /* [info.layers] */
};

/* Any tensor of the file as a matrix; see accel_model_matrix. */
int model_matrix(const struct accel_model *model, const struct gguf_tensor *tensor,
                 accel_format format, uint32_t group, accel_matrix **mat, struct accel_error *err);
/* Values of a small float tensor (norm weights, rope_freqs), all finite. out holds ne[0]. */
int model_floats(const struct accel_model *model, const struct gguf_tensor *tensor, float *out,
                 struct accel_error *err);

#endif
