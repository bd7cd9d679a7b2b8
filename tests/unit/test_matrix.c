/* test_matrix.c - quantized matrices: exact parts, proof, quantization, ggml tensors, stacking.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ggml_blocks.h"
#include "matrix.h"
#include "random_matrix.h"

#include "backend/cpu.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- exact parts ---- */

static void parts_come_back_as_they_went_in(void **state)
{
    (void)state;
    const uint8_t codes[2][17] = { { 3, 15, 8 }, { [16] = 9 } };
    const int16_t sc[4] = { 5, -6, 7, -2048 };
    const uint8_t sh[4] = { 0, 1, 2, 3 };
    const int32_t oc[4] = { 0, -524288, 524287, 1 };
    const float scale[2] = { 0.5f, -2.0f };
    struct accel_matrix_parts parts = { ACCEL_INT(4), 2,  17,    16,   codes[0], sc,
                                        sh,           oc, scale, NULL, NULL,     NULL };
    accel_matrix *mat;
    struct accel_matrix_info info;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.format, ACCEL_INT(4));
    assert_int_equal(info.rows, 2);
    assert_int_equal(info.cols, 17);
    assert_int_equal(info.group, 16);
    assert_int_equal(info.asymmetric, 1);
    assert_true(info.scale_error == 0.0);
    assert_true(accel_matrix_value(mat, 0, 0) == 0.5 * 5 * 3);
    assert_true(accel_matrix_value(mat, 0, 1) == 0.5 * 5 * -1);
    assert_true(accel_matrix_value(mat, 0, 16) == 0.5 * -524288 * 2);
    assert_true(accel_matrix_value(mat, 1, 0) == -2.0 * 524287 * 4);
    assert_true(accel_matrix_value(mat, 1, 16) == -2.0 * (-2048 * -7 + 1) * 8);
    accel_matrix_free(mat);

    parts.sh = NULL;
    parts.oc = NULL;
    parts.row_scale = NULL;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.asymmetric, 0);
    assert_true(accel_matrix_value(mat, 1, 16) == -2048.0 * -7);
    accel_matrix_free(mat);
    accel_matrix_free(NULL);
}

static void refused(struct accel_matrix_parts parts, int status, const char *word)
{
    accel_matrix *mat = NULL;
    struct accel_error err;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, &err), status);
    assert_int_equal(err.status, status);
    if (!strstr(err.text, word))
        fail_msg("'%s' does not name '%s'", err.text, word);
    assert_null(mat);
}

static void parts_out_of_range_are_refused_by_row_and_column(void **state)
{
    (void)state;
    uint8_t codes[2][33] = { { 0 } };
    int16_t sc[6] = { 1, 1, 1, 1, 1, 1 };
    uint8_t sh[6] = { 0 };
    int32_t oc[6] = { 0 };
    float scale[2] = { 1.0f, 1.0f };
    struct accel_matrix_parts good = { ACCEL_INT(4), 2,  33,    16,   codes[0], sc,
                                       sh,           oc, scale, NULL, NULL,     NULL },
                              bad;
    accel_matrix *mat = NULL;
    struct accel_error err;
    assert_int_equal(accel_matrix_from_codes(&good, &mat, &err), ACCEL_OK);
    assert_string_equal(err.text, "");
    accel_matrix_free(mat);

    codes[1][32] = 16;
    refused(good, ACCEL_E_ARG, "row 1, column 32");
    codes[1][32] = 0;
    bad = good;
    bad.format = ACCEL_TERNARY;
    codes[0][7] = 3;
    refused(bad, ACCEL_E_ARG, "row 0, column 7");
    codes[0][7] = 0;
    sc[4] = 2048;
    refused(good, ACCEL_E_ARG, "row 1, column 16");
    sc[4] = -2049;
    refused(good, ACCEL_E_ARG, "sc");
    sc[4] = 1;
    sh[1] = 16;
    refused(good, ACCEL_E_ARG, "row 0, column 16: sh");
    sh[1] = 0;
    oc[5] = 524288;
    refused(good, ACCEL_E_ARG, "row 1, column 32: oc");
    oc[5] = -524289;
    refused(good, ACCEL_E_ARG, "oc");
    oc[5] = 0;
    scale[1] = INFINITY;
    refused(good, ACCEL_E_ARG, "row 1");
    scale[1] = NAN;
    refused(good, ACCEL_E_ARG, "row_scale");
    scale[1] = 1.0f;

    bad = good;
    bad.format = 0x104 | 0x1000;
    refused(bad, ACCEL_E_ARG, "0x1104");
    bad = good;
    bad.rows = 0;
    refused(bad, ACCEL_E_ARG, "0 x 33");
    bad = good;
    bad.group = 24;
    refused(bad, ACCEL_E_ARG, "24");
    bad = good;
    bad.codes = NULL;
    refused(bad, ACCEL_E_ARG, "codes");
    bad = good;
    bad.sc = NULL;
    refused(bad, ACCEL_E_ARG, "sc");
    assert_int_equal(accel_matrix_from_codes(NULL, &mat, NULL), ACCEL_E_ARG);
    assert_int_equal(accel_matrix_from_codes(&good, NULL, NULL), ACCEL_E_ARG);
}

