/* selftest.c - accel selftest: random jobs of every format and group, compared with cpu:.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 150, MAX_COLS = 700, MAX_N = 5, MAX_GROUPS = (MAX_COLS + 15) / 16 };
enum { MAX_OUTLIERS = 6 }; /* of one row */

/* One random job: a matrix in exact parts, activations, and what both devices returned. */
struct trial {
    struct accel_matrix_parts parts;
    uint8_t codes[MAX_ROWS * MAX_COLS];
    int16_t sc[MAX_ROWS * MAX_GROUPS];
    uint8_t sh[MAX_ROWS * MAX_GROUPS], sel[MAX_ROWS * MAX_GROUPS];
    int32_t oc[MAX_ROWS * MAX_GROUPS];
    int8_t codebook[MAX_ROWS * 16];
    struct accel_outliers outliers;
    uint32_t first[MAX_ROWS + 1], col[MAX_ROWS * MAX_OUTLIERS];
    int16_t k[MAX_ROWS * MAX_OUTLIERS], outlier_sc[MAX_ROWS];
    uint8_t outlier_sh[MAX_ROWS];
    float row_scale[MAX_ROWS], col_scale[MAX_N];
    uint32_t mul[MAX_ROWS];
    uint8_t shift[MAX_ROWS];
    int8_t x[MAX_N * MAX_COLS];
    uint32_t n;
    int64_t y[2][MAX_N * MAX_ROWS]; /* big enough for every kind of output */
};

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint32_t below(uint64_t *state, uint32_t bound)
{
    uint32_t v = (uint32_t)(next_random(state) >> 32);
    return bound ? v % bound : 0;
}

/* A few outliers in every row, or in none. */
static void make_outliers(struct trial *t, bool extreme, uint64_t *seed)
{
    const uint32_t cols = t->parts.cols;
    uint32_t count = 0;
    t->first[0] = 0;
    for (uint32_t r = 0; r < t->parts.rows; r++) {
        const uint32_t end = count + below(seed, MAX_OUTLIERS + 1);
        for (uint32_t c = below(seed, cols); c < cols && count < end; c += 1 + below(seed, cols)) {
            t->col[count] = c;
            t->k[count++] = (int16_t)(extreme ? -10922 : (int)below(seed, 21845) - 10922);
        }
        t->first[r + 1] = count;
        t->outlier_sc[r] = (int16_t)(extreme ? -2048 : (int)below(seed, 4096) - 2048);
        t->outlier_sh[r] = (uint8_t)below(seed, 8);
    }
    t->outliers = (struct accel_outliers){ t->first, t->col, t->k, t->outlier_sc, t->outlier_sh };
    t->parts.outliers = &t->outliers;
}

/* Codes that the format does not have become others. */
static void make_legal(accel_format f, uint8_t *row, uint32_t cols)
{
    const bool pairs = f == ACCEL_OLIVE4 || f == ACCEL_OLIVE4F;
    for (uint32_t c = 0; c < cols; c++) {
        if (f == ACCEL_FLOAT(4, 3) && (row[c] & 0x7F) == 0x7F)
            row[c] &= 0xFE; /* NaN */
        /* a victim beside nothing, a zero or another victim */
        if (pairs && row[c] == 8 && ((c ^ 1u) >= cols || row[c ^ 1u] % 8 == 0))
            row[c] = 7;
    }
}

/* How far every group may be shifted so that 48 bits hold whatever comes. */
static unsigned shift_limit(accel_format f)
{
    int largest = 192; /* of codebooks and outliers of pairs, which no code tells alone */
    for (unsigned code = 0; code < 1u << accel_format_bits(f); code++)
        if (abs(accel_format_decode(f, code)) > largest)
            largest = abs(accel_format_decode(f, code));
    unsigned room = 1;
    for (uint64_t sum = (uint64_t)largest * 2048 * 128 * MAX_COLS;
         room < 8 && sum << room < 1ull << 46;)
        room++;
    return room; /* shifts are less */
}

