/* usb_board.cpp - the Verilated device at a cable that follows a fault plan.
 * SPDX-License-Identifier: Apache-2.0 */
#include "usb_board.h"

#include "link_constants.h"

#include <algorithm>

namespace
{

constexpr uint8_t kAck = 0xD2, kNyet = 0x96, kNak = 0x5A;
enum { kToken = 1, kHandshake = 2, kData = 3 }; /* the low bits of a PID */
constexpr size_t kAround = 3;                   /* PID and CRC around the bytes of a packet */
constexpr uint8_t kSetFeature = 3, kClassEndpoint = 2;

} // namespace

UsbBoard::UsbBoard(uint32_t memory)
    : memory_(memory),
      host({ top_.line_state_i, top_.rx_active_i, top_.rx_valid_i, top_.rx_error_i, top_.rx_data_i,
             top_.tx_ready_i, top_.tx_valid_o, top_.tx_data_o, top_.term_select_o, top_.op_mode_o },
           [this] { clock(); })
{
    host.cable = [this](UsbHost::Packet &p, bool to_host) { return pass(p, to_host); };
    host.detach();
}

void UsbBoard::clock()
{
    /* the memory's port as PlainMemory has it; soc_parameters.v says how it is packed */
    struct {
        uint8_t mem_ready_i, mem_take_i, mem_valid_i, mem_valid_o, mem_write_o, mem_strobe_o;
        uint16_t mem_data_i, mem_data_o;
        uint32_t mem_addr_o;
    } port = {};
    const bool memory = !memory_.words.empty();
    if (memory) {
        memory_.drive(port);
        top_.mem_i = (uint64_t)(2 * memory_.words.size()) << 19 | (uint64_t)port.mem_ready_i << 18 |
                     (uint64_t)port.mem_take_i << 17 | (uint64_t)port.mem_valid_i << 16 |
                     port.mem_data_i;
    }
    top_.clk_i = 0;
    top_.eval();
    if (memory) {
        const uint64_t out = top_.mem_o;
        port.mem_valid_o = out >> 46 & 1;
        port.mem_write_o = out >> 45 & 1;
        port.mem_addr_o = (uint32_t)(out >> 17) & 0xfffffff;
        port.mem_data_o = (uint16_t)(out >> 1);
        port.mem_strobe_o = out & 1;
        memory_.sample(port);
    }
    top_.clk_i = 1;
    top_.eval();
}

const char *UsbBoard::follow(const fault_plan &plan)
{
    hang_at_ = UINT64_MAX;
    for (unsigned i = 0; i < plan.count; i++)
        if (plan.fault[i].what == FAULT_HANG)
            hang_at_ = std::min(hang_at_, host.now() + plan.fault[i].at);
    if (hang_at_ != UINT64_MAX && !has_processor())
        return "firmware hangs: this board has no processor";
    plan_ = plan;
    packets_ = bytes_ = nak_until_ = struck_ = 0;
    return "";
}

bool UsbBoard::has_processor()
{
    uint8_t word[4];
    return host.control(0xC0, LINK_USB_PEEK, 0, LINK_REG_CPU, word, sizeof word) == sizeof word &&
           word[0] & 1;
}

/* As a user could do it. What the firmware was doing for one it leaves undone. */
void UsbBoard::hang()
{
    uint8_t argument[4] = {}, command[4] = { LINK_CPU_HANG, 0, 0xff };
    host.control(0x40, LINK_USB_POKE, 0, LINK_REG_CPU_ARGUMENT, argument, sizeof argument);
    host.control(0x40, LINK_USB_POKE, 0, LINK_REG_CPU_COMMAND, command, sizeof command);
}

const char *UsbBoard::plug_in()
{
    for (size_t i = 0; i < memory_.words.size(); i++) /* whatever was in it is gone */
        memory_.words[i] = (uint16_t)(i * 0x9e37);
    top_.line_state_i = 1;
    top_.rx_active_i = top_.rx_valid_i = top_.rx_error_i = top_.tx_ready_i = 0;
    top_.rst_i = 1;
    clock();
    clock();
    top_.rst_i = 0;
    replug_ms_ = 0;
    broken_ = 0;
    silent_ = pull_ = reset_ = stall_in_ = stall_out_ = false;
    host.attach();
    last_ = host.now();
    return host.enumerate();
}

void UsbBoard::unplug()
{
    host.detach();
}

void UsbBoard::submit(UsbTransfer *t)
{
    last_ = host.now();
    host.submit(t);
}

