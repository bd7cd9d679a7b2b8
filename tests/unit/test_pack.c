/* test_pack.c - packed streams, read back by a model of the core written from its description.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "internal.h"
#include "random_matrix.h"
#include "stream_model.h"

#include "backend/cpu.h"

#include <stdlib.h>
#include <string.h>

/* Zeros for kinds that leave them out: in all densities, stretches of columns, and what the kind cannot keep. */
static void thin_out(struct rng *rng, const struct pe_kind *kind, struct accel_matrix *mat)
{
    const uint8_t zero = mat->format == ACCEL_TERNARY ? 1 : 0;
    const bool olive = mat->format == ACCEL_OLIVE4 || mat->format == ACCEL_OLIVE4F;
    const uint32_t percents[] = { 0, 30, 50, 90, 100 }, percent = percents[rng_below(rng, 5)];
    const uint32_t from = rng_below(rng, mat->cols + 1), to = rng_below(rng, mat->cols + 1);
    for (uint32_t m = 0; m < mat->rows; m++) {
        uint8_t *row = mat->codes + (size_t)m * mat->cols;
        uint32_t kept = 0;
        if (mat->codebook)
            mat->codebook[(size_t)m << accel_format_bits(mat->format)] = 0;
        for (uint32_t c = 0; c < mat->cols; c++) {
            kept = kind->keeps && c % kind->block == 0 ? 0 : kept;
            if ((c >= from && c < to) || rng_below(rng, 100) < percent ||
                (kind->keeps && row[c] != zero && kept == kind->keeps)) {
                row[c] = zero;
                if (olive && (c ^ 1) < mat->cols && row[c ^ 1] == 8) /* its victim */
                    row[c ^ 1] = zero;
            }
            kept += row[c] != zero;
        }
    }
}

/* Packs, runs the model of the core and compares with the contract. */
static void check_streams(const struct pe_kind *kind, const struct pack_shape *shape,
                          const struct accel_matrix *mat, uint32_t n, struct rng *rng)
{
    struct packed p;
    struct pack_wire wire;
    struct accel_error err;
    if (pack_wire_format(kind, shape->d_bits, mat->format, &wire) ||
        (kind->window && mat->asymmetric)) {
        assert_int_equal(pack_matrix(kind, shape, mat, &p, &err), ACCEL_E_UNSUPPORTED);
        assert_non_null(strstr(err.text, kind->name));
        assert_non_null(strstr(err.text, accel_format_name(mat->format)));
        return;
    }
    if (pack_matrix(kind, shape, mat, &p, &err))
        fail_msg("%s", err.text);
    assert_int_equal(p.row_tiles, (mat->rows + shape->rows - 1) / shape->rows);
    assert_true(p.chunk_steps <= (255 + shape->lanes) / shape->lanes);
    assert_int_equal(p.group_pad, p.steps * shape->lanes);

    int8_t *x = malloc((size_t)n * mat->cols);
    uint8_t *padded = malloc((size_t)n * p.group_pad);
    size_t tile_rows = (size_t)p.row_tiles * shape->rows;
    int64_t *results = malloc(tile_rows * n * sizeof *results);
    int64_t *want = malloc((size_t)n * mat->rows * sizeof *want);
    int64_t *got = malloc((size_t)n * mat->rows * sizeof *got);
    assert_true(x && padded && results && want && got);
    random_activations(rng, x, (size_t)n * mat->cols);
    for (uint32_t i = 0; i < n; i++)
        pack_activations(&p, shape->lanes, mat->cols, mat->group, x + (size_t)i * mat->cols,
                         (int8_t *)padded + (size_t)i * p.group_pad);

    struct stream_array array = { kind->id, shape->rows, shape->lanes, shape->scale_units,
                                  shape->o_depth };
    struct stream_command command = { .row_tiles = p.row_tiles,
                                      .columns = n,
                                      .steps = p.steps,
                                      .chunk_steps = p.chunk_steps,
                                      .planes = p.planes,
                                      .coding = p.coding,
                                      .table = p.table,
                                      .selectors = p.has_sel,
                                      .asymmetric = p.asymmetric,
                                      .row_header = p.row_header,
                                      .outlier_chunks = p.outlier_chunks };
    struct stream_data data = { padded,       p.codes,        p.headers,  (size_t)n * p.steps,
                                p.code_beats, p.header_beats, p.outliers, p.outlier_beats };
    const char *bad = stream_model(&array, &command, &data, results);
    if (bad)
        fail_msg("%s %s group %u, %u x %u: %s", kind->name, accel_format_name(mat->format),
                 mat->group, mat->rows, mat->cols, bad);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t m = 0; m < mat->rows; m++)
            got[(size_t)i * mat->rows + m] =
                results[((size_t)m / shape->rows * n + i) * shape->rows + m % shape->rows];
    cpu_reference(mat, x, n, mat->cols, want);
    if (memcmp(got, want, (size_t)n * mat->rows * sizeof *want) != 0)
        fail_msg("%s %s group %u, %u x %u on %u x %u: streams give other numbers", kind->name,
                 accel_format_name(mat->format), mat->group, mat->rows, mat->cols, shape->rows,
                 shape->lanes);
    /* rows that pad the last tile give 0 whatever comes in */
    for (size_t m = mat->rows; m < tile_rows; m++)
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(results[(m / shape->rows * n + i) * shape->rows + m % shape->rows], 0);
    pack_free(&p);
    free(x);
    free(padded);
    free(results);
    free(want);
    free(got);
}

