/* faults.cpp - test-faults: jobs on a simulated board whose cable follows fault plans. Each is exact, or fails with the
 * fault's name; and when all is over the board is as good as new.
 * SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"

extern "C" {
#include "backend/cpu.h"
}

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

double sc_time_stamp()
{
    return 0;
} /* asked for by the Verilator runtime */

FaultJob::FaultJob(rng &r)
    : rows(1 + rng_below(&r, 40)), cols(1 + rng_below(&r, 300)), n(1 + rng_below(&r, 2)),
      x((size_t)n * cols), want((size_t)n * rows), got(want.size(), -1),
      deadline_ns(20000000000) /* of the slowest plans: sessions that are lost, silence */
{
    mat.reset(
        random_matrix(&r, ACCEL_INT(1 + rng_below(&r, 8)), 32, rows, cols, rng_below(&r, 2) != 0));
    random_activations(&r, x.data(), x.size());
    cpu_reference(mat.get(), x.data(), n, cols, want.data());
}

#ifndef FAULTS_USB /* --usb is refused then */
std::unique_ptr<Path> usb_path()
{
    return nullptr;
}
#endif

namespace
{

constexpr int kJobs = 3;                          /* in a plan */
constexpr uint32_t kPackets = 50, kBytes = 14000; /* in which random plans have their faults */
constexpr uint64_t kGrace = 6000000000;           /* ns: the last silence may outlast a deadline */
constexpr unsigned kSessions = 3;                 /* that a job may use up */

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    std::vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    throw Failure(text);
}

struct Tally {
    unsigned exact = 0, unplugged = 0, given_up = 0, faults = 0, struck = 0;
};

unsigned count(const fault_plan &plan, fault_what what)
{
    unsigned n = 0;
    for (unsigned i = 0; i < plan.count; i++)
        n += plan.fault[i].what == what;
    return n;
}

/* Plugs in what the plan has unplugged until the library has it again; false: it is gone for good. */
bool recover(Path &p)
{
    accel_error err = {};
    for (int tries = 0; tries < FAULT_PLAN_MOST; tries++) {
        if (!p.plugged_in()) {
            const uint32_t ms = p.replug_ms();
            if (!ms)
                return false;
            if (p.reopen(&err) == ACCEL_OK)
                fail("it was opened again while it was unplugged");
            const char *wrong = p.plug_in(ms);
            if (*wrong)
                fail("plugged in again: %s", wrong);
        }
        if (p.reopen(&err) == ACCEL_OK)
            return true;
        if (p.plugged_in())
            fail("plugged in again it cannot be opened: %s", err.text);
    }
    fail("it is unplugged again and again");
}

/* @return false if the board is gone for good */
bool run_job(Path &p, FaultJob &k, const fault_plan &plan, Tally &tally)
{
    for (;;) {
        accel_error err = {};
        const uint64_t began = p.now_ns();
        const int rc = p.run(k, &err);
        const uint64_t took = p.now_ns() - began;
        if (took > k.deadline_ns + kGrace)
            fail("a job took %.1f s; its deadline was %.1f s", (double)took * 1e-9,
                 (double)k.deadline_ns * 1e-9);
        if (rc == ACCEL_OK) {
            if (k.got != k.want)
                fail("a wrong result");
            tally.exact++;
            return true;
        }
        if (rc == ACCEL_E_GONE && !p.plugged_in()) {
            if (!std::strstr(err.text, "unplugged"))
                fail("unplugged, but the error is: %s", err.text);
            tally.unplugged++;
            if (!recover(p))
                return false;
        } else if (rc == ACCEL_E_DEVICE && count(plan, FAULT_RESET) >= kSessions &&
                   std::strstr(err.text, "forgot the session")) {
            tally.given_up++;
        } else {
            fail("error %d for no reason: %s", rc, err.text);
        }
    }
}

