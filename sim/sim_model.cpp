/* sim_model.cpp - drives one Verilated core; compiled once a model with MODEL and SHAPE defined.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The core's ready and valid outputs depend on registers alone (docs/core.md), so they are read after the
 * rising edge and hold for the whole cycle: two evaluations a cycle, none to let things settle. */
#include "sim_core.h"

#include "verilated.h"
#include "verilated_fst_c.h"

#include <cstdio>
#include <cstring>
#include <memory>

#define STR2(x)    #x
#define STR(x)     STR2(x)
#define CAT2(a, b) a##b
#define CAT(a, b)  CAT2(a, b)
#include STR(MODEL.h)

namespace
{

/* No handshake for this many cycles while a job runs: the longest honest silence is a chunk's worth of beats
 * for all columns, far below. */
constexpr uint64_t kHungCycles = 1000000;

class Core : public SimCore
{
  public:
    Core() : context_(new VerilatedContext), top_(new MODEL(context_.get()))
    {
        context_->traceEverOn(true);
        top_->clk_i = 0;
        reset();
    }
    ~Core() override
    {
        if (fst_)
            fst_->close();
        top_->final();
    }

    void reset() override
    {
        top_->cmd_valid_i = top_->x_valid_i = top_->w_valid_i = top_->h_valid_i = top_->o_valid_i =
            0;
        top_->cpl_ready_i = top_->r_ready_i = 1;
        top_->rst_i = 1;
        for (int i = 0; i < 2; i++)
            cycle();
        top_->rst_i = 0;
        cycle();
    }

    uint32_t reg(unsigned addr) override
    {
        top_->reg_addr_i = addr & 63;
        top_->eval();
        return top_->reg_data_o;
    }

    bool trace(const char *path) override
    {
        FILE *probe = std::fopen(path, "wb"); /* the FST writer has no way to report this */
        if (!probe)
            return false;
        std::fclose(probe);
        fst_.reset(new VerilatedFstC);
        top_->trace(fst_.get(), 99);
        fst_->open(path);
        return fst_->isOpen();
    }

    SimOutcome run(const SimJob &job) override
    {
        const uint32_t units = SCALE_UNITS, slices = ROWS / SCALE_UNITS;
        if (job.code_bytes > sizeof top_->w_i)
            return SIM_ILLEGAL;
        const size_t results = (size_t)job.row_tiles * job.n * slices;
        size_t w = 0, x = 0, h = 0, o = 0, r = 0;
        uint32_t tile = 0, col = 0, slice = 0;
        bool command = true;
        uint64_t quiet = 0;
        top_->cmd_valid_i = 1;
        std::memcpy(&top_->cmd_i, job.command, sizeof job.command);
        if (job.code_beats)
            put_code(job, 0);
        if (job.act_beats)
            std::memcpy(&top_->x_i, job.acts, kAct);
        if (job.header_beats)
            std::memcpy(&top_->h_i, job.headers, kHeader);
        top_->w_valid_i = job.code_beats != 0;
        top_->x_valid_i = job.act_beats != 0;
        top_->h_valid_i = job.header_beats != 0;
        top_->o_valid_i = job.outlier_beats != 0;
        if (job.outlier_beats)
            top_->o_i = job.outliers[0];
        for (uint64_t t = 0;; t++) {
            if (job.max_cycles && t >= job.max_cycles)
                return stop(SIM_TIMEOUT);
            /* what moves on the coming edge */
            const bool take_cmd = top_->cmd_valid_i && top_->cmd_ready_o;
            const bool take_w = top_->w_valid_i && top_->w_ready_o;
            const bool take_x = top_->x_valid_i && top_->x_ready_o;
            const bool take_h = top_->h_valid_i && top_->h_ready_o;
            const bool take_o = top_->o_valid_i && top_->o_ready_o;
            if (top_->r_valid_o) {
                if (r == results)
                    return stop(SIM_STRAY);
                const uint8_t *from = reinterpret_cast<const uint8_t *>(&top_->r_o);
                const uint32_t row = tile * ROWS + slice * units;
                for (uint32_t u = 0; u < units && row + u < job.rows; u++) {
                    int64_t v = 0;
                    std::memcpy(&v, from + 6 * u, 6);
                    v = (int64_t)((uint64_t)v << 16) >> 16;
                    if (job.acc)
                        job.acc[(size_t)col * job.rows + row + u] = v;
                    else
                        job.i8[(size_t)col * job.rows + row + u] = (int8_t)v;
                }
                r++;
                if (++slice == slices) {
                    slice = 0;
                    if (++col == job.n) {
                        col = 0;
                        tile++;
                    }
                }
            }
            bool done = false;
            SimOutcome outcome = SIM_DONE;
            if (top_->cpl_valid_o) {
                done = true;
                const uint32_t status = top_->cpl_o >> 16;
                outcome = status == 1 ? SIM_ILLEGAL : status == 2 ? SIM_OVERFLOW : SIM_DONE;
            }
            const bool moved = take_cmd || take_w || take_x || take_h || take_o || top_->r_valid_o;
            quiet = moved ? 0 : quiet + 1;
            cycle();
            if (done) {
                if (outcome == SIM_DONE &&
                    (r != results || w != job.code_beats || x != job.act_beats ||
                     h != job.header_beats || o != job.outlier_beats))
                    outcome = SIM_STRAY;
                return outcome == SIM_DONE ? outcome : stop(outcome);
            }
            if (quiet > kHungCycles)
                return stop(SIM_HUNG);
            if (take_cmd && command) {
                command = false;
                top_->cmd_valid_i = 0;
            }
            if (take_w) {
                if (++w < job.code_beats)
                    put_code(job, w);
                else
                    top_->w_valid_i = 0;
            }
            if (take_x) {
                if (++x < job.act_beats)
                    std::memcpy(&top_->x_i, job.acts + x * kAct, kAct);
                else
                    top_->x_valid_i = 0;
            }
            if (take_h) {
                if (++h < job.header_beats)
                    std::memcpy(&top_->h_i, job.headers + h * SCALE_UNITS, kHeader);
                else
                    top_->h_valid_i = 0;
            }
            if (take_o) {
                if (++o < job.outlier_beats)
                    top_->o_i = job.outliers[o];
                else
                    top_->o_valid_i = 0;
            }
        }
    }

  private:
    static constexpr size_t kAct = LANES, kHeader = SCALE_UNITS * 2;

    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<MODEL> top_;
    std::unique_ptr<VerilatedFstC> fst_;
    uint64_t now_ = 0;

    void cycle()
    {
        top_->clk_i = 0;
        top_->eval();
        if (fst_)
            fst_->dump(10 * now_);
        top_->clk_i = 1;
        top_->eval();
        if (fst_)
            fst_->dump(10 * now_ + 5);
        now_++;
    }

    void put_code(const SimJob &job, size_t beat)
    {
        std::memcpy(&top_->w_i, job.codes + beat * job.code_bytes, job.code_bytes);
    }

    /* The core may be in the middle of anything: bring it back to a known state. */
    SimOutcome stop(SimOutcome outcome)
    {
        reset();
        if (fst_)
            fst_->flush();
        return outcome;
    }
};

} // namespace

SimCore *CAT(create_, MODEL)()
{
    return new Core;
}
