/* usbip.cpp - accel-usbip: the Verilated device, from its USB pins on, as a USB device of this machine's kernel. The kernel's
 * vhci_hcd takes it for one at a real port: usbcore enumerates it, usbfs hands it to libusb. Each transfer goes on over the bus
 * of usb_host.h, packet by packet, on a cable that follows a fault plan.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The protocol is USB/IP, Documentation/usb/usbip_protocol.rst of the kernel: requests and answers of 48 bytes with
 * data behind them, over a socket that the kernel is given by a line in sysfs. */
#include "options.h"
#include "usb_board.h"

#include "link_constants.h"
#include "verilated.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <list>
#include <memory>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

double sc_time_stamp()
{
    return 0;
} /* asked for by the Verilator runtime */

namespace
{

constexpr char kVhci[] = "/sys/devices/platform/vhci_hcd.0/attach";
constexpr int kSteps = 16;                         /* of the bus, between two looks at the socket */
constexpr size_t kLongest = 1u << 20;              /* bytes of a transfer; usbfs sends less */
constexpr unsigned kFullSpeed = 2, kHighSpeed = 3; /* as the kernel numbers them */
constexpr unsigned kDeviceId = 1u << 16 | 2; /* bus and address, which only have to be given back */
enum { SUBMIT = 1, UNLINK = 2, SUBMITTED = 3, UNLINKED = 4 };

volatile std::sig_atomic_t stopped = 0;

void stop(int)
{
    stopped = 1;
}

const char *const kUsage =
    "Usage: accel-usbip [--plan FAULTS] [--memory BYTES]\n"
    "\n"
    "Plugs a simulated board into a virtual port of this machine (needs root and the module vhci-hcd).\n"
    "  --plan FAULTS   what goes wrong on its cable, from when it is plugged in: docs/testing.md, for\n"
    "                  example 'flip bit 3 of byte 4096; unplug at byte 65536, replug after 500 ms'\n"
    "  --memory BYTES  external memory, a multiple of 16 (default 0: none)\n";

struct Options {
    std::string plan;
    uint64_t memory = 0;
};

[[noreturn]] void die(const char *what, const char *why)
{
    std::fprintf(stderr, "accel-usbip: %s: %s\n", what, why);
    std::exit(1);
}

/* The kernel's error numbers cross the socket negated. */
int error_of(UsbStatus s)
{
    switch (s) {
    case UsbStatus::Done: return 0;
    case UsbStatus::Stalled: return -EPIPE;
    case UsbStatus::Gone: return -ESHUTDOWN;
    default: return -EPROTO;
    }
}

/* All fields big-endian. */
struct Header {
    uint32_t command, sequence, device, in, endpoint;
    union {
        struct {
            uint32_t flags, length, frame, packets, interval;
            uint8_t setup[8];
        } submit;
        struct {
            uint32_t status, length, frame, packets, errors;
            uint8_t unused[8];
        } submitted;
        uint32_t sequence_or_status; /* of UNLINK and UNLINKED */
    };
};
static_assert(sizeof(Header) == 48, "as the protocol has it");

/* The board at the kernel's end of a socket. */
class Port
{
  public:
    Port(int socket, UsbBoard &board) : socket_(socket), board_(board) {}
    ~Port()
    {
        for (Urb &u : urbs_)
            board_.host.cancel(&u.transfer);
        close(socket_);
    }

    /* Until the cable is pulled, by either side. */
    void serve()
    {
        while (!stopped && take() && board_.plugged_in())
            for (int i = 0; i < kSteps && board_.plugged_in(); i++)
                if (UsbTransfer *t = board_.step())
                    end(t);
    }

  private:
    struct Urb {
        UsbTransfer transfer;
        uint32_t sequence; /* as it came */
    };
    int socket_;
    UsbBoard &board_;
    std::list<Urb> urbs_;

    bool read_all(void *to, size_t count)
    {
        for (uint8_t *p = (uint8_t *)to; count;) {
            const ssize_t n = read(socket_, p, count);
            if (n == 0 || (n < 0 && errno != EINTR))
                return false;
            p += std::max<ssize_t>(n, 0);
            count -= (size_t)std::max<ssize_t>(n, 0);
        }
        return true;
    }

    void write_all(const void *from, size_t count)
    {
        for (const uint8_t *p = (const uint8_t *)from; count;) {
            const ssize_t n = send(socket_, p, count, MSG_NOSIGNAL);
            if (n < 0 && errno != EINTR)
                return; /* the next read says the same */
            p += std::max<ssize_t>(n, 0);
            count -= (size_t)std::max<ssize_t>(n, 0);
        }
    }

    void answer(uint32_t sequence, int status, size_t count, const uint8_t *data)
    {
        Header h = {};
        h.command = htonl(SUBMITTED);
        h.sequence = sequence;
        h.submitted.status = htonl((uint32_t)status);
        h.submitted.length = htonl((uint32_t)count);
        write_all(&h, sizeof h);
        if (data && count)
            write_all(data, count);
    }

