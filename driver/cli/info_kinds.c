/* info_kinds.c - which PE kind runs which weight format, and why not the others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_KINDS = 32, MAX_ARRAYS = 8, GROUP = 128 };

struct table {
    struct accel_caps caps[MAX_KINDS]; /* of the first array of each kind */
    accel_dev *devs[MAX_KINDS][MAX_ARRAYS];
    unsigned arrays[MAX_KINDS];
    unsigned count;
    struct accel_error err;
};

/* Whether an array of the kind runs the format; if none, why not the first. */
static bool runs(const struct table *t, unsigned k, accel_format f, struct accel_error *err)
{
    for (unsigned i = t->arrays[k]; i-- > 0;)
        if (accel_can_run(t->devs[k][i], f, GROUP, err))
            return true;
    return false;
}

static int open_kind(void *user, const char *uri, const char *what)
{
    struct table *t = user;
    struct accel_caps caps;
    accel_dev *dev;
    (void)what;
    int rc = accel_open(uri, NULL, &dev, &t->err);
    if (rc)
        return rc;
    accel_get_caps(dev, &caps);
    unsigned k = 0;
    while (k < t->count && strcmp(t->caps[k].pe, caps.pe) != 0)
        k++;
    if (k == MAX_KINDS || t->arrays[k] == MAX_ARRAYS) {
        accel_close(dev);
        return ACCEL_OK;
    }
    if (k == t->count) {
        t->caps[k] = caps;
        t->count++;
    }
    t->devs[k][t->arrays[k]++] = dev;
    return ACCEL_OK;
}

static void print_json(const struct table *t)
{
    struct json j = { .out = stdout };
    json_object(&j, NULL);
    json_array(&j, "kinds");
    for (unsigned k = 0; k < t->count; k++) {
        json_object(&j, NULL);
        json_string(&j, "kind", t->caps[k].pe);
        json_string(&j, "device", t->caps[k].uri);
        json_array(&j, "formats");
        accel_format f;
        for (unsigned i = 0; (f = accel_format_at(i)) != 0; i++) {
            struct accel_error err = { 0 };
            bool can = runs(t, k, f, &err);
            json_object(&j, NULL);
            json_string(&j, "format", accel_format_name(f));
            json_bool(&j, "runs", can);
            if (!can)
                json_string(&j, "reason", err.text);
            json_end_object(&j);
        }
        json_end_array(&j);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
}

/* Each reason once, with the formats it keeps out. */
static void print_reasons(const struct table *t, unsigned k)
{
    accel_format f, g;
    for (unsigned i = 0; (f = accel_format_at(i)) != 0; i++) {
        struct accel_error err = { 0 }, other = { 0 };
        if (runs(t, k, f, &err))
            continue;
        const char *reason = strstr(err.text, ": ");
        bool said = false;
        for (unsigned n = 0; n < i && !said && reason; n++)
            if (!runs(t, k, accel_format_at(n), &other)) {
                const char *r = strstr(other.text, ": ");
                said = r && strcmp(r, reason) == 0;
            }
        if (said || !reason)
            continue;
        printf("%-10s", t->caps[k].pe);
        for (unsigned n = i; (g = accel_format_at(n)) != 0; n++) {
            if (runs(t, k, g, &other))
                continue;
            const char *r = strstr(other.text, ": ");
            if (r && strcmp(r, reason) == 0)
                printf(" %s", accel_format_name(g));
        }
        printf("%s\n", reason);
    }
}

static void print_text(const struct table *t)
{
    accel_format f;
    printf("%-10s", "");
    for (unsigned k = 0; k < t->count; k++)
        printf(" %s", t->caps[k].pe);
    printf("\n");
    for (unsigned i = 0; (f = accel_format_at(i)) != 0; i++) {
        printf("%-10s", accel_format_name(f));
        for (unsigned k = 0; k < t->count; k++)
            printf(" %*s", (int)strlen(t->caps[k].pe), runs(t, k, f, NULL) ? "yes" : "-");
        printf("\n");
    }
    printf("\nWhy not:\n");
    for (unsigned k = 0; k < t->count; k++)
        print_reasons(t, k);
    printf("%-10s e5m2: %s\n", "all", accel_format_refusal("e5m2"));
}

int kinds_info(const struct options *o)
{
    struct table *t = calloc(1, sizeof *t);
    int rc = EXIT_FAILED;
    if (!t) {
        fprintf(stderr, "accel: out of memory\n");
        return EXIT_LIBRARY - ACCEL_E_NOMEM;
    }
    if (accel_list(open_kind, t))
        rc = report_error(&t->err);
    else {
        rc = EXIT_OK;
        if (o->json)
            print_json(t);
        else
            print_text(t);
    }
    for (unsigned k = 0; k < t->count; k++)
        for (unsigned i = 0; i < t->arrays[k]; i++)
            accel_close(t->devs[k][i]);
    free(t);
    return rc;
}
