/* test_gguf.c - the GGUF reader: what it reads, and that nothing hostile gets past it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The reader is compiled into this file so that its allocations can be made to fail. */
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
#include "gguf.c" // NOLINT(bugprone-suspicious-include)
#undef malloc
#undef calloc
#undef realloc

#include "ggml_types.h"
#include "gguf_writer.h"

#include <cmocka.h>
#include <time.h>

/* ---- helpers ---- */

static struct accel_error err;
static uint8_t *exact; /* the file in a block of its exact size: ASan sees any read beyond it */

static int open_bytes(const uint8_t *data, size_t size, struct gguf_file **f)
{
    free(exact);
    exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, data, size);
    err = (struct accel_error){ 0 };
    return gguf_open_memory(exact, size, "dir/test.gguf", f, &err);
}

static int open_writer(const struct gguf_writer *w, struct gguf_file **f)
{
    return open_bytes(w->data, w->size, f);
}

static int release(void **state)
{
    (void)state;
    free(exact);
    exact = NULL;
    allocations_left = -1;
    return 0;
}

/* The file is refused with this status, its name, and this in the message. Frees the writer. */
static void refused(struct gguf_writer *w, int status, const char *words)
{
    struct gguf_file *f = NULL;
    int rc = open_writer(w, &f);
    gw_free(w);
    if (rc != status || !strstr(err.text, words) || err.status != status)
        print_error("got %d '%s', want %d '%s'\n", rc, err.text, status, words);
    assert_int_equal(rc, status);
    assert_int_equal(err.status, status);
    assert_non_null(strstr(err.text, words));
    assert_ptr_equal(strstr(err.text, "dir/test.gguf: "), err.text);
    assert_null(f);
}

static struct gguf_file *accepted(struct gguf_writer *w)
{
    struct gguf_file *f = NULL;
    int rc = open_writer(w, &f);
    if (rc)
        print_error("refused: %s\n", err.text);
    gw_free(w);
    assert_int_equal(rc, ACCEL_OK);
    if (!f)
        abort(); /* unlike assert_non_null, known to linters not to return */
    return f;
}

static struct gguf_file *opened(const char *path)
{
    struct gguf_file *f = NULL;
    err = (struct accel_error){ 0 };
    int rc = gguf_open(path, &f, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, ACCEL_OK);
    if (!f)
        abort();
    return f;
}

static bool same(struct gguf_str s, const char *text)
{
    return s.len == strlen(text) && !memcmp(s.data, text, s.len);
}

static const uint64_t ne_8x3[] = { 8, 3 };
static const uint64_t ne_64x5[] = { 64, 5 };

/* A small file with a bit of everything. */
static void begin_rich(struct gguf_writer *w)
{
    static const char *const tokens[] = { "<s>", "", "b\xc3\xa9" };
    gw_begin(w);
    gw_kv_str(w, "general.architecture", "llama");
    gw_kv_int(w, "n.u8", GW_U8, 200);
    gw_kv_int(w, "n.i8", GW_I8, 0xfe);
    gw_kv_int(w, "n.u16", GW_U16, 60000);
    gw_kv_int(w, "n.i16", GW_I16, 0xfffd);
    gw_kv_int(w, "n.u32", GW_U32, 4000000000u);
    gw_kv_int(w, "n.i32", GW_I32, 0xfffffffcu);
    gw_kv_int(w, "n.i32pos", GW_I32, 77);
    gw_kv_int(w, "n.u64", GW_U64, UINT64_MAX);
    gw_kv_int(w, "n.i64", GW_I64, UINT64_MAX - 4);
    gw_kv_f32(w, "n.f32", 1.5f);
    gw_kv_int(w, "n.f64", GW_F64, 0xc002000000000000u);
    gw_kv_int(w, "n.true", GW_BOOL, 1);
    gw_kv_int(w, "n.false", GW_BOOL, 0);
    gw_kv_array(w, "a.str", GW_STR, 3);
    for (size_t i = 0; i < 3; i++)
        gw_str(w, tokens[i]);
    gw_kv_array(w, "a.i16", GW_I16, 2);
    gw_int(w, 5, 2);
    gw_int(w, 0xffff, 2);
    gw_kv_array(w, "a.empty", GW_STR, 0);
    gw_tensor(w, "first", GGML_F32, 2, ne_8x3, 96);
    gw_tensor(w, "second", GGML_Q4_0, 2, ne_64x5, 180);
    gw_tensor(w, "third", GGML_F16, 1, ne_8x3, 16);
}

/* ---- what is read ---- */

static void a_file_without_keys_and_tensors_opens(void **state)
{
    (void)state;
    struct gguf_writer w;
    gw_begin(&w);
    gw_finish(&w);
    struct gguf_file *f = accepted(&w);
    assert_int_equal(gguf_tensor_count(f), 0);
    assert_null(gguf_tensor_at(f, 0));
    assert_null(gguf_find_tensor(f, "x"));
    assert_false(gguf_has(f, "x"));
    assert_string_equal(gguf_path(f), "dir/test.gguf");
    assert_string_equal(gguf_label(f), "dir/test.gguf");
    gguf_close(f);
}

