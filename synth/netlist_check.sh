#!/usr/bin/env bash
# netlist_check.sh - is the netlist that the area is counted on still the tile? Small tiles of each kind go through the
# flow of tile.sh and are simulated beside their RTL, with the cells' own simulation models. Prints ok and not ok lines.
# Usage: synth/netlist_check.sh OUT_DIR [KIND...]
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
dir=$1
shift
cd "$(dirname "$0")/.." || exit 1
share=$(dirname "$(command -v yosys)")/../share/yosys
rows=2 lanes=8 units=1 cycles=${CYCLES:-300}
bad=0
mkdir -p "$dir"

check() {   # KIND TECH [EDIT]: EDIT is a sed script that spoils the netlist
    local kind=$1 tech=$2 edit=${3:-} out=$dir/$1-$2-small top=tile_$1 params='' words=1 defs
    case $kind in
    lut4) top=tile_lut params=',.TableK(4)' ;;
    mac) words=8 ;;
    esac
    defs=("-DTOP=$top" "-DROWS=$rows" "-DLANES=$lanes" "-DUNITS=$units" "-DWORDS=$words" "-DPARAMS=$params" "-DCYCLES=$cycles")
    [ "$tech" = ice40 ] && defs+=(-DNO_ICE40_DEFAULT_ASSIGNMENTS)
    rm -f "$out.vvp"
    if [ -z "$edit" ]; then
        synth/tile.sh "$kind" "$tech" $rows $lanes $units "$out" || return 1
        cp "$out.v" "$out-sim.v"
    else
        sed "$edit" "$out.v" >"$out-sim.v"
        cmp -s "$out.v" "$out-sim.v" && return 1
    fi
    iverilog -g2012 -o "$out.vvp" "${defs[@]}" -s tile_tb -I "$share/$tech" synth/tile_tb.v rtl/pe/tile_drain.v \
        "rtl/pe/$top.v" "$out-sim.v" "$share/$tech/cells_sim.v" >"$out.iverilog" 2>&1 || { cat "$out.iverilog"; return 1; }
    vvp -n "$out.vvp" | tee "$out.sim" | grep -q '^PASS'
}

for kind in "${@:-mac bitserial lut lut4}"; do
    for k in $kind; do
        for tech in ecp5 ice40; do
            if check "$k" $tech; then
                echo "ok the $tech netlist of $k computes what its RTL does: $(cat "$dir/$k-$tech-small.sim")"
            else
                echo "not ok the $tech netlist of $k computes what its RTL does: see $dir/$k-$tech-small.*"
                bad=1
            fi
        done
    done
done

# A check that cannot fail shows nothing: one adder cell of the last ECP5 netlist is made to answer zero.
last=${k:-lut}
if check "$last" ecp5 "0,/INIT0(16'h96aa)/s//INIT0(16'h0000)/"; then
    echo "not ok a netlist with one wrong cell is noticed: see $dir/$last-ecp5-small.*"
    bad=1
elif grep -q '^FAIL' "$dir/$last-ecp5-small.sim"; then
    echo "ok a netlist with one wrong cell is noticed: $(cat "$dir/$last-ecp5-small.sim")"
else
    echo 'not ok a netlist with one wrong cell is noticed: it was not simulated'
    bad=1
fi
exit $bad
