/* tiny_llama.c - random llama models for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_llama.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tiny_default(struct tiny_llama *t)
{
    *t = (struct tiny_llama){
        .layers = 2,
        .embd = 32,
        .ff = 48,
        .heads = 4,
        .kv_heads = 2,
        .context = 64,
        .architecture = "llama",
    };
}

static bool leave_out(const char *key, const char *without)
{
    return without && strcmp(key, without) == 0;
}

static void put_u32(struct tiny_llama *t, const char *key, uint32_t v)
{
    if (!leave_out(key, t->without_key))
        gw_kv_int(&t->w, key, GW_U32, v);
}

static void put_metadata(struct tiny_llama *t)
{
    gw_kv_str(&t->w, "general.architecture", t->architecture);
    gw_kv_str(&t->w, "general.name", "tiny");
    put_u32(t, "llama.context_length", t->context);
    put_u32(t, "llama.embedding_length", t->embd);
    put_u32(t, "llama.block_count", t->block_count ? t->block_count : t->layers);
    put_u32(t, "llama.feed_forward_length", t->ff);
    put_u32(t, "llama.attention.head_count", t->heads);
    if (t->kv_array) {
        gw_kv_array(&t->w, "llama.attention.head_count_kv", GW_U32, t->layers);
        for (uint32_t i = 0; i < t->layers; i++)
            gw_int(&t->w, t->kv_heads, 4);
    } else {
        put_u32(t, "llama.attention.head_count_kv", t->kv_heads);
    }
    if (!leave_out("llama.attention.layer_norm_rms_epsilon", t->without_key))
        gw_kv_f32(&t->w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    if (t->head_dim)
        put_u32(t, "llama.attention.key_length", t->head_dim);
    if (t->value_length)
        put_u32(t, "llama.attention.value_length", t->value_length);
    if (t->rope_dim)
        put_u32(t, "llama.rope.dimension_count", t->rope_dim);
    if (t->rope_factor > 0 || t->rope_scaling) {
        gw_kv_str(&t->w, "llama.rope.scaling.type", t->rope_scaling ? t->rope_scaling : "linear");
        gw_kv_f32(&t->w, "llama.rope.scaling.factor", t->rope_factor);
    }
    if (t->experts)
        put_u32(t, "llama.expert_count", t->experts);
}

static void put_vocabulary(struct tiny_llama *t)
{
    static char names[TINY_VOCAB][8];
    const char *tokens[TINY_VOCAB] = { "<unk>", "<s>", "</s>" };
    float scores[TINY_VOCAB];
    int32_t types[TINY_VOCAB] = { 2, 3, 3 };
    for (unsigned i = 0; i < TINY_VOCAB; i++) {
        scores[i] = -(float)i;
        if (i < 3)
            continue;
        if (i < 259)
            snprintf(names[i], sizeof names[i], "<0x%02X>", i - 3);
        else
            snprintf(names[i], sizeof names[i], "%c%c", 'a' + (int)i % 26, 'a' + (int)i / 26);
        tokens[i] = names[i];
        types[i] = i < 259 ? 6 : 1;
    }
    gw_vocabulary(&t->w, TINY_VOCAB, tokens, scores, types);
}

static void put_tensor(struct tiny_llama *t, const char *name, uint64_t cols, uint64_t rows)
{
    bool q8 = t->q8_k && strstr(name, "attn_k") != NULL;
    if (leave_out(name, t->without_tensor))
        return;
    if (leave_out(name, t->short_tensor))
        cols--;
    uint64_t ne[2] = { cols, rows ? rows : 1 }, count = cols * ne[1];
    if (t->tensor_count == TINY_MAX_TENSORS)
        abort();
    struct tiny_tensor *to = &t->tensors[t->tensor_count++];
    snprintf(to->name, sizeof to->name, "%s", name);
    to->offset = (size_t)t->w.next_offset; /* in the data section as yet */
    to->rows = rows;
    to->cols = cols;
    to->floats = !q8;
    if (q8) /* 34 bytes for 32 weights */
        gw_tensor(&t->w, name, 8, 2, ne, count / 32 * 34);
    else
        gw_tensor(&t->w, name, 0, rows ? 2 : 1, ne, count * 4);
}

