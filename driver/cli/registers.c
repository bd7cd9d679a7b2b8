/* registers.c - accel peek, poke and reset: the registers of a board, docs/link.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "link_constants.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTERS = 16 };

static const struct reg {
    uint16_t word;
    const char *name;
} regs[] = {
    { 0, "core" },
    { 1, "core_version" },
    { 2, "kind" },
    { 3, "rows" },
    { 4, "lanes" },
    { 5, "scale_units" },
    { 6, "max_n" },
    { 7, "x_depth" },
    { 8, "w_depth" },
    { 9, "core_state" },
    { 10, "d_bits" },
    { 11, "o_depth" },
    { 12, "left_out" },
    { COUNTERS + 0, "cycles" },
    { COUNTERS + 2, "array_beats" },
    { COUNTERS + 4, "weight_beats" },
    { COUNTERS + 6, "header_beats" },
    { COUNTERS + 8, "act_beats" },
    { COUNTERS + 10, "result_beats" },
    { COUNTERS + 12, "stall_weights" },
    { COUNTERS + 14, "stall_acts" },
    { COUNTERS + 16, "stall_results" },
    { COUNTERS + 18, "jobs" },
    { LINK_REG_MAGIC, "magic" },
    { LINK_REG_PROTOCOL, "protocol" },
    { LINK_REG_SESSION, "session" },
    { LINK_REG_SCRATCH, "scratch" },
    { LINK_REG_CLOCK, "clock" },
    { LINK_REG_BUILD, "build" },
    { LINK_REG_RESULT, "result" },
    { LINK_REG_ROOM + LINK_STREAM_COMMAND, "room_command" },
    { LINK_REG_ROOM + LINK_STREAM_X, "room_x" },
    { LINK_REG_ROOM + LINK_STREAM_W, "room_w" },
    { LINK_REG_ROOM + LINK_STREAM_H, "room_h" },
    { LINK_REG_ROOM + LINK_STREAM_O, "room_o" },
    { LINK_REG_GOOD, "good" },
    { LINK_REG_BAD_HEADER, "bad_header" },
    { LINK_REG_BAD_CRC, "bad_crc" },
    { LINK_REG_OUT_OF_ORDER, "out_of_order" },
    { LINK_REG_NO_ROOM, "no_room" },
    { LINK_REG_SENT, "sent" },
    { LINK_REG_REWOUND, "rewound" },
    { LINK_REG_CPU, "cpu" },
    { LINK_REG_CPU_CONTROL, "cpu_control" },
    { LINK_REG_CPU_RESETS, "cpu_resets" },
    { LINK_REG_CPU_CAUSE, "cpu_cause" },
    { LINK_REG_CPU_WHERE, "cpu_where" },
    { LINK_REG_CPU_VERSION, "cpu_version" },
    { LINK_REG_CPU_STATE, "cpu_state" },
    { LINK_REG_CPU_HEARTBEAT, "cpu_heartbeat" },
    { LINK_REG_CPU_COMMAND, "cpu_command" },
    { LINK_REG_CPU_ARGUMENT, "cpu_argument" },
    { LINK_REG_CPU_ANSWERED, "cpu_answered" },
    { LINK_REG_CPU_STATUS, "cpu_status" },
    { LINK_REG_CPU_ANSWER, "cpu_answer" },
    { LINK_REG_CPU_ERRORS, "cpu_errors" },
    { LINK_REG_CPU_PROTOCOL, "cpu_protocol" },
    { LINK_REG_CPU_VECTORS, "cpu_vectors" },
};
enum { REGS = sizeof regs / sizeof *regs };

static const char *name_of(uint16_t word)
{
    for (size_t i = 0; i < REGS; i++)
        if (regs[i].word == word)
            return regs[i].name;
    return "";
}

static bool get_number(const char *s, uint32_t most, uint32_t *v)
{
    char *end;
    errno = 0;
    const unsigned long long n = strtoull(s, &end, 0);
    if (!isdigit((unsigned char)*s) || *end || errno || n > most)
        return false;
    *v = (uint32_t)n;
    return true;
}

/* A register by name or number, len bytes of s. */
static bool get_word(const char *s, size_t len, uint16_t *word)
{
    char text[24];
    uint32_t n;
    if (len == 0 || len >= sizeof text)
        return false;
    memcpy(text, s, len);
    text[len] = '\0';
    for (size_t i = 0; i < REGS; i++)
        if (strcmp(text, regs[i].name) == 0) {
            *word = regs[i].word;
            return true;
        }
    if (!get_number(text, UINT16_MAX, &n))
        return false;
    *word = (uint16_t)n;
    return true;
}

