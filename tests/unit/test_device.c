/* test_device.c - devices: URIs, queue, tickets, argument checks, outputs, threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "internal.h"
#include "random_matrix.h"

#include "backend/cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS 6
#define COLS 40
#define N    3

/* A device with one matrix, activations and the results they must give. */
struct fixture {
    accel_dev *dev;
    accel_matrix *mat;
    accel_weights *w;
    int8_t x[N * COLS];
    int64_t want[N * ROWS], y[N * ROWS];
    struct accel_job job;
};

static void setup(struct fixture *f)
{
    struct rng r = { 1234 };
    memset(f, 0, sizeof *f);
    f->mat = random_matrix(&r, ACCEL_INT(4), 16, ROWS, COLS, 1);
    random_activations(&r, f->x, sizeof f->x);
    cpu_reference(f->mat, f->x, N, COLS, f->want);
    assert_int_equal(accel_open("cpu:", NULL, &f->dev, NULL), ACCEL_OK);
    assert_int_equal(accel_load(f->dev, f->mat, &f->w, NULL), ACCEL_OK);
    f->job = (struct accel_job){ .weights = f->w,
                                 .x = f->x,
                                 .n = N,
                                 .x_stride = COLS,
                                 .out = ACCEL_OUT_ACC,
                                 .y = f->y,
                                 .y_stride = ROWS };
}

static void teardown(struct fixture *f)
{
    accel_unload(f->w);
    accel_close(f->dev);
    accel_matrix_free(f->mat);
}

/* ---- opening ---- */

static void unknown_schemes_are_refused_with_a_list_of_those_built_in(void **state)
{
    (void)state;
    accel_dev *dev = NULL;
    struct accel_error err;
    const char *wrong[] = { "", "cpu", "gpu:", ":", "cpux:", "cp:", "CPU:", "usc:serial=1" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(accel_open(wrong[i], NULL, &dev, &err), ACCEL_E_URI);
        assert_non_null(strstr(err.text, "cpu:"));
    }
    assert_int_equal(accel_open(NULL, NULL, &dev, &err), ACCEL_E_ARG);
    assert_int_equal(accel_open("cpu:", NULL, NULL, &err), ACCEL_E_ARG);
    assert_null(dev);
}

static void a_program_built_for_another_api_is_refused(void **state)
{
    (void)state;
    accel_dev *dev = NULL;
    struct accel_error err;
    struct accel_options options = { .api_version = ACCEL_API_VERSION + 1 };
    assert_int_equal(accel_open("cpu:", &options, &dev, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "version"));
    options.api_version = ACCEL_API_VERSION;
    assert_int_equal(accel_open("cpu:", &options, &dev, &err), ACCEL_OK);
    assert_string_equal(err.text, "");
    accel_close(dev);
    accel_close(NULL);
}

static void the_canonical_uri_opens_the_same_device_again(void **state)
{
    (void)state;
    const char *uris[] = { "cpu:", "cpu:path=reference", "cpu:path=fast" };
    for (int i = 0; i < 3; i++) {
        accel_dev *a, *b;
        struct accel_caps first, second;
        assert_int_equal(accel_open(uris[i], NULL, &a, NULL), ACCEL_OK);
        accel_get_caps(a, &first);
        assert_int_equal(accel_open(first.uri, NULL, &b, NULL), ACCEL_OK);
        accel_get_caps(b, &second);
        assert_memory_equal(&first, &second, sizeof first);
        assert_string_equal(first.backend, "cpu");
        assert_string_equal(first.pe, "golden");
        assert_int_equal(first.acc_bits, 48);
        assert_int_equal(first.rows, 1);
        assert_int_equal(first.lanes, 1);
        assert_true(first.max_n >= 512);
        assert_true(first.queue > 0);
        accel_close(a);
        accel_close(b);
    }
}

