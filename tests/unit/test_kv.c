/* test_kv.c - the cache as codes: what a value becomes, and what must not change it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kv_jobs.h"
#include "llama.h"
#include "tiny_llama.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 100, CONTEXT = 128 };

static struct accel_error err;

static float random_float(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (float)(*state >> 40) * (2.0f / 16777216.0f) - 1.0f;
}

/* ---- the cache alone ---- */

struct cache {
    struct kv_cache kv;
    struct accel_model_info model;
    float rope[CONTEXT * 2 * 8]; /* a rotation by nothing */
    float in[2][TOKENS][64];     /* [keys] */
    float keys[64 * CONTEXT], values[64 * CONTEXT];
};

/* Tokens of 4 heads of 16, or as given, in one layer; channel 3 of the keys is large, 5 constant, 6 zero. */
static struct cache *fill(uint32_t heads, uint32_t dim, const struct accel_kv_options *how)
{
    struct cache *c = calloc(1, sizeof *c);
    uint64_t state = 1;
    assert_non_null(c);
    c->model = (struct accel_model_info){
        .layers = 1, .kv_heads = heads, .heads = heads, .head_dim = dim, .rope_dim = 8
    };
    for (size_t t = 0; t < CONTEXT; t++)
        for (size_t i = 0; i < 8; i++)
            c->rope[t * 16 + i] = 1.0f;
    assert_int_equal(kv_open(&c->kv, how, &c->model, CONTEXT, &err), ACCEL_OK);
    for (size_t t = 0; t < TOKENS; t++) {
        for (int keys = 0; keys < 2; keys++) {
            for (size_t i = 0; i < heads * dim; i++)
                c->in[keys][t][i] = random_float(&state);
            c->in[keys][t][3] = c->in[keys][t][3] * 50.0f + 20.0f;
            c->in[keys][t][5] = 7.0f;
            c->in[keys][t][6] = 0.0f;
        }
        assert_true(kv_put(&c->kv, 0, t, c->in[1][t], c->in[0][t]));
        if ((t + 1) % KV_BLOCK == 0)
            kv_round(&c->kv, t + 1);
    }
    kv_expand(&c->kv, 0, TOKENS, &c->model, c->rope, CONTEXT, c->keys, c->values);
    return c;
}

static void drop(struct cache *c)
{
    kv_close(&c->kv);
    free(c);
}

static double got(const struct cache *c, int keys, size_t t, size_t i)
{
    size_t dim = c->model.head_dim, base = i / dim * dim * CONTEXT;
    return (double)(keys ? c->keys[base + i % dim * CONTEXT + t]
                         : c->values[base + t * dim + i % dim]);
}

/* Half a step of the group that value i of token t is in, with a unit that is at most 1/128 too large. */
static double half_step(const struct cache *c, int keys, size_t t, size_t i, unsigned bits)
{
    double low = 1e30, high = -1e30;
    size_t span = 32;
    for (size_t k = 0; k < 32; k++) {
        double v = (double)(keys ? c->in[1][t / KV_BLOCK * KV_BLOCK + k][i]
                                 : c->in[0][t][i / span * span + k]);
        low = fmin(low, v);
        high = fmax(high, v);
    }
    double step = fmax((high - low) / ((1 << bits) - 1),
                       fmax(fabs(low), fabs(high)) / 32000 * KV_FINE);
    return step / 2 * 129 / 128;
}

static void a_value_comes_back_within_half_a_step(void **state)
{
    (void)state;
    static const struct accel_kv_options ways[] = { { .bits = 2 },
                                                    { .bits = 3 },
                                                    { .bits = 4 },
                                                    { .bits = 8 },
                                                    { .bits = 3, .value_bits = 2 },
                                                    { .bits = 2, .value_bits = 8 } };
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        struct accel_kv_options how = ways[way];
        struct cache *c = fill(4, 16, &how);
        double worst = 0;
        for (int keys = 0; keys < 2; keys++)
            for (size_t t = 0; t < TOKENS; t++)
                for (size_t i = 0; i < 64; i++) {
                    unsigned bits = keys || !how.value_bits ? how.bits : how.value_bits;
                    double off = fabs(got(c, keys, t, i) - (double)c->in[keys][t][i]);
                    if (t >= TOKENS / KV_BLOCK * KV_BLOCK)
                        assert_true(off == 0);
                    else
                        worst = fmax(worst,
                                     off / (half_step(c, keys, t, i, bits) * (1 + 1.0 / KV_FINE)));
                }
        assert_true(worst <= 1 && worst > 0.5);
        drop(c);
    }
}

