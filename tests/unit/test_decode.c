/* test_decode.c - encoders and golden decoders of the weight streams.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "decode/decode.h"
#include "random_matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct accel_error err;

static void expect_error(int rc, int want, const char *word)
{
    assert_int_equal(rc, want);
    if (!strstr(err.text, word))
        fail_msg("\"%s\" does not say \"%s\"", err.text, word);
    err.text[0] = '\0';
}

/* ---- DFloat11 ---- */

static void df11_weights_come_back_bit_for_bit(void **state)
{
    (void)state;
    struct rng r = { 11 };
    for (int round = 0; round < 40; round++) {
        const unsigned max_bits = 8 + rng_below(&r, 25), spread = 1 + rng_below(&r, 256);
        const size_t n = 1 + rng_below(&r, 2000);
        uint64_t count[256] = { 0 };
        uint16_t w[2000], back[2000];
        for (size_t i = 0; i < n; i++) {
            w[i] = (uint16_t)((rng_next(&r) & 0x807f) | rng_below(&r, spread) << 7);
            count[w[i] >> 7 & 255]++;
        }
        struct df11_code code;
        struct df11_stream s;
        uint32_t table[DF11_TABLE_WORDS(32)];
        assert_int_equal(df11_code_from_counts(count, max_bits, &code, &err), 0);
        assert_int_equal(df11_encode(&code, w, n, &s, &err), 0);
        df11_table(&code, table);
        assert_int_equal(df11_decode(table, max_bits, s.codes, s.words, s.rest, n, back, &err), 0);
        assert_memory_equal(w, back, n * sizeof *w);
        df11_free(&s);
    }
}

static void df11_codes_are_as_short_as_the_entropy_allows(void **state)
{
    (void)state;
    uint64_t count[256] = { 0 };
    struct df11_code code;
    for (unsigned i = 0; i < 30; i++)
        count[100 + i] = 1ull << (40 - i); /* powers of two: Huffman reaches the entropy */
    assert_int_equal(df11_code_from_counts(count, 32, &code, &err), 0);
    for (unsigned i = 0; i < 29; i++)
        assert_int_equal(code.length[100 + i], i + 1);
    assert_int_equal(code.length[129], 29);
    assert_int_equal(code.length[0], 0);
}

static void df11_codes_never_exceed_the_longest_that_is_asked_for(void **state)
{
    (void)state;
    for (unsigned max_bits = 8; max_bits <= 32; max_bits++) {
        uint64_t count[256], a = 1, b = 1;
        struct df11_code code;
        for (unsigned i = 0; i < 256; i++) { /* Fibonacci numbers as long as they fit */
            count[i] = a;
            b = i < 80 ? a + b : b;
            a = b - (i < 80 ? a : 0);
        }
        assert_int_equal(df11_code_from_counts(count, max_bits, &code, &err), 0);
        double kraft = 0;
        for (unsigned i = 0; i < 256; i++) {
            assert_in_range(code.length[i], 1, max_bits);
            kraft += ldexp(1.0, -code.length[i]);
        }
        assert_true(kraft == 1.0);
    }
}

static void df11_refuses_what_it_has_no_code_for(void **state)
{
    (void)state;
    uint64_t count[256] = { 0 };
    struct df11_code code;
    struct df11_stream s;
    expect_error(df11_code_from_counts(count, 32, &code, &err), ACCEL_E_ARG, "no weights");
    count[3] = 5;
    expect_error(df11_code_from_counts(count, 7, &code, &err), ACCEL_E_ARG, "8 to 32");
    expect_error(df11_code_from_counts(count, 33, &code, &err), ACCEL_E_ARG, "8 to 32");
    assert_int_equal(df11_code_from_counts(count, 32, &code, &err), 0);
    const uint16_t w[3] = { 3 << 7, 3 << 7, 4 << 7 };
    expect_error(df11_encode(&code, w, 3, &s, &err), ACCEL_E_ARG, "weight 2 has exponent 4");
    count[4] = UINT64_MAX;
    expect_error(df11_code_from_counts(count, 32, &code, &err), ACCEL_E_ARG, "64 bits");
}