static void a_device_behind_no_link_has_no_registers(void **state)
{
    (void)state;
    accel_dev *dev;
    struct accel_error err;
    uint32_t v[32] = { 7 };
    assert_int_equal(accel_open("cpu:", NULL, &dev, NULL), ACCEL_OK);
    assert_int_equal(accel_peek(dev, 0, 1, v, &err), ACCEL_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "cpu:"));
    assert_int_equal(accel_poke(dev, 0, 1, &err), ACCEL_E_UNSUPPORTED);
    assert_int_equal(accel_peek(dev, 0, 0, v, &err), ACCEL_E_ARG);
    assert_int_equal(accel_peek(dev, 0, 33, v, &err), ACCEL_E_ARG);
    assert_int_equal(accel_peek(dev, 0, 1, NULL, &err), ACCEL_E_ARG);
    assert_int_equal(accel_peek(NULL, 0, 1, v, &err), ACCEL_E_ARG);
    assert_int_equal(accel_poke(NULL, 0, 1, &err), ACCEL_E_ARG);
    assert_int_equal(accel_reopen(dev, &err), ACCEL_E_UNSUPPORTED);
    assert_int_equal(accel_reopen(NULL, &err), ACCEL_E_ARG);
    assert_int_equal(v[0], 7);
    accel_close(dev);
}

static int open_listed(void *user, const char *uri, const char *what)
{
    accel_dev *dev;
    struct accel_error err;
    assert_true(strlen(what) > 5);
    if (accel_open(uri, NULL, &dev, &err))
        fail_msg("%s is listed, but: %s", uri, err.text);
    accel_close(dev);
    ++*(int *)user;
    return 0;
}

static int stop_at_once(void *user, const char *uri, const char *what)
{
    (void)uri;
    (void)what;
    ++*(int *)user;
    return 17;
}

static void every_listed_device_opens(void **state)
{
    (void)state;
    int count = 0;
    assert_int_equal(accel_list(open_listed, &count), 0);
    assert_true(count >= 1);
    count = 0;
    assert_int_equal(accel_list(stop_at_once, &count), 17);
    assert_int_equal(count, 1);
    assert_int_equal(accel_list(NULL, NULL), ACCEL_E_ARG);
}

static void the_cpu_runs_every_format_and_says_why_not_to_others(void **state)
{
    (void)state;
    accel_dev *dev;
    struct accel_error err;
    assert_int_equal(accel_open("cpu:", NULL, &dev, NULL), ACCEL_OK);
    for (int f = 0; f < FORMATS; f++)
        for (int g = 0; g < GROUPS; g++)
            assert_int_equal(accel_can_run(dev, format_at(f), group_at[g], &err), 1);
    assert_int_equal(accel_can_run(dev, ACCEL_INT(9), 32, &err), 0);
    assert_non_null(strstr(err.text, "0x109"));
    assert_int_equal(accel_can_run(dev, ACCEL_INT(4), 33, &err), 0);
    assert_non_null(strstr(err.text, "33"));
    assert_int_equal(accel_can_run(NULL, ACCEL_INT(4), 32, &err), 0);
    accel_close(dev);
}

struct heard {
    char text[600];
    enum accel_log_level level;
    int count;
};

static void listen(void *user, enum accel_log_level level, const char *text)
{
    struct heard *h = user;
    snprintf(h->text, sizeof h->text, "%s", text);
    h->level = level;
    h->count++;
}

static void the_log_callback_hears_what_backends_say(void **state)
{
    (void)state;
    struct heard heard = { .count = 0 };
    struct accel_options options = { .log = listen, .log_user = &heard };
    accel_dev *dev;
    assert_int_equal(accel_open("cpu:", &options, &dev, NULL), ACCEL_OK);
    accel_log(dev, ACCEL_LOG_WARN, "%d rows of %s", 3, "clay");
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.level, ACCEL_LOG_WARN);
    assert_string_equal(heard.text, "3 rows of clay");
    accel_close(dev);
    assert_int_equal(accel_open("cpu:", NULL, &dev, NULL), ACCEL_OK);
    accel_log(dev, ACCEL_LOG_WARN, "nobody");
    assert_int_equal(heard.count, 1);
    accel_close(dev);
}

/* ---- arguments ---- */

