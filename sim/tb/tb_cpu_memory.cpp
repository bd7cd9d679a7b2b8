/* tb_cpu_memory.cpp - accel_soc.v with its processor and an SDRAM: the firmware tests the chip and names what is wrong with it, jobs
 * of stored weights run beside that.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb_cpu.h"

#include "sdram_chip.h"

#include "Vcpu_sdram.h"
#include "Vsoc_cpu_memory.h"

namespace
{

const tb::Shape kShape = { "mac", { 8, 16, 2, 24, 16 },     4,
                           64,    { 64, 256, 512, 64, 64 }, 64 | 4 << 16 };
constexpr unsigned kRowBits = 5, kColBits = 5, kBytes = 8 << (kRowBits + kColBits);

/* SoC, controller and chip, as on a board: what they give each other comes from registers. */
class MemoryPort
{
  public:
    static constexpr uint64_t kTimeout = 3000;
    static constexpr size_t kAhead = 1;

    explicit MemoryPort(tb::Job &job)
        : chip(50000000, kRowBits, kColBits, 2, times()), dut_(job), control_(job),
          stall_(job.stall()), rng_(job.rng.next())
    {
        dut_->valid_i = dut_->ready_i = 0;
        dut_->side_valid_i = dut_->side_write_i = 0;
        dut_->bus_done_i = 1;
        dut_->bus_data_i = 0;
        dut_->mem_bytes_i = kBytes;
        dut_->mem_ready_i = dut_->mem_take_i = dut_->mem_valid_i = 0;
        control_->valid_i = 0;
        dut_.reset();
        control_.reset();
    }

    SdramChip chip;

    uint64_t cycle(std::deque<uint8_t> &down, BadWire &up)
    {
        control_->valid_i = dut_->mem_valid_o;
        control_->write_i = dut_->mem_write_o;
        control_->addr_i = dut_->mem_addr_o & (kBytes / 16 - 1);
        control_->data_i = dut_->mem_data_o;
        control_->strobe_i = dut_->mem_strobe_o;
        control_.drive();
        chip.clock(SdramPins{ control_->cke_o != 0, control_->cs_n_o != 0, control_->ras_n_o != 0,
                              control_->cas_n_o != 0, control_->we_n_o != 0, control_->dq_oe_o != 0,
                              control_->ba_o, control_->a_o, control_->dqm_o, control_->dq_o });
        CHECK(chip.broken.empty(), "%s", chip.broken.c_str());
        const uint16_t dq = chip.drives() ? chip.data() : (uint16_t)rng_.next();
        dut_->mem_ready_i = control_->ready_o;
        dut_->mem_take_i = control_->take_o;
        dut_->mem_valid_i = control_->valid_o;
        dut_->mem_data_i = control_->data_o;

        tb::offer_bytes(dut_, stall_, down);
        dut_.drive();
        tb::exchange_bytes(dut_, down, up);
        dut_.step();
        dut_.alive();
        control_.step();
        control_.alive();
        control_->dq_i =
            dq; /* the chip's clock is the controller's: its data are there a cycle later */
        return 1;
    }
    /* As ABORT does: the memory knows nothing of it. */
    void reset_soc()
    {
        dut_->rst_i = 1;
        tb::idle(*this, 1);
        dut_->rst_i = 0;
    }

  private:
    tb::Dut<Vsoc_cpu_memory> dut_;
    tb::Dut<Vcpu_sdram> control_;
    tb::Stall stall_;
    tb::Rng rng_;

    static SdramTimes times()
    {
        SdramTimes t;
        t.retain_ms = 1;
        t.power_us = 2;
        return t;
    }
};

using Cpu = tb::Cpu<MemoryPort>;

/* Bits of a byte's address that reach the chip by these of its address pins: as columns, of which a burst holds three, and as rows. */
uint32_t bits_of_pins(unsigned pins, bool rows)
{
    uint32_t bits = (pins & ((1u << kColBits) - 1) & ~7u) << 1;
    if (rows)
        bits |= (pins & ((1u << kRowBits) - 1)) << (kColBits + 3);
    return bits;
}

/* The test finds this and nothing else, and its log says so. */
void finds(Cpu &b, uint32_t what, uint32_t where, unsigned entries)
{
    b.booted();
    CHECK_EQ(b.command(LINK_CPU_EXTERNAL, 2), LINK_CPU_WRONG, "status");
    CHECK_EQ(b.reg(LINK_REG_CPU_ANSWER), what << 28 | where, "what is wrong");
    CHECK_EQ(b.reg(LINK_REG_CPU_ERRORS), entries, "entries of the log");
    CHECK_EQ(b.reg(LINK_REG_CPU_LOG) >> 24, 5 + what, "kind of the first entry");
    CHECK_EQ(b.reg(LINK_REG_CPU_LOG) & 0xFFFFFF, what == LINK_CPU_ADDRESS_BITS ? where >> 2 : where,
             "the first entry");
}

