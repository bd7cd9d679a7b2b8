/* update.c - accel update: gateware by openFPGALoader, firmware as accel load does, docs/boards.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "link_constants.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum {
    PATIENCE = 15, /* seconds until a board that was programmed has to answer */
    HEADER = 1024, /* bytes in which a bitstream says for which FPGA it is */
    TOOL_MISSING = 127,
};

/* What synth/boards.mk makes bitstreams for; a name goes on with -usb, -sdram. */
static const struct board {
    const char *name;
    const char *loader; /* as openFPGALoader calls it; NULL: it does not know the board */
    const char *part, *package;
    uint32_t idcode;
} boards[] = {
    { "ulx3s-85f", "ulx3s", "LFE5U-85F", "CABGA381", 0x41113043 },
    { "ulx3s-25f", "ulx3s", "LFE5U-25F", "CABGA381", 0x41111043 },
    { "orangecrab", "orangeCrab", "LFE5U-25F", "CSFBGA285", 0x41111043 },
    { "cynthion", NULL, "LFE5U-12F", "CABGA256", 0x21111043 },
};
enum { BOARDS = sizeof boards / sizeof *boards };

static const struct board *find_board(const char *name)
{
    for (size_t i = 0; i < BOARDS; i++) {
        const size_t len = strlen(boards[i].name);
        if (strncmp(name, boards[i].name, len) == 0 && (name[len] == '\0' || name[len] == '-'))
            return &boards[i];
    }
    return NULL;
}

/* The place behind the bytes `what`, or NULL. */
static const char *behind(const char *bytes, size_t size, const char *what, size_t len)
{
    for (size_t i = 0; i + len <= size; i++)
        if (memcmp(bytes + i, what, len) == 0)
            return bytes + i + len;
    return NULL;
}

/* Why the file is not for the board, "" if nothing in it speaks against that. */
static void judge(const char *bytes, size_t size, const struct board *b, char *why, size_t room)
{
    static const char preamble[] = { '\xff', '\xff', '\xbd', '\xb3' },
                      verify[] = { '\xe2', 0, 0, 0 };
    const size_t head = size < HEADER ? size : HEADER;
    const char *part = behind(bytes, head, "Part: ", 6);
    const char *code = behind(bytes, head, preamble, sizeof preamble);
    why[0] = '\0';
    if (!code) {
        snprintf(why, room, "it is no bitstream of an ECP5: its preamble is missing");
        return;
    }
    code = behind(code, head - (size_t)(code - bytes), verify, sizeof verify);
    if (!code || code + 4 > bytes + head) {
        snprintf(why, room, "it does not say for which FPGA it is");
        return;
    }
    uint32_t id = 0;
    for (int i = 0; i < 4; i++)
        id = id << 8 | (unsigned char)code[i];
    if (id != b->idcode) {
        snprintf(why, room, "it is for an FPGA with IDCODE 0x%08x, %s has 0x%08x", id, b->name,
                 b->idcode);
        return;
    }
    /* Boards of one FPGA differ in their packages, which only this comment names. */
    char text[40] = { 0 };
    if (!part) {
        snprintf(why, room, "it names no package, so it may be for another board of this FPGA");
        return;
    }
    const size_t left = head - (size_t)(part - bytes);
    memcpy(text, part, left < sizeof text - 1 ? left : sizeof text - 1);
    text[strcspn(text, "\xff\n")] = '\0';
    if (!strstr(text, b->part) || !strstr(text, b->package))
        snprintf(why, room, "it is for %s, %s has %s in package %s", text, b->name, b->part,
                 b->package);
}

/* The versions that the device reports. */
static int show_versions(accel_dev *dev, const char *when)
{
    struct accel_error err = { 0 };
    uint32_t core[5], link[LINK_REG_BUILD - LINK_REG_MAGIC + 1], cpu, firmware = 0;
    int rc = accel_peek(dev, 0, 5, core, &err);
    if (!rc)
        rc = accel_peek(dev, LINK_REG_MAGIC, sizeof link / sizeof *link, link, &err);
    if (!rc)
        rc = accel_peek(dev, LINK_REG_CPU, 1, &cpu, &err);
    if (!rc && (cpu & 0xFFFF) == 1)
        rc = accel_peek(dev, LINK_REG_CPU_VERSION, 1, &firmware, &err);
    if (rc)
        return report_error(&err);
    printf("%-7s core version %u, kind %u, %u x %u; protocol %u to %u; %.6g MHz; build %u; ", when,
           core[1], core[2], core[3], core[4], link[1] >> 16, link[1] & 0xFFFF, link[4] / 1e6,
           link[5]);
    if ((cpu & 0xFFFF) != 1)
        printf("no processor\n");
    else if (!firmware)
        printf("firmware that has not booted\n");
    else
        printf("firmware %u.%u.%u\n", firmware >> 16 & 255, firmware >> 8 & 255, firmware & 255);
    return EXIT_OK;
}

