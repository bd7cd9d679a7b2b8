/* calib.c - what a model's matrices are multiplied by, layer after layer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "calib.h"

#include "internal.h"
#include "llama.h"
#include "quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCE = 512 };
#define STOP 1 /* from the tap: seen enough; no error of the library is positive */

struct calib {
    const struct accel_model *model;
    accel_dev *dev;
    struct accel_llm *as_is, *quantized;
    uint32_t *ids;
    size_t tokens; /* whole sequences */
    uint32_t sequence;
    float *state[2];  /* [tokens][embd] what goes into the layer at hand: as_is, quantized */
    float *seen[2];   /* [sequence][widest cols] inputs of the stage at hand */
    float *stream[2]; /* [sequence][embd] the residual stream at that time */
    size_t stride;
};

/* ---- what the taps do ---- */

struct watch {
    const struct linear *stop; /* the stage that is looked at, or NULL */
    float *out, *stream;
    size_t stride;
    const struct accel_llm *llm;
    int8_t *codes; /* NULL: activations stay as they are */
};

static int watch_inputs(void *user, const struct linear *l, float *x, size_t stride, size_t n)
{
    struct watch *w = user;
    for (size_t i = 0; i < n && w->codes; i++) {
        float *v = x + i * stride, scale = accel_quantize_activations(v, l->cols, w->codes);
        for (size_t c = 0; c < l->cols; c++)
            v[c] = scale * (float)w->codes[c];
    }
    if (l != w->stop)
        return ACCEL_OK;
    memcpy(w->stream, w->llm->x, n * w->llm->model->info.embd * sizeof *x);
    for (size_t i = 0; i < n; i++)
        memcpy(w->out + i * w->stride, x + i * stride, l->cols * sizeof *x);
    return STOP;
}

static struct linear *linear_of(struct accel_llm *llm, uint32_t layer, enum calib_stage stage)
{
    if (layer == llm->model->info.layers)
        return &llm->head;
    struct llama_layer *l = &llm->layers[layer];
    switch (stage) {
    case CALIB_QKV: return &l->qkv;
    case CALIB_ATTN_OUTPUT: return &l->attn_output;
    case CALIB_GATE_UP: return &l->gate_up;
    default: return &l->down;
    }
}

/* Run one layer over one sequence, until `stop` has been seen (NULL: to its end, and keep what comes out). */
static int run_sequence(struct calib *c, unsigned which, uint32_t layer, size_t first,
                        const struct linear *stop, struct accel_error *err)
{
    struct accel_llm *llm = which ? c->quantized : c->as_is;
    size_t embd = c->model->info.embd;
    struct watch w = {
        .stop = stop, .stride = c->stride, .codes = which ? llm->q : NULL, .llm = llm
    };
    int rc = ACCEL_OK;
    llm->tap = watch_inputs;
    llm->tap_user = &w;
    for (size_t pos = 0; pos < c->sequence && !rc;) {
        size_t n = c->sequence - pos < llm->info.batch ? c->sequence - pos : llm->info.batch;
        float *state = c->state[which] + (first + pos) * embd;
        memcpy(llm->x, state, n * embd * sizeof *state);
        w.out = c->seen[which] + pos * c->stride;
        w.stream = c->stream[which] + pos * embd;
        rc = layer == c->model->info.layers ? llama_run_head(llm, n, n, NULL, err)
                                            : llama_run_layer(llm, layer, n, pos, err);
        if (stop && rc == STOP)
            rc = ACCEL_OK;
        else if (!rc)
            memcpy(state, llm->x, n * embd * sizeof *state);
        pos += n;
    }
    llm->tap = NULL;
    return rc;
}

/* sums[i][j] += a[t][i] * b[t][j] over n tokens */
static void add_products(float *sums, const float *a, size_t a_stride, size_t rows, const float *b,
                         size_t b_stride, size_t cols, size_t n)
{
    enum { AT_ONCE = 8 };
    for (size_t t = 0; t < n; t += AT_ONCE) {
        size_t many = n - t < AT_ONCE ? n - t : AT_ONCE;
        for (size_t i = 0; i < rows; i++) {
            float *to = sums + i * cols;
            for (size_t k = 0; k < many; k++) {
                float f = a[(t + k) * a_stride + i];
                const float *from = b + (t + k) * b_stride;
                if (f != 0.0f)
                    for (size_t j = 0; j < cols; j++)
                        to[j] += f * from[j];
            }
        }
    }
}

