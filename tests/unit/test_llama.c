/* test_llama.c - llama models on cpu:, logits against a naive forward pass.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel_llm.h"
#include "tiny_llama.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 20 };
static const uint32_t ids[TOKENS] = { 1,  260, 261, 299, 5,   77, 80, 270, 280, 260,
                                      12, 13,  14,  298, 297, 1,  2,  288, 261, 3 };

static accel_dev *dev;
static struct accel_error err;

static int open_cpu(void **state)
{
    (void)state;
    return accel_open("cpu:", NULL, &dev, &err);
}

static int close_cpu(void **state)
{
    (void)state;
    accel_close(dev);
    return 0;
}

static accel_model *open_tiny(const struct tiny_llama *t)
{
    accel_model *m = NULL;
    err = (struct accel_error){ 0 };
    int rc = accel_model_open_memory(t->w.data, t->w.size, "tiny.gguf", &m, &err);
    if (rc)
        print_message("%s\n", err.text);
    assert_int_equal(rc, ACCEL_OK);
    return m;
}

static accel_llm *load(const accel_model *m, const struct accel_llm_options *o)
{
    accel_llm *llm = NULL;
    int rc = accel_llm_open(m, dev, o, &llm, &err);
    if (rc)
        print_message("%s\n", err.text);
    assert_int_equal(rc, ACCEL_OK);
    return llm;
}

static float *eval_all(accel_llm *llm, const uint32_t *tokens, size_t n)
{
    float *logits = malloc(n * TINY_VOCAB * sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(accel_llm_eval(llm, tokens, n, n, logits, &err), ACCEL_OK);
    return logits;
}

/* ---- a forward pass as one would write it on paper, in double ---- */

struct naive {
    struct tiny_llama *t;
    double most; /* of an activation's code */
    accel_model *m;
    double k[4][TOKENS][512], v[4][TOKENS][512];
};

static size_t index_of(struct naive *n, const char *name)
{
    struct accel_model_info info;
    struct accel_tensor_info t;
    accel_model_get_info(n->m, &info);
    for (size_t i = 0; i < info.tensors; i++)
        if (accel_model_get_tensor(n->m, i, &t) == ACCEL_OK && strcmp(t.name, name) == 0)
            return i;
    fail_msg("no tensor %s", name);
    return 0;
}

/* y = W x with the weights as the device sees them and x rounded to integers. Returns the rows. */
static size_t multiply(struct naive *n, const char *name, const double *x, double *y)
{
    accel_matrix *mat;
    struct accel_matrix_info info;
    assert_int_equal(accel_model_matrix(n->m, index_of(n, name), ACCEL_INT(8), 32, &mat, &err),
                     ACCEL_OK);
    accel_matrix_get_info(mat, &info);
    double top = 0.0;
    for (uint32_t i = 0; i < info.cols; i++)
        top = fmax(top, fabs(x[i]));
    double scale = top / n->most;
    for (uint32_t r = 0; r < info.rows; r++) {
        y[r] = 0.0;
        for (uint32_t i = 0; i < info.cols; i++)
            y[r] += accel_matrix_value(mat, r, i) * nearbyint(x[i] / scale) * scale;
    }
    accel_matrix_free(mat);
    return info.rows;
}

static void normalize(struct naive *n, const char *name, const double *x, double *out)
{
    const float *w = tiny_floats(n->t, name);
    double sum = 0.0;
    for (uint32_t i = 0; i < n->t->embd; i++)
        sum += x[i] * x[i];
    for (uint32_t i = 0; i < n->t->embd; i++)
        out[i] = x[i] / sqrt(sum / n->t->embd + 1e-5) * (double)w[i];
}

static void rotate(struct naive *n, double *v, size_t heads, size_t hd, size_t pos)
{
    size_t dim = n->t->rope_dim ? n->t->rope_dim : hd;
    const float *freqs = n->t->rope_freqs ? tiny_floats(n->t, "rope_freqs.weight") : NULL;
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < dim / 2; i++) {
            double angle = (double)pos * pow(10000.0, -2.0 * (double)i / (double)dim);
            if (n->t->rope_factor > 0)
                angle /= (double)n->t->rope_factor;
            if (freqs)
                angle /= (double)freqs[i];
            double *p = v + h * hd + 2 * i, a = p[0], b = p[1];
            p[0] = a * cos(angle) - b * sin(angle);
            p[1] = a * sin(angle) + b * cos(angle);
        }
}

