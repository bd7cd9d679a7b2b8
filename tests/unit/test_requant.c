/* test_requant.c - int8 results and int8 activations.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "internal.h"
#include "random_matrix.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void halves_round_to_the_even_neighbour(void **state)
{
    (void)state;
    const int acc[] = { 1, 3, 5, 7, -1, -3, -5, -7 };
    const int want[] = { 0, 2, 2, 4, 0, -2, -2, -4 };
    for (size_t i = 0; i < sizeof acc / sizeof acc[0]; i++)
        assert_int_equal(accel_requantize(acc[i], 1, 1), want[i]);
}

static void results_saturate_at_the_ends_of_int8(void **state)
{
    (void)state;
    assert_int_equal(accel_requantize(127, 1, 0), 127);
    assert_int_equal(accel_requantize(128, 1, 0), 127);
    assert_int_equal(accel_requantize(-128, 1, 0), -128);
    assert_int_equal(accel_requantize(-129, 1, 0), -128);
    assert_int_equal(accel_requantize(255, 1, 1), 127);   /* 127.5 would be 128 */
    assert_int_equal(accel_requantize(-257, 1, 1), -128); /* -128.5 */
    const int64_t top = ((int64_t)1 << 47) - 1;
    assert_int_equal(accel_requantize(top, INT32_MAX, 0), 127);
    assert_int_equal(accel_requantize(-top - 1, INT32_MAX, 0), -128);
    assert_int_equal(accel_requantize(top, INT32_MAX, 62), 127);
    assert_int_equal(accel_requantize(top, 0, 0), 0);
    assert_int_equal(accel_requantize(-top - 1, 1, 47), -1);
    assert_int_equal(accel_requantize(-top - 1, 1, 48), 0);  /* -0.5 */
    assert_int_equal(accel_requantize(-top - 1, 3, 48), -2); /* -1.5 */
}

static void random_results_equal_exact_rational_rounding(void **state)
{
    (void)state;
    struct rng r = { 99 };
    for (int i = 0; i < 200000; i++) {
        int64_t acc = (int64_t)(rng_next(&r) >> (17 + rng_below(&r, 44)));
        if (rng_below(&r, 2))
            acc = -acc;
        uint32_t mul = (uint32_t)(rng_next(&r) >> (33 + rng_below(&r, 31)));
        unsigned shift = rng_below(&r, 63);
        /* by long division, digit for digit of the definition */
        __extension__ typedef __int128 wide;
        wide v = (wide)acc * mul, unit = (wide)1 << shift, q = v / unit, rest = v % unit;
        if (rest < 0) {
            q--;
            rest += unit;
        }
        q += rest > unit - rest || (rest == unit - rest && q % 2 != 0);
        int want = q > 127 ? 127 : q < -128 ? -128 : (int)q;
        assert_int_equal(accel_requantize(acc, mul, shift), want);
    }
}

static void the_largest_activation_becomes_127(void **state)
{
    (void)state;
    const float v[4] = { 0.5f, -2.0f, 1.0f, 0.0f };
    int8_t q[4];
    assert_true(accel_quantize_activations(v, 4, q) == 2.0f / 127.0f);
    const int8_t want[4] = { 32, -127, 64, 0 }; /* 31.75, 63.5 */
    assert_memory_equal(q, want, 4);
}

static void activations_halfway_round_to_even(void **state)
{
    (void)state;
    const float v[6] = { 127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f };
    const int8_t want[6] = { 127, 0, 2, 2, 0, -2 };
    int8_t q[6];
    assert_true(accel_quantize_activations(v, 6, q) == 1.0f);
    assert_memory_equal(q, want, 6);
}

static void a_zero_vector_has_scale_zero(void **state)
{
    (void)state;
    const float v[3] = { 0.0f, -0.0f, 0.0f };
    int8_t q[3] = { 5, 5, 5 };
    const int8_t want[3] = { 0, 0, 0 };
    assert_true(accel_quantize_activations(v, 3, q) == 0.0f);
    assert_memory_equal(q, want, 3);
    assert_true(accel_quantize_activations(v, 0, q) == 0.0f);
    const float tiny[3] = { FLT_TRUE_MIN, -FLT_TRUE_MIN, 0.0f }; /* the scale underflows */
    assert_true(accel_quantize_activations(tiny, 3, q) == 0.0f);
    assert_memory_equal(q, want, 3);
}

