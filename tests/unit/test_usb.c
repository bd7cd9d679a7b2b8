/* test_usb.c - the usb: backend and the real libusb against a board in software behind umockdev's usbfs.
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../faults/mock_usbfs.h"
#include "soft_board.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NODE   "/dev/bus/usb/001/002"
#define SYSFS  "/sys/devices/usb1/1-1"
#define SERIAL "B7"
#define OTHER  "C8" /* serial number of another board */
enum { PENDING = 1 << 16 };

/* A device behind its node; what it does runs on umockdev's thread, under the lock of usbfs. */
struct node {
    const char *serial;
    struct mock_usbfs *usbfs;
    struct soft_board board;
    uint8_t in[PENDING]; /* bytes for the host that no transfer has taken */
    size_t in_count;
    GQueue waiting;                          /* IN transfers without data */
    int claim_error;                         /* of CLAIMINTERFACE; 0: it succeeds */
    unsigned packet;                         /* bytes of an IN transfer at most */
    size_t memory, most_memory, used_memory; /* of the kernel's for transfers; memory 0: enough */
    unsigned refused;                        /* transfers, for want of it */
    unsigned stall_in, stall_out;            /* in the so-many-th transfer from now; 0: not */
    unsigned resets, halts_cleared, stream_resets, aborts;
    uint64_t pull_at, mute_at; /* as in test_serial.c */
    bool pulled, mute, reset_helps, stream_reset_helps;
    bool old, deaf; /* refuses INFO; endpoint 0 does not answer */
};
static struct node node = { .serial = SERIAL }, other = { .serial = OTHER };

static void lock(void)
{
    mock_lock(node.usbfs);
}

static void unlock(void)
{
    mock_unlock(node.usbfs);
}

static void finish(struct node *k, struct mock_urb *u, int status, size_t count)
{
    k->used_memory -= u->length;
    mock_end(k->usbfs, u, status, count);
}

static bool counts_down(unsigned *n)
{
    return *n && --*n == 0;
}

static void feed(struct node *k)
{
    while (k->pulled && !g_queue_is_empty(&k->waiting))
        finish(k, g_queue_pop_head(&k->waiting), -ESHUTDOWN, 0);
    while (!g_queue_is_empty(&k->waiting)) {
        uint8_t bytes[512];
        size_t n;
        while (!k->pulled && k->in_count + sizeof bytes <= PENDING &&
               (n = board_output(&k->board, bytes, sizeof bytes)) != 0)
            if (!k->mute) {
                memcpy(k->in + k->in_count, bytes, n);
                k->in_count += n;
            }
        if (!k->in_count)
            return;
        struct mock_urb *u = g_queue_pop_head(&k->waiting);
        if (counts_down(&k->stall_in)) {
            finish(k, u, -EPIPE, 0);
            continue;
        }
        n = MIN(k->in_count, u->length);
        n = MIN(n, k->packet);
        memcpy(u->bytes, k->in, n);
        memmove(k->in, k->in + n, k->in_count -= n);
        finish(k, u, 0, n);
    }
}

/* What docs/link.md says of the vendor's requests. Returns bytes of the answer, or negative: refused. */
static int vendor(struct node *k, const uint8_t *setup, uint8_t *data)
{
    uint32_t *registers = k->board.device.registers;
    const unsigned word = link_get16(setup + 4);
    const uint32_t state[] = { 1u << 1 | 1u << 4, 7, 9 };
    switch (setup[0] * 256u + setup[1]) {
    case 0xC000 | LINK_USB_INFO:
        link_put32(data, registers[LINK_REG_MAGIC]);
        link_put32(data + 4, registers[LINK_REG_PROTOCOL]);
        link_put32(data + 8, registers[LINK_REG_CLOCK]);
        link_put32(data + 12, registers[LINK_REG_BUILD]);
        return k->old ? -1 : 16;
    case 0xC000 | LINK_USB_STATUS:
        for (size_t i = 0; i < 3; i++)
            link_put32(data + 4 * i, state[i]);
        return 12;
    case 0xC000 | LINK_USB_PEEK: link_put32(data, word < LINK_REGS ? registers[word] : 0); return 4;
    case 0x4000 | LINK_USB_POKE:
        if (word == LINK_REG_SCRATCH)
            registers[word] = link_get32(data);
        return 4;
    case 0x4000 | LINK_USB_RESET_STREAM:
        k->in_count = 0;
        k->stream_resets++;
        k->mute = k->mute && !k->stream_reset_helps;
        return 0;
    case 0x4000 | LINK_USB_ABORT:
        board_power_on(&k->board);
        k->in_count = 0;
        k->aborts++;
        return 0;
    default: return -1;
    }
}

