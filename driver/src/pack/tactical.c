/* tactical.c - Bit-Tactical's schedule (arXiv 1803.03688): words without most of the zero weights, for tclp and tcle.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A word gives each lane of each row one weight out of a window of three steps: its own lane's in any of them, or a
 * near lane's, T<2,5>. All rows of the tile move on together, by as many steps as have nothing left in any row.
 *
 * The paper fills a word's free slots greedily. Here weights and slots of all words of the chunk so far are matched as
 * well as can be (augmenting paths), early steps first: a weight that got a slot keeps one, though perhaps another, in
 * an earlier word. What is left over is then the least possible for these words. tests/unit/test_tactical.c
 * compares: at 50 % zeros no schedule of the chunks tried takes fewer words; the paper's take up to 3 % (fewest
 * candidates first) or 17 % more (most first). */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 3,   /* of the window */
    PLACES = 8,  /* that a slot chooses from */
    CELLS = 256, /* weights of a row in a chunk, at most; a chunk has no more words than steps */
    NONE = CELLS
};

/* What select 0..7 means: so many steps after the window's first, so many lanes up, around the end. */
static const struct {
    int8_t step, lane;
} place[PLACES] = {
    { 0, 0 }, { 1, 0 }, { 2, 0 }, { 1, -1 }, { 1, 1 }, { 2, -2 }, { 2, 2 }, { 1, 3 }
};

/* Weight and slot are numbered step * lanes + lane and word * lanes + lane. */
struct row {
    uint16_t slot[CELLS];   /* of each weight, or NONE: not yet */
    uint16_t weight[CELLS]; /* of each slot, or NONE */
};

struct schedule {
    const struct pack_chunk *c;
    uint32_t words;
    int first[CELLS];        /* step of each word's window */
    int word[CELLS + STEPS]; /* whose window begins at step i - STEPS + 1, or -1 */
    struct row rows[];
};

static bool has_weight(const struct schedule *s, uint32_t r, int step, uint32_t lane)
{
    return step >= 0 && step < (int)s->c->steps &&
           s->c->codes[r * s->c->stride + (uint32_t)step * s->c->shape->lanes + lane] != s->c->zero;
}

/* The slot that sees weight w at a place of its window, or NONE. */
static uint32_t slot_at(const struct schedule *s, uint32_t w, int at)
{
    const uint32_t lanes = s->c->shape->lanes;
    const int word = s->word[(int)(w / lanes) - place[at].step + STEPS - 1];
    const uint32_t lane = (uint32_t)((int)w - place[at].lane) & (lanes - 1);
    return word < 0 ? NONE : (uint32_t)word * lanes + lane;
}

/* Find weight w a slot, moving others aside. Slots in `dead` lead nowhere; a search that fails adds what it saw. */
static bool place_weight(const struct schedule *s, struct row *row, uint32_t w, bool dead[CELLS])
{
    uint16_t queue[CELLS + 1], seen[CELLS], by[CELLS]; /* by: the weight that looked at a slot */
    uint32_t head = 0, tail = 0, count = 0;
    queue[tail++] = (uint16_t)w;
    while (head < tail) {
        uint16_t v = queue[head++];
        for (int at = 0; at < PLACES; at++) {
            uint32_t slot = slot_at(s, v, at);
            if (slot == NONE || dead[slot])
                continue;
            dead[slot] = true;
            seen[count++] = (uint16_t)slot;
            by[slot] = v;
            if (row->weight[slot] != NONE) {
                queue[tail++] = row->weight[slot];
                continue;
            }
            while (slot != NONE) { /* each weight on the way moves on by one */
                uint16_t mover = by[slot], left = row->slot[mover];
                row->slot[mover] = (uint16_t)slot;
                row->weight[slot] = mover;
                slot = left;
            }
            while (count)
                dead[seen[--count]] = false;
            return true;
        }
    }
    return false;
}

/* One word more, its window from step `first` on. Returns the first step in which a row has weights left. */
static uint32_t add_word(struct schedule *s, int first)
{
    const uint32_t lanes = s->c->shape->lanes;
    uint32_t left = s->c->steps;
    s->first[s->words] = first;
    s->word[first + STEPS - 1] = (int)s->words++;
    for (uint32_t r = 0; r < s->c->shape->rows; r++) {
        struct row *row = &s->rows[r];
        bool dead[CELLS] = { false };
        uint32_t clear = s->c->steps;
        for (int step = first < 0 ? 0 : first; step < (int)s->c->steps; step++)
            for (uint32_t l = 0; l < lanes; l++) {
                uint32_t w = (uint32_t)step * lanes + l;
                if (has_weight(s, r, step, l) && row->slot[w] == NONE &&
                    (step >= first + STEPS || !place_weight(s, row, w, dead)) &&
                    clear > (uint32_t)step)
                    clear = (uint32_t)step;
            }
        left = clear < left ? clear : left;
    }
    return left;
}

static void find_words(struct schedule *s)
{
    const int steps = (int)s->c->steps;
    int first = steps < STEPS ? steps - STEPS : 0; /* no zeros behind the last step */
    for (;;) {
        int left = (int)add_word(s, first);
        if (left == steps)
            return;
        first = left - first < STEPS ? left : first + STEPS;
    }
}

static int select_of(const struct schedule *s, uint32_t w, uint32_t slot)
{
    int at = 0;
    while (slot_at(s, w, at) != slot)
        at++;
    return at;
}

static int put_words(const struct schedule *s, struct beats *out, struct accel_error *err)
{
    const struct pack_chunk *c = s->c;
    const uint32_t rows = c->shape->rows, lanes = c->shape->lanes;
    const unsigned extra = c->kind->extra_planes;
    const size_t size = (size_t)rows * lanes;
    uint8_t *code = malloc(2 * size), *select = code + size;
    uint8_t *to = code ? beats_add(out, (size_t)s->words * (extra + c->planes)) : NULL;
    if (!to) {
        free(code);
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: packing codes");
    }
    for (uint32_t word = 0; word < s->words; word++) {
        memset(code, c->zero, size);
        memset(select, 0, size);
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t l = 0; l < lanes; l++) {
                uint32_t slot = word * lanes + l, w = s->rows[r].weight[slot];
                if (w == NONE)
                    continue;
                code[r * lanes + l] = c->codes[r * c->stride + w];
                select[r * lanes + l] = (uint8_t)select_of(s, w, slot);
            }
        int advance = s->first[word] - (word ? s->first[word - 1] : -STEPS);
        pack_planes(to, out->bytes, select, lanes, rows, lanes, extra);
        pack_planes(to + extra * out->bytes, out->bytes, code, lanes, rows, lanes, c->planes);
        to[out->bytes - 1] = pack_walk(word + 1 == s->words, (unsigned)advance);
        to += (extra + c->planes) * out->bytes;
    }
    free(code);
    return ACCEL_OK;
}

int tactical_pack_chunk(const struct pack_chunk *c, struct beats *out, struct accel_error *err)
{
    /* at most 256 rows of 1 KB */
    struct schedule *s = malloc(sizeof *s + c->shape->rows * sizeof s->rows[0]);
    if (!s)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: packing codes");
    s->c = c;
    s->words = 0;
    for (int i = 0; i < CELLS + STEPS; i++)
        s->word[i] = -1;
    for (uint32_t r = 0; r < c->shape->rows; r++)
        for (int i = 0; i < CELLS; i++)
            s->rows[r].slot[i] = s->rows[r].weight[i] = NONE;
    find_words(s);
    int rc = put_words(s, out, err);
    free(s);
    return rc;
}
