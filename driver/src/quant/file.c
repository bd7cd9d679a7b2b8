/* file.c - a model's tensors from one GGUF file to another.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Without calibration the tensors are read, quantized and written a few rows at a time. With it the matrices are
 * quantized in the order in which the model uses them, and wait in memory until the file is written. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* madvise, sysconf */
#endif
#include "accel_quant.h"

#include "calib.h"
#include "file.h"
#include "ggml_blocks.h"
#include "ggml_types.h"
#include "internal.h"
#include "model.h"
#include "plan.h"
#include "quant.h"
#include "writer.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 22 }; /* weights at a time */
#define TINY 1e-37f       /* rows of nothing larger are as good as 0: their scales leave float32 */

struct conversion {
    const char *in;
    const struct accel_quantize_options *o;
    unsigned threads;
    struct accel_model *model;
    struct gguf_file *file; /* the model's */
    struct plan plan;
    size_t count;
    uint32_t *types;                    /* [count] of the new file */
    struct quant_tensor *tensor;        /* [count] calibrated ones, until they are written */
    struct accel_quantize_tensor *info; /* [count] names not set */
    uint64_t done, total;
    struct gguf_writing *out;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int quant_name_length(const struct gguf_tensor *t)
{
    return (int)(t->name.len < QUANT_NAME_SHOWN ? t->name.len : QUANT_NAME_SHOWN);
}

/* ---- which type ---- */

static const struct {
    const char *name;
    uint32_t type;
} ggml_names[] = {
    { "q4_0", GGML_Q4_0 },   { "q4_1", GGML_Q4_1 },   { "q5_0", GGML_Q5_0 },
    { "q5_1", GGML_Q5_1 },   { "q8_0", GGML_Q8_0 },   { "tq1_0", GGML_TQ1_0 },
    { "tq2_0", GGML_TQ2_0 }, { "mxfp4", GGML_MXFP4 }, { "f16", GGML_F16 },
    { "bf16", GGML_BF16 },   { "f32", GGML_F32 },
};

static const struct {
    const char *name;
    accel_format format;
} mx_names[] = {
    { "mxfp6e2m3", ACCEL_FLOAT(2, 3) },
    { "mxfp6e3m2", ACCEL_FLOAT(3, 2) },
    { "mxfp8", ACCEL_FLOAT(4, 3) },
    { "mxint8", ACCEL_INT(8) },
};

static int parse_type(const char *text, uint32_t *type, struct accel_error *err)
{
    struct plan_choice c;
    for (size_t i = 0; i < sizeof ggml_names / sizeof *ggml_names; i++) {
        if (strcmp(text, ggml_names[i].name) == 0) {
            *type = ggml_names[i].type;
            return ACCEL_OK;
        }
    }
    for (size_t i = 0; i < sizeof mx_names / sizeof *mx_names; i++) {
        if (strcmp(text, mx_names[i].name) == 0) {
            *type = quant_type_id(mx_names[i].format, 32, true);
            return ACCEL_OK;
        }
    }
    int rc = plan_parse_choice(text, 32, &c, err);
    if (rc)
        return rc;
    *type = plan_type(c);
    return *type ? ACCEL_OK : accel_fail(err, ACCEL_E_ARG, "\"%.40s\" cannot be stored", text);
}

/* The most bits of a code, and with those the smallest group, that keep a row of n weights within the budget. */
static uint32_t type_for_bits(double bits, uint64_t n)
{
    static const uint32_t groups[] = { 16, 32, 48, 64, 96, 128, 256, 0 };
    uint64_t bytes;
    for (unsigned b = 8; b >= 2; b--) {
        for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
            uint32_t type = quant_type_id(ACCEL_UINT(b), groups[g], false);
            if (quant_row_bytes(type, n, &bytes) && 8.0 * (double)bytes <= bits * (double)n)
                return type;
        }
    }
    return quant_type_id(ACCEL_TERNARY, 0, false);
}