void cases(tb::Runner &run, tb::Golden &golden)
{
    run.test("accel_cpu tests all of an SDRAM, after which it counts as empty", 2,
             [&](tb::Job &job) {
                 Cpu b(job, golden, kShape, 0, 0);
                 if (job.number)
                     b.open();
                 b.booted();
                 b.poke(LINK_REG_MEM_TAG, 0x12345678);
                 b.poke(LINK_REG_MEM_PAGE, 7); /* of what the host left there */
                 const uint32_t wrote = b.reg(LINK_REG_MEM_WRITTEN);
                 CHECK_EQ(b.command(LINK_CPU_EXTERNAL, (uint32_t)job.rng.next() << 24),
                          LINK_CPU_DONE, "status");
                 CHECK_EQ(b.reg(LINK_REG_CPU_ANSWER), kBytes, "bytes tested");
                 CHECK(b.reg(LINK_REG_MEM_WRITTEN) - wrote >= 2 * kBytes / 4,
                       "not every word was written twice");
                 CHECK_EQ(b.reg(LINK_REG_MEM_TAG), 0, "the memory's tag");
                 CHECK_EQ(b.reg(LINK_REG_CPU_ERRORS) + b.reg(LINK_REG_CPU_RESETS), 0, "errors");
                 CHECK_EQ(b.command(LINK_CPU_EXTERNAL, 3), LINK_CPU_DONE, "status");
                 CHECK_EQ(b.reg(LINK_REG_CPU_ANSWER), 3072, "bytes of a part");
             });
    run.test("accel_cpu names the data lines of an SDRAM that are stuck", 3, [&](tb::Job &job) {
        Cpu b(job, golden, kShape, 0, 0);
        const unsigned lines[] = { 1u << job.rng.below(16),
                                   1u << job.rng.below(8) | 0x100u << job.rng.below(8), 0xFFFF };
        b.port.chip.fault.low = lines[job.number];
        finds(b, LINK_CPU_DATA_LINES, lines[job.number], 1);
    });
    run.test("accel_cpu names the address bits of an SDRAM whose pins are joined", 3,
             [&](tb::Job &job) {
                 static const unsigned pins[] = { 0x18, 0x0C, 0x14 };
                 Cpu b(job, golden, kShape, 0, 0);
                 b.port.chip.fault.shorted = pins[job.number];
                 finds(b, LINK_CPU_ADDRESS_BITS, bits_of_pins(pins[job.number], true), 1);
             });
    run.test("accel_cpu names the address bits of an SDRAM that are swapped when it is read", 1,
             [&](tb::Job &job) {
                 Cpu b(job, golden, kShape, 0, 0);
                 b.port.chip.fault.swapped = 0x18;
                 finds(b, LINK_CPU_ADDRESS_BITS, bits_of_pins(0x18, false), 1);
             });
    run.test("accel_cpu names the word of an SDRAM that loses a bit, and the bit", 3,
             [&](tb::Job &job) {
                 Cpu b(job, golden, kShape, 0, 0);
                 const unsigned bit = job.rng.below(16);
                 /* in the first KiB, where chip and firmware count alike: in the third case where the lines are tested */
                 const size_t cell = job.number == 2 ? 0 : 16 + job.rng.below(16);
                 b.port.chip.fault.cell = cell;
                 b.port.chip.fault.weak = 1u << bit;
                 finds(b, LINK_CPU_CELLS, (uint32_t)cell / 2, 2);
                 CHECK_EQ(b.reg(LINK_REG_CPU_LOG + 1), 9u << 24 | 1u << bit, "the second entry");
             });
    run.test("accel_soc that is reset while weights come out of an SDRAM is as good as new", 6,
             [&](tb::Job &job) {
                 Cpu b(job, golden, kShape, 0, 0);
                 b.keep_weights(kBytes);
                 for (unsigned i = 0; i < 6; i++) {
                     b.open();
                     b.gemm(job.rng.range(100, 3000));
                     b.port.reset_soc();
                     b.open();
                     b.gemm();
                 }
                 CHECK_EQ(b.reg(LINK_REG_MEM_STATE) >> 16, 0, "wrong CRCs");
                 CHECK(b.kept() > 8, "hardly a job of stored weights: %u", b.kept());
             });
    unsigned kept = 0, refused = 0, tested = 0;
    run.test("accel_cpu tests an SDRAM between exact jobs of weights stored there, and gives way "
             "to a new session",
             6, [&](tb::Job &job) {
                 Cpu b(job, golden, kShape, job.number == 5 ? 5000 : 0, 0);
                 b.open();
                 b.booted();
                 b.keep_weights(kBytes);
                 for (unsigned i = 0; i < 2; i++) {
                     b.start(LINK_CPU_EXTERNAL, 1);
                     tb::idle(b.port, job.rng.range(1, 20000));
                     if (job.number % 2)
                         b.open();
                     b.gemm();
                     const uint32_t status = b.end();
                     CHECK(status == LINK_CPU_DONE || status == LINK_CPU_CORE_IN_USE, "status %u",
                           status);
                     refused += status == LINK_CPU_CORE_IN_USE;
                     tested += status == LINK_CPU_DONE;
                     b.gemm();
                     CHECK_EQ(b.command(LINK_CPU_SELFTEST, 1), LINK_CPU_DONE, "status");
                 }
                 kept += b.kept();
                 CHECK_EQ(b.reg(LINK_REG_MEM_STATE) >> 16, 0, "wrong CRCs");
                 CHECK(job.number != 5 || (kept > 6 && refused > 1 && tested > 1),
                       "all the same: %u jobs of stored weights, %u tests refused, %u done", kept,
                       refused, tested);
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
