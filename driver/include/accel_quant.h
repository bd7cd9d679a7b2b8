/* accel_quant.h - libaccel: models of float tensors to low-bit ones.
 * SPDX-License-Identifier: Apache-2.0
 *
 *     struct accel_quantize_options o = { .type = "uint4:32" };
 *     accel_quantize("story-f16.gguf", "story-4bit.gguf", &o, &result, &err);
 *
 * Error codes and threads are as in accel.h. */
#ifndef ACCEL_QUANT_H_PUBLIC
#define ACCEL_QUANT_H_PUBLIC

#include "accel_llm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What became of one tensor. */
struct accel_quantize_tensor {
    const char *name, *from, *to;  /**< types: "F16", "uint4:32" */
    uint64_t rows, cols, bytes;
    double   bits;                 /**< a weight, headers and all */
    double   error;                /**< sum of squared errors / sum of squared weights; with calibration
                                        the same of the outputs. 0 if the tensor was copied */
    uint64_t zero_rows, tiny_rows; /**< rows without any weight but 0; without any above 1e-37 */
    uint64_t done, total;          /**< bytes of the input file */
};

struct accel_quantize_options {
    /** Type of the matrices: a weight format and its group ("uint4:32", "ternary:128", "codebook4"), a ggml
     * type (q4_0 q4_1 q5_0 q5_1 q8_0 tq1_0 tq2_0 mxfp4 f16 bf16 f32) or mxfp6e2m3, mxfp6e3m2, mxfp8, mxint8.
     * NULL: from bits. */
    const char *type;
    const char *head;          /**< type of token_embd and output; NULL: as the others */
    double      bits;          /**< most bits a weight, headers and all, 1.5 to 9; 0: 4.5 */
    const char *plan;          /**< text of a plan (docs/eval.md); its tensors go before type; NULL: none */
    size_t      plan_len;
    const char *calibration;   /**< text; NULL: none */
    size_t      calibration_len;
    uint32_t    tokens;        /**< of it, at most; 0: 8192 */
    int         self_calibrate; /**< 1: without a text, the model writes its own, by seed */
    uint64_t    seed;
    int         rtn;           /**< 1: nearest values even with a calibration text, which then only weighs inputs */
    unsigned    threads;       /**< 0: as many as there are processors */
    /** Called before each tensor's end and now and then in between (with name NULL: only done and total are set,
     * or what is being done in `to`). Not 0: stop with ACCEL_E_CANCELLED. May be NULL. */
    int (*report)(void *user, const struct accel_quantize_tensor *t);
    void *user;
};

struct accel_quantize_result {
    uint64_t bytes_in, bytes_out;
    uint64_t weights;      /**< in matrices */
    double   bits;         /**< of those, a weight */
    uint64_t zero_rows, tiny_rows;
    double   seconds;
};

/** Quantize a llama GGUF of F32, F16 and BF16 tensors; matrices that are quantized already, and vectors, are
 * copied. Row by row, so that the model may be larger than the memory. The same options give the same bytes,
 * whatever the number of threads.
 * @return ACCEL_OK, _E_ARG (an option), _E_IO, _E_CORRUPT (names the tensor, row and column of a weight that is
 *         not finite), _E_UNSUPPORTED, _E_CANCELLED, _E_NOMEM. On failure no file is left. */
int accel_quantize(const char *in, const char *out, const struct accel_quantize_options *options,
                   struct accel_quantize_result *result, struct accel_error *err);

/** One stage of a layer: the inputs that some matrices read. */
struct accel_fold_stage {
    const char *name;          /**< of the first of those matrices */
    uint32_t layer;
    double   alpha;            /**< 0: left as it was */
    double   before, after;    /**< sum of squared errors of the outputs if the weights are rounded to the type */
    uint32_t done, total;      /**< stages */
};

/** Rotations of the residual stream. */
enum accel_rotation {
    ACCEL_ROTATE_NONE,
    ACCEL_ROTATE_HADAMARD,     /**< a Hadamard matrix with signs by seed; needs no text */
    ACCEL_ROTATE_RESQ          /**< principal directions, the first eighth and the rest each turned at random */
};

struct accel_fold_options {
    enum accel_rotation rotate; /**< not 0: this, in place of AWQ and SmoothQuant; type and bits do not matter */
    int         smoothquant;   /**< 0: AWQ, alpha searched for each stage; 1: SmoothQuant with this alpha */
    double      alpha;         /**< SmoothQuant: 0 (weights keep their range) to 1 (inputs do) */
    const char *type;          /**< what the model will be quantized to, as in accel_quantize_options; NULL: from bits */
    double      bits;          /**< likewise; 0: 4.5 */
    const char *calibration;   /**< text, or NULL and self_calibrate */
    size_t      calibration_len;
    uint32_t    tokens;        /**< of it, at most; 0: 8192 */
    int         self_calibrate;
    uint64_t    seed;
    unsigned    threads;       /**< 0: as many as there are processors */
    int (*report)(void *user, const struct accel_fold_stage *s); /**< not 0: stop. May be NULL */
    void *user;
};

/** Write a llama GGUF of F32, F16 and BF16 tensors anew so that it computes the same, up to float rounding, but loses
 * less when it is quantized: what makes the inputs of a matrix (norms; rows of v and up) is divided by a factor a channel, the
 * matrix's columns are multiplied by it. With `rotate` norms' weights go into the matrices behind them, and the stream and the values are
 * rotated; a head that was the embedding becomes output.weight if the last norm's weights are not 1. Changed tensors become F32.
 * @return ACCEL_OK, _E_ARG (an option), _E_IO, _E_CORRUPT, _E_UNSUPPORTED (a matrix is quantized already), _E_CANCELLED,
 *         _E_NOMEM. On failure no file is left. */
int accel_fold(const char *in, const char *out, const struct accel_fold_options *options, struct accel_error *err);

#ifdef __cplusplus
}
#endif
#endif
