/* resident.h - which packed weights lie where in a device's memory; no I/O.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_LINK_RESIDENT_H
#define ACCEL_LINK_RESIDENT_H

#include "../internal.h"

#include <stdatomic.h>

enum { RESIDENT_W, RESIDENT_H, RESIDENT_O, RESIDENT_STREAMS };

/* One matrix's place. It belongs to its weights and to the device's list; both may end first. */
struct resident {
    atomic_uint owners;
    atomic_bool dropped; /* its weights are gone */
    struct resident *next;
    uint32_t address, bytes;
    struct {
        uint32_t address, bytes, crc; /* bytes 0: there is none */
    } stream[RESIDENT_STREAMS];
    bool stored;      /* all of it is there, as far as is known */
    unsigned strikes; /* times in a row that what was stored did not come back */
};
#define RESIDENT_STRIKES 2u /* then its weights are streamed */

/* Zeroed: no memory. */
struct memory {
    uint32_t bytes, tag;
    struct resident *first; /* by ascending address */
};

/* The place of p's streams, or NULL: they do not fit, or the memory fails there. */
struct resident *memory_place(struct memory *m, struct packed *p, uint32_t scale_units);
/* Nothing is known of the memory's contents any more. */
void memory_forget(struct memory *m);
void memory_close(struct memory *m);

/* What is to be stored, r->bytes of it, and their CRCs into r. NULL: out of memory; else the caller frees it. */
uint8_t *resident_image(struct resident *r, const struct packed *p);
/* One of its two owners is done with it; NULL is fine. */
void resident_release(struct resident *r);

#endif