/* By hand: values 0, 1, 2, 3 and the like need no rounding in 2 bits. */
static void values_on_the_grid_are_exact(void **state)
{
    (void)state;
    struct accel_kv_options how = { .bits = 2 };
    struct cache *c = fill(2, 16, &how);
    float k[32], v[32];
    for (size_t t = 0; t < KV_BLOCK; t++) {
        for (size_t i = 0; i < 32; i++) {
            k[i] = (float)((t + i) % 4) * 0.375f - 0.75f * (float)i;
            v[i] = (float)(i % 4) * 1024.0f - 512.0f;
        }
        kv_put(&c->kv, 0, t, k, v);
    }
    kv_round(&c->kv, KV_BLOCK);
    kv_expand(&c->kv, 0, KV_BLOCK, &c->model, c->rope, CONTEXT, c->keys, c->values);
    for (size_t t = 0; t < KV_BLOCK; t++)
        for (size_t i = 0; i < 32; i++) {
            assert_true(got(c, 1, t, i) == (double)((t + i) % 4) * 0.375 - 0.75 * (double)i);
            assert_true(got(c, 0, t, i) == (double)(i % 4) * 1024 - 512);
        }
    drop(c);
}

static void extreme_values_stay_finite(void **state)
{
    (void)state;
    static const float list[] = { 1e38f, -1e38f, FLT_MIN / 1e6f, 1e-45f, 0, 1e30f, -1e-45f };
    struct accel_kv_options how = { .bits = 2 };
    struct cache *c = fill(2, 16, &how);
    float v[32];
    for (size_t t = 0; t < KV_BLOCK; t++) {
        for (size_t i = 0; i < 32; i++)
            v[i] = i < 7 ? list[i] : list[(t * 3 + i) % (i < 16 ? 7 : 4)];
        assert_true(kv_put(&c->kv, 0, t, v, v));
    }
    kv_round(&c->kv, KV_BLOCK);
    kv_expand(&c->kv, 0, KV_BLOCK, &c->model, c->rope, CONTEXT, c->keys, c->values);
    for (size_t t = 0; t < KV_BLOCK; t++)
        for (size_t i = 0; i < 32; i++)
            assert_true(isfinite(got(c, 0, t, i)) && isfinite(got(c, 1, t, i)));
    for (size_t i = 0; i < 7; i++) /* constant channels */
        assert_true(fabs(got(c, 1, 0, i) - (double)list[i]) <=
                    fabs((double)list[i]) / 2000 + 2e-40);
    v[9] = INFINITY;
    assert_false(kv_put(&c->kv, 0, 0, v, c->in[0][0]));
    v[9] = 2e38f;
    assert_false(kv_put(&c->kv, 0, 0, v, c->in[0][0]));
    v[9] = NAN;
    assert_false(kv_put(&c->kv, 0, 0, c->in[0][0], v));
    drop(c);
}

static void a_token_takes_the_bytes_that_are_said(void **state)
{
    (void)state;
    struct accel_kv_options how = { .bits = 2 };
    struct cache *c = fill(4, 16, &how);
    /* 128 codes of 2 bits, 64 channels' scales for 32 tokens, 2 scales of values: of 4 bytes each */
    assert_true(kv_token_bytes(&c->kv) == 32 + 8 + 8);
    assert_int_equal(kv_newest_bytes(&c->kv), 2 * 32 * 64 * 4);
    drop(c);
    how = (struct accel_kv_options){ .bits = 4, .value_bits = 3 };
    c = fill(4, 16, &how);
    assert_true(kv_token_bytes(&c->kv) == 32 + 24 + 8 + 8);
    drop(c);
    how.value_bits = 5;
    struct kv_cache kv = { 0 };
    struct accel_model_info model = { .layers = 1, .kv_heads = 1, .head_dim = 2 };
    assert_int_equal(kv_open(&kv, &how, &model, CONTEXT, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "2, 3, 4, 8 and 0"));
    kv_close(&kv);
}

