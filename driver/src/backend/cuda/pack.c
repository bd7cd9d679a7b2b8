/* pack.c - matrices as the GPU's kernels read them: layout.h says how.
 * SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include "../../matrix.h"

#include <stdlib.h>
#include <string.h>

/* Multiples of 16 to what a step can be cut into. */
static uint32_t padded(uint32_t group)
{
    return group == 48 ? 64 : group == 96 ? 128 : group;
}

static void k_range(const struct k_tables *t, int32_t *least, int32_t *most)
{
    *least = *most = 0;
    for (size_t i = 0; i < sizeof t->k / sizeof t->k[0][0]; i++) {
        int32_t k = t->k[i / 256][i % 256];
        *least = k < *least ? k : *least;
        *most = k > *most ? k : *most;
    }
}

/* Width, and what turns sums of codes into sums of k. */
static void plan_codes(const struct accel_matrix *mat, const struct k_tables *t,
                       struct cuda_layout *at)
{
    const uint32_t bits = accel_format_bits(mat->format), coding = mat->format & 0xFF00u;
    int32_t least, most;
    k_range(t, &least, &most);
    at->width = bits;
    if (coding == ACCEL_CODING_SIGNED || coding == ACCEL_CODING_TERNARY) {
        at->fraction = 8 - bits;
    } else if (coding == ACCEL_CODING_UNSIGNED) { /* u = s + 2^(n-1), s in two's complement */
        at->fraction = 8 - bits;
        at->code_offset = 1 << (bits - 1);
    } else if (coding == ACCEL_CODING_BIPOLAR) { /* k = 2 s + 1: half a fraction bit less */
        at->fraction = bits < 8 ? 7 - bits : 0;
        at->scale_up = bits == 8;
        at->plane_up = 1;
        at->code_offset = 1;
    } else if (least < INT8_MIN || most > INT8_MAX) {
        at->width = CUDA_WIDE;
        at->wide_bits = least < INT16_MIN || most > INT16_MAX ? 32 : 16;
    } else if (bits <= 4 && !t->pairs) {
        at->width = CUDA_TABLE;
        if (!mat->codebook && most - least <= INT8_MAX) {
            at->width = CUDA_TABLE7;
            at->code_offset = least;
        }
        at->tables = mat->codebook ? CUDA_TABLE_ROW : mat->sel ? CUDA_TABLE_SEL : CUDA_TABLE_ONE;
    } else { /* k itself */
        at->width = 8;
    }
}

/* Whether float sums of headers' products, each added with one rounding, are less than 2^30 off. A header adds
 * products of codes at the tops of bytes, below 2^14, and those of an offset. */
static bool plan_narrow(const struct accel_matrix *mat, const struct cuda_layout *at)
{
    double worst = 0.0;
    for (uint32_t m = 0; m < mat->rows; m++) {
        double row = 0.0;
        for (uint32_t g = 0; g < at->groups; g++) {
            const size_t h = (size_t)m * at->groups + g;
            const double sc = mat->sc[h] < 0 ? -mat->sc[h] : mat->sc[h];
            double offset = sc * (at->code_offset < 0 ? -at->code_offset : at->code_offset);
            if (mat->asymmetric)
                offset += mat->oc[h] < 0 ? -(double)mat->oc[h] : mat->oc[h];
            row += (sc * 32768.0 + offset * (double)(128u << at->fraction)) *
                   (double)(1u << mat->sh[h]);
        }
        worst = row > worst ? row : worst;
    }
    return worst * at->pad * (2.0 * at->headers + 2.0) <= 0x1p54;
}

static void plan(const struct accel_matrix *mat, const struct k_tables *t, struct cuda_layout *at)
{
    memset(at, 0, sizeof *at);
    at->rows = mat->rows;
    at->cols = mat->cols;
    at->group = mat->groups > 1 ? mat->group : 0;
    at->groups = mat->groups;
    at->tiles = (mat->rows - 1) / CUDA_TILE_ROWS + 1;
    at->sc_low = mat->sel ? 6 : 4;
    at->has_oc = mat->asymmetric;
    at->pad = padded(at->group);
    uint64_t cols = at->group ? (uint64_t)at->groups * at->pad : at->cols;
    at->steps = (uint32_t)((cols - 1) / CUDA_STEP + 1);
    if (!at->group)
        at->pad = at->steps * CUDA_STEP;
    /* sums of a row that a warp forms fit 32 bits up to 2^17 columns; longer rows get their header often */
    if (!at->group)
        at->drain = at->steps > CUDA_ROW_STEPS ? 128 : 0;
    else
        at->drain = at->pad >= 128 ? 128 : at->pad >= 32 ? 32 : 16;
    at->headers = at->drain ? at->steps * (CUDA_STEP / at->drain) : 1;
    plan_codes(mat, t, at);
    at->narrow = at->group && plan_narrow(mat, at);
}