static void a_code_means_what_its_selector_pair_or_codebook_says(void **state)
{
    (void)state;
    const uint8_t fp4[2][17] = { { 8, 15 }, { [15] = 8, [16] = 8 } };
    const int16_t sc[4] = { 511, -512, 3, -1 };
    const uint8_t sel[4] = { 0, 1, 2, 3 };
    struct accel_matrix_parts parts = { .format = ACCEL_FP4,
                                        .rows = 2,
                                        .cols = 17,
                                        .group = 16,
                                        .codes = fp4[0],
                                        .sc = sc,
                                        .sel = sel };
    accel_matrix *mat;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    assert_int_equal(accel_matrix_k(mat, 0, 0), 10);
    assert_int_equal(accel_matrix_k(mat, 0, 1), -12);
    assert_int_equal(accel_matrix_k(mat, 1, 15), 16);
    assert_int_equal(accel_matrix_k(mat, 1, 16), -16);
    assert_true(accel_matrix_value(mat, 0, 0) == 511.0 * 10);
    assert_int_equal(accel_matrix_k(mat, 2, 0), 0); /* no such row, no such column */
    assert_int_equal(accel_matrix_k(mat, 0, 17), 0);
    assert_int_equal(accel_matrix_k(NULL, 0, 0), 0);
    assert_true(accel_matrix_value(mat, 2, 0) == 0.0 && accel_matrix_value(mat, 0, 17) == 0.0);
    accel_matrix_free(mat);
    parts.sel = NULL; /* all 0 */
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    assert_int_equal(accel_matrix_k(mat, 1, 16), 10);
    accel_matrix_free(mat);

    /* normal normal | victim 96 | -12 victim | the last has no partner */
    const uint8_t olive[7] = { 7, 9, 8, 7, 9, 8, 15 };
    const int want[7] = { 7, -7, 0, 96, -12, 0, -1 };
    parts = (struct accel_matrix_parts){
        .format = ACCEL_OLIVE4, .rows = 1, .cols = 7, .codes = olive, .sc = sc
    };
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    for (uint32_t c = 0; c < 7; c++)
        assert_int_equal(accel_matrix_k(mat, 0, c), want[c]);
    accel_matrix_free(mat);

    const uint8_t places[2][2] = { { 0, 7 }, { 7, 3 } };
    const int8_t book[2][8] = { { -128, 1, 2, 3, 4, 5, 6, 127 }, { [3] = 33, [7] = -77 } };
    parts = (struct accel_matrix_parts){ .format = ACCEL_CODEBOOK3,
                                         .rows = 2,
                                         .cols = 2,
                                         .codes = places[0],
                                         .sc = sc,
                                         .codebook = book[0] };
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    assert_int_equal(accel_matrix_k(mat, 0, 0), -128);
    assert_int_equal(accel_matrix_k(mat, 0, 1), 127);
    assert_int_equal(accel_matrix_k(mat, 1, 0), -77);
    assert_int_equal(accel_matrix_k(mat, 1, 1), 33);
    accel_matrix_free(mat);
}

static void contexts_that_cannot_be_are_refused_by_row_and_column(void **state)
{
    (void)state;
    uint8_t codes[2][33] = { { 0 } }, sel[6] = { 0 };
    int16_t sc[6] = { 1, 1, 1, 1, 1, 1 };
    int8_t book[2][16] = { { 0 } };
    struct accel_matrix_parts parts = {
        .format = ACCEL_FLOAT(4, 3), .rows = 2, .cols = 33, .group = 16, .codes = codes[0], .sc = sc
    };
    codes[1][20] = 0xFF;
    refused(parts, ACCEL_E_ARG, "row 1, column 20: code 255 is NaN in e4m3");
    codes[1][20] = 0x7F;
    refused(parts, ACCEL_E_ARG, "row 1, column 20: code 127 is NaN in e4m3");
    codes[1][20] = 0;
    parts.format = ACCEL_FLOAT(3, 2);
    codes[0][2] = 64;
    refused(parts, ACCEL_E_ARG, "row 0, column 2: code 64; e3m2 has 0..63");
    codes[0][2] = 0;
    parts.format = ACCEL_FLOAT(5, 2);
    refused(parts, ACCEL_E_ARG, accel_format_refusal("e5m2"));
    parts.format = ACCEL_FLOAT(7, 0);
    refused(parts, ACCEL_E_ARG, "is no weight format: ");

    parts.format = ACCEL_OLIVE4;
    codes[0][32] = 8;
    refused(parts, ACCEL_E_ARG, "row 0, column 32: olive4 has a victim (code 8) in a column");
    codes[0][32] = 0;
    codes[1][6] = codes[1][7] = 8;
    refused(parts, ACCEL_E_ARG, "row 1, column 6: olive4 has two victims");
    codes[1][6] = 0;
    refused(parts, ACCEL_E_ARG, "row 1, column 6: olive4 code 0 beside a victim");
    parts.format = ACCEL_OLIVE4F;
    refused(parts, ACCEL_E_ARG, "row 1, column 6: olive4f code 0 beside a victim");
    codes[1][7] = 0;

    parts.format = ACCEL_FP3;
    parts.sel = sel;
    sel[4] = 4;
    refused(parts, ACCEL_E_ARG, "row 1, column 16: sel is outside 0..3 (4)");
    sel[4] = 0;
    sc[5] = 512;
    refused(parts, ACCEL_E_ARG, "row 1, column 32: sc is outside -512..511");
    sc[5] = -513;
    refused(parts, ACCEL_E_ARG, "row 1, column 32: sc is outside -512..511");
    sc[5] = 1;
    parts.format = ACCEL_FLOAT(2, 1);
    refused(parts, ACCEL_E_ARG, "e2m1 has no selector");
    parts.sel = NULL;

    parts.codebook = book[0];
    refused(parts, ACCEL_E_ARG, "e2m1 has no codebook");
    parts.codebook = NULL;
    parts.format = ACCEL_CODEBOOK4;
    refused(parts, ACCEL_E_ARG, "codebook4 needs a codebook of 16 values");
    parts.codebook = book[0];
    codes[0][0] = 16;
    refused(parts, ACCEL_E_ARG, "row 0, column 0: code 16; codebook4 has 0..15");
}

/* ---- the proof ---- */

