/* faults.h - a device at the end of a simulated USB cable, as a user of the library has it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTS_H
#define FAULTS_H

#include "usb_board.h"

extern "C" {
#include "internal.h"
#include "random_matrix.h"
}

#include <cstdint>
#include <memory>
#include <vector>

struct FreeMatrix {
    void operator()(accel_matrix *m) const { accel_matrix_free(m); }
};

constexpr uint32_t kMemory =
    32768; /* bytes on the board: some weights are kept there, some streamed */

/* A random job and what it must give. */
struct FaultJob {
    std::unique_ptr<accel_matrix, FreeMatrix> mat;
    uint32_t rows, cols, n;
    std::vector<int8_t> x;
    std::vector<int64_t> want, got;
    uint64_t deadline_ns;

    explicit FaultJob(rng &r);
};

/* One way to a board. All times are those of the device's clock, or of the machine's if it has none. */
class Path
{
  public:
    virtual ~Path() = default;
    virtual int open(accel_error *err) = 0;
    virtual int reopen(accel_error *err) = 0;
    virtual void close() = 0;
    virtual int run(FaultJob &job, accel_error *err) = 0;
    /* From now on. @return what cannot be done, "" if nothing */
    virtual const char *follow(const fault_plan &plan) = 0;
    virtual bool plugged_in() = 0;
    virtual uint32_t replug_ms() = 0;
    /* After so many milliseconds. @return what is wrong, "" if nothing */
    virtual const char *plug_in(uint32_t ms) = 0;
    virtual void unplug() = 0;
    virtual uint64_t now_ns() = 0;
    /* Of the plan's faults so many have happened. */
    virtual unsigned struck() = 0;
};

/* remote.c on the host model, in the device's time: what is between them in a computer is left out. */
std::unique_ptr<Path> direct_path();
/* The usb: backend and libusb, in the machine's time. */
std::unique_ptr<Path> usb_path();

#endif
