/* layout.c - tensor types of our own in GGUF files: the codes and headers that a device runs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include "matrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* id: 0x41 in the top byte, 3 bits of group, mx above them, the format's 20 bits below; of these
 * 15..12, which no format has, are the outliers, and 19..16 of an INT the pattern of its zeros */
#define ID_TOP      0x41000000u
#define ID_MX       0x00800000u
#define GROUP_AT    20
#define OUTLIERS_AT 12
#define PATTERN_AT  16
#define FORMAT_OF   0xF0FFFu

static const uint32_t group_sizes[8] = { 0, 16, 32, 48, 64, 96, 128, 256 };

/* By the number that stands in the id. */
static const struct {
    uint32_t keep, block;
} patterns[] = {
    { 0, 0 }, { 1, 4 }, { 2, 4 }, { 2, 8 }, { 4, 8 }, { 2, 16 }, { 4, 16 }, { 8, 16 }
};
enum { PATTERNS = sizeof patterns / sizeof *patterns };

static bool has_zero(accel_format f)
{
    return (f & 0xF00u) == ACCEL_CODING_UNSIGNED;
}

static bool has_book(accel_format f)
{
    return f == ACCEL_CODEBOOK3 || f == ACCEL_CODEBOOK4;
}

uint32_t quant_type_id(accel_format format, uint32_t group, bool mx)
{
    uint32_t g = 0;
    while (g < 8 && group_sizes[g] != group)
        g++;
    if (g == 8 || !accel_format_valid(format) || (has_book(format) && group != 0))
        return 0;
    bool floats = (format & 0xF00u) == ACCEL_CODING_FLOAT || format == ACCEL_INT(8);
    if (mx && (!floats || group == 0))
        return 0;
    return ID_TOP | (mx ? ID_MX : 0) | g << GROUP_AT | format;
}

static bool takes_outliers(accel_format f, bool mx)
{
    return !mx && f != ACCEL_OLIVE4 && f != ACCEL_OLIVE4F;
}

bool quant_type_read(uint32_t id, struct quant_type *type)
{
    uint32_t pattern = id >> PATTERN_AT & 15u;
    if ((id & 0xF00u) != ACCEL_CODING_SIGNED)
        pattern = 0;
    type->format = (id & FORMAT_OF) ^ pattern << PATTERN_AT;
    type->group = group_sizes[id >> GROUP_AT & 7u];
    type->mx = (id & ID_MX) != 0;
    type->outliers = id >> OUTLIERS_AT & QUANT_OUTLIERS;
    type->keep = type->block = 0;
    uint32_t base = quant_type_id(type->format, type->group, type->mx);
    if (base == 0 || pattern >= PATTERNS ||
        id != (base | type->outliers << OUTLIERS_AT | pattern << PATTERN_AT))
        return false;
    if (pattern) {
        type->keep = patterns[pattern].keep;
        type->block = patterns[pattern].block;
        return !type->mx && !type->outliers && accel_format_bits(type->format) > 1;
    }
    return !type->outliers || takes_outliers(type->format, type->mx);
}

uint32_t quant_type_outliers(uint32_t id, uint32_t outliers)
{
    struct quant_type t;
    if (outliers > QUANT_OUTLIERS || !quant_type_read(id, &t) || t.outliers)
        return 0;
    return outliers && (t.block || !takes_outliers(t.format, t.mx)) ? 0
                                                                    : id | outliers << OUTLIERS_AT;
}

uint32_t quant_type_sparse(uint32_t id, uint32_t keep, uint32_t block)
{
    struct quant_type t;
    for (uint32_t i = 1; i < PATTERNS; i++)
        if (patterns[i].keep == keep && patterns[i].block == block)
            return (id & 0xF00u) == ACCEL_CODING_SIGNED && !(id >> PATTERN_AT & 15u) &&
                           quant_type_read(id | i << PATTERN_AT, &t)
                       ? id | i << PATTERN_AT
                       : 0;
    return 0;
}

const char *quant_type_name(uint32_t id, char *buf)
{
    struct quant_type t;
    if (!quant_type_read(id, &t))
        snprintf(buf, QUANT_NAME, "?");
    else if (t.group)
        snprintf(buf, QUANT_NAME, "%s%s:%u", t.mx ? "mx-" : "", accel_format_name(t.format),
                 t.group & 511u);
    else
        snprintf(buf, QUANT_NAME, "%s", accel_format_name(t.format));
    size_t len = strlen(buf);
    if (t.outliers)
        snprintf(buf + len, QUANT_NAME - len, "+%u", t.outliers & 15u);
    if (t.block)
        snprintf(buf + len, QUANT_NAME - len, ",%u:%u", t.keep & 15u, t.block & 31u);
    return buf;
}

