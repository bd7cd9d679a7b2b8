/* gate_jobs.c - jobs for a core's netlist: streams by the library's packer, what must come out by its golden model, as lines of
 * hexadecimal digits for gate_tb.v.
 *
 *     gate_jobs KIND ROWS LANES SCALE_UNITS O_DEPTH OUT_DIR
 *
 * Writes OUT_DIR/{cmd,x,w,h,o}.hex, a beat a line; r.hex, the result beats; cpl.hex, for each completion how many result beats
 * come before it, and the completion. Jobs of several formats with and without offsets, requantization and outliers, a fence,
 * and a command that the core must refuse.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../tests/unit/random_matrix.h"
#include "streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { Cmd, X, W, H, O, R, Cpl, Files };
enum { RESULT_BYTES = 6 };

struct maker {
    const struct pe_kind *kind;
    struct pack_shape shape;
    struct accel_dev cpu;
    struct rng rng;
    FILE *file[Files];
    unsigned long results; /* beats */
    uint16_t id;
    unsigned jobs;
    struct accel_error err;
};

/* Beats of so many bits, the last byte's unused ones left out. */
static void beats_out(FILE *f, const uint8_t *bytes, size_t count, size_t bits)
{
    const size_t beat = (bits + 7) / 8;
    for (size_t at = 0; at + beat <= count; at += beat) {
        for (size_t b = beat; b-- > 0;)
            fprintf(f, "%02x", bytes[at + b]);
        fputc('\n', f);
    }
}

static void command(struct maker *m, const uint32_t word[4], unsigned status)
{
    fprintf(m->file[Cmd], "%08x%08x%08x%08x\n", (unsigned)word[3], (unsigned)word[2],
            (unsigned)word[1], (unsigned)word[0]);
    fprintf(m->file[Cpl], "%lx %02x%04x\n", m->results, status, m->id++);
}

/* In the stream's order: row tiles, columns, slices; rows beyond the matrix give 0. */
static void results_out(struct maker *m, const struct packed *p, const struct backend_job *job)
{
    const uint32_t rows = job->weights->rows, units = m->shape.scale_units;
    for (uint32_t t = 0; t < p->row_tiles; t++)
        for (uint32_t i = 0; i < job->n; i++)
            for (uint32_t r = t * m->shape.rows; r < (t + 1) * m->shape.rows; r += units) {
                for (uint32_t u = units; u-- > 0;) {
                    const size_t at = (size_t)i * rows + r + u;
                    const int64_t y = r + u >= rows ? 0 : job->i8 ? job->i8[at] : job->acc[at];
                    fprintf(m->file[R], "%012llx",
                            (unsigned long long)((uint64_t)y & 0xFFFFFFFFFFFFu));
                }
                fputc('\n', m->file[R]);
                m->results++;
            }
}

/* n columns of a matrix of this format, if the kind runs it. */
static int job_of(struct maker *m, accel_format f, uint32_t rows, uint32_t cols, uint32_t n,
                  int asymmetric, bool requant, bool outliers)
{
    enum { ROWS = 64, COLS = 256, N = 4 };
    static int8_t x[N * COLS], i8[N * ROWS];
    static int64_t acc[N * ROWS];
    static uint32_t mul[ROWS];
    static uint8_t shift[ROWS];
    struct pack_wire wire;
    struct packed p = { 0 };
    struct job_streams s = { 0 };
    struct accel_stats stats = { 0 };
    struct accel_weights w = { .rows = rows, .cols = cols, .group = 32 };
    struct backend_job job = { .weights = &w, .x = x, .n = n, .x_stride = cols, .acc = acc };
    accel_matrix *mat = NULL, *with = NULL;
    int rc = ACCEL_OK;
    if (pack_wire_format(m->kind, m->shape.d_bits, f, &wire))
        return rc;
    mat = random_matrix(&m->rng, f, w.group, rows, cols, asymmetric);
    if (outliers && m->shape.o_depth)
        with = with_outliers(&m->rng, mat, 3);
    const accel_matrix *use = with ? with : mat;
    random_activations(&m->rng, x, (size_t)n * cols);
    for (uint32_t r = 0; r < rows; r++) {
        mul[r] = (uint32_t)(rng_next(&m->rng) >> 33);
        shift[r] = (uint8_t)(28 + rng_below(&m->rng, 35));
    }
    if (requant) {
        job.i8 = i8;
        job.requant_mul = mul;
        job.requant_shift = shift;
    }
    rc = pack_matrix(m->kind, &m->shape, use, &p, &m->err);
    if (rc == ACCEL_E_UNSUPPORTED) { /* weights that this kind cannot keep */
        rc = ACCEL_OK;
        goto out;
    }
    if (!rc)
        rc = accel_backend_cpu.load(&m->cpu, use, &w, &m->err);
    if (!rc)
        rc = accel_backend_cpu.run(&m->cpu, &job, &stats, &m->err);
    if (!rc)
        rc = streams_of_job(&s, &m->shape, &p, &job, m->id);
    if (rc)
        goto out;
    beats_out(m->file[X], s.x.bytes, s.x.count, (size_t)m->shape.lanes * 8);
    beats_out(m->file[W], s.w.bytes, s.w.count, p.beat_bits);
    beats_out(m->file[H], s.h.bytes, s.h.count, (size_t)m->shape.scale_units * 16);
    beats_out(m->file[O], s.o.bytes, s.o.count, 64);
    results_out(m, &p, &job);
    command(m, s.command, 0);
    m->jobs++;
out:
    streams_free(&s);
    pack_free(&p);
    if (w.free_priv)
        w.free_priv(w.priv);
    accel_matrix_free(with);
    accel_matrix_free(mat);
    return rc;
}