static void df11_names_the_weight_at_which_a_stream_is_broken(void **state)
{
    (void)state;
    uint64_t count[256] = { 0 };
    uint16_t w[64], back[64];
    struct df11_code code;
    struct df11_stream s;
    uint32_t table[DF11_TABLE_WORDS(16)], bad[DF11_TABLE_WORDS(16)];
    for (unsigned i = 0; i < 64; i++)
        w[i] = (uint16_t)((100 + i % 3)
                          << 7); /* codes 0, 10, 11: 64 weights have 106 or 107 bits */
    count[100] = 22;
    count[101] = count[102] = 21;
    assert_int_equal(df11_code_from_counts(count, 16, &code, &err), 0);
    assert_int_equal(df11_encode(&code, w, 64, &s, &err), 0);
    df11_table(&code, table);
    assert_int_equal(s.words, 4);
    expect_error(df11_decode(table, 16, s.codes, 3, s.rest, 64, back, &err), ACCEL_E_CORRUPT,
                 "end at weight 58 of 64");
    expect_error(df11_decode(table, 16, s.codes, 4, s.rest, 50, back, &err), ACCEL_E_CORRUPT,
                 "3 hold 50 weights");
    expect_error(df11_decode(table, 40, s.codes, 4, s.rest, 64, back, &err), ACCEL_E_ARG,
                 "8 to 32");
    memcpy(bad, table, sizeof bad);
    bad[3] = 0; /* no codes of two bits */
    expect_error(df11_decode(bad, 16, s.codes, 4, s.rest, 64, back, &err), ACCEL_E_CORRUPT,
                 "weight 1: 0x");
    bad[1] = 0; /* nor of one */
    expect_error(df11_decode(bad, 16, s.codes, 4, s.rest, 64, back, &err), ACCEL_E_CORRUPT,
                 "no codes");
    memcpy(bad, table, sizeof bad);
    bad[2] = bad[0];
    expect_error(df11_decode(bad, 16, s.codes, 4, s.rest, 64, back, &err), ACCEL_E_CORRUPT,
                 "2 bits do not follow");
    bad[2] = 0xfffffffe;
    expect_error(df11_decode(bad, 16, s.codes, 4, s.rest, 64, back, &err), ACCEL_E_CORRUPT,
                 "filled up with ones");
    df11_free(&s);
}

static void df11_survives_random_tables_and_streams(void **state)
{
    (void)state;
    struct rng r = { 12 };
    for (int round = 0; round < 2000; round++) {
        uint32_t table[DF11_TABLE_WORDS(32)], codes[8];
        uint8_t rest[100] = { 0 };
        uint16_t w[100];
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
            table[i] = (uint32_t)rng_next(&r);
        for (unsigned len = 1; len <= 32; len++) /* most lengths well formed, or none gets far */
            table[2 * len - 2] |= (uint32_t)((1ull << (32 - len)) - 1);
        for (unsigned len = 2; len <= 32; len++)
            if (table[2 * len - 2] <= table[2 * len - 4]) {
                table[2 * len - 2] = table[2 * len - 4];
                table[2 * len - 1] &= ~256u;
            }
        for (size_t i = 0; i < 8; i++)
            codes[i] = (uint32_t)rng_next(&r);
        (void)df11_decode(table, 32, codes, rng_below(&r, 9), rest, rng_below(&r, 101), w, &err);
    }
}

/* ---- bf16 blocks ---- */

static void bf16_blocks_round_half_to_even_and_stop_at_127(void **state)
{
    (void)state;
    uint16_t w[BF16_BLOCK] = { 0x3f80 }; /* 1.0: code 64, unit 1/64 */
    int8_t code[BF16_BLOCK];
    uint8_t scale;
    w[1] = 0xbf80; /* -1 */
    w[2] = 0x3fff; /* 1.9921875 = 127.5 units */
    w[3] = 0xbfff;
    w[4] = 0x3f81; /* 1.0078125 = 64.5 units */
    w[5] = 0x3f83; /* 65.5 */
    w[6] = 0x3c00; /* 2^-7 = half a unit */
    w[7] = 0x3c01; /* a little more */
    w[8] = 0xbcc0; /* -1.5 units */
    w[9] = 0x3b80; /* a quarter */
    w[10] = 0x0001;
    w[11] = 0x8000;
    assert_true(bf16_block(w, code, &scale));
    assert_int_equal(scale, 127);
    const int8_t want[12] = { 64, -64, 127, -127, 64, 66, 0, 1, -2, 0, 0, 0 };
    assert_memory_equal(code, want, sizeof want);
}