void run_plan(Path &p, const fault_plan &plan, uint64_t seed, Tally &tally)
{
    rng r = { seed | 1 };
    accel_error err = {};
    fault_plan none = {};
    const char *wrong = p.plug_in(0);
    if (*wrong)
        fail("%s", wrong);
    if (p.open(&err))
        fail("%s", err.text);
    wrong = p.follow(plan);
    if (*wrong)
        fail("%s", wrong);
    for (int i = 0; i < kJobs; i++) {
        FaultJob k(r);
        if (!run_job(p, k, plan, tally))
            break;
    }
    tally.faults += plan.count;
    tally.struck += p.struck();
    p.follow(none);
    if (!p.plugged_in()) {
        wrong = p.plug_in(0);
        if (*wrong)
            fail("at the end: %s", wrong);
        if (p.reopen(&err))
            fail("at the end: %s", err.text);
    }
    FaultJob last(r);
    run_job(p, last, none, tally);
}

/* ---- other ways to treat a cable and its users ---- */

void job_is_exact(Path &p, rng &r)
{
    accel_error err = {};
    FaultJob k(r);
    if (p.run(k, &err))
        fail("%s", err.text);
    if (k.got != k.want)
        fail("a wrong result");
}

void begin(Path &p)
{
    const char *wrong = p.plug_in(0);
    if (*wrong)
        fail("%s", wrong);
}

void open(Path &p)
{
    accel_error err = {};
    if (p.open(&err))
        fail("%s", err.text);
}

void opens(Path &p, unsigned times, rng &r)
{
    begin(p);
    for (unsigned i = 0; i < times; i++) {
        open(p);
        if (i % 100 == 0)
            job_is_exact(p, r);
        p.close();
    }
    open(p);
    job_is_exact(p, r);
}

/* Pulled in the middle of a job, each time at another byte. */
void unplugs(Path &p, unsigned times, rng &r)
{
    Tally tally;
    begin(p);
    open(p);
    for (unsigned done = 0; done < times;) {
        fault_plan plan = {};
        plan.count = 1;
        plan.fault[0] = { FAULT_REPLUG, 1 + rng_below(&r, 3000), 1 };
        const char *wrong = p.follow(plan);
        if (*wrong)
            fail("%s", wrong);
        FaultJob k(r);
        if (!run_job(p, k, plan, tally))
            fail("it did not come back");
        done += p.struck();
    }
}

