/* direct.cpp - the library's link on the simulated host: no operating system between them, and all in the device's time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"

extern "C" {
#include "link/remote.h"
}

#include <algorithm>
#include <cstring>

namespace
{

constexpr uint64_t kMillisecond = 1000000; /* ns */
constexpr size_t kTransfers = 4, kBytes = 16384;
constexpr unsigned kManyErrors = 100;

uint64_t ns_of(uint64_t cycles)
{
    return cycles * 1000 / (UsbBoard::kHz / 1000000);
}

class Direct : public Path
{
  public:
    Direct()
    {
        for (UsbTransfer &t : in_)
            t.in = true;
        dev_.priv = &remote_;
    }
    ~Direct() override { Direct::close(); }
    void close() override
    {
        remote_close(remote_);
        remote_ = nullptr;
    }

    int open(accel_error *err) override
    {
        carrier c = {};
        c.name = "board";
        c.move = [](void *self, const uint8_t *out, size_t count, size_t *written, uint8_t *in,
                    size_t room, size_t *got, uint64_t wait_ns, accel_error *e) {
            return static_cast<Direct *>(self)->move(out, count, written, in, room, got, wait_ns,
                                                     e);
        };
        c.now = [](void *self) { return static_cast<Direct *>(self)->now_ns(); };
        c.priv = this;
        c.timing = { 50 * kMillisecond, 5000 * kMillisecond };
        c.longest = LINK_MAX_PAYLOAD;
        c.when_silent = "plug it in again";
        begin();
        return remote_open(&dev_, &c, "", &remote_, err);
    }

    int reopen(accel_error *err) override
    {
        if (!board_.plugged_in())
            return accel_fail(err, ACCEL_E_IO, "board: not plugged in");
        begin();
        return remote_reopen(remote_, err);
    }

    int run(FaultJob &k, accel_error *err) override
    {
        accel_weights w = {};
        w.rows = k.rows;
        w.cols = k.cols;
        w.group = k.mat->group;
        int rc = remote_load(&dev_, k.mat.get(), &w, err);
        if (!rc) {
            backend_job job = {};
            accel_stats stats = {};
            job.weights = &w;
            job.x = k.x.data();
            job.n = k.n;
            job.x_stride = k.cols;
            job.acc = k.got.data();
            job.deadline_ns = k.deadline_ns;
            rc = remote_run(&dev_, &job, &stats, err);
        }
        if (w.free_priv)
            w.free_priv(w.priv);
        return rc;
    }

    const char *follow(const fault_plan &plan) override { return board_.follow(plan); }
    bool plugged_in() override { return board_.plugged_in(); }
    uint32_t replug_ms() override { return board_.replug_ms(); }
    void unplug() override { board_.unplug(); }
    unsigned struck() override { return board_.struck(); }
    uint64_t now_ns() override { return ns_of(board_.host.now()); }
    const char *plug_in(uint32_t ms) override
    {
        board_.host.skip(ms * (UsbBoard::kHz / 1000));
        return board_.plug_in();
    }

  private:
    UsbBoard board_{ kMemory };
    remote *remote_ = nullptr;
    accel_dev dev_ = {};
    UsbTransfer in_[kTransfers], out_[kTransfers];
    size_t next_in_ = 0,
           taken_ = 0; /* the transfer whose bytes come next, and how many were taken */
    unsigned errors_ = 0;

    void ask(UsbTransfer &t)
    {
        t.bytes.resize(kBytes);
        t.done = 0;
        t.status = UsbStatus::Pending;
        board_.submit(&t);
    }

    void begin()
    {
        next_in_ = taken_ = errors_ = 0;
        for (UsbTransfer &t : out_) {
            board_.host.cancel(&t);
            t.status = UsbStatus::Done;
        }
        for (UsbTransfer &t : in_) {
            board_.host.cancel(&t);
            ask(t);
        }
    }

    size_t take(uint8_t *in, size_t room)
    {
        size_t count = 0;
        while (count < room && in_[next_in_].status != UsbStatus::Pending) {
            UsbTransfer &t = in_[next_in_];
            const size_t n = std::min(t.done - taken_, room - count);
            std::copy_n(t.bytes.begin() + (ptrdiff_t)taken_, n, in + count);
            taken_ += n;
            count += n;
            if (taken_ < t.done)
                break;
            taken_ = 0;
            next_in_ = (next_in_ + 1) % kTransfers;
            ask(t);
        }
        return count;
    }

    size_t give(const uint8_t *out, size_t count)
    {
        for (UsbTransfer &t : out_)
            if (count && t.status != UsbStatus::Pending) {
                t.bytes.assign(out, out + std::min(count, kBytes));
                t.done = 0;
                t.status = UsbStatus::Pending;
                board_.submit(&t);
                return t.bytes.size();
            }
        return 0;
    }

    int move(const uint8_t *out, size_t count, size_t *written, uint8_t *in, size_t room,
             size_t *got, uint64_t wait_ns, accel_error *err)
    {
        const uint64_t until = now_ns() + (wait_ns ? wait_ns : 1);
        *got = take(in, room);
        *written = give(out, count);
        while (!*got && now_ns() < until) {
            if (board_.quiet()) { /* so will it be until then */
                board_.host.skip((until - now_ns()) * (UsbBoard::kHz / 1000000) / 1000 + 1);
                break;
            }
            const UsbTransfer *t = board_.step();
            if (!t)
                continue;
            errors_ = t->status == UsbStatus::Broken ? errors_ + 1 : 0;
            if (t->status == UsbStatus::Stalled)
                board_.host.clear_halt(t->in);
            if (t->status == UsbStatus::Gone)
                return accel_fail(err, ACCEL_E_GONE,
                                  "board: the device is gone: was it unplugged?");
            if (errors_ > kManyErrors)
                return accel_fail(err, ACCEL_E_IO, "board: transfers fail");
            if (!t->in)
                break; /* room for more */
            *got = take(in, room);
        }
        return board_.plugged_in()
                   ? ACCEL_OK
                   : accel_fail(err, ACCEL_E_GONE, "board: the device is gone: was it unplugged?");
    }
};

} // namespace

std::unique_ptr<Path> direct_path()
{
    return std::make_unique<Direct>();
}
