/* enumerate.c - is an output ever one? All values of the inputs named, by case splits and by simulating 512 cases at once.
 *   enumerate FILE.aig KEYS.txt
 * FILE.aig: combinational, one output (abc: frames, orpos).
 * KEYS.txt: the number of each input that is tried with both values, in the order in which cases are split; with a minus
 * before it: that input is zero.
 * All other inputs (registers before reset, bits that the RTL leaves open) are X: what depends on one is told, not assumed.
 * Ends with 0: never; 1: it is, the values are printed; 2: X reaches the output, so nothing is shown.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    INSIDE = 9, /* inputs whose values are the bits of one vector: 2^9 = 512 */
    ZERO = INT32_MAX,
    LOOK = 2,  /* how deep and_of looks for what is implied */
    LEAF = 18, /* no further split at so many: a vector costs less than a split */
};
typedef uint64_t vec __attribute__((vector_size(1 << (INSIDE - 3))));

/* Literals as in AIGER: twice the node, plus one if inverted. Node 0 is constant zero; 1..leaves are inputs, then ANDs. */
struct net {
    uint32_t leaves, nodes, out;
    uint32_t *input;    /* of each leaf: which input of the file */
    uint32_t (*fan)[2]; /* of each AND */
};
static uint32_t
    *order_of; /* of each input of the file: its place among the keys, from 1; 0: X; ZERO: zero */
static uint32_t places; /* the number of keys */
static uint64_t leaves; /* nets that were simulated */
static bool *chosen;    /* values of the keys that have been split, for a counterexample */
static bool met_x;

static void fail(const char *what)
{
    fprintf(stderr, "enumerate: %s\n", what);
    exit(3);
}
static void *array(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    if (!p)
        fail("out of memory");
    return p;
}
static void drop(struct net *n)
{
    free(n->input);
    free(n->fan);
}

static uint32_t number(FILE *f)
{ /* AIGER's differences: seven bits a byte */
    uint32_t x = 0;
    for (int shift = 0, c; shift < 32; shift += 7) {
        if ((c = getc(f)) == EOF)
            break;
        x |= (uint32_t)(c & 127) << shift;
        if (!(c & 128))
            return x;
    }
    fail("the file ends early");
    return 0;
}
static struct net load(const char *path)
{
    struct net n = { 0 };
    unsigned max = 0, in = 0, latches = 0, outs = 0, ands = 0;
    FILE *f = fopen(path, "rb");
    if (!f || fscanf(f, "aig %u %u %u %u %u", &max, &in, &latches, &outs, &ands) != 5 || latches ||
        outs != 1 || max != in + ands || fscanf(f, " %" SCNu32, &n.out) != 1 || getc(f) != '\n')
        fail("not a combinational AIGER file of one output");
    n.leaves = in;
    n.nodes = 1 + in + ands;
    n.input = array(n.nodes, sizeof *n.input);
    n.fan = array(n.nodes, sizeof *n.fan);
    for (uint32_t i = 0; i < in; i++)
        n.input[1 + i] = i;
    for (uint32_t i = 1 + in; i < n.nodes; i++) {
        n.fan[i][0] = 2 * i - number(f);
        n.fan[i][1] = n.fan[i][0] - number(f);
        if (n.fan[i][0] >= 2 * i || n.fan[i][1] > n.fan[i][0])
            fail("an AND of what comes after it");
    }
    fclose(f);
    return n;
}

static bool *cone(const struct net *n)
{ /* what the output depends on */
    bool *needed = array(n->nodes, sizeof *needed);
    needed[n->out / 2] = true;
    for (uint32_t i = n->nodes - 1; i > n->leaves; i--)
        if (needed[i])
            needed[n->fan[i][0] / 2] = needed[n->fan[i][1] / 2] = true;
    return needed;
}

/* ANDs are shared, and each is simplified by what the other side implies: a multiplexer made of XORs (a ^ s & (a ^ b)) would
 * else depend on what it does not choose, whatever s is. */
struct hash {
    uint32_t *table, slots, room;
};
static uint32_t and_of(struct net *n, struct hash *h, uint32_t a, uint32_t b, int look);
static bool is_and(const struct net *n, uint32_t lit)
{
    return lit / 2 > n->leaves;
}

