/* tokenizer.c - SentencePiece BPE: merge the best-scored adjacent pair until none is a token.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tokenizer.h"

#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEY   "tokenizer.ggml."
#define SPACE "\xe2\x96\x81" /* U+2581, how a vocabulary writes a space */
#define NONE  UINT32_MAX

enum {
    SPACE_BYTES = 3,
    MAX_WHOLE = 256, /* longest user-defined token: bounds the search at each byte of a text */
    SHOWN_BYTES = 48
};

enum token_type {
    TYPE_UNDEFINED,
    TYPE_NORMAL,
    TYPE_UNKNOWN,
    TYPE_CONTROL,
    TYPE_USER, /* is never cut or merged */
    TYPE_UNUSED,
    TYPE_BYTE,
    TYPES
};

struct token {
    struct gguf_str text; /* first: sorted by gguf_sort_names */
    uint32_t id;
    float score;
};

struct tokenizer {
    char *label;
    uint32_t n;
    uint32_t bos, eos;
    bool add_bos, add_eos, add_space;
    struct token *token; /* [n], by id */
    uint8_t *type;       /* [n] */
    /* What merging looks up: the tokens a text may hold, sorted by text. */
    struct token *word;
    uint32_t n_words;
    size_t longest; /* bytes of the longest word */
    /* User-defined tokens, sorted by text. */
    struct token *whole;
    uint32_t n_wholes;
    uint32_t byte_id[256]; /* NONE: the vocabulary has no token for that byte */
};

/* ---- building ---- */

static int no_memory(const char *label, struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "%s: out of memory while reading the tokenizer", label);
}

/* <0xHH>, or -1 */
static int byte_of(struct gguf_str s)
{
    static const char hex[] = "0123456789ABCDEF0123456789abcdef";
    if (s.len != 6 || memcmp(s.data, "<0x", 3) || s.data[5] != '>')
        return -1;
    const char *hi = s.data[3] ? strchr(hex, s.data[3]) : NULL;
    const char *lo = s.data[4] ? strchr(hex, s.data[4]) : NULL;
    return hi && lo ? (int)((hi - hex) % 16 * 16 + (lo - hex) % 16) : -1;
}

static int check_model(const struct gguf_file *f, struct accel_error *err)
{
    struct gguf_str model;
    char shown[SHOWN_BYTES];
    if (!gguf_has(f, KEY "model"))
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: has no tokenizer (metadata key '" KEY "model' is missing): export "
                          "the model again together with its vocabulary",
                          gguf_label(f));
    if (!gguf_get_str(f, KEY "model", &model))
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: metadata key '" KEY "model' is not a string: export the file again",
                          gguf_label(f));
    if (model.len == 5 && !memcmp(model.data, "llama", 5))
        return ACCEL_OK;
    gguf_escape(model, shown, sizeof shown);
    if (model.len == 4 && !memcmp(model.data, "gpt2", 4))
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s: its tokenizer is 'gpt2' (byte-level BPE with merges), only 'llama' "
                          "(SentencePiece BPE) is supported: use a Llama 2 style model",
                          gguf_label(f));
    return accel_fail(err, ACCEL_E_UNSUPPORTED,
                      "%s: its tokenizer is '%s', only 'llama' (SentencePiece BPE) is supported: "
                      "use a Llama 2 style model",
                      gguf_label(f), shown);
}

static int array_count(const struct gguf_file *f, const char *key, uint64_t *count,
                       struct accel_error *err)
{
    if (gguf_get_array(f, key, count))
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_CORRUPT,
                      "%s: metadata key '%s' %s: export the model again together with its "
                      "vocabulary",
                      gguf_label(f), key, gguf_has(f, key) ? "is not an array" : "is missing");
}

static int check_counts(const struct gguf_file *f, uint32_t *n, struct accel_error *err)
{
    static const char *const beside[] = { KEY "scores", KEY "token_type" };
    uint64_t tokens = 0, count = 0;
    int rc = array_count(f, KEY "tokens", &tokens, err);
    if (rc)
        return rc;
    if (!tokens || tokens >= NONE)
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: metadata key '" KEY "tokens' lists %" PRIu64 " tokens: export the "
                          "model again together with its vocabulary",
                          gguf_label(f), tokens);
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        rc = array_count(f, beside[i], &count, err);
        if (rc)
            return rc;
        if (count != tokens)
            return accel_fail(err, ACCEL_E_CORRUPT,
                              "%s: metadata key '%s' has %" PRIu64 " elements for %" PRIu64
                              " tokens: export the model again together with its vocabulary",
                              gguf_label(f), beside[i], count, tokens);
    }
    *n = (uint32_t)tokens;
    return ACCEL_OK;
}

