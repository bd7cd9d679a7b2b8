/* test_quantize.c - real weights to formats that hold a list of values: each weight takes its
 * nearest, each group its best choice.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "matrix.h"
#include "random_matrix.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_olive(accel_format f)
{
    return f == ACCEL_OLIVE4 || f == ACCEL_OLIVE4F;
}

static bool is_codebook(accel_format f)
{
    return f == ACCEL_CODEBOOK3 || f == ACCEL_CODEBOOK4;
}

static bool has_levels(accel_format f)
{
    return (f & 0xF00u) >= ACCEL_CODING_FLOAT && !is_olive(f) && !is_codebook(f);
}

static accel_matrix *quantize(accel_format f, uint32_t group, uint32_t rows, uint32_t cols,
                              const float *w)
{
    accel_matrix *mat = NULL;
    struct accel_error err;
    if (accel_matrix_quantize(f, group, rows, cols, w, &mat, &err))
        fail_msg("%s: %s", accel_format_name(f), err.text);
    return mat;
}

/* Roughly normal, and now and then far out; not negative for unsigned values. */
static void random_weights(struct rng *r, accel_format f, float *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        w[i] = rng_float(r) + rng_float(r) + rng_float(r);
        if (rng_below(r, 40) == 0)
            w[i] *= 8.0f;
        if (f == ACCEL_UFLINT4)
            w[i] = fabsf(w[i]);
    }
}

/* Legal codes of a format, by sel, and the largest |k| a quantizer aims at. */
struct values {
    int count, k[256];
    double top;
};

static struct values values_of(accel_format f, unsigned sel)
{
    struct values v = { 0 };
    for (unsigned c = 0; c < 1u << accel_format_bits(f); c++) {
        if (f == ACCEL_ANT4 && sel == 0 && c == 8)
            continue; /* int4 is symmetric */
        v.k[v.count] = accel_format_decode_in(f, c, sel, 0, NULL);
        v.top = fmax(v.top, abs(v.k[v.count++]));
    }
    return v;
}

static double nearest_off(const struct values *v, double w, double s)
{
    double least = INFINITY;
    for (int i = 0; i < v->count; i++)
        least = fmin(least, fabs(w - s * v->k[i]));
    return least;
}

/* With one group, the row scale is the scale itself and values are s * k to the last bit. */
static void every_weight_takes_its_nearest_value_and_every_group_its_best_choice(void **state)
{
    (void)state;
    struct rng r = { 91 };
    float w[75];
    for (int i = 0; i < ALL_FORMATS; i++) {
        accel_format f = format_at(i);
        if (!has_levels(f))
            continue;
        unsigned chosen = 0;
        for (int round = 0; round < 60; round++) {
            uint32_t cols = 2 + rng_below(&r, 74);
            random_weights(&r, f, w, cols);
            accel_matrix *mat = quantize(f, 0, 1, cols, w);
            unsigned sel = mat->sel ? mat->sel[0] : 0;
            double peak = 0.0, error = 0.0;
            chosen |= 1u << sel;
            assert_int_equal(mat->sc[0], 1);
            assert_true(mat->scale_error == 0.0);
            for (uint32_t c = 0; c < cols; c++)
                peak = fmax(peak, fabs((double)w[c]));
            struct values v = values_of(f, sel);
            double s = (double)(float)(peak / v.top);
            assert_true((double)mat->row_scale[0] == s);
            for (uint32_t c = 0; c < cols; c++) {
                double off = fabs(accel_matrix_value(mat, 0, c) - (double)w[c]);
                assert_true(off <= nearest_off(&v, (double)w[c], s) + 1e-12 * peak);
                error += off * off;
            }
            for (unsigned other = 0; other < 4 && mat->sel; other++) {
                struct values o = values_of(f, other);
                double sum = 0.0;
                for (uint32_t c = 0; c < cols; c++)
                    sum += pow(nearest_off(&o, (double)w[c], (double)(float)(peak / o.top)), 2.0);
                assert_true(error <= sum * (1.0 + 1e-12));
            }
            accel_matrix_free(mat);
        }
        assert_int_equal(chosen, accel_format_has_sel(f) ? 15 : 1);
    }
}

