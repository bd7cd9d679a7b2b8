/* spqr.c - SpQR tiles: published form, integer form for the hardware, and what the hardware makes
 * of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "decode/decode.h"

#include <math.h>
#include <string.h>

#define TOP_SHIFT \
    8 /* sh of the largest scale: smaller ones keep their 11 bits down to 2^-8 of it */
#define TOP_CODE 7.0

static double round_even(double v)
{
    double k = floor(v);
    if (v - k > 0.5 || (v - k == 0.5 && fmod(k, 2.0) != 0.0))
        k += 1;
    return k;
}

static double clamp_code(double v)
{
    v = round_even(v);
    return v < 0 ? 0 : v > TOP_CODE ? TOP_CODE : v;
}

/* ---- fp16 ---- */

static double from_half(uint64_t h)
{
    const int e = (int)(h >> 10 & 31), m = (int)(h & 1023);
    const double v = e == 31 ? (m ? NAN : INFINITY) : ldexp(e ? m + 1024 : m, (e ? e : 1) - 25);
    return h >> 15 & 1 ? -v : v;
}

/* Half to even; what is beyond fp16 becomes infinite. */
static unsigned to_half(double v)
{
    const unsigned sign = v < 0 ? 0x8000 : 0;
    int e;
    v = fabs(v);
    if (v == 0)
        return sign;
    if (v >= 65520)
        return sign | 0x7c00;
    (void)frexp(v, &e); /* v = 0.5..1 * 2^e */
    e = e < -13 ? -13 : e;
    /* a mantissa that is rounded up to the next power of two carries into the exponent */
    return sign | ((unsigned)(e + 13) * 1024 + (unsigned)round_even(ldexp(v, 11 - e)));
}

/* ---- the words of a tile ---- */

static unsigned scale_code(uint64_t row)
{
    return row & 7;
}

static unsigned zero_code(uint64_t row)
{
    return row >> 3 & 7;
}

static unsigned weight_code(uint64_t row, unsigned i)
{
    return row >> (6 + 3 * i) & 7;
}

static void put_numbers(uint64_t tile[SPQR_TILE], uint64_t numbers)
{
    for (unsigned r = 0; r < SPQR_TILE; r++)
        tile[r] = (tile[r] & ~(0xffull << 54)) | (numbers >> 8 * (r / 2) & 0xff) << 54;
}

static int get_numbers(const uint64_t tile[SPQR_TILE], uint64_t *numbers, struct accel_error *err)
{
    *numbers = 0;
    for (unsigned r = 0; r < SPQR_TILE; r++) {
        const uint64_t piece = tile[r] >> 54 & 0xff;
        if (tile[r] >> 62)
            return accel_fail(err, ACCEL_E_CORRUPT, "spqr: row %u of a tile has unused bits set",
                              r);
        if (r % 2 == 0)
            *numbers |= piece << 4 * r;
        else if (piece != (*numbers >> 4 * (r - 1) & 0xff))
            return accel_fail(err, ACCEL_E_CORRUPT,
                              "spqr: rows %u and %u of a tile differ in field c", r - 1, r);
    }
    return ACCEL_OK;
}

/* ---- published form ---- */

struct second {
    double ss, zs, sz, zz; /* s = ss * (w_s - sz), z = zs * (w_z - zz) */
};

static int get_second(const uint64_t tile[SPQR_TILE], struct second *out, struct accel_error *err)
{
    uint64_t numbers;
    int rc = get_numbers(tile, &numbers, err);
    if (rc)
        return rc;
    *out = (struct second){ from_half(numbers), from_half(numbers >> 16), from_half(numbers >> 32),
                            from_half(numbers >> 48) };
    if (!isfinite(out->ss + out->zs + out->sz + out->zz))
        return accel_fail(err, ACCEL_E_CORRUPT, "spqr: a tile's second-order number is not finite");
    return ACCEL_OK;
}

static double scale_of(const struct second *n, unsigned code)
{
    return n->ss * (code - n->sz);
}

static double zero_of(const struct second *n, unsigned code)
{
    return n->zs * (code - n->zz);
}

