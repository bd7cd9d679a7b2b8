#!/usr/bin/env bash
# core.sh - area of a whole accel_core by yosys' own ECP5 flow, with block RAM and multipliers where it finds use for them.
# Usage: synth/core.sh OUT_DIR [KIND ROWS LANES SCALE_UNITS MAX_N X_DEPTH W_DEPTH]
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
dir=$1
shift
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- 2 8 16 2 8 256 256
mapfile -t sources < <(sed -e 's://.*$::' -e '/^ *$/d' rtl/files.f)
mkdir -p "$dir"
rm -f "$dir/core.stat"
yosys -q -l "$dir/core.log" -p "
    read_verilog ${sources[*]}
    hierarchy -check -top accel_core -chparam Kind $1 -chparam Rows $2 -chparam Lanes $3 -chparam ScaleUnits $4 \
        -chparam MaxN $5 -chparam XDepth $6 -chparam WDepth $7
    synth_ecp5 -abc9 -top accel_core
    tee -q -o $dir/core.stat stat" >"$dir/core.warnings" 2>&1 || { cat "$dir/core.warnings"; exit 1; }
echo "accel_core kind $1, $2 x $3, $4 scale units, $5 columns, X $6, W $7:"
awk '$1 ~ /^(LUT4|CCU2C|TRELLIS_FF|DP16KD|MULT18X18D|TRELLIS_DPR16X4)$/ { printf "  %-16s %d\n", $1, $2 }' "$dir/core.stat"
