/* tb_fifo.cpp - fifo.v: order, room for Depth entries exactly, reset.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vfifo_2x8.h"
#include "Vfifo_8x37.h"

namespace
{

template <class Top, unsigned Depth, unsigned Width> void order(tb::Job &job)
{
    tb::Dut<Top> dut(job);
    std::deque<uint64_t> model;
    tb::Source<uint64_t> in(dut, dut->valid_i, dut->ready_o, job.stall(),
                            [&](uint64_t v) { tb::put_bits(dut->data_i, 0, Width, v); });
    tb::Sink<uint64_t> out(
        dut, dut->valid_o, dut->ready_i, job.stall(),
        [&](uint64_t &v) { v = tb::get_bits(dut->data_o, 0, Width); },
        [&](uint64_t v) {
            CHECK(!model.empty(), "an entry came out that never went in");
            CHECK_EQ(v, model.front(), "entry");
            model.pop_front();
        });
    std::deque<uint64_t> entering;
    in.taken = [&](uint64_t v) { entering.push_back(v); };
    const uint64_t mask = (1ull << Width) - 1;
    unsigned fullest = 0;
    for (int round = 0; round < 3; round++) {
        dut.reset();
        for (int i = 0; i < 1000; i++)
            in.queue.push_back(job.rng.next() & mask);
        const int cycles = round < 2 ? (int)job.rng.below(400) : 1 << 30; /* cut off by a reset */
        for (int t = 0; t < cycles && (!in.queue.empty() || !model.empty()); t++) {
            dut.drive();
            CHECK_EQ(dut->ready_o, model.size() < Depth, "ready");
            CHECK_EQ(dut->valid_o, !model.empty(), "valid");
            dut.step();
            for (; !entering.empty(); entering.pop_front())
                model.push_back(entering.front());
            fullest = std::max(fullest, (unsigned)model.size());
        }
        if (round < 2) {
            model.clear();
            in.clear();
            out.clear();
        }
    }
    CHECK(model.empty() && out.count >= 1000, "entries were lost");
    CHECK(job.number % 4 != 0 || fullest > 0, "the buffer was never used");
}

template <class Top, unsigned Depth> void full_speed(tb::Job &job)
{
    tb::Dut<Top> dut(job);
    dut.reset();
    for (unsigned t = 0; t < 100; t++) { /* fill up, then one in and one out each cycle */
        dut->valid_i = 1;
        tb::put_bits(dut->data_i, 0, 8, t);
        dut->ready_i = t >= Depth - 1;
        dut.drive();
        CHECK(dut->ready_o, "not ready in cycle %u", t);
        if (t >= Depth - 1)
            CHECK_EQ(tb::get_bits(dut->data_o, 0, 8), t - (Depth - 1), "entry");
        dut.step();
        dut.alive();
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("fifo of 2 entries keeps order and count under stalls and resets", 40,
             order<Vfifo_2x8, 2, 8>);
    run.test("fifo of 8 entries keeps order and count under stalls and resets", 40,
             order<Vfifo_8x37, 8, 37>);
    run.test("fifo of 2 entries moves an entry each cycle", 1, full_speed<Vfifo_2x8, 2>);
    run.test("fifo of 8 entries moves an entry each cycle", 1, full_speed<Vfifo_8x37, 8>);
    return run.finish();
}