static const struct pack_shape shapes[] = {
    { 4, 8, 4, 0, 16 },   { 8, 16, 2, 0, 16 },   { 16, 32, 16, 0, 32 },
    { 4, 64, 1, 36, 64 }, { 32, 128, 8, 0, 16 }, { 8, 256, 4, 0, 128 },
    { 8, 24, 2, 0, 16 },  { 16, 48, 4, 0, 32 },  { 4, 192, 2, 0, 64 },
};
#define SHAPES (sizeof shapes / sizeof shapes[0])

static bool has_shape(const struct pe_kind *kind, const struct pack_shape *shape)
{
    return pack_plane_bits(kind, shape) % 8 == 0 && (shape->lanes % 3 == 0) == kind->threes &&
           (!kind->block || shape->lanes % kind->block == 0);
}

/* As it is, or with outliers: one in three. */
static accel_matrix *maybe_with_outliers(struct rng *rng, accel_matrix *mat)
{
    if (rng_below(rng, 3))
        return mat;
    accel_matrix *with = with_outliers(rng, mat, 1 + rng_below(rng, 7));
    accel_matrix_free(mat);
    return with;
}

static void streams_of_every_kind_format_and_group_give_the_contracts_numbers(void **state)
{
    (void)state;
    struct rng rng = { 20261 };
    for (size_t k = 0; k < accel_kind_count; k++) {
        for (int f = 0; f < ALL_FORMATS; f++) {
            for (int g = 0; g < GROUPS; g++) {
                const struct pack_shape *shape;
                do
                    shape = &shapes[rng_below(&rng, SHAPES)];
                while (!has_shape(&accel_kinds[k], shape));
                uint32_t rows = 1 + rng_below(&rng, 2 * shape->rows);
                uint32_t cols = 1 + rng_below(&rng, 400);
                accel_matrix *mat = random_matrix(&rng, format_at(f), group_at[g], rows, cols,
                                                  (int)rng_below(&rng, 2));
                mat = maybe_with_outliers(&rng, mat);
                if (accel_kinds[k].window) /* last: it may leave a victim alone */
                    thin_out(&rng, &accel_kinds[k], mat);
                check_streams(&accel_kinds[k], shape, mat, 1 + rng_below(&rng, 3), &rng);
                accel_matrix_free(mat);
            }
        }
    }
}

static void streams_of_every_shape_give_the_contracts_numbers(void **state)
{
    (void)state;
    struct rng rng = { 7 };
    for (size_t k = 0; k < accel_kind_count; k++) {
        for (size_t s = 0; s < SHAPES; s++) {
            if (!has_shape(&accel_kinds[k], &shapes[s]))
                continue;
            for (int g = 0; g < GROUPS; g++) {
                uint32_t group = group_at[g] ? group_at[g] : 256;
                /* columns that end on a group, one before and one after */
                for (uint32_t cols = 2 * group - 1; cols <= 2 * group + 1; cols++) {
                    accel_matrix *mat = random_matrix(
                        &rng, format_at((int)rng_below(&rng, FORMATS)), group_at[g],
                        shapes[s].rows + 1, cols, !accel_kinds[k].window);
                    mat = maybe_with_outliers(&rng, mat);
                    if (accel_kinds[k].window) /* last: it may leave a victim alone */
                        thin_out(&rng, &accel_kinds[k], mat);
                    check_streams(&accel_kinds[k], &shapes[s], mat, 1, &rng);
                    accel_matrix_free(mat);
                }
            }
        }
    }
}

