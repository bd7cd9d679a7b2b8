/* tb_cycles.h - what a beat costs in kinds where that depends on data or format: their papers' cycle formulas.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A model is called with every beat of a job, in order: the packed matrix, the beat's activations (NULL: zeros) and code
 * word (all its planes), whether it is its chunk's last. It gives the cycles from the one in which the tile takes this beat
 * to the one in which it can take the next, where nothing outside holds it up. tb.mk names the model of a kind:
 * TB_DEFS_kind := -DCYCLE_MODEL=tb::Name. */
#ifndef TB_CYCLES_H
#define TB_CYCLES_H

#include "internal.h"

#include <algorithm>
#include <vector>

namespace tb
{

struct OneCycle {
    OneCycle(unsigned, unsigned) {}
    unsigned beat(const packed &, const int8_t *, const uint8_t *, bool) { return 1; }
};

/* dpred: the bits from the lowest that is set in any activation to the highest that any needs. */
struct PrecisionCycles {
    const unsigned lanes;

    PrecisionCycles(unsigned, unsigned l) : lanes(l) {}
    unsigned beat(const packed &, const int8_t *x, const uint8_t *, bool)
    {
        int low = 0, high = 0, set = 0;
        for (unsigned l = 0; l < lanes; l++) {
            low = std::min<int>(low, x[l]);
            high = std::max<int>(high, x[l]);
            set |= x[l];
        }
        if (set == 0)
            return 1;
        /* of an integer that holds them all, signed only if it must be; trailing zeros of all */
        unsigned bits = 1, zeros = 0;
        while (low < 0 ? low < -(1 << (bits - 1)) || high >= 1 << (bits - 1) : high >= 1 << bits)
            bits++;
        while (!(set >> zeros & 1))
            zeros++;
        return bits - zeros;
    }
};

} // namespace tb

#endif