static void naive_token(struct naive *n, uint32_t id, size_t pos, double *logits)
{
    const struct tiny_llama *t = n->t;
    size_t hd = t->head_dim ? t->head_dim : t->embd / t->heads, q = hd * t->heads,
           kv = hd * t->kv_heads;
    double x[512], norm[512], y[1024], att[512], ff[1024];
    char name[64];
    const float *embd = tiny_floats(n->t, "token_embd.weight") + (size_t)id * t->embd;
    for (uint32_t i = 0; i < t->embd; i++)
        x[i] = (double)embd[i];
    for (uint32_t l = 0; l < t->layers; l++) {
#define NAME(what) (snprintf(name, sizeof name, "blk.%u.%s.weight", l, what), name)
        normalize(n, NAME("attn_norm"), x, norm);
        if (t->fused_qkv) {
            multiply(n, NAME("attn_qkv"), norm, y);
        } else {
            multiply(n, NAME("attn_q"), norm, y);
            multiply(n, NAME("attn_k"), norm, y + q);
            multiply(n, NAME("attn_v"), norm, y + q + kv);
        }
        rotate(n, y, t->heads, hd, pos);
        rotate(n, y + q, t->kv_heads, hd, pos);
        memcpy(n->k[l][pos], y + q, kv * sizeof *y);
        memcpy(n->v[l][pos], y + q + kv, kv * sizeof *y);
        for (size_t h = 0; h < t->heads; h++) {
            size_t g = h / (t->heads / t->kv_heads) * hd;
            double w[TOKENS], sum = 0.0;
            for (size_t p = 0; p <= pos; p++) {
                w[p] = 0.0;
                for (size_t d = 0; d < hd; d++)
                    w[p] += y[h * hd + d] * n->k[l][p][g + d];
                w[p] = exp(w[p] / sqrt((double)hd));
                sum += w[p];
            }
            for (size_t d = 0; d < hd; d++) {
                att[h * hd + d] = 0.0;
                for (size_t p = 0; p <= pos; p++)
                    att[h * hd + d] += w[p] / sum * n->v[l][p][g + d];
            }
        }
        multiply(n, NAME("attn_output"), att, y);
        for (uint32_t i = 0; i < t->embd; i++)
            x[i] += y[i];
        normalize(n, NAME("ffn_norm"), x, norm);
        multiply(n, NAME("ffn_gate"), norm, ff);
        multiply(n, NAME("ffn_up"), norm, y);
        for (uint32_t i = 0; i < t->ff; i++)
            ff[i] = ff[i] / (1.0 + exp(-ff[i])) * y[i];
        multiply(n, NAME("ffn_down"), ff, y);
        for (uint32_t i = 0; i < t->embd; i++)
            x[i] += y[i];
    }
    normalize(n, "output_norm.weight", x, norm);
    multiply(n, t->separate_head ? "output.weight" : "token_embd.weight", norm, logits);
}

/* Compare every logit with the naive pass: one rounding of an activation that falls to the other
 * side moves a logit by less than a hundredth of the largest. */
static void check_activations(struct tiny_llama *t, uint32_t bits, double most, double tolerance)
{
    struct accel_llm_options o = { .act_bits = bits };
    struct naive *n = calloc(1, sizeof *n);
    double want[TINY_VOCAB], top = 0.0, worst = 0.0;
    assert_non_null(n);
    tiny_build(t);
    n->t = t;
    n->most = most;
    n->m = open_tiny(t);
    accel_llm *llm = load(n->m, &o);
    float *got = eval_all(llm, ids, TOKENS);
    for (size_t pos = 0; pos < TOKENS; pos++) {
        naive_token(n, ids[pos], pos, want);
        for (size_t i = 0; i < TINY_VOCAB; i++) {
            top = fmax(top, fabs(want[i]));
            worst = fmax(worst, fabs(want[i] - (double)got[pos * TINY_VOCAB + i]));
        }
    }
    if (!(worst < tolerance * top))
        fail_msg("%u bits: worst difference %g of %g", bits, worst, top);
    assert_true(top > 0.1);
    free(got);
    accel_llm_free(llm);
    accel_model_free(n->m);
    free(n);
    tiny_free(t);
}

