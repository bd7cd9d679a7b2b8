#!/usr/bin/env python3
# synth_page.py - areas, clocks and what boards could do at most, as a page with plots inside, text and JSON.
# SPDX-License-Identifier: Apache-2.0
"""tools/synth_page.py SYNTH BOARDS 'NAME CORE MHZ MODULE PARAMETER=VALUE...' ...

Reads SYNTH/report.json (synth/report.sh), synth/expected.txt, and of BOARDS what is there: core-CORE-MHZ.json (yosys) and
NAME.report (nextpnr). Writes SYNTH/report.html, SYNTH/boards.json and SYNTH/boards.txt."""
import json
import math
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "synth"))
from page import STYLE, colour, esc, log_ticks, marker, number, table  # noqa: E402
from split import slowest, split  # noqa: E402

# bytes a second, of weights or whatever else
LINKS = {"serial": (3e6 / 10, "UART of 3 Mbaud, 10 bits a byte"),
         "full": (19 * 64 * 1000, "USB full speed, 19 packets of 64 bytes a millisecond"),
         "high": (13 * 512 * 8000, "USB high speed, 13 packets of 512 bytes in an eighth of a millisecond")}
LINK_OF = {"ecp5": "serial", "sdram": "serial", "usb": "full", "usb_sdram": "full", "ulpi": "high"}
SDRAM_BYTES, SDRAM_WORD = 32 << 20, 2       # ULX3S, a word a cycle


def llama(width, kv, hidden, layers, vocab, bits, stream_bits, head_bits, head_stream):
    """Matrices of a model: rows, columns, how many, bits of a code, bits streamed for each."""
    return [(width, width, 2 * layers, bits, stream_bits), (kv, width, 2 * layers, bits, stream_bits), (hidden, width, 2 * layers, bits, stream_bits),
            (width, hidden, layers, bits, stream_bits), (vocab, width, 1, head_bits, head_stream)]


MODELS = [
    ("demo", "stories-ternary-tq2_0.gguf: ternary, a scale a row; its head int8", llama(256, 128, 768, 6, 1024, 2, 2.0625, 8, 8.5)),
    ("0.7B", "as BitNet b1.58 large: width 1536, 24 layers of 4096, ternary; head int8",
     llama(1536, 1536, 4096, 24, 32002, 2, 2.0625, 8, 8.5)),
    ("7B", "as Llama 2: width 4096, 32 layers of 11008, int4 in groups of 128", llama(4096, 4096, 11008, 32, 32000, 4, 4.125, 4, 4.125)),
]

FORMULA = [
    "compute = Rows x Lanes x clock / sum(rows x columns x cycles)   (cycles of a step: bits of a code; of mac one; of tlut, ternary only, one)",
    "memory  = bytes/s of the memory / sum(rows x columns x bits streamed / 8)",
    "link, streamed = bytes/s of the link / sum(rows x columns x bits streamed / 8 + columns + 6 x rows)",
    "link, resident = bytes/s of the link / sum(columns + 6 x rows)   (activations there, 48-bit results back)",
    "tokens/s, streamed = min(compute, link streamed); resident = min(compute, memory, link resident), where the weights fit",
]
LEFT_OUT = ("Activations go to the board anew for each matrix, and both directions of a link count as one. "
            "Not in these limits: attention and all else on the host, padding, waits between jobs, frames' headers, refreshes of the "
            "memory. No board has been run; clocks are those asked of place and route.")


MAC, TLUT = 0, 6       # kinds whose steps take one cycle


def totals(matrices, kind=None):
    t = {"macs": 0, "cycles_by_pe": 0, "bytes": 0.0, "io": 0}
    for rows, cols, count, bits, stream in matrices:
        if kind == TLUT and bits != 2:      # the host's
            continue
        t["macs"] += rows * cols * count
        t["cycles_by_pe"] += rows * cols * count * (1 if kind in (MAC, TLUT) else bits)
        t["bytes"] += rows * cols * count * stream / 8
        t["io"] += (cols + 6 * rows) * count
    return t


USED = ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D")


def cpu_seconds(log):
    """What yosys says it took, if the log is there."""
    if os.path.exists(log):
        with open(log, encoding="utf-8", errors="replace") as f:
            said = re.findall(r"CPU: user ([0-9.]+)s", f.read())
        return round(float(said[-1])) if said else None
    return None


