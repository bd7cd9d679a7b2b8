/* gptq.c - codes and scales that keep a matrix's outputs, not its weights.
 * SPDX-License-Identifier: Apache-2.0
 *
 * With H = sum of x x^T over the calibration tokens, a row's output error is e^T H e for e = what the codes
 * stand for - the weights. GPTQ (arXiv 2210.17323) rounds the columns one after the other, those with the
 * largest inputs first, and moves the weights that are still to come so that they make up for the error. What
 * it leaves is then brought down by exact steps: each group's scale and zero point, then each code, takes the
 * legal value of least e^T H e with all others fixed, in turn (as decoupleQ does, arXiv 2404.12759). */
#include "row.h"

#include "matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 6, SC_LIMIT = 127 };
#define DAMPING            0.01 /* of the mean of H's diagonal */
#define CORRECTION_DAMPING 1.0

struct gptq {
    uint32_t cols;
    float *h;        /* [cols][cols] damped */
    float *diagonal; /* [cols] of h */
    float *inverse;  /* [cols] diagonal of h's inverse */
    float *u;        /* [cols][cols] upper triangle, H^-1 = U^T U in GPTQ's order */
    uint32_t *order; /* [cols] columns as GPTQ takes them */
};

/* ---- H ---- */

struct weighted {
    float weight;
    uint32_t col;
};

static int by_weight(const void *a, const void *b)
{
    const struct weighted *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->col < y->col ? -1 : x->col > y->col;
}

/* In place: the lower triangle of a becomes L with a = L L^T. a is positive definite. */
static bool cholesky(double *a, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            const double *x = a + i * n, *y = a + j * n;
            double part[8] = { 0 }, sum = x[j];
            size_t k = 0;
            for (; k + 8 <= j; k += 8)
                for (size_t p = 0; p < 8; p++)
                    part[p] += x[k + p] * y[k + p];
            for (; k < j; k++)
                part[0] += x[k] * y[k];
            for (size_t p = 0; p < 8; p++)
                sum -= part[p];
            if (i != j)
                a[i * n + j] = sum / a[j * n + j];
            else if (sum > 0 && isfinite(sum))
                a[i * n + i] = sqrt(sum);
            else
                return false;
        }
    }
    return true;
}

/* In place: lower triangle L becomes L^-1. */
static void invert_lower(double *l, size_t n, double *row)
{
    for (size_t i = 0; i < n; i++) {
        double d = 1.0 / l[i * n + i];
        memset(row, 0, n * sizeof *row);
        for (size_t k = 0; k < i; k++) {
            double f = l[i * n + k];
            for (size_t j = 0; j <= k; j++)
                row[j] += f * l[k * n + j];
        }
        for (size_t j = 0; j < i; j++)
            l[i * n + j] = -row[j] * d;
        l[i * n + i] = d;
    }
}

/* H backwards = L L^T, so H = M M^T with M = L backwards, an upper triangle; and U = M^-1 is L^-1 backwards. */
static int factor(struct gptq *g)
{
    size_t n = g->cols, bytes;
    double *a = NULL, *row = NULL;
    int rc = ACCEL_E_NOMEM;
    if (!mul_size(n, n, &bytes) || !mul_size(bytes, sizeof *a, &bytes) || !(a = malloc(bytes)) ||
        !(row = calloc(n, sizeof *row)))
        goto out;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            a[i * n + j] = (double)g->h[(size_t)g->order[n - 1 - i] * n + g->order[n - 1 - j]];
    rc = ACCEL_E_ARG;
    if (!cholesky(a, n))
        goto out;
    invert_lower(a, n, row);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++)
            g->u[i * n + j] = (float)a[(n - 1 - i) * n + n - 1 - j];
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++)
            g->inverse[g->order[j]] += g->u[i * n + j] * g->u[i * n + j];
    rc = ACCEL_OK;
out:
    free(a);
    free(row);
    return rc;
}

