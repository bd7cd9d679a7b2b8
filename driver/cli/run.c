/* run.c - accel run: go on with a text, then say what it cost.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* Everything the report is made of. */
struct session {
    accel_dev *dev;
    accel_model *model;
    accel_llm *llm;
    struct accel_caps caps;
    struct accel_model_info model_info;
    uint32_t *ids; /* of the prompt */
    size_t id_count;
    float *logits;
    struct accel_candidate *scratch;
    char *text; /* prompt and what was added */
    size_t text_len, text_cap;
    struct phase prefill, decode;
    uint64_t generated;
    const char *stop; /* "end", "count", "context", "output" */
};

static bool add_text(struct session *s, const char *text, size_t len)
{
    if (len > s->text_cap - s->text_len) {
        size_t cap = (s->text_cap + len) * 2;
        char *bigger = realloc(s->text, cap);
        if (!bigger)
            return false;
        s->text = bigger;
        s->text_cap = cap;
    }
    if (len)
        memcpy(s->text + s->text_len, text, len);
    s->text_len += len;
    return true;
}

/* One token's text, to the report and to the screen. */
static int emit(struct session *s, const struct options *o, uint32_t id, struct accel_error *err)
{
    char piece[256];
    size_t len = accel_detokenize(s->model, id, piece, sizeof piece);
    if (len > sizeof piece)
        len = sizeof piece;
    if (!add_text(s, piece, len)) {
        err->status = ACCEL_E_NOMEM;
        return ACCEL_E_NOMEM;
    }
    if (!o->json)
        fwrite(piece, 1, len, stdout);
    return ACCEL_OK;
}

static int generate(struct session *s, const struct options *o, struct accel_error *err)
{
    struct accel_sampler sampler = { .temperature = (float)o->temperature,
                                     .top_k = o->top_k,
                                     .top_p = (float)o->top_p };
    struct accel_llm_info info;
    accel_sampler_seed(&sampler, o->seed);
    int rc = prefill(s->llm, s->dev, s->ids, s->id_count, s->logits, &s->prefill, err);
    if (rc)
        return rc;
    accel_reset_totals(s->dev);
    double start = seconds_now();
    s->stop = "count";
    while (s->generated < o->count) {
        uint32_t id = accel_sample(&sampler, s->logits, s->model_info.vocab, s->scratch);
        if (accel_token_is_end(s->model, id)) {
            s->stop = "end";
            break;
        }
        if ((rc = emit(s, o, id, err)))
            break;
        s->generated++;
        if (!o->json && output_broken()) {
            s->stop = "output";
            break;
        }
        if (o->json)
            progress("%llu of %llu tokens", (unsigned long long)s->generated,
                     (unsigned long long)o->count);
        if (s->generated == o->count)
            break;
        accel_llm_get_info(s->llm, &info);
        if (info.position == info.context) {
            s->stop = "context";
            break;
        }
        if ((rc = accel_llm_eval(s->llm, &id, 1, 1, s->logits, err)))
            break;
        s->decode.tokens++;
    }
    s->decode.seconds = seconds_now() - start;
    accel_get_totals(s->dev, &s->decode.stats);
    progress_clear();
    return rc;
}

/* What a device of this clock behind this link would reach: each token needs its cycles, and all
 * its codes, headers, activations and results must cross the link. */
struct projection {
    double cycles, bits;    /* per token */
    double compute, stream; /* tokens/s */
};

static struct projection project(const struct session *s, const struct options *o,
                                 const struct phase *p, const struct accel_llm_info *info)
{
    struct projection r = { .cycles = cycles_per_token(p) };
    double tokens = p->tokens ? (double)p->tokens : 1;
    r.bits = (double)(info->code_bits + info->header_bits) +
             ((double)p->stats.act_beats * s->caps.lanes * 8 +
              (double)p->stats.result_beats * s->caps.scale_units * 48) /
                 tokens;
    r.compute = r.cycles > 0 ? o->clock_mhz * 1e6 / r.cycles : 0;
    r.stream = r.bits > 0 ? o->link_mbs * 8e6 / r.bits : 0;
    return r;
}

static double lower(double a, double b)
{
    return a < b ? a : b;
}

static void report_json(const struct session *s, const struct options *o,
                        const struct accel_llm_info *info, const struct phase *p, double share)
{
    struct projection r = project(s, o, p, info);
    struct json j = { .out = stdout };
    json_object(&j, NULL);
    json_text(&j, "text", s->text, s->text_len);
    json_string(&j, "stop", s->stop);
    json_string(&j, "device", s->caps.uri);
    json_string(&j, "pe", s->caps.pe);
    json_int(&j, "rows", s->caps.rows);
    json_int(&j, "lanes", s->caps.lanes);
    json_int(&j, "prompt_tokens", s->id_count);
    json_int(&j, "generated_tokens", s->generated);
    json_number(&j, "tokens_per_second", per_second(p));
    json_number(&j, "prefill_tokens_per_second", per_second(&s->prefill));
    json_number(&j, "decode_tokens_per_second", per_second(&s->decode));
    json_counted(&j, "cycles_per_token", cycles_per_token(p), p);
    json_counted(&j, "prefill_cycles_per_token", cycles_per_token(&s->prefill), &s->prefill);
    json_counted(&j, "utilisation", accel_utilisation(&p->stats), p);
    json_counted(&j, "prefill_utilisation", accel_utilisation(&s->prefill.stats), &s->prefill);
    json_number(&j, "bits_per_weight", (double)info->code_bits / (double)info->weights);
    json_number(&j, "bits_per_weight_with_headers",
                (double)(info->code_bits + info->header_bits) / (double)info->weights);
    json_string(&j, "kv", o->kv_names[0]);
    json_number(&j, "kv_bytes_per_token", info->kv_token_bytes);
    json_int(&j, "kv_newest_bytes", info->kv_newest_bytes);
    json_int(&j, "device_macs", s->prefill.stats.macs + s->decode.stats.macs);
    json_int(&j, "model_macs", info->macs);
    json_number(&j, "device_mac_share", share);
    if (r.cycles > 0) {
        json_object(&j, "projected");
        json_number(&j, "clock_mhz", o->clock_mhz);
        json_number(&j, "link_mb_per_second", o->link_mbs);
        json_number(&j, "stream_bits_per_token", r.bits);
        json_number(&j, "compute_tokens_per_second", r.compute);
        json_number(&j, "stream_tokens_per_second", r.stream);
        json_number(&j, "tokens_per_second", lower(r.compute, r.stream));
        json_end_object(&j);
    }
    json_end_object(&j);
}

