/* tiles.cu - products with many columns (prompts): warpgroup products of Hopper GPUs; compiled once for each width.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A block makes 256 rows (128 with group headers) of 128 columns. One warp brings a step of weights and activations after
 * the other into shared memory; two warpgroups turn codes into bytes in registers, which are wgmma's first operand, and
 * the second are activations in shared memory, as tiles_of laid them out. (Clusters of blocks that share what one
 * brings were tried and changed nothing: tensor cores and the end of a tile are the limit.) */
#include "codes.cuh"

namespace
{

constexpr int kStarters = 128; /* threads of the warpgroup that starts copies */
constexpr int kWorkers = 2;    /* warpgroups */
constexpr int kThreads = kStarters + kWorkers * 128;
constexpr int kActBytes = CUDA_TILE_TOKENS * CUDA_STEP; /* of a step */
constexpr int kMost = 226 * 1024;

template <int DR> struct Shape {
    static constexpr int blocks = DR ? 1 : 2; /* of 64 rows, for each warpgroup */
    static constexpr int tiles = kWorkers * blocks * 4;
    static constexpr int stage = kActBytes + tiles * kBits * 512;
    static constexpr int fit = kMost / stage;
    static constexpr int stages = fit > 4 ? 4 : fit;
    static constexpr int shared = stages * stage + 1024 + 2 * 8 * stages;
};

__device__ inline uint32_t shared_at(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

__device__ inline void barrier_init(uint32_t bar, uint32_t count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(bar), "r"(count));
}

__device__ inline void barrier_expect(uint32_t bar, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes)
                 : "memory");
}

__device__ inline void barrier_wait(uint32_t bar, uint32_t parity)
{
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@done bra over;\n"
                 "bra again;\n"
                 "over:\n"
                 "}" ::"r"(bar),
                 "r"(parity)
                 : "memory");
}

__device__ inline void barrier_arrive(uint32_t bar)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(bar) : "memory");
}

__device__ inline void copy(uint32_t to, const void *from, uint32_t bytes, uint32_t bar)
{
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
            "r"(to),
        "l"(from), "r"(bytes), "r"(bar)
        : "memory");
}

__device__ inline void products_begin()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void products_end()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int Pending> __device__ inline void products_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}

/* c += a b, or c = a b: 64 rows, 32 columns of weights, 128 of activations. */
__device__ inline void product(int32_t *c, const uint32_t a[4], uint64_t b, int add)
{
#define C4(i)  "+r"(c[i]), "+r"(c[i + 1]), "+r"(c[i + 2]), "+r"(c[i + 3])
#define C16(i) C4(i), C4(i + 4), C4(i + 8), C4(i + 12)
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "setp.ne.b32 p, %69, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 "
                 "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
                 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
                 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
                 "{%64, %65, %66, %67}, %68, p;\n"
                 "}"
                 : C16(0), C16(16), C16(32), C16(48)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
#undef C16
#undef C4
}

/* Rows of 128 bytes in eights, 16-byte chunks swapped by row: what wgmma calls a 128-byte swizzle. */
__device__ inline uint64_t operand_at(uint32_t shared)
{
    return (uint64_t)(shared >> 4 & 0x3FFF) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}

/* The words of a half step that a lane needs, at the places that code_bytes looks in. */
__device__ inline void half_words(uint32_t w[kBits * 4], uint32_t at, int half)
{
    auto take = [&](int i) {
        asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(w[4 * i]), "=r"(w[4 * i + 1]), "=r"(w[4 * i + 2]), "=r"(w[4 * i + 3])
                     : "r"(at + i * 512)
                     : "memory");
    };
    constexpr int p8 = 0, p4 = above_part(kBits, 4), p2 = above_part(kBits, 2),
                  p1 = above_part(kBits, 1);
    if constexpr (kBits == 8)
#pragma unroll
        for (int i = 0; i < 4; i++)
            take(p8 + half * 4 + i);
    if constexpr (has_part(kBits, 4))
#pragma unroll
        for (int i = 0; i < 2; i++)
            take(p4 + half * 2 + i);
    if constexpr (has_part(kBits, 2))
        take(p2 + half);
    if constexpr (has_part(kBits, 1))
        take(p1);
}

struct Pipe {
    uint32_t base, full, empty; /* shared addresses */
    void *generic;              /* base */
};

