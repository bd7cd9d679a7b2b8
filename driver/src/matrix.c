/* matrix.c - quantized matrices: exact parts, k in its context, ggml tensors, stacking, proof.
 * SPDX-License-Identifier: Apache-2.0 */
#include "matrix.h"

#include "ggml_blocks.h"
#include "quant/layout.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X_MAX  128 /* largest |activation| */
#define VICTIM 8u  /* the code of OliVe's victims */

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

/* Why a number is no format, if it looks like a float. */
static const char *float_refusal(accel_format f)
{
    char name[32];
    unsigned e = f >> 16, bits = accel_format_bits(f);
    if ((f & 0xFF00u) != ACCEL_CODING_FLOAT || bits <= e)
        return NULL;
    snprintf(name, sizeof name, "e%um%u", e, bits - 1 - e);
    return accel_format_refusal(name);
}

int matrix_check_shape(accel_format f, uint32_t rows, uint32_t cols, uint32_t group,
                       struct accel_error *err)
{
    if (!accel_format_valid(f)) {
        const char *why = float_refusal(f);
        return accel_fail(err, ACCEL_E_ARG, "matrix: 0x%x is no weight format%s%s", (unsigned)f,
                          why ? ": " : "", why ? why : "");
    }
    if (rows == 0 || cols == 0)
        return accel_fail(err, ACCEL_E_ARG, "matrix: %u x %u has no elements", rows, cols);
    if (!matrix_group_valid(group))
        return accel_fail(err, ACCEL_E_ARG,
                          "matrix: group %u; use 16, 32, 48, 64, 96, 128, 256, or 0 for one group "
                          "a row",
                          group);
    return ACCEL_OK;
}

static bool has_codebook(accel_format f)
{
    return f == ACCEL_CODEBOOK3 || f == ACCEL_CODEBOOK4;
}

int matrix_new(accel_format f, uint32_t rows, uint32_t cols, uint32_t group,
               struct accel_matrix **out, struct accel_error *err)
{
    size_t codes, headers, sc_bytes, oc_bytes, scale_bytes, book_bytes;
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
        !mul_size(rows, sizeof *m->row_scale, &scale_bytes) ||
        !mul_size(rows, (size_t)1 << accel_format_bits(f), &book_bytes))
        goto fail;
    m->codes = malloc(codes);
    m->sc = calloc(1, sc_bytes);
    m->sh = calloc(1, headers);
    m->oc = calloc(1, oc_bytes);
    m->row_scale = malloc(scale_bytes);
    if (!m->codes || !m->sc || !m->sh || !m->oc || !m->row_scale)
        goto fail;
    if (accel_format_has_sel(f) && !(m->sel = calloc(1, headers)))
        goto fail;
    if (has_codebook(f) && !(m->codebook = calloc(1, book_bytes)))
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
    free(mat->sel);
    free(mat->codebook);
    outliers_free(mat->outliers);
    free(mat);
}

int matrix_clone(const struct accel_matrix *mat, struct accel_matrix **copy,
                 struct accel_error *err)
{
    return accel_matrix_stack(&mat, 1, copy, err);
}

/* ---- codes in their context ---- */

void matrix_tables(accel_format f, struct k_tables *t)
{
    t->pairs = f == ACCEL_OLIVE4 || f == ACCEL_OLIVE4F;
    for (unsigned sel = 0; sel < 4; sel++)
        for (unsigned c = 0; c < 256; c++)
            t->k[sel][c] = accel_format_decode_in(f, t->pairs ? c & 15u : c, sel, c >> 4, NULL);
}

