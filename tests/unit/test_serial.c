/* test_serial.c - the serial: backend against a board in software behind a pseudo terminal, over good and bad cables.
 * SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 600 /* posix_openpt */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "internal.h"
#include "link_device.h"
#include "random_matrix.h"
#include "stream_model.h"

#include "backend/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 8, LANES = 16, UNITS = 4, MOST = 1 << 20 };

/* What the board holds of each stream; a command is run as soon as all its bytes are there. */
struct board {
    pthread_t thread;
    pthread_mutex_t mutex;
    int port, other;
    char uri[96];
    struct link_device device;
    uint8_t *bytes[LINK_STREAMS];
    size_t count[LINK_STREAMS];
    int64_t *results;
    size_t result_bytes, result_at; /* still to be sent */
    uint16_t id;
    uint8_t status; /* of its completion */
    uint64_t received;

    /* set by the test */
    size_t need[LINK_STREAMS]; /* bytes of the job that comes */
    struct rng rng;
    unsigned faults;   /* once in so many bytes; 0: a good cable */
    uint64_t power_at; /* forget everything at this byte from the host, once; 0: never */
    uint64_t pull_at;  /* the cable, likewise */
    uint64_t mute_at;  /* say nothing any more, likewise */
    bool lazy;         /* never finishes a job */
    bool stop;
};

static void forget(void *user)
{
    struct board *b = user;
    memset(b->count, 0, sizeof b->count);
    b->result_bytes = b->result_at = 0;
}

static void power_on(struct board *b)
{
    static const uint32_t rooms[LINK_STREAMS] = { 64, 512, 2048, 512, 256 };
    memset(&b->device, 0, sizeof b->device);
    forget(b);
    memcpy(b->device.room, rooms, sizeof rooms);
    b->device.reset = forget;
    b->device.user = b;
    uint32_t *r = b->device.registers;
    const uint32_t core[] = { 0x4c434341, 1, 0, ROWS, LANES, UNITS, 8, 256, 512, 0, 24, 256 };
    memcpy(r, core, sizeof core);
    r[LINK_REG_MAGIC] = LINK_MAGIC_WORD;
    r[LINK_REG_PROTOCOL] = LINK_PROTOCOL_MIN << 16 | LINK_PROTOCOL_MAX;
    memcpy(r + LINK_REG_ROOM, rooms, sizeof rooms);
}

static void compute(struct board *b)
{
    uint32_t c[4];
    for (unsigned s = 0; s < LINK_STREAMS; s++) {
        assert_true(b->count[s] <= b->need[s]);
        if (b->count[s] < b->need[s] || b->count[0] < sizeof c)
            return;
    }
    memcpy(c, b->bytes[LINK_STREAM_COMMAND], sizeof c);
    const struct stream_array array = { 0, ROWS, LANES, UNITS, 256 };
    const struct stream_command command = { .row_tiles = c[1] & 0xFFFF,
                                            .columns = c[1] >> 16,
                                            .steps = c[2] & 0xFFFF,
                                            .chunk_steps = c[2] >> 16,
                                            .planes = c[3] & 15,
                                            .coding = c[3] >> 4 & 3,
                                            .table = c[3] >> 10 & 31,
                                            .outlier_chunks = c[3] >> 16,
                                            .asymmetric = c[3] >> 6 & 1,
                                            .row_header = c[3] >> 7 & 1,
                                            .requantize = c[3] >> 9 & 1,
                                            .selectors = c[3] >> 15 & 1 };
    const struct stream_data data = { .x = b->bytes[LINK_STREAM_X],
                                      .w = b->bytes[LINK_STREAM_W],
                                      .h = (const uint16_t *)(const void *)b->bytes[LINK_STREAM_H],
                                      .x_beats = b->count[LINK_STREAM_X] / LANES,
                                      .w_beats = b->count[LINK_STREAM_W] / (ROWS * LANES / 8),
                                      .h_beats = b->count[LINK_STREAM_H] / (2 * UNITS),
                                      .o = (const uint64_t *)(const void *)b->bytes[LINK_STREAM_O],
                                      .o_beats = b->count[LINK_STREAM_O] / 8 };
    const char *wrong = stream_model(&array, &command, &data, b->results);
    if (wrong)
        fail_msg("the board got wrong streams: %s", wrong);
    b->id = (uint16_t)(c[0] >> 16);
    b->result_bytes = 6 * (size_t)command.row_tiles * ROWS * command.columns;
    b->result_at = 0;
    b->count[0] = 0;
    b->device.registers[16 + 18]++; /* jobs */
}

