/* cpu.c - the golden model as a device.
 * SPDX-License-Identifier: Apache-2.0
 *
 * cpu_reference() is the numeric contract, read off accel.h and nothing else. The device runs a
 * faster path that gives the same integers, which the tests hold against the reference;
 * "cpu:path=reference" runs the reference itself. */
#include "cpu.h"

#include "../matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CPU_MAX_N         4096u
#define DEADLINE_MACS     ((uint64_t)1 << 22) /* look at the clock about every millisecond */
#define ALIGN             64u                 /* codes of a row are padded to whole vectors */
#define COLUMNS           4u                  /* columns that share one pass over a row's codes */
#define REFERENCE_COLUMNS 8u                  /* columns of the reference per decoded row */
#define K16_MAX           511                 /* largest |k| of the 16-bit path */
#define ACC_MAX           (((int64_t)1 << 47) - 1)

/* k of at most 256 columns of one group, code by code. */
static void reference_k(const struct accel_matrix *mat, uint32_t row, size_t header, size_t first,
                        size_t count, int32_t *k)
{
    const uint8_t *codes = mat->codes + (size_t)row * mat->cols;
    const int8_t *book = mat->codebook;
    unsigned sel = mat->sel ? mat->sel[header] : 0;
    if (book)
        book += (size_t)row << accel_format_bits(mat->format);
    for (size_t c = first; c < first + count; c++) {
        size_t pair = c ^ 1u;
        k[c - first] = accel_format_decode_in(mat->format, codes[c], sel,
                                              pair < mat->cols ? codes[pair] : 0, book);
    }
}

void cpu_reference(const struct accel_matrix *mat, const int8_t *x, uint32_t n, size_t x_stride,
                   int64_t *acc)
{
    memset(acc, 0, (size_t)n * mat->rows * sizeof *acc);
    for (uint32_t m = 0; m < mat->rows; m++) {
        for (uint32_t g = 0; g < mat->groups; g++) {
            size_t h = (size_t)m * mat->groups + g, first = (size_t)g * mat->group;
            size_t last = mat->group ? first + mat->group : mat->cols;
            last = last < mat->cols ? last : mat->cols;
            while (first < last) { /* only a single group is cut in pieces: its sums add up */
                int32_t k[256];
                size_t len = last - first < 256 ? last - first : 256;
                reference_k(mat, m, h, first, len, k);
                for (uint32_t i = 0; i < n; i++) {
                    const int8_t *xi = x + i * x_stride + first;
                    int64_t d = 0, s = 0;
                    for (size_t c = 0; c < len; c++) {
                        d += (int64_t)k[c] * xi[c];
                        s += xi[c];
                    }
                    acc[(size_t)i * mat->rows + m] += (mat->sc[h] * d + mat->oc[h] * s) *
                                                      ((int64_t)1 << mat->sh[h]);
                }
                first += len;
            }
        }
        for (uint32_t i = 0; i < n && mat->outliers; i++) {
            const struct outliers *o = mat->outliers;
            int64_t d = 0;
            for (uint32_t j = o->first[m]; j < o->first[m + 1]; j++)
                d += (int64_t)o->k[j] * x[i * x_stride + o->col[j]];
            acc[(size_t)i * mat->rows + m] += o->sc[m] * d * ((int64_t)1 << o->sh[m]);
        }
    }
}

/* ---- loaded weights ---- */

struct cpu_weights {
    struct accel_matrix *reference; /* path=reference: a copy of the matrix, and nothing else */
    uint32_t rows, cols, groups;
    size_t group;              /* padded to ALIGN if there is one a row */
    size_t stride;             /* groups * group */
    int8_t *k8;                /* decoded codes, [rows][stride], 0 beyond cols: one of these, ... */
    int16_t *k16;              /* ... where k does not fit 8 bits, */
    int32_t *k32;              /* ... where |k| is beyond K16_MAX */
    int64_t *scale;            /* sc << sh, [rows][groups] */
    int64_t *offset;           /* oc << sh; NULL if symmetric */
    struct outliers *outliers; /* NULL: none */
};

