/* test_outliers.c - outliers: the contract by hand, refusals, the proof, quantizing, their cost.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ggml_blocks.h"
#include "gguf.h"
#include "internal.h"
#include "random_matrix.h"

#include "backend/cpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const cpus[] = { "cpu:", "cpu:path=reference" };

/* Runs one job of ACC results. */
static void run(const char *uri, const accel_matrix *mat, const int8_t *x, uint32_t n, int64_t *y,
                struct accel_stats *stats, struct accel_weights_info *packed)
{
    accel_dev *dev = NULL;
    accel_weights *w = NULL;
    struct accel_matrix_info info;
    struct accel_error err = { 0, "" };
    accel_matrix_get_info(mat, &info);
    if (accel_open(uri, NULL, &dev, &err) || accel_load(dev, mat, &w, &err))
        fail_msg("%s", err.text);
    struct accel_job job = {
        .weights = w, .x = x, .n = n, .x_stride = info.cols, .y = y, .y_stride = info.rows
    };
    if (accel_run(dev, &job, stats, &err))
        fail_msg("%s", err.text);
    if (packed)
        accel_weights_get_info(w, packed);
    accel_unload(w);
    accel_close(dev);
}

/* ---- exact parts ---- */

/* 2 rows of 3 columns: row 0 without outliers, row 1 with two. */
struct example {
    uint8_t codes[6];
    int16_t row_sc[2];
    uint32_t first[3], col[2];
    int16_t k[2], sc[2];
    uint8_t sh[2];
    float scale[2];
    struct accel_outliers outliers;
    struct accel_matrix_parts parts;
};

static void make_example(struct example *e)
{
    *e = (struct example){ .codes = { 1, 2, 3, 4, 5, 6 },
                           .row_sc = { 7, -1 },
                           .first = { 0, 0, 2 },
                           .col = { 0, 2 },
                           .k = { -32768, 1000 },
                           .sc = { 2047, -2048 },
                           .sh = { 15, 3 },
                           .scale = { 1.0f, 0.5f } };
    e->outliers = (struct accel_outliers){ e->first, e->col, e->k, e->sc, e->sh };
    e->parts = (struct accel_matrix_parts){ .format = ACCEL_INT(8),
                                            .rows = 2,
                                            .cols = 3,
                                            .codes = e->codes,
                                            .sc = e->row_sc,
                                            .row_scale = e->scale,
                                            .outliers = &e->outliers };
}

static void a_worked_example_gives_its_numbers(void **state)
{
    (void)state;
    struct example e;
    struct accel_matrix_info info;
    accel_matrix *mat;
    const int8_t x[6] = { 1, 2, 3, -128, 127, -1 };
    make_example(&e);
    assert_int_equal(accel_matrix_from_codes(&e.parts, &mat, NULL), ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.outliers, 2);
    /* row 1: -(4 5 6) x + -2048 * 8 * (-32768 x0 + 1000 x2) */
    const int64_t want[4] = { 7 * 14, -32 - 16384LL * (-32768 + 3000), 7 * (-128 + 254 - 3),
                              -(-512 + 635 - 6) - 16384LL * (32768 * 128 - 1000) };
    for (int i = 0; i < 2; i++) {
        int64_t y[4];
        run(cpus[i], mat, x, 2, y, NULL, NULL);
        assert_memory_equal(y, want, sizeof want);
    }
    assert_true(accel_matrix_value(mat, 0, 2) == 7.0 * 3);
    assert_true(accel_matrix_value(mat, 1, 0) == 0.5 * (-4 + 16384.0 * 32768));
    assert_true(accel_matrix_value(mat, 1, 1) == 0.5 * -5);
    assert_true(accel_matrix_value(mat, 1, 2) == 0.5 * (-6 - 16384.0 * 1000));
    assert_int_equal(accel_matrix_k(mat, 1, 0), 4); /* of the code alone */
    accel_matrix_free(mat);

    e.outliers.sh = NULL; /* all 0 */
    assert_int_equal(accel_matrix_from_codes(&e.parts, &mat, NULL), ACCEL_OK);
    assert_true(accel_matrix_value(mat, 1, 2) == 0.5 * (-6 - 2048.0 * 1000));
    accel_matrix_free(mat);
    e.first[2] = 0; /* lists without entries are none */
    assert_int_equal(accel_matrix_from_codes(&e.parts, &mat, NULL), ACCEL_OK);
    assert_null(mat->outliers);
    accel_matrix_free(mat);
}