/* One warp: every step of the block's weights and activations. */
template <int DR> __device__ inline void bring(const Args &a, const Pipe &pipe)
{
    using S = Shape<DR>;
    constexpr uint32_t step_bytes = kBits * 512;
    const uint32_t steps = a.m.at.steps, first = blockIdx.x * S::tiles, lane = threadIdx.x;
    const uint32_t tiles = min(a.m.at.tiles - first, (uint32_t)S::tiles);
    const uint8_t *codes = static_cast<const uint8_t *>(a.m.codes) +
                           (size_t)(first + lane) * steps * step_bytes;
    const uint8_t *x = static_cast<const uint8_t *>(a.x.bytes) +
                       (size_t)blockIdx.y * steps * kActBytes;
    wait_for_last();
#pragma unroll 1
    for (uint32_t step = 0; step < steps; step++) {
        const uint32_t s = step % S::stages, full = pipe.full + 8 * s;
        const uint32_t at = pipe.base + s * S::stage;
        if (step >= S::stages)
            barrier_wait(pipe.empty + 8 * s, (step / S::stages - 1) & 1);
        if (lane == 0) {
            barrier_expect(full, kActBytes + tiles * step_bytes);
            copy(at, x + (size_t)step * kActBytes, kActBytes, full);
        }
        __syncwarp();
        if (lane < tiles)
            copy(at + kActBytes + lane * step_bytes, codes + (size_t)step * step_bytes, step_bytes,
                 full);
    }
}

template <int DR> struct Worker {
    using S = Shape<DR>;
    const Args &a;
    uint32_t lane, warp, r, q, token; /* warp: of the workers; token: the block's first */
    Tables tables[S::blocks];

    __device__ uint32_t tile_of(int block) const /* within the thread block */
    {
        return (warp / 4 * S::blocks + block) * 4 + warp % 4;
    }
    /* Rows past the end are computed with those of the last tile and not stored. */
    __device__ uint32_t matrix_tile(int block) const
    {
        return min(blockIdx.x * S::tiles + tile_of(block), a.m.at.tiles - 1);
    }
    __device__ void select(Tables &t, uint32_t word) const
    {
        load_table(t.of[0], a.m.tables, word >> 4 & 3u);
        load_table(t.of[1], a.m.tables, word >> 20 & 3u);
    }
    __device__ uint32_t row_header(int block) const
    {
        return __ldg(static_cast<const uint32_t *>(a.m.headers) + (size_t)matrix_tile(block) * 8 +
                     r);
    }
    __device__ void first_tables()
    {
        for (int b = 0; b < S::blocks; b++) {
            if (a.m.at.tables == CUDA_TABLE_SEL) {
                if (DR == 0)
                    select(tables[b], row_header(b));
                continue;
            }
            const uint32_t row = a.m.at.tables == CUDA_TABLE_ROW
                                     ? matrix_tile(b) * CUDA_TILE_ROWS + r
                                     : 0;
            load_table(tables[b].of[0], a.m.tables, row);
            load_table(tables[b].of[1], a.m.tables, a.m.at.tables == CUDA_TABLE_ROW ? row + 8 : 0);
        }
    }
    __device__ void operands(uint32_t (*to)[4], uint32_t at, int half, int block, int first = 0,
                             int end = 4) const
    {
        uint32_t w[kBits * 4];
        half_words(w, at + kActBytes + tile_of(block) * (kBits * 512) + lane * 16, half);
#pragma unroll
        for (int i = first; i < end; i++) {
            to[i][0] = code_bytes(w, tables[block], half, 2 * i, 0);
            to[i][1] = code_bytes(w, tables[block], half, 2 * i, 1);
            to[i][2] = code_bytes(w, tables[block], half, 2 * i + 1, 0);
            to[i][3] = code_bytes(w, tables[block], half, 2 * i + 1, 1);
        }
    }
    /* S of this lane's columns, a 16-column block of them: for header h. In order, lest all are held at once. */
    __device__ int4 sums_of(uint32_t h, int sixteen) const
    {
        const int32_t *at = a.x.sums + ((size_t)(token / 16 + sixteen) * a.m.at.headers + h) * 16 +
                            2 * q;
        int4 s;
        asm volatile("ld.global.v2.s32 {%0, %1}, [%4];\n"
                     "ld.global.v2.s32 {%2, %3}, [%4 + 32];"
                     : "=r"(s.x), "=r"(s.y), "=r"(s.z), "=r"(s.w)
                     : "l"(at)
                     : "memory");
        return s;
    }
};

