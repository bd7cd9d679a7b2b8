/* bytes.cu - codes to bytes in registers, for int8 tensor core products; compiled once for each width.
 * SPDX-License-Identifier: Apache-2.0
 *
 * ACCEL_WIDTH: the width of codes. */
#include "codes.cuh"

#include <type_traits>

namespace
{

constexpr int kMaxWarps = 8;
/* Steps whose weights are under way at once: enough bytes to hide the memory's latency behind. */
constexpr int kAhead = kBits == 1 ? 4 : kBits == 2 ? 4 : kBits <= 4 ? 2 : 1;

/* One header's sums into acc. sums: of the activations, this lane's columns. Offset: S counts, too. */
template <int NT, bool Offset>
__device__ inline void drain(const Args &a, uint32_t word, const int32_t *oc, const int32_t *sums,
                             int32_t c[NT][4], int64_t acc[NT][4])
{
    int2 s[NT] = {};
    if constexpr (Offset || W == CUDA_TABLE7) {
#pragma unroll
        for (int t = 0; t < NT; t++)
            s[t] = *reinterpret_cast<const int2 *>(sums + t * CUDA_TOKENS);
    }
    if constexpr (W == CUDA_TABLE7) { /* the offset times 128 columns fits 32 bits */
#pragma unroll
        for (int t = 0; t < NT; t++) {
            c[t][0] += a.m.at.code_offset * s[t].x;
            c[t][1] += a.m.at.code_offset * s[t].y;
            c[t][2] += a.m.at.code_offset * s[t].x;
            c[t][3] += a.m.at.code_offset * s[t].y;
        }
    }
#pragma unroll
    for (int upper = 0; upper < 2; upper++) {
        const Header h = header_of(word, upper, sc_low(a));
        const int32_t scale = h.sc << (h.sh + scale_up(a));
#pragma unroll
        for (int t = 0; t < NT; t++) {
            acc[t][2 * upper] += (int64_t)scale * c[t][2 * upper];
            acc[t][2 * upper + 1] += (int64_t)scale * c[t][2 * upper + 1];
        }
        if constexpr (Offset) {
            int32_t o = W == CUDA_TABLE7 ? 0 : h.sc * a.m.at.code_offset;
            if (oc)
                o += oc[upper];
#pragma unroll
            for (int t = 0; t < NT; t++) {
                acc[t][2 * upper] += (int64_t)o * s[t].x << (h.sh + a.m.at.fraction);
                acc[t][2 * upper + 1] += (int64_t)o * s[t].y << (h.sh + a.m.at.fraction);
            }
        }
    }
}

template <int NT> __device__ inline void clear(int32_t c[NT][4])
{
#pragma unroll
    for (int t = 0; t < NT; t++)
        c[t][0] = c[t][1] = c[t][2] = c[t][3] = 0;
}

template <int DR, int NT, bool Offset>
__global__ void __launch_bounds__(32 * kMaxWarps, NT == 1 && DR == 0 && kBits <= 4 ? 3 : 2)
    bytes_kernel(Args a)
{
    constexpr int kHeaders = DR ? 256 / DR : 1;                 /* of a row in a step */
    constexpr int kKept = DR == 128 || DR == 32 ? kHeaders : 1; /* of those loaded ahead */
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, r = lane / 4, q = lane % 4;
    const uint32_t steps = a.m.at.steps, tile = blockIdx.x;
    const uint32_t first = warp * a.each;
    int left = first >= steps ? 0 : (int)(steps - first < a.each ? steps - first : a.each);
    const size_t at = (size_t)tile * steps + first;
    const uint4 *codes = static_cast<const uint4 *>(a.m.codes) + at * (kBits * 32) + lane;
    const uint32_t *headers = static_cast<const uint32_t *>(a.m.headers) + (at * 8 + r) * kHeaders;
    const int32_t *oc = static_cast<const int32_t *>(a.m.oc);
    if (oc)
        oc += (at * 8 + r) * (2 * kHeaders);
    uint32_t w[kAhead][kBits * 4] = {}, h[kAhead][kKept] = {};
    int32_t c[NT][4] = {};
    int64_t acc[DR ? NT : 1][4] = {};
    Tables tables = {};
    /* activations of the next step, too, where there are registers for them */
    constexpr bool kEarly = NT == 1 && kAhead % 2 == 0 && (DR == 128 || (DR == 0 && W == 1));
    uint32_t xs[kEarly ? 2 : 1][NT][16] = {};

    auto load = [&](int step, uint32_t *to, uint32_t *header, bool wanted) {
#pragma unroll
        for (int i = 0; i < kBits; i++)
            load_weights(to + 4 * i, codes + (step * kBits + i) * 32, wanted);
        if (!wanted)
            return;
        if constexpr (DR == 128) {
            const uint2 v = __ldg(reinterpret_cast<const uint2 *>(headers + step * 8 * kHeaders));
            header[0] = v.x;
            header[1] = v.y;
        } else if constexpr (DR == 32) {
            load_table(header, headers + step * 8 * kHeaders, 0);
            load_table(header + 4, headers + step * 8 * kHeaders, 1);
        }
    };
    auto select = [&](uint32_t word) { /* tables by the selectors of a header */
                                       if (W >= CUDA_TABLE && a.m.at.tables == CUDA_TABLE_SEL) {
                                           load_table(tables.of[0], a.m.tables, word >> 4 & 3u);
                                           load_table(tables.of[1], a.m.tables, word >> 20 & 3u);
                                       }
    };

    let_next_begin();
#pragma unroll
    for (int i = 0; i < kAhead; i++)
        load(i, w[i], h[i], i < left);
    const TileRow row = tile_row<DR>(a);
    if (W >= CUDA_TABLE && a.m.at.tables != CUDA_TABLE_SEL) {
        const bool of_row = a.m.at.tables == CUDA_TABLE_ROW;
        load_table(tables.of[0], a.m.tables, of_row ? tile * CUDA_TILE_ROWS + r : 0);
        load_table(tables.of[1], a.m.tables, of_row ? tile * CUDA_TILE_ROWS + r + 8 : 0);
    }
    if constexpr (DR == 0)
        if (W >= CUDA_TABLE && a.m.at.tables == CUDA_TABLE_SEL)
            select(__ldg(static_cast<const uint32_t *>(a.m.headers) + (size_t)tile * 8 + r));
    const bool there = blockIdx.y * NT * CUDA_TOKENS + r < a.x.n; /* else only 0 */
    const uint4 *x_at = static_cast<const uint4 *>(a.x.bytes) +
                        ((size_t)blockIdx.y * steps + first) * (NT * 128) + lane;
    const int32_t *sums = a.x.sums +
                          ((size_t)blockIdx.y * a.m.at.headers + (DR ? first * kHeaders : 0)) *
                              (NT * CUDA_TOKENS);
    wait_for_last();

    auto load_x = [&](int step, uint32_t(*to)[16]) {
#pragma unroll
        for (int t = 0; t < NT; t++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (NT == 1 && !there)
                    continue;
                const uint4 v = x_at[((step * NT + t) * 4 + i) * 32];
                to[t][4 * i] = v.x;
                to[t][4 * i + 1] = v.y;
                to[t][4 * i + 2] = v.z;
                to[t][4 * i + 3] = v.w;
            }
        }
    };
    /* another: will there be a step after this one? */
    auto process = [&](int step, const uint32_t *codes_of, const uint32_t *header, bool another) {
        uint32_t(*x)[16] = xs[kEarly ? step % 2 : 0];
        if (!kEarly)
            load_x(step, x);
        else if (another)
            load_x(step + 1, xs[(step + 1) % 2]);
        auto finish = [&](int i, uint32_t word) {
            if constexpr (DR != 0)
                drain<NT, Offset>(
                    a, word, Offset && oc ? oc + (step * 8 * kHeaders + i) * 2 : nullptr,
                    sums + (step * kHeaders + i) * (NT * CUDA_TOKENS) + 2 * q, c, acc);
        };
        auto products = [&](uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, int b0, int b1) {
#pragma unroll
            for (int t = 0; t < NT; t++)
                mma_bytes(c[t], a0, a1, a2, a3, b0 < 0 ? 0 : x[t][b0], b1 < 0 ? 0 : x[t][b1]);
        };
#pragma unroll
        for (int i = 0; i < 8; i++) { /* 32 columns */
            const int half = i / 4, e = i % 4 * 2;
            constexpr int each = DR ? 256 / (DR > 32 ? DR : 32) : 1;
            uint32_t word = 0;
            if constexpr (DR == 16)
                word = __ldg(headers + step * 8 * kHeaders + 2 * i);
            else if constexpr (DR != 0)
                word = header[i * each / 8];
            if (DR != 0 && (DR < 128 || i % 4 == 0)) {
                clear<NT>(c);
                select(word);
            }
            const uint32_t a0 = code_bytes(codes_of, tables, half, e, 0);
            const uint32_t a1 = code_bytes(codes_of, tables, half, e, 1);
            if constexpr (DR == 16) { /* the other 16 columns as 0 */
                products(a0, a1, 0, 0, 2 * i, -1);
                finish(2 * i, word);
                word = __ldg(headers + step * 8 * kHeaders + 2 * i + 1);
                clear<NT>(c);
                select(word);
            }
            const uint32_t a2 = code_bytes(codes_of, tables, half, e + 1, 0);
            const uint32_t a3 = code_bytes(codes_of, tables, half, e + 1, 1);
            if constexpr (DR == 16)
                products(0, 0, a2, a3, -1, 2 * i + 1);
            else
                products(a0, a1, a2, a3, 2 * i, 2 * i + 1);
            if constexpr (DR == 16)
                finish(2 * i + 1, word);
            else if constexpr (DR == 32)
                finish(i, word);
            else if constexpr (DR == 128)
                if (i % 4 == 3)
                    finish(i / 4, word);
        }
    };

