/* device.c - devices: URIs, the lock, the queue of jobs, argument checks, float and int8 results.
 * SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include "matrix.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_SLOTS 64

/* Every backend built in: a new one is one line here. */
static const struct accel_backend *const backends[] = {
    &accel_backend_cpu,  &accel_backend_serial,
#ifdef ACCEL_WITH_USB
    &accel_backend_usb,
#endif
#ifdef ACCEL_WITH_SIM
    &accel_backend_sim,
#endif
#ifdef ACCEL_WITH_CUDA
    &accel_backend_cuda,
#endif
};
#define REGISTERS_ONLY "device %s was opened for its registers only"
#define BACKEND_COUNT  (sizeof backends / sizeof backends[0])

enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_RUNNING, SLOT_DONE };

struct slot {
    enum slot_state state;
    accel_ticket ticket;
    struct accel_job job;
    int outcome;
    struct accel_stats stats;
    struct accel_error error;
};

/* The mutex guards everything here and the totals; it is never held while a backend works. `busy`
 * is: whoever sets it owns the backend. Tickets rise, so the oldest job has the smallest. */
struct device_queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool busy, gone;
    accel_ticket last;
    struct slot slots[QUEUE_SLOTS];
};

/* ---- opening ---- */

void accel_log(const struct accel_dev *dev, enum accel_log_level level, const char *fmt, ...)
{
    if (!dev || !dev->options.log)
        return;
    char text[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n >= 0)
        dev->options.log(dev->options.log_user, level, text);
}

static const struct accel_backend *find_backend(const char *uri, const char **params)
{
    const char *colon = strchr(uri, ':');
    if (!colon)
        return NULL;
    size_t len = (size_t)(colon - uri);
    for (size_t i = 0; i < BACKEND_COUNT; i++) {
        if (strlen(backends[i]->scheme) == len && memcmp(backends[i]->scheme, uri, len) == 0) {
            *params = colon + 1;
            return backends[i];
        }
    }
    return NULL;
}

static int unknown_scheme(const char *uri, struct accel_error *err)
{
    char known[64] = "";
    size_t used = 0;
    for (size_t i = 0; i < BACKEND_COUNT; i++) {
        int n = snprintf(known + used, sizeof known - used, " %s:", backends[i]->scheme);
        if (n < 0 || (size_t)n >= sizeof known - used)
            break;
        used += (size_t)n;
    }
    return accel_fail(err, ACCEL_E_URI, "device '%.80s': unknown scheme; this build has%s", uri,
                      known);
}

static int queue_new(struct device_queue **out)
{
    struct device_queue *q = calloc(1, sizeof *q);
    pthread_condattr_t attr;
    if (!q)
        return ACCEL_E_NOMEM;
    if (pthread_mutex_init(&q->mutex, NULL))
        goto no_mutex;
    if (pthread_condattr_init(&attr))
        goto no_cond;
    int bad = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    bad = bad ? bad : pthread_cond_init(&q->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (bad)
        goto no_cond;
    *out = q;
    return ACCEL_OK;
no_cond:
    pthread_mutex_destroy(&q->mutex);
no_mutex:
    free(q);
    return ACCEL_E_NOMEM;
}

static void queue_free(struct device_queue *q)
{
    if (!q)
        return;
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->mutex);
    free(q);
}

