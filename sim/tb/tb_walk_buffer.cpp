/* tb_walk_buffer.cpp - walk_buffer.v: says of each word, before it is read, what was written with it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vwalk_buffer.h"

namespace
{

constexpr unsigned Depth = 8;

/* Written, read, rewound and freed as weight_buffer does it, which has room and words at hand when it does. */
void job(tb::Job &job)
{
    tb::Dut<Vwalk_buffer> dut(job);
    tb::Stall writes = job.stall(), reads = job.stall();
    std::vector<uint8_t> words; /* all that were ever written */
    uint64_t rd = 0, base = 0, shown = 0;
    dut->write_i = dut->read_i = 0;
    dut.reset();
    for (int chunk = 0; chunk < 200; chunk++) {
        const unsigned len = job.rng.one_in(4) ? Depth : job.rng.range(1, Depth);
        const unsigned columns = job.rng.range(1, 4);
        for (unsigned col = 0, i = 0; col < columns;) {
            const bool last_col = col + 1 == columns, there = rd < words.size();
            dut->data_i = (CData)job.rng.next();
            dut->write_i = words.size() - base < Depth && !writes.now();
            dut->read_i = there && !reads.now();
            dut->rewind_i = i + 1 == len && !last_col;
            dut->free_i = last_col;
            dut.drive();
            if (there) {
                CHECK_EQ(dut->data_o, words[rd], "what came with the word at hand");
                shown++;
            }
            if (dut->write_i)
                words.push_back(dut->data_i);
            const bool read = dut->read_i;
            dut.step();
            dut.alive();
            if (!read)
                continue;
            if (last_col)
                base++;
            rd++;
            if (++i == len) {
                i = 0;
                col++;
                if (!last_col)
                    rd = base;
            }
        }
        if (job.rng.one_in(20)) {
            dut->write_i = dut->read_i = 0;
            dut.reset();
            words.resize(rd = base = 0);
        }
    }
    CHECK(shown > 1000, "only %llu words were looked at", (unsigned long long)shown);
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("walk_buffer shows what came with each word before it is read, in every column", 40,
             job);
    return run.finish();
}
