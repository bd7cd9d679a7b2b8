/* link_device.h - the device's side of the link in software, as docs/link.md describes it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LINK_DEVICE_H
#define LINK_DEVICE_H

#include "link/frame.h"

enum { DEVICE_SLOTS = 4, DEVICE_RESULT = 256, DEVICE_ROOM_MAX = 16384 };

struct link_device_slot {
    uint8_t type;
    uint16_t tag, length;
    uint8_t payload[DEVICE_RESULT];
};

/* Zeroed, with `room` set: a device that was just switched on. */
struct link_device {
    uint32_t room[LINK_STREAMS]; /* bytes of each stream's buffer */
    void (*reset)(void *user);   /* a new session began */
    void *user;
    uint32_t registers[LINK_REGS];
    struct link_decoder decoder;
    uint16_t session, want, base, cursor, top;
    struct {
        uint8_t bytes[DEVICE_ROOM_MAX];
        uint32_t in, out; /* count of bytes since the session began */
        uint32_t told;    /* `out` when the host last heard of it */
    } stream[LINK_STREAMS];
    struct link_device_slot slot[DEVICE_SLOTS];
    bool ack_due, nak_due, nak_sent, poll_due, ready_due;
    uint16_t poll_tag, ready_tag;
    struct link_header answer; /* type 0: none */
    uint8_t answer_bytes[4 + 4 * LINK_PEEK_WORDS];
    uint8_t out[LINK_MAX_FRAME];
    size_t out_at, out_size;
};

void link_device_input(struct link_device *d, const uint8_t *bytes, size_t count);
size_t link_device_output(struct link_device *d, uint8_t *bytes, size_t room);
/* Take up to count bytes of a stream out of its buffer; returns how many. */
size_t link_device_take(struct link_device *d, unsigned stream, uint8_t *bytes, size_t count);
/* Whether a frame can be queued for the host; then one of at most DEVICE_RESULT bytes may be. */
bool link_device_can_send(const struct link_device *d);
void link_device_send(struct link_device *d, uint8_t type, uint16_t tag, const uint8_t *bytes,
                      size_t count);

#endif
