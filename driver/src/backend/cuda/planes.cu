/* planes.cu - binary tensor core products: codes as they lie in memory times bit planes of activations.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "planes.cuh"

#include <type_traits>

namespace
{

constexpr int kMaxWarps = 8;

template <int W, int DR, bool Offset>
__global__ void __launch_bounds__(32 * kMaxWarps, W <= 3 ? 4 : 3) planes_kernel(Args a)
{
    constexpr int kAhead = DR       ? (W == 1   ? 3
                                       : W == 2 ? 2
                                                : 1)
                           : W == 1 ? 6
                           : W == 2 ? 3
                           : W <= 4 ? 2
                                    : 1;
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, r = lane / 4, q = lane % 4;
    const uint32_t steps = a.m.at.steps, tile = blockIdx.x, first = warp * a.each;
    int left = first >= steps ? 0 : (int)(steps - first < a.each ? steps - first : a.each);
    const size_t at = (size_t)tile * steps + first;
    const uint4 *codes = static_cast<const uint4 *>(a.m.codes) + at * (W * 32) + lane;
    const uint2 *headers = static_cast<const uint2 *>(a.m.headers) + at * 8 + r;
    const int32_t *oc = static_cast<const int32_t *>(a.m.oc);
    if (oc)
        oc += (at * 8 + r) * 4;
    const uint32_t up = a.m.at.plane_up + 2 * q;
    const Share share = { 1 << up, q == 3 ? -2 << up : 2 << up };
    uint32_t w[kAhead][W * 4] = {};
    uint2 h[kAhead] = {}, x[kAhead] = {};
    int32_t c[W][4] = {};
    int64_t acc[2] = {};

    auto load = [&](int step, uint32_t *to, uint2 *header, bool wanted) {
#pragma unroll
        for (int i = 0; i < W; i++)
            load_weights(to + 4 * i, codes + (step * W + i) * 32, wanted);
        if (DR && wanted)
            *header = __ldg(headers + step * 8);
    };
    let_next_begin();
#pragma unroll
    for (int i = 0; i < kAhead; i++)
        load(i, w[i], &h[i], i < left);
    const TileRow row = tile_row<DR>(a);
    const uint2 *x_at = static_cast<const uint2 *>(a.x.planes) + (size_t)first * 32 + lane;
    const int32_t *sums = a.x.sums + (DR ? first * 2 * CUDA_TOKENS : 0);
    wait_for_last();
#pragma unroll
    for (int i = 0; i < kAhead; i++)
        if (i < left)
            x[i] = x_at[i * 32];

    /* what one header makes of the counts */
    auto drain = [&](uint32_t word, const int32_t *oc_of, const int32_t *sums_of) {
#pragma unroll
        for (int upper = 0; upper < 2; upper++) {
            const Header g = header_of(word, upper, 4);
            acc[upper] += (int64_t)(g.sc << g.sh) * combine<W>(c, upper, share);
            if (Offset && q == 0) {
                int32_t o = g.sc * a.m.at.code_offset;
                if (oc_of)
                    o += oc_of[upper];
                acc[upper] += (int64_t)o * *sums_of << g.sh;
            }
        }
    };
    auto process = [&](int step, const uint32_t *codes_of, const uint2 &header, const uint2 &x_of) {
        const uint32_t bits[2] = { x_of.x, x_of.y };
        if constexpr (DR == 0) {
            products<W, true>(c, codes_of, bits, 1);
        } else {
#pragma unroll
            for (int half = 0; half < 2; half++) {
#pragma unroll
                for (int p = 0; p < W; p++)
                    c[p][0] = c[p][1] = c[p][2] = c[p][3] = 0;
                products<W, false>(c, codes_of, bits, half);
                drain(half ? header.y : header.x,
                      Offset && oc ? oc + (step * 16 + half) * 2 : nullptr,
                      sums + (step * 2 + half) * CUDA_TOKENS);
            }
        }
    };
    for (; left > kAhead; left -= kAhead) {
#pragma unroll
        for (int i = 0; i < kAhead; i++) {
            process(i, w[i], h[i], x[i]);
            load(i + kAhead, w[i], &h[i], i + kAhead < left);
            if (i + kAhead < left)
                x[i] = x_at[(i + kAhead) * 32];
        }
        codes += kAhead * W * 32;
        headers += kAhead * 8;
        x_at += kAhead * 32;
        if (DR)
            sums += kAhead * 2 * CUDA_TOKENS;
        if (Offset && oc)
            oc += kAhead * 32;
    }
#pragma unroll
    for (int i = 0; i < kAhead; i++)
        if (i < left)
            process(i, w[i], h[i], x[i]);

    using Sum = std::conditional_t<DR == 0, int32_t, int64_t>;
    extern __shared__ int64_t shared[]; /* [warps][16 rows] */
    Sum *partial = reinterpret_cast<Sum *>(shared);
#pragma unroll
    for (int upper = 0; upper < 2; upper++) {
        Sum v;
        if constexpr (DR == 0)
            v = combine<W>(c, upper, share);
        else
            v = acc[upper];
        v += __shfl_xor_sync(0xFFFFFFFFu, v, 1);
        v += __shfl_xor_sync(0xFFFFFFFFu, v, 2);
        if (q == 0)
            partial[warp * CUDA_TILE_ROWS + r + 8 * upper] = v;
    }
    put_tile<DR>(a, row, 0, 1, partial, a.x.sums ? sums : nullptr, 0, 0);
}

template <int W, int DR, bool Offset> int launch(const Args &a, const Start &start)
{
    return start_kernel(planes_kernel<W, DR, Offset>, a, start, 1,
                        (size_t)start.warps * CUDA_TILE_ROWS * (DR ? 8 : 4));
}

template <int W> Launch for_width(uint32_t drain, bool offset)
{
    if (drain == 0) /* where S counts once, in the end */
        return launch<W, 0, false>;
    return offset ? launch<W, 128, true> : launch<W, 128, false>;
}

} // namespace

Launch find_planes(uint32_t width, uint32_t drain, bool offset)
{
    if (drain != 0 && drain != 128)
        return nullptr;
    switch (width) {
    case 1: return for_width<1>(drain, offset);
    case 2: return for_width<2>(drain, offset);
    case 3: return for_width<3>(drain, offset);
    case 4: return for_width<4>(drain, offset);
    case 5: return for_width<5>(drain, offset);
    case 6: return for_width<6>(drain, offset);
    case 7: return for_width<7>(drain, offset);
    default: return nullptr;
    }
}
