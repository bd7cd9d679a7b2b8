#!/usr/bin/env bash
# netlist.sh - netlists for place and route, in two steps: boards of a family that have the same core share its netlist.
# Usage: synth/netlist.sh core ecp5|ice40 OUT.json MODULE PARAMETER=VALUE...    rtl/boards/MODULE.v, or a module of rtl/files.f, and all
#                                                                    below it; with Cpu=1 and Firmware=FILE.hex $B/firmware's processor
#        synth/netlist.sh top ecp5|ice40 OUT.json TOP MHZ MODULE CORE.json  a board's top with that core; TOP: a folder of rtl/boards/
# Writes OUT.json, OUT.log, OUT.stat. Tiles are prepared as in synth/tile.sh; docs/synthesis.md says why.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."
step=$1 family=$2 out=${3%.json}
write="write_json $out.json"
shift 3
case $family in
ecp5) cells='+/ecp5/cells_sim.v +/ecp5/cells_bb.v' flow='synth_ecp5 -abc9 -nowidelut; carry_fold; opt_clean' ;;
ice40) cells=+/ice40/cells_sim.v flow='synth_ice40 -dsp -device u' ;;
*) echo "netlist.sh: unknown family '$family': ecp5 or ice40" >&2; exit 2 ;;
esac
case $step in
core)
    module=$1
    shift
    mapfile -t sources < <(sed -e 's://.*$::' -e '/^ *$/d' rtl/files.f)
    chparam=
    strings=                                # hierarchy takes none
    mac=0
    for p in "$@"; do
        case $p in
        Firmware=*) strings+="chparam -set ${p%%=*} \"${p#*=}\" \$abstract\\$module; " ;;
        Cpu=1) sources+=("${B:-build}/firmware/picorv32.v") ;;&
        Kind=0) mac=1 ;;&
        *) chparam+=" -chparam ${p%%=*} ${p#*=}" ;;
        esac
    done
    # shellcheck disable=SC2016  # names of yosys cells
    bits='t:$mux t:$pmux t:$and t:$or t:$xor t:$not t:$dff t:$dffe t:$sdff t:$sdffe t:$sdffce' sums='t:$add t:$sub'
    # multipliers of mac are narrowed, so that the fence makes rows of adders of them as in tiles: devices have few others
    # shellcheck disable=SC2016
    [ "$mac" = 0 ] || sums+=' t:$mul'
    narrow=
    for _ in 1 2 3 4 5 6; do narrow+="wreduce $sums; opt_expr; opt_merge; opt_clean; "; done
    # Memories take their output registers before these are split into bits, and after they have their enables: otherwise
    # what happens when a word is written and read at once is built around them, as if no_rw_check were not there.
    commands="
        read_verilog -defer ${sources[*]} rtl/boards/*.v
        read_verilog -lib -specify $cells
        $strings
        hierarchy -check -top $module$chparam
        proc; flatten; opt_expr; opt_clean; opt_dff -nosdff; opt_clean; memory -nomap; opt -nosdff
        techmap -D FENCE_SIGNED -map synth/fence.v; wreduce $sums; opt_clean
        simplemap $bits; opt -nosdff; $narrow
        techmap -D FENCE_ALU -D FENCE_MUL -map synth/fence.v
        $flow" ;;
top)
    top=$1 mhz=$2 module=$3 core=$4
    write="json -o $out.json $top"          # alone: the libraries' modules hold processes
    commands="
        read_json $core; design -stash core
        read_verilog -defer rtl/boards/$top/$top.v rtl/boards/$family/*.v
        read_verilog -lib rtl/soc/soc_parameters.v rtl/boards/$module.v
        read_verilog -lib -specify $cells
        hierarchy -check -top $top -chparam Mhz $mhz
        proc; flatten; opt; techmap; abc -lut 4; techmap -map +/$family/cells_map.v; opt_clean
        delete =$module; design -copy-from core $module
        flatten; opt_clean; check -assert" ;;
*) echo "netlist.sh: unknown step '$step': core or top" >&2; exit 2 ;;
esac
rm -f "$out.json"
yosys -m "$(synth/plugin.sh)" -q -l "$out.log" -p "
    $commands
    tee -q -o $out.stat stat
    $write" >"$out.warnings" 2>&1 || { cat "$out.warnings" >&2; exit 1; }
