/* layers.cu - all layers of a token in one kernel: weights stream on while everything else happens.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A block a multiprocessor. One warp of it copies the block's weights of all layers, one after the other, into a ring in shared
 * memory; sixteen warps use them. What is between two products every block does for itself, from results in global memory, so
 * that blocks meet but five times a layer; the ring fills up meanwhile. Operations are those of token.cu, in their order. */
#include "floats.cuh"
#include "layers.h"
#include "planes.cuh"

namespace
{

constexpr uint32_t kWarps = 16, kThreads = 32 * kWarps; /* those that compute */
constexpr uint32_t kTiles = 4;                          /* whose sums meet at once */
constexpr uint32_t kPartial = 2 * kTiles * kWarps * CUDA_TILE_ROWS * 8;
constexpr uint32_t kChunk =
    4 * kThreads; /* products of attention's weights by values that are kept at once */
constexpr uint32_t kMostSlots = 16, kMostShared = 225000,
                   kFixedShared = 7168; /* the last: what is not dynamic */

/* Of one step for each warp: codes, then headers. */
__host__ __device__ constexpr uint32_t slot_bytes(int width, int drain)
{
    return kWarps * (width * 512 + (drain ? 64 : 0));
}

/* Dynamic shared memory: the ring, inputs, sums, x, the table of layers. */
__host__ __device__ inline uint32_t largest_steps(const cuda_layers &a)
{
    uint32_t steps = 0;
    for (int m = 0; m < CUDA_MATRICES; m++)
        steps = steps > a.at[m].steps ? steps : a.at[m].steps;
    return steps;
}
/* Inputs as bits and as bytes; attention has products there. */
__host__ __device__ inline uint32_t inputs_bytes(const cuda_layers &a)
{
    const uint32_t bytes = largest_steps(a) * 2 * CUDA_STEP;
    return bytes > 2 * kChunk * 4 ? bytes : 2 * kChunk * 4;
}
/* Sums of tiles; attention has scores there, and inputs are there before they are quantized. */
__host__ __device__ inline uint32_t sums_bytes(const cuda_layers &a)
{
    const uint32_t scores = (a.context + 3) / 4 * 16, bytes = largest_steps(a) * CUDA_STEP * 4;
    const uint32_t most = scores > bytes ? scores : bytes;
    return most > kPartial ? most : kPartial;
}
__host__ __device__ inline uint32_t table_bytes(const cuda_layers &a)
{
    return (a.count * (uint32_t)sizeof(cuda_layer) + 15) / 16 * 16;
}
__host__ __device__ inline uint32_t fixed_bytes(const cuda_layers &a)
{
    return inputs_bytes(a) + sums_bytes(a) + a.embd * 4 + table_bytes(a);
}
__host__ __device__ inline uint32_t slots_for(const cuda_layers &a, int width, int drain)
{
    const uint32_t rest = fixed_bytes(a);
    const uint32_t n = rest < kMostShared ? (kMostShared - rest) / slot_bytes(width, drain) : 0;
    return n < kMostSlots ? n : kMostSlots;
}

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)

/* ---- barriers ---- */

__device__ inline uint32_t shared_at(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}
__device__ inline void sync()
{
    asm volatile("bar.sync 1, %0;" ::"n"(kThreads) : "memory");
}
__device__ inline void arrive(uint64_t *barrier)
{
    asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared_at(barrier)) : "memory");
}
__device__ inline void wait_parity(uint32_t barrier, uint32_t parity)
{
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared.b64 p, [%0], %1;\n"
                 "@p bra done;\n"
                 "bra again;\n"
                 "done:\n"
                 "}" ::"r"(barrier),
                 "r"(parity)
                 : "memory");
}
/* `bytes` into shared memory; `barrier` counts them. */
__device__ inline void copy(uint32_t to, const void *from, uint32_t bytes, uint32_t barrier)
{
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
            "r"(to),
        "l"(from), "r"(bytes), "r"(barrier)
        : "memory");
}
__device__ inline void ahead(const void *at)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
}
__device__ inline uint32_t seen(const uint32_t *p)
{
    uint32_t v;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}

/* What all blocks that meet there wrote before can be read after. `target`: how many arrivals there will have been. */
__device__ inline void meet(uint32_t *met, uint32_t target)
{
    sync();
    if (threadIdx.x == 0) {
        asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(met) : "memory");
        while (seen(met) < target)
            ;
    }
    sync();
}

