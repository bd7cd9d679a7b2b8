/* fold.c - a scale for each channel between two layers, so that the second one's matrices lose less in low bits.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Inputs divided by s and the columns that they meet multiplied by s give what they gave before. The division goes
 * into what makes the inputs: a norm's weights, or the rows of v and up. AWQ (arXiv 2306.00978) takes s = mean|x|^a
 * with the a of least output error after rounding; SmoothQuant (arXiv 2211.10438) s = max|x|^a / max|w|^(1-a). */
#include "accel_quant.h"

#include "calib.h"
#include "file.h"
#include "ggml_blocks.h"
#include "ggml_types.h"
#include "internal.h"
#include "quant.h"
#include "rotate.h"
#include "writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS = 20, AT_ONCE = 1 << 20 };
#define LEAST 1e-5f /* of a magnitude; an s would leave float32 below */

struct fold {
    const struct accel_fold_options *o;
    struct accel_model *model;
    struct calib *calib;
    size_t count; /* of tensors */
    float **row;  /* [count] factor of each row, or NULL */
    float **col;  /* [count] of each column */
    uint32_t done, total;
};

/* The matrices that read one stage's inputs, and what makes those. */
struct stage {
    const struct gguf_tensor *matrix[3], *source;
    float *w[3];                                /* as they are folded so far */
    float *mean, *most, *squares, *largest, *s; /* [cols]; largest |w| */
    enum calib_stage at;
    uint32_t count, cols, type;
    uint32_t first, rows; /* of source; rows 0: it is a norm */
    uint32_t repeat,
        head; /* source's heads of `head` rows each serve `repeat` heads of inputs; 0: one to one */
};

static float *floats(size_t a, size_t b, struct accel_error *err)
{
    float *p = new_array(a, b, 1, sizeof *p);
    if (!p)
        accel_fail(err, ACCEL_E_NOMEM, "out of memory: %zu x %zu floats", a, b);
    return p;
}

static int factors(float **at, size_t n, struct accel_error *err)
{
    if (*at)
        return ACCEL_OK;
    *at = floats(n, 1, err);
    for (size_t i = 0; *at && i < n; i++)
        (*at)[i] = 1.0f;
    return *at ? ACCEL_OK : ACCEL_E_NOMEM;
}

/* Rows as floats, with what is folded into them so far. */
static int folded_rows(const struct fold *f, size_t i, uint64_t first, uint64_t n, float *w,
                       struct accel_error *err)
{
    const struct gguf_tensor *t = gguf_tensor_at(f->model->file, i);
    struct accel_quantize_tensor info = { 0 };
    size_t cols = (size_t)t->ne[0];
    int rc = quant_read_rows(t, first, n, w, &info, err);
    for (size_t r = 0; r < n && !rc; r++) {
        float *to = w + r * cols, by = f->row[i] ? f->row[i][first + r] : 1.0f;
        for (size_t c = 0; c < cols; c++)
            to[c] *= by * (f->col[i] ? f->col[i][c] : 1.0f);
    }
    return rc;
}

/* What two heads of inputs share is one channel of the source. */
static void share(const struct stage *g, float *v, bool sum)
{
    if (g->repeat < 2)
        return;
    for (size_t from = 0; from < g->cols; from += (size_t)g->repeat * g->head) {
        for (size_t d = 0; d < g->head; d++) {
            float all = 0.0f;
            for (size_t h = 0; h < g->repeat; h++) {
                float x = v[from + h * g->head + d];
                all = sum ? all + x / (float)g->repeat : x > all ? x : all;
            }
            for (size_t h = 0; h < g->repeat; h++)
                v[from + h * g->head + d] = all;
        }
    }
}

static void choose(const struct stage *g, const struct accel_fold_options *o, double alpha)
{
    float low = INFINITY, high = 0.0f;
    for (size_t c = 0; c < g->cols; c++) {
        float x = o->smoothquant ? g->most[c] : g->mean[c], w = g->largest[c];
        if (x < LEAST || (o->smoothquant && w < LEAST)) {
            g->s[c] = 0.0f;
            continue;
        }
        g->s[c] = powf(x, (float)alpha) / (o->smoothquant ? powf(w, 1.0f - (float)alpha) : 1.0f);
        low = g->s[c] < low ? g->s[c] : low;
        high = g->s[c] > high ? g->s[c] : high;
    }
    /* around one, so that neither side's magnitude drifts; a channel without inputs stays as it is */
    for (size_t c = 0; c < g->cols; c++)
        g->s[c] = g->s[c] > 0.0f ? g->s[c] / sqrtf(low * high) : 1.0f;
}

