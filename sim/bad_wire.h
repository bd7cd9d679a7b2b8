/* bad_wire.h - a wire that damages, loses and repeats the bytes put into it, by a seed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BAD_WIRE_H
#define ACCEL_BAD_WIRE_H

#include <cstdint>
#include <deque>

class BadWire
{
  public:
    /* Once in `rate` bytes something happens; never if it is 0. */
    BadWire(uint64_t seed, unsigned rate) : state_(seed), rate_(rate) {}

    std::deque<uint8_t> bytes; /* what comes out */
    unsigned faults = 0;

    void put(uint8_t b)
    {
        if (!rate_) {
            bytes.push_back(b);
            return;
        }
        last_.push_back(b);
        if (last_.size() > 300)
            last_.pop_front();
        if (lose_) {
            lose_--;
            return;
        }
        if (below(rate_) == 0) {
            faults++;
            switch (below(5)) {
            case 0: b ^= (uint8_t)(1u << below(8)); break;
            case 1: b = (uint8_t)below(256); break;
            case 2: lose_ = below(200); return;
            case 3: bytes.insert(bytes.end(), last_.begin(), last_.end()); return;
            default:
                for (uint32_t n = below(30); n; n--)
                    bytes.push_back((uint8_t)below(256));
            }
        }
        bytes.push_back(b);
    }

  private:
    uint64_t state_;
    unsigned rate_, lose_ = 0;
    std::deque<uint8_t> last_;

    uint32_t below(uint32_t n) /* splitmix64 */
    {
        uint64_t z = state_ += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return (uint32_t)((((z ^ (z >> 31)) >> 32) * n) >> 32);
    }
};

#endif