static void the_proof_refuses_exactly_what_some_activations_would_overflow(void **state)
{
    (void)state;
    /* one group of 16 codes of -128: |D| reaches 16 * 128 * 128 = 2^18, so sc * 2^sh may not reach
     * 2^29 */
    uint8_t codes[16];
    memset(codes, 0x80, sizeof codes);
    int16_t sc = 1024;
    uint8_t sh = 15;
    struct accel_matrix_parts parts = { ACCEL_INT(8), 1,    16,   16,   codes, &sc,
                                        &sh,          NULL, NULL, NULL, NULL,  NULL };
    accel_matrix *mat;
    struct accel_matrix_info info;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK); /* 2^43 */
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.acc_bits, 45);
    int8_t x[16];
    int64_t acc;
    memset(x, -128, sizeof x);
    cpu_reference(mat, x, 1, 16, &acc);
    assert_int_equal(acc, (int64_t)1 << 43);
    accel_matrix_free(mat);

    /* 16 times as long reaches 2^47 and is refused; one code of zero brings it back */
    uint8_t many[256];
    memset(many, 0x80, sizeof many);
    parts.cols = 256;
    parts.group = 0;
    parts.codes = many;
    refused(parts, ACCEL_E_OVERFLOW, "row 0");
    many[255] = 0;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.acc_bits, 48);
    accel_matrix_free(mat);

    /* offsets count too */
    int32_t oc = -524288;
    memset(many, 0, sizeof many);
    parts.oc = &oc;
    sh = 13; /* 2^19 * 2^8 * 2^7 * 2^13 */
    refused(parts, ACCEL_E_OVERFLOW, "49 bits");
    sh = 12;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.acc_bits, 48);
    accel_matrix_free(mat);
}

static void the_proof_counts_k_as_large_as_it_is(void **state)
{
    (void)state;
    /* 64 of e4m3's largest, 7 * 2^15: |D| reaches 7 * 2^28, so sc * 2^sh may not reach 2^19 / 7 */
    uint8_t codes[64];
    memset(codes, 0xFE, sizeof codes);
    int16_t sc = 1170; /* 1170 * 2^6 = 74880 < 74898.3 */
    uint8_t sh = 6;
    struct accel_matrix_parts parts = {
        .format = ACCEL_FLOAT(4, 3), .rows = 1, .cols = 64, .codes = codes, .sc = &sc, .sh = &sh
    };
    accel_matrix *mat;
    struct accel_matrix_info info;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.acc_bits, 48);
    int8_t x[64];
    int64_t acc;
    memset(x, -128, sizeof x);
    cpu_reference(mat, x, 1, 64, &acc);
    assert_int_equal(acc, (int64_t)64 * 229376 * 128 * 1170 * 64);
    accel_matrix_free(mat);
    sc = 1171;
    refused(parts, ACCEL_E_OVERFLOW, "row 0");

    /* an outlier counts as one: 128 of 192 with sc * 2^sh may not reach 2^25 * 4 / 3 */
    uint8_t pairs[256];
    for (int c = 0; c < 256; c++)
        pairs[c] = c % 2 ? 7 : 8;
    parts.format = ACCEL_OLIVE4F;
    parts.cols = 256;
    parts.codes = pairs;
    sc = 1365;
    sh = 15;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.acc_bits, 48);
    accel_matrix_free(mat);
    sc = 1366;
    refused(parts, ACCEL_E_OVERFLOW, "row 0");
}

/* The worst activations for a row have the signs of its weights: they stay within acc_bits. */
static void the_worst_activations_stay_within_the_proved_bits(void **state)
{
    (void)state;
    struct rng r = { 5 };
    for (int f = 0; f < ALL_FORMATS; f++) {
        uint32_t cols = 1 + rng_below(&r, 700), rows = 5;
        accel_matrix *mat = random_matrix(&r, format_at(f), group_at[f % GROUPS], rows, cols, 1);
        int8_t *x = malloc(cols);
        int64_t acc[5];
        assert_non_null(x);
        for (uint32_t m = 0; m < rows; m++) {
            float keep = mat->row_scale[m];
            mat->row_scale[m] = 1.0f;
            for (uint32_t k = 0; k < cols; k++)
                x[k] = accel_matrix_value(mat, m, k) < 0 ? -128 : 127;
            mat->row_scale[m] = keep;
            cpu_reference(mat, x, 1, cols, acc);
            assert_true(acc[m] >= 0 && acc[m] < (int64_t)1 << (mat->acc_bits - 1));
        }
        free(x);
        accel_matrix_free(mat);
    }
}

/* ---- quantization ---- */

static void symmetric_quantization_hits_the_largest_weight(void **state)
{
    (void)state;
    const float w[4] = { 3.5f, -7.0f, 0.5f, 1.5f };
    accel_matrix *mat;
    assert_int_equal(accel_matrix_quantize(ACCEL_INT(4), 0, 1, 4, w, &mat, NULL), ACCEL_OK);
    /* s = 1: 3.5 and 0.5 and 1.5 are halves, to even */
    const double want[4] = { 4.0, -7.0, 0.0, 2.0 };
    for (uint32_t k = 0; k < 4; k++)
        assert_true(accel_matrix_value(mat, 0, k) == want[k]);
    accel_matrix_free(mat);
}

static void each_coding_rounds_to_its_nearest_value(void **state)
{
    (void)state;
    accel_matrix *mat;
    /* bipolar2 has -3 -1 1 3; s = 3 / 3 */
    const float b[4] = { 3.0f, -0.25f, 0.25f, -2.5f };
    const double want_b[4] = { 3, -1, 1, -3 };
    assert_int_equal(accel_matrix_quantize(ACCEL_BIP(2), 0, 1, 4, b, &mat, NULL), ACCEL_OK);
    for (uint32_t k = 0; k < 4; k++)
        assert_true(accel_matrix_value(mat, 0, k) == want_b[k]);
    accel_matrix_free(mat);
    /* ternary: s = mean magnitude = 2 */
    const float t[4] = { 4.0f, -3.0f, 0.5f, -0.5f };
    const double want_t[4] = { 2, -2, 0, 0 };
    assert_int_equal(accel_matrix_quantize(ACCEL_TERNARY, 0, 1, 4, t, &mat, NULL), ACCEL_OK);
    for (uint32_t k = 0; k < 4; k++)
        assert_true(accel_matrix_value(mat, 0, k) == want_t[k]);
    accel_matrix_free(mat);
    /* int1 has -1 and 0 */
    const float i[3] = { -2.0f, 2.0f, -1.5f };
    const double want_i[3] = { -2, 0, -2 };
    assert_int_equal(accel_matrix_quantize(ACCEL_INT(1), 0, 1, 3, i, &mat, NULL), ACCEL_OK);
    for (uint32_t k = 0; k < 3; k++)
        assert_true(accel_matrix_value(mat, 0, k) == want_i[k]);
    accel_matrix_free(mat);
    /* uint2: s = (5 - -1) / 3 = 2 from -1 */
    const float u[4] = { -1.0f, 5.0f, 0.5f, 2.5f };
    const double want_u[4] = { -1, 5, 1, 3 };
    assert_int_equal(accel_matrix_quantize(ACCEL_UINT(2), 0, 1, 4, u, &mat, NULL), ACCEL_OK);
    for (uint32_t k = 0; k < 4; k++)
        assert_true(accel_matrix_value(mat, 0, k) == want_u[k]);
    accel_matrix_free(mat);
}

