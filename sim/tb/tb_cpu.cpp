/* tb_cpu.cpp - accel_soc.v with its processor and firmware: boots, tests its array, hangs, crashes and comes back, while the host
 * reads registers and runs jobs as if there were none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb_cpu.h"

#include "Vsoc_cpu.h"

namespace
{

const tb::Shape kShape = { "mac", { 8, 16, 2, 24, 16 },     4,
                           64,    { 64, 256, 512, 64, 64 }, 64 | 4 << 16 };
constexpr unsigned kWatchdog = 50000;
constexpr uint32_t kBeside = 0x12345678; /* what every register on the port bus_* reads */

class CpuPort
{
  public:
    static constexpr uint64_t kTimeout = 3000;
    static constexpr size_t kAhead = 1;

    explicit CpuPort(tb::Job &job) : dut_(job), stall_(job.stall())
    {
        dut_->valid_i = dut_->ready_i = 0;
        dut_->side_valid_i = dut_->side_write_i = 0;
        dut_->bus_done_i = 1;
        dut_->bus_data_i = kBeside;
        dut_.reset();
    }

    uint64_t cycle(std::deque<uint8_t> &down, BadWire &up)
    {
        tb::offer_bytes(dut_, stall_, down);
        dut_.drive();
        tb::exchange_bytes(dut_, down, up);
        side_done_ |= dut_->side_done_o;
        if (dut_->side_done_o)
            side_data_ = dut_->side_data_o;
        dut_.step();
        dut_.alive();
        return 1;
    }
    /* A register read beside the link; *cycles: that it took. */
    uint32_t side(uint16_t word, unsigned *cycles)
    {
        std::deque<uint8_t> none;
        BadWire up(1, 0);
        dut_->side_addr_i = word;
        dut_->side_valid_i = 1;
        side_done_ = false;
        for (*cycles = 0; !side_done_; ++*cycles)
            cycle(none, up);
        dut_->side_valid_i = 0;
        cycle(none, up);
        return side_data_;
    }

  private:
    tb::Dut<Vsoc_cpu> dut_;
    tb::Stall stall_;
    bool side_done_ = false;
    uint32_t side_data_ = 0;
};

using Cpu = tb::Cpu<CpuPort>;
using tb::firmware;

void identity(Cpu &b)
{
    b.booted();
    CHECK_EQ(b.reg(LINK_REG_CPU), 16 << 16 | 1, "memory and version");
    CHECK_EQ(b.reg(LINK_REG_CPU_VERSION), 0x000200, "version of the firmware");
    CHECK_EQ(b.reg(LINK_REG_CPU_PROTOCOL), LINK_CPU_PROTOCOL, "versions of the mailbox");
    CHECK(b.reg(LINK_REG_CPU_VECTORS) >= 10, "hardly any jobs of its own");
    CHECK_EQ(b.reg(LINK_REG_CPU_RESETS), 0, "resets");
    CHECK_EQ(b.reg(LINK_REG_CPU_ERRORS), 0, "errors");
    b.ping();
    CHECK_EQ(b.command(99, 0), LINK_CPU_UNKNOWN, "status of a command that there is not");
    CHECK_EQ(b.reg(LINK_REG_CPU_LOG) >> 24, 5, "the log's entry of it");
    CHECK_EQ(b.command(LINK_CPU_CLEAR_LOG, 0), LINK_CPU_DONE, "status");
    CHECK_EQ(b.reg(LINK_REG_CPU_LOG) + b.reg(LINK_REG_CPU_ERRORS), 0, "a log that was cleared");
    CHECK_EQ(b.command(LINK_CPU_MEMTEST, 0), LINK_CPU_DONE, "status of the memory test");
    CHECK(b.reg(LINK_REG_CPU_ANSWER) > 1000, "hardly any memory was tested");
    CHECK_EQ(b.command(LINK_CPU_EXTERNAL, 0), LINK_CPU_NOTHING,
             "status of a test of memory that there is not");
    const uint32_t beat = b.reg(LINK_REG_CPU_HEARTBEAT);
    tb::idle(b.port, 2 * kWatchdog);
    CHECK(b.reg(LINK_REG_CPU_HEARTBEAT) > beat, "the heart stands still");
    CHECK_EQ(b.reg(LINK_REG_CPU_RESETS), 0, "resets of a firmware that lives");
}

void restarted(Cpu &b, uint32_t cause, uint32_t resets, uint32_t errors)
{
    CHECK_EQ(b.end(), LINK_CPU_LOST, "status of the command that was under way");
    b.booted();
    CHECK_EQ(b.reg(LINK_REG_CPU_CAUSE), cause, "cause");
    CHECK_EQ(b.reg(LINK_REG_CPU_RESETS), resets, "resets");
    CHECK_EQ(b.reg(LINK_REG_CPU_ERRORS), errors, "errors");
    b.ping();
}

