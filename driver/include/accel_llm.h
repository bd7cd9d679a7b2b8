/* accel_llm.h - libaccel: language models (GGUF, llama architecture) on an accelerator.
 * SPDX-License-Identifier: Apache-2.0
 *
 *     accel_model *model;  accel_llm *llm;  struct accel_error err;
 *     accel_model_open("story.gguf", &model, &err);
 *     accel_llm_open(model, dev, NULL, &llm, &err);          // dev from accel_open (accel.h)
 *     accel_tokenize(model, "Once", 4, &ids, &count, &err);
 *     accel_llm_eval(llm, ids, count, 1, logits, &err);      // logits of the last token
 *     id = accel_sample(&sampler, logits, info.vocab, scratch);
 *
 * Every linear layer and the output head is a device job (accel.h); norms, RoPE, attention and
 * SwiGLU are float32 on the host (cuda: on the GPU), in one stated order of operations, so that
 * two devices that keep the contract of accel.h give the same logits to the last bit, whatever the
 * batch size.
 *
 * Error codes and threads are as in accel.h. A model is immutable and may be shared by many
 * accel_llm; one accel_llm belongs to one thread at a time. On failure outputs keep their bytes.
 */
#ifndef ACCEL_LLM_H
#define ACCEL_LLM_H

#include "accel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------- models */

/** A checked, memory-mapped GGUF file. */
typedef struct accel_model accel_model;

/** Open a model and check its metadata, its vocabulary and the shape of every tensor.
 * @return ACCEL_OK, _E_IO, _E_CORRUPT (names the key or tensor), _E_UNSUPPORTED (architecture,
 *         experts, RoPE scaling, a tensor this build does not know), _E_NOMEM, _E_ARG */
int accel_model_open(const char *path, accel_model **model, struct accel_error *err);
/** The same over memory that must outlive the model; name is used in messages. */
int accel_model_open_memory(const void *data, size_t size, const char *name, accel_model **model,
                            struct accel_error *err);
/** NULL is fine. Every accel_llm of the model must be closed before. */
void accel_model_free(accel_model *model);

struct accel_model_info {
    char     name[64];          /**< general.name, or "" */
    uint32_t layers, embd, ff, heads, kv_heads, head_dim, rope_dim, vocab, context;
    float    rms_eps;
    double   rope_base;
    double   rope_factor;       /**< linear RoPE scaling: positions are divided by it; 1 = none */
    int      tied_head;         /**< 1: the output head is the token embedding */
    uint32_t bos, eos;
    uint64_t parameters;        /**< values in all tensors */
    uint64_t linear_macs;       /**< multiply-accumulates of all linear layers for one token */
    uint64_t head_macs;         /**< ... of the output head for one token */
    size_t   tensors;
};
void accel_model_get_info(const accel_model *model, struct accel_model_info *info);

struct accel_tensor_info {
    char     name[96];
    char     type[16];          /**< "Q4_0" */
    uint64_t rows, cols;        /**< cols: the contiguous dimension */
    uint64_t bytes;
    int      is_matrix;         /**< 1: multiplied on the device (also a tied embedding) */
    int      keeps_codes;       /**< 1: goes to the device with the file's codes, not requantized */
};
/** @return ACCEL_OK, or ACCEL_E_ARG if there is no tensor `index` */
int accel_model_get_tensor(const accel_model *model, size_t index, struct accel_tensor_info *info);

/** Make the matrix of tensor `index` just as accel_llm_open does: ggml blocks keep their codes,
 * float tensors are quantized to format and group.
 * @return ACCEL_OK, _E_ARG (not a matrix), else as accel_matrix_from_ggml */
int accel_model_matrix(const accel_model *model, size_t index, accel_format format, uint32_t group,
                       accel_matrix **mat, struct accel_error *err);

/** Text to token ids, BOS as the file says. *ids is for free().
 * @return ACCEL_OK, _E_ARG, _E_NOMEM, _E_CORRUPT (a byte without a token) */
int accel_tokenize(const accel_model *model, const char *text, size_t len, uint32_t **ids,
                   size_t *count, struct accel_error *err);
/** Bytes of one token inside a text: writes at most cap, returns the whole length (0 for control
 * tokens and ids that do not exist). Not terminated. */
size_t accel_detokenize(const accel_model *model, uint32_t id, char *out, size_t cap);
/** 1 if the token ends a text. */
int accel_token_is_end(const accel_model *model, uint32_t id);

/* ------------------------------------------------------------------------------- inference */

/** A model loaded on a device, with its KV cache. */
typedef struct accel_llm accel_llm;

/** How keys and values are kept; all 0: as float32. docs/kv.md says how they are rounded. */
struct accel_kv_options {
    uint32_t     bits;          /**< of a code: 8, 4, 3 or 2; 0: float32. Attention is then on the host, also
                                     with a device that takes whole models (cuda:) */
    uint32_t     value_bits;    /**< of a value's code, where keys' have `bits`; 0: as many */
    int          jobs;          /**< 1: attention's products with codes are jobs of the device, and keys are rounded after
                                     RoPE; a device that cannot run such codes is refused. Needs bits */
};

/** Bytes that a token takes in such a cache for good, scales and all; 0 if there is no such cache. */
double accel_kv_token_bytes(const accel_model *model, const struct accel_kv_options *how);

