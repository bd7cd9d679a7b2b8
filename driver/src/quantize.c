/* quantize.c - real weights to codes, for every format.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Integers round to the nearest multiple of a scale. Everything else holds a list of values: the
 * largest magnitude meets the largest |k|, and each weight takes the nearest value, halfway the one
 * with an even code (and if that does not decide, the smaller one). Where a group has a choice, of
 * a special value or a type, it takes what gives the least squared error. */
#include "matrix.h"

#include <math.h>
#include <stdlib.h>

#define SHORT_LIST 16u

/* The distinct values of a format, ascending. */
struct levels {
    unsigned count;
    double top;    /* largest |k| */
    double k[256]; /* beyond count, but below SHORT_LIST: infinite */
    uint8_t code[256];
};

struct quantizer {
    accel_format format;
    unsigned choices;        /* selectors a group may take; 0: rounded without levels */
    struct levels levels[4]; /* by selector; OliVe: normals, outliers */
};

#define NORMALS  0
#define OUTLIERS 1

/* ---- levels ---- */

/* Values that are there already, negative zeros above all, keep their first code. */
static void add_level(struct levels *l, int k, unsigned code)
{
    unsigned at = l->count;
    for (unsigned i = 0; i < SHORT_LIST && l->count == 0; i++)
        l->k[i] = INFINITY;
    for (unsigned i = 0; i < l->count; i++)
        if (l->k[i] == k)
            return;
    for (; at > 0 && l->k[at - 1] > k; at--) {
        l->k[at] = l->k[at - 1];
        l->code[at] = l->code[at - 1];
    }
    l->k[at] = k;
    l->code[at] = (uint8_t)code;
    l->count++;
    l->top = fmax(l->top, fabs(l->k[at]));
}

static unsigned nearest(const struct levels *l, double q)
{
    unsigned low = 0, high = l->count; /* the first that is not below q */
    if (high <= SHORT_LIST) {
        for (unsigned i = 0; i < SHORT_LIST; i++) /* counting has no branches to guess */
            low += l->k[i] < q;
        high = low;
    }
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (l->k[middle] < q)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return 0;
    if (low == l->count)
        return low - 1;
    double below = q - l->k[low - 1], above = l->k[low] - q;
    if (below != above)
        return below < above ? low - 1 : low;
    bool even = (l->code[low] & 1u) == 0;
    if (even != ((l->code[low - 1] & 1u) == 0))
        return even ? low : low - 1;
    return fabs(l->k[low]) < fabs(l->k[low - 1]) ? low : low - 1;
}

static void format_levels(accel_format f, unsigned sel, struct levels *l)
{
    for (unsigned c = 0; c < 1u << accel_format_bits(f); c++) {
        if (f == ACCEL_ANT4 && sel == 0 && c == 8)
            continue; /* -8: integers are symmetric here as elsewhere */
        add_level(l, accel_format_decode_in(f, c, sel, 0, NULL), c); /* NaN is one more zero */
    }
}

int quantizer_new(accel_format f, struct quantizer **q, struct accel_error *err)
{
    struct quantizer *n = calloc(1, sizeof *n);
    if (!n)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: quantizing to %s",
                          accel_format_name(f));
    n->format = f;
    switch (f) {
    case ACCEL_CODEBOOK3:
    case ACCEL_CODEBOOK4: break;
    case ACCEL_OLIVE4:
    case ACCEL_OLIVE4F:
        format_levels(f, 0, &n->levels[NORMALS]);
        for (unsigned c = 1; c < 16; c++)
            if (c != 8)
                add_level(&n->levels[OUTLIERS], accel_format_decode_in(f, c, 0, 8, NULL), c);
        break;
    default:
        if ((f & 0xF00u) >= ACCEL_CODING_FLOAT)
            n->choices = accel_format_has_sel(f) ? 4 : 1;
        for (unsigned sel = 0; sel < n->choices; sel++)
            format_levels(f, sel, &n->levels[sel]);
        break;
    }
    *q = n;
    return ACCEL_OK;
}

void quantizer_free(struct quantizer *q)
{
    free(q);
}

/* ---- groups ---- */

struct range {
    double min, max, sum, squares; /* sum of magnitudes, sum of squares */
};

