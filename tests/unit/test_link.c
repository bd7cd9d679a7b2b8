/* test_link.c - frames, and host and device over a channel that damages, loses, repeats and reorders bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "link/host.h"
#include "link_device.h"
#include "random_matrix.h"

#include <stdlib.h>
#include <string.h>

#define MS 1000000u

/* ---- frames ---- */

static void the_crc_is_the_one_of_the_standard(void **state)
{
    (void)state;
    uint8_t zeros[32] = { 0 };
    assert_int_equal(link_crc(0, "123456789", 9), 0xE3069283);
    assert_int_equal(link_crc(link_crc(0, "1234", 4), "56789", 5), 0xE3069283);
    assert_int_equal(link_crc(0, zeros, sizeof zeros), 0x8A9136AA);
}

static void a_frame_has_the_bytes_that_the_document_says(void **state)
{
    (void)state;
    const struct link_header h = { .type = LINK_TYPE_POKE,
                                   .flags = LINK_FLAG_NAK,
                                   .session = 0x1234,
                                   .sequence = 0x5678,
                                   .ack = 0x9ABC,
                                   .tag = 0xDEF0,
                                   .length = 3 };
    static const uint8_t fixed[14] = { 195,  90,   6,    2,    0x34, 0x12, 0x78,
                                       0x56, 0xBC, 0x9A, 0xF0, 0xDE, 3,    0 };
    uint8_t f[LINK_MAX_FRAME];
    assert_int_equal(link_encode(f, &h, "abc"), 23);
    assert_memory_equal(f, fixed, sizeof fixed);
    assert_int_equal(link_get16(f + 14), link_crc(0, f, 14) & 0xFFFF);
    assert_memory_equal(f + 16, "abc", 3);
    assert_int_equal(link_get32(f + 19), link_crc(0, f, 19));
}

static struct link_header random_header(struct rng *r, uint32_t longest)
{
    return (struct link_header){ .type = (uint8_t)rng_next(r),
                                 .flags = (uint8_t)rng_next(r),
                                 .session = (uint16_t)rng_next(r),
                                 .sequence = (uint16_t)rng_next(r),
                                 .ack = (uint16_t)rng_next(r),
                                 .tag = (uint16_t)rng_next(r),
                                 .length = (uint16_t)rng_below(r, longest + 1) };
}

static void fill(struct rng *r, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)rng_next(r);
}

static void frames_are_found_behind_garbage_and_in_pieces_of_any_size(void **state)
{
    (void)state;
    struct rng r = { 77 };
    static struct link_decoder d;
    static uint8_t bytes[3 * LINK_MAX_FRAME], payload[LINK_MAX_PAYLOAD];
    for (int i = 0; i < 300; i++) {
        const struct link_header h = random_header(&r, i % 2 ? LINK_MAX_PAYLOAD : 40);
        size_t size = 0;
        for (uint32_t n = rng_below(&r, 60); n; n--) { /* no magic in it: it would cost the frame */
            bytes[size] = (uint8_t)rng_next(&r);
            size += bytes[size] != LINK_MAGIC_1;
        }
        fill(&r, payload, h.length);
        if (rng_below(&r, 2))
            bytes[size++] = LINK_MAGIC_0; /* followed by itself */
        size += link_encode(bytes + size, &h, payload);
        size_t at = 0, used;
        enum link_found found = LINK_NOTHING;
        while (!found) {
            size_t n = 1 + rng_below(&r, 100);
            n = n < size - at ? n : size - at;
            found = link_decode(&d, bytes + at, n, &used);
            at += used;
            assert_true(found || at < size);
        }
        assert_int_equal(found, LINK_FRAME);
        assert_int_equal(at, size);
        assert_memory_equal(&d.header, &h, sizeof h);
        assert_memory_equal(link_payload(&d), payload, h.length);
    }
    assert_int_equal(d.good, 300);
}

static bool accepted(const uint8_t *bytes, size_t size)
{
    static struct link_decoder d;
    size_t at = 0, used;
    bool any = false;
    d.taken = 0;
    while (at < size) {
        any = any || link_decode(&d, bytes + at, size - at, &used) == LINK_FRAME;
        at += used;
    }
    return any;
}

