/* usb.h - what the files of the usb: backend share: finding a board, and its endpoint 0.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BACKEND_USB_H
#define ACCEL_BACKEND_USB_H

#include "../internal.h"

#include "link_constants.h"

#include <libusb.h>

enum { USB_SERIAL = 64, USB_PORT = 32, USB_NAME = 96, USB_CHOICE = 256 };

/* Which board: empty strings take any. */
struct usb_choice {
    char serial[USB_CHOICE], port[USB_CHOICE];
};

struct usb_found {
    libusb_device_handle *handle;
    char name[USB_NAME]; /* for messages: "usb: bus 1 device 2" */
    char serial[USB_SERIAL];
    char port[USB_PORT]; /* "1-1.2", as the kernel calls it */
};

/* ---- usb_find.c ---- */

/* Opens the one board that fits; claims its interface unless only its registers are wanted.
 * @return ACCEL_OK, _E_IO (none, several, not permitted, busy), _E_UNSUPPORTED (its protocol), _E_DEVICE, _E_GONE */
int usb_find(libusb_context *context, const struct usb_choice *choice, bool claim,
             struct usb_found *found, struct accel_error *err);
int usb_list(int (*fn)(void *user, const char *uri, const char *what), void *user);

/* ---- usb_control.c: requests to endpoint 0, docs/link.md ---- */

/* Whether it is a board whose protocol we speak. One that does not answer passes: the link will tell. */
int usb_identify(libusb_device_handle *h, const char *name, struct accel_error *err);
int usb_read_status(libusb_device_handle *h, const char *name, struct accel_usb_status *status,
                    struct accel_error *err);
int usb_peek_registers(libusb_device_handle *h, const char *name, uint16_t word, uint16_t count,
                       uint32_t *values, struct accel_error *err);
int usb_poke_register(libusb_device_handle *h, const char *name, uint16_t word, uint32_t value,
                      struct accel_error *err);
/* LINK_USB_RESET_STREAM or LINK_USB_ABORT */
int usb_command(libusb_device_handle *h, const char *name, uint8_t request,
                struct accel_error *err);

#endif