static void integers_of_every_width_read_as_u64_unless_negative(void **state)
{
    static const struct {
        const char *key;
        uint64_t v;
    } positive[] = { { "n.u8", 200 },
                     { "n.u16", 60000 },
                     { "n.u32", 4000000000u },
                     { "n.i32pos", 77 },
                     { "n.u64", UINT64_MAX } };
    static const char *const other[] = { "n.i8",
                                         "n.i16",
                                         "n.i32",
                                         "n.i64",
                                         "n.f32",
                                         "n.f64",
                                         "n.true",
                                         "a.i16",
                                         "a.str",
                                         "n.none",
                                         "general.architecture" };
    (void)state;
    struct gguf_writer w;
    begin_rich(&w);
    gw_finish(&w);
    struct gguf_file *f = accepted(&w);
    uint64_t v = 0;
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++) {
        assert_true(gguf_get_u64(f, positive[i].key, &v));
        assert_true(v == positive[i].v);
    }
    v = 42;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_false(gguf_get_u64(f, other[i], &v));
    assert_int_equal(v, 42);
    gguf_close(f);
}

static void every_number_reads_as_f64(void **state)
{
    static const struct {
        const char *key;
        double v;
    } numbers[] = { { "n.u8", 200 },
                    { "n.i8", -2 },
                    { "n.u16", 60000 },
                    { "n.i16", -3 },
                    { "n.u32", 4e9 },
                    { "n.i32", -4 },
                    { "n.u64", 18446744073709551615.0 },
                    { "n.i64", -5 },
                    { "n.f32", 1.5 },
                    { "n.f64", -2.25 } };
    static const char *const other[] = { "n.true", "a.i16", "a.str", "n.none",
                                         "general.architecture" };
    (void)state;
    struct gguf_writer w;
    begin_rich(&w);
    gw_finish(&w);
    struct gguf_file *f = accepted(&w);
    double v = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_true(gguf_get_f64(f, numbers[i].key, &v));
        assert_true(v == numbers[i].v);
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_false(gguf_get_f64(f, other[i], &v));
    gguf_close(f);
}

static void strings_flags_and_arrays_read_back(void **state)
{
    (void)state;
    struct gguf_writer w;
    begin_rich(&w);
    gw_finish(&w);
    struct gguf_file *f = accepted(&w);
    struct gguf_str s;
    bool flag = false;
    uint64_t n = 0;
    double d = 0;
    assert_true(gguf_has(f, "general.architecture"));
    assert_true(gguf_get_str(f, "general.architecture", &s) && same(s, "llama"));
    assert_false(gguf_get_str(f, "n.u8", &s));
    assert_true(gguf_get_bool(f, "n.true", &flag) && flag);
    assert_true(gguf_get_bool(f, "n.false", &flag) && !flag);
    assert_false(gguf_get_bool(f, "n.u8", &flag));
    assert_true(gguf_get_array(f, "a.str", &n) && n == 3);
    assert_true(gguf_array_str(f, "a.str", 0, &s) && same(s, "<s>"));
    assert_true(gguf_array_str(f, "a.str", 1, &s) && same(s, ""));
    assert_true(gguf_array_str(f, "a.str", 2, &s) && same(s, "b\xc3\xa9"));
    assert_false(gguf_array_str(f, "a.str", 3, &s));
    assert_false(gguf_array_str(f, "a.i16", 0, &s));
    assert_false(gguf_array_u64(f, "a.str", 0, &n));
    assert_false(gguf_array_f64(f, "a.str", 0, &d));
    assert_true(gguf_array_u64(f, "a.i16", 0, &n) && n == 5);
    assert_false(gguf_array_u64(f, "a.i16", 1, &n));
    assert_true(gguf_array_f64(f, "a.i16", 1, &d) && d == -1);
    assert_false(gguf_array_f64(f, "a.i16", 2, &d));
    assert_false(gguf_array_f64(f, "n.u8", 0, &d));
    assert_true(gguf_get_array(f, "a.empty", &n) && n == 0);
    assert_false(gguf_array_str(f, "a.empty", 0, &s));
    assert_false(gguf_get_array(f, "n.u8", &n));
    gguf_close(f);
}

