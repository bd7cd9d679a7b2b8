/* file.h - the tensors of a float model, as quantize and fold read them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_QUANT_FILE_H
#define ACCEL_QUANT_FILE_H

#include "accel_quant.h"
#include "gguf.h"

enum {
    QUANT_NAME_SHOWN = 60,
    QUANT_TOKENS = 8192
}; /* bytes of a name; of calibration, unless told */

/* The tensor type that text names, or if it is NULL the best for rows of n weights at that many bits (0: 4.5).
 * Rows that the type's blocks do not divide: F16. @return ACCEL_OK, _E_ARG */
int quant_choose_type(const char *text, double bits, uint64_t n, uint32_t *type,
                      struct accel_error *err);
/* The options that say which, before a model is opened: bits is 0 or 1.5 to 9, text NULL or a type's name. @return ACCEL_OK, _E_ARG */
int quant_check_type(const char *text, double bits, struct accel_error *err);
unsigned quant_threads(unsigned wanted); /* 0: as many as there are processors */
bool quant_is_float(uint32_t type);
size_t quant_tensor_index(const struct gguf_file *file, const struct gguf_tensor *t);
/* Of its name, for "%.*s". */
int quant_name_length(const struct gguf_tensor *t);
/* Rows first .. first + n - 1 as floats, and what is odd about them in info.
 * @return ACCEL_OK, _E_NOMEM, _E_CORRUPT (not finite: names tensor, row and column) */
int quant_read_rows(const struct gguf_tensor *t, uint64_t first, uint64_t n, float *w,
                    struct accel_quantize_tensor *info, struct accel_error *err);

#endif
