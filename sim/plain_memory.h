/* plain_memory.h - a fast memory behind the memory port: a word a cycle, after a few cycles.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SIM_PLAIN_MEMORY_H
#define ACCEL_SIM_PLAIN_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <vector>

class PlainMemory
{
  public:
    explicit PlainMemory(size_t bytes) : words(bytes / 2) {}

    std::vector<uint16_t> words;
    size_t weak = ~(size_t)0; /* a word whose bit 4 is read as 0 */

    /* Sets the port's inputs for this cycle. */
    template <class Top> void drive(Top &top)
    {
        const Burst *read = count_ ? &burst_[0] : nullptr;
        const bool there = read && age_ >= kLatency;
        top.mem_ready_i = !left_ && count_ < kBursts;
        top.mem_take_i = left_ != 0;
        top.mem_valid_i = there;
        if (there) {
            const size_t at = read->at + read->word;
            top.mem_data_i = (uint16_t)(words[at] & ~(at == weak ? 0x10u : 0));
        }
    }
    /* Looks at its outputs, before the clock's edge. */
    template <class Top> void sample(Top &top)
    {
        if (left_) {
            if (top.mem_strobe_o)
                words[to_ + 8 - left_] = top.mem_data_o;
            left_--;
        }
        age_ += count_ != 0;
        if (top.mem_valid_i && ++burst_[0].word == 8) {
            for (unsigned i = 1; i < count_; i++)
                burst_[i - 1] = burst_[i];
            count_--;
        }
        if (!top.mem_valid_o || !top.mem_ready_i)
            return;
        const size_t at = 8 * (size_t)top.mem_addr_o;
        if (top.mem_write_o) {
            to_ = at;
            left_ = 8;
        } else {
            age_ = count_ ? age_ : 0;
            burst_[count_++] = { at, 0 };
        }
    }

  private:
    static constexpr unsigned kLatency = 6, kBursts = 4;
    struct Burst {
        size_t at;
        unsigned word;
    };
    Burst burst_[kBursts] = {};
    unsigned count_ = 0, age_ = 0, left_ = 0;
    size_t to_ = 0;
};

#endif