static void a_frame_with_up_to_three_wrong_bits_is_never_taken(void **state)
{
    (void)state;
    struct rng r = { 5 };
    uint8_t f[LINK_OVERHEAD + 6];
    const struct link_header h = random_header(&r, 0);
    link_encode(f, &h, NULL);
    for (size_t i = 0; i < 8 * LINK_OVERHEAD; i++)
        for (size_t j = i; j < 8 * LINK_OVERHEAD; j++)
            for (size_t k = j; k < 8 * LINK_OVERHEAD; k += 1 + rng_below(&r, 3)) {
                f[i / 8] ^= (uint8_t)(1u << i % 8);
                f[j / 8] ^= (uint8_t)(j != i ? 1u << j % 8 : 0);
                f[k / 8] ^= (uint8_t)(k != j ? 1u << k % 8 : 0);
                assert_false(accepted(f, LINK_OVERHEAD));
                link_encode(f, &h, NULL);
            }
}

static void the_header_check_alone_sees_up_to_two_wrong_bits(void **state)
{
    (void)state;
    static struct link_decoder d;
    uint8_t f[LINK_MAX_FRAME];
    const struct link_header h = { .type = 16, .length = 4 };
    size_t used;
    for (size_t i = 16; i < 8 * LINK_HEADER_BYTES; i++) /* not the magic: it would not be found */
        for (size_t j = i; j < 8 * LINK_HEADER_BYTES; j++) {
            link_encode(f, &h, "abcd");
            f[i / 8] ^= (uint8_t)(1u << i % 8);
            f[j / 8] ^= (uint8_t)(j != i ? 1u << j % 8 : 0);
            d.taken = 0;
            d.bad_header = 0;
            link_decode(&d, f, LINK_HEADER_BYTES, &used);
            assert_int_equal(d.bad_header, 1);
        }
}

static void a_length_beyond_the_longest_is_no_header(void **state)
{
    (void)state;
    static struct link_decoder d;
    static uint8_t f[LINK_MAX_FRAME + 1], payload[LINK_MAX_PAYLOAD + 1];
    struct link_header h = { .type = 16, .length = LINK_MAX_PAYLOAD + 1 };
    size_t used;
    link_encode(f, &h, payload);
    assert_int_equal(link_decode(&d, f, sizeof f, &used), LINK_NOTHING);
    assert_int_equal(d.bad_header, 1);
    h.length = LINK_MAX_PAYLOAD;
    const size_t size = link_encode(f, &h, payload);
    assert_int_equal(link_decode(&d, f, size, &used), LINK_FRAME);
}

/* ---- host and device ---- */

enum { PIPE = 64 * 1024, CHUNK = 700, RECORD = 512 * 1024 };

/* One direction: bytes under way, and a chunk that is held back. */
struct pipe {
    uint8_t bytes[PIPE];
    size_t count;
    uint8_t held[CHUNK];
    size_t held_count;
    unsigned faults; /* of 1000 chunks; 0: a good cable */
    bool cut;        /* nothing goes in any more */
};

struct record {
    uint8_t *bytes;
    size_t count;
};

struct world {
    struct rng r;
    uint64_t now;
    struct link_host host;
    struct link_device device;
    struct pipe down, up;
    uint64_t passed; /* bytes put into both pipes */
    uint64_t cut_at; /* pull the cable after so many; 0: never */
    struct record sent[LINK_STREAMS], taken[LINK_STREAMS]; /* by the host, from the device */
    struct record made, got;                               /* results */
    uint32_t completions_made, completions_got;
    bool sloth; /* the device takes little at a time */
};

static void note(struct record *r, const void *bytes, size_t count)
{
    assert_true(r->count + count <= RECORD);
    memcpy(r->bytes + r->count, bytes, count);
    r->count += count;
}

static bool take_result(void *user, const struct link_header *h, const uint8_t *payload)
{
    struct world *w = user;
    if (h->type == LINK_TYPE_RESULT)
        note(&w->got, payload, h->length);
    else
        w->completions_got++;
    return h->tag == 99;
}