/* Half a step off, plus what the kept scales are off by, is all the error there may be. */
static void quantized_weights_are_within_half_a_step(void **state)
{
    (void)state;
    struct rng r = { 8 };
    const uint32_t rows = 3, cols = 331;
    float *w = malloc(rows * cols * sizeof *w);
    assert_non_null(w);
    for (int f = 0; f < 24; f++) {
        accel_format format = format_at(f);
        unsigned coding = format & 0xF00u;
        if (format == ACCEL_INT(1))
            continue; /* holds no positive number */
        for (int g = 0; g < GROUPS; g++) {
            uint32_t group = group_at[g] ? group_at[g] : cols;
            for (size_t i = 0; i < rows * cols; i++)
                w[i] = rng_float(&r) * (float)(1 + i / 64 % 30);
            accel_matrix *mat;
            struct accel_matrix_info info;
            assert_int_equal(accel_matrix_quantize(format, group_at[g], rows, cols, w, &mat, NULL),
                             ACCEL_OK);
            accel_matrix_get_info(mat, &info);
            assert_true(info.scale_error < 0x1p-10);
            double top = (1u << accel_format_bits(format)) - 1;
            for (uint32_t m = 0; m < rows; m++) {
                double row_s = 0.0;
                for (int pass = 0; pass < 2; pass++) {
                    for (uint32_t c = 0; c < cols; c += group) {
                        double lo = 1e9, hi = -1e9, s;
                        uint32_t end = cols - c < group ? cols : c + group;
                        for (uint32_t k = c; k < end; k++) {
                            lo = fmin(lo, (double)w[m * cols + k]);
                            hi = fmax(hi, (double)w[m * cols + k]);
                        }
                        if (coding == ACCEL_CODING_UNSIGNED)
                            s = (hi - lo) / top;
                        else
                            s = fmax(-lo, hi) /
                                (coding == ACCEL_CODING_BIPOLAR ? top : (top - 1) / 2);
                        row_s = fmax(row_s, s);
                        double step = coding == ACCEL_CODING_BIPOLAR ? s : s / 2;
                        for (uint32_t k = c; k < end && pass == 1; k++) {
                            double room = step * 1.000001 + (top + 1) * info.scale_error * row_s +
                                          1e-9;
                            double off = accel_matrix_value(mat, m, k) - (double)w[m * cols + k];
                            if (!(fabs(off) <= room))
                                fail_msg("%s group %u row %u column %u: off by %g, room %g",
                                         accel_format_name(format), group_at[g], m, k, off, room);
                        }
                    }
                }
            }
            accel_matrix_free(mat);
        }
    }
    free(w);
}

static void rows_of_zeros_and_of_one_value_are_exact(void **state)
{
    (void)state;
    float w[2][40] = { { 0 } };
    for (int f = 0; f < ALL_FORMATS; f++) {
        if (format_at(f) == ACCEL_INT(1))
            continue;
        double one = format_at(f) == ACCEL_UFLINT4 ? 3.25 : -3.25;
        for (int k = 0; k < 40; k++)
            w[1][k] = (float)one;
        accel_matrix *mat;
        assert_int_equal(accel_matrix_quantize(format_at(f), 16, 2, 40, w[0], &mat, NULL),
                         ACCEL_OK);
        for (uint32_t k = 0; k < 40; k++) {
            assert_true(accel_matrix_value(mat, 0, k) == 0.0);
            assert_true(fabs(accel_matrix_value(mat, 1, k) - one) < 1e-6);
        }
        accel_matrix_free(mat);
    }
}

static void weights_that_are_no_numbers_are_refused_by_row_and_column(void **state)
{
    (void)state;
    float w[2][20] = { { 0 } };
    accel_matrix *mat = NULL;
    struct accel_error err;
    w[1][17] = NAN;
    assert_int_equal(accel_matrix_quantize(ACCEL_INT(4), 16, 2, 20, w[0], &mat, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "row 1, column 17"));
    w[1][17] = FLT_MAX;
    w[1][18] = -FLT_MAX;
    assert_int_equal(accel_matrix_quantize(ACCEL_UINT(1), 16, 2, 20, w[0], &mat, &err),
                     ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "row 1, column 16"));
    assert_int_equal(accel_matrix_quantize(ACCEL_INT(4), 0, 2, 20, NULL, &mat, &err), ACCEL_E_ARG);
    assert_int_equal(accel_matrix_quantize(ACCEL_INT(4), 5, 2, 20, w[0], &mat, &err), ACCEL_E_ARG);
    assert_int_equal(accel_matrix_quantize(0, 0, 2, 20, w[0], &mat, &err), ACCEL_E_ARG);
    assert_null(mat);
}

/* Every header within its bits, every row scale a normal float. */
static void check_fields(const accel_matrix *mat)
{
    for (size_t i = 0; i < (size_t)mat->rows * mat->groups; i++) {
        assert_in_range(mat->sc[i] + (mat->sel ? 512 : 2048), 0, mat->sel ? 1023 : 4095);
        assert_in_range(mat->sh[i], 0, 15);
        assert_in_range(mat->oc[i] + 524288, 0, 1048575);
    }
    for (uint32_t m = 0; m < mat->rows; m++)
        assert_true(isnormal(mat->row_scale[m]));
}

