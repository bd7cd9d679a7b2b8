/* usb.c - the usb: backend: a board behind libusb. Its two bulk endpoints carry the bytes of the link, docs/link.md.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Transfers are queued both ways; their callbacks only note what happened, all else is done by the caller of
 * move_bytes, in whose thread libusb's events are handled. */
#include "../internal.h"
#include "../link/remote.h"

#include <dirent.h>
#include <libusb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VENDOR       LINK_USB_VENDOR
#define PRODUCT      LINK_USB_PRODUCT
#define ENDPOINT_OUT (LINK_USB_ENDPOINT | LIBUSB_ENDPOINT_OUT)
#define ENDPOINT_IN  (LINK_USB_ENDPOINT | LIBUSB_ENDPOINT_IN)
#define TRANSFERS    4u     /* queued each way */
#define BYTES        16384u /* of one; a multiple of every packet size */
#define TIMEOUT_NS   50000000ull
#define SILENCE_MS   5000u
#define MANY_ERRORS  100u /* transfers in a row that fail: the device is not usable */

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
    struct remote *remote; /* first, as remote.h asks */
    libusb_context *context;
    libusb_device_handle *handle;
    bool claimed, gone, in_halted, out_halted;
    int moved; /* a transfer ended */
    unsigned errors, next_in;
    char name[96], serial[64];
    uint32_t silence_ms;
    struct piece in[TRANSFERS], out[TRANSFERS];
};

/* ---- transfers ---- */

static void ended(struct libusb_transfer *t)
{
    struct piece *p = t->user_data;
    struct usb_port *u = p->port;
    const bool is_in = (t->endpoint & LIBUSB_ENDPOINT_DIR_MASK) == LIBUSB_ENDPOINT_IN;
    u->moved = 1;
    p->at = 0;
    p->state = is_in ? ARRIVED : FREE; /* with no bytes, perhaps: it keeps its place in the order */
    switch (t->status) {
    case LIBUSB_TRANSFER_COMPLETED: u->errors = 0; break;
    case LIBUSB_TRANSFER_NO_DEVICE: u->gone = true; break;
    case LIBUSB_TRANSFER_STALL: *(is_in ? &u->in_halted : &u->out_halted) = true; break;
    case LIBUSB_TRANSFER_CANCELLED: break;
    default: u->errors++; /* what was lost is sent again: the link sees to that */
    }
}

static void submit(struct piece *p, uint8_t endpoint, size_t count)
{
    libusb_fill_bulk_transfer(p->transfer, p->port->handle, endpoint, p->bytes, (int)count, ended,
                              p, 0);
    const int rc = libusb_submit_transfer(p->transfer);
    p->state = rc ? FREE : QUEUED;
    p->port->gone = p->port->gone || rc == LIBUSB_ERROR_NO_DEVICE;
    p->port->errors += rc != 0;
}

/* Brings idle pieces back to work. */
static void requeue(struct usb_port *u)
{
    if (u->in_halted)
        libusb_clear_halt(u->handle, ENDPOINT_IN);
    if (u->out_halted)
        libusb_clear_halt(u->handle, ENDPOINT_OUT);
    u->in_halted = u->out_halted = false;
    for (unsigned i = 0; i < TRANSFERS && !u->gone; i++) {
        struct piece *p = &u->in[(u->next_in + i) % TRANSFERS];
        if (p->state == FREE)
            submit(p, ENDPOINT_IN, BYTES);
    }
}

/* Bytes arrive in the order in which the pieces were queued. */
static size_t take_arrived(struct usb_port *u, uint8_t *bytes, size_t room)
{
    size_t count = 0;
    for (unsigned i = 0; i < TRANSFERS && count < room; i++) {
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
        u->next_in = (u->next_in + 1) % TRANSFERS;
    }
    requeue(u);
    return count;
}

static size_t give(struct usb_port *u, const uint8_t *bytes, size_t count)
{
    for (unsigned i = 0; i < TRANSFERS && count; i++) {
        struct piece *p = &u->out[i];
        if (p->state != FREE)
            continue;
        const size_t n = count < BYTES ? count : BYTES;
        memcpy(p->bytes, bytes, n);
        submit(p, ENDPOINT_OUT, n);
        return p->state == QUEUED ? n : 0;
    }
    return 0;
}

static bool any_queued(const struct usb_port *u)
{
    bool any = false;
    for (unsigned i = 0; i < TRANSFERS; i++)
        any = any || u->in[i].state == QUEUED || u->out[i].state == QUEUED;
    return any;
}