static int open_as(const char *uri, const struct accel_options *options, bool registers_only,
                   accel_dev **dev, struct accel_error *err)
{
    accel_no_error(err);
    if (!uri || !dev)
        return accel_fail(err, ACCEL_E_ARG, "open: uri and dev must be given");
    if (options && options->api_version && options->api_version != ACCEL_API_VERSION)
        return accel_fail(err, ACCEL_E_ARG,
                          "open: the program was built for API version %u, this library has %u; "
                          "rebuild the program",
                          options->api_version, (unsigned)ACCEL_API_VERSION);
    const char *params = "";
    const struct accel_backend *backend = find_backend(uri, &params);
    if (!backend)
        return unknown_scheme(uri, err);
    if (registers_only && !backend->peek)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "device %.80s has no link, so no registers",
                          uri);
    struct accel_dev *d = calloc(1, sizeof *d);
    int rc = d ? queue_new(&d->queue) : ACCEL_E_NOMEM;
    if (rc) {
        free(d);
        return accel_fail(err, rc, "out of memory: opening device '%.80s'", uri);
    }
    d->backend = backend;
    d->registers_only = registers_only;
    if (options)
        d->options = *options;
    rc = backend->open(d, params, err);
    if (rc) {
        queue_free(d->queue);
        free(d);
        return rc;
    }
    d->caps.queue = registers_only ? 0 : QUEUE_SLOTS;
    *dev = d;
    return ACCEL_OK;
}

int accel_open(const char *uri, const struct accel_options *options, accel_dev **dev,
               struct accel_error *err)
{
    return open_as(uri, options, false, dev, err);
}

int accel_open_registers(const char *uri, const struct accel_options *options, accel_dev **dev,
                         struct accel_error *err)
{
    return open_as(uri, options, true, dev, err);
}

void accel_close(accel_dev *dev)
{
    if (!dev)
        return;
    dev->backend->close(dev);
    queue_free(dev->queue);
    free(dev);
}

/* Own the backend, after whoever owns it now. */
static void take_backend(struct device_queue *q)
{
    pthread_mutex_lock(&q->mutex);
    while (q->busy)
        pthread_cond_wait(&q->changed, &q->mutex);
    q->busy = true;
    pthread_mutex_unlock(&q->mutex);
}

static void give_backend(struct device_queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->busy = false;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->mutex);
}

int accel_reopen(accel_dev *dev, struct accel_error *err)
{
    accel_no_error(err);
    if (!dev)
        return accel_fail(err, ACCEL_E_ARG, "reopen: dev must be given");
    if (!dev->backend->reopen)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "device %s is never gone", dev->caps.uri);
    if (dev->registers_only)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, REGISTERS_ONLY, dev->caps.uri);
    struct device_queue *q = dev->queue;
    take_backend(q);
    int rc = dev->backend->reopen(dev, err);
    pthread_mutex_lock(&q->mutex);
    q->gone = rc != ACCEL_OK;
    pthread_mutex_unlock(&q->mutex);
    give_backend(q);
    return rc;
}

void accel_get_caps(const accel_dev *dev, struct accel_caps *caps)
{
    *caps = dev->caps;
}

int accel_list(int (*fn)(void *user, const char *uri, const char *what), void *user)
{
    if (!fn)
        return ACCEL_E_ARG;
    for (size_t i = 0; i < BACKEND_COUNT; i++) {
        char uri[32];
        snprintf(uri, sizeof uri, "%s:", backends[i]->scheme);
        int rc = backends[i]->what ? fn(user, uri, backends[i]->what) : 0;
        if (!rc && backends[i]->list)
            rc = backends[i]->list(fn, user);
        if (rc)
            return rc;
    }
    return 0;
}

int accel_can_run(const accel_dev *dev, accel_format f, uint32_t group, struct accel_error *err)
{
    accel_no_error(err);
    if (!dev) {
        accel_fail(err, ACCEL_E_ARG, "can_run: dev must be given");
        return 0;
    }
    if (!accel_format_valid(f) || !matrix_group_valid(group)) {
        accel_fail(err, ACCEL_E_ARG, "can_run: format 0x%x with group %u does not exist",
                   (unsigned)f, group);
        return 0;
    }
    if (dev->registers_only) {
        accel_fail(err, ACCEL_E_UNSUPPORTED, REGISTERS_ONLY, dev->caps.uri);
        return 0;
    }
    return dev->backend->can_run(dev, f, group, err);
}

/* ---- registers ---- */