static void weights_of_any_size_make_a_provable_matrix(void **state)
{
    (void)state;
    struct rng r = { 12 };
    float w[512];
    for (int round = 0; round < 800; round++) {
        int spread = (int)rng_below(&r, 250), base = (int)rng_below(&r, 260) - 140;
        for (int i = 0; i < 512; i++) {
            int e = base + (int)rng_below(&r, (uint32_t)spread + 1);
            w[i] = ldexpf(rng_float(&r), e > 126 ? 126 : e);
        }
        accel_matrix *mat;
        struct accel_matrix_info info;
        struct accel_error err;
        accel_format f = format_at((int)rng_below(&r, ALL_FORMATS));
        for (int i = 0; i < 512 && f == ACCEL_UFLINT4; i++)
            w[i] = fabsf(w[i]);
        if (accel_matrix_quantize(f, group_at[rng_below(&r, GROUPS)], 2, 256, w, &mat, &err))
            fail_msg("%s", err.text);
        accel_matrix_get_info(mat, &info);
        assert_true(info.acc_bits <= 48);
        assert_true(info.scale_error <= 1.0);
        check_fields(mat);
        accel_matrix_free(mat);
    }
}

/* Two groups whose scales or offsets sit on an edge of the header's fields. */
static void scales_on_the_edges_of_the_fields_fit(void **state)
{
    (void)state;
    static const struct {
        accel_format format;
        float first[2], second[2]; /* smallest and largest weight of a group */
        double error;              /* of values, at most */
    } cases[] = {
        { ACCEL_INT(2), { 0, 2047.75f }, { 0, 1 }, 0.5 },         /* rounds up to 12 bits */
        { ACCEL_INT(2), { 0, 2047 * 32768.0f }, { 0, 2047 }, 0 }, /* all of sh's span */
        { ACCEL_INT(2), { 0, 2047 * 65536.0f }, { 0, 2047 }, 1 }, /* and one octave more */
        { ACCEL_INT(2), { 0, 1e9f }, { 0, 1 }, 1e9 * 0x1p-12 },   /* far apart, large first */
        { ACCEL_INT(2), { 0, 1 }, { 0, 1e9f }, 1e9 * 0x1p-12 },   /* large last */
        { ACCEL_INT(2), { 0, 1e-38f }, { 0, 3e-39f }, 1e-38 },    /* near the end of float */
        { ACCEL_INT(2), { 0, 3e38f }, { 0, 1e-38f }, 3e38 * 0x1p-12 },
        { ACCEL_UINT(2), { 1e6f, 1e6f + 3 }, { 0, 3 }, 4 },           /* offset beyond 19 bits */
        { ACCEL_UINT(2), { 1e6f, 1e6f + 3 }, { 1e6f, 1e6f + 3 }, 3 }, /* the same, uniform */
        { ACCEL_UINT(2), { -524287, -524284 }, { 5, 5 }, 512 },
        { ACCEL_UINT(2), { 7, 7 }, { -1e5f, -1e5f }, 0.5 }, /* offsets only */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float w[32];
        for (int k = 0; k < 32; k++) {
            const float *from = k < 16 ? cases[i].first : cases[i].second;
            w[k] = from[k % 2];
        }
        accel_matrix *mat;
        assert_int_equal(accel_matrix_quantize(cases[i].format, 16, 1, 32, w, &mat, NULL),
                         ACCEL_OK);
        check_fields(mat);
        for (uint32_t k = 0; k < 32; k++) {
            double off = fabs(accel_matrix_value(mat, 0, k) - (double)w[k]);
            if (!(off <= cases[i].error))
                fail_msg("case %zu, column %u: %g became %g", i, k, (double)w[k],
                         accel_matrix_value(mat, 0, k));
        }
        accel_matrix_free(mat);
    }
}

/* ---- ggml tensors ---- */

static void put_half(uint8_t *p, unsigned bits)
{
    p[0] = (uint8_t)bits;
    p[1] = (uint8_t)(bits >> 8);
}

/* A random positive half with exponents low .. high. */
static unsigned random_half(struct rng *r, unsigned low, unsigned high)
{
    return (low + rng_below(r, high - low + 1)) << 10 | rng_below(r, 1024);
}

static void half_scales_of_similar_size_are_kept_exactly(void **state)
{
    (void)state;
    struct rng r = { 13 };
    uint8_t data[8 * 4 * 18];
    accel_matrix *mat;
    struct accel_matrix_info info;
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < sizeof data; i++)
            data[i] = (uint8_t)rng_next(&r);
        for (size_t b = 0; b < 32; b++) /* sixteen octaves, either sign */
            put_half(data + 18 * b, random_half(&r, 5, 20) | rng_below(&r, 2) << 15);
        assert_int_equal(
            accel_matrix_from_ggml(GGML_Q4_0, data, sizeof data, 8, 128, 0, 0, &mat, NULL),
            ACCEL_OK);
        accel_matrix_get_info(mat, &info);
        assert_int_equal(info.format, ACCEL_INT(4));
        assert_int_equal(info.group, 32);
        assert_true(info.scale_error == 0.0);
        float want[128];
        for (uint32_t m = 0; m < 8; m++) {
            assert_int_equal(ggml_dequantize_row(GGML_Q4_0, data + m * 72, want, 128), ACCEL_OK);
            for (uint32_t k = 0; k < 128; k++)
                assert_true(accel_matrix_value(mat, m, k) == (double)want[k]);
        }
        accel_matrix_free(mat);
    }
}

static void one_scale_in_every_row_becomes_one_group_a_row(void **state)
{
    (void)state;
    struct rng r = { 14 };
    uint8_t data[3 * 2 * 66];
    accel_matrix *mat;
    struct accel_matrix_info info;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(rng_next(&r) & 0xAA);
    for (size_t b = 0; b < 6; b++)
        put_half(data + 66 * b + 64, 0x2E66 + (unsigned)(b / 2));
    assert_int_equal(
        accel_matrix_from_ggml(GGML_TQ2_0, data, sizeof data, 3, 512, 0, 0, &mat, NULL), ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.format, ACCEL_TERNARY);
    assert_int_equal(info.group, 0);
    assert_int_equal(info.asymmetric, 0);
    assert_true(info.scale_error == 0.0);
    assert_int_equal(mat->sc[0], 1);
    float want[512];
    for (uint32_t m = 0; m < 3; m++) {
        assert_int_equal(ggml_dequantize_row(GGML_TQ2_0, data + m * 132, want, 512), ACCEL_OK);
        for (uint32_t k = 0; k < 512; k++)
            assert_true(accel_matrix_value(mat, m, k) == (double)want[k]);
    }
    accel_matrix_free(mat);
    put_half(data + 66 * 5 + 64, 0x2E00); /* one block differs: groups stay */
    assert_int_equal(
        accel_matrix_from_ggml(GGML_TQ2_0, data, sizeof data, 3, 512, 0, 0, &mat, NULL), ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.group, 256);
    assert_true(info.scale_error == 0.0);
    accel_matrix_free(mat);
}