static int unknown(const char *arg)
{
    fprintf(stderr, "accel: \"%.40s\" is no register; by number, or one of:", arg);
    for (size_t i = 0; i < REGS; i++)
        fprintf(stderr, " %s", regs[i].name);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

static int open_registers(const struct options *o, accel_dev **dev)
{
    struct accel_error err = { 0 };
    return accel_open_registers(first_device(o), NULL, dev, &err) ? report_error(&err) : EXIT_OK;
}

static int show(accel_dev *dev, struct json *j, bool json, uint16_t word)
{
    struct accel_error err = { 0 };
    uint32_t v;
    if (accel_peek(dev, word, 1, &v, &err))
        return report_error(&err);
    if (json) {
        json_object(j, NULL);
        json_int(j, "register", word);
        json_string(j, "name", name_of(word));
        json_int(j, "value", v);
        json_end_object(j);
    } else {
        printf("%5u  %-14s 0x%08x  %u\n", word, name_of(word), v, v);
    }
    return EXIT_OK;
}

int run_peek(const struct options *o)
{
    struct json j = { .out = stdout };
    accel_dev *dev;
    uint16_t word = 0;
    for (unsigned i = 0; i < o->file_count; i++)
        if (!get_word(o->files[i], strlen(o->files[i]), &word))
            return unknown(o->files[i]);
    int rc = open_registers(o, &dev);
    if (rc)
        return rc;
    if (o->json) {
        json_object(&j, NULL);
        json_array(&j, "registers");
    }
    for (unsigned i = 0; i < o->file_count && !rc; i++) {
        get_word(o->files[i], strlen(o->files[i]), &word);
        rc = show(dev, &j, o->json, word);
    }
    for (size_t i = 0; i < REGS && !o->file_count && !rc; i++)
        rc = show(dev, &j, o->json, regs[i].word);
    if (o->json) {
        json_end_array(&j);
        json_end_object(&j);
    }
    accel_close(dev);
    return rc;
}

int run_poke(const struct options *o)
{
    struct accel_error err = { 0 };
    accel_dev *dev;
    uint16_t word[MAX_LIST];
    uint32_t value[MAX_LIST];
    if (!o->file_count)
        return usage_error("poke: say what to write, as in scratch=0x1234");
    for (unsigned i = 0; i < o->file_count; i++) {
        const char *arg = o->files[i], *equals = strchr(arg, '=');
        if (!equals || !get_word(arg, (size_t)(equals - arg), &word[i]))
            return equals ? unknown(arg) : usage_error("poke: \"%.40s\" is no REGISTER=VALUE", arg);
        if (!get_number(equals + 1, UINT32_MAX, &value[i]))
            return usage_error("poke: \"%.40s\": expected a value of 32 bits", arg);
    }
    int rc = open_registers(o, &dev);
    if (rc)
        return rc;
    for (unsigned i = 0; i < o->file_count && !rc; i++)
        if (accel_poke(dev, word[i], value[i], &err))
            rc = report_error(&err);
    accel_close(dev);
    return rc;
}

int run_reset(const struct options *o)
{
    struct accel_error err = { 0 };
    accel_dev *dev;
    int rc = open_registers(o, &dev);
    if (rc)
        return rc;
    if (accel_reset(dev, &err))
        rc = report_error(&err);
    accel_close(dev);
    return rc;
}
