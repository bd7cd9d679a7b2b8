/* quantize.c - accel quantize.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "accel_quant.h"

#include <stdlib.h>
#include <string.h>

struct shown {
    struct json *json; /* NULL: a table */
};

/* A line a tensor; a progress bar in between. */
static int show(void *user, const struct accel_quantize_tensor *t)
{
    enum { WIDTH = 30 };
    struct shown *s = user;
    char bar[WIDTH + 1];
    uint64_t percent = t->total ? t->done * 100 / t->total : 100;
    for (unsigned i = 0; i < WIDTH; i++)
        bar[i] = i * 100 < percent * WIDTH ? '#' : '.';
    bar[WIDTH] = '\0';
    if (!t->name) {
        progress("[%s] %3llu %% %s", bar, (unsigned long long)percent, t->to ? t->to : "");
        return output_broken();
    }
    progress_clear();
    if (s->json) {
        json_object(s->json, NULL);
        json_string(s->json, "name", t->name);
        json_string(s->json, "from", t->from);
        json_string(s->json, "to", t->to);
        json_int(s->json, "rows", t->rows);
        json_int(s->json, "cols", t->cols);
        json_int(s->json, "bytes", t->bytes);
        json_number(s->json, "bits", t->bits);
        json_number(s->json, "error", t->error);
        json_int(s->json, "zero_rows", t->zero_rows);
        json_int(s->json, "tiny_rows", t->tiny_rows);
        json_end_object(s->json);
    } else if (strcmp(t->from, t->to) != 0) {
        printf("%-28s %6llu x %-6llu %-5s %-14s %8.4f %9.2e", t->name, (unsigned long long)t->rows,
               (unsigned long long)t->cols, t->from, t->to, t->bits, t->error);
        if (t->zero_rows)
            printf("  %llu rows of zeros", (unsigned long long)t->zero_rows);
        if (t->tiny_rows)
            printf("  %llu rows of denormals, now 0", (unsigned long long)t->tiny_rows);
        putchar('\n');
    }
    progress("[%s] %3llu %%", bar, (unsigned long long)percent);
    return output_broken();
}

static void print_json_end(struct json *j, const struct accel_quantize_result *r)
{
    json_end_array(j);
    json_int(j, "weights", r->weights);
    json_number(j, "bits", r->bits);
    json_int(j, "bytes_in", r->bytes_in);
    json_int(j, "bytes_out", r->bytes_out);
    json_number(j, "seconds", r->seconds);
    json_end_object(j);
}

int check_rewrite(const struct options *o, const char *what)
{
    if (o->file_count != 1 || !o->output)
        return usage_error("%s needs one model and -o FILE: accel %s IN.gguf -o OUT.gguf", what,
                           what);
    if (o->calibration && o->self)
        return usage_error("--calib and --self-calib exclude each other");
    if (strcmp(o->files[0], o->output) == 0)
        return usage_error(
            "the new model would replace the one that it is made of: choose another -o");
    return EXIT_OK;
}

/* What the budget does not count, an embedding that is not the head, keeps within its bits, too. */
static double other_bits(const struct options *o)
{
    enum cost_kind kind;
    double bits;
    if (!o->budget || parse_budget(o->budget, &kind, &bits) || kind != COST_BITS)
        return o->bits;
    return bits < 1.5 ? 1.5 : bits > 9 ? 9 : bits;
}

/* A plan within the budget, made with the rounding and from the text that the model will get. */
static int allocate(const struct options *o, struct json *j, char **plan, size_t *len)
{
    enum { TOKENS = 2048 }; /* each choice of each matrix is tried on all of them */
    struct options a = *o;
    if (o->given & (FLAG(BITS) | FLAG(TYPE) | FLAG(HEAD) | FLAG(PLANS)))
        return usage_error(
            "--budget picks a type for each matrix: leave out --bits, --format, --head and --plan");
    a.model = o->files[0];
    a.nearest = o->nearest || (!o->calibration && !o->self);
    a.count = o->count < TOKENS ? o->count : TOKENS;
    return make_plan(&a, j, "allocation", plan, len);
}

int run_quantize(const struct options *o)
{
    struct json j = { .out = stdout };
    struct shown s = { .json = o->json ? &j : NULL };
    struct accel_error err = { 0 };
    struct accel_quantize_result r;
    char *text = NULL, *plan = NULL;
    size_t text_len = 0, plan_len = 0;
    int rc = check_rewrite(o, "quantize");
    if (rc)
        return rc;
    if (o->plan_count > 1)
        return usage_error("quantize takes one --plan");
    if (!o->budget && (o->given & (FLAG(BY) | FLAG(DEVICE))))
        return usage_error(
            "--by and -d are for --budget: without one nothing is picked or measured");
    if (o->calibration && (rc = read_file(o->calibration, &text, &text_len)))
        goto out;
    if (o->plan_count && (rc = read_file(o->plans[0], &plan, &plan_len)))
        goto out;
    if (o->budget && (rc = allocate(o, o->json ? &j : NULL, &plan, &plan_len)))
        goto out;
    struct accel_quantize_options q = {
        .type = o->type,
        .head = o->head,
        .bits = other_bits(o),
        .plan = plan,
        .plan_len = plan_len,
        .calibration = text,
        .calibration_len = text_len,
        .tokens = (uint32_t)o->count,
        .self_calibrate = o->self,
        .seed = o->seed,
        .rtn = o->nearest,
        .threads = o->threads,
        .report = show,
        .user = &s,
    };
    if (o->json) {
        if (!o->budget)
            json_object(&j, NULL);
        json_array(&j, "tensors");
    } else {
        printf("%-28s %15s %-5s %-14s %8s %9s\n", "tensor", "shape", "from", "to", "bits", "error");
    }
    if (accel_quantize(o->files[0], o->output, &q, &r, &err)) {
        rc = report_error(&err);
        goto out;
    }
    progress_clear();
    if (o->json)
        print_json_end(&j, &r);
    else
        printf("%s: %.4f bits a weight in matrices, %.2f MB of %.2f MB, %.1f s\n", o->output,
               r.bits, (double)r.bytes_out * 1e-6, (double)r.bytes_in * 1e-6, r.seconds);
out:
    free(text);
    free(plan);
    return rc;
}
