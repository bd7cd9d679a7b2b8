/* info.c - accel info: a device, or a model and how its tensors map to formats.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "link_constants.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_KINDS = 64 };

/* Tensors of one type. */
struct kind {
    char type[16];
    bool matrix, keeps_codes;
    uint64_t tensors, values, bytes;
    struct accel_matrix_info info; /* format and group of the last; largest scale_error */
};

/* What a board says of its link; nothing of a device that has none. */
struct link_state {
    bool has_link, at_usb;
    uint32_t words[LINK_REG_BUILD - LINK_REG_MAGIC + 1];
    struct accel_usb_status usb;
};

static void link_json(struct json *j, const struct link_state *l)
{
    if (!l->has_link)
        return;
    json_object(j, "link");
    json_int(j, "protocol_min", l->words[1] >> 16);
    json_int(j, "protocol_max", l->words[1] & 0xFFFF);
    json_int(j, "core_hz", l->words[4]);
    json_int(j, "build", l->words[5]);
    if (l->at_usb) {
        json_bool(j, "core_busy", l->usb.core_busy);
        json_bool(j, "high_speed", l->usb.high_speed);
        json_bool(j, "out_halted", l->usb.out_halted);
        json_bool(j, "in_halted", l->usb.in_halted);
        json_int(j, "packets_received", l->usb.received);
        json_int(j, "packets_sent", l->usb.sent);
    }
    json_end_object(j);
}

static void link_text(const struct link_state *l)
{
    if (!l->has_link)
        return;
    printf("link           protocol %u to %u, core at %.6g MHz, build %u\n", l->words[1] >> 16,
           l->words[1] & 0xFFFF, l->words[4] / 1e6, l->words[5]);
    if (l->at_usb)
        printf("USB            %s speed, %u packets received, %u sent%s%s; core %s\n",
               l->usb.high_speed ? "high" : "full", l->usb.received, l->usb.sent,
               l->usb.out_halted ? ", OUT halted" : "", l->usb.in_halted ? ", IN halted" : "",
               l->usb.core_busy ? "busy" : "idle");
}

static int device_info(const struct options *o)
{
    struct accel_caps caps;
    struct link_state link;
    accel_dev *dev;
    int rc = open_device(first_device(o), &dev);
    if (rc)
        return rc;
    accel_get_caps(dev, &caps);
    link.has_link = accel_peek(dev, LINK_REG_MAGIC, sizeof link.words / sizeof *link.words,
                               link.words, NULL) == ACCEL_OK;
    link.at_usb = accel_get_usb_status(dev, &link.usb, NULL) == ACCEL_OK;
    accel_close(dev);
    if (o->json) {
        struct json j = { .out = stdout };
        json_object(&j, NULL);
        json_string(&j, "device", caps.uri);
        json_string(&j, "backend", caps.backend);
        json_string(&j, "pe", caps.pe);
        json_int(&j, "rows", caps.rows);
        json_int(&j, "lanes", caps.lanes);
        json_int(&j, "scale_units", caps.scale_units);
        json_int(&j, "max_n", caps.max_n);
        json_int(&j, "max_steps", caps.max_steps);
        json_int(&j, "acc_bits", caps.acc_bits);
        json_int(&j, "queue", caps.queue);
        json_int(&j, "clock_hz", caps.clock_hz);
        link_json(&j, &link);
        json_end_object(&j);
        return EXIT_OK;
    }
    printf("device         %s\n", caps.uri);
    printf("backend        %s\n", caps.backend);
    printf("PE kind        %s\n", caps.pe);
    printf("array          %u rows x %u lanes, %u rows scaled a cycle\n", caps.rows, caps.lanes,
           caps.scale_units);
    printf("a job          at most %u columns and %u steps of activations\n", caps.max_n,
           caps.max_steps);
    printf("accumulators   %u bits\n", caps.acc_bits);
    printf("queue          %u jobs\n", caps.queue);
    if (caps.clock_hz)
        printf("device time    %.6g MHz\n", (double)caps.clock_hz / 1e6);
    link_text(&link);
    return EXIT_OK;
}