void matrix_decode(const struct accel_matrix *m, const struct k_tables *t, uint32_t row,
                   uint32_t first, uint32_t count, int32_t *k)
{
    const uint8_t *codes = m->codes + (size_t)row * m->cols;
    if (m->codebook) {
        unsigned bits = accel_format_bits(m->format), mask = (1u << bits) - 1;
        const int8_t *book = m->codebook + ((size_t)row << bits);
        for (uint32_t i = 0; i < count; i++)
            k[i] = book[codes[first + i] & mask];
    } else if (t->pairs) {
        for (uint32_t i = 0; i < count; i++) {
            uint32_t c = first + i, other = c ^ 1u;
            unsigned pair = other < m->cols ? codes[other] : 0;
            k[i] = t->k[0][(codes[c] & 15u) | (pair & 15u) << 4];
        }
    } else {
        size_t g = (size_t)row * m->groups + (m->group ? first / m->group : 0);
        const int32_t *table = t->k[m->sel ? m->sel[g] & 3u : 0];
        for (uint32_t i = 0; i < count; i++)
            k[i] = table[codes[first + i]];
    }
}

int accel_matrix_k(const accel_matrix *mat, uint32_t m, uint32_t c)
{
    if (!mat || m >= mat->rows || c >= mat->cols)
        return 0;
    const uint8_t *codes = mat->codes + (size_t)m * mat->cols;
    size_t g = (size_t)m * mat->groups + (mat->group ? c / mat->group : 0);
    uint32_t other = c ^ 1u; /* a last column without a partner stands beside a normal 0 */
    return accel_format_decode_in(
        mat->format, codes[c], mat->sel ? mat->sel[g] : 0, other < mat->cols ? codes[other] : 0,
        mat->codebook ? mat->codebook + ((size_t)m << accel_format_bits(mat->format)) : NULL);
}

/* ---- the overflow proof ---- */

