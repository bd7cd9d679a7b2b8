/* cli.h - what the accel commands share: options, exit codes, opening things, progress.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CLI_H
#define ACCEL_CLI_H

#include "accel.h"
#include "accel_llm.h"
#include "json.h"

#include <stdbool.h>

/* Exit codes; docs/cli.md lists them. Other library errors: 10 + the number of the error. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_MISMATCH = 3, EXIT_LIBRARY = 10 };

/* The flags there are; FLAG(name) is a bit of a set of them. */
enum {
    FLAG_DEVICE,
    FLAG_DEVICES,
    FLAG_MODEL,
    FLAG_PROMPT,
    FLAG_COUNT,
    FLAG_TEMPERATURE,
    FLAG_SEED,
    FLAG_TEXT,
    FLAG_TOP_K,
    FLAG_TOP_P,
    FLAG_FORMAT,
    FLAG_FORMATS,
    FLAG_GROUP,
    FLAG_CONTEXT,
    FLAG_KV,
    FLAG_KVS,
    FLAG_CHUNKS,
    FLAG_CLOCK,
    FLAG_LINK,
    FLAG_DEADLINE,
    FLAG_JOBS,
    FLAG_SAVE,
    FLAG_JSON,
    FLAG_KINDS,
    FLAG_VECTORS,
    FLAG_SAMPLE,
    FLAG_PRUNING,
    FLAG_FILES, /* arguments that are no flags: models */
    FLAG_REFERENCE,
    FLAG_TRIALS,
    FLAG_PLANS,
    FLAG_OUTPUT,
    FLAG_TYPE,
    FLAG_HEAD,
    FLAG_BITS,
    FLAG_CALIBRATION,
    FLAG_SELF,
    FLAG_NEAREST,
    FLAG_THREADS,
    FLAG_BUDGET,
    FLAG_BY,
    FLAG_METHOD,
    FLAG_ALPHA,
    FLAG_REGISTERS, /* arguments that are no flags: registers; what to write */
    FLAG_VALUES,
    FLAG_RECORDING, /* a file; likewise, and a command behind it */
    FLAG_COMMAND,
    FLAG_GATEWARE,
    FLAG_FIRMWARE,
    FLAG_BOARD,
    FLAG_FORCE,
    FLAG_ACT,
};
#define FLAG(name) (UINT64_C(1) << FLAG_##name)

enum { MAX_LIST = 32 };

/* What --kv takes, but for keys and values of two widths. */
enum { KV_FORMATS = 5 };
extern const struct kv_format {
    const char *name;
    struct accel_kv_options how;
} kv_formats[KV_FORMATS];

struct options {
    uint64_t given; /* FLAG bits that were on the command line */
    const char *devices[MAX_LIST];
    unsigned device_count;
    const char *kinds[MAX_LIST];
    unsigned kind_count;
    const char *files[MAX_LIST]; /* models to compare, or operands */
    unsigned file_count;
    char **rest; /* FLAG(COMMAND): the command and its flags */
    int rest_count;
    uint32_t act;                 /* bits of activations; 0: not given */
    const char *trials[MAX_LIST]; /* "int4:64" */
    unsigned trial_count;
    const char *plans[MAX_LIST];
    unsigned plan_count;
    const char *model, *prompt, *text, *save, *vectors, *pruning, *reference;
    const char *output, *type, *head, *calibration;
    const char *budget, *by, *method;
    const char *gateware, *firmware, *board;
    uint64_t count, seed, chunks, jobs;
    double temperature, top_p;
    uint32_t top_k, context, group;
    struct accel_kv_options kvs[MAX_LIST];
    const char *kv_names[MAX_LIST]; /* as given; the first is f32 if none is */
    unsigned kv_count;
    accel_format formats[MAX_LIST];
    unsigned format_count;
    double clock_mhz, link_mbs, deadline_ms, bits, alpha;
    unsigned threads;
    bool json, sample, self, nearest, force;
};

struct command {
    const char *name, *summary, *about;
    uint64_t flags;       /* FLAG bits it takes */
    uint64_t count, jobs; /* defaults of -n and --jobs */
    int (*run)(const struct options *o);
};

/* Parse argv[1..]. Returns -1 to go on, or an exit code (help, usage error). */
int parse_options(const struct command *c, int argc, char **argv, struct options *o);
void print_command_help(const struct command *c);

/* ---- util.c ---- */

