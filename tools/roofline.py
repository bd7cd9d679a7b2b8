#!/usr/bin/env python3
# roofline.py - a picture of bench_cuda's figures under the roof of memory and tensor cores.
# SPDX-License-Identifier: Apache-2.0
"""build/cuda/bench_cuda json=F; build/cuda/bench_cuda prompt json=F; tools/roofline.py F >roofline.svg

A point is a product: operations for each byte of weights and scales that it reads, and operations a second. The sloping
roof is the fastest kernel of the same run that only reads, the flat one the fastest int8 product of cuBLASLt."""
import json
import math
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 860, 560, 70, 60, 30, 20
COLOURS = {1: "#1b6ca8", 8: "#2e8b57", 16: "#c77700", 2048: "#a03060"}


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: roofline.py FILE >PICTURE")
    with open(sys.argv[1], encoding="utf-8") as f:
        rows = [json.loads(line) for line in f if line.strip()]
    for r in rows:
        r["ops"] = 2.0 * r["rows"] * r["cols"] * r["n"]
    floors = [r["bytes"] / r["us"] for r in rows if r["name"] == "floor"]
    peers = [r["ops"] / r["us"] for r in rows if r["name"].startswith("cuBLASLt")]
    if not floors or not peers:
        sys.exit("roofline.py: the file needs figures of both runs, with cuBLASLt's in the second")
    memory, flat = max(floors), max(peers)  # bytes and operations a microsecond
    points = [(r["ops"] / r["bytes"], r["ops"] / r["us"], r) for r in rows if r["name"] != "floor" and
              not r["name"].startswith("cuBLASLt")]
    low_x = min(p[0] for p in points) / 1.5
    high_x = max(p[0] for p in points) * 1.5
    low_y, high_y = min(p[1] for p in points) / 1.5, flat * 1.5

    def at_x(v):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(v / low_x) / math.log(high_x / low_x)

    def at_y(v):
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * math.log(v / low_y) / math.log(high_y / low_y)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for e in range(-3, 8):
        v = 10.0 ** e
        if low_x <= v <= high_x:
            out.append(f'<line x1="{at_x(v):.1f}" x2="{at_x(v):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>'
                       f'<text x="{at_x(v):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{v:g}</text>')
        v = 10.0 ** e * 1e6  # TOP/s
        if low_y <= v <= high_y:
            out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at_y(v):.1f}" y2="{at_y(v):.1f}" stroke="#ddd"/>'
                       f'<text x="{LEFT - 8}" y="{at_y(v) + 4:.1f}" text-anchor="end">{v / 1e6:g}</text>')
    ridge = flat / memory
    out.append(f'<polyline fill="none" stroke="#444" stroke-width="2" points="{at_x(low_x):.1f},'
               f'{at_y(low_x * memory):.1f} {at_x(ridge):.1f},{at_y(flat):.1f} {at_x(high_x):.1f},{at_y(flat):.1f}"/>')
    out.append(f'<text x="{at_x(low_x) + 8:.1f}" y="{TOP + 14}">read-only kernel {memory / 1e3:.0f} GB/s, '
               f'cuBLASLt int8 {flat / 1e6:.0f} TOP/s</text>')
    for x, y, r in points:
        colour = COLOURS.get(r["n"], "#666")
        fill = colour if r["group"] == 0 else "white"
        out.append(f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="4" stroke="{colour}" fill="{fill}">'
                   f'<title>{r["name"]}, group {r["group"] or "row"}, {r["rows"]} x {r["cols"]}, {r["n"]} columns: '
                   f'{y / 1e6:.3g} TOP/s</title></circle>')
    for i, (n, colour) in enumerate(COLOURS.items()):
        out.append(f'<circle cx="{WIDTH - 230}" cy="{HEIGHT - 150 + 18 * i}" r="4" fill="{colour}"/>'
                   f'<text x="{WIDTH - 220}" y="{HEIGHT - 146 + 18 * i}">{n} column{"s" if n > 1 else ""}; '
                   f'hollow: group scales</text>')
    out.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 14}" text-anchor="middle">operations for each byte of weights and '
               f'scales</text><text x="16" y="{HEIGHT / 2}" text-anchor="middle" '
               f'transform="rotate(-90 16 {HEIGHT / 2})">TOP/s</text></svg>')
    print("\n".join(out))


if __name__ == "__main__":
    main()