/* Control transfers: the vendor's, and the serial number's string descriptors. */
static void control(struct node *k, struct mock_urb *u)
{
    uint8_t *bytes = u->bytes;
    if (bytes[0] & 0x40) {
        const int count = k->deaf ? -1 : vendor(k, bytes, bytes + 8);
        finish(k, u, k->deaf ? -ETIMEDOUT : count < 0 ? -EPIPE : 0, count < 0 ? 0 : (size_t)count);
        return;
    }
    static const uint8_t languages[] = { 4, 3, 9, 4 };
    uint8_t text[2 + 2 * sizeof SERIAL] = { 2 * sizeof SERIAL, 3 };
    for (size_t i = 0; i + 1 < sizeof SERIAL; i++)
        text[2 + 2 * i] = (uint8_t)k->serial[i];
    const bool string = bytes[0] == 0x80 && bytes[1] == 6 && bytes[3] == 3;
    const uint8_t *answer = bytes[2] ? text : languages;
    const size_t room = (size_t)(bytes[6] | bytes[7] << 8), n = MIN(room, answer[0]);
    if (string)
        memcpy(bytes + 8, answer, n);
    finish(k, u, string ? 0 : -EPIPE, string ? n : 0);
}

static int submit(void *user, struct mock_urb *u)
{
    struct node *k = user;
    if (k->memory && k->used_memory + u->length > k->memory) {
        k->refused++;
        return ENOMEM;
    }
    k->used_memory += u->length;
    k->most_memory = MAX(k->most_memory, k->used_memory);
    if (u->control) {
        control(k, u);
    } else if (u->endpoint & 0x80) {
        g_queue_push_tail(&k->waiting, u);
        feed(k);
    } else if (counts_down(&k->stall_out)) {
        finish(k, u, -EPIPE, 0);
    } else {
        board_input(&k->board, u->bytes, u->length);
        k->mute = k->mute || board_reached(&k->mute_at, k->board.received);
        k->pulled = k->pulled || board_reached(&k->pull_at, k->board.received);
        finish(k, u, 0, u->length);
        feed(k);
    }
    return 0;
}

static void cancel(void *user, struct mock_urb *u)
{
    struct node *k = user;
    g_queue_remove(&k->waiting, u);
    k->used_memory -= u->length;
}

static int claim(void *user)
{
    struct node *k = user;
    return k->claim_error;
}

static int clear_halt(void *user, uint8_t endpoint)
{
    struct node *k = user;
    (void)endpoint;
    k->halts_cleared++;
    return 0;
}

static int reset(void *user)
{
    struct node *k = user;
    k->resets++;
    k->mute = k->mute && !k->reset_helps;
    return 0;
}

static bool gone(void *user)
{
    struct node *k = user;
    return k->pulled;
}

static const struct mock_device device = {
    .submit = submit,
    .cancel = cancel,
    .claim = claim,
    .clear_halt = clear_halt,
    .reset = reset,
    .gone = gone,
};

/* One vendor interface with endpoints 1 OUT and 1 IN, bulk, 512 bytes; high speed. */
static const char descriptors[] =
    "P: /devices/usb1/1-1\nN: bus/usb/001/002\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\n"
    "E: BUSNUM=001\nE: DEVNUM=002\nE: DEVNAME=" NODE "\nA: busnum=1\\n\nA: devnum=2\\n\n"
    "A: bConfigurationValue=1\\n\nA: speed=480\\n\n"
    "H: descriptors=12010002ff000040091201000100000001010902200001010080320904000002ff000000"
    "07050102000200"
    "07058102000200\n";

static UMockdevTestbed *bed;