int accel_peek(accel_dev *dev, uint16_t word, uint16_t count, uint32_t *values,
               struct accel_error *err)
{
    accel_no_error(err);
    if (!dev || !values || count == 0 || count > 32)
        return accel_fail(err, ACCEL_E_ARG,
                          "peek: dev, values and a count of 1 to 32 must be given");
    if (!dev->backend->peek)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "device %s has no link, so no registers",
                          dev->caps.uri);
    take_backend(dev->queue);
    int rc = dev->backend->peek(dev, word, count, values, err);
    give_backend(dev->queue);
    return rc;
}

int accel_poke(accel_dev *dev, uint16_t word, uint32_t value, struct accel_error *err)
{
    accel_no_error(err);
    if (!dev)
        return accel_fail(err, ACCEL_E_ARG, "poke: dev must be given");
    if (!dev->backend->poke)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "device %s has no link, so no registers",
                          dev->caps.uri);
    take_backend(dev->queue);
    int rc = dev->backend->poke(dev, word, value, err);
    give_backend(dev->queue);
    return rc;
}

int accel_reset(accel_dev *dev, struct accel_error *err)
{
    accel_no_error(err);
    if (!dev)
        return accel_fail(err, ACCEL_E_ARG, "reset: dev must be given");
    if (!dev->backend->reset)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "device %s has no link to reset",
                          dev->caps.uri);
    take_backend(dev->queue);
    int rc = dev->backend->reset(dev, err);
    give_backend(dev->queue);
    return rc;
}

int accel_replay(accel_dev *dev, const void *recording, size_t size,
                 struct accel_replay_stats *done, struct accel_error *err)
{
    accel_no_error(err);
    if (!dev || !recording || !done)
        return accel_fail(err, ACCEL_E_ARG, "replay: dev, recording and done must be given");
    if (!dev->backend->replay)
        return accel_fail(
            err, ACCEL_E_UNSUPPORTED,
            "device %s has no link to replay through; accel-board has one (docs/link.md)",
            dev->caps.uri);
    if (dev->registers_only)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, REGISTERS_ONLY, dev->caps.uri);
    take_backend(dev->queue);
    int rc = dev->backend->replay(dev, recording, size, done, err);
    give_backend(dev->queue);
    return rc;
}

int accel_get_usb_status(accel_dev *dev, struct accel_usb_status *status, struct accel_error *err)
{
    accel_no_error(err);
    if (!dev || !status)
        return accel_fail(err, ACCEL_E_ARG, "usb_status: dev and status must be given");
    if (!dev->backend->usb_status)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "device %s is not at USB", dev->caps.uri);
    take_backend(dev->queue);
    int rc = dev->backend->usb_status(dev, status, err);
    give_backend(dev->queue);
    return rc;
}

/* ---- weights ---- */

int accel_load(accel_dev *dev, const accel_matrix *mat, accel_weights **w, struct accel_error *err)
{
    accel_no_error(err);
    if (!dev || !mat || !w)
        return accel_fail(err, ACCEL_E_ARG, "load: dev, mat and w must be given");
    if (dev->registers_only)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, REGISTERS_ONLY, dev->caps.uri);
    size_t scale_bytes;
    struct accel_weights *loaded = calloc(1, sizeof *loaded);
    if (!loaded || !mul_size(mat->rows, sizeof *loaded->row_scale, &scale_bytes))
        goto no_memory;
    loaded->row_scale = malloc(scale_bytes);
    if (!loaded->row_scale)
        goto no_memory;
    memcpy(loaded->row_scale, mat->row_scale, scale_bytes);
    loaded->dev = dev;
    loaded->rows = mat->rows;
    loaded->cols = mat->cols;
    loaded->group = mat->group;
    loaded->info.rows = mat->rows;
    loaded->info.cols = mat->cols;
    take_backend(dev->queue);
    int rc = dev->backend->load(dev, mat, loaded, err);
    give_backend(dev->queue);
    if (rc) {
        accel_unload(loaded);
        return rc;
    }
    *w = loaded;
    return ACCEL_OK;
