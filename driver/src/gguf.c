/* gguf.c - GGUF v2/v3 reader: one pass over the header that trusts no length in it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* open, fstat, mmap beside -std=c11 */
#endif
#include "gguf.h"

#include "ggml_types.h"
#include "internal.h"
#include "quant/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_KEY = 65535,   /* the format's own limit */
    MAX_NAME = 255,    /* writers stay below 64 */
    MIN_ALIGNMENT = 8, /* less would misalign the widest element type */
    MAX_ALIGNMENT = 1 << 20,
    DEFAULT_ALIGNMENT = 32,
    KV_BYTES_MIN = 8 + 1 + 4 + 1,         /* length, key, type, value */
    TENSOR_BYTES_MIN = 8 + 1 + 4 + 4 + 8, /* length, name, n_dims, type, offset */
    LABEL_BYTES = 72,
    SHOWN_BYTES = 48 /* of a key or name in a message */
};

enum value_type {
    VALUE_U8,
    VALUE_I8,
    VALUE_U16,
    VALUE_I16,
    VALUE_U32,
    VALUE_I32,
    VALUE_F32,
    VALUE_BOOL,
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_U64,
    VALUE_I64,
    VALUE_F64,
    VALUE_TYPES
};

/* Bytes of a value; 0: has a length of its own. */
static const uint8_t value_bytes[VALUE_TYPES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

struct kv {
    struct gguf_str key; /* first: sorted by gguf_sort_names */
    uint32_t type;
    uint32_t elem;        /* of an array */
    uint64_t count;       /* of an array */
    const uint8_t *value; /* the scalar, the string's length, or the first element */
    size_t *strings;      /* of an array of strings: where each begins, from value */
    size_t begin, end;    /* the pair's bytes in the file, key and all */
};

struct gguf_file {
    char *path;
    char label[LABEL_BYTES];
    const uint8_t *base;
    size_t size;
    bool mapped;
    struct kv *kv;
    size_t n_kv, cap_kv;
    size_t *kv_order;
    struct gguf_tensor *tensor;
    size_t n_tensors, cap_tensors;
    size_t *tensor_order;
};

/* The header is read front to back; what names the place in messages. */
struct reader {
    struct gguf_file *f;
    struct accel_error *err;
    size_t pos;
    char what[SHOWN_BYTES + 32];
};

/* ---- names ---- */

static struct gguf_str str(const char *s)
{
    return (struct gguf_str){ s, strlen(s) };
}

const char *gguf_escape(struct gguf_str s, char *buf, size_t cap)
{
    static const char hex[] = "0123456789abcdef";
    size_t out = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        bool plain = c >= 0x20 && c < 0x7f && c != '\\';
        size_t need = plain ? 1 : 4;
        size_t left = cap - 1 - out;          /* room, the terminator kept apart */
        size_t after = i + 1 < s.len ? 3 : 0; /* for the dots, should the next not fit */
        if (left < need + after) {
            memcpy(buf + out, "...", 3);
            out += 3;
            break;
        }
        if (plain) {
            buf[out++] = (char)c;
        } else {
            memcpy(buf + out, "\\x", 2);
            buf[out + 2] = hex[c >> 4];
            buf[out + 3] = hex[c & 15];
            out += 4;
        }
    }
    buf[out] = '\0';
    return buf;
}

