# compare_page.py - what compare.py measured, as JSON, CSV, text and one page of HTML with plots inside.
# SPDX-License-Identifier: Apache-2.0
import csv
import io
import json
import math
import os

import compare_papers
from page import STYLE, colour, esc, log_ticks, marker, number, table

WORKLOADS = {"llm": "language model", "cnn": "CNN"}
PRUNINGS = {"dense": "dense", "half": "half pruned", "2:4": "2:4 pruned"}

RULES = [
    "Same job: every kind gets the same matrices and activations in one format, and its results are compared bit for bit "
    "with the golden model before its cycles count.",
    "Same memory bits: speeds are compared within a format. Bits per weight count padding and group headers, as streamed.",
    "Same budget: a kind's area is its complete tile, with decoders, tables, operand registers, adder trees, accumulators and "
    "drain. Speed at equal LUTs is MAC per cycle per LUT4-equivalent, over that of mac on the same job. Not in a tile, and in "
    "no figure: buffers, group scaling, requantization, and the logic that gathers planes into words in front of mac.",
    "Stalls are in: MAC per cycle is the job's multiply-accumulates over all cycles from its start to its completion.",
    "Sums, not bests: a figure is the sum over all layers of a workload.",
    "All cycles are simulated, of the RTL that is synthesized; areas are counts before placement at one clock for all. No clock "
    "frequency, board or silicon is in here. Papers often mix these.",
    "A kind is built for all its widths at once and pays for them: mac for eight bits, however narrow the format.",
    "Skipped zeros count as work done: on pruned weights a MAC is one of the dense matrix, for every kind.",
    "Negative results stay in: below 1.00 a kind loses against mac.",
]

# ------------------------------------------------------------------------------------- plots

