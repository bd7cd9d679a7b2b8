/* test_tactical.c - how good Bit-Tactical's schedules are: beside what the paper does, and beside the ideal.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Prints a table of words for chunks of random zeros. Ideal is what no schedule of the same windows T<2,5> with the same
 * rows in step beats, found by trying all sequences of windows. Bound: no row takes fewer words than its weights
 * fill, and no word moves on by more than three steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "internal.h"
#include "random_matrix.h"

#include <string.h>

enum { ROWS = 32, CELLS = 256, WINDOW = 3, PLACES = 8 };
static const int ahead[PLACES] = { 0, 1, 2, 1, 1, 2, 2, 1 },
                 aside[PLACES] = { 0, 0, 0, -1, 1, -2, 2, 3 };

/* One chunk of one row tile: which weights are not zero. */
struct chunk {
    int rows, lanes, steps;
    uint8_t w[ROWS][CELLS];
};

static void random_chunk(struct rng *rng, struct chunk *c, uint32_t zeros)
{
    memset(c->w, 0, sizeof c->w);
    for (int r = 0; r < c->rows; r++)
        for (int i = 0; i < c->steps * c->lanes; i++)
            c->w[r][i] = rng_below(rng, 100) >= zeros;
}

/* The part of a chunk that is one row. */
static struct chunk one_row(const struct chunk *c, int row)
{
    struct chunk one = { 1, c->lanes, c->steps, { { 0 } } };
    memcpy(one.w[0], c->w[row], CELLS);
    return one;
}

static int lane_at(const struct chunk *c, int lane, int shift)
{
    return (lane + shift + c->lanes) % c->lanes;
}

/* What the packer makes of it; of one row, that row four times, since no array has fewer. */
static int packed_words(const struct chunk *c)
{
    static uint8_t codes[ROWS * CELLS];
    int16_t sc[ROWS];
    const int rows = c->rows < 4 ? 4 : c->rows, cols = c->steps * c->lanes;
    struct accel_matrix_parts parts = { .format = ACCEL_UINT(1),
                                        .rows = (uint32_t)rows,
                                        .cols = (uint32_t)cols,
                                        .codes = codes,
                                        .sc = sc };
    const struct pack_shape shape = { .rows = (uint32_t)rows,
                                      .lanes = (uint32_t)c->lanes,
                                      .scale_units = 4 };
    accel_matrix *mat;
    struct packed p;
    for (int r = 0; r < rows; r++) {
        memcpy(&codes[r * cols], c->w[c->rows < 4 ? 0 : r], (size_t)cols);
        sc[r] = 1;
    }
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    assert_int_equal(pack_matrix(accel_find_kind("tclp"), &shape, mat, &p, NULL), ACCEL_OK);
    int words = (int)p.code_beats / 4; /* three planes of selects, one of the code */
    pack_free(&p);
    accel_matrix_free(mat);
    return words;
}

/* The paper's greedy schedules: among the free slots of a word choose the one with the fewest candidates, as its text has
 * it, or with the most, as its authors' simulator does. A slot takes the earliest step it can, of these the weight
 * that the fewest free slots could take. */
enum greedy { FEWEST, MOST };

static int candidates(const struct chunk *left, int row, int first, int lane)
{
    int n = 0;
    for (int k = 1; k < PLACES; k++) {
        int step = first + ahead[k];
        n += step < left->steps && left->w[row][step * left->lanes + lane_at(left, lane, aside[k])];
    }
    return n;
}

static void fill_slot(struct chunk *left, int row, int first, int lane, const bool *used)
{
    int best = -1, best_step = 0, best_rivals = 0;
    for (int k = 1; k < PLACES; k++) {
        int step = first + ahead[k], from = lane_at(left, lane, aside[k]), rivals = 0;
        if (step >= left->steps || !left->w[row][step * left->lanes + from])
            continue;
        for (int q = 1; q < PLACES; q++)
            rivals += ahead[q] == ahead[k] && !used[lane_at(left, from, -aside[q])];
        if (best < 0 || step < best_step || (step == best_step && rivals < best_rivals)) {
            best = step * left->lanes + from;
            best_step = step;
            best_rivals = rivals;
        }
    }
    left->w[row][best] = 0;
}

