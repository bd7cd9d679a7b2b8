/* device.cuh - what the kernels share: arguments, tensor core products, the end of a row.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CUDA_DEVICE_CUH
#define ACCEL_CUDA_DEVICE_CUH

#include "kernels.h"

struct Args {
    cuda_matrix m;
    cuda_acts x;
    cuda_results y;
    uint32_t blocks; /* of CUDA_TOKENS columns */
};

using Launch = int (*)(const Args &args, uint32_t warps, bool overlapped, void *stream);
/* The kernels for one width: kernel for headers every `drain` columns and 1 or 2 blocks of columns. */
#define ACCEL_DECLARE_WIDTH(w) Launch find_bytes_##w(uint32_t drain, uint32_t blocks)
ACCEL_DECLARE_WIDTH(1);
ACCEL_DECLARE_WIDTH(2);
ACCEL_DECLARE_WIDTH(3);
ACCEL_DECLARE_WIDTH(4);
ACCEL_DECLARE_WIDTH(5);
ACCEL_DECLARE_WIDTH(6);
ACCEL_DECLARE_WIDTH(7);
ACCEL_DECLARE_WIDTH(8);
ACCEL_DECLARE_WIDTH(9);
/* Binary products of n columns; NULL: none for that width, drain and n. */
Launch find_planes(uint32_t width, uint32_t drain, uint32_t n);

#ifdef __CUDACC__

/* With overlapped launches: let the next kernel begin; wait until what the last one wrote is there. */
__device__ inline void let_next_begin()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}
__device__ inline void wait_for_last()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* Weights are read once: they need no room in the caches. */
__device__ inline void load_weights(uint32_t *to, const uint4 *from)
{
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "l"(from));
}

__device__ inline void mma_bytes(int32_t c[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                 uint32_t b0, uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

__device__ inline void mma_bits(int32_t c[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                uint32_t b0, uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

__device__ inline void mma_bits_half(int32_t c[4], uint32_t a0, uint32_t a1, uint32_t b0)
{
    asm("mma.sync.aligned.m16n8k128.row.col.s32.b1.b1.s32.and.popc {%0, %1, %2, %3}, "
        "{%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a0), "r"(a1), "r"(b0));
}

/* Parts of a width: does it have one of p bits, and how many bits lie above it? */
__host__ __device__ constexpr bool has_part(int width, int p)
{
    return (width & p) != 0;
}
__host__ __device__ constexpr int above_part(int width, int p)
{
    return width & ~(2 * p - 1);
}

/* A header's scale and what S is multiplied by. */
struct Header {
    int32_t sc;
    uint32_t sh;
};
__device__ inline Header header_of(uint32_t word, uint32_t upper, uint32_t sc_low)
{
    uint32_t h = upper ? word >> 16 : word & 0xFFFFu;
    return { (int32_t)(int16_t)h >> sc_low, h & 15u };
}

__device__ inline int8_t requantize(int64_t acc, uint32_t mul, uint32_t shift)
{
    __int128 product = (__int128)acc * mul, whole = product >> shift, unit = (__int128)1 << shift;
    __int128 twice = 2 * (product - (whole << shift));
    if (twice > unit || (twice == unit && (whole & 1)))
        whole += 1;
    return (int8_t)(whole > 127 ? 127 : whole < -128 ? -128 : whole);
}

/* Outliers, and the result as it is wanted. */
__device__ inline void put_result(const Args &a, uint32_t row, uint32_t token, int64_t acc)
{
    if (a.m.first) {
        int64_t d = 0;
        const int8_t *x = a.x.x + (size_t)token * a.m.at.cols;
        for (uint32_t j = a.m.first[row]; j < a.m.first[row + 1]; j++)
            d += (int64_t)a.m.k[j] * x[a.m.col[j]];
        acc += a.m.osc[row] * d * ((int64_t)1 << a.m.osh[row]);
    }
    const size_t at = (size_t)token * a.m.at.rows + row;
    if (a.y.acc)
        a.y.acc[at] = acc;
    else if (a.y.i8)
        a.y.i8[at] = requantize(acc, a.y.mul[row], a.y.shift[row]);
    else
        a.y.f32[at] = (float)((double)acc * (double)a.y.row_scale[row] *
                              (a.y.col_scale ? (double)a.y.col_scale[token] : 1.0));
}

#endif
#endif