def scatter(cells, kinds):
    """Bits streamed per weight against the LUT4-equivalents that one MAC per cycle takes."""
    points = [(c["bits_per_weight"], c["many"]["lut4eq_per_mac_per_cycle"], c) for c in cells
              if not c["refused"] and "lut4eq_per_mac_per_cycle" in c["many"]]
    if not points:
        return "<p>No area was measured.</p>"
    w, h, left, bottom, top, right = 900, 460, 60, 50, 15, 130
    ys = [p[1] for p in points]
    low, high = math.log(min(ys) * 0.85), math.log(max(ys) * 1.15)
    xmax = max(p[0] for p in points) * 1.06

    def at(x, y):
        return (left + x / xmax * (w - left - right),
                top + (high - math.log(y)) / (high - low) * (h - top - bottom))

    out = ['<svg viewBox="0 0 %d %d" role="img" aria-label="LUT4-equivalents per MAC per cycle against bits per weight">' % (w, h)]
    for y in log_ticks(math.exp(low), math.exp(high)):
        out.append('<line class="axis" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="soft" x="%d" y="%.1f" '
                   'text-anchor="end">%g</text>' % (left, w - right, at(0, y)[1], at(0, y)[1], left - 6, at(0, y)[1] + 4, y))
    for x in range(0, int(xmax) + 1, 2):
        out.append('<text class="soft" x="%.1f" y="%d" text-anchor="middle">%d</text>' % (at(x, math.exp(high))[0], h - 30, x))
    out.append('<text x="%d" y="%d" text-anchor="middle">bits streamed per weight, headers included</text>'
               % ((left + w - right) // 2, h - 8))
    out.append('<text x="14" y="%d" transform="rotate(-90 14 %d)" text-anchor="middle">LUT4eq per MAC/cycle</text>'
               % (h // 2, h // 2))
    for i, k in enumerate(kinds):
        for x, y, f in sorted((x, y, c["format"]) for x, y, c in points if c["kind"] == k):
            px, py = at(x, y)
            out.append(marker(px, py, i, len(kinds), "%s, %s: %s LUT4eq per MAC/cycle, %s bits" % (k, f, number(y), number(x))))
        out.append(marker(w - right + 20, top + 10 + 18 * i, i, len(kinds)))
        out.append('<text x="%d" y="%d">%s</text>' % (w - right + 31, top + 14 + 18 * i, esc(k)))
    return "".join(out) + "</svg>"


def bars(cells, kinds, key, title):
    """Speed at equal LUTs of each kind that runs one format; the line is mac."""
    found = [(k, c["many"]["speed_at_equal_luts"]) for k in kinds for c in cells
             if c["kind"] == k and not c["refused"] and "speed_at_equal_luts" in c["many"]]
    if not found:
        return ""
    w, left, step = 720, 90, 20
    h = step * len(found) + 34
    most = max(1.2, max(v for _, v in found)) * 1.12
    scale = (w - left - 60) / most
    out = ['<h3>%s</h3><svg viewBox="0 0 %d %d" role="img" aria-label="%s">' % (esc(title), w, h, esc(key + " " + title))]
    for n, (k, v) in enumerate(sorted(found, key=lambda p: -p[1])):
        y = 6 + step * n
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="14" fill="%s"/>'
                   '<text x="%.1f" y="%d">%s</text>' % (left - 8, y + 11, esc(k), left, y, v * scale,
                                                         colour(kinds.index(k), len(kinds)), left + v * scale + 6, y + 11, number(v)))
    x = left + scale
    out.append('<line x1="%.1f" x2="%.1f" y1="0" y2="%d" stroke="currentColor" stroke-dasharray="3 3"/><text class="soft" '
               'x="%.1f" y="%d" text-anchor="middle">mac = 1</text>' % (x, x, h - 18, x, h - 4))
    return "".join(out) + "</svg>"


def heat_style(v):
    """Red below 1, white at 1, blue above, by the logarithm; full at a factor of four."""
    t = max(-1.0, min(1.0, math.log(v) / math.log(4)))
    return "background:hsl(%d 65%% %d%%)" % (212 if t > 0 else 12, round(97 - 37 * abs(t)))


def heat(cells, kinds, formats, n):
    by = {(c["kind"], c["format"]): c for c in cells}
    rows = []
    for k in kinds:
        row = [(k, "l")]
        for f in formats:
            c = by.get((k, f))
            v = c and not c["refused"] and c.get(n, {}).get("speed_at_equal_luts")
            row.append((number(v), "", heat_style(v)) if v else ("-", "no"))
        rows.append(row)
    return table(["<kind"] + formats, rows, "heat")


# ------------------------------------------------------------------------------------- tables

COLUMNS = [     # of the CSV, the text table and the big table: title, unit or meaning, how to get it, digits
    ("cycles", lambda c, k: c["many"]["cycles"], 0),
    ("MAC/cycle", lambda c, k: c["many"]["macs_per_cycle"], 2),
    ("utilisation", lambda c, k: c["many"]["utilisation"], 3),
    ("LUT4eq", lambda c, k: k.get("lut4eq"), 0),
    ("FF", lambda c, k: k.get("ff"), 0),
    ("gates", lambda c, k: k.get("gates"), 0),
    ("LUT4eq per MAC/cycle", lambda c, k: c["many"].get("lut4eq_per_mac_per_cycle"), 2),
    ("bits/weight", lambda c, k: c["bits_per_weight"], 3),
    ("energy/MAC", lambda c, k: c.get("energy_per_mac"), 0),
    ("speed at equal LUTs", lambda c, k: c["many"].get("speed_at_equal_luts"), 2),
    ("1 column: cycles", lambda c, k: c.get("one", {}).get("cycles"), 0),
    ("1 column: MAC/cycle", lambda c, k: c.get("one", {}).get("macs_per_cycle"), 2),
    ("1 column: speed at equal LUTs", lambda c, k: c.get("one", {}).get("speed_at_equal_luts"), 2),
]


def fmt(v, digits):
    return "-" if v is None else "%.*f" % (digits, v)


def csv_text(data):
    by_kind = {k["kind"]: k for k in data["kinds"]}
    out = io.StringIO()
    w = csv.writer(out, lineterminator="\n")
    w.writerow(["kind", "rows", "lanes", "format", "group", "workload", "pruning", "refused"] + [c[0] for c in COLUMNS])
    for c in data["cells"]:
        values = [None if c["refused"] else get(c, by_kind[c["kind"]]) for _, get, _ in COLUMNS]
        w.writerow([c["kind"], c["rows"], c["lanes"], c["format"], c["group"], c["workload"], c["pruning"], c["refused"] or ""]
                   + ["" if v is None else round(v, 6) for v in values])
    return out.getvalue()


def text_table(data, workload, pruning):
    by_kind = {k["kind"]: k for k in data["kinds"]}
    head = ["kind", "format"] + [c[0].replace("1 column: ", "1: ") for c in COLUMNS]
    rows = [[c["kind"], c["format"]] + ([fmt(get(c, by_kind[c["kind"]]), d) for _, get, d in COLUMNS])
            for c in chosen(data, workload, pruning) if not c["refused"]]
    short = ["kind", "format", "cycles", "MAC/cyc", "utilis.", "LUT4eq", "FF", "gates", "LUT4eq/MAC", "bits/w.", "energy",
             "x mac", "1:cycles", "1:MAC/cyc", "1:x mac"]
    assert len(short) == len(head)
    width = [max([len(r[i]) for r in rows] + [len(short[i])]) for i in range(len(short))]
    lines = ["%s, %s" % (WORKLOADS[workload], PRUNINGS[pruning])]
    for r in [short] + rows:
        lines.append("  ".join(v.ljust(w) if i < 2 else v.rjust(w) for i, (v, w) in enumerate(zip(r, width))))
    refused = [c for c in chosen(data, workload, pruning) if c["refused"]]
    lines += ["refused: %s %s: %s" % (c["kind"], c["format"], c["refused"]) for c in refused]
    return "\n".join(lines) + "\n"


def chosen(data, workload, pruning):
    return [c for c in data["cells"] if c["workload"] == workload and c["pruning"] == pruning]


def parts(data):
    """The pairs of workload and pruning that there are."""
    return list(dict.fromkeys((c["workload"], c["pruning"]) for c in data["cells"]))


def page(data):
    kinds = [k["kind"] for k in data["kinds"]]
    formats = list(dict.fromkeys(c["format"] for c in data["cells"]))
    by_kind = {k["kind"]: k for k in data["kinds"]}
    dense = chosen(data, "llm", "dense")
    ran = sum(not c["refused"] for c in data["cells"])
    out = ['<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
           "<title>Low-bit processing elements, side by side</title><style>%s</style>" % STYLE,
           "<h1>Low-bit processing elements, side by side</h1>",
           "<p>%d kinds, %d formats, %d cells run and %d refused. Simulated cycles of the whole core, area of the tile from "
           "%s, on the same weights and activations. What each column means and how far it can be trusted is in "
           "docs/compare.md; all figures are in compare.json and compare.csv beside this page.</p>"
           % (len(kinds), len(formats), ran, len(data["cells"]) - ran, esc(data["yosys"].split(" (")[0])),
           "<h2>Fairness rules</h2><ol>%s</ol>" % "".join("<li>%s</li>" % esc(r) for r in RULES)]

    out += ["<h2>Area against memory traffic</h2><p>The language model's layers, dense, 16 columns a job. Lower and further "
            "left is better; one point a format.</p>", scatter(dense, kinds)]

    out.append("<h2>Speed at equal LUTs, mac = 1</h2><p>MAC per cycle per LUT4-equivalent over mac's on the same job. \"-\": the "
               "kind refuses the cell, or mac does. With 16 columns the array is what counts; with one column, decode of a "
               "language model, every kind waits for the same weight stream and the smallest tile wins.</p>")
    for workload, pruning in parts(data):
        for n, name in (("many", "16 columns"), ("one", "1 column")):
            opened = " open" if (workload, pruning) == ("llm", "dense") else ""
            out.append("<details%s><summary>%s, %s, %s</summary>%s</details>"
                       % (opened, WORKLOADS[workload], PRUNINGS[pruning], name,
                          heat(chosen(data, workload, pruning), kinds, formats, n)))
    for f in ("ternary", "int4", "int8"):
        out.append(bars([c for c in dense if c["format"] == f], kinds, f, "%s, dense, 16 columns" % f))
    for f in ("int4", "int8"):
        for pruning in ("half", "2:4"):
            out.append(bars([c for c in chosen(data, "llm", pruning) if c["format"] == f], kinds, f,
                            "%s, %s, 16 columns" % (f, PRUNINGS[pruning])))

    out.append("<h2>Tiles</h2><p>Counts at the simulated rows, from two small tiles of the same lanes: what all rows share and "
               "what each row adds (LUT4eq = LUT4 + 2 carry cells of ECP5; gates: AND, OR, XOR, MUX, NOT).</p>")
    out.append(table(["<kind", "<module", "rows", "lanes", "LUT4eq", "LUT4", "carry", "FF", "gates", "LUT4eq per row and lane"],
                     [[k["kind"], k["module"], str(k["rows"]), str(k["lanes"])]
                      + [fmt(k.get(x), 0) for x in ("lut4eq", "lut4", "carry", "ff", "gates")]
                      + [fmt(k["lut4eq"] / k["rows"] / k["lanes"], 2) if k.get("lut4eq") else "-"] for k in data["kinds"]]))
    notes = ["%s: %s" % (k["kind"], n) for k in data["kinds"] for n in k["notes"]]
    if notes:
        out.append("<p><b>Not measured:</b></p><ul>%s</ul>" % "".join("<li>%s</li>" % esc(n) for n in notes))

    out.append("<h2>Papers and peers beside what is measured here</h2><p>The closest conditions that this page has. "
               "Published figures as their authors give them.</p>")
    out.append(table(["<system", "<metric", "<published", "<measured here", "<why they differ"],
                     [[p["system"], (p["metric"], "t"), (p["published"], "t"), (p["ours"], "t"), (p["why"], "t")]
                      for p in compare_papers.rows(data)]))
    out.append("<h3>Open RTL of others</h3><p>LUT4-equivalents per MAC per cycle at weights of 1, 2, 4 and 8 bits, by the same "
               "yosys flow. Sketch: the peer's datapath written anew, since its sources do not read in yosys 0.23.</p>")
    out.append(table(["<unit", "1 bit", "2 bits", "4 bits", "8 bits", "<remark"],
                     [[u] + [fmt(v, 1) for v in values] + [(remark, "t")] for u, values, remark in compare_papers.peers(data)]))

    out.append("<h2>Every cell</h2>")
    head = ["<kind", "<format", "<group"] + [c[0] for c in COLUMNS]
    for workload, pruning in parts(data):
        rows = []
        for c in chosen(data, workload, pruning):
            start = [c["kind"], c["format"], str(c["group"] or "row")]
            if c["refused"]:
                rows.append(start + [("-", "no")] * len(COLUMNS))
            else:
                rows.append(start + [fmt(get(c, by_kind[c["kind"]]), d) for _, get, d in COLUMNS])
        out.append("<details><summary>%s, %s</summary>%s</details>"
                   % (WORKLOADS[workload], PRUNINGS[pruning], table(head, rows)))
    reasons = {}
    for c in data["cells"]:
        if c["refused"]:
            reasons.setdefault((c["kind"], c["refused"]), []).append("%s %s %s" % (c["format"], c["workload"], c["pruning"]))
    out.append("<h2>Refused</h2>")
    out.append(table(["<kind", "<reason", "cells"], [[k, (r, "t"), str(len(v))] for (k, r), v in reasons.items()])
               if reasons else "<p>Nothing was refused.</p>")
    out.append('<p class="soft">%s, %s. %d s.</p></html>' % (esc(data["yosys"]), esc(data["verilator"]), data["seconds"]))
    return "\n".join(out)


def write(data, where):
    data["rules"] = RULES
    data["papers"] = compare_papers.rows(data)
    texts = [text_table(data, w, p) for w, p in parts(data)]
    texts += ["%s | %s | %s | %s | %s" % (p["system"], p["metric"], p["published"], p["ours"], p["why"]) for p in data["papers"]]
    for name, text in (("json", json.dumps(data, indent=1)), ("csv", csv_text(data)), ("txt", "\n".join(texts) + "\n"),
                       ("html", page(data))):
        with open(os.path.join(where, "compare." + name), "w") as f:
            f.write(text)
