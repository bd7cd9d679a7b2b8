/* tb_no_sim.cpp - keeps the simulator out of the testbenches, which want the golden model only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

static int open_none(accel_dev *, const char *, accel_error *err)
{
    return accel_fail(err, ACCEL_E_URI, "sim: is not part of a testbench");
}

static accel_backend none()
{
    accel_backend b = {};
    b.scheme = "sim";
    b.what = "none";
    b.open = open_none;
    return b;
}

extern "C" const accel_backend accel_backend_sim = none();
