/* bench_cuda.cu - how fast the GPU's kernels are, beside how fast its memory can be read.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   bench_cuda [all] [overlapped] [explore] [prompt] [format=NAME] [group=N] [rows=N] [n=N] [warps=N] [bytes] [json=FILE]
 *
 * all: more formats; overlapped: each launch may begin before the one ahead of it ends; explore: several ways to start
 * each product; prompt: 2048 columns, in place of the rest; bytes: no binary products. json: figures are
 * added to that file, a line each, for tools/roofline.py. The others pick rows and columns of the table.
 *
 * Every figure is the median of several runs of a CUDA graph of many launches, divided by the launches. Each launch
 * takes other weights, with their scales, so that at least 400 MB pass before the same are read again: none are in a
 * cache. Preparing activations is not counted. "floor" is a kernel that reads as many bytes and does nothing else,
 * started in the same way; the ratio is to that. Weights are random bits: what is multiplied does not change the time. */
#include "bench.cuh"

#include <dlfcn.h>

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

namespace
{

constexpr size_t kPool = (size_t)2 << 30;
constexpr int kReplays = 11;
constexpr int kPromptLaunches = 8;
constexpr uint32_t kPrompt = 2048;

struct Bench {
    FILE *json; /* a line for each figure; or NULL */
    cudaStream_t stream;
    uint8_t *pool;
    bool overlapped;
    cuda_how how;
    std::map<size_t, double> floors;
};

/* Microseconds a launch. */
double time_of(Bench &b, int launches, const std::function<int(int)> &launch)
{
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaEvent_t begin, end;
    check(cudaEventCreate(&begin), "event");
    check(cudaEventCreate(&end), "event");
    check(cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeThreadLocal), "capture");
    for (int i = 0; i < launches; i++)
        check(launch(i), "launch");
    check(cudaStreamEndCapture(b.stream, &graph), "capture");
    check(cudaGraphInstantiate(&exec, graph, 0), "graph");
    std::vector<float> times;
    for (int i = 0; i < kReplays + 2; i++) {
        float ms;
        check(cudaEventRecord(begin, b.stream), "event");
        check(cudaGraphLaunch(exec, b.stream), "graph");
        check(cudaEventRecord(end, b.stream), "event");
        check(cudaEventSynchronize(end), "run");
        check(cudaEventElapsedTime(&ms, begin, end), "time");
        if (i >= 2)
            times.push_back(ms);
    }
    std::sort(times.begin(), times.end());
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return times[times.size() / 2] * 1000.0 / launches;
}

int slices_of(size_t bytes)
{
    const size_t want = 400000000 / bytes + 1;
    return (int)std::min(std::max(want, (size_t)24), kPool / bytes);
}

int launch_read(Bench &b, const uint8_t *from, size_t bytes, int grid, int threads)
{
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.gridDim = dim3(grid);
    config.blockDim = dim3(threads);
    config.stream = b.stream;
    config.attrs = &attribute;
    config.numAttrs = b.overlapped ? 1 : 0;
    return cudaLaunchKernelEx(&config, read_only<true>, (const uint4 *)from, bytes / 16,
                              (uint4 *)b.pool);
}

/* The best of several grids. */
double floor_of(Bench &b, size_t bytes)
{
    auto known = b.floors.find(bytes);
    if (known != b.floors.end())
        return known->second;
    int sms, gpu;
    check(cudaGetDevice(&gpu), "device");
    check(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, gpu), "device");
    const size_t slice = (bytes + 511) / 512 * 512;
    const int slices = slices_of(slice);
    double best = 1e30;
    for (int threads : { 256, 512 })
        for (int each : { 1, 2, 3, 4, 8, 16 })
            best = std::min(best, time_of(b, slices, [&](int i) {
                                return launch_read(b, b.pool + i * slice, bytes, sms * each,
                                                   threads);
                            }));
    return b.floors[bytes] = best;
}