static const uint32_t block_types[] = { GGML_Q4_0,   GGML_Q4_1,  GGML_Q5_0,  GGML_Q5_1, GGML_Q8_0,
                                        GGML_Q2_K,   GGML_Q3_K,  GGML_Q4_K,  GGML_Q5_K, GGML_Q6_K,
                                        GGML_IQ4_NL, GGML_TQ1_0, GGML_TQ2_0, GGML_MXFP4 };
#define BLOCK_TYPES (sizeof block_types / sizeof block_types[0])

/* Every value within what scale_error allows: the error of a scale times |k|, and of an offset. */
static void check_values(uint32_t type, const uint8_t *data, uint32_t rows, uint32_t cols,
                         double error_limit)
{
    const struct ggml_block_type *t = ggml_find_block_type(type);
    uint64_t row_bytes;
    accel_matrix *mat;
    struct accel_matrix_info info;
    struct accel_error err;
    float *want = malloc(cols * sizeof *want);
    uint8_t *codes = malloc(cols);
    double *s = malloc(cols * sizeof *s), *o = malloc(cols * sizeof *o);
    assert_true(want && codes && s && o);
    assert_true(ggml_row_bytes(type, cols, &row_bytes));
    if (accel_matrix_from_ggml(type, data, rows * row_bytes, rows, cols, 0, 0, &mat, &err))
        fail_msg("%s", err.text);
    accel_matrix_get_info(mat, &info);
    assert_int_equal(info.format, t->format);
    if (info.scale_error > error_limit)
        fail_msg("%s: scale error %g", ggml_type_name(type), info.scale_error);
    for (uint32_t m = 0; m < rows; m++) {
        const char *what;
        double top = 0.0;
        const uint8_t *row = data + m * row_bytes;
        assert_int_equal(ggml_dequantize_row(type, row, want, cols), ACCEL_OK);
        assert_int_equal(ggml_decode_row(t, row, cols, codes, s, o, &what), ACCEL_OK);
        for (uint32_t g = 0; g < cols / t->group; g++)
            top = fmax(top, fabs(s[g]));
        for (uint32_t k = 0; k < cols; k++) {
            int code = accel_format_decode(t->format, codes[k]);
            double exact = s[k / t->group] * code + o[k / t->group];
            double got = accel_matrix_value(mat, m, k);
            double float_room = (fabs(s[k / t->group] * code) + fabs(o[k / t->group])) * 0x1p-22;
            if (!(fabs(got - exact) <= info.scale_error * top * (abs(code) + 1) * 1.000001) ||
                !(fabs(exact - (double)want[k]) <= float_room))
                fail_msg("%s row %u column %u: kept %.9g, exact %.9g, ggml %.9g",
                         ggml_type_name(type), m, k, got, exact, (double)want[k]);
        }
    }
    accel_matrix_free(mat);
    free(want);
    free(codes);
    free(s);
    free(o);
}

static void every_block_type_keeps_its_weights_within_the_reported_error(void **state)
{
    (void)state;
    struct rng r = { 15 };
    for (size_t t = 0; t < BLOCK_TYPES; t++) {
        const struct ggml_type_info *size = ggml_type_find(block_types[t]);
        const uint32_t rows = 4, cols = 1024;
        size_t bytes = (size_t)rows * cols / size->block_len * size->block_bytes;
        uint8_t *data = malloc(bytes);
        assert_non_null(data);
        for (size_t i = 0; i < bytes; i++)
            data[i] = (uint8_t)rng_next(&r);
        for (size_t b = 0; b < bytes; b += size->block_bytes) {
            uint8_t *block = data + b;
            unsigned d = random_half(&r, 8, 14), m = random_half(&r, 8, 14);
            switch (size->id) {
            case GGML_Q2_K: put_half(block + 80, d), put_half(block + 82, m); break;
            case GGML_Q3_K: put_half(block + 108, d); break;
            case GGML_Q6_K: put_half(block + 208, d); break;
            case GGML_TQ1_0: put_half(block + 52, d); break;
            case GGML_MXFP4: block[0] = (uint8_t)(100 + block[0] % 12); break;
            case GGML_TQ2_0:
                put_half(block + 64, d);
                for (int i = 0; i < 64; i++)
                    block[i] &= 0xAA;
                break;
            default:
                put_half(block, d);
                if ((ggml_find_block_type(size->id)->format & 0xF00u) == ACCEL_CODING_UNSIGNED)
                    put_half(block + 2, m);
                break;
            }
        }
        check_values(size->id, data, rows, cols, 0x1p-11);
        free(data);
    }
}

static void reference_blocks_keep_their_weights_within_the_reported_error(void **state)
{
    (void)state;
    const char *shared = getenv("ACCEL_SHARED");
    const char *names[] = { "q4_0", "q4_1", "q5_0", "q5_1",   "q8_0",  "q2_K",  "q3_K",
                            "q4_K", "q5_K", "q6_K", "iq4_nl", "tq1_0", "tq2_0", "mxfp4" };
    const char *kinds[] = { "blocks", "quantized" };
    for (size_t t = 0; t < 2 * BLOCK_TYPES; t++) {
        const struct ggml_type_info *size = ggml_type_find(block_types[t / 2]);
        char path[4096];
        uint8_t data[16384];
        snprintf(path, sizeof path, "%s/data/ggml-block-vectors/%s.%s.bin",
                 shared ? shared : "../shared", names[t / 2], kinds[t % 2]);
        FILE *f = fopen(path, "rb");
        if (!f)
            skip();
        size_t bytes = fread(data, 1, sizeof data, f);
        fclose(f);
        uint32_t blocks = (uint32_t)(bytes / size->block_bytes);
        assert_true(blocks > 0 && blocks % 4 == 0);
        /* the vectors have a row of scales from 2^-128 to 2^-125, below what a float can scale by */
        double limit = size->id == GGML_MXFP4 ? 0.25 : 0x1p-11;
        check_values(size->id, data, blocks / 4, 4 * size->block_len, limit);
        check_values(size->id, data, 1, blocks * size->block_len, 0x1p-11);
    }
}

