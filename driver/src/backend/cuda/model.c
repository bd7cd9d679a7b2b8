/* model.c - a whole llama on a GPU: weights, KV cache and everything between two products.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A token by itself is one CUDA graph, made once: what differs from token to token, its embedding and its position,
 * is copied to the same place each time. Several tokens (a prompt) are started kernel by kernel. */
#include "floats.h"
#include "host.h"
#include "layers.h"

#include "../../fmath.h"
#include "../../llama.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEADER = 256, ALIGN = 256 };

struct layer_scales { /* row scales of each part */
    const float *qkv[LINEAR_PARTS], *attn_output[LINEAR_PARTS], *gate_up[LINEAR_PARTS],
        *down[LINEAR_PARTS];
    const float *attn_norm, *ffn_norm;
};

/* One piece of the GPU's memory, laid out twice: to know its size, and to fill it. */
struct arena {
    uint8_t *base; /* NULL: only to know */
    size_t used;
    cudaError_t error;
};

/* A card's: with two, each makes its share of the rows of every product, and all of the rest. */
struct cuda_model {
    struct cuda_card *d;
    uint32_t card;
    struct nccl *nccl; /* NULL: there is one card */
    atomic_bool *lost; /* of all cards: one has failed, and the others are not to wait for it */
    int nccl_error;
    const struct accel_llm *llm;
    struct cuda_how how; /* of single tokens */
    struct arena memory;
    struct layer_scales *layers;
    const float *head[LINEAR_PARTS], *output_norm, *rope;
    uint32_t *pos; /* then, after HEADER bytes, x */
    float *x[2];   /* each norm reads one and writes the other */
    float *y, *out, *scale, *keys, *values;
    uint32_t *bad; /* then, after HEADER bytes, logits */
    float *logits;
    uint32_t *done, *meeting;
    int8_t *q;
    struct { /* inputs laid out, of each part */
        void *bytes, *planes;
        int32_t *sums;
    } acts[LINEAR_PARTS];
    float *gathered;             /* of one product: a share after the other */
    uint8_t *host_in, *host_out; /* page-locked; as pos and x, bad and logits */
    struct cuda_layers fused;    /* count 0: a token's layers are many kernels */
    cudaGraphExec_t token;
    uint64_t products; /* of a token */
};

/* What the library sees as a model. */
struct cuda_models {
    uint32_t cards;
    atomic_bool lost;
    struct cuda_model *of[CUDA_CARDS];
};

/* ---- memory ---- */

static void *take(struct arena *a, size_t bytes)
{
    void *at = a->base ? a->base + a->used : NULL;
    a->used += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return at;
}

static float *put(struct arena *a, const float *from, size_t count)
{
    void *at = take(a, count * sizeof *from);
    if (at && a->error == cudaSuccess)
        a->error = cudaMemcpy(at, from, count * sizeof *from, cudaMemcpyHostToDevice);
    return at;
}

/* A card's share of a matrix. */
static const struct cuda_share *share_of(const struct cuda_model *m, const struct linear *l,
                                         uint32_t part)
{
    return &((const struct cuda_weights *)l->w[part]->priv)->of[m->card];
}

static const struct cuda_matrix *matrix(const struct cuda_model *m, const struct linear *l,
                                        uint32_t part)
{
    return &share_of(m, l, part)->m;
}