void cuda_plan(const struct accel_matrix *mat, struct cuda_layout *at)
{
    struct k_tables tables;
    matrix_tables(mat->format, &tables);
    plan(mat, &tables, at);
}

/* A code as the kernels want it: in two's complement, an index, or k. */
static uint32_t code_of(const struct accel_matrix *mat, const struct k_tables *t,
                        const struct cuda_layout *at, uint32_t row, uint32_t col)
{
    const uint32_t bits = accel_format_bits(mat->format);
    const uint32_t code = mat->codes[(size_t)row * mat->cols + col];
    switch (mat->format & 0xFF00u) {
    case ACCEL_CODING_SIGNED: return code;
    case ACCEL_CODING_TERNARY: return (code - 1) & 3u;
    case ACCEL_CODING_UNSIGNED:
    case ACCEL_CODING_BIPOLAR: return code ^ 1u << (bits - 1);
    default: break;
    }
    if (at->width >= CUDA_TABLE)
        return code;
    int32_t k;
    matrix_decode(mat, t, row, col, 1, &k);
    return (uint8_t)k;
}

/* One code of a row of a tile into the words of its lane. step: where the words of the step begin. */
static void put_code(uint8_t *step, uint32_t width, uint32_t row, uint32_t col, uint32_t code)
{
    const uint32_t half = col / 128, e = col % 128 / 16, q = col % 16 / 4, j = col % 4;
    const uint32_t lane = row % 8 * 4 + q, bits = cuda_code_bits(width);
    uint32_t left = bits, base = 0;
    for (uint32_t w = 8; w; w /= 2) {
        if (!(bits & w))
            continue;
        uint32_t word = half * w + e % w, bit = 8 * j + w * (e / w);
        if (width >= CUDA_TABLE) /* as the selectors of a byte permutation: four in a row */
            bit = 16 * (e / w) + 4 * j;
        left -= w;
        uint32_t part = code >> left & ((1u << w) - 1);
        uint8_t *at = step + ((size_t)(base + word / 2) * 32 + lane) * 16 +
                      (word % 2 * 2 + row / 8) * 4 + bit / 8;
        *at = (uint8_t)(*at | part << bit % 8);
        base += w;
    }
}

static void pack_codes(const struct accel_matrix *mat, const struct k_tables *t,
                       struct cuda_packed *p)
{
    const struct cuda_layout *at = &p->at;
    const size_t step_bytes = (size_t)cuda_code_bits(at->width) * 512;
    for (uint32_t m = 0; m < at->rows; m++) {
        uint8_t *tile = p->codes + (size_t)(m / CUDA_TILE_ROWS) * at->steps * step_bytes;
        for (uint32_t g = 0, c = 0; c < at->cols; g++) {
            uint32_t end = at->group && at->cols - c > at->group ? c + at->group : at->cols;
            for (size_t to = (size_t)g * at->pad; c < end; c++, to++)
                put_code(tile + to / CUDA_STEP * step_bytes, at->width, m % CUDA_TILE_ROWS,
                         (uint32_t)(to % CUDA_STEP), code_of(mat, t, at, m, c));
        }
    }
}

static void pack_wide(const struct accel_matrix *mat, const struct k_tables *t,
                      struct cuda_packed *p)
{
    for (uint32_t m = 0; m < p->at.rows; m++) {
        for (uint32_t c = 0; c < p->at.cols; c++) {
            const size_t i = (size_t)m * p->at.cols + c;
            int32_t k;
            matrix_decode(mat, t, m, c, 1, &k);
            if (p->at.wide_bits == 16)
                ((int16_t *)(void *)p->codes)[i] = (int16_t)k;
            else
                ((int32_t *)(void *)p->codes)[i] = k;
        }
    }
}

