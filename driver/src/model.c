/* model.c - open a GGUF llama model: metadata, vocabulary, the shape of every tensor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include "fmath.h"
#include "ggml_blocks.h"
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Above any llama there is, and low enough that products of three stay far below 2^63. */
enum {
    MAX_WIDTH = 1 << 20,
    MAX_LAYERS = 1024,
    MAX_HEADS = 4096,
    MAX_HEAD_DIM = 4096,
    MAX_VOCAB = 1 << 24,
    MAX_CONTEXT = 1 << 24
};

static const char *path_of(const struct accel_model *m)
{
    return gguf_path(m->file);
}

/* ---- metadata ---- */

static int read_u32(const struct accel_model *m, const char *key, uint32_t low, uint32_t high,
                    const uint32_t *fallback, uint32_t *out, struct accel_error *err)
{
    uint64_t v;
    if (!gguf_has(m->file, key)) {
        if (!fallback)
            return accel_fail(err, ACCEL_E_CORRUPT, "%s: metadata key %s is missing", path_of(m),
                              key);
        *out = *fallback;
        return ACCEL_OK;
    }
    if (!gguf_get_u64(m->file, key, &v) || v < low || v > high)
        return accel_fail(err, ACCEL_E_CORRUPT, "%s: %s must be an integer from %u to %u",
                          path_of(m), key, (unsigned)low, (unsigned)high);
    *out = (uint32_t)v;
    return ACCEL_OK;
}

/* head_count_kv may be one number or one a layer; different ones are not supported. */
static int read_kv_heads(struct accel_model *m, struct accel_error *err)
{
    const char *key = "llama.attention.head_count_kv";
    struct accel_model_info *h = &m->info;
    uint64_t count, v;
    if (!gguf_get_array(m->file, key, &count))
        return read_u32(m, key, 1, h->heads, &h->heads, &h->kv_heads, err);
    if (count != h->layers)
        return accel_fail(err, ACCEL_E_CORRUPT, "%s: %s has %llu elements for %u layers",
                          path_of(m), key, (unsigned long long)count, h->layers);
    for (uint64_t i = 0; i < count; i++) {
        if (!gguf_array_u64(m->file, key, i, &v) || v < 1 || v > h->heads)
            return accel_fail(err, ACCEL_E_CORRUPT, "%s: %s[%llu] must be 1 to head_count",
                              path_of(m), key, (unsigned long long)i);
        if (i > 0 && v != h->kv_heads)
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "%s: %s differs from layer to layer, which is not supported",
                              path_of(m), key);
        h->kv_heads = (uint32_t)v;
    }
    return ACCEL_OK;
}

static bool str_is(struct gguf_str s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static int read_rope(struct accel_model *m, struct accel_error *err)
{
    struct accel_model_info *h = &m->info;
    struct gguf_str kind;
    double v;
    int rc = read_u32(m, "llama.rope.dimension_count", 2, h->head_dim, &h->head_dim, &h->rope_dim,
                      err);
    if (rc)
        return rc;
    h->rope_base = 10000.0;
    if (gguf_has(m->file, "llama.rope.freq_base")) {
        if (!gguf_get_f64(m->file, "llama.rope.freq_base", &v) || !(v >= 1.0 && v <= 1e12))
            return accel_fail(err, ACCEL_E_CORRUPT,
                              "%s: llama.rope.freq_base must be a number from 1 to 1e12",
                              path_of(m));
        h->rope_base = v;
    }
    h->rope_factor = 1.0;
    if (h->rope_dim % 2 != 0)
        return accel_fail(err, ACCEL_E_CORRUPT, "%s: llama.rope.dimension_count must be even",
                          path_of(m));
    if (!gguf_has(m->file, "llama.rope.scaling.type"))
        return ACCEL_OK;
    if (!gguf_get_str(m->file, "llama.rope.scaling.type", &kind))
        return accel_fail(err, ACCEL_E_CORRUPT, "%s: llama.rope.scaling.type must be a string",
                          path_of(m));
    if (str_is(kind, "none"))
        return ACCEL_OK;
    if (!str_is(kind, "linear"))
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s: RoPE scaling \"%.*s\" is not supported (only none and linear)",
                          path_of(m), (int)(kind.len < 32 ? kind.len : 32), kind.data);
    if (!gguf_get_f64(m->file, "llama.rope.scaling.factor", &v) || !(v >= 1e-3 && v <= 1e6))
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: llama.rope.scaling.factor must be a number from 0.001 to 1e6",
                          path_of(m));
    h->rope_factor = v;
    return ACCEL_OK;
}

