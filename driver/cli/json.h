/* json.h - write JSON to a stream, one value after the other, with commas and indentation.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_JSON_H
#define ACCEL_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    unsigned depth; /* open objects and arrays, at most 31 */
    uint32_t used;  /* bit d: something stands at depth d already */
};

/* key is NULL inside an array and at the top. */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end_object(struct json *j);
void json_end_array(struct json *j);
/* Any bytes; those that are no UTF-8 become U+FFFD. */
void json_text(struct json *j, const char *key, const char *text, size_t len);
void json_string(struct json *j, const char *key, const char *text);
void json_int(struct json *j, const char *key, uint64_t v);
/* The shortest digits that read back as v; null if v is not finite. */
void json_number(struct json *j, const char *key, double v);
void json_bool(struct json *j, const char *key, int v);
void json_null(struct json *j, const char *key);

#endif
