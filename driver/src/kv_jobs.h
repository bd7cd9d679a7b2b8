/* kv_jobs.h - attention with a cache of codes whose products are jobs on a device.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A block of 32 tokens of one head is two matrices of codes, without any scale: keys [32][dim], rotated before they were
 * rounded, and values [dim][32]. A channel's unit goes into the query, a token's into the softmax's weight, before they
 * are rounded to 16 bits; what their zeros add is an integer, too. docs/kv.md has the formulas. */
#ifndef ACCEL_KV_JOBS_H
#define ACCEL_KV_JOBS_H

#include "kv.h"

struct kv_jobs {
    struct kv_cache *kv;
    accel_dev *dev;
    uint64_t deadline_ns;
    uint32_t heads, dim;  /* of keys and values */
    uint32_t share;       /* heads that read the same keys */
    uint32_t most;        /* columns of one job */
    uint64_t macs;        /* of all jobs so far */
    size_t context, room; /* room: columns that the buffers below hold, two each of x and acc */
    accel_weights *
        *weights;   /* [layers][blocks][heads][2]: keys, values; NULL where there is no block yet */
    uint8_t *codes; /* of one matrix */
    int16_t *ones;  /* scales of its rows */
    int8_t *x;      /* [2 * room][longest]: high bytes, low bytes in turn */
    int64_t *acc;   /* [2 * room][longest] */
    int64_t *offset; /* [room] */
    float *scale;    /* [room] */
    float *scores;   /* [room][context] */
    float *scaled;   /* [longest] */
};

/* For batches of that many tokens. kv is open, and outlives this.
 * @return ACCEL_OK, _E_UNSUPPORTED (the device cannot run the codes), _E_NOMEM. On failure, too, kv_jobs_close. */
int kv_jobs_open(struct kv_jobs *j, struct kv_cache *kv, accel_dev *dev,
                 const struct accel_model_info *model, uint32_t context, uint32_t batch,
                 uint64_t deadline_ns, struct accel_error *err);
void kv_jobs_close(struct kv_jobs *j);
/* Load the newest block of codes, in all layers. @return as accel_load */
int kv_jobs_load(struct kv_jobs *j, struct accel_error *err);
/* Attention of n tokens at pos and following, none of which is in a block of codes: y[i * stride] has a token's queries, all
 * heads', rotated, and gets what their heads return. keys and values are those of the tokens since the last block of codes,
 * at their places, as attention_head takes them. @return as accel_run */
int kv_jobs_attend(struct kv_jobs *j, uint32_t layer, size_t n, size_t pos, const float *keys,
                   const float *values, float *y, size_t stride, struct accel_error *err);

#endif