static int read_metadata(struct accel_model *m, struct accel_error *err)
{
    struct accel_model_info *h = &m->info;
    struct gguf_str s;
    uint32_t zero = 0, experts = 0, guess, value_dim = 0;
    double eps;
    int rc;
    if (!gguf_get_str(m->file, "general.architecture", &s))
        return accel_fail(err, ACCEL_E_CORRUPT, "%s: metadata key general.architecture is missing",
                          path_of(m));
    if (!str_is(s, "llama"))
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s: architecture \"%.*s\" is not supported (only llama)", path_of(m),
                          (int)(s.len < 32 ? s.len : 32), s.data);
    if (gguf_get_str(m->file, "general.name", &s)) {
        size_t n = s.len < sizeof h->name - 1 ? s.len : sizeof h->name - 1;
        memcpy(h->name, s.data, n);
    }
    if ((rc = read_u32(m, "llama.expert_count", 0, UINT32_MAX, &zero, &experts, err)))
        return rc;
    if (experts > 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s: a mixture of %u experts; only dense models are supported",
                          path_of(m), experts);
    if ((rc = read_u32(m, "llama.context_length", 1, MAX_CONTEXT, NULL, &h->context, err)) ||
        (rc = read_u32(m, "llama.embedding_length", 1, MAX_WIDTH, NULL, &h->embd, err)) ||
        (rc = read_u32(m, "llama.block_count", 1, MAX_LAYERS, NULL, &h->layers, err)) ||
        (rc = read_u32(m, "llama.feed_forward_length", 1, MAX_WIDTH, NULL, &h->ff, err)) ||
        (rc = read_u32(m, "llama.attention.head_count", 1, MAX_HEADS, NULL, &h->heads, err)) ||
        (rc = read_kv_heads(m, err)))
        return rc;
    if (h->heads % h->kv_heads != 0)
        return accel_fail(err, ACCEL_E_CORRUPT, "%s: %u heads cannot share %u key/value heads",
                          path_of(m), h->heads, h->kv_heads);
    guess = h->embd / h->heads;
    if ((rc = read_u32(m, "llama.attention.key_length", 1, MAX_HEAD_DIM, &guess, &h->head_dim,
                       err)) ||
        (rc = read_u32(m, "llama.attention.value_length", 1, MAX_HEAD_DIM, &h->head_dim, &value_dim,
                       err)))
        return rc;
    if (h->head_dim < 2 || h->head_dim > MAX_HEAD_DIM || h->head_dim % 2 != 0)
        return accel_fail(err, ACCEL_E_CORRUPT, "%s: a head size of %u is not even and 2 to %d",
                          path_of(m), h->head_dim, MAX_HEAD_DIM);
    if (value_dim != h->head_dim)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s: attention.value_length %u differs from the key's %u", path_of(m),
                          value_dim, h->head_dim);
    if (!gguf_get_f64(m->file, "llama.attention.layer_norm_rms_epsilon", &eps) ||
        !(eps > 0.0 && eps < 1.0))
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: llama.attention.layer_norm_rms_epsilon is missing or not in (0, 1)",
                          path_of(m));
    h->rms_eps = (float)eps;
    return read_rope(m, err);
}

/* ---- tensors ---- */

/* Find a tensor and check its shape; rows 0: a vector. Absent: *out stays NULL if optional. */
static int take(struct accel_model *m, const char *name, uint64_t cols, uint64_t rows,
                bool optional, const struct gguf_tensor **out, struct accel_error *err)
{
    const struct gguf_tensor *t = gguf_find_tensor(m->file, name);
    uint64_t want_rows = rows ? rows : 1;
    if (!t) {
        if (optional)
            return ACCEL_OK;
        return accel_fail(err, ACCEL_E_CORRUPT, "%s: tensor %s is missing", path_of(m), name);
    }
    if (t->ne[0] != cols || t->ne[1] != want_rows || t->ne[2] != 1 || t->ne[3] != 1)
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: tensor %s has shape {%llu, %llu, %llu, %llu}, expected {%llu, %llu}",
                          path_of(m), name, (unsigned long long)t->ne[0],
                          (unsigned long long)t->ne[1], (unsigned long long)t->ne[2],
                          (unsigned long long)t->ne[3], (unsigned long long)cols,
                          (unsigned long long)want_rows);
    if (rows == 0 && t->type != GGML_F32 && t->type != GGML_F16 && t->type != GGML_BF16)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "%s: tensor %s must be F32, F16 or BF16",
                          path_of(m), name);
    *out = t;
    return ACCEL_OK;
}

