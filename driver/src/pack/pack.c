/* pack.c - a quantized matrix as the core's code and header streams (docs/core.md).
 * SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_MAX 256u   /* elements that may share one D */
#define FIELD_MAX 65535u /* row tiles and steps are 16-bit fields of a command */

/* Bit `plane` of eight codes as one byte, code i in bit i. */
static inline uint8_t gather_plane(const uint8_t *codes, unsigned plane)
{
    uint64_t eight = 0;
    for (unsigned i = 0; i < 8; i++)
        eight |= (uint64_t)codes[i] << (8 * i);
    eight = (eight >> plane) & 0x0101010101010101u;
    return (uint8_t)((eight * 0x0102040810204080u) >> 56);
}

/* ---- how a format travels ---- */

struct k_range {
    int min, max;
};

static struct k_range k_range(accel_format f)
{
    struct k_range r = { 0, 0 };
    if (f == ACCEL_CODEBOOK3 || f == ACCEL_CODEBOOK4)
        return (struct k_range){ -128, 127 };
    for (unsigned i = 0; i < 8u << accel_format_bits(f); i++) {
        /* 8 is the code that makes the other of an OliVe pair an outlier */
        int k = accel_format_decode_in(f, i >> 3, i & 3, i & 4 ? 8 : 0, NULL);
        r.min = k < r.min ? k : r.min;
        r.max = k > r.max ? k : r.max;
    }
    return r;
}

static unsigned table_id(accel_format f)
{
    unsigned id = f >> 16;
    return (f & 0xF00u) == ACCEL_CODING_FLOAT ? 16 + id - 1 : id;
}

const char *pack_wire_format(const struct pe_kind *kind, unsigned d_bits, accel_format f,
                             struct pack_wire *wire)
{
    struct pack_wire w = { .planes = accel_format_bits(f) };
    struct k_range k = k_range(f);
    const char *why = kind->refuse ? kind->refuse(f) : NULL;
    if (why)
        return why;
    switch (f & 0xF00u) {
    case ACCEL_CODING_UNSIGNED: w.coding = 1; break;
    case ACCEL_CODING_BIPOLAR: w.coding = 2; break;
    case ACCEL_CODING_FLOAT:
    case ACCEL_CODING_TABLE:
        if (kind->native && kind->native(f, d_bits)) {
            w.coding = 3;
            w.table = table_id(f);
            w.has_sel = accel_format_has_sel(f);
            break;
        }
        w.expanded = true;
        w.coding = k.min < 0 ? 0 : 1;
        for (w.planes = 1;
             w.coding == 1 ? k.max >= 1 << w.planes
                           : -k.min > 1 << (w.planes - 1) || k.max >= 1 << (w.planes - 1);
             w.planes++)
            ;
        break;
    default: break;
    }
    if (w.planes > (kind->word_planes > 1 ? kind->word_planes : 8))
        return w.expanded
                   ? "its values as integers have more bits than a code word of this kind holds"
                   : "its codes have more bits than a code word of this kind holds";
    if (kind->window && w.coding == 2)
        return "bipolar codes have no zero to leave out";
    int limit = 1 << ((d_bits ? d_bits : 24) - 16);
    if (k.max >= limit || -k.min >= limit)
        return "its values are too large for the bits of D in this array";
    *wire = w;
    return NULL;
}

uint32_t pack_plane_bits(const struct pe_kind *kind, const struct pack_shape *shape)
{
    uint32_t bits = shape->rows * shape->lanes;
    return kind->plane_den ? bits / kind->plane_den * kind->plane_num : bits;
}

/* ---- codes ---- */

uint8_t *beats_add(struct beats *b, size_t n)
{
    size_t need, bytes;
    if (__builtin_add_overflow(b->count, n, &need))
        return NULL;
    if (need > b->room || !b->data) {
        size_t room = need < 64 ? 64 : need;
        if (b->count && !mul_size(room, 2, &room))
            return NULL;
        uint8_t *data = mul_size(room, b->bytes, &bytes) ? realloc(b->data, bytes) : NULL;
        if (!data)
            return NULL;
        b->data = data;
        b->room = room;
    }
    uint8_t *at = b->data + b->count * b->bytes;
    memset(at, 0, n * b->bytes);
    b->count = need;
    return at;
}

