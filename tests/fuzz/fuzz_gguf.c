/* fuzz_gguf.c - any bytes as a GGUF file: refused in words, or every value in it can be read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ggml_types.h"
#include "gguf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Read each byte, so that the sanitizer sees a range that is not the file's. */
static unsigned touch(const void *data, size_t n)
{
    const uint8_t *p = data;
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    return sum;
}

static void read_tensors(const struct gguf_file *f, const uint8_t *data, size_t size)
{
    const uint8_t *end = data;
    char name[256];
    for (size_t i = 0; i < gguf_tensor_count(f); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(f, i);
        const uint8_t *p = t->data;
        uint64_t row = 0;
        require(t->name.len < sizeof name);
        memcpy(name, t->name.data, t->name.len);
        name[t->name.len] = '\0';
        require(gguf_find_tensor(f, name) == t);
        require(p >= end && p + t->size <= data + size); /* in order, nothing shared */
        require((uintptr_t)p % 8 == 0);
        require(ggml_row_bytes(t->type, t->ne[0], &row));
        require(row * t->ne[1] * t->ne[2] * t->ne[3] == t->size);
        touch(p, t->size);
        end = p + t->size;
    }
}

static void read_key(const struct gguf_file *f, const char *key)
{
    uint64_t u = 0, count = 0;
    double d = 0;
    bool b = false;
    struct gguf_str s = { "", 0 };
    if (gguf_get_str(f, key, &s))
        touch(s.data, s.len);
    bool is_u64 = gguf_get_u64(f, key, &u);
    bool is_f64 = gguf_get_f64(f, key, &d);
    require(is_f64 || !is_u64);
    bool is_bool = gguf_get_bool(f, key, &b);
    require(gguf_has(f, key) || !(is_u64 || is_f64 || is_bool));
    if (!gguf_get_array(f, key, &count))
        return;
    for (uint64_t i = 0; i < count; i++) {
        if (gguf_array_str(f, key, i, &s))
            touch(s.data, s.len);
        (void)gguf_array_u64(f, key, i, &u);
        (void)gguf_array_f64(f, key, i, &d);
    }
    require(!gguf_array_str(f, key, count, &s) && !gguf_array_u64(f, key, count, &u));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = { "k",
                                        "general.alignment",
                                        "general.architecture",
                                        "tokenizer.ggml.tokens",
                                        "tokenizer.ggml.scores",
                                        "tokenizer.ggml.token_type",
                                        "split.count" };
    struct gguf_file *f = NULL;
    struct accel_error err = { 0 };
    int rc = gguf_open_memory(data, size, "fuzz.gguf", &f, &err);
    if (rc) {
        require(rc == ACCEL_E_CORRUPT || rc == ACCEL_E_UNSUPPORTED);
        require(rc == err.status && !strncmp(err.text, "fuzz.gguf: ", 11) && !f);
        return 0;
    }
    read_tensors(f, data, size);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        read_key(f, keys[i]);
    gguf_close(f);
    return 0;
}