/* Calls: what is inlined again and again is too much for the instruction cache. */
__device__ __noinline__ float exponential(float x)
{
    return fm_exp(x);
}
__device__ __noinline__ float sigmoid(float x)
{
    return fm_sigmoid(x);
}

/* Terms first, first + stride ... below n, one after the other. */
template <class Term>
__device__ inline float sum_of(uint32_t first, uint32_t n, uint32_t stride, Term term)
{
    constexpr uint32_t kAtOnce = 8;
    float s = 0.0f;
    uint32_t i = first;
#pragma unroll 1
    for (; i + (kAtOnce - 1) * stride < n; i += kAtOnce * stride) {
        float u[kAtOnce];
#pragma unroll
        for (uint32_t j = 0; j < kAtOnce; j++)
            u[j] = term(i + j * stride);
#pragma unroll
        for (uint32_t j = 0; j < kAtOnce; j++)
            s = s + u[j];
    }
#pragma unroll 1
    for (; i < n; i += stride)
        s = s + term(i);
    return s;
}

/* ---- the block ---- */

struct Block {
    uint8_t *ring;
    uint64_t *full, *empty;
    uint32_t *planes;
    int8_t *q;
    int64_t *partial;
    float *x, *scores, *products, *turn;
    const cuda_layer *layer;      /* a copy of the table */
    uint32_t slots, slot, parity; /* where the next chunk of weights comes */
    uint32_t meetings;
    float col_scale;
};

/* The chunk at b.slot is there. */
__device__ inline void wait_for_chunk(const Block &b)
{
    wait_parity(shared_at(b.full + b.slot), b.parity);
}
/* This warp needs it no longer: on to the next one. */
__device__ inline void next_chunk(Block &b)
{
    __syncwarp();
    if (threadIdx.x % 32 == 0)
        arrive(b.empty + b.slot);
    if (++b.slot == b.slots) {
        b.slot = 0;
        b.parity ^= 1;
    }
}

__device__ inline uint32_t largest_of_block(uint32_t v)
{
    __shared__ uint32_t of_warp[kWarps];
    v = __reduce_max_sync(0xFFFFFFFFu, v);
    sync(); /* what was there last has been read */
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = v;
    sync();
    return __reduce_max_sync(0xFFFFFFFFu, of_warp[threadIdx.x % kWarps]);
}

/* n floats from global memory, 16 bytes at a time, to where inputs are made of them. */
__device__ inline void fetch(const Block &b, const float *from, uint32_t n)
{
    const uint32_t to = shared_at(b.partial);
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < n / 4; i += kThreads)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + i * 16),
                     "l"(from + i * 4)
                     : "memory");
    asm volatile("cp.async.wait_all;" ::: "memory");
    sync();
}

/* code_of, with a division only where a product might round otherwise: it is off by less than 127 * 2^-22. */
__device__ inline int8_t quick_code_of(float v, const Scale &s, float inverse)
{
    constexpr float magic = 12582912.0f; /* 1.5 * 2^23 */
    const float r = v * inverse, nearest = (r + magic) - magic;
    if (!(fabsf(r - nearest) < 0.4999f) || fabsf(r) > 126.9f)
        return code_of(v, s);
    return (int8_t)(int)nearest;
}

/* The n floats there, the largest of magnitude `top`, quantized and laid out. */
__device__ inline void lay_out(const cuda_layers &a, Block &b, uint32_t n, uint32_t top,
                               uint32_t steps)
{
    const Scale scale = scale_of(top);
    const float inverse = scale.none || scale.scale < 1e-30f ? __uint_as_float(0x7FC00000u)
                                                             : 1.0f / scale.scale;
    const float *from = reinterpret_cast<const float *>(b.partial);
    b.col_scale = scale.kept;
    if (scale.bad && blockIdx.x == 0 && threadIdx.x == 0)
        *a.bad = 1;
#pragma unroll 2
    for (uint32_t i = threadIdx.x; i < steps * CUDA_STEP; i += kThreads)
        b.q[i] = i < n ? quick_code_of(from[i], scale, inverse) : (int8_t)0;
    sync();
    const uint32_t *q = reinterpret_cast<const uint32_t *>(b.q);
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < steps * 64; i += kThreads) {
        const uint32_t half = i % 2, lane = i / 2 % 32;
        const uint32_t *from = q + i / 64 * 64 + half * 32 + lane % 4;
        uint32_t bits = 0;
#pragma unroll
        for (uint32_t e = 0; e < 8; e++)
            bits |= (from[e * 4] >> lane / 4 & 0x01010101u) << e;
        b.planes[i] = bits;
    }
    sync();
}

