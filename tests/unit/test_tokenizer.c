/* test_tokenizer.c - the SentencePiece tokenizer against known answers and a naive encoder.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizer is compiled into this file so that its allocations can be made to fail. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static long allocations_left = -1; /* -1: no limit */

static int may_allocate(void)
{
    return allocations_left < 0 || (allocations_left && allocations_left--);
}
#define malloc(n)     (may_allocate() ? malloc(n) : NULL)
#define calloc(n, m)  (may_allocate() ? calloc(n, m) : NULL)
#define realloc(p, n) (may_allocate() ? realloc(p, n) : NULL)
#include "tokenizer.c" // NOLINT(bugprone-suspicious-include)
#undef malloc
#undef calloc
#undef realloc

#include "gguf_writer.h"

#include <cmocka.h>
#include <time.h>

/* ---- a vocabulary to encode with ---- */

static struct accel_error err;
static struct gguf_writer writer; /* the file's bytes */
static struct gguf_file *file;
static struct tokenizer *tok;
static uint32_t *ids;
static size_t n_ids;

static int release(void **state)
{
    (void)state;
    allocations_left = -1;
    free(ids);
    ids = NULL;
    tokenizer_free(tok);
    tok = NULL;
    gguf_close(file);
    file = NULL;
    gw_free(&writer);
    return 0;
}

static int create(void)
{
    gw_finish(&writer);
    err = (struct accel_error){ 0 };
    int rc = gguf_open_memory(writer.data, writer.size, "dir/voc.gguf", &file, &err);
    if (rc)
        print_error("%s\n", err.text);
    assert_int_equal(rc, ACCEL_OK);
    return tokenizer_create(file, &tok, &err);
}

static void created(void)
{
    int rc = create();
    if (rc)
        print_error("%s\n", err.text);
    assert_int_equal(rc, ACCEL_OK);
}

/* The vocabulary in writer is refused with this in the message. */
static void refused(int status, const char *words)
{
    int rc = create();
    if (rc != status || !strstr(err.text, words))
        print_error("got %d '%s', want %d '%s'\n", rc, err.text, status, words);
    assert_int_equal(rc, status);
    assert_int_equal(err.status, status);
    assert_non_null(strstr(err.text, words));
    assert_ptr_equal(strstr(err.text, "dir/voc.gguf: "), err.text);
    assert_null(tok);
    release(NULL);
}

#define SP "\xe2\x96\x81"

enum { FIRST_BYTE = 3, FIRST_WORD = 259, MAX_WORDS = 64 };

/* <unk> <s> </s>, the 256 bytes, then these. */
static void begin_with_types(size_t n, const char *const *words, const float *scores,
                             const int32_t *types)
{
    static char bytes[256][7];
    const char *tokens[FIRST_WORD + MAX_WORDS] = { "<unk>", "<s>", "</s>" };
    float score[FIRST_WORD + MAX_WORDS] = { 0 };
    int32_t type[FIRST_WORD + MAX_WORDS] = { 2, 3, 3 };
    assert_true(n <= MAX_WORDS);
    for (unsigned i = 0; i < 256; i++) {
        snprintf(bytes[i], sizeof bytes[i], "<0x%02X>", i);
        tokens[FIRST_BYTE + i] = bytes[i];
        type[FIRST_BYTE + i] = 6;
    }
    for (size_t i = 0; i < n; i++) {
        tokens[FIRST_WORD + i] = words[i];
        score[FIRST_WORD + i] = scores[i];
        type[FIRST_WORD + i] = types ? types[i] : 1;
    }
    gw_begin(&writer);
    gw_vocabulary(&writer, FIRST_WORD + n, tokens, score, type);
}

static void begin(size_t n, const char *const *words, const float *scores)
{
    begin_with_types(n, words, scores, NULL);
}

static void encode(const char *text, size_t len)
{
    free(ids);
    ids = NULL;
    err = (struct accel_error){ 0 };
    /* The text at its exact size: ASan sees a read beyond it. */
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, text, len);
    int rc = tokenizer_encode(tok, copy, len, &ids, &n_ids, &err);
    free(copy);
    if (rc)
        print_error("%s\n", err.text);
    assert_int_equal(rc, ACCEL_OK);
    assert_non_null(ids);
}

/* The text encodes to these ids; the list ends with -1. */
static void encodes_to(const char *text, ...)
{
    va_list list;
    size_t n = 0;
    bool equal = true;
    encode(text, strlen(text));
    va_start(list, text);
    for (int id = va_arg(list, int); id >= 0; id = va_arg(list, int), n++)
        equal = equal && n < n_ids && ids[n] == (uint32_t)id;
    va_end(list);
    if (!equal || n != n_ids) {
        print_error("'%s' encodes to", text);
        for (size_t i = 0; i < n_ids; i++)
            print_error(" %u", (unsigned)ids[i]);
        print_error(", %zu ids\n", n_ids);
    }
    assert_true(equal);
    assert_int_equal(n, n_ids);
}

