/* usbip.cpp - accel-usbip: the Verilated core and link as a USB device of this machine's kernel. The kernel's vhci_hcd
 * takes it for one at a real port: usbcore enumerates it, usbfs hands it to libusb.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The protocol is USB/IP, Documentation/usb/usbip_protocol.rst of the kernel: requests and answers of 48 bytes with
 * data behind them, over a socket that the kernel is given by a line in sysfs. */
#include "options.h"
#include "soc.h"

#include "link_constants.h"
#include "verilated.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
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
constexpr int kSlice = 2000;                 /* cycles between two looks at the socket */
constexpr size_t kLongest = 1u << 20;        /* bytes of a transfer; usbfs sends less */
constexpr unsigned kHighSpeed = 3;           /* as the kernel numbers them */
constexpr unsigned kDeviceId = 1u << 16 | 2; /* bus and address, which only have to be given back */
enum { SUBMIT = 1, UNLINK = 2, SUBMITTED = 3, UNLINKED = 4 };
/* The kernel's error numbers cross the socket negated. */
constexpr int kStalled = -EPIPE, kUnlinked = -ECONNRESET;

volatile std::sig_atomic_t stopped = 0;

void stop(int)
{
    stopped = 1;
}

const char *const kUsage =
    "Usage: accel-usbip [--faults N] [--seed N] [--unplug BYTES] [--replug MS]\n"
    "\n"
    "Plugs a simulated board into a virtual port of this machine (needs root and the module vhci-hcd).\n"
    "  --faults N      damage, lose or repeat something about once in N bytes of the link, both ways\n"
    "  --seed N        of the faults (default 1)\n"
    "  --unplug BYTES  unplug it after so many bytes from the host\n"
    "  --replug MS     ... and plug it in again after so many milliseconds (default: not)\n";

struct Options {
    uint64_t faults = 0, replug = 0, seed = 1, unplug = 0;
};

