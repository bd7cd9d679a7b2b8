/* selftest.c - runs the jobs of vectors.c's making on the array, byte by byte, and checks what comes out; tests memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#define PATIENCE 20000u /* looks at the streams without a byte moving */

/* A nibble at a time: this is most of what a test does. */
static uint32_t crc32c(uint32_t crc, uint32_t byte)
{
    static const uint32_t table[16] = { 0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1,
                                        0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
                                        0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
                                        0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75 };
    crc ^= byte;
    crc = crc >> 4 ^ table[crc & 15];
    return crc >> 4 ^ table[crc & 15];
}

/* As many bytes as one write takes. Streams are bytes: a beat need not be a multiple of a word. */
static unsigned feed(unsigned stream, const uint8_t *bytes, unsigned left)
{
    volatile uint32_t *const to = &STREAMS[STREAM_FIRST + stream];
    if (left >= 4) {
        *to = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
              (uint32_t)bytes[3] << 24;
        return 4;
    }
    *(volatile uint8_t *)to = bytes[0];
    return 1;
}

/* Every stream at its own pace, or one that the core does not want yet would hold up the one that it waits for. */
static uint32_t run(const struct vector *v)
{
    unsigned sent[LINK_STREAMS] = { 0 }, results = 0;
    uint32_t crc = 0xFFFFFFFFu;
    for (uint32_t idle = 0; idle < PATIENCE; idle++) {
        const uint32_t state = STREAMS[STREAM_STATE];
        uint32_t result;
        WATCHDOG = 0;
        if (!(state & STREAM_OWNED))
            return LINK_CPU_CORE_IN_USE;
        for (unsigned s = 0; s < LINK_STREAMS; s++)
            if (!(state >> s & 1) && sent[s] < v->count[s]) {
                sent[s] += feed(s, v->bytes[s] + sent[s], v->count[s] - sent[s]);
                idle = 0;
            }
        while ((result = STREAMS[STREAM_RESULT]) & RESULT_VALID && results <= v->result_bytes) {
            crc = crc32c(crc, result & 0xFFu);
            results++;
            idle = 0;
        }
        if (state & STREAM_HAS_COMPLETION) { /* behind the last result */
            const uint32_t completion = STREAMS[STREAM_COMPLETION];
            return completion == (COMPLETION_VALID | v->id) && results == v->result_bytes &&
                           ~crc == v->result_crc
                       ? LINK_CPU_DONE
                       : LINK_CPU_WRONG;
        }
    }
    return LINK_CPU_STUCK;
}

/* which: 0 all, or one from 1 on. answer: how many passed, and in the upper half the first that did not. */
uint32_t self_test(uint32_t which, uint32_t *answer)
{
    uint32_t status = LINK_CPU_DONE, passed = 0;
    if (which > vector_count || !vector_count)
        return LINK_CPU_NOTHING;
    for (unsigned i = which ? which - 1 : 0; i < (which ? which : vector_count); i++) {
        STREAMS[STREAM_OWN] = 1;
        const uint32_t now = run(&vectors[i]);
        STREAMS[STREAM_OWN] = 0; /* a core that is stuck begins anew */
        if (now == LINK_CPU_DONE) {
            passed++;
            continue;
        }
        if (status == LINK_CPU_DONE) {
            status = now;
            *answer = (i + 1) << 16;
        }
        if (now == LINK_CPU_CORE_IN_USE)
            break;
        log_error(ERROR_VECTOR, now << 16 | (i + 1));
    }
    *answer |= passed;
    return status;
}

static uint32_t pattern(uintptr_t address, bool flip)
{
    const uint32_t v = (uint32_t)address << 16 ^ (uint32_t)address << 5 ^ (uint32_t)address;
    return flip ? ~v : v;
}

/* Each word another one than its neighbours, then its complement, in what the stack leaves free. answer: bytes, or the first wrong
 * address. */
uint32_t memory_test(uint32_t *answer)
{
    extern uint32_t __free[], __stack[];
    const uintptr_t first = (uintptr_t)__free, end = (uintptr_t)__stack - 512;
    for (unsigned flip = 0; flip < 2; flip++) {
        for (uintptr_t a = first; a < end; a += 4) {
            *WORDS(a) = pattern(a, flip);
            WATCHDOG = 0;
        }
        for (uintptr_t a = first; a < end; a += 4) {
            WATCHDOG = 0;
            if (*WORDS(a) == pattern(a, flip))
                continue;
            log_error(ERROR_MEMORY, (uint32_t)a);
            *answer = (uint32_t)a;
            return LINK_CPU_WRONG;
        }
    }
    *answer = (uint32_t)(end - first);
    return LINK_CPU_DONE;
}
