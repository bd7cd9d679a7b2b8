/* host.c - the host's side of the link.
 * SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <string.h>

#define BACKOFF 2u /* doublings of the timeout */

void link_host_init(struct link_host *l, const struct link_timing *timing, link_sink *sink,
                    void *user)
{
    memset(l, 0, sizeof *l);
    l->timing = *timing;
    l->sink = sink;
    l->user = user;
}

/* ---- time ---- */

static bool waiting(const struct link_host *l)
{
    return l->state == LINK_OPENING || (l->request_type && l->state != LINK_SILENT) ||
           (l->state == LINK_OPEN && (l->busy || l->base != l->next));
}

static void hear(struct link_host *l, uint64_t now)
{
    l->heard = now;
    l->tries = 0;
    l->wake = now + l->timing.timeout_ns;
}

/* Silence counts from when something was first waited for. */
static void begin_wait(struct link_host *l, bool was_waiting, uint64_t now)
{
    if (!was_waiting)
        hear(l, now);
}

static void tick(struct link_host *l, uint64_t now)
{
    if (!waiting(l))
        return;
    if (now - l->heard >= l->timing.silence_ns)
        l->state = LINK_SILENT;
    if (l->state == LINK_SILENT || now < l->wake)
        return;
    l->tries += l->tries < BACKOFF;
    l->wake = now + (l->timing.timeout_ns << l->tries);
    if (l->state == LINK_OPENING && !l->reset_due) { /* else the last one is still on its way out */
        l->reset_due = true;
        l->zeros = LINK_MAX_FRAME;
    }
    l->request_due = l->request_type != 0;
    l->poll_due = l->state == LINK_OPEN;
}

uint64_t link_host_wake(const struct link_host *l)
{
    const uint64_t silent = l->heard + l->timing.silence_ns;
    if (!waiting(l))
        return UINT64_MAX;
    return l->wake < silent ? l->wake : silent;
}

/* ---- what the user asks for ---- */

void link_host_open(struct link_host *l, uint16_t session, uint64_t now)
{
    l->state = LINK_OPENING;
    l->session = session;
    l->poll_tag = session; /* answers to polls of other sessions shall not fit */
    l->base = l->next = l->cursor = l->highest = l->want = 0;
    memset(l->used, 0, sizeof l->used);
    memset(l->limit, 0, sizeof l->limit);
    l->busy = l->ack_due = l->nak_due = l->nak_sent = l->poll_due = l->request_due = false;
    l->request_type = 0;
    l->reset_due = true;
    l->zeros = LINK_MAX_FRAME;
    hear(l, now);
}

void link_host_flush(struct link_host *l)
{
    l->zeros = LINK_MAX_FRAME;
}

static void ask(struct link_host *l, uint8_t type, uint8_t size, uint64_t now)
{
    const bool was = waiting(l);
    l->request_type = type;
    l->request_size = size;
    l->request_tag++;
    l->request_due = true;
    l->answered = false;
    begin_wait(l, was, now);
}

void link_host_peek(struct link_host *l, uint16_t word, uint16_t count, uint64_t now)
{
    link_put16(l->request, word);
    link_put16(l->request + 2, count);
    ask(l, LINK_TYPE_PEEK, 4, now);
}

void link_host_poke(struct link_host *l, uint16_t word, uint32_t value, uint64_t now)
{
    link_put16(l->request, word);
    link_put16(l->request + 2, 0);
    link_put32(l->request + 4, value);
    ask(l, LINK_TYPE_POKE, 8, now);
}

size_t link_host_room(const struct link_host *l, unsigned stream)
{
    const uint32_t room = l->limit[stream] - l->used[stream];
    if (l->state != LINK_OPEN || (uint16_t)(l->next - l->base) >= LINK_WINDOW)
        return 0;
    return room < LINK_MAX_PAYLOAD ? room : LINK_MAX_PAYLOAD;
}

