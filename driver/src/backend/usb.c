/* usb.c - the usb: backend: a board behind libusb. Its two bulk endpoints carry the bytes of the link, docs/link.md.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Transfers are queued both ways. One thread handles libusb's events; the callbacks it runs only note what happened, all
 * else is done by the caller of move_bytes. */
#include "../link/remote.h"
#include "usb.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ENDPOINT_OUT  (LINK_USB_ENDPOINT | LIBUSB_ENDPOINT_OUT)
#define ENDPOINT_IN   (LINK_USB_ENDPOINT | LIBUSB_ENDPOINT_IN)
#define MOST          8u /* transfers queued each way */
#define BYTES         16384u /* of one: what usbfs takes in one piece; a multiple of every packet size */
#define LEAST_BYTES   512u
#define MEMORY_FILE   "/sys/module/usbcore/parameters/usbfs_memory_mb"
#define TIMEOUT_NS    50000000ull
#define SILENCE_MS    5000u
#define MANY_ERRORS   100u /* transfers in a row that fail: the device is not usable */
#define LETTING_GO_NS 2000000000ull

enum { FREE, QUEUED, ARRIVED };

struct usb_port;

struct piece {
    struct usb_port *port;
    struct libusb_transfer *transfer;
    int state;
    size_t at; /* bytes of an arrived piece that were taken */
    uint8_t bytes[BYTES];
};

struct usb_port {
    struct remote *remote; /* first, as remote.h asks; NULL if only the registers are open */
    libusb_context *context;
    struct usb_found found;
    struct usb_choice choice;
    bool claimed, was_reset;
    uint32_t silence_ms;
    char record[256];

    pthread_t thread; /* handles libusb's events */
    bool running, has_watch;
    atomic_bool stop;
    libusb_hotplug_callback_handle watch;

    pthread_mutex_t mutex; /* guards the rest; never held in a call that waits for events */
    pthread_cond_t changed;
    bool gone, moved, in_halted, out_halted, squeezed;
    int broken; /* what libusb said when it could not handle events */
    unsigned errors, next_in;
    unsigned transfers; /* each way */
    size_t bytes;       /* of a transfer */
    struct piece in[MOST], out[MOST];
};

static struct timespec later(uint64_t ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    ns += (uint64_t)t.tv_nsec;
    t.tv_sec += (time_t)(ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    return t;
}

/* ---- events ---- */

static void note(struct usb_port *u, bool *what)
{
    pthread_mutex_lock(&u->mutex);
    *what = true;
    u->moved = true;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->mutex);
}

static void ended(struct libusb_transfer *t)
{
    struct piece *p = t->user_data;
    struct usb_port *u = p->port;
    const bool is_in = (t->endpoint & LIBUSB_ENDPOINT_DIR_MASK) == LIBUSB_ENDPOINT_IN;
    pthread_mutex_lock(&u->mutex);
    p->at = 0;
    p->state = is_in ? ARRIVED : FREE; /* with no bytes, perhaps: it keeps its place in the order */
    switch (t->status) {
    case LIBUSB_TRANSFER_COMPLETED: u->errors = 0; break;
    case LIBUSB_TRANSFER_NO_DEVICE: u->gone = true; break;
    case LIBUSB_TRANSFER_STALL: *(is_in ? &u->in_halted : &u->out_halted) = true; break;
    case LIBUSB_TRANSFER_CANCELLED: break;
    default: u->errors++; /* what was lost is sent again: the link sees to that */
    }
    u->moved = true;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->mutex);
}

static int LIBUSB_CALL left(libusb_context *context, libusb_device *device,
                            libusb_hotplug_event event, void *user)
{
    struct usb_port *u = user;
    (void)context;
    (void)event;
    if (device == libusb_get_device(u->found.handle))
        note(u, &u->gone);
    return 0;
}

