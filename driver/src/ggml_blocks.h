/* ggml_blocks.h - ggml's block formats: rows as codes and scales, or as floats.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_GGML_BLOCKS_H
#define ACCEL_GGML_BLOCKS_H

#include "accel.h"
#include "ggml_types.h"

/* How a block type maps to codes and scales. */
struct ggml_block_type {
    uint32_t id;         /* enum ggml_type */
    accel_format format; /* 0: plain floats, which have no codes */
    uint32_t group;      /* weights that share a scale and an offset */
};

/* The entry of a type id that this library decodes, or NULL. */
const struct ggml_block_type *ggml_find_block_type(uint32_t id);

/* Decode n weights of one row to floats, as ggml does; of the types in quant/layout.h, too. n is a multiple of the block length.
 * @return ACCEL_OK, _E_ARG (n, NULL), _E_UNSUPPORTED (type) */
int ggml_dequantize_row(uint32_t type, const void *row, float *out, size_t n);

/* Decode n weights of one row to codes of the type's format and, for each group, a real scale and
 * offset: weight = scale * k(code) + offset. Exact. Never for plain floats.
 * @return ACCEL_OK, _E_CORRUPT and what is wrong in *what: a scale that is no finite number, an
 *         illegal ternary code */
int ggml_decode_row(const struct ggml_block_type *type, const void *row, size_t n, uint8_t *codes,
                    double *scales, double *offsets, const char **what);

#endif
