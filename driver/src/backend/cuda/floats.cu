/* floats.cu - norms, rotation, attention and SwiGLU of a llama, in the order of operations that llama.c states.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Built with -fmad=false: a fused multiply-add would round otherwise than the host. What is a sum is formed by one
 * thread for each partial sum of fmath.h; only maxima, where the order does not matter, are formed as a GPU likes. */
#include "floats.h"

#include "device.cuh"

#include "../../fmath.h"

namespace
{

constexpr uint32_t kThreads = 1024, kAttendThreads = 256;

/* Columns of a row of inputs in shared memory, with zeros behind them for layouts that read in wholes. */
__host__ __device__ inline uint32_t room(uint32_t cols)
{
    return (cols + CUDA_STEP - 1) / CUDA_STEP * CUDA_STEP + CUDA_STEP;
}

__device__ inline float at(const cuda_output &o, uint32_t token, uint32_t row)
{
    uint32_t p = 0;
    while (p + 1 < o.parts && row >= o.first[p + 1])
        p++;
    return o.y[(size_t)o.first[p] * o.n + (size_t)token * o.rows[p] + (row - o.first[p])];
}

__device__ inline uint32_t block_max(uint32_t v)
{
    __shared__ uint32_t of_warp[32];
    v = __reduce_max_sync(0xFFFFFFFFu, v);
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = v;
    __syncthreads();
    v = threadIdx.x % 32 < blockDim.x / 32 ? of_warp[threadIdx.x % 32] : 0;
    return __reduce_max_sync(0xFFFFFFFFu, v);
}

/* Four activations from padded column `to` on; q has zeros behind its columns. */
__device__ inline uint32_t four(const cuda_layout &at, const int8_t *q, uint32_t to)
{
    if (at.group && at.pad != at.group) {
        const uint32_t g = to / at.pad, i = to % at.pad;
        if (i >= at.group || g >= at.groups)
            return 0;
        to = g * at.group + i;
    }
    return *reinterpret_cast<const uint32_t *>(q + to);
}

/* kernels.cu's bytes_of, planes_of and sums_of for a single token, by one block. */
__device__ inline void lay_out(const cuda_input &in, uint32_t p, const int8_t *q)
{
    const cuda_layout &at = in.part[p].at;
    if (in.part[p].bytes)
        for (uint32_t i = threadIdx.x; i < at.steps * 64; i += blockDim.x) {
            const uint32_t step = i / 64, lane = i % 4, c = i / 4 % 4, load = i / 16 % 4;
            in.part[p].bytes[(size_t)step * 512 + load * 128 + lane * 4 + c] = four(at, q, i * 4);
        }
    if (in.part[p].planes)
        for (uint32_t w = threadIdx.x; w < at.steps * 64; w += blockDim.x) {
            const uint32_t half = w % 2, lane = w / 2 % 32, bit = lane / 4;
            uint32_t v = 0;
#pragma unroll
            for (uint32_t e = 0; e < 8; e++)
                v |= (four(at, q, w / 64 * CUDA_STEP + half * 128 + e * 16 + lane % 4 * 4) >> bit &
                      0x01010101u)
                     << e;
            in.part[p].planes[w] = v;
        }
    if (in.part[p].sums) {
        const uint32_t width = at.drain ? at.drain : at.pad;
        for (uint32_t h = threadIdx.x / 32; h < at.headers; h += blockDim.x / 32) {
            int32_t s = 0;
            for (uint32_t i = threadIdx.x % 32 * 4; i < width; i += 128)
                s = __dp4a((int32_t)four(at, q, h * width + i), 0x01010101, s);
            s = __reduce_add_sync(0xFFFFFFFFu, s);
            if (threadIdx.x % 32 == 0)
                in.part[p].sums[h * CUDA_TOKENS] = s;
        }
    }
}

/* accel_quantize_activations, by one block: v becomes q; both are in shared memory and have room(). */
__device__ inline void quantize(const cuda_input &in, uint32_t token, const float *v, int8_t *q)
{
    uint32_t top = 0;
    for (uint32_t i = threadIdx.x; i < in.cols; i += blockDim.x)
        top = max(top, __float_as_uint(v[i]) & 0x7FFFFFFFu);
    top = block_max(top);
    const float largest = __uint_as_float(top), scale = largest / 127.0f;
    const bool bad = top >= 0x7F800000u, none = bad || scale == 0.0f;
    if (threadIdx.x == 0) {
        in.scale[token] = bad ? largest : none ? 0.0f : scale;
        if (bad)
            *in.bad = 1;
    }
    constexpr float magic = 12582912.0f; /* 1.5 * 2^23 */
    for (uint32_t w = threadIdx.x; w < room(in.cols) / 4; w += blockDim.x) {
        uint32_t u = 0;
#pragma unroll
        for (uint32_t j = 0; j < 4; j++) {
            float r = none || w * 4 + j >= in.cols ? 0.0f : v[w * 4 + j] / scale;
            r = r > 127.0f ? 127.0f : r;
            r = r < -127.0f ? -127.0f : r;
            u |= (uint32_t)(uint8_t)(int8_t)(int)((r + magic) - magic) << 8 * j;
        }
        reinterpret_cast<uint32_t *>(q)[w] = u;
        int8_t *to = in.q + (size_t)token * in.cols + w * 4;
        if (in.cols % 4 == 0) {
            if (w * 4 < in.cols)
                *reinterpret_cast<uint32_t *>(to) = u;
        } else {
            for (uint32_t j = 0; j < 4 && w * 4 + j < in.cols; j++)
                to[j] = (int8_t)(u >> 8 * j);
        }
    }
    if (!in.parts)
        return;
    __syncthreads();
    for (uint32_t p = 0; p < in.parts; p++)
        lay_out(in, p, q);
}

__global__ void __launch_bounds__(kThreads) norm_kernel(cuda_norm a)
{
    extern __shared__ float v[]; /* [room], then q */
    __shared__ float sums[FM_SQUARES];
    __shared__ float factor;
    const uint32_t n = a.to.cols;
    let_next_begin();
    wait_for_last();
    float *x = a.x + (size_t)(a.first + blockIdx.x) * n;
    const float *y = a.y + (size_t)(a.first + blockIdx.x) * n;
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x) {
        float s = x[i];
        if (a.y) {
            s = s + y[i];
            x[i] = s;
        }
        v[i] = s;
    }
    __syncthreads();
    if (threadIdx.x < FM_SQUARES) {
        float s = 0.0f;
#pragma unroll 8
        for (uint32_t i = threadIdx.x; i < n; i += FM_SQUARES)
            s = s + v[i] * v[i];
        sums[threadIdx.x] = s;
    }
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
    quantize(a.to, blockIdx.x, v, reinterpret_cast<int8_t *>(v + room(n)));
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
    quantize(a.to, blockIdx.x, v, reinterpret_cast<int8_t *>(v + room(a.ff)));
}

