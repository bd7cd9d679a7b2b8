/* usb_board.h - the Verilated core, link and USB device at a host in software, with a cable that does what a fault plan says.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_USB_BOARD_H
#define ACCEL_USB_BOARD_H

#include "fault_plan.h"
#include "plain_memory.h"
#include "usb_host.h"

#include "Vusb_board.h"
#include "verilated.h"

class UsbBoard
{
  public:
    static constexpr uint64_t kHz = 60000000;

    explicit UsbBoard(uint32_t memory = 0); /* bytes of it; not plugged in */

    /* From now on this goes wrong: packets and bytes are counted from 1. @return what cannot be done here, "" if nothing */
    const char *follow(const fault_plan &plan);
    /* Power, reset, enumeration. @return what is wrong, "" if nothing */
    const char *plug_in();
    void unplug();
    bool plugged_in() const { return host.attached(); }
    /* After the plan unplugged it: for how long; 0: for good. */
    uint32_t replug_ms() const { return replug_ms_; }

    /* How many of the plan's faults have happened. */
    unsigned struck() const { return struck_; }

    void submit(UsbTransfer *t);
    /* One step of the bus, and of the plan. @return a transfer that has ended, or nullptr */
    UsbTransfer *step();
    /* Nothing will happen before the host sends again. */
    bool quiet() const;
    /* Not even if it works on something by itself. */
    bool asleep() const { return quiet() && !top_.busy_o && !top_.awake_o; }

  private:
    static constexpr uint64_t kSettled = 3000, kStarved = 20000; /* cycles without a packet */

    VerilatedContext context_;
    Vusb_board top_{ &context_ };
    PlainMemory memory_;

  public:
    UsbHost host;

  private:
    fault_plan plan_ = {};
    uint64_t packets_ = 0, bytes_ = 0, last_ = 0; /* counts; when the last packet passed */
    uint64_t hang_at_ = UINT64_MAX;               /* cycle at which the firmware hangs */
    uint64_t nak_until_ = 0;
    bool bulk_ = false;     /* the transaction is one of a bulk endpoint */
    bool lose_ack_ = false; /* of the data that has just passed */
    bool say_nak_ = false;  /* in place of the device, which got nothing */
    bool silent_ = false;   /* nothing passes any more */
    bool pull_ = false, reset_ = false, stall_in_ = false, stall_out_ = false; /* after this step */
    unsigned struck_ = 0;
    uint32_t replug_ms_ = 0;
    size_t broken_ = 0; /* transfers that a reset has ended */

    void clock();
    bool has_processor();
    void hang();
    bool pass(UsbHost::Packet &p, bool to_host);
    bool pass_data(UsbHost::Packet &p, bool to_host);
    void act();
};

#endif
