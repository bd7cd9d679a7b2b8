/* toggles.c - how much a tile's netlist switches while it does a recorded job.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Usage: toggles NETLIST.blif TRACE.fst
 *
 * NETLIST is what synth/tile.sh makes of a tile as generic gates; TRACE a waveform of a core with that tile, whose
 * instance is named "tile". In every cycle of the trace the tile's inputs are put on the netlist, its outputs are held
 * against the tile's, and the nets that changed since the last cycle are counted. Prints one JSON object. A netlist
 * whose outputs differ is an error: nothing is counted of it.
 *
 * Weight of a net: the transistors of the cell that drives it in static CMOS, and two for each pin it drives. Zero delay:
 * a net changes at most once a cycle, so glitches are not seen. docs/compare.md says what follows from that. */
#define _POSIX_C_SOURCE 200809L
#include "fstapi.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum cell_type { AND, OR, XOR, MUX, NOT, BUF, FF, CELL_TYPES };
static const char *const type_names[CELL_TYPES] = {
    "and", "or", "xor", "mux", "not", "wire", "ff"
};
static const unsigned transistors[CELL_TYPES] = { 6, 6, 10, 10, 2, 0, 24 };
enum { PIN_WEIGHT = 2, CLOCK_PIN_WEIGHT = 4 };

struct cell {
    enum cell_type type;
    uint32_t a, b, s, y; /* FF: a = D, b = enable, s = reset */
    bool has_enable, enable_low, has_reset, reset_low, reset_value, reset_needs_enable;
};

struct net {
    char *name;
    uint32_t next;   /* in its hash bucket, + 1 */
    uint32_t driver; /* cell + 1; 0: an input or a constant */
    uint32_t fanout;
};

struct port {
    char name[32];
    uint32_t width, handle;
    uint32_t *nets;
    uint8_t *value; /* '0', '1', 'x' of each bit, lowest first, as the trace has it */
};

/* Gates of one type that do not depend on each other. */
struct run {
    enum cell_type type;
    uint32_t begin, end;
};

enum { BUCKETS = 1 << 18, MAX_PORTS = 64, MAX_LINE = 1 << 22 };

struct netlist {
    struct net *nets;
    size_t net_count, net_room;
    struct cell *cells;
    size_t cell_count, cell_room;
    uint32_t *bucket;
    uint32_t *order; /* gates, inputs before outputs */
    size_t gates;
    struct run *runs; /* the same gates by level and type, and their operands */
    size_t run_count;
    uint32_t *a, *b, *s;
    uint32_t
        first_gate; /* net: the gates' own follow each other from here on, the flip-flops' stand before them */
    uint32_t first_ff, ffs;
    uint32_t *weight; /* of a net's toggle */
    uint8_t *value, *last;
    struct port in[MAX_PORTS], out[MAX_PORTS];
    size_t ins, outs;
};

