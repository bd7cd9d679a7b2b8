/* tb_usb.h - jobs through a USB host in software, whatever stands between it and accel_usb.v.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TB_USB_H
#define TB_USB_H

#include "tb_jobs.h"

#include "usb_host.h"

namespace tb
{

const Shape kShape = { "mac", { 8, 16, 2, 24, 16 },          4,
                       64,    { 64, 1024, 16384, 1024, 64 }, 256 | 4 << 16 };

/* accel_usb.v with nothing between its transceiver's pins and the host. */
template <class Top> struct UtmiBoard {
    using Host = UsbHost;
    tb::Dut<Top> dut;
    explicit UtmiBoard(tb::Job &job) : dut(job)
    {
        dut->line_state_i = 1;
        dut->rx_active_i = dut->rx_valid_i = dut->rx_error_i = dut->tx_ready_i = 0;
    }
    Host host(tb::Job &)
    {
        return Host({ dut->line_state_i, dut->rx_active_i, dut->rx_valid_i, dut->rx_error_i,
                      dut->rx_data_i, dut->tx_ready_i, dut->tx_valid_o, dut->tx_data_o,
                      dut->term_select_o, dut->op_mode_o },
                    [this] {
                        dut.drive();
                        dut.step();
                        dut.alive();
                    });
    }
};

/* The link's bytes in bulk transfers of a host. */
template <class Board> class UsbPort
{
  public:
    static constexpr uint64_t kTimeout = 3000000; /* 50 ms */
    static constexpr size_t kAhead = 512;

    explicit UsbPort(tb::Job &job) : board_(job), host(board_.host(job))
    {
        board_.dut.reset();
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
    Board board_;
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
    typename Board::Host host;
};

/* From now on one packet in twenty is damaged, every second of these lost. Counts them. */
inline void damage(UsbHost &h, Job &job, unsigned &faults)
{
    h.cable = [rng = Rng(job.seed), &faults](UsbHost::Packet &p, bool) mutable {
        if (!rng.one_in(20) || p.empty())
            return true;
        faults++;
        p[rng.below((uint32_t)p.size())] ^= (uint8_t)(1u << rng.below(8));
        return rng.one_in(2);
    };
}

inline uint32_t word(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

inline void requests(UsbHost &h, uint32_t clock = 60000000)
{
    uint8_t d[255];
    const uint32_t value = 0x12345678;
    const uint8_t poke[4] = { 0x78, 0x56, 0x34, 0x12 };
    CHECK_EQ(h.control(0xC0, LINK_USB_INFO, 0, 0, d, 64), 16, "bytes of INFO");
    CHECK_EQ(word(d), LINK_MAGIC_WORD, "magic");
    CHECK_EQ(word(d + 4), LINK_PROTOCOL_MIN << 16 | LINK_PROTOCOL_MAX, "versions");
    CHECK_EQ(word(d + 8), clock, "clock");
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

} // namespace tb

#endif