/* The requantization words follow each tile's headers: {mul low, mul high, shift} of all rows. */
static void requantized_streams_give_the_contracts_int8(void **state)
{
    (void)state;
    struct rng rng = { 91 };
    const struct pack_shape *shape = &shapes[0];
    const uint32_t rows = 7, cols = 50, n = 2, tiles = 2;
    accel_matrix *mat = random_matrix(&rng, ACCEL_INT(3), 16, rows, cols, 1);
    struct packed p;
    assert_int_equal(pack_matrix(accel_find_kind("lut"), shape, mat, &p, NULL), ACCEL_OK);
    assert_int_equal(p.row_tiles, tiles);
    int8_t x[2 * 50];
    random_activations(&rng, x, sizeof x);
    uint8_t *padded = malloc((size_t)n * p.group_pad);
    size_t tile_words = p.header_beats / tiles * shape->scale_units;
    uint16_t *h = calloc(tiles * (tile_words + 12), sizeof *h);
    assert_true(padded && h);
    for (uint32_t i = 0; i < n; i++)
        pack_activations(&p, shape->lanes, cols, 16, x + (size_t)i * cols,
                         (int8_t *)padded + (size_t)i * p.group_pad);
    uint32_t mul[7];
    unsigned shift[7];
    for (uint32_t t = 0; t < tiles; t++) {
        uint16_t *to = h + t * (tile_words + 12);
        memcpy(to, p.headers + t * tile_words, tile_words * sizeof *h);
        for (uint32_t r = 0; r < 4 && 4 * t + r < rows; r++) {
            uint32_t m = 4 * t + r;
            mul[m] = rng_below(&rng, INT32_MAX);
            shift[m] = 48 + rng_below(&rng, 15);
            to[tile_words + r] = (uint16_t)mul[m];
            to[tile_words + 4 + r] = (uint16_t)(mul[m] >> 16);
            to[tile_words + 8 + r] = (uint16_t)shift[m];
        }
    }
    struct stream_array array = { 2, shape->rows, shape->lanes, shape->scale_units, 0 };
    struct stream_command command = { .row_tiles = tiles,
                                      .columns = n,
                                      .steps = p.steps,
                                      .chunk_steps = p.chunk_steps,
                                      .planes = p.planes,
                                      .coding = p.coding,
                                      .asymmetric = p.asymmetric,
                                      .row_header = p.row_header,
                                      .requantize = true };
    struct stream_data data = { padded,
                                p.codes,
                                h,
                                (size_t)n * p.steps,
                                p.code_beats,
                                p.header_beats + tiles * 12 / shape->scale_units,
                                NULL,
                                0 };
    int64_t results[2 * 2 * 4], acc[2 * 7];
    assert_null(stream_model(&array, &command, &data, results));
    cpu_reference(mat, x, n, cols, acc);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t m = 0; m < rows; m++)
            assert_int_equal(results[(m / 4 * n + i) * 4 + m % 4],
                             accel_requantize(acc[i * rows + m], mul[m], shift[m]));
    data.h_beats--;
    assert_non_null(stream_model(&array, &command, &data, results));
    data.h_beats += 2;
    assert_non_null(stream_model(&array, &command, &data, results));
    pack_free(&p);
    free(padded);
    free(h);
    accel_matrix_free(mat);
}