Options parse(int argc, char **argv)
{
    Options o;
    parse_options(argc, argv, kUsage,
                  { { "--faults", &o.faults, nullptr },
                    { "--seed", &o.seed, nullptr },
                    { "--unplug", &o.unplug, nullptr },
                    { "--replug", &o.replug, nullptr } });
    return o;
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

struct Request {
    Header head;
    std::vector<uint8_t> data; /* OUT: for the device */
    uint32_t length() const { return ntohl(head.submit.length); }
};

class Usb
{
  public:
    Usb(int socket, const Options &o)
        : socket_(socket), unplug_(o.unplug), soc_(o.seed, (unsigned)o.faults)
    {
    }

    /* Until the cable is pulled, by either side. */
    void serve()
    {
        while (!stopped && take()) {
            soc_.run(kSlice);
            feed();
        }
    }

  private:
    int socket_;
    uint64_t unplug_, received_ = 0;
    Soc soc_;
    std::deque<Request> out_, in_; /* bulk transfers that wait for room, and for bytes */

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

    void answer(const Request &r, int status, size_t count, const uint8_t *data)
    {
        Header h = {};
        h.command = htonl(SUBMITTED);
        h.sequence = r.head.sequence;
        h.submitted.status = htonl((uint32_t)status);
        h.submitted.length = htonl((uint32_t)count);
        write_all(&h, sizeof h);
        if (data && count)
            write_all(data, count);
    }

    /* Takes what the kernel sent; waits for it if there is nothing else to do. False: unplugged. */
    bool take()
    {
        struct pollfd p = { socket_, POLLIN, 0 };
        const bool idle = out_.empty() && soc_.asleep();
        const int ready = poll(&p, 1, idle ? -1 : soc_.starved() ? 1 : 0);
        if (ready <= 0)
            return ready == 0 || errno == EINTR;
        Request r;
        if (!read_all(&r.head, sizeof r.head))
            return false;
        switch (ntohl(r.head.command)) {
        case SUBMIT: return submit(std::move(r));
        case UNLINK: unlink(r.head); return true;
        default: std::fprintf(stderr, "accel-usbip: unknown request\n"); return false;
        }
    }

    bool submit(Request &&r)
    {
        if (r.length() > kLongest) {
            std::fprintf(stderr, "accel-usbip: a transfer of %u bytes\n", r.length());
            return false;
        }
        const bool in = ntohl(r.head.in) != 0;
        if (!in) {
            r.data.resize(r.length());
            if (!read_all(r.data.data(), r.data.size()))
                return false;
        }
        switch (ntohl(r.head.endpoint)) {
        case 0: control(r); return true;
        case LINK_USB_ENDPOINT: break;
        default: answer(r, kStalled, 0, nullptr); return true;
        }
        received_ += r.data.size();
        (in ? in_ : out_).push_back(std::move(r));
        return !unplug_ || received_ < unplug_;
    }

    void unlink(const Header &h)
    {
        Header back = {};
        back.command = htonl(UNLINKED);
        back.sequence = h.sequence;
        for (auto *q : { &in_, &out_ })
            for (auto r = q->begin(); r != q->end(); ++r)
                if (r->head.sequence == h.sequence_or_status) {
                    q->erase(r);
                    back.sequence_or_status = htonl((uint32_t)kUnlinked);
                    write_all(&back, sizeof back);
                    return;
                }
        write_all(&back, sizeof back); /* it ended before */
    }

    void feed()
    {
        while (!out_.empty() && soc_.down.bytes.size() < Soc::kBuffered) {
            for (const uint8_t b : out_.front().data)
                soc_.down.put(b);
            answer(out_.front(), 0, out_.front().data.size(), nullptr);
            out_.pop_front();
        }
        while (!in_.empty() && !soc_.up.bytes.empty()) {
            const size_t n = std::min<size_t>(in_.front().length(), soc_.up.bytes.size());
            const std::vector<uint8_t> bytes(soc_.up.bytes.begin(),
                                             soc_.up.bytes.begin() + (ptrdiff_t)n);
            soc_.up.bytes.erase(soc_.up.bytes.begin(), soc_.up.bytes.begin() + (ptrdiff_t)n);
            answer(in_.front(), 0, n, bytes.data());
            in_.pop_front();
        }
    }

    void control(const Request &r)
    {
        static const uint8_t device[] = { 18,
                                          1,
                                          0,
                                          2,
                                          0xff,
                                          0,
                                          0,
                                          64,
                                          LINK_USB_VENDOR & 255,
                                          LINK_USB_VENDOR >> 8,
                                          LINK_USB_PRODUCT & 255,
                                          LINK_USB_PRODUCT >> 8,
                                          0,
                                          LINK_PROTOCOL_MAX,
                                          0,
                                          0,
                                          1,
                                          1 };
        static const uint8_t configuration[] = {
            9,    2,   32, 0, 1, 1, 0,
            0x80, 250, 9,  4, 0, 0, 2,
            0xff, 0,   0,  0, 7, 5, LINK_USB_ENDPOINT,
            2,    0,   2,  0, 7, 5, LINK_USB_ENDPOINT | 0x80,
            2,    0,   2,  0,
        };
        static const uint8_t languages[] = { 4, 3, 9, 4 },
                             serial[] = { 8, 3, 'S', 0, 'I', 0, 'M', 0 }, zeros[2] = {};
        const uint8_t *s = r.head.submit.setup, *data = nullptr;
        size_t count = 0;
        const auto give = [&](const uint8_t *d, size_t n) { data = d, count = n; };
        switch (s[0] << 8 | s[1]) {
        case 0x8006: /* GET_DESCRIPTOR */
            switch (s[3] << 8 | s[2]) {
            case 0x100: give(device, sizeof device); break;
            case 0x200: give(configuration, sizeof configuration); break;
            case 0x300: give(languages, sizeof languages); break;
            case 0x301: give(serial, sizeof serial); break;
            default: answer(r, kStalled, 0, nullptr); return;
            }
            break;
        case 0x8000:
        case 0x8100:
        case 0x8200: give(zeros, 2); break; /* GET_STATUS */
        case 0x0009:
        case 0x010b:
        case 0x0201: break; /* SET_CONFIGURATION, SET_INTERFACE, clear a halt */
        default: answer(r, kStalled, 0, nullptr); return;
        }
        answer(r, 0, std::min<size_t>(count, s[6] | s[7] << 8), data);
    }
};

/* A board that has just got its power, at the first virtual port. */
int plug_in()
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) {
        std::perror("accel-usbip: socketpair");
        std::exit(1);
    }
    const std::string line = "0 " + std::to_string(pair[1]) + " " + std::to_string(kDeviceId) +
                             " " + std::to_string(kHighSpeed);
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
    Options o = parse(argc, argv);
    struct sigaction action = {};
    action.sa_handler = stop; /* without SA_RESTART: poll has to return */
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    for (;;) {
        const int socket = plug_in();
        std::make_unique<Usb>(socket, o)->serve();
        close(socket);
        if (stopped || !o.unplug || !o.replug)
            return 0;
        o.unplug = 0;
        usleep((useconds_t)o.replug * 1000);
    }
}
