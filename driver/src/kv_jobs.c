/* kv_jobs.c - attention's products with blocks of codes as jobs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kv_jobs.h"

#include "fmath.h"
#include "internal.h"
#include "llama.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS, VALUES, PAIR };

/* ---- blocks ---- */

static accel_weights **place(const struct kv_jobs *j, uint32_t layer, size_t block, uint32_t head)
{
    return j->weights + (((size_t)layer * j->kv->blocks + block) * j->heads + head) * PAIR;
}

static int load_one(const struct kv_jobs *j, uint32_t layer, size_t block, uint32_t head, bool keys,
                    accel_weights **w, struct accel_error *err)
{
    accel_matrix *mat = NULL;
    struct accel_matrix_parts parts = {
        .format = ACCEL_UINT(kv_bits(j->kv, keys)),
        .rows = keys ? KV_BLOCK : j->dim,
        .cols = keys ? j->dim : KV_BLOCK,
        .codes = j->codes,
        .sc = j->ones,
    };
    kv_codes(j->kv, layer, block, keys, head, j->dim, j->codes);
    int rc = accel_matrix_from_codes(&parts, &mat, err);
    if (!rc)
        rc = accel_load(j->dev, mat, w, err);
    accel_matrix_free(mat);
    return rc;
}

int kv_jobs_load(struct kv_jobs *j, struct accel_error *err)
{
    size_t block = j->kv->rounded / KV_BLOCK - 1;
    for (uint32_t layer = 0; layer < j->kv->layers; layer++)
        for (uint32_t head = 0; head < j->heads; head++)
            for (int which = 0; which < PAIR; which++) {
                accel_weights **w = place(j, layer, block, head) + which;
                accel_unload(*w); /* of a context that was left */
                *w = NULL;
                int rc = load_one(j, layer, block, head, which == KEYS, w, err);
                if (rc)
                    return rc;
            }
    return ACCEL_OK;
}

/* ---- one job ---- */

/* Column i becomes v[d] * unit[d] as integers of 16 bits; offset is what the zeros add to its products with a code. */
static void set_column(struct kv_jobs *j, size_t i, const float *v, const struct kv_scale *scales,
                       size_t step, size_t count)
{
    int8_t *high = j->x + 2 * i * count, *low = high + count;
    int64_t offset = 0;
    for (size_t d = 0; d < count; d++)
        j->scaled[d] = v[d] * kv_unit(scales[d * step]);
    j->scale[i] = quantize_activations_16(j->scaled, count, high, low);
    for (size_t d = 0; d < count; d++)
        offset += (256 * high[d] + low[d]) * scales[d * step].zero;
    j->offset[i] = offset;
}

/* All columns of j->x by a block of codes, in as few jobs as the device allows. */
static int multiply(struct kv_jobs *j, const accel_weights *w, size_t rows, size_t cols,
                    size_t columns, struct accel_error *err)
{
    for (size_t done = 0; done < 2 * columns;) {
        size_t left = 2 * columns - done;
        struct accel_job job = {
            .weights = w,
            .x = j->x + done * cols,
            .n = left < j->most ? (uint32_t)left : j->most,
            .x_stride = cols,
            .out = ACCEL_OUT_ACC,
            .y = j->acc + done * rows,
            .y_stride = rows,
            .deadline_ns = j->deadline_ns,
        };
        int rc = accel_run(j->dev, &job, NULL, err);
        if (rc)
            return rc;
        done += job.n;
        j->macs += (uint64_t)job.n * rows * cols;
    }
    return ACCEL_OK;
}

/* Row m of column i. */
static float result(const struct kv_jobs *j, size_t i, size_t m, size_t rows)
{
    const int64_t *high = j->acc + 2 * i * rows, *low = high + rows;
    int64_t sum = KV_FINE * (256 * high[m] + low[m]) + j->offset[i];
    return (float)((double)sum * (double)j->scale[i]);
}

/* ---- attention ---- */

/* Column c of a head's keys and values is head c % share of token c / share: its query, then its result. */
static float *column_of(const struct kv_jobs *j, uint32_t head, size_t c, float *y, size_t stride)
{
    return y + c / j->share * stride + (head * j->share + c % j->share) * j->dim;
}

