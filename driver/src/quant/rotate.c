/* rotate.c - a model whose residual stream and values are rotated, so that no channel stands out.
 * SPDX-License-Identifier: Apache-2.0
 *
 * With an orthogonal R, R x has the root mean square of x. So a norm's weights go into the matrices behind it, what is added to
 * the stream is multiplied by R, and what reads it by R's transpose (QuaRot, arXiv 2404.00456). Values are rotated
 * likewise, head by head, between v and attn_output. R is a Hadamard matrix with random signs; or (ResQ, arXiv 2412.14363)
 * the principal directions of the stream, the first eighth and the rest each turned at random. */
#include "accel_quant.h"

#include "calib.h"
#include "file.h"
#include "ggml_types.h"
#include "internal.h"
#include "rotate.h"
#include "writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SWEEPS = 30 };

static double *doubles(size_t a, size_t b, struct accel_error *err)
{
    double *p = new_array(a, b, 1, sizeof *p);
    if (!p)
        accel_fail(err, ACCEL_E_NOMEM, "out of memory: %zu x %zu numbers", a, b);
    return p;
}

/* ---- rotations of n numbers ---- */

/* Each of n numbers times a sign; blocks of `twos` * m of them by Hadamard's butterflies, pieces of m by a dense matrix. */
struct rotation {
    size_t n, twos, m;
    double *signs; /* [n] */
    double *dense; /* [m][m]; NULL if m is 1 */
    double *work;  /* [2 n] */
};

static void rotation_free(struct rotation *r)
{
    free(r->signs);
    free(r->dense);
    free(r->work);
    *r = (struct rotation){ 0 };
}

static bool prime(size_t q)
{
    for (size_t d = 2; d * d <= q; d++)
        if (q % d == 0)
            return false;
    return q > 1;
}

/* Paley's Hadamard matrix of m = q + 1 rows for a prime q = 3 mod 4: whether i - j is a square modulo q. */
static void paley(double *h, size_t m)
{
    size_t q = m - 1;
    for (size_t i = 0; i < m * m; i++)
        h[i] = -1.0;
    for (size_t i = 0; i < m; i++) {
        h[i] = 1.0;            /* first row */
        h[i * m] = i ? -1 : 1; /* first column */
    }
    for (size_t s = 1; s < q; s++)
        for (size_t i = 0; i < q; i++)
            h[(i + 1) * m + 1 + (i + q - s * s % q) % q] = 1.0;
    for (size_t i = 1; i < m; i++)
        h[i * m + i] = 1.0;
}

static int hadamard_new(struct rotation *r, size_t n, uint64_t *random, struct accel_error *err)
{
    size_t odd = n;
    while (odd % 2 == 0)
        odd /= 2;
    r->n = n;
    r->m = 1;
    r->twos = n / odd;
    for (size_t m = 4 * odd; odd > 1 && n % m == 0; m *= 2) {
        if (prime(m - 1)) { /* and 3 modulo 4, since m is a multiple of 4 */
            r->m = m;
            r->twos = n / m;
            break;
        }
    }
    r->signs = doubles(n, 1, err);
    r->work = doubles(n, 2, err);
    if (r->m > 1 && (r->dense = doubles(r->m, r->m, err)))
        paley(r->dense, r->m);
    if (!r->signs || !r->work || (r->m > 1 && !r->dense))
        return ACCEL_E_NOMEM;
    double size = 1.0 / sqrt((double)(r->twos * r->m));
    for (size_t i = 0; i < n; i++)
        r->signs[i] = next_random(random) >> 63 ? size : -size;
    return ACCEL_OK;
}

static void multiply(const double *m, size_t n, const double *v, double *out)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t k = 0; k < n; k++)
            sum += m[i * n + k] * v[k];
        out[i] = sum;
    }
}

/* n numbers of v, `step` apart, times R. */
static void rotate(const struct rotation *r, float *v, size_t step)
{
    double *w = r->work, *out = w;
    size_t n = r->n, block = r->twos * r->m;
    for (size_t i = 0; i < n; i++)
        w[i] = r->signs[i] * (double)v[i * step];
    for (size_t first = 0; first < n; first += block)
        for (size_t half = r->m; half < block; half *= 2)
            for (size_t i = first; i < first + block; i += 2 * half)
                for (size_t k = i; k < i + half; k++) {
                    double sum = w[k] + w[k + half];
                    w[k + half] = w[k] - w[k + half];
                    w[k] = sum;
                }
    if (r->dense) {
        out = w + n;
        for (size_t first = 0; first < n; first += r->m)
            multiply(r->dense, r->m, w + first, out + first);
    }
    for (size_t i = 0; i < n; i++)
        v[i * step] = (float)out[i];
}

