/* row.c - matrices row by row, on several threads: scales, codes, bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "row.h"

#include "ggml_blocks.h"
#include "ggml_types.h"
#include "matrix.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 64, ROWS_AT_ONCE = 8, SC_FIRST = 112, SC_TOP = 127 };
#define K_TOP   127.0f /* of an outlier */
#define K_FIRST 100.0f /* of the largest one of a row, which so may still grow */

/* ---- one row ---- */

void row_set_step(struct row_work *r, uint32_t g)
{
    r->zero[g] = 0.0f;
    if (r->type.mx) {
        r->step[g] = (float)quant_power(r->type.format, r->row.power[g]);
        return;
    }
    int sc = r->row.sc[g];
    r->step[g] = r->row.row_scale * (float)sc;
    if (r->row.zero && sc != 0)
        r->zero[g] = (float)-quant_offset(&r->type, r->row.sc[g], r->row.zero[g]) / (float)sc;
}

void row_set_code(struct row_work *r, uint32_t c, float v)
{
    uint32_t g = row_group(r, c);
    float step = r->step[g];
    if (r->row.kept && !r->row.kept[c]) {
        r->base[c] = 0.0f;
        r->row.codes[c] = 0;
        return;
    }
    r->base[c] = step * quant_nearest(row_levels(r, g), step != 0.0f ? v / step : 0.0f, r->zero[g],
                                      &r->row.codes[c]);
    if (!r->slot)
        return;
    r->value[c] = r->base[c];
    if (r->slot[c]) { /* what the code leaves over is the outlier's */
        float unit = r->row.row_scale * (float)(1u << r->row.shift);
        float k = (float)round_even((double)((v - r->base[c]) / unit));
        k = k > K_TOP ? K_TOP : k < -K_TOP ? -K_TOP : k;
        r->row.k[r->slot[c] - 1] = (int8_t)k;
        r->value[c] += unit * k;
    }
}

/* The power of two of least error near the one that OCP MX names. */
static void find_power(struct row_work *r, uint32_t g, const float *w, const float *weight,
                       uint32_t n)
{
    float peak = 0.0f;
    double least = INFINITY;
    for (uint32_t i = 0; i < n; i++)
        peak = fabsf(w[i]) > peak ? fabsf(w[i]) : peak;
    r->row.power[g] = 0;
    if (peak == 0.0f)
        return;
    double unit = quant_power(r->type.format, 127);
    int middle = 127 + (int)floor(log2((double)peak / ((double)r->levels->high * unit)));
    for (int p = middle - 1; p <= middle + 2; p++) {
        if (p < 1 + quant_fraction(r->type.format) || p > 254)
            continue;
        float step = (float)quant_power(r->type.format, (uint8_t)p);
        double error = quant_scale_error(r->levels, w, weight, n, step, 0.0f);
        if (error < least) {
            least = error;
            r->row.power[g] = (uint8_t)p;
        }
    }
}

/* A row's powers span 15 octaves at most: groups below are as good as 0. */
static void limit_powers(struct row_work *r)
{
    uint8_t top = 0;
    for (uint32_t g = 0; g < r->groups; g++)
        top = r->row.power[g] > top ? r->row.power[g] : top;
    if (top == 0)
        top = 127;
    for (uint32_t g = 0; g < r->groups; g++)
        if (r->row.power[g] + SH_MAX < top)
            r->row.power[g] = (uint8_t)(top - SH_MAX);
}

static void find_book(struct row_work *r, const float *w, const float *weight, float least_unit)
{
    double scale;
    quantizer_fit_book(accel_format_bits(r->type.format), w, weight, r->cols, r->row.book, &scale);
    r->row.row_scale = quant_bf16((float)scale);
    if (r->row.row_scale < least_unit) { /* beside such outliers the rest is 0 */
        memset(r->row.book, 0, (size_t)1 << accel_format_bits(r->type.format));
        r->row.row_scale = quant_bf16(least_unit);
    }
    r->row.sc[0] = 1;
    quant_levels_init(r->type.format, 0, r->row.book, &r->book);
}

/* What losing each weight would cost, into r->work: w^2 times what its input counts or, with GPTQ, by what the others cannot
 * make up for (SparseGPT, arXiv 2301.00774). */
