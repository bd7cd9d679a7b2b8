/* tb_tile_drain.cpp - tile_drain.v: D = (P << dbl) + corr, slice by slice.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vtile_drain_16x16.h"
#include "Vtile_drain_16x4.h"
#include "Vtile_drain_hold.h"

namespace
{

/* Hold: the sums stay at the input, a slice takes two cycles, a chunk one more */
template <class Top, unsigned Rows, unsigned Units, bool Hold> void job(tb::Job &job)
{
    struct Chunk {
        int32_t p[Rows], corr, sum;
        bool dbl;
    };
    struct Slice {
        int32_t d[Units], sum;
    };
    tb::Dut<Top> dut(job);
    std::deque<Slice> model;
    tb::Source<Chunk> in(dut, dut->valid_i, dut->ready_o, job.stall(), [&](const Chunk &c) {
        for (unsigned r = 0; r < Rows; r++)
            tb::put_bits(dut->p_i, r * 24, 24, (uint64_t)c.p[r]);
        dut->dbl_i = c.dbl;
        tb::put_bits(dut->corr_i, 0, 25, (uint64_t)c.corr);
        tb::put_bits(dut->sum_i, 0, 17, (uint64_t)c.sum);
    });
    tb::Sink<Slice> out(
        dut, dut->d_valid_o, dut->d_ready_i, job.stall(),
        [&](Slice &s) {
            for (unsigned u = 0; u < Units; u++)
                s.d[u] = (int32_t)tb::get_signed(dut->d_o, u * 24, 24);
            s.sum = (int32_t)tb::get_signed(dut->d_sum_o, 0, 17);
        },
        [&](const Slice &s) {
            CHECK(!model.empty(), "a slice more than there were chunks for");
            for (unsigned u = 0; u < Units; u++)
                CHECK_EQ(s.d[u], model.front().d[u], "D");
            CHECK_EQ(s.sum, model.front().sum, "S");
            model.pop_front();
        });
    /* taken while a chunk still waits: its slices may not be disturbed */
    dut.reset();
    const unsigned chunks = 200;
    for (unsigned k = 0; k < chunks; k++) {
        Chunk c;
        c.dbl = job.rng.one_in(2);
        c.corr = (int32_t)job.rng.bits(24); /* D must fit 24 bits: so must what makes it up */
        c.sum = (int32_t)job.rng.bits(17);
        for (unsigned j = 0; j < Rows / Units; j++) {
            Slice s;
            for (unsigned u = 0; u < Units; u++) {
                int64_t p, d;
                do {
                    p = job.rng.bits(24);
                    d = (c.dbl ? 2 * p : p) + c.corr;
                } while (d >= 1 << 23 || d < -(1 << 23));
                c.p[j * Units + u] = (int32_t)p;
                s.d[u] = (int32_t)d;
            }
            s.sum = c.sum;
            model.push_back(s);
        }
        in.queue.push_back(c);
    }
    while (!model.empty()) {
        dut.drive();
        dut.step();
    }
    CHECK_EQ(in.count, chunks, "chunks taken");
    constexpr unsigned Slices = Rows / Units;
    if (job.number % 4 == 3) /* no cycle lost between chunks */
        CHECK_EQ(dut.now(), 2 + (Hold ? chunks * (2 * Slices + 1) : 1 + chunks * Slices),
                 "cycles without stalls");
    for (int t = 0; t < 10; t++) {
        dut.drive();
        CHECK(!dut->d_valid_o, "D without a chunk");
        dut.step();
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("tile_drain of 4 slices hands out every row once, in order, under stalls", 40,
             job<Vtile_drain_16x4, 16, 4, false>);
    run.test("tile_drain of 1 slice hands out every row once, in order, under stalls", 40,
             job<Vtile_drain_16x16, 16, 16, false>);
    run.test("tile_drain that keeps no sums hands out every row once, in order, under stalls", 40,
             job<Vtile_drain_hold, 16, 4, true>);
    return run.finish();
}
