/* test_cuda_layout.c - matrices laid out for a GPU hold what the kernels will read out of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/cuda/layout.h"
#include "random_matrix.h"

/* Word `word` of the part that begins at load `base`, of row 0..15 and q. */
static uint32_t word_of(const struct cuda_packed *p, uint32_t row, uint32_t step, uint32_t base,
                        uint32_t word, uint32_t q)
{
    const struct cuda_layout *at = &p->at;
    uint32_t v;
    size_t load = ((size_t)(row / 16) * at->steps + step) * cuda_code_bits(at->width) + base;
    memcpy(&v,
           p->codes + ((load + word / 2) * 32 + row % 8 * 4 + q) * 16 +
               (word % 2 * 2 + row % 16 / 8) * 4,
           sizeof v);
    return v;
}

/* The code of a padded column, put together from its parts as the kernels do. */
static uint32_t code_at(const struct cuda_packed *p, uint32_t row, uint32_t to)
{
    const uint32_t width = p->at.width, step = to / 256, half = to % 256 / 128;
    const uint32_t e = to % 128 / 16, q = to % 16 / 4, j = to % 4;
    if (width >= CUDA_TABLE)
        return word_of(p, row, step, 0, half * 4 + e % 4, q) >> (16 * (e / 4) + 4 * j) & 15u;
    uint32_t code = 0, base = 0;
    for (uint32_t w = 8; w; w /= 2) {
        if (!(width & w))
            continue;
        uint32_t v = word_of(p, row, step, base, half * w + e % w, q);
        code = code << w | (v >> (8 * j + w * (e / w)) & ((1u << w) - 1));
        base += w;
    }
    return code;
}

static int64_t wide_at(const struct cuda_packed *p, uint32_t row, uint32_t col)
{
    const size_t i = (size_t)row * p->at.cols + col;
    int16_t k16;
    int32_t k32;
    if (p->at.wide_bits == 16) {
        memcpy(&k16, p->codes + i * sizeof k16, sizeof k16);
        return k16;
    }
    memcpy(&k32, p->codes + i * sizeof k32, sizeof k32);
    return k32;
}

/* What sc multiplies, times 2^fraction: with a code offset for S it is k. */
static int64_t k_at(const struct cuda_packed *p, uint32_t row, uint32_t col, uint32_t to,
                    uint32_t header)
{
    const struct cuda_layout *at = &p->at;
    if (at->width == CUDA_WIDE)
        return wide_at(p, row, col) * ((int64_t)1 << at->fraction);
    const uint32_t code = code_at(p, row, to);
    if (at->width >= CUDA_TABLE) {
        size_t t = at->tables == CUDA_TABLE_ROW   ? row
                   : at->tables == CUDA_TABLE_SEL ? header >> 4 & 3u
                                                  : 0;
        return (int8_t)p->tables[t * 16 + code] + at->code_offset;
    }
    const int64_t byte = (int8_t)(code << (8 - at->width));
    return byte * (1 << at->scale_up) + (int64_t)at->code_offset * ((int64_t)1 << at->fraction);
}

static void check_row(const accel_matrix *mat, const struct cuda_packed *p, uint32_t m)
{
    const struct cuda_layout *at = &p->at;
    const uint32_t group = at->group ? at->group : at->cols;
    for (uint32_t c = 0; c < at->cols; c++) {
        const uint32_t to = c / group * at->pad + c % group;
        const size_t h = (size_t)m * at->groups + c / group;
        size_t i = h;
        if (at->width != CUDA_WIDE) {
            const uint32_t each = at->drain ? 256 / at->drain : 1;
            const uint32_t d = at->drain ? to / at->drain : 0;
            i = (size_t)(m / 16) * at->headers * 16 + (size_t)(d / each) * each * 16 +
                (m % 8 * each + d % each) * 2 + m % 16 / 8;
        }
        const uint32_t header = p->headers[i];
        assert_int_equal((int16_t)header >> at->sc_low, mat->sc[h]);
        assert_int_equal(header & 15u, mat->sh[h]);
        assert_int_equal(p->oc ? p->oc[i] : 0, mat->asymmetric ? mat->oc[h] : 0);
        assert_int_equal(k_at(p, m, c, to, header),
                         accel_matrix_k(mat, m, c) * ((int64_t)1 << at->fraction));
    }
}

static void every_code_and_scale_is_found_where_the_kernels_look(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = { { 1, 1 }, { 19, 300 }, { 33, 517 } };
    struct rng rng = { 77 };
    for (int f = 0; f < ALL_FORMATS; f++) {
        for (int g = 0; g < GROUPS; g++) {
            const uint32_t *shape = shapes[rng_below(&rng, 3)];
            accel_matrix *mat = random_matrix(&rng, format_at(f), group_at[g], shape[0], shape[1],
                                              (int)rng_below(&rng, 2));
            struct cuda_packed p;
            assert_int_equal(cuda_pack(mat, &p), ACCEL_OK);
            for (uint32_t m = 0; m < mat->rows; m++)
                check_row(mat, &p, m);
            cuda_pack_free(&p);
            accel_matrix_free(mat);
        }
    }
}

static void integers_take_no_more_memory_than_their_bits(void **state)
{
    (void)state;
    struct rng rng = { 78 };
    for (unsigned bits = 1; bits <= 8; bits++) {
        accel_matrix *mat = random_matrix(&rng, ACCEL_INT(bits), 128, 32, 512, 0);
        struct cuda_packed p;
        assert_int_equal(cuda_pack(mat, &p), ACCEL_OK);
        assert_int_equal(p.code_bytes * 8, 32 * 512 * bits);
        assert_int_equal(p.header_bytes * 8, 32 * 4 * 16);
        cuda_pack_free(&p);
        accel_matrix_free(mat);
    }
}

/* Sums of 32 bits and a float: only where the float can tell the upper bits for every activation. */
static void sums_are_narrow_for_small_shifts_and_not_for_large_ones(void **state)
{
    (void)state;
    struct rng rng = { 79 };
    accel_matrix *mat = random_matrix(&rng, ACCEL_INT(4), 128, 4, 8192, 0);
    for (uint32_t i = 0; i < mat->rows * mat->groups; i++) {
        mat->sc[i] = i % 2 ? 2047 : -2048;
        mat->sh[i] = 7;
    }
    struct cuda_layout at;
    cuda_plan(mat, &at);
    assert_true(at.narrow);
    for (uint32_t i = 0; i < mat->groups; i++) /* one row is enough */
        mat->sh[i] = 9;
    cuda_plan(mat, &at);
    assert_false(at.narrow);
    accel_matrix_free(mat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_and_scale_is_found_where_the_kernels_look),
        cmocka_unit_test(integers_take_no_more_memory_than_their_bits),
        cmocka_unit_test(sums_are_narrow_for_small_shifts_and_not_for_large_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