/* Squared error of the outputs if the stage's matrices, times s, are rounded to their type. */
static int loss(const struct stage *g, unsigned threads, double *error, struct accel_error *err)
{
    float *diag = floats(g->cols, 1, err), *scaled = NULL;
    int rc = diag ? ACCEL_OK : ACCEL_E_NOMEM;
    *error = 0.0;
    for (size_t c = 0; c < g->cols && !rc; c++)
        diag[c] = g->squares[c] / (g->s[c] * g->s[c]);
    for (unsigned i = 0; i < g->count && !rc; i++) {
        struct quant_stats stats = { .diag = diag };
        struct quant_tensor q = { 0 };
        size_t rows = (size_t)g->matrix[i]->ne[1], cols = g->cols;
        scaled = floats(rows, cols, err);
        if (!scaled) {
            rc = ACCEL_E_NOMEM;
            break;
        }
        for (size_t k = 0; k < rows * cols; k++)
            scaled[k] = g->w[i][k] * g->s[k % cols];
        rc = quant_matrix(g->type, QUANT_RTN, (uint32_t)rows, (uint32_t)cols, scaled, &stats,
                          threads, &q, err);
        *error += q.error;
        quant_tensor_free(&q);
        free(scaled);
    }
    free(diag);
    return rc;
}

static int read_stage(const struct fold *f, struct stage *g, struct accel_error *err)
{
    int rc = ACCEL_OK;
    float **vectors[] = { &g->mean, &g->most, &g->squares, &g->largest, &g->s };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors && !rc; i++) {
        *vectors[i] = floats(g->cols, 1, err);
        rc = *vectors[i] ? ACCEL_OK : ACCEL_E_NOMEM;
    }
    for (unsigned i = 0; i < g->count && !rc; i++) {
        size_t rows = (size_t)g->matrix[i]->ne[1];
        g->w[i] = floats(rows, g->cols, err);
        rc = g->w[i] ? folded_rows(f, quant_tensor_index(f->model->file, g->matrix[i]), 0, rows,
                                   g->w[i], err)
                     : ACCEL_E_NOMEM;
        for (size_t k = 0; k < rows * g->cols && !rc; k++) {
            float v = fabsf(g->w[i][k]), *most = &g->largest[k % g->cols];
            *most = v > *most ? v : *most;
        }
    }
    return rc;
}

static void free_stage(struct stage *g)
{
    for (unsigned i = 0; i < g->count; i++)
        free(g->w[i]);
    free(g->mean);
    free(g->most);
    free(g->squares);
    free(g->largest);
    free(g->s);
}

static int apply(const struct fold *f, const struct stage *g, struct accel_error *err)
{
    size_t source = quant_tensor_index(f->model->file, g->source);
    int rc = g->rows ? factors(&f->row[source], (size_t)g->source->ne[1], err)
                     : factors(&f->col[source], (size_t)g->source->ne[0], err);
    for (unsigned i = 0; i < g->count && !rc; i++) {
        size_t to = quant_tensor_index(f->model->file, g->matrix[i]);
        rc = factors(&f->col[to], g->cols, err);
        for (size_t c = 0; c < g->cols && !rc; c++)
            f->col[to][c] *= g->s[c];
    }
    for (size_t r = 0; r < (g->rows ? g->rows : g->cols) && !rc; r++) {
        size_t c = g->head ? r / g->head * g->head * g->repeat + r % g->head : r;
        if (g->rows)
            f->row[source][g->first + r] /= g->s[c];
        else
            f->col[source][c] /= g->s[c];
    }
    return rc;
}

