/* bringup.c - accel bringup: walks a new board step by step, with figures, and a hint where a step fails.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "link_constants.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 256, COLS = 1024, SCRATCH = 64, REPEATS = 4 };
#define TEST_SECONDS 0.3 /* a test of memory that took as long was long enough */

/* What a walk needs, and what its last step has to say. */
struct walk {
    accel_dev *dev, *cpu;
    struct accel_error err;
    uint32_t before[LINK_REG_REWOUND - LINK_REG_GOOD + 1];
    bool has_link; /* there are registers to read */
    bool has_firmware;
    float *w;  /* [ROWS][COLS] */
    int8_t *x; /* [COLS] */
    int64_t *y[2];
    char text[200], hint[160];
};

enum outcome { PASSED, SKIPPED, DIFFERENT, FAILED };

struct step {
    const char *name;
    enum outcome (*run)(struct walk *k);
    const char *hint; /* if it fails and says nothing better */
};

static void say(struct walk *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct walk *k, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(k->text, sizeof k->text, fmt, args);
    va_end(args);
}

static enum outcome failed(struct walk *k)
{
    say(k, "%s", k->err.text);
    return FAILED;
}

static enum outcome identity(struct walk *k)
{
    struct accel_caps c;
    accel_get_caps(k->dev, &c);
    say(k, "%s: %s, %u rows x %u lanes, %u columns and %u steps a job", c.uri, c.pe, c.rows,
        c.lanes, c.max_n, c.max_steps);
    return PASSED;
}

static enum outcome registers(struct walk *k)
{
    uint32_t v[6], room[LINK_STREAMS];
    const int rc = accel_peek(k->dev, LINK_REG_MAGIC, 6, v, &k->err);
    if (rc == ACCEL_E_UNSUPPORTED) {
        say(k, "the device is in this machine: there is no link to look at");
        return SKIPPED;
    }
    if (rc || accel_peek(k->dev, LINK_REG_ROOM, LINK_STREAMS, room, &k->err) ||
        accel_peek(k->dev, LINK_REG_GOOD, sizeof k->before / sizeof *k->before, k->before, &k->err))
        return failed(k);
    k->has_link = true;
    say(k, "protocol %u to %u, core at %.6g MHz, build %u; room for %u %u %u %u %u bytes",
        v[1] >> 16, v[1] & 0xFFFF, v[4] / 1e6, v[5], room[0], room[1], room[2], room[3], room[4]);
    return PASSED;
}

static enum outcome scratch(struct walk *k)
{
    const double start = seconds_now();
    for (uint32_t i = 0; i < SCRATCH && k->has_link; i++) {
        const uint32_t value = i < 32 ? 1u << i : 0x9E3779B9u * i;
        uint32_t got = 0;
        if (accel_poke(k->dev, LINK_REG_SCRATCH, value, &k->err) ||
            accel_peek(k->dev, LINK_REG_SCRATCH, 1, &got, &k->err))
            return failed(k);
        if (got != value) {
            say(k, "wrote 0x%08x, read 0x%08x", value, got);
            return DIFFERENT;
        }
    }
    if (!k->has_link) {
        say(k, "no link");
        return SKIPPED;
    }
    say(k, "%d values written and read back, %.3g ms each", SCRATCH,
        (seconds_now() - start) * 1e3 / SCRATCH);
    return PASSED;
}

/* Reads or writes the word of the device's memory at this byte. */
static int memory_word(struct walk *k, uint32_t at, bool write, uint32_t *value)
{
    const uint16_t word = (uint16_t)(LINK_REG_MEM_WINDOW + (at % 131072) / 4);
    int rc = accel_poke(k->dev, LINK_REG_MEM_PAGE, at / 131072, &k->err);
    if (!rc && write)
        rc = accel_poke(k->dev, word, *value, &k->err);
    else if (!rc)
        rc = accel_peek(k->dev, word, 1, value, &k->err);
    return rc;
}

