/* llama_load.c - pack a model's matrices for a device and make room for the forward pass.
 * SPDX-License-Identifier: Apache-2.0 */
#include "llama.h"

#include "fmath.h"
#include "ggml_blocks.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CONTEXT = 1 << 20, DEFAULT_CONTEXT = 4096, DEFAULT_BATCH = 128 };

/* ---- linear layers ---- */

void linear_free(struct linear *l)
{
    for (uint32_t i = 0; i < l->parts; i++)
        accel_unload(l->w[i]);
    free(l->real);
    l->real = NULL;
    l->parts = 0;
}

uint32_t llama_columns(const struct accel_caps *caps, uint32_t cols, uint32_t group)
{
    uint64_t lanes = caps->lanes ? caps->lanes : 1, steps;
    if (group == 0)
        steps = (cols + lanes - 1) / lanes;
    else
        steps = (((uint64_t)cols + group - 1) / group) * ((group + lanes - 1) / lanes);
    uint64_t n = caps->max_n;
    if (caps->max_steps && steps && caps->max_steps / steps < n)
        n = caps->max_steps / steps;
    return (uint32_t)n;
}

static int add_part(struct accel_llm *llm, struct linear *l, const accel_matrix *mat,
                    const struct gguf_tensor *tensor, struct accel_error *err)
{
    const char *path = gguf_path(llm->model->file);
    int name_len = (int)(tensor->name.len < 60 ? tensor->name.len : 60);
    struct accel_error why = { 0 };
    struct accel_matrix_info info;
    struct accel_weights_info packed;
    struct accel_caps caps;
    uint32_t i = l->parts;
    accel_matrix_get_info(mat, &info);
    accel_get_caps(llm->dev, &caps);
    l->dev[i] = llm->dev;
    l->max_n[i] = llama_columns(&caps, info.cols, info.group);
    int rc = l->max_n[i]
                 ? accel_load(llm->dev, mat, &l->w[i], &why)
                 : accel_fail(&why, ACCEL_E_UNSUPPORTED, "it has %u columns, more than %s can hold",
                              info.cols, caps.uri);
    if (rc == ACCEL_E_UNSUPPORTED && !llm->strict) {
        if (!llm->refused.text[0])
            accel_fail(&llm->refused, rc, "%s: tensor %.*s: %.120s", path, name_len,
                       tensor->name.data, why.text);
        rc = llm->host ? ACCEL_OK : accel_open("cpu:", NULL, &llm->host, &why);
        if (!rc)
            rc = accel_load(llm->host, mat, &l->w[i], &why);
        if (!rc) {
            accel_get_caps(llm->host, &caps);
            l->dev[i] = llm->host;
            l->max_n[i] = llama_columns(&caps, info.cols, info.group);
            llm->info.host_weights += (uint64_t)info.rows * info.cols;
        }
    }
    if (rc)
        return accel_fail(err, rc, "%s: tensor %.*s: %.120s", path, name_len, tensor->name.data,
                          why.text);
    accel_weights_get_info(l->w[i], &packed);
    l->first[i] = l->rows;
    l->rows += info.rows;
    l->cols = info.cols;
    l->parts = i + 1;
    llm->info.weights += (uint64_t)info.rows * info.cols;
    llm->info.code_bits += packed.code_bits;
    llm->info.header_bits += packed.header_bits;
    llm->info.jobs_per_token++;
    return ACCEL_OK;
}

/* A tensor's rows as finite floats. */
static int read_floats(const struct accel_llm *llm, const struct gguf_tensor *t, float *out,
                       struct accel_error *err)
{
    size_t cols = (size_t)t->ne[0], row_bytes = t->size / (size_t)t->ne[1];
    for (size_t m = 0; m < t->ne[1]; m++)
        if (ggml_dequantize_row(t->type, (const uint8_t *)t->data + m * row_bytes, out + m * cols,
                                cols) ||
            !fm_all_finite(out + m * cols, cols))
            return accel_fail(err, ACCEL_E_CORRUPT,
                              "%s: tensor %.*s has values that are not finite or cannot be decoded",
                              gguf_path(llm->model->file),
                              (int)(t->name.len < 60 ? t->name.len : 60), t->name.data);
    return ACCEL_OK;
}

