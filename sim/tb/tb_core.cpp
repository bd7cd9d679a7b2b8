/* tb_core.cpp - the whole core: queues of commands, every stream stalled, against the golden model.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Built once a kind, with KIND its name and SHAPES(X) listing
 * X(class, rows, lanes, scale units, MaxN, XDepth, ODepth).
 * The streams of all commands of a job are offered at once, as a host that runs ahead would. */
#include "tb_matrix.h"

#ifndef D_BITS
#define D_BITS 24
#endif

namespace
{

const pe_kind *kind()
{
    return tb::find_kind(KIND);
}

struct Command {
    uint32_t word[4];
};

enum { Cycles, ArrayBeats, WBeats, HBeats, XBeats, RBeats, WaitW, WaitX, WaitR, Jobs, Counters };

template <unsigned Rows, unsigned Lanes, unsigned Units, unsigned MaxN, unsigned XDepth,
          unsigned ODepth, class Top>
class Bench
{
    struct Codes {
        std::vector<uint8_t> byte;
    };
    struct Step {
        int8_t x[Lanes];
    };
    struct Header {
        uint16_t word[Units];
    };
    struct Outlier {
        uint64_t v;
    };
    struct Result {
        int64_t v[Units];
    };
    struct Completion {
        uint32_t v;
    };
    /* What comes out of one GEMM, in order. */
    struct Expected {
        size_t results; /* results of all GEMMs up to and with this one */
        uint32_t completion;
    };

  public:
    Bench(tb::Job &job, tb::Golden &golden)
        : rng_(job.rng), golden_(golden), dut_(job),
          cmd_(dut_, dut_->cmd_valid_i, dut_->cmd_ready_o, job.stall(),
               [this](const Command &c) { std::memcpy(&dut_->cmd_i, c.word, sizeof c.word); }),
          x_(dut_, dut_->x_valid_i, dut_->x_ready_o, job.stall(),
             [this](const Step &s) { std::memcpy(&dut_->x_i, s.x, sizeof s.x); }),
          w_(dut_, dut_->w_valid_i, dut_->w_ready_o, job.stall(),
             [this](const Codes &c) { std::memcpy(&dut_->w_i, c.byte.data(), c.byte.size()); }),
          h_(dut_, dut_->h_valid_i, dut_->h_ready_o, job.stall(),
             [this](const Header &h) { std::memcpy(&dut_->h_i, h.word, sizeof h.word); }),
          o_(dut_, dut_->o_valid_i, dut_->o_ready_o, job.stall(),
             [this](const Outlier &o) { dut_->o_i = o.v; }),
          r_(
              dut_, dut_->r_valid_o, dut_->r_ready_i, job.stall(),
              [this](Result &r) {
                  for (unsigned u = 0; u < Units; u++)
                      r.v[u] = tb::get_signed(dut_->r_o, u * 48, 48);
              },
              [this](const Result &r) {
                  CHECK(!results_.empty(), "a result more than the commands ask for");
                  for (unsigned u = 0; u < Units; u++)
                      CHECK_EQ(r.v[u], results_.front().v[u], "result");
                  results_.pop_front();
              }),
          cpl_(
              dut_, dut_->cpl_valid_o, dut_->cpl_ready_i, job.stall(),
              [this](Completion &c) { c.v = dut_->cpl_o; },
              [this](const Completion &c) {
                  CHECK(!done_.empty(), "a completion more than there were commands");
                  CHECK(c.v == done_.front().completion, "completion %06x, expected %06x", c.v,
                        done_.front().completion);
                  CHECK(r_.count >= done_.front().results, "completed before the last result");
                  done_.pop_front();
              })
    {
        dut_->reg_addr_i = 0;
        dut_.reset();
    }

    void commands(unsigned count)
    {
        for (unsigned i = 0; i < count; i++)
            switch (rng_.below(8)) {
            case 0: plain(0, 0); break;
            case 1: illegal(); break;
            case 2:
                if (loaded_) {
                    gemm(true);
                    break;
                } /* fallthrough */
            default: gemm(false); break;
            }
    }