/* Words one address line apart, all written before any is read: a line that is broken makes two of them one. */
static enum outcome memory(struct walk *k)
{
    uint32_t v[2] = { 0 }, count = 0;
    if (k->has_link && accel_peek(k->dev, LINK_REG_MEM_MAGIC, 2, v, &k->err))
        return failed(k);
    if (v[0] != LINK_MEM_WORD) {
        say(k, k->has_link ? "the device has none" : "no link");
        return SKIPPED;
    }
    for (unsigned pass = 0; pass < 4; pass++) /* the second two with every bit the other way */
        for (uint32_t at = 0; at < v[1]; at = at ? 2 * at : 4) {
            const uint32_t want = 0x9E3779B9u * (at / 4 + 1) ^ (pass / 2 ? 0xFFFFFFFFu : 0);
            uint32_t value = want;
            if (memory_word(k, at, pass % 2 == 0, &value))
                return failed(k);
            if (value != want) {
                say(k, "byte %u: wrote 0x%08x, read 0x%08x", at, want, value);
                return DIFFERENT;
            }
            count += pass == 0;
            if (at >= 0x80000000u)
                break;
        }
    say(k, "%u bytes; %u words across its address lines hold every bit both ways", v[1], count);
    return PASSED;
}

/* The processor beside the core: what it is, and what is in its log. */
static enum outcome firmware(struct walk *k)
{
    uint32_t v[LINK_REG_CPU_LOG + LINK_CPU_LOG_WORDS - LINK_REG_CPU] = { 0 };
    if (k->has_link && accel_peek(k->dev, LINK_REG_CPU, sizeof v / sizeof *v, v, &k->err))
        return failed(k);
    if ((v[0] & 0xFFFF) != 1) {
        say(k, k->has_link ? "the device has no processor" : "no link");
        return SKIPPED;
    }
    const uint32_t version = v[LINK_REG_CPU_VERSION - LINK_REG_CPU];
    const uint32_t protocol = v[LINK_REG_CPU_PROTOCOL - LINK_REG_CPU];
    const uint32_t errors = v[LINK_REG_CPU_ERRORS - LINK_REG_CPU];
    const uint32_t mine = LINK_CPU_PROTOCOL & 0xFFFF;
    char entry[80];
    k->has_firmware = version != 0;
    if (!version) {
        say(k, "it has not booted: begun anew %u times", v[LINK_REG_CPU_RESETS - LINK_REG_CPU]);
        return DIFFERENT;
    }
    if (protocol >> 16 > mine || (protocol & 0xFFFF) < mine) {
        say(k, "firmware %u.%u.%u speaks versions %u to %u of the mailbox, this program %u",
            version >> 16 & 255, version >> 8 & 255, version & 255, protocol >> 16,
            protocol & 0xFFFF, mine);
        return DIFFERENT;
    }
    const uint32_t last = v[LINK_REG_CPU_LOG - LINK_REG_CPU + (errors - 1) % LINK_CPU_LOG_WORDS];
    say(k, "firmware %u.%u.%u, %u KiB, begun anew %u times, %u errors logged%s%s",
        version >> 16 & 255, version >> 8 & 255, version & 255, v[0] >> 16,
        v[LINK_REG_CPU_RESETS - LINK_REG_CPU], errors, errors ? ", the last: " : "",
        errors ? firmware_log(last, entry, sizeof entry) : "");
    return PASSED;
}

static enum outcome array_test(struct walk *k)
{
    uint32_t jobs = 0, status = 0, answer = 0;
    if (!k->has_firmware) {
        say(k, "no firmware");
        return SKIPPED;
    }
    if (accel_peek(k->dev, LINK_REG_CPU_VECTORS, 1, &jobs, &k->err) ||
        firmware_command(k->dev, LINK_CPU_SELFTEST, 0, &status, &answer, &k->err))
        return failed(k);
    if (status == LINK_CPU_NOTHING) {
        say(k, "this firmware holds no jobs for the array");
        return SKIPPED;
    }
    if (status != LINK_CPU_DONE) {
        say(k, "%s: %u of %u jobs passed, the first that did not is %u", firmware_status(status),
            answer & 0xFFFF, jobs, answer >> 16);
        return DIFFERENT;
    }
    say(k, "the firmware's %u jobs give the results that it knows", answer & 0xFFFF);
    return PASSED;
}