static void check_against_naive(struct tiny_llama *t)
{
    check_activations(t, 0, 127.0, 0.01);
}

static void logits_equal_a_naive_pass_with_activations_of_other_widths(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    check_activations(&t, 16, 32639.0, 1e-4);
    tiny_default(&t);
    t.q8_k = true; /* parts of one layer in jobs of their own */
    check_activations(&t, 16, 32639.0, 1e-4);
    tiny_default(&t);
    check_activations(&t, 4, 7.0, 0.05);
}

static void logits_equal_a_naive_pass_with_grouped_query_attention(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    check_against_naive(&t);
}

static void logits_equal_a_naive_pass_with_one_key_head_per_query_head(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    t.kv_heads = 4;
    t.separate_head = true;
    check_against_naive(&t);
}

static void logits_equal_a_naive_pass_with_a_head_size_of_its_own(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    t.heads = 3; /* 32 columns are no multiple of 3 */
    t.kv_heads = 1;
    t.head_dim = 42; /* blocks of 32, 8 and single channels */
    t.rope_dim = 10;
    t.kv_array = true;
    check_against_naive(&t);
}

static void logits_equal_a_naive_pass_with_scaled_rotation(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    t.rope_factor = 4.0f;
    t.rope_freqs = true;
    check_against_naive(&t);
}

static void logits_equal_a_naive_pass_with_fused_qkv(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    t.fused_qkv = true;
    t.layers = 3;
    check_against_naive(&t);
}

static void logits_equal_a_naive_pass_when_k_has_a_format_of_its_own(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    t.q8_k = true;
    check_against_naive(&t);
}

/* ---- what does not change the bits ---- */

static void logits_have_the_same_bits_for_every_batch_size(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    tiny_build(&t);
    accel_model *m = open_tiny(&t);
    float *wanted[2] = { NULL };
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t batch = i / 2 < 4 ? i / 2 + 1 : i / 2 * 4;
        struct accel_llm_options o = { .batch = batch, .act_bits = i & 1 ? 16 : 8 };
        float *want = wanted[i & 1];
        accel_llm *llm = load(m, &o);
        float *got = eval_all(llm, ids, TOKENS);
        if (want)
            assert_memory_equal(got, want, TOKENS * TINY_VOCAB * sizeof *got);
        else
            wanted[i & 1] = got;
        if (want)
            free(got);
        accel_llm_free(llm);
    }
    assert_memory_not_equal(wanted[0], wanted[1], TOKENS * TINY_VOCAB * sizeof **wanted);
    free(wanted[0]);
    free(wanted[1]);
    accel_model_free(m);
    tiny_free(&t);
}

/* FNV-1a over the logits of a model. */
static uint32_t hash_of(struct tiny_llama *t)
{
    tiny_build(t);
    accel_model *m = open_tiny(t);
    accel_llm *llm = load(m, NULL);
    float *logits = eval_all(llm, ids, TOKENS);
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < (size_t)TOKENS * TINY_VOCAB; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], sizeof bits);
        hash = (hash ^ bits) * 16777619u;
    }
    free(logits);
    accel_llm_free(llm);
    accel_model_free(m);
    tiny_free(t);
    return hash;
}

/* The numbers are what gcc and clang give with and without optimization and vector units. */
static void logits_have_the_same_bits_whatever_compiler_made_the_library(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    assert_int_equal(hash_of(&t), 0xfc6e74a2u);
    tiny_default(&t);
    t.heads = 3;
    t.kv_heads = 1;
    t.head_dim = 42;
    t.rope_freqs = true;
    t.separate_head = true;
    assert_int_equal(hash_of(&t), 0x47ca12a5u);
}

