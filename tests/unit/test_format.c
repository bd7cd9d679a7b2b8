/* test_format.c - formats, status codes, versions and URI parameters.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "internal.h"
#include "random_matrix.h"

#include <stdio.h>
#include <string.h>

static void signed_codes_are_twos_complement(void **state)
{
    (void)state;
    assert_int_equal(accel_format_decode(ACCEL_INT(1), 0), 0);
    assert_int_equal(accel_format_decode(ACCEL_INT(1), 1), -1);
    assert_int_equal(accel_format_decode(ACCEL_INT(4), 7), 7);
    assert_int_equal(accel_format_decode(ACCEL_INT(4), 8), -8);
    assert_int_equal(accel_format_decode(ACCEL_INT(4), 15), -1);
    for (unsigned c = 0; c < 256; c++)
        assert_int_equal(accel_format_decode(ACCEL_INT(8), c), (int8_t)c);
}

static void unsigned_codes_are_themselves(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++)
        assert_int_equal(accel_format_decode(ACCEL_UINT(8), c), c);
    assert_int_equal(accel_format_decode(ACCEL_UINT(3), 7), 7);
}

static void bipolar_codes_are_the_odd_numbers(void **state)
{
    (void)state;
    assert_int_equal(accel_format_decode(ACCEL_BIP(1), 0), -1);
    assert_int_equal(accel_format_decode(ACCEL_BIP(1), 1), 1);
    assert_int_equal(accel_format_decode(ACCEL_BIP(2), 0), -3);
    assert_int_equal(accel_format_decode(ACCEL_BIP(2), 3), 3);
    assert_int_equal(accel_format_decode(ACCEL_BIP(8), 0), -255);
    assert_int_equal(accel_format_decode(ACCEL_BIP(8), 255), 255);
}

static void ternary_codes_are_minus_one_to_one_and_the_illegal_one_is_zero(void **state)
{
    (void)state;
    const int want[4] = { -1, 0, 1, 0 };
    for (unsigned c = 0; c < 4; c++)
        assert_int_equal(accel_format_decode(ACCEL_TERNARY, c), want[c]);
}

static void codes_are_taken_modulo_their_width(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        accel_format f = format_at(i);
        unsigned span = 1u << accel_format_bits(f);
        for (unsigned c = 0; c < span; c++)
            assert_int_equal(accel_format_decode(f, c), accel_format_decode(f, c + 5 * span));
    }
}

static void exactly_25_formats_are_valid(void **state)
{
    (void)state;
    int valid = 0;
    for (accel_format f = 0; f < 0x10000; f++)
        valid += accel_format_valid(f);
    assert_int_equal(valid, FORMATS);
    for (int i = 0; i < FORMATS; i++)
        assert_true(accel_format_valid(format_at(i)));
    assert_false(accel_format_valid(ACCEL_INT(0)));
    assert_false(accel_format_valid(ACCEL_INT(9)));
    assert_false(accel_format_valid(ACCEL_CODING_TERNARY | 3));
    assert_false(accel_format_valid(0x80000102u));
    assert_int_equal(accel_format_decode(ACCEL_INT(9), 5), 0);
}

static void every_format_is_found_by_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        accel_format back = 0;
        assert_int_equal(accel_format_parse(accel_format_name(format_at(i)), &back), ACCEL_OK);
        assert_int_equal(back, format_at(i));
    }
    assert_string_equal(accel_format_name(ACCEL_INT(4)), "int4");
    assert_string_equal(accel_format_name(ACCEL_UINT(2)), "uint2");
    assert_string_equal(accel_format_name(ACCEL_BIP(8)), "bipolar8");
    assert_string_equal(accel_format_name(ACCEL_TERNARY), "ternary");
    assert_string_equal(accel_format_name(ACCEL_INT(9)), "?");
    accel_format kept = 42;
    const char *wrong[] = { "", "int", "int0", "int9", "int44", "INT4", "?", " int4" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(accel_format_parse(wrong[i], &kept), ACCEL_E_ARG);
    assert_int_equal(accel_format_parse(NULL, &kept), ACCEL_E_ARG);
    assert_int_equal(accel_format_parse("int4", NULL), ACCEL_E_ARG);
    assert_int_equal(kept, 42);
}

static void every_status_has_a_sentence_of_its_own(void **state)
{
    (void)state;
    for (int a = ACCEL_E_MISMATCH; a <= ACCEL_OK; a++) {
        assert_true(strlen(accel_strerror(a)) > 5);
        for (int b = ACCEL_E_MISMATCH - 1; b < a; b++)
            assert_string_not_equal(accel_strerror(a), accel_strerror(b));
    }
    assert_string_equal(accel_strerror(1), accel_strerror(-1000));
}

static void long_messages_are_cut_and_terminated(void **state)
{
    (void)state;
    char word[2 * ACCEL_ERROR_TEXT];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    struct accel_error err;
    assert_int_equal(accel_fail(&err, ACCEL_E_IO, "%s", word), ACCEL_E_IO);
    assert_int_equal(err.status, ACCEL_E_IO);
    assert_int_equal(strlen(err.text), ACCEL_ERROR_TEXT - 1);
    assert_int_equal(accel_fail(NULL, ACCEL_E_ARG, "%d", 1), ACCEL_E_ARG);
}

static void the_library_says_the_headers_version(void **state)
{
    (void)state;
    char want[32];
    snprintf(want, sizeof want, "%d.%d.%d", ACCEL_VERSION_MAJOR, ACCEL_VERSION_MINOR,
             ACCEL_VERSION_PATCH);
    assert_string_equal(accel_version_string(), want);
    assert_int_equal(accel_api_version(), ACCEL_API_VERSION);
}

static void uri_parameters_come_in_order(void **state)
{
    (void)state;
    char key[256], value[256];
    const char *at = "pe=lut,rows=32,trace=a=b/c";
    assert_int_equal(uri_next_param(&at, key, value, NULL), 1);
    assert_string_equal(key, "pe");
    assert_string_equal(value, "lut");
    assert_int_equal(uri_next_param(&at, key, value, NULL), 1);
    assert_string_equal(key, "rows");
    assert_string_equal(value, "32");
    assert_int_equal(uri_next_param(&at, key, value, NULL), 1);
    assert_string_equal(key, "trace");
    assert_string_equal(value, "a=b/c");
    assert_int_equal(uri_next_param(&at, key, value, NULL), 0);
}

static void malformed_uri_parameters_are_named(void **state)
{
    (void)state;
    char key[256], value[256], longest[600];
    struct accel_error err;
    memset(longest, 'v', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memcpy(longest, "k=", 2);
    const char *wrong[] = { "pe", "pe=", "=lut", ",", "pe=lut,", "pe,rows=3", longest };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *at = wrong[i];
        assert_int_equal(uri_next_param(&at, key, value, &err), ACCEL_E_URI);
        assert_non_null(strstr(err.text, "device URI"));
    }
    longest[257] = '\0'; /* a value of 255 bytes just fits */
    const char *at = longest;
    assert_int_equal(uri_next_param(&at, key, value, &err), 1);
    assert_int_equal(strlen(value), 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_codes_are_twos_complement),
        cmocka_unit_test(unsigned_codes_are_themselves),
        cmocka_unit_test(bipolar_codes_are_the_odd_numbers),
        cmocka_unit_test(ternary_codes_are_minus_one_to_one_and_the_illegal_one_is_zero),
        cmocka_unit_test(codes_are_taken_modulo_their_width),
        cmocka_unit_test(exactly_25_formats_are_valid),
        cmocka_unit_test(every_format_is_found_by_its_own_name),
        cmocka_unit_test(every_status_has_a_sentence_of_its_own),
        cmocka_unit_test(long_messages_are_cut_and_terminated),
        cmocka_unit_test(the_library_says_the_headers_version),
        cmocka_unit_test(uri_parameters_come_in_order),
        cmocka_unit_test(malformed_uri_parameters_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