static void tensors_are_found_where_the_file_keeps_them(void **state)
{
    (void)state;
    struct gguf_writer w;
    begin_rich(&w);
    size_t start = gw_finish(&w);
    struct gguf_file *f = accepted(&w);
    const struct gguf_tensor *t = gguf_find_tensor(f, "second");
    assert_int_equal(gguf_tensor_count(f), 3);
    assert_non_null(t);
    assert_ptr_equal(t, gguf_tensor_at(f, 1));
    assert_true(same(t->name, "second"));
    assert_int_equal(t->type, GGML_Q4_0);
    assert_int_equal(t->n_dims, 2);
    assert_true(t->ne[0] == 64 && t->ne[1] == 5 && t->ne[2] == 1 && t->ne[3] == 1);
    assert_int_equal(t->size, 5 * 2 * 18);
    assert_ptr_equal(t->data, exact + start + 96);
    t = gguf_find_tensor(f, "third");
    assert_non_null(t);
    assert_ptr_equal(t->data, exact + start + 96 + 192);
    assert_null(gguf_find_tensor(f, "secon"));
    assert_null(gguf_find_tensor(f, "second "));
    gguf_close(f);
}

static void general_alignment_moves_the_data(void **state)
{
    (void)state;
    for (uint32_t a = 8; a <= 4096; a *= 2) {
        struct gguf_writer w;
        gw_begin(&w);
        gw_kv_alignment(&w, a);
        gw_tensor(&w, "a", GGML_F16, 1, ne_8x3, 16);
        gw_tensor(&w, "b", GGML_F16, 1, ne_8x3, 16);
        size_t start = gw_finish(&w);
        struct gguf_file *f = accepted(&w);
        assert_int_equal(start % a, 0);
        assert_ptr_equal(gguf_find_tensor(f, "b")->data, exact + start + (a > 16 ? a : 16));
        gguf_close(f);
    }
}

static void version_2_reads_like_version_3(void **state)
{
    (void)state;
    struct gguf_writer w;
    begin_rich(&w);
    gw_finish(&w);
    gw_patch(&w, 4, 2, 4);
    struct gguf_file *f = accepted(&w);
    assert_int_equal(gguf_tensor_count(f), 3);
    gguf_close(f);
}

static void the_last_tensor_needs_no_padding_after_it(void **state)
{
    (void)state;
    struct gguf_writer w;
    begin_rich(&w);
    gw_finish(&w);
    w.size -= 16; /* the padding of the last tensor, 16 bytes of 32 */
    struct gguf_file *f = accepted(&w);
    gguf_close(f);
}

/* ---- what is refused ---- */

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct gguf_writer w;
    begin_rich(&w);
    gw_finish(&w);
    for (size_t n = 0; n < w.size - 16; n++) {
        struct gguf_file *f = NULL;
        int rc = open_bytes(w.data, n, &f);
        if (rc != ACCEL_E_CORRUPT)
            print_error("first %zu of %zu bytes: %d %s\n", n, w.size, rc, err.text);
        assert_int_equal(rc, ACCEL_E_CORRUPT);
        assert_non_null(strstr(err.text, "fetch it again"));
        assert_null(f);
    }
    gw_free(&w);
}

/* Whatever a broken file does, it opens or is refused in words; the sanitizers see the rest. */
static void no_broken_field_gets_past_the_checks(void **state)
{
    static const uint64_t values[] = { 0,
                                       1,
                                       2,
                                       0x7f,
                                       0xff,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       (uint64_t)1 << 32,
                                       INT64_MAX,
                                       (uint64_t)1 << 63,
                                       UINT64_MAX,
                                       UINT64_MAX - 31 };
    (void)state;
    struct gguf_writer w;
    begin_rich(&w);
    size_t header = gw_finish(&w);
    uint8_t saved[8];
    size_t refusals = 0;
    for (size_t pos = 0; pos < header; pos++) {
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            for (size_t bytes = 1; bytes <= 8; bytes *= 2) {
                struct gguf_file *f = NULL;
                memcpy(saved, w.data + pos, bytes);
                gw_patch(&w, pos, values[i], bytes);
                int rc = open_writer(&w, &f);
                memcpy(w.data + pos, saved, bytes);
                assert_true(rc == ACCEL_OK || rc == ACCEL_E_CORRUPT || rc == ACCEL_E_UNSUPPORTED);
                assert_int_equal(rc == ACCEL_OK, f != NULL);
                assert_int_equal(rc, err.status);
                assert_int_equal(rc == ACCEL_OK, !err.text[0]);
                refusals += rc != ACCEL_OK;
                gguf_close(f);
            }
        }
    }
    gw_free(&w);
    assert_true(refusals > 1000);
}

static void other_files_are_not_taken_for_gguf(void **state)
{
    (void)state;
    struct gguf_writer w = { .data = NULL };
    gw_bytes(&w,
             "\x7f"
             "ELF and so on",
             14);
    refused(&w, ACCEL_E_CORRUPT, "not a GGUF file (it begins with '\\x7fELF'");
}

static void an_empty_file_is_refused(void **state)
{
    (void)state;
    struct gguf_file *f = NULL;
    assert_int_equal(gguf_open_memory(NULL, 0, "empty", &f, &err), ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "empty: the file ends inside the file header"));
    assert_null(f);
}

