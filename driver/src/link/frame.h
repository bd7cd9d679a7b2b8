/* frame.h - one frame of the link as bytes, docs/link.md; no I/O, no memory of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_LINK_FRAME_H
#define ACCEL_LINK_FRAME_H

#include "link_constants.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LINK_OVERHEAD  (LINK_HEADER_BYTES + LINK_CRC_BYTES)
#define LINK_MAX_FRAME (LINK_OVERHEAD + LINK_MAX_PAYLOAD)

struct link_header {
    uint8_t type, flags;
    uint16_t session, sequence, ack, tag, length;
};

static inline uint16_t link_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t link_get32(const uint8_t *p)
{
    return link_get16(p) | (uint32_t)link_get16(p + 2) << 16;
}
static inline void link_put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void link_put32(uint8_t *p, uint32_t v)
{
    link_put16(p, v);
    link_put16(p + 2, v >> 16);
}

/* CRC-32C of bytes that follow those of `crc`; of the first ones, with crc 0. */
uint32_t link_crc(uint32_t crc, const void *bytes, size_t count);

/* Writes LINK_OVERHEAD + h->length bytes; returns how many. length is at most LINK_MAX_PAYLOAD. */
size_t link_encode(uint8_t *out, const struct link_header *h, const void *payload);

/* Zeroed: ready for the first byte. */
struct link_decoder {
    struct link_header header; /* of the last whole frame */
    size_t taken;              /* bytes of the frame that is coming in */
    uint64_t good, bad_header, bad_crc;
    uint8_t frame[LINK_MAX_FRAME];
};
enum link_found { LINK_NOTHING, LINK_FRAME, LINK_BROKEN };

/* Takes bytes until a frame ends, well or with a wrong CRC, or there are no more; *used says how many. After
 * LINK_FRAME the payload is link_payload(d) until the next call. */
enum link_found link_decode(struct link_decoder *d, const uint8_t *bytes, size_t count,
                            size_t *used);
static inline const uint8_t *link_payload(const struct link_decoder *d)
{
    return d->frame + LINK_HEADER_BYTES;
}

#ifdef __cplusplus
}
#endif
#endif
