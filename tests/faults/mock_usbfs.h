/* mock_usbfs.h - a device file of the kernel's usbfs, by umockdev: libusb takes what is behind it for a USB device.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MOCK_USBFS_H
#define MOCK_USBFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umockdev.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A transfer that a program has submitted. */
struct mock_urb {
    bool control; /* bytes begin with the eight of the setup packet */
    uint8_t endpoint;
    uint8_t *bytes;
    size_t length;
    void *user; /* the device's own */
    UMockdevIoctlData *urb, *data;
    UMockdevIoctlClient *client;
};

/* What the device does. All are called with the lock held, on umockdev's thread. */
struct mock_device {
    /* It calls mock_end, now or later. @return 0, or an errno: it was not taken */
    int (*submit)(void *user, struct mock_urb *u);
    void (*cancel)(void *user, struct mock_urb *u); /* forget it */
    int (*claim)(void *user); /* @return an errno; NULL: whoever is the first gets it */
    int (*clear_halt)(void *user, uint8_t endpoint); /* @return an errno, as the next one */
    int (*reset)(void *user);
    bool (*gone)(void *user); /* the cable was pulled */
    void *user;
};

struct mock_usbfs;

/* description: as umockdev wants it, of the device file `node`. NULL: not possible, as stderr says. */
struct mock_usbfs *mock_plug_in(UMockdevTestbed *bed, const char *node, const char *sysfs,
                                const char *description, const struct mock_device *device);
/* Takes it from the list of devices; what is still submitted ends. m is not to be used any more. */
void mock_remove(struct mock_usbfs *m);

void mock_lock(struct mock_usbfs *m);
void mock_unlock(struct mock_usbfs *m);
/* Whether umockdev's thread waits for the lock. */
bool mock_wanted(struct mock_usbfs *m);
/* Ends a transfer, with the lock held. status: 0 or negative errno, as usbfs has it */
void mock_end(struct mock_usbfs *m, struct mock_urb *u, int status, size_t count);

#ifdef __cplusplus
}
#endif
#endif
