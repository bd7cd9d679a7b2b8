/* fuzz_link.c - the host's side of the link against a peer that sends anything.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Input: operations of one byte, with what they need behind them. The peer knows the protocol (its frames may be
 * whole and fit the session) but keeps to none of it. */
#include "link/host.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct peer {
    struct link_host host;
    struct link_decoder decoder; /* of what the host sends */
    uint16_t delivered;          /* data frames of this session */
    uint64_t now;
    uint32_t queued[LINK_STREAMS];
};

static bool sink(void *user, const struct link_header *h, const uint8_t *payload)
{
    struct peer *p = user;
    require(h->sequence == p->delivered++); /* in order, once each */
    require(h->session == p->host.session && p->host.state == LINK_OPEN);
    uint32_t sum = 0;
    for (size_t i = 0; i < h->length; i++)
        sum += payload[i];
    return sum != 0x1234;
}

/* Everything the host sends is whole frames and zeros. */
static void drain(struct peer *p, size_t piece)
{
    uint8_t bytes[256];
    size_t n;
    for (int i = 0; i < 400; i++) {
        n = link_host_output(&p->host, bytes, piece, p->now);
        require(n <= piece);
        if (!n)
            return;
        for (size_t at = 0, used; at < n; at += used)
            require(link_decode(&p->decoder, bytes + at, n - at, &used) != LINK_BROKEN);
        require(p->decoder.bad_header == 0);
    }
}

static void operate(struct peer *p, uint8_t op, const uint8_t **data, size_t *size)
{
    static const uint8_t zeros[LINK_MAX_PAYLOAD];
    uint8_t frame[LINK_MAX_FRAME], arg[8] = { 0 };
    size_t n = *size < sizeof arg ? *size : sizeof arg;
    memcpy(arg, *data, n);
    *data += n;
    *size -= n;
    switch (op % 8) {
    case 0: { /* a whole frame that fits */
        const struct link_header h = {
            .type = op & 8 ? arg[0] % 40 : (uint8_t)(LINK_TYPE_READY + arg[0] % 4),
            .flags = arg[1],
            .session = op & 16 ? arg[2] : p->host.session,
            .sequence = (uint16_t)(p->host.want + (op & 32 ? (int8_t)arg[3] : 0)),
            .ack = (uint16_t)(p->host.base + (int8_t)arg[4]),
            .tag = op & 64 ? arg[5] : p->host.poll_tag,
            .length = (uint16_t)(arg[0] % 4 == 1 || arg[0] < 4 ? 20 : arg[6]),
        };
        uint8_t payload[256] = { 0 };
        n = *size < h.length ? *size : h.length;
        memcpy(payload, *data, n);
        *data += n;
        *size -= n;
        n = link_encode(frame, &h, payload);
        link_host_input(&p->host, frame, n, p->now);
        break;
    }
    case 1: /* any bytes */ link_host_input(&p->host, arg, n, p->now); break;
    case 2: { /* the host sends */
        const unsigned s = arg[0] % LINK_STREAMS;
        const size_t room = link_host_room(&p->host, s), most = 1 + link_get16(arg + 1) % 4096u;
        require(room <= LINK_MAX_PAYLOAD);
        if (!room)
            break;
        link_host_send(&p->host, s, link_get16(arg + 3), zeros, room < most ? room : most, p->now);
        require((uint16_t)(p->host.next - p->host.base) <= LINK_WINDOW);
        break;
    }
    case 3: p->now += link_get32(arg); break;
    case 4: drain(p, 1 + arg[0]); break;
    case 5:
        link_host_open(&p->host, (uint16_t)(1 + arg[0]), p->now);
        p->delivered = 0;
        break;
    case 6:
        if (arg[0] & 1)
            link_host_peek(&p->host, arg[1], 1 + arg[2] % LINK_PEEK_WORDS, p->now);
        else
            link_host_poke(&p->host, arg[1], arg[2], p->now);
        break;
    default: link_host_expect(&p->host, arg[0] & 1, p->now); break;
    }
    require((uint16_t)(p->host.cursor - p->host.base) <=
            (uint16_t)(p->host.highest - p->host.base));
    require((uint16_t)(p->host.highest - p->host.base) <= (uint16_t)(p->host.next - p->host.base));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct link_timing timing = { 5000000, 20000000 }; /* the least: four timeouts */
    static struct peer p;                                           /* large: not on the stack */
    memset(&p, 0, sizeof p);
    link_host_init(&p.host, &timing, sink, &p);
    while (size) {
        const uint8_t op = *data++;
        size--;
        operate(&p, op, &data, &size);
    }
    /* whatever came, the host gives up within the silence it was told, if nobody speaks */
    const uint64_t end = p.now + 3 * timing.silence_ns;
    while (link_host_wake(&p.host) != UINT64_MAX && p.now < end) {
        drain(&p, 256);
        p.now += timing.timeout_ns;
    }
    require(link_host_wake(&p.host) == UINT64_MAX);
    return 0;
}
