/* tb_resident.cpp - streams stored in memory and fetched from it, against a copy: stalls, wrong contents, sessions that end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "sdram_chip.h"

#include "link/frame.h"

#include "Vresident.h"
#include "Vresident_sdram.h"

namespace
{

constexpr unsigned kBytes = 8192, kWords[3] = { 3, 1, 4 };

struct Completion {
    unsigned status, id;
};

/* The memory port's other side, as slow as it likes to be. */
class SlowMemory
{
  public:
    SlowMemory(tb::Dut<Vresident> &dut, tb::Job &job)
        : dut_(dut), accept_(job.stall()), take_(job.stall()), give_(job.stall()),
          words_(kBytes / 2)
    {
    }
    void drive()
    {
        dut_->mem_ready_i = to_.empty() && reads_.size() < 3 && !accept_.now();
        dut_->mem_take_i = !to_.empty() && !take_.now();
        dut_->mem_valid_i = !reads_.empty() && !give_.now();
        dut_->mem_data_i = reads_.empty() ? 0xDEAD : words_[reads_.front()];
    }
    void sample()
    {
        if (dut_->mem_take_i) {
            if (dut_->mem_strobe_o)
                words_[to_.front()] = dut_->mem_data_o;
            to_.pop_front();
        }
        if (dut_->mem_valid_i)
            reads_.pop_front();
        if (!dut_->mem_valid_o || !dut_->mem_ready_i)
            return;
        CHECK(dut_->mem_addr_o < kBytes / 16, "burst %u is not there", dut_->mem_addr_o);
        for (unsigned i = 0; i < 8; i++)
            (dut_->mem_write_o ? to_ : reads_).push_back(8 * dut_->mem_addr_o + i);
    }

  private:
    tb::Dut<Vresident> &dut_;
    tb::Stall accept_, take_, give_;
    std::vector<uint16_t> words_;
    std::deque<uint32_t> to_, reads_;
};

/* The SDRAM controller and a chip behind the port. */
class Sdram
{
  public:
    Sdram(tb::Dut<Vresident> &dut, tb::Job &job)
        : dut_(dut), control_(job), chip_(50000000, 5, 5, 2, times()), rng_(job.rng.next())
    {
        control_->valid_i = 0;
        control_.reset();
    }
    /* What the two give each other comes from registers. */
    void drive()
    {
        control_->valid_i = dut_->mem_valid_o;
        control_->write_i = dut_->mem_write_o;
        control_->addr_i = dut_->mem_addr_o;
        control_->data_i = dut_->mem_data_o;
        control_->strobe_i = dut_->mem_strobe_o;
        control_.drive();
        chip_.clock(SdramPins{ control_->cke_o != 0, control_->cs_n_o != 0, control_->ras_n_o != 0,
                               control_->cas_n_o != 0, control_->we_n_o != 0,
                               control_->dq_oe_o != 0, control_->ba_o, control_->a_o,
                               control_->dqm_o, control_->dq_o });
        CHECK(chip_.broken.empty(), "%s", chip_.broken.c_str());
        control_->dq_i = chip_.drives() ? chip_.data() : (uint16_t)rng_.next();
        dut_->mem_ready_i = control_->ready_o;
        dut_->mem_take_i = control_->take_o;
        dut_->mem_valid_i = control_->valid_o;
        dut_->mem_data_i = control_->data_o;
    }
    void sample()
    {
        control_.step();
        control_.alive();
    }

  private:
    tb::Dut<Vresident> &dut_;
    tb::Dut<Vresident_sdram> control_;
    SdramChip chip_;
    tb::Rng rng_;

    static SdramTimes times()
    {
        SdramTimes t;
        t.retain_ms = 1;
        t.power_us = 2;
        return t;
    }
};