int gptq_new(const float *hessian, uint32_t cols, struct gptq **out, struct accel_error *err)
{
    struct gptq *g = calloc(1, sizeof *g);
    struct weighted *w = NULL;
    size_t n = cols, bytes;
    int rc = ACCEL_E_NOMEM;
    if (!g || !mul_size(n, n, &bytes) || !mul_size(bytes, sizeof *g->h, &bytes))
        goto out;
    g->cols = cols;
    g->h = malloc(bytes);
    g->u = calloc(1, bytes);
    g->diagonal = calloc(n, sizeof *g->diagonal);
    g->inverse = calloc(n, sizeof *g->inverse);
    g->order = calloc(n, sizeof *g->order);
    w = calloc(n, sizeof *w);
    if (!g->h || !g->u || !g->diagonal || !g->inverse || !g->order || !w)
        goto out;
    double mean = 0;
    for (size_t c = 0; c < n; c++)
        mean += (double)hessian[c * n + c] / (double)n;
    if (!isfinite(mean) || mean < 0) {
        rc = ACCEL_E_ARG;
        goto out;
    }
    mean = mean > 0 ? mean : 1.0;
    memcpy(g->h, hessian, bytes);
    for (size_t c = 0; c < n; c++) {
        g->h[c * n + c] += (float)(DAMPING * mean);
        g->diagonal[c] = g->h[c * n + c];
        w[c] = (struct weighted){ g->diagonal[c], (uint32_t)c };
    }
    qsort(w, n, sizeof *w, by_weight);
    for (size_t c = 0; c < n; c++)
        g->order[c] = w[c].col;
    rc = factor(g);
out:
    free(w);
    if (!rc) {
        *out = g;
        return ACCEL_OK;
    }
    gptq_free(g);
    return rc == ACCEL_E_NOMEM
               ? accel_fail(err, rc, "out of memory: a hessian of %u inputs", cols)
               : accel_fail(err, rc, "the calibration's sums over %u inputs are not finite", cols);
}

void gptq_free(struct gptq *g)
{
    if (!g)
        return;
    free(g->h);
    free(g->u);
    free(g->diagonal);
    free(g->inverse);
    free(g->order);
    free(g);
}

const float *gptq_weights(const struct gptq *g)
{
    return g->diagonal;
}

const float *gptq_inverse(const struct gptq *g)
{
    return g->inverse;
}

int quant_correct(const float *hessian, const float *cross, const float *missing, uint32_t rows,
                  uint32_t cols, float *w, struct accel_error *err)
{
    size_t n = cols, bytes;
    double *a = NULL, *v = calloc(n, sizeof *v), mean = 0;
    int rc = ACCEL_E_NOMEM;
    if (!v || !mul_size(n, n, &bytes) || !mul_size(bytes, sizeof *a, &bytes) ||
        !(a = malloc(bytes)))
        goto out;
    for (size_t i = 0; i < n; i++)
        mean += (double)hessian[i * n + i] / (double)n;
    for (size_t i = 0; i < n * n; i++)
        a[i] = (double)hessian[i];
    for (size_t i = 0; i < n; i++)
        a[i * n + i] += CORRECTION_DAMPING * mean + 1e-30;
    rc = ACCEL_E_ARG;
    if (!cholesky(a, n))
        goto out;
    for (uint32_t r = 0; r < rows; r++) {
        float *row = w + (size_t)r * n;
        for (size_t i = 0; i < n; i++)
            v[i] = missing ? (double)missing[(size_t)r * n + i] : 0.0;
        for (size_t i = 0; i < n; i++) {
            const float *x = cross + i * n, *y = hessian + i * n;
            double f = (double)row[i];
            for (size_t j = 0; j < n && f != 0.0; j++)
                v[j] += f * (double)(x[j] - y[j]);
        }
        for (size_t i = 0; i < n; i++) { /* L y = v */
            double sum = v[i];
            for (size_t j = 0; j < i; j++)
                sum -= a[i * n + j] * v[j];
            v[i] = sum / a[i * n + i];
        }
        for (size_t i = n; i-- > 0;) { /* L^T z = y */
            v[i] /= a[i * n + i];
            for (size_t j = 0; j < i; j++)
                v[j] -= a[i * n + j] * v[i];
        }
        for (size_t i = 0; i < n; i++)
            row[i] += (float)v[i];
    }
    rc = ACCEL_OK;
out:
    free(a);
    free(v);
    return rc == ACCEL_E_NOMEM ? accel_fail(err, rc, "out of memory: a hessian of %u inputs", cols)
           : rc ? accel_fail(err, rc, "the calibration's sums over %u inputs are not finite", cols)
                : ACCEL_OK;
}

/* ---- a row ---- */

static void round_columns(const struct gptq *g, struct row_work *r, const float *w)
{
    const size_t n = g->cols;
    float *left = r->work; /* the weights as they are now, in GPTQ's order */
    for (size_t i = 0; i < n; i++)
        left[i] = w[g->order[i]];
    for (size_t i = 0; i < n; i++) {
        const float *u = g->u + i * n;
        uint32_t c = g->order[i];
        row_set_code(r, c, left[i]);
        float error = (left[i] - r->value[c]) / u[i];
        if (error != 0.0f)
            for (size_t j = i + 1; j < n; j++)
                left[j] -= error * u[j];
    }
}

