#!/usr/bin/env bash
# fmax.sh - clock of one tile by itself on an ECP5 of speed grade 6, placed and routed with a register at every port.
# Usage: synth/fmax.sh KIND ROWS LANES SCALE_UNITS OUT NEXTPNR [PARAMETER=VALUE...]
# NEXTPNR: the program. Prints the clock in MHz and where the slowest path begins and ends; writes OUT.v and the rest of tile.sh,
# OUT.json, OUT.report, OUT.place. Ports are no pins: of these no chip has enough.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1 rows=$2 lanes=$3 units=$4 out=$(realpath -m "$5") nextpnr=$(realpath "$6")
shift 6
synth/tile.sh "$kind" ecp5 "$rows" "$lanes" "$units" "$out" "$@"

# The tile between registers: its ports are read from the netlist.
awk '
    ($1 == "input" || $1 == "output") && $NF != "clk_i;" {
        range = $2 ~ /^\[/ ? $2 " " : ""; name = $NF; sub(/;/, "", name)
        ports = ports "    " $1 " " range name ",\n"
        if ($1 == "input") {
            body = body "    reg " range name "_q; always @(posedge clk_i) " name "_q <= " name ";\n"
            links = links ", ." name "(" name "_q)"
        } else {
            body = body "    wire " range name "_d; reg " range name "_q; assign " name " = " name "_q; always @(posedge clk_i) " name "_q <= " name "_d;\n"
            links = links ", ." name "(" name "_d)"
        }
    }
    END { print "module fmax(\n" ports "    input clk_i);\n" body "    netlist tile(.clk_i(clk_i)" links ");\nendmodule" }' "$out.v" >"$out-fmax.v"
# -nowidelut and the like are of no importance: there is nothing but registers to map.
yosys -q -l "$out-fmax.log" -p "
    read_verilog $out.v $out-fmax.v
    read_verilog -lib -specify +/ecp5/cells_sim.v +/ecp5/cells_bb.v
    hierarchy -check -top fmax; proc; flatten; opt_clean
    simplemap; dfflegalize -cell \$_DFF_P_ 01; techmap -map +/ecp5/cells_map.v; opt_clean; check -assert
    json -o $out.json fmax" >"$out.warnings" 2>&1 || { cat "$out.warnings" >&2; exit 1; }
cd "$(dirname "$out")"                      # what runs in a sandbox sees no other folder
name=$(basename "$out")
"$nextpnr" -q --25k --package CABGA381 --speed 6 --threads 1 --seed 1 --freq 80 --timing-allow-fail --out-of-context \
    --json "$name.json" --report "$name.report" --log "$name.place" >"$name.nextpnr" 2>&1 || { cat "$name.nextpnr" >&2; exit 1; }
python3 - "$name.report" <<'PY'
import json, sys
r = json.load(open(sys.argv[1], encoding="utf-8"))
print(round(min(c["achieved"] for c in r["fmax"].values()), 1), end="")
for path in r["critical_paths"]:
    if path["from"] == path["to"] and path["from"].startswith("posedge"):
        logic = sum(s["delay"] for s in path["path"] if s["type"] == "logic")
        total = sum(s["delay"] for s in path["path"])
        ends = path["path"][0]["from"]["cell"], path["path"][-1]["to"]["cell"]
        print(" ", *ends, f"{total:.1f} ns, {logic:.1f} of it in cells, {len(path['path'])} steps", end="")
print()
PY
