/* writer.h - writes a GGUF v3 file front to back.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_QUANT_WRITER_H
#define ACCEL_QUANT_WRITER_H

#include "gguf.h"

struct gguf_writing;

struct gguf_new_tensor {
    struct gguf_str name;
    uint32_t n_dims;
    uint64_t ne[4];
    uint32_t type;
    uint64_t size;
};

/* A number to add to the metadata, in place of the old file's pair of that key. */
struct gguf_new_pair {
    const char *key;
    uint32_t value;
};

/* Write the header: the metadata of `from` but for the pairs replaced, and what the tensors will be. The file
 * has another name until it is finished. @return ACCEL_OK, _E_IO, _E_NOMEM, _E_ARG (sizes overflow) */
int gguf_write_begin(const char *path, const struct gguf_file *from,
                     const struct gguf_new_pair *pairs, size_t pair_count,
                     const struct gguf_new_tensor *tensors, size_t count, struct gguf_writing **out,
                     struct accel_error *err);
/* The next bytes of the tensors, in order. @return ACCEL_OK, _E_IO, _E_ARG (more than was announced) */
int gguf_write_data(struct gguf_writing *w, const void *data, size_t size, struct accel_error *err);
/* Give the file its name. @return ACCEL_OK, _E_IO, _E_ARG (less data than announced) */
int gguf_write_finish(struct gguf_writing *w, struct accel_error *err);
/* Frees; an unfinished file is removed. NULL is fine. */
void gguf_write_close(struct gguf_writing *w);

#endif