/* ---- attention as jobs ---- */

/* Attention of one token's head in double, over what the codes stand for. */
static void attend_exactly(const struct cache *c, const float *q, uint32_t head, size_t count,
                           double *out)
{
    const size_t dim = c->model.head_dim;
    const float *keys = c->keys + head * dim * CONTEXT, *values = c->values + head * dim * CONTEXT;
    double scores[CONTEXT], sum = 0;
    for (size_t t = 0; t < count; t++) {
        double dot = 0;
        for (size_t d = 0; d < dim; d++)
            dot += (double)q[d] * (double)keys[d * CONTEXT + t];
        sum += scores[t] = exp(dot / sqrt((double)dim));
    }
    for (size_t d = 0; d < dim; d++) {
        out[d] = 0;
        for (size_t t = 0; t < count; t++)
            out[d] += scores[t] / sum * (double)values[t * dim + d];
    }
}

/* Queries of 16 bits and weights of 16 bits are all that differs; `share` heads read each head's keys. */
static void jobs_give_what_their_codes_stand_for(void **state)
{
    (void)state;
    static const struct accel_kv_options ways[] = { { .bits = 8, .jobs = 1 },
                                                    { .bits = 3, .value_bits = 2, .jobs = 1 },
                                                    { .bits = 2, .value_bits = 4, .jobs = 1 } };
    static const struct {
        const char *device;
        uint32_t heads, dim, share, batch;
    } shapes[] = { { "cpu:", 4, 16, 1, 1 },
                   { "cpu:path=reference", 2, 32, 3, 4 },
                   { "cpu:", 8, 8, 2, 1 } };
    enum { WIDTH = 192 };
    for (size_t i = 0; i < 9; i++) {
        accel_dev *on;
        struct kv_jobs jobs;
        struct cache *c = fill(shapes[i / 3].heads, shapes[i / 3].dim, &ways[i % 3]);
        const uint32_t dim = c->model.head_dim, share = shapes[i / 3].share;
        float y[4][WIDTH], q[4][WIDTH];
        uint64_t seed = i;
        c->model.heads *= share;
        assert_int_equal(accel_open(shapes[i / 3].device, NULL, &on, &err), ACCEL_OK);
        assert_int_equal(
            kv_jobs_open(&jobs, &c->kv, on, &c->model, CONTEXT, shapes[i / 3].batch, 0, &err),
            ACCEL_OK);
        uint32_t all = c->kv.rounded;
        for (c->kv.rounded = KV_BLOCK; c->kv.rounded <= all; c->kv.rounded += KV_BLOCK)
            assert_int_equal(kv_jobs_load(&jobs, &err), ACCEL_OK);
        c->kv.rounded = all;
        c->kv.how.jobs = 0; /* all tokens as floats */
        kv_expand(&c->kv, 0, TOKENS, &c->model, c->rope, CONTEXT, c->keys, c->values);
        size_t n = shapes[i / 3].batch, pos = TOKENS - n;
        for (size_t k = 0; k < n * WIDTH; k++)
            q[k / WIDTH][k % WIDTH] = random_float(&seed) * (k % dim == 3 ? 0.01f : 0.5f);
        memcpy(y, q, sizeof y);
        assert_int_equal(kv_jobs_attend(&jobs, 0, n, pos, c->keys, c->values, y[0], WIDTH, &err),
                         ACCEL_OK);
        for (size_t t = 0; t < n; t++)
            for (uint32_t head = 0; head < c->model.heads; head++) {
                double want[32];
                attend_exactly(c, q[t] + (size_t)head * dim, head / share, pos + t + 1, want);
                for (size_t d = 0; d < dim; d++)
                    assert_true(fabs(want[d] - (double)y[t][head * dim + d]) < 2e-3 * (d == 3 ? 70
                                                                                       : d == 5
                                                                                           ? 7
                                                                                           : 1));
            }
        kv_jobs_close(&jobs);
        accel_close(on);
        drop(c);
    }
}

/* ---- models ---- */

static struct tiny_llama tiny;
static accel_dev *dev;
static accel_model *model;
static uint32_t ids[TOKENS];