/* Element i of the head that begins at that row, turned: attention_rotate. */
__device__ inline float turned(const cuda_attention &a, uint32_t token, uint32_t row, uint32_t i,
                               const float *turn)
{
    const float v = at(a.qkv, token, row + i);
    return i < a.rope_dim ? v * turn[i] + at(a.qkv, token, row + (i ^ 1u)) * turn[a.rope_dim + i]
                          : v;
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

/* The sum of a[i] * b[i * stride], one after the other; loads go ahead of it, AtOnce of them. */
template <int AtOnce>
__device__ inline float ascending(uint32_t count, const float *a, const float *b, size_t stride)
{
    float s = 0.0f;
    uint32_t i = 0;
    for (; i + AtOnce <= count; i += AtOnce) {
        float u[AtOnce];
#pragma unroll
        for (int j = 0; j < AtOnce; j++)
            u[j] = b[(i + j) * stride];
#pragma unroll
        for (int j = 0; j < AtOnce; j++)
            s = s + a[i + j] * u[j];
    }
    for (; i < count; i++)
        s = s + a[i] * b[i * stride];
    return s;
}

/* attention_head for head blockIdx.x of token blockIdx.y. Alone: of a single token, which is turned here and goes to
 * the cache here; else Q, turned, is where the result will be, and K and V are in the cache. The last head of a token
 * to end quantizes for all. */
template <bool Alone>
__global__ void __launch_bounds__(kAttendThreads) attend_kernel(cuda_attention a)
{
    extern __shared__ float
        shared[]; /* q, k, v of this token; scores; later the token's results and q */
    __shared__ uint32_t others;
    __shared__ float sums[8];
    const uint32_t hd = a.head_dim, head = blockIdx.x, token = blockIdx.y;
    const uint32_t kv = head / (a.heads / a.kv_heads);
    float *q = shared, *k = q + hd, *v = k + hd, *scores = v + hd;
    float *out = a.out + ((size_t)token * a.heads + head) * hd;
    let_next_begin();
    wait_for_last();
    const uint32_t pos = *a.pos + token, cached = Alone ? pos : pos + 1;
    float *keys = a.keys + (size_t)kv * hd * a.context;
    float *values = a.values + (size_t)kv * hd * a.context;
    if (Alone) {
        const float *turn = a.rope + (size_t)pos * a.rope_dim * 2;
        const bool puts = head % (a.heads / a.kv_heads) == 0;
        const uint32_t k_row = (a.heads + kv) * hd, v_row = k_row + a.kv_heads * hd;
        for (uint32_t i = threadIdx.x; i < hd; i += blockDim.x) {
            q[i] = turned(a, 0, head * hd, i, turn);
            k[i] = turned(a, 0, k_row, i, turn);
            v[i] = at(a.qkv, 0, v_row + i);
            if (puts) {
                keys[(size_t)i * a.context + pos] = k[i];
                values[(size_t)pos * hd + i] = v[i];
            }
        }
    } else {
        for (uint32_t i = threadIdx.x; i < hd; i += blockDim.x)
            q[i] = out[i];
    }
    __syncthreads();
    uint32_t top = 0;
    for (uint32_t t = threadIdx.x; t <= pos; t += blockDim.x) {
        float s = 0.0f;
        if (t < cached) {
            s = ascending<32>(hd, q, keys + t, a.context);
        } else {
            for (uint32_t d = 0; d < hd; d++)
                s = s + q[d] * k[d];
        }
        s = s * a.scale;
        scores[t] = s;
        /* as integers that order like the floats: no NaN is the largest of all but -NaN, and both end as NaN */
        const uint32_t bits = __float_as_uint(s);
        top = max(top, bits >> 31 ? ~bits : bits | 0x80000000u);
    }
    top = block_max(top);
    const float most = __uint_as_float(top >> 31 ? top & 0x7FFFFFFFu : ~top);
    for (uint32_t t = threadIdx.x; t <= pos; t += blockDim.x)
        scores[t] = fm_exp(scores[t] - most);
    __syncthreads();
    if (threadIdx.x < 8) {
        float s = 0.0f;
#pragma unroll 8
        for (uint32_t t = threadIdx.x; t <= pos; t += 8)
            s = s + scores[t];
        sums[threadIdx.x] = s;
    }
    __syncthreads();
    const float inverse = 1.0f / fm_sum8(sums);
    for (uint32_t t = threadIdx.x; t <= pos; t += blockDim.x)
        scores[t] = scores[t] * inverse;
    __syncthreads();
    for (uint32_t d = threadIdx.x; d < hd; d += blockDim.x) {
        float s = ascending<32>(cached, scores, values + d, hd);
        if (Alone)
            s = s + scores[pos] * v[d];
        out[d] = s;
    }
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
    quantize(a.to, token, shared, reinterpret_cast<int8_t *>(shared + room(a.to.cols)));
}

template <class Kernel, class Arguments>
int start(Kernel kernel, const Arguments &a, dim3 grid, uint32_t threads, uint32_t shared,
          const cuda_how *how, void *stream)
{
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute attribute = {};
    if (shared > 48 * 1024) {
        const cudaError_t e = cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
        if (e != cudaSuccess)
            return e;
    }
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = &attribute;
    config.numAttrs = how->overlapped ? 1 : 0;
    return cudaLaunchKernelEx(&config, kernel, a);
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
    return start(norm_kernel, *a, dim3(a->n), threads_for(a->to.cols), room(a->to.cols) * 5, how,
                 stream);
}

int cuda_run_gates(const cuda_gates *a, const cuda_how *how, void *stream)
{
    return start(gates_kernel, *a, dim3(a->n), threads_for(a->ff), room(a->ff) * 5, how, stream);
}

int cuda_run_attention(const cuda_attention *a, const cuda_how *how, void *stream)
{
    const uint32_t scores = (3 * a->head_dim + a->context) * 4, last = room(a->to.cols) * 5;
    const uint32_t shared = scores > last ? scores : last;
    if (a->n == 1)
        return start(attend_kernel<true>, *a, dim3(a->heads), kAttendThreads, shared, how, stream);
    const uint32_t threads = a->head_dim < 128 ? 64 : 128;
    const int e = start(cache_kernel, *a, dim3(a->heads + a->kv_heads, a->n), threads, 0, how,
                        stream);
    return e ? e
             : start(attend_kernel<false>, *a, dim3(a->heads, a->n), kAttendThreads, shared, how,
                     stream);
}
