/* token.cu - what floats.cu does, for a token by itself: by many blocks, laid out for the products that follow.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Between two products nothing reads weights, so that every microsecond here counts twice. What does not depend on the
 * kernel ahead (norm weights, cached keys and values) is on its way before that ends. The blocks of a kernel meet
 * once, to know the largest magnitude of all; there are few enough of them to be on the GPU together, and none of
 * the kernel that follows starts before all of them have. */
#include "floats.cuh"

namespace
{

constexpr uint32_t kNormThreads = 1024, kThreads = 256, kMostAhead = 512;

/* The largest top of all blocks; what they wrote before can be read after. Tops leave the upper bit free, which says
 * that one is there. */
__device__ inline uint32_t meet(uint32_t *meeting, uint32_t top)
{
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        *(volatile uint32_t *)(meeting + blockIdx.x) = top | 0x80000000u;
    uint32_t most = 0;
    for (uint32_t i = threadIdx.x; i < gridDim.x; i += blockDim.x) {
        uint32_t v;
        while (!((v = *(volatile uint32_t *)(meeting + i)) >> 31))
            ;
        most = max(most, v & 0x7FFFFFFFu);
    }
    __threadfence();
    return block_max(most);
}

/* The column that padded column `to` holds; beyond all of them: none. */
__device__ inline uint32_t column_of(const cuda_layout &at, uint32_t to)
{
    if (!at.group || at.pad == at.group)
        return to;
    return to % at.pad < at.group ? to / at.pad * at.group + to % at.pad : 0xFFFFFFFFu;
}

/* A step of inputs of part p quantized and laid out, as kernels.cu's bytes_of, planes_of and sums_of do. */
template <class Value>
__device__ inline void lay_out(const cuda_input &in, uint32_t p, uint32_t step, const Scale &scale,
                               Value value)
{
    __shared__ uint32_t q[CUDA_STEP / 4];
    const cuda_layout &at = in.part[p].at;
    const uint32_t thread = threadIdx.x;
    __syncthreads();
    if (thread < CUDA_STEP) {
        const uint32_t c = column_of(at, step * CUDA_STEP + thread);
        const int8_t code = c < in.cols ? code_of(value(c), scale) : 0;
        reinterpret_cast<int8_t *>(q)[thread] = code;
        if (p == 0 && c < in.cols)
            in.q[c] = code;
    }
    __syncthreads();
    if (thread < 64 && in.part[p].bytes)
        in.part[p].bytes[(size_t)step * 512 + thread / 16 * 128 + thread % 4 * 4 + thread / 4 % 4] =
            q[thread];
    if (thread < 64 && in.part[p].planes) {
        const uint32_t half = thread % 2, lane = thread / 2;
        uint32_t v = 0;
#pragma unroll
        for (uint32_t e = 0; e < 8; e++)
            v |= (q[half * 32 + e * 4 + lane % 4] >> lane / 4 & 0x01010101u) << e;
        in.part[p].planes[step * 64 + thread] = v;
    }
    if (in.part[p].sums && thread < CUDA_STEP / at.drain) {
        int32_t s = 0;
        for (uint32_t i = 0; i < at.drain / 4; i++)
            s = __dp4a((int32_t)q[thread * (at.drain / 4) + i], 0x01010101, s);
        in.part[p].sums[(step * (CUDA_STEP / at.drain) + thread) * CUDA_TOKENS] = s;
    }
    if (p == 0 && step == 0 && thread == 0) {
        in.scale[0] = scale.kept;
        if (scale.bad)
            *in.bad = 1;
    }
}

/* Every block norms all; each lays out steps of its own. */
__global__ void __launch_bounds__(kNormThreads) norm_token(cuda_norm a)
{
    extern __shared__ float v[]; /* then the weights */
    __shared__ float sums[FM_SQUARES];
    const uint32_t n = a.to.cols;
    const float *x = a.x + (size_t)a.first * n, *y = a.y + (size_t)a.first * n;
    float *weight = v + n, *x_to = a.x_to + (size_t)a.first * n;
    let_next_begin();
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x)
        weight[i] = __ldg(a.weight + i);
    wait_for_last();
    constexpr uint32_t kAtOnce = 4; /* loads before the first store */
    for (uint32_t first = threadIdx.x; first < n; first += kAtOnce * kNormThreads) {
        float u[kAtOnce], w[kAtOnce];
#pragma unroll
        for (uint32_t j = 0; j < kAtOnce; j++) {
            const uint32_t i = first + j * kNormThreads;
            u[j] = i < n ? __ldcg(x + i) : 0.0f;
            w[j] = a.y && i < n ? __ldcg(y + i) : 0.0f;
        }
#pragma unroll
        for (uint32_t j = 0; j < kAtOnce; j++) {
            const uint32_t i = first + j * kNormThreads;
            if (i >= n)
                continue;
            const float s = a.y ? u[j] + w[j] : u[j];
            v[i] = s;
            if (blockIdx.x == 0)
                x_to[i] = s;
        }
    }
    for (uint32_t i = threadIdx.x; blockIdx.x == 0 && i < CUDA_MEETING; i += blockDim.x)
        a.meeting[i] = 0;
    __syncthreads();
    if (threadIdx.x < FM_SQUARES) {
        float s = 0.0f;
#pragma unroll 16
        for (uint32_t i = threadIdx.x; i < n; i += FM_SQUARES)
            s = s + v[i] * v[i];
        sums[threadIdx.x] = s;
    }
    __syncthreads();
    static_assert(FM_SQUARES == 64, "two sums a lane");
    float s = sums[threadIdx.x % 32] + sums[threadIdx.x % 32 + 32];
    for (int half = 16; half; half /= 2)
        s = s + __shfl_down_sync(0xFFFFFFFFu, s, half);
    const float factor = fm_rsqrt(__shfl_sync(0xFFFFFFFFu, s, 0) / (float)n + a.eps);
    uint32_t top = 0;
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x) {
        const float u = v[i] * factor * weight[i];
        v[i] = u;
        top = max(top, __float_as_uint(u) & 0x7FFFFFFFu);
    }
    const Scale scale = scale_of(block_max(top));
    for (uint32_t p = 0; p < a.to.parts; p++)
        for (uint32_t step = blockIdx.x; step < a.to.part[p].at.steps; step += gridDim.x)
            lay_out(a.to, p, step, scale, [&](uint32_t c) { return v[c]; });
}

