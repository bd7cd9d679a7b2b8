/* ggml_blocks.c - ggml's block formats: rows as codes and scales, or as floats.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each block type has one function that takes a block apart into codes and, for each group, the
 * factors its scale and offset are products of. Codes-and-scales and floats are both made from
 * that, so a layout is written down once. */
#include "ggml_blocks.h"

#include "quant/layout.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define BLOCK_MAX  256
#define GROUPS_MAX 16

/* A block taken apart: weight = (d * mul[g]) * k + (off * add[g]), each factor as stored. */
struct parts {
    uint8_t codes[BLOCK_MAX];
    float d, off;
    int mul[GROUPS_MAX];
    int add[GROUPS_MAX];
    bool illegal; /* a ternary code of 3 */
};

static const int8_t iq4_nl_values[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113 };

static const struct ggml_block_type block_types[] = {
    { GGML_F32, 0, 0 },
    { GGML_F16, 0, 0 },
    { GGML_BF16, 0, 0 },
    { GGML_Q4_0, ACCEL_INT(4), 32 },
    { GGML_Q4_1, ACCEL_UINT(4), 32 },
    { GGML_Q5_0, ACCEL_INT(5), 32 },
    { GGML_Q5_1, ACCEL_UINT(5), 32 },
    { GGML_Q8_0, ACCEL_INT(8), 32 },
    { GGML_Q2_K, ACCEL_UINT(2), 16 },
    { GGML_Q3_K, ACCEL_INT(3), 16 },
    { GGML_Q4_K, ACCEL_UINT(4), 32 },
    { GGML_Q5_K, ACCEL_UINT(5), 32 },
    { GGML_Q6_K, ACCEL_INT(6), 16 },
    { GGML_IQ4_NL, ACCEL_INT(8), 32 },
    { GGML_TQ1_0, ACCEL_TERNARY, 256 },
    { GGML_TQ2_0, ACCEL_TERNARY, 256 },
    { GGML_MXFP4, ACCEL_FLOAT(2, 1), 32 },
};

const struct ggml_block_type *ggml_find_block_type(uint32_t id)
{
    for (size_t i = 0; i < sizeof block_types / sizeof block_types[0]; i++)
        if (block_types[i].id == id)
            return &block_types[i];
    return NULL;
}

/* ---- numbers ---- */

static uint16_t read_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (unsigned)p[1] << 8);
}

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)read_u16(p) | (uint32_t)read_u16(p + 2) << 16;
}

static float bits_to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Without branches, so that rows of them become vector instructions: 2^112 makes up for the other bias, for subnormals too. */
static float read_half(const uint8_t *p)
{
    uint32_t h = read_u16(p), bits = (h & 0x7FFFu) << 13;
    uint32_t sign = (h & 0x8000u) << 16, odd = (h & 0x7C00u) == 0x7C00u ? 0x7F800000u : 0;
    uint32_t value;
    float f = bits_to_float(bits) * 0x1p112f;
    memcpy(&value, &f, sizeof value);
    return bits_to_float(sign | (odd ? odd | bits : value));
}

/* ---- blocks of 32 ---- */

/* Byte j of 16 holds weight j in its low and weight j + 16 in its high half. */
static void split_nibbles(const uint8_t *qs, uint8_t *codes)
{
    for (unsigned j = 0; j < 16; j++) {
        codes[j] = qs[j] & 15u;
        codes[j + 16] = qs[j] >> 4;
    }
}

static void add_fifth_bits(const uint8_t *qh, uint8_t *codes)
{
    uint32_t high = read_u32(qh);
    for (unsigned n = 0; n < 32; n++)
        codes[n] = (uint8_t)(codes[n] | (high >> n & 1u) << 4);
}

/* Codes hold u = k + half; turn them into two's complement of the same width. */
static void from_offset(uint8_t *codes, unsigned n, unsigned half)
{
    for (unsigned i = 0; i < n; i++)
        codes[i] ^= (uint8_t)half; /* modulo 2^bits, u - half is u with its top bit inverted */
}

/* An E8M0 scale halved, because k of E2M1 is twice its value: 2^(e - 128). The two smallest are
 * subnormal. */
static float half_e8m0(unsigned e)
{
    return bits_to_float(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23);
}

static void parts_mxfp4(const uint8_t *b, struct parts *p)
{
    p->d = half_e8m0(b[0]);
    p->mul[0] = 1;
    split_nibbles(b + 1, p->codes);
}

