/* allocate.c - what each matrix of a model loses in each format.
 * SPDX-License-Identifier: Apache-2.0 */
#include "allocate.h"

#include "fmath.h"
#include "internal.h"
#include "llama.h"

#include <stdlib.h>
#include <string.h>

/* ---- units ---- */

static void add_units(struct allocate *a, struct linear *l,
                      const struct gguf_tensor *const *tensors, uint32_t count)
{
    uint64_t first = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct gguf_tensor *t = tensors[i];
        struct allocate_unit *u = &a->units[a->unit_count++];
        size_t len = t->name.len < PLAN_NAME - 1 ? t->name.len : PLAN_NAME - 1;
        memcpy(u->name, t->name.data, len);
        u->rows = (uint32_t)t->ne[1];
        u->cols = (uint32_t)t->ne[0];
        u->w = l->real + first * l->cols;
        u->linear = l;
        first += t->ne[1];
    }
}

static void list_units(struct allocate *a)
{
    const struct accel_model *m = a->llm->model;
    const struct gguf_tensor *head = m->output ? m->output : m->token_embd;
    for (uint32_t i = 0; i < m->info.layers; i++) {
        const struct model_layer *from = &m->layers[i];
        struct llama_layer *l = &a->llm->layers[i];
        const struct gguf_tensor *qkv[3] = { from->q, from->k, from->v };
        const struct gguf_tensor *gate_up[2] = { from->gate, from->up };
        if (from->qkv)
            add_units(a, &l->qkv, &from->qkv, 1);
        else
            add_units(a, &l->qkv, qkv, 3);
        add_units(a, &l->attn_output, &from->attn_output, 1);
        add_units(a, &l->gate_up, gate_up, 2);
        add_units(a, &l->down, &from->down, 1);
    }
    add_units(a, &a->llm->head, &head, 1);
}

/* ---- calibration ---- */

static int take_text(struct allocate *a, const char *text, size_t len, struct accel_error *err)
{
    size_t count;
    int rc = accel_tokenize(a->llm->model, text, len, &a->ids, &count, err);
    if (rc)
        return rc;
    if (count < a->chunk)
        return accel_fail(err, ACCEL_E_ARG,
                          "the calibration text has %zu tokens, but one chunk needs %u", count,
                          a->chunk);
    if (count / a->chunk < a->chunks)
        a->chunks = (uint32_t)(count / a->chunk);
    for (uint32_t c = 0; c < a->chunks; c++)
        a->ids[(size_t)c * a->chunk] = a->llm->model->info.bos;
    return ACCEL_OK;
}

/* The model's own words at temperature 1: what its divergence is an expectation over. */
static int make_text(struct allocate *a, uint64_t seed, struct accel_error *err)
{
    uint32_t vocab = a->llm->model->info.vocab;
    struct accel_sampler sampler = { .temperature = 1.0F, .top_p = 1.0F };
    struct accel_candidate *scratch = calloc(vocab, sizeof *scratch);
    float *logits = calloc(vocab, sizeof *logits);
    int rc = ACCEL_OK;
    a->ids = calloc((size_t)a->chunk * a->chunks, sizeof *a->ids);
    if (!a->ids || !scratch || !logits) {
        rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory for calibration tokens");
        goto out;
    }
    accel_sampler_seed(&sampler, seed);
    for (uint32_t c = 0; c < a->chunks; c++) {
        uint32_t *ids = a->ids + (size_t)c * a->chunk;
        ids[0] = a->llm->model->info.bos;
        accel_llm_rewind(a->llm, 0);
        for (uint32_t i = 0; i + 1 < a->chunk; i++) {
            if ((rc = accel_llm_eval(a->llm, ids + i, 1, 1, logits, err)))
                goto out;
            ids[i + 1] = accel_sample(&sampler, logits, vocab, scratch);
        }
    }
out:
    free(scratch);
    free(logits);
    return rc;
}

static double log_sum(const float *logits, uint32_t vocab)
{
    double top = (double)fm_max(logits, vocab), sum = 0.0;
    for (uint32_t i = 0; i < vocab; i++)
        sum += fm_exp_d((double)logits[i] - top);
    return top + fm_log_d(sum);
}

