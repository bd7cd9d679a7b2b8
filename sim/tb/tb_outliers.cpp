/* tb_outliers.cpp - outliers.v: chunks of entries, read for every column, summed into their rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Voutliers_4x24.h"
#include "Voutliers_8x16.h"

#include <array>

namespace
{

constexpr unsigned MaxN = 4, Steps = 20;

template <class Top, unsigned Rows, unsigned Lanes, unsigned Units, unsigned Depth, unsigned DBits>
void job(tb::Job &job)
{
    struct Entry {
        int k;
        unsigned step, lane, row;
        bool last;
    };
    struct Slice {
        int64_t d[Units];
    };
    struct Walked { /* one reading of an entry */
        Entry entry;
        unsigned col;
        bool col_last;
    };
    using Step = std::array<int8_t, Lanes>;
    tb::Rng &rng = job.rng;
    tb::Dut<Top> dut(job);
    std::deque<Walked> walk;
    std::deque<Slice> slices;
    tb::Source<Entry> in(dut, dut->valid_i, dut->ready_o, job.stall(), [&](const Entry &e) {
        dut->data_i = ((uint64_t)e.k & 0xffff) | (uint64_t)e.step << 16 | (uint64_t)e.lane << 32 |
                      (uint64_t)e.row << 40 | (uint64_t)e.last << 48;
    });
    tb::Sink<Slice> out(
        dut, dut->d_valid_o, dut->d_ready_i, job.stall(),
        [&](Slice &s) {
            for (unsigned u = 0; u < Units; u++)
                s.d[u] = tb::get_signed(dut->d_o, u * DBits, DBits);
        },
        [&](const Slice &s) {
            CHECK(!slices.empty(), "a slice more than the chunks have");
            for (unsigned u = 0; u < Units; u++)
                CHECK_EQ(s.d[u], slices.front().d[u], "D");
            slices.pop_front();
        });
    tb::Stall stall = job.stall();
    dut->read_i = 0;
    dut.reset();
    Step x[MaxN][Steps];
    for (unsigned t = 0; t < 12; t++) { /* a row tile */
        const unsigned n = rng.one_in(3) ? 1 : rng.range(1, MaxN), chunks = rng.range(1, 4);
        uint64_t least = 0;
        for (auto &column : x)
            for (auto &step : column)
                for (int8_t &v : step)
                    v = (int8_t)rng.bits(8);
        for (unsigned c = 0; c < chunks; c++) {
            std::vector<Entry> entries;
            const unsigned how = rng.below(6), same = rng.below(Rows),
                           count = how == 0   ? 1
                                   : how == 1 ? Depth
                                              : rng.range(1, Depth);
            const int share = (int)(65535 / count); /* of what a row may hold */
            const bool full = rng.one_in(4);
            for (unsigned i = 0; i < count; i++) {
                const int most = std::min(share, 32767);
                const int k = how == 0 && rng.one_in(2) ? 0
                              : count == 1              ? -32768
                              : full                    ? (rng.one_in(2) ? most : -most)
                                     : (int)rng.range(0, 2 * (unsigned)most) - most;
                entries.push_back({ k, rng.below(Steps), rng.below(Lanes),
                                    how == 2 ? same : rng.below(Rows), i + 1 == count });
                in.queue.push_back(entries.back());
            }
            for (unsigned i = 0; i < n; i++) {
                int64_t p[Rows] = { 0 };
                for (const Entry &e : entries) {
                    p[e.row] += e.k * x[i][e.step][e.lane];
                    walk.push_back({ e, i, i + 1 == n });
                }
                for (unsigned r = 0; r < Rows; r += Units) {
                    Slice s;
                    for (unsigned u = 0; u < Units; u++)
                        s.d[u] = p[r + u];
                    slices.push_back(s);
                }
                least += std::max(count, Rows / Units);
            }
        }
        const uint64_t begin = dut.now();
        while (!slices.empty()) {
            const bool hold = stall.now();
            dut->read_i = 0;
            dut->col_last_i = rng.below(2);
            dut.drive();
            CHECK(!dut->avail_o || !walk.empty(), "an entry more than were sent");
            const bool room = dut->room_o, read = dut->avail_o && room && !hold;
            Step fetched;
            if (dut->avail_o) {
                const Walked &w = walk.front();
                CHECK_EQ(dut->step_o, w.entry.step, "step");
                CHECK_EQ(dut->last_o, w.entry.last, "last");
                dut->read_i = read;
                dut->col_last_i = w.col_last;
                dut.eval();
                fetched = x[w.col][w.entry.step];
                if (read)
                    walk.pop_front();
            }
            if (!read) /* the tile may read the activations as well */
                for (int8_t &v : fetched)
                    v = (int8_t)rng.bits(8);
            dut.step();
            dut->read_i = 0;
            if (read)
                dut.alive();
            for (unsigned l = 0; l < Lanes && room; l++)
                tb::put_bits(dut->x_i, l * 8, 8, (uint64_t)fetched[l]);
        }
        CHECK(walk.empty() && in.queue.empty(), "D came before the last entry");
        if (job.number % 4 == 3) /* no stalls: an entry a cycle */
            CHECK(dut.now() - begin <= least + 10, "%u cycles instead of %u",
                  (unsigned)(dut.now() - begin), (unsigned)least);
        for (int i = 0; i < 10; i++) {
            dut.drive();
            CHECK(!dut->d_valid_o && !dut->avail_o, "something is left");
            dut.step();
        }
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("outliers of 4 slices sum every entry of a chunk once a column, one a cycle", 100,
             job<Voutliers_8x16, 8, 16, 2, 16, 24>);
    run.test("outliers of 24 lanes and 1 slice sum them too and extend D", 100,
             job<Voutliers_4x24, 4, 24, 4, 32, 30>);
    return run.finish();
}
