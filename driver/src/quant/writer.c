/* writer.c - writes a GGUF v3 file front to back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 32, VERSION = 3, TYPE_U32 = 4 };

struct gguf_writing {
    FILE *file;
    char *path, *part; /* what it will be called, and what it is called until then */
    bool made, finished;
    uint64_t *sizes;
    size_t count, tensor; /* tensors in all; the one being written */
    uint64_t written;     /* bytes of it */
    uint64_t at;          /* bytes of the file */
};

static int put(struct gguf_writing *w, const void *data, size_t size, struct accel_error *err)
{
    if (size && fwrite(data, 1, size, w->file) != size)
        return accel_fail(err, ACCEL_E_IO, "%s: writing failed: %s", w->part, strerror(errno));
    w->at += size;
    return ACCEL_OK;
}

static int put_int(struct gguf_writing *w, uint64_t v, unsigned bytes, struct accel_error *err)
{
    uint8_t raw[8];
    for (unsigned i = 0; i < bytes; i++)
        raw[i] = (uint8_t)(v >> 8 * i);
    return put(w, raw, bytes, err);
}

static int put_text(struct gguf_writing *w, struct gguf_str s, struct accel_error *err)
{
    int rc = put_int(w, s.len, 8, err);
    return rc ? rc : put(w, s.data, s.len, err);
}

static int pad(struct gguf_writing *w, struct accel_error *err)
{
    static const uint8_t zeros[ALIGNMENT] = { 0 };
    return put(w, zeros, (size_t)(-w->at & (ALIGNMENT - 1)), err);
}

/* Tensors without any data are over before they began. */
static void skip_empty(struct gguf_writing *w)
{
    while (w->tensor < w->count && w->sizes[w->tensor] == 0)
        w->tensor++;
}

static bool is_key(struct gguf_str key, const char *text)
{
    return key.len == strlen(text) && memcmp(key.data, text, key.len) == 0;
}

/* The alignment is ours: files that ask for another one are written with the usual one. */
static bool replaced(struct gguf_str key, const struct gguf_new_pair *pairs, size_t count)
{
    bool yes = is_key(key, "general.alignment");
    for (size_t i = 0; i < count && !yes; i++)
        yes = is_key(key, pairs[i].key);
    return yes;
}

static int put_pairs(struct gguf_writing *w, const struct gguf_file *from,
                     const struct gguf_new_pair *pairs, size_t count, struct accel_error *err)
{
    struct gguf_str key, bytes;
    int rc = ACCEL_OK;
    for (size_t i = 0; !rc && gguf_raw_pair(from, i, &key, &bytes); i++)
        if (!replaced(key, pairs, count))
            rc = put(w, bytes.data, bytes.len, err);
    for (size_t i = 0; i < count && !rc; i++) {
        rc = put_text(w, (struct gguf_str){ pairs[i].key, strlen(pairs[i].key) }, err);
        if (!rc)
            rc = put_int(w, TYPE_U32, 4, err);
        if (!rc)
            rc = put_int(w, pairs[i].value, 4, err);
    }
    return rc;
}

static int put_tensor(struct gguf_writing *w, const struct gguf_new_tensor *t, uint64_t offset,
                      struct accel_error *err)
{
    int rc = put_text(w, t->name, err);
    if (!rc)
        rc = put_int(w, t->n_dims, 4, err);
    for (uint32_t d = 0; d < t->n_dims && !rc; d++)
        rc = put_int(w, t->ne[d], 8, err);
    if (!rc)
        rc = put_int(w, t->type, 4, err);
    return rc ? rc : put_int(w, offset, 8, err);
}

