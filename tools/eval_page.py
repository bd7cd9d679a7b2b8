#!/usr/bin/env python3
# eval_page.py - what `accel eval` measured, as one page of HTML with plots inside.
# SPDX-License-Identifier: Apache-2.0
#
#   tools/eval_page.py EVAL.json... PAGE.html
import json
import math
import sys

from page import STYLE, esc, log_ticks, marker, number, table

AXES = [("bits_per_weight", "bits per weight, group headers included"),
        ("bytes_per_token", "bytes streamed for a token"),
        ("cycles_per_token", "cycles for a token")]


def plot(rows, models, xkey, xname, ykey, yname):
    """Loss over cost, one point a line of the table; those that nothing beats are joined."""
    points = sorted(((r[xkey], r[ykey], r) for r in rows if r.get(xkey) and (r.get(ykey) or 0) > 0), key=lambda p: p[:2])
    points = [(x, y, r) for x, y, r in points if math.isfinite(y)]
    if len(points) < 2:
        return ""
    w, h, left, bottom, top, right = 900, 440, 70, 50, 15, 250
    low, high = (math.log(f(p[1] for p in points)) for f in (min, max))
    low, high = low - 0.15, high + 0.15
    xs = [p[0] for p in points]
    x0, x1 = min(xs) - 0.04 * (max(xs) - min(xs) + 1e-9), max(xs) + 0.04 * (max(xs) - min(xs) + 1e-9)

    def at(x, y):
        return (left + (x - x0) / (x1 - x0) * (w - left - right),
                top + (high - math.log(y)) / (high - low) * (h - top - bottom))

    out = ['<svg viewBox="0 0 %d %d" role="img" aria-label="%s against %s">' % (w, h, esc(yname), esc(xname))]
    for y in log_ticks(math.exp(low), math.exp(high)):
        py = at(x0, y)[1]
        out.append('<line class="axis" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="soft" x="%d" y="%.1f" '
                   'text-anchor="end">%g</text>' % (left, w - right, py, py, left - 6, py + 4, y))
    for i in range(6):
        x = x0 + (x1 - x0) * i / 5
        out.append('<text class="soft" x="%.1f" y="%d" text-anchor="middle">%s</text>'
                   % (at(x, math.exp(low))[0], h - 30, number(x, 1)))
    out.append('<text x="%d" y="%d" text-anchor="middle">%s</text>' % ((left + w - right) // 2, h - 8, esc(xname)))
    out.append('<text x="14" y="%d" transform="rotate(-90 14 %d)" text-anchor="middle">%s</text>' % (h // 2, h // 2, esc(yname)))
    front, best = [], math.inf
    for x, y, _ in points:
        if y < best:
            front.append(at(x, y))
            best = y
    out.append('<path d="M%s" fill="none" stroke="currentColor" stroke-opacity=".5" stroke-dasharray="3 3"/>'
               % "L".join("%.1f %.1f" % p for p in front))
    for x, y, r in points:
        i = models.index(r["model"])
        out.append(marker(*at(x, y), i, len(models), "%s %s: %s, %s %s" % (r["model"], r["format"], number(y, 4), number(x), xname)))
    for i, m in enumerate(models[:22]):
        out.append(marker(w - right + 20, top + 10 + 18 * i, i, len(models)))
        out.append('<text x="%d" y="%d">%s</text>' % (w - right + 31, top + 14 + 18 * i, esc(m[:34])))
    return "".join(out) + "</svg>"


def row_cells(r, compared):
    cells = [r["model"], r["format"], number(r["bits_per_weight"], 3), number(r["matrix_bytes"] / 1e6, 3), number(r["perplexity"], 4)]
    if compared:
        cells += [number(r["excess_loss"], 5), number(r["excess_loss_se"], 5), number(r["kl"], 5), number(100 * r["same_top"])]
    for key, scale in (("bytes_per_token", 1000), ("cycles_per_token", 1)):
        v = r.get(key)
        cells.append("-" if v is None else number(v / scale, 1 if scale > 1 else 0))
    return cells + ["yes" if r["pareto"] else ""]


def section(data):
    rows, compared = data["rows"], data["reference"] is not None
    models = list(dict.fromkeys(r["model"] for r in rows))
    ykey, yname = ("kl", "KL divergence to the reference") if compared else ("perplexity", "perplexity")
    out = ["<h2>%s</h2><p>%d chunks of text.%s%s</p>" % (
        esc(data["text"]), data["chunks"],
        " Reference: %s in float arithmetic." % esc(data["reference"]) if compared else "",
        " Cycles and bytes: %s, one token at a time." % esc(data["device"]) if data["device"] else "")]
    for xkey, xname in AXES:
        svg = plot(rows, models, xkey, xname, ykey, yname)
        if svg:
            out.append("<h3>%s over %s</h3>%s" % (esc(yname), esc(xname), svg))
    head = ["<model", "<format", "bits/weight", "MB", "perplexity"]
    head += ["excess loss", "+-", "KL", "same top-1 %"] if compared else []
    out.append(table(head + ["kB/token", "cycles/token", "Pareto"], [row_cells(r, compared) for r in rows]))
    return "".join(out)


def page(parts):
    return "".join(['<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
                    "<title>Quality against size</title><style>%s</style><h1>Quality against size</h1>" % STYLE,
                    "<p>Lower and further left is better; the dashed line joins what nothing beats. What the columns mean "
                    "is in docs/eval.md.</p>"] + [section(d) for d in parts]) + "</html>\n"


def main(args):
    if len(args) < 2:
        sys.exit("usage: eval_page.py EVAL.json... PAGE.html")
    parts = []
    for name in args[:-1]:
        with open(name, encoding="utf-8") as f:
            parts.append(json.load(f))
    with open(args[-1], "w", encoding="utf-8") as f:
        f.write(page(parts))


if __name__ == "__main__":
    main(sys.argv[1:])