    /* A random matrix by random columns, or by columns that are in the core already. */
    void gemm(bool reuse)
    {
        if (!reuse) {
            group_ = tb::kGroups[rng_.below(8)];
            do {
                cols_ = group_ ? rng_.range(1, 3 * group_) : rng_.range(1, 600);
            } while (cols_ > XDepth * Lanes / 2);
        }
        accel_format f;
        pack_wire wire;
        do {
            f = tb::formats()[rng_.below((uint32_t)tb::formats().size())];
        } while (pack_wire_format(kind(), D_BITS, f, &wire));
        multiply(f, rng_.range(1, 3 * Rows), rng_.one_in(2) && !kind()->window, reuse, 0);
    }

#ifdef SCALE_TURNS
    /* Groups of so many elements, from columns that are there already: the beats' cycles or the scales', whichever are more. */
    void no_bubbles(accel_format f, unsigned terms, uint32_t group, bool asym)
    {
        group_ = group;
        cols_ = XDepth * Lanes / MaxN;
        multiply(ACCEL_INT(2), Rows, false, false, MaxN); /* brings them */
        run();
        const uint64_t before = busy(), tiles = 4;
        multiply(f, tiles * Rows, asym, true, MaxN);
        run();
        const uint64_t took = busy() - before, scale = SCALE_TURNS(asym) * (Rows / Units);
        const uint64_t beats = group / Lanes * terms, chunks = tiles * MaxN * cols_ / group;
        const uint64_t least = chunks * std::max(beats, scale);
        const uint64_t first = group / Lanes * accel_format_bits(f) + 40; /* codes of a chunk */
        CHECK(took >= least && took <= least + first && chunks > first,
              "%llu chunks of %llu cycles, scaled in %llu, took %llu", (unsigned long long)chunks,
              (unsigned long long)beats, (unsigned long long)scale, (unsigned long long)took);
    }
#endif