static void free_weights(void *priv)
{
    struct cpu_weights *w = priv;
    if (!w)
        return;
    accel_matrix_free(w->reference);
    free(w->k8);
    free(w->k16);
    free(w->k32);
    free(w->scale);
    free(w->offset);
    outliers_free(w->outliers);
    free(w);
}

/* The narrowest array that holds every k of the format. */
static int alloc_weights(const struct k_tables *tables, const struct accel_matrix *mat,
                         struct cpu_weights *w)
{
    int32_t least = 0, most = 0;
    for (size_t i = 0; i < sizeof tables->k / sizeof tables->k[0][0]; i++) {
        int32_t k = tables->k[i / 256][i % 256];
        least = k < least ? k : least;
        most = k > most ? k : most;
    }
    if (least >= INT8_MIN && most <= INT8_MAX)
        w->k8 = new_array(w->rows, w->stride, 1, sizeof *w->k8);
    else if (least >= -K16_MAX && most <= K16_MAX)
        w->k16 = new_array(w->rows, w->stride, 1, sizeof *w->k16);
    else
        w->k32 = new_array(w->rows, w->stride, 1, sizeof *w->k32);
    w->scale = new_array(w->rows, w->groups, 1, sizeof *w->scale);
    if (mat->asymmetric)
        w->offset = new_array(w->rows, w->groups, 1, sizeof *w->offset);
    return w->scale && (w->offset || !mat->asymmetric) && (w->k8 || w->k16 || w->k32)
               ? ACCEL_OK
               : ACCEL_E_NOMEM;
}

static int decode_weights(const struct accel_matrix *mat, struct cpu_weights *w)
{
    struct k_tables tables;
    matrix_tables(mat->format, &tables);
    int rc = alloc_weights(&tables, mat, w);
    if (rc)
        return rc;
    for (uint32_t m = 0; m < w->rows; m++) {
        const size_t row = m * w->stride;
        for (uint32_t c = 0, n; c < w->cols; c += n) {
            int32_t k[256];
            uint32_t end = mat->group && w->cols - c > mat->group ? mat->group : w->cols - c;
            n = end < 256 ? end : 256; /* of one group: all groups but the only one are shorter */
            matrix_decode(mat, &tables, m, c, n, k);
            for (uint32_t i = 0; i < n; i++) {
                if (w->k8)
                    w->k8[row + c + i] = (int8_t)k[i];
                else if (w->k16)
                    w->k16[row + c + i] = (int16_t)k[i];
                else
                    w->k32[row + c + i] = k[i];
            }
        }
    }
    for (size_t h = 0, end = (size_t)w->rows * w->groups; h < end; h++) {
        w->scale[h] = mat->sc[h] * ((int64_t)1 << mat->sh[h]);
        if (w->offset)
            w->offset[h] = mat->oc[h] * ((int64_t)1 << mat->sh[h]);
    }
    if (mat->outliers && !(w->outliers = outliers_clone(mat->outliers, mat->rows)))
        return ACCEL_E_NOMEM;
    return ACCEL_OK;
}

static int cpu_load(struct accel_dev *dev, const struct accel_matrix *mat, struct accel_weights *w,
                    struct accel_error *err)
{
    int rc = ACCEL_E_NOMEM;
    struct cpu_weights *priv = calloc(1, sizeof *priv);
    if (!priv)
        goto out;
    priv->rows = mat->rows;
    priv->cols = mat->cols;
    priv->groups = mat->groups;
    /* a group is a multiple of 16 already; the only group of a row is made one of ALIGN */
    priv->group = mat->groups > 1 ? mat->group : ((size_t)mat->cols + ALIGN - 1) / ALIGN * ALIGN;
    priv->stride = priv->groups * priv->group;
    rc = dev->priv ? matrix_clone(mat, &priv->reference, NULL) : decode_weights(mat, priv);
    if (rc)
        goto out;
    w->priv = priv;
    w->free_priv = free_weights;
    w->info.code_bits = (uint64_t)mat->rows * mat->cols * accel_format_bits(mat->format);
    w->info.header_bits = (uint64_t)mat->rows * mat->groups * (mat->asymmetric ? 48 : 16);
    if (mat->codebook)
        w->info.header_bits += (uint64_t)mat->rows * 8 << accel_format_bits(mat->format);
    if (mat->outliers) { /* k and column; sc and sh */
        w->info.code_bits += (uint64_t)mat->outliers->first[mat->rows] * 48;
        w->info.header_bits += (uint64_t)mat->rows * 16;
    }
    priv = NULL;
out:
    free_weights(priv);
    if (rc)
        accel_fail(err, rc, "out of memory: loading a matrix of %u x %u", mat->rows, mat->cols);
    return rc;
}

