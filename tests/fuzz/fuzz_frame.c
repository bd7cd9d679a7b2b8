/* fuzz_frame.c - the link's codec: whatever bytes come, in whatever pieces, the same frames are found, each is one that
 * encodes to the bytes it was found in, and after a flush of zeros a whole frame is always found.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Input: operations of one byte, with what they need behind them, that write what the decoder will see. */
#include "link/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST 8192 /* bytes the operations write; a flush and a frame follow */

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct input {
    const uint8_t *at;
    size_t left;
};

static unsigned next(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->at++;
}

/* A whole frame; payloads repeat what is left of the input, so that magic bytes and headers stand in them too. */
static size_t whole(uint8_t *out, struct input *in)
{
    uint8_t payload[LINK_MAX_PAYLOAD] = { 0 };
    struct link_header h = {
        .type = (uint8_t)next(in),
        .flags = (uint8_t)next(in),
        .session = (uint16_t)(next(in) << 8),
        .sequence = (uint16_t)next(in),
        .ack = (uint16_t)next(in),
        .tag = (uint16_t)(next(in) << 8),
        .length = (uint16_t)next(in),
    };
    if (h.length > 250)
        h.length = (uint16_t)(LINK_MAX_PAYLOAD + 250 - h.length);
    for (size_t i = 0; in->left && i < h.length; i++)
        payload[i] = in->at[i % in->left];
    return link_encode(out, &h, payload);
}

static size_t compose(uint8_t *out, struct input *in)
{
    size_t n = 0, last = 0;
    while (in->left && n + LINK_MAX_FRAME <= MOST) {
        const unsigned op = next(in);
        switch (op % 4) {
        case 0: /* bytes as they are */
            for (unsigned i = op >> 2; i && in->left; i--)
                out[n++] = (uint8_t)next(in);
            break;
        case 1:
            last = n;
            n += whole(out + n, in);
            break;
        case 2: /* damage what the last operation wrote */
            if (n > last)
                out[last + (next(in) | next(in) << 8) % (n - last)] ^= (uint8_t)next(in);
            break;
        default: /* cut it off */
            if (n > last)
                n = last + (next(in) | next(in) << 8) % (n - last);
        }
    }
    return n;
}

struct seen {
    uint64_t frames, broken;
    uint32_t sum;
};

/* Decodes in pieces of 1..piece bytes, and notes what was found. */
static void decode(struct link_decoder *d, struct seen *s, const uint8_t *bytes, size_t count,
                   size_t piece)
{
    for (size_t at = 0, used; at < count; at += used) {
        const size_t n = piece < count - at ? piece : count - at;
        const enum link_found found = link_decode(d, bytes + at, n, &used);
        require(used > 0 && used <= n && (found || used == n));
        if (found == LINK_FRAME) {
            uint8_t again[LINK_MAX_FRAME];
            require(d->header.length <= LINK_MAX_PAYLOAD);
            const size_t bytes_of = link_encode(again, &d->header, link_payload(d));
            require(!memcmp(again, d->frame, bytes_of));
            s->sum = link_crc(s->sum, again, bytes_of);
            s->frames++;
        }
        s->broken += found == LINK_BROKEN;
    }
    require(d->good == s->frames && d->bad_crc == s->broken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zeros[LINK_MAX_FRAME];
    static uint8_t bytes[MOST + LINK_MAX_FRAME];
    static struct link_decoder one, pieces;
    struct seen a = { 0 }, b = { 0 };
    struct input in = { data, size };
    one.taken = pieces.taken = 0;
    one.good = one.bad_header = one.bad_crc = pieces.good = pieces.bad_header = pieces.bad_crc = 0;
    const size_t piece = 1 + next(&in) % 64, count = compose(bytes, &in);
    decode(&one, &a, bytes, count, count + 1);
    decode(&pieces, &b, bytes, count, piece);
    require(a.frames == b.frames && a.broken == b.broken && a.sum == b.sum);
    require(one.bad_header == pieces.bad_header && one.taken == pieces.taken);

    decode(&one, &a, zeros, sizeof zeros, sizeof zeros);
    require(one.taken == 0);
    const struct link_header h = { .type = LINK_TYPE_RESET, .session = 7 };
    const uint64_t frames = a.frames;
    decode(&one, &a, bytes, link_encode(bytes, &h, NULL), MOST);
    require(a.frames == frames + 1 && one.header.session == 7);
    return 0;
}
