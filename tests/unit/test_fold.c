/* test_fold.c - a folded model computes what it did, and loses less where some inputs are far larger than others.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "accel_quant.h"
#include "gguf.h"
#include "llama.h"
#include "tiny_llama.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOKENS = 24 };

static void save(const struct tiny_llama *t, char *path)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, t->w.data, t->w.size), (ssize_t)t->w.size);
    assert_int_equal(close(fd), 0);
}

static void logits_of(const char *path, float *logits)
{
    struct llama_how how = { .float_math = true };
    struct accel_llm_options options = { .context = 64 };
    uint32_t ids[TOKENS];
    struct accel_error err;
    accel_model *model = NULL;
    accel_dev *dev;
    accel_llm *llm = NULL;
    for (uint32_t i = 0; i < TOKENS; i++)
        ids[i] = 3 + i * 11 % (TINY_VOCAB - 3);
    assert_int_equal(accel_open("cpu:", NULL, &dev, &err), 0);
    if (accel_model_open(path, &model, &err) ||
        llama_open(model, dev, &options, &how, &llm, &err) ||
        accel_llm_eval(llm, ids, TOKENS, TOKENS, logits, &err))
        fail_msg("%s", err.text);
    accel_llm_free(llm);
    accel_model_free(model);
    accel_close(dev);
}

static void compute_the_same(const char *one, const char *other, const char *what, size_t which)
{
    static float was[TOKENS * TINY_VOCAB], is[TOKENS * TINY_VOCAB];
    float most = 0.0f, off = 0.0f;
    logits_of(one, was);
    logits_of(other, is);
    for (size_t k = 0; k < sizeof was / sizeof *was; k++) {
        most = fmaxf(most, fabsf(was[k]));
        off = fmaxf(off, fabsf(was[k] - is[k]));
    }
    if (!(most > 0.0f && off < 1e-4f * most))
        fail_msg("%s %zu: logits up to %g are off by %g", what, which, (double)most, (double)off);
}

struct seen {
    unsigned stages, better, worse;
    bool stop;
};
static int see(void *user, const struct accel_fold_stage *s)
{
    struct seen *seen = user;
    seen->stages++;
    seen->better += s->after < 0.98 * s->before;
    seen->worse += s->after > s->before;
    assert_non_null(strstr(s->name, "blk."));
    assert_true(s->done == seen->stages && s->done <= s->total);
    return seen->stop;
}

/* Inputs of very different size: the norm makes one channel in eight 30 times as large as the rest. */
static void build(struct tiny_llama *t, bool fused, char *path)
{
    static const char *const norms[] = { "blk.0.attn_norm.weight", "blk.1.attn_norm.weight",
                                         "blk.0.ffn_norm.weight", "blk.1.ffn_norm.weight" };
    tiny_default(t);
    t->fused_qkv = fused;
    tiny_build(t);
    for (size_t n = 0; n < sizeof norms / sizeof *norms; n++) {
        float *w = tiny_floats(t, norms[n]);
        assert_non_null(w);
        for (uint32_t i = 0; i < t->embd; i += 8)
            w[i] *= 30.0f;
    }
    save(t, path);
}

static void folding_changes_no_logit(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        char in[] = "/tmp/accel_test_fold_XXXXXX", out[] = "/tmp/accel_test_fold_XXXXXX";
        struct seen seen = { 0 };
        struct accel_fold_options o = { .smoothquant = i & 1,
                                        .alpha = i & 1 ? 0.5 : 0.0,
                                        .type = "int3:16",
                                        .tokens = 64,
                                        .self_calibrate = 1,
                                        .report = see,
                                        .user = &seen };
        struct tiny_llama t;
        struct accel_error err;
        build(&t, i & 2, in);
        assert_int_equal(close(mkstemp(out)), 0);
        if (accel_fold(in, out, &o, &err))
            fail_msg("%s", err.text);
        compute_the_same(in, out, "method", i);
        assert_int_equal(seen.stages, 4 * t.layers);
        if (!(i & 1)) { /* AWQ takes only what is better, and here some must be */
            assert_int_equal(seen.worse, 0);
            assert_true(seen.better >= t.layers);
        }
        unlink(in);
        unlink(out);
        tiny_free(&t);
    }
}