/* The numbers of the bits that are set: "4, 11". */
static const char *bits_of(uint32_t mask, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < 32 && at < size; i++)
        if (mask >> i & 1)
            at += (size_t)snprintf(text + at, size - at, "%s%u", at ? ", " : "", i);
    return text;
}

/* The firmware's own test of the external memory, of more and more of it until that takes a while. */
static enum outcome memory_test(struct walk *k)
{
    uint32_t v[2] = { 0 }, status = 0, answer = 0, tested = 0;
    double seconds = 0;
    char text[100];
    if (k->has_firmware && accel_peek(k->dev, LINK_REG_MEM_MAGIC, 2, v, &k->err))
        return failed(k);
    if (v[0] != LINK_MEM_WORD || v[1] < 1024) {
        say(k, k->has_firmware ? "the device has no external memory to speak of" : "no firmware");
        return SKIPPED;
    }
    for (uint32_t kib = 4, seed = 1; seconds < TEST_SECONDS && tested < v[1] / 1024;
         kib *= 4, seed++) {
        const double start = seconds_now();
        if (firmware_command(k->dev, LINK_CPU_EXTERNAL, seed << 24 | kib, &status, &answer,
                             &k->err))
            return failed(k);
        seconds = seconds_now() - start;
        if (status)
            break;
        tested = answer / 1024;
    }
    if (status == LINK_CPU_UNKNOWN || status == LINK_CPU_NOTHING) {
        say(k, "this firmware does not test external memory");
        return SKIPPED;
    }
    const uint32_t where = answer & 0xFFFFFFF;
    if (status != LINK_CPU_WRONG && status)
        say(k, "%s", firmware_status(status));
    else if (!status)
        say(k,
            "the firmware tested %u KiB spread over all in %.3g s: lines, addresses, each bit "
            "both ways",
            tested, seconds);
    else if (answer >> 28 == LINK_CPU_DATA_LINES)
        say(k, "data lines %s are stuck or joined", bits_of(where, text, sizeof text));
    else if (answer >> 28 == LINK_CPU_ADDRESS_BITS)
        say(k, "bits %s of a byte's address are mixed up", bits_of(where, text, sizeof text));
    else
        say(k, "the word at byte %u lost a bit", where * 4);
    return status ? DIFFERENT : PASSED;
}

/* One job on both devices. *bytes: of its weights, as they are streamed. */
static enum outcome job(struct walk *k, accel_format f, uint32_t group, uint32_t rows,
                        uint32_t cols, double *bytes, double *seconds)
{
    accel_dev *const devs[2] = { k->cpu, k->dev };
    accel_matrix *mat = NULL;
    struct accel_weights_info info = { 0 };
    int rc = accel_matrix_quantize(f, group, rows, cols, k->w, &mat, &k->err);
    for (int d = 0; d < 2 && !rc; d++) {
        accel_weights *w = NULL;
        rc = accel_load(devs[d], mat, &w, &k->err);
        struct accel_job j = {
            .weights = w, .x = k->x, .n = 1, .x_stride = cols, .y = k->y[d], .y_stride = rows
        };
        const double start = seconds_now();
        if (!rc)
            rc = accel_run(devs[d], &j, NULL, &k->err);
        *seconds = seconds_now() - start;
        if (!rc)
            accel_weights_get_info(w, &info);
        accel_unload(w);
    }
    accel_matrix_free(mat);
    *bytes = (double)(info.code_bits + info.header_bits) / 8;
    if (rc)
        return failed(k);
    if (memcmp(k->y[0], k->y[1], rows * sizeof *k->y[0]) != 0) {
        say(k, "%s, group %u, %u x %u: other results than cpu:", accel_format_name(f), group, rows,
            cols);
        return DIFFERENT;
    }
    return PASSED;
}

