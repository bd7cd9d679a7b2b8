/* replay.c - sends a device what a recording sent to another, and compares the answers.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is compared is what data frames say, in order: when and in what pieces it comes, and what was lost on the way
 * and sent again, is the link's affair. */
#include "record.h"

#include <stdlib.h>
#include <string.h>

#define SECOND  1000000000ull
#define STALLED (10 * SECOND) /* without anything of a session moving */

struct replay {
    const struct carrier *carrier;
    const struct recording *rec;
    struct accel_replay_stats *done;
    size_t end;       /* of the session's frames */
    size_t at, sent;  /* the frame to be sent next, bytes of it that were */
    size_t want, got; /* the frame expected next, bytes of it that came */
    size_t job_bytes; /* of the job's result */
    struct accel_error *err;
    bool differs;
    struct link_host host;
    struct carrier_buffer buffer;
};

static bool to_host(const struct record_frame *f)
{
    return f->type >= LINK_TYPE_RESULT;
}

/* The next frame from `i` on that goes that way. */
static size_t next(const struct replay *p, size_t i, bool host)
{
    while (i < p->end && to_host(&p->rec->frames[i]) != host)
        i++;
    return i;
}

static const char *kind_of(uint8_t type)
{
    return type == LINK_TYPE_RESULT ? "result" : "completion";
}

static bool sink(void *user, const struct link_header *h, const uint8_t *payload)
{
    struct replay *p = user;
    for (size_t i = 0; i < h->length;) {
        if (p->want == p->end)
            return true; /* the recording ends here, the device goes on */
        const struct record_frame *f = &p->rec->frames[p->want];
        const uint8_t then = p->rec->bytes[f->at + p->got];
        p->differs = f->type != h->type || f->tag != h->tag;
        if (p->differs)
            accel_fail(
                p->err, ACCEL_E_MISMATCH,
                "replay: session %llu: the device sends a %s of job %u, recorded was a %s of "
                "job %u",
                (unsigned long long)p->done->sessions, kind_of(h->type), h->tag, kind_of(f->type),
                f->tag);
        else if ((p->differs = payload[i] != then) != false)
            accel_fail(p->err, ACCEL_E_MISMATCH,
                       "replay: session %llu, job %u: byte %zu of its %s is 0x%02x, recorded was "
                       "0x%02x",
                       (unsigned long long)p->done->sessions, h->tag, p->job_bytes,
                       kind_of(h->type), payload[i], then);
        if (p->differs)
            return false;
        i++;
        p->job_bytes++;
        p->done->compared++;
        if (++p->got == f->length) {
            const size_t after = next(p, p->want + 1, true);
            p->done->jobs += f->type == LINK_TYPE_COMPLETION;
            if (after == p->end || p->rec->frames[after].type != f->type)
                p->job_bytes = 0;
            p->want = after;
            p->got = 0;
        }
    }
    return true;
}

static void feed(struct replay *p)
{
    while (p->at < p->end) {
        const struct record_frame *f = &p->rec->frames[p->at];
        const unsigned stream = f->type - LINK_TYPE_STREAM;
        const size_t left = f->length - p->sent, room = link_host_room(&p->host, stream);
        const size_t n = room < left ? room : left;
        if (n == 0)
            return;
        link_host_send(&p->host, stream, f->tag, p->rec->bytes + f->at + p->sent, n,
                       carrier_now(p->carrier));
        p->sent += n;
        p->done->sent += n;
        if (n == left) {
            p->at = next(p, p->at + 1, false);
            p->sent = 0;
        }
    }
}

static int stopped(struct replay *p, const char *why)
{
    const struct record_frame *f = p->want < p->end ? &p->rec->frames[p->want] : NULL;
    return accel_fail(p->err, ACCEL_E_MISMATCH,
                      "replay: session %llu, job %u: %s; recorded was %s (%zu of %u bytes came)",
                      (unsigned long long)p->done->sessions, f ? f->tag : 0u, why,
                      f ? kind_of(f->type) : "nothing more", p->got, f ? f->length : 0u);
}

static int play_session(struct replay *p, uint16_t session)
{
    uint64_t moved = carrier_now(p->carrier), last = 0;
    link_host_open(&p->host, session, moved);
    link_host_expect(&p->host, true, moved);
    while (p->at < p->end || p->want < p->end || p->host.base != p->host.next ||
           p->host.state == LINK_OPENING) {
        if (p->host.state == LINK_OPEN)
            feed(p);
        const int rc = carrier_pump(p->carrier, &p->host, &p->buffer, UINT64_MAX, p->err);
        if (rc)
            return rc;
        if (p->differs)
            return ACCEL_E_MISMATCH;
        if (p->host.state == LINK_SILENT || p->host.state == LINK_LOST)
            return stopped(p, p->host.state == LINK_LOST ? "the device forgot its session"
                                                         : "the device went silent");
        const uint64_t now = carrier_now(p->carrier),
                       here = p->done->sent + p->done->compared + p->host.base;
        if (here != last || p->host.state == LINK_OPENING)
            moved = now;
        last = here;
        if (now - moved > STALLED)
            return stopped(p, "nothing moves any more");
    }
    link_host_expect(&p->host, false, carrier_now(p->carrier));
    return ACCEL_OK;
}

int link_replay(const struct carrier *carrier, uint16_t session, const struct recording *rec,
                struct accel_replay_stats *done, struct accel_error *err)
{
    struct replay *p = calloc(1, sizeof *p);
    int rc = ACCEL_OK;
    if (!p)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: replaying");
    p->carrier = carrier;
    p->rec = rec;
    p->done = done;
    p->err = err;
    link_host_init(&p->host, &carrier->timing, sink, p);
    for (size_t i = 0; i < rec->count && !rc; i = p->end) {
        for (p->end = i + 1; p->end < rec->count && rec->frames[p->end].type != LINK_TYPE_RESET;)
            p->end++;
        p->at = next(p, i + 1, false);
        p->want = next(p, i + 1, true);
        p->sent = p->got = p->job_bytes = 0;
        if (p->end == i + 1)
            continue; /* nothing was done in it */
        done->sessions++;
        session = (uint16_t)(session == UINT16_MAX ? 1 : session + 1);
        rc = play_session(p, session);
    }
    free(p);
    return rc;
}
