/* decode.h - golden models of the stream decoders in rtl/decode/; formats: docs/decoders.md.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Encoders make the streams that a decoder takes, decoders return what the hardware returns and say
 * what is wrong with a stream that no encoder makes. Arrays given as results are scratch when a call
 * fails; what a call allocates is freed by then. */
#ifndef ACCEL_DECODE_H
#define ACCEL_DECODE_H

#include "internal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- DFloat11 (dfloat11.c): bf16 with Huffman-coded exponents, lossless ---- */

#define DF11_MIN_BITS              8u /* limits of max_bits: any 256 exponents have codes of 8 bits */
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
/* One block: w[i] is about code[i] * 2^(*scale - 133). True if all weights are finite; codes and scale are
 * those of the hardware in any case. */
bool bf16_block(const uint16_t w[BF16_BLOCK], int8_t code[BF16_BLOCK], uint8_t *scale);

#ifdef __cplusplus
}
#endif
#endif
