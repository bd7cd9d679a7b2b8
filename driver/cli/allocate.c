/* allocate.c - accel allocate, and --budget of quantize: a format for each matrix under a budget, as a plan.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "allocate.h"
#include "allocate_solve.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_TOKENS = 512, TRACE_SAMPLES = 4, SOLVER_SECONDS = 15 };

static const char *const cost_names[] = { "bits", "bytes", "cycles" };

enum by { BY_HAWQ, BY_LOSS, BY_CLADO, BY_BISECT };
static const char *const by_names[] = { "hawq", "loss", "clado", "bisect" };

struct work {
    const struct options *o;
    accel_model *model;
    accel_dev *dev;
    struct allocate a;
    struct plan_choice choices[MAX_LIST];
    uint32_t choice_count;
    enum cost_kind kind;
    enum by by;
    double budget, weights; /* as asked for */
    struct allocate_problem p;
    uint32_t *pick;
    struct allocate_solution found;
    double measured;  /* loss of all picks together */
    uint32_t uniform; /* best single choice within the budget; choice_count: none */
    double uniform_loss, uniform_cost;
};

static int parse_by_name(const char *v, const char *const *names, unsigned count, unsigned fallback,
                         const char *flag, unsigned *out)
{
    *out = fallback;
    for (unsigned i = 0; v && i < count; i++)
        if (strcmp(v, names[i]) == 0) {
            *out = i;
            return EXIT_OK;
        }
    return v ? usage_error("%s: no \"%.40s\"", flag, v) : EXIT_OK;
}

int parse_budget(const char *v, enum cost_kind *kind, double *budget)
{
    char *unit = NULL;
    if (!v)
        return usage_error("a budget is needed: --budget 3.5bits, or bytes or cycles a token");
    *budget = strtod(v, &unit);
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(unit, cost_names[i]) == 0 && *budget > 0 && *budget < 1e15) {
            *kind = (enum cost_kind)i;
            return EXIT_OK;
        }
    return usage_error(
        "--budget: \"%.40s\" is not valid: expected a number and bits, bytes or cycles", v);
}

static int parse_choices(struct work *w)
{
    static const char *const usual[] = {
        "int2:32", "fp3:64",    "int3:32", "codebook3", "int4:64",
        "int4:32", "codebook4", "int5:64", "int6:64",   "int8:64"
    };
    const char *const *names = w->o->trial_count ? w->o->trials : usual;
    unsigned count = w->o->trial_count ? w->o->trial_count : sizeof usual / sizeof *usual;
    struct accel_error err = { 0 };
    for (unsigned i = 0; i < count; i++)
        if (plan_parse_choice(names[i], w->o->group, &w->choices[w->choice_count++], &err))
            return usage_error("--format: %s", err.text);
    return EXIT_OK;
}

static int start(struct work *w)
{
    struct accel_error err = { 0 };
    const struct options *o = w->o;
    unsigned by;
    char *text = NULL;
    size_t len = 0;
    int rc;
    if ((rc = parse_by_name(o->by, by_names, 4, BY_CLADO, "--by", &by)) ||
        (rc = parse_budget(o->budget, &w->kind, &w->budget)) || (rc = parse_choices(w)))
        return rc;
    w->by = (enum by)by;
    if (!o->model)
        return usage_error("allocate needs a model of float tensors: -m FILE");
    if (o->count < 2)
        return usage_error("-n: a format's loss shows in two tokens and more");
    if ((rc = open_model(o, &w->model)) ||
        (rc = open_device(o->device_count ? o->devices[0] : "cpu:", &w->dev)) ||
        (o->calibration && (rc = read_file(o->calibration, &text, &len))))
        return rc;
    for (size_t i = 0; !rc; i++) {
        struct accel_tensor_info t;
        if (accel_model_get_tensor(w->model, i, &t))
            break;
        if (t.is_matrix && t.keeps_codes)
            rc = usage_error("%s is quantized already (%s); a budget needs float tensors", o->model,
                             t.name);
    }
    uint32_t chunk = o->count < CHUNK_TOKENS ? (uint32_t)o->count : CHUNK_TOKENS;
    progress("calibration");
    if (!rc && allocate_open(w->model, w->dev, text, len, chunk, (uint32_t)(o->count / chunk),
                             o->seed, o->nearest ? QUANT_RTN : QUANT_GPTQ, &w->a, &err))
        rc = report_error(&err);
    free(text);
    return rc;
}

/* ---- costs ---- */

static double shown_cost(const struct work *w, double cost)
{
    return w->kind == COST_BITS ? cost / w->weights : cost;
}

