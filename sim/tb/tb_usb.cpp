/* tb_usb.cpp - accel_usb.v at a USB host in software: enumeration, requests, damaged packets, jobs, the share of bus time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb_usb.h"

#include "Vusb_full.h"
#include "Vusb_mac.h"

namespace
{

template <class Top> void cases(tb::Runner &run, tb::Golden &golden, const char *name, bool high)
{
    using Bench = tb::Bench<tb::UsbPort<tb::UtmiBoard<Top>>>;
    const std::string usb = std::string("accel_usb at ") + name + " speed ";
    run.test(usb + "is enumerated and answers every request, also after jobs", 2,
             [&](tb::Job &job) {
                 Bench b(job, golden, tb::kShape, 0, 0);
                 CHECK_EQ(b.port.host.high(), high, "high speed");
                 tb::requests(b.port.host);
                 b.open();
                 b.registers();
                 b.gemm();
                 tb::requests(b.port.host);
                 b.gemm();
                 CHECK_EQ(b.port.host.retries, 0, "packets without an answer");
             });
    run.test(usb + "computes what the golden model does", 4, [&](tb::Job &job) {
        Bench b(job, golden, tb::kShape, 0, 0);
        b.open();
        for (int i = 0; i < 4; i++)
            b.gemm();
        CHECK_EQ(b.resent(), 0, "frames sent again");
    });
    unsigned all = 0; /* faults of all jobs */
    run.test(usb + "computes the same when packets are damaged and lost", 6, [&](tb::Job &job) {
        Bench b(job, golden, tb::kShape, 0, 0);
        unsigned faults = 0;
        tb::damage(b.port.host, job, faults);
        b.open();
        for (int i = 0; i < 2; i++)
            b.gemm();
        all += faults;
        CHECK(job.number != 5 || all > 20 || all == faults, "hardly anything was damaged");
    });
    run.test(usb + "is as good as new after ABORT, a bus reset or halted endpoints in mid-job", 3,
             [&](tb::Job &job) {
                 Bench b(job, golden, tb::kShape, 0, 0);
                 UsbHost &h = b.port.host;
                 b.open();
                 b.gemm(job.rng.range(1, 30));
                 if (job.number == 0) {
                     CHECK_EQ(h.control(0x40, LINK_USB_ABORT, 0, 0, nullptr, 0), 0, "ABORT");
                 } else if (job.number == 1) {
                     const char *wrong = h.enumerate();
                     CHECK(!*wrong, "%s", wrong);
                 } else {
                     CHECK_EQ(h.control(0x02, 3, 0, 0x01, nullptr, 0), 0, "SET_FEATURE");
                     CHECK_EQ(h.control(0x02, 3, 0, 0x81, nullptr, 0), 0, "SET_FEATURE");
                 }
                 uint8_t d[4];
                 CHECK_EQ(h.control(0xC0, LINK_USB_PEEK, 0, LINK_REG_SESSION, d, 4), 4, "PEEK");
                 CHECK_EQ(tb::word(d), job.number == 2, "the session");
                 b.open();
                 b.gemm();
             });
    const double bus = high ? 13 * 512 * 8000.0 : 19 * 64 * 1000.0, want = high ? 0.90 : 0.95;
    run.test(usb + "takes payload at " + (high ? "90" : "95") + " % of what the bus allows", 1,
             [&](tb::Job &job) {
                 Bench b(job, golden, tb::kShape, 0, 0);
                 b.open();
                 const double e = b.efficiency(high ? 1024 : 128) * 60e6;
                 CHECK(e >= want * bus, "%.3f of %.3f MB/s", e / 1e6, bus / 1e6);
             });
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    tb::Golden golden;
    cases<Vusb_mac>(run, golden, "high", true);
    cases<Vusb_full>(run, golden, "full", false);
    return run.finish();
}
