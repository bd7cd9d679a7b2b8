/* bench_model.cu - how fast a GPU runs a whole model of 7 billion weights, beside how fast it can read them.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   bench_model [layers=N] [device=cuda:0 or cuda:0+1] [json=FILE]
 *
 * The model has the shape of a llama of 7 billion weights; its weights are random bits, made on the GPU, in every
 * matrix of the format named, the head too. Time is that of a program that waits for the logits of one token before it
 * gives the next one: embedding to the GPU, all layers, logits back. The limit is what a kernel that only reads takes
 * for as many bytes of weights and headers, in the same run; with two cards, of one card's share. */
#include "bench.cuh"

extern "C" {
#include "../../driver/src/backend/cuda/host.h"
#include "../../driver/src/llama.h"
}

#include <chrono>
#include <vector>

namespace
{

struct Shape {
    uint32_t layers, embd, ff, heads, kv_heads, vocab, context;
};

/* All of an accel_llm that a device sees of it. */
struct Model {
    accel_model model = {};
    accel_llm llm = {};
    std::vector<llama_layer> layers;
    std::vector<float> ones, row_scale, rope, x;
    int gpus[CUDA_CARDS] = {};
    uint32_t cards = 1;
    uint8_t *pool[CUDA_CARDS] = {}; /* as large on each card */
    size_t pool_bytes = 0, used = 0, weight_bytes = 0;
};

void no_memory(const void *p)
{
    if (!p) {
        fprintf(stderr, "bench_model: out of memory\n");
        exit(1);
    }
}

/* One matrix of random bits; while there is no pool, only its size. */
void add_matrix(Model &m, accel_dev *dev, linear *l, const Format &f, uint32_t group, uint32_t rows,
                uint32_t cols)
{
    cuda_layout at;
    const uint32_t each = cuda_first_row(rows, m.cards, 1);
    lay_out(&at, f, group, each, cols); /* the largest share */
    const size_t codes = (size_t)at.tiles * at.steps * cuda_code_bits(f.width) * 512;
    const size_t headers = (size_t)at.tiles * 16 * at.headers * 2;
    if (m.pool[0]) {
        auto *w = (accel_weights *)calloc(1, sizeof(accel_weights));
        auto *priv = (cuda_weights *)calloc(1, sizeof(cuda_weights));
        no_memory(w);
        no_memory(priv);
        priv->cards = m.cards;
        for (uint32_t i = 0; i < m.cards; i++) {
            cuda_share &share = priv->of[i];
            share.gpu = m.gpus[i];
            share.first = cuda_first_row(rows, m.cards, i);
            lay_out(&share.m.at, f, group, cuda_first_row(rows, m.cards, i + 1) - share.first,
                    cols);
            share.m.codes = m.pool[i] + m.used;
            share.m.headers = m.pool[i] + m.used + codes;
            share.m.tables = m.pool[i];
        }
        w->dev = dev;
        w->rows = rows;
        w->cols = cols;
        w->row_scale = m.row_scale.data();
        w->priv = priv;
        l->parts = 1;
        l->rows = rows;
        l->cols = cols;
        l->w[0] = w;
        l->dev[0] = dev;
        l->max_n[0] = 4096;
        m.llm.info.jobs_per_token++;
    }
    m.used += (codes + headers + 511) / 512 * 512;
    m.weight_bytes += codes + headers;
}

void add_matrices(Model &m, accel_dev *dev, const Shape &s, const Format &f, uint32_t group)
{
    const uint32_t kv = s.embd / s.heads * s.kv_heads;
    m.used = m.weight_bytes = 0;
    for (llama_layer &l : m.layers) {
        l.attn_norm = l.ffn_norm = m.ones.data();
        add_matrix(m, dev, &l.qkv, f, group, s.embd + 2 * kv, s.embd);
        add_matrix(m, dev, &l.attn_output, f, group, s.embd, s.embd);
        add_matrix(m, dev, &l.gate_up, f, group, 2 * s.ff, s.embd);
        add_matrix(m, dev, &l.down, f, group, s.embd, s.ff);
    }
    add_matrix(m, dev, &m.llm.head, f, group, s.vocab, s.embd);
}

void make(Model &m, accel_dev *dev, const Shape &s, const Format &f, uint32_t group)
{
    accel_model_info &h = m.model.info;
    h.layers = s.layers;
    h.embd = s.embd;
    h.ff = s.ff;
    h.heads = s.heads;
    h.kv_heads = s.kv_heads;
    h.head_dim = h.rope_dim = s.embd / s.heads;
    h.vocab = s.vocab;
    h.context = s.context;
    h.rms_eps = 1e-5f;
    m.layers.resize(s.layers);
    m.ones.assign(s.embd, 1.0f);
    m.row_scale.assign(s.vocab > 2 * s.ff ? s.vocab : 2 * s.ff, 1e-14f);
    m.rope.assign((size_t)s.context * h.rope_dim * 2, 0.5f);
    m.x.assign((size_t)128 * s.embd, 0.0f);
    for (size_t i = 0; i < m.x.size(); i++)
        m.x[i] = (float)(i * 7919 % 1000) - 500.0f;
    m.llm.model = &m.model;
    m.llm.dev = dev;
    m.llm.layers = m.layers.data();
    m.llm.output_norm = m.ones.data();
    m.llm.rope = m.rope.data();
    m.llm.info.context = s.context;
    m.llm.info.batch = 128;
    m.llm.y_stride = 2 * s.ff > 3 * s.embd ? 2 * s.ff : 3 * s.embd;
    m.llm.q_stride = s.ff > s.embd ? s.ff : s.embd;
    add_matrices(m, dev, s, f, group);
    m.pool_bytes = m.used;
    for (uint32_t i = 0; i < m.cards; i++) {
        check(cudaSetDevice(m.gpus[i]), "device");
        check(cudaMalloc(&m.pool[i], m.pool_bytes), "memory");
        fill<<<2048, 256>>>((uint4 *)m.pool[i], m.pool_bytes / 16);
        check(cudaDeviceSynchronize(), "random weights");
    }
    add_matrices(m, dev, s, f, group);
}

void drop(linear *l)
{
    free(l->w[0]->priv);
    free(l->w[0]);
}

void drop(Model &m)
{
    for (llama_layer &l : m.layers) {
        drop(&l.qkv);
        drop(&l.attn_output);
        drop(&l.gate_up);
        drop(&l.down);
    }
    drop(&m.llm.head);
    for (uint32_t i = 0; i < m.cards; i++)
        cudaFree(m.pool[i]);
}

double seconds()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/* Seconds for a card to read its share: the best of several grids. */
double read_seconds(const Model &m, int sms)
{
    cudaEvent_t begin, end;
    check(cudaSetDevice(m.gpus[0]), "device");
    check(cudaEventCreate(&begin), "event");
    check(cudaEventCreate(&end), "event");
    float best = 1e30f;
    for (int each : { 2, 4, 8, 16 })
        for (int i = 0; i < 4; i++) {
            float ms;
            check(cudaEventRecord(begin), "event");
            read_only<false><<<sms * each, 512>>>((const uint4 *)m.pool[0], m.weight_bytes / 16,
                                                  (uint4 *)m.pool[0]);
            check(cudaEventRecord(end), "event");
            check(cudaEventSynchronize(end), "read");
            check(cudaEventElapsedTime(&ms, begin, end), "time");
            best = ms < best ? ms : best;
        }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return best / 1e3;
}

/* Seconds a call of `n` tokens, from position pos on. */
double eval_seconds(Model &m, void *on_gpu, uint32_t n, uint32_t pos, uint32_t calls)
{
    std::vector<float> logits(m.model.info.vocab);
    accel_error err = {};
    double begin = 0;
    for (uint32_t i = 0; i < calls + 4; i++) {
        if (i == 4) /* a graph was made, clocks went up */
            begin = seconds();
        const uint32_t done = i < 4 ? 0 : (i - 4) * n;
        backend_tokens t = {};
        t.x = m.x.data();
        t.n = n;
        t.pos = pos + done;
        t.want = 1;
        t.logits = logits.data();
        if (device_run_model(m.llm.dev, on_gpu, &t, &err)) {
            fprintf(stderr, "bench_model: %s\n", err.text);
            exit(1);
        }
    }
    return (seconds() - begin) / calls;
}

} // namespace