static void report_text(const struct session *s, const struct options *o,
                        const struct accel_llm_info *info, const struct phase *p, double share)
{
    struct projection r = project(s, o, p, info);
    printf("\n\ndevice          %s\n", s->caps.uri);
    printf("PE kind         %s\n", s->caps.pe);
    printf("array           %u rows x %u lanes\n", s->caps.rows, s->caps.lanes);
    printf("tokens/s        %.1f prefill (%llu tokens), %.1f decode (%llu tokens), wall clock\n",
           per_second(&s->prefill), (unsigned long long)s->prefill.tokens, per_second(&s->decode),
           (unsigned long long)s->decode.tokens);
    if (r.cycles > 0) {
        printf("cycles/token    %.0f prefill, %.0f decode\n", cycles_per_token(&s->prefill),
               cycles_per_token(&s->decode));
        printf("utilisation     %.4f prefill, %.4f decode\n", accel_utilisation(&s->prefill.stats),
               accel_utilisation(&s->decode.stats));
    } else {
        printf("cycles/token    not counted by this device\n");
        printf("utilisation     not counted by this device\n");
    }
    printf("bits/weight     %.4f of codes, %.4f with group headers\n",
           (double)info->code_bits / (double)info->weights,
           (double)(info->code_bits + info->header_bits) / (double)info->weights);
    printf("cache           %s, %.0f bytes for a token", o->kv_names[0], info->kv_token_bytes);
    if (info->kv_newest_bytes)
        printf(", and %llu for the newest as floats", (unsigned long long)info->kv_newest_bytes);
    putchar('\n');
    printf("on the device   %.2f %% of the multiply-accumulates of linear layers%s output head\n"
           "                (%llu counted by the device, %llu by the model)\n",
           share * 100, o->kvs[0].jobs ? ", attention and" : " and",
           (unsigned long long)(s->prefill.stats.macs + s->decode.stats.macs),
           (unsigned long long)info->macs);
    if (r.cycles > 0)
        printf("projected       %.1f tokens/s at %g MHz and %g MB/s:\n"
               "                min(%g MHz / %.0f cycles = %.1f, %g MB/s * 8 / %.0f bits = %.1f)\n",
               lower(r.compute, r.stream), o->clock_mhz, o->link_mbs, o->clock_mhz, r.cycles,
               r.compute, o->link_mbs, r.bits, r.stream);
}

static void report(const struct session *s, const struct options *o)
{
    struct accel_llm_info info;
    accel_llm_get_info(s->llm, &info);
    /* One token has no decode: then the prompt's figures stand. */
    const struct phase *p = s->decode.tokens ? &s->decode : &s->prefill;
    double macs = (double)(s->prefill.stats.macs + s->decode.stats.macs);
    double share = info.macs ? macs / (double)info.macs : 0;
    if (o->json)
        report_json(s, o, &info, p, share);
    else
        report_text(s, o, &info, p, share);
}

int run_run(const struct options *o)
{
    struct session s = { 0 };
    struct accel_error err = { 0 };
    size_t prompt_len = strlen(o->prompt);
    int rc = open_device(first_device(o), &s.dev);
    if (rc || (rc = open_model(o, &s.model)) ||
        (rc = open_llm(o, s.model, s.dev, o->format_count ? o->formats[0] : 0, &s.llm)))
        goto out;
    accel_get_caps(s.dev, &s.caps);
    accel_model_get_info(s.model, &s.model_info);
    s.logits = calloc(s.model_info.vocab, sizeof *s.logits);
    s.scratch = calloc(s.model_info.vocab, sizeof *s.scratch);
    if (!s.logits || !s.scratch || !add_text(&s, o->prompt, prompt_len)) {
        err.status = ACCEL_E_NOMEM;
        rc = report_error(&err);
        goto out;
    }
    if (accel_tokenize(s.model, o->prompt, prompt_len, &s.ids, &s.id_count, &err)) {
        rc = report_error(&err);
        goto out;
    }
    if (s.id_count == 0) {
        rc = usage_error("--prompt is empty and this model has no start token: give some text");
        goto out;
    }
    if (!o->json) {
        fputs(o->prompt, stdout);
        fflush(stdout);
    }
    int failed = generate(&s, o, &err);
    if (failed) {
        if (!o->json && s.prefill.tokens)
            putchar('\n');
        fflush(stdout);
        rc = report_error(&err);
        goto out;
    }
    if (!output_broken())
        report(&s, o);
out:
    free(s.text);
    free(s.logits);
    free(s.scratch);
    free(s.ids);
    accel_llm_free(s.llm);
    accel_model_free(s.model);
    accel_close(s.dev);
    return rc;
}
