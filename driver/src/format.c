/* format.c - weight formats: names, widths, and the one definition of what a code decodes to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

#define CODING_MASK 0xF00u
#define BITS_MASK   0x0FFu
#define ID_SHIFT    16 /* exponent bits of a float, number of a table */
#define VICTIM      8u /* OliVe: this column is 0, the other one of its pair an outlier */

unsigned accel_format_bits(accel_format f)
{
    return f & BITS_MASK;
}

/* ---- tables ---- */

static const int8_t fp3_k[8] = { 0, 1, 2, 4, 0, -1, -2, -4 };
static const int8_t fp3_special[4] = { 3, -3, 6, -6 };
static const int8_t fp4_k[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
static const int8_t fp4_special[4] = { 10, -10, 16, -16 };
static const int8_t pot4_k[16] = { 0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64 };
static const int8_t flint4_k[16] = { 0, 1, 2, 3, 16, 8, 4, 6, 0, -1, -2, -3, -16, -8, -4, -6 };
static const int8_t uflint4_k[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 64, 32, 16, 24, 8, 10, 12, 14 };
static const int8_t olive4_k[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 0, -7, -6, -5, -4, -3, -2, -1 };

static const accel_format ant4_types[4] = { ACCEL_INT(4), ACCEL_POT4, ACCEL_FLINT4,
                                            ACCEL_FLOAT(2, 1) };

/* In the order of their numbers. k is what a code decodes to by itself; NULL: nothing, it never
 * does. */
static const struct {
    uint8_t bits;
    const int8_t *k;
} tables[] = {
    { 3, fp3_k }, { 4, fp4_k },    { 4, pot4_k },   { 4, flint4_k }, { 4, uflint4_k },
    { 4, NULL },  { 4, olive4_k }, { 4, flint4_k }, { 3, NULL },     { 4, NULL },
};
#define TABLE_COUNT (sizeof tables / sizeof tables[0])

/* ---- decoding ---- */

int accel_format_valid(accel_format f)
{
    unsigned bits = f & BITS_MASK, id = f >> ID_SHIFT;
    switch (f & 0xFF00u) {
    case ACCEL_CODING_SIGNED:
    case ACCEL_CODING_UNSIGNED:
    case ACCEL_CODING_BIPOLAR: return id == 0 && bits >= 1 && bits <= 8;
    case ACCEL_CODING_TERNARY: return id == 0 && bits == 2;
    case ACCEL_CODING_FLOAT: return id >= 1 && id <= 4 && bits >= 3 && bits <= 8 && bits > id;
    case ACCEL_CODING_TABLE: return id < TABLE_COUNT && bits == tables[id].bits;
    default: return 0;
    }
}

/* Sign, exponent, mantissa; a zero exponent is subnormal. k counts in units of the least value. */
static int decode_float(accel_format f, unsigned u)
{
    unsigned mantissa_bits = (f & BITS_MASK) - 1 - (f >> ID_SHIFT);
    unsigned sign = u >> ((f & BITS_MASK) - 1), magnitude = u & ~(sign << ((f & BITS_MASK) - 1));
    unsigned e = magnitude >> mantissa_bits, one = 1u << mantissa_bits;
    unsigned k = e ? (one | (magnitude & (one - 1))) << (e - 1) : magnitude;
    if (f == ACCEL_FLOAT(4, 3) && magnitude == 0x7F)
        return 0; /* NaN */
    return sign ? -(int)k : (int)k;
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
    case ACCEL_CODING_TERNARY: return u == 3 ? 0 : u - 1;
    case ACCEL_CODING_FLOAT: return decode_float(f, (unsigned)u);
    default: return tables[f >> ID_SHIFT].k ? tables[f >> ID_SHIFT].k[u] : 0;
    }
}

/* OliVe's abfloat E2M1: (2 + m) << (e + bias). Codes 0 and 8 do not exist. */
static int decode_outlier(unsigned u, unsigned bias)
{
    unsigned magnitude = u & 7u;
    int k = magnitude ? (int)((2u + (magnitude & 1u)) << ((magnitude >> 1) + bias)) : 0;
    return u & 8u ? -k : k;
}

