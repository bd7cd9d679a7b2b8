/* soft_board.h - a board in software, from its link to its results, and jobs to try it with.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SOFT_BOARD_H
#define SOFT_BOARD_H

#include "internal.h"
#include "link_device.h"
#include "random_matrix.h"

enum { BOARD_ROWS = 8, BOARD_LANES = 16, BOARD_UNITS = 4 };

/* What the board holds of each stream; a command is run as soon as all its bytes are there. */
struct soft_board {
    struct link_device device;
    uint8_t *bytes[LINK_STREAMS];
    size_t count[LINK_STREAMS];
    int64_t *results;
    size_t result_bytes, result_at; /* still to be sent */
    uint16_t id;
    uint64_t received; /* bytes from the host */

    /* set by the test */
    size_t need[LINK_STREAMS]; /* bytes of the job that comes */
    uint8_t status;            /* of its completion */
    struct rng rng;
    unsigned faults;   /* once in so many bytes, both ways; 0: a good cable */
    uint64_t power_at; /* forget everything at this byte from the host, once; 0: never */
    bool lazy;         /* never finishes a job */
};

void board_init(struct soft_board *b);
void board_free(struct soft_board *b);
/* Forgets everything, as at power-on. */
void board_power_on(struct soft_board *b);
void board_input(struct soft_board *b, uint8_t *bytes, size_t count);
size_t board_output(struct soft_board *b, uint8_t *bytes, size_t room);
/* Whether *at was reached; then it is cleared. 0: never. */
bool board_reached(uint64_t *at, uint64_t received);

/* A random job and the results it must give. */
struct board_job {
    accel_matrix *mat;
    accel_weights *w;
    uint32_t rows, cols, n;
    int8_t *x;
    int64_t *want, *got;
    struct accel_job job;
};
void board_job_make(struct board_job *k, accel_dev *dev, struct rng *r);
/* Tells the board what is coming. */
void board_expect(struct soft_board *b, const struct board_job *k);
/* Checks the results: all there, or none; frees everything. */
void board_job_check(struct board_job *k, bool equal);

/* The URI cannot be opened, and why is said in these words. */
void expect_refusal(const char *uri, int status, const char *words);

#endif
