/* test_cuda.c - every format on a GPU against cpu:, bit for bit.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   test_cuda [few | models | short | two | lost | FORMAT]
 *       few: a small subset; short: models so small that a memory checker ends; two: two cards; lost: a card that
 *       fails, which this process cannot use after that
 *
 * Prints a line "ok NAME" or "not ok NAME" for each test. $ACCEL_CUDA: the device (default cuda:0). */
#include "../unit/random_matrix.h"
#include "../unit/tiny_llama.h"
#include "accel_llm.h"
#include "backend/cuda/host.h"
#include "llama.h"

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench {
    accel_dev *cpu, *gpu;
    struct rng rng;
    bool few;
    const char *only; /* a format's name; NULL: all */
    const char *on;   /* ahead of the names of tests */
    int failures;
    char why[640];
};

static const uint32_t columns_at[] = { 1, 2, 5, 8, 9, 16, 17, 40 };
#define COLUMNS (sizeof columns_at / sizeof *columns_at)

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static void report(struct bench *b, const char *name)
{
    printf("%s %s%s\n", b->why[0] ? "not ok" : "ok", b->on, name);
    if (b->why[0]) {
        printf("    %s\n", b->why);
        b->failures++;
    }
    fflush(stdout);
    b->why[0] = '\0';
}

static size_t size_of(enum accel_out out)
{
    return out == ACCEL_OUT_ACC ? sizeof(int64_t) : out == ACCEL_OUT_F32 ? sizeof(float) : 1;
}

/* One job on both devices, outputs poisoned. */
static void compare(struct bench *b, const char *what, const accel_weights *on_cpu,
                    const accel_weights *on_gpu, uint32_t rows, uint32_t cols, uint32_t n,
                    enum accel_out out)
{
    const size_t x_stride = cols + rng_below(&b->rng, 9), y_stride = rows + rng_below(&b->rng, 9);
    const size_t y_bytes = n * y_stride * size_of(out);
    int8_t *x = must(malloc(n * x_stride));
    uint8_t *want = must(malloc(y_bytes)), *got = must(malloc(y_bytes));
    float *scale = must(malloc(n * sizeof *scale));
    uint32_t *mul = must(malloc(rows * sizeof *mul));
    uint8_t *shift = must(malloc(rows));
    struct accel_error err = { 0, "" };
    random_activations(&b->rng, x, n * x_stride);
    memset(want, 0xFF, y_bytes); /* NaN */
    memset(got, 0xFF, y_bytes);
    for (uint32_t i = 0; i < n; i++)
        scale[i] = rng_float(&b->rng);
    for (uint32_t m = 0; m < rows; m++) {
        mul[m] = rng_below(&b->rng, 0x80000000u);
        shift[m] = (uint8_t)(rng_below(&b->rng, 8) ? 40 + rng_below(&b->rng, 20)
                                                   : rng_below(&b->rng, 63));
    }
    struct accel_job job = { .weights = on_cpu,
                             .x = x,
                             .n = n,
                             .x_stride = x_stride,
                             .out = out,
                             .y = want,
                             .y_stride = y_stride,
                             .col_scale = scale,
                             .requant_mul = mul,
                             .requant_shift = shift };
    int rc = accel_run(b->cpu, &job, NULL, &err);
    if (!rc) {
        job.weights = on_gpu;
        job.y = got;
        rc = accel_run(b->gpu, &job, NULL, &err);
    }
    if (rc && !b->why[0])
        snprintf(b->why, sizeof b->why, "%s, n %u: %s", what, n, err.text);
    for (size_t i = 0; i < n && !b->why[0]; i++) {
        for (size_t m = 0; m < rows && !b->why[0]; m++) {
            const size_t at = (i * y_stride + m) * size_of(out);
            if (!memcmp(want + at, got + at, size_of(out)))
                continue;
            int64_t a[2] = { 0, 0 };
            memcpy(&a[0], want + at, size_of(out));
            memcpy(&a[1], got + at, size_of(out));
            snprintf(b->why, sizeof b->why,
                     "%s, output %d, n %u: column %zu, row %zu: %llx, not %llx", what, (int)out, n,
                     i, m, (unsigned long long)a[1], (unsigned long long)a[0]);
        }
    }
    if (!b->why[0] && memcmp(want, got, y_bytes))
        snprintf(b->why, sizeof b->why, "%s, n %u: written between the columns", what, n);
    free(x);
    free(want);
    free(got);
    free(scale);
    free(mul);
    free(shift);
}

