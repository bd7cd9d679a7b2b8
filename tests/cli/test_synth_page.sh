#!/bin/sh
# test_synth_page.sh - the page of make synth-report, from areas that are made up.
# SPDX-License-Identifier: Apache-2.0
cd "$(dirname "$0")/../.." || exit 1
. tests/cli/lib.sh

cat >"$T/report.json" <<'END'
[{"kind":"lut","format":"int2","lut4":100,"ccu2c":50,"ff":30,"lut4eq_per_mac":12.5,"lut4eq":200,"rows":4,"lanes":8,"scale_units":1,"shape":"4x8","flow":"ecp5"},
{"kind":"a<b","format":null,"lut4":100,"ccu2c":50,"ff":30,"lut4eq":200,"rows":4,"lanes":8,"scale_units":1,"shape":"4x8","flow":"ecp5"}]
END
cat >"$T/core-usb_sdram-48.json" <<'END'
{"modules": {"board": {"cells": {"core.tile.x_LUT4_Z": {"type": "LUT4"}, "core.tile.y": {"type": "CCU2C"}, "z": {"type": "TRELLIS_FF"}},
 "netnames": {"core.tile.x": {}, "z": {}}}}}
END
cat >"$T/plain.report" <<'END'
{"fmax": {"clk": {"achieved": 51.25}}, "utilization": {"TRELLIS_COMB": {"used": 2560, "available": 24288}},
 "critical_paths": [{"from": "posedge clk", "to": "<async>", "path": []},
  {"from": "posedge clk", "to": "posedge clk", "path": [{"delay": 1.5, "from": {"cell": "core.tile.x_LUT4_Z"}}, {"delay": 0.25, "from": {"cell": "z"}}]}]}
END
cp "$T/core-usb_sdram-48.json" "$T/plain.json"
mkdir "$T/largest"
cat >"$T/largest/largest.json" <<'END'
{"share": 80, "largest": [
 {"board": "plain", "kind": "lut", "room": [1000, 44, 22], "rows": 16, "lanes": 64, "scale_units": 2, "model": [900, 4, 5], "synthesized": [901, 4, 5], "over": [],
  "larger": {"rows": 32, "lanes": 64, "scale_units": 4, "model": [1900, 4, 50], "synthesized": null, "over": ["comb", "dsp"]}, "projected": []},
 {"board": "plain", "kind": "mac", "room": [1000, 44, 22], "rows": 0, "lanes": 0,
  "larger": {"rows": 2, "lanes": 16, "scale_units": 2, "model": [1001, 4, 5], "synthesized": null, "over": ["comb"]}}]}
END
page() {
    PYTHONDONTWRITEBYTECODE=1 python3 tools/synth_page.py "$T" "$T" 'plain ecp5 45 board Kind=2 Rows=8 Lanes=32' \
        'stored usb_sdram 48 board_usb_fs Kind=2 Rows=8 Lanes=32 Memory=1' >"$T/out" 2>"$T/err"
}
page
rc=$?
report $rc "page, text and JSON of the synthesis report are written"