/* Eigenvectors of the symmetric a as the rows of v, by Jacobi's rotations, row by row; the eigenvalues stay in a's diagonal. */
static void eigen(double *a, double *v, size_t n)
{
    double all = 0.0;
    for (size_t i = 0; i < n * n; i++) {
        v[i] = i % (n + 1) ? 0.0 : 1.0;
        all += a[i] * a[i];
    }
    for (unsigned sweep = 0; sweep < SWEEPS; sweep++) {
        double off = 0.0;
        for (size_t p = 0; p + 1 < n; p++) {
            for (size_t q = p + 1; q < n; q++) {
                double x = a[p * n + q];
                off += x * x;
                if (x * x <= 1e-30 * all)
                    continue;
                double half = (a[q * n + q] - a[p * n + p]) / (2.0 * x);
                double t = (half < 0 ? -1.0 : 1.0) / (fabs(half) + sqrt(half * half + 1.0));
                double c = 1.0 / sqrt(t * t + 1.0), s = t * c;
                for (size_t k = 0; k < n; k++) {
                    double y = a[k * n + p], z = a[k * n + q];
                    a[k * n + p] = c * y - s * z;
                    a[k * n + q] = s * y + c * z;
                }
                for (size_t k = 0; k < n; k++) {
                    double y = a[p * n + k], z = a[q * n + k];
                    a[p * n + k] = c * y - s * z;
                    a[q * n + k] = s * y + c * z;
                    y = v[p * n + k];
                    z = v[q * n + k];
                    v[p * n + k] = c * y - s * z;
                    v[q * n + k] = s * y + c * z;
                }
            }
        }
        if (off <= 1e-24 * all)
            break;
    }
}

/* Rows of a random orthogonal matrix: Gram and Schmidt's way, twice each. */
static void random_rows(double *m, size_t n, uint64_t *random)
{
    for (size_t i = 0; i < n; i++) {
        double *row = m + i * n, norm;
        for (size_t k = 0; k < n; k++) {
            row[k] = 0.0;
            for (unsigned j = 0; j < 4; j++) /* near enough to a normal distribution */
                row[k] += (double)(next_random(random) >> 11) * 0x1p-53 - 0.5;
        }
        for (unsigned twice = 0; twice < 2; twice++) {
            for (size_t j = 0; j < i; j++) {
                double dot = 0.0;
                for (size_t k = 0; k < n; k++)
                    dot += row[k] * m[j * n + k];
                for (size_t k = 0; k < n; k++)
                    row[k] -= dot * m[j * n + k];
            }
            norm = 0.0;
            for (size_t k = 0; k < n; k++)
                norm += row[k] * row[k];
            for (size_t k = 0; k < n; k++)
                row[k] /= sqrt(norm);
        }
    }
}

/* The directions of largest variance first; the first eighth and the others each turned by a random matrix. */
static int principal_new(struct rotation *r, size_t n, double *moments, uint64_t *random,
                         struct accel_error *err)
{
    double *v = doubles(n, n, err), *turn = doubles(n, n, err), *column = NULL;
    int rc = ACCEL_E_NOMEM;
    size_t lead = n / 8 ? n / 8 : 1;
    r->n = r->m = n;
    r->twos = 1;
    r->signs = doubles(n, 1, err);
    r->dense = doubles(n, n, err);
    r->work = doubles(n, 2, err);
    column = doubles(n, 2, err);
    if (!v || !turn || !column || !r->signs || !r->dense || !r->work)
        goto out;
    for (size_t i = 0; i < n; i++)
        r->signs[i] = 1.0;
    eigen(moments, v, n);
    for (size_t i = 0; i < n; i++) { /* selection sort */
        size_t best = i;
        for (size_t k = i + 1; k < n; k++)
            best = moments[k * n + k] > moments[best * n + best] ? k : best;
        double value = moments[i * n + i];
        moments[i * n + i] = moments[best * n + best];
        moments[best * n + best] = value;
        memcpy(column, v + i * n, n * sizeof *v);
        memcpy(v + i * n, v + best * n, n * sizeof *v);
        memcpy(v + best * n, column, n * sizeof *v);
    }
    for (unsigned half = 0; half < 2; half++) {
        size_t first = half ? lead : 0, part = half ? n - lead : lead;
        random_rows(turn, part, random);
        for (size_t c = 0; c < n; c++) {
            for (size_t k = 0; k < part; k++)
                column[k] = v[(first + k) * n + c];
            multiply(turn, part, column, column + n);
            for (size_t k = 0; k < part; k++)
                r->dense[(first + k) * n + c] = column[n + k];
        }
    }
    rc = ACCEL_OK;
out:
    free(v);
    free(turn);
    free(column);
    return rc;
}

