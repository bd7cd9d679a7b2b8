/* remote.c - a core behind the link.
 * SPDX-License-Identifier: Apache-2.0 */
#include "remote.h"

#include "resident.h"

#include "../streams.h"
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND   1000000000ull
#define STALLED  (30 * SECOND) /* a job that moves nothing for so long will not end */
#define ATTEMPTS 3             /* sessions that one job may use up */
#define SHORTEST 64u           /* payload of a frame over a bad cable */
#define GOOD_RUN 32u /* frames that got through at once, after which longer ones are tried */

struct remote {
    struct accel_dev *dev;
    struct carrier carrier;
    struct recorder *recorder; /* NULL: nothing is written down */
    uint32_t core[RECORD_IDENTITY];
    struct pack_shape shape;
    const struct pe_kind *kind;
    uint32_t rooms[LINK_STREAMS];
    uint16_t session;
    struct memory memory;
    bool fresh; /* the session is open and nothing is left of a job in it */
    uint64_t counters[STREAMS_COUNTERS];

    /* the job that runs */
    struct job_streams streams;
    uint32_t commands[4 * (RESIDENT_STREAMS + 1)];
    struct byte_stream left[LINK_STREAMS];
    struct result_reader results;
    uint16_t id;
    int status; /* of its completion; -1: not there yet */
    uint64_t to_send;
    size_t longest; /* payload of a frame: halved when frames are lost, doubled when none is */
    uint64_t resent, sent;    /* when that was last decided */
    uint64_t start, deadline; /* of the job, on the carrier's clock */

    struct link_host host;
    struct carrier_buffer buffer;
};

static struct remote *remote_of(const struct accel_dev *dev)
{
    return *(struct remote *const *)dev->priv;
}

uint64_t carrier_now(const struct carrier *c)
{
    if (c->now) /* simulated devices have a time of their own */
        return c->now(c->priv);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

int carrier_pump(const struct carrier *c, struct link_host *host, struct carrier_buffer *b,
                 uint64_t until, struct accel_error *err)
{
    const uint64_t now = carrier_now(c);
    size_t written = 0, got = 0;
    if (b->out_at == b->out_count) {
        b->out_at = 0;
        b->out_count = link_host_output(host, b->out, sizeof b->out, now);
    }
    const uint64_t wake = link_host_wake(host);
    until = until < wake ? until : wake;
    const uint64_t wait = until > now ? until - now : 0;
    int rc = c->move(c->priv, b->out + b->out_at, b->out_count - b->out_at, &written, b->in,
                     sizeof b->in, &got, wait < SECOND ? wait : SECOND, err);
    b->out_at += written;
    if (!rc)
        link_host_input(host, b->in, got, carrier_now(c));
    return rc;
}

static uint64_t time_of(const struct remote *r)
{
    return carrier_now(&r->carrier);
}

static bool take_data(void *user, const struct link_header *h, const uint8_t *payload)
{
    struct remote *r = user;
    if (h->tag != r->id || r->status >= 0)
        return false;
    if (h->type == LINK_TYPE_RESULT)
        return results_take(&r->results, payload, h->length);
    if (h->length != 4 || link_get16(payload) != r->id)
        return false;
    r->status = payload[2];
    return true;
}

static uint64_t bytes_left(const struct remote *r)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < LINK_STREAMS; i++)
        sum += r->left[i].count;
    return sum;
}

static int pump(struct remote *r, uint64_t until, struct accel_error *err)
{
    return carrier_pump(&r->carrier, &r->host, &r->buffer, until, err);
}

static int silent(const struct remote *r, struct accel_error *err)
{
    const struct link_host *h = &r->host;
    char more[80] = "";
    if (r->carrier.describe)
        r->carrier.describe(r->carrier.priv, more, sizeof more);
    return accel_fail(
        err, ACCEL_E_GONE,
        "%s: no answer for %.1f s (%llu frames sent, %llu received, %llu broken%s%s): %s",
        r->carrier.name, (double)r->carrier.timing.silence_ns * 1e-9, (unsigned long long)h->sent,
        (unsigned long long)h->decoder.good,
        (unsigned long long)(h->decoder.bad_crc + h->decoder.bad_header), *more ? "; " : "", more,
        r->carrier.when_silent);
}

