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
bitwise='t:$mux t:$pmux t:$and t:$or t:$xor t:$not'

mkdir -p "$(dirname "$out")"
rm -f "$out".stat "$out".v "$out".log
# The RTL computes on 32-bit words. Single-bit gates and flip-flops let opt_merge see that their upper bits are all the
# same, and wreduce then narrows the adders that follow; two rounds reach the far side of the table registers.
# The sources come by name, not from rtl/files.f: a tile needs no more than these.
yosys -q -l "$out.log" -p "
    read_verilog rtl/pe/tile_drain.v rtl/pe/$top.v
    hierarchy -check -top $top -chparam Rows $rows -chparam Lanes $lanes -chparam ScaleUnits $units $param
    proc; flatten; opt_expr; opt_clean
    simplemap $bitwise; opt_expr; opt_merge; opt_clean
    techmap -D FENCE_SIGNED -map synth/fence.v; wreduce t:\$add t:\$sub t:\$mul; opt_clean
    simplemap $bitwise t:\$dff t:\$dffe; opt_merge; opt_clean
    wreduce t:\$add t:\$sub t:\$mul; opt_clean
    techmap -D FENCE_ALU -map synth/fence.v
    $flow
    tee -q -o $out.stat stat
    rename $top netlist
    write_verilog -noattr -noexpr $out.v"
[ -s "$out.stat" ] && [ -s "$out.v" ]
