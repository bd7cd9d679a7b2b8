/* matrix.c - quantized matrices: exact parts, quantization, ggml tensors, scale alignment, proof.
 * SPDX-License-Identifier: Apache-2.0 */
#include "matrix.h"

#include "ggml_blocks.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SC_BITS   11 /* magnitude bits of sc */
#define SC_MAX    2047
#define OC_BITS   19 /* magnitude bits of oc */
#define OC_MAX    524287
#define SH_MAX    15
#define ACC_LIMIT ((uint64_t)1 << 47)
#define X_MAX     128 /* largest |activation| */

bool matrix_group_valid(uint32_t group)
{
    switch (group) {
    case 0:
    case 16:
    case 32:
    case 48:
    case 64:
    case 96:
    case 128:
    case 256: return true;
    default: return false;
    }
}

/* ---- construction ---- */

static int check_shape(accel_format f, uint32_t rows, uint32_t cols, uint32_t group,
                       struct accel_error *err)
{
    if (!accel_format_valid(f))
        return accel_fail(err, ACCEL_E_ARG, "matrix: 0x%x is no weight format", (unsigned)f);
    if (rows == 0 || cols == 0)
        return accel_fail(err, ACCEL_E_ARG, "matrix: %u x %u has no elements", rows, cols);
    if (!matrix_group_valid(group))
        return accel_fail(err, ACCEL_E_ARG,
                          "matrix: group %u; use 16, 32, 48, 64, 96, 128, 256, or 0 for one group "
                          "a row",
                          group);
    return ACCEL_OK;
}

/* A matrix of that shape with sc, sh and oc 0 and row scales 1. */
static int matrix_new(accel_format f, uint32_t rows, uint32_t cols, uint32_t group,
                      struct accel_matrix **out, struct accel_error *err)
{
    size_t codes, headers, sc_bytes, oc_bytes, scale_bytes;
    uint32_t groups = group ? (cols - 1) / group + 1 : 1;
    struct accel_matrix *m = calloc(1, sizeof *m);
    if (!m)
        goto fail;
    m->format = f;
    m->rows = rows;
    m->cols = cols;
    m->group = group;
    m->groups = groups;
    if (!mul_size(rows, cols, &codes) || !mul_size(rows, groups, &headers) ||
        !mul_size(headers, sizeof *m->sc, &sc_bytes) ||
        !mul_size(headers, sizeof *m->oc, &oc_bytes) ||
        !mul_size(rows, sizeof *m->row_scale, &scale_bytes))
        goto fail;
    m->codes = malloc(codes);
    m->sc = calloc(1, sc_bytes);
    m->sh = calloc(1, headers);
    m->oc = calloc(1, oc_bytes);
    m->row_scale = malloc(scale_bytes);
    if (!m->codes || !m->sc || !m->sh || !m->oc || !m->row_scale)
        goto fail;
    for (uint32_t r = 0; r < rows; r++)
        m->row_scale[r] = 1.0f;
    *out = m;
    return ACCEL_OK;
fail:
    accel_matrix_free(m);
    return accel_fail(err, ACCEL_E_NOMEM, "out of memory: a matrix of %u x %u", rows, cols);
}

void accel_matrix_free(accel_matrix *mat)
{
    if (!mat)
        return;
    free(mat->codes);
    free(mat->sc);
    free(mat->sh);
    free(mat->oc);
    free(mat->row_scale);
    free(mat);
}

int matrix_clone(const struct accel_matrix *mat, struct accel_matrix **copy,
                 struct accel_error *err)
{
    return accel_matrix_stack(&mat, 1, copy, err);
}

/* ---- the overflow proof ---- */

/* |k| of every code. */
static void magnitude_table(accel_format f, uint8_t table[256])
{
    for (unsigned c = 0; c < 256; c++)
        table[c] = (uint8_t)abs(accel_format_decode(f, c));
}

