/* test_serial.c - the serial: backend against a board in software behind a pseudo terminal, over good and bad cables.
 * SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 600 /* posix_openpt */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "soft_board.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* The board, a thread that serves it, and the two ends of its pseudo terminal. */
struct board {
    struct soft_board soft;
    pthread_t thread;
    pthread_mutex_t mutex;
    int port, other;
    char uri[96];
    uint64_t pull_at; /* pull the cable at this byte from the host, once; 0: never */
    uint64_t mute_at; /* say nothing any more, likewise */
    bool mute, stop;
};

static void *be_a_board(void *user)
{
    struct board *b = user;
    uint8_t bytes[1000];
    for (;;) {
        struct pollfd p = { b->port, POLLIN, 0 };
        poll(&p, 1, 5);
        pthread_mutex_lock(&b->mutex);
        const bool stop = b->stop;
        ssize_t n = read(b->port, bytes, sizeof bytes);
        if (n > 0)
            board_input(&b->soft, bytes, (size_t)n);
        b->mute = b->mute || board_reached(&b->mute_at, b->soft.received);
        if (stop || board_reached(&b->pull_at, b->soft.received)) {
            close(b->port);
            b->port = -1;
            pthread_mutex_unlock(&b->mutex);
            return NULL;
        }
        size_t out;
        while ((out = board_output(&b->soft, bytes, 500)) != 0) {
            if (!b->mute)
                n = write(b->port, bytes, out);
        }
        pthread_mutex_unlock(&b->mutex);
    }
}

static void plug_in(struct board *b, const char *more)
{
    memset(b, 0, sizeof *b);
    board_init(&b->soft);
    b->port = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(b->port >= 0 && grantpt(b->port) == 0 && unlockpt(b->port) == 0);
    const char *name = ptsname(b->port);
    snprintf(b->uri, sizeof b->uri, "serial:%s,baud=4000000%s", name, more);
    struct termios t;
    b->other = open(name, O_RDWR | O_NOCTTY);
    assert_int_equal(tcgetattr(b->other, &t), 0);
    cfmakeraw(&t);
    tcsetattr(b->other, TCSANOW, &t);
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
    board_free(&b->soft);
}

static void prepare(struct board *b, accel_dev *dev, struct board_job *k, struct rng *r)
{
    board_job_make(k, dev, r);
    pthread_mutex_lock(&b->mutex);
    board_expect(&b->soft, k);
    pthread_mutex_unlock(&b->mutex);
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
    assert_int_equal(caps.rows, BOARD_ROWS);
    assert_int_equal(caps.max_n, 8);
    assert_int_equal(caps.max_steps, 256);
    assert_int_equal(accel_can_run(dev, ACCEL_INT(4), 32, NULL), 1);
    assert_int_equal(accel_can_run(dev, ACCEL_FLOAT(4, 3), 32, NULL), 0);
    for (int i = 0; i < 40; i++) {
        struct board_job k;
        prepare(&b, dev, &k, &r);
        assert_int_equal(accel_run(dev, &k.job, &stats, NULL), ACCEL_OK);
        assert_int_equal(stats.jobs, 1);
        board_job_check(&k, true);
    }
    accel_close(dev);
    unplug(&b);
}

static void registers_are_read_and_written_between_jobs(void **state)
{
    (void)state;
    struct board b;
    struct rng r = { 19 };
    accel_dev *dev;
    uint32_t v[32];
    plug_in(&b, "");
    assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
    for (uint32_t i = 0; i < 10; i++) {
        struct board_job k;
        assert_int_equal(accel_poke(dev, LINK_REG_SCRATCH, 1000 + i, NULL), ACCEL_OK);
        prepare(&b, dev, &k, &r);
        assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_OK);
        board_job_check(&k, true);
        assert_int_equal(accel_peek(dev, LINK_REG_MAGIC, 32, v, NULL), ACCEL_OK);
        assert_int_equal(v[0], LINK_MAGIC_WORD);
        assert_int_equal(v[LINK_REG_SCRATCH - LINK_REG_MAGIC], 1000 + i);
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
        b.soft.faults = faults[i];
        pthread_mutex_unlock(&b.mutex);
        assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
        for (int j = 0; j < 8; j++) {
            struct board_job k;
            prepare(&b, dev, &k, &r);
            assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_OK);
            board_job_check(&k, true);
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
        struct board_job k;
        prepare(&b, dev, &k, &r);
        pthread_mutex_lock(&b.mutex);
        b.soft.power_at = b.soft.received + 1 + rng_below(&r, 8000);
        pthread_mutex_unlock(&b.mutex);
        assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_OK);
        pthread_mutex_lock(&b.mutex);
        b.soft.power_at = 0;
        pthread_mutex_unlock(&b.mutex);
        board_job_check(&k, true);
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
        struct board_job k;
        struct accel_error err;
        accel_dev *dev;
        accel_ticket ticket;
        plug_in(&b, "");
        assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
        prepare(&b, dev, &k, &r);
        pthread_mutex_lock(&b.mutex);
        close(b.other); /* else the port would stay */
        b.other = -1;
        b.pull_at = b.soft.received + 1 + rng_below(&r, 600);
        pthread_mutex_unlock(&b.mutex);
        const double began = seconds();
        assert_int_equal(accel_run(dev, &k.job, NULL, &err), ACCEL_E_GONE);
        assert_true(seconds() - began < 3);
        assert_non_null(strstr(err.text, "unplugged"));
        assert_int_equal(accel_submit(dev, &k.job, &ticket, NULL), ACCEL_E_GONE);
        board_job_check(&k, false);
        accel_close(dev);
        unplug(&b);
    }
}

