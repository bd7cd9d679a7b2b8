/* kinds.c - the table of PE kinds: id in the RTL, order of code words, recoding.
 * SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

#include <string.h>

static bool olive_native(accel_format f, unsigned d_bits)
{
    (void)d_bits;
    return f == ACCEL_OLIVE4 || f == ACCEL_OLIVE4F;
}

static bool ant_native(accel_format f, unsigned d_bits)
{
    (void)d_bits;
    return f == ACCEL_POT4 || f == ACCEL_FLINT4 || f == ACCEL_UFLINT4 || f == ACCEL_ANT4 ||
           f == ACCEL_FLOAT(2, 1);
}

static bool shiftadd_native(accel_format f, unsigned d_bits)
{
    (void)d_bits;
    return f == ACCEL_FLOAT(2, 1) || f == ACCEL_FP3 || f == ACCEL_FP4 || f == ACCEL_FLINT4;
}

/* With D of more than 24 bits every float and table that needs no codebook, else the formats of the paper. */
static bool term_native(accel_format f, unsigned d_bits)
{
    if (d_bits > 24)
        return f != ACCEL_CODEBOOK3 && f != ACCEL_CODEBOOK4;
    return f == ACCEL_FLOAT(2, 1) || f == ACCEL_FP3 || f == ACCEL_FP4 || f == ACCEL_FLINT4;
}

/* a kind a row */
/* clang-format off */
const struct pe_kind accel_kinds[] = {
    { .name = "mac", .id = 0, .step_major = true, .word_planes = 8 },
    { .name = "bitserial", .id = 1, .offset_binary = true },
    { .name = "lut", .id = 2, .offset_binary = true, .recode = lut_recode },
    { .name = "lut3", .id = 4, .offset_binary = true, .threes = true, .recode = lut3_recode },
    { .name = "lut4", .id = 3, .offset_binary = true, .recode = lut4_recode },
    { .name = "tlut", .id = 6, .step_major = true, .threes = true, .plane_num = 5, .plane_den = 3,
      .pack_chunk = tlut_pack_chunk, .refuse = tlut_refuse },
    { .name = "popcount", .id = 5, .offset_binary = true },
    { .name = "bismo", .id = 17, .offset_binary = true },
    { .name = "olive", .id = 15, .step_major = true, .word_planes = 4, .native = olive_native },
    { .name = "ant", .id = 16, .step_major = true, .word_planes = 4, .native = ant_native },
    { .name = "tclp", .id = 11, .step_major = true, .word_planes = 8, .extra_planes = 3,
      .window = 3, .pack_chunk = tactical_pack_chunk },
    { .name = "tcle", .id = 12, .step_major = true, .word_planes = 8, .extra_planes = 3,
      .window = 3, .pack_chunk = tactical_pack_chunk },
    { .name = "dpred", .id = 9, .step_major = true, .word_planes = 8 },
    { .name = "laconic", .id = 10, .step_major = true, .word_planes = 8 },
    { .name = "nm", .id = 13, .step_major = true, .word_planes = 8, .extra_planes = 2, .window = 1,
      .plane_num = 1, .plane_den = 2, .block = 4, .keeps = 2, .pack_chunk = nm_pack_chunk },
    { .name = "nm16", .id = 14, .step_major = true, .word_planes = 8, .extra_planes = 4,
      .window = 1, .plane_num = 1, .plane_den = 8, .block = 16, .pack_chunk = nm_pack_chunk },
    { .name = "term", .id = 7, .step_major = true, .word_planes = 8, .native = term_native },
    { .name = "shiftadd", .id = 8, .step_major = true, .word_planes = 4,
      .native = shiftadd_native },
};
/* clang-format on */
const size_t accel_kind_count = sizeof accel_kinds / sizeof accel_kinds[0];

const struct pe_kind *accel_find_kind(const char *name)
{
    for (size_t i = 0; i < accel_kind_count; i++)
        if (strcmp(accel_kinds[i].name, name) == 0)
            return &accel_kinds[i];
    return NULL;
}