static void sum_magnitudes(const struct accel_matrix *m, uint32_t row, const uint8_t table[256],
                           uint64_t *sums)
{
    const uint8_t *codes = m->codes + (size_t)row * m->cols;
    uint32_t group = m->group ? m->group : m->cols;
    uint32_t i = 0;
    for (uint32_t g = 0; g < m->groups; g++) {
        uint32_t end = m->cols - i < group ? m->cols : i + group;
        uint64_t sum = 0;
        for (; i < end; i++)
            sum += table[codes[i]];
        sums[g] = sum;
    }
}

static uint64_t saturating_mul(uint64_t a, uint64_t b)
{
    uint64_t c;
    return __builtin_mul_overflow(a, b, &c) ? UINT64_MAX : c;
}

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
    uint64_t c;
    return __builtin_add_overflow(a, b, &c) ? UINT64_MAX : c;
}

/* The largest |acc| any activations can give, also on the way: partial sums and both terms of a
 * group are bounded apart, so no order of additions inside a backend can pass it. */
static uint64_t row_bound(const struct accel_matrix *m, uint32_t row, const uint64_t *sums)
{
    uint64_t bound = 0;
    uint32_t left = m->cols;
    for (uint32_t g = 0; g < m->groups; g++) {
        size_t i = (size_t)row * m->groups + g;
        uint32_t len = m->group && m->group < left ? m->group : left;
        left -= len;
        uint64_t d = saturating_mul((uint64_t)abs(m->sc[i]), sums[g]);
        uint64_t s = saturating_mul((uint64_t)abs(m->oc[i]), len);
        uint64_t term = saturating_mul(saturating_add(d, s), (uint64_t)X_MAX << m->sh[i]);
        bound = saturating_add(bound, term);
    }
    return bound;
}

static unsigned bit_length(uint64_t v)
{
    unsigned bits = 0;
    for (; v; v >>= 1)
        bits++;
    return bits;
}

/* Fill in acc_bits and asymmetric, or refuse. */
static int prove(struct accel_matrix *m, struct accel_error *err)
{
    uint8_t table[256];
    uint64_t worst = 0;
    uint64_t *sums = calloc(m->groups, sizeof *sums);
    if (!sums)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: proving a matrix of %u x %u", m->rows,
                          m->cols);
    magnitude_table(m->format, table);
    for (uint32_t r = 0; r < m->rows; r++) {
        sum_magnitudes(m, r, table, sums);
        uint64_t bound = row_bound(m, r, sums);
        if (bound >= ACC_LIMIT) {
            free(sums);
            return accel_fail(err, ACCEL_E_OVERFLOW,
                              "matrix row %u: activations exist that need %u bits, the accumulator "
                              "has 48; use smaller group scales (and a larger row scale)",
                              r, 1 + bit_length(bound));
        }
        worst = bound > worst ? bound : worst;
    }
    free(sums);
    m->acc_bits = 1 + bit_length(worst);
    m->asymmetric = false;
    for (size_t i = 0, n = (size_t)m->rows * m->groups; i < n && !m->asymmetric; i++)
        m->asymmetric = m->oc[i] != 0;
    return ACCEL_OK;
}

/* ---- exact parts ---- */

static int check_codes(const struct accel_matrix_parts *p, struct accel_error *err)
{
    unsigned top = p->format == ACCEL_TERNARY ? 2 : (1u << accel_format_bits(p->format)) - 1;
    for (uint32_t r = 0; r < p->rows; r++) {
        const uint8_t *row = p->codes + (size_t)r * p->cols;
        unsigned largest = 0;
        for (uint32_t c = 0; c < p->cols; c++)
            largest = row[c] > largest ? row[c] : largest;
        if (largest <= top)
            continue;
        uint32_t c = 0;
        while (row[c] <= top)
            c++;
        return accel_fail(err, ACCEL_E_ARG, "matrix row %u, column %u: code %u; %s has 0..%u", r, c,
                          row[c], accel_format_name(p->format), top);
    }
    return ACCEL_OK;
}