# demo: 4718592 weights of 2 bits in 2.0625, 262144 of 8 in 8.5; 30 and 6 times as many bytes of activations and results as here
PYTHONDONTWRITEBYTECODE=1 python3 - "$T" 2>"$T/err" <<'END'
import json, sys
d = json.load(open(sys.argv[1] + "/boards.json"))
plain, stored = d["boards"]
byte = 4718592 * 2.0625 / 8 + 262144 * 8.5 / 8
io = 6 * (6 * 256 + 768 + 6 * (3 * 256 + 2 * 128 + 2 * 768)) + 256 + 6 * 1024
near = lambda a, b: abs(a / b - 1) < 1e-9
demo = stored["models"][0]
assert demo["macs"] == 4980736 and near(demo["bytes"], byte)
assert near(demo["compute"], 8 * 32 * 48e6 / (4718592 * 2 + 262144 * 8))
assert near(demo["memory"], 96e6 / byte)
assert near(demo["link_streamed"], 19 * 64000 / (byte + io)) and near(demo["link_resident"], 19 * 64000 / io)
assert demo["streamed"] == demo["link_streamed"] and demo["resident"] == min(demo["compute"], demo["memory"], demo["link_resident"])
assert stored["models"][2]["resident"] is None and plain["models"][0]["resident"] is None and plain["reached_mhz"] == 51.2
assert d["cores"][0]["cells"] == {"LUT": 3, "FF": 1}
assert plain["slowest"] == {"core.tile": 1.5, "(top)": 0.25} and plain["used"]["TRELLIS_COMB"]["used"] == 2560
END
report $? "limits of boards are what their formula says, and weights that do not fit are not resident"
grep -Eq '^plain +8x32 +2560 of 24288 .* 10.0 +51.2 +45.0 +core.tile 1.5, \(top\) 0.2' "$T/boards.txt" && grep -q '<td class="l">16x64</td>' "$T/report.html" &&
    grep -q '32x64: 1900, 4, 50; comb, dsp by the model' "$T/report.html" && grep -q '<td>901 of 1000</td>' "$T/report.html"
report $? "boards that were placed and the largest tiles are in the report, with what synthesis and the model say"

# Areas by a formula instead of synthesis: what is found must be what trying every shape finds, also where the formula is not the model's.
PYTHONDONTWRITEBYTECODE=1 python3 - 2>"$T/err" <<'END'
import sys
sys.path.insert(0, "synth")
import largest as l
class Flow:
    bend = 0
    def __init__(self):
        self.asked = []
    def tile(self, kind, r, n):
        return 100 + 9 * r + 20 * n + (90 if kind == "mac" else 9) * r * n
    def core(self, spec, kind, r, n, units, steps):
        self.asked.append((r, n))
        more = 0 if spec["core"] == "ecp5" else 700
        return (self.tile(kind, r, n) + 4000 + more + 10 * r + 15 * n + 2 * r * n + 300 * (units - 2) + self.bend * max(0, r * n - 512),
                10 + l.buffers(spec, kind, r, n, units, steps), 1 + 10 * units)
