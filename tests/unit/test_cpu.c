/* test_cpu.c - the golden model: the contract by hand, and the fast path against the definition.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "internal.h"
#include "random_matrix.h"

#include "backend/cpu.h"

#include <stdlib.h>
#include <string.h>

static accel_dev *open_device(const char *uri)
{
    accel_dev *dev = NULL;
    struct accel_error err;
    if (accel_open(uri, NULL, &dev, &err))
        fail_msg("%s", err.text);
    return dev;
}

static accel_weights *load(accel_dev *dev, const accel_matrix *mat)
{
    accel_weights *w = NULL;
    struct accel_error err;
    if (accel_load(dev, mat, &w, &err))
        fail_msg("%s", err.text);
    return w;
}

/* 2 rows, 18 columns, groups of 16 and 2: every term of the contract worked out by hand. */
static void a_worked_example_gives_its_numbers(void **state)
{
    (void)state;
    uint8_t codes[2][18] = { { 0 } };
    codes[0][0] = 7;   /* k = 7 */
    codes[0][1] = 8;   /* k = -8 */
    codes[0][17] = 15; /* k = -1 */
    codes[1][16] = 1;
    const int16_t sc[4] = { 100, -2048, -1, 2047 };
    const uint8_t sh[4] = { 0, 15, 3, 1 };
    const int32_t oc[4] = { -5, 7, 524287, -524288 };
    int8_t x[18] = { 10, 20, [16] = 3, [17] = -4 };
    /* group 0: D = 7*10 - 8*20 = -90, S = 30; group 1: D = -1*-4 = 4, S = -1 */
    const int64_t row0 = (100 * -90 + -5 * 30) + (-2048 * 4 + 7 * -1) * 32768LL;
    /* group 0: D = 0, S = 30; group 1: D = 3, S = -1 */
    const int64_t row1 = (524287LL * 30) * 8 + (2047 * 3 + 524288) * 2;
    struct accel_matrix_parts parts = { ACCEL_INT(4), 2,  18,   16,   codes[0], sc,
                                        sh,           oc, NULL, NULL, NULL,     NULL };
    accel_matrix *mat;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    const char *uris[] = { "cpu:", "cpu:path=reference" };
    for (int i = 0; i < 2; i++) {
        accel_dev *dev = open_device(uris[i]);
        accel_weights *w = load(dev, mat);
        int64_t y[2] = { 0, 0 };
        struct accel_stats stats;
        struct accel_job job = {
            .weights = w, .x = x, .n = 1, .x_stride = 18, .y = y, .y_stride = 2
        };
        assert_int_equal(accel_run(dev, &job, &stats, NULL), ACCEL_OK);
        assert_int_equal(y[0], row0);
        assert_int_equal(y[1], row1);
        assert_int_equal(stats.macs, 36);
        assert_int_equal(stats.cycles, 0);
        accel_unload(w);
        accel_close(dev);
    }
    accel_matrix_free(mat);
}

static void check_fast(struct rng *r, accel_dev *dev, accel_format f, uint32_t group, uint32_t rows,
                       uint32_t cols, uint32_t n)
{
    accel_matrix *mat = random_matrix(r, f, group, rows, cols, (int)rng_below(r, 2));
    accel_weights *w = load(dev, mat);
    size_t stride = cols + rng_below(r, 3), count = (size_t)n * rows;
    int8_t *x = malloc(n * stride);
    int64_t *want = malloc(count * sizeof *want), *got = malloc(count * sizeof *got);
    assert_true(x && want && got);
    random_activations(r, x, n * stride);
    cpu_reference(mat, x, n, stride, want);
    struct accel_job job = {
        .weights = w, .x = x, .n = n, .x_stride = stride, .y = got, .y_stride = rows
    };
    assert_int_equal(accel_run(dev, &job, NULL, NULL), ACCEL_OK);
    if (memcmp(got, want, count * sizeof *want) != 0)
        fail_msg("%s group %u, %u x %u, %u columns differ from the definition",
                 accel_format_name(f), group, rows, cols, n);
    for (size_t i = 0; i < count; i++)
        assert_true(want[i] < (int64_t)1 << 47 && want[i] >= -((int64_t)1 << 47));
    free(x);
    free(want);
    free(got);
    accel_unload(w);
    accel_matrix_free(mat);
}