static int check_scales(const struct accel_matrix_parts *p, uint32_t groups,
                        struct accel_error *err)
{
    for (uint32_t r = 0; r < p->rows; r++) {
        for (uint32_t g = 0; g < groups; g++) {
            size_t i = (size_t)r * groups + g;
            const char *what = NULL;
            long value = 0;
            if (p->sc[i] < -2048 || p->sc[i] > 2047) {
                what = "sc is outside -2048..2047";
                value = p->sc[i];
            } else if (p->sh && p->sh[i] > SH_MAX) {
                what = "sh is outside 0..15";
                value = p->sh[i];
            } else if (p->oc && (p->oc[i] < -524288 || p->oc[i] > OC_MAX)) {
                what = "oc is outside -524288..524287";
                value = p->oc[i];
            }
            if (what)
                return accel_fail(err, ACCEL_E_ARG, "matrix row %u, column %llu: %s (%ld)", r,
                                  (unsigned long long)g * p->group, what, value);
        }
        if (p->row_scale && !isfinite(p->row_scale[r]))
            return accel_fail(err, ACCEL_E_ARG, "matrix row %u: row_scale is not finite", r);
    }
    return ACCEL_OK;
}

int accel_matrix_from_codes(const struct accel_matrix_parts *parts, accel_matrix **mat,
                            struct accel_error *err)
{
    accel_no_error(err);
    if (!parts || !mat || !parts->codes || !parts->sc)
        return accel_fail(err, ACCEL_E_ARG, "matrix: parts, codes, sc and mat must be given");
    int rc = check_shape(parts->format, parts->rows, parts->cols, parts->group, err);
    if (rc)
        return rc;
    struct accel_matrix *m = NULL;
    rc = matrix_new(parts->format, parts->rows, parts->cols, parts->group, &m, err);
    if (rc)
        return rc;
    size_t headers = (size_t)m->rows * m->groups;
    rc = check_scales(parts, m->groups, err);
    if (!rc)
        rc = check_codes(parts, err);
    if (rc)
        goto out;
    memcpy(m->codes, parts->codes, (size_t)m->rows * m->cols);
    memcpy(m->sc, parts->sc, headers * sizeof *m->sc);
    if (parts->sh)
        memcpy(m->sh, parts->sh, headers);
    if (parts->oc)
        memcpy(m->oc, parts->oc, headers * sizeof *m->oc);
    if (parts->row_scale)
        memcpy(m->row_scale, parts->row_scale, m->rows * sizeof *m->row_scale);
    rc = prove(m, err);
    if (rc)
        goto out;
    *mat = m;
    m = NULL;
out:
    accel_matrix_free(m);
    return rc;
}

/* ---- real scales to (sc, sh, oc) and a row scale ---- */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Nearest integer, halves to even, for |v| < 2^51. */
static double round_even(double v)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
    return (v + magic) - magic;
}

/* The smallest e such that v / 2^e rounds to an integer of at most `bits` bits. v is not 0. */
static int unit_exponent(double v, int bits)
{
    int e;
    double f = ldexp(frexp(fabs(v), &e), bits); /* in 2^(bits-1) .. 2^bits */
    return e - bits + (round_even(f) >= ldexp(1.0, bits));
}

/* unit_exponent, and then as many doublings as change nothing: the unit a scale really needs. */
static int coarsest_exponent(double v, int bits)
{
    int e = unit_exponent(v, bits);
    for (int q = (int)round_even(ldexp(fabs(v), -e)); (q & 1) == 0; q /= 2)
        e++;
    return e;
}

/* What aligning needs beside the matrix; all arrays are [groups]. */
struct aligner {
    uint8_t magnitude[256];
    uint64_t *sums;
    double *scale, *offset; /* of the row at hand */
    bool uniform;           /* every row so far has one scale and one offset throughout */
};

static void aligner_free(struct aligner *a)
{
    free(a->sums);
    free(a->scale);
    free(a->offset);
}

