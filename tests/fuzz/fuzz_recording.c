/* fuzz_recording.c - reading recordings: any bytes, and any bytes as what crossed the link.
 * SPDX-License-Identifier: Apache-2.0
 *
 * An even first byte: the rest is the file. An odd one: the rest are pieces (a byte of type, a byte of length, that many
 * bytes), which become chunks of a sound file; whole frames among them get their checks made right. */
#include "link/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check(const uint8_t *bytes, size_t count)
{
    struct recording r;
    struct accel_error err;
    if (recording_parse(bytes, count, &r, &err)) {
        require(err.text[0] && !r.frames && !r.bytes);
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < r.count; i++) {
        const struct record_frame *f = &r.frames[i];
        require(f->at == at && f->length <= LINK_MAX_PAYLOAD);
        require(i || f->type == LINK_TYPE_RESET);
        require(f->session != 0 && (f->length || f->type == LINK_TYPE_RESET));
        at += f->length;
    }
    require(at == r.used && r.used <= count);
    recording_free(&r);
}

static size_t chunk(uint8_t *out, uint8_t type, const uint8_t *bytes, size_t count)
{
    memset(out, 0, RECORD_CHUNK);
    out[0] = type;
    link_put32(out + 4, (uint32_t)count);
    memcpy(out + RECORD_CHUNK, bytes, count);
    link_put32(out + RECORD_CHUNK + count, link_crc(0, out, RECORD_CHUNK + count));
    return RECORD_CHUNK + count + 4;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[1 << 16];
    size_t used = RECORD_HEADER;
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0) {
        check(data + 1, size - 1);
        return 0;
    }
    memset(file, 0, RECORD_HEADER);
    for (size_t i = 0; i < 8; i++)
        file[i] = (uint8_t)RECORD_MAGIC[i];
    link_put32(file + 8, RECORD_FORMAT);
    data++;
    size--;
    while (size >= 2 && used + 1024 < sizeof file) {
        uint8_t frame[LINK_OVERHEAD + 256];
        const uint8_t type = data[0];
        size_t n = data[1] < size - 2 ? data[1] : size - 2;
        const uint8_t *bytes = data + 2;
        if (type & 0x80 && n >= 10) { /* as a frame */
            const struct link_header h = { .type = bytes[0],
                                           .flags = bytes[1],
                                           .session = bytes[2],
                                           .sequence = bytes[3],
                                           .ack = bytes[4],
                                           .tag = bytes[5],
                                           .length = (uint16_t)(n - 10) };
            const size_t whole = link_encode(frame, &h, bytes + 10);
            used += chunk(file + used, (uint8_t)(1 + type % 2), frame, whole);
        } else {
            used += chunk(file + used, type & 0x7F, bytes, n);
        }
        data += 2 + n;
        size -= 2 + n;
    }
    check(file, used - (data[-1] % 8 == 0 ? 3 : 0)); /* and cut off, now and then */
    return 0;
}