static void *handle_events(void *user)
{
    struct usb_port *u = user;
    while (!atomic_load(&u->stop)) {
        struct timeval wait = { 1, 0 };
        const int rc = libusb_handle_events_timeout_completed(u->context, &wait, NULL);
        if (rc && rc != LIBUSB_ERROR_INTERRUPTED) {
            const struct timespec pause = { 0, 10000000 };
            pthread_mutex_lock(&u->mutex);
            u->gone = u->gone || rc == LIBUSB_ERROR_NO_DEVICE;
            u->broken = rc;
            pthread_cond_broadcast(&u->changed);
            pthread_mutex_unlock(&u->mutex);
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

/* ---- transfers: all of these with the mutex held ---- */

static int submit(struct piece *p, uint8_t endpoint, size_t count)
{
    struct usb_port *u = p->port;
    libusb_fill_bulk_transfer(p->transfer, u->found.handle, endpoint, p->bytes, (int)count, ended,
                              p, 0);
    const int rc = libusb_submit_transfer(p->transfer);
    p->state = rc ? FREE : QUEUED;
    u->gone = u->gone || rc == LIBUSB_ERROR_NO_DEVICE;
    u->squeezed = u->squeezed || rc == LIBUSB_ERROR_NO_MEM;
    u->errors += rc != 0 && rc != LIBUSB_ERROR_NO_MEM;
    return rc;
}

/* Brings idle pieces back to work: those whose turn is next. */
static void requeue(struct usb_port *u)
{
    for (unsigned i = 0; i < u->transfers && !u->gone && !u->squeezed; i++) {
        struct piece *p = &u->in[(u->next_in + i) % MOST];
        if (p->state == FREE)
            submit(p, ENDPOINT_IN, u->bytes);
    }
}

/* Bytes arrive in the order in which the pieces were queued. */
static size_t take_arrived(struct usb_port *u, uint8_t *bytes, size_t room)
{
    size_t count = 0;
    for (unsigned i = 0; i < MOST && count < room; i++) {
        struct piece *p = &u->in[u->next_in];
        if (p->state != ARRIVED)
            break;
        size_t n = (size_t)p->transfer->actual_length - p->at;
        n = n < room - count ? n : room - count;
        memcpy(bytes + count, p->bytes + p->at, n);
        p->at += n;
        count += n;
        if (p->at < (size_t)p->transfer->actual_length)
            break;
        p->state = FREE;
        u->next_in = (u->next_in + 1) % MOST;
    }
    return count;
}

static size_t give(struct usb_port *u, const uint8_t *bytes, size_t count)
{
    for (unsigned i = 0; i < u->transfers && count; i++) {
        struct piece *p = &u->out[i];
        if (p->state != FREE)
            continue;
        const size_t n = count < u->bytes ? count : u->bytes;
        memcpy(p->bytes, bytes, n);
        return submit(p, ENDPOINT_OUT, n) ? 0 : n;
    }
    return 0;
}

static bool any_queued(const struct usb_port *u)
{
    bool any = false;
    for (unsigned i = 0; i < MOST; i++)
        any = any || u->in[i].state == QUEUED || u->out[i].state == QUEUED;
    return any;
}

/* Ends all transfers; false if libusb holds on to one. */
static bool cancel_all(struct usb_port *u)
{
    const struct timespec end = later(LETTING_GO_NS);
    for (unsigned i = 0; i < MOST; i++) {
        if (u->in[i].state == QUEUED)
            libusb_cancel_transfer(u->in[i].transfer);
        if (u->out[i].state == QUEUED)
            libusb_cancel_transfer(u->out[i].transfer);
    }
    while (u->running && any_queued(u))
        if (pthread_cond_timedwait(&u->changed, &u->mutex, &end) == ETIMEDOUT)
            break;
    return !any_queued(u);
}

/* Smaller transfers, then fewer, in both directions: one must not starve the other. False: there are none left. */
static bool shrink(struct usb_port *u)
{
    cancel_all(u);
    u->squeezed = false;
    if (u->bytes > LEAST_BYTES)
        u->bytes /= 2;
    else
        u->transfers /= 2;
    return u->transfers != 0;
}

/* ---- what carries the bytes ---- */

static int no_memory(const struct usb_port *u, struct accel_error *err)
{
    return accel_fail(
        err, ACCEL_E_NOMEM,
        "%s: other devices have all of the kernel's memory for USB: raise it: echo 64 "
        "| sudo tee " MEMORY_FILE,
        u->found.name);
}

/* What a stall leaves behind: empty buffers at the board, endpoints that go on. What was lost is sent again. */
static void clear_halts(struct usb_port *u, bool in, bool out)
{
    usb_command(u->found.handle, u->found.name, LINK_USB_RESET_STREAM, NULL);
    if (in)
        libusb_clear_halt(u->found.handle, ENDPOINT_IN);
    if (out)
        libusb_clear_halt(u->found.handle, ENDPOINT_OUT);
}

static int move_bytes(void *priv, const uint8_t *out, size_t count, size_t *written, uint8_t *in,
                      size_t room, size_t *got, uint64_t wait_ns, struct accel_error *err)
{
    struct usb_port *u = priv;
    const struct timespec end = later(wait_ns);
    int rc = ACCEL_OK;
    pthread_mutex_lock(&u->mutex);
    if (u->in_halted || u->out_halted) {
        const bool halts[2] = { u->in_halted, u->out_halted };
        u->in_halted = u->out_halted = false;
        pthread_mutex_unlock(&u->mutex);
        clear_halts(u, halts[0], halts[1]);
        pthread_mutex_lock(&u->mutex);
    }
    u->moved = false;
    *got = take_arrived(u, in, room);
    requeue(u);
    *written = u->gone ? 0 : give(u, out, count);
    const bool enough = !u->squeezed || shrink(u);
    while (enough && !*written && !*got && !u->moved && !u->gone && !u->broken && wait_ns)
        if (pthread_cond_timedwait(&u->changed, &u->mutex, &end) == ETIMEDOUT)
            break;
    if (!*got)
        *got = take_arrived(u, in, room);
    if (u->gone) {
        cancel_all(u); /* nothing shall wait for a device that is gone */
        rc = accel_fail(err, ACCEL_E_GONE, "%s: the device is gone: was it unplugged?",
                        u->found.name);
    } else if (!enough) {
        rc = no_memory(u, err);
    } else if (u->broken || u->errors > MANY_ERRORS) {
        rc = accel_fail(err, ACCEL_E_IO, "%s: transfers fail (%s): try another cable or port",
                        u->found.name,
                        u->broken ? libusb_error_name(u->broken) : "errors on the bus");
    }
    pthread_mutex_unlock(&u->mutex);
    return rc;
}

/* Forgets all transfers; false if libusb holds on to one. */
static bool start_over(struct usb_port *u)
{
    pthread_mutex_lock(&u->mutex);
    const bool idle = !u->gone && cancel_all(u);
    u->next_in = u->errors = 0;
    u->in_halted = u->out_halted = false;
    for (unsigned i = 0; i < MOST && idle; i++)
        u->in[i].state = u->out[i].state = FREE;
    pthread_mutex_unlock(&u->mutex);
    return idle;
}

/* When nothing answers: first what disturbs least; then what is as good as plugging it in again, once. */
static bool revive(void *priv, unsigned attempt)
{
    struct usb_port *u = priv;
    if (attempt == 0)
        u->was_reset = false;
    if (u->was_reset || !start_over(u))
        return false;
    if (attempt == 0 &&
        usb_command(u->found.handle, u->found.name, LINK_USB_RESET_STREAM, NULL) == ACCEL_OK) {
        libusb_clear_halt(u->found.handle, ENDPOINT_IN);
        libusb_clear_halt(u->found.handle, ENDPOINT_OUT);
        return true;
    }
    u->was_reset = true;
    return libusb_reset_device(u->found.handle) == 0;
}

static void describe(void *priv, char *text, size_t size)
{
    const struct usb_port *u = priv;
    struct accel_usb_status s;
    if (usb_read_status(u->found.handle, u->found.name, &s, NULL))
        snprintf(text, size, "endpoint 0 is silent, too");
    else
        snprintf(text, size, "endpoint 0 answers: core %s, %u packets in, %u out",
                 s.core_busy ? "busy" : "idle", (unsigned)s.received, (unsigned)s.sent);
}

/* ---- opening ---- */

static int parse(const char *params, struct usb_port *u, struct accel_error *err)
{
    char key[256], value[256];
    const char *cursor = params;
    int rc;
    u->silence_ms = SILENCE_MS;
    while ((rc = uri_next_param(&cursor, key, value, err)) > 0) {
        if (strcmp(key, "serial") == 0) {
            memcpy(u->choice.serial, value, sizeof value);
        } else if (strcmp(key, "port") == 0) {
            memcpy(u->choice.port, value, sizeof value);
        } else if (strcmp(key, "silence") == 0) {
            if ((rc = uri_number("usb", key, value, &u->silence_ms, err)) != ACCEL_OK)
                return rc;
        } else if (strcmp(key, "record") == 0) {
            memcpy(u->record, value, sizeof value);
        } else {
            return accel_fail(err, ACCEL_E_URI,
                              "usb: unknown parameter '%s'; known: serial, port, silence, record",
                              key);
        }
    }
    return rc;
}

/* Lets go of the device; false if libusb holds on to a transfer. A transfer refers to its device, also when it is freed:
 * that has to come first. */
static bool let_go(struct usb_port *u)
{
    pthread_mutex_lock(&u->mutex);
    const bool idle = !u->found.handle || cancel_all(u);
    const bool gone = u->gone;
    pthread_mutex_unlock(&u->mutex);
    if (u->has_watch)
        libusb_hotplug_deregister_callback(u->context, u->watch);
    if (u->running) {
        atomic_store(&u->stop, true);
        libusb_interrupt_event_handler(u->context);
        pthread_join(u->thread, NULL);
    }
    for (unsigned i = 0; i < MOST && idle; i++) {
        libusb_free_transfer(u->in[i].transfer);
        libusb_free_transfer(u->out[i].transfer);
        u->in[i].transfer = u->out[i].transfer = NULL;
    }
    if (u->claimed && !gone)
        libusb_release_interface(u->found.handle, 0);
    if (u->found.handle)
        libusb_close(u->found.handle);
    if (u->context && idle)
        libusb_exit(u->context);
    u->found.handle = NULL;
    u->context = NULL;
    u->claimed = u->running = u->has_watch = false;
    return idle;
}

static void usb_close(struct accel_dev *dev)
{
    struct usb_port *u = dev->priv;
    dev->priv = NULL;
    remote_close(u->remote);
    if (!let_go(u))
        return; /* libusb still writes into u: better lost than used after it was freed */
    pthread_cond_destroy(&u->changed);
    pthread_mutex_destroy(&u->mutex);
    free(u);
}

/* All transfers of all devices share the kernel's budget: take at most half of it. */
static void choose_sizes(struct usb_port *u)
{
    unsigned long megabytes = 16;
    FILE *f = fopen(MEMORY_FILE, "r");
    if (f && fscanf(f, "%lu", &megabytes) != 1)
        megabytes = 16;
    if (f)
        fclose(f);
    u->transfers = MOST;
    u->bytes = BYTES;
    const size_t budget = megabytes < 1024 ? (size_t)megabytes << 19 : SIZE_MAX;
    while (megabytes && u->transfers > MOST / 2 && 2 * u->transfers * u->bytes > budget)
        u->transfers--;
}

static int start(struct usb_port *u, struct accel_error *err)
{
    choose_sizes(u);
    for (unsigned i = 0; i < MOST; i++) {
        u->in[i] = (struct piece){ .port = u, .transfer = libusb_alloc_transfer(0) };
        u->out[i] = (struct piece){ .port = u, .transfer = libusb_alloc_transfer(0) };
        if (!u->in[i].transfer || !u->out[i].transfer)
            return accel_fail(err, ACCEL_E_NOMEM, "out of memory: opening a device at USB");
    }
    atomic_store(&u->stop, false);
    u->has_watch = libusb_has_capability(LIBUSB_CAP_HAS_HOTPLUG) &&
                   libusb_hotplug_register_callback(u->context, LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT,
                                                    LIBUSB_HOTPLUG_NO_FLAGS, LINK_USB_VENDOR,
                                                    LINK_USB_PRODUCT, LIBUSB_HOTPLUG_MATCH_ANY,
                                                    left, u, &u->watch) == LIBUSB_SUCCESS;
    u->running = pthread_create(&u->thread, NULL, handle_events, u) == 0;
    return u->running
               ? ACCEL_OK
               : accel_fail(err, ACCEL_E_NOMEM, "%s: no thread for its events", u->found.name);
}

/* A context of its own each time: an old one may not have heard what was plugged in since. */
static int take_hold(struct usb_port *u, bool registers_only, struct accel_error *err)
{
    if (libusb_init(&u->context)) {
        u->context = NULL;
        return accel_fail(err, ACCEL_E_IO, "usb: libusb does not start: is /dev/bus/usb there?");
    }
    u->gone = u->in_halted = u->out_halted = u->squeezed = u->was_reset = false;
    u->errors = u->next_in = 0;
    u->broken = 0;
    const int rc = usb_find(u->context, &u->choice, !registers_only, &u->found, err);
    u->claimed = !rc && !registers_only;
    if (rc || registers_only)
        return rc;
    /* from now on it is this one */
    if (!*u->choice.port && *u->found.serial)
        memcpy(u->choice.serial, u->found.serial, sizeof u->found.serial);
    else
        memcpy(u->choice.port, u->found.port, sizeof u->found.port);
    usb_command(u->found.handle, u->found.name, LINK_USB_RESET_STREAM, NULL);
    return start(u, err);
}

static int usb_reopen(struct accel_dev *dev, struct accel_error *err)
{
    struct usb_port *u = dev->priv;
    if (!let_go(u))
        return accel_fail(err, ACCEL_E_GONE, "%s: libusb holds on to it: close it and open it anew",
                          u->found.name);
    int rc = take_hold(u, false, err);
    return rc ? rc : remote_reopen(u->remote, err);
}

static struct usb_port *port_new(void)
{
    struct usb_port *u = calloc(1, sizeof *u);
    pthread_condattr_t attr;
    if (!u || pthread_mutex_init(&u->mutex, NULL))
        goto no_mutex;
    if (pthread_condattr_init(&attr))
        goto no_cond;
    int bad = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    bad = bad ? bad : pthread_cond_init(&u->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (!bad)
        return u;
no_cond:
    pthread_mutex_destroy(&u->mutex);
no_mutex:
    free(u);
    return NULL;
}

static int usb_open(struct accel_dev *dev, const char *params, struct accel_error *err)
{
    struct usb_port *u = port_new();
    if (!u)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: opening usb:%.80s", params);
    dev->priv = u;
    int rc = parse(params, u, err);
    if (!rc)
        rc = take_hold(u, dev->registers_only, err);
    if (!rc && !dev->registers_only) {
        const uint64_t silence = u->silence_ms * 1000000ull;
        const struct carrier carrier = {
            .name = u->found.name,
            .move = move_bytes,
            .revive = revive,
            .describe = describe,
            .priv = u,
            .timing = { TIMEOUT_NS, silence > 4 * TIMEOUT_NS ? silence : 4 * TIMEOUT_NS },
            .longest = LINK_MAX_PAYLOAD,
            .when_silent = "plug the board in again; if that does not help, load its gateware",
        };
        rc = remote_open(dev, &carrier, u->record, &u->remote, err);
    }
    if (rc) {
        usb_close(dev);
        return rc;
    }
    const bool by_serial = *u->found.serial && !*u->choice.port;
    snprintf(dev->caps.uri, sizeof dev->caps.uri, "usb:%s=%s", by_serial ? "serial" : "port",
             by_serial ? u->found.serial : u->found.port);
    snprintf(dev->caps.backend, sizeof dev->caps.backend, "usb");
    return ACCEL_OK;
}

/* ---- registers: by endpoint 0, which nothing holds up ---- */

static int usb_peek(struct accel_dev *dev, uint16_t word, uint16_t count, uint32_t *values,
                    struct accel_error *err)
{
    const struct usb_port *u = dev->priv;
    return usb_peek_registers(u->found.handle, u->found.name, word, count, values, err);
}

static int usb_poke(struct accel_dev *dev, uint16_t word, uint32_t value, struct accel_error *err)
{
    const struct usb_port *u = dev->priv;
    return usb_poke_register(u->found.handle, u->found.name, word, value, err);
}

static int usb_reset(struct accel_dev *dev, struct accel_error *err)
{
    const struct usb_port *u = dev->priv;
    int rc = usb_command(u->found.handle, u->found.name, LINK_USB_RESET_STREAM, err);
    if (!rc)
        rc = usb_command(u->found.handle, u->found.name, LINK_USB_ABORT, err);
    return rc || !u->remote ? rc : remote_reset(dev, err);
}

static int usb_status(struct accel_dev *dev, struct accel_usb_status *status,
                      struct accel_error *err)
{
    const struct usb_port *u = dev->priv;
    return usb_read_status(u->found.handle, u->found.name, status, err);
}

const struct accel_backend accel_backend_usb = {
    .scheme = "usb",
    .open = usb_open,
    .close = usb_close,
    .load = remote_load,
    .run = remote_run,
    .can_run = remote_can_run,
    .peek = usb_peek,
    .poke = usb_poke,
    .replay = remote_replay,
    .reset = usb_reset,
    .usb_status = usb_status,
    .reopen = usb_reopen,
    .list = usb_list,
};