static void refused(const struct example *e, const char *words)
{
    accel_matrix *mat = NULL;
    struct accel_error err;
    assert_int_equal(accel_matrix_from_codes(&e->parts, &mat, &err), ACCEL_E_ARG);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_null(mat);
}

static void lists_that_cannot_be_are_refused_by_row_and_column(void **state)
{
    (void)state;
    struct example e;
    make_example(&e);
    e.col[1] = 3;
    refused(&e, "row 1: an outlier in column 3 of 3");
    e.col[1] = 0;
    refused(&e, "row 1, column 0: outliers must be sorted");
    e.col[0] = 2, e.col[1] = 1;
    refused(&e, "row 1, column 1: outliers must be sorted");
    make_example(&e);
    e.sc[0] = -2049;
    refused(&e, "row 0: sc of its outliers");
    e.sc[0] = 2048;
    refused(&e, "row 0: sc of its outliers");
    make_example(&e);
    e.sh[1] = 16;
    refused(&e, "row 1: sh of its outliers");
    make_example(&e);
    e.k[1] = 32767; /* 65535 in all */
    accel_matrix *mat = NULL;
    assert_int_equal(accel_matrix_from_codes(&e.parts, &mat, NULL), ACCEL_OK);
    accel_matrix_free(mat);
    e.k[1] = -32768;
    refused(&e, "row 1: the magnitudes of its outliers add up to 65536");
    make_example(&e);
    e.first[0] = 1;
    refused(&e, "row 0: its outliers begin at 1");
    e.first[0] = 0, e.first[1] = 3;
    e.col[0] = 0, e.col[1] = 1;
    e.first[1] = 2, e.first[2] = 1;
    refused(&e, "row 1: its outliers end at 1 before 2");
    make_example(&e);
    e.outliers.k = NULL;
    refused(&e, "first, col, k and sc");
}

/* The bound is reached: the worst activations need exactly the bits that the proof says. */
static void the_proof_counts_outliers(void **state)
{
    (void)state;
    const uint8_t code = 1;
    const int16_t sc = 1;
    const uint32_t first[2] = { 0, 1 }, col = 0;
    int16_t k = -32768, sc_o = -2048;
    uint8_t sh_o = 15;
    const struct accel_outliers outliers = { first, &col, &k, &sc_o, &sh_o };
    const struct accel_matrix_parts parts = { .format = ACCEL_INT(8),
                                              .rows = 1,
                                              .cols = 1,
                                              .codes = &code,
                                              .sc = &sc,
                                              .outliers = &outliers };
    accel_matrix *mat = NULL;
    struct accel_error err;
    struct accel_matrix_info info;
    /* 128 * (1 + 2^15 * 2^11 * 2^15) is 2^48 and more */
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, &err), ACCEL_E_OVERFLOW);
    assert_non_null(strstr(err.text, "row 0"));
    sh_o = 13;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, &err), ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.acc_bits, 48); /* 2^46 + 128 and the sign */
    accel_matrix_free(mat);
}

static void the_fast_path_equals_the_definition_for_every_format_and_group(void **state)
{
    (void)state;
    struct rng r = { 5 };
    for (int f = 0; f < ALL_FORMATS; f++) {
        for (int g = 0; g < GROUPS; g++) {
            const uint32_t rows = 1 + rng_below(&r, 9), cols = 1 + rng_below(&r, 600),
                           n = 1 + rng_below(&r, 6);
            accel_matrix *dense = random_matrix(&r, format_at(f), group_at[g], rows, cols,
                                                (int)rng_below(&r, 2));
            accel_matrix *mat = with_outliers(&r, dense, 1 + rng_below(&r, 40));
            const size_t bytes = (size_t)n * rows * sizeof(int64_t);
            int8_t *x = malloc((size_t)n * cols);
            int64_t *want = malloc(bytes), *got = malloc(bytes);
            assert_true(x && want && got);
            random_activations(&r, x, (size_t)n * cols);
            cpu_reference(mat, x, n, cols, want);
            run("cpu:", mat, x, n, got, NULL, NULL);
            if (memcmp(got, want, bytes) != 0)
                fail_msg("%s group %u, %u x %u: differs", accel_format_name(format_at(f)),
                         group_at[g], rows, cols);
            accel_matrix_free(dense);
            accel_matrix_free(mat);
            free(x);
            free(want);
            free(got);
        }
    }
}

