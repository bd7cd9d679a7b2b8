/* requant.c - the two roundings outside the packer: int8 results and int8 activations.
 * SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

__extension__ typedef __int128 int128;

int8_t accel_requantize(int64_t acc, uint32_t mul, unsigned shift)
{
    if (shift > 62)
        shift = 62;
    int128 product = (int128)acc * mul; /* at most 47 + 31 bits */
    int128 whole = product >> shift;    /* rounds towards minus infinity */
    int128 rest = product - whole * ((int128)1 << shift);
    int128 twice = 2 * rest;
    int128 unit = (int128)1 << shift;
    if (twice > unit || (twice == unit && (whole & 1)))
        whole += 1;
    if (whole > 127)
        return 127;
    if (whole < -128)
        return -128;
    return (int8_t)whole;
}

/* Nearest integer, halves to even, for |v| < 2^22: adding 1.5 * 2^23 leaves no bits below 1. */
static inline float round_even(float v)
{
    const float magic = 12582912.0f;
    return (v + magic) - magic;
}

/* q[i] = round_half_even(v[i] / scale) with scale = max|v| / most; with `low` in two bytes, 256 * q + low. */
static inline float quantize(const float *v, size_t count, float most, int8_t *q, int8_t *low)
{
    /* Magnitudes of floats order like their bits, and infinities and NaNs order above all others:
     * one integer maximum finds both the scale and bad input. */
    uint32_t top = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        bits &= 0x7FFFFFFFu;
        top = bits > top ? bits : top;
    }
    float largest;
    memcpy(&largest, &top, sizeof largest);
    float scale = largest / most;
    if (top >= 0x7F800000u || scale == 0.0f) {
        memset(q, 0, count);
        if (low)
            memset(low, 0, count);
        return top >= 0x7F800000u ? largest : 0.0f;
    }
    for (size_t i = 0; i < count; i++) {
        float r = v[i] / scale;
        r = r > most ? most : r; /* only where scale is subnormal and was rounded */
        r = r < -most ? -most : r;
        int k = (int)round_even(r), high = low ? (k + 128 + 32768) / 256 - 128 : k;
        q[i] = (int8_t)high;
        if (low)
            low[i] = (int8_t)(k - 256 * high);
    }
    return scale;
}

float accel_quantize_activations(const float *v, size_t count, int8_t *q)
{
    return quantize(v, count, 127.0f, q, NULL);
}

float quantize_activations_4(const float *v, size_t count, int8_t *q)
{
    return quantize(v, count, 7.0f, q, NULL);
}

float quantize_activations_16(const float *v, size_t count, int8_t *q, int8_t *low)
{
    return quantize(v, count, 32639.0f, q, low); /* 127 * 257: both bytes stay within int8 */
}
