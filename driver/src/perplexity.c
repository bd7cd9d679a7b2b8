/* perplexity.c - how well a model predicts a text, as llama.cpp counts it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fmath.h"
#include "internal.h"
#include "llama.h"

#include <stdlib.h>

enum { CHUNK = 512 };

/* -ln of the probability that logits give to token id; sums in double, in order. */
static double surprise(const float *logits, uint32_t vocab, uint32_t id)
{
    float top = fm_max(logits, vocab);
    double sum = 0.0;
    for (uint32_t i = 0; i < vocab; i++)
        sum += fm_exp_d((double)logits[i] - (double)top);
    return fm_log_d(sum) - ((double)logits[id] - (double)top);
}

int accel_perplexity(accel_llm *llm, const char *text, size_t len, uint64_t max_chunks,
                     accel_progress_fn *progress, void *user,
                     struct accel_perplexity_result *result, struct accel_error *err)
{
    uint32_t *ids = NULL;
    float *logits = NULL;
    size_t count, bytes;
    int rc;
    if (!llm || !text || !result)
        return accel_fail(err, ACCEL_E_ARG, "accel_perplexity needs a model, a text and a result");
    uint32_t vocab = llm->model->info.vocab;
    uint32_t chunk = llm->info.context < CHUNK ? llm->info.context : CHUNK;
    uint32_t first = chunk / 2; /* its logits score token first + 1 */
    size_t want = chunk - 1 - first;
    struct accel_perplexity_result r = { .chunk = chunk };
    if (chunk < 4)
        return accel_fail(err, ACCEL_E_ARG, "a context of %u tokens is too short to score", chunk);
    if ((rc = accel_tokenize(llm->model, text, len, &ids, &count, err)))
        return rc;
    r.tokens = count;
    r.chunks = count / chunk;
    if (r.chunks == 0) {
        rc = accel_fail(err, ACCEL_E_ARG,
                        "the text has %zu tokens, but one chunk needs %u: give a longer text",
                        count, chunk);
        goto out;
    }
    if (max_chunks && r.chunks > max_chunks)
        r.chunks = max_chunks;
    if (!mul_size(want, vocab, &bytes) || !mul_size(bytes, sizeof *logits, &bytes) ||
        !(logits = malloc(bytes))) {
        rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory for the logits of %zu tokens", want);
        goto out;
    }
    for (uint64_t c = 0; c < r.chunks; c++) {
        uint32_t *part = ids + c * chunk;
        part[0] = llm->model->info.bos;
        accel_llm_rewind(llm, 0);
        if ((rc = accel_llm_eval(llm, part, chunk - 1, want, logits, err)))
            goto out;
        for (size_t i = 0; i < want; i++)
            r.nll += surprise(logits + i * vocab, vocab, part[first + i + 1]);
        r.scored += want;
        if (progress && progress(user, c + 1, r.chunks)) {
            rc = accel_fail(err, ACCEL_E_CANCELLED, "stopped after %llu of %llu chunks",
                            (unsigned long long)(c + 1), (unsigned long long)r.chunks);
            goto out;
        }
    }
    r.perplexity = fm_exp_d(r.nll / (double)r.scored);
    *result = r;
out:
    free(logits);
    free(ids);
    return rc;
}
