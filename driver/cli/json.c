/* json.c - the JSON writer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put_string(FILE *out, const char *s, size_t len);

/* Comma, new line, indentation and key in front of a value. */
static void lead(struct json *j, const char *key)
{
    if (j->used >> j->depth & 1)
        putc(',', j->out);
    j->used |= 1u << j->depth;
    if (j->depth > 0) {
        putc('\n', j->out);
        for (unsigned i = 0; i < j->depth; i++)
            fputs("  ", j->out);
    }
    if (key) {
        put_string(j->out, key, strlen(key));
        fputs(": ", j->out);
    }
}

static void begin(struct json *j, const char *key, char bracket)
{
    lead(j, key);
    putc(bracket, j->out);
    j->depth++;
    j->used &= ~(1u << j->depth);
}

static void end(struct json *j, char bracket)
{
    int some = (int)(j->used >> j->depth & 1);
    j->depth--;
    if (some) {
        putc('\n', j->out);
        for (unsigned i = 0; i < j->depth; i++)
            fputs("  ", j->out);
    }
    putc(bracket, j->out);
    if (j->depth == 0)
        putc('\n', j->out);
}

void json_object(struct json *j, const char *key)
{
    begin(j, key, '{');
}

void json_array(struct json *j, const char *key)
{
    begin(j, key, '[');
}

void json_end_object(struct json *j)
{
    end(j, '}');
}

void json_end_array(struct json *j)
{
    end(j, ']');
}

/* Length of the well-formed UTF-8 sequence at s, or 0. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (n <= 1)
        return n;
    if (n > left)
        return 0;
    uint32_t c = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

static void put_string(FILE *out, const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;
    putc('"', out);
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length(u + i, len - i);
        if (n == 0) {
            fputs("\\ufffd", out);
            n = 1;
        } else if (n > 1) {
            fwrite(s + i, 1, n, out);
        } else if (u[i] == '"' || u[i] == '\\') {
            putc('\\', out);
            putc(u[i], out);
        } else if (u[i] == '\n') {
            fputs("\\n", out);
        } else if (u[i] < 0x20 || u[i] == 0x7f) {
            fprintf(out, "\\u%04x", u[i]);
        } else {
            putc(u[i], out);
        }
        i += n;
    }
    putc('"', out);
}

void json_text(struct json *j, const char *key, const char *text, size_t len)
{
    lead(j, key);
    put_string(j->out, text, len);
}

void json_string(struct json *j, const char *key, const char *text)
{
    json_text(j, key, text, strlen(text));
}

void json_int(struct json *j, const char *key, uint64_t v)
{
    lead(j, key);
    fprintf(j->out, "%llu", (unsigned long long)v);
}

void json_number(struct json *j, const char *key, double v)
{
    char text[40];
    if (!isfinite(v)) {
        json_null(j, key);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (!(strtod(text, NULL) < v) && !(strtod(text, NULL) > v))
            break;
    }
    lead(j, key);
    fputs(text, j->out);
}

void json_bool(struct json *j, const char *key, int v)
{
    lead(j, key);
    fputs(v ? "true" : "false", j->out);
}

void json_null(struct json *j, const char *key)
{
    lead(j, key);
    fputs("null", j->out);
}
