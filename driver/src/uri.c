/* uri.c - the parameter list of a device URI.
 * SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define PARAM_MAX 255 /* longest key or value; callers' buffers hold one byte more */

int uri_next_param(const char **cursor, char *key, char *value, struct accel_error *err)
{
    const char *p = *cursor;
    if (*p == '\0')
        return 0;
    size_t len = strcspn(p, ",");
    size_t key_len = strcspn(p, "=,");
    if (key_len == len)
        return accel_fail(err, ACCEL_E_URI, "device URI: '%.*s' has no value; write name=value",
                          (int)(len > 60 ? 60 : len), p);
    size_t value_len = len - key_len - 1;
    if (key_len == 0 || value_len == 0)
        return accel_fail(err, ACCEL_E_URI, "device URI: empty %s in '%.*s'; write name=value",
                          key_len ? "value" : "name", (int)(len > 60 ? 60 : len), p);
    if (key_len > PARAM_MAX || value_len > PARAM_MAX)
        return accel_fail(err, ACCEL_E_URI, "device URI: '%.40s...' is longer than %d bytes", p,
                          PARAM_MAX);
    if (p[len] == ',' && p[len + 1] == '\0')
        return accel_fail(err, ACCEL_E_URI, "device URI: a name=value pair must follow the comma");
    memcpy(key, p, key_len);
    key[key_len] = '\0';
    memcpy(value, p + key_len + 1, value_len);
    value[value_len] = '\0';
    *cursor = p[len] == ',' ? p + len + 1 : p + len;
    return 1;
}

int uri_number(const char *scheme, const char *key, const char *value, uint32_t *v,
               struct accel_error *err)
{
    char *end;
    const unsigned long n = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end || n == 0 || n > 100000000)
        return accel_fail(err, ACCEL_E_URI, "%s: %s=%.40s is no number from 1 to 100000000", scheme,
                          key, value);
    *v = (uint32_t)n;
    return ACCEL_OK;
}
