/* host.h - the host's side of the link, docs/link.md: sessions, go-back-N, room, register access.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Pure: bytes received go in, bytes to send come out, time is passed in (nanoseconds of any clock that does not
 * go back). Nothing is allocated; the one struct is about 60 KiB. */
#ifndef ACCEL_LINK_HOST_H
#define ACCEL_LINK_HOST_H

#include "frame.h"

#ifdef __cplusplus
extern "C" {
#endif

enum link_state {
    LINK_CLOSED,  /* no session yet: only register access */
    LINK_OPENING, /* RESET under way */
    LINK_OPEN,    /* data may be sent */
    LINK_LOST,    /* the device has another session: open a new one, and begin the job again */
    LINK_SILENT,  /* the device does not answer */
    LINK_FAULTY   /* what the device sent makes no sense */
};

/* One data frame from the device, in order. Returning false says that it makes no sense: LINK_FAULTY. */
typedef bool link_sink(void *user, const struct link_header *h, const uint8_t *payload);

struct link_timing {
    uint64_t
        timeout_ns; /* after which the host asks, longer than a full window takes to cross and be answered */
    uint64_t silence_ns; /* after which the link counts as down */
};

struct link_slot {
    uint8_t type;
    uint16_t tag, length;
    uint8_t payload[LINK_MAX_PAYLOAD];
};

struct link_host {
    enum link_state state;
    struct link_timing timing;
    uint16_t session, request_tag, poll_tag;
    uint16_t base, next;      /* data frames not acknowledged: base .. next - 1 */
    uint16_t cursor, highest; /* the next one to send; those before `highest` were sent before */
    uint16_t want;            /* sequence of the device's next data frame */
    uint32_t limit[LINK_STREAMS], used[LINK_STREAMS]; /* room: may be sent, was queued */
    bool busy;                                        /* something is waited for: polls go out */
    bool ack_due, nak_due, nak_sent, poll_due, reset_due, request_due;
    unsigned zeros;       /* to be sent before a RESET */
    unsigned tries;       /* timeouts since something was heard */
    uint64_t heard, wake; /* when a frame came last; when to ask next */

    /* one request, PEEK or POKE */
    uint8_t request[8];
    uint8_t request_type; /* 0: none */
    uint8_t request_size;
    bool answered;
    uint32_t words[LINK_PEEK_WORDS]; /* of the answer */

    link_sink *sink;
    void *user;
    struct link_slot window[LINK_WINDOW];
    struct link_decoder decoder;
    uint8_t out[LINK_MAX_FRAME]; /* a frame on its way out */
    size_t out_at, out_size;
    uint64_t sent, resent, polls;
};

void link_host_init(struct link_host *l, const struct link_timing *timing, link_sink *sink,
                    void *user);

/* Begin session `session`, not 0; whatever was queued is forgotten. LINK_OPENING until READY comes. */
void link_host_open(struct link_host *l, uint16_t session, uint64_t now);

/* Before the first request without a session: ends what an earlier user may have begun to send. */
void link_host_flush(struct link_host *l);

/* Ask for `count` registers from `word` on, or write one. l->answered tells when l->words holds the answer. */
void link_host_peek(struct link_host *l, uint16_t word, uint16_t count, uint64_t now);
void link_host_poke(struct link_host *l, uint16_t word, uint32_t value, uint64_t now);

/* Bytes of a stream that may be queued now in one frame; 0: no room at the device, or none in the window. */
size_t link_host_room(const struct link_host *l, unsigned stream);
/* Queue 1 .. link_host_room() bytes (copied). */
void link_host_send(struct link_host *l, unsigned stream, uint16_t tag, const void *bytes,
                    size_t count, uint64_t now);
/* Whether the device owes something (results, room): while it does, silence is a fault. */
void link_host_expect(struct link_host *l, bool busy, uint64_t now);

void link_host_input(struct link_host *l, const uint8_t *bytes, size_t count, uint64_t now);
/* The next bytes to send, at most `room`; 0: nothing until something comes in or l->wake passes. */
size_t link_host_output(struct link_host *l, uint8_t *bytes, size_t room, uint64_t now);
/* When link_host_output has to be called again at the latest; UINT64_MAX: never. */
uint64_t link_host_wake(const struct link_host *l);

#ifdef __cplusplus
}
#endif
#endif
