/* compare.c - accel compare: the same jobs on every PE kind in every format.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Cells of the table are kind x format x workload x pruning. A cell that the kind refuses keeps its place,
 * with the reason. Every result is compared with cpu: before its cycles count. */
#include "compare.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLE_ROWS = 32, SAMPLE_COLS = 256, SAMPLE_N = 8 };

static const char *const prune_names[PRUNES] = { "dense", "half", "2:4" };

/* The formats of the comparison; those that the library does not know drop out. */
static const accel_format usual[] = {
    ACCEL_BIP(1),      ACCEL_TERNARY, ACCEL_INT(2),      ACCEL_INT(3),      ACCEL_FP3,
    ACCEL_CODEBOOK3,   ACCEL_INT(4),  ACCEL_UINT(4),     ACCEL_BIP(4),      ACCEL_FLOAT(2, 1),
    ACCEL_FP4,         ACCEL_POT4,    ACCEL_FLINT4,      ACCEL_ANT4,        ACCEL_OLIVE4,
    ACCEL_CODEBOOK4,   ACCEL_INT(6),  ACCEL_FLOAT(2, 3), ACCEL_FLOAT(3, 2), ACCEL_INT(8),
    ACCEL_FLOAT(4, 3),
};

struct device {
    char uri[96];
    char kind[16];
};

struct device_list {
    struct device at[MAX_LIST];
    unsigned count;
    bool every_shape; /* else the first device of each kind */
};

struct cell {
    struct accel_caps caps;
    const struct workload *work;
    accel_format format;
    uint32_t group;
    enum prune prune;
    char refused[ACCEL_ERROR_TEXT]; /* "": it ran */
    uint64_t weights, zeros, code_bits, header_bits;
    struct accel_stats many, one; /* all columns in one job where the device can, and one column */
};

/* ---- one cell ---- */

static void add_stats(struct accel_stats *sum, const struct accel_stats *s)
{
    sum->macs += s->macs;
    sum->cycles += s->cycles;
    sum->array_beats += s->array_beats;
    sum->weight_beats += s->weight_beats;
    sum->header_beats += s->header_beats;
    sum->act_beats += s->act_beats;
    sum->result_beats += s->result_beats;
    sum->stall_weights += s->stall_weights;
    sum->stall_acts += s->stall_acts;
    sum->stall_results += s->stall_results;
    sum->jobs += s->jobs;
    sum->ideal_cycles += s->ideal_cycles;
}

/* n columns, in as few jobs as the device's buffers allow. */
static int run_columns(accel_dev *dev, const accel_weights *weights, const struct compare_layer *l,
                       uint32_t n, int64_t *y, struct accel_stats *sum, struct accel_error *err)
{
    struct accel_caps caps;
    accel_get_caps(dev, &caps);
    uint32_t most = n < caps.max_n ? n : caps.max_n;
    for (uint32_t done = 0; done < n;) {
        struct accel_stats s;
        uint32_t now = n - done < most ? n - done : most;
        struct accel_job job = { .weights = weights,
                                 .x = l->x + (size_t)done * l->cols,
                                 .n = now,
                                 .x_stride = l->cols,
                                 .out = ACCEL_OUT_ACC,
                                 .y = y + (size_t)done * l->rows,
                                 .y_stride = l->rows };
        int rc = accel_run(dev, &job, &s, err);
        if (rc == ACCEL_E_UNSUPPORTED && now > 1) {
            most = now / 2;
            continue;
        }
        if (rc)
            return rc;
        add_stats(sum, &s);
        done += now;
    }
    return ACCEL_OK;
}

