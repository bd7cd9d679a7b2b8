/* outlier_stream.c - a matrix's outliers as the core's o stream (docs/core.md): for each row tile
 * the same number of chunks, none longer than the core's buffer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

#include <stdlib.h>

#define CHUNKS_MAX 15u /* a 4-bit field of a command */
#define LAST       ((uint64_t)1 << 48)

/* Entries of the rows of one tile are entries of the matrix in a row, too. */
static uint32_t tile_first(const struct accel_matrix *mat, uint32_t tile, uint32_t rows)
{
    uint64_t m = (uint64_t)tile * rows;
    return mat->outliers->first[m < mat->rows ? m : mat->rows];
}

static uint64_t beat(int k, uint32_t at, uint32_t lanes, uint32_t row)
{
    return ((uint64_t)k & 0xFFFFu) | (uint64_t)(at / lanes) << 16 | (uint64_t)(at % lanes) << 32 |
           (uint64_t)row << 40;
}

int pack_outliers(const struct pe_kind *kind, const struct pack_shape *shape,
                  const struct accel_matrix *mat, struct packed *p, struct accel_error *err)
{
    const struct outliers *o = mat->outliers;
    const uint32_t group = p->row_header ? mat->cols : mat->group;
    const uint32_t padded = p->chunk_steps * shape->lanes; /* a group, if it is not the row */
    uint64_t most = 0, beats = 0;
    size_t bytes;
    if (!o)
        return ACCEL_OK;
    if (shape->o_depth == 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "kind %s cannot run %s with outliers: this array was built without the "
                          "unit for them",
                          kind->name, accel_format_name(mat->format));
    for (uint32_t t = 0; t < p->row_tiles; t++) {
        const uint32_t count = tile_first(mat, t + 1, shape->rows) -
                               tile_first(mat, t, shape->rows);
        most = count > most ? count : most;
        if (count > CHUNKS_MAX * shape->o_depth)
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "kind %s cannot run %s with that many outliers: %u in the %u rows "
                              "from %u on, this array takes %u",
                              kind->name, accel_format_name(mat->format), count, shape->rows,
                              t * shape->rows, CHUNKS_MAX * shape->o_depth);
    }
    const uint32_t chunks = (uint32_t)((most + shape->o_depth - 1) / shape->o_depth);
    /* the null entries that a tile needs at most, each of a chunk of its own */
    beats = (uint64_t)o->first[mat->rows] + (uint64_t)p->row_tiles * chunks;
    uint64_t *to = mul_size((size_t)beats, sizeof *to, &bytes) ? malloc(bytes) : NULL;
    if (!to)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: packing %u outliers",
                          o->first[mat->rows]);
    p->outliers = to;
    p->outlier_chunks = chunks;
    for (uint32_t t = 0, row = 0; t < p->row_tiles; t++) {
        uint32_t i = tile_first(mat, t, shape->rows);
        const uint32_t end = tile_first(mat, t + 1, shape->rows);
        for (uint32_t c = 0; c < chunks; c++) {
            const uint32_t stop = end - i < shape->o_depth ? end : i + shape->o_depth;
            if (i == stop)
                *to++ = LAST;
            for (; i < stop; i++) {
                while (o->first[row + 1] <= i)
                    row++;
                const uint32_t col = o->col[i];
                const uint32_t at = p->row_header ? col : col / group * padded + col % group;
                *to++ = beat(o->k[i], at, shape->lanes, row % shape->rows) |
                        (i + 1 == stop ? LAST : 0);
            }
        }
    }
    p->outlier_beats = (size_t)(to - p->outliers);
    return ACCEL_OK;
}
