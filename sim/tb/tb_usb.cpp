/* tb_usb.cpp - accel_usb.v at a USB host in software: enumeration, requests, damaged packets, jobs, the share of bus time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb_jobs.h"

#include "usb_host.h"

#include "Vusb_full.h"
#include "Vusb_mac.h"

namespace
{

const tb::Shape kShape = { "mac", { 8, 16, 2, 24, 16 },          4,
                           64,    { 64, 1024, 16384, 1024, 64 }, 256 | 4 << 16 };

/* The link's bytes in bulk transfers of a host. */
template <class Top> class UsbPort
{
  public:
    static constexpr uint64_t kTimeout = 3000000; /* 50 ms */
    static constexpr size_t kAhead = 512;

    explicit UsbPort(tb::Job &job)
        : dut_(job), host({ dut_->line_state_i, dut_->rx_active_i, dut_->rx_valid_i,
                            dut_->rx_error_i, dut_->rx_data_i, dut_->tx_ready_i, dut_->tx_valid_o,
                            dut_->tx_data_o, dut_->term_select_o, dut_->op_mode_o },
                          [this] {
                              dut_.drive();
                              dut_.step();
                              dut_.alive();
                          })
    {
        dut_->line_state_i = 1;
        dut_->rx_active_i = dut_->rx_valid_i = dut_->rx_error_i = dut_->tx_ready_i = 0;
        dut_.reset();
        const char *wrong = host.enumerate();
        CHECK(!*wrong, "%s", wrong);
        for (UsbTransfer &t : in_)
            ask(t);
        for (UsbTransfer &t : out_)
            t.status = UsbStatus::Done;
    }

    uint64_t cycle(std::deque<uint8_t> &down, BadWire &up)
    {
        const uint64_t before = host.now();
        for (UsbTransfer &t : out_)
            if (t.status != UsbStatus::Pending && !down.empty()) {
                const size_t n = std::min<size_t>(down.size(), 4096);
                t.bytes.assign(down.begin(), down.begin() + (ptrdiff_t)n);
                down.erase(down.begin(), down.begin() + (ptrdiff_t)n);
                t.done = 0;
                t.status = UsbStatus::Pending;
                host.submit(&t);
            }
        UsbTransfer *t = host.step();
        if (t && t->status == UsbStatus::Stalled)
            host.clear_halt(t->in);
        if (t && t->in) {
            for (size_t i = 0; i < t->done; i++)
                up.put(t->bytes[i]);
            ask(*t);
        }
        return host.now() - before;
    }

  private:
    tb::Dut<Top> dut_;
    UsbTransfer in_[2], out_[4];

    void ask(UsbTransfer &t)
    {
        t.in = true;
        t.bytes.resize(16384);
        t.done = 0;
        t.status = UsbStatus::Pending;
        host.submit(&t);
    }

  public:
    UsbHost host;
};

