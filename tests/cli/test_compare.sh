#!/bin/sh
# test_compare.sh - accel compare, and the page that make compare makes of it.
# SPDX-License-Identifier: Apache-2.0
#
# Synthesis is replaced by counts made up here: its own tests are in synth/, and it takes minutes.
. tests/cli/lib.sh

compare() {
    accel compare "$@"
}

if ! "$ACCEL" list | grep -q '^sim:pe=mac'; then
    echo "ok accel compare runs on the mac kind # SKIP no such model is built in"
    exit 0
fi

compare --kind mac --format int4 --format bipolar2 --json
[ $rc -eq 0 ] && check 'len(d["cells"]) == 6 and {c["pruning"] for c in d["cells"]} == {"dense", "half", "2:4"}'
report $? "compare --json has a cell for each format and pruning"
check 'all(c["many"]["macs"] == 16 * c["one"]["macs"] == 16 * c["weights"] > 0 and
           c["many"]["cycles"] >= c["many"]["array_beats"] > 0 for c in d["cells"] if not c["refused"])'
report $? "each cell counts its multiply-accumulates and cycles, of 16 columns and of one"
check 'all(c["bits_per_weight"] > c["code_bits_per_weight"] >= c["format_bits"] for c in d["cells"] if not c["refused"])'
report $? "bits per weight are more than the format's by headers"
check '[c["refused"] for c in d["cells"] if c["format"] == "bipolar2"].count("bipolar2 has no zero to prune to") == 2'
report $? "a cell that cannot be keeps its place, with the reason"
check 'all(c["zeros"] >= {"dense": 0, "half": 0.5, "2:4": 0.5}[c["pruning"]] for c in d["cells"] if not c["refused"])'
report $? "half of the pruned weights are zero"

compare --kind mac --format bipolar2
[ $rc -eq 0 ] && grep -q '^mac .*half .*has no zero' "$T/out"
report $? "the text table prints refusals"
compare --kind nonsense
[ $rc -eq 2 ] && grep -q 'no "nonsense"; there are: .*mac' "$T/err"
report $? "an unknown kind is refused with the list of kinds"
compare --kind mac --format int4 --pruning 2:4 --json
[ $rc -eq 0 ] && check '[c["pruning"] for c in d["cells"]] == ["2:4"]'
report $? "--pruning leaves the others out"
compare --pruning most
[ $rc -eq 2 ] && grep -q 'dense, half or 2:4' "$T/err"
report $? "an unknown pruning is refused with those there are"
compare -d sim:pe=mac --sample --format int4 --json
[ $rc -eq 0 ] && check 'len(d["cells"]) == 1 and d["cells"][0]["many"]["jobs"] == 1 and "one" not in d["cells"][0]'
report $? "--sample runs one job"
compare -m models/make_stories.py
[ $rc -eq 15 ] && grep -q 'make_stories.py' "$T/err"
report $? "a file that is no model is named"
compare --kind mac -p short
[ $rc -eq 11 ] && grep -q 'change -p' "$T/err"
report $? "a text of too few tokens is refused"

# ---- recorded layers ----
compare --kind mac --format int8 --vectors tools/shapes.layers --json
[ $rc -eq 0 ] && check 'len(d["cells"]) == 6 and sum(c["weights"] for c in d["cells"] if c["workload"] == "cnn" and
                        c["pruning"] == "dense") == 16 * 144 + 32 * 144 + 32 * 288 + 64 * 288 + 64 * 576'