/* ids as text, after the first `skip` ids. Free it. */
static char *decode(size_t skip, size_t *len)
{
    size_t total = 0, at = 0;
    for (size_t i = skip; i < n_ids; i++)
        total += tokenizer_piece(tok, ids[i], NULL, 0);
    char *text = malloc(total + 1);
    assert_non_null(text);
    for (size_t i = skip; i < n_ids; i++)
        at += tokenizer_piece(tok, ids[i], text + at, total - at);
    assert_int_equal(at, total);
    text[total] = '\0';
    *len = total;
    return text;
}

/* Encoding and decoding give the text back, after the space that is put before it. */
static void round_trips(const char *text, size_t len)
{
    size_t out = 0;
    encode(text, len);
    char *back = decode(0, &out);
    assert_int_equal(out, len ? len + 1 : 0);
    if (len)
        assert_memory_equal(back + 1, text, len);
    free(back);
}

enum { A = FIRST_WORD, B, C, D, E_, F };

/* ---- encoding ---- */

static void the_pair_with_the_best_score_merges_first(void **state)
{
    static const char *const words[] = { "a", "b", "c", "ab", "bc", SP };
    static const float left[] = { -9, -9, -9, -1, -2, -9 };
    static const float right[] = { -9, -9, -9, -2, -1, -9 };
    (void)state;
    begin(6, words, left);
    created();
    encodes_to("abc", 1, F, D, C, -1);
    release(NULL);
    begin(6, words, right);
    created();
    encodes_to("abc", 1, F, A, E_, -1);
}

static void of_equal_scores_the_leftmost_pair_merges_first(void **state)
{
    static const char *const words[] = { "a", "aa", SP };
    static const float scores[] = { -1, -2, -3 };
    (void)state;
    begin(3, words, scores);
    created();
    encodes_to("aaaaa", 1, C, B, B, A, -1);
}

static void merges_build_on_merges_only_if_each_step_is_a_token(void **state)
{
    static const char *const words[] = { "a", "b", "c", "ab", "abcd", SP };
    static const float scores[] = { 0, 0, 0, 0, 9, 0 };
    (void)state;
    begin(6, words, scores);
    created();
    encodes_to("abcd", 1, F, D, C, FIRST_BYTE + 'd',
               -1); /* no "abc", no "cd": "abcd" unreachable */
}

static void what_is_no_token_becomes_its_bytes(void **state)
{
    static const char *const words[] = { "a" };
    static const float scores[] = { 0 };
    (void)state;
    begin(1, words, scores);
    created();
    encodes_to("a\xc3\xa9", 1, FIRST_BYTE + 0xe2, FIRST_BYTE + 0x96, FIRST_BYTE + 0x81, A,
               FIRST_BYTE + 0xc3, FIRST_BYTE + 0xa9, -1);
}

static void a_code_point_is_one_symbol_and_broken_ones_are_bytes(void **state)
{
    static const char *const words[] = { SP, "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x99\x82", "a" };
    static const float scores[] = { 0, 0, 0, 0, 0 };
    (void)state;
    begin(5, words, scores);
    created();
    encodes_to("\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82", 1, A, B, C, D, -1);
    encodes_to("\xc3", 1, A, FIRST_BYTE + 0xc3, -1);
    encodes_to("\xc3"
               "a",
               1, A, FIRST_BYTE + 0xc3, E_, -1);
    encodes_to("\xa9\xc3\xa9", 1, A, FIRST_BYTE + 0xa9, B, -1);
    encodes_to("\xe2\x82"
               "a",
               1, A, FIRST_BYTE + 0xe2, FIRST_BYTE + 0x82, E_, -1);
    encodes_to("\xf0\x9f\x99", 1, A, FIRST_BYTE + 0xf0, FIRST_BYTE + 0x9f, FIRST_BYTE + 0x99, -1);
    encodes_to("\xff\xc0\xfe", 1, A, FIRST_BYTE + 0xff, FIRST_BYTE + 0xc0, FIRST_BYTE + 0xfe, -1);
}

static void every_string_of_bytes_round_trips(void **state)
{
    static const char *const words[] = { SP, "a", (SP "a"), "\xc3\xa9", "aa" };
    static const float scores[] = { 0, -1, -2, -3, -4 };
    static const unsigned char likely[] = { 'a', ' ', 0xc3, 0xa9, 0xe2, 0x96, 0x81, 0 };
    char text[64];
    uint32_t seed = 1;
    (void)state;
    begin(5, words, scores);
    created();
    for (int i = 0; i < 3000; i++) {
        size_t len = (size_t)i % sizeof text;
        for (size_t k = 0; k < len; k++) {
            seed = seed * 1664525 + 1013904223;
            text[k] = (char)(seed >> 31 ? likely[seed >> 24 & 7] : seed >> 20 & 0xff);
        }
        /* U+2581 itself cannot round trip: it is how a space is written. */
        for (size_t k = 0; k + 3 <= len; k++)
            if (!memcmp(text + k, SP, 3))
                text[k] = 'x';
        round_trips(text, len);
    }
}

