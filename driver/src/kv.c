/* kv.c - rounding keys and values to integers, and back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kv.h"

#include "fmath.h"
#include "internal.h"
#include "llama.h"
#include "matrix.h"

#include <stdlib.h>
#include <string.h>

/* Above this a group is a large constant with little beside it: its unit grows so that zero fits. */
enum { MOST_ZERO = 32000 };

/* Values that share a scale: every stride-th of a block from the first on. */
struct group {
    size_t first, stride, count;
};

static struct group group_of(const struct kv_cache *kv, bool keys, size_t g)
{
    return keys ? (struct group){ g, kv->width, KV_BLOCK }
                : (struct group){ g * kv->span, 1, kv->span };
}

unsigned kv_bits(const struct kv_cache *kv, bool keys)
{
    return keys || !kv->how.value_bits ? kv->how.bits : kv->how.value_bits;
}

float kv_unit(struct kv_scale s)
{
    return fm_from_bits((uint32_t)s.unit << 16);
}

/* The least float of 8 bits that is not below d; d is within float32. */
static uint16_t unit_above(double d)
{
    float f = (float)d;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    bits += (double)f < d;
    return (uint16_t)((bits + 0xFFFFu) >> 16);
}

/* All values finite. */
static struct kv_scale fit(unsigned top, const float *v, struct group at)
{
    struct kv_scale s = { 0 };
    float low = v[at.first], high = low;
    for (size_t i = 1; i < at.count; i++) {
        float x = v[at.first + i * at.stride];
        low = x < low ? x : low;
        high = x > high ? x : high;
    }
    double unit = ((double)high - (double)low) / (KV_FINE * top);
    double most = fmax(fabs((double)low), fabs((double)high)) / MOST_ZERO;
    s.unit = unit_above(unit > most ? unit : most);
    if (s.unit)
        s.zero = (int16_t)round_even((double)low / (double)kv_unit(s));
    return s;
}

static unsigned code_of(struct kv_scale s, unsigned top, float v)
{
    if (!s.unit)
        return 0;
    double code = round_even(((double)v / (double)kv_unit(s) - s.zero) / KV_FINE);
    return code <= 0 ? 0 : code >= top ? top : (unsigned)code;
}

/* ---- blocks ---- */

static void round_block(const struct kv_cache *kv, bool keys, const float *v, uint8_t *codes,
                        struct kv_scale *scales)
{
    const unsigned bits = kv_bits(kv, keys), top = (1u << bits) - 1;
    size_t groups = keys ? kv->key_scales : kv->value_scales, at = 0;
    memset(codes, 0, kv->bytes[keys]);
    for (size_t g = 0; g < groups; g++) {
        struct group where = group_of(kv, keys, g);
        scales[g] = fit(top, v, where);
        for (size_t i = 0; i < where.count; i++, at += bits) {
            unsigned code = code_of(scales[g], top, v[where.first + i * where.stride]) << at % 8;
            codes[at / 8] = (uint8_t)(codes[at / 8] | code);
            if (code >> 8) /* 3 bits may lie across two bytes */
                codes[at / 8 + 1] = (uint8_t)(code >> 8);
        }
    }
}

/* The code whose lowest bit is bit `at`. */
static unsigned code_at(const uint8_t *codes, size_t at, unsigned bits)
{
    unsigned two = codes[at / 8];
    if (at % 8 + bits > 8)
        two |= (unsigned)codes[at / 8 + 1] << 8;
    return two >> at % 8 & ((1u << bits) - 1);
}

static void expand_block(const struct kv_cache *kv, bool keys, const uint8_t *codes,
                         const struct kv_scale *scales, float *v)
{
    const unsigned bits = kv_bits(kv, keys);
    size_t groups = keys ? kv->key_scales : kv->value_scales, at = 0;
    for (size_t g = 0; g < groups; g++) {
        struct group where = group_of(kv, keys, g);
        float unit = kv_unit(scales[g]);
        for (size_t i = 0; i < where.count; i++, at += bits) {
            int code = (int)code_at(codes, at, bits);
            v[where.first + i * where.stride] = unit * (float)(KV_FINE * code + scales[g].zero);
        }
    }
}

