/* tokenizer.h - SentencePiece BPE with scores and byte fallback ("llama" in GGUF).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_TOKENIZER_H
#define ACCEL_TOKENIZER_H

#include "gguf.h"

struct tokenizer;

/* Build from a file's tokenizer.ggml.* keys. @return ACCEL_OK, _E_CORRUPT, _E_UNSUPPORTED
 * (tokenizer.ggml.model is not "llama"), _E_NOMEM. Keeps pointers into f. */
int tokenizer_create(const struct gguf_file *f, struct tokenizer **out, struct accel_error *err);
void tokenizer_free(struct tokenizer *t); /* NULL is fine */

uint32_t tokenizer_vocab_size(const struct tokenizer *t);
uint32_t tokenizer_bos(const struct tokenizer *t);
uint32_t tokenizer_eos(const struct tokenizer *t);
/* 1 if the token ends a text: EOS, or BOS emitted by the model. */
bool tokenizer_is_end(const struct tokenizer *t, uint32_t id);

/* Encode len bytes; adds BOS/EOS and the leading space as the file says. *ids is malloc'ed, and
 * never NULL on success. The text of control tokens is text like any other.
 * O(len log len). @return ACCEL_OK, _E_NOMEM, _E_CORRUPT (no token for a byte), _E_ARG (NULL, or
 * more than TOKENIZER_MAX_TEXT bytes) */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, uint32_t **ids,
                     size_t *count, struct accel_error *err);
#define TOKENIZER_MAX_TEXT ((size_t)1 << 29)

/* The bytes of one token in the middle of a text (U+2581 as space; control tokens are empty).
 * Writes at most cap bytes, returns the full length. An unknown id is empty. */
size_t tokenizer_piece(const struct tokenizer *t, uint32_t id, char *out, size_t cap);

#endif
