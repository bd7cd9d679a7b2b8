/* streams.c - jobs to streams, results back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "streams.h"

#include "link/resident.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "headers go out as they lie in memory");

int streams_can_run(const struct pe_kind *kind, const struct pack_shape *shape, accel_format f,
                    struct accel_error *err)
{
    struct pack_wire wire;
    const char *why = pack_wire_format(kind, shape->d_bits, f, &wire);
    if (!why)
        return 1;
    accel_fail(err, ACCEL_E_UNSUPPORTED, "%s cannot run %s: %s", kind->name, accel_format_name(f),
               why);
    return 0;
}

static void free_packed(void *priv)
{
    struct resident *r = ((struct packed *)priv)->resident;
    if (r)
        atomic_store(&r->dropped, true);
    resident_release(r);
    pack_free(priv);
    free(priv);
}

int streams_load(const struct pe_kind *kind, const struct pack_shape *shape,
                 const struct accel_matrix *mat, struct accel_weights *w, struct accel_error *err)
{
    struct packed *p = calloc(1, sizeof *p);
    if (!p)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: packing %u x %u weights", mat->rows,
                          mat->cols);
    int rc = pack_matrix(kind, shape, mat, p, err);
    if (rc) {
        free(p);
        return rc;
    }
    w->info.rows = mat->rows;
    w->info.cols = mat->cols;
    w->info.code_bits = (uint64_t)p->code_beats * p->beat_bits + (uint64_t)p->outlier_beats * 64;
    w->info.header_bits = (uint64_t)p->header_beats * shape->scale_units * 16;
    w->priv = p;
    w->free_priv = free_packed;
    return ACCEL_OK;
}

void streams_stats(const uint64_t *counted, const struct backend_job *job,
                   struct accel_stats *stats)
{
    stats->macs = (uint64_t)job->weights->rows * job->weights->cols * job->n;
    stats->cycles = counted[0];
    stats->array_beats = counted[1];
    stats->weight_beats = counted[2];
    stats->header_beats = counted[3];
    stats->act_beats = counted[4];
    stats->result_beats = counted[5];
    stats->stall_weights = counted[6];
    stats->stall_acts = counted[7];
    stats->stall_results = counted[8];
    stats->jobs = counted[9];
}

static int reserve(void **buffer, size_t *room, size_t bytes)
{
    if (bytes <= *room)
        return ACCEL_OK;
    void *larger = realloc(*buffer, bytes);
    if (!larger)
        return ACCEL_E_NOMEM;
    *buffer = larger;
    *room = bytes;
    return ACCEL_OK;
}

static int lay_out_activations(struct job_streams *s, const struct pack_shape *shape,
                               const struct packed *p, const struct backend_job *job)
{
    size_t column, bytes;
    void *acts = s->acts;
    if (!mul_size(p->steps, shape->lanes, &column) || !mul_size(column, job->n, &bytes) ||
        reserve(&acts, &s->acts_room, bytes))
        return ACCEL_E_NOMEM;
    s->acts = acts;
    for (uint32_t i = 0; i < job->n; i++)
        pack_activations(p, shape->lanes, job->weights->cols, job->weights->group,
                         job->x + i * job->x_stride, s->acts + i * column);
    s->x = (struct byte_stream){ (const uint8_t *)s->acts, bytes };
    return ACCEL_OK;
}

/* Each row tile's multipliers and shifts come behind its headers. */
static int weave_in_requantization(struct job_streams *s, const struct pack_shape *shape,
                                   const struct packed *p, const struct backend_job *job)
{
    const size_t per_tile = p->header_beats / p->row_tiles * shape->scale_units;
    const size_t words = per_tile + 3 * (size_t)shape->rows;
    size_t bytes;
    void *headers = s->headers;
    if (!mul_size(words, p->row_tiles, &bytes) || !mul_size(bytes, sizeof *s->headers, &bytes) ||
        reserve(&headers, &s->headers_room, bytes))
        return ACCEL_E_NOMEM;
    s->headers = headers;
    for (uint32_t tile = 0; tile < p->row_tiles; tile++) {
        uint16_t *to = s->headers + tile * words;
        if (per_tile) /* NULL otherwise, perhaps */
            memcpy(to, p->headers + tile * per_tile, per_tile * sizeof *to);
        to += per_tile;
        for (int word = 0; word < 3; word++)
            for (uint32_t r = 0; r < shape->rows; r++) {
                const uint64_t m = (uint64_t)tile * shape->rows + r;
                uint32_t v = 0;
                if (m < job->weights->rows)
                    v = word == 0   ? job->requant_mul[m]
                        : word == 1 ? job->requant_mul[m] >> 16
                                    : job->requant_shift[m];
                *to++ = (uint16_t)v;
            }
    }
    s->h = (struct byte_stream){ (const uint8_t *)s->headers, bytes };
    return ACCEL_OK;
}

