/* test_llm_memory.c - the model runtime when the n-th allocation fails, for every n.
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
#include "model.c"
#include "llama_load.c"
#include "kv.c"
#include "kv_jobs.c"
#include "perplexity.c"
// NOLINTEND(bugprone-suspicious-include)
#undef malloc
#undef calloc
#undef realloc

#include "tiny_llama.h"

#include <cmocka.h>

static void fail_at_every_allocation(const struct accel_llm_options *o)
{
    struct accel_error err;
    struct accel_perplexity_result r;
    struct tiny_llama t;
    accel_dev *dev;
    char text[100];
    long n;
    tiny_default(&t);
    t.rope_freqs = true;
    tiny_build(&t);
    memset(text, 'q', sizeof text);
    assert_int_equal(accel_open("cpu:", NULL, &dev, &err), ACCEL_OK);
    for (n = 0; n < 1000; n++) {
        accel_model *m = NULL;
        accel_llm *llm = NULL;
        err = (struct accel_error){ 0 };
        allocations_left = n;
        int rc = accel_model_open_memory(t.w.data, t.w.size, "tiny", &m, &err);
        if (!rc)
            rc = accel_llm_open(m, dev, o, &llm, &err);
        if (!rc)
            rc = accel_perplexity(llm, text, sizeof text, 0, NULL, NULL, &r, &err);
        allocations_left = -1;
        accel_llm_free(llm);
        accel_model_free(m);
        if (!rc)
            break;
        assert_int_equal(rc, ACCEL_E_NOMEM);
        assert_true(err.text[0] != 0);
    }
    assert_in_range(n, 20, 200);
    accel_close(dev);
    tiny_free(&t);
}

static void a_model_without_memory_fails_in_order_at_every_allocation(void **state)
{
    (void)state;
    struct accel_llm_options codes = { .kv.bits = 4 }, jobs = { .kv = { .bits = 4, .jobs = 1 } };
    fail_at_every_allocation(NULL);
    fail_at_every_allocation(&codes);
    fail_at_every_allocation(&jobs);
}

static void a_context_whose_cache_has_no_room_is_refused(void **state)
{
    (void)state;
    struct accel_error err = { 0 };
    struct tiny_llama t;
    accel_dev *dev;
    accel_model *m;
    accel_llm *llm;
    size_t product;
    tiny_default(&t);
    tiny_build(&t);
    assert_int_equal(accel_open("cpu:", NULL, &dev, &err), ACCEL_OK);
    assert_int_equal(accel_model_open_memory(t.w.data, t.w.size, "tiny", &m, &err), ACCEL_OK);
    struct accel_llm_options o = { .context = 1u << 20 };
    allocations_left = 2; /* the handle and the angles */
    assert_int_equal(accel_llm_open(m, dev, &o, &llm, &err), ACCEL_E_NOMEM);
    allocations_left = -1;
    assert_non_null(strstr(err.text, "1048576 tokens"));
    assert_null(new_array(SIZE_MAX / 2, 3, 1, 4));
    assert_null(new_array(SIZE_MAX / 4, 3, 2, 4));
    assert_false(mul_size(SIZE_MAX, 2, &product));
    accel_model_free(m);
    accel_close(dev);
    tiny_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_without_memory_fails_in_order_at_every_allocation),
        cmocka_unit_test(a_context_whose_cache_has_no_room_is_refused),
    };
    return cmocka_run_group_tests_name("llm_memory", tests, NULL, NULL);
}