/* The tensors' rows as floats, one below the other. */
static int load_real(struct accel_llm *llm, struct linear *l,
                     const struct gguf_tensor *const *tensors, uint32_t count,
                     struct accel_error *err)
{
    size_t rows = 0, bytes;
    for (uint32_t i = 0; i < count; i++)
        rows += (size_t)tensors[i]->ne[1];
    l->cols = (uint32_t)tensors[0]->ne[0];
    if (!mul_size(rows, l->cols, &bytes) || !mul_size(bytes, sizeof *l->real, &bytes) ||
        !(l->real = malloc(bytes)))
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for weights as floats");
    for (uint32_t i = 0; i < count; i++) {
        int rc = read_floats(llm, tensors[i], l->real + (size_t)l->rows * l->cols, err);
        if (rc)
            return rc;
        l->rows += (uint32_t)tensors[i]->ne[1];
    }
    llm->info.weights += (uint64_t)rows * l->cols;
    return ACCEL_OK;
}

/* One tensor as a matrix; float tensors that the plan names in its format. */
static int load_matrix(const struct accel_llm *llm, const struct gguf_tensor *t,
                       accel_format format, uint32_t group, const struct plan *plan,
                       accel_matrix **mat, struct accel_error *err)
{
    const struct ggml_block_type *block = ggml_find_block_type(t->type);
    struct accel_error why = { 0 };
    struct plan_choice c = { 0 };
    size_t bytes;
    plan_find(plan, t->name.data, t->name.len, &c);
    if (!c.format || !block || block->format || t->ne[1] > UINT32_MAX || t->ne[0] > UINT32_MAX)
        return model_matrix(llm->model, t, format, group, mat, err);
    float *w = mul_size((size_t)t->ne[0], (size_t)t->ne[1], &bytes) &&
                       mul_size(bytes, sizeof *w, &bytes)
                   ? malloc(bytes)
                   : NULL;
    if (!w)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for weights as floats");
    int rc = read_floats(llm, t, w, err);
    if (!rc && (rc = plan_quantize(c, (uint32_t)t->ne[1], (uint32_t)t->ne[0], w, mat, &why)))
        accel_fail(err, rc, "%s: tensor %.*s: %.120s", gguf_path(llm->model->file),
                   (int)(t->name.len < 60 ? t->name.len : 60), t->name.data, why.text);
    free(w);
    return rc;
}

/* Tensors that read the same activations: one stacked job if they agree, else one a tensor. */
static int load_linear(struct accel_llm *llm, struct linear *l,
                       const struct gguf_tensor *const *tensors, uint32_t count,
                       accel_format format, uint32_t group, const struct plan *plan,
                       struct accel_error *err)
{
    accel_matrix *mats[LINEAR_PARTS] = { NULL }, *stacked = NULL;
    const accel_matrix *list[LINEAR_PARTS];
    int rc = ACCEL_OK;
    if (llm->float_math)
        return load_real(llm, l, tensors, count, err);
    for (uint32_t i = 0; i < count; i++) {
        if ((rc = load_matrix(llm, tensors[i], format, group, plan, &mats[i], err)))
            goto out;
        list[i] = mats[i];
    }
    rc = count > 1 ? accel_matrix_stack(list, count, &stacked, err) : ACCEL_E_UNSUPPORTED;
    if (rc == ACCEL_OK) {
        rc = add_part(llm, l, stacked, tensors[0], err);
    } else if (rc == ACCEL_E_UNSUPPORTED || rc == ACCEL_E_OVERFLOW) {
        rc = ACCEL_OK;
        for (uint32_t i = 0; i < count && !rc; i++)
            rc = add_part(llm, l, mats[i], tensors[i], err);
    }
out:
    accel_matrix_free(stacked);
    for (uint32_t i = 0; i < count; i++)
        accel_matrix_free(mats[i]);
    return rc;
}

static int load_norm(struct accel_llm *llm, const struct gguf_tensor *tensor, float **out,
                     struct accel_error *err)
{
    *out = calloc((size_t)tensor->ne[0], sizeof **out);
    if (!*out)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for norm weights");
    return model_floats(llm->model, tensor, *out, err);
}

int llama_load(struct accel_llm *llm, accel_format format, uint32_t group, const struct plan *plan,
               struct accel_error *err)
{
    const struct accel_model *m = llm->model;
    const struct gguf_tensor *head = m->output ? m->output : m->token_embd;
    int rc = load_norm(llm, m->output_norm, &llm->output_norm, err);
    if (rc || (rc = load_linear(llm, &llm->head, &head, 1, format, group, plan, err)))
        return rc;
    for (uint32_t i = 0; i < m->info.layers; i++) {
        const struct model_layer *from = &m->layers[i];
        struct llama_layer *to = &llm->layers[i];
        const struct gguf_tensor *qkv[3] = { from->q, from->k, from->v };
        const struct gguf_tensor *gate_up[2] = { from->gate, from->up };
        rc = from->qkv ? load_linear(llm, &to->qkv, &from->qkv, 1, format, group, plan, err)
                       : load_linear(llm, &to->qkv, qkv, 3, format, group, plan, err);
        if (rc || (rc = load_norm(llm, from->attn_norm, &to->attn_norm, err)) ||
            (rc = load_norm(llm, from->ffn_norm, &to->ffn_norm, err)) ||
            (rc = load_linear(llm, &to->attn_output, &from->attn_output, 1, format, group, plan,
                              err)) ||
            (rc = load_linear(llm, &to->gate_up, gate_up, 2, format, group, plan, err)) ||
            (rc = load_linear(llm, &to->down, &from->down, 1, format, group, plan, err)))
            return rc;
    }
    return ACCEL_OK;
}