/* Sums of products of inputs, for each unit that reads them first. */
static int add_products(void *user, const struct linear *l, float *x, size_t x_stride, size_t n)
{
    struct allocate *a = user;
    uint32_t u = 0, cols = l->cols;
    while (u < a->unit_count && (a->units[u].linear != l || !a->units[u].owner))
        u++;
    if (u == a->unit_count)
        return ACCEL_OK;
    for (size_t t = 0; t < n; t++) {
        const float *v = x + t * x_stride;
        for (uint32_t i = 0; i < cols; i++) {
            float *row = a->units[u].hessian + (size_t)i * cols;
            for (uint32_t k = 0; v[i] != 0 && k < cols; k++)
                row[k] += v[i] * v[k];
        }
    }
    return ACCEL_OK;
}

static int make_hessians(struct allocate *a, struct accel_error *err)
{
    for (uint32_t i = 0; i < a->unit_count; i++) {
        struct allocate_unit *u = &a->units[i];
        if (i && u[-1].linear == u->linear) {
            u->hessian = u[-1].hessian;
            continue;
        }
        u->owner = true;
        if (!(u->hessian = calloc(u->cols, u->cols * sizeof *u->hessian)))
            return accel_fail(err, ACCEL_E_NOMEM, "out of memory for what %.60s reads", u->name);
    }
    a->llm->tap = add_products;
    a->llm->tap_user = a;
    return ACCEL_OK;
}

/* The logits that all others are compared with. */
static int measure_base(struct allocate *a, struct accel_error *err)
{
    uint32_t vocab = a->llm->model->info.vocab, each = a->chunk - 1;
    size_t tokens = (size_t)a->chunks * each;
    a->logits = calloc(tokens + 1, vocab * sizeof *a->logits);
    a->norms = calloc(tokens + 1, sizeof *a->norms);
    a->scratch = calloc((size_t)each + 1, vocab * sizeof *a->scratch);
    if (!a->logits || !a->norms || !a->scratch)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for the logits of %zu tokens", tokens);
    for (uint32_t c = 0; c < a->chunks; c++) {
        accel_llm_rewind(a->llm, 0);
        int rc = accel_llm_eval(a->llm, a->ids + (size_t)c * a->chunk, each, each,
                                a->logits + (size_t)c * each * vocab, err);
        if (rc)
            return rc;
    }
    a->llm->tap = NULL;
    for (size_t i = 0; i < tokens; i++)
        a->norms[i] = log_sum(a->logits + i * vocab, vocab);
    return ACCEL_OK;
}

int allocate_open(const accel_model *model, accel_dev *dev, const char *text, size_t len,
                  uint32_t chunk, uint32_t chunks, uint64_t seed, enum quant_method method,
                  struct allocate *a, struct accel_error *err)
{
    struct llama_how how = { .float_math = true };
    struct accel_llm_options options = { .context = chunk };
    *a = (struct allocate){ .chunk = chunk, .chunks = chunks, .method = method };
    if (chunk < 2 || !chunks)
        return accel_fail(err, ACCEL_E_ARG, "calibration needs chunks of two tokens and more");
    int rc = llama_open(model, dev, &options, &how, &a->llm, err);
    if (rc)
        return rc;
    a->units = calloc((size_t)model->info.layers * 7 + 1, sizeof *a->units);
    if (!a->units)
        rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory for the list of matrices");
    else
        list_units(a);
    if (!rc)
        rc = text ? take_text(a, text, len, err) : make_text(a, seed, err);
    if (!rc && method == QUANT_GPTQ)
        rc = make_hessians(a, err);
    if (!rc)
        rc = measure_base(a, err);
    if (rc)
        allocate_close(a);
    return rc;
}

void allocate_close(struct allocate *a)
{
    accel_llm_free(a->llm);
    for (uint32_t i = 0; a->units && i < a->unit_count; i++)
        if (a->units[i].owner)
            free(a->units[i].hessian);
    free(a->units);
    free(a->ids);
    free(a->logits);
    free(a->norms);
    free(a->scratch);
    *a = (struct allocate){ 0 };
}

