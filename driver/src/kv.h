/* kv.h - the key/value cache as integer codes: blocks of tokens, the newest of which stays float32.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tokens are cached in blocks of KV_BLOCK. A token sees its own block as floats and all blocks before it as codes:
 *     value = unit * (KV_FINE * code + zero)      unit a float of 8 bits, zero an integer of 16 bits: exact in float32
 * with a unit and a zero for each channel of a block of keys, which are kept as they are before RoPE (KIVI, KVQuant),
 * (after, where attention's products are jobs), and for each token of values: for each of its heads, or as many of them
 * together as make 32 channels. */
#ifndef ACCEL_KV_H
#define ACCEL_KV_H

#include "accel_llm.h"

#include <stdbool.h>

enum { KV_BLOCK = 32, KV_FINE = 16 };

struct kv_scale {
    uint16_t unit; /* the upper half of a float32 */
    int16_t zero;
};

struct kv_cache {
    struct accel_kv_options how;
    uint32_t layers, width; /* of a token's keys: heads * dim */
    uint32_t span;          /* channels of a token's values that share a scale */
    uint32_t blocks;        /* that the context holds as a whole */
    uint32_t rounded; /* tokens that are codes, a multiple of KV_BLOCK; later ones are floats */
    size_t bytes[2];  /* codes of a block of values, of keys */
    uint8_t *codes;   /* [layers][blocks]: keys, values */
    size_t key_scales, value_scales; /* of a block */
    struct kv_scale *scales;         /* [layers][blocks][key_scales + value_scales] */
    float *newest;                   /* [layers][2][KV_BLOCK][width] */
    float *block;                    /* [KV_BLOCK][width], while a block is worked on */
};

/* @return ACCEL_OK, _E_ARG (how), _E_NOMEM. On failure, too, kv_close. */
int kv_open(struct kv_cache *kv, const struct accel_kv_options *how,
            const struct accel_model_info *model, uint32_t context, struct accel_error *err);
void kv_close(struct kv_cache *kv);
/* Bytes that a token of codes takes, scales and all; bytes of the floats of the newest block. */
double kv_token_bytes(const struct kv_cache *kv);
uint64_t kv_newest_bytes(const struct kv_cache *kv);

/* The next token is at pos. If that is within a block of codes, its tokens before pos become floats again. */
void kv_seek(struct kv_cache *kv, uint32_t pos);
/* A token's keys, not yet rotated unless how.jobs, and values, [width] each. False: they are not finite, or beyond 1e38. */
bool kv_put(struct kv_cache *kv, uint32_t layer, size_t pos, const float *k, const float *v);
/* The floats of the block that ends at pos become codes, in all layers. */
void kv_round(struct kv_cache *kv, size_t pos);
/* Keys (rotated by rope) and values of the tokens before pos of one layer, as attention_head takes them; if how.jobs, of those
 * in no block of codes: keys [heads][dim][context], values [heads][context][dim]. */
void kv_expand(const struct kv_cache *kv, uint32_t layer, size_t pos,
               const struct accel_model_info *model, const float *rope, size_t context, float *keys,
               float *values);

/* What a block holds, for those who multiply by it: bits of a code; one head's codes, keys [KV_BLOCK][dim] or values
 * [dim][KV_BLOCK]; scales of the keys' channels, [width], or the values' tokens, [KV_BLOCK][width / span]. */
unsigned kv_bits(const struct kv_cache *kv, bool keys);
void kv_codes(const struct kv_cache *kv, uint32_t layer, size_t block, bool keys, uint32_t head,
              uint32_t dim, uint8_t *codes);
struct kv_scale *kv_scales(const struct kv_cache *kv, uint32_t layer, size_t block, bool keys);
float kv_unit(struct kv_scale s);

#endif