/* A path is the user's own: bytes above ASCII are kept, and the end tells more than the start. */
static void set_label(struct gguf_file *f, const char *path)
{
    size_t len = strlen(path), from = 0, out = 0;
    if (len > LABEL_BYTES - 1) {
        from = len - (LABEL_BYTES - 1 - 3);
        while (from < len && ((unsigned char)path[from] & 0xc0) == 0x80)
            from++; /* not the middle of a UTF-8 sequence */
        memcpy(f->label, "...", 3);
        out = 3;
    }
    for (; from < len; from++) {
        unsigned char c = (unsigned char)path[from];
        f->label[out++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    f->label[out] = '\0';
}

int gguf_str_compare(struct gguf_str a, struct gguf_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static struct gguf_str name_of(const void *records, size_t stride, size_t i)
{
    struct gguf_str s;
    memcpy(&s, (const char *)records + i * stride, sizeof s);
    return s;
}

int gguf_sort_names(const void *records, size_t stride, size_t n, size_t **order)
{
    size_t bytes;
    if (n == SIZE_MAX || !mul_size(n + 1, sizeof(size_t), &bytes))
        return ACCEL_E_NOMEM;
    size_t *from = malloc(bytes), *to = malloc(bytes);
    if (!from || !to) {
        free(from);
        free(to);
        return ACCEL_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++)
        from[i] = i;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            size_t mid = n - lo > width ? lo + width : n;
            size_t hi = n - lo > 2 * width ? lo + 2 * width : n;
            size_t a = lo, b = mid;
            for (size_t k = lo; k < hi; k++) {
                bool left = a < mid &&
                            (b == hi || gguf_str_compare(name_of(records, stride, from[a]),
                                                         name_of(records, stride, from[b])) <= 0);
                to[k] = left ? from[a++] : from[b++];
            }
        }
        size_t *swap = from;
        from = to;
        to = swap;
    }
    free(to);
    *order = from;
    return ACCEL_OK;
}

size_t gguf_search_names(const void *records, size_t stride, const size_t *order, size_t n,
                         struct gguf_str name)
{
    size_t lo = 0, hi = n; /* names before lo are <= name, from hi on > name */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (gguf_str_compare(name_of(records, stride, order[mid]), name) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo && !gguf_str_compare(name_of(records, stride, order[lo - 1]), name))
        return order[lo - 1];
    return n;
}

/* ---- little-endian values ---- */

static uint64_t load_le(const uint8_t *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static bool number_u64(const uint8_t *p, uint32_t type, uint64_t *v)
{
    switch (type) {
    case VALUE_U8:
    case VALUE_U16:
    case VALUE_U32:
    case VALUE_U64: break;
    case VALUE_I8:
    case VALUE_I16:
    case VALUE_I32:
    case VALUE_I64:
        if (p[value_bytes[type] - 1] & 0x80)
            return false;
        break;
    default: return false;
    }
    *v = load_le(p, value_bytes[type]);
    return true;
}

static bool number_f64(const uint8_t *p, uint32_t type, double *v)
{
    if (type >= VALUE_TYPES)
        return false;
    uint64_t raw = load_le(p, value_bytes[type]);
    switch (type) {
    case VALUE_F32: {
        uint32_t bits = (uint32_t)raw;
        float x;
        memcpy(&x, &bits, sizeof x);
        *v = (double)x;
        return true;
    }
    case VALUE_F64: memcpy(v, &raw, sizeof *v); return true;
    case VALUE_U8:
    case VALUE_U16:
    case VALUE_U32:
    case VALUE_U64: *v = (double)raw; return true;
    case VALUE_I8: *v = (double)(int8_t)raw; return true;
    case VALUE_I16: *v = (double)(int16_t)raw; return true;
    case VALUE_I32: *v = (double)(int32_t)raw; return true;
    case VALUE_I64: *v = (double)(int64_t)raw; return true;
    default: return false;
    }
}

/* ---- reading the header ---- */

static size_t left(const struct reader *r)
{
    return r->f->size - r->pos;
}

static int truncated(const struct reader *r)
{
    return accel_fail(r->err, ACCEL_E_CORRUPT,
                      "%s: the file ends inside %s (%zu bytes in all): it is truncated or corrupt, "
                      "fetch it again",
                      r->f->label, r->what, r->f->size);
}

static int read_int(struct reader *r, size_t bytes, uint64_t *v)
{
    if (left(r) < bytes)
        return truncated(r);
    *v = load_le(r->f->base + r->pos, bytes);
    r->pos += bytes;
    return ACCEL_OK;
}

static int read_u32(struct reader *r, uint32_t *v)
{
    uint64_t x = 0;
    int rc = read_int(r, 4, &x);
    *v = (uint32_t)x;
    return rc;
}

static int read_str(struct reader *r, struct gguf_str *s)
{
    uint64_t len = 0;
    int rc = read_int(r, 8, &len);
    if (rc)
        return rc;
    if (len > left(r))
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: a string of %" PRIu64 " bytes in %s runs past the end of the file: "
                          "it is truncated or corrupt, fetch it again",
                          r->f->label, len, r->what);
    s->data = (const char *)r->f->base + r->pos;
    s->len = (size_t)len;
    r->pos += s->len;
    return ACCEL_OK;
}

/* A key or tensor name: not empty, not long, no NUL (so that C strings can ask for it). */
static int read_name(struct reader *r, size_t max, struct gguf_str *s)
{
    int rc = read_str(r, s);
    if (rc)
        return rc;
    if (!s->len || s->len > max || memchr(s->data, 0, s->len))
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: %s has a name of %zu bytes that is empty, too long or holds a zero "
                          "byte: the file is corrupt, fetch it again",
                          r->f->label, r->what, s->len);
    return ACCEL_OK;
}

