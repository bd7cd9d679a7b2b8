/* tb_sdram.cpp - the SDRAM controller against a chip that checks every rule, and a copy of what was written.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "sdram_chip.h"

#include "Vsdram_100.h"
#include "Vsdram_133.h"
#include "Vsdram_50.h"
#include "Vsdram_full.h"

namespace
{

struct Shape {
    uint64_t hz;
    unsigned row_bits, col_bits, cas;
    bool inverted;
    unsigned retain_ms, power_us;
};
constexpr Shape k50 = { 50000000, 5, 5, 2, true, 1, 2 };
constexpr Shape k100 = { 100000000, 5, 6, 3, false, 1, 2 };
constexpr Shape k133 = { 133000000, 6, 5, 3, true, 1, 2 };
constexpr Shape kFull = { 50000000, 13, 9, 2, true, 64, 200 };

/* Controller and chip, clocked together; requests are offered and data checked here. */
template <class Top> class Bench
{
  public:
    Bench(tb::Job &job, const Shape &s)
        : dut(job), chip(s.hz, s.row_bits, s.col_bits, s.cas, times(s)), shape_(s),
          rng_(job.rng.next()), copy_((size_t)4 << (s.row_bits + s.col_bits))
    {
        bursts = (uint32_t)(copy_.size() / 8);
        dut->valid_i = dut->write_i = dut->strobe_i = 0;
        dut.reset();
    }

    tb::Dut<Top> dut;
    SdramChip chip;
    uint32_t bursts;
    uint64_t cycles = 0, accepted = 0, words = 0;

    /* One cycle; true: the request was taken. */
    bool cycle(bool request, bool write, uint32_t addr)
    {
        dut->valid_i = request;
        dut->write_i = write;
        dut->addr_i = addr;
        dut->data_i = out_.empty() ? (uint16_t)rng_.next() : out_.front().data;
        dut->strobe_i = out_.empty() ? rng_.one_in(2) : out_.front().strobe;
        dut.drive();
        chip.clock(SdramPins{ dut->cke_o != 0, dut->cs_n_o != 0, dut->ras_n_o != 0,
                              dut->cas_n_o != 0, dut->we_n_o != 0, dut->dq_oe_o != 0, dut->ba_o,
                              dut->a_o, dut->dqm_o, dut->dq_o });
        CHECK(chip.broken.empty(), "%s", chip.broken.c_str());
        const uint16_t dq = chip.drives() ? chip.data() : (uint16_t)rng_.next();
        if (shape_.inverted)
            dut->dq_i = dq;
        const bool taken = request && dut->ready_o;
        if (taken)
            accept(write, addr);
        if (dut->take_o) {
            CHECK(!out_.empty(), "data taken without a write");
            out_.pop_front();
        }
        if (dut->valid_o) {
            CHECK(!in_.empty(), "a word came that was not asked for");
            CHECK_EQ(dut->data_o, in_.front(), "a word");
            in_.pop_front();
            words++;
        }
        dut.step();
        dut.alive();
        dut->dq_i = dq;
        cycles++;
        return taken;
    }
    bool settled() const { return in_.empty() && out_.empty(); }

  private:
    struct Word {
        uint16_t data;
        bool strobe;
    };
    Shape shape_;
    tb::Rng rng_;
    std::vector<uint16_t> copy_;
    std::deque<Word> out_;
    std::deque<uint16_t> in_;

    static SdramTimes times(const Shape &s)
    {
        SdramTimes t;
        t.retain_ms = s.retain_ms;
        t.power_us = s.power_us;
        return t;
    }
    void accept(bool write, uint32_t addr)
    {
        accepted++;
        const bool whole = rng_.one_in(2);
        for (size_t i = 0; i < 8; i++) {
            uint16_t &cell = copy_[8 * (size_t)addr + i];
            if (!write) {
                in_.push_back(cell);
                continue;
            }
            const Word w = { (uint16_t)rng_.next(), whole || rng_.one_in(2) };
            if (w.strobe)
                cell = w.data;
            out_.push_back(w);
        }
    }
};

