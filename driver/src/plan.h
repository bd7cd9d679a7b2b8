/* plan.h - which weight format each tensor of a model gets: a text that people can read and write.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_PLAN_H
#define ACCEL_PLAN_H

#include "accel.h"

enum { PLAN_NAME = 96, PLAN_MOST = 4096 };

struct plan_choice {
    accel_format format;
    uint32_t group;       /* as in accel.h: 0 is a row */
    uint32_t outliers;    /* of each 256 columns */
    uint32_t keep, block; /* N:M, as in quant_type; block 0: every weight has a code */
};

struct plan_entry {
    char name[PLAN_NAME]; /* of a tensor, or "*" for all that have no line of their own */
    struct plan_choice choice;
};

struct plan {
    struct plan_entry *entries;
    uint32_t count;
};

/* "int4:64", or "int4" for a group of fallback_group; codebooks have none. "int4:64+2" has 2 outliers in each
 * 256 columns, in "int4:64,2:4" two of every four weights are 0. err says what is wrong.
 * @return ACCEL_OK, _E_ARG */
int plan_parse_choice(const char *text, uint32_t fallback_group, struct plan_choice *choice,
                      struct accel_error *err);
/* "int4:64", "int4:64+2" or "int4:64,2:4" into text of 32 bytes; returns it. */
const char *plan_print_choice(struct plan_choice choice, char *text);

/* Lines "NAME = FORMAT:GROUP"; # begins a comment. label is used in messages.
 * @return ACCEL_OK, _E_CORRUPT (names the line), _E_NOMEM */
int plan_parse(const char *text, size_t len, const char *label, struct plan *plan,
               struct accel_error *err);
int plan_add(struct plan *plan, const char *name, size_t len, struct plan_choice choice,
             struct accel_error *err);
void plan_free(struct plan *plan);

/* The choice's tensor type in files, or 0. */
uint32_t plan_type(struct plan_choice choice);

/* Overwrites *choice if the plan (NULL is fine) has one for this tensor. */
void plan_find(const struct plan *plan, const char *name, size_t len, struct plan_choice *choice);

/* Bits that a matrix takes in a file. */
double plan_bits(struct plan_choice choice, uint64_t rows, uint64_t cols);
/* Round a matrix to the choice, each scale searched for the least squared error. */
int plan_quantize(struct plan_choice choice, uint32_t rows, uint32_t cols, const float *w,
                  accel_matrix **mat, struct accel_error *err);

#endif
