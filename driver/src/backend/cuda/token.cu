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

constexpr uint32_t kNormThreads = 1024, kThreads = 256, kMostAhead = 1024;

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
    if (threadIdx.x < FM_SQUARES)
        sums[threadIdx.x] = strided_sum(threadIdx.x, n, FM_SQUARES,
                                        [&](uint32_t i) { return v[i] * v[i]; });
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

/* ---- attention ----
 *
 * A cluster of blocks takes a head. Of its scores each block makes a share, and sends it to the others; then each sums
 * up values in channels of its own, position after position, as the order of operations wants it. */

constexpr uint32_t kChunk = 2048,
                   kChunks = 4; /* values that are copied at once; copies under way and in use */
constexpr uint32_t kFewScores = kThreads; /* up to here each block makes all of them */
constexpr uint32_t kEarly =
    64; /* channels of a thread's first key that are there before the query is */

__device__ inline void cluster_arrive()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
#endif
}
__device__ inline void cluster_wait()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}

/* Into the shared memory of that block of the cluster, where this block has `to`. */
__device__ inline void send(float *to, uint32_t block, float v)
{
#if __CUDA_ARCH__ >= 900
    uint32_t there;
    asm("mapa.shared::cluster.u32 %0, %1, %2;"
        : "=r"(there)
        : "r"((uint32_t)__cvta_generic_to_shared(to)), "r"(block));
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(there), "f"(v) : "memory");
#endif
}

/* Rows of `count` floats, `stride` apart, into rows without gaps: one group of copies, also if there is nothing to do. */
__device__ inline void copy_rows(float *to, const float *from, uint32_t rows, uint32_t count,
                                 uint32_t stride, bool whole)
{
    const uint32_t unit = whole ? 4 : 1, each = count / unit;
    for (uint32_t i = threadIdx.x; i < rows * each; i += blockDim.x) {
        const uint32_t at = (uint32_t)__cvta_generic_to_shared(to + i * unit);
        const float *f = from + (size_t)(i / each) * stride + i % each * unit;
        if (whole)
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(f) : "memory");
        else
            asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(at), "l"(f) : "memory");
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* This block's channels of values: a ring of chunks. */
struct Values {
    float *ring;
    const float *from;
    uint32_t cached, channels, hd;
    uint32_t rows; /* positions of a chunk: a multiple of 4 */

    __device__ void ask(uint32_t chunk) const
    {
        const uint32_t first = chunk * rows;
        copy_rows(ring + chunk % kChunks * kChunk, from + (size_t)first * hd,
                  first >= cached ? 0 : min(rows, cached - first), channels, hd,
                  channels % 4 == 0 && hd % 4 == 0);
    }
};

/* Of all positions cached, times their weights, for channel threadIdx.x. The first chunks were asked for. */
__device__ inline float sum_values(const Values &v, const float *weights)
{
    float s = 0.0f;
    for (uint32_t chunk = 0; chunk * v.rows < v.cached; chunk++) {
        asm volatile("cp.async.wait_group %0;" ::"n"(kChunks - 2) : "memory");
        __syncthreads(); /* for all threads' copies; and the chunk before this has been used */
        v.ask(chunk + kChunks - 1);
        if (threadIdx.x >= v.channels)
            continue;
        const float *u = v.ring + chunk % kChunks * kChunk + threadIdx.x;
        const float *w = weights + chunk * v.rows;
        const uint32_t count = min(v.rows, v.cached - chunk * v.rows);
        constexpr uint32_t kAtOnce = 16; /* products, and then their sum */
        uint32_t i = 0;
        for (; i + kAtOnce <= count; i += kAtOnce) {
            float f[kAtOnce];
#pragma unroll
            for (uint32_t j = 0; j < kAtOnce; j++)
                f[j] = w[i + j] * u[(i + j) * v.channels];
#pragma unroll
            for (uint32_t j = 0; j < kAtOnce; j++)
                s = s + f[j];
        }
        for (; i < count; i++)
            s = s + w[i] * u[i * v.channels];
    }
    return s;
}