/* x += y (NULL: nothing), and its norm. @return the bits of its largest magnitude, as all of these do */
template <int W, int DR>
__device__ inline uint32_t norm(const cuda_layers &a, Block &b, const float *y)
{
    __shared__ float sums[FM_SQUARES];
    constexpr uint32_t kAtOnce = 8;
    const uint32_t n = a.embd;
    float *normed = reinterpret_cast<float *>(b.partial);
#pragma unroll 1
    for (uint32_t first = threadIdx.x; y && first < n; first += kAtOnce * kThreads) {
        float v[kAtOnce];
#pragma unroll
        for (uint32_t j = 0; j < kAtOnce; j++)
            v[j] = first + j * kThreads < n ? __ldcg(y + first + j * kThreads) : 0.0f;
#pragma unroll
        for (uint32_t j = 0; j < kAtOnce; j++)
            if (first + j * kThreads < n)
                b.x[first + j * kThreads] += v[j];
    }
    sync();
    if (threadIdx.x < FM_SQUARES)
        sums[threadIdx.x] = sum_of(threadIdx.x, n, FM_SQUARES,
                                   [&](uint32_t i) { return b.x[i] * b.x[i]; });
    sync();
    static_assert(FM_SQUARES == 64, "two sums a lane");
    float s = sums[threadIdx.x % 32] + sums[threadIdx.x % 32 + 32];
#pragma unroll 1
    for (int half = 16; half; half /= 2)
        s = s + __shfl_down_sync(0xFFFFFFFFu, s, half);
    const float factor = fm_rsqrt(__shfl_sync(0xFFFFFFFFu, s, 0) / (float)n + a.eps);
    uint32_t top = 0;
    constexpr uint32_t kFloats = slot_bytes(W, DR) /
                                 4; /* weights of the norm come through the ring, too */
#pragma unroll 1
    for (uint32_t first = 0; first < n; first += kFloats) {
        const uint32_t end = min(n, first + kFloats);
        const float *weight = reinterpret_cast<const float *>(b.ring + b.slot * slot_bytes(W, DR)) -
                              first;
        wait_for_chunk(b);
#pragma unroll 4
        for (uint32_t i = first + threadIdx.x; i < end; i += kThreads) {
            const float u = b.x[i] * factor * weight[i];
            normed[i] = u;
            top = max(top, __float_as_uint(u) & 0x7FFFFFFFu);
        }
        next_chunk(b);
    }
    return largest_of_block(top);
}

/* ---- products ----
 *
 * A block makes each tile of rows of the gate together with that of the rows up which it is multiplied by. */

/* The k-th tile of this block; past the last one: at.tiles or more. */
__device__ inline uint32_t tile_of(const cuda_layers &a, int which, uint32_t k)
{
    if (which != CUDA_GATE_UP)
        return blockIdx.x + k * gridDim.x;
    const uint32_t pair = blockIdx.x + k / 2 * gridDim.x, pairs = a.ff / CUDA_TILE_ROWS;
    return pair < pairs ? pair + k % 2 * pairs : 2 * pairs;
}

/* By one thread: every instruction here is one that weights wait for. */
template <int W, int DR> __device__ void copy_weights(const cuda_layers &a, const Block &b)
{
    constexpr uint32_t kStep = W * 512, kHeader = DR ? 64 : 0, kFloats = slot_bytes(W, DR) / 4;
    const uint32_t ring = shared_at(b.ring), full = shared_at(b.full), empty = shared_at(b.empty);
    uint32_t slot = 0, to = ring, parity = 1;
    auto put = [&](const uint8_t *from, uint32_t bytes, const uint8_t *more, uint32_t more_bytes) {
        const uint32_t filled = full + slot * 8;
        wait_parity(empty + slot * 8, parity);
        asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(filled),
                     "r"(bytes + more_bytes)
                     : "memory");
        copy(to, from, bytes, filled);
        if (more_bytes)
            copy(to + kWarps * kStep, more, more_bytes, filled);
        to += slot_bytes(W, DR);
        if (++slot == b.slots) {
            slot = 0;
            to = ring;
            parity ^= 1;
        }
    };