/* Every warp for itself: each reads weights of its own. */
__device__ inline void release(const Pipe &pipe, uint32_t stage)
{
    if (threadIdx.x % 32 == 0)
        barrier_arrive(pipe.empty + 8 * stage);
}

/* The block's results by way of shared memory, which is free by now: a thread has one row. */
template <int DR, class Sum, class Cell>
__device__ inline void put_sums(Worker<DR> &o, const Pipe &pipe, Cell cell)
{
    using S = Shape<DR>;
    constexpr uint32_t kRows = S::tiles * CUDA_TILE_ROWS, kStride = kRows + 16 / sizeof(Sum);
    static_assert(CUDA_TILE_TOKENS * kStride * sizeof(Sum) <= S::stages * S::stage, "results fit");
    const Args &a = o.a;
    Sum *sums = static_cast<Sum *>(pipe.generic);
    asm volatile("bar.sync 1, %0;" ::"n"(kWorkers * 128) : "memory");
#pragma unroll
    for (int b = 0; b < S::blocks; b++)
#pragma unroll
        for (int i = 0; i < 64; i++)
            sums[(i / 4 * 8 + 2 * o.q + i % 2) * kStride + o.tile_of(b) * CUDA_TILE_ROWS + o.r +
                 i % 4 / 2 * 8] = cell(b, i);
    asm volatile("bar.sync 1, %0;" ::"n"(kWorkers * 128) : "memory");
    const uint32_t thread = threadIdx.x - kStarters, in_block = thread % kRows;
    const uint32_t row = blockIdx.x * kRows + in_block;
    if (row >= a.m.at.rows)
        return;
    const float row_scale = a.y.f32 ? __ldg(a.y.row_scale + row) : 0.0f;
    int64_t scale = 1, offset = 0;
    if (DR == 0) {
        const uint32_t tile = row / CUDA_TILE_ROWS;
        const Header h = header_of(
            __ldg(static_cast<const uint32_t *>(a.m.headers) + (size_t)tile * 8 + row % 8),
            row % 16 / 8, sc_low(a));
        int64_t v = (int64_t)h.sc * a.m.at.code_offset;
        if (a.m.oc)
            v += static_cast<const int32_t *>(
                a.m.oc)[(size_t)tile * 16 + row % 8 * 2 + row % 16 / 8];
        scale = (int64_t)h.sc << (h.sh + scale_up(a));
        offset = a.x.sums ? v << (h.sh + a.m.at.fraction) : 0;
    }
    const uint32_t columns = min(CUDA_TILE_TOKENS, a.x.n - o.token);
    constexpr uint32_t each = kWorkers * 128 / kRows;
    auto scaled = [&](uint32_t i) {
        int64_t sum = sums[i * kStride + in_block];
        if (DR == 0) {
            sum *= scale;
            if (offset)
                sum += offset * __ldg(a.x.sums + o.token + i);
        }
        return sum >> a.m.at.fraction;
    };
    uint32_t i = thread / kRows;
    if (a.y.f32 && !a.m.first) { /* several at once: a column's way to its float is long */
        constexpr int kAtOnce = 8;
        float *y = a.y.f32 + (size_t)o.token * a.m.at.rows + row;
        for (; i + (kAtOnce - 1) * each < columns; i += kAtOnce * each) {
            double v[kAtOnce];
#pragma unroll
            for (int j = 0; j < kAtOnce; j++) /* 48 bits are exact */
                v[j] = __longlong_as_double(scaled(i + j * each) + 0x4338000000000000) -
                       6755399441055744.0;
#pragma unroll
            for (int j = 0; j < kAtOnce; j++)
                v[j] = v[j] * (double)row_scale *
                       (a.y.col_scale ? (double)__ldg(a.y.col_scale + o.token + i + j * each)
                                      : 1.0);
#pragma unroll
            for (int j = 0; j < kAtOnce; j++)
                y[(size_t)(i + j * each) * a.m.at.rows] = (float)v[j];
        }
    }
#pragma unroll 1
    for (; i < columns; i += each)
        put_result(a, row, o.token + i, scaled(i), row_scale);
}

