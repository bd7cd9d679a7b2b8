/* floats.cu - norms, rotation, attention and SwiGLU of a llama, in the order of operations that llama.c states.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Built with -fmad=false: a fused multiply-add would round otherwise than the host. What is a sum is formed by one
 * thread for each partial sum of fmath.h; only maxima, where the order does not matter, are formed as a GPU likes. */
#include "floats.cuh"

#include <algorithm>

namespace
{

constexpr uint32_t kThreads = 1024, kAttendThreads = 256;

/* accel_quantize_activations of a token's values, in shared memory, by one block. */
__device__ inline void quantize(const cuda_input &in, uint32_t token, const float *v)
{
    uint32_t top = 0;
    for (uint32_t i = threadIdx.x; i < in.cols; i += blockDim.x)
        top = max(top, __float_as_uint(v[i]) & 0x7FFFFFFFu);
    top = block_max(top);
    const Scale scale = scale_of(top);
    if (threadIdx.x == 0) {
        in.scale[token] = scale.kept;
        if (scale.bad)
            *in.bad = 1;
    }
    for (uint32_t i = threadIdx.x; i < in.cols; i += blockDim.x)
        in.q[(size_t)token * in.cols + i] = code_of(v[i], scale);
}

__global__ void __launch_bounds__(kThreads) norm_kernel(cuda_norm a)
{
    extern __shared__ float v[];
    __shared__ float sums[FM_SQUARES];
    __shared__ float factor;
    const uint32_t n = a.to.cols;
    let_next_begin();
    wait_for_last();
    const size_t row = (size_t)(a.first + blockIdx.x) * n;
    const float *x = a.x + row, *y = a.y + row;
    float *x_to = a.x_to + row;
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x) {
        const float s = a.y ? x[i] + y[i] : x[i];
        x_to[i] = s;
        v[i] = s;
    }
    for (uint32_t i = threadIdx.x; blockIdx.x == 0 && i < CUDA_MEETING; i += blockDim.x)
        a.meeting[i] = 0;
    __syncthreads();
    if (threadIdx.x < FM_SQUARES)
        sums[threadIdx.x] = strided_sum(threadIdx.x, n, FM_SQUARES,
                                        [&](uint32_t i) { return v[i] * v[i]; });
    __syncthreads();
    if (threadIdx.x < 32) {
        static_assert(FM_SQUARES == 64, "two sums a lane");
        float s = sums[threadIdx.x] + sums[threadIdx.x + 32];
        for (int half = 16; half; half /= 2)
            s = s + __shfl_down_sync(0xFFFFFFFFu, s, half);
        if (threadIdx.x == 0)
            factor = fm_rsqrt(s / (float)n + a.eps);
    }
    __syncthreads();
    const float scale = factor;
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x)
        v[i] = v[i] * scale * a.weight[i];
    __syncthreads();
    quantize(a.to, blockIdx.x, v);
}

__global__ void __launch_bounds__(kThreads) gates_kernel(cuda_gates a)
{
    extern __shared__ float v[];
    let_next_begin();
    wait_for_last();
    for (uint32_t i = threadIdx.x; i < a.ff; i += blockDim.x) {
        const float gate = at(a.gate_up, blockIdx.x, i), up = at(a.gate_up, blockIdx.x, a.ff + i);
        v[i] = gate * fm_sigmoid(gate) * up;
    }
    __syncthreads();
    quantize(a.to, blockIdx.x, v);
}

/* Head blockIdx.x of Q, then those of K with theirs of V, of token blockIdx.y. */
__global__ void cache_kernel(cuda_attention a)
{
    const uint32_t token = blockIdx.y, pos = *a.pos + token, hd = a.head_dim;
    const float *turn = a.rope + (size_t)pos * a.rope_dim * 2;
    for (uint32_t i = threadIdx.x; i < hd; i += blockDim.x) {
        const float v = turned(a, token, blockIdx.x * hd, i, turn);
        if (blockIdx.x < a.heads) {
            a.out[((size_t)token * a.heads + blockIdx.x) * hd + i] = v;
            continue;
        }
        const size_t kv = blockIdx.x - a.heads;
        a.keys[(kv * hd + i) * a.context + pos] = v;
        a.values[(kv * a.context + pos) * hd + i] = at(a.qkv, token,
                                                       (blockIdx.x + a.kv_heads) * hd + i);
    }
}