/* ---- the row ---- */

uint32_t quant_groups(const struct quant_type *t, uint32_t n)
{
    return t->group ? (n + t->group - 1) / t->group : 1;
}

uint32_t quant_outliers(const struct quant_type *t, uint32_t n)
{
    uint32_t rest = n % QUANT_BLOCK;
    return n / QUANT_BLOCK * t->outliers + (rest * t->outliers + QUANT_BLOCK - 1) / QUANT_BLOCK;
}

uint32_t quant_outlier_block(const struct quant_type *t, uint32_t i)
{
    return i / t->outliers;
}

uint32_t quant_kept(const struct quant_type *t, uint32_t n)
{
    return t->block ? n / t->block * t->keep + (n % t->block * t->keep + t->block - 1) / t->block
                    : n;
}

/* Five ternary digits fit a byte; other codes are packed as bits. */
static uint64_t code_bytes(accel_format f, uint64_t n)
{
    if (f == ACCEL_TERNARY)
        return (n + 4) / 5;
    return (n * accel_format_bits(f) + 7) / 8;
}

bool quant_row_bytes(uint32_t id, uint64_t n, uint64_t *bytes)
{
    struct quant_type t;
    if (!quant_type_read(id, &t) || n == 0 || n > UINT32_MAX)
        return false;
    uint64_t groups = quant_groups(&t, (uint32_t)n);
    *bytes = groups + code_bytes(t.format, quant_kept(&t, (uint32_t)n));
    if (t.block)
        *bytes += (n + 7) / 8;
    if (t.mx)
        return true;
    if (t.outliers)
        *bytes += 1 + 2 * (uint64_t)quant_outliers(&t, (uint32_t)n);
    *bytes += 2;
    if (has_zero(t.format))
        *bytes += groups;
    if (accel_format_has_sel(t.format))
        *bytes += (groups + 3) / 4;
    if (has_book(t.format))
        *bytes += 1u << accel_format_bits(t.format);
    return true;
}

float quant_bf16(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    if ((u & 0x7F800000u) == 0x7F800000u)
        return v;
    uint32_t up = u + 0x7FFFu + (u >> 16 & 1u);
    if ((up & 0x7F800000u) == 0x7F800000u)
        up = u; /* the largest finite ones are cut instead */
    up &= 0xFFFF0000u;
    memcpy(&v, &up, sizeof v);
    return v;
}

int32_t quant_offset(const struct quant_type *t, int8_t sc, uint8_t zero)
{
    return -(int32_t)round_even(ldexp((double)(sc * zero), (int)accel_format_bits(t->format) - 8));
}

int quant_fraction(accel_format f)
{
    if (f == ACCEL_INT(8))
        return 6; /* as MXINT8 */
    if ((f & 0xF00u) != ACCEL_CODING_FLOAT)
        return 0;
    int e = (int)(f >> 16 & 15u), m = (int)accel_format_bits(f) - 1 - e;
    int bias = e == 1 ? 1 : (1 << (e - 1)) - 1;
    return bias - 1 + m;
}

double quant_power(accel_format f, uint8_t power)
{
    return ldexp(1.0, (int)power - 127 - quant_fraction(f));
}

static void pack_codes(accel_format f, const uint8_t *codes, uint32_t n, uint8_t *out)
{
    unsigned bits = accel_format_bits(f), have = 0;
    uint32_t word = 0;
    if (f == ACCEL_TERNARY) {
        for (uint32_t i = 0; i < n; i += 5) {
            unsigned v = 0;
            for (uint32_t j = 5; j-- > 0;)
                v = v * 3 + (i + j < n ? codes[i + j] : 0u);
            *out++ = (uint8_t)v;
        }
        return;
    }
    if (bits == 4) {
        for (uint32_t i = 0; i + 1 < n; i += 2)
            out[i / 2] = (uint8_t)(codes[i] | (unsigned)codes[i + 1] << 4);
        if (n & 1u)
            out[n / 2] = codes[n - 1];
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        word |= (uint32_t)codes[i] << have;
        for (have += bits; have >= 8; have -= 8, word >>= 8)
            *out++ = (uint8_t)word;
    }
    if (have)
        *out = (uint8_t)word;
}