static void plain_floats_are_quantized_to_the_fallback(void **state)
{
    (void)state;
    const uint8_t half[8] = { 0x00, 0x3C, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x38 }; /* 1 -2 0 0.5 */
    accel_matrix *mat = NULL, *same = NULL;
    const float w[4] = { 1.0f, -2.0f, 0.0f, 0.5f };
    struct accel_error err;
    assert_int_equal(accel_matrix_from_ggml(GGML_F16, half, 8, 1, 4, ACCEL_INT(8), 0, &mat, NULL),
                     ACCEL_OK);
    assert_int_equal(accel_matrix_quantize(ACCEL_INT(8), 0, 1, 4, w, &same, NULL), ACCEL_OK);
    for (uint32_t k = 0; k < 4; k++)
        assert_true(accel_matrix_value(mat, 0, k) == accel_matrix_value(same, 0, k));
    accel_matrix_free(mat);
    accel_matrix_free(same);
    const uint8_t brain[4] = { 0x80, 0x7F, 0, 0 };
    mat = NULL;
    assert_int_equal(accel_matrix_from_ggml(GGML_BF16, brain, 4, 2, 1, ACCEL_INT(8), 0, &mat, &err),
                     ACCEL_E_CORRUPT);
    assert_int_equal(err.status, ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "row 0, column 0"));
    assert_null(mat);
}

static void damaged_tensors_are_refused_with_the_row(void **state)
{
    (void)state;
    uint8_t data[4 * 66] = { 0 };
    accel_matrix *mat = NULL;
    struct accel_error err;
    data[2 * 66 + 5] = 0xC0;
    assert_int_equal(accel_matrix_from_ggml(GGML_TQ2_0, data, 264, 4, 256, 0, 0, &mat, &err),
                     ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "TQ2_0 tensor, row 2"));
    data[2 * 66 + 5] = 0;
    data[3 * 66 + 65] = 0x7C;
    assert_int_equal(accel_matrix_from_ggml(GGML_TQ2_0, data, 264, 4, 256, 0, 0, &mat, &err),
                     ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "row 3"));
    assert_int_equal(accel_matrix_from_ggml(GGML_TQ2_0, data, 263, 4, 256, 0, 0, &mat, &err),
                     ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "263 bytes"));
    assert_int_equal(accel_matrix_from_ggml(GGML_TQ2_0, data, 264, 4, 250, 0, 0, &mat, &err),
                     ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "multiple of 256"));
    assert_int_equal(accel_matrix_from_ggml(GGML_IQ4_XS, data, 264, 4, 256, 0, 0, &mat, &err),
                     ACCEL_E_UNSUPPORTED);
    assert_int_equal(accel_matrix_from_ggml(GGML_F32, data, 264, 66, 1, 0, 0, &mat, &err),
                     ACCEL_E_ARG); /* no fallback format */
    assert_int_equal(accel_matrix_from_ggml(GGML_F32, NULL, 264, 66, 1, 0, 0, &mat, &err),
                     ACCEL_E_ARG);
    assert_int_equal(accel_matrix_from_ggml(GGML_F32, data, 264, 0, 1, ACCEL_INT(2), 0, &mat, &err),
                     ACCEL_E_ARG);
    assert_int_equal(
        accel_matrix_from_ggml(GGML_Q8_0, data, 264, UINT32_MAX, UINT32_MAX - 31, 0, 0, &mat, &err),
        ACCEL_E_CORRUPT);
    assert_null(mat);
}

static void mxfp4_blocks_are_e2m1_codes_and_count_like_their_integers(void **state)
{
    (void)state;
    static const int8_t twice[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    struct rng r = { 18 };
    uint8_t data[3 * 4 * 17], codes[3 * 128];
    int8_t x[2 * 128];
    int64_t got[2 * 3], want[2 * 3];
    accel_matrix *mat, *integers;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)rng_next(&r);
    for (size_t b = 0; b < 12; b++)
        data[17 * b] = (uint8_t)(120 + data[17 * b] % 12);
    assert_int_equal(
        accel_matrix_from_ggml(GGML_MXFP4, data, sizeof data, 3, 128, 0, 0, &mat, NULL), ACCEL_OK);
    assert_int_equal(mat->format, ACCEL_FLOAT(2, 1));
    assert_int_equal(mat->group, 32);
    assert_true(mat->scale_error == 0.0);
    for (size_t i = 0; i < sizeof codes; i++) {
        const uint8_t *block = data + i / 32 * 17;
        unsigned nibble = (unsigned)block[1 + i % 16] >> (i % 32 < 16 ? 0 : 4) & 15u;
        assert_int_equal(mat->codes[i], nibble);
        assert_true(accel_matrix_value(mat, (uint32_t)i / 128, (uint32_t)i % 128) ==
                    ldexp(twice[nibble], block[0] - 128));
        codes[i] = (uint8_t)twice[nibble] & 31u;
    }
    struct accel_matrix_parts parts = { .format = ACCEL_INT(5),
                                        .rows = 3,
                                        .cols = 128,
                                        .group = 32,
                                        .codes = codes,
                                        .sc = mat->sc,
                                        .sh = mat->sh };
    assert_int_equal(accel_matrix_from_codes(&parts, &integers, NULL), ACCEL_OK);
    assert_int_equal(mat->acc_bits, integers->acc_bits);
    random_activations(&r, x, sizeof x);
    cpu_reference(mat, x, 2, 128, got);
    cpu_reference(integers, x, 2, 128, want);
    assert_memory_equal(got, want, sizeof want);
    accel_matrix_free(mat);
    accel_matrix_free(integers);
}

/* ---- stacking ---- */

