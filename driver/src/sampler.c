/* sampler.c - pick a token from logits: greedy or temperature, top-k, top-p, with a seed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "accel_llm.h"
#include "fmath.h"
#include "internal.h"

#include <stdbool.h>
#include <stdlib.h>

void accel_sampler_seed(struct accel_sampler *sampler, uint64_t seed)
{
    sampler->state = seed;
}

/* Likeliest first; equals by id, so that the order never depends on the sort. */
static int by_probability(const void *a, const void *b)
{
    const struct accel_candidate *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static float usable(float logit)
{
    return fm_all_finite(&logit, 1) ? logit : -3.0e38f;
}

uint32_t accel_sample(struct accel_sampler *sampler, const float *logits, uint32_t vocab,
                      struct accel_candidate *scratch)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++)
        if (usable(logits[i]) > usable(logits[best]))
            best = i;
    if (!(sampler->temperature > 0.0f) || sampler->top_k == 1)
        return best;

    /* Probabilities relative to the best one. e^-80 is far below what a float sum can see. */
    float top = usable(logits[best]);
    for (uint32_t i = 0; i < vocab; i++) {
        float d = (usable(logits[i]) - top) / sampler->temperature;
        scratch[i].p = d > -80.0f ? fm_exp(d) : 0.0f;
        scratch[i].id = i;
    }
    uint32_t count = vocab;
    bool cut = (sampler->top_k && sampler->top_k < vocab) || sampler->top_p < 1.0f;
    if (cut)
        qsort(scratch, vocab, sizeof *scratch, by_probability);
    if (sampler->top_k && sampler->top_k < count)
        count = sampler->top_k;
    float sum = 0.0f;
    for (uint32_t i = 0; i < count; i++)
        sum += scratch[i].p;
    if (sampler->top_p < 1.0f) {
        float kept = 0.0f;
        uint32_t n = 0;
        do
            kept += scratch[n++].p;
        while (n < count && kept < sampler->top_p * sum);
        count = n;
        sum = kept;
    }
    /* 24 random bits make a float in [0, 1) without rounding. */
    float at = (float)(next_random(&sampler->state) >> 40) * (1.0f / 16777216.0f) * sum;
    for (uint32_t i = 0; i < count; i++) {
        at -= scratch[i].p;
        if (at < 0.0f)
            return scratch[i].id;
    }
    return cut ? scratch[0].id : best; /* rounding used up the sum: take the likeliest */
}