/* grad = H (value - w) */
static void set_gradient(const struct gptq *g, struct row_work *r, const float *w)
{
    const size_t n = g->cols;
    memset(r->grad, 0, n * sizeof *r->grad);
    for (size_t i = 0; i < n; i++) {
        float e = r->value[i] - w[i];
        const float *h = g->h + i * n;
        if (e != 0.0f)
            for (size_t j = 0; j < n; j++)
                r->grad[j] += e * h[j];
    }
}

static void move(const struct gptq *g, struct row_work *r, size_t col, float by)
{
    const float *h = g->h + col * g->cols;
    for (size_t j = 0; j < g->cols; j++)
        r->grad[j] += by * h[j];
}

/* One pass over the codes. @return how many changed */
static unsigned improve_codes(const struct gptq *g, struct row_work *r)
{
    unsigned changed = 0;
    for (uint32_t i = 0; i < g->cols; i++) {
        uint32_t c = g->order[i];
        float before = r->value[c], base = r->base[c];
        uint8_t code = r->row.codes[c];
        uint32_t slot = r->slot ? r->slot[c] : 0;
        int8_t k = slot ? r->row.k[slot - 1] : 0;
        row_set_code(r, c, before - r->grad[c] / g->diagonal[c]);
        float by = r->value[c] - before;
        if (by == 0.0f)
            continue;
        if (2.0f * r->grad[c] + by * g->diagonal[c] ==
            0.0f) { /* no better: stay, or it never ends */
            r->value[c] = before;
            r->base[c] = base;
            r->row.codes[c] = code;
            if (slot)
                r->row.k[slot - 1] = k;
            continue;
        }
        move(g, r, c, by);
        changed++;
    }
    return changed;
}

/* Column `out` gives its code up for column `in` of the same block if the error falls. */
static bool try_swap(const struct gptq *g, struct row_work *r, uint32_t out, uint32_t in)
{
    const float *h = g->h + (size_t)out * g->cols;
    float was = r->value[out], slope = r->grad[in] - was * h[in];
    r->row.kept[in] = 1;
    row_set_code(r, in, -slope / g->diagonal[in]);
    float now = r->value[in];
    if (was * (was * g->diagonal[out] - 2.0f * r->grad[out]) +
            now * (now * g->diagonal[in] + 2.0f * slope) <
        0.0f) {
        r->row.kept[out] = 0;
        row_set_code(r, out, 0.0f);
        move(g, r, out, -was);
        move(g, r, in, now);
        return true;
    }
    r->row.kept[in] = 0;
    row_set_code(r, in, 0.0f);
    return false;
}

/* N:M: which columns have a code. @return how many changed */
static unsigned improve_kept(const struct gptq *g, struct row_work *r)
{
    unsigned changed = 0;
    for (uint32_t i = 0; r->row.kept && i < g->cols; i++) {
        uint32_t out = g->order[i], first = out / r->type.block * r->type.block;
        uint32_t end = g->cols - first < r->type.block ? g->cols : first + r->type.block;
        for (uint32_t in = first; in < end && r->row.kept[out]; in++)
            if (!r->row.kept[in])
                changed += try_swap(g, r, out, in);
    }
    return changed;
}

/* delta^T H delta + 2 delta^T grad over the columns of one group: what adding delta does to the error. */
static double change(const struct gptq *g, const struct row_work *r, uint32_t first, uint32_t n,
                     const float *delta)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        const float *h = g->h + (size_t)(first + i) * g->cols + first;
        double dot = 0;
        if (delta[i] == 0.0f)
            continue;
        for (uint32_t j = 0; j < n; j++)
            dot += (double)(h[j] * delta[j]);
        sum += (double)delta[i] * (dot + 2.0 * (double)r->grad[first + i]);
    }
    return sum;
}

