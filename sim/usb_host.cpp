/* usb_host.cpp - a USB host in software at the pins of a UTMI transceiver.
 * SPDX-License-Identifier: Apache-2.0 */
#include "usb_host.h"

#include <algorithm>

namespace
{

constexpr uint8_t kOut = 0xE1, kIn = 0x69, kSof = 0xA5, kSetup = 0x2D, kPing = 0xB4, kData0 = 0xC3,
                  kData1 = 0x4B, kAck = 0xD2, kNak = 0x5A, kStall = 0x1E, kNyet = 0x96;
constexpr int kNothing = -1; /* as the PID of an answer */
constexpr unsigned kErrors = 3;
constexpr unsigned kHoldOff =
    12; /* OUT transactions before a device that had less than a packet is asked again */
/* Cycles at full and at high speed. */
struct Timing {
    unsigned bit, sync, eop, gap, patience, frame;
};
constexpr Timing kFull = { 5, 40, 15, 10, 150, 60000 }, kHigh = { 0, 4, 1, 11, 102, 7500 };

uint16_t crc5(unsigned field)
{
    unsigned c = 0x1f;
    for (int i = 0; i < 11; i++)
        c = c >> 1 ^ (((c ^ field >> i) & 1) ? 0x14u : 0u);
    return (uint16_t)(~c & 0x1f);
}

uint16_t crc16(const uint8_t *bytes, size_t count)
{
    unsigned c = 0xffff;
    for (size_t i = 0; i < count; i++) {
        c ^= bytes[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ ((c & 1) ? 0xA001u : 0u);
    }
    return (uint16_t)~c;
}

bool whole(const UsbHost::Packet &p)
{
    if (p.empty() || (p[0] & 15) != (~p[0] >> 4 & 15))
        return false;
    if ((p[0] & 3) == 2)
        return p.size() == 1;
    if ((p[0] & 3) != 3 || p.size() < 3)
        return false;
    const uint16_t c = crc16(p.data() + 1, p.size() - 3);
    return p[p.size() - 2] == (c & 255) && p[p.size() - 1] == c >> 8;
}

} // namespace

/* ---- bus time ---- */

void UsbHost::wait(unsigned cycles)
{
    for (; cycles; cycles--) {
        clock_();
        now_++;
    }
}

void UsbHost::idle()
{
    pins_.line_state = high_ ? 0 : 1;
}

/* Bits that are stuffed in behind six ones. */
unsigned UsbHost::stuffing(uint8_t byte)
{
    unsigned n = 0;
    for (int i = 0; i < 8; i++) {
        stuffed_ = byte >> i & 1 ? stuffed_ + 1 : 0;
        if (stuffed_ == 6) {
            n++;
            stuffed_ = 0;
        }
    }
    return n;
}

void UsbHost::send(Packet p)
{
    const Timing &t = high_ ? kHigh : kFull;
    const bool arrives = p[0] == kSof || !cable || cable(p, false);
    unsigned bits = 0; /* stuffed at high speed, where eight make a cycle */
    pins_.line_state = high_ ? 1 : 2;
    wait(t.sync);
    pins_.rx_active = arrives;
    wait(1);
    stuffed_ = 1;
    for (const uint8_t b : p) {
        const unsigned extra = stuffing(b);
        if (high_) {
            bits += extra;
            wait(bits / 8);
            bits %= 8;
        } else {
            wait(39 + extra * t.bit);
        }
        pins_.rx_data = b;
        pins_.rx_valid = arrives;
        wait(1);
        pins_.rx_valid = 0;
    }
    pins_.rx_active = 0;
    if (!high_)
        pins_.line_state = 0;
    wait(t.eop - (high_ ? 0 : 5));
    idle();
    wait(high_ ? 0 : 5);
}

/* What the device answers; nothing, if it does not. */
UsbHost::Packet UsbHost::receive()
{
    const Timing &t = high_ ? kHigh : kFull;
    Packet p;
    for (unsigned i = 0; !pins_.tx_valid; i++) {
        if (i == t.patience) {
            if (cable && !cable(p, true))
                p.clear();
            return p;
        }
        wait(1);
    }
    pins_.line_state = high_ ? 1 : 2;
    wait(t.sync);
    stuffed_ = 1;
    unsigned bits = 0;
    while (pins_.tx_valid && p.size() < 4096) {
        const uint8_t b = pins_.tx_data;
        const unsigned extra = stuffing(b);
        p.push_back(b);
        if (high_) {
            bits += extra;
            wait(bits / 8);
            bits %= 8;
        } else {
            wait(39 + extra * t.bit);
        }
        pins_.tx_ready = 1;
        wait(1);
        pins_.tx_ready = 0;
    }
    wait(t.eop);
    idle();
    if (cable && !cable(p, true))
        p.clear();
    wait(t.gap);
    return p;
}

/* Sends what begins a frame, if the next transaction, of so many bytes, did not end before the frame does. */
void UsbHost::frame(size_t bytes)
{
    const Timing &t = high_ ? kHigh : kFull;
    const uint64_t longest = high_ ? 75 + bytes : (90 + bytes * 8) * t.bit;
    if (now_ + longest < next_sof_)
        return;
    if (now_ < next_sof_)
        wait((unsigned)(next_sof_ - now_));
    next_sof_ = now_ + t.frame;
    sub_ = high_ ? (sub_ + 1) % 8 : 0;
    frame_ = sub_ ? frame_ : (frame_ + 1) % 2048;
    send({ kSof, (uint8_t)frame_, (uint8_t)(frame_ >> 8 | (unsigned)crc5(frame_) << 3) });
    wait(t.gap);
}

void UsbHost::token(uint8_t pid, uint8_t endpoint)
{
    const unsigned field = address_ | (unsigned)endpoint << 7;
    send({ pid, (uint8_t)field, (uint8_t)(field >> 8 | (unsigned)crc5(field) << 3) });
}

void UsbHost::data(bool toggle, const uint8_t *bytes, size_t count)
{
    wait(high_ ? kHigh.gap : kFull.gap);
    Packet p;
    p.reserve(count + 3);
    p.push_back(toggle ? kData1 : kData0);
    p.insert(p.end(), bytes, bytes + count);
    const uint16_t c = crc16(bytes, count);
    p.push_back((uint8_t)c);
    p.push_back((uint8_t)(c >> 8));
    send(p);
}

int UsbHost::handshake()
{
    const Packet p = receive();
    return p.size() == 1 && whole(p) ? p[0] : kNothing;
}

void UsbHost::seal(Packet &p)
{
    const uint16_t c = crc16(p.data() + 1, p.size() - 3);
    p[p.size() - 2] = (uint8_t)c;
    p[p.size() - 1] = (uint8_t)(c >> 8);
}

/* ---- bus ---- */

bool UsbHost::bus_reset()
{
    high_ = false;
    address_ = 0;
    toggle_in_ = toggle_out_ = ping_ = false;
    errors_in_ = errors_out_ = 0;
    pins_.line_state = 1;
    wait(1000);
    pins_.line_state = 0;
    bool chirped = false;
    for (unsigned i = 0; i < 400000; i++) {
        wait(1);
        const bool chirps = pins_.op_mode == 2 && pins_.tx_valid;
        pins_.line_state = chirps ? 2 : 0;
        if (chirped && !chirps)
            break;
        chirped = chirps;
        if (!chirped && i > 20000 && pins_.op_mode == 0 && pins_.term_select)
            break;
    }
    for (unsigned i = 0; chirped && i < 20 && pins_.term_select; i++) {
        pins_.line_state = i % 2 ? 1 : 2;
        wait(400);
    }
    high_ = chirped && !pins_.term_select;
    idle();
    wait(500);
    next_sof_ = now_;
    return high_;
}

void UsbHost::clear_halt(bool in)
{
    control(0x02, 1, 0, in ? 0x81 : 0x01, nullptr, 0);
}

const char *UsbHost::enumerate()
{
    uint8_t d[255];
    bus_reset();
    if (control(0x80, 6, 0x0100, 0, d, 64) != 18 || d[7] != 64)
        return "no device descriptor at address 0";
    bus_reset();
    if (control(0, 5, 5, 0, nullptr, 0))
        return "SET_ADDRESS fails";
    address_ = 5;
    if (control(0x80, 6, 0x0100, 0, d, 18) != 18 || d[0] != 18 || d[1] != 1 || d[17] != 1)
        return "no device descriptor";
    if (control(0x80, 6, 0x0200, 0, d, 9) != 9 || d[2] != 32)
        return "no configuration";
    if (control(0x80, 6, 0x0200, 0, d, 32) != 32 || (d[22] | d[23] << 8) != (int)packet_size())
        return "wrong configuration";
    if (control(0, 9, 1, 0, nullptr, 0))
        return "SET_CONFIGURATION fails";
    return "";
}

/* ---- transfers ---- */

/* One IN transaction. @return its PID or kNothing; `p` holds new data then, or is empty */
int UsbHost::packet_in(uint8_t endpoint, bool &toggle, Packet &p)
{
    frame(packet_size());
    token(kIn, endpoint);
    p = receive();
    if (!whole(p)) {
        p.clear();
        return kNothing;
    }
    const int pid = p[0];
    if (pid != kData0 && pid != kData1)
        return pid;
    send({ kAck });
    wait(high_ ? kHigh.gap : kFull.gap);
    if ((pid == kData1) != toggle) {
        repeated++; /* our ACK got lost */
        return kNak;
    }
    toggle = !toggle;
    p = Packet(p.begin() + 1, p.end() - 2);
    return pid;
}

int UsbHost::control(uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint8_t *bytes,
                     uint16_t length)
{
    const int done = transfer(type, request, value, index, bytes, length);
    if (done < 0)
        return done;
    switch (type << 8 |
            request) { /* the device begins with DATA0 after that, and so does its host */
    case 0x0009:       /* SET_CONFIGURATION */
    case 0x010b: /* SET_INTERFACE */ toggle_in_ = toggle_out_ = ping_ = false; break;
    case 0x0201: /* CLEAR_FEATURE of an endpoint */
        (index & 0x80 ? toggle_in_ : toggle_out_) = false;
    }
    return done;
}

int UsbHost::transfer(uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint8_t *bytes,
                      uint16_t length)
{
    const uint8_t setup[8] = { type,
                               request,
                               (uint8_t)value,
                               (uint8_t)(value >> 8),
                               (uint8_t)index,
                               (uint8_t)(index >> 8),
                               (uint8_t)length,
                               (uint8_t)(length >> 8) };
    unsigned tries = 0;
    if (!attached_)
        return -2;
    for (;; tries++) {
        if (tries == kErrors)
            return -2;
        frame(8);
        token(kSetup, 0);
        data(false, setup, 8);
        if (handshake() == kAck)
            break;
    }
    bool toggle = true;
    size_t done = 0;
    unsigned errors = 0, waits = 0;
    const bool reads = (type & 0x80) && length;
    bool status = !length;
    while (!status) {
        if (errors == kErrors || waits == 20000)
            return -2;
        int pid;
        Packet p;
        if (reads) {
            pid = packet_in(0, toggle, p);
        } else {
            frame(64);
            token(kOut, 0);
            data(toggle, bytes + done, std::min<size_t>(64, length - done));
            pid = handshake();
        }
        if (pid == kStall)
            return -1;
        waits += pid == kNak;
        errors = pid == kNothing ? errors + 1 : 0;
        if (pid == kNak || pid == kNothing)
            continue;
        if (reads) {
            const size_t n = std::min(p.size(), length - done);
            std::copy_n(p.begin(), n, bytes + done);
            done += n;
            status = p.size() < 64 || done == length;
        } else {
            toggle = !toggle;
            done += std::min<size_t>(64, length - done);
            status = done == length;
        }
    }
    for (toggle = true;;) {
        if (errors == kErrors || waits++ == 20000)
            return -2;
        Packet p;
        int pid;
        if (reads) {
            frame(8);
            token(kOut, 0);
            data(true, setup, 0);
            pid = handshake();
        } else {
            pid = packet_in(0, toggle, p);
        }
        if (pid == kStall)
            return -1;
        errors = pid == kNothing ? errors + 1 : 0;
        if (pid != kNak && pid != kNothing)
            return (int)done;
    }
}

void UsbHost::cancel(UsbTransfer *t)
{
    auto &q = t->in ? in_ : out_;
    q.erase(std::remove(q.begin(), q.end(), t), q.end());
}

UsbTransfer *UsbHost::fail(UsbStatus status)
{
    auto &q = out_.empty() ? in_ : out_;
    if (q.empty())
        return nullptr;
    UsbTransfer *t = q.front();
    t->status = status;
    q.pop_front();
    return t;
}

/* Counts an answer, and what it means for the first transfer of a queue besides data; the transfer if it has ended. */
UsbTransfer *UsbHost::settle(std::deque<UsbTransfer *> &queue, int pid, unsigned &errors)
{
    UsbTransfer *t = queue.front();
    retries += pid == kNothing;
    errors = pid == kNothing ? errors + 1 : 0;
    naks += pid == kNak;
    if (pid == kStall) {
        t->status = UsbStatus::Stalled;
    } else if (errors == kErrors) {
        t->status = UsbStatus::Broken;
        errors = 0;
    }
    if (t->status == UsbStatus::Pending)
        return nullptr;
    queue.pop_front();
    return t;
}

UsbTransfer *UsbHost::step_in()
{
    UsbTransfer *t = in_.front();
    Packet p;
    const int pid = packet_in(1, toggle_in_, p);
    holds_off_ = p.size() < packet_size() ? kHoldOff : 1;
    if (pid == kData0 || pid == kData1) {
        const size_t n = std::min(p.size(), t->bytes.size() - t->done);
        std::copy_n(p.begin(), n, t->bytes.begin() + (ptrdiff_t)t->done);
        t->done += n;
        if (p.size() < packet_size() || t->done == t->bytes.size())
            t->status = UsbStatus::Done;
    }
    return settle(in_, pid, errors_in_);
}

UsbTransfer *UsbHost::step_out()
{
    UsbTransfer *t = out_.front();
    const size_t n = std::min(packet_size(), t->bytes.size() - t->done);
    const bool asks = ping_;
    frame(n);
    token(asks ? kPing : kOut, 1);
    if (!asks)
        data(toggle_out_, t->bytes.data() + t->done, n);
    const int pid = handshake();
    ping_ = high_ && (pid == kNak || pid == kNyet || pid == kNothing);
    if (!asks && (pid == kAck || pid == kNyet)) {
        toggle_out_ = !toggle_out_;
        t->done += n;
        if (t->done == t->bytes.size())
            t->status = UsbStatus::Done;
    }
    return settle(out_, pid, errors_out_);
}

UsbTransfer *UsbHost::step()
{
    if (!attached_) {
        now_ += kHigh.frame;
        return fail(UsbStatus::Gone);
    }
    if (in_.empty() && out_.empty()) {
        frame(0);
        wait(500);
        return nullptr;
    }
    if (out_.empty() || (!in_.empty() && holds_off_ == 0))
        return step_in();
    holds_off_ -= holds_off_ != 0;
    return step_out();
}