/* Whether the job's time is up; then says so. */
static bool is_late(struct remote *r, const char *what, struct accel_error *err)
{
    const uint64_t now = time_of(r);
    if (now < r->deadline)
        return false;
    r->fresh = false;
    accel_fail(
        err, ACCEL_E_TIMEOUT,
        "%s: the deadline passed after %.3f s, while %s: %llu of %llu bytes sent, %zu of %zu "
        "results received, %llu frames sent again",
        r->carrier.name, (double)(now - r->start) * 1e-9, what,
        (unsigned long long)(r->to_send - bytes_left(r)), (unsigned long long)r->to_send,
        r->results.values, r->results.values_in_all, (unsigned long long)r->host.resent);
    return true;
}

/* Waits for the answer to what was asked, in host.words. */
static int await_answer(struct remote *r, struct accel_error *err)
{
    while (!r->host.answered) {
        int rc = pump(r, r->deadline, err);
        if (rc)
            return rc;
        if (r->host.state == LINK_SILENT)
            return silent(r, err);
        if (is_late(r, "reading registers", err))
            return ACCEL_E_TIMEOUT;
    }
    return ACCEL_OK;
}

static int peek(struct remote *r, uint16_t word, uint16_t count, struct accel_error *err)
{
    link_host_peek(&r->host, word, count, time_of(r));
    return await_answer(r, err);
}

int remote_peek(struct accel_dev *dev, uint16_t word, uint16_t count, uint32_t *values,
                struct accel_error *err)
{
    struct remote *r = remote_of(dev);
    int rc = peek(r, word, count, err);
    if (!rc)
        memcpy(values, r->host.words, count * sizeof *values);
    return rc;
}

int remote_poke(struct accel_dev *dev, uint16_t word, uint32_t value, struct accel_error *err)
{
    struct remote *r = remote_of(dev);
    link_host_poke(&r->host, word, value, time_of(r));
    return await_answer(r, err);
}

/* The device's counters, which a new session sets to 0. */
static int read_counters(struct remote *r, uint64_t *counters, struct accel_error *err)
{
    int rc = peek(r, LINK_REG_CORE + 16, 2 * STREAMS_COUNTERS, err);
    for (size_t i = 0; i < STREAMS_COUNTERS && !rc; i++)
        counters[i] = r->host.words[2 * i] | (uint64_t)r->host.words[2 * i + 1] << 32;
    return rc;
}

static int try_session(struct remote *r, uint16_t session, struct accel_error *err)
{
    r->session = session;
    r->host.state = LINK_CLOSED;
    link_host_open(&r->host, session, time_of(r));
    while (r->host.state == LINK_OPENING) {
        int rc = pump(r, r->deadline, err);
        if (rc)
            return rc;
        if (is_late(r, "opening a session", err))
            return ACCEL_E_TIMEOUT;
    }
    return r->host.state == LINK_OPEN ? ACCEL_OK : silent(r, err);
}

/* What lies in the memory is known as long as it keeps our tag, which power-on clears. */
static int check_memory(struct remote *r, struct accel_error *err)
{
    if (!r->memory.bytes)
        return ACCEL_OK;
    int rc = peek(r, LINK_REG_MEM_TAG, 1, err);
    if (rc || (r->memory.tag && r->host.words[0] == r->memory.tag))
        return rc;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    memory_forget(&r->memory);
    r->memory.tag = link_crc(r->session, &t, sizeof t) | 1;
    link_host_poke(&r->host, LINK_REG_MEM_TAG, r->memory.tag, time_of(r));
    return await_answer(r, err);
}

