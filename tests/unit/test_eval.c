/* test_eval.c - scores of models against a reference; plans of formats.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eval.h"
#include "llama.h"
#include "quant/quant.h"
#include "tiny_llama.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16, CHUNKS = 3 };

static struct accel_error err;
static struct tiny_llama tiny;
static accel_dev *dev;
static accel_model *model;

static int setup(void **state)
{
    (void)state;
    tiny_default(&tiny);
    return tiny_open(&tiny, &dev, &model, &err);
}

static int teardown(void **state)
{
    (void)state;
    tiny_close(&tiny, dev, model);
    return 0;
}

static struct eval_text random_text(void)
{
    struct eval_text t;
    uint32_t *ids = malloc(CHUNK * CHUNKS * sizeof *ids);
    assert_non_null(ids);
    for (uint32_t i = 0; i < CHUNK * CHUNKS; i++)
        ids[i] = i % CHUNK ? (i * 7919 + 13) % TINY_VOCAB : 1;
    eval_text_from_ids(ids, CHUNK, CHUNKS, TINY_VOCAB, &t);
    return t;
}

static accel_llm *open_how(bool real, accel_format f, const struct plan *plan)
{
    accel_llm *llm = NULL;
    struct accel_llm_options o = { .format = f, .group = 32, .context = CHUNK };
    struct llama_how how = { .float_math = real, .plan = plan };
    assert_int_equal(llama_open(model, dev, &o, &how, &llm, &err), ACCEL_OK);
    return llm;
}

static struct eval_score score(bool real, accel_format f, struct eval_text *t, int reference)
{
    struct eval_score s;
    accel_llm *llm = open_how(real, f, NULL);
    assert_int_equal(eval_score_model(llm, t, reference, NULL, NULL, &s, &err), ACCEL_OK);
    accel_llm_free(llm);
    return s;
}

static void a_model_equals_itself(void **state)
{
    (void)state;
    struct eval_text t = random_text();
    struct eval_score first = score(false, ACCEL_INT(4), &t, 1);
    struct eval_score again = score(false, ACCEL_INT(4), &t, 0);
    assert_true(first.nll == again.nll && first.scored == again.scored);
    assert_true(again.scored == CHUNKS * (CHUNK - 1 - CHUNK / 2));
    assert_true(again.excess == 0 && fabs(again.kl) < 1e-14 && again.same_top == 1);
    eval_text_close(&t);
}

/* All of it once more, from the logits themselves. */
static void scores_are_those_of_a_naive_sum(void **state)
{
    (void)state;
    struct eval_text t = random_text();
    struct eval_score base = score(true, 0, &t, 1), s = score(false, ACCEL_INT(3), &t, 0);
    accel_llm *llms[2] = { open_how(true, 0, NULL), open_how(false, ACCEL_INT(3), NULL) };
    static float logits[2][CHUNK - 1][TINY_VOCAB];
    double nll[2] = { 0, 0 }, kl = 0;
    unsigned same = 0, n = 0;
    for (int c = 0; c < CHUNKS; c++) {
        for (int m = 0; m < 2; m++) {
            accel_llm_rewind(llms[m], 0);
            assert_int_equal(accel_llm_eval(llms[m], t.ids + c * CHUNK, CHUNK - 1, CHUNK - 1,
                                            logits[m][0], &err),
                             ACCEL_OK);
        }
        for (int i = CHUNK / 2; i < CHUNK - 1; i++, n++) {
            double norm[2] = { 0, 0 };
            int top[2] = { 0, 0 };
            for (int m = 0; m < 2; m++) {
                for (int k = 0; k < TINY_VOCAB; k++) {
                    norm[m] += exp((double)logits[m][i][k]);
                    top[m] = logits[m][i][k] > logits[m][i][top[m]] ? k : top[m];
                }
                nll[m] += log(norm[m]) - (double)logits[m][i][t.ids[c * CHUNK + i + 1]];
            }
            for (int k = 0; k < TINY_VOCAB; k++) {
                double p = exp((double)logits[0][i][k]) / norm[0];
                kl += p * log(p / (exp((double)logits[1][i][k]) / norm[1]));
            }
            same += top[0] == top[1];
        }
    }
    assert_true(fabs(base.nll - nll[0]) < 1e-6 && fabs(s.nll - nll[1]) < 1e-6);
    assert_true(fabs(s.excess - (nll[1] - nll[0]) / n) < 1e-7);
    assert_true(fabs(s.kl - kl / n) < 1e-7 && s.kl > 0 && s.kl <= s.kl_most);
    assert_true(s.same_top == (double)same / n);
    assert_true(fabs(log(s.perplexity / base.perplexity) - s.excess) < 1e-9);
    accel_llm_free(llms[0]);
    accel_llm_free(llms[1]);
    eval_text_close(&t);
}

static void fewer_bits_are_further_from_the_floats(void **state)
{
    (void)state;
    struct eval_text t = random_text();
    score(true, 0, &t, 1);
    double kl8 = score(false, ACCEL_INT(8), &t, 0).kl, kl4 = score(false, ACCEL_INT(4), &t, 0).kl,
           kl2 = score(false, ACCEL_INT(2), &t, 0).kl;
    assert_true(kl8 > 0 && kl8 < kl4 && kl4 < kl2);
    eval_text_close(&t);
}