static void a_stack_carries_the_outliers_of_its_matrices(void **state)
{
    (void)state;
    struct rng r = { 8 };
    accel_matrix *mats[4], *dense, *stack;
    struct accel_matrix_info info;
    const uint32_t rows[4] = { 3, 1, 5, 2 }, cols = 70;
    uint32_t count = 0;
    for (int i = 0; i < 4; i++) {
        mats[i] = random_matrix(&r, ACCEL_INT(4), 16, rows[i], cols, 0);
        if (i == 1) /* one without */
            continue;
        dense = mats[i];
        mats[i] = with_outliers(&r, dense, 9);
        accel_matrix_free(dense);
        accel_matrix_get_info(mats[i], &info);
        count += info.outliers;
    }
    assert_int_equal(accel_matrix_stack((const accel_matrix *const *)mats, 4, &stack, NULL),
                     ACCEL_OK);
    accel_matrix_get_info(stack, &info);
    assert_int_equal(info.outliers, count);
    for (uint32_t i = 0, row = 0; i < 4; i++)
        for (uint32_t m = 0; m < rows[i]; m++, row++)
            for (uint32_t c = 0; c < cols; c++)
                assert_true(accel_matrix_value(stack, row, c) == accel_matrix_value(mats[i], m, c));
    for (int i = 0; i < 4; i++)
        accel_matrix_free(mats[i]);
    accel_matrix_free(stack);
}

/* ---- quantizing ---- */

static float *random_weights(struct rng *r, size_t count)
{
    float *w = malloc(count * sizeof *w);
    assert_non_null(w);
    for (size_t i = 0; i < count; i++) { /* a few far out */
        float v = rng_float(r);
        w[i] = rng_below(r, 50) ? v * 0.1f : v * 3.0f;
    }
    return w;
}

/* The outliers of a row are its largest weights; the codes are those of the others alone; what both
 * together differ by from the weight is at most half a unit. */
static void check_row(const accel_matrix *mat, const float *w, uint32_t m)
{
    const struct outliers *o = mat->outliers;
    const double unit = fabs((double)mat->row_scale[m]) * o->sc[m] * (1u << o->sh[m]);
    double smallest = INFINITY, largest = 0.0;
    int64_t sum = 0, top = 0;
    for (uint32_t c = 0, i = o->first[m]; c < mat->cols; c++) {
        double v = fabs((double)w[c]);
        if (i == o->first[m + 1] || o->col[i] != c) {
            largest = fmax(largest, v);
            continue;
        }
        smallest = fmin(smallest, v);
        double off = fabs(accel_matrix_value(mat, m, c) - w[c]);
        if (!(off <= unit * 0.5000001))
            fail_msg("%s row %u, column %u: off by %g, a unit is %g",
                     accel_format_name(mat->format), m, c, off, unit);
        sum += abs(o->k[i]);
        top = abs(o->k[i]) > top ? abs(o->k[i]) : top;
        i++;
    }
    assert_true(smallest >= largest);
    assert_true(sum <= 65535 && top <= 32767);
    if (!(top >= 8192 || sum >= 32767 - (int64_t)mat->cols)) /* all of the 15 bits, or of the sum */
        fail_msg("%s row %u: k up to %d only", accel_format_name(mat->format), m, (int)top);
}