parameters = {"Lanes": "32", "XDepth": "1024", "WDepth": "512", "MaxN": "16"}
specs = [{"board": b, "core": c, "mhz": 45.0, "device": d, "parameters": parameters} for b, c, d in (("a", "ecp5", "--25k"), ("b", "usb", "--85k"))]
kinds = ["lut", "mac"]
flow = Flow()
model = l.Model(flow, specs, kinds, 1)
sizes = {}
for spec in specs:
    for kind in kinds:
        room = [n * 80 // 100 for n in l.DEVICES[spec["device"]]]
        best = max((r * n for r, n in l.shapes(kind)[1] if all(a <= b for a, b in zip(flow.core(spec, kind, r, n, l.units_of(kind, r, n), l.steps_of(spec, n)), room))), default=0)
        for confirm in (0, 1, 2):
            found = l.decide(flow, model, spec, kind, 80, confirm)
            assert found["rows"] * found["lanes"] == best and best > 0, (spec, kind, found, best)
            assert confirm or not found["synthesized"]
            assert found["larger"]["over"] and (confirm < 2 or found["larger"]["synthesized"])
        sizes[spec["board"], kind] = best
assert sizes["b", "lut"] > sizes["a", "lut"] > sizes["a", "mac"], sizes
flow.bend = 20      # large tiles take more than the model says: a smaller one is taken
found = l.decide(flow, model, specs[1], "lut", 80, 1)
assert found["rows"] * found["lanes"] < sizes["b", "lut"] and not found["over"] and found["larger"]["synthesized"] and found["larger"]["over"] == ["comb"], found
flow.bend = -9      # they take less: the next larger one fits
assert l.decide(flow, model, specs[1], "lut", 80, 2)["rows"] * l.decide(flow, model, specs[1], "lut", 80, 2)["lanes"] >= sizes["b", "lut"]
none = l.decide(flow, model, specs[0], "lut", 5, 1)
assert none["rows"] == 0 and none["larger"]["over"]
END
report $? "the largest tile is the one that trying every shape finds; where synthesis and the model differ, synthesis counts"
! python3 synth/largest.py "$T/x" true 'icebreaker core 12 --up5k board' >"$T/out" 2>"$T/err" && grep -q "'icebreaker' is no board with an ECP5" "$T/err" &&
    ! KINDS=no python3 synth/largest.py "$T/x" true 'a ecp5 45 --25k board' >"$T/out" 2>"$T/err" && grep -q "no kind 'no'" "$T/err"
report $? "largest.py refuses boards and kinds that it does not know"
[ -s "$T/report.html" ] && ! grep -qiE '(src|href) *=|<script|<link|@import|url\(' "$T/report.html"
report $? "the page of the synthesis report loads nothing"
[ "$(grep -c '<svg' "$T/report.html")" -ge 4 ] && grep -q 'a&lt;b' "$T/report.html" && ! grep -q 'a<b' "$T/report.html" &&
    grep -q 'Tokens/s of one sequence, projected' "$T/report.html" && grep -q 'every figure is projected' "$T/boards.txt"
report $? "the page of the synthesis report has its plots, escapes what it quotes and says what is projected"
python3 - "$T" 2>"$T/err" <<'END'
import html.parser, sys, xml.etree.ElementTree
class Tags(html.parser.HTMLParser):
    stack = []
    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br"):
            self.stack.append(tag)
    def handle_startendtag(self, tag, attrs):
        pass
    def handle_endtag(self, tag):
        assert self.stack.pop() == tag, tag
text = open(sys.argv[1] + "/report.html").read()
tags = Tags()
tags.feed(text)
assert tags.stack == [], tags.stack
for svg in text.split("<svg")[1:]:
    xml.etree.ElementTree.fromstring("<svg" + svg.split("</svg>")[0] + "</svg>")
END
report $? "the tags of the page of the synthesis report match"
rm "$T/report.json"
! page && grep -q 'report.json' "$T/err"
report $? "without areas there is no page"

# ---- what OpenSTA is told of a netlist's activity (make asic-report) ----
cat >"$T/dump.vcd" <<'END'
$var wire 1 ! a $end
$var wire 3 " n [2:0] $end
$enddefinitions $end
$dumpvars
x!
bx "
$end
#1
1!
b1 "
#2
0!
b110 "
#3
1!
b11x "
#4
b10 "
END
cat >"$T/tile.json" <<'END'
{"modules": {"netlist": {"netnames": {"a": {"bits": [2]}, "n": {"bits": [3, 4, 5]}},
 "cells": {"u0": {"connections": {"A": [2], "B": ["1"], "Y": [4]}}, "u1": {"connections": {"CLK": [9], "D": [5], "Q": [3]}}}}}}
END
PYTHONDONTWRITEBYTECODE=1 python3 synth/asic.py script "$T/tile.json" "$T/dump.vcd" 4 cells.lib tile.v >"$T/out" 2>"$T/err"
rc=$?
[ $rc -eq 0 ] && grep -q 'u0/A. 0.50000 ' "$T/out" && grep -q 'u0/B. 0.00000 ' "$T/out" && grep -q 'u0/Y. 0.25000 ' "$T/out" &&
    grep -q 'u1/D. 0.50000 ' "$T/out" && grep -q 'u1/Q. 0.25000 ' "$T/out" && ! grep -q CLK "$T/out"
report $? "the activity of a pin is its net's transitions a cycle, bit by bit, changes from or to unknown left out"
sed -i 's/"n": {/"m": {/' "$T/tile.json"
! python3 synth/asic.py script "$T/tile.json" "$T/dump.vcd" 4 cells.lib tile.v >"$T/out" 2>"$T/err" && grep -q 'no waveform of 3 of 5 pins' "$T/err"
report $? "a netlist whose nets the waveform lacks gets no power"
exit $failed