/* ---- the model ---- */

struct turning {
    const struct accel_fold_options *o;
    struct accel_model *model;
    struct rotation stream, head;
    uint32_t done, total;
};

/* What happens to a tensor's rows and columns. */
struct change {
    const float *norm;              /* columns are multiplied by it before; or NULL */
    const struct rotation *rows;    /* of each row, piece by piece; or NULL */
    const struct rotation *columns; /* of each column, from `first` on, piece by piece; or NULL */
    size_t first, count;
    bool ones; /* a norm's weights, which went elsewhere */
};

/* The norm before a tensor, and what else it takes. A tied head is asked for by head. */
static struct change change_of(const struct turning *t, const struct gguf_tensor *x, bool head,
                               const struct gguf_tensor **norm)
{
    const struct accel_model *m = t->model;
    size_t kv = (size_t)m->info.kv_heads * m->info.head_dim;
    size_t q = (size_t)m->info.heads * m->info.head_dim;
    struct change c = { 0 };
    *norm = NULL;
    if (head || x == m->token_embd || x == m->output) {
        c.rows = &t->stream;
        *norm = head || x == m->output ? m->output_norm : NULL;
        return c;
    }
    c.ones = x == m->output_norm;
    for (uint32_t i = 0; i < m->info.layers; i++) {
        const struct model_layer *l = &m->layers[i];
        if (x == l->attn_norm || x == l->ffn_norm)
            c.ones = true;
        if ((l->qkv && x == l->qkv) || (!l->qkv && (x == l->q || x == l->k || x == l->v)))
            *norm = l->attn_norm;
        if (x == l->gate || x == l->up)
            *norm = l->ffn_norm;
        if (x == l->qkv || x == l->v) {
            c.columns = &t->head;
            c.first = l->qkv ? q + kv : 0;
            c.count = kv;
        }
        if (x == l->attn_output || x == l->down) {
            c.columns = &t->stream;
            c.count = m->info.embd;
            c.rows = x == l->attn_output ? &t->head : NULL;
        }
    }
    if (*norm)
        c.rows = &t->stream;
    return c;
}

static int write_changed(const struct gguf_tensor *x, const struct change *c,
                         struct gguf_writing *out, struct accel_error *err)
{
    struct accel_quantize_tensor info = { 0 };
    size_t rows = (size_t)x->ne[1], cols = (size_t)x->ne[0], n;
    float *w = mul_size(rows, cols, &n) && mul_size(n, sizeof *w, &n) ? malloc(n) : NULL;
    if (!w)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: %zu x %zu floats", rows, cols);
    int rc = quant_read_rows(x, 0, rows, w, &info, err);
    for (size_t r = 0; r < rows && !rc; r++) {
        for (size_t k = 0; k < cols && c->norm; k++)
            w[r * cols + k] *= c->norm[k];
        for (size_t k = 0; k < cols && c->rows; k += c->rows->n)
            rotate(c->rows, w + r * cols + k, 1);
        for (size_t k = 0; k < cols && c->ones; k++)
            w[k] = 1.0f;
    }
    for (size_t r = c->first; c->columns && r < c->first + c->count && !rc; r += c->columns->n)
        for (size_t k = 0; k < cols; k++)
            rotate(c->columns, w + r * cols + k, cols);
    if (!rc)
        rc = gguf_write_data(out, w, n, err);
    free(w);
    return rc;
}

static int write_tensor(struct turning *t, const struct gguf_tensor *x, bool head,
                        struct gguf_writing *out, struct accel_error *err)
{
    const struct gguf_tensor *norm;
    struct change c = change_of(t, x, head, &norm);
    char name[QUANT_NAME_SHOWN + 1] = { 0 };
    float *w = NULL;
    int rc = ACCEL_OK;
    if (!c.ones && !c.rows && !c.columns)
        return gguf_write_data(out, x->data, x->size, err);
    if (norm) {
        w = calloc(t->model->info.embd, sizeof *w);
        rc = w ? model_floats(t->model, norm, w, err)
               : accel_fail(err, ACCEL_E_NOMEM, "out of memory for norm weights");
        c.norm = w;
    }
    if (!rc)
        rc = write_changed(x, &c, out, err);
    free(w);
    memcpy(name, x->name.data, (size_t)quant_name_length(x));
    struct accel_fold_stage shown = { .name = name, .done = ++t->done, .total = t->total };
    if (!rc && t->o->report && t->o->report(t->o->user, &shown))
        rc = accel_fail(err, ACCEL_E_CANCELLED, "stopped");
    return rc;
}

