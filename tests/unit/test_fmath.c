/* test_fmath.c - our own exp, log, sine and sums against the C library's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fmath.h"

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static void exp_is_within_two_ulp_of_libm(void **state)
{
    (void)state;
    for (int i = -63500; i <= 64200; i++) {
        float x = (float)i * 0.00137f;
        double want = exp((double)x);
        assert_true(fabs((double)fm_exp(x) - want) <= want * 1.2e-7);
    }
}

static void exp_of_any_input_is_positive_and_finite(void **state)
{
    (void)state;
    const float hard[] = { -1e30f, -INFINITY, -87.0f, -0.0f, 0.0f, 88.0f, 1e30f, INFINITY };
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++) {
        float e = fm_exp(hard[i]);
        assert_true(e > 0.0f && isfinite(e) && isnormal(e));
    }
    assert_true(bits_of(fm_exp(0.0f)) == 0x3f800000u);
}

static void exp_has_the_same_bits_on_every_machine(void **state)
{
    (void)state;
    uint32_t hash = 2166136261u;
    for (int i = -80000; i < 80000; i++)
        hash = (hash ^ bits_of(fm_exp((float)i * 0.001f))) * 16777619u;
    assert_int_equal(hash, 0x896256b6u); /* gcc and clang, with and without vector units */
}

static void double_exp_and_log_agree_with_libm(void **state)
{
    (void)state;
    for (int i = -11000; i < 11000; i++) {
        double x = i * 0.0637;
        double want = exp(x);
        assert_true(fabs(fm_exp_d(x) - want) <= want * 1e-15);
    }
    for (int i = -2180; i < 2180; i++) {
        double x = pow(1.37, i);
        double want = log(x);
        assert_true(fabs(fm_log_d(x) - want) <= fabs(want) * 1e-15 + 1e-16);
    }
    assert_true(fm_exp_d(-1000.0) == 0.0);
    assert_true(fm_exp_d(1000.0) == fm_exp_d(709.0));
    assert_true(fabs(fm_pow_d(10000.0, -0.75) - 1e-3) < 1e-17);
}

static void sine_and_cosine_are_exact_to_1e15_for_angles_of_a_context(void **state)
{
    (void)state;
    double s, c;
    for (int i = -2500; i < 26000; i++) {
        double x = i * 0.317;
        fm_sincos_d(x, &s, &c);
        assert_true(fabs(s - sin(x)) < 1e-15 && fabs(c - cos(x)) < 1e-15);
    }
    for (int i = 3070; i < 5550; i++) {
        double x = pow(1.003, i);
        fm_sincos_d(x, &s, &c);
        assert_true(fabs(s - sin(x)) < 2e-9 && fabs(c - cos(x)) < 2e-9);
    }
}

/* Small integers add without rounding: any order gives the sum, but no element may be lost. */
static void sums_of_every_length_count_each_element_once(void **state)
{
    (void)state;
    float v[150];
    for (size_t n = 0; n <= 150; n++) {
        float want = 0.0f, squares = 0.0f, top = -1e30f;
        for (size_t i = 0; i < n; i++) {
            v[i] = (float)((i * 37) % 23) - 11.0f;
            want += v[i];
            squares += v[i] * v[i];
            top = v[i] > top ? v[i] : top;
        }
        assert_true(fm_sum(v, n) == want);
        assert_true(fm_sum_squares(v, n) == squares);
        if (n)
            assert_true(fm_max(v, n) == top);
    }
}

static void the_order_of_a_sum_is_eight_partial_sums_then_a_tree(void **state)
{
    (void)state;
    float v[21], s[8] = { 0 };
    for (size_t i = 0; i < 21; i++)
        v[i] = 1.0f / (float)(i * i + 3) * (i % 3 ? 1e4f : -1.0f);
    for (size_t i = 0; i < 21; i++)
        s[i % 8] += v[i];
    float want = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    assert_true(bits_of(fm_sum(v, 21)) == bits_of(want));
}