/* Ends all transfers; false if libusb holds on to one. */
static bool cancel_all(struct usb_port *u)
{
    for (unsigned i = 0; i < TRANSFERS; i++) {
        if (u->in[i].state == QUEUED)
            libusb_cancel_transfer(u->in[i].transfer);
        if (u->out[i].state == QUEUED)
            libusb_cancel_transfer(u->out[i].transfer);
    }
    for (int tries = 0; tries < 100 && any_queued(u); tries++) {
        struct timeval wait = { 0, 20000 };
        u->moved = 0;
        libusb_handle_events_timeout_completed(u->context, &wait, &u->moved);
    }
    return !any_queued(u);
}

static int move_bytes(void *priv, const uint8_t *out, size_t count, size_t *written, uint8_t *in,
                      size_t room, size_t *got, uint64_t wait_ns, struct accel_error *err)
{
    struct usb_port *u = priv;
    struct timeval wait = { 0, 0 };
    *got = take_arrived(u, in, room);
    *written = u->gone ? 0 : give(u, out, count);
    u->moved = 0;
    if (!*written && !*got) {
        wait.tv_sec = (time_t)(wait_ns / 1000000000u);
        wait.tv_usec = (suseconds_t)(wait_ns % 1000000000u / 1000u);
    }
    const int rc = libusb_handle_events_timeout_completed(u->context, &wait, &u->moved);
    if (u->gone || rc == LIBUSB_ERROR_NO_DEVICE) {
        u->gone = true;
        cancel_all(u); /* nothing shall wait for a device that is gone */
        return accel_fail(err, ACCEL_E_GONE, "%s: the device is gone: was it unplugged?", u->name);
    }
    if ((rc && rc != LIBUSB_ERROR_INTERRUPTED) || u->errors > MANY_ERRORS)
        return accel_fail(err, ACCEL_E_IO, "%s: transfers fail (%s): try another cable or port",
                          u->name, rc ? libusb_error_name(rc) : "errors on the bus");
    if (!*got)
        *got = take_arrived(u, in, room);
    return ACCEL_OK;
}

/* When nothing answers: as good as plugging it in again. */
static bool revive(void *priv)
{
    struct usb_port *u = priv;
    if (u->gone || !cancel_all(u) || libusb_reset_device(u->handle))
        return false;
    u->next_in = 0;
    u->errors = 0;
    for (unsigned i = 0; i < TRANSFERS; i++)
        u->in[i].state = u->out[i].state = FREE;
    return true;
}

/* ---- finding and opening ---- */

static bool is_ours(libusb_device *device)
{
    struct libusb_device_descriptor d;
    return libusb_get_device_descriptor(device, &d) == 0 && d.idVendor == VENDOR &&
           d.idProduct == PRODUCT;
}

static void read_serial(libusb_device_handle *handle, char *serial, size_t size)
{
    struct libusb_device_descriptor d;
    serial[0] = '\0';
    if (libusb_get_device_descriptor(libusb_get_device(handle), &d) || !d.iSerialNumber ||
        libusb_get_string_descriptor_ascii(handle, d.iSerialNumber, (unsigned char *)serial,
                                           (int)size) < 0)
        serial[0] = '\0';
    if (strpbrk(serial, ",="))
        serial[0] = '\0'; /* it could not be named in a URI */
}

/* Which process has the device's file open, as far as this user may see. */
static int find_user(unsigned bus, unsigned address, char *name, size_t size)
{
    char want[64], path[300], target[64];
    int found = 0;
    snprintf(want, sizeof want, "/dev/bus/usb/%03u/%03u", bus, address);
    DIR *all = opendir("/proc");
    for (const struct dirent *e; all && !found && (e = readdir(all)) != NULL;) {
        const int pid = atoi(e->d_name);
        if (pid <= 0 || pid == (int)getpid())
            continue;
        snprintf(path, sizeof path, "/proc/%d/fd", pid);
        DIR *fds = opendir(path);
        for (const struct dirent *f; fds && !found && (f = readdir(fds)) != NULL;) {
            snprintf(path, sizeof path, "/proc/%d/fd/%.20s", pid, f->d_name);
            const ssize_t n = readlink(path, target, sizeof target - 1);
            target[n < 0 ? 0 : n] = '\0';
            found = strcmp(target, want) == 0 ? pid : 0;
        }
        if (fds)
            closedir(fds);
    }
    if (all)
        closedir(all);
    snprintf(path, sizeof path, "/proc/%d/comm", found);
    FILE *comm = found ? fopen(path, "r") : NULL;
    if (!comm || !fgets(name, (int)size, comm))
        snprintf(name, size, "?");
    if (comm)
        fclose(comm);
    name[strcspn(name, "\n")] = '\0';
    return found;
}

