/* sim_backend.cpp - the sim: backend: jobs run on a Verilated core in this process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim_core.h"

#include "streams.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>

double sc_time_stamp()
{
    return 0;
} /* asked for by the Verilator runtime */

namespace
{

/* Deadlines are given in device time; this is the clock they are counted in. */
constexpr uint64_t kClockHz = 50000000;

struct SimDevice {
    const SimModel *model;
    const pe_kind *kind;
    pack_shape shape;
    std::unique_ptr<SimCore> core;
    job_streams streams = {}; /* reused from job to job */
    ~SimDevice() { streams_free(&streams); }
};

SimDevice *sim(const accel_dev *dev)
{
    return static_cast<SimDevice *>(dev->priv);
}

std::string uri_of(const SimModelInfo &m)
{
    return std::string("sim:pe=") + m.kind + ",rows=" + std::to_string(m.rows) +
           ",lanes=" + std::to_string(m.lanes);
}

std::string built_in()
{
    std::string all;
    for (size_t i = 0; i < sim_model_count; i++) {
        const SimModelInfo &m = sim_models[i].info;
        all += (i ? " " : "") + std::string(m.kind) + ":" + std::to_string(m.rows) + "x" +
               std::to_string(m.lanes);
    }
    return all;
}

bool parse_u32(const char *s, uint32_t *v)
{
    char *end;
    const unsigned long n = std::strtoul(s, &end, 10);
    if (*s < '0' || *s > '9' || *end || n > UINT32_MAX)
        return false;
    *v = (uint32_t)n;
    return true;
}

/* Runs f, turning what C++ throws into a status. */
template <class F> int guarded(accel_error *err, F f)
{
    try {
        return f();
    } catch (const std::bad_alloc &) {
        return accel_fail(err, ACCEL_E_NOMEM, "sim: out of memory");
    }
}

int open(accel_dev *dev, const char *params, accel_error *err)
{
    return guarded(err, [&] {
        char key[256], value[256];
        std::string pe, trace;
        uint32_t rows = 0, lanes = 0;
        const char *cursor = params;
        int rc;
        while ((rc = uri_next_param(&cursor, key, value, err)) > 0) {
            if (std::strcmp(key, "pe") == 0)
                pe = value;
            else if (std::strcmp(key, "rows") == 0 || std::strcmp(key, "lanes") == 0) {
                if (!parse_u32(value, key[0] == 'r' ? &rows : &lanes))
                    return accel_fail(err, ACCEL_E_URI, "sim: %s=%s is not a number", key, value);
            } else if (std::strcmp(key, "trace") == 0)
                trace = value;
            else
                return accel_fail(err, ACCEL_E_URI,
                                  "sim: unknown parameter '%s'; known: pe, rows, lanes, trace",
                                  key);
        }
        if (rc < 0)
            return rc;
        const SimModel *model = nullptr;
        for (size_t i = 0; i < sim_model_count && !model; i++) {
            const SimModelInfo &m = sim_models[i].info;
            if ((pe.empty() || pe == m.kind) && (!rows || rows == m.rows) &&
                (!lanes || lanes == m.lanes))
                model = &sim_models[i];
        }
        if (!model)
            return accel_fail(err, ACCEL_E_URI,
                              "sim: no model of pe=%s rows=%s lanes=%s is built in; there are: %s "
                              "(add others in sim/models.txt)",
                              pe.empty() ? "any" : pe.c_str(),
                              rows ? std::to_string(rows).c_str() : "any",
                              lanes ? std::to_string(lanes).c_str() : "any", built_in().c_str());
        const pe_kind *kind = accel_find_kind(model->info.kind);
        if (!kind)
            return accel_fail(err, ACCEL_E_DEVICE, "sim: no packer for PE kind %s",
                              model->info.kind);
        const SimModelInfo &m = model->info;
        auto d = std::make_unique<SimDevice>();
        d->model = model;
        d->kind = kind;
        d->shape = { m.rows, m.lanes, m.scale_units, m.d_bits, m.o_depth };
        d->core.reset(model->create());
        const uint32_t expect[] = { 0x4c434341,    1,       kind->id, m.rows, m.lanes,
                                    m.scale_units, m.max_n, m.x_depth };
        if (d->core->reg(10) != m.d_bits)
            return accel_fail(err, ACCEL_E_DEVICE,
                              "sim: D has %u bits, expected %u: rebuild the simulator",
                              d->core->reg(10), m.d_bits);
        if (d->core->reg(11) != m.o_depth)
            return accel_fail(err, ACCEL_E_DEVICE,
                              "sim: chunks of %u outliers, expected %u: rebuild the simulator",
                              d->core->reg(11), m.o_depth);
        for (unsigned i = 0; i < sizeof expect / sizeof *expect; i++)
            if (d->core->reg(i) != expect[i])
                return accel_fail(err, ACCEL_E_DEVICE,
                                  "sim: register %u reads %u, expected %u: rebuild the simulator",
                                  i, d->core->reg(i), expect[i]);
        if (!trace.empty() && !d->core->trace(trace.c_str()))
            return accel_fail(err, ACCEL_E_IO, "sim: cannot write the waveform %s: check the path",
                              trace.c_str());
        accel_caps &caps = dev->caps;
        std::snprintf(caps.uri, sizeof caps.uri, "%s", uri_of(m).c_str());
        std::snprintf(caps.pe, sizeof caps.pe, "%s", m.kind);
        caps.rows = m.rows;
        caps.lanes = m.lanes;
        caps.scale_units = m.scale_units;
        caps.max_n = m.max_n;
        caps.max_steps = m.x_depth;
        caps.acc_bits = 48;
        caps.clock_hz = kClockHz;
        dev->priv = d.release();
        return (int)ACCEL_OK;
    });
}

void close(accel_dev *dev)
{
    delete sim(dev);
    dev->priv = nullptr;
}

int load(accel_dev *dev, const accel_matrix *mat, accel_weights *w, accel_error *err)
{
    return streams_load(sim(dev)->kind, &sim(dev)->shape, mat, w, err);
}

int run(accel_dev *dev, const backend_job *job, accel_stats *stats, accel_error *err)
{
    return guarded(err, [&] {
        SimDevice *d = sim(dev);
        const packed &p = *static_cast<const packed *>(job->weights->priv);
        job_streams &streams = d->streams;
        if (streams_of_job(&streams, &d->shape, &p, job, 0))
            return accel_fail(err, ACCEL_E_NOMEM, "sim: out of memory");
        SimJob s = {};
        std::memcpy(s.command, streams.command, sizeof s.command);
        s.codes = p.codes;
        s.code_beats = p.code_beats;
        s.code_bytes = p.beat_bytes;
        s.acts = streams.x.bytes;
        s.act_beats = (size_t)p.steps * job->n;
        s.headers = reinterpret_cast<const uint16_t *>(streams.h.bytes);
        s.header_beats = streams.h.count / d->shape.scale_units / sizeof *s.headers;
        s.outliers = p.outliers;
        s.outlier_beats = p.outlier_beats;
        s.rows = job->weights->rows;
        s.row_tiles = p.row_tiles;
        s.n = job->n;
        s.acc = job->acc;
        s.i8 = job->i8;
        if (job->deadline_ns)
            s.max_cycles = std::max<uint64_t>(
                1, (uint64_t)((double)job->deadline_ns * 1e-9 * kClockHz));
        uint64_t before[10];
        for (unsigned i = 0; i < 10; i++)
            before[i] = d->core->counter(i);
        switch (d->core->run(s)) {
        case SIM_DONE: break;
        case SIM_TIMEOUT:
            return accel_fail(err, ACCEL_E_TIMEOUT,
                              "%s: the deadline of %llu ns passed after %llu cycles at %llu MHz",
                              dev->caps.uri, (unsigned long long)job->deadline_ns,
                              (unsigned long long)s.max_cycles,
                              (unsigned long long)(kClockHz / 1000000));
        case SIM_HUNG:
            return accel_fail(err, ACCEL_E_DEVICE, "%s: the core stopped making progress",
                              dev->caps.uri);
        case SIM_ILLEGAL:
            return accel_fail(err, ACCEL_E_DEVICE, "%s: the core refused the command",
                              dev->caps.uri);
        case SIM_OVERFLOW:
            return accel_fail(err, ACCEL_E_DEVICE, "%s: an accumulator overflowed 48 bits",
                              dev->caps.uri);
        case SIM_STRAY:
            return accel_fail(err, ACCEL_E_DEVICE, "%s: the core lost or invented a beat",
                              dev->caps.uri);
        }
        uint64_t used[STREAMS_COUNTERS];
        for (unsigned i = 0; i < STREAMS_COUNTERS; i++)
            used[i] = d->core->counter(i) - before[i];
        streams_stats(used, job, stats);
        return (int)ACCEL_OK;
    });
}

int can_run(const accel_dev *dev, accel_format f, uint32_t group, accel_error *err)
{
    (void)group; /* any group is padded to whole steps */
    return streams_can_run(sim(dev)->kind, &sim(dev)->shape, f, err);
}

int list(int (*fn)(void *user, const char *uri, const char *what), void *user)
{
    return guarded(nullptr, [&] {
        for (size_t i = 0; i < sim_model_count; i++) {
            const SimModelInfo &m = sim_models[i].info;
            const std::string what = std::string("Verilated core, ") + m.kind + " tile, " +
                                     std::to_string(m.rows) + " rows x " + std::to_string(m.lanes) +
                                     " lanes";
            const int rc = fn(user, uri_of(m).c_str(), what.c_str());
            if (rc)
                return rc;
        }
        return 0;
    });
}

} // namespace

/* No link, nothing to unplug: the rest stays NULL. */
static accel_backend in_process()
{
    accel_backend b = {};
    b.scheme = "sim";
    b.what = "Verilated RTL in this process (default kind and shape)";
    b.open = open;
    b.close = close;
    b.load = load;
    b.run = run;
    b.can_run = can_run;
    b.list = list;
    return b;
}

extern "C" const accel_backend accel_backend_sim = in_process();
