/* streams.h - a job as the core's streams of bytes, and result bytes as its outcome: what every backend with a core
 * behind it shares.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_STREAMS_H
#define ACCEL_STREAMS_H

#include "internal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct byte_stream {
    const uint8_t *bytes;
    size_t count;
};

/* Zeroed: empty. Buffers are kept from job to job. */
struct job_streams {
    uint32_t command[4];
    struct byte_stream x, w, h, o; /* whole beats; valid until the next job */
    size_t result_bytes;
    int8_t *acts;
    uint16_t *headers;
    size_t acts_room, headers_room; /* bytes */
};

/* The three of a backend with a core: whether the kind runs a format (1, or 0 with the reason), weights packed for it, and
 * what its ten counters have counted for a job. */
int streams_can_run(const struct pe_kind *kind, const struct pack_shape *shape, accel_format f,
                    struct accel_error *err);
int streams_load(const struct pe_kind *kind, const struct pack_shape *shape,
                 const struct accel_matrix *mat, struct accel_weights *w, struct accel_error *err);
#define STREAMS_COUNTERS 10u
void streams_stats(const uint64_t *counted, const struct backend_job *job,
                   struct accel_stats *stats);

/* @return ACCEL_OK, _E_NOMEM */
int streams_of_job(struct job_streams *s, const struct pack_shape *shape, const struct packed *p,
                   const struct backend_job *job, uint16_t id);
void streams_free(struct job_streams *s);

/* Takes result bytes as they come, in any pieces; zeroed but for the first four fields. */
struct result_reader {
    const struct backend_job *job;
    uint32_t array_rows;
    size_t values; /* taken so far */
    size_t values_in_all;
    uint8_t part[6];
    unsigned part_count;
};
void results_begin(struct result_reader *r, const struct pack_shape *shape, const struct packed *p,
                   const struct backend_job *job);
/* False: there are more bytes than the job has results. */
bool results_take(struct result_reader *r, const uint8_t *bytes, size_t count);
bool results_whole(const struct result_reader *r);

#ifdef __cplusplus
}
#endif
#endif