static int wrong_element(const struct gguf_file *f, const char *key, uint32_t id, const char *what,
                         struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_CORRUPT,
                      "%s: element %" PRIu32 " of metadata key '%s' is %s: export the model again "
                      "together with its vocabulary",
                      gguf_label(f), id, key, what);
}

static int read_tokens(const struct gguf_file *f, struct tokenizer *t, struct accel_error *err)
{
    for (uint32_t id = 0; id < t->n; id++) {
        struct token *token = &t->token[id];
        double score;
        uint64_t type;
        token->id = id;
        if (!gguf_array_str(f, KEY "tokens", id, &token->text))
            return wrong_element(f, KEY "tokens", id, "not a string", err);
        if (!gguf_array_f64(f, KEY "scores", id, &score) || score != score)
            return wrong_element(f, KEY "scores", id, "not a number", err);
        if (!gguf_array_u64(f, KEY "token_type", id, &type) || type >= TYPES)
            return wrong_element(f, KEY "token_type", id, "not a token type from 0 to 6", err);
        token->score = (float)score;
        t->type[id] = (uint8_t)type;
        int byte = byte_of(token->text);
        if (type == TYPE_BYTE && byte < 0)
            return wrong_element(f, KEY "tokens", id, "a byte token not written as <0xHH>", err);
        /* Some converters mark byte tokens as normal ones, so the text decides. */
        bool text = type != TYPE_CONTROL && type != TYPE_UNKNOWN;
        if (byte >= 0 && text && (t->byte_id[byte] == NONE || type == TYPE_BYTE))
            t->byte_id[byte] = id;
        if (type == TYPE_USER && token->text.len > MAX_WHOLE)
            return wrong_element(f, KEY "tokens", id, "a user-defined token beyond 256 bytes", err);
    }
    return ACCEL_OK;
}

/* The byte that token id stands for, or -1. */
static int token_byte(const struct tokenizer *t, uint32_t id)
{
    int byte = byte_of(t->token[id].text);
    return byte >= 0 && (t->type[id] == TYPE_BYTE || t->byte_id[byte] == id) ? byte : -1;
}

/* Copy the tokens that `want` has a bit for, by type, in the order of their texts. Of two that
 * read the same the later one is kept. */
static int select_tokens(const struct tokenizer *t, unsigned want, const size_t *order,
                         struct token **out, uint32_t *count)
{
    size_t bytes;
    if (!mul_size(t->n, sizeof **out, &bytes) || !(*out = malloc(bytes)))
        return ACCEL_E_NOMEM;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct token *token = &t->token[order[i]];
        if (!(want >> t->type[token->id] & 1) || !token->text.len || token_byte(t, token->id) >= 0)
            continue;
        if (n && !gguf_str_compare((*out)[n - 1].text, token->text))
            n--;
        (*out)[n++] = *token;
    }
    *count = n;
    return ACCEL_OK;
}

static int index_tokens(struct tokenizer *t, struct accel_error *err)
{
    size_t *order = NULL;
    int rc = gguf_sort_names(t->token, sizeof *t->token, t->n, &order);
    /* Control, unknown and byte tokens stand for no text: "<s>" in a prompt is three letters. */
    if (!rc)
        rc = select_tokens(
            t, 1u << TYPE_UNDEFINED | 1u << TYPE_NORMAL | 1u << TYPE_UNUSED | 1u << TYPE_USER,
            order, &t->word, &t->n_words);
    if (!rc)
        rc = select_tokens(t, 1u << TYPE_USER, order, &t->whole, &t->n_wholes);
    free(order);
    if (rc)
        return no_memory(t->label, err);
    for (uint32_t i = 0; i < t->n_words; i++)
        if (t->word[i].text.len > t->longest)
            t->longest = t->word[i].text.len;
    return ACCEL_OK;
}

static int read_id(const struct gguf_file *f, const char *key, uint32_t n, uint32_t fallback,
                   uint32_t *id, struct accel_error *err)
{
    uint64_t v = fallback;
    if (gguf_has(f, key) && !gguf_get_u64(f, key, &v))
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: metadata key '%s' is not a token id: export the file again",
                          gguf_label(f), key);
    if (v >= n)
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "%s: metadata key '%s' is %" PRIu64 ", but there are only %" PRIu32
                          " tokens: export the model again together with its vocabulary",
                          gguf_label(f), key, v, n);
    *id = (uint32_t)v;
    return ACCEL_OK;
}

