/* test_job_memory.c - matrices, devices and packing when the n-th allocation fails, for every n.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The files under test are compiled into this one so that their allocations can be made to fail. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static long allocations_left = -1; /* -1: no limit */

static int may_allocate(void)
{
    return allocations_left < 0 || (allocations_left && allocations_left--);
}
#define malloc(n)     (may_allocate() ? malloc(n) : NULL)
#define calloc(n, m)  (may_allocate() ? calloc(n, m) : NULL)
#define realloc(p, n) (may_allocate() ? realloc(p, n) : NULL)
// NOLINTBEGIN(bugprone-suspicious-include)
#include "matrix.c"
#include "outliers.c"
#include "align.c"
#include "quantize.c"
#include "device.c"
#include "backend/cpu.c"
#include "pack/pack.c"
#include "pack/outlier_stream.c"
// NOLINTEND(bugprone-suspicious-include)
#undef malloc
#undef calloc
#undef realloc

#include <cmocka.h>

#define LONGEST 200 /* allocations that no scenario below needs */

/* Runs scenario with the first 0, 1, 2 ... allocations granted until it succeeds. */
static long allocations_needed(int (*scenario)(struct accel_error *err))
{
    for (long n = 0; n < LONGEST; n++) {
        struct accel_error err = { 0, "" };
        allocations_left = n;
        int rc = scenario(&err);
        allocations_left = -1;
        if (rc == ACCEL_OK)
            return n;
        assert_int_equal(rc, ACCEL_E_NOMEM);
        assert_int_equal(err.status, ACCEL_E_NOMEM);
        assert_non_null(strstr(err.text, "memory"));
    }
    return LONGEST;
}

static int make_matrices(struct accel_error *err)
{
    static const uint8_t codes[32] = { 1, 2, 3 };
    static const int16_t sc[2] = { 4, 5 };
    static const uint8_t blocks[4 * 18] = { 0 }, plain[128] = { 0 };
    static const float w[32] = { 1.0f, -2.0f };
    static const uint32_t first[2] = { 0, 1 }, col[1] = { 31 };
    static const int16_t k[1] = { -5 };
    static const struct accel_outliers outliers = { first, col, k, sc, NULL };
    const struct accel_matrix_parts parts = { ACCEL_INT(4), 1,    32,   16,   codes, sc,
                                              NULL,         NULL, NULL, NULL, NULL,  &outliers };
    accel_matrix *m[8] = { NULL };
    int rc = accel_matrix_from_codes(&parts, &m[0], err);
    if (!rc)
        rc = accel_matrix_quantize(ACCEL_UINT(4), 16, 1, 32, w, &m[1], err);
    if (!rc)
        rc = accel_matrix_from_ggml(GGML_Q4_0, blocks, sizeof blocks, 2, 64, 0, 0, &m[2], err);
    if (!rc)
        rc = accel_matrix_from_ggml(GGML_F32, plain, 128, 1, 32, ACCEL_INT(4), 16, &m[3], err);
    if (!rc) {
        const accel_matrix *two[2] = { m[0], m[0] };
        rc = accel_matrix_stack(two, 2, &m[4], err);
    }
    if (!rc)
        rc = accel_matrix_quantize(ACCEL_FP4, 16, 1, 32, w, &m[5], err);
    if (!rc)
        rc = accel_matrix_quantize(ACCEL_CODEBOOK3, 16, 1, 32, w, &m[6], err);
    if (!rc)
        rc = accel_matrix_quantize_outliers(ACCEL_INT(4), 16, 1, 32, w, 0.1, &m[7], err);
    for (int i = 0; i < 8; i++) {
        assert_true(rc != 0 || m[i] != NULL);
        accel_matrix_free(m[i]);
    }
    return rc;
}

static accel_matrix *shared; /* made once, without limit */

static int run_jobs(struct accel_error *err)
{
    static const char *const uris[] = { "cpu:", "cpu:path=reference" };
    static const int8_t x[5 * 32] = { 1, 2, 3 };
    static const uint32_t mul[3] = { 1, 1, 1 };
    static const uint8_t shift[3] = { 0 };
    int rc = ACCEL_OK;
    for (int i = 0; i < 2 && !rc; i++) {
        accel_dev *dev = NULL;
        accel_weights *w = NULL;
        int64_t acc[15];
        float real[15];
        int8_t narrow[15];
        void *const y[3] = { acc, real, narrow };
        memset(acc, 0x66, sizeof acc);
        memset(real, 0x66, sizeof real);
        memset(narrow, 0x66, sizeof narrow);
        rc = accel_open(uris[i], NULL, &dev, err);
        if (!rc)
            rc = accel_load(dev, shared, &w, err);
        for (int out = 0; out < 3 && !rc; out++) {
            struct accel_job job = { .weights = w,
                                     .x = x,
                                     .n = 5,
                                     .x_stride = 32,
                                     .out = (enum accel_out)out,
                                     .y = y[out],
                                     .y_stride = 3,
                                     .requant_mul = mul,
                                     .requant_shift = shift };
            rc = accel_run(dev, &job, NULL, err);
            if (rc) /* nothing of a failed job shows */
                assert_int_equal(*(const char *)y[out], 0x66);
        }
        accel_unload(w);
        accel_close(dev);
    }
    return rc;
}

static int pack_streams(struct accel_error *err)
{
    const struct pack_shape shape = { .rows = 4, .lanes = 8, .scale_units = 2, .o_depth = 16 };
    struct packed p = { .codes = NULL };
    int rc = pack_matrix(accel_find_kind("lut"), &shape, shared, &p, err);
    pack_free(&p);
    pack_free(NULL);
    return rc;
}

static void every_call_without_memory_says_so_and_leaks_nothing(void **state)
{
    (void)state;
    float w[3 * 32];
    for (int i = 0; i < 3 * 32; i++)
        w[i] = (float)(i % 7);
    assert_int_equal(
        accel_matrix_quantize_outliers(ACCEL_UINT(8), 16, 3, 32, w, 0.05, &shared, NULL), ACCEL_OK);
    assert_in_range(allocations_needed(make_matrices), 60, LONGEST - 1);
    assert_in_range(allocations_needed(run_jobs), 20, LONGEST - 1);
    assert_in_range(allocations_needed(pack_streams), 4, 4);
    accel_matrix_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_without_memory_says_so_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
