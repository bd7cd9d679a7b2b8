/* usb_find.c - which boards are at USB, opening the one that is meant, and why it cannot be opened.
 * SPDX-License-Identifier: Apache-2.0 */
#include "usb.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH = 7, LISTED = 16 };

static bool is_ours(libusb_device *device)
{
    struct libusb_device_descriptor d;
    return libusb_get_device_descriptor(device, &d) == 0 && d.idVendor == LINK_USB_VENDOR &&
           d.idProduct == LINK_USB_PRODUCT;
}

static void read_serial(libusb_device_handle *handle, char *serial)
{
    struct libusb_device_descriptor d;
    serial[0] = '\0';
    if (libusb_get_device_descriptor(libusb_get_device(handle), &d) || !d.iSerialNumber ||
        libusb_get_string_descriptor_ascii(handle, d.iSerialNumber, (unsigned char *)serial,
                                           USB_SERIAL) < 0)
        serial[0] = '\0';
    if (strpbrk(serial, ",="))
        serial[0] = '\0'; /* it could not be named in a URI */
}

/* "1-1.2": stays the same when the board is plugged in again. */
static void read_port(libusb_device *device, char *port)
{
    uint8_t hubs[DEPTH];
    const int depth = libusb_get_port_numbers(device, hubs, DEPTH);
    int used = snprintf(port, USB_PORT, "%u", libusb_get_bus_number(device));
    for (int i = 0; i < depth && used < USB_PORT; i++)
        used += snprintf(port + used, (size_t)(USB_PORT - used), "%c%u", i ? '.' : '-', hubs[i]);
}

/* ---- why not ---- */

