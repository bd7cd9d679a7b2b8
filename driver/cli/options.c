/* options.c - the command line: one table of flags for parsing and for --help.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct flag {
    uint64_t bit;
    const char *brief, *name, *value, *help;
};

static const struct flag flags[] = {
    { FLAG(DEVICE), "-d", "--device", "URI", "device to use (default sim:)" },
    { FLAG(DEVICES), "-d", "--device", "URI", "device; may be given more than once" },
    { FLAG(MODEL), "-m", "--model", "FILE",
      "GGUF model (default models/stories-ternary-tq2_0.gguf)" },
    { FLAG(PROMPT), "-p", "--prompt", "TEXT", "text to go on from (default \"Once upon a time\")" },
    { FLAG(COUNT), "-n", "--tokens", "N", "tokens to generate, or to calibrate on, at most" },
    { FLAG(TEMPERATURE), "-t", "--temperature", "T", "0: always the likeliest (default 0.8)" },
    { FLAG(SEED), "-s", "--seed", "N", "seed of every random choice (default 1)" },
    { FLAG(TEXT), "-f", "--file", "FILE", "text to score" },
    { FLAG(TOP_K), NULL, "--top-k", "K", "choose among the K likeliest; 0: all (default 40)" },
    { FLAG(TOP_P), NULL, "--top-p", "P",
      "choose among the likeliest that reach probability P together (default 0.95)" },
    { FLAG(FORMAT), NULL, "--format", "NAME",
      "weight format for F32, F16 and BF16 tensors (default int8)" },
    { FLAG(FORMATS), NULL, "--format", "NAME", "weight format; may be given more than once" },
    { FLAG(GROUP), NULL, "--group", "N",
      "weights that share a scale: 16, 32, 48, 64, 96, 128, 256; 0: a row (default 32)" },
    { FLAG(ACT), NULL, "--act", "BITS",
      "bits of activations: 4, 8 or 16, in two passes of 8 (default 8)" },
    { FLAG(CONTEXT), NULL, "--context", "N",
      "tokens the context holds (default: the model's, at most 4096)" },
    { FLAG(KV), NULL, "--kv", "FORMAT",
      "key/value cache: f32, int8, int4, int3, int2, or of two kinds, as int4/int2; int4:jobs and the like: attention as jobs (default f32)" },
    { FLAG(KVS), NULL, "--kv", "FORMAT",
      "key/value cache: f32, int8, int4, int3, int2, or int4/int2 and the like, also int4:jobs; may be given more than once (default f32)" },
    { FLAG(CHUNKS), NULL, "--chunks", "N", "score only the first N chunks" },
    { FLAG(CLOCK), NULL, "--clock", "MHZ", "clock of the projection (default 50)" },
    { FLAG(LINK), NULL, "--link", "MBS", "link of the projection in 10^6 bytes/s (default 40)" },
    { FLAG(DEADLINE), NULL, "--deadline", "MS", "stop if a job takes longer, in device time" },
    { FLAG(JOBS), NULL, "--jobs", "N", "random jobs for each format and group" },
    { FLAG(SAVE), NULL, "--save", "FILE", "write the JSON to FILE and the table to the terminal" },
    { FLAG(KINDS), NULL, "--kind", "NAME", "PE kind; may be given more than once (default: all)" },
    { FLAG(VECTORS), NULL, "--vectors", "FILE", "recorded layers of a CNN, docs/compare.md" },
    { FLAG(PRUNING), NULL, "--pruning", "NAME", "dense, half or 2:4 (default: all three)" },
    { FLAG(SAMPLE), NULL, "--sample", NULL,
      "one small job for each device and format, to be traced" },
    { FLAG(REFERENCE), NULL, "--ref", "FILE", "model to compare with, in float arithmetic" },
    { FLAG(TRIALS), NULL, "--format", "NAME[:GROUP]",
      "format for float tensors; may be given more than once" },
    { FLAG(OUTPUT), "-o", "--output", "FILE", "file to write" },
    { FLAG(TYPE), NULL, "--format", "NAME[:GROUP]",
      "type of the matrices: a weight format and its group, a ggml type (q4_0 q4_1 q5_0 q5_1 q8_0 tq1_0 "
      "tq2_0 mxfp4 f16 bf16 f32), mxfp6e2m3, mxfp6e3m2, mxfp8 or mxint8" },
    { FLAG(HEAD), NULL, "--head", "NAME[:GROUP]",
      "type of token_embd and output (default: as the others)" },
    { FLAG(BITS), NULL, "--bits", "B",
      "most bits a weight, headers and all, 1.5 to 9 (default 4.5)" },
    { FLAG(CALIBRATION), NULL, "--calib", "FILE", "text to learn the inputs of each matrix from" },
    { FLAG(SELF), NULL, "--self-calib", NULL, "let the model write that text, by the seed" },
    { FLAG(NEAREST), NULL, "--rtn", NULL,
      "round to nearest even so; the text only weighs the inputs" },
    { FLAG(THREADS), NULL, "--threads", "N", "threads (default: one for each processor)" },
    { FLAG(PLANS), NULL, "--plan", "FILE", "formats by tensor name; may be given more than once" },
    { FLAG(BUDGET), NULL, "--budget", "N(bits|bytes|cycles)",
      "what the picks may take: bits a weight, bytes or cycles a token" },
    { FLAG(BY), NULL, "--by", "NAME", "hawq, loss, clado or bisect (default clado)" },
    { FLAG(METHOD), NULL, "--method", "NAME", "awq, smoothquant, hadamard or resq (default awq)" },
    { FLAG(ALPHA), NULL, "--alpha", "A",
      "smoothquant: 0 leaves the weights as they are, 1 evens out the inputs (default 0.5)" },
    { FLAG(GATEWARE), NULL, "--gateware", "FILE", "bitstream, as make bitstream makes it" },
    { FLAG(FIRMWARE), NULL, "--firmware", "FILE", "firmware, as make firmware makes it" },
    { FLAG(BOARD), NULL, "--board", "NAME",
      "which board it is: ulx3s-85f, ulx3s-25f, orangecrab, cynthion" },
    { FLAG(FORCE), NULL, "--force", NULL,
      "load what is not known to be for this board; program a board that is silent" },
    { FLAG(JSON), NULL, "--json", NULL, "write one JSON object instead of text" },
};
enum { FLAGS = sizeof flags / sizeof *flags };

/* What the command takes that is no flag. */
static const char *operands(const struct command *c)
{
    return c->flags & FLAG(FILES)       ? " MODEL..."
           : c->flags & FLAG(REGISTERS) ? " [REGISTER...]"
           : c->flags & FLAG(VALUES)    ? " REGISTER=VALUE..."
           : c->flags & FLAG(RECORDING) ? " FILE"
           : c->flags & FLAG(COMMAND)   ? " FILE COMMAND"
                                        : "";
}