/* Moves what can be moved between the link and the core. */
static void work(struct board *b)
{
    uint8_t frame[DEVICE_RESULT];
    for (unsigned s = 0; s < LINK_STREAMS; s++)
        b->count[s] += link_device_take(&b->device, s, b->bytes[s] + b->count[s],
                                        b->need[s] - b->count[s]);
    if (b->count[0] && !b->lazy)
        compute(b);
    while (b->result_at < b->result_bytes && link_device_can_send(&b->device)) {
        size_t n = 0;
        for (; n < sizeof frame && b->result_at < b->result_bytes; n++, b->result_at++)
            frame[n] = (uint8_t)((uint64_t)b->results[b->result_at / 6] >> 8 * (b->result_at % 6));
        link_device_send(&b->device, LINK_TYPE_RESULT, b->id, frame, n);
    }
    if (b->result_bytes && b->result_at == b->result_bytes && link_device_can_send(&b->device)) {
        const uint8_t completion[4] = { (uint8_t)b->id, (uint8_t)(b->id >> 8), b->status, 0 };
        link_device_send(&b->device, LINK_TYPE_COMPLETION, b->id, completion, sizeof completion);
        b->result_bytes = 0;
    }
}

static size_t damage(struct board *b, uint8_t *bytes, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t v = bytes[i];
        if (b->faults && rng_below(&b->rng, b->faults) == 0) {
            if (rng_below(&b->rng, 2))
                v ^= (uint8_t)(1u << rng_below(&b->rng, 8));
            else
                i += rng_below(&b->rng, 100); /* lost, and some behind it */
        }
        bytes[kept++] = v;
    }
    return kept;
}

/* At one byte from the host something may happen. */
static bool reached(uint64_t *at, uint64_t received)
{
    const bool now = *at && received >= *at;
    if (now)
        *at = 0;
    return now;
}

static void *be_a_board(void *user)
{
    struct board *b = user;
    uint8_t bytes[1000];
    bool mute = false;
    for (;;) {
        struct pollfd p = { b->port, POLLIN, 0 };
        poll(&p, 1, 5);
        pthread_mutex_lock(&b->mutex);
        const bool stop = b->stop;
        ssize_t n = read(b->port, bytes, sizeof bytes);
        if (n > 0) {
            b->received += (uint64_t)n;
            link_device_input(&b->device, bytes, damage(b, bytes, (size_t)n));
        }
        if (reached(&b->power_at, b->received))
            power_on(b);
        mute = mute || reached(&b->mute_at, b->received);
        if (stop || reached(&b->pull_at, b->received)) {
            close(b->port);
            b->port = -1;
            pthread_mutex_unlock(&b->mutex);
            return NULL;
        }
        work(b);
        size_t out;
        while ((out = link_device_output(&b->device, bytes, 500)) != 0) {
            out = damage(b, bytes, out);
            if (!mute)
                n = write(b->port, bytes, out);
        }
        pthread_mutex_unlock(&b->mutex);
    }
}