static struct node *const nodes[] = { &node, &other };
static const struct place {
    const char *file, *sysfs;
} places[] = { { NODE, SYSFS }, { "/dev/bus/usb/001/003", "/sys/devices/usb1/1-2" } };

/* How umockdev wants the board of that number described. */
static GString *description(unsigned which)
{
    GString *text = g_string_new(descriptors);
    if (which) {
        g_string_replace(text, "1-1", "1-2", 0);
        g_string_replace(text, "001/002", "001/003", 0);
        g_string_replace(text, "DEVNUM=002", "DEVNUM=003", 0);
        g_string_replace(text, "devnum=2", "devnum=3", 0);
    }
    return text;
}

/* Plugs in the board of that number. */
static void plug_in_at(unsigned which)
{
    struct node *k = nodes[which];
    const struct place *at = &places[which];
    struct mock_device of_node = device;
    GString *text = description(which);
    of_node.user = k;
    g_queue_init(&k->waiting);
    k->in_count = k->stall_in = k->stall_out = k->resets = k->halts_cleared = 0;
    k->pull_at = k->mute_at = 0;
    k->pulled = k->mute = k->reset_helps = k->stream_reset_helps = k->old = k->deaf = false;
    k->stream_resets = k->aborts = k->refused = 0;
    k->memory = k->used_memory = k->most_memory = 0;
    k->claim_error = 0;
    k->packet = PENDING;
    board_init(&k->board);
    k->usbfs = mock_plug_in(bed, at->file, at->sysfs, text->str, &of_node);
    g_string_free(text, TRUE);
    if (!k->usbfs)
        fail_msg("umockdev refuses it");
}

static void plug_in(void)
{
    plug_in_at(0);
}

static void unplug_at(unsigned which)
{
    mock_remove(nodes[which]->usbfs);
    board_free(&nodes[which]->board);
}

static void unplug(void)
{
    unplug_at(0);
}

static void prepare_at(struct node *to, struct board_job *k, accel_dev *dev, struct rng *r)
{
    board_job_make(k, dev, r);
    mock_lock(to->usbfs);
    board_expect(&to->board, k);
    mock_unlock(to->usbfs);
}

static void prepare(struct board_job *k, accel_dev *dev, struct rng *r)
{
    prepare_at(&node, k, dev, r);
}

static accel_dev *open_board(const char *uri)
{
    accel_dev *dev = NULL;
    struct accel_error err;
    if (accel_open(uri, NULL, &dev, &err))
        fail_msg("%s: %s", uri, err.text);
    return dev;
}

static void run_jobs(accel_dev *dev, struct rng *r, int count)
{
    for (int i = 0; i < count; i++) {
        struct board_job k;
        struct accel_error err;
        prepare(&k, dev, r);
        if (accel_run(dev, &k.job, NULL, &err))
            fail_msg("%s", err.text);
        board_job_check(&k, true);
    }
}

static void jobs_through_libusb_equal_the_reference(void **state)
{
    (void)state;
    struct rng r = { 21 };
    struct accel_caps caps;
    plug_in();
    accel_dev *dev = open_board("usb:");
    accel_get_caps(dev, &caps);
    assert_string_equal(caps.uri, "usb:serial=" SERIAL);
    assert_string_equal(caps.backend, "usb");
    assert_string_equal(caps.pe, "mac");
    run_jobs(dev, &r, 20);
    accel_close(dev);
    dev = open_board(caps.uri);
    run_jobs(dev, &r, 2);
    accel_close(dev);
    unplug();
}

static void in_transfers_of_any_length_carry_the_same_bytes(void **state)
{
    (void)state;
    static const unsigned packets[] = { 5, 63, 64, 511, 512, 513 };
    struct rng r = { 22 };
    for (size_t i = 0; i < sizeof packets / sizeof *packets; i++) {
        plug_in();
        node.packet = packets[i];
        accel_dev *dev = open_board("usb:");
        run_jobs(dev, &r, 3);
        accel_close(dev);
        unplug();
    }
}

