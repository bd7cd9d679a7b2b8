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
    size_t dim = h->rope_dim;
    for (size_t i = 0; i < dim; i += 2) {
        double step = fm_pow_d(h->rope_base, -(double)i / (double)dim);
        if (freqs)
            step = step / (double)freqs[i / 2];
        step = step / h->rope_factor;
        for (size_t pos = 0; pos < context; pos++) {
            double s, c;
            float *turn = rope + pos * dim * 2;
            fm_sincos_d((double)pos * step, &s, &c);
            turn[i] = turn[i + 1] = (float)c;
            turn[dim + i] = (float)-s;
            turn[dim + i + 1] = (float)s;
        }
    }
}

/* (a, b) becomes (a cos - b sin, b cos + a sin). The minus sits in the table: given a difference
 * next to a sum, gcc 12 makes a fused multiply-add of them in spite of -ffp-contract=off. */
void attention_rotate(float *v, const float *turn, size_t dim)
{
    for (size_t i = 0; i < dim; i += 2) {
        float a = v[i], b = v[i + 1];
        v[i] = a * turn[i] + b * turn[dim + i];
        v[i + 1] = b * turn[i + 1] + a * turn[dim + i + 1];
    }
}

void attention_rotate_keys(float *keys, size_t stride, const float *rope, size_t pos, size_t count,
                           size_t dim)
{
    for (size_t i = 0; i < dim; i += 2) {
        float *even = keys + i * stride, *odd = even + stride;
        for (size_t t = 0; t < count; t++) {
            const float *turn = rope + (pos + t) * dim * 2 + i;
            float a = even[t], b = odd[t];
            even[t] = a * turn[0] + b * turn[dim];
            odd[t] = b * turn[1] + a * turn[dim + 1];
        }
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

void attention_scores(const float *q, const float *keys, size_t dim, size_t stride, size_t count,
                      float *restrict scores)
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
}

void attention_mix(const float *scores, const float *values, size_t dim, size_t count, float *out)
{
    size_t d = 0;
    for (; d + 32 <= dim; d += 32)
        weighted_sum_32(scores, values + d, dim, count, out + d);
    for (; d + 8 <= dim; d += 8)
        weighted_sum_8(scores, values + d, dim, count, out + d);
    for (; d < dim; d++)
        weighted_sum_1(scores, values + d, dim, count, out + d);
}

void attention_head(const float *q, const float *keys, const float *values, size_t dim,
                    size_t stride, size_t count, float scale, float *restrict scores, float *out)
{
    attention_scores(q, keys, dim, stride, count, scores);
    for (size_t t = 0; t < count; t++)
        scores[t] *= scale;
    fm_softmax(scores, count);
    attention_mix(scores, values, dim, count, out);
}