static void unpack_codes(accel_format f, const uint8_t *in, uint32_t n, uint8_t *codes)
{
    unsigned bits = accel_format_bits(f), have = 0;
    uint32_t word = 0;
    if (f == ACCEL_TERNARY) {
        for (uint32_t i = 0; i < n; in++) {
            unsigned v = *in;
            for (uint32_t j = 0; j < 5 && i < n; j++, v /= 3)
                codes[i++] = (uint8_t)(v % 3);
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (have < bits) {
            word |= (uint32_t)*in++ << have;
            have += 8;
        }
        codes[i] = (uint8_t)(word & ((1u << bits) - 1));
        word >>= bits;
        have -= bits;
    }
}

/* The first codes, to the columns that have one; the others get that of 0. */
static void spread(const uint8_t *kept, uint32_t n, uint8_t *codes)
{
    uint32_t count = 0;
    for (uint32_t c = 0; c < n; c++)
        count += kept[c];
    for (uint32_t c = n; c-- > 0;)
        codes[c] = kept[c] ? codes[--count] : 0;
}

void quant_row_write(const struct quant_type *t, uint32_t n, const struct quant_row *row,
                     uint8_t *out)
{
    uint32_t groups = quant_groups(t, n);
    if (t->mx) {
        memcpy(out, row->power, groups);
        pack_codes(t->format, row->codes, n, out + groups);
        return;
    }
    uint32_t scale;
    memcpy(&scale, &row->row_scale, sizeof scale);
    *out++ = (uint8_t)(scale >> 16);
    *out++ = (uint8_t)(scale >> 24);
    memcpy(out, row->sc, groups);
    out += groups;
    if (has_zero(t->format)) {
        memcpy(out, row->zero, groups);
        out += groups;
    }
    if (accel_format_has_sel(t->format)) {
        memset(out, 0, (groups + 3) / 4);
        for (uint32_t g = 0; g < groups; g++)
            out[g / 4] = (uint8_t)(out[g / 4] | (unsigned)row->sel[g] << 2 * (g % 4));
        out += (groups + 3) / 4;
    }
    if (has_book(t->format)) {
        memcpy(out, row->book, (size_t)1 << accel_format_bits(t->format));
        out += (size_t)1 << accel_format_bits(t->format);
    }
    if (t->outliers) {
        uint32_t count = quant_outliers(t, n);
        *out++ = row->shift;
        memcpy(out, row->place, count);
        memcpy(out + count, row->k, count);
        out += 2 * (size_t)count;
    }
    if (t->block) {
        uint32_t count = 0;
        memset(out, 0, (n + 7) / 8);
        for (uint32_t c = 0; c < n; c++) {
            if (!row->kept[c])
                continue;
            out[c / 8] = (uint8_t)(out[c / 8] | 1u << c % 8);
            row->codes[count++] = row->codes[c];
        }
        pack_codes(t->format, row->codes, count, out + (n + 7) / 8);
        spread(row->kept, n, row->codes);
        return;
    }
    pack_codes(t->format, row->codes, n, out);
}

/* Does each block keep what the type says? And which. */
static int read_kept(const struct quant_type *t, uint32_t n, const uint8_t *bits, uint8_t *kept)
{
    uint32_t count = 0;
    for (uint32_t c = 0; c < n; c++) {
        kept[c] = bits[c / 8] >> c % 8 & 1;
        count += kept[c];
        uint32_t length = c % t->block + 1;
        if ((length == t->block || c + 1 == n) && count != quant_kept(t, c + 1))
            return ACCEL_E_CORRUPT;
    }
    return n % 8 && bits[n / 8] >> n % 8 ? ACCEL_E_CORRUPT : ACCEL_OK;
}

int quant_row_read(const struct quant_type *t, uint32_t n, const uint8_t *in, struct quant_row *row)
{
    uint32_t groups = quant_groups(t, n);
    if (t->mx) {
        row->row_scale = 0.0f;
        memcpy(row->power, in, groups);
        unpack_codes(t->format, in + groups, n, row->codes);
        return ACCEL_OK;
    }
    uint32_t scale = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 24;
    memcpy(&row->row_scale, &scale, sizeof scale);
    in += 2;
    memcpy(row->sc, in, groups);
    in += groups;
    if (has_zero(t->format)) {
        memcpy(row->zero, in, groups);
        in += groups;
    }
    if (accel_format_has_sel(t->format)) {
        for (uint32_t g = 0; g < groups && row->sel; g++)
            row->sel[g] = (uint8_t)(in[g / 4] >> 2 * (g % 4) & 3);
        in += (groups + 3) / 4;
    }
    if (has_book(t->format)) {
        memcpy(row->book, in, (size_t)1 << accel_format_bits(t->format));
        in += (size_t)1 << accel_format_bits(t->format);
    }
    if (t->outliers) {
        uint32_t count = quant_outliers(t, n);
        row->shift = *in++;
        memcpy(row->place, in, count);
        memcpy(row->k, in + count, count);
        in += 2 * (size_t)count;
    }
    if (t->block) {
        if (read_kept(t, n, in, row->kept))
            return ACCEL_E_CORRUPT;
        in += (n + 7) / 8;
    }
    unpack_codes(t->format, in, quant_kept(t, n), row->codes);
    if (t->block)
        spread(row->kept, n, row->codes);
    return ACCEL_OK;
}

/* ---- rows as floats and as matrices ---- */

/* The largest exponent of a row; groups more than 15 below cannot be told from 0 by a shift of 4 bits. */
static int base_power(const struct quant_row *r, uint32_t groups, uint8_t *base)
{
    uint8_t low = 255, high = 0;
    for (uint32_t g = 0; g < groups; g++) {
        low = r->power[g] < low ? r->power[g] : low;
        high = r->power[g] > high ? r->power[g] : high;
    }
    *base = low;
    return high == 255 || high - low > SH_MAX ? ACCEL_E_CORRUPT : ACCEL_OK;
}

/* The headers of one row, as a matrix has them. */
static int set_headers(const struct quant_type *t, struct accel_matrix *m, uint32_t row,
                       const struct quant_row *r)
{
    size_t at = (size_t)row * m->groups;
    if (t->mx) {
        uint8_t base;
        int rc = base_power(r, m->groups, &base);
        double scale = rc ? 0.0 : quant_power(t->format, base);
        for (uint32_t g = 0; g < m->groups && !rc; g++) {
            m->sc[at + g] = 1;
            m->sh[at + g] = (uint8_t)(r->power[g] - base);
        }
        m->row_scale[row] = (float)scale;
        return rc || scale < 0x1p-126 ? ACCEL_E_CORRUPT : ACCEL_OK;
    }
    m->row_scale[row] = r->row_scale;
    for (uint32_t g = 0; g < m->groups; g++) {
        m->sc[at + g] = r->sc[g];
        m->oc[at + g] = has_zero(t->format) ? quant_offset(t, r->sc[g], r->zero[g]) : 0;
    }
    return isfinite(r->row_scale) ? ACCEL_OK : ACCEL_E_CORRUPT;
}

/* The outliers of row i behind those of the rows before it. */
static void set_outliers(const struct quant_type *t, struct accel_matrix *m, uint32_t i,
                         const struct quant_row *r)
{
    struct outliers *o = m->outliers;
    uint32_t count = quant_outliers(t, m->cols), at = i * count;
    for (uint32_t j = 0; j < count; j++) {
        o->col[at + j] = quant_outlier_block(t, j) * QUANT_BLOCK + r->place[j];
        o->k[at + j] = r->k[j];
    }
    o->first[i + 1] = at + count;
    o->sc[i] = 1;
    o->sh[i] = r->shift;
}

static int read_rows(const struct quant_type *t, struct accel_matrix *m, const uint8_t *data,
                     size_t row_bytes, uint32_t *bad)
{
    const uint32_t count = quant_outliers(t, m->cols);
    int8_t *sc = calloc(m->groups, 1), *k = calloc(count ? count : 1, 1);
    uint8_t *bytes = calloc(m->groups, 1), *place = calloc(count ? count : 1, 1);
    uint8_t *kept = calloc(t->block ? m->cols : 1, 1);
    int rc = sc && bytes && k && place && kept ? ACCEL_OK : ACCEL_E_NOMEM;
    if (count && !rc && !(m->outliers = outliers_new(m->rows, (size_t)count * m->rows)))
        rc = ACCEL_E_NOMEM;
    for (uint32_t i = 0; i < m->rows && !rc; i++) {
        struct quant_row r = {
            .sc = sc,
            .power = bytes,
            .zero = bytes,
            .sel = m->sel ? m->sel + (size_t)i * m->groups : NULL,
            .book = m->codebook ? m->codebook + ((size_t)i << accel_format_bits(t->format)) : NULL,
            .codes = m->codes + (size_t)i * m->cols,
            .place = place,
            .k = k,
            .kept = kept,
        };
        rc = quant_row_read(t, m->cols, data + (size_t)i * row_bytes, &r);
        if (!rc)
            rc = set_headers(t, m, i, &r);
        if (count && !rc)
            set_outliers(t, m, i, &r);
        *bad = i;
    }
    free(sc);
    free(bytes);
    free(k);
    free(place);
    free(kept);
    return rc;
}

int quant_matrix_load(uint32_t id, const void *data, size_t size, uint32_t rows, uint32_t cols,
                      accel_matrix **mat, struct accel_error *err)
{
    struct quant_type t;
    struct accel_matrix *m = NULL;
    uint64_t row_bytes, want;
    uint32_t bad = 0;
    if (!quant_type_read(id, &t))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "tensor type 0x%x is none of libaccel's", id);
    int rc = matrix_check_shape(t.format, rows, cols, t.group, err);
    if (rc)
        return rc;
    if (!quant_row_bytes(id, cols, &row_bytes) || __builtin_mul_overflow(rows, row_bytes, &want) ||
        want != size)
        return accel_fail(
            err, ACCEL_E_CORRUPT,
            "a tensor of %u x %u has %zu bytes, which is not what its type needs; the file is truncated "
            "or its shape is wrong",
            rows, cols, size);
    if ((uint64_t)quant_outliers(&t, cols) * rows > UINT32_MAX)
        return accel_fail(err, ACCEL_E_CORRUPT, "a tensor of %u x %u with 2^32 outliers or more",
                          rows, cols);
    rc = matrix_new(t.format, rows, cols, t.group, &m, err);
    if (rc)
        return rc;
    rc = read_rows(&t, m, data, (size_t)row_bytes, &bad);
    if (rc) {
        accel_matrix_free(m);
        return rc == ACCEL_E_NOMEM
                   ? accel_fail(err, rc, "out of memory: a matrix of %u x %u", rows, cols)
                   : accel_fail(
                         err, rc,
                         "matrix row %u: a scale is not finite or out of range%s; the file is damaged",
                         bad, t.block ? ", or a block keeps another number of weights" : "");
    }
    /* The exact parts are checked as any caller's are: a file's bytes may say anything. */
    struct accel_outliers outliers = { 0 };
    if (m->outliers)
        outliers = (struct accel_outliers){ .first = m->outliers->first,
                                            .col = m->outliers->col,
                                            .k = m->outliers->k,
                                            .sc = m->outliers->sc,
                                            .sh = m->outliers->sh };
    struct accel_matrix_parts parts = { .format = t.format,
                                        .rows = rows,
                                        .cols = cols,
                                        .group = t.group,
                                        .codes = m->codes,
                                        .sc = m->sc,
                                        .sh = m->sh,
                                        .oc = has_zero(t.format) ? m->oc : NULL,
                                        .row_scale = m->row_scale,
                                        .sel = m->sel,
                                        .codebook = m->codebook,
                                        .outliers = m->outliers ? &outliers : NULL };
    rc = accel_matrix_from_codes(&parts, mat, err);
    accel_matrix_free(m);
    if (rc == ACCEL_E_ARG) { /* not the caller's numbers but the file's */
        rc = ACCEL_E_CORRUPT;
        if (err)
            err->status = rc;
    }
    return rc;
}

