/* scale.c - the scale of a group of weights that leaves the least squared error.
 * SPDX-License-Identifier: Apache-2.0 */
#include "quant.h"

#include <math.h>
#include <string.h>

enum { PARTS = 8 };

/* Eight partial sums, which vector units like; their order is part of the result. */
static double integer_error(const struct quant_levels *l, const float *w, const float *weight,
                            uint32_t n, float scale, float zero)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float inverse = 1.0f / scale, low = l->low, high = l->high, part[PARTS] = { 0 };
    uint32_t i = 0;
    for (; i + PARTS <= n; i += PARTS) {
        for (uint32_t j = 0; j < PARTS; j++) {
            float q = w[i + j] * inverse + zero;
            q = q < low ? low : q;
            q = q > high ? high : q;
            q = (q + magic) - magic;
            float e = w[i + j] - scale * (q - zero);
            part[j] += e * e * (weight ? weight[i + j] : 1.0f);
        }
    }
    for (; i < n; i++) {
        float q = w[i] * inverse + zero;
        q = q < low ? low : q;
        q = q > high ? high : q;
        q = (q + magic) - magic;
        float e = w[i] - scale * (q - zero);
        part[i % PARTS] += e * e * (weight ? weight[i] : 1.0f);
    }
    double sum = 0;
    for (unsigned j = 0; j < PARTS; j++)
        sum += (double)part[j];
    return sum;
}

double quant_scale_error(const struct quant_levels *l, const float *w, const float *weight,
                         uint32_t n, float scale, float zero)
{
    float inverse = 1.0f / scale;
    double sum = 0;
    if (scale == 0.0f || !isfinite(inverse)) {
        for (uint32_t i = 0; i < n; i++)
            sum += (double)w[i] * (double)w[i] * (weight ? (double)weight[i] : 1.0);
        return sum;
    }
    if (l->integer)
        return integer_error(l, w, weight, n, scale, zero);
    for (uint32_t i = 0; i < n; i++) {
        double e = (double)(w[i] - scale * quant_nearest(l, w[i] * inverse, 0.0f, NULL));
        sum += e * e * (weight ? (double)weight[i] : 1.0);
    }
    return sum;
}

struct search {
    const struct quant_levels *l;
    const float *w, *weight;
    uint32_t n;
    float zero_top;
    uint8_t sel;
    struct quant_scale *best;
};

static void try_scale(const struct search *s, float scale, float zero)
{
    zero = zero < 0.0f ? 0.0f : zero > s->zero_top ? s->zero_top : zero;
    double error = quant_scale_error(s->l, s->w, s->weight, s->n, scale, zero);
    if (error < s->best->error)
        *s->best = (struct quant_scale){ scale, zero, s->sel, error };
}

/* With the codes that the best scale gives: the scale (and offset) of least squares. */
static void fit(const struct search *s, bool offset)
{
    struct quant_scale b = *s->best;
    double kk = 0, k1 = 0, wk = 0, w1 = 0, one = 0;
    if (b.scale == 0.0f || b.sel != s->sel)
        return;
    for (uint32_t i = 0; i < s->n; i++) {
        double weight = s->weight ? (double)s->weight[i] : 1.0, w = (double)s->w[i];
        double k = (double)(quant_nearest(s->l, s->w[i] / b.scale, b.zero, NULL) + b.zero);
        kk += weight * k * k;
        k1 += weight * k;
        wk += weight * w * k;
        w1 += weight * w;
        one += weight;
    }
    if (!offset) {
        if (kk > 0)
            try_scale(s, (float)(wk / kk), 0.0f);
        return;
    }
    double det = kk * one - k1 * k1;
    if (det <= 1e-9 * kk * one)
        return;
    double scale = (wk * one - w1 * k1) / det, start = (w1 * kk - wk * k1) / det;
    if (scale > 0)
        try_scale(s, (float)scale, (float)(-start / scale));
}

/* How far the range may be clipped: the fewer the values, the more. */
static unsigned clips(unsigned values, float *least)
{
    *least = values <= 3    ? 0.2f
             : values <= 4  ? 0.3f
             : values <= 8  ? 0.45f
             : values <= 16 ? 0.6f
                            : 0.85f;
    return values <= 16 ? 12 : 5;
}

static void find_offset(const struct search *s, float min, float max)
{
    unsigned values = (unsigned)(s->l->high - s->l->low) + 1;
    float least;
    clips(values, &least);
    unsigned count = values <= 8 ? 6 : values <= 16 ? 4 : 2;
    min = min > 0.0f ? 0.0f : min;
    max = max < 0.0f ? 0.0f : max;
    for (unsigned a = 0; a < count; a++) {
        for (unsigned b = 0; b < count; b++) {
            float low = min * (1.0f - (1.0f - least) * (float)a / (float)(count - 1));
            float high = max * (1.0f - (1.0f - least) * (float)b / (float)(count - 1));
            float scale = (high - low) / s->l->high;
            if (scale > 0.0f)
                try_scale(s, scale, -low / scale);
        }
    }
    fit(s, true);
    fit(s, true);
}

static void find_symmetric(const struct search *s, float peak)
{
    const struct quant_levels *l = s->l;
    float least, top = -l->low > l->high ? -l->low : l->high;
    unsigned values = l->integer ? (unsigned)(l->high - l->low) + 1 : l->count;
    unsigned count = clips(values, &least);
    for (unsigned i = 0; i < count; i++) {
        float clip = 1.0f - (1.0f - least) * (float)i / (float)(count - 1);
        if (l->integer &&
            l->high > 0.0f) { /* the peak on the side that has one value more, or on the other */
            try_scale(s, peak * clip / l->low, 0.0f);
            if (values <= 8)
                try_scale(s, peak * clip / l->high, 0.0f);
        } else if (l->integer) {
            try_scale(s, peak * clip / l->low, 0.0f);
        } else {
            try_scale(s, fabsf(peak) * clip / top, 0.0f);
        }
    }
    fit(s, false);
    fit(s, false);
}

void quant_find_scale(accel_format f, const struct quant_levels *levels, const float *w,
                      const float *weight, uint32_t n, struct quant_scale *best)
{
    float min = w[0], max = w[0];
    for (uint32_t i = 1; i < n; i++) {
        min = w[i] < min ? w[i] : min;
        max = w[i] > max ? w[i] : max;
    }
    best->scale = best->zero = 0.0f;
    best->sel = 0;
    best->error = quant_scale_error(levels, w, weight, n, 0.0f, 0.0f);
    float peak = -min > max ? min : max;
    if (peak == 0.0f || best->error == 0.0)
        return;
    unsigned choices = accel_format_has_sel(f) ? 4 : 1;
    for (unsigned sel = 0; sel < choices; sel++) {
        struct search s = {
            .l = &levels[sel], .w = w, .weight = weight, .n = n, .sel = (uint8_t)sel, .best = best
        };
        if ((f & 0xF00u) == ACCEL_CODING_UNSIGNED) {
            s.zero_top = 255.0f / (float)(1u << (8 - accel_format_bits(f)));
            find_offset(&s, min, max);
        } else {
            find_symmetric(&s, peak);
        }
    }
}