static void one_matrix(struct bench *b, const accel_matrix *mat, uint32_t n_end)
{
    struct accel_matrix_info info;
    struct accel_error err = { 0, "" };
    accel_weights *on_cpu = NULL, *on_gpu = NULL;
    char what[160];
    accel_matrix_get_info(mat, &info);
    snprintf(what, sizeof what, "%s %u x %u, group %u%s, %u outliers",
             accel_format_name(info.format), info.rows, info.cols, info.group,
             info.asymmetric ? ", asymmetric" : "", info.outliers);
    if (accel_load(b->cpu, mat, &on_cpu, &err) || accel_load(b->gpu, mat, &on_gpu, &err)) {
        if (!b->why[0])
            snprintf(b->why, sizeof b->why, "%s: %s", what, err.text);
    } else {
        for (size_t i = 0; i < COLUMNS && columns_at[i] <= n_end; i++)
            compare(b, what, on_cpu, on_gpu, info.rows, info.cols, columns_at[i],
                    (enum accel_out)((i + rng_below(&b->rng, 2)) % 3));
    }
    accel_unload(on_cpu);
    accel_unload(on_gpu);
}

static void formats(struct bench *b)
{
    const uint32_t shapes[][2] = { { 1, 1 }, { 5, 40 }, { 16, 256 }, { 33, 300 }, { 70, 1111 } };
    for (int f = 0; f < ALL_FORMATS; f += b->few ? 5 : 1) {
        char name[128];
        if (b->only && strcmp(b->only, accel_format_name(format_at(f))) != 0)
            continue;
        for (int g = 0; g < GROUPS; g++) {
            for (size_t s = 0; s < 5; s++) {
                if (b->few && (s + (size_t)g + (size_t)f) % 4)
                    continue;
                accel_matrix *mat = random_matrix(&b->rng, format_at(f), group_at[g], shapes[s][0],
                                                  shapes[s][1], (int)rng_below(&b->rng, 2));
                if (rng_below(&b->rng, 3) == 0) {
                    accel_matrix *with = with_outliers(&b->rng, mat, 1 + rng_below(&b->rng, 30));
                    accel_matrix_free(mat);
                    mat = with;
                }
                one_matrix(b, mat, b->few ? 17 : 40);
                accel_matrix_free(mat);
            }
        }
        snprintf(name, sizeof name, "%s is the same as on cpu: in every group, shape and output",
                 accel_format_name(format_at(f)));
        report(b, name);
    }
}

/* Long rows: many steps for each warp, sums near the end of 32 bits. */
static void long_rows(struct bench *b)
{
    static const uint32_t groups[] = { 0, 128, 32 };
    const accel_format formats_of[] = {
        ACCEL_INT(1),  ACCEL_INT(2), ACCEL_UINT(3), ACCEL_INT(4), ACCEL_BIP(5), ACCEL_INT(6),
        ACCEL_UINT(7), ACCEL_INT(8), ACCEL_TERNARY, ACCEL_FP4,    ACCEL_BIP(8), ACCEL_CODEBOOK4
    };
    for (size_t f = 0; f < sizeof formats_of / sizeof *formats_of; f++) {
        char name[128];
        for (size_t g = 0; g < 3; g++) {
            accel_matrix *mat = random_matrix(&b->rng, formats_of[f], groups[g], g ? 80 : 20,
                                              g ? 4096 : 600000, g == 1);
            one_matrix(b, mat, 16);
            accel_matrix_free(mat);
        }
        snprintf(name, sizeof name, "%s is the same as on cpu: in rows of 4096 and 600000",
                 accel_format_name(formats_of[f]));
        report(b, name);
    }
}