static void refuse_version(uint64_t version, int status, const char *words)
{
    struct gguf_writer w;
    gw_begin(&w);
    gw_finish(&w);
    gw_patch(&w, 4, version, 4);
    refused(&w, status, words);
}

static void other_versions_and_byte_orders_are_refused_with_the_reason(void **state)
{
    (void)state;
    refuse_version(0, ACCEL_E_CORRUPT, "version 0 does not exist");
    refuse_version(1, ACCEL_E_UNSUPPORTED, "version 1 is too old");
    refuse_version(4, ACCEL_E_UNSUPPORTED, "version 4 is too new");
    refuse_version(0x03000000, ACCEL_E_UNSUPPORTED, "big-endian");
    refuse_version(0x02000000, ACCEL_E_UNSUPPORTED, "big-endian");
}

static void counts_beyond_the_file_are_refused_before_allocating(void **state)
{
    static const uint64_t counts[] = { 20, 1u << 31, (uint64_t)1 << 40, INT64_MAX, UINT64_MAX };
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (size_t pos = 8; pos <= 16; pos += 8) {
            struct gguf_writer w;
            gw_begin(&w);
            gw_kv_int(&w, "k", GW_U8, 0);
            gw_finish(&w);
            gw_patch(&w, 16, 0, 8);
            gw_patch(&w, pos, counts[i], 8);
            allocations_left = 2; /* the view and its path: the lists are never allocated */
            if (pos == 8)
                allocations_left += 2; /* the (empty) index of keys is sorted before */
            refused(&w, ACCEL_E_CORRUPT, pos == 8 ? "tensors, more than" : "keys, more than");
            allocations_left = -1;
        }
    }
}

static void array_counts_beyond_the_file_are_refused_before_allocating(void **state)
{
    static const uint64_t counts[] = { 6, 1u << 31, (uint64_t)1 << 61, UINT64_MAX };
    static const uint32_t types[] = { GW_U32, GW_STR, GW_F64 };
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
            struct gguf_writer w;
            gw_begin(&w);
            gw_kv_array(&w, "list", types[k], counts[i]);
            gw_zeros(&w, 20);
            gw_finish(&w);
            allocations_left = 3;
            refused(&w, ACCEL_E_CORRUPT, "metadata key 'list' claims");
            allocations_left = -1;
        }
    }
}

static void a_string_array_whose_strings_run_out_is_refused_before_its_index(void **state)
{
    (void)state;
    struct gguf_writer w;
    gw_begin(&w);
    gw_kv_array(&w, "list", GW_STR, 3);
    gw_str(&w, "a");
    gw_str(&w, "b");
    gw_int(&w, 9, 8);
    gw_zeros(&w, 8);
    gw_finish(&w);
    allocations_left = 3;
    refused(&w, ACCEL_E_CORRUPT, "a string of 9 bytes in metadata key 'list'");
}

static void value_and_element_types_must_be_known(void **state)
{
    (void)state;
    struct gguf_writer w;
    gw_begin(&w);
    gw_key(&w, "odd", 13);
    gw_zeros(&w, 8);
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "'odd' has the unknown value type 13");
    gw_begin(&w);
    gw_kv_array(&w, "odd", 99, 0);
    gw_zeros(&w, 8);
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "'odd' is an array of the unknown type 99");
    gw_begin(&w);
    gw_kv_array(&w, "odd", GW_ARRAY, 1);
    gw_zeros(&w, 12);
    gw_finish(&w);
    refused(&w, ACCEL_E_UNSUPPORTED, "'odd' is an array of arrays");
}

static void names_that_are_empty_or_too_long_or_hold_a_zero_are_refused(void **state)
{
    (void)state;
    char name[300];
    struct gguf_writer w;
    gw_begin(&w);
    gw_kv_int(&w, "", GW_U32, 1);
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "name of 0 bytes");
    gw_begin(&w);
    gw_kv_int(&w, "ab", GW_U32, 1);
    gw_finish(&w);
    gw_patch(&w, 24 + 8, 0, 1);
    refused(&w, ACCEL_E_CORRUPT, "holds a zero byte");
    memset(name, 'x', sizeof name);
    name[256] = '\0';
    gw_begin(&w);
    gw_tensor(&w, name, GGML_F32, 2, ne_8x3, 96);
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "name of 256 bytes");
    name[255] = '\0';
    gw_begin(&w);
    gw_tensor(&w, name, GGML_F32, 2, ne_8x3, 96);
    gw_finish(&w);
    struct gguf_file *f = accepted(&w);
    assert_non_null(gguf_find_tensor(f, name));
    gguf_close(f);
}

static void names_in_messages_are_escaped_and_cut(void **state)
{
    (void)state;
    char name[101];
    struct gguf_writer w;
    gw_begin(&w);
    gw_key(&w, "a\x1b[2J\xff\\", 13);
    gw_zeros(&w, 8);
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "metadata key 'a\\x1b[2J\\xff\\x5c' has");
    memset(name, 'n', 100);
    name[100] = '\0';
    gw_begin(&w);
    gw_key(&w, name, 13);
    gw_zeros(&w, 8);
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "nnnn...' has");
}