static uint16_t header_of(const struct accel_matrix *mat, uint32_t sc_low, size_t h)
{
    uint32_t sel = mat->sel ? mat->sel[h] : 0;
    return (uint16_t)((uint32_t)mat->sc[h] << sc_low | sel << 4 | mat->sh[h]);
}

static void pack_headers(const struct accel_matrix *mat, struct cuda_packed *p)
{
    const struct cuda_layout *at = &p->at;
    for (uint32_t m = 0; m < at->rows; m++) {
        const uint32_t row = m % CUDA_TILE_ROWS;
        const size_t tile = (size_t)(m / CUDA_TILE_ROWS) * at->headers * CUDA_TILE_ROWS;
        for (uint32_t i = 0; i < at->headers; i++) {
            uint32_t g = at->drain ? (uint32_t)((uint64_t)i * at->drain / at->pad) : 0;
            if (g >= at->groups)
                break;
            const size_t h = (size_t)m * at->groups + g;
            size_t to = (size_t)m * at->groups + g;
            if (at->width != CUDA_WIDE) {
                const uint32_t each = at->drain ? CUDA_STEP / at->drain : 1;
                to = tile + (size_t)(i / each) * each * CUDA_TILE_ROWS +
                     ((size_t)(row % 8) * each + i % each) * 2 + row / 8;
            }
            p->headers[to] = header_of(mat, at->sc_low, h);
            if (p->oc)
                p->oc[to] = mat->oc[h];
        }
    }
}

static void pack_tables(const struct accel_matrix *mat, const struct k_tables *t,
                        struct cuda_packed *p)
{
    const uint32_t values = 1u << accel_format_bits(mat->format);
    const size_t count = p->table_bytes / 16;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t c = 0; c < values; c++) {
            if (!mat->codebook)
                p->tables[i * 16 + c] = (uint8_t)(t->k[i][c] - p->at.code_offset);
            else if (i < mat->rows)
                p->tables[i * 16 + c] = (uint8_t)mat->codebook[i * values + c];
        }
    }
}

static bool size_arrays(struct cuda_packed *p)
{
    const struct cuda_layout *at = &p->at;
    size_t headers, cells;
    if (at->width == CUDA_WIDE) {
        if (!mul_size(at->rows, at->groups, &headers) || !mul_size(at->rows, at->cols, &cells) ||
            !mul_size(cells, at->wide_bits / 8, &p->code_bytes))
            return false;
    } else {
        if (!mul_size(at->tiles, (size_t)at->headers * CUDA_TILE_ROWS, &headers) ||
            !mul_size(at->tiles, at->steps, &cells) ||
            !mul_size(cells, (size_t)cuda_code_bits(at->width) * 512, &p->code_bytes))
            return false;
    }
    if (at->width >= CUDA_TABLE)
        p->table_bytes = at->tables == CUDA_TABLE_ROW   ? (size_t)at->tiles * CUDA_TILE_ROWS * 16
                         : at->tables == CUDA_TABLE_SEL ? 64
                                                        : 16;
    return mul_size(headers, sizeof *p->headers, &p->header_bytes) &&
           (!at->has_oc || mul_size(headers, sizeof *p->oc, &p->oc_bytes));
}

int cuda_pack(const struct accel_matrix *mat, struct cuda_packed *p)
{
    struct k_tables tables;
    memset(p, 0, sizeof *p);
    matrix_tables(mat->format, &tables);
    plan(mat, &tables, &p->at);
    if (!size_arrays(p))
        return ACCEL_E_NOMEM;
    p->codes = calloc(p->code_bytes, 1);
    p->headers = calloc(p->header_bytes, 1);
    p->oc = p->oc_bytes ? calloc(p->oc_bytes, 1) : NULL;
    p->tables = p->table_bytes ? calloc(p->table_bytes, 1) : NULL;
    if (!p->codes || !p->headers || (p->oc_bytes && !p->oc) || (p->table_bytes && !p->tables))
        return ACCEL_E_NOMEM;
    if (p->at.width == CUDA_WIDE)
        pack_wide(mat, &tables, p);
    else
        pack_codes(mat, &tables, p);
    pack_headers(mat, p);
    if (p->tables)
        pack_tables(mat, &tables, p);
    return ACCEL_OK;
}

void cuda_pack_free(struct cuda_packed *p)
{
    free(p->codes);
    free(p->headers);
    free(p->oc);
    free(p->tables);
    memset(p, 0, sizeof *p);
}