static void set_place(struct reader *r, const char *place) /* a short literal */
{
    memcpy(r->what, place, strlen(place) + 1);
}

static void set_what(struct reader *r, const char *kind, struct gguf_str name)
{
    char shown[SHOWN_BYTES];
    gguf_escape(name, shown, sizeof shown);
    size_t k = strlen(kind), n = strlen(shown); /* kind is a short literal */
    memcpy(r->what, kind, k);
    memcpy(r->what + k, " '", 2);
    memcpy(r->what + k + 2, shown, n);
    memcpy(r->what + k + 2 + n, "'", 2);
}

/* Room for one more element, twice as much each time: memory follows what was really read, never
 * what a count in the file claims. */
static int grow(void **p, size_t *cap, size_t used, size_t elem)
{
    if (used < *cap)
        return ACCEL_OK;
    size_t want = *cap ? *cap : 16, bytes;
    if (*cap && !mul_size(*cap, 2, &want))
        return ACCEL_E_NOMEM;
    if (!mul_size(want, elem, &bytes))
        return ACCEL_E_NOMEM;
    void *q = realloc(*p, bytes);
    if (!q)
        return ACCEL_E_NOMEM;
    *p = q;
    *cap = want;
    return ACCEL_OK;
}

static int no_memory(const struct reader *r)
{
    return accel_fail(r->err, ACCEL_E_NOMEM, "%s: out of memory while reading %s", r->f->label,
                      r->what);
}

