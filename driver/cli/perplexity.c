/* perplexity.c - accel perplexity.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdlib.h>

enum { CHUNK_TOKENS = 512 };

static int show(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    progress("chunk %llu of %llu", (unsigned long long)done, (unsigned long long)total);
    return 0;
}

int run_perplexity(const struct options *given)
{
    struct options with_context = *given;
    const struct options *o = &with_context;
    accel_dev *dev = NULL;
    accel_model *model = NULL;
    accel_llm *llm = NULL;
    struct accel_error err = { 0 };
    struct accel_perplexity_result r;
    struct accel_caps caps;
    char *text = NULL;
    size_t len;
    /* The definition says 512, whatever context the model claims. */
    if (!with_context.context)
        with_context.context = CHUNK_TOKENS;
    if (!o->text)
        return usage_error("perplexity needs a text: -f FILE");
    int rc = read_file(o->text, &text, &len);
    if (rc || (rc = open_device(first_device(o), &dev)) || (rc = open_model(o, &model)) ||
        (rc = open_llm(o, model, dev, o->format_count ? o->formats[0] : 0, &llm)))
        goto out;
    double start = seconds_now();
    if (accel_perplexity(llm, text, len, o->chunks, show, NULL, &r, &err)) {
        rc = report_error(&err);
        goto out;
    }
    double seconds = seconds_now() - start;
    progress_clear();
    accel_get_caps(dev, &caps);
    if (!o->json) {
        printf("perplexity: %.4f\n", r.perplexity);
        goto out;
    }
    struct json j = { .out = stdout };
    json_object(&j, NULL);
    json_number(&j, "perplexity", r.perplexity);
    json_number(&j, "nll", r.nll);
    json_int(&j, "scored_tokens", r.scored);
    json_int(&j, "chunks", r.chunks);
    json_int(&j, "chunk_tokens", r.chunk);
    json_int(&j, "text_tokens", r.tokens);
    json_number(&j, "seconds", seconds);
    json_string(&j, "device", caps.uri);
    json_string(&j, "pe", caps.pe);
    json_end_object(&j);
out:
    free(text);
    accel_llm_free(llm);
    accel_model_free(model);
    accel_close(dev);
    return rc;
}
