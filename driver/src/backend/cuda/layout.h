/* layout.h - how matrices and activations lie in the memory of a GPU. No CUDA in here.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Rows come in tiles of 16, columns in steps of 256, groups padded to a multiple of what a tensor core
 * multiplies at once. A warp takes one tile and one step after the other. Lane 4r + q of it holds rows
 * r and r + 8 of the tile, and of each 16 columns those from 4q to 4q + 3: with that, every load is 512
 * bytes in a row and what it brings is the first operand of mma.m16n8k32 but for the width of codes.
 *
 * Codes of 3, 5, 6 and 7 bits are cut in parts of 4, 2 and 1, from the top; each part lies by itself. Of a
 * part w bits wide, a lane has 2w words for each of its rows in a step, w for each 128 columns. Column
 *     128 * half + 16 * e + 4 * q + j,   e 0..7, j 0..3
 * lies in word half * w + e % w, at bit 8 * j + w * (e / w): so masks and shifts turn a word into four codes
 * in the four bytes of a register, and the same words, read as single bits, are operands of the binary
 * mma.m16n8k256. Words 2v and 2v + 1 of both rows make up the lane's v-th load of 16 bytes. */
#ifndef ACCEL_CUDA_LAYOUT_H
#define ACCEL_CUDA_LAYOUT_H

#include "../../internal.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CUDA_TILE_ROWS   16u
#define CUDA_STEP        256u
#define CUDA_ROW_STEPS   512u
#define CUDA_TOKENS      8u   /* columns of a job that one mma takes */
#define CUDA_TILE_TOKENS 128u /* columns that a block of a kernel for many takes */
#define CUDA_WIDE        0u /* widths beside 1..8: k as integers of 16 or 32 bits, plain rows; ... */
#define CUDA_TABLE       9u /* ... codes of four bits that choose from tables of int8, or ... */
#define CUDA_TABLE7      10u /* ... from tables of k less the code offset, 0..127: fewer instructions */

/* Where the table of a group comes from. */
enum cuda_tables { CUDA_TABLE_ONE, CUDA_TABLE_SEL, CUDA_TABLE_ROW };

struct cuda_layout {
    uint32_t rows, cols, tiles, steps;
    uint32_t group, groups; /* the matrix's own; group 0: one a row */
    uint32_t pad;           /* columns that a group takes here */
    uint32_t drain;         /* columns that one header scales: 128, 32, 16; 0: the row */
    uint32_t headers;       /* of a row, steps of columns padded; 1 if drain is 0 */
    uint32_t width;         /* 1..8, CUDA_TABLE, CUDA_TABLE7 or CUDA_WIDE */
    uint32_t sc_low;        /* the lowest bit of sc in a header */
    uint32_t tables;        /* enum cuda_tables */
    uint32_t wide_bits;     /* CUDA_WIDE: 16 or 32 */
    /* acc = (sum over headers of ((sc << scale_up) * C + (code_offset * sc + oc) * S << fraction) << sh) >> fraction
     * with C the product of codes at the top of their bytes. The binary product has codes as they are: no
     * fraction, and scale_up is plane_up. */
    uint32_t scale_up, plane_up, fraction;
    int32_t code_offset;
    uint32_t has_oc;
    uint32_t narrow; /* float sums of a row's headers are less than 2^30 off */
};

/* A matrix laid out, in host memory. */
struct cuda_packed {
    struct cuda_layout at;
    uint8_t *codes; /* [tiles][steps][width][32 lanes][16 bytes] (CUDA_TABLE: width 4) or plain k */
    uint16_t *headers; /* [tiles][steps][8 r][step's headers][2: r, r + 8] of sc and sh */
    int32_t *oc;       /* likewise; NULL if all 0. CUDA_WIDE: both are [rows][groups] */
    uint8_t *tables;   /* [1, 4 or 16 * tiles][16] */
    size_t code_bytes, header_bytes, oc_bytes, table_bytes;
};

/* How a matrix would lie; never fails for a valid one. */
void cuda_plan(const struct accel_matrix *mat, struct cuda_layout *at);
/* @return ACCEL_OK, _E_NOMEM; to be freed in either case */
int cuda_pack(const struct accel_matrix *mat, struct cuda_packed *p);
void cuda_pack_free(struct cuda_packed *p);

/* Bits of codes that width stands for in memory. */
static inline uint32_t cuda_code_bits(uint32_t width)
{
    return width >= CUDA_TABLE ? 4 : width;
}

#ifdef __cplusplus
}
#endif
#endif
