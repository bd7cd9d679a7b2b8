/* dfloat11.c - bf16 weights with canonical Huffman codes for their exponents.
 * SPDX-License-Identifier: Apache-2.0 */
#include "decode/decode.h"

#include <stdlib.h>
#include <string.h>

#define SYMBOLS 256u

/* Huffman lengths by merging the two rarest trees; returns the longest. Counts are not all zero. */
static unsigned huffman(const uint64_t count[SYMBOLS], uint8_t length[SYMBOLS])
{
    uint64_t weight[2 * SYMBOLS];
    unsigned parent[2 * SYMBOLS], depth[2 * SYMBOLS];
    bool root[2 * SYMBOLS];
    unsigned roots = 0, nodes = SYMBOLS, longest = 0;

    memset(parent, 0, sizeof parent);
    for (unsigned i = 0; i < SYMBOLS; i++) {
        weight[i] = count[i];
        root[i] = count[i] != 0;
        roots += root[i];
    }
    for (; roots > 1; roots--) {
        unsigned least[2] = { 0, 0 };
        for (unsigned k = 0; k < 2; k++) {
            unsigned best = nodes;
            for (unsigned i = 0; i < nodes; i++)
                if (root[i] && (best == nodes || weight[i] < weight[best]))
                    best = i;
            root[best] = false;
            least[k] = best;
        }
        weight[nodes] = weight[least[0]] + weight[least[1]];
        root[nodes] = true;
        parent[least[0]] = parent[least[1]] = nodes++;
    }
    memset(depth, 0, sizeof depth);
    for (unsigned i = nodes; i-- > 0;) /* parents have higher numbers */
        if (parent[i])
            depth[i] = depth[parent[i]] + 1;
    for (unsigned i = 0; i < SYMBOLS; i++) {
        const unsigned d = count[i] ? (depth[i] ? depth[i] : 1) : 0; /* a lone symbol takes a bit */
        length[i] = (uint8_t)(d > 255 ? 255 : d);
        longest = d > longest ? d : longest;
    }
    return longest;
}

int df11_code_from_counts(const uint64_t count[SYMBOLS], unsigned max_bits, struct df11_code *code,
                          struct accel_error *err)
{
    uint64_t left[SYMBOLS], sum = 0;

    if (max_bits < DF11_MIN_BITS || max_bits > DF11_MAX_BITS)
        return accel_fail(err, ACCEL_E_ARG, "dfloat11: codes of at most %u bits, not 8 to 32",
                          max_bits);
    for (unsigned i = 0; i < SYMBOLS; i++) {
        left[i] = count[i];
        if (__builtin_add_overflow(sum, count[i], &sum))
            return accel_fail(err, ACCEL_E_ARG, "dfloat11: the counts' sum leaves 64 bits");
    }
    if (sum == 0)
        return accel_fail(err, ACCEL_E_ARG, "dfloat11: no weights to make a code for");
    while (huffman(left, code->length) > max_bits)
        for (unsigned i = 0; i < SYMBOLS; i++)
            left[i] = left[i] / 2 + left[i] % 2;
    code->max_bits = max_bits;

    uint32_t next = 0;
    for (unsigned len = 1; len <= max_bits; len++, next <<= 1)
        for (unsigned i = 0; i < SYMBOLS; i++)
            if (code->length[i] == len)
                code->code[i] = next++;
    return ACCEL_OK;
}

void df11_table(const struct df11_code *code, uint32_t *table)
{
    unsigned place = 0;

    memset(table, 0, DF11_TABLE_WORDS(code->max_bits) * sizeof *table);
    uint32_t *order = table + 2 * code->max_bits;
    for (unsigned len = 1; len <= code->max_bits; len++) {
        uint32_t last = 0;
        unsigned codes = 0;
        for (unsigned i = 0; i < SYMBOLS; i++)
            if (code->length[i] == len) {
                order[place / 4] |= i << 8 * (place % 4);
                last = code->code[i];
                codes++;
                place++;
            }
        if (!codes)
            continue;
        const unsigned below = 32 - len;
        table[2 * len - 2] = last << below | (uint32_t)((1ull << below) - 1);
        table[2 * len - 1] = 1u << 8 | ((place - 1 - last) & 255);
    }
}

