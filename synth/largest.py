#!/usr/bin/env python3
# largest.py - for each board and PE kind the largest tile, rows x lanes, that its FPGA has room for, by synthesis.
# SPDX-License-Identifier: Apache-2.0
"""synth/largest.py OUT NEXTPNR 'NAME CORE MHZ DEVICE MODULE PARAMETER=VALUE...' ...

NEXTPNR: the program, which packs netlists: what it counts is what counts. Writes OUT/largest.json and OUT/largest.txt.
Settings: KINDS="lut bitserial mac lut4 tlut"
          SHARE=80     per cent of the LUTs, block RAMs and multipliers that may be taken
          CONFIRM=1    0: print what the model says; 1: synthesize the candidate, and smaller ones if it does not fit; 2: the next larger one, too
          JOBS=1       syntheses at once
Syntheses that are there, younger than the sources, are not done again. Method: docs/synthesis.md."""
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tools"))
from synth_page import FORMULA, LEFT_OUT, board, largest_text  # noqa: E402

# COMB, block RAMs (18 kbit), multipliers (18 x 18). A 12F is a 25F.
DEVICES = {"--12k": (24288, 56, 28), "--25k": (24288, 56, 28), "--85k": (83640, 208, 156)}
NAMES = ("comb", "ram", "dsp")
THREES = ("lut3", "tlut")
# planes of a word of the weight buffer for each row and lane, cycles of a step of two-bit weights
PLANES = {"mac": 8, "tlut": 5 / 3}
CYCLES = {"mac": 1, "tlut": 1}
# shapes of the tiles that the model is fitted to: the cheap kinds can afford larger ones
ROWS = {"lut": (4, 8), "bitserial": (4, 8)}
AROUND = (8, 16)    # rows of the cores without theirs; fewer have some memories in LUTs
BASE = (4, 16)      # rows and lanes of the cores of which only differences count


def lanes_of(kind, lanes):
    return lanes * 3 // 2 if kind in THREES else lanes


def units_of(kind, rows, lanes):
    """Rows scaled a cycle, so that a chunk of 256 two-bit weights is scaled while the next one is in the tile; at least the boards' 2."""
    units = 2
    while units * 256 * CYCLES.get(kind, 2) < rows * lanes:
        units *= 2
    return units