/* One product's figure, for tools/roofline.py. */
void put_json(const Bench &b, const char *name, uint32_t group, uint32_t n, const uint32_t *s,
              size_t bytes, double us)
{
    if (b.json && us > 0)
        fprintf(b.json,
                "{\"name\": \"%s\", \"group\": %u, \"n\": %u, \"rows\": %u, \"cols\": %u, "
                "\"bytes\": %zu, \"us\": %.3f}\n",
                name, group, n, s[0], s[1], bytes, us);
}

/* One shape, all columns' results as float. */
double product(Bench &b, const Format &f, uint32_t group, uint32_t rows, uint32_t cols, uint32_t n,
               size_t *bytes)
{
    cuda_layout at;
    lay_out(&at, f, group, rows, cols);
    const size_t codes = (size_t)at.tiles * at.steps * cuda_code_bits(f.width) * 512;
    const size_t headers = ((size_t)at.tiles * 16 * at.headers * 2 + 511) / 512 * 512;
    *bytes = codes + (size_t)at.tiles * 16 * at.headers * 2;
    cuda_acts_size size;
    const bool tiled = cuda_tiled(&at, n, &b.how);
    cuda_size_acts(&at, n, tiled, &size);
    uint8_t *scratch, *at_x = nullptr;
    const size_t x_bytes = ((size_t)n * cols + 511) / 512 * 512, results = (size_t)n * rows * 4;
    const size_t all = x_bytes + size.bytes + size.planes + size.sums + results + rows * 4 + 8192;
    check(cudaMalloc(&scratch, all), "memory");
    fill<<<256, 256, 0, b.stream>>>((uint4 *)scratch, all / 16);
    at_x = scratch;
    auto take = [&](size_t n_bytes) {
        uint8_t *p = at_x;
        at_x += (n_bytes + 511) / 512 * 512;
        return p;
    };
    cuda_acts x = {};
    x.x = (const int8_t *)take(x_bytes);
    x.n = n;
    x.bytes = take(size.bytes);
    x.tiled = tiled;
    x.planes = size.planes ? take(size.planes) : nullptr;
    x.sums = size.sums ? (int32_t *)take(size.sums) : nullptr;
    cuda_results y = {};
    y.f32 = (float *)take(results);
    y.row_scale = (const float *)take(rows * 4);
    check(cuda_prepare(&at, &x, b.stream), "prepare");
    const size_t slice = codes + headers;
    const int slices = n > 256 ? kPromptLaunches : slices_of(slice);
    const double us = time_of(b, slices, [&](int i) {
        cuda_matrix m = {};
        m.at = at;
        m.codes = b.pool + i * slice;
        m.headers = b.pool + i * slice + codes;
        m.tables = b.pool;
        return cuda_product(&m, &x, &y, &b.how, b.stream);
    });
    cudaFree(scratch);
    return us;
}

/* cuBLAS by name, if it is there: fp16, sums in fp32. */
struct Cublas {
    void *handle = nullptr;
    int (*gemm)(void *, int, int, int, int, int, const void *, const void *, int, int, const void *,
                int, int, const void *, void *, int, int, int, int) = nullptr;
};

Cublas open_cublas(Bench &b)
{
    Cublas c;
    void *lib = nullptr;
    const char *names[] = { getenv("CUBLAS"), "libcublas.so.13", "libcublas.so.12",
                            "libcublas.so" };
    for (const char *name : names)
        if (!lib && name)
            lib = dlopen(name, RTLD_NOW);
    if (!lib)
        return c;
    auto create = (int (*)(void **))dlsym(lib, "cublasCreate_v2");
    auto stream = (int (*)(void *, cudaStream_t))dlsym(lib, "cublasSetStream_v2");
    auto space = (int (*)(void *, void *, size_t))dlsym(lib, "cublasSetWorkspace_v2");
    void *memory;
    c.gemm = (decltype(c.gemm))dlsym(lib, "cublasGemmEx");
    if (!create || !stream || !space || !c.gemm || create(&c.handle) ||
        stream(c.handle, b.stream) || cudaMalloc(&memory, 32 << 20) ||
        space(c.handle, memory, 32 << 20))
        c.gemm = nullptr;
    return c;
}