/* Enough columns for tiles: whole ones, a part of one, and the least that go there; odd rows and columns. */
static void many_columns(struct bench *b)
{
    static const uint32_t groups[] = { 0, 16, 32, 48, 96, 128, 256 };
    const accel_format formats_of[] = { ACCEL_INT(1),   ACCEL_INT(2),      ACCEL_UINT(3),
                                        ACCEL_INT(4),   ACCEL_UINT(4),     ACCEL_BIP(5),
                                        ACCEL_INT(6),   ACCEL_UINT(7),     ACCEL_INT(8),
                                        ACCEL_BIP(8),   ACCEL_TERNARY,     ACCEL_FP4,
                                        ACCEL_FP3,      ACCEL_FLOAT(2, 1), ACCEL_CODEBOOK4,
                                        ACCEL_CODEBOOK3 };
    static const uint32_t columns[] = { 64, 128, 201 };
    for (size_t f = 0; f < sizeof formats_of / sizeof *formats_of; f++) {
        char name[128];
        for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
            if (b->few && (f + g) % 5)
                continue;
            const uint32_t rows = 300 - (uint32_t)g, cols = g % 2 ? 1500 : 1536;
            struct accel_error err = { 0, "" };
            accel_weights *on_cpu = NULL, *on_gpu = NULL;
            accel_matrix *mat = random_matrix(&b->rng, formats_of[f], groups[g], rows, cols,
                                              (int)rng_below(&b->rng, 2));
            if (g % 3 == 0) {
                accel_matrix *with = with_outliers(&b->rng, mat, 20);
                accel_matrix_free(mat);
                mat = with;
            }
            if (accel_load(b->cpu, mat, &on_cpu, &err) || accel_load(b->gpu, mat, &on_gpu, &err)) {
                snprintf(b->why, sizeof b->why, "%s", err.text);
            } else {
                char what[64];
                snprintf(what, sizeof what, "%u x %u, group %u", rows, cols, groups[g]);
                for (size_t i = 0; i < (b->few ? 1 : 3); i++)
                    compare(b, what, on_cpu, on_gpu, rows, cols, columns[i],
                            (enum accel_out)((i + g) % 3));
            }
            accel_unload(on_cpu);
            accel_unload(on_gpu);
            accel_matrix_free(mat);
        }
        snprintf(name, sizeof name, "%s is the same as on cpu: with 64, 128 and 201 columns",
                 accel_format_name(formats_of[f]));
        report(b, name);
    }
}

static void a_device_lives_on_after_errors(struct bench *b)
{
    struct accel_error err = { 0, "" };
    accel_dev *dev = NULL;
    if (accel_open("cuda:63", NULL, &dev, &err) != ACCEL_E_URI)
        snprintf(b->why, sizeof b->why, "cuda:63 opens");
    accel_matrix *mat = random_matrix(&b->rng, ACCEL_INT(4), 32, 16, 64, 0);
    accel_weights *w = NULL;
    int64_t y[16] = { 5 };
    int8_t x[64] = { 1 };
    if (accel_load(b->gpu, mat, &w, &err))
        snprintf(b->why, sizeof b->why, "%s", err.text);
    struct accel_job job = {
        .weights = w, .x = x, .n = 1, .x_stride = 64, .y = y, .y_stride = 16, .deadline_ns = 1
    };
    if (accel_run(b->gpu, &job, NULL, &err) != ACCEL_E_TIMEOUT || y[0] != 5)
        snprintf(b->why, sizeof b->why, "a deadline of 1 ns was met");
    job.deadline_ns = 0;
    if (accel_run(b->gpu, &job, NULL, &err))
        snprintf(b->why, sizeof b->why, "%s", err.text);
    accel_unload(w);
    accel_matrix_free(mat);
    report(b, "a device runs on after a job that was too late");
}