bool quant_is_float(uint32_t type)
{
    return type == GGML_F32 || type == GGML_F16 || type == GGML_BF16;
}

static bool is_matrix(const struct gguf_tensor *t)
{
    return t->n_dims >= 2 && t->ne[1] > 1 && t->ne[2] == 1 && t->ne[3] == 1 &&
           t->ne[0] <= UINT32_MAX && t->ne[1] <= UINT32_MAX;
}

/* Rows that a type's blocks do not divide become F16, as llama.cpp does it. */
int quant_choose_type(const char *text, double bits, uint64_t n, uint32_t *type,
                      struct accel_error *err)
{
    uint64_t bytes;
    int rc = ACCEL_OK;
    if (text)
        rc = parse_type(text, type, err);
    else
        *type = type_for_bits(bits > 0 ? bits : 4.5, n);
    if (!rc && !ggml_row_bytes(*type, n, &bytes))
        *type = GGML_F16;
    return rc;
}

int quant_check_type(const char *text, double bits, struct accel_error *err)
{
    uint32_t type;
    if (bits != 0.0 && !(bits >= 1.5 && bits <= 9.0))
        return accel_fail(err, ACCEL_E_ARG, "%g bits a weight; use 1.5 to 9", bits);
    return text ? parse_type(text, &type, err) : ACCEL_OK;
}

unsigned quant_threads(unsigned wanted)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return wanted ? wanted : n < 1 ? 1 : (unsigned)n;
}

size_t quant_tensor_index(const struct gguf_file *file, const struct gguf_tensor *t)
{
    size_t i = 0;
    while (gguf_tensor_at(file, i) != t)
        i++;
    return i;
}

static int choose_type(const struct conversion *c, const struct gguf_tensor *t, uint32_t *type,
                       struct accel_error *err)
{
    bool head = t == c->model->token_embd || t == c->model->output;
    const char *text = head && c->o->head ? c->o->head : c->o->type;
    struct plan_choice planned = { 0 };
    uint64_t bytes;
    *type = t->type;
    if (!is_matrix(t) || !quant_is_float(t->type))
        return ACCEL_OK;
    plan_find(&c->plan, t->name.data, t->name.len, &planned);
    if (!planned.format)
        return quant_choose_type(text, c->o->bits, t->ne[0], type, err);
    *type = plan_type(planned);
    if (!ggml_row_bytes(*type, t->ne[0], &bytes))
        *type = GGML_F16;
    return ACCEL_OK;
}

/* ---- rows ---- */

int quant_read_rows(const struct gguf_tensor *t, uint64_t first, uint64_t n, float *w,
                    struct accel_quantize_tensor *info, struct accel_error *err)
{
    size_t row_bytes = t->size / (size_t)t->ne[1], cols = (size_t)t->ne[0];
    for (uint64_t r = first; r < first + n; r++, w += cols) {
        float most = 0.0f, part[8] = { 0 };
        if (ggml_dequantize_row(t->type, (const uint8_t *)t->data + r * row_bytes, w, cols))
            return accel_fail(err, ACCEL_E_NOMEM, "out of memory: a row of %zu weights", cols);
        uint32_t bad = 0;
        for (size_t c = 0; c < cols; c++) {
            float v = fabsf(w[c]);
            bad |= !(v <= FLT_MAX);
            part[c % 8] = v > part[c % 8] ? v : part[c % 8];
        }
        for (unsigned i = 0; i < 8; i++)
            most = part[i] > most ? part[i] : most;
        for (size_t c = 0; c < cols && bad; c++)
            if (!isfinite(w[c]))
                return accel_fail(
                    err, ACCEL_E_CORRUPT,
                    "tensor %.*s, row %llu, column %zu: the weight is not a finite number",
                    quant_name_length(t), t->name.data, (unsigned long long)r, c);
        info->zero_rows += most == 0.0f;
        info->tiny_rows += most > 0.0f && most <= TINY;
        for (size_t c = 0; c < cols && most <= TINY; c++)
            w[c] = 0.0f;
    }
    return ACCEL_OK;
}