no_memory:
    accel_unload(loaded);
    return accel_fail(err, ACCEL_E_NOMEM, "out of memory: loading a matrix of %u x %u", mat->rows,
                      mat->cols);
}

void accel_unload(accel_weights *w)
{
    if (!w)
        return;
    if (w->free_priv)
        w->free_priv(w->priv);
    free(w->row_scale);
    free(w);
}

void accel_weights_get_info(const accel_weights *w, struct accel_weights_info *info)
{
    *info = w->info;
}

/* ---- submitting ---- */

static int check_requant(const struct accel_job *job, struct accel_error *err)
{
    if (!job->requant_mul || !job->requant_shift)
        return accel_fail(err, ACCEL_E_ARG,
                          "job: int8 results need requant_mul and requant_shift for every row");
    for (uint32_t m = 0; m < job->weights->rows; m++) {
        if (job->requant_mul[m] > INT32_MAX)
            return accel_fail(err, ACCEL_E_ARG,
                              "job: requant_mul of row %u is %u; 0..2147483647 "
                              "are allowed",
                              m, job->requant_mul[m]);
        if (job->requant_shift[m] > 62)
            return accel_fail(err, ACCEL_E_ARG,
                              "job: requant_shift of row %u is %u; 0..62 are "
                              "allowed",
                              m, job->requant_shift[m]);
    }
    return ACCEL_OK;
}

/* Steps of the activation buffer that a column takes: groups are padded to whole steps, but a row
 * that is one group is not padded to the group's end. */
static uint64_t steps_of(const struct accel_weights *w, uint64_t lanes)
{
    if (w->group == 0 || w->cols <= w->group)
        return (w->cols + lanes - 1) / lanes;
    return (((uint64_t)w->cols - 1) / w->group + 1) * ((w->group + lanes - 1) / lanes);
}

static int check_job(const accel_dev *dev, const struct accel_job *job, struct accel_error *err)
{
    const struct accel_weights *w = job->weights;
    const struct accel_caps *caps = &dev->caps;
    size_t elements;
    if (!w || !job->x || !job->y)
        return accel_fail(err, ACCEL_E_ARG, "job: weights, x and y must be given");
    if (w->dev != dev)
        return accel_fail(err, ACCEL_E_ARG,
                          "job: its weights were loaded on another device; load the matrix on %s",
                          caps->uri);
    if (job->n == 0)
        return accel_fail(err, ACCEL_E_ARG, "job: n is 0; give at least one column");
    if (job->x_stride < w->cols || job->y_stride < w->rows)
        return accel_fail(err, ACCEL_E_ARG,
                          "job: strides x %zu and y %zu; at least %u (columns of W) and %u (rows) "
                          "are needed",
                          job->x_stride, job->y_stride, w->cols, w->rows);
    if (!mul_size(job->n, job->x_stride, &elements) ||
        !mul_size(job->n, job->y_stride, &elements) ||
        !mul_size(elements, sizeof(int64_t), &elements))
        return accel_fail(err, ACCEL_E_ARG, "job: n times a stride is beyond memory");
    if (job->out != ACCEL_OUT_ACC && job->out != ACCEL_OUT_F32 && job->out != ACCEL_OUT_I8)
        return accel_fail(err, ACCEL_E_ARG, "job: %d is no output kind", (int)job->out);
    if (job->n > caps->max_n)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "job: %u columns, %s takes %u at once; split the job", job->n, caps->uri,
                          caps->max_n);
    uint64_t steps = steps_of(w, caps->lanes) * job->n;
    if (steps > caps->max_steps)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "job: %u columns of %u activations need %llu steps, the buffer of %s has "
                          "%u; use fewer columns",
                          job->n, w->cols, (unsigned long long)steps, caps->uri, caps->max_steps);
    return job->out == ACCEL_OUT_I8 ? check_requant(job, err) : ACCEL_OK;
}

