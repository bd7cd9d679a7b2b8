/* allocate_solve.c - pick a format for each matrix: integer linear and quadratic programs, by GLPK.
 * SPDX-License-Identifier: Apache-2.0 */
#include "allocate_solve.h"

#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef ACCEL_WITH_GLPK
#include <glpk.h>
#endif

void allocate_value(const struct allocate_problem *p, struct allocate_solution *s)
{
    size_t all = (size_t)p->units * p->choices;
    s->loss = s->cost = 0;
    for (uint32_t u = 0; u < p->units; u++) {
        size_t i = (size_t)u * p->choices + s->pick[u];
        s->cost += p->cost[i];
        s->loss += p->loss[i];
        for (uint32_t v = 0; p->pair && v < p->units; v++)
            if (v != u)
                s->loss += p->pair[i * all + (size_t)v * p->choices + s->pick[v]];
    }
}

#ifdef ACCEL_WITH_GLPK

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- better picks nearby ---- */

/* 2 G x of a pick: what the loss's plane there leans by. */
static void slope(const struct allocate_problem *p, const uint32_t *pick, double *g)
{
    size_t all = (size_t)p->units * p->choices;
    for (size_t i = 0; i < all; i++) {
        g[i] = 0;
        for (uint32_t u = 0; u < p->units; u++)
            g[i] += 2 * p->pair[i * all + (size_t)u * p->choices + pick[u]];
    }
}

/* Change units u and v (u == v: one of them) to choices c and d: what it adds to the loss. */
static double change(const struct allocate_problem *p, const double *g, const uint32_t *pick,
                     uint32_t u, uint32_t c, uint32_t v, uint32_t d)
{
    size_t all = (size_t)p->units * p->choices, ub = (size_t)u * p->choices,
           vb = (size_t)v * p->choices;
    size_t i = ub + pick[u], j = ub + c, k = vb + pick[v], l = vb + d;
    const double *q = p->pair;
    /* (x + e)'G(x + e) - x'Gx = g'e + e'Ge */
    double more = g[j] - g[i] + q[j * all + j] + q[i * all + i] - 2 * q[i * all + j];
    if (u != v)
        more += g[l] - g[k] + q[l * all + l] + q[k * all + k] - 2 * q[k * all + l] +
                2 * (q[j * all + l] - q[j * all + k] - q[i * all + l] + q[i * all + k]);
    return more;
}

/* Take the best change of one or two units while there is one within the budget. */
static void improve(const struct allocate_problem *p, struct allocate_solution *s, double *g,
                    double until)
{
    for (;;) {
        double best = -1e-12 * fabs(s->loss);
        uint32_t bu = 0, bc = 0, bv = 0, bd = 0;
        slope(p, s->pick, g);
        for (uint32_t u = 0; u < p->units && now() < until; u++)
            for (uint32_t c = 0; c < p->choices; c++) {
                size_t ub = (size_t)u * p->choices;
                double cost = s->cost - p->cost[ub + s->pick[u]] + p->cost[ub + c];
                for (uint32_t v = u; v < p->units; v++)
                    for (uint32_t d = 0; d < p->choices; d++) {
                        size_t vb = (size_t)v * p->choices;
                        double both = cost;
                        if (v == u && d != c)
                            continue;
                        if (v != u)
                            both += p->cost[vb + d] - p->cost[vb + s->pick[v]];
                        if (!(both <= p->budget))
                            continue;
                        double more = change(p, g, s->pick, u, c, v, d);
                        if (more < best) {
                            best = more;
                            bu = u, bc = c, bv = v, bd = d;
                        }
                    }
            }
        if (!(best < -1e-12 * fabs(s->loss)) || now() >= until)
            return;
        s->pick[bu] = bc;
        s->pick[bv] = bd;
        allocate_value(p, s);
    }
}

/* ---- the linear programs ----
 *
 * A pick's square is itself, and two choices of one unit never meet. So x'Gx = lambda sum(loss x) + x'Rx, where
 * R = G without the pairs inside units, less lambda times loss on its diagonal. Lambda is as large as leaves R
 * positive semidefinite: the more of the loss is linear, the nearer are the planes below the rest. If that is
 * nothing, R = G. */

/* One product with N = L^-1/2 G L^-1/2 - I without the pairs inside units, L the losses. */
static void times_pairs(const struct allocate_problem *p, const double *v, double *out)
{
    size_t all = (size_t)p->units * p->choices;
    for (size_t i = 0; i < all; i++) {
        out[i] = 0;
        for (size_t k = 0; k < all && p->loss[i] > 0; k++)
            if (k / p->choices != i / p->choices && p->loss[k] > 0)
                out[i] += p->pair[i * all + k] / sqrt(p->loss[i] * p->loss[k]) * v[k];
    }
}