static int refuse(const char *name, libusb_device *device, int rc, struct accel_error *err)
{
    char user[64];
    int pid;
    switch (rc) {
    case LIBUSB_ERROR_ACCESS:
        return accel_fail(
            err, ACCEL_E_IO,
            "%s: no permission: put the line SUBSYSTEM==\"usb\", "
            "ATTR{idVendor}==\"%04x\", ATTR{idProduct}==\"%04x\", TAG+=\"uaccess\" into "
            "/etc/udev/rules.d/70-accel.rules, then plug the board in again",
            name, VENDOR, PRODUCT);
    case LIBUSB_ERROR_BUSY:
        pid = find_user(libusb_get_bus_number(device), libusb_get_device_address(device), user,
                        sizeof user);
        if (pid)
            return accel_fail(err, ACCEL_E_IO, "%s: in use by process %d (%s): end it first", name,
                              pid, user);
        return accel_fail(err, ACCEL_E_IO, "%s: in use by another program: end it first", name);
    case LIBUSB_ERROR_NO_DEVICE:
        return accel_fail(err, ACCEL_E_GONE, "%s: the device is gone: was it unplugged?", name);
    case LIBUSB_ERROR_NO_MEM: return accel_fail(err, ACCEL_E_NOMEM, "%s: out of memory", name);
    default:
        return accel_fail(err, ACCEL_E_IO, "%s: cannot open it: %s", name, libusb_strerror(rc));
    }
}

/* Opens the first device with that serial number, or the first one if it is empty. */
static int find(struct usb_port *u, const char *serial, struct accel_error *err)
{
    libusb_device **list = NULL;
    const ssize_t count = libusb_get_device_list(u->context, &list);
    unsigned ours = 0;
    int rc = ACCEL_OK;
    for (ssize_t i = 0; i < count && !u->handle; i++) {
        if (!is_ours(list[i]))
            continue;
        ours++;
        snprintf(u->name, sizeof u->name, "usb: bus %u device %u", libusb_get_bus_number(list[i]),
                 libusb_get_device_address(list[i]));
        const int status = libusb_open(list[i], &u->handle);
        if (status) {
            u->handle = NULL;
            rc = refuse(u->name, list[i], status, err);
            continue;
        }
        read_serial(u->handle, u->serial, sizeof u->serial);
        if (!*serial || strcmp(serial, u->serial) == 0) {
            rc = ACCEL_OK;
            break;
        }
        libusb_close(u->handle);
        u->handle = NULL;
    }
    if (!u->handle && !rc)
        rc = ours ? accel_fail(err, ACCEL_E_IO,
                               "usb: %u accel devices are plugged in, but none with serial=%s; see "
                               "accel list",
                               ours, serial)
                  : accel_fail(err, ACCEL_E_IO,
                               "usb: no accel device (%04x:%04x) is plugged in: check cable, power "
                               "and that the board has its gateware",
                               VENDOR, PRODUCT);
    if (u->handle) {
        const int status = libusb_claim_interface(u->handle, 0);
        u->claimed = status == 0;
        rc = status ? refuse(u->name, libusb_get_device(u->handle), status, err) : ACCEL_OK;
    }
    if (count >= 0)
        libusb_free_device_list(list, 1);
    return rc;
}

static int parse(const char *params, char *serial, uint32_t *silence_ms, struct accel_error *err)
{
    char key[256], value[256];
    const char *cursor = params;
    int rc;
    serial[0] = '\0';
    *silence_ms = SILENCE_MS;
    while ((rc = uri_next_param(&cursor, key, value, err)) > 0) {
        if (strcmp(key, "serial") == 0) {
            memcpy(serial, value, sizeof value);
        } else if (strcmp(key, "silence") == 0) {
            if ((rc = uri_number("usb", key, value, silence_ms, err)) != ACCEL_OK)
                return rc;
        } else {
            return accel_fail(err, ACCEL_E_URI,
                              "usb: unknown parameter '%s'; known: serial, silence", key);
        }
    }
    return rc;
}

/* Lets go of the device; false if libusb holds on to a transfer. A transfer refers to its device, also when it is freed:
 * that has to come first. */
static bool let_go(struct usb_port *u)
{
    const bool idle = !u->handle || cancel_all(u);
    for (unsigned i = 0; i < TRANSFERS && idle; i++) {
        libusb_free_transfer(u->in[i].transfer);
        libusb_free_transfer(u->out[i].transfer);
        u->in[i].transfer = u->out[i].transfer = NULL;
    }
    if (u->claimed && !u->gone)
        libusb_release_interface(u->handle, 0);
    if (u->handle)
        libusb_close(u->handle);
    if (u->context && idle)
        libusb_exit(u->context);
    u->handle = NULL;
    u->context = NULL;
    u->claimed = false;
    return idle;
}