template <class Memory> class Bench
{
  public:
    explicit Bench(tb::Job &job)
        : dut(job), rng(job.rng.next()), memory_(dut, job), stall_in_(job.stall()),
          stall_out_(job.stall()), copy(kBytes)
    {
        dut->session_rst_i = dut->cmd_valid_i = dut->cmd_ready_i = dut->busy_i = 0;
        dut->cpl_valid_i = dut->cpl_ready_i = dut->byte_valid_i = dut->ready_i = dut->bus_valid_i =
            0;
        dut->mem_ready_i = dut->mem_take_i = dut->mem_valid_i = 0;
        dut->bytes_i = kBytes;
        dut.reset();
        for (unsigned at = 0; at < kBytes; at += 1024)
            store(at, 1024, 0);
    }

    tb::Dut<Vresident> dut;
    tb::Rng rng;

  private:
    Memory memory_;
    tb::Stall stall_in_, stall_out_;

  public:
    std::vector<uint8_t> copy;
    std::deque<Completion> done;
    std::vector<uint8_t> got[3]; /* bytes of the streams */

    void cycle()
    {
        memory_.drive();
        dut->cpl_ready_i = !stall_out_.now();
        for (unsigned s = 0; s < 3; s++)
            dut->ready_i = (uint8_t)((dut->ready_i & ~(1u << s)) | (unsigned)!stall_out_.now()
                                                                       << s);
        dut.drive();
        CHECK((dut->valid_o & ~dut->pending_o) == 0, "a beat that is not pending");
        if (dut->cpl_valid_o && dut->cpl_ready_i)
            done.push_back({ dut->cpl_o >> 16, dut->cpl_o & 0xFFFF });
        for (unsigned s = 0; s < 3; s++)
            if (dut->valid_o >> s & dut->ready_i >> s & 1) {
                const auto *beat = s == 0   ? (const uint8_t *)&dut->w_o
                                   : s == 1 ? (const uint8_t *)&dut->h_o
                                            : (const uint8_t *)&dut->o_o;
                got[s].insert(got[s].end(), beat, beat + 2 * kWords[s]);
            }
        memory_.sample();
        dut.step();
        dut.alive();
        CHECK(++idle_ < 100000, "nothing has ended for 100000 cycles");
    }
    /* Offers a command until it is taken; false: given up after `most` cycles. */
    bool command(uint32_t op, unsigned stream, unsigned id, uint32_t at, uint32_t bytes,
                 uint32_t crc, unsigned most = 50000)
    {
        const uint32_t words[4] = { op | stream << 8 | id << 16, at, bytes, crc };
        bool taken = false;
        idle_ = 0;
        for (; most && !taken; most--) {
            dut->cmd_valid_i = !stall_in_.now();
            std::memcpy(&dut->cmd_i, words, sizeof words);
            dut.eval();
            taken = dut->cmd_valid_i && dut->cmd_ready_o;
            CHECK(!dut->cmd_valid_o, "the core was given a command that is not its own");
            cycle();
        }
        dut->cmd_valid_i = 0;
        return taken;
    }
    Completion completion()
    {
        idle_ = 0;
        while (done.empty())
            cycle();
        const Completion c = done.front();
        done.pop_front();
        return c;
    }
    /* Sends up to `most` of the bytes to be stored. */
    void send(uint32_t at, uint32_t bytes, uint32_t most)
    {
        for (uint32_t i = 0; i < bytes && i < most;) {
            dut->byte_valid_i = !stall_in_.now();
            dut->byte_i = copy[at + i];
            dut.eval();
            const bool taken = dut->store_o && dut->byte_valid_i && dut->byte_ready_o;
            cycle();
            i += taken;
        }
        dut->byte_valid_i = 0;
    }
    void store(uint32_t at, uint32_t bytes, unsigned id)
    {
        for (uint32_t i = 0; i < bytes; i++)
            copy[at + i] = (uint8_t)rng.next();
        CHECK(command(LINK_OP_STORE, 0, id, at, bytes, 0), "STORE is not taken");
        send(at, bytes, bytes);
        const Completion c = completion();
        CHECK(c.status == 0 && c.id == id, "STORE ended with %u of %u", c.status, c.id);
    }
    uint32_t bus(bool write, uint32_t word, uint32_t value)
    {
        dut->bus_valid_i = 1;
        dut->bus_write_i = write;
        dut->bus_addr_i = (uint16_t)word;
        dut->bus_data_i = value;
        bool over = false;
        idle_ = 0;
        for (unsigned i = 0; !over; i++) {
            CHECK(i < 1000, "register %u does not answer", word);
            cycle_with_bus(&over, &value);
        }
        dut->bus_valid_i = 0;
        cycle();
        return value;
    }
    /* A new session, or a reset that the memory knows nothing of: it goes on with what it was asked for. */
    void session(bool reset = false)
    {
        dut->session_rst_i = !reset;
        dut->rst_i = reset;
        cycle();
        dut->session_rst_i = dut->rst_i = 0;
        for (unsigned k = 0; reset && k < 400; k++)
            cycle();
        done.clear();
        for (auto &g : got)
            g.clear();
    }

  private:
    unsigned idle_ = 0;
    void cycle_with_bus(bool *over, uint32_t *value)
    {
        dut.eval();
        /* done may only depend on registers and the request: as in this cycle after drive() */
        *over = dut->bus_done_o;
        *value = dut->bus_data_o;
        cycle();
    }
};

