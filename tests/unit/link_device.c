/* link_device.c - the device's side of the link in software, written from docs/link.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "link_device.h"

#include <string.h>

static void new_session(struct link_device *d, uint16_t session)
{
    d->session = session;
    d->want = d->base = d->cursor = d->top = 0;
    d->ack_due = d->nak_due = d->nak_sent = d->poll_due = false;
    for (unsigned s = 0; s < LINK_STREAMS; s++)
        d->stream[s].in = d->stream[s].out = d->stream[s].told = 0;
    d->registers[LINK_REG_SESSION] = session;
    if (d->reset)
        d->reset(d->user);
}

static void answer(struct link_device *d, const struct link_header *h, const uint8_t *payload)
{
    const uint16_t word = link_get16(payload), count = link_get16(payload + 2);
    if (h->type == LINK_TYPE_PEEK ? h->length != 4 || !count || count > LINK_PEEK_WORDS
                                  : h->length != 8)
        return;
    memcpy(d->answer_bytes, payload, h->length);
    d->answer = *h;
    d->answer.type++;
    if (h->type == LINK_TYPE_POKE && word == LINK_REG_SCRATCH)
        d->registers[word] = link_get32(payload + 4);
    if (h->type == LINK_TYPE_POKE)
        return;
    for (uint32_t i = 0; i < count; i++)
        link_put32(d->answer_bytes + 4 + 4 * i, word + i < LINK_REGS ? d->registers[word + i] : 0);
    d->answer.length = (uint16_t)(4 + 4 * count);
}

static void take_ack(struct link_device *d, uint16_t ack)
{
    if ((uint16_t)(ack - d->base) > (uint16_t)(d->top - d->base))
        return;
    if ((uint16_t)(d->cursor - d->base) < (uint16_t)(ack - d->base))
        d->cursor = ack;
    d->base = ack;
}

static void miss(struct link_device *d)
{
    d->nak_due = d->nak_due || !d->nak_sent;
}

static void take_data(struct link_device *d, const struct link_header *h, const uint8_t *payload)
{
    const uint16_t ahead = (uint16_t)(h->sequence - d->want);
    const unsigned s = h->type - LINK_TYPE_STREAM;
    if (ahead && ahead < 0x8000)
        miss(d);
    else
        d->ack_due = true;
    if (ahead || h->length > d->room[s] - (d->stream[s].in - d->stream[s].out))
        return;
    for (uint32_t i = 0; i < h->length; i++)
        d->stream[s].bytes[d->stream[s].in++ % DEVICE_ROOM_MAX] = payload[i];
    d->want++;
    d->nak_due = d->nak_sent = false;
}

static void take_frame(struct link_device *d, const struct link_header *h, const uint8_t *payload)
{
    if (h->type == LINK_TYPE_PEEK || h->type == LINK_TYPE_POKE) {
        answer(d, h, payload);
        return;
    }
    if (h->type == LINK_TYPE_ACK && (h->flags & LINK_FLAG_POLL)) {
        d->poll_due = true;
        d->poll_tag = h->tag;
    }
    if (h->type == LINK_TYPE_RESET && h->session) {
        if (h->session != d->session)
            new_session(d, h->session);
        d->ready_due = true;
        d->ready_tag = h->tag;
        return;
    }
    if (h->session != d->session || d->session == 0)
        return;
    take_ack(d, h->ack);
    if (h->type >= LINK_TYPE_STREAM && h->type < LINK_TYPE_STREAM + LINK_STREAMS) {
        take_data(d, h, payload);
        return;
    }
    if (h->type != LINK_TYPE_ACK)
        return;
    if ((h->flags & LINK_FLAG_NAK) && h->ack == d->base)
        d->cursor = d->base;
    if (h->flags & LINK_FLAG_POLL)
        d->nak_sent = false;
    const uint16_t ahead = (uint16_t)(h->sequence - d->want);
    if (ahead && ahead < 0x8000)
        miss(d);
}

void link_device_input(struct link_device *d, const uint8_t *bytes, size_t count)
{
    while (count) {
        size_t used;
        const enum link_found found = link_decode(&d->decoder, bytes, count, &used);
        if (found == LINK_FRAME)
            take_frame(d, &d->decoder.header, link_payload(&d->decoder));
        else if (found == LINK_BROKEN && d->session && d->decoder.header.session == d->session)
            miss(d);
        bytes += used;
        count -= used;
    }
}

static void compose(struct link_device *d, struct link_header h, const void *payload)
{
    h.sequence = d->cursor;
    h.ack = d->want;
    d->out_at = 0;
    d->out_size = link_encode(d->out, &h, payload);
}

static void compose_room(struct link_device *d, uint8_t type, uint8_t flags, uint16_t tag)
{
    uint8_t room[4 * LINK_STREAMS];
    for (unsigned s = 0; s < LINK_STREAMS; s++) {
        link_put32(room + 4 * (size_t)s, d->stream[s].out + d->room[s]);
        d->stream[s].told = d->stream[s].out;
    }
    compose(d,
            (struct link_header){ .type = type,
                                  .flags = flags,
                                  .session = d->session,
                                  .tag = tag,
                                  .length = sizeof room },
            room);
}

static bool next_frame(struct link_device *d)
{
    for (unsigned s = 0; s < LINK_STREAMS; s++)
        if (d->stream[s].out - d->stream[s].told >= d->room[s] / 4)
            d->ack_due = true;
    if (d->answer.type) {
        compose(d, d->answer, d->answer_bytes);
        d->answer.type = 0;
    } else if (d->ready_due) {
        d->ready_due = false;
        compose_room(d, LINK_TYPE_READY, 0, d->ready_tag);
    } else if (d->poll_due || ((d->nak_due || d->ack_due) && d->session)) {
        const unsigned flags = (d->poll_due ? LINK_FLAG_POLL : 0) |
                               (d->nak_due ? LINK_FLAG_NAK : 0);
        const uint16_t tag = d->poll_due ? d->poll_tag : 0;
        d->nak_sent = d->nak_sent || d->nak_due;
        d->poll_due = d->nak_due = d->ack_due = false;
        compose_room(d, LINK_TYPE_ACK, (uint8_t)flags, tag);
    } else if (d->cursor != d->top) {
        const struct link_device_slot *s = &d->slot[d->cursor % DEVICE_SLOTS];
        compose(d,
                (struct link_header){
                    .type = s->type, .session = d->session, .tag = s->tag, .length = s->length },
                s->payload);
        d->cursor++;
    } else {
        return false;
    }
    return true;
}

size_t link_device_output(struct link_device *d, uint8_t *bytes, size_t room)
{
    size_t count = 0;
    while (count < room) {
        if (d->out_at == d->out_size && !next_frame(d))
            break;
        size_t n = d->out_size - d->out_at;
        n = n < room - count ? n : room - count;
        memcpy(bytes + count, d->out + d->out_at, n);
        d->out_at += n;
        count += n;
    }
    return count;
}

size_t link_device_take(struct link_device *d, unsigned stream, uint8_t *bytes, size_t count)
{
    size_t n = 0;
    while (n < count && d->stream[stream].out != d->stream[stream].in)
        bytes[n++] = d->stream[stream].bytes[d->stream[stream].out++ % DEVICE_ROOM_MAX];
    return n;
}

bool link_device_can_send(const struct link_device *d)
{
    return d->session && (uint16_t)(d->top - d->base) < DEVICE_SLOTS;
}

void link_device_send(struct link_device *d, uint8_t type, uint16_t tag, const uint8_t *bytes,
                      size_t count)
{
    struct link_device_slot *s = &d->slot[d->top++ % DEVICE_SLOTS];
    s->type = type;
    s->tag = tag;
    s->length = (uint16_t)count;
    memcpy(s->payload, bytes, count);
}
