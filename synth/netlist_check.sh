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
rows=2 units=1 cycles=${CYCLES:-300}
bad=0
mkdir -p "$dir"
all=$(sed -n 's/.*\.name = "\([a-z0-9_]*\)".*/\1/p' driver/src/pack/kinds.c)

# Lanes of a small tile of the kind: a multiple of what its simulated cores have, 16 or 24 at least. tcle's netlist takes a
# second a cycle with 16: its shifts change many times before they settle.
lanes_of() {
    [ "$1" = tcle ] && echo 8 && return
    awk -v kind="$1" '$1 == kind { n = $4; while (n % 2 == 0 && n > 24) n /= 2; print n; exit }' sim/models.txt
}

port_bits() {   # NETLIST PORT: its width, 0 if there is none
    awk -v port="$2;" '($1 == "input" || $1 == "output") && $NF == port {
        n = 1; if (match($0, /\[[0-9]+:0\]/)) n = substr($0, RSTART + 1) + 1 }
        END { print n + 0 }' "$1"
}

check() {   # KIND TECH [EDIT]: EDIT is a sed script that spoils the netlist
    local kind=$1 tech=$2 edit=${3:-} out=$dir/$1-$2-small tile top params='' defs lanes p
    lanes=$(lanes_of "$kind")
    tile=$(synth/tile.sh "$kind" top)
    top=${tile%% *}
    for p in ${tile#"$top"}; do params+=",.${p%%=*}(${p#*=})"; done
    rm -f "$out.vvp"
    if [ -z "$edit" ]; then
        synth/tile.sh "$kind" "$tech" $rows "$lanes" $units "$out" || return 1
        cp "$out.v" "$out-sim.v"
    else
        sed "$edit" "$out.v" >"$out-sim.v"
        cmp -s "$out.v" "$out-sim.v" && return 1
    fi
    defs=("-DTOP=$top" "-DROWS=$rows" "-DLANES=$lanes" "-DUNITS=$units" "-DPARAMS=$params" "-DCYCLES=$cycles"
        "-DW_BITS=$(port_bits "$out.v" w_i)" "-DD_BITS=$(($(port_bits "$out.v" d_o) / units))")
    for p in table sel word; do
        [ "$(port_bits "$out.v" ${p}_i)" = 0 ] || defs+=("-DHAVE_${p^^}")
    done
    [ "$tech" = ice40 ] && defs+=(-DNO_ICE40_DEFAULT_ASSIGNMENTS)
    # yosys has no model of the multiplier
    sed -n '/^module MULT18X18D/,/^endmodule/p' synth/gate_cells_ecp5.v >"$out.mult.v"
    iverilog -g2012 -o "$out.vvp" "${defs[@]}" -s tile_tb -I "$share/${tech%dsp}" synth/tile_tb.v "$out-sim.v" "$out.mult.v" \
        -y rtl/pe -y rtl/lib "$share/${tech%dsp}/cells_sim.v" >"$out.iverilog" 2>&1 || { cat "$out.iverilog"; return 1; }
    vvp -n "$out.vvp" | tee "$out.sim" | grep -q '^PASS'
}

for kind in "${@:-$all}"; do
    for k in $kind; do
        techs='ecp5 ice40'
        [ "$k" != mac ] || techs+=' ecp5dsp'
        for tech in $techs; do
            if check "$k" "$tech"; then
                echo "ok the $tech netlist of $k computes what its RTL does: $(cat "$dir/$k-$tech-small.sim")"
            else
                echo "not ok the $tech netlist of $k computes what its RTL does: see $dir/$k-$tech-small.*"
                bad=1
            fi
        done
    done
done

# A check that cannot fail shows nothing: the adder cells of the last ECP5 netlist are made to answer zero.
last=${k:-lut}
if check "$last" ecp5 "s/INIT0(16'h96aa)/INIT0(16'h0000)/"; then
    echo "not ok a netlist with wrong adders is noticed: see $dir/$last-ecp5-small.*"
    bad=1
elif grep -q '^FAIL' "$dir/$last-ecp5-small.sim"; then
    echo "ok a netlist with wrong adders is noticed: $(cat "$dir/$last-ecp5-small.sim")"
else
    echo 'not ok a netlist with wrong adders is noticed: it was not simulated'
    bad=1
fi
exit $bad
