/* compare_work.c - where accel compare's weights and activations come from.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The one place of the command that looks inside the library: a backend in front of cpu:'s own sees
 * the activations of every job of a forward pass. */
#include "compare.h"

#include "ggml_blocks.h"
#include "internal.h"
#include "llama.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(void)
{
    struct accel_error err = { .status = ACCEL_E_NOMEM };
    return report_error(&err);
}

void workload_free(struct workload *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        for (int p = 0; p < PRUNES; p++)
            free(w->layer[i].w[p]);
        free(w->layer[i].x);
    }
    w->count = 0;
}

/* A layer with room for its values, at the end of the workload; NULL: no memory. */
static struct compare_layer *add_layer(struct workload *w, const char *name, uint32_t rows,
                                       uint32_t cols, uint32_t n)
{
    struct compare_layer *l = &w->layer[w->count++];
    *l = (struct compare_layer){ .rows = rows, .cols = cols, .n = n };
    snprintf(l->name, sizeof l->name, "%s", name);
    l->x = calloc((size_t)n * cols, sizeof *l->x);
    bool ok = l->x != NULL;
    for (int p = 0; p < PRUNES; p++)
        ok = (l->w[p] = calloc((size_t)rows * cols, sizeof **l->w)) && ok;
    return ok ? l : NULL;
}

/* ---- pruning ---- */

struct ranked {
    float magnitude;
    uint32_t order, at;
};

static int by_magnitude(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->magnitude != y->magnitude)
        return x->magnitude < y->magnitude ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* The smaller half of the matrix, and the smaller two of every four columns, become zero. Among
 * equals (a ternary matrix has no others) chance decides, or zeros would fill its first rows. */
static int prune(struct compare_layer *l)
{
    size_t size = (size_t)l->rows * l->cols;
    struct ranked *r = malloc(size * sizeof *r);
    if (!r)
        return no_memory();
    for (size_t i = 0; i < size; i++) {
        float v = l->w[PRUNE_NONE][i];
        uint32_t h = (uint32_t)i * 0x9e3779b1u;
        h = (h ^ (h >> 15)) * 0x85ebca77u;
        r[i] = (struct ranked){ v < 0 ? -v : v, h ^ (h >> 13), (uint32_t)i };
        l->w[PRUNE_HALF][i] = l->w[PRUNE_2_OF_4][i] = v;
    }
    for (uint32_t m = 0; m < l->rows; m++)
        for (uint32_t c = 0; c + 4 <= l->cols; c += 4) {
            struct ranked four[4];
            memcpy(four, r + (size_t)m * l->cols + c, sizeof four);
            qsort(four, 4, sizeof *four, by_magnitude);
            l->w[PRUNE_2_OF_4][four[0].at] = l->w[PRUNE_2_OF_4][four[1].at] = 0;
        }
    qsort(r, size, sizeof *r, by_magnitude);
    for (size_t i = 0; i < size / 2; i++)
        l->w[PRUNE_HALF][r[i].at] = 0;
    free(r);
    return EXIT_OK;
}

void workload_cut(struct workload *w, uint32_t rows, uint32_t cols, uint32_t n)
{
    struct compare_layer *l = &w->layer[0];
    rows = rows < l->rows ? rows : l->rows;
    cols = cols < l->cols ? cols : l->cols;
    n = n < l->n ? n : l->n;
    for (int p = 0; p < PRUNES; p++)
        for (uint32_t m = 0; m < rows; m++)
            memmove(l->w[p] + (size_t)m * cols, l->w[p] + (size_t)m * l->cols,
                    cols * sizeof **l->w);
    for (uint32_t i = 0; i < n; i++)
        memmove(l->x + (size_t)i * cols, l->x + (size_t)i * l->cols, cols);
    l->rows = rows;
    l->cols = cols;
    l->n = n;
    for (; w->count > 1; w->count--) {
        struct compare_layer *last = &w->layer[w->count - 1];
        for (int p = 0; p < PRUNES; p++)
            free(last->w[p]);
        free(last->x);
    }
}

/* ---- a model's forward pass ---- */

struct tap {
    const struct accel_weights *weights;
    struct compare_layer *layer;
    bool seen;
};

struct recorder {
    struct accel_backend backend; /* first: dev->backend points here */
    const struct accel_backend *real;
    struct tap tap[2];
};

/* Keep the last columns of a tapped job: the first token of a text is like no other. */
static int record_run(struct accel_dev *dev, const struct backend_job *job,
                      struct accel_stats *stats, struct accel_error *err)
{
    struct recorder *r = (struct recorder *)dev->backend;
    for (int t = 0; t < 2; t++) {
        struct compare_layer *l = r->tap[t].layer;
        if (job->weights != r->tap[t].weights || r->tap[t].seen || job->n < l->n)
            continue;
        for (uint32_t i = 0; i < l->n; i++)
            memcpy(l->x + (size_t)i * l->cols, job->x + (job->n - l->n + i) * job->x_stride,
                   l->cols);
        r->tap[t].seen = true;
    }
    return r->real->run(dev, job, stats, err);
}

static int take_weights(const struct gguf_tensor *t, struct compare_layer *l)
{
    size_t row_bytes = t->size / t->ne[1];
    float *row = malloc(t->ne[0] * sizeof *row);
    int rc = row ? ACCEL_OK : ACCEL_E_NOMEM;
    for (uint32_t m = 0; m < l->rows && !rc; m++) {
        rc = ggml_dequantize_row(t->type, (const uint8_t *)t->data + m * row_bytes, row,
                                 (size_t)t->ne[0]);
        if (!rc)
            memcpy(l->w[PRUNE_NONE] + (size_t)m * l->cols, row, l->cols * sizeof *row);
    }
    free(row);
    return rc;
}