static int setup(void **state)
{
    (void)state;
    tiny_default(&tiny);
    tiny.context = CONTEXT;
    for (uint32_t i = 0; i < TOKENS; i++)
        ids[i] = i * 37 % TINY_VOCAB;
    return tiny_open(&tiny, &dev, &model, &err);
}

static int teardown(void **state)
{
    (void)state;
    tiny_close(&tiny, dev, model);
    return 0;
}

static accel_llm *load(struct accel_kv_options kv, uint32_t batch)
{
    struct accel_llm_options o = { .kv = kv, .batch = batch };
    accel_llm *llm = NULL;
    int rc = accel_llm_open(model, dev, &o, &llm, &err);
    if (rc)
        print_message("%s\n", err.text);
    assert_int_equal(rc, ACCEL_OK);
    return llm;
}

static float *eval_on(accel_llm *llm, size_t first, size_t n)
{
    float *logits = malloc(n * TINY_VOCAB * sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(accel_llm_eval(llm, ids + first, n, n, logits, &err), ACCEL_OK);
    return logits;
}

static const struct accel_kv_options kinds[] = { { .bits = 8 },
                                                 { .bits = 4 },
                                                 { .bits = 3, .value_bits = 2 },
                                                 { .bits = 2 },
                                                 { .bits = 8, .jobs = 1 },
                                                 { .bits = 4, .value_bits = 2, .jobs = 1 } };
enum { KINDS = sizeof kinds / sizeof *kinds };

static void logits_have_the_same_bits_for_every_batch_size(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        accel_llm *llm = load(kinds[k], 1);
        float *want = eval_on(llm, 0, TOKENS);
        accel_llm_free(llm);
        for (uint32_t batch = 5; batch <= 100; batch += 27) {
            llm = load(kinds[k], batch);
            float *logits = eval_on(llm, 0, TOKENS);
            assert_memory_equal(logits, want, TOKENS * TINY_VOCAB * sizeof *want);
            free(logits);
            accel_llm_free(llm);
        }
        free(want);
    }
}

/* The mean distance of the last logits from those of a float cache. */
static double distance(struct accel_kv_options kv)
{
    accel_llm *exact = load((struct accel_kv_options){ 0 }, 0), *llm = load(kv, 0);
    float *want = eval_on(exact, 0, TOKENS), *logits = eval_on(llm, 0, TOKENS);
    double sum = 0;
    assert_memory_equal(logits, want, KV_BLOCK * TINY_VOCAB * sizeof *want);
    for (size_t i = (size_t)KV_BLOCK * TINY_VOCAB; i < (size_t)TOKENS * TINY_VOCAB; i++)
        sum += fabs((double)logits[i] - (double)want[i]);
    free(want);
    free(logits);
    accel_llm_free(exact);
    accel_llm_free(llm);
    return sum / ((TOKENS - KV_BLOCK) * TINY_VOCAB);
}

static void more_bits_are_nearer_to_a_float_cache(void **state)
{
    (void)state;
    double by[KINDS];
    for (size_t k = 0; k < KINDS; k++)
        by[k] = distance(kinds[k]);
    assert_true(by[0] > 0 && by[0] < by[1] / 2 && by[1] < by[2] / 2 && by[2] < by[3] && by[3] < 1);
    assert_true(by[4] > 0 && by[4] < by[1] / 2 && by[4] < by[5] / 2 && by[5] < by[3]);
}

static void a_rewind_to_floats_or_to_a_block_is_exact(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        accel_llm *llm = load(kinds[k], 0);
        float *all = eval_on(llm, 0, TOKENS);
        static const uint32_t to[] = { 98, 96, 64, 0 };
        for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
            accel_llm_rewind(llm, to[i]);
            float *again = eval_on(llm, to[i], TOKENS - to[i]);
            assert_memory_equal(again, all + to[i] * TINY_VOCAB,
                                (TOKENS - to[i]) * TINY_VOCAB * sizeof *all);
            free(again);
        }
        free(all);
        accel_llm_free(llm);
    }
}

