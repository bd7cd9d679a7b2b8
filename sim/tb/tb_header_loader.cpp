/* tb_header_loader.cpp - header_loader.v: sets of headers in order, two ahead, with outliers',
 * multipliers and selectors.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vheader_loader_8x2.h"
#include "Vheader_loader_8x8.h"
#include "Vheader_loader_late.h"
#include "Vheader_loader_sel.h"

namespace
{

template <class Top, unsigned Rows, unsigned Units, bool Sel> void job(tb::Job &job)
{
    constexpr unsigned Slices = Rows / Units;
    struct Header {
        int sc, oc;
        unsigned sh, sel;
    };
    struct Requant {
        uint32_t mul;
        unsigned shift;
    };
    struct Set {
        Header row[Rows];
        bool sparse; /* of outliers */
    };
    struct RqSet {
        Requant row[Rows];
    };
    struct Beat {
        uint16_t word[Units];
    };
    tb::Rng &rng = job.rng;
    tb::Dut<Top> dut(job);
    tb::Source<Beat> in(dut, dut->valid_i, dut->ready_o, job.stall(),
                        [&](const Beat &b) { std::memcpy(&dut->data_i, b.word, sizeof b.word); });
    tb::Stall use = job.stall(), finish = job.stall(), choose = job.stall();
    dut->start_i = dut->busy_i = 0;
    dut->hdr_free_i = dut->rq_free_i = 0;
    dut->sel_i = dut->sel_free_i = 0;
    dut->slice_i = 0;
    dut.reset();
    for (int j = 0; j < 12; j++) {
        const unsigned tiles = rng.range(1, 4), chunk = rng.range(1, 8), steps = rng.range(1, 40);
        const bool asym = rng.one_in(2), row_header = rng.one_in(2), rq = rng.one_in(2);
        const bool outliers = rng.one_in(3), sel = Sel && rng.one_in(2);
        const unsigned per_tile = (row_header ? 1 : (steps + chunk - 1) / chunk) + outliers;
        std::deque<Set> sets, selected; /* to be used, to be chosen by */
        std::deque<RqSet> rqs;
        const auto send = [&](const uint16_t *words) {
            for (unsigned s = 0; s < Slices; s++) {
                Beat b;
                std::memcpy(b.word, words + s * Units, sizeof b.word);
                in.queue.push_back(b);
            }
        };
        for (unsigned t = 0; t < tiles; t++) {
            uint16_t w[3][Rows];
            for (unsigned c = 0; c < per_tile; c++) {
                Set set;
                set.sparse = outliers && c + 1 == per_tile;
                for (unsigned r = 0; r < Rows; r++) {
                    Header &h = set.row[r];
                    const bool has_sel = sel && !set.sparse;
                    h = { (int)rng.bits(has_sel ? 10 : 12), asym ? (int)rng.bits(20) : 0,
                          rng.below(16), has_sel ? rng.below(4) : 0 };
                    w[0][r] = (uint16_t)(h.sh << 12 | ((unsigned)h.sc & (has_sel ? 0x3ff : 0xfff)) |
                                         h.sel << 10);
                    w[1][r] = (uint16_t)h.oc;
                    w[2][r] = (uint16_t)((uint32_t)h.oc >> 16);
                }
                sets.push_back(set);
                if (sel)
                    selected.push_back(set);
                for (int k = 0; k < (asym ? 3 : 1); k++)
                    send(w[k]);
            }
            if (rq) {
                RqSet set;
                for (unsigned r = 0; r < Rows; r++) {
                    set.row[r] = { (uint32_t)(rng.next() >> 33), rng.below(63) };
                    w[0][r] = (uint16_t)set.row[r].mul;
                    w[1][r] = (uint16_t)(set.row[r].mul >> 16);
                    w[2][r] = (uint16_t)set.row[r].shift;
                }
                rqs.push_back(set);
                for (const auto &k : w)
                    send(k);
            }
        }
        const size_t own = in.queue.size();
        const uint64_t before = in.count;
        const unsigned more = rng.below(4); /* the next job's beats may wait already */
        for (unsigned k = 0; k < more; k++)
            in.queue.push_back(Beat());
        dut->start_i = 1;
        dut->busy_i = 1;
        dut->row_tiles_i = (SData)tiles;
        dut->steps_i = (SData)steps;
        dut->chunk_steps_i = (SData)chunk;
        dut->asym_i = asym;
        dut->row_header_i = row_header;
        dut->requant_i = rq;
        dut->outliers_i = outliers;
        dut->sel_i = sel;
        unsigned columns = rng.range(1, 3), col = 0, slice = 0, chunk_at = 0, waited = 0;
        /* use the sets as group_scale does: every slice for every column, then free */
        while (!sets.empty()) {
            const bool last = chunk_at + 1 == per_tile;
            dut->slice_i = (CData)slice;
            dut->sparse_i = sets.front().sparse;
            dut->hdr_free_i = dut->rq_free_i = dut->sel_free_i = 0;
            dut.eval();
            /* a set is in use until its last beat has chosen by it, and then for a while */
            const bool chosen = selected.size() < sets.size() || !sel;
            const bool offered = sel && !selected.empty() && !dut->start_i && dut->sel_valid_o;
            const bool choosing = offered && !choose.now();
            for (unsigned r = 0; r < Rows && offered && !selected.front().sparse; r++)
                CHECK_EQ(tb::get_bits(dut->sel_o, r * 2, 2), selected.front().row[r].sel, "sel");
            dut->sel_free_i = choosing;
            const bool can = dut->hdr_valid_o && chosen && (!rq || !last || dut->rq_valid_o) &&
                             !use.now();
            const bool end = can && slice + 1 == Slices && col + 1 == columns;
            dut->hdr_free_i = end;
            dut->rq_free_i = end && rq && last;
            dut.drive();
            if (can) {
                for (unsigned u = 0; u < Units; u++) {
                    const Header &h = sets.front().row[slice * Units + u];
                    CHECK_EQ(tb::get_signed(dut->sc_o, u * 12, 12), h.sc, "sc");
                    CHECK_EQ(tb::get_bits(dut->sh_o, u * 4, 4), h.sh, "sh");
                    CHECK_EQ(tb::get_signed(dut->oc_o, u * 20, 20), h.oc, "oc");
                    if (rq && last) {
                        const Requant &q = rqs.front().row[slice * Units + u];
                        CHECK_EQ(tb::get_bits(dut->mul_o, u * 31, 31), q.mul, "mul");
                        CHECK_EQ(tb::get_bits(dut->shift_o, u * 6, 6), q.shift, "shift");
                    }
                }
                if (++slice == Slices) {
                    slice = 0;
                    col++;
                }
                waited = 0;
                dut.alive();
            } else if (choosing)
                dut.alive();
            else
                CHECK(++waited < 2000, "no headers have come for 2000 cycles");
            dut.step();
            dut->start_i = 0;
            if (choosing)
                selected.pop_front();
            if (end) {
                col = 0;
                sets.pop_front();
                if (last && rq)
                    rqs.pop_front();
                chunk_at = last ? 0 : chunk_at + 1;
            }
        }
        dut->hdr_free_i = dut->rq_free_i = dut->sel_free_i = 0;
        for (unsigned t = rng.below(10); t > 0 || finish.now(); t -= t > 0) {
            dut.drive();
            CHECK(!dut->hdr_valid_o, "a set more than were sent");
            dut.step();
            dut.alive();
        }
        CHECK_EQ(in.count - before, own, "beats taken of this job");
        in.clear();
        dut->busy_i = 0;
        dut.drive();
        CHECK(!dut->ready_o, "ready while no job runs");
        dut.step();
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("header_loader of 4 slices hands out each job's headers and no others", 60,
             job<Vheader_loader_8x2, 8, 2, false>);
    run.test("header_loader of 1 slice hands out each job's headers and no others", 60,
             job<Vheader_loader_8x8, 8, 8, false>);
    run.test("header_loader hands out the selectors of groups ahead of their scales", 60,
             job<Vheader_loader_sel, 8, 2, true>);
    run.test("header_loader with words a cycle late hands out each job's headers and no others", 60,
             job<Vheader_loader_late, 8, 2, false>);
    return run.finish();
}