static void set_costs(struct row_work *r, const float *w, const float *weight, const float *inverse)
{
    for (uint32_t c = 0; c < r->cols; c++) {
        float square = w[c] * w[c];
        r->work[c] = inverse ? square / inverse[c] : weight ? square * weight[c] : square;
    }
}

/* The dearest column of first .. end - 1 that is left; its cost becomes -1. */
static uint32_t take_dearest(float *cost, uint32_t first, uint32_t end)
{
    uint32_t best = end;
    for (uint32_t c = first; c < end; c++)
        if (!(cost[c] < 0.0f) && (best == end || cost[c] > cost[best]))
            best = c;
    cost[best] = -1.0f;
    return best;
}

/* The weights that count most, in each block, become outliers; the others are left for the codes. Returns the
 * largest magnitude among them. */
static float pick_outliers(struct row_work *r, const float *w, const float *weight)
{
    const uint32_t count = quant_outliers(&r->type, r->cols);
    float peak = 0.0f;
    memset(r->slot, 0, r->cols * sizeof *r->slot);
    set_costs(r, w, weight, NULL);
    for (uint32_t c = 0; c < r->cols; c++) {
        r->rest[c] = w[c];
        r->rest_weight[c] = weight ? weight[c] : 1.0f;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t first = quant_outlier_block(&r->type, i) * QUANT_BLOCK;
        uint32_t end = r->cols - first < QUANT_BLOCK ? r->cols : first + QUANT_BLOCK;
        r->slot[take_dearest(r->work, first, end)] = 1;
    }
    for (uint32_t c = 0, i = 0; c < r->cols; c++) {
        if (!r->slot[c])
            continue;
        r->row.place[i] = (uint8_t)(c % QUANT_BLOCK);
        r->slot[c] = ++i;
        r->rest[c] = r->rest_weight[c] = 0.0f;
        peak = fmaxf(peak, fabsf(w[c]));
    }
    return peak;
}

/* N:M: in each block the weights stay whose loss would cost most. */
static void prune(struct row_work *r, const float *w, const float *weight, const float *inverse)
{
    const uint32_t block = r->type.block;
    memset(r->row.kept, 0, r->cols);
    set_costs(r, w, weight, inverse);
    for (uint32_t first = 0; first < r->cols; first += block) {
        uint32_t end = r->cols - first < block ? r->cols : first + block;
        uint32_t keep = quant_kept(&r->type, end) - quant_kept(&r->type, first);
        for (uint32_t i = 0; i < keep; i++)
            r->row.kept[take_dearest(r->work, first, end)] = 1;
    }
    for (uint32_t c = 0; c < r->cols; c++) {
        r->rest[c] = r->row.kept[c] ? w[c] : 0.0f;
        r->rest_weight[c] = !r->row.kept[c] ? 0.0f : weight ? weight[c] : 1.0f;
    }
}

/* The least power of two times the row scale that the row's outliers need. */
static void find_shift(struct row_work *r, const float *w)
{
    float most = 0.0f;
    r->row.shift = 0;
    for (uint32_t c = 0; c < r->cols; c++) {
        if (!r->slot[c])
            continue;
        row_set_code(r, c, w[c]);
        float left = fabsf(w[c] - r->base[c]);
        most = left > most ? left : most;
    }
    while (r->row.shift < SH_MAX &&
           most > K_FIRST * fabsf(r->row.row_scale) * (float)(1u << r->row.shift))
        r->row.shift++;
}

/* The row scale for the largest group scale: it leaves room, so that scales may still grow. What is too small
 * for it becomes 0. */
static float row_unit(float top)
{
    float unit = quant_bf16(top / SC_FIRST);
    return unit >= FLT_MIN ? unit : 1.0f;
}