static void jobs_with_wrong_arguments_are_refused_and_leave_no_trace(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    accel_dev *other;
    assert_int_equal(accel_open("cpu:", NULL, &other, NULL), ACCEL_OK);
    struct accel_caps caps;
    accel_get_caps(f.dev, &caps);
    uint32_t mul[ROWS] = { 0 };
    uint8_t shift[ROWS] = { 0 };
    struct {
        struct accel_job job;
        int status;
        const char *word;
    } wrong[16];
    int count = 0;
    for (int i = 0; i < 16; i++) {
        wrong[i].job = f.job;
        wrong[i].status = ACCEL_E_ARG;
    }
    wrong[count].job.weights = NULL;
    wrong[count++].word = "weights";
    wrong[count].job.x = NULL;
    wrong[count++].word = "x";
    wrong[count].job.y = NULL;
    wrong[count++].word = "y";
    wrong[count].job.n = 0;
    wrong[count++].word = "n is 0";
    wrong[count].job.x_stride = COLS - 1;
    wrong[count++].word = "40";
    wrong[count].job.y_stride = ROWS - 1;
    wrong[count++].word = "6";
    wrong[count].job.x_stride = SIZE_MAX / 2;
    wrong[count++].word = "memory";
    wrong[count].job.y_stride = SIZE_MAX / 8;
    wrong[count++].word = "memory";
    wrong[count].job.out = (enum accel_out)3;
    wrong[count++].word = "output";
    wrong[count].job.n = caps.max_n + 1;
    wrong[count].status = ACCEL_E_UNSUPPORTED;
    wrong[count++].word = "columns";
    wrong[count].job.out = ACCEL_OUT_I8;
    wrong[count++].word = "requant_mul";
    wrong[count].job.out = ACCEL_OUT_I8;
    wrong[count].job.requant_mul = mul;
    wrong[count++].word = "requant_shift";
    for (int i = 0; i < count; i++) {
        struct accel_error err;
        accel_ticket ticket = 99;
        assert_int_equal(accel_submit(f.dev, &wrong[i].job, &ticket, &err), wrong[i].status);
        assert_int_equal(err.status, wrong[i].status);
        if (!strstr(err.text, wrong[i].word))
            fail_msg("'%s' does not say '%s'", err.text, wrong[i].word);
        assert_int_equal(ticket, 99);
        assert_int_equal(accel_submit(f.dev, &wrong[i].job, &ticket, NULL), wrong[i].status);
    }
    struct accel_error err;
    struct accel_job job = f.job;
    job.out = ACCEL_OUT_I8;
    job.requant_mul = mul;
    job.requant_shift = shift;
    mul[4] = (uint32_t)INT32_MAX + 1;
    assert_int_equal(accel_run(f.dev, &job, NULL, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "row 4"));
    mul[4] = 0;
    shift[5] = 63;
    assert_int_equal(accel_run(f.dev, &job, NULL, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "row 5"));
    assert_int_equal(accel_run(other, &f.job, NULL, &err), ACCEL_E_ARG);
    assert_non_null(strstr(err.text, "another device"));
    accel_ticket ticket;
    assert_int_equal(accel_submit(NULL, &f.job, &ticket, &err), ACCEL_E_ARG);
    assert_int_equal(accel_submit(f.dev, NULL, &ticket, &err), ACCEL_E_ARG);
    assert_int_equal(accel_submit(f.dev, &f.job, NULL, &err), ACCEL_E_ARG);
    accel_weights *w = NULL;
    assert_int_equal(accel_load(NULL, f.mat, &w, &err), ACCEL_E_ARG);
    assert_int_equal(accel_load(f.dev, NULL, &w, &err), ACCEL_E_ARG);
    assert_int_equal(accel_load(f.dev, f.mat, NULL, &err), ACCEL_E_ARG);
    struct accel_stats totals;
    accel_get_totals(f.dev, &totals);
    assert_int_equal(totals.jobs, 0);
    accel_close(other);
    teardown(&f);
}

static void jobs_beyond_the_activation_buffer_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct accel_error err;
    setup(&f);
    f.dev->caps.lanes = 32;
    f.dev->caps.max_steps = 8; /* 3 columns of 3 groups need 9, as each group begins a step */
    assert_int_equal(accel_run(f.dev, &f.job, NULL, &err), ACCEL_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "9 steps"));
    f.job.n = 2;
    assert_int_equal(accel_run(f.dev, &f.job, NULL, &err), ACCEL_OK);
    teardown(&f);
}