/* On failure, too, the caller frees it. */
static int aligner_init(struct aligner *a, accel_format f, uint32_t groups, struct accel_error *err)
{
    memset(a, 0, sizeof *a);
    magnitude_table(f, a->magnitude);
    a->uniform = true;
    a->sums = calloc(groups, sizeof *a->sums);
    a->scale = calloc(groups, sizeof *a->scale);
    a->offset = calloc(groups, sizeof *a->offset);
    if (a->sums && a->scale && a->offset)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_NOMEM, "out of memory: scales of %u groups", groups);
}

static void set_row(struct accel_matrix *m, uint32_t row, int sc, int32_t oc, double row_scale)
{
    for (size_t i = (size_t)row * m->groups, end = i + m->groups; i < end; i++) {
        m->sc[i] = (int16_t)sc;
        m->sh[i] = 0;
        m->oc[i] = oc;
    }
    m->row_scale[row] = (float)row_scale;
}

/* One scale and one offset for the whole row: the scale itself goes to the row scale, so nothing of
 * it is lost. False if an offset is too large against its scale for that. */
static bool align_uniform(struct accel_matrix *m, uint32_t row, const struct aligner *a)
{
    double s = a->scale[0], o = a->offset[0];
    if (s == 0.0 && o == 0.0) {
        set_row(m, row, 0, 0, 1.0);
        return true;
    }
    if (o == 0.0) {
        set_row(m, row, 1, 0, s);
        return fabs(s) >= (double)FLT_MIN && row_bound(m, row, a->sums) < ACC_LIMIT;
    }
    if (s == 0.0) {
        set_row(m, row, 0, 1, o);
        return fabs(o) >= (double)FLT_MIN && row_bound(m, row, a->sums) < ACC_LIMIT;
    }
    for (int j = SC_BITS - 1; j >= 0; j--) { /* a finer unit rounds the offset less */
        double unit = ldexp(s, -j);
        double oc = round_even(o / unit);
        if (fabs(unit) < (double)FLT_MIN || fabs(oc) > OC_MAX)
            continue;
        set_row(m, row, 1 << j, (int32_t)oc, unit);
        if (row_bound(m, row, a->sums) < ACC_LIMIT)
            return true;
    }
    return false;
}

/* The unit exponent in which group g keeps 11 bits of its scale and its offset fits. */
static bool group_exponent(const struct aligner *a, uint32_t g, int *e)
{
    double s = a->scale[g], o = a->offset[g];
    if (s == 0.0 && o == 0.0)
        return false;
    int es = s == 0.0 ? INT_MIN : unit_exponent(s, SC_BITS);
    int eo = o == 0.0 ? INT_MIN : unit_exponent(o, OC_BITS);
    *e = es > eo ? es : eo;
    return true;
}

/* Row scale 2^base; every group gets the finest (sc, sh, oc) that fits. */
static void align_to(struct accel_matrix *m, uint32_t row, const struct aligner *a, int base)
{
    for (uint32_t g = 0; g < m->groups; g++) {
        size_t i = (size_t)row * m->groups + g;
        int e = base;
        m->sc[i] = 0;
        m->sh[i] = 0;
        m->oc[i] = 0;
        if (!group_exponent(a, g, &e))
            continue;
        e = e < base ? base : e;
        m->sh[i] = (uint8_t)(e - base);
        m->sc[i] = (int16_t)round_even(ldexp(a->scale[g], -e));
        m->oc[i] = (int32_t)round_even(ldexp(a->offset[g], -e));
    }
    m->row_scale[row] = (float)ldexp(1.0, base);
}