/* All of the GPU's memory taken, in pieces that become smaller; then given back. */
static void a_device_lives_on_after_it_was_full(struct bench *b)
{
    enum { PIECES = 4096 };
    struct accel_error err = { 0, "" };
    accel_weights *w = NULL;
    accel_matrix *mat = random_matrix(&b->rng, ACCEL_INT(8), 0, 4096, 4096, 0);
    void **pieces = must(calloc(PIECES, sizeof *pieces));
    size_t count = 0;
    for (size_t bytes = (size_t)1 << 36; bytes >= (size_t)1 << 20; bytes /= 2)
        while (count < PIECES && cudaMalloc(&pieces[count], bytes) == cudaSuccess)
            count++;
    (void)cudaGetLastError();
    if (accel_load(b->gpu, mat, &w, &err) != ACCEL_E_NOMEM)
        snprintf(b->why, sizeof b->why, "a full GPU takes 16 MiB: %s", err.text);
    accel_unload(w);
    w = NULL;
    while (count)
        (void)cudaFree(pieces[--count]);
    if (accel_load(b->gpu, mat, &w, &err) && !b->why[0])
        snprintf(b->why, sizeof b->why, "with room again: %s", err.text);
    accel_unload(w);
    free(pieces);
    accel_matrix_free(mat);
    report(b,
           "a full GPU refuses a matrix as out of memory, and takes it when there is room again");
}

/* ---- whole models ---- */

/* Logits of both, poisoned before; *same: whether their bits are. */
static int both_eval(struct accel_llm *const llm[2], uint32_t vocab, const uint32_t *ids,
                     size_t count, size_t want, bool *same, struct accel_error *err)
{
    const size_t bytes = (want * vocab + 1) * sizeof(float);
    float *logits[2] = { must(malloc(bytes)), must(malloc(bytes)) };
    int rc[2] = { 0, 0 };
    for (int i = 0; i < 2; i++) {
        memset(logits[i], 0xFF, bytes); /* NaN */
        rc[i] = accel_llm_eval(llm[i], ids, count, want, logits[i], err);
    }
    *same = rc[0] == rc[1] && !memcmp(logits[0], logits[1], bytes);
    free(logits[0]);
    free(logits[1]);
    return rc[1];
}

/* A prompt in batches, tokens to the context's end, one more, then again from the middle. */
static void one_model(struct bench *b, const accel_model *model, const char *what,
                      const struct accel_llm_options *options)
{
    struct accel_error err = { 0, "" };
    struct accel_model_info info;
    struct accel_llm *llm[2] = { NULL, NULL };
    accel_model_get_info(model, &info);
    if (accel_llm_open(model, b->cpu, options, &llm[0], &err) ||
        accel_llm_open(model, b->gpu, options, &llm[1], &err)) {
        snprintf(b->why, sizeof b->why, "%s: %s", what, err.text);
        goto out;
    }
    if (!llm[1]->on_device)
        snprintf(b->why, sizeof b->why, "%s: the model is not on the GPU as a whole", what);
    const uint32_t context = llm[1]->info.context;
    uint32_t *ids = must(malloc((context + 1) * sizeof *ids));
    for (uint32_t i = 0; i <= context; i++)
        ids[i] = rng_below(&b->rng, info.vocab);
    for (uint32_t again = 0; again < 2 && !b->why[0]; again++) {
        bool same = true;
        uint32_t at = 0, prompt = context * 3 / 5 | 1;
        if (again) { /* a shorter prompt, of which nobody wants to know, over what was there before */
            accel_llm_rewind(llm[0], at = context / 4);
            accel_llm_rewind(llm[1], at);
            prompt = context / 8 + 1;
        }
        int rc = both_eval(llm, info.vocab, ids + at, prompt, again ? 0 : prompt, &same, &err);
        for (at += prompt; at < context && !rc && same; at++)
            rc = both_eval(llm, info.vocab, ids + at, 1, at != context - 3, &same, &err);
        if (rc || !same)
            snprintf(b->why, sizeof b->why, "%s: before token %u of %u: %s", what, at, context,
                     rc ? err.text : "other logits");
        if (!b->why[0] &&
            (both_eval(llm, info.vocab, ids, 1, 1, &same, &err) != ACCEL_E_CONTEXT || !same))
            snprintf(b->why, sizeof b->why, "%s: a token beyond the context's end", what);
    }
    free(ids);
out:
    accel_llm_free(llm[0]);
    accel_llm_free(llm[1]);
}

