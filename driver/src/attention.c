/* attention.c - the float part of attention: rotation, scores, weighted sum.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys are stored with the token as the fast dimension and values with the channel, so that every
 * sum runs in plain ascending order while the loop over independent sums is the inner one: vector
 * units of any width give the same bits. */
#include "llama.h"

#include "fmath.h"

void attention_angles(float *rope, uint32_t context, const struct accel_model_info *h,
                      const float *freqs)
{
    uint32_t pairs = h->rope_dim / 2;
    for (uint32_t i = 0; i < pairs; i++) {
        double step = fm_pow_d(h->rope_base, -2.0 * (double)i / (double)h->rope_dim);
        if (freqs)
            step = step / (double)freqs[i];
        step = step / h->rope_factor;
        for (uint32_t pos = 0; pos < context; pos++) {
            double s, c;
            fm_sincos_d((double)pos * step, &s, &c);
            rope[((size_t)pos * pairs + i) * 2] = (float)c;
            rope[((size_t)pos * pairs + i) * 2 + 1] = (float)s;
        }
    }
}

void attention_rotate(float *v, const float *turn, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++) {
        float a = v[2 * i], b = v[2 * i + 1], c = turn[2 * i], s = turn[2 * i + 1];
        v[2 * i] = a * c - b * s;
        v[2 * i + 1] = a * s + b * c;
    }
}

/* out[d] for Width channels at once; the partial sums stay in registers. */
#define WEIGHTED_SUM(Width)                                                                    \
    static void weighted_sum_##Width(const float *w, const float *v, size_t dim, size_t count, \
                                     float *out)                                               \
    {                                                                                          \
        float acc[Width] = { 0 };                                                              \
        for (size_t t = 0; t < count; t++)                                                     \
            for (size_t d = 0; d < (Width); d++)                                               \
                acc[d] += w[t] * v[t * dim + d];                                               \
        for (size_t d = 0; d < (Width); d++)                                                   \
            out[d] = acc[d];                                                                   \
    }
WEIGHTED_SUM(32)
WEIGHTED_SUM(8)
WEIGHTED_SUM(1)

void attention_head(const float *q, const float *keys, const float *values, size_t dim,
                    size_t stride, size_t count, float scale, float *restrict scores, float *out)
{
    size_t d = 0;
    for (size_t t = 0; t < count; t++)
        scores[t] = 0.0f;
    for (; d + 4 <= dim; d += 4) {
        const float *k0 = keys + d * stride, *k1 = k0 + stride, *k2 = k1 + stride,
                    *k3 = k2 + stride;
        float q0 = q[d], q1 = q[d + 1], q2 = q[d + 2], q3 = q[d + 3];
        for (size_t t = 0; t < count; t++)
            scores[t] = (((scores[t] + q0 * k0[t]) + q1 * k1[t]) + q2 * k2[t]) + q3 * k3[t];
    }
    for (; d < dim; d++)
        for (size_t t = 0; t < count; t++)
            scores[t] += q[d] * keys[d * stride + t];
    for (size_t t = 0; t < count; t++)
        scores[t] *= scale;
    fm_softmax(scores, count);
    for (d = 0; d + 32 <= dim; d += 32)
        weighted_sum_32(scores, values + d, dim, count, out + d);
    for (; d + 8 <= dim; d += 8)
        weighted_sum_8(scores, values + d, dim, count, out + d);
    for (; d < dim; d++)
        weighted_sum_1(scores, values + d, dim, count, out + d);
}
