/* fuzz_matrix.c - any bytes as a tensor or as raw parts: refused in words, or packed for every kind
 * and run exactly.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Input: byte 0 chooses a path (even: ggml blocks, odd: raw parts), byte 1 a type or format (from
 * 128 on one that is no integer), byte 2 a group size (from 128 on plain floats become such a format),
 * bytes 3 and 4 rows and columns, byte 5 an array shape (from 128 on raw parts have outliers, from
 * 192 on mostly legal ones); the rest is data. */
#include "ggml_types.h"
#include "internal.h"

#include "backend/cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static const uint32_t groups[] = { 0, 16, 32, 48, 64, 96, 128, 256, 17 };
static const struct pack_shape shapes[] = {
    { .rows = 4, .lanes = 16, .scale_units = 4, .o_depth = 16 },
    { .rows = 8, .lanes = 32, .scale_units = 2, .d_bits = 32, .o_depth = 256 },
    { .rows = 16, .lanes = 256, .scale_units = 16 },
};

/* Floats of any exponent and width, and tables of any number: some are none of the library's. */
static accel_format no_integer(unsigned v)
{
    return v % 2 ? ACCEL_TABLE(v / 2 % 11, v / 2 == 0 || v / 2 == 8 ? 3u : 4u)
                 : (accel_format)(ACCEL_CODING_FLOAT | (1 + v / 2 % 5) << 16 | (3 + v / 16 % 6));
}

/* Takes n items of `item` bytes off the input, repeated where it is too short. */
static void *take(const uint8_t **data, size_t *size, size_t n, size_t item)
{
    uint8_t *out = calloc(n, item);
    require(out != NULL);
    for (size_t i = 0; i < n * item && *size; i++)
        out[i] = (*data)[i % *size];
    size_t used = n * item < *size ? n * item : *size;
    *data += used;
    *size -= used;
    return out;
}

/* Codes within the format's width, NaN and impossible pairs replaced. */
static void make_legal(accel_format f, uint8_t *codes, uint32_t rows, uint32_t cols)
{
    unsigned top = (1u << accel_format_bits(f) % 9) - 1;
    for (size_t i = 0; i < (size_t)rows * cols; i++) {
        codes[i] &= (uint8_t)top;
        if (f == ACCEL_FLOAT(4, 3) && (codes[i] & 0x7F) == 0x7F)
            codes[i] &= 0xF0;
    }
    for (size_t r = 0; r < rows && (f == ACCEL_OLIVE4 || f == ACCEL_OLIVE4F); r++) {
        uint8_t *row = codes + r * cols;
        for (uint32_t c = 0; c < cols; c++)
            if (row[c] == 8 && (c ^ 1u) >= cols)
                row[c] = 9;
            else if (row[c] == 8 && row[c ^ 1u] % 8 == 0)
                row[c ^ 1u] = 9;
    }
}

/* Lists of outliers as they come, or in order. */
static struct accel_outliers take_outliers(const uint8_t **data, size_t *size, uint32_t rows,
                                           bool legal)
{
    const size_t room = 8 * (size_t)rows + 1;
    uint32_t *first = calloc(rows + 1u, sizeof *first), *col = calloc(room, sizeof *col);
    uint8_t *count = take(data, size, rows + 1u, 1), *step = take(data, size, room, 1);
    int16_t *k = take(data, size, room, sizeof *k), *sc = take(data, size, rows + 1u, sizeof *sc);
    uint8_t *sh = take(data, size, rows + 1u, 1);
    require(first && col);
    for (uint32_t r = 0; r < rows; r++) {
        first[r + 1] = first[r] + count[r] % 8;
        for (uint32_t i = first[r]; i < first[r + 1]; i++) {
            col[i] = step[i] + (legal && i > first[r] ? col[i - 1] + 1 : 0);
            k[i] = (int16_t)(legal ? k[i] / 8 : k[i]);
        }
        sc[r] = (int16_t)(legal ? sc[r] / 16 : sc[r]);
        sh[r] &= legal ? 15 : 31;
    }
    if (!legal && rows)
        first[count[rows] % (rows + 1)] ^= count[rows] & 1;
    free(count);
    free(step);
    return (struct accel_outliers){ first, col, k, sc, sh };
}