/* attention_head for head blockIdx.x of token blockIdx.y: Q, turned, is where the result will be, and K and V are in
 * the cache. The last head of a token to end quantizes for all. */
__global__ void __launch_bounds__(kAttendThreads) attend_kernel(cuda_attention a)
{
    extern __shared__ float shared[]; /* q, scores; later the token's results */
    __shared__ uint32_t others;
    const uint32_t hd = a.head_dim, token = blockIdx.y;
    const size_t kv = blockIdx.x / (a.heads / a.kv_heads) * (size_t)hd * a.context;
    float *out = a.out + ((size_t)token * a.heads + blockIdx.x) * hd;
    let_next_begin();
    wait_for_last();
    for (uint32_t i = threadIdx.x; i < hd; i += blockDim.x)
        shared[i] = out[i];
    __syncthreads();
    float *scores = shared + hd;
    const uint32_t count = *a.pos + token + 1;
    for (uint32_t t = threadIdx.x; t < count; t += blockDim.x)
        scores[t] = ascending(0.0f, hd, shared, a.keys + kv + t, a.context) * a.scale;
    __syncthreads();
    softmax(scores, count);
    for (uint32_t d = threadIdx.x; d < hd; d += blockDim.x)
        out[d] = ascending(0.0f, count, scores, a.values + kv + d, hd);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        others = atomicAdd(a.done + token, 1u);
    __syncthreads();
    if (others != a.heads - 1)
        return;
    __threadfence();
    const float *all = a.out + (size_t)token * a.to.cols;
    for (uint32_t i = threadIdx.x; i < a.to.cols; i += blockDim.x)
        shared[i] = __ldcg(all + i);
    if (threadIdx.x == 0)
        a.done[token] = 0;
    __syncthreads();
    quantize(a.to, token, shared);
}

__global__ void join_kernel(const float *shares, uint32_t each, uint32_t rows, uint32_t n, float *y)
{
    const size_t count = (size_t)n * rows;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < count;
         i += (size_t)gridDim.x * blockDim.x) {
        const uint32_t token = (uint32_t)(i / rows), row = (uint32_t)(i % rows);
        const uint32_t first = row / each * each, left = min(each, rows - first);
        y[i] = shares[(size_t)first * n + (size_t)token * left + (row - first)];
    }
}

/* No more threads than there is work for; whole warps. */
uint32_t threads_for(uint32_t cols)
{
    const uint32_t threads = (cols + 31) / 32 * 32;
    return threads < 64 ? 64 : threads < kThreads ? threads : kThreads;
}

} // namespace

int cuda_run_norm(const cuda_norm *a, const cuda_how *how, void *stream)
{
    return start(norm_kernel, *a, dim3(a->n), threads_for(a->to.cols), a->to.cols * 4, how, stream);
}

int cuda_run_gates(const cuda_gates *a, const cuda_how *how, void *stream)
{
    return start(gates_kernel, *a, dim3(a->n), threads_for(a->ff), a->ff * 4, how, stream);
}

int cuda_run_attention(const cuda_attention *a, const cuda_how *how, void *stream)
{
    const uint32_t scores = a->head_dim + a->context;
    const uint32_t shared = (scores > a->to.cols ? scores : a->to.cols) * 4;
    const uint32_t threads = a->head_dim < 128 ? 64 : 128;
    const int e = start(cache_kernel, *a, dim3(a->heads + a->kv_heads, a->n), threads, 0, how,
                        stream);
    return e ? e
             : start(attend_kernel, *a, dim3(a->heads, a->n), kAttendThreads, shared, how, stream);
}

int cuda_join(const float *shares, uint32_t each, uint32_t rows, uint32_t n, float *y, void *stream)
{
    const size_t count = (size_t)n * rows, blocks = (count + kThreads - 1) / kThreads;
    const dim3 grid((uint32_t)std::min<size_t>(blocks, 256));
    join_kernel<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(shares, each, rows, n, y);
    return cudaGetLastError();
}
