/* fault_plan.c - fault plans: reading, writing, making them up.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fault_plan.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* '@' stands for when, '#' for the value, from `least` to `most`. */
static const struct pattern {
    const char *text;
    uint32_t least, most;
} patterns[FAULT_KINDS] = {
    [FAULT_DROP] = { "drop packet @", 0, 0 },
    [FAULT_DAMAGE] = { "damage packet @", 0, 0 },
    [FAULT_DUPLICATE] = { "duplicate packet @", 0, 0 },
    [FAULT_TRUNCATE] = { "truncate packet @ to # bytes", 0, 1023 },
    [FAULT_FLIP] = { "flip bit # of byte @", 0, 7 },
    [FAULT_STALL_OUT] = { "stall out at packet @", 0, 0 },
    [FAULT_STALL_IN] = { "stall in at packet @", 0, 0 },
    [FAULT_NAK] = { "nak # packets from @", 1, 100000 },
    [FAULT_RESET] = { "reset at byte @", 0, 0 },
    [FAULT_UNPLUG] = { "unplug at byte @", 0, 0 },
    [FAULT_REPLUG] = { "unplug at byte @, replug after # ms", 1, 3600000 },
    [FAULT_HANG] = { "firmware hangs at cycle @", 0, 0 },
};

#define LATEST 1000000000000ull /* packet, byte or cycle */