static int take_layer(struct accel_model *m, uint32_t layer, size_t *known, struct accel_error *err)
{
    const struct accel_model_info *h = &m->info;
    struct model_layer *l = &m->layers[layer];
    uint64_t e = h->embd, f = h->ff;
    uint64_t q = (uint64_t)h->heads * h->head_dim, kv = (uint64_t)h->kv_heads * h->head_dim;
    char name[64], fused[64];
    snprintf(fused, sizeof fused, "blk.%u.attn_qkv.weight", layer);
    bool one = gguf_find_tensor(m->file, fused) != NULL;
    const struct {
        const char *what;
        uint64_t cols, rows;
        bool used;
        const struct gguf_tensor **out;
    } list[] = {
        { "attn_norm", e, 0, true, &l->attn_norm },
        { "ffn_norm", e, 0, true, &l->ffn_norm },
        { "attn_qkv", e, q + 2 * kv, one, &l->qkv },
        { "attn_q", e, q, !one, &l->q },
        { "attn_k", e, kv, !one, &l->k },
        { "attn_v", e, kv, !one, &l->v },
        { "attn_output", q, e, true, &l->attn_output },
        { "ffn_gate", e, f, true, &l->gate },
        { "ffn_up", e, f, true, &l->up },
        { "ffn_down", f, e, true, &l->down },
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        if (!list[i].used)
            continue;
        snprintf(name, sizeof name, "blk.%u.%s.weight", layer, list[i].what);
        int rc = take(m, name, list[i].cols, list[i].rows, false, list[i].out, err);
        if (rc)
            return rc;
        (*known)++;
    }
    return ACCEL_OK;
}

/* A tensor that would be ignored (a bias, a scale, a layer too many) makes wrong text: refuse it.
 * Only cached rotation frequencies, which old converters wrote, are harmless. */
static int refuse_unknown(const struct accel_model *m, size_t known, struct accel_error *err)
{
    size_t count = gguf_tensor_count(m->file);
    for (size_t i = 0; i < count; i++) {
        struct gguf_str name = gguf_tensor_at(m->file, i)->name;
        unsigned layer;
        char text[64] = { 0 }, what[40] = { 0 };
        memcpy(text, name.data, name.len < sizeof text - 1 ? name.len : sizeof text - 1);
        if (strstr(text, "rot_embd") || strstr(text, "inv_freq")) {
            known++;
            continue;
        }
        if (strcmp(text, "token_embd.weight") == 0 || strcmp(text, "output.weight") == 0 ||
            strcmp(text, "output_norm.weight") == 0 || strcmp(text, "rope_freqs.weight") == 0)
            continue;
        static const char *const parts[] = { "attn_norm", "ffn_norm", "attn_qkv",    "attn_q",
                                             "attn_k",    "attn_v",   "attn_output", "ffn_gate",
                                             "ffn_up",    "ffn_down" };
        bool ok = sscanf(text, "blk.%5u.%39s", &layer, what) == 2 && layer < m->info.layers;
        char *end = ok ? strstr(what, ".weight") : NULL;
        ok = end && end[7] == 0;
        if (ok)
            *end = 0;
        bool found = false;
        for (size_t k = 0; ok && k < sizeof parts / sizeof *parts; k++)
            found = found || strcmp(what, parts[k]) == 0;
        if (!found)
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "%s: tensor %s is not part of a llama model of %u layers as this "
                              "version knows it",
                              path_of(m), text, m->info.layers);
    }
    if (known != count)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s: %zu of its %zu tensors would be used twice or not at all",
                          path_of(m), known, count);
    return ACCEL_OK;
}