static void damaged_bytes_and_stalls_cost_time_but_no_result(void **state)
{
    (void)state;
    struct rng r = { 23 };
    plug_in();
    accel_dev *dev = open_board("usb:silence=20000");
    for (unsigned i = 0; i < 10; i++) {
        struct board_job k;
        struct accel_error err;
        prepare(&k, dev, &r);
        lock();
        node.board.faults = 20000;
        node.stall_in = 1 + rng_below(&r, 4);
        node.stall_out = 1 + rng_below(&r, 4);
        unlock();
        if (accel_run(dev, &k.job, NULL, &err))
            fail_msg("%s", err.text);
        board_job_check(&k, true);
    }
    assert_true(node.halts_cleared > 5);
    accel_close(dev);
    unplug();
}

static void a_device_unplugged_at_any_byte_is_gone(void **state)
{
    (void)state;
    struct rng r = { 24 };
    for (unsigned i = 0; i < 20; i++) {
        struct board_job k;
        struct accel_error err;
        accel_ticket ticket;
        plug_in();
        accel_dev *dev = open_board("usb:");
        prepare(&k, dev, &r);
        lock();
        node.pull_at = node.board.received + 1 + rng_below(&r, 600);
        unlock();
        assert_int_equal(accel_run(dev, &k.job, NULL, &err), ACCEL_E_GONE);
        assert_non_null(strstr(err.text, "unplugged"));
        assert_int_equal(accel_submit(dev, &k.job, &ticket, NULL), ACCEL_E_GONE);
        board_job_check(&k, false);
        accel_close(dev);
        unplug();
    }
}

static void a_job_cut_off_at_any_byte_is_exact_after_plugging_in_again(void **state)
{
    (void)state;
    struct rng r = { 26 };
    plug_in();
    accel_dev *dev = open_board("usb:");
    for (unsigned i = 0; i < 50;) {
        struct board_job k;
        struct accel_error err;
        prepare(&k, dev, &r);
        lock();
        node.pull_at = node.board.received + 1 + rng_below(&r, 600);
        unlock();
        if (accel_run(dev, &k.job, NULL, &err) == ACCEL_OK) { /* it was done before */
            lock();
            node.pull_at = 0;
            unlock();
            board_job_check(&k, true);
            continue;
        }
        assert_int_equal(err.status, ACCEL_E_GONE);
        unplug();
        if (i++ % 10 == 0) {
            assert_int_equal(accel_reopen(dev, &err), ACCEL_E_IO);
            assert_non_null(strstr(err.text, "plugged in"));
            assert_int_equal(accel_run(dev, &k.job, NULL, &err), ACCEL_E_GONE);
        }
        plug_in();
        if (accel_reopen(dev, &err))
            fail_msg("%s", err.text);
        lock();
        board_expect(&node.board, &k);
        unlock();
        assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_OK);
        board_job_check(&k, true);
    }
    lock();
    node.board.device.registers[3] = 4; /* fewer rows */
    unlock();
    assert_int_equal(accel_reopen(dev, NULL), ACCEL_E_MISMATCH);
    accel_close(dev);
    unplug();
}

static void a_silent_device_is_reset_once_and_then_gone(void **state)
{
    (void)state;
    struct rng r = { 25 };
    for (unsigned helps = 0; helps < 2; helps++) {
        struct board_job k;
        struct accel_error err;
        plug_in();
        accel_dev *dev = open_board("usb:silence=300");
        prepare(&k, dev, &r);
        lock();
        node.reset_helps = helps;
        node.deaf = !helps;
        node.mute_at = node.board.received + 10;
        unlock();
        const int rc = accel_run(dev, &k.job, NULL, &err);
        if (rc != (helps ? ACCEL_OK : ACCEL_E_GONE))
            fail_msg("%d: %s", rc, rc ? err.text : "no error");
        assert_int_equal(node.resets, 1);
        if (!helps) {
            assert_non_null(strstr(err.text, "no answer"));
            assert_non_null(strstr(err.text, "endpoint 0 is silent, too"));
        }
        assert_int_equal(node.stream_resets > 1, helps); /* the first is that of opening */
        board_job_check(&k, helps);
        accel_close(dev);
        unplug();
    }
}

