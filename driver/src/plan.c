/* plan.c - which weight format each tensor of a model gets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include "internal.h"
#include "quant/quant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t groups[] = { 0, 16, 32, 48, 64, 96, 128, 256 };

static bool parse_group(const char *text, size_t len, uint32_t *group)
{
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        char number[8];
        snprintf(number, sizeof number, "%u", groups[i]);
        if (strlen(number) == len && memcmp(text, number, len) == 0) {
            *group = groups[i];
            return true;
        }
    }
    return false;
}

static bool parse_outliers(const char *text, uint32_t *outliers)
{
    char *end;
    unsigned long n = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    *outliers = (uint32_t)n;
    return n >= 1 && n <= QUANT_OUTLIERS && *end == '\0';
}

/* "2:4"; digits, so that the numbers stay small */
static bool parse_pattern(const char *text, uint32_t *keep, uint32_t *block)
{
    int end = 0;
    return sscanf(text, "%2" SCNu32 ":%2" SCNu32 "%n", keep, block, &end) == 2 &&
           text[end] == '\0' && *block != 0;
}

uint32_t plan_type(struct plan_choice choice)
{
    if (choice.block)
        return quant_type_sparse(quant_type_id(choice.format, choice.group, false), choice.keep,
                                 choice.block);
    return quant_type_outliers(quant_type_id(choice.format, choice.group, false), choice.outliers);
}

int plan_parse_choice(const char *text, uint32_t fallback_group, struct plan_choice *choice,
                      struct accel_error *err)
{
    char format[32];
    struct plan_choice c = { .group = fallback_group };
    const char *plus = strchr(text, '+'), *comma = strchr(text, ',');
    const char *end = plus ? plus : comma ? comma : text + strlen(text);
    const char *colon = memchr(text, ':', (size_t)(end - text));
    size_t len = (size_t)((colon ? colon : end) - text);
    if (len >= sizeof format)
        return accel_fail(err, ACCEL_E_ARG, "\"%.40s\" is no weight format", text);
    memcpy(format, text, len);
    format[len] = '\0';
    if (accel_format_parse(format, &c.format)) {
        const char *why = accel_format_refusal(format);
        return accel_fail(err, ACCEL_E_ARG, "no format \"%s\"%s%s", format, why ? ": " : "",
                          why ? why : "");
    }
    if (colon && !parse_group(colon + 1, (size_t)(end - colon) - 1, &c.group))
        return accel_fail(err, ACCEL_E_ARG,
                          "\"%.40s\": the group is one of 16, 32, 48, 64, 96, 128, 256 and 0",
                          text);
    if (plus && !parse_outliers(plus + 1, &c.outliers))
        return accel_fail(
            err, ACCEL_E_ARG,
            "\"%.40s\": behind \"+\" stands how many of each 256 weights are outliers, 1 to %d",
            text, QUANT_OUTLIERS);
    if (comma && (!parse_pattern(comma + 1, &c.keep, &c.block) || plus || !plan_type(c)))
        return accel_fail(
            err, ACCEL_E_ARG,
            "\"%.40s\": behind \",\" stands how many weights of a block stay, " QUANT_PATTERNS
            ", and before it int2 to int8 and its group",
            text);
    if (c.format == ACCEL_CODEBOOK3 || c.format == ACCEL_CODEBOOK4)
        c.group = 0; /* a codebook belongs to a row, and so does its scale */
    if (c.outliers && !plan_type(c))
        return accel_fail(err, ACCEL_E_ARG, "\"%.40s\": %s has no outliers beside its codes", text,
                          accel_format_name(c.format));
    *choice = c;
    return ACCEL_OK;
}

const char *plan_print_choice(struct plan_choice choice, char *text)
{
    int len = snprintf(text, 32, "%s:%u", accel_format_name(choice.format), choice.group);
    if (choice.outliers)
        snprintf(text + len, 32 - (size_t)len, "+%u", choice.outliers);
    if (choice.block)
        snprintf(text + len, 32 - (size_t)len, ",%u:%u", choice.keep & 15u, choice.block & 31u);
    return text;
}

