#!/usr/bin/env bash
# tile.sh - synthesize one PE tile alone, so that its area can be counted and its netlist simulated.
# Usage: synth/tile.sh KIND ecp5|ecp5dsp|ice40|gates|osu018 ROWS LANES SCALE_UNITS OUT [PARAMETER=VALUE...]
#        synth/tile.sh KIND gates,ecp5 ...        several at once, in less time; writes OUT-gates.stat, OUT-ecp5.stat and so on
#        synth/tile.sh KIND top          prints the tile's module and parameters
# Writes OUT.stat, OUT.log, and OUT.v (cells of ecp5, ice40, osu018, the last with OUT.json and OUT-bits.v) or OUT.blif (gates: AND, OR, XOR, MUX, NOT, flip-flops).
#        synth/tile.sh fixed ...         the conventional array of synth/baseline/
# ecp5dsp: multipliers become MULT18X18D. Not together with others.
# KIND: a name of driver/src/pack/kinds.c. Its module is tile_KIND unless sim/tb/tb.mk says otherwise (TB_TILE_KIND).
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1 tech=$2
if [ "$kind" != fixed ] && ! grep -q "\.name = \"$kind\"" driver/src/pack/kinds.c; then
    echo "tile.sh: no kind '$kind': $(sed -n 's/.*\.name = "\([a-z0-9_]*\)".*/\1/p' driver/src/pack/kinds.c | tr '\n' ' ')" >&2
    exit 2
fi
tile=$(sed -n "s/^TB_TILE_$kind *:= *//p" sim/tb/tb.mk)
tile=${tile:-tile_$kind}
[ "$kind" != fixed ] || tile=fixed_tile
top=${tile%%:*}
params=${tile#"$top"}
params=${params//:/ }
if [ "$tech" = top ]; then
    echo "$top$params"
    exit
fi
rows=$3 lanes=$4 units=$5 out=$6
shift 6

# -defer: only modules in use are elaborated, each with its own parameters.
mapfile -t sources < <(sed -e 's://.*$::' -e '/rtl\/\(pe\|lib\)\//!d' rtl/files.f)
[ "$kind" != fixed ] || sources+=(synth/baseline/fixed_tree.v synth/baseline/fixed_tile.v)
chparam="-chparam Rows $rows -chparam Lanes $lanes -chparam ScaleUnits $units"
for p in $params "$@"; do chparam+=" -chparam ${p%%=*} ${p#*=}"; done
# shellcheck disable=SC2016  # names of yosys cells
bits='t:$mux t:$pmux t:$and t:$or t:$xor t:$not t:$dff t:$dffe t:$sdff t:$sdffe t:$sdffce' sums='t:$add t:$sub t:$mul'
# Each round carries what is known of the sign one level further into the trees, which have at most eight.
narrow=
for _ in 1 2 3 4 5 6 7 8; do narrow+="wreduce $sums; opt_expr; opt_merge; opt_clean; "; done

# Multipliers become rows of adders, or are left for the flow's.
fence='-D FENCE_ALU -D FENCE_MUL'
case $tech in
ecp5dsp) fence='-D FENCE_ALU' ;;
*ecp5dsp*) echo 'tile.sh: ecp5dsp goes alone' >&2; exit 2 ;;
esac

mkdir -p "$(dirname "$out")"
# Wide multiplexers pay where tables have many entries; elsewhere they only hide logic from the carry cells.
case $kind in lut3 | lut4 | tlut) wide='' ;; *) wide=-nowidelut ;; esac
outs=() commands=
osu018=/usr/share/qflow/tech/osu018/osu018_stdcells.lib
rm -f "$out".log
for t in ${tech//,/ }; do
    to=$out
    [ "$t" = "$tech" ] || to=$out-$t
    write="write_verilog -noattr -noexpr $to.v" stat=stat
    case $t in
    ecp5) flow="synth_ecp5 -abc9 $wide -nodsp -nobram -nolutram -top $top; carry_fold; opt_clean" ;;
    ecp5dsp) flow="synth_ecp5 -abc9 $wide -nobram -nolutram -top $top; carry_fold; opt_clean" ;;
    ice40) flow="synth_ice40 -nobram -top $top" ;;
    gates) flow="alumacc; share; opt; opt -fast -full; techmap; opt -fast; abc -g AND,OR,XOR,MUX; opt_clean"
        write="write_blif -icells -attr $to.blif" ;;
    osu018)
        [ -r "$osu018" ] || { echo "tile.sh: no $osu018 (Debian: qflow-tech-osu018)" >&2; exit 2; }
        # what abc is to assume at ports, so that it buffers nets of many loads
        printf 'set_driving_cell BUFX2\nset_load 0.05 [all_outputs]\n' >"$to.constr"
        flow="synth -top $top -noabc; dfflibmap -liberty $osu018; abc -liberty $osu018 -constr $to.constr -D 10000; opt_clean -purge"
        flow+="; setundef -undriven -zero; rename -hide w:*; rename -hide c:*; opt_clean -purge"
        flow+="; rename -enumerate -pattern u% c:*; rename -enumerate -pattern net_% w:*" stat="stat -liberty $osu018"
        # OpenSTA reads no concatenations
        write+="; write_json $to.json; splitnets -ports; opt_clean -purge; write_verilog -noattr -noexpr $to-bits.v" ;;
    *) echo "tile.sh: unknown technology '$t': ecp5, ecp5dsp, ice40, gates or osu018" >&2; exit 2 ;;
    esac
    rm -f "$to".stat "$to".v "$to".blif
    outs+=("$to.stat")
    commands+="design -load narrow; $flow; tee -q -o $to.stat $stat; rename $top netlist; $write; "
done
# The RTL computes on 32-bit words. As single-bit gates and flip-flops their upper bits are seen to be all the same and
# merged, and wreduce then narrows the adders that follow.
# With this allocator, where it is installed, yosys takes a quarter less time for the same netlist.
! ldconfig -p | grep -q 'libjemalloc\.so\.2 ' || export LD_PRELOAD=libjemalloc.so.2${LD_PRELOAD:+ $LD_PRELOAD}
yosys -m "$(synth/plugin.sh)" -q -l "$out.log" -p "
    read_verilog -defer ${sources[*]}
    hierarchy -check -top $top $chparam
    proc; flatten; opt -nosdff
    techmap -D FENCE_SIGNED -map synth/fence.v; wreduce $sums; opt_clean
    simplemap $bits; opt -nosdff; $narrow
    techmap $fence -map synth/fence.v
    design -save narrow
    $commands" >"$out.warnings" 2>&1 || { cat "$out.warnings"; exit 1; }
for s in "${outs[@]}"; do [ -s "$s" ]; done