/* One row, two steps of eight lanes, two bits: every bit of the streams by hand. */
static void two_bit_codes_lie_where_the_description_says(void **state)
{
    (void)state;
    const uint8_t codes[9] = { 0, 1, 2, 3, 3, 2, 1, 0, 2 };
    const int16_t sc[1] = { -3 };
    const uint8_t sh[1] = { 5 };
    const int32_t oc[1] = { -70000 };
    struct accel_matrix_parts parts = { ACCEL_INT(2), 1,  9,    0,    codes, sc,
                                        sh,           oc, NULL, NULL, NULL,  NULL };
    const struct pack_shape shape = { 4, 8, 2, 0, 0 };
    accel_matrix *mat;
    struct packed p;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);

    const char *const mac_words[] = { "mac", "dpred", "laconic" };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pack_matrix(accel_find_kind(mac_words[i]), &shape, mat, &p, NULL),
                         ACCEL_OK);
        assert_int_equal(p.steps, 2);
        assert_int_equal(p.code_beats, 4);
        assert_int_equal(p.codes[0], 0x3C);  /* step 0, high bits of 0 1 2 3 3 2 1 0 */
        assert_int_equal(p.codes[4], 0x5A);  /* step 0, low bits */
        assert_int_equal(p.codes[8], 0x01);  /* step 1, high bit of 2 */
        assert_int_equal(p.codes[12], 0x00); /* step 1, low bit of 2 */
        assert_int_equal(p.header_beats, 6);
        assert_int_equal(p.headers[0], 0x5FFD);                  /* sh 5, sc -3 */
        assert_int_equal(p.headers[4], 0x10000 - 70000 + 65536); /* low half of oc */
        assert_int_equal(p.headers[8], 0xFFFE);                  /* its upper half */
        assert_int_equal(p.headers[1], 0);                       /* padding rows */
        assert_int_equal(p.headers[9], 0);
        pack_free(&p);
    }

    assert_int_equal(pack_matrix(accel_find_kind("bitserial"), &shape, mat, &p, NULL), ACCEL_OK);
    assert_int_equal(p.codes[0], 0xC3);  /* plane 1, step 0: inverted */
    assert_int_equal(p.codes[4] & 1, 0); /* plane 1, step 1 */
    assert_int_equal(p.codes[8], 0x5A);  /* plane 0, step 0 */
    pack_free(&p);

    assert_int_equal(pack_matrix(accel_find_kind("lut"), &shape, mat, &p, NULL), ACCEL_OK);
    /* pairs of 0xC3, first lane first: (1,1) (0,0) (0,0) (1,1) -> entry 0, negate 0 1 1 0 */
    assert_int_equal(p.codes[0], 0x28);
    /* pairs of 0x5A: (0,1) (0,1) (1,0) (1,0) -> entry 1 each, negate 1 1 0 0 */
    assert_int_equal(p.codes[8], 0x5F);
    pack_free(&p);

    const struct pack_shape threes = { 4, 24, 2, 0, 0 };
    assert_int_equal(pack_matrix(accel_find_kind("lut3"), &threes, mat, &p, NULL), ACCEL_OK);
    assert_int_equal(p.code_beats, 2);
    /* threes of plane 1: (1,1,0) (0,0,0) (1,1,0) and ones, as 0 is 2 in offset binary */
    assert_memory_equal(p.codes, "\xA2\x00\x00", 3);
    /* of plane 0: (0,1,0) (1,1,0) (1,0,0) and zeros: entries 1 2 3 0, negate 1 0 0 1 */
    assert_memory_equal(p.codes + 12, "\xD5\x48\x92", 3);
    pack_free(&p);
    accel_matrix_free(mat);
}

static void packing_adds_nothing_to_rows_that_fill_the_array(void **state)
{
    (void)state;
    struct rng rng = { 3 };
    const struct pack_shape shape = { 32, 64, 8, 0, 256 };
    struct packed p;
    accel_matrix *mat = random_matrix(&rng, ACCEL_TERNARY, 0, 64, 256, 0);
    assert_int_equal(pack_matrix(accel_find_kind("lut"), &shape, mat, &p, NULL), ACCEL_OK);
    assert_int_equal(p.code_beats * 32 * 64, 64 * 256 * 2);
    assert_int_equal(p.header_beats * 8, 64);
    assert_true(p.row_header);
    assert_int_equal(p.outlier_beats, 0);
    pack_free(&p);
    accel_matrix_free(mat);
}

