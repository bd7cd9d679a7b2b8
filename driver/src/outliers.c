/* outliers.c - weights beside the codes: exact parts, their share of the proof, quantizing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "matrix.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define K_TOP    32767.0
#define SC_SHIFT 10 /* the largest power of two that sc holds */

/* ---- lists ---- */

void outliers_free(struct outliers *o)
{
    if (!o)
        return;
    free(o->first);
    free(o->col);
    free(o->k);
    free(o->sc);
    free(o->sh);
    free(o);
}

struct outliers *outliers_new(uint32_t rows, size_t count)
{
    struct outliers *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->first = calloc((size_t)rows + 1, sizeof *o->first);
    o->col = calloc(count ? count : 1, sizeof *o->col);
    o->k = calloc(count ? count : 1, sizeof *o->k);
    o->sc = calloc(rows, sizeof *o->sc);
    o->sh = calloc(rows, sizeof *o->sh);
    if (o->first && o->col && o->k && o->sc && o->sh)
        return o;
    outliers_free(o);
    return NULL;
}

/* Put the rows of `from` (NULL: rows without outliers) behind the first `row` of `to`. */
static void append(struct outliers *to, uint32_t row, const struct outliers *from, uint32_t rows)
{
    const uint32_t at = to->first[row];
    for (uint32_t r = 1; r <= rows; r++)
        to->first[row + r] = at + (from ? from->first[r] : 0);
    if (!from)
        return;
    memcpy(to->col + at, from->col, from->first[rows] * sizeof *to->col);
    memcpy(to->k + at, from->k, from->first[rows] * sizeof *to->k);
    memcpy(to->sc + row, from->sc, rows * sizeof *to->sc);
    memcpy(to->sh + row, from->sh, rows);
}

struct outliers *outliers_clone(const struct outliers *o, uint32_t rows)
{
    struct outliers *copy = outliers_new(rows, o->first[rows]);
    if (copy)
        append(copy, 0, o, rows);
    return copy;
}

int outliers_stack(const struct accel_matrix *const *mats, uint32_t count, struct accel_matrix *m,
                   struct accel_error *err)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < count; i++)
        all += mats[i]->outliers ? mats[i]->outliers->first[mats[i]->rows] : 0;
    if (all == 0)
        return ACCEL_OK;
    if (all > UINT32_MAX)
        return accel_fail(err, ACCEL_E_ARG, "stack: 2^32 outliers or more");
    m->outliers = outliers_new(m->rows, (size_t)all);
    if (!m->outliers)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: %llu outliers",
                          (unsigned long long)all);
    uint32_t row = 0;
    for (uint32_t i = 0; i < count; i++) {
        append(m->outliers, row, mats[i]->outliers, mats[i]->rows);
        row += mats[i]->rows;
    }
    return ACCEL_OK;
}

/* ---- exact parts ---- */

static int check_row(const struct accel_matrix_parts *p, uint32_t row, struct accel_error *err)
{
    const struct accel_outliers *o = p->outliers;
    uint64_t sum = 0;
    if (o->sc[row] < -2048 || o->sc[row] > 2047)
        return accel_fail(err, ACCEL_E_ARG,
                          "matrix row %u: sc of its outliers is outside -2048..2047 (%d)", row,
                          o->sc[row]);
    if (o->sh && o->sh[row] > SH_MAX)
        return accel_fail(err, ACCEL_E_ARG,
                          "matrix row %u: sh of its outliers is outside 0..15 (%u)", row,
                          o->sh[row]);
    for (uint32_t i = o->first[row]; i < o->first[row + 1]; i++) {
        if (o->col[i] >= p->cols)
            return accel_fail(err, ACCEL_E_ARG,
                              "matrix row %u: an outlier in column %u of %u columns", row,
                              o->col[i], p->cols);
        if (i > o->first[row] && o->col[i] <= o->col[i - 1])
            return accel_fail(err, ACCEL_E_ARG,
                              "matrix row %u, column %u: outliers must be sorted by column, each "
                              "column once",
                              row, o->col[i]);
        sum += (uint64_t)abs(o->k[i]);
    }
    if (sum > OUTLIERS_SUM)
        return accel_fail(err, ACCEL_E_ARG,
                          "matrix row %u: the magnitudes of its outliers add up to %llu, more than "
                          "%u; use smaller k and a larger sc or sh",
                          row, (unsigned long long)sum, OUTLIERS_SUM);
    return ACCEL_OK;
}