static void demo_models(struct bench *b)
{
    static const char *const files[] = { "models/stories-f16.gguf",
                                         "models/stories-ternary-tq2_0.gguf" };
    for (size_t i = 0; i < 2; i++) {
        struct accel_error err = { 0, "" };
        accel_model *model = NULL;
        char name[160];
        static const struct accel_llm_options options[] = {
            { .format = 0 },
            { .format = ACCEL_INT(4), .group = 128, .context = 200, .batch = 7 },
            { .format = ACCEL_FP4, .group = 32, .context = 100, .batch = 70 },
        };
        if (accel_model_open(files[i], &model, &err))
            snprintf(b->why, sizeof b->why, "%s", err.text);
        for (size_t o = 0; o < (b->few ? 1 : 3) && !b->why[0]; o++)
            one_model(b, model, files[i], &options[o]);
        accel_model_free(model);
        snprintf(name, sizeof name, "%s has the same logits as on cpu:, to the context's end",
                 files[i]);
        report(b, name);
    }
}

static void odd_models(struct bench *b)
{
    static const accel_format formats_of[] = { ACCEL_INT(8),    ACCEL_INT(1),     ACCEL_UINT(3),
                                               ACCEL_BIP(4),    ACCEL_TERNARY,    ACCEL_FP3,
                                               ACCEL_CODEBOOK4, ACCEL_OLIVE4F,    ACCEL_FLOAT(4, 3),
                                               ACCEL_INT(6),    ACCEL_FLOAT(2, 1) };
    static const uint32_t groups[] = { 0, 16, 32, 48, 96, 128 };
    for (uint32_t i = 0; i < sizeof formats_of / sizeof *formats_of; i++) {
        struct tiny_llama t;
        struct accel_error err = { 0, "" };
        accel_model *model = NULL;
        char what[96], name[128];
        tiny_default(&t);
        t.layers = 1 + i % 3;
        t.heads = 4;
        t.kv_heads = i % 2 ? 2 : 4;
        t.head_dim = i % 3 == 2 ? 24 : 0;
        t.rope_dim = i % 3 == 1 ? 8 : 0;
        t.embd = i % 4 == 3 ? 136 : 64 + 64 * (i % 2);
        t.ff = 96 + 130 * (i % 4);
        t.context = 60;
        t.fused_qkv = i % 5 == 0;
        t.separate_head = i % 2;
        t.rope_freqs = false;
        tiny_build(&t);
        snprintf(what, sizeof what, "%s, groups of %u", accel_format_name(formats_of[i]),
                 groups[i % 6]);
        const struct accel_llm_options options = { .format = formats_of[i],
                                                   .group = groups[i % 6],
                                                   .batch = 1 + i * 3 };
        if (accel_model_open_memory(t.w.data, t.w.size, "tiny", &model, &err))
            snprintf(b->why, sizeof b->why, "%s", err.text);
        else
            one_model(b, model, what, &options);
        accel_model_free(model);
        tiny_free(&t);
        snprintf(name, sizeof name, "a model of any shape has the same logits as on cpu:, in %s",
                 accel_format_name(formats_of[i]));
        report(b, name);
    }
}

