/* usb.cpp - the usb: backend and the real libusb on the simulated board: usbfs is umockdev's, and what is submitted to it
 * goes to the host model at the device's pins.
 * SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"
#include "mock_usbfs.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <list>
#include <string>
#include <thread>

namespace
{

constexpr char kNode[] = "/dev/bus/usb/001/002", kSysfs[] = "/sys/devices/usb1/1-1";
constexpr uint32_t kSettles = 20; /* ms: umockdev lets go of a device file on a thread of its own */
constexpr int kSteps = 16;        /* of the bus, before others may have the lock */

int error_of(UsbStatus s)
{
    switch (s) {
    case UsbStatus::Done: return 0;
    case UsbStatus::Stalled: return -EPIPE;
    case UsbStatus::Gone: return -ESHUTDOWN;
    default: return -EPROTO;
    }
}

/* Turns the model while there is something to do. */
class Port
{
  public:
    explicit Port(UMockdevTestbed *bed) : bed_(bed) {}
    ~Port() { remove(); }

    const char *plug_in()
    {
        remove();
        const char *wrong = board.plug_in();
        if (*wrong)
            return wrong;
        const std::string text = describe();
        if (text.empty())
            return "its descriptors cannot be read";
        mock_device d = {};
        d.submit = [](void *self, mock_urb *u) {
            static_cast<Port *>(self)->submit(u);
            return 0;
        };
        d.cancel = [](void *self, mock_urb *u) { static_cast<Port *>(self)->cancel(u); };
        d.clear_halt = [](void *self, uint8_t e) {
            static_cast<Port *>(self)->board.host.clear_halt(e & 0x80);
            return 0;
        };
        d.reset = [](void *self) {
            return *static_cast<Port *>(self)->board.host.enumerate() ? ENODEV : 0;
        };
        d.gone = [](void *self) { return !static_cast<Port *>(self)->board.plugged_in(); };
        d.user = this;
        usbfs = mock_plug_in(bed_, kNode, kSysfs, text.c_str(), &d);
        if (!usbfs)
            return "umockdev refuses it";
        stop_ = false;
        thread_ = std::thread([this] { turn(); });
        return "";
    }

    /* The cable is pulled; programs notice by what they submitted. */
    void pull()
    {
        mock_lock(usbfs);
        board.unplug();
        mock_unlock(usbfs);
    }

    void remove()
    {
        if (!usbfs)
            return;
        stop_ = true;
        thread_.join();
        mock_remove(usbfs);
        usbfs = nullptr;
    }

    template <class F> auto locked(F f)
    {
        if (!usbfs)
            return f();
        mock_lock(usbfs);
        auto v = f();
        mock_unlock(usbfs);
        return v;
    }

    UsbBoard board{ kMemory };

  private:
    struct Urb {
        UsbTransfer transfer;
        mock_urb *urb;
    };
    UMockdevTestbed *bed_;
    mock_usbfs *usbfs = nullptr;
    std::thread thread_;
    std::atomic<bool> stop_{ false };
    std::list<Urb> urbs_;

    /* The device's own descriptors, for sysfs. */
    std::string describe()
    {
        uint8_t device[18], configuration[64];
        const int n = board.host.control(0x80, 6, 0x0100, 0, device, sizeof device);
        const int m = board.host.control(0x80, 6, 0x0200, 0, configuration, sizeof configuration);
        if (n != (int)sizeof device || m < 9)
            return "";
        std::string hex;
        char two[3];
        for (int i = 0; i < n + m; i++) {
            std::snprintf(two, sizeof two, "%02x", i < n ? device[i] : configuration[i - n]);
            hex += two;
        }
        return std::string("P: /devices/usb1/1-1\nN: bus/usb/001/002\nE: SUBSYSTEM=usb\n"
                           "E: DEVTYPE=usb_device\nE: BUSNUM=001\nE: DEVNUM=002\nE: DEVNAME=") +
               kNode + "\nA: busnum=1\\n\nA: devnum=2\\n\nA: bConfigurationValue=1\\n\nA: speed=" +
               (board.host.high() ? "480" : "12") + "\\n\nH: descriptors=" + hex + "\n";
    }