int accel_submit(accel_dev *dev, const struct accel_job *job, accel_ticket *ticket,
                 struct accel_error *err)
{
    accel_no_error(err);
    if (!dev || !job || !ticket)
        return accel_fail(err, ACCEL_E_ARG, "submit: dev, job and ticket must be given");
    int rc = check_job(dev, job, err);
    if (rc)
        return rc;
    struct device_queue *q = dev->queue;
    struct slot *slot = NULL;
    pthread_mutex_lock(&q->mutex);
    bool gone = q->gone;
    for (size_t i = 0; i < QUEUE_SLOTS && !slot && !gone; i++)
        if (q->slots[i].state == SLOT_FREE)
            slot = &q->slots[i];
    if (slot) {
        memset(slot, 0, sizeof *slot);
        slot->state = SLOT_QUEUED;
        slot->ticket = ++q->last;
        slot->job = *job;
        *ticket = slot->ticket;
    }
    pthread_mutex_unlock(&q->mutex);
    if (gone)
        return accel_fail(err, ACCEL_E_GONE, "device %s is gone; close it", dev->caps.uri);
    if (!slot)
        return accel_fail(err, ACCEL_E_QUEUE,
                          "device %s: %d jobs are in flight; wait for a ticket first",
                          dev->caps.uri, QUEUE_SLOTS);
    return ACCEL_OK;
}

/* ---- running ---- */

static void store_results(const struct accel_job *job, const int64_t *acc, const int8_t *i8)
{
    const struct accel_weights *w = job->weights;
    const size_t rows = w->rows;
    for (size_t i = 0; i < job->n; i++) {
        if (job->out == ACCEL_OUT_ACC) {
            memcpy((int64_t *)job->y + i * job->y_stride, acc + i * rows, rows * sizeof *acc);
        } else if (job->out == ACCEL_OUT_I8) {
            int8_t *y = (int8_t *)job->y + i * job->y_stride;
            if (i8)
                memcpy(y, i8 + i * rows, rows);
            for (size_t m = 0; !i8 && m < rows; m++) /* by a device without requantizers */
                y[m] = accel_requantize(acc[i * rows + m], job->requant_mul[m],
                                        job->requant_shift[m]);
        } else {
            float *y = (float *)job->y + i * job->y_stride;
            double scale = job->col_scale ? (double)job->col_scale[i] : 1.0;
            for (size_t m = 0; m < rows; m++)
                y[m] = (float)((double)acc[i * rows + m] * (double)w->row_scale[m] * scale);
        }
    }
}

/* One job to its end, by whoever owns the backend. y is touched only after success. */
static int run_job(accel_dev *dev, const struct accel_job *job, struct accel_stats *stats,
                   struct accel_error *err)
{
    const struct accel_weights *w = job->weights;
    bool narrow = job->out == ACCEL_OUT_I8 && !dev->no_requant;
    size_t count, bytes;
    void *results = NULL;
    if (mul_size(job->n, w->rows, &count) &&
        mul_size(count, narrow ? sizeof(int8_t) : sizeof(int64_t), &bytes))
        results = malloc(bytes);
    if (!results)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: %u columns of %u results", job->n,
                          w->rows);
    struct backend_job b = {
        .weights = w,
        .x = job->x,
        .n = job->n,
        .x_stride = job->x_stride,
        .acc = narrow ? NULL : results,
        .i8 = narrow ? results : NULL,
        .requant_mul = narrow ? job->requant_mul : NULL,
        .requant_shift = narrow ? job->requant_shift : NULL,
        .deadline_ns = job->deadline_ns,
    };
    int rc = dev->backend->run(dev, &b, stats, err);
    stats->ideal_cycles = stats->array_beats > stats->weight_beats ? stats->array_beats
                                                                   : stats->weight_beats;
    if (!rc)
        store_results(job, b.acc, b.i8);
    free(results);
    return rc;
}

