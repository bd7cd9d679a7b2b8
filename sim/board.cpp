/* board.cpp - accel-board: the Verilated core and link behind a pseudo terminal, which a host uses like the serial port
 * of a board.
 * SPDX-License-Identifier: Apache-2.0 */
#include "options.h"
#include "soc.h"

#include "verilated.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <poll.h>
#include <string>
#include <termios.h>
#include <unistd.h>

double sc_time_stamp()
{
    return 0;
} /* asked for by the Verilator runtime */

namespace
{

constexpr int kSlice = 2000; /* cycles between two looks at the terminal */

volatile std::sig_atomic_t stopped = 0;

void stop(int)
{
    stopped = 1;
}

const char *const kUsage =
    "Usage: accel-board [--link PATH] [--faults N] [--seed N] [--unplug BYTES] [--memory BYTES] [--power BYTES]\n"
    "                   [--weak BYTE]\n"
    "\n"
    "Simulates a board and prints the name of its serial port: accel selftest -d serial:NAME\n"
    "  --link PATH     also make PATH a symbolic link to the port\n"
    "  --faults N      damage, lose or repeat something about once in N bytes, both ways\n"
    "  --seed N        of the faults (default 1)\n"
    "  --unplug BYTES  end after so many bytes from the host, as if the cable were pulled\n"
    "  --memory BYTES  external memory, a multiple of 16 (default 0: none)\n"
    "  --weak BYTE     of that memory, a bit of this byte's 16 is lost\n"
    "  --power BYTES   lose the power for a moment after so many bytes from the host\n"
    "\n"
    "At its end it prints how many bytes came from the host.\n";

[[noreturn]] void die(const char *what)
{
    std::fprintf(stderr, "accel-board: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

struct Options {
    std::string link;
    uint64_t faults = 0, seed = 1, unplug = 0, power = 0, memory = 0, weak = UINT64_MAX;
};

Options parse(int argc, char **argv)
{
    Options o;
    parse_options(argc, argv, kUsage,
                  { { "--link", nullptr, &o.link },
                    { "--faults", &o.faults, nullptr },
                    { "--seed", &o.seed, nullptr },
                    { "--unplug", &o.unplug, nullptr },
                    { "--power", &o.power, nullptr },
                    { "--weak", &o.weak, nullptr },
                    { "--memory", &o.memory, nullptr } });
    o.memory &= ~UINT64_C(15);
    return o;
}

class Board
{
  public:
    Board(int port, const Options &o)
        : port_(port), unplug_(o.unplug), power_(o.power),
          soc_(o.seed, (unsigned)o.faults, (uint32_t)o.memory)
    {
        soc_.weaken(o.weak);
    }

    uint64_t received() const { return received_; }
    void run()
    {
        while (!stopped && wait()) {
            soc_.run(kSlice);
            send();
        }
    }

  private:
    int port_;
    uint64_t unplug_, power_, received_ = 0;
    Soc soc_;

    /* As much as goes; if the host does not read, later. */
    void send()
    {
        uint8_t bytes[Soc::kBuffered];
        const size_t count = std::min(soc_.up.bytes.size(), sizeof bytes);
        if (!count)
            return;
        std::copy_n(soc_.up.bytes.begin(), count, bytes);
        const ssize_t n = write(port_, bytes, count);
        if (n > 0)
            soc_.up.bytes.erase(soc_.up.bytes.begin(), soc_.up.bytes.begin() + n);
    }

    /* Takes what the host sent; waits for it if there is nothing else to do. False: the port is gone. */
    bool wait()
    {
        struct pollfd p = { port_, (short)(POLLIN | (soc_.up.bytes.empty() ? 0 : POLLOUT)), 0 };
        const int patience = soc_.asleep() ? -1 : soc_.starved() ? 1 : 0;
        if (poll(&p, 1, soc_.up.bytes.empty() ? patience : patience ? 1 : 0) < 0)
            return errno == EINTR;
        uint8_t bytes[4096];
        const ssize_t n = soc_.down.bytes.size() < Soc::kBuffered ? read(port_, bytes, sizeof bytes)
                                                                  : 0;
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        for (ssize_t i = 0; i < n; i++) {
            if (++received_ == unplug_)
                return false;
            if (received_ == power_)
                soc_.lose_power();
            soc_.down.put(bytes[i]);
        }
        return true;
    }
};

} // namespace

int main(int argc, char **argv)
{
    const Options o = parse(argc, argv);
    const int port = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (port < 0 || grantpt(port) || unlockpt(port))
        die("no pseudo terminal");
    const std::string name = ptsname(port);
    /* kept open, so that the port stays when a host leaves it, and raw from the first byte on */
    const int other = open(name.c_str(), O_RDWR | O_NOCTTY);
    struct termios t;
    if (other < 0 || tcgetattr(other, &t))
        die(name.c_str());
    cfmakeraw(&t);
    tcsetattr(other, TCSANOW, &t);
    struct sigaction action = {};
    action.sa_handler = stop; /* without SA_RESTART: poll has to return */
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    if (!o.link.empty()) {
        unlink(o.link.c_str());
        if (symlink(name.c_str(), o.link.c_str()))
            die(o.link.c_str());
    }
    std::printf("%s\n", name.c_str());
    std::fflush(stdout);
    auto board = std::make_unique<Board>(port, o);
    board->run();
    std::printf("%llu bytes from the host\n", (unsigned long long)board->received());
    if (!o.link.empty())
        unlink(o.link.c_str());
    return 0;
}