/* A random job; extreme ones (all codes and activations at their limits) now and then. */
static void make_trial(struct trial *t, accel_format f, uint32_t group, uint32_t max_n,
                       uint64_t *seed)
{
    unsigned bits = accel_format_bits(f);
    uint32_t codes = f == ACCEL_TERNARY ? 3 : 1u << bits;
    uint32_t rows = 1 + below(seed, MAX_ROWS), cols = 1 + below(seed, MAX_COLS);
    uint32_t groups = group ? (cols + group - 1) / group : 1;
    const int sc_end = accel_format_has_sel(f) ? 512 : 2048;
    const uint32_t shift_end = shift_limit(f);
    bool extreme = below(seed, 4) == 0, offsets = below(seed, 2) == 0, shifts = below(seed, 2) == 0;
    t->n = 1 + below(seed, max_n < MAX_N ? max_n : MAX_N);
    t->parts = (struct accel_matrix_parts){
        .format = f,
        .rows = rows,
        .cols = cols,
        .group = group,
        .codes = t->codes,
        .sc = t->sc,
        .sh = shifts ? t->sh : NULL,
        .oc = offsets ? t->oc : NULL,
        .row_scale = t->row_scale,
        .sel = accel_format_has_sel(f) ? t->sel : NULL,
        .codebook = f == ACCEL_CODEBOOK3 || f == ACCEL_CODEBOOK4 ? t->codebook : NULL,
    };
    for (size_t i = 0; i < (size_t)rows * cols; i++)
        t->codes[i] = (uint8_t)(extreme ? below(seed, 2) * (codes - 1) : below(seed, codes));
    for (size_t i = 0; i < (size_t)rows * groups; i++) {
        t->sc[i] = (int16_t)(extreme ? -sc_end : (int)below(seed, 2 * (uint32_t)sc_end) - sc_end);
        t->sh[i] = (uint8_t)below(seed, shift_end);
        t->sel[i] = (uint8_t)below(seed, 4);
        t->oc[i] = (int32_t)below(seed, 1 << 20) - (1 << 19);
    }
    for (size_t i = 0; i < (size_t)rows * 16; i++)
        t->codebook[i] = (int8_t)(extreme ? -128 : (int)below(seed, 256) - 128);
    for (uint32_t r = 0; r < rows; r++) {
        make_legal(f, t->codes + (size_t)r * cols, cols);
        t->row_scale[r] = (float)(1 + below(seed, 1000)) * 1e-6f;
        t->mul[r] = below(seed, 0x80000000u);
        t->shift[r] = (uint8_t)below(seed, 63);
    }
    for (uint32_t i = 0; i < t->n; i++)
        t->col_scale[i] = (float)below(seed, 1000) * 1e-3f;
    for (size_t i = 0; i < (size_t)t->n * cols; i++)
        t->x[i] = (int8_t)(extreme ? -128 : (int)below(seed, 256) - 128);
    if (below(seed, 4) == 0)
        make_outliers(t, extreme, seed);
}

/* Some devices take no offsets, or only matrices with many zeros: the same without offsets, two weights of every
 * four zero. False if the format has no zero. */
static bool make_easy(struct trial *t)
{
    accel_format f = t->parts.format;
    unsigned zero = 0, codes = f == ACCEL_TERNARY ? 3 : 1u << accel_format_bits(f);
    while (zero < codes && accel_format_decode(f, zero) != 0)
        zero++;
    for (uint32_t r = 0; r < t->parts.rows && zero < codes; r++)
        for (uint32_t c = 0; c < t->parts.cols; c++)
            if ((r / 2 * 2 + c) & 2) /* whole pairs of columns */
                t->codes[(size_t)r * t->parts.cols + c] = (uint8_t)zero;
    for (size_t i = 0; i < (size_t)t->parts.rows << accel_format_bits(f) && t->parts.codebook;
         i += codes)
        t->codebook[i] = 0;
    t->parts.oc = NULL;
    return zero < codes;
}

/* Run the trial on both devices with every kind of output. *equal tells whether all bits agree. */
static int run_trial(struct trial *t, accel_dev *const *devs, bool *equal, struct accel_error *err)
{
    accel_matrix *mat = NULL;
    accel_weights *w[2] = { NULL, NULL };
    int rc = accel_matrix_from_codes(&t->parts, &mat, err);
    for (int d = 0; d < 2 && !rc; d++)
        rc = accel_load(devs[d], mat, &w[d], err);
    for (int out = ACCEL_OUT_ACC; out <= ACCEL_OUT_I8 && !rc && *equal; out++) {
        for (int d = 0; d < 2 && !rc; d++) {
            struct accel_job job = {
                .weights = w[d],
                .x = t->x,
                .n = t->n,
                .x_stride = t->parts.cols,
                .out = (enum accel_out)out,
                .y = t->y[d],
                .y_stride = t->parts.rows,
                .col_scale = t->col_scale,
                .requant_mul = t->mul,
                .requant_shift = t->shift,
            };
            if (out != ACCEL_OUT_F32)
                job.col_scale = NULL;
            if (out != ACCEL_OUT_I8) {
                job.requant_mul = NULL;
                job.requant_shift = NULL;
            }
            memset(t->y[d], 0x55, sizeof t->y[d]);
            rc = accel_run(devs[d], &job, NULL, err);
        }
        if (!rc && memcmp(t->y[0], t->y[1], sizeof t->y[0]) != 0)
            *equal = false;
    }
    accel_unload(w[0]);
    accel_unload(w[1]);
    accel_matrix_free(mat);
    return rc;
}