static void tiny_activations_stay_within_127(void **state)
{
    (void)state;
    float v[2] = { 190 * FLT_TRUE_MIN, -190 * FLT_TRUE_MIN };
    int8_t q[2];
    assert_true(accel_quantize_activations(v, 2, q) > 0.0f);
    assert_int_equal(q[0], 127);
    assert_int_equal(q[1], -127);
}

static void activations_that_are_no_numbers_give_a_scale_that_is_none(void **state)
{
    (void)state;
    float v[3] = { 1.0f, NAN, 2.0f };
    int8_t q[3] = { 5, 5, 5 };
    assert_true(!isfinite(accel_quantize_activations(v, 3, q)));
    assert_int_equal(q[0] | q[1] | q[2], 0);
    v[1] = -INFINITY;
    assert_true(!isfinite(accel_quantize_activations(v, 3, q)));
    v[1] = -FLT_MAX;
    assert_true(accel_quantize_activations(v, 3, q) == FLT_MAX / 127.0f);
    assert_int_equal(q[1], -127);
}

static void random_activations_are_the_nearest_multiple(void **state)
{
    (void)state;
    struct rng r = { 5 };
    float v[257];
    int8_t q[257];
    for (int round = 0; round < 200; round++) {
        size_t n = 1 + rng_below(&r, 257);
        for (size_t i = 0; i < n; i++)
            v[i] = rng_float(&r) * (float)(1 << rng_below(&r, 20));
        float s = accel_quantize_activations(v, n, q);
        for (size_t i = 0; i < n && s > 0.0f; i++) {
            float t = v[i] / s; /* float32, as the contract says */
            assert_true(fabsf(t - (float)q[i]) <= 0.5f);
            if (fabsf(t - (float)q[i]) == 0.5f)
                assert_int_equal(q[i] & 1, 0);
        }
    }
}

static void other_widths_are_the_nearest_multiple_too(void **state)
{
    (void)state;
    struct rng r = { 6 };
    float v[100];
    int8_t q[100], low[100];
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < 100; i++)
            v[i] = rng_float(&r) * (float)(1 << rng_below(&r, 20));
        v[0] = round & 1 ? -2e6f : 2e6f;
        assert_true(quantize_activations_4(v, 100, q) == 2e6f / 7.0f);
        assert_int_equal(q[0], round & 1 ? -7 : 7);
        for (size_t i = 0; i < 100; i++)
            assert_true(fabsf(v[i] / (2e6f / 7.0f) - (float)q[i]) <= 0.5f);
        float s = quantize_activations_16(v, 100, q, low);
        assert_true(s == 2e6f / 32639.0f);
        assert_int_equal(256 * q[0] + low[0], round & 1 ? -32639 : 32639);
        for (size_t i = 0; i < 100; i++)
            assert_true(fabsf(v[i] / s - (float)(256 * q[i] + low[i])) <= 0.5f);
    }
    v[0] = NAN;
    assert_true(!isfinite(quantize_activations_16(v, 100, q, low)));
    assert_int_equal(q[7] | low[7], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_round_to_the_even_neighbour),
        cmocka_unit_test(results_saturate_at_the_ends_of_int8),
        cmocka_unit_test(random_results_equal_exact_rational_rounding),
        cmocka_unit_test(the_largest_activation_becomes_127),
        cmocka_unit_test(activations_halfway_round_to_even),
        cmocka_unit_test(a_zero_vector_has_scale_zero),
        cmocka_unit_test(tiny_activations_stay_within_127),
        cmocka_unit_test(activations_that_are_no_numbers_give_a_scale_that_is_none),
        cmocka_unit_test(random_activations_are_the_nearest_multiple),
        cmocka_unit_test(other_widths_are_the_nearest_multiple_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
