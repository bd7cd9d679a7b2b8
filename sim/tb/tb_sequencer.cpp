/* tb_sequencer.cpp - sequencer.v: a GEMM beat by beat, legal and illegal commands, ids.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vsequencer_all.h"
#include "Vsequencer_one.h"
#include "Vsequencer_shift.h"
#include "Vsequencer_skip.h"

#include <array>

namespace
{

constexpr unsigned Lanes = 32, MaxN = 4, XDepth = 32, MaxChunk = 256 / Lanes;

struct Command {
    uint32_t word[4];
};
struct Gemm {
    unsigned op, id, tiles, n, steps, chunk, planes, coding;
    bool asym, row_header, x_load, rq, sel;
    unsigned outliers; /* chunks of a row tile */
    unsigned junk;     /* bit that should be 0, or 0 */
    Command encode() const
    {
        Command c = { { op | id << 16, tiles | n << 16, steps | chunk << 16,
                        planes | coding << 4 | (unsigned)asym << 6 | (unsigned)row_header << 7 |
                            (unsigned)x_load << 8 | (unsigned)rq << 9 | (unsigned)sel << 15 |
                            outliers << 16 } };
        if (junk)
            c.word[junk / 32] |= 1u << junk % 32;
        return c;
    }
};
struct Issued {
    unsigned x_addr, first, plane, plane0, last, col, chunk_first, chunk_last, col_last, tile_last,
        rewind, free;
    unsigned x_zero, word;      /* as the outputs */
    unsigned advance, word_end; /* of the word that is offered for this beat */
    unsigned hdr_last, sparse, o_step;
};
/* One beat of a chunk of one column, whatever the column. */
struct Walked {
    unsigned step, x_zero, word, advance, word_end;
};
struct Completion {
    unsigned v;
};

Gemm random_gemm(tb::Rng &rng)
{
    Gemm g = {};
    g.op = 1;
    g.id = rng.below(65536);
    g.n = rng.range(1, MaxN);
    g.steps = rng.one_in(4) ? XDepth / g.n : rng.range(1, XDepth / g.n);
    g.tiles = rng.range(1, 3);
    g.chunk = rng.one_in(3) ? MaxChunk : rng.range(1, MaxChunk);
    g.planes = rng.range(1, 8);
    g.coding = rng.below(3);
    g.asym = rng.one_in(2);
    g.row_header = rng.one_in(2);
    g.x_load = true;
    return g;
}

/* Random words of a chunk of so many steps, as beats (docs/core.md). */
std::vector<Walked> random_walk(tb::Rng &rng, unsigned window, unsigned len)
{
    std::vector<Walked> beats;
    unsigned at = 0;
    for (bool end = false; !end;) {
        const unsigned advance = window == 1 ? rng.below(rng.one_in(2) ? 2 : len - at)
                                             : rng.range(1, 3);
        end = rng.one_in(len + 1);
        if (window == 1) {
            at += std::min(advance, len - 1 - at);
            const unsigned from = beats.empty() ? 0 : beats.back().step;
            beats.push_back({ at, 0, 1, at - from, end });
        } else {
            for (unsigned i = 1; i <= advance; i++, at++)
                beats.push_back({ at, at >= len, i == advance, advance, end });
            end = end || at >= len + 2; /* so does the packer: only zeros are left */
            for (unsigned i = 1; i <= advance; i++)
                beats[beats.size() - i].word_end = end;
        }
    }
    return beats;
}