static void the_fast_path_equals_the_definition_for_every_format_and_group(void **state)
{
    (void)state;
    struct rng r = { 11 };
    accel_dev *dev = open_device("cpu:");
    for (int f = 0; f < ALL_FORMATS; f++)
        for (int g = 0; g < GROUPS; g++)
            check_fast(&r, dev, format_at(f), group_at[g], 1 + rng_below(&r, 9),
                       1 + rng_below(&r, 600), 1 + rng_below(&r, 11));
    accel_close(dev);
}

/* One row, one group, one column of activations: D (and oc * S) by both paths. */
static void expect_dot(const struct accel_matrix_parts *parts, const int8_t *x, int64_t want)
{
    const char *uris[] = { "cpu:", "cpu:path=reference" };
    accel_matrix *mat;
    struct accel_error err;
    if (accel_matrix_from_codes(parts, &mat, &err))
        fail_msg("%s: %s", accel_format_name(parts->format), err.text);
    for (int i = 0; i < 2; i++) {
        accel_dev *dev = open_device(uris[i]);
        accel_weights *w = load(dev, mat);
        int64_t y[4] = { 0 };
        struct accel_job job = {
            .weights = w, .x = x, .n = 1, .x_stride = parts->cols, .y = y, .y_stride = 1
        };
        assert_int_equal(accel_run(dev, &job, NULL, NULL), ACCEL_OK);
        if (y[0] != want)
            fail_msg("%s on %s: %lld, not %lld", accel_format_name(parts->format), uris[i],
                     (long long)y[0], (long long)want);
        accel_unload(w);
        accel_close(dev);
    }
    accel_matrix_free(mat);
}

/* The same four weights as int4, as uint4 with a zero point of 8, and doubled and one more as
 * bipolar. */
static void one_dot_product_agrees_in_three_codings(void **state)
{
    (void)state;
    const int8_t x[4] = { 3, -5, 127, -128 };
    const uint8_t int4[4] = { 7, 8, 15, 2 };   /* 7 -8 -1 2 */
    const uint8_t uint4[4] = { 15, 0, 7, 10 }; /* and bipolar: 15 -15 -1 5 */
    const int16_t sc = 1;
    const int32_t minus_8 = -8;
    struct accel_matrix_parts p = {
        .format = ACCEL_INT(4), .rows = 1, .cols = 4, .codes = int4, .sc = &sc
    };
    expect_dot(&p, x, -322);
    p.format = ACCEL_UINT(4);
    p.codes = uint4;
    expect_dot(&p, x, -346);
    p.oc = &minus_8;
    expect_dot(&p, x, -322);
    p.oc = NULL;
    p.format = ACCEL_BIP(4);
    expect_dot(&p, x, -647);
}

/* sum(x u) = (sum(x q) + (2^n - 1) S) / 2 and sum(x w) = (sum(x q) - S) / 2, both without a rest:
 * u unsigned, w signed, q bipolar. */
static void signed_and_unsigned_sums_follow_from_bipolar_ones(void **state)
{
    (void)state;
    struct rng r = { 51 };
    for (int bits = 1; bits <= 8; bits++) {
        for (int round = 0; round < 50; round++) {
            int64_t u = 0, w = 0, q = 0, s = 0;
            for (int i = 0; i < 100; i++) {
                unsigned code = rng_below(&r, 1u << bits);
                int x = (int8_t)rng_next(&r);
                u += accel_format_decode(ACCEL_UINT(bits), code) * x;
                w += accel_format_decode(ACCEL_INT(bits), code ^ 1u << (bits - 1)) * x;
                q += accel_format_decode(ACCEL_BIP(bits), code) * x;
                s += x;
            }
            assert_int_equal(2 * u, q + ((1 << bits) - 1) * s);
            assert_int_equal(2 * w, q - s);
        }
    }
}

