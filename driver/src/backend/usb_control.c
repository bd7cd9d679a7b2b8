/* usb_control.c - requests to a board's endpoint 0, which answers whatever its streams do.
 * SPDX-License-Identifier: Apache-2.0 */
#include "usb.h"

#include "../link/frame.h"

#define REQUEST_IN  (LIBUSB_ENDPOINT_IN | LIBUSB_REQUEST_TYPE_VENDOR)
#define REQUEST_OUT (LIBUSB_ENDPOINT_OUT | LIBUSB_REQUEST_TYPE_VENDOR)
#define TIMEOUT_MS  1000u

static int failed(const char *name, const char *what, int rc, struct accel_error *err)
{
    switch (rc) {
    case LIBUSB_ERROR_NO_DEVICE:
        return accel_fail(err, ACCEL_E_GONE, "%s: the device is gone: was it unplugged?", name);
    case LIBUSB_ERROR_TIMEOUT:
        return accel_fail(err, ACCEL_E_GONE,
                          "%s: endpoint 0 does not answer %s for %.1f s: plug the board in again",
                          name, what, TIMEOUT_MS * 1e-3);
    case LIBUSB_ERROR_PIPE:
        return accel_fail(err, ACCEL_E_DEVICE,
                          "%s: it refuses the request %s: is its gateware ours, and not older? "
                          "program it: make program BOARD=NAME, docs/boards.md",
                          name, what);
    default:
        return accel_fail(err, ACCEL_E_IO, "%s: request %s: %s", name, what,
                          rc >= 0 ? "too short an answer" : libusb_strerror(rc));
    }
}

/* Exactly `count` bytes, or an error. */
static int ask(libusb_device_handle *h, const char *name, const char *what, uint8_t request,
               uint16_t index, uint8_t *bytes, uint16_t count, struct accel_error *err)
{
    const int rc = libusb_control_transfer(h, REQUEST_IN, request, 0, index, bytes, count,
                                           TIMEOUT_MS);
    return rc == count ? ACCEL_OK : failed(name, what, rc, err);
}

int usb_identify(libusb_device_handle *h, const char *name, struct accel_error *err)
{
    uint8_t b[16] = { 0 };
    const int rc = libusb_control_transfer(h, REQUEST_IN, LINK_USB_INFO, 0, 0, b, sizeof b,
                                           TIMEOUT_MS);
    if (rc < 0 && rc != LIBUSB_ERROR_PIPE)
        return ACCEL_OK;
    if (rc != sizeof b || link_get32(b) != LINK_MAGIC_WORD)
        return accel_fail(err, ACCEL_E_DEVICE,
                          "%s: it has our number, %04x:%04x, but is no accel device, or one with "
                          "old gateware: make program BOARD=NAME, docs/boards.md",
                          name, LINK_USB_VENDOR, LINK_USB_PRODUCT);
    const unsigned highest = link_get16(b + 4), lowest = link_get16(b + 6);
    if (lowest > LINK_PROTOCOL_MAX || highest < LINK_PROTOCOL_MIN)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s: its gateware speaks protocol %u to %u, this library %u to %u: %s",
                          name, lowest, highest, LINK_PROTOCOL_MIN, LINK_PROTOCOL_MAX,
                          lowest > LINK_PROTOCOL_MAX
                              ? "update libaccel"
                              : "program it anew: make program BOARD=NAME, docs/boards.md");
    return ACCEL_OK;
}

int usb_read_status(libusb_device_handle *h, const char *name, struct accel_usb_status *status,
                    struct accel_error *err)
{
    uint8_t info[16], s[12];
    int rc = ask(h, name, "INFO", LINK_USB_INFO, 0, info, sizeof info, err);
    if (!rc)
        rc = ask(h, name, "STATUS", LINK_USB_STATUS, 0, s, sizeof s, err);
    if (rc)
        return rc;
    *status = (struct accel_usb_status){
        .protocol_max = link_get16(info + 4),
        .protocol_min = link_get16(info + 6),
        .clock_hz = link_get32(info + 8),
        .build = link_get32(info + 12),
        .core_busy = s[0] & 1,
        .high_speed = s[0] >> 1 & 1,
        .out_halted = s[0] >> 2 & 1,
        .in_halted = s[0] >> 3 & 1,
        .has_room = s[0] >> 4 & 1,
        .has_packet = s[0] >> 5 & 1,
        .received = link_get32(s + 4),
        .sent = link_get32(s + 8),
    };
    return ACCEL_OK;
}

int usb_peek_registers(libusb_device_handle *h, const char *name, uint16_t word, uint16_t count,
                       uint32_t *values, struct accel_error *err)
{
    uint8_t b[4];
    for (uint16_t i = 0; i < count; i++) {
        const int rc = ask(h, name, "PEEK", LINK_USB_PEEK, (uint16_t)(word + i), b, sizeof b, err);
        if (rc)
            return rc;
        values[i] = link_get32(b);
    }
    return ACCEL_OK;
}

int usb_poke_register(libusb_device_handle *h, const char *name, uint16_t word, uint32_t value,
                      struct accel_error *err)
{
    uint8_t b[4];
    link_put32(b, value);
    const int rc = libusb_control_transfer(h, REQUEST_OUT, LINK_USB_POKE, 0, word, b, sizeof b,
                                           TIMEOUT_MS);
    return rc == sizeof b ? ACCEL_OK : failed(name, "POKE", rc, err);
}

int usb_command(libusb_device_handle *h, const char *name, uint8_t request, struct accel_error *err)
{
    const int rc = libusb_control_transfer(h, REQUEST_OUT, request, 0, 0, NULL, 0, TIMEOUT_MS);
    return rc == 0 ? ACCEL_OK
                   : failed(name, request == LINK_USB_ABORT ? "ABORT" : "RESET_STREAM", rc, err);
}