bool calib_adds(enum calib_stage stage)
{
    return stage == CALIB_ATTN_OUTPUT || stage == CALIB_DOWN;
}

int calib_collect(struct calib *c, uint32_t layer, enum calib_stage stage, uint32_t cols,
                  float *hessian, float *cross, float *missing, struct accel_error *err)
{
    size_t embd = c->model->info.embd, n = c->sequence, stride = c->stride;
    const float *as_was = c->seen[0], *as_is = c->seen[1];
    int rc = ACCEL_OK;
    memset(hessian, 0, (size_t)cols * cols * sizeof *hessian);
    memset(cross, 0, (size_t)cols * cols * sizeof *cross);
    if (calib_adds(stage))
        memset(missing, 0, embd * cols * sizeof *missing);
    for (size_t first = 0; first < c->tokens && !rc; first += n) {
        rc = run_sequence(c, 0, layer, first, linear_of(c->as_is, layer, stage), err);
        if (!rc)
            rc = run_sequence(c, 1, layer, first, linear_of(c->quantized, layer, stage), err);
        if (rc)
            break;
        add_products(hessian, as_is, stride, cols, as_is, stride, cols, n);
        add_products(cross, as_was, stride, cols, as_is, stride, cols, n);
        for (size_t i = 0; i < n * embd; i++)
            c->stream[0][i] -= c->stream[1][i];
        if (calib_adds(stage))
            add_products(missing, c->stream[0], embd, embd, as_is, stride, cols, n);
    }
    return rc;
}

int calib_inputs(struct calib *c, uint32_t layer, enum calib_stage stage, uint32_t cols,
                 float *mean, float *most, float *squares, struct accel_error *err)
{
    int rc = ACCEL_OK;
    memset(mean, 0, cols * sizeof *mean);
    memset(most, 0, cols * sizeof *most);
    memset(squares, 0, cols * sizeof *squares);
    for (size_t first = 0; first < c->tokens && !rc; first += c->sequence) {
        rc = run_sequence(c, 0, layer, first, linear_of(c->as_is, layer, stage), err);
        for (size_t t = 0; t < c->sequence && !rc; t++) {
            const float *x = c->seen[0] + t * c->stride;
            for (size_t i = 0; i < cols; i++) {
                float v = fabsf(x[i]);
                mean[i] += v / (float)c->tokens;
                most[i] = v > most[i] ? v : most[i];
                squares[i] += v * v;
            }
        }
    }
    return rc;
}

int calib_stream(struct calib *c, uint32_t layer, enum calib_stage stage, double *sums,
                 struct accel_error *err)
{
    size_t embd = c->model->info.embd;
    int rc = ACCEL_OK;
    for (size_t first = 0; first < c->tokens && !rc; first += c->sequence) {
        rc = run_sequence(c, 0, layer, first, linear_of(c->as_is, layer, stage), err);
        for (size_t t = 0; t < c->sequence && !rc; t++) {
            const float *x = c->stream[0] + t * embd;
            double square = 0.0;
            for (size_t i = 0; i < embd; i++)
                square += (double)x[i] * (double)x[i];
            for (size_t i = 0; i < embd && square > 0.0; i++) {
                double by = (double)x[i] * (double)embd / square;
                for (size_t k = 0; k < embd; k++)
                    sums[i * embd + k] += by * (double)x[k];
            }
        }
    }
    return rc;
}

float *calib_weights(struct calib *c, uint32_t layer, enum calib_stage stage)
{
    return linear_of(c->quantized, layer, stage)->real;
}

int calib_advance(struct calib *c, uint32_t layer, struct accel_error *err)
{
    int rc = ACCEL_OK;
    for (size_t first = 0; first < c->tokens && !rc; first += c->sequence) {
        rc = run_sequence(c, 0, layer, first, NULL, err);
        if (!rc && c->quantized)
            rc = run_sequence(c, 1, layer, first, NULL, err);
    }
    return rc;
}

/* ---- tokens ---- */

static int take_text(struct calib *c, const struct calib_options *o, struct accel_error *err)
{
    size_t count;
    int rc = accel_tokenize(c->model, o->text, o->len, &c->ids, &count, err);
    if (rc)
        return rc;
    if (count > o->tokens)
        count = o->tokens;
    if (count < c->sequence)
        c->sequence = (uint32_t)count;
    if (c->sequence < 16)
        return accel_fail(err, ACCEL_E_ARG,
                          "the calibration text has %zu tokens; give a longer one", count);
    c->tokens = count / c->sequence * c->sequence;
    for (size_t i = 0; i < c->tokens; i += c->sequence)
        c->ids[i] = c->model->info.bos;
    return ACCEL_OK;
}

