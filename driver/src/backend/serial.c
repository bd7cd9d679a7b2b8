/* serial.c - the serial: backend: a board at a serial port, or a simulated one behind a pseudo terminal.
 * SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* fast baud rates, flock */
#include "../internal.h"
#include "../link/remote.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define DEFAULT_BAUD 3000000u
#define LONGEST      1024u /* payload of a frame: what one wrong bit costs */
#define SILENCE_MS   5000u
#define LATENCY_NS   50000000ull /* of ports that collect bytes before they hand them on */

struct port {
    struct remote *remote; /* first, as remote.h asks */
    int fd;
    char path[256], record[256];
    uint32_t baud, silence_ms;
    speed_t speed;
};

static const struct baud {
    uint32_t rate;
    speed_t code;
} bauds[] = {
    { 9600, B9600 },       { 19200, B19200 },     { 38400, B38400 },     { 57600, B57600 },
    { 115200, B115200 },   { 230400, B230400 },   { 460800, B460800 },   { 500000, B500000 },
    { 576000, B576000 },   { 921600, B921600 },   { 1000000, B1000000 }, { 1152000, B1152000 },
    { 1500000, B1500000 }, { 2000000, B2000000 }, { 2500000, B2500000 }, { 3000000, B3000000 },
    { 3500000, B3500000 }, { 4000000, B4000000 },
};

/* ---- what carries the bytes ---- */

static int gone(const struct port *p, struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_GONE, "%s: the port is gone: was it unplugged? (%s)", p->path,
                      strerror(errno));
}

static int move_bytes(void *priv, const uint8_t *out, size_t count, size_t *written, uint8_t *in,
                      size_t room, size_t *got, uint64_t wait_ns, struct accel_error *err)
{
    const struct port *p = priv;
    struct pollfd f = { .fd = p->fd, .events = POLLIN };
    if (count)
        f.events |= POLLOUT;
    const int ms = (int)((wait_ns + 999999) / 1000000);
    if (poll(&f, 1, ms) < 0 && errno != EINTR)
        return accel_fail(err, ACCEL_E_IO, "%s: poll: %s", p->path, strerror(errno));
    *written = *got = 0;
    if (f.revents & POLLOUT) {
        const ssize_t n = write(p->fd, out, count);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return gone(p, err);
        *written = n < 0 ? 0 : (size_t)n;
    }
    if (f.revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) {
        errno = EIO;
        const ssize_t n = read(p->fd, in, room);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return gone(p, err);
        *got = n < 0 ? 0 : (size_t)n;
    }
    return ACCEL_OK;
}

/* ---- opening, and what may be in the way ---- */

/* "; ports here: /dev/ttyUSB0 ..." or nothing. */
static void list_ports(char *text, size_t size)
{
    DIR *dev = opendir("/dev");
    size_t used = 0;
    text[0] = '\0';
    for (const struct dirent *e; dev && (e = readdir(dev)) != NULL;) {
        if (strncmp(e->d_name, "ttyUSB", 6) != 0 && strncmp(e->d_name, "ttyACM", 6) != 0)
            continue;
        const int n = snprintf(text + used, size - used, "%s /dev/%.20s",
                               used ? "" : "; ports here:", e->d_name);
        if (n < 0 || (size_t)n >= size - used)
            break;
        used += (size_t)n;
    }
    if (dev)
        closedir(dev);
}

static int cannot_open(const char *path, struct accel_error *err)
{
    char ports[128];
    switch (errno) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
        list_ports(ports, sizeof ports);
        return accel_fail(err, ACCEL_E_IO,
                          "serial: there is no port %s: is the board plugged in?%s", path, ports);
    case EACCES:
    case EPERM:
        return accel_fail(err, ACCEL_E_IO,
                          "serial: no permission for %s: run `sudo usermod -aG dialout $USER`, "
                          "then log in again",
                          path);
    default:
        return accel_fail(err, ACCEL_E_IO, "serial: cannot open %s: %s", path, strerror(errno));
    }
}

/* Who holds the lock on the port: the process's number and name, as far as the system says. */
static int busy(const struct port *p, struct accel_error *err)
{
    struct stat s;
    char line[128], name[64] = "", path[64];
    unsigned long inode;
    int pid = 0;
    FILE *locks = fstat(p->fd, &s) == 0 ? fopen("/proc/locks", "r") : NULL;
    while (locks && !pid && fgets(line, sizeof line, locks))
        if (sscanf(line, "%*s FLOCK %*s %*s %d %*[^:]:%*[^:]:%lu", &pid, &inode) != 2 ||
            inode != s.st_ino)
            pid = 0;
    if (locks)
        fclose(locks);
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    FILE *comm = pid ? fopen(path, "r") : NULL;
    if (comm && fgets(name, sizeof name, comm))
        name[strcspn(name, "\n")] = '\0';
    if (comm)
        fclose(comm);
    if (!pid)
        return accel_fail(err, ACCEL_E_IO, "serial: %s is in use by another process: end it first",
                          p->path);
    return accel_fail(err, ACCEL_E_IO, "serial: %s is in use by process %d (%s): end it first",
                      p->path, pid, name);
}

