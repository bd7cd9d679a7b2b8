/* test_quant.c - quantizing one matrix: ggml's bytes, rows of our own types, scales, GPTQ, bad weights.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ggml_blocks.h"
#include "ggml_types.h"
#include "quant/quant.h"
#include "random_matrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- ggml's types ---- */

static const struct {
    const char *file;
    uint32_t type;
} vectors[] = {
    { "q4_0", GGML_Q4_0 },   { "q4_1", GGML_Q4_1 },   { "q5_0", GGML_Q5_0 },
    { "q5_1", GGML_Q5_1 },   { "q8_0", GGML_Q8_0 },   { "tq1_0", GGML_TQ1_0 },
    { "tq2_0", GGML_TQ2_0 }, { "mxfp4", GGML_MXFP4 },
};
#define VECTORS (sizeof vectors / sizeof vectors[0])

static void *read_vector(const char *name, const char *kind, size_t *size)
{
    char path[4096];
    const char *shared = getenv("ACCEL_SHARED");
    snprintf(path, sizeof path, "%s/data/ggml-block-vectors/%s.%s", shared ? shared : "../shared",
             name, kind);
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *data = malloc((size_t)1 << 20);
    *size = data ? fread(data, 1, (size_t)1 << 20, f) : 0;
    fclose(f);
    return data;
}

static void ggml_types_have_the_bytes_of_the_reference_quantizer(void **state)
{
    (void)state;
    for (size_t v = 0; v < VECTORS; v++) {
        size_t bytes = 0, want_bytes = 0;
        float *w = read_vector(vectors[v].file, "input.f32", &bytes);
        if (!w)
            skip();
        uint8_t *want = read_vector(vectors[v].file, "quantized.bin", &want_bytes);
        uint32_t cols = 256, rows = (uint32_t)(bytes / sizeof *w / cols);
        struct quant_tensor t = { 0 };
        struct accel_error err;
        assert_non_null(want);
        assert_int_equal((size_t)rows * cols * sizeof *w, bytes);
        assert_int_equal(quant_matrix(vectors[v].type, QUANT_RTN, rows, cols, w, NULL, 1, &t, &err),
                         ACCEL_OK);
        assert_int_equal(t.size, want_bytes);
        for (size_t i = 0; i < t.size; i++)
            if (t.data[i] != want[i])
                fail_msg("%s byte %zu is %u, ggml has %u", vectors[v].file, i, t.data[i], want[i]);
        quant_tensor_free(&t);
        free(want);
        free(w);
    }
}

/* ---- rows of our own types ---- */

enum { ROWS = 6, COLS = 200 }; /* the last group of a row is a short one */

static void random_weights(struct rng *r, float *w, size_t n, bool positive)
{
    for (size_t i = 0; i < n; i++) {
        float v = rng_float(r) + rng_float(r) + rng_float(r);
        v *= rng_below(r, 50) == 0 ? 0.2f : 0.05f;
        w[i] = positive ? fabsf(v) : v;
    }
}

static void ids_of_own_types_tell_format_and_group_and_no_other_id_does(void **state)
{
    (void)state;
    unsigned known = 0;
    for (unsigned i = 0; accel_format_at(i); i++) {
        for (unsigned g = 0; g < GROUPS; g++) {
            for (unsigned mx = 0; mx < 2; mx++) {
                struct quant_type t;
                uint32_t id = quant_type_id(accel_format_at(i), group_at[g], mx);
                if (!id)
                    continue;
                known++;
                assert_true(quant_type_read(id, &t));
                assert_int_equal(t.format, accel_format_at(i));
                assert_int_equal(t.group, group_at[g]);
                assert_int_equal(t.mx, mx);
                assert_null(ggml_type_find(id));
                assert_false(quant_type_read(id ^ 0x02000000u, &t));
            }
        }
    }
    assert_true(known > 350);
    struct quant_type t;
    for (uint32_t id = 0; id < 4096; id++)
        assert_false(quant_type_read(id, &t));
    assert_int_equal(quant_type_id(ACCEL_CODEBOOK4, 32, false), 0);
    assert_int_equal(quant_type_id(ACCEL_UINT(4), 32, true), 0);
    assert_int_equal(quant_type_id(ACCEL_INT(4), 17, false), 0);
}

