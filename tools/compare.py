#!/usr/bin/env python3
# compare.py - every PE kind in every format: runs the jobs, counts the area, replays the netlists, writes the page.
# SPDX-License-Identifier: Apache-2.0
"""Usage: tools/compare.py BUILD      (make compare)

Needs BUILD/accel; writes BUILD/compare/compare.json, .csv, .html and .txt. Settings by environment:
  KINDS, FORMATS   only these (default: all that accel knows)
  JOBS             processes at a time (default: one a processor)
  ACCEL_SHARED     folder with data/resnet8-cifar10 (default ../shared); without it the CNN is tools/shapes.layers
Nothing here names a kind: they come from `accel list`, their shapes from sim/models.txt, their modules from
synth/tile.sh. Synthesis is cached by what it reads. Method and limits: docs/compare.md."""
import concurrent.futures
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import compare_page  # noqa: E402

SYNTH_LIMIT = 3600          # seconds for one netlist: a busy machine is no error


class Progress:
    """One line a finished step, with how many are left."""

    def __init__(self):
        self.done, self.total, self.start, self.lock = 0, 0, time.monotonic(), threading.Lock()

    def step(self, what, seconds, note=""):
        with self.lock:
            self.done += 1
            print("  [%3d/%3d %5.0f s] %s, %.0f s%s" % (self.done, self.total, time.monotonic() - self.start, what,
                                                     seconds, note and ": " + note), flush=True)


def fail(text, status=1):
    print("compare: " + text, file=sys.stderr)
    sys.exit(status)


def words(name):
    return os.environ.get(name, "").replace(",", " ").split()


def run(argv, limit=None, env=None):
    """Output of a command, or an exception with what it said."""
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=limit,
                       env={**os.environ, **env} if env else None)
    if p.returncode:
        lines = (p.stderr or p.stdout).strip().splitlines()
        raise RuntimeError(lines[-1] if lines else "%s failed with %d" % (argv[0], p.returncode))
    return p.stdout


# ------------------------------------------------------------------------------------- kinds and their shapes