/* One layer of 256 channels. */
static void one_layer(struct tiny_llama *t, uint32_t heads, uint32_t kv_heads, uint32_t head_dim,
                      uint32_t ff, uint32_t context)
{
    tiny_default(t);
    t->layers = 1;
    t->heads = heads;
    t->kv_heads = kv_heads;
    t->head_dim = head_dim;
    t->rope_dim = 0;
    t->embd = 256;
    t->ff = ff;
    t->context = context;
    t->rope_freqs = false;
    tiny_build(t);
}

/* A prompt, and tokens before and after the place from which the blocks of a head share its scores. */
static void short_models(struct bench *b)
{
    static const struct accel_llm_options options[] = {
        { .format = ACCEL_INT(4), .group = 128, .batch = 300 },
        { .format = ACCEL_INT(4), .group = 32, .batch = 300 },
        { .format = ACCEL_INT(8), .batch = 300 },
    };
    static const uint32_t begins[] = { 0, 70, 0, 262 }, ends[] = { 70, 72, 262, 264 };
    uint32_t ids[264];
    struct tiny_llama t;
    struct accel_error err = { 0, "" };
    accel_model *model = NULL;
    one_layer(&t, 2, 2, 64, 512, 264);
    for (uint32_t i = 0; i < 264; i++)
        ids[i] = rng_below(&b->rng, TINY_VOCAB);
    if (accel_model_open_memory(t.w.data, t.w.size, "tiny", &model, &err))
        snprintf(b->why, sizeof b->why, "%s", err.text);
    for (uint32_t o = 0; o < 3; o++) {
        struct accel_llm *llm[2] = { NULL, NULL };
        bool same = true;
        char name[96];
        int rc = b->why[0] ? ACCEL_E_CORRUPT
                           : accel_llm_open(model, b->cpu, &options[o], &llm[0], &err);
        if (!rc)
            rc = accel_llm_open(model, b->gpu, &options[o], &llm[1], &err);
        for (uint32_t i = 0; i < 4 && !rc && same; i++) {
            const uint32_t each = i % 2 ? 1 : ends[i] - begins[i];
            if (i == 2) {
                accel_llm_rewind(llm[0], 0);
                accel_llm_rewind(llm[1], 0);
            }
            for (uint32_t at = begins[i]; at < ends[i] && !rc && same; at += each)
                rc = both_eval(llm, TINY_VOCAB, ids + at, each, 1, &same, &err);
        }
        if ((rc || !same) && !b->why[0])
            snprintf(b->why, sizeof b->why, "%s", rc ? err.text : "other logits");
        accel_llm_free(llm[0]);
        accel_llm_free(llm[1]);
        snprintf(name, sizeof name, "a short run of a small model in %s, group %u",
                 accel_format_name(options[o].format), options[o].group);
        report(b, name);
    }
    accel_model_free(model);
    tiny_free(&t);
}

/* Wide heads and many positions: a head's attention is shared among blocks, and values come in many pieces. */
static void long_context(struct bench *b)
{
    static const uint32_t wide[] = { 128, 64, 256 };
    for (uint32_t i = 0; i < (b->few ? 1 : 3); i++) {
        struct tiny_llama t;
        struct accel_error err = { 0, "" };
        accel_model *model = NULL;
        char name[128];
        one_layer(&t, 4, i % 2 ? 4 : 2, wide[i], 256, 1301);
        const struct accel_llm_options options = { .format = ACCEL_INT(4),
                                                   .group = 32,
                                                   .batch = 64 };
        if (accel_model_open_memory(t.w.data, t.w.size, "tiny", &model, &err))
            snprintf(b->why, sizeof b->why, "%s", err.text);
        else
            one_model(b, model, "a long context", &options);
        accel_model_free(model);
        tiny_free(&t);
        snprintf(name, sizeof name,
                 "heads of %u in a context of 1301 have the same logits as on cpu:", wide[i]);
        report(b, name);
    }
}