static int read_array(struct reader *r, struct kv *kv)
{
    int rc = read_u32(r, &kv->elem);
    if (!rc)
        rc = read_int(r, 8, &kv->count);
    if (rc)
        return rc;
    if (kv->elem == VALUE_ARRAY)
        return accel_fail(r->err, ACCEL_E_UNSUPPORTED,
                          "%s: %s is an array of arrays, which no model needs: remove the key",
                          r->f->label, r->what);
    if (kv->elem >= VALUE_TYPES)
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: %s is an array of the unknown type %" PRIu32 ": the file is corrupt "
                          "or newer than this reader",
                          r->f->label, r->what, kv->elem);
    kv->value = r->f->base + r->pos;
    size_t each = value_bytes[kv->elem] ? value_bytes[kv->elem] : 8; /* string: its length */
    if (kv->count > left(r) / each)
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: %s claims %" PRIu64 " elements, more than the file has room for: "
                          "it is truncated or corrupt, fetch it again",
                          r->f->label, r->what, kv->count);
    if (kv->elem != VALUE_STRING) {
        r->pos += (size_t)kv->count * each;
        return ACCEL_OK;
    }
    /* Walk the strings once before allocating their index: only then is count proven. */
    size_t start = r->pos, count = (size_t)kv->count, bytes;
    struct gguf_str s;
    for (size_t i = 0; i < count; i++)
        if ((rc = read_str(r, &s)) != ACCEL_OK)
            return rc;
    if (!count)
        return ACCEL_OK;
    if (!mul_size(count, sizeof *kv->strings, &bytes) || !(kv->strings = malloc(bytes)))
        return no_memory(r);
    r->pos = start;
    for (size_t i = 0; i < count; i++) {
        kv->strings[i] = r->pos - start;
        if ((rc = read_str(r, &s)) != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

static int read_kv(struct reader *r, struct kv *kv)
{
    int rc = read_name(r, MAX_KEY, &kv->key);
    if (rc)
        return rc;
    set_what(r, "metadata key", kv->key);
    rc = read_u32(r, &kv->type);
    if (rc)
        return rc;
    if (kv->type >= VALUE_TYPES)
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: %s has the unknown value type %" PRIu32 ": the file is corrupt or "
                          "newer than this reader",
                          r->f->label, r->what, kv->type);
    if (kv->type == VALUE_ARRAY)
        return read_array(r, kv);
    kv->value = r->f->base + r->pos;
    struct gguf_str s;
    uint64_t v;
    return kv->type == VALUE_STRING ? read_str(r, &s) : read_int(r, value_bytes[kv->type], &v);
}

/* Sort records that begin with a name, and refuse two of one name. */
static int index_names(struct reader *r, const char *kind, const void *records, size_t stride,
                       size_t n, size_t **order)
{
    set_place(r, "the index of names");
    if (gguf_sort_names(records, stride, n, order))
        return no_memory(r);
    for (size_t i = 1; i < n; i++) {
        struct gguf_str name = name_of(records, stride, (*order)[i]);
        if (!gguf_str_compare(name_of(records, stride, (*order)[i - 1]), name)) {
            set_what(r, kind, name);
            return accel_fail(r->err, ACCEL_E_CORRUPT,
                              "%s: %s is there twice: the file is corrupt or was written by a "
                              "broken tool, export it again",
                              r->f->label, r->what);
        }
    }
    return ACCEL_OK;
}

static int read_metadata(struct reader *r, uint64_t n_kv)
{
    struct gguf_file *f = r->f;
    if (n_kv > left(r) / KV_BYTES_MIN)
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: claims %" PRIu64 " metadata keys, more than its %zu bytes can hold: "
                          "it is truncated or corrupt, fetch it again",
                          f->label, n_kv, f->size);
    for (uint64_t i = 0; i < n_kv; i++) {
        set_place(r, "the list of metadata keys");
        void *p = f->kv;
        int rc = grow(&p, &f->cap_kv, f->n_kv, sizeof *f->kv);
        f->kv = p;
        if (rc)
            return no_memory(r);
        f->kv[f->n_kv] = (struct kv){ .type = VALUE_TYPES, .begin = r->pos };
        rc = read_kv(r, &f->kv[f->n_kv++]); /* counted even if it fails: close frees it */
        if (rc)
            return rc;
        f->kv[f->n_kv - 1].end = r->pos;
    }
    return index_names(r, "metadata key", f->kv, sizeof *f->kv, f->n_kv, &f->kv_order);
}

static int get_alignment(struct reader *r, uint64_t *alignment)
{
    static const char key[] = "general.alignment";
    *alignment = DEFAULT_ALIGNMENT;
    if (!gguf_has(r->f, key))
        return ACCEL_OK;
    if (!gguf_get_u64(r->f, key, alignment))
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: metadata key '%s' is not a whole number: export the file again",
                          r->f->label, key);
    if (*alignment < MIN_ALIGNMENT || *alignment > MAX_ALIGNMENT || (*alignment & (*alignment - 1)))
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: metadata key '%s' is %" PRIu64 ", not a power of two from %d to %d: "
                          "export the file again with 32",
                          r->f->label, key, *alignment, MIN_ALIGNMENT, MAX_ALIGNMENT);
    return ACCEL_OK;
}

static int refuse_split(struct reader *r)
{
    uint64_t count = 0, no = 0;
    if (!gguf_has(r->f, "split.count"))
        return ACCEL_OK;
    if (!gguf_get_u64(r->f, "split.count", &count))
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: metadata key 'split.count' is not a whole number: export the file "
                          "again",
                          r->f->label);
    if (count <= 1)
        return ACCEL_OK;
    (void)gguf_get_u64(r->f, "split.no", &no); /* optional, only for the message */
    return accel_fail(r->err, ACCEL_E_UNSUPPORTED,
                      "%s: is part %" PRIu64 " of a model split into %" PRIu64 " files, which this "
                      "reader does not join: merge them first (llama-gguf-split --merge)",
                      r->f->label, no == UINT64_MAX ? no : no + 1, count);
}