static void plug_in(struct board *b, const char *more)
{
    memset(b, 0, sizeof *b);
    b->rng.state = 9;
    b->port = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(b->port >= 0 && grantpt(b->port) == 0 && unlockpt(b->port) == 0);
    const char *name = ptsname(b->port);
    snprintf(b->uri, sizeof b->uri, "serial:%s,baud=4000000%s", name, more);
    struct termios t;
    b->other = open(name, O_RDWR | O_NOCTTY);
    assert_int_equal(tcgetattr(b->other, &t), 0);
    cfmakeraw(&t);
    tcsetattr(b->other, TCSANOW, &t);
    for (unsigned s = 0; s < LINK_STREAMS; s++)
        b->bytes[s] = malloc(MOST);
    b->results = malloc(MOST);
    power_on(b);
    pthread_mutex_init(&b->mutex, NULL);
    assert_int_equal(pthread_create(&b->thread, NULL, be_a_board, b), 0);
}

static void unplug(struct board *b)
{
    pthread_mutex_lock(&b->mutex);
    b->stop = true;
    pthread_mutex_unlock(&b->mutex);
    pthread_join(b->thread, NULL);
    pthread_mutex_destroy(&b->mutex);
    close(b->other);
    for (unsigned s = 0; s < LINK_STREAMS; s++)
        free(b->bytes[s]);
    free(b->results);
}

/* ---- jobs ---- */

struct work {
    accel_matrix *mat;
    accel_weights *w;
    uint32_t rows, cols, n;
    int8_t *x;
    int64_t *want, *got;
    struct accel_job job;
};

static void prepare(struct board *b, accel_dev *dev, struct work *k, struct rng *r)
{
    memset(k, 0, sizeof *k);
    k->rows = 1 + rng_below(r, 60);
    k->cols = 1 + rng_below(r, 500);
    k->n = 1 + rng_below(r, 3);
    k->mat = random_matrix(r, ACCEL_INT(1 + rng_below(r, 8)), 32, k->rows, k->cols,
                           rng_below(r, 2) != 0);
    if (rng_below(r, 3) == 0) {
        accel_matrix *plain = k->mat;
        k->mat = with_outliers(r, plain, 5);
        accel_matrix_free(plain);
    }
    k->x = malloc((size_t)k->n * k->cols);
    k->want = calloc((size_t)k->n * k->rows, sizeof *k->want);
    k->got = calloc((size_t)k->n * k->rows, sizeof *k->got);
    random_activations(r, k->x, (size_t)k->n * k->cols);
    cpu_reference(k->mat, k->x, k->n, k->cols, k->want);
    assert_int_equal(accel_load(dev, k->mat, &k->w, NULL), ACCEL_OK);
    const struct packed *p = k->w->priv;
    pthread_mutex_lock(&b->mutex);
    b->need[LINK_STREAM_COMMAND] = 16;
    b->need[LINK_STREAM_X] = (size_t)p->steps * LANES * k->n;
    b->need[LINK_STREAM_W] = p->code_beats * p->beat_bytes;
    b->need[LINK_STREAM_H] = p->header_beats * 2 * UNITS;
    b->need[LINK_STREAM_O] = p->outlier_beats * 8;
    memset(b->count, 0, sizeof b->count);
    pthread_mutex_unlock(&b->mutex);
    k->job = (struct accel_job){ .weights = k->w,
                                 .x = k->x,
                                 .n = k->n,
                                 .x_stride = k->cols,
                                 .out = ACCEL_OUT_ACC,
                                 .y = k->got,
                                 .y_stride = k->rows };
}

static void check_and_drop(struct work *k, bool equal)
{
    const size_t bytes = (size_t)k->n * k->rows * sizeof *k->got;
    if (equal)
        assert_memory_equal(k->got, k->want, bytes);
    else
        for (size_t i = 0; i < bytes / sizeof *k->got; i++)
            assert_int_equal(k->got[i], 0); /* y keeps its values */
    accel_unload(k->w);
    accel_matrix_free(k->mat);
    free(k->x);
    free(k->want);
    free(k->got);
}