static void bf16_blocks_keep_the_smallest_weights_and_flag_the_infinite(void **state)
{
    (void)state;
    uint16_t w[BF16_BLOCK] = { 0 };
    int8_t code[BF16_BLOCK];
    uint8_t scale;
    assert_true(bf16_block(w, code, &scale));
    assert_int_equal(scale, 1);
    assert_int_equal(code[0], 0);
    w[0] = 0x8040; /* -2^-127, a subnormal: 32 units of 2^-132 */
    assert_true(bf16_block(w, code, &scale));
    assert_int_equal(scale, 1);
    assert_int_equal(code[0], -32);
    w[5] = 0x7f80;
    assert_false(bf16_block(w, code, &scale));
    assert_int_equal(scale, 255);
    w[5] = 0xffc0;
    assert_false(bf16_block(w, code, &scale));
}

/* ---- codebooks ---- */

static void codebook_entries_come_back_at_their_place(void **state)
{
    (void)state;
    const struct codebook_shape shape = { 2, 4, 3 };
    uint8_t index[3 * 5];
    int8_t book[3 * 8], code[2 * 2 * 8];
    struct codebook_stream s;
    for (int i = 0; i < 15; i++)
        index[i] = (uint8_t)(i * 5 % 8);
    for (int i = 0; i < 24; i++)
        book[i] = (int8_t)(i * 11 - 128);
    assert_int_equal(codebook_encode(&shape, index, book, 3, 5, &s, &err), 0);
    assert_int_equal(s.tiles, 2);
    assert_int_equal(s.steps, 2);
    assert_int_equal(s.index_bytes, 2 * 2 * 3);
    assert_int_equal(s.indices[0], 0 | 5 << 3 | (2 & 3) << 6); /* a row's indices lie end to end */
    assert_int_equal(codebook_decode(&shape, &s, code, &err), 0);
    for (unsigned m = 0; m < 4; m++)
        for (unsigned c = 0; c < 8; c++) {
            const int8_t got = code[(m / 2 * 2 + c / 4) * 8 + m % 2 * 4 + c % 4];
            /* what pads columns is entry 0, what pads rows is 0 */
            assert_int_equal(got, m > 2 ? 0 : book[m * 8 + (c < 5 ? index[m * 5 + c] : 0)]);
        }
    s.index_bytes--;
    expect_error(codebook_decode(&shape, &s, code, &err), ACCEL_E_CORRUPT, "11 of indices");
    s.index_bytes++;
    s.steps = UINT32_MAX;
    s.tiles = UINT32_MAX;
    expect_error(codebook_decode(&shape, &s, code, &err), ACCEL_E_CORRUPT, "row tiles");
    codebook_free(&s);
}

static void codebooks_refuse_bad_shapes_and_indices(void **state)
{
    (void)state;
    struct codebook_shape shape = { 2, 4, 3 };
    uint8_t index[12] = { 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 8, 0 };
    int8_t book[16] = { 0 };
    struct codebook_stream s;
    expect_error(codebook_encode(&shape, index, book, 2, 6, &s, &err), ACCEL_E_ARG,
                 "row 1 column 4: index 8");
    expect_error(codebook_encode(&shape, index, book, 0, 6, &s, &err), ACCEL_E_ARG, "0 x 6");
    shape.lanes = 3;
    expect_error(codebook_encode(&shape, index, book, 2, 6, &s, &err), ACCEL_E_ARG,
                 "multiple of 8");
    shape.lanes = 4;
    shape.bits = 5;
    expect_error(codebook_encode(&shape, index, book, 2, 6, &s, &err), ACCEL_E_ARG, "5 bits");
    expect_error(codebook_decode(&shape, &s, book, &err), ACCEL_E_ARG, "5 bits");
}