static int fold_stage(struct fold *f, uint32_t layer, struct stage *g, struct accel_error *err)
{
    struct accel_fold_stage shown = { .layer = layer,
                                      .alpha = f->o->smoothquant ? f->o->alpha : 0.0 };
    char name[QUANT_NAME_SHOWN + 1] = { 0 };
    double error, best = 0.0;
    unsigned threads = quant_threads(f->o->threads);
    uint64_t bytes;
    int rc;
    g->cols = (uint32_t)g->matrix[0]->ne[0];
    memcpy(name, g->matrix[0]->name.data, (size_t)quant_name_length(g->matrix[0]));
    rc = quant_choose_type(f->o->type, f->o->bits, g->cols, &g->type, err);
    if (!rc && !ggml_row_bytes(g->type, g->cols, &bytes))
        return ACCEL_OK; /* these stay floats */
    if (!rc)
        rc = read_stage(f, g, err);
    if (!rc)
        rc = calib_inputs(f->calib, layer, g->at, g->cols, g->mean, g->most, g->squares, err);
    if (rc)
        goto out;
    share(g, g->mean, true);
    share(g, g->most, false);
    share(g, g->largest, false);
    for (size_t c = 0; c < g->cols; c++)
        g->s[c] = 1.0f;
    rc = loss(g, threads, &shown.before, err);
    shown.after = best = shown.before;
    for (unsigned i = 1; i <= TRIALS && !rc && !f->o->smoothquant; i++) {
        choose(g, f->o, (double)i / TRIALS);
        rc = loss(g, threads, &error, err);
        if (!rc && error < best) {
            best = error;
            shown.alpha = (double)i / TRIALS;
        }
    }
    if (rc)
        goto out;
    shown.after = best;
    if (shown.alpha > 0.0 || f->o->smoothquant) {
        choose(g, f->o, shown.alpha);
        if (f->o->smoothquant)
            rc = loss(g, threads, &shown.after, err);
        if (!rc)
            rc = apply(f, g, err);
    }
    shown.name = name;
    shown.done = ++f->done;
    shown.total = f->total;
    if (!rc && f->o->report && f->o->report(f->o->user, &shown))
        rc = accel_fail(err, ACCEL_E_CANCELLED, "stopped");
out:
    free_stage(g);
    return rc;
}

/* What makes a stage's inputs is folded before it is itself looked at as a matrix that reads others. */
static int fold_layer(struct fold *f, uint32_t i, struct accel_error *err)
{
    const struct accel_model_info *m = &f->model->info;
    const struct model_layer *l = &f->model->layers[i];
    uint32_t kv = m->kv_heads * m->head_dim;
    struct stage stages[] = {
        { .at = CALIB_ATTN_OUTPUT,
          .matrix = { l->attn_output },
          .count = 1,
          .source = l->qkv ? l->qkv : l->v,
          .first = l->qkv ? m->heads * m->head_dim + kv : 0,
          .rows = kv,
          .repeat = m->heads / m->kv_heads,
          .head = m->head_dim },
        { .at = CALIB_QKV,
          .matrix = { l->qkv ? l->qkv : l->q, l->k, l->v },
          .count = l->qkv ? 1 : 3,
          .source = l->attn_norm },
        { .at = CALIB_DOWN,
          .matrix = { l->down },
          .count = 1,
          .source = l->up,
          .rows = (uint32_t)l->up->ne[1] },
        { .at = CALIB_GATE_UP, .matrix = { l->gate, l->up }, .count = 2, .source = l->ffn_norm },
    };
    int rc = ACCEL_OK;
    for (size_t k = 0; k < sizeof stages / sizeof *stages && !rc; k++)
        rc = fold_stage(f, i, &stages[k], err);
    return rc ? rc : calib_advance(f->calib, i, err);
}

/* ---- the file ---- */

static int write_tensor(const struct fold *f, size_t i, struct gguf_writing *out,
                        struct accel_error *err)
{
    const struct gguf_tensor *t = gguf_tensor_at(f->model->file, i);
    uint64_t rows = t->ne[1], at_once = AT_ONCE / t->ne[0] + 1;
    int rc = ACCEL_OK;
    if (!f->row[i] && !f->col[i])
        return gguf_write_data(out, t->data, t->size, err);
    float *w = floats((size_t)t->ne[0], (size_t)at_once, err);
    if (!w)
        return ACCEL_E_NOMEM;
    for (uint64_t r = 0; r < rows && !rc; r += at_once) {
        uint64_t n = rows - r < at_once ? rows - r : at_once;
        rc = folded_rows(f, i, r, n, w, err);
        if (!rc)
            rc = gguf_write_data(out, w, (size_t)(n * t->ne[0]) * sizeof *w, err);
    }
    free(w);
    return rc;
}