static void start(struct world *w, uint64_t seed)
{
    static const struct link_timing timing = { 5 * MS, 3000ull * MS };
    static const uint32_t rooms[LINK_STREAMS] = { 64, 2048, 4096, 1024, 256 };
    memset(w, 0, sizeof *w);
    w->r.state = seed * 0x9e3779b97f4a7c15u + 1;
    w->now = rng_next(&w->r) >> 8;
    link_host_init(&w->host, &timing, take_result, w);
    memcpy(w->device.room, rooms, sizeof rooms);
    for (unsigned s = 0; s < LINK_STREAMS; s++) {
        w->sent[s].bytes = malloc(RECORD);
        w->taken[s].bytes = malloc(RECORD);
    }
    w->made.bytes = malloc(RECORD);
    w->got.bytes = malloc(RECORD);
}

static void stop(struct world *w)
{
    for (unsigned s = 0; s < LINK_STREAMS; s++) {
        free(w->sent[s].bytes);
        free(w->taken[s].bytes);
    }
    free(w->made.bytes);
    free(w->got.bytes);
}

static void put(struct pipe *p, const uint8_t *bytes, size_t count)
{
    if (p->cut)
        return;
    assert_true(p->count + count <= PIPE);
    memcpy(p->bytes + p->count, bytes, count);
    p->count += count;
}

/* A chunk enters the pipe, perhaps not as it was. */
static void transmit(struct world *w, struct pipe *p, uint8_t *chunk, size_t count)
{
    struct rng *r = &w->r;
    if (w->cut_at && w->passed + count >= w->cut_at) { /* the cable is pulled at this very byte */
        put(p, chunk, (size_t)(w->cut_at - w->passed));
        w->down.cut = w->up.cut = true;
        w->passed = w->cut_at;
        return;
    }
    w->passed += count;
    if (rng_below(r, 1000) < p->faults) {
        switch (rng_below(r, 8)) {
        case 0: chunk[rng_below(r, (uint32_t)count)] ^= (uint8_t)(1u << rng_below(r, 8)); break;
        case 1: fill(r, chunk, count); break;                 /* noise */
        case 2: count = rng_below(r, (uint32_t)count); break; /* cut short */
        case 3: put(p, chunk, count); break;                  /* twice */
        case 4:
        case 5: /* held back until another one is */
            put(p, p->held, p->held_count);
            memcpy(p->held, chunk, count);
            p->held_count = count;
            return;
        default: return; /* lost */
        }
    }
    put(p, chunk, count);
}

static size_t deliver(struct rng *r, struct pipe *p, uint8_t *bytes)
{
    size_t n = rng_below(r, CHUNK) + 1;
    n = n < p->count ? n : p->count;
    memcpy(bytes, p->bytes, n);
    memmove(p->bytes, p->bytes + n, p->count - n);
    p->count -= n;
    return n;
}

/* The device's core: takes what there is, in pieces, and gives results of its own. */
static void device_works(struct world *w, size_t results)
{
    uint8_t bytes[CHUNK];
    for (unsigned s = 0; s < LINK_STREAMS; s++)
        if (!w->sloth || rng_below(&w->r, 4) == 0) {
            const size_t most = 1 + rng_below(&w->r, w->sloth ? 40 : CHUNK);
            note(&w->taken[s], bytes, link_device_take(&w->device, s, bytes, most));
        }
    if (!link_device_can_send(&w->device) || w->made.count >= results)
        return;
    size_t n = 1 + rng_below(&w->r, DEVICE_RESULT);
    n = n < results - w->made.count ? n : results - w->made.count;
    fill(&w->r, bytes, n);
    note(&w->made, bytes, n);
    link_device_send(&w->device, LINK_TYPE_RESULT, 99, bytes, n);
    if (link_device_can_send(&w->device) && rng_below(&w->r, 8) == 0) {
        link_device_send(&w->device, LINK_TYPE_COMPLETION, 99, bytes, 4);
        w->completions_made++;
    }
}

static void step(struct world *w, size_t results)
{
    uint8_t bytes[CHUNK];
    size_t n = link_host_output(&w->host, bytes, 1 + rng_below(&w->r, CHUNK), w->now);
    if (n)
        transmit(w, &w->down, bytes, n);
    n = deliver(&w->r, &w->down, bytes);
    link_device_input(&w->device, bytes, n);
    if (results)
        device_works(w, results);
    n = link_device_output(&w->device, bytes, 1 + rng_below(&w->r, CHUNK));
    if (n)
        transmit(w, &w->up, bytes, n);
    n = deliver(&w->r, &w->up, bytes);
    link_host_input(&w->host, bytes, n, w->now);
    w->now += 50000 + rng_below(&w->r, 100000);
}