/* ---- results ---- */

static void strides_leave_what_lies_between_alone(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    int8_t x[N * (COLS + 5)];
    int64_t y[N * (ROWS + 2)];
    memset(x, 0x7F, sizeof x);
    memset(y, 0x33, sizeof y);
    for (size_t i = 0; i < N; i++)
        memcpy(x + i * (COLS + 5), f.x + i * COLS, COLS);
    f.job.x = x;
    f.job.x_stride = COLS + 5;
    f.job.y = y;
    f.job.y_stride = ROWS + 2;
    assert_int_equal(accel_run(f.dev, &f.job, NULL, NULL), ACCEL_OK);
    for (size_t i = 0; i < N; i++) {
        assert_memory_equal(y + i * (ROWS + 2), f.want + i * ROWS, ROWS * sizeof *y);
        assert_int_equal(y[i * (ROWS + 2) + ROWS], 0x3333333333333333);
        assert_int_equal(y[i * (ROWS + 2) + ROWS + 1], 0x3333333333333333);
    }
    teardown(&f);
}

static void float_results_multiply_in_the_stated_order(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    const float scale[N] = { 0.1f, -3.0f, 1e-30f };
    float y[N * ROWS], want[N * ROWS];
    f.job.out = ACCEL_OUT_F32;
    f.job.y = y;
    for (int with = 0; with < 2; with++) {
        f.job.col_scale = with ? scale : NULL;
        assert_int_equal(accel_run(f.dev, &f.job, NULL, NULL), ACCEL_OK);
        for (uint32_t i = 0; i < N; i++) {
            for (uint32_t m = 0; m < ROWS; m++) {
                double v = (double)f.want[i * ROWS + m] * (double)f.mat->row_scale[m];
                want[i * ROWS + m] = (float)(with ? v * (double)scale[i] : v);
            }
        }
        assert_memory_equal(y, want, sizeof y);
    }
    teardown(&f);
}

static void the_real_product_is_what_matrix_value_promises(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    float y[N * ROWS];
    f.job.out = ACCEL_OUT_F32;
    f.job.y = y;
    assert_int_equal(accel_run(f.dev, &f.job, NULL, NULL), ACCEL_OK);
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t m = 0; m < ROWS; m++) {
            double sum = 0.0, size = 0.0;
            for (uint32_t k = 0; k < COLS; k++) {
                double term = accel_matrix_value(f.mat, m, k) * f.x[i * COLS + k];
                sum += term;
                size += term < 0 ? -term : term;
            }
            double off = sum - (double)y[i * ROWS + m];
            assert_true(off <= size * 1e-6 && off >= -size * 1e-6);
        }
    }
    teardown(&f);
}

static void loaded_weights_count_their_bits(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct accel_weights_info info;
    accel_weights_get_info(f.w, &info);
    assert_int_equal(info.rows, ROWS);
    assert_int_equal(info.cols, COLS);
    assert_int_equal(info.code_bits, ROWS * COLS * 4);
    assert_int_equal(info.header_bits, ROWS * 3 * 48);
    teardown(&f);
}

static void weights_outlive_their_matrix_and_their_device(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    accel_matrix_free(f.mat);
    f.mat = NULL;
    assert_int_equal(accel_run(f.dev, &f.job, NULL, NULL), ACCEL_OK);
    assert_memory_equal(f.y, f.want, sizeof f.y);
    accel_close(f.dev);
    accel_unload(f.w);
    accel_unload(NULL);
}

/* ---- the queue ---- */

