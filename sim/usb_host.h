/* usb_host.h - a USB host in software at the pins of a UTMI transceiver of 60 MHz: packets, bus time, faults.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Everything takes the time that it takes on the bus, stuffed bits included; each cycle is one call of the clock. */
#ifndef ACCEL_USB_HOST_H
#define ACCEL_USB_HOST_H

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

struct UtmiPins {
    uint8_t &line_state, &rx_active, &rx_valid, &rx_error, &rx_data, &tx_ready;
    const uint8_t &tx_valid, &tx_data, &term_select, &op_mode;
};

enum class UsbStatus { Pending, Done, Stalled, Broken, Gone };

/* One bulk transfer. An IN transfer ends when its buffer is full or with a short packet. */
struct UsbTransfer {
    bool in = false;
    std::vector<uint8_t> bytes; /* to send, or room for what comes */
    size_t done = 0;
    UsbStatus status = UsbStatus::Pending;
    void *user = nullptr;
};

class UsbHost
{
  public:
    using Packet = std::vector<uint8_t>;
    UsbHost(const UtmiPins &pins, std::function<void()> clock) : pins_(pins), clock_(clock) {}

    /* Called with every packet but SOF on its way, PID and CRC included, and with an empty one where the device does not
     * answer; false: it is lost. */
    std::function<bool(Packet &, bool to_host)> cable;
    /* Makes the CRC of a data packet right again. */
    static void seal(Packet &p);

    /* @return whether the device speaks high speed */
    bool bus_reset();
    /* Reset, address, configuration 1: what an operating system does. @return what is wrong, "" if nothing */
    const char *enumerate();
    /* @return bytes of the data stage, -1: stalled, -2: no sense after three tries */
    int control(uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint8_t *bytes,
                uint16_t length);
    void clear_halt(bool in);
    /* Nothing crosses the cable until attach(), after which the device has to be enumerated. */
    void detach() { attached_ = false; }
    void attach() { attached_ = true; }
    bool attached() const { return attached_; }
    /* Lets time pass in which nothing happens, at no cost. */
    void skip(uint64_t cycles) { now_ += cycles; }

    void submit(UsbTransfer *t) { (t->in ? in_ : out_).push_back(t); }
    void cancel(UsbTransfer *t);
    /* Ends the first transfer in a queue that way. @return it, or nullptr */
    UsbTransfer *fail(UsbStatus status);
    bool sends() const { return !out_.empty(); }
    size_t queued() const { return in_.size() + out_.size(); }
    /* One transaction of one of the transfers, or some idle time. @return a transfer that has ended, or nullptr */
    UsbTransfer *step();

    bool high() const { return high_; }
    uint64_t now() const { return now_; } /* cycles */
    uint64_t naks = 0, retries = 0, repeated = 0;

    virtual ~UsbHost() = default;

  protected:
    UtmiPins pins_;
    void wait(unsigned cycles);
    void idle();
    virtual void send(Packet p);
    virtual Packet receive();

  private:
    std::function<void()> clock_;
    uint64_t now_ = 0, next_sof_ = 0;
    unsigned frame_ = 0, sub_ = 0, stuffed_ = 0, holds_off_ = 0;
    bool high_ = false, ping_ = false, attached_ = true;
    uint8_t address_ = 0;
    bool toggle_in_ = false, toggle_out_ = false;
    unsigned errors_in_ = 0, errors_out_ = 0;
    std::deque<UsbTransfer *> in_, out_;

    size_t packet_size() const { return high_ ? 512 : 64; }
    int transfer(uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint8_t *bytes,
                 uint16_t length);
    void token(uint8_t pid, uint8_t endpoint);
    void data(bool toggle, const uint8_t *bytes, size_t count);
    void frame(size_t bytes);
    unsigned stuffing(uint8_t byte);
    int handshake();
    UsbTransfer *settle(std::deque<UsbTransfer *> &queue, int pid, unsigned &errors);
    UsbTransfer *step_in();
    UsbTransfer *step_out();
    int packet_in(uint8_t endpoint, bool &toggle, Packet &p);
};

#endif