static bool open_session(struct world *w, uint16_t session)
{
    link_host_open(&w->host, session, w->now);
    for (int t = 0; t < 1000000 && w->host.state == LINK_OPENING; t++)
        step(w, 0);
    return w->host.state == LINK_OPEN;
}

/* Sends `bytes` of every stream and waits for as many results. Returns false if the link went down. */
static bool exchange(struct world *w, size_t bytes)
{
    uint8_t chunk[LINK_MAX_PAYLOAD];
    for (int t = 0; w->host.state == LINK_OPEN; t++) {
        assert_true(t < 2000000); /* else it hangs */
        const unsigned s = rng_below(&w->r, LINK_STREAMS);
        size_t n = link_host_room(&w->host, s), left = bytes - w->sent[s].count;
        n = n < left ? n : left;
        if (n) {
            n = 1 + rng_below(&w->r, (uint32_t)n);
            fill(&w->r, chunk, n);
            note(&w->sent[s], chunk, n);
            link_host_send(&w->host, s, 7, chunk, n, w->now);
        }
        link_host_expect(&w->host, true, w->now);
        step(w, bytes);
        bool done = w->got.count == bytes && w->completions_got == w->completions_made;
        for (unsigned i = 0; i < LINK_STREAMS; i++)
            done = done && w->taken[i].count == bytes;
        if (done)
            return true;
    }
    return false;
}

/* What arrived is what was sent, or the beginning of it. */
static void check(const struct world *w)
{
    for (unsigned s = 0; s < LINK_STREAMS; s++) {
        assert_true(w->taken[s].count <= w->sent[s].count);
        assert_memory_equal(w->taken[s].bytes, w->sent[s].bytes, w->taken[s].count);
    }
    assert_true(w->got.count <= w->made.count);
    assert_memory_equal(w->got.bytes, w->made.bytes, w->got.count);
    assert_true(w->completions_got <= w->completions_made);
}

static void a_good_cable_carries_everything_and_nothing_twice(void **state)
{
    (void)state;
    static struct world w;
    start(&w, 1);
    assert_true(open_session(&w, 1));
    assert_true(exchange(&w, 200000));
    check(&w);
    assert_int_equal(w.host.resent, 0);
    assert_int_equal(w.device.decoder.bad_crc + w.device.decoder.bad_header, 0);
    stop(&w);
}

static void a_bad_cable_carries_everything_in_order(void **state)
{
    (void)state;
    static struct world w;
    static const unsigned faults[] = { 1, 10, 50, 150, 300 };
    uint64_t resent = 0, broken = 0;
    for (unsigned i = 0; i < 60; i++) {
        start(&w, 100 + i);
        w.host.timing.silence_ns = UINT64_MAX / 2; /* luck is no reason to give up */
        w.down.faults = faults[i % 5];
        w.up.faults = faults[i / 5 % 5];
        w.sloth = i % 2;
        assert_true(open_session(&w, (uint16_t)(1 + i)));
        assert_true(exchange(&w, i % 7 == 0 ? 100000 : 10000));
        check(&w);
        resent += w.host.resent;
        broken += w.host.decoder.bad_crc + w.device.decoder.bad_crc;
        stop(&w);
    }
    assert_true(resent > 100 && broken > 100); /* the cable was bad indeed */
}

static void sequences_go_on_behind_65535(void **state)
{
    (void)state;
    static struct world w;
    start(&w, 3);
    w.down.faults = w.up.faults = 20;
    w.host.timing.silence_ns = UINT64_MAX / 2;
    assert_true(open_session(&w, 1));
    struct link_host *h = &w.host;
    h->base = h->next = h->cursor = h->highest = w.device.want = 65530;
    h->want = w.device.base = w.device.cursor = w.device.top = 65530;
    assert_true(exchange(&w, 100000));
    check(&w);
    assert_true(h->next < 65530 && h->want < 65530);
    stop(&w);
}

