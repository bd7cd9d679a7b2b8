/* recording.c - reading a recording: from bytes to what they meant.
 * SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <stdlib.h>
#include <string.h>

/* What is known on the way through the file. */
struct reader {
    struct recording *r;
    struct link_decoder decoder[2]; /* to the device, to the host */
    uint16_t session, want[2];
};

static bool grow(void **data, size_t *room, size_t item, size_t needed)
{
    size_t more = *room ? *room : 256, bytes;
    while (more < needed)
        if (!mul_size(more, 2, &more))
            return false;
    if (*data && more == *room)
        return true;
    void *bigger = mul_size(more, item, &bytes) ? realloc(*data, bytes) : NULL;
    if (!bigger)
        return false;
    *data = bigger;
    *room = more;
    return true;
}

static bool keep(struct recording *r, const struct link_header *h, const uint8_t *payload)
{
    void *frames = r->frames, *bytes = r->bytes;
    const bool fits = grow(&frames, &r->room, sizeof *r->frames, r->count + 1);
    r->frames = frames;
    if (!fits || !grow(&bytes, &r->size, 1, r->used + h->length))
        return false;
    r->bytes = bytes;
    r->frames[r->count++] = (struct record_frame){
        .at = r->used, .session = h->session, .tag = h->tag, .length = h->length, .type = h->type
    };
    memcpy(r->bytes + r->used, payload, h->length);
    r->used += h->length;
    return true;
}

/* A frame that was whole when it passed. What was sent again, and what is of no session, says nothing new. */
static bool take(struct reader *p, unsigned way)
{
    const struct link_header *h = &p->decoder[way].header;
    const uint8_t *payload = link_payload(&p->decoder[way]);
    if (way == 0 && h->type == LINK_TYPE_RESET && h->session && h->session != p->session) {
        p->session = h->session;
        p->want[0] = p->want[1] = 0;
        return keep(p->r, h, payload);
    }
    const bool data = way == 0
                          ? h->type >= LINK_TYPE_STREAM && h->type < LINK_TYPE_STREAM + LINK_STREAMS
                          : h->type == LINK_TYPE_RESULT || h->type == LINK_TYPE_COMPLETION;
    if (!data || h->length == 0 || p->session == 0 || h->session != p->session ||
        h->sequence != p->want[way])
        return true;
    p->want[way]++;
    return keep(p->r, h, payload);
}

static bool take_bytes(struct reader *p, unsigned way, const uint8_t *bytes, size_t count)
{
    while (count) {
        size_t used;
        if (link_decode(&p->decoder[way], bytes, count, &used) == LINK_FRAME && !take(p, way))
            return false;
        bytes += used;
        count -= used;
    }
    return true;
}

static int take_chunks(struct reader *p, const uint8_t *bytes, size_t count,
                       struct accel_error *err)
{
    size_t at = RECORD_HEADER;
    while (at < count) {
        const uint8_t *c = bytes + at;
        if (count - at < RECORD_CHUNK + 4) {
            p->r->truncated = true;
            break;
        }
        const size_t n = link_get32(c + 4);
        if (n > RECORD_LONGEST)
            return accel_fail(err, ACCEL_E_CORRUPT,
                              "recording: the chunk at byte %zu claims %zu bytes, %d is the most",
                              at, n, RECORD_LONGEST);
        if (count - at < RECORD_CHUNK + n + 4) {
            p->r->truncated = true;
            break;
        }
        if (link_crc(0, c, RECORD_CHUNK + n) != link_get32(c + RECORD_CHUNK + n))
            return accel_fail(err, ACCEL_E_CORRUPT,
                              "recording: the chunk at byte %zu is damaged: its CRC is wrong", at);
        const uint8_t type = c[0];
        bool room = true;
        if (type == RECORD_TO_DEVICE || type == RECORD_TO_HOST) {
            room = take_bytes(p, type - RECORD_TO_DEVICE, c + RECORD_CHUNK, n);
        } else if (type == RECORD_CORE && n == sizeof p->r->core) {
            p->r->has_core = true;
            for (size_t i = 0; i < RECORD_IDENTITY; i++)
                p->r->core[i] = link_get32(c + RECORD_CHUNK + 4 * i);
        } else {
            return accel_fail(
                err, ACCEL_E_CORRUPT,
                "recording: the chunk at byte %zu is of no known type (%u, %zu bytes)", at, type,
                n);
        }
        if (!room)
            return accel_fail(err, ACCEL_E_NOMEM, "out of memory: reading a recording");
        at += RECORD_CHUNK + n + 4;
    }
    return ACCEL_OK;
}

int recording_parse(const uint8_t *bytes, size_t count, struct recording *out,
                    struct accel_error *err)
{
    *out = (struct recording){ .count = 0 };
    if (count < RECORD_HEADER || memcmp(bytes, RECORD_MAGIC, 8) != 0)
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "recording: this is none: it does not begin with " RECORD_MAGIC);
    if (link_get32(bytes + 8) != RECORD_FORMAT)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "recording: of format %u, this library knows %u; update libaccel",
                          (unsigned)link_get32(bytes + 8), RECORD_FORMAT);
    out->protocol_min = link_get16(bytes + 12);
    out->protocol_max = link_get16(bytes + 14);
    struct reader *p = calloc(1, sizeof *p);
    if (!p)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: reading a recording");
    p->r = out;
    const int rc = take_chunks(p, bytes, count, err);
    free(p);
    if (rc)
        recording_free(out);
    return rc;
}

void recording_free(struct recording *r)
{
    free(r->frames);
    free(r->bytes);
    *r = (struct recording){ .count = 0 };
}
