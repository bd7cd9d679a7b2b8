/* tb_plane_gather.cpp - plane_gather.v: planes of one step become numbers, filled up by sign or zero.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vplane_gather.h"
#include "Vplane_gather_4.h"
#include "Vplane_gather_4x4.h"
#include "Vplane_gather_8x1.h"
#include "Vplane_gather_8x3.h"

namespace
{

constexpr unsigned Width = 40;

struct Word {
    uint16_t code[Width]; /* int or uint of Planes bits, selector bits above */
    uint8_t ctl;
};
struct Plane {
    uint64_t bits;
    uint8_t ctl;
};

template <class Top, unsigned Planes, unsigned Extra, unsigned Ctl> void job(tb::Job &job)
{
    constexpr unsigned All = (1u << Planes) - 1;
    tb::Dut<Top> dut(job);
    std::deque<Word> model;
    tb::Source<Plane> in(dut, dut->valid_i, dut->ready_o, job.stall(), [&](const Plane &p) {
        tb::put_bits(dut->data_i, 0, Width, p.bits);
        dut->ctl_i = p.ctl;
    });
    tb::Sink<Word> out(
        dut, dut->valid_o, dut->ready_i, job.stall(),
        [&](Word &w) {
            for (unsigned p = 0; p < Planes + Extra; p++)
                for (unsigned i = 0; i < Width; i++)
                    w.code[i] |= (uint16_t)(tb::get_bits(dut->data_o, p * Width + i, 1) << p);
            w.ctl = dut->ctl_o;
        },
        [&](const Word &w) {
            CHECK(!model.empty(), "a word more than there were planes for");
            for (unsigned i = 0; i < Width; i++)
                CHECK(w.code[i] == model.front().code[i], "code %u is %03x, expected %03x", i,
                      w.code[i], model.front().code[i]);
            CHECK_EQ(w.ctl, model.front().ctl, "what came with the first plane");
            model.pop_front();
        });
    dut.reset();
    for (unsigned format = 0; format < 3 * Planes; format++) {
        const unsigned planes = format < 2 * Planes ? 1 + format % Planes
                                                    : job.rng.range(1, Planes);
        const bool is_signed = format < 2 * Planes ? format >= Planes : job.rng.one_in(2);
        dut->planes_i = (CData)planes;
        dut->signed_i = is_signed;
        const unsigned words = job.rng.range(1, 20);
        for (unsigned n = 0; n < words; n++) {
            Word w;
            uint64_t plane[16] = { 0 }; /* in the order in which they come */
            for (unsigned i = 0; i < Width; i++) {
                const unsigned u = (unsigned)job.rng.bits(Planes) & ((1u << planes) - 1);
                const unsigned extra = (unsigned)job.rng.next() & ((1u << Extra) - 1);
                const bool fill = is_signed && (u >> (planes - 1)) != 0;
                w.code[i] = (uint16_t)((fill ? (u | All << planes) & All : u) | extra << Planes);
                for (unsigned p = 0; p < Extra; p++)
                    plane[p] |= (uint64_t)(extra >> (Extra - 1 - p) & 1) << i;
                for (unsigned p = 0; p < planes; p++)
                    plane[Extra + p] |= (uint64_t)(u >> (planes - 1 - p) & 1) << i;
            }
            for (unsigned p = 0; p < Extra + planes; p++) {
                in.queue.push_back({ plane[p], (uint8_t)(job.rng.next() & ((1u << Ctl) - 1)) });
                if (p == 0)
                    w.ctl = in.queue.back().ctl;
            }
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
             job<Vplane_gather, 8, 0, 1>);
    run.test("plane_gather makes half bytes of 1 to 4 planes", 20, job<Vplane_gather_4, 4, 0, 1>);
    run.test("plane_gather keeps one selector plane above bytes", 20,
             job<Vplane_gather_8x1, 8, 1, 8>);
    run.test("plane_gather keeps three selector planes above bytes", 20,
             job<Vplane_gather_8x3, 8, 3, 8>);
    run.test("plane_gather keeps four position planes above half bytes", 20,
             job<Vplane_gather_4x4, 4, 4, 8>);
    return run.finish();
}