    void submit(mock_urb *u)
    {
        if (u->control) {
            control(u);
            return;
        }
        urbs_.emplace_back();
        Urb &urb = urbs_.back();
        urb.urb = u;
        u->user = &urb;
        UsbTransfer &t = urb.transfer;
        t.in = u->endpoint & 0x80;
        t.user = &urb;
        if (t.in)
            t.bytes.resize(u->length);
        else
            t.bytes.assign(u->bytes, u->bytes + u->length);
        board.submit(&t);
    }

    void control(mock_urb *u)
    {
        const uint8_t *s = u->bytes;
        const int n = board.host.control(s[0], s[1], (uint16_t)(s[2] | s[3] << 8),
                                         (uint16_t)(s[4] | s[5] << 8), u->bytes + 8,
                                         (uint16_t)(s[6] | s[7] << 8));
        const int status = n >= 0               ? 0
                           : n == -1            ? -EPIPE
                           : board.plugged_in() ? -EPROTO
                                                : -ESHUTDOWN;
        mock_end(usbfs, u, status, n >= 0 ? (size_t)n : 0);
    }

    void forget(Urb *urb)
    {
        urbs_.remove_if([&](const Urb &other) { return &other == urb; });
    }

    void cancel(mock_urb *u)
    {
        Urb *urb = static_cast<Urb *>(u->user);
        board.host.cancel(&urb->transfer);
        forget(urb);
    }

    void end(UsbTransfer *t)
    {
        Urb *urb = static_cast<Urb *>(t->user);
        if (t->in)
            std::copy_n(t->bytes.begin(), t->done, urb->urb->bytes);
        mock_end(usbfs, urb->urb, error_of(t->status), t->done);
        forget(urb);
    }

    bool idle() { return board.plugged_in() ? board.quiet() : urbs_.empty(); }

    void turn()
    {
        while (!stop_) {
            mock_lock(usbfs);
            for (int i = 0; i < kSteps && !idle(); i++)
                if (UsbTransfer *t = board.step())
                    end(t);
            const bool rests = idle();
            mock_unlock(usbfs);
            if (rests)
                std::this_thread::sleep_for(std::chrono::microseconds(200));
            while (mock_wanted(usbfs))
                std::this_thread::yield();
        }
    }
};

class Usb : public Path
{
  public:
    explicit Usb(UMockdevTestbed *bed) : port_(bed) {}
    ~Usb() override { Usb::close(); }

    int open(accel_error *err) override { return accel_open("usb:", nullptr, &dev_, err); }
    int reopen(accel_error *err) override { return accel_reopen(dev_, err); }
    int run(FaultJob &k, accel_error *err) override
    {
        accel_weights *w = nullptr;
        int rc = accel_load(dev_, k.mat.get(), &w, err);
        if (!rc) {
            accel_job job = {};
            job.weights = w;
            job.x = k.x.data();
            job.n = k.n;
            job.x_stride = k.cols;
            job.out = ACCEL_OUT_ACC;
            job.y = k.got.data();
            job.y_stride = k.rows;
            job.deadline_ns = k.deadline_ns;
            rc = accel_run(dev_, &job, nullptr, err);
        }
        accel_unload(w);
        return rc;
    }
    void close() override
    {
        accel_close(dev_);
        dev_ = nullptr;
    }

    const char *follow(const fault_plan &plan) override
    {
        return port_.locked([&] { return port_.board.follow(plan); });
    }
    bool plugged_in() override
    {
        return port_.locked([&] { return port_.board.plugged_in(); });
    }
    uint32_t replug_ms() override
    {
        return port_.locked([&] { return port_.board.replug_ms(); });
    }
    unsigned struck() override
    {
        return port_.locked([&] { return port_.board.struck(); });
    }
    const char *plug_in(uint32_t ms) override
    {
        port_.remove();
        std::this_thread::sleep_for(std::chrono::milliseconds(std::max(ms, kSettles)));
        return port_.plug_in();
    }
    void unplug() override { port_.pull(); }
    uint64_t now_ns() override
    {
        return (uint64_t)std::chrono::duration_cast<std::chrono::nanoseconds>(
                   std::chrono::steady_clock::now().time_since_epoch())
            .count();
    }

  private:
    Port port_;
    accel_dev *dev_ = nullptr;
};

} // namespace

std::unique_ptr<Path> usb_path()
{
    /* one for all: umockdev remembers what it was asked first */
    static UMockdevTestbed *const bed = umockdev_testbed_new();
    return std::make_unique<Usb>(bed);
}
