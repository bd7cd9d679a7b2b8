/* kernels.h - what the host starts on a GPU. Pointers are to its memory; int results are cudaError_t.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CUDA_KERNELS_H
#define ACCEL_CUDA_KERNELS_H

#include "layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Activations laid out for the kernels, of n columns in blocks of CUDA_TOKENS. */
struct cuda_acts {
    const int8_t *x; /* [n][cols] */
    uint32_t n;
    /* second operands of mma.m16n8k32: [n / 16][steps][1 or 2 blocks][4][32 lanes][16 bytes] */
    void *
        bytes; /* or, if tiled: [n / 128][steps][2 halves][128][128 bytes], swizzled as wgmma wants it */
    bool tiled;
    void *planes;  /* [steps][32 lanes][8 bytes]: of mma.m16n8k256; only of a single column */
    int32_t *sums; /* [n / 16][headers][1 or 2 blocks][CUDA_TOKENS]: S; only if it is needed */
};

/* A matrix in the GPU's memory. */
struct cuda_matrix {
    struct cuda_layout at;
    const void *codes, *headers, *oc, *tables;
    /* outliers; first is NULL if there are none */
    const uint32_t *first, *col;
    const int16_t *k, *osc;
    const uint8_t *osh;
};

struct cuda_results { /* one of acc, i8 and f32: [n][rows] */
    int64_t *acc;
    int8_t *i8;
    float *f32;
    const uint32_t *mul; /* for i8 */
    const uint8_t *shift;
    const float *row_scale, *col_scale; /* for f32 */
};

/* The GPU, and how to start a product on it; what is 0 from warps on: as measured to be best. */
struct cuda_how {
    uint32_t sms;   /* multiprocessors */
    int wgmma;      /* of compute capability 9.0; these two: of the GPU and of what is compiled */
    int clusters;   /* of 9.0 and later: blocks that share their memory */
    uint32_t warps; /* that share a tile's steps */
    int bytes_only; /* no binary products */
    int overlapped; /* may begin before the kernel ahead of it in the stream ends */
};

/* The compute capability that the kernels which the current GPU takes were compiled for, times 10. */
int cuda_compiled_for(int *capability);

/* Whether n columns are laid out as tiles: faster than passes of 16, and possible. */
bool cuda_tiled(const struct cuda_layout *at, uint32_t n, const struct cuda_how *how);

/* Whether a single column is multiplied in planes, else in bytes. */
bool cuda_binary(const struct cuda_layout *at, const struct cuda_how *how);

/* Bytes that a cuda_acts's arrays need. */
struct cuda_acts_size {
    size_t bytes, planes, sums;
};
void cuda_size_acts(const struct cuda_layout *at, uint32_t n, bool tiled,
                    struct cuda_acts_size *size);

int cuda_prepare(const struct cuda_layout *at, const struct cuda_acts *x, void *stream);
int cuda_product(const struct cuda_matrix *m, const struct cuda_acts *x,
                 const struct cuda_results *y, const struct cuda_how *how, void *stream);

#ifdef __cplusplus
}
#endif
#endif