/* int8 products by cuBLASLt's first choice; to: the type of results, int8 (3) or int32 (10). 0: not there. */
double cublas_int8(Bench &b, uint32_t rows, uint32_t cols, uint32_t n, int to)
{
    struct Choice {
        uint64_t algo[8];
        size_t space;
        int state;
        float waves;
        int reserved[4];
    } choice = {};
    static void *lib = nullptr;
    const char *names[] = { getenv("CUBLASLT"), "libcublasLt.so.13", "libcublasLt.so.12" };
    for (const char *name : names)
        if (!lib && name)
            lib = dlopen(name, RTLD_NOW);
    if (!lib)
        return 0;
    auto create = (int (*)(void **))dlsym(lib, "cublasLtCreate");
    auto describe = (int (*)(void **, int, int))dlsym(lib, "cublasLtMatmulDescCreate");
    auto set = (int (*)(void *, int, const void *, size_t))dlsym(lib,
                                                                 "cublasLtMatmulDescSetAttribute");
    auto layout = (int (*)(void **, int, uint64_t, uint64_t, int64_t))dlsym(
        lib, "cublasLtMatrixLayoutCreate");
    auto prefer = (int (*)(void **))dlsym(lib, "cublasLtMatmulPreferenceCreate");
    auto limit = (int (*)(void *, int, const void *, size_t))dlsym(
        lib, "cublasLtMatmulPreferenceSetAttribute");
    auto choose = (int (*)(void *, void *, void *, void *, void *, void *, void *, int, Choice *,
                           int *))dlsym(lib, "cublasLtMatmulAlgoGetHeuristic");
    auto multiply = (int (*)(void *, void *, const void *, const void *, void *, const void *,
                             void *, const void *, const void *, void *, void *, void *,
                             const void *, void *, size_t, cudaStream_t))dlsym(lib,
                                                                               "cublasLtMatmul");
    constexpr int kInt32 = 72, kTransposeA = 3, kSpace = 1, kInt8 = 3;
    const int transpose = 1, one_int = 1, zero_int = 0;
    const float one_float = 1.0f / 64, zero_float = 0.0f;
    const void *one = to == 10 ? (const void *)&one_int : &one_float;
    const void *zero = to == 10 ? (const void *)&zero_int : &zero_float;
    const size_t space = 32 << 20;
    void *handle, *desc, *la, *lb, *lc, *pref;
    int found = 0;
    if (!create || !describe || !set || !layout || !prefer || !limit || !choose || !multiply ||
        create(&handle) || describe(&desc, kInt32, to == 10 ? 10 : 0) ||
        set(desc, kTransposeA, &transpose, 4) || layout(&la, kInt8, cols, rows, cols) ||
        layout(&lb, kInt8, cols, n, cols) || layout(&lc, to, rows, n, rows) || prefer(&pref) ||
        limit(pref, kSpace, &space, sizeof space) ||
        choose(handle, desc, la, lb, lc, lc, pref, 1, &choice, &found) || !found)
        return 0;
    uint8_t *memory, *y;
    check(cudaMalloc(&memory, space), "memory");
    check(cudaMalloc(&y, (size_t)n * rows * 4), "memory");
    const size_t slice = (size_t)rows * cols;
    const double us = time_of(b, kPromptLaunches, [&](int i) {
        return multiply(handle, desc, one, b.pool + i % 4 * slice, la, b.pool + 4 * slice, lb, zero,
                        y, lc, y, lc, &choice, memory, space, b.stream);
    });
    cudaFree(memory);
    cudaFree(y);
    return us;
}

