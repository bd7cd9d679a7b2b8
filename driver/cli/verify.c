/* verify.c - accel verify: the same tokens on two devices, every logit compared.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

struct side {
    const char *uri;
    accel_dev *dev;
    accel_llm *llm;
    float *logits;
};

struct verdict {
    bool equal;
    uint64_t tokens, logits; /* compared */
    uint64_t token;          /* of the first difference */
    uint32_t logit;
    float a, b;
};

/* Compare rows of logits; stops at the first difference. */
static void compare(struct verdict *v, const float *a, const float *b, size_t rows, uint32_t vocab)
{
    for (size_t r = 0; r < rows && v->equal; r++, v->tokens++) {
        const float *x = a + r * vocab, *y = b + r * vocab;
        v->logits += vocab;
        if (memcmp(x, y, vocab * sizeof *x) == 0)
            continue;
        v->equal = false;
        v->token = v->tokens;
        for (v->logit = 0; memcmp(&x[v->logit], &y[v->logit], sizeof *x) == 0;)
            v->logit++;
        v->a = x[v->logit];
        v->b = y[v->logit];
        return;
    }
}

static int eval(struct side *s, const uint32_t *ids, size_t count)
{
    struct accel_error err = { 0 };
    return accel_llm_eval(s->llm, ids, count, count, s->logits, &err) ? report_error(&err)
                                                                      : EXIT_OK;
}

static int run_both(struct side *a, struct side *b, const uint32_t *ids, size_t count,
                    uint64_t more, uint32_t vocab, struct verdict *v)
{
    struct accel_sampler greedy = { 0 };
    int rc;
    progress("prompt of %zu tokens", count);
    if ((rc = eval(a, ids, count)) || (rc = eval(b, ids, count)))
        return rc;
    compare(v, a->logits, b->logits, count, vocab);
    uint32_t id = accel_sample(&greedy, a->logits + (count - 1) * vocab, vocab, NULL);
    for (uint64_t i = 0; i < more && v->equal; i++) {
        progress("token %llu of %llu", (unsigned long long)i + 1, (unsigned long long)more);
        if ((rc = eval(a, &id, 1)) || (rc = eval(b, &id, 1)))
            return rc;
        compare(v, a->logits, b->logits, 1, vocab);
        id = accel_sample(&greedy, a->logits, vocab, NULL);
    }
    progress_clear();
    return EXIT_OK;
}

static void print_json(const struct verdict *v, const char *const *names)
{
    struct json j = { .out = stdout };
    json_object(&j, NULL);
    json_bool(&j, "identical", v->equal);
    json_array(&j, "devices");
    json_string(&j, NULL, names[0]);
    json_string(&j, NULL, names[1]);
    json_end_array(&j);
    json_int(&j, "tokens", v->tokens);
    json_int(&j, "logits", v->logits);
    if (!v->equal) {
        json_object(&j, "first_difference");
        json_int(&j, "token", v->token);
        json_int(&j, "logit", v->logit);
        json_number(&j, "first", (double)v->a);
        json_number(&j, "second", (double)v->b);
        json_end_object(&j);
    }
    json_end_object(&j);
}

int run_verify(const struct options *o)
{
    struct side side[2] = { { .uri = "cpu:" }, { .uri = "sim:" } };
    struct accel_caps caps[2];
    struct accel_model_info info;
    struct accel_error err = { 0 };
    struct verdict v = { .equal = true };
    accel_model *model = NULL;
    uint32_t *ids = NULL;
    size_t count, bytes;
    if (o->device_count > 2)
        return usage_error("verify compares two devices, but -d was given %u times",
                           o->device_count);
    for (unsigned i = 0; i < o->device_count; i++)
        side[o->device_count == 1 ? 1 : i].uri = o->devices[i];
    int rc = open_model(o, &model);
    if (rc)
        return rc;
    accel_model_get_info(model, &info);
    if (accel_tokenize(model, o->prompt, strlen(o->prompt), &ids, &count, &err)) {
        rc = report_error(&err);
        goto out;
    }
    if (count == 0) {
        rc = usage_error("--prompt is empty and this model has no start token: give some text");
        goto out;
    }
    for (int i = 0; i < 2; i++) {
        if ((rc = open_device(side[i].uri, &side[i].dev)) ||
            (rc = open_llm(o, model, side[i].dev, o->format_count ? o->formats[0] : 0,
                           &side[i].llm)))
            goto out;
        accel_get_caps(side[i].dev, &caps[i]);
        struct accel_llm_info room;
        accel_llm_get_info(side[i].llm, &room);
        if (count > room.context || o->count > room.context - count) {
            err.status = ACCEL_E_CONTEXT;
            snprintf(err.text, sizeof err.text,
                     "%zu prompt tokens and -n %llu do not fit the context of %u", count,
                     (unsigned long long)o->count, room.context);
            rc = report_error(&err);
            goto out;
        }
        if (__builtin_mul_overflow(count, info.vocab * sizeof(float), &bytes) ||
            !(side[i].logits = malloc(bytes))) {
            err.status = ACCEL_E_NOMEM;
            rc = report_error(&err);
            goto out;
        }
    }
    if ((rc = run_both(&side[0], &side[1], ids, count, o->count, info.vocab, &v)))
        goto out;
    const char *names[2] = { caps[0].uri, caps[1].uri };
    if (o->json)
        print_json(&v, names);
    else if (v.equal)
        printf("identical\n%llu logits of %llu tokens (%zu of the prompt), %s and %s\n",
               (unsigned long long)v.logits, (unsigned long long)v.tokens, count, names[0],
               names[1]);
    else
        printf("different: token %llu, logit %u: %.9g on %s, %.9g on %s\n",
               (unsigned long long)v.token, v.logit, (double)v.a, names[0], (double)v.b, names[1]);
    rc = v.equal ? EXIT_OK : EXIT_MISMATCH;
out:
    for (int i = 0; i < 2; i++) {
        accel_llm_free(side[i].llm);
        accel_close(side[i].dev);
        free(side[i].logits);
    }
    free(ids);
    accel_model_free(model);
    return rc;
}