template <class Top, unsigned Window, bool AllPlanes, bool Requant, bool Outliers, bool Sel>
void job(tb::Job &job)
{
    tb::Rng &rng = job.rng;
    tb::Dut<Top> dut(job);
    std::deque<Gemm> sent;
    std::deque<Completion> done;
    std::deque<Issued> beats;
    unsigned loaded = 0, count = 0; /* the activation buffer */
    bool running = false, overflow = false, ended = false;
    Gemm now = {};
    tb::Source<Command> in(dut, dut->cmd_valid_i, dut->cmd_ready_o, job.stall(),
                           [&](const Command &c) { std::memcpy(&dut->cmd_i, c.word, 16); });
    tb::Sink<Completion> out(
        dut, dut->cpl_valid_o, dut->cpl_ready_i, job.stall(),
        [&](Completion &c) { c.v = dut->cpl_o; },
        [&](const Completion &c) {
            CHECK(!done.empty(), "a completion without a command");
            CHECK(c.v == done.front().v, "completion is %06x, expected %06x", c.v, done.front().v);
            done.pop_front();
        });
    tb::Stall o_avail = job.stall(), sel_avail = job.stall();
    tb::Stall ready = job.stall(), x_avail = job.stall(), w_avail = job.stall(), slow = job.stall();
    bool start = false;
    unsigned starts = 0;
    in.taken = [&](const Command &) {
        const Gemm g = sent.front();
        sent.pop_front();
        const bool fits = g.x_load || g.n * g.steps <= loaded;
        const bool legal = g.op == 1 && g.tiles && g.n && g.n <= MaxN && g.steps && g.chunk &&
                           g.chunk <= MaxChunk && g.planes && g.planes <= 8 && g.coding != 3 &&
                           (uint64_t)g.n * g.steps <= XDepth && fits && (Requant || !g.rq) &&
                           !g.junk;
        CHECK_EQ(dut->start_o, legal, "start");
        if (!legal) {
            done.push_back({ (g.op == 0 ? 0u : 1u) << 16 | g.id });
            return;
        }
        CHECK_EQ(dut->x_start_o, g.x_load, "x_start");
        if (g.x_load)
            CHECK_EQ(dut->x_count_o, g.n * g.steps, "x_count");
        start = running = true;
        starts++;
        ended = false;
        now = g;
        if (g.x_load) {
            loaded = 0;
            count = g.n * g.steps;
        }
        const unsigned planes = AllPlanes ? 1 : g.planes;
        for (unsigned t = 0; t < g.tiles; t++) {
            for (unsigned c = 0; c < g.steps; c += g.chunk) {
                const unsigned len = std::min(c + g.chunk, g.steps) - c;
                std::vector<Walked> walk;
                if (Window)
                    walk = random_walk(rng, Window, len);
                else
                    for (unsigned s = 0; s < len; s++)
                        walk.push_back({ s, 0, 1, rng.below(32), rng.below(2) });
                for (unsigned i = 0; i < g.n; i++)
                    for (unsigned p = 0; p < planes; p++)
                        for (size_t b = 0; b < walk.size(); b++) {
                            const Walked &w = walk[b];
                            const bool end = b + 1 == walk.size() && p + 1 == planes;
                            const bool last_col = i + 1 == g.n, last = c + g.chunk >= g.steps;
                            beats.push_back({ i * g.steps + c + w.step, p == 0 && b == 0,
                                              p != 0 && b == 0, p == 0, end, i, c == 0,
                                              last && !g.outliers, last_col, t + 1 == g.tiles,
                                              end && !last_col, last_col, w.x_zero, w.word,
                                              w.advance, w.word_end, last || !g.row_header, 0, 0 });
                        }
            }
            for (unsigned c = 0; c < g.outliers; c++) {
                std::vector<unsigned> steps(rng.range(1, 4));
                for (unsigned &s : steps)
                    s = rng.below(g.steps);
                for (unsigned i = 0; i < g.n; i++)
                    for (size_t e = 0; e < steps.size(); e++) {
                        Issued b = {};
                        b.x_addr = i * g.steps + steps[e];
                        b.last = e + 1 == steps.size();
                        b.col = i;
                        b.chunk_last = b.hdr_last = c + 1 == g.outliers;
                        b.col_last = i + 1 == g.n;
                        b.tile_last = t + 1 == g.tiles;
                        b.sparse = 1;
                        b.o_step = steps[e];
                        beats.push_back(b);
                    }
            }
        }
    };
    dut->sel_avail_i = 0;
    dut->job_done_i = 0;
    dut->x_avail_i = dut->w_avail_i = dut->ready_i = 0;
    dut->x_loaded_i = 0;
    dut->overflow_i = 0;
    dut.reset();
    const unsigned commands = 40;
    for (unsigned k = 0; k < commands; k++) {
        Gemm g = random_gemm(rng);
        g.rq = Requant && rng.one_in(2);
        g.sel = Sel && rng.one_in(2);
        g.outliers = Outliers && rng.one_in(2) ? rng.range(1, rng.one_in(4) ? 15 : 3) : 0;
        switch (rng.below(30)) { /* one thing wrong at a time */
        case 0: g.op = 0; break;
        case 1: g.op = rng.range(2, 255); break;
        case 2: g.tiles = 0; break;
        case 3: g.n = 0; break;
        case 4: g.n = MaxN + 1, g.steps = 1; break;
        case 5: g.n = 65535, g.steps = rng.range(1, 65535); break;
        case 6: g.steps = 0; break;
        case 7: g.steps = XDepth / g.n + 1; break;
        case 8: g.steps = 65536 / g.n; break; /* n * steps is 0 in 16 bits */
        case 9: g.chunk = 0; break;
        case 10: g.chunk = MaxChunk + 1; break;
        case 11: g.planes = 0; break;
        case 12: g.planes = rng.range(9, 15); break;
        case 13: g.coding = 3; break;
        case 14: g.junk = rng.one_in(2) ? rng.range(8, 15) : rng.range(106, 110); break;
        case 19: g.junk = rng.range(Outliers ? 116 : Sel ? 112 : 111, 127); break;
        case 15: g.rq = true; break;
        case 16:
        case 17:
        case 18: g.x_load = false; break;
        default: break;
        }
        g.steps &= 0xffff;
        sent.push_back(g);
        in.queue.push_back(g.encode());
    }
    while (!sent.empty() || running || !done.empty()) {
        dut->x_avail_i = !x_avail.now();
        dut->w_avail_i = !w_avail.now();
        /* what a word says is there when the word is */
        const bool sparse = !beats.empty() && beats.front().sparse;
        const bool word_there = dut->w_avail_i && !beats.empty() && !sparse;
        dut->w_advance_i = (CData)(word_there ? beats.front().advance : rng.below(32));
        dut->w_last_i = word_there ? beats.front().word_end : rng.below(2);
        dut->o_avail_i = !o_avail.now();
        const bool entry_there = dut->o_avail_i && sparse;
        dut->o_step_i = (SData)(entry_there ? beats.front().o_step : rng.below(65536));
        dut->o_last_i = entry_there ? beats.front().last : rng.below(2);
        dut->sel_avail_i = !sel_avail.now();
        dut->ready_i = !ready.now();
        dut->x_loaded_i = (CData)loaded;
        dut->overflow_i = overflow;
        /* the last result some cycles after the last beat */
        dut->job_done_i = running && !start && beats.empty() && ended && !slow.now();
        const bool job_done = dut->job_done_i;
        dut.drive();
        CHECK_EQ(dut->busy_o, running, "busy");
        CHECK_EQ(dut->want_o, !beats.empty() && !sparse, "want");
        const bool can = dut->x_avail_i && dut->ready_i && (!now.sel || dut->sel_avail_i);
        const bool issue = word_there && can, take = entry_there && can;
        CHECK_EQ(dut->issue_o, issue, "issue");
        CHECK_EQ(dut->w_read_o, issue && beats.front().word, "w_read");
        CHECK_EQ(dut->o_read_o, take, "o_read");
        if (!beats.empty())
            CHECK_EQ(dut->sparse_o, sparse, "sparse");
        if (issue || take) {
            const Issued &b = beats.front();
            CHECK_EQ(dut->sel_free_o, now.sel && b.last && b.col_last && b.hdr_last, "sel_free");
        } else
            CHECK(!dut->sel_free_o, "selectors freed without a beat");
        if (running) {
            CHECK_EQ(dut->planes_o, now.planes, "planes");
            CHECK_EQ(dut->coding_o, now.coding, "coding");
            CHECK_EQ(dut->asym_o, now.asym, "asym");
            CHECK_EQ(dut->row_header_o, now.row_header, "row_header");
            CHECK_EQ(dut->requant_o, now.rq, "requant");
            CHECK_EQ(dut->sel_o, now.sel, "sel");
            CHECK_EQ(dut->outliers_o, now.outliers != 0, "outliers");
            CHECK_EQ(dut->row_tiles_o, now.tiles, "row_tiles");
            CHECK_EQ(dut->steps_o, now.steps, "steps");
            CHECK_EQ(dut->chunk_steps_o, now.chunk, "chunk_steps");
        }
        if (word_there || entry_there || (!Window && !sparse && !beats.empty())) {
            const Issued &b = beats.front();
            CHECK_EQ(dut->x_zero_o, b.x_zero, "x_zero");
            if (!b.x_zero)
                CHECK_EQ(dut->x_addr_o, b.x_addr, "x_addr");
            if (!sparse) { /* for the array alone */
                CHECK_EQ(dut->word_o, b.word, "word");
                CHECK_EQ(dut->first_o, b.first, "first");
                CHECK_EQ(dut->plane_o, b.plane, "plane");
                CHECK_EQ(dut->plane0_o, b.plane0, "plane0");
                CHECK_EQ(dut->w_rewind_o, b.rewind, "rewind");
                CHECK_EQ(dut->w_free_o, b.free, "free");
            }
            CHECK_EQ(dut->hdr_last_o, b.hdr_last, "hdr_last");
            CHECK_EQ(dut->last_o, b.last, "last");
            CHECK_EQ(dut->col_o, b.col, "col");
            CHECK_EQ(dut->chunk_first_o, b.chunk_first, "chunk_first");
            CHECK_EQ(dut->chunk_last_o, b.chunk_last, "chunk_last");
            CHECK_EQ(dut->col_last_o, b.col_last, "col_last");
            CHECK_EQ(dut->tile_last_o, b.tile_last, "tile_last");
        }
        if (job_done) {
            done.push_back({ (overflow ? 2u : 0u) << 16 | now.id });
            running = false;
        }
        start = false;
        dut.step();
        if (issue || take) {
            beats.pop_front();
            ended = beats.empty();
            dut.alive();
        }
        if (loaded < count)
            loaded++;
        overflow = rng.one_in(10);
    }
    CHECK(starts > 0, "no command was legal");
    CHECK_EQ(out.count, commands, "completions");
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("sequencer walks every loop in order and refuses every illegal command", 60,
             job<Vsequencer_one, 0, false, true, true, true>);
    run.test("sequencer walks every loop in order with all planes in a word", 60,
             job<Vsequencer_all, 0, true, false, false, false>);
    run.test("sequencer goes on by as many steps as each word says", 60,
             job<Vsequencer_skip, 1, true, true, false, false>);
    run.test("sequencer moves the window by as many beats as each word says", 60,
             job<Vsequencer_shift, 3, true, true, true, false>);
    return run.finish();
}
