/* align.c - real group scales and offsets as (sc, sh, oc) of one row scale.
 * SPDX-License-Identifier: Apache-2.0 */
#include "matrix.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* The smallest e such that v / 2^e rounds to an integer of at most `bits` bits. v is not 0. */
static int unit_exponent(double v, int bits)
{
    int e;
    double f = ldexp(frexp(fabs(v), &e), bits); /* in 2^(bits-1) .. 2^bits */
    return e - bits + (round_even(f) >= ldexp(1.0, bits));
}

/* unit_exponent, and then as many doublings as change nothing: the unit a scale really needs. */
static int coarsest_exponent(double v, int bits)
{
    int e = unit_exponent(v, bits);
    for (int q = (int)round_even(ldexp(fabs(v), -e)); (q & 1) == 0; q /= 2)
        e++;
    return e;
}

int aligner_init(struct aligner *a, const struct accel_matrix *m, struct accel_error *err)
{
    memset(a, 0, sizeof *a);
    matrix_tables(m->format, &a->tables);
    a->sc_bits = m->sel ? SC_SEL_BITS : SC_BITS;
    a->uniform = true;
    a->sums = calloc(m->groups, sizeof *a->sums);
    a->scale = calloc(m->groups, sizeof *a->scale);
    a->offset = calloc(m->groups, sizeof *a->offset);
    if (a->sums && a->scale && a->offset)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_NOMEM, "out of memory: scales of %u groups", m->groups);
}

void aligner_free(struct aligner *a)
{
    free(a->sums);
    free(a->scale);
    free(a->offset);
}

static void set_row(struct accel_matrix *m, uint32_t row, int sc, int32_t oc, double row_scale)
{
    for (size_t i = (size_t)row * m->groups, end = i + m->groups; i < end; i++) {
        m->sc[i] = (int16_t)sc;
        m->sh[i] = 0;
        m->oc[i] = oc;
    }
    m->row_scale[row] = (float)row_scale;
}

/* One scale and one offset for the whole row: the scale itself goes to the row scale, so nothing of
 * it is lost. False if an offset is too large against its scale for that. */
static bool align_uniform(struct accel_matrix *m, uint32_t row, const struct aligner *a)
{
    double s = a->scale[0], o = a->offset[0];
    if (s == 0.0 && o == 0.0) {
        set_row(m, row, 0, 0, 1.0);
        return true;
    }
    if (o == 0.0) {
        set_row(m, row, 1, 0, s);
        return fabs(s) >= (double)FLT_MIN && matrix_row_bound(m, row, a->sums) < ACC_LIMIT;
    }
    if (s == 0.0) {
        set_row(m, row, 0, 1, o);
        return fabs(o) >= (double)FLT_MIN && matrix_row_bound(m, row, a->sums) < ACC_LIMIT;
    }
    for (int j = a->sc_bits - 1; j >= 0; j--) { /* a finer unit rounds the offset less */
        double unit = ldexp(s, -j);
        double oc = round_even(o / unit);
        if (fabs(unit) < (double)FLT_MIN || fabs(oc) > OC_MAX)
            continue;
        set_row(m, row, 1 << j, (int32_t)oc, unit);
        if (matrix_row_bound(m, row, a->sums) < ACC_LIMIT)
            return true;
    }
    return false;
}

/* The unit exponent in which group g keeps 11 bits of its scale and its offset fits. */
static bool group_exponent(const struct aligner *a, uint32_t g, int *e)
{
    double s = a->scale[g], o = a->offset[g];
    if (s == 0.0 && o == 0.0)
        return false;
    int es = s == 0.0 ? INT_MIN : unit_exponent(s, a->sc_bits);
    int eo = o == 0.0 ? INT_MIN : unit_exponent(o, OC_BITS);
    *e = es > eo ? es : eo;
    return true;
}

