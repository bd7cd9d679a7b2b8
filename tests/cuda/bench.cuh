/* bench.cuh - what the GPU's benchmarks share: random memory, a kernel that only reads, layouts of matrices.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CUH
#define BENCH_CUH

#include "../../driver/src/backend/cuda/kernels.h"

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace
{

void check(int e, const char *what)
{
    if (e == 0)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, cudaGetErrorString((cudaError_t)e));
    exit(1);
}

__global__ void fill(uint4 *to, size_t count)
{
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < count;
         i += (size_t)gridDim.x * blockDim.x) {
        uint64_t a = (i + 1) * 0x9E3779B97F4A7C15u, b = (a ^ a >> 31) * 0xBF58476D1CE4E5B9u;
        a = (b ^ b >> 27) * 0x94D049BB133111EBu;
        to[i] = make_uint4((uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32));
    }
}

template <bool Overlapped> __global__ void read_only(const uint4 *from, size_t count, uint4 *never)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
    const size_t stride = (size_t)gridDim.x * blockDim.x;
    size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
    uint4 v = make_uint4(0, 0, 0, 0);
    for (; i + 7 * stride < count; i += 8 * stride) {
        uint4 u[8];
#pragma unroll
        for (int j = 0; j < 8; j++)
            u[j] = __ldcs(from + i + j * stride);
#pragma unroll
        for (int j = 0; j < 8; j++)
            v.x ^= u[j].x, v.y ^= u[j].y, v.z ^= u[j].z, v.w ^= u[j].w;
    }
    for (; i < count; i += stride) {
        uint4 u = __ldcs(from + i);
        v.x ^= u.x, v.y ^= u.y, v.z ^= u.z, v.w ^= u.w;
    }
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
    if ((v.x ^ v.y ^ v.z ^ v.w) == 0x12345678u && v.x == 0x9ABCDEF0u)
        *never = v;
}

struct Format {
    const char *name;
    uint32_t width, fraction;
};

void lay_out(cuda_layout *at, const Format &f, uint32_t group, uint32_t rows, uint32_t cols)
{
    memset(at, 0, sizeof *at);
    at->rows = rows;
    at->cols = cols;
    at->tiles = (rows + 15) / 16;
    at->steps = (cols + 255) / 256;
    at->group = group;
    at->groups = group ? (cols + group - 1) / group : 1;
    at->pad = group ? group : at->steps * 256;
    at->drain = group;
    at->headers = group ? at->steps * (256 / group) : 1;
    at->width = f.width;
    at->sc_low = 4;
    at->narrow = 1; /* as of quantized weights */
    at->fraction = f.fraction;
    at->code_offset = f.width == CUDA_TABLE7 ? -12 : 0;
}

} // namespace

#endif
