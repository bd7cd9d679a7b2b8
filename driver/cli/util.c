/* util.c - what the commands share.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Above any text to score; keeps a mistaken -f /dev/zero from filling the memory. */
#define MAX_TEXT ((size_t)1 << 30)

int exit_code(int status)
{
    if (status == ACCEL_OK)
        return EXIT_OK;
    return status == ACCEL_E_MISMATCH ? EXIT_MISMATCH : EXIT_LIBRARY - status;
}

int report_error(const struct accel_error *err)
{
    progress_clear();
    fprintf(stderr, "accel: %s\n", err->text[0] ? err->text : accel_strerror(err->status));
    return exit_code(err->status);
}

int usage_error(const char *fmt, ...)
{
    va_list args;
    progress_clear();
    fputs("accel: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    putc('\n', stderr);
    return EXIT_USAGE;
}

const char *first_device(const struct options *o)
{
    return o->device_count ? o->devices[0] : "sim:";
}

const char *model_path(const struct options *o, const char *fallback)
{
    if (o->model)
        return o->model;
    if (access(fallback, R_OK) == 0)
        return fallback;
    usage_error("no model: give -m FILE (the default, %s, is not here)", fallback);
    return NULL;
}

int open_device(const char *uri, accel_dev **dev)
{
    struct accel_error err = { 0 };
    return accel_open(uri, NULL, dev, &err) ? report_error(&err) : EXIT_OK;
}

int open_model(const struct options *o, accel_model **model)
{
    struct accel_error err = { 0 };
    const char *path = model_path(o, DEFAULT_MODEL);
    if (!path)
        return EXIT_USAGE;
    return accel_model_open(path, model, &err) ? report_error(&err) : EXIT_OK;
}

int try_open_llm(const struct options *o, const accel_model *model, accel_dev *dev, accel_format f,
                 accel_llm **llm, struct accel_error *err)
{
    struct accel_llm_options lo = { .format = f ? f : ACCEL_INT(8),
                                    .group = o->group,
                                    .context = o->context,
                                    .act_bits = o->act,
                                    .kv = o->kvs[0],
                                    .deadline_ns = (uint64_t)(o->deadline_ms * 1e6) };
    progress("packing the model");
    int rc = accel_llm_open(model, dev, &lo, llm, err);
    progress_clear();
    return rc;
}

int open_llm(const struct options *o, const accel_model *model, accel_dev *dev, accel_format f,
             accel_llm **llm)
{
    struct accel_error err = { 0 };
    return try_open_llm(o, model, dev, f, llm, &err) ? report_error(&err) : EXIT_OK;
}

int read_file(const char *path, char **text, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *buf = NULL;
    size_t n = 0, cap = 0;
    struct stat st;
    if (!f || fstat(fileno(f), &st) || S_ISDIR(st.st_mode)) {
        fprintf(stderr, "accel: %s: %s\n", path, f ? "not a file" : strerror(errno));
        if (f)
            fclose(f);
        return exit_code(ACCEL_E_IO);
    }
    for (;;) {
        if (n + 1 >= cap) {
            size_t more = cap ? cap * 2 : 1 << 16;
            char *bigger = more <= MAX_TEXT ? realloc(buf, more) : NULL;
            if (!bigger) {
                fprintf(stderr, "accel: %s: too large to read\n", path);
                free(buf);
                fclose(f);
                return exit_code(ACCEL_E_NOMEM);
            }
            buf = bigger;
            cap = more;
        }
        size_t got = fread(buf + n, 1, cap - 1 - n, f);
        n += got;
        if (got == 0)
            break;
    }
    int failed = ferror(f);
    fclose(f);
    if (failed) {
        fprintf(stderr, "accel: %s: reading failed\n", path);
        free(buf);
        return exit_code(ACCEL_E_IO);
    }
    buf[n] = 0;
    *text = buf;
    *len = n;
    return EXIT_OK;
}

/* Why stdout broke first: a later write may fail for no reason of its own. */
static int output_error;

bool output_broken(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return false;
    if (!output_error)
        output_error = errno ? errno : EIO;
    return true;
}

int finish_output(void)
{
    if (!output_broken())
        return EXIT_OK;
    if (output_error != EPIPE)
        fprintf(stderr, "accel: writing the output failed: %s\n", strerror(output_error));
    return EXIT_FAILED;
}

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress(const char *fmt, ...)
{
    va_list args;
    if (!isatty(STDERR_FILENO))
        return;
    fputs("\r\033[K", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fflush(stderr);
}

void progress_clear(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

double per_second(const struct phase *p)
{
    return p->seconds > 0 ? (double)p->tokens / p->seconds : 0;
}

void json_counted(struct json *j, const char *key, double v, const struct phase *p)
{
    if (p->stats.cycles)
        json_number(j, key, v);
    else
        json_null(j, key);
}

double cycles_per_token(const struct phase *p)
{
    return p->tokens ? (double)p->stats.cycles / (double)p->tokens : 0;
}

int prefill(accel_llm *llm, accel_dev *dev, const uint32_t *ids, size_t count, float *logits,
            struct phase *phase, struct accel_error *err)
{
    struct accel_llm_info info;
    int rc = ACCEL_OK;
    accel_llm_get_info(llm, &info);
    if (count > info.context - info.position) {
        err->status = ACCEL_E_CONTEXT;
        snprintf(err->text, sizeof err->text,
                 "the prompt has %zu tokens, but the context holds %u: shorten -p or raise "
                 "--context",
                 count, info.context - info.position);
        return ACCEL_E_CONTEXT;
    }
    accel_reset_totals(dev);
    double start = seconds_now();
    for (size_t done = 0; done < count && !rc;) {
        size_t n = count - done < info.batch ? count - done : info.batch;
        bool last = done + n == count;
        progress("reading the prompt: %zu of %zu tokens", done, count);
        rc = accel_llm_eval(llm, ids + done, n, last, last ? logits : NULL, err);
        done += n;
    }
    progress_clear();
    phase->seconds = seconds_now() - start;
    phase->tokens = count;
    accel_get_totals(dev, &phase->stats);
    return rc;
}