#pragma unroll 1
    for (uint32_t layer = 0; layer < a.count; layer++) {
        const cuda_layer &l = b.layer[layer];
#pragma unroll 1
        for (int m = 0; m < CUDA_MATRICES; m++) {
            const float *weight = m == CUDA_QKV       ? l.attn_norm
                                  : m == CUDA_GATE_UP ? l.ffn_norm
                                                      : nullptr;
#pragma unroll 1
            for (uint32_t first = 0; weight && first < a.embd; first += kFloats)
                put(reinterpret_cast<const uint8_t *>(weight + first),
                    min(kFloats, a.embd - first) * 4, nullptr, 0);
            const uint8_t *codes = l.codes[m], *headers = l.headers[m];
            const float *scales = l.row_scale[m];
            const uint32_t steps = a.at[m].steps, tiles = a.at[m].tiles;
#pragma unroll 1
            for (uint32_t k = 0, tile; (tile = tile_of(a, m, k)) < tiles; k++) {
                const uint8_t *from = codes + (size_t)(tile * steps) * kStep;
                const uint8_t *header = headers + (size_t)(tile * (DR ? steps * kHeader : 32));
                /* what its rows are scaled by, where it is near when they are done */
                ahead(scales + tile * CUDA_TILE_ROWS);
                if (DR == 0)
                    ahead(header);
#pragma unroll 1
                for (uint32_t left = steps; left > kWarps; left -= kWarps) {
                    put(from, kWarps * kStep, header, kWarps * kHeader);
                    from += kWarps * kStep;
                    header += kWarps * kHeader;
                }
                const uint32_t n = steps - (steps - 1) / kWarps * kWarps;
                put(from, n * kStep, header, n * kHeader);
            }
        }
    }
}