/* The next address: on from the last, anywhere, or the same bank's other rows. */
uint32_t pick(tb::Rng &rng, uint32_t last, uint32_t bursts, const Shape &s)
{
    const uint32_t row = 1u << (s.col_bits - 3 + 2);
    switch (rng.below(4)) {
    case 0: return rng.below(bursts);
    case 1: return (last + row * rng.below(3)) % bursts;
    default: return (last + 1) % bursts;
    }
}

template <class Top> void random_traffic(tb::Job &job, const Shape &s)
{
    Bench<Top> b(job, s);
    tb::Stall stall = job.stall();
    const uint64_t much = 2 * s.retain_ms * s.hz / 1000; /* cycles: no row may be forgotten */
    uint32_t addr = 0, touched = 0;
    bool write = true;
    bool offered = false;
    while (b.cycles < much) {
        if (!offered && !stall.now()) {
            offered = true;
            addr = pick(job.rng, addr, b.bursts, s);
            write = job.rng.one_in(3) ? !write : write;
            touched |= 1u << (addr >> (s.col_bits - 3) & 3);
        }
        if (b.cycle(offered, write, addr))
            offered = false;
    }
    while (!b.settled() || offered)
        offered = !b.cycle(offered, write, addr) && offered;
    CHECK(b.accepted > 300 && b.words > 800, "hardly anything was asked: %llu requests, %llu words",
          (unsigned long long)b.accepted, (unsigned long long)b.words);
    CHECK_EQ(touched, 15, "banks");
    CHECK(b.chip.opened > 100, "rows were hardly changed");
    const uint64_t rows = 1u << s.row_bits;
    CHECK(b.chip.refreshed >= 2 * rows && b.chip.refreshed < 3 * rows + 9,
          "%llu refreshes of %llu rows", (unsigned long long)b.chip.refreshed,
          (unsigned long long)rows);
}

template <class Top> void stream(tb::Job &job, const Shape &s, bool write)
{
    Bench<Top> b(job, s);
    while (!b.cycle(true, write, 0)) {}
    const uint64_t begin = b.cycles;
    uint32_t n = 1;
    while (n < b.bursts)
        n += b.cycle(true, write, n);
    const double share = 8.0 * (b.bursts - 1) / (double)(b.cycles - begin);
    /* rows of four bursts: in front of each, a change of bank, hidden behind the burst; refreshes are not */
    CHECK(share > 0.9, "only %.3f words a cycle", share);
    while (!b.settled())
        b.cycle(false, false, 0);
}

void whole_retention(tb::Job &job)
{
    Bench<Vsdram_full> b(job, kFull);
    const uint64_t much = 66 * kFull.hz / 1000;
    bool offered = false, write = true;
    uint32_t addr = 0;
    while (b.cycles < much || !b.settled()) {
        if (!offered && b.cycles < much && job.rng.one_in(40)) {
            offered = true;
            addr = pick(job.rng, addr, b.bursts, kFull);
            write = !write;
        }
        if (b.cycle(offered, write, addr))
            offered = false;
    }
    CHECK(b.chip.refreshed >= 8192, "only %llu refreshes", (unsigned long long)b.chip.refreshed);
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("reads give what was written last and no rule of the chip is broken at 50 MHz", 8,
             [](tb::Job &job) { random_traffic<Vsdram_50>(job, k50); });
    run.test("reads give what was written last and no rule of the chip is broken at 100 MHz", 8,
             [](tb::Job &job) { random_traffic<Vsdram_100>(job, k100); });
    run.test("reads give what was written last and no rule of the chip is broken at 133 MHz", 8,
             [](tb::Job &job) { random_traffic<Vsdram_133>(job, k133); });
    run.test("a stream of reads moves more than 0.9 words a cycle", 1,
             [](tb::Job &job) { stream<Vsdram_100>(job, k100, false); });
    run.test("a stream of writes moves more than 0.9 words a cycle", 1,
             [](tb::Job &job) { stream<Vsdram_100>(job, k100, true); });
    run.test("a chip of 32 MiB has every row refreshed within 64 ms", 1, whole_retention);
    return run.finish();
}