static void evaluating_again_after_a_rewind_gives_the_same_bits(void **state)
{
    (void)state;
    struct tiny_llama t;
    struct accel_llm_info info;
    tiny_default(&t);
    tiny_build(&t);
    accel_model *m = open_tiny(&t);
    accel_llm *llm = load(m, NULL);
    float *all = eval_all(llm, ids, TOKENS);
    accel_llm_rewind(llm, 100); /* beyond the end: nothing to forget */
    accel_llm_get_info(llm, &info);
    assert_int_equal(info.position, TOKENS);
    accel_llm_rewind(llm, 7);
    float last[2 * TINY_VOCAB];
    assert_int_equal(accel_llm_eval(llm, ids + 7, TOKENS - 7, 2, last, &err), ACCEL_OK);
    assert_memory_equal(last, all + (TOKENS - 2) * TINY_VOCAB, sizeof last);
    accel_llm_get_info(llm, &info);
    assert_int_equal(info.position, TOKENS);
    assert_int_equal(info.tokens, 2 * TOKENS - 7);
    assert_int_equal(info.heads, TOKENS + 2);
    free(all);
    accel_llm_free(llm);
    accel_model_free(m);
    tiny_free(&t);
}

static void the_device_counts_every_mac_that_the_model_needs(void **state)
{
    (void)state;
    struct tiny_llama t;
    struct accel_stats stats;
    struct accel_llm_info info;
    tiny_default(&t);
    t.q8_k = true;
    tiny_build(&t);
    accel_model *m = open_tiny(&t);
    accel_llm *llm = load(m, NULL);
    accel_reset_totals(dev);
    float logits[3 * TINY_VOCAB];
    assert_int_equal(accel_llm_eval(llm, ids, TOKENS, 3, logits, &err), ACCEL_OK);
    accel_get_totals(dev, &stats);
    accel_llm_get_info(llm, &info);
    /* By hand: Q and output 32x32, K and V 16x32, three of 32x48; the head 300x32. */
    assert_int_equal(info.macs, 2 * TOKENS * (2 * 1024 + 2 * 512 + 3 * 1536) + 3 * 9600);
    assert_int_equal(stats.macs, info.macs);
    assert_int_equal(info.weights, 2 * (2 * 1024 + 2 * 512 + 3 * 1536) + 9600);
    accel_llm_free(llm);
    accel_model_free(m);
    tiny_free(&t);
}

/* ---- errors of evaluation ---- */

static void tokens_beyond_the_context_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct tiny_llama t;
    struct accel_llm_info info;
    float logits[TINY_VOCAB] = { 7.0f };
    tiny_default(&t);
    tiny_build(&t);
    accel_model *m = open_tiny(&t);
    struct accel_llm_options o = { .context = 10, .format = ACCEL_INT(4), .group = 16 };
    accel_llm *llm = load(m, &o);
    assert_int_equal(accel_llm_eval(llm, ids, 11, 1, logits, &err), ACCEL_E_CONTEXT);
    assert_true(logits[0] == 7.0f);
    assert_non_null(strstr(err.text, "11 tokens"));
    assert_int_equal(accel_llm_eval(llm, ids, 10, 0, NULL, &err), ACCEL_OK);
    assert_int_equal(accel_llm_eval(llm, ids, 1, 1, logits, &err), ACCEL_E_CONTEXT);
    accel_llm_get_info(llm, &info);
    assert_int_equal(info.position, 10);
    assert_int_equal(info.context, 10);
    accel_llm_free(llm);
    accel_model_free(m);
    tiny_free(&t);
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct tiny_llama t;
    float logits[TINY_VOCAB];
    const uint32_t wrong[2] = { 1, TINY_VOCAB };
    accel_matrix *mat;
    accel_llm *other;
    uint32_t *list;
    size_t count;
    struct accel_tensor_info info;
    tiny_default(&t);
    tiny_build(&t);
    accel_model *m = open_tiny(&t), *none;
    accel_llm *llm = load(m, NULL);
    assert_int_equal(accel_llm_eval(llm, wrong, 2, 1, logits, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "token 1 is 300"));
    assert_int_equal(accel_llm_eval(llm, ids, 2, 3, logits, &err), ACCEL_E_ARG);
    assert_int_equal(accel_llm_eval(llm, ids, 2, 1, NULL, &err), ACCEL_E_ARG);
    assert_int_equal(accel_llm_eval(NULL, ids, 2, 1, logits, &err), ACCEL_E_ARG);
    assert_int_equal(accel_llm_open(NULL, dev, NULL, &other, &err), ACCEL_E_ARG);
    struct accel_llm_options o = { .format = 0x777 };
    assert_int_equal(accel_llm_open(m, dev, &o, &other, &err), ACCEL_E_ARG);
    o = (struct accel_llm_options){ .act_bits = 5 };
    assert_int_equal(accel_llm_open(m, dev, &o, &other, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "use 4, 8 or 16"));
    o = (struct accel_llm_options){ .context = UINT32_MAX };
    assert_int_equal(accel_llm_open(m, dev, &o, &other, &err), ACCEL_E_ARG);
    assert_int_equal(accel_model_open(NULL, &none, &err), ACCEL_E_ARG);
    assert_int_equal(accel_model_open("/does/not/exist.gguf", &none, &err), ACCEL_E_IO);
    assert_int_equal(accel_model_open_memory(NULL, 0, "x", &none, &err), ACCEL_E_ARG);
    assert_int_equal(accel_model_matrix(m, 1, ACCEL_INT(8), 32, &mat, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "output_norm.weight"));
    assert_int_equal(accel_model_matrix(m, 1000, ACCEL_INT(8), 32, &mat, &err), ACCEL_E_ARG);
    assert_int_equal(accel_model_get_tensor(m, 1000, &info), ACCEL_E_ARG);
    assert_int_equal(accel_tokenize(NULL, "a", 1, &list, &count, &err), ACCEL_E_ARG);
    assert_int_equal(accel_detokenize(m, TINY_VOCAB + 5, NULL, 0), 0);
    assert_int_equal(accel_token_is_end(m, TINY_VOCAB + 5), 0);
    assert_int_equal(accel_token_is_end(m, 2), 1);
    accel_llm_free(llm);
    accel_llm_free(NULL);
    accel_model_free(m);
    accel_model_free(NULL);
    tiny_free(&t);
}