/* ---- memory ---- */

/* count1 * count2 * count3 zeroed elements; every product checked. */
static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static int make_buffers(struct accel_llm *llm, struct accel_error *err)
{
    const struct accel_model_info *h = &llm->model->info;
    uint32_t context = llm->info.context, batch = llm->info.batch;
    uint32_t q_dim = h->heads * h->head_dim, kv_dim = h->kv_heads * h->head_dim;
    llm->q_stride = larger(larger(h->embd, h->ff), q_dim);
    llm->y_stride = larger(larger(h->embd, 2 * h->ff), q_dim + 2 * kv_dim);
    llm->rope = new_array(context, h->rope_dim, 2, sizeof *llm->rope);
    llm->keys = new_array(llm->kv ? 1 : h->layers, kv_dim, context, sizeof *llm->keys);
    llm->values = new_array(llm->kv ? 1 : h->layers, kv_dim, context, sizeof *llm->values);
    llm->x = new_array(batch, h->embd, 1, sizeof *llm->x);
    llm->y = new_array(batch, llm->y_stride, 1, sizeof *llm->y);
    llm->row = new_array(llm->q_stride, 1, 1, sizeof *llm->row);
    llm->scores = new_array(context, 1, 1, sizeof *llm->scores);
    llm->q = new_array(batch, llm->q_stride, llm->act_bits == 16 ? 2 : 1, sizeof *llm->q);
    if (llm->act_bits == 16)
        llm->sums = new_array(2 * WIDE_TOKENS, larger((uint32_t)llm->y_stride, h->vocab), 1,
                              sizeof *llm->sums);
    if (llm->float_math)
        llm->inputs = new_array(batch, llm->q_stride, 1, sizeof *llm->inputs);
    llm->scale = new_array(batch, 1, 1, sizeof *llm->scale);
    llm->layers = new_array(h->layers, 1, 1, sizeof *llm->layers);
    if (!llm->rope || !llm->keys || !llm->values || !llm->x || !llm->y || !llm->row ||
        !llm->scores || !llm->q || (llm->float_math && !llm->inputs) ||
        (llm->act_bits == 16 && !llm->sums) || !llm->scale || !llm->layers)
        return accel_fail(err, ACCEL_E_NOMEM,
                          "out of memory for a context of %u tokens: choose a smaller one",
                          context);
    return ACCEL_OK;
}

/* The cache as integers, if that is asked for, and what a token takes in it. */
static int make_cache(struct accel_llm *llm, const struct accel_kv_options *how,
                      struct accel_error *err)
{
    const struct accel_model_info *h = &llm->model->info;
    llm->info.kv_token_bytes = accel_kv_token_bytes(llm->model, how);
    if (how->jobs && !how->bits)
        return accel_fail(err, ACCEL_E_ARG,
                          "attention's products can be jobs with a cache of codes only");
    if (!how->bits)
        return ACCEL_OK;
    llm->kv = calloc(1, sizeof *llm->kv);
    if (!llm->kv)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for a cache");
    int rc = kv_open(llm->kv, how, h, llm->info.context, err);
    llm->info.kv_newest_bytes = kv_newest_bytes(llm->kv);
    if (rc || !how->jobs)
        return rc;
    llm->jobs = calloc(1, sizeof *llm->jobs);
    if (!llm->jobs)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for a cache");
    return kv_jobs_open(llm->jobs, llm->kv, llm->dev, h, llm->info.context, llm->info.batch,
                        llm->deadline_ns, err);
}

static int make_angles(struct accel_llm *llm, struct accel_error *err)
{
    const struct accel_model *m = llm->model;
    float *freqs = NULL;
    int rc = ACCEL_OK;
    if (m->rope_freqs) {
        rc = load_norm(llm, m->rope_freqs, &freqs, err);
        for (uint32_t i = 0; !rc && i < m->info.rope_dim / 2; i++)
            if (!(freqs[i] >= 1e-6f && freqs[i] <= 1e6f))
                rc = accel_fail(err, ACCEL_E_CORRUPT,
                                "%s: rope_freqs.weight[%u] is not between 1e-6 and 1e6",
                                gguf_path(m->file), i);
    }
    if (!rc)
        attention_angles(llm->rope, llm->info.context, &m->info, freqs);
    free(freqs);
    return rc;
}

