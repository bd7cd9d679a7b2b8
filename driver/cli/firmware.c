/* firmware.c - accel load, and what bringup asks the processor beside the core: docs/firmware.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "link_constants.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PATIENCE = 30, /* seconds; its watchdog is done with a firmware that hangs long before */
    CRASHES = 3,   /* after so many it will not come to an end */
};

/* Waits until the register holds the value: 1, or 0 if it does not come to that; negative if it cannot be read. */
static int await(accel_dev *dev, uint16_t word, uint32_t value, struct accel_error *err)
{
    const double start = seconds_now();
    for (uint32_t first = 0, looks = 0;; looks++) {
        uint32_t v, resets;
        int rc = accel_peek(dev, word, 1, &v, err);
        if (!rc)
            rc = accel_peek(dev, LINK_REG_CPU_RESETS, 1, &resets, err);
        if (rc)
            return rc;
        if (v == value)
            return 1;
        first = looks ? first : resets;
        if (resets - first >= CRASHES || seconds_now() - start > PATIENCE)
            return 0;
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}

int firmware_command(accel_dev *dev, uint16_t what, uint32_t argument, uint32_t *status,
                     uint32_t *answer, struct accel_error *err)
{
    uint32_t last, v[2];
    int rc = accel_peek(dev, LINK_REG_CPU_COMMAND, 1, &last, err);
    const uint32_t command = ((last >> 16) + 1) << 16 | what;
    if (!rc)
        rc = accel_poke(dev, LINK_REG_CPU_ARGUMENT, argument, err);
    if (!rc)
        rc = accel_poke(dev, LINK_REG_CPU_COMMAND, command, err);
    if (rc)
        return rc;
    rc = await(dev, LINK_REG_CPU_ANSWERED, command, err);
    if (rc < 0)
        return rc;
    if (!rc) {
        *status = FIRMWARE_SILENT;
        return ACCEL_OK;
    }
    rc = accel_peek(dev, LINK_REG_CPU_STATUS, 2, v, err);
    if (!rc) {
        *status = v[0];
        *answer = v[1];
    }
    return rc;
}

const char *firmware_status(uint32_t status)
{
    static const char *const names[] = { "done",           "unknown command", "lost: it began anew",
                                         "core in use",    "wrong results",   "the core is stuck",
                                         "nothing to test" };
    if (status == FIRMWARE_SILENT)
        return "no answer";
    return status < sizeof names / sizeof *names ? names[status] : "unknown status";
}

const char *firmware_log(uint32_t entry, char *text, size_t size)
{
    static const char *const causes[] = { "the device's reset", "the host", "its watchdog",
                                          "an illegal instruction",
                                          "an address it must not touch" };
    const uint32_t data = entry & 0xFFFFFF;
    switch (entry >> 24) {
    case 1:
        snprintf(text, size, "began anew by %s",
                 data < sizeof causes / sizeof *causes ? causes[data] : "an unknown cause");
        break;
    case 2: snprintf(text, size, "while at command %u", data); break;
    case 3:
        snprintf(text, size, "job %u of the self-test: %s", data & 0xFFFF,
                 firmware_status(data >> 16));
        break;
    case 4: snprintf(text, size, "memory at 0x%06x", data); break;
    case 5: snprintf(text, size, "unknown command %u", data); break;
    case 6: snprintf(text, size, "external memory, data lines 0x%04x", data); break;
    case 7: snprintf(text, size, "external memory, address bits 0x%08x", data << 2); break;
    case 8: snprintf(text, size, "external memory at 0x%08x", data << 2); break;
    case 9: snprintf(text, size, "external memory, a word lost bits 0x%04x", data); break;
    default: snprintf(text, size, "0x%08x", entry);
    }
    return text;
}

int read_firmware(const char *path, uint32_t **words, size_t *count)
{
    char *bytes = NULL;
    size_t size = 0, line = 1;
    int rc = read_file(path, &bytes, &size);
    if (rc)
        return rc;
    *count = 0;
    *words = malloc((size / 9 + 1) * sizeof **words);
    if (!*words) {
        free(bytes);
        return report_error(
            &(struct accel_error){ .status = ACCEL_E_NOMEM, .text = "out of memory" });
    }
    for (size_t at = 0; at < size; at += 9, line++) {
        char text[9] = { 0 };
        const size_t left = size - at;
        memcpy(text, bytes + at, left < 8 ? left : 8);
        if (left < 8 || strspn(text, "0123456789abcdefABCDEF") != 8 ||
            (left > 8 && bytes[at + 8] != '\n')) {
            fprintf(stderr,
                    "accel: %s: line %zu is not a word of eight hexadecimal digits: this is no "
                    "firmware, as make firmware writes it\n",
                    path, line);
            free(bytes);
            return exit_code(ACCEL_E_CORRUPT);
        }
        (*words)[(*count)++] = (uint32_t)strtoul(text, NULL, 16);
    }
    free(bytes);
    return EXIT_OK;
}

int load_firmware(accel_dev *dev, const char *path, const uint32_t *words, size_t count)
{
    struct accel_error err = { 0 };
    uint32_t cpu, v[2];
    if (accel_peek(dev, LINK_REG_CPU, 1, &cpu, &err))
        return report_error(&err);
    if ((cpu & 0xFFFF) != 1) {
        fprintf(stderr,
                "accel: the device has no processor to load (its gateware was built with Cpu=0)\n");
        return exit_code(ACCEL_E_UNSUPPORTED);
    }
    if (!count || count * 4 > (size_t)(cpu >> 16) * 1024) {
        fprintf(stderr, "accel: %s has %zu bytes, the processor's memory %u\n", path, count * 4,
                (cpu >> 16) * 1024);
        return exit_code(ACCEL_E_UNSUPPORTED);
    }
    if (accel_poke(dev, LINK_REG_CPU_CONTROL, 1, &err))
        return report_error(&err);
    for (size_t i = 0; i < count; i++) {
        progress("loading %zu of %zu words", i, count);
        if (accel_poke(dev, (uint16_t)(LINK_REG_CPU_RAM + i), words[i], &err))
            return report_error(&err);
    }
    for (size_t i = 0; i < count;) { /* before it runs */
        uint32_t got[LINK_PEEK_WORDS];
        const size_t n = count - i < LINK_PEEK_WORDS ? count - i : LINK_PEEK_WORDS;
        if (accel_peek(dev, (uint16_t)(LINK_REG_CPU_RAM + i), (uint16_t)n, got, &err))
            return report_error(&err);
        for (size_t j = 0; j < n; j++, i++)
            if (got[j] != words[i]) {
                progress_clear();
                fprintf(
                    stderr,
                    "accel: word %zu is 0x%08x, 0x%08x was written: the processor stays held in "
                    "reset\n",
                    i, got[j], words[i]);
                return EXIT_MISMATCH;
            }
    }
    progress_clear();
    if (accel_poke(dev, LINK_REG_CPU_CONTROL, 0, &err))
        return report_error(&err);
    const int ready = await(dev, LINK_REG_CPU_STATE, LINK_CPU_READY, &err);
    if (ready < 0 || accel_peek(dev, LINK_REG_CPU_RESETS, 2, v, &err))
        return report_error(&err);
    if (!ready) {
        fprintf(
            stderr,
            "accel: the firmware does not boot: it began anew %u times, the last time for cause %u "
            "(docs/firmware.md); the device works without it\n",
            v[0], v[1]);
        return exit_code(ACCEL_E_DEVICE);
    }
    if (accel_peek(dev, LINK_REG_CPU_VERSION, 1, v, &err))
        return report_error(&err);
    printf("%zu bytes loaded, firmware %u.%u.%u is ready\n", count * 4, v[0] >> 16 & 255,
           v[0] >> 8 & 255, v[0] & 255);
    return EXIT_OK;
}

int run_load(const struct options *o)
{
    struct accel_error err = { 0 };
    accel_dev *dev = NULL;
    uint32_t *words = NULL;
    size_t count = 0;
    if (o->file_count != 1)
        return usage_error("load: name one firmware, as make firmware makes them");
    int rc = read_firmware(o->files[0], &words, &count);
    if (!rc && accel_open_registers(first_device(o), NULL, &dev, &err))
        rc = report_error(&err);
    if (!rc)
        rc = load_firmware(dev, o->files[0], words, count);
    accel_close(dev);
    free(words);
    return rc;
}