/* Symmetric codes of one width in all layers, as one kernel takes them: steps that do not fill the last chunk, rows that
 * do not fill the last tile, more positions than a block of 512 threads. */
static void fused_layers(struct bench *b)
{
    static const struct {
        uint32_t bits, group, heads, kv_heads, head_dim, embd, ff, context;
    } list[] = { { 4, 128, 4, 2, 128, 256, 512, 600 }, { 4, 0, 2, 2, 64, 4360, 272, 40 },
                 { 2, 128, 8, 1, 16, 128, 4352, 40 },  { 2, 0, 3, 3, 256, 384, 1008, 530 },
                 { 3, 128, 40, 40, 32, 640, 208, 70 }, { 3, 0, 1, 1, 32, 132, 16, 600 } };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct tiny_llama t;
        struct accel_error err = { 0, "" };
        accel_model *model = NULL;
        char what[64], name[160];
        tiny_default(&t);
        t.layers = 3;
        t.heads = list[i].heads;
        t.kv_heads = list[i].kv_heads;
        t.head_dim = list[i].head_dim;
        t.rope_dim = i % 2 ? 16 : 0;
        t.embd = list[i].embd;
        t.ff = list[i].ff;
        t.context = list[i].context;
        t.rope_freqs = false;
        tiny_build(&t);
        const struct accel_llm_options options = { .format = ACCEL_INT(list[i].bits),
                                                   .group = list[i].group,
                                                   .batch = 64 };
        snprintf(what, sizeof what, "int%u, groups of %u", list[i].bits, list[i].group);
        if (accel_model_open_memory(t.w.data, t.w.size, "tiny", &model, &err))
            snprintf(b->why, sizeof b->why, "%s", err.text);
        else
            one_model(b, model, what, &options);
        accel_model_free(model);
        tiny_free(&t);
        snprintf(name, sizeof name,
                 "all layers in one kernel have the same logits as on cpu:, in %s", what);
        report(b, name);
    }
}

/* ---- two cards ---- */

static void two_cards(struct bench *b)
{
    struct accel_error err = { 0, "" };
    accel_dev *const one = b->gpu;
    int count = 0;
    (void)cudaGetDeviceCount(&count);
    (void)cudaGetLastError();
    if (accel_open("cuda:0+0", NULL, &b->gpu, &err) != ACCEL_E_URI)
        snprintf(b->why, sizeof b->why, "cuda:0+0: %s", err.text);
    report(b, "a card cannot be two");
    if (count < 2) {
        if (accel_open("cuda:0+1", NULL, &b->gpu, &err) != ACCEL_E_URI)
            snprintf(b->why, sizeof b->why, "cuda:0+1: %s", err.text);
        report(b, "two cards do not open where there is one");
        printf("ok two cards have the same results as cpu: # SKIP there is one\n");
        b->gpu = one;
        return;
    }
    const bool few = b->few;
    b->few = true;
    b->on = "two cards: ";
    if (accel_open("cuda:0+1:host=1", NULL, &b->gpu, &err)) {
        snprintf(b->why, sizeof b->why, "%s", err.text);
        report(b, "they open");
    } else {
        formats(b);
        many_columns(b);
        a_device_lives_on_after_errors(b);
        accel_close(b->gpu);
    }
    const int rc = accel_open("cuda:0+1", NULL, &b->gpu, &err);
    if (rc == ACCEL_E_UNSUPPORTED) {
        printf("ok two cards: models # SKIP %s\n", err.text);
    } else if (rc) {
        snprintf(b->why, sizeof b->why, "%s", err.text);
        report(b, "they open with NCCL");
    } else {
        demo_models(b);
        odd_models(b);
        long_context(b);
        accel_close(b->gpu);
    }
    b->gpu = one;
    b->few = few;
    b->on = "";
}