static int read_tensors(struct accel_model *m, struct accel_error *err)
{
    struct accel_model_info *h = &m->info;
    const struct gguf_tensor *embd = gguf_find_tensor(m->file, "token_embd.weight");
    uint64_t vocab = embd ? embd->ne[1] : 1;
    size_t known = 2;
    int rc;
    if (vocab < 1 || vocab > MAX_VOCAB)
        return accel_fail(err, ACCEL_E_CORRUPT, "%s: token_embd.weight has %llu rows, more than %d",
                          path_of(m), (unsigned long long)vocab, MAX_VOCAB);
    if ((rc = take(m, "token_embd.weight", h->embd, vocab, false, &m->token_embd, err)) ||
        (rc = take(m, "output_norm.weight", h->embd, 0, false, &m->output_norm, err)) ||
        (rc = take(m, "output.weight", h->embd, vocab, true, &m->output, err)) ||
        (rc = take(m, "rope_freqs.weight", h->rope_dim / 2, 0, true, &m->rope_freqs, err)))
        return rc;
    h->vocab = (uint32_t)vocab;
    known += (m->output ? 1u : 0u) + (m->rope_freqs ? 1u : 0u);
    /* Every layer has nine tensors at least: a false block_count is found before it costs memory. */
    if (h->layers > gguf_tensor_count(m->file))
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: llama.block_count is %u, but there are only "
                          "%zu tensors",
                          path_of(m), h->layers, gguf_tensor_count(m->file));
    m->layers = calloc(h->layers, sizeof *m->layers);
    if (!m->layers)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for %u layers", h->layers);
    for (uint32_t i = 0; i < h->layers; i++)
        if ((rc = take_layer(m, i, &known, err)))
            return rc;
    h->tied_head = m->output == NULL;
    uint64_t q = (uint64_t)h->heads * h->head_dim, kv = (uint64_t)h->kv_heads * h->head_dim;
    h->head_macs = (uint64_t)h->embd * h->vocab;
    h->linear_macs = h->layers * (h->embd * (2 * q + 2 * kv) + 3 * (uint64_t)h->embd * h->ff);
    h->tensors = gguf_tensor_count(m->file);
    for (size_t i = 0; i < h->tensors; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(m->file, i);
        h->parameters += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    }
    return refuse_unknown(m, known, err);
}

/* ---- open ---- */

static int finish_open(struct gguf_file *file, accel_model **out, struct accel_error *err)
{
    int rc;
    struct accel_model *m = calloc(1, sizeof *m);
    if (!m) {
        gguf_close(file);
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for a model");
    }
    m->file = file;
    if ((rc = read_metadata(m, err)) || (rc = read_tensors(m, err)) ||
        (rc = tokenizer_create(file, &m->tokenizer, err)))
        goto out;
    if (tokenizer_vocab_size(m->tokenizer) > m->info.vocab) {
        rc = accel_fail(err, ACCEL_E_CORRUPT,
                        "%s: the vocabulary has %u tokens, but token_embd.weight only %u rows",
                        path_of(m), tokenizer_vocab_size(m->tokenizer), m->info.vocab);
        goto out;
    }
    m->info.bos = tokenizer_bos(m->tokenizer);
    m->info.eos = tokenizer_eos(m->tokenizer);
    if (m->info.bos >= m->info.vocab || m->info.eos >= m->info.vocab) {
        rc = accel_fail(err, ACCEL_E_CORRUPT,
                        "%s: BOS %u or EOS %u is outside the vocabulary of %u tokens", path_of(m),
                        m->info.bos, m->info.eos, m->info.vocab);
        goto out;
    }
    *out = m;
out:
    if (rc)
        accel_model_free(m);
    return rc;
}

int accel_model_open(const char *path, accel_model **model, struct accel_error *err)
{
    struct gguf_file *file;
    if (!path || !model)
        return accel_fail(err, ACCEL_E_ARG,
                          "accel_model_open needs a path and a place for the model");
    int rc = gguf_open(path, &file, err);
    return rc ? rc : finish_open(file, model, err);
}

int accel_model_open_memory(const void *data, size_t size, const char *name, accel_model **model,
                            struct accel_error *err)
{
    struct gguf_file *file;
    if (!data || !name || !model)
        return accel_fail(err, ACCEL_E_ARG, "accel_model_open_memory needs data, name and a place");
    int rc = gguf_open_memory(data, size, name, &file, err);
    return rc ? rc : finish_open(file, model, err);
}

void accel_model_free(accel_model *model)
{
    if (!model)
        return;
    tokenizer_free(model->tokenizer);
    gguf_close(model->file);
    free(model->layers);
    free(model);
}
