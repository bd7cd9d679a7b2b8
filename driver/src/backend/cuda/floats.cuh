/* floats.cuh - what the kernels between products share, of one token and of many.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CUDA_FLOATS_CUH
#define ACCEL_CUDA_FLOATS_CUH

#include "floats.h"

#include "device.cuh"

#include "../../fmath.h"

namespace
{

__device__ inline float at(const cuda_output &o, uint32_t token, uint32_t row)
{
    if (o.parts == 1)
        return o.y[(size_t)token * o.rows[0] + row];
    uint32_t p = 0;
    while (p + 1 < o.parts && row >= o.first[p + 1])
        p++;
    return o.y[(size_t)o.first[p] * o.n + (size_t)token * o.rows[p] + (row - o.first[p])];
}

__device__ inline uint32_t block_max(uint32_t v)
{
    __shared__ uint32_t of_warp[32];
    v = __reduce_max_sync(0xFFFFFFFFu, v);
    __syncthreads(); /* what was there last has been read */
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = v;
    __syncthreads();
    v = threadIdx.x % 32 < blockDim.x / 32 ? of_warp[threadIdx.x % 32] : 0;
    return __reduce_max_sync(0xFFFFFFFFu, v);
}

/* One activation as accel_quantize_activations makes it; top: the bits of the largest magnitude of its column. */
struct Scale {
    float scale, kept; /* to divide by; the column's own */
    bool bad, none;
};
__device__ inline Scale scale_of(uint32_t top)
{
    const float largest = __uint_as_float(top), scale = largest / 127.0f;
    const bool bad = top >= 0x7F800000u, none = bad || scale == 0.0f;
    return { scale, bad ? largest : none ? 0.0f : scale, bad, none };
}
__device__ inline int8_t code_of(float v, const Scale &s)
{
    constexpr float magic = 12582912.0f; /* 1.5 * 2^23 */
    float r = s.none ? 0.0f : v / s.scale;
    r = r > 127.0f ? 127.0f : r;
    r = r < -127.0f ? -127.0f : r;
    return (int8_t)(int)((r + magic) - magic);
}

/* Element i of the head that begins at that row, turned: attention_rotate. */
__device__ inline float turned(const cuda_attention &a, uint32_t token, uint32_t row, uint32_t i,
                               const float *turn)
{
    const float v = at(a.qkv, token, row + i);
    return i < a.rope_dim ? v * turn[i] + at(a.qkv, token, row + (i ^ 1u)) * turn[a.rope_dim + i]
                          : v;
}

/* s and then a[i] * b[i * stride], one after the other, with all loads ahead; i up to AtOnce, and below count. */
template <uint32_t AtOnce, bool All>
__device__ inline float ascending_part(float s, uint32_t count, const float *a, const float *b,
                                       size_t stride)
{
    float u[AtOnce];
#pragma unroll
    for (uint32_t j = 0; j < AtOnce; j++)
        u[j] = All || j < count ? b[j * stride] : 0.0f;
#pragma unroll
    for (uint32_t j = 0; j < AtOnce; j++)
        if (All || j < count)
            s = s + a[j] * u[j];
    return s;
}
__device__ inline float ascending(float s, uint32_t count, const float *a, const float *b,
                                  size_t stride)
{
    constexpr uint32_t kMany = 64, kFew = 16;
    for (; count >= kMany; count -= kMany, a += kMany, b += kMany * stride)
        s = ascending_part<kMany, true>(s, count, a, b, stride);
    for (; count >= kFew; count -= kFew, a += kFew, b += kFew * stride)
        s = ascending_part<kFew, true>(s, count, a, b, stride);
    return count ? ascending_part<kFew, false>(s, count, a, b, stride) : s;
}

/* Terms first, first + stride ... below n, one after the other. A test behind each would have each wait for its load. */
template <class Term>
__device__ inline float strided_sum(uint32_t first, uint32_t n, uint32_t stride, Term term)
{
    constexpr uint32_t kAtOnce = 16;
    float s = 0.0f;
    for (uint32_t i = first; i < n; i += kAtOnce * stride) {
        float u[kAtOnce];
        const bool all = i + (kAtOnce - 1) * stride < n;
#pragma unroll
        for (uint32_t j = 0; j < kAtOnce; j++)
            u[j] = all || i + j * stride < n ? term(i + j * stride) : 0.0f;
#pragma unroll
        for (uint32_t j = 0; j < kAtOnce; j++)
            s = all || i + j * stride < n ? s + u[j] : s;
    }
    return s;
}

/* As integers that order like the floats: no NaN is the largest of all but -NaN, and both end as NaN. */
__device__ inline uint32_t ordered(float f)
{
    const uint32_t bits = __float_as_uint(f);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ inline float unordered(uint32_t bits)
{
    return __uint_as_float(bits >> 31 ? bits & 0x7FFFFFFFu : ~bits);
}

/* Softmax of scores, [n], by the block; each has its own copy. */
__device__ inline void softmax(float *scores, uint32_t n)
{
    __shared__ float sums[8];
    uint32_t top = 0;
    for (uint32_t t = threadIdx.x; t < n; t += blockDim.x)
        top = max(top, ordered(scores[t]));
    const float most = unordered(block_max(top));
    for (uint32_t t = threadIdx.x; t < n; t += blockDim.x)
        scores[t] = fm_exp(scores[t] - most);
    __syncthreads();
    if (threadIdx.x < 8)
        sums[threadIdx.x] = strided_sum(threadIdx.x, n, 8, [&](uint32_t t) { return scores[t]; });
    __syncthreads();
    const float inverse = 1.0f / fm_sum8(sums);
    for (uint32_t t = threadIdx.x; t < n; t += blockDim.x)
        scores[t] = scores[t] * inverse;
    __syncthreads();
}

/* Dynamic shared memory beyond what every kernel may have. */
template <class Kernel> int room_for(Kernel kernel, uint32_t shared)
{
    return shared <= 48 * 1024
               ? cudaSuccess
               : cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      (int)shared);
}

/* cluster: blocks of a cluster; 1: none */
template <class Kernel, class... Arguments>
int start_cluster(Kernel kernel, dim3 grid, uint32_t threads, uint32_t shared, uint32_t cluster,
                  const cuda_how *how, void *stream, const Arguments &...a)
{
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute attributes[2] = {};
    const int e = room_for(kernel, shared);
    if (e)
        return e;
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = attributes;
    if (how->overlapped) {
        attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attributes[0].val.programmaticStreamSerializationAllowed = 1;
        config.numAttrs = 1;
    }
    if (cluster > 1) {
        cudaLaunchAttribute &last = attributes[config.numAttrs++];
        last.id = cudaLaunchAttributeClusterDimension;
        last.val.clusterDim.x = cluster;
        last.val.clusterDim.y = last.val.clusterDim.z = 1;
    }
    return cudaLaunchKernelEx(&config, kernel, a...);
}

template <class Kernel, class Arguments>
int start(Kernel kernel, const Arguments &a, dim3 grid, uint32_t threads, uint32_t shared,
          const cuda_how *how, void *stream)
{
    return start_cluster(kernel, grid, threads, shared, 1, how, stream, a);
}

} // namespace

#endif