void link_host_send(struct link_host *l, unsigned stream, uint16_t tag, const void *bytes,
                    size_t count, uint64_t now)
{
    const bool was = waiting(l);
    struct link_slot *s = &l->window[l->next++ % LINK_WINDOW];
    s->type = (uint8_t)(LINK_TYPE_STREAM + stream);
    s->tag = tag;
    s->length = (uint16_t)count;
    memcpy(s->payload, bytes, count);
    l->used[stream] += (uint32_t)count;
    begin_wait(l, was, now);
}

void link_host_expect(struct link_host *l, bool busy, uint64_t now)
{
    const bool was = waiting(l);
    l->busy = busy;
    begin_wait(l, was, now);
}

/* ---- what comes in ---- */

static void take_ack(struct link_host *l, uint16_t ack)
{
    if ((uint16_t)(ack - l->base) > (uint16_t)(l->highest - l->base))
        return; /* an old one that was held back */
    if ((uint16_t)(l->cursor - l->base) < (uint16_t)(ack - l->base))
        l->cursor = ack; /* sent again although it had arrived */
    l->base = ack;
}

static void take_room(struct link_host *l, const struct link_header *h, const uint8_t *payload,
                      bool first)
{
    if (h->length != 4 * LINK_STREAMS)
        return;
    for (unsigned s = 0; s < LINK_STREAMS; s++) {
        const uint32_t limit = link_get32(payload + 4 * (size_t)s);
        if (first || limit - l->limit[s] < 0x80000000u) /* not one that was held back */
            l->limit[s] = limit;
    }
}

static void take_answer(struct link_host *l, const struct link_header *h, const uint8_t *payload,
                        uint64_t now)
{
    const size_t words = h->type == LINK_TYPE_POKED ? 1 : link_get16(l->request + 2);
    if (h->type != l->request_type + 1 || h->tag != l->request_tag || h->session != l->session ||
        h->length != 4 + 4 * words || memcmp(payload, l->request, 4) != 0)
        return;
    for (size_t i = 0; i < words; i++)
        l->words[i] = link_get32(payload + 4 + 4 * i);
    l->answered = true;
    l->request_type = 0;
    l->request_due = false;
    hear(l, now);
}

/* The device has sent more than arrived. */
static void miss(struct link_host *l)
{
    l->nak_due = l->nak_due || !l->nak_sent;
}

static void take_data(struct link_host *l, const struct link_header *h, const uint8_t *payload)
{
    const uint16_t ahead = (uint16_t)(h->sequence - l->want);
    if (ahead && ahead < 0x8000) {
        miss(l);
        return;
    }
    l->ack_due = true;
    if (ahead)
        return;
    l->want++;
    l->nak_due = l->nak_sent = false;
    if (!l->sink(l->user, h, payload))
        l->state = LINK_FAULTY;
}

static void take_frame(struct link_host *l, const struct link_header *h, const uint8_t *payload,
                       uint64_t now)
{
    if (l->state == LINK_SILENT)
        return;
    if (h->type == LINK_TYPE_PEEKED || h->type == LINK_TYPE_POKED) {
        take_answer(l, h, payload, now);
        return;
    }
    const bool answer = h->type == LINK_TYPE_ACK && (h->flags & LINK_FLAG_POLL) &&
                        h->tag == l->poll_tag && l->polls;
    if (h->session != l->session) {
        if (answer && l->state == LINK_OPEN)
            l->state = LINK_LOST;
        return;
    }
    if (h->type == LINK_TYPE_READY && l->state == LINK_OPENING) {
        l->state = LINK_OPEN;
        l->reset_due = false;
        l->zeros = 0;
        take_room(l, h, payload, true);
        hear(l, now);
        return;
    }
    if (l->state != LINK_OPEN)
        return;
    hear(l, now);
    take_ack(l, h->ack);
    if (h->type == LINK_TYPE_RESULT || h->type == LINK_TYPE_COMPLETION) {
        take_data(l, h, payload);
        return;
    }
    if (h->type == LINK_TYPE_ACK || h->type == LINK_TYPE_READY)
        take_room(l, h, payload, false);
    if ((h->flags & LINK_FLAG_NAK) && h->ack == l->base)
        l->cursor = l->base;
    if (answer)
        l->nak_sent = false;
    const uint16_t ahead = (uint16_t)(h->sequence - l->want);
    if (ahead && ahead < 0x8000)
        miss(l);
}

