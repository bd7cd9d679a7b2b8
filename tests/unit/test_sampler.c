/* test_sampler.c - greedy and random choice of tokens.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel_llm.h"

#include <math.h>

enum { VOCAB = 6, DRAWS = 20000 };

/* p = 1/2, 1/4, 1/8, 1/16, 1/32, 1/32 at temperature 1 */
static const float logits[VOCAB] = { -0.6931472f, -1.3862944f, -2.0794415f,
                                     -2.7725887f, -3.4657359f, -3.4657359f };
static struct accel_candidate scratch[VOCAB];

static void draw(struct accel_sampler s, uint64_t seed, unsigned *counts)
{
    accel_sampler_seed(&s, seed);
    for (unsigned i = 0; i < VOCAB; i++)
        counts[i] = 0;
    for (unsigned i = 0; i < DRAWS; i++)
        counts[accel_sample(&s, logits, VOCAB, scratch)]++;
}

static void temperature_0_takes_the_largest_logit_and_the_first_of_equals(void **state)
{
    (void)state;
    struct accel_sampler s = { .temperature = 0.0f };
    const float equal[4] = { 1.0f, 3.0f, 3.0f, 2.0f };
    const float broken[4] = { NAN, -INFINITY, -2.0f, NAN };
    assert_int_equal(accel_sample(&s, logits, VOCAB, NULL), 0);
    assert_int_equal(accel_sample(&s, equal, 4, NULL), 1);
    assert_int_equal(accel_sample(&s, broken, 4, NULL), 2);
}

static void the_same_seed_gives_the_same_tokens_and_another_seed_others(void **state)
{
    (void)state;
    struct accel_sampler a = { .temperature = 1.0f, .top_p = 1.0f }, b = a, c = a;
    unsigned different = 0;
    accel_sampler_seed(&a, 7);
    accel_sampler_seed(&b, 7);
    accel_sampler_seed(&c, 8);
    for (int i = 0; i < 500; i++) {
        uint32_t x = accel_sample(&a, logits, VOCAB, scratch);
        assert_int_equal(x, accel_sample(&b, logits, VOCAB, scratch));
        different += x != accel_sample(&c, logits, VOCAB, scratch);
    }
    assert_true(different > 100);
}

static void tokens_come_as_often_as_their_probability_says(void **state)
{
    (void)state;
    unsigned counts[VOCAB];
    draw((struct accel_sampler){ .temperature = 1.0f, .top_p = 1.0f }, 1, counts);
    for (unsigned i = 0; i < VOCAB; i++) {
        double p = 1.0 / (double)(2u << (i < 5 ? i : 4)), sigma = sqrt(DRAWS * p * (1.0 - p));
        assert_true(fabs(counts[i] - DRAWS * p) < 5.0 * sigma);
    }
}

static void a_low_temperature_prefers_the_likeliest_more(void **state)
{
    (void)state;
    unsigned warm[VOCAB], cold[VOCAB];
    draw((struct accel_sampler){ .temperature = 1.0f, .top_p = 1.0f }, 1, warm);
    draw((struct accel_sampler){ .temperature = 0.5f, .top_p = 1.0f }, 1, cold);
    /* Squared: 1/4, 1/16, ... of 0.3335 together: three of four draws. */
    assert_true(fabs(cold[0] / (double)DRAWS - 0.25 / 0.333496) < 0.02);
    assert_true(cold[0] > warm[0]);
}

static void top_k_never_gives_a_token_outside_the_k_best(void **state)
{
    (void)state;
    unsigned counts[VOCAB];
    draw((struct accel_sampler){ .temperature = 1.0f, .top_k = 2, .top_p = 1.0f }, 3, counts);
    assert_int_equal(counts[0] + counts[1], DRAWS);
    assert_true(fabs(counts[0] / (double)DRAWS - 2.0 / 3.0) < 0.02);
    draw((struct accel_sampler){ .temperature = 1.0f, .top_k = 1, .top_p = 1.0f }, 3, counts);
    assert_int_equal(counts[0], DRAWS);
}

static void top_p_keeps_the_fewest_tokens_that_reach_p(void **state)
{
    (void)state;
    unsigned counts[VOCAB];
    draw((struct accel_sampler){ .temperature = 1.0f, .top_p = 0.7f }, 3, counts);
    assert_int_equal(counts[0] + counts[1], DRAWS); /* 1/2 + 1/4 >= 0.7 */
    assert_true(counts[1] > 0);
    draw((struct accel_sampler){ .temperature = 1.0f, .top_p = 0.8f }, 3, counts);
    assert_int_equal(counts[0] + counts[1] + counts[2], DRAWS);
    assert_true(counts[2] > 0);
    draw((struct accel_sampler){ .temperature = 1.0f, .top_p = 0.0f }, 3, counts);
    assert_int_equal(counts[0], DRAWS);
}

static void broken_logits_are_never_drawn(void **state)
{
    (void)state;
    const float broken[4] = { NAN, 1.0f, INFINITY, 0.5f };
    struct accel_sampler s = { .temperature = 1.0f, .top_p = 1.0f };
    accel_sampler_seed(&s, 0);
    for (int i = 0; i < 1000; i++) {
        uint32_t id = accel_sample(&s, broken, 4, scratch);
        assert_true(id == 1 || id == 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperature_0_takes_the_largest_logit_and_the_first_of_equals),
        cmocka_unit_test(the_same_seed_gives_the_same_tokens_and_another_seed_others),
        cmocka_unit_test(tokens_come_as_often_as_their_probability_says),
        cmocka_unit_test(a_low_temperature_prefers_the_likeliest_more),
        cmocka_unit_test(top_k_never_gives_a_token_outside_the_k_best),
        cmocka_unit_test(top_p_keeps_the_fewest_tokens_that_reach_p),
        cmocka_unit_test(broken_logits_are_never_drawn),
    };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
