/* formats.c - what the packer hands each PE kind in which format: KIND FORMAT BITS CODING TABLE SELECTORS, one a line;
 * formats that travel as other ones are left out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <stdio.h>

int main(void)
{
    for (size_t k = 0; k < accel_kind_count; k++) {
        accel_format f;
        for (unsigned i = 0; (f = accel_format_at(i)) != 0; i++) {
            struct pack_wire w;
            if (pack_wire_format(&accel_kinds[k], 36, f, &w) || w.expanded || f == ACCEL_TERNARY)
                continue;
            printf("%s %s %u %u %u %u\n", accel_kinds[k].name, accel_format_name(f), w.planes,
                   w.coding, w.table, w.has_sel ? 4u : 1u);
        }
    }
    return 0;
}