static void text_of_no_bytes_is_only_bos_and_eos(void **state)
{
    static const char *const words[] = { SP };
    static const float scores[] = { 0 };
    (void)state;
    begin(1, words, scores);
    created();
    encodes_to("", 1, -1);
    free(ids);
    ids = NULL;
    assert_int_equal(tokenizer_encode(tok, NULL, 0, &ids, &n_ids, &err), ACCEL_OK);
    assert_int_equal(n_ids, 1);
    release(NULL);
    begin(1, words, scores);
    gw_kv_int(&writer, "tokenizer.ggml.add_bos_token", GW_BOOL, 0);
    created();
    encodes_to("", -1);
}

static void bos_eos_and_the_leading_space_follow_the_file(void **state)
{
    static const char *const words[] = { "a", SP };
    static const float scores[] = { 0, 0 };
    (void)state;
    begin(2, words, scores);
    gw_kv_int(&writer, "tokenizer.ggml.add_eos_token", GW_BOOL, 1);
    gw_kv_int(&writer, "tokenizer.ggml.add_space_prefix", GW_BOOL, 0);
    gw_kv_int(&writer, "tokenizer.ggml.bos_token_id", GW_U32, 5);
    gw_kv_int(&writer, "tokenizer.ggml.eos_token_id", GW_I64, 6);
    created();
    encodes_to("a a", 5, A, B, A, 6, -1);
    assert_int_equal(tokenizer_bos(tok), 5);
    assert_int_equal(tokenizer_eos(tok), 6);
    assert_int_equal(tokenizer_vocab_size(tok), FIRST_WORD + 2);
    assert_true(tokenizer_is_end(tok, 5));
    assert_true(tokenizer_is_end(tok, 6));
    assert_false(tokenizer_is_end(tok, 1));
    release(NULL);
    begin(2, words, scores);
    gw_kv_int(&writer, "tokenizer.ggml.add_bos_token", GW_BOOL, 0);
    created();
    encodes_to("a ", B, A, B, -1);
}

static void control_tokens_are_not_found_in_text(void **state)
{
    static const char *const words[] = { SP, "<", "s", ">", "<s", "<s>" };
    static const float scores[] = { 0, 0, 0, 0, 0, 0 };
    static const int32_t types[] = { 1, 1, 1, 1, 1, 3 };
    (void)state;
    begin_with_types(6, words, scores, types);
    created();
    encodes_to("<s>", 1, A, E_, D, -1);
}

static void user_defined_tokens_are_cut_out_whole_and_the_longest_wins(void **state)
{
    static const char *const words[] = { SP, "a", "b", "ab", "ba", "bab", "abab", ("b" SP) };
    static const float scores[] = { 0, 0, 0, 0, 0, 0, 0, 5 };
    static const int32_t types[] = { 1, 1, 1, 1, 4, 4, 4, 1 };
    (void)state;
    begin_with_types(8, words, scores, types);
    created();
    encodes_to("abab", 1, A, FIRST_WORD + 6, -1);
    encodes_to("aba", 1, A, B, E_, -1); /* "ba" is cut out before "ab" can merge */
    encodes_to("bab", 1, A, F, -1);
    encodes_to("ababb ", 1, A, FIRST_WORD + 6, FIRST_WORD + 7, -1);
    encodes_to("bb", 1, A, C, C, -1);
}

static void of_two_tokens_with_one_text_the_later_is_used(void **state)
{
    static const char *const words[] = { SP, "a", "b", "c", "d", "a", "b", "c", "d" };
    static const float scores[9] = { 0 };
    (void)state;
    begin(9, words, scores);
    created();
    encodes_to("abcd", 1, A, FIRST_WORD + 5, FIRST_WORD + 6, FIRST_WORD + 7, FIRST_WORD + 8, -1);
}

static void byte_tokens_are_known_by_text_even_if_marked_normal(void **state)
{
    static const char *const words[] = { "<s>", "</s>", "<0x61>", "<0x7a>", SP };
    static const float scores[] = { 0, 0, 0, 0, 0 };
    (void)state;
    gw_begin(&writer);
    gw_vocabulary(&writer, 5, words, scores, NULL);
    created();
    encodes_to("az", 1, 4, 2, 3, -1);
    char c = 0;
    assert_int_equal(tokenizer_piece(tok, 2, &c, 1), 1);
    assert_int_equal(c, 'a');
}

static void control_tokens_never_stand_for_a_byte(void **state)
{
    static const char *const words[] = { "<s>", "</s>", "<0x61>", "<0x61>", "<0x61>", SP };
    static const float scores[] = { 0, 0, 0, 0, 0, 0 };
    static const int32_t types[] = { 3, 3, 3, 1, 2, 1 };
    (void)state;
    gw_begin(&writer);
    gw_vocabulary(&writer, 6, words, scores, types);
    gw_kv_int(&writer, "tokenizer.ggml.bos_token_id", GW_U32, 0);
    created();
    encodes_to("a", 0, 5, 3, -1);
    assert_int_equal(tokenizer_piece(tok, 2, NULL, 0), 0);
}

