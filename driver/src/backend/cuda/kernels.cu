/* kernels.cu - activations to operands, products of wide codes, and which kernel takes a product.
 * SPDX-License-Identifier: Apache-2.0 */
#include "device.cuh"

namespace
{

/* The activation that column `to` of the padded row holds. */
__device__ inline int8_t padded_at(const cuda_layout &at, const int8_t *x, uint32_t to)
{
    const uint32_t group = at.group ? at.group : at.pad;
    const uint32_t g = to / at.pad, i = to % at.pad;
    const uint64_t c = (uint64_t)g * group + i;
    return i < group && c < at.cols ? x[c] : 0;
}

/* Blocks of columns that go together, and in all. */
__host__ __device__ inline uint32_t together(uint32_t n)
{
    return n <= CUDA_TOKENS ? 1 : 2;
}
__host__ __device__ inline uint32_t blocks_of(uint32_t n)
{
    const uint32_t columns = together(n) * CUDA_TOKENS;
    return (n + columns - 1) / columns * together(n);
}

__global__ void bytes_of(cuda_layout at, cuda_acts x)
{
    const uint32_t pair = together(x.n);
    const size_t words = (size_t)at.steps * blocks_of(x.n) * 512;
    for (size_t w = blockIdx.x * (size_t)blockDim.x + threadIdx.x; w < words;
         w += (size_t)gridDim.x * blockDim.x) {
        const uint32_t c = w % 4, lane = w / 4 % 32, load = w / 128 % 4;
        const size_t block = w / 512; /* [n / 16][steps][pair] */
        const uint32_t step = (uint32_t)(block / pair % at.steps);
        const uint32_t token = (uint32_t)(block / pair / at.steps * pair + block % pair) *
                                   CUDA_TOKENS +
                               lane / 4;
        const uint32_t first = step * CUDA_STEP + load * 64 + c * 16 + lane % 4 * 4;
        uint32_t v = 0;
        if (token < x.n)
            for (uint32_t j = 0; j < 4; j++)
                v |= (uint32_t)(uint8_t)padded_at(at, x.x + (size_t)token * at.cols, first + j)
                     << 8 * j;
        static_cast<uint32_t *>(x.bytes)[w] = v;
    }
}

/* 16 bytes of a token's row of 128 in half a step, a thread; rows in eights swap their chunks. */
__global__ void tiles_of(cuda_layout at, cuda_acts x)
{
    const size_t chunks = (size_t)at.steps * ((x.n + CUDA_TILE_TOKENS - 1) / CUDA_TILE_TOKENS) *
                          (CUDA_TILE_TOKENS * CUDA_STEP / 16);
    const bool plain = at.cols % 16 == 0 && (at.group == 0 || at.group == at.pad);
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < chunks;
         i += (size_t)gridDim.x * blockDim.x) {
        const uint32_t chunk = i % 8, row = i / 8 % CUDA_TILE_TOKENS;
        const size_t half = i / 8 / CUDA_TILE_TOKENS; /* of [n / 128][steps] */
        const uint32_t step = (uint32_t)(half / 2 % at.steps);
        const uint32_t token = (uint32_t)(half / 2 / at.steps) * CUDA_TILE_TOKENS + row;
        const uint32_t first = step * CUDA_STEP + (uint32_t)(half % 2) * 128 +
                               (chunk ^ row % 8) * 16;
        uint32_t v[4] = {};
        if (token < x.n && plain && first < at.cols) {
            const uint4 u = *reinterpret_cast<const uint4 *>(x.x + (size_t)token * at.cols + first);
            v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
        } else if (token < x.n && !plain) {
            for (uint32_t j = 0; j < 16; j++)
                v[j / 4] |=
                    (uint32_t)(uint8_t)padded_at(at, x.x + (size_t)token * at.cols, first + j)
                    << 8 * (j % 4);
        }
        static_cast<uint4 *>(x.bytes)[i] = make_uint4(v[0], v[1], v[2], v[3]);
    }
}

__global__ void planes_of(cuda_layout at, cuda_acts x)
{
    const size_t words = (size_t)at.steps * 64;
    for (size_t w = blockIdx.x * (size_t)blockDim.x + threadIdx.x; w < words;
         w += (size_t)gridDim.x * blockDim.x) {
        const uint32_t half = w % 2, lane = w / 2 % 32, step = (uint32_t)(w / 64);
        uint32_t v = 0;
        for (uint32_t i = 0; i < 32; i++) {
            const uint32_t e = i % 8, j = i / 8;
            const uint32_t to = step * CUDA_STEP + half * 128 + e * 16 + lane % 4 * 4 + j;
            v |= (uint32_t)((uint8_t)padded_at(at, x.x, to) >> lane / 4 & 1) << i;
        }
        static_cast<uint32_t *>(x.planes)[w] = v;
    }
}

