/* main.c - the firmware's mailbox: says who it is, obeys the host's commands, keeps the error log. docs/firmware.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#define NAP_CYCLES 20000u

void log_error(enum error_code code, uint32_t data)
{
    const uint32_t count = MAILBOX[LINK_REG_CPU_ERRORS];
    MAILBOX[LINK_REG_CPU_LOG + count % LINK_CPU_LOG_WORDS] = (uint32_t)code << 24 |
                                                             (data & 0xFFFFFFu);
    MAILBOX[LINK_REG_CPU_ERRORS] = count + 1;
}

static uint32_t obey(uint32_t command, uint32_t argument, uint32_t *answer)
{
    switch (command & 0xFFFFu) {
    case LINK_CPU_PING: *answer = ~argument; return LINK_CPU_DONE;
    case LINK_CPU_SELFTEST: return self_test(argument, answer);
    case LINK_CPU_MEMTEST: return memory_test(answer);
    case LINK_CPU_EXTERNAL: return external_test(argument, answer);
    case LINK_CPU_CLEAR_LOG:
        for (unsigned i = 0; i < LINK_CPU_LOG_WORDS; i++)
            MAILBOX[LINK_REG_CPU_LOG + i] = 0;
        MAILBOX[LINK_REG_CPU_ERRORS] = 0;
        return LINK_CPU_DONE;
    case LINK_CPU_HANG: /* for tests of the watchdog, and of a host that reads registers meanwhile */
        for (;;)
            ;
    case LINK_CPU_CRASH: /* likewise: argument 0 is no instruction, others are addresses to write to */
        if (argument)
            *WORDS(argument) = 0;
        else
            __asm__ volatile("unimp");
        return LINK_CPU_DONE;
    case LINK_CPU_READ: *answer = REGISTERS[argument & 0xFFFFu]; return LINK_CPU_DONE;
    default: log_error(ERROR_COMMAND, command); return LINK_CPU_UNKNOWN;
    }
}

static void finish(uint32_t command, uint32_t status, uint32_t answer)
{
    MAILBOX[LINK_REG_CPU_STATUS] = status;
    MAILBOX[LINK_REG_CPU_ANSWER] = answer;
    MAILBOX[LINK_REG_CPU_ANSWERED] = command; /* last: the host looks here */
}

int main(void)
{
    const uint32_t cause = MAILBOX[LINK_REG_CPU_CAUSE], left = MAILBOX[LINK_REG_CPU_COMMAND];
    MAILBOX[LINK_REG_CPU_STATE] = LINK_CPU_BOOTING;
    MAILBOX[LINK_REG_CPU_VERSION] = FIRMWARE_VERSION;
    MAILBOX[LINK_REG_CPU_PROTOCOL] = LINK_CPU_PROTOCOL;
    MAILBOX[LINK_REG_CPU_VECTORS] = vector_count;
    if (cause >= LINK_CPU_CAUSE_WATCHDOG)
        log_error(ERROR_RESTART, cause);
    if (left !=
        MAILBOX
            [LINK_REG_CPU_ANSWERED]) { /* else it would bring the firmware down again and again */
        log_error(ERROR_LOST, left);
        finish(left, LINK_CPU_LOST, 0);
    }
    for (uint32_t beat = 1;; beat++) {
        WATCHDOG = 0;
        MAILBOX[LINK_REG_CPU_HEARTBEAT] = beat;
        const uint32_t command = MAILBOX[LINK_REG_CPU_COMMAND];
        if (command == MAILBOX[LINK_REG_CPU_ANSWERED]) {
            MAILBOX[LINK_REG_CPU_STATE] = LINK_CPU_READY;
            NAP = NAP_CYCLES;
            continue;
        }
        uint32_t answer = 0;
        MAILBOX[LINK_REG_CPU_STATE] = LINK_CPU_BUSY;
        const uint32_t status = obey(command, MAILBOX[LINK_REG_CPU_ARGUMENT], &answer);
        finish(command, status, answer);
    }
}