    if (kEarly && left > 0)
        load_x(0, xs[0]);
    for (; left > kAhead; left -= kAhead) {
#pragma unroll
        for (int i = 0; i < kAhead; i++) {
            process(i, w[i], h[i], true);
            load(i + kAhead, w[i], h[i], i + kAhead < left);
        }
        codes += kAhead * kBits * 32;
        headers += kAhead * 8 * kHeaders;
        x_at += kAhead * NT * 128;
        if (DR)
            sums += kAhead * kHeaders * NT * CUDA_TOKENS;
        if (Offset && oc)
            oc += kAhead * 16 * kHeaders;
    }
#pragma unroll
    for (int i = 0; i < kAhead; i++)
        if (i < left)
            process(i, w[i], h[i], i + 1 < left);

    using Sum = std::conditional_t<DR == 0, int32_t, int64_t>;
    extern __shared__ int64_t shared[]; /* [warps][columns][16 rows] */
    Sum *partial = reinterpret_cast<Sum *>(shared);
    const uint32_t columns = NT > 1 || a.x.n > CUDA_TOKENS ? NT * CUDA_TOKENS : a.x.n;
#pragma unroll
    for (int t = 0; t < NT; t++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint32_t column = t * CUDA_TOKENS + 2 * q + i % 2;
            if (column < columns)
                partial[(warp * columns + column) * CUDA_TILE_ROWS + r + i / 2 * 8] =
                    DR == 0 ? c[t][i] : acc[DR ? t : 0][i];
        }
    put_tile<DR>(a, row, blockIdx.y * NT * CUDA_TOKENS, columns, partial, a.x.sums ? sums : nullptr,
                 a.m.at.scale_up, a.m.at.fraction);
}

template <int DR, int NT, bool Offset> int launch(const Args &a, const Start &start)
{
    return start_kernel(bytes_kernel<DR, NT, Offset>, a, start,
                        (a.x.n + NT * CUDA_TOKENS - 1) / (NT * CUDA_TOKENS),
                        (size_t)start.warps * NT * CUDA_TOKENS * CUDA_TILE_ROWS * (DR ? 8 : 4));
}

template <int NT, bool Offset> Launch for_drain(uint32_t drain)
{
    switch (drain) {
    case 16: return launch<16, NT, Offset>;
    case 32: return launch<32, NT, Offset>;
    default: return launch<128, NT, Offset>;
    }
}

template <int NT> Launch for_columns(uint32_t drain, bool offset)
{
    if (drain == 0) /* where S counts once, in the end */
        return launch<0, NT, false>;
    return offset ? for_drain<NT, true>(drain) : for_drain<NT, false>(drain);
}

} // namespace

#define FIND_(w) find_bytes_##w
#define FIND(w)  FIND_(w)
Launch FIND(ACCEL_WIDTH)(uint32_t drain, uint32_t blocks, bool offset)
{
    return blocks > 1 ? for_columns<2>(drain, offset) : for_columns<1>(drain, offset);
}