static void a_cable_pulled_at_any_byte_is_silence_within_the_limit(void **state)
{
    (void)state;
    static struct world w;
    for (unsigned i = 0; i < 300; i++) {
        start(&w, 1000 + i);
        w.cut_at = 1 + i * 97;
        w.down.faults = i % 3 ? 0 : 20;
        bool whole = open_session(&w, 1);
        const uint64_t began = w.now;
        whole = whole && exchange(&w, 50000);
        assert_false(whole);
        assert_int_equal(w.host.state, LINK_SILENT);
        assert_true(w.now - began < 20 * w.host.timing.silence_ns);
        check(&w);
        const uint64_t pulled = w.host.heard;
        assert_true(w.now - pulled < w.host.timing.silence_ns + 200 * MS);
        stop(&w);
    }
}

static void a_device_that_forgot_the_session_is_noticed_before_it_counts_as_silent(void **state)
{
    (void)state;
    static struct world w;
    start(&w, 4);
    assert_true(open_session(&w, 1));
    assert_true(exchange(&w, 5000));
    const struct link_device fresh = { .room = { 64, 64, 64, 64, 64 } };
    w.device = fresh; /* its power went and came back */
    const uint64_t began = w.now;
    assert_false(exchange(&w, 10000));
    assert_int_equal(w.host.state, LINK_LOST);
    assert_true(w.now - began < 100ull * MS);
    stop(&w);
}

static void a_new_session_begins_from_nothing_whatever_the_old_one_left(void **state)
{
    (void)state;
    static struct world w;
    for (unsigned i = 0; i < 40; i++) {
        start(&w, 2000 + i);
        w.host.timing.silence_ns = UINT64_MAX / 2;
        w.down.faults = w.up.faults = i % 2 ? 50 : 0;
        assert_true(open_session(&w, 1));
        for (unsigned n = rng_below(&w.r, 300); n; n--) { /* left in the middle of anything */
            uint8_t chunk[100] = { 0 };
            const unsigned s = rng_below(&w.r, LINK_STREAMS);
            const size_t room = link_host_room(&w.host, s);
            if (room)
                link_host_send(&w.host, s, 7, chunk, room < 100 ? room : 100, w.now);
            step(&w, 1000000);
        }
        w.made.count = w.got.count = w.completions_made = w.completions_got = 0;
        assert_true(open_session(&w, 2));
        for (unsigned s = 0; s < LINK_STREAMS; s++)
            w.taken[s].count = 0;
        assert_true(exchange(&w, 5000));
        check(&w);
        stop(&w);
    }
}

static void a_session_opens_over_a_cable_slower_than_the_timeout(void **state)
{
    (void)state;
    static struct world w;
    start(&w, 6);
    w.host.timing.silence_ns = 60000ull * MS;
    link_host_open(&w.host, 1, w.now);
    for (int t = 0; t < 30000 && w.host.state == LINK_OPENING; t++) { /* a byte a millisecond */
        uint8_t b;
        if (link_host_output(&w.host, &b, 1, w.now))
            link_device_input(&w.device, &b, 1);
        if (link_device_output(&w.device, &b, 1))
            link_host_input(&w.host, &b, 1, w.now);
        w.now += MS;
    }
    assert_int_equal(w.host.state, LINK_OPEN);
    stop(&w);
}

static void a_slow_answer_is_not_asked_for_again_and_again(void **state)
{
    (void)state;
    static struct world w;
    start(&w, 7);
    w.host.timing.silence_ns = 60000ull * MS;
    link_host_peek(&w.host, LINK_REG_CORE, LINK_PEEK_WORDS, w.now);
    for (int t = 0; t < 20000 && !w.host.answered; t++) {
        uint8_t b[64];
        link_device_input(&w.device, b, link_host_output(&w.host, b, sizeof b, w.now));
        if (t % 4 == 0 &&
            link_device_output(&w.device, b, 1)) /* a byte in 4 ms, the timeout is 5 */
            link_host_input(&w.host, b, 1, w.now);
        w.now += MS;
    }
    assert_true(w.host.answered);
    assert_in_range(w.host.sent, 1, 2);
    stop(&w);
}

