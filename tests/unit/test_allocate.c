/* test_allocate.c - the solver against all picks there are; losses against evaluations.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../driver/cli/allocate_solve.h"
#include "allocate.h"
#include "tiny_llama.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct accel_error err;

/* ---- the solver ---- */

enum { UNITS = 5, CHOICES = 4, ALL = UNITS * CHOICES };

static double uniform(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (double)(*state >> 8) / 16777216.0;
}

struct small {
    double loss[ALL], cost[ALL], pair[ALL * ALL];
    struct allocate_problem p;
};

/* Losses fall and costs rise with the choice; pairs are products of random vectors. */
static void make_small(struct small *s, uint32_t seed, int quadratic)
{
    double v[ALL][6];
    uint32_t state = seed;
    for (int i = 0; i < ALL; i++) {
        double size = pow(0.4, i % CHOICES) * (0.5 + uniform(&state));
        for (int k = 0; k < 6; k++)
            v[i][k] = size * (uniform(&state) - 0.4);
        double unit = i / CHOICES; /* NOLINT(bugprone-integer-division): its number */
        s->cost[i] = (2 + i % CHOICES + uniform(&state) * 0.3) * (1 + unit);
    }
    if (seed % 3 == 0)
        s->cost[seed % ALL] = INFINITY;
    for (int i = 0; i < ALL; i++)
        for (int j = 0; j < ALL; j++) {
            s->pair[i * ALL + j] = 0;
            for (int k = 0; k < 6; k++)
                s->pair[i * ALL + j] += v[i][k] * v[j][k];
            if (i == j)
                s->loss[i] = s->pair[i * ALL + j];
        }
    s->p = (struct allocate_problem){ .units = UNITS,
                                      .choices = CHOICES,
                                      .loss = s->loss,
                                      .cost = s->cost,
                                      .pair = quadratic ? s->pair : NULL,
                                      .budget = 15 * (2.4 + 2.5 * uniform(&state)) };
}

/* The least loss of all picks within the budget. */
static double brute_force(const struct allocate_problem *p)
{
    uint32_t pick[UNITS];
    struct allocate_solution s = { .pick = pick };
    double best = INFINITY;
    for (uint32_t n = 0; n < 1024; n++) { /* CHOICES ^ UNITS */
        for (uint32_t u = 0; u < UNITS; u++)
            pick[u] = (n >> (2 * u)) & 3;
        allocate_value(p, &s);
        if (s.cost <= p->budget && s.loss < best)
            best = s.loss;
    }
    return best;
}

static void solve_all(int quadratic)
{
    static struct small s;
    unsigned solved = 0;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        uint32_t pick[UNITS];
        struct allocate_solution found = { .pick = pick };
        make_small(&s, seed, quadratic);
        double best = brute_force(&s.p);
        int rc = allocate_solve(&s.p, 20, &found, &err);
        if (isinf(best)) {
            assert_int_equal(rc, ACCEL_E_ARG);
            continue;
        }
        assert_int_equal(rc, ACCEL_OK);
        solved++;
        double loss = found.loss, cost = found.cost;
        allocate_value(&s.p, &found);
        assert_true(loss == found.loss && cost == found.cost && cost <= s.p.budget);
        if (fabs(loss - best) > 1e-9 + 1e-6 * best || found.bound > best * (1 + 1e-9) ||
            found.bound < best * 0.999)
            fail_msg("seed %u: found %.9g, best is %.9g, bound %.9g", seed, loss, best,
                     found.bound);
    }
    assert_true(solved > 40);
}

static int have_solver(void)
{
    static struct small s;
    uint32_t pick[UNITS];
    struct allocate_solution found = { .pick = pick };
    make_small(&s, 1, 0);
    return allocate_solve(&s.p, 1, &found, &err) != ACCEL_E_UNSUPPORTED;
}

static void linear_picks_are_the_best_of_all(void **state)
{
    (void)state;
    if (!have_solver())
        skip();
    solve_all(0);
}

static void quadratic_picks_are_the_best_of_all(void **state)
{
    (void)state;
    if (!have_solver())
        skip();
    solve_all(1);
}

static void a_budget_below_the_cheapest_pick_is_refused(void **state)
{
    (void)state;
    static struct small s;
    uint32_t pick[UNITS];
    struct allocate_solution found = { .pick = pick };
    if (!have_solver())
        skip();
    make_small(&s, 1, 1);
    s.p.budget = 3;
    assert_int_equal(allocate_solve(&s.p, 1, &found, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "below the cheapest"));
}

/* ---- losses ---- */

static struct tiny_llama tiny;
static accel_dev *dev;
static accel_model *model;
static struct allocate a;

static int setup(void **state)
{
    (void)state;
    tiny_default(&tiny);
    return tiny_open(&tiny, &dev, &model, &err) ||
           allocate_open(model, dev, NULL, 0, 16, 2, 1, QUANT_RTN, &a, &err);
}

static int teardown(void **state)
{
    (void)state;
    allocate_close(&a);
    tiny_close(&tiny, dev, model);
    return 0;
}

static void calibration_text_follows_from_the_seed(void **state)
{
    (void)state;
    struct allocate b;
    assert_int_equal(allocate_open(model, dev, NULL, 0, 16, 2, 1, QUANT_RTN, &b, &err), ACCEL_OK);
    assert_memory_equal(a.ids, b.ids, 32 * sizeof *a.ids);
    allocate_close(&b);
    assert_int_equal(allocate_open(model, dev, NULL, 0, 16, 2, 2, QUANT_RTN, &b, &err), ACCEL_OK);
    assert_memory_not_equal(a.ids, b.ids, 32 * sizeof *a.ids);
    allocate_close(&b);
}