static void the_largest_weights_leave_and_keep_15_bits(void **state)
{
    (void)state;
    struct rng r = { 77 };
    const uint32_t rows = 12, cols = 300;
    for (int f = 0; f < ALL_FORMATS; f++) {
        const uint32_t group = group_at[f % GROUPS];
        float *w = random_weights(&r, (size_t)rows * cols);
        for (uint32_t i = 0; i < rows * cols && format_at(f) == ACCEL_UFLINT4; i++)
            w[i] = fabsf(w[i]);
        accel_matrix *mat, *dense;
        struct accel_error err;
        if (accel_matrix_quantize_outliers(format_at(f), group, rows, cols, w, 0.0125, &mat, &err))
            fail_msg("%s", err.text);
        assert_int_equal(mat->outliers->first[rows], 45); /* 3.75 a row */
        for (uint32_t m = 0; m < rows; m++) {
            assert_int_equal(mat->outliers->first[m + 1], (m + 1) * 15 / 4);
            check_row(mat, w + (size_t)m * cols, m);
            for (uint32_t i = mat->outliers->first[m]; i < mat->outliers->first[m + 1]; i++)
                w[(size_t)m * cols + mat->outliers->col[i]] = 0.0f;
        }
        assert_int_equal(accel_matrix_quantize(format_at(f), group, rows, cols, w, &dense, NULL),
                         ACCEL_OK);
        assert_memory_equal(mat->codes, dense->codes, (size_t)rows * cols);
        for (uint32_t m = 0; m < rows; m++)
            for (uint32_t c = 0, i = mat->outliers->first[m]; c < cols; c++)
                if (i < mat->outliers->first[m + 1] && mat->outliers->col[i] == c)
                    i++;
                else
                    assert_true(accel_matrix_value(mat, m, c) == accel_matrix_value(dense, m, c));
        accel_matrix_free(mat);
        accel_matrix_free(dense);
        free(w);
    }
}

static void rows_of_one_kind_of_weight_are_kept(void **state)
{
    (void)state;
    float w[3][40] = { { 0.0f } };
    accel_matrix *mat;
    w[1][7] = -3e-20f; /* nothing but an outlier */
    for (int c = 0; c < 40; c++)
        w[2][c] = c % 2 ? 1.0f : -1.0f;
    assert_int_equal(
        accel_matrix_quantize_outliers(ACCEL_INT(4), 16, 3, 40, w[0], 1.0 / 40, &mat, NULL),
        ACCEL_OK);
    assert_int_equal(mat->outliers->first[3], 3);
    for (uint32_t m = 0; m < 3; m++)
        for (uint32_t c = 0; c < 40; c++)
            assert_true(fabs(accel_matrix_value(mat, m, c) - w[m][c]) <=
                        fabs((double)w[m][c]) * 0x1p-14);
    accel_matrix_free(mat);
    /* all of them: nothing is left for the codes */
    assert_int_equal(accel_matrix_quantize_outliers(ACCEL_INT(4), 0, 3, 40, w[0], 1.0, &mat, NULL),
                     ACCEL_OK);
    assert_int_equal(mat->outliers->first[3], 120);
    for (uint32_t c = 0; c < 40; c++) {
        assert_int_equal(accel_matrix_k(mat, 2, c), 0);
        assert_true(fabs(accel_matrix_value(mat, 2, c) - w[2][c]) <= 0x1p-10);
    }
    accel_matrix_free(mat);
    assert_int_equal(accel_matrix_quantize_outliers(ACCEL_INT(4), 0, 3, 40, w[0], 0.0, &mat, NULL),
                     ACCEL_OK);
    assert_null(mat->outliers);
    accel_matrix_free(mat);
}

static void weights_that_cannot_be_quantized_are_refused(void **state)
{
    (void)state;
    float w[2][3] = { { 1.0f, 2.0f, 3.0f }, { 1e-30f, 0.0f, 1e30f } };
    accel_matrix *mat = NULL;
    struct accel_error err;
    const double bad[] = { -0.01, 1.01, NAN, INFINITY };
    for (int i = 0; i < 4; i++) {
        assert_int_equal(
            accel_matrix_quantize_outliers(ACCEL_INT(4), 0, 2, 3, w[0], bad[i], &mat, &err),
            ACCEL_E_ARG);
        assert_non_null(strstr(err.text, "outliers; use 0 to 1"));
    }
    assert_int_equal(accel_matrix_quantize_outliers(ACCEL_INT(4), 0, 2, 3, w[0], 0.4, &mat, &err),
                     ACCEL_E_OVERFLOW);
    assert_non_null(strstr(err.text, "row 1: its outliers are too large"));
    w[1][2] = NAN;
    assert_int_equal(accel_matrix_quantize_outliers(ACCEL_INT(4), 0, 2, 3, w[0], 0.4, &mat, &err),
                     ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "row 1, column 2"));
    assert_int_equal(accel_matrix_quantize_outliers(ACCEL_INT(4), 17, 2, 3, w[0], 0.4, &mat, &err),
                     ACCEL_E_ARG);
    assert_int_equal(accel_matrix_quantize_outliers(ACCEL_INT(4), 0, 2, 3, NULL, 0.4, &mat, &err),
                     ACCEL_E_ARG);
    assert_int_equal(
        accel_matrix_quantize_outliers(ACCEL_INT(1), 0, 1, 100000, w[0], 0.9, &mat, &err),
        ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "a row holds 65535"));
    assert_null(mat);
}