/* A block a step. */
__global__ void __launch_bounds__(kThreads) gates_token(cuda_gates a)
{
    const uint32_t c = column_of(a.to.part[0].at, blockIdx.x * CUDA_STEP + threadIdx.x);
    float v = 0.0f;
    let_next_begin();
    wait_for_last();
    if (c < a.ff) {
        const float gate = at(a.gate_up, 0, c), up = at(a.gate_up, 0, a.ff + c);
        v = gate * fm_sigmoid(gate) * up;
    }
    const uint32_t top = meet(a.meeting, block_max(__float_as_uint(v) & 0x7FFFFFFFu));
    lay_out(a.to, 0, blockIdx.x, scale_of(top), [&](uint32_t) { return v; });
}

__device__ inline void ahead(const float *at)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
}

/* A block a head. */
__global__ void __launch_bounds__(kThreads) attend_token(cuda_attention a)
{
    extern __shared__ float shared[]; /* q, k, v of this token; scores */
    const uint32_t hd = a.head_dim, head = blockIdx.x, share = a.heads / a.kv_heads;
    const uint32_t kv = head / share;
    float *q = shared, *k = q + hd, *v = k + hd, *scores = v + hd;
    float *keys = a.keys + (size_t)kv * hd * a.context;
    float *values = a.values + (size_t)kv * hd * a.context;
    const uint32_t pos = *(volatile const uint32_t *)
                              a.pos; /* written long before the last kernel */
    let_next_begin();
    const uint32_t lines = (min(pos, kMostAhead) + 31) / 32;
    for (uint32_t i = threadIdx.x; i < hd * lines; i += blockDim.x) {
        ahead(keys + (size_t)(i / lines) * a.context + i % lines * 32);
        ahead(values + (size_t)i * 32);
    }
    const float *turn = a.rope + (size_t)pos * a.rope_dim * 2;
    for (uint32_t i = threadIdx.x * 32; i < a.rope_dim * 2; i += blockDim.x * 32)
        ahead(turn + i);
    wait_for_last();
    const uint32_t k_row = (a.heads + kv) * hd, v_row = k_row + a.kv_heads * hd;
    for (uint32_t i = threadIdx.x; i < hd; i += blockDim.x) {
        const float of_q = turned(a, 0, head * hd, i, turn), of_k = turned(a, 0, k_row, i, turn);
        const float of_v = at(a.qkv, 0, v_row + i);
        q[i] = of_q;
        k[i] = of_k;
        v[i] = of_v;
        if (head % share == 0) {
            keys[(size_t)i * a.context + pos] = of_k;
            values[(size_t)pos * hd + i] = of_v;
        }
    }
    __syncthreads();
    float *out = a.out + head * hd;
    attention<true>(q, k, v, keys, values, hd, a.context, pos, a.scale, scores, out);
    uint32_t top = 0;
    for (uint32_t i = threadIdx.x; i < hd; i += blockDim.x) /* each its own */
        top = max(top, __float_as_uint(out[i]) & 0x7FFFFFFFu);
    const Scale scale = scale_of(meet(a.meeting, block_max(top)));
    for (uint32_t step = head; step < a.to.part[0].at.steps; step += a.heads)
        lay_out(a.to, 0, step, scale, [&](uint32_t c) { return __ldcg(a.out + c); });
}

} // namespace

int cuda_norm_token(const cuda_norm *a, const cuda_how *how, void *stream)
{
    uint32_t steps = 1;
    for (uint32_t p = 0; p < a->to.parts; p++)
        steps = max(steps, a->to.part[p].at.steps);
    return start(norm_token, *a, dim3(min(steps, how->sms)), kNormThreads, a->to.cols * 8, how,
                 stream);
}

int cuda_gates_token(const cuda_gates *a, const cuda_how *how, void *stream)
{
    return start(gates_token, *a, dim3(a->to.part[0].at.steps), kThreads, 0, how, stream);
}

int cuda_attention_token(const cuda_attention *a, const cuda_how *how, void *stream)
{
    return start(attend_token, *a, dim3(a->heads), kThreads, (3 * a->head_dim + a->context) * 4,
                 how, stream);
}