static int set_up(const struct port *p, struct accel_error *err)
{
    struct termios t;
    if (tcgetattr(p->fd, &t))
        return accel_fail(err, ACCEL_E_IO, "serial: %s is no serial port: %s", p->path,
                          strerror(errno));
    cfmakeraw(&t);
    t.c_cflag |= CLOCAL | CREAD;
    t.c_cflag &= ~(tcflag_t)(CRTSCTS | CSTOPB);
    t.c_cc[VMIN] = 1; /* so that 0 bytes read mean that the port is gone */
    t.c_cc[VTIME] = 0;
    if (cfsetispeed(&t, p->speed) || cfsetospeed(&t, p->speed) || tcsetattr(p->fd, TCSANOW, &t))
        return accel_fail(err, ACCEL_E_IO, "serial: %s does not take these settings: %s", p->path,
                          strerror(errno));
    tcflush(p->fd, TCIOFLUSH);
    return ACCEL_OK;
}

static int parse(const char *params, struct port *p, struct accel_error *err)
{
    char key[256], value[256];
    size_t len = strcspn(params, ",");
    const char *cursor = params + len + (params[len] == ',');
    int rc;
    if (len == 0 || len >= sizeof p->path)
        return accel_fail(err, ACCEL_E_URI,
                          "serial: name the port, as in serial:/dev/ttyUSB0 or "
                          "serial:/dev/ttyUSB0,baud=115200");
    memcpy(p->path, params, len);
    p->path[len] = '\0';
    p->baud = DEFAULT_BAUD;
    p->silence_ms = SILENCE_MS;
    while ((rc = uri_next_param(&cursor, key, value, err)) > 0) {
        if (strcmp(key, "baud") == 0)
            rc = uri_number("serial", key, value, &p->baud, err);
        else if (strcmp(key, "silence") == 0)
            rc = uri_number("serial", key, value, &p->silence_ms, err);
        else if (strcmp(key, "record") == 0)
            rc = (memcpy(p->record, value, sizeof value), ACCEL_OK);
        else
            rc = accel_fail(err, ACCEL_E_URI,
                            "serial: unknown parameter '%s'; known: baud, silence, record", key);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < sizeof bauds / sizeof *bauds && !rc; i++)
        if (bauds[i].rate == p->baud) {
            p->speed = bauds[i].code;
            return ACCEL_OK;
        }
    return rc ? rc
              : accel_fail(err, ACCEL_E_URI,
                           "serial: baud=%u is no rate of serial ports; those are 9600, 115200, "
                           "921600, 1000000, 3000000 and others between",
                           (unsigned)p->baud);
}

static int open_port(struct port *p, struct accel_error *err)
{
    p->fd = open(p->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (p->fd < 0)
        return cannot_open(p->path, err);
    if (flock(p->fd, LOCK_EX | LOCK_NB))
        return busy(p, err);
    return set_up(p, err);
}

static void serial_close(struct accel_dev *dev)
{
    struct port *p = dev->priv;
    remote_close(p->remote);
    if (p->fd >= 0)
        close(p->fd);
    free(p);
    dev->priv = NULL;
}

static int serial_open(struct accel_dev *dev, const char *params, struct accel_error *err)
{
    struct port *p = calloc(1, sizeof *p);
    if (!p)
        return accel_fail(err, ACCEL_E_NOMEM, "out of memory: opening serial:%.80s", params);
    p->fd = -1;
    dev->priv = p;
    int rc = parse(params, p, err);
    if (!rc)
        rc = open_port(p, err);
    if (!rc) {
        /* a full window's worth of bytes, twice, at ten bits each */
        const uint64_t window = 2ull * LINK_WINDOW * (LONGEST + LINK_OVERHEAD) * 10;
        const uint64_t timeout = LATENCY_NS + window * 1000000000ull / p->baud;
        const uint64_t silence = p->silence_ms * 1000000ull;
        const struct carrier carrier = {
            .name = p->path,
            .move = move_bytes,
            .priv = p,
            .timing = { timeout, silence > 4 * timeout ? silence : 4 * timeout },
            .longest = LONGEST,
            .when_silent = "check the port, baud=, and that the board has its gateware",
        };
        rc = remote_open(dev, &carrier, p->record, &p->remote, err);
    }
    const int len = rc ? 0
                       : snprintf(dev->caps.uri, sizeof dev->caps.uri, "serial:%s,baud=%u", p->path,
                                  (unsigned)p->baud);
    if (len >= (int)sizeof dev->caps.uri)
        rc = accel_fail(err, ACCEL_E_URI, "serial: %.60s... is too long a name: use a link to it",
                        p->path);
    if (rc) {
        serial_close(dev);
        return rc;
    }
    snprintf(dev->caps.backend, sizeof dev->caps.backend, "serial");
    return ACCEL_OK;
}

static int serial_reopen(struct accel_dev *dev, struct accel_error *err)
{
    struct port *p = dev->priv;
    if (p->fd >= 0)
        close(p->fd);
    int rc = open_port(p, err);
    return rc ? rc : remote_reopen(p->remote, err);
}

const struct accel_backend accel_backend_serial = {
    .scheme = "serial",
    .open = serial_open,
    .close = serial_close,
    .load = remote_load,
    .run = remote_run,
    .can_run = remote_can_run,
    .peek = remote_peek,
    .poke = remote_poke,
    .replay = remote_replay,
    .reset = remote_reset,
    .reopen = serial_reopen,
};