/* Every format and group: the file's bytes give the floats, and the matrix, that were meant, exactly. */
static void rows_read_back_as_the_matrix_that_the_device_gets(void **state)
{
    (void)state;
    struct rng r = { 5 };
    static float w[ROWS * COLS], values[ROWS * COLS];
    for (unsigned i = 0; accel_format_at(i); i++) {
        accel_format f = accel_format_at(i);
        for (unsigned g = 0; g < 2 * GROUPS; g++) {
            uint32_t id = quant_type_id(f, group_at[g / 2], g & 1u);
            struct quant_tensor t = { 0 };
            struct accel_error err;
            accel_matrix *m = NULL;
            uint64_t row_bytes;
            if (!id)
                continue;
            random_weights(&r, w, ROWS * COLS, f == ACCEL_UFLINT4);
            if (quant_matrix(id, QUANT_RTN, ROWS, COLS, w, NULL, 2, &t, &err))
                fail_msg("%s: %s", accel_format_name(f), err.text);
            assert_true(ggml_row_bytes(id, COLS, &row_bytes));
            assert_int_equal(t.size, row_bytes * ROWS);
            assert_int_equal(quant_tensor_values(&t, ROWS, COLS, values, &err), ACCEL_OK);
            if (accel_matrix_from_ggml(id, t.data, t.size, ROWS, COLS, 0, 0, &m, &err))
                fail_msg("%s: %s", accel_format_name(f), err.text);
            double noise = 0, signal = 0;
            for (uint32_t j = 0; j < ROWS * COLS; j++) {
                if (values[j] != (float)accel_matrix_value(m, j / COLS, j % COLS))
                    fail_msg("%s, group %u: weight %u is %g, the device has %g",
                             accel_format_name(f), group_at[g / 2], j, (double)values[j],
                             accel_matrix_value(m, j / COLS, j % COLS));
                noise += (double)((values[j] - w[j]) * (values[j] - w[j]));
                signal += (double)(w[j] * w[j]);
            }
            /* What any format of these widths must reach; a code or header out of place is far off. */
            double most = accel_format_bits(f) <= 1 ? 0.95 : accel_format_bits(f) == 2 ? 0.45 : 0.2;
            if (noise > most * signal)
                fail_msg("%s, group %u: noise %g of the signal", accel_format_name(f),
                         group_at[g / 2], noise / signal);
            assert_true(fabs(t.error - noise) <= 1e-4 * noise + 1e-12);
            /* Quantizing what is there already changes nothing but, now and then, the scales. */
            accel_matrix_free(m);
            quant_tensor_free(&t);
        }
    }
}

static void searched_scales_leave_less_error_than_the_largest_weight_does(void **state)
{
    (void)state;
    static const accel_format formats[] = { ACCEL_INT(2),     ACCEL_INT(3),  ACCEL_INT(4),
                                            ACCEL_UINT(2),    ACCEL_UINT(3), ACCEL_UINT(4),
                                            ACCEL_FP3,        ACCEL_FP4,     ACCEL_ANT4,
                                            ACCEL_FLOAT(2, 1) };
    struct rng r = { 11 };
    static float w[ROWS * COLS];
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct quant_tensor t = { 0 };
        struct accel_error err;
        accel_matrix *m = NULL;
        double plain = 0;
        random_weights(&r, w, ROWS * COLS, false);
        assert_int_equal(quant_matrix(quant_type_id(formats[i], 32, false), QUANT_RTN, ROWS, COLS,
                                      w, NULL, 1, &t, &err),
                         ACCEL_OK);
        assert_int_equal(accel_matrix_quantize(formats[i], 32, ROWS, COLS, w, &m, &err), ACCEL_OK);
        for (uint32_t j = 0; j < ROWS * COLS; j++) {
            double e = accel_matrix_value(m, j / COLS, j % COLS) - (double)w[j];
            plain += e * e;
        }
        if (!(t.error < 0.97 * plain))
            fail_msg("%s: error %g, without a search %g", accel_format_name(formats[i]), t.error,
                     plain);
        accel_matrix_free(m);
        quant_tensor_free(&t);
    }
}