    /* Takes all that the kernel has sent; waits for it if there is nothing else to do. False: unplugged. */
    bool take()
    {
        for (bool idle = board_.quiet();; idle = false) {
            struct pollfd p = { socket_, POLLIN, 0 };
            const int ready = poll(&p, 1, !idle ? 0 : board_.asleep() ? -1 : 1);
            if (ready <= 0)
                return ready == 0 || errno == EINTR;
            Header h;
            if (!read_all(&h, sizeof h))
                return false;
            switch (ntohl(h.command)) {
            case SUBMIT:
                if (!submit(h))
                    return false;
                break;
            case UNLINK: unlink(h); break;
            default: std::fprintf(stderr, "accel-usbip: unknown request\n"); return false;
            }
        }
    }

    bool submit(const Header &h)
    {
        const bool in = ntohl(h.in) != 0;
        const uint32_t length = ntohl(h.submit.length), endpoint = ntohl(h.endpoint);
        if (length > kLongest) {
            std::fprintf(stderr, "accel-usbip: a transfer of %u bytes\n", length);
            return false;
        }
        std::vector<uint8_t> bytes(length);
        if (!in && !read_all(bytes.data(), length))
            return false;
        if (endpoint == 0) {
            control(h, bytes);
        } else if (endpoint != LINK_USB_ENDPOINT) {
            answer(h.sequence, -EPIPE, 0, nullptr);
        } else {
            urbs_.emplace_back();
            Urb &u = urbs_.back();
            u.sequence = h.sequence;
            u.transfer.in = in;
            u.transfer.bytes = std::move(bytes);
            u.transfer.user = &u;
            board_.submit(&u.transfer);
        }
        return true;
    }

    /* The data stage is as long as the setup packet says; the kernel makes its buffer so. */
    void control(const Header &h, std::vector<uint8_t> &bytes)
    {
        const uint8_t *s = h.submit.setup;
        bytes.resize(std::max<size_t>(bytes.size(), s[6] | s[7] << 8));
        const int n = board_.host.control(s[0], s[1], (uint16_t)(s[2] | s[3] << 8),
                                          (uint16_t)(s[4] | s[5] << 8), bytes.data(),
                                          (uint16_t)(s[6] | s[7] << 8));
        const bool in = ntohl(h.in) != 0;
        answer(h.sequence,
               n >= 0    ? 0
               : n == -1 ? -EPIPE
                         : -EPROTO,
               n >= 0 ? (size_t)n : 0, in ? bytes.data() : nullptr);
    }

    void forget(const Urb *urb)
    {
        urbs_.remove_if([&](const Urb &other) { return &other == urb; });
    }

    void unlink(const Header &h)
    {
        Header back = {};
        back.command = htonl(UNLINKED);
        back.sequence = h.sequence;
        for (Urb &u : urbs_)
            if (u.sequence == h.sequence_or_status) {
                board_.host.cancel(&u.transfer);
                forget(&u);
                back.sequence_or_status = htonl((uint32_t)-ECONNRESET);
                break;
            }
        write_all(&back, sizeof back); /* 0: it ended before */
    }

    void end(UsbTransfer *t)
    {
        const Urb *u = static_cast<Urb *>(t->user);
        answer(u->sequence, error_of(t->status), t->done, t->in ? t->bytes.data() : nullptr);
        forget(u);
    }
};

/* A board that has just got its power, at the first virtual port. @return the socket */
int plug_in(UsbBoard &board)
{
    const char *wrong = board.plug_in();
    if (*wrong)
        die("the board", wrong);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        die("socketpair", std::strerror(errno));
    const std::string line = "0 " + std::to_string(pair[1]) + " " + std::to_string(kDeviceId) +
                             " " + std::to_string(board.host.high() ? kHighSpeed : kFullSpeed);
    /* After a board was unplugged the port takes a moment. */
    for (int tries = 0; tries < 100; tries++) {
        const int file = open(kVhci, O_WRONLY);
        if (file < 0)
            break;
        const bool done = write(file, line.data(), line.size()) == (ssize_t)line.size();
        close(file);
        if (done) {
            close(pair[1]);
            return pair[0];
        }
        usleep(50000);
    }
    std::fprintf(stderr, "accel-usbip: %s: %s: load the module vhci-hcd, as root\n", kVhci,
                 std::strerror(errno));
    std::exit(1);
}

} // namespace

int main(int argc, char **argv)
{
    Options o;
    parse_options(argc, argv, kUsage,
                  { { "--plan", nullptr, &o.plan }, { "--memory", &o.memory, nullptr } });
    if (o.memory > UINT32_MAX || o.memory % 16)
        die("--memory", "a multiple of 16 below 4294967296 is expected");
    fault_plan plan = {};
    char why[200];
    if (fault_plan_parse(o.plan.c_str(), &plan, why, sizeof why))
        die("--plan", why);
    struct sigaction action = {};
    action.sa_handler = stop; /* without SA_RESTART: poll has to return */
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    const auto board = std::make_unique<UsbBoard>((uint32_t)o.memory);
    for (bool first = true;; first = false) {
        const int socket = plug_in(*board);
        if (first) {
            const char *wrong = board->follow(plan);
            if (*wrong)
                die("--plan", wrong);
        }
        Port(socket, *board).serve();
        if (stopped || board->plugged_in() || !board->replug_ms())
            return 0;
        usleep((useconds_t)board->replug_ms() * 1000);
    }
}
