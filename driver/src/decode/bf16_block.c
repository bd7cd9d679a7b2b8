/* bf16_block.c - bf16 weights as blocks of int8 codes with a shared exponent.
 * SPDX-License-Identifier: Apache-2.0 */
#include "decode/decode.h"

#include <math.h>

bool bf16_block(const uint16_t w[BF16_BLOCK], int8_t code[BF16_BLOCK], uint8_t *scale)
{
    int top = 1;

    for (unsigned i = 0; i < BF16_BLOCK; i++) {
        const int e = w[i] >> 7 & 255;
        top = e > top ? e : top;
    }
    *scale = (uint8_t)top;
    for (unsigned i = 0; i < BF16_BLOCK; i++) {
        const int e = w[i] >> 7 & 255, m = w[i] & 127;
        /* in units of the code; exact in double down to 2^-262 */
        const double v = ldexp(e ? m + 128 : m, (e ? e : 1) - top - 1);
        double k = floor(v);
        const double over = v - k;
        if (over > 0.5 || (over == 0.5 && fmod(k, 2.0) != 0.0))
            k += 1.0;
        k = k > 127.0 ? 127.0 : k;
        code[i] = (int8_t)(w[i] >> 15 ? -k : k);
    }
    return top != 255;
}
