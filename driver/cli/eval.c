/* eval.c - accel eval: a table of models and formats against a reference.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "eval.h"
#include "internal.h"
#include "llama.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_TOKENS = 512, MAX_ROWS = 256 };

struct row {
    char model[128], how[64]; /* file without its folder; "int4/64", a plan's name, or "-" */
    struct eval_score score;
    uint64_t file_bytes, weights;
    double bits;                /* stored for each weight of a matrix */
    double token_bytes, cycles; /* streamed and taken for one token; < 0: not known */
    const char *kv;             /* how the cache is kept */
    double kv_bytes;            /* of it for a token */
    bool pareto;
};

struct table {
    const struct options *o;
    struct eval_text text;
    accel_dev *cpu;
    struct row rows[MAX_ROWS];
    unsigned count;
    bool compared; /* there is a reference */
    double base_nll;
    char reference[128];
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int show(void *user, uint64_t done, uint64_t total)
{
    progress("%s: chunk %llu of %llu", (const char *)user, (unsigned long long)done,
             (unsigned long long)total);
    return 0;
}

static bool all_floats(const accel_model *model)
{
    for (size_t i = 0; i < model->info.tensors; i++) {
        struct accel_tensor_info t;
        if (accel_model_get_tensor(model, i, &t) == ACCEL_OK && t.is_matrix && t.keeps_codes)
            return false;
    }
    return true;
}

/* What the matrices take: as in the file, or if there is a plan, float tensors in the formats they get. */
static void count_bits(const accel_model *model, const struct plan *plan, struct row *r)
{
    double bits = 0;
    for (size_t i = 0; i < model->info.tensors; i++) {
        struct accel_tensor_info t;
        struct plan_choice c = { 0 };
        if (accel_model_get_tensor(model, i, &t))
            continue;
        r->file_bytes += t.bytes;
        if (!t.is_matrix)
            continue;
        plan_find(plan, t.name, strlen(t.name), &c);
        r->weights += t.rows * t.cols;
        bits += c.format && !t.keeps_codes ? plan_bits(c, t.rows, t.cols) : (double)t.bytes * 8;
    }
    r->bits = r->weights ? bits / (double)r->weights : 0;
}

static int open_one(const accel_model *model, accel_dev *dev, uint32_t context, uint32_t act_bits,
                    const struct accel_kv_options *kv, const struct llama_how *how, accel_llm **llm,
                    struct accel_error *err)
{
    struct accel_llm_options lo = { .context = context, .act_bits = act_bits, .kv = *kv };
    return llama_open(model, dev, &lo, how, llm, err);
}

/* Bytes and cycles of a token by itself, on the device that was asked for. */
static int measure_device(struct table *t, const accel_model *model,
                          const struct accel_kv_options *kv, const struct llama_how *how,
                          struct row *r)
{
    struct accel_error err = { 0 };
    struct accel_llm_info info;
    struct accel_stats stats;
    accel_dev *dev = NULL;
    accel_llm *llm = NULL;
    float *logits = malloc(model->info.vocab * sizeof *logits);
    int rc = open_device(first_device(t->o), &dev);
    if (rc)
        goto out;
    if (!logits) {
        err.status = ACCEL_E_NOMEM;
        goto failed;
    }
    err.status = open_one(model, dev, CHUNK_TOKENS, t->o->act, kv, how, &llm, &err);
    if (err.status == ACCEL_E_UNSUPPORTED)
        goto out; /* this kind does not run this format: the columns stay empty */
    if (err.status)
        goto failed;
    accel_llm_get_info(llm, &info);
    if (info.host_weights)
        goto out;
    accel_reset_totals(dev);
    for (uint64_t i = 0; i < t->o->count; i++) {
        progress("%s: token %llu of %llu", r->model, (unsigned long long)i + 1,
                 (unsigned long long)t->o->count);
        if ((err.status = accel_llm_eval(llm, &t->text.ids[i % t->text.chunk], 1, 1, logits, &err)))
            goto failed;
    }
    accel_get_totals(dev, &stats);
    r->token_bytes = (double)(info.code_bits + info.header_bits) / 8;
    if (stats.cycles && t->o->count)
        r->cycles = (double)stats.cycles / (double)t->o->count;
    goto out;
failed:
    rc = report_error(&err);
out:
    free(logits);
    accel_llm_free(llm);
    accel_close(dev);
    return rc;
}

/* One line: the model with a cache of the kv-th kind. */
static int add_row(struct table *t, const accel_model *model, const char *path, const char *label,
                   const struct plan *plan, unsigned kv)
{
    struct llama_how how = { .plan = plan };
    struct accel_error err = { 0 };
    struct accel_llm_info info;
    accel_llm *llm = NULL;
    if (t->count == MAX_ROWS)
        return usage_error("more than %d lines in the table", MAX_ROWS);
    struct row *r = &t->rows[t->count];
    *r = (struct row){ .token_bytes = -1, .cycles = -1, .kv = t->o->kv_names[kv] };
    snprintf(r->model, sizeof r->model, "%s", base_name(path));
    snprintf(r->how, sizeof r->how, "%s", label);
    count_bits(model, plan, r);
    int rc = EXIT_OK;
    if ((err.status = open_one(model, t->cpu, t->text.chunk, t->o->act, &t->o->kvs[kv], &how, &llm,
                               &err)) ||
        (err.status = eval_score_model(llm, &t->text, 0, show, r->model, &r->score, &err))) {
        rc = report_error(&err);
        goto out;
    }
    accel_llm_get_info(llm, &info);
    r->token_bytes = (double)(info.code_bits + info.header_bits) / 8;
    r->kv_bytes = info.kv_token_bytes;
    if (t->o->given & FLAG(DEVICE))
        rc = measure_device(t, model, &t->o->kvs[kv], &how, r);
    progress_clear();
    t->count++;
out:
    accel_llm_free(llm);
    return rc;
}

/* A line for each kind of cache. */
static int add_rows(struct table *t, const accel_model *model, const char *path, const char *label,
                    const struct plan *plan)
{
    unsigned kv = 0;
    int rc;
    do
        rc = add_row(t, model, path, label, plan, kv);
    while (!rc && ++kv < t->o->kv_count);
    return rc;
}

/* All float tensors in one format. */
static int add_format(struct table *t, const accel_model *model, const char *path, const char *text)
{
    struct accel_error err = { 0 };
    struct plan_entry all = { .name = "*" };
    struct plan plan = { &all, 1 };
    char label[32];
    if (plan_parse_choice(text, t->o->group, &all.choice, &err))
        return usage_error("--format: %s", err.text);
    return add_rows(t, model, path, plan_print_choice(all.choice, label), &plan);
}

static int add_plan(struct table *t, const accel_model *model, const char *path,
                    const char *plan_path)
{
    struct accel_error err = { 0 };
    struct plan plan = { 0 };
    char *text;
    size_t len;
    int rc = read_file(plan_path, &text, &len);
    if (rc)
        return rc;
    err.status = plan_parse(text, len, plan_path, &plan, &err);
    free(text);
    if (err.status)
        return report_error(&err);
    rc = add_rows(t, model, path, base_name(plan_path), &plan);
    plan_free(&plan);
    return rc;
}

/* A line for each format and plan, or for the formats that the file has. */
static int add_model(struct table *t, const char *path)
{
    struct accel_error err = { 0 };
    const struct options *o = t->o;
    accel_model *model = NULL;
    if (accel_model_open(path, &model, &err))
        return report_error(&err);
    int rc = EXIT_OK;
    if (!all_floats(model)) {
        rc = add_rows(t, model, path, "-", NULL);
    } else {
        for (unsigned i = 0; i < o->trial_count && !rc; i++)
            rc = add_format(t, model, path, o->trials[i]);
        for (unsigned i = 0; i < o->plan_count && !rc; i++)
            rc = add_plan(t, model, path, o->plans[i]);
        if (!o->trial_count && !o->plan_count)
            rc = add_format(t, model, path, "int8");
    }
    accel_model_free(model);
    return rc;
}

/* Score the reference and cut the text up by its tokenizer; without one, by the first model's. */
static int begin(struct table *t, const char *text, size_t len)
{
    const struct options *o = t->o;
    struct accel_error err = { 0 };
    struct llama_how how = { .float_math = true };
    const struct accel_kv_options floats = { 0 };
    struct accel_llm_info info;
    struct eval_score score;
    accel_model *model = NULL;
    accel_llm *llm = NULL;
    const char *path = o->reference;
    for (unsigned i = 0; !path && i < o->file_count; i++) {
        if (accel_model_open(o->files[i], &model, &err))
            return report_error(&err);
        if (all_floats(model))
            path = o->files[i];
        accel_model_free(model);
        model = NULL;
    }
    t->compared = path != NULL;
    if (!path)
        path = o->files[0];
    if ((err.status = accel_model_open(path, &model, &err)) ||
        (err.status = eval_text_open(model, text, len, CHUNK_TOKENS, o->chunks, &t->text, &err)))
        goto out;
    if (!t->compared)
        goto out;
    snprintf(t->reference, sizeof t->reference, "%s", base_name(gguf_path(model->file)));
    if ((err.status = open_one(model, t->cpu, t->text.chunk, 0, &floats, &how, &llm, &err)) ||
        (err.status = eval_score_model(llm, &t->text, 1, show, t->reference, &score, &err)))
        goto out;
    accel_llm_get_info(llm, &info);
    t->rows[0] = (struct row){ .token_bytes = -1,
                               .cycles = -1,
                               .score = score,
                               .kv = "f32",
                               .kv_bytes = info.kv_token_bytes };
    struct row *r = &t->rows[t->count++];
    snprintf(r->model, sizeof r->model, "%s", t->reference);
    snprintf(r->how, sizeof r->how, "float");
    count_bits(model, NULL, r);
    progress_clear();
out:
    accel_llm_free(llm);
    accel_model_free(model);
    return err.status ? report_error(&err) : EXIT_OK;
}

/* Lines that no other line beats in both bits and perplexity. */
static void find_pareto(struct table *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        struct row *a = &t->rows[i];
        a->pareto = true;
        for (unsigned j = 0; j < t->count; j++) {
            const struct row *b = &t->rows[j];
            if (b->bits <= a->bits && b->score.perplexity <= a->score.perplexity &&
                (b->bits < a->bits || b->score.perplexity < a->score.perplexity))
                a->pareto = false;
        }
    }
}

