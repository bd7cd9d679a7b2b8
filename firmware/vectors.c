/* vectors.c - makes the jobs by which the firmware tests the array that it is built for: streams by the library's packer, what
 * must come out by its golden model. Runs on the host when the firmware is built:
 *
 *     vectors KIND:ROWS:LANES:SCALE_UNITS[:D_BITS] BYTES
 *
 * One job for each format until they take BYTES: two columns, two groups if they are small.
 * SPDX-License-Identifier: Apache-2.0 */
#include "link/frame.h"
#include "streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 2, BLOBS = 1024, VECTORS = 64 };

struct blob {
    uint8_t *bytes;
    size_t count;
};

struct maker {
    const struct pe_kind *kind;
    struct pack_shape shape;
    uint32_t cols;
    size_t budget, used;
    struct accel_dev cpu;
    float *w;
    int8_t *x;
    int64_t *y;
    struct blob blobs[BLOBS];
    unsigned blob_count, vector_count;
    char lines[VECTORS][256];
    struct accel_error err;
};

/* The most telling ones first: the memory may not hold all. */
static const accel_format formats[] = {
    ACCEL_INT(8),      ACCEL_INT(4),    ACCEL_INT(2),      ACCEL_TERNARY,    ACCEL_FP4,
    ACCEL_INT(1),      ACCEL_INT(3),    ACCEL_INT(5),      ACCEL_INT(6),     ACCEL_INT(7),
    ACCEL_BIP(1),      ACCEL_UINT(4),   ACCEL_FLOAT(2, 1), ACCEL_FP3,        ACCEL_UINT(1),
    ACCEL_UINT(2),     ACCEL_UINT(3),   ACCEL_UINT(5),     ACCEL_UINT(6),    ACCEL_UINT(7),
    ACCEL_UINT(8),     ACCEL_BIP(2),    ACCEL_BIP(3),      ACCEL_BIP(4),     ACCEL_POT4,
    ACCEL_FLINT4,      ACCEL_UFLINT4,   ACCEL_ANT4,        ACCEL_OLIVE4,     ACCEL_OLIVE4F,
    ACCEL_FLOAT(3, 2), ACCEL_CODEBOOK4, ACCEL_FLOAT(4, 3), ACCEL_FLOAT(2, 3)
};

/* The blob with these bytes, blob_count if there is none: activations are the same in most jobs. */
static unsigned find(const struct maker *m, const void *bytes, size_t count)
{
    unsigned i = 0;
    while (i < m->blob_count &&
           (m->blobs[i].count != count || memcmp(m->blobs[i].bytes, bytes, count) != 0))
        i++;
    return i;
}

static int keep(struct maker *m, const void *bytes, size_t count, unsigned *index)
{
    *index = find(m, bytes, count);
    if (*index < m->blob_count)
        return ACCEL_OK;
    uint8_t *copy = m->blob_count < BLOBS ? malloc(count) : NULL;
    if (!copy)
        return accel_fail(&m->err, ACCEL_E_NOMEM, "out of memory");
    memcpy(copy, bytes, count);
    m->blobs[m->blob_count++] = (struct blob){ copy, count };
    return ACCEL_OK;
}

/* CRC-32C of the results in the order of the core's stream: for each column: for each row: 48 bits. */
static uint32_t results_crc(const struct maker *m)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < (size_t)COLUMNS * m->shape.rows; i++) {
        uint8_t bytes[6];
        for (unsigned b = 0; b < sizeof bytes; b++)
            bytes[b] = (uint8_t)((uint64_t)m->y[i] >> 8 * b);
        crc = link_crc(crc, bytes, sizeof bytes);
    }
    return crc;
}