static int report(struct conversion *c, const struct gguf_tensor *t,
                  struct accel_quantize_tensor *info, const char *doing, struct accel_error *err)
{
    char name[QUANT_NAME_SHOWN + 1] = { 0 }, from[QUANT_NAME], to[QUANT_NAME];
    struct accel_quantize_tensor shown = { .to = doing };
    if (!c->o->report)
        return ACCEL_OK;
    if (t && !doing) {
        struct quant_type own;
        uint32_t type = c->types[info - c->info];
        shown = *info;
        memcpy(name, t->name.data, (size_t)quant_name_length(t));
        shown.name = name;
        shown.from = quant_type_read(t->type, &own) ? quant_type_name(t->type, from)
                                                    : ggml_type_name(t->type);
        shown.to = quant_type_read(type, &own) ? quant_type_name(type, to) : ggml_type_name(type);
    }
    shown.done = c->done;
    shown.total = c->total;
    return c->o->report(c->o->user, &shown) ? accel_fail(err, ACCEL_E_CANCELLED, "stopped")
                                            : ACCEL_OK;
}

/* The pages of a tensor that is done are the system's again. */
static void forget(const struct gguf_tensor *t)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), mask = page - 1;
    uintptr_t from = ((uintptr_t)t->data + mask) & ~(uintptr_t)mask;
    uintptr_t to = ((uintptr_t)t->data + t->size) & ~(uintptr_t)mask;
    if (to > from)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

/* ---- without calibration ---- */

/* A piece of a tensor as floats, read while the one before it is quantized. */
struct piece {
    const struct gguf_tensor *tensor;
    struct accel_quantize_tensor *info;
    uint64_t first;
    uint32_t rows; /* 0: the tensor is at its end */
    float *w;
    int rc;
    struct accel_error err;
    pthread_t thread;
    bool threaded;
};

static void *read_piece(void *arg)
{
    struct piece *p = arg;
    p->rc = quant_read_rows(p->tensor, p->first, p->rows, p->w, p->info, &p->err);
    return NULL;
}

/* What comes from row first on, at most `most` rows. */
static void start_piece(struct piece *p, uint64_t first, uint64_t most)
{
    uint64_t left = p->tensor->ne[1] - first;
    p->first = first;
    p->rows = (uint32_t)(left < most ? left : most);
    p->rc = ACCEL_OK;
    p->threaded = p->rows && pthread_create(&p->thread, NULL, read_piece, p) == 0;
    if (p->rows && !p->threaded)
        read_piece(p);
}

static void end_piece(struct piece *p)
{
    if (p->threaded)
        pthread_join(p->thread, NULL);
    p->threaded = false;
}

static int quantize_piece(struct conversion *c, size_t i, const struct piece *p, double *error,
                          double *norm, struct accel_error *err)
{
    const struct gguf_tensor *t = p->tensor;
    struct accel_error why = { 0 };
    struct quant_tensor q = { 0 };
    int rc = quant_matrix(c->types[i], QUANT_RTN, p->rows, (uint32_t)t->ne[0], p->w, NULL,
                          c->threads, &q, &why);
    if (rc)
        return accel_fail(err, rc, "tensor %.*s: %.120s", quant_name_length(t), t->name.data,
                          why.text);
    *error += q.error;
    *norm += q.norm;
    rc = gguf_write_data(c->out, q.data, q.size, err);
    quant_tensor_free(&q);
    return rc;
}