/* One warp a header and column. */
__global__ void sums_of(cuda_layout at, cuda_acts x)
{
    const size_t sum = blockIdx.x * (size_t)(blockDim.x / 32) + threadIdx.x / 32;
    const uint32_t columns = together(x.n) * CUDA_TOKENS, lane = threadIdx.x % 32;
    const uint32_t header = (uint32_t)(sum / columns % at.headers);
    const uint32_t token = (uint32_t)(sum / columns / at.headers * columns + sum % columns);
    if (sum >= (size_t)at.headers * blocks_of(x.n) * CUDA_TOKENS)
        return;
    const uint32_t width = at.drain ? at.drain : at.pad;
    int32_t s = 0;
    if (token < x.n)
        for (uint32_t i = lane; i < width; i += 32)
            s += padded_at(at, x.x + (size_t)token * at.cols, header * width + i);
    s = __reduce_add_sync(0xFFFFFFFFu, s);
    if (lane == 0)
        x.sums[sum] = s;
}

/* One block a row; columns of activations one after the other. */
template <typename K> __global__ void wide_kernel(Args a)
{
    __shared__ int64_t partial[8];
    const cuda_layout &at = a.m.at;
    const uint32_t row = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t group = at.group ? at.group : at.cols;
    const K *k = static_cast<const K *>(a.m.codes) + (size_t)row * at.cols;
    const uint16_t *headers = static_cast<const uint16_t *>(a.m.headers) + (size_t)row * at.groups;
    const int32_t *oc = static_cast<const int32_t *>(a.m.oc) + (size_t)row * at.groups;
    for (uint32_t token = blockIdx.y; token < a.x.n; token += gridDim.y) {
        const int8_t *x = a.x.x + (size_t)token * at.cols;
        int64_t acc = 0;
        for (uint32_t c = threadIdx.x; c < at.cols; c += blockDim.x) {
            const uint32_t g = c / group;
            const Header h = header_of(headers[g], 0, at.sc_low);
            const int64_t v = (int64_t)h.sc * k[c] + (a.m.oc ? oc[g] : 0);
            acc += v * x[c] * ((int64_t)1 << h.sh);
        }
        for (int i = 16; i; i /= 2)
            acc += __shfl_xor_sync(0xFFFFFFFFu, acc, i);
        __syncthreads();
        if (lane == 0)
            partial[warp] = acc;
        __syncthreads();
        if (threadIdx.x == 0) {
            acc = 0;
            for (uint32_t i = 0; i < blockDim.x / 32; i++)
                acc += partial[i];
            put_result(a, row, token, acc, a.y.f32 ? a.y.row_scale[row] : 0.0f);
        }
    }
}

uint32_t grid_for(size_t threads)
{
    const size_t blocks = (threads + 255) / 256;
    return (uint32_t)(blocks < 4096 ? blocks : 4096);
}

} // namespace

int cuda_compiled_for(int *capability)
{
    cudaFuncAttributes of = {};
    const int e = cudaFuncGetAttributes(&of, sums_of);
    *capability = of.ptxVersion;
    return e;
}

bool cuda_tiled(const cuda_layout *at, uint32_t n, const cuda_how *how)
{
    /* sums of a row of as many steps could leave 32 bits */
    if (!how->wgmma || at->width == CUDA_WIDE || at->drain == 16 ||
        (at->drain == 0 && at->steps >= CUDA_ROW_STEPS))
        return false;
    const uint32_t rows = at->drain ? 128 : 256;
    return n >= 64 || (n > 16 && at->rows / rows >= how->sms / 4);
}

void cuda_size_acts(const cuda_layout *at, uint32_t n, bool tiled, cuda_acts_size *size)
{
    const size_t blocks = blocks_of(n);
    size->bytes = (size_t)at->steps * blocks * 2048;
    if (tiled)
        size->bytes = (size_t)at->steps * ((n + CUDA_TILE_TOKENS - 1) / CUDA_TILE_TOKENS) *
                      (CUDA_TILE_TOKENS * CUDA_STEP);
    size->planes = n == 1 ? (size_t)at->steps * 256 : 0;
    const bool needed = at->has_oc || at->code_offset || at->width == CUDA_TABLE7;
    size->sums = needed ? (size_t)at->headers * blocks * CUDA_TOKENS * 4 : 0;
    if (needed && tiled) /* whole tiles are read */
        size->sums = (size_t)at->headers *
                     ((n + CUDA_TILE_TOKENS - 1) / CUDA_TILE_TOKENS * CUDA_TILE_TOKENS) * 4;
    if (at->width == CUDA_WIDE)
        size->bytes = size->planes = size->sums = 0;
}