/* Types of our own may change their layout: the file says which one it has. */
static int check_own_type(const struct reader *r)
{
    uint64_t version = 0;
    if (gguf_get_u64(r->f, QUANT_VERSION_KEY, &version) && version == QUANT_VERSION)
        return ACCEL_OK;
    return accel_fail(r->err, ACCEL_E_UNSUPPORTED,
                      "%s: %s has a tensor type of libaccel's, but metadata key '" QUANT_VERSION_KEY
                      "' is not %d: quantize the model again with this version of accel",
                      r->f->label, r->what, QUANT_VERSION);
}

/* Shape and type of the tensor just read; sets size. */
static int check_shape(const struct reader *r, struct gguf_tensor *t)
{
    const struct ggml_type_info *info = ggml_type_find(t->type);
    struct quant_type own;
    bool ours = quant_type_read(t->type, &own);
    int rc = ours ? check_own_type(r) : ACCEL_OK;
    if (rc)
        return rc;
    if (!info && !ours)
        return accel_fail(r->err, ACCEL_E_UNSUPPORTED,
                          "%s: %s has type id %" PRIu32 ", which is unknown or retired: quantize "
                          "the model again to a current type",
                          r->f->label, r->what, t->type);
    for (uint32_t d = 0; d < t->n_dims; d++)
        if (!t->ne[d] || t->ne[d] > INT64_MAX)
            return accel_fail(r->err, ACCEL_E_CORRUPT,
                              "%s: %s has %" PRId64 " as its dimension %" PRIu32 ": the file is "
                              "corrupt, fetch it again",
                              r->f->label, r->what, (int64_t)t->ne[d], d);
    if (info && t->ne[0] % info->block_len)
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: %s has rows of %" PRIu64 " weights, no multiple of %s's block of "
                          "%" PRIu32 ": quantize the model again",
                          r->f->label, r->what, t->ne[0], info->name, info->block_len);
    uint64_t bytes = 0;
    bool fits = ggml_row_bytes(t->type, t->ne[0], &bytes);
    for (uint32_t d = 1; d < 4 && fits; d++)
        fits = !__builtin_mul_overflow(bytes, t->ne[d], &bytes);
    if (!fits || bytes > SIZE_MAX)
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: %s has a shape whose size overflows (%" PRIu64 " x %" PRIu64
                          " x %" PRIu64 " x %" PRIu64 "): the file is corrupt, fetch it again",
                          r->f->label, r->what, t->ne[0], t->ne[1], t->ne[2], t->ne[3]);
    t->size = (size_t)bytes;
    return ACCEL_OK;
}

/* Reads one tensor's description. *next is where its data must begin (from the data section's
 * start), and is moved past it. */
static int read_tensor(struct reader *r, struct gguf_tensor *t, uint64_t alignment, uint64_t *next)
{
    int rc = read_name(r, MAX_NAME, &t->name);
    if (rc)
        return rc;
    set_what(r, "tensor", t->name);
    rc = read_u32(r, &t->n_dims);
    if (rc)
        return rc;
    if (t->n_dims > 4)
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: %s claims %" PRIu32 " dimensions, 4 is the most: the file is "
                          "corrupt, fetch it again",
                          r->f->label, r->what, t->n_dims);
    for (uint32_t d = 0; d < 4; d++)
        t->ne[d] = 1;
    for (uint32_t d = 0; d < t->n_dims; d++)
        if ((rc = read_int(r, 8, &t->ne[d])) != ACCEL_OK)
            return rc;
    uint64_t offset = 0;
    rc = read_u32(r, &t->type);
    if (!rc)
        rc = read_int(r, 8, &offset);
    if (!rc)
        rc = check_shape(r, t);
    if (rc)
        return rc;
    if (offset != *next)
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: %s begins at offset %" PRIu64 " of the data, not at %" PRIu64
                          " where the tensor before it ends: tensors %s, export the file again",
                          r->f->label, r->what, offset, *next,
                          offset < *next ? "overlap" : "leave a gap");
    uint64_t end;
    if (__builtin_add_overflow(*next, (uint64_t)t->size, &end) ||
        __builtin_add_overflow(end, alignment - 1, &end))
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: %s ends beyond what a file can hold: the file is corrupt, fetch it "
                          "again",
                          r->f->label, r->what);
    *next = end & ~(alignment - 1);
    return ACCEL_OK;
}

