/* gguf_writer.h - builds GGUF files in memory, right ones and wrong ones, for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GGUF_WRITER_H
#define GGUF_WRITER_H

#include <stddef.h>
#include <stdint.h>

enum gw_type {
    GW_U8,
    GW_I8,
    GW_U16,
    GW_I16,
    GW_U32,
    GW_I32,
    GW_F32,
    GW_BOOL,
    GW_STR,
    GW_ARRAY,
    GW_U64,
    GW_I64,
    GW_F64
};

/* Start with gw_begin. Each function appends; those that return a position say where in data the
 * named field lies, so that a test can gw_patch it. Running out of memory aborts the test. */
struct gguf_writer {
    uint8_t *data;
    size_t size, cap;
    uint64_t n_kv, n_tensors;
    uint64_t alignment;   /* 32, or what gw_kv_alignment set */
    uint64_t next_offset; /* of the next tensor in the data section */
};

void gw_begin(struct gguf_writer *w);
void gw_free(struct gguf_writer *w);

void gw_bytes(struct gguf_writer *w, const void *data, size_t n);
void gw_int(struct gguf_writer *w, uint64_t v, size_t bytes);
void gw_f32(struct gguf_writer *w, float v);
size_t gw_str(struct gguf_writer *w, const char *s); /* the length field */
void gw_zeros(struct gguf_writer *w, size_t n);
void gw_patch(struct gguf_writer *w, size_t pos, uint64_t v, size_t bytes);

/* Key and value type; the value is appended by hand. @return the value */
size_t gw_key(struct gguf_writer *w, const char *key, uint32_t type);
/* Whole pairs. @return the value (of a string its length, of an array its element type) */
size_t gw_kv_int(struct gguf_writer *w, const char *key, uint32_t type, uint64_t v);
size_t gw_kv_f32(struct gguf_writer *w, const char *key, float v);
size_t gw_kv_str(struct gguf_writer *w, const char *key, const char *v);
size_t gw_kv_alignment(struct gguf_writer *w, uint32_t alignment);
/* Array header: element type at the position returned, count 4 bytes after it. */
size_t gw_kv_array(struct gguf_writer *w, const char *key, uint32_t type, uint64_t count);

/* A tensor of `bytes` bytes at the next free offset. @return its n_dims field */
size_t gw_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                 const uint64_t *ne, uint64_t bytes);
/* Write the counts and the data section, byte i of it (i * 7) % 251. @return its start */
size_t gw_finish(struct gguf_writer *w);

/* A vocabulary: n tokens with scores and types, and the model name; types may be NULL: all 1. */
void gw_vocabulary(struct gguf_writer *w, size_t n, const char *const *tokens, const float *scores,
                   const int32_t *types);

#endif
