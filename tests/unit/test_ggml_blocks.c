/* test_ggml_blocks.c - ggml block formats: rows as floats and as codes with scales.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ggml_blocks.h"
#include "random_matrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct vectors {
    uint32_t type;
    const char *file; /* in the folder of reference vectors */
} vectors[] = {
    { GGML_Q4_0, "q4_0" },   { GGML_Q4_1, "q4_1" },   { GGML_Q5_0, "q5_0" },
    { GGML_Q5_1, "q5_1" },   { GGML_Q8_0, "q8_0" },   { GGML_IQ4_NL, "iq4_nl" },
    { GGML_Q2_K, "q2_K" },   { GGML_Q3_K, "q3_K" },   { GGML_Q4_K, "q4_K" },
    { GGML_Q5_K, "q5_K" },   { GGML_Q6_K, "q6_K" },   { GGML_TQ1_0, "tq1_0" },
    { GGML_TQ2_0, "tq2_0" }, { GGML_MXFP4, "mxfp4" },
};
#define VECTORS (sizeof vectors / sizeof vectors[0])

/* Half-precision numbers used below. */
#define H_1   0x00, 0x3C
#define H_2   0x00, 0x40
#define H_M2  0x00, 0xC0
#define H_05  0x00, 0x38
#define H_INF 0x00, 0x7C

static void expect(uint32_t type, const uint8_t *block, unsigned n, size_t at, float want)
{
    float out[256];
    assert_int_equal(ggml_dequantize_row(type, block, out, n), ACCEL_OK);
    if (out[at] != want)
        fail_msg("%s weight %zu is %g, not %g", ggml_type_name(type), at, (double)out[at],
                 (double)want);
}

static void halves_and_bfloats_are_exact(void **state)
{
    (void)state;
    const uint8_t half[] = { 0x00, 0x3C, 0x00, 0xC0, 0xFF, 0x7B, 0x01, 0x00,
                             0xFF, 0x83, 0x00, 0x80, 0x00, 0x04, 0x00, 0x7C };
    const float want[] = { 1.0f,  -2.0f,    65504.0f, 0x1p-24f, -1023 * 0x1p-24f,
                           -0.0f, 0x1p-14f, INFINITY };
    float out[8];
    assert_int_equal(ggml_dequantize_row(GGML_F16, half, out, 8), ACCEL_OK);
    assert_memory_equal(out, want, sizeof want);
    const uint8_t nan[] = { 0x01, 0x7E };
    assert_int_equal(ggml_dequantize_row(GGML_F16, nan, out, 1), ACCEL_OK);
    assert_true(isnan(out[0]));
    const uint8_t brain[] = { 0x80, 0x3F, 0x40, 0xC0 };
    assert_int_equal(ggml_dequantize_row(GGML_BF16, brain, out, 2), ACCEL_OK);
    assert_true(out[0] == 1.0f && out[1] == -3.0f);
    const uint8_t plain[] = { 0, 0, 0, 0x40, 0, 0, 0x80, 0xBF };
    assert_int_equal(ggml_dequantize_row(GGML_F32, plain, out, 2), ACCEL_OK);
    assert_true(out[0] == 2.0f && out[1] == -1.0f);
}

static void every_half_is_the_number_ieee_says(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x10000; h++) {
        uint8_t b[2] = { (uint8_t)h, (uint8_t)(h >> 8) };
        float out;
        assert_int_equal(ggml_dequantize_row(GGML_F16, b, &out, 1), ACCEL_OK);
        int exponent = (int)(h >> 10 & 31), mantissa = (int)(h & 1023);
        if (exponent == 31) {
            assert_true(!isfinite(out));
            assert_int_equal(isnan(out), mantissa != 0);
        } else {
            double want = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
            assert_true((double)out == (h & 0x8000 ? -want : want));
        }
        assert_int_equal(signbit(out) != 0, h >> 15);
    }
}

