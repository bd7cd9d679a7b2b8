/* llama.c - the forward pass: matrices on the device, everything else here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "llama.h"

#include "fmath.h"
#include "ggml_blocks.h"
#include "internal.h"

#include <string.h>

static int not_finite(const struct accel_llm *llm, struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_CORRUPT,
                      "%s: the model computes values that are not finite; its weights are damaged",
                      gguf_path(llm->model->file));
}

/* Quantize the input of a linear layer for token i of the batch. */
static int set_input(struct accel_llm *llm, size_t i, const float *v, size_t count,
                     struct accel_error *err)
{
    if (!fm_all_finite(v, count))
        return not_finite(llm, err);
    if (llm->inputs)
        memcpy(llm->inputs + i * llm->q_stride, v, count * sizeof *v);
    else if (llm->act_bits == 16)
        llm->scale[i] = quantize_activations_16(v, count, llm->q + 2 * i * llm->q_stride,
                                                llm->q + (2 * i + 1) * llm->q_stride);
    else
        llm->scale[i] = (llm->act_bits == 4 ? quantize_activations_4 : accel_quantize_activations)(
            v, count, llm->q + i * llm->q_stride);
    return ACCEL_OK;
}

void llama_product(const float *w, size_t rows, size_t cols, const float *x, size_t x_stride,
                   size_t n, float *y, size_t y_stride)
{
    enum { PART = 16, AT_ONCE = 4 };
    for (size_t first = 0; first < n; first += AT_ONCE) {
        size_t many = n - first < AT_ONCE ? n - first : AT_ONCE;
        const float *from[AT_ONCE];
        for (size_t i = 0; i < AT_ONCE; i++)
            from[i] = x + (first + (i < many ? i : 0)) * x_stride;
        for (size_t m = 0; m < rows; m++) {
            const float *row = w + m * cols;
            float sum[AT_ONCE][PART] = { { 0 } };
            size_t c = 0;
            for (; c + PART <= cols; c += PART)
                for (size_t i = 0; i < AT_ONCE; i++)
                    for (size_t k = 0; k < PART; k++)
                        sum[i][k] += row[c + k] * from[i][c + k];
            for (size_t i = 0; i < many; i++) {
                for (size_t k = c; k < cols; k++)
                    sum[i][k - c] += row[k] * from[i][k];
                for (size_t half = PART / 2; half; half /= 2)
                    for (size_t k = 0; k < half; k++)
                        sum[i][k] += sum[i][k + half];
                y[(first + i) * y_stride + m] = sum[i][0];
            }
        }
    }
}

/* n columns of the quantized input from x on, in as many jobs as the device needs. */
static int run_columns(struct accel_llm *llm, const struct linear *l, uint32_t part,
                       struct accel_job job, struct accel_error *err)
{
    const size_t item = job.out == ACCEL_OUT_ACC ? sizeof(int64_t) : sizeof(float);
    const uint32_t n = job.n;
    job.weights = l->w[part];
    job.x_stride = llm->q_stride;
    job.deadline_ns = llm->deadline_ns;
    for (uint32_t done = 0; done < n;) {
        job.n = n - done < l->max_n[part] ? n - done : l->max_n[part];
        int rc = accel_run(l->dev[part], &job, NULL, err);
        if (rc)
            return rc;
        done += job.n;
        job.x += job.n * job.x_stride;
        job.y = (char *)job.y + job.n * job.y_stride * item;
        if (job.col_scale)
            job.col_scale += job.n;
    }
    return ACCEL_OK;
}

/* One part with activations of 16 bits: high and low bytes are columns of the same jobs, so that weights are streamed once where
 * the device takes two. y = (float)((double)(256 * high + low) * row_scale * scale). */
