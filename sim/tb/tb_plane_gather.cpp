/* tb_plane_gather.cpp - plane_gather.v: planes of one step become bytes, filled up by sign or zero.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vplane_gather.h"

namespace
{

constexpr unsigned Width = 40;

struct Word {
    uint8_t code[Width]; /* int8 or uint8, as bits */
};

void job(tb::Job &job)
{
    tb::Dut<Vplane_gather> dut(job);
    std::deque<Word> model;
    tb::Source<uint64_t> in(dut, dut->valid_i, dut->ready_o, job.stall(),
                            [&](uint64_t v) { tb::put_bits(dut->data_i, 0, Width, v); });
    tb::Sink<Word> out(
        dut, dut->valid_o, dut->ready_i, job.stall(),
        [&](Word &w) {
            for (unsigned p = 0; p < 8; p++)
                for (unsigned i = 0; i < Width; i++)
                    w.code[i] |= (uint8_t)(tb::get_bits(dut->data_o, p * Width + i, 1) << p);
        },
        [&](const Word &w) {
            CHECK(!model.empty(), "a word more than there were planes for");
            for (unsigned i = 0; i < Width; i++)
                CHECK(w.code[i] == model.front().code[i], "code %u is %02x, expected %02x", i,
                      w.code[i], model.front().code[i]);
            model.pop_front();
        });
    dut->ctl_i = 0;
    dut.reset();
    for (int format = 0; format < 24; format++) {
        const unsigned planes = format < 16 ? 1 + (unsigned)format % 8 : job.rng.range(1, 8);
        const bool is_signed = format < 16 ? format >= 8 : job.rng.one_in(2);
        dut->planes_i = (CData)planes;
        dut->signed_i = is_signed;
        const unsigned words = job.rng.range(1, 20);
        for (unsigned n = 0; n < words; n++) {
            Word w;
            uint64_t plane[8] = { 0 };
            for (unsigned i = 0; i < Width; i++) {
                const int v = (int)job.rng.bits(8);
                const unsigned u = (unsigned)v & ((1u << planes) - 1);
                const bool fill = is_signed && (u >> (planes - 1)) != 0;
                w.code[i] = (uint8_t)(fill ? u | (0xffu << planes) : u);
                for (unsigned p = 0; p < planes; p++)
                    plane[p] |= (uint64_t)(u >> p & 1) << i;
            }
            for (unsigned p = planes; p-- > 0;)
                in.queue.push_back(plane[p]);
            model.push_back(w);
        }
        const uint64_t begin = dut.now(), beats = in.queue.size();
        while (!model.empty()) {
            dut.drive();
            dut.step();
        }
        CHECK(in.queue.empty(), "a word came before its last plane");
        if (job.number % 4 == 3)
            CHECK_EQ(dut.now() - begin, beats + 1, "cycles without stalls");
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("plane_gather makes bytes of 1 to 8 planes, signed and unsigned, under stalls", 40,
             job);
    return run.finish();
}
