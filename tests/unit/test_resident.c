/* test_resident.c - places of weights in a device's memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "link/frame.h"
#include "link/resident.h"
#include "random_matrix.h"

#include <stdlib.h>
#include <string.h>

enum { UNITS = 2 };

/* Weights whose streams are as long as wanted, all bytes of one value. */
static struct packed *make(size_t code_bytes, size_t beat_bytes, size_t header_beats,
                           size_t outliers, int value)
{
    struct packed *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->beat_bytes = beat_bytes;
    p->code_beats = code_bytes / beat_bytes;
    p->header_beats = header_beats;
    p->outlier_beats = outliers;
    p->codes = malloc(code_bytes + 1);
    p->headers = malloc(header_beats * UNITS * 2 + 1);
    p->outliers = malloc(outliers * 8 + 1);
    assert_true(p->codes && p->headers && p->outliers);
    memset(p->codes, value, code_bytes);
    memset(p->headers, value + 1, header_beats * UNITS * 2);
    memset(p->outliers, value + 2, outliers * 8);
    return p;
}

/* As their weights' end does. */
static void drop(struct packed *p)
{
    if (p->resident)
        atomic_store(&p->resident->dropped, true);
    resident_release(p->resident);
    free(p->codes);
    free(p->headers);
    free(p->outliers);
    free(p);
}

static void no_two_places_overlap_and_none_leaves_the_memory(void **state)
{
    (void)state;
    enum { BYTES = 10000, MOST = 40 };
    struct rng r = { 31 };
    struct memory m = { .bytes = BYTES };
    struct packed *p[MOST] = { NULL };
    unsigned placed = 0, refused = 0;
    for (int i = 0; i < 2000; i++) {
        const uint32_t k = rng_below(&r, MOST);
        if (p[k]) {
            drop(p[k]);
            p[k] = NULL;
            continue;
        }
        p[k] = make(16 * (1 + (size_t)rng_below(&r, 60)), 16, rng_below(&r, 40), rng_below(&r, 20),
                    1);
        const struct resident *a = memory_place(&m, p[k], UNITS);
        placed += a != NULL;
        refused += a == NULL;
        if (!a)
            continue;
        assert_true((uint64_t)a->address + a->bytes <= BYTES);
        for (unsigned s = 0; s < RESIDENT_STREAMS; s++) {
            assert_int_equal(a->stream[s].address % 16, 0);
            assert_true(a->stream[s].address >= a->address);
            assert_true(a->stream[s].address + a->stream[s].bytes <= a->address + a->bytes);
        }
        for (unsigned j = 0; j < MOST; j++)
            if (j != k && p[j] && p[j]->resident) {
                const struct resident *b = p[j]->resident;
                assert_true(a->address + a->bytes <= b->address ||
                            b->address + b->bytes <= a->address);
            }
    }
    assert_true(placed > 200 && refused > 50);
    for (unsigned k = 0; k < MOST; k++)
        if (p[k])
            drop(p[k]);
    memory_close(&m);
}

static void the_space_of_weights_that_are_gone_is_used_again(void **state)
{
    (void)state;
    struct memory m = { .bytes = 1024 };
    for (int i = 0; i < 10; i++) {
        struct packed *p = make(1024, 16, 0, 0, i);
        assert_non_null(memory_place(&m, p, UNITS));
        assert_ptr_equal(memory_place(&m, p, UNITS), p->resident);
        struct packed *q = make(16, 16, 0, 0, i);
        assert_null(memory_place(&m, q, UNITS));
        drop(p);
        assert_non_null(memory_place(&m, q, UNITS));
        drop(q);
    }
    memory_close(&m);
}

static void weights_may_outlive_the_device(void **state)
{
    (void)state;
    struct memory m = { .bytes = 4096 };
    struct packed *p = make(64, 16, 4, 4, 7);
    assert_non_null(memory_place(&m, p, UNITS));
    memory_close(&m);
    assert_false(atomic_load(&p->resident->dropped));
    drop(p);
}

static void an_image_holds_every_stream_and_its_crc_and_pads_odd_beats(void **state)
{
    (void)state;
    struct memory m = { .bytes = 4096 };
    struct packed *p = make(5 * 17, 17, 3, 2, 50);
    struct resident *a = memory_place(&m, p, UNITS);
    assert_non_null(a);
    assert_int_equal(a->stream[RESIDENT_W].bytes, 5 * 18);
    assert_int_equal(a->stream[RESIDENT_H].bytes, 3 * UNITS * 2);
    assert_int_equal(a->stream[RESIDENT_O].bytes, 16);
    uint8_t *image = resident_image(a, p);
    assert_non_null(image);
    for (unsigned i = 0; i < 5 * 18; i++)
        assert_int_equal(image[i], i % 18 == 17 ? 0 : 50);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(image[a->stream[RESIDENT_O].address - a->address + i], 52);
    for (unsigned s = 0; s < RESIDENT_STREAMS; s++)
        assert_int_equal(a->stream[s].crc, link_crc(0, image + (a->stream[s].address - a->address),
                                                    a->stream[s].bytes));
    free(image);
    drop(p);
    memory_close(&m);
}

static void a_smaller_memory_or_one_that_fails_is_not_used(void **state)
{
    (void)state;
    struct memory m = { .bytes = 4096 };
    struct packed *p = make(1024, 16, 0, 0, 1), *q = make(1024, 16, 0, 0, 2);
    struct resident *a = memory_place(&m, p, UNITS), *b = memory_place(&m, q, UNITS);
    assert_true(a && b);
    a->stored = b->stored = true;
    memory_forget(&m);
    assert_false(a->stored || b->stored);
    m.bytes = 1024; /* another board */
    assert_ptr_equal(memory_place(&m, p, UNITS), a);
    assert_null(memory_place(&m, q, UNITS));
    a->strikes = RESIDENT_STRIKES;
    assert_null(memory_place(&m, p, UNITS));
    m.bytes = 0;
    assert_null(memory_place(&m, p, UNITS));
    drop(p);
    drop(q);
    memory_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_places_overlap_and_none_leaves_the_memory),
        cmocka_unit_test(the_space_of_weights_that_are_gone_is_used_again),
        cmocka_unit_test(weights_may_outlive_the_device),
        cmocka_unit_test(an_image_holds_every_stream_and_its_crc_and_pads_odd_beats),
        cmocka_unit_test(a_smaller_memory_or_one_that_fails_is_not_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