static float random_float(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (float)(*state >> 40) * (2.0f / 16777216.0f) - 1.0f;
}

static void fill(struct tiny_llama *t, const struct tiny_tensor *to, uint64_t *state)
{
    uint64_t count = to->cols * (to->rows ? to->rows : 1);
    if (!to->floats) {
        for (uint64_t i = 0; i < count / 32 * 34; i++) {
            float v = random_float(state);
            /* An f16 scale of about 2^-10 in front of 32 codes. */
            t->w.data[to->offset + i] = i % 34 == 0   ? 0x12
                                        : i % 34 == 1 ? 0x14
                                                      : (uint8_t)(int8_t)(v * 127.0f);
        }
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        float v = random_float(state) * 0.3f;
        if (to->rows == 0)
            v = (1.0f + v) * (t->norm_scale > 0 ? t->norm_scale : 1.0f);
        if (strcmp(to->name, "token_embd.weight") == 0)
            v *= 3.0f;
        memcpy(t->w.data + to->offset + i * 4, &v, sizeof v);
    }
}

void tiny_build(struct tiny_llama *t)
{
    uint64_t hd = t->head_dim ? t->head_dim : t->embd / t->heads, state = 1;
    uint64_t q = hd * t->heads, kv = hd * t->kv_heads;
    char name[64];
    gw_begin(&t->w);
    put_metadata(t);
    put_vocabulary(t);
    put_tensor(t, "token_embd.weight", t->embd, TINY_VOCAB);
    put_tensor(t, "output_norm.weight", t->embd, 0);
    if (t->separate_head)
        put_tensor(t, "output.weight", t->embd, TINY_VOCAB);
    if (t->rope_freqs)
        put_tensor(t, "rope_freqs.weight", (t->rope_dim ? t->rope_dim : hd) / 2, 0);
    for (uint32_t i = 0; i < t->layers; i++) {
        const struct {
            const char *what;
            uint64_t cols, rows;
            bool used;
        } list[] = {
            { "attn_norm", t->embd, 0, true },
            { "attn_qkv", t->embd, q + 2 * kv, t->fused_qkv },
            { "attn_q", t->embd, q, !t->fused_qkv },
            { "attn_k", t->embd, kv, !t->fused_qkv },
            { "attn_v", t->embd, kv, !t->fused_qkv },
            { "attn_output", q, t->embd, true },
            { "ffn_norm", t->embd, 0, true },
            { "ffn_gate", t->embd, t->ff, true },
            { "ffn_up", t->embd, t->ff, true },
            { "ffn_down", t->ff, t->embd, true },
        };
        for (size_t k = 0; k < sizeof list / sizeof *list; k++) {
            snprintf(name, sizeof name, "blk.%u.%s.weight", i, list[k].what);
            if (list[k].used)
                put_tensor(t, name, list[k].cols, list[k].rows);
        }
    }
    if (t->extra_tensor)
        put_tensor(t, t->extra_tensor, 8, 0);
    size_t start = gw_finish(&t->w);
    for (size_t i = 0; i < t->tensor_count; i++) {
        t->tensors[i].offset += start;
        fill(t, &t->tensors[i], &state);
    }
}

void tiny_free(struct tiny_llama *t)
{
    gw_free(&t->w);
    t->tensor_count = 0;
}

float *tiny_floats(struct tiny_llama *t, const char *name)
{
    for (size_t i = 0; i < t->tensor_count; i++)
        if (strcmp(t->tensors[i].name, name) == 0 && t->tensors[i].floats)
            return (float *)(void *)(t->w.data + t->tensors[i].offset);
    return NULL;
}

int tiny_open(struct tiny_llama *t, accel_dev **dev, accel_model **model, struct accel_error *err)
{
    tiny_build(t);
    int rc = accel_open("cpu:", NULL, dev, err);
    return rc ? rc : accel_model_open_memory(t->w.data, t->w.size, "tiny.gguf", model, err);
}

void tiny_close(struct tiny_llama *t, accel_dev *dev, accel_model *model)
{
    accel_model_free(model);
    accel_close(dev);
    tiny_free(t);
}
