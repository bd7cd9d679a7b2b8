/* gguf.h - read-only view of a GGUF v2/v3 file (memory-mapped, every length checked).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_GGUF_H
#define ACCEL_GGUF_H

#include "accel.h"

#include <stdbool.h>

struct gguf_file;

struct gguf_str {
    const char *data;      /* not terminated; points into the file */
    size_t      len;
};

struct gguf_tensor {
    struct gguf_str name;
    uint32_t    n_dims;
    uint64_t    ne[4];     /* fastest first; missing dims are 1 */
    uint32_t    type;      /* enum ggml_type id, known to ggml_types.h */
    const void *data;
    size_t      size;      /* bytes; checked against the file and the shape */
};

/* Open and check the whole file. @return ACCEL_OK, _E_IO, _E_CORRUPT, _E_UNSUPPORTED, _E_NOMEM */
int gguf_open(const char *path, struct gguf_file **out, struct accel_error *err);
/* The same over memory that outlives the view (fuzzing, tests). name is used in messages. */
int gguf_open_memory(const void *data, size_t size, const char *name, struct gguf_file **out,
                     struct accel_error *err);
void gguf_close(struct gguf_file *f);
const char *gguf_path(const struct gguf_file *f);

size_t gguf_tensor_count(const struct gguf_file *f);
const struct gguf_tensor *gguf_tensor_at(const struct gguf_file *f, size_t i);
const struct gguf_tensor *gguf_find_tensor(const struct gguf_file *f, const char *name); /* or NULL */

/* Metadata. Each returns false if the key is absent or of another type; any integer width is taken
 * as u64 if not negative, any of f32/f64/integer as f64. */
bool gguf_has(const struct gguf_file *f, const char *key);
bool gguf_get_u64(const struct gguf_file *f, const char *key, uint64_t *v);
bool gguf_get_f64(const struct gguf_file *f, const char *key, double *v);
bool gguf_get_bool(const struct gguf_file *f, const char *key, bool *v);
bool gguf_get_str(const struct gguf_file *f, const char *key, struct gguf_str *v);
/* Arrays: count, then elements one by one (O(1) for numbers; strings are indexed at open). */
bool gguf_get_array(const struct gguf_file *f, const char *key, uint64_t *count);
bool gguf_array_str(const struct gguf_file *f, const char *key, uint64_t i, struct gguf_str *v);
bool gguf_array_f64(const struct gguf_file *f, const char *key, uint64_t i, double *v);
bool gguf_array_u64(const struct gguf_file *f, const char *key, uint64_t i, uint64_t *v);

#endif