/* A format that every kind has a chance to run. */
static accel_format plain_format(const struct walk *k)
{
    return accel_can_run(k->dev, ACCEL_INT(8), 128, NULL) ? ACCEL_INT(8) : ACCEL_TERNARY;
}

/* A width whose activations fit the device. */
static uint32_t widest(const struct walk *k)
{
    struct accel_caps c;
    accel_get_caps(k->dev, &c);
    const uint64_t cols = (uint64_t)c.lanes * c.max_steps / 2;
    return cols < COLS ? (uint32_t)cols : COLS;
}

static enum outcome growing(struct walk *k)
{
    double bytes = 0, seconds = 0;
    unsigned count = 0;
    for (uint32_t rows = 1; rows <= ROWS; rows *= 4)
        for (uint32_t cols = 1; cols <= widest(k); cols = cols * 3 + 1, count++) {
            const enum outcome o = job(k, plain_format(k), 128, rows, cols, &bytes, &seconds);
            if (o)
                return o;
        }
    say(k, "%u jobs, the last of %.0f bytes: every bit as on cpu:", count, bytes);
    return PASSED;
}

static enum outcome formats(struct walk *k)
{
    static const accel_format codings[] = { ACCEL_CODING_SIGNED, ACCEL_CODING_UNSIGNED,
                                            ACCEL_CODING_BIPOLAR, ACCEL_CODING_TERNARY };
    double bytes, seconds;
    unsigned count = 0;
    for (size_t c = 0; c < sizeof codings / sizeof *codings; c++)
        for (accel_format f = codings[c] | 1; f <= (codings[c] | 8); f++) {
            if (!accel_format_valid(f) || !accel_can_run(k->dev, f, 32, NULL))
                continue;
            const enum outcome o = job(k, f, 32, 50, 100, &bytes, &seconds);
            if (o == FAILED && k->err.status == ACCEL_E_UNSUPPORTED)
                continue; /* these weights are nothing for this kind */
            if (o)
                return o;
            count++;
        }
    say(k, "a job of each of %u formats: every bit as on cpu:", count);
    return PASSED;
}

static enum outcome throughput(struct walk *k)
{
    double bytes = 0, seconds = 0, small = 0, all = 0, best = 0;
    for (int i = 0; i < REPEATS; i++) {
        enum outcome o = job(k, plain_format(k), 128, 1, 1, &bytes, &seconds);
        small += seconds / REPEATS;
        if (!o)
            o = job(k, plain_format(k), 128, ROWS, widest(k), &bytes, &seconds);
        if (o)
            return o;
        all += seconds / REPEATS;
        best = i == 0 || seconds < best ? seconds : best;
    }
    say(k, "weights at %.4g kB/s (at best %.4g), %.3g ms for the smallest job", bytes / all / 1e3,
        bytes / best / 1e3, small * 1e3);
    return PASSED;
}

static enum outcome cable(struct walk *k)
{
    uint32_t v[LINK_REG_REWOUND - LINK_REG_GOOD + 1], left_out = 0;
    if (!k->has_link) {
        say(k, "no link");
        return SKIPPED;
    }
    if (accel_peek(k->dev, LINK_REG_CORE + 12, 1, &left_out, &k->err))
        return failed(k);
    if (left_out & 1) {
        say(k, "the device counts no frames");
        return SKIPPED;
    }
    if (accel_peek(k->dev, LINK_REG_GOOD, sizeof v / sizeof *v, v, &k->err))
        return failed(k);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        v[i] -= k->before[i];
    const uint32_t broken = v[LINK_REG_BAD_HEADER - LINK_REG_GOOD] +
                            v[LINK_REG_BAD_CRC - LINK_REG_GOOD];
    say(k, "%u frames arrived, %u were broken; results were sent again %u times", v[0], broken,
        v[LINK_REG_REWOUND - LINK_REG_GOOD]);
    if (broken)
        snprintf(k->hint, sizeof k->hint,
                 "results are exact all the same, but slower: try a shorter cable, or less baud=");
    return PASSED;
}