/* A command whose libusb sees the board. */
void run_command(Path &p, char **argv)
{
    begin(p);
    const pid_t child = fork();
    if (child == 0) {
        setenv("LD_PRELOAD", "libumockdev-preload.so.0", 1);
        execvp(argv[0], argv);
        std::perror(argv[0]);
        _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail("it ended with status %d", status);
}

const char *const kUsage =
    "Usage: accel-faults [--usb] [--seed N] [--plans N] [--plan FILE] [--opens N] [--unplugs N]\n"
    "       accel-faults --usb --run COMMAND...\n"
    "\n"
    "Runs jobs on a simulated board at the end of a USB cable that follows fault plans.\n"
    "  --usb        through libusb and usb:, in the machine's time; else the link alone, in the board's\n"
    "  --seed N     of all that is random; of the first plan, the next has the next (default 1)\n"
    "  --plans N    so many random plans\n"
    "  --plan FILE  this one (docs/testing.md says what can be in it)\n"
    "  --opens N    open and close it so many times\n"
    "  --unplugs N  pull the cable in the middle of so many jobs\n"
    "  --run        a command that finds the board at usb:\n";

struct Options {
    unsigned plans = 0, opens = 0, unplugs = 0;
    uint64_t seed = 1;
    bool usb = false;
    std::string file;
    char **command = nullptr;
};

Options parse(int argc, char **argv)
{
    Options o;
    for (int i = 1; i < argc; i++) {
        const std::string a = argv[i];
        if (a == "-h" || a == "--help") {
            std::fputs(kUsage, stdout);
            std::exit(0);
        }
        if (a == "--usb") {
#ifndef FAULTS_USB
            std::fputs("accel-faults: built without libusb or umockdev\n", stderr);
            std::exit(2);
#endif
            o.usb = true;
            continue;
        }
        const char *v = i + 1 < argc ? argv[++i] : nullptr;
        if (v && a == "--run") {
            o.command = argv + i;
            return o;
        }
        if (v && a == "--plan") {
            o.file = v;
            continue;
        }
        char *end = nullptr;
        const uint64_t n = v ? std::strtoull(v, &end, 0) : 0;
        if (v && *v && !*end && a == "--plans")
            o.plans = (unsigned)n;
        else if (v && *v && !*end && a == "--opens")
            o.opens = (unsigned)n;
        else if (v && *v && !*end && a == "--unplugs")
            o.unplugs = (unsigned)n;
        else if (v && *v && !*end && a == "--seed")
            o.seed = n;
        else {
            std::fputs(kUsage, stderr);
            std::exit(2);
        }
    }
    return o;
}

fault_plan read_plan(const std::string &name)
{
    std::ifstream in(name);
    std::stringstream text;
    fault_plan plan;
    char why[200];
    text << in.rdbuf();
    if (!in) {
        std::fprintf(stderr, "accel-faults: %s cannot be read\n", name.c_str());
        std::exit(2);
    }
    if (fault_plan_parse(text.str().c_str(), &plan, why, sizeof why)) {
        std::fprintf(stderr, "accel-faults: %s: %s\n", name.c_str(), why);
        std::exit(2);
    }
    return plan;
}

class Tests
{
  public:
    explicit Tests(const Options &o) : o_(o) {}

    void plan(const fault_plan &plan, uint64_t seed)
    {
        char text[FAULT_PLAN_TEXT];
        fault_plan_print(&plan, "; ", text);
        test("every job under plan " + std::to_string(seed) +
                 " is exact or fails with the fault's name",
             std::string("the plan: ") + text, [&](Path &p) { run_plan(p, plan, seed, tally_); });
    }

    int run()
    {
        rng r = { o_.seed | 1 };
        if (!o_.file.empty())
            plan(read_plan(o_.file), o_.seed);
        for (unsigned i = 0; i < o_.plans; i++) {
            fault_plan random;
            fault_plan_random(&random, o_.seed + i, kPackets, kBytes);
            plan(random, o_.seed + i);
        }
        if (o_.command) {
            std::string words;
            for (char **w = o_.command; *w; w++)
                words += std::string(w == o_.command ? "" : " ") + *w;
            test("this ends well: " + words, "", [&](Path &p) { run_command(p, o_.command); });
        }
        if (o_.plans || !o_.file.empty())
            std::printf(
                "%u of %u faults happened; %u jobs were exact, %u unplugged, %u given up after "
                "lost sessions\n",
                tally_.struck, tally_.faults, tally_.exact, tally_.unplugged, tally_.given_up);
        if (o_.opens)
            test("a board can be opened and closed " + std::to_string(o_.opens) + " times", "",
                 [&](Path &p) { opens(p, o_.opens, r); });
        if (o_.unplugs)
            test("a job is exact after the cable was pulled at each of " +
                     std::to_string(o_.unplugs) + " points and plugged in again",
                 "", [&](Path &p) { unplugs(p, o_.unplugs, r); });
        return good_ ? 0 : 1;
    }

  private:
    const Options &o_;
    Tally tally_;
    bool good_ = true;

    void test(const std::string &name, const std::string &more,
              const std::function<void(Path &)> &body)
    {
        const std::string full = (o_.usb ? "through libusb " : "") + name;
        try {
            body(*(o_.usb ? usb_path() : direct_path()));
            std::printf("ok %s\n", full.c_str());
        } catch (const Failure &f) {
            good_ = false;
            std::printf("not ok %s: %s; %s\n", full.c_str(), f.what(), more.c_str());
        }
    }
};

} // namespace

int main(int argc, char **argv)
{
    const Options o = parse(argc, argv);
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    return Tests(o).run();
}