static uint8_t *codes_of(const struct kv_cache *kv, uint32_t layer, size_t block, bool keys)
{
    return kv->codes + ((size_t)layer * kv->blocks + block) * (kv->bytes[0] + kv->bytes[1]) +
           (keys ? 0 : kv->bytes[1]);
}

struct kv_scale *kv_scales(const struct kv_cache *kv, uint32_t layer, size_t block, bool keys)
{
    return kv->scales + ((size_t)layer * kv->blocks + block) * (kv->key_scales + kv->value_scales) +
           (keys ? 0 : kv->key_scales);
}

void kv_codes(const struct kv_cache *kv, uint32_t layer, size_t block, bool keys, uint32_t head,
              uint32_t dim, uint8_t *codes)
{
    const uint8_t *from = codes_of(kv, layer, block, keys);
    const unsigned bits = kv_bits(kv, keys);
    for (size_t d = 0; d < dim; d++)
        for (size_t t = 0; t < KV_BLOCK; t++) {
            size_t c = head * dim + d;
            /* of keys a channel's tokens lie together, of values a token's channels */
            unsigned code = code_at(from, (keys ? c * KV_BLOCK + t : t * kv->width + c) * bits,
                                    bits);
            codes[keys ? t * dim + d : d * KV_BLOCK + t] = (uint8_t)code;
        }
}

static float *newest_of(const struct kv_cache *kv, uint32_t layer, bool keys)
{
    return kv->newest + ((size_t)layer * 2 + !keys) * KV_BLOCK * kv->width;
}

void kv_round(struct kv_cache *kv, size_t pos)
{
    size_t block = pos / KV_BLOCK - 1;
    for (uint32_t layer = 0; layer < kv->layers; layer++)
        for (int keys = 0; keys < 2; keys++)
            round_block(kv, keys, newest_of(kv, layer, keys), codes_of(kv, layer, block, keys),
                        kv_scales(kv, layer, block, keys));
    kv->rounded = (uint32_t)pos;
}

void kv_seek(struct kv_cache *kv, uint32_t pos)
{
    uint32_t block = pos / KV_BLOCK;
    if (pos >= kv->rounded)
        return;
    for (uint32_t layer = 0; layer < kv->layers && pos % KV_BLOCK; layer++)
        for (int keys = 0; keys < 2; keys++)
            expand_block(kv, keys, codes_of(kv, layer, block, keys),
                         kv_scales(kv, layer, block, keys), newest_of(kv, layer, keys));
    kv->rounded = block * KV_BLOCK;
}

/* Not NaN, and so far from the largest float that no rounding makes it infinite. */
static bool sane(const float *v, size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++)
        all &= fabsf(v[i]) <= 1e38f;
    return all;
}

bool kv_put(struct kv_cache *kv, uint32_t layer, size_t pos, const float *k, const float *v)
{
    size_t at = pos % KV_BLOCK * kv->width;
    if (!sane(k, kv->width) || !sane(v, kv->width))
        return false;
    memcpy(newest_of(kv, layer, true) + at, k, kv->width * sizeof *k);
    memcpy(newest_of(kv, layer, false) + at, v, kv->width * sizeof *v);
    return true;
}

/* count tokens of a block to their places from token first on. rope: NULL if keys are rotated already. */
static void spread(bool keys, const float *from, size_t first, size_t count,
                   const struct accel_model_info *h, const float *rope, size_t context, float *to)
{
    const size_t dim = h->head_dim, width = h->kv_heads * dim;
    for (size_t t = 0; t < count; t++) {
        for (size_t head = 0; head < h->kv_heads; head++) {
            const float *v = from + t * width + head * dim;
            float *base = to + head * dim * context;
            if (!keys) {
                memcpy(base + (first + t) * dim, v, dim * sizeof *v);
                continue;
            }
            for (size_t d = 0; d < dim; d++)
                base[d * context + first + t] = v[d];
        }
    }
    for (size_t row = 0; keys && rope && row < width; row += dim)
        attention_rotate_keys(to + row * context + first, context, rope, first, count, h->rope_dim);
}