/* The layer's matrix on the device and on cpu:. Returns ACCEL_E_UNSUPPORTED where one of them refuses it. */
static int run_layer(accel_dev *dev, accel_dev *cpu, struct cell *c, const struct compare_layer *l,
                     bool once, struct accel_error *err)
{
    accel_matrix *mat = NULL;
    accel_weights *w = NULL, *reference = NULL;
    struct accel_weights_info info;
    struct accel_stats ignored = { 0 };
    size_t size = (size_t)l->n * l->rows * sizeof(int64_t);
    int64_t *y = malloc(2 * size);
    if (!y)
        return ACCEL_E_NOMEM;
    int64_t *expected = y + (size_t)l->n * l->rows;
    int rc = accel_matrix_quantize(c->format, c->group, l->rows, l->cols, l->w[c->prune], &mat,
                                   err);
    if (rc == ACCEL_E_ARG) /* not every format can be made of numbers alone */
        rc = ACCEL_E_UNSUPPORTED;
    if (rc || (rc = accel_load(dev, mat, &w, err)))
        goto out;
    for (uint32_t m = 0; m < l->rows; m++)
        for (uint32_t k = 0; k < l->cols; k++)
            c->zeros += accel_matrix_value(mat, m, k) == 0;
    accel_weights_get_info(w, &info);
    c->weights += (uint64_t)l->rows * l->cols;
    c->code_bits += info.code_bits;
    c->header_bits += info.header_bits;
    if ((rc = accel_load(cpu, mat, &reference, err)) ||
        (rc = run_columns(cpu, reference, l, l->n, expected, &ignored, err)) ||
        (rc = run_columns(dev, w, l, l->n, y, &c->many, err)))
        goto out;
    if (memcmp(y, expected, size) != 0) {
        rc = err->status = ACCEL_E_MISMATCH;
        snprintf(err->text, sizeof err->text, "%s and cpu: differ: %s, %s, %s", c->caps.uri,
                 accel_format_name(c->format), l->name, prune_names[c->prune]);
        goto out;
    }
    if (!once)
        rc = run_columns(dev, w, l, 1, y, &c->one, err);
out:
    accel_unload(reference);
    accel_unload(w);
    accel_matrix_free(mat);
    free(y);
    return rc;
}

/* Pruned weights need a zero; unsigned formats have one by their offset. */
static bool has_zero(accel_format f)
{
    return (f & 0xF00u) != ACCEL_CODING_BIPOLAR;
}

/* A cell runs, or its reason not to is kept. Anything else is an error. */
static int run_cell(accel_dev *dev, accel_dev *cpu, struct cell *c, bool once)
{
    struct accel_error err = { 0 };
    if (c->prune != PRUNE_NONE && !has_zero(c->format)) {
        snprintf(c->refused, sizeof c->refused, "%s has no zero to prune to",
                 accel_format_name(c->format));
        return EXIT_OK;
    }
    c->group = c->work->group;
    if (!accel_can_run(dev, c->format, c->group, &err)) {
        struct accel_error other;
        if (c->group == 0 || !accel_can_run(dev, c->format, 96, &other)) {
            memcpy(c->refused, err.text, sizeof c->refused);
            return EXIT_OK;
        }
        c->group = 96; /* base-3 layouts want whole threes */
    }
    for (uint32_t i = 0; i < c->work->count; i++) {
        int rc = run_layer(dev, cpu, c, &c->work->layer[i], once, &err);
        if (rc == ACCEL_E_UNSUPPORTED) {
            memcpy(c->refused, err.text[0] ? err.text : accel_strerror(rc), sizeof c->refused - 1);
            c->refused[sizeof c->refused - 1] = '\0';
            return EXIT_OK;
        }
        if (rc) {
            err.status = rc;
            return report_error(&err);
        }
    }
    return EXIT_OK;
}

/* ---- reports ---- */

static double per_cycle(const struct accel_stats *s)
{
    return s->cycles ? (double)s->macs / (double)s->cycles : 0;
}

static void print_cell(const struct cell *c)
{
    printf("%-10s %-10s %-4s %-6s", c->caps.pe, accel_format_name(c->format), c->work->name,
           prune_names[c->prune]);
    if (c->refused[0])
        printf(" %s\n", c->refused);
    else
        printf("%10llu %9.2f %7.4f %10llu %9.2f %9.4f\n", (unsigned long long)c->many.cycles,
               per_cycle(&c->many), accel_utilisation(&c->many), (unsigned long long)c->one.cycles,
               per_cycle(&c->one), (double)(c->code_bits + c->header_bits) / (double)c->weights);
}

static void json_stats(struct json *j, const char *key, const struct accel_stats *s)
{
    json_object(j, key);
    json_int(j, "macs", s->macs);
    json_int(j, "cycles", s->cycles);
    json_int(j, "jobs", s->jobs);
    json_int(j, "array_beats", s->array_beats);
    json_int(j, "weight_beats", s->weight_beats);
    json_int(j, "header_beats", s->header_beats);
    json_int(j, "activation_beats", s->act_beats);
    json_int(j, "result_beats", s->result_beats);
    json_int(j, "stall_weights", s->stall_weights);
    json_int(j, "stall_activations", s->stall_acts);
    json_int(j, "stall_results", s->stall_results);
    json_number(j, "utilisation", accel_utilisation(s));
    json_number(j, "macs_per_cycle", per_cycle(s));
    json_end_object(j);
}