static void a_trial_leaves_the_weights_as_they_were(void **state)
{
    (void)state;
    double loss, changed;
    for (uint32_t u = 0; u < a.unit_count; u++) {
        struct plan_choice c = { .format = ACCEL_INT(2), .group = 32 };
        assert_int_equal(allocate_try(&a, u, c, NULL, &loss, &changed, &err), ACCEL_OK);
        assert_true(loss > 0 && changed > 0);
    }
    assert_int_equal(allocate_loss(&a, NULL, &loss, &err), ACCEL_OK);
    assert_true(loss < 1e-12);
}

/* The units' sketches tell what two changes lose together. */
static void products_of_sketches_foretell_pairs(void **state)
{
    (void)state;
    static float s[3][ALLOCATE_SKETCH];
    double loss[3], product = 0, twice[2] = { 0, 0 };
    struct plan_choice c = { .format = ACCEL_INT(7), .group = 32 };
    struct allocate_unit *u = &a.units[0], *v = &a.units[a.unit_count - 1];
    size_t bytes = (size_t)v->rows * v->cols * sizeof(float);
    float *kept = malloc(bytes);
    assert_non_null(kept);
    assert_ptr_not_equal(u->w, v->w);
    assert_int_equal(allocate_try(&a, 0, c, s[0], &loss[0], NULL, &err), ACCEL_OK);
    assert_int_equal(allocate_try(&a, a.unit_count - 1, c, s[1], &loss[1], NULL, &err), ACCEL_OK);
    memcpy(kept, v->w, bytes);
    accel_matrix *mat;
    assert_int_equal(plan_quantize(c, v->rows, v->cols, v->w, &mat, &err), ACCEL_OK);
    for (uint32_t m = 0; m < v->rows; m++)
        for (uint32_t k = 0; k < v->cols; k++)
            v->w[(size_t)m * v->cols + k] = (float)accel_matrix_value(mat, m, k);
    accel_matrix_free(mat);
    assert_int_equal(allocate_try(&a, 0, c, s[2], &loss[2], NULL, &err), ACCEL_OK);
    memcpy(v->w, kept, bytes);
    free(kept);
    for (int i = 0; i < ALLOCATE_SKETCH; i++) {
        product += (double)s[0][i] * (double)s[1][i];
        twice[0] += (double)s[0][i] * (double)s[0][i];
        twice[1] += (double)s[1][i] * (double)s[1][i];
    }
    for (int i = 0; i < 2; i++)
        if (fabs(twice[i] / 2 - loss[i]) > 0.05 * loss[i])
            fail_msg("unit %d: sketch %g, loss %g", i, twice[i] / 2, loss[i]);
    /* |x + y|^2 / 2 = |x|^2 / 2 + |y|^2 / 2 + xy */
    double together = loss[0] + loss[1] + product;
    if (fabs(together - loss[2]) > 0.05 * loss[2])
        fail_msg("both lose %g, foretold %g (alone %g and %g)", loss[2], together, loss[0],
                 loss[1]);
}

/* Of a small random change, half the mean of the diagonal foretells the loss. */
static void the_trace_foretells_random_changes(void **state)
{
    (void)state;
    double mean, other;
    uint32_t u = a.unit_count - 1;
    assert_int_equal(allocate_trace(&a, u, 8, 1, &mean, &err), ACCEL_OK);
    assert_int_equal(allocate_trace(&a, u, 8, 77, &other, &err), ACCEL_OK);
    assert_true(mean > 0 && fabs(mean - other) < 0.3 * mean && mean != other);
    double loss, changed;
    struct plan_choice c = { .format = ACCEL_INT(6), .group = 32 };
    assert_int_equal(allocate_try(&a, u, c, NULL, &loss, &changed, &err), ACCEL_OK);
    if (loss < 0.5 * mean * changed || loss > 2 * mean * changed)
        fail_msg("lost %g, foretold %g", loss, mean * changed);
}

static void all_units_at_once_lose_more_than_any_alone(void **state)
{
    (void)state;
    struct plan_choice c[128];
    double most = 0, loss, after;
    assert_true(a.unit_count <= 128);
    for (uint32_t u = 0; u < a.unit_count; u++) {
        c[u] = (struct plan_choice){ .format = ACCEL_INT(4), .group = 32 };
        assert_int_equal(allocate_try(&a, u, c[u], NULL, &loss, NULL, &err), ACCEL_OK);
        most = loss > most ? loss : most;
    }
    assert_int_equal(allocate_try_all(&a, c, &loss, &err), ACCEL_OK);
    assert_true(loss > most);
    assert_int_equal(allocate_loss(&a, NULL, &after, &err), ACCEL_OK);
    assert_true(after < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_picks_are_the_best_of_all),
        cmocka_unit_test(quadratic_picks_are_the_best_of_all),
        cmocka_unit_test(a_budget_below_the_cheapest_pick_is_refused),
        cmocka_unit_test(calibration_text_follows_from_the_seed),
        cmocka_unit_test(a_trial_leaves_the_weights_as_they_were),
        cmocka_unit_test(products_of_sketches_foretell_pairs),
        cmocka_unit_test(the_trace_foretells_random_changes),
        cmocka_unit_test(all_units_at_once_lose_more_than_any_alone),
    };
    return cmocka_run_group_tests_name("allocate", tests, setup, teardown);
}