int main(int argc, char **argv)
{
    Shape s = { 32, 4096, 11008, 32, 32, 32000, 4096 };
    const char *uri = "cuda:0", *json = nullptr;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "layers=", 7))
            s.layers = (uint32_t)atoi(argv[i] + 7);
        if (!strncmp(argv[i], "device=", 7))
            uri = argv[i] + 7;
        if (!strncmp(argv[i], "json=", 5))
            json = argv[i] + 5;
    }
    const struct {
        Format f;
        uint32_t group;
    } cases[] = { { { "W4", 4, 4 }, 128 },
                  { { "W4", 4, 4 }, 0 },
                  { { "W2", 2, 6 }, 128 },
                  { { "W2", 2, 6 }, 0 },
                  { { "W8", 8, 0 }, 0 } };
    accel_dev *dev = nullptr;
    accel_error err = {};
    if (accel_open(uri, nullptr, &dev, &err)) {
        fprintf(stderr, "bench_model: %s\n", err.text);
        return 1;
    }
    const auto *d = (const cuda_dev *)dev->priv;
    cudaDeviceProp prop;
    check(cudaGetDeviceProperties(&prop, d->card[0].gpu), "device");
    FILE *out = json ? fopen(json, "w") : nullptr;
    printf("%s, %s: %u layers of %u, feed-forward %u, vocabulary %u\n", uri, prop.name, s.layers,
           s.embd, s.ff, s.vocab);
    printf(
        "%-3s %5s %8s %9s   %s\n", "", "group", "GB", "limit/s",
        "tokens/s and ratio to the limit from position 0, 512, 2048; tokens/s of a prompt of 2304");
    if (out)
        fprintf(out, "{\"gpu\": \"%s\", \"models\": [", prop.name);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Model m;
        m.cards = d->cards;
        for (uint32_t c = 0; c < d->cards; c++)
            m.gpus[c] = d->card[c].gpu;
        void *on_gpu = nullptr;
        make(m, dev, s, cases[i].f, cases[i].group);
        if (device_open_model(dev, &m.llm, &on_gpu, &err)) {
            fprintf(stderr, "bench_model: %s\n", err.text);
            return 1;
        }
        const double limit = 1.0 / read_seconds(m, prop.multiProcessorCount);
        printf("%-3s %5u %8.3f %9.1f  ", cases[i].f.name, cases[i].group,
               (double)m.weight_bytes * m.cards / 1e9, limit);
        if (out)
            fprintf(out, "%s\n{\"format\": \"%s\", \"group\": %u, \"bytes\": %zu, \"limit\": %.2f",
                    i ? "," : "", cases[i].f.name, cases[i].group, m.weight_bytes, limit);
        const double prompt = 128.0 / eval_seconds(m, on_gpu, 128, 0, 18); /* fills the cache */
        for (uint32_t pos : { 0u, 512u, 2048u }) {
            const double rate = 1.0 / eval_seconds(m, on_gpu, 1, pos, 128);
            printf(" %8.1f %5.2f ", rate, rate / limit);
            if (out)
                fprintf(out, ", \"from_%u\": %.2f", pos, rate);
        }
        printf(" %9.0f\n", prompt);
        if (out)
            fprintf(out, ", \"prompt\": %.1f}", prompt);
        fflush(stdout);
        device_close_model(dev, on_gpu);
        drop(m);
    }
    if (out) {
        fprintf(out, "]}\n");
        fclose(out);
    }
    accel_close(dev);
    return 0;
}