int outliers_from_parts(const struct accel_matrix_parts *p, struct outliers **out,
                        struct accel_error *err)
{
    const struct accel_outliers *o = p->outliers;
    if (!o)
        return ACCEL_OK;
    if (!o->first || !o->col || !o->k || !o->sc)
        return accel_fail(err, ACCEL_E_ARG,
                          "matrix: first, col, k and sc of its outliers must be given");
    if (o->first[0] != 0)
        return accel_fail(err, ACCEL_E_ARG, "matrix row 0: its outliers begin at %u, not at 0",
                          o->first[0]);
    for (uint32_t r = 0; r < p->rows; r++) {
        if (o->first[r + 1] < o->first[r])
            return accel_fail(err, ACCEL_E_ARG, "matrix row %u: its outliers end at %u before %u",
                              r, o->first[r + 1], o->first[r]);
        int rc = check_row(p, r, err);
        if (rc)
            return rc;
    }
    const uint32_t count = o->first[p->rows];
    if (count == 0)
        return ACCEL_OK;
    struct outliers *n = outliers_new(p->rows, count);
    if (!n)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: %u outliers", count);
    memcpy(n->first, o->first, ((size_t)p->rows + 1) * sizeof *n->first);
    memcpy(n->col, o->col, count * sizeof *n->col);
    memcpy(n->k, o->k, count * sizeof *n->k);
    memcpy(n->sc, o->sc, p->rows * sizeof *n->sc);
    if (o->sh)
        memcpy(n->sh, o->sh, p->rows);
    *out = n;
    return ACCEL_OK;
}

uint64_t outliers_row_sum(const struct outliers *o, uint32_t row)
{
    uint64_t sum = 0;
    for (uint32_t i = o->first[row]; i < o->first[row + 1]; i++)
        sum += (uint64_t)abs(o->k[i]);
    return sum;
}

int64_t outliers_value(const struct outliers *o, uint32_t row, uint32_t col)
{
    uint32_t low = o->first[row], high = o->first[row + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (o->col[middle] < col)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == o->first[row + 1] || o->col[low] != col)
        return 0;
    return (int64_t)o->sc[row] * o->k[low] * ((int64_t)1 << o->sh[row]);
}

/* ---- quantizing ---- */

struct weight {
    float magnitude;
    uint32_t col;
};

/* The larger first, of equal ones the one further left. */
static int by_magnitude(const void *a, const void *b)
{
    const struct weight *l = a, *r = b;
    if (l->magnitude != r->magnitude)
        return l->magnitude > r->magnitude ? -1 : 1;
    return l->col < r->col ? -1 : 1;
}

static int by_column(const void *a, const void *b)
{
    const struct weight *l = a, *r = b;
    return l->col < r->col ? -1 : 1;
}

/* Take the `count` largest weights out of a row: their columns into the list, zeros into `rest`. */
static void take_largest(struct outliers *o, uint32_t row, uint32_t count, uint32_t cols,
                         const float *w, struct weight *sorted, float *rest)
{
    const uint32_t at = o->first[row];
    for (uint32_t c = 0; c < cols; c++)
        sorted[c] = (struct weight){ fabsf(w[c]), c };
    memcpy(rest, w, cols * sizeof *rest);
    qsort(sorted, cols, sizeof *sorted, by_magnitude);
    qsort(sorted, count, sizeof *sorted, by_column);
    for (uint32_t i = 0; i < count; i++) {
        o->col[at + i] = sorted[i].col;
        rest[sorted[i].col] = 0.0f;
    }
    o->first[row + 1] = at + count;
}

/* Halve the row scale: what is there already keeps its value. False where sh or float32 ends. */
static bool refine_row(struct accel_matrix *m, uint32_t row)
{
    uint8_t *sh = m->sh + (size_t)row * m->groups;
    const float finer = m->row_scale[row] / 2;
    for (uint32_t g = 0; g < m->groups; g++)
        if (sh[g] == SH_MAX)
            return false;
    if (fabsf(finer) < FLT_MIN)
        return false;
    for (uint32_t g = 0; g < m->groups; g++)
        sh[g]++;
    m->row_scale[row] = finer;
    return true;
}

static void coarsen_row(struct accel_matrix *m, uint32_t row)
{
    for (size_t i = (size_t)row * m->groups, end = i + m->groups; i < end; i++)
        m->sh[i]--;
    m->row_scale[row] *= 2;
}

static bool row_is_zero(const struct accel_matrix *m, uint32_t row)
{
    for (size_t i = (size_t)row * m->groups, end = i + m->groups; i < end; i++)
        if (m->sc[i] || m->oc[i])
            return false;
    return true;
}

/* The smallest e such that 2^e is at least v > 0. */
static int exponent_above(double v)
{
    int e;
    return frexp(v, &e) == 0.5 ? e - 1 : e;
}

/* k, sc and sh of a row whose dense part is there: the unit of its outliers is the row scale times
 * the least power of two in which they fit k and the accumulator. A row scale that is coarser is
 * made finer, as far as sh goes. */