/* ---- losses ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* One token: its divergence; and sqrt(p) (change - mean change), folded. */
static double token_loss(const float *now, const float *base, double base_norm, uint32_t vocab,
                         uint64_t token, float *sketch)
{
    double norm = log_sum(now, vocab), kl = 0.0, mean = 0.0;
    for (uint32_t i = 0; i < vocab; i++) {
        double lp = (double)base[i] - base_norm, p = fm_exp_d(lp);
        kl += p * (lp - ((double)now[i] - norm));
        mean += p * ((double)now[i] - (double)base[i]);
    }
    for (uint32_t i = 0; sketch && i < vocab; i++) {
        double root = fm_exp_d(((double)base[i] - base_norm) * 0.5);
        double v = root * ((double)now[i] - (double)base[i] - mean);
        uint64_t h = mix((token * vocab + i) * 0x9e3779b97f4a7c15u);
        sketch[h % ALLOCATE_SKETCH] += (float)(h >> 63 ? v : -v);
    }
    return kl;
}

int allocate_loss(struct allocate *a, float *sketch, double *loss, struct accel_error *err)
{
    uint32_t vocab = a->llm->model->info.vocab, each = a->chunk - 1;
    double sum = 0.0, tokens = (double)a->chunks * each;
    if (sketch)
        memset(sketch, 0, ALLOCATE_SKETCH * sizeof *sketch);
    for (uint32_t c = 0; c < a->chunks; c++) {
        accel_llm_rewind(a->llm, 0);
        int rc = accel_llm_eval(a->llm, a->ids + (size_t)c * a->chunk, each, each, a->scratch, err);
        if (rc)
            return rc;
        for (uint32_t i = 0; i < each; i++) {
            size_t at = (size_t)c * each + i;
            sum += token_loss(a->scratch + (size_t)i * vocab, a->logits + at * vocab, a->norms[at],
                              vocab, at, sketch);
        }
    }
    float scale = (float)(1.0 / sqrt(tokens));
    for (uint32_t i = 0; sketch && i < ALLOCATE_SKETCH; i++)
        sketch[i] *= scale;
    *loss = sum > 0 ? sum / tokens : 0;
    return ACCEL_OK;
}

/* A copy of the unit's weights; NULL: no memory. */
static float *keep(const struct allocate_unit *u)
{
    size_t bytes = (size_t)u->rows * u->cols * sizeof(float);
    float *copy = malloc(bytes);
    if (copy)
        memcpy(copy, u->w, bytes);
    return copy;
}

static int round_unit(const struct allocate *a, struct allocate_unit *u, struct plan_choice choice,
                      double *error, struct accel_error *err)
{
    struct quant_stats stats = { .hessian = u->hessian };
    struct quant_tensor t = { 0 };
    struct accel_error why = { 0 };
    size_t size = (size_t)u->rows * u->cols;
    float *before = keep(u);
    int rc = before ? quant_matrix(plan_type(choice), a->method, u->rows, u->cols, u->w, &stats, 1,
                                   &t, &why)
                    : ACCEL_E_NOMEM;
    if (!rc)
        rc = quant_tensor_values(&t, u->rows, u->cols, u->w, &why);
    quant_tensor_free(&t);
    *error = 0;
    for (size_t i = 0; !rc && i < size; i++)
        *error += ((double)u->w[i] - (double)before[i]) * ((double)u->w[i] - (double)before[i]);
    free(before);
    return rc ? accel_fail(err, rc, "tensor %.60s: %.150s", u->name, why.text) : ACCEL_OK;
}

int allocate_try(struct allocate *a, uint32_t unit, struct plan_choice choice, float *sketch,
                 double *loss, double *error, struct accel_error *err)
{
    struct allocate_unit *u = &a->units[unit];
    double changed;
    float *kept = keep(u);
    if (!kept)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for a copy of %.60s", u->name);
    int rc = round_unit(a, u, choice, &changed, err);
    if (!rc)
        rc = allocate_loss(a, sketch, loss, err);
    if (!rc && error)
        *error = changed;
    memcpy(u->w, kept, (size_t)u->rows * u->cols * sizeof *kept);
    free(kept);
    return rc;
}

