/* model_access.c - what an open model gives away: facts, tensors as matrices, tokens.
 * SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include "fmath.h"
#include "ggml_blocks.h"
#include "internal.h"
#include "quant/layout.h"

#include <stdlib.h>
#include <string.h>

void accel_model_get_info(const accel_model *model, struct accel_model_info *info)
{
    *info = model->info;
}

static bool is_matrix(const struct gguf_tensor *t)
{
    return t->n_dims >= 2 || t->ne[1] > 1;
}

int accel_model_get_tensor(const accel_model *model, size_t index, struct accel_tensor_info *info)
{
    if (!model || !info || index >= model->info.tensors)
        return ACCEL_E_ARG;
    const struct gguf_tensor *t = gguf_tensor_at(model->file, index);
    size_t n = t->name.len < sizeof info->name - 1 ? t->name.len : sizeof info->name - 1;
    memset(info, 0, sizeof *info);
    memcpy(info->name, t->name.data, n);
    struct quant_type own;
    bool ours = quant_type_read(t->type, &own);
    if (ours)
        quant_type_name(t->type, info->type);
    else
        strncpy(info->type, ggml_type_name(t->type), sizeof info->type - 1);
    info->cols = t->ne[0];
    info->rows = t->ne[1] * t->ne[2] * t->ne[3];
    info->bytes = t->size;
    info->is_matrix = is_matrix(t) && !(t == model->token_embd && model->output);
    const struct ggml_block_type *block = ggml_find_block_type(t->type);
    info->keeps_codes = ours || (block && block->format != 0);
    return ACCEL_OK;
}

int model_matrix(const struct accel_model *model, const struct gguf_tensor *t, accel_format format,
                 uint32_t group, accel_matrix **mat, struct accel_error *err)
{
    struct accel_error why = { 0 };
    if (t->ne[0] > UINT32_MAX || t->ne[1] > UINT32_MAX || t->ne[2] != 1 || t->ne[3] != 1)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "%s: tensor %.*s is not a matrix",
                          gguf_path(model->file), (int)t->name.len, t->name.data);
    uint32_t rows = (uint32_t)t->ne[1], cols = (uint32_t)t->ne[0];
    int rc = accel_matrix_from_ggml(t->type, t->data, t->size, rows, cols, format, group, mat,
                                    &why);
    if (rc)
        return accel_fail(err, rc, "%s: tensor %.*s: %.120s", gguf_path(model->file),
                          (int)(t->name.len < 60 ? t->name.len : 60), t->name.data, why.text);
    return ACCEL_OK;
}

int accel_model_matrix(const accel_model *model, size_t index, accel_format format, uint32_t group,
                       accel_matrix **mat, struct accel_error *err)
{
    if (!model || !mat || index >= model->info.tensors)
        return accel_fail(err, ACCEL_E_ARG, "no tensor %zu in this model", index);
    const struct gguf_tensor *t = gguf_tensor_at(model->file, index);
    if (!is_matrix(t))
        return accel_fail(err, ACCEL_E_ARG, "tensor %.*s is a vector, not a matrix",
                          (int)(t->name.len < 60 ? t->name.len : 60), t->name.data);
    return model_matrix(model, t, format, group, mat, err);
}

int model_floats(const struct accel_model *model, const struct gguf_tensor *t, float *out,
                 struct accel_error *err)
{
    int rc = ggml_dequantize_row(t->type, t->data, out, (size_t)t->ne[0]);
    if (!rc && !fm_all_finite(out, (size_t)t->ne[0]))
        rc = ACCEL_E_CORRUPT;
    if (rc)
        return accel_fail(err, rc, "%s: tensor %.*s has values that are not finite",
                          gguf_path(model->file), (int)(t->name.len < 60 ? t->name.len : 60),
                          t->name.data);
    return ACCEL_OK;
}

int accel_tokenize(const accel_model *model, const char *text, size_t len, uint32_t **ids,
                   size_t *count, struct accel_error *err)
{
    if (!model || (!text && len) || !ids || !count)
        return accel_fail(err, ACCEL_E_ARG, "accel_tokenize needs a model, text, ids and count");
    return tokenizer_encode(model->tokenizer, len ? text : "", len, ids, count, err);
}

size_t accel_detokenize(const accel_model *model, uint32_t id, char *out, size_t cap)
{
    if (!model || id >= tokenizer_vocab_size(model->tokenizer))
        return 0;
    return tokenizer_piece(model->tokenizer, id, out, out ? cap : 0);
}

int accel_token_is_end(const accel_model *model, uint32_t id)
{
    return id < tokenizer_vocab_size(model->tokenizer) && tokenizer_is_end(model->tokenizer, id);
}
