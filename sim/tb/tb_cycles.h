/* tb_cycles.h - what a beat costs in kinds where that depends on data or format: their papers' cycle formulas.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A model is called with every beat of a job, in order: the packed matrix, the beat's activations (NULL: zeros) and code
 * word (all its planes), whether it is its chunk's last. It gives the cycles from the one in which the tile takes this beat
 * to the one in which it can take the next, where nothing outside holds it up. tb.mk names the model of a kind:
 * TB_DEFS_kind := -DCYCLE_MODEL=tb::Name. A model may have a second function, late: called before beat with where the
 * beat belongs, it gives the cycles that the beat before took more because of what this one is. */
#ifndef TB_CYCLES_H
#define TB_CYCLES_H

#include "tb_matrix.h"

#include <algorithm>
#include <vector>

namespace tb
{

struct OneCycle {
    OneCycle(unsigned, unsigned) {}
    unsigned beat(const packed &, const int8_t *, const uint8_t *, bool) { return 1; }
};

/* bismo: a cycle for each plane of the activations. */
struct ActPlaneCycles {
    ActPlaneCycles(unsigned, unsigned) {}
    unsigned beat(const packed &, const int8_t *, const uint8_t *, bool) { return 8; }
};

/* term: as many as the format has terms. */
struct FixedTerms {
    FixedTerms(unsigned, unsigned) {}
    unsigned beat(const packed &p, const int8_t *, const uint8_t *, bool)
    {
        if (p.coding != 3)
            return (p.planes + 1) / 2; /* Booth digits */
        if (p.table < 16)
            return 2;
        const unsigned exponent = p.table - 15, mantissa = p.planes - 1 - exponent;
        return (mantissa + 3) / 2;
    }
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

/* tclp, tcle: steps enter a cycle each, while the word before is worked on; the next word waits for both. */
template <bool Terms> struct WindowCycles {
    const unsigned lanes;
    std::vector<int8_t> window; /* three steps, the last one latest */
    bool word = false;
    unsigned work = 0, gone = 0; /* of the last word; cycles since it came */

    WindowCycles(unsigned, unsigned l) : lanes(l), window(3 * l) {}
    unsigned late(const ArrayBeat &at)
    {
        word = at.has_word;
        if (at.first)
            std::fill(window.begin(), window.end(), 0);
        return word && work > gone ? work - gone : 0;
    }
    unsigned beat(const packed &p, const int8_t *x, const uint8_t *w, bool last)
    {
        window.erase(window.begin(), window.begin() + lanes);
        for (unsigned l = 0; l < lanes; l++)
            window.push_back(x ? x[l] : (int8_t)0);
        if (word) {
            work = Terms ? terms() : PrecisionCycles(0, 3 * lanes).beat(p, window.data(), w, last);
            gone = 0;
        }
        gone++;
        return 1;
    }
    /* The most terms of any; an odd number's next term makes it a multiple of four. */
    unsigned terms() const
    {
        unsigned most = 1;
        for (int v : window) {
            unsigned n = 0;
            for (; v; v /= 2)
                if (v % 2) {
                    v -= (v & 3) == 1 ? 1 : -1;
                    n++;
                }
            most = std::max(most, n);
        }
        return most;
    }
};

/* laconic: each lane of each row takes as many cycles as its operands have pairs of signed powers of two, one at least.
 * It may be behind the newest beat by Depth - 1 beats, but in a chunk's first. */
template <unsigned Depth> class TermPairCycles
{
  public:
    TermPairCycles(unsigned rows, unsigned lanes) : rows_(rows), lanes_(lanes), done_(rows * lanes)
    {
    }
    unsigned beat(const packed &p, const int8_t *x, const uint8_t *word, bool last)
    {
        const size_t units = done_.size();
        for (size_t u = 0; u < units; u++) {
            int k = 0;
            for (unsigned b = 0; b < p.planes; b++)
                k |= (word[(b * units + u) / 8] >> u % 8 & 1) << b;
            if (p.coding ||
                k >> (p.planes - 1)) /* unsigned codes are taken from the middle of their range */
                k -= 1 << (p.coding ? p.planes - 1 : p.planes);
            done_[u] = std::max(done_[u], now_) + std::max(1u, terms(k) * terms(x[u % lanes_]));
        }
        slots_.push_back(*std::max_element(done_.begin(), done_.end()));
        const uint64_t next = last                     ? slots_.back()
                              : slots_.size() >= Depth ? slots_[slots_.size() - Depth]
                                                       : 0;
        const uint64_t was = now_;
        now_ = std::max(now_ + 1, next);
        return (unsigned)(now_ - was);
    }

  private:
    const unsigned rows_, lanes_;
    uint64_t now_ = 0;            /* the cycle in which the beat at hand is taken */
    std::vector<uint64_t> done_;  /* the last cycle that each lane of each row was busy */
    std::vector<uint64_t> slots_; /* likewise, for all and each beat */

    /* The least number of signed powers of two that add up to v. */
    static unsigned terms(int v)
    {
        unsigned n = 0;
        for (; v; v /= 2)
            if (v % 2) {
                n++;
                v -= v % 4 == 1 || v % 4 == -3 ? 1 : -1;
            }
        return n;
    }
};

} // namespace tb

#endif
