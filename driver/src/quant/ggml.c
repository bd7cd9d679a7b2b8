/* ggml.c - ggml's reference quantizers, byte for byte.
 * SPDX-License-Identifier: Apache-2.0
 *
 * All arithmetic is float32 in ggml's order: a product with the rounded reciprocal, not a division. */
#include "quant.h"

#include "ggml_types.h"

#include <math.h>
#include <string.h>

/* IEEE half precision, halves to even. */
static uint16_t to_half(float v)
{
    uint32_t u, sign, mantissa;
    memcpy(&u, &v, sizeof u);
    sign = u >> 16 & 0x8000u;
    int exponent = (int)(u >> 23 & 255u) - 127;
    mantissa = (u & 0x7FFFFFu) | 0x800000u;
    if (exponent == 128)
        return (uint16_t)(sign | 0x7C00u | (u & 0x7FFFFFu ? 0x200u | (u >> 13 & 0x3FFu) : 0u));
    if (exponent > 15)
        return (uint16_t)(sign | 0x7C00u);
    if (exponent < -25)
        return (uint16_t)sign;
    unsigned drop = exponent < -14 ? (unsigned)(-1 - exponent) : 13;
    uint32_t kept = mantissa >> drop, rest = mantissa & ((1u << drop) - 1), half = 1u << (drop - 1);
    kept += rest > half || (rest == half && (kept & 1u));
    if (exponent >= -14)
        kept += (uint32_t)(exponent + 14)
                << 10; /* a carry out of the mantissa raises the exponent */
    return (uint16_t)(sign | kept);
}