static void add_stats(struct accel_stats *sum, const struct accel_stats *s)
{
    sum->macs += s->macs;
    sum->cycles += s->cycles;
    sum->array_beats += s->array_beats;
    sum->weight_beats += s->weight_beats;
    sum->header_beats += s->header_beats;
    sum->act_beats += s->act_beats;
    sum->result_beats += s->result_beats;
    sum->stall_weights += s->stall_weights;
    sum->stall_acts += s->stall_acts;
    sum->stall_results += s->stall_results;
    sum->jobs += s->jobs;
    sum->ideal_cycles += s->ideal_cycles;
}

static struct slot *find_slot(struct device_queue *q, accel_ticket ticket)
{
    for (size_t i = 0; i < QUEUE_SLOTS && ticket; i++)
        if (q->slots[i].state != SLOT_FREE && q->slots[i].ticket == ticket)
            return &q->slots[i];
    return NULL;
}

static struct slot *oldest_queued(struct device_queue *q)
{
    struct slot *oldest = NULL;
    for (size_t i = 0; i < QUEUE_SLOTS; i++)
        if (q->slots[i].state == SLOT_QUEUED && (!oldest || q->slots[i].ticket < oldest->ticket))
            oldest = &q->slots[i];
    return oldest;
}

/* Run a queued job. Called and left with the mutex held, which is free in between. */
static void run_slot(accel_dev *dev, struct slot *slot)
{
    struct device_queue *q = dev->queue;
    slot->state = SLOT_RUNNING;
    q->busy = true;
    bool gone = q->gone;
    pthread_mutex_unlock(&q->mutex);
    struct accel_stats stats = { 0 };
    struct accel_error error = { 0 };
    int rc = gone ? accel_fail(&error, ACCEL_E_GONE, "device %s is gone; close it", dev->caps.uri)
                  : run_job(dev, &slot->job, &stats, &error);
    pthread_mutex_lock(&q->mutex);
    if (rc == ACCEL_OK) {
        stats.jobs = 1;
        add_stats(&dev->totals, &stats);
    }
    q->gone = gone || rc == ACCEL_E_GONE;
    slot->outcome = rc;
    slot->stats = stats;
    slot->error = error;
    slot->state = SLOT_DONE;
    q->busy = false;
    pthread_cond_broadcast(&q->changed);
}

/* When a wait of timeout_ns from now ends, on the condition variable's clock. */
static struct timespec end_of_wait(uint64_t timeout_ns)
{
    const uint64_t second = 1000000000u;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t ns = (uint64_t)t.tv_nsec + timeout_ns % second;
    /* ten years are as good as any longer time, and cannot wrap */
    uint64_t seconds = timeout_ns / second;
    t.tv_sec += (time_t)((seconds < 315360000u ? seconds : 315360000u) + ns / second);
    t.tv_nsec = (long)(ns % second);
    return t;
}

static bool reached(const struct timespec *end)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec > end->tv_sec || (t.tv_sec == end->tv_sec && t.tv_nsec >= end->tv_nsec);
}

int accel_wait(accel_dev *dev, accel_ticket ticket, uint64_t timeout_ns, struct accel_stats *stats,
               struct accel_error *err)
{
    accel_no_error(err);
    if (!dev)
        return accel_fail(err, ACCEL_E_ARG, "wait: dev must be given");
    struct device_queue *q = dev->queue;
    struct timespec end = { 0 };
    if (timeout_ns)
        end = end_of_wait(timeout_ns);
    struct slot *slot;
    pthread_mutex_lock(&q->mutex);
    while ((slot = find_slot(q, ticket)) != NULL && slot->state != SLOT_DONE) {
        if (timeout_ns && reached(&end))
            break;
        if (!q->busy)
            run_slot(dev, oldest_queued(q)); /* jobs run in order: perhaps not ours yet */
        else if (timeout_ns)
            pthread_cond_timedwait(&q->changed, &q->mutex, &end);
        else
            pthread_cond_wait(&q->changed, &q->mutex);
    }
    int rc;
    if (!slot) {
        rc = accel_fail(err, ACCEL_E_ARG,
                        "wait: %llu is no ticket of this device, or was waited "
                        "for already",
                        (unsigned long long)ticket);
    } else if (slot->state != SLOT_DONE) {
        rc = accel_fail(err, ACCEL_E_TIMEOUT,
                        "wait: ticket %llu was not done after %llu ns; wait again, or cancel it",
                        (unsigned long long)ticket, (unsigned long long)timeout_ns);
    } else {
        rc = slot->outcome;
        if (stats && rc == ACCEL_OK)
            *stats = slot->stats;
        if (err && rc != ACCEL_OK)
            *err = slot->error;
        slot->state = SLOT_FREE;
    }
    pthread_mutex_unlock(&q->mutex);
    return rc;
}