static int put_header(struct gguf_writing *w, const struct gguf_file *from,
                      const struct gguf_new_pair *pairs, size_t pair_count,
                      const struct gguf_new_tensor *tensors, struct accel_error *err)
{
    struct gguf_str key, bytes;
    uint64_t kept = pair_count, offset = 0;
    for (size_t i = 0; gguf_raw_pair(from, i, &key, &bytes); i++)
        kept += !replaced(key, pairs, pair_count);
    int rc = put(w, "GGUF", 4, err);
    if (!rc)
        rc = put_int(w, VERSION, 4, err);
    if (!rc)
        rc = put_int(w, w->count, 8, err);
    if (!rc)
        rc = put_int(w, kept, 8, err);
    if (!rc)
        rc = put_pairs(w, from, pairs, pair_count, err);
    for (size_t i = 0; i < w->count && !rc; i++) {
        w->sizes[i] = tensors[i].size;
        rc = put_tensor(w, &tensors[i], offset, err);
        if (!rc && (__builtin_add_overflow(offset, tensors[i].size, &offset) ||
                    __builtin_add_overflow(offset, (uint64_t)ALIGNMENT - 1, &offset)))
            rc = accel_fail(err, ACCEL_E_ARG, "%s: larger than a file can be", w->part);
        offset &= ~(uint64_t)(ALIGNMENT - 1);
    }
    return rc ? rc : pad(w, err);
}

int gguf_write_begin(const char *path, const struct gguf_file *from,
                     const struct gguf_new_pair *pairs, size_t pair_count,
                     const struct gguf_new_tensor *tensors, size_t count, struct gguf_writing **out,
                     struct accel_error *err)
{
    size_t len = strlen(path), bytes;
    struct gguf_writing *w = calloc(1, sizeof *w);
    int rc = ACCEL_E_NOMEM;
    if (!w || !mul_size(count, sizeof *w->sizes, &bytes) || !(w->sizes = malloc(bytes + 1)) ||
        !(w->path = malloc(len + 1)) || !(w->part = malloc(len + 6))) {
        rc = accel_fail(err, rc, "out of memory: writing %zu tensors", count);
        goto out;
    }
    memcpy(w->path, path, len + 1);
    snprintf(w->part, len + 6, "%s.part", path);
    w->count = count;
    w->file = fopen(w->part, "wb");
    if (!w->file) {
        rc = accel_fail(err, ACCEL_E_IO, "%s: %s", w->part, strerror(errno));
        goto out;
    }
    w->made = true;
    rc = put_header(w, from, pairs, pair_count, tensors, err);
    if (rc)
        goto out;
    skip_empty(w);
    *out = w;
out:
    if (rc)
        gguf_write_close(w);
    return rc;
}

int gguf_write_data(struct gguf_writing *w, const void *data, size_t size, struct accel_error *err)
{
    if (size == 0)
        return ACCEL_OK;
    if (w->tensor == w->count || size > w->sizes[w->tensor] - w->written)
        return accel_fail(err, ACCEL_E_ARG, "%s: more data than tensor %zu of %zu has", w->part,
                          w->tensor, w->count);
    int rc = put(w, data, size, err);
    if (rc)
        return rc;
    w->written += size;
    if (w->written < w->sizes[w->tensor])
        return ACCEL_OK;
    w->tensor++;
    w->written = 0;
    skip_empty(w);
    return pad(w, err);
}

int gguf_write_finish(struct gguf_writing *w, struct accel_error *err)
{
    if (w->tensor != w->count)
        return accel_fail(err, ACCEL_E_ARG, "%s: data of tensor %zu of %zu is missing", w->part,
                          w->tensor, w->count);
    FILE *file = w->file;
    w->file = NULL;
    if (fclose(file) || rename(w->part, w->path))
        return accel_fail(err, ACCEL_E_IO, "%s: writing failed: %s", w->path, strerror(errno));
    w->finished = true;
    return ACCEL_OK;
}

void gguf_write_close(struct gguf_writing *w)
{
    if (!w)
        return;
    if (w->file)
        fclose(w->file);
    if (w->made && !w->finished) /* an unfinished file is no file */
        remove(w->part);
    free(w->sizes);
    free(w->path);
    free(w->part);
    free(w);
}