static int program(const struct board *b, const char *file)
{
    extern char **environ;
    char *const argv[] = { (char[]){ "openFPGALoader" }, (char[]){ "--board" }, (char *)b->loader,
                           (char *)file, NULL };
    pid_t child;
    int status;
    fflush(stdout);
    int rc = posix_spawnp(&child, argv[0], NULL, NULL, argv, environ);
    while (!rc && waitpid(child, &status, 0) < 0)
        rc = errno == EINTR ? 0 : errno;
    if (rc == ENOENT || (!rc && WIFEXITED(status) && WEXITSTATUS(status) == TOOL_MISSING)) {
        fprintf(stderr, "accel: openFPGALoader is not there (Debian: apt install openfpgaloader); "
                        "nothing was changed\n");
        return exit_code(ACCEL_E_IO);
    }
    if (rc) {
        fprintf(stderr, "accel: openFPGALoader: %s\n", strerror(rc));
        return exit_code(ACCEL_E_IO);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        fprintf(stderr,
                "accel: openFPGALoader ended with %s %d, its own lines say why: the board may be "
                "without gateware now\n",
                WIFEXITED(status) ? "status" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        return exit_code(ACCEL_E_DEVICE);
    }
    return EXIT_OK;
}

/* A board that was programmed comes back after a while, one at USB as a new device. */
static int open_again(const char *uri, accel_dev **dev)
{
    struct accel_error err = { 0 };
    const double start = seconds_now();
    for (;;) {
        const int rc = accel_open_registers(uri, NULL, dev, &err);
        if (!rc)
            return EXIT_OK;
        if (seconds_now() - start > PATIENCE)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    }
    fprintf(stderr,
            "accel: the board was programmed, but does not answer as %s: if its new gateware has "
            "another link, use that one\n",
            uri);
    return report_error(&err);
}

/* Whether the gateware may be loaded; says why not. */
static int check(const struct options *o, const struct board **b)
{
    char why[160], *bytes = NULL;
    size_t size = 0;
    if (!o->board) {
        fprintf(stderr,
                "accel: the device does not say which board it is on, so --board has to; one "
                "of:");
        for (size_t i = 0; i < BOARDS; i++)
            fprintf(stderr, " %s", boards[i].name);
        fputc('\n', stderr);
        return EXIT_USAGE;
    }
    *b = find_board(o->board);
    if (!*b)
        return usage_error("update: no board \"%.40s\"; docs/boards.md lists them", o->board);
    int rc = read_file(o->gateware, &bytes, &size);
    if (rc)
        return rc;
    judge(bytes, size, *b, why, sizeof why);
    free(bytes);
    if (!(*b)->loader) {
        fprintf(stderr,
                "accel: openFPGALoader does not know %s; its own tool loads the file: apollo "
                "configure %s\n",
                (*b)->name, o->gateware);
        return exit_code(ACCEL_E_UNSUPPORTED);
    }
    if (why[0] && !o->force) {
        fprintf(stderr, "accel: %s is not loaded: %s; --force loads it all the same\n", o->gateware,
                why);
        return exit_code(ACCEL_E_MISMATCH);
    }
    if (why[0])
        printf("forced: %s: %s\n", o->gateware, why);
    return EXIT_OK;
}

int run_update(const struct options *o)
{
    struct accel_error err = { 0 };
    const struct board *b = NULL;
    accel_dev *dev = NULL;
    uint32_t *words = NULL;
    size_t count = 0;
    int rc = EXIT_OK;
    if (!o->gateware && !o->firmware)
        return usage_error("update: name what to put in: --gateware FILE, --firmware FILE or both");
    if (o->firmware)
        rc = read_firmware(o->firmware, &words, &count);
    if (!rc && o->gateware)
        rc = check(o, &b);
    if (rc)
        goto out;
    if (accel_open_registers(first_device(o), NULL, &dev, &err)) {
        const bool silent = err.status != ACCEL_E_UNSUPPORTED && err.status != ACCEL_E_URI;
        if (!b || !o->force || !silent) {
            rc = report_error(&err);
            if (b && silent)
                fprintf(stderr,
                        "accel: nothing was changed; --force programs a board that is silent\n");
            goto out;
        }
        printf("now:    no answer (%s)\n", err.text);
    } else if ((rc = show_versions(dev, "now:")) != 0) {
        goto out;
    }
    if (b)
        printf("will:   openFPGALoader --board %s %s\n", b->loader, o->gateware);
    if (o->firmware)
        printf("will:   load %s, %zu bytes, which stay until reset or power off\n", o->firmware,
               count * 4);
    if (b) {
        accel_close(dev); /* the programmer may need the port */
        dev = NULL;
        rc = program(b, o->gateware);
        if (!rc)
            rc = open_again(first_device(o), &dev);
    }
    if (!rc && o->firmware)
        rc = load_firmware(dev, o->firmware, words, count);
    if (!rc)
        rc = show_versions(dev, "after:");
out:
    accel_close(dev);
    free(words);
    return rc;
}
