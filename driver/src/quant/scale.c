/* scale.c - the scale of a group of weights that leaves the least squared error.
 * SPDX-License-Identifier: Apache-2.0 */
#include "quant.h"

#include <math.h>
#include <string.h>

enum { AT_ONCE = 256 };

/* w / scale + zero, rounded and clamped to a whole k: halves to even. */
static inline float whole(float low, float high, float w, float inverse, float zero)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float q = w * inverse + zero;
    q = q < low ? low : q;
    q = q > high ? high : q;
    return (q + magic) - magic;
}

static inline __attribute__((always_inline)) void fold(float *restrict low,
                                                       const float *restrict high, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        low[i] += high[i];
}

/* The upper half onto the lower one, until one is left; v is spent. The usual group sizes are unrolled. */
static inline __attribute__((always_inline)) double sum_parts(float *v, uint32_t n)
{
    if (n != 32 && n != 64 && n != 128) {
        for (uint32_t half; n > 1; n -= half) {
            half = n / 2;
            fold(v, v + (n - half), half);
        }
        return (double)v[0];
    }
    if (n == 128)
        fold(v, v + 64, 64);
    if (n >= 64)
        fold(v, v + 32, 32);
    fold(v, v + 16, 16);
    fold(v, v + 8, 8);
    fold(v, v + 4, 4);
    fold(v, v + 2, 2);
    return (double)(v[0] + v[1]);
}

/* First every error, then their sum: a loop that sums does not become vector instructions. */
static inline __attribute__((always_inline)) double part_error(float low, float high,
                                                               const float *w, const float *weight,
                                                               uint32_t m, float scale, float zero)
{
    const float inverse = 1.0f / scale;
    float e[AT_ONCE];
    for (uint32_t i = 0; i < m; i++) {
        float d = w[i] - scale * (whole(low, high, w[i], inverse, zero) - zero);
        e[i] = d * d;
    }
    for (uint32_t i = 0; weight && i < m; i++)
        e[i] *= weight[i];
    return sum_parts(e, m);
}

static double integer_error(const struct quant_levels *l, const float *w, const float *weight,
                            uint32_t n, float scale, float zero)
{
    double sum = 0;
    /* the usual groups without a loop's overhead: this is most of what rounding to nearest takes */
    if (n == 32 && !weight)
        return part_error(l->low, l->high, w, NULL, 32, scale, zero);
    if (n == 64 && !weight)
        return part_error(l->low, l->high, w, NULL, 64, scale, zero);
    if (n == 128 && !weight)
        return part_error(l->low, l->high, w, NULL, 128, scale, zero);
    for (uint32_t at = 0; at < n; at += AT_ONCE)
        sum += part_error(l->low, l->high, w + at, weight ? weight + at : NULL,
                          n - at < AT_ONCE ? n - at : AT_ONCE, scale, zero);
    return sum;
}

void quant_round(const struct quant_levels *l, const float *w, uint32_t n, float scale, float zero,
                 uint8_t *codes, float *values)
{
    float inverse = 1.0f / scale;
    const float low = l->low, high = l->high;
    int mask = (int)(high - low); /* two's complement of the format's width */
    if (scale == 0.0f || !isfinite(inverse)) {
        scale = inverse = 0.0f;
        zero = zero < l->high ? zero : l->high;
    }
    for (uint32_t i = 0; i < n; i++) {
        float k = whole(low, high, w[i], inverse, zero);
        codes[i] = (uint8_t)((int)k & mask);
        values[i] = scale * (k - zero);
    }
}

