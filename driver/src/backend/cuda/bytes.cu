/* bytes.cu - codes to bytes in registers, for int8 tensor core products; compiled once for each width.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A block takes a tile of 16 rows and up to 16 columns of activations. Its warps share the steps and add
 * up in the end. ACCEL_WIDTH: the width of codes. */
#include "device.cuh"

namespace
{

constexpr int W = ACCEL_WIDTH;
constexpr int kBits = W == CUDA_TABLE ? 4 : W;
constexpr int kMaxWarps = 16;
/* Steps whose weights are under way at once: enough bytes to hide the memory's latency behind. */
constexpr int kAhead = kBits == 1 ? 4 : kBits == 2 ? 4 : kBits <= 4 ? 2 : 1;
/* Steps after which 32 bits might overflow: 2^14 a column. */
constexpr int kMaxSteps = 256;

struct Tables {
    uint32_t of[2][4]; /* of rows r and r + 8 */
};

__device__ inline void load_table(uint32_t to[4], const void *tables, uint32_t i)
{
    uint4 t = __ldg(reinterpret_cast<const uint4 *>(tables) + i);
    to[0] = t.x;
    to[1] = t.y;
    to[2] = t.z;
    to[3] = t.w;
}

/* Four codes as four bytes, codes at their tops: columns 16 e + 4 q .. + 3 of a half step. */
template <int P>
__device__ inline uint32_t part_bytes(const uint32_t *w, int half, int e, int upper)
{
    constexpr int base = above_part(kBits, P) * 4, top = 8 - above_part(kBits, P) - P;
    const int word = half * P + e % P, low = P * (e / P);
    const uint32_t v = w[base + word / 2 * 4 + word % 2 * 2 + upper];
    constexpr uint32_t mask = (((1u << P) - 1) << top) * 0x01010101u;
    return (top >= low ? v << (top - low) : v >> (low - top)) & mask;
}

__device__ inline uint32_t code_bytes(const uint32_t *w, const Tables &t, int half, int e,
                                      int upper)
{
    uint32_t v = 0;
    if constexpr (W == CUDA_TABLE) {
        const int word = half * 4 + e % 4;
        const uint32_t u = w[word / 2 * 4 + word % 2 * 2 + upper] >> (16 * (e / 4));
        const uint32_t low = u & 0x7777u, pick = (u >> 1 & 0x4444u) | 0x3210u;
        return __byte_perm(__byte_perm(t.of[upper][0], t.of[upper][1], low),
                           __byte_perm(t.of[upper][2], t.of[upper][3], low), pick);
    }
    if constexpr (W == 8)
        return part_bytes<8>(w, half, e, upper);
    if constexpr (has_part(kBits, 4))
        v |= part_bytes<4>(w, half, e, upper);
    if constexpr (has_part(kBits, 2))
        v |= part_bytes<2>(w, half, e, upper);
    if constexpr (has_part(kBits, 1))
        v |= part_bytes<1>(w, half, e, upper);
    return v;
}

/* One header's sums into acc; c starts again. */
template <int NT>
__device__ inline void drain(const Args &a, uint32_t word, size_t oc_at, const int32_t *sums,
                             int32_t c[NT][4], int64_t acc[NT][4])
{
#pragma unroll
    for (int upper = 0; upper < 2; upper++) {
        const Header h = header_of(word, upper, a.m.at.sc_low);
        const int32_t scale = h.sc << (h.sh + a.m.at.scale_up);
#pragma unroll
        for (int t = 0; t < NT; t++) {
            acc[t][2 * upper] += (int64_t)scale * c[t][2 * upper];
            acc[t][2 * upper + 1] += (int64_t)scale * c[t][2 * upper + 1];
            c[t][2 * upper] = c[t][2 * upper + 1] = 0;
        }
        if (sums) {
            int32_t o = h.sc * (int32_t)a.m.at.code_offset;
            if (a.m.oc)
                o += static_cast<const int32_t *>(a.m.oc)[oc_at + upper];
#pragma unroll
            for (int t = 0; t < NT; t++) {
                const int32_t *s = sums + t * CUDA_TOKENS + threadIdx.x % 4 * 2;
                acc[t][2 * upper] += (int64_t)o * s[0] << (h.sh + a.m.at.fraction);
                acc[t][2 * upper + 1] += (int64_t)o * s[1] << (h.sh + a.m.at.fraction);
            }
        }
    }
}

template <int DR, int NT> __global__ void __launch_bounds__(32 * kMaxWarps) bytes_kernel(Args a)
{
    constexpr int kHeaders = DR ? 256 / DR : 1;          /* words of headers a step */
    constexpr int kKept = DR && DR >= 32 ? kHeaders : 1; /* of those loaded ahead */
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const uint32_t tile = blockIdx.x, block = blockIdx.y * NT, r = lane / 4;
    const uint32_t steps = a.m.at.steps;
    const uint4 *codes = static_cast<const uint4 *>(a.m.codes) + (size_t)tile * steps * kBits * 32 +
                         lane;
    const uint32_t *headers = static_cast<const uint32_t *>(a.m.headers) +
                              (DR ? (size_t)tile * steps * kHeaders * 8 : (size_t)tile * 8);
    uint32_t w[kAhead][kBits * 4], h[kAhead][kKept];
    int32_t c[NT][4] = {};
    int64_t acc[NT][4] = {};
    Tables tables = {};

    auto load = [&](uint32_t step, uint32_t *to, uint32_t *header) {
#pragma unroll
        for (int i = 0; i < kBits; i++)
            load_weights(to + 4 * i, codes + ((size_t)step * kBits + i) * 32);
        if constexpr (DR >= 32) {
            const uint32_t *from = headers + ((size_t)step * 8 + r) * kHeaders;
            if constexpr (DR == 128) {
                uint2 v = __ldg(reinterpret_cast<const uint2 *>(from));
                header[0] = v.x;
                header[1] = v.y;
            } else {
#pragma unroll
                for (int i = 0; i < kHeaders / 4; i++)
                    load_table(header + 4 * i, from, i);
            }
        }
    };

    let_next_begin();
#pragma unroll
    for (int i = 0; i < kAhead; i++)
        if (warp + i * warps < steps)
            load(warp + i * warps, w[i], h[i]);
    if constexpr (W == CUDA_TABLE) {
        const bool row = a.m.at.tables == CUDA_TABLE_ROW;
#pragma unroll
        for (int upper = 0; upper < 2; upper++)
            load_table(tables.of[upper], a.m.tables,
                       row ? tile * CUDA_TILE_ROWS + r + 8 * upper : 0);
    }
    wait_for_last();

    auto process = [&](uint32_t step, const uint32_t *codes_of, const uint32_t *header) {
        uint32_t x[NT][16];
#pragma unroll
        for (int t = 0; t < NT; t++) {
            const bool there = (block + t) * CUDA_TOKENS + r < a.x.n;
            const uint4 *from = static_cast<const uint4 *>(a.x.bytes) +
                                ((size_t)step * a.blocks + block + t) * 128 + lane;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                uint4 v = there ? from[i * 32] : make_uint4(0, 0, 0, 0);
                x[t][4 * i] = v.x;
                x[t][4 * i + 1] = v.y;
                x[t][4 * i + 2] = v.z;
                x[t][4 * i + 3] = v.w;
            }
        }
        const size_t first = (size_t)step * kHeaders; /* header of the row */
        auto header_at = [&](int i) {
            return DR == 16 ? __ldg(headers + ((size_t)step * 8 + r) * kHeaders + i)
                            : header[DR == 16 ? 0 : i];
        };
        auto finish = [&](int i, uint32_t word) {
            const size_t row_block = (size_t)tile * steps + step;
            drain<NT>(a, word, ((row_block * 8 + r) * kHeaders + i) * 2,
                      a.x.sums
                          ? a.x.sums + (first + i) * a.blocks * CUDA_TOKENS + block * CUDA_TOKENS
                          : nullptr,
                      c, acc);
        };
#pragma unroll
        for (int i = 0; i < 8; i++) { /* 32 columns */
            const int half = i / 4, e = i % 4 * 2;
            constexpr int each = DR ? 256 / (DR > 32 ? DR : 32) : 1;
            uint32_t word = 0;
            if constexpr (DR == 16)
                word = header_at(2 * i);
            else if constexpr (DR != 0)
                word = header_at(i * each / 8);
            if constexpr (W == CUDA_TABLE && DR != 0) {
                if (a.m.at.tables == CUDA_TABLE_SEL && (DR < 128 || i % 4 == 0)) {
                    load_table(tables.of[0], a.m.tables, word >> 4 & 3u);
                    load_table(tables.of[1], a.m.tables, word >> 20 & 3u);
                }
            }
            const uint32_t a0 = code_bytes(codes_of, tables, half, e, 0);
            const uint32_t a1 = code_bytes(codes_of, tables, half, e, 1);
            if constexpr (DR == 16) { /* the other 16 columns as 0 */
#pragma unroll
                for (int t = 0; t < NT; t++)
                    mma_bytes(c[t], a0, a1, 0, 0, x[t][2 * i], 0);
                finish(2 * i, word);
                word = header_at(2 * i + 1);
                if constexpr (W == CUDA_TABLE) {
                    if (a.m.at.tables == CUDA_TABLE_SEL) {
                        load_table(tables.of[0], a.m.tables, word >> 4 & 3u);
                        load_table(tables.of[1], a.m.tables, word >> 20 & 3u);
                    }
                }
            }
            const uint32_t a2 = code_bytes(codes_of, tables, half, e + 1, 0);
            const uint32_t a3 = code_bytes(codes_of, tables, half, e + 1, 1);
#pragma unroll
            for (int t = 0; t < NT; t++) {
                if constexpr (DR == 16)
                    mma_bytes(c[t], 0, 0, a2, a3, 0, x[t][2 * i + 1]);
                else
                    mma_bytes(c[t], a0, a1, a2, a3, x[t][2 * i], x[t][2 * i + 1]);
            }
            if constexpr (DR == 16)
                finish(2 * i + 1, word);
            else if constexpr (DR == 32)
                finish(i, word);
            else if constexpr (DR == 128)
                if (i % 4 == 3)
                    finish(i / 4, word);
        }
    };

