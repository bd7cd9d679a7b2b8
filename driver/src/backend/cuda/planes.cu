/* planes.cu - binary tensor core products: codes as they lie in memory times bit planes of activations.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The eight columns of an mma.m16n8k256 are the eight bit planes of one column of activations; its rows are
 * words of codes, of which a mask on the activations' side picks one bit of every code. Nothing is unpacked:
 * the work is one AND and one population count for each bit of code, in the tensor core. A block takes a tile
 * of 16 rows; its warps share the steps. */
#include "device.cuh"

namespace
{

constexpr int kMaxWarps = 16;

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

/* Counts to this lane's share of C, before its 4^q. The top bit of a code and of an activation are negative. */
template <int W> __device__ inline int32_t combine(int32_t (*c)[4], int upper, int32_t second)
{
    int32_t even = 0, odd = 0;
#pragma unroll
    for (int p = 0; p < W; p++) {
        even += p == W - 1 ? -(c[p][2 * upper] << p) : c[p][2 * upper] << p;
        odd += p == W - 1 ? -(c[p][2 * upper + 1] << p) : c[p][2 * upper + 1] << p;
        c[p][2 * upper] = c[p][2 * upper + 1] = 0;
    }
    return even + second * odd;
}

template <int W, int DR, int N>
__global__ void __launch_bounds__(32 * kMaxWarps) planes_kernel(Args a)
{
    constexpr int kAhead = W == 1 ? 4 : W == 2 ? 3 : 2;
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const uint32_t tile = blockIdx.x, r = lane / 4, q = lane % 4, steps = a.m.at.steps;
    const uint4 *codes = static_cast<const uint4 *>(a.m.codes) + (size_t)tile * steps * W * 32 +
                         lane;
    const uint2 *headers = static_cast<const uint2 *>(a.m.headers) + (size_t)tile * steps * 8 + r;
    const int32_t second = q == 3 ? -2 : 2;
    uint32_t w[kAhead][W * 4];
    uint2 h[kAhead];
    int32_t c[DR ? 1 : N][W][4] = {};
    int64_t acc[N][2] = {};

    auto load = [&](uint32_t step, uint32_t *to, uint2 *header) {
#pragma unroll
        for (int i = 0; i < W; i++)
            load_weights(to + 4 * i, codes + ((size_t)step * W + i) * 32);
        if (DR)
            *header = __ldg(headers + (size_t)step * 8);
    };
    /* what one header makes of the counts of column t */
    auto drain = [&](uint32_t word, int32_t(*counts)[4], int t, size_t oc_at, const int32_t *sums) {
#pragma unroll
        for (int upper = 0; upper < 2; upper++) {
            const Header g = header_of(word, upper, a.m.at.sc_low);
            const int32_t scale = g.sc << (g.sh + a.m.at.plane_up);
            acc[t][upper] += (int64_t)scale * combine<W>(counts, upper, second);
            if (sums && q == 0) {
                int32_t o = g.sc * (int32_t)a.m.at.code_offset;
                if (a.m.oc)
                    o += static_cast<const int32_t *>(a.m.oc)[oc_at + upper];
                acc[t][upper] += (int64_t)o * sums[t] << g.sh;
            }
        }
    };
    auto process = [&](uint32_t step, const uint32_t *codes_of, const uint2 &header) {
        uint32_t x[N][2];
#pragma unroll
        for (int t = 0; t < N; t++) {
            uint2 v = make_uint2(0, 0);
            if (N == 1 || t < a.x.n)
                v = static_cast<const uint2 *>(a.x.planes)[((size_t)step * a.x.n + t) * 32 + lane];
            x[t][0] = v.x;
            x[t][1] = v.y;
        }
        if constexpr (DR == 0) {
#pragma unroll
            for (int t = 0; t < N; t++)
                products<W, true>(c[t], codes_of, x[t], 1);
        } else {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const size_t first = (size_t)step * 2 + half;
#pragma unroll
                for (int t = 0; t < N; t++) {
                    products<W, false>(c[0], codes_of, x[t], half);
                    drain(half ? header.y : header.x, c[0], t,
                          ((((size_t)tile * steps + step) * 8 + r) * 2 + half) * 2,
                          a.x.sums ? a.x.sums + first * a.blocks * CUDA_TOKENS : nullptr);
                }
            }
        }
    };

