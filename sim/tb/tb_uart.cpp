/* tb_uart.cpp - uart_rx.v and uart_tx.v against a line made of samples, and a register read through both.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "link/frame.h"

#include "Vaccel_uart.h"
#include "Vuart_rx_4.h"
#include "Vuart_rx_87.h"
#include "Vuart_tx_4.h"
#include "Vuart_tx_87.h"

namespace
{

/* The line's levels, cycle by cycle, of a sender whose bits last `cycles` cycles, not always whole ones. */
class Line
{
  public:
    explicit Line(double cycles) : cycles_(cycles) {}
    void level(bool on, double bits = 1)
    {
        end_ += bits * cycles_;
        while ((double)samples.size() < end_)
            samples.push_back(on);
    }
    void byte(uint8_t b, bool stop = true)
    {
        level(false);
        for (int i = 0; i < 8; i++)
            level(b >> i & 1);
        level(stop);
        if (!stop)
            level(true, 11); /* so that the next start is one */
    }
    std::vector<bool> samples;

  private:
    double cycles_, end_ = 0;
};

template <class Top, unsigned Divisor> void receive(tb::Job &job)
{
    tb::Dut<Top> dut(job);
    std::vector<uint8_t> want, got;
    /* a sender as far off as 4 % at many cycles a bit; none where a sample is a quarter of a bit */
    const double off = Divisor < 16 ? 0 : ((double)job.rng.below(81) - 40) / 1000;
    Line line(Divisor * (1 + off));
    line.level(true, 3);
    for (int i = 0; i < 40; i++) {
        const uint8_t b = (uint8_t)job.rng.next();
        switch (job.rng.below(6)) {
        case 0: line.level(true, job.rng.below(20)); break;
        case 1: /* a spike, shorter than half a bit */
            if (Divisor >= 16) {
                line.level(true, 2);
                line.level(false, 0.3);
                line.level(true, 2);
            }
            break;
        case 2: line.byte(b, false); continue; /* its stop bit is missing */
        default: break;
        }
        line.byte(b);
        want.push_back(b);
    }
    line.level(true, 12);
    dut->line_i = 1;
    dut.reset();
    for (const bool level : line.samples) {
        dut->line_i = level;
        dut.drive();
        if (dut->valid_o)
            got.push_back(dut->data_o);
        dut.step();
        dut.alive();
    }
    CHECK_EQ(got.size(), want.size(), "bytes received");
    CHECK(got == want, "other bytes than were sent");
}

template <class Top, unsigned Divisor> void send(tb::Job &job)
{
    tb::Dut<Top> dut(job);
    Line line(Divisor);
    std::vector<bool> got;
    std::deque<uint8_t> bytes;
    for (int i = 0; i < 20; i++)
        bytes.push_back((uint8_t)job.rng.next());
    dut->valid_i = 0;
    dut.reset();
    while (!bytes.empty() || got.size() < line.samples.size()) {
        dut->valid_i = !bytes.empty() && !job.rng.one_in(50);
        if (dut->valid_i)
            dut->data_i = bytes.front();
        dut.drive();
        const bool taken = dut->valid_i && dut->ready_o;
        if (got.size() == line.samples.size())
            line.level(true, 1.0 / Divisor); /* idle, unless a byte was begun */
        got.push_back(dut->line_o);
        CHECK(got.back() == line.samples[got.size() - 1], "cycle %zu: the line is %d", got.size(),
              (int)dut->line_o);
        if (taken) {
            CHECK_EQ(line.samples.size(), got.size(), "taken while a byte is sent");
            line.byte(bytes.front());
            bytes.pop_front();
        }
        dut.step();
        dut.alive();
    }
}

void peek(tb::Job &job)
{
    constexpr unsigned kDivisor = 4;
    tb::Dut<Vaccel_uart> dut(job);
    static link_decoder d;
    uint8_t request[LINK_OVERHEAD + 4];
    link_header h = {};
    h.type = LINK_TYPE_PEEK;
    h.tag = 0x1234;
    h.length = 4;
    const uint8_t words[4] = { LINK_REG_MAGIC, 0, 5, 0 };
    link_encode(request, &h, words);
    Line line(kDivisor);
    line.level(true, 3);
    for (const uint8_t b : request)
        line.byte(b);
    std::memset(&d, 0, sizeof d);
    dut->rx_i = 1;
    dut.reset();
    bool was = true;
    unsigned at = 0, count = 0;
    uint8_t byte = 0;
    enum link_found found = LINK_NOTHING;
    for (size_t t = 0; !found; t++) {
        CHECK(t < 20000, "no answer");
        dut->rx_i = t < line.samples.size() ? line.samples[t] : true;
        dut.drive();
        if (!at && was && !dut->tx_o) {
            at = 1;
            count = kDivisor + kDivisor / 2;
        } else if (at && --count == 0) {
            byte = (uint8_t)(byte >> 1 | (dut->tx_o ? 0x80 : 0));
            count = kDivisor;
            if (++at == 9) {
                size_t used;
                found = link_decode(&d, &byte, 1, &used);
                at = 0;
            }
        }
        was = dut->tx_o;
        dut.step();
        dut.alive();
    }
    CHECK_EQ(found, LINK_FRAME, "what came");
    CHECK_EQ(d.header.type, LINK_TYPE_PEEKED, "type");
    CHECK_EQ(d.header.tag, h.tag, "tag");
    CHECK_EQ(d.header.length, 24, "length");
    CHECK_EQ(link_get32(link_payload(&d) + 4), LINK_MAGIC_WORD, "magic");
    CHECK_EQ(link_get32(link_payload(&d) + 20), 12345678, "clock");
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("uart_rx takes bytes at 4 cycles a bit and drops those without a stop bit", 40,
             receive<Vuart_rx_4, 4>);
    run.test("uart_rx takes bytes of a clock 4 % off and no spike", 60, receive<Vuart_rx_87, 87>);
    run.test("uart_tx sends each bit for 4 cycles", 20, send<Vuart_tx_4, 4>);
    run.test("uart_tx sends each bit for 87 cycles", 20, send<Vuart_tx_87, 87>);
    run.test("accel_uart answers a PEEK over its two wires", 2, peek);
    return run.finish();
}
