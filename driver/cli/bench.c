/* bench.c - accel bench: a table of devices and formats.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT_TOKENS = 64 };

struct device_list {
    char uri[MAX_LIST][96];
    unsigned count;
};

struct result {
    struct accel_caps caps;
    struct accel_llm_info info;
    struct phase prefill, decode;
    double format_bits; /* of a code, averaged over the weights */
};

static int add_device(void *user, const char *uri, const char *what)
{
    struct device_list *list = user;
    (void)what;
    if (list->count == MAX_LIST || strlen(uri) >= sizeof list->uri[0])
        return 0;
    memcpy(list->uri[list->count++], uri, strlen(uri) + 1);
    return 0;
}

/* Is every matrix made of floats, so that a format can be chosen? Also the width of the codes. */
static int look_at(const accel_model *model, accel_format format, uint32_t group, bool *floats,
                   double *bits)
{
    struct accel_model_info info;
    struct accel_error err = { 0 };
    double sum = 0, count = 0;
    *floats = true;
    accel_model_get_info(model, &info);
    for (size_t i = 0; i < info.tensors; i++) {
        struct accel_tensor_info t;
        struct accel_matrix_info m = { .format = format };
        accel_model_get_tensor(model, i, &t);
        if (!t.is_matrix)
            continue;
        if (t.keeps_codes) {
            accel_matrix *mat;
            *floats = false;
            if (accel_model_matrix(model, i, format, group, &mat, &err))
                return report_error(&err);
            accel_matrix_get_info(mat, &m);
            accel_matrix_free(mat);
        }
        sum += (double)(t.rows * t.cols) * accel_format_bits(m.format);
        count += (double)(t.rows * t.cols);
    }
    *bits = count > 0 ? sum / count : 0;
    return EXIT_OK;
}

/* A device that cannot take the model is no error: why is what it says then. */
static int measure(const struct options *o, const accel_model *model, accel_dev *dev,
                   accel_format format, struct result *r, char *why, size_t why_size)
{
    struct accel_sampler greedy = { 0 };
    struct accel_model_info info;
    struct accel_error err = { 0 };
    accel_llm *llm = NULL;
    float *logits = NULL;
    uint32_t ids[PROMPT_TOKENS];
    why[0] = '\0';
    if (try_open_llm(o, model, dev, format, &llm, &err)) {
        if (err.status != ACCEL_E_UNSUPPORTED)
            return report_error(&err);
        snprintf(why, why_size, "%s", err.text);
        return EXIT_OK;
    }
    accel_model_get_info(model, &info);
    accel_get_caps(dev, &r->caps);
    logits = malloc(info.vocab * sizeof *logits);
    if (!logits) {
        err.status = ACCEL_E_NOMEM;
        goto out;
    }
    /* Which tokens does not matter for the speed; these are always the same ones. */
    for (uint32_t i = 0; i < PROMPT_TOKENS; i++)
        ids[i] = i == 0 ? info.bos : (i * 7 + 300) % info.vocab;
    if ((err.status = prefill(llm, dev, ids, PROMPT_TOKENS, logits, &r->prefill, &err)))
        goto out;
    accel_reset_totals(dev);
    double start = seconds_now();
    for (uint64_t i = 0; i < o->count; i++) {
        uint32_t id = accel_sample(&greedy, logits, info.vocab, NULL);
        progress("token %llu of %llu", (unsigned long long)i + 1, (unsigned long long)o->count);
        if ((err.status = accel_llm_eval(llm, &id, 1, 1, logits, &err)))
            goto out;
    }
    r->decode.seconds = seconds_now() - start;
    r->decode.tokens = o->count;
    accel_get_totals(dev, &r->decode.stats);
    accel_llm_get_info(llm, &r->info);
    progress_clear();
out:
    free(logits);
    accel_llm_free(llm);
    return err.status ? report_error(&err) : EXIT_OK;
}

static void print_row(const struct result *r, const char *format)
{
    double codes = (double)r->info.code_bits / (double)r->info.weights;
    double all = (double)(r->info.code_bits + r->info.header_bits) / (double)r->info.weights;
    printf("%-34s %-9s %8.1f %8.1f ", r->caps.uri, format, per_second(&r->prefill),
           per_second(&r->decode));
    if (r->decode.stats.cycles)
        printf("%11.0f %11.0f %7.4f %7.4f ", cycles_per_token(&r->prefill),
               cycles_per_token(&r->decode), accel_utilisation(&r->prefill.stats),
               accel_utilisation(&r->decode.stats));
    else
        printf("%11s %11s %7s %7s ", "-", "-", "-", "-");
    if (r->info.code_bits)
        printf("%7.4f %7.4f %7.4f\n", codes, all, r->format_bits / codes);
    else
        printf("%7s %7s %7s\n", "-", "-", "-");
    fflush(stdout);
}

static void json_row(struct json *j, const struct result *r, const char *format, uint32_t group)
{
    double weights = (double)r->info.weights;
    json_object(j, NULL);
    json_string(j, "device", r->caps.uri);
    json_string(j, "pe", r->caps.pe);
    json_int(j, "rows", r->caps.rows);
    json_int(j, "lanes", r->caps.lanes);
    json_string(j, "format", format);
    json_int(j, "group", group);
    json_number(j, "prefill_tokens_per_second", per_second(&r->prefill));
    json_number(j, "tokens_per_second", per_second(&r->decode));
    json_counted(j, "prefill_cycles_per_token", cycles_per_token(&r->prefill), &r->prefill);
    json_counted(j, "cycles_per_token", cycles_per_token(&r->decode), &r->decode);
    json_counted(j, "prefill_utilisation", accel_utilisation(&r->prefill.stats), &r->prefill);
    json_counted(j, "utilisation", accel_utilisation(&r->decode.stats), &r->decode);
    json_number(j, "format_bits", r->format_bits);
    json_number(j, "bits_per_weight", (double)r->info.code_bits / weights);
    json_number(j, "bits_per_weight_with_headers",
                (double)(r->info.code_bits + r->info.header_bits) / weights);
    if (r->info.code_bits)
        json_number(j, "stream_efficiency", r->format_bits * weights / (double)r->info.code_bits);
    else
        json_null(j, "stream_efficiency");
    json_end_object(j);
}