static int read_flag(const struct gguf_file *f, const char *key, bool fallback, bool *flag,
                     struct accel_error *err)
{
    *flag = fallback;
    if (!gguf_has(f, key) || gguf_get_bool(f, key, flag))
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_CORRUPT,
                      "%s: metadata key '%s' is neither true nor false: export the file again",
                      gguf_label(f), key);
}

static int read_settings(const struct gguf_file *f, struct tokenizer *t, struct accel_error *err)
{
    uint32_t unknown = 0;
    int rc = read_id(f, KEY "bos_token_id", t->n, 1, &t->bos, err);
    if (!rc)
        rc = read_id(f, KEY "eos_token_id", t->n, 2, &t->eos, err);
    if (!rc)
        rc = read_id(f, KEY "unknown_token_id", t->n, 0, &unknown, err);
    if (!rc)
        rc = read_flag(f, KEY "add_bos_token", true, &t->add_bos, err);
    if (!rc)
        rc = read_flag(f, KEY "add_eos_token", false, &t->add_eos, err);
    if (!rc)
        rc = read_flag(f, KEY "add_space_prefix", true, &t->add_space, err);
    return rc;
}

int tokenizer_create(const struct gguf_file *f, struct tokenizer **out, struct accel_error *err)
{
    if (!f || !out)
        return accel_fail(err, ACCEL_E_ARG, "tokenizer_create: nothing may be NULL");
    uint32_t n = 0;
    int rc = check_model(f, err);
    if (!rc)
        rc = check_counts(f, &n, err);
    if (rc)
        return rc;
    size_t label = strlen(gguf_label(f)) + 1;
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return no_memory(gguf_label(f), err);
    t->n = n;
    for (size_t b = 0; b < 256; b++)
        t->byte_id[b] = NONE;
    t->label = malloc(label);
    t->token = calloc(n, sizeof *t->token);
    t->type = calloc(n, 1);
    if (!t->label || !t->token || !t->type) {
        rc = no_memory(gguf_label(f), err);
        goto out;
    }
    memcpy(t->label, gguf_label(f), label);
    rc = read_settings(f, t, err);
    if (!rc)
        rc = read_tokens(f, t, err);
    if (!rc)
        rc = index_tokens(t, err);
out:
    if (rc)
        tokenizer_free(t);
    else
        *out = t;
    return rc;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    free(t->label);
    free(t->token);
    free(t->type);
    free(t->word);
    free(t->whole);
    free(t);
}

uint32_t tokenizer_vocab_size(const struct tokenizer *t)
{
    return t->n;
}

uint32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

uint32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

bool tokenizer_is_end(const struct tokenizer *t, uint32_t id)
{
    return id == t->eos || id == t->bos;
}

/* ---- encoding ---- */

/* A piece of the text. A merge makes the left one longer and the right one empty. */
struct symbol {
    uint32_t at, len;    /* bytes of the text; len 0: merged into its left neighbour */
    uint32_t prev, next; /* NONE at the ends */
    uint32_t id;         /* NONE: no token */
    bool whole;          /* a user-defined token: never merges */
};

/* Two neighbours whose texts together are token id. Out of date once their lengths no longer sum
 * to len: symbols only grow or vanish. */
struct pair {
    float score;
    uint32_t left, right, len, id;
};

struct encoder {
    const struct tokenizer *t;
    char *text; /* with U+2581 for spaces */
    uint32_t len;
    struct symbol *symbol;
    uint32_t n_symbols;
    struct pair *heap; /* best first */
    size_t n_heap, cap_heap;
};

