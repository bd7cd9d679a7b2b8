/* tb_group_scale.cpp - group_scale.v: acc += (sc D + oc S) << sh, exactly, requantized or not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vgroup_scale_8x2.h"
#include "Vgroup_scale_8x8.h"
#include "Vgroup_scale_apart.h"
#include "Vgroup_scale_plain.h"
#include "Vgroup_scale_serial_1.h"
#include "Vgroup_scale_serial_2.h"
#include "Vgroup_scale_serial_3.h"
#include "accel.h"

namespace
{

constexpr unsigned MaxN = 4;

int64_t wrap48(int64_t v)
{
    return (int64_t)((uint64_t)v << 16) >> 16;
}

/* Serial: digits a cycle, 0 with multipliers. Apart: terms are shifted bit by bit. */
template <class Top, unsigned Rows, unsigned Units, bool Requant, unsigned Serial, unsigned DBits,
          bool Apart = false>
void job(tb::Job &job)
{
    constexpr unsigned Slices = Rows / Units;
    struct Ctl {
        unsigned col;
        bool chunk_first, chunk_last, hdr_last, sparse, col_last, tile_last;
    };
    struct Slice {
        int64_t d[Units];
        int32_t sum;
        bool sparse;
    };
    struct Result {
        int64_t v[Units];
    };
    struct Header {
        int sc[Rows], oc[Rows];
        unsigned sh[Rows];
    };
    struct Rq {
        uint32_t mul[Rows];
        unsigned shift[Rows];
    };
    tb::Rng &rng = job.rng;
    tb::Dut<Top> dut(job);
    std::deque<Header> headers;
    std::deque<Rq> rqs;
    std::deque<Result> results;
    tb::Source<Ctl> ctl(dut, dut->ctl_valid_i, dut->ctl_ready_o, job.stall(), [&](const Ctl &c) {
        dut->col_i = (CData)c.col;
        dut->chunk_first_i = c.chunk_first;
        dut->chunk_last_i = c.chunk_last;
        dut->hdr_last_i = c.hdr_last;
        dut->sparse_i = c.sparse;
        dut->col_last_i = c.col_last;
        dut->tile_last_i = c.tile_last;
    });
    tb::Source<Slice> d(dut, dut->d_valid_i, dut->d_ready_o, job.stall(), [&](const Slice &s) {
        for (unsigned u = 0; u < Units; u++) {
            tb::put_bits(dut->d_i, u * DBits, DBits, s.sparse ? rng.next() : (uint64_t)s.d[u]);
            tb::put_bits(dut->o_d_i, u * DBits, DBits, s.sparse ? (uint64_t)s.d[u] : rng.next());
        }
        tb::put_bits(dut->sum_i, 0, 17, (uint64_t)s.sum);
    });
    d.taken = [&](const Slice &s) { CHECK_EQ(dut->sparse_o, s.sparse, "sparse"); };
    tb::Sink<Result> out(
        dut, dut->r_valid_o, dut->r_ready_i, job.stall(),
        [&](Result &r) {
            for (unsigned u = 0; u < Units; u++)
                r.v[u] = tb::get_signed(dut->r_o, u * 48, 48);
        },
        [&](const Result &r) {
            CHECK(!results.empty(), "a result more than the job has");
            for (unsigned u = 0; u < Units; u++)
                CHECK_EQ(r.v[u], results.front().v[u], "result");
            results.pop_front();
            CHECK_EQ(dut->job_done_o, results.empty(), "job_done with a result");
        });
    tb::Stall hdr = job.stall(), rqv = job.stall();
    dut->hdr_valid_i = dut->rq_valid_i = dut->clear_i = 0;
    dut.reset();
    for (int j = 0; j < 12; j++) {
        const unsigned tiles = rng.range(1, 3), n = rng.one_in(2) ? 1 : rng.range(1, MaxN);
        const unsigned sparse = rng.one_in(3) ? rng.range(1, 3) : 0; /* chunks of outliers */
        const unsigned dense = rng.range(1, 6), chunks = dense + sparse;
        const bool row_header = rng.one_in(3), rq = Requant && rng.one_in(2);
        const unsigned size = rng.one_in(3) ? 16
                                            : rng.range(1, 10); /* of shifts: 48 bits may not do */
        const bool asym = rng.one_in(2);
        bool expect_overflow = false;
        headers.clear();
        rqs.clear();
        for (unsigned t = 0; t < tiles; t++) {
            int64_t acc[MaxN][Rows] = {};
            Header h = {};
            Rq q = {};
            for (unsigned r = 0; r < Rows; r++) {
                q.mul[r] = (uint32_t)(rng.next() >> 33);
                q.shift[r] = rng.range(20, 62);
            }
            for (unsigned c = 0; c < chunks; c++) {
                const bool outliers = c >= dense;
                if (c == 0 || c == dense || !(row_header || outliers)) {
                    for (unsigned r = 0; r < Rows; r++) {
                        h.sc[r] = (int)rng.bits(12);
                        h.oc[r] = asym && rng.one_in(2) ? (int)rng.bits(20) : 0;
                        h.sh[r] = rng.below(size);
                    }
                    headers.push_back(h);
                }
                for (unsigned i = 0; i < n; i++) {
                    const bool hdr_last = c + 1 == dense || c + 1 == chunks ||
                                          !(row_header || outliers);
                    ctl.queue.push_back({ i, c == 0, c + 1 == chunks, hdr_last, outliers,
                                          i + 1 == n, t + 1 == tiles });
                    const int sum = (int)rng.bits(16);
                    for (unsigned s = 0; s < Slices; s++) {
                        Slice in;
                        Result r;
                        in.sum = sum;
                        in.sparse = outliers;
                        for (unsigned u = 0; u < Units; u++) {
                            const unsigned row = s * Units + u;
                            in.d[u] = rng.bits(DBits);
                            const int64_t term = (h.sc[row] * in.d[u] + (int64_t)h.oc[row] * sum) *
                                                 ((int64_t)1 << h.sh[row]);
                            const int64_t v = acc[i][row] + term;
                            expect_overflow |= v != wrap48(v);
                            acc[i][row] = r.v[u] = wrap48(v);
                            if (rq)
                                r.v[u] = accel_requantize(r.v[u], q.mul[row], q.shift[row]);
                        }
                        d.queue.push_back(in);
                        if (c + 1 == chunks)
                            results.push_back(r);
                    }
                }
            }
            if (rq)
                rqs.push_back(q);
        }
        const unsigned digits = asym ? 9 : 6;
        const unsigned turns = Serial ? (digits + Serial - 1) / Serial : Apart ? 2 : 1;
        const unsigned most = turns + (Apart ? size - 1 : 0); /* with the largest shift */
        const uint64_t begin = dut.now(), slices = d.queue.size();
        dut->asym_i = asym;
        dut->requant_i = rq;
        dut->clear_i = 1;
        dut->hdr_valid_i = dut->rq_valid_i = 0;
        dut.drive();
        dut.step();
        dut->clear_i = 0;
        unsigned slice = 0;
        bool hdr_up = false, rq_up = false, stood = false;
        while (!results.empty()) {
            hdr_up = !headers.empty() && (hdr_up || !hdr.now());
            rq_up = !rqs.empty() && (rq_up || !rqv.now());
            dut->hdr_valid_i = hdr_up;
            dut->rq_valid_i = rq_up;
            dut.eval();
            CHECK_EQ(dut->slice_o, slice, "slice");
            for (unsigned u = 0; u < Units; u++) {
                const unsigned row = dut->slice_o * Units + u;
                tb::put_bits(dut->sc_i, u * 12, 12,
                             hdr_up ? (uint64_t)headers.front().sc[row] : rng.next());
                tb::put_bits(dut->sh_i, u * 4, 4, hdr_up ? headers.front().sh[row] : rng.next());
                tb::put_bits(dut->oc_i, u * 20, 20,
                             hdr_up ? (uint64_t)headers.front().oc[row] : rng.next());
                tb::put_bits(dut->mul_i, u * 31, 31, rq_up ? rqs.front().mul[row] : rng.next());
                tb::put_bits(dut->shift_i, u * 6, 6, rq_up ? rqs.front().shift[row] : rng.next());
            }
            dut.drive();
            const bool accept = dut->d_valid_i && dut->d_ready_o;
            const bool free = dut->hdr_free_o, rq_free = dut->rq_free_o;
            CHECK(!accept || hdr_up, "a slice was accepted without its header");
            CHECK(!Apart || !accept || stood, "a product had less than two cycles");
            stood = dut->d_valid_i && hdr_up && !accept;
            CHECK(!free || (accept && slice + 1 == Slices),
                  "a header was freed before its last slice");
            CHECK(!rq_free || free, "multipliers were freed before the headers");
            dut.step();
            if (accept)
                slice = (slice + 1) % Slices;
            if (free) {
                CHECK(!headers.empty(), "more headers were freed than there are");
                headers.pop_front();
                hdr_up = false;
            }
            if (rq_free) {
                CHECK(!rqs.empty(), "more multipliers were freed than there are");
                rqs.pop_front();
                rq_up = false;
            }
        }
        CHECK(headers.empty() && rqs.empty(), "headers were not freed");
        CHECK(ctl.queue.empty() && d.queue.empty(), "results came before their slices");
        CHECK_EQ(dut->overflow_o, expect_overflow, "overflow");
        if (job.number % 4 == 3 && !hdr_up)
            CHECK(dut.now() - begin >= slices * turns &&
                      dut.now() - begin <= slices * most + (Requant ? 13 : 7),
                  "%u slices of %u cycles took %u cycles", (unsigned)slices, turns,
                  (unsigned)(dut.now() - begin));
        for (int t = 0; t < 6; t++) {
            dut->hdr_valid_i = dut->rq_valid_i = 0;
            dut.drive();
            CHECK(!dut->r_valid_o, "a result more than the job has");
            dut.step();
        }
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("group_scale of 4 slices accumulates exactly and frees headers after use", 80,
             job<Vgroup_scale_8x2, 8, 2, true, 0, 24>);
    run.test("group_scale of 1 slice forwards the sum it has just written", 80,
             job<Vgroup_scale_8x8, 8, 8, true, 0, 24>);
    run.test("group_scale without requantizers gives the same accumulators", 80,
             job<Vgroup_scale_plain, 8, 4, false, 0, 24>);
    run.test("group_scale digit by digit takes 6 cycles a slice, 9 with offsets", 80,
             job<Vgroup_scale_serial_1, 8, 8, true, 1, 24>);
    run.test("group_scale with two digits a cycle takes 3, 5 with offsets", 80,
             job<Vgroup_scale_serial_2, 8, 4, true, 2, 36>);
    run.test("group_scale with three digits a cycle takes 2, 3 with offsets", 80,
             job<Vgroup_scale_serial_3, 8, 2, false, 3, 40>);
    run.test("group_scale that shifts bit by bit takes 2 cycles a slice and one a bit", 80,
             job<Vgroup_scale_apart, 8, 2, false, 0, 24, true>);
    return run.finish();
}
