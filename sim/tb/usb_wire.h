/* usb_wire.h - a full-speed USB host at D+ and D-: bits, not bytes. Written from the specification alone, chapter 7.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TB_USB_WIRE_H
#define TB_USB_WIRE_H

#include "tb.h"

#include "usb_host.h"

namespace tb
{

/* Its transceiver's line state is what stands at the pins: 1 D+ (J), 2 D- (K), 0 neither, 3 both. Four cycles a bit. */
class WireHost : public UsbHost
{
  public:
    struct Device { /* outputs of the device */
        const uint8_t &dp, &dn, &oe;
    };
    WireHost(const UtmiPins &pins, std::function<void()> clock, const Device &device, Rng rng)
        : UsbHost(pins, std::move(clock)), device_(device), rng_(rng)
    {
        cycles_ = 4 * (1 + ((double)rng_.below(5001) - 2500) * 1e-6); /* a clock 0.25 % off */
    }
    uint32_t noise = 0; /* one bit in so many is inverted; 0: none */
    uint64_t inverted = 0, clashes = 0;

  protected:
    void send(Packet p) override
    {
        if (cable && !cable(p, false))
            return;
        std::vector<uint8_t> bits = { 0, 0, 0, 0, 0, 0, 0, 1 };
        for (const uint8_t b : p)
            for (int i = 0; i < 8; i++)
                bits.push_back(b >> i & 1);
        std::vector<uint8_t> lines;
        uint8_t level = 1;
        unsigned ones = 0;
        for (uint8_t b : bits) {
            if (!b)
                level ^= 3;
            lines.push_back(level);
            ones = b ? ones + 1 : 0;
            if (ones == 6) {
                lines.push_back(level ^= 3);
                ones = 0;
            }
        }
        for (uint8_t &l : lines)
            if (noise && rng_.one_in(noise)) {
                l ^= 3;
                inverted++;
            }
        lines.insert(lines.end(), { 0, 0, 1 });
        double end = rng_.below(100) * 0.01;
        uint8_t last = 1;
        for (const uint8_t l : lines) {
            end += cycles_;
            bool skew = l && last && l != last && rng_.one_in(4);
            for (; end >= 1; end -= 1, skew = false) {
                /* the two lines do not cross at once */
                pins_.line_state = skew ? (uint8_t)(3 * rng_.below(2)) : l;
                clashes += device_.oe;
                wait(1);
            }
            last = l;
        }
        pins_.line_state = 1;
    }

    Packet receive() override
    {
        for (unsigned i = 0; !device_.oe; i++) {
            if (i == 18 * 4)
                return {};
            CHECK(i >= 8 || !device_.oe, "the device answers before two bits have passed");
            wait(1);
        }
        std::vector<uint8_t> lines;
        while (device_.oe) {
            CHECK(lines.size() < 40000, "the device does not stop");
            lines.push_back((uint8_t)(device_.dp | device_.dn << 1));
            wait(1);
        }
        Packet p = decode(lines);
        if (cable && !cable(p, true))
            p.clear();
        wait(8);
        return p;
    }

  private:
    Device device_;
    Rng rng_;
    double cycles_;

    static Packet decode(const std::vector<uint8_t> &lines)
    {
        CHECK_EQ(lines.size() % 4, 0, "cycles of a packet, modulo 4");
        Packet p;
        std::vector<uint8_t> bits;
        uint8_t level = 1;
        unsigned ones = 0, ends = 0;
        for (size_t i = 0; i < lines.size(); i += 4) {
            for (size_t k = 1; k < 4; k++)
                CHECK_EQ(lines[i + k], lines[i], "the level within a bit");
            const uint8_t l = lines[i];
            if (ends || l == 0) {
                CHECK_EQ(l, ends < 2 ? 0 : 1, "the level at a packet's end");
                ends++;
                continue;
            }
            CHECK(l == 1 || l == 2, "both lines are high");
            const bool one = l == level;
            level = l;
            if (ones == 6) {
                CHECK(!one, "seven ones in a row");
                ones = 0;
                continue;
            }
            ones = one ? ones + 1 : 0;
            bits.push_back(one);
        }
        CHECK_EQ(ends, 3, "bits at a packet's end");
        CHECK(bits.size() >= 16 && bits.size() % 8 == 0, "%zu bits", bits.size());
        for (size_t i = 0; i < bits.size(); i += 8) {
            uint8_t b = 0;
            for (size_t k = 0; k < 8; k++)
                b |= (uint8_t)(bits[i + k] << k);
            if (i == 0)
                CHECK_EQ(b, 0x80, "the sync pattern");
            else
                p.push_back(b);
        }
        return p;
    }
};

} // namespace tb

#endif