def board(words, where):
    name, core, mhz, module = words[0], words[1], float(words[2]), words[3]
    p = dict(w.split("=", 1) for w in words[4:])
    b = {"board": name, "core": core, "module": module, "rows": int(p["Rows"]), "lanes": int(p["Lanes"]), "asked_mhz": mhz,
         "kind": int(p["Kind"]), "link": LINKS[LINK_OF[core]][1], "link_bytes": LINKS[LINK_OF[core]][0],
         "memory_bytes_per_s": SDRAM_WORD * mhz * 1e6 if "Memory" in p else None, "models": []}
    report = os.path.join(where, name + ".report")
    b["reached_mhz"], b["used"], b["slowest"] = None, {}, {}
    if os.path.exists(report):
        with open(report, encoding="utf-8") as f:
            placed = json.load(f)
        b["reached_mhz"] = round(min(c["achieved"] for c in placed["fmax"].values()), 1)
        b["used"] = {k: placed["utilization"][k] for k in USED if k in placed.get("utilization", {})}
        netlist = os.path.join(where, name + ".json")
        if os.path.exists(netlist):
            b["slowest"] = dict(slowest(placed, split(netlist)[2]))
    pes = b["rows"] * b["lanes"] * mhz * 1e6
    for model, _, matrices in MODELS:
        t = totals(matrices, b["kind"])
        if not t["macs"]:
            continue
        m = {"model": model, "macs": t["macs"], "bytes": t["bytes"], "compute": pes / t["cycles_by_pe"],
             "link_streamed": b["link_bytes"] / (t["bytes"] + t["io"]), "link_resident": b["link_bytes"] / t["io"],
             "memory": None, "resident": None}
        m["streamed"] = min(m["compute"], m["link_streamed"])
        if b["memory_bytes_per_s"] and t["bytes"] <= SDRAM_BYTES:
            m["memory"] = b["memory_bytes_per_s"] / t["bytes"]
            m["resident"] = min(m["compute"], m["memory"], m["link_resident"])
        b["models"].append(m)
    return b


def sig(v):
    return "-" if v is None else "%.0f" % v if v >= 1000 else "%.3g" % v


def largest_rows(found):
    """A row for each board and kind, by what synth/largest.py found."""
    rows = []
    for b in found:
        fits = b["rows"] > 0
        need = (b["synthesized"] or b["model"]) if fits else b["larger"]["synthesized"] or b["larger"]["model"]
        more = b["larger"]
        rate = {m["model"]: m for m in b.get("projected", [])}
        rows.append([b["board"], b["kind"], "%dx%d" % (b["rows"], b["lanes"]) if fits else "none", str(b.get("scale_units", "-"))]
                    + (["%d of %d" % v for v in zip(need, b["room"])] if fits else ["-"] * 3)
                    + [("synthesis" if b["synthesized"] else "model") if fits else "-",
                       "%dx%d: %d, %d, %d; %s%s" % (more["rows"], more["lanes"], *(more["synthesized"] or more["model"]), ", ".join(more["over"]),
                                                    "" if more["synthesized"] else " by the model") if more else "-"]
                    + [sig(rate[m][k]) if m in rate else "-" for m, _, _ in MODELS for k in ("compute", "streamed", "resident")])
    return rows


LARGEST_HEAD = ["<board", "<kind", "<tile", "units", "COMB", "block RAM", "multipliers", "<by", "<next larger, too large"] + [
    "%s: %s, projected" % (m, k) for m, _, _ in MODELS for k in ("compute", "streamed", "resident")]


def largest_text(data):
    lines = ["Largest tile of each board and kind that takes at most %d %% of its LUTs, block RAMs and multipliers; tokens/s are projected." % data["share"], ""]
    lines += columns(LARGEST_HEAD, largest_rows(data["largest"]), (0, 1, 2, 7, 8))
    return "\n".join(lines + ["", *data["formula"], "", data["left_out"]]) + "\n"