static void escaping_never_overruns_and_marks_every_cut(void **state)
{
    (void)state;
    const char *text = "ab\x01"
                       "cd\x02\x03"
                       "efghij\x04";
    for (size_t cap = 8; cap < 40; cap++) {
        for (size_t len = 0; len <= strlen(text); len++) {
            char *buf = malloc(cap); /* exact: ASan sees an overrun */
            assert_non_null(buf);
            assert_ptr_equal(gguf_escape((struct gguf_str){ text, len }, buf, cap), buf);
            size_t full = 0;
            for (size_t i = 0; i < len; i++)
                full += text[i] < 0x20 ? 4 : 1;
            assert_true(strlen(buf) < cap);
            if (strlen(buf) < full || strstr(buf, "...")) {
                assert_non_null(strstr(buf, "..."));
                assert_true(full + 3 > cap - 1);
            }
            free(buf);
        }
    }
}

static void long_paths_are_cut_from_the_left_in_messages(void **state)
{
    (void)state;
    char path[400];
    struct gguf_file *f = NULL;
    for (size_t i = 0; i < sizeof path; i++)
        path[i] = "\xc3\xa4"[i % 2];
    memcpy(path + sizeof path - 12, "/model.gguf", 12);
    assert_int_equal(gguf_open(path, &f, &err), ACCEL_E_IO);
    assert_ptr_equal(strstr(err.text, "...\xc3"), err.text); /* a whole character after the dots */
    assert_non_null(strstr(err.text, "/model.gguf: cannot open"));
    assert_non_null(strstr(err.text, "the path is too long"));
    assert_int_equal(gguf_open("no\nsuch\x7f", &f, &err), ACCEL_E_IO);
    assert_ptr_equal(strstr(err.text, "no?such?: cannot open the file: no such file"), err.text);
}

static void a_key_or_tensor_that_is_there_twice_is_refused(void **state)
{
    (void)state;
    struct gguf_writer w;
    gw_begin(&w);
    gw_kv_int(&w, "twice", GW_U32, 1);
    gw_kv_int(&w, "once", GW_U32, 1);
    gw_kv_int(&w, "twice", GW_U8, 1);
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "metadata key 'twice' is there twice");
    gw_begin(&w);
    gw_tensor(&w, "t", GGML_F32, 2, ne_8x3, 96);
    gw_tensor(&w, "u", GGML_F32, 2, ne_8x3, 96);
    gw_tensor(&w, "t", GGML_F32, 2, ne_8x3, 96);
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "tensor 't' is there twice");
}

static void refuse_alignment(uint32_t type, uint64_t v, const char *words)
{
    struct gguf_writer w;
    gw_begin(&w);
    gw_kv_int(&w, "general.alignment", type, v);
    gw_tensor(&w, "t", GGML_F32, 2, ne_8x3, 96);
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, words);
}

static void alignment_must_be_a_sane_power_of_two(void **state)
{
    (void)state;
    refuse_alignment(GW_U32, 0, "'general.alignment' is 0, not a power of two");
    refuse_alignment(GW_U32, 4, "'general.alignment' is 4, not a power of two from 8");
    refuse_alignment(GW_U32, 48, "'general.alignment' is 48");
    refuse_alignment(GW_U32, 0x80000000u, "'general.alignment' is 2147483648");
    refuse_alignment(GW_U64, (uint64_t)1 << 63, "'general.alignment' is 9223372036854775808");
    refuse_alignment(GW_I32, 0xffffffe0u, "'general.alignment' is not a whole number");
    refuse_alignment(GW_F32, 0x42000000u, "'general.alignment' is not a whole number");
}

static void parts_of_split_models_are_refused_with_the_reason(void **state)
{
    (void)state;
    struct gguf_writer w;
    gw_begin(&w);
    gw_kv_int(&w, "split.no", GW_U16, 1);
    gw_kv_int(&w, "split.count", GW_U16, 3);
    gw_finish(&w);
    refused(&w, ACCEL_E_UNSUPPORTED, "is part 2 of a model split into 3 files");
    gw_begin(&w);
    gw_kv_f32(&w, "split.count", 3);
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "'split.count' is not a whole number");
    gw_begin(&w);
    gw_kv_int(&w, "split.count", GW_U16, 1);
    gw_finish(&w);
    gguf_close(accepted(&w));
}

/* One tensor of that shape and type, then a patch of `bytes` bytes at n_dims + at. */
static void refuse_tensor(uint32_t type, size_t at, uint64_t v, size_t bytes, int status,
                          const char *words)
{
    struct gguf_writer w;
    gw_begin(&w);
    gw_tensor(&w, "before", GGML_F32, 2, ne_8x3, 96);
    size_t pos = gw_tensor(&w, "bad", type, 2, ne_64x5, 1280);
    gw_finish(&w);
    gw_patch(&w, pos + at, v, bytes);
    refused(&w, status, words);
}