/* A place for `unit` bytes times some number, within memory. */
void place(tb::Rng &rng, uint32_t unit, uint32_t *at, uint32_t *bytes)
{
    *bytes = unit * rng.range(1, 600 / unit);
    *at = 16 * rng.below((kBytes - *bytes) / 16 + 1);
}

template <class Memory> void run(tb::Job &job, bool breaks)
{
    Bench<Memory> b(job);
    unsigned fetched = 0;
    for (unsigned i = 0; i < 60; i++) {
        uint32_t at, bytes;
        const unsigned id = b.rng.below(65536), s = b.rng.below(3);
        switch (b.rng.below(4)) {
        case 0:
            place(b.rng, 16, &at, &bytes);
            b.store(at, bytes, id);
            break;
        case 1: { /* a word through the window */
            const uint32_t word = b.rng.below(kBytes / 4);
            uint32_t have;
            std::memcpy(&have, &b.copy[4 * word], 4);
            CHECK_EQ(b.bus(false, LINK_REG_MEM_WINDOW + word, 0), have, "word in the window");
            have = (uint32_t)b.rng.next();
            b.bus(true, LINK_REG_MEM_WINDOW + word, have);
            std::memcpy(&b.copy[4 * word], &have, 4);
            break;
        }
        case 2:
            if (!breaks)
                break;
            /* a session that ends in the middle of a STORE or of a FETCH */
            place(b.rng, 16, &at, &bytes);
            if (b.rng.one_in(2)) {
                CHECK(b.command(LINK_OP_STORE, 0, id, at, bytes, 0), "STORE is not taken");
                for (uint32_t k = 0; k < bytes; k++)
                    b.copy[at + k] = (uint8_t)b.rng.next();
                b.send(at, bytes, b.rng.below(bytes));
                b.session(b.rng.one_in(2));
                b.store(at, bytes, id);
            } else {
                place(b.rng, 2 * kWords[s], &at, &bytes);
                CHECK(b.command(LINK_OP_FETCH, LINK_STREAM_W + s, id, at, bytes, 0),
                      "FETCH is not taken");
                for (unsigned k = b.rng.below(60); k; k--)
                    b.cycle();
                b.session(b.rng.one_in(2));
            }
            break;
        default: {
            place(b.rng, 2 * kWords[s], &at, &bytes);
            CHECK(b.command(LINK_OP_FETCH, LINK_STREAM_W + s, id, at, bytes,
                            link_crc(0, &b.copy[at], bytes)),
                  "FETCH is not taken");
            while (b.got[s].size() < bytes)
                b.cycle();
            CHECK(std::memcmp(b.got[s].data(), &b.copy[at], bytes) == 0, "other bytes than stored");
            for (int k = 0; k < 8; k++)
                b.cycle();
            CHECK(b.done.empty(), "a completion nobody asked for");
            CHECK_EQ(b.got[s].size(), bytes, "bytes of the stream");
            b.got[s].clear();
            fetched++;
        }
        }
    }
    CHECK(fetched > 3, "hardly a fetch");
}