/* ---- what is known of the inputs ---- */

/* sums of x x^T of correlated inputs, some far larger than others */
static void random_hessian(struct rng *r, float *h, uint32_t cols)
{
    enum { TOKENS = 400 };
    float *x = calloc(cols, sizeof *x);
    memset(h, 0, (size_t)cols * cols * sizeof *h);
    assert_non_null(x);
    for (unsigned t = 0; t < TOKENS; t++) {
        float common = rng_float(r);
        for (uint32_t c = 0; c < cols; c++)
            x[c] = (common + rng_float(r)) * (c % 7 == 0 ? 3.0f : c % 5 == 0 ? 0.1f : 1.0f);
        for (uint32_t i = 0; i < cols; i++)
            for (uint32_t j = 0; j < cols; j++)
                h[(size_t)i * cols + j] += x[i] * x[j];
    }
    free(x);
}

static double output_error(const struct quant_tensor *t, const float *w, const float *h)
{
    static float values[ROWS * COLS];
    struct accel_error err;
    double sum = 0;
    assert_int_equal(quant_tensor_values(t, ROWS, COLS, values, &err), ACCEL_OK);
    for (uint32_t row = 0; row < ROWS; row++)
        for (uint32_t i = 0; i < COLS; i++)
            for (uint32_t j = 0; j < COLS; j++)
                sum += (double)(values[row * COLS + i] - w[row * COLS + i]) *
                       (double)h[i * COLS + j] *
                       (double)(values[row * COLS + j] - w[row * COLS + j]);
    return sum;
}

static void gptq_keeps_outputs_better_than_weights_or_the_inputs_sizes_do(void **state)
{
    (void)state;
    static const accel_format formats[] = { ACCEL_TERNARY, ACCEL_INT(2), ACCEL_UINT(3),
                                            ACCEL_INT(4),  ACCEL_FP4,    ACCEL_CODEBOOK3 };
    struct rng r = { 3 };
    static float w[ROWS * COLS], h[COLS * COLS];
    random_hessian(&r, h, COLS);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        uint32_t id = quant_type_id(formats[i], formats[i] == ACCEL_CODEBOOK3 ? 0 : 64, false);
        struct quant_stats stats = { .hessian = h };
        struct quant_tensor rtn = { 0 }, diag = { 0 }, gptq = { 0 };
        struct accel_error err;
        random_weights(&r, w, ROWS * COLS, false);
        assert_int_equal(quant_matrix(id, QUANT_RTN, ROWS, COLS, w, NULL, 1, &rtn, &err), ACCEL_OK);
        assert_int_equal(quant_matrix(id, QUANT_RTN, ROWS, COLS, w, &stats, 1, &diag, &err),
                         ACCEL_OK);
        assert_int_equal(quant_matrix(id, QUANT_GPTQ, ROWS, COLS, w, &stats, 1, &gptq, &err),
                         ACCEL_OK);
        double plain = output_error(&rtn, w, h), weighted = output_error(&diag, w, h);
        double best = output_error(&gptq, w, h);
        if (!(best < 0.6 * plain && best < 0.75 * weighted))
            fail_msg("%s: output error %g, %g with the diagonal, %g without",
                     accel_format_name(formats[i]), best, weighted, plain);
        quant_tensor_free(&rtn);
        quant_tensor_free(&diag);
        quant_tensor_free(&gptq);
    }
}

static void the_number_of_threads_changes_no_byte(void **state)
{
    (void)state;
    struct rng r = { 19 };
    static float w[ROWS * 8 * COLS], h[COLS * COLS];
    struct quant_stats stats = { .hessian = h };
    struct quant_tensor one = { 0 }, four = { 0 };
    struct accel_error err;
    uint32_t id = quant_type_id(ACCEL_UINT(3), 32, false);
    random_hessian(&r, h, COLS);
    random_weights(&r, w, ROWS * 8 * COLS, false);
    assert_int_equal(quant_matrix(id, QUANT_GPTQ, ROWS * 8, COLS, w, &stats, 1, &one, &err),
                     ACCEL_OK);
    assert_int_equal(quant_matrix(id, QUANT_GPTQ, ROWS * 8, COLS, w, &stats, 4, &four, &err),
                     ACCEL_OK);
    assert_int_equal(one.size, four.size);
    assert_memory_equal(one.data, four.data, one.size);
    assert_true(one.error == four.error);
    quant_tensor_free(&one);
    quant_tensor_free(&four);
}

