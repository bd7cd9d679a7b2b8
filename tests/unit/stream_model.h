/* stream_model.h - the core in software: streams in, results out, as docs/core.md describes them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef STREAM_MODEL_H
#define STREAM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream_array {
    uint32_t kind; /* as in docs/core.md */
    uint32_t rows, lanes, scale_units, o_depth;
};

/* The fields of a GEMM command. */
struct stream_command {
    uint32_t row_tiles, columns, steps, chunk_steps, planes, coding, table;
    uint32_t outlier_chunks;
    bool asymmetric, row_header, requantize, selectors;
};

/* Stream contents and their lengths in beats. */
struct stream_data {
    const uint8_t *x, *w;
    const uint16_t *h;
    size_t x_beats, w_beats, h_beats;
    const uint64_t *o;
    size_t o_beats;
};

/* Runs one command and writes the result stream: [row tile][column][row].
 * @return NULL, or what was wrong with the streams (static text): each must end exactly where the
 *         command ends */
const char *stream_model(const struct stream_array *array, const struct stream_command *command,
                         const struct stream_data *data, int64_t *results);

#endif
