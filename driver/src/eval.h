/* eval.h - how far a quantized model is from a reference: perplexity, KL divergence, agreement.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tokens are cut into chunks and scored as accel_perplexity does. The reference's logits of all
 * scored tokens wait in a temporary file, so that any number of models can be compared with it. */
#ifndef ACCEL_EVAL_H
#define ACCEL_EVAL_H

#include "accel_llm.h"

#include <stdio.h>

struct eval_text {
    uint32_t *ids; /* whole chunks */
    uint32_t chunk, vocab;
    uint64_t chunks;
    FILE *logits; /* of a reference: [chunks][scored a chunk][vocab]; NULL while there is none */
};

struct eval_score {
    uint64_t scored;
    double nll, perplexity;
    /* The rest only where there is a reference; means over the scored tokens. */
    double excess;    /* -ln p(token), less the reference's: ln of the ratio of perplexities */
    double excess_se; /* its standard error, tokens taken as independent */
    double kl, kl_se, kl_most; /* sum over the vocabulary of p ln(p / q), p the reference's */
    double same_top;           /* share of tokens whose likeliest one is the reference's, too */
};

/* Cut the text up by this model's tokenizer. @return ACCEL_OK, _E_ARG (shorter than a chunk), ... */
int eval_text_open(const accel_model *model, const char *text, size_t len, uint32_t chunk,
                   uint64_t max_chunks, struct eval_text *t, struct accel_error *err);
/* From token ids, whole chunks of them; takes ids over. */
void eval_text_from_ids(uint32_t *ids, uint32_t chunk, uint64_t chunks, uint32_t vocab,
                        struct eval_text *t);
void eval_text_close(struct eval_text *t);

/* Score a model. as_reference: its logits become the text's reference. Models must have the text's
 * vocabulary: ACCEL_E_ARG. */
int eval_score_model(accel_llm *llm, struct eval_text *t, int as_reference,
                     accel_progress_fn *progress, void *user, struct eval_score *score,
                     struct accel_error *err);

#endif
