/* codes.cuh - codes of ACCEL_WIDTH bits to the bytes of tensor core operands. Included by what is compiled once a width.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CUDA_CODES_CUH
#define ACCEL_CUDA_CODES_CUH

#include "device.cuh"

namespace
{

constexpr int W = ACCEL_WIDTH;
constexpr int kBits = W >= CUDA_TABLE ? 4 : W;

struct Tables {
    uint32_t of[2][4]; /* of rows r and r + 8 */
};

__device__ inline void load_table(uint32_t to[4], const void *tables, uint32_t i)
{
    uint4 t = __ldg(reinterpret_cast<const uint4 *>(tables) + i);
    to[0] = t.x;
    to[1] = t.y;
    to[2] = t.z;
    to[3] = t.w;
}

/* __byte_perm ignores the top bits of selectors; the instruction does not. */
__device__ inline uint32_t permute(uint32_t a, uint32_t b, uint32_t selectors)
{
    uint32_t v;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(v) : "r"(a), "r"(b), "r"(selectors));
    return v;
}

/* Four codes as four bytes, codes at their tops: columns 16 e + 4 q .. + 3 of a half step. */
template <int P>
__device__ inline uint32_t part_bytes(const uint32_t *w, int half, int e, int upper)
{
    constexpr int base = above_part(kBits, P) * 4, top = 8 - above_part(kBits, P) - P;
    const int word = half * P + e % P, low = P * (e / P);
    const uint32_t v = w[base + word / 2 * 4 + word % 2 * 2 + upper];
    constexpr uint32_t mask = (((1u << P) - 1) << top) * 0x01010101u;
    return (top >= low ? v << (top - low) : v >> (low - top)) & mask;
}

__device__ inline uint32_t code_bytes(const uint32_t *w, const Tables &t, int half, int e,
                                      int upper)
{
    uint32_t v = 0;
    if constexpr (W == CUDA_TABLE7) {
        /* a selector with its top bit set gives the sign of the byte it names, here always 0 */
        const int word = half * 4 + e % 4;
        const uint32_t u = w[word / 2 * 4 + word % 2 * 2 + upper], n = u ^ 0x88888888u;
        return permute(t.of[upper][0], t.of[upper][1], u >> (16 * (e / 4))) |
               permute(t.of[upper][2], t.of[upper][3], n >> (16 * (e / 4)));
    }
    if constexpr (W == CUDA_TABLE) {
        const int word = half * 4 + e % 4;
        const uint32_t u = w[word / 2 * 4 + word % 2 * 2 + upper] >> (16 * (e / 4));
        const uint32_t low = u & 0x7777u, pick = (u >> 1 & 0x4444u) | 0x3210u;
        return __byte_perm(__byte_perm(t.of[upper][0], t.of[upper][1], low),
                           __byte_perm(t.of[upper][2], t.of[upper][3], low), pick);
    }
    if constexpr (W == 8)
        return part_bytes<8>(w, half, e, upper);
    if constexpr (has_part(kBits, 4))
        v |= part_bytes<4>(w, half, e, upper);
    if constexpr (has_part(kBits, 2))
        v |= part_bytes<2>(w, half, e, upper);
    if constexpr (has_part(kBits, 1))
        v |= part_bytes<1>(w, half, e, upper);
    return v;
}

/* In headers of formats without selectors, and of all but 8 bits, these are constants. */
__device__ inline uint32_t sc_low(const Args &a)
{
    return W >= CUDA_TABLE ? a.m.at.sc_low : 4;
}
__device__ inline uint32_t scale_up(const Args &a)
{
    return W == 8 ? a.m.at.scale_up : 0;
}

} // namespace

#endif
