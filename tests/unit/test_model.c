/* test_model.c - which GGUF files are taken as llama models, and what the others are told.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel_llm.h"
#include "tiny_llama.h"

#include <string.h>

static struct accel_error err;

static void expect_open(struct tiny_llama *t)
{
    accel_model *m = NULL;
    tiny_build(t);
    assert_int_equal(accel_model_open_memory(t->w.data, t->w.size, "tiny.gguf", &m, &err),
                     ACCEL_OK);
    accel_model_free(m);
    tiny_free(t);
}

static void expect_refusal(struct tiny_llama *t, int status, const char *words)
{
    accel_model *m = NULL;
    err = (struct accel_error){ 0 };
    tiny_build(t);
    int rc = accel_model_open_memory(t->w.data, t->w.size, "dir/tiny.gguf", &m, &err);
    accel_model_free(m);
    tiny_free(t);
    if (rc != status || !strstr(err.text, words) || !strstr(err.text, "dir/tiny.gguf"))
        fail_msg("got %d \"%s\", expected %d and \"%s\"", rc, err.text, status, words);
}

static void a_missing_key_is_named(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "llama.context_length",       "llama.embedding_length",
        "llama.block_count",          "llama.feed_forward_length",
        "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct tiny_llama t;
        tiny_default(&t);
        t.without_key = keys[i];
        expect_refusal(&t, ACCEL_E_CORRUPT, keys[i]);
    }
}

static void a_missing_tensor_is_named(void **state)
{
    (void)state;
    static const char *const names[] = {
        "token_embd.weight",        "output_norm.weight",    "blk.0.attn_norm.weight",
        "blk.1.attn_q.weight",      "blk.0.attn_k.weight",   "blk.1.attn_v.weight",
        "blk.0.attn_output.weight", "blk.0.ffn_norm.weight", "blk.1.ffn_gate.weight",
        "blk.0.ffn_up.weight",      "blk.1.ffn_down.weight",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct tiny_llama t;
        tiny_default(&t);
        t.without_tensor = names[i];
        expect_refusal(&t, ACCEL_E_CORRUPT, names[i]);
        tiny_default(&t);
        t.short_tensor = names[i];
        expect_refusal(&t, ACCEL_E_CORRUPT, names[i]);
    }
}

static void a_tensor_that_would_be_ignored_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "blk.0.attn_q.bias", "blk.2.attn_q.weight",
                                         "blk.0.attn_sinks.weight", "something.else",
                                         "blk.0.ffn_up.weightx" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct tiny_llama t;
        tiny_default(&t);
        t.extra_tensor = names[i];
        expect_refusal(&t, ACCEL_E_UNSUPPORTED, names[i]);
    }
    struct tiny_llama t;
    tiny_default(&t);
    t.extra_tensor = "blk.0.attn_rot_embd"; /* a cache that old files have */
    expect_open(&t);
}

static void what_is_no_plain_llama_is_unsupported(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    t.architecture = "gemma";
    expect_refusal(&t, ACCEL_E_UNSUPPORTED, "\"gemma\"");
    tiny_default(&t);
    t.experts = 8;
    expect_refusal(&t, ACCEL_E_UNSUPPORTED, "8 experts");
    tiny_default(&t);
    t.rope_scaling = "yarn";
    expect_refusal(&t, ACCEL_E_UNSUPPORTED, "\"yarn\"");
    tiny_default(&t);
    t.value_length = 16;
    expect_refusal(&t, ACCEL_E_UNSUPPORTED, "value_length");
    tiny_default(&t);
    t.rope_scaling = "none";
    expect_open(&t);
}

static void numbers_that_contradict_each_other_are_corrupt(void **state)
{
    (void)state;
    struct tiny_llama t;
    tiny_default(&t);
    t.kv_heads = 3;
    expect_refusal(&t, ACCEL_E_CORRUPT, "3 key/value heads");
    tiny_default(&t);
    t.kv_heads = 5;
    expect_refusal(&t, ACCEL_E_CORRUPT, "head_count_kv");
    tiny_default(&t);
    t.block_count = 1000;
    expect_refusal(&t, ACCEL_E_CORRUPT, "block_count");
    tiny_default(&t);
    t.block_count = 3;
    expect_refusal(&t, ACCEL_E_CORRUPT, "blk.2.");
    tiny_default(&t);
    t.rope_dim = 7;
    expect_refusal(&t, ACCEL_E_CORRUPT, "must be even");
    tiny_default(&t);
    t.rope_dim = 64;
    expect_refusal(&t, ACCEL_E_CORRUPT, "llama.rope.dimension_count");
    tiny_default(&t);
    t.head_dim = 9;
    expect_refusal(&t, ACCEL_E_CORRUPT, "head size of 9");
    tiny_default(&t);
    t.context = 1u << 30;
    expect_refusal(&t, ACCEL_E_CORRUPT, "llama.context_length");
    tiny_default(&t);
    t.rope_scaling = "linear";
    expect_refusal(&t, ACCEL_E_CORRUPT, "llama.rope.scaling.factor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_key_is_named),
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(a_tensor_that_would_be_ignored_is_refused),
        cmocka_unit_test(what_is_no_plain_llama_is_unsupported),
        cmocka_unit_test(numbers_that_contradict_each_other_are_corrupt),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