static void a_model_that_computes_infinities_is_called_damaged(void **state)
{
    (void)state;
    struct tiny_llama t;
    struct accel_llm_info info;
    float logits[TINY_VOCAB];
    tiny_default(&t);
    t.norm_scale = 2e38f;
    tiny_build(&t);
    accel_model *m = open_tiny(&t);
    accel_llm *llm = load(m, NULL);
    assert_int_equal(accel_llm_eval(llm, ids, 4, 1, logits, &err), ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "not finite"));
    accel_llm_get_info(llm, &info);
    assert_int_equal(info.position, 0);
    accel_llm_free(llm);
    accel_model_free(m);
    tiny_free(&t);
}

static void a_norm_weight_that_is_not_a_number_is_found_when_loading(void **state)
{
    (void)state;
    struct tiny_llama t;
    accel_llm *llm;
    tiny_default(&t);
    tiny_build(&t);
    tiny_floats(&t, "blk.1.ffn_norm.weight")[3] = NAN;
    accel_model *m = open_tiny(&t);
    assert_int_equal(accel_llm_open(m, dev, NULL, &llm, &err), ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "blk.1.ffn_norm.weight"));
    accel_model_free(m);
    tiny_floats(&t, "blk.1.ffn_norm.weight")[3] = 1.0f;
    tiny_floats(&t, "blk.0.ffn_up.weight")[9] = INFINITY;
    m = open_tiny(&t);
    assert_true(accel_llm_open(m, dev, NULL, &llm, &err) < 0);
    assert_non_null(strstr(err.text, "blk.0.ffn_up.weight"));
    accel_model_free(m);
    tiny_free(&t);
}

static void a_rotation_factor_of_0_is_refused_when_loading(void **state)
{
    (void)state;
    struct tiny_llama t;
    accel_llm *llm;
    tiny_default(&t);
    t.rope_freqs = true;
    tiny_build(&t);
    tiny_floats(&t, "rope_freqs.weight")[1] = 0.0f;
    accel_model *m = open_tiny(&t);
    assert_int_equal(accel_llm_open(m, dev, NULL, &llm, &err), ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "rope_freqs.weight[1]"));
    accel_model_free(m);
    tiny_free(&t);
}

/* ---- perplexity and text ---- */