static struct kind *find_kind(struct kind *kinds, size_t *count, const struct accel_tensor_info *t)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(kinds[i].type, t->type) == 0 && kinds[i].matrix == (t->is_matrix != 0))
            return &kinds[i];
    struct kind *k = &kinds[*count];
    if (*count + 1 < MAX_KINDS) /* there are fewer types; the last would take the rest */
        ++*count;
    memset(k, 0, sizeof *k);
    memcpy(k->type, t->type, sizeof k->type);
    k->matrix = t->is_matrix != 0;
    k->keeps_codes = t->keeps_codes != 0;
    return k;
}

/* Bits a weight takes on the device: its code and its share of the group header. */
static double job_bits(const struct accel_matrix_info *m)
{
    double group = m->group ? m->group : m->cols;
    return accel_format_bits(m->format) + (m->asymmetric ? 48.0 : 16.0) / group;
}

static const char *mapping(const struct kind *k)
{
    if (!k->matrix)
        return "host";
    if (!k->keeps_codes)
        return "quantized";
    return k->info.scale_error > 0 ? "rounded" : "exact";
}

static void print_model_json(const accel_model *model, const struct accel_model_info *m,
                             const struct kind *kinds, size_t count, uint64_t bytes)
{
    struct json j = { .out = stdout };
    json_object(&j, NULL);
    json_string(&j, "name", m->name);
    json_string(&j, "architecture", "llama");
    json_int(&j, "layers", m->layers);
    json_int(&j, "embedding", m->embd);
    json_int(&j, "feed_forward", m->ff);
    json_int(&j, "heads", m->heads);
    json_int(&j, "kv_heads", m->kv_heads);
    json_int(&j, "head_size", m->head_dim);
    json_int(&j, "rope_dimensions", m->rope_dim);
    json_number(&j, "rope_base", m->rope_base);
    json_number(&j, "rope_factor", m->rope_factor);
    json_int(&j, "vocabulary", m->vocab);
    json_int(&j, "context", m->context);
    json_bool(&j, "tied_head", m->tied_head);
    json_int(&j, "parameters", m->parameters);
    json_int(&j, "macs_per_token", m->linear_macs + m->head_macs);
    json_number(&j, "bits_per_weight", (double)bytes * 8 / (double)m->parameters);
    json_object(&j, "kv_bytes_per_token");
    for (size_t i = 0; i < KV_FORMATS; i++)
        json_number(&j, kv_formats[i].name, accel_kv_token_bytes(model, &kv_formats[i].how));
    json_end_object(&j);
    json_array(&j, "types");
    for (size_t i = 0; i < count; i++) {
        const struct kind *k = &kinds[i];
        json_object(&j, NULL);
        json_string(&j, "type", k->type);
        json_int(&j, "tensors", k->tensors);
        json_int(&j, "values", k->values);
        json_number(&j, "file_bits_per_weight", (double)k->bytes * 8 / (double)k->values);
        json_string(&j, "mapping", mapping(k));
        if (k->matrix) {
            json_string(&j, "format", accel_format_name(k->info.format));
            json_int(&j, "group", k->info.group);
            json_bool(&j, "asymmetric", k->info.asymmetric);
            json_number(&j, "scale_error", k->info.scale_error);
            json_number(&j, "device_bits_per_weight", job_bits(&k->info));
            json_int(&j, "accumulator_bits", k->info.acc_bits);
        }
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
}

static void print_model_text(const accel_model *model, const struct accel_model_info *m,
                             const struct kind *kinds, size_t count, uint64_t bytes)
{
    printf("model          %s (llama)\n", m->name[0] ? m->name : "without a name");
    printf("layers         %u of width %u, feed-forward %u\n", m->layers, m->embd, m->ff);
    printf("heads          %u, key/value heads %u, size %u\n", m->heads, m->kv_heads, m->head_dim);
    printf("positions      RoPE over %u, base %g, factor %g\n", m->rope_dim, m->rope_base,
           m->rope_factor);
    printf("vocabulary     %u, output head %s\n", m->vocab,
           m->tied_head ? "tied to the embedding" : "separate");
    printf("context        %u tokens\n", m->context);
    printf("cache          bytes a token:");
    for (size_t i = 0; i < KV_FORMATS; i++)
        printf("%s %.0f as %s", i ? "," : "", accel_kv_token_bytes(model, &kv_formats[i].how),
               kv_formats[i].name);
    putchar('\n');
    printf("parameters     %llu in %zu tensors, %.4f bits each in the file\n",
           (unsigned long long)m->parameters, m->tensors,
           (double)bytes * 8 / (double)m->parameters);
    printf("work           %llu multiply-accumulates a token\n\n",
           (unsigned long long)(m->linear_macs + m->head_macs));
    printf("%-8s %7s %11s %9s  on the device\n", "type", "tensors", "values", "file bits");
    for (size_t i = 0; i < count; i++) {
        const struct kind *k = &kinds[i];
        printf("%-8s %7llu %11llu %9.4f  ", k->type, (unsigned long long)k->tensors,
               (unsigned long long)k->values, (double)k->bytes * 8 / (double)k->values);
        if (!k->matrix) {
            printf("on the host\n");
            continue;
        }
        printf("%s%s, group %u, %.4f bits; ", accel_format_name(k->info.format),
               k->info.asymmetric ? " with offsets" : "", k->info.group, job_bits(&k->info));
        if (!k->keeps_codes)
            printf("quantized from %s", k->type);
        else if (k->info.scale_error > 0)
            printf("codes exact, scales rounded by at most %.3g of the row's largest",
                   k->info.scale_error);
        else
            printf("exact");
        printf("\n");
    }
}

static int model_info(const struct options *o)
{
    struct kind kinds[MAX_KINDS];
    struct accel_error err = { 0 };
    struct accel_model_info info;
    accel_model *model;
    size_t count = 0;
    uint64_t bytes = 0;
    int rc = open_model(o, &model);
    if (rc)
        return rc;
    accel_model_get_info(model, &info);
    for (size_t i = 0; i < info.tensors; i++) {
        struct accel_tensor_info t;
        struct accel_matrix_info m;
        accel_matrix *mat;
        accel_model_get_tensor(model, i, &t);
        struct kind *k = find_kind(kinds, &count, &t);
        progress("tensor %zu of %zu", i + 1, info.tensors);
        k->tensors++;
        k->values += t.rows * t.cols;
        k->bytes += t.bytes;
        bytes += t.bytes;
        if (!t.is_matrix)
            continue;
        accel_format format = o->format_count ? o->formats[0] : ACCEL_INT(8);
        if (accel_model_matrix(model, i, format, o->group, &mat, &err)) {
            rc = report_error(&err);
            goto out;
        }
        accel_matrix_get_info(mat, &m);
        accel_matrix_free(mat);
        double worst = k->info.scale_error > m.scale_error ? k->info.scale_error : m.scale_error;
        unsigned bits = k->info.acc_bits > m.acc_bits ? k->info.acc_bits : m.acc_bits;
        int asymmetric = k->info.asymmetric || m.asymmetric;
        k->info = m;
        k->info.scale_error = worst;
        k->info.acc_bits = bits;
        k->info.asymmetric = asymmetric;
    }
    progress_clear();
    if (o->json)
        print_model_json(model, &info, kinds, count, bytes);
    else
        print_model_text(model, &info, kinds, count, bytes);
out:
    accel_model_free(model);
    return rc;
}

int run_info(const struct options *o)
{
    if (o->model)
        return model_info(o);
    return o->given & FLAG(DEVICE) ? device_info(o) : kinds_info(o);
}