int quant_dequantize_row(uint32_t id, const void *row, float *out, size_t n)
{
    struct quant_type t;
    struct k_tables *tables = NULL;
    struct accel_matrix *m = NULL;
    int32_t k[256];
    uint64_t bytes;
    uint32_t bad;
    if (!quant_type_read(id, &t))
        return ACCEL_E_UNSUPPORTED;
    if (!row || !out || !quant_row_bytes(id, n, &bytes))
        return ACCEL_E_ARG;
    int rc = matrix_new(t.format, 1, (uint32_t)n, t.group, &m, NULL);
    if (rc)
        return rc;
    rc = read_rows(&t, m, row, (size_t)bytes, &bad);
    if (!rc && !(tables = malloc(sizeof *tables)))
        rc = ACCEL_E_NOMEM;
    if (rc)
        goto out;
    matrix_tables(t.format, tables);
    for (uint32_t at = 0; at < n;) {
        uint32_t g = t.group ? at / t.group : 0, end = t.group ? (g + 1) * t.group : (uint32_t)n;
        end = end < n ? end : (uint32_t)n;
        uint32_t count = end - at < 256 ? end - at : 256;
        matrix_decode(m, tables, 0, at, count, k);
        for (uint32_t i = 0; i < count; i++)
            out[at + i] = (float)((double)m->row_scale[0] * (double)(1u << m->sh[g]) *
                                  ((double)m->sc[g] * k[i] + (double)m->oc[g]));
        at += count;
    }
    for (uint32_t i = 0; m->outliers && i < m->outliers->first[1]; i++) {
        if (m->outliers->col[i] >= n || m->outliers->sh[0] > SH_MAX) {
            rc = ACCEL_E_CORRUPT;
            break;
        }
        out[m->outliers->col[i]] = (float)accel_matrix_value(m, 0, m->outliers->col[i]);
    }
out:
    free(tables);
    accel_matrix_free(m);
    return rc;
}
