/* sdram_chip.h - an SDR SDRAM of 16 bits as its data sheet describes it: keeps data, and notices every rule that is broken.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SIM_SDRAM_CHIP_H
#define ACCEL_SIM_SDRAM_CHIP_H

#include <cstdint>
#include <string>
#include <vector>

struct SdramTimes { /* nanoseconds */
    unsigned rcd = 18, rp = 18, ras = 42, rc = 60, rrd = 12, wr = 14, rfc = 60;
    unsigned retain_ms = 64, power_us = 200;
};

struct SdramPins {
    bool cke, cs_n, ras_n, cas_n, we_n, driven; /* driven: the controller drives dq */
    unsigned ba, a, dqm, dq;
};

/* What is wrong with a chip, or with its soldering. */
struct SdramFault {
    unsigned low = 0;     /* data lines that read 0 */
    unsigned shorted = 0; /* address pins joined: high only if all of them are driven high */
    unsigned swapped = 0; /* two address pins, each taken for the other one when a column is read */
    size_t cell = ~(size_t)0; /* a word of which these bits are kept as 0 */
    unsigned weak = 0;
};

class SdramChip
{
  public:
    SdramChip(uint64_t hz, unsigned row_bits, unsigned col_bits, unsigned cas, const SdramTimes &t)
        : hz_(hz), row_bits_(row_bits), col_bits_(col_bits), cas_(cas), t_(t),
          cells_((size_t)4 << (row_bits + col_bits)), fresh_((size_t)1 << row_bits)
    {
    }

    std::string broken; /* the first rule that was; empty: none */
    uint64_t opened = 0, refreshed = 0;
    SdramFault fault;

    /* A rising edge of its clock. */
    void clock(const SdramPins &driven)
    {
        SdramPins p = driven;
        if ((p.a & fault.shorted) != fault.shorted)
            p.a &= ~fault.shorted;
        now_++;
        if (!p.cke || p.cs_n)
            rule(now_ <= cycles(t_.power_us * 1000), "deselected");
        else
            command(p);
        if (writing_ >= 0)
            take(p);
        rule(!p.driven || !drives(now_), "both sides drive the data");
        rule(!p.driven || writing_ >= 0 || wrote_now_, "data driven without a write");
        wrote_now_ = false;
        if (ready_) {
            const size_t row = (refreshed_ + 1) % fresh_.size(); /* the one waited for longest */
            rule(now_ - fresh_[row] <= retention(), "a row was not refreshed in time");
        }
    }
    /* Whether and what it drives until the next edge. */
    bool drives() const { return drives(now_ + 1); }
    uint16_t data() const
    {
        const Burst &r = read_[0].drives(now_ + 1) ? read_[0] : read_[1];
        const size_t at = r.at + (now_ + 1 - r.first);
        return (uint16_t)(cells_[at] & ~fault.low & ~(at == fault.cell ? fault.weak : 0));
    }

  private:
    enum Kind { kMode, kClear, kClose, kOpen, kWrite, kRead, kStop, kNothing };
    struct Bank {
        bool open = false;
        unsigned row = 0;
        uint64_t opened = 0, closed = 0, wrote = 0;
    };

    struct Burst {
        uint64_t first = 0; /* edge at which its first word is there; 0: none yet */
        size_t at = 0;
        bool drives(uint64_t now) const { return first && now >= first && now < first + 8; }
    };

    uint64_t hz_;
    unsigned row_bits_, col_bits_, cas_;
    SdramTimes t_;
    std::vector<uint16_t> cells_;
    std::vector<uint64_t> fresh_; /* when each row was refreshed */
    size_t refreshed_ = 0;        /* the row that was last */
    Bank bank_[4];
    uint64_t now_ = 0, cleared_ = 0, opened_ = 0, set_ = 0, burst_ = 0;
    Burst read_[2]; /* the last one, and that before, which may still be on its way */
    size_t write_at_ = 0;
    int writing_ = -1; /* word of the burst that comes next */
    unsigned burst_bank_ = 0, clears_ = 0;
    bool wrote_now_ = false, all_closed_ = false, ready_ = false;

    uint64_t cycles(uint64_t ns) const { return (ns * hz_ + 999999999) / 1000000000; }
    uint64_t retention() const { return t_.retain_ms * hz_ / 1000; }
    bool drives(uint64_t at) const { return read_[0].drives(at) || read_[1].drives(at); }
    void rule(bool kept, const char *what)
    {
        if (!kept && broken.empty())
            broken = std::string(what) + " at cycle " + std::to_string(now_);
    }
    void after(uint64_t since, uint64_t ns, const char *what)
    {
        rule(!since || now_ - since >= cycles(ns), what);
    }