/* The model goes on from BOS at temperature 1, in one sequence after the other. */
static int write_text(struct calib *c, const struct calib_options *o, struct accel_error *err)
{
    uint32_t vocab = c->model->info.vocab;
    struct accel_sampler sampler = { .temperature = 1.0f, .top_p = 1.0f };
    struct accel_candidate *scratch = calloc(vocab, sizeof *scratch);
    float *logits = calloc(vocab, sizeof *logits);
    size_t count = o->tokens / c->sequence * c->sequence;
    int rc = ACCEL_OK;
    if (count == 0)
        count = c->sequence;
    c->ids = calloc(count, sizeof *c->ids);
    if (!scratch || !logits || !c->ids) {
        rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory: %zu calibration tokens", count);
        goto out;
    }
    accel_sampler_seed(&sampler, o->seed);
    for (size_t i = 0; i < count && !rc; i++) {
        if (i % c->sequence == 0) {
            accel_llm_rewind(c->as_is, 0);
            c->ids[i] = c->model->info.bos;
            continue;
        }
        rc = accel_llm_eval(c->as_is, c->ids + i - 1, 1, 1, logits, err);
        if (!rc)
            c->ids[i] = accel_sample(&sampler, logits, vocab, scratch);
        if (!rc && i % 32 == 0 && o->progress && o->progress(o->user, i, count))
            rc = accel_fail(err, ACCEL_E_CANCELLED,
                            "stopped while the model wrote its calibration text");
    }
    c->tokens = count;
out:
    free(scratch);
    free(logits);
    return rc;
}

uint64_t calib_tokens(const struct calib *c)
{
    return c->tokens;
}

/* ---- opening and closing ---- */

static int embed_all(struct calib *c, struct accel_error *err)
{
    size_t embd = c->model->info.embd;
    int rc = ACCEL_OK;
    for (size_t i = 0; i < c->tokens && !rc;) {
        size_t n = c->tokens - i < c->as_is->info.batch ? c->tokens - i : c->as_is->info.batch;
        rc = llama_embed(c->as_is, c->ids + i, n, err);
        memcpy(c->state[0] + i * embd, c->as_is->x, n * embd * sizeof(float));
        i += n;
    }
    if (c->quantized)
        memcpy(c->state[1], c->state[0], c->tokens * embd * sizeof(float));
    return rc;
}

int calib_new(const struct accel_model *model, const struct calib_options *o, struct calib **out,
              struct accel_error *err)
{
    struct llama_how how = { .float_math = true };
    struct calib *c = calloc(1, sizeof *c);
    if (!c)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for calibration");
    c->model = model;
    c->sequence = model->info.context < SEQUENCE ? model->info.context : SEQUENCE;
    struct accel_llm_options lo = { .context = c->sequence };
    int rc = accel_open("cpu:", NULL, &c->dev, err);
    if (!rc)
        rc = llama_open(model, c->dev, &lo, &how, &c->as_is, err);
    if (!rc && !o->as_is)
        rc = llama_open(model, c->dev, &lo, &how, &c->quantized, err);
    if (!rc)
        rc = o->text ? take_text(c, o, err) : write_text(c, o, err);
    if (rc)
        goto out;
    c->stride = c->as_is->q_stride;
    for (unsigned i = 0; i < (c->quantized ? 2u : 1u); i++) {
        c->state[i] = new_array(c->tokens, model->info.embd, 1, sizeof *c->state[i]);
        c->seen[i] = new_array(c->sequence, c->stride, 1, sizeof *c->seen[i]);
        c->stream[i] = new_array(c->sequence, model->info.embd, 1, sizeof *c->stream[i]);
        if (!c->state[i] || !c->seen[i] || !c->stream[i]) {
            rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory for %zu calibration tokens",
                            c->tokens);
            goto out;
        }
    }
    rc = embed_all(c, err);
    if (rc)
        goto out;
    *out = c;
out:
    if (rc)
        calib_free(c);
    return rc;
}

void calib_free(struct calib *c)
{
    if (!c)
        return;
    accel_llm_free(c->as_is);
    accel_llm_free(c->quantized);
    accel_close(c->dev);
    for (unsigned i = 0; i < 2; i++) {
        free(c->state[i]);
        free(c->seen[i]);
        free(c->stream[i]);
    }
    free(c->ids);
    free(c);
}