static accel_matrix *from_parts(const uint8_t *head, const uint8_t *data, size_t size)
{
    static const uint32_t codings[] = { ACCEL_CODING_SIGNED, ACCEL_CODING_UNSIGNED,
                                        ACCEL_CODING_BIPOLAR, ACCEL_CODING_TERNARY };
    uint32_t rows = head[3] % 20, cols = head[4] * 3u;
    uint32_t group = groups[head[2] % 9];
    size_t headers = rows * (size_t)(group ? cols / group + 1 : 1);
    size_t n = headers ? headers : 1, elements = (size_t)rows * cols + 1;
    int16_t *sc = take(&data, &size, n, sizeof *sc);
    uint8_t *sh = take(&data, &size, n, 1);
    int32_t *oc = take(&data, &size, n, sizeof *oc);
    uint8_t *codes = take(&data, &size, elements, 1);
    float *scale = take(&data, &size, rows + 1u, sizeof *scale);
    uint8_t *sel = take(&data, &size, n, 1);
    int8_t *book = take(&data, &size, (size_t)rows * 16 + 1, 1);
    accel_format f = head[1] & 0x80 ? no_integer(head[1] & 0x7F)
                                    : codings[head[1] / 8 % 4] | head[1] % 10u;
    /* mostly within range: what is beyond is refused early and teaches little */
    for (size_t i = 0; i < n && head[0] & 2; i++) {
        sc[i] = (int16_t)(sc[i] / (accel_format_has_sel(f) ? 64 : 16));
        sel[i] &= 3;
        sh[i] &= 15;
        oc[i] /= 4096;
    }
    for (size_t i = 0; i < elements && head[0] & 4 && !(head[1] & 0x80); i++)
        codes[i] &= (uint8_t)((1u << head[1] % 8) - 1);
    if (head[0] & 4 && head[1] & 0x80)
        make_legal(f, codes, rows, cols);
    struct accel_outliers outliers = take_outliers(&data, &size, rows, head[5] & 64);
    struct accel_matrix_parts parts = { .format = f,
                                        .rows = rows,
                                        .cols = cols,
                                        .group = group,
                                        .codes = codes,
                                        .sc = sc,
                                        .sh = head[0] & 8 ? sh : NULL,
                                        .oc = head[0] & 16 ? oc : NULL,
                                        .row_scale = head[0] & 32 ? scale : NULL,
                                        .sel = head[0] & 64 ? sel : NULL,
                                        .codebook = head[0] & 128 ? book : NULL,
                                        .outliers = head[5] & 128 ? &outliers : NULL };
    accel_matrix *mat = NULL;
    struct accel_error err;
    int rc = accel_matrix_from_codes(&parts, &mat, &err);
    require((rc == ACCEL_OK) == (mat != NULL));
    require(rc == ACCEL_OK || rc == ACCEL_E_ARG || rc == ACCEL_E_OVERFLOW);
    require((err.text[0] == '\0') == (rc == ACCEL_OK));
    free(sc);
    free(sh);
    free(oc);
    free(codes);
    free(scale);
    free(sel);
    free(book);
    free((void *)outliers.first);
    free((void *)outliers.col);
    free((void *)outliers.k);
    free((void *)outliers.sc);
    free((void *)outliers.sh);
    return mat;
}

