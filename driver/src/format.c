/* format.c - weight formats: names, widths, and the one definition of what a code decodes to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

#define CODING_MASK 0xF00u
#define BITS_MASK   0x0FFu

unsigned accel_format_bits(accel_format f)
{
    return f & BITS_MASK;
}

int accel_format_valid(accel_format f)
{
    unsigned bits = f & BITS_MASK;
    switch (f & ~(accel_format)BITS_MASK) {
    case ACCEL_CODING_SIGNED:
    case ACCEL_CODING_UNSIGNED:
    case ACCEL_CODING_BIPOLAR: return bits >= 1 && bits <= 8;
    case ACCEL_CODING_TERNARY: return bits == 2;
    default: return 0;
    }
}

int accel_format_decode(accel_format f, unsigned code)
{
    if (!accel_format_valid(f))
        return 0;
    int span = 1 << (f & BITS_MASK);
    int u = (int)(code & (unsigned)(span - 1));
    switch (f & CODING_MASK) {
    case ACCEL_CODING_SIGNED: return u < span / 2 ? u : u - span;
    case ACCEL_CODING_UNSIGNED: return u;
    case ACCEL_CODING_BIPOLAR: return 2 * u - (span - 1);
    default: return u == 3 ? 0 : u - 1;
    }
}

struct format_name {
    const char *name;
    accel_format format;
};

static const struct format_name format_names[] = {
    { "int1", ACCEL_INT(1) },     { "int2", ACCEL_INT(2) },     { "int3", ACCEL_INT(3) },
    { "int4", ACCEL_INT(4) },     { "int5", ACCEL_INT(5) },     { "int6", ACCEL_INT(6) },
    { "int7", ACCEL_INT(7) },     { "int8", ACCEL_INT(8) },     { "uint1", ACCEL_UINT(1) },
    { "uint2", ACCEL_UINT(2) },   { "uint3", ACCEL_UINT(3) },   { "uint4", ACCEL_UINT(4) },
    { "uint5", ACCEL_UINT(5) },   { "uint6", ACCEL_UINT(6) },   { "uint7", ACCEL_UINT(7) },
    { "uint8", ACCEL_UINT(8) },   { "bipolar1", ACCEL_BIP(1) }, { "bipolar2", ACCEL_BIP(2) },
    { "bipolar3", ACCEL_BIP(3) }, { "bipolar4", ACCEL_BIP(4) }, { "bipolar5", ACCEL_BIP(5) },
    { "bipolar6", ACCEL_BIP(6) }, { "bipolar7", ACCEL_BIP(7) }, { "bipolar8", ACCEL_BIP(8) },
    { "ternary", ACCEL_TERNARY },
};
#define FORMAT_COUNT (sizeof format_names / sizeof format_names[0])

const char *accel_format_name(accel_format f)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++)
        if (format_names[i].format == f)
            return format_names[i].name;
    return "?";
}

int accel_format_parse(const char *name, accel_format *f)
{
    if (!name || !f)
        return ACCEL_E_ARG;
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (strcmp(format_names[i].name, name) == 0) {
            *f = format_names[i].format;
            return ACCEL_OK;
        }
    }
    return ACCEL_E_ARG;
}