/* Give group g scale sc and zero point zero if the error falls. */
static bool try_header(const struct gptq *h, struct row_work *r, uint32_t g, uint32_t first,
                       uint32_t n, int8_t sc, uint8_t zero)
{
    int8_t old_sc = r->row.sc[g];
    uint8_t old_zero = r->row.zero ? r->row.zero[g] : 0;
    float step = r->step[g], offset = r->zero[g], *delta = r->work;
    if (sc == old_sc && zero == old_zero)
        return false;
    r->row.sc[g] = sc;
    if (r->row.zero)
        r->row.zero[g] = zero;
    row_set_step(r, g);
    for (uint32_t i = 0; i < n; i++) {
        float k = r->base[first + i] / step + offset; /* whole but for rounding */
        k = (float)round_even((double)k);
        delta[i] = r->step[g] * (k - r->zero[g]) - r->base[first + i];
    }
    if (change(h, r, first, n, delta) < 0.0) {
        for (uint32_t i = 0; i < n; i++) {
            if (delta[i] == 0.0f)
                continue;
            r->value[first + i] += delta[i];
            if (r->base != r->value)
                r->base[first + i] += delta[i];
            move(h, r, first + i, delta[i]);
        }
        return true;
    }
    r->row.sc[g] = old_sc;
    if (r->row.zero)
        r->row.zero[g] = old_zero;
    r->step[g] = step;
    r->zero[g] = offset;
    return false;
}

/* The scale (and zero point) of group g that least squares ask for, rounded to what a header holds. */
static bool improve_header(const struct gptq *h, struct row_work *r, uint32_t g, uint32_t first,
                           uint32_t n)
{
    double aa = 0, ab = 0, bb = 0, ag = 0, bg = 0; /* a: along the scale, b: along the offset */
    if (r->row.sc[g] == 0)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const float *row = h->h + (size_t)(first + i) * h->cols + first;
        double a = 0, b = 0, u = (double)r->base[first + i];
        for (uint32_t j = 0; j < n; j++) {
            a += (double)(row[j] * r->base[first + j]);
            b += (double)row[j];
        }
        aa += u * a;
        ab += a;
        bb += b;
        ag += u * (double)r->grad[first + i];
        bg += (double)r->grad[first + i];
    }
    double grow = aa > 0 ? -ag / aa : 0.0, shift = 0.0;
    double det = aa * bb - ab * ab;
    if (r->row.zero && det > 1e-9 * aa * bb) {
        grow = (-ag * bb + bg * ab) / det;
        shift = (-bg * aa + ag * ab) / det;
    }
    double sc = round_even(r->row.sc[g] * (1.0 + grow));
    if (sc == 0.0 || fabs(sc) > SC_LIMIT)
        return false;
    if (!r->row.zero)
        return try_header(h, r, g, first, n, (int8_t)sc, 0);
    /* offset = -step * zero grows along and is shifted */
    double offset = -(double)r->step[g] * (double)r->zero[g] * (1.0 + grow) + shift;
    double zero = -offset / ((double)r->row.row_scale * sc);
    zero = round_even(ldexp(zero, 8 - (int)accel_format_bits(r->type.format)));
    zero = zero < 0.0 ? 0.0 : zero > 255.0 ? 255.0 : zero;
    return try_header(h, r, g, first, n, (int8_t)sc, (uint8_t)zero);
}

static unsigned improve_headers(const struct gptq *h, struct row_work *r)
{
    unsigned changed = 0;
    uint32_t group = r->type.group ? r->type.group : r->cols;
    if (r->type.mx || r->row.book)
        return 0;
    for (uint32_t g = 0, first = 0; g < r->groups; g++, first += group) {
        uint32_t n = r->cols - first < group ? r->cols - first : group;
        changed += improve_header(h, r, g, first, n);
    }
    return changed;
}

void gptq_row(const struct gptq *g, struct row_work *r, const float *w)
{
    round_columns(g, r, w);
    set_gradient(g, r, w);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned changed = improve_headers(g, r);
        changed += improve_kept(g, r);
        changed += improve_codes(g, r);
        if (!changed)
            break;
    }
}

void gptq_error(const struct gptq *g, struct row_work *r, const float *w, double *error,
                double *norm)
{
    *error = *norm = 0;
    set_gradient(g, r, w); /* what the moves summed up has rounding in it */
    for (size_t i = 0; i < g->cols; i++) {
        const float *h = g->h + i * g->cols;
        float part[8] = { 0 };
        double sum = 0;
        size_t j = 0;
        *error += (double)(r->value[i] - w[i]) * (double)r->grad[i];
        for (; j + 8 <= g->cols; j += 8)
            for (size_t k = 0; k < 8; k++)
                part[k] += h[j + k] * w[j + k];
        for (; j < g->cols; j++)
            part[0] += h[j] * w[j];
        for (size_t k = 0; k < 8; k++)
            sum += (double)part[k];
        *norm += (double)w[i] * sum;
    }
}