int accel_format_decode_in(accel_format f, unsigned code, unsigned sel, unsigned pair,
                           const int8_t *codebook)
{
    switch (f) {
    case ACCEL_FP3: return (code & 7u) == 4 ? fp3_special[sel & 3u] : accel_format_decode(f, code);
    case ACCEL_FP4: return (code & 15u) == 8 ? fp4_special[sel & 3u] : accel_format_decode(f, code);
    case ACCEL_ANT4: return accel_format_decode(ant4_types[sel & 3u], code);
    case ACCEL_OLIVE4:
    case ACCEL_OLIVE4F:
        if ((code & 15u) != VICTIM && (pair & 15u) == VICTIM)
            return decode_outlier(code & 15u, f == ACCEL_OLIVE4 ? 2 : 3);
        return accel_format_decode(f, code);
    case ACCEL_CODEBOOK3: return codebook ? codebook[code & 7u] : 0;
    case ACCEL_CODEBOOK4: return codebook ? codebook[code & 15u] : 0;
    default: return accel_format_decode(f, code);
    }
}

int accel_format_has_sel(accel_format f)
{
    return f == ACCEL_FP3 || f == ACCEL_FP4 || f == ACCEL_ANT4;
}

/* ---- names ---- */

struct format_name {
    const char *name;
    accel_format format;
};

static const struct format_name format_names[] = {
    { "int1", ACCEL_INT(1) },
    { "int2", ACCEL_INT(2) },
    { "int3", ACCEL_INT(3) },
    { "int4", ACCEL_INT(4) },
    { "int5", ACCEL_INT(5) },
    { "int6", ACCEL_INT(6) },
    { "int7", ACCEL_INT(7) },
    { "int8", ACCEL_INT(8) },
    { "uint1", ACCEL_UINT(1) },
    { "uint2", ACCEL_UINT(2) },
    { "uint3", ACCEL_UINT(3) },
    { "uint4", ACCEL_UINT(4) },
    { "uint5", ACCEL_UINT(5) },
    { "uint6", ACCEL_UINT(6) },
    { "uint7", ACCEL_UINT(7) },
    { "uint8", ACCEL_UINT(8) },
    { "bipolar1", ACCEL_BIP(1) },
    { "bipolar2", ACCEL_BIP(2) },
    { "bipolar3", ACCEL_BIP(3) },
    { "bipolar4", ACCEL_BIP(4) },
    { "bipolar5", ACCEL_BIP(5) },
    { "bipolar6", ACCEL_BIP(6) },
    { "bipolar7", ACCEL_BIP(7) },
    { "bipolar8", ACCEL_BIP(8) },
    { "ternary", ACCEL_TERNARY },
    { "e1m1", ACCEL_FLOAT(1, 1) },
    { "e1m2", ACCEL_FLOAT(1, 2) },
    { "e1m3", ACCEL_FLOAT(1, 3) },
    { "e1m4", ACCEL_FLOAT(1, 4) },
    { "e1m5", ACCEL_FLOAT(1, 5) },
    { "e1m6", ACCEL_FLOAT(1, 6) },
    { "e2m0", ACCEL_FLOAT(2, 0) },
    { "e2m1", ACCEL_FLOAT(2, 1) },
    { "e2m2", ACCEL_FLOAT(2, 2) },
    { "e2m3", ACCEL_FLOAT(2, 3) },
    { "e2m4", ACCEL_FLOAT(2, 4) },
    { "e2m5", ACCEL_FLOAT(2, 5) },
    { "e3m0", ACCEL_FLOAT(3, 0) },
    { "e3m1", ACCEL_FLOAT(3, 1) },
    { "e3m2", ACCEL_FLOAT(3, 2) },
    { "e3m3", ACCEL_FLOAT(3, 3) },
    { "e3m4", ACCEL_FLOAT(3, 4) },
    { "e4m0", ACCEL_FLOAT(4, 0) },
    { "e4m1", ACCEL_FLOAT(4, 1) },
    { "e4m2", ACCEL_FLOAT(4, 2) },
    { "e4m3", ACCEL_FLOAT(4, 3) },
    { "fp3", ACCEL_FP3 },
    { "fp4", ACCEL_FP4 },
    { "pot4", ACCEL_POT4 },
    { "flint4", ACCEL_FLINT4 },
    { "uflint4", ACCEL_UFLINT4 },
    { "ant4", ACCEL_ANT4 },
    { "olive4", ACCEL_OLIVE4 },
    { "olive4f", ACCEL_OLIVE4F },
    { "codebook3", ACCEL_CODEBOOK3 },
    { "codebook4", ACCEL_CODEBOOK4 },
    /* other names; accel_format_name gives the first of a format */
    { "mxfp4", ACCEL_FLOAT(2, 1) },
    { "mxfp6e2m3", ACCEL_FLOAT(2, 3) },
    { "mxfp6e3m2", ACCEL_FLOAT(3, 2) },
    { "fp6", ACCEL_FLOAT(3, 2) },
    { "mxfp8", ACCEL_FLOAT(4, 3) },
    { "mxfp8e4m3", ACCEL_FLOAT(4, 3) },
    { "mxint8", ACCEL_INT(8) },
};
#define NAME_COUNT (sizeof format_names / sizeof format_names[0])