/* Lambda: 1 and the least eigenvalue of N, by power iterations on N - c, c its row sums' bound. */
static double find_lambda(const struct allocate_problem *p, double *v, double *to)
{
    enum { STEPS = 200 };
    size_t all = (size_t)p->units * p->choices;
    double bound = 0, least = 0;
    for (size_t i = 0; i < all; i++) {
        double sum = 0;
        for (size_t k = 0; k < all && p->loss[i] > 0; k++)
            if (k / p->choices != i / p->choices && p->loss[k] > 0)
                sum += fabs(p->pair[i * all + k]) / sqrt(p->loss[i] * p->loss[k]);
        bound = sum > bound ? sum : bound;
        v[i] = 1 + (double)(i * 2654435761u % 1000) / 1000;
    }
    for (int step = 0; step < STEPS; step++) {
        double norm = 0, dot = 0, square = 0;
        times_pairs(p, v, to);
        for (size_t i = 0; i < all; i++) {
            dot += v[i] * to[i];
            square += v[i] * v[i];
            to[i] -= bound * v[i];
            norm += to[i] * to[i];
        }
        if (!(norm > 0))
            break;
        least = dot / square;
        for (size_t i = 0; i < all; i++)
            v[i] = to[i] / sqrt(norm);
    }
    /* A little less than found, since the iterations end above the eigenvalue. */
    least -= 0.02 + 0.02 * fabs(least);
    return least > -1 ? 1 + least : 0;
}

/* One-hot rows, the budget, and for a quadratic program a last column that all planes push up. */
static glp_prob *make_program(const struct allocate_problem *p, double lambda)
{
    int n = (int)(p->units * p->choices), rows = (int)p->units + 1;
    glp_prob *lp = glp_create_prob();
    int *at = calloc((size_t)n + 2, sizeof *at);
    double *value = calloc((size_t)n + 2, sizeof *value);
    if (!at || !value)
        goto failed;
    glp_set_obj_dir(lp, GLP_MIN);
    glp_add_rows(lp, rows);
    glp_add_cols(lp, n + (p->pair ? 1 : 0));
    for (int i = 1; i <= n; i++) {
        bool barred = isinf(p->cost[i - 1]);
        glp_set_col_kind(lp, i, GLP_BV);
        if (barred)
            glp_set_col_bnds(lp, i, GLP_FX, 0, 0);
        glp_set_obj_coef(lp, i, p->loss[i - 1] * (p->pair ? lambda : 1));
    }
    if (p->pair) {
        glp_set_col_bnds(lp, n + 1, GLP_LO, 0, 0);
        glp_set_obj_coef(lp, n + 1, 1);
    }
    for (int u = 0; u < (int)p->units; u++) {
        for (int c = 0; c < (int)p->choices; c++) {
            at[c + 1] = u * (int)p->choices + c + 1;
            value[c + 1] = 1;
        }
        glp_set_row_bnds(lp, u + 1, GLP_FX, 1, 1);
        glp_set_mat_row(lp, u + 1, (int)p->choices, at, value);
    }
    int used = 0;
    for (int i = 1; i <= n; i++)
        if (!isinf(p->cost[i - 1]) && p->cost[i - 1] != 0) {
            at[++used] = i;
            value[used] = p->cost[i - 1] / p->budget;
        }
    glp_set_row_bnds(lp, rows, GLP_UP, 0, 1);
    glp_set_mat_row(lp, rows, used, at, value);
    free(at);
    free(value);
    return lp;
failed:
    free(at);
    free(value);
    glp_delete_prob(lp);
    return NULL;
}

/* The plane that touches x'Rx at this pick. */
static int add_plane(glp_prob *lp, const struct allocate_problem *p,
                     const struct allocate_solution *s, double lambda, double *g)
{
    int n = (int)(p->units * p->choices), used = 1, row = glp_add_rows(lp, 1);
    int *at = calloc((size_t)n + 2, sizeof *at);
    double *value = calloc((size_t)n + 2, sizeof *value);
    if (!at || !value) {
        free(at);
        free(value);
        return ACCEL_E_NOMEM;
    }
    slope(p, s->pick, g);
    double rest = s->loss;
    for (size_t i = 0; i < (size_t)n && lambda > 0; i++) {
        uint32_t u = (uint32_t)(i / p->choices);
        size_t own = (size_t)u * p->choices + s->pick[u];
        g[i] -= 2 * p->pair[i * (size_t)n + own];
        if (i == own) {
            g[i] += 2 * (1 - lambda) * p->loss[i];
            rest -= lambda * p->loss[i];
        }
    }
    at[1] = n + 1; /* t - g'x >= -x0'Rx0 */
    value[1] = 1;
    for (int i = 1; i <= n; i++)
        if (g[i - 1] != 0) {
            at[++used] = i;
            value[used] = -g[i - 1];
        }
    glp_set_row_bnds(lp, row, GLP_LO, -rest, 0);
    glp_set_mat_row(lp, row, used, at, value);
    free(at);
    free(value);
    return ACCEL_OK;
}