    let_next_begin();
#pragma unroll
    for (int i = 0; i < kAhead; i++)
        if (warp + i * warps < steps)
            load(warp + i * warps, w[i], &h[i]);
    wait_for_last();
    for (uint32_t s = warp; s < steps; s += kAhead * warps) {
#pragma unroll
        for (int i = 0; i < kAhead; i++) {
            const uint32_t now = s + i * warps, next = now + kAhead * warps;
            if (now < steps) {
                process(now, w[i], h[i]);
                if (next < steps)
                    load(next, w[i], &h[i]);
            }
        }
    }
    if constexpr (DR == 0) {
        const uint32_t word = __ldg(static_cast<const uint32_t *>(a.m.headers) + (size_t)tile * 8 +
                                    r);
#pragma unroll
        for (int t = 0; t < N; t++)
            drain(word, c[t], t, ((size_t)tile * 8 + r) * 2, warp == 0 ? a.x.sums : nullptr);
    }

    extern __shared__ int64_t partial[]; /* [warps][N][16 rows] */
#pragma unroll
    for (int t = 0; t < N; t++) {
#pragma unroll
        for (int upper = 0; upper < 2; upper++) {
            int64_t v = acc[t][upper] * ((int64_t)1 << 2 * q);
            v += __shfl_xor_sync(0xFFFFFFFFu, v, 1);
            v += __shfl_xor_sync(0xFFFFFFFFu, v, 2);
            if (q == 0)
                partial[(warp * N + t) * CUDA_TILE_ROWS + r + 8 * upper] = v;
        }
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < N * CUDA_TILE_ROWS; i += blockDim.x) {
        const uint32_t token = i / CUDA_TILE_ROWS, row = tile * CUDA_TILE_ROWS + i % CUDA_TILE_ROWS;
        if (token >= a.x.n || row >= a.m.at.rows)
            continue;
        int64_t sum = 0;
        for (uint32_t k = 0; k < warps; k++)
            sum += partial[k * N * CUDA_TILE_ROWS + i];
        put_result(a, row, token, sum);
    }
}

template <int W, int DR, int N>
int launch(const Args &a, uint32_t warps, bool overlapped, void *stream)
{
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.gridDim = dim3(a.m.at.tiles);
    config.blockDim = dim3(32 * warps);
    config.dynamicSmemBytes = (size_t)warps * N * CUDA_TILE_ROWS * sizeof(int64_t);
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = &attribute;
    config.numAttrs = overlapped ? 1 : 0;
    return cudaLaunchKernelEx(&config, planes_kernel<W, DR, N>, a);
}

template <int W> Launch for_shape(uint32_t drain, uint32_t n)
{
    if (n == 1)
        return drain ? launch<W, 128, 1> : launch<W, 0, 1>;
    if constexpr (W <= 2)
        if (n <= 8)
            return drain ? launch<W, 128, 8> : launch<W, 0, 8>;
    return nullptr;
}

} // namespace

Launch find_planes(uint32_t width, uint32_t drain, uint32_t n)
{
    if (drain != 0 && drain != 128)
        return nullptr;
    switch (width) {
    case 1: return for_shape<1>(drain, n);
    case 2: return for_shape<2>(drain, n);
    case 3: return for_shape<3>(drain, n);
    case 4: return for_shape<4>(drain, n);
    case 5: return for_shape<5>(drain, n);
    case 6: return for_shape<6>(drain, n);
    case 7: return for_shape<7>(drain, n);
    default: return nullptr;
    }
}