void pack_planes(uint8_t *beat, size_t beat_bytes, const uint8_t *codes, size_t stride,
                 uint32_t rows, uint32_t slots, unsigned planes)
{
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t s = 0; s < slots; s++) {
            size_t bit = (size_t)r * slots + s;
            for (unsigned p = 0; p < planes; p++) {
                unsigned v = codes[r * stride + s] >> (planes - 1 - p) & 1u;
                beat[p * beat_bytes + bit / 8] |= (uint8_t)(v << bit % 8);
            }
        }
    }
}

/* One chunk in the order of the kind that takes plain planes. */
static int pack_plain(const struct pack_chunk *c, struct beats *out, struct accel_error *err)
{
    const uint32_t lanes = c->shape->lanes, row_bytes = lanes / 8;
    uint8_t *chunk = beats_add(out, (size_t)c->steps * c->planes);
    if (!chunk)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: packing codes");
    for (uint32_t r = 0; r < c->shape->rows; r++) {
        for (uint32_t s = 0; s < c->steps; s++) {
            const uint8_t *step = c->codes + r * c->stride + (size_t)s * lanes;
            for (uint32_t i = 0; i < c->planes; i++) { /* most significant plane first */
                size_t word = c->kind->step_major ? (size_t)s * c->planes + i
                                                  : (size_t)i * c->steps + s;
                uint8_t *to = chunk + word * out->bytes + (size_t)r * row_bytes;
                for (uint32_t b = 0; b < row_bytes; b++)
                    to[b] = gather_plane(step + 8 * b, c->planes - 1 - i);
                if (c->kind->recode)
                    c->kind->recode(to, lanes);
            }
        }
    }
    return ACCEL_OK;
}

/* What a code is on the wire: for formats that decode to integers without context. */
static void wire_table(accel_format f, uint8_t table[256])
{
    unsigned bits = accel_format_bits(f);
    unsigned mask = (1u << bits) - 1;
    for (unsigned c = 0; c < 256; c++) {
        unsigned u = c & mask;
        if (f == ACCEL_TERNARY)
            u = (unsigned)accel_format_decode(f, c) & mask;
        table[c] = (uint8_t)u;
    }
}

static int pack_codes(const struct pe_kind *kind, const struct pack_shape *shape,
                      const struct accel_matrix *mat, const struct pack_wire *wire,
                      const struct packed *p, struct beats *out, struct accel_error *err)
{
    uint8_t table[256];
    wire_table(mat->format, table);
    const uint32_t lanes = shape->lanes;
    const size_t stride = p->group_pad;
    const uint32_t group = p->row_header ? mat->cols : mat->group;
    const size_t padded = p->row_header ? stride : (size_t)p->chunk_steps * lanes;
    const unsigned mask = (1u << wire->planes) - 1;
    /* signed codes whose top plane is inverted count from the least number */
    const unsigned flip = kind->offset_binary && wire->coding == 0 ? 1u << (wire->planes - 1) : 0;
    const uint8_t zero = (uint8_t)flip;
    size_t bytes;
    uint8_t *rows = mul_size(shape->rows, stride, &bytes) ? malloc(bytes) : NULL;
    int rc = ACCEL_OK;
    if (!rows)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: packing a matrix of %u x %u",
                          mat->rows, mat->cols);
    for (uint32_t tile = 0; tile < p->row_tiles && !rc; tile++) {
        memset(rows, zero, bytes);
        for (uint32_t r = 0; r < shape->rows && tile * shape->rows + r < mat->rows; r++) {
            const uint32_t m = tile * shape->rows + r;
            const uint8_t *codes = mat->codes + (size_t)m * mat->cols;
            uint8_t *to = rows + r * stride;
            for (size_t from = 0; from < mat->cols; from += group, to += padded) {
                size_t n = mat->cols - from < group ? mat->cols - from : group;
                if (wire->expanded)
                    for (size_t i = 0; i < n; i++)
                        to[i] = (uint8_t)(((unsigned)accel_matrix_k(mat, m, (uint32_t)(from + i)) &
                                           mask) ^
                                          flip);
                else
                    for (size_t i = 0; i < n; i++)
                        to[i] = (uint8_t)(table[codes[from + i]] ^ flip);
            }
        }
        for (uint32_t first = 0; first < p->steps && !rc; first += p->chunk_steps) {
            struct pack_chunk c = {
                .kind = kind,
                .shape = shape,
                .codes = rows + (size_t)first * lanes,
                .stride = stride,
                .steps = p->steps - first < p->chunk_steps ? p->steps - first : p->chunk_steps,
                .planes = wire->planes,
                .zero = zero,
                .row = tile * shape->rows,
                .col = first / p->chunk_steps * (p->row_header ? p->chunk_steps * lanes : group),
                .format_name = accel_format_name(mat->format),
            };
            rc = (kind->pack_chunk ? kind->pack_chunk : pack_plain)(&c, out, err);
        }
    }
    free(rows);
    return rc;
}