static void a_stuck_stream_is_emptied_before_the_device_is_reset(void **state)
{
    (void)state;
    struct rng r = { 28 };
    struct board_job k;
    struct accel_error err;
    plug_in();
    accel_dev *dev = open_board("usb:silence=300");
    prepare(&k, dev, &r);
    lock();
    node.stream_reset_helps = true;
    node.mute_at = node.board.received + 10;
    unlock();
    if (accel_run(dev, &k.job, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(node.resets, 0);
    board_job_check(&k, true);
    accel_close(dev);
    unplug();
}

static void what_cannot_be_opened_is_refused_with_the_reason(void **state)
{
    (void)state;
    expect_refusal("usb:", ACCEL_E_IO, "no accel device (1209:0001) is plugged in");
    expect_refusal("usb:bus=1", ACCEL_E_URI, "known: serial, port, silence, record");
    expect_refusal("usb:silence=soon", ACCEL_E_URI, "no number");
    plug_in();
    expect_refusal("usb:serial=other", ACCEL_E_IO, "none with serial=other");
    expect_refusal("usb:port=1-4", ACCEL_E_IO, "none with port=1-4");
    node.claim_error = EBUSY;
    expect_refusal("usb:", ACCEL_E_IO, "in use by another program");
    node.claim_error = EACCES;
    expect_refusal("usb:", ACCEL_E_IO, "bus 1 device 2");
    node.claim_error = 0;
    lock();
    node.board.device.registers[LINK_REG_MAGIC] = 1;
    unlock();
    expect_refusal("usb:", ACCEL_E_DEVICE, "no accel device");
    node.old = true;
    expect_refusal("usb:", ACCEL_E_DEVICE, "old gateware: make program BOARD=");
    node.old = false;
    lock();
    node.board.device.registers[LINK_REG_MAGIC] = LINK_MAGIC_WORD;
    node.board.device.registers[LINK_REG_PROTOCOL] = 7 << 16 | 9;
    unlock();
    expect_refusal("usb:", ACCEL_E_UNSUPPORTED,
                   "speaks protocol 7 to 9, this library 1 to 1: update libaccel");
    lock();
    node.board.device.registers[LINK_REG_PROTOCOL] = 0;
    unlock();
    expect_refusal("usb:", ACCEL_E_UNSUPPORTED,
                   "0 to 0, this library 1 to 1: program it anew: make program");
    unplug();
}

static void registers_answer_while_streams_are_stuck_and_another_uses_the_board(void **state)
{
    (void)state;
    struct accel_usb_status s;
    struct accel_error err;
    struct rng r = { 27 };
    accel_dev *dev;
    uint32_t v[3];
    plug_in();
    node.mute = true;
    node.claim_error = EBUSY;
    if (accel_open_registers("usb:", NULL, &dev, &err))
        fail_msg("%s", err.text);
    assert_int_equal(accel_poke(dev, LINK_REG_SCRATCH, 0xDEADBEEF, NULL), ACCEL_OK);
    assert_int_equal(accel_peek(dev, LINK_REG_SESSION, 2, v, NULL), ACCEL_OK);
    assert_int_equal(v[1], 0xDEADBEEF);
    assert_int_equal(accel_peek(dev, 3, 1, v, NULL), ACCEL_OK);
    assert_int_equal(v[0], BOARD_ROWS);
    assert_int_equal(accel_get_usb_status(dev, &s, NULL), ACCEL_OK);
    assert_int_equal(s.protocol_max, LINK_PROTOCOL_MAX);
    assert_int_equal(s.received, 7);
    assert_int_equal(s.sent, 9);
    assert_true(s.high_speed && s.has_room && !s.core_busy && !s.in_halted);
    assert_int_equal(accel_reset(dev, NULL), ACCEL_OK);
    assert_int_equal(node.aborts, 1);
    assert_int_equal(node.board.received, 0); /* nothing of all this went through bulk transfers */
    accel_matrix *mat = random_matrix(&r, ACCEL_INT(4), 32, 8, 16, false);
    accel_weights *w;
    assert_int_equal(accel_load(dev, mat, &w, &err), ACCEL_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "registers only"));
    assert_int_equal(accel_reopen(dev, NULL), ACCEL_E_UNSUPPORTED);
    assert_int_equal(accel_can_run(dev, ACCEL_INT(4), 32, NULL), 0);
    accel_matrix_free(mat);
    lock();
    node.pulled = true;
    unlock();
    assert_int_equal(accel_peek(dev, 3, 1, v, NULL), ACCEL_E_GONE);
    accel_close(dev);
    unplug();
}

/* A file of the mock system, whatever reads it there. */
static void write_file(const char *path, const char *text)
{
    gchar *root = umockdev_testbed_get_root_dir(bed), *file = g_strconcat(root, path, NULL);
    gchar *folder = g_path_get_dirname(file);
    assert_int_equal(g_mkdir_with_parents(folder, 0755), 0);
    assert_true(g_file_set_contents(file, text, -1, NULL));
    g_free(folder);
    g_free(file);
    g_free(root);
}

/* What libusb opens nodes with, in front of umockdev's: root may open everything otherwise. */
static bool forbidden;
int open_checked(const char *path, int flags) __asm__("__open_2");
int open_checked(const char *path, int flags)
{
    if (forbidden && strcmp(path, NODE) == 0) {
        errno = EACCES;
        return -1;
    }
    int (*next)(const char *, int);
    *(void **)&next = dlsym(RTLD_NEXT, "__open_2");
    return next(path, flags);
}

static int note_denied(void *user, const char *uri, const char *what)
{
    if (strcmp(uri, "usb:port=1-1") == 0 && strstr(what, "no permission"))
        ++*(int *)user;
    return 0;
}

static void without_permission_the_udev_line_is_shown(void **state)
{
    (void)state;
    int denied = 0;
    plug_in();
    forbidden = true;
    expect_refusal("usb:", ACCEL_E_IO, "TAG+=\"uaccess\" into /etc/udev/rules.d/70-accel.rules");
    accel_list(note_denied, &denied);
    forbidden = false;
    assert_int_equal(denied, 1);
    unplug();
}

static void a_driver_of_the_kernel_that_has_the_board_is_named(void **state)
{
    (void)state;
    gchar *root = umockdev_testbed_get_root_dir(bed);
    gchar *link = g_strconcat(root, "/sys/bus/usb/devices/1-1:1.0/driver", NULL);
    plug_in();
    write_file("/sys/bus/usb/devices/1-1:1.0/bInterfaceNumber", "00");
    assert_int_equal(symlink("../../drivers/cdc_acm", link), 0);
    node.claim_error = EBUSY;
    expect_refusal("usb:", ACCEL_E_IO, "the kernel's driver cdc_acm: echo 1-1:1.0 | sudo tee");
    unlink(link);
    expect_refusal("usb:", ACCEL_E_IO, "in use by another program");
    g_free(link);
    g_free(root);
    unplug();
}

static int note_ports(void *user, const char *uri, const char *what)
{
    (void)what;
    *(unsigned *)user |= strcmp(uri, "usb:serial=" SERIAL) == 0 ? 1u : 0u;
    *(unsigned *)user |= strcmp(uri, "usb:port=1-2") == 0 ? 2u : 0u;
    return 0;
}

static void one_of_several_boards_has_to_be_named(void **state)
{
    (void)state;
    struct rng r = { 29 };
    struct accel_caps caps;
    unsigned ports = 0;
    plug_in();
    GString *second = description(1); /* it does not answer */
    if (!umockdev_testbed_add_from_string(bed, second->str, NULL))
        fail();
    g_string_free(second, TRUE);
    expect_refusal("usb:", ACCEL_E_IO, "2 boards fit; name one: usb:port=1-");
    expect_refusal("usb:", ACCEL_E_IO, "usb:port=1-1 (serial " SERIAL ")");
    accel_dev *dev = open_board("usb:port=1-1");
    accel_get_caps(dev, &caps);
    assert_string_equal(caps.uri, "usb:port=1-1");
    run_jobs(dev, &r, 1);
    accel_close(dev);
    accel_list(note_ports, &ports);
    assert_int_equal(ports, 3);
    umockdev_testbed_remove_device(bed, places[1].sysfs);
    unplug();
}

static void transfers_shrink_to_the_memory_that_the_kernel_has(void **state)
{
    (void)state;
    static const char *const megabytes[] = { "0", "1", "16" };
    struct rng r = { 30 };
    for (size_t i = 0; i < 3; i++) {
        plug_in();
        write_file("/sys/module/usbcore/parameters/usbfs_memory_mb", megabytes[i]);
        node.memory = 20000;
        accel_dev *dev = open_board("usb:");
        run_jobs(dev, &r, 3);
        accel_close(dev);
        assert_true(node.refused > 0 && node.most_memory > 10000);
        node.memory = 500;
        expect_refusal("usb:", ACCEL_E_NOMEM, "tee /sys/module/usbcore/parameters/usbfs_memory_mb");
        unplug();
    }
}

static void a_board_unplugged_while_idle_is_gone_at_once(void **state)
{
    (void)state;
    struct rng r = { 31 };
    struct board_job k;
    struct timespec start, end;
    plug_in();
    accel_dev *dev = open_board("usb:silence=20000");
    prepare(&k, dev, &r);
    lock();
    node.mute = true; /* transfers alone would not tell */
    unlock();
    umockdev_testbed_uevent(bed, SYSFS, "remove");
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_E_GONE);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true(end.tv_sec - start.tv_sec < 10);
    board_job_check(&k, false);
    accel_close(dev);
    unplug();
}

