/* record.c - accel record and replay: what crosses the link to a board, in a file and out of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static bool is_board(const char *uri)
{
    return strncmp(uri, "serial:", 7) == 0 || strncmp(uri, "usb:", 4) == 0;
}

int record_board(struct options *o, const char *path, char *uri, size_t size)
{
    unsigned boards = 0, which = 0;
    for (unsigned i = 0; i < o->device_count; i++)
        if (is_board(o->devices[i])) {
            boards++;
            which = i;
        }
    if (boards != 1)
        return usage_error("record: name one board, as in -d usb: or -d serial:/dev/ttyUSB0");
    if (strpbrk(path, ",="))
        return usage_error("record: a file name with a comma or an equals sign is none for a URI");
    const char *board = o->devices[which];
    const int n = snprintf(uri, size, "%s%srecord=%s", board,
                           board[strlen(board) - 1] == ':' ? "" : ",", path);
    if (n < 0 || (size_t)n >= size)
        return usage_error("record: names that long are not taken");
    o->devices[which] = uri;
    return EXIT_OK;
}

int run_replay(const struct options *o)
{
    struct accel_error err = { 0 };
    struct accel_replay_stats done = { 0 };
    struct json j = { .out = stdout };
    accel_dev *dev = NULL;
    char *bytes = NULL;
    size_t count = 0;
    if (o->file_count != 1)
        return usage_error("replay: name one recording");
    int rc = read_file(o->files[0], &bytes, &count);
    if (rc)
        return rc;
    rc = open_device(first_device(o), &dev);
    if (rc)
        goto out;
    const int status = accel_replay(dev, bytes, count, &done, &err);
    if (o->json) {
        json_object(&j, NULL);
        json_bool(&j, "same", status == ACCEL_OK);
        json_int(&j, "sessions", done.sessions);
        json_int(&j, "jobs", done.jobs);
        json_int(&j, "bytes_sent", done.sent);
        json_int(&j, "bytes_compared", done.compared);
        json_bool(&j, "truncated", done.truncated);
        json_end_object(&j);
    }
    if (done.truncated)
        fprintf(stderr, "accel: %s ends in the middle: replayed up to there\n", o->files[0]);
    if (status)
        rc = report_error(&err);
    else if (!o->json)
        printf("same answers: %llu jobs in %llu sessions, %llu bytes sent, %llu bytes compared\n",
               (unsigned long long)done.jobs, (unsigned long long)done.sessions,
               (unsigned long long)done.sent, (unsigned long long)done.compared);
out:
    accel_close(dev);
    free(bytes);
    return rc;
}
