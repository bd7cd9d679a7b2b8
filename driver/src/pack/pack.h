/* pack.h - what the packers of the kinds share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_PACK_H
#define ACCEL_PACK_H

#include "../internal.h"

/* One chunk of one row tile. */
struct pack_chunk {
    const struct pe_kind *kind;
    const struct pack_shape *shape;
    const uint8_t *codes; /* [shape->rows][stride]: the chunk's codes, as wide as the format says */
    size_t stride;
    uint32_t steps; /* of shape->lanes codes */
    unsigned planes;
    uint8_t zero;            /* the code of k = 0; padding rows and lanes hold it */
    uint32_t row, col;       /* of the matrix, where the chunk begins: for messages */
    const char *format_name; /* likewise */
};

/* Code beats, growing. */
struct beats {
    uint8_t *data;
    size_t count, room, bytes; /* bytes of one */
};
/* n more beats of zeros, or NULL: out of memory. Valid until the next call. */
uint8_t *beats_add(struct beats *b, size_t n);

/* The planes of one word: row r's codes are codes[r * stride .. + slots - 1], and bit r * slots + s of a plane is that
 * of codes[r * stride + s]. Writes planes beats, most significant plane first. */
void pack_planes(uint8_t *beat, size_t beat_bytes, const uint8_t *codes, size_t stride,
                 uint32_t rows, uint32_t slots, unsigned planes);

/* The byte at the end of a word's first beat (kinds with a window). */
static inline uint8_t pack_walk(bool last, unsigned advance)
{
    return (uint8_t)((last ? 0x80u : 0u) | advance);
}

/* Fills in p's outlier stream if the matrix has outliers.
 * @return ACCEL_OK, _E_UNSUPPORTED, _E_NOMEM */
int pack_outliers(const struct pe_kind *kind, const struct pack_shape *shape,
                  const struct accel_matrix *mat, struct packed *p, struct accel_error *err);

void lut_recode(uint8_t *row, uint32_t lanes);
void lut3_recode(uint8_t *row, uint32_t lanes);
void lut4_recode(uint8_t *row, uint32_t lanes);
int tlut_pack_chunk(const struct pack_chunk *c, struct beats *out, struct accel_error *err);
const char *tlut_refuse(accel_format f);
int tactical_pack_chunk(const struct pack_chunk *c, struct beats *out, struct accel_error *err);
int nm_pack_chunk(const struct pack_chunk *c, struct beats *out, struct accel_error *err);

#endif