static void codebook_centroids_round_to_127_steps_of_the_largest(void **state)
{
    (void)state;
    float c[8] = { 0, 127, -127, 0.5f, 1.5f, -2.5f, 63.25f, 1 }, scale;
    int8_t book[8];
    double error;
    assert_int_equal(codebook_round(c, 3, book, &scale, &error, &err), 0);
    const int8_t want[8] = { 0, 127, -127, 0, 2, -2, 63, 1 };
    assert_memory_equal(book, want, 8);
    assert_true(scale == 1.0f && error == 0.5);
    memset(c, 0, sizeof c);
    assert_int_equal(codebook_round(c, 3, book, &scale, &error, &err), 0);
    assert_true(scale == 0 && error == 0);
    c[1] = 1e-45f; /* 127 steps of it are below the smallest float */
    assert_int_equal(codebook_round(c, 3, book, &scale, &error, &err), 0);
    assert_true(error <= (double)c[1]);
    c[6] = INFINITY;
    expect_error(codebook_round(c, 3, book, &scale, &error, &err), ACCEL_E_ARG, "centroid 6");
    expect_error(codebook_round(c, 2, book, &scale, &error, &err), ACCEL_E_ARG, "2 bits");
}

/* ---- SpQR ---- */

/* ss, zs, sz, zz in the c fields; everything else 0 */
static void spqr_numbers(uint64_t tile[16], uint64_t n)
{
    for (unsigned r = 0; r < 16; r++)
        tile[r] = (tile[r] & ((1ull << 54) - 1)) | (n >> 8 * (r / 2) & 255) << 54;
}

static void spqr_values_follow_the_published_rule(void **state)
{
    (void)state;
    uint64_t tile[16] = { 0 };
    double w[256];
    tile[3] = 5 | 2 << 3 | 6 << (6 + 3 * 4); /* row 3: w_s 5, w_z 2; column 4: code 6 */
    /* ss = 0.5, zs = 2, sz = 1, zz = -1.5 */
    spqr_numbers(tile, 0x3800ull | 0x4000ull << 16 | 0x3c00ull << 32 | 0xbe00ull << 48);
    assert_int_equal(spqr_values(tile, w, &err), 0);
    assert_true(w[3 * 16 + 4] == 0.5 * (5 - 1) * (6 - 2 * (2 + 1.5)));
    assert_true(w[0] == 0.5 * (0 - 1) * (0 - 2 * 1.5));
    spqr_numbers(tile, 0x0001ull | 0x3c00ull << 16); /* the smallest fp16, 2^-24 */
    assert_int_equal(spqr_values(tile, w, &err), 0);
    assert_true(w[3 * 16 + 4] == 0x1p-24 * 5 * (6 - 2));
}

static void spqr_integers_are_those_of_the_stated_rule(void **state)
{
    (void)state;
    uint64_t tile[16] = { 0 };
    struct spqr_row row[16];
    tile[0] = 3 | 5 << 3 | 7ull << 51;
    /* a = -37, b = 1000, c = -300, d = 77, sh = 9: sc = 889 / 16, nz = -1423 */
    spqr_numbers(tile, (-37ull & 0x3fff) | 1000ull << 14 | (-300ull & 0x3fff) << 30 | 77ull << 44 |
                           9ull << 60);
    assert_int_equal(spqr_decode(tile, row, &err), 0);
    assert_int_equal(row[0].sc, 56);   /* 889 + 8 over 16 is 56.06 */
    assert_int_equal(row[0].oc, -311); /* 56 * -1423 + 128 over 256 is -310.8 */
    assert_int_equal(row[0].sh, 9);
    assert_int_equal(row[0].code[15], 7);
    assert_int_equal(row[0].code[14], 0);
    assert_int_equal(row[1].sc, 63); /* w_s = w_z = 0: 1008 / 16 */
    assert_int_equal(row[1].oc, 19); /* 63 * 77 + 128 over 256 is 19.4 */
}