void print_command_help(const struct command *c)
{
    printf("accel %s - %s\n\nUsage: accel %s%s [flags]\n\n%s\n\nFlags:\n", c->name, c->summary,
           c->name, operands(c), c->about);
    for (size_t i = 0; i < FLAGS; i++) {
        char left[40];
        if (!(flags[i].bit & c->flags))
            continue;
        snprintf(left, sizeof left, "%s%s%s %s", flags[i].brief ? flags[i].brief : "",
                 flags[i].brief ? ", " : "    ", flags[i].name,
                 flags[i].value ? flags[i].value : "");
        printf("  %-28s %s", left, flags[i].help);
        if (flags[i].bit == FLAG(COUNT))
            printf(" (default %llu)", (unsigned long long)c->count);
        if (flags[i].bit == FLAG(JOBS))
            printf(" (default %llu)", (unsigned long long)c->jobs);
        putchar('\n');
    }
    printf("  %-28s %s\n", "-h, --help", "this text");
}

static bool get_u64(const char *s, uint64_t high, uint64_t *v)
{
    char *end;
    errno = 0;
    unsigned long long x = strtoull(s, &end, 10);
    if (s[0] < '0' || s[0] > '9' || *end || errno || x > high)
        return false;
    *v = x;
    return true;
}

static bool get_double(const char *s, double low, double high, double *v)
{
    char *end;
    double x = strtod(s, &end);
    if (end == s || *end || !isfinite(x) || x < low || x > high)
        return false;
    *v = x;
    return true;
}

/* One more value of a flag that may be given more than once. */
static const char *append(const char **list, unsigned *count, const char *v)
{
    if (*count == MAX_LIST)
        return "at most 32 of them";
    list[(*count)++] = v;
    return *v ? NULL : "a file name";
}

const struct kv_format kv_formats[KV_FORMATS] = { { "f32", { 0 } },
                                                  { "int8", { .bits = 8 } },
                                                  { "int4", { .bits = 4 } },
                                                  { "int3", { .bits = 3 } },
                                                  { "int2", { .bits = 2 } } };

static const struct kv_format *find_kv(const char *name, size_t len)
{
    for (unsigned i = 0; i < KV_FORMATS; i++)
        if (strlen(kv_formats[i].name) == len && memcmp(kv_formats[i].name, name, len) == 0)
            return &kv_formats[i];
    return NULL;
}