/* Everything is described: find the data section and hand out pointers into it. Offsets need no
 * storing, since each was checked to be the running padded sum. */
static int place_tensors(struct reader *r, uint64_t alignment)
{
    struct gguf_file *f = r->f;
    if (!f->n_tensors)
        return ACCEL_OK;
    size_t mask = (size_t)alignment - 1, begin = 0;
    bool fits = !__builtin_add_overflow(r->pos, mask, &begin);
    begin &= ~mask;
    for (size_t i = 0; i < f->n_tensors; i++) {
        struct gguf_tensor *t = &f->tensor[i];
        if (!fits || begin > f->size || t->size > f->size - begin) {
            set_what(r, "tensor", t->name);
            return accel_fail(r->err, ACCEL_E_CORRUPT,
                              "%s: the file ends (at byte %zu) before the %zu bytes of %s: it is "
                              "truncated, fetch it again",
                              f->label, f->size, t->size, r->what);
        }
        t->data = f->base + begin;
        fits = !__builtin_add_overflow(begin + t->size, mask, &begin);
        begin &= ~mask;
    }
    return ACCEL_OK;
}

static int read_tensors(struct reader *r, uint64_t n_tensors, uint64_t alignment)
{
    struct gguf_file *f = r->f;
    if (n_tensors > left(r) / TENSOR_BYTES_MIN)
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: claims %" PRIu64 " tensors, more than its %zu bytes can describe: "
                          "it is truncated or corrupt, fetch it again",
                          f->label, n_tensors, f->size);
    uint64_t next = 0;
    for (uint64_t i = 0; i < n_tensors; i++) {
        set_place(r, "the list of tensors");
        void *p = f->tensor;
        int rc = grow(&p, &f->cap_tensors, f->n_tensors, sizeof *f->tensor);
        f->tensor = p;
        if (rc)
            return no_memory(r);
        f->tensor[f->n_tensors] = (struct gguf_tensor){ .n_dims = 0 };
        rc = read_tensor(r, &f->tensor[f->n_tensors], alignment, &next);
        if (rc)
            return rc;
        f->n_tensors++;
    }
    int rc = index_names(r, "tensor", f->tensor, sizeof *f->tensor, f->n_tensors, &f->tensor_order);
    return rc ? rc : place_tensors(r, alignment);
}

static int read_version(struct reader *r)
{
    struct gguf_file *f = r->f;
    uint32_t version = 0;
    set_place(r, "the file header");
    if (left(r) < 4)
        return truncated(r);
    if (memcmp(f->base, "GGUF", 4)) {
        char shown[20];
        gguf_escape((struct gguf_str){ (const char *)f->base, 4 }, shown, sizeof shown);
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: not a GGUF file (it begins with '%s', not 'GGUF'): give a model "
                          "in GGUF format",
                          f->label, shown);
    }
    r->pos = 4;
    int rc = read_u32(r, &version);
    if (rc)
        return rc;
    if (version && !(version & 0xffff))
        return accel_fail(r->err, ACCEL_E_UNSUPPORTED,
                          "%s: is a big-endian GGUF file: convert it to little-endian first",
                          f->label);
    if (version == 2 || version == 3)
        return ACCEL_OK;
    if (!version)
        return accel_fail(r->err, ACCEL_E_CORRUPT,
                          "%s: GGUF version 0 does not exist: the file is corrupt, fetch it again",
                          f->label);
    return accel_fail(r->err, ACCEL_E_UNSUPPORTED,
                      "%s: GGUF version %" PRIu32 " is too %s, 2 and 3 can be read: %s", f->label,
                      version, version == 1 ? "old" : "new",
                      version == 1 ? "export the model again" : "export it as version 3");
}