static int greedy_words(const struct chunk *c, enum greedy how)
{
    struct chunk left = *c;
    int words = 0;
    for (int first = 0;;) {
        int clear = c->steps;
        words++;
        for (int r = 0; r < c->rows; r++) {
            bool used[CELLS] = { false };
            for (int l = 0; l < c->lanes; l++) {
                used[l] = left.w[r][first * c->lanes + l];
                left.w[r][first * c->lanes + l] = 0;
            }
            for (;;) {
                int slot = -1, have = 0;
                for (int l = 0; l < c->lanes; l++) {
                    int n = used[l] ? 0 : candidates(&left, r, first, l);
                    if (n && (slot < 0 || (how == MOST ? n > have : n < have))) {
                        slot = l;
                        have = n;
                    }
                }
                if (slot < 0)
                    break;
                fill_slot(&left, r, first, slot, used);
                used[slot] = true;
            }
            const uint8_t *next = memchr(left.w[r], 1, (size_t)(c->steps * c->lanes));
            int step = next ? (int)(next - left.w[r]) / c->lanes : c->steps;
            clear = step < clear ? step : clear;
        }
        if (clear == c->steps)
            return words;
        first = clear - first < WINDOW ? clear : first + WINDOW;
    }
}

static int bound(const struct chunk *c)
{
    int most = (c->steps + WINDOW - 1) / WINDOW;
    for (int r = 0; r < c->rows; r++) {
        int n = 0;
        for (int i = 0; i < c->steps * c->lanes; i++)
            n += c->w[r][i];
        most = (n + c->lanes - 1) / c->lanes > most ? (n + c->lanes - 1) / c->lanes : most;
    }
    return most;
}

/* ---- the ideal: every sequence of windows, each tried by matching weights and slots ---- */

struct windows {
    int first[CELLS], count;
};

/* Find weight `w` a slot, moving others; who[slot]: the weight it holds, or -1. */
/* NOLINTNEXTLINE(misc-no-recursion): no deeper than a row has weights */
static bool seat(const struct chunk *c, const struct windows *v, int w, int *who, bool *seen)
{
    for (int i = 0; i < v->count; i++)
        for (int k = 0; k < PLACES; k++) {
            if (w / c->lanes - v->first[i] != ahead[k])
                continue;
            int slot = i * c->lanes + lane_at(c, w % c->lanes, -aside[k]);
            if (seen[slot])
                continue;
            seen[slot] = true;
            if (who[slot] < 0 || seat(c, v, who[slot], who, seen)) {
                who[slot] = w;
                return true;
            }
        }
    return false;
}