static int note_listed(void *user, const char *uri, const char *what)
{
    if (strcmp(uri, "usb:serial=" SERIAL) == 0 && strstr(what, "bus 1 device 2"))
        ++*(int *)user;
    return 0;
}

static void a_board_is_listed_while_it_is_there(void **state)
{
    (void)state;
    int count = 0;
    accel_list(note_listed, &count);
    assert_int_equal(count, 0);
    plug_in();
    accel_list(note_listed, &count);
    assert_int_equal(count, 1);
    unplug();
}

/* Another user's: opens the board's registers, reads them and closes again, until told to stop. */
struct watcher {
    atomic_bool stop;
    unsigned times, wrong;
};

static void *watch(void *arg)
{
    struct watcher *w = arg;
    while (!atomic_load(&w->stop)) {
        accel_dev *dev = NULL;
        uint32_t v = 0;
        if (accel_open_registers("usb:", NULL, &dev, NULL) || accel_peek(dev, 3, 1, &v, NULL) ||
            v != BOARD_ROWS)
            w->wrong++;
        accel_close(dev);
        w->times++;
    }
    return NULL;
}

static void two_handles_of_one_board_get_only_their_own_transfers(void **state)
{
    (void)state;
    struct rng r = { 32 };
    struct watcher w = { .times = 0 };
    pthread_t thread;
    plug_in();
    accel_dev *dev = open_board("usb:");
    assert_int_equal(pthread_create(&thread, NULL, watch, &w), 0);
    run_jobs(dev, &r, 30);
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    accel_close(dev);
    unplug();
    assert_true(w.times > 0);
    assert_int_equal(w.wrong, 0);
}

