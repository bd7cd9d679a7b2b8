/* layout.h - tensor types of our own in GGUF files: the codes and headers that a device runs.
 * SPDX-License-Identifier: Apache-2.0
 *
 * docs/quantize.md describes the layout. A type id says all that the size of a row depends on, so such a
 * tensor is read like one of ggml's: rows of equal size, one after the other. */
#ifndef ACCEL_QUANT_LAYOUT_H
#define ACCEL_QUANT_LAYOUT_H

#include "internal.h"

#define QUANT_VERSION     1 /* of the layout; a file says it under QUANT_VERSION_KEY */
#define QUANT_VERSION_KEY "accel.quant.version"

enum { QUANT_NAME = 16, QUANT_OUTLIERS = 15, QUANT_BLOCK = 256 /* columns that share outliers */ };

/* What a type id says. */
struct quant_type {
    accel_format format;
    uint32_t group;    /* 0: one group a row */
    bool mx;           /* scales are powers of two, a byte each; no row scale */
    uint32_t outliers; /* weights beside the codes of each 256 columns: 0 .. QUANT_OUTLIERS */
    uint32_t keep,
        block; /* N:M: `keep` of each `block` columns have a code, the others are 0; block 0: all have */
};

/* The id of a type, or 0 if there is none: format or group illegal, mx of anything but floats and int8,
 * a codebook with groups. */
uint32_t quant_type_id(accel_format format, uint32_t group, bool mx);
/* The same type with outliers, or 0: more than QUANT_OUTLIERS, mx, OliVe (which has its own). */
uint32_t quant_type_outliers(uint32_t id, uint32_t outliers);
/* The same type with codes for `keep` of each `block` columns only, or 0: a pattern that QUANT_PATTERNS does not name, a format
 * other than INT of 2 to 8 bits, mx, outliers. */
uint32_t quant_type_sparse(uint32_t id, uint32_t keep, uint32_t block);
#define QUANT_PATTERNS "1:4, 2:4, 2:8, 4:8, 2:16, 4:16 or 8:16"
/* False if the id is none of ours. */
bool quant_type_read(uint32_t id, struct quant_type *type);
/* "uint4:32", "uint2:32+1", "int4:64,2:4", "mx-e2m3:32"; fits QUANT_NAME. Returns buf. */
const char *quant_type_name(uint32_t id, char *buf);
/* Bytes of a row of n weights. False if the id is none of ours or the size overflows. */
bool quant_row_bytes(uint32_t id, uint64_t n, uint64_t *bytes);

/* One row taken apart. The arrays are the caller's; those that the type does not have stay untouched and may
 * be NULL.
 *     value = row_scale * (sc * k + oc),   oc = -(sc * zero / 2^(8 - bits), halves to even)
 * and with mx: value = 2^(exponent - 127) * k * 2^-f, f as docs/contract.md has it. */
struct quant_row {
    float row_scale; /* a bfloat16 number; mx: not used */
    int8_t *sc;      /* [groups] */
    uint8_t *power;  /* [groups], mx only: exponent + 127 */
    uint8_t *zero;   /* [groups], UINT formats only */
    uint8_t *sel;    /* [groups], 0..3, formats with selector only */
    int8_t *book;    /* [2^bits], codebooks only */
    uint8_t *codes;  /* [n] */
    uint8_t *kept;   /* [n] N:M types only: 1 where there is a code in the file, else 0 */
    /* types with outliers only: each adds row_scale * 2^shift * k to what the code stands for */
    uint8_t shift;  /* 0..15 */
    uint8_t *place; /* [quant_outliers] column within its block of QUANT_BLOCK, ascending in each */
    int8_t *k;      /* [quant_outliers] */
};
int32_t quant_offset(const struct quant_type *type, int8_t sc, uint8_t zero);
/* f of a format that mx may have; docs/contract.md */
int quant_fraction(accel_format format);
/* 2^(power - 127 - f) */
double quant_power(accel_format format, uint8_t power);
uint32_t quant_groups(const struct quant_type *type, uint32_t n);
/* Outliers of a row of n weights: of the last block's n columns the share, rounded up. */
uint32_t quant_outliers(const struct quant_type *type, uint32_t n);
/* The block of outlier i; its column is QUANT_BLOCK times that + place[i]. */
uint32_t quant_outlier_block(const struct quant_type *type, uint32_t i);
/* Codes of a row of n weights: all of them, or of the last block's n columns the share, rounded up. */
uint32_t quant_kept(const struct quant_type *type, uint32_t n);
void quant_row_write(const struct quant_type *type, uint32_t n, const struct quant_row *row,
                     uint8_t *out);
/* @return ACCEL_OK, _E_CORRUPT (a block keeps more or fewer weights than its type says) */
int quant_row_read(const struct quant_type *type, uint32_t n, const uint8_t *in,
                   struct quant_row *row);

/* Nearest bfloat16 number, halves to even; finite for finite v. */
float quant_bf16(float v);

/* A row as floats. @return ACCEL_OK, _E_ARG, _E_UNSUPPORTED (id), _E_NOMEM */
int quant_dequantize_row(uint32_t id, const void *row, float *out, size_t n);
/* A tensor as a matrix, exactly. @return ACCEL_OK, _E_CORRUPT, _E_OVERFLOW, _E_NOMEM */
int quant_matrix_load(uint32_t id, const void *data, size_t size, uint32_t rows, uint32_t cols,
                      accel_matrix **mat, struct accel_error *err);

#endif