static int run_wide(struct accel_llm *llm, const struct linear *l, uint32_t part, size_t first,
                    size_t n, float *y, size_t y_stride, struct accel_error *err)
{
    const struct accel_weights *w = l->w[part];
    size_t rows = w->info.rows;
    for (size_t done = 0; done < n;) {
        size_t now = n - done < WIDE_TOKENS ? n - done : WIDE_TOKENS;
        struct accel_job job = {
            .x = llm->q + 2 * (first + done) * llm->q_stride,
            .n = (uint32_t)(2 * now),
            .out = ACCEL_OUT_ACC,
            .y = llm->sums,
            .y_stride = rows,
        };
        int rc = run_columns(llm, l, part, job, err);
        if (rc)
            return rc;
        for (size_t i = 0; i < now; i++) {
            const int64_t *high = llm->sums + 2 * i * rows, *low = high + rows;
            float *to = y + (done + i) * y_stride + l->first[part];
            for (size_t m = 0; m < rows; m++)
                to[m] = (float)((double)(256 * high[m] + low[m]) * (double)w->row_scale[m] *
                                (double)llm->scale[first + done + i]);
        }
        done += now;
    }
    return ACCEL_OK;
}

/* y[i] = W x[i] for columns first .. first + n - 1 of the quantized input. */
static int run_linear(struct accel_llm *llm, const struct linear *l, size_t first, size_t n,
                      float *y, size_t y_stride, struct accel_error *err)
{
    if (l->real) {
        int rc = llm->tap ? llm->tap(llm->tap_user, l, llm->inputs + first * llm->q_stride,
                                     llm->q_stride, n)
                          : ACCEL_OK;
        if (rc)
            return rc;
        llama_product(l->real, l->rows, l->cols, llm->inputs + first * llm->q_stride, llm->q_stride,
                      n, y, y_stride);
        return ACCEL_OK;
    }
    int rc = ACCEL_OK;
    for (uint32_t part = 0; part < l->parts && !rc; part++) {
        struct accel_job job = {
            .x = llm->q + first * llm->q_stride,
            .n = (uint32_t)n,
            .out = ACCEL_OUT_F32,
            .y = y + l->first[part],
            .y_stride = y_stride,
            .col_scale = llm->scale + first,
        };
        rc = llm->act_bits == 16 ? run_wide(llm, l, part, first, n, y, y_stride, err)
                                 : run_columns(llm, l, part, job, err);
    }
    return rc;
}

static int norm_inputs(struct accel_llm *llm, const float *weight, size_t first, size_t n,
                       struct accel_error *err)
{
    size_t embd = llm->model->info.embd;
    int rc = ACCEL_OK;
    for (size_t i = first; i < n && !rc; i++) {
        fm_rms_norm(llm->row, llm->x + i * embd, weight, embd, llm->model->info.rms_eps);
        rc = set_input(llm, i, llm->row, embd, err);
    }
    return rc;
}

static void add_residual(struct accel_llm *llm, size_t n)
{
    size_t embd = llm->model->info.embd;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < embd; k++)
            llm->x[i * embd + k] += llm->y[i * llm->y_stride + k];
}

/* Where attention finds a layer's keys and values of a head. */
static size_t cache_base(const struct accel_llm *llm, uint32_t layer, size_t head)
{
    const struct accel_model_info *h = &llm->model->info;
    size_t slice = llm->kv ? 0 : layer;
    return (slice * h->kv_heads + head) * h->head_dim * llm->info.context;
}

/* Rotate Q and K of token i at position pos and put K and V into the cache. */
static int cache_token(struct accel_llm *llm, uint32_t layer, size_t i, size_t pos,
                       struct accel_error *err)
{
    const struct accel_model_info *h = &llm->model->info;
    size_t hd = h->head_dim, turned = h->rope_dim, context = llm->info.context;
    float *q = llm->y + i * llm->y_stride, *k = q + h->heads * hd, *v = k + h->kv_heads * hd;
    const float *turn = llm->rope + pos * turned * 2;
    if (llm->kv && !llm->jobs && !kv_put(llm->kv, layer, pos, k, v))
        return not_finite(llm, err);
    for (size_t head = 0; head < h->heads; head++)
        attention_rotate(q + head * hd, turn, turned);
    for (size_t head = 0; head < h->kv_heads; head++) {
        size_t base = cache_base(llm, layer, head);
        attention_rotate(k + head * hd, turn, turned);
        for (size_t d = 0; d < hd; d++)
            llm->keys[base + d * context + pos] = k[head * hd + d];
        memcpy(llm->values + base + pos * hd, v + head * hd, hd * sizeof *v);
    }
    if (llm->jobs && !kv_put(llm->kv, layer, pos, k, v)) /* k is rotated now */
        return not_finite(llm, err);
    return ACCEL_OK;
}

