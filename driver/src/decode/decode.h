/* decode.h - golden models of the stream decoders in rtl/decode/; formats: docs/decoders.md.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Encoders make the streams that a decoder takes, decoders return what the hardware returns and
 * say what is wrong with a stream that no encoder makes. Arrays given as results are scratch when
 * a call fails; what a call allocates is freed by then. */
#ifndef ACCEL_DECODE_H
#define ACCEL_DECODE_H

#include "internal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A field of up to 8 bits in a little-endian bit stream; putting needs zeros there. */
static inline void bits_put(uint8_t *p, size_t at, unsigned v)
{
    v <<= at % 8;
    p[at / 8] |= (uint8_t)v;
    if (v >> 8)
        p[at / 8 + 1] |= (uint8_t)(v >> 8);
}
static inline unsigned bits_get(const uint8_t *p, size_t at, unsigned width)
{
    unsigned v = p[at / 8];
    if (at % 8 + width > 8)
        v |= (unsigned)p[at / 8 + 1] << 8;
    return v >> at % 8 & ((1u << width) - 1);
}

/* ---- DFloat11 (dfloat11.c): bf16 with Huffman-coded exponents, lossless ---- */

#define DF11_MIN_BITS              8u /* of max_bits: 256 exponents fit into 8 bits */
#define DF11_MAX_BITS              32u
#define DF11_TABLE_WORDS(max_bits) (2u * (max_bits) + 64u)

struct df11_code {
    unsigned max_bits;
    uint8_t length[256]; /* bits of each exponent's code; 0: it has none */
    uint32_t code[256];
};

/* count[e] weights have exponent field e. Codes longer than max_bits are avoided by halving the
 * counts (rounding up) until they fit. */
int df11_code_from_counts(const uint64_t count[256], unsigned max_bits, struct df11_code *code,
                          struct accel_error *err);
/* The table that the hardware loads: DF11_TABLE_WORDS(code->max_bits) words. */
void df11_table(const struct df11_code *code, uint32_t *table);

struct df11_stream {
    uint32_t *codes; /* most significant bit first, the last word filled up with zeros */
    size_t words;
    uint8_t *rest; /* sign << 7 | mantissa, one a weight */
};
/* n weights. _E_ARG if one has an exponent without a code, _E_NOMEM. */
int df11_encode(const struct df11_code *code, const uint16_t *w, size_t n, struct df11_stream *out,
                struct accel_error *err);
void df11_free(struct df11_stream *s);
/* _E_CORRUPT: the table contradicts itself, the words end early, are too many, or hold no code. */
int df11_decode(const uint32_t *table, unsigned max_bits, const uint32_t *codes, size_t words,
                const uint8_t *rest, size_t n, uint16_t *w, struct accel_error *err);

/* ---- bf16 to MXINT8 (bf16_block.c) ---- */

#define BF16_BLOCK 32u
/* One block: w[i] is about code[i] * 2^(*scale - 133). True if all weights are finite; codes and
 * scale are those of the hardware in any case. */
bool bf16_block(const uint16_t w[BF16_BLOCK], int8_t code[BF16_BLOCK], uint8_t *scale);

/* ---- codebooks of rows (codebook.c): SqueezeLLM ---- */

/* Row tiles of rows x lanes weights: for each, tables of 2^bits beats of `rows` bytes, then
 * `steps` index beats of rows * lanes * bits / 8 bytes. */
struct codebook_shape {
    uint32_t rows, lanes;
    unsigned bits; /* 3 or 4 */
};
struct codebook_stream {
    uint32_t tiles, steps;
    uint8_t *tables, *indices;
    size_t table_bytes, index_bytes;
};
/* One row's centroids as int8 and the scale they are multiples of: max |c| / 127, half to even.
 * *error = the largest |centroid - code * scale|. _E_ARG if one is not finite. */
int codebook_round(const float *centroid, unsigned bits, int8_t *book, float *scale, double *error,
                   struct accel_error *err);
/* index [rows][cols], book [rows][2^bits]; both ends are padded with zeros. _E_ARG names row and
 * column. */