static float *real_matrix(uint32_t *rows, uint32_t *cols)
{
    struct gguf_file *f = NULL;
    struct accel_error err;
    uint64_t row_bytes;
    if (gguf_open("models/stories-f16.gguf", &f, &err))
        fail_msg("%s", err.text);
    const struct gguf_tensor *t = gguf_find_tensor(f, "blk.0.ffn_down.weight");
    assert_non_null(t);
    *cols = (uint32_t)t->ne[0];
    *rows = (uint32_t)t->ne[1];
    assert_true(ggml_row_bytes(t->type, *cols, &row_bytes));
    float *w = malloc((size_t)*rows * *cols * sizeof *w);
    assert_non_null(w);
    for (uint32_t m = 0; m < *rows; m++)
        assert_int_equal(ggml_dequantize_row(t->type, (const uint8_t *)t->data + m * row_bytes,
                                             w + (size_t)m * *cols, *cols),
                         ACCEL_OK);
    gguf_close(f);
    return w;
}

static double squared_error(const accel_matrix *mat, const float *w)
{
    double sum = 0.0;
    for (uint32_t m = 0; m < mat->rows; m++)
        for (uint32_t c = 0; c < mat->cols; c++) {
            double d = accel_matrix_value(mat, m, c) - w[(size_t)m * mat->cols + c];
            sum += d * d;
        }
    return sum;
}

static void outliers_bring_a_real_matrix_closer_to_its_weights(void **state)
{
    (void)state;
    uint32_t rows, cols;
    float *w = real_matrix(&rows, &cols);
    const double fractions[] = { 0.0, 0.0005, 0.0045 };
    double last = INFINITY;
    for (int i = 0; i < 3; i++) {
        accel_matrix *mat;
        assert_int_equal(accel_matrix_quantize_outliers(ACCEL_INT(3), 128, rows, cols, w,
                                                        fractions[i], &mat, NULL),
                         ACCEL_OK);
        double error = squared_error(mat, w);
        print_message("int3, group 128, %.2f %% outliers: squared error %.4f\n", 100 * fractions[i],
                      error);
        assert_true(error < last);
        last = error;
        accel_matrix_free(mat);
    }
    free(w);
}

/* ---- on simulated cores ---- */

static int is_sim(void *user, const char *uri, const char *what)
{
    (void)user;
    (void)what;
    return strncmp(uri, "sim:", 4) == 0;
}

/* LLM.int8: the few columns that a narrow code would spoil, for all rows. */
static void two_whole_columns_go_to_every_core(void **state)
{
    (void)state;
    enum { ROWS = 100, COLS = 200, N = 3 };
    struct rng r = { 21 };
    if (!accel_list(is_sim, NULL))
        skip();
    float *w = random_weights(&r, (size_t)ROWS * COLS);
    for (uint32_t m = 0; m < ROWS; m++) {
        w[m * COLS + 17] = 20.0f * rng_float(&r);
        w[m * COLS + 198] = 20.0f + rng_float(&r);
        for (uint32_t c = 0; c < COLS; c++)
            if (c != 17 && c != 198)
                w[m * COLS + c] *= 0.01f;
        if (fabsf(w[m * COLS + 17]) < 1.0f)
            w[m * COLS + 17] = 1.0f;
    }
    accel_matrix *mat;
    int8_t x[N * COLS];
    int64_t want[N * ROWS], got[N * ROWS];
    random_activations(&r, x, sizeof x);
    assert_int_equal(
        accel_matrix_quantize_outliers(ACCEL_INT(4), 32, ROWS, COLS, w, 2.0 / COLS, &mat, NULL),
        ACCEL_OK);
    for (uint32_t i = 0; i < 2 * ROWS; i++)
        assert_int_equal(mat->outliers->col[i], i % 2 ? 198 : 17);
    cpu_reference(mat, x, N, COLS, want);
    run("sim:", mat, x, N, got, NULL, NULL);
    assert_memory_equal(got, want, sizeof want);
    accel_matrix_free(mat);
    free(w);
}