static int enter_session(struct remote *r, uint16_t session, struct accel_error *err)
{
    r->fresh = false;
    int rc = try_session(r, session, err);
    for (unsigned attempt = 0; rc == ACCEL_E_GONE && r->host.state == LINK_SILENT &&
                               r->carrier.revive && r->carrier.revive(r->carrier.priv, attempt);
         attempt++) {
        accel_log(r->dev, ACCEL_LOG_WARN, "%s: was silent and has been reset", r->carrier.name);
        r->buffer.out_at = r->buffer.out_count = 0;
        rc = try_session(r, session, err);
    }
    return rc;
}

/* A session of which nothing is known to the device, so that nothing of an earlier one can reach it. */
static int open_session(struct remote *r, struct accel_error *err)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint16_t session = (uint16_t)(link_crc(0, &t, sizeof t) ^ r->session);
    while (session == 0 || session == r->session)
        session++;
    int rc = enter_session(r, session, err);
    if (!rc)
        rc = read_counters(r, r->counters, err);
    if (!rc)
        rc = check_memory(r, err);
    r->fresh = !rc;
    return rc;
}

/* ---- what is there ---- */

static int check_identity(struct remote *r, struct accel_error *err)
{
    int rc = peek(r, LINK_REG_MAGIC, 3, err);
    if (rc)
        return rc;
    const uint32_t *w = r->host.words;
    if (w[0] != LINK_MAGIC_WORD)
        return accel_fail(err, ACCEL_E_DEVICE,
                          "%s: something answers, but is no accel device (register %u reads "
                          "0x%08x); load its gateware",
                          r->carrier.name, LINK_REG_MAGIC, w[0]);
    const unsigned lowest = w[1] >> 16, highest = w[1] & 0xFFFF;
    if (lowest > LINK_PROTOCOL_MAX || highest < LINK_PROTOCOL_MIN)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s: the device speaks protocol versions %u to %u, this library %u to "
                          "%u; %s",
                          r->carrier.name, lowest, highest, LINK_PROTOCOL_MIN, LINK_PROTOCOL_MAX,
                          lowest > LINK_PROTOCOL_MAX
                              ? "update libaccel"
                              : "program it anew: make program BOARD=NAME, docs/boards.md");
    r->session = (uint16_t)w[2];
    return ACCEL_OK;
}

static bool is_power_of_two(uint32_t v, uint32_t least, uint32_t most)
{
    return v >= least && v <= most && (v & (v - 1)) == 0;
}

static int read_shape(struct remote *r, struct accel_error *err)
{
    int rc = peek(r, LINK_REG_CORE, 13, err);
    if (rc)
        return rc;
    const uint32_t *w = r->host.words;
    struct accel_caps *caps = &r->dev->caps;
    for (size_t i = 0; i < accel_kind_count; i++)
        if (accel_kinds[i].id == w[2])
            r->kind = &accel_kinds[i];
    if (w[0] != 0x4c434341 || w[1] != 1)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s: its core has interface version %u, this library knows 1; update "
                          "libaccel or the gateware",
                          r->carrier.name, w[1]);
    if (!r->kind)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s: its core is of PE kind %u, which this library cannot pack for; "
                          "update libaccel",
                          r->carrier.name, w[2]);
    if (!is_power_of_two(w[3], 4, 256) || w[4] < 8 || w[4] > 256 ||
        !is_power_of_two(w[5], 1, w[3]) || w[6] < 2 || w[6] > 256 || w[7] == 0 || w[7] > 65536 ||
        w[10] < 24 || w[10] > 40 || w[11] > 1024)
        return accel_fail(err, ACCEL_E_DEVICE,
                          "%s: impossible core of %u x %u, %u scale units, %u columns, %u steps",
                          r->carrier.name, w[3], w[4], w[5], w[6], w[7]);
    r->shape = (struct pack_shape){
        .rows = w[3], .lanes = w[4], .scale_units = w[5], .d_bits = w[10], .o_depth = w[11]
    };
    r->dev->no_requant = w[12] >> 1 & 1;
    snprintf(caps->pe, sizeof caps->pe, "%s", r->kind->name);
    caps->rows = w[3];
    caps->lanes = w[4];
    caps->scale_units = w[5];
    caps->max_n = w[6];
    caps->max_steps = w[7];
    caps->acc_bits = 48;
    memcpy(r->core, w, sizeof r->core);
    if (r->recorder)
        recorder_core(r->recorder, w);
    if ((rc = peek(r, LINK_REG_ROOM, LINK_STREAMS, err)))
        return rc;
    memcpy(r->rooms, r->host.words, sizeof r->rooms);
    if ((rc = peek(r, LINK_REG_MEM_MAGIC, 2, err)))
        return rc;
    r->memory.bytes = w[0] == LINK_MEM_WORD ? w[1] : 0;
    r->memory.tag = 0;
    return ACCEL_OK;
}

