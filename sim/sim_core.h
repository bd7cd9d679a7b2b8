/* sim_core.h - one Verilated core behind a plain interface, so that the backend need not know its shape.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SIM_CORE_H
#define ACCEL_SIM_CORE_H

#include <cstddef>
#include <cstdint>

/* What was built in: one line of sim/models.txt. */
struct SimModelInfo {
    const char *kind;
    uint32_t rows, lanes, scale_units, max_n, x_depth, d_bits, o_depth;
};

/* One GEMM as the core's streams, docs/core.md. Activation beats are
 * lanes bytes, header beats scale_units 16-bit words. */
struct SimJob {
    uint32_t command[4];
    const uint8_t *codes;
    size_t code_beats, code_bytes; /* bytes of a beat */
    const uint8_t *acts;
    size_t act_beats;
    const uint16_t *headers;
    size_t header_beats;
    const uint64_t *outliers;
    size_t outlier_beats;
    uint32_t rows, row_tiles, n;
    int64_t *acc;        /* [n][rows], or */
    int8_t *i8;          /* the same, requantized */
    uint64_t max_cycles; /* 0: no limit */
};

enum SimOutcome { SIM_DONE, SIM_TIMEOUT, SIM_HUNG, SIM_ILLEGAL, SIM_OVERFLOW, SIM_STRAY };

class SimCore
{
  public:
    virtual ~SimCore() = default;
    virtual SimOutcome run(const SimJob &job) = 0;
    virtual uint32_t reg(unsigned addr) = 0;
    virtual void reset() = 0;
    virtual bool trace(const char *path) = 0; /* false: cannot write there */
    uint64_t counter(unsigned i) { return reg(16 + 2 * i) | (uint64_t)reg(17 + 2 * i) << 32; }
};

/* One entry a built-in model, the default first; made from sim/models.txt. */
struct SimModel {
    SimModelInfo info;
    SimCore *(*create)(); /* may throw std::bad_alloc */
};
extern const SimModel sim_models[];
extern const size_t sim_model_count;

#endif