static void blocks_of_32_decode_by_hand(void **state)
{
    (void)state;
    uint8_t q4_0[18] = { H_05, 0x9F, 0x08 };
    expect(GGML_Q4_0, q4_0, 32, 0, 3.5f);  /* (15 - 8) / 2 */
    expect(GGML_Q4_0, q4_0, 32, 16, 0.5f); /* (9 - 8) / 2 */
    expect(GGML_Q4_0, q4_0, 32, 1, 0.0f);
    expect(GGML_Q4_0, q4_0, 32, 17, -4.0f);
    uint8_t q4_1[20] = { H_2, H_05, 0x3F };
    expect(GGML_Q4_1, q4_1, 32, 0, 30.5f);
    expect(GGML_Q4_1, q4_1, 32, 16, 6.5f);
    expect(GGML_Q4_1, q4_1, 32, 31, 0.5f);
    uint8_t q5_0[22] = { H_M2, 0x01, 0x00, 0x00, 0x80, 0x21 };
    expect(GGML_Q5_0, q5_0, 32, 0, -2.0f);  /* (1 | 16) - 16 */
    expect(GGML_Q5_0, q5_0, 32, 16, 28.0f); /* 2 - 16 */
    expect(GGML_Q5_0, q5_0, 32, 31, 0.0f);  /* 16 - 16 */
    uint8_t q5_1[24] = { H_2, H_1, 0x00, 0x00, 0x01, 0x00, 0xA3 };
    expect(GGML_Q5_1, q5_1, 32, 0, 7.0f);
    expect(GGML_Q5_1, q5_1, 32, 16, 53.0f); /* 2 * (10 | 16) + 1 */
    uint8_t q8_0[34] = { H_05, 0x80, 0x7F };
    expect(GGML_Q8_0, q8_0, 32, 0, -64.0f);
    expect(GGML_Q8_0, q8_0, 32, 1, 63.5f);
    uint8_t iq4[18] = { H_2, 0xF0 };
    expect(GGML_IQ4_NL, iq4, 32, 0, -254.0f);
    expect(GGML_IQ4_NL, iq4, 32, 16, 226.0f);

    uint8_t mx[17] = { 127, 0x1F, 0x80 }; /* scale 1 */
    expect(GGML_MXFP4, mx, 32, 0, -6.0f);
    expect(GGML_MXFP4, mx, 32, 16, 0.5f);
    expect(GGML_MXFP4, mx, 32, 17, 0.0f);
    mx[0] = 0; /* 2^-127 */
    expect(GGML_MXFP4, mx, 32, 0, -6.0f * 0x1p-127f);
    mx[0] = 1;
    expect(GGML_MXFP4, mx, 32, 0, -6.0f * 0x1p-126f);
    mx[0] = 2;
    expect(GGML_MXFP4, mx, 32, 16, 0x1p-126f);
}

static void ternary_blocks_decode_by_hand(void **state)
{
    (void)state;
    uint8_t tq2[66] = { 0 };
    tq2[64] = 0x00;
    tq2[65] = 0x40;
    tq2[0] = 0x24;  /* codes 0, 1, 2, 0 of weights 0, 32, 64, 96 */
    tq2[33] = 0x02; /* code 2 of weight 129 */
    expect(GGML_TQ2_0, tq2, 256, 0, -2.0f);
    expect(GGML_TQ2_0, tq2, 256, 32, 0.0f);
    expect(GGML_TQ2_0, tq2, 256, 64, 2.0f);
    expect(GGML_TQ2_0, tq2, 256, 96, -2.0f);
    expect(GGML_TQ2_0, tq2, 256, 129, 2.0f);
    tq2[0] = 0x03;
    expect(GGML_TQ2_0, tq2, 256, 0, 4.0f); /* as ggml reads it */

    /* five trits 2 0 1 2 1 are 2*81 + 0 + 9 + 6 + 1 = 178, stored as ceil(178 * 256 / 243) = 188 */
    uint8_t tq1[54] = { 0 };
    tq1[53] = 0x3C;
    tq1[3] = 188;
    tq1[32 + 5] = 188;
    tq1[48 + 2] = 188;
    const float want[5] = { 1.0f, -1.0f, 0.0f, 1.0f, 0.0f };
    for (unsigned t = 0; t < 5; t++) {
        expect(GGML_TQ1_0, tq1, 256, 32 * t + 3, want[t]);
        expect(GGML_TQ1_0, tq1, 256, 160 + 16 * t + 5, want[t]);
        if (t < 4)
            expect(GGML_TQ1_0, tq1, 256, 240 + 4 * t + 2, want[t]);
    }
}