/* Room for laid out inputs of any linear layer; n up to a batch. */
struct acts_room {
    size_t bytes[LINEAR_PARTS], planes[LINEAR_PARTS], sums[LINEAR_PARTS];
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void put_linear(const struct cuda_model *m, struct arena *a, const struct linear *l,
                       uint32_t batch, const float *scales[LINEAR_PARTS], struct acts_room *room)
{
    const size_t n = (batch + CUDA_TILE_TOKENS - 1) / CUDA_TILE_TOKENS * CUDA_TILE_TOKENS;
    for (uint32_t p = 0; p < l->parts; p++) {
        const struct cuda_layout *at = &matrix(m, l, p)->at;
        scales[p] = put(a, l->w[p]->row_scale + share_of(m, l, p)->first, at->rows);
        if (at->width == CUDA_WIDE)
            continue;
        room->bytes[p] = larger(room->bytes[p], (size_t)at->steps * CUDA_STEP * n);
        room->planes[p] = larger(room->planes[p], (size_t)at->steps * CUDA_STEP);
        room->sums[p] = larger(room->sums[p], (size_t)at->headers * n * sizeof(int32_t));
    }
}

static size_t met_bytes(const struct cuda_layers *a)
{
    return (1 + (size_t)a->heads + 2 * (size_t)a->count) * sizeof *a->met;
}

/* What a single kernel for all layers needs, if there is one for this model. */
static void fuse_layers(struct cuda_model *m, struct arena *a)
{
    const struct accel_llm *llm = m->llm;
    const struct accel_model_info *h = &llm->model->info;
    const size_t context = llm->info.context;
    struct cuda_layers all = { .embd = h->embd,
                               .ff = h->ff,
                               .heads = h->heads,
                               .kv_heads = h->kv_heads,
                               .head_dim = h->head_dim,
                               .rope_dim = h->rope_dim,
                               .context = llm->info.context,
                               .eps = h->rms_eps,
                               .scale = fm_rsqrt((float)h->head_dim),
                               .pos = m->pos,
                               .rope = m->rope,
                               .keys = m->keys,
                               .values = m->values,
                               .x = m->x[0],
                               .out = m->out,
                               .bad = m->bad };
    struct cuda_layer *list = calloc(h->layers, sizeof *list);
    bool fit = list && !m->nccl;
    for (uint32_t i = 0; i < h->layers && fit; i++) {
        const struct llama_layer *l = &llm->layers[i];
        const struct layer_scales *s = &m->layers[i];
        const struct linear *of[CUDA_MATRICES] = { &l->qkv, &l->attn_output, &l->gate_up,
                                                   &l->down };
        const float *scale[] = { s->qkv[0], s->attn_output[0], s->gate_up[0], s->down[0] };
        for (int k = 0; k < CUDA_MATRICES && fit; k++) {
            const struct cuda_matrix *w = matrix(m, of[k], 0);
            if (i == 0)
                all.at[k] = w->at;
            fit = of[k]->parts == 1 && !w->first && memcmp(&w->at, &all.at[k], sizeof w->at) == 0;
            list[i].codes[k] = w->codes;
            list[i].headers[k] = w->headers;
            list[i].row_scale[k] = scale[k];
        }
        list[i].attn_norm = s->attn_norm;
        list[i].ffn_norm = s->ffn_norm;
    }
    m->fused.count = 0;
    if (fit && cuda_layers_fit(&all, &m->how)) {
        struct cuda_layer *to = take(a, h->layers * sizeof *to);
        if (to && a->error == cudaSuccess)
            a->error = cudaMemcpy(to, list, h->layers * sizeof *to, cudaMemcpyHostToDevice);
        all.layer = to;
        all.count = h->layers;
        for (int k = 0; k < CUDA_DOWN; k++)
            all.y[k] = take(a, llm->y_stride * sizeof(float));
        all.y[CUDA_DOWN] = m->y;
        all.scores = take(a, h->heads * context * sizeof(float));
        all.met = take(a, met_bytes(&all));
        m->fused = all;
    }
    free(list);
}

static void lay_out(struct cuda_model *m, struct arena *a)
{
    const struct accel_llm *llm = m->llm;
    const struct accel_model_info *h = &llm->model->info;
    const size_t batch = llm->info.batch, context = llm->info.context;
    const size_t cache = (size_t)h->layers * h->kv_heads * h->head_dim * context;
    struct acts_room room = { 0 };
    for (uint32_t i = 0; i < h->layers; i++) {
        const struct llama_layer *l = &llm->layers[i];
        struct layer_scales *to = &m->layers[i];
        put_linear(m, a, &l->qkv, llm->info.batch, to->qkv, &room);
        put_linear(m, a, &l->attn_output, llm->info.batch, to->attn_output, &room);
        put_linear(m, a, &l->gate_up, llm->info.batch, to->gate_up, &room);
        put_linear(m, a, &l->down, llm->info.batch, to->down, &room);
        to->attn_norm = put(a, l->attn_norm, h->embd);
        to->ffn_norm = put(a, l->ffn_norm, h->embd);
    }
    put_linear(m, a, &llm->head, llm->info.batch, m->head, &room);
    m->output_norm = put(a, llm->output_norm, h->embd);
    m->rope = put(a, llm->rope, context * h->rope_dim * 2);
    m->keys = take(a, cache * sizeof *m->keys);
    m->values = take(a, cache * sizeof *m->values);
    m->pos = take(a, HEADER);
    m->x[0] = take(a, batch * h->embd * sizeof(float));
    m->x[1] = take(a, batch * h->embd * sizeof(float));
    m->y = take(a, batch * llm->y_stride * sizeof *m->y);
    m->out = take(a, batch * h->heads * h->head_dim * sizeof *m->out);
    m->scale = take(a, batch * sizeof *m->scale);
    m->q = take(a, batch * llm->q_stride);
    m->done = take(a, batch * sizeof *m->done);
    m->meeting = take(a, CUDA_MEETING * sizeof *m->meeting);
    m->bad = take(a, HEADER);
    m->logits = take(a, batch * h->vocab * sizeof *m->logits);
    if (m->nccl)
        m->gathered = take(a, batch * (larger(llm->y_stride, h->vocab) + 1) * sizeof(float));
    for (uint32_t p = 0; p < LINEAR_PARTS; p++) {
        m->acts[p].bytes = take(a, room.bytes[p]);
        m->acts[p].planes = take(a, room.planes[p]);
        m->acts[p].sums = take(a, room.sums[p]);
    }
    fuse_layers(m, a);
}

static cudaError_t make_memory(struct cuda_model *m)
{
    const struct accel_llm *llm = m->llm;
    const struct accel_model_info *h = &llm->model->info;
    struct arena size = { 0 };
    lay_out(m, &size);
    cudaError_t e = cudaMalloc((void **)&m->memory.base, size.used);
    /* all NaN: what is read before it is written shows */
    if (e == cudaSuccess)
        e = cudaMemset(m->memory.base, 0xFF, size.used);
    if (e != cudaSuccess)
        return e;
    lay_out(m, &m->memory);
    e = m->memory.error;
    if (e == cudaSuccess)
        e = cudaMemset(m->done, 0, llm->info.batch * sizeof *m->done);
    if (e == cudaSuccess)
        e = cudaMemset(m->bad, 0, HEADER);
    if (e == cudaSuccess)
        e = cudaMallocHost((void **)&m->host_in,
                           HEADER + (size_t)llm->info.batch * h->embd * sizeof(float));
    if (e == cudaSuccess)
        e = cudaMallocHost((void **)&m->host_out,
                           HEADER + (size_t)llm->info.batch * h->vocab * sizeof *m->logits);
    if (e == cudaSuccess)
        e = cudaDeviceSynchronize(); /* memory set is not yet so in another stream */
    return e;
}

/* ---- a forward pass ---- */

static struct cuda_input input_of(const struct cuda_model *m, const struct linear *l, uint32_t n,
                                  struct cuda_acts acts[LINEAR_PARTS])
{
    struct cuda_input in = {
        .q = m->q, .scale = m->scale, .bad = m->bad, .cols = l->cols, .parts = l->parts
    };
    for (uint32_t p = 0; p < l->parts; p++) {
        const struct cuda_layout *at = &matrix(m, l, p)->at;
        struct cuda_acts_size size;
        const bool tiled = cuda_tiled(at, n, &m->d->how);
        const bool binary = n == 1 && at->width != CUDA_WIDE && cuda_binary(at, &m->how);
        cuda_size_acts(at, n, tiled, &size);
        acts[p] = (struct cuda_acts){ .x = m->q,
                                      .n = n,
                                      .bytes = size.bytes && !binary ? m->acts[p].bytes : NULL,
                                      .tiled = tiled,
                                      .planes = binary ? m->acts[p].planes : NULL,
                                      .sums = size.sums ? m->acts[p].sums : NULL };
        in.part[p].at = *at;
        in.part[p].bytes = acts[p].bytes;
        in.part[p].planes = acts[p].planes;
        in.part[p].sums = acts[p].sums;
    }
    return in;
}

/* Whether a single token's inputs are laid out with what makes them: not if sums span a row, or there is no layout. */
static bool laid_out(const struct cuda_model *m, const struct linear *l, uint32_t n)
{
    const uint32_t most = m->how.sms < CUDA_MEETING ? m->how.sms : CUDA_MEETING;
    bool all = n == 1;
    for (uint32_t p = 0; p < l->parts && all; p++) {
        const struct cuda_layout *at = &matrix(m, l, p)->at;
        struct cuda_acts_size size;
        cuda_size_acts(at, 1, false, &size);
        all = at->width != CUDA_WIDE && (!size.sums || at->drain) && at->steps <= most;
    }
    return all;
}

/* All rows of a part, [n][rows], on all cards, from the shares that each has made. */
static int gather(struct cuda_model *m, uint32_t rows, uint32_t n, float *y)
{
    const uint32_t each = cuda_first_row(rows, CUDA_CARDS, 1);
    m->nccl_error = nccl_gather(m->nccl, m->card, m->gathered, (size_t)each * n, m->d->stream);
    return m->nccl_error ? (int)cudaErrorUnknown
                         : cuda_join(m->gathered, each, rows, n, y, m->d->stream);
}

static int products(struct cuda_model *m, const struct linear *l,
                    const float *const scales[LINEAR_PARTS],
                    const struct cuda_acts acts[LINEAR_PARTS], uint32_t n, float *y)
{
    const struct cuda_how *how = n == 1 ? &m->how : &m->d->how;
    int e = 0;
    for (uint32_t p = 0; p < l->parts && !e; p++) {
        const struct cuda_matrix *w = matrix(m, l, p);
        float *all = y + (size_t)l->first[p] * n;
        const struct cuda_results to = {
            .f32 = m->nccl ? m->gathered + (size_t)share_of(m, l, p)->first * n : all,
            .row_scale = scales[p],
            .col_scale = m->scale
        };
        if (!laid_out(m, l, n))
            e = cuda_prepare(&w->at, &acts[p], m->d->stream);
        if (!e)
            e = cuda_product(w, &acts[p], &to, how, m->d->stream);
        if (!e && m->nccl)
            e = gather(m, l->w[p]->rows, n, all);
    }
    return e;
}

static struct cuda_output output_of(const struct cuda_model *m, const struct linear *l, uint32_t n)
{
    struct cuda_output o = { .y = m->y, .n = n, .parts = l->parts };
    for (uint32_t p = 0; p < l->parts; p++) {
        o.first[p] = l->first[p];
        o.rows[p] = l->w[p]->rows;
    }
    return o;
}

/* The norm before a linear layer, for tokens from `first` on, and the layer; y: what x lacks yet. */
static int norm_and_products(struct cuda_model *m, const struct linear *l,
                             const float *const scales[LINEAR_PARTS], const float *weight,
                             const float *y, uint32_t which, uint32_t first, uint32_t n, float *to)
{
    struct cuda_acts acts[LINEAR_PARTS];
    const struct cuda_norm norm = { .x = m->x[which],
                                    .x_to = m->x[1 - which],
                                    .y = y,
                                    .weight = weight,
                                    .first = first,
                                    .n = n,
                                    .eps = m->llm->model->info.rms_eps,
                                    .meeting = m->meeting,
                                    .to = input_of(m, l, n, acts) };
    const int e = laid_out(m, l, n) ? cuda_norm_token(&norm, &m->how, m->d->stream)
                                    : cuda_run_norm(&norm, &m->d->how, m->d->stream);
    return e ? e : products(m, l, scales, acts, n, to);
}

static int run_layer(struct cuda_model *m, uint32_t layer, uint32_t n)
{
    const struct accel_llm *llm = m->llm;
    const struct accel_model_info *h = &llm->model->info;
    const struct llama_layer *l = &llm->layers[layer];
    const struct layer_scales *s = &m->layers[layer];
    const size_t cache = (size_t)layer * h->kv_heads * h->head_dim * llm->info.context;
    struct cuda_acts acts[LINEAR_PARTS];
    int e = norm_and_products(m, &l->qkv, s->qkv, s->attn_norm, layer ? m->y : NULL, 0, 0, n, m->y);
    const struct cuda_attention attention = { .qkv = output_of(m, &l->qkv, n),
                                              .heads = h->heads,
                                              .kv_heads = h->kv_heads,
                                              .head_dim = h->head_dim,
                                              .rope_dim = h->rope_dim,
                                              .context = llm->info.context,
                                              .n = n,
                                              .pos = m->pos,
                                              .rope = m->rope,
                                              .keys = m->keys + cache,
                                              .values = m->values + cache,
                                              .out = m->out,
                                              .done = m->done,
                                              .meeting = m->meeting,
                                              .scale = fm_rsqrt((float)h->head_dim),
                                              .to = input_of(m, &l->attn_output, n, acts) };
    if (!e)
        e = laid_out(m, &l->attn_output, n)
                ? cuda_attention_token(&attention, &m->how, m->d->stream)
                : cuda_run_attention(&attention, &m->d->how, m->d->stream);
    if (!e)
        e = products(m, &l->attn_output, s->attn_output, acts, n, m->y);
    if (!e)
        e = norm_and_products(m, &l->gate_up, s->gate_up, s->ffn_norm, m->y, 1, 0, n, m->y);
    const struct cuda_gates gates = { .gate_up = output_of(m, &l->gate_up, n),
                                      .ff = h->ff,
                                      .meeting = m->meeting,
                                      .n = n,
                                      .to = input_of(m, &l->down, n, acts) };
    if (!e)
        e = laid_out(m, &l->down, n) ? cuda_gates_token(&gates, &m->how, m->d->stream)
                                     : cuda_run_gates(&gates, &m->d->how, m->d->stream);
    return e ? e : products(m, &l->down, s->down, acts, n, m->y);
}

static int run_layers(struct cuda_model *m, uint32_t n)
{
    const uint32_t layers = m->llm->model->info.layers;
    int e = 0;
    if (n == 1 && m->fused.count) {
        e = (int)cudaMemsetAsync(m->fused.met, 0, met_bytes(&m->fused), m->d->stream);
        return e ? e : cuda_run_layers(&m->fused, &m->how, m->d->stream);
    }
    for (uint32_t layer = 0; layer < layers && !e; layer++)
        e = run_layer(m, layer, n);
    return e;
}

/* Everything from the host's input to the host's output. */
static cudaError_t enqueue(struct cuda_model *m, uint32_t n, uint32_t want)
{
    const struct accel_llm *llm = m->llm;
    const struct accel_model_info *h = &llm->model->info;
    int e = (int)cudaMemcpyAsync(m->pos, m->host_in, HEADER + (size_t)n * h->embd * sizeof(float),
                                 cudaMemcpyHostToDevice, m->d->stream);
    if (!e)
        e = run_layers(m, n);
    if (!e && want)
        e = norm_and_products(m, &llm->head, m->head, m->output_norm, m->y, 0, n - want, want,
                              m->logits);
    if (!e)
        e = (int)cudaMemcpyAsync(m->host_out, m->bad,
                                 HEADER + (size_t)want * h->vocab * sizeof(float),
                                 cudaMemcpyDeviceToHost, m->d->stream);
    return (cudaError_t)e;
}

static cudaError_t make_graph(struct cuda_model *m)
{
    cudaGraph_t graph = NULL;
    cudaError_t e = cudaStreamBeginCapture(m->d->stream, cudaStreamCaptureModeThreadLocal);
    if (e != cudaSuccess)
        return e;
    e = enqueue(m, 1, 1);
    const cudaError_t end = cudaStreamEndCapture(m->d->stream, &graph);
    if (e == cudaSuccess)
        e = end;
    if (e == cudaSuccess)
        e = cudaGraphInstantiate(&m->token, graph, 0);
    if (graph)
        (void)cudaGraphDestroy(graph);
    return e;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Until the card is done. What waits for a card that failed waits for ever, unless it is ended. */
static cudaError_t finish(struct cuda_model *m)
{
    if (!m->nccl)
        return cudaStreamSynchronize(m->d->stream);
    for (;;) {
        const cudaError_t e = cudaStreamQuery(m->d->stream);
        if (e != cudaErrorNotReady)
            return e;
        m->nccl_error = nccl_state(m->nccl, m->card);
        if (m->nccl_error || atomic_load(m->lost)) {
            nccl_abort(m->nccl, m->card);
            (void)cudaStreamSynchronize(m->d->stream);
            return cudaErrorUnknown;
        }
    }
}

/* A card's work. */
struct turn {
    struct cuda_model *m;
    const struct backend_tokens *tokens;
    cudaError_t e;
};

static void *take_turn(void *turn)
{
    struct turn *t = turn;
    struct cuda_model *m = t->m;
    const struct backend_tokens *tokens = t->tokens;
    const bool alone = tokens->n == 1 && tokens->want == 1;
    memcpy(m->host_in, &tokens->pos, sizeof tokens->pos);
    memcpy(m->host_in + HEADER, tokens->x,
           (size_t)tokens->n * m->llm->model->info.embd * sizeof *tokens->x);
    cudaError_t e = cudaSetDevice(m->d->gpu);
    if (e == cudaSuccess && alone && !m->token)
        e = make_graph(m);
    if (e == cudaSuccess)
        e = alone ? cudaGraphLaunch(m->token, m->d->stream) : enqueue(m, tokens->n, tokens->want);
    if (e != cudaSuccess)
        atomic_store(m->lost, true);
    const cudaError_t end = finish(m); /* also after an error */
    t->e = e == cudaSuccess ? end : e;
    if (t->e != cudaSuccess)
        atomic_store(m->lost, true);
    return NULL;
}

/* All cards at once. @return false: no thread could be had */
static bool take_turns(struct cuda_models *all, struct turn *turns)
{
    pthread_t thread;
    if (all->cards == 1) {
        take_turn(&turns[0]);
        return true;
    }
    if (pthread_create(&thread, NULL, take_turn, &turns[1]) != 0)
        return false;
    take_turn(&turns[0]);
    (void)pthread_join(thread, NULL);
    return true;
}

/* Why the first card that failed by itself did; after that several cards cannot go on. */
static int turns_failed(const struct cuda_models *all, const struct turn *turns,
                        struct accel_error *err)
{
    const struct backend_tokens *tokens = turns->tokens;
    char doing[96];
    uint32_t which = 0;
    while (turns[which].e == cudaSuccess)
        which++;
    if (all->cards > 1 && turns[which].e == cudaErrorUnknown && turns[1].e != cudaSuccess &&
        turns[1].e != cudaErrorUnknown)
        which = 1;
    const struct cuda_model *m = turns[which].m;
    for (uint32_t i = 0; i < all->cards && m->nccl;
         i++) /* to close one might wait for the others */
        nccl_abort(m->nccl, i);
    if (m->nccl_error)
        return accel_fail(err, ACCEL_E_GONE, "cuda:%d: %u tokens at %u: NCCL: %s; close the device",
                          m->d->gpu, tokens->n, tokens->pos, nccl_says(m->nccl, m->nccl_error));
    snprintf(doing, sizeof doing, "%u tokens at %u", tokens->n, tokens->pos);
    const int rc = cuda_failed(turns[which].e, m->d->gpu, doing, err);
    return all->cards > 1 ? ACCEL_E_GONE : rc;
}

int cuda_run_model(struct accel_dev *dev, void *model, const struct backend_tokens *tokens,
                   struct accel_stats *stats, struct accel_error *err)
{
    struct cuda_models *all = model;
    struct cuda_model *m = all->of[0];
    const struct accel_model_info *h = &m->llm->model->info;
    const uint64_t begin = now_ns();
    struct turn turns[CUDA_CARDS];
    for (uint32_t i = 0; i < all->cards; i++)
        turns[i] = (struct turn){ .m = all->of[i], .tokens = tokens, .e = cudaSuccess };
    if (!take_turns(all, turns))
        return accel_fail(err, ACCEL_E_NOMEM, "%s: no thread for the second card", dev->caps.uri);
    if (turns[0].e != cudaSuccess || (all->cards > 1 && turns[1].e != cudaSuccess))
        return turns_failed(all, turns, err);
    uint32_t bad;
    memcpy(&bad, m->host_out, sizeof bad);
    if (bad) {
        for (uint32_t i = 0; i < all->cards; i++) {
            (void)cudaSetDevice(all->of[i]->d->gpu);
            (void)cudaMemset(all->of[i]->bad, 0, sizeof *m->bad);
            (void)cudaDeviceSynchronize();
        }
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: the model computes values that are not finite; its weights are "
                          "damaged",
                          gguf_path(m->llm->model->file));
    }
    if (tokens->deadline_ns && now_ns() - begin >= tokens->deadline_ns)
        return accel_fail(err, ACCEL_E_TIMEOUT, "%s: the deadline of %llu ns passed", dev->caps.uri,
                          (unsigned long long)tokens->deadline_ns);
    if (tokens->want)
        memcpy(tokens->logits, m->host_out + HEADER,
               (size_t)tokens->want * h->vocab * sizeof *tokens->logits);
    stats->macs = tokens->n * h->linear_macs + tokens->want * h->head_macs;
    stats->jobs = m->products - (tokens->want ? 0 : m->llm->head.parts);
    return ACCEL_OK;
}

/* ---- opening and closing ---- */

static void close_card(struct cuda_model *m)
{
    if (!m)
        return;
    if (cudaSetDevice(m->d->gpu) == cudaSuccess) {
        if (m->token)
            (void)cudaGraphExecDestroy(m->token);
        (void)cudaFree(m->memory.base);
        (void)cudaFreeHost(m->host_in);
        (void)cudaFreeHost(m->host_out);
    }
    (void)cudaGetLastError();
    free(m->layers);
    free(m);
}

void cuda_close_model(void *model)
{
    struct cuda_models *all = model;
    for (uint32_t i = 0; all && i < all->cards; i++)
        close_card(all->of[i]);
    free(all);
}

/* Why the model cannot be there as a whole, or NULL. */
static const char *refusal(const struct cuda_dev *d, const struct accel_llm *llm)
{
    const struct accel_model_info *h = &llm->model->info;
    if (d->host_floats)
        return "host=1 says so";
    if (llm->info.context > CUDA_MAX_CONTEXT)
        return "its context is too long";
    if (larger(larger(h->embd, h->ff), (size_t)h->heads * h->head_dim) > CUDA_MAX_INPUT ||
        h->heads > d->card[0].how.sms || h->heads > CUDA_MEETING)
        return "its layers are too wide";
    if (h->head_dim > CUDA_MAX_HEAD)
        return "its heads are too wide";
    if (d->cards > 1 && (h->embd < 2 || h->ff < 2 || h->vocab < 2 || h->kv_heads * h->head_dim < 2))
        return "its matrices have no rows for two cards";
    if (h->layers == 0 || h->heads > 65535 || h->kv_heads > 65535 - h->heads)
        return "of its shape";
    return NULL;
}

static int open_card(struct cuda_dev *d, struct cuda_models *all, uint32_t card,
                     const struct accel_llm *llm, struct accel_error *err)
{
    struct cuda_model *m = calloc(1, sizeof *m);
    if (m)
        m->layers = calloc(llm->model->info.layers, sizeof *m->layers);
    if (!m || !m->layers) {
        free(m);
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for a model on cuda:%d",
                          d->card[card].gpu);
    }
    all->of[card] = m;
    m->d = &d->card[card];
    m->card = card;
    m->nccl = d->nccl;
    m->lost = &all->lost;
    m->llm = llm;
    m->how = m->d->how;
    m->how.overlapped = 1;
    m->products = llm->info.jobs_per_token;
    cudaError_t e = cudaSetDevice(m->d->gpu);
    if (e == cudaSuccess)
        e = make_memory(m);
    if (e != cudaSuccess) {
        char doing[96];
        snprintf(doing, sizeof doing, "room for a context of %u tokens and batches of %u",
                 llm->info.context, llm->info.batch);
        return cuda_failed(e, m->d->gpu, doing, err);
    }
    return ACCEL_OK;
}

int cuda_open_model(struct accel_dev *dev, const struct accel_llm *llm, void **model,
                    struct accel_error *err)
{
    struct cuda_dev *d = dev->priv;
    const char *why = refusal(d, llm);
    if (why)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "%s: only jobs run there: %s", dev->caps.uri,
                          why);
    struct cuda_models *all = calloc(1, sizeof *all);
    if (!all)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory for a model on %s", dev->caps.uri);
    atomic_init(&all->lost, false);
    all->cards = d->cards;
    int rc = ACCEL_OK;
    for (uint32_t i = 0; i < d->cards && !rc; i++)
        rc = open_card(d, all, i, llm, err);
    if (rc)
        cuda_close_model(all);
    else
        *model = all;
    return rc;
}
