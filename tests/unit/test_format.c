/* test_format.c - formats, status codes, versions and URI parameters.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "float_tables.h"
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

static void floats_decode_to_their_tables_and_negative_codes_to_the_negative(void **state)
{
    (void)state;
    for (size_t i = 0; i < FLOAT_TABLES; i++) {
        const struct float_table *t = &float_tables[i];
        accel_format f = ACCEL_FLOAT(t->e, t->m), named = 0;
        unsigned half = 1u << (t->e + t->m);
        assert_int_equal(accel_format_parse(t->name, &named), ACCEL_OK);
        assert_int_equal(named, f);
        assert_int_equal(accel_format_bits(f), 1 + t->e + t->m);
        for (unsigned c = 0; c < half; c++) {
            if (accel_format_decode(f, c) != t->k[c] ||
                accel_format_decode(f, half + c) != -t->k[c])
                fail_msg("%s code %u is %d and %d, not +-%d", t->name, c, accel_format_decode(f, c),
                         accel_format_decode(f, half + c), t->k[c]);
        }
    }
}

/* Largest values and units as the OCP MX specification states them: k = value / unit. */
static void the_microscaling_formats_end_where_their_specification_says(void **state)
{
    (void)state;
    assert_true(accel_format_decode(ACCEL_FLOAT(2, 1), 0x07) * 0.5 == 6.0);
    assert_true(accel_format_decode(ACCEL_FLOAT(2, 3), 0x1F) * 0x1p-3 == 7.5);
    assert_true(accel_format_decode(ACCEL_FLOAT(3, 2), 0x1F) * 0x1p-4 == 28.0);
    assert_true(accel_format_decode(ACCEL_FLOAT(4, 3), 0x7E) * 0x1p-9 == 448.0);
    assert_true(accel_format_decode(ACCEL_FLOAT(4, 3), 0xFE) * 0x1p-9 == -448.0);
    assert_int_equal(accel_format_decode(ACCEL_FLOAT(4, 3), 0x7E), ACCEL_K_MAX);
    assert_int_equal(accel_format_decode(ACCEL_FLOAT(4, 3), 0x7F), 0); /* NaN: illegal */
    assert_int_equal(accel_format_decode(ACCEL_FLOAT(4, 3), 0xFF), 0);
}

/* All contexts of a format whose codes depend on one: k[context][code]. */
static void expect_contexts(accel_format f, unsigned contexts, unsigned codes, const int *k)
{
    for (unsigned x = 0; x < contexts; x++)
        for (unsigned c = 0; c < codes; c++) {
            int got = accel_format_decode_in(f, c, x, 0, NULL), want = k[x * codes + c];
            if (got != want)
                fail_msg("%s sel %u code %u is %d, not %d", accel_format_name(f), x, c, got, want);
        }
}

static void fp3_and_fp4_replace_negative_zero_by_the_selected_value(void **state)
{
    (void)state;
    static const int fp3[4][8] = { { 0, 1, 2, 4, 3, -1, -2, -4 },
                                   { 0, 1, 2, 4, -3, -1, -2, -4 },
                                   { 0, 1, 2, 4, 6, -1, -2, -4 },
                                   { 0, 1, 2, 4, -6, -1, -2, -4 } };
    static const int fp4[4][16] = { { 0, 1, 2, 3, 4, 6, 8, 12, 10, -1, -2, -3, -4, -6, -8, -12 },
                                    { 0, 1, 2, 3, 4, 6, 8, 12, -10, -1, -2, -3, -4, -6, -8, -12 },
                                    { 0, 1, 2, 3, 4, 6, 8, 12, 16, -1, -2, -3, -4, -6, -8, -12 },
                                    { 0, 1, 2, 3, 4, 6, 8, 12, -16, -1, -2, -3, -4, -6, -8, -12 } };
    expect_contexts(ACCEL_FP3, 4, 8, fp3[0]);
    expect_contexts(ACCEL_FP4, 4, 16, fp4[0]);
    assert_int_equal(accel_format_decode(ACCEL_FP3, 4), 0); /* not by the code alone */
    assert_int_equal(accel_format_decode(ACCEL_FP4, 8), 0);
    assert_int_equal(accel_format_decode(ACCEL_FP4, 15), -12);
}