/* Which process has the device's file open, as far as this user may see. */
static int find_user(libusb_device *device, char *name, size_t size)
{
    char want[64], path[300], target[64];
    int found = 0;
    snprintf(want, sizeof want, "/dev/bus/usb/%03u/%03u", libusb_get_bus_number(device),
             libusb_get_device_address(device));
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

/* The kernel's own driver that has the interface; false: none. */
static bool find_driver(const char *port, char *name, size_t size)
{
    char path[96], target[256];
    snprintf(path, sizeof path, "/sys/bus/usb/devices/%s:1.0/driver", port);
    const ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return false;
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    snprintf(name, size, "%.60s", slash ? slash + 1 : target);
    return strcmp(name, "usbfs") != 0;
}

static int is_busy(const struct usb_found *f, libusb_device *device, struct accel_error *err)
{
    char user[64];
    const int pid = find_user(device, user, sizeof user);
    if (pid)
        return accel_fail(err, ACCEL_E_IO, "%s: in use by process %d (%s): end it first", f->name,
                          pid, user);
    if (find_driver(f->port, user, sizeof user))
        return accel_fail(err, ACCEL_E_IO,
                          "%s: in use by the kernel's driver %s: echo %s:1.0 | sudo tee "
                          "/sys/bus/usb/drivers/%s/unbind",
                          f->name, user, f->port, user);
    return accel_fail(err, ACCEL_E_IO, "%s: in use by another program: end it first", f->name);
}

static int refuse(const struct usb_found *f, libusb_device *device, int rc, struct accel_error *err)
{
    switch (rc) {
    case LIBUSB_ERROR_ACCESS:
        return accel_fail(
            err, ACCEL_E_IO,
            "%s: no permission: put the line SUBSYSTEM==\"usb\", "
            "ATTR{idVendor}==\"%04x\", ATTR{idProduct}==\"%04x\", TAG+=\"uaccess\" into "
            "/etc/udev/rules.d/70-accel.rules, then plug the board in again",
            f->name, LINK_USB_VENDOR, LINK_USB_PRODUCT);
    case LIBUSB_ERROR_BUSY: return is_busy(f, device, err);
    case LIBUSB_ERROR_NO_DEVICE:
        return accel_fail(err, ACCEL_E_GONE, "%s: the device is gone: was it unplugged?", f->name);
    case LIBUSB_ERROR_NO_MEM: return accel_fail(err, ACCEL_E_NOMEM, "%s: out of memory", f->name);
    default:
        return accel_fail(err, ACCEL_E_IO, "%s: cannot open it: %s", f->name, libusb_strerror(rc));
    }
}

/* ---- looking ---- */

/* What was seen while looking. */
struct search {
    unsigned ours, fitting;
    libusb_device *device; /* the first of those that fit */
    char names[160];       /* of those that fit */
};

static int look_at(libusb_device *device, const struct usb_choice *c, struct search *s,
                   struct usb_found *found, struct accel_error *err)
{
    struct usb_found f = { .handle = NULL };
    read_port(device, f.port);
    snprintf(f.name, sizeof f.name, "usb: bus %u device %u", libusb_get_bus_number(device),
             libusb_get_device_address(device));
    s->ours++;
    if (*c->port && strcmp(c->port, f.port) != 0)
        return ACCEL_OK;
    const int status = libusb_open(device, &f.handle);
    if (status)
        return refuse(&f, device, status, err);
    read_serial(f.handle, f.serial);
    libusb_close(f.handle);
    f.handle = NULL;
    if (*c->serial && strcmp(c->serial, f.serial) != 0)
        return ACCEL_OK;
    const size_t used = strlen(s->names);
    snprintf(s->names + used, sizeof s->names - used, "%susb:port=%s (serial %s)", used ? ", " : "",
             f.port, *f.serial ? f.serial : "none");
    if (s->fitting++ == 0) {
        s->device = device;
        *found = f;
    }
    return ACCEL_OK;
}

static int choose(const struct usb_choice *c, const struct search *s, struct accel_error *err)
{
    if (s->fitting > 1)
        return accel_fail(err, ACCEL_E_IO, "usb: %u boards fit; name one: %s", s->fitting,
                          s->names);
    if (s->fitting == 1)
        return ACCEL_OK;
    if (s->ours)
        return accel_fail(err, ACCEL_E_IO,
                          "usb: %u accel devices are plugged in, but none with %s=%.40s; see accel "
                          "list",
                          s->ours, *c->port ? "port" : "serial", *c->port ? c->port : c->serial);
    return accel_fail(err, ACCEL_E_IO,
                      "usb: no accel device (%04x:%04x) is plugged in: check cable, power "
                      "and that the board has its gateware",
                      LINK_USB_VENDOR, LINK_USB_PRODUCT);
}

int usb_find(libusb_context *context, const struct usb_choice *choice, bool claim,
             struct usb_found *found, struct accel_error *err)
{
    libusb_device **list = NULL;
    struct search s = { 0 };
    const ssize_t count = libusb_get_device_list(context, &list);
    int refused = ACCEL_OK;
    *found = (struct usb_found){ .handle = NULL };
    for (ssize_t i = 0; i < count; i++) {
        const int rc = is_ours(list[i]) ? look_at(list[i], choice, &s, found, err) : ACCEL_OK;
        refused = rc ? rc : refused;
    }
    int rc = refused && !s.fitting ? refused : choose(choice, &s, err);
    if (!rc) {
        const int status = libusb_open(s.device, &found->handle);
        rc = status ? refuse(found, s.device, status, err)
                    : usb_identify(found->handle, found->name, err);
    }
    if (!rc && claim) {
        const int status = libusb_claim_interface(found->handle, 0);
        rc = status ? refuse(found, libusb_get_device(found->handle), status, err) : ACCEL_OK;
    }
    if (rc && found->handle) {
        libusb_close(found->handle);
        found->handle = NULL;
    }
    if (count >= 0)
        libusb_free_device_list(list, 1);
    return rc;
}

int usb_list(int (*fn)(void *user, const char *uri, const char *what), void *user)
{
    libusb_context *context = NULL;
    libusb_device **list = NULL;
    struct usb_found all[LISTED] = { { .handle = NULL } };
    char uri[80], what[LISTED][120];
    unsigned found = 0;
    int rc = 0;
    if (libusb_init(&context))
        return 0; /* no USB here */
    const ssize_t count = libusb_get_device_list(context, &list);
    for (ssize_t i = 0; i < count && found < LISTED; i++) {
        struct usb_found *f = &all[found];
        if (!is_ours(list[i]))
            continue;
        const int status = libusb_open(list[i], &f->handle);
        read_port(list[i], f->port);
        if (!status) {
            read_serial(f->handle, f->serial);
            libusb_close(f->handle);
        }
        snprintf(what[found], sizeof *what, "board at USB bus %u device %u, port %s%s",
                 libusb_get_bus_number(list[i]), libusb_get_device_address(list[i]), f->port,
                 status == LIBUSB_ERROR_ACCESS ? ": no permission to open it" : "");
        found++;
    }
    for (unsigned i = 0; i < found && !rc; i++) {
        bool unique = *all[i].serial != '\0'; /* boards with the same gateware may share a number */
        for (unsigned j = 0; j < found; j++)
            unique = unique && (i == j || strcmp(all[i].serial, all[j].serial) != 0);
        snprintf(uri, sizeof uri, "usb:%s=%s", unique ? "serial" : "port",
                 unique ? all[i].serial : all[i].port);
        rc = fn(user, uri, what[i]);
    }
    if (count >= 0)
        libusb_free_device_list(list, 1);
    libusb_exit(context);
    return rc;
}