    /* columns: 0 for as many as may be, and outliers or requantization perhaps */
    void multiply(accel_format f, uint32_t rows, bool asym, bool reuse, uint32_t columns)
    {
        tb::Matrix mat = tb::random_matrix(rng_, f, rows, cols_, group_, asym, kind());
        if (ODepth && !columns && rng_.one_in(3)) /* in up to 15 chunks, those of a row tile */
            mat = tb::with_outliers(rng_, mat, rng_.range(1, 15 * ODepth / Rows));
        const pack_shape shape = { Rows, Lanes, Units, D_BITS, ODepth };
        const tb::Packed p(kind(), shape, mat.get());
        CHECK(p.steps <= XDepth, "the bench asks for too much");
        const uint32_t most = std::min(MaxN, XDepth / p.steps);
        const uint32_t n = columns          ? columns
                           : reuse          ? rng_.range(1, loaded_)
                           : rng_.one_in(3) ? 1
                                            : rng_.range(1, most);
        if (!reuse) {
            acts_ = tb::random_acts(rng_, n, cols_);
            loaded_ = n;
            std::vector<int8_t> column((size_t)p.steps * Lanes);
            for (uint32_t i = 0; i < n; i++) {
                pack_activations(&p, Lanes, cols_, mat->group, &acts_[(size_t)i * cols_],
                                 column.data());
                for (uint32_t s = 0; s < p.steps; s++) {
                    Step step;
                    std::memcpy(step.x, &column[(size_t)s * Lanes], Lanes);
                    x_.queue.push_back(step);
                }
            }
            total_[XBeats] += (uint64_t)n * p.steps;
        }
        const bool rq = !columns && rng_.one_in(3);
        std::vector<uint32_t> mul(rows);
        std::vector<uint8_t> shift(rows);
        for (uint32_t r = 0; r < rows; r++) {
            mul[r] = (uint32_t)(rng_.next() >> 33);
            shift[r] = (uint8_t)rng_.range(28, 62);
        }
        for (size_t b = 0; b < p.code_beats; b++) {
            const uint8_t *from = p.codes + b * p.beat_bytes;
            w_.queue.push_back({ std::vector<uint8_t>(from, from + p.beat_bytes) });
        }
        for (size_t b = 0; b < p.outlier_beats; b++)
            o_.queue.push_back({ p.outliers[b] });
        const size_t per_tile = p.header_beats / p.row_tiles;
        for (uint32_t t = 0; t < p.row_tiles; t++) {
            for (size_t b = 0; b < per_tile; b++) {
                Header h;
                std::memcpy(h.word, p.headers + (t * per_tile + b) * Units, sizeof h.word);
                h_.queue.push_back(h);
            }
            for (unsigned word = 0; rq && word < 3; word++)
                for (uint32_t r = 0; r < Rows; r += Units) {
                    Header h = {};
                    for (uint32_t u = 0, m = t * Rows + r; u < Units && m < rows; u++, m++)
                        h.word[u] = (uint16_t)(word == 0   ? mul[m]
                                               : word == 1 ? mul[m] >> 16
                                                           : shift[m]);
                    h_.queue.push_back(h);
                }
        }
        total_[HBeats] += p.header_beats + (rq ? 3 * (Rows / Units) * p.row_tiles : 0);
        total_[WBeats] += p.code_beats;
        const tb::ArrayWords words(kind(), p);
        const size_t chunks = (p.steps + p.chunk_steps - 1) / p.chunk_steps;
        for (size_t c = 0; c < p.row_tiles * chunks; c++)
            total_[ArrayBeats] += words.chunk(c).size() * n;
        total_[Jobs]++;
        const std::vector<int8_t> x(acts_.begin(), acts_.begin() + (size_t)n * cols_);
        const std::vector<int64_t> y = golden_.run(mat.get(), x, n, rq ? mul.data() : nullptr,
                                                   rq ? shift.data() : nullptr);
        for (uint32_t t = 0; t < p.row_tiles; t++)
            for (uint32_t i = 0; i < n; i++)
                for (uint32_t r = 0; r < Rows; r += Units) {
                    Result res = {}; /* rows that pad the last tile give 0 */
                    for (uint32_t u = 0, m = t * Rows + r; u < Units && m < rows; u++, m++)
                        res.v[u] = y[(size_t)i * rows + m];
                    results_.push_back(res);
                    total_[RBeats]++;
                }
        send({ { 1u | next_id_ << 16, p.row_tiles | n << 16, p.steps | p.chunk_steps << 16,
                 p.planes | p.coding << 4 | (uint32_t)p.asymmetric << 6 |
                     (uint32_t)p.row_header << 7 | (uint32_t)!reuse << 8 | (uint32_t)rq << 9 |
                     p.table << 10 | (uint32_t)p.has_sel << 15 | p.outlier_chunks << 16 } },
             0);
    }

    /* Full scale until 48 bits do not do: status 2, and the next job is as good as new. */
    void overflow()
    {
        const uint32_t steps = XDepth, chunk = 256 / Lanes, row_bytes = Lanes / 8;
        for (uint32_t s = 0; s < steps; s++) {
            Step step;
            std::memset(step.x, -128, sizeof step.x);
            x_.queue.push_back(step);
        }
        loaded_ = 0; /* by no matrix's layout */
        for (uint32_t s = 0; s < steps * 8; s++) {
            Codes c = { std::vector<uint8_t>(Rows * row_bytes, 0xff) }; /* u = 255 */
            for (unsigned r = 0; kind()->recode && r < Rows; r++)
                kind()->recode(&c.byte[r * row_bytes], Lanes);
            w_.queue.push_back(c);
        }
        for (uint32_t r = 0; r < Rows; r += Units) {
            Header h;
            for (uint16_t &w : h.word)
                w = 0xf7ff; /* sc 2047, sh 15 */
            h_.queue.push_back(h);
        }
        int64_t acc = (int64_t)steps * Lanes * -128 * 255 * 2047 * 32768;
        CHECK(acc < -((int64_t)1 << 47), "the bench does not overflow");
        acc = (int64_t)((uint64_t)acc << 16) >> 16;
        for (uint32_t r = 0; r < Rows; r += Units) {
            Result res;
            for (int64_t &v : res.v)
                v = acc;
            results_.push_back(res);
        }
        total_[XBeats] += steps;
        total_[WBeats] += (uint64_t)steps * 8;
        total_[HBeats] += Rows / Units;
        total_[RBeats] += Rows / Units;
        total_[ArrayBeats] += (uint64_t)steps * (kind()->step_major ? 1 : 8);
        total_[Jobs]++;
        send({ { 1u | next_id_ << 16, 1 | 1 << 16, steps | chunk << 16,
                 8 | 1 << 4 | 1 << 7 | 1 << 8 } },
             2);
    }