static void spqr_integers_stay_close_to_the_published_values(void **state)
{
    (void)state;
    struct rng r = { 13 };
    for (int round = 0; round < 200; round++) {
        float w[4 * 256];
        uint64_t tiles[4 * 16], out[16];
        double unit, error;
        const float size = ldexpf(1.0f, -(int)rng_below(&r, 8));
        for (size_t i = 0; i < sizeof w / sizeof *w; i++)
            w[i] = size * rng_float(&r) * rng_float(&r);
        for (size_t t = 0; t < 4; t++)
            assert_int_equal(spqr_encode(w + t * 256, tiles + t * 16, &err), 0);
        assert_int_equal(spqr_unit(tiles, 4, &unit, &err), 0);
        for (size_t t = 0; t < 4; t++) {
            struct spqr_row rows[16];
            double want[256], worst = 0;
            assert_int_equal(spqr_convert(tiles + t * 16, unit, out, &error, &err), 0);
            assert_true(error < 0.03);
            assert_int_equal(spqr_decode(out, rows, &err), 0);
            assert_int_equal(spqr_values(tiles + t * 16, want, &err), 0);
            for (unsigned i = 0; i < 256; i++) {
                const struct spqr_row *p = &rows[i / 16];
                worst = fmax(
                    worst, fabs(want[i] - ldexp(unit * (p->sc * p->code[i % 16] + p->oc), p->sh)));
            }
            assert_true(worst <=
                        error * 2047 * unit * 256 * 1.001); /* 1 step <= the largest scale */
            assert_true(worst > 0);
        }
    }
}

static void spqr_rows_of_equal_weights_come_back(void **state)
{
    (void)state;
    float w[256];
    uint64_t tile[16];
    double back[256];
    for (unsigned i = 0; i < 256; i++)
        w[i] = -0.75f;
    assert_int_equal(spqr_encode(w, tile, &err), 0);
    assert_int_equal(spqr_values(tile, back, &err), 0);
    for (unsigned i = 0; i < 256; i++)
        assert_true(fabs(back[i] + 0.75) < 0.001);
    memset(w, 0, sizeof w);
    assert_int_equal(spqr_encode(w, tile, &err), 0);
    assert_int_equal(spqr_values(tile, back, &err), 0);
    assert_true(back[0] == 0 && back[255] == 0);
    double unit, error;
    assert_int_equal(spqr_unit(tile, 1, &unit, &err), 0);
    assert_int_equal(spqr_convert(tile, unit, tile, &error, &err), 0);
    assert_true(error == 0);
}

static void spqr_says_what_is_wrong_with_a_tile(void **state)
{
    (void)state;
    uint64_t tile[16] = { 0 }, out[16];
    struct spqr_row rows[16];
    double w[256], unit, error;
    float f[256] = { 0 };
    tile[4] = 1ull << 62;
    expect_error(spqr_decode(tile, rows, &err), ACCEL_E_CORRUPT, "row 4");
    tile[4] = 1ull << 54;
    expect_error(spqr_values(tile, w, &err), ACCEL_E_CORRUPT, "rows 4 and 5");
    tile[4] = 0;
    spqr_numbers(tile, 0x7c00);
    expect_error(spqr_values(tile, w, &err), ACCEL_E_CORRUPT, "not finite");
    expect_error(spqr_unit(tile, 1, &unit, &err), ACCEL_E_CORRUPT, "not finite");
    expect_error(spqr_convert(tile, 1, out, &error, &err), ACCEL_E_CORRUPT, "not finite");
    spqr_numbers(tile, 0x7fffull << 14); /* b = 32767 */
    expect_error(spqr_decode(tile, rows, &err), ACCEL_E_CORRUPT, "scale 2048 leaves 12 bits");
    spqr_numbers(tile, 0x7fe0ull << 14 | 0x7fffull << 44 | 0x1fffull << 30);
    tile[9] |= 7 << 3;
    expect_error(spqr_decode(tile, rows, &err), ACCEL_E_CORRUPT, "row 9: offset 7201");
    spqr_numbers(tile, 0x3c00ull | 0x7bffull << 16); /* zs = 65504 */
    expect_error(spqr_convert(tile, 1, out, &error, &err), ACCEL_E_UNSUPPORTED, "zero points");
    spqr_numbers(tile, 0x7bffull); /* ss = 65504 */
    expect_error(spqr_convert(tile, 1e-9, out, &error, &err), ACCEL_E_UNSUPPORTED, "scales of");
    expect_error(spqr_convert(tile, 0, out, &error, &err), ACCEL_E_ARG, "unit of 0");
    /* s = 2040 at w_s = 0, z = 352 at w_z = 7, both as far as they go */
    tile[9] = 7 << 3;
    spqr_numbers(tile, 0x3c00ull | 0x4fffull << 16 | 0xe7f8ull << 32 | 0xc400ull << 48);
    expect_error(spqr_convert(tile, 1, out, &error, &err), ACCEL_E_UNSUPPORTED, "leaves 20 bits");
    f[37] = NAN;
    expect_error(spqr_encode(f, tile, &err), ACCEL_E_ARG, "row 2 column 5");
    f[37] = 1e7f;
    expect_error(spqr_encode(f, tile, &err), ACCEL_E_ARG, "fp16");
}

