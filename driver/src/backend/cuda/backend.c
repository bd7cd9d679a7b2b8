/* backend.c - the cuda: devices: memory, copies and errors around the kernels.
 * SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include "../../matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CUDA_MAX_N     4096u
#define CUDA_MAX_STEPS (1u << 15) /* so that sums of a row's activations fit 32 bits */
#define CUDA_MAX_GPUS  64

/* ---- errors ---- */

/* What a CUDA error is to a caller. After some the GPU can no longer be used by this process. */
static int status_of(cudaError_t e)
{
    switch (e) {
    case cudaSuccess: return ACCEL_OK;
    case cudaErrorMemoryAllocation: return ACCEL_E_NOMEM;
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorDevicesUnavailable:
    case cudaErrorContextIsDestroyed:
    case cudaErrorCudartUnloading:
    case cudaErrorNoDevice:
    case cudaErrorUnknown: return ACCEL_E_GONE;
    default: return ACCEL_E_DEVICE;
    }
}

int cuda_failed(cudaError_t e, int gpu, const char *doing, struct accel_error *err)
{
    const int status = status_of(e);
    (void)cudaGetLastError(); /* else the next call would report it again */
    return accel_fail(err, status, "cuda:%d: %s: %s%s", gpu, doing, cudaGetErrorString(e),
                      status == ACCEL_E_GONE ? "; close the device" : "");
}

/* Why there is no GPU at all. */
static int no_gpu(cudaError_t e, struct accel_error *err)
{
    (void)cudaGetLastError();
    if (e == cudaErrorInsufficientDriver)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "cuda: no NVIDIA driver, or one older than CUDA %d.%d needs; install or "
                          "update it",
                          CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    if (e == cudaErrorNoDevice || e == cudaSuccess)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "cuda: this machine has no NVIDIA GPU that "
                          "the driver shows");
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "cuda: the driver does not start: %s",
                      cudaGetErrorString(e));
}

/* ---- memory ---- */

static cudaError_t grow(struct buffer *b, size_t bytes, bool host)
{
    if (b->bytes >= bytes)
        return cudaSuccess;
    if (host)
        (void)cudaFreeHost(b->at);
    else
        (void)cudaFree(b->at);
    b->at = NULL;
    b->bytes = 0;
    cudaError_t e = host ? cudaMallocHost(&b->at, bytes) : cudaMalloc(&b->at, bytes);
    if (e == cudaSuccess)
        b->bytes = bytes;
    return e;
}

/* A copy on the GPU, or NULL: of nothing, or once *e is an error. */
static const void *upload(const void *from, size_t bytes, cudaError_t *e)
{
    void *at = NULL;
    if (*e != cudaSuccess || !bytes)
        return NULL;
    *e = cudaMalloc(&at, bytes);
    if (*e == cudaSuccess)
        *e = cudaMemcpy(at, from, bytes, cudaMemcpyHostToDevice);
    return at; /* also if the copy failed: to be freed with the rest */
}

static void drop(const void *at)
{
    (void)cudaFree((void *)(uintptr_t)at);
}

static void free_weights(void *priv)
{
    struct cuda_weights *w = priv;
    if (!w)
        return;
    for (uint32_t i = 0; i < w->cards; i++) {
        const struct cuda_matrix *m = &w->of[i].m;
        if (cudaSetDevice(w->of[i].gpu) != cudaSuccess)
            continue;
        drop(m->codes);
        drop(m->headers);
        drop(m->oc);
        drop(m->tables);
        drop(m->first);
        drop(m->col);
        drop(m->k);
        drop(m->osc);
        drop(m->osh);
    }
    (void)cudaGetLastError();
    free(w);
}

/* ---- weights ---- */

uint32_t cuda_first_row(uint32_t rows, uint32_t cards, uint32_t card)
{
    const uint32_t each = rows / cards + (rows % cards ? 1 : 0);
    return card < cards && card <= rows / each && card * each < rows ? card * each : rows;
}

/* Rows of a matrix as one, which borrows all of it; outliers are not among it. */
static struct accel_matrix rows_of(const struct accel_matrix *mat, uint32_t first, uint32_t rows)
{
    struct accel_matrix m = *mat;
    const size_t at = (size_t)first * mat->groups;
    m.rows = rows;
    m.codes += (size_t)first * mat->cols;
    m.sc += at;
    m.sh += at;
    m.oc += at;
    m.row_scale += first;
    if (m.sel)
        m.sel += at;
    if (m.codebook)
        m.codebook += (size_t)first << accel_format_bits(m.format);
    m.outliers = NULL;
    return m;
}