static void the_text_of_a_byte_token_is_not_that_byte(void **state)
{
    static const char *const words[] = { "<s>", "</s>", "<0x61>", SP,   "<",   "0",    "x",
                                         "6",   "1",    ">",      "<0", "<0x", "<0x6", "<0x61" };
    static const float scores[14] = { 0 };
    (void)state;
    gw_begin(&writer);
    gw_vocabulary(&writer, 14, words, scores, NULL);
    created();
    encodes_to("<0x61>", 1, 3, 13, 9, -1); /* merging goes on until only "<0x61>" is left to make */
    encodes_to("a", 1, 3, 2, -1);
}

static void a_byte_without_a_token_is_an_error_that_names_it(void **state)
{
    static const char *const words[] = { "<s>", "</s>", "a", SP };
    static const float scores[] = { 0, 0, 0, 0 };
    (void)state;
    gw_begin(&writer);
    gw_vocabulary(&writer, 4, words, scores, NULL);
    created();
    encodes_to("aa", 1, 3, 2, 2, -1);
    free(ids);
    ids = NULL;
    n_ids = 77;
    assert_int_equal(tokenizer_encode(tok, "a\xf1", 2, &ids, &n_ids, &err), ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "dir/voc.gguf: the vocabulary has no token for byte 0xf1"));
    assert_null(ids);
    assert_int_equal(n_ids, 77);
}

/* The definition, in the plainest way: merge the best pair until there is none. */
static size_t naive_encode(const struct gguf_file *f, uint64_t n, const char *text, size_t len,
                           uint32_t *out)
{
    struct gguf_str symbol[256], word;
    double score;
    size_t count = len;
    for (size_t i = 0; i < len; i++)
        symbol[i] = (struct gguf_str){ text + i, 1 };
    for (;;) {
        size_t best = SIZE_MAX;
        double best_score = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            struct gguf_str pair = { symbol[i].data, symbol[i].len + symbol[i + 1].len };
            for (uint64_t id = FIRST_WORD; id < n; id++)
                if (gguf_array_str(f, KEY "tokens", id, &word) && !gguf_str_compare(word, pair) &&
                    gguf_array_f64(f, KEY "scores", id, &score) &&
                    (best == SIZE_MAX || score > best_score)) {
                    best = i;
                    best_score = score;
                }
        }
        if (best == SIZE_MAX)
            break;
        symbol[best].len += symbol[best + 1].len;
        memmove(symbol + best + 1, symbol + best + 2, (count - best - 2) * sizeof *symbol);
        count--;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = FIRST_BYTE + (unsigned char)symbol[i].data[0];
        for (uint64_t id = FIRST_WORD; id < n; id++)
            if (gguf_array_str(f, KEY "tokens", id, &word) && !gguf_str_compare(word, symbol[i]))
                out[i] = (uint32_t)id;
    }
    return count;
}

static void random_vocabularies_encode_as_the_naive_definition_does(void **state)
{
    enum { ROUNDS = 60, TEXTS = 8, LEN = 40 };
    static char word[MAX_WORDS][8];
    const char *words[MAX_WORDS];
    float scores[MAX_WORDS];
    char text[LEN];
    uint32_t naive[LEN], seed = 7;
    size_t merged = 0;
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = 0;
        while (n < 30) {
            size_t len = 1 + n / 8;
            bool fresh = true;
            for (size_t k = 0; k < len; k++, seed = seed * 1664525 + 1013904223)
                word[n][k] = (char)('a' + (seed >> 24) % 3);
            word[n][len] = '\0';
            for (size_t k = 0; k < n; k++)
                fresh = fresh && strcmp(word[k], word[n]) != 0;
            words[n] = word[n];
            scores[n] = (float)(seed >> 20 & 7); /* few values: many ties */
            seed = seed * 1664525 + 1013904223;
            if (fresh || n < 8) { /* 3 letters cannot fill 8 places: let those repeat */
                if (!fresh)
                    word[n][0] = (char)('A' + n);
                n++;
            }
        }
        begin(n, words, scores);
        gw_kv_int(&writer, "tokenizer.ggml.add_space_prefix", GW_BOOL, 0);
        gw_kv_int(&writer, "tokenizer.ggml.add_bos_token", GW_BOOL, 0);
        created();
        for (int i = 0; i < TEXTS; i++) {
            for (size_t k = 0; k < LEN; k++, seed = seed * 1664525 + 1013904223)
                text[k] = (char)('a' + (seed >> 24) % 3);
            size_t count = naive_encode(file, FIRST_WORD + n, text, LEN, naive);
            encode(text, LEN);
            assert_int_equal(n_ids, count);
            assert_memory_equal(ids, naive, count * sizeof *ids);
            merged += LEN - count;
        }
        release(NULL);
    }
    assert_true(merged > ROUNDS * TEXTS * 10);
}