/* ---- FP6 ---- */

static void fp6_codes_are_split_either_way_and_merged_again(void **state)
{
    (void)state;
    const uint8_t code[5] = { 042, 017, 060, 0, 077 };
    uint8_t back[5];
    struct fp6_stream s;
    assert_int_equal(fp6_encode(FP6_TOP_IN_TWO, 2, code, 5, &s, &err), 0);
    assert_int_equal(s.two_bytes, 2);
    assert_int_equal(s.four_bytes, 4);
    assert_int_equal(s.two[0], 2 | 0 << 2 | 3 << 4);
    assert_int_equal(s.four[0], 2 | 15 << 4);
    assert_int_equal(fp6_decode(FP6_TOP_IN_TWO, 2, &s, 5, back, &err), 0);
    assert_memory_equal(code, back, 5);
    fp6_free(&s);
    assert_int_equal(fp6_encode(FP6_TOP_IN_FOUR, 2, code, 5, &s, &err), 0);
    assert_int_equal(s.two[0], 2 | 3 << 2);
    assert_int_equal(s.four[0], 8 | 3 << 4);
    assert_int_equal(fp6_decode(FP6_TOP_IN_FOUR, 2, &s, 5, back, &err), 0);
    assert_memory_equal(code, back, 5);
    fp6_free(&s);
}

static void fp6_refuses_wide_codes_odd_lanes_and_streams_of_other_sizes(void **state)
{
    (void)state;
    uint8_t code[5] = { 0, 1, 64, 2, 3 };
    struct fp6_stream s;
    expect_error(fp6_encode(FP6_TOP_IN_TWO, 2, code, 5, &s, &err), ACCEL_E_ARG,
                 "weight 2: code 64");
    expect_error(fp6_encode(FP6_TOP_IN_TWO, 3, code, 2, &s, &err), ACCEL_E_ARG, "3 lanes");
    expect_error(fp6_encode(FP6_TOP_IN_TWO, 0, code, 2, &s, &err), ACCEL_E_ARG, "0 lanes");
    expect_error(fp6_encode(FP6_TOP_IN_TWO, 2, code, SIZE_MAX, &s, &err), ACCEL_E_ARG, "too many");
    code[2] = 63;
    assert_int_equal(fp6_encode(FP6_TOP_IN_TWO, 2, code, 5, &s, &err), 0);
    expect_error(fp6_decode(FP6_TOP_IN_TWO, 2, &s, 9, code, &err), ACCEL_E_CORRUPT, "9 weights");
    expect_error(fp6_decode(FP6_TOP_IN_TWO, 0, &s, 5, code, &err), ACCEL_E_ARG, "0 lanes");
    expect_error(fp6_decode(FP6_TOP_IN_TWO, 2, &s, 4, code, &err), ACCEL_E_CORRUPT, "4 weights");
    s.four[3] = 0x10;
    expect_error(fp6_decode(FP6_TOP_IN_TWO, 2, &s, 5, code, &err), ACCEL_E_CORRUPT, "filling");
    fp6_free(&s);
}

/* ---- QMoE ---- */

static void qmoe_words_hold_the_tokens_that_are_documented(void **state)
{
    (void)state;
    int8_t w[100] = { 0 }, back[100];
    struct qmoe_stream s;
    w[3] = 1;   /* first token: 3 zeros, + */
    w[4] = -1;  /* second: no zeros, - */
    w[35] = -1; /* third: 30 zeros, - */
    /* then 64 zeros: 30, 30, 31 */
    assert_int_equal(qmoe_encode(w, 100, &s, &err), 0);
    assert_int_equal(s.words, 2);
    assert_int_equal(s.word[0], 6 | 1 << 5 | 61 << 10);
    assert_int_equal(s.word[1], 31 | 31 << 5 | 62 << 10);
    assert_int_equal(qmoe_decode(s.word, s.words, 100, back, &err), 0);
    assert_memory_equal(w, back, 100);
    qmoe_free(&s);
}