class Kind:
    def __init__(self, name, fields):
        self.name = name
        self.id, self.rows, self.lanes, self.units = (int(f) for f in fields[:4])
        self.rest = [int(f) for f in fields[4:]]        # MaxN XDepth WDepth [DBits]
        self.tile, self.extra = run(["synth/tile.sh", name, "top"]).strip(), []
        if len(self.rest) > 3 and re.search(r"parameter\s+DBits\b", open("rtl/pe/%s.v" % self.tile.split()[0]).read()):
            self.extra = ["DBits=%d" % self.rest[3]]
        self.area, self.gates = [], []                  # (rows, counts), two each
        self.notes = []

    def sizes(self, least):
        """Two numbers of rows, as few as keep the slices per row tile, and as a core takes with these lanes."""
        first = max(least, self.rows // self.units)
        while first * self.lanes % 32:
            first *= 2
        return [(r, r * self.units // self.rows) for r in (first, 2 * first)]

    def model(self, rows, units):
        return ":".join(str(v) for v in [self.name, self.id, rows, self.lanes, units] + self.rest)


def find_kinds(accel):
    """The first device of each kind, as accel compare takes them, with its line of sim/models.txt."""
    lines = [re.sub(r"#.*", "", l).split() for l in open("sim/models.txt")]
    kinds = []
    for d in json.loads(run([accel, "list", "--json"]))["devices"]:
        m = re.fullmatch(r"sim:pe=(\w+),rows=(\d+),lanes=(\d+)", d["device"])
        if not m or m[1] in [k.name for k in kinds]:
            continue
        fields = next((l[1:] for l in lines if l and (l[0], l[2], l[3]) == m.groups()), None)
        if not fields:
            fail("sim/models.txt has no line of %s: rebuild accel" % d["device"])
        kinds.append(Kind(m[1], fields))
    wanted = words("KINDS")
    for w in wanted:
        if w not in [k.name for k in kinds]:
            fail("KINDS: no kind '%s'; there are: %s" % (w, " ".join(k.name for k in kinds)), 2)
    return [k for k in kinds if not wanted or k.name in wanted]


# ------------------------------------------------------------------------------------- area

def sources_of(top, files):
    """The module's file and those of everything it names."""
    seen, todo = {}, [top]
    while todo:
        module = todo.pop()
        path = files.get(module)
        if not path or module in seen:
            continue
        seen[module] = open(path).read()
        todo += set(re.findall(r"\w+", seen[module])) & set(files)
    return [seen[m] for m in sorted(seen)]


TECHS = ("gates", "ecp5")


def netlist_key(kind, rows, units, files, yosys):
    parts = sources_of(kind.tile.split()[0], files)
    parts += [open("synth/" + f).read() for f in ("tile.sh", "fence.v", "carry_fold.cc")] + [
        kind.tile, yosys, str((rows, kind.lanes, units, kind.extra))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def synthesize(kind, rows, units, where, key):
    """Counts of one tile in each technology; the files stay in the cache under the hash of what they were made from."""
    out = os.path.join(where, "%s-%dx%d-%s" % (kind.name, rows, kind.lanes, key))
    if not os.path.exists(out + ".ok"):
        run(["synth/tile.sh", kind.name, ",".join(TECHS), str(rows), str(kind.lanes), str(units), out] + kind.extra,
            SYNTH_LIMIT)
        open(out + ".ok", "w").close()
    counts = {}
    for tech in TECHS:
        count = {}
        for line in open("%s-%s.stat" % (out, tech)):
            m = re.fullmatch(r"\s+(\S+)\s+(\d+)\s*", line)
            if m:
                count[m[1]] = int(m[2])
        if tech == "ecp5":
            count = {"lut4": count.get("LUT4", 0), "carry": count.get("CCU2C", 0), "ff": count.get("TRELLIS_FF", 0)}
            count["lut4eq"] = count["lut4"] + 2 * count["carry"]
        else:
            count = {"gates": sum(count.get("$_%s_" % g, 0) for g in ("AND", "OR", "XOR", "MUX", "NOT"))}
        counts[tech] = count
    return counts, out


def at_rows(points, key, rows):
    """Linear in the rows: what all rows share, and what each row adds."""
    (r1, a), (r2, b) = points
    return a[key] + (b[key] - a[key]) * (rows - r1) / (r2 - r1)


# ------------------------------------------------------------------------------------- energy

def build_toggles(where, root):
    """The replay program, with the waveform reader that Verilator brings along."""
    out, src = os.path.join(where, "toggles"), os.path.join(root, "include", "gtkwave")
    newest = os.path.getmtime("synth/toggles.c")
    if os.path.exists(out) and os.path.getmtime(out) > newest:
        return out
    objects = []
    for f in ("fstapi", "fastlz", "lz4"):
        objects.append(os.path.join(where, f + ".o"))
        run(["cc", "-O2", "-w", '-DFST_CONFIG_INCLUDE="fst_config.h"', "-I" + src, "-c", os.path.join(src, f + ".c"),
             "-o", objects[-1]])
    run(["cc", "-std=c11", "-O3", "-I" + src, "synth/toggles.c"] + objects + ["-lz", "-o", out])
    return out


def build_cores(kinds, where, root):
    """accel with small cores of the kinds, compiled fast rather than to run fast."""
    models = " ".join(k.model(r, u) for k in kinds for r, u in k.sizes(2))
    stamp = os.path.join(where, "models")
    if not os.path.exists(stamp) or open(stamp).read() != models:
        os.makedirs(where, exist_ok=True)
        for f in ("sim/table.cpp", "sim/table.o", "release/accel", "accel"):     # make does not see a changed list
            if os.path.exists(os.path.join(where, f)):
                os.remove(os.path.join(where, f))
        open(stamp, "w").write(models)
    flags = ("-std=c++17 -O1 -fPIC -faligned-new -Idriver/include -Idriver/src -Isim -isystem {0}/include -isystem "
             "{0}/include/vltstd -DVM_TRACE=1 -DVM_TRACE_FST=1 -DVM_COVERAGE=0 -DVM_SC=0").format(root)
    run(["make", "--no-print-directory", "-j1", "B=" + where, "SIM_MODELS=" + models, "SIM_CXXFLAGS=" + flags,
         "VERILATOR_FLAGS=-O3 --x-assign fast --x-initial fast --noassert", where + "/accel"],
        env={"MAKEFLAGS": "", "MAKELEVEL": "0"})
    return os.path.join(where, "accel")


def expect_refusal(toggles, netlist, trace):
    """The replay must notice a netlist that computes something else, or its agreement with the trace shows nothing."""
    spoilt = trace + ".blif"
    with open(spoilt, "w") as f:
        f.write(open(netlist).read().replace(".subckt $_XOR_", ".subckt $_OR_"))
    try:
        run([toggles, spoilt, trace])
    except RuntimeError:
        return
    finally:
        os.remove(spoilt)
    raise RuntimeError("a spoilt netlist passed for the tile's")


def switching(kind, wanted, cores, toggles, where):
    """Weighted toggles per multiply-accumulate of one job, for each format and pruning that the kind takes."""
    found = {}
    for (rows, _), netlist in zip(kind.sizes(2), kind.blif):
        for f, pruning in wanted:
            trace = os.path.join(where, "%s-%d-%s.fst" % (kind.name, rows, f))
            uri = "sim:pe=%s,rows=%d,lanes=%d,trace=%s" % (kind.name, rows, kind.lanes, trace)
            c = json.loads(run([cores, "compare", "-d", uri, "--sample", "--json", "--format", f, "--pruning", pruning]))["cells"][0]
            if c["refused"]:
                os.remove(trace)
                continue
            t = json.loads(run([toggles, netlist + ".blif", trace]))
            if not found:
                expect_refusal(toggles, netlist + ".blif", trace)
            os.remove(trace)
            parts = ("logic", "registers", "inputs", "clock", "energy")
            # energy per MAC times rows is linear in the rows, as area is
            found.setdefault((f, pruning), []).append((rows, {p: rows * t[p] / c["many"]["macs"] for p in parts}))
    return {cell: {p: at_rows(points, p, kind.rows) / kind.rows for p in points[0][1]}
            for cell, points in found.items() if len(points) == 2}


# ------------------------------------------------------------------------------------- all of it

def workload_file(where):
    """Recorded layers of a CNN: of ResNet8 if it is here, else of the small one that comes along."""
    shared = os.path.join(os.environ.get("ACCEL_SHARED") or "../shared", "data/resnet8-cifar10")
    recorded = "tools/shapes.layers"
    if os.path.exists(os.path.join(shared, "pretrainedResnet_quant.tflite")):
        out = os.path.join(where, "resnet8.layers")
        run([sys.executable, "tools/resnet8_layers.py", shared, out])
        return out
    return recorded


def measure(build, where, progress):
    accel = os.path.join(build, "accel")
    kinds, formats = find_kinds(accel), words("FORMATS")
    jobs = int(os.environ.get("JOBS") or 0) or len(os.sched_getaffinity(0))
    root = run(["verilator", "--getenv", "VERILATOR_ROOT"]).strip() or "/usr/share/verilator"
    yosys = run(["yosys", "-V"])
    files = {os.path.basename(f)[:-2]: f for f in re.findall(r"^\s*(rtl/\S+)", open("rtl/files.f").read(), re.M)}
    synth = os.path.join(where, "synth")
    os.makedirs(synth, exist_ok=True)
    layers = workload_file(where)
    cells, energy = [], {}

    def timed(what, f, *args):
        start = time.monotonic()
        note = ""
        try:
            return f(*args)
        except (RuntimeError, subprocess.TimeoutExpired) as e:
            note = "FAILED: " + (str(e) if isinstance(e, RuntimeError) else "longer than %d s" % e.timeout)
            return note
        finally:
            progress.step(what, time.monotonic() - start, note)

    def area(kind, rows, units):
        r = timed("area of %s, %d x %d" % (kind.name, rows, kind.lanes), synthesize, kind, rows, units, synth,
                  netlist_key(kind, rows, units, files, yosys))
        if isinstance(r, str):
            kind.notes.append("area, %d rows: %s" % (rows, r))
        return r

    def jobs_of(kind):
        argv = [accel, "compare", "--json", "--kind", kind.name, "--vectors", layers]
        for f in formats:
            argv += ["--format", f]
        r = timed("jobs of %s" % kind.name, lambda: json.loads(run(argv))["cells"])
        if isinstance(r, str):
            fail("%s: %s" % (kind.name, r))
        return r

    if formats:                 # a wrong name is refused now, not after the long part
        check = [a for f in formats for a in ("--format", f)]
        try:
            run([accel, "compare", "--sample", "--json", "--kind", kinds[0].name] + check)
        except RuntimeError as e:
            fail("FORMATS: %s" % e, 2)
    progress.total = len(kinds) * 4 + 1
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        cores = pool.submit(timed, "small cores", build_cores, kinds, os.path.join(where, "cores"), root)
        ran = [pool.submit(jobs_of, k) for k in kinds]
        todo = [(k, r, u) for k in kinds for r, u in k.sizes(2)]
        areas = [(t, pool.submit(area, *t)) for t in sorted(todo, key=lambda t: -t[1] * t[0].lanes)]
        for (kind, rows, _), a in areas:
            r = a.result()
            if not isinstance(r, str):
                kind.area.append((rows, r[0]["ecp5"]))
                kind.gates.append((rows, r[0]["gates"], r[1] + "-gates"))
        for r in ran:
            cells += r.result()
        cores = cores.result()
        toggles = build_toggles(where, root)
        waiting = []
        for k in kinds:
            k.area.sort(key=lambda p: p[0])
            k.gates.sort(key=lambda p: p[0])
            k.blif = [p[2] for p in k.gates]
            k.gates = [p[:2] for p in k.gates]
            names = [(c["format"], c["pruning"]) for c in cells
                     if c["kind"] == k.name and c["workload"] == "llm" and not c["refused"]]
            if len(k.blif) == 2 and not cores.startswith("FAILED"):
                waiting.append((k, pool.submit(timed, "switching of %s" % k.name, switching, k, names, cores, toggles,
                                               where)))
            else:
                k.notes.append("no energy: %s" % (cores if cores.startswith("FAILED") else "a netlist is missing"))
        for k, w in waiting:
            r = w.result()
            if isinstance(r, str):
                k.notes.append("energy: " + r)
            else:
                energy[k.name] = r
    return kinds, cells, energy


def merge(kinds, cells, energy):
    """Put area, energy and the comparison with mac to every cell that ran."""
    table = []
    for k in kinds:
        entry = {"kind": k.name, "rows": k.rows, "lanes": k.lanes, "scale_units": k.units,
                 "module": " ".join([k.tile] + k.extra), "notes": k.notes, "measured": k.area + k.gates}
        if len(k.area) == 2:
            for key in ("lut4", "carry", "ff", "lut4eq"):
                entry[key] = at_rows(k.area, key, k.rows)
        if len(k.gates) == 2:
            entry["gates"] = at_rows(k.gates, "gates", k.rows)
        table.append(entry)
    by_kind = {e["kind"]: e for e in table}
    for c in cells:
        e = by_kind[c["kind"]]
        if c["refused"]:
            continue
        c["lut4eq"] = e.get("lut4eq")
        if c["lut4eq"]:
            for n in ("many", "one"):
                c[n]["lut4eq_per_mac_per_cycle"] = c["lut4eq"] / c[n]["macs_per_cycle"]
        spent = energy.get(c["kind"], {}).get((c["format"], c["pruning"]))
        if spent and c["workload"] == "llm":
            c["energy_per_mac"] = spent["energy"]
            c["energy_parts"] = {p: spent[p] for p in ("logic", "registers", "inputs", "clock")}
    same = {(c["format"], c["workload"], c["pruning"]): c for c in cells if c["kind"] == "mac" and not c["refused"]}
    for c in cells:
        base = same.get((c["format"], c["workload"], c["pruning"]))
        if c["refused"] or not base or not c.get("lut4eq") or not base.get("lut4eq"):
            continue
        for n in ("many", "one"):
            c[n]["speed_at_equal_luts"] = base[n]["lut4eq_per_mac_per_cycle"] / c[n]["lut4eq_per_mac_per_cycle"]
        if "energy_per_mac" in c and "energy_per_mac" in base:
            c["energy_of_mac"] = c["energy_per_mac"] / base["energy_per_mac"]
    return table


def main():
    if len(sys.argv) != 2 or not os.path.exists(os.path.join(sys.argv[1], "accel")):
        fail(__doc__, 2)
    where = os.path.join(sys.argv[1], "compare")
    os.makedirs(where, exist_ok=True)
    progress = Progress()
    try:
        kinds, cells, energy = measure(sys.argv[1], where, progress)
        table = merge(kinds, cells, energy)
    except RuntimeError as e:
        fail(str(e))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    data = {"seconds": round(time.monotonic() - progress.start), "processor_seconds": round(used.ru_utime + used.ru_stime),
            "yosys": run(["yosys", "-V"]).strip(),
            "verilator": run(["verilator", "--version"]).strip(), "kinds": table, "cells": cells}
    compare_page.write(data, where)
    print(open(os.path.join(where, "compare.txt")).read().split("\n\n")[0])     # the first table; the file has all
    print("compare: %s/compare.html, .json, .csv and .txt written in %d s, %d s of processor time"
          % (where, data["seconds"], data["processor_seconds"]))
    if any(k["notes"] for k in table):
        for k in table:
            for n in k["notes"]:
                print("compare: %s: %s" % (k["kind"], n), file=sys.stderr)
        sys.exit(1)


main()