static void take_pick(glp_prob *lp, const struct allocate_problem *p, struct allocate_solution *s)
{
    for (uint32_t u = 0; u < p->units; u++)
        for (uint32_t c = 0; c < p->choices; c++)
            if (glp_mip_col_val(lp, (int)(u * p->choices + c) + 1) > 0.5)
                s->pick[u] = c;
    allocate_value(p, s);
}

/* 1: solved to the end, 0: stopped with a pick, negative: no pick. */
static int run_program(glp_prob *lp, double seconds)
{
    glp_iocp how;
    glp_init_iocp(&how);
    how.presolve = GLP_ON;
    how.msg_lev = GLP_MSG_OFF;
    how.mip_gap = 1e-6;
    how.tm_lim = seconds < 1e6 ? (int)(seconds * 1000) + 1 : 1000000000;
    int rc = glp_intopt(lp, &how);
    int status = glp_mip_status(lp);
    if (rc == 0 && status == GLP_OPT)
        return 1;
    return status == GLP_FEAS ? 0 : -1;
}

static int solve(const struct allocate_problem *p, double seconds, struct allocate_solution *s,
                 glp_prob *lp, double lambda, double *g, uint32_t *tried, struct accel_error *err)
{
    enum { ROUNDS = 200 };
    struct allocate_solution next = { .pick = tried };
    double until = now() + seconds;
    s->bound = p->pair ? -INFINITY : 0;
    if (!p->pair) {
        int rc = run_program(lp, seconds);
        if (rc < 0)
            return accel_fail(err, ACCEL_E_DEVICE, "GLPK found no pick in %.0f s", seconds);
        take_pick(lp, p, s);
        s->rounds = 1;
        s->bound = rc ? s->loss * (1 - 1e-6) : 0;
        return ACCEL_OK;
    }
    improve(p, s, g, until);
    int rc = add_plane(lp, p, s, lambda, g);
    while (!rc && s->rounds < ROUNDS && now() < until && s->bound < s->loss * (1 - 1e-4)) {
        double left = until - now();
        int solved = run_program(lp, left > 0.1 ? left : 0.1);
        if (solved < 0)
            break;
        s->rounds++;
        double low = glp_mip_obj_val(lp) - 1e-6 * fabs(glp_mip_obj_val(lp));
        if (solved && low > s->bound)
            s->bound = low;
        take_pick(lp, p, &next);
        rc = add_plane(lp, p, &next, lambda, g);
        if (!rc && next.cost <= p->budget * (1 + 1e-9)) {
            improve(p, &next, g, until);
            if (next.loss < s->loss) {
                memcpy(s->pick, next.pick, p->units * sizeof *s->pick);
                allocate_value(p, s);
            }
            rc = add_plane(lp, p, &next, lambda, g);
        }
    }
    if (s->bound > s->loss)
        s->bound = s->loss;
    if (s->bound < 0)
        s->bound = 0;
    return rc ? accel_fail(err, rc, "out of memory for a linear program") : ACCEL_OK;
}

int allocate_solve(const struct allocate_problem *p, double seconds, struct allocate_solution *s,
                   struct accel_error *err)
{
    size_t all = (size_t)p->units * p->choices;
    double *g = calloc(all + 1, sizeof *g);
    uint32_t *tried = calloc(p->units + 1, sizeof *tried);
    double *room = calloc(all + 1, sizeof *room), lambda = 1;
    glp_prob *lp = NULL;
    int rc = ACCEL_OK;
    s->rounds = 0;
    /* Begin with the cheapest pick. */
    for (uint32_t u = 0; u < p->units; u++) {
        s->pick[u] = 0;
        for (uint32_t c = 1; c < p->choices; c++)
            if (p->cost[(size_t)u * p->choices + c] < p->cost[(size_t)u * p->choices + s->pick[u]])
                s->pick[u] = c;
    }
    allocate_value(p, s);
    glp_term_out(GLP_OFF);
    if (p->pair && g && room)
        lambda = find_lambda(p, g, room);
    if (g && room && tried && s->cost <= p->budget)
        lp = make_program(p, lambda);
    if (!(s->cost <= p->budget))
        rc = accel_fail(err, ACCEL_E_ARG, "the budget of %.6g is below the cheapest pick's %.6g",
                        p->budget, s->cost);
    else if (!lp)
        rc = accel_fail(err, ACCEL_E_NOMEM, "out of memory for a linear program");
    else
        rc = solve(p, seconds, s, lp, lambda, g, tried, err);
    if (lp)
        glp_delete_prob(lp);
    glp_free_env();
    free(g);
    free(room);
    free(tried);
    return rc;
}

#else

int allocate_solve(const struct allocate_problem *p, double seconds, struct allocate_solution *s,
                   struct accel_error *err)
{
    (void)p;
    (void)seconds;
    (void)s;
    return accel_fail(
        err, ACCEL_E_UNSUPPORTED,
        "built without GLPK, which solves for formats: install libglpk-dev and build again");
}

#endif
