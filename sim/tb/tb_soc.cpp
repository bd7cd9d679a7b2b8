/* tb_soc.cpp - accel_soc.v driven by the library's own link code over a cable that damages, loses and repeats bytes:
 * random jobs, whose results must be the golden model's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb_jobs.h"

#include "Vsoc_lut.h"
#include "Vsoc_mac.h"
#include "Vsoc_small.h"

namespace
{

using tb::Bench;
using tb::Shape;

const Shape kMac = { "mac", { 8, 16, 2, 24, 16 }, 4, 64, { 64, 256, 512, 64, 64 }, 64 | 4 << 16 };
const Shape kLut = {
    "lut", { 8, 16, 2, 24, 0 }, 4, 64, { 64, 1024, 16384, 1024, 16 }, 256 | 2 << 16
};

const Shape kSmall = {
    "lut", { 8, 8, 1, 24, 0 }, 4, 64, { 64, 512, 1024, 512, 0 }, 256 | 2 << 16, 1
};

/* Registers beside the link. Those of [kFar, kFar + 256) hold what was written, those of [kSilent, kSilent + 256) never answer,
 * others read 0. */
class FarRegisters
{
  public:
    static constexpr unsigned kFar = 0x6000, kSilent = 0xff00;
    explicit FarRegisters(tb::Stall stall) : stall_(stall) {}

    uint32_t word[256] = {};
    unsigned reads = 0, writes = 0; /* answered */

    template <class Top> void drive(Top &dut)
    {
        if (was_ && dut->bus_valid_o)
            CHECK(addr_ == dut->bus_addr_o && data_ == dut->bus_data_o &&
                      write_ == (dut->bus_write_o != 0),
                  "a request changed while it waited");
        was_ = dut->bus_valid_o;
        addr_ = dut->bus_addr_o;
        data_ = dut->bus_data_o;
        write_ = dut->bus_write_o;
        dut->bus_done_i = was_ && addr_ < kSilent && !stall_.now();
        dut->bus_data_i = 0xdeadbeef;
        if (!dut->bus_done_i)
            return;
        CHECK(addr_ >= LINK_REG_FAR, "register %u is the link's own", addr_);
        const bool here = addr_ >= kFar && addr_ < kFar + 256;
        if (write_ && here)
            word[addr_ - kFar] = data_;
        dut->bus_data_i = here ? word[addr_ - kFar] : 0;
        (write_ ? writes : reads)++;
        was_ = false;
    }

  private:
    tb::Stall stall_;
    bool was_ = false, write_ = false;
    unsigned addr_ = 0;
    uint32_t data_ = 0;
};

/* Whoever reads registers without the link: one at a time, and sometimes not to its end. */
class Side
{
  public:
    explicit Side(uint64_t seed) : rng_(seed) {}
    bool on = false;
    unsigned done = 0, withdrawn = 0;

    template <class Top> void drive(Top &dut)
    {
        if (dut->side_valid_i && rng_.one_in(300)) {
            dut->side_valid_i = 0;
            withdrawn++;
        } else if (!dut->side_valid_i && on && rng_.one_in(5)) {
            static const uint16_t all[] = { LINK_REG_MAGIC, LINK_REG_CORE, 1000,
                                            FarRegisters::kFar + 255, FarRegisters::kSilent + 1 };
            dut->side_addr_i = all[rng_.below(5)];
            dut->side_write_i = 0;
            dut->side_valid_i = 1;
        }
    }
    template <class Top> void sample(Top &dut, const FarRegisters &far)
    {
        if (!dut->side_done_o)
            return;
        CHECK(dut->side_valid_i, "an answer that nobody waits for");
        const unsigned a = dut->side_addr_i;
        CHECK_EQ(dut->side_data_o,
                 a == LINK_REG_MAGIC             ? LINK_MAGIC_WORD
                 : a == LINK_REG_CORE            ? 0x4c434341u
                 : a == FarRegisters::kFar + 255 ? far.word[255]
                                                 : 0,
                 "a register read beside the link");
        done++;
    }
    template <class Top> void end(Top &dut, bool was_done)
    {
        if (was_done)
            dut->side_valid_i = 0;
    }

  private:
    tb::Rng rng_;
};