static int stop_at_once(void *user, const struct accel_fold_stage *s)
{
    (void)user;
    assert_true(s->done == 1 && s->total > 1);
    return 1;
}

/* Share of a tensor's squares in the first n columns, and the largest square over the mean one. */
static void look(const char *path, const char *name, size_t n, double *share, double *peak)
{
    struct gguf_file *file;
    struct accel_error err;
    double all = 0.0, first = 0.0, most = 0.0;
    assert_int_equal(gguf_open(path, &file, &err), 0);
    const struct gguf_tensor *t = gguf_find_tensor(file, name);
    assert_true(t && t->type == 0);
    for (size_t i = 0; i < t->ne[0] * t->ne[1]; i++) {
        double w = (double)((const float *)t->data)[i];
        all += w * w;
        first += i % t->ne[0] < n ? w * w : 0.0;
        most = fmax(most, w * w);
    }
    *share = first / all;
    *peak = most / all * (double)(t->ne[0] * t->ne[1]);
    gguf_close(file);
}

static void rotation_changes_no_logit_and_spreads_what_stands_out(void **state)
{
    (void)state;
    static const struct {
        uint32_t embd, heads, kv_heads;
        bool fused, separate, ones;
        enum accel_rotation rotate;
    } tests[] = {
        { 64, 4, 2, false, false, false, ACCEL_ROTATE_HADAMARD },
        { 48, 4, 2, true, false, false, ACCEL_ROTATE_HADAMARD },  /* 4 times Paley's of 12 */
        { 80, 4, 1, false, true, false, ACCEL_ROTATE_HADAMARD },  /* of 20 */
        { 104, 4, 4, false, false, true, ACCEL_ROTATE_HADAMARD }, /* of 104 */
        { 76, 2, 1, false, false, false,
          ACCEL_ROTATE_HADAMARD }, /* blocks of 4, and of 2 in heads */
        { 64, 4, 2, false, false, false, ACCEL_ROTATE_RESQ },
        { 48, 4, 4, true, true, false, ACCEL_ROTATE_RESQ },
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        char in[] = "/tmp/accel_test_fold_XXXXXX", out[] = "/tmp/accel_test_fold_XXXXXX";
        struct accel_fold_options o = {
            .rotate = tests[i].rotate, .tokens = 64, .self_calibrate = 1, .seed = i
        };
        struct tiny_llama t;
        struct accel_error err;
        float *w;
        double share[2], peak[2];
        tiny_default(&t);
        t.embd = tests[i].embd;
        t.heads = tests[i].heads;
        t.kv_heads = tests[i].kv_heads;
        t.fused_qkv = tests[i].fused;
        t.separate_head = tests[i].separate;
        tiny_build(&t);
        w = tiny_floats(&t, "token_embd.weight");
        for (size_t k = 0; k < (size_t)TINY_VOCAB * t.embd; k += t.embd)
            w[k + 20] += 20.0f; /* a channel that stands out */
        w = tiny_floats(&t, "output_norm.weight");
        for (size_t k = 0; k < t.embd; k++)
            w[k] = tests[i].ones ? 1.0f : 0.5f + (float)(k % 5);
        save(&t, in);
        assert_int_equal(close(mkstemp(out)), 0);
        if (accel_fold(in, out, &o, &err))
            fail_msg("%s", err.text);
        compute_the_same(in, out, "test", i);
        look(in, "token_embd.weight", t.embd / 8, &share[0], &peak[0]);
        look(out, "token_embd.weight", t.embd / 8, &share[1], &peak[1]);
        if (o.rotate == ACCEL_ROTATE_HADAMARD && !(peak[1] < 0.7 * peak[0]))
            fail_msg("test %zu: a peak of %g was %g", i, peak[1], peak[0]);
        if (o.rotate == ACCEL_ROTATE_RESQ && !(share[0] < 0.2 && share[1] > 0.6))
            fail_msg("test %zu: a share of %g was %g", i, share[1], share[0]);
        if (!tests[i].ones)
            look(out, "output.weight", 1, share, peak);
        unlink(in);
        unlink(out);
        tiny_free(&t);
    }
}

