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

__global__ void bytes_of(cuda_layout at, cuda_acts x, uint32_t blocks)
{
    const size_t words = (size_t)at.steps * blocks * 512;
    for (size_t w = blockIdx.x * (size_t)blockDim.x + threadIdx.x; w < words;
         w += (size_t)gridDim.x * blockDim.x) {
        const uint32_t c = w % 4, lane = w / 4 % 32, load = w / 128 % 4;
        const uint32_t block = (uint32_t)(w / 512 % blocks), step = (uint32_t)(w / 512 / blocks);
        const uint32_t token = block * CUDA_TOKENS + lane / 4;
        const uint32_t first = step * CUDA_STEP + load * 64 + c * 16 + lane % 4 * 4;
        uint32_t v = 0;
        if (token < x.n)
            for (uint32_t j = 0; j < 4; j++)
                v |= (uint32_t)(uint8_t)padded_at(at, x.x + (size_t)token * at.cols, first + j)
                     << 8 * j;
        static_cast<uint32_t *>(x.bytes)[w] = v;
    }
}

__global__ void planes_of(cuda_layout at, cuda_acts x)
{
    const size_t words = (size_t)at.steps * x.n * 64;
    for (size_t w = blockIdx.x * (size_t)blockDim.x + threadIdx.x; w < words;
         w += (size_t)gridDim.x * blockDim.x) {
        const uint32_t half = w % 2, lane = w / 2 % 32, token = (uint32_t)(w / 64 % x.n);
        const uint32_t step = (uint32_t)(w / 64 / x.n), plane = lane / 4;
        uint32_t v = 0;
        for (uint32_t i = 0; i < 32; i++) {
            const uint32_t e = i % 8, j = i / 8;
            const uint32_t to = step * CUDA_STEP + half * 128 + e * 16 + lane % 4 * 4 + j;
            const uint8_t b = (uint8_t)padded_at(at, x.x + (size_t)token * at.cols, to);
            v |= (uint32_t)(b >> plane & 1) << i;
        }
        static_cast<uint32_t *>(x.planes)[w] = v;
    }
}

/* One warp a header and column. */
__global__ void sums_of(cuda_layout at, cuda_acts x, uint32_t columns)
{
    const size_t sum = blockIdx.x * (size_t)(blockDim.x / 32) + threadIdx.x / 32;
    const uint32_t token = (uint32_t)(sum % columns), lane = threadIdx.x % 32;
    if (sum >= (size_t)at.headers * columns)
        return;
    const uint32_t width = at.drain ? at.drain : at.pad;
    const uint32_t first = (uint32_t)(sum / columns) * width;
    int32_t s = 0;
    if (token < x.n)
        for (uint32_t i = lane; i < width; i += 32)
            s += padded_at(at, x.x + (size_t)token * at.cols, first + i);
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
            put_result(a, row, token, acc);
        }
    }
}

/* Two blocks go together where there is more than one. */
uint32_t blocks_of(uint32_t n)
{
    return n <= CUDA_TOKENS ? 1 : (n + 2 * CUDA_TOKENS - 1) / (2 * CUDA_TOKENS) * 2;
}

uint32_t grid_for(size_t threads)
{
    const size_t blocks = (threads + 255) / 256;
    return (uint32_t)(blocks < 4096 ? blocks : 4096);
}

} // namespace

void cuda_size_acts(const cuda_layout *at, uint32_t n, cuda_acts_size *size)
{
    const size_t blocks = blocks_of(n);
    size->bytes = (size_t)at->steps * blocks * 2048;
    size->planes = n <= CUDA_PLANES_N ? (size_t)at->steps * n * 256 : 0;
    size->sums = at->has_oc || at->code_offset ? (size_t)at->headers * blocks * CUDA_TOKENS * 4 : 0;
    if (at->width == CUDA_WIDE)
        size->bytes = size->planes = size->sums = 0;
}

int cuda_prepare(const cuda_layout *at, const cuda_acts *x, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    const uint32_t blocks = blocks_of(x->n);
    if (x->bytes)
        bytes_of<<<grid_for((size_t)at->steps * blocks * 512), 256, 0, s>>>(*at, *x, blocks);
    if (x->planes)
        planes_of<<<grid_for((size_t)at->steps * x->n * 64), 256, 0, s>>>(*at, *x);
    if (x->sums) {
        const size_t sums = (size_t)at->headers * blocks * CUDA_TOKENS;
        sums_of<<<(uint32_t)((sums + 7) / 8), 256, 0, s>>>(*at, *x, blocks * CUDA_TOKENS);
    }
    return cudaGetLastError();
}

static Launch find_bytes(uint32_t width, uint32_t drain, uint32_t blocks)
{
    switch (width) {
    case 1: return find_bytes_1(drain, blocks);
    case 2: return find_bytes_2(drain, blocks);
    case 3: return find_bytes_3(drain, blocks);
    case 4: return find_bytes_4(drain, blocks);
    case 5: return find_bytes_5(drain, blocks);
    case 6: return find_bytes_6(drain, blocks);
    case 7: return find_bytes_7(drain, blocks);
    case 8: return find_bytes_8(drain, blocks);
    default: return find_bytes_9(drain, blocks);
    }
}

int cuda_product(const cuda_matrix *m, const cuda_acts *x, const cuda_results *y,
                 const cuda_how *how, void *stream)
{
    Args a = { *m, *x, *y, blocks_of(x->n) };
    if (m->at.width == CUDA_WIDE) {
        const dim3 grid(m->at.rows, x->n < 64 ? x->n : 64);
        if (m->at.wide_bits == 16)
            wide_kernel<int16_t><<<grid, 128, 0, static_cast<cudaStream_t>(stream)>>>(a);
        else
            wide_kernel<int32_t><<<grid, 128, 0, static_cast<cudaStream_t>(stream)>>>(a);
        return cudaGetLastError();
    }
    uint32_t warps = how && how->warps ? how->warps : 8;
    while (warps > 1 && warps > m->at.steps)
        warps /= 2;
    Launch launch = x->planes && !(how && how->bytes_only)
                        ? find_planes(m->at.width, m->at.drain, x->n)
                        : nullptr;
    if (launch && x->n > 1 && !(how && how->planes_only))
        launch = nullptr;
    if (!launch)
        launch = find_bytes(m->at.width, m->at.drain, a.blocks);
    return launch(a, warps, how && how->overlapped, stream);
}