static void parts_32(uint32_t id, const uint8_t *b, struct parts *p)
{
    p->d = read_half(b);
    p->mul[0] = 1;
    switch (id) {
    case GGML_Q4_0:
        split_nibbles(b + 2, p->codes);
        from_offset(p->codes, 32, 8);
        break;
    case GGML_Q4_1:
        p->off = read_half(b + 2);
        p->add[0] = 1;
        split_nibbles(b + 4, p->codes);
        break;
    case GGML_Q5_0:
        split_nibbles(b + 6, p->codes);
        add_fifth_bits(b + 2, p->codes);
        from_offset(p->codes, 32, 16);
        break;
    case GGML_Q5_1:
        p->off = read_half(b + 2);
        p->add[0] = 1;
        split_nibbles(b + 8, p->codes);
        add_fifth_bits(b + 4, p->codes);
        break;
    case GGML_Q8_0: memcpy(p->codes, b + 2, 32); break;
    default: /* IQ4_NL */
        split_nibbles(b + 2, p->codes);
        for (unsigned n = 0; n < 32; n++)
            p->codes[n] = (uint8_t)iq4_nl_values[p->codes[n]];
        break;
    }
}

/* ---- blocks of 256 ---- */

static void parts_tq1_0(const uint8_t *b, struct parts *p)
{
    static const uint8_t pow3[5] = { 1, 3, 9, 27, 81 };
    for (unsigned n = 0; n < 256; n++) {
        unsigned byte, t;
        if (n < 160) {
            byte = b[n % 32];
            t = n / 32;
        } else if (n < 240) {
            byte = b[32 + (n - 160) % 16];
            t = (n - 160) / 16;
        } else {
            byte = b[48 + (n - 240) % 4];
            t = (n - 240) / 4;
        }
        unsigned wrapped = byte * pow3[t] & 255u;
        p->codes[n] = (uint8_t)(wrapped * 3 >> 8);
    }
    p->d = read_half(b + 52);
    p->mul[0] = 1;
}

/* Two-bit fields, strided by 32 inside each half of 128 weights. */
static void strided_pairs(const uint8_t *qs, uint8_t *codes)
{
    for (unsigned h = 0; h < 2; h++)
        for (unsigned k = 0; k < 4; k++)
            for (unsigned l = 0; l < 32; l++)
                codes[128 * h + 32 * k + l] = qs[32 * h + l] >> 2 * k & 3u;
}

static void parts_tq2_0(const uint8_t *b, struct parts *p)
{
    strided_pairs(b, p->codes);
    for (unsigned j = 0; j < 64; j++)
        if (b[j] & b[j] >> 1 & 0x55u)
            p->illegal = true;
    p->d = read_half(b + 64);
    p->mul[0] = 1;
}

static void parts_q2_k(const uint8_t *b, struct parts *p)
{
    strided_pairs(b + 16, p->codes);
    p->d = read_half(b + 80);
    p->off = -read_half(b + 82);
    for (unsigned i = 0; i < 16; i++) {
        p->mul[i] = b[i] & 15;
        p->add[i] = b[i] >> 4;
    }
}

static void parts_q3_k(const uint8_t *b, struct parts *p)
{
    const uint8_t *hmask = b, *s = b + 96;
    strided_pairs(b + 32, p->codes);
    for (unsigned n = 0; n < 256; n++) {
        unsigned high = (unsigned)hmask[n % 32] >> n / 32 & 1u;
        /* low - 4 if the high bit is clear: three bits of two's complement */
        p->codes[n] = (uint8_t)(p->codes[n] | (high ? 0u : 4u));
    }
    p->d = read_half(b + 108);
    for (unsigned i = 0; i < 16; i++) {
        int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4;
        int high = s[8 + i % 4] >> 2 * (i / 4) & 3;
        p->mul[i] = (low | high << 4) - 32;
    }
}

/* Eight 6-bit scales and eight 6-bit mins in 12 bytes. */
static void six_bit_pairs(const uint8_t *s, struct parts *p)
{
    for (unsigned i = 0; i < 8; i++) {
        if (i < 4) {
            p->mul[i] = s[i] & 63;
            p->add[i] = s[i + 4] & 63;
        } else {
            p->mul[i] = (s[i + 4] & 15) | (s[i - 4] >> 6) << 4;
            p->add[i] = (s[i + 4] >> 4) | (s[i] >> 6) << 4;
        }
    }
}

static void parts_q45_k(uint32_t id, const uint8_t *b, struct parts *p)
{
    p->d = read_half(b);
    p->off = -read_half(b + 2);
    six_bit_pairs(b + 4, p);
    const uint8_t *qh = b + 16;
    const uint8_t *qs = id == GGML_Q5_K ? b + 48 : b + 16;
    for (unsigned n = 0; n < 256; n++) {
        unsigned i = n / 32;
        unsigned code = (unsigned)qs[32 * (i / 2) + n % 32] >> 4 * (i & 1u) & 15u;
        if (id == GGML_Q5_K)
            code |= ((unsigned)qh[n % 32] >> i & 1u) << 4;
        p->codes[n] = (uint8_t)code;
    }
}