static int align_powers(struct accel_matrix *m, uint32_t row, const struct aligner *a,
                        struct accel_error *err)
{
    int finest = INT_MAX, top = INT_MIN, e;
    bool offsets = false;
    for (uint32_t g = 0; g < m->groups; g++)
        offsets = offsets || a->offset[g] != 0.0;
    for (uint32_t g = 0; g < m->groups; g++) {
        if (!group_exponent(a, g, &e))
            continue;
        top = e > top ? e : top;
        /* Without offsets, a unit that all scales are multiples of is as good as a finer one and
         * keeps acc small. */
        if (!offsets)
            e = coarsest_exponent(a->scale[g], SC_BITS);
        finest = e < finest ? e : finest;
    }
    int base = finest > top - SH_MAX ? finest : top - SH_MAX;
    base = base < FLT_MIN_EXP - 1 ? FLT_MIN_EXP - 1 : base;
    for (; base < FLT_MAX_EXP; base++) {
        align_to(m, row, a, base);
        if (row_bound(m, row, a->sums) < ACC_LIMIT)
            return ACCEL_OK;
    }
    return accel_fail(err, ACCEL_E_OVERFLOW, "matrix row %u: its scales are beyond float32", row);
}

/* Give row its sc, sh, oc and row scale from a->scale and a->offset. Its codes are there. */
static int align_row(struct accel_matrix *m, uint32_t row, struct aligner *a,
                     struct accel_error *err)
{
    double largest = 0.0, largest_offset = 0.0, worst = 0.0;
    bool uniform = true;
    sum_magnitudes(m, row, a->magnitude, a->sums);
    for (uint32_t g = 0; g < m->groups; g++) {
        largest = larger(largest, fabs(a->scale[g]));
        largest_offset = larger(largest_offset, fabs(a->offset[g]));
        uniform = uniform && a->scale[g] == a->scale[0] && a->offset[g] == a->offset[0];
    }
    if (!uniform || !align_uniform(m, row, a)) {
        a->uniform = a->uniform && uniform; /* one (sc, sh, oc) even so, if uniform */
        int rc = align_powers(m, row, a, err);
        if (rc)
            return rc;
    }
    for (uint32_t g = 0; g < m->groups; g++) {
        size_t i = (size_t)row * m->groups + g;
        double unit = ldexp((double)m->row_scale[row], m->sh[i]);
        worst = larger(worst, fabs(m->sc[i] * unit - a->scale[g]));
        worst = larger(worst, fabs(m->oc[i] * unit - a->offset[g]));
    }
    largest = largest > 0.0 ? largest : largest_offset;
    if (worst > 0.0)
        m->scale_error = larger(m->scale_error, worst / largest);
    return ACCEL_OK;
}

/* All rows aligned: drop repeated headers if every row repeats one, and prove. */
static int align_finish(struct accel_matrix *m, const struct aligner *a, struct accel_error *err)
{
    if (a->uniform) {
        for (uint32_t r = 0; r < m->rows; r++) {
            size_t i = (size_t)r * m->groups;
            m->sc[r] = m->sc[i];
            m->sh[r] = m->sh[i];
            m->oc[r] = m->oc[i];
        }
        m->group = 0;
        m->groups = 1;
    }
    return prove(m, err);
}

/* ---- quantization ---- */

struct range {
    double min, max, sum; /* sum of magnitudes */
};

static struct range find_range(const float *w, uint32_t n)
{
    struct range r = { w[0], w[0], 0.0 };
    for (uint32_t i = 0; i < n; i++) {
        double v = w[i];
        r.min = v < r.min ? v : r.min;
        r.max = v > r.max ? v : r.max;
        r.sum += fabs(v);
    }
    return r;
}

static double clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