/* The heads that share keys and values. */
static int attend(struct kv_jobs *j, uint32_t layer, uint32_t head, size_t n, size_t pos,
                  const float *keys, const float *values, float *y, size_t stride,
                  struct accel_error *err)
{
    const size_t dim = j->dim, columns = n * j->share, first = j->kv->rounded;
    const float root = fm_rsqrt((float)dim);
    for (size_t block = 0; block < first / KV_BLOCK; block++) {
        const struct kv_scale *scales = kv_scales(j->kv, layer, block, true) + head * dim;
        for (size_t c = 0; c < columns; c++)
            set_column(j, c, column_of(j, head, c, y, stride), scales, 1, dim);
        int rc = multiply(j, place(j, layer, block, head)[KEYS], KV_BLOCK, dim, columns, err);
        if (rc)
            return rc;
        for (size_t c = 0; c < columns; c++)
            for (size_t t = 0; t < KV_BLOCK; t++)
                j->scores[c * j->context + block * KV_BLOCK + t] = result(j, c, t, KV_BLOCK);
    }
    for (size_t c = 0; c < columns; c++) {
        float *scores = j->scores + c * j->context;
        float *out = column_of(j, head, c, y, stride);
        size_t count = pos + c / j->share + 1;
        attention_scores(out, keys + first, dim, j->context, count - first, scores + first);
        for (size_t t = 0; t < count; t++)
            scores[t] *= root;
        fm_softmax(scores, count);
        attention_mix(scores + first, values + first * dim, dim, count - first, out);
    }
    for (size_t block = 0; block < first / KV_BLOCK; block++) {
        const struct kv_scale *scales = kv_scales(j->kv, layer, block, false) +
                                        head * dim / j->kv->span;
        for (size_t c = 0; c < columns; c++)
            set_column(j, c, j->scores + c * j->context + block * KV_BLOCK, scales,
                       j->kv->width / j->kv->span, KV_BLOCK);
        int rc = multiply(j, place(j, layer, block, head)[VALUES], dim, KV_BLOCK, columns, err);
        if (rc)
            return rc;
        for (size_t c = 0; c < columns; c++) {
            float *out = column_of(j, head, c, y, stride);
            for (size_t d = 0; d < dim; d++)
                out[d] += result(j, c, d, dim);
        }
    }
    return ACCEL_OK;
}

int kv_jobs_attend(struct kv_jobs *j, uint32_t layer, size_t n, size_t pos, const float *keys,
                   const float *values, float *y, size_t stride, struct accel_error *err)
{
    int rc = ACCEL_OK;
    for (uint32_t head = 0; head < j->heads && !rc; head++) {
        size_t base = (size_t)head * j->dim * j->context;
        rc = attend(j, layer, head, n, pos, keys + base, values + base, y, stride, err);
    }
    return rc;
}

/* ---- memory ---- */

int kv_jobs_open(struct kv_jobs *j, struct kv_cache *kv, accel_dev *dev,
                 const struct accel_model_info *model, uint32_t context, uint32_t batch,
                 uint64_t deadline_ns, struct accel_error *err)
{
    struct accel_caps caps;
    struct accel_error why = { 0 };
    accel_get_caps(dev, &caps);
    *j = (struct kv_jobs){ .kv = kv,
                           .dev = dev,
                           .deadline_ns = deadline_ns,
                           .heads = model->kv_heads,
                           .dim = model->head_dim,
                           .share = model->heads / model->kv_heads,
                           .context = context };
    size_t longest = j->dim > KV_BLOCK ? j->dim : KV_BLOCK;
    for (int keys = 0; keys < 2; keys++)
        if (!accel_can_run(dev, ACCEL_UINT(kv_bits(kv, keys)), 0, &why))
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "attention cannot be jobs of %s: %.120s; leave ':jobs' out", caps.uri,
                              why.text);
    j->most = llama_columns(&caps, (uint32_t)longest, 0);
    if (!j->most)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "attention cannot be jobs of %s: its buffers do not hold a head of %u",
                          caps.uri, j->dim);
    j->room = (size_t)(batch < KV_BLOCK ? batch : KV_BLOCK) * j->share;
    j->weights = new_array((size_t)kv->layers * PAIR, kv->blocks, j->heads,
                           sizeof(accel_weights *));
    j->codes = new_array(KV_BLOCK, j->dim, 1, sizeof *j->codes);
    j->ones = new_array(longest, 1, 1, sizeof *j->ones);
    j->x = new_array(2 * j->room, longest, 1, sizeof *j->x);
    j->acc = new_array(2 * j->room, longest, 1, sizeof *j->acc);
    j->offset = new_array(j->room, 1, 1, sizeof *j->offset);
    j->scale = new_array(j->room, 1, 1, sizeof *j->scale);
    j->scores = new_array(j->room, context, 1, sizeof *j->scores);
    j->scaled = new_array(longest, 1, 1, sizeof *j->scaled);
    if (!j->weights || !j->codes || !j->ones || !j->x || !j->acc || !j->offset || !j->scale ||
        !j->scores || !j->scaled)
        return accel_fail(err, ACCEL_E_NOMEM,
                          "out of memory for attention over %u tokens: choose a smaller context",
                          context);
    for (size_t i = 0; i < longest; i++)
        j->ones[i] = 1;
    return ACCEL_OK;
}

void kv_jobs_close(struct kv_jobs *j)
{
    size_t count = (size_t)j->kv->layers * j->kv->blocks * j->heads * PAIR;
    for (size_t i = 0; j->weights && i < count; i++)
        accel_unload(j->weights[i]);
    free(j->weights);
    free(j->codes);
    free(j->ones);
    free(j->x);
    free(j->acc);
    free(j->offset);
    free(j->scale);
    free(j->scores);
    free(j->scaled);
}