static int bench_device(const struct options *o, const accel_model *model, const char *uri,
                        const accel_format *formats, unsigned count, struct json *j)
{
    struct accel_error err = { 0 };
    accel_dev *dev = NULL;
    int rc = open_device(uri, &dev);
    for (unsigned i = 0; i < count && !rc && !output_broken(); i++) {
        struct result r = { 0 };
        char why[ACCEL_ERROR_TEXT] = "";
        bool floats;
        const char *name = formats[i] ? accel_format_name(formats[i]) : "file";
        if (formats[i] && !accel_can_run(dev, formats[i], o->group, &err))
            snprintf(why, sizeof why, "%s", err.text);
        else if ((rc = look_at(model, formats[i], o->group, &floats, &r.format_bits)) ||
                 (rc = measure(o, model, dev, formats[i], &r, why, sizeof why)))
            break;
        if (why[0]) {
            if (!o->json)
                printf("%-34s %-9s %s\n", uri, name, why);
            continue;
        }
        if (j)
            json_row(j, &r, name, o->group);
        if (!o->json)
            print_row(&r, name);
    }
    accel_close(dev);
    return rc;
}

static void print_head(void)
{
    printf("%-34s %-9s %8s %8s %11s %11s %7s %7s %7s %7s %7s\n", "", "", "tokens/s", "",
           "cycles/tok.", "", "utilis.", "", "bits/w.", "with", "stream");
    printf("%-34s %-9s %8s %8s %11s %11s %7s %7s %7s %7s %7s\n", "device", "format", "prefill",
           "decode", "prefill", "decode", "prefill", "decode", "codes", "headers", "effic.");
}

/* The devices of -d, or all; each one once, by the name it gives itself. */
static int find_devices(const struct options *o, struct device_list *list)
{
    struct device_list all = { .count = 0 };
    if (o->device_count)
        for (unsigned i = 0; i < o->device_count; i++)
            add_device(&all, o->devices[i], NULL);
    else
        accel_list(add_device, &all);
    for (unsigned i = 0; i < all.count; i++) {
        struct accel_caps caps;
        accel_dev *dev;
        int rc = open_device(all.uri[i], &dev);
        if (rc)
            return rc;
        accel_get_caps(dev, &caps);
        accel_close(dev);
        bool known = false;
        for (unsigned k = 0; k < list->count; k++)
            known = known || strcmp(list->uri[k], caps.uri) == 0;
        if (!known)
            add_device(list, caps.uri, NULL);
    }
    return EXIT_OK;
}

static int bench_all(const struct options *o, const accel_model *model, struct json *j)
{
    static const accel_format usual[] = { ACCEL_BIP(1), ACCEL_TERNARY, ACCEL_INT(2), ACCEL_INT(3),
                                          ACCEL_INT(4), ACCEL_INT(6),  ACCEL_INT(8) };
    static const accel_format from_file[] = { 0 };
    const accel_format *formats = o->formats;
    unsigned count = o->format_count;
    struct device_list list = { .count = 0 };
    bool floats;
    double bits;
    int rc = look_at(model, ACCEL_INT(8), 32, &floats, &bits);
    if (rc || (rc = find_devices(o, &list)))
        return rc;
    if (count && !floats)
        return usage_error("--format: %s has quantized tensors, which keep their format; give a "
                           "model of F32, F16 or BF16 tensors",
                           o->model);
    if (!count) {
        formats = floats ? usual : from_file;
        count = floats ? sizeof usual / sizeof *usual : 1;
    }
    if (j) {
        json_object(j, NULL);
        json_string(j, "model", o->model);
        json_int(j, "prompt_tokens", PROMPT_TOKENS);
        json_int(j, "tokens", o->count);
        json_array(j, "rows");
    }
    if (!o->json)
        print_head();
    for (unsigned i = 0; i < list.count && !rc; i++)
        rc = bench_device(o, model, list.uri[i], formats, count, j);
    if (j) {
        json_end_array(j);
        json_end_object(j);
    }
    return rc;
}

int run_bench(const struct options *given)
{
    struct options o = *given;
    struct json j = { .out = stdout };
    accel_model *model;
    /* Small groups are bound by the scaling of groups; the table is about the formats. */
    if (!(given->given & FLAG(GROUP)))
        o.group = 128;
    o.model = model_path(given, BENCH_MODEL);
    if (!o.model)
        return EXIT_USAGE;
    int rc = open_model(&o, &model);
    if (rc)
        return rc;
    if (o.save && !(j.out = fopen(o.save, "w"))) {
        fprintf(stderr, "accel: %s: %s\n", o.save, strerror(errno));
        rc = exit_code(ACCEL_E_IO);
        goto out;
    }
    rc = bench_all(&o, model, o.json || o.save ? &j : NULL);
    if (o.save && fclose(j.out) != 0 && !rc) {
        fprintf(stderr, "accel: %s: %s\n", o.save, strerror(errno));
        rc = exit_code(ACCEL_E_IO);
    }
out:
    accel_model_free(model);
    return rc;
}