static int jobs(struct maker *m)
{
    const uint32_t tile = m->shape.rows, fence[4] = { (uint32_t)m->id << 16, 0, 0, 0 };
    command(m, fence, 0);
    int rc = job_of(m, ACCEL_INT(2), tile, 64, 2, 0, false, false);
    if (!rc)
        rc = job_of(m, ACCEL_TERNARY, tile, 96, 2, 0, false, false);
    const uint32_t no_rows[4] = { 1u | (uint32_t)m->id << 16, 1u << 16, 1u | 1u << 16,
                                  2u | 1u << 8 };
    command(m, no_rows, 1);
    if (!rc)
        rc = job_of(m, ACCEL_INT(4), tile + 1, 40, 3, 1, true, false);
    if (!rc)
        rc = job_of(m, ACCEL_UINT(3), tile, 33, 1, 0, false, true);
    if (!rc)
        rc = job_of(m, ACCEL_BIP(1), tile - 1, 64, 2, 1, false, false);
    if (!rc)
        rc = job_of(m, ACCEL_INT(8), tile, 32, 2, 0, true, true);
    if (!rc)
        rc = job_of(m, ACCEL_FP4, tile, 32, 1, 0, false, false);
    if (!rc && !m->jobs)
        rc = accel_fail(&m->err, ACCEL_E_UNSUPPORTED, "no job for %s", m->kind->name);
    return rc;
}

int main(int argc, char **argv)
{
    static const char *const names[Files] = { "cmd", "x", "w", "h", "o", "r", "cpl" };
    static struct maker m = { .rng = { 20 }, .id = 0x1200 };
    int rc = ACCEL_E_ARG;
    if (argc == 7) {
        m.kind = accel_find_kind(argv[1]);
        m.shape.rows = (uint32_t)strtoul(argv[2], NULL, 10);
        m.shape.lanes = (uint32_t)strtoul(argv[3], NULL, 10);
        m.shape.scale_units = (uint32_t)strtoul(argv[4], NULL, 10);
        m.shape.o_depth = (uint32_t)strtoul(argv[5], NULL, 10);
        m.shape.d_bits = 24;
    }
    if (!m.kind || m.shape.rows < 2 || m.shape.rows > 32 || m.shape.lanes < 8 ||
        m.shape.lanes > 256 || !m.shape.scale_units || m.shape.rows % m.shape.scale_units) {
        fprintf(stderr, "usage: gate_jobs KIND ROWS LANES SCALE_UNITS O_DEPTH OUT_DIR\n");
        return 2;
    }
    for (int i = 0; i < Files; i++) {
        char path[4096];
        const int n = snprintf(path, sizeof path, "%s/%s.hex", argv[6], names[i]);
        m.file[i] = n > 0 && (size_t)n < sizeof path ? fopen(path, "w") : NULL;
        if (!m.file[i]) {
            accel_fail(&m.err, ACCEL_E_IO, "%s/%s.hex cannot be written", argv[6], names[i]);
            goto out;
        }
    }
    rc = accel_backend_cpu.open(&m.cpu, "", &m.err);
    if (rc)
        goto out;
    rc = jobs(&m);
    accel_backend_cpu.close(&m.cpu);
out:
    for (int i = 0; i < Files; i++)
        if (m.file[i] && fclose(m.file[i]) && !rc)
            rc = accel_fail(&m.err, ACCEL_E_IO, "%s/%s.hex cannot be written", argv[6], names[i]);
    if (rc)
        fprintf(stderr, "gate_jobs: %s\n", m.err.text);
    return rc ? 1 : 0;
}