static struct range find_range(const float *w, uint32_t n)
{
    struct range r = { w[0], w[0], 0.0, 0.0 };
    for (uint32_t i = 0; i < n; i++) {
        double v = w[i];
        r.min = v < r.min ? v : r.min;
        r.max = v > r.max ? v : r.max;
        r.sum += fabs(v);
        r.squares += v * v;
    }
    return r;
}

static double clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

/* Scales are float32 numbers, as a file would hold them. */
static double float32(double v)
{
    return (double)(float)v;
}

static double square(double v)
{
    return v * v;
}

/* Integers, ternary and bipolar. */
static void round_group(accel_format f, const float *w, uint32_t n, uint8_t *codes, double *scale,
                        double *offset)
{
    unsigned bits = accel_format_bits(f);
    double top = (double)((1u << bits) - 1); /* largest code */
    double half = (double)(1u << (bits - 1));
    struct range r = find_range(w, n);
    double peak = fmax(fabs(r.min), fabs(r.max)), s;
    switch (f & 0xF00u) {
    case ACCEL_CODING_UNSIGNED:
        s = (r.max - r.min) / top;
        *offset = r.min;
        break;
    case ACCEL_CODING_BIPOLAR: s = peak / top; break;
    case ACCEL_CODING_TERNARY: s = r.sum / n; break;
    default:
        s = peak / (bits == 1 ? 1.0 : half - 1); /* int1 holds -1 and 0 */
        break;
    }
    s = float32(s);
    *scale = s;
    for (uint32_t i = 0; i < n; i++) {
        double q = s > 0.0 ? (w[i] - *offset) / s : 0.0;
        int code;
        switch (f & 0xF00u) {
        case ACCEL_CODING_UNSIGNED: code = (int)clamp(round_even(q), 0.0, top); break;
        case ACCEL_CODING_BIPOLAR: code = (int)clamp(round_even((q + top) / 2), 0.0, top); break;
        case ACCEL_CODING_TERNARY: code = (int)clamp(round_even(q), -1.0, 1.0) + 1; break;
        default: code = (int)clamp(round_even(q), -half, half - 1); break;
        }
        codes[i] = (uint8_t)((unsigned)code & (unsigned)top);
    }
}

/* What the nearest values at scale s are off by, squared; codes are written unless NULL. */
static double level_codes(const struct levels *l, const float *w, uint32_t n, double s,
                          uint8_t *codes)
{
    double error = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        unsigned at = nearest(l, s > 0.0 ? w[i] / s : 0.0);
        error += square(w[i] - s * l->k[at]);
        if (codes)
            codes[i] = l->code[at];
    }
    return error;
}

static void level_group(const struct quantizer *q, const float *w, uint32_t n, uint8_t *codes,
                        double *scale, uint8_t *sel)
{
    struct range r = find_range(w, n);
    double peak = fmax(fabs(r.min), fabs(r.max)), least = INFINITY;
    unsigned best = 0;
    for (unsigned i = 0; i < q->choices && q->choices > 1; i++) {
        double error = level_codes(&q->levels[i], w, n, float32(peak / q->levels[i].top), NULL);
        if (error < least) {
            least = error;
            best = i;
        }
    }
    *scale = float32(peak / q->levels[best].top);
    level_codes(&q->levels[best], w, n, *scale, codes);
    if (sel)
        *sel = (uint8_t)best;
}

/* A pair as two normals, or one as an outlier and the other as its victim. */
static double pair_codes(const struct levels *levels, const float *w, double s, uint8_t *codes)
{
    const struct levels *normals = &levels[NORMALS], *outliers = &levels[OUTLIERS];
    double as_normals = 0.0, as_outlier[2];
    unsigned normal[2], outlier[2];
    for (unsigned i = 0; i < 2; i++) {
        double q = s > 0.0 ? w[i] / s : 0.0;
        normal[i] = nearest(normals, q);
        outlier[i] = nearest(outliers, q);
        as_normals += square(w[i] - s * normals->k[normal[i]]);
        as_outlier[i] = square(w[i] - s * outliers->k[outlier[i]]) + square(w[1 - i]);
    }
    unsigned left = as_outlier[0] <= as_outlier[1] ? 0 : 1;
    if (as_normals <= as_outlier[left]) {
        codes[0] = normals->code[normal[0]];
        codes[1] = normals->code[normal[1]];
        return as_normals;
    }
    codes[left] = outliers->code[outlier[left]];
    codes[1 - left] = 8;
    return as_outlier[left];
}