template <int W, int DR>
__device__ inline void multiply(const cuda_layers &a, Block &b, uint32_t layer, int which)
{
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, r = lane / 4, q = lane % 4;
    const cuda_layout &at = a.at[which];
    const cuda_layer &l = b.layer[layer];
    const uint32_t up = at.plane_up + 2 * q;
    const Share share = { 1 << up, q == 3 ? -2 << up : 2 << up };
    const uint2 *planes = reinterpret_cast<const uint2 *>(b.planes) + lane;
    const float *row_scale = l.row_scale[which];
    float *y = a.y[which];
    float scale = 0.0f; /* of the row that this thread will put, if it does */
    uint32_t row = 0, header = 0, top = 0;
    bool puts = false;
    uint32_t tile = tile_of(a, which, 0);
#pragma unroll 1
    for (uint32_t k = 0; tile < at.tiles; k++) {
        const uint32_t in_batch = k % kTiles, batch = k / kTiles;
        if (in_batch == 0) { /* two warps put a batch's rows, others the next one's */
            const uint32_t i = threadIdx.x - batch * 64 % kThreads;
            const uint32_t of = tile_of(a, which, k + i / CUDA_TILE_ROWS);
            puts = i < kTiles * CUDA_TILE_ROWS && of < at.tiles;
            row = of * CUDA_TILE_ROWS + i % CUDA_TILE_ROWS;
            puts = puts && row < at.rows;
            if (puts) {
                scale = __ldg(row_scale + row);
                if (DR == 0)
                    header = __ldg(reinterpret_cast<const uint32_t *>(l.headers[which]) + of * 8 +
                                   i % 8);
            }
        }
        const uint32_t next_tile = tile_of(a, which, k + 1);
        int32_t c[W][4] = {};
        int64_t acc[2] = {};
#pragma unroll 1
        for (uint32_t first = 0; first < at.steps; first += kWarps) {
            const uint32_t step = first + warp;
            const uint8_t *from = b.ring + b.slot * slot_bytes(W, DR);
            uint32_t w[W * 4];
            uint2 h = {}, x = {};
            if (step < at.steps)
                x = planes[step * 32];
            wait_for_chunk(b);
            if (step < at.steps) {
#pragma unroll
                for (int i = 0; i < W; i++) {
                    const uint4 v = *reinterpret_cast<const uint4 *>(from + warp * (W * 512) +
                                                                     i * 512 + lane * 16);
                    w[4 * i] = v.x;
                    w[4 * i + 1] = v.y;
                    w[4 * i + 2] = v.z;
                    w[4 * i + 3] = v.w;
                }
                if (DR)
                    h = *reinterpret_cast<const uint2 *>(from + kWarps * W * 512 + warp * 64 +
                                                         r * 8);
            }
            next_chunk(b);
            if (step >= at.steps)
                continue;
            const uint32_t bits[2] = { x.x, x.y };
            if constexpr (DR == 0) {
                products<W, true>(c, w, bits, 1);
            } else {
#pragma unroll
                for (int half = 0; half < 2; half++) {
#pragma unroll
                    for (int p = 0; p < W; p++)
                        c[p][0] = c[p][1] = c[p][2] = c[p][3] = 0;
                    products<W, false>(c, w, bits, half);
#pragma unroll
                    for (int upper = 0; upper < 2; upper++) {
                        const Header g = header_of(half ? h.y : h.x, upper, 4);
                        acc[upper] += (int64_t)(g.sc << g.sh) * combine<W>(c, upper, share);
                    }
                }
            }
        }
        int64_t *partial = b.partial +
                           ((batch % 2 * kTiles + in_batch) * kWarps + warp) * CUDA_TILE_ROWS;
#pragma unroll
        for (int upper = 0; upper < 2; upper++) {
            if constexpr (DR == 0) {
                int32_t v = combine<W>(c, upper, share);
                v += __shfl_xor_sync(0xFFFFFFFFu, v, 1);
                v += __shfl_xor_sync(0xFFFFFFFFu, v, 2);
                if (q == 0)
                    partial[r + 8 * upper] = v;
            } else {
                int64_t v = acc[upper];
                v += __shfl_xor_sync(0xFFFFFFFFu, v, 1);
                v += __shfl_xor_sync(0xFFFFFFFFu, v, 2);
                if (q == 0)
                    partial[r + 8 * upper] = v;
            }
        }
        tile = next_tile;
        if (in_batch + 1 < kTiles && next_tile < at.tiles)
            continue;
        sync();
        const uint32_t i = threadIdx.x - batch * 64 % kThreads;
        if (i >= kTiles * CUDA_TILE_ROWS)
            continue;
        const int64_t *sums = b.partial +
                              ((batch % 2 * kTiles + i / CUDA_TILE_ROWS) * kWarps) *
                                  CUDA_TILE_ROWS +
                              i % CUDA_TILE_ROWS;
        int64_t sum = 0;
#pragma unroll 8
        for (uint32_t j = 0; j < kWarps; j++)
            sum += sums[j * CUDA_TILE_ROWS];
        if (DR == 0) {
            const Header g = header_of(header, i % CUDA_TILE_ROWS / 8, at.sc_low);
            sum *= (int64_t)g.sc << g.sh;
        }
        float v = (float)((double)sum * (double)scale * (double)b.col_scale);
        if (which == CUDA_GATE_UP) { /* the lower lanes have the gate's rows */
            const float up_of = __shfl_down_sync(0xFFFFFFFFu, v, 16);
            v = v * sigmoid(v) * up_of;
            puts = puts && lane < 16;
            if (puts)
                top = max(top, __float_as_uint(v) & 0x7FFFFFFFu);
        }
        if (puts)
            y[row] = v;
    }
    if (top)
        atomicMax(a.met + 1 + a.heads + 2 * layer + 1, top);
    meet(a.met, ++b.meetings * gridDim.x);
}

/* ---- attention ---- */

__device__ inline void softmax_of_block(float *scores, uint32_t n)
{
    __shared__ float sums[8];
    uint32_t top = 0;
#pragma unroll 1
    for (uint32_t t = threadIdx.x; t < n; t += kThreads)
        top = max(top, ordered(scores[t]));
    const float most = unordered(largest_of_block(top));
#pragma unroll 1
    for (uint32_t t = threadIdx.x; t < n; t += kThreads)
        scores[t] = exponential(scores[t] - most);
    sync();
    if (threadIdx.x < 8)
        sums[threadIdx.x] = sum_of(threadIdx.x, n, 8, [&](uint32_t t) { return scores[t]; });
    sync();
    const float inverse = 1.0f / fm_sum8(sums);
#pragma unroll 1
    for (uint32_t t = threadIdx.x; t < n; t += kThreads)
        scores[t] = scores[t] * inverse;
    sync();
}