/* o: of the whole matrix, lists of all rows; NULL: none */
static cudaError_t upload_matrix(const struct outliers *o, size_t all, size_t begin, size_t rows,
                                 const struct cuda_packed *p, struct cuda_matrix *m)
{
    cudaError_t e = cudaSuccess;
    m->at = p->at;
    m->codes = upload(p->codes, p->code_bytes, &e);
    m->headers = upload(p->headers, p->header_bytes, &e);
    m->oc = upload(p->oc, p->oc_bytes, &e);
    m->tables = upload(p->tables, p->table_bytes, &e);
    if (o) {
        const size_t count = o->first[all];
        m->first = upload(o->first + begin, (rows + 1) * sizeof *o->first, &e);
        m->col = upload(o->col, count * sizeof *o->col, &e);
        m->k = upload(o->k, count * sizeof *o->k, &e);
        m->osc = upload(o->sc + begin, rows * sizeof *o->sc, &e);
        m->osh = upload(o->sh + begin, rows, &e);
    }
    return e;
}

/* A card's share of the rows. */
static int load_share(const struct cuda_card *card, const struct accel_matrix *mat, uint32_t rows,
                      struct cuda_share *share, struct accel_weights *w, struct accel_error *err)
{
    const struct accel_matrix part = rows_of(mat, share->first, rows);
    struct cuda_packed p = { 0 };
    cudaError_t e = cudaSetDevice(card->gpu);
    if (e != cudaSuccess)
        return cuda_failed(e, card->gpu, "loading a matrix", err);
    int rc = cuda_pack(&part, &p);
    if (rc) {
        accel_fail(err, rc, "out of memory: loading a matrix of %u x %u", mat->rows, mat->cols);
        goto out;
    }
    e = upload_matrix(mat->outliers, mat->rows, share->first, rows, &p, &share->m);
    if (e != cudaSuccess) {
        char doing[80];
        snprintf(doing, sizeof doing, "loading a matrix of %u x %u", mat->rows, mat->cols);
        rc = cuda_failed(e, card->gpu, doing, err);
        goto out;
    }
    w->info.code_bits += (uint64_t)p.code_bytes * 8;
    w->info.header_bits += (uint64_t)(p.header_bytes + p.oc_bytes + p.table_bytes) * 8;
out:
    cuda_pack_free(&p);
    return rc;
}

static int cuda_load(struct accel_dev *dev, const struct accel_matrix *mat, struct accel_weights *w,
                     struct accel_error *err)
{
    const struct cuda_dev *d = dev->priv;
    struct cuda_layout at;
    cuda_plan(mat, &at);
    if (at.steps > CUDA_MAX_STEPS)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "%s: rows of %u columns; at most %u fit",
                          dev->caps.uri, mat->cols, CUDA_MAX_STEPS * CUDA_STEP);
    struct cuda_weights *priv = calloc(1, sizeof *priv);
    if (!priv)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: loading a matrix of %u x %u",
                          mat->rows, mat->cols);
    int rc = ACCEL_OK;
    w->info.code_bits = w->info.header_bits = 0;
    for (uint32_t i = 0; i < d->cards && !rc; i++) {
        struct cuda_share *share = &priv->of[i];
        share->gpu = d->card[i].gpu;
        share->first = cuda_first_row(mat->rows, d->cards, i);
        priv->cards = i + 1;
        const uint32_t rows = cuda_first_row(mat->rows, d->cards, i + 1) - share->first;
        if (rows)
            rc = load_share(&d->card[i], mat, rows, share, w, err);
    }
    if (rc) {
        free_weights(priv);
        return rc;
    }
    w->priv = priv;
    w->free_priv = free_weights;
    if (mat->outliers) { /* k and column; sc and sh */
        w->info.code_bits += (uint64_t)mat->outliers->first[mat->rows] * 48;
        w->info.header_bits += (uint64_t)mat->rows * 24;
    }
    return ACCEL_OK;
}