/* Gives up where the error reaches `limit`. */
static double olive_codes(const struct levels *levels, const float *w, uint32_t n, double s,
                          double limit, uint8_t *codes)
{
    double error = 0.0;
    for (uint32_t i = 0; i + 1 < n && error < limit; i += 2)
        error += pair_codes(levels, w + i, s, codes + i);
    if (n % 2)
        error += level_codes(&levels[NORMALS], w + n - 1, 1, s, codes + n - 1);
    return error;
}

/* The top of the normals is put at the largest magnitude, which needs no outliers, and at quarters
 * of the standard deviation (about 0) up to 4 of them; the least squared error decides. */
static void olive_group(const struct quantizer *q, const float *w, uint32_t n, uint8_t *codes,
                        double *scale)
{
    struct range r = find_range(w, n);
    double top = q->levels[NORMALS].top, sigma = sqrt(r.squares / n);
    double best = float32(fmax(fabs(r.min), fabs(r.max)) / top);
    double least = olive_codes(q->levels, w, n, best, INFINITY, codes);
    for (int quarters = 2; quarters <= 16; quarters++) {
        double s = float32(quarters * 0.25 * sigma / top);
        double error = olive_codes(q->levels, w, n, s, least, codes);
        if (error < least) {
            least = error;
            best = s;
        }
    }
    olive_codes(q->levels, w, n, best, INFINITY, codes);
    *scale = best;
}

/* ---- codebooks ----
 *
 * k-means in one dimension has an exact answer. If every weight v took value c_j, the squared
 * errors would be sum(v^2) - 2 c_j sum(v) + c_j^2 n. Giving the weights below the border b between
 * two values i < j to i instead saves 2 (c_j - c_i) * sum(b - v) over those weights, and savings of
 * several borders add up. So the best table is a path from place to place, and what a step saves
 * depends on its two ends alone. */

#define BOOK_MAX 127                /* a value of a codebook is one of -127..127 */
#define PLACES   (2 * BOOK_MAX + 1) /* ... and has this many places to be */
#define BORDERS  (2 * PLACES - 1)   /* border i + j lies halfway between places i and j */

/* The most that values at places up to j can save, if j is the c-th of them (counted from 0), from
 * the same for one value less; from[j] is the place before. It only moves up with j, so the places
 * already solved on both sides of j say where to look. */
static void best_steps(const double *border, int c, const double *before, double *saved,
                       uint8_t *from)
{
    const int count = PLACES - c; /* j = c .. PLACES - 1 */
    for (int step = 128; step > 0; step /= 2) {
        for (int t = step; t <= count; t += 2 * step) {
            int j = c - 1 + t;
            int low = t > step ? from[j - step] : c - 1;
            int high = t + step <= count ? from[j + step] : PLACES - 2;
            saved[j] = -INFINITY;
            for (int i = low; i <= high && i < j; i++) {
                double s = before[i] + (j - i) * border[i + j];
                if (s > saved[j]) {
                    saved[j] = s;
                    from[j] = (uint8_t)i;
                }
            }
        }
    }
}

/* The `count` values of least squared error for n weights with that sum; border: see above,
 * doubled. */
static void best_values(const double *border, double n, double sum, int count, int8_t *values)
{
    double saved[2][PLACES] = { { 0.0 } };
    uint8_t from[16][PLACES];
    for (int c = 1; c < count; c++)
        best_steps(border, c, saved[(c - 1) & 1], saved[c & 1], from[c]);
    int best = count - 1;
    double least = INFINITY;
    for (int j = count - 1; j < PLACES; j++) {
        double c = j - BOOK_MAX, error = c * c * n - 2.0 * c * sum - saved[(count - 1) & 1][j];
        if (error < least) {
            least = error;
            best = j;
        }
    }
    for (int c = count - 1; c >= 0; c--) {
        values[c] = (int8_t)(best - BOOK_MAX);
        if (c > 0)
            best = from[c][best];
    }
}