static void shapes_and_types_of_tensors_are_checked(void **state)
{
    (void)state;
    enum { N_DIMS = 0, NE0 = 4, NE1 = 12, TYPE = 20 };
    refuse_tensor(GGML_F32, N_DIMS, 5, 4, ACCEL_E_CORRUPT, "tensor 'bad' claims 5 dimensions");
    refuse_tensor(GGML_F32, N_DIMS, UINT32_MAX, 4, ACCEL_E_CORRUPT, "claims 4294967295 dim");
    refuse_tensor(GGML_F32, NE0, 0, 8, ACCEL_E_CORRUPT, "'bad' has 0 as its dimension 0");
    refuse_tensor(GGML_F32, NE1, 0, 8, ACCEL_E_CORRUPT, "'bad' has 0 as its dimension 1");
    refuse_tensor(GGML_F32, NE1, UINT64_MAX, 8, ACCEL_E_CORRUPT, "'bad' has -1 as its dimension 1");
    refuse_tensor(GGML_F32, NE0, (uint64_t)1 << 62, 8, ACCEL_E_CORRUPT, "size overflows");
    refuse_tensor(GGML_F32, NE1, INT64_MAX, 8, ACCEL_E_CORRUPT, "size overflows");
    refuse_tensor(GGML_F32, NE1, INT64_MAX / 256, 8, ACCEL_E_CORRUPT, "the file ends");
    refuse_tensor(GGML_F32, NE1, (uint64_t)1 << 40, 8, ACCEL_E_CORRUPT, "the file ends");
    refuse_tensor(GGML_F32, TYPE, 43, 4, ACCEL_E_UNSUPPORTED, "'bad' has type id 43");
    refuse_tensor(GGML_F32, TYPE, 4, 4, ACCEL_E_UNSUPPORTED, "'bad' has type id 4");
    refuse_tensor(GGML_F32, TYPE, UINT32_MAX, 4, ACCEL_E_UNSUPPORTED, "type id 4294967295");
    refuse_tensor(GGML_F32, TYPE, GGML_Q4_K, 4, ACCEL_E_CORRUPT,
                  "'bad' has rows of 64 weights, no multiple of Q4_K's block of 256");
    refuse_tensor(GGML_Q4_0, NE0, 65, 8, ACCEL_E_CORRUPT, "rows of 65 weights");
}

static void tensors_that_overlap_or_leave_gaps_are_refused(void **state)
{
    (void)state;
    enum { OFFSET = 24 };
    refuse_tensor(GGML_F32, OFFSET, 0, 8, ACCEL_E_CORRUPT, "'bad' begins at offset 0");
    refuse_tensor(GGML_F32, OFFSET, 64, 8, ACCEL_E_CORRUPT, "tensors overlap");
    refuse_tensor(GGML_F32, OFFSET, 97, 8, ACCEL_E_CORRUPT, "tensors leave a gap");
    refuse_tensor(GGML_F32, OFFSET, 128, 8, ACCEL_E_CORRUPT, "not at 96");
    refuse_tensor(GGML_F32, OFFSET, UINT64_MAX - 31, 8, ACCEL_E_CORRUPT, "leave a gap");
}

static void tensors_whose_sizes_sum_past_64_bits_are_refused(void **state)
{
    (void)state;
    static const uint64_t ne[] = { (uint64_t)1 << 61, 1 };
    struct gguf_writer w;
    gw_begin(&w);
    for (int i = 0; i < 9; i++) {
        char name[] = { (char)('a' + i), '\0' };
        gw_tensor(&w, name, GGML_F32, 1, ne, (uint64_t)1 << 63);
    }
    w.next_offset = 0; /* no data */
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "tensor 'b' ends beyond what a file can hold");
    /* The sum fits, its padding does not. */
    static const uint64_t almost[] = { ((uint64_t)1 << 63) - 8 };
    gw_begin(&w);
    gw_tensor(&w, "a", GGML_F32, 1, ne, (uint64_t)1 << 63);
    gw_tensor(&w, "b", GGML_I8, 1, almost, 0);
    w.next_offset = 0;
    gw_finish(&w);
    refused(&w, ACCEL_E_CORRUPT, "tensor 'b' ends beyond what a file can hold");
}

/* ---- cost, memory, files ---- */

/* 100 000 keys and tensors with long common beginnings, in the worst orders. Comparing each with
 * each would take hours. */