static void halfway_weights_take_the_even_code(void **state)
{
    (void)state;
    static const struct {
        accel_format format;
        float w[8];
        int k[8];
    } cases[] = {
        /* e2m1 has 0 1 2 3 4 6 8 12 by code; 12 sets the scale to 1 */
        { ACCEL_FLOAT(2, 1),
          { 12, 0.5f, 1.5f, 2.5f, 3.5f, 5, -7, -10 },
          { 12, 0, 2, 2, 4, 4, -8, -8 } },
        /* e3m0: 0 1 2 4 8 16 32 64 */
        { ACCEL_FLOAT(3, 0),
          { 64, 0.5f, 1.5f, 3, 6, -12, -24, 48 },
          { 64, 0, 2, 2, 8, -8, -32, 32 } },
        /* flint4: 16 has code 4, 8 code 5, 4 code 6, 6 code 7; 6 and 8 are both odd: the smaller */
        { ACCEL_FLINT4, { 16, 12, 7, 5, -3.5f, -12, -7, 0 }, { 16, 16, 6, 4, -4, -16, -6, 0 } },
        /* uflint4: 10 is odd, 12 even, 16 even and 14 odd */
        { ACCEL_UFLINT4, { 64, 48, 28, 20, 15, 11, 7.5f, 0.5f }, { 64, 64, 24, 16, 16, 12, 8, 0 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        accel_matrix *mat = quantize(cases[i].format, 0, 1, 8, cases[i].w);
        for (uint32_t c = 0; c < 8; c++)
            if (accel_matrix_k(mat, 0, c) != cases[i].k[c])
                fail_msg("%s: %g became %d, not %d", accel_format_name(cases[i].format),
                         (double)cases[i].w[c], accel_matrix_k(mat, 0, c), cases[i].k[c]);
        accel_matrix_free(mat);
    }
}

static void weights_made_of_a_types_values_choose_that_type(void **state)
{
    (void)state;
    static const struct {
        accel_format format;
        unsigned sel;
        float w[8];
    } cases[] = {
        { ACCEL_FP3, 0, { 4, 3, -4, 3, 1, 2, 3, -1 } },
        { ACCEL_FP3, 1, { 4, -3, -4, -3, 1, 2, -3, -1 } },
        { ACCEL_FP3, 2, { 6, 4, -4, -2, 1, 2, 1, -1 } },
        { ACCEL_FP3, 3, { -6, 4, -4, -2, 1, 2, 1, -1 } },
        { ACCEL_FP4, 0, { 6, 5, -6, 5, 0.5f, 3, 5, -1.5f } },
        { ACCEL_FP4, 1, { 6, -5, -6, -5, 0.5f, 3, -5, -1.5f } },
        { ACCEL_FP4, 2, { 8, 6, -6, -4, 0.5f, 3, 2, -1.5f } },
        { ACCEL_FP4, 3, { -8, 6, -6, -4, 0.5f, 3, 2, -1.5f } },
        { ACCEL_ANT4, 0, { 7, -6, 5, 4, -3, 2, 1, 0 } },
        { ACCEL_ANT4, 1, { 64, -32, 16, -8, 4, -2, 1, 0 } },
        { ACCEL_ANT4, 2, { 16, -8, 6, -4, 3, -2, 1, 0 } },
        { ACCEL_ANT4, 3, { 6, -4, 3, -2, 1.5f, -1, 0.5f, 0 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        accel_matrix *mat = quantize(cases[i].format, 0, 1, 8, cases[i].w);
        if (mat->sel[0] != cases[i].sel)
            fail_msg("case %zu: sel is %u, not %u", i, mat->sel[0], cases[i].sel);
        for (uint32_t c = 0; c < 8; c++)
            assert_true(accel_matrix_value(mat, 0, c) == (double)cases[i].w[c]);
        accel_matrix_free(mat);
    }
}

static void rows_whose_groups_choose_alike_become_one_group_and_others_do_not(void **state)
{
    (void)state;
    float w[2][32];
    for (int i = 0; i < 32; i++)
        w[0][i] = w[1][i] = (const float[]){ 4, 3, -4, 1 }[i % 4]; /* sel 0 */
    accel_matrix *mat = quantize(ACCEL_FP3, 16, 2, 32, w[0]);
    assert_int_equal(mat->group, 0);
    accel_matrix_free(mat);
    for (int i = 16; i < 32; i++)
        w[1][i] = (const float[]){ 4, -3, -4, 1 }[i % 4]; /* the same scale, but sel 1 */
    mat = quantize(ACCEL_FP3, 16, 2, 32, w[0]);
    assert_int_equal(mat->group, 16);
    assert_int_equal(mat->sel[3], 1);
    for (uint32_t m = 0; m < 2; m++)
        for (uint32_t c = 0; c < 32; c++)
            assert_true(accel_matrix_value(mat, m, c) == (double)w[m][c]);
    accel_matrix_free(mat);
}

/* Every pair is the best of all 16 * 16 that are legal, whatever the scale is. */
static void olive_pairs_are_the_best_there_are(void **state)
{
    (void)state;
    struct rng r = { 92 };
    float w[81];
    int victims = 0;
    for (int round = 0; round < 200; round++) {
        accel_format f = round % 2 ? ACCEL_OLIVE4 : ACCEL_OLIVE4F;
        uint32_t cols = 2 + rng_below(&r, 80);
        double peak = 0.0, error = 0.0, plain = 0.0;
        random_weights(&r, f, w, cols);
        accel_matrix *mat = quantize(f, 0, 1, cols, w);
        double s = (double)mat->row_scale[0];
        assert_int_equal(mat->sc[0], 1);
        for (uint32_t c = 0; c < cols; c++)
            peak = fmax(peak, fabs((double)w[c]));
        struct values v = values_of(f, 0);
        for (uint32_t c = 0; c < cols; c += 2) {
            double least = INFINITY, got = 0.0;
            uint32_t n = c + 1 < cols ? 2 : 1;
            for (unsigned codes = 0; codes < 256; codes++) {
                unsigned a = codes & 15, b = n == 2 ? codes >> 4 : 0;
                if ((a == 8 && b % 8 == 0) || (b == 8 && a % 8 == 0))
                    continue;
                double off = pow((double)w[c] - s * accel_format_decode_in(f, a, 0, b, NULL), 2);
                if (n == 2)
                    off += pow((double)w[c + 1] - s * accel_format_decode_in(f, b, 0, a, NULL), 2);
                least = fmin(least, off);
            }
            for (uint32_t i = c; i < c + n; i++) {
                got += pow((double)w[i] - accel_matrix_value(mat, 0, i), 2);
                plain += pow(nearest_off(&v, (double)w[i], (double)(float)(peak / v.top)), 2);
                victims += mat->codes[i] == 8;
            }
            assert_true(got <= least * (1.0 + 1e-12));
            error += got;
        }
        assert_true(error <= plain * (1.0 + 1e-12)); /* outliers only where they help */
        accel_matrix_free(mat);
    }
    assert_true(victims > 50);
}

static void olive_spends_a_victim_on_an_outlier_and_keeps_the_larger_of_two(void **state)
{
    (void)state;
    float w[512];
    for (int i = 0; i < 512; i++)
        w[i] = (float)(i % 15 - 7); /* -7 .. 7 */
    w[10] = 2.0f;
    w[11] = -48.0f;
    w[20] = 64.0f;
    w[21] = 90.0f;
    accel_matrix *mat = quantize(ACCEL_OLIVE4, 0, 1, 512, w);
    assert_int_equal(mat->codes[10], 8);
    assert_true(accel_matrix_k(mat, 0, 11) <= -32);
    assert_int_equal(mat->codes[20], 8);
    assert_true(accel_matrix_k(mat, 0, 21) >= 64);
    for (uint32_t c = 0; c < 10; c++)
        assert_true(fabs(accel_matrix_value(mat, 0, c) - (double)w[c]) < 1.5);
    accel_matrix_free(mat);
}

/* The least squared error that n values of -127 .. 127 can have, by trying every place for every
 * value. w is in units of the scale. */
static double best_codebook_error(const double *w, uint32_t n, int values)
{
    static double below[16][255];
    double best = INFINITY;
    for (int v = 0; v < values; v++)
        for (int j = 0; j < 255; j++) {
            below[v][j] = INFINITY;
            for (int i = v ? 0 : -1; i < (v ? j : 0); i++) { /* the value before j, if any */
                double e = v ? below[v - 1][i] : 0.0;
                for (uint32_t c = 0; c < n; c++) {
                    double a = w[c] - (i - 127), b = w[c] - (j - 127);
                    if (b <= 0.0 && (v == 0 || a > 0.0))
                        e += v == 0 || b * b < a * a ? b * b : a * a;
                }
                below[v][j] = fmin(below[v][j], e);
            }
        }
    for (int j = 0; j < 255; j++) {
        double e = below[values - 1][j];
        for (uint32_t c = 0; c < n; c++)
            e += w[c] > j - 127 ? pow(w[c] - (j - 127), 2.0) : 0.0;
        best = fmin(best, e);
    }
    return best;
}

static void codebooks_have_the_least_error_there_is(void **state)
{
    (void)state;
    struct rng r = { 93 };
    float w[24];
    double unit[24];
    for (int round = 0; round < 6; round++) {
        accel_format f = round % 2 ? ACCEL_CODEBOOK3 : ACCEL_CODEBOOK4;
        const uint32_t cols = 24;
        double peak = 0.0, error = 0.0;
        random_weights(&r, f, w, cols);
        accel_matrix *mat = quantize(f, 16, 1, cols, w);
        assert_int_equal(mat->group, 0); /* one scale for a row: the table makes up for groups */
        for (uint32_t c = 0; c < cols; c++)
            peak = fmax(peak, fabs((double)w[c]));
        double s = (double)(float)(peak / 127);
        assert_true((double)mat->row_scale[0] == s && mat->sc[0] == 1);
        for (uint32_t c = 0; c < cols; c++) {
            double off = fabs((double)w[c] - accel_matrix_value(mat, 0, c));
            for (int v = 0; v < 1 << accel_format_bits(f); v++)
                assert_true(off <= fabs((double)w[c] - s * mat->codebook[v]) + 1e-12);
            unit[c] = (double)w[c] / s;
            error += off * off / (s * s);
        }
        double best = best_codebook_error(unit, cols, 1 << accel_format_bits(f));
        if (!(error <= best * (1.0 + 1e-9) + 1e-9))
            fail_msg("round %d: error %g, %g is possible", round, error, best);
        accel_matrix_free(mat);
    }
}

static void rows_of_few_values_get_a_codebook_without_error(void **state)
{
    (void)state;
    struct rng r = { 94 };
    float w[2][300];
    for (int i = 0; i < 300; i++) {
        w[0][i] = (const float[]){ -127, -126, -3, 0, 1, 2, 90, 127 }[rng_below(&r, 8)];
        w[1][i] = (const float[]){ -5, 4, 3, 1 }[rng_below(&r, 4)] * 127.0f / 5.0f;
    }
    w[0][0] = 127;
    w[1][0] = -127;
    for (int i = 0; i < 300; i++)
        w[1][i] = rintf(w[1][i]);
    accel_matrix *mat = quantize(ACCEL_CODEBOOK3, 0, 2, 300, w[0]);
    for (uint32_t m = 0; m < 2; m++)
        for (uint32_t c = 0; c < 300; c++)
            assert_true(accel_matrix_value(mat, m, c) == (double)w[m][c]);
    accel_matrix_free(mat);
}

/* The widest gap between neighbours, in k. */
static double widest_gap(accel_format f, unsigned sel)
{
    struct values v = values_of(f, sel);
    double widest = 0.0;
    for (int i = 0; i < v.count; i++) {
        double up = INFINITY;
        for (int j = 0; j < v.count; j++)
            if (v.k[j] > v.k[i])
                up = fmin(up, v.k[j] - v.k[i]);
        widest = isfinite(up) ? fmax(widest, up) : widest;
    }
    return widest;
}

/* Half the widest gap, plus what the kept scales are off by, is all the error there may be. A group
 * with a choice may clip, but never errs more than the choice that does not. */
static void weights_in_groups_stay_within_half_the_widest_gap(void **state)
{
    (void)state;
    struct rng r = { 95 };
    const uint32_t rows = 2, cols = 331;
    float *w = malloc(rows * cols * sizeof *w);
    assert_non_null(w);
    for (int i = 0; i < ALL_FORMATS; i++) {
        accel_format f = format_at(i);
        if (!has_levels(f) || accel_format_has_sel(f))
            continue;
        for (int g = 0; g < GROUPS; g++) {
            uint32_t group = group_at[g] ? group_at[g] : cols;
            random_weights(&r, f, w, (size_t)rows * cols);
            for (uint32_t c = 0; c < rows * cols; c++)
                w[c] *= (float)(1 + c / 64 % 30);
            accel_matrix *mat = quantize(f, group_at[g], rows, cols, w);
            double top = values_of(f, 0).top, gap = widest_gap(f, 0);
            for (uint32_t m = 0; m < rows; m++) {
                const float *row = w + (size_t)m * cols;
                double row_s = 0.0;
                for (uint32_t c = 0; c < cols; c++)
                    row_s = fmax(row_s, fabs((double)row[c]) / top);
                for (uint32_t c = 0; c < cols; c++) {
                    double peak = 0.0;
                    uint32_t first = c / group * group;
                    for (uint32_t k = first; k < cols && k < first + group; k++)
                        peak = fmax(peak, fabs((double)row[k]));
                    double room = gap / 2 * peak / top * 1.000001 + top * mat->scale_error * row_s +
                                  1e-9;
                    double off = accel_matrix_value(mat, m, c) - (double)row[c];
                    if (!(fabs(off) <= room))
                        fail_msg("%s group %u row %u column %u: off by %g, room %g",
                                 accel_format_name(f), group_at[g], m, c, off, room);
                }
            }
            accel_matrix_free(mat);
        }
    }
    free(w);
}

/* One in a thousand of the largest scale of the row, or what 48 bits leave. */
static void scales_of_groups_are_kept_to_ten_bits_beside_a_selector(void **state)
{
    (void)state;
    struct rng r = { 96 };
    float w[2 * 512];
    const accel_format formats[] = { ACCEL_FP3,         ACCEL_FP4,         ACCEL_ANT4,
                                     ACCEL_FLOAT(2, 1), ACCEL_FLOAT(4, 3), ACCEL_OLIVE4F };
    const double limit[] = { 0x1p-9, 0x1p-9, 0x1p-9, 0x1p-11, 0x1p-9, 0x1p-11 };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        random_weights(&r, formats[i], w, 1024);
        accel_matrix *mat = quantize(formats[i], 32, 2, 512, w);
        struct accel_matrix_info info;
        accel_matrix_get_info(mat, &info);
        for (size_t h = 0; h < (size_t)mat->rows * mat->groups && mat->sel; h++)
            assert_in_range(mat->sc[h] + 512, 0, 1023);
        assert_int_equal(info.group, 32);
        assert_int_equal(info.asymmetric, 0);
        assert_true(info.scale_error > 0.0);
        if (info.scale_error > limit[i])
            fail_msg("%s: scale error %g", accel_format_name(formats[i]), info.scale_error);
        accel_matrix_free(mat);
    }
}

static void the_same_weights_give_the_same_matrix(void **state)
{
    (void)state;
    struct rng r = { 97 };
    float w[3 * 130];
    for (int i = 0; i < ALL_FORMATS; i++) {
        accel_format f = format_at(i);
        random_weights(&r, f, w, 3 * 130);
        accel_matrix *a = quantize(f, 48, 3, 130, w), *b = quantize(f, 48, 3, 130, w);
        size_t headers = (size_t)a->rows * a->groups;
        assert_int_equal(a->groups, b->groups);
        assert_memory_equal(a->codes, b->codes, sizeof w / sizeof w[0]);
        assert_memory_equal(a->sc, b->sc, headers * sizeof *a->sc);
        assert_memory_equal(a->sh, b->sh, headers);
        assert_memory_equal(a->row_scale, b->row_scale, 3 * sizeof *a->row_scale);
        if (a->sel)
            assert_memory_equal(a->sel, b->sel, headers);
        if (a->codebook)
            assert_memory_equal(a->codebook, b->codebook, (size_t)3 << accel_format_bits(f));
        accel_matrix_free(a);
        accel_matrix_free(b);
    }
}

/* Everything quantized is legal: from_codes takes its parts. */
static void quantized_matrices_are_legal_parts(void **state)
{
    (void)state;
    struct rng r = { 98 };
    float w[3 * 131];
    for (int i = 0; i < ALL_FORMATS; i++) {
        accel_format f = format_at(i);
        random_weights(&r, f, w, 3 * 131);
        w[7] = f == ACCEL_UFLINT4 ? 3e5f : -3e5f;
        w[200] = -0.0f;
        accel_matrix *mat = quantize(f, group_at[i % GROUPS], 3, 131, w), *again = NULL;
        struct accel_matrix_parts parts = { .format = mat->format,
                                            .rows = mat->rows,
                                            .cols = mat->cols,
                                            .group = mat->group,
                                            .codes = mat->codes,
                                            .sc = mat->sc,
                                            .sh = mat->sh,
                                            .oc = mat->oc,
                                            .row_scale = mat->row_scale,
                                            .sel = mat->sel,
                                            .codebook = mat->codebook };
        struct accel_error err;
        if (accel_matrix_from_codes(&parts, &again, &err))
            fail_msg("%s: %s", accel_format_name(f), err.text);
        for (uint32_t m = 0; m < 3; m++)
            for (uint32_t c = 0; c < 131; c++)
                assert_true(accel_matrix_value(mat, m, c) == accel_matrix_value(again, m, c));
        accel_matrix_free(mat);
        accel_matrix_free(again);
    }
}

static void weights_a_format_cannot_hold_are_refused_by_row_and_column(void **state)
{
    (void)state;
    float w[2][20] = { { 0 } };
    accel_matrix *mat = NULL;
    struct accel_error err;
    for (int i = 0; i < ALL_FORMATS; i++) {
        for (int bad = 0; bad < 2; bad++) {
            w[1][17] = bad ? INFINITY : NAN;
            assert_int_equal(accel_matrix_quantize(format_at(i), 16, 2, 20, w[0], &mat, &err),
                             ACCEL_E_ARG);
            assert_non_null(strstr(err.text, "row 1, column 17"));
        }
    }
    w[1][17] = -FLT_MIN;
    assert_int_equal(accel_matrix_quantize(ACCEL_UFLINT4, 16, 2, 20, w[0], &mat, &err),
                     ACCEL_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "row 1, column 17"));
    assert_non_null(strstr(err.text, "uflint4"));
    assert_int_equal(accel_matrix_quantize(ACCEL_FLOAT(5, 2), 16, 2, 20, w[0], &mat, &err),
                     ACCEL_E_ARG);
    assert_non_null(strstr(err.text, accel_format_refusal("e5m2")));
    assert_null(mat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_weight_takes_its_nearest_value_and_every_group_its_best_choice),
        cmocka_unit_test(halfway_weights_take_the_even_code),
        cmocka_unit_test(weights_made_of_a_types_values_choose_that_type),
        cmocka_unit_test(rows_whose_groups_choose_alike_become_one_group_and_others_do_not),
        cmocka_unit_test(olive_pairs_are_the_best_there_are),
        cmocka_unit_test(olive_spends_a_victim_on_an_outlier_and_keeps_the_larger_of_two),
        cmocka_unit_test(codebooks_have_the_least_error_there_is),
        cmocka_unit_test(rows_of_few_values_get_a_codebook_without_error),
        cmocka_unit_test(weights_in_groups_stay_within_half_the_widest_gap),
        cmocka_unit_test(scales_of_groups_are_kept_to_ten_bits_beside_a_selector),
        cmocka_unit_test(the_same_weights_give_the_same_matrix),
        cmocka_unit_test(quantized_matrices_are_legal_parts),
        cmocka_unit_test(weights_a_format_cannot_hold_are_refused_by_row_and_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
