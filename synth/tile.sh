#!/usr/bin/env bash
# tile.sh - synthesize one PE tile alone, so that its area can be counted and its netlist simulated.
# Usage: synth/tile.sh KIND ecp5|ice40 ROWS LANES SCALE_UNITS OUT     writes OUT.stat, OUT.v, OUT.log
# KIND: mac, bitserial, lut (pair tables), lut4 (tables of four lanes)
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
kind=$1 tech=$2 rows=$3 lanes=$4 units=$5 out=$6
cd "$(dirname "$0")/.."

top=tile_$kind param=
if [ "$kind" = lut4 ]; then
    top=tile_lut param='-chparam TableK 4'
fi
case $tech in
ecp5) flow="synth_ecp5 -abc9 -nodsp -nobram -nolutram -top $top" ;;
ice40) flow="synth_ice40 -nobram -top $top" ;;
*) echo "tile.sh: unknown technology '$tech': ecp5 or ice40" >&2; exit 2 ;;
esac
# shellcheck disable=SC2016  # names of yosys cells
bits='t:$mux t:$pmux t:$and t:$or t:$xor t:$not t:$dff t:$dffe t:$sdff t:$sdffe t:$sdffce' sums='t:$add t:$sub t:$mul'
# Each round carries what is known of the sign one level further into the trees, which have at most eight.
narrow=
for _ in 1 2 3 4 5 6 7 8; do narrow+="wreduce $sums; opt_expr; opt_merge; opt_clean; "; done

mkdir -p "$(dirname "$out")"
rm -f "$out".stat "$out".v "$out".log
# The RTL computes on 32-bit words. As single-bit gates and flip-flops their upper bits are seen to be all the same and
# merged, and wreduce then narrows the adders that follow.
# The sources come by name, not from rtl/files.f: a tile needs no more than these.
yosys -q -l "$out.log" -p "
    read_verilog rtl/pe/tile_drain.v rtl/pe/$top.v
    hierarchy -check -top $top -chparam Rows $rows -chparam Lanes $lanes -chparam ScaleUnits $units $param
    proc; flatten; opt -nosdff
    techmap -D FENCE_SIGNED -map synth/fence.v; wreduce $sums; opt_clean
    simplemap $bits; opt -nosdff; $narrow
    techmap -D FENCE_ALU -map synth/fence.v
    $flow
    tee -q -o $out.stat stat
    rename $top netlist
    write_verilog -noattr -noexpr $out.v" >"$out.warnings" 2>&1 || { cat "$out.warnings"; exit 1; }
[ -s "$out.stat" ] && [ -s "$out.v" ]