static int stop_at_2(void *user, uint64_t done, uint64_t total)
{
    assert_int_equal(total, *(uint64_t *)user);
    return done == 2;
}

static void perplexity_scores_the_second_half_of_whole_chunks(void **state)
{
    (void)state;
    struct tiny_llama t;
    struct accel_perplexity_result r;
    char text[200];
    uint32_t *list;
    size_t count;
    tiny_default(&t);
    tiny_build(&t);
    accel_model *m = open_tiny(&t);
    accel_llm *llm = load(m, NULL); /* a context of 64: chunks of 64 */
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + (char)(i * i % 17));
    assert_int_equal(accel_perplexity(llm, text, sizeof text, 0, NULL, NULL, &r, &err), ACCEL_OK);
    assert_int_equal(accel_tokenize(m, text, sizeof text, &list, &count, &err), ACCEL_OK);
    assert_int_equal(r.tokens, count);
    assert_int_equal(r.chunk, 64);
    assert_int_equal(r.chunks, count / 64);
    assert_int_equal(r.scored, r.chunks * 31);
    double nll = 0.0;
    for (size_t c = 0; c < r.chunks; c++) {
        list[c * 64] = 1;
        accel_llm_rewind(llm, 0);
        float *logits = eval_all(llm, list + c * 64, 64);
        for (size_t i = 32; i < 63; i++) {
            double sum = 0.0;
            for (size_t k = 0; k < TINY_VOCAB; k++)
                sum += exp((double)logits[i * TINY_VOCAB + k]);
            nll += log(sum) - (double)logits[i * TINY_VOCAB + list[c * 64 + i + 1]];
        }
        free(logits);
    }
    assert_true(fabs(r.nll - nll) < 1e-9 * nll);
    assert_true(fabs(r.perplexity - exp(nll / (double)r.scored)) < 1e-9 * r.perplexity);

    struct accel_perplexity_result one;
    assert_int_equal(accel_perplexity(llm, text, sizeof text, 1, NULL, NULL, &one, &err), ACCEL_OK);
    assert_int_equal(one.chunks, 1);
    uint64_t total = r.chunks;
    assert_true(total > 2);
    assert_int_equal(accel_perplexity(llm, text, sizeof text, 0, stop_at_2, &total, &one, &err),
                     ACCEL_E_CANCELLED);
    assert_int_equal(accel_perplexity(llm, text, 5, 0, NULL, NULL, &one, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "longer text"));
    assert_int_equal(accel_perplexity(NULL, text, 5, 0, NULL, NULL, &one, &err), ACCEL_E_ARG);
    free(list);
    accel_llm_free(llm);
    accel_model_free(m);
    tiny_free(&t);
}

/* The greedy text of the float32 trainer, told to the model token by token: it must have guessed
 * nearly every next one. Where it does not, two tokens are as good as equal. */