double quant_scale_error(const struct quant_levels *l, const float *w, const float *weight,
                         uint32_t n, float scale, float zero)
{
    float inverse = 1.0f / scale;
    double sum = 0;
    if (scale == 0.0f || !isfinite(inverse)) {
        double part[8] = { 0 };
        for (uint32_t first = 0; first < n; first += 8)
            for (uint32_t i = 0; i < 8 && first + i < n; i++)
                part[i] += (double)w[first + i] * (double)w[first + i] *
                           (weight ? (double)weight[first + i] : 1.0);
        for (uint32_t i = 0; i < 8; i++)
            sum += part[i];
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

enum { KK, K1, WK, W1, ONE, SUMS };

/* Weighted sums of k k, k, w k, w and 1. */
static void sums_of(const struct search *s, float inverse, float zero, double *sums)
{
    const float low = s->l->low, high = s->l->high;
    float k[AT_ONCE], v[SUMS][AT_ONCE];
    memset(sums, 0, SUMS * sizeof *sums);
    for (uint32_t at = 0; at < s->n; at += AT_ONCE) {
        uint32_t m = s->n - at < AT_ONCE ? s->n - at : AT_ONCE;
        const float *w = s->w + at;
        if (s->l->integer)
            for (uint32_t i = 0; i < m; i++)
                k[i] = whole(low, high, w[i], inverse, zero);
        else
            for (uint32_t i = 0; i < m; i++)
                k[i] = quant_nearest(s->l, w[i] * inverse, 0.0f, NULL);
        for (uint32_t i = 0; i < m; i++) {
            float weight = s->weight ? s->weight[at + i] : 1.0f;
            v[ONE][i] = weight;
            v[K1][i] = weight * k[i];
            v[W1][i] = weight * w[i];
            v[KK][i] = weight * k[i] * k[i];
            v[WK][i] = weight * w[i] * k[i];
        }
        for (unsigned i = 0; i < SUMS; i++)
            sums[i] += sum_parts(v[i], m);
    }
}

/* With the codes that the best scale gives: the scale (and offset) of least squares. Is it better? */
static bool fit(const struct search *s, bool offset)
{
    struct quant_scale b = *s->best;
    double sums[SUMS];
    if (b.scale == 0.0f || b.sel != s->sel)
        return false;
    sums_of(s, 1.0f / b.scale, b.zero, sums);
    double kk = sums[KK], k1 = sums[K1], wk = sums[WK], w1 = sums[W1], one = sums[ONE];
    if (!offset) {
        if (kk > 0)
            try_scale(s, (float)(wk / kk), 0.0f);
        return s->best->error < b.error;
    }
    double det = kk * one - k1 * k1;
    if (det <= 1e-9 * kk * one)
        return false;
    double scale = (wk * one - w1 * k1) / det, start = (w1 * kk - wk * k1) / det;
    if (scale > 0)
        try_scale(s, (float)scale, (float)(-start / scale));
    return s->best->error < b.error;
}

/* How far the range may be clipped: the fewer the values, the more. */
static unsigned clips(unsigned values, float *least)
{
    *least = values <= 3    ? 0.2f
             : values <= 4  ? 0.3f
             : values <= 8  ? 0.45f
             : values <= 16 ? 0.6f
                            : 0.85f;
    return values <= 8 ? 12 : values <= 16 ? 8 : 4;
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
    if (fit(s, true))
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
    if (fit(s, false))
        fit(s, false);
}

void quant_find_scale(accel_format f, const struct quant_levels *levels, const float *w,
                      const float *weight, uint32_t n, struct quant_scale *best)
{
    float low[8], high[8], min = w[0], max = w[0];
    for (uint32_t i = 0; i < 8; i++)
        low[i] = high[i] = w[0];
    uint32_t whole_part = n / 8 * 8;
    for (uint32_t first = 0; first < whole_part; first += 8)
        for (uint32_t i = 0; i < 8; i++) {
            low[i] = w[first + i] < low[i] ? w[first + i] : low[i];
            high[i] = w[first + i] > high[i] ? w[first + i] : high[i];
        }
    for (uint32_t i = 0; i < 8; i++) {
        min = low[i] < min ? low[i] : min;
        max = high[i] > max ? high[i] : max;
    }
    for (uint32_t i = whole_part; i < n; i++) {
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
