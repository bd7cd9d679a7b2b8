/* eval.c - how far a quantized model is from a reference.
 * SPDX-License-Identifier: Apache-2.0 */
#include "eval.h"

#include "fmath.h"
#include "internal.h"
#include "llama.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int eval_text_open(const accel_model *model, const char *text, size_t len, uint32_t chunk,
                   uint64_t max_chunks, struct eval_text *t, struct accel_error *err)
{
    size_t count;
    uint32_t *ids = NULL;
    if (chunk < 4)
        return accel_fail(err, ACCEL_E_ARG, "a context of %u tokens is too short to score", chunk);
    int rc = accel_tokenize(model, text, len, &ids, &count, err);
    if (rc)
        return rc;
    uint64_t chunks = count / chunk;
    if (!chunks) {
        free(ids);
        return accel_fail(err, ACCEL_E_ARG,
                          "the text has %zu tokens, but one chunk needs %u: give a longer text",
                          count, chunk);
    }
    if (max_chunks && chunks > max_chunks)
        chunks = max_chunks;
    for (uint64_t c = 0; c < chunks; c++)
        ids[c * chunk] = model->info.bos;
    eval_text_from_ids(ids, chunk, chunks, model->info.vocab, t);
    return ACCEL_OK;
}

void eval_text_from_ids(uint32_t *ids, uint32_t chunk, uint64_t chunks, uint32_t vocab,
                        struct eval_text *t)
{
    *t = (struct eval_text){ .ids = ids, .chunk = chunk, .chunks = chunks, .vocab = vocab };
}

void eval_text_close(struct eval_text *t)
{
    free(t->ids);
    if (t->logits)
        fclose(t->logits);
    *t = (struct eval_text){ 0 };
}

static uint32_t best(const float *logits, uint32_t vocab)
{
    uint32_t top = 0;
    for (uint32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[top])
            top = i;
    return top;
}

/* ln of the sum of e^(logit - the largest), and the largest. */
static double log_sum(const float *logits, uint32_t vocab, double *top)
{
    double sum = 0.0;
    *top = (double)fm_max(logits, vocab);
    for (uint32_t i = 0; i < vocab; i++)
        sum += fm_exp_d((double)logits[i] - *top);
    return fm_log_d(sum);
}

/* Sums over the tokens while they go by. */
struct sums {
    double nll, excess, excess2, kl, kl2, kl_most;
    uint64_t same, scored;
};

static void score_token(const float *logits, const float *ref, uint32_t vocab, uint32_t id,
                        struct sums *s)
{
    double top, norm = log_sum(logits, vocab, &top);
    double nll = norm - ((double)logits[id] - top);
    s->nll += nll;
    s->scored++;
    if (!ref)
        return;
    double ref_top, ref_norm = log_sum(ref, vocab, &ref_top), kl = 0.0;
    double excess = nll - (ref_norm - ((double)ref[id] - ref_top));
    for (uint32_t i = 0; i < vocab; i++) {
        double lp = (double)ref[i] - ref_top - ref_norm, lq = (double)logits[i] - top - norm;
        kl += fm_exp_d(lp) * (lp - lq);
    }
    s->excess += excess;
    s->excess2 += excess * excess;
    s->kl += kl;
    s->kl2 += kl * kl;
    s->kl_most = kl > s->kl_most ? kl : s->kl_most;
    s->same += best(ref, vocab) == best(logits, vocab);
}

static double standard_error(double sum, double sum2, double n)
{
    double variance = n > 1 ? (sum2 - sum * sum / n) / (n - 1) : 0;
    return variance > 0 ? sqrt(variance / n) : 0;
}

int eval_score_model(accel_llm *llm, struct eval_text *t, int as_reference,
                     accel_progress_fn *progress, void *user, struct eval_score *score,
                     struct accel_error *err)
{
    uint32_t vocab = llm->model->info.vocab;
    size_t want = t->chunk - 1 - t->chunk / 2, values, bytes;
    float *logits = NULL, *ref = NULL;
    struct sums s = { 0 };
    FILE *made = NULL;
    int rc = ACCEL_OK;
    if (vocab != t->vocab)
        return accel_fail(err, ACCEL_E_ARG,
                          "%s has a vocabulary of %u tokens, the text was cut into tokens of %u",
                          gguf_path(llm->model->file), vocab, t->vocab);
    if (!mul_size(want, vocab, &values) || !mul_size(values, sizeof *logits, &bytes) ||
        !(logits = malloc(bytes)) || (t->logits && !as_reference && !(ref = malloc(bytes)))) {
        rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory for the logits of %zu tokens", want);
        goto out;
    }
    if (as_reference && !(made = tmpfile())) {
        rc = accel_fail(err, ACCEL_E_IO, "no temporary file for the reference's logits: %s",
                        strerror(errno));
        goto out;
    }
    if (ref)
        rewind(t->logits);
    for (uint64_t c = 0; c < t->chunks; c++) {
        const uint32_t *part = t->ids + c * t->chunk;
        accel_llm_rewind(llm, 0);
        if ((rc = accel_llm_eval(llm, part, t->chunk - 1, want, logits, err)))
            goto out;
        if ((made && fwrite(logits, sizeof *logits, values, made) != values) ||
            (ref && fread(ref, sizeof *ref, values, t->logits) != values)) {
            rc = accel_fail(err, ACCEL_E_IO, "the temporary file of the reference's logits: %s",
                            strerror(errno));
            goto out;
        }
        for (size_t i = 0; i < want; i++)
            score_token(logits + i * vocab, ref ? ref + i * vocab : NULL, vocab,
                        part[t->chunk / 2 + i + 1], &s);
        if (progress && progress(user, c + 1, t->chunks)) {
            rc = accel_fail(err, ACCEL_E_CANCELLED, "stopped after %llu of %llu chunks",
                            (unsigned long long)(c + 1), (unsigned long long)t->chunks);
            goto out;
        }
    }
    double n = (double)s.scored;
    *score = (struct eval_score){ .scored = s.scored,
                                  .nll = s.nll,
                                  .perplexity = fm_exp_d(s.nll / n),
                                  .excess = s.excess / n,
                                  .excess_se = standard_error(s.excess, s.excess2, n),
                                  .kl = s.kl / n,
                                  .kl_se = standard_error(s.kl, s.kl2, n),
                                  .kl_most = s.kl_most,
                                  .same_top = (double)s.same / n };
    if (made) {
        if (t->logits)
            fclose(t->logits);
        t->logits = made;
        made = NULL;
        score->same_top = 1;
    }
out:
    if (made)
        fclose(made);
    free(logits);
    free(ref);
    return rc;
}