/* ---- the fast path ---- */

/* A dot product of `len` elements (a multiple of 16) for each of COLUMNS columns. 32 bits hold
 * 2^15 products of an activation and a k up to K16_MAX, and 2^6 of the largest k there is; longer
 * groups come in pieces. */
#define DOT_MAX      ((size_t)32768)
#define DOT_WIDE_MAX ((size_t)64)
_Static_assert((int64_t)DOT_MAX * 128 * K16_MAX <= INT32_MAX, "");
_Static_assert((int64_t)DOT_WIDE_MAX * 128 * ACCEL_K_MAX <= INT32_MAX, "");

#define DEFINE_DOTS(name, type, wide)                                                   \
    static inline __attribute__((always_inline)) void name(                             \
        const type *restrict k, const int16_t *restrict x, size_t x_stride, size_t len, \
        uint32_t columns, int32_t d[COLUMNS])                                           \
    {                                                                                   \
        int32_t d0 = 0, d1 = 0, d2 = 0, d3 = 0;                                         \
        if (columns == 1) {                                                             \
            for (size_t i = 0; i < len; i++)                                            \
                d0 += (wide)k[i] * x[i];                                                \
        } else {                                                                        \
            for (size_t i = 0; i < len; i++) {                                          \
                wide ki = k[i];                                                         \
                d0 += ki * x[i];                                                        \
                d1 += ki * x[x_stride + i];                                             \
                d2 += ki * x[2 * x_stride + i];                                         \
                d3 += ki * x[3 * x_stride + i];                                         \
            }                                                                           \
        }                                                                               \
        d[0] = d0;                                                                      \
        d[1] = d1;                                                                      \
        d[2] = d2;                                                                      \
        d[3] = d3;                                                                      \
    }
DEFINE_DOTS(dots8, int8_t, int16_t)
DEFINE_DOTS(dots16, int16_t, int16_t)
DEFINE_DOTS(dots32, int32_t, int32_t)

/* acc of one row for `columns` (1 or COLUMNS) columns. Inlined with group and wide constant. */
static inline __attribute__((always_inline)) void row_groups(const struct cpu_weights *w,
                                                             size_t row, const int16_t *x,
                                                             const int64_t *sums, size_t group,
                                                             bool wide, uint32_t columns,
                                                             int64_t acc[COLUMNS])
{
    const size_t at = row * w->stride, dot_max = wide ? DOT_WIDE_MAX : DOT_MAX;
    for (uint32_t c = 0; c < columns; c++)
        acc[c] = 0;
    for (size_t g = 0; g < w->groups; g++) {
        int64_t scale = w->scale[row * w->groups + g];
        for (size_t i = 0; i < group; i += dot_max) {
            int32_t d[COLUMNS];
            size_t len = group - i < dot_max ? group - i : dot_max;
            size_t from = g * group + i;
            if (wide)
                dots32(w->k32 + at + from, x + from, w->stride, len, columns, d);
            else if (w->k8)
                dots8(w->k8 + at + from, x + from, w->stride, len, columns, d);
            else
                dots16(w->k16 + at + from, x + from, w->stride, len, columns, d);
            for (uint32_t c = 0; c < columns; c++)
                acc[c] += scale * d[c];
        }
        if (w->offset)
            for (uint32_t c = 0; c < columns; c++)
                acc[c] += w->offset[row * w->groups + g] * sums[c * w->groups + g];
    }
}