#define FORMAT_COUNT (NAME_COUNT - 7) /* without the other names */

accel_format accel_format_at(unsigned i)
{
    return i < FORMAT_COUNT ? format_names[i].format : 0;
}

const char *accel_format_name(accel_format f)
{
    for (size_t i = 0; i < NAME_COUNT; i++)
        if (format_names[i].format == f)
            return format_names[i].name;
    return "?";
}

int accel_format_parse(const char *name, accel_format *f)
{
    if (!name || !f)
        return ACCEL_E_ARG;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (strcmp(format_names[i].name, name) == 0) {
            *f = format_names[i].format;
            return ACCEL_OK;
        }
    }
    return ACCEL_E_ARG;
}

/* ---- refusals ---- */

static const char e5_range[] =
    "exponents of 5 and more bits span so many octaves that k would need 32 bits and more; "
    "convert to e4m3 or int8";
static const char e5m2_range[] =
    "its values reach from 2^-16 to 57344, k would need 33 bits where 19 are the most; convert to "
    "e4m3 or int8";
static const char abfloat8_range[] =
    "its 8-bit outliers need k of more than 30 bits where 19 are the most; use olive4, or int8";
static const char not_one[] = "it names two formats; use e2m3 or e3m2";
static const char fp8[] = "it names two formats; use e4m3 (e5m2 has too wide a range)";
static const char no_low_bits[] = "it is no low-bit weight format; quantize it to one of them";
static const char nf4[] =
    "its 16 values are fixed; use codebook4, which fits 16 values to each row";
static const char no_exponent[] = "a float without exponent bits is an integer; use int3 .. int8";
static const char float_width[] = "floats have 3 to 8 bits in all, the sign included";

static const struct {
    const char *name, *why;
} refusals[] = {
    { "e5m2", e5m2_range },
    { "mxfp8e5m2", e5m2_range },
    { "abfloat8", abfloat8_range },
    { "olive8", abfloat8_range },
    { "mxfp6", not_one },
    { "fp8", fp8 },
    { "nf4", nf4 },
    { "fp16", no_low_bits },
    { "f16", no_low_bits },
    { "bf16", no_low_bits },
    { "fp32", no_low_bits },
    { "f32", no_low_bits },
};

const char *accel_format_refusal(const char *name)
{
    accel_format f;
    if (!name || accel_format_parse(name, &f) == ACCEL_OK)
        return NULL;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (strcmp(refusals[i].name, name) == 0)
            return refusals[i].why;
    /* any other eXmY */
    if (name[0] != 'e' || name[1] < '0' || name[1] > '9' || name[2] != 'm' || name[3] < '0' ||
        name[3] > '9' || name[4] != '\0')
        return NULL;
    return name[1] == '0' ? no_exponent : name[1] >= '5' ? e5_range : float_width;
}
