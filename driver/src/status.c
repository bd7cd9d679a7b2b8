/* status.c - error codes in words, the error helper, versions.
 * SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT2(x) #x
#define TEXT(x)  TEXT2(x)

unsigned accel_api_version(void)
{
    return ACCEL_API_VERSION;
}

const char *accel_version_string(void)
{
    return TEXT(ACCEL_VERSION_MAJOR) "." TEXT(ACCEL_VERSION_MINOR) "." TEXT(ACCEL_VERSION_PATCH);
}

const char *accel_strerror(int status)
{
    switch (status) {
    case ACCEL_OK: return "Success.";
    case ACCEL_E_ARG: return "An argument is missing or out of range.";
    case ACCEL_E_NOMEM: return "Out of memory; nothing was changed.";
    case ACCEL_E_IO: return "The operating system refused to open, map or write a file.";
    case ACCEL_E_URI: return "Unknown device scheme, parameter or value in a device URI.";
    case ACCEL_E_CORRUPT: return "The file is truncated, corrupt or contradicts itself.";
    case ACCEL_E_UNSUPPORTED: return "Well-formed, but this build or device cannot do it.";
    case ACCEL_E_CONTEXT: return "More tokens than the model's context holds.";
    case ACCEL_E_TIMEOUT: return "The deadline passed.";
    case ACCEL_E_CANCELLED: return "The job was cancelled before it began.";
    case ACCEL_E_QUEUE: return "The job queue is full: wait for a ticket first.";
    case ACCEL_E_OVERFLOW: return "48 bits cannot be proved to hold this matrix's results.";
    case ACCEL_E_DEVICE: return "The device broke the protocol or reported a fault.";
    case ACCEL_E_GONE: return "The device is closed or unplugged; only close is left.";
    case ACCEL_E_MISMATCH: return "Two devices disagree.";
    default: return "Unknown status code.";
    }
}

int(accel_fail)(struct accel_error *err, int status, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        err->status = status;
        if (vsnprintf(err->text, sizeof err->text, fmt, args) < 0)
            err->text[0] = '\0';
        va_end(args);
    }
    return status;
}