static void another_vocabulary_is_refused(void **state)
{
    (void)state;
    struct eval_text t = random_text();
    struct eval_score s;
    accel_llm *llm = open_how(true, 0, NULL);
    t.vocab++;
    assert_int_equal(eval_score_model(llm, &t, 0, NULL, NULL, &s, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "vocabulary of 300 tokens"));
    accel_llm_free(llm);
    eval_text_close(&t);
}

/* ---- plans ---- */

static int parse(const char *text, struct plan *p)
{
    return plan_parse(text, strlen(text), "x.plan", p, &err);
}

static void a_plan_gives_each_tensor_its_format(void **state)
{
    (void)state;
    struct plan p;
    struct plan_choice c = { 0 };
    assert_int_equal(
        parse("# all\n\n * = int4:64 # most\r\nblk.0.attn_q.weight=fp3:0\nx = int8", &p), ACCEL_OK);
    plan_find(&p, "blk.0.attn_q.weight", 19, &c);
    assert_true(c.format == ACCEL_FP3 && c.group == 0);
    plan_find(&p, "blk.0.attn_q", 12, &c);
    assert_true(c.format == ACCEL_INT(4) && c.group == 64);
    plan_find(&p, "x", 1, &c);
    assert_true(c.format == ACCEL_INT(8) && c.group == 32);
    plan_free(&p);
}

static void a_model_follows_its_plan(void **state)
{
    (void)state;
    struct plan p;
    struct eval_text t = random_text();
    struct eval_score mixed, same;
    double int8 = score(false, ACCEL_INT(8), &t, 1).nll;
    assert_int_equal(parse("blk.0.ffn_down.weight = int2:32\n", &p), ACCEL_OK);
    accel_llm *llm = open_how(false, ACCEL_INT(8), &p);
    assert_int_equal(eval_score_model(llm, &t, 0, NULL, NULL, &mixed, &err), ACCEL_OK);
    accel_llm_free(llm);
    plan_free(&p);
    assert_true(mixed.nll != int8 && mixed.kl > 0);
    assert_int_equal(parse("* = int8:32\n", &p), ACCEL_OK);
    llm = open_how(false, ACCEL_INT(2), &p);
    assert_int_equal(eval_score_model(llm, &t, 0, NULL, NULL, &same, &err), ACCEL_OK);
    assert_true(fabs(same.kl) < mixed.kl / 10);
    accel_llm_free(llm);
    plan_free(&p);
    eval_text_close(&t);
}

static void a_wrong_plan_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } wrong[] = {
        { "", "no line" },
        { "a = int4:64\nb int4\n", "line 2: expected NAME" },
        { "a = int9\n", "line 1: no format \"int9\"" },
        { "a = int4:33\n", "the group is one of" },
        { "a = int4:64\na = int4:64\n", "line 2: a second line for a" },
        { " = int4\n", "1 to 95 bytes" },
        { "a = nf4\n", "16 values are fixed" },
        { "a = \n", "no format \"\"" },
        { "a = int4:32+16\n", "how many of each 256" },
        { "a = int4+\n", "how many of each 256" },
        { "a = olive4+1\n", "olive4 has no outliers" },
        { "a = int4:32,3:4\n", "2:4, 2:8" },
        { "a = uint4:32,2:4\n", "int2 to int8" },
        { "a = int4:32+1,2:4\n", "1 to 15" },
        { "a = int4:32,2:4+1\n", "the group is one of" },
        { "a = int4:32,2:0\n", "2:4, 2:8" },
        { "a = int4:320000000+1\n", "the group is one of" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct plan p = { 0 };
        assert_int_equal(parse(wrong[i].text, &p), ACCEL_E_CORRUPT);
        if (!strstr(err.text, wrong[i].why))
            fail_msg("\"%s\": %s", wrong[i].text, err.text);
        assert_null(p.entries);
    }
}

static void bits_are_those_of_the_tensor_in_a_file(void **state)
{
    (void)state;
    static const char *const names[] = { "int4:32",    "uint3:16",      "fp3:96",
                                         "int2:0",     "codebook4:0",   "codebook3:0",
                                         "uint2:48+3", "codebook3:0+1", "int3:64,8:16" };
    float w[6 * 96];
    for (int i = 0; i < 6 * 96; i++)
        w[i] = (float)((i * 37) % 101) / 50.0F - 1.0F;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct plan_choice c;
        struct quant_tensor t = { 0 };
        char text[32];
        assert_int_equal(plan_parse_choice(names[i], 32, &c, &err), ACCEL_OK);
        assert_string_equal(plan_print_choice(c, text), names[i]);
        assert_int_equal(quant_matrix(plan_type(c), QUANT_RTN, 6, 96, w, NULL, 1, &t, &err),
                         ACCEL_OK);
        assert_true(plan_bits(c, 6, 96) == 8.0 * (double)t.size);
        quant_tensor_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_equals_itself),
        cmocka_unit_test(scores_are_those_of_a_naive_sum),
        cmocka_unit_test(fewer_bits_are_further_from_the_floats),
        cmocka_unit_test(another_vocabulary_is_refused),
        cmocka_unit_test(a_plan_gives_each_tensor_its_format),
        cmocka_unit_test(a_model_follows_its_plan),
        cmocka_unit_test(a_wrong_plan_is_refused_with_its_line),
        cmocka_unit_test(bits_are_those_of_the_tensor_in_a_file),
    };
    return cmocka_run_group_tests_name("eval", tests, setup, teardown);
}