static void many_similar_names_open_in_reasonable_time(void **state)
{
    (void)state;
    enum { N = 100000 };
    static const uint64_t one[] = { 1 };
    struct gguf_writer w;
    char name[240];
    memset(name, 'x', sizeof name);
    gw_begin(&w);
    for (int i = 0; i < N; i++) {
        snprintf(name + 200, 20, "%08d", N - i);
        gw_kv_int(&w, name, GW_U8, 1);
    }
    for (int i = 0; i < N; i++) {
        snprintf(name + 200, 20, "%08d", i % 2 ? i : N - i);
        gw_tensor(&w, name, GGML_I8, 1, one, 1);
    }
    gw_finish(&w);
    clock_t begin = clock();
    struct gguf_file *f = accepted(&w);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 20);
    snprintf(name + 200, 20, "%08d", 12345);
    assert_true(gguf_has(f, name));
    assert_ptr_equal(gguf_find_tensor(f, name), gguf_tensor_at(f, 12345));
    gguf_close(f);
}

static void running_out_of_memory_anywhere_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    struct gguf_writer w;
    begin_rich(&w);
    gw_finish(&w);
    long n = 0;
    int rc = ACCEL_E_NOMEM;
    for (; rc; n++) {
        struct gguf_file *f = NULL;
        free(exact);
        exact = malloc(w.size);
        assert_non_null(exact);
        memcpy(exact, w.data, w.size);
        err = (struct accel_error){ 0 };
        allocations_left = n;
        rc = gguf_open_memory(exact, w.size, "dir/test.gguf", &f, &err);
        allocations_left = -1;
        if (rc) {
            assert_int_equal(rc, ACCEL_E_NOMEM);
            assert_non_null(strstr(err.text, "out of memory"));
            assert_null(f);
        }
        gguf_close(f);
    }
    assert_true(n > 8); /* view, path, keys, index of a.str, two sorts of two blocks, tensors */
    gw_free(&w);
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct gguf_file *f = NULL;
    uint64_t block[4] = { 0 };
    assert_int_equal(gguf_open(NULL, &f, &err), ACCEL_E_ARG);
    assert_int_equal(gguf_open("x", NULL, &err), ACCEL_E_ARG);
    assert_int_equal(gguf_open_memory(NULL, 4, "x", &f, &err), ACCEL_E_ARG);
    assert_int_equal(gguf_open_memory(block, 8, NULL, &f, &err), ACCEL_E_ARG);
    assert_int_equal(gguf_open_memory(block, 8, "x", NULL, &err), ACCEL_E_ARG);
    assert_int_equal(gguf_open_memory((char *)block + 4, 8, "x", &f, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "aligned to 8"));
    assert_int_equal(gguf_open_memory(block, 8, "x", &f, NULL), ACCEL_E_CORRUPT);
    gguf_close(NULL);
}

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void files_on_disk_open_like_memory(void **state)
{
    (void)state;
    char path[] = "/tmp/accel_test_gguf_XXXXXX";
    struct gguf_file *f = NULL;
    struct gguf_writer w;
    begin_rich(&w);
    gw_finish(&w);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path, w.data, w.size);
    f = opened(path);
    assert_string_equal(gguf_path(f), path);
    const struct gguf_tensor *t = gguf_find_tensor(f, "third");
    assert_non_null(t);
    assert_memory_equal(t->data, w.data + w.size - 32, 16);
    gguf_close(f);
    f = NULL;
    write_file(path, w.data, w.size - 40);
    assert_int_equal(gguf_open(path, &f, &err), ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "before the 16 bytes of tensor 'third'"));
    write_file(path, w.data, 0);
    assert_int_equal(gguf_open(path, &f, &err), ACCEL_E_CORRUPT);
    assert_non_null(strstr(err.text, "the file is empty"));
    assert_null(f);
    unlink(path);
    gw_free(&w);
}

static void what_is_no_regular_file_is_refused_without_waiting(void **state)
{
    (void)state;
    char dir[] = "/tmp/accel_test_gguf_XXXXXX", fifo[64];
    struct gguf_file *f = NULL;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(gguf_open(dir, &f, &err), ACCEL_E_IO);
    assert_non_null(strstr(err.text, "is a directory"));
    snprintf(fifo, sizeof fifo, "%s/pipe", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(gguf_open(fifo, &f, &err), ACCEL_E_IO); /* would hang if it blocked */
    assert_non_null(strstr(err.text, "is a device or pipe"));
    unlink(fifo);
    assert_int_equal(gguf_open(fifo, &f, &err), ACCEL_E_IO);
    assert_non_null(strstr(err.text, "no such file: check the path"));
    rmdir(dir);
}

static void the_demo_models_open(void **state)
{
    (void)state;
    static const char *const paths[] = { "models/stories-f16.gguf",
                                         "models/stories-ternary-tq2_0.gguf" };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct gguf_file *f = opened(paths[i]);
        uint64_t n = 0;
        assert_int_equal(gguf_tensor_count(f), 56);
        assert_true(gguf_get_u64(f, "llama.block_count", &n) && n == 6);
        const struct gguf_tensor *t = gguf_find_tensor(f, "blk.5.ffn_down.weight");
        assert_non_null(t);
        assert_true(t->ne[0] == 768 && t->ne[1] == 256);
        assert_int_equal(t->type, i ? GGML_TQ2_0 : GGML_F16);
        assert_int_equal(t->size, i ? 256 * 3 * 66 : 256 * 768 * 2);
        gguf_close(f);
    }
}