static void jobs_over_a_good_cable_equal_the_reference(void **state)
{
    (void)state;
    struct board b;
    struct rng r = { 11 };
    accel_dev *dev;
    struct accel_caps caps;
    struct accel_stats stats;
    plug_in(&b, "");
    assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
    accel_get_caps(dev, &caps);
    assert_string_equal(caps.uri, b.uri);
    assert_string_equal(caps.backend, "serial");
    assert_string_equal(caps.pe, "mac");
    assert_int_equal(caps.rows, ROWS);
    assert_int_equal(caps.max_n, 8);
    assert_int_equal(caps.max_steps, 256);
    assert_int_equal(accel_can_run(dev, ACCEL_INT(4), 32, NULL), 1);
    assert_int_equal(accel_can_run(dev, ACCEL_FLOAT(4, 3), 32, NULL), 0);
    for (int i = 0; i < 40; i++) {
        struct work k;
        prepare(&b, dev, &k, &r);
        assert_int_equal(accel_run(dev, &k.job, &stats, NULL), ACCEL_OK);
        assert_int_equal(stats.jobs, 1);
        check_and_drop(&k, true);
    }
    accel_close(dev);
    unplug(&b);
}

static void jobs_over_a_bad_cable_equal_the_reference(void **state)
{
    (void)state;
    static const unsigned faults[] = { 20000, 3000, 1000 };
    struct rng r = { 12 };
    for (unsigned i = 0; i < 3; i++) {
        struct board b;
        accel_dev *dev;
        plug_in(&b, ",silence=20000");
        pthread_mutex_lock(&b.mutex);
        b.faults = faults[i];
        pthread_mutex_unlock(&b.mutex);
        assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
        for (int j = 0; j < 8; j++) {
            struct work k;
            prepare(&b, dev, &k, &r);
            assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_OK);
            check_and_drop(&k, true);
        }
        accel_close(dev);
        unplug(&b);
    }
}

static void a_board_that_loses_power_in_a_job_still_gives_the_exact_result(void **state)
{
    (void)state;
    struct rng r = { 13 };
    struct board b;
    accel_dev *dev;
    plug_in(&b, "");
    assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
    for (unsigned i = 0; i < 20; i++) {
        struct work k;
        prepare(&b, dev, &k, &r);
        pthread_mutex_lock(&b.mutex);
        b.power_at = b.received + 1 + rng_below(&r, 8000);
        pthread_mutex_unlock(&b.mutex);
        assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_OK);
        pthread_mutex_lock(&b.mutex);
        b.power_at = 0;
        pthread_mutex_unlock(&b.mutex);
        check_and_drop(&k, true);
    }
    accel_close(dev);
    unplug(&b);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void a_cable_pulled_in_a_job_is_gone_and_only_close_is_left(void **state)
{
    (void)state;
    struct rng r = { 14 };
    for (unsigned i = 0; i < 10; i++) {
        struct board b;
        struct work k;
        struct accel_error err;
        accel_dev *dev;
        accel_ticket ticket;
        plug_in(&b, "");
        assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
        prepare(&b, dev, &k, &r);
        pthread_mutex_lock(&b.mutex);
        close(b.other); /* else the port would stay */
        b.other = -1;
        b.pull_at = b.received + 1 + rng_below(&r, 600);
        pthread_mutex_unlock(&b.mutex);
        const double began = seconds();
        assert_int_equal(accel_run(dev, &k.job, NULL, &err), ACCEL_E_GONE);
        assert_true(seconds() - began < 3);
        assert_non_null(strstr(err.text, "unplugged"));
        assert_int_equal(accel_submit(dev, &k.job, &ticket, NULL), ACCEL_E_GONE);
        check_and_drop(&k, false);
        accel_close(dev);
        unplug(&b);
    }
}