struct word {
    const char *at;
    size_t length;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool ends_fault(char c)
{
    return c == '\0' || c == '\n' || c == ';' || c == '#';
}

/* The next word, moving *text behind it; a comma is one. Empty at the end of the fault. */
static struct word next_word(const char **text)
{
    while (is_blank(**text))
        ++*text;
    struct word w = { *text, 0 };
    while (!ends_fault(w.at[w.length]) && !is_blank(w.at[w.length]) &&
           (w.at[w.length] != ',' || w.length == 0) && (w.length == 0 || w.at[0] != ','))
        w.length++;
    *text += w.length;
    return w;
}

/* The same for a pattern, where '#' is a word. */
static struct word pattern_word(const char **text)
{
    while (**text == ' ')
        ++*text;
    struct word w = { *text, 0 };
    if (**text == ',')
        w.length = 1;
    else
        w.length = strcspn(*text, " ,");
    *text += w.length;
    return w;
}

static bool same(struct word a, struct word b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

/* A number in digits alone, `limit` at most. */
static bool number(struct word w, uint64_t limit, uint64_t *v)
{
    *v = 0;
    for (size_t i = 0; i < w.length; i++) {
        if (w.at[i] < '0' || w.at[i] > '9' || *v > limit)
            return false;
        *v = *v * 10 + (uint64_t)(w.at[i] - '0');
    }
    return w.length && *v <= limit;
}

struct trial {
    size_t words;              /* that fit */
    struct word wrong, wanted; /* the first that does not */
};

/* Whether the fault at *text is one of this pattern; then *text is behind it. */
static bool try_pattern(const struct pattern *p, const char **text, struct fault *f,
                        struct trial *trial)
{
    const char *wanted = p->text, *here = *text;
    for (trial->words = 0;; trial->words++) {
        uint64_t v = 0;
        const struct word want = pattern_word(&wanted), w = next_word(&here);
        bool fits = false;
        if (want.length && *want.at == '@') {
            fits = number(w, LATEST, &v) && v;
            f->at = v;
        } else if (want.length && *want.at == '#') {
            fits = number(w, p->most, &v) && v >= p->least;
            f->value = (uint32_t)v;
        } else {
            fits = same(want, w);
        }
        trial->wrong = w;
        trial->wanted = want;
        if (!fits)
            return false;
        if (!w.length)
            break;
    }
    *text = here;
    return true;
}

static void complain(const struct trial *t, const struct pattern *p, unsigned line, char *why,
                     size_t size)
{
    char wanted[64], wrong[48];
    if (!t->wanted.length)
        snprintf(wanted, sizeof wanted, "nothing more");
    else if (*t->wanted.at == '@')
        snprintf(wanted, sizeof wanted, "a number from 1 to %llu", LATEST);
    else if (*t->wanted.at == '#')
        snprintf(wanted, sizeof wanted, "a number from %u to %u", (unsigned)p->least,
                 (unsigned)p->most);
    else
        snprintf(wanted, sizeof wanted, "'%.*s'", (int)t->wanted.length, t->wanted.at);
    snprintf(wrong, sizeof wrong, t->wrong.length ? "'%.*s'" : "its end",
             (int)(t->wrong.length < 40 ? t->wrong.length : 40), t->wrong.at);
    if (t->words)
        snprintf(why, size, "line %u: %s where %s is expected: \"%s\"", line, wrong, wanted,
                 p->text);
    else
        snprintf(why, size,
                 "line %u: %s is no fault: drop, damage, duplicate, truncate, flip, stall, nak, "
                 "reset, unplug, firmware",
                 line, wrong);
}

static int parse_fault(const char **text, unsigned line, struct fault_plan *plan, char *why,
                       size_t size)
{
    struct trial best = { 0 };
    const struct pattern *nearest = &patterns[0];
    struct fault f = { 0 };
    for (unsigned k = 0; k < FAULT_KINDS; k++) {
        struct trial t;
        f = (struct fault){ .what = (enum fault_what)k };
        if (try_pattern(&patterns[k], text, &f, &t)) {
            if (plan->count == FAULT_PLAN_MOST) {
                snprintf(why, size, "line %u: more than %d faults", line, FAULT_PLAN_MOST);
                return -1;
            }
            plan->fault[plan->count++] = f;
            return 0;
        }
        if (k == 0 || t.words > best.words) {
            best = t;
            nearest = &patterns[k];
        }
    }
    complain(&best, nearest, line, why, size);
    return -1;
}

int fault_plan_parse(const char *text, struct fault_plan *plan, char *why, size_t size)
{
    unsigned line = 1;
    plan->count = 0;
    for (;;) {
        const char *ahead = text;
        if (next_word(&ahead).length && parse_fault(&text, line, plan, why, size))
            return -1;
        text += strspn(text, " \t\r");
        if (*text == '#')
            text += strcspn(text, "\n");
        if (*text == '\0')
            return 0;
        line += *text == '\n';
        text++; /* what ended the fault */
    }
}

static size_t print_fault(const struct fault *f, char *out, size_t room)
{
    size_t n = 0;
    for (const char *p = patterns[f->what].text; *p && n + 1 < room; p++) {
        int wrote = 1;
        if (*p == '@')
            wrote = snprintf(out + n, room - n, "%llu", (unsigned long long)f->at);
        else if (*p == '#')
            wrote = snprintf(out + n, room - n, "%u", (unsigned)f->value);
        else
            out[n] = *p;
        n += wrote > 0 ? (size_t)wrote : 0;
    }
    return n;
}

void fault_plan_print(const struct fault_plan *plan, const char *between,
                      char text[FAULT_PLAN_TEXT])
{
    size_t n = 0;
    for (unsigned i = 0; i < plan->count; i++) {
        if (i) {
            memcpy(text + n, between, strlen(between));
            n += strlen(between);
        }
        n += print_fault(&plan->fault[i], text + n, FAULT_PLAN_TEXT - n);
    }
    text[n] = '\0';
}

/* ---- made up ---- */

static uint32_t below(uint64_t *state, uint32_t n) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((((z ^ (z >> 31)) >> 32) * n) >> 32);
}

void fault_plan_random(struct fault_plan *plan, uint64_t seed, uint32_t packets, uint32_t bytes)
{
    plan->count = 1 + below(&seed, 5);
    for (unsigned i = 0; i < plan->count; i++) {
        struct fault *f = &plan->fault[i];
        f->what = (enum fault_what)below(&seed, FAULT_KINDS);
        if (f->what == FAULT_UNPLUG && below(&seed, 4))
            f->what = FAULT_REPLUG; /* what is gone for good ends the plan */
        const struct pattern *p = &patterns[f->what];
        const bool counts_packets = strstr(p->text, "packet") != NULL;
        f->at = 1 + below(&seed, counts_packets ? packets : bytes);
        const uint32_t most = f->what == FAULT_NAK ? 100 : f->what == FAULT_REPLUG ? 200 : p->most;
        f->value = p->least + below(&seed, most - p->least + 1);
    }
}