    void command(const SdramPins &p)
    {
        const Kind k = (Kind)(p.ras_n << 2 | p.cas_n << 1 | p.we_n);
        if (k == kNothing)
            return;
        rule(now_ > cycles(t_.power_us * 1000), "a command before the supply is stable");
        rule(!set_ || now_ - set_ >= 2, "a command behind that of the mode");
        after(cleared_, t_.rfc, "a command while rows are refreshed");
        rule(ready_ || k == kClose || k == kClear || k == kMode, "used before its mode was set");
        switch (k) {
        case kOpen: open(p); break;
        case kRead:
        case kWrite: access(p, k == kRead); break;
        case kClose:
            for (unsigned b = 0; b < 4; b++)
                if (b == p.ba || p.a >> 10 & 1)
                    close(b);
            all_closed_ = all_closed_ || p.a >> 10 & 1;
            break;
        case kClear: clear(); break;
        case kMode:
            idle("the mode set");
            rule(all_closed_ && clears_ >= 8, "the mode set before eight refreshes");
            rule(p.ba == 0 && p.a == (cas_ << 4 | 3), "another mode than bursts of eight in order");
            set_ = now_;
            ready_ = true;
            for (uint64_t &f : fresh_)
                f = now_;
            break;
        default: rule(false, "a burst stopped");
        }
    }
    void idle(const char *)
    {
        for (const Bank &b : bank_) {
            rule(!b.open, "rows refreshed or the mode set while one is open");
            after(b.closed, t_.rp, "tRP before a refresh");
        }
    }
    void clear()
    {
        idle("refresh");
        cleared_ = now_;
        clears_++;
        refreshed++;
        refreshed_ = (refreshed_ + 1) % fresh_.size();
        fresh_[refreshed_] = now_;
    }
    void open(const SdramPins &p)
    {
        Bank &b = bank_[p.ba];
        rule(!b.open, "a row opened in a bank that has one open");
        rule(p.a >> row_bits_ == 0, "a row that is not there");
        after(b.closed, t_.rp, "tRP");
        after(b.opened, t_.rc, "tRC");
        after(opened_, t_.rrd, "tRRD");
        b.open = true;
        b.row = p.a;
        b.opened = opened_ = now_;
        opened++;
    }
    void close(unsigned n)
    {
        Bank &b = bank_[n];
        if (!b.open)
            return;
        after(b.opened, t_.ras, "tRAS");
        after(b.wrote, t_.wr, "tWR");
        rule(n != burst_bank_ || !burst_ || now_ - burst_ >= 8,
             "a row closed in the middle of a burst");
        b.open = false;
        b.closed = now_;
    }
    void access(const SdramPins &p, bool read)
    {
        Bank &b = bank_[p.ba];
        rule(b.open, "a bank read or written that has no open row");
        after(b.opened, t_.rcd, "tRCD");
        rule(!burst_ || now_ - burst_ >= 8, "a burst cut short");
        rule((p.a >> 10 & 1) == 0, "a row closed by itself");
        rule((p.a & 7) == 0 && p.a >> col_bits_ == 0, "a column that is not there");
        const bool differ = (p.a & fault.swapped) != 0 && (p.a & fault.swapped) != fault.swapped;
        const size_t at = ((size_t)p.ba << (row_bits_ + col_bits_)) | (size_t)b.row << col_bits_ |
                          (read && differ ? p.a ^ fault.swapped : p.a);
        burst_ = now_;
        burst_bank_ = p.ba;
        if (read) {
            read_[1] = read_[0];
            read_[0] = { now_ + cas_, at };
            return;
        }
        /* a cycle between is the chip's to let the bus go */
        rule(!drives(now_) && !drives(now_ - 1), "a write while the chip drives the data");
        writing_ = 0;
        write_at_ = at;
    }
    void take(const SdramPins &p)
    {
        rule(p.driven, "no data for a write");
        uint16_t &cell = cells_[write_at_ + (size_t)writing_];
        const unsigned keep = (p.dqm & 1 ? 0xFFu : 0) | (p.dqm & 2 ? 0xFF00u : 0);
        cell = (uint16_t)((cell & keep) | (p.dq & ~keep));
        bank_[burst_bank_].wrote = now_;
        wrote_now_ = true;
        if (++writing_ == 8)
            writing_ = -1;
    }
};

#endif
