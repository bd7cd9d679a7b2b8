/* tb.h - what all testbenches share: seeds, clock, stalls, handshakes, waveforms, the ok lines.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A bench is a list of cases; a case is a number of independent jobs, each with its own random
 * numbers, which depend on the seed, the case's name and the job's number alone. When a job fails
 * it is run again with a waveform, and the line printed for it is the command that does the same:
 *
 *     int main(int argc, char **argv)
 *     {
 *         tb::Runner run(argc, argv);
 *         run.test("fifo keeps the order of its entries", 40, [](tb::Job &job) {
 *             tb::Dut<Vfifo> dut(job);
 *             tb::Source<uint8_t> in(dut, dut->valid_i, dut->ready_o, job.stall(), PUT);
 *             tb::Sink<uint8_t> out(dut, dut->valid_o, dut->ready_i, job.stall(), GET, TAKE);
 *             dut.reset();
 *             while (...) {
 *                 dut.drive();         // inputs of this cycle are set, outputs have settled
 *                 CHECK(...);
 *                 dut.step();          // the clock edge
 *             }
 *         });
 *         return run.finish();
 *     }
 */
#ifndef TB_H
#define TB_H

#include "verilated.h"
#include "verilated_fst_c.h"

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace tb
{

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

[[noreturn]] __attribute__((format(printf, 1, 2))) inline void fail(const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    std::vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    throw Failure(text);
}

#define TB_STR2(x) #x
#define TB_STR(x)  TB_STR2(x)
/* CHECK(condition, "what is wrong, with values", ...) */
#define CHECK(cond, ...)                                                \
    do {                                                                \
        if (!(cond))                                                    \
            ::tb::fail(__FILE__ ":" TB_STR(__LINE__) ": " __VA_ARGS__); \
    } while (0)
#define CHECK_EQ(got, want, what)                                                               \
    do {                                                                                        \
        const long long got_ = (long long)(got), want_ = (long long)(want);                     \
        if (got_ != want_)                                                                      \
            ::tb::fail(__FILE__ ":" TB_STR(__LINE__) ": %s is %lld, expected %lld", what, got_, \
                       want_);                                                                  \
    } while (0)

class Rng
{
  public:
    explicit Rng(uint64_t seed) : s_(seed) {}
    uint64_t next() /* splitmix64 */
    {
        uint64_t z = s_ += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    uint32_t below(uint32_t n) { return (uint32_t)(((next() >> 32) * n) >> 32); }
    uint32_t range(uint32_t lo, uint32_t hi) { return lo + below(hi - lo + 1); }
    bool one_in(uint32_t n) { return below(n) == 0; }
    int64_t bits(unsigned n) /* signed, n bits, its corners more often than others */
    {
        const int64_t top = ((int64_t)1 << (n - 1)) - 1;
        switch (below(8)) {
        case 0: return top;
        case 1: return -top - 1;
        case 2: return (int64_t)below(3) - 1;
        default: return (int64_t)(next() << (64 - n)) >> (64 - n);
        }
    }

  private:
    uint64_t s_;
};

/* Whether to hold a handshake back in this cycle. */
class Stall
{
  public:
    enum Profile { Never, Seldom, Half, Mostly, Bursts, Profiles };
    Stall(Profile p, uint64_t seed) : profile_(p), rng_(seed) {}
    bool now()
    {
        switch (profile_) {
        case Seldom: return rng_.one_in(10);
        case Half: return rng_.one_in(2);
        case Mostly: return !rng_.one_in(5);
        case Bursts:
            if (left_-- == 0) {
                on_ = !on_;
                left_ = rng_.below(on_ ? 30 : 60);
            }
            return on_;
        default: return false;
        }
    }

  private:
    Profile profile_;
    Rng rng_;
    bool on_ = false;
    unsigned left_ = 5;
};

struct Job {
    unsigned number; /* 0 .. jobs - 1: benches may walk a table with it */
    uint64_t seed;
    Rng rng;
    std::string trace; /* waveform to write; empty: none */

    Job(unsigned n, uint64_t s, const std::string &t) : number(n), seed(s), rng(s), trace(t) {}
    /* Any profile; every fourth job runs without stalls anywhere, at full speed. */
    Stall stall()
    {
        const uint64_t s = rng.next();
        return Stall(number % 4 == 3 ? Stall::Never : (Stall::Profile)rng.below(Stall::Profiles),
                     s);
    }
};

class Part
{
  public:
    virtual ~Part() = default;
    virtual void drive() = 0;  /* set inputs */
    virtual bool sample() = 0; /* outputs have settled; true if a beat moves */
    virtual void probe(const std::function<void()> &) {}
};

/* A Verilated module with ports clk_i and rst_i. Registers without reset begin with random bits. */
template <class Top> class Dut
{
  public:
    explicit Dut(Job &job) : rng_(job.seed ^ 0x5bd1e995)
    {
        context_.reset(new VerilatedContext);
        context_->randReset(2);
        context_->randSeed((int)(job.seed & 0x7fffffff) | 1);
        context_->traceEverOn(true);
        top_.reset(new Top(context_.get()));
        if (!job.trace.empty()) {
            fst_.reset(new VerilatedFstC);
            top_->trace(fst_.get(), 99);
            fst_->open(job.trace.c_str());
            job.trace.clear(); /* one waveform a job: the first device's */
        }
    }
    ~Dut()
    {
        if (fst_) {
            fst_->dump(10 * now_ + 10); /* the last cycle has a width */
            fst_->close();
        }
        top_->final();
    }
    Dut(const Dut &) = delete;
    Dut &operator=(const Dut &) = delete;

    Top *operator->() { return top_.get(); }
    void add(Part *p) { parts_.push_back(p); }
    uint64_t now() const { return now_; }
    void eval() { top_->eval(); }

    /* Streams are idle in reset, with whatever data. */
    void reset()
    {
        top_->rst_i = 1;
        for (int i = 0; i < 2; i++) {
            settle();
            edge();
        }
        top_->rst_i = 0;
        quiet_ = 0;
    }
    void drive()
    {
        for (Part *p : parts_)
            p->drive();
        settle();
        if (rng_.one_in(16)) /* valid may not depend on ready */
            for (Part *p : parts_)
                p->probe([this] { top_->eval(); });
    }
    void step()
    {
        bool moved = false;
        for (Part *p : parts_)
            moved |= p->sample();
        quiet_ = moved ? 0 : quiet_ + 1;
        CHECK(quiet_ < 5000, "no beat has moved for 5000 cycles");
        edge();
    }
    void alive() { quiet_ = 0; }

  private:
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Top> top_;
    std::unique_ptr<VerilatedFstC> fst_;
    std::vector<Part *> parts_;
    Rng rng_;
    uint64_t now_ = 0, quiet_ = 0;

    void settle()
    {
        top_->clk_i = 0;
        top_->eval();
        if (fst_)
            fst_->dump(10 * now_);
    }
    void edge()
    {
        top_->clk_i = 1;
        top_->eval();
        if (fst_)
            fst_->dump(10 * now_ + 5);
        now_++;
    }
};

/* Sends beats of type T: once offered, a beat stays until it is taken. */
template <class T> class Source : public Part
{
  public:
    using Put = std::function<void(const T &)>;
    template <class D>
    Source(D &dut, CData &valid, const CData &ready, Stall stall, Put put)
        : valid_(valid), ready_(ready), stall_(stall), put_(std::move(put))
    {
        valid_ = 0;
        dut.add(this);
    }
    std::deque<T> queue;
    std::function<void(const T &)> taken; /* called in the cycle in which a beat moves */
    uint64_t count = 0;                   /* beats that have moved */

    void drive() override
    {
        if (!offered_ && !queue.empty() && !stall_.now()) {
            offered_ = true;
            put_(queue.front());
        }
        valid_ = offered_;
    }
    bool sample() override
    {
        if (!offered_ || !ready_)
            return false;
        if (taken)
            taken(queue.front());
        queue.pop_front();
        offered_ = false;
        count++;
        return true;
    }
    void clear()
    {
        queue.clear();
        offered_ = false;
        valid_ = 0;
    }

  private:
    CData &valid_;
    const CData &ready_;
    Stall stall_;
    Put put_;
    bool offered_ = false;
};

/* Takes beats; T must compare by its bytes. A beat offered and not taken must stay as it is. */
template <class T> class Sink : public Part
{
  public:
    using Get = std::function<void(T &)>;
    using Take = std::function<void(const T &)>;
    template <class D>
    Sink(D &dut, const CData &valid, CData &ready, Stall stall, Get get, Take take)
        : valid_(valid), ready_(ready), stall_(stall), get_(std::move(get)), take_(std::move(take))
    {
        ready_ = 0;
        dut.add(this);
    }
    uint64_t count = 0;

    void drive() override { ready_ = !stall_.now(); }
    bool sample() override
    {
        if (!valid_) {
            CHECK(!held_, "valid fell before the beat was taken");
            return false;
        }
        T beat;
        std::memset(static_cast<void *>(&beat), 0, sizeof beat);
        get_(beat);
        CHECK(!held_ || std::memcmp(&beat, &last_, sizeof beat) == 0,
              "a beat changed while it waited to be taken");
        held_ = !ready_;
        last_ = beat;
        if (!ready_)
            return false;
        count++;
        take_(beat);
        return true;
    }
    void probe(const std::function<void()> &eval) override
    {
        const CData was = valid_, ready = ready_;
        ready_ = !ready;
        eval();
        const CData is = valid_;
        ready_ = ready;
        eval();
        CHECK(is == was, "valid depends on ready");
    }
    void clear() { held_ = false; }

  private:
    const CData &valid_;
    CData &ready_;
    Stall stall_;
    Get get_;
    Take take_;
    T last_;
    bool held_ = false;
};

/* Fields of ports of any width: Verilator keeps them little-endian. */
template <class P> void put_bits(P &port, unsigned at, unsigned width, uint64_t v)
{
    auto *bytes = reinterpret_cast<uint8_t *>(&port);
    for (unsigned i = 0; i < width;) {
        const unsigned off = (at + i) % 8, n = std::min(8 - off, width - i);
        const unsigned mask = ((1u << n) - 1) << off;
        uint8_t &b = bytes[(at + i) / 8];
        b = (uint8_t)((b & ~mask) | (((unsigned)(v >> i) << off) & mask));
        i += n;
    }
}
template <class P> uint64_t get_bits(const P &port, unsigned at, unsigned width)
{
    auto *bytes = reinterpret_cast<const uint8_t *>(&port);
    uint64_t v = 0;
    for (unsigned i = 0; i < width;) {
        const unsigned off = (at + i) % 8, n = std::min(8 - off, width - i);
        v |= (uint64_t)((bytes[(at + i) / 8] >> off) & ((1u << n) - 1)) << i;
        i += n;
    }
    return v;
}
template <class P> int64_t get_signed(const P &port, unsigned at, unsigned width)
{
    return (int64_t)(get_bits(port, at, width) << (64 - width)) >> (64 - width);
}

class Runner
{
  public:
    Runner(int argc, char **argv) : argv0_(argv[0])
    {
        const char *env = std::getenv("TB_SEED");
        if (env && *env)
            seed_ = std::strcmp(env, "random") == 0 ? (uint64_t)std::time(nullptr)
                                                    : std::strtoull(env, nullptr, 0);
        for (int i = 1; i < argc; i++) {
            const std::string a = argv[i];
            if (i + 1 == argc || (a != "--seed" && a != "--trace" && a != "--case" && a != "--job"))
                usage();
            const char *v = argv[++i];
            if (a == "--seed")
                seed_ = std::strtoull(v, nullptr, 0);
            else if (a == "--trace")
                trace_ = v;
            else if (a == "--case")
                case_ = v;
            else
                job_ = std::strtol(v, nullptr, 0);
        }
        const size_t slash = argv0_.rfind('/');
        std::printf("%s: seed %llu\n", argv0_.substr(slash + 1).c_str(), (unsigned long long)seed_);
        std::fflush(stdout);
    }

    void test(const std::string &name, unsigned jobs, const std::function<void(Job &)> &body)
    {
        if (!case_.empty() && name != case_)
            return;
        ran_++;
        for (unsigned k = 0; k < jobs; k++) {
            if (job_ >= 0 && k != (unsigned)job_)
                continue;
            const std::string bad = once(name, k, trace_, body);
            if (bad.empty())
                continue;
            failed_++;
            const std::string wave = trace_.empty() ? argv0_ + "." + slug(name) + ".fst" : trace_;
            if (trace_.empty())
                once(name, k, wave, body);
            std::printf("    %s, job %u: %s\n", name.c_str(), k, bad.c_str());
            const char *macs = std::getenv("TB_MACS"); /* changes the jobs of some benches */
            std::printf("not ok %s: replay: %s%s%s%s --case '%s' --job %u --seed %llu --trace %s\n",
                        name.c_str(), macs ? "TB_MACS=" : "", macs ? macs : "", macs ? " " : "",
                        argv0_.c_str(), name.c_str(), k, (unsigned long long)seed_, wave.c_str());
            std::fflush(stdout);
            return;
        }
        std::printf("ok %s\n", name.c_str());
        std::fflush(stdout);
    }

    int finish() const
    {
        if (ran_ == 0)
            std::fprintf(stderr, "%s: no case has that name\n", argv0_.c_str());
        return ran_ && !failed_ ? 0 : 1;
    }

  private:
    std::string argv0_, trace_, case_;
    uint64_t seed_ = 1;
    long job_ = -1;
    unsigned ran_ = 0, failed_ = 0;

    [[noreturn]] void usage() const
    {
        std::fprintf(
            stderr,
            "usage: %s [--case NAME] [--job K] [--seed N] [--trace FILE]\n"
            "TB_SEED=N or TB_SEED=random sets the seed where --seed does not; it is 1 else.\n",
            argv0_.c_str());
        std::exit(2);
    }
    std::string once(const std::string &name, unsigned k, const std::string &trace,
                     const std::function<void(Job &)> &body) const
    {
        uint64_t h = 0xcbf29ce484222325u ^ seed_; /* FNV-1a */
        for (const char c : name)
            h = (h ^ (unsigned char)c) * 0x100000001b3u;
        Job job(k, Rng(h + k).next(), trace);
        try {
            body(job);
        } catch (const Failure &f) {
            return f.what();
        }
        return "";
    }
    static std::string slug(const std::string &name)
    {
        std::string s;
        for (const char c : name)
            s += std::isalnum((unsigned char)c) ? c : '-';
        return s.substr(0, 60);
    }
};

} // namespace tb

#endif