/* ---- jobs ---- */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Memory for everything a job needs; the arrays go into x and y. */
static cudaError_t job_memory(struct cuda_card *d, const struct cuda_layout *at,
                              const struct backend_job *job, struct cuda_acts *x,
                              struct cuda_results *y)
{
    const size_t x_bytes = (size_t)job->n * at->cols, count = (size_t)job->n * at->rows;
    const size_t y_bytes = job->requant_mul ? count : count * sizeof *job->acc;
    struct cuda_acts_size size;
    const bool tiled = cuda_tiled(at, job->n, &d->how);
    cuda_size_acts(at, job->n, tiled, &size);
    cudaError_t e = grow(&d->x, x_bytes, false);
    if (e == cudaSuccess)
        e = grow(&d->bytes, size.bytes, false);
    if (e == cudaSuccess)
        e = grow(&d->planes, size.planes, false);
    if (e == cudaSuccess)
        e = grow(&d->sums, size.sums, false);
    if (e == cudaSuccess)
        e = grow(&d->results, y_bytes, false);
    if (e == cudaSuccess && job->requant_mul)
        e = grow(&d->requant, at->rows * (sizeof *job->requant_mul + 1), false);
    if (e == cudaSuccess)
        e = grow(&d->host_x, x_bytes, true);
    if (e == cudaSuccess)
        e = grow(&d->host_results, y_bytes, true);
    *x = (struct cuda_acts){ .x = d->x.at,
                             .n = job->n,
                             .bytes = size.bytes ? d->bytes.at : NULL,
                             .tiled = tiled,
                             .planes = size.planes ? d->planes.at : NULL,
                             .sums = size.sums ? d->sums.at : NULL };
    *y = (struct cuda_results){ 0 };
    if (job->requant_mul) {
        y->i8 = d->results.at;
        y->mul = d->requant.at;
        y->shift = d->requant.at ? (uint8_t *)d->requant.at + at->rows * sizeof *y->mul : NULL;
    } else {
        y->acc = d->results.at;
    }
    return e;
}

/* A card's share of a job, on its way. */
static cudaError_t start(struct cuda_card *d, const struct cuda_share *share,
                         const struct backend_job *job)
{
    const struct cuda_matrix *m = &share->m;
    const size_t cols = m->at.cols, rows = m->at.rows, count = job->n * rows;
    const size_t y_bytes = job->requant_mul ? count : count * sizeof *job->acc;
    struct cuda_acts x;
    struct cuda_results y;
    cudaError_t e = cudaSetDevice(d->gpu);
    if (e == cudaSuccess)
        e = job_memory(d, &m->at, job, &x, &y);
    if (e != cudaSuccess)
        return e;
    int8_t *host_x = d->host_x.at;
    for (size_t i = 0; i < job->n; i++)
        memcpy(host_x + i * cols, job->x + i * job->x_stride, cols);
    e = cudaMemcpyAsync(d->x.at, host_x, job->n * cols, cudaMemcpyHostToDevice, d->stream);
    if (e == cudaSuccess && job->requant_mul) {
        e = cudaMemcpyAsync(d->requant.at, job->requant_mul + share->first,
                            rows * sizeof *job->requant_mul, cudaMemcpyHostToDevice, d->stream);
        if (e == cudaSuccess)
            e = cudaMemcpyAsync((uint8_t *)d->requant.at + rows * sizeof *job->requant_mul,
                                job->requant_shift + share->first, rows, cudaMemcpyHostToDevice,
                                d->stream);
    }
    if (e == cudaSuccess)
        e = (cudaError_t)cuda_prepare(&m->at, &x, d->stream);
    if (e == cudaSuccess)
        e = (cudaError_t)cuda_product(m, &x, &y, &d->how, d->stream);
    if (e == cudaSuccess)
        e = cudaMemcpyAsync(d->host_results.at, d->results.at, y_bytes, cudaMemcpyDeviceToHost,
                            d->stream);
    return e;
}

/* What a card made, to where the job wants it. */
static void collect(const struct cuda_card *d, const struct cuda_share *share, size_t all,
                    const struct backend_job *job)
{
    const size_t rows = share->m.at.rows;
    for (size_t i = 0; i < job->n; i++) {
        const size_t to = i * all + share->first;
        if (job->requant_mul)
            memcpy(job->i8 + to, (const int8_t *)d->host_results.at + i * rows, rows);
        else
            memcpy(job->acc + to, (const int64_t *)d->host_results.at + i * rows,
                   rows * sizeof *job->acc);
    }
}