int accel_llm_open(const accel_model *model, accel_dev *dev,
                   const struct accel_llm_options *options, accel_llm **llm,
                   struct accel_error *err)
{
    struct llama_how how = { 0 };
    return llama_open(model, dev, options, &how, llm, err);
}

/* The rest of the model too, if the device takes it. */
static int move_to_device(struct accel_llm *llm, struct accel_error *err)
{
    int rc = device_open_model(llm->dev, llm, &llm->on_device, err);
    if (rc == ACCEL_E_UNSUPPORTED) {
        accel_no_error(err);
        return ACCEL_OK;
    }
    if (!rc) {
        free(llm->keys);
        free(llm->values);
        llm->keys = llm->values = NULL;
    }
    return rc;
}

int llama_open(const accel_model *model, accel_dev *dev, const struct accel_llm_options *options,
               const struct llama_how *how, accel_llm **llm, struct accel_error *err)
{
    struct accel_llm_options o = { 0 };
    struct accel_caps caps;
    if (!model || !dev || !llm)
        return accel_fail(err, ACCEL_E_ARG, "accel_llm_open needs a model, a device and a place");
    if (options)
        o = *options;
    if (o.format == 0) {
        o.format = ACCEL_INT(8);
        o.group = 32;
    }
    if (!accel_format_valid(o.format))
        return accel_fail(err, ACCEL_E_ARG, "0x%x is no weight format", (unsigned)o.format);
    if (o.act_bits != 0 && o.act_bits != 4 && o.act_bits != 8 && o.act_bits != 16)
        return accel_fail(err, ACCEL_E_ARG, "activations of %u bits; use 4, 8 or 16", o.act_bits);
    if (o.context > MOST_CONTEXT)
        return accel_fail(err, ACCEL_E_ARG, "a context of %u tokens is above the limit of %d",
                          o.context, MOST_CONTEXT);
    struct accel_llm *l = calloc(1, sizeof *l);
    if (!l)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for a model on a device");
    accel_get_caps(dev, &caps);
    l->model = model;
    l->dev = dev;
    l->deadline_ns = o.deadline_ns;
    l->strict = o.strict != 0;
    l->float_math = how->float_math;
    l->act_bits = o.act_bits ? o.act_bits : 8;
    l->info.context = o.context                               ? o.context
                      : model->info.context < DEFAULT_CONTEXT ? model->info.context
                                                              : DEFAULT_CONTEXT;
    l->info.batch = o.batch ? o.batch : DEFAULT_BATCH;
    if (caps.max_n && l->info.batch > caps.max_n)
        l->info.batch = caps.max_n;
    if (l->info.batch > l->info.context)
        l->info.batch = l->info.context;
    int rc;
    if ((rc = make_cache(l, &o.kv, err)) || (rc = make_buffers(l, err)) ||
        (rc = make_angles(l, err)) || (rc = llama_load(l, o.format, o.group, how->plan, err)))
        goto out;
    if (l->info.host_weights == l->info.weights && l->info.weights) {
        rc = accel_fail(err, ACCEL_E_UNSUPPORTED, "%s", l->refused.text);
        goto out;
    }
    if (!l->host && !l->float_math && l->act_bits == 8 && !l->kv && (rc = move_to_device(l, err)))
        goto out;
    *llm = l;
out:
    if (rc)
        accel_llm_free(l);
    return rc;
}

void accel_llm_free(accel_llm *llm)
{
    if (!llm)
        return;
    device_close_model(llm->dev, llm->on_device);
    for (uint32_t i = 0; llm->layers && i < llm->model->info.layers; i++) {
        struct llama_layer *l = &llm->layers[i];
        free(l->attn_norm);
        free(l->ffn_norm);
        linear_free(&l->qkv);
        linear_free(&l->attn_output);
        linear_free(&l->gate_up);
        linear_free(&l->down);
    }
    linear_free(&llm->head);
    accel_close(llm->host);
    free(llm->layers);
    free(llm->output_norm);
    free(llm->rope);
    if (llm->jobs)
        kv_jobs_close(llm->jobs);
    free(llm->jobs);
    if (llm->kv)
        kv_close(llm->kv);
    free(llm->kv);
    free(llm->keys);
    free(llm->values);
    free(llm->x);
    free(llm->y);
    free(llm->row);
    free(llm->scores);
    free(llm->q);
    free(llm->sums);
    free(llm->scale);
    free(llm->inputs);
    free(llm);
}
