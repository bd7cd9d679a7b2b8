/* soc.h - the Verilated core and link between two wires.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SIM_SOC_H
#define ACCEL_SIM_SOC_H

#include "bad_wire.h"

#include "plain_memory.h"

#include "Vboard.h"

#include <cstddef>

class Soc
{
  public:
    /* Both wires have a fault about once in `faults` bytes, or none if it is 0. memory: bytes of it, 0: none. */
    Soc(uint64_t seed, unsigned faults, uint32_t memory = 0)
        : down(seed, faults), up(seed ^ 0x5555, faults), memory_(memory)
    {
        top_.mem_bytes_i = memory;
        top_.clk_i = 0;
        top_.valid_i = 0;
        top_.side_valid_i = 0;
        top_.bus_done_i = 1; /* no registers beside the link */
        top_.bus_data_i = 0;
        top_.ready_i = 0;
        top_.rst_i = 1;
        for (int i = 0; i < 2; i++)
            edge();
        top_.rst_i = 0;
    }

    BadWire down, up; /* to the device, to the host */
    static constexpr size_t kBuffered =
        4096; /* bytes for a host that does not read; then the device waits */

    /* Nothing will happen before the host sends again. */
    bool asleep() const
    {
        return down.bytes.empty() && !top_.busy_o && !top_.awake_o && quiet_ > kSettled;
    }
    /* It most likely waits for the host, though it is busy. */
    bool starved() const { return quiet_ > kStarved; }

    /* From now on the memory loses a bit of the byte. */
    void weaken(uint64_t byte) { memory_.weak = byte / 2; }

    /* Off and on again: whatever was in registers and memory is gone. */
    void lose_power()
    {
        uint64_t noise = 0x9e3779b97f4a7c15u;
        for (uint16_t &w : memory_.words)
            w = (uint16_t)((noise *= 0xd1342543de82ef95u) >> 48);
        top_.rst_i = 1;
        for (int i = 0; i < 2; i++)
            edge();
        top_.rst_i = 0;
    }

    /* At most so many cycles. */
    void run(int cycles)
    {
        for (int i = 0; i < cycles && !asleep(); i++)
            cycle();
    }

  private:
    static constexpr unsigned kSettled = 1000, kStarved = 100000; /* cycles without a byte */

    Vboard top_;
    PlainMemory memory_;
    unsigned quiet_ = 0; /* cycles since a byte moved */

    void edge()
    {
        top_.clk_i = 0;
        top_.eval();
        top_.clk_i = 1;
        top_.eval();
    }

    /* The outputs depend on registers alone: they hold since the last edge. */
    void cycle()
    {
        const bool in = !down.bytes.empty();
        top_.valid_i = in;
        if (in) {
            top_.data_i = down.bytes.front();
            down.bytes.pop_front();
        }
        top_.ready_i = up.bytes.size() < kBuffered;
        memory_.drive(top_);
        top_.clk_i = 0;
        top_.eval();
        const bool out = top_.valid_o && top_.ready_i;
        if (out)
            up.put(top_.data_o);
        memory_.sample(top_);
        top_.clk_i = 1;
        top_.eval();
        quiet_ = in || out ? 0 : quiet_ + 1;
    }
};

#endif
