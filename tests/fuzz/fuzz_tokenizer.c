/* fuzz_tokenizer.c - any vocabulary on any text: refused in words, or the ids are tokens and give
 * the text back.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Input: 4 bytes, the length of the text; the text; the rest is a GGUF file. */
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static const char space[] = "\xe2\x96\x81"; /* U+2581 reads back as a space */

/* The text as it reads back: one space more before it, U+2581 as a space. */
static char *expected(const char *text, size_t len, bool prefix, size_t *out)
{
    char *s = malloc(len + 2);
    size_t n = 0;
    if (!s)
        abort();
    if (prefix && len)
        s[n++] = ' ';
    for (size_t i = 0; i < len; n++) {
        bool is_space = len - i >= 3 && !memcmp(text + i, space, 3);
        s[n] = is_space ? ' ' : text[i];
        i += is_space ? 3 : 1;
    }
    *out = n;
    return s;
}

static char *decoded(const struct tokenizer *t, const uint32_t *ids, size_t count, size_t *out)
{
    size_t total = 0, n = 0;
    for (size_t i = 0; i < count; i++) {
        require(ids[i] < tokenizer_vocab_size(t));
        total += tokenizer_piece(t, ids[i], NULL, 0);
    }
    char *s = malloc(total + 1);
    if (!s)
        abort();
    for (size_t i = 0; i < count; i++)
        n += tokenizer_piece(t, ids[i], s + n, total - n);
    require(n == total);
    *out = n;
    return s;
}

static void check_text(const struct gguf_file *f, const struct tokenizer *t, const char *text,
                       size_t len)
{
    uint32_t *ids = NULL;
    size_t count = 0, want_len = 0, got_len = 0;
    struct accel_error err = { 0 };
    bool bos = true, eos = false, prefix = true;
    int rc = tokenizer_encode(t, text, len, &ids, &count, &err);
    if (rc) {
        require(rc == ACCEL_E_CORRUPT && err.status == rc && !ids);
        return;
    }
    (void)gguf_get_bool(f, "tokenizer.ggml.add_bos_token", &bos);
    (void)gguf_get_bool(f, "tokenizer.ggml.add_eos_token", &eos);
    (void)gguf_get_bool(f, "tokenizer.ggml.add_space_prefix", &prefix);
    require(count >= (size_t)bos + eos);
    require(!bos || ids[0] == tokenizer_bos(t));
    require(!eos || ids[count - 1] == tokenizer_eos(t));
    char *want = expected(text, len, prefix, &want_len);
    char *got = decoded(t, ids + bos, count - bos - eos, &got_len);
    /* A U+2581 that only bytes put together is no space yet in either, but reads back as one. */
    char *again = expected(got, got_len, false, &got_len);
    require(got_len == want_len && !memcmp(again, want, want_len));
    free(again);
    free(got);
    free(want);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t len;
    if (size < sizeof len)
        return 0;
    memcpy(&len, data, sizeof len);
    data += sizeof len;
    size -= sizeof len;
    if (len > size)
        return 0;
    struct gguf_file *f = NULL;
    struct tokenizer *t = NULL;
    struct accel_error err = { 0 };
    /* Blocks of the exact size: the sanitizer sees a read beyond either. */
    char *text = malloc(len ? len : 1);
    uint8_t *model = malloc(size - len ? size - len : 1);
    if (!text || !model)
        abort();
    memcpy(text, data, len);
    memcpy(model, data + len, size - len);
    if (gguf_open_memory(model, size - len, "fuzz.gguf", &f, &err))
        goto out;
    int rc = tokenizer_create(f, &t, &err);
    if (rc) {
        require(rc == ACCEL_E_CORRUPT || rc == ACCEL_E_UNSUPPORTED);
        require(rc == err.status && !strncmp(err.text, "fuzz.gguf: ", 11) && !t);
        goto out;
    }
    check_text(f, t, text, len);
out:
    tokenizer_free(t);
    gguf_close(f);
    free(text);
    free(model);
    return 0;
}