static void json_cell(struct json *j, const struct cell *c)
{
    json_object(j, NULL);
    json_string(j, "kind", c->caps.pe);
    json_string(j, "device", c->caps.uri);
    json_int(j, "rows", c->caps.rows);
    json_int(j, "lanes", c->caps.lanes);
    json_int(j, "scale_units", c->caps.scale_units);
    json_string(j, "format", accel_format_name(c->format));
    json_int(j, "format_bits", accel_format_bits(c->format));
    json_int(j, "group", c->group);
    json_string(j, "workload", c->work->name);
    json_string(j, "source", c->work->source);
    json_string(j, "pruning", prune_names[c->prune]);
    if (c->refused[0]) {
        json_string(j, "refused", c->refused);
    } else {
        json_null(j, "refused");
        json_int(j, "weights", c->weights);
        json_number(j, "zeros", (double)c->zeros / (double)c->weights);
        json_number(j, "code_bits_per_weight", (double)c->code_bits / (double)c->weights);
        json_number(j, "bits_per_weight",
                    (double)(c->code_bits + c->header_bits) / (double)c->weights);
        json_stats(j, "many", &c->many);
        if (c->one.jobs)
            json_stats(j, "one", &c->one);
    }
    json_end_object(j);
}

/* ---- what is compared ---- */

static int add_device(void *user, const char *uri, const char *what)
{
    struct device_list *list = user;
    struct accel_caps caps;
    accel_dev *dev;
    (void)what;
    if (list->count == MAX_LIST || strlen(uri) >= sizeof caps.uri || open_device(uri, &dev))
        return 1;
    accel_get_caps(dev, &caps);
    accel_close(dev);
    if (!caps.scale_units) /* cpu: counts no cycles */
        return 0;
    for (unsigned i = 0; i < list->count && !list->every_shape; i++)
        if (strcmp(list->at[i].kind, caps.pe) == 0)
            return 0;
    struct device *d = &list->at[list->count++];
    memcpy(d->uri, uri, strlen(uri) + 1);
    memcpy(d->kind, caps.pe, sizeof d->kind);
    return 0;
}

/* The devices of -d, or one of each kind of --kind, or one of each kind there is. */
static int find_devices(const struct options *o, struct device_list *list)
{
    struct device_list all = { .count = 0 };
    char known[512] = "";
    *list = all;
    for (unsigned i = 0; i < o->device_count; i++) {
        struct device *d = &list->at[list->count++];
        if (strlen(o->devices[i]) >= sizeof d->uri)
            return usage_error("-d: \"%.40s...\" is too long", o->devices[i]);
        memcpy(d->uri, o->devices[i], strlen(o->devices[i]) + 1);
    }
    if (o->device_count)
        return EXIT_OK;
    if (accel_list(add_device, &all))
        return EXIT_FAILED;
    for (unsigned k = 0; k < all.count; k++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", k ? ", " : "", all.at[k].kind);
    }
    if (!o->kind_count)
        *list = all;
    for (unsigned i = 0; i < o->kind_count; i++) {
        bool found = false;
        for (unsigned k = 0; k < all.count; k++)
            if (strcmp(all.at[k].kind, o->kinds[i]) == 0) {
                list->at[list->count++] = all.at[k];
                found = true;
            }
        if (!found)
            return usage_error("--kind: no \"%.40s\"; there are: %s", o->kinds[i], known);
    }
    return list->count ? EXIT_OK : usage_error("this build has no device that counts cycles");
}

/* Does the format hold -1, 0 and 1 in two bits? Then weights that were trained so are the fair ones. */
static bool ternary_format(accel_format f)
{
    bool has[3] = { false, false, false };
    if (accel_format_bits(f) > 2 || (f & 0xF00u) == ACCEL_CODING_UNSIGNED)
        return false;
    for (unsigned code = 0; code < 1u << accel_format_bits(f); code++) {
        int k = accel_format_decode(f, code);
        if (k >= -1 && k <= 1)
            has[k + 1] = true;
    }
    return has[0] && has[1] && has[2];
}

