/* test_fault_plan.c - fault plans: what is written is read back, and what is wrong is named.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fault_plan.h"

#include <string.h>

static void every_kind_of_fault_is_printed_as_it_was_written(void **state)
{
    (void)state;
    static const char text[] = "drop packet 17\ndamage packet 1\nduplicate packet 9\n"
                               "truncate packet 12 to 5 bytes\nflip bit 3 of byte 4096\n"
                               "stall out at packet 9\nstall in at packet 10\n"
                               "nak 50 packets from 30\nreset at byte 7\nunplug at byte 65536\n"
                               "unplug at byte 65536, replug after 2000 ms\n"
                               "firmware hangs at cycle 1000000000000";
    char why[200], again[FAULT_PLAN_TEXT];
    struct fault_plan plan;
    if (fault_plan_parse(text, &plan, why, sizeof why))
        fail_msg("%s", why);
    assert_int_equal(plan.count, FAULT_KINDS);
    for (unsigned k = 0; k < FAULT_KINDS; k++)
        assert_int_equal(plan.fault[k].what, k);
    assert_int_equal(plan.fault[FAULT_FLIP].value, 3);
    assert_int_equal(plan.fault[FAULT_REPLUG].value, 2000);
    assert_int_equal(plan.fault[FAULT_NAK].at, 30);
    fault_plan_print(&plan, "\n", again);
    assert_string_equal(again, text);
}

static void comments_blanks_and_semicolons_are_allowed(void **state)
{
    (void)state;
    char why[200];
    struct fault_plan plan;
    assert_int_equal(fault_plan_parse("", &plan, why, sizeof why), 0);
    assert_int_equal(plan.count, 0);
    assert_int_equal(fault_plan_parse("# nothing; drop packet 1\r\n\n ; drop  packet\t3 # late\n"
                                      "unplug at byte 4 , replug after 5 ms;",
                                      &plan, why, sizeof why),
                     0);
    assert_int_equal(plan.count, 2);
    assert_int_equal(plan.fault[0].at, 3);
    assert_int_equal(plan.fault[1].value, 5);
}

static void what_is_wrong_is_named_by_line_and_word(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } wrong[] = {
        { "explode", "line 1: 'explode' is no fault: drop, damage" },
        { "drop packet 1\ndrop paket 2", "line 2: 'paket' where 'packet' is expected" },
        { "drop packet 0", "'0' where a number from 1 to 1000000000000" },
        { "drop packet -1", "'-1' where a number" },
        { "drop packet 99999999999999999999999", "where a number" },
        { "drop packet", "its end where a number" },
        { "drop packet 1 2", "'2' where nothing more is expected" },
        { "\n\nflip bit 8 of byte 1", "line 3: '8' where a number from 0 to 7" },
        { "truncate packet 1 to 1024 bytes", "'1024' where a number from 0 to 1023" },
        { "unplug at byte 1, replug after 0 ms", "'0' where a number from 1 to 3600000" },
        { "nak 0 packets from 1", "'0' where" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char why[200] = "";
        struct fault_plan plan;
        assert_int_equal(fault_plan_parse(wrong[i].text, &plan, why, sizeof why), -1);
        if (!strstr(why, wrong[i].why))
            fail_msg("%s: \"%s\" does not say \"%s\"", wrong[i].text, why, wrong[i].why);
    }
    char many[FAULT_PLAN_TEXT] = "", why[200];
    struct fault_plan plan;
    for (int i = 0; i <= FAULT_PLAN_MOST; i++)
        strcat(many, "drop packet 1\n");
    assert_int_equal(fault_plan_parse(many, &plan, why, sizeof why), -1);
    assert_string_equal(why, "line 65: more than 64 faults");
}

static void random_plans_can_be_read_and_differ_by_seed_alone(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        char text[FAULT_PLAN_TEXT], again[FAULT_PLAN_TEXT], why[200];
        struct fault_plan plan, read;
        fault_plan_random(&plan, seed, 50, 5000);
        fault_plan_print(&plan, "; ", text);
        if (fault_plan_parse(text, &read, why, sizeof why))
            fail_msg("%s: %s", text, why);
        assert_in_range(read.count, 1, 5);
        for (unsigned i = 0; i < read.count; i++) {
            seen |= 1u << read.fault[i].what;
            assert_in_range(read.fault[i].at, 1, 5000);
        }
        fault_plan_print(&read, "; ", again);
        assert_string_equal(again, text);
        fault_plan_random(&read, seed, 50, 5000);
        fault_plan_print(&read, "; ", again);
        assert_string_equal(again, text);
    }
    assert_int_equal(seen, (1u << FAULT_KINDS) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_fault_is_printed_as_it_was_written),
        cmocka_unit_test(comments_blanks_and_semicolons_are_allowed),
        cmocka_unit_test(what_is_wrong_is_named_by_line_and_word),
        cmocka_unit_test(random_plans_can_be_read_and_differ_by_seed_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