/* Row scale 2^base; every group gets the finest (sc, sh, oc) that fits. */
static void align_to(struct accel_matrix *m, uint32_t row, const struct aligner *a, int base)
{
    for (uint32_t g = 0; g < m->groups; g++) {
        size_t i = (size_t)row * m->groups + g;
        int e = base;
        m->sc[i] = 0;
        m->sh[i] = 0;
        m->oc[i] = 0;
        if (!group_exponent(a, g, &e))
            continue;
        e = e < base ? base : e;
        m->sh[i] = (uint8_t)(e - base);
        m->sc[i] = (int16_t)round_even(ldexp(a->scale[g], -e));
        m->oc[i] = (int32_t)round_even(ldexp(a->offset[g], -e));
    }
    m->row_scale[row] = (float)ldexp(1.0, base);
}

static int align_powers(struct accel_matrix *m, uint32_t row, const struct aligner *a,
                        struct accel_error *err)
{
    int finest = INT_MAX, top = INT_MIN, e;
    bool offsets = false;
    for (uint32_t g = 0; g < m->groups; g++)
        offsets = offsets || a->offset[g] != 0.0;
    for (uint32_t g = 0; g < m->groups; g++) {
        if (!group_exponent(a, g, &e))
            continue;
        top = e > top ? e : top;
        /* Without offsets, a unit that all scales are multiples of is as good as a finer one and
         * keeps acc small. */
        if (!offsets)
            e = coarsest_exponent(a->scale[g], a->sc_bits);
        finest = e < finest ? e : finest;
    }
    int base = finest > top - SH_MAX ? finest : top - SH_MAX;
    base = base < FLT_MIN_EXP - 1 ? FLT_MIN_EXP - 1 : base;
    for (; base < FLT_MAX_EXP; base++) {
        align_to(m, row, a, base);
        if (matrix_row_bound(m, row, a->sums) < ACC_LIMIT)
            return ACCEL_OK;
    }
    return accel_fail(err, ACCEL_E_OVERFLOW, "matrix row %u: its scales are beyond float32", row);
}

int align_row(struct accel_matrix *m, uint32_t row, struct aligner *a, struct accel_error *err)
{
    double largest = 0.0, largest_offset = 0.0, worst = 0.0;
    bool uniform = true;
    matrix_sum_magnitudes(m, row, &a->tables, a->sums);
    for (uint32_t g = 0; g < m->groups; g++) {
        largest = larger(largest, fabs(a->scale[g]));
        largest_offset = larger(largest_offset, fabs(a->offset[g]));
        uniform = uniform && a->scale[g] == a->scale[0] && a->offset[g] == a->offset[0];
    }
    if (!uniform || !align_uniform(m, row, a)) {
        int rc = align_powers(m, row, a, err);
        if (rc)
            return rc;
    }
    const uint8_t *sel = m->sel ? m->sel + (size_t)row * m->groups : NULL;
    for (uint32_t g = 1; sel && g < m->groups; g++)
        uniform = uniform && sel[g] == sel[0];
    a->uniform = a->uniform && uniform; /* then (sc, sh, oc) are the same, too */
    for (uint32_t g = 0; g < m->groups; g++) {
        size_t i = (size_t)row * m->groups + g;
        double unit = ldexp((double)m->row_scale[row], m->sh[i]);
        worst = larger(worst, fabs(m->sc[i] * unit - a->scale[g]));
        worst = larger(worst, fabs(m->oc[i] * unit - a->offset[g]));
    }
    largest = largest > 0.0 ? largest : largest_offset;
    if (worst > 0.0)
        m->scale_error = larger(m->scale_error, worst / largest);
    return ACCEL_OK;
}

int align_finish(struct accel_matrix *m, const struct aligner *a, struct accel_error *err)
{
    if (a->uniform) {
        for (uint32_t r = 0; r < m->rows; r++) {
            size_t i = (size_t)r * m->groups;
            m->sc[r] = m->sc[i];
            m->sh[r] = m->sh[i];
            m->oc[r] = m->oc[i];
            if (m->sel)
                m->sel[r] = m->sel[i];
        }
        m->group = 0;
        m->groups = 1;
    }
    return matrix_prove(m, err);
}