static void ant_types_decode_to_their_tables(void **state)
{
    (void)state;
    static const int pot4[16] = { 0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64 };
    static const int flint4[16] = { 0, 1, 2, 3, 16, 8, 4, 6, 0, -1, -2, -3, -16, -8, -4, -6 };
    static const int uflint4[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 64, 32, 16, 24, 8, 10, 12, 14 };
    static const int ant4[4][16] = { { 0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1 },
                                     { 0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32,
                                       -64 },
                                     { 0, 1, 2, 3, 16, 8, 4, 6, 0, -1, -2, -3, -16, -8, -4, -6 },
                                     { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 } };
    expect_contexts(ACCEL_POT4, 1, 16, pot4);
    expect_contexts(ACCEL_FLINT4, 1, 16, flint4);
    expect_contexts(ACCEL_UFLINT4, 1, 16, uflint4);
    expect_contexts(ACCEL_ANT4, 4, 16, ant4[0]);
    for (unsigned c = 0; c < 16; c++) {
        assert_int_equal(accel_format_decode(ACCEL_POT4, c), pot4[c]);
        assert_int_equal(accel_format_decode(ACCEL_FLINT4, c), flint4[c]);
        assert_int_equal(accel_format_decode(ACCEL_UFLINT4, c), uflint4[c]);
        assert_int_equal(accel_format_decode(ACCEL_ANT4, c), 0); /* the type is not known */
    }
}

static void olive_codes_beside_a_victim_are_outliers(void **state)
{
    (void)state;
    static const int normal[2][16] = { { 0, 1, 2, 3, 4, 5, 6, 7, 0, -7, -6, -5, -4, -3, -2, -1 },
                                       { 0, 1, 2, 3, 16, 8, 4, 6, 0, -1, -2, -3, -16, -8, -4,
                                         -6 } };
    static const int outlier[2][16] = {
        { 0, 12, 16, 24, 32, 48, 64, 96, 0, -12, -16, -24, -32, -48, -64, -96 },
        { 0, 24, 32, 48, 64, 96, 128, 192, 0, -24, -32, -48, -64, -96, -128, -192 }
    };
    const accel_format formats[2] = { ACCEL_OLIVE4, ACCEL_OLIVE4F };
    for (int i = 0; i < 2; i++)
        for (unsigned c = 0; c < 16; c++)
            for (unsigned pair = 0; pair < 16; pair++) {
                int want = pair == 8 ? outlier[i][c] : normal[i][c];
                if (c == 8)
                    want = 0; /* the victim itself */
                assert_int_equal(accel_format_decode_in(formats[i], c, 0, pair, NULL), want);
                assert_int_equal(accel_format_decode(formats[i], c), normal[i][c]);
            }
}

static void codebook_codes_are_places_in_the_rows_table(void **state)
{
    (void)state;
    const int8_t book[16] = { -128, -99, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 127, -1 };
    for (unsigned c = 0; c < 16; c++) {
        assert_int_equal(accel_format_decode_in(ACCEL_CODEBOOK4, c, 0, 0, book), book[c]);
        assert_int_equal(accel_format_decode_in(ACCEL_CODEBOOK3, c, 0, 0, book), book[c % 8]);
        assert_int_equal(accel_format_decode_in(ACCEL_CODEBOOK4, c, 0, 0, NULL), 0);
        assert_int_equal(accel_format_decode(ACCEL_CODEBOOK3, c), 0);
    }
}

static void context_changes_nothing_for_formats_without_one(void **state)
{
    (void)state;
    const int8_t book[16] = { 99 };
    for (int i = 0; i < ALL_FORMATS; i++) {
        accel_format f = format_at(i);
        assert_int_equal(accel_format_has_sel(f),
                         f == ACCEL_FP3 || f == ACCEL_FP4 || f == ACCEL_ANT4);
        if ((f & 0xF00u) == ACCEL_CODING_TABLE && f != ACCEL_POT4 && f != ACCEL_FLINT4 &&
            f != ACCEL_UFLINT4)
            continue;
        for (unsigned c = 0; c < 256; c++)
            assert_int_equal(accel_format_decode_in(f, c, c & 3u, 8, book),
                             accel_format_decode(f, c));
    }
}

/* Signed powers of two that k is a sum of, at least: digits of its non-adjacent form. */
static int terms(int k)
{
    int n = 0;
    for (; k != 0; k /= 2) {
        int digit = k % 2 == 0 ? 0 : k % 4 == 1 || k % 4 == -3 ? 1 : -1;
        n += digit != 0;
        k -= digit;
    }
    return n;
}