int allocate_round(struct allocate *a, uint32_t unit, struct plan_choice choice, double *error,
                   struct accel_error *err)
{
    struct allocate_unit *u = &a->units[unit];
    float *kept = keep(u);
    if (!kept)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for a copy of %.60s", u->name);
    int rc = round_unit(a, u, choice, error, err);
    memcpy(u->w, kept, (size_t)u->rows * u->cols * sizeof *kept);
    free(kept);
    return rc;
}

static double product(const float *x, const float *y)
{
    float part[16];
    double sum = 0;
    for (uint32_t i = 0; i < ALLOCATE_SKETCH; i += 1024) {
        memset(part, 0, sizeof part);
        for (uint32_t k = i; k < i + 1024; k += 16)
            for (uint32_t l = 0; l < 16; l++)
                part[l] += x[k + l] * y[k + l];
        for (uint32_t l = 0; l < 16; l++)
            sum += (double)part[l];
    }
    return sum;
}

void allocate_pairs(const float *sketch, const double *loss, uint32_t n, double *pair)
{
    for (uint32_t i = 0; i < n; i++)
        pair[(size_t)i * n + i] = product(sketch + (size_t)i * ALLOCATE_SKETCH,
                                          sketch + (size_t)i * ALLOCATE_SKETCH);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < i; k++) {
            double size = pair[(size_t)i * n + i] * pair[(size_t)k * n + k];
            double v = size > 0 ? product(sketch + (size_t)i * ALLOCATE_SKETCH,
                                          sketch + (size_t)k * ALLOCATE_SKETCH) *
                                      sqrt(loss[i] * loss[k] / size)
                                : 0;
            pair[(size_t)i * n + k] = pair[(size_t)k * n + i] = v;
        }
    for (uint32_t i = 0; i < n; i++)
        pair[(size_t)i * n + i] = loss[i];
}

int allocate_try_all(struct allocate *a, const struct plan_choice *choice, double *loss,
                     struct accel_error *err)
{
    float **kept = calloc(a->unit_count, sizeof *kept);
    double changed;
    int rc = kept ? ACCEL_OK : ACCEL_E_NOMEM;
    for (uint32_t i = 0; i < a->unit_count && !rc; i++) {
        kept[i] = keep(&a->units[i]);
        rc = kept[i] ? round_unit(a, &a->units[i], choice[i], &changed, err) : ACCEL_E_NOMEM;
    }
    if (rc == ACCEL_E_NOMEM)
        accel_fail(err, rc, "out of memory for a copy of the model");
    if (!rc)
        rc = allocate_loss(a, NULL, loss, err);
    for (uint32_t i = 0; kept && i < a->unit_count; i++) {
        if (kept[i])
            memcpy(a->units[i].w, kept[i],
                   (size_t)a->units[i].rows * a->units[i].cols * sizeof **kept);
        free(kept[i]);
    }
    free(kept);
    return rc;
}

int allocate_trace(struct allocate *a, uint32_t unit, uint32_t samples, uint64_t seed,
                   double *half_mean, struct accel_error *err)
{
    struct allocate_unit *u = &a->units[unit];
    size_t size = (size_t)u->rows * u->cols;
    double square = 0, sum = 0;
    float *kept = keep(u);
    int rc = ACCEL_OK;
    if (!kept)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for a copy of %.60s", u->name);
    for (size_t i = 0; i < size; i++)
        square += (double)kept[i] * (double)kept[i];
    /* Far above float32's noise, and small enough for the divergence to be quadratic. */
    double step = 0.02 * sqrt(square / (double)size);
    for (uint32_t s = 0; s < samples && !rc && step > 0; s++) {
        double loss;
        for (size_t i = 0; i < size; i++) {
            uint64_t h = mix(seed + ((uint64_t)s << 48) + (i + 1) * 0x9e3779b97f4a7c15u);
            u->w[i] = kept[i] + (float)(h >> 63 ? step : -step);
        }
        rc = allocate_loss(a, NULL, &loss, err);
        /* loss = step^2 / 2 z'Fz, whose mean is step^2 / 2 times the trace. */
        sum += rc ? 0 : loss / (step * step);
    }
    memcpy(u->w, kept, size * sizeof *kept);
    free(kept);
    if (!rc)
        *half_mean = step > 0 ? sum / samples / (double)size : 0;
    return rc;
}
