/* device.h - what the firmware sees of the device, rtl/soc/accel_cpu.v.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FIRMWARE_DEVICE_H
#define FIRMWARE_DEVICE_H

#include "link_constants.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIRMWARE_VERSION 0x000200u /* major, minor, patch: 8 bits each */

#define WORDS(address) ((volatile uint32_t *)(address))
#define MAILBOX        (WORDS(0x40000000u) - LINK_REG_CPU) /* by LINK_REG_CPU_... */
#define WATCHDOG       (*WORDS(0x50000000u))               /* any write says: alive */
#define NAP            (*WORDS(0x50000004u)) /* a write lasts so many cycles, or until the host commands */
#define STREAMS        WORDS(0x60000000u)
#define REGISTERS      WORDS(0x80000000u) /* the device's, by word, as PEEK and POKE see them */

/* Words of STREAMS. */
enum { STREAM_OWN, STREAM_STATE, STREAM_RESULT, STREAM_COMPLETION, STREAM_FIRST = 8 };
#define STREAM_HAS_RESULT     0x100u /* of STREAM_STATE; its low bits: streams that take nothing now */
#define STREAM_HAS_COMPLETION 0x200u
#define STREAM_OWNED          0x400u
#define RESULT_VALID          0x100u
#define COMPLETION_VALID      0x1000000u

/* What an entry of the error log holds in its top byte; data below. */
enum error_code {
    ERROR_RESTART = 1, /* the firmware began anew: why, LINK_CPU_CAUSE_... */
    ERROR_LOST,        /* a command was under way then: which */
    ERROR_VECTOR, /* a job of the self-test went wrong: how, LINK_CPU_..., in bits 23:16; which one below */
    ERROR_MEMORY,     /* a word of memory lost a bit: its address */
    ERROR_COMMAND,    /* a command that there is not: which */
    ERROR_DATA_LINES, /* of the external memory: a bit for each of the 16 */
    ERROR_ADDRESS,    /* likewise: a bit for each of the bits of a byte's address, from bit 2 on */
    ERROR_CELL,       /* a word of it, 32 bits: which */
    ERROR_CELL_BITS,  /* what was wrong in that word, both its halves on the 16 lines */
};
void log_error(enum error_code code, uint32_t data);

/* One job for the array, and what it must answer (vectors.c makes them). */
struct vector {
    const uint8_t *bytes[LINK_STREAMS];
    uint16_t result_bytes, id;
    uint32_t result_crc;
    uint16_t count[LINK_STREAMS];
};
extern const struct vector vectors[];
extern const unsigned vector_count;

/* @return LINK_CPU_... */
uint32_t self_test(uint32_t which, uint32_t *answer);
uint32_t memory_test(uint32_t *answer);
uint32_t external_test(uint32_t argument, uint32_t *answer);

#endif