static const struct step steps[] = {
    { "identity", identity, "" },
    { "registers", registers, "the link breaks: see docs/link.md" },
    { "scratch", scratch,
      "the register path is damaged beyond what its checks see: suspect the gateware" },
    { "memory", memory,
      "weights are streamed as long as the memory fails: look at its supply, its clock and its pins" },
    { "firmware", firmware,
      "jobs work without it; accel load loads another: see docs/firmware.md" },
    { "memory test", memory_test,
      "weights are streamed as long as the memory fails: docs/boards.md has the pins of its lines" },
    { "array test", array_test,
      "the array is wrong whatever the link does: suspect its power, its clock or the gateware" },
    { "growing jobs", growing, "see at which size it fails: a stream buffer or the core is wrong" },
    { "formats", formats,
      "accel selftest finds the format; compare with sim: of the same kind and shape" },
    { "throughput", throughput,
      "the board works for small jobs, but not for long: suspect its power" },
    { "cable", cable, "the link breaks: see docs/link.md" },
};
enum { STEPS = sizeof steps / sizeof *steps };

static int prepare(struct walk *k, const struct options *o)
{
    uint64_t state = o->seed;
    int rc = open_device("cpu:", &k->cpu);
    if (!rc)
        rc = open_device(first_device(o), &k->dev);
    if (rc)
        return rc;
    k->w = malloc((size_t)ROWS * COLS * sizeof *k->w);
    k->x = malloc(COLS);
    k->y[0] = malloc(ROWS * sizeof *k->y[0]);
    k->y[1] = malloc(ROWS * sizeof *k->y[1]);
    if (!k->w || !k->x || !k->y[0] || !k->y[1]) {
        k->err.status = ACCEL_E_NOMEM;
        return report_error(&k->err);
    }
    for (size_t i = 0; i < (size_t)ROWS * COLS; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        k->w[i] = (float)(int32_t)(state >> 32) * 0x1p-31f;
        if (i < COLS)
            k->x[i] = (int8_t)(state >> 56);
    }
    return EXIT_OK;
}

int run_bringup(const struct options *o)
{
    static const char *const words[] = { "ok", "skipped", "DIFFERENT", "FAILED" };
    struct walk k = { 0 };
    struct json j = { .out = stdout };
    enum outcome outcome = PASSED;
    int rc = prepare(&k, o);
    if (rc)
        goto out;
    if (o->json) {
        json_object(&j, NULL);
        json_array(&j, "steps");
    }
    for (size_t i = 0; i < STEPS && outcome < DIFFERENT; i++) {
        progress("%s", steps[i].name);
        k.hint[0] = '\0';
        outcome = steps[i].run(&k);
        progress_clear();
        const char *hint = outcome >= DIFFERENT ? steps[i].hint : k.hint;
        if (o->json) {
            json_object(&j, NULL);
            json_string(&j, "step", steps[i].name);
            json_string(&j, "outcome", words[outcome]);
            json_string(&j, "found", k.text);
            json_string(&j, "hint", hint);
            json_end_object(&j);
        } else {
            printf("%-10s %-13s %s\n", words[outcome], steps[i].name, k.text);
            if (*hint)
                printf("%-24s hint: %s\n", "", hint);
            fflush(stdout);
        }
    }
    rc = outcome == DIFFERENT ? EXIT_MISMATCH
         : outcome == FAILED  ? exit_code(k.err.status)
                              : EXIT_OK;
    if (o->json) {
        json_end_array(&j);
        json_bool(&j, "passed", rc == EXIT_OK);
        json_end_object(&j);
    }
out:
    accel_close(k.dev);
    accel_close(k.cpu);
    free(k.w);
    free(k.x);
    free(k.y[0]);
    free(k.y[1]);
    return rc;
}
