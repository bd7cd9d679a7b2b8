/* external.c - tests the external memory through its window: data lines, address bits, then words unlike any other. docs/firmware.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#define BLOCK      256u /* words that are tested together: a row of an SDRAM or less */
#define PAGE_WORDS 0x8000u
#define BASE       255u /* the tag of word 0, which no address bit selects */

/* Jobs wait while the firmware has the core. A new session takes it back, and may store weights from then on. */
static bool owned(void)
{
    WATCHDOG = 0;
    return STREAMS[STREAM_STATE] & STREAM_OWNED;
}

static volatile uint32_t *window(uint32_t word)
{
    static uint32_t
        page; /* the host may have chosen another one since: a test begins with word 0 */
    if (page != word / PAGE_WORDS || !word) {
        page = word / PAGE_WORDS;
        REGISTERS[LINK_REG_MEM_PAGE] = page;
    }
    return &REGISTERS[LINK_REG_MEM_WINDOW + word % PAGE_WORDS];
}

/* One and all but one of 32 bits, on each of the 16 lines twice. The bus must not just remember what was written. */
static uint32_t bad_lines(uint32_t word)
{
    uint32_t bad = 0;
    for (unsigned bit = 0; bit < 64; bit++) {
        const uint32_t v = 1u << bit % 32 ^ (bit < 32 ? 0 : 0xFFFFFFFFu);
        *window(word) = v;
        *window(word + 1) = ~v;
        bad |= *window(word) ^ v;
    }
    return (bad | bad >> 16) & 0xFFFF;
}

static uint32_t tag(uint32_t bit)
{
    return 0xA5000000u | bit << 16 | (~bit & 0xFF) << 8 | bit;
}

static uint32_t bit_of_tag(uint32_t value)
{
    return value == tag(value & 0xFF) && (value & 0xFF) != BASE ? 1u << (value & 0xFF) : 0;
}

/* Words one address bit away from word 0, all written before any is read. @return bits of a byte's address that are mixed up */
static uint32_t bad_address(uint32_t words)
{
    uint32_t bad = 0;
    *window(0) = tag(BASE);
    for (uint32_t bit = 2; 1u << (bit - 2) < words; bit++)
        *window(1u << (bit - 2)) = tag(bit);
    bad = bit_of_tag(*window(0));
    for (uint32_t bit = 2; 1u << (bit - 2) < words; bit++) {
        const uint32_t got = *window(1u << (bit - 2));
        if (got == tag(BASE))
            bad |= 1u << bit;
        else if (got != tag(bit) && bit_of_tag(got))
            bad |= 1u << bit | bit_of_tag(got);
    }
    return bad;
}

/* Another value for each word: so two addresses that are one are noticed, too. */
static uint32_t pattern(uint32_t seed, uint32_t word, uint32_t flip)
{
    uint32_t v = seed ^ word;
    v ^= v << 13;
    v ^= v >> 17;
    return v ^ v << 5 ^ flip;
}

/* Writes, or reads and compares, as many of `total` blocks as are wanted, spread over all. */
static uint32_t sweep(uint32_t seed, uint32_t flip, uint32_t total, uint32_t blocks, bool write,
                      uint32_t *answer)
{
    const uint32_t stride = total / blocks, rest = total % blocks;
    for (uint32_t i = 0, block = 0, over = 0; i < blocks; i++) {
        for (uint32_t word = block * BLOCK; word < (block + 1) * BLOCK; word++) {
            const uint32_t want = pattern(seed, word, flip);
            if (!owned())
                return LINK_CPU_CORE_IN_USE;
            if (write) {
                *window(word) = want;
                continue;
            }
            const uint32_t wrong = *window(word) ^ want;
            if (wrong) {
                log_error(ERROR_CELL, word);
                log_error(ERROR_CELL_BITS, (wrong | wrong >> 16) & 0xFFFF);
                *answer = (uint32_t)LINK_CPU_CELLS << 28 | word;
                return LINK_CPU_WRONG;
            }
        }
        block += stride;
        over += rest;
        if (over >= blocks) {
            over -= blocks;
            block++;
        }
    }
    return LINK_CPU_DONE;
}

static uint32_t test(uint32_t words, uint32_t seed, uint32_t wanted, uint32_t *answer)
{
    const uint32_t total = words / BLOCK, blocks = wanted && wanted < total ? wanted : total;
    uint32_t status = LINK_CPU_DONE;
    if (!owned())
        return LINK_CPU_CORE_IN_USE;
    REGISTERS[LINK_REG_MEM_TAG] = 0; /* what the host stored is there no more */
    /* a cell at one place is no line */
    const uint32_t lines = bad_lines(0) & bad_lines(words - 4);
    if (!owned())
        return LINK_CPU_CORE_IN_USE;
    if (lines) {
        log_error(ERROR_DATA_LINES, lines);
        *answer = (uint32_t)LINK_CPU_DATA_LINES << 28 | lines;
        return LINK_CPU_WRONG;
    }
    const uint32_t bits = bad_address(words);
    if (bits) {
        log_error(ERROR_ADDRESS, bits >> 2);
        *answer = (uint32_t)LINK_CPU_ADDRESS_BITS << 28 | bits;
        return LINK_CPU_WRONG;
    }
    for (unsigned pass = 0; pass < 4 && status == LINK_CPU_DONE;
         pass++) /* once with each bit inverted */
        status = sweep(seed, pass < 2 ? 0 : 0xFFFFFFFFu, total, blocks, pass % 2 == 0, answer);
    if (status == LINK_CPU_DONE)
        *answer = blocks * BLOCK * 4;
    return status;
}

/* argument: KiB to test, 0: all, and in the uppermost byte a seed. */
uint32_t external_test(uint32_t argument, uint32_t *answer)
{
    const uint32_t words = REGISTERS[LINK_REG_MEM_BYTES] / 4;
    if (REGISTERS[LINK_REG_MEM_MAGIC] != LINK_MEM_WORD || words < BLOCK)
        return LINK_CPU_NOTHING;
    STREAMS[STREAM_OWN] = 1;
    const uint32_t status = test(words, (argument >> 24) << 7, argument & 0xFFFFFFu, answer);
    STREAMS[STREAM_OWN] = 0;
    return status;
}