static void what_cannot_be_folded_leaves_no_file(void **state)
{
    (void)state;
    char in[] = "/tmp/accel_test_fold_XXXXXX", low[] = "/tmp/accel_test_fold_XXXXXX", out[64];
    struct seen seen = { .stop = true };
    struct accel_quantize_options q = { .type = "int4:16" };
    struct accel_quantize_result r;
    struct tiny_llama t;
    struct accel_error err;
    build(&t, false, in);
    snprintf(out, sizeof out, "%s.out", in);
    struct {
        const char *in, *word;
        struct accel_fold_options o;
        int rc;
    } wrong[] = {
        { in, "calibration", { .tokens = 64 }, ACCEL_E_ARG },
        { in, "alpha", { .self_calibrate = 1, .smoothquant = 1, .alpha = 1.5 }, ACCEL_E_ARG },
        { in, "alpha", { .self_calibrate = 1, .alpha = NAN }, ACCEL_E_ARG },
        { in, "bits", { .self_calibrate = 1, .bits = 20 }, ACCEL_E_ARG },
        { in, "int9", { .self_calibrate = 1, .type = "int9" }, ACCEL_E_ARG },
        { in, "longer", { .calibration = "a b", .calibration_len = 3 }, ACCEL_E_ARG },
        { in,
          "stopped",
          { .self_calibrate = 1, .tokens = 64, .report = see, .user = &seen },
          ACCEL_E_CANCELLED },
        { low, "quantized already", { .self_calibrate = 1, .tokens = 64 }, ACCEL_E_UNSUPPORTED },
        { in, "calibration", { .rotate = ACCEL_ROTATE_RESQ }, ACCEL_E_ARG },
        { in,
          "longer",
          { .rotate = ACCEL_ROTATE_RESQ, .calibration = "a b", .calibration_len = 3 },
          ACCEL_E_ARG },
        { in, "rotation", { .rotate = (enum accel_rotation)7, .self_calibrate = 1 }, ACCEL_E_ARG },
        { in,
          "stopped",
          { .rotate = ACCEL_ROTATE_HADAMARD, .report = stop_at_once },
          ACCEL_E_CANCELLED },
        { low, "quantized already", { .rotate = ACCEL_ROTATE_HADAMARD }, ACCEL_E_UNSUPPORTED },
        { "/tmp/no such model", "no such model", { .self_calibrate = 1 }, ACCEL_E_IO },
    };
    assert_int_equal(close(mkstemp(low)), 0);
    if (accel_quantize(in, low, &q, &r, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(accel_fold(wrong[i].in, out, &wrong[i].o, &err), wrong[i].rc);
        if (!strstr(err.text, wrong[i].word))
            fail_msg("\"%s\" does not name %s", err.text, wrong[i].word);
        assert_int_equal(access(out, F_OK), -1);
    }
    ((float *)tiny_floats(&t, "blk.1.ffn_up.weight"))[5] = NAN;
    FILE *f = fopen(in, "wb");
    assert_true(f && fwrite(t.w.data, 1, t.w.size, f) == t.w.size && fclose(f) == 0);
    struct accel_fold_options o = { .rotate = ACCEL_ROTATE_HADAMARD };
    int rc = accel_fold(in, out, &o, &err);
    assert_int_equal(access(out, F_OK), -1);
    if (rc != ACCEL_E_CORRUPT || !strstr(err.text, "blk.1.ffn_up.weight"))
        fail_msg("%d \"%s\"", rc, err.text);
    o = (struct accel_fold_options){ .self_calibrate = 1, .tokens = 64 };
    rc = accel_fold(in, out, &o, &err);
    if (rc != ACCEL_E_CORRUPT || !strstr(err.text, "blk.1.ffn_up.weight"))
        fail_msg("%d \"%s\"", rc, err.text);
    unlink(in);
    unlink(low);
    tiny_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folding_changes_no_logit),
        cmocka_unit_test(rotation_changes_no_logit_and_spreads_what_stands_out),
        cmocka_unit_test(what_cannot_be_folded_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