static void usb_close(struct accel_dev *dev)
{
    struct usb_port *u = dev->priv;
    dev->priv = NULL;
    remote_close(u->remote);
    if (let_go(u)) /* else libusb still writes into u: better lost than used after it was freed */
        free(u);
}

/* A context of its own each time: an old one may not have heard what was plugged in since. */
static int take_hold(struct usb_port *u, const char *serial, struct accel_error *err)
{
    if (libusb_init(&u->context)) {
        u->context = NULL;
        return accel_fail(err, ACCEL_E_IO, "usb: libusb does not start: is /dev/bus/usb there?");
    }
    u->gone = u->in_halted = u->out_halted = false;
    u->errors = u->next_in = 0;
    for (unsigned i = 0; i < TRANSFERS; i++) {
        u->in[i] = (struct piece){ .port = u, .transfer = libusb_alloc_transfer(0) };
        u->out[i] = (struct piece){ .port = u, .transfer = libusb_alloc_transfer(0) };
        if (!u->in[i].transfer || !u->out[i].transfer)
            return accel_fail(err, ACCEL_E_NOMEM, "out of memory: opening a device at USB");
    }
    return find(u, serial, err);
}

static int usb_reopen(struct accel_dev *dev, struct accel_error *err)
{
    struct usb_port *u = dev->priv;
    char serial[sizeof u->serial];
    memcpy(serial, u->serial, sizeof serial);
    if (!let_go(u))
        return accel_fail(err, ACCEL_E_GONE, "%s: libusb holds on to it: close it and open it anew",
                          u->name);
    int rc = take_hold(u, serial, err);
    memcpy(u->serial, serial, sizeof serial); /* find may have looked at others */
    return rc ? rc : remote_reopen(u->remote, err);
}

static int usb_open(struct accel_dev *dev, const char *params, struct accel_error *err)
{
    char serial[256];
    struct usb_port *u = calloc(1, sizeof *u);
    if (!u)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: opening usb:%.80s", params);
    dev->priv = u;
    int rc = parse(params, serial, &u->silence_ms, err);
    if (!rc)
        rc = take_hold(u, serial, err);
    if (!rc) {
        const uint64_t silence = u->silence_ms * 1000000ull;
        const struct carrier carrier = {
            .name = u->name,
            .move = move_bytes,
            .revive = revive,
            .priv = u,
            .timing = { TIMEOUT_NS, silence > 4 * TIMEOUT_NS ? silence : 4 * TIMEOUT_NS },
            .longest = LINK_MAX_PAYLOAD,
            .when_silent = "plug the board in again; if that does not help, load its gateware",
        };
        rc = remote_open(dev, &carrier, &u->remote, err);
    }
    if (rc) {
        usb_close(dev);
        return rc;
    }
    snprintf(dev->caps.uri, sizeof dev->caps.uri, "usb:%s%s", *u->serial ? "serial=" : "",
             u->serial);
    snprintf(dev->caps.backend, sizeof dev->caps.backend, "usb");
    return ACCEL_OK;
}

static int usb_list(int (*fn)(void *user, const char *uri, const char *what), void *user)
{
    libusb_context *context = NULL;
    libusb_device **list = NULL;
    libusb_device_handle *handle;
    char serial[64], uri[80], what[80];
    int rc = 0;
    if (libusb_init(&context))
        return 0; /* no USB here */
    const ssize_t count = libusb_get_device_list(context, &list);
    for (ssize_t i = 0; i < count && !rc; i++) {
        if (!is_ours(list[i]) || libusb_open(list[i], &handle))
            continue;
        read_serial(handle, serial, sizeof serial);
        libusb_close(handle);
        snprintf(uri, sizeof uri, "usb:%s%s", *serial ? "serial=" : "", serial);
        snprintf(what, sizeof what, "board at USB bus %u device %u", libusb_get_bus_number(list[i]),
                 libusb_get_device_address(list[i]));
        rc = fn(user, uri, what);
    }
    if (count >= 0)
        libusb_free_device_list(list, 1);
    libusb_exit(context);
    return rc;
}

const struct accel_backend accel_backend_usb = {
    .scheme = "usb",
    .open = usb_open,
    .close = usb_close,
    .load = remote_load,
    .run = remote_run,
    .can_run = remote_can_run,
    .peek = remote_peek,
    .poke = remote_poke,
    .reopen = usb_reopen,
    .list = usb_list,
};