static int cuda_run(struct accel_dev *dev, const struct backend_job *job, struct accel_stats *stats,
                    struct accel_error *err)
{
    struct cuda_dev *d = dev->priv;
    const struct cuda_weights *w = job->weights->priv;
    const uint32_t rows = job->weights->rows, cols = job->weights->cols;
    const uint64_t begin = now_ns();
    cudaError_t e[CUDA_CARDS] = { cudaSuccess };
    for (uint32_t i = 0; i < d->cards; i++)
        if (w->of[i].m.at.rows)
            e[i] = start(&d->card[i], &w->of[i], job);
    for (uint32_t i = 0; i < d->cards; i++) { /* also after an error: copies under way */
        cudaError_t end = cudaSetDevice(d->card[i].gpu);
        if (end == cudaSuccess)
            end = cudaStreamSynchronize(d->card[i].stream);
        e[i] = e[i] == cudaSuccess ? end : e[i];
    }
    for (uint32_t i = 0; i < d->cards; i++) {
        char doing[96];
        snprintf(doing, sizeof doing, "a job of %u x %u with %u columns", rows, cols, job->n);
        if (e[i] != cudaSuccess)
            return cuda_failed(e[i], d->card[i].gpu, doing, err);
    }
    if (job->deadline_ns && now_ns() - begin >= job->deadline_ns)
        return accel_fail(err, ACCEL_E_TIMEOUT, "%s: the job's deadline of %llu ns passed",
                          dev->caps.uri, (unsigned long long)job->deadline_ns);
    for (uint32_t i = 0; i < d->cards; i++)
        if (w->of[i].m.at.rows)
            collect(&d->card[i], &w->of[i], rows, job);
    stats->macs = (uint64_t)rows * cols * job->n;
    return ACCEL_OK;
}

/* ---- the device ---- */

/* A GPU's number; *at: beyond it. */
static bool parse_gpu(const char **at, int *gpu)
{
    char *end = NULL;
    const long n = strtol(*at, &end, 10);
    if (**at < '0' || **at > '9' || n >= CUDA_MAX_GPUS)
        return false;
    *gpu = (int)n;
    *at = end;
    return true;
}

/* "", "1", "0+1", "1:host=1" */
static int parse(const char *params, struct cuda_dev *d, struct accel_error *err)
{
    char key[256], value[256];
    const char *cursor = params;
    d->cards = 1;
    if (*params == '\0')
        return ACCEL_OK;
    bool good = parse_gpu(&cursor, &d->card[0].gpu);
    if (good && *cursor == '+') {
        cursor++;
        good = parse_gpu(&cursor, &d->card[1].gpu);
        d->cards = 2;
    }
    if (!good || (*cursor && *cursor != ':'))
        return accel_fail(
            err, ACCEL_E_URI,
            "cuda: '%.40s' is no GPU's number; write cuda:0, cuda:1, ..., or cuda:0+1 "
            "for two as one",
            params);
    if (d->cards > 1 && d->card[0].gpu == d->card[1].gpu)
        return accel_fail(err, ACCEL_E_URI, "cuda:%d+%d: two different GPUs are needed",
                          d->card[0].gpu, d->card[1].gpu);
    cursor += *cursor == ':';
    int rc;
    while ((rc = uri_next_param(&cursor, key, value, err)) > 0) {
        if (strcmp(key, "host") != 0 || (strcmp(value, "0") != 0 && strcmp(value, "1") != 0))
            return accel_fail(err, ACCEL_E_URI,
                              "cuda:%d: '%.40s=%.40s' is no setting of it; host=1 leaves all of a "
                              "model but its matrices on the host",
                              d->card[0].gpu, key, value);
        d->host_floats = value[0] == '1';
    }
    return rc;
}

static void close_card(struct cuda_card *d)
{
    if (!d->stream || cudaSetDevice(d->gpu) != cudaSuccess)
        return;
    (void)cudaFree(d->x.at);
    (void)cudaFree(d->bytes.at);
    (void)cudaFree(d->planes.at);
    (void)cudaFree(d->sums.at);
    (void)cudaFree(d->results.at);
    (void)cudaFree(d->requant.at);
    (void)cudaFreeHost(d->host_x.at);
    (void)cudaFreeHost(d->host_results.at);
    (void)cudaStreamDestroy(d->stream);
}