static void print_table(const struct table *t)
{
    printf("%-36s %-22s %7s %9s %10s", "model", "format", "bits/w", "MB", "perplexity");
    if (t->compared)
        printf(" %9s %8s %9s %7s", "excess", "+-", "KL", "top-1 %");
    printf(" %9s %10s %-14s %10s\n", "kB/token", "cyc/token", "cache", "cache B/t");
    for (unsigned i = 0; i < t->count; i++) {
        const struct row *r = &t->rows[i];
        printf("%-36s %-22s %7.3f %9.3f %10.4f", r->model, r->how, r->bits,
               r->bits * (double)r->weights / 8e6, r->score.perplexity);
        if (t->compared)
            printf(" %9.5f %8.5f %9.5f %7.2f", r->score.excess, r->score.excess_se, r->score.kl,
                   r->score.same_top * 100);
        if (r->token_bytes >= 0)
            printf(" %9.1f", r->token_bytes / 1000);
        else
            printf(" %9s", "-");
        if (r->cycles >= 0)
            printf(" %10.0f", r->cycles);
        else
            printf(" %10s", "-");
        printf(" %-14s %10.0f", r->kv, r->kv_bytes);
        puts(r->pareto ? " *" : "");
    }
    if (t->o->act)
        printf("activations of %u bits\n", t->o->act);
    puts("* no other line has both fewer bits and a lower perplexity");
}

