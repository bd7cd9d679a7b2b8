/* host.h - what the host's files of the cuda: backend share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CUDA_HOST_H
#define ACCEL_CUDA_HOST_H

#include "kernels.h"
#include "nccl.h"

#include <cuda_runtime_api.h>

/* A buffer that grows and is kept from job to job; host memory is page-locked. */
struct buffer {
    void *at;
    size_t bytes;
};

enum { CUDA_CARDS = 2 };

struct cuda_card {
    int gpu;
    cudaStream_t stream;
    struct cuda_how how;
    struct buffer x, bytes, planes, sums, results, requant; /* on the GPU */
    struct buffer host_x, host_results;
};

struct cuda_dev {
    uint32_t cards;
    struct cuda_card card[CUDA_CARDS];
    bool host_floats;  /* models leave all but their matrices on the host */
    struct nccl *nccl; /* NULL: of one card, or if models do */
};

/* A card's share of a matrix: some of its rows. */
struct cuda_share {
    int gpu;
    uint32_t first;       /* row */
    struct cuda_matrix m; /* its pointers are to be freed; at.rows 0: none */
};

struct cuda_weights {
    uint32_t cards;
    struct cuda_share of[CUDA_CARDS];
};

/* The first row of a card's share: all shares but the last are equally large. */
uint32_t cuda_first_row(uint32_t rows, uint32_t cards, uint32_t card);

/* What a CUDA error is to a caller, with a message; it is forgotten then. */
int cuda_failed(cudaError_t e, int gpu, const char *doing, struct accel_error *err);

/* model.c */
int cuda_open_model(struct accel_dev *dev, const struct accel_llm *llm, void **model,
                    struct accel_error *err);
int cuda_run_model(struct accel_dev *dev, void *model, const struct backend_tokens *tokens,
                   struct accel_stats *stats, struct accel_error *err);
void cuda_close_model(void *model);

#endif
