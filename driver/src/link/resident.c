/* resident.c - places in a device's memory, first fit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "resident.h"

#include "frame.h"

#include <stdlib.h>
#include <string.h>

#define BURST 16u /* bytes that memory moves at once */

void resident_release(struct resident *r)
{
    if (r && atomic_fetch_sub(&r->owners, 1) == 1)
        free(r);
}

/* Memory hands out 16 bits at once, so a beat of an odd number of bytes has one more there. */
static size_t even_beat(const struct packed *p)
{
    return p->beat_bytes + p->beat_bytes % 2;
}

/* Lays the streams out from 0 on; false: they are too long for 32 bits. */
static bool lay_out(struct resident *r, const struct packed *p, uint32_t scale_units)
{
    const size_t count[RESIDENT_STREAMS] = { p->code_beats, p->header_beats, p->outlier_beats };
    const size_t size[RESIDENT_STREAMS] = { even_beat(p), 2 * (size_t)scale_units, 8 };
    uint64_t end = 0;
    for (unsigned s = 0; s < RESIDENT_STREAMS; s++) {
        size_t bytes;
        if (!mul_size(count[s], size[s], &bytes) || bytes > UINT32_MAX / 4)
            return false;
        r->stream[s].address = (uint32_t)end;
        r->stream[s].bytes = (uint32_t)bytes;
        end += (bytes + BURST - 1) / BURST * BURST;
    }
    r->bytes = (uint32_t)end;
    return true;
}

static void sweep(struct memory *m)
{
    struct resident **at = &m->first;
    while (*at) {
        struct resident *r = *at;
        if (atomic_load(&r->dropped)) {
            *at = r->next;
            resident_release(r);
        } else {
            at = &r->next;
        }
    }
}

/* Puts r into the first gap that holds it. */
static bool insert(struct memory *m, struct resident *r)
{
    struct resident **at = &m->first;
    uint32_t from = 0;
    while (*at && (*at)->address - from < r->bytes) {
        from = (*at)->address + (*at)->bytes;
        at = &(*at)->next;
    }
    if (!*at && (from > m->bytes || m->bytes - from < r->bytes))
        return false;
    r->address = from;
    for (unsigned s = 0; s < RESIDENT_STREAMS; s++)
        r->stream[s].address += from;
    r->next = *at;
    *at = r;
    return true;
}

struct resident *memory_place(struct memory *m, struct packed *p, uint32_t scale_units)
{
    struct resident *r = p->resident;
    if (!m->bytes)
        return NULL;
    /* another board may have less than the one it was placed in */
    if (r)
        return r->strikes < RESIDENT_STRIKES && r->address + (uint64_t)r->bytes <= m->bytes ? r
                                                                                            : NULL;
    r = calloc(1, sizeof *r);
    if (!r)
        return NULL; /* streaming needs none */
    sweep(m);
    if (!lay_out(r, p, scale_units) || !r->bytes || !insert(m, r)) {
        free(r);
        return NULL;
    }
    atomic_init(&r->owners, 2);
    p->resident = r;
    return r;
}

void memory_forget(struct memory *m)
{
    for (struct resident *r = m->first; r; r = r->next)
        r->stored = false;
}

void memory_close(struct memory *m)
{
    while (m->first) {
        struct resident *r = m->first;
        m->first = r->next;
        resident_release(r);
    }
}

uint8_t *resident_image(struct resident *r, const struct packed *p)
{
    const void *from[RESIDENT_STREAMS] = { p->codes, p->headers, p->outliers };
    uint8_t *image = calloc(r->bytes, 1);
    if (!image)
        return NULL;
    for (unsigned s = 0; s < RESIDENT_STREAMS; s++) {
        uint8_t *to = image + (r->stream[s].address - r->address);
        if (s == RESIDENT_W && even_beat(p) != p->beat_bytes)
            for (size_t i = 0; i < p->code_beats; i++)
                memcpy(to + i * even_beat(p), p->codes + i * p->beat_bytes, p->beat_bytes);
        else if (r->stream[s].bytes)
            memcpy(to, from[s], r->stream[s].bytes);
        r->stream[s].crc = link_crc(0, to, r->stream[s].bytes);
    }
    return image;
}