static void jobs_run_in_the_order_they_came(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    int64_t y[5][N * ROWS];
    accel_ticket t[5];
    memset(y, 0, sizeof y);
    for (int i = 0; i < 5; i++) {
        f.job.y = y[i];
        assert_int_equal(accel_submit(f.dev, &f.job, &t[i], NULL), ACCEL_OK);
        assert_true(t[i] != 0);
        assert_true(i == 0 || t[i] != t[i - 1]);
    }
    struct accel_stats stats, totals;
    assert_int_equal(accel_wait(f.dev, t[2], 0, &stats, NULL), ACCEL_OK);
    assert_int_equal(stats.macs, ROWS * COLS * N);
    assert_int_equal(stats.jobs, 1);
    for (int i = 0; i < 3; i++)
        assert_memory_equal(y[i], f.want, sizeof f.want);
    for (size_t i = 0; i < N * ROWS; i++)
        assert_true(y[3][i] == 0 && y[4][i] == 0);
    accel_get_totals(f.dev, &totals);
    assert_int_equal(totals.jobs, 3);
    assert_int_equal(accel_wait(f.dev, t[4], 0, NULL, NULL), ACCEL_OK);
    assert_int_equal(accel_wait(f.dev, t[3], 0, NULL, NULL), ACCEL_OK);
    assert_int_equal(accel_wait(f.dev, t[0], 0, NULL, NULL), ACCEL_OK);
    assert_int_equal(accel_wait(f.dev, t[1], 0, NULL, NULL), ACCEL_OK);
    accel_get_totals(f.dev, &totals);
    assert_int_equal(totals.jobs, 5);
    assert_int_equal(totals.macs, 5 * ROWS * COLS * N);
    accel_reset_totals(f.dev);
    accel_get_totals(f.dev, &totals);
    assert_int_equal(totals.jobs, 0);
    teardown(&f);
}

static void a_ticket_is_good_for_one_wait(void **state)
{
    (void)state;
    struct fixture f;
    struct accel_error err;
    setup(&f);
    accel_ticket t;
    assert_int_equal(accel_submit(f.dev, &f.job, &t, NULL), ACCEL_OK);
    assert_int_equal(accel_wait(f.dev, t, 0, NULL, &err), ACCEL_OK);
    assert_string_equal(err.text, "");
    assert_int_equal(accel_wait(f.dev, t, 0, NULL, &err), ACCEL_E_ARG);
    assert_int_equal(accel_wait(f.dev, 0, 0, NULL, &err), ACCEL_E_ARG);
    assert_int_equal(accel_wait(f.dev, t + 1, 0, NULL, &err), ACCEL_E_ARG);
    assert_int_equal(accel_wait(NULL, t, 0, NULL, &err), ACCEL_E_ARG);
    teardown(&f);
}

static void a_full_queue_says_so_and_a_wait_makes_room(void **state)
{
    (void)state;
    struct fixture f;
    struct accel_error err;
    struct accel_caps caps;
    setup(&f);
    accel_get_caps(f.dev, &caps);
    accel_ticket first = 0, t;
    for (uint32_t i = 0; i < caps.queue; i++)
        assert_int_equal(accel_submit(f.dev, &f.job, i ? &t : &first, &err), ACCEL_OK);
    assert_int_equal(accel_submit(f.dev, &f.job, &t, &err), ACCEL_E_QUEUE);
    assert_non_null(strstr(err.text, "64"));
    assert_int_equal(accel_run(f.dev, &f.job, NULL, NULL), ACCEL_E_QUEUE);
    assert_int_equal(accel_wait(f.dev, first, 0, NULL, NULL), ACCEL_OK);
    assert_int_equal(accel_submit(f.dev, &f.job, &t, &err), ACCEL_OK);
    assert_int_equal(accel_wait(f.dev, t, 0, NULL, NULL), ACCEL_OK);
    teardown(&f); /* forgets the other 62 */
}