/* ---- outliers beside the codes ---- */

enum {
    WIDE = 600,
    LARGE = 3
}; /* two whole blocks and a part; LARGE weights far from the rest in each block */

static void wide_row(struct rng *r, float *w)
{
    for (uint32_t c = 0; c < WIDE; c++)
        w[c] = (rng_float(r) + rng_float(r)) * 0.05f;
    for (uint32_t c = 30; c < WIDE; c += 256 / LARGE + 1)
        w[c] = c % 2 ? 3.0f : -2.0f;
}

static void outliers_leave_the_codes_to_the_others(void **state)
{
    (void)state;
    static const accel_format formats[] = { ACCEL_TERNARY,  ACCEL_UINT(2), ACCEL_INT(3),
                                            ACCEL_BIP(2),   ACCEL_FP3,     ACCEL_FP4,
                                            ACCEL_CODEBOOK3 };
    static float w[ROWS * WIDE], values[ROWS * WIDE], h[WIDE * WIDE];
    struct quant_stats stats = { .hessian = h };
    struct rng r = { 23 };
    random_hessian(&r, h, WIDE);
    for (size_t i = 0; i < 2 * sizeof formats / sizeof *formats; i++) {
        accel_format f = formats[i / 2];
        uint32_t base = quant_type_id(f, f == ACCEL_CODEBOOK3 ? 0 : 64, false);
        uint32_t id = quant_type_outliers(base, LARGE);
        struct quant_tensor t = { 0 }, plain = { 0 };
        struct accel_error err;
        accel_matrix *m = NULL;
        char name[QUANT_NAME];
        for (uint32_t row = 0; row < ROWS; row++)
            wide_row(&r, w + (size_t)row * WIDE);
        for (uint32_t c = 0; c < WIDE; c++)
            w[WIDE + c] = c == 40 ? 5.0f : 0.0f; /* nothing but an outlier */
        enum quant_method how = i % 2 ? QUANT_GPTQ : QUANT_RTN;
        if (quant_matrix(id, how, ROWS, WIDE, w, i % 2 ? &stats : NULL, 2, &t, &err))
            fail_msg("%s: %s", quant_type_name(id, name), err.text);
        assert_int_equal(
            quant_matrix(base, how, ROWS, WIDE, w, i % 2 ? &stats : NULL, 2, &plain, &err),
            ACCEL_OK);
        assert_int_equal(quant_tensor_values(&t, ROWS, WIDE, values, &err), ACCEL_OK);
        if (quant_matrix_load(id, t.data, t.size, ROWS, WIDE, &m, &err))
            fail_msg("%s: %s", quant_type_name(id, name), err.text);
        for (uint32_t j = 0; j < ROWS * WIDE; j++) {
            assert_true(values[j] == (float)accel_matrix_value(m, j / WIDE, j % WIDE));
            if (i % 2 == 0 && fabsf(w[j]) > 1.0f &&
                !(fabsf(values[j] - w[j]) < 0.02f * fabsf(w[j])))
                fail_msg("%s: %g is stored as %g", quant_type_name(id, name), (double)w[j],
                         (double)values[j]);
        }
        if (!(t.error < 0.7 * plain.error))
            fail_msg("%s: error %g, %g without outliers", quant_type_name(id, name), t.error,
                     plain.error);
        accel_matrix_free(m);
        quant_tensor_free(&t);
        quant_tensor_free(&plain);
    }
}

/* A row written by hand has the type's name and size, and loads. */
static accel_matrix *load_row(uint32_t id, const char *want, const uint8_t *row, size_t size,
                              uint32_t n)
{
    struct accel_error err;
    accel_matrix *m = NULL;
    uint64_t bytes;
    char name[QUANT_NAME];
    assert_string_equal(quant_type_name(id, name), want);
    assert_true(quant_row_bytes(id, n, &bytes));
    assert_int_equal(bytes, size);
    assert_int_equal(quant_matrix_load(id, row, size, 1, n, &m, &err), ACCEL_OK);
    return m;
}

