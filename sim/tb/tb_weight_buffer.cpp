/* tb_weight_buffer.cpp - weight_buffer.v: words are read once a column and freed on the last.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vweight_buffer.h"

namespace
{

constexpr unsigned Depth = 8, Width = 24;

void job(tb::Job &job)
{
    tb::Dut<Vweight_buffer> dut(job);
    std::vector<uint64_t> words; /* all that were ever sent */
    uint64_t written = 0, base = 0, rd = 0, reads = 0;
    tb::Stall stall = job.stall();
    tb::Source<uint64_t> in(dut, dut->valid_i, dut->ready_o, job.stall(),
                            [&](uint64_t v) { tb::put_bits(dut->data_i, 0, Width, v); });
    bool entered = false, have = false;
    uint64_t expect = 0;
    in.taken = [&](uint64_t) { entered = true; };
    dut->read_i = 0;
    dut.reset();
    for (int chunk = 0; chunk < 60; chunk++) {
        const unsigned len = job.rng.one_in(4) ? Depth : job.rng.range(1, Depth);
        const unsigned columns = job.rng.range(1, 4);
        for (unsigned i = 0; i < len; i++) {
            words.push_back(job.rng.next() & ((1u << Width) - 1));
            in.queue.push_back(words.back());
        }
        for (unsigned col = 0, i = 0; col < columns;) {
            const bool last_col = col + 1 == columns;
            const bool want = !stall.now();
            dut->rewind_i = i + 1 == len && !last_col;
            dut->free_i = last_col;
            dut->read_i = want && rd < written; /* the contract: only with avail_o */
            dut.drive();
            CHECK_EQ(dut->avail_o, rd < written, "avail");
            CHECK_EQ(dut->ready_o, written - base < Depth, "ready");
            if (have) /* until the next read */
                CHECK_EQ(tb::get_bits(dut->data_o, 0, Width), expect, "word read");
            const bool read = dut->read_i;
            dut.step();
            if (entered)
                written++;
            entered = false;
            if (read) {
                dut.alive();
                reads++;
                have = true;
                expect = words[rd];
                if (last_col)
                    base++;
                if (++i == len) {
                    i = 0;
                    col++;
                    rd = last_col ? rd + 1 : base;
                } else
                    rd++;
            }
        }
        if (job.rng.one_in(20)) { /* a reset empties it */
            in.clear();
            dut->read_i = 0;
            dut.reset();
            words.resize(written = base = rd = 0);
            have = false;
        }
    }
    CHECK(reads > 0, "nothing was read");
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("weight_buffer gives each column the same words and frees them on the last", 60, job);
    return run.finish();
}
