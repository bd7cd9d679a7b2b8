/* stream_model.c - the core in software, written from docs/core.md and from nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "stream_model.h"

#include "accel.h"

#include <stdlib.h>
#include <string.h>

enum {
    KIND_BITSERIAL = 1,
    KIND_LUT,
    KIND_LUT4,
    KIND_LUT3,
    KIND_POPCOUNT,
    KIND_TLUT,
    KIND_TCLP = 11,
    KIND_TCLE,
    KIND_NM,
    KIND_NM16,
    KIND_BISMO = 17
};
enum { CODING_SIGNED, CODING_UNSIGNED, CODING_BIPOLAR, CODING_TABLE };

/* Where the next beat of each stream is. */
struct reader {
    const struct stream_array *a;
    const struct stream_command *c;
    const struct stream_data *d;
    size_t w, h, o;
};

static unsigned word_bit(const uint8_t *word, size_t bit)
{
    return (unsigned)word[bit / 8] >> bit % 8 & 1u;
}

/* The bit that one plane holds of the weight in (row, lane). */
static unsigned plane_bit(const struct stream_array *a, const uint8_t *word, uint32_t row,
                          uint32_t lane)
{
    size_t at = (size_t)row * a->lanes + lane;
    if (a->kind < KIND_LUT || a->kind > KIND_LUT3)
        return word_bit(word, at);
    /* a cell's last bit negates; each of the others says whether a later lane differs from the first */
    uint32_t cell = a->kind == KIND_LUT ? 2 : a->kind == KIND_LUT4 ? 4 : 3, in_cell = lane % cell;
    unsigned first = !word_bit(word, at - in_cell + cell - 1);
    return in_cell == 0 ? first : word_bit(word, at - 1) ^ first;
}

/* Planes of a chunk follow each other, and signed codes have the top plane inverted. */
static bool is_plane_major(uint32_t kind)
{
    return (kind >= KIND_BITSERIAL && kind <= KIND_POPCOUNT) || kind == KIND_BISMO;
}

static int decode(const struct stream_array *a, const struct stream_command *c, unsigned u)
{
    int span = 1 << c->planes;
    if (c->coding == CODING_UNSIGNED || c->coding == CODING_TABLE) /* a table's code, for later */
        return (int)u;
    if (c->coding == CODING_BIPOLAR)
        return 2 * (int)u - (span - 1);
    if (is_plane_major(a->kind)) /* offset binary */
        return (int)u - span / 2;
    return (int)u >= span / 2 ? (int)u - span : (int)u;
}

/* A number whose bits are bit `at` of so many beats, most significant first. */
static unsigned number_at(const uint8_t *beats, size_t bytes, uint32_t count, size_t at)
{
    unsigned u = 0;
    for (uint32_t p = 0; p < count; p++)
        u = u << 1 | word_bit(beats + p * bytes, at);
    return u;
}

/* A chunk of nm or nm16: words of slots, which say what step they belong to. */
static const char *take_slots(struct reader *r, uint32_t len, int *k, size_t k_stride)
{
    const struct stream_array *a = r->a;
    const uint32_t block = a->kind == KIND_NM ? 4 : 16, positions = a->kind == KIND_NM ? 2 : 4;
    const uint32_t slots = a->lanes / block * 2;
    const size_t bytes = (size_t)a->rows * slots / 8 + 1, beats = positions + r->c->planes;
    uint32_t step = 0;
    bool last = false;
    for (uint32_t row = 0; row < a->rows; row++)
        memset(k + row * k_stride, 0, (size_t)len * a->lanes * sizeof *k);
    while (!last) {
        if (r->d->w_beats - r->w < beats)
            return "the code stream ends too early";
        const uint8_t *word = r->d->w + r->w * bytes;
        unsigned walk = word[bytes - 1];
        last = walk >> 7;
        step += walk & 31;
        if (walk & 0x60)
            return "bits beside advance are not zero";
        if (step >= len)
            return "a word goes beyond its chunk";
        for (uint32_t row = 0; row < a->rows; row++) {
            for (uint32_t s = 0; s < slots; s++) {
                size_t at = (size_t)row * slots + s;
                uint32_t lane = s / 2 * block + number_at(word, bytes, positions, at);
                k[row * k_stride + (size_t)step * a->lanes + lane] += decode(
                    a, r->c, number_at(word + positions * bytes, bytes, r->c->planes, at));
            }
        }
        r->w += beats;
    }
    return NULL;
}