/* What a token by itself costs on the device: bytes streamed, or cycles counted. */
static int device_cost(struct work *w, const struct allocate_unit *u, struct plan_choice c,
                       double *cost, struct accel_error *err)
{
    accel_matrix *mat = NULL;
    accel_weights *packed = NULL;
    struct accel_weights_info info;
    struct accel_stats stats = { 0 };
    int8_t *x = malloc(u->cols);
    int64_t *y = malloc(u->rows * sizeof *y);
    int rc = x && y ? plan_quantize(c, u->rows, u->cols, u->w, &mat, err) : ACCEL_E_NOMEM;
    if (!rc)
        rc = accel_load(w->dev, mat, &packed, err);
    if (!rc && w->kind == COST_CYCLES) {
        for (uint32_t i = 0; i < u->cols; i++)
            x[i] = (int8_t)((i * 37 + 11) % 255 - 127);
        struct accel_job job = { .weights = packed,
                                 .x = x,
                                 .n = 1,
                                 .x_stride = u->cols,
                                 .out = ACCEL_OUT_ACC,
                                 .y = y,
                                 .y_stride = u->rows };
        rc = accel_run(w->dev, &job, &stats, err);
    }
    if (!rc) {
        accel_weights_get_info(packed, &info);
        *cost = w->kind == COST_CYCLES ? (double)stats.cycles
                                       : (double)(info.code_bits + info.header_bits) / 8;
    } else if (rc == ACCEL_E_UNSUPPORTED) {
        *cost = INFINITY;
        rc = ACCEL_OK;
    }
    accel_unload(packed);
    accel_matrix_free(mat);
    free(x);
    free(y);
    return rc;
}

static int fill_costs(struct work *w, struct accel_error *err)
{
    for (uint32_t u = 0; u < w->p.units; u++)
        for (uint32_t c = 0; c < w->p.choices; c++) {
            const struct allocate_unit *unit = &w->a.units[u];
            double *cost = &w->p.cost[u * w->p.choices + c];
            uint32_t same = 0; /* cycles do not depend on the values */
            while (w->a.units[same].rows != unit->rows || w->a.units[same].cols != unit->cols)
                same++;
            int rc = ACCEL_OK;
            if (w->kind == COST_BITS)
                *cost = plan_bits(w->choices[c], unit->rows, unit->cols);
            else if (same < u)
                *cost = w->p.cost[same * w->p.choices + c];
            else
                rc = device_cost(w, unit, w->choices[c], cost, err);
            if (rc)
                return rc;
        }
    for (uint32_t i = 0; w->kind == COST_CYCLES && i < w->p.units * w->p.choices; i++)
        if (w->p.cost[i] <= 0) {
            err->status = ACCEL_E_UNSUPPORTED;
            snprintf(err->text, sizeof err->text,
                     "the device counts no cycles: give a simulated one or a board with -d");
            return err->status;
        }
    double least = 0; /* said before minutes of measuring */
    for (uint32_t u = 0; u < w->p.units; u++) {
        double cheapest = INFINITY;
        for (uint32_t c = 0; c < w->p.choices; c++)
            cheapest = fmin(cheapest, w->p.cost[u * w->p.choices + c]);
        least += cheapest;
    }
    if (!(least <= w->p.budget)) {
        err->status = ACCEL_E_ARG;
        snprintf(err->text, sizeof err->text, "the budget of %.6g %s is below the least, %.6g",
                 w->budget, cost_names[w->kind], shown_cost(w, least));
    }
    return err->status;
}

/* ---- losses ---- */

static int fill_losses(struct work *w, struct accel_error *err)
{
    uint32_t n = w->p.units * w->p.choices;
    bool pairs = w->by == BY_CLADO || w->by == BY_BISECT;
    float *sketch = pairs ? calloc(n, ALLOCATE_SKETCH * sizeof *sketch) : NULL;
    int rc = ACCEL_OK;
    if (pairs && (!sketch || !(w->p.pair = calloc(n, n * sizeof *w->p.pair)))) {
        free(sketch);
        return ACCEL_E_NOMEM;
    }
    for (uint32_t u = 0; u < w->p.units && !rc; u++) {
        double trace = 0;
        if (w->by == BY_HAWQ)
            rc = allocate_trace(&w->a, u, TRACE_SAMPLES, w->o->seed + u, &trace, err);
        for (uint32_t c = 0; c < w->p.choices && !rc; c++) {
            size_t i = (size_t)u * w->p.choices + c;
            double error;
            progress("%s: %s", w->a.units[u].name, accel_format_name(w->choices[c].format));
            if (w->by == BY_HAWQ) {
                rc = allocate_round(&w->a, u, w->choices[c], &error, err);
                w->p.loss[i] = trace * error;
            } else {
                rc = allocate_try(&w->a, u, w->choices[c],
                                  sketch ? sketch + i * ALLOCATE_SKETCH : NULL, &w->p.loss[i], NULL,
                                  err);
            }
        }
    }
    if (!rc && pairs)
        allocate_pairs(sketch, w->p.loss, n, w->p.pair);
    free(sketch);
    progress_clear();
    return rc;
}

