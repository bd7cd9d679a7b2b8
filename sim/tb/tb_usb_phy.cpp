/* tb_usb_phy.cpp - the whole device behind its two transceivers: usb_fs_phy.v at D+ and D-, usb_ulpi.v at a ULPI bus.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb_usb.h"
#include "ulpi_phy.h"
#include "usb_wire.h"

#include "Vusb_pins.h"
#include "Vusb_ulpi_full.h"
#include "Vusb_ulpi_high.h"

namespace
{

struct WireBoard {
    using Host = tb::WireHost;
    tb::Dut<Vusb_pins> dut;
    explicit WireBoard(tb::Job &job) : dut(job) { dut->dp_i = dut->dn_i = 0; }
    Host host(tb::Job &job)
    {
        return Host(
            { lines_, unused_, unused_, unused_, unused_, unused_, none_, none_, pulled_, none_ },
            [this] {
                dut->dp_i = dut->oe_o ? dut->dp_o : lines_ & 1;
                dut->dn_i = dut->oe_o ? dut->dn_o : lines_ >> 1;
                dut.drive();
                dut.step();
                dut.alive();
            },
            { dut->dp_o, dut->dn_o, dut->oe_o }, tb::Rng(job.rng.next()));
    }

  private:
    uint8_t lines_ = 1, unused_ = 0;
    const uint8_t none_ = 0, pulled_ = 1;
};

template <class Top> struct UlpiBoard {
    using Host = UsbHost;
    tb::Dut<Top> dut;
    tb::UlpiPhy phy;
    explicit UlpiBoard(tb::Job &job)
        : dut(job), phy({ dut->dir_i, dut->nxt_i, dut->data_i, dut->data_o, dut->oe_o, dut->stp_o },
                        tb::Rng(job.rng.next()))
    {
    }
    Host host(tb::Job &)
    {
        return Host({ phy.line_state, phy.rx_active, phy.rx_valid, phy.rx_error, phy.rx_data,
                      phy.tx_ready, phy.tx_valid, phy.tx_data, phy.term_select, phy.op_mode },
                    [this] {
                        phy.drive();
                        dut.drive();
                        phy.clock();
                        dut.step();
                        dut.alive();
                    });
    }
};

template <class Board> using Bench = tb::Bench<tb::UsbPort<Board>>;

template <class Board>
void cases(tb::Runner &run, tb::Golden &golden, const std::string &usb, bool high, uint32_t clock)
{
    run.test(usb + " is enumerated and answers every request", 2, [&](tb::Job &job) {
        Bench<Board> b(job, golden, tb::kShape, 0, 0);
        CHECK_EQ(b.port.host.high(), high, "high speed");
        tb::requests(b.port.host, clock);
        b.open();
        b.registers();
        CHECK_EQ(b.port.host.retries, 0, "packets without an answer");
    });
    run.test(usb + " computes what the golden model does", 2, [&](tb::Job &job) {
        Bench<Board> b(job, golden, tb::kShape, 0, 0);
        b.open();
        b.gemm();
        CHECK_EQ(b.resent(), 0, "frames sent again");
        CHECK_EQ(b.port.host.retries, 0, "packets without an answer");
        const char *wrong = b.port.host.enumerate(); /* a bus reset */
        CHECK(!*wrong, "%s", wrong);
        b.open();
        b.gemm();
    });
    run.test(usb + " computes the same when packets are damaged and lost", 2, [&](tb::Job &job) {
        Bench<Board> b(job, golden, tb::kShape, 0, 0);
        unsigned faults = 0;
        tb::damage(b.port.host, job, faults);
        b.open();
        do
            b.gemm();
        while (!faults);
    });
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    tb::Golden golden;
    cases<WireBoard>(run, golden, "accel_usb_fs at D+ and D-", false, 48000000);
    run.test("accel_usb_fs at D+ and D- computes the same when bits are inverted on their way", 2,
             [&](tb::Job &job) {
                 Bench<WireBoard> b(job, golden, tb::kShape, 0, 0);
                 tb::WireHost &h = b.port.host;
                 h.noise = 20000; /* sync patterns, stuffed bits and all */
                 b.open();
                 b.gemm();
                 CHECK(h.inverted > 0 && h.retries > 0, "nothing was damaged");
             });
    cases<UlpiBoard<Vusb_ulpi_high>>(run, golden, "accel_ulpi at high speed", true, 60000000);
    cases<UlpiBoard<Vusb_ulpi_full>>(run, golden, "accel_ulpi at full speed", false, 60000000);
    return run.finish();
}
