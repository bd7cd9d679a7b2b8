/* frame.c - frames to bytes and back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <string.h>

uint32_t link_crc(uint32_t crc, const void *bytes, size_t count)
{
    /* of each half byte: reflected polynomial 0x82F63B78 */
    static const uint32_t table[16] = {
        0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3,
        0x61C69362, 0x7198540D, 0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
        0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
    };
    const uint8_t *p = bytes;
    crc = ~crc;
    for (size_t i = 0; i < count; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

size_t link_encode(uint8_t *out, const struct link_header *h, const void *payload)
{
    size_t end = LINK_HEADER_BYTES + (size_t)h->length;
    out[0] = LINK_MAGIC_0;
    out[1] = LINK_MAGIC_1;
    out[2] = h->type;
    out[3] = h->flags;
    link_put16(out + 4, h->session);
    link_put16(out + 6, h->sequence);
    link_put16(out + 8, h->ack);
    link_put16(out + 10, h->tag);
    link_put16(out + 12, h->length);
    link_put16(out + LINK_CHECKED_BYTES, link_crc(0, out, LINK_CHECKED_BYTES));
    if (h->length)
        memcpy(out + LINK_HEADER_BYTES, payload, h->length);
    link_put32(out + end, link_crc(0, out, end));
    return end + LINK_CRC_BYTES;
}

/* Whether the sixteen bytes taken are a header; notes its fields. */
static bool take_header(struct link_decoder *d)
{
    const uint8_t *f = d->frame;
    d->header = (struct link_header){
        .type = f[2],
        .flags = f[3],
        .session = link_get16(f + 4),
        .sequence = link_get16(f + 6),
        .ack = link_get16(f + 8),
        .tag = link_get16(f + 10),
        .length = link_get16(f + 12),
    };
    return link_get16(f + LINK_CHECKED_BYTES) == (link_crc(0, f, LINK_CHECKED_BYTES) & 0xFFFF) &&
           d->header.length <= LINK_MAX_PAYLOAD;
}

/* How many bytes to look for in one piece, beyond the first two. */
static size_t wanted(const struct link_decoder *d)
{
    return d->taken < LINK_HEADER_BYTES ? LINK_HEADER_BYTES - d->taken
                                        : LINK_OVERHEAD + (size_t)d->header.length - d->taken;
}

enum link_found link_decode(struct link_decoder *d, const uint8_t *bytes, size_t count,
                            size_t *used)
{
    size_t at = 0;
    enum link_found found = LINK_NOTHING;
    while (at < count && !found) {
        if (d->taken < 2) {
            const uint8_t b = bytes[at++];
            if (d->taken == 1 && b == LINK_MAGIC_1)
                d->frame[d->taken++] = b;
            else if (b == LINK_MAGIC_0)
                d->frame[0] = b, d->taken = 1;
            else
                d->taken = 0;
            continue;
        }
        size_t n = wanted(d);
        n = n < count - at ? n : count - at;
        memcpy(d->frame + d->taken, bytes + at, n);
        d->taken += n;
        at += n;
        if (d->taken == LINK_HEADER_BYTES && !take_header(d)) {
            d->bad_header++;
            d->taken = 0;
        } else if (d->taken > LINK_HEADER_BYTES && wanted(d) == 0) {
            const size_t end = d->taken - LINK_CRC_BYTES;
            const bool whole = link_get32(d->frame + end) == link_crc(0, d->frame, end);
            found = whole ? LINK_FRAME : LINK_BROKEN;
            d->good += whole;
            d->bad_crc += !whole;
            d->taken = 0;
        }
    }
    *used = at;
    return found;
}