/* Whatever is at the other end: what is it? */
static int meet(struct remote *r, struct accel_error *err)
{
    int rc;
    link_host_init(&r->host, &r->carrier.timing, take_data, r);
    r->buffer.out_at = r->buffer.out_count = 0;
    r->longest = r->carrier.longest;
    r->resent = r->sent = 0;
    r->status = -1;
    r->deadline = UINT64_MAX;
    /* An earlier user may have left the device in the middle of a frame: what it waits for are zeros, for a start. */
    if (r->dev->registers_only) {
        link_host_flush(&r->host);
        return check_identity(r, err);
    }
    rc = enter_session(r, 1, err);
    if (rc || (rc = check_identity(r, err)) || (rc = read_shape(r, err)))
        return rc;
    return open_session(r, err);
}

int remote_open(struct accel_dev *dev, const struct carrier *carrier, const char *record,
                struct remote **out, struct accel_error *err)
{
    struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: opening %s", carrier->name);
    r->dev = dev;
    r->carrier = *carrier;
    int rc = *record ? recorder_open(record, &r->recorder, err) : ACCEL_OK;
    if (!rc && r->recorder)
        r->carrier = recorder_wrap(r->recorder, carrier);
    if (!rc)
        rc = meet(r, err);
    if (rc) {
        remote_close(r);
        return rc;
    }
    *out = r;
    return ACCEL_OK;
}

int remote_reopen(struct remote *r, struct accel_error *err)
{
    const struct pe_kind *kind = r->kind;
    const struct pack_shape shape = r->shape;
    const struct accel_caps caps = r->dev->caps;
    int rc = meet(r, err);
    const struct accel_caps now = r->dev->caps;
    if (!rc && (r->kind != kind || now.rows != caps.rows || now.lanes != caps.lanes ||
                now.scale_units != caps.scale_units || now.max_n < caps.max_n ||
                now.max_steps < caps.max_steps || r->shape.d_bits != shape.d_bits ||
                r->shape.o_depth != shape.o_depth))
        rc = accel_fail(
            err, ACCEL_E_MISMATCH,
            "%s: a %s of %u x %u is there now, the weights were loaded for a %s of %u x %u: "
            "open it anew",
            r->carrier.name, r->kind->name, now.rows, now.lanes, kind->name, caps.rows, caps.lanes);
    r->dev->caps = caps; /* jobs are checked against them, and packed for them */
    r->kind = kind;
    r->shape = shape;
    return rc;
}

void remote_close(struct remote *r)
{
    if (!r)
        return;
    memory_close(&r->memory);
    streams_free(&r->streams);
    if (recorder_close(r->recorder))
        accel_log(r->dev, ACCEL_LOG_WARN, "%s: the recording could not be written to its end",
                  r->carrier.name);
    free(r);
}

/* ---- weights ---- */

int remote_can_run(const struct accel_dev *dev, accel_format f, uint32_t group,
                   struct accel_error *err)
{
    const struct remote *r = remote_of(dev);
    (void)group; /* any group is padded to whole steps */
    return streams_can_run(r->kind, &r->shape, f, err);
}

