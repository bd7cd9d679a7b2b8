/* fp6.c - 6-bit codes as a stream of two bits and one of four.
 * SPDX-License-Identifier: Apache-2.0 */
#include "decode/decode.h"

#include <stdlib.h>

/* Weights with the filling: a multiple of 2 * lanes, so that both streams end on whole words. */
static int filled(uint32_t lanes, size_t n, size_t *out, struct accel_error *err)
{
    if (!lanes || lanes % 2 || lanes > 65536)
        return accel_fail(err, ACCEL_E_ARG, "fp6: %u lanes, not an even number", lanes);
    const size_t unit = 2 * (size_t)lanes;
    *out = n / unit + (n % unit != 0);
    if (!mul_size(*out, unit, out) || *out > SIZE_MAX / 4)
        return accel_fail(err, ACCEL_E_ARG, "fp6: %zu weights are too many", n);
    return ACCEL_OK;
}

int fp6_encode(enum fp6_split split, uint32_t lanes, const uint8_t *code, size_t n,
               struct fp6_stream *out, struct accel_error *err)
{
    size_t all = 0;
    int rc = filled(lanes, n, &all, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (code[i] > 63)
            return accel_fail(err, ACCEL_E_ARG, "fp6: weight %zu: code %u has more than 6 bits", i,
                              code[i]);

    struct fp6_stream s = { .two_bytes = all / 4, .four_bytes = all / 2 };
    s.two = calloc(s.two_bytes ? s.two_bytes : 1, 1);
    s.four = calloc(s.four_bytes ? s.four_bytes : 1, 1);
    if (!s.two || !s.four) {
        fp6_free(&s);
        return accel_fail(err, ACCEL_E_NOMEM, "fp6: no memory for %zu weights", n);
    }
    const bool top = split == FP6_TOP_IN_TWO;
    for (size_t i = 0; i < n; i++) {
        bits_put(s.two, 2 * i, top ? code[i] >> 4 : code[i] & 3u);
        bits_put(s.four, 4 * i, top ? code[i] & 15u : code[i] >> 2);
    }
    *out = s;
    return ACCEL_OK;
}

void fp6_free(struct fp6_stream *s)
{
    free(s->two);
    free(s->four);
    *s = (struct fp6_stream){ 0 };
}

int fp6_decode(enum fp6_split split, uint32_t lanes, const struct fp6_stream *s, size_t n,
               uint8_t *code, struct accel_error *err)
{
    size_t all = 0;
    int rc = filled(lanes, n, &all, err);
    if (rc)
        return rc;
    if (s->two_bytes != all / 4 || s->four_bytes != all / 2)
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "fp6: streams of %zu and %zu bytes, %zu weights have %zu and %zu",
                          s->two_bytes, s->four_bytes, n, all / 4, all / 2);
    for (size_t i = 0; i < all; i++) {
        const unsigned two = bits_get(s->two, 2 * i, 2), four = bits_get(s->four, 4 * i, 4);
        if (i < n)
            code[i] = (uint8_t)(split == FP6_TOP_IN_TWO ? two << 4 | four : four << 2 | two);
        else if (two || four)
            return accel_fail(err, ACCEL_E_CORRUPT, "fp6: the filling behind weight %zu is not 0",
                              n);
    }
    return ACCEL_OK;
}
