#!/usr/bin/env bash
# baseline.sh - the conventional arrays of synth/baseline/: are they right, and how large are they beside a tile of `lut`?
# Usage: synth/baseline.sh check OUT_DIR              RTL and small ECP5 netlists against multiplication; prints ok and not ok lines
#        synth/baseline.sh area OUT_DIR ROWS LANES    LUT4-equivalents per multiply-accumulate per cycle, and those of `lut`
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
step=$1 dir=$2
cd "$(dirname "$0")/.." || exit 1
share=$(dirname "$(command -v yosys)")/../share/yosys
mkdir -p "$dir"

simulate() {   # OUT ROWS LANES WIDTH PRODUCTS CHUNKS SOURCES...
    local out=$1 defs=("-DROWS=$2" "-DLANES=$3" "-DWIDTH=$4" "-DPRODUCTS=$5" "-DCHUNKS=$6")
    shift 6
    rm -f "$out.vvp"
    iverilog -g2005 -o "$out.vvp" "${defs[@]}" -s fixed_tb synth/baseline/fixed_tb.v "$@" >"$out.iverilog" 2>&1 || { cat "$out.iverilog"; return 1; }
    vvp -n "$out.vvp" >"$out.sim"
}

report() {   # TEXT OUT
    if grep -q '^PASS' "$2.sim"; then
        echo "ok $1: $(cat "$2.sim")"
    else
        echo "not ok $1: see $2.*"
        bad=1
    fi
}

bad=0
case $step in
check)
    for products in 0 1; do
        style=planes
        [ $products = 0 ] || style=products
        for width in 2 4 8; do
            out=$dir/fixed-$style-$width
            simulate "$out" 4 16 $width $products 300 synth/baseline/fixed_t{ree,ile}.v -y rtl/pe
            report "the fixed array of int$width by $style computes dot products" "$out"
        done
        out=$dir/fixed-$style-netlist
        synth/tile.sh fixed ecp5 2 4 1 "$out" Width=2 Products=$products
        simulate "$out" 2 4 2 $products 100 -DNETLIST -I "$share/ecp5" "$share/ecp5/cells_sim.v" "$out.v"
        report "the ECP5 netlist of the fixed array of int2 by $style computes dot products" "$out"
    done
    # Carry cells that answer zero have to be noticed.
    sed "s/INIT0(16'h96aa)/INIT0(16'h0000)/" "$out.v" >"$out-spoilt.v"
    if ! cmp -s "$out.v" "$out-spoilt.v" &&
        simulate "$out-spoilt" 2 4 2 1 100 -DNETLIST -I "$share/ecp5" "$share/ecp5/cells_sim.v" "$out-spoilt.v" && grep -q '^FAIL' "$out-spoilt.sim"; then
        echo "ok a fixed array with wrong adders is noticed: $(tail -n 1 "$out-spoilt.sim")"
    else
        echo "not ok a fixed array with wrong adders is noticed: see $out-spoilt.*"
        bad=1
    fi ;;
area)
    rows=$3 lanes=$4
    count() {   # NAME WIDTH STAT
        awk -v name="$1" -v width="$2" -v size="$((rows * lanes))" '
            $1 == "LUT4" { lut = $2 } $1 == "CCU2C" { carry = $2 } $1 == "TRELLIS_FF" { ff = $2 }
            END { printf "%-22s int%d %8d %8d %8d %10.1f\n", name, width, lut, carry, ff, (lut + 2 * carry) * (name == "lut" ? width : 1) / size }' "$3"
    }
    printf 'ECP5, %sx%s                   LUT4    carry       FF  LUT4eq per multiply-accumulate per cycle\n' "$rows" "$lanes"
    synth/tile.sh lut ecp5 "$rows" "$lanes" 1 "$dir/fixed-lut" || exit 1
    for width in 2 4 8; do
        count lut $width "$dir/fixed-lut.stat"
        for products in 0 1; do
            out=$dir/fixed-area-$width-$products
            synth/tile.sh fixed ecp5 "$rows" "$lanes" 1 "$out" Width=$width Products=$products || exit 1
            [ $products = 0 ] && style='fixed, by planes' || style='fixed, by products'
            count "$style" $width "$out.stat"
        done
    done ;;
*) echo "baseline.sh: unknown step '$step': check or area" >&2; exit 2 ;;
esac
exit $bad