static const uint32_t group_sizes[] = { 16, 32, 48, 64, 96, 128, 256, 0 };

struct tally {
    uint64_t jobs, formats, refused;
    bool equal;
    char where[160];
};

static int test_format(struct trial *t, accel_dev *const *devs, accel_format f,
                       const struct options *o, uint32_t max_n, uint64_t *seed, struct tally *sum)
{
    struct accel_error err = { 0 };
    bool any = false;
    for (size_t g = 0; g < sizeof group_sizes / sizeof *group_sizes; g++) {
        if (!accel_can_run(devs[1], f, group_sizes[g], &err)) {
            sum->refused++;
            continue;
        }
        any = true;
        for (uint64_t i = 0; i < o->jobs && sum->equal; i++) {
            uint64_t start = *seed;
            progress("%s, group %u: job %llu", accel_format_name(f), group_sizes[g],
                     (unsigned long long)i + 1);
            make_trial(t, f, group_sizes[g], max_n, seed);
            int rc = run_trial(t, devs, &sum->equal, &err);
            if (rc == ACCEL_E_UNSUPPORTED && make_easy(t))
                rc = run_trial(t, devs, &sum->equal, &err);
            if (rc == ACCEL_E_UNSUPPORTED && t->parts.outliers) { /* it has no unit for them */
                t->parts.outliers = NULL;
                rc = run_trial(t, devs, &sum->equal, &err);
            }
            if (rc)
                return report_error(&err);
            sum->jobs += 3;
            if (!sum->equal)
                snprintf(sum->where, sizeof sum->where,
                         "%s, group %u, %u x %u, %u columns, state %llu", accel_format_name(f),
                         group_sizes[g], t->parts.rows, t->parts.cols, t->n,
                         (unsigned long long)start);
        }
    }
    sum->formats += any;
    return EXIT_OK;
}

int run_selftest(const struct options *o)
{
    struct tally sum = { .equal = true };
    struct accel_error err = { 0 };
    struct accel_caps caps;
    accel_dev *devs[2] = { NULL, NULL };
    uint64_t seed = o->seed;
    struct trial *t = malloc(sizeof *t);
    int rc = EXIT_OK;
    if (!t) {
        err.status = ACCEL_E_NOMEM;
        return report_error(&err);
    }
    if ((rc = open_device("cpu:", &devs[0])) || (rc = open_device(first_device(o), &devs[1])))
        goto out;
    accel_get_caps(devs[1], &caps);
    for (unsigned i = 0; accel_format_at(i) && !rc && sum.equal; i++)
        rc = test_format(t, devs, accel_format_at(i), o, caps.max_n ? caps.max_n : MAX_N, &seed,
                         &sum);
    progress_clear();
    if (rc)
        goto out;
    if (o->json) {
        struct json j = { .out = stdout };
        json_object(&j, NULL);
        json_string(&j, "device", caps.uri);
        json_bool(&j, "passed", sum.equal);
        json_int(&j, "jobs", sum.jobs);
        json_int(&j, "formats", sum.formats);
        json_int(&j, "refused", sum.refused);
        json_int(&j, "seed", o->seed);
        if (!sum.equal)
            json_string(&j, "first_difference", sum.where);
        json_end_object(&j);
    } else if (sum.equal) {
        printf("passed: %llu jobs of %llu formats on %s, every bit as on cpu:\n",
               (unsigned long long)sum.jobs, (unsigned long long)sum.formats, caps.uri);
        if (sum.refused)
            printf("%llu pairs of format and group are not for this device\n",
                   (unsigned long long)sum.refused);
    } else {
        printf("failed on %s: %s\n", caps.uri, sum.where);
    }
    rc = sum.equal ? EXIT_OK : EXIT_MISMATCH;
out:
    accel_close(devs[0]);
    accel_close(devs[1]);
    free(t);
    return rc;
}