static void json_known(struct json *j, const char *key, double v)
{
    if (v >= 0)
        json_number(j, key, v);
    else
        json_null(j, key);
}

static void json_row(struct json *j, const struct table *t, const struct row *r)
{
    json_object(j, NULL);
    json_string(j, "model", r->model);
    json_string(j, "format", r->how);
    json_number(j, "bits_per_weight", r->bits);
    json_number(j, "matrix_bytes", r->bits * (double)r->weights / 8);
    json_int(j, "file_tensor_bytes", r->file_bytes);
    json_number(j, "perplexity", r->score.perplexity);
    json_number(j, "nll", r->score.nll);
    json_int(j, "scored_tokens", r->score.scored);
    if (t->compared) {
        json_number(j, "excess_loss", r->score.excess);
        json_number(j, "excess_loss_se", r->score.excess_se);
        json_number(j, "kl", r->score.kl);
        json_number(j, "kl_se", r->score.kl_se);
        json_number(j, "kl_max", r->score.kl_most);
        json_number(j, "same_top", r->score.same_top);
    }
    json_known(j, "bytes_per_token", r->token_bytes);
    json_known(j, "cycles_per_token", r->cycles);
    json_string(j, "kv", r->kv);
    json_number(j, "kv_bytes_per_token", r->kv_bytes);
    json_bool(j, "pareto", r->pareto);
    json_end_object(j);
}

static void print_json(const struct table *t, FILE *out)
{
    struct json j = { .out = out };
    json_object(&j, NULL);
    if (t->compared)
        json_string(&j, "reference", t->reference);
    else
        json_null(&j, "reference");
    json_string(&j, "text", base_name(t->o->text));
    json_int(&j, "chunks", t->text.chunks);
    if (t->o->given & FLAG(DEVICE))
        json_string(&j, "device", first_device(t->o));
    else
        json_null(&j, "device");
    json_int(&j, "activation_bits", t->o->act ? t->o->act : 8);
    json_array(&j, "rows");
    for (unsigned i = 0; i < t->count; i++)
        json_row(&j, t, &t->rows[i]);
    json_end_array(&j);
    json_end_object(&j);
}

static int save_json(const struct table *t, const char *path)
{
    FILE *out = fopen(path, "w");
    if (out)
        print_json(t, out);
    if (!out || fclose(out) != 0) {
        fprintf(stderr, "accel: %s: %s\n", path, strerror(errno));
        return exit_code(ACCEL_E_IO);
    }
    return EXIT_OK;
}

int run_eval(const struct options *o)
{
    char *text = NULL;
    size_t len;
    if (!o->file_count)
        return usage_error("eval needs models: accel eval MODEL... -f FILE");
    if (!o->text)
        return usage_error("eval needs a text: -f FILE");
    struct table *t = calloc(1, sizeof *t);
    if (!t)
        return usage_error("out of memory");
    t->o = o;
    int rc = read_file(o->text, &text, &len);
    if (rc || (rc = open_device("cpu:", &t->cpu)) || (rc = begin(t, text, len)))
        goto out;
    for (unsigned i = 0; i < o->file_count && !rc; i++)
        rc = add_model(t, o->files[i]);
    if (rc)
        goto out;
    find_pareto(t);
    if (o->json)
        print_json(t, stdout);
    else
        print_table(t);
    if (o->save)
        rc = save_json(t, o->save);
out:
    eval_text_close(&t->text);
    accel_close(t->cpu);
    free(t);
    free(text);
    return rc;
}