struct spoiled {
    int at, value; /* of one byte */
};

static void refuse_spoiled(uint32_t id, const uint8_t *row, size_t size, uint32_t n,
                           const struct spoiled *list, size_t count, bool as_floats)
{
    uint8_t bad[256];
    float values[512];
    struct accel_error err;
    accel_matrix *m = NULL;
    assert_true(size <= sizeof bad && n <= sizeof values / sizeof *values);
    for (size_t i = 0; i < count; i++) {
        memcpy(bad, row, size);
        bad[list[i].at] = (uint8_t)list[i].value;
        assert_int_equal(quant_matrix_load(id, bad, size, 1, n, &m, &err), ACCEL_E_CORRUPT);
        if (as_floats)
            assert_int_equal(quant_dequantize_row(id, bad, values, n), ACCEL_E_CORRUPT);
    }
}

static void files_with_impossible_outliers_are_damaged(void **state)
{
    (void)state;
    uint32_t id = quant_type_outliers(quant_type_id(ACCEL_INT(4), 0, false), 2);
    enum { N = 300, SHIFT = 3, PLACE = 4, COUNT = 2 + 1 };
    const uint8_t row[3 + 1 + 2 * COUNT + N / 2] = { 0x80, 0x3F, 1, 0, 5, 9, 43, 1, 2, 3 };
    static const struct spoiled list[] = {
        { SHIFT, 16 }, { PLACE, 9 }, { PLACE, 10 }, { PLACE + 2, 44 }
    };
    struct accel_error err;
    accel_matrix *m = load_row(id, "int4+2", row, sizeof row, N);
    assert_true(accel_matrix_value(m, 0, 256 + 43) == 3.0);
    accel_matrix_free(m);
    refuse_spoiled(id, row, sizeof row, N, list, sizeof list / sizeof *list, false);
    refuse_spoiled(id, row, sizeof row, N, list, 1, true);
    /* what has no outliers, or too many */
    assert_int_equal(quant_type_outliers(id, 1), 0);
    assert_int_equal(quant_type_outliers(quant_type_id(ACCEL_INT(4), 0, false), 16), 0);
    assert_int_equal(quant_type_outliers(quant_type_id(ACCEL_OLIVE4, 32, false), 1), 0);
    assert_int_equal(quant_type_outliers(quant_type_id(ACCEL_INT(8), 32, true), 1), 0);
    struct quant_tensor t = { 0 };
    float *w = calloc(9000, sizeof *w);
    assert_non_null(w);
    id = quant_type_outliers(quant_type_id(ACCEL_INT(4), 0, false), 15);
    assert_int_equal(quant_matrix(id, QUANT_RTN, 1, 9000, w, NULL, 1, &t, &err),
                     ACCEL_E_UNSUPPORTED);
    free(w);
}

/* ---- N:M ---- */

static const uint32_t patterns[][2] = { { 1, 4 },  { 2, 4 },  { 2, 8 }, { 4, 8 },
                                        { 2, 16 }, { 4, 16 }, { 8, 16 } };
enum { PATTERNS = sizeof patterns / sizeof *patterns };