static inline __attribute__((always_inline)) void row_any(const struct cpu_weights *w, size_t row,
                                                          const int16_t *x, const int64_t *sums,
                                                          uint32_t columns, int64_t acc[COLUMNS])
{
    if (w->k32) {
        row_groups(w, row, x, sums, w->group, true, columns, acc);
        return;
    }
    switch (w->group) {
    case 16: row_groups(w, row, x, sums, 16, false, columns, acc); break;
    case 32: row_groups(w, row, x, sums, 32, false, columns, acc); break;
    case 64: row_groups(w, row, x, sums, 64, false, columns, acc); break;
    default: row_groups(w, row, x, sums, w->group, false, columns, acc); break;
    }
}

static void row_one(const struct cpu_weights *w, size_t row, const int16_t *x, const int64_t *sums,
                    int64_t acc[COLUMNS])
{
    row_any(w, row, x, sums, 1, acc);
}

static void row_four(const struct cpu_weights *w, size_t row, const int16_t *x, const int64_t *sums,
                     int64_t acc[COLUMNS])
{
    row_any(w, row, x, sums, COLUMNS, acc);
}

static void add_outliers(const struct outliers *o, uint32_t row, const int16_t *x, size_t x_stride,
                         uint32_t columns, int64_t acc[COLUMNS])
{
    for (uint32_t c = 0; c < columns; c++) {
        int64_t d = 0;
        for (uint32_t j = o->first[row]; j < o->first[row + 1]; j++)
            d += (int64_t)o->k[j] * x[c * x_stride + o->col[j]];
        acc[c] += o->sc[row] * d * ((int64_t)1 << o->sh[row]);
    }
}

/* Activations as 16 bits, laid out as the codes are, and the sums of each group. */
static void widen(const struct cpu_weights *w, const struct backend_job *job, int16_t *x,
                  int64_t *sums)
{
    for (size_t i = 0; i < job->n; i++) {
        const int8_t *from = job->x + i * job->x_stride;
        int16_t *to = x + i * w->stride;
        for (size_t c = 0; c < w->cols; c++)
            to[c] = from[c];
        memset(to + w->cols, 0, (w->stride - w->cols) * sizeof *to);
        if (!w->offset)
            continue;
        for (size_t g = 0; g < w->groups; g++) {
            int64_t s = 0;
            for (size_t c = 0; c < w->group; c++)
                s += to[g * w->group + c];
            sums[i * w->groups + g] = s;
        }
    }
}

/* ---- jobs ---- */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool past(uint64_t start, uint64_t deadline_ns)
{
    return deadline_ns && now_ns() - start >= deadline_ns;
}

static int late(const struct backend_job *job, struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_TIMEOUT, "cpu: the job's deadline of %llu ns passed",
                      (unsigned long long)job->deadline_ns);
}

/* Deliver one result; false if it is beyond 48 bits, which no proved matrix can give. */
static bool put(const struct backend_job *job, size_t column, size_t row, int64_t acc)
{
    size_t at = column * job->weights->rows + row;
    if (acc > ACC_MAX || acc < -ACC_MAX - 1)
        return false;
    if (job->requant_mul)
        job->i8[at] = accel_requantize(acc, job->requant_mul[row], job->requant_shift[row]);
    else
        job->acc[at] = acc;
    return true;
}

static int too_wide(size_t row, struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_DEVICE, "cpu: row %zu left 48 bits", row);
}

static int run_reference(const struct accel_matrix *mat, const struct backend_job *job,
                         uint64_t start, struct accel_error *err)
{
    int rc = ACCEL_OK;
    int64_t *acc = new_array(mat->rows, REFERENCE_COLUMNS, 1, sizeof *acc);
    if (!acc)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: results of %u rows", mat->rows);
    for (uint32_t i = 0, n; i < job->n && !rc; i += n) {
        n = job->n - i < REFERENCE_COLUMNS ? job->n - i : REFERENCE_COLUMNS;
        if (past(start, job->deadline_ns))
            rc = late(job, err);
        else
            cpu_reference(mat, job->x + i * job->x_stride, n, job->x_stride, acc);
        for (uint32_t c = 0; c < n; c++)
            for (uint32_t m = 0; m < mat->rows && !rc; m++)
                if (!put(job, i + c, m, acc[(size_t)c * mat->rows + m]))
                    rc = too_wide(m, err);
    }
    free(acc);
    return rc;
}