static int read_all(struct gguf_file *f, struct accel_error *err)
{
    struct reader r = { .f = f, .err = err };
    uint64_t n_tensors = 0, n_kv = 0, alignment = 0;
    int rc = read_version(&r);
    if (!rc)
        rc = read_int(&r, 8, &n_tensors); /* negative ones are huge here, and refused as such */
    if (!rc)
        rc = read_int(&r, 8, &n_kv);
    if (!rc)
        rc = read_metadata(&r, n_kv);
    if (!rc)
        rc = refuse_split(&r);
    if (!rc)
        rc = get_alignment(&r, &alignment);
    if (!rc)
        rc = read_tensors(&r, n_tensors, alignment);
    return rc;
}

/* ---- opening and closing ---- */

static int new_file(const char *path, struct gguf_file **out, struct accel_error *err)
{
    size_t bytes = strlen(path) + 1;
    struct gguf_file *f = calloc(1, sizeof *f);
    if (f)
        f->path = malloc(bytes);
    if (!f || !f->path) {
        free(f);
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory while opening a model file");
    }
    memcpy(f->path, path, bytes);
    set_label(f, path);
    *out = f;
    return ACCEL_OK;
}

static const char *why(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR: return "no such file: check the path";
    case EACCES:
    case EPERM: return "permission denied: make it readable";
    case EMFILE:
    case ENFILE: return "too many open files: close some";
    case ENAMETOOLONG: return "the path is too long";
    case ENOMEM: return "not enough address space to map it";
    default: return NULL;
    }
}

static int io_error(const struct gguf_file *f, const char *verb, int error, struct accel_error *err)
{
    const char *reason = why(error);
    if (reason)
        return accel_fail(err, ACCEL_E_IO, "%s: cannot %s the file: %s", f->label, verb, reason);
    return accel_fail(err, ACCEL_E_IO, "%s: cannot %s the file: the system says error %d", f->label,
                      verb, error);
}

static int map_file(struct gguf_file *f, struct accel_error *err)
{
    /* Non-blocking, or opening a pipe would wait for its writer. */
    int rc = ACCEL_OK, fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return io_error(f, "open", errno, err);
    struct stat st;
    if (fstat(fd, &st)) {
        rc = io_error(f, "examine", errno, err);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = accel_fail(err, ACCEL_E_IO, "%s: is %s, not a file: give the path of a GGUF file",
                        f->label, S_ISDIR(st.st_mode) ? "a directory" : "a device or pipe");
        goto out;
    }
    if (st.st_size <= 0) {
        rc = accel_fail(err, ACCEL_E_CORRUPT, "%s: the file is empty: fetch it again", f->label);
        goto out;
    }
    if ((uint64_t)st.st_size > SIZE_MAX / 2) {
        rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                        "%s: the file is too large for this machine's address space", f->label);
        goto out;
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        rc = io_error(f, "map", errno, err);
        goto out;
    }
    f->base = p;
    f->size = (size_t)st.st_size;
    f->mapped = true;
out:
    close(fd); /* a mapping outlives its descriptor */
    return rc;
}

int gguf_open(const char *path, struct gguf_file **out, struct accel_error *err)
{
    if (!path || !out)
        return accel_fail(err, ACCEL_E_ARG, "gguf_open: the path and the result must not be NULL");
    struct gguf_file *f;
    int rc = new_file(path, &f, err);
    if (rc)
        return rc;
    rc = map_file(f, err);
    if (!rc)
        rc = read_all(f, err);
    if (rc)
        gguf_close(f);
    else
        *out = f;
    return rc;
}

int gguf_open_memory(const void *data, size_t size, const char *name, struct gguf_file **out,
                     struct accel_error *err)
{
    if ((!data && size) || !name || !out || (uintptr_t)data % MIN_ALIGNMENT)
        return accel_fail(err, ACCEL_E_ARG,
                          "gguf_open_memory: data must be aligned to %d bytes, "
                          "nothing may be NULL",
                          MIN_ALIGNMENT);
    struct gguf_file *f;
    int rc = new_file(name, &f, err);
    if (rc)
        return rc;
    f->base = data;
    f->size = size;
    rc = read_all(f, err);
    if (rc)
        gguf_close(f);
    else
        *out = f;
    return rc;
}