/* Element i of the head at `from`, turned. */
__device__ inline float turn_one(const cuda_layers &a, const float *from, uint32_t i,
                                 const float *turn)
{
    const float v = __ldcg(from + i);
    return i < a.rope_dim ? v * turn[i] + __ldcg(from + (i ^ 1u)) * turn[a.rope_dim + i] : v;
}

/* Blocks that share a head. */
__host__ __device__ inline uint32_t blocks_of_head(const cuda_layers &a, uint32_t blocks)
{
    uint32_t n = 4;
    while (n > 1 && (a.heads * n > blocks || a.head_dim % (4 * n)))
        n /= 2;
    return n;
}

/* What earlier tokens left for this block's head into the second-level cache, where loads do not wait behind weights. */
__device__ inline void ask_for_past(const cuda_layers &a, uint32_t layer, uint32_t pos)
{
    const uint32_t blocks = blocks_of_head(a, gridDim.x), hd = a.head_dim;
    const uint32_t head = blockIdx.x / blocks, kv = head / (a.heads / a.kv_heads);
    const uint32_t first = blockIdx.x % blocks * kThreads + threadIdx.x, apart = blocks * kThreads;
    if (head >= a.heads)
        return;
    const size_t base = ((size_t)layer * a.kv_heads + kv) * hd * a.context;
    const float *keys = a.keys + base, *values = a.values + base;
    const uint32_t lines = (pos + 31) / 32;
#pragma unroll 1
    for (uint32_t i = first; i < hd * lines; i += apart)
        ahead(keys + (size_t)(i / lines) * a.context + i % lines * 32);
#pragma unroll 1
    for (uint32_t i = first; i * 32 < pos * hd; i += apart)
        ahead(values + (size_t)i * 32);
}