static void parts_q6_k(const uint8_t *b, struct parts *p)
{
    const uint8_t *ql = b, *qh = b + 128;
    for (unsigned n = 0; n < 256; n++) {
        unsigned h = n / 128, l = n % 32, g = n % 128 / 32;
        unsigned low = (unsigned)ql[64 * h + 32 * (g & 1u) + l] >> 4 * (g / 2) & 15u;
        unsigned high = (unsigned)qh[32 * h + l] >> 2 * g & 3u;
        p->codes[n] = (uint8_t)((low | high << 4) ^ 32u);
    }
    p->d = read_half(b + 208);
    for (unsigned i = 0; i < 16; i++)
        p->mul[i] = b[192 + i] < 128 ? b[192 + i] : b[192 + i] - 256;
}

static void take_apart(uint32_t id, const uint8_t *block, struct parts *p)
{
    p->off = 0.0f;
    p->illegal = false;
    memset(p->add, 0, sizeof p->add);
    switch (id) {
    case GGML_TQ1_0: parts_tq1_0(block, p); break;
    case GGML_TQ2_0: parts_tq2_0(block, p); break;
    case GGML_Q2_K: parts_q2_k(block, p); break;
    case GGML_Q3_K: parts_q3_k(block, p); break;
    case GGML_Q4_K:
    case GGML_Q5_K: parts_q45_k(id, block, p); break;
    case GGML_Q6_K: parts_q6_k(block, p); break;
    case GGML_MXFP4: parts_mxfp4(block, p); break;
    default: parts_32(id, block, p); break;
    }
}

/* ---- rows ---- */

static void plain_row(uint32_t id, const uint8_t *row, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (id == GGML_F32)
            out[i] = bits_to_float(read_u32(row + 4 * i));
        else if (id == GGML_F16)
            out[i] = read_half(row + 2 * i);
        else
            out[i] = bits_to_float((uint32_t)read_u16(row + 2 * i) << 16);
    }
}

int ggml_dequantize_row(uint32_t type, const void *row, float *out, size_t n)
{
    const struct ggml_block_type *t = ggml_find_block_type(type);
    if (!t)
        return quant_dequantize_row(type, row, out, n);
    const struct ggml_type_info *size = ggml_type_find(type);
    if (!row || !out || n % size->block_len != 0)
        return ACCEL_E_ARG;
    if (!t->format) {
        plain_row(type, row, out, n);
        return ACCEL_OK;
    }
    int k_of[256];
    for (unsigned c = 0; c < 256; c++)
        k_of[c] = accel_format_decode(t->format, c);
    if (type == GGML_TQ2_0)
        k_of[3] = 2; /* as ggml reads it; no quantizer writes it */
    const uint8_t *block = row;
    struct parts p;
    for (size_t i = 0; i < n; i += size->block_len, block += size->block_bytes) {
        take_apart(type, block, &p);
        for (uint32_t g = 0; g < size->block_len / t->group; g++) {
            float scale = p.d * (float)p.mul[g];
            float offset = p.off * (float)p.add[g];
            for (uint32_t j = g * t->group; j < (g + 1) * t->group; j++)
                out[i + j] = scale * (float)k_of[p.codes[j]] + offset;
        }
    }
    return ACCEL_OK;
}

int ggml_decode_row(const struct ggml_block_type *type, const void *row, size_t n, uint8_t *codes,
                    double *scales, double *offsets, const char **what)
{
    const struct ggml_type_info *size = ggml_type_find(type->id);
    const uint8_t *block = row;
    struct parts p;
    for (size_t i = 0; i < n; i += size->block_len, block += size->block_bytes) {
        take_apart(type->id, block, &p);
        if (!isfinite(p.d) || !isfinite(p.off)) {
            *what = "a block's scale is infinite or not a number";
            return ACCEL_E_CORRUPT;
        }
        if (p.illegal) {
            *what = "a ternary code is 3; only 0, 1 and 2 are legal";
            return ACCEL_E_CORRUPT;
        }
        memcpy(codes + i, p.codes, size->block_len);
        for (uint32_t g = 0; g < size->block_len / type->group; g++) {
            *scales++ = (double)p.d * p.mul[g];
            *offsets++ = (double)p.off * p.add[g];
        }
    }
    return ACCEL_OK;
}
