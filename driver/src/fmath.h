/* fmath.h - the arithmetic of the forward pass, bit for bit the same on every machine.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Only +, -, *, /, sqrt (all correctly rounded by IEEE 754) and integer operations, in the order
 * written here; no libm. Build with -ffp-contract=off and without fast-math. Sums run over eight
 * partial sums (element i goes to sum i % 8), sums of squares over 64, which are then added as a
 * tree: that order is part of the definition, and it is also the one that vector units like. */
#ifndef ACCEL_FMATH_H
#define ACCEL_FMATH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A GPU computes by the same text. */
#ifdef __CUDACC__
#define FM_INLINE static __host__ __device__ inline
#else
#define FM_INLINE static inline
#endif

FM_INLINE float fm_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

FM_INLINE double fm_from_bits_d(uint64_t u)
{
    double d;
    memcpy(&d, &u, sizeof d);
    return d;
}

FM_INLINE uint64_t fm_bits_d(double d)
{
    uint64_t u;
    memcpy(&u, &d, sizeof u);
    return u;
}

/* e^x, about 1 ulp; x is clamped to -87..88, so the result is never 0, denormal or infinite. */
FM_INLINE float fm_exp(float x)
{
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float k = (x * 1.44269504f + magic) - magic;
    float r = (x - k * 0.693145752f) - k * 1.42860677e-6f; /* ln 2 in two parts, k * first exact */
    float p = 1.0f / 5040.0f;                              /* Taylor: |r|^8 / 8! < 2^-27 */
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = (p * (r * r) + r) + 1.0f;
    return p * fm_from_bits((uint32_t)((int32_t)k + 127) << 23);
}

/* e^x in double, about 2 ulp; 0 below -708, clamped at 709. */
FM_INLINE double fm_exp_d(double x)
{
    if (!(x >= -708.0))
        return 0.0;
    if (x > 709.0)
        x = 709.0;
    const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
    double k = (x * 1.4426950408889634074 + magic) - magic;
    double r = (x - k * 6.93145751953125e-1) - k * 1.42860682030941723212e-6;
    double p = 1.0; /* Taylor: |r|^14 / 14! < 2^-57 */
    for (int i = 13; i >= 1; i--)
        p = 1.0 + r / (double)i * p;
    return p * fm_from_bits_d((uint64_t)((int64_t)k + 1023) << 52);
}

/* ln x for positive normal x, about 2 ulp; what it returns for anything else means nothing. */
FM_INLINE double fm_log_d(double x)
{
    uint64_t u = fm_bits_d(x);
    int64_t e = (int64_t)(u >> 52) - 1023;
    double m = fm_from_bits_d((u & 0xfffffffffffffULL) | 0x3ff0000000000000ULL);
    if (m > 1.4142135623730951) {
        m = m * 0.5;
        e++;
    }
    double s = (m - 1.0) / (m + 1.0), z = s * s; /* ln m = 2 artanh s, |s| < 0.172 */
    double p = 0.0;
    for (int i = 23; i >= 1; i -= 2)
        p = p * z + 1.0 / (double)i;
    return (double)e * 1.42860682030941723212e-6 + (2.0 * s * p + (double)e * 6.93145751953125e-1);
}

/* x^y for positive x. */
FM_INLINE double fm_pow_d(double x, double y)
{
    return fm_exp_d(y * fm_log_d(x));
}

/* Sine and cosine, absolute error below 2e-9 for |x| <= 2^24, 2e-16 up to 1000. */
FM_INLINE void fm_sincos_d(double x, double *sine, double *cosine)
{
    const double magic = 6755399441055744.0;
    double k = (x * 0.63661977236758134308 + magic) - magic;
    double r = x - k * 1.57079632673412561417; /* pi/2 in three parts of 33 bits */
    r = r - k * 6.07710050630396597660e-11;
    r = r - k * 2.02226624879595063154e-21;
    double z = r * r, s = 1.0, c = 1.0;
    for (int i = 18; i >= 2; i -= 2) {
        s = 1.0 - z / (double)(i * (i + 1)) * s;
        c = 1.0 - z / (double)(i * (i - 1)) * c;
    }
    s = s * r;
    switch ((int64_t)k & 3) {
    case 0:
        *sine = s;
        *cosine = c;
        break;
    case 1:
        *sine = c;
        *cosine = -s;
        break;
    case 2:
        *sine = -s;
        *cosine = -c;
        break;
    default:
        *sine = -c;
        *cosine = s;
        break;
    }
}

FM_INLINE float fm_rsqrt(float x)
{
    return 1.0f / sqrtf(x);
}

FM_INLINE float fm_sigmoid(float x)
{
    return 1.0f / (1.0f + fm_exp(-x));
}

/* The tree that ends every sum and maximum of eight partial ones. */
FM_INLINE float fm_sum8(const float *s)
{
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

FM_INLINE float fm_sum(const float *v, size_t n)
{
    float s[8] = { 0 };
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            s[j] += v[i + j];
    for (size_t j = 0; i + j < n; j++)
        s[j] += v[i + j];
    return fm_sum8(s);
}

enum { FM_SQUARES = 64 };

/* The tree: the upper half onto the lower, until one is left. */
FM_INLINE float fm_sum_squares(const float *v, size_t n)
{
    float s[FM_SQUARES] = { 0 };
    size_t i = 0;
    for (; i + FM_SQUARES <= n; i += FM_SQUARES)
        for (size_t j = 0; j < FM_SQUARES; j++)
            s[j] += v[i + j] * v[i + j];
    for (size_t j = 0; i + j < n; j++)
        s[j] += v[i + j] * v[i + j];
    for (size_t half = FM_SQUARES / 2; half; half /= 2)
        for (size_t j = 0; j < half; j++)
            s[j] += s[j + half];
    return s[0];
}

/* n >= 1 */
FM_INLINE float fm_max(const float *v, size_t n)
{
    float m[8];
    size_t i = 0;
    for (size_t j = 0; j < 8; j++)
        m[j] = v[0];
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            m[j] = v[i + j] > m[j] ? v[i + j] : m[j];
    for (size_t j = 0; i + j < n; j++)
        m[j] = v[i + j] > m[j] ? v[i + j] : m[j];
    for (size_t j = 1; j < 8; j++)
        m[0] = m[j] > m[0] ? m[j] : m[0];
    return m[0];
}

/* 1 if every value is finite: no exponent field is all ones. */
FM_INLINE int fm_all_finite(const float *v, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &v[i], sizeof u);
        bad |= (u & 0x7f800000u) == 0x7f800000u;
    }
    return bad == 0;
}

/* out = v * weight / sqrt(mean(v^2) + eps); out may be v. */
FM_INLINE void fm_rms_norm(float *out, const float *v, const float *weight, size_t n, float eps)
{
    float scale = fm_rsqrt(fm_sum_squares(v, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        out[i] = v[i] * scale * weight[i];
}

/* gate = SiLU(gate) * up */
FM_INLINE void fm_swiglu(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gate[i] = gate[i] * fm_sigmoid(gate[i]) * up[i];
}

/* In place, n >= 1. */
FM_INLINE void fm_softmax(float *v, size_t n)
{
    float top = fm_max(v, n);
    for (size_t i = 0; i < n; i++)
        v[i] = fm_exp(v[i] - top);
    float inverse = 1.0f / fm_sum(v, n);
    for (size_t i = 0; i < n; i++)
        v[i] *= inverse;
}

#endif