static void k_blocks_decode_by_hand(void **state)
{
    (void)state;
    uint8_t q2[84] = { [5] = 0x73, [16 + 16 + 3] = 0x08, [80] = H_2, [82] = H_05 };
    /* weight 83 = 64 + 16 + 3: group 5, scale 3, min 7, strided field 2 (bits 5:4) of byte 19 */
    q2[16 + 19] = 0x30;
    expect(GGML_Q2_K, q2, 256, 83, 2.0f * 3 * 3 - 0.5f * 7);
    expect(GGML_Q2_K, q2, 256, 80, -3.5f);
    expect(GGML_Q2_K, q2, 256, 0, 0.0f);

    uint8_t q3[110] = { [108] = H_1 };
    for (int i = 0; i < 12; i++)
        q3[96 + i] = 0xAA; /* every scale's low four bits are 10, its high two are 2: 42 - 32 */
    q3[32 + 1] = 0x03;     /* weight 1: low bits 3, high bit clear: -1 */
    q3[0] = 0x02;          /* weight 32: low bits 0, high bit set: 0 */
    expect(GGML_Q3_K, q3, 256, 1, -10.0f);
    expect(GGML_Q3_K, q3, 256, 32, 0.0f);
    expect(GGML_Q3_K, q3, 256, 255, -40.0f);
    q3[96 + 3] = 0x1A; /* group 11's low bits become 1: 33 - 32 */
    expect(GGML_Q3_K, q3, 256, 11 * 16, -4.0f);
    expect(GGML_Q3_K, q3, 256, 3 * 16, -40.0f);

    uint8_t q4[144] = { H_1, H_2 };
    q4[4 + 1] = 0xC5;       /* sc[1] = 5; upper bits of sc[5]: 3 */
    q4[4 + 5] = 0x43;       /* mn[1] = 3; upper bits of mn[5]: 1 */
    q4[4 + 9] = 0x2B;       /* sc[5] = 11 | 3 << 4 = 59, mn[5] = 2 | 1 << 4 = 18 */
    q4[16 + 4] = 0x90;      /* weight 36 (group 1, high nibble): 9 */
    q4[16 + 64 + 7] = 0xF0; /* weight 167 (group 5, high nibble): 15 */
    expect(GGML_Q4_K, q4, 256, 36, 5.0f * 9 - 2.0f * 3);
    expect(GGML_Q4_K, q4, 256, 167, 59.0f * 15 - 2.0f * 18);

    uint8_t q5[176] = { H_1, H_2 };
    memcpy(q5 + 4, q4 + 4, 12);
    q5[16 + 7] = 0x20; /* weight 167's fifth bit */
    q5[48 + 64 + 7] = 0xF0;
    expect(GGML_Q5_K, q5, 256, 167, 59.0f * 31 - 2.0f * 18);
    expect(GGML_Q5_K, q5, 256, 32 + 7, -6.0f);

    uint8_t q6[210] = { [209] = 0x3C };
    q6[192 + 8 + 5] = 0xFE;  /* group 13: -2 */
    q6[64 + 32 + 3] = 0xA0;  /* half 1, g 3, l 3: weight 227, low bits 10 */
    q6[128 + 32 + 3] = 0x40; /* its high bits 1 */
    q6[192 + 14] = 3;
    expect(GGML_Q6_K, q6, 256, 227, 3.0f * (26 - 32));
    expect(GGML_Q6_K, q6, 256, 13 * 16, 64.0f);
}

static const char *vector_path(char *path, size_t size, const char *name, const char *kind)
{
    const char *shared = getenv("ACCEL_SHARED");
    snprintf(path, size, "%s/data/ggml-block-vectors/%s.%s", shared ? shared : "../shared", name,
             kind);
    return path;
}

/* The whole file, or NULL; *size is its length. */
static void *read_all(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *data = malloc((size_t)1 << 20);
    *size = data ? fread(data, 1, (size_t)1 << 20, f) : 0;
    fclose(f);
    return data;
}

static void random_blocks_decode_as_in_ggml(void **state)
{
    (void)state;
    char path[4096];
    for (size_t v = 0; v < VECTORS; v++) {
        const struct vectors *t = &vectors[v];
        const struct ggml_type_info *size = ggml_type_find(t->type);
        size_t block_bytes = 0, float_bytes = 0;
        uint8_t *blocks = read_all(vector_path(path, sizeof path, t->file, "blocks.bin"),
                                   &block_bytes);
        if (!blocks)
            skip();
        float *want = read_all(vector_path(path, sizeof path, t->file, "decoded.f32"),
                               &float_bytes);
        assert_non_null(want);
        size_t n = block_bytes / size->block_bytes * size->block_len;
        assert_true(n > 0 && n * 4 == float_bytes);
        float *got = malloc(n * sizeof *got);
        assert_int_equal(ggml_dequantize_row(t->type, blocks, got, n), ACCEL_OK);
        for (size_t i = 0; i < n; i++) {
            if (got[i] != want[i])
                fail_msg("%s weight %zu: %.9g, ggml has %.9g", size->name, i, (double)got[i],
                         (double)want[i]);
        }
        free(got);
        free(want);
        free(blocks);
    }
}