__device__ inline uint32_t attend(const cuda_layers &a, Block &b, uint32_t layer, uint32_t pos)
{
    __shared__ float q[CUDA_MAX_HEAD], k[CUDA_MAX_HEAD], v[CUDA_MAX_HEAD];
    constexpr uint32_t kAtOnce = 16;
    const uint32_t blocks = blocks_of_head(a, gridDim.x), hd = a.head_dim;
    uint32_t *top = a.met + 1 + a.heads + 2 * layer;
    const uint32_t head = blockIdx.x / blocks, part = blockIdx.x % blocks;
    if (head < a.heads) {
        const uint32_t kv = head / (a.heads / a.kv_heads), channels = hd / blocks;
        const size_t base = ((size_t)layer * a.kv_heads + kv) * hd * a.context;
        float *keys = a.keys + base, *values = a.values + base;
        const float *turn = b.turn, *qkv = a.y[CUDA_QKV];
        const float *k_from = qkv + (a.heads + kv) * hd, *v_from = k_from + a.kv_heads * hd;
        /* four values of the first positions */
        const uint32_t rows = kChunk / channels, mine = threadIdx.x * 4 / channels;
        const float *value = values + part * channels + threadIdx.x * 4 % channels;
        auto load = [&](uint32_t first) {
            const uint32_t t = first + mine;
            return t < pos ? *reinterpret_cast<const float4 *>(value + (size_t)t * hd)
                           : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        };
        const bool all = blocks == 1 || pos < kThreads;
        const uint32_t mine_first = (all ? 0 : part * kThreads) + threadIdx.x;
        float4 next = load(0);
#pragma unroll 1
        for (uint32_t i = threadIdx.x; i < hd; i += kThreads) {
            const float of_k = turn_one(a, k_from, i, turn), of_v = __ldcg(v_from + i);
            q[i] = turn_one(a, qkv + head * hd, i, turn);
            k[i] = of_k;
            v[i] = of_v;
            if (head % (a.heads / a.kv_heads) == 0 && part == 0) {
                keys[(size_t)i * a.context + pos] = of_k;
                values[(size_t)pos * hd + i] = of_v;
            }
        }
        sync();
        auto put_score = [&](uint32_t t, float s) {
            if (all)
                b.scores[t] = s * a.scale;
            else
                a.scores[(size_t)head * a.context + t] = s * a.scale;
        };
#pragma unroll 1
        for (uint32_t t = mine_first; t < pos; t += all ? kThreads : blocks * kThreads) {
            const float *key = keys + t;
            float s = 0.0f;
#pragma unroll 1
            for (uint32_t d = 0; d < hd; d += kAtOnce, key += kAtOnce * (size_t)a.context) {
                float f[kAtOnce];
#pragma unroll
                for (uint32_t j = 0; j < kAtOnce; j++)
                    f[j] = key[j * (size_t)a.context];
#pragma unroll
                for (uint32_t j = 0; j < kAtOnce; j++)
                    s = s + q[d + j] * f[j];
            }
            put_score(t, s);
        }
        if (threadIdx.x == kThreads - 1 && (all || part == 0)) {
            float s = 0.0f;
#pragma unroll 8
            for (uint32_t d = 0; d < hd; d++)
                s = s + q[d] * k[d];
            put_score(pos, s);
        }
        if (!all) {
            meet(a.met + 1 + head, (layer + 1) * blocks);
#pragma unroll 1
            for (uint32_t t = threadIdx.x; t <= pos; t += kThreads)
                b.scores[t] = __ldcg(a.scores + (size_t)head * a.context + t);
        }
        sync();
        softmax_of_block(b.scores, pos + 1);
        float s = 0.0f;
#pragma unroll 1
        for (uint32_t first = 0, chunk = 0; first < pos; first += rows, chunk++) {
            float *products = b.products + chunk % 2 * kChunk;
            const float w = first + mine < pos ? b.scores[first + mine] : 0.0f;
            reinterpret_cast<float4 *>(products)[threadIdx.x] = make_float4(w * next.x, w * next.y,
                                                                            w * next.z, w * next.w);
            next = load(first + rows);
            sync();
            if (threadIdx.x >= channels)
                continue;
            const uint32_t count = min(rows, pos - first);
            const float *u = products + threadIdx.x;
            uint32_t i = 0;
#pragma unroll 1
            for (; i + kAtOnce <= count; i += kAtOnce) {
                float f[kAtOnce];
#pragma unroll
                for (uint32_t j = 0; j < kAtOnce; j++)
                    f[j] = u[(i + j) * channels];
#pragma unroll
                for (uint32_t j = 0; j < kAtOnce; j++)
                    s = s + f[j];
            }
#pragma unroll 1
            for (; i < count; i++)
                s = s + u[i * channels];
        }
        if (threadIdx.x < channels) {
            const uint32_t i = part * channels + threadIdx.x;
            s = s + b.scores[pos] * v[i];
            a.out[head * hd + i] = s;
            atomicMax(top, __float_as_uint(s) & 0x7FFFFFFFu);
        }
    }
    meet(a.met, ++b.meetings * gridDim.x);
    const uint32_t largest = __ldcg(top);
    fetch(b, a.out, a.heads * hd);
    return largest;
}

#endif

template <int W, int DR>
__global__ void __launch_bounds__(kThreads + 32, 1)
    layers_kernel(const __grid_constant__ cuda_layers a)
{
#if __CUDA_ARCH__ >= 900
    extern __shared__ __align__(128) uint8_t memory[];
    __shared__ uint64_t full[kMostSlots], empty[kMostSlots];
    Block b;
    b.slots = slots_for(a, W, DR);
    b.ring = memory;
    uint8_t *rest = memory + b.slots * slot_bytes(W, DR);
    b.planes = reinterpret_cast<uint32_t *>(rest);
    b.products = reinterpret_cast<float *>(rest);
    b.q = reinterpret_cast<int8_t *>(rest) + largest_steps(a) * CUDA_STEP;
    rest += inputs_bytes(a);
    b.partial = reinterpret_cast<int64_t *>(rest);
    b.scores = reinterpret_cast<float *>(rest);
    b.x = reinterpret_cast<float *>(rest + sums_bytes(a));
    uint64_t *table = reinterpret_cast<uint64_t *>(b.x + a.embd);
    b.layer = reinterpret_cast<const cuda_layer *>(table);
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < a.count * sizeof(cuda_layer) / 8; i += blockDim.x)
        table[i] = reinterpret_cast<const uint64_t *>(a.layer)[i];
    b.full = full;
    b.empty = empty;
    __shared__ float turn[2 * CUDA_MAX_HEAD];
    b.turn = turn;
    b.slot = b.parity = b.meetings = 0;
    if (threadIdx.x == 0) {
#pragma unroll 1
        for (uint32_t i = 0; i < b.slots; i++) {
            asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(shared_at(full + i)) : "memory");
            asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_at(empty + i)),
                         "n"(kWarps)
                         : "memory");
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    if (threadIdx.x >= kThreads) {
        if (threadIdx.x == kThreads)
            copy_weights<W, DR>(a, b);
        return;
    }
    const uint32_t pos = *a.pos;
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < 2 * a.rope_dim; i += kThreads)
        turn[i] = a.rope[(size_t)pos * a.rope_dim * 2 + i];
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < a.embd; i += kThreads)
        b.x[i] = a.x[i];
    sync();