/* Real scales of all groups, then the same as parts of a row scale. */
static void find_scales(struct row_work *r, const float *w, const float *weight, float least_unit)
{
    float top = 0.0f, *scale = r->step, *zero = r->zero;
    uint32_t group = r->type.group ? r->type.group : r->cols;
    for (uint32_t g = 0, c = 0; g < r->groups; g++, c += group) {
        uint32_t n = r->cols - c < group ? r->cols - c : group;
        struct quant_scale s;
        if (r->type.mx) {
            find_power(r, g, w + c, weight ? weight + c : NULL, n);
            continue;
        }
        quant_find_scale(r->type.format, r->levels, w + c, weight ? weight + c : NULL, n, &s);
        scale[g] = s.scale;
        zero[g] = s.zero;
        if (r->row.sel)
            r->row.sel[g] = s.sel;
        top = fabsf(s.scale) > top ? fabsf(s.scale) : top;
    }
    if (r->type.mx) {
        limit_powers(r);
    } else {
        float unit = row_unit(fmaxf(top, least_unit * SC_FIRST));
        r->row.row_scale = unit;
        for (uint32_t g = 0; g < r->groups; g++) {
            float sc = roundf(scale[g] / r->row.row_scale);
            float z = r->row.zero
                          ? roundf(zero[g] * (float)(1u << (8 - accel_format_bits(r->type.format))))
                          : 0.0f;
            sc = sc == 0.0f && fabsf(scale[g]) > 0.25f * unit ? copysignf(1.0f, scale[g]) : sc;
            r->row.sc[g] = (int8_t)(sc > SC_TOP ? SC_TOP : sc < -SC_TOP ? -SC_TOP : sc);
            if (r->row.zero)
                r->row.zero[g] = (uint8_t)(z > 255.0f ? 255.0f : z);
        }
    }
    for (uint32_t g = 0; g < r->groups; g++)
        row_set_step(r, g);
}

/* OliVe's pairs as accel_matrix_quantize makes them; only the scale is rounded once more. */
static int olive_row(struct row_work *r, const float *w, struct accel_error *err)
{
    accel_matrix *m = NULL;
    float top = 0.0f;
    int rc = accel_matrix_quantize(r->type.format, r->type.group, 1, r->cols, w, &m, err);
    if (rc)
        return rc;
    memcpy(r->row.codes, m->codes, r->cols);
    for (uint32_t g = 0; g < r->groups; g++) {
        uint32_t from = m->groups == 1 ? 0 : g; /* a row of one scale has one header */
        r->step[g] = m->row_scale[0] * (float)m->sc[from] * (float)(1u << m->sh[from]);
        top = fabsf(r->step[g]) > top ? fabsf(r->step[g]) : top;
    }
    r->row.row_scale = row_unit(top);
    for (uint32_t g = 0; g < r->groups; g++)
        r->row.sc[g] = (int8_t)roundf(r->step[g] / r->row.row_scale);
    for (uint32_t c = 0; c < r->cols; c++)
        r->value[c] = r->row.row_scale * (float)r->row.sc[row_group(r, c)] *
                      (float)accel_matrix_k(m, 0, c);
    accel_matrix_free(m);
    return ACCEL_OK;
}

/* ---- all rows ---- */

struct job {
    uint32_t type;
    struct quant_type own; /* if it is one of ours */
    bool ours;
    uint32_t rows, cols;
    const float *w, *weight;
    const struct gptq *gptq;
    struct quant_levels *levels;
    uint8_t *data;
    size_t row_bytes;
    pthread_mutex_t lock; /* guards what follows */
    uint32_t next;
    int rc;
    uint32_t bad; /* the first row that failed */
    struct accel_error why;
    double *errors, *norms; /* [rows], summed in order at the end */
};

static void work_free(struct row_work *r)
{
    free(r->row.sc);
    free(r->row.power);
    free(r->row.zero);
    free(r->row.sel);
    free(r->row.book);
    free(r->row.codes);
    free(r->step);
    free(r->zero);
    free(r->value);
    if (r->base != r->value)
        free(r->base);
    free(r->slot);
    free(r->rest);
    free(r->rest_weight);
    free(r->row.place);
    free(r->row.k);
    free(r->row.kept);
    free(r->work);
    free(r->grad);
}