static uint32_t given(struct net *n, struct hash *h, uint32_t lit, uint32_t known, int look)
{ /* lit, if known is one */
    if (lit / 2 == known / 2)
        return lit == known;
    if (look == 0 || !is_and(n, lit))
        return lit;
    const uint32_t p = n->fan[lit / 2][0], q = n->fan[lit / 2][1];
    const uint32_t p1 = given(n, h, p, known, look - 1), q1 = given(n, h, q, known, look - 1);
    return p1 == p && q1 == q ? lit : and_of(n, h, p1, q1, 0) ^ (lit & 1);
}
static uint32_t and_of(struct net *n, struct hash *h, uint32_t a, uint32_t b, int look)
{
    if (a < b) {
        const uint32_t t = a;
        a = b;
        b = t;
    }
    if (b == 0 || a == (b ^ 1))
        return 0;
    if (b == 1 || a == b)
        return a;
    if (a & b & 1 && is_and(n, a) && is_and(n, b)) /* !(x y) !(!x y) is !y */
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++)
                if (n->fan[a / 2][i] == (n->fan[b / 2][j] ^ 1) &&
                    n->fan[a / 2][!i] == n->fan[b / 2][!j])
                    return n->fan[a / 2][!i] ^ 1;
    if (look > 0 && n->nodes + 64 < h->room) {
        const uint32_t a1 = given(n, h, a, b, look), b1 = given(n, h, b, a, look);
        if (a1 != a)
            return and_of(n, h, a1, b, 0);
        if (b1 != b)
            return and_of(n, h, a, b1, 0);
    }
    uint32_t at = (a * 2654435761u ^ b * 2246822519u) & (h->slots - 1);
    while (h->table[at] && (n->fan[h->table[at]][0] != a || n->fan[h->table[at]][1] != b))
        at = (at + 1) & (h->slots - 1);
    if (!h->table[at]) {
        h->table[at] = n->nodes++;
        n->fan[h->table[at]][0] = a;
        n->fan[h->table[at]][1] = b;
    }
    return 2 * h->table[at];
}

/* The net with one leaf set to a value (leaf 0: none), without what did not matter and what that decides. */
static struct net restricted(const struct net *from, uint32_t leaf, bool value)
{
    struct net to = { 0 };
    struct hash hash = { .slots = 64 };
    uint32_t *lit = array(from->nodes, sizeof *lit);
    bool *needed = cone(from);
    to.input = array(from->nodes, sizeof *to.input);
    to.fan = array(2 * (size_t)from->nodes, sizeof *to.fan);
    for (uint32_t i = 1; i <= from->leaves; i++) {
        if (!needed[i])
            continue;
        if (i == leaf || order_of[from->input[i]] == ZERO) {
            lit[i] = i == leaf && value;
            continue;
        }
        to.input[++to.leaves] = from->input[i];
        lit[i] = 2 * to.leaves;
    }
    to.nodes = to.leaves + 1;
    while (hash.slots < 4 * from->nodes)
        hash.slots *= 2;
    hash.table = array(hash.slots, sizeof *hash.table);
    hash.room = 2 * from->nodes;
    for (uint32_t i = from->leaves + 1; i < from->nodes; i++)
        if (needed[i])
            lit[i] = and_of(&to, &hash, lit[from->fan[i][0] / 2] ^ (from->fan[i][0] & 1),
                            lit[from->fan[i][1] / 2] ^ (from->fan[i][1] & 1), LOOK);
    to.out = lit[from->out / 2] ^ (from->out & 1);
    free(lit);
    free(needed);
    free(hash.table);
    return to;
}

static void counterexample(const struct net *n, uint64_t values, const uint32_t *key, uint32_t keys,
                           bool unknown)
{
    if (unknown) {
        met_x = true;
        return;
    }
    for (uint32_t k = 0; k < keys; k++)
        chosen[order_of[n->input[key[k]]]] = values >> k & 1;
    printf("refuted:");
    for (uint32_t i = 1; i <= places; i++)
        printf("%s%d", i % 8 == 1 ? " " : "", chosen[i]);
    printf(" (the keys in their order)\n");
    exit(1);
}