double cublas_fp16(Bench &b, Cublas &c, uint32_t rows, uint32_t cols, uint32_t n)
{
    const size_t slice = (size_t)rows * cols * 2;
    uint8_t *xy;
    const float one = 1.0f, zero = 0.0f;
    check(cudaMalloc(&xy, (size_t)n * (rows + cols) * 2), "memory");
    check(cudaMemset(xy, 0, (size_t)n * (rows + cols) * 2), "memory");
    constexpr int kHalf = 2, kCompute32f = 68, kDefault = -1;
    const double us = time_of(b, n > 256 ? 4 : std::min(slices_of(slice), 48), [&](int i) {
        return c.gemm(c.handle, 1, 0, (int)rows, (int)n, (int)cols, &one, b.pool + i * slice, kHalf,
                      (int)cols, xy, kHalf, (int)cols, &zero, xy + (size_t)n * cols * 2, kHalf,
                      (int)rows, kCompute32f, kDefault);
    });
    cudaFree(xy);
    return us;
}

} // namespace

int main(int argc, char **argv)
{
    const Format formats[] = { { "W1", 1, 7 }, { "W2, ternary", 2, 6 }, { "W3", 3, 5 },
                               { "W4", 4, 4 }, { "W5", 5, 3 },          { "W6", 6, 2 },
                               { "W7", 7, 1 }, { "W8", 8, 0 },          { "FP4", CUDA_TABLE7, 0 } };
    const uint32_t shapes[][2] = {
        { 4096, 4096 }, { 11008, 4096 }, { 8192, 8192 }, { 28672, 8192 }
    };
    Bench b = {};
    bool all = false, explore = false, prompt = false;
    const char *only = nullptr;
    uint32_t only_n = 0, only_rows = 0;
    int only_group = -1;
    for (int i = 1; i < argc; i++) {
        all = all || !strcmp(argv[i], "all");
        explore = explore || !strcmp(argv[i], "explore");
        prompt = prompt || !strcmp(argv[i], "prompt");
        b.overlapped = b.overlapped || !strcmp(argv[i], "overlapped");
        b.how.bytes_only |= !strcmp(argv[i], "bytes");
        if (!strncmp(argv[i], "format=", 7))
            only = argv[i] + 7;
        if (!strncmp(argv[i], "json=", 5) && !(b.json = fopen(argv[i] + 5, "a"))) {
            fprintf(stderr, "bench_cuda: %s cannot be written\n", argv[i] + 5);
            return 1;
        }
        if (!strncmp(argv[i], "n=", 2))
            only_n = (uint32_t)atoi(argv[i] + 2);
        if (!strncmp(argv[i], "group=", 6))
            only_group = atoi(argv[i] + 6);
        if (!strncmp(argv[i], "rows=", 5))
            only_rows = (uint32_t)atoi(argv[i] + 5);
        if (!strncmp(argv[i], "warps=", 6))
            b.how.warps = (uint32_t)atoi(argv[i] + 6);
    }
    b.how.overlapped = b.overlapped;
    int sms = 0;
    check(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, 0), "no GPU");
    b.how.sms = (uint32_t)sms;
    cudaDeviceProp prop;
    check(cudaGetDeviceProperties(&prop, 0), "no GPU");
    b.how.wgmma = prop.major == 9 && prop.minor == 0;
    check(cudaStreamCreateWithFlags(&b.stream, cudaStreamNonBlocking), "stream");
    check(cudaMalloc(&b.pool, kPool), "memory");
    fill<<<1024, 256, 0, b.stream>>>((uint4 *)b.pool, kPool / 16);
    auto rate = [&](double us, const uint32_t *s) {
        printf("  %9.2f %7.0f     ", us, us > 0 ? 2e-6 * kPrompt * s[0] * s[1] / us : 0.0);
        fflush(stdout);
    };
    if (prompt) {
        printf("%s, %d columns: microseconds, TOP/s\n%-22s", prop.name, kPrompt, "");
        for (auto &s : shapes)
            printf("  %10ux%-12u", s[0], s[1]);
        Cublas blas = open_cublas(b);
        printf("\n%-22s", "cuBLAS fp16");
        for (auto &s : shapes)
            rate(blas.gemm ? cublas_fp16(b, blas, s[0], s[1], kPrompt) : 0, s);
        for (int to : { 10, 3 }) {
            printf("\n%-22s", to == 3 ? "cuBLASLt int8 to int8" : "cuBLASLt int8 to int32");
            for (auto &s : shapes) {
                const double us = cublas_int8(b, s[0], s[1], kPrompt, to);
                put_json(b, to == 3 ? "cuBLASLt int8" : "cuBLASLt int8 to int32", 0, kPrompt, s,
                         (size_t)s[0] * s[1], us);
                rate(us, s);
            }
        }
        for (const Format &f : formats)
            for (uint32_t group : { 0u, 128u, 32u }) {
                if ((only && strcmp(only, f.name)) ||
                    (only_group >= 0 && (uint32_t)only_group != group))
                    continue;
                printf("\n%-16s %5u", f.name, group);
                for (auto &s : shapes) {
                    size_t bytes;
                    const double us = product(b, f, group, s[0], s[1], kPrompt, &bytes);
                    put_json(b, f.name, group, kPrompt, s, bytes, us);
                    rate(us, s);
                }
            }
        printf("\n");
        if (b.json)
            fclose(b.json);
        return 0;
    }
    printf(
        "%s, %d multiprocessors, CUDA %d; microseconds / GB/s of weights and scales / ratio to the "
        "read-only floor%s\n",
        prop.name, prop.multiProcessorCount, CUDART_VERSION,
        b.overlapped ? ", overlapped launches" : "");
    printf("%-16s %5s %3s", "", "group", "M");
    for (auto &s : shapes)
        printf("  %10ux%-12u", s[0], s[1]);
    printf("\n");
    Cublas cublas = open_cublas(b);
    for (uint32_t n : { 1u, 8u, 16u }) {
        if (only_n && n != only_n)
            continue;
        if (cublas.gemm && !b.overlapped && !only) {
            printf("%-16s %5s %3u", "cuBLAS fp16", "-", n);
            for (auto &s : shapes) {
                const size_t bytes = (size_t)s[0] * s[1] * 2;
                const double us = cublas_fp16(b, cublas, s[0], s[1], n);
                printf("  %8.2f %6.0f %6.2f ", us, bytes / us / 1e3, us / floor_of(b, bytes));
            }
            printf("\n");
        }
        for (const Format &f : formats) {
            if (only ? strcmp(only, f.name) != 0 : !all && f.width >= 5 && f.width <= 7)
                continue;
            for (uint32_t group : { 0u, 128u, 32u }) {
                if (only_group >= 0 && (uint32_t)only_group != group)
                    continue;
                if (group == 32 && f.width < CUDA_TABLE && !all)
                    continue;
                static const uint32_t ways[] = { 1, 2, 4, 8 };
                for (int way = 0; way < (explore ? 8 : 1); way++) {
                    if (explore) { /* warps and blocks, each with and without binary products */
                        b.how.warps = ways[way % 4];
                        b.how.bytes_only = way < 4;
                        if (way >= 4 && (f.width > 7 || group == 32 || n > 1))
                            continue;
                        if (way < 4 && f.width < 3 && n == 1)
                            continue;
                        printf("%s%-2u ", way < 4 ? "bytes " : "planes", b.how.warps);
                    }
                    printf("%-*s %5u %3u", explore ? 11 : 16, f.name, group, n);
                    for (auto &s : shapes) {
                        if (only_rows && s[0] != only_rows)
                            continue;
                        size_t bytes;
                        const double us = product(b, f, group, s[0], s[1], n, &bytes);
                        put_json(b, f.name, group, n, s, bytes, us);
                        put_json(b, "floor", 0, n, s, bytes, floor_of(b, bytes));
                        printf("  %8.2f %6.0f %6.2f ", us, bytes / us / 1e3,
                               us / floor_of(b, bytes));
                    }
                    printf("\n");
                    fflush(stdout);
                }
            }
        }
    }
    if (b.json)
        fclose(b.json);
    return 0;
}
