/* planes.cuh - binary products of a single column, for kernels that hold a step of codes in registers.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The eight columns of an mma.m16n8k256 are the eight bit planes of one column of activations; its rows are
 * words of codes, of which a mask on the activations' side picks one bit of every code. Nothing is unpacked:
 * the work is one AND and one population count for each bit of code, in the tensor core. */
#ifndef ACCEL_CUDA_PLANES_CUH
#define ACCEL_CUDA_PLANES_CUH

#include "device.cuh"

namespace
{

/* Activation bits as the second operand for plane p of part words m, of width P: layout.h's word m holds the
 * code of e = P * field + m at bit P * field, where x holds the activation's at bit e. */
template <int P> __device__ inline uint32_t spread(uint32_t x, int m, int p)
{
    constexpr uint32_t every = 0xFFFFFFFFu / ((1u << P) - 1);
    return (p >= m ? x << (p - m) : x >> (m - p)) & every << p;
}

/* Products of the words of one part in one step; whole: of both halves, else of one. */
template <int P, bool Whole>
__device__ inline void part_products(int32_t (*c)[4], const uint32_t *w, const uint32_t x[2],
                                     int half)
{
    if constexpr (P == 1) {
        if (Whole)
            mma_bits(c[0], w[0], w[1], w[2], w[3], x[0], x[1]);
        else
            mma_bits_half(c[0], w[2 * half], w[2 * half + 1], x[half]);
    } else {
        if (Whole)
            part_products<P, false>(c, w, x, 1 - half);
#pragma unroll
        for (int v = 0; v < P / 2; v++) {
            const uint32_t *u = w + (half * (P / 2) + v) * 4;
#pragma unroll
            for (int p = 0; p < P; p++)
                mma_bits(c[p], u[0], u[1], u[2], u[3], spread<P>(x[half], 2 * v, p),
                         spread<P>(x[half], 2 * v + 1, p));
        }
    }
}

template <int W, bool Whole>
__device__ inline void products(int32_t (*c)[4], const uint32_t *w, const uint32_t x[2], int half)
{
    if constexpr (has_part(W, 4))
        part_products<4, Whole>(c + (W & 3), w, x, half);
    if constexpr (has_part(W, 2))
        part_products<2, Whole>(c + (W & 1), w + 4 * above_part(W, 2), x, half);
    if constexpr (has_part(W, 1))
        part_products<1, Whole>(c, w + 4 * above_part(W, 1), x, half);
}

/* Counts to this lane's share of C. The top bits of a code and of an activation are negative. */
struct Share {
    int32_t even, odd; /* what the lane's two bits of activations stand for */
};
template <int W> __device__ inline int32_t combine(const int32_t (*c)[4], int upper, Share share)
{
    int32_t even = 0, odd = 0;
#pragma unroll
    for (int p = 0; p < W; p++) {
        even += p == W - 1 ? -(c[p][2 * upper] << p) : c[p][2 * upper] << p;
        odd += p == W - 1 ? -(c[p][2 * upper + 1] << p) : c[p][2 * upper + 1] << p;
    }
    return share.even * even + share.odd * odd;
}

} // namespace

#endif