static void worked_examples_of_formats_with_context_give_their_numbers(void **state)
{
    (void)state;
    const int8_t x[6] = { 100, -128, 127, 5, -7, 1 };
    const int16_t sc = 3;
    struct accel_matrix_parts p = { .rows = 1, .cols = 6, .sc = &sc };
    /* 0 96 | -12 0 | 7 -7 */
    p.format = ACCEL_OLIVE4;
    p.codes = (const uint8_t[]){ 8, 7, 9, 8, 7, 9 };
    expect_dot(&p, x, 3 * (-128 * 96 - 127 * 12 - 7 * 7 - 7));
    /* the same codes on flint: 0 192 | -24 0 | 6 -1 */
    p.format = ACCEL_OLIVE4F;
    expect_dot(&p, x, 3 * (-128 * 192 - 127 * 24 - 7 * 6 - 1));
    /* the special value is -16, else 0.5 1 6 -0.5 -6 doubled */
    p.format = ACCEL_FP4;
    p.codes = (const uint8_t[]){ 8, 1, 2, 7, 9, 15 };
    p.sel = (const uint8_t[]){ 3 };
    expect_dot(&p, x, 3 * (-1600 - 128 + 254 + 60 + 7 - 12));
    /* powers of two */
    p.format = ACCEL_ANT4;
    p.codes = (const uint8_t[]){ 7, 15, 4, 0, 8, 1 };
    p.sel = (const uint8_t[]){ 1 };
    expect_dot(&p, x, 3 * (6400 + 128 * 64 + 127 * 8 + 0 + 0 + 1));
    p.sel = NULL;
    p.format = ACCEL_CODEBOOK3;
    p.codes = (const uint8_t[]){ 0, 1, 2, 3, 7, 0 };
    p.codebook = (const int8_t[]){ -128, 127, 0, 9, 9, 9, 9, 11 };
    expect_dot(&p, x, 3 * (-12800 - 128 * 127 + 45 - 77 - 128));
    p.codebook = NULL;
    /* e4m3: 448, the least value, -448 */
    p.format = ACCEL_FLOAT(4, 3);
    p.codes = (const uint8_t[]){ 0x7E, 1, 0xFE, 0x80, 0, 0 };
    expect_dot(&p, x, 3 * (100LL * 229376 - 128 - 127LL * 229376));
}

/* Longer than a 32-bit sum can hold: 255 times -128 passes 2^31 at 65793 columns, e4m3's largest at
 * 74. */