int streams_of_job(struct job_streams *s, const struct pack_shape *shape, const struct packed *p,
                   const struct backend_job *job, uint16_t id)
{
    const bool requantize = job->requant_mul != NULL;
    s->command[0] = 1 | (uint32_t)id << 16;
    s->command[1] = p->row_tiles | job->n << 16;
    s->command[2] = p->steps | p->chunk_steps << 16;
    s->command[3] = p->planes | p->coding << 4 | (uint32_t)p->asymmetric << 6 |
                    (uint32_t)p->row_header << 7 | 1u << 8 | (uint32_t)requantize << 9 |
                    p->table << 10 | (uint32_t)p->has_sel << 15 | p->outlier_chunks << 16;
    int rc = lay_out_activations(s, shape, p, job);
    s->w = (struct byte_stream){ p->codes, p->code_beats * p->beat_bytes };
    s->h = (struct byte_stream){ (const uint8_t *)p->headers,
                                 p->header_beats * shape->scale_units * sizeof *p->headers };
    s->o = (struct byte_stream){ (const uint8_t *)p->outliers,
                                 p->outlier_beats * sizeof *p->outliers };
    if (!rc && requantize)
        rc = weave_in_requantization(s, shape, p, job);
    s->result_bytes = (size_t)p->row_tiles * shape->rows * job->n * 6;
    return rc;
}

void streams_free(struct job_streams *s)
{
    free(s->acts);
    free(s->headers);
}

void results_begin(struct result_reader *r, const struct pack_shape *shape, const struct packed *p,
                   const struct backend_job *job)
{
    *r = (struct result_reader){ .job = job,
                                 .array_rows = shape->rows,
                                 .values_in_all = (size_t)p->row_tiles * shape->rows * job->n };
}

static void take_value(struct result_reader *r)
{
    const struct backend_job *job = r->job;
    const size_t per_tile = (size_t)r->array_rows * job->n, in_tile = r->values % per_tile;
    const size_t row = r->values / per_tile * r->array_rows + in_tile % r->array_rows;
    const size_t at = in_tile / r->array_rows * job->weights->rows + row;
    uint64_t bits = 0;
    r->values++;
    if (row >= job->weights->rows) /* one that pads the last row tile */
        return;
    for (unsigned i = 0; i < 6; i++)
        bits |= (uint64_t)r->part[i] << (16 + 8 * i);
    if (job->acc)
        job->acc[at] = (int64_t)bits >> 16;
    else
        job->i8[at] = (int8_t)((int64_t)bits >> 16);
}

bool results_take(struct result_reader *r, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (r->values == r->values_in_all)
            return false;
        r->part[r->part_count++] = bytes[i];
        if (r->part_count == sizeof r->part) {
            r->part_count = 0;
            take_value(r);
        }
    }
    return true;
}

bool results_whole(const struct result_reader *r)
{
    return r->values == r->values_in_all;
}
