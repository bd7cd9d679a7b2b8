/* gguf_writer.c - builds GGUF files in memory for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gguf_writer.h"

#include <stdlib.h>
#include <string.h>

void gw_begin(struct gguf_writer *w)
{
    *w = (struct gguf_writer){ .alignment = 32 };
    gw_bytes(w, "GGUF", 4);
    gw_int(w, 3, 4);
    gw_zeros(w, 16); /* the counts, see gw_finish */
}

void gw_free(struct gguf_writer *w)
{
    free(w->data);
    *w = (struct gguf_writer){ .data = NULL };
}

void gw_bytes(struct gguf_writer *w, const void *data, size_t n)
{
    if (w->size + n > w->cap) {
        w->cap = 2 * (w->size + n);
        w->data = realloc(w->data, w->cap);
        if (!w->data)
            abort();
    }
    if (n)
        memcpy(w->data + w->size, data, n);
    w->size += n;
}

void gw_int(struct gguf_writer *w, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        uint8_t b = (uint8_t)(v >> (8 * i));
        gw_bytes(w, &b, 1);
    }
}

void gw_f32(struct gguf_writer *w, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    gw_int(w, bits, 4);
}

size_t gw_str(struct gguf_writer *w, const char *s)
{
    size_t pos = w->size;
    gw_int(w, strlen(s), 8);
    gw_bytes(w, s, strlen(s));
    return pos;
}

void gw_zeros(struct gguf_writer *w, size_t n)
{
    static const uint8_t zero[64];
    for (; n > sizeof zero; n -= sizeof zero)
        gw_bytes(w, zero, sizeof zero);
    gw_bytes(w, zero, n);
}

void gw_patch(struct gguf_writer *w, size_t pos, uint64_t v, size_t bytes)
{
    if (pos + bytes > w->size)
        abort();
    for (size_t i = 0; i < bytes; i++)
        w->data[pos + i] = (uint8_t)(v >> (8 * i));
}

size_t gw_key(struct gguf_writer *w, const char *key, uint32_t type)
{
    gw_str(w, key);
    gw_int(w, type, 4);
    w->n_kv++;
    return w->size;
}

size_t gw_kv_int(struct gguf_writer *w, const char *key, uint32_t type, uint64_t v)
{
    static const uint8_t bytes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    size_t pos = gw_key(w, key, type);
    gw_int(w, v, bytes[type]);
    return pos;
}

size_t gw_kv_f32(struct gguf_writer *w, const char *key, float v)
{
    size_t pos = gw_key(w, key, GW_F32);
    gw_f32(w, v);
    return pos;
}

size_t gw_kv_str(struct gguf_writer *w, const char *key, const char *v)
{
    size_t pos = gw_key(w, key, GW_STR);
    gw_str(w, v);
    return pos;
}

size_t gw_kv_alignment(struct gguf_writer *w, uint32_t alignment)
{
    w->alignment = alignment;
    return gw_kv_int(w, "general.alignment", GW_U32, alignment);
}

size_t gw_kv_array(struct gguf_writer *w, const char *key, uint32_t type, uint64_t count)
{
    size_t pos = gw_key(w, key, GW_ARRAY);
    gw_int(w, type, 4);
    gw_int(w, count, 8);
    return pos;
}

/* Alignments that are no power of two are rounded with, too: some tests want one in a file. */
static uint64_t pad(const struct gguf_writer *w, uint64_t n)
{
    uint64_t a = w->alignment ? w->alignment : 1;
    return (n + a - 1) / a * a;
}

size_t gw_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                 const uint64_t *ne, uint64_t bytes)
{
    gw_str(w, name);
    size_t pos = w->size;
    gw_int(w, n_dims, 4);
    for (uint32_t d = 0; d < n_dims; d++)
        gw_int(w, ne[d], 8);
    gw_int(w, type, 4);
    gw_int(w, w->next_offset, 8);
    w->next_offset = pad(w, w->next_offset + bytes);
    w->n_tensors++;
    return pos;
}

size_t gw_finish(struct gguf_writer *w)
{
    gw_patch(w, 8, w->n_tensors, 8);
    gw_patch(w, 16, w->n_kv, 8);
    if (w->n_tensors)
        gw_zeros(w, (size_t)pad(w, w->size) - w->size);
    size_t start = w->size;
    for (uint64_t i = 0; i < w->next_offset; i++) {
        uint8_t b = (uint8_t)(i * 7 % 251);
        gw_bytes(w, &b, 1);
    }
    return start;
}

void gw_vocabulary(struct gguf_writer *w, size_t n, const char *const *tokens, const float *scores,
                   const int32_t *types)
{
    gw_kv_str(w, "tokenizer.ggml.model", "llama");
    gw_kv_array(w, "tokenizer.ggml.tokens", GW_STR, n);
    for (size_t i = 0; i < n; i++)
        gw_str(w, tokens[i]);
    gw_kv_array(w, "tokenizer.ggml.scores", GW_F32, n);
    for (size_t i = 0; i < n; i++)
        gw_f32(w, scores[i]);
    gw_kv_array(w, "tokenizer.ggml.token_type", GW_I32, n);
    for (size_t i = 0; i < n; i++)
        gw_int(w, types ? (uint64_t)(int64_t)types[i] : 1, 4);
}