static void put_half(uint8_t *p, float v)
{
    uint16_t h = to_half(v);
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

static float reciprocal(float d)
{
    return d != 0.0f ? 1.0f / d : 0.0f;
}

/* The value of largest magnitude, the first of equals. */
static float peak_of(const float *w, unsigned n)
{
    float peak = 0.0f;
    for (unsigned i = 0; i < n; i++)
        if (fabsf(w[i]) > fabsf(peak))
            peak = w[i];
    return peak;
}

static void join_nibbles(const uint8_t *codes, uint8_t *out)
{
    for (unsigned j = 0; j < 16; j++)
        out[j] = (uint8_t)((codes[j] & 15u) | (codes[j + 16] & 15u) << 4);
}

static void fifth_bits(const uint8_t *codes, uint8_t *out)
{
    memset(out, 0, 4);
    for (unsigned j = 0; j < 32; j++)
        out[j / 8] = (uint8_t)(out[j / 8] | (unsigned)(codes[j] >> 4 & 1u) << j % 8);
}

/* Q4_0 and Q5_0: the peak, with its sign, meets the lowest code. */
static void signed_block(const float *w, unsigned bits, uint8_t *out)
{
    uint8_t codes[32];
    float half = (float)(1u << (bits - 1)), top = 2.0f * half - 1.0f;
    float d = peak_of(w, 32) / -half, inverse = reciprocal(d);
    for (unsigned j = 0; j < 32; j++) {
        float q = truncf(w[j] * inverse + (half + 0.5f));
        codes[j] = (uint8_t)(q < top ? q : top);
    }
    put_half(out, d);
    if (bits == 5)
        fifth_bits(codes, out + 2);
    join_nibbles(codes, out + (bits == 5 ? 6 : 2));
}

/* Q4_1 and Q5_1. */
static void offset_block(const float *w, unsigned bits, uint8_t *out)
{
    uint8_t codes[32];
    float min = w[0], max = w[0], top = (float)((1u << bits) - 1);
    for (unsigned j = 1; j < 32; j++) {
        min = w[j] < min ? w[j] : min;
        max = w[j] > max ? w[j] : max;
    }
    float d = (max - min) / top, inverse = reciprocal(d);
    for (unsigned j = 0; j < 32; j++) {
        float q = truncf((w[j] - min) * inverse + 0.5f);
        codes[j] = (uint8_t)(q < top ? q : top);
    }
    put_half(out, d);
    put_half(out + 2, min);
    if (bits == 5)
        fifth_bits(codes, out + 4);
    join_nibbles(codes, out + (bits == 5 ? 8 : 4));
}

static void q8_0_block(const float *w, uint8_t *out)
{
    float d = fabsf(peak_of(w, 32)) / 127.0f, inverse = reciprocal(d);
    put_half(out, d);
    for (unsigned j = 0; j < 32; j++)
        out[2 + j] = (uint8_t)(int)roundf(w[j] * inverse);
}

static unsigned trit(float v)
{
    float q = roundf(v) + 1.0f;
    return q < 0.0f ? 0u : q > 2.0f ? 2u : (unsigned)q;
}

/* Five trits, the most significant first, as a fraction of 256. */
static uint8_t trits(const float *w, unsigned stride, unsigned count, float inverse)
{
    unsigned v = 0;
    for (unsigned t = 0; t < 5; t++)
        v = v * 3 + (t < count ? trit(w[t * stride] * inverse) : 0u);
    return (uint8_t)((v * 256 + 242) / 243);
}

static void tq1_0_block(const float *w, uint8_t *out)
{
    float d = fabsf(peak_of(w, 256)), inverse = reciprocal(d);
    for (unsigned m = 0; m < 32; m++)
        out[m] = trits(w + m, 32, 5, inverse);
    for (unsigned m = 0; m < 16; m++)
        out[32 + m] = trits(w + 160 + m, 16, 5, inverse);
    for (unsigned m = 0; m < 4; m++)
        out[48 + m] = trits(w + 240 + m, 4, 4, inverse);
    put_half(out + 52, d);
}

static void tq2_0_block(const float *w, uint8_t *out)
{
    float d = fabsf(peak_of(w, 256)), inverse = reciprocal(d);
    for (unsigned h = 0; h < 2; h++) {
        for (unsigned m = 0; m < 32; m++) {
            unsigned v = 0;
            for (unsigned k = 0; k < 4; k++)
                v |= trit(w[128 * h + 32 * k + m] * inverse) << 2 * k;
            out[32 * h + m] = (uint8_t)v;
        }
    }
    put_half(out + 64, d);
}

/* The scale's exponent is the peak's, less E2M1's 2; each value takes the nearest, the first code of equals. */
static void mxfp4_block(const float *w, uint8_t *out)
{
    static const float values[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    uint8_t codes[32];
    float peak = fabsf(peak_of(w, 32));
    int e = peak > 0.0f ? (int)floorf(log2f(peak)) - 2 + 127 : 0;
    e = e < 0 ? 0 : e;
    float d = (float)ldexp(1.0, e - 128);
    for (unsigned j = 0; j < 32; j++) {
        unsigned best = 0;
        for (unsigned c = 1; c < 16; c++)
            if (fabsf(values[c] * d - w[j]) < fabsf(values[best] * d - w[j]))
                best = c;
        codes[j] = (uint8_t)best;
    }
    out[0] = (uint8_t)e;
    join_nibbles(codes, out + 1);
}

static void plain_row(uint32_t type, const float *w, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        float v = type == GGML_BF16 ? quant_bf16(w[i]) : w[i];
        uint32_t u;
        memcpy(&u, &v, sizeof u);
        if (type == GGML_F16) {
            put_half(out + 2 * i, v);
        } else if (type == GGML_BF16) {
            out[2 * i] = (uint8_t)(u >> 16);
            out[2 * i + 1] = (uint8_t)(u >> 24);
        } else {
            for (unsigned b = 0; b < 4; b++)
                out[4 * i + b] = (uint8_t)(u >> 8 * b);
        }
    }
}

bool quant_ggml_find(uint32_t type)
{
    switch (type) {
    case GGML_F32:
    case GGML_F16:
    case GGML_BF16:
    case GGML_Q4_0:
    case GGML_Q4_1:
    case GGML_Q5_0:
    case GGML_Q5_1:
    case GGML_Q8_0:
    case GGML_TQ1_0:
    case GGML_TQ2_0:
    case GGML_MXFP4: return true;
    default: return false;
    }
}

void quant_ggml_row(uint32_t type, const float *w, size_t n, uint8_t *out)
{
    const struct ggml_type_info *info = ggml_type_find(type);
    if (info->block_len == 1) {
        plain_row(type, w, n, out);
        return;
    }
    for (size_t i = 0; i < n;
         i += info->block_len, w += info->block_len, out += info->block_bytes) {
        switch (type) {
        case GGML_Q4_0: signed_block(w, 4, out); break;
        case GGML_Q5_0: signed_block(w, 5, out); break;
        case GGML_Q4_1: offset_block(w, 4, out); break;
        case GGML_Q5_1: offset_block(w, 5, out); break;
        case GGML_Q8_0: q8_0_block(w, out); break;
        case GGML_TQ1_0: tq1_0_block(w, out); break;
        case GGML_TQ2_0: tq2_0_block(w, out); break;
        default: mxfp4_block(w, out); break;
        }
    }
}