static int work_init(struct row_work *r, const struct job *j)
{
    bool book = j->own.format == ACCEL_CODEBOOK3 || j->own.format == ACCEL_CODEBOOK4;
    memset(r, 0, sizeof *r);
    r->type = j->own;
    r->cols = j->cols;
    r->groups = j->ours ? quant_groups(&j->own, j->cols) : 1;
    r->levels = j->levels;
    r->row.sc = calloc(r->groups, 1);
    r->row.power = calloc(r->groups, 1);
    r->row.codes = calloc(j->cols, 1);
    r->step = calloc(r->groups, sizeof *r->step);
    r->zero = calloc(r->groups, sizeof *r->zero);
    r->value = calloc(j->cols, sizeof *r->value);
    r->work = calloc(j->cols, sizeof *r->work);
    r->grad = calloc(j->cols, sizeof *r->grad);
    if (!r->row.sc || !r->row.power || !r->row.codes || !r->step || !r->zero || !r->value ||
        !r->work || !r->grad)
        return ACCEL_E_NOMEM;
    r->base = r->value;
    if (j->own.outliers) {
        uint32_t count = quant_outliers(&j->own, j->cols);
        r->base = calloc(j->cols, sizeof *r->base);
        r->slot = calloc(j->cols, sizeof *r->slot);
        r->row.place = calloc(count, 1);
        r->row.k = calloc(count, 1);
        if (!r->base || !r->slot || !r->row.place || !r->row.k)
            return ACCEL_E_NOMEM;
    }
    if (j->own.block && !(r->row.kept = calloc(j->cols, 1)))
        return ACCEL_E_NOMEM;
    if (j->own.block || j->own.outliers) {
        r->rest = calloc(j->cols, sizeof *r->rest);
        r->rest_weight = calloc(j->cols, sizeof *r->rest_weight);
        if (!r->rest || !r->rest_weight)
            return ACCEL_E_NOMEM;
    }
    if ((j->own.format & 0xF00u) == ACCEL_CODING_UNSIGNED && !(r->row.zero = calloc(r->groups, 1)))
        return ACCEL_E_NOMEM;
    if (accel_format_has_sel(j->own.format) && !(r->row.sel = calloc(r->groups, 1)))
        return ACCEL_E_NOMEM;
    if (book && !(r->row.book = calloc(1, (size_t)1 << accel_format_bits(j->own.format))))
        return ACCEL_E_NOMEM;
    return ACCEL_OK;
}

static int check_row(const struct job *j, uint32_t row, struct accel_error *err)
{
    const float *w = j->w + (size_t)row * j->cols;
    uint32_t bad = 0;
    for (uint32_t c = 0; c < j->cols; c++)
        bad |= (uint32_t)!isfinite(w[c]);
    for (uint32_t c = 0; bad && c < j->cols; c++)
        if (!isfinite(w[c]))
            return accel_fail(err, ACCEL_E_ARG,
                              "row %u, column %u: the weight is not a finite number", row, c);
    for (uint32_t c = 0; j->own.format == ACCEL_UFLINT4 && c < j->cols; c++)
        if (w[c] < 0.0f)
            return accel_fail(
                err, ACCEL_E_UNSUPPORTED,
                "row %u, column %u: the weight is negative and uflint4 has no negative values", row,
                c);
    return ACCEL_OK;
}