static void a_cancelled_job_never_runs(void **state)
{
    (void)state;
    struct fixture f;
    struct accel_error err;
    setup(&f);
    int64_t y[N * ROWS] = { 0 };
    accel_ticket a, b, c;
    assert_int_equal(accel_submit(f.dev, &f.job, &a, NULL), ACCEL_OK);
    f.job.y = y;
    assert_int_equal(accel_submit(f.dev, &f.job, &b, NULL), ACCEL_OK);
    f.job.y = f.y;
    assert_int_equal(accel_submit(f.dev, &f.job, &c, NULL), ACCEL_OK);
    assert_int_equal(accel_cancel(f.dev, b), ACCEL_OK);
    assert_int_equal(accel_cancel(f.dev, b), ACCEL_E_ARG);
    assert_int_equal(accel_wait(f.dev, c, 0, NULL, NULL), ACCEL_OK);
    assert_int_equal(accel_cancel(f.dev, a), ACCEL_E_ARG); /* it ran before c */
    assert_int_equal(accel_wait(f.dev, b, 0, NULL, &err), ACCEL_E_CANCELLED);
    assert_non_null(strstr(err.text, "cancelled"));
    for (size_t i = 0; i < N * ROWS; i++)
        assert_int_equal(y[i], 0);
    assert_int_equal(accel_wait(f.dev, a, 0, NULL, NULL), ACCEL_OK);
    assert_int_equal(accel_cancel(f.dev, c), ACCEL_E_ARG);
    assert_int_equal(accel_cancel(f.dev, 12345), ACCEL_E_ARG);
    assert_int_equal(accel_cancel(NULL, a), ACCEL_E_ARG);
    struct accel_stats totals;
    accel_get_totals(f.dev, &totals);
    assert_int_equal(totals.jobs, 2);
    teardown(&f);
}

/* ---- a backend that does as it is told ---- */

struct puppet {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool hold, running, overlapped;
    int status;
};

static int puppet_run(struct accel_dev *dev, const struct backend_job *job,
                      struct accel_stats *stats, struct accel_error *err)
{
    struct puppet *p = dev->priv;
    pthread_mutex_lock(&p->mutex);
    p->running = true;
    pthread_cond_broadcast(&p->changed);
    while (p->hold)
        pthread_cond_wait(&p->changed, &p->mutex);
    p->running = false;
    pthread_mutex_unlock(&p->mutex);
    *stats = (struct accel_stats){ .macs = 1,
                                   .cycles = 200,
                                   .array_beats = 100,
                                   .weight_beats = 150,
                                   .header_beats = 3,
                                   .act_beats = 4,
                                   .result_beats = 5,
                                   .stall_weights = 6,
                                   .stall_acts = 7,
                                   .stall_results = 8 };
    memset(job->acc, 1, job->n * (size_t)job->weights->rows * sizeof *job->acc);
    return p->status ? accel_fail(err, p->status, "the puppet was told to fail") : ACCEL_OK;
}

/* Notes whether a job runs meanwhile. */
static int puppet_load(struct accel_dev *dev, const struct accel_matrix *mat,
                       struct accel_weights *w, struct accel_error *err)
{
    struct puppet *p = dev->priv;
    pthread_mutex_lock(&p->mutex);
    p->overlapped = p->running;
    pthread_mutex_unlock(&p->mutex);
    return accel_backend_cpu.load(dev, mat, w, err);
}

static void puppet_close(struct accel_dev *dev)
{
    dev->priv = NULL;
}

