/* record.h - what crossed a link, in a file: written while a device is used, read to be replayed.
 * SPDX-License-Identifier: Apache-2.0
 *
 * docs/link.md has the format. Writing keeps bytes as the carrier moved them; reading finds the frames in them and
 * keeps what they meant: sessions, what the host sent in each, what the device answered. */
#ifndef ACCEL_LINK_RECORD_H
#define ACCEL_LINK_RECORD_H

#include "remote.h"

#include <stdio.h>

#define RECORD_MAGIC  "ACCELREC" /* in a file without its zero */
#define RECORD_FORMAT 1u
enum { RECORD_HEADER = 16, RECORD_CHUNK = 16, RECORD_LONGEST = 4096, RECORD_IDENTITY = 12 };
enum { RECORD_TO_DEVICE = 1, RECORD_TO_HOST = 2, RECORD_CORE = 3 };

struct recorder;

/* Begins a file. @return ACCEL_OK, _E_IO, _E_NOMEM */
int recorder_open(const char *path, struct recorder **out, struct accel_error *err);
/* The carrier, with everything that it moves written down. `inner` stays as it is. */
struct carrier recorder_wrap(struct recorder *rec, const struct carrier *inner);
/* Registers 0.. of the core, once they are known. */
void recorder_core(struct recorder *rec, const uint32_t *words);
/* @return ACCEL_OK, _E_IO: the file is not whole */
int recorder_close(struct recorder *rec);

/* One thing that happened, in the order of the recording. */
struct record_frame {
    size_t at; /* of its payload in bytes */
    uint16_t session, tag, length;
    uint8_t type; /* LINK_TYPE_RESET or that of a data frame */
};

struct recording {
    uint32_t protocol_min, protocol_max;
    uint32_t core[RECORD_IDENTITY];
    bool has_core, truncated;
    struct record_frame *frames;
    size_t count, room;
    uint8_t *bytes;
    size_t used, size;
};

/* A file that ends too early gives all up to there, and truncated.
 * @return ACCEL_OK, _E_CORRUPT, _E_UNSUPPORTED (a newer format), _E_NOMEM */
int recording_parse(const uint8_t *bytes, size_t count, struct recording *out,
                    struct accel_error *err);
void recording_free(struct recording *r);

/* Sessions after `session` on the carrier, one for each in the recording. @return as accel_replay */
int link_replay(const struct carrier *carrier, uint16_t session, const struct recording *rec,
                struct accel_replay_stats *done, struct accel_error *err);

#endif
