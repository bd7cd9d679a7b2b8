/* list.c - accel list.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static int print_text(void *user, const char *uri, const char *what)
{
    (void)user;
    printf("%-36s %s\n", uri, what);
    return 0;
}

static int print_json(void *user, const char *uri, const char *what)
{
    struct json *j = user;
    json_object(j, NULL);
    json_string(j, "device", uri);
    json_string(j, "description", what);
    json_end_object(j);
    return 0;
}

int run_list(const struct options *o)
{
    struct json j = { .out = stdout };
    if (!o->json)
        return accel_list(print_text, NULL) ? EXIT_FAILED : EXIT_OK;
    json_object(&j, NULL);
    json_array(&j, "devices");
    accel_list(print_json, &j);
    json_end_array(&j);
    json_end_object(&j);
    return EXIT_OK;
}