static void puppet_hold(struct puppet *p, bool hold)
{
    pthread_mutex_lock(&p->mutex);
    p->hold = hold;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

static void puppet_await(struct puppet *p)
{
    pthread_mutex_lock(&p->mutex);
    while (!p->running)
        pthread_cond_wait(&p->changed, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
}

/* Take over the fixture's device. */
static void setup_puppet(struct fixture *f, struct puppet *p, struct accel_backend *backend)
{
    setup(f);
    memset(p, 0, sizeof *p);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->changed, NULL);
    *backend = *f->dev->backend;
    backend->run = puppet_run;
    backend->load = puppet_load;
    backend->close = puppet_close;
    f->dev->backend = backend;
    f->dev->priv = p;
}

static void teardown_puppet(struct fixture *f, struct puppet *p)
{
    teardown(f);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
}

static void a_failed_job_leaves_results_and_totals_alone(void **state)
{
    (void)state;
    struct fixture f;
    struct puppet p;
    struct accel_backend backend;
    struct accel_error err;
    struct accel_stats stats = { .macs = 77 }, totals;
    setup_puppet(&f, &p, &backend);
    p.status = ACCEL_E_DEVICE;
    memset(f.y, 0x44, sizeof f.y);
    assert_int_equal(accel_run(f.dev, &f.job, &stats, &err), ACCEL_E_DEVICE);
    assert_string_equal(err.text, "the puppet was told to fail");
    assert_int_equal(f.y[0], 0x4444444444444444);
    assert_int_equal(stats.macs, 77);
    accel_get_totals(f.dev, &totals);
    assert_int_equal(totals.cycles, 0);
    p.status = 0;
    assert_int_equal(accel_run(f.dev, &f.job, &stats, &err), ACCEL_OK);
    assert_int_equal(accel_run(f.dev, &f.job, &stats, &err), ACCEL_OK);
    assert_int_equal(f.y[N * ROWS - 1], 0x0101010101010101);
    accel_get_totals(f.dev, &totals);
    const struct accel_stats want = { 2, 400, 200, 300, 6, 8, 10, 12, 14, 16, 2, 300 };
    assert_memory_equal(&totals, &want, sizeof want);
    assert_true(accel_utilisation(&totals) == 0.75);
    assert_true(accel_utilisation(&(struct accel_stats){ .cycles = 4, .ideal_cycles = 3 }) == 0.75);
    assert_true(accel_utilisation(&(struct accel_stats){ .ideal_cycles = 3 }) == 0.0);
    assert_true(accel_utilisation(NULL) == 0.0);
    teardown_puppet(&f, &p);
}

static void a_device_that_is_gone_takes_and_runs_no_more_jobs(void **state)
{
    (void)state;
    struct fixture f;
    struct puppet p;
    struct accel_backend backend;
    struct accel_error err;
    setup_puppet(&f, &p, &backend);
    accel_ticket a, b, c = 55;
    assert_int_equal(accel_submit(f.dev, &f.job, &a, NULL), ACCEL_OK);
    assert_int_equal(accel_submit(f.dev, &f.job, &b, NULL), ACCEL_OK);
    p.status = ACCEL_E_GONE;
    assert_int_equal(accel_wait(f.dev, a, 0, NULL, &err), ACCEL_E_GONE);
    p.status = ACCEL_OK; /* plugged in again: too late */
    assert_int_equal(accel_wait(f.dev, b, 0, NULL, &err), ACCEL_E_GONE);
    assert_non_null(strstr(err.text, "gone"));
    assert_int_equal(accel_submit(f.dev, &f.job, &c, &err), ACCEL_E_GONE);
    assert_int_equal(c, 55);
    assert_int_equal(f.y[0], 0);
    teardown_puppet(&f, &p);
}

struct waiter {
    struct fixture *f;
    accel_ticket ticket;
    int status;
};

static void *wait_in_thread(void *user)
{
    struct waiter *w = user;
    w->status = accel_wait(w->f->dev, w->ticket, 0, NULL, NULL);
    return NULL;
}

static void other_calls_go_on_while_a_job_runs(void **state)
{
    (void)state;
    struct fixture f;
    struct puppet p;
    struct accel_backend backend;
    struct accel_error err;
    struct accel_stats totals;
    setup_puppet(&f, &p, &backend);
    accel_ticket a, b;
    pthread_t thread;
    p.hold = true;
    assert_int_equal(accel_submit(f.dev, &f.job, &a, NULL), ACCEL_OK);
    struct waiter waiter = { &f, a, 1 };
    assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, &waiter), 0);
    puppet_await(&p);
    /* submitting, cancelling, totals and a wait with a limit do not hang behind the running job */
    assert_int_equal(accel_submit(f.dev, &f.job, &b, NULL), ACCEL_OK);
    accel_get_totals(f.dev, &totals);
    assert_int_equal(accel_cancel(f.dev, a), ACCEL_E_ARG); /* it has begun */
    assert_int_equal(accel_wait(f.dev, b, 2000000, NULL, &err), ACCEL_E_TIMEOUT);
    assert_non_null(strstr(err.text, "wait again"));
    assert_int_equal(accel_wait(f.dev, a, 1, NULL, NULL), ACCEL_E_TIMEOUT);
    puppet_hold(&p, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiter.status, ACCEL_OK);
    /* the ticket kept its place through the timeout */
    assert_int_equal(accel_wait(f.dev, b, UINT64_MAX, NULL, NULL), ACCEL_OK);
    teardown_puppet(&f, &p);
}