/* A chunk of tclp or tcle: words of weights that choose among the steps of a window. */
static const char *take_scheduled(struct reader *r, uint32_t len, int *k, size_t k_stride)
{
    static const int ahead[8] = { 0, 1, 2, 1, 1, 2, 2, 1 }, aside[8] = { 0, 0, 0, -1, 1, -2, 2, 3 };
    const struct stream_array *a = r->a;
    const size_t bytes = (size_t)a->rows * a->lanes / 8 + 1, beats = 3 + r->c->planes;
    int entered = 0;
    bool last = false;
    for (uint32_t row = 0; row < a->rows; row++)
        memset(k + row * k_stride, 0, (size_t)len * a->lanes * sizeof *k);
    while (!last) {
        if (r->d->w_beats - r->w < beats)
            return "the code stream ends too early";
        const uint8_t *word = r->d->w + r->w * bytes;
        unsigned walk = word[bytes - 1];
        last = walk >> 7;
        entered += (int)(walk & 31);
        if ((walk & 0x60) || (walk & 31) < 1 || (walk & 31) > 3)
            return "a word does not go on by one to three steps";
        for (uint32_t row = 0; row < a->rows; row++) {
            for (uint32_t l = 0; l < a->lanes; l++) {
                size_t at = (size_t)row * a->lanes + l;
                unsigned select = number_at(word, bytes, 3, at);
                int weight = decode(a, r->c, number_at(word + 3 * bytes, bytes, r->c->planes, at));
                int step = entered - 3 + ahead[select];
                uint32_t lane = (l + a->lanes + (uint32_t)aside[select]) % a->lanes;
                if (weight == 0)
                    continue;
                if (step < 0 || step >= (int)len)
                    return "a weight is multiplied by what is not in its chunk";
                k[row * k_stride + (size_t)step * a->lanes + lane] += weight;
            }
        }
        r->w += beats;
    }
    return NULL;
}

/* A chunk of tlut: three weights in five bits. */
static const char *take_cells(struct reader *r, uint32_t len, int *k, size_t k_stride)
{
    static const int first[] = { 0, 1, 1, 1 }, second[] = { 1, 0, -1, 1 };
    const struct stream_array *a = r->a;
    const size_t bytes = (size_t)a->rows * a->lanes / 3 * 5 / 8;
    if (r->d->w_beats - r->w < len)
        return "the code stream ends too early";
    for (uint32_t s = 0; s < len; s++, r->w++) {
        for (uint32_t row = 0; row < a->rows; row++) {
            for (uint32_t cell = 0; cell < a->lanes / 3; cell++) {
                size_t at = ((size_t)row * a->lanes / 3 + cell) * 5;
                unsigned code = 0;
                for (unsigned b = 0; b < 5; b++)
                    code |= word_bit(r->d->w + r->w * bytes, at + b) << b;
                unsigned how = code >> 2 & 3, entry = code & 3;
                int sign = code >> 4 ? -1 : 1;
                int *to = k + row * k_stride + (size_t)s * a->lanes + 3 * cell;
                to[0] = sign * (how == 3 ? (int)(entry & 1) : how == 2 ? -1 : (int)how);
                to[1] = how == 3 ? 0 : sign * first[entry];
                to[2] = how == 3 ? 0 : sign * second[entry];
            }
        }
    }
    return NULL;
}

/* Take one chunk of `len` steps off the code stream: k[row][step * lanes + lane]. */
static const char *take_codes(struct reader *r, uint32_t len, int *k, size_t k_stride)
{
    const struct stream_array *a = r->a;
    const size_t bytes = (size_t)a->rows * a->lanes / 8;
    const uint32_t planes = r->c->planes;
    if (r->d->w_beats - r->w < (size_t)len * planes)
        return "the code stream ends too early";
    const uint8_t *words = r->d->w + r->w * bytes;
    for (uint32_t s = 0; s < len; s++) {
        for (uint32_t row = 0; row < a->rows; row++) {
            for (uint32_t lane = 0; lane < a->lanes; lane++) {
                unsigned u = 0;
                for (uint32_t p = 0; p < planes; p++) {
                    size_t word = is_plane_major(a->kind) ? (size_t)p * len + s
                                                          : (size_t)s * planes + p;
                    u = u << 1 | plane_bit(a, words + word * bytes, row, lane);
                }
                k[row * k_stride + (size_t)s * a->lanes + lane] = decode(a, r->c, u);
            }
        }
    }
    r->w += (size_t)len * planes;
    return NULL;
}

/* Take the next word of every slice: one 16-bit word a row. */
static const char *take_words(struct reader *r, uint16_t *words)
{
    size_t slices = r->a->rows / r->a->scale_units;
    if (r->d->h_beats - r->h < slices)
        return "the header stream ends too early";
    memcpy(words, r->d->h + r->h * r->a->scale_units, r->a->rows * sizeof *words);
    r->h += slices;
    return NULL;
}