struct accel_llm_options {
    accel_format format;        /**< for float tensors; 0: ACCEL_INT(8) */
    uint32_t     group;         /**< for float tensors, as in accel.h; used when format is not 0 */
    uint32_t     context;       /**< tokens in the KV cache, at most 2^20; more than the model was
                                     made for is allowed; 0: the model's, at most 4096 */
    uint32_t     batch;         /**< most columns in one job; 0: what the device takes, at most 128 */
    uint64_t     deadline_ns;   /**< of every job, as in accel_job; 0: none */
    uint32_t     act_bits;      /**< of activations: 0 or 8; 4: -7..7; 16: two bytes, each a column of the job, whose
                                     sums the host adds exactly. With 4 and 16 all but jobs runs on the host */
    struct accel_kv_options kv; /**< the KV cache */
    int          strict;        /**< 1: fail if the device refuses a matrix; 0: cpu: multiplies by it */
};

/** Pack every matrix for the device and make the KV cache. The device must outlive the accel_llm.
 * Matrices that the device's PE kind cannot hold (ACCEL_E_UNSUPPORTED) stay on the host, which gives
 * the same bits; if that is all of them, opening fails with the reason of the first.
 * options may be NULL.
 * @return ACCEL_OK, _E_ARG, _E_NOMEM, or what loading a tensor returned (the message names it) */
int accel_llm_open(const accel_model *model, accel_dev *dev, const struct accel_llm_options *options,
                   accel_llm **llm, struct accel_error *err);
void accel_llm_free(accel_llm *llm);   /**< NULL is fine */

/** Append tokens to the context and compute the logits of the last `want` of them.
 * @param want    0 .. count    @param logits [want][vocab]; may be NULL if want is 0
 * @return ACCEL_OK; ACCEL_E_CONTEXT (they do not fit; nothing was evaluated), _E_ARG (unknown id),
 *         _E_CORRUPT (the model makes values that are not finite), or a job's failure. On failure
 *         the context is as before the call and the bytes of logits are undefined. */
int accel_llm_eval(accel_llm *llm, const uint32_t *ids, size_t count, size_t want, float *logits,
                   struct accel_error *err);
/** Forget tokens from `position` on (0: all); does nothing if there are fewer. With a cache of codes, tokens before
 * `position` in a block that was rounded already stay rounded, so that what follows may differ from a
 * fresh start; position 0 and multiples of 32 are exact. */
void accel_llm_rewind(accel_llm *llm, uint32_t position);

struct accel_llm_info {
    uint32_t context, position, batch;
    uint64_t weights;           /**< weights in all matrices */
    uint64_t host_weights;      /**< of those, in matrices that the device refused */
    uint64_t code_bits;         /**< streamed for one token: codes with padding */
    uint64_t header_bits;       /**< ... and group headers */
    uint64_t jobs_per_token;
    double   kv_token_bytes;    /**< of cache that a token takes for good, scales and all */
    uint64_t kv_newest_bytes;   /**< of float32 that the newest tokens take besides; 0 with kv.bits 0 */
    uint64_t tokens, heads;     /**< tokens evaluated, logit rows computed since open */
    uint64_t macs;              /**< by the model's own count: tokens * linear + heads * head, twice that with
                                     activations of 16 bits; and those of attention's jobs (of 16 bits, too) */
};
void accel_llm_get_info(const accel_llm *llm, struct accel_llm_info *info);

/* ------------------------------------------------------------------------------- sampling */

/** Plain data; the same seed and logits give the same tokens everywhere. */
struct accel_sampler {
    float    temperature;       /**< 0 or less: greedy, the lowest id of equals */
    uint32_t top_k;             /**< keep the k best; 0: all */
    float    top_p;             /**< keep the fewest whose probabilities reach p; 1 or more: all */
    uint64_t state;             /**< set by accel_sampler_seed */
};
void accel_sampler_seed(struct accel_sampler *sampler, uint64_t seed);

struct accel_candidate { float p; uint32_t id; };
/** Pick a token. Values that are not finite count as the smallest.
 * @param vocab >= 1   @param scratch [vocab] */
uint32_t accel_sample(struct accel_sampler *sampler, const float *logits, uint32_t vocab,
                      struct accel_candidate *scratch);

/* ------------------------------------------------------------------------------- perplexity */

struct accel_perplexity_result {
    double   perplexity;        /**< exp(nll / scored) */
    double   nll;               /**< sum of -ln p(token) */
    uint64_t scored, chunks, tokens;
    uint32_t chunk;             /**< tokens in a chunk */
};

/** Called after every chunk; return non-zero to stop (ACCEL_E_CANCELLED). May be NULL. */
typedef int accel_progress_fn(void *user, uint64_t done, uint64_t total);

/** Perplexity of a text as llama.cpp defines it: the text is tokenized as a whole and cut into
 * whole chunks of min(512, context) tokens; each is evaluated by itself with BOS in place of its
 * first token, and the tokens after the middle one are scored (257..511 of 0..511).
 * @param max_chunks 0: all
 * @return ACCEL_OK, _E_ARG (text shorter than a chunk), _E_CANCELLED, else as accel_llm_eval */
int accel_perplexity(accel_llm *llm, const char *text, size_t len, uint64_t max_chunks,
                     accel_progress_fn *progress, void *user,
                     struct accel_perplexity_result *result, struct accel_error *err);

#ifdef __cplusplus
}
#endif
#endif