/* Codes with all padding, and headers. */
static void streams_take_no_more_bits_a_weight_than_promised(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        accel_format format;
        uint32_t group, cols;
        struct pack_shape shape;
        unsigned most; /* bits of 100 weights */
    } promised[] = {
        { "term", ACCEL_FP3, 128, 1024, { 32, 32, 32, 36, 256 }, 315 },
        { "term", ACCEL_INT(4), 128, 1024, { 32, 32, 32, 36, 256 }, 413 },
        { "lut", ACCEL_INT(4), 128, 1024, { 32, 32, 16, 24, 256 }, 413 },
        { "tlut", ACCEL_TERNARY, 0, 768, { 32, 48, 32, 24, 256 }, 170 },
        { "tlut", ACCEL_TERNARY, 96, 768, { 32, 48, 32, 24, 256 }, 184 },
    };
    struct rng rng = { 17 };
    for (size_t i = 0; i < sizeof promised / sizeof *promised; i++) {
        const uint32_t rows = 64, cols = promised[i].cols;
        accel_matrix *mat = random_matrix(&rng, promised[i].format, promised[i].group, rows, cols,
                                          0);
        struct packed p;
        assert_int_equal(
            pack_matrix(accel_find_kind(promised[i].kind), &promised[i].shape, mat, &p, NULL),
            ACCEL_OK);
        const size_t bits = p.code_beats * p.beat_bits +
                            p.header_beats * promised[i].shape.scale_units * 16;
        if (bits * 100 > (size_t)promised[i].most * rows * cols)
            fail_msg("%s %s group %u: %.4f bits a weight, promised are %.2f", promised[i].kind,
                     accel_format_name(promised[i].format), promised[i].group,
                     (double)bits / (rows * cols), promised[i].most / 100.0);
        pack_free(&p);
        accel_matrix_free(mat);
    }
}

/* Four rows in one tile and one in the next, groups of 16 padded to one step of 24 lanes; a chunk
 * without outliers is one null entry. */
static void outliers_lie_where_the_description_says(void **state)
{
    (void)state;
    static const uint8_t codes[5][40];
    const int16_t sc[15] = { 1 };
    uint32_t first[6] = { 0, 1, 1, 1, 1, 18 }, col[18] = { 39 };
    int16_t k[18] = { -2 }, sc_o[5] = { -3, 0, 0, 0, 5 };
    const uint8_t sh_o[5] = { 2, 0, 0, 0, 15 };
    for (uint32_t i = 0; i < 17; i++) {
        col[1 + i] = 2 * i;
        k[1 + i] = (int16_t)(100 + i);
    }
    const struct accel_outliers outliers = { first, col, k, sc_o, sh_o };
    const struct accel_matrix_parts parts = { .format = ACCEL_INT(2),
                                              .rows = 5,
                                              .cols = 40,
                                              .group = 16,
                                              .codes = codes[0],
                                              .sc = sc,
                                              .outliers = &outliers };
    struct pack_shape shape = { 4, 24, 2, 24, 16 };
    const struct pe_kind threes = { .name = "threes", .threes = true };
    accel_matrix *mat;
    struct packed p;
    struct accel_error err;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    assert_int_equal(pack_matrix(&threes, &shape, mat, &p, NULL), ACCEL_OK);
    assert_int_equal(p.outlier_chunks, 2);
    assert_int_equal(p.outlier_beats, 1 + 1 + 16 + 1);
    /* row 0: k, step 2, lane 7, row 0, last; then nothing */
    assert_true(p.outliers[0] == (0xFFFEu | 2ull << 16 | 7ull << 32 | 0ull << 40 | 1ull << 48));
    assert_true(p.outliers[1] == 1ull << 48);
    for (uint64_t i = 0; i < 17; i++)
        assert_true(p.outliers[2 + i] == (100 + i) + ((2 * i / 16) << 16) + ((2 * i % 16) << 32) +
                                             (i >= 15 ? 1ull << 48 : 0));
    /* of each tile: three headers of four rows, then the outliers' */
    assert_int_equal(p.header_beats, 2 * 4 * 2);
    assert_int_equal(p.headers[12], 0x2FFD);
    assert_int_equal(p.headers[13], 0);
    assert_int_equal(p.headers[28], 0xF005);
    pack_free(&p);

    shape.o_depth = 0;
    assert_int_equal(pack_matrix(&threes, &shape, mat, &p, &err), ACCEL_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "threes cannot run int2 with outliers"));
    shape.o_depth = 1;
    assert_int_equal(pack_matrix(&threes, &shape, mat, &p, &err), ACCEL_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "17 in the 4 rows from 4 on, this array takes 15"));
    accel_matrix_free(mat);
}