int cuda_prepare(const cuda_layout *at, const cuda_acts *x, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    const uint32_t blocks = blocks_of(x->n);
    if (x->bytes && x->tiled)
        tiles_of<<<grid_for((size_t)at->steps * ((x->n + CUDA_TILE_TOKENS - 1) / CUDA_TILE_TOKENS) *
                            (CUDA_TILE_TOKENS * CUDA_STEP / 16)),
                   256, 0, s>>>(*at, *x);
    else if (x->bytes)
        bytes_of<<<grid_for((size_t)at->steps * blocks * 512), 256, 0, s>>>(*at, *x);
    if (x->planes)
        planes_of<<<grid_for((size_t)at->steps * 64), 256, 0, s>>>(*at, *x);
    if (x->sums) {
        const size_t sums = (size_t)at->headers * blocks * CUDA_TOKENS;
        sums_of<<<(uint32_t)((sums + 7) / 8), 256, 0, s>>>(*at, *x);
    }
    return cudaGetLastError();
}

static bool needs_offset(const cuda_layout &at)
{
    return at.has_oc || (at.code_offset && at.width != CUDA_TABLE7);
}

bool cuda_binary(const cuda_layout *at, const cuda_how *how)
{
    if (at->width == 4 && at->drain && at->tiles >= how->sms * 3) /* as measured: faster as bytes */
        return false;
    return !how->bytes_only && find_planes(at->width, at->drain, needs_offset(*at));
}

static Launch find_bytes(uint32_t width, uint32_t drain, uint32_t blocks, bool offset)
{
    switch (width) {
    case 1: return find_bytes_1(drain, blocks, offset);
    case 2: return find_bytes_2(drain, blocks, offset);
    case 3: return find_bytes_3(drain, blocks, offset);
    case 4: return find_bytes_4(drain, blocks, offset);
    case 5: return find_bytes_5(drain, blocks, offset);
    case 6: return find_bytes_6(drain, blocks, offset);
    case 7: return find_bytes_7(drain, blocks, offset);
    case 8: return find_bytes_8(drain, blocks, offset);
    case 9: return find_bytes_9(drain, blocks, offset);
    default: return find_bytes_10(drain, blocks, offset);
    }
}

static Launch find_tiles(uint32_t width, uint32_t drain, bool offset, bool narrow)
{
    switch (width) {
    case 1: return find_tiles_1(drain, offset, narrow);
    case 2: return find_tiles_2(drain, offset, narrow);
    case 3: return find_tiles_3(drain, offset, narrow);
    case 4: return find_tiles_4(drain, offset, narrow);
    case 5: return find_tiles_5(drain, offset, narrow);
    case 6: return find_tiles_6(drain, offset, narrow);
    case 7: return find_tiles_7(drain, offset, narrow);
    case 8: return find_tiles_8(drain, offset, narrow);
    case 9: return find_tiles_9(drain, offset, narrow);
    default: return find_tiles_10(drain, offset, narrow);
    }
}

int cuda_product(const cuda_matrix *m, const cuda_acts *x, const cuda_results *y,
                 const cuda_how *how, void *stream)
{
    Args a = { *m, *x, *y, 0 };
    if (m->at.width == CUDA_WIDE) {
        const dim3 grid(m->at.rows, x->n < 64 ? x->n : 64);
        if (m->at.wide_bits == 16)
            wide_kernel<int16_t><<<grid, 128, 0, static_cast<cudaStream_t>(stream)>>>(a);
        else
            wide_kernel<int32_t><<<grid, 128, 0, static_cast<cudaStream_t>(stream)>>>(a);
        return cudaGetLastError();
    }
    const cuda_layout &at = m->at;
    if (x->tiled) {
        Start tiles = { 0, how->overlapped != 0, static_cast<cudaStream_t>(stream) };
        return find_tiles(at.width, at.drain, x->sums, at.narrow)(a, tiles);
    }
    const bool offset = needs_offset(at);
    const Launch binary = x->planes && cuda_binary(&at, how)
                              ? find_planes(at.width, at.drain, offset)
                              : nullptr;
    const Launch launch = binary ? binary : find_bytes(at.width, at.drain, together(x->n), offset);
    /* enough warps to fill the GPU, but none with next to nothing to do */
    const uint32_t fill = how->sms * (binary && at.width <= 3 ? 20 : 15);
    Start start = {};
    start.warps = at.tiles * 4 < fill ? 8 : binary && at.width == 1 && at.tiles * 2 > fill ? 2 : 4;
    if (how->warps)
        start.warps = how->warps;
    while (start.warps > 1 && start.warps > at.steps)
        start.warps /= 2;
    a.each = (at.steps + start.warps - 1) / start.warps;
    start.overlapped = how->overlapped;
    start.stream = static_cast<cudaStream_t>(stream);
    return launch(a, start);
}