    /* headers of the whole row, and selectors with it, are one word */
    uint32_t row_header = 0;
    if constexpr (DR == 0) {
        row_header = __ldg(headers + r);
        if constexpr (W == CUDA_TABLE) {
            if (a.m.at.tables == CUDA_TABLE_SEL) {
                load_table(tables.of[0], a.m.tables, row_header >> 4 & 3u);
                load_table(tables.of[1], a.m.tables, row_header >> 20 & 3u);
            }
        }
    }
    int count = 0;
    bool sums_due = warp == 0; /* S of the whole row counts once */
    auto finish_row = [&]() {
        const int32_t *sums = a.x.sums && sums_due ? a.x.sums + block * CUDA_TOKENS : nullptr;
        drain<NT>(a, row_header, ((size_t)tile * 8 + r) * 2, sums, c, acc);
        sums_due = false;
        count = 0;
    };
    for (uint32_t s = warp; s < steps; s += kAhead * warps) {
#pragma unroll
        for (int i = 0; i < kAhead; i++) {
            const uint32_t now = s + i * warps, next = now + kAhead * warps;
            if (now < steps) {
                process(now, w[i], h[i]);
                if (next < steps)
                    load(next, w[i], h[i]);
                if (DR == 0 && ++count == kMaxSteps)
                    finish_row();
            }
        }
    }
    if constexpr (DR == 0)
        finish_row();