static int fit_row(struct accel_matrix *m, uint32_t row, const float *w, const uint64_t *sums,
                   double *excess, struct accel_error *err)
{
    struct outliers *o = m->outliers;
    const uint32_t from = o->first[row], count = o->first[row + 1] - from;
    double largest = 0.0, sum = 0.0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t c = o->col[from + i];
        excess[i] = w[c] - accel_matrix_value(m, row, c);
        largest = fmax(largest, fabs(excess[i]));
        sum += fabs(excess[i]);
    }
    if (largest == 0.0)
        return ACCEL_OK;
    const double least = fmax(largest / K_TOP, sum / (OUTLIERS_SUM - count / 2.0));
    int e = exponent_above(least / fabsf(m->row_scale[row])), fine = 0;
    if (row_is_zero(m, row)) {
        int unit = exponent_above(least);
        unit = unit < FLT_MIN_EXP - 1 ? FLT_MIN_EXP - 1 : unit;
        m->row_scale[row] = (float)ldexp(1.0, unit);
        e = 0;
    }
    for (; e < 0 && refine_row(m, row); e++)
        fine++;
    for (e = e < 0 ? 0 : e; e <= SH_MAX + SC_SHIFT; e++) {
        const double unit = ldexp((double)m->row_scale[row], e);
        o->sh[row] = (uint8_t)(e < SH_MAX ? e : SH_MAX);
        o->sc[row] = (int16_t)(1 << (e - o->sh[row]));
        for (uint32_t i = 0; i < count; i++)
            o->k[from + i] = (int16_t)round_even(excess[i] / unit);
        if (matrix_row_bound(m, row, sums) < ACC_LIMIT)
            return ACCEL_OK;
        if (fine) {
            coarsen_row(m, row);
            fine--;
            e--;
        }
    }
    return accel_fail(err, ACCEL_E_OVERFLOW,
                      "matrix row %u: its outliers are too large against its other weights", row);
}

/* Outliers in the rows before `row`: no row rounds its own share, so that narrow matrices come to
 * the fraction too. */
static uint32_t outliers_before(double per_row, uint32_t row)
{
    return (uint32_t)floor(per_row * row);
}

int accel_matrix_quantize_outliers(accel_format f, uint32_t group, uint32_t rows, uint32_t cols,
                                   const float *w, double fraction, accel_matrix **mat,
                                   struct accel_error *err)
{
    accel_no_error(err);
    if (!w || !mat)
        return accel_fail(err, ACCEL_E_ARG, "matrix: w and mat must be given");
    if (!(fraction >= 0.0 && fraction <= 1.0))
        return accel_fail(err, ACCEL_E_ARG, "matrix: a fraction of %g outliers; use 0 to 1",
                          fraction);
    int rc = matrix_check_shape(f, rows, cols, group, err);
    if (rc)
        return rc;
    const double per_row = fraction * cols;
    if (per_row > OUTLIERS_SUM || per_row * rows > (double)UINT32_MAX)
        return accel_fail(err, ACCEL_E_ARG,
                          "matrix: %.0f outliers a row in %u rows; a row holds %u, a matrix 2^32",
                          per_row, rows, OUTLIERS_SUM);
    struct aligner a = { .sums = NULL };
    struct accel_matrix *m = NULL;
    struct quantizer *q = NULL;
    struct weight *sorted = calloc(cols, sizeof *sorted);
    float *rest = calloc(cols, sizeof *rest);
    double *excess = calloc(cols, sizeof *excess);
    rc = matrix_new(f, rows, cols, group, &m, err);
    if (rc)
        goto out;
    m->outliers = outliers_new(rows, outliers_before(per_row, rows));
    if (!sorted || !rest || !excess || !m->outliers) {
        rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory: outliers of a matrix of %u x %u", rows,
                        cols);
        goto out;
    }
    rc = aligner_init(&a, m, err);
    if (!rc)
        rc = quantizer_new(f, &q, err);
    for (uint32_t r = 0; r < rows && !rc; r++, w += cols) {
        const uint32_t count = outliers_before(per_row, r + 1) - outliers_before(per_row, r);
        for (uint32_t c = 0; c < cols && !rc; c++)
            if (!isfinite(w[c]))
                rc = accel_fail(err, ACCEL_E_ARG,
                                "matrix row %u, column %u: the weight is not a finite number", r,
                                c);
        if (rc)
            goto out;
        take_largest(m->outliers, r, count, cols, w, sorted, rest);
        rc = quantize_row(q, m, r, rest, &a, err);
        if (!rc)
            rc = fit_row(m, r, w, a.sums, excess, err);
    }
    if (!rc && m->outliers->first[rows] == 0) {
        outliers_free(m->outliers);
        m->outliers = NULL;
    }
    if (!rc)
        rc = align_finish(m, &a, err);
    if (rc)
        goto out;
    *mat = m;
    m = NULL;
out:
    free(sorted);
    free(rest);
    free(excess);
    quantizer_free(q);
    aligner_free(&a);
    accel_matrix_free(m);
    return rc;
}
