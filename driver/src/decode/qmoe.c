/* qmoe.c - ternary weights as tokens, a run of zeros and a sign each; three tokens make a 16-bit
 * word.
 * SPDX-License-Identifier: Apache-2.0 */
#include "decode/decode.h"

#include <stdlib.h>

#define FIELDS 3u

static const struct field {
    unsigned at, bits;
    unsigned zeros;  /* longest run a weight may follow is one less */
    unsigned zeros2; /* what the last token stands for; 0: nothing */
} fields[FIELDS] = { { 0, 5, 15, 30 }, { 5, 5, 15, 30 }, { 10, 6, 31, 0 } };

int qmoe_encode(const int8_t *w, size_t n, struct qmoe_stream *out, struct accel_error *err)
{
    uint16_t *word = NULL;
    size_t tokens = 0, words = 0;

    for (size_t i = 0; i < n; i++)
        if (w[i] < -1 || w[i] > 1)
            return accel_fail(err, ACCEL_E_ARG, "qmoe: weight %zu is %d, not ternary", i, w[i]);
    for (int pass = 0; pass < 2; pass++) { /* counts, then writes */
        tokens = 0;
        for (size_t i = 0; i < n || tokens % FIELDS; tokens++) {
            const struct field *f = &fields[tokens % FIELDS];
            const unsigned longest = f->zeros2 ? f->zeros2 : f->zeros;
            unsigned run = 0, token;
            while (run < longest && i + run < n && w[i + run] == 0)
                run++;
            if (run >= f->zeros ||
                i + run >= n) { /* the last zeros take any token that has enough */
                const bool twice = f->zeros2 && run >= f->zeros2;
                token = 2 * f->zeros + twice;
                i += twice ? f->zeros2 : f->zeros;
            } else {
                token = 2 * run + (w[i + run] < 0);
                i += run + 1;
            }
            i = i < n ? i : n;
            if (word)
                word[tokens / FIELDS] |= (uint16_t)(token << f->at);
        }
        if (pass)
            break;
        words = tokens / FIELDS;
        word = calloc(words ? words : 1, sizeof *word);
        if (!word)
            return accel_fail(err, ACCEL_E_NOMEM, "qmoe: no memory for %zu weights", n);
    }
    *out = (struct qmoe_stream){ word, words };
    return ACCEL_OK;
}

void qmoe_free(struct qmoe_stream *s)
{
    free(s->word);
    *s = (struct qmoe_stream){ 0 };
}

int qmoe_decode(const uint16_t *word, size_t words, size_t n, int8_t *w, struct accel_error *err)
{
    size_t i = 0;

    for (size_t k = 0; k < words; k++) {
        if (i == n)
            return accel_fail(err, ACCEL_E_CORRUPT, "qmoe: %zu words, %zu hold %zu weights", words,
                              k, n);
        for (const struct field *f = fields; f < fields + FIELDS; f++) {
            const unsigned token = word[k] >> f->at & ((1u << f->bits) - 1);
            const bool weight = token < 2 * f->zeros;
            size_t run = weight ? token / 2 : token == 2 * f->zeros ? f->zeros : f->zeros2;
            if (run == 0 && !weight)
                return accel_fail(err, ACCEL_E_CORRUPT, "qmoe: word %zu: no token is %u", k, token);
            for (; run && i < n; run--)
                w[i++] = 0;
            if (weight && i == n)
                return accel_fail(err, ACCEL_E_CORRUPT, "qmoe: word %zu goes beyond weight %zu", k,
                                  n);
            if (weight)
                w[i++] = token % 2 ? -1 : 1;
        }
    }
    if (i < n)
        return accel_fail(err, ACCEL_E_CORRUPT, "qmoe: the words end at weight %zu of %zu", i, n);
    return ACCEL_OK;
}