void quantizer_fit_book(unsigned bits, const float *w, const float *weight, uint32_t count,
                        int8_t *book, double *scale)
{
    struct range r = find_range(w, count);
    double n[BORDERS] = { 0.0 }, sum[BORDERS] = { 0.0 }, border[BORDERS];
    double s = float32(fmax(fabs(r.min), fabs(r.max)) / BOOK_MAX);
    double below = 0.0, below_sum = 0.0;
    for (uint32_t c = 0; c < count; c++) { /* between two borders, by the lower one */
        double v = s > 0.0 ? clamp(w[c] / s, -BOOK_MAX, BOOK_MAX) : 0.0;
        double counts = weight ? (double)weight[c] : 1.0;
        int at = (int)floor(2.0 * v) + 2 * BOOK_MAX;
        n[at] += counts;
        sum[at] += counts * v;
    }
    for (int b = 0; b < BORDERS; b++) {
        border[b] = (b - 2 * BOOK_MAX) * below - 2.0 * below_sum;
        below += n[b];
        below_sum += sum[b];
    }
    best_values(border, below, below_sum, 1 << bits, book);
    *scale = s;
}

static void codebook_row(struct accel_matrix *m, uint32_t row, const float *w, double *scale)
{
    const unsigned bits = accel_format_bits(m->format);
    int8_t *book = m->codebook + ((size_t)row << bits);
    struct levels levels = { .count = 0 };
    double s;
    quantizer_fit_book(bits, w, NULL, m->cols, book, &s);
    for (unsigned c = 0; c < 1u << bits; c++)
        add_level(&levels, book[c], c);
    level_codes(&levels, w, m->cols, s, m->codes + (size_t)row * m->cols);
    for (uint32_t g = 0; g < m->groups; g++)
        scale[g] = s;
}

/* ---- rows ---- */

static int check_weights(const struct accel_matrix *m, uint32_t row, const float *w,
                         struct accel_error *err)
{
    for (uint32_t c = 0; c < m->cols; c++) {
        if (!isfinite(w[c]))
            return accel_fail(err, ACCEL_E_ARG,
                              "matrix row %u, column %u: the weight is not a finite number", row,
                              c);
        if (m->format == ACCEL_UFLINT4 && w[c] < 0.0f)
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "matrix row %u, column %u: the weight is negative and uflint4 has no "
                              "negative values; use flint4",
                              row, c);
    }
    return ACCEL_OK;
}

int quantize_row(const struct quantizer *q, struct accel_matrix *m, uint32_t row, const float *w,
                 struct aligner *a, struct accel_error *err)
{
    uint8_t *codes = m->codes + (size_t)row * m->cols;
    uint8_t *sel = m->sel ? m->sel + (size_t)row * m->groups : NULL;
    uint32_t group = m->group ? m->group : m->cols;
    int rc = check_weights(m, row, w, err);
    if (rc)
        return rc;
    if (m->codebook)
        codebook_row(m, row, w, a->scale);
    for (uint32_t g = 0, c = 0; g < m->groups; g++, c += group) {
        uint32_t n = m->cols - c < group ? m->cols - c : group;
        a->offset[g] = 0.0;
        if (q->choices)
            level_group(q, w + c, n, codes + c, &a->scale[g], sel ? &sel[g] : NULL);
        else if (q->levels[OUTLIERS].count)
            olive_group(q, w + c, n, codes + c, &a->scale[g]);
        else if (!m->codebook)
            round_group(m->format, w + c, n, codes + c, &a->scale[g], &a->offset[g]);
        if (!isfinite(a->scale[g]))
            return accel_fail(err, ACCEL_E_ARG,
                              "matrix row %u, column %u: the weights' range is beyond float32", row,
                              c);
    }
    return align_row(m, row, a, err);
}

int accel_matrix_quantize(accel_format f, uint32_t group, uint32_t rows, uint32_t cols,
                          const float *w, accel_matrix **mat, struct accel_error *err)
{
    accel_no_error(err);
    if (!w || !mat)
        return accel_fail(err, ACCEL_E_ARG, "matrix: w and mat must be given");
    int rc = matrix_check_shape(f, rows, cols, group, err);
    if (rc)
        return rc;
    struct aligner a = { .sums = NULL };
    struct accel_matrix *m = NULL;
    struct quantizer *q = NULL;
    rc = matrix_new(f, rows, cols, group, &m, err);
    if (!rc)
        rc = aligner_init(&a, m, err);
    if (!rc)
        rc = quantizer_new(f, &q, err);
    for (uint32_t r = 0; r < rows && !rc; r++)
        rc = quantize_row(q, m, r, w + (size_t)r * cols, &a, err);
    if (!rc)
        rc = align_finish(m, &a, err);
    if (rc)
        goto out;
    *mat = m;
    m = NULL;
out:
    quantizer_free(q);
    aligner_free(&a);
    accel_matrix_free(m);
    return rc;
}