/* Two rows, two steps of 16 lanes, ternary: every beat of nm and nm16 by hand. */
static void slots_lie_where_the_description_says(void **state)
{
    (void)state;
    uint8_t codes[2][48];
    const int16_t sc[2] = { 1, 1 };
    memset(codes, 1, sizeof codes);   /* 0 */
    codes[0][2] = 2, codes[0][3] = 0; /* +1, -1 */
    codes[1][47] = 2;                 /* step 2; step 1 is empty */
    struct accel_matrix_parts parts = { ACCEL_TERNARY, 2,    48,   0,    codes[0], sc,
                                        NULL,          NULL, NULL, NULL, NULL,     NULL };
    const struct pack_shape shape = { 4, 16, 2, 0, 0 };
    accel_matrix *mat;
    struct packed p;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);

    /* eight slots a row, so a plane has four bytes; the fifth says what step */
    assert_int_equal(pack_matrix(accel_find_kind("nm"), &shape, mat, &p, NULL), ACCEL_OK);
    const uint8_t nm[8][5] = {
        { 0x03, 0, 0, 0, 0x00 },
        { 0x02, 0, 0, 0, 0 }, /* lanes 2 and 3 */
        { 0x02, 0, 0, 0, 0 },
        { 0x03, 0, 0, 0, 0 }, /* 01 and 11 */
        { 0, 0x40, 0, 0, 0x82 },
        { 0, 0x40, 0, 0, 0 }, /* two steps on, the last; lane 3 of block 3 */
        { 0, 0x00, 0, 0, 0 },
        { 0, 0x40, 0, 0, 0 },
    };
    assert_int_equal(p.code_beats, 8);
    assert_int_equal(p.beat_bytes, 5);
    assert_memory_equal(p.codes, nm, sizeof nm);
    pack_free(&p);

    /* two slots a row: a plane has one byte */
    assert_int_equal(pack_matrix(accel_find_kind("nm16"), &shape, mat, &p, NULL), ACCEL_OK);
    const uint8_t nm16[12][2] = {
        { 0, 0x00 }, { 0, 0 }, { 3, 0 }, { 2, 0 }, { 2, 0 }, { 3, 0 }, /* lanes 2 and 3 */
        { 4, 0x82 }, { 4, 0 }, { 4, 0 }, { 4, 0 }, { 0, 0 }, { 4, 0 }, /* lane 15 */
    };
    assert_int_equal(p.code_beats, 12);
    assert_memory_equal(p.codes, nm16, sizeof nm16);
    pack_free(&p);
    accel_matrix_free(mat);
}

static void nm_takes_half_of_the_least_allowed_n_words_a_step(void **state)
{
    (void)state;
    const int16_t sc[1] = { 1 };
    const struct pack_shape shape = { 4, 32, 4, 0, 0 };
    static const struct {
        unsigned weights, words;
    } want[] = { { 0, 1 }, { 1, 1 }, { 2, 1 }, { 3, 2 }, { 4, 2 },
                 { 5, 4 }, { 8, 4 }, { 9, 8 }, { 16, 8 } };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        uint8_t codes[32] = { 0 };
        memset(codes + 16, 1, want[i].weights);
        codes[3] = want[i].weights > 0;
        struct accel_matrix_parts parts = { ACCEL_INT(4), 1,    32,   32,   codes, sc,
                                            NULL,         NULL, NULL, NULL, NULL,  NULL };
        accel_matrix *mat;
        struct packed p;
        assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
        assert_int_equal(pack_matrix(accel_find_kind("nm16"), &shape, mat, &p, NULL), ACCEL_OK);
        assert_int_equal(p.code_beats, want[i].words * (4 + 4));
        pack_free(&p);
        accel_matrix_free(mat);
    }
}

static void a_matrix_that_breaks_2_of_4_is_refused_with_its_place(void **state)
{
    (void)state;
    static uint8_t codes[40][96];
    int16_t sc[40 * 3];
    for (size_t i = 0; i < sizeof sc / sizeof sc[0]; i++)
        sc[i] = 1;
    codes[37][69] = codes[37][70] = codes[37][71] = 5; /* 3 in columns 68 to 71 */
    struct accel_matrix_parts parts = { ACCEL_INT(4), 40,   96,   32,   codes[0], sc,
                                        NULL,         NULL, NULL, NULL, NULL,     NULL };
    const struct pack_shape nm_shapes[] = { { 16, 16, 4, 0, 0 }, { 8, 64, 8, 0, 0 } };
    struct packed p = { .row_tiles = 77 };
    struct accel_error err;
    accel_matrix *mat;
    assert_int_equal(accel_matrix_from_codes(&parts, &mat, NULL), ACCEL_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pack_matrix(accel_find_kind("nm"), &nm_shapes[i], mat, &p, &err),
                         ACCEL_E_UNSUPPORTED);
        assert_non_null(strstr(err.text, "kind nm"));
        assert_non_null(strstr(err.text, "int4"));
        assert_non_null(strstr(err.text, "row 37"));
        assert_non_null(strstr(err.text, "columns 68..71 hold 3"));
        assert_non_null(strstr(err.text, "prune it"));
    }
    assert_int_equal(p.row_tiles, 77); /* untouched */
    accel_matrix_free(mat);
}

