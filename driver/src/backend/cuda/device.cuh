/* device.cuh - what the kernels share: arguments, tensor core products, the end of a tile.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A block takes a tile of 16 rows and up to 16 columns of activations. Each of its warps takes a run of steps,
 * with the weights of several steps on their way at once; their sums meet in shared memory in the end. */
#ifndef ACCEL_CUDA_DEVICE_CUH
#define ACCEL_CUDA_DEVICE_CUH

#include "kernels.h"

struct Args {
    cuda_matrix m;
    cuda_acts x;
    cuda_results y;
    uint32_t each; /* steps that a warp takes, but for the last */
};

struct Start {
    uint32_t warps;
    bool overlapped;
    cudaStream_t stream;
};
using Launch = int (*)(const Args &args, const Start &start);
/* The kernels for one width: headers every `drain` columns, 1 or 2 blocks of columns, with offsets for S or not. */
#define ACCEL_DECLARE_WIDTH(w) Launch find_bytes_##w(uint32_t drain, uint32_t blocks, bool offset)
ACCEL_DECLARE_WIDTH(1);
ACCEL_DECLARE_WIDTH(2);
ACCEL_DECLARE_WIDTH(3);
ACCEL_DECLARE_WIDTH(4);
ACCEL_DECLARE_WIDTH(5);
ACCEL_DECLARE_WIDTH(6);
ACCEL_DECLARE_WIDTH(7);
ACCEL_DECLARE_WIDTH(8);
ACCEL_DECLARE_WIDTH(9);
ACCEL_DECLARE_WIDTH(10);
/* Warpgroup products for many columns, on GPUs of compute capability 9.0; drain 0, 32 or 128. */
#define ACCEL_DECLARE_TILES(w) Launch find_tiles_##w(uint32_t drain, bool offset, bool narrow)
ACCEL_DECLARE_TILES(1);
ACCEL_DECLARE_TILES(2);
ACCEL_DECLARE_TILES(3);
ACCEL_DECLARE_TILES(4);
ACCEL_DECLARE_TILES(5);
ACCEL_DECLARE_TILES(6);
ACCEL_DECLARE_TILES(7);
ACCEL_DECLARE_TILES(8);
ACCEL_DECLARE_TILES(9);
ACCEL_DECLARE_TILES(10);
/* Binary products of a single column; NULL: none for that width and drain. */
Launch find_planes(uint32_t width, uint32_t drain, bool offset);

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
__device__ inline void load_weights(uint32_t *to, const uint4 *from, bool wanted)
{
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "setp.ne.u32 p, %5, 0;\n"
                 "@p ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];\n"
                 "}"
                 : "+r"(to[0]), "+r"(to[1]), "+r"(to[2]), "+r"(to[3])
                 : "l"(from), "r"((uint32_t)wanted));
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

struct Header {
    int32_t sc;
    uint32_t sh;
};
__device__ inline Header header_of(uint32_t word, uint32_t upper, uint32_t sc_low)
{
    const uint32_t h = upper ? word >> 16 : word & 0xFFFFu;
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
__device__ inline void put_result(const Args &a, uint32_t row, uint32_t token, int64_t acc,
                                  float row_scale)
{
    if (a.m.first) {
        int64_t d = 0;
        const int8_t *x = a.x.x + (size_t)token * a.m.at.cols;
        for (uint32_t j = a.m.first[row]; j < a.m.first[row + 1]; j++)
            d += (int64_t)a.m.k[j] * x[a.m.col[j]];
        acc += a.m.osc[row] * d * ((int64_t)1 << a.m.osh[row]);
    }
    const size_t at = (size_t)token * a.m.at.rows + row;
    if (a.y.f32)
        a.y.f32[at] = (float)((double)acc * (double)row_scale *
                              (a.y.col_scale ? (double)a.y.col_scale[token] : 1.0));
    else if (a.y.acc)
        a.y.acc[at] = acc;
    else
        a.y.i8[at] = requantize(acc, a.y.mul[row], a.y.shift[row]);
}

/* What the end of a tile needs of a thread's row, asked for early: the row is the same for all it puts. */
struct TileRow {
    uint32_t row;
    float scale;
    Header header; /* of the whole row, if there is only one */
};
template <int DR> __device__ inline TileRow tile_row(const Args &a)
{
    const uint32_t in_tile = threadIdx.x % CUDA_TILE_ROWS;
    TileRow t = { blockIdx.x * CUDA_TILE_ROWS + in_tile, 0.0f, {} };
    if (a.y.f32 && t.row < a.m.at.rows)
        t.scale = __ldg(a.y.row_scale + t.row);
    if (DR == 0)
        t.header = header_of(
            __ldg(static_cast<const uint32_t *>(a.m.headers) + blockIdx.x * 8 + in_tile % 8),
            in_tile / 8, a.m.at.sc_low);
    return t;
}

/* A tile's results from [warps][columns][16 rows] of partial sums: of products, if the row has one header,
 * else scaled already. */
template <int DR, class Sum>
__device__ inline void put_tile(const Args &a, const TileRow &t, uint32_t first, uint32_t columns,
                                const Sum *partial, const int32_t *sums, uint32_t up,
                                uint32_t fraction)
{
    const uint32_t cells = columns * CUDA_TILE_ROWS;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < cells; i += blockDim.x) {
        const uint32_t column = i / CUDA_TILE_ROWS;
        if (first + column >= a.x.n || t.row >= a.m.at.rows)
            continue;
        int64_t sum = 0;
        for (uint32_t k = 0; k < blockDim.x / 32; k++)
            sum += partial[k * cells + i];
        if (DR == 0) {
            sum *= (int64_t)t.header.sc << (t.header.sh + up);
            if (sums) {
                int64_t o = (int64_t)t.header.sc * a.m.at.code_offset;
                if (a.m.oc)
                    o += static_cast<const int32_t *>(
                        a.m.oc)[blockIdx.x * 16 + t.row % 8 * 2 + t.row % 16 / 8];
                sum += o * sums[column] << (t.header.sh + fraction);
            }
        }
        put_result(a, t.row, first + column, sum >> fraction, t.scale);
    }
}

template <class Kernel>
int start_kernel(Kernel kernel, const Args &a, const Start &start, uint32_t grid_y, size_t shared)
{
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.gridDim = dim3(a.m.at.tiles, grid_y);
    config.blockDim = dim3(32 * start.warps);
    config.dynamicSmemBytes = shared;
    config.stream = start.stream;
    config.attrs = &attribute;
    config.numAttrs = start.overlapped ? 1 : 0;
    return cudaLaunchKernelEx(&config, kernel, a);
}

#endif
#endif