/* The last card reads weights from where there is no memory: it fails, and no other waits for it. */
static void a_card_fails(struct bench *b)
{
    struct accel_error err = { 0, "" };
    accel_dev *const one = b->gpu;
    accel_dev *two = NULL;
    int rc = accel_open("cuda:0+1", NULL, &two, &err);
    if (rc && rc != ACCEL_E_URI && rc != ACCEL_E_UNSUPPORTED)
        snprintf(b->why, sizeof b->why, "%s", err.text);
    printf("# %s\n", rc ? err.text : "two cards");
    b->gpu = two ? two : one;
    struct tiny_llama t;
    accel_model *model = NULL;
    accel_llm *llm = NULL;
    const uint32_t ids[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    float *logits = must(malloc(8 * TINY_VOCAB * sizeof *logits));
    tiny_default(&t);
    tiny_build(&t);
    rc = accel_model_open_memory(t.w.data, t.w.size, "tiny", &model, &err);
    if (!rc)
        rc = accel_llm_open(model, b->gpu, NULL, &llm, &err);
    if (!rc)
        rc = accel_llm_eval(llm, ids, 8, 8, logits, &err);
    if (rc && !b->why[0])
        snprintf(b->why, sizeof b->why, "%s", err.text);
    if (!rc) {
        struct cuda_weights *w = llm->layers[0].down.w[0]->priv;
        w->of[w->cards - 1].m.codes = (const void *)(uintptr_t)4096;
        for (int again = 0; again < 2 && !b->why[0]; again++) {
            rc = accel_llm_eval(llm, ids, 8, 8, logits, &err);
            if (rc != ACCEL_E_GONE)
                snprintf(b->why, sizeof b->why, "%s", rc ? err.text : "weights from nowhere");
            else
                printf("# %s\n", err.text);
        }
        w->of[w->cards - 1].m.codes = NULL;
    }
    accel_llm_free(llm);
    accel_model_free(model);
    accel_close(two);
    tiny_free(&t);
    free(logits);
    b->gpu = one;
    report(b, "a card that fails is gone: no other waits for it, and all can be closed");
}

int main(int argc, char **argv)
{
    struct bench b = { .rng = { 20 }, .on = "", .few = argc > 1 && !strcmp(argv[1], "few") };
    b.only = argc > 1 && !b.few ? argv[1] : NULL;
    struct accel_error err = { 0, "" };
    const char *uri = getenv("ACCEL_CUDA");
    if (accel_open("cpu:", NULL, &b.cpu, &err) ||
        accel_open(uri ? uri : "cuda:0", NULL, &b.gpu, &err)) {
        printf("not ok the GPU opens: %s\n", err.text);
        accel_close(b.cpu);
        return 1;
    }
    const bool models = b.only && !strcmp(b.only, "models");
    if (!models && !(b.only && !strcmp(b.only, "two")))
        formats(&b);
    if (!b.only || models) {
        demo_models(&b);
        odd_models(&b);
        long_context(&b);
        fused_layers(&b);
    }
    if (b.only && !strcmp(b.only, "short"))
        short_models(&b);
    if (b.only && !strcmp(b.only, "lost")) {
        a_card_fails(&b);
        accel_close(b.cpu);
        accel_close(b.gpu);
        return b.failures != 0;
    }
    if (!b.only)
        many_columns(&b);
    if (!b.few && !b.only)
        long_rows(&b);
    a_device_lives_on_after_errors(&b);
    if (!b.few && !b.only)
        a_device_lives_on_after_it_was_full(&b);
    if (!b.only || !strcmp(b.only, "two"))
        two_cards(&b);
    accel_close(b.cpu);
    accel_close(b.gpu);
    return b.failures != 0;
}
