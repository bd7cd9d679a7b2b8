/* soft_board.c - a board in software.
 * SPDX-License-Identifier: Apache-2.0 */
#include "soft_board.h"

#include "stream_model.h"

#include "backend/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MOST ((size_t)1 << 20) /* bytes of a stream of one job */

static void forget(void *user)
{
    struct soft_board *b = user;
    memset(b->count, 0, sizeof b->count);
    b->result_bytes = b->result_at = 0;
}

void board_power_on(struct soft_board *b)
{
    static const uint32_t rooms[LINK_STREAMS] = { 64, 512, 2048, 512, 256 };
    memset(&b->device, 0, sizeof b->device);
    forget(b);
    memcpy(b->device.room, rooms, sizeof rooms);
    b->device.reset = forget;
    b->device.user = b;
    uint32_t *r = b->device.registers;
    const uint32_t core[] = { 0x4c434341, 1,   0,   BOARD_ROWS, BOARD_LANES, BOARD_UNITS,
                              8,          256, 512, 0,          24,          256 };
    memcpy(r, core, sizeof core);
    r[LINK_REG_MAGIC] = LINK_MAGIC_WORD;
    r[LINK_REG_PROTOCOL] = LINK_PROTOCOL_MIN << 16 | LINK_PROTOCOL_MAX;
    memcpy(r + LINK_REG_ROOM, rooms, sizeof rooms);
}

static void compute(struct soft_board *b)
{
    uint32_t c[4];
    for (unsigned s = 0; s < LINK_STREAMS; s++) {
        assert_true(b->count[s] <= b->need[s]);
        if (b->count[s] < b->need[s] || b->count[0] < sizeof c)
            return;
    }
    memcpy(c, b->bytes[LINK_STREAM_COMMAND], sizeof c);
    const struct stream_array array = { 0, BOARD_ROWS, BOARD_LANES, BOARD_UNITS, 256 };
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
                                      .x_beats = b->count[LINK_STREAM_X] / BOARD_LANES,
                                      .w_beats = b->count[LINK_STREAM_W] /
                                                 (BOARD_ROWS * BOARD_LANES / 8),
                                      .h_beats = b->count[LINK_STREAM_H] / (2 * BOARD_UNITS),
                                      .o = (const uint64_t *)(const void *)b->bytes[LINK_STREAM_O],
                                      .o_beats = b->count[LINK_STREAM_O] / 8 };
    const char *wrong = stream_model(&array, &command, &data, b->results);
    if (wrong)
        fail_msg("the board got wrong streams: %s", wrong);
    b->id = (uint16_t)(c[0] >> 16);
    b->result_bytes = 6 * (size_t)command.row_tiles * BOARD_ROWS * command.columns;
    b->result_at = 0;
    b->count[0] = 0;
    b->device.registers[16 + 18]++; /* jobs */
}

/* Moves what can be moved between the link and the core. */
static void work(struct soft_board *b)
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

static size_t damage(struct soft_board *b, uint8_t *bytes, size_t count)
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

bool board_reached(uint64_t *at, uint64_t received)
{
    const bool now = *at && received >= *at;
    if (now)
        *at = 0;
    return now;
}

void board_init(struct soft_board *b)
{
    memset(b, 0, sizeof *b);
    b->rng.state = 9;
    for (unsigned s = 0; s < LINK_STREAMS; s++)
        b->bytes[s] = malloc(MOST);
    b->results = malloc(MOST);
    board_power_on(b);
}

void board_free(struct soft_board *b)
{
    for (unsigned s = 0; s < LINK_STREAMS; s++)
        free(b->bytes[s]);
    free(b->results);
}

void board_input(struct soft_board *b, uint8_t *bytes, size_t count)
{
    b->received += count;
    link_device_input(&b->device, bytes, damage(b, bytes, count));
    if (board_reached(&b->power_at, b->received))
        board_power_on(b);
    work(b);
}

size_t board_output(struct soft_board *b, uint8_t *bytes, size_t room)
{
    work(b);
    return damage(b, bytes, link_device_output(&b->device, bytes, room));
}

/* ---- jobs ---- */

void board_job_make(struct board_job *k, accel_dev *dev, struct rng *r)
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
    k->job = (struct accel_job){ .weights = k->w,
                                 .x = k->x,
                                 .n = k->n,
                                 .x_stride = k->cols,
                                 .out = ACCEL_OUT_ACC,
                                 .y = k->got,
                                 .y_stride = k->rows };
}

void board_expect(struct soft_board *b, const struct board_job *k)
{
    const struct packed *p = k->w->priv;
    b->need[LINK_STREAM_COMMAND] = 16;
    b->need[LINK_STREAM_X] = (size_t)p->steps * BOARD_LANES * k->n;
    b->need[LINK_STREAM_W] = p->code_beats * p->beat_bytes;
    b->need[LINK_STREAM_H] = p->header_beats * 2 * BOARD_UNITS;
    b->need[LINK_STREAM_O] = p->outlier_beats * 8;
    memset(b->count, 0, sizeof b->count);
}

void board_job_check(struct board_job *k, bool equal)
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

void expect_refusal(const char *uri, int status, const char *words)
{
    struct accel_error err;
    accel_dev *dev = NULL;
    assert_int_equal(accel_open(uri, NULL, &dev, &err), status);
    assert_null(dev);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
}
