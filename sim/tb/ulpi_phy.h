/* ulpi_phy.h - a ULPI transceiver in software, between usb_host's UTMI pins and the eight wires. Written from ULPI 1.1.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TB_ULPI_PHY_H
#define TB_ULPI_PHY_H

#include "tb.h"

namespace tb
{

struct UlpiPins {
    uint8_t &dir, &nxt, &data_in;
    const uint8_t &data_out, &oe, &stp;
};

class UlpiPhy
{
  public:
    UlpiPhy(const UlpiPins &pins, Rng rng) : p_(pins), rng_(rng)
    {
        p_.dir = p_.nxt = 0;
        regs[kOtg] = 6; /* the pull-downs of a host */
        regs[kFunction] = 0x41;
    }
    static constexpr unsigned kFunction = 4, kOtg = 10;
    uint8_t regs[64] = {};
    uint64_t aborted = 0; /* register writes that were cut off */

    /* UTMI, the host's side */
    uint8_t line_state = 1, rx_active = 0, rx_valid = 0, rx_error = 0, rx_data = 0, tx_ready = 0,
            tx_valid = 0, tx_data = 0, term_select = 0, op_mode = 0;

    /* Before the clock's edge, then with the link's outputs settled. */
    void drive()
    {
        was_ = p_.dir;
        p_.nxt = 0;
        p_.data_in = (uint8_t)rng_.next();
        const bool news = told_ != line_state && !sending();
        if (rx_active) {
            CHECK(!sending(), "the link sends while the host does");
            p_.dir = 1;
            if (!was_) {
                CHECK(!rx_valid, "data when the bus is turned");
                active_ = rng_.one_in(2) || !patient();
                p_.nxt = active_;
            } else if (rx_valid && active_) {
                p_.nxt = 1;
                p_.data_in = rx_data;
            } else {
                CHECK(!rx_valid, "data before the link knows of a packet");
                event(true);
            }
        } else if (was_ && (news || (active_ && rng_.one_in(2)))) {
            event(false);
        } else if (was_) {
            p_.dir = active_ = 0;
        } else if (news) {
            aborted += state_ == Address || state_ == Value;
            p_.dir = 1;
        }
        if (p_.dir && !rx_active && state_ != Idle && !sending())
            state_ = Idle;
        if (!p_.dir && !was_ && (state_ == Command || state_ == Address || state_ == Value))
            p_.nxt = rng_.one_in(2);
        if (!p_.dir && !was_ && state_ == Data)
            p_.nxt = chirp_ || bytes_.size() < 3 || (bytes_.size() < 5 && rng_.one_in(2));
    }
    void clock()
    {
        if (sending() && tx_ready && !chirp_) {
            CHECK(!bytes_.empty(), "the link is too slow");
            bytes_.pop_front();
        }
        if (!p_.dir && !was_) {
            CHECK(p_.oe, "the link does not drive the bus");
            listen(p_.data_out);
        }
        CHECK(!p_.dir || !p_.oe, "both drive the bus");
        if (state_ == Done && (chirp_ || bytes_.empty()))
            state_ = Idle;
        tx_valid = state_ == Done ||
                   (state_ == Data && (chirp_ || bytes_.size() > (tx_valid ? 0 : 2)));
        tx_data = chirp_ || bytes_.empty() ? 0 : bytes_.front();
        op_mode = regs[kFunction] >> 3 & 3;
        term_select = regs[kFunction] >> 2 & 1;
    }

  private:
    enum State { Idle, Command, Data, Done, Address, Value, Stop };
    UlpiPins p_;
    Rng rng_;
    State state_ = Idle;
    std::deque<uint8_t> bytes_;
    uint8_t was_ = 0, told_ = 0xff, address_ = 0;
    bool active_ = false, chirp_ = false;

    bool patient() const { return term_select; } /* full speed: an RX CMD comes in time, too */
    bool sending() const { return state_ == Command || state_ == Data || state_ == Done; }
    void event(bool active) /* an RX CMD */
    {
        active_ = active;
        told_ = line_state;
        p_.data_in = (uint8_t)(line_state | 3 << 2 | (active ? 16 : 0) |
                               (active && rx_error ? 32 : 0));
    }
    void listen(uint8_t data)
    {
        if (p_.stp) {
            CHECK(state_ == Data || state_ == Stop, "stp without reason");
            CHECK_EQ(data, 0, "data with stp");
            state_ = state_ == Data ? Done : Idle;
            return;
        }
        CHECK(state_ != Stop, "no stp behind a register's value");
        switch (state_) {
        case Idle:
            if (data >> 6 == 1) {
                chirp_ = data == 0x40;
                CHECK(!chirp_ || op_mode == 2, "a packet without PID");
                bytes_.clear();
                state_ = Command;
            } else if (data >> 6 == 2) {
                address_ = data & 63;
                state_ = Address;
            } else {
                CHECK_EQ(data, 0, "a command");
            }
            sent_ = data;
            break;
        case Command:
        case Address:
            CHECK_EQ(data, sent_, "a command that waits");
            if (p_.nxt && state_ == Command && !chirp_)
                bytes_.push_back((uint8_t)((data & 15) | (~data & 15) << 4));
            if (p_.nxt)
                state_ = state_ == Command ? Data : Value;
            break;
        case Data:
            if (p_.nxt && !chirp_)
                bytes_.push_back(data);
            break;
        case Value:
            if (p_.nxt) {
                regs[address_] = data;
                state_ = Stop;
            }
            break;
        default: CHECK_EQ(data, 0, "the bus at rest");
        }
    }
    uint8_t sent_ = 0;
};

} // namespace tb

#endif
