#!/usr/bin/env bash
# gate.sh - the netlist of a whole core, as it is placed and routed, runs jobs in four-state simulation: right results, and nothing
# unknown in any handshake, result or completion after reset. Prints ok and not ok lines.
# Usage: synth/gate.sh OUT_DIR [FAMILY:KIND:ROWS:LANES:SCALE_UNITS:MAX_N:X_DEPTH:W_DEPTH:O_DEPTH ...]
# FAMILY: ecp5 or ice40. $B/synth/gate_jobs makes the jobs. What is simulated and how: docs/synthesis.md.
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
dir=$(realpath -m "$1")
shift
cd "$(dirname "$0")/.." || exit 1
share=$(realpath "$(dirname "$(command -v yosys)")/../share/yosys")
maker=$(realpath "${B:-build}/synth/gate_jobs")
# small cores, and the one that the boards have (synth/boards.mk)
[ $# -gt 0 ] || set -- ecp5:lut:4:8:1:4:64:512:16 ecp5:bitserial:4:8:1:4:64:512:16 ecp5:mac:4:8:1:4:64:512:16 ecp5:lut4:4:8:1:4:64:512:16 \
    ecp5:tlut:8:12:1:4:64:512:16 ecp5:lut:8:32:2:16:1024:512:0 ice40:lut:4:8:1:4:64:512:16
bad=0

# Cells as yosys models them, but flip-flops and memories begin unknown.
# shellcheck disable=SC2016  # Verilog's backquote
cells() {   # FAMILY
    case $1 in
    ecp5) sed -e '/^(\* blackbox/d; /^module DP16KD(/,/^endmodule/d' -e '/^\tinitial Q = srval;/d' \
        -e 's/mem\[i\] <= .*INITVAL.*/mem[i] <= {4{1'"'bx}};/" "$share/ecp5/cells_sim.v" ;;
    ice40) sed -e 's/^`define SB_DFF_INIT .*/`define SB_DFF_INIT/' -e 's/\(memory\[.*\]\) = INIT_.*/\1 = {16{1'"'bx}};/" \
        "$share/ice40/cells_sim.v" ;;
    esac
}

# simulate OUT FAMILY LANES UNITS STALLS [MACRO]: OUT.v by the jobs in OUT/, into OUT.sim
simulate() {
    local out=$1 family=$2 sources=()
    cells "$family" >"$out.cells.v"
    [ "$family" != ecp5 ] || sources=(synth/gate_cells_ecp5.v)
    iverilog -g2012 -o "$out.vvp" -s gate_tb -DNO_INCLUDES -DNO_ICE40_DEFAULT_ASSIGNMENTS "-DLANES=$3" "-DUNITS=$4" "-DSTALLS=$5" \
        "-DW_BITS=$(($(sed -n 's/^ *input \[\([0-9]*\):0\] w_i;/\1/p' "$out.v") + 1))" ${6:+-D"$6"} \
        synth/gate_tb.v "${sources[@]}" "$out.v" "$out.cells.v" >"$out.iverilog" 2>&1 || { grep -v ": warning:" "$out.iverilog"; return 1; }
    (cd "$out" && vvp -n "$out.vvp") >"$out.sim" 2>&1
    grep -q '^PASS' "$out.sim"
}

# noticed NAME COMPLAINT OUT FAMILY LANES UNITS [MACRO]
noticed() {
    if ! simulate "$3" "$4" "$5" "$6" 1 "${7:-}" && grep -q "^FAIL $2" "$3.sim"; then
        echo "ok $1 # $(head -n 1 "$3.sim")"
    else
        echo "not ok $1: $(head -n 1 "$3.sim")"
        bad=1
    fi
}

for spec; do
    IFS=: read -r family kind rows lanes units max_n x_depth w_depth o_depth <<<"$spec"
    id=$(sed -n "s/.*\.name = \"$kind\", \.id = \([0-9]*\).*/\1/p" driver/src/pack/kinds.c)
    out=$dir/$family-$kind-${rows}x$lanes
    name="the $family netlist of a $kind core of $rows x $lanes runs its jobs with stalls, nothing unknown after reset"
    rm -rf "$out" "$out".*
    mkdir -p "$out"
    if ! { "$maker" "$kind" "$rows" "$lanes" "$units" "$o_depth" "$out" &&
        synth/netlist.sh core "$family" "$out.json" accel_core "Kind=${id:-none}" "Rows=$rows" "Lanes=$lanes" "ScaleUnits=$units" \
            "MaxN=$max_n" "XDepth=$x_depth" "WDepth=$w_depth" "ODepth=$o_depth" &&
        yosys -q -p "read_json $out.json; rename accel_core netlist; select netlist; write_verilog -selected -noattr -noexpr $out.v"; }; then
        echo "not ok $name: no netlist, see $out.*"
        bad=1
        continue
    fi
    if simulate "$out" "$family" "$lanes" "$units" 3; then
        echo "ok $name # $(tail -n 1 "$out.sim")"
    else
        echo "not ok $name: $(head -n 1 "$out.sim")"
        bad=1
    fi
done

# What the checks are worth: the last core is not reset; then one bit of the first result is another.
noticed 'a netlist that is not reset is unknown' 'an unknown' "$out" "$family" "$lanes" "$units" NO_RESET
awk 'NR == 1 { $0 = substr($0, 1, length - 1) (/0$/ ? "1" : "0") } 1' "$out/r.hex" >"$out/r.new" && mv "$out/r.new" "$out/r.hex"
noticed 'a result with one other bit is noticed' 'a wrong result' "$out" "$family" "$lanes" "$units"
exit $bad