/* Codes times scales must be the same weights as the floats, for any bytes that are legal. */
static void codes_and_scales_agree_with_floats_on_random_bytes(void **state)
{
    (void)state;
    struct rng r = { 77 };
    for (size_t v = 0; v < VECTORS; v++) {
        const struct ggml_block_type *t = ggml_find_block_type(vectors[v].type);
        const struct ggml_type_info *size = ggml_type_find(t->id);
        unsigned top = (1u << accel_format_bits(t->format)) - 1;
        int decoded = 0;
        for (int round = 0; round < 60; round++) {
            uint8_t block[256], codes[256];
            double scales[16], offsets[16];
            float out[256];
            const char *what = "";
            for (size_t i = 0; i < size->block_bytes; i++)
                block[i] = (uint8_t)rng_next(&r);
            if (t->id == GGML_TQ2_0)
                for (int i = 0; i < 64; i++)
                    block[i] &= 0xAA; /* codes 0 and 2 */
            if (ggml_decode_row(t, block, size->block_len, codes, scales, offsets, &what))
                continue;
            decoded++;
            assert_int_equal(ggml_dequantize_row(t->id, block, out, size->block_len), ACCEL_OK);
            for (uint32_t i = 0; i < size->block_len; i++) {
                assert_true(codes[i] <= top);
                double k = accel_format_decode(t->format, codes[i]);
                double s = scales[i / t->group] * k, o = offsets[i / t->group];
                assert_true(fabs(s + o - (double)out[i]) <= (fabs(s) + fabs(o)) * 0x1p-22);
            }
        }
        assert_true(decoded > 30);
    }
}

static void damaged_blocks_are_refused_with_a_reason(void **state)
{
    (void)state;
    uint8_t codes[256];
    double s[16], o[16];
    const char *what = NULL;
    uint8_t tq2[66] = { [64] = H_1 };
    tq2[9] = 0x30;
    assert_int_equal(
        ggml_decode_row(ggml_find_block_type(GGML_TQ2_0), tq2, 256, codes, s, o, &what),
        ACCEL_E_CORRUPT);
    assert_non_null(strstr(what, "ternary"));
    tq2[9] = 0x18; /* neighbouring fields 2 and 1 are no 3 */
    assert_int_equal(
        ggml_decode_row(ggml_find_block_type(GGML_TQ2_0), tq2, 256, codes, s, o, &what), ACCEL_OK);
    uint8_t q4_0[18] = { H_INF };
    assert_int_equal(ggml_decode_row(ggml_find_block_type(GGML_Q4_0), q4_0, 32, codes, s, o, &what),
                     ACCEL_E_CORRUPT);
    assert_non_null(strstr(what, "infinite"));
    uint8_t q4_1[20] = { H_1, 0x01, 0x7E };
    assert_int_equal(ggml_decode_row(ggml_find_block_type(GGML_Q4_1), q4_1, 32, codes, s, o, &what),
                     ACCEL_E_CORRUPT);
}

static void unknown_types_and_broken_rows_are_refused(void **state)
{
    (void)state;
    uint8_t data[256] = { 0 };
    float out[256];
    assert_int_equal(ggml_dequantize_row(GGML_IQ4_XS, data, out, 256), ACCEL_E_UNSUPPORTED);
    assert_int_equal(ggml_dequantize_row(4, data, out, 32), ACCEL_E_UNSUPPORTED);
    assert_int_equal(ggml_dequantize_row(UINT32_MAX, data, out, 32), ACCEL_E_UNSUPPORTED);
    assert_int_equal(ggml_dequantize_row(GGML_Q4_0, data, out, 33), ACCEL_E_ARG);
    assert_int_equal(ggml_dequantize_row(GGML_Q6_K, data, out, 128), ACCEL_E_ARG);
    assert_int_equal(ggml_dequantize_row(GGML_F32, NULL, out, 1), ACCEL_E_ARG);
    assert_int_equal(ggml_dequantize_row(GGML_F32, data, NULL, 1), ACCEL_E_ARG);
    assert_null(ggml_find_block_type(GGML_NVFP4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_and_bfloats_are_exact),
        cmocka_unit_test(every_half_is_the_number_ieee_says),
        cmocka_unit_test(blocks_of_32_decode_by_hand),
        cmocka_unit_test(ternary_blocks_decode_by_hand),
        cmocka_unit_test(k_blocks_decode_by_hand),
        cmocka_unit_test(random_blocks_decode_as_in_ggml),
        cmocka_unit_test(codes_and_scales_agree_with_floats_on_random_bytes),
        cmocka_unit_test(damaged_blocks_are_refused_with_a_reason),
        cmocka_unit_test(unknown_types_and_broken_rows_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