    void plain(uint32_t opcode, uint32_t status)
    {
        Command c = { { opcode | next_id_ << 16, (uint32_t)rng_.next(), (uint32_t)rng_.next(),
                        (uint32_t)rng_.next() } };
        send(c, status);
    }

    void illegal()
    {
        Command c = { { 1u | next_id_ << 16, 1 | 1 << 16, 1 | 1 << 16, 2 | 1 << 8 } };
        switch (rng_.below(9)) {
        case 0: c.word[0] ^= 3; break;          /* opcode 2 */
        case 1: c.word[1] &= 0xffff0000; break; /* no row tiles */
        case 2: c.word[1] = 1 | (MaxN + 1) << 16; break;
        case 3: c.word[2] = 0 | 1 << 16; break; /* no steps */
        case 4: c.word[2] = (XDepth + 1) | 1 << 16; break;
        case 5: c.word[2] = 1 | ((255 + Lanes) / Lanes + 1) << 16; break;
        case 6: c.word[3] = 9 | 1 << 8; break; /* planes */
        case 7:                                /* a table format, or a table without one */
            c.word[3] = 2 | 1 << 8 | (kind()->native ? 1u << rng_.range(10, 14) : 3u << 4);
            break;
        default: c.word[3] |= 1u << rng_.range(ODepth ? 20 : 16, 31); break;
        }
        send(c, 1);
    }

    /* Until all has come out; then everything must be used up, and the counters right. */
    void run()
    {
        while (!done_.empty() || !results_.empty()) {
            dut_.drive();
            dut_.step();
        }
        CHECK(cmd_.queue.empty() && x_.queue.empty() && w_.queue.empty() && h_.queue.empty() &&
                  o_.queue.empty(),
              "beats are left: x %zu w %zu h %zu o %zu", x_.queue.size(), w_.queue.size(),
              h_.queue.size(), o_.queue.size());
        for (int t = 0; t < 20; t++) {
            dut_.drive();
            CHECK(!dut_->r_valid_o && !dut_->cpl_valid_o, "a beat more than the commands ask for");
            dut_.step();
        }
        const auto reg = [this](unsigned addr) {
            dut_->reg_addr_i = (CData)addr;
            dut_.drive();
            dut_.step();
            dut_.alive();
            return (uint64_t)dut_->reg_data_o;
        };
        const uint64_t want[] = { 0x4c434341, 1, kind()->id, Rows, Lanes, Units, MaxN, XDepth };
        for (unsigned i = 0; i < sizeof want / sizeof *want; i++)
            CHECK_EQ(reg(i), want[i], "register");
        for (unsigned i : { ArrayBeats, WBeats, HBeats, XBeats, RBeats, Jobs })
            CHECK(reg(16 + 2 * i) == total_[i], "counter %u is %llu, expected %llu", i,
                  (unsigned long long)reg(16 + 2 * i), (unsigned long long)total_[i]);
        CHECK_EQ(reg(11), ODepth, "register");
        const uint64_t busy = reg(16 + 2 * Cycles);
        CHECK(busy >= total_[ArrayBeats] && busy < dut_.now(), "busy for %llu of %llu cycles",
              (unsigned long long)busy, (unsigned long long)dut_.now());
    }
    uint64_t busy()
    {
        dut_->reg_addr_i = 16;
        dut_.eval();
        return dut_->reg_data_o;
    }
    uint64_t array_beats() const
    {
        return total_[ArrayBeats];
    }