/* How the cache is kept: "int4", or keys and values "int4/int2". Returns what was expected instead, or NULL. */
static const char *get_kv(const char *v, struct accel_kv_options *kv)
{
    const char *end = v + strcspn(v, ":"), *slash = memchr(v, '/', (size_t)(end - v));
    const struct kv_format *keys = find_kv(v, (size_t)((slash ? slash : end) - v));
    const struct kv_format *values = slash ? find_kv(slash + 1, (size_t)(end - slash) - 1) : keys;
    if (!keys || !values || !keys->how.bits != !values->how.bits ||
        (*end && (!keys->how.bits || strcmp(end, ":jobs"))))
        return "f32, int8, int4, int3 or int2, or two of the integers as int4/int2; :jobs after integers";
    *kv = keys->how;
    kv->value_bits = values->how.bits;
    kv->jobs = *end != 0;
    return NULL;
}

/* Store one flag's value. Returns what was expected instead, or NULL. */
static const char *store(struct options *o, uint64_t bit, const char *v)
{
    uint64_t n = 0;
    switch (bit) {
    case FLAG(DEVICE):
        o->devices[0] = v;
        o->device_count = 1;
        return NULL;
    case FLAG(DEVICES):
        if (o->device_count == MAX_LIST)
            return "at most 32 of them";
        o->devices[o->device_count++] = v;
        return NULL;
    case FLAG(MODEL): o->model = v; return *v ? NULL : "a file name";
    case FLAG(PROMPT): o->prompt = v; return NULL;
    case FLAG(SAVE): o->save = v; return *v ? NULL : "a file name";
    case FLAG(TEXT): o->text = v; return *v ? NULL : "a file name";
    case FLAG(BUDGET): o->budget = v; return NULL;
    case FLAG(BY): o->by = v; return NULL;
    case FLAG(METHOD): o->method = v; return NULL;
    case FLAG(ALPHA): return get_double(v, 0, 1, &o->alpha) ? NULL : "a number from 0 to 1";
    case FLAG(FILES): return append(o->files, &o->file_count, v);
    case FLAG(REFERENCE): o->reference = v; return *v ? NULL : "a file name";
    case FLAG(TRIALS): return append(o->trials, &o->trial_count, v) ? "at most 32 formats" : NULL;
    case FLAG(OUTPUT): o->output = v; return *v ? NULL : "a file name";
    case FLAG(TYPE): o->type = v; return *v ? NULL : "a type";
    case FLAG(HEAD): o->head = v; return *v ? NULL : "a type";
    case FLAG(CALIBRATION): o->calibration = v; return *v ? NULL : "a file name";
    case FLAG(GATEWARE): o->gateware = v; return *v ? NULL : "a file name";
    case FLAG(FIRMWARE): o->firmware = v; return *v ? NULL : "a file name";
    case FLAG(BOARD): o->board = v; return *v ? NULL : "a board's name";
    case FLAG(BITS): return get_double(v, 1.5, 9, &o->bits) ? NULL : "a number from 1.5 to 9";
    case FLAG(THREADS):
        if (!get_u64(v, 64, &n) || n == 0)
            return "a whole number, 1 to 64";
        o->threads = (unsigned)n;
        return NULL;
    case FLAG(PLANS): return append(o->plans, &o->plan_count, v);
    case FLAG(VECTORS): o->vectors = v; return *v ? NULL : "a file name";
    case FLAG(PRUNING):
        o->pruning = v;
        return strcmp(v, "dense") == 0 || strcmp(v, "half") == 0 || strcmp(v, "2:4") == 0
                   ? NULL
                   : "dense, half or 2:4";
    case FLAG(KINDS):
        if (o->kind_count == MAX_LIST)
            return "at most 32 of them";
        o->kinds[o->kind_count++] = v;
        return NULL;
    case FLAG(COUNT): return get_u64(v, 1 << 24, &o->count) ? NULL : "a whole number up to 2^24";
    case FLAG(SEED): return get_u64(v, UINT64_MAX, &o->seed) ? NULL : "a whole number below 2^64";
    case FLAG(CHUNKS):
        return get_u64(v, 1 << 30, &o->chunks) && o->chunks ? NULL : "a whole number above 0";
    case FLAG(JOBS):
        return get_u64(v, 1000000, &o->jobs) && o->jobs ? NULL : "a whole number, 1 to 10^6";
    case FLAG(TEMPERATURE):
        return get_double(v, 0, 100, &o->temperature) ? NULL : "a number from 0 to 100";
    case FLAG(TOP_P): return get_double(v, 0, 1, &o->top_p) ? NULL : "a number from 0 to 1";
    case FLAG(TOP_K):
        if (!get_u64(v, UINT32_MAX, &n))
            return "a whole number";
        o->top_k = (uint32_t)n;
        return NULL;
    case FLAG(CONTEXT):
        if (!get_u64(v, 1 << 20, &n) || n == 0)
            return "a whole number, 1 to 2^20";
        o->context = (uint32_t)n;
        return NULL;
    case FLAG(ACT):
        if (!get_u64(v, 16, &n) || (n != 4 && n != 8 && n != 16))
            return "4, 8 or 16";
        o->act = (uint32_t)n;
        return NULL;
    case FLAG(GROUP):
        if (!get_u64(v, 256, &n) ||
            (n != 0 && n != 16 && n != 32 && n != 48 && n != 64 && n != 96 && n != 128 && n != 256))
            return "one of 16, 32, 48, 64, 96, 128, 256 and 0";
        o->group = (uint32_t)n;
        return NULL;
    case FLAG(FORMAT): o->format_count = 0; /* fall through */
    case FLAG(FORMATS):
        if (o->format_count == MAX_LIST)
            return "at most 32 of them";
        if (accel_format_parse(v, &o->formats[o->format_count]))
            return "ternary, int1..int8, uint1..uint8, bipolar1..bipolar8, a float from e1m1 to e4m3, "
                   "fp3, fp4, pot4, flint4, uflint4, ant4, olive4, olive4f, codebook3 or codebook4";
        o->format_count++;
        return NULL;
    case FLAG(KV): o->kv_count = 0; /* fall through */
    case FLAG(KVS):
        if (o->kv_count == MAX_LIST)
            return "at most 32 of them";
        o->kv_names[o->kv_count] = v;
        return get_kv(v, &o->kvs[o->kv_count++]);
    case FLAG(CLOCK): return get_double(v, 1e-3, 1e6, &o->clock_mhz) ? NULL : "a clock in MHz";
    case FLAG(LINK): return get_double(v, 1e-3, 1e9, &o->link_mbs) ? NULL : "a rate in MB/s";
    case FLAG(DEADLINE):
        return get_double(v, 1e-6, 1e9, &o->deadline_ms) ? NULL : "a time in milliseconds";
    default: return "nothing";
    }
}