static int stream_tensor(struct conversion *c, size_t i, struct accel_error *err)
{
    const struct gguf_tensor *t = gguf_tensor_at(c->file, i);
    struct accel_quantize_tensor *info = &c->info[i];
    struct piece pieces[2] = { { .tensor = t, .info = info }, { .tensor = t, .info = info } };
    uint64_t rows = t->ne[1], at_once = PIECE / t->ne[0] + 1;
    size_t bytes, before = c->done;
    double error = 0, norm = 0;
    int rc = ACCEL_OK;
    at_once = at_once < rows ? at_once : rows;
    for (unsigned k = 0; k < 2 && !rc; k++)
        if (!mul_size((size_t)at_once, (size_t)t->ne[0], &bytes) ||
            !mul_size(bytes, sizeof(float), &bytes) || !(pieces[k].w = malloc(bytes)))
            rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory: %llu columns",
                            (unsigned long long)t->ne[0]);
    if (!rc)
        start_piece(&pieces[0], 0, at_once);
    for (unsigned k = 0; !rc && pieces[k].rows; k ^= 1) {
        struct piece *p = &pieces[k], *next = &pieces[k ^ 1];
        end_piece(p);
        if (p->rc) {
            rc = accel_fail(err, p->rc, "%s", p->err.text);
            break;
        }
        start_piece(next, p->first + p->rows, at_once);
        rc = quantize_piece(c, i, p, &error, &norm, err);
        c->done = before +
                  (uint64_t)((double)t->size * (double)(p->first + p->rows) / (double)rows);
        if (!rc)
            rc = report(c, NULL, NULL, NULL, err);
    }
    for (unsigned k = 0; k < 2; k++) {
        end_piece(&pieces[k]);
        free(pieces[k].w);
    }
    info->error = norm > 0 ? error / norm : 0.0;
    return rc;
}

/* ---- with calibration ---- */

/* One matrix of a stage; values: where the calibration wants to have them. */
static int calibrate_matrix(struct conversion *c, const struct gguf_tensor *t,
                            const struct quant_stats *stats, const float *cross,
                            const float *missing, float *values, struct accel_error *err)
{
    struct accel_error why = { 0 };
    uint32_t rows = (uint32_t)t->ne[1], cols = (uint32_t)t->ne[0];
    size_t i = quant_tensor_index(c->file, t), bytes;
    struct accel_quantize_tensor *info = &c->info[i];
    if (!quant_is_float(t->type))
        return ACCEL_OK; /* values hold what it has */
    float *w = mul_size(rows, cols, &bytes) && mul_size(bytes, sizeof *w, &bytes) ? malloc(bytes)
                                                                                  : NULL;
    if (!w)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: %u x %u weights", rows, cols);
    int rc = quant_read_rows(t, 0, rows, w, info, err);
    if (!rc && !c->o->rtn)
        rc = quant_correct(stats->hessian, cross, missing, rows, cols, w, &why);
    if (!rc)
        rc = quant_matrix(c->types[i], c->o->rtn ? QUANT_RTN : QUANT_GPTQ, rows, cols, w, stats,
                          c->threads, &c->tensor[i], &why);
    if (!rc)
        rc = quant_tensor_values(&c->tensor[i], rows, cols, values, &why);
    if (rc && why.text[0])
        rc = accel_fail(err, rc, "tensor %.*s: %.120s", quant_name_length(t), t->name.data,
                        why.text);
    info->error = c->tensor[i].norm > 0 ? c->tensor[i].error / c->tensor[i].norm : 0.0;
    free(w);
    return rc;
}

