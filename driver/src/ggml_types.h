/* ggml_types.h - ggml's tensor type ids: name, weights in a block, bytes of a block.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_GGML_TYPES_H
#define ACCEL_GGML_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ggml_type {
    GGML_F32 = 0,
    GGML_F16 = 1,
    GGML_Q4_0 = 2,
    GGML_Q4_1 = 3,
    GGML_Q5_0 = 6,
    GGML_Q5_1 = 7,
    GGML_Q8_0 = 8,
    GGML_Q8_1 = 9,
    GGML_Q2_K = 10,
    GGML_Q3_K = 11,
    GGML_Q4_K = 12,
    GGML_Q5_K = 13,
    GGML_Q6_K = 14,
    GGML_Q8_K = 15,
    GGML_IQ2_XXS = 16,
    GGML_IQ2_XS = 17,
    GGML_IQ3_XXS = 18,
    GGML_IQ1_S = 19,
    GGML_IQ4_NL = 20,
    GGML_IQ3_S = 21,
    GGML_IQ2_S = 22,
    GGML_IQ4_XS = 23,
    GGML_I8 = 24,
    GGML_I16 = 25,
    GGML_I32 = 26,
    GGML_I64 = 27,
    GGML_F64 = 28,
    GGML_IQ1_M = 29,
    GGML_BF16 = 30,
    GGML_TQ1_0 = 34,
    GGML_TQ2_0 = 35,
    GGML_MXFP4 = 39,
    GGML_NVFP4 = 40,
    GGML_Q1_0 = 41,
    GGML_Q2_0 = 42
};

struct ggml_type_info {
    uint32_t id;
    const char *name;   /* "Q4_K" */
    uint32_t block_len; /* weights in a block; a row is a whole number of blocks */
    uint32_t block_bytes;
};

/* The entry of a type id, or NULL if no current type has that id. */
const struct ggml_type_info *ggml_type_find(uint32_t id);
/* "Q4_K"; "?" for an unknown id. Static storage. */
const char *ggml_type_name(uint32_t id);
/* Bytes of one row of n weights, of the types in quant/layout.h, too. False if the id is unknown, n is no whole number of blocks, or
 * the product does not fit. */
bool ggml_row_bytes(uint32_t id, uint64_t n, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
