/* gguf.h - read-only view of a GGUF v2/v3 file (memory-mapped, every length checked).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_GGUF_H
#define ACCEL_GGUF_H

#include "accel.h"

#include <stdbool.h>

struct gguf_file;

struct gguf_str {
    const char *data; /* not terminated; points into the file */
    size_t len;
};

struct gguf_tensor {
    struct gguf_str name;
    uint32_t n_dims;
    uint64_t ne[4];   /* fastest first; missing dims are 1, none is 0 */
    uint32_t type;    /* enum ggml_type id, known to ggml_types.h or quant/layout.h */
    const void *data; /* aligned to 8 bytes or more */
    size_t size;      /* bytes; checked against the file and the shape */
};

/* Open and check the whole file. The file must not shrink while it is open.
 * @return ACCEL_OK, _E_IO, _E_CORRUPT, _E_UNSUPPORTED, _E_NOMEM, _E_ARG (NULL) */
int gguf_open(const char *path, struct gguf_file **out, struct accel_error *err);
/* The same over memory that outlives the view (fuzzing, tests) and is aligned to 8 bytes (_E_ARG).
 * name is used in messages. */
int gguf_open_memory(const void *data, size_t size, const char *name, struct gguf_file **out,
                     struct accel_error *err);
void gguf_close(struct gguf_file *f); /* NULL is fine */
const char *gguf_path(const struct gguf_file *f);
/* The path as messages show it: control bytes escaped, a long one cut from the left. */
const char *gguf_label(const struct gguf_file *f);

size_t gguf_tensor_count(const struct gguf_file *f);
const struct gguf_tensor *gguf_tensor_at(const struct gguf_file *f, size_t i); /* or NULL */
const struct gguf_tensor *gguf_find_tensor(const struct gguf_file *f,
                                           const char *name); /* or NULL */

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

/* The i-th pair's key and its bytes as they are in the file, key and type included. False behind the last. */
bool gguf_raw_pair(const struct gguf_file *f, size_t i, struct gguf_str *key,
                   struct gguf_str *bytes);

/* Text from a file made fit for a message: anything but printable ASCII as \xHH, "..." where cap
 * cuts it. Writes and returns buf; cap >= 8. */
const char *gguf_escape(struct gguf_str s, char *buf, size_t cap);

/* Bytewise order of two strings, a prefix first: negative, 0 or positive. */
int gguf_str_compare(struct gguf_str a, struct gguf_str b);
/* Stable order by name of n records of `stride` bytes that begin with a struct gguf_str; *order is
 * malloc'ed. Merge sort: hostile names cannot make it quadratic. @return ACCEL_OK, _E_NOMEM */
int gguf_sort_names(const void *records, size_t stride, size_t n, size_t **order);
/* Position in such an order of the last record with that name, or n. */
size_t gguf_search_names(const void *records, size_t stride, const size_t *order, size_t n,
                         struct gguf_str name);

#endif
