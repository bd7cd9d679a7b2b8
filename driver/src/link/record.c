/* record.c - writing down what crosses a link.
 * SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct recorder {
    FILE *file;
    struct carrier inner;
    bool failed;
    char path[256];
};

static int failed(struct recorder *rec, struct accel_error *err)
{
    rec->failed = true;
    return accel_fail(err, ACCEL_E_IO, "%s: cannot write the recording: %s", rec->path,
                      strerror(errno));
}

int recorder_open(const char *path, struct recorder **out, struct accel_error *err)
{
    uint8_t header[RECORD_HEADER];
    struct recorder *rec = calloc(1, sizeof *rec);
    if (!rec)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: recording to %.80s", path);
    snprintf(rec->path, sizeof rec->path, "%s", path);
    for (size_t i = 0; i < 8; i++)
        header[i] = (uint8_t)RECORD_MAGIC[i];
    link_put32(header + 8, RECORD_FORMAT);
    link_put16(header + 12, LINK_PROTOCOL_MIN);
    link_put16(header + 14, LINK_PROTOCOL_MAX);
    rec->file = fopen(path, "wb");
    if (!rec->file || fwrite(header, sizeof header, 1, rec->file) != 1) {
        const int rc = failed(rec, err);
        recorder_close(rec);
        return rc;
    }
    *out = rec;
    return ACCEL_OK;
}

static void write_chunk(struct recorder *rec, uint8_t type, const uint8_t *bytes, size_t count)
{
    uint8_t head[RECORD_CHUNK] = { type }, tail[4];
    const uint64_t ns = carrier_now(&rec->inner);
    link_put32(head + 4, (uint32_t)count);
    link_put32(head + 8, (uint32_t)ns);
    link_put32(head + 12, (uint32_t)(ns >> 32));
    link_put32(tail, link_crc(link_crc(0, head, sizeof head), bytes, count));
    if (fwrite(head, sizeof head, 1, rec->file) != 1 ||
        fwrite(bytes, 1, count, rec->file) != count || fwrite(tail, sizeof tail, 1, rec->file) != 1)
        rec->failed = true;
}

static void write_all(struct recorder *rec, uint8_t type, const uint8_t *bytes, size_t count)
{
    for (size_t at = 0; at < count; at += RECORD_LONGEST) {
        const size_t n = count - at;
        write_chunk(rec, type, bytes + at, n < RECORD_LONGEST ? n : RECORD_LONGEST);
    }
}

void recorder_core(struct recorder *rec, const uint32_t *words)
{
    uint8_t bytes[4 * RECORD_IDENTITY];
    for (size_t i = 0; i < RECORD_IDENTITY; i++)
        link_put32(bytes + 4 * i, words[i]);
    write_all(rec, RECORD_CORE, bytes, sizeof bytes);
}

static int move(void *priv, const uint8_t *out, size_t count, size_t *written, uint8_t *in,
                size_t room, size_t *got, uint64_t wait_ns, struct accel_error *err)
{
    struct recorder *rec = priv;
    const int rc = rec->inner.move(rec->inner.priv, out, count, written, in, room, got, wait_ns,
                                   err);
    if (rc)
        return rc;
    write_all(rec, RECORD_TO_DEVICE, out, *written);
    write_all(rec, RECORD_TO_HOST, in, *got);
    return rec->failed ? failed(rec, err) : ACCEL_OK;
}

static bool revive(void *priv, unsigned attempt)
{
    const struct recorder *rec = priv;
    return rec->inner.revive && rec->inner.revive(rec->inner.priv, attempt);
}

static uint64_t now(void *priv)
{
    const struct recorder *rec = priv;
    return rec->inner.now(rec->inner.priv);
}

static void describe(void *priv, char *text, size_t size)
{
    const struct recorder *rec = priv;
    if (rec->inner.describe)
        rec->inner.describe(rec->inner.priv, text, size);
}

struct carrier recorder_wrap(struct recorder *rec, const struct carrier *inner)
{
    struct carrier c = *inner;
    rec->inner = *inner;
    c.move = move;
    c.now = inner->now ? now : NULL;
    c.revive = revive;
    c.describe = describe;
    c.priv = rec;
    return c;
}

int recorder_close(struct recorder *rec)
{
    if (!rec)
        return ACCEL_OK;
    bool bad = rec->failed;
    if (rec->file)
        bad = fclose(rec->file) != 0 || bad;
    free(rec);
    return bad ? ACCEL_E_IO : ACCEL_OK;
}