static int add(struct maker *m, accel_format f)
{
    accel_matrix *mat = NULL;
    struct accel_weights w = { .rows = m->shape.rows, .cols = m->cols, .group = m->shape.lanes };
    struct packed packed = { 0 };
    struct job_streams s = { 0 };
    struct pack_wire wire;
    int rc = ACCEL_OK;
    if (pack_wire_format(m->kind, m->shape.d_bits, f, &wire))
        return rc; /* nothing for this kind */
    if (accel_matrix_quantize(f, m->shape.lanes, m->shape.rows, m->cols, m->w, &mat, &m->err) ||
        pack_matrix(m->kind, &m->shape, mat, &packed, &m->err))
        goto out; /* nor are these weights */
    const uint16_t id = (uint16_t)(0x5400 + m->vector_count);
    const struct backend_job job = {
        .weights = &w, .x = m->x, .n = COLUMNS, .x_stride = m->cols, .acc = m->y
    };
    struct accel_stats stats = { 0 };
    rc = accel_backend_cpu.load(&m->cpu, mat, &w, &m->err);
    if (!rc)
        rc = accel_backend_cpu.run(&m->cpu, &job, &stats, &m->err);
    if (!rc)
        rc = streams_of_job(&s, &m->shape, &packed, &job, id);
    if (rc)
        goto out;
    const struct byte_stream all[LINK_STREAMS] = {
        { (const uint8_t *)s.command, sizeof s.command }, s.x, s.w, s.h, s.o
    };
    size_t more = 32; /* struct vector, about */
    unsigned index[LINK_STREAMS];
    for (unsigned i = 0; i < LINK_STREAMS; i++)
        more += find(m, all[i].bytes, all[i].count) < m->blob_count ? 0 : all[i].count;
    if (m->used + more > m->budget || m->vector_count == VECTORS)
        goto out;
    m->used += more;
    for (unsigned i = 0; i < LINK_STREAMS && !rc; i++)
        rc = all[i].count ? keep(m, all[i].bytes, all[i].count, &index[i]) : ACCEL_OK;
    if (rc)
        goto out;
    char *line = m->lines[m->vector_count++];
    size_t at = (size_t)snprintf(line, sizeof *m->lines, "    { { ");
    for (unsigned i = 0; i < LINK_STREAMS; i++)
        at += all[i].count
                  ? (size_t)snprintf(line + at, sizeof *m->lines - at, "blob_%u, ", index[i])
                  : (size_t)snprintf(line + at, sizeof *m->lines - at, "0, ");
    snprintf(line + at, sizeof *m->lines - at,
             "}, %zu, %u, 0x%08xu, { %zu, %zu, %zu, %zu, %zu } }, /* %s */", s.result_bytes, id,
             results_crc(m), all[0].count, all[1].count, all[2].count, all[3].count, all[4].count,
             accel_format_name(f));
out:
    streams_free(&s);
    pack_free(&packed);
    if (w.free_priv)
        w.free_priv(w.priv);
    accel_matrix_free(mat);
    return rc;
}

/* Any weights but those that a kind which leaves zeros out cannot keep. */
static void fill(struct maker *m)
{
    uint64_t state = 1;
    for (size_t i = 0; i < (size_t)m->shape.rows * m->cols; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        m->w[i] = (float)(int32_t)(state >> 32) * 0x1p-31f;
        if (m->kind->block && i % m->kind->block >= 2)
            m->w[i] = 0;
    }
    for (size_t i = 0; i < (size_t)COLUMNS * m->cols; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        m->x[i] = (int8_t)(state >> 56);
    }
}

static void print(const struct maker *m, const char *model)
{
    printf("/* made by vectors.c for %s */\n#include \"device.h\"\n\n", model);
    for (unsigned i = 0; i < m->blob_count; i++) {
        printf("static const uint8_t blob_%u[%zu] = {", i, m->blobs[i].count);
        for (size_t b = 0; b < m->blobs[i].count; b++)
            printf("%s%u,", b % 24 ? "" : "\n    ", m->blobs[i].bytes[b]);
        printf("\n};\n");
    }
    printf("const struct vector vectors[] = {\n");
    for (unsigned i = 0; i < m->vector_count; i++)
        printf("%s\n", m->lines[i]);
    printf("};\nconst unsigned vector_count = sizeof vectors / sizeof *vectors;\n");
}

int main(int argc, char **argv)
{
    static struct maker m;
    unsigned kind = 0, d_bits = 24;
    int rc = ACCEL_E_ARG;
    if (argc != 3 || sscanf(argv[1], "%u:%u:%u:%u:%u", &kind, &m.shape.rows, &m.shape.lanes,
                            &m.shape.scale_units, &d_bits) < 4) {
        fprintf(stderr, "usage: vectors KIND:ROWS:LANES:SCALE_UNITS[:D_BITS] BYTES\n");
        return 2;
    }
    m.shape.d_bits = d_bits;
    m.budget = strtoul(argv[2], NULL, 0);
    for (size_t i = 0; i < accel_kind_count; i++)
        if (accel_kinds[i].id == kind)
            m.kind = &accel_kinds[i];
    if (!m.kind || !m.shape.rows || m.shape.rows > 256 || !m.shape.lanes || m.shape.lanes > 256) {
        fprintf(stderr, "vectors: %s is no kind and shape of an array\n", argv[1]);
        return 2;
    }
    m.cols = m.shape.rows * m.shape.lanes > 512 ? m.shape.lanes : 2 * m.shape.lanes;
    m.w = malloc((size_t)m.shape.rows * m.cols * sizeof *m.w);
    m.x = malloc((size_t)COLUMNS * m.cols);
    m.y = malloc((size_t)COLUMNS * m.shape.rows * sizeof *m.y);
    if (m.w && m.x && m.y) {
        fill(&m);
        rc = accel_backend_cpu.open(&m.cpu, "", &m.err);
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats && !rc; i++)
        rc = add(&m, formats[i]);
    if (!rc && !m.vector_count)
        rc = accel_fail(&m.err, ACCEL_E_UNSUPPORTED, "%s bytes hold no job for %s", argv[2],
                        argv[1]);
    if (rc)
        fprintf(stderr, "vectors: %s\n", m.err.text);
    else
        print(&m, argv[1]);
    if (!rc)
        accel_backend_cpu.close(&m.cpu);
    for (unsigned i = 0; i < m.blob_count; i++)
        free(m.blobs[i].bytes);
    free(m.w);
    free(m.x);
    free(m.y);
    return rc ? 1 : 0;
}