static _Noreturn void die(const char *what, const char *detail)
{
    fprintf(stderr, "toggles: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
    exit(1);
}

static void *grow(void *p, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return p;
    *room = *room ? 2 * *room : 1024;
    p = realloc(p, *room * size);
    if (!p)
        die("out of memory", NULL);
    return p;
}

static void *zeros(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    if (!p)
        die("out of memory", NULL);
    return p;
}

/* ---- the netlist ---- */

static uint32_t find_net(struct netlist *n, const char *name)
{
    uint32_t h = 2166136261u;
    for (const char *c = name; *c; c++)
        h = (h ^ (uint8_t)*c) * 16777619u;
    h %= BUCKETS;
    for (uint32_t i = n->bucket[h]; i; i = n->nets[i - 1].next)
        if (strcmp(n->nets[i - 1].name, name) == 0)
            return i - 1;
    n->nets = grow(n->nets, &n->net_room, n->net_count, sizeof *n->nets);
    char *copy = strdup(name);
    if (!copy)
        die("out of memory", NULL);
    n->nets[n->net_count] = (struct net){ .name = copy, .next = n->bucket[h] };
    n->bucket[h] = (uint32_t)++n->net_count;
    return (uint32_t)n->net_count - 1;
}

static struct cell *add_cell(struct netlist *n)
{
    n->cells = grow(n->cells, &n->cell_room, n->cell_count, sizeof *n->cells);
    n->cells[n->cell_count] = (struct cell){ .type = BUF };
    return &n->cells[n->cell_count++];
}

/* "x_i[12]" or "valid_i" joins its port. */
static void add_port_bit(struct netlist *n, struct port *ports, size_t *count, const char *token)
{
    char name[32];
    const char *bracket = strchr(token, '[');
    size_t len = bracket ? (size_t)(bracket - token) : strlen(token);
    unsigned long bit = bracket ? strtoul(bracket + 1, NULL, 10) : 0;
    if (len >= sizeof name || bit > 1u << 20)
        die("a port's name is too long", token);
    memcpy(name, token, len);
    name[len] = '\0';
    struct port *p = NULL;
    for (size_t i = 0; i < *count; i++)
        if (strcmp(ports[i].name, name) == 0)
            p = &ports[i];
    if (!p) {
        if (*count == MAX_PORTS)
            die("too many ports", NULL);
        p = &ports[(*count)++];
        memcpy(p->name, name, len + 1);
    }
    if (bit >= p->width) {
        p->nets = realloc(p->nets, (bit + 1) * sizeof *p->nets);
        if (!p->nets)
            die("out of memory", NULL);
        p->width = (uint32_t)bit + 1;
    }
    p->nets[bit] = find_net(n, token);
}

/* Flip-flop cells say in their name which edge and levels they have: $_SDFFCE_PP0P_. */
static void set_ff(struct cell *c, const char *type)
{
    const char *at = strchr(type + 2, '_');
    c->type = FF;
    if (!at || at[1] != 'P') /* the clock's rising edge */
        die("a flip-flop this program does not know", type);
    at++;
    if (strncmp(type, "$_DFF_", 6) == 0)
        return;
    if (strncmp(type, "$_DFFE_", 7) == 0) {
        c->has_enable = true;
        c->enable_low = at[1] == 'N';
        if (at[2] != '_')
            die("a flip-flop this program does not know", type);
        return;
    }
    if (strncmp(type, "$_SDFF", 6) != 0)
        die("a flip-flop this program does not know", type);
    c->has_reset = true;
    c->reset_low = at[1] == 'N';
    c->reset_value = at[2] == '1';
    c->reset_needs_enable = strncmp(type, "$_SDFFCE_", 9) == 0;
    if (strncmp(type, "$_SDFF_", 7) != 0) {
        c->has_enable = true;
        c->enable_low = at[3] == 'N';
    }
}

static void read_cell(struct netlist *n, char *type, char **save)
{
    static const struct {
        const char *name;
        enum cell_type type;
    } gates[] = { { "$_AND_", AND }, { "$_OR_", OR },   { "$_XOR_", XOR },
                  { "$_MUX_", MUX }, { "$_NOT_", NOT }, { "$_BUF_", BUF } };
    struct cell c = { .type = CELL_TYPES };
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
        if (strcmp(type, gates[i].name) == 0)
            c.type = gates[i].type;
    if (c.type == CELL_TYPES)
        set_ff(&c, type);
    for (char *pin; (pin = strtok_r(NULL, " \n", save));) {
        char *net = strchr(pin, '=');
        if (!net)
            die("a pin without a net", pin);
        *net++ = '\0';
        uint32_t id = find_net(n, net);
        if (strcmp(pin, "A") == 0 || strcmp(pin, "D") == 0)
            c.a = id;
        else if (strcmp(pin, "B") == 0 || strcmp(pin, "E") == 0)
            c.b = id;
        else if (strcmp(pin, "S") == 0 || strcmp(pin, "R") == 0)
            c.s = id;
        else if (strcmp(pin, "Y") == 0 || strcmp(pin, "Q") == 0)
            c.y = id;
        else if (strcmp(pin, "C") != 0)
            die("a pin this program does not know", pin);
    }
    *add_cell(n) = c;
}

static void read_blif(struct netlist *n, const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = malloc(MAX_LINE), *save = NULL;
    if (!f || !line)
        die("cannot read", path);
    n->bucket = zeros(BUCKETS, sizeof *n->bucket);
    uint32_t from = 0, to = 0;
    int names = 0; /* nets of the last .names line */
    find_net(n, "$true");
    while (fgets(line, MAX_LINE, f)) {
        char *word = strtok_r(line, " \n", &save);
        if (!word || *word == '#')
            continue;
        if (strcmp(word, ".inputs") == 0 || strcmp(word, ".outputs") == 0) {
            bool in = word[1] == 'i';
            for (char *t; (t = strtok_r(NULL, " \n", &save));)
                add_port_bit(n, in ? n->in : n->out, in ? &n->ins : &n->outs, t);
        } else if (strcmp(word, ".subckt") == 0 || strcmp(word, ".gate") == 0) {
            char *type = strtok_r(NULL, " \n", &save);
            if (!type)
                die("a cell without a type", path);
            read_cell(n, type, &save);
        } else if (strcmp(word, ".names") == 0) {
            names = 0;
            for (char *t; (t = strtok_r(NULL, " \n", &save)); names++) {
                from = to;
                to = find_net(n, t);
            }
            if (names > 2)
                die("a .names of more than a wire", path);
        } else if (word[0] == '1' && names == 2) {
            struct cell *c = add_cell(n);
            c->a = from;
            c->y = to;
        } else if (word[0] == '1' && names == 1 && strcmp(n->nets[to].name, "$true") != 0) {
            die("a constant this program does not know", n->nets[to].name);
        }
    }
    free(line);
    fclose(f);
    if (!n->cell_count)
        die("no cells in", path);
}

static unsigned inputs_of(const struct cell *c, uint32_t in[3])
{
    unsigned count = 0;
    in[count++] = c->a;
    if (c->type == FF) {
        if (c->has_enable)
            in[count++] = c->b;
        if (c->has_reset)
            in[count++] = c->s;
        return count;
    }
    if (c->type != NOT && c->type != BUF)
        in[count++] = c->b;
    if (c->type == MUX)
        in[count++] = c->s;
    return count;
}

/* A wire has no weight of its own: what hangs on its output hangs on its input. */
static void count_fanout(struct netlist *n)
{
    for (size_t i = 0; i < n->cell_count; i++) {
        uint32_t in[3];
        unsigned count = inputs_of(&n->cells[i], in);
        n->nets[n->cells[i].y].driver = (uint32_t)i + 1;
        for (unsigned k = 0; k < count && n->cells[i].type != BUF; k++)
            n->nets[in[k]].fanout++;
    }
    for (size_t g = n->gates; g-- > 0;) {
        const struct cell *c = &n->cells[n->order[g]];
        if (c->type == BUF) {
            n->nets[c->a].fanout += n->nets[c->y].fanout;
            n->nets[c->y].fanout = 0;
        }
    }
}

/* Gates so that each comes after what drives its inputs. */
static void sort_gates(struct netlist *n)
{
    uint8_t *state = zeros(n->cell_count, 1); /* 0 new, 1 on the stack, 2 done */
    uint32_t *stack = zeros(n->cell_count + 1, sizeof *stack);
    n->order = zeros(n->cell_count, sizeof *n->order);
    for (size_t i = 0; i < n->cell_count; i++)
        n->nets[n->cells[i].y].driver = (uint32_t)i + 1;
    for (size_t i = 0; i < n->cell_count; i++) {
        size_t depth = 0;
        if (n->cells[i].type == FF || state[i])
            continue;
        stack[depth++] = (uint32_t)i;
        while (depth) {
            uint32_t at = stack[depth - 1], in[3];
            unsigned count = inputs_of(&n->cells[at], in);
            bool waits = false;
            state[at] = 1;
            for (unsigned k = 0; k < count && !waits; k++) {
                uint32_t driver = n->nets[in[k]].driver;
                if (!driver || n->cells[driver - 1].type == FF || state[driver - 1] == 2)
                    continue;
                if (state[driver - 1] == 1)
                    die("a combinational loop through", n->nets[in[k]].name);
                stack[depth++] = driver - 1;
                waits = true;
            }
            if (waits)
                continue;
            state[at] = 2;
            n->order[n->gates++] = at;
            depth--;
        }
    }
    free(state);
    free(stack);
}

/* Nets get new numbers: those that nothing drives, the flip-flops', the gates', level by level and type by type. Then a cycle
 * is a few loops without branches. */
static void lay_out(struct netlist *n)
{
    uint32_t *level = zeros(n->net_count, sizeof *level),
             *number = zeros(n->net_count, sizeof *number);
    uint32_t deepest = 0, next = 0;
    for (size_t g = 0; g < n->gates; g++) {
        const struct cell *c = &n->cells[n->order[g]];
        uint32_t in[3];
        for (unsigned k = inputs_of(c, in); k-- > 0;)
            level[c->y] = level[c->y] > level[in[k]] ? level[c->y] : level[in[k]];
        level[c->y]++;
        deepest = deepest > level[c->y] ? deepest : level[c->y];
    }
    const size_t keys = ((size_t)deepest + 1) * CELL_TYPES;
    uint32_t *place = zeros(keys + 1, sizeof *place), *sorted = zeros(n->gates, sizeof *sorted);
    for (size_t g = 0; g < n->gates; g++) {
        const struct cell *c = &n->cells[n->order[g]];
        place[level[c->y] * CELL_TYPES + c->type + 1]++;
    }
    n->runs = zeros(keys, sizeof *n->runs);
    for (size_t k = 0; k < keys; k++) {
        if (place[k + 1])
            n->runs[n->run_count++] = (struct run){ (enum cell_type)(k % CELL_TYPES), place[k],
                                                    place[k] + place[k + 1] };
        place[k + 1] += place[k];
    }
    for (size_t g = 0; g < n->gates; g++) {
        const struct cell *c = &n->cells[n->order[g]];
        sorted[place[level[c->y] * CELL_TYPES + c->type]++] = n->order[g];
    }

    for (size_t i = 0; i < n->net_count; i++)
        if (!n->nets[i].driver)
            number[i] = next++;
    n->first_ff = next;
    for (size_t i = 0; i < n->cell_count; i++)
        if (n->cells[i].type == FF)
            number[n->cells[i].y] = next++;
    n->ffs = next - n->first_ff;
    n->first_gate = next;
    for (size_t g = 0; g < n->gates; g++)
        number[n->cells[sorted[g]].y] = next++;
    if (next != n->net_count)
        die("a net that two cells drive", NULL);

    n->weight = zeros(n->net_count, sizeof *n->weight);
    n->a = zeros(n->gates, sizeof *n->a);
    n->b = zeros(n->gates, sizeof *n->b);
    n->s = zeros(n->gates, sizeof *n->s);
    for (size_t i = 0; i < n->net_count; i++) {
        const struct cell *c = n->nets[i].driver ? &n->cells[n->nets[i].driver - 1] : NULL;
        if (!c || c->type != BUF)
            n->weight[number[i]] = PIN_WEIGHT * n->nets[i].fanout + (c ? transistors[c->type] : 0);
    }
    for (size_t i = 0; i < n->cell_count; i++) {
        struct cell *c = &n->cells[i];
        c->a = number[c->a];
        c->b = number[c->b];
        c->s = number[c->s];
        c->y = number[c->y];
    }
    for (size_t g = 0; g < n->gates; g++) {
        n->a[g] = n->cells[sorted[g]].a;
        n->b[g] = n->cells[sorted[g]].b;
        n->s[g] = n->cells[sorted[g]].s;
    }
    for (size_t i = 0; i < n->ins + n->outs; i++) {
        struct port *p = i < n->ins ? &n->in[i] : &n->out[i - n->ins];
        for (uint32_t b = 0; b < p->width; b++)
            p->nets[b] = number[p->nets[b]];
    }
    n->value = zeros(n->net_count, 1);
    n->last = zeros(n->net_count, 1);
    n->value[number[find_net(n, "$true")]] = 1;
    free(level);
    free(number);
    free(place);
    free(sorted);
}

static void evaluate(struct netlist *n)
{
    uint8_t *restrict v = n->value;
    const uint32_t *a = n->a, *b = n->b, *s = n->s, y = n->first_gate;
    for (size_t r = 0; r < n->run_count; r++) {
        const uint32_t end = n->runs[r].end;
        uint32_t g = n->runs[r].begin;
        switch (n->runs[r].type) {
        case AND:
            for (; g < end; g++)
                v[y + g] = v[a[g]] & v[b[g]];
            break;
        case OR:
            for (; g < end; g++)
                v[y + g] = v[a[g]] | v[b[g]];
            break;
        case XOR:
            for (; g < end; g++)
                v[y + g] = v[a[g]] ^ v[b[g]];
            break;
        case MUX:
            for (; g < end; g++)
                v[y + g] = (uint8_t)(v[a[g]] ^ (v[s[g]] & (v[a[g]] ^ v[b[g]])));
            break;
        case NOT:
            for (; g < end; g++)
                v[y + g] = v[a[g]] ^ 1;
            break;
        default:
            for (; g < end; g++)
                v[y + g] = v[a[g]];
            break;
        }
    }
}

/* What the flip-flops hold after the coming edge; next is room for all of them. */
static void clock_edge(struct netlist *n, uint8_t *next)
{
    uint8_t *v = n->value;
    for (size_t i = 0; i < n->cell_count; i++) {
        const struct cell *c = &n->cells[i];
        if (c->type != FF)
            continue;
        bool enabled = !c->has_enable || (v[c->b] != 0) != c->enable_low;
        bool reset = c->has_reset && (v[c->s] != 0) != c->reset_low;
        if (reset && (enabled || !c->reset_needs_enable))
            next[i] = c->reset_value;
        else
            next[i] = enabled ? v[c->a] : v[c->y];
    }
    for (size_t i = 0; i < n->cell_count; i++)
        if (n->cells[i].type == FF)
            v[n->cells[i].y] = next[i];
}

/* ---- the trace ---- */

static struct port *port_named(struct netlist *n, const char *name, size_t len)
{
    for (size_t i = 0; i < n->ins; i++)
        if (strlen(n->in[i].name) == len && memcmp(n->in[i].name, name, len) == 0)
            return &n->in[i];
    for (size_t i = 0; i < n->outs; i++)
        if (strlen(n->out[i].name) == len && memcmp(n->out[i].name, name, len) == 0)
            return &n->out[i];
    return NULL;
}

/* Find the signals of the instance "tile" that are ports of the netlist. */
static void find_signals(struct netlist *n, void *fst)
{
    const struct fstHier *h;
    int depth = 0, tile = 0;
    while ((h = fstReaderIterateHier(fst))) {
        if (h->htyp == FST_HT_SCOPE) {
            depth++;
            if (!tile && strcmp(h->u.scope.name, "tile") == 0)
                tile = depth;
        } else if (h->htyp == FST_HT_UPSCOPE) {
            if (depth == tile)
                tile = -1;
            depth--;
        } else if (h->htyp == FST_HT_VAR && tile > 0 && depth == tile) {
            size_t len = strcspn(h->u.var.name, " [");
            struct port *p = port_named(n, h->u.var.name, len);
            if (!p)
                continue;
            if (p->width >
                h->u.var.length) /* lower bits of a port may be unused, upper ones never */
                die("the trace and the netlist are of different shapes", p->name);
            p->handle = h->u.var.handle;
            p->nets = realloc(p->nets, h->u.var.length * sizeof *p->nets);
            p->value = zeros(h->u.var.length, 1);
            if (!p->nets)
                die("out of memory", NULL);
            p->width = h->u.var.length;
        }
    }
    for (size_t i = 0; i < n->ins + n->outs; i++) {
        struct port *p = i < n->ins ? &n->in[i] : &n->out[i - n->ins];
        if (!p->handle)
            die("the trace has no tile with a port", p->name);
        char name[64];
        for (uint32_t b = 0; b < p->width; b++) { /* again: width and order are known now */
            snprintf(name, sizeof name, p->width > 1 ? "%s[%u]" : "%s", p->name, b);
            p->nets[b] = find_net(n, name);
        }
    }
}

struct replay {
    struct netlist *n;
    uint64_t time, toggles[CELL_TYPES], weighted[CELL_TYPES], input_weighted;
    uint64_t cycles, slices;
    bool started;
    const struct port *clk, *rst, *valid, *d_valid;
    uint8_t *next;
};

static bool is_high(const struct port *p)
{
    return p->value[0] == '1';
}

static uint64_t count_range(const struct netlist *n, uint32_t at, uint32_t count,
                            uint64_t *weighted)
{
    const uint8_t *v = n->value + at, *last = n->last + at;
    const uint32_t *weight = n->weight + at;
    uint64_t toggles = 0, sum = 0;
    while (count) {
        const uint32_t part = count < 4096 ? count : 4096;
        uint32_t t = 0, w = 0;
        for (uint32_t i = 0; i < part; i++) {
            const uint32_t d = v[i] ^ last[i];
            t += d;
            w += weight[i] & (0 - d);
        }
        toggles += t;
        sum += w;
        v += part;
        last += part;
        weight += part;
        count -= part;
    }
    *weighted += sum;
    return toggles;
}

static void count_toggles(struct replay *r)
{
    const struct netlist *n = r->n;
    count_range(n, 0, n->first_ff, &r->input_weighted);
    r->toggles[FF] += count_range(n, n->first_ff, n->ffs, &r->weighted[FF]);
    for (size_t k = 0; k < n->run_count; k++) {
        const struct run *run = &n->runs[k];
        r->toggles[run->type] += count_range(n, n->first_gate + run->begin, run->end - run->begin,
                                             &r->weighted[run->type]);
    }
}

static void check_outputs(struct replay *r)
{
    struct netlist *n = r->n;
    bool d_valid = is_high(r->d_valid);
    for (size_t i = 0; i < n->outs; i++) {
        const struct port *p = &n->out[i];
        bool data = strncmp(p->name, "d_", 2) == 0 && p != r->d_valid;
        if (data && !d_valid)
            continue;
        for (uint32_t b = 0; b < p->width; b++)
            if ((p->value[b] == '1') != (n->value[p->nets[b]] != 0)) {
                fprintf(
                    stderr, "toggles: cycle %llu: %s[%u] of the netlist is %d, the tile's is %c\n",
                    (unsigned long long)r->cycles, p->name, b, n->value[p->nets[b]], p->value[b]);
                exit(1);
            }
    }
    r->slices += d_valid;
}

/* All signals have their values of the cycle before a rising edge. */
static void one_cycle(struct replay *r)
{
    struct netlist *n = r->n;
    for (size_t i = 0; i < n->ins; i++)
        for (uint32_t b = 0; b < n->in[i].width; b++)
            n->value[n->in[i].nets[b]] = n->in[i].value[b] == '1';
    evaluate(n);
    if (!is_high(
            r->rst)) { /* a trace begins after the first reset, with all registers zero as they are here */
        check_outputs(r);
        /* The window begins with the first beat: before, the core only loads. */
        if (is_high(r->valid))
            r->started = true;
        if (r->started) {
            count_toggles(r);
            r->cycles++;
        }
    }
    memcpy(n->last, n->value, n->net_count);
    clock_edge(n, r->next);
}

static void on_change(void *user, uint64_t time, fstHandle handle, const unsigned char *value)
{
    struct replay *r = user;
    if (time != r->time) {
        if (r->time != UINT64_MAX && !is_high(r->clk))
            one_cycle(r);
        r->time = time;
    }
    for (size_t i = 0; i < r->n->ins + r->n->outs; i++) {
        struct port *p = i < r->n->ins ? &r->n->in[i] : &r->n->out[i - r->n->ins];
        if (p->handle != handle)
            continue;
        for (uint32_t b = 0; b < p->width; b++)
            p->value[b] = value[p->width - 1 - b];
    }
}

static void print_json(const struct replay *r)
{
    const struct netlist *n = r->n;
    uint64_t gates = 0, ffs = 0, logic = 0, clock;
    for (size_t i = 0; i < n->cell_count; i++) {
        ffs += n->cells[i].type == FF;
        gates += n->cells[i].type != FF && n->cells[i].type != BUF;
    }
    clock = 2 * CLOCK_PIN_WEIGHT * ffs * r->cycles;
    printf("{\"cycles\": %llu, \"slices\": %llu, \"gates\": %llu, \"ff\": %llu, \"toggles\": {",
           (unsigned long long)r->cycles, (unsigned long long)r->slices, (unsigned long long)gates,
           (unsigned long long)ffs);
    for (int t = 0; t < CELL_TYPES; t++) {
        if (t != FF)
            logic += r->weighted[t];
        if (t != BUF)
            printf("%s\"%s\": %llu", t ? ", " : "", type_names[t],
                   (unsigned long long)r->toggles[t]);
    }
    printf(
        "}, \"logic\": %llu, \"registers\": %llu, \"inputs\": %llu, \"clock\": %llu, \"energy\": %llu}\n",
        (unsigned long long)logic, (unsigned long long)r->weighted[FF],
        (unsigned long long)r->input_weighted, (unsigned long long)clock,
        (unsigned long long)(logic + r->weighted[FF] + r->input_weighted + clock));
}

int main(int argc, char **argv)
{
    static struct netlist n;
    struct replay r = { .n = &n, .time = UINT64_MAX };
    if (argc != 3)
        die("usage: toggles NETLIST.blif TRACE.fst", NULL);
    read_blif(&n, argv[1]);
    void *fst = fstReaderOpen(argv[2]);
    if (!fst)
        die("not a waveform", argv[2]);
    find_signals(&n, fst);
    sort_gates(&n);
    count_fanout(&n);
    lay_out(&n);
    r.next = zeros(n.cell_count, 1);
    r.clk = port_named(&n, "clk_i", 5);
    r.rst = port_named(&n, "rst_i", 5);
    r.valid = port_named(&n, "valid_i", 7);
    r.d_valid = port_named(&n, "d_valid_o", 9);
    if (!r.clk || !r.rst || !r.valid || !r.d_valid)
        die("no tile: clk_i, rst_i, valid_i or d_valid_o is missing in", argv[1]);
    fstReaderSetFacProcessMaskAll(fst);
    for (fstHandle h = 1; h <= fstReaderGetMaxHandle(fst); h++)
        fstReaderClrFacProcessMask(fst, h);
    for (size_t i = 0; i < n.ins; i++)
        fstReaderSetFacProcessMask(fst, n.in[i].handle);
    for (size_t i = 0; i < n.outs; i++)
        fstReaderSetFacProcessMask(fst, n.out[i].handle);
    if (!fstReaderIterBlocks(fst, on_change, &r, NULL))
        die("cannot read", argv[2]);
    fstReaderClose(fst);
    if (r.slices == 0)
        die("the tile of the trace did nothing", argv[2]);
    print_json(&r);
    return 0;
}