/* One header a row: sums of the whole row in 32 bits. */
__device__ inline void whole_rows(Worker<0> &o, const Pipe &pipe)
{
    using S = Shape<0>;
    const Args &a = o.a;
    const uint32_t steps = a.m.at.steps;
    int32_t c[2][64] = {};
    uint32_t operand[2][4][4];
    for (uint32_t step = 0; step < steps; step++) {
        const uint32_t s = step % S::stages, at = pipe.base + s * S::stage;
        barrier_wait(pipe.full + 8 * s, step / S::stages & 1);
#pragma unroll
        for (int half = 0; half < 2; half++) {
#pragma unroll
            for (int block = 0; block < 2; block++) {
                products_wait<1>(); /* those that read the same registers */
                o.operands(operand[block], at, half, block);
                products_begin();
#pragma unroll
                for (int i = 0; i < 4; i++)
                    product(c[block], operand[block][i],
                            operand_at(at + half * (kActBytes / 2) + i * 32), 1);
                products_end();
            }
        }
        products_wait<0>();
        release(pipe, s);
    }
    put_sums<0, int32_t>(o, pipe, [&](int block, int i) { return c[block][i]; });
}

/* What sums of a group are multiplied by. */
struct Factor {
    int64_t whole;
    float rounded;
    Factor() = default;
    __device__ explicit Factor(int64_t v) : whole(v), rounded((float)v) {}
};

/* A lane's scaled sums. A multiplication that adds to 64 bits takes as long as four of 32 bits, so that narrow ones
 * keep the lower 32 bits of the sum and a float that is less than 2^30 away from it. */
template <bool Narrow> struct Sums {
    int64_t sum[64] = {};
    __device__ void add(int i, const Factor &by, int32_t c) { sum[i] += by.whole * c; }
    __device__ int64_t at(int i) const { return sum[i]; }
};
template <> struct Sums<true> {
    uint32_t low[64] = {};
    float near[64] = {};
    __device__ void add(int i, const Factor &by, int32_t c)
    {
        low[i] += (uint32_t)by.whole * (uint32_t)c;
        near[i] = fmaf(by.rounded, (float)c, near[i]);
    }
    __device__ int64_t at(int i) const
    {
        const int32_t l = (int32_t)low[i];
        return l + ((int64_t)rint(((double)near[i] - l) * 0x1p-32) << 32);
    }
};

/* Headers of 128 or 32 columns: their sums in 32 bits, scaled into 64. */
template <int DR, bool Offset, bool Narrow>
__device__ inline void with_groups(Worker<DR> &o, const Pipe &pipe)
{
    using S = Shape<DR>;
    constexpr int kHeaders = CUDA_STEP / DR, kProducts = DR / 32;
    const Args &a = o.a;
    const uint32_t steps = a.m.at.steps;
    const size_t row = ((size_t)o.matrix_tile(0) * steps * 8 + o.r) * kHeaders;
    const uint32_t *headers = static_cast<const uint32_t *>(a.m.headers) + row;
    const int32_t *oc = static_cast<const int32_t *>(a.m.oc);
    if (oc)
        oc += 2 * row;
    Sums<Narrow> acc;
    for (uint32_t step = 0; step < steps; step++) {
        const uint32_t s = step % S::stages, at = pipe.base + s * S::stage;
        uint32_t words[kHeaders];
#pragma unroll
        for (int i = 0; i < kHeaders; i++)
            words[i] = __ldg(headers + (size_t)step * 8 * kHeaders + i);
        barrier_wait(pipe.full + 8 * s, step / S::stages & 1);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            uint32_t operand[4][4];
            const bool by_header = W >= CUDA_TABLE && a.m.at.tables == CUDA_TABLE_SEL;
            if (DR == 128 && by_header)
                o.select(o.tables[0], words[half]);
            if (DR == 128 || !by_header)
                o.operands(operand, at, half, 0);
#pragma unroll
            for (int g = 0; g < kHeaders / 2; g++) {
                const int header = half * (kHeaders / 2) + g;
                if (DR != 128 && by_header) {
                    o.select(o.tables[0], words[header]);
                    o.operands(operand, at, half, 0, g, g + 1);
                }
                int32_t c[64];
                products_begin();
#pragma unroll
                for (int i = 0; i < kProducts; i++)
                    product(c, operand[g * kProducts + i],
                            operand_at(at + half * (kActBytes / 2) + (g * kProducts + i) * 32),
                            i > 0);
                products_end();
                products_wait<0>();
                if (half == 1 && g == kHeaders / 2 - 1)
                    release(pipe, s);
                Factor offset[2];
#pragma unroll
                for (int upper = 0; upper < 2; upper++) {
                    const Header h = header_of(words[header], upper, sc_low(a));
                    const Factor by((int64_t)(h.sc << (h.sh + scale_up(a))));
#pragma unroll
                    for (int i = 0; i < 32; i++) {
                        const int cell = i / 2 * 4 + upper * 2 + i % 2;
                        acc.add(cell, by, c[cell]);
                    }
                    if constexpr (Offset) {
                        int64_t v = (int64_t)h.sc * a.m.at.code_offset;
                        if (oc)
                            v += oc[((size_t)step * 8 * kHeaders + header) * 2 + upper];
                        offset[upper] = Factor(v << (h.sh + a.m.at.fraction));
                    }
                }
                if constexpr (Offset) {
#pragma unroll
                    for (int i = 0; i < 8; i++) {
                        const int4 sums = o.sums_of(step * kHeaders + header, i);
                        for (int upper = 0; upper < 2; upper++) {
                            acc.add(8 * i + 2 * upper, offset[upper], sums.x);
                            acc.add(8 * i + 2 * upper + 1, offset[upper], sums.y);
                            acc.add(8 * i + 4 + 2 * upper, offset[upper], sums.z);
                            acc.add(8 * i + 4 + 2 * upper + 1, offset[upper], sums.w);
                        }
                    }
                }
            }
        }
    }
    put_sums<DR, int64_t>(o, pipe, [&](int, int i) { return acc.at(i); });
}