void cases(tb::Runner &run, tb::Golden &golden)
{
    run.test("accel_cpu boots its firmware, which says what it is and lives", 2, [&](tb::Job &job) {
        Cpu b(job, golden, kShape, 0, 0);
        if (job.number) /* registers need no session */
            b.open();
        identity(b);
    });
    run.test("accel_cpu tests its array in every format, between jobs that stay exact", 4,
             [&](tb::Job &job) {
                 Cpu b(job, golden, kShape, job.number == 3 ? 3000 : 0, 0);
                 if (job.number) {
                     b.open();
                     b.gemm();
                 }
                 b.booted();
                 CHECK_EQ(b.command(LINK_CPU_SELFTEST, 0), LINK_CPU_DONE, "status");
                 CHECK_EQ(b.reg(LINK_REG_CPU_ANSWER), b.reg(LINK_REG_CPU_VECTORS),
                          "jobs that passed");
                 CHECK_EQ(b.reg(LINK_REG_CORE + 34),
                          b.reg(LINK_REG_CPU_VECTORS) + (job.number ? 1 : 0), "jobs of the core");
                 CHECK_EQ(b.command(LINK_CPU_SELFTEST, 3), LINK_CPU_DONE, "status");
                 CHECK_EQ(b.reg(LINK_REG_CPU_ANSWER), 1, "one job that passed");
                 CHECK_EQ(b.command(LINK_CPU_SELFTEST, 1000), LINK_CPU_NOTHING,
                          "status of a job that there is not");
                 if (!job.number)
                     b.open();
                 b.gemm();
                 b.gemm();
             });
    run.test("accel_cpu finds results that are wrong, and logs which", 2, [&](tb::Job &job) {
        Cpu b(job, golden, kShape, 0, 0);
        std::vector<uint32_t> image = firmware();
        const uint32_t which = job.rng.below(10), id = 0x5400 + which;
        size_t at =
            0; /* struct vector: id in the upper half of a word, its result's check in the next one */
        for (size_t i = 0; i + 1 < image.size(); i++)
            if (image[i] >> 16 == id && (image[i] & 0xFFFF) == 8 * 2 * 6)
                at = i + 1;
        CHECK(at, "vector %u is not in the firmware", which);
        b.hold(true);
        b.poke((uint16_t)(LINK_REG_CPU_RAM + at), image[at] ^ 1u << job.rng.below(32));
        b.hold(false);
        b.booted();
        CHECK_EQ(b.command(LINK_CPU_SELFTEST, 0), LINK_CPU_WRONG, "status");
        CHECK_EQ(b.reg(LINK_REG_CPU_ANSWER), (which + 1) << 16 | (b.reg(LINK_REG_CPU_VECTORS) - 1),
                 "answer");
        CHECK_EQ(b.reg(LINK_REG_CPU_LOG), 3u << 24 | LINK_CPU_WRONG << 16 | (which + 1),
                 "the log's entry");
    });
    run.test(
        "accel_cpu that hangs never holds up registers or jobs, and the watchdog brings it back", 3,
        [&](tb::Job &job) {
            Cpu b(job, golden, kShape, 0, 0);
            b.open();
            b.booted();
            b.start(LINK_CPU_HANG, 0);
            for (unsigned i = 0; i < 20; i++) {
                unsigned cycles;
                CHECK_EQ(b.reg(LINK_REG_MAGIC), LINK_MAGIC_WORD, "magic");
                CHECK_EQ(b.reg(LINK_REG_CPU) & 0xFFFF, 1, "mailbox");
                CHECK_EQ(b.port.side(LINK_REG_CPU, &cycles) & 0xFFFF, 1,
                         "mailbox, beside the link");
                CHECK(cycles < 20, "%u cycles for a register beside the link", cycles);
            }
            b.gemm();
            if (job.number == 0) {
                tb::idle(b.port, kWatchdog + 5000);
                restarted(b, LINK_CPU_CAUSE_WATCHDOG, 1, 2);
                CHECK_EQ(b.reg(LINK_REG_CPU_LOG), 1u << 24 | LINK_CPU_CAUSE_WATCHDOG,
                         "the log's entry");
                CHECK(b.reg(LINK_REG_CPU_WHERE) < 16384, "it hung outside of its memory");
            } else { /* the host does not wait for the watchdog */
                b.hold(true);
                CHECK_EQ(b.reg(LINK_REG_CPU_STATE), 0, "state of a firmware that is held");
                b.hold(false);
                restarted(b, LINK_CPU_CAUSE_HOST, 0, 1);
            }
            b.gemm();
        });
    run.test(
        "accel_cpu begins anew after each kind of crash, its code untouched", 6, [&](tb::Job &job) {
            static const uint32_t how[][2] = { { 0, LINK_CPU_CAUSE_TRAP },
                                               { 16, LINK_CPU_CAUSE_ADDRESS },
                                               { 0x70000000, LINK_CPU_CAUSE_ADDRESS },
                                               { 0x3FFC, LINK_CPU_CAUSE_POWER },
                                               { 16384, LINK_CPU_CAUSE_ADDRESS },
                                               { 0x40000001, LINK_CPU_CAUSE_TRAP } };
            Cpu b(job, golden, kShape, 0, 0);
            const uint32_t *h = how[job.number];
            b.booted();
            b.start(LINK_CPU_CRASH, h[0]);
            if (h[1] == LINK_CPU_CAUSE_POWER) { /* its own stack's first word: nothing happens */
                CHECK_EQ(b.end(), LINK_CPU_DONE, "status");
                return;
            }
            restarted(b, h[1], 1, 2);
            b.hold(true);
            const std::vector<uint32_t> image = firmware();
            for (unsigned i = 0; i < 32; i++)
                CHECK_EQ(b.reg(LINK_REG_CPU_RAM + i), image[i], "a word of its code");
        });
    run.test("accel_cpu takes other firmware through the window while it is held, and only then", 1,
             [&](tb::Job &job) {
                 Cpu b(job, golden, kShape, 0, 0);
                 std::vector<uint32_t> image = firmware();
                 b.booted();
                 CHECK_EQ(b.reg(LINK_REG_CPU_RAM), 0, "memory of a firmware that runs");
                 b.poke(LINK_REG_CPU_RAM, 0);
                 b.hold(true);
                 CHECK_EQ(b.reg(LINK_REG_CPU_RAM), image[0],
                          "memory that was written while the firmware ran");
                 b.load(std::vector<uint32_t>(image.size(), 0));
                 b.hold(false);
                 tb::idle(b.port, 1000);
                 CHECK(b.reg(LINK_REG_CPU_RESETS) > 5, "zeros do not crash");
                 CHECK_EQ(b.reg(LINK_REG_CPU_VERSION), 0,
                          "version of a firmware that never booted");
                 b.hold(true);
                 b.load(image);
                 CHECK_EQ(b.reg(LINK_REG_CPU_RAM + 4096), 0, "memory behind its end");
                 for (unsigned i = 0; i < image.size(); i += 97)
                     CHECK_EQ(b.reg(LINK_REG_CPU_RAM + i), image[i], "a word that was loaded");
                 b.hold(false);
                 b.booted();
                 b.ping();
                 CHECK_EQ(b.command(LINK_CPU_SELFTEST, 0), LINK_CPU_DONE, "status");
             });
    unsigned refused = 0, tested = 0, in_all = 0;
    run.test("accel_cpu never takes the core from a job, nor keeps it from a new session", 12,
             [&](tb::Job &job) {
                 Cpu b(job, golden, kShape, 0, 0);
                 b.open();
                 b.booted();
                 for (unsigned i = 0; i < 3; i++) {
                     b.start(LINK_CPU_SELFTEST, 0);
                     /* a job that comes at the same time, one that has to wait, a session in mid-test */
                     tb::idle(b.port,
                              job.number % 3 ? job.rng.range(1, 40000) : job.rng.range(1, 300));
                     if (job.number % 3 == 1)
                         b.open();
                     b.gemm();
                     const uint32_t status = b.end();
                     CHECK(status == LINK_CPU_DONE || status == LINK_CPU_CORE_IN_USE, "status %u",
                           status);
                     in_all++;
                     refused += status == LINK_CPU_CORE_IN_USE;
                     tested += (b.reg(LINK_REG_CPU_ANSWER) & 0xFFFF) != 0;
                     b.gemm();
                 }
                 CHECK(job.number != 11 || in_all < 36 || (refused > 3 && tested > 3),
                       "all the same: %u tests begun, %u refused", tested, refused);
             });
    run.test("accel_cpu reads the registers that the host does, at the same time", 4,
             [&](tb::Job &job) {
                 Cpu b(job, golden, kShape, 0, 0);
                 if (job.number)
                     b.open();
                 b.booted();
                 for (unsigned i = 0; i < 30; i++) {
                     const uint32_t value = (uint32_t)job.rng.next();
                     b.poke(LINK_REG_SCRATCH, value);
                     static const uint16_t words[] = {
                         LINK_REG_SCRATCH, LINK_REG_MAGIC, LINK_REG_CORE + 3, 1000,
                         0x8000,           LINK_REG_CPU
                     };
                     const uint32_t want[] = { value,   LINK_MAGIC_WORD, 8,
                                               kBeside, kBeside,         16 << 16 | 1 };
                     const unsigned k = job.rng.below(6);
                     b.start(LINK_CPU_READ, words[k]);
                     for (unsigned n = job.rng.below(4); n--;) {
                         unsigned cycles;
                         CHECK_EQ(b.port.side(LINK_REG_SCRATCH, &cycles), value,
                                  "scratch beside the link");
                         CHECK(cycles < 20, "%u cycles for a register beside the link", cycles);
                     }
                     CHECK_EQ(b.end(), LINK_CPU_DONE, "status");
                     CHECK_EQ(b.reg(LINK_REG_CPU_ANSWER), want[k], "what the firmware read");
                 }
             });
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    tb::Golden golden;
    cases(run, golden);
    return run.finish();
}
