/* nccl.c - NCCL, by its names: the few functions and numbers of it that are needed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "nccl.h"

#include "host.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { NCCL_FLOAT32 = 7 };
typedef struct ncclComm *comm;

struct nccl {
    void *library;
    uint32_t count;
    comm of[CUDA_CARDS];
    int gpu[CUDA_CARDS];
    int (*init)(comm *comms, int count, const int *gpus);
    int (*gather)(const void *from, void *to, size_t count, int type, comm c, cudaStream_t stream);
    int (*state)(comm c, int *result);
    int (*abort)(comm c);
    int (*destroy)(comm c);
    int (*group_start)(void);
    int (*group_end)(void);
    const char *(*says)(int result);
};

/* POSIX has functions come as pointers to objects. */
static bool find(const struct nccl *n, const char *name, void *function)
{
    void *at = dlsym(n->library, name);
    memcpy(function, &at, sizeof at);
    return at != NULL;
}

static bool find_all(struct nccl *n)
{
    return find(n, "ncclCommInitAll", &n->init) && find(n, "ncclAllGather", &n->gather) &&
           find(n, "ncclCommGetAsyncError", &n->state) && find(n, "ncclCommAbort", &n->abort) &&
           find(n, "ncclCommDestroy", &n->destroy) && find(n, "ncclGroupStart", &n->group_start) &&
           find(n, "ncclGroupEnd", &n->group_end) && find(n, "ncclGetErrorString", &n->says);
}

/* The first exchange makes connections, with all cards at once; those after it are by a thread a card. */
static int first_exchange(const struct nccl *n)
{
    float *at[CUDA_CARDS] = { NULL };
    cudaStream_t stream[CUDA_CARDS] = { NULL };
    cudaError_t e = cudaSuccess;
    int result = 0;
    for (uint32_t i = 0; i < n->count && e == cudaSuccess; i++) {
        e = cudaSetDevice(n->gpu[i]);
        if (e == cudaSuccess)
            e = cudaMalloc((void **)&at[i], n->count * sizeof(float));
        if (e == cudaSuccess)
            e = cudaStreamCreateWithFlags(&stream[i], cudaStreamNonBlocking);
    }
    if (e == cudaSuccess) {
        result = n->group_start();
        for (uint32_t i = 0; i < n->count && !result; i++)
            result = nccl_gather(n, i, at[i], 1, stream[i]);
        const int end = n->group_end();
        result = result ? result : end;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        if (cudaSetDevice(n->gpu[i]) != cudaSuccess)
            continue;
        if (stream[i] && !result && e == cudaSuccess)
            e = cudaStreamSynchronize(stream[i]);
        if (stream[i])
            (void)cudaStreamDestroy(stream[i]);
        (void)cudaFree(at[i]);
    }
    return result ? result : e == cudaSuccess ? 0 : 1; /* 1: of CUDA */
}

int nccl_open(const int *gpus, uint32_t count, struct nccl **to, struct accel_error *err)
{
    struct nccl *n = calloc(1, sizeof *n);
    int rc = ACCEL_OK, result;
    if (!n)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: opening several cards");
    n->library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!n->library) {
        rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                        "cuda: two cards need NCCL for whole models (host=1 does without): %s",
                        dlerror());
    } else if (!find_all(n)) {
        rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                        "cuda: libnccl.so.2 lacks functions; 2.4 and later have them");
    } else {
        memcpy(n->gpu, gpus, count * sizeof *gpus);
        result = n->init(n->of, (int)count, gpus);
        if (!result) {
            n->count = count;
            result = first_exchange(n);
        }
        if (result)
            rc = accel_fail(err, ACCEL_E_DEVICE,
                            "cuda: NCCL does not start: %s; NCCL_DEBUG=INFO says more",
                            n->says(result));
    }
    if (rc)
        nccl_close(n);
    else
        *to = n;
    return rc;
}

void nccl_close(struct nccl *n)
{
    if (!n)
        return;
    for (uint32_t i = 0; i < n->count; i++)
        if (n->of[i])
            (void)n->destroy(n->of[i]);
    if (n->library)
        (void)dlclose(n->library);
    free(n);
}

int nccl_gather(const struct nccl *n, uint32_t card, float *to, size_t count, cudaStream_t stream)
{
    return n->gather(to + card * count, to, count, NCCL_FLOAT32, n->of[card], stream);
}

int nccl_state(const struct nccl *n, uint32_t card)
{
    int result = 0;
    const int e = n->state(n->of[card], &result);
    return e ? e : result;
}

void nccl_abort(struct nccl *n, uint32_t card)
{
    if (n->of[card])
        (void)n->abort(n->of[card]);
    n->of[card] = NULL;
}

const char *nccl_says(const struct nccl *n, int result)
{
    return n->says(result);
}