void wrong_contents(tb::Job &job)
{
    Bench<SlowMemory> b(job);
    const unsigned s = job.number % 3;
    uint32_t at, bytes;
    place(b.rng, 2 * kWords[s], &at, &bytes);
    const uint32_t crc = link_crc(0, &b.copy[at], bytes);
    /* one bit, in any word of them */
    const uint32_t word = (at + b.rng.below(bytes)) / 4;
    const uint32_t first = 4 * word < at ? at - 4 * word : 0, last = at + bytes - 4 * word;
    const uint32_t byte = b.rng.range(first, (last < 4 ? last : 4) - 1);
    const uint32_t have = b.bus(false, LINK_REG_MEM_WINDOW + word, 0);
    b.bus(true, LINK_REG_MEM_WINDOW + word, have ^ 1u << (8 * byte + b.rng.below(8)));
    CHECK(b.command(LINK_OP_FETCH, LINK_STREAM_W + s, 77, at, bytes, crc), "FETCH is not taken");
    const Completion c = b.completion();
    CHECK(c.status == LINK_STATUS_MEMORY && c.id == 77, "ended with %u of %u", c.status, c.id);
    b.dut->cpl_valid_i = 1; /* and what the core made of it */
    b.dut->cpl_i = 77;
    const Completion core = b.completion();
    b.dut->cpl_valid_i = 0;
    CHECK_EQ(core.status, LINK_STATUS_MEMORY, "status of the core's completion");
    CHECK_EQ(b.bus(false, LINK_REG_MEM_STATE, 0) >> 16, 1, "wrong CRCs");
    b.session();
    b.store(0, kBytes / 2, 78);
}

void ended_too_early(tb::Job &job)
{
    Bench<SlowMemory> b(job);
    CHECK(b.command(LINK_OP_FETCH, LINK_STREAM_H, 5, 0, 4096, link_crc(0, &b.copy[0], 4096)),
          "FETCH is not taken");
    b.dut->cpl_valid_i = 1;
    b.dut->cpl_i = 5;
    const Completion c = b.completion();
    b.dut->cpl_valid_i = 0;
    CHECK_EQ(c.status, LINK_STATUS_MEMORY, "status");
}

void illegal(tb::Job &job)
{
    Bench<SlowMemory> b(job);
    static const struct {
        uint32_t op, stream, at, bytes;
    } bad[] = {
        { LINK_OP_STORE, 0, 8, 16 },
        { LINK_OP_STORE, 0, 0, 24 },
        { LINK_OP_STORE, 0, 0, 0 },
        { LINK_OP_STORE, 0, kBytes - 16, 32 },
        { LINK_OP_STORE, 0, 0xFFFFFFF0u, 32 },
        { LINK_OP_FETCH, 2, kBytes, 2 },
        { LINK_OP_FETCH, 2, 0, 7 },
        { LINK_OP_FETCH, 1, 0, 16 },
        { LINK_OP_FETCH, 5, 0, 16 },
        { LINK_OP_FETCH, 3, 16, 0xFFFFFFFEu },
    };
    for (const auto &c : bad) {
        CHECK(b.command(c.op, c.stream, 9, c.at, c.bytes, 0), "not taken");
        const Completion got = b.completion();
        CHECK(got.status == LINK_STATUS_ILLEGAL && got.id == 9, "%u, %u bytes at %u: %u of %u",
              c.op, c.bytes, c.at, got.status, got.id);
        CHECK(!b.dut->store_o && !b.dut->pending_o, "it was begun all the same");
    }
    b.store(0, 64, 1);
    b.dut->busy_i = 1;
    CHECK(!b.command(LINK_OP_STORE, 0, 9, 0, 16, 0, 200), "taken while the core computes");
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner r(argc, argv);
    r.test("what was stored comes back in beats and through the window", 24,
           [](tb::Job &job) { run<SlowMemory>(job, false); });
    r.test("a session may end in the middle of a store or a fetch", 24,
           [](tb::Job &job) { run<SlowMemory>(job, true); });
    r.test("in an SDRAM what was stored comes back, whatever session ends", 12,
           [](tb::Job &job) { run<Sdram>(job, true); });
    r.test("one wrong bit in memory is told by the completions", 24, wrong_contents);
    r.test("a job that ends before all was fetched is told", 4, ended_too_early);
    r.test("a command that makes no sense is refused and nothing is begun", 4, illegal);
    return r.finish();
}
