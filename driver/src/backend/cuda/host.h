/* host.h - what the host's files of the cuda: backend share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CUDA_HOST_H
#define ACCEL_CUDA_HOST_H

#include "kernels.h"

#include <cuda_runtime_api.h>

/* A buffer that grows and is kept from job to job; host memory is page-locked. */
struct buffer {
    void *at;
    size_t bytes;
};

struct cuda_dev {
    int gpu;
    bool host_floats; /* models leave all but their matrices on the host */
    cudaStream_t stream;
    struct cuda_how how;
    struct buffer x, bytes, planes, sums, results, requant; /* on the GPU */
    struct buffer host_x, host_results;
};

struct cuda_weights {
    int gpu;
    struct cuda_matrix m; /* its pointers are this struct's to free */
};

/* What a CUDA error is to a caller, with a message; it is forgotten then. */
int cuda_failed(cudaError_t e, int gpu, const char *doing, struct accel_error *err);

/* model.c */
int cuda_open_model(struct accel_dev *dev, const struct accel_llm *llm, void **model,
                    struct accel_error *err);
int cuda_run_model(struct accel_dev *dev, void *model, const struct backend_tokens *tokens,
                   struct accel_stats *stats, struct accel_error *err);
void cuda_close_model(void *model);

#endif
