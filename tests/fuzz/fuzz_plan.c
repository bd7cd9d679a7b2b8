/* fuzz_plan.c - fault plans: any text is read or refused with its line, and what was read is printed as the same plan.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fault_plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[64] = "", text[FAULT_PLAN_TEXT], again[FAULT_PLAN_TEXT];
    struct fault_plan plan, read;
    char *input = malloc(size + 1);
    if (!input)
        return 0;
    if (size)
        memcpy(input, data, size);
    input[size] = '\0';
    const int rc = fault_plan_parse(input, &plan, why, sizeof why);
    free(input);
    if (rc) {
        if (strncmp(why, "line ", 5) != 0)
            abort();
        return 0;
    }
    fault_plan_print(&plan, "\n", text);
    if (fault_plan_parse(text, &read, why, sizeof why) || read.count != plan.count)
        abort();
    fault_plan_print(&read, "\n", again);
    if (strcmp(text, again) != 0)
        abort();
    return 0;
}