static void pack_headers(const struct pack_shape *shape, const struct accel_matrix *mat,
                         const struct packed *p)
{
    uint16_t *to = p->headers;
    const uint32_t rows = shape->rows;
    for (uint32_t tile = 0; tile < p->row_tiles; tile++) {
        for (uint32_t g = 0; g < mat->groups; g++) {
            /* every slice's word 0, then every slice's word 1: simply the rows in order */
            for (uint32_t r = 0; r < rows; r++) {
                size_t m = (size_t)tile * rows + r;
                if (m >= mat->rows)
                    continue; /* padding rows: sc = oc = 0 */
                size_t i = m * mat->groups + g;
                to[r] = (uint16_t)((unsigned)mat->sh[i] << 12 | ((unsigned)mat->sc[i] & 0xFFFu));
                if (p->has_sel)
                    to[r] = (uint16_t)((to[r] & 0xF3FFu) | (unsigned)mat->sel[i] << 10);
                if (p->asymmetric) {
                    to[rows + r] = (uint16_t)((uint32_t)mat->oc[i] & 0xFFFFu);
                    to[2 * rows + r] = (uint16_t)((uint32_t)mat->oc[i] >> 16);
                }
            }
            to += (size_t)rows * (p->asymmetric ? 3 : 1);
        }
        if (!mat->outliers)
            continue;
        for (uint32_t r = 0; r < rows && (size_t)tile * rows + r < mat->rows; r++) {
            size_t m = (size_t)tile * rows + r;
            to[r] = (uint16_t)((unsigned)mat->outliers->sh[m] << 12 |
                               ((unsigned)mat->outliers->sc[m] & 0xFFFu));
        }
        to += (size_t)rows * (p->asymmetric ? 3 : 1);
    }
}

static bool power_of_two(uint32_t v)
{
    return v && !(v & (v - 1));
}

static int check_shape(const struct pe_kind *kind, const struct pack_shape *shape,
                       struct accel_error *err)
{
    const uint32_t rows = shape->rows, lanes = shape->lanes,
                   unit = kind->threes ? lanes / 3 : lanes;
    if (power_of_two(rows) && rows <= 256 && power_of_two(unit) && lanes >= 8 &&
        lanes <= CHUNK_MAX && (!kind->threes || lanes % 3 == 0) &&
        (!kind->block || lanes % kind->block == 0) && (kind->pack_chunk || lanes % 8 == 0) &&
        power_of_two(shape->scale_units) && shape->scale_units <= rows &&
        pack_plane_bits(kind, shape) % 8 == 0)
        return ACCEL_OK;
    return accel_fail(
        err, ACCEL_E_ARG,
        "pack: no such array of kind %s: rows=%u, lanes=%u, scale units %u (powers of "
        "two%s, rows <= 256, lanes 8..256, scale units <= rows)",
        kind->name, rows, lanes, shape->scale_units, kind->threes ? ", lanes three times one" : "");
}