static void pruned_types_keep_n_of_m_weights_and_read_back(void **state)
{
    (void)state;
    enum { N = 141 }; /* the last block is not whole */
    static float w[ROWS * N], values[ROWS * N], h[N * N];
    struct quant_stats stats = { .hessian = h };
    struct rng r = { 31 };
    random_hessian(&r, h, N);
    for (unsigned i = 0; i < 2 * 4 * PATTERNS; i++) {
        static const unsigned bits[] = { 2, 3, 4, 8 };
        const uint32_t *p = patterns[i / 8];
        uint32_t id = quant_type_sparse(quant_type_id(ACCEL_INT(bits[i / 2 % 4]), 48, false), p[0],
                                        p[1]);
        struct quant_tensor t = { 0 }, nearest = { 0 };
        struct quant_type own;
        struct accel_error err;
        accel_matrix *m = NULL;
        char name[QUANT_NAME];
        assert_true(quant_type_read(id, &own));
        assert_true(own.keep == p[0] && own.block == p[1] &&
                    own.format == ACCEL_INT(bits[i / 2 % 4]));
        random_weights(&r, w, ROWS * N, false);
        int rc = quant_matrix(id, i % 2 ? QUANT_GPTQ : QUANT_RTN, ROWS, N, w, i % 2 ? &stats : NULL,
                              2, &t, &err);
        if (rc || quant_matrix_load(id, t.data, t.size, ROWS, N, &m, &err))
            fail_msg("%s: %s", quant_type_name(id, name), err.text);
        assert_int_equal(quant_tensor_values(&t, ROWS, N, values, &err), ACCEL_OK);
        for (uint32_t row = 0; row < ROWS; row++)
            for (uint32_t first = 0; first < N; first += p[1]) {
                uint32_t end = first + p[1] < N ? first + p[1] : N, count = 0, top = first;
                for (uint32_t c = first; c < end; c++) {
                    assert_true(values[row * N + c] == (float)accel_matrix_value(m, row, c));
                    count += values[row * N + c] != 0.0f;
                    top = fabsf(w[row * N + c]) > fabsf(w[row * N + top]) ? c : top;
                }
                if (count > (p[0] * (end - first) + p[1] - 1) / p[1])
                    fail_msg("%s: row %u, columns %u on: %u weights", quant_type_name(id, name),
                             row, first, count);
                if (i % 2 == 0 && bits[i / 2 % 4] == 8 && values[row * N + top] == 0.0f)
                    fail_msg("%s: row %u: the largest of columns %u on is gone",
                             quant_type_name(id, name), row, first);
            }
        if (i % 2) { /* the hessian's error, of nearest values of the largest weights */
            double error[2] = { 0 };
            assert_int_equal(quant_matrix(id, QUANT_RTN, ROWS, N, w, NULL, 1, &nearest, &err),
                             ACCEL_OK);
            for (unsigned way = 0; way < 2; way++) {
                assert_int_equal(quant_tensor_values(way ? &nearest : &t, ROWS, N, values, &err),
                                 ACCEL_OK);
                for (uint32_t row = 0; row < ROWS; row++)
                    for (uint32_t a = 0; a < N; a++)
                        for (uint32_t b = 0; b < N; b++)
                            error[way] += (double)h[a * N + b] *
                                          (double)(values[row * N + a] - w[row * N + a]) *
                                          (double)(values[row * N + b] - w[row * N + b]);
            }
            if (!(error[0] < 0.8 * error[1]))
                fail_msg("%s: error %g, %g nearest", quant_type_name(id, name), error[0], error[1]);
        }
        accel_matrix_free(m);
        quant_tensor_free(&t);
        quant_tensor_free(&nearest);
    }
}

static void files_that_keep_another_number_of_weights_are_damaged(void **state)
{
    (void)state;
    uint32_t base = quant_type_id(ACCEL_INT(4), 0, false), id = quant_type_sparse(base, 2, 4);
    enum { N = 10, MASK = 3 };
    /* scale 1; columns 0 1, 6 7, 8 */
    const uint8_t row[] = { 0x80, 0x3F, 1, 0xC3, 0x01, 0x21, 0x43, 0x05 };
    /* one more, one less, one in the next block, none in the last, behind the end */
    static const struct spoiled list[] = {
        { MASK, 0xC7 }, { MASK, 0xC1 }, { MASK, 0xE1 }, { MASK + 1, 0 }, { MASK + 1, 5 }
    };
    accel_matrix *m = load_row(id, "int4,2:4", row, sizeof row, N);
    for (uint32_t c = 0; c < N; c++) {
        static const double want[N] = { 1, 2, 0, 0, 0, 0, 3, 4, 5, 0 };
        assert_true(accel_matrix_value(m, 0, c) == want[c]);
    }
    accel_matrix_free(m);
    refuse_spoiled(id, row, sizeof row, N, list, sizeof list / sizeof *list, true);
    /* types that there are not */
    struct quant_type t;
    for (uint32_t pattern = PATTERNS + 1; pattern < 16; pattern++)
        assert_false(quant_type_read(base | pattern << 16, &t));
    assert_int_equal(quant_type_sparse(base, 3, 4), 0);
    assert_int_equal(quant_type_sparse(id, 2, 4), 0);
    assert_int_equal(quant_type_sparse(quant_type_id(ACCEL_UINT(4), 32, false), 2, 4), 0);
    assert_int_equal(quant_type_sparse(quant_type_id(ACCEL_INT(1), 32, false), 2, 4), 0);
    assert_int_equal(quant_type_sparse(quant_type_id(ACCEL_INT(8), 32, true), 2, 4), 0);
    assert_int_equal(quant_type_sparse(quant_type_outliers(base, 1), 2, 4), 0);
    assert_int_equal(quant_type_outliers(id, 1), 0);
}