static int calibrate_stage(struct conversion *c, struct calib *k, uint32_t layer,
                           enum calib_stage stage, const struct gguf_tensor *const *t,
                           unsigned count, struct accel_error *err)
{
    uint32_t cols = (uint32_t)t[0]->ne[0];
    size_t bytes, row = 0;
    float *hessian = NULL, *cross = NULL, *missing = NULL, *values = calib_weights(k, layer, stage);
    int rc = ACCEL_E_NOMEM;
    if (mul_size(cols, cols, &bytes) && mul_size(bytes, sizeof *cross, &bytes)) {
        hessian = malloc(bytes);
        cross = malloc(bytes);
    }
    if (mul_size(cols, c->model->info.embd, &bytes) && mul_size(bytes, sizeof *missing, &bytes))
        missing = malloc(bytes);
    rc = hessian && cross && missing
             ? calib_collect(k, layer, stage, cols, hessian, cross, missing, err)
             : accel_fail(err, ACCEL_E_NOMEM, "out of memory: a hessian of %u inputs", cols);
    struct quant_stats stats = { .hessian = hessian };
    for (unsigned i = 0; i < count && !rc; i++) {
        rc = calibrate_matrix(c, t[i], &stats, cross, calib_adds(stage) ? missing : NULL,
                              values + row * cols, err);
        row += (size_t)t[i]->ne[1];
        c->done += t[i]->size;
        if (!rc)
            rc = report(c, NULL, NULL, "quantizing", err);
    }
    free(hessian);
    free(cross);
    free(missing);
    return rc;
}

static int calibrate_layer(struct conversion *c, struct calib *k, uint32_t i,
                           struct accel_error *err)
{
    const struct model_layer *l = &c->model->layers[i];
    const struct gguf_tensor *qkv[3] = { l->q, l->k, l->v }, *gate_up[2] = { l->gate, l->up };
    int rc = l->qkv ? calibrate_stage(c, k, i, CALIB_QKV, &l->qkv, 1, err)
                    : calibrate_stage(c, k, i, CALIB_QKV, qkv, 3, err);
    if (!rc)
        rc = calibrate_stage(c, k, i, CALIB_ATTN_OUTPUT, &l->attn_output, 1, err);
    if (!rc)
        rc = calibrate_stage(c, k, i, CALIB_GATE_UP, gate_up, 2, err);
    if (!rc)
        rc = calibrate_stage(c, k, i, CALIB_DOWN, &l->down, 1, err);
    return rc ? rc : calib_advance(k, i, err);
}

static int self_progress(void *user, uint64_t done, uint64_t total)
{
    struct conversion *c = user;
    c->done = c->total / 100 * (done * 10 / total);
    return report(c, NULL, NULL, "writing a calibration text", NULL) != ACCEL_OK;
}

static int calibrate(struct conversion *c, struct accel_error *err)
{
    const struct accel_model *m = c->model;
    const struct gguf_tensor *head = m->output ? m->output : m->token_embd;
    struct calib *k = NULL;
    struct calib_options o = { .text = c->o->calibration,
                               .len = c->o->calibration_len,
                               .tokens = c->o->tokens ? c->o->tokens : QUANT_TOKENS,
                               .seed = c->o->seed,
                               .progress = self_progress,
                               .user = c };
    int rc = calib_new(m, &o, &k, err);
    c->done = 0;
    for (uint32_t i = 0; i < m->info.layers && !rc; i++)
        rc = calibrate_layer(c, k, i, err);
    if (!rc)
        rc = calibrate_stage(c, k, m->info.layers, CALIB_QKV, &head, 1, err);
    c->done = 0;
    calib_free(k);
    return rc;
}

/* ---- the file ---- */

static int write_tensor(struct conversion *c, size_t i, struct accel_error *err)
{
    const struct gguf_tensor *t = gguf_tensor_at(c->file, i);
    struct accel_quantize_tensor *info = &c->info[i];
    uint64_t done = c->done + t->size;
    int rc;
    if (c->tensor[i].data) {
        rc = gguf_write_data(c->out, c->tensor[i].data, c->tensor[i].size, err);
        quant_tensor_free(&c->tensor[i]);
    } else if (c->types[i] == t->type) {
        rc = gguf_write_data(c->out, t->data, t->size, err);
    } else {
        rc = stream_tensor(c, i, err);
    }
    forget(t);
    c->done = done;
    return rc ? rc : report(c, t, info, NULL, err);
}