static void a_port_opened_again_finishes_what_was_cut_off(void **state)
{
    (void)state;
    struct rng r = { 20 };
    struct board b;
    struct board_job k;
    struct accel_error err;
    accel_dev *dev;
    plug_in(&b, ",silence=300");
    assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
    for (int i = 0; i < 5; i++) {
        prepare(&b, dev, &k, &r);
        pthread_mutex_lock(&b.mutex);
        b.mute_at = b.soft.received + 1 + rng_below(&r, 600);
        pthread_mutex_unlock(&b.mutex);
        assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_E_GONE);
        assert_int_equal(accel_reopen(dev, &err), ACCEL_E_GONE); /* still silent */
        pthread_mutex_lock(&b.mutex);
        b.mute = false;
        pthread_mutex_unlock(&b.mutex);
        assert_int_equal(accel_reopen(dev, &err), ACCEL_OK);
        assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_OK);
        board_job_check(&k, true);
    }
    accel_close(dev);
    unplug(&b);
}

static void a_board_that_falls_silent_is_gone_within_the_silence_given(void **state)
{
    (void)state;
    struct rng r = { 15 };
    struct board b;
    struct board_job k;
    struct accel_error err;
    accel_dev *dev;
    plug_in(&b, ",silence=400");
    assert_int_equal(accel_open(b.uri, NULL, &dev, NULL), ACCEL_OK);
    prepare(&b, dev, &k, &r);
    pthread_mutex_lock(&b.mutex);
    b.mute_at = b.soft.received + 10;
    pthread_mutex_unlock(&b.mutex);
    const double began = seconds();
    assert_int_equal(accel_run(dev, &k.job, NULL, &err), ACCEL_E_GONE);
    assert_true(seconds() - began < 4);
    assert_non_null(strstr(err.text, "no answer"));
    assert_non_null(strstr(err.text, "check"));
    board_job_check(&k, false);
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
        struct board_job k;
        prepare(&b, dev, &k, &r);
        pthread_mutex_lock(&b.mutex);
        b.soft.lazy = true;
        pthread_mutex_unlock(&b.mutex);
        k.job.deadline_ns = 200000000;
        const double began = seconds();
        assert_int_equal(accel_run(dev, &k.job, NULL, &err), ACCEL_E_TIMEOUT);
        assert_true(seconds() - began >= 0.2 && seconds() - began < 2);
        assert_non_null(strstr(err.text, "results received"));
        pthread_mutex_lock(&b.mutex);
        b.soft.lazy = false;
        pthread_mutex_unlock(&b.mutex);
        k.job.deadline_ns = 60000000000;
        assert_int_equal(accel_run(dev, &k.job, NULL, NULL), ACCEL_OK);
        board_job_check(&k, true);
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
        struct board_job k;
        prepare(&b, dev, &k, &r);
        pthread_mutex_lock(&b.mutex);
        b.soft.status = (uint8_t)(i + 1);
        pthread_mutex_unlock(&b.mutex);
        assert_int_equal(accel_run(dev, &k.job, NULL, &err), ACCEL_E_DEVICE);
        assert_non_null(strstr(err.text, words[i]));
        board_job_check(&k, false);
    }
    accel_close(dev);
    unplug(&b);
}

/* ---- opening ---- */

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
    b->soft.device.registers[word] = value;
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
    expect_refusal(b.uri, ACCEL_E_UNSUPPORTED, "make program BOARD=NAME");
    set_register(&b, LINK_REG_PROTOCOL, 0 << 16 | 5); /* an overlap is enough */
    set_register(&b, 2, 99);
    expect_refusal(b.uri, ACCEL_E_UNSUPPORTED, "kind 99");
    set_register(&b, 2, 0);
    set_register(&b, 1, 2);
    expect_refusal(b.uri, ACCEL_E_UNSUPPORTED, "version 2");
    set_register(&b, 1, 1);
    set_register(&b, 3, 7);
    expect_refusal(b.uri, ACCEL_E_DEVICE, "impossible core of 7 x 16");
    set_register(&b, 3, BOARD_ROWS);
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
        cmocka_unit_test(registers_are_read_and_written_between_jobs),
        cmocka_unit_test(jobs_over_a_bad_cable_equal_the_reference),
        cmocka_unit_test(a_board_that_loses_power_in_a_job_still_gives_the_exact_result),
        cmocka_unit_test(a_cable_pulled_in_a_job_is_gone_and_only_close_is_left),
        cmocka_unit_test(a_port_opened_again_finishes_what_was_cut_off),
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