/* A head that is the embedding cannot take the last norm's weights, unless they are 1. */
static int needs_head(const struct turning *t, bool *head, struct accel_error *err)
{
    size_t n = t->model->info.embd;
    float *w = calloc(n, sizeof *w);
    int rc = w ? model_floats(t->model, t->model->output_norm, w, err)
               : accel_fail(err, ACCEL_E_NOMEM, "out of memory for norm weights");
    *head = false;
    for (size_t i = 0; i < n && !rc && !t->model->output; i++)
        *head |= w[i] != 1.0f;
    free(w);
    return rc;
}

static int write_file(struct turning *t, const char *path, struct accel_error *err)
{
    static const char head_name[] = "output.weight";
    const struct gguf_file *file = t->model->file;
    size_t count = gguf_tensor_count(file);
    struct gguf_new_tensor *tensors = calloc(count + 1, sizeof *tensors);
    struct gguf_writing *out = NULL;
    bool head = false;
    int rc = tensors ? needs_head(t, &head, err)
                     : accel_fail(err, ACCEL_E_NOMEM, "out of memory: %zu tensors", count);
    if (rc)
        goto out;
    for (size_t i = 0; i < count + head && !rc; i++) {
        const struct gguf_tensor *norm,
            *x = i < count ? gguf_tensor_at(file, i) : t->model->token_embd;
        struct change c = change_of(t, x, i == count, &norm);
        bool changed = c.ones || c.rows || c.columns;
        tensors[i] = (struct gguf_new_tensor){
            .name = x->name,
            .n_dims = x->n_dims,
            .type = changed ? (uint32_t)GGML_F32 : x->type,
            .size = changed ? x->ne[0] * x->ne[1] * sizeof(float) : x->size,
        };
        memcpy(tensors[i].ne, x->ne, sizeof x->ne);
        if (i == count)
            tensors[i].name = (struct gguf_str){ head_name, sizeof head_name - 1 };
        t->total += changed;
    }
    if (!rc)
        rc = gguf_write_begin(path, file, NULL, 0, tensors, count + head, &out, err);
    for (size_t i = 0; i < count + head && !rc; i++)
        rc = write_tensor(t, i < count ? gguf_tensor_at(file, i) : t->model->token_embd, i == count,
                          out, err);
    if (!rc)
        rc = gguf_write_finish(out, err);
out:
    gguf_write_close(out);
    free(tensors);
    return rc;
}

/* Second moments of what the norms make of the stream, before their weights. */
static int learn(struct turning *t, uint64_t *random, struct accel_error *err)
{
    struct calib_options o = { .as_is = true,
                               .text = t->o->calibration,
                               .len = t->o->calibration_len,
                               .tokens = t->o->tokens ? t->o->tokens : QUANT_TOKENS,
                               .seed = t->o->seed };
    uint32_t n = t->model->info.embd, layers = t->model->info.layers;
    struct calib *c = NULL;
    double *moments = doubles(n, n, err);
    int rc = moments ? calib_new(t->model, &o, &c, err) : ACCEL_E_NOMEM;
    for (uint32_t i = 0; i <= layers && !rc; i++) {
        rc = calib_stream(c, i, CALIB_QKV, moments, err);
        if (!rc && i < layers)
            rc = calib_stream(c, i, CALIB_GATE_UP, moments, err);
        if (!rc && i < layers)
            rc = calib_advance(c, i, err);
    }
    if (!rc)
        rc = principal_new(&t->stream, n, moments, random, err);
    calib_free(c);
    free(moments);
    return rc;
}

int fold_rotate(struct accel_model *model, const char *out, const struct accel_fold_options *o,
                struct accel_error *err)
{
    struct turning t = { .o = o, .model = model };
    uint64_t random = o->seed;
    int rc = hadamard_new(&t.head, model->info.head_dim, &random, err);
    if (!rc)
        rc = o->rotate == ACCEL_ROTATE_RESQ
                 ? learn(&t, &random, err)
                 : hadamard_new(&t.stream, model->info.embd, &random, err);
    if (!rc)
        rc = write_file(&t, out, err);
    rotation_free(&t.stream);
    rotation_free(&t.head);
    return rc;
}