static void a_board_that_falls_silent_is_gone_within_the_silence_given(void **state)
{
    (void)state;
    struct rng r = { 15 };
    struct board b;
    struct work k;
    struct accel_error err;
    accel_dev *dev;
    plug_in(&b, ",silence=400");
    assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
    prepare(&b, dev, &k, &r);
    pthread_mutex_lock(&b.mutex);
    b.mute_at = b.received + 10;
    pthread_mutex_unlock(&b.mutex);
    const double began = seconds();
    assert_int_equal(accel_run(dev, &k.job, NULL, &err), ACCEL_E_GONE);
    assert_true(seconds() - began < 4);
    assert_non_null(strstr(err.text, "no answer"));
    assert_non_null(strstr(err.text, "check"));
    check_and_drop(&k, false);
    accel_close(dev);
    unplug(&b);
}

static void a_deadline_ends_a_job_and_the_next_one_is_exact(void **state)
{
    (void)state;
    struct rng r = { 16 };
    struct board b;
    struct accel_error err;
    accel_dev *dev;
    plug_in(&b, "");
    assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
    for (int i = 0; i < 3; i++) {
        struct work k;
        prepare(&b, dev, &k, &r);
        pthread_mutex_lock(&b.mutex);
        b.lazy = true;
        pthread_mutex_unlock(&b.mutex);
        k.job.deadline_ns = 200000000;
        const double began = seconds();
        assert_int_equal(accel_run(dev, &k.job, NULL, &err), ACCEL_E_TIMEOUT);
        assert_true(seconds() - began >= 0.2 && seconds() - began < 2);
        assert_non_null(strstr(err.text, "results received"));
        pthread_mutex_lock(&b.mutex);
        b.lazy = false;
        pthread_mutex_unlock(&b.mutex);
        k.job.deadline_ns = 60000000000;
        assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_OK);
        check_and_drop(&k, true);
    }
    accel_close(dev);
    unplug(&b);
}

static void a_status_that_is_not_done_is_an_error_of_the_device(void **state)
{
    (void)state;
    static const char *const words[] = { "refused", "overflowed", "lost" };
    struct rng r = { 17 };
    struct board b;
    struct accel_error err;
    accel_dev *dev;
    plug_in(&b, "");
    assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
    for (uint8_t i = 0; i < 3; i++) {
        struct work k;
        prepare(&b, dev, &k, &r);
        pthread_mutex_lock(&b.mutex);
        b.status = (uint8_t)(i + 1);
        pthread_mutex_unlock(&b.mutex);
        assert_int_equal(accel_run(dev, &k.job, NULL, &err), ACCEL_E_DEVICE);
        assert_non_null(strstr(err.text, words[i]));
        check_and_drop(&k, false);
    }
    accel_close(dev);
    unplug(&b);
}

/* ---- opening ---- */

static void expect_refusal(const char *uri, int status, const char *words)
{
    struct accel_error err;
    accel_dev *dev = NULL;
    assert_int_equal(accel_open(uri, NULL, &dev, &err), status);
    assert_null(dev);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
}

static void a_uri_that_makes_no_sense_is_refused_with_one_that_does(void **state)
{
    (void)state;
    expect_refusal("serial:", ACCEL_E_URI, "serial:/dev/ttyUSB0");
    expect_refusal("serial:,baud=9600", ACCEL_E_URI, "serial:/dev/ttyUSB0");
    expect_refusal("serial:/dev/null,baud=12345", ACCEL_E_URI, "115200");
    expect_refusal("serial:/dev/null,baud=fast", ACCEL_E_URI, "no number");
    expect_refusal("serial:/dev/null,speed=9600", ACCEL_E_URI, "known: baud");
    expect_refusal("serial:/dev/null,baud", ACCEL_E_URI, "name=value");
}

static void a_port_that_cannot_be_used_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct board b;
    accel_dev *dev;
    char pid[32];
    expect_refusal("serial:/dev/no-such-port", ACCEL_E_IO, "plugged in");
    expect_refusal("serial:/dev/null", ACCEL_E_IO, "no serial port");
    expect_refusal("serial:/", ACCEL_E_IO, "cannot open");
    plug_in(&b, "");
    assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
    snprintf(pid, sizeof pid, "in use by process %d (", (int)getpid());
    expect_refusal(b.uri, ACCEL_E_IO, pid);
    accel_close(dev);
    assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK); /* free again */
    accel_close(dev);
    unplug(&b);
}