/* The eight partial sums are for vector units. */
static void plain_error(const struct job *j, const float *value, const float *w, double *error,
                        double *norm)
{
    float e[8] = { 0 }, n[8] = { 0 };
    *error = *norm = 0;
    for (uint32_t first = 0; first < j->cols; first += 8) {
        uint32_t many = j->cols - first < 8 ? j->cols - first : 8;
        for (uint32_t i = 0; i < many; i++) {
            uint32_t c = first + i;
            float d = value[c] - w[c], weight = j->weight ? j->weight[c] : 1.0f;
            e[i] += d * d * weight;
            n[i] += w[c] * w[c] * weight;
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        *error += (double)e[i];
        *norm += (double)n[i];
    }
}

static void round_row(struct row_work *r, const float *w)
{
    uint32_t group = r->type.group ? r->type.group : r->cols;
    for (uint32_t g = 0, c = 0; g < r->groups; g++, c += group) {
        uint32_t n = r->cols - c < group ? r->cols - c : group;
        const struct quant_levels *l = row_levels(r, g);
        if (l->integer && !r->slot)
            quant_round(l, w + c, n, r->step[g], r->zero[g], r->row.codes + c, r->value + c);
        else
            for (uint32_t i = c; i < c + n; i++)
                row_set_code(r, i, w[i]);
    }
}

static int quantize_one(struct job *j, struct row_work *r, uint32_t row, struct accel_error *err)
{
    const float *w = j->w + (size_t)row * j->cols;
    uint8_t *out = j->data + (size_t)row * j->row_bytes;
    int rc = check_row(j, row, err);
    if (rc)
        return rc;
    if (!j->ours) {
        quant_ggml_row(j->type, w, j->cols, out);
        rc = ggml_dequantize_row(j->type, out, r->value, j->cols);
        if (!rc)
            plain_error(j, r->value, w, &j->errors[row], &j->norms[row]);
        return rc;
    }
    if (j->own.format == ACCEL_OLIVE4 || j->own.format == ACCEL_OLIVE4F) {
        rc = olive_row(r, w, err);
        if (rc)
            return rc;
    } else {
        const float *rest = w, *weight = j->weight;
        float least_unit = 0.0f;
        if (r->slot) {
            least_unit = pick_outliers(r, w, weight) / (K_FIRST * (float)(1u << SH_MAX));
            rest = r->rest;
            weight = r->rest_weight;
        }
        if (r->row.kept) {
            prune(r, w, weight, j->gptq ? gptq_inverse(j->gptq) : NULL);
            rest = r->rest;
            weight = r->rest_weight;
        }
        if (r->row.book) {
            find_book(r, rest, weight, least_unit);
            row_set_step(r, 0);
        } else {
            find_scales(r, rest, weight, least_unit);
        }
        if (r->slot)
            find_shift(r, w);
        if (j->gptq)
            gptq_row(j->gptq, r, w);
        else
            round_row(r, r->row.kept ? rest : w);
    }
    quant_row_write(&j->own, j->cols, &r->row, out);
    if (j->gptq)
        gptq_error(j->gptq, r, w, &j->errors[row], &j->norms[row]);
    else
        plain_error(j, r->value, w, &j->errors[row], &j->norms[row]);
    return ACCEL_OK;
}

static void *run_rows(void *arg)
{
    struct job *j = arg;
    struct row_work r;
    struct accel_error err = { 0 };
    int rc = work_init(&r, j);
    uint32_t row = 0, end = 0;
    while (!rc) {
        if (row == end) {
            pthread_mutex_lock(&j->lock);
            row = j->rc ? j->rows : j->next;
            end = j->rows - row < ROWS_AT_ONCE ? j->rows : row + ROWS_AT_ONCE;
            j->next = end > j->next ? end : j->next;
            pthread_mutex_unlock(&j->lock);
            if (row == end)
                break;
        }
        rc = quantize_one(j, &r, row, &err);
        row += rc == ACCEL_OK;
    }
    if (rc) { /* of several threads' failures the one in the first row counts: rows are handed out in order */
        pthread_mutex_lock(&j->lock);
        if (!j->rc || row < j->bad) {
            j->rc = rc;
            j->bad = row;
            j->why = err;
        }
        pthread_mutex_unlock(&j->lock);
    }
    work_free(&r);
    return NULL;
}

static void run_threads(struct job *j, unsigned threads)
{
    pthread_t other[MAX_THREADS];
    unsigned started = 0;
    threads = threads > MAX_THREADS ? MAX_THREADS : threads;
    while (started + 1 < threads && started + 1 < j->rows &&
           !pthread_create(&other[started], NULL, run_rows, j))
        started++;
    run_rows(j);
    for (unsigned i = 0; i < started; i++)
        pthread_join(other[i], NULL);
}

/* The diagonal of the hessian for formats and methods that use no more of it. */
static int take_diagonal(const struct quant_stats *stats, uint32_t cols, float **diag,
                         struct accel_error *err)
{
    size_t bytes;
    if (!stats || (!stats->diag && !stats->hessian))
        return ACCEL_OK;
    if (!mul_size(cols, sizeof **diag, &bytes) || !(*diag = malloc(bytes)))
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: the weights of %u inputs", cols);
    double mean = 0;
    for (uint32_t c = 0; c < cols; c++) {
        (*diag)[c] = stats->hessian ? stats->hessian[(size_t)c * cols + c] : stats->diag[c];
        mean += (double)(*diag)[c] / cols;
    }
    for (uint32_t c = 0; c < cols; c++)
        (*diag)[c] += (float)(0.01 * mean) +
                      1e-30f; /* an input that was never seen still counts a little */
    return ACCEL_OK;
}

int quant_matrix(uint32_t type, enum quant_method method, uint32_t rows, uint32_t cols,
                 const float *w, const struct quant_stats *stats, unsigned threads,
                 struct quant_tensor *out, struct accel_error *err)
{
    struct job j = { .type = type, .rows = rows, .cols = cols, .w = w };
    struct gptq *gptq = NULL;
    float *diag = NULL;
    uint64_t row_bytes;
    size_t size, bytes;
    int rc;
    j.ours = quant_type_read(type, &j.own);
    if (!w || !out || rows == 0 || cols == 0 || !(j.ours || quant_ggml_find(type)))
        return accel_fail(err, ACCEL_E_ARG,
                          "quantize: no weights, or a type (0x%x) that cannot be made", type);
    if (!ggml_row_bytes(type, cols, &row_bytes))
        return accel_fail(
            err, ACCEL_E_UNSUPPORTED, "%s needs rows of a multiple of %u weights, these have %u",
            ggml_type_name(type), ggml_type_find(type) ? ggml_type_find(type)->block_len : 1, cols);
    if (!j.ours)
        j.own = (struct quant_type){ .format = ACCEL_INT(8) };
    const unsigned most = OUTLIERS_SUM / (unsigned)K_TOP;
    if (quant_outliers(&j.own, cols) > most)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%u outliers in rows of %u weights; a row holds %u", j.own.outliers, cols,
                          most);
    j.row_bytes = (size_t)row_bytes;
    if (!mul_size(rows, j.row_bytes, &size) || !mul_size(rows, sizeof *j.errors, &bytes) ||
        !(j.data = malloc(size)) || !(j.errors = calloc(1, bytes)) ||
        !(j.norms = calloc(1, bytes)) || !(j.levels = calloc(4, sizeof *j.levels))) {
        rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory: quantizing %u x %u weights", rows,
                        cols);
        goto out;
    }
    for (unsigned sel = 0; sel < 4; sel++)
        quant_levels_init(j.own.format, sel, NULL, &j.levels[sel]);
    if (method == QUANT_GPTQ && j.ours && stats && stats->hessian) {
        if ((rc = gptq_new(stats->hessian, cols, &gptq, err)))
            goto out;
        j.gptq = gptq;
        j.weight = gptq_weights(gptq);
    } else {
        if ((rc = take_diagonal(stats, cols, &diag, err)))
            goto out;
        j.weight = diag;
    }
    pthread_mutex_init(&j.lock, NULL);
    run_threads(&j, threads);
    pthread_mutex_destroy(&j.lock);
    if (j.rc) {
        rc = accel_fail(err, j.rc, "%s", j.why.text[0] ? j.why.text : accel_strerror(j.rc));
        goto out;
    }
    *out = (struct quant_tensor){
        .type = type, .data = j.data, .size = size, .bits = 8.0 * (double)row_bytes / (double)cols
    };
    for (uint32_t i = 0; i < rows; i++) {
        out->error += j.errors[i];
        out->norm += j.norms[i];
    }
    j.data = NULL;
    rc = ACCEL_OK;
out:
    gptq_free(gptq);
    free(diag);
    free(j.levels);
    free(j.errors);
    free(j.norms);
    free(j.data);
    return rc;
}

void quant_tensor_free(struct quant_tensor *t)
{
    free(t->data);
    t->data = NULL;
}

int quant_tensor_values(const struct quant_tensor *t, uint32_t rows, uint32_t cols, float *values,
                        struct accel_error *err)
{
    size_t row_bytes = t->size / rows;
    int rc = ACCEL_OK;
    for (uint32_t i = 0; i < rows && !rc; i++)
        rc = ggml_dequantize_row(t->type, t->data + i * row_bytes, values + (size_t)i * cols, cols);
    return rc ? accel_fail(err, rc, "out of memory: the values of %u x %u weights", rows, cols)
              : ACCEL_OK;
}