void link_host_input(struct link_host *l, const uint8_t *bytes, size_t count, uint64_t now)
{
    /* an answer may be on its way: to ask again would only make it wait for more of them */
    if (count && waiting(l) && l->wake < now + l->timing.timeout_ns)
        l->wake = now + l->timing.timeout_ns;
    while (count) {
        size_t used;
        const enum link_found found = link_decode(&l->decoder, bytes, count, &used);
        if (found == LINK_FRAME)
            take_frame(l, &l->decoder.header, link_payload(&l->decoder), now);
        else if (found == LINK_BROKEN && waiting(l) && l->wake > now + l->timing.timeout_ns / 4)
            l->wake = now + l->timing.timeout_ns / 4; /* something was lost: ask soon */
        bytes += used;
        count -= used;
    }
}

/* ---- what goes out ---- */

static void compose(struct link_host *l, uint8_t type, uint8_t flags, uint16_t tag,
                    const void *payload, uint16_t length)
{
    const struct link_header h = {
        .type = type,
        .flags = flags,
        .session = l->session,
        .sequence = l->cursor,
        .ack = l->want,
        .tag = tag,
        .length = length,
    };
    l->out_at = 0;
    l->out_size = link_encode(l->out, &h, payload);
    l->sent++;
}

/* Puts the next frame into l->out; false: there is none to send. */
static bool next_frame(struct link_host *l)
{
    if (l->request_due) {
        l->request_due = false;
        compose(l, l->request_type, 0, l->request_tag, l->request, l->request_size);
        return true;
    }
    if (l->state == LINK_OPENING && l->reset_due) {
        l->reset_due = false;
        compose(l, LINK_TYPE_RESET, 0, 0, NULL, 0);
        return true;
    }
    if (l->state != LINK_OPEN)
        return false;
    const bool data = l->cursor != l->next;
    if (l->poll_due || l->nak_due || (l->ack_due && !data)) {
        const uint8_t poll = l->poll_due ? LINK_FLAG_POLL : 0;
        const uint8_t nak = l->nak_due ? LINK_FLAG_NAK : 0;
        l->poll_tag += l->poll_due;
        l->polls += l->poll_due;
        l->nak_sent = l->nak_sent || l->nak_due;
        l->poll_due = l->nak_due = l->ack_due = false;
        compose(l, LINK_TYPE_ACK, poll | nak, poll ? l->poll_tag : 0, NULL, 0);
        return true;
    }
    if (!data)
        return false;
    const struct link_slot *s = &l->window[l->cursor % LINK_WINDOW];
    l->ack_due = false;
    compose(l, s->type, 0, s->tag, s->payload, s->length);
    if (l->cursor++ == l->highest)
        l->highest++;
    else
        l->resent++;
    return true;
}

size_t link_host_output(struct link_host *l, uint8_t *bytes, size_t room, uint64_t now)
{
    size_t count = 0;
    tick(l, now);
    while (count < room) {
        size_t n = room - count;
        if (l->out_at < l->out_size) {
            n = n < l->out_size - l->out_at ? n : l->out_size - l->out_at;
            memcpy(bytes + count, l->out + l->out_at, n);
            l->out_at += n;
        } else if (l->zeros && l->state <= LINK_OPENING) {
            n = n < l->zeros ? n : l->zeros;
            memset(bytes + count, 0, n);
            l->zeros -= (unsigned)n;
        } else if (next_frame(l)) {
            n = 0;
        } else {
            break;
        }
        count += n;
    }
    return count;
}