/* Tokens of a rounded block stay rounded: what follows is near, and the same every time. */
static void a_rewind_into_a_block_of_codes_goes_on_from_them(void **state)
{
    (void)state;
    enum { TO = 70 };
    accel_llm *llm = load(kinds[0], 0);
    float *all = eval_on(llm, 0, TOKENS), *again[2];
    for (int i = 0; i < 2; i++) {
        accel_llm_rewind(llm, TO);
        again[i] = eval_on(llm, TO, TOKENS - TO);
        accel_llm_rewind(llm, 0);
        free(eval_on(llm, 0, TOKENS));
    }
    size_t count = (size_t)(TOKENS - TO) * TINY_VOCAB;
    assert_memory_equal(again[0], again[1], count * sizeof *all);
    double off = 0;
    for (size_t i = 0; i < count; i++)
        off += fabs((double)(again[0][i] - all[TO * TINY_VOCAB + i]));
    assert_true(off / (double)count < 0.1);
    free(all);
    free(again[0]);
    free(again[1]);
    accel_llm_free(llm);
}

static void a_token_of_no_vocabulary_changes_nothing(void **state)
{
    (void)state;
    accel_llm *llm = load(kinds[2], 0);
    const uint32_t wrong = TINY_VOCAB;
    float logits[TINY_VOCAB];
    free(eval_on(llm, 0, 40));
    assert_int_equal(accel_llm_eval(llm, &wrong, 1, 1, logits, &err), ACCEL_E_ARG);
    float *end = eval_on(llm, 40, 60);
    accel_llm_rewind(llm, 0);
    float *all = eval_on(llm, 0, TOKENS);
    assert_memory_equal(end, all + 40 * TINY_VOCAB, 60 * TINY_VOCAB * sizeof *all);
    free(all);
    free(end);
    accel_llm_free(llm);
}

static void what_is_said_of_a_cache_is_checked(void **state)
{
    (void)state;
    struct accel_llm_info info;
    struct accel_llm_options o = { .kv.bits = 5 };
    accel_llm *llm = NULL;
    assert_int_equal(accel_llm_open(model, dev, &o, &llm, &err), ACCEL_E_ARG);
    assert_null(llm);
    o.kv = (struct accel_kv_options){ .jobs = 1 };
    assert_int_equal(accel_llm_open(model, dev, &o, &llm, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "cache of codes only"));
    o.kv.jobs = 0;
    o.kv.bits = 5;
    assert_true(accel_kv_token_bytes(model, &o.kv) == 0 && accel_kv_token_bytes(NULL, &o.kv) == 0 &&
                accel_kv_token_bytes(model, NULL) == 0);
    /* 64 codes of 2 layers, 2 * 16 channels, and a scale for the values of both heads */
    assert_true(accel_kv_token_bytes(model, &kinds[0]) == 64 + 4 + 8);
    llm = load((struct accel_kv_options){ 0 }, 0);
    accel_llm_get_info(llm, &info);
    assert_true(info.kv_token_bytes == 2 * 2 * 16 * 4 && info.kv_newest_bytes == 0);
    accel_llm_free(llm);
}

/* A value that is not finite is told as of any other part of the model. */
static void keys_that_are_not_finite_are_corrupt(void **state)
{
    (void)state;
    float *norm = tiny_floats(&tiny, "blk.1.attn_norm.weight"), kept = norm[3];
    norm[3] = 3e38f;
    accel_llm *llm = load(kinds[0], 0);
    float logits[TINY_VOCAB];
    assert_int_equal(accel_llm_eval(llm, ids, 20, 1, logits, &err), ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "not finite"));
    accel_llm_free(llm);
    norm[3] = kept;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_comes_back_within_half_a_step),
        cmocka_unit_test(values_on_the_grid_are_exact),
        cmocka_unit_test(extreme_values_stay_finite),
        cmocka_unit_test(a_token_takes_the_bytes_that_are_said),
        cmocka_unit_test(jobs_give_what_their_codes_stand_for),
        cmocka_unit_test(logits_have_the_same_bits_for_every_batch_size),
        cmocka_unit_test(more_bits_are_nearer_to_a_float_cache),
        cmocka_unit_test(a_rewind_to_floats_or_to_a_block_is_exact),
        cmocka_unit_test(a_rewind_into_a_block_of_codes_goes_on_from_them),
        cmocka_unit_test(a_token_of_no_vocabulary_changes_nothing),
        cmocka_unit_test(what_is_said_of_a_cache_is_checked),
        cmocka_unit_test(keys_that_are_not_finite_are_corrupt),
    };
    return cmocka_run_group_tests_name("kv", tests, setup, teardown);
}
