/* fuzz_matrix.c - any bytes as a tensor or as raw parts: refused in words, or packed for every kind
 * and run exactly.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Input: byte 0 chooses a path (even: ggml blocks, odd: raw parts), byte 1 a type or format, byte 2
 * a group size, bytes 3 and 4 rows and columns, byte 5 an array shape; the rest is data. */
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
static const struct pack_shape shapes[] = { { 4, 8, 4 }, { 8, 32, 2 }, { 16, 256, 16 } };

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
    /* mostly within range: what is beyond is refused early and teaches little */
    for (size_t i = 0; i < n && head[0] & 2; i++) {
        sc[i] = (int16_t)(sc[i] / 16);
        sh[i] &= 15;
        oc[i] /= 4096;
    }
    for (size_t i = 0; i < elements && head[0] & 4; i++)
        codes[i] &= (uint8_t)((1u << head[1] % 8) - 1);
    struct accel_matrix_parts parts = { codings[head[1] / 8 % 4] | head[1] % 10u,
                                        rows,
                                        cols,
                                        group,
                                        codes,
                                        sc,
                                        head[0] & 8 ? sh : NULL,
                                        head[0] & 16 ? oc : NULL,
                                        head[0] & 32 ? scale : NULL };
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
                                    ACCEL_INT(1 + head[0] / 4 % 9), groups[head[2] % 9], &mat,
                                    &err);
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
        const struct pack_shape *s = &shapes[shape % 3];
        require(pack_matrix(&accel_kinds[k], s, mat, &p, NULL) == ACCEL_OK);
        require(p.steps * s->lanes == p.group_pad && p.group_pad >= info.cols);
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
