/* tb_act_buffer.cpp - act_buffer.v: steps are written in order, read at random, with their sums.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vact_buffer_12x32.h"
#include "Vact_buffer_16x16.h"
#include "Vact_buffer_256x4.h"

namespace
{

template <class Top, unsigned Lanes, unsigned Depth> void job(tb::Job &job)
{
    struct Step {
        int8_t x[Lanes];
        int sum() const
        {
            int s = 0;
            for (int8_t v : x)
                s += v;
            return s;
        }
    };
    tb::Dut<Top> dut(job);
    Step mem[Depth] = {};
    unsigned loaded = 0, count = 0;
    unsigned summed = 0; /* a step's sum is there a cycle later */
    tb::Stall read = job.stall();
    std::deque<Step> entered;
    tb::Source<Step> in(dut, dut->valid_i, dut->ready_o, job.stall(),
                        [&](const Step &s) { std::memcpy(&dut->data_i, s.x, Lanes); });
    in.taken = [&](const Step &s) { entered.push_back(s); };
    dut->start_i = 0;
    dut->read_i = 0;
    dut.reset();
    Step expect = {};
    bool have = false;
    for (int t = 0; t < 1500; t++) {
        if (in.queue.size() < 4) {
            Step s;
            const uint32_t how = job.rng.below(8);
            for (int8_t &v : s.x)
                v = (int8_t)(how == 0 ? -128 : how == 1 ? 127 : how == 2 ? 0 : job.rng.bits(8));
            in.queue.push_back(s);
        }
        const bool start = t == 0 || job.rng.one_in(40);
        dut->start_i = start;
        dut->count_i = (unsigned char)(job.rng.one_in(3) ? Depth : job.rng.range(1, Depth));
        dut->addr_i = (CData)job.rng.below(Depth);
        dut->read_i = !read.now() && dut->addr_i < summed; /* the contract: only with avail_o */
        dut.drive();
        CHECK_EQ(dut->avail_o, dut->addr_i < summed, "avail");
        CHECK_EQ(dut->loaded_o, loaded, "loaded");
        CHECK_EQ(dut->ready_o, loaded != count, "ready");
        if (have) {
            CHECK(std::memcmp(&dut->data_o, expect.x, Lanes) == 0, "activations read are wrong");
            CHECK_EQ(tb::get_signed(dut->sum_o, 0, 17), expect.sum(), "sum of a step");
        }
        const bool reads = dut->read_i;
        const unsigned addr = dut->addr_i, new_count = dut->count_i;
        dut.step();
        dut.alive();
        if (reads) {
            have = true;
            expect = mem[addr];
        }
        summed = start ? 0 : loaded;
        for (; !entered.empty(); entered.pop_front()) {
            /* a beat taken in the cycle of a start belongs to nobody; the core never does that */
            if (!start)
                mem[loaded++] = entered.front();
        }
        if (start) {
            loaded = 0;
            count = new_count;
        }
    }
    CHECK(in.count > 10, "hardly anything was loaded");
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("act_buffer of 16 lanes returns any step that has arrived, with its sum", 40,
             job<Vact_buffer_16x16, 16, 16>);
    run.test("act_buffer of 12 lanes returns any step that has arrived, with its sum", 40,
             job<Vact_buffer_12x32, 12, 32>);
    run.test("act_buffer of 256 lanes returns any step that has arrived, with its sum", 40,
             job<Vact_buffer_256x4, 256, 4>);
    return run.finish();
}