/* ---- picks ---- */

/* Augmented Hessian: units in the order of what they lose in the narrower of two formats, pairs with all
 * others added; the longest part that must keep the wider one is found by bisection. Best of all pairs. */
struct ranked {
    double score;
    uint32_t unit;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->score < y->score ? -1 : x->score > y->score;
}

static void split(struct work *w, const struct ranked *order, uint32_t narrow, uint32_t wide,
                  uint32_t count, struct allocate_solution *s)
{
    for (uint32_t i = 0; i < w->p.units; i++)
        s->pick[order[i].unit] = i < count ? narrow : wide;
    allocate_value(&w->p, s);
}

static int bisect(struct work *w, struct accel_error *err)
{
    uint32_t units = w->p.units, n = w->p.choices, found = 0;
    size_t all = (size_t)units * n;
    struct ranked *order = calloc(units, sizeof *order);
    uint32_t *pick = calloc(units, sizeof *pick);
    struct allocate_solution s = { .pick = pick };
    int rc = order && pick ? ACCEL_OK : ACCEL_E_NOMEM;
    for (uint32_t at = 0; !rc && at < n * n; at++) {
        uint32_t narrow = n ? at / n : 0, wide = at - narrow * n, low = 0, high = units;
        for (uint32_t u = 0; u < units; u++) {
            size_t i = (size_t)u * n + narrow;
            double saved = w->p.cost[(size_t)u * n + wide] - w->p.cost[i];
            order[u] = (struct ranked){ 0, u };
            for (uint32_t v = 0; v < units; v++)
                order[u].score += fabs(w->p.pair[i * all + (size_t)v * n + narrow]);
            order[u].score /= saved > 0 ? saved : 1;
        }
        qsort(order, units, sizeof *order, by_score);
        split(w, order, narrow, wide, units, &s);
        if (!(s.cost <= w->p.budget))
            continue;
        while (low < high) { /* fewest narrow ones within the budget */
            uint32_t middle = (low + high) / 2;
            split(w, order, narrow, wide, middle, &s);
            if (s.cost <= w->p.budget)
                high = middle;
            else
                low = middle + 1;
        }
        split(w, order, narrow, wide, high, &s);
        if (s.cost <= w->p.budget && (!found || s.loss < w->found.loss)) {
            found = 1;
            memcpy(w->pick, pick, units * sizeof *pick);
            allocate_value(&w->p, &w->found);
        }
    }
    free(order);
    free(pick);
    if (!rc && !found) {
        rc = err->status = ACCEL_E_ARG;
        snprintf(err->text, sizeof err->text, "no two formats fit the budget");
    }
    return rc;
}

/* The single choice that a budget allows and that loses least, measured. */
static int find_uniform(struct work *w, struct accel_error *err)
{
    struct plan_choice *all = calloc(w->p.units, sizeof *all);
    int rc = all ? ACCEL_OK : ACCEL_E_NOMEM;
    w->uniform = w->p.choices;
    for (uint32_t c = 0; c < w->p.choices && !rc; c++) {
        double cost = 0, loss;
        for (uint32_t u = 0; u < w->p.units; u++) {
            all[u] = w->choices[c];
            cost += w->p.cost[u * w->p.choices + c];
        }
        if (!(cost <= w->p.budget))
            continue;
        rc = allocate_try_all(&w->a, all, &loss, err);
        if (!rc && (w->uniform == w->p.choices || loss < w->uniform_loss)) {
            w->uniform = c;
            w->uniform_loss = loss;
            w->uniform_cost = cost;
        }
    }
    for (uint32_t u = 0; u < w->p.units && !rc; u++)
        all[u] = w->choices[w->pick[u]];
    if (!rc)
        rc = allocate_try_all(&w->a, all, &w->measured, err);
    free(all);
    return rc;
}

/* ---- reports ---- */