int accel_cancel(accel_dev *dev, accel_ticket ticket)
{
    if (!dev)
        return ACCEL_E_ARG;
    struct device_queue *q = dev->queue;
    int rc = ACCEL_E_ARG;
    pthread_mutex_lock(&q->mutex);
    struct slot *slot = find_slot(q, ticket);
    if (slot && slot->state == SLOT_QUEUED) {
        slot->state = SLOT_DONE;
        slot->outcome = accel_fail(&slot->error, ACCEL_E_CANCELLED, "job %llu was cancelled",
                                   (unsigned long long)ticket);
        pthread_cond_broadcast(&q->changed);
        rc = ACCEL_OK;
    }
    pthread_mutex_unlock(&q->mutex);
    return rc;
}

int accel_run(accel_dev *dev, const struct accel_job *job, struct accel_stats *stats,
              struct accel_error *err)
{
    accel_ticket ticket = 0;
    int rc = accel_submit(dev, job, &ticket, err);
    return rc ? rc : accel_wait(dev, ticket, 0, stats, err);
}

/* ---- whole models ---- */

int device_open_model(accel_dev *dev, const struct accel_llm *llm, void **model,
                      struct accel_error *err)
{
    if (!dev->backend->open_model)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "device %s runs jobs only", dev->caps.uri);
    take_backend(dev->queue);
    int rc = dev->backend->open_model(dev, llm, model, err);
    give_backend(dev->queue);
    return rc;
}

int device_run_model(accel_dev *dev, void *model, const struct backend_tokens *tokens,
                     struct accel_error *err)
{
    struct device_queue *q = dev->queue;
    struct accel_stats stats = { 0 };
    take_backend(q);
    pthread_mutex_lock(&q->mutex);
    bool gone = q->gone;
    pthread_mutex_unlock(&q->mutex);
    int rc = gone ? accel_fail(err, ACCEL_E_GONE, "device %s is gone; close it", dev->caps.uri)
                  : dev->backend->run_model(dev, model, tokens, &stats, err);
    pthread_mutex_lock(&q->mutex);
    if (rc == ACCEL_OK)
        add_stats(&dev->totals, &stats);
    q->gone = gone || rc == ACCEL_E_GONE;
    pthread_mutex_unlock(&q->mutex);
    give_backend(q);
    return rc;
}

void device_close_model(accel_dev *dev, void *model)
{
    if (!model)
        return;
    take_backend(dev->queue);
    dev->backend->close_model(model);
    give_backend(dev->queue);
}

/* ---- totals ---- */

void accel_get_totals(const accel_dev *dev, struct accel_stats *totals)
{
    pthread_mutex_lock(&dev->queue->mutex);
    *totals = dev->totals;
    pthread_mutex_unlock(&dev->queue->mutex);
}

void accel_reset_totals(accel_dev *dev)
{
    pthread_mutex_lock(&dev->queue->mutex);
    memset(&dev->totals, 0, sizeof dev->totals);
    pthread_mutex_unlock(&dev->queue->mutex);
}

double accel_utilisation(const struct accel_stats *stats)
{
    if (!stats || stats->cycles == 0)
        return 0.0;
    return (double)stats->ideal_cycles / (double)stats->cycles;
}
