/* tb_board.cpp - board.v between its pins: a serial line on one side, an SDRAM of 32 MB with the times of the slow ones on the other;
 * the processor begins with what the bitstream holds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb_cpu.h"

#include "sdram_chip.h"

#include "Vboard_uart.h"

namespace
{

constexpr unsigned kHz = 48000000, kDivisor = kHz / 3000000, kRowBits = 13, kColBits = 9;
constexpr uint32_t kBytes = 8u << (kRowBits + kColBits);
const tb::Shape kShape = { "mac", { 8, 16, 2, 24, 16 },     4,
                           64,    { 64, 256, 512, 64, 64 }, 64 | 4 << 16 };

class SerialPort
{
  public:
    static constexpr uint64_t kTimeout = 400000; /* longer than a frame on the line */
    static constexpr size_t kAhead = 1;

    explicit SerialPort(tb::Job &job) : chip(kHz, kRowBits, kColBits, 2, slow()), dut_(job), rng_(1)
    {
        dut_->locked_i = 0;
        dut_->button_i = 0;
        dut_->rx_i = 1;
    }

    SdramChip chip;

    uint64_t cycle(std::deque<uint8_t> &down, BadWire &up)
    {
        dut_->locked_i = ++cycles_ > 20;
        if (!sending_ && !down.empty()) {
            sending_ = (10 * kDivisor);
            out_ = (unsigned)down.front() << 1 | 0x200;
            down.pop_front();
        }
        dut_->rx_i = sending_ ? out_ >> (10 - (sending_ + kDivisor - 1) / kDivisor) & 1 : 1;
        sending_ -= sending_ != 0;
        dut_.drive();
        receive(up);
        if (!dut_->rst_o)
            clock_chip();
        const uint16_t dq = chip.drives() ? chip.data() : (uint16_t)rng_.next();
        dut_.step();
        dut_.alive();
        dut_->sdram_i = dq;
        return 1;
    }

  private:
    tb::Dut<Vboard_uart> dut_;
    tb::Rng rng_;
    uint64_t cycles_ = 0;
    unsigned sending_ = 0, out_ = 0; /* cycles left of a byte, its bits with start and stop */
    unsigned wait_ = 0, bits_ = 0, in_ = 0; /* until the next sample */

    /* Of MT48LC16M16-75, IS42S16160-7 and AS4C32M16SB-7 the longest of each. */
    static SdramTimes slow()
    {
        SdramTimes t;
        t.rcd = t.rp = 21;
        t.ras = 45;
        t.rc = t.rfc = 68;
        t.rrd = t.wr = 15;
        return t;
    }
    void clock_chip()
    {
        const uint64_t o = dut_->sdram_o;
        const auto pin = [o](unsigned at) { return (o >> at & 1) != 0; };
        chip.clock(SdramPins{ pin(38), pin(37), pin(36), pin(35), pin(34), pin(0),
                              (unsigned)(o >> 32 & 3), (unsigned)(o >> 19 & 0x1FFF),
                              (unsigned)(o >> 17 & 3), (unsigned)(o >> 1 & 0xFFFF) });
        CHECK(chip.broken.empty(), "%s", chip.broken.c_str());
    }
    void receive(BadWire &up)
    {
        if (!bits_) {
            if (!dut_->tx_o && !dut_->rst_o) {
                bits_ = 9; /* with the stop */
                wait_ = kDivisor + kDivisor / 2;
            }
        } else if (!--wait_) {
            wait_ = kDivisor;
            if (bits_ > 1)
                in_ = in_ >> 1 | (dut_->tx_o ? 0x80u : 0);
            if (!--bits_)
                up.put((uint8_t)in_);
        }
    }
};

using Cpu = tb::Cpu<SerialPort>;

void cases(tb::Runner &run, tb::Golden &golden)
{
    run.test(
        "board boots the firmware of its bitstream, which tests the SDRAM", 1, [&](tb::Job &job) {
            Cpu b(job, golden, kShape, 0, 0);
            b.booted();
            CHECK_EQ(b.reg(LINK_REG_MEM_BYTES), kBytes, "bytes of memory");
            CHECK_EQ(b.command(LINK_CPU_EXTERNAL, (uint32_t)job.rng.next() << 24 | 2),
                     LINK_CPU_DONE, "status");
            CHECK_EQ(b.reg(LINK_REG_CPU_ANSWER), 2048, "bytes tested");
            CHECK_EQ(b.reg(LINK_REG_CPU_ERRORS) + b.reg(LINK_REG_CPU_RESETS), 0, "errors");
            CHECK(b.port.chip.refreshed > 0, "no row was refreshed");
            b.port.chip.fault.shorted = 0x110;
            CHECK_EQ(b.command(LINK_CPU_EXTERNAL, 1), LINK_CPU_WRONG, "status");
            /* A4 and A8: columns, and rows of the same pins */
            CHECK_EQ(b.reg(LINK_REG_CPU_ANSWER),
                     LINK_CPU_ADDRESS_BITS << 28 | 0x110 << 1 | 0x110 << 12, "bits of joined pins");
        });
    run.test("board runs exact jobs of weights that its SDRAM holds", 2, [&](tb::Job &job) {
        Cpu b(job, golden, kShape, 0, 0);
        b.open();
        b.keep_weights(kBytes);
        b.gemm();
        CHECK_EQ(b.kept(), 1, "jobs of stored weights");
        CHECK_EQ(b.reg(LINK_REG_MEM_STATE), 0, "state of the memory");
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