void kv_expand(const struct kv_cache *kv, uint32_t layer, size_t pos,
               const struct accel_model_info *model, const float *rope, size_t context, float *keys,
               float *values)
{
    for (int k = 0; k < 2; k++) {
        float *to = k ? keys : values;
        for (size_t first = kv->how.jobs ? kv->rounded : 0; first < pos; first += KV_BLOCK) {
            const float *from = newest_of(kv, layer, k);
            if (first < kv->rounded) {
                size_t block = first / KV_BLOCK;
                expand_block(kv, k, codes_of(kv, layer, block, k), kv_scales(kv, layer, block, k),
                             kv->block);
                from = kv->block;
            }
            spread(k, from, first, pos - first < KV_BLOCK ? pos - first : KV_BLOCK, model,
                   kv->how.jobs ? NULL : rope, context, to);
        }
    }
}

/* ---- memory ---- */

/* Everything but the memory. @return ACCEL_OK, _E_ARG */
static int shape(struct kv_cache *kv, const struct accel_kv_options *how,
                 const struct accel_model_info *model, struct accel_error *err)
{
    kv->how = *how;
    for (int keys = 0; keys < 2; keys++) {
        unsigned bits = kv_bits(kv, keys);
        if (bits != 8 && bits != 4 && bits != 3 && bits != 2)
            return accel_fail(err, ACCEL_E_ARG,
                              "a cache of %u bits; there are 2, 3, 4, 8 and 0 (float32)", bits);
        kv->bytes[keys] = (size_t)model->kv_heads * model->head_dim * KV_BLOCK / 8 * bits;
    }
    kv->layers = model->layers;
    kv->width = model->kv_heads * model->head_dim;
    kv->span = model->head_dim;
    while (kv->span < KV_BLOCK && kv->width % (2 * kv->span) == 0)
        kv->span *= 2;
    kv->key_scales = kv->width;
    kv->value_scales = (size_t)KV_BLOCK * (kv->width / kv->span);
    return ACCEL_OK;
}

int kv_open(struct kv_cache *kv, const struct accel_kv_options *how,
            const struct accel_model_info *model, uint32_t context, struct accel_error *err)
{
    int rc = shape(kv, how, model, err);
    if (rc)
        return rc;
    kv->blocks = context / KV_BLOCK;
    kv->codes = new_array(kv->layers, kv->blocks, kv->bytes[0] + kv->bytes[1], 1);
    kv->scales = new_array(kv->layers, kv->blocks, kv->key_scales + kv->value_scales,
                           sizeof *kv->scales);
    kv->newest = new_array(kv->layers, 2 * KV_BLOCK, kv->width, sizeof *kv->newest);
    kv->block = new_array(KV_BLOCK, kv->width, 1, sizeof *kv->block);
    if (!kv->codes || !kv->scales || !kv->newest || !kv->block)
        return accel_fail(err, ACCEL_E_NOMEM,
                          "out of memory for a cache of %u tokens: choose a smaller context",
                          context);
    return ACCEL_OK;
}

void kv_close(struct kv_cache *kv)
{
    free(kv->codes);
    free(kv->scales);
    free(kv->newest);
    free(kv->block);
}

double accel_kv_token_bytes(const accel_model *model, const struct accel_kv_options *how)
{
    struct kv_cache kv = { 0 };
    if (!model || !how || (how->bits && shape(&kv, how, &model->info, NULL)))
        return 0;
    const struct accel_model_info *h = &model->info;
    return how->bits ? kv_token_bytes(&kv)
                     : 2.0 * sizeof(float) * h->layers * h->kv_heads * h->head_dim;
}

double kv_token_bytes(const struct kv_cache *kv)
{
    size_t block = kv->bytes[0] + kv->bytes[1] +
                   (kv->key_scales + kv->value_scales) * sizeof(struct kv_scale);
    return (double)kv->layers * (double)block / KV_BLOCK;
}

uint64_t kv_newest_bytes(const struct kv_cache *kv)
{
    return (uint64_t)kv->layers * 2 * KV_BLOCK * kv->width * sizeof(float);
}