def steps_of(spec, lanes):
    """Steps of activations: as many activations as a board's own 32 lanes have room for."""
    p = spec["parameters"]
    return 1 << (int(p["XDepth"]) * int(p["Lanes"]) // lanes).bit_length() - 1


def rams(width, depth):
    """Block RAMs of a memory, one of 36 bits at most."""
    return -(-int(width) // (36 if depth <= 512 else 18 if depth <= 1024 else 9 if depth <= 2048 else 4))


def buffers(spec, kind, rows, lanes, units, steps):
    """Block RAMs of weights, activations and accumulators."""
    p = spec["parameters"]
    return (rams(rows * lanes * PLANES.get(kind, 1), int(p["WDepth"])) + rams(lanes * 8, steps)
            + rams(units * 48, int(p["MaxN"]) * rows // units))


def counts(stat):
    """Cells of yosys' last table."""
    with open(stat, encoding="utf-8") as f:
        return {w[0]: int(w[1]) for w in map(str.split, f) if len(w) == 2 and w[1].isdigit() and re.fullmatch(r"[A-Z][A-Z0-9_]+", w[0])}


class Flow:
    def __init__(self, out, nextpnr):
        self.out, self.nextpnr = out, os.path.realpath(nextpnr)
        sources = [f for g in ("rtl/**/*.v", "synth/*.v", "synth/tile.sh", "synth/netlist.sh", "synth/carry_fold.cc")
                   for f in glob.glob(os.path.join(ROOT, g), recursive=True)]
        self.newest = max(map(os.path.getmtime, sources))
        with open(os.path.join(ROOT, "driver/src/pack/kinds.c"), encoding="utf-8") as f:
            self.ids = dict(re.findall(r'\.name = "(\w+)", \.id = (\d+)', f.read()))
        os.makedirs(out, exist_ok=True)

    def path(self, name):
        return os.path.join(self.out, name)

    def run(self, name, command, log, cwd=ROOT):
        print("  %-8s %s" % ("SYNTH" if cwd == ROOT else "PACK", name), file=sys.stderr, flush=True)
        with open(log, "w", encoding="utf-8") as f:
            if subprocess.run(command, cwd=cwd, stdout=f, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode:
                raise RuntimeError("largest.py: no synthesis of %s; see %s" % (name, log))

    def fresh(self, file):
        return os.path.exists(file) and os.path.getmtime(file) >= self.newest

    def tile(self, kind, rows, lanes):
        """LUT4 equivalents of a tile alone."""
        name = "tile-%s-%dx%d" % (kind, rows, lanes)
        if not self.fresh(self.path(name + ".stat")):
            self.run(name, ["synth/tile.sh", kind, "ecp5", str(rows), str(lanes), "2", self.path(name)], self.path(name + ".out"))
        c = counts(self.path(name + ".stat"))
        return c.get("LUT4", 0) + 2 * c.get("CCU2C", 0)

    def core(self, spec, kind, rows, lanes, units, steps):
        """COMB, block RAMs and multipliers of a board's core with this tile, as nextpnr packs them."""
        name = "core-%s-%g-%s-%dx%d-%d-%d" % (spec["core"], spec["mhz"], kind, rows, lanes, units, steps)
        log = self.path(name + ".pack")
        if not self.fresh(log):
            p = dict(spec["parameters"], Kind=self.ids[kind], Rows=rows, Lanes=lanes, ScaleUnits=units, XDepth=steps, ClockHz="%g000000" % spec["mhz"])
            if not self.fresh(self.path(name + ".json")):
                self.run(name, ["synth/netlist.sh", "core", "ecp5", self.path(name + ".json"), spec["module"]]
                         + ["%s=%s" % i for i in p.items()], self.path(name + ".out"))
            # what runs in a sandbox sees no other folder; the largest device has room for whatever is to be counted
            self.run(name, [self.nextpnr, "--85k", "--package", "CABGA381", "--pack-only", "--out-of-context", "--json", name + ".json"],
                     log + ".new", self.out)
            os.rename(log + ".new", log)
        with open(log, encoding="utf-8") as f:
            used = dict(re.findall(r"(TRELLIS_COMB|DP16KD|MULT18X18D): +(\d+)/", f.read()))
        return tuple(int(used[n]) for n in ("TRELLIS_COMB", "DP16KD", "MULT18X18D"))


def bilinear(points):
    """a + b rows + c lanes + d rows lanes through four points {(rows, lanes): value}."""
    (r0, r1), (l0, l1) = (sorted({p[i] for p in points}) for i in (0, 1))
    d = (points[r1, l1] - points[r1, l0] - points[r0, l1] + points[r0, l0]) / (r1 - r0) / (l1 - l0)
    b = (points[r1, l0] - points[r0, l0]) / (r1 - r0) - d * l0
    c = (points[r0, l1] - points[r0, l0]) / (l1 - l0) - d * r0
    return points[r0, l0] - b * r0 - c * l0 - d * r0 * l0, b, c, d


def value(k, rows, lanes):
    return k[0] + k[1] * rows + k[2] * lanes + k[3] * rows * lanes


class Model:
    """Tile by kind; what is around it by shape with `lut` behind the plainest link; what another link adds, and another kind."""

    def __init__(self, flow, specs, kinds, jobs):
        cores = {(s["core"], s["mhz"]): s for s in specs}
        self.plain = plain = next(iter(cores.values()))
        work = [(flow.tile, k, r, lanes_of(k, n)) for k in dict.fromkeys(["lut", *kinds]) for r in ROWS.get(k, (2, 4)) for n in (16, 32)]
        steps = int(plain["parameters"]["XDepth"])
        sizes = [(r, n) for r in AROUND for n in (16, 32)]
        work += [(flow.core, plain, "lut", *s, 2, steps) for s in sizes] + [(flow.core, plain, "lut", *BASE, 4, steps)]
        work += [(flow.core, s, "lut", *BASE, 2, steps) for s in cores.values()]
        work += [(flow.core, plain, k, BASE[0], lanes_of(k, BASE[1]), 2, steps) for k in kinds]
        work += [(flow.tile, "lut", *s) for s in [*sizes, BASE]]
        work = list(dict.fromkeys((f, json.dumps(a)) for f, *a in work))
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            done = dict(zip(work, pool.map(lambda w: w[0](*json.loads(w[1])), work)))

        def get(f, *a):
            return done[f, json.dumps(list(a))]

        self.tiles = {k: bilinear({(r, lanes_of(k, n)): get(flow.tile, k, r, lanes_of(k, n))
                                   for r in ROWS.get(k, (2, 4)) for n in (16, 32)}) for k in dict.fromkeys(["lut", *kinds])}
        self.around = bilinear({s: get(flow.core, plain, "lut", *s, 2, steps)[0] - get(flow.tile, "lut", *s) for s in sizes})
        first = get(flow.core, plain, "lut", *sizes[0], 2, steps)
        self.fixed = first[1] - buffers(plain, "lut", *sizes[0], 2, steps), first[2]
        base, more = get(flow.core, plain, "lut", *BASE, 2, steps), get(flow.core, plain, "lut", *BASE, 4, steps)
        self.unit = [(m - b) / 2 for m, b in zip(more, base)]
        self.link = {c: [x - y for x, y in zip(get(flow.core, s, "lut", *BASE, 2, steps), base)] for c, s in cores.items()}
        # what a kind adds around the tile is its words' width, so in proportion to rows x lanes
        self.kind = {}
        for k in kinds:
            r, n = BASE[0], lanes_of(k, BASE[1])
            extra = get(flow.core, plain, k, r, n, 2, steps)[0] - value(self.tiles[k], r, n) - base[0] + get(flow.tile, "lut", *BASE)
            self.kind[k] = extra / (r * n)

    def needs(self, spec, kind, rows, lanes):
        units = units_of(kind, rows, lanes)
        link = self.link[spec["core"], spec["mhz"]]
        more = [u * (units - 2) for u in self.unit]
        return (round(value(self.tiles[kind], rows, lanes) + value(self.around, rows, lanes) + self.kind[kind] * rows * lanes + link[0] + more[0]),
                self.fixed[0] + buffers(spec, kind, rows, lanes, units, steps_of(spec, lanes)) + link[1], round(self.fixed[1] + link[2] + more[2]))


def shapes(kind):
    """Sizes, larger ones first, and shapes: neither so few lanes nor so many rows that the model would be far from what it was fitted to."""
    every = [(r, lanes_of(kind, n)) for r in (2, 4, 8, 16, 32, 64) for n in (16, 32, 64, 128)]
    return sorted({r * n for r, n in every}, reverse=True), every


def decide(flow, model, spec, kind, share, confirm):
    room = [int(n * share / 100) for n in DEVICES[spec["device"]]]

    def over(need):
        return [n for n, a, b in zip(NAMES, need, room) if a > b]

    sizes, every = shapes(kind)
    larger = None
    for size in sizes:
        # of equal size: what fits and takes least
        need, shape = min((len(over(model.needs(spec, kind, *s))), model.needs(spec, kind, *s), s) for s in every if s[0] * s[1] == size)[1:]
        tried = None
        fits = not over(need)
        # what the model puts far above the room is not synthesized
        if confirm and fits:
            tried = flow.core(spec, kind, *shape, units_of(kind, *shape), steps_of(spec, shape[1]))
            fits = not over(tried)
        one = {"rows": shape[0], "lanes": shape[1], "scale_units": units_of(kind, *shape), "model": need, "synthesized": tried, "over": over(tried or need)}
        if fits:
            if confirm > 1 and larger and not larger["synthesized"]:
                s = larger["rows"], larger["lanes"]
                larger["synthesized"] = flow.core(spec, kind, *s, larger["scale_units"], steps_of(spec, s[1]))
                larger["over"] = over(larger["synthesized"])
                if not larger["over"]:      # the model was too careful
                    one, larger = larger, None
            return {"board": spec["board"], "kind": kind, "room": room, **one, "larger": larger}
        larger = one
    return {"board": spec["board"], "kind": kind, "room": room, "rows": 0, "lanes": 0, "larger": larger}


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: largest.py OUT NEXTPNR 'NAME CORE MHZ DEVICE MODULE PARAMETER=VALUE...' ...")
    kinds = os.environ.get("KINDS", "lut bitserial mac lut4 tlut").split()
    share, confirm, jobs = (int(os.environ.get(n, d)) for n, d in (("SHARE", "80"), ("CONFIRM", "1"), ("JOBS", "1")))
    specs = []
    for arg in sys.argv[3:]:
        w = arg.split()
        if len(w) < 5 or w[3] not in DEVICES:
            sys.exit("largest.py: '%s' is no board with an ECP5 (synth/boards.mk)" % (w or [""])[0])
        specs.append({"board": w[0], "core": w[1], "mhz": float(w[2]), "device": w[3], "module": w[4],
                      "parameters": dict(p.split("=", 1) for p in w[5:]), "words": w[:3] + w[4:]})
    flow = Flow(os.path.realpath(sys.argv[1]), sys.argv[2])
    unknown = [k for k in kinds if k not in flow.ids]
    if unknown:
        sys.exit("largest.py: no kind '%s'" % unknown[0])
    model = Model(flow, specs, kinds, jobs)
    found = []
    for spec in specs:
        for kind in kinds:
            b = decide(flow, model, spec, kind, share, confirm)
            if b["rows"]:
                p = dict(spec["parameters"], Kind=flow.ids[kind], Rows=b["rows"], Lanes=b["lanes"], ScaleUnits=b["scale_units"])
                b["projected"] = board(spec["words"][:4] + ["%s=%s" % i for i in p.items()], "")["models"]
            found.append(b)
    data = {"share": share, "formula": FORMULA, "left_out": LEFT_OUT, "largest": found,
            "model": {"tiles": model.tiles, "around": model.around, "unit": model.unit, "kinds": model.kind,
                      "links": {"%s at %g MHz" % c: v for c, v in model.link.items()}}}
    with open(flow.path("largest.json"), "w", encoding="utf-8") as f:
        json.dump(data, f, indent=1)
    text = largest_text(data)
    with open(flow.path("largest.txt"), "w", encoding="utf-8") as f:
        f.write(text)
    print(text, end="")


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as e:
        sys.exit(str(e))