static void set_register(struct board *b, unsigned word, uint32_t value)
{
    pthread_mutex_lock(&b->mutex);
    b->device.registers[word] = value;
    pthread_mutex_unlock(&b->mutex);
}

static void something_else_at_the_port_is_refused_by_what_it_is(void **state)
{
    (void)state;
    struct board b;
    plug_in(&b, ",silence=300");
    set_register(&b, LINK_REG_MAGIC, 1);
    expect_refusal(b.uri, ACCEL_E_DEVICE, "no accel device");
    set_register(&b, LINK_REG_MAGIC, LINK_MAGIC_WORD);
    set_register(&b, LINK_REG_PROTOCOL, 7 << 16 | 9);
    expect_refusal(b.uri, ACCEL_E_UNSUPPORTED,
                   "versions 7 to 9, this library 1 to 1; update libaccel");
    set_register(&b, LINK_REG_PROTOCOL, 0);
    expect_refusal(b.uri, ACCEL_E_UNSUPPORTED, "update the device's gateware");
    set_register(&b, LINK_REG_PROTOCOL, 0 << 16 | 5); /* an overlap is enough */
    set_register(&b, 2, 99);
    expect_refusal(b.uri, ACCEL_E_UNSUPPORTED, "kind 99");
    set_register(&b, 2, 0);
    set_register(&b, 1, 2);
    expect_refusal(b.uri, ACCEL_E_UNSUPPORTED, "version 2");
    set_register(&b, 1, 1);
    set_register(&b, 3, 7);
    expect_refusal(b.uri, ACCEL_E_DEVICE, "impossible core of 7 x 16");
    set_register(&b, 3, ROWS);
    pthread_mutex_lock(&b.mutex);
    b.mute_at = 1;
    pthread_mutex_unlock(&b.mutex);
    expect_refusal(b.uri, ACCEL_E_GONE, "no answer");
    unplug(&b);
}

static void opening_a_hundred_times_works_whatever_the_last_user_left(void **state)
{
    (void)state;
    struct board b;
    struct rng r = { 18 };
    plug_in(&b, "");
    for (int i = 0; i < 100; i++) {
        accel_dev *dev;
        uint8_t junk[64];
        for (size_t j = 0; j < sizeof junk; j++)
            junk[j] = (uint8_t)rng_next(&r);
        const struct link_header h = { .type = 16, .length = 4000 };
        uint8_t frame[LINK_MAX_FRAME];
        static const uint8_t payload[4000];
        link_encode(frame, &h, payload);
        /* the head of a frame whose end never comes */
        if (write(b.other, i % 2 ? frame : junk, i % 2 ? 20 + rng_below(&r, 100) : sizeof junk) < 0)
            fail();
        assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
        accel_close(dev);
    }
    unplug(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_over_a_good_cable_equal_the_reference),
        cmocka_unit_test(jobs_over_a_bad_cable_equal_the_reference),
        cmocka_unit_test(a_board_that_loses_power_in_a_job_still_gives_the_exact_result),
        cmocka_unit_test(a_cable_pulled_in_a_job_is_gone_and_only_close_is_left),
        cmocka_unit_test(a_board_that_falls_silent_is_gone_within_the_silence_given),
        cmocka_unit_test(a_deadline_ends_a_job_and_the_next_one_is_exact),
        cmocka_unit_test(a_status_that_is_not_done_is_an_error_of_the_device),
        cmocka_unit_test(a_uri_that_makes_no_sense_is_refused_with_one_that_does),
        cmocka_unit_test(a_port_that_cannot_be_used_is_refused_with_the_reason),
        cmocka_unit_test(something_else_at_the_port_is_refused_by_what_it_is),
        cmocka_unit_test(opening_a_hundred_times_works_whatever_the_last_user_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