report $? "recorded layers are a second workload"
head -c 3000 tools/shapes.layers >"$T/cut"
compare --kind mac --format int8 --vectors "$T/cut"
[ $rc -eq 15 ] && grep -q 'the last layer is cut off' "$T/err"
report $? "a file of layers that is cut off is refused"
printf 'layer x 999 999 99\n' >"$T/large"
compare --kind mac --format int8 --vectors "$T/large"
[ $rc -eq 15 ] && grep -q 'at most 256 rows' "$T/err"
report $? "a layer that is too large is refused"
: >"$T/empty"
compare --kind mac --format int8 --vectors "$T/empty"
[ $rc -eq 15 ] && grep -q 'the file is empty' "$T/err"
report $? "an empty file of layers is refused"
if [ -e "${ACCEL_SHARED:=../shared}/data/resnet8-cifar10/expected.tsv" ]; then
    python3 tools/resnet8_layers.py "$ACCEL_SHARED/data/resnet8-cifar10" "$T/layers" >"$T/out" 2>"$T/err" &&
        compare --kind mac --format int8 --vectors "$T/layers" --json &&
        check '(sum(c["weights"] for c in d["cells"] if c["workload"] == "cnn" and c["pruning"] == "dense") ==
                16 * 144 * 2 + 32 * 144 + 32 * 288 + 64 * 288 + 64 * 576)'
    report $? "ResNet8 sees a bird, and its layers are a workload"
else
    echo "ok ResNet8 sees a bird, and its layers are a workload # SKIP no network in $ACCEL_SHARED"
fi

# ---- the page, of what was measured above and areas that are made up ----
compare --kind mac --format int4 --format bipolar2 --json
PYTHONDONTWRITEBYTECODE=1 python3 - "$T" 2>"$T/err" <<'END'
import json, os, sys
sys.path.insert(0, "tools")
import compare_page
where = sys.argv[1]
cells = json.load(open(where + "/out"))["cells"]
for c in cells:
    if not c["refused"]:
        for n in ("many", "one"):
            c[n]["lut4eq_per_mac_per_cycle"] = 1000 / c[n]["macs_per_cycle"]
            c[n]["speed_at_equal_luts"] = 1.0
kinds = [{"kind": "mac", "module": "tile_mac", "rows": 32, "lanes": 32, "scale_units": 16, "notes": ["<i>&"], "measured": [],
          "lut4": 800.0, "carry": 100.0, "ff": 50.0, "lut4eq": 1000.0, "gates": 9.0}]
compare_page.write({"seconds": 1, "yosys": "Yosys", "verilator": "Verilator", "kinds": kinds, "cells": cells}, where)
END
report $? "JSON, CSV, text and page are written"
[ -s "$T/compare.html" ] && ! grep -qiE '(src|href) *=|<script|<link|@import|url\(' "$T/compare.html"
report $? "the page loads nothing"
grep -q '<svg' "$T/compare.html" && grep -q 'Fairness rules' "$T/compare.html" && grep -q 'LUT Tensor Core' "$T/compare.html"
report $? "the page has plots, its fairness rules and the papers"
grep -q '&lt;i&gt;&amp;' "$T/compare.html" && ! grep -q '<i>&' "$T/compare.html"
report $? "the page escapes what it quotes"
python3 - "$T" 2>"$T/err" <<'END'
import csv, html.parser, sys
rows = list(csv.DictReader(open(sys.argv[1] + "/compare.csv")))
assert len(rows) == 6 and all(r["kind"] == "mac" and r["refused"] or float(r["LUT4eq"]) == 1000 for r in rows)
class Tags(html.parser.HTMLParser):
    void = {"meta", "br"}
    stack = []
    def handle_starttag(self, tag, attrs):
        if tag not in self.void:
            self.stack.append(tag)
    def handle_startendtag(self, tag, attrs):
        pass
    def handle_endtag(self, tag):
        assert self.stack.pop() == tag, tag
tags = Tags(convert_charrefs=True)
page = open(sys.argv[1] + "/compare.html").read()
tags.feed(page)
assert tags.stack in ([], ["html"]), tags.stack
END
report $? "the CSV has a line for each cell and the page's tags match"

KINDS=nonsense python3 tools/compare.py "$(dirname "$ACCEL")" >"$T/out" 2>"$T/err"
[ $? -eq 2 ] && grep -q "no kind 'nonsense'; there are: .*mac" "$T/err"
report $? "KINDS= of make compare refuses an unknown kind with the list"
synth/tile.sh nonsense ecp5 2 8 1 "$T/tile" >"$T/out" 2>"$T/err"
[ $? -eq 2 ] && grep -q "no kind 'nonsense': .*mac" "$T/err"
report $? "synthesis refuses an unknown kind with the list"
exit $failed