int df11_encode(const struct df11_code *code, const uint16_t *w, size_t n, struct df11_stream *out,
                struct accel_error *err)
{
    size_t bits = 0, words;

    for (size_t i = 0; i < n; i++) {
        const unsigned e = w[i] >> 7 & 255;
        if (!code->length[e])
            return accel_fail(err, ACCEL_E_ARG, "dfloat11: weight %zu has exponent %u: no code", i,
                              e);
        if (__builtin_add_overflow(bits, code->length[e], &bits))
            return accel_fail(err, ACCEL_E_ARG, "dfloat11: too many weights");
    }
    words = bits / 32 + (bits % 32 != 0);
    uint32_t *codes = calloc(words ? words : 1, sizeof *codes);
    uint8_t *rest = malloc(n ? n : 1);
    if (!codes || !rest) {
        free(codes);
        free(rest);
        return accel_fail(err, ACCEL_E_NOMEM, "dfloat11: no memory for %zu weights", n);
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned e = w[i] >> 7 & 255, len = code->length[e];
        const unsigned off = at % 32;
        const uint64_t two = (uint64_t)code->code[e] << (64 - len - off);
        codes[at / 32] |= (uint32_t)(two >> 32);
        if (off + len > 32)
            codes[at / 32 + 1] |= (uint32_t)two;
        at += len;
        rest[i] = (uint8_t)(w[i] >> 8 & 0x80) | (uint8_t)(w[i] & 0x7f);
    }
    *out = (struct df11_stream){ codes, words, rest };
    return ACCEL_OK;
}

void df11_free(struct df11_stream *s)
{
    free(s->codes);
    free(s->rest);
    *s = (struct df11_stream){ 0 };
}

static int check_table(const uint32_t *table, unsigned max_bits, struct accel_error *err)
{
    bool any = false;
    uint32_t before = 0;

    if (max_bits < DF11_MIN_BITS || max_bits > DF11_MAX_BITS)
        return accel_fail(err, ACCEL_E_ARG, "dfloat11: codes of at most %u bits, not 8 to 32",
                          max_bits);
    for (unsigned len = 1; len <= max_bits; len++) {
        const uint32_t last = table[2 * len - 2], below = (uint32_t)((1ull << (32 - len)) - 1);
        if (!(table[2 * len - 1] >> 8 & 1))
            continue;
        if ((last & below) != below)
            return accel_fail(err, ACCEL_E_CORRUPT,
                              "dfloat11: last code of %u bits, 0x%08x, is not filled up with ones",
                              len, last);
        if (any && last <= before)
            return accel_fail(err, ACCEL_E_CORRUPT,
                              "dfloat11: codes of %u bits do not follow the shorter ones", len);
        any = true;
        before = last;
    }
    return any ? ACCEL_OK : accel_fail(err, ACCEL_E_CORRUPT, "dfloat11: the table has no codes");
}

int df11_decode(const uint32_t *table, unsigned max_bits, const uint32_t *codes, size_t words,
                const uint8_t *rest, size_t n, uint16_t *w, struct accel_error *err)
{
    int rc = check_table(table, max_bits, err);
    if (rc)
        return rc;

    const uint32_t *order = table + 2 * max_bits;
    size_t word = 0;
    unsigned bit = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t code = 0;
        unsigned len = 0;
        do {
            if (len == max_bits)
                return accel_fail(err, ACCEL_E_CORRUPT, "dfloat11: weight %zu: 0x%x is no code", i,
                                  code);
            if (word == words)
                return accel_fail(err, ACCEL_E_CORRUPT,
                                  "dfloat11: the codes end at weight %zu of %zu", i, n);
            code = code << 1 | (codes[word] >> (31 - bit) & 1);
            word += ++bit / 32;
            bit %= 32;
            len++;
        } while (!(table[2 * len - 1] >> 8 & 1) || code > table[2 * len - 2] >> (32 - len));
        const unsigned place = (code + table[2 * len - 1]) & 255;
        const unsigned e = order[place / 4] >> 8 * (place % 4) & 255;
        w[i] = (uint16_t)((rest[i] & 0x80u) << 8 | e << 7 | (rest[i] & 0x7fu));
    }
    if (word + (bit != 0) != words)
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "dfloat11: %zu words of codes, %zu hold %zu weights", words,
                          word + (bit != 0), n);
    return ACCEL_OK;
}