static int write_file(struct conversion *c, const char *out, struct accel_quantize_result *result,
                      struct accel_error *err)
{
    struct gguf_new_pair pairs[2] = { { QUANT_VERSION_KEY, QUANT_VERSION },
                                      { "general.quantization_version", 2 } };
    struct gguf_new_tensor *tensors = calloc(c->count + 1, sizeof *tensors);
    int rc = tensors ? ACCEL_OK
                     : accel_fail(err, ACCEL_E_NOMEM, "out of memory: %zu tensors", c->count);
    for (size_t i = 0; i < c->count && !rc; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(c->file, i);
        uint64_t row_bytes = 0, rows = t->ne[1] * t->ne[2] * t->ne[3];
        ggml_row_bytes(c->types[i], t->ne[0], &row_bytes);
        tensors[i] = (struct gguf_new_tensor){
            .name = t->name, .n_dims = t->n_dims, .type = c->types[i], .size = row_bytes * rows
        };
        memcpy(tensors[i].ne, t->ne, sizeof t->ne);
        c->info[i].rows = rows;
        c->info[i].cols = t->ne[0];
        c->info[i].bytes = tensors[i].size;
        c->info[i].bits = 8.0 * (double)row_bytes / (double)t->ne[0];
        result->bytes_in += t->size;
        result->bytes_out += tensors[i].size;
        if (is_matrix(t)) {
            result->weights += rows * t->ne[0];
            result->bits += 8.0 * (double)tensors[i].size;
        }
    }
    result->bits = result->weights ? result->bits / (double)result->weights : 0.0;
    if (!rc)
        rc = gguf_write_begin(out, c->file, pairs, 2, tensors, c->count, &c->out, err);
    for (size_t i = 0; i < c->count && !rc; i++) {
        rc = write_tensor(c, i, err);
        result->zero_rows += c->info[i].zero_rows;
        result->tiny_rows += c->info[i].tiny_rows;
    }
    if (!rc)
        rc = gguf_write_finish(c->out, err);
    gguf_write_close(c->out);
    free(tensors);
    return rc;
}

int accel_quantize(const char *in, const char *out, const struct accel_quantize_options *options,
                   struct accel_quantize_result *result, struct accel_error *err)
{
    static const struct accel_quantize_options defaults = { 0 };
    struct accel_quantize_result r = { 0 };
    double start = now();
    accel_no_error(err);
    if (!in || !out)
        return accel_fail(err, ACCEL_E_ARG, "accel_quantize needs the names of two files");
    struct conversion c = { .in = in, .o = options ? options : &defaults };
    c.threads = quant_threads(c.o->threads);
    int rc = quant_check_type(c.o->type, c.o->bits, err);
    if (!rc)
        rc = quant_check_type(c.o->head, 0.0, err);
    if (!rc && c.o->plan)
        rc = plan_parse(c.o->plan, c.o->plan_len, "the plan", &c.plan, err);
    if (!rc)
        rc = accel_model_open(in, &c.model, err);
    if (rc)
        goto out;
    c.file = c.model->file;
    c.count = gguf_tensor_count(c.file);
    c.types = calloc(c.count + 1, sizeof *c.types);
    c.tensor = calloc(c.count + 1, sizeof *c.tensor);
    c.info = calloc(c.count + 1, sizeof *c.info);
    if (!c.types || !c.tensor || !c.info)
        rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory: %zu tensors", c.count);
    for (size_t i = 0; i < c.count && !rc; i++) {
        c.total += gguf_tensor_at(c.file, i)->size;
        rc = choose_type(&c, gguf_tensor_at(c.file, i), &c.types[i], err);
    }
    if (!rc && (c.o->calibration || c.o->self_calibrate))
        rc = calibrate(&c, err);
    if (!rc)
        rc = write_file(&c, out, &r, err);
    r.seconds = now() - start;
    if (!rc && result)
        *result = r;
out:
    for (size_t i = 0; c.tensor && i < c.count; i++)
        quant_tensor_free(&c.tensor[i]);
    free(c.types);
    free(c.tensor);
    free(c.info);
    plan_free(&c.plan);
    accel_model_free(c.model);
    return rc;
}