/* step * (0..7 - zero) spans v[0..15]; both as fp16 */
static int span(const double *v, unsigned *step, unsigned *zero, struct accel_error *err)
{
    double lo = v[0], hi = v[0], s, z;
    for (unsigned i = 1; i < SPQR_TILE; i++) {
        lo = fmin(lo, v[i]);
        hi = fmax(hi, v[i]);
    }
    s = (hi > lo ? hi - lo : fabs(lo)) / TOP_CODE;
    *step = to_half(s);
    s = from_half(*step);
    z = s > 0 ? -lo / s : 0; /* s > 0 is less than the span by fp16's rounding only */
    *zero = to_half(z);
    if (!isfinite(s) || !isfinite(from_half(*zero)))
        return accel_fail(err, ACCEL_E_ARG, "spqr: a scale or zero point of %g to %g leaves fp16",
                          lo, hi);
    return ACCEL_OK;
}

int spqr_encode(const float *w, uint64_t tile[SPQR_TILE], struct accel_error *err)
{
    double s[SPQR_TILE], z[SPQR_TILE];
    unsigned h[4];
    int rc;

    for (unsigned r = 0; r < SPQR_TILE; r++) {
        double lo = INFINITY, hi = -INFINITY;
        for (unsigned i = 0; i < SPQR_TILE; i++) {
            const double v = (double)w[r * SPQR_TILE + i];
            if (!isfinite(v))
                return accel_fail(err, ACCEL_E_ARG, "spqr: row %u column %u is not finite", r, i);
            lo = fmin(lo, v);
            hi = fmax(hi, v);
        }
        s[r] = (hi > lo ? hi - lo : fabs(lo)) / TOP_CODE;
        z[r] = s[r] > 0 ? -lo / s[r] : 0;
    }
    if ((rc = span(s, &h[0], &h[2], err)) || (rc = span(z, &h[1], &h[3], err)))
        return rc;
    const struct second n = { from_half(h[0]), from_half(h[1]), from_half(h[2]), from_half(h[3]) };
    for (unsigned r = 0; r < SPQR_TILE; r++) {
        const unsigned ws = n.ss > 0 ? (unsigned)clamp_code(s[r] / n.ss + n.sz) : 0;
        const unsigned wz = n.zs > 0 ? (unsigned)clamp_code(z[r] / n.zs + n.zz) : 0;
        const double sr = scale_of(&n, ws), zr = zero_of(&n, wz);
        tile[r] = ws | wz << 3;
        for (unsigned i = 0; i < SPQR_TILE; i++) {
            const double q = sr != 0 ? clamp_code((double)w[r * SPQR_TILE + i] / sr + zr) : 0;
            tile[r] |= (uint64_t)q << (6 + 3 * i);
        }
    }
    put_numbers(tile, h[0] | (uint64_t)h[1] << 16 | (uint64_t)h[2] << 32 | (uint64_t)h[3] << 48);
    return ACCEL_OK;
}

int spqr_values(const uint64_t tile[SPQR_TILE], double *w, struct accel_error *err)
{
    struct second n;
    int rc = get_second(tile, &n, err);
    if (rc)
        return rc;
    for (unsigned r = 0; r < SPQR_TILE; r++)
        for (unsigned i = 0; i < SPQR_TILE; i++)
            w[r * SPQR_TILE + i] = scale_of(&n, scale_code(tile[r])) *
                                   (weight_code(tile[r], i) - zero_of(&n, zero_code(tile[r])));
    return ACCEL_OK;
}

/* ---- integer form ---- */

int spqr_unit(const uint64_t *tiles, size_t count, double *unit, struct accel_error *err)
{
    double top = 0;

    for (size_t t = 0; t < count; t++) {
        struct second n;
        int rc = get_second(tiles + t * SPQR_TILE, &n, err);
        if (rc)
            return rc;
        top = fmax(top, fmax(fabs(scale_of(&n, 0)), fabs(scale_of(&n, 7))));
    }
    *unit = top > 0 ? ldexp(top / 2047, -TOP_SHIFT) : 1;
    return ACCEL_OK;
}

/* a, b, c, d, sh as one number, lowest bits first */
static uint64_t pack_numbers(const double v[4], unsigned sh)
{
    return ((uint64_t)(int64_t)v[0] & 0x3fff) | ((uint64_t)(int64_t)v[1] & 0xffff) << 14 |
           ((uint64_t)(int64_t)v[2] & 0x3fff) << 30 | ((uint64_t)(int64_t)v[3] & 0xffff) << 44 |
           (uint64_t)sh << 60;
}