void gguf_close(struct gguf_file *f)
{
    if (!f)
        return;
    if (f->mapped)
        munmap((void *)(uintptr_t)f->base, f->size);
    for (size_t i = 0; i < f->n_kv; i++)
        free(f->kv[i].strings);
    free(f->kv);
    free(f->kv_order);
    free(f->tensor);
    free(f->tensor_order);
    free(f->path);
    free(f);
}

const char *gguf_path(const struct gguf_file *f)
{
    return f->path;
}

const char *gguf_label(const struct gguf_file *f)
{
    return f->label;
}

/* ---- asking ---- */

size_t gguf_tensor_count(const struct gguf_file *f)
{
    return f->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf_file *f, size_t i)
{
    return i < f->n_tensors ? &f->tensor[i] : NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf_file *f, const char *name)
{
    return gguf_tensor_at(f, gguf_search_names(f->tensor, sizeof *f->tensor, f->tensor_order,
                                               f->n_tensors, str(name)));
}

static const struct kv *find(const struct gguf_file *f, const char *key)
{
    size_t i = gguf_search_names(f->kv, sizeof *f->kv, f->kv_order, f->n_kv, str(key));
    return i < f->n_kv ? &f->kv[i] : NULL;
}

static struct gguf_str str_at(const uint8_t *p)
{
    return (struct gguf_str){ (const char *)p + 8, (size_t)load_le(p, 8) };
}

bool gguf_has(const struct gguf_file *f, const char *key)
{
    return find(f, key) != NULL;
}

bool gguf_get_u64(const struct gguf_file *f, const char *key, uint64_t *v)
{
    const struct kv *kv = find(f, key);
    return kv && number_u64(kv->value, kv->type, v);
}

bool gguf_get_f64(const struct gguf_file *f, const char *key, double *v)
{
    const struct kv *kv = find(f, key);
    return kv && number_f64(kv->value, kv->type, v);
}

bool gguf_get_bool(const struct gguf_file *f, const char *key, bool *v)
{
    const struct kv *kv = find(f, key);
    if (!kv || kv->type != VALUE_BOOL)
        return false;
    *v = kv->value[0] != 0;
    return true;
}

bool gguf_get_str(const struct gguf_file *f, const char *key, struct gguf_str *v)
{
    const struct kv *kv = find(f, key);
    if (!kv || kv->type != VALUE_STRING)
        return false;
    *v = str_at(kv->value);
    return true;
}

bool gguf_get_array(const struct gguf_file *f, const char *key, uint64_t *count)
{
    const struct kv *kv = find(f, key);
    if (!kv || kv->type != VALUE_ARRAY)
        return false;
    *count = kv->count;
    return true;
}

/* Element i of an array that has one, else NULL. */
static const uint8_t *element(const struct kv *kv, uint64_t i)
{
    if (!kv || kv->type != VALUE_ARRAY || i >= kv->count)
        return NULL;
    return kv->value +
           (kv->elem == VALUE_STRING ? kv->strings[i] : (size_t)i * value_bytes[kv->elem]);
}

bool gguf_array_str(const struct gguf_file *f, const char *key, uint64_t i, struct gguf_str *v)
{
    const struct kv *kv = find(f, key);
    const uint8_t *p = element(kv, i);
    if (!p || kv->elem != VALUE_STRING)
        return false;
    *v = str_at(p);
    return true;
}

bool gguf_array_f64(const struct gguf_file *f, const char *key, uint64_t i, double *v)
{
    const struct kv *kv = find(f, key);
    const uint8_t *p = element(kv, i);
    return p && number_f64(p, kv->elem, v);
}

bool gguf_array_u64(const struct gguf_file *f, const char *key, uint64_t i, uint64_t *v)
{
    const struct kv *kv = find(f, key);
    const uint8_t *p = element(kv, i);
    return p && number_u64(p, kv->elem, v);
}

/* ---- the bytes themselves ---- */

bool gguf_raw_pair(const struct gguf_file *f, size_t i, struct gguf_str *key,
                   struct gguf_str *bytes)
{
    if (i >= f->n_kv)
        return false;
    *key = f->kv[i].key;
    *bytes = (struct gguf_str){ (const char *)f->base + f->kv[i].begin,
                                f->kv[i].end - f->kv[i].begin };
    return true;
}