/* Who runs jobs on the first board until told to stop. */
struct worker {
    struct rng r;
    atomic_bool stop;
    atomic_uint exact, wrong;
    struct accel_error err; /* of what ended it before */
};

static void *work(void *arg)
{
    struct worker *w = arg;
    accel_dev *dev = NULL;
    int rc = accel_open("usb:serial=" SERIAL, NULL, &dev, &w->err);
    while (!rc && !atomic_load(&w->stop)) {
        struct board_job k;
        prepare_at(&node, &k, dev, &w->r);
        rc = accel_run(dev, &k.job, NULL, &w->err);
        const size_t bytes = (size_t)k.n * k.rows * sizeof *k.got;
        atomic_fetch_add(!rc && memcmp(k.got, k.want, bytes) == 0 ? &w->exact : &w->wrong, 1);
        memcpy(k.got, k.want, bytes); /* assertions are for the main thread */
        board_job_check(&k, true);
    }
    accel_close(dev);
    return NULL;
}

/* Lets the worker do some more jobs. Returns whether it did. */
static bool works_on(struct worker *w)
{
    const unsigned before = atomic_load(&w->exact);
    for (int i = 0; i < 3000 && atomic_load(&w->exact) < before + 2 && !atomic_load(&w->wrong); i++)
        usleep(10000);
    return atomic_load(&w->exact) >= before + 2;
}