/* Blocks of a cluster have the same head. */
__global__ void __launch_bounds__(kThreads) attend_token(cuda_attention a, uint32_t blocks)
{
    extern __shared__ float4 aligned[];
    const uint32_t hd = a.head_dim, head = blockIdx.x / blocks, block = blockIdx.x % blocks;
    const uint32_t share = a.heads / a.kv_heads, kv = head / share, channels = hd / blocks;
    const uint32_t room = (a.context + 3) / 4 * 4;
    float *scores = reinterpret_cast<float *>(aligned), *ring = scores + room;
    float *q = ring + kChunks * kChunk, *k = q + hd, *v = k + hd;
    float *keys = a.keys + (size_t)kv * hd * a.context;
    float *values = a.values + (size_t)kv * hd * a.context;
    const uint32_t pos = *(volatile const uint32_t *)
                              a.pos; /* written long before the last kernel */
    let_next_begin();
    cluster_arrive();
    /* what earlier tokens left: values, keys, the rotation of this position */
    const uint32_t rows = min(64u, max(4u, kChunk / channels / 4 * 4));
    const Values of = { ring, values + block * channels, pos, channels, hd, rows };
    for (uint32_t chunk = 0; chunk < kChunks - 1; chunk++)
        of.ask(chunk);
    const bool all = blocks == 1 || pos < kFewScores;
    const uint32_t first = (all ? 0 : block * kThreads) + threadIdx.x;
    const uint32_t apart = all ? kThreads : blocks * kThreads;
    const uint32_t lines = (min(pos, kMostAhead) + 31) / 32;
    for (uint32_t i = block * kThreads + threadIdx.x; i < hd * lines; i += blocks * kThreads)
        ahead(keys + (size_t)(i / lines) * a.context + i % lines * 32);
    const float *turn = a.rope + (size_t)pos * a.rope_dim * 2;
    for (uint32_t i = threadIdx.x * 32; i < a.rope_dim * 2; i += blockDim.x * 32)
        ahead(turn + i);
    float early[kEarly];
#pragma unroll
    for (uint32_t d = 0; d < kEarly; d++)
        early[d] = first < pos && d < hd ? keys[(size_t)d * a.context + first] : 0.0f;
    wait_for_last();
    const uint32_t k_row = (a.heads + kv) * hd, v_row = k_row + a.kv_heads * hd;
    for (uint32_t i = threadIdx.x; i < hd; i += blockDim.x) {
        const float of_q = turned(a, 0, head * hd, i, turn), of_k = turned(a, 0, k_row, i, turn);
        const float of_v = at(a.qkv, 0, v_row + i);
        q[i] = of_q;
        k[i] = of_k;
        v[i] = of_v;
        if (head % share == 0 && block == 0) {
            keys[(size_t)i * a.context + pos] = of_k;
            values[(size_t)pos * hd + i] = of_v;
        }
    }
    cluster_wait(); /* the others have begun, and can be sent to */
    __syncthreads();
    if (first == pos) {
#pragma unroll
        for (uint32_t d = 0; d < kEarly; d++)
            early[d] = d < hd ? k[d] : 0.0f;
    }
    for (uint32_t t = first; t <= pos; t += apart) {
        const float *key = t == pos ? k : keys + t;
        const size_t stride = t == pos ? 1 : a.context;
        float s = 0.0f;
        uint32_t done = 0;
        if (t == first && hd >= kEarly) {
#pragma unroll
            for (uint32_t d = 0; d < kEarly; d++)
                s = s + q[d] * early[d];
            done = kEarly;
        }
        s = ascending(s, hd - done, q + done, key + done * stride, stride) * a.scale;
        scores[t] = s;
        for (uint32_t b = 0; b < blocks && !all; b++)
            if (b != block)
                send(scores + t, b, s);
    }
    if (!all) {
        cluster_arrive();
        cluster_wait();
    }
    __syncthreads();
    softmax(scores, pos + 1);
    float s = sum_values(of, scores);
    uint32_t top = 0;
    if (threadIdx.x < channels) {
        s = s + scores[pos] * v[block * channels + threadIdx.x];
        a.out[head * hd + block * channels + threadIdx.x] = s;
        top = __float_as_uint(s) & 0x7FFFFFFFu;
    }
    const Scale scale = scale_of(meet(a.meeting, block_max(top)));
    for (uint32_t step = blockIdx.x; step < a.to.part[0].at.steps; step += gridDim.x)
        lay_out(a.to, 0, step, scale, [&](uint32_t c) { return __ldcg(a.out + c); });
}

/* Blocks for a head: as many as its channels can be shared among, and as can all be on the GPU at once. */
int blocks_for(const cuda_attention &a, const cuda_how &how, uint32_t *blocks, uint32_t *shared)
{
    for (uint32_t n = how.clusters ? 4 : 1;; n /= 2) {
        const uint32_t room = (a.context + 3) / 4 * 4;
        *blocks = n;
        *shared = (room + kChunks * kChunk + 3 * a.head_dim) * 4;
        if (n == 1)
            return 0;
        if (a.head_dim % (4 * n) || a.heads * n > CUDA_MEETING || a.heads * n > how.sms)
            continue;
        int e = room_for(attend_token, *shared), most = 0;
        cudaLaunchConfig_t config = {};
        cudaLaunchAttribute attribute = {};
        attribute.id = cudaLaunchAttributeClusterDimension;
        attribute.val.clusterDim.x = n;
        attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
        config.gridDim = dim3(a.heads * n);
        config.blockDim = dim3(kThreads);
        config.dynamicSmemBytes = *shared;
        config.attrs = &attribute;
        config.numAttrs = 1;
        if (!e)
            e = cudaOccupancyMaxActiveClusters(&most, attend_token, &config);
        if (e)
            return e;
        if ((uint32_t)most >= a.heads)
            return 0;
    }
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
    uint32_t blocks, shared;
    const int e = blocks_for(*a, *how, &blocks, &shared);
    return e ? e
             : start_cluster(attend_token, dim3(a->heads * blocks), kThreads, shared, blocks, how,
                             stream, *a, blocks);
}
