/* fault_plan.h - what goes wrong on a cable, and when: a plan as text, docs/testing.md.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_FAULT_PLAN_H
#define ACCEL_FAULT_PLAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fault_what {
    FAULT_DROP,
    FAULT_DAMAGE,
    FAULT_DUPLICATE,
    FAULT_TRUNCATE, /* value: bytes that are left */
    FAULT_FLIP,     /* value: the bit */
    FAULT_STALL_OUT,
    FAULT_STALL_IN,
    FAULT_NAK, /* value: packets */
    FAULT_RESET,
    FAULT_UNPLUG, /* for good */
    FAULT_REPLUG, /* value: milliseconds without it */
    FAULT_HANG,
    FAULT_KINDS
};

struct fault {
    enum fault_what what;
    uint64_t at; /* packet, byte or cycle, from 1 on */
    uint32_t value;
};

enum { FAULT_PLAN_MOST = 64, FAULT_PLAN_TEXT = 4096 };

struct fault_plan {
    unsigned count;
    struct fault fault[FAULT_PLAN_MOST]; /* as written, in any order */
};

/* Reads a plan of lines, or of parts between ';'. @return 0, or -1 and `why` with line and word */
int fault_plan_parse(const char *text, struct fault_plan *plan, char *why, size_t size);
/* Writes what fault_plan_parse reads, FAULT_PLAN_TEXT bytes at most; `between` faults, "\n" or "; ". */
void fault_plan_print(const struct fault_plan *plan, const char *between,
                      char text[FAULT_PLAN_TEXT]);
/* One to five faults in the first so many packets and bytes; the same of the same seed. */
void fault_plan_random(struct fault_plan *plan, uint64_t seed, uint32_t packets, uint32_t bytes);

#ifdef __cplusplus
}
#endif
#endif