#pragma unroll 1
    for (uint32_t i = 0; i < a.count * CUDA_MATRICES;
         i++) { /* what is inlined once stays in the instruction cache */
        const uint32_t layer = i / CUDA_MATRICES, which = i % CUDA_MATRICES;
        uint32_t n = a.embd, top;
        if (which == CUDA_OUTPUT) {
            top = attend(a, b, layer, pos);
            n = a.heads * a.head_dim;
        } else if (which == CUDA_DOWN) {
            n = a.ff;
            top = __ldcg(a.met + 1 + a.heads + 2 * layer + 1);
            fetch(b, a.y[CUDA_GATE_UP], n);
        } else {
            top = norm<W, DR>(a, b,
                              which == CUDA_GATE_UP ? a.y[CUDA_OUTPUT]
                              : layer               ? a.y[CUDA_DOWN]
                                                    : nullptr);
        }
        lay_out(a, b, n, top, a.at[which].steps);
        if (which == CUDA_QKV)
            ask_for_past(a, layer, pos);
        multiply<W, DR>(a, b, layer, (int)which);
    }
#pragma unroll 1
    for (uint32_t i = threadIdx.x; blockIdx.x == 0 && i < a.embd; i += kThreads)
        a.x[i] = b.x[i];
#endif
}

template <int W, int DR> int launch(const cuda_layers &a, const cuda_how &how, void *stream)
{
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute attribute = {};
    config.dynamicSmemBytes = slots_for(a, W, DR) * slot_bytes(W, DR) + fixed_bytes(a);
    const int e = room_for(layers_kernel<W, DR>, (uint32_t)config.dynamicSmemBytes);
    if (e)
        return e;
    attribute.id =
        cudaLaunchAttributeCooperative; /* all blocks at once: they wait for each other */
    attribute.val.cooperative = 1;
    config.gridDim = dim3(how.sms);
    config.blockDim = dim3(kThreads + 32);
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = &attribute;
    config.numAttrs = 1;
    return cudaLaunchKernelEx(&config, layers_kernel<W, DR>, a);
}

} // namespace

bool cuda_layers_fit(const cuda_layers *a, const cuda_how *how)
{
    int gpu, shared = 0, cooperative = 0;
    if (cudaGetDevice(&gpu) ||
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, gpu) ||
        cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, gpu) || !cooperative ||
        shared < (int)(kMostShared + kFixedShared))
        return false;
    const uint32_t width = a->at[0].width, drain = a->at[0].drain, hd = a->head_dim;
    bool fit = how->clusters && width >= 2 && width <= 4 && (drain == 0 || drain == 128) &&
               a->ff % CUDA_TILE_ROWS == 0 && a->embd % 4 == 0 && a->heads <= how->sms &&
               hd >= 16 && hd <= CUDA_MAX_HEAD && (hd & (hd - 1)) == 0;
    for (int m = 0; m < CUDA_MATRICES; m++) {
        const cuda_layout &at = a->at[m];
        fit = fit && at.width == width && at.drain == drain && at.steps < CUDA_ROW_STEPS &&
              (!at.group || at.pad == at.group) && !at.has_oc && !at.code_offset;
    }
    return fit && slots_for(*a, (int)width, (int)drain) >= 4;
}

int cuda_run_layers(const cuda_layers *a, const cuda_how *how, void *stream)
{
    switch (a->at[0].width + (a->at[0].drain ? 8 : 0)) {
    case 2: return launch<2, 0>(*a, *how, stream);
    case 3: return launch<3, 0>(*a, *how, stream);
    case 4: return launch<4, 0>(*a, *how, stream);
    case 10: return launch<2, 128>(*a, *how, stream);
    case 11: return launch<3, 128>(*a, *how, stream);
    default: return launch<4, 128>(*a, *how, stream);
    }
}