/* A quadratic merge of this text would take minutes. */
static void a_text_of_two_megabytes_encodes_in_reasonable_time(void **state)
{
    static const char *const words[] = { SP, "a", "aa", "aaaa", "aaaaaaaa", "aaaaaaaaaaaaaaaa" };
    static const float scores[] = { 0, 1, 2, 3, 4, 5 };
    enum { LEN = 2 << 20 };
    (void)state;
    begin(6, words, scores);
    created();
    char *text = malloc(LEN);
    assert_non_null(text);
    memset(text, 'a', LEN);
    clock_t start = clock();
    encode(text, LEN);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20);
    assert_int_equal(n_ids, 2 + LEN / 16);
    free(text);
}

/* ---- decoding ---- */

static void pieces_are_text_bytes_or_nothing(void **state)
{
    static const char *const words[] = { (SP "to" SP), "abc" };
    static const float scores[] = { 0, 0 };
    char out[8] = "#######";
    (void)state;
    begin(2, words, scores);
    created();
    assert_int_equal(tokenizer_piece(tok, A, out, sizeof out), 4);
    assert_memory_equal(out, " to ####", 4);
    assert_int_equal(out[4], '#');
    assert_int_equal(tokenizer_piece(tok, B, out, 2), 3); /* the length, though it did not fit */
    assert_memory_equal(out, "abo #", 5);
    assert_int_equal(tokenizer_piece(tok, B, NULL, 0), 3);
    assert_int_equal(tokenizer_piece(tok, FIRST_BYTE + 0x80, out, 1), 1);
    assert_int_equal((unsigned char)out[0], 0x80);
    assert_int_equal(tokenizer_piece(tok, FIRST_BYTE, NULL, 0), 1);
    for (uint32_t id = 0; id < 3; id++)
        assert_int_equal(tokenizer_piece(tok, id, out, sizeof out), 0);
    assert_int_equal(tokenizer_piece(tok, FIRST_WORD + 2, out, sizeof out), 0);
    assert_int_equal(tokenizer_piece(tok, UINT32_MAX, out, sizeof out), 0);
}

/* ---- vocabularies that are refused ---- */

static void other_kinds_of_tokenizer_are_refused_by_name(void **state)
{
    (void)state;
    gw_begin(&writer);
    refused(ACCEL_E_CORRUPT, "has no tokenizer (metadata key 'tokenizer.ggml.model' is missing)");
    gw_begin(&writer);
    gw_kv_int(&writer, "tokenizer.ggml.model", GW_U32, 1);
    refused(ACCEL_E_CORRUPT, "'tokenizer.ggml.model' is not a string");
    gw_begin(&writer);
    gw_kv_str(&writer, "tokenizer.ggml.model", "gpt2");
    refused(ACCEL_E_UNSUPPORTED, "'gpt2' (byte-level BPE with merges)");
    gw_begin(&writer);
    gw_kv_str(&writer, "tokenizer.ggml.model", "bert\n");
    refused(ACCEL_E_UNSUPPORTED, "its tokenizer is 'bert\\x0a'");
}

static void missing_arrays_are_named(void **state)
{
    (void)state;
    gw_begin(&writer);
    gw_kv_str(&writer, "tokenizer.ggml.model", "llama");
    refused(ACCEL_E_CORRUPT, "'tokenizer.ggml.tokens' is missing");
    gw_begin(&writer);
    gw_kv_str(&writer, "tokenizer.ggml.model", "llama");
    gw_kv_str(&writer, "tokenizer.ggml.tokens", "a b c");
    refused(ACCEL_E_CORRUPT, "'tokenizer.ggml.tokens' is not an array");
    gw_begin(&writer);
    gw_kv_str(&writer, "tokenizer.ggml.model", "llama");
    gw_kv_array(&writer, "tokenizer.ggml.tokens", GW_STR, 0);
    refused(ACCEL_E_CORRUPT, "'tokenizer.ggml.tokens' lists 0 tokens");
    gw_begin(&writer);
    gw_kv_str(&writer, "tokenizer.ggml.model", "llama");
    gw_kv_array(&writer, "tokenizer.ggml.tokens", GW_STR, 1);
    gw_str(&writer, "a");
    refused(ACCEL_E_CORRUPT, "'tokenizer.ggml.scores' is missing");
    gw_begin(&writer);
    gw_kv_str(&writer, "tokenizer.ggml.model", "llama");
    gw_kv_array(&writer, "tokenizer.ggml.tokens", GW_STR, 1);
    gw_str(&writer, "a");
    gw_kv_array(&writer, "tokenizer.ggml.scores", GW_F32, 1);
    gw_f32(&writer, 0);
    refused(ACCEL_E_CORRUPT, "'tokenizer.ggml.token_type' is missing");
}

/* Three tokens, but arrays of these lengths and element types. */
static void begin_arrays(uint32_t token_kind, uint64_t scores, uint32_t score_kind, uint64_t types,
                         uint32_t type_kind)
{
    gw_begin(&writer);
    gw_kv_str(&writer, "tokenizer.ggml.model", "llama");
    gw_kv_array(&writer, "tokenizer.ggml.tokens", token_kind, 3);
    gw_zeros(&writer, 3 * 8);
    gw_kv_array(&writer, "tokenizer.ggml.scores", score_kind, scores);
    gw_zeros(&writer, (size_t)scores * (score_kind == GW_STR ? 8 : 4));
    gw_kv_array(&writer, "tokenizer.ggml.token_type", type_kind, types);
    gw_zeros(&writer, (size_t)types * 4);
}

