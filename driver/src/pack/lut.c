/* lut.c - recode one bit-plane for the lookup-table kinds: cells of two (lut), three (lut3) or four
 * lanes (lut4) become (entry, negate).
 * SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

/* With each bit b standing for +1 (b = 1) or -1 (b = 0), a pair of lanes adds up to one of x0+x1,
 * x0-x1, x1-x0, -x0-x1: one of two table entries (chosen by whether the bits differ), negated if the
 * first bit is 0. */
void lut_recode(uint8_t *row, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes / 8; i++) {
        unsigned even = row[i] & 0x55u;
        unsigned odd = (row[i] >> 1) & 0x55u;
        row[i] = (uint8_t)((even ^ odd) | ((even ^ 0x55u) << 1));
    }
}

/* Four lanes: bit j of the entry says whether lane j + 1 differs in sign from the first. */
void lut4_recode(uint8_t *row, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes / 8; i++) {
        unsigned first = row[i] & 0x11u;
        unsigned entry = ((row[i] >> 1) & 0x77u) ^ first * 7u;
        row[i] = (uint8_t)(entry | (first ^ 0x11u) << 3);
    }
}

/* Three lanes likewise, eight cells in three bytes. */
void lut3_recode(uint8_t *row, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes / 8; i += 3) {
        unsigned v = row[i] | (unsigned)row[i + 1] << 8 | (unsigned)row[i + 2] << 16;
        unsigned first = v & 0x249249u;
        unsigned entry = ((v >> 1) & 0x6DB6DBu) ^ first * 3u;
        v = entry | (first ^ 0x249249u) << 2;
        for (unsigned b = 0; b < 3; b++)
            row[i + b] = (uint8_t)(v >> 8 * b);
    }
}