static void no_value_needs_more_terms_than_its_format_promises(void **state)
{
    (void)state;
    static const struct {
        accel_format format;
        int terms;
    } most[] = { { ACCEL_INT(2), 1 },      { ACCEL_INT(3), 2 },      { ACCEL_INT(4), 2 },
                 { ACCEL_INT(5), 3 },      { ACCEL_INT(6), 3 },      { ACCEL_INT(7), 4 },
                 { ACCEL_INT(8), 4 },      { ACCEL_UINT(8), 5 },     { ACCEL_TERNARY, 1 },
                 { ACCEL_FLOAT(2, 1), 2 }, { ACCEL_FLOAT(2, 3), 3 }, { ACCEL_FLOAT(3, 2), 2 },
                 { ACCEL_FLOAT(4, 3), 3 }, { ACCEL_FP3, 2 },         { ACCEL_FP4, 2 },
                 { ACCEL_POT4, 1 },        { ACCEL_FLINT4, 2 },      { ACCEL_UFLINT4, 2 },
                 { ACCEL_OLIVE4, 2 },      { ACCEL_OLIVE4F, 2 } };
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        int worst = 0;
        for (unsigned c = 0; c < 1u << accel_format_bits(most[i].format); c++)
            for (unsigned x = 0; x < 8; x++) {
                int t = terms(
                    accel_format_decode_in(most[i].format, c, x % 4, x < 4 ? 0 : 8, NULL));
                worst = t > worst ? t : worst;
            }
        if (worst != most[i].terms)
            fail_msg("%s needs %d terms, not %d", accel_format_name(most[i].format), worst,
                     most[i].terms);
    }
}

static void codes_are_taken_modulo_their_width(void **state)
{
    (void)state;
    const int8_t book[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
    for (int i = 0; i < ALL_FORMATS; i++) {
        accel_format f = format_at(i);
        unsigned span = 1u << accel_format_bits(f);
        for (unsigned c = 0; c < span; c++) {
            assert_int_equal(accel_format_decode(f, c), accel_format_decode(f, c + 5 * span));
            assert_int_equal(accel_format_decode_in(f, c, 1, 8, book),
                             accel_format_decode_in(f, c + 5 * span, 5, 8 + 16, book));
        }
    }
}

static void exactly_56_formats_are_valid(void **state)
{
    (void)state;
    int valid = 0;
    for (accel_format f = 0; f < 0x200000; f++)
        valid += accel_format_valid(f);
    assert_int_equal(valid, ALL_FORMATS);
    for (int i = 0; i < ALL_FORMATS; i++) {
        assert_true(accel_format_valid(format_at(i)));
        for (int j = 0; j < i; j++)
            assert_int_not_equal(format_at(i), format_at(j));
    }
    assert_false(accel_format_valid(ACCEL_INT(0)));
    assert_false(accel_format_valid(ACCEL_INT(9)));
    assert_false(accel_format_valid(ACCEL_CODING_TERNARY | 3));
    assert_false(accel_format_valid(ACCEL_FLOAT(5, 2)));
    assert_false(accel_format_valid(ACCEL_FLOAT(4, 4)));
    assert_false(accel_format_valid(ACCEL_FLOAT(0, 3)));
    assert_false(accel_format_valid(ACCEL_TABLE(10, 4u)));
    assert_false(accel_format_valid(ACCEL_TABLE(0, 4u)));
    assert_false(accel_format_valid(0x80000102u));
    assert_false(accel_format_valid(UINT32_MAX));
    assert_int_equal(accel_format_decode(ACCEL_INT(9), 5), 0);
    assert_int_equal(accel_format_decode_in(ACCEL_FLOAT(5, 2), 5, 0, 0, NULL), 0);
}

static void every_format_is_found_by_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < ALL_FORMATS; i++) {
        accel_format back = 0;
        assert_int_equal(accel_format_parse(accel_format_name(format_at(i)), &back), ACCEL_OK);
        assert_int_equal(back, format_at(i));
    }
    assert_string_equal(accel_format_name(ACCEL_INT(4)), "int4");
    assert_string_equal(accel_format_name(ACCEL_UINT(2)), "uint2");
    assert_string_equal(accel_format_name(ACCEL_BIP(8)), "bipolar8");
    assert_string_equal(accel_format_name(ACCEL_TERNARY), "ternary");
    assert_string_equal(accel_format_name(ACCEL_FLOAT(4, 3)), "e4m3");
    assert_string_equal(accel_format_name(ACCEL_FP3), "fp3");
    assert_string_equal(accel_format_name(ACCEL_OLIVE4F), "olive4f");
    assert_string_equal(accel_format_name(ACCEL_CODEBOOK4), "codebook4");
    assert_string_equal(accel_format_name(ACCEL_INT(9)), "?");
    accel_format kept = 42;
    const char *wrong[] = { "",  "int",   "int0", "int9", "int44", "INT4",
                            "?", " int4", "e5m2", "e4m4", "fp5",   "codebook2" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(accel_format_parse(wrong[i], &kept), ACCEL_E_ARG);
    assert_int_equal(accel_format_parse(NULL, &kept), ACCEL_E_ARG);
    assert_int_equal(accel_format_parse("int4", NULL), ACCEL_E_ARG);
    assert_int_equal(kept, 42);
}