int remote_load(struct accel_dev *dev, const struct accel_matrix *mat, struct accel_weights *w,
                struct accel_error *err)
{
    const struct remote *r = remote_of(dev);
    return streams_load(r->kind, &r->shape, mat, w, err);
}

/* ---- jobs ---- */

/* Long frames carry more, short ones survive more. */
static void choose_length(struct remote *r)
{
    const bool lost = r->host.resent != r->resent;
    if (!lost && r->host.sent - r->sent < GOOD_RUN)
        return;
    const size_t longer = 2 * r->longest, shorter = r->longest / 2;
    if (lost)
        r->longest = shorter > SHORTEST ? shorter : SHORTEST;
    else
        r->longest = longer < r->carrier.longest ? longer : r->carrier.longest;
    r->resent = r->host.resent;
    r->sent = r->host.sent;
}

/* Queue what there is room for; the streams that are short come first. */
static void feed(struct remote *r)
{
    static const unsigned order[LINK_STREAMS] = { LINK_STREAM_COMMAND, LINK_STREAM_X, LINK_STREAM_H,
                                                  LINK_STREAM_O, LINK_STREAM_W };
    const uint64_t now = time_of(r);
    bool any = true;
    choose_length(r);
    while (any) {
        any = false;
        for (size_t i = 0; i < LINK_STREAMS; i++) {
            struct byte_stream *s = &r->left[order[i]];
            size_t n = link_host_room(&r->host, order[i]);
            size_t worth = r->rooms[order[i]] / 4; /* less is not worth a frame, but for the last */
            worth = worth < r->longest ? worth : r->longest;
            worth = worth < s->count ? worth : s->count;
            n = n < s->count ? n : s->count;
            n = n < r->longest ? n : r->longest;
            if (n == 0 || n < worth)
                continue;
            link_host_send(&r->host, order[i], r->id, s->bytes, n, now);
            s->bytes += n;
            s->count -= n;
            any = true;
        }
    }
}

/* A number that changes whenever the job moves. */
static uint64_t progress_of(const struct remote *r)
{
    return r->to_send - bytes_left(r) + r->results.values + (uint64_t)(r->host.base + r->host.want);
}

static void put_memory_command(uint32_t *command, uint32_t op, uint16_t id, uint32_t address,
                               uint32_t bytes, uint32_t crc)
{
    command[0] = op | (uint32_t)id << 16;
    command[1] = address;
    command[2] = bytes;
    command[3] = crc;
}

/* Queues all of the job; the streams that lie in memory as commands. */
static int begin_job(struct remote *r, const struct backend_job *job, const struct resident *kept,
                     struct accel_error *err)
{
    const struct packed *p = job->weights->priv;
    int rc = streams_of_job(&r->streams, &r->shape, p, job, ++r->id);
    if (rc)
        return accel_fail(err, rc, "out of memory: %u columns for %s", job->n, r->carrier.name);
    results_begin(&r->results, &r->shape, p, job);
    r->status = -1;
    r->fresh = false;
    r->left[LINK_STREAM_X] = r->streams.x;
    r->left[LINK_STREAM_W] = r->streams.w;
    r->left[LINK_STREAM_H] = r->streams.h;
    r->left[LINK_STREAM_O] = r->streams.o;
    uint32_t *command = r->commands;
    for (unsigned s = 0; kept && s < RESIDENT_STREAMS; s++) {
        /* headers with requantization are the job's own */
        if (!kept->stream[s].bytes || (s == RESIDENT_H && job->requant_mul))
            continue;
        const unsigned stream = LINK_STREAM_W + s;
        put_memory_command(command, LINK_OP_FETCH | stream << 8, r->id, kept->stream[s].address,
                           kept->stream[s].bytes, kept->stream[s].crc);
        command += 4;
        r->left[stream].count = 0;
    }
    memcpy(command, r->streams.command, sizeof r->streams.command);
    command += 4;
    r->left[LINK_STREAM_COMMAND] = (struct byte_stream){
        (const uint8_t *)r->commands, (size_t)(command - r->commands) * sizeof *command
    };
    r->to_send = bytes_left(r);
    return ACCEL_OK;
}