int pack_matrix(const struct pe_kind *kind, const struct pack_shape *shape,
                const struct accel_matrix *mat, struct packed *out, struct accel_error *err)
{
    if (!kind || !shape || !mat || !out)
        return accel_fail(err, ACCEL_E_ARG, "pack: kind, shape, matrix and out must be given");
    int rc = check_shape(kind, shape, err);
    if (rc)
        return rc;
    const uint32_t rows = shape->rows, lanes = shape->lanes;
    struct pack_wire wire;
    const char *why = pack_wire_format(kind, shape->d_bits, mat->format, &wire);
    if (!why && kind->window && mat->asymmetric)
        why = "offsets need the sum of all activations, and this kind skips some";
    if (why)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "kind %s cannot run %s: %s", kind->name,
                          accel_format_name(mat->format), why);

    struct packed p = { 0 };
    p.planes = wire.planes;
    p.coding = wire.coding;
    p.table = wire.table;
    p.has_sel = wire.has_sel;
    p.beat_bits = pack_plane_bits(kind, shape) + (kind->window ? 8 : 0);
    p.beat_bytes = p.beat_bits / 8;
    p.asymmetric = mat->asymmetric;
    p.row_header = mat->groups == 1; /* one group in a row needs no padding to its end */
    p.row_tiles = (mat->rows - 1) / rows + 1;
    uint64_t steps;
    if (p.row_header) {
        p.chunk_steps = CHUNK_MAX / lanes;
        steps = ((uint64_t)mat->cols + lanes - 1) / lanes;
        if (p.chunk_steps > steps)
            p.chunk_steps = (uint32_t)steps;
    } else {
        p.chunk_steps = (mat->group + lanes - 1) / lanes;
        steps = (uint64_t)mat->groups * p.chunk_steps;
    }
    if (p.row_tiles > FIELD_MAX || steps > FIELD_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "matrix of %u x %u: %u row tiles and %llu steps, a command holds %u of "
                          "each; cut the matrix or use a larger array",
                          mat->rows, mat->cols, p.row_tiles, (unsigned long long)steps, FIELD_MAX);
    p.steps = (uint32_t)steps;
    p.group_pad = p.steps * lanes; /* at most 2^24 */

    struct beats codes = { .bytes = p.beat_bytes };
    const size_t words = p.asymmetric ? 3 : 1;
    size_t header_words;
    rc = ACCEL_E_NOMEM;
    p.header_beats = (size_t)p.row_tiles * (mat->groups + (mat->outliers ? 1u : 0u)) * words *
                     (rows / shape->scale_units);
    if (mul_size(p.header_beats, shape->scale_units, &header_words))
        p.headers = calloc(header_words, sizeof *p.headers);
    if (!p.headers) {
        accel_fail(err, rc, "out of memory: packing a matrix of %u x %u", mat->rows, mat->cols);
        goto out;
    }
    rc = pack_outliers(kind, shape, mat, &p, err);
    if (!rc)
        rc = pack_codes(kind, shape, mat, &wire, &p, &codes, err);
    if (rc)
        goto out;
    pack_headers(shape, mat, &p);
    p.code_beats = codes.count;
    p.codes = codes.data;
    codes.data = NULL;
    *out = p;
    p.headers = NULL;
    p.outliers = NULL;
out:
    free(codes.data);
    free(p.headers);
    free(p.outliers);
    return rc;
}

void pack_free(struct packed *p)
{
    if (!p)
        return;
    free(p->codes);
    free(p->headers);
    free(p->outliers);
    p->codes = NULL;
    p->headers = NULL;
    p->outliers = NULL;
}

void pack_activations(const struct packed *p, uint32_t lanes, uint32_t cols, uint32_t group,
                      const int8_t *x, int8_t *out)
{
    size_t padded = p->row_header ? p->group_pad : (size_t)p->chunk_steps * lanes;
    size_t take = p->row_header || group == 0 ? cols : group;
    for (size_t from = 0; from < cols; from += take, out += padded) {
        size_t n = cols - from < take ? cols - from : take;
        memcpy(out, x + from, n);
        memset(out + n, 0, padded - n);
    }
}