static int print_plan(const struct work *w, char **plan, size_t *len)
{
    FILE *out = open_memstream(plan, len);
    char text[32];
    if (!out)
        return usage_error("out of memory for the plan");
    fprintf(out, "# by %s: %.6g %s of %.6g, KL divergence %.6g on calibration\n", by_names[w->by],
            shown_cost(w, w->found.cost), cost_names[w->kind], w->budget, w->measured);
    for (uint32_t u = 0; w->pick && u < w->p.units; u++)
        fprintf(out, "%s = %s\n", w->a.units[u].name,
                plan_print_choice(w->choices[w->pick[u]], text));
    if (fclose(out) == 0)
        return EXIT_OK;
    free(*plan);
    *plan = NULL;
    return usage_error("out of memory for the plan");
}

static void report(const struct work *w, struct json *j, const char *key)
{
    char text[32];
    double cost = shown_cost(w, w->found.cost), uniform_cost = shown_cost(w, w->uniform_cost);
    bool uniform = w->uniform < w->p.choices;
    if (!j) {
        printf("plan      %.6g %s of %.6g: KL %.6g, foretold %.6g", cost, cost_names[w->kind],
               w->budget, w->measured, w->found.loss);
        if (w->found.bound > 0)
            printf(", no pick below %.6g", w->found.bound);
        if (uniform)
            printf("\nuniform   %.6g %s: KL %.6g, all in %s", uniform_cost, cost_names[w->kind],
                   w->uniform_loss, plan_print_choice(w->choices[w->uniform], text));
        puts("");
        return;
    }
    json_object(j, NULL);
    if (key)
        json_object(j, key);
    json_string(j, "by", by_names[w->by]);
    json_string(j, "unit", cost_names[w->kind]);
    json_number(j, "budget", w->budget);
    json_number(j, "cost", cost);
    json_number(j, "kl", w->measured);
    json_number(j, "kl_foretold", w->found.loss);
    json_number(j, "bound", w->found.bound);
    json_int(j, "programs", w->found.rounds);
    if (uniform) {
        json_string(j, "uniform", plan_print_choice(w->choices[w->uniform], text));
        json_number(j, "uniform_cost", uniform_cost);
        json_number(j, "uniform_kl", w->uniform_loss);
    } else {
        json_null(j, "uniform");
    }
    json_end_object(j); /* with a key, of the inner one */
}

int make_plan(const struct options *o, struct json *j, const char *key, char **plan, size_t *len)
{
    struct accel_error err = { 0 };
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return usage_error("out of memory");
    w->o = o;
    int rc = start(w);
    if (rc)
        goto out;
    w->p.units = w->a.unit_count;
    w->p.choices = w->choice_count;
    w->p.loss = calloc((size_t)w->p.units * w->p.choices, sizeof *w->p.loss);
    w->p.cost = calloc((size_t)w->p.units * w->p.choices, sizeof *w->p.cost);
    w->found.pick = w->pick = calloc(w->p.units, sizeof *w->pick);
    for (uint32_t u = 0; u < w->p.units; u++)
        w->weights += (double)w->a.units[u].rows * w->a.units[u].cols;
    w->p.budget = w->kind == COST_BITS ? w->budget * w->weights : w->budget;
    if (!w->p.loss || !w->p.cost || !w->pick)
        err.status = ACCEL_E_NOMEM;
    if (err.status || (err.status = fill_costs(w, &err)) || (err.status = fill_losses(w, &err)) ||
        (err.status = w->by == BY_BISECT
                          ? bisect(w, &err)
                          : allocate_solve(&w->p, SOLVER_SECONDS, &w->found, &err)) ||
        (err.status = find_uniform(w, &err)))
        rc = report_error(&err);
    if (!rc && !(rc = print_plan(w, plan, len)))
        report(w, j, key);
out:
    free(w->p.loss);
    free(w->p.cost);
    free(w->p.pair);
    free(w->pick);
    allocate_close(&w->a);
    accel_close(w->dev);
    accel_model_free(w->model);
    free(w);
    return rc;
}

int run_allocate(const struct options *o)
{
    struct json j = { .out = stdout };
    char *plan = NULL;
    size_t len = 0;
    if (!o->output)
        return usage_error("allocate needs a plan to write: -o FILE");
    int rc = make_plan(o, o->json ? &j : NULL, NULL, &plan, &len);
    if (rc)
        return rc;
    FILE *out = fopen(o->output, "w");
    bool written = out && fwrite(plan, 1, len, out) == len;
    if (!out || fclose(out) != 0 || !written) {
        fprintf(stderr, "accel: %s: %s\n", o->output, strerror(errno));
        rc = exit_code(ACCEL_E_IO);
    }
    free(plan);
    return rc;
}