void matrix_sum_magnitudes(const struct accel_matrix *m, uint32_t row, const struct k_tables *t,
                           uint64_t *sums)
{
    int32_t k[256];
    uint32_t group = m->group ? m->group : m->cols;
    uint32_t at = 0;
    for (uint32_t g = 0; g < m->groups; g++) {
        uint32_t end = m->cols - at < group ? m->cols : at + group;
        sums[g] = 0;
        while (at < end) {
            uint32_t n = end - at < 256 ? end - at : 256;
            uint32_t sum = 0; /* 256 times the largest |k| is below 2^26 */
            matrix_decode(m, t, row, at, n, k);
            for (uint32_t i = 0; i < n; i++)
                sum += (uint32_t)abs(k[i]);
            sums[g] += sum;
            at += n;
        }
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

/* It holds on the way, too: partial sums and both terms of a
 * group are bounded apart, so no order of additions inside a backend can pass it. */
uint64_t matrix_row_bound(const struct accel_matrix *m, uint32_t row, const uint64_t *sums)
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
    if (m->outliers) { /* at most 2^16 * 2^11 * 2^7 * 2^15 */
        uint64_t sum = outliers_row_sum(m->outliers, row);
        uint64_t scale = (uint64_t)abs(m->outliers->sc[row]) * X_MAX << m->outliers->sh[row];
        bound = saturating_add(bound, sum * scale);
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

int matrix_prove(struct accel_matrix *m, struct accel_error *err)
{
    struct k_tables tables;
    uint64_t worst = 0;
    uint64_t *sums = calloc(m->groups, sizeof *sums);
    if (!sums)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: proving a matrix of %u x %u", m->rows,
                          m->cols);
    matrix_tables(m->format, &tables);
    for (uint32_t r = 0; r < m->rows; r++) {
        matrix_sum_magnitudes(m, r, &tables, sums);
        uint64_t bound = matrix_row_bound(m, r, sums);
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
    bool legal[256];
    unsigned top = (1u << accel_format_bits(p->format)) - 1;
    top -= p->format == ACCEL_TERNARY;
    for (unsigned c = 0; c < 256; c++) {
        bool nan = p->format == ACCEL_FLOAT(4, 3) && (c & 0x7Fu) == 0x7F;
        legal[c] = c <= top && !nan;
    }
    for (uint32_t r = 0; r < p->rows; r++) {
        const uint8_t *row = p->codes + (size_t)r * p->cols;
        uint32_t c = 0;
        while (c < p->cols && legal[row[c]])
            c++;
        if (c < p->cols && row[c] <= top)
            return accel_fail(err, ACCEL_E_ARG, "matrix row %u, column %u: code %u is NaN in %s", r,
                              c, row[c], accel_format_name(p->format));
        if (c < p->cols)
            return accel_fail(err, ACCEL_E_ARG, "matrix row %u, column %u: code %u; %s has 0..%u",
                              r, c, row[c], accel_format_name(p->format), top);
    }
    return ACCEL_OK;
}

/* Beside a victim stands an outlier. */
static int check_pairs(const struct accel_matrix_parts *p, struct accel_error *err)
{
    for (uint32_t r = 0; r < p->rows; r++) {
        const uint8_t *row = p->codes + (size_t)r * p->cols;
        for (uint32_t c = 0; c < p->cols; c++) {
            if (row[c] != VICTIM)
                continue;
            uint32_t other = c ^ 1u;
            if (other >= p->cols)
                return accel_fail(err, ACCEL_E_ARG,
                                  "matrix row %u, column %u: %s has a victim (code 8) in a column "
                                  "without a partner; the last of an odd number is a normal",
                                  r, c, accel_format_name(p->format));
            if (row[other] == VICTIM)
                return accel_fail(err, ACCEL_E_ARG,
                                  "matrix row %u, column %u: %s has two victims (code 8) in one "
                                  "pair; the other column of a victim holds an outlier",
                                  r, c, accel_format_name(p->format));
            if ((row[other] & 7u) == 0)
                return accel_fail(err, ACCEL_E_ARG,
                                  "matrix row %u, column %u: %s code %u beside a victim; outliers "
                                  "are 1..7 and 9..15",
                                  r, other, accel_format_name(p->format), row[other]);
        }
    }
    return ACCEL_OK;
}

/* What a format asks for beside codes and scales. */
static int check_context(const struct accel_matrix_parts *p, struct accel_error *err)
{
    const char *name = accel_format_name(p->format);
    if (has_codebook(p->format) && !p->codebook)
        return accel_fail(err, ACCEL_E_ARG, "matrix: %s needs a codebook of %u values for each row",
                          name, 1u << accel_format_bits(p->format));
    if (!has_codebook(p->format) && p->codebook)
        return accel_fail(err, ACCEL_E_ARG, "matrix: %s has no codebook", name);
    if (!accel_format_has_sel(p->format) && p->sel)
        return accel_fail(err, ACCEL_E_ARG, "matrix: %s has no selector", name);
    return ACCEL_OK;
}

static int check_scales(const struct accel_matrix_parts *p, uint32_t groups,
                        struct accel_error *err)
{
    const bool has_sel = accel_format_has_sel(p->format);
    const int sc_end = has_sel ? 512 : 2048;
    for (uint32_t r = 0; r < p->rows; r++) {
        for (uint32_t g = 0; g < groups; g++) {
            size_t i = (size_t)r * groups + g;
            const char *what = NULL;
            long value = 0;
            if (p->sc[i] < -sc_end || p->sc[i] >= sc_end) {
                what = has_sel ? "sc is outside -512..511, what a format with selector has"
                               : "sc is outside -2048..2047";
                value = p->sc[i];
            } else if (p->sel && p->sel[i] > 3) {
                what = "sel is outside 0..3";
                value = p->sel[i];
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
    int rc = matrix_check_shape(parts->format, parts->rows, parts->cols, parts->group, err);
    if (rc)
        return rc;
    struct accel_matrix *m = NULL;
    rc = matrix_new(parts->format, parts->rows, parts->cols, parts->group, &m, err);
    if (rc)
        return rc;
    size_t headers = (size_t)m->rows * m->groups;
    rc = check_context(parts, err);
    if (!rc)
        rc = check_scales(parts, m->groups, err);
    if (!rc)
        rc = check_codes(parts, err);
    if (!rc && (parts->format == ACCEL_OLIVE4 || parts->format == ACCEL_OLIVE4F))
        rc = check_pairs(parts, err);
    if (!rc)
        rc = outliers_from_parts(parts, &m->outliers, err);
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
    if (parts->sel)
        memcpy(m->sel, parts->sel, headers);
    if (parts->codebook)
        memcpy(m->codebook, parts->codebook, (size_t)m->rows << accel_format_bits(m->format));
    rc = matrix_prove(m, err);
    if (rc)
        goto out;
    *mat = m;
    m = NULL;
out:
    accel_matrix_free(m);
    return rc;
}

/* ---- ggml tensors ---- */

/* Row by row, so that a large tensor never exists as floats. */
static int quantize_plain(const struct quantizer *q, struct accel_matrix *m, uint32_t type,
                          const uint8_t *data, size_t row_bytes, struct aligner *a,
                          struct accel_error *err)
{
    float *w = calloc(m->cols, sizeof *w);
    if (!w)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: a row of %u floats", m->cols);
    int rc = ACCEL_OK;
    for (uint32_t r = 0; r < m->rows && !rc; r++) {
        rc = ggml_dequantize_row(type, data + r * row_bytes, w, m->cols);
        if (!rc)
            rc = quantize_row(q, m, r, w, a, err);
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
    struct quant_type own;
    if (quant_type_read(ggml_type, &own))
        return quant_matrix_load(ggml_type, data, size, rows, cols, mat, err);
    const struct ggml_block_type *type = ggml_find_block_type(ggml_type);
    if (!type)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "ggml type %u cannot be converted; requantize the model to Q4_0..Q8_0, "
                          "IQ4_NL, MXFP4, TQ1_0, TQ2_0, Q2_K..Q6_K, F32, F16 or BF16",
                          ggml_type);
    accel_format f = type->format ? type->format : fallback;
    uint32_t group = type->format ? type->group : fallback_group;
    int rc = matrix_check_shape(f, rows, cols, group, err);
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
    struct aligner a = { .sums = NULL };
    struct accel_matrix *m = NULL;
    struct quantizer *q = NULL;
    rc = matrix_new(f, rows, cols, group, &m, err);
    if (!rc)
        rc = aligner_init(&a, m, err);
    if (!rc && !type->format)
        rc = quantizer_new(f, &q, err);
    if (!rc && type->format)
        rc = convert_blocks(m, type, data, (size_t)row_bytes, &a, err);
    else if (!rc)
        rc = quantize_plain(q, m, ggml_type, data, (size_t)row_bytes, &a, err);
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
    if (!rc)
        rc = outliers_stack(mats, count, m, err);
    if (rc) {
        accel_matrix_free(m);
        return rc;
    }
    size_t row = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct accel_matrix *from = mats[i];
        size_t headers = (size_t)from->rows * from->groups, at = row * from->groups;
        memcpy(m->codes + row * m->cols, from->codes, (size_t)from->rows * m->cols);
        memcpy(m->sc + at, from->sc, headers * sizeof *m->sc);
        memcpy(m->sh + at, from->sh, headers);
        memcpy(m->oc + at, from->oc, headers * sizeof *m->oc);
        memcpy(m->row_scale + row, from->row_scale, from->rows * sizeof *m->row_scale);
        if (m->sel)
            memcpy(m->sel + at, from->sel, headers);
        if (m->codebook) {
            unsigned bits = accel_format_bits(m->format);
            memcpy(m->codebook + (row << bits), from->codebook, (size_t)from->rows << bits);
        }
        m->asymmetric = m->asymmetric || from->asymmetric;
        m->acc_bits = from->acc_bits > m->acc_bits ? from->acc_bits : m->acc_bits;
        m->scale_error = fmax(m->scale_error, from->scale_error);
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
        .outliers = mat->outliers ? mat->outliers->first[mat->rows] : 0,
    };
}

double accel_matrix_value(const accel_matrix *mat, uint32_t m, uint32_t c)
{
    if (!mat || m >= mat->rows || c >= mat->cols)
        return 0.0;
    size_t g = (size_t)m * mat->groups + (mat->group ? c / mat->group : 0);
    int64_t scaled = (int64_t)mat->sc[g] * accel_matrix_k(mat, m, c) + mat->oc[g];
    double v = (double)scaled * (double)(1u << mat->sh[g]);
    if (mat->outliers)
        v += (double)outliers_value(mat->outliers, m, c);
    return (double)mat->row_scale[m] * v;
}