static int run_text(accel_llm *llm, accel_dev *dev, const accel_model *model, const char *text,
                    struct workload *w, struct accel_error *err)
{
    struct recorder r = { .backend = *dev->backend, .real = dev->backend };
    uint32_t *ids = NULL;
    size_t count = 0;
    int rc = accel_tokenize(model, text, strlen(text), &ids, &count, err);
    if (rc)
        return rc;
    const struct llama_layer *l = &llm->layers[model->info.layers / 2];
    r.backend.run = record_run;
    r.tap[0] = (struct tap){ .weights = l->gate_up.w[0], .layer = &w->layer[0] };
    r.tap[1] = (struct tap){ .weights = l->down.w[0], .layer = &w->layer[1] };
    dev->backend = &r.backend;
    rc = accel_llm_eval(llm, ids, count, 0, NULL, err);
    dev->backend = r.real;
    free(ids);
    if (!rc && (!r.tap[0].seen || !r.tap[1].seen))
        return accel_fail(err, ACCEL_E_ARG,
                          "the text has %zu tokens, but %d in one batch are needed: change -p",
                          count, COMPARE_N);
    return rc;
}

int workload_from_model(const char *path, const char *text, uint32_t group, struct workload *w)
{
    struct accel_error err = { 0 };
    accel_model *model = NULL;
    accel_dev *dev = NULL;
    accel_llm *llm = NULL;
    *w = (struct workload){ .name = "llm", .source = path, .group = group };
    if ((err.status = accel_model_open(path, &model, &err)) ||
        (err.status = accel_open("cpu:", NULL, &dev, &err)) ||
        (err.status = accel_llm_open(model, dev, NULL, &llm, &err)))
        goto out;
    const struct model_layer *from = &model->layers[model->info.layers / 2];
    const struct gguf_tensor *tensor[2] = { from->gate, from->down };
    static const char *const name[2] = { "feed-forward gate", "feed-forward down" };
    for (int i = 0; i < 2; i++) {
        uint64_t rows = tensor[i]->ne[1], cols = tensor[i]->ne[0];
        struct compare_layer *l = add_layer(
            w, name[i], rows < COMPARE_ROWS ? (uint32_t)rows : COMPARE_ROWS,
            cols < COMPARE_COLS ? (uint32_t)cols : COMPARE_COLS, COMPARE_N);
        err.status = l ? take_weights(tensor[i], l) : ACCEL_E_NOMEM;
        if (err.status || (err.status = prune(l) ? ACCEL_E_NOMEM : ACCEL_OK))
            goto out;
    }
    err.status = run_text(llm, dev, model, text, w, &err);
out:
    accel_llm_free(llm);
    accel_close(dev);
    accel_model_free(model);
    if (!err.status)
        return EXIT_OK;
    workload_free(w);
    return report_error(&err);
}

/* ---- recorded layers ---- */

static int bad_file(const char *path, const char *what)
{
    struct accel_error err = { 0 };
    accel_fail(&err, ACCEL_E_CORRUPT, "%s: %s", path, what);
    return report_error(&err);
}

/* One layer of the file from *at on: a line "layer NAME ROWS COLS N", float scales of the rows, int8
 * weights, int8 activations. */
static int read_layer(const char *path, const char *text, size_t len, size_t *at,
                      struct workload *w)
{
    char name[32];
    unsigned rows, cols, n;
    const char *end = memchr(text + *at, '\n', len - *at);
    if (!end || sscanf(text + *at, "layer %31s %4u %4u %4u", name, &rows, &cols, &n) != 4)
        return bad_file(path, "expected a line \"layer NAME ROWS COLS N\"");
    if (rows < 1 || cols < 4 || n < 1 || rows > COMPARE_ROWS || cols > COMPARE_COLS ||
        n > COMPARE_N)
        return bad_file(path, "a layer has at most 256 rows, 768 columns and 16 activations");
    if (w->count == COMPARE_LAYERS)
        return bad_file(path, "more than 8 layers");
    *at = (size_t)(end - text) + 1;
    size_t scales = rows * sizeof(float), weights = (size_t)rows * cols, acts = (size_t)n * cols;
    if (len - *at < scales + weights + acts)
        return bad_file(path, "the last layer is cut off");
    struct compare_layer *l = add_layer(w, name, rows, cols, n);
    if (!l)
        return no_memory();
    for (unsigned m = 0; m < rows; m++) {
        float scale;
        memcpy(&scale, text + *at + m * sizeof scale, sizeof scale);
        if (!(scale > 0 && scale < 1e6F))
            return bad_file(path, "a scale is not between 0 and 10^6");
        for (unsigned c = 0; c < cols; c++)
            l->w[PRUNE_NONE][(size_t)m * cols + c] =
                scale * (float)(int8_t)text[*at + scales + (size_t)m * cols + c];
    }
    memcpy(l->x, text + *at + scales + weights, acts);
    *at += scales + weights + acts;
    return prune(l);
}

int workload_from_file(const char *path, struct workload *w)
{
    char *text;
    size_t len, at = 0;
    *w = (struct workload){ .name = "cnn", .source = path };
    int rc = read_file(path, &text, &len);
    if (rc)
        return rc;
    if (!len)
        rc = bad_file(path, "the file is empty");
    while (!rc && at < len)
        rc = read_layer(path, text, len, &at, w);
    free(text);
    if (rc)
        workload_free(w);
    return rc;
}