static void arrays_that_do_not_match_are_named_with_their_lengths(void **state)
{
    (void)state;
    begin_arrays(GW_STR, 2, GW_F32, 3, GW_I32);
    refused(ACCEL_E_CORRUPT, "'tokenizer.ggml.scores' has 2 elements for 3 tokens");
    begin_arrays(GW_STR, 3, GW_F32, 4, GW_I32);
    refused(ACCEL_E_CORRUPT, "'tokenizer.ggml.token_type' has 4 elements for 3 tokens");
    begin_arrays(GW_U64, 3, GW_F32, 3, GW_I32);
    refused(ACCEL_E_CORRUPT, "element 0 of metadata key 'tokenizer.ggml.tokens' is not a string");
    begin_arrays(GW_STR, 3, GW_STR, 3, GW_I32);
    refused(ACCEL_E_CORRUPT, "element 0 of metadata key 'tokenizer.ggml.scores' is not a number");
    begin_arrays(GW_STR, 3, GW_F32, 3, GW_F32);
    refused(ACCEL_E_CORRUPT,
            "element 0 of metadata key 'tokenizer.ggml.token_type' is not a token");
    begin_arrays(GW_STR, 3, GW_F32, 3, GW_I32);
    created();
}

static void values_that_make_no_sense_are_named_with_their_element(void **state)
{
    static const char *const good[] = { "<s>", "</s>", "a" };
    static const char *const bad_byte[] = { "<s>", "</s>", "<0x6G>" };
    static const float scores[] = { 0, 0, 0 };
    static const float nan_score[] = { 0, __builtin_nanf(""), 0 };
    static const int32_t types_7[] = { 1, 1, 7 }, types_negative[] = { 1, -1, 1 };
    static const int32_t types_byte[] = { 1, 1, 6 }, types_user[] = { 1, 1, 4 };
    char longest[300];
    const char *wide[] = { "<s>", "</s>", longest };
    (void)state;
    gw_begin(&writer);
    gw_vocabulary(&writer, 3, good, nan_score, NULL);
    refused(ACCEL_E_CORRUPT, "element 1 of metadata key 'tokenizer.ggml.scores' is not a number");
    gw_begin(&writer);
    gw_vocabulary(&writer, 3, good, scores, types_7);
    refused(ACCEL_E_CORRUPT, "element 2 of metadata key 'tokenizer.ggml.token_type'");
    gw_begin(&writer);
    gw_vocabulary(&writer, 3, good, scores, types_negative);
    refused(ACCEL_E_CORRUPT, "element 1 of metadata key 'tokenizer.ggml.token_type'");
    gw_begin(&writer);
    gw_vocabulary(&writer, 3, bad_byte, scores, types_byte);
    refused(ACCEL_E_CORRUPT, "element 2 of metadata key 'tokenizer.ggml.tokens' is a byte token");
    memset(longest, 'x', sizeof longest);
    longest[257] = '\0';
    gw_begin(&writer);
    gw_vocabulary(&writer, 3, wide, scores, types_user);
    refused(ACCEL_E_CORRUPT, "is a user-defined token beyond 256 bytes");
    longest[256] = '\0';
    gw_begin(&writer);
    gw_vocabulary(&writer, 3, wide, scores, types_user);
    created();
}

static void special_ids_must_be_tokens_and_flags_must_be_flags(void **state)
{
    static const char *const ids_keys[] = { "tokenizer.ggml.bos_token_id",
                                            "tokenizer.ggml.eos_token_id",
                                            "tokenizer.ggml.unknown_token_id" };
    static const char *const flags[] = { "tokenizer.ggml.add_bos_token",
                                         "tokenizer.ggml.add_eos_token",
                                         "tokenizer.ggml.add_space_prefix" };
    static const char *const words[] = { "<s>", "</s>", "a" };
    static const float scores[] = { 0, 0, 0 };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char words_wanted[100];
        gw_begin(&writer);
        gw_vocabulary(&writer, 3, words, scores, NULL);
        gw_kv_int(&writer, ids_keys[i], GW_U32, 3);
        snprintf(words_wanted, sizeof words_wanted, "'%s' is 3, but there are only 3", ids_keys[i]);
        refused(ACCEL_E_CORRUPT, words_wanted);
        gw_begin(&writer);
        gw_vocabulary(&writer, 3, words, scores, NULL);
        gw_kv_int(&writer, ids_keys[i], GW_I32, 0xffffffffu);
        snprintf(words_wanted, sizeof words_wanted, "'%s' is not a token id", ids_keys[i]);
        refused(ACCEL_E_CORRUPT, words_wanted);
        gw_begin(&writer);
        gw_vocabulary(&writer, 3, words, scores, NULL);
        gw_kv_int(&writer, flags[i], GW_U32, 1);
        snprintf(words_wanted, sizeof words_wanted, "'%s' is neither true nor false", flags[i]);
        refused(ACCEL_E_CORRUPT, words_wanted);
    }
    gw_begin(&writer);
    gw_vocabulary(&writer, 1, words, scores, NULL); /* the default ids 1 and 2 do not exist */
    refused(ACCEL_E_CORRUPT, "bos_token_id' is 1, but there are only 1 tokens");
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    static const char *const words[] = { SP };
    static const float scores[] = { 0 };
    (void)state;
    begin(1, words, scores);
    created();
    assert_int_equal(tokenizer_create(NULL, &tok, &err), ACCEL_E_ARG);
    assert_int_equal(tokenizer_create(file, NULL, &err), ACCEL_E_ARG);
    assert_int_equal(tokenizer_encode(NULL, "a", 1, &ids, &n_ids, &err), ACCEL_E_ARG);
    assert_int_equal(tokenizer_encode(tok, NULL, 1, &ids, &n_ids, &err), ACCEL_E_ARG);
    assert_int_equal(tokenizer_encode(tok, "a", 1, NULL, &n_ids, &err), ACCEL_E_ARG);
    assert_int_equal(tokenizer_encode(tok, "a", 1, &ids, NULL, &err), ACCEL_E_ARG);
    assert_int_equal(tokenizer_encode(tok, "a", TOKENIZER_MAX_TEXT + 1, &ids, &n_ids, &err),
                     ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "encode it in parts"));
    tokenizer_free(NULL);
}