static void a_board_runs_exact_jobs_while_another_is_unplugged_and_comes_back(void **state)
{
    (void)state;
    struct rng r = { 33 };
    struct worker w = { .r = { 34 } };
    pthread_t thread;
    unsigned pulled = 0;
    plug_in_at(0);
    plug_in_at(1);
    accel_dev *dev = open_board("usb:serial=" OTHER);
    assert_int_equal(pthread_create(&thread, NULL, work, &w), 0);
    for (unsigned i = 0; i < 10; i++) {
        struct board_job k;
        struct accel_error err = { 0 };
        prepare_at(&other, &k, dev, &r);
        mock_lock(other.usbfs);
        other.pull_at = other.board.received + 1 + rng_below(&r, 600);
        mock_unlock(other.usbfs);
        if (accel_run(dev, &k.job, NULL, &err)) {
            pulled++;
            assert_int_equal(err.status, ACCEL_E_GONE);
            unplug_at(1);
            if (!works_on(&w))
                fail_msg("beside a board that is gone: %s", w.err.text);
            plug_in_at(1);
            if (accel_reopen(dev, &err))
                fail_msg("%s", err.text);
            mock_lock(other.usbfs);
            board_expect(&other.board, &k);
            mock_unlock(other.usbfs);
            if (accel_run(dev, &k.job, NULL, &err))
                fail_msg("%s", err.text);
        }
        mock_lock(other.usbfs);
        other.pull_at = 0;
        mock_unlock(other.usbfs);
        board_job_check(&k, true);
        if (!works_on(&w))
            fail_msg("beside a board that works: %s", w.err.text);
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    accel_close(dev);
    unplug_at(1);
    unplug_at(0);
    assert_true(pulled >= 5);
    if (atomic_load(&w.wrong))
        fail_msg("%u of %u jobs: %s", atomic_load(&w.wrong), atomic_load(&w.exact), w.err.text);
    assert_int_equal(node.resets, 0);
    assert_int_equal(node.stream_resets, 1); /* when it was opened */
}

static void opening_two_hundred_times_works(void **state)
{
    (void)state;
    plug_in();
    for (int i = 0; i < 200; i++)
        accel_close(open_board("usb:"));
    unplug();
}

int main(void)
{
    bed = umockdev_testbed_new(); /* first: asking umockdev anything before is remembered wrongly */
    cmocka_set_test_filter(getenv("TEST_FILTER"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_through_libusb_equal_the_reference),
        cmocka_unit_test(in_transfers_of_any_length_carry_the_same_bytes),
        cmocka_unit_test(damaged_bytes_and_stalls_cost_time_but_no_result),
        cmocka_unit_test(a_device_unplugged_at_any_byte_is_gone),
        cmocka_unit_test(a_job_cut_off_at_any_byte_is_exact_after_plugging_in_again),
        cmocka_unit_test(a_silent_device_is_reset_once_and_then_gone),
        cmocka_unit_test(a_stuck_stream_is_emptied_before_the_device_is_reset),
        cmocka_unit_test(registers_answer_while_streams_are_stuck_and_another_uses_the_board),
        cmocka_unit_test(what_cannot_be_opened_is_refused_with_the_reason),
        cmocka_unit_test(without_permission_the_udev_line_is_shown),
        cmocka_unit_test(a_driver_of_the_kernel_that_has_the_board_is_named),
        cmocka_unit_test(one_of_several_boards_has_to_be_named),
        cmocka_unit_test(transfers_shrink_to_the_memory_that_the_kernel_has),
        cmocka_unit_test(a_board_unplugged_while_idle_is_gone_at_once),
        cmocka_unit_test(a_board_is_listed_while_it_is_there),
        cmocka_unit_test(two_handles_of_one_board_get_only_their_own_transfers),
        cmocka_unit_test(a_board_runs_exact_jobs_while_another_is_unplugged_and_comes_back),
        cmocka_unit_test(opening_two_hundred_times_works),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    g_object_unref(bed);
    return failed;
}