static int attend(struct accel_llm *llm, uint32_t layer, size_t i, size_t pos,
                  struct accel_error *err)
{
    const struct accel_model_info *h = &llm->model->info;
    size_t hd = h->head_dim, context = llm->info.context, share = h->heads / h->kv_heads;
    const float *q = llm->y + i * llm->y_stride;
    float scale = fm_rsqrt((float)hd);
    for (size_t head = 0; head < h->heads; head++) {
        size_t base = cache_base(llm, layer, head / share);
        attention_head(q + head * hd, llm->keys + base, llm->values + base, hd, context, pos + 1,
                       scale, llm->scores, llm->row + head * hd);
    }
    return set_input(llm, i, llm->row, h->heads * hd, err);
}

/* The same of n tokens, where products are jobs. */
static int attend_by_jobs(struct accel_llm *llm, uint32_t layer, size_t n, size_t pos,
                          struct accel_error *err)
{
    const struct accel_model_info *h = &llm->model->info;
    int rc = kv_jobs_attend(llm->jobs, layer, n, pos, llm->keys, llm->values, llm->y, llm->y_stride,
                            err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = set_input(llm, i, llm->y + i * llm->y_stride, (size_t)h->heads * h->head_dim, err);
    return rc;
}

int llama_run_layer(struct accel_llm *llm, uint32_t layer, size_t n, size_t pos,
                    struct accel_error *err)
{
    const struct llama_layer *l = &llm->layers[layer];
    size_t ff = llm->model->info.ff;
    int rc;
    if ((rc = norm_inputs(llm, l->attn_norm, 0, n, err)) ||
        (rc = run_linear(llm, &l->qkv, 0, n, llm->y, llm->y_stride, err)))
        return rc;
    if (llm->kv)
        kv_expand(llm->kv, layer, pos, &llm->model->info, llm->rope, llm->info.context, llm->keys,
                  llm->values);
    for (size_t i = 0; i < n; i++)
        if ((rc = cache_token(llm, layer, i, pos + i, err)))
            return rc;
    if (llm->jobs && (rc = attend_by_jobs(llm, layer, n, pos, err)))
        return rc;
    for (size_t i = 0; i < n && !llm->jobs; i++)
        if ((rc = attend(llm, layer, i, pos + i, err)))
            return rc;
    if ((rc = run_linear(llm, &l->attn_output, 0, n, llm->y, llm->y_stride, err)))
        return rc;
    add_residual(llm, n);
    if ((rc = norm_inputs(llm, l->ffn_norm, 0, n, err)) ||
        (rc = run_linear(llm, &l->gate_up, 0, n, llm->y, llm->y_stride, err)))
        return rc;
    for (size_t i = 0; i < n; i++) {
        float *gate = llm->y + i * llm->y_stride;
        fm_swiglu(gate, gate + ff, ff);
        if ((rc = set_input(llm, i, gate, ff, err)))
            return rc;
    }
    if ((rc = run_linear(llm, &l->down, 0, n, llm->y, llm->y_stride, err)))
        return rc;
    add_residual(llm, n);
    return ACCEL_OK;
}

int llama_embed(struct accel_llm *llm, const uint32_t *ids, size_t n, struct accel_error *err)
{
    const struct accel_model_info *h = &llm->model->info;
    const struct gguf_tensor *t = llm->model->token_embd;
    size_t row_bytes = t->size / h->vocab;
    for (size_t i = 0; i < n; i++) {
        int rc = ggml_dequantize_row(t->type, (const uint8_t *)t->data + ids[i] * row_bytes,
                                     llm->x + i * h->embd, h->embd);
        if (rc)
            return accel_fail(err, rc, "%s: token_embd.weight cannot be decoded",
                              gguf_path(llm->model->file));
    }
    return ACCEL_OK;
}

int llama_run_head(struct accel_llm *llm, size_t n, size_t want, float *logits,
                   struct accel_error *err)
{
    int rc = norm_inputs(llm, llm->output_norm, n - want, n, err);
    if (rc)
        return rc;
    return run_linear(llm, &llm->head, n - want, want, logits, llm->model->info.vocab, err);
}

/* n tokens from position pos on; logits for the last `want` of them. */
static int run_batch(struct accel_llm *llm, const uint32_t *ids, size_t n, size_t pos, size_t want,
                     float *logits, struct accel_error *err)
{
    int rc = llama_embed(llm, ids, n, err);
    if (llm->on_device) {
        struct backend_tokens tokens = { .x = llm->x,
                                         .n = (uint32_t)n,
                                         .pos = (uint32_t)pos,
                                         .want = (uint32_t)want,
                                         .logits = logits,
                                         .deadline_ns = llm->deadline_ns };
        return rc ? rc : device_run_model(llm->dev, llm->on_device, &tokens, err);
    }
    for (uint32_t layer = 0; layer < llm->model->info.layers && !rc; layer++)
        rc = llama_run_layer(llm, layer, n, pos, err);
    return rc || want == 0 ? rc : llama_run_head(llm, n, want, logits, err);
}

int accel_llm_eval(accel_llm *llm, const uint32_t *ids, size_t count, size_t want, float *logits,
                   struct accel_error *err)
{
    if (!llm || (!ids && count) || want > count || (want && !logits))
        return accel_fail(err, ACCEL_E_ARG, "accel_llm_eval: tokens or room for logits missing");
    const struct accel_model_info *h = &llm->model->info;
    if (count > llm->info.context - llm->info.position)
        return accel_fail(err, ACCEL_E_CONTEXT,
                          "%zu tokens do not fit: %u of the context's %u are used", count,
                          llm->info.position, llm->info.context);
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= h->vocab)
            return accel_fail(err, ACCEL_E_ARG, "token %zu is %u, but the vocabulary has %u", i,
                              ids[i], h->vocab);
    if (llm->kv)
        kv_seek(llm->kv, llm->info.position);
    size_t skip = count - want; /* tokens before the first one with logits */
    for (size_t done = 0; done < count;) {
        size_t pos = llm->info.position + done;
        size_t n = count - done < llm->info.batch ? count - done : llm->info.batch;
        if (llm->kv && n > KV_BLOCK - pos % KV_BLOCK) /* a token sees its own block as floats */
            n = KV_BLOCK - pos % KV_BLOCK;
        size_t from = skip > done ? skip - done : 0;
        size_t rows = from < n ? n - from : 0;
        float *to = rows ? logits + (done + from - skip) * h->vocab : NULL;
        int rc = run_batch(llm, ids + done, n, pos, rows, to, err);
        if (rc)
            return rc;
        if (llm->kv && (pos + n) % KV_BLOCK == 0) {
            kv_round(llm->kv, pos + n);
            if (llm->jobs && (rc = kv_jobs_load(llm->jobs, err))) {
                llm->kv->rounded -= KV_BLOCK; /* its floats are still there */
                return rc;
            }
        }
        done += n;
    }
    if (want && !fm_all_finite(logits, want * (size_t)h->vocab))
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: the model computes logits that are not finite; its weights are "
                          "damaged",
                          gguf_path(llm->model->file));
    llm->info.position += (uint32_t)count;
    llm->info.tokens += count;
    llm->info.heads += want;
    return ACCEL_OK;
}

void accel_llm_rewind(accel_llm *llm, uint32_t position)
{
    if (position < llm->info.position)
        llm->info.position = position;
}

void accel_llm_get_info(const accel_llm *llm, struct accel_llm_info *info)
{
    *info = llm->info;
    info->macs = info->tokens * llm->model->info.linear_macs +
                 info->heads * llm->model->info.head_macs;
    if (llm->act_bits == 16)
        info->macs *= 2;
    if (llm->jobs)
        info->macs += llm->jobs->macs;
}
