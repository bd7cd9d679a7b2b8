/* allocate_solve.h - pick a format for each matrix: integer linear and quadratic programs, by GLPK.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ALLOCATE_SOLVE_H
#define ALLOCATE_SOLVE_H

#include "accel.h"

struct allocate_problem {
    uint32_t units, choices;
    double *loss; /* [units][choices] */
    double *cost; /* [units][choices]; INFINITY: not this one */
    double *
        pair; /* [units * choices][units * choices]: positive semidefinite, loss its diagonal; a pick
                     loses the sum of its rows and columns. NULL: losses just add */
    double budget; /* on the sum of costs */
};

struct allocate_solution {
    uint32_t *pick; /* [units], the caller's room */
    double loss, cost;
    double bound;    /* no pick within the budget loses less */
    uint32_t rounds; /* linear programs solved */
};

/* Loss and cost of solution->pick. */
void allocate_value(const struct allocate_problem *p, struct allocate_solution *solution);

/* The best pick. A quadratic program is linearised: its loss is convex in the picks, so every pick seen
 * gives a plane below it; GLPK finds the least over all planes, whose pick gives the next plane, until
 * bound and best meet or the time is up.
 * @return ACCEL_OK, _E_ARG (the budget is below the cheapest pick), _E_UNSUPPORTED (built without GLPK),
 *         _E_NOMEM, _E_DEVICE (the solver failed) */
int allocate_solve(const struct allocate_problem *p, double seconds,
                   struct allocate_solution *solution, struct accel_error *err);

#endif