/* Print "accel: text" to stderr; returns the exit code of a library error. */
int report_error(const struct accel_error *err);
int usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int exit_code(int status);
#define DEFAULT_MODEL "models/stories-ternary-tq2_0.gguf"
#define BENCH_MODEL   "models/stories-f16.gguf"
/* More than 16 tokens; accel compare uses what they are multiplied by. */
#define COMPARE_TEXT \
    "Once upon a time, there was a little fox who lived near a river. One morning she found a map."
/* The model named by -m or the fallback; NULL and a message if there is none. */
const char *model_path(const struct options *o, const char *fallback);
/* Device, model and both together; a message is printed on failure. Returns an exit code. */
int open_device(const char *uri, accel_dev **dev);
int open_model(const struct options *o, accel_model **model);
/* The same, silent: returns a status. */
int try_open_llm(const struct options *o, const accel_model *model, accel_dev *dev, accel_format f,
                 accel_llm **llm, struct accel_error *err);
int open_llm(const struct options *o, const accel_model *model, accel_dev *dev, accel_format f,
             accel_llm **llm);
const char *first_device(const struct options *o);
/* A whole file, terminated; a message is printed on failure. */
int read_file(const char *path, char **text, size_t *len);
/* Has stdout taken everything? EXIT_OK, or EXIT_FAILED (said on stderr unless the reader left). */
int finish_output(void);
bool output_broken(void);
double seconds_now(void);
/* One line on stderr that overwrites itself; nothing unless stderr is a terminal. */
void progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void progress_clear(void);

/* Figures of one phase of work. */
struct phase {
    uint64_t tokens;
    double seconds;
    struct accel_stats stats;
};
double per_second(const struct phase *p);
/* v, or null if the device of the phase counts no cycles. */
void json_counted(struct json *j, const char *key, double v, const struct phase *p);
double cycles_per_token(const struct phase *p);
/* Feed count tokens in batches with a progress line; logits of the last one. Counts in phase. */
int prefill(accel_llm *llm, accel_dev *dev, const uint32_t *ids, size_t count, float *logits,
            struct phase *phase, struct accel_error *err);

int run_list(const struct options *o);
int run_info(const struct options *o);
int kinds_info(const struct options *o); /* info_kinds.c */
int run_run(const struct options *o);
int run_perplexity(const struct options *given);
int run_verify(const struct options *o);
int run_bench(const struct options *given);
int run_selftest(const struct options *o);
int run_compare(const struct options *given);
int run_bringup(const struct options *o);
int run_peek(const struct options *o); /* registers.c */
int run_poke(const struct options *o);
int run_reset(const struct options *o);
int run_replay(const struct options *o); /* record.c */
int run_load(const struct options *o);   /* firmware.c */
int run_update(const struct options *o); /* update.c */

/* The words of a .hex file, eight digits a line. *words is the caller's to free, also after an error. A message is printed on
 * failure, as by the next one, which loads them, starts them and says which version is ready. Both return an exit code. */
int read_firmware(const char *path, uint32_t **words, size_t *count);
int load_firmware(accel_dev *dev, const char *path, const uint32_t *words, size_t count);

/* Gives the processor beside the core a command and waits for its end: *status is a LINK_CPU_ number or FIRMWARE_SILENT,
 * *answer is set unless it is that. */
enum { FIRMWARE_SILENT = 255 };
int firmware_command(accel_dev *dev, uint16_t what, uint32_t argument, uint32_t *status,
                     uint32_t *answer, struct accel_error *err);
const char *firmware_status(uint32_t status);
/* An entry of its log in words; returns text. */
const char *firmware_log(uint32_t entry, char *text, size_t size);
/* Names record=path in the URI of the one board among o's devices; the text goes to uri. Returns an exit code. */
int record_board(struct options *o, const char *path, char *uri, size_t size);
int run_eval(const struct options *o);
int run_quantize(const struct options *o);
int run_fold(const struct options *o);
/* What both ask of their options; a usage error is said. */
int check_rewrite(const struct options *o, const char *what);
int run_allocate(const struct options *o);
/* What --budget says: "3.5bits" a weight, "400000bytes" or "1e5cycles" a token. Returns an exit code; a usage error is said. */
enum cost_kind { COST_BITS, COST_BYTES, COST_CYCLES };
int parse_budget(const char *v, enum cost_kind *kind, double *budget);
/* Picks formats for o->model within o->budget: a plan's text, the caller's to free. What it found goes to stdout or, as
 * a new object of j (with a key, as that member of one that stays open). Returns an exit code; a message is printed on failure. */
int make_plan(const struct options *o, struct json *j, const char *key, char **plan, size_t *len);

#endif