static int64_t field(uint64_t numbers, unsigned at, unsigned width)
{
    const int64_t v = (int64_t)(numbers >> at & ((1ull << width) - 1));
    return v - (v >> (width - 1) << width);
}

static int64_t floor_div(int64_t v, int64_t by)
{
    return v / by - (v % by < 0);
}

int spqr_decode(const uint64_t tile[SPQR_TILE], struct spqr_row out[SPQR_TILE],
                struct accel_error *err)
{
    uint64_t n;
    int rc = get_numbers(tile, &n, err);
    if (rc)
        return rc;
    for (unsigned r = 0; r < SPQR_TILE; r++) {
        const int64_t sc = floor_div(field(n, 0, 14) * scale_code(tile[r]) + field(n, 14, 16) + 8,
                                     16);
        const int64_t nz = field(n, 30, 14) * zero_code(tile[r]) + field(n, 44, 16);
        const int64_t oc = floor_div(sc * nz + 128, 256);
        if (sc < -2048 || sc > 2047)
            return accel_fail(err, ACCEL_E_CORRUPT, "spqr: row %u: scale %d leaves 12 bits", r,
                              (int)sc);
        if (oc < -(1 << 19) || oc >= 1 << 19)
            return accel_fail(err, ACCEL_E_CORRUPT, "spqr: row %u: offset %d leaves 20 bits", r,
                              (int)oc);
        out[r].sc = (int16_t)sc;
        out[r].oc = (int32_t)oc;
        out[r].sh = (uint8_t)(n >> 60);
        for (unsigned i = 0; i < SPQR_TILE; i++)
            out[r].code[i] = (uint8_t)weight_code(tile[r], i);
    }
    return ACCEL_OK;
}

int spqr_convert(const uint64_t tile[SPQR_TILE], double unit, uint64_t out[SPQR_TILE],
                 double *error, struct accel_error *err)
{
    double want[SPQR_TILE * SPQR_TILE], v[4], worst = 0, step = 0;
    struct spqr_row rows[SPQR_TILE];
    struct accel_error why;
    struct second n;
    int rc;

    if (!(unit > 0) || !isfinite(unit))
        return accel_fail(err, ACCEL_E_ARG, "spqr: a unit of %g", unit);
    if ((rc = get_second(tile, &n, err)) || (rc = spqr_values(tile, want, err)))
        return rc;
    v[2] = round_even(-256 * n.zs);
    v[3] = round_even(256 * n.zs * n.zz);
    if (fabs(v[2]) > 8191 || fabs(v[3]) > 32767)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "spqr: zero points of %g to %g: too large for the integers",
                          zero_of(&n, 0), zero_of(&n, 7));
    unsigned sh = 0;
    for (double u = unit;; u *= 2, sh++) {
        if (sh > 15)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "spqr: scales of %g to %g in units of %g",
                              scale_of(&n, 0), scale_of(&n, 7), unit);
        const double s7 = scale_of(&n, 7) / u;
        v[0] = round_even(16 * n.ss / u);
        v[1] = round_even(-16 * n.ss * n.sz / u);
        if (fabs(v[0]) <= 8191 && fabs(v[1]) <= 16 * 2047 && fabs(s7) <= 2047)
            break;
    }
    memcpy(out, tile, SPQR_TILE * sizeof *out);
    put_numbers(out, pack_numbers(v, sh));
    if (spqr_decode(out, rows, &why))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "%s", why.text);
    for (unsigned r = 0; r < SPQR_TILE; r++) {
        step = fmax(step, fabs(scale_of(&n, scale_code(tile[r]))));
        for (unsigned i = 0; i < SPQR_TILE; i++) {
            const double got = ldexp(unit * (rows[r].sc * rows[r].code[i] + rows[r].oc),
                                     rows[r].sh);
            worst = fmax(worst, fabs(got - want[r * SPQR_TILE + i]));
        }
    }
    *error = step > 0 ? worst / step : 0;
    return ACCEL_OK;
}