/* ---- the table of types ---- */

static void the_type_table_agrees_with_the_bits_per_weight(void **state)
{
    static const struct {
        uint32_t id;
        const char *name;
        double bits;
    } known[] = { { 0, "F32", 32 },        { 1, "F16", 16 },        { 30, "BF16", 16 },
                  { 2, "Q4_0", 4.5 },      { 3, "Q4_1", 5.0 },      { 6, "Q5_0", 5.5 },
                  { 7, "Q5_1", 6.0 },      { 8, "Q8_0", 8.5 },      { 10, "Q2_K", 2.625 },
                  { 11, "Q3_K", 3.4375 },  { 12, "Q4_K", 4.5 },     { 13, "Q5_K", 5.5 },
                  { 14, "Q6_K", 6.5625 },  { 20, "IQ4_NL", 4.5 },   { 23, "IQ4_XS", 4.25 },
                  { 34, "TQ1_0", 1.6875 }, { 35, "TQ2_0", 2.0625 }, { 39, "MXFP4", 4.25 },
                  { 40, "NVFP4", 4.5 },    { 41, "Q1_0", 1.125 },   { 42, "Q2_0", 2.25 } };
    static const uint32_t retired[] = { 4, 5, 31, 32, 33, 36, 37, 38, 43, UINT32_MAX };
    (void)state;
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct ggml_type_info *t = ggml_type_find(known[i].id);
        assert_non_null(t);
        assert_int_equal(t->id, known[i].id);
        assert_string_equal(ggml_type_name(known[i].id), known[i].name);
        assert_true(8.0 * t->block_bytes / t->block_len == known[i].bits);
        assert_true(ggml_row_bytes(t->id, 512, &bytes));
        assert_true((double)bytes == 64 * known[i].bits);
    }
    for (size_t i = 0; i < sizeof retired / sizeof *retired; i++) {
        assert_null(ggml_type_find(retired[i]));
        assert_string_equal(ggml_type_name(retired[i]), "?");
        assert_false(ggml_row_bytes(retired[i], 256, &bytes));
    }
    assert_false(ggml_row_bytes(GGML_Q4_0, 33, &bytes));
    assert_false(ggml_row_bytes(GGML_F32, (uint64_t)1 << 62, &bytes));
}

static void every_type_id_is_found_by_bisection(void **state)
{
    (void)state;
    size_t found = 0;
    for (uint32_t id = 0; id < 64; id++) {
        const struct ggml_type_info *t = ggml_type_find(id);
        if (!t)
            continue;
        assert_int_equal(t->id, id);
        found++;
    }
    assert_int_equal(found, 35); /* 0..42 without the eight retired ids */
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, release)
    const struct CMUnitTest tests[] = {
        T(a_file_without_keys_and_tensors_opens),
        T(integers_of_every_width_read_as_u64_unless_negative),
        T(every_number_reads_as_f64),
        T(strings_flags_and_arrays_read_back),
        T(tensors_are_found_where_the_file_keeps_them),
        T(general_alignment_moves_the_data),
        T(version_2_reads_like_version_3),
        T(the_last_tensor_needs_no_padding_after_it),
        T(every_truncation_is_refused),
        T(no_broken_field_gets_past_the_checks),
        T(other_files_are_not_taken_for_gguf),
        T(an_empty_file_is_refused),
        T(other_versions_and_byte_orders_are_refused_with_the_reason),
        T(counts_beyond_the_file_are_refused_before_allocating),
        T(array_counts_beyond_the_file_are_refused_before_allocating),
        T(a_string_array_whose_strings_run_out_is_refused_before_its_index),
        T(value_and_element_types_must_be_known),
        T(names_that_are_empty_or_too_long_or_hold_a_zero_are_refused),
        T(names_in_messages_are_escaped_and_cut),
        T(escaping_never_overruns_and_marks_every_cut),
        T(long_paths_are_cut_from_the_left_in_messages),
        T(a_key_or_tensor_that_is_there_twice_is_refused),
        T(alignment_must_be_a_sane_power_of_two),
        T(parts_of_split_models_are_refused_with_the_reason),
        T(shapes_and_types_of_tensors_are_checked),
        T(tensors_that_overlap_or_leave_gaps_are_refused),
        T(tensors_whose_sizes_sum_past_64_bits_are_refused),
        T(many_similar_names_open_in_reasonable_time),
        T(running_out_of_memory_anywhere_is_reported_and_leaks_nothing),
        T(arguments_that_make_no_sense_are_refused),
        T(files_on_disk_open_like_memory),
        T(what_is_no_regular_file_is_refused_without_waiting),
        T(the_demo_models_open),
        T(the_type_table_agrees_with_the_bits_per_weight),
        T(every_type_id_is_found_by_bisection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