static void running_out_of_memory_anywhere_is_reported_and_leaks_nothing(void **state)
{
    static const char *const words[] = { SP, "a", "aa", "aaaa" };
    static const float scores[] = { 0, 0, 1, 2 };
    char text[200];
    long n = 0;
    int rc = ACCEL_E_NOMEM;
    (void)state;
    memset(text, 'a', sizeof text);
    begin(4, words, scores);
    created();
    tokenizer_free(tok);
    tok = NULL;
    for (; rc; n++) {
        allocations_left = n;
        rc = tokenizer_create(file, &tok, &err);
        allocations_left = -1;
        if (rc) {
            assert_int_equal(rc, ACCEL_E_NOMEM);
            assert_non_null(strstr(err.text, "dir/voc.gguf: out of memory"));
            assert_null(tok);
        }
    }
    assert_true(n > 5);
    for (n = 0, rc = ACCEL_E_NOMEM; rc; n++) {
        allocations_left = n;
        rc = tokenizer_encode(tok, text, sizeof text, &ids, &n_ids, &err);
        allocations_left = -1;
        if (rc) {
            assert_int_equal(rc, ACCEL_E_NOMEM);
            assert_non_null(strstr(err.text, "out of memory while encoding 200 bytes"));
            assert_null(ids);
        }
    }
    assert_true(n > 5); /* text, symbols, heap (more than once), ids */
    assert_int_equal(n_ids, 2 + 50);
}

/* ---- known answers ---- */

static void open_model(const char *path)
{
    err = (struct accel_error){ 0 };
    int rc = gguf_open(path, &file, &err);
    if (!rc)
        rc = tokenizer_create(file, &tok, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, ACCEL_OK);
}

static char *read_file(const char *path, size_t *len)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        return NULL;
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    long size = ftell(in);
    assert_true(size >= 0);
    rewind(in);
    char *text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, in), size);
    fclose(in);
    text[size] = '\0';
    *len = (size_t)size;
    return text;
}

/* The ids are those of models/reference.json. */
static void the_demo_models_encode_their_reference_prompts(void **state)
{
    static const char *const paths[] = { "models/stories-f16.gguf",
                                         "models/stories-ternary-tq2_0.gguf" };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        open_model(paths[i]);
        assert_int_equal(tokenizer_vocab_size(tok), 1024);
        assert_int_equal(tokenizer_bos(tok), 1);
        assert_int_equal(tokenizer_eos(tok), 2);
        encodes_to("Once upon a time", 1, 940, 431, 338, 261, 501, -1);
        encodes_to("One sunny morning, a little fox named Milo", 1, 534, 724, 632, 546, 986, 261,
                   411, 272, 968, 1002, 419, 344, 377, 968, -1);
        encodes_to("It was a rainy day. A shy girl called Nora", 1, 394, 295, 261, 915, 979, 349,
                   976, 323, 387, 979, 653, 479, 437, 812, -1);
        release(NULL);
    }
}

static void the_held_out_text_has_69194_tokens_and_round_trips(void **state)
{
    (void)state;
    size_t len = 0;
    char *text = read_file("models/heldout.txt", &len);
    assert_non_null(text);
    open_model("models/stories-ternary-tq2_0.gguf");
    round_trips(text, len);
    assert_int_equal(n_ids, 69194);
    free(text);
}

static const char *shared(char *path, size_t cap, const char *name)
{
    const char *root = getenv("ACCEL_SHARED");
    snprintf(path, cap, "%s/data/stories260K/%s", root ? root : "../shared", name);
    return path;
}