struct header {
    int sc, oc;
    unsigned sh, sel;
};

static const char *take_header(struct reader *r, struct header *headers)
{
    uint16_t word[3][256] = { { 0 } };
    for (int i = 0; i < (r->c->asymmetric ? 3 : 1); i++) {
        const char *bad = take_words(r, word[i]);
        if (bad)
            return bad;
    }
    for (uint32_t row = 0; row < r->a->rows; row++) {
        struct header *h = &headers[row];
        h->sh = word[0][row] >> 12;
        h->sc = word[0][row] & 0xFFF;
        h->sel = 0;
        if (r->c->selectors) {
            h->sel = (unsigned)h->sc >> 10;
            h->sc &= 0x3FF;
            h->sc -= h->sc >= 512 ? 1024 : 0;
        } else if (h->sc >= 2048)
            h->sc -= 4096;
        h->oc = word[1][row] + (int16_t)word[2][row] * 65536;
        if (h->oc < -524288 || h->oc > 524287)
            return "oc is wider than 20 bits";
    }
    return NULL;
}

/* The format behind a table number of docs/core.md. */
static accel_format table_format(const struct stream_command *c)
{
    if (c->table >= 16)
        return ACCEL_FLOAT(c->table - 15, c->planes - 1 - (c->table - 15));
    return ACCEL_TABLE(c->table, c->planes);
}

/* Codes of a table format become what they mean: beside each other, and under their group's selector. */
static void look_up(const struct reader *r, const struct header *headers, uint32_t len, int *k,
                    size_t k_stride)
{
    const accel_format f = table_format(r->c);
    for (uint32_t row = 0; row < r->a->rows; row++) {
        int *kr = k + row * k_stride;
        for (size_t i = 0; i < (size_t)len * r->a->lanes; i += 2) {
            unsigned left = (unsigned)kr[i], right = (unsigned)kr[i + 1];
            kr[i] = accel_format_decode_in(f, left, headers[row].sel, right, NULL);
            kr[i + 1] = accel_format_decode_in(f, right, headers[row].sel, left, NULL);
        }
    }
}

/* clamp(round half to even(acc * mul / 2^shift)) by quotient and remainder. */
static int64_t requantize(int64_t acc, uint64_t mul, unsigned shift)
{
    __extension__ typedef __int128 wide;
    wide unit = (wide)1 << shift, v = (wide)acc * (wide)mul;
    wide q = v / unit, rest = v % unit;
    if (rest < 0) {
        rest += unit;
        q--;
    }
    if (2 * rest > unit || (2 * rest == unit && q % 2 != 0))
        q++;
    return q > 127 ? 127 : q < -128 ? -128 : (int64_t)q;
}

static const char *requantize_tile(struct reader *r, int64_t *results)
{
    uint16_t low[256] = { 0 }, high[256] = { 0 }, shift[256] = { 0 };
    const char *bad = take_words(r, low);
    if (!bad)
        bad = take_words(r, high);
    if (!bad)
        bad = take_words(r, shift);
    for (uint32_t n = 0; n < r->c->columns && !bad; n++) {
        for (uint32_t row = 0; row < r->a->rows; row++) {
            int64_t *v = &results[(size_t)n * r->a->rows + row];
            if (high[row] >= 0x8000 || shift[row] > 62)
                return "a requantization word is out of range";
            *v = requantize(*v, low[row] | (uint64_t)high[row] << 16, shift[row]);
        }
    }
    return bad;
}

/* acc += term << sh. */
static const char *add_term(const struct reader *r, int64_t *results, uint32_t n, uint32_t row,
                            int64_t term, unsigned sh)
{
    int64_t *acc = &results[(size_t)n * r->a->rows + row];
    *acc += term * ((int64_t)1 << sh);
    return *acc >= (int64_t)1 << 47 || *acc < -((int64_t)1 << 47) ? "an accumulator overflowed"
                                                                  : NULL;
}

/* A header without selectors and without oc. */
static const char *take_outlier_header(struct reader *r, struct header *headers)
{
    uint16_t word[3][256] = { { 0 } };
    const char *bad = NULL;
    for (int i = 0; i < (r->c->asymmetric ? 3 : 1) && !bad; i++)
        bad = take_words(r, word[i]);
    for (uint32_t row = 0; row < r->a->rows && !bad; row++) {
        headers[row].sc = (int)((word[0][row] & 0xFFFu) ^ 0x800u) - 0x800;
        headers[row].sh = word[0][row] >> 12;
        if (word[1][row] || word[2][row])
            bad = "outliers with an offset";
    }
    return bad;
}

