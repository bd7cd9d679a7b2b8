/* tb_beat_delay.cpp - beat_delay.v: beats come out as many enabled cycles later, none twice, none lost, also after a reset.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vbeat_delay_0x5.h"
#include "Vbeat_delay_1x40.h"
#include "Vbeat_delay_3x12.h"

namespace
{

template <class Top, unsigned Stages, unsigned Width> void job(tb::Job &job)
{
    struct Beat {
        bool valid;
        uint64_t data;
    };
    tb::Dut<Top> dut(job);
    const uint64_t mask = (1ull << Width) - 1;
    std::deque<Beat> model(Stages, Beat{ false, 0 }); /* the newest first */
    dut.reset();
    for (int t = 0; t < 20000; t++) {
        const Beat in = { job.rng.one_in(2), job.rng.next() & mask };
        const bool reset = job.rng.one_in(200), enabled = !job.rng.one_in(3);
        dut->rst_i = reset;
        dut->en_i = enabled;
        dut->valid_i = in.valid;
        tb::put_bits(dut->data_i, 0, Width, in.data);
        dut.drive();
        dut.alive();
        const Beat out = Stages ? model.back() : in;
        CHECK_EQ(dut->valid_o, out.valid, "valid");
        if (out.valid)
            CHECK_EQ(tb::get_bits(dut->data_o, 0, Width), out.data, "data");
        dut.step();
        if (reset) {
            model.assign(Stages, Beat{ false, 0 });
        } else if (enabled && Stages) {
            model.pop_back();
            model.push_front(in);
        }
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("beat_delay without stages is wires", 1, job<Vbeat_delay_0x5, 0, 5>);
    run.test("beat_delay of one stage holds a beat until it is enabled", 4,
             job<Vbeat_delay_1x40, 1, 40>);
    run.test("beat_delay of three stages keeps beats and gaps in order", 4,
             job<Vbeat_delay_3x12, 3, 12>);
    return run.finish();
}