/* What docs/core.md says outliers cost, from the default core's own counters. */
static void an_outlier_costs_an_entry_and_a_cycle_a_column(void **state)
{
    (void)state;
    static const double fractions[] = { 0.0, 0.0005, 0.0045 };
    static const uint32_t columns[] = { 1, 16 };
    struct rng r = { 3 };
    uint32_t rows, cols;
    if (!accel_list(is_sim, NULL))
        skip();
    float *w = real_matrix(&rows, &cols);
    int8_t *x = malloc((size_t)16 * cols);
    int64_t *want = malloc((size_t)16 * rows * sizeof *want);
    int64_t *got = malloc((size_t)16 * rows * sizeof *got);
    assert_true(x && want && got);
    random_activations(&r, x, (size_t)16 * cols);
    struct accel_weights_info dense = { .rows = 0 };
    uint64_t dense_cycles[2] = { 0, 0 };
    for (int i = 0; i < 3; i++) {
        struct accel_matrix_info info;
        accel_matrix *mat;
        assert_int_equal(accel_matrix_quantize_outliers(ACCEL_INT(3), 128, rows, cols, w,
                                                        fractions[i], &mat, NULL),
                         ACCEL_OK);
        accel_matrix_get_info(mat, &info);
        for (int k = 0; k < 2; k++) {
            const uint32_t n = columns[k];
            struct accel_stats stats;
            struct accel_weights_info packed;
            cpu_reference(mat, x, n, cols, want);
            run("sim:", mat, x, n, got, &stats, &packed);
            assert_memory_equal(got, want, (size_t)n * rows * sizeof *want);
            if (i == 0) {
                dense = packed;
                dense_cycles[k] = stats.cycles;
                continue;
            }
            const double entries = info.outliers;
            double bits = (double)(packed.code_bits - dense.code_bits) / entries;
            double headers = (double)(packed.header_bits - dense.header_bits) / entries;
            double cycles = (double)(stats.cycles - dense_cycles[k]) / (entries * n);
            print_message(
                "%u x %u, int3, group 128, %.2f %%: %u outliers, %u columns: %.1f bits each, "
                "%.1f of headers, %.2f cycles (%.1f %% of all)\n",
                rows, cols, 100 * fractions[i], info.outliers, n, bits, headers, cycles,
                100.0 * (double)(stats.cycles - dense_cycles[k]) / (double)stats.cycles);
            assert_true(bits == 64.0); /* no null entries */
            assert_true(cycles < (i == 1 ? 2.0 : 1.1));
        }
        accel_matrix_free(mat);
    }
    free(w);
    free(x);
    free(want);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worked_example_gives_its_numbers),
        cmocka_unit_test(lists_that_cannot_be_are_refused_by_row_and_column),
        cmocka_unit_test(the_proof_counts_outliers),
        cmocka_unit_test(the_fast_path_equals_the_definition_for_every_format_and_group),
        cmocka_unit_test(a_stack_carries_the_outliers_of_its_matrices),
        cmocka_unit_test(the_largest_weights_leave_and_keep_15_bits),
        cmocka_unit_test(rows_of_one_kind_of_weight_are_kept),
        cmocka_unit_test(weights_that_cannot_be_quantized_are_refused),
        cmocka_unit_test(outliers_bring_a_real_matrix_closer_to_its_weights),
        cmocka_unit_test(two_whole_columns_go_to_every_core),
        cmocka_unit_test(an_outlier_costs_an_entry_and_a_cycle_a_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