int plan_add(struct plan *plan, const char *name, size_t len, struct plan_choice choice,
             struct accel_error *err)
{
    struct plan_entry *more;
    if (len == 0 || len >= PLAN_NAME)
        return accel_fail(err, ACCEL_E_ARG, "a tensor's name has 1 to %d bytes", PLAN_NAME - 1);
    if (plan->count == PLAN_MOST)
        return accel_fail(err, ACCEL_E_ARG, "a plan has at most %d tensors", PLAN_MOST);
    /* Room grows in powers of two. */
    if ((plan->count & (plan->count - 1)) == 0) {
        size_t room = plan->count ? (size_t)plan->count * 2 : 1;
        if (!(more = realloc(plan->entries, room * sizeof *more)))
            return accel_fail(err, ACCEL_E_NOMEM, "out of memory for a plan");
        plan->entries = more;
    }
    struct plan_entry *e = &plan->entries[plan->count++];
    memset(e, 0, sizeof *e);
    memcpy(e->name, name, len);
    e->choice = choice;
    return ACCEL_OK;
}

static const struct plan_entry *find(const struct plan *plan, const char *name, size_t len)
{
    for (uint32_t i = 0; plan && i < plan->count; i++)
        if (strlen(plan->entries[i].name) == len && memcmp(plan->entries[i].name, name, len) == 0)
            return &plan->entries[i];
    return NULL;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **text, size_t *len)
{
    while (*len && blank(**text)) {
        (*text)++;
        (*len)--;
    }
    while (*len && blank((*text)[*len - 1]))
        (*len)--;
}

/* One line without its end. */
static int parse_line(const char *line, size_t len, struct plan *plan, struct accel_error *err)
{
    const char *hash = memchr(line, '#', len);
    char value[64];
    struct plan_choice c;
    if (hash)
        len = (size_t)(hash - line);
    trim(&line, &len);
    if (!len)
        return ACCEL_OK;
    const char *equals = memchr(line, '=', len);
    if (!equals)
        return accel_fail(err, ACCEL_E_ARG, "expected NAME = FORMAT:GROUP");
    const char *right = equals + 1;
    size_t name_len = (size_t)(equals - line), right_len = len - name_len - 1;
    trim(&line, &name_len);
    trim(&right, &right_len);
    if (right_len >= sizeof value || memchr(right, '\0', right_len))
        return accel_fail(err, ACCEL_E_ARG, "expected FORMAT:GROUP behind \"=\"");
    memcpy(value, right, right_len);
    value[right_len] = '\0';
    int rc = plan_parse_choice(value, 32, &c, err);
    if (rc)
        return rc;
    if (find(plan, line, name_len))
        return accel_fail(err, ACCEL_E_ARG, "a second line for %.*s", (int)name_len, line);
    return plan_add(plan, line, name_len, c, err);
}

int plan_parse(const char *text, size_t len, const char *label, struct plan *plan,
               struct accel_error *err)
{
    struct plan p = { 0 };
    struct accel_error why = { 0 };
    unsigned number = 1;
    for (size_t at = 0; at < len; number++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end ? (size_t)(end - (text + at)) : len - at;
        int rc = parse_line(text + at, line, &p, &why);
        if (rc) {
            plan_free(&p);
            return accel_fail(err, rc == ACCEL_E_NOMEM ? rc : ACCEL_E_CORRUPT,
                              "%.80s: line %u: %.150s", label, number, why.text);
        }
        at += line + 1;
    }
    if (!p.count)
        return accel_fail(err, ACCEL_E_CORRUPT, "%.80s: no line with a tensor's format", label);
    *plan = p;
    return ACCEL_OK;
}

void plan_free(struct plan *plan)
{
    free(plan->entries);
    *plan = (struct plan){ 0 };
}

void plan_find(const struct plan *plan, const char *name, size_t len, struct plan_choice *choice)
{
    const struct plan_entry *e = find(plan, name, len);
    if (!e)
        e = find(plan, "*", 1);
    if (e)
        *choice = e->choice;
}

double plan_bits(struct plan_choice choice, uint64_t rows, uint64_t cols)
{
    uint64_t bytes = 0;
    quant_row_bytes(plan_type(choice), cols, &bytes);
    return (double)rows * (double)bytes * 8;
}

int plan_quantize(struct plan_choice choice, uint32_t rows, uint32_t cols, const float *w,
                  accel_matrix **mat, struct accel_error *err)
{
    struct quant_tensor t = { 0 };
    int rc = quant_matrix(plan_type(choice), QUANT_RTN, rows, cols, w, NULL, 1, &t, err);
    if (!rc)
        rc = quant_matrix_load(t.type, t.data, t.size, rows, cols, mat, err);
    quant_tensor_free(&t);
    return rc;
}