static int end_job(struct remote *r, struct accel_error *err)
{
    const char *what = NULL;
    if (r->status == LINK_STATUS_MEMORY && r->memory.bytes)
        return ACCEL_OK; /* the caller looks at that */
    if (r->status == LINK_STATUS_ILLEGAL)
        what = "the core refused the command";
    else if (r->status == 2)
        what = "an accumulator overflowed 48 bits";
    else if (r->status != 0 || bytes_left(r) || !results_whole(&r->results))
        what = "the core lost or invented something";
    r->fresh = !what;
    return what ? accel_fail(err, ACCEL_E_DEVICE, "%s: %s", r->carrier.name, what) : ACCEL_OK;
}

/* Moves what was queued through an open session until its completion, or until the session ends. */
static int stream(struct remote *r, struct accel_error *err)
{
    uint64_t last = 0, moved = time_of(r);
    int rc;
    link_host_expect(&r->host, true, moved);
    while (r->status < 0 && r->host.state == LINK_OPEN) {
        feed(r);
        rc = pump(r, r->deadline, err);
        if (rc)
            return rc;
        const uint64_t here = progress_of(r), now = time_of(r);
        if (here != last) {
            last = here;
            moved = now;
        }
        if (r->status < 0 && is_late(r, "computing", err))
            return ACCEL_E_TIMEOUT;
        if (r->status < 0 && now - moved >= STALLED)
            return accel_fail(
                err, ACCEL_E_DEVICE,
                "%s: the device answers, but nothing of the job has moved for %.0f s: "
                "%llu of %llu bytes sent, %zu of %zu results received",
                r->carrier.name, (double)STALLED * 1e-9,
                (unsigned long long)(r->to_send - bytes_left(r)), (unsigned long long)r->to_send,
                r->results.values, r->results.values_in_all);
    }
    link_host_expect(&r->host, false, time_of(r));
    /* if the session ended, the caller looks at that */
    return r->status < 0 ? ACCEL_OK : end_job(r, err);
}

/* Stores the weights in the device's memory. They count as stored when the device has said so, not before. */
static int store(struct remote *r, struct resident *kept, const struct packed *p,
                 struct accel_error *err)
{
    uint8_t *image = resident_image(kept, p);
    if (!image)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: %u bytes of weights for %s",
                          kept->bytes, r->carrier.name);
    put_memory_command(r->commands, LINK_OP_STORE, ++r->id, kept->address, kept->bytes, 0);
    memset(r->left, 0, sizeof r->left);
    r->left[LINK_STREAM_COMMAND] = (struct byte_stream){ (const uint8_t *)r->commands, 16 };
    r->left[LINK_STREAM_W] = (struct byte_stream){ image, kept->bytes };
    r->results = (struct result_reader){ 0 };
    r->to_send = bytes_left(r);
    r->status = -1;
    r->fresh = false;
    int rc = stream(r, err);
    kept->stored = !rc && r->status == 0;
    memset(r->left, 0, sizeof r->left);
    free(image);
    return rc;
}

/* One attempt at the job, with its weights where they are best; r->status says what became of it. */
static int attempt_job(struct remote *r, const struct backend_job *job, struct accel_error *err)
{
    struct packed *p = job->weights->priv;
    struct resident *kept = memory_place(&r->memory, p, r->shape.scale_units);
    int rc = ACCEL_OK;
    if (kept && !kept->stored && ((rc = store(r, kept, p, err)) || r->status != 0))
        return rc;
    if (!rc)
        rc = begin_job(r, job, kept, err);
    if (!rc)
        rc = stream(r, err);
    if (kept && r->status == 0)
        kept->strikes = 0;
    if (kept && r->status == LINK_STATUS_MEMORY) {
        kept->stored = false;
        kept->strikes++;
    }
    return rc;
}