/* Do these windows take all weights of the steps before `end`? */
static bool enough(const struct chunk *c, const struct windows *v, int end)
{
    for (int r = 0; r < c->rows; r++) {
        int who[2 * CELLS];
        for (int i = 0; i < v->count * c->lanes; i++)
            who[i] = -1;
        for (int w = 0; w < end * c->lanes; w++) {
            bool seen[2 * CELLS] = { false };
            if (c->w[r][w] && !seat(c, v, w, who, seen))
                return false;
        }
    }
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than a chunk has words */
static bool windows_exist(const struct chunk *c, struct windows *v, int words)
{
    int first = v->first[v->count - 1];
    if (v->count == words)
        return enough(c, v, c->steps);
    if (first + WINDOW * (words - v->count) + WINDOW < c->steps)
        return false;
    for (int go = WINDOW; go >= 1; go--) {
        if (first + go >= c->steps || !enough(c, v, first + go > 0 ? first + go : 0))
            continue;
        v->first[v->count++] = first + go;
        bool found = windows_exist(c, v, words);
        v->count--;
        if (found)
            return true;
    }
    return false;
}

static int ideal_words(const struct chunk *c)
{
    for (int words = bound(c);; words++)
        for (int first = 0; first > -WINDOW; first--) {
            struct windows v = { { first }, 1 };
            if (windows_exist(c, &v, words))
                return words;
        }
}

/* ---- the tests ---- */

static void schedules_are_ideal_to_a_twentieth(void **state)
{
    (void)state;
    static const struct {
        int rows, lanes, steps;
    } shapes[] = { { 32, 16, 16 }, { 32, 16, 8 }, { 32, 16, 4 }, { 8, 16, 8 }, { 4, 8, 12 } };
    static const uint32_t zeros[] = { 0, 30, 50, 70, 90 };
    enum { TRIALS = 3 };
    struct rng rng = { 1 };
    double all[3] = { 0 }, alone[3] = { 0 };
    print_message(
        "# words of a chunk                 all rows in step             |  each row alone\n"
        "# rows lanes steps zeros   bound  ideal   ours fewest   most  |   ours fewest   most\n");
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (size_t z = 0; z < sizeof zeros / sizeof zeros[0]; z++) {
            static struct chunk c;
            double w[8] = { 0 };
            c.rows = shapes[i].rows;
            c.lanes = shapes[i].lanes;
            c.steps = shapes[i].steps;
            for (int n = 0; n < TRIALS; n++) {
                random_chunk(&rng, &c, zeros[z]);
                w[0] += bound(&c);
                w[1] += ideal_words(&c);
                w[2] += packed_words(&c);
                w[3] += greedy_words(&c, FEWEST);
                w[4] += greedy_words(&c, MOST);
                for (int r = 0; r < c.rows; r++) {
                    struct chunk row = one_row(&c, r);
                    w[5] += (double)packed_words(&row) / c.rows;
                    w[6] += (double)greedy_words(&row, FEWEST) / c.rows;
                    w[7] += (double)greedy_words(&row, MOST) / c.rows;
                }
            }
            print_message("# %4d %5d %5d %3u %%  ", c.rows, c.lanes, c.steps, zeros[z]);
            for (int k = 0; k < 8; k++)
                print_message("%s %6.2f", k == 5 ? "  |" : "", w[k] / TRIALS);
            print_message("\n");
            assert_true(w[0] <= w[1] && w[1] <= w[2]);
            for (int k = 0; k < 3; k++) {
                all[k] += w[2 + k];
                alone[k] += w[5 + k];
            }
            assert_true(w[1] >= (zeros[z] == 50 ? 0.95 : 0.9) * w[2]);
            assert_true(zeros[z] != 0 || w[2] == c.steps * TRIALS);
        }
    /* so the packer does not do as the paper, whose choice may be the lucky one of a few chunks */
    assert_true(all[0] < 1.01 * all[1] && all[1] < all[2]);
    assert_true(alone[0] < alone[1] && alone[1] < alone[2]);
}

static void empty_stretches_cost_a_word_for_three_steps(void **state)
{
    (void)state;
    struct chunk c = { 4, 8, 32, { { 0 } } };
    assert_int_equal(packed_words(&c), 1); /* nothing at all */
    c.w[2][31 * 8 + 5] = 1;                /* in the last step: windows at 0, 3, .. 27, 30 */
    assert_int_equal(packed_words(&c), 11);
    for (int steps = 1; steps <= 3; steps++) { /* all of a short chunk may be in one word */
        struct chunk s = { 4, 8, steps, { { 0 } } };
        for (int i = 0; i < steps; i++)
            s.w[0][i * 8 + 2 * i] = s.w[3][i * 8 + 7] = 1;
        assert_int_equal(packed_words(&s), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_are_ideal_to_a_twentieth),
        cmocka_unit_test(empty_stretches_cost_a_word_for_three_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