/* One chunk of entries {k, step, lane, row, last}; P must do with 24 bits at the end. */
static const char *run_outliers(struct reader *r, const struct header *headers, int64_t *results)
{
    const struct stream_array *a = r->a;
    const struct stream_command *c = r->c;
    const uint64_t *first = r->d->o + r->o;
    size_t count = 0;
    do {
        if (r->o == r->d->o_beats)
            return "the outlier stream ends too early";
        if (++count > a->o_depth)
            return "a chunk of outliers is longer than the buffer";
    } while (!(r->d->o[r->o++] >> 48 & 1));
    for (uint32_t n = 0; n < c->columns; n++) {
        int64_t p[256] = { 0 };
        for (size_t i = 0; i < count; i++) {
            uint32_t step = first[i] >> 16 & 0xFFFF, lane = first[i] >> 32 & 0xFF,
                     row = first[i] >> 40 & 0xFF;
            if (step >= c->steps || lane >= a->lanes || row >= a->rows || first[i] >> 49)
                return "an outlier lies outside the array";
            int8_t x = (int8_t)r->d->x[((size_t)n * c->steps + step) * a->lanes + lane];
            p[row] += (int64_t)(int16_t)first[i] * x;
        }
        for (uint32_t row = 0; row < a->rows; row++) {
            const struct header *h = &headers[row];
            const char *bad = add_term(r, results, n, row, h->sc * p[row], h->sh);
            if (bad || p[row] < -(1 << 23) || p[row] >= 1 << 23)
                return bad ? bad : "P overflowed";
        }
    }
    return NULL;
}

static const char *run_tile(struct reader *r, int *k, int64_t *results)
{
    const struct stream_array *a = r->a;
    const struct stream_command *c = r->c;
    const size_t k_stride = (size_t)c->chunk_steps * a->lanes;
    struct header headers[256] = { { 0, 0, 0, 0 } };
    const char *bad = NULL;
    memset(results, 0, (size_t)c->columns * a->rows * sizeof *results);
    for (uint32_t first = 0; first < c->steps; first += c->chunk_steps) {
        uint32_t len = c->steps - first < c->chunk_steps ? c->steps - first : c->chunk_steps;
        if (first == 0 || !c->row_header)
            bad = take_header(r, headers);
        if (!bad)
            bad = a->kind == KIND_NM || a->kind == KIND_NM16 ? take_slots(r, len, k, k_stride)
                  : a->kind == KIND_TCLP || a->kind == KIND_TCLE
                      ? take_scheduled(r, len, k, k_stride)
                  : a->kind == KIND_TLUT ? take_cells(r, len, k, k_stride)
                                         : take_codes(r, len, k, k_stride);
        if (bad)
            return bad;
        if (c->coding == CODING_TABLE)
            look_up(r, headers, len, k, k_stride);
        for (uint32_t n = 0; n < c->columns; n++) {
            const uint8_t *x = r->d->x + ((size_t)n * c->steps + first) * a->lanes;
            for (uint32_t row = 0; row < a->rows; row++) {
                int64_t d = 0, s = 0;
                for (size_t i = 0; i < (size_t)len * a->lanes; i++) {
                    d += (int64_t)k[row * k_stride + i] * (int8_t)x[i];
                    s += (int8_t)x[i];
                }
                const struct header *h = &headers[row];
                bad = add_term(r, results, n, row, h->sc * d + h->oc * s, h->sh);
                if (bad)
                    return bad;
            }
        }
    }
    if (c->outlier_chunks)
        bad = take_outlier_header(r, headers);
    for (uint32_t i = 0; i < c->outlier_chunks && !bad; i++)
        bad = run_outliers(r, headers, results);
    return bad || !c->requantize ? bad : requantize_tile(r, results);
}

const char *stream_model(const struct stream_array *array, const struct stream_command *command,
                         const struct stream_data *data, int64_t *results)
{
    struct reader r = { .a = array, .c = command, .d = data };
    if (command->chunk_steps == 0 || command->chunk_steps > (255 + array->lanes) / array->lanes)
        return "a chunk holds 1 to 256 elements";
    if (data->x_beats != (size_t)command->columns * command->steps)
        return "the activation stream is not columns times steps long";
    int *k = calloc((size_t)array->rows * command->chunk_steps * array->lanes, sizeof *k);
    if (!k)
        return "out of memory";
    const char *bad = NULL;
    for (uint32_t tile = 0; tile < command->row_tiles && !bad; tile++)
        bad = run_tile(&r, k, results + (size_t)tile * command->columns * array->rows);
    free(k);
    if (!bad && r.w != data->w_beats)
        bad = "the code stream goes on after the command";
    if (!bad && r.h != data->h_beats)
        bad = "the header stream goes on after the command";
    if (!bad && r.o != data->o_beats)
        bad = "the outlier stream goes on after the command";
    return bad;
}