int remote_reset(struct accel_dev *dev, struct accel_error *err)
{
    struct remote *r = remote_of(dev);
    r->start = time_of(r);
    return open_session(r, err);
}

/* Whether streams that were packed for one core do on another, by their registers 0... */
static bool takes_jobs_of(const uint32_t *core, const uint32_t *recorded)
{
    bool fits = core[10] == recorded[10]; /* bits of D */
    for (size_t i = 0; i < 6; i++)        /* version, kind, rows, lanes, rows scaled a cycle */
        fits = fits && core[i] == recorded[i];
    /* columns, steps, outliers in a chunk */
    return fits && core[6] >= recorded[6] && core[7] >= recorded[7] && core[11] >= recorded[11];
}

int remote_replay(struct accel_dev *dev, const void *bytes, size_t count,
                  struct accel_replay_stats *done, struct accel_error *err)
{
    struct remote *r = remote_of(dev);
    struct recording rec;
    *done = (struct accel_replay_stats){ .sessions = 0 };
    int rc = recording_parse(bytes, count, &rec, err);
    if (rc)
        return rc;
    done->truncated = rec.truncated;
    if (rec.has_core && !takes_jobs_of(r->core, rec.core))
        rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                        "replay: recorded was a core of kind %u, %u x %u, here is kind %u, %u x %u "
                        "(or smaller buffers): build the same, as in make board BOARD_MODEL=...",
                        rec.core[2], rec.core[3], rec.core[4], r->core[2], r->core[3], r->core[4]);
    else
        rc = link_replay(&r->carrier, r->session, &rec, done, err);
    recording_free(&rec);
    r->fresh = false;
    return rc;
}

/* What was counted since the last job. */
static void fill_stats(struct remote *r, const struct backend_job *job, const uint64_t *counters,
                       struct accel_stats *stats)
{
    uint64_t used[STREAMS_COUNTERS];
    for (size_t i = 0; i < STREAMS_COUNTERS; i++) {
        used[i] = counters[i] - r->counters[i];
        r->counters[i] = counters[i];
    }
    streams_stats(used, job, stats);
}

static const char *why_ended(const struct remote *r)
{
    return r->status == LINK_STATUS_MEMORY ? "its memory does not hold what was stored there"
           : r->host.state == LINK_LOST    ? "the device forgot the session (reset or power)"
           : r->host.state == LINK_FAULTY  ? "the device sent what makes no sense"
                                           : "the device went silent";
}

int remote_run(struct accel_dev *dev, const struct backend_job *job, struct accel_stats *stats,
               struct accel_error *err)
{
    struct remote *r = remote_of(dev);
    uint64_t counters[STREAMS_COUNTERS];
    r->start = time_of(r);
    if (job->deadline_ns && job->deadline_ns < UINT64_MAX - r->start)
        r->deadline = r->start + job->deadline_ns;
    int rc = ACCEL_OK;
    for (int attempt = 0; attempt < ATTEMPTS && !rc; attempt++) {
        r->status = -1;
        if (!r->fresh)
            rc = open_session(r, err);
        if (!rc)
            rc = attempt_job(r, job, err);
        if (rc || r->status == 0)
            break;
        accel_log(r->dev, ACCEL_LOG_WARN, "%s: %s; the job begins again", r->carrier.name,
                  why_ended(r));
    }
    r->deadline = UINT64_MAX; /* the job's end is not that of its counters */
    if (!rc && r->status != 0)
        rc = accel_fail(err, ACCEL_E_DEVICE, "%s: given up after %d attempts: %s", r->carrier.name,
                        ATTEMPTS, why_ended(r));
    if (!rc)
        rc = read_counters(r, counters, err);
    if (!rc)
        fill_stats(r, job, counters, stats);
    return rc;
}