static void qmoe_weights_of_any_sparsity_come_back(void **state)
{
    (void)state;
    struct rng r = { 14 };
    for (int round = 0; round < 300; round++) {
        int8_t w[1500], back[1500];
        struct qmoe_stream s;
        const size_t n = rng_below(&r, 1500);
        const uint32_t rare = 1 + rng_below(&r, 60);
        for (size_t i = 0; i < n; i++)
            w[i] = (int8_t)(rng_below(&r, rare) ? 0 : 1 - 2 * (int)rng_below(&r, 2));
        assert_int_equal(qmoe_encode(w, n, &s, &err), 0);
        assert_int_equal(qmoe_decode(s.word, s.words, n, back, &err), 0);
        assert_memory_equal(w, back, n);
        qmoe_free(&s);
    }
}

static void qmoe_says_what_is_wrong_with_words(void **state)
{
    (void)state;
    int8_t w[200] = { 0, 0, 2 };
    struct qmoe_stream s;
    expect_error(qmoe_encode(w, 3, &s, &err), ACCEL_E_ARG, "weight 2 is 2");
    const uint16_t empty[2] = { 63 << 10 | 30 << 5 | 30, 0 }, three[2] = { 0, 0 };
    expect_error(qmoe_decode(empty, 1, 40, w, &err), ACCEL_E_CORRUPT, "word 0: no token is 63");
    expect_error(qmoe_decode(three, 1, 4, w, &err), ACCEL_E_CORRUPT, "end at weight 3 of 4");
    expect_error(qmoe_decode(three, 2, 3, w, &err), ACCEL_E_CORRUPT, "2 words, 1 hold 3");
    expect_error(qmoe_decode(three, 2, 5, w, &err), ACCEL_E_CORRUPT, "word 1 goes beyond weight 5");
    struct rng r = { 15 };
    for (int round = 0; round < 5000; round++) { /* never beyond w, whatever comes */
        uint16_t word[8];
        for (int i = 0; i < 8; i++)
            word[i] = (uint16_t)rng_next(&r);
        (void)qmoe_decode(word, rng_below(&r, 9), rng_below(&r, 201), w, &err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(df11_weights_come_back_bit_for_bit),
        cmocka_unit_test(df11_codes_are_as_short_as_the_entropy_allows),
        cmocka_unit_test(df11_codes_never_exceed_the_longest_that_is_asked_for),
        cmocka_unit_test(df11_refuses_what_it_has_no_code_for),
        cmocka_unit_test(df11_names_the_weight_at_which_a_stream_is_broken),
        cmocka_unit_test(df11_survives_random_tables_and_streams),
        cmocka_unit_test(bf16_blocks_round_half_to_even_and_stop_at_127),
        cmocka_unit_test(bf16_blocks_keep_the_smallest_weights_and_flag_the_infinite),
        cmocka_unit_test(codebook_entries_come_back_at_their_place),
        cmocka_unit_test(codebooks_refuse_bad_shapes_and_indices),
        cmocka_unit_test(codebook_centroids_round_to_127_steps_of_the_largest),
        cmocka_unit_test(spqr_values_follow_the_published_rule),
        cmocka_unit_test(spqr_integers_are_those_of_the_stated_rule),
        cmocka_unit_test(spqr_integers_stay_close_to_the_published_values),
        cmocka_unit_test(spqr_rows_of_equal_weights_come_back),
        cmocka_unit_test(spqr_says_what_is_wrong_with_a_tile),
        cmocka_unit_test(fp6_codes_are_split_either_way_and_merged_again),
        cmocka_unit_test(fp6_refuses_wide_codes_odd_lanes_and_streams_of_other_sizes),
        cmocka_unit_test(qmoe_words_hold_the_tokens_that_are_documented),
        cmocka_unit_test(qmoe_weights_of_any_sparsity_come_back),
        cmocka_unit_test(qmoe_says_what_is_wrong_with_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