bool UsbBoard::quiet() const
{
    const bool waits = pull_ || reset_ || stall_in_ || stall_out_ || broken_ || host.sends();
    return !waits && host.now() - last_ > (top_.busy_o ? kStarved : kSettled);
}

UsbTransfer *UsbBoard::step()
{
    if (broken_) {
        broken_--;
        return host.fail(UsbStatus::Broken);
    }
    UsbTransfer *t = host.step();
    act();
    return t;
}

/* What the plan has for the time between two transactions. */
void UsbBoard::act()
{
    silent_ = false;
    if (pull_)
        unplug();
    else if (reset_) {
        broken_ = host.queued();
        host.enumerate();
    } else {
        if (host.now() >= hang_at_) {
            hang_at_ = UINT64_MAX;
            struck_++;
            hang();
        }
        if (stall_out_)
            host.control(kClassEndpoint, kSetFeature, 0, LINK_USB_ENDPOINT, nullptr, 0);
        if (stall_in_)
            host.control(kClassEndpoint, kSetFeature, 0, LINK_USB_ENDPOINT | 0x80, nullptr, 0);
    }
    pull_ = reset_ = stall_in_ = stall_out_ = false;
}

bool UsbBoard::pass(UsbHost::Packet &p, bool to_host)
{
    if (silent_) {
        p.clear();
        return false;
    }
    if (p.empty()) {
        if (say_nak_)
            p.assign(1, kNak);
        say_nak_ = false;
        return true;
    }
    switch (p[0] & 3) {
    case kToken:
        bulk_ = p.size() > 2 && (p[1] >> 7 | (p[2] & 7) << 1) == LINK_USB_ENDPOINT;
        lose_ack_ = say_nak_ = false;
        return true;
    case kHandshake: {
        const bool lost = lose_ack_ && (p[0] == kAck || p[0] == kNyet);
        lose_ack_ = lose_ack_ && !lost;
        return !lost;
    }
    case kData:
        if (bulk_ && p.size() >= kAround)
            return pass_data(p, to_host);
    }
    return true;
}

bool UsbBoard::pass_data(UsbHost::Packet &p, bool to_host)
{
    const uint64_t before = bytes_;
    bool passes = true, mend = false;
    packets_++;
    bytes_ += p.size() - kAround;
    last_ = host.now();
    for (unsigned i = 0; i < plan_.count; i++) {
        const fault &f = plan_.fault[i];
        const bool at_packet = f.at == packets_, at_byte = f.at > before && f.at <= bytes_;
        const bool by_byte = f.what == FAULT_FLIP || f.what == FAULT_RESET ||
                             f.what == FAULT_UNPLUG || f.what == FAULT_REPLUG;
        struck_ += by_byte ? at_byte : at_packet;
        switch (f.what) {
        case FAULT_DROP: passes = passes && !at_packet; break;
        case FAULT_DAMAGE:
            if (at_packet)
                p[p.size() / 2] ^= 0x10;
            break;
        case FAULT_DUPLICATE: lose_ack_ = lose_ack_ || at_packet; break;
        case FAULT_TRUNCATE:
            if (at_packet && f.value < p.size() - kAround) {
                p.erase(p.begin() + 1 + f.value, p.end() - 2);
                mend = true;
            }
            break;
        case FAULT_FLIP:
            if (at_byte && f.at - before < p.size() - 2) {
                p[f.at - before] ^= (uint8_t)(1u << f.value);
                mend = true;
            }
            break;
        case FAULT_STALL_OUT: stall_out_ = stall_out_ || at_packet; break;
        case FAULT_STALL_IN: stall_in_ = stall_in_ || at_packet; break;
        case FAULT_NAK:
            if (at_packet)
                nak_until_ = std::max(nak_until_, packets_ + f.value);
            break;
        case FAULT_RESET: reset_ = reset_ || at_byte; break;
        case FAULT_UNPLUG:
        case FAULT_REPLUG:
            if (at_byte && !pull_) {
                pull_ = true;
                replug_ms_ = f.what == FAULT_REPLUG ? f.value : 0;
            }
            break;
        default: break;
        }
    }
    if (mend) /* what the bus cannot see */
        UsbHost::seal(p);
    silent_ = pull_ || reset_;
    if (silent_)
        return false;
    if (packets_ >= nak_until_)
        return passes;
    if (to_host)
        p.assign(1, kNak);
    else
        say_nak_ = true;
    return to_host;
}