    extern __shared__ int64_t partial[]; /* [warps][columns][16 rows] */
    constexpr uint32_t cells = NT * CUDA_TOKENS * CUDA_TILE_ROWS;
#pragma unroll
    for (int t = 0; t < NT; t++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            partial[warp * cells + (t * CUDA_TOKENS + lane % 4 * 2 + i % 2) * CUDA_TILE_ROWS + r +
                    i / 2 * 8] = acc[t][i];
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < cells; i += blockDim.x) {
        const uint32_t token = block * CUDA_TOKENS + i / CUDA_TILE_ROWS;
        const uint32_t row = tile * CUDA_TILE_ROWS + i % CUDA_TILE_ROWS;
        if (token >= a.x.n || row >= a.m.at.rows)
            continue;
        int64_t sum = 0;
        for (uint32_t k = 0; k < warps; k++)
            sum += partial[k * cells + i];
        put_result(a, row, token, sum >> a.m.at.fraction);
    }
}

template <int DR, int NT> int launch(const Args &a, uint32_t warps, bool overlapped, void *stream)
{
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.gridDim = dim3(a.m.at.tiles, (a.blocks + NT - 1) / NT);
    config.blockDim = dim3(32 * warps);
    config.dynamicSmemBytes = (size_t)warps * NT * CUDA_TOKENS * CUDA_TILE_ROWS * sizeof(int64_t);
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = &attribute;
    config.numAttrs = overlapped ? 1 : 0;
    return cudaLaunchKernelEx(&config, bytes_kernel<DR, NT>, a);
}

template <int NT> Launch for_drain(uint32_t drain)
{
    switch (drain) {
    case 0: return launch<0, NT>;
    case 16: return launch<16, NT>;
    case 32: return launch<32, NT>;
    default: return launch<128, NT>;
    }
}

} // namespace

#define FIND_(w) find_bytes_##w
#define FIND(w)  FIND_(w)
Launch FIND(ACCEL_WIDTH)(uint32_t drain, uint32_t blocks)
{
    return blocks > 1 ? for_drain<2>(drain) : for_drain<1>(drain);
}