template <int DR, bool Offset, bool Narrow>
__global__ void __launch_bounds__(kThreads, 1) tiles_kernel(const __grid_constant__ Args a)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    using S = Shape<DR>;
    extern __shared__ uint8_t shared[];
    Pipe pipe;
    pipe.base = (shared_at(shared) + 1023) & ~1023u;
    pipe.generic = shared + (pipe.base - shared_at(shared));
    pipe.full = pipe.base + S::stages * S::stage;
    pipe.empty = pipe.full + 8 * S::stages;
    let_next_begin();
    if (threadIdx.x == 0) {
        for (uint32_t i = 0; i < S::stages; i++) {
            barrier_init(pipe.full + 8 * i, 1);
            barrier_init(pipe.empty + 8 * i, kWorkers * 4);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    if (threadIdx.x < kStarters) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        if (threadIdx.x < 32)
            bring<DR>(a, pipe);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
        const uint32_t lane = threadIdx.x % 32;
        Worker<DR> o = { a,        lane,     (threadIdx.x - kStarters) / 32,
                         lane / 4, lane % 4, blockIdx.y * CUDA_TILE_TOKENS,
                         {} };
        wait_for_last();
        if (W >= CUDA_TABLE)
            o.first_tables();
        if constexpr (DR == 0)
            whole_rows(o, pipe);
        else
            with_groups<DR, Offset, Narrow>(o, pipe);
    }
#endif
}

template <int DR, bool Offset, bool Narrow> int launch(const Args &a, const Start &start)
{
    constexpr uint32_t tiles = Shape<DR>::tiles;
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.gridDim = dim3((a.m.at.tiles + tiles - 1) / tiles,
                          (a.x.n + CUDA_TILE_TOKENS - 1) / CUDA_TILE_TOKENS);
    config.blockDim = dim3(kThreads);
    config.dynamicSmemBytes = Shape<DR>::shared;
    config.stream = start.stream;
    config.attrs = &attribute;
    config.numAttrs = start.overlapped ? 1 : 0;
    const cudaError_t e = cudaFuncSetAttribute(tiles_kernel<DR, Offset, Narrow>,
                                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                                               Shape<DR>::shared);
    return e ? e : cudaLaunchKernelEx(&config, tiles_kernel<DR, Offset, Narrow>, a);
}

template <int DR, bool Offset> Launch for_drain(bool narrow)
{
    return narrow ? launch<DR, Offset, true> : launch<DR, Offset, false>;
}

} // namespace

#define FIND_(w) find_tiles_##w
#define FIND(w)  FIND_(w)
Launch FIND(ACCEL_WIDTH)(uint32_t drain, bool offset, bool narrow)
{
    if (drain == 0) /* where S counts once, in the end */
        return launch<0, false, false>;
    if (drain == 128)
        return offset ? for_drain<128, true>(narrow) : for_drain<128, false>(narrow);
    return offset ? for_drain<32, true>(narrow) : for_drain<32, false>(narrow);
}