struct jobs {
    struct workload llm, ternary, cnn;
};

static int load_jobs(const struct options *o, struct jobs *w)
{
    const char *path = model_path(o, BENCH_MODEL);
    memset(w, 0, sizeof *w);
    progress("recording activations");
    int rc = path ? workload_from_model(path, o->prompt, 128, &w->llm) : EXIT_USAGE;
    if (!rc && !o->model)
        rc = workload_from_model(DEFAULT_MODEL, o->prompt, 0,
                                 &w->ternary); /* one scale, as trained */
    if (!rc && o->vectors)
        rc = workload_from_file(o->vectors, &w->cnn);
    progress_clear();
    if (!rc && o->sample) {
        workload_cut(&w->llm, SAMPLE_ROWS, SAMPLE_COLS, SAMPLE_N);
        if (w->ternary.count)
            workload_cut(&w->ternary, SAMPLE_ROWS, SAMPLE_COLS, SAMPLE_N);
    }
    return rc;
}

/* All cells of one device and format. */
static int compare_format(const struct options *o, const struct jobs *w, accel_dev *dev,
                          accel_dev *cpu, accel_format f, struct json *j)
{
    const struct workload *llm = ternary_format(f) && w->ternary.count ? &w->ternary : &w->llm;
    const struct workload *const work[] = { llm, &w->cnn };
    for (unsigned i = 0; i < 2; i++)
        for (int p = 0; p < PRUNES && work[i]->count; p++) {
            struct cell c = { .work = work[i], .format = f, .prune = (enum prune)p };
            if (o->pruning && strcmp(o->pruning, prune_names[p]) != 0)
                continue;
            accel_get_caps(dev, &c.caps);
            progress("%s %s %s %s", c.caps.pe, accel_format_name(f), work[i]->name, prune_names[p]);
            int rc = run_cell(dev, cpu, &c, o->sample);
            progress_clear();
            if (rc)
                return rc;
            if (o->json)
                json_cell(j, &c);
            else
                print_cell(&c);
            if (output_broken() || (o->sample && !c.refused[0])) /* one job is a sample */
                return EXIT_OK;
        }
    return EXIT_OK;
}

static int compare_devices(const struct options *o, const struct device_list *list,
                           const struct jobs *w, struct json *j)
{
    const accel_format *formats = o->format_count ? o->formats : usual;
    unsigned count = o->format_count ? o->format_count : sizeof usual / sizeof *usual;
    accel_dev *cpu = NULL;
    int rc = open_device("cpu:", &cpu);
    for (unsigned d = 0; d < list->count && !rc; d++) {
        accel_dev *dev = NULL;
        rc = open_device(list->at[d].uri, &dev);
        for (unsigned f = 0; f < count && !rc && !output_broken(); f++)
            if (accel_format_valid(formats[f]))
                rc = compare_format(o, w, dev, cpu, formats[f], j);
        accel_close(dev);
    }
    accel_close(cpu);
    return rc;
}

int run_compare(const struct options *given)
{
    struct options o = *given;
    struct device_list list;
    struct jobs *w = calloc(1, sizeof *w); // freed whole, also if nothing was loaded
    struct json j = { .out = stdout };
    struct accel_error err = { .status = ACCEL_E_NOMEM };
    if (!w)
        return report_error(&err);
    if (!(o.given & FLAG(PROMPT)))
        o.prompt = COMPARE_TEXT;
    int rc = find_devices(&o, &list);
    if (rc || (rc = load_jobs(&o, w)))
        goto out;
    if (o.json) {
        json_object(&j, NULL);
        json_int(&j, "columns", o.sample ? SAMPLE_N : COMPARE_N);
        json_string(&j, "text", o.prompt);
        json_array(&j, "cells");
    } else {
        printf("%-10s %-10s %-4s %-6s%10s %9s %7s %10s %9s %9s\n", "kind", "format", "job",
               "weights", "cycles", "MAC/cycle", "utilis.", "cycles 1", "MAC/cycle", "bits/w.");
    }
    rc = compare_devices(&o, &list, w, &j);
    if (o.json) {
        json_end_array(&j);
        json_end_object(&j);
    }
out:
    workload_free(&w->llm);
    workload_free(&w->ternary);
    workload_free(&w->cnn);
    free(w);
    return rc;
}