static void stories260k_round_trips_its_samples(void **state)
{
    (void)state;
    char path[400];
    size_t len = 0;
    char *text = read_file(shared(path, sizeof path, "stories260K-samples-dev.txt"), &len);
    if (!text)
        skip();
    open_model(shared(path, sizeof path, "stories260K-F16.gguf"));
    assert_int_equal(tokenizer_vocab_size(tok), 512);
    round_trips(text, len);
    free(text);
    encodes_to("Once upon a time", 1, 403, 407, 261, 378, -1);
}

/* The vocabulary of Llama 2, as llama2.c stores it: a space is a space there. */
static void begin_llama2(const uint8_t *bin, size_t size)
{
    enum { N = 32000 };
    size_t at = 4, at_scores;
    gw_begin(&writer);
    gw_kv_str(&writer, "tokenizer.ggml.model", "llama");
    gw_kv_array(&writer, "tokenizer.ggml.tokens", GW_STR, N);
    for (int i = 0; i < N; i++) {
        char token[512];
        uint32_t len;
        size_t out = 0;
        assert_true(at + 8 <= size);
        memcpy(&len, bin + at + 4, 4);
        assert_true(at + 8 + len <= size && 3 * len < sizeof token);
        for (uint32_t k = 0; k < len; k++) {
            char c = (char)bin[at + 8 + k];
            memcpy(token + out, c == ' ' ? SP : &c, c == ' ' ? 3 : 1);
            out += c == ' ' ? 3 : 1;
        }
        token[out] = '\0';
        gw_str(&writer, token);
        at += 8 + len;
    }
    gw_kv_array(&writer, "tokenizer.ggml.scores", GW_F32, N);
    at_scores = writer.size;
    gw_zeros(&writer, (size_t)N * 4);
    at = 4;
    for (size_t i = 0; i < N; i++) {
        uint32_t len;
        memcpy(writer.data + at_scores + 4 * i, bin + at, 4);
        memcpy(&len, bin + at + 4, 4);
        at += 8 + len;
    }
    gw_kv_array(&writer, "tokenizer.ggml.token_type", GW_I32, N);
    for (int i = 0; i < N; i++)
        gw_int(&writer, i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1, 4);
}

static void the_llama2_vocabulary_gives_the_known_ids(void **state)
{
    (void)state;
    char path[400];
    size_t size = 0;
    char *bin = read_file(shared(path, sizeof path, "llama2-tokenizer.bin"), &size);
    if (!bin)
        skip();
    begin_llama2((const uint8_t *)bin, size);
    free(bin);
    created();
    encodes_to("", 1, -1);
    encodes_to("I believe the meaning of life is", 1, 306, 4658, 278, 6593, 310, 2834, 338, -1);
    encodes_to("Simply put, the theory of relativity states that ", 1, 3439, 17632, 1925, 29892,
               278, 6368, 310, 14215, 537, 5922, 393, 29871, -1);
    encodes_to("A brief message congratulating the team on the launch:\n\n"
               "        Hi everyone,\n\n        I just ",
               1, 319, 11473, 2643, 378, 629, 271, 18099, 278, 3815, 373, 278, 6826, 29901, 13, 13,
               4706, 6324, 14332, 29892, 13, 13, 4706, 306, 925, 29871, -1);
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, release)
    const struct CMUnitTest tests[] = {
        T(the_pair_with_the_best_score_merges_first),
        T(of_equal_scores_the_leftmost_pair_merges_first),
        T(merges_build_on_merges_only_if_each_step_is_a_token),
        T(what_is_no_token_becomes_its_bytes),
        T(a_code_point_is_one_symbol_and_broken_ones_are_bytes),
        T(every_string_of_bytes_round_trips),
        T(text_of_no_bytes_is_only_bos_and_eos),
        T(bos_eos_and_the_leading_space_follow_the_file),
        T(control_tokens_are_not_found_in_text),
        T(user_defined_tokens_are_cut_out_whole_and_the_longest_wins),
        T(of_two_tokens_with_one_text_the_later_is_used),
        T(byte_tokens_are_known_by_text_even_if_marked_normal),
        T(control_tokens_never_stand_for_a_byte),
        T(the_text_of_a_byte_token_is_not_that_byte),
        T(a_byte_without_a_token_is_an_error_that_names_it),
        T(random_vocabularies_encode_as_the_naive_definition_does),
        T(a_text_of_two_megabytes_encodes_in_reasonable_time),
        T(pieces_are_text_bytes_or_nothing),
        T(other_kinds_of_tokenizer_are_refused_by_name),
        T(missing_arrays_are_named),
        T(arrays_that_do_not_match_are_named_with_their_lengths),
        T(values_that_make_no_sense_are_named_with_their_element),
        T(special_ids_must_be_tokens_and_flags_must_be_flags),
        T(arguments_that_make_no_sense_are_refused),
        T(running_out_of_memory_anywhere_is_reported_and_leaks_nothing),
        T(the_demo_models_encode_their_reference_prompts),
        T(the_held_out_text_has_69194_tokens_and_round_trips),
        T(stories260k_round_trips_its_samples),
        T(the_llama2_vocabulary_gives_the_known_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