def gather(where, boards_dir, specs):
    with open(os.path.join(where, "report.json"), encoding="utf-8") as f:
        tiles = json.load(f)
    clocks = []
    with open("synth/expected.txt", encoding="utf-8") as f:
        for line in f:
            w = line.split()
            if w[:1] == ["clock"]:
                clocks.append({"kind": w[1], "rows": int(w[2]), "lanes": int(w[3]), "mhz": float(w[5])})
    boards = [board(s.split(), boards_dir) for s in specs]
    cores = []
    for core, mhz in dict.fromkeys((b["core"], b["asked_mhz"]) for b in boards):
        netlist = os.path.join(boards_dir, "core-%s-%g.json" % (core, mhz))
        if os.path.exists(netlist):
            total, everything, _ = split(netlist)
            cores.append({"core": core, "mhz": mhz, "cells": dict(everything), "seconds": cpu_seconds(netlist[:-5] + ".log"),
                          "modules": [{"module": ".".join(p) or "(top)", **c}
                                      for p, c in sorted(total.items(), key=lambda i: -i[1]["LUT"])]})
    largest = None
    if os.path.exists(os.path.join(where, "largest", "largest.json")):
        with open(os.path.join(where, "largest", "largest.json"), encoding="utf-8") as f:
            largest = json.load(f)
    return {"projected": "all tokens/s", "largest": largest, "formula": FORMULA, "left_out": LEFT_OUT, "tiles": tiles, "clocks": clocks, "boards": boards,
            "cores": cores, "models": [{"model": n, "what": w, **totals(m)} for n, w, m in MODELS]}


# ------------------------------------------------------------------------------------- plots

def bars(values, label, unit, names=None):
    """values: (name, number, text); names: all that have a colour, so that one keeps its colour from plot to plot"""
    names = names or [n for n, _, _ in values]
    w, left, step = 840, 200, 18
    scale = (w - left - 190) / max(v for _, v, _ in values)
    out = ['<svg viewBox="0 0 %d %d" role="img" aria-label="%s">' % (w, step * len(values) + 8, esc(label))]
    for i, (name, v, text) in enumerate(values):
        y = 4 + step * i
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="13" fill="%s"/>'
                   '<text x="%.1f" y="%d">%s %s%s</text>' % (left - 8, y + 11, esc(name), left, y, v * scale, colour(names.index(name), len(names)),
                                                            left + v * scale + 6, y + 11, v if isinstance(v, int) else number(v, 1), esc(unit), esc(text)))
    return "".join(out) + "</svg>"


