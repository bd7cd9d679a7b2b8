/* nccl.h - what two cards that make one device say to each other.
 * SPDX-License-Identifier: Apache-2.0
 *
 * NCCL is looked for when it is needed: neither building nor running on one card needs it. */
#ifndef ACCEL_CUDA_NCCL_H
#define ACCEL_CUDA_NCCL_H

#include "../../internal.h"

#include <cuda_runtime_api.h>

struct nccl;

/* @return ACCEL_OK, _E_UNSUPPORTED, _E_NOMEM, _E_DEVICE */
int nccl_open(const int *gpus, uint32_t count, struct nccl **to, struct accel_error *err);
void nccl_close(struct nccl *n);

/* Every card has its `count` floats at to + card * count; in the end each has all. To be called by a thread a card.
 * @return 0, or what nccl_says has words for */
int nccl_gather(const struct nccl *n, uint32_t card, float *to, size_t count, cudaStream_t stream);
/* Whether a card has lost the others; likewise. */
int nccl_state(const struct nccl *n, uint32_t card);
/* End what a card waits for; it can only be closed then. */
void nccl_abort(struct nccl *n, uint32_t card);
const char *nccl_says(const struct nccl *n, int result);

#endif