static void rows_longer_than_a_32_bit_sum_stay_exact(void **state)
{
    (void)state;
    const uint32_t cols = 70001;
    uint8_t *codes = malloc(cols);
    int8_t *x = malloc((size_t)4 * cols);
    assert_true(codes && x);
    memset(x, -128, (size_t)4 * cols);
    const int16_t sc = 1;
    const struct {
        accel_format format;
        uint8_t code;
        int k;
    } cases[] = { { ACCEL_UINT(8), 255, 255 },         { ACCEL_BIP(8), 255, 255 },
                  { ACCEL_INT(8), 255, -1 },           { ACCEL_FLOAT(3, 2), 63, -448 },
                  { ACCEL_FLOAT(2, 5), 255, -252 },    { ACCEL_FLOAT(3, 3), 127, -960 },
                  { ACCEL_FLOAT(4, 0), 31, -16384 },   { ACCEL_FLOAT(4, 3), 0xFE, -229376 },
                  { ACCEL_FLOAT(4, 3), 0x7E, 229376 }, { ACCEL_POT4, 15, -64 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct accel_matrix_parts parts = {
            .format = cases[i].format, .rows = 1, .cols = cols, .codes = codes, .sc = &sc
        };
        accel_matrix *mat;
        int64_t y[4] = { 0 };
        memset(codes, cases[i].code, cols);
        assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
        accel_dev *dev = open_device("cpu:");
        accel_weights *w = load(dev, mat);
        struct accel_job job = {
            .weights = w, .x = x, .n = 4, .x_stride = cols, .y = y, .y_stride = 1
        };
        assert_int_equal(accel_run(dev, &job, NULL, NULL), ACCEL_OK);
        for (int c = 0; c < 4; c++)
            assert_int_equal(y[c], (int64_t)cases[i].k * -128 * cols);
        accel_unload(w);
        accel_close(dev);
        accel_matrix_free(mat);
    }
    free(codes);
    free(x);
}

static void codebooks_count_as_headers(void **state)
{
    (void)state;
    struct rng r = { 52 };
    accel_dev *dev = open_device("cpu:");
    const accel_format formats[] = { ACCEL_CODEBOOK4, ACCEL_FP4, ACCEL_FLOAT(2, 1) };
    const uint64_t want[] = { 5 * 3 * 16 + 5 * 16 * 8, 5 * 3 * 16, 5 * 3 * 16 };
    for (int i = 0; i < 3; i++) {
        accel_matrix *mat = random_matrix(&r, formats[i], 32, 5, 90, 0);
        accel_weights *w = load(dev, mat);
        struct accel_weights_info info;
        accel_weights_get_info(w, &info);
        assert_int_equal(info.code_bits, 5 * 90 * 4);
        assert_int_equal(info.header_bits, want[i]);
        accel_unload(w);
        accel_matrix_free(mat);
    }
    accel_close(dev);
}

static void both_paths_and_the_host_requantize_alike(void **state)
{
    (void)state;
    struct rng r = { 21 };
    const uint32_t rows = 37, cols = 129, n = 6;
    accel_matrix *mat = random_matrix(&r, ACCEL_INT(5), 32, rows, cols, 1);
    int8_t x[6 * 129], y[3][6 * 37];
    int64_t acc[6 * 37];
    uint32_t mul[37];
    uint8_t shift[37];
    random_activations(&r, x, sizeof x);
    for (uint32_t m = 0; m < rows; m++) {
        mul[m] = (uint32_t)(rng_next(&r) >> 33);
        shift[m] = (uint8_t)(55 + rng_below(&r, 8));
    }
    cpu_reference(mat, x, n, cols, acc);
    const char *uris[] = { "cpu:path=fast", "cpu:path=reference", "cpu:" };
    for (int i = 0; i < 3; i++) {
        accel_dev *dev = open_device(uris[i]);
        dev->no_requant = i == 2;
        accel_weights *w = load(dev, mat);
        struct accel_job job = { .weights = w,
                                 .x = x,
                                 .n = n,
                                 .x_stride = cols,
                                 .out = ACCEL_OUT_I8,
                                 .y = y[i],
                                 .y_stride = rows,
                                 .requant_mul = mul,
                                 .requant_shift = shift };
        assert_int_equal(accel_run(dev, &job, NULL, NULL), ACCEL_OK);
        for (uint32_t c = 0; c < n; c++)
            for (uint32_t m = 0; m < rows; m++)
                assert_int_equal(y[i][c * rows + m],
                                 accel_requantize(acc[c * rows + m], mul[m], shift[m]));
        accel_unload(w);
        accel_close(dev);
    }
    accel_matrix_free(mat);
}

static void a_passed_deadline_stops_the_job_and_leaves_the_results_alone(void **state)
{
    (void)state;
    struct rng r = { 31 };
    const uint32_t rows = 300, cols = 4096,
                   n = 64; /* long enough to look at the clock in between */
    accel_matrix *mat = random_matrix(&r, ACCEL_INT(2), 0, rows, cols, 0);
    int8_t *x = calloc(n, cols);
    int64_t *y = malloc((size_t)n * rows * sizeof *y);
    assert_true(x && y);
    memset(y, 0x5A, (size_t)n * rows * sizeof *y);
    const char *uris[] = { "cpu:", "cpu:path=reference" };
    for (int i = 0; i < 2; i++) {
        accel_dev *dev = open_device(uris[i]);
        accel_weights *w = load(dev, mat);
        struct accel_error err;
        struct accel_stats totals;
        struct accel_job job = { .weights = w,
                                 .x = x,
                                 .n = n,
                                 .x_stride = cols,
                                 .y = y,
                                 .y_stride = rows,
                                 .deadline_ns = 1 };
        assert_int_equal(accel_run(dev, &job, NULL, &err), ACCEL_E_TIMEOUT);
        assert_non_null(strstr(err.text, "deadline"));
        for (size_t k = 0; k < (size_t)n * rows; k++)
            assert_int_equal(y[k], 0x5A5A5A5A5A5A5A5A);
        accel_get_totals(dev, &totals);
        assert_int_equal(totals.jobs, 0);
        if (i == 0) {
            job.deadline_ns = UINT64_MAX;
            assert_int_equal(accel_run(dev, &job, NULL, NULL), ACCEL_OK);
            assert_int_equal(y[0], 0);
            memset(y, 0x5A, (size_t)n * rows * sizeof *y);
        }
        accel_unload(w);
        accel_close(dev);
    }
    free(x);
    free(y);
    accel_matrix_free(mat);
}

/* No matrix that was proved can do this; a forged one shows that the check is there. */
static void a_result_beyond_48_bits_is_reported_not_returned(void **state)
{
    (void)state;
    struct rng r = { 41 };
    accel_matrix *mat = random_matrix(&r, ACCEL_INT(8), 0, 1, 4096, 0);
    memset(mat->codes, 0x80, 4096);
    mat->sc[0] = 2047;
    mat->sh[0] = 15;
    int8_t x[4096];
    memset(x, -128, sizeof x);
    const char *uris[] = { "cpu:", "cpu:path=reference" };
    for (int i = 0; i < 2; i++) {
        accel_dev *dev = open_device(uris[i]);
        accel_weights *w = load(dev, mat);
        int64_t y = 4;
        struct accel_job job = {
            .weights = w, .x = x, .n = 1, .x_stride = 4096, .y = &y, .y_stride = 1
        };
        assert_int_equal(accel_run(dev, &job, NULL, NULL), ACCEL_E_DEVICE);
        assert_int_equal(y, 4);
        accel_unload(w);
        accel_close(dev);
    }
    accel_matrix_free(mat);
}

static void parameters_other_than_path_are_refused(void **state)
{
    (void)state;
    accel_dev *dev = NULL;
    struct accel_error err;
    assert_int_equal(accel_open("cpu:rows=3", NULL, &dev, &err), ACCEL_E_URI);
    assert_non_null(strstr(err.text, "rows"));
    assert_int_equal(accel_open("cpu:path=slow", NULL, &dev, &err), ACCEL_E_URI);
    assert_non_null(strstr(err.text, "slow"));
    assert_int_equal(accel_open("cpu:path", NULL, &dev, &err), ACCEL_E_URI);
    assert_null(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worked_example_gives_its_numbers),
        cmocka_unit_test(the_fast_path_equals_the_definition_for_every_format_and_group),
        cmocka_unit_test(one_dot_product_agrees_in_three_codings),
        cmocka_unit_test(signed_and_unsigned_sums_follow_from_bipolar_ones),
        cmocka_unit_test(worked_examples_of_formats_with_context_give_their_numbers),
        cmocka_unit_test(codebooks_count_as_headers),
        cmocka_unit_test(rows_longer_than_a_32_bit_sum_stay_exact),
        cmocka_unit_test(both_paths_and_the_host_requantize_alike),
        cmocka_unit_test(a_passed_deadline_stops_the_job_and_leaves_the_results_alone),
        cmocka_unit_test(a_result_beyond_48_bits_is_reported_not_returned),
        cmocka_unit_test(parameters_other_than_path_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