static const char *refuse_all(accel_format f)
{
    (void)f;
    return "it is a test";
}

static void what_no_command_can_describe_is_refused(void **state)
{
    (void)state;
    struct rng rng = { 3 };
    struct packed p = { .row_tiles = 77 };
    struct accel_error err;
    const struct pe_kind *mac = accel_find_kind("mac");
    accel_matrix *mat = random_matrix(&rng, ACCEL_INT(1), 16, 2, 32, 0);
    const struct pack_shape bad[] = {
        { 3, 8, 1, 0, 0 }, { 0, 8, 1, 0, 0 },  { 512, 8, 1, 0, 0 },
        { 4, 4, 1, 0, 0 }, { 4, 12, 1, 0, 0 }, { 4, 512, 1, 0, 0 },
        { 4, 8, 8, 0, 0 }, { 4, 8, 3, 0, 0 },  { 4, 8, 0, 0, 0 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pack_matrix(mac, &bad[i], mat, &p, &err), ACCEL_E_ARG);
    const struct pack_shape not_threes[] = { { 4, 32, 1, 0, 0 },
                                             { 4, 12, 1, 0, 0 },
                                             { 4, 72, 1, 0, 0 } };
    for (size_t i = 0; i < sizeof not_threes / sizeof not_threes[0]; i++)
        assert_int_equal(pack_matrix(accel_find_kind("lut3"), &not_threes[i], mat, &p, &err),
                         ACCEL_E_ARG);
    const struct pe_kind picky = { .name = "picky", .refuse = refuse_all };
    assert_int_equal(pack_matrix(&picky, &shapes[0], mat, &p, &err), ACCEL_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "picky"));
    assert_non_null(strstr(err.text, "int1"));
    assert_non_null(strstr(err.text, "it is a test"));
    accel_matrix_free(mat);

    mat = random_matrix(&rng, ACCEL_INT(1), 0, 4 * 65536, 1, 0);
    assert_int_equal(pack_matrix(mac, &shapes[0], mat, &p, &err), ACCEL_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "row tiles"));
    accel_matrix_free(mat);
    mat = random_matrix(&rng, ACCEL_INT(1), 0, 1, 8 * 65536, 0);
    assert_int_equal(pack_matrix(mac, &shapes[0], mat, &p, &err), ACCEL_E_UNSUPPORTED);
    accel_matrix_free(mat);
    assert_int_equal(p.row_tiles, 77); /* untouched throughout */
    assert_int_equal(pack_matrix(NULL, &shapes[0], NULL, &p, &err), ACCEL_E_ARG);
}

static void kinds_are_found_by_name_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < accel_kind_count; i++)
        assert_ptr_equal(accel_find_kind(accel_kinds[i].name), &accel_kinds[i]);
    assert_null(accel_find_kind("ma"));
    assert_null(accel_find_kind(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_of_every_kind_format_and_group_give_the_contracts_numbers),
        cmocka_unit_test(streams_of_every_shape_give_the_contracts_numbers),
        cmocka_unit_test(requantized_streams_give_the_contracts_int8),
        cmocka_unit_test(two_bit_codes_lie_where_the_description_says),
        cmocka_unit_test(slots_lie_where_the_description_says),
        cmocka_unit_test(nm_takes_half_of_the_least_allowed_n_words_a_step),
        cmocka_unit_test(a_matrix_that_breaks_2_of_4_is_refused_with_its_place),
        cmocka_unit_test(streams_take_no_more_bits_a_weight_than_promised),
        cmocka_unit_test(packing_adds_nothing_to_rows_that_fill_the_array),
        cmocka_unit_test(outliers_lie_where_the_description_says),
        cmocka_unit_test(what_no_command_can_describe_is_refused),
        cmocka_unit_test(kinds_are_found_by_name_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