static int run_fast(const struct cpu_weights *w, const struct backend_job *job, uint64_t start,
                    struct accel_error *err)
{
    int rc = ACCEL_OK;
    int16_t *x = new_array(job->n, w->stride, 1, sizeof *x);
    int64_t *sums = w->offset ? new_array(job->n, w->groups, 1, sizeof *sums) : NULL;
    if (!x || (w->offset && !sums)) {
        rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory: %u columns of %u activations", job->n,
                        w->cols);
        goto out;
    }
    widen(w, job, x, sums);
    uint64_t work = 0;
    for (uint32_t m = 0; m < w->rows; m++) {
        for (uint32_t i = 0; i < job->n;) {
            int64_t acc[COLUMNS];
            uint32_t columns = job->n - i < COLUMNS ? 1 : COLUMNS;
            const int64_t *s = sums ? sums + (size_t)i * w->groups : NULL;
            (columns == 1 ? row_one : row_four)(w, m, x + i * w->stride, s, acc);
            if (w->outliers)
                add_outliers(w->outliers, m, x + i * w->stride, w->stride, columns, acc);
            for (uint32_t c = 0; c < columns; c++, i++) {
                if (!put(job, i, m, acc[c])) {
                    rc = too_wide(m, err);
                    goto out;
                }
            }
            work += w->stride * columns;
            if (work >= DEADLINE_MACS) {
                work = 0;
                if (past(start, job->deadline_ns)) {
                    rc = late(job, err);
                    goto out;
                }
            }
        }
    }
out:
    free(x);
    free(sums);
    return rc;
}

static int cpu_run(struct accel_dev *dev, const struct backend_job *job, struct accel_stats *stats,
                   struct accel_error *err)
{
    (void)dev;
    const struct cpu_weights *w = job->weights->priv;
    uint64_t start = now_ns();
    int rc = w->reference ? run_reference(w->reference, job, start, err)
                          : run_fast(w, job, start, err);
    if (!rc && past(start, job->deadline_ns))
        rc = late(job, err);
    if (!rc)
        stats->macs = (uint64_t)w->rows * w->cols * job->n;
    return rc;
}

/* ---- the device ---- */

static const char reference_path[] = "reference";

static int cpu_open(struct accel_dev *dev, const char *params, struct accel_error *err)
{
    char key[256], value[256];
    const char *cursor = params;
    bool reference = false;
    int rc;
    while ((rc = uri_next_param(&cursor, key, value, err)) > 0) {
        if (strcmp(key, "path") != 0)
            return accel_fail(err, ACCEL_E_URI, "cpu: no parameter '%.40s'; there is only path",
                              key);
        reference = strcmp(value, reference_path) == 0;
        if (!reference && strcmp(value, "fast") != 0)
            return accel_fail(err, ACCEL_E_URI, "cpu: path=%.40s; use path=fast or path=reference",
                              value);
    }
    if (rc < 0)
        return rc;
    /* a mark, not memory: weights loaded on this device keep the matrix as it is */
    dev->priv = reference ? (void *)(uintptr_t)reference_path : NULL;
    struct accel_caps *caps = &dev->caps;
    snprintf(caps->uri, sizeof caps->uri, "%s", reference ? "cpu:path=reference" : "cpu:");
    strcpy(caps->backend, "cpu");
    strcpy(caps->pe, "golden");
    caps->rows = 1;
    caps->lanes = 1;
    caps->max_n = CPU_MAX_N;
    caps->max_steps = UINT32_MAX;
    caps->acc_bits = 48;
    return ACCEL_OK;
}

static void cpu_close(struct accel_dev *dev)
{
    dev->priv = NULL;
}

static int cpu_can_run(const struct accel_dev *dev, accel_format f, uint32_t group,
                       struct accel_error *err)
{
    (void)dev;
    (void)f;
    (void)group;
    (void)err;
    return 1;
}

const struct accel_backend accel_backend_cpu = {
    .scheme = "cpu",
    .what = "golden model in C, exact by definition",
    .open = cpu_open,
    .close = cpu_close,
    .load = cpu_load,
    .run = cpu_run,
    .can_run = cpu_can_run,
    .list = NULL,
};
