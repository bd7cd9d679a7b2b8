/* levels.c - the values that codes of a format stand for, and the nearest of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "quant.h"

#include "matrix.h"

#include <math.h>
#include <string.h>

static void add_level(struct quant_levels *l, float k, unsigned code)
{
    unsigned at = l->count;
    for (unsigned i = 0; i < l->count; i++)
        if (l->k[i] == k)
            return; /* negative zero and NaN keep the code of zero */
    for (; at > 0 && l->k[at - 1] > k; at--) {
        l->k[at] = l->k[at - 1];
        l->code[at] = l->code[at - 1];
    }
    l->k[at] = k;
    l->code[at] = (uint8_t)code;
    l->count++;
}

void quant_levels_init(accel_format f, unsigned sel, const int8_t *book, struct quant_levels *l)
{
    unsigned bits = accel_format_bits(f);
    memset(l, 0, sizeof *l);
    switch (f & 0xF00u) {
    case ACCEL_CODING_SIGNED:
        l->integer = true;
        l->low = -(float)(1 << (bits - 1));
        l->high = (float)((1 << (bits - 1)) - 1);
        return;
    case ACCEL_CODING_UNSIGNED:
        l->integer = true;
        l->high = (float)((1 << bits) - 1);
        return;
    default: break;
    }
    for (unsigned c = 0; c < 1u << bits; c++)
        if (!(f == ACCEL_TERNARY && c == 3))
            add_level(l, (float)accel_format_decode_in(f, c, sel, 0, book), c);
    for (unsigned i = 0; i + 1 < l->count; i++)
        l->border[i] = (l->k[i] + l->k[i + 1]) / 2;
    l->low = l->k[0];
    l->high = l->k[l->count - 1];
}

float quant_nearest(const struct quant_levels *l, float q, float zero, uint8_t *code)
{
    if (l->integer) {
        float k = (float)round_even((double)q + (double)zero);
        k = k < l->low ? l->low : k;
        k = k > l->high ? l->high : k;
        if (code) /* two's complement of the format's width */
            *code = (uint8_t)((int)k & (int)(l->high - l->low));
        return k - zero;
    }
    unsigned low = 0, high = l->count - 1; /* the first border that is not below q */
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (l->border[middle] < q)
            low = middle + 1;
        else
            high = middle;
    }
    if (code)
        *code = l->code[low];
    return l->k[low];
}