/* Bytes straight into the device, a wire that carries one a cycle; stalls on both sides. */
template <class Top> class SocPort
{
  public:
    static constexpr uint64_t kTimeout = 3000;
    static constexpr size_t kAhead = 1;

    explicit SocPort(tb::Job &job)
        : far(job.stall()), side(job.rng.next()), dut_(job), stall_(job.stall())
    {
        dut_->valid_i = dut_->ready_i = 0;
        dut_->side_valid_i = 0;
        dut_->side_write_i = 0;
        dut_->bus_done_i = 0;
        dut_.reset();
    }
    FarRegisters far;
    Side side;

    uint64_t cycle(std::deque<uint8_t> &down, BadWire &up)
    {
        tb::offer_bytes(dut_, stall_, down);
        side.drive(dut_);
        dut_->bus_done_i = 0;
        dut_.drive();
        far.drive(dut_);
        dut_.eval();
        side.sample(dut_, far);
        const bool side_done = dut_->side_done_o;
        CHECK(dut_->ready_o, "a byte was not taken");
        tb::exchange_bytes(dut_, down, up);
        dut_.step();
        dut_.alive();
        side.end(dut_, side_done);
        return 1;
    }

  private:
    tb::Dut<Top> dut_;
    tb::Stall stall_;
};

template <class Top>
void cases(tb::Runner &run, tb::Golden &golden, const Shape &shape, const char *name)
{
    const std::string soc = std::string("accel_soc ") + name + " ";
    run.test(soc + "computes what the golden model does over a good cable", 20, [&](tb::Job &job) {
        Bench<SocPort<Top>> b(job, golden, shape, 0, 0);
        b.open();
        b.registers();
        for (int i = 0; i < 3; i++)
            b.gemm();
        CHECK_EQ(b.resent(), 0, "frames sent again");
        b.registers();
    });
    uint64_t faults = 0; /* of all jobs */
    run.test(soc + "computes the same over a cable that damages, loses and repeats", 40,
             [&](tb::Job &job) {
                 static const unsigned rates[] = { 3000, 800, 300, 0 };
                 Bench<SocPort<Top>> b(job, golden, shape, rates[job.number % 4],
                                       rates[(job.number + 1) / 2 % 3]);
                 b.open();
                 for (int i = 0; i < 2; i++)
                     b.gemm();
                 faults += b.faults();
                 CHECK(job.number != 39 || faults > 100 || faults == b.faults(),
                       "hardly anything was damaged");
                 b.registers();
             });
    run.test(soc + "reaches registers beside the link, and does not wait for silent ones", 12,
             [&](tb::Job &job) {
                 Bench<SocPort<Top>> b(job, golden, shape, job.number % 3 == 2 ? 2000 : 0, 0);
                 FarRegisters &far = b.port.far;
                 b.port.side.on = job.number % 2;
                 uint32_t want[256];
                 for (unsigned i = 0; i < 256; i++)
                     far.word[i] = want[i] = (uint32_t)job.rng.next();
                 b.open();
                 for (unsigned i = 0; i < 60; i++) {
                     const unsigned at = job.rng.below(225), count = job.rng.range(1, 32);
                     const unsigned reads = far.reads, writes = far.writes;
                     b.peek((uint16_t)(FarRegisters::kFar + at), (uint16_t)count);
                     for (unsigned k = 0; k < count; k++)
                         CHECK_EQ(b.word(k), want[at + k], "a register");
                     if (!b.port.side.on && job.number % 3 != 2)
                         CHECK_EQ(far.reads - reads, count, "words read");
                     want[at] = (uint32_t)job.rng.next();
                     b.poke((uint16_t)(FarRegisters::kFar + at), want[at]);
                     CHECK_EQ(far.word[at], want[at], "the register written");
                     if (job.number % 3 != 2)
                         CHECK_EQ(far.writes - writes, 1, "words written");
                 }
                 b.peek(FarRegisters::kSilent - 2, 3);
                 CHECK_EQ(b.word(2), 0, "a silent register");
                 b.poke(FarRegisters::kSilent, 1);
                 b.peek(LINK_REG_FAR - 2, 4);
                 b.registers();
                 b.gemm();
                 CHECK(!b.port.side.on || (b.port.side.done > 20 && b.port.side.withdrawn > 0),
                       "registers were hardly read beside the link");
             });
    if (shape.rooms[LINK_STREAM_W] >= 4 * LINK_MAX_PAYLOAD)
        run.test(soc + "takes payload at 95 % of the speed of the wire", 1, [&](tb::Job &job) {
            job.number = 3; /* without stalls */
            Bench<SocPort<Top>> b(job, golden, shape, 0, 0);
            b.open();
            const double e = b.efficiency();
            CHECK(e >= 0.95, "%.1f %% of a wire's bytes are payload", 100 * e);
        });
    run.test(soc + "is as good as new after a reset in the middle of a job", 20, [&](tb::Job &job) {
        Bench<SocPort<Top>> b(job, golden, shape, job.number % 2 ? 2000 : 0, 0);
        b.open();
        for (int i = 0; i < 4; i++) {
            b.gemm(job.rng.range(1, 4000));
            b.open();
        }
        b.gemm();
    });
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    tb::Golden golden;
    cases<Vsoc_mac>(run, golden, kMac, "mac");
    cases<Vsoc_lut>(run, golden, kLut, "lut");
    cases<Vsoc_small>(run, golden, kSmall, "lut with Small");
    return run.finish();
}