static accel_matrix *from_blocks(const uint8_t *head, const uint8_t *data, size_t size)
{
    uint32_t rows = head[3] % 8;
    uint64_t row_bytes = 0;
    accel_matrix *mat = NULL;
    struct accel_error err;
    const struct ggml_type_info *type = ggml_type_find(head[1] % 48u);
    uint32_t cols = (type ? type->block_len : 1) * (head[4] % 5u);
    if (head[4] & 0x80)
        cols++; /* mostly no whole number of blocks */
    uint8_t *blocks = NULL;
    size_t bytes = size;
    if (type && ggml_row_bytes(type->id, cols, &row_bytes) && !(head[0] & 2)) {
        bytes = (size_t)row_bytes * rows;
        blocks = take(&data, &size, bytes ? bytes : 1, 1);
    }
    int rc = accel_matrix_from_ggml(head[1] % 48u, blocks ? blocks : data, bytes, rows, cols,
                                    head[2] & 0x80 ? no_integer(head[0] / 2)
                                                   : ACCEL_INT(1 + head[0] / 4 % 9),
                                    groups[head[2] % 9], &mat, &err);
    require((rc == ACCEL_OK) == (mat != NULL));
    require((err.text[0] == '\0') == (rc == ACCEL_OK));
    free(blocks);
    return mat;
}

/* Whatever was accepted has finite values, packs, and runs within its proof. */
static void use(const accel_matrix *mat, uint8_t shape)
{
    struct accel_matrix_info info;
    accel_matrix_get_info(mat, &info);
    require(info.acc_bits <= 48 && info.scale_error >= 0.0 && info.scale_error <= 1.0);
    for (uint32_t m = 0; m < info.rows; m++)
        for (uint32_t k = 0; k < info.cols; k++)
            require(isfinite(accel_matrix_value(mat, m, k)));
    for (size_t k = 0; k < accel_kind_count; k++) {
        struct packed p;
        struct pack_shape s = shapes[shape % 3];
        if (accel_kinds[k].threes)
            s.lanes = s.lanes > 64 ? 192 : s.lanes / 2 * 3;
        int rc = pack_matrix(&accel_kinds[k], &s, mat, &p, NULL);
        require(rc == ACCEL_OK || rc == ACCEL_E_UNSUPPORTED);
        if (rc)
            continue; /* not every kind runs every format, nor every pattern of zeros */
        require(p.steps * s.lanes == p.group_pad && p.group_pad >= info.cols);
        pack_free(&p);
    }
    int8_t *x = malloc(2 * (size_t)info.cols);
    int64_t *want = calloc(2 * (size_t)info.rows, sizeof *want);
    int64_t *got = calloc(2 * (size_t)info.rows, sizeof *got);
    accel_dev *dev = NULL;
    accel_weights *w = NULL;
    require(x && want && got);
    memset(x, -128, info.cols);
    for (uint32_t k = 0; k < info.cols; k++)
        x[info.cols + k] = accel_matrix_value(mat, 0, k) < 0 ? -128 : 127;
    cpu_reference(mat, x, 2, info.cols, want);
    require(accel_open("cpu:", NULL, &dev, NULL) == ACCEL_OK);
    require(accel_load(dev, mat, &w, NULL) == ACCEL_OK);
    struct accel_job job = {
        .weights = w, .x = x, .n = 2, .x_stride = info.cols, .y = got, .y_stride = info.rows
    };
    require(accel_run(dev, &job, NULL, NULL) == ACCEL_OK);
    for (size_t i = 0; i < 2 * (size_t)info.rows; i++) {
        int64_t size = want[i] < 0 ? -(want[i] + 1) : want[i];
        require(got[i] == want[i] && size < (int64_t)1 << (info.acc_bits - 1));
    }
    accel_unload(w);
    accel_close(dev);
    free(x);
    free(want);
    free(got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6)
        return 0;
    accel_matrix *mat = data[0] & 1 ? from_parts(data, data + 6, size - 6)
                                    : from_blocks(data, data + 6, size - 6);
    if (mat)
        use(mat, data[5]);
    accel_matrix_free(mat);
    return 0;
}