def roofline(b, models):
    """MAC/s against MAC per byte of weights: the array at 1, 2, 4 and 8 bits, the link, the memory."""
    w, h, left, right, top, bottom = 820, 400, 78, 130, 14, 44
    x0, x1 = 0.5, 256.0
    pes = b["rows"] * b["lanes"] * b["asked_mhz"] * 1e6
    slow = min(b["link_bytes"], b["memory_bytes_per_s"] or b["link_bytes"])
    y0, y1 = slow * x0 * 0.7, pes * 1.6

    def at(x, y):
        return (left + math.log(x / x0) / math.log(x1 / x0) * (w - left - right),
                top + math.log(y1 / y) / math.log(y1 / y0) * (h - top - bottom))

    out = ['<svg viewBox="0 0 %d %d" role="img" aria-label="roofline of %s">' % (w, h, esc(b["board"]))]
    for y in (t for t in log_ticks(y0, y1) if str(t)[0] == "1"):
        out.append('<line class="axis" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="soft" x="%d" y="%.1f" text-anchor="end">'
                   '%.0e</text>' % (left, w - right, at(x0, y)[1], at(x0, y)[1], left - 6, at(x0, y)[1] + 4, y))
    for i in range(-1, 9):
        out.append('<text class="soft" x="%.1f" y="%d" text-anchor="middle">%g</text>' % (at(2.0 ** i, y1)[0], h - 26, 2.0 ** i))
    out.append('<text x="%d" y="%d" text-anchor="middle">MAC per byte of weights and headers</text>'
               '<text x="14" y="%d" transform="rotate(-90 14 %d)" text-anchor="middle">MAC/s, projected</text>'
               % ((left + w - right) // 2, h - 6, h // 2, h // 2))
    for bits in (1, 2, 4, 8):
        (xa, ya), (xb, _) = at(x0, pes / bits), at(x1, pes / bits)
        out.append('<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="currentColor" stroke-dasharray="4 3"/>'
                   '<text x="%.1f" y="%.1f">array, %d bit%s</text>' % (xa, xb, ya, ya, xb + 6, ya + 4, bits, "s" if bits > 1 else ""))
    for name, rate, dash in (("link", b["link_bytes"], ""), ("memory", b["memory_bytes_per_s"], ' stroke-dasharray="8 3"')):
        if rate:
            end = min(x1, y1 / rate)
            (xa, ya), (xb, yb) = at(x0, max(rate * x0, y0)), at(end, rate * end)
            # the name ends above a point of the line, which is lower at the left of it
            out.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="currentColor" stroke-width="2"%s/>'
                       '<text x="%.1f" y="%.1f" text-anchor="end">%s</text>'
                       % (xa, ya, xb, yb, dash, xa + 64, ya + (yb - ya) * 64 / (xb - xa) - 8, name))
    for i, m in enumerate(models):
        fits = b["memory_bytes_per_s"] and m["bytes"] <= SDRAM_BYTES
        rate = b["memory_bytes_per_s"] if fits else b["link_bytes"]
        for columns in (1, 16):
            x = m["macs"] / m["bytes"] * columns
            y = min(pes * m["macs"] / m["cycles_by_pe"], rate * x)
            out.append(marker(*at(x, y), i, len(models), "%s, %d columns a job, weights %s: %s MAC/s projected" % (
                m["model"], columns, "resident" if fits else "streamed", "%.3g" % y)))
        out.append(marker(w - right + 20, h - 90 + 18 * i, i, len(models)))
        out.append('<text x="%d" y="%d">%s</text>' % (w - right + 31, h - 86 + 18 * i, esc(m["model"])))
    return "".join(out) + "</svg>"


# ------------------------------------------------------------------------------------- output

HEAD = ["board", "model", "compute", "memory", "link: streamed", "link: resident", "streamed, projected", "resident, projected"]


PLACED = ["<board", "<tile", "COMB", "FF", "block RAM", "multipliers", "COMB per MAC of 1 bit a cycle", "MHz", "asked", "<slowest path, ns"]


def placed(data):
    """A row for each board that was placed and routed."""
    rows = []
    for b in data["boards"]:
        if b["reached_mhz"]:
            used = [b["used"].get(k) for k in USED]
            rows.append([b["board"], "%dx%d" % (b["rows"], b["lanes"])]
                        + ["%d of %d" % (u["used"], u["available"]) if u else "-" for u in used]
                        + [number(used[0]["used"] / b["rows"] / b["lanes"], 1) if used[0] else "-", number(b["reached_mhz"], 1), number(b["asked_mhz"], 1),
                           ", ".join("%s %.1f" % i for i in b["slowest"].items()) or "-"])
    return rows


def columns(head, rows, words):
    """Lines of text: columns of words at the left."""
    rows = [[h.lstrip("<") for h in head]] + rows
    width = [max(len(r[i]) for r in rows) for i in range(len(head))]
    return ["  ".join(v.ljust(n) if i in words else v.rjust(n) for i, (v, n) in enumerate(zip(r, width))).rstrip() for r in rows]


def projection(data):
    return [[b["board"], m["model"]] + [sig(m[k]) for k in ("compute", "memory", "link_streamed", "link_resident", "streamed", "resident")]
            for b in data["boards"] for m in b["models"]]


def text(data):
    lines = ["Tokens/s at most, each limit by itself; every figure is projected.", "", *columns(HEAD, projection(data), (0, 1))]
    lines += ["", *FORMULA, "", LEFT_OUT, ""]
    lines += ["%s: %s; %.4g MAC and %.4g bytes of weights a token" % (m["model"], m["what"], m["macs"], m["bytes"]) for m in data["models"]]
    if any(b["reached_mhz"] for b in data["boards"]):
        lines += ["", "Boards placed and routed:", "", *columns(PLACED, placed(data), (0, 1, 9))]
    for c in data["cores"]:
        lines += ["", "core %s at %g MHz, LUT4eq by module%s:" % (c["core"], c["mhz"], "; %d s of yosys" % c["seconds"] if c["seconds"] else "")]
        lines += ["  %-40s %6d" % (m["module"], m.get("LUT", 0)) for m in c["modules"]]
    return "\n".join(lines) + "\n"


def page(data):
    out = ['<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
           "<title>Area, clock, limits</title><style>%s</style><h1>Area, clock, limits</h1>" % STYLE,
           "<p>Areas are counts of yosys before placement; docs/synthesis.md says what is counted. Tokens/s are projected by the "
           "formula below, never measured.</p>"]
    ecp5 = [t for t in data["tiles"] if t["flow"] == "ecp5"]
    kinds = list(dict.fromkeys(t["kind"] for t in ecp5))
    for width in ("int1", "int2", "int4", "int8"):
        values = sorted((t["lut4eq_per_mac"], t["kind"], t["shape"]) for t in ecp5 if t["format"] == width)
        if values:
            out.append("<h2>LUT4eq per multiply-accumulate per cycle, %s, ECP5</h2>" % width)
            out.append(bars([(k, v, ", " + s) for v, k, s in values], "LUT4eq per MAC/cycle, " + width, "LUT4eq", kinds))
    out.append("<h2>Tiles</h2>")
    seen, rows = set(), []
    for t in data["tiles"]:
        key = (t["kind"], t["flow"], t["shape"])
        if key not in seen:
            seen.add(key)
            mhz = [c["mhz"] for c in data["clocks"] if t["flow"] == "ecp5" and (c["kind"], c["rows"], c["lanes"]) == (t["kind"], t["rows"], t["lanes"])]
            rows.append([t["kind"], t["flow"], t["shape"]] + [str(t.get(k, "-")) for k in ("lut4", "ccu2c", "ff", "dsp", "lut4eq")]
                        + [number(t["lut4eq"] / t["rows"] / t["lanes"], 1), number(mhz[0], 1) if mhz else "-", str(t.get("seconds", "-"))])
    out.append(table(["<kind", "<cells", "<rows x lanes", "LUT4", "CCU2C", "FF", "DSP", "LUT4eq", "LUT4eq per lane", "MHz, placed", "seconds of yosys"], rows))
    if data["clocks"]:
        out.append("<p>Clocks of tiles placed and routed (synth/expected.txt): %s.</p>" % esc("; ".join(
            "%s %dx%d %g MHz" % (c["kind"], c["rows"], c["lanes"], c["mhz"]) for c in data["clocks"])))

    if any(b["reached_mhz"] for b in data["boards"]):
        out.append("<h2>Boards, placed and routed</h2>" + table(PLACED, placed(data)))
    out.append("<h2>Where a board's area goes</h2>")
    for c in data["cores"]:
        out.append("<h3>core %s, %g MHz: %s</h3>" % (esc(c["core"]), c["mhz"], esc(", ".join("%d %s" % (n, k) for k, n in c["cells"].items()))))
        out.append(bars([(m["module"], m.get("LUT", 0), ", %.0f %%" % (100 * m.get("LUT", 0) / c["cells"]["LUT"])) for m in c["modules"]
                         if m.get("LUT", 0)], "LUT4eq by module", "LUT4eq"))
    if not data["cores"]:
        out.append("<p>No board's core was synthesized: make bitstream.</p>")

    out.append("<h2>Limits of each board, projected</h2><ul>%s</ul>" % "".join(
        "<li>%s: %s; %s MAC and %s bytes of weights a token</li>" % (esc(m["model"]), esc(m["what"]), "%.3g" % m["macs"], "%.3g" % m["bytes"])
        for m in data["models"]))
    groups = {}
    for b in data["boards"]:
        groups.setdefault((b["core"], b["asked_mhz"]), []).append(b)
    for same in groups.values():
        b = same[0]
        out.append("<h3>%s: %d x %d at %g MHz, %s%s</h3>" % (
            esc(", ".join(x["board"] + (" (%g MHz reached)" % x["reached_mhz"] if x["reached_mhz"] else "") for x in same)), b["rows"], b["lanes"],
            b["asked_mhz"], esc(b["link"]), ", SDRAM of %.0f MB/s" % (b["memory_bytes_per_s"] / 1e6) if b["memory_bytes_per_s"] else ""))
        out.append(roofline(b, data["models"]))
    out.append("<p>Marks: one column a job (decode) at the left, 16 at the right; weights in the memory where they fit, else over the link; "
               "activations and results on the link are not in the plots, but in the table. All projected.</p><h2>Tokens/s of one sequence, projected</h2>")
    out.append(table(["<" + h if i < 2 else h for i, h in enumerate(HEAD)], projection(data)))
    if data["largest"]:
        out.append("<h2>Largest tiles, tokens/s projected</h2><p>At most %d %% of the device's LUTs, block RAMs and multipliers: make synth-largest.</p>"
                   % data["largest"]["share"])
        out.append(table(LARGEST_HEAD, largest_rows(data["largest"]["largest"])))
    out.append("<pre>%s</pre><p>%s</p></html>" % (esc("\n".join(FORMULA)), esc(LEFT_OUT)))
    return "\n".join(out)


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: synth_page.py SYNTH BOARDS 'NAME CORE MHZ MODULE PARAMETER=VALUE...' ...")
    where = sys.argv[1]
    data = gather(where, sys.argv[2], sys.argv[3:])
    for name, content in (("boards.json", json.dumps(data, indent=1)), ("boards.txt", text(data)), ("report.html", page(data))):
        with open(os.path.join(where, name), "w", encoding="utf-8") as f:
            f.write(content)
    print(text(data), end="")


if __name__ == "__main__":
    main()