static void *load_in_thread(void *user)
{
    struct waiter *w = user;
    accel_weights *more = NULL;
    w->status = accel_load(w->f->dev, w->f->mat, &more, NULL);
    accel_unload(more);
    return NULL;
}

static void loading_waits_until_the_backend_is_free(void **state)
{
    (void)state;
    struct fixture f;
    struct puppet p;
    struct accel_backend backend;
    setup_puppet(&f, &p, &backend);
    pthread_t runner, loader;
    accel_ticket a;
    p.hold = true;
    assert_int_equal(accel_submit(f.dev, &f.job, &a, NULL), ACCEL_OK);
    struct waiter waiter = { &f, a, 1 }, load = { &f, 0, 1 };
    assert_int_equal(pthread_create(&runner, NULL, wait_in_thread, &waiter), 0);
    puppet_await(&p);
    assert_int_equal(pthread_create(&loader, NULL, load_in_thread, &load), 0);
    nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
    puppet_hold(&p, false);
    assert_int_equal(pthread_join(runner, NULL), 0);
    assert_int_equal(pthread_join(loader, NULL), 0);
    assert_int_equal(waiter.status, ACCEL_OK);
    assert_int_equal(load.status, ACCEL_OK);
    assert_false(p.overlapped);
    teardown_puppet(&f, &p);
}

#define THREADS 4
#define ROUNDS  150

struct worker {
    const struct fixture *f;
    int64_t y[2][N * ROWS];
    int wrong;
};

static void *work(void *user)
{
    struct worker *w = user;
    for (int i = 0; i < ROUNDS; i++) {
        struct accel_job job = w->f->job;
        accel_ticket t[2];
        memset(w->y, 0, sizeof w->y);
        for (int k = 0; k < 2; k++) {
            job.y = w->y[k];
            w->wrong += accel_submit(w->f->dev, &job, &t[k], NULL) != ACCEL_OK;
        }
        for (int k = 1; k >= 0; k--) {
            w->wrong += accel_wait(w->f->dev, t[k], 0, NULL, NULL) != ACCEL_OK;
            w->wrong += memcmp(w->y[k], w->f->want, sizeof w->f->want) != 0;
        }
    }
    return NULL;
}

static void many_threads_share_one_device(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    pthread_t threads[THREADS];
    static struct worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .f = &f };
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].wrong, 0);
    }
    struct accel_stats totals;
    accel_get_totals(f.dev, &totals);
    assert_int_equal(totals.jobs, THREADS * ROUNDS * 2);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_schemes_are_refused_with_a_list_of_those_built_in),
        cmocka_unit_test(a_program_built_for_another_api_is_refused),
        cmocka_unit_test(the_canonical_uri_opens_the_same_device_again),
        cmocka_unit_test(a_device_behind_no_link_has_no_registers),
        cmocka_unit_test(every_listed_device_opens),
        cmocka_unit_test(the_cpu_runs_every_format_and_says_why_not_to_others),
        cmocka_unit_test(the_log_callback_hears_what_backends_say),
        cmocka_unit_test(jobs_with_wrong_arguments_are_refused_and_leave_no_trace),
        cmocka_unit_test(jobs_beyond_the_activation_buffer_are_refused),
        cmocka_unit_test(strides_leave_what_lies_between_alone),
        cmocka_unit_test(float_results_multiply_in_the_stated_order),
        cmocka_unit_test(the_real_product_is_what_matrix_value_promises),
        cmocka_unit_test(loaded_weights_count_their_bits),
        cmocka_unit_test(weights_outlive_their_matrix_and_their_device),
        cmocka_unit_test(jobs_run_in_the_order_they_came),
        cmocka_unit_test(a_ticket_is_good_for_one_wait),
        cmocka_unit_test(a_full_queue_says_so_and_a_wait_makes_room),
        cmocka_unit_test(a_cancelled_job_never_runs),
        cmocka_unit_test(a_failed_job_leaves_results_and_totals_alone),
        cmocka_unit_test(a_device_that_is_gone_takes_and_runs_no_more_jobs),
        cmocka_unit_test(other_calls_go_on_while_a_job_runs),
        cmocka_unit_test(loading_waits_until_the_backend_is_free),
        cmocka_unit_test(many_threads_share_one_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