static void the_order_of_a_sum_of_squares_is_sixty_four_partial_sums_then_a_tree(void **state)
{
    (void)state;
    float v[150], s[64] = { 0 };
    for (size_t i = 0; i < 150; i++)
        v[i] = 1.0f / (float)(i * i + 3) * (i % 3 ? 1e4f : -1.0f);
    for (size_t i = 0; i < 150; i++)
        s[i % 64] += v[i] * v[i];
    for (size_t half = 32; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            s[i] = s[i] + s[i + half];
    assert_true(bits_of(fm_sum_squares(v, 150)) == bits_of(s[0]));
}

static void softmax_adds_up_to_one_and_keeps_the_order(void **state)
{
    (void)state;
    float v[50];
    for (size_t i = 0; i < 50; i++)
        v[i] = (float)i * 0.5f - 300.0f;
    fm_softmax(v, 50);
    assert_true(fabsf(fm_sum(v, 50) - 1.0f) < 1e-6f);
    for (size_t i = 1; i < 50; i++)
        assert_true(v[i] > v[i - 1]);
    v[0] = -5.0f;
    fm_softmax(v, 1);
    assert_true(v[0] == 1.0f);
}

static void not_finite_values_are_found_wherever_they_are(void **state)
{
    (void)state;
    const float bad[] = { NAN, INFINITY, -INFINITY };
    float v[19] = { 0 };
    assert_int_equal(fm_all_finite(v, 19), 1);
    for (size_t i = 0; i < 19; i++)
        for (size_t k = 0; k < 3; k++) {
            v[i] = bad[k];
            assert_int_equal(fm_all_finite(v, 19), 0);
            v[i] = 3.4e38f;
            assert_int_equal(fm_all_finite(v, 19), 1);
        }
}

static void rms_norm_and_swiglu_follow_their_formulas(void **state)
{
    (void)state;
    float v[20], w[20], up[20], out[20];
    double squares = 0.0;
    for (size_t i = 0; i < 20; i++) {
        v[i] = (float)i * 0.3f - 2.0f;
        w[i] = 1.0f + (float)i * 0.01f;
        up[i] = 2.0f - (float)i * 0.2f;
        squares += (double)v[i] * (double)v[i];
    }
    fm_rms_norm(out, v, w, 20, 1e-5f);
    for (size_t i = 0; i < 20; i++) {
        double want = (double)v[i] / sqrt(squares / 20.0 + 1e-5) * (double)w[i];
        assert_true(fabs((double)out[i] - want) < 1e-6);
    }
    memcpy(out, v, sizeof out);
    fm_swiglu(out, up, 20);
    for (size_t i = 0; i < 20; i++) {
        double want = (double)v[i] / (1.0 + exp(-(double)v[i])) * (double)up[i];
        assert_true(fabs((double)out[i] - want) < 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_two_ulp_of_libm),
        cmocka_unit_test(exp_of_any_input_is_positive_and_finite),
        cmocka_unit_test(exp_has_the_same_bits_on_every_machine),
        cmocka_unit_test(double_exp_and_log_agree_with_libm),
        cmocka_unit_test(sine_and_cosine_are_exact_to_1e15_for_angles_of_a_context),
        cmocka_unit_test(sums_of_every_length_count_each_element_once),
        cmocka_unit_test(the_order_of_a_sum_is_eight_partial_sums_then_a_tree),
        cmocka_unit_test(the_order_of_a_sum_of_squares_is_sixty_four_partial_sums_then_a_tree),
        cmocka_unit_test(softmax_adds_up_to_one_and_keeps_the_order),
        cmocka_unit_test(not_finite_values_are_found_wherever_they_are),
        cmocka_unit_test(rms_norm_and_swiglu_follow_their_formulas),
    };
    return cmocka_run_group_tests_name("fmath", tests, NULL, NULL);
}