/* All values of the keys in the net. With X among the leaves each node has two vectors: may be one, may be zero. */
static void simulate(const struct net *n, const uint32_t *key, uint32_t keys, bool has_x)
{
    static const uint64_t pattern[6] = {
        0xaaaaaaaaaaaaaaaa, 0xcccccccccccccccc, 0xf0f0f0f0f0f0f0f0,
        0xff00ff00ff00ff00, 0xffff0000ffff0000, 0xffffffff00000000
    };
    const uint32_t inside = keys < INSIDE ? keys : INSIDE;
    static vec *one, *zero;
    static uint32_t room;
    const vec none = { 0 }, all = ~none;
    if (room < n->nodes) {
        free(one);
        free(zero);
        room = n->nodes;
        one = aligned_alloc(sizeof *one, room * sizeof *one);
        zero = aligned_alloc(sizeof *zero, room * sizeof *zero);
        if (!one || !zero)
            fail("out of memory");
    }
    one[0] = none;
    zero[0] = all;
    for (uint32_t i = 1; i <= n->leaves; i++)
        one[i] = zero[i] = all;
    for (uint32_t k = 0; k < inside; k++) {
        vec v = none;
        for (uint32_t w = 0; w < sizeof v / 8; w++)
            v[w] = k < 6 ? pattern[k] : w >> (k - 6) & 1 ? ~UINT64_C(0) : 0;
        one[key[k]] = v;
        zero[key[k]] = ~v;
    }
    for (uint64_t high = 0; high < UINT64_C(1) << (keys - inside); high++) {
        for (uint32_t k = inside; k < keys; k++) {
            one[key[k]] = high >> (k - inside) & 1 ? all : none;
            zero[key[k]] = ~one[key[k]];
        }
        if (has_x)
            for (uint32_t i = n->leaves + 1; i < n->nodes; i++) {
                const uint32_t a = n->fan[i][0], b = n->fan[i][1];
                one[i] = (a & 1 ? zero[a / 2] : one[a / 2]) & (b & 1 ? zero[b / 2] : one[b / 2]);
                zero[i] = (a & 1 ? one[a / 2] : zero[a / 2]) | (b & 1 ? one[b / 2] : zero[b / 2]);
            }
        else
            for (uint32_t i = n->leaves + 1; i < n->nodes; i++) {
                const uint32_t a = n->fan[i][0], b = n->fan[i][1];
                one[i] = (one[a / 2] ^ -(uint64_t)(a & 1)) & (one[b / 2] ^ -(uint64_t)(b & 1));
            }
        const vec is = n->out & 1 ? (has_x ? zero[n->out / 2] : ~one[n->out / 2]) : one[n->out / 2];
        for (uint32_t w = 0; w < sizeof is / 8; w++)
            if (is[w]) {
                const unsigned bit = (unsigned)__builtin_ctzll(is[w]);
                const vec not = n->out & 1 ? one[n->out / 2] : zero[n->out / 2];
                counterexample(n, high << inside | ((w * 64 + bit) & ((UINT64_C(1) << inside) - 1)),
                               key, keys, has_x && not [w] >> bit & 1);
            }
    }
}

static void solve(const struct net *n)
{
    uint32_t keys = 0, first = 0, key[LEAF + 1];
    bool has_x = false, *needed = cone(n);
    for (uint32_t i = 1; i <= n->leaves; i++) {
        const uint32_t place = order_of[n->input[i]];
        if (!needed[i])
            continue;
        if (place == 0) {
            has_x = true;
            continue;
        }
        if (keys <= LEAF)
            key[keys++] = i;
        if (first == 0 || place < order_of[n->input[first]])
            first = i;
    }
    free(needed);
    if (n->out == 0)
        return;
    if (keys <= LEAF) {
        simulate(n, key, keys, has_x);
        leaves++;
        return;
    }
    for (int value = 0; value < 2; value++) {
        struct net half = restricted(n, first, value);
        chosen[order_of[n->input[first]]] = value;
        solve(&half);
        drop(&half);
    }
}

int main(int argc, char **argv)
{
    long key;
    FILE *f = argc == 3 ? fopen(argv[2], "r") : NULL;
    if (!f)
        fail("usage: enumerate FILE.aig KEYS.txt");
    struct net whole = load(argv[1]), n;
    uint32_t *place = array(whole.leaves + 1, sizeof *place);
    while (fscanf(f, "%ld", &key) == 1) {
        const uint32_t input = (uint32_t)labs(key);
        if (input >= whole.leaves || place[input])
            fail("a key that is no input, or twice");
        place[input] = key < 0 ? ZERO : ++places;
    }
    fclose(f);
    order_of = place;
    chosen = array(places + 1, sizeof *chosen);
    n = restricted(&whole, 0, false);
    drop(&whole);
    uint32_t in_cone = 0;
    for (uint32_t i = 1; i <= n.leaves; i++)
        in_cone += place[n.input[i]] != 0;
    printf("%" PRIu32 " inputs that matter, %" PRIu32 " that are X, %" PRIu32 " gates\n", in_cone,
           n.leaves - in_cone, n.nodes - n.leaves - 1);
    fflush(stdout);
    solve(&n);
    printf("%s: 2^%" PRIu32 " cases in %" PRIu64 " nets\n",
           met_x ? "open, X reaches the output" : "proved", in_cone, leaves);
    drop(&n);
    free(place);
    free(chosen);
    return met_x ? 2 : 0;
}