/* One group: codes, scale and offset. Scales are float32 numbers, as a file would hold them. */
static void quantize_group(accel_format f, const float *w, uint32_t n, uint8_t *codes,
                           double *scale, double *offset)
{
    unsigned bits = accel_format_bits(f);
    double top = (double)((1u << bits) - 1); /* largest code */
    double half = (double)(1u << (bits - 1));
    struct range r = find_range(w, n);
    double peak = larger(fabs(r.min), fabs(r.max)), s;
    *offset = 0.0;
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
    s = (double)(float)s;
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

static int quantize_row(struct accel_matrix *m, uint32_t row, const float *w, struct aligner *a,
                        struct accel_error *err)
{
    uint8_t *codes = m->codes + (size_t)row * m->cols;
    uint32_t group = m->group ? m->group : m->cols;
    for (uint32_t c = 0; c < m->cols; c++)
        if (!isfinite(w[c]))
            return accel_fail(err, ACCEL_E_ARG,
                              "matrix row %u, column %u: the weight is not a finite number", row,
                              c);
    for (uint32_t g = 0, c = 0; g < m->groups; g++, c += group) {
        uint32_t n = m->cols - c < group ? m->cols - c : group;
        quantize_group(m->format, w + c, n, codes + c, &a->scale[g], &a->offset[g]);
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
    int rc = check_shape(f, rows, cols, group, err);
    if (rc)
        return rc;
    struct aligner a = { .uniform = true };
    struct accel_matrix *m = NULL;
    rc = matrix_new(f, rows, cols, group, &m, err);
    if (!rc)
        rc = aligner_init(&a, f, m->groups, err);
    for (uint32_t r = 0; r < rows && !rc; r++)
        rc = quantize_row(m, r, w + (size_t)r * cols, &a, err);
    if (!rc)
        rc = align_finish(m, &a, err);
    if (rc)
        goto out;
    *mat = m;
    m = NULL;
out:
    aligner_free(&a);
    accel_matrix_free(m);
    return rc;
}

/* ---- ggml tensors ---- */

/* Row by row, so that a large tensor never exists as floats. */
static int quantize_plain(struct accel_matrix *m, uint32_t type, const uint8_t *data,
                          size_t row_bytes, struct aligner *a, struct accel_error *err)
{
    float *w = calloc(m->cols, sizeof *w);
    if (!w)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: a row of %u floats", m->cols);
    int rc = ACCEL_OK;
    for (uint32_t r = 0; r < m->rows && !rc; r++) {
        rc = ggml_dequantize_row(type, data + r * row_bytes, w, m->cols);
        if (!rc)
            rc = quantize_row(m, r, w, a, err);
    }
    free(w);
    if (rc == ACCEL_E_ARG) { /* not the caller's numbers but the file's */
        rc = ACCEL_E_CORRUPT;
        if (err)
            err->status = rc;
    }
    return rc;
}

static int convert_blocks(struct accel_matrix *m, const struct ggml_block_type *type,
                          const uint8_t *data, size_t row_bytes, struct aligner *a,
                          struct accel_error *err)
{
    int rc = ACCEL_OK;
    for (uint32_t r = 0; r < m->rows && !rc; r++) {
        const char *what = "";
        rc = ggml_decode_row(type, data + r * row_bytes, m->cols, m->codes + (size_t)r * m->cols,
                             a->scale, a->offset, &what);
        if (rc)
            return accel_fail(err, rc, "%s tensor, row %u: %s; the file is damaged",
                              ggml_type_name(type->id), r, what);
        rc = align_row(m, r, a, err);
    }
    return rc;
}

int accel_matrix_from_ggml(uint32_t ggml_type, const void *data, size_t size, uint32_t rows,
                           uint32_t cols, accel_format fallback, uint32_t fallback_group,
                           accel_matrix **mat, struct accel_error *err)
{
    accel_no_error(err);
    if (!data || !mat)
        return accel_fail(err, ACCEL_E_ARG, "matrix: data and mat must be given");
    const struct ggml_block_type *type = ggml_find_block_type(ggml_type);
    if (!type)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "ggml type %u cannot be converted; requantize the model to Q4_0..Q8_0, "
                          "IQ4_NL, MXFP4, TQ1_0, TQ2_0, Q2_K..Q6_K, F32, F16 or BF16",
                          ggml_type);
    accel_format f = type->format ? type->format : fallback;
    uint32_t group = type->format ? type->group : fallback_group;
    int rc = check_shape(f, rows, cols, group, err);
    if (rc)
        return rc;
    uint64_t row_bytes = 0, want = 0;
    if (!ggml_row_bytes(ggml_type, cols, &row_bytes))
        return accel_fail(
            err, ACCEL_E_CORRUPT, "%s tensor of %u x %u: rows must be a multiple of %u long",
            ggml_type_name(ggml_type), rows, cols, ggml_type_find(ggml_type)->block_len);
    if (__builtin_mul_overflow(rows, row_bytes, &want) || want != size)
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s tensor of %u x %u: %zu bytes given, %llu needed; the file is "
                          "truncated or its shape is wrong",
                          ggml_type_name(ggml_type), rows, cols, size, (unsigned long long)want);
    struct aligner a = { .uniform = true };
    struct accel_matrix *m = NULL;
    rc = matrix_new(f, rows, cols, group, &m, err);
    if (!rc)
        rc = aligner_init(&a, f, m->groups, err);
    if (!rc && type->format)
        rc = convert_blocks(m, type, data, (size_t)row_bytes, &a, err);
    else if (!rc)
        rc = quantize_plain(m, ggml_type, data, (size_t)row_bytes, &a, err);
    if (!rc)
        rc = align_finish(m, &a, err);
    if (rc)
        goto out;
    *mat = m;
    m = NULL;
out:
    aligner_free(&a);
    accel_matrix_free(m);
    return rc;
}