uint32_t word(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

void requests(UsbHost &h)
{
    uint8_t d[255];
    const uint32_t value = 0x12345678;
    const uint8_t poke[4] = { 0x78, 0x56, 0x34, 0x12 };
    CHECK_EQ(h.control(0xC0, LINK_USB_INFO, 0, 0, d, 64), 16, "bytes of INFO");
    CHECK_EQ(word(d), LINK_MAGIC_WORD, "magic");
    CHECK_EQ(word(d + 4), LINK_PROTOCOL_MIN << 16 | LINK_PROTOCOL_MAX, "versions");
    CHECK_EQ(word(d + 8), 60000000, "clock");
    CHECK_EQ(h.control(0xC0, LINK_USB_STATUS, 0, 0, d, 64), 12, "bytes of STATUS");
    CHECK_EQ(d[0] >> 1 & 1, h.high(), "high speed");
    CHECK_EQ(h.control(0x40, LINK_USB_POKE, 0, LINK_REG_SCRATCH, const_cast<uint8_t *>(poke), 4), 4,
             "POKE");
    CHECK_EQ(h.control(0xC0, LINK_USB_PEEK, 0, LINK_REG_SCRATCH, d, 4), 4, "PEEK");
    CHECK_EQ(word(d), value, "the register that was written");
    CHECK_EQ(h.control(0xC0, LINK_USB_PEEK, 0, LINK_REG_CORE + 3, d, 4), 4, "PEEK");
    CHECK_EQ(word(d), kShape.pack.rows, "rows");
    CHECK_EQ(h.control(0xC0, 99, 0, 0, d, 4), -1, "a request that there is not");
    CHECK_EQ(h.control(0x40, LINK_USB_POKE, 0, LINK_REG_SCRATCH, d, 3), -1,
             "a POKE of three bytes");
    CHECK_EQ(h.control(0x80, 6, 0x0300, 0, d, 255), 4, "languages");
    CHECK_EQ(h.control(0x80, 6, 0x0301, 0x409, d, 255), 18, "maker");
    CHECK(d[2] == 'l' && d[3] == 0 && d[16] == 'l', "maker");
    CHECK_EQ(h.control(0x80, 6, 0x0302, 0x409, d, 255), 24, "product");
    CHECK(d[2] == 'a' && d[22] == 'r', "product");
    CHECK_EQ(h.control(0x80, 6, 0x0303, 0x409, d, 255), 18, "serial");
    CHECK(d[2] == '0' && d[16] == '1', "serial");
    CHECK_EQ(h.control(0x80, 6, 0x0304, 0x409, d, 255), -1, "a string that there is not");
    CHECK_EQ(h.control(0x80, 6, 0x0F00, 0, d, 255), 33, "BOS");
    CHECK(d[2] == 33 && d[4] == 1 && d[9] == 0xDF && d[24] == 0x9F && d[31] == LINK_USB_MS_OS,
          "BOS");
    const unsigned set = d[29];
    CHECK_EQ(h.control(0xC0, LINK_USB_MS_OS, 0, 7, d, 255), (int)set, "bytes of the set");
    CHECK(word(d + 8) == (162 | 20u << 16) && std::memcmp(d + 14, "WINUSB", 6) == 0, "WINUSB");
    CHECK(d[30] == 132 && d[38] == 'D' && d[76] == 's' && d[80] == 80 && d[82] == '{' &&
              d[156] == '}',
          "the interface's GUID");
    CHECK_EQ(h.control(0x80, 8, 0, 0, d, 1), 1, "GET_CONFIGURATION");
    CHECK_EQ(d[0], 1, "configuration");
    CHECK_EQ(h.control(0x02, 3, 0, 0x81, nullptr, 0), 0, "SET_FEATURE");
    CHECK_EQ(h.control(0x82, 0, 0, 0x81, d, 2), 2, "GET_STATUS");
    CHECK_EQ(d[0], 1, "halted");
    h.clear_halt(true);
    CHECK_EQ(h.control(0x82, 0, 0, 0x81, d, 2), 2, "GET_STATUS");
    CHECK_EQ(d[0], 0, "halted");
    CHECK_EQ(h.control(0x40, LINK_USB_RESET_STREAM, 0, 0, nullptr, 0), 0, "RESET_STREAM");
}

template <class Top> void cases(tb::Runner &run, tb::Golden &golden, const char *name, bool high)
{
    using Bench = tb::Bench<UsbPort<Top>>;
    const std::string usb = std::string("accel_usb at ") + name + " speed ";
    run.test(usb + "is enumerated and answers every request, also after jobs", 2,
             [&](tb::Job &job) {
                 Bench b(job, golden, kShape, 0, 0);
                 CHECK_EQ(b.port.host.high(), high, "high speed");
                 requests(b.port.host);
                 b.open();
                 b.registers();
                 b.gemm();
                 requests(b.port.host);
                 b.gemm();
                 CHECK_EQ(b.port.host.retries, 0, "packets without an answer");
             });
    run.test(usb + "computes what the golden model does", 4, [&](tb::Job &job) {
        Bench b(job, golden, kShape, 0, 0);
        b.open();
        for (int i = 0; i < 4; i++)
            b.gemm();
        CHECK_EQ(b.resent(), 0, "frames sent again");
    });
    unsigned all = 0; /* faults of all jobs */
    run.test(usb + "computes the same when packets are damaged and lost", 6, [&](tb::Job &job) {
        Bench b(job, golden, kShape, 0, 0);
        unsigned faults = 0;
        tb::Rng rng(job.seed);
        b.port.host.cable = [&](UsbHost::Packet &p) {
            if (!rng.one_in(20) || p.empty())
                return true;
            faults++;
            p[rng.below((uint32_t)p.size())] ^= (uint8_t)(1u << rng.below(8));
            return rng.one_in(2);
        };
        b.open();
        for (int i = 0; i < 2; i++)
            b.gemm();
        all += faults;
        CHECK(job.number != 5 || all > 20 || all == faults, "hardly anything was damaged");
    });
    run.test(usb + "is as good as new after ABORT, a bus reset or halted endpoints in mid-job", 3,
             [&](tb::Job &job) {
                 Bench b(job, golden, kShape, 0, 0);
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
                 CHECK_EQ(word(d), job.number == 2, "the session");
                 b.open();
                 b.gemm();
             });
    const double bus = high ? 13 * 512 * 8000.0 : 19 * 64 * 1000.0, want = high ? 0.90 : 0.94;
    run.test(usb + "takes payload at " + (high ? "90" : "94") + " % of what the bus allows", 1,
             [&](tb::Job &job) {
                 Bench b(job, golden, kShape, 0, 0);
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