static void other_names_find_the_format_but_are_not_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *is;
    } others[] = { { "mxfp4", "e2m1" }, { "mxfp6e2m3", "e2m3" }, { "mxfp6e3m2", "e3m2" },
                   { "fp6", "e3m2" },   { "mxfp8", "e4m3" },     { "mxfp8e4m3", "e4m3" },
                   { "mxint8", "int8" } };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        accel_format f = 0;
        assert_int_equal(accel_format_parse(others[i].name, &f), ACCEL_OK);
        assert_string_equal(accel_format_name(f), others[i].is);
    }
}

static void formats_that_cannot_be_are_refused_with_their_reason(void **state)
{
    (void)state;
    static const struct {
        const char *name, *word;
    } refused[] = { { "e5m2", "33 bits" },     { "mxfp8e5m2", "33 bits" },
                    { "e5m1", "e4m3" },        { "e8m0", "e4m3" },
                    { "e0m3", "integer" },     { "e4m4", "3 to 8 bits" },
                    { "e1m0", "3 to 8 bits" }, { "abfloat8", "30 bits" },
                    { "olive8", "olive4" },    { "mxfp6", "e2m3" },
                    { "fp8", "e4m3" },         { "nf4", "codebook4" },
                    { "bf16", "quantize" } };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *why = accel_format_refusal(refused[i].name);
        accel_format f;
        assert_int_equal(accel_format_parse(refused[i].name, &f), ACCEL_E_ARG);
        assert_non_null(why);
        if (!strstr(why, refused[i].word))
            fail_msg("%s: '%s' does not name %s", refused[i].name, why, refused[i].word);
    }
    const char *none[] = { "", "e", "e5", "e5m", "e5m22", "em2", "int9", "anything" };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_null(accel_format_refusal(none[i]));
    for (int i = 0; i < ALL_FORMATS; i++)
        assert_null(accel_format_refusal(accel_format_name(format_at(i))));
    assert_null(accel_format_refusal(NULL));
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
        cmocka_unit_test(floats_decode_to_their_tables_and_negative_codes_to_the_negative),
        cmocka_unit_test(the_microscaling_formats_end_where_their_specification_says),
        cmocka_unit_test(fp3_and_fp4_replace_negative_zero_by_the_selected_value),
        cmocka_unit_test(ant_types_decode_to_their_tables),
        cmocka_unit_test(olive_codes_beside_a_victim_are_outliers),
        cmocka_unit_test(codebook_codes_are_places_in_the_rows_table),
        cmocka_unit_test(context_changes_nothing_for_formats_without_one),
        cmocka_unit_test(no_value_needs_more_terms_than_its_format_promises),
        cmocka_unit_test(codes_are_taken_modulo_their_width),
        cmocka_unit_test(exactly_56_formats_are_valid),
        cmocka_unit_test(every_format_is_found_by_its_own_name),
        cmocka_unit_test(other_names_find_the_format_but_are_not_its_name),
        cmocka_unit_test(formats_that_cannot_be_are_refused_with_their_reason),
        cmocka_unit_test(every_status_has_a_sentence_of_its_own),
        cmocka_unit_test(long_messages_are_cut_and_terminated),
        cmocka_unit_test(the_library_says_the_headers_version),
        cmocka_unit_test(uri_parameters_come_in_order),
        cmocka_unit_test(malformed_uri_parameters_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