/* ---- stacking and reading ---- */

int accel_matrix_stack(const accel_matrix *const *mats, uint32_t count, accel_matrix **mat,
                       struct accel_error *err)
{
    accel_no_error(err);
    if (!mats || count == 0 || !mat)
        return accel_fail(err, ACCEL_E_ARG, "stack: at least one matrix and mat must be given");
    uint32_t rows = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!mats[i])
            return accel_fail(err, ACCEL_E_ARG, "stack: matrix %u is NULL", i);
        if (mats[i]->format != mats[0]->format || mats[i]->cols != mats[0]->cols ||
            mats[i]->group != mats[0]->group)
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "stack: matrix %u is %s, %u columns, group %u; matrix 0 is %s, %u "
                              "columns, group %u",
                              i, accel_format_name(mats[i]->format), mats[i]->cols, mats[i]->group,
                              accel_format_name(mats[0]->format), mats[0]->cols, mats[0]->group);
        if (__builtin_add_overflow(rows, mats[i]->rows, &rows))
            return accel_fail(err, ACCEL_E_ARG, "stack: more than 2^32 rows");
    }
    struct accel_matrix *m = NULL;
    int rc = matrix_new(mats[0]->format, rows, mats[0]->cols, mats[0]->group, &m, err);
    if (rc)
        return rc;
    size_t row = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct accel_matrix *from = mats[i];
        size_t headers = (size_t)from->rows * from->groups, at = row * from->groups;
        memcpy(m->codes + row * m->cols, from->codes, (size_t)from->rows * m->cols);
        memcpy(m->sc + at, from->sc, headers * sizeof *m->sc);
        memcpy(m->sh + at, from->sh, headers);
        memcpy(m->oc + at, from->oc, headers * sizeof *m->oc);
        memcpy(m->row_scale + row, from->row_scale, from->rows * sizeof *m->row_scale);
        m->asymmetric = m->asymmetric || from->asymmetric;
        m->acc_bits = from->acc_bits > m->acc_bits ? from->acc_bits : m->acc_bits;
        m->scale_error = larger(m->scale_error, from->scale_error);
        row += from->rows;
    }
    *mat = m;
    return ACCEL_OK;
}

void accel_matrix_get_info(const accel_matrix *mat, struct accel_matrix_info *info)
{
    *info = (struct accel_matrix_info){
        .format = mat->format,
        .rows = mat->rows,
        .cols = mat->cols,
        .group = mat->group,
        .asymmetric = mat->asymmetric,
        .acc_bits = mat->acc_bits,
        .scale_error = mat->scale_error,
    };
}

double accel_matrix_value(const accel_matrix *mat, uint32_t m, uint32_t k)
{
    size_t g = (size_t)m * mat->groups + (mat->group ? k / mat->group : 0);
    int code = accel_format_decode(mat->format, mat->codes[(size_t)m * mat->cols + k]);
    return (double)mat->row_scale[m] * (mat->sc[g] * code + mat->oc[g]) *
           (double)(1u << mat->sh[g]);
}