static const struct token *find_word(const struct tokenizer *t, struct gguf_str s)
{
    uint32_t lo = 0, hi = t->n_words;
    if (s.len > t->longest)
        return NULL;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = gguf_str_compare(t->word[mid].text, s);
        if (!c)
            return &t->word[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* The first of the user-defined tokens lo..hi-1, which agree up to byte `at`, whose byte there is
 * at least c (a token that ends there comes first). */
static uint32_t first_whole(const struct tokenizer *t, uint32_t lo, uint32_t hi, size_t at, int c)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct gguf_str s = t->whole[mid].text;
        if ((s.len > at ? (int)(unsigned char)s.data[at] : -1) < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest user-defined token that s begins with, or NULL. */
static const struct token *find_whole(const struct tokenizer *t, struct gguf_str s)
{
    const struct token *best = NULL;
    uint32_t lo = 0, hi = t->n_wholes;
    for (size_t at = 0; lo < hi && at < s.len; at++) {
        int c = (unsigned char)s.data[at];
        lo = first_whole(t, lo, hi, at, c);
        hi = first_whole(t, lo, hi, at, c + 1);
        if (lo < hi && t->whole[lo].text.len == at + 1)
            best = &t->whole[lo];
    }
    return best;
}

/* Bytes of the UTF-8 sequence s begins with; 1 for a byte that begins none. */
static uint32_t code_point_bytes(const char *s, uint32_t len)
{
    unsigned char c = (unsigned char)s[0];
    uint32_t n = c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1;
    if (n > len)
        return 1;
    for (uint32_t i = 1; i < n; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 1;
    return n;
}

static bool better(const struct pair *a, const struct pair *b)
{
    return a->score > b->score || (!(a->score < b->score) && a->left < b->left);
}

static int push(struct encoder *e, struct pair p)
{
    if (e->n_heap == e->cap_heap) {
        size_t cap = e->cap_heap ? e->cap_heap : 32, bytes;
        if ((e->cap_heap && !mul_size(cap, 2, &cap)) || !mul_size(cap, sizeof p, &bytes))
            return ACCEL_E_NOMEM;
        struct pair *heap = realloc(e->heap, bytes);
        if (!heap)
            return ACCEL_E_NOMEM;
        e->heap = heap;
        e->cap_heap = cap;
    }
    size_t i = e->n_heap++;
    for (; i && better(&p, &e->heap[(i - 1) / 2]); i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = p;
    return ACCEL_OK;
}

static struct pair pop(struct encoder *e)
{
    struct pair best = e->heap[0], last = e->heap[--e->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < e->n_heap) {
        if (child + 1 < e->n_heap && better(&e->heap[child + 1], &e->heap[child]))
            child++;
        if (!better(&e->heap[child], &last))
            break;
        e->heap[i] = e->heap[child];
        i = child;
    }
    e->heap[i] = last;
    return best;
}

static int try_pair(struct encoder *e, uint32_t left, uint32_t right)
{
    if (left == NONE || right == NONE)
        return ACCEL_OK;
    const struct symbol *a = &e->symbol[left], *b = &e->symbol[right];
    if (a->whole || b->whole)
        return ACCEL_OK;
    struct gguf_str s = { e->text + a->at, (size_t)a->len + b->len };
    const struct token *token = find_word(e->t, s);
    if (!token)
        return ACCEL_OK;
    return push(e, (struct pair){ .score = token->score,
                                  .left = left,
                                  .right = right,
                                  .len = (uint32_t)s.len,
                                  .id = token->id });
}

/* The text with U+2581 for every space. */
static int replace_spaces(struct encoder *e, const char *text, size_t len)
{
    size_t spaces = e->t->add_space && len, out = 0;
    for (size_t i = 0; i < len; i++)
        spaces += text[i] == ' ';
    e->text = malloc(len + spaces * SPACE_BYTES + 1); /* len is bounded: this cannot wrap */
    if (!e->text)
        return ACCEL_E_NOMEM;
    if (e->t->add_space && len) {
        memcpy(e->text, SPACE, SPACE_BYTES);
        out = SPACE_BYTES;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ') {
            memcpy(e->text + out, SPACE, SPACE_BYTES);
            out += SPACE_BYTES;
        } else {
            e->text[out++] = text[i];
        }
    }
    e->len = (uint32_t)out;
    return ACCEL_OK;
}

/* The symbol that begins at byte `at`, without its neighbours. */
static struct symbol symbol_at(const struct encoder *e, uint32_t at)
{
    struct symbol s = { .at = at, .prev = NONE, .next = NONE, .id = NONE };
    struct gguf_str rest = { e->text + at, e->len - at };
    const struct token *token = find_whole(e->t, rest);
    if (token) {
        s.len = (uint32_t)token->text.len;
        s.id = token->id;
        s.whole = true;
        return s;
    }
    s.len = code_point_bytes(rest.data, (uint32_t)rest.len);
    rest.len = s.len;
    token = find_word(e->t, rest);
    if (token)
        s.id = token->id;
    return s;
}

static int cut_symbols(struct encoder *e)
{
    uint32_t n = 0;
    size_t bytes;
    for (uint32_t at = 0; at < e->len; n++)
        at += symbol_at(e, at).len;
    if (!mul_size((size_t)n + 1, sizeof *e->symbol, &bytes) || !(e->symbol = malloc(bytes)))
        return ACCEL_E_NOMEM;
    e->n_symbols = n;
    for (uint32_t i = 0, at = 0; i < n; i++) {
        e->symbol[i] = symbol_at(e, at);
        e->symbol[i].prev = i ? i - 1 : NONE;
        e->symbol[i].next = i + 1 < n ? i + 1 : NONE;
        at += e->symbol[i].len;
    }
    return ACCEL_OK;
}

static int merge(struct encoder *e)
{
    int rc = ACCEL_OK;
    e->n_heap = 0;
    for (uint32_t i = 1; i < e->n_symbols && !rc; i++)
        rc = try_pair(e, i - 1, i);
    while (e->n_heap && !rc) {
        struct pair p = pop(e);
        struct symbol *a = &e->symbol[p.left], *b = &e->symbol[p.right];
        if (!a->len || !b->len || a->len + b->len != p.len)
            continue;
        a->len = p.len;
        a->id = p.id;
        a->next = b->next;
        b->len = 0;
        if (b->next != NONE)
            e->symbol[b->next].prev = p.left;
        rc = try_pair(e, a->prev, p.left);
        if (!rc)
            rc = try_pair(e, p.left, a->next);
    }
    return rc;
}

/* Count the ids, or write them when ids is not NULL. Checks that every byte has a token. */
static int emit(const struct encoder *e, uint32_t *ids, size_t *count, struct accel_error *err)
{
    const struct tokenizer *t = e->t;
    size_t n = 0;
    if (t->add_bos && n++ == 0 && ids)
        ids[0] = t->bos;
    for (uint32_t i = 0; i < e->n_symbols; i = e->symbol[i].next) {
        const struct symbol *s = &e->symbol[i];
        if (s->id != NONE) {
            if (ids)
                ids[n] = s->id;
            n++;
            continue;
        }
        for (uint32_t k = 0; k < s->len; k++, n++) {
            unsigned byte = (unsigned char)e->text[s->at + k];
            if (t->byte_id[byte] == NONE)
                return accel_fail(err, ACCEL_E_CORRUPT,
                                  "%s: the vocabulary has no token for byte 0x%02x of the text: "
                                  "leave that character out, or use a model with byte tokens",
                                  t->label, byte);
            if (ids)
                ids[n] = t->byte_id[byte];
        }
    }
    if (t->add_eos) {
        if (ids)
            ids[n] = t->eos;
        n++;
    }
    *count = n;
    return ACCEL_OK;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, uint32_t **ids,
                     size_t *count, struct accel_error *err)
{
    if (!t || (!text && len) || !ids || !count)
        return accel_fail(err, ACCEL_E_ARG, "tokenizer_encode: nothing may be NULL");
    if (len > TOKENIZER_MAX_TEXT)
        return accel_fail(err, ACCEL_E_ARG,
                          "the text has %zu bytes, %zu is the most: encode it in parts", len,
                          TOKENIZER_MAX_TEXT);
    struct encoder e = { .t = t };
    uint32_t *made = NULL;
    size_t n = 0, bytes = 0;
    int rc = replace_spaces(&e, text, len);
    if (!rc)
        rc = cut_symbols(&e);
    if (!rc)
        rc = merge(&e);
    if (rc)
        goto out;
    rc = emit(&e, NULL, &n, err);
    if (rc)
        goto out;
    if (!mul_size(n + 1, sizeof *made, &bytes) || !(made = malloc(bytes))) {
        rc = ACCEL_E_NOMEM;
        goto out;
    }
    rc = emit(&e, made, &n, err);
    if (rc)
        goto out;
    *ids = made;
    *count = n;
    made = NULL;
out:
    free(made);
    free(e.text);
    free(e.symbol);
    free(e.heap);
    if (rc == ACCEL_E_NOMEM)
        accel_fail(err, rc, "%s: out of memory while encoding %zu bytes of text", t->label, len);
    return rc;
}

/* ---- decoding ---- */

size_t tokenizer_piece(const struct tokenizer *t, uint32_t id, char *out, size_t cap)
{
    if (id >= t->n || t->type[id] == TYPE_CONTROL || t->type[id] == TYPE_UNKNOWN)
        return 0;
    struct gguf_str s = t->token[id].text;
    int byte = token_byte(t, id);
    if (byte >= 0) {
        if (cap)
            out[0] = (char)byte;
        return 1;
    }
    size_t n = 0;
    for (size_t i = 0; i < s.len; n++) {
        bool space = s.len - i >= SPACE_BYTES && !memcmp(s.data + i, SPACE, SPACE_BYTES);
        if (n < cap)
            out[n] = space ? ' ' : s.data[i];
        i += space ? SPACE_BYTES : 1;
    }
    return n;
}