static void the_demo_model_guesses_the_story_of_its_float32_trainer(void **state)
{
    (void)state;
    static const uint32_t story[] = {
        1,   940, 431, 338, 261, 501, 986, 310, 261, 906, 376, 263, 272, 284, 967, 319, 261, 288,
        273, 379, 403, 986, 382, 472, 261, 411, 655, 479, 473, 306, 632, 976, 473, 306, 632, 368,
        261, 411, 271, 921, 987, 351, 291, 419, 415, 745, 976, 473, 306, 632, 368, 261, 564, 288,
        421, 974, 979, 846, 976, 277, 991, 578, 307, 938, 612, 309, 286, 716, 303, 976, 277, 991,
        671, 876, 873, 373, 355, 464, 286, 800, 266, 362, 596, 569, 330, 279, 986, 941, 978, 357,
        362, 487, 344, 526, 966, 295, 790, 298, 354, 605, 441, 645, 976, 446, 425, 310, 263, 491,
        289, 662, 976, 446, 425, 310, 263, 438, 289, 662, 976, 316, 330, 279, 295, 776, 505, 976,
        13,  984, 997, 965, 981, 265, 358, 392, 271, 458, 269, 309, 303, 362, 631, 976, 277, 990,
        420, 263, 846, 560, 867, 491, 981, 269, 281, 263, 288, 421, 974, 438, 269, 355, 473, 306,
        632, 262, 322, 468, 281, 943, 306, 976, 383, 544, 286, 713, 326, 431, 447, 263, 596, 569,
        926, 986, 281, 460, 447, 263, 325, 398, 926, 976, 394, 295, 475, 980, 661, 578, 261, 300,
        966, 302, 976, 277, 994, 979, 961, 260, 380, 780, 299, 393, 286, 479, 976, 277, 991, 582,
        321, 368, 963, 337, 354, 854, 355, 412, 376, 263, 564, 634, 986, 688, 263, 289, 351, 308,
        986, 286, 595, 263, 596, 569, 330, 279, 999, 277, 643, 261, 332, 966, 305, 971, 598, 846,
        309, 303, 362, 631, 976, 277, 991, 974, 329, 513, 365, 979, 738, 974, 402, 13,  992, 967,
        465, 286, 768, 415, 745, 263, 271, 921, 987, 351, 291, 447, 629, 307, 976, 412, 444, 473,
        306, 632, 806, 329, 261, 491, 260, 562, 988, 867, 974, 438, 557, 337, 320, 526, 358, 392,
        271, 458, 269, 976
    };
    enum { LENGTH = sizeof story / sizeof *story, PROMPT = 6 };
    accel_model *m;
    struct accel_sampler greedy = { 0 };
    struct accel_model_info info;
    uint32_t *list;
    size_t count, wrong = 0;
    if (accel_model_open("models/stories-ternary-tq2_0.gguf", &m, &err) == ACCEL_E_IO)
        skip();
    accel_llm *llm = load(m, NULL);
    accel_model_get_info(m, &info);
    assert_int_equal(accel_tokenize(m, "Once upon a time", 16, &list, &count, &err), ACCEL_OK);
    assert_int_equal(count, PROMPT);
    assert_memory_equal(list, story, PROMPT * sizeof *list);
    float *logits = malloc(LENGTH * info.vocab * sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(accel_llm_eval(llm, story, LENGTH, LENGTH, logits, &err), ACCEL_OK);
    for (size_t i = PROMPT; i < LENGTH; i++)
        wrong += accel_sample(&greedy, logits + (i - 1) * info.vocab, info.vocab, NULL) != story[i];
    print_message("%zu of %d guesses differ\n", wrong, LENGTH - PROMPT);
    assert_true(wrong <= 3);
    free(list);
    free(logits);
    accel_llm_free(llm);
    accel_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_equal_a_naive_pass_with_activations_of_other_widths),
        cmocka_unit_test(logits_equal_a_naive_pass_with_grouped_query_attention),
        cmocka_unit_test(logits_equal_a_naive_pass_with_one_key_head_per_query_head),
        cmocka_unit_test(logits_equal_a_naive_pass_with_a_head_size_of_its_own),
        cmocka_unit_test(logits_equal_a_naive_pass_with_scaled_rotation),
        cmocka_unit_test(logits_equal_a_naive_pass_with_fused_qkv),
        cmocka_unit_test(logits_equal_a_naive_pass_when_k_has_a_format_of_its_own),
        cmocka_unit_test(logits_have_the_same_bits_for_every_batch_size),
        cmocka_unit_test(logits_have_the_same_bits_whatever_compiler_made_the_library),
        cmocka_unit_test(evaluating_again_after_a_rewind_gives_the_same_bits),
        cmocka_unit_test(the_device_counts_every_mac_that_the_model_needs),
        cmocka_unit_test(tokens_beyond_the_context_are_refused_and_change_nothing),
        cmocka_unit_test(arguments_that_make_no_sense_are_refused),
        cmocka_unit_test(a_model_that_computes_infinities_is_called_damaged),
        cmocka_unit_test(a_norm_weight_that_is_not_a_number_is_found_when_loading),
        cmocka_unit_test(a_rotation_factor_of_0_is_refused_when_loading),
        cmocka_unit_test(perplexity_scores_the_second_half_of_whole_chunks),
        cmocka_unit_test(the_demo_model_guesses_the_story_of_its_float32_trainer),
    };
    return cmocka_run_group_tests_name("llama", tests, open_cpu, close_cpu);
}