  private:
    tb::Rng &rng_;
    tb::Golden &golden_;
    tb::Dut<Top> dut_;
    tb::Source<Command> cmd_;
    tb::Source<Step> x_;
    tb::Source<Codes> w_;
    tb::Source<Header> h_;
    tb::Source<Outlier> o_;
    tb::Sink<Result> r_;
    tb::Sink<Completion> cpl_;
    std::deque<Result> results_;
    std::deque<Expected> done_;
    std::vector<int8_t>
        acts_; /* what the core holds: loaded_ columns for a matrix of cols_, group_ */
    uint32_t loaded_ = 0, cols_ = 0, group_ = 0, next_id_ = 0xfff0;
    uint64_t total_[Counters] = { 0 };

    void send(const Command &c, uint32_t status)
    {
        cmd_.queue.push_back(c);
        done_.push_back({ (size_t)total_[RBeats], status << 16 | next_id_ });
        next_id_ = (next_id_ + 1) & 0xffff;
    }
};

template <unsigned Rows, unsigned Lanes, unsigned Units, unsigned MaxN, unsigned XDepth,
          unsigned ODepth, class Top>
void cases(tb::Runner &run, tb::Golden &golden)
{
    using B = Bench<Rows, Lanes, Units, MaxN, XDepth, ODepth, Top>;
    const std::string core = "accel_core " KIND " rows " + std::to_string(Rows) + " lanes " +
                             std::to_string(Lanes) + " ";
    run.test(core + "equals the golden model with every stream stalled", 400, [&](tb::Job &job) {
        B b(job, golden);
        b.commands(8);
        b.run();
    });
    run.test(core + "refuses illegal commands without taking a beat", 40, [&](tb::Job &job) {
        B b(job, golden);
        b.gemm(false);
        for (int i = 0; i < 30; i++)
            b.illegal();
        b.gemm(true);
        b.plain(0, 0);
        b.gemm(false);
        b.run();
    });
#ifdef SCALE_TURNS
    run.test(core + "scales groups behind the next one's beats, without a bubble", 8,
             [&](tb::Job &job) {
                 tb::Job calm = job;
                 calm.number = 3; /* nothing stalls */
                 B b(calm, golden);
                 for (uint32_t group = std::max(16u, Lanes); group <= 128; group *= 2) {
                     b.no_bubbles(ACCEL_INT(4), 2, group, false);
                     b.no_bubbles(ACCEL_INT(4), 2, group, true);
                     b.no_bubbles(ACCEL_FP4, 2, group, false);
                     b.no_bubbles(ACCEL_INT(6), 3, group, false);
                     b.no_bubbles(ACCEL_INT(8), 4, group, false);
                 }
             });
#endif
    /* wider kinds' accumulators take what the plain ones do: the plain codes make the overflow */
    pack_wire wire;
    if (pack_wire_format(kind(), D_BITS, ACCEL_UINT(8), &wire) || kind()->pack_chunk ||
        kind()->window)
        return;
    run.test(core + "reports an overflow and is as good as new after it", 8, [&](tb::Job &job) {
        B b(job, golden);
        b.gemm(false);
        b.overflow();
        b.gemm(false);
        b.run();
    });
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    tb::Golden golden;
#define SHAPE(top, rows, lanes, units, max_n, x_depth, o_depth) \
    cases<rows, lanes, units, max_n, x_depth, o_depth, top>(run, golden);
    SHAPES(SHAPE)
    return run.finish();
}