/* ---- hostile weights ---- */

static void weights_of_zero_denormals_and_huge_ones_quantize_and_nan_is_named(void **state)
{
    (void)state;
    static float w[ROWS * COLS], values[ROWS * COLS];
    for (unsigned i = 0; accel_format_at(i); i++) {
        for (unsigned way = 0; way < 4; way++) { /* plain, mx, with outliers, 2:4 */
            accel_format f = accel_format_at(i);
            bool book = f == ACCEL_CODEBOOK3 || f == ACCEL_CODEBOOK4;
            uint32_t id = quant_type_id(f, book ? 0 : 32, way == 1);
            id = way == 2   ? quant_type_outliers(id, 2)
                 : way == 3 ? quant_type_sparse(id, 2, 4)
                            : id;
            struct quant_tensor t = { 0 };
            struct accel_error err;
            if (!id)
                continue;
            memset(w, 0, sizeof w);
            for (uint32_t c = 0; c < COLS; c++) {
                w[COLS + c] = 1e-41f * (float)(c % 9);
                w[2 * COLS + c] = c % 2 ? 0.0f : 1e30f;
                w[3 * COLS + c] = c == 50 ? 1.0f : 0.0f;
                w[4 * COLS + c] = c < 32 ? 1e-20f : c < 64 ? 1e20f : 0.0f;
            }
            if (quant_matrix(id, QUANT_RTN, ROWS, COLS, w, NULL, 1, &t, &err))
                fail_msg("%s: %s", accel_format_name(f), err.text);
            assert_int_equal(quant_tensor_values(&t, ROWS, COLS, values, &err), ACCEL_OK);
            for (uint32_t c = 0; c < ROWS * COLS; c++) {
                if (!isfinite(values[c]))
                    fail_msg("%s: row %u, column %u is not finite", accel_format_name(f), c / COLS,
                             c % COLS);
                if (c < COLS && values[c] != 0.0f && (f & 0xF00u) != ACCEL_CODING_BIPOLAR)
                    fail_msg("%s: a row of zeros holds %g", accel_format_name(f),
                             (double)values[c]);
            }
            quant_tensor_free(&t);
            w[3 * COLS + 7] = NAN;
            assert_int_equal(quant_matrix(id, QUANT_RTN, ROWS, COLS, w, NULL, 2, &t, &err),
                             ACCEL_E_ARG);
            assert_non_null(strstr(err.text, "row 3, column 7"));
            assert_null(t.data);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ggml_types_have_the_bytes_of_the_reference_quantizer),
        cmocka_unit_test(ids_of_own_types_tell_format_and_group_and_no_other_id_does),
        cmocka_unit_test(rows_read_back_as_the_matrix_that_the_device_gets),
        cmocka_unit_test(searched_scales_leave_less_error_than_the_largest_weight_does),
        cmocka_unit_test(gptq_keeps_outputs_better_than_weights_or_the_inputs_sizes_do),
        cmocka_unit_test(the_number_of_threads_changes_no_byte),
        cmocka_unit_test(outliers_leave_the_codes_to_the_others),
        cmocka_unit_test(files_with_impossible_outliers_are_damaged),
        cmocka_unit_test(pruned_types_keep_n_of_m_weights_and_read_back),
        cmocka_unit_test(files_that_keep_another_number_of_weights_are_damaged),
        cmocka_unit_test(weights_of_zero_denormals_and_huge_ones_quantize_and_nan_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