static const struct flag *find_flag(const struct command *c, const char *arg, size_t len)
{
    for (size_t i = 0; i < FLAGS; i++) {
        if (!(flags[i].bit & c->flags))
            continue;
        if ((flags[i].brief && strlen(flags[i].brief) == len &&
             memcmp(flags[i].brief, arg, len) == 0) ||
            (strlen(flags[i].name) == len && memcmp(flags[i].name, arg, len) == 0))
            return &flags[i];
    }
    return NULL;
}

int parse_options(const struct command *c, int argc, char **argv, struct options *o)
{
    *o = (struct options){
        .prompt = "Once upon a time",
        .kv_names = { "f32" },
        .count = c->count,
        .jobs = c->jobs,
        .seed = 1,
        .temperature = 0.8,
        .top_p = 0.95,
        .alpha = 0.5,
        .top_k = 40,
        .group = 32,
        .clock_mhz = 50,
        .link_mbs = 40,
    };
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value = NULL;
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            print_command_help(c);
            return finish_output();
        }
        const char *equals = strncmp(arg, "--", 2) == 0 ? strchr(arg, '=') : NULL;
        const struct flag *f = find_flag(c, arg, equals ? (size_t)(equals - arg) : strlen(arg));
        if (!f && arg[0] != '-' && *operands(c)) {
            if ((c->flags & FLAG(COMMAND)) && o->file_count) {
                o->rest = argv + i;
                o->rest_count = argc - i;
                return -1;
            }
            const char *wrong = store(o, FLAG(FILES), arg);
            if (wrong)
                return usage_error("\"%.80s\": expected %s", arg, wrong);
            continue;
        }
        if (!f)
            return usage_error("%s takes no \"%s\"; see accel %s --help", c->name, arg, c->name);
        o->given |= f->bit;
        if (!f->value) {
            if (equals)
                return usage_error("%s takes no value", f->name);
            if (f->bit == FLAG(SAMPLE))
                o->sample = true;
            else if (f->bit == FLAG(SELF))
                o->self = true;
            else if (f->bit == FLAG(NEAREST))
                o->nearest = true;
            else if (f->bit == FLAG(FORCE))
                o->force = true;
            else
                o->json = true;
            continue;
        }
        if (equals)
            value = equals + 1;
        else if (i + 1 < argc)
            value = argv[++i];
        if (!value)
            return usage_error("%s needs a value (%s)", arg, f->value);
        const char *expected = store(o, f->bit, value);
        const char *why = f->bit & (FLAG(FORMAT) | FLAG(FORMATS)) ? accel_format_refusal(value)
                                                                  : NULL;
        if (why)
            return usage_error("%s: no format %s: %s", f->name, value, why);
        if (expected)
            return usage_error("%s: \"%.80s\" is not valid: expected %s", f->name, value, expected);
    }
    return -1;
}