static void cuda_close(struct accel_dev *dev)
{
    struct cuda_dev *d = dev->priv;
    if (!d)
        return;
    /* errors change nothing here: a lost GPU has given its memory back already */
    nccl_close(d->nccl);
    for (uint32_t i = 0; i < d->cards; i++)
        close_card(&d->card[i]);
    (void)cudaGetLastError();
    free(d);
    dev->priv = NULL;
}

static int open_card(struct cuda_card *d, int count, struct accel_error *err)
{
    int major = 0, minor = 0, sms = 0, compiled = 0;
    const int gpu = d->gpu;
    if (gpu >= count)
        return accel_fail(err, ACCEL_E_URI, "cuda:%d: this machine has %d GPU%s, from cuda:0 on",
                          gpu, count, count > 1 ? "s" : "");
    cudaError_t e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, gpu);
    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, gpu);
    if (e == cudaSuccess && major < 8)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "cuda:%d: a GPU of compute capability %d.%d; 8.0 or later is needed", gpu,
                          major, minor);
    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, gpu);
    if (e == cudaSuccess)
        e = cudaSetDevice(gpu);
    if (e == cudaSuccess)
        e = (cudaError_t)cuda_compiled_for(&compiled);
    d->how.sms = (uint32_t)sms;
    d->how.wgmma = major == 9 && minor == 0 && compiled >= 90;
    d->how.clusters = major >= 9 && compiled >= 90;
    if (e == cudaSuccess)
        e = cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking);
    return e == cudaSuccess ? ACCEL_OK : cuda_failed(e, gpu, "opening", err);
}

static int cuda_open(struct accel_dev *dev, const char *params, struct accel_error *err)
{
    int count = 0;
    struct cuda_dev *d = calloc(1, sizeof *d);
    if (!d)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: opening a GPU");
    dev->priv = d;
    int rc = parse(params, d, err);
    if (!rc) {
        const cudaError_t e = cudaGetDeviceCount(&count);
        if (e != cudaSuccess || count <= 0)
            rc = no_gpu(e, err);
    }
    for (uint32_t i = 0; i < d->cards && !rc; i++)
        rc = open_card(&d->card[i], count, err);
    if (!rc && d->cards > 1 && !d->host_floats) {
        const int gpus[CUDA_CARDS] = { d->card[0].gpu, d->card[1].gpu };
        rc = nccl_open(gpus, d->cards, &d->nccl, err);
    }
    if (rc) {
        cuda_close(dev);
        return rc;
    }
    struct accel_caps *caps = &dev->caps;
    if (d->cards > 1)
        snprintf(caps->uri, sizeof caps->uri, "cuda:%d+%d", d->card[0].gpu, d->card[1].gpu);
    else
        snprintf(caps->uri, sizeof caps->uri, "cuda:%d", d->card[0].gpu);
    strcpy(caps->backend, "cuda");
    strcpy(caps->pe, "gpu");
    caps->rows = 1;
    caps->lanes = 1;
    caps->max_n = CUDA_MAX_N;
    caps->max_steps = UINT32_MAX;
    caps->acc_bits = 48;
    return ACCEL_OK;
}

static int cuda_can_run(const struct accel_dev *dev, accel_format f, uint32_t group,
                        struct accel_error *err)
{
    (void)dev;
    (void)f;
    (void)group;
    (void)err;
    return 1;
}

static int cuda_list(int (*fn)(void *user, const char *uri, const char *what), void *user)
{
    int count = 0, rc = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess)
        count = 0;
    (void)cudaGetLastError();
    for (int i = 0; i < count && !rc; i++) {
        struct cudaDeviceProp prop;
        char uri[32], what[320];
        if (cudaGetDeviceProperties(&prop, i) != cudaSuccess || prop.major < 8)
            continue;
        snprintf(uri, sizeof uri, "cuda:%d", i);
        snprintf(what, sizeof what, "%s, %zu MiB, compute capability %d.%d", prop.name,
                 prop.totalGlobalMem >> 20, prop.major, prop.minor);
        rc = fn(user, uri, what);
    }
    return rc;
}

const struct accel_backend accel_backend_cuda = {
    .scheme = "cuda",
    .what = NULL, /* only the GPUs there are, each by its number */
    .open = cuda_open,
    .close = cuda_close,
    .load = cuda_load,
    .run = cuda_run,
    .can_run = cuda_can_run,
    .list = cuda_list,
    .open_model = cuda_open_model,
    .run_model = cuda_run_model,
    .close_model = cuda_close_model,
};