static int write_file(const struct fold *f, const char *path, struct accel_error *err)
{
    struct gguf_new_tensor *tensors = calloc(f->count + 1, sizeof *tensors);
    struct gguf_writing *out = NULL;
    int rc = tensors ? ACCEL_OK
                     : accel_fail(err, ACCEL_E_NOMEM, "out of memory: %zu tensors", f->count);
    for (size_t i = 0; i < f->count && !rc; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(f->model->file, i);
        bool changed = f->row[i] || f->col[i];
        tensors[i] = (struct gguf_new_tensor){ .name = t->name,
                                               .n_dims = t->n_dims,
                                               .type = changed ? (uint32_t)GGML_F32 : t->type,
                                               .size = changed ? t->ne[0] * t->ne[1] * sizeof(float)
                                                               : t->size };
        memcpy(tensors[i].ne, t->ne, sizeof t->ne);
    }
    if (!rc)
        rc = gguf_write_begin(path, f->model->file, NULL, 0, tensors, f->count, &out, err);
    for (size_t i = 0; i < f->count && !rc; i++)
        rc = write_tensor(f, i, out, err);
    if (!rc)
        rc = gguf_write_finish(out, err);
    gguf_write_close(out);
    free(tensors);
    return rc;
}

/* A model of float matrices. */
static int open_floats(const char *in, struct accel_model **model, struct accel_error *err)
{
    int rc = accel_model_open(in, model, err);
    for (size_t i = 0; !rc && i < gguf_tensor_count((*model)->file); i++) {
        const struct gguf_tensor *t = gguf_tensor_at((*model)->file, i);
        if (t->n_dims > 1 && !quant_is_float(t->type))
            rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                            "tensor %.*s is quantized already; fold needs a float model",
                            quant_name_length(t), t->name.data);
    }
    return rc;
}

static int fold_columns(struct fold *f, const char *out, struct accel_error *err)
{
    f->count = gguf_tensor_count(f->model->file);
    f->row = calloc(f->count + 1, sizeof *f->row);
    f->col = calloc(f->count + 1, sizeof *f->col);
    f->total = 4 * f->model->info.layers;
    struct calib_options o = { .as_is = true,
                               .text = f->o->calibration,
                               .len = f->o->calibration_len,
                               .tokens = f->o->tokens ? f->o->tokens : QUANT_TOKENS,
                               .seed = f->o->seed };
    int rc = f->row && f->col
                 ? calib_new(f->model, &o, &f->calib, err)
                 : accel_fail(err, ACCEL_E_NOMEM, "out of memory: %zu tensors", f->count);
    for (uint32_t i = 0; i < f->model->info.layers && !rc; i++)
        rc = fold_layer(f, i, err);
    calib_free(f->calib);
    if (!rc)
        rc = write_file(f, out, err);
    for (size_t i = 0; i < f->count; i++) {
        if (f->row)
            free(f->row[i]);
        if (f->col)
            free(f->col[i]);
    }
    free(f->row);
    free(f->col);
    return rc;
}

int accel_fold(const char *in, const char *out, const struct accel_fold_options *options,
               struct accel_error *err)
{
    static const struct accel_fold_options defaults = { .self_calibrate = 1 };
    struct fold f = { .o = options ? options : &defaults };
    accel_no_error(err);
    if (!in || !out)
        return accel_fail(err, ACCEL_E_ARG, "accel_fold needs the names of two files");
    if ((unsigned)f.o->rotate > ACCEL_ROTATE_RESQ)
        return accel_fail(err, ACCEL_E_ARG, "there is no rotation %u", (unsigned)f.o->rotate);
    bool reads = f.o->rotate != ACCEL_ROTATE_HADAMARD;
    if (reads && !f.o->calibration && !f.o->self_calibrate)
        return accel_fail(err, ACCEL_E_ARG,
                          "accel_fold needs a calibration text, or self_calibrate");
    if (!f.o->rotate && !(f.o->alpha >= 0.0 && f.o->alpha <= 1.0))
        return accel_fail(err, ACCEL_E_ARG, "alpha %g; use 0 to 1", f.o->alpha);
    int rc = f.o->rotate ? ACCEL_OK : quant_check_type(f.o->type, f.o->bits, err);
    if (!rc)
        rc = open_floats(in, &f.model, err);
    if (!rc)
        rc = f.o->rotate ? fold_rotate(f.model, out, f.o, err) : fold_columns(&f, out, err);
    accel_model_free(f.model);
    return rc;
}