int codebook_encode(const struct codebook_shape *shape, const uint8_t *index, const int8_t *book,
                    uint32_t rows, uint32_t cols, struct codebook_stream *out,
                    struct accel_error *err);
void codebook_free(struct codebook_stream *s);
/* All codes, padding included, in the order of the hardware's output: tiles * steps * rows * lanes.
 * _E_CORRUPT if the sizes do not match. */
int codebook_decode(const struct codebook_shape *shape, const struct codebook_stream *s,
                    int8_t *code, struct accel_error *err);

/* ---- SpQR (spqr.c): 16 x 16 tiles of 3-bit codes, scales and zeros themselves 3-bit codes ---- */

#define SPQR_TILE 16u /* rows and columns; a word a row */

struct spqr_row {
    uint8_t code[SPQR_TILE]; /* weight = unit * (sc * code + oc) * 2^sh */
    int16_t sc;
    uint8_t sh;
    int32_t oc;
};

/* A tile as published: four fp16 numbers in the words' c fields. Round to nearest of both orders,
 * without SpQR's search for outliers. w [16][16]. _E_ARG if a weight is not finite or its scale
 * leaves fp16. */
int spqr_encode(const float *w, uint64_t tile[SPQR_TILE], struct accel_error *err);
/* w [16][16] of a published tile: s * (q - z), exactly, where the publication rounds to fp16.
 * _E_CORRUPT: a number is not finite, copies of the c fields differ, or an unused bit is set. */
int spqr_values(const uint64_t tile[SPQR_TILE], double *w, struct accel_error *err);
/* The unit of rows whose tiles (count * 16 words) these are: their largest scale becomes 2047 *
 * 2^8 units. */
int spqr_unit(const uint64_t *tiles, size_t count, double *unit, struct accel_error *err);
/* The same tile with integers in place of the four fp16 numbers, for the hardware. *error: the
 * largest difference of a weight from spqr_values, in steps, that is over the tile's largest |s|.
 * _E_UNSUPPORTED: zero points or scales that the integers cannot hold. */
int spqr_convert(const uint64_t tile[SPQR_TILE], double unit, uint64_t out[SPQR_TILE],
                 double *error, struct accel_error *err);
/* A converted tile. _E_CORRUPT as above, or if sc leaves 12 bits or oc 20. */
int spqr_decode(const uint64_t tile[SPQR_TILE], struct spqr_row out[SPQR_TILE],
                struct accel_error *err);

/* ---- FP6 in two streams (fp6.c): ZeroQuant(4+2), FP6-LLM ---- */

enum fp6_split {
    FP6_TOP_IN_TWO, /* {s,e2} and {e1,e0,m1,m0} */
    FP6_TOP_IN_FOUR /* {m1,m0} and {s,e2,e1,e0} */
};
struct fp6_stream {
    uint8_t *two, *four;
    size_t two_bytes, four_bytes; /* for n weights filled up to a multiple of 2 * lanes */
};
/* n codes of 6 bits, the sign on top, for a decoder of an even number of lanes. */
int fp6_encode(enum fp6_split split, uint32_t lanes, const uint8_t *code, size_t n,
               struct fp6_stream *out, struct accel_error *err);
void fp6_free(struct fp6_stream *s);
/* The first n codes. _E_CORRUPT: the sizes are not those of n weights, or the filling is not 0. */
int fp6_decode(enum fp6_split split, uint32_t lanes, const struct fp6_stream *s, size_t n,
               uint8_t *code, struct accel_error *err);

/* ---- mostly zero ternary weights in dictionary words (qmoe.c): after QMoE ---- */

struct qmoe_stream {
    uint16_t *word;
    size_t words;
};
/* n weights -1, 0, +1. _E_ARG names another. */
int qmoe_encode(const int8_t *w, size_t n, struct qmoe_stream *out, struct accel_error *err);
void qmoe_free(struct qmoe_stream *s);
/* _E_CORRUPT: the words end early or are too many, hold a token that is none, or a weight behind
 * the last. */
int qmoe_decode(const uint16_t *word, size_t words, size_t n, int8_t *w, struct accel_error *err);

#ifdef __cplusplus
}
#endif
#endif