static void what_is_no_frame_does_not_count_as_an_answer(void **state)
{
    (void)state;
    static struct world w;
    start(&w, 8);
    link_host_peek(&w.host, LINK_REG_CORE, 1, w.now);
    const uint64_t began = w.now;
    while (w.host.state != LINK_SILENT) {
        uint8_t b[64];
        assert_true(w.now - began < 2 * w.host.timing.silence_ns);
        link_host_output(&w.host, b, sizeof b, w.now);
        fill(&w.r, b, sizeof b);
        link_host_input(&w.host, b, sizeof b, w.now); /* somebody else talks there */
        w.now += MS;
    }
    stop(&w);
}

static void registers_are_read_and_written_while_the_streams_are_full(void **state)
{
    (void)state;
    static struct world w;
    for (unsigned i = 0; i < 20; i++) {
        start(&w, 3000 + i);
        w.down.faults = w.up.faults = i % 2 ? 100 : 0;
        w.host.timing.silence_ns = UINT64_MAX / 2;
        if (i % 4 >= 2) {
            assert_true(open_session(&w, 1));
            uint8_t chunk[LINK_MAX_PAYLOAD] = { 0 };
            for (int t = 0; t < 200; t++) { /* nobody takes anything out */
                const size_t room = link_host_room(&w.host, LINK_STREAM_W);
                if (room)
                    link_host_send(&w.host, LINK_STREAM_W, 7, chunk, room, w.now);
                step(&w, 0);
            }
            assert_int_equal(w.host.used[LINK_STREAM_W], 4096);
        }
        link_host_poke(&w.host, LINK_REG_SCRATCH, 0xCAFE0000u + i, w.now);
        for (int t = 0; t < 100000 && !w.host.answered; t++)
            step(&w, 0);
        assert_true(w.host.answered);
        assert_int_equal(w.host.words[0], 0xCAFE0000u + i);
        link_host_peek(&w.host, LINK_REG_SESSION, 2, w.now);
        for (int t = 0; t < 100000 && !w.host.answered; t++)
            step(&w, 0);
        assert_true(w.host.answered);
        assert_int_equal(w.host.words[0], i % 4 >= 2);
        assert_int_equal(w.host.words[1], 0xCAFE0000u + i);
        stop(&w);
    }
}

static void what_makes_no_sense_to_its_reader_ends_the_session(void **state)
{
    (void)state;
    static struct world w;
    start(&w, 5);
    assert_true(open_session(&w, 1));
    link_device_send(&w.device, LINK_TYPE_COMPLETION, 98, (const uint8_t *)"abcd", 4);
    for (int t = 0; t < 100; t++)
        step(&w, 0);
    assert_int_equal(w.host.state, LINK_FAULTY);
    assert_int_equal(link_host_room(&w.host, LINK_STREAM_X), 0);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_crc_is_the_one_of_the_standard),
        cmocka_unit_test(a_frame_has_the_bytes_that_the_document_says),
        cmocka_unit_test(frames_are_found_behind_garbage_and_in_pieces_of_any_size),
        cmocka_unit_test(a_frame_with_up_to_three_wrong_bits_is_never_taken),
        cmocka_unit_test(the_header_check_alone_sees_up_to_two_wrong_bits),
        cmocka_unit_test(a_length_beyond_the_longest_is_no_header),
        cmocka_unit_test(a_good_cable_carries_everything_and_nothing_twice),
        cmocka_unit_test(a_bad_cable_carries_everything_in_order),
        cmocka_unit_test(sequences_go_on_behind_65535),
        cmocka_unit_test(a_cable_pulled_at_any_byte_is_silence_within_the_limit),
        cmocka_unit_test(a_device_that_forgot_the_session_is_noticed_before_it_counts_as_silent),
        cmocka_unit_test(a_new_session_begins_from_nothing_whatever_the_old_one_left),
        cmocka_unit_test(a_session_opens_over_a_cable_slower_than_the_timeout),
        cmocka_unit_test(a_slow_answer_is_not_asked_for_again_and_again),
        cmocka_unit_test(what_is_no_frame_does_not_count_as_an_answer),
        cmocka_unit_test(registers_are_read_and_written_while_the_streams_are_full),
        cmocka_unit_test(what_makes_no_sense_to_its_reader_ends_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
