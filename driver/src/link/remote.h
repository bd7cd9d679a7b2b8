/* remote.h - a core behind the link, whatever carries the bytes: opening, loading and running jobs.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The backends serial: and usb: are a carrier each, and this. */
#ifndef ACCEL_LINK_REMOTE_H
#define ACCEL_LINK_REMOTE_H

#include "host.h"

#include "../internal.h"

struct remote;

/* What carries the bytes. */
struct carrier {
    const char *name; /* for messages: "/dev/ttyUSB0" */
    /* Write what goes at once of the `count` bytes, read what has come; if neither moves anything, wait for
     * either up to wait_ns. @return ACCEL_OK, _E_GONE (cable pulled), _E_IO */
    int (*move)(void *priv, const uint8_t *out, size_t count, size_t *written, uint8_t *in,
                size_t room, size_t *got, uint64_t wait_ns, struct accel_error *err);
    /* May be NULL: what helps a device that does not answer, each attempt (0, 1, ...) more than the one before.
     * False: nothing is left to be done. */
    bool (*revive)(void *priv, unsigned attempt);
    /* May be NULL: what else is known of a device that does not answer. */
    void (*describe)(void *priv, char *text, size_t size);
    /* Nanoseconds of the clock that deadlines and timeouts are counted on; NULL: the machine's. */
    uint64_t (*now)(void *priv);
    void *priv;
    struct link_timing timing;
    size_t longest;          /* payload of a frame to the device */
    const char *when_silent; /* what to check if nothing answers */
};

enum { CARRIER_BYTES = 2048 }; /* taken from the link ahead of the carrier */

/* Bytes between a link and its carrier. */
struct carrier_buffer {
    uint8_t out[CARRIER_BYTES], in[CARRIER_BYTES];
    size_t out_at, out_count;
};

/* Nanoseconds on the carrier's clock. */
uint64_t carrier_now(const struct carrier *c);
/* One look at the carrier: sends, receives, or waits until `until` or the link's own next step for one of the two.
 * @return as move() */
int carrier_pump(const struct carrier *c, struct link_host *host, struct carrier_buffer *b,
                 uint64_t until, struct accel_error *err);

/* Finds out what the device is and fills dev->caps but for the URI; if dev->registers_only, only that it is one. The
 * carrier stays the caller's.
 * record: file to write down what crosses the link; "": none.
 * @return ACCEL_OK, _E_DEVICE, _E_UNSUPPORTED (protocol, kind), _E_NOMEM, _E_GONE, _E_IO */
int remote_open(struct accel_dev *dev, const struct carrier *carrier, const char *record,
                struct remote **out, struct accel_error *err);
void remote_close(struct remote *r);
/* After the carrier found the device again. @return as remote_open, or _E_MISMATCH */
int remote_reopen(struct remote *r, struct accel_error *err);
/* Of such a backend as they are: the first member of what dev->priv points to is the struct remote *. */
int remote_load(struct accel_dev *dev, const struct accel_matrix *mat, struct accel_weights *w,
                struct accel_error *err);
int remote_run(struct accel_dev *dev, const struct backend_job *job, struct accel_stats *stats,
               struct accel_error *err);
int remote_peek(struct accel_dev *dev, uint16_t word, uint16_t count, uint32_t *values,
                struct accel_error *err);
int remote_poke(struct accel_dev *dev, uint16_t word, uint32_t value, struct accel_error *err);
int remote_replay(struct accel_dev *dev, const void *bytes, size_t count,
                  struct accel_replay_stats *done, struct accel_error *err);
/* A new session: whatever ran is over. */
int remote_reset(struct accel_dev *dev, struct accel_error *err);
int remote_can_run(const struct accel_dev *dev, accel_format f, uint32_t group,
                   struct accel_error *err);

#endif