static void a_stack_gives_its_parts_results_one_below_the_other(void **state)
{
    (void)state;
    struct rng r = { 16 };
    accel_matrix *mats[3], *stack;
    const uint32_t rows[3] = { 3, 1, 7 };
    int8_t x[2 * 100];
    int64_t part[2 * 7], whole[2 * 11];
    for (int i = 0; i < 3; i++)
        mats[i] = random_matrix(&r, ACCEL_UINT(3), 48, rows[i], 100, i == 1);
    random_activations(&r, x, sizeof x);
    assert_int_equal(accel_matrix_stack((const accel_matrix *const *)mats, 3, &stack, NULL),
                     ACCEL_OK);
    struct accel_matrix_info info;
    accel_matrix_get_info(stack, &info);
    assert_int_equal(info.rows, 11);
    assert_int_equal(info.asymmetric, 1);
    cpu_reference(stack, x, 2, 100, whole);
    uint32_t at = 0;
    for (int i = 0; i < 3; at += rows[i++]) {
        cpu_reference(mats[i], x, 2, 100, part);
        for (uint32_t n = 0; n < 2; n++)
            assert_memory_equal(whole + n * 11 + at, part + n * rows[i], rows[i] * sizeof *part);
        for (uint32_t m = 0; m < rows[i]; m++)
            assert_true(accel_matrix_value(stack, at + m, 99) ==
                        accel_matrix_value(mats[i], m, 99));
        struct accel_matrix_info one;
        accel_matrix_get_info(mats[i], &one);
        assert_true(one.acc_bits <= info.acc_bits);
    }
    accel_matrix_free(stack);
    for (int i = 0; i < 3; i++)
        accel_matrix_free(mats[i]);
}

static void a_stack_keeps_selectors_and_codebooks(void **state)
{
    (void)state;
    struct rng r = { 19 };
    for (int f = FORMATS; f < ALL_FORMATS; f++) {
        accel_matrix *mats[2] = { random_matrix(&r, format_at(f), 16, 3, 70, 0),
                                  random_matrix(&r, format_at(f), 16, 2, 70, 1) };
        accel_matrix *stack, *copy;
        assert_int_equal(accel_matrix_stack((const accel_matrix *const *)mats, 2, &stack, NULL),
                         ACCEL_OK);
        assert_int_equal(matrix_clone(stack, &copy, NULL), ACCEL_OK);
        for (uint32_t m = 0; m < 5; m++)
            for (uint32_t c = 0; c < 70; c++) {
                int k = accel_matrix_k(mats[m / 3], m % 3, c);
                assert_int_equal(accel_matrix_k(stack, m, c), k);
                assert_int_equal(accel_matrix_k(copy, m, c), k);
            }
        accel_matrix_free(mats[0]);
        accel_matrix_free(mats[1]);
        accel_matrix_free(stack);
        accel_matrix_free(copy);
    }
}

static void matrices_that_do_not_fit_are_not_stacked(void **state)
{
    (void)state;
    struct rng r = { 17 };
    accel_matrix *base = random_matrix(&r, ACCEL_INT(3), 16, 2, 40, 0), *out = NULL;
    accel_matrix *other[3] = { random_matrix(&r, ACCEL_INT(4), 16, 2, 40, 0),
                               random_matrix(&r, ACCEL_INT(3), 32, 2, 40, 0),
                               random_matrix(&r, ACCEL_INT(3), 16, 2, 41, 0) };
    struct accel_error err;
    for (int i = 0; i < 3; i++) {
        const accel_matrix *pair[2] = { base, other[i] };
        assert_int_equal(accel_matrix_stack(pair, 2, &out, &err), ACCEL_E_UNSUPPORTED);
        assert_non_null(strstr(err.text, "matrix 1"));
        accel_matrix_free(other[i]);
    }
    const accel_matrix *gap[2] = { base, NULL };
    assert_int_equal(accel_matrix_stack(gap, 2, &out, &err), ACCEL_E_ARG);
    assert_int_equal(accel_matrix_stack(gap, 0, &out, &err), ACCEL_E_ARG);
    assert_int_equal(accel_matrix_stack(NULL, 1, &out, &err), ACCEL_E_ARG);
    assert_int_equal(accel_matrix_stack(gap, 1, NULL, &err), ACCEL_E_ARG);
    assert_null(out);
    accel_matrix_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_back_as_they_went_in),
        cmocka_unit_test(parts_out_of_range_are_refused_by_row_and_column),
        cmocka_unit_test(a_code_means_what_its_selector_pair_or_codebook_says),
        cmocka_unit_test(contexts_that_cannot_be_are_refused_by_row_and_column),
        cmocka_unit_test(the_proof_counts_k_as_large_as_it_is),
        cmocka_unit_test(the_proof_refuses_exactly_what_some_activations_would_overflow),
        cmocka_unit_test(the_worst_activations_stay_within_the_proved_bits),
        cmocka_unit_test(symmetric_quantization_hits_the_largest_weight),
        cmocka_unit_test(each_coding_rounds_to_its_nearest_value),
        cmocka_unit_test(quantized_weights_are_within_half_a_step),
        cmocka_unit_test(rows_of_zeros_and_of_one_value_are_exact),
        cmocka_unit_test(weights_that_are_no_numbers_are_refused_by_row_and_column),
        cmocka_unit_test(weights_of_any_size_make_a_provable_matrix),
        cmocka_unit_test(scales_on_the_edges_of_the_fields_fit),
        cmocka_unit_test(half_scales_of_similar_size_are_kept_exactly),
        cmocka_unit_test(one_scale_in_every_row_becomes_one_group_a_row),
        cmocka_unit_test(every_block_type_keeps_its_weights_within_the_reported_error),
        cmocka_unit_test(reference_blocks_keep_their_weights_within_the_reported_error),
        cmocka_unit_test(plain_floats_are_quantized_to_the_fallback),
        cmocka_unit_test(damaged_tensors_are_refused_with_the_row),
        cmocka_unit_test(mxfp4_blocks_are_e2m1_codes_and_count_like_their_integers),
        cmocka_unit_test(a_stack_keeps_selectors_and_codebooks),
        cmocka_unit_test(a_stack_gives_its_parts_results_one_below_the_other),
        cmocka_unit_test(matrices_that_do_not_fit_are_not_stacked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
