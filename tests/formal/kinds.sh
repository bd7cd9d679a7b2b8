#!/usr/bin/env bash
# kinds.sh - each PE kind's tile gives D of the definition in tests/formal/fv_kind.v, which is written from the formats
# alone. One row, one chunk, few lanes:
#   exhaustively in simulation: all codes of one lane times all activations, in every format of up to 8 bits; and all
#     pairs of codes (a whole cell of a table kind) of up to 4 bits with activations of as many bits as 2^17 cases allow
#   as proof (yosys, enumerate.c): all codes, activations and selectors that the netlist has, for every kind and format of up to
#     4 bits with FULL=1, in at most LIMIT seconds (600) of processor time each; what does not end is told and gets 2^26 cases
#     of simulation. Without FULL=1 some formats.
# KINDS="mac lut" chooses kinds.
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
out=${OUT:-build/formal}/kinds
mkdir -p "$out"
: "${FULL:=0}" "${LIMIT:=600}"
bad=0

# kind: macros of fv_kind.v | lanes | in simulation: places with codes, select bits, places with activations |
#   in proofs: lanes with codes and selects, bytes of x_i that are not zero (all) | formats proved without FULL=1
declare -A how=(
    [mac]="-DTILE=tile_mac -DPARAMS= -DWORD=8|2|2 0 2|99 all|int4 uint4"
    [bitserial]="-DTILE=tile_bitserial -DPARAMS= -DPLANES -DCELL=1|2|2 0 2|99 all|int4"
    [lut]="-DTILE=tile_lut -DPARAMS=,.TableK(2) -DPLANES -DCELL=2|2|2 0 2|99 all|int4"
    [lut3]="-DTILE=tile_lut -DPARAMS=,.TableK(3) -DPLANES -DCELL=3|3|3 0 3|99 all|int2"
    [lut4]="-DTILE=tile_lut -DPARAMS=,.TableK(4) -DPLANES -DCELL=4|4|4 0 4|99 all|int1"
    [popcount]="-DTILE=tile_popcount -DPARAMS=,.ActPlanes(8) -DPLANES -DCELL=1|8|2 0 2|2 0,1|int2"
    [bismo]="-DTILE=tile_popcount -DPARAMS=,.ActPlanes(1) -DPLANES -DCELL=1|8|2 0 2|2 0,1|int2"
    [tlut]="-DTILE=tile_tlut -DPARAMS= -DTLUT|3|3 0 3|99 all|"
    [term]="-DTILE=tile_term -DPARAMS=,.DBits(36) -DWORD=8|2|2 0 2|99 all|int2 e2m0"
    [shiftadd]="-DTILE=tile_shiftadd -DPARAMS= -DWORD=4|2|2 0 2|99 all|int4"
    [dpred]="-DTILE=tile_dpred -DPARAMS= -DWORD=8|2|2 0 2|99 all|int4"
    [laconic]="-DTILE=tile_laconic -DPARAMS= -DWORD=8|2|2 0 2|99 all|int4"
    [tclp]="-DTILE=tile_tclp -DPARAMS= -DWINDOW -DWORD=8|8|1 3 4|1 0,11|int2"
    [tcle]="-DTILE=tile_tcle -DPARAMS= -DWINDOW -DWORD=8|8|1 3 4|1 0,11|int2"
    [nm]="-DTILE=tile_nm -DPARAMS=,.Block(4) -DNM -DWORD=8|4|2 2 4|99 all|int4"
    [nm16]="-DTILE=tile_nm -DPARAMS=,.Block(16) -DNM -DWORD=8|16|2 4 2|99 all|int2"
    [olive]="-DTILE=tile_olive -DPARAMS= -DWORD=4|2|2 0 2|99 all|olive4"
    [ant]="-DTILE=tile_ant -DPARAMS= -DWORD=4|2|2 0 2|99 all|ant4"
)
cc -O3 -march=native -std=c11 -Wall -Wextra -o "$out/enumerate" tests/formal/enumerate.c || exit 1
mapfile -t sources < <(grep -E '^rtl/(pe|lib)/' rtl/files.f)

report() {  # STATUS NAME WHAT
    if [ "$1" = 0 ]; then echo "ok $2: $3"; else echo "not ok $2: $3"; bad=1; fi
}

# ---- what there is to show
cc -O1 -std=c11 -D_POSIX_C_SOURCE=200809L -ffp-contract=off -Idriver/include -Idriver/src -o "$out/formats" tests/formal/formats.c \
    driver/src/{align,format,ggml_blocks,ggml_types,matrix,outliers,quantize,requant,status,quant/layout}.c driver/src/pack/*.c -lm || exit 1
"$out/formats" >"$out/formats.txt" || exit 1
: "${KINDS:=$(cut -d' ' -f1 "$out/formats.txt" | uniq | tr '\n' ' ')}"

verilate() {    # KIND DIR DEFINES LANES SOURCE...
    local dir=$2 defines=$3 lanes=$4 dbits=24
    [ "$1" = term ] && dbits=36
    shift 4
    rm -rf "$dir"
    mkdir -p "$dir"
    # shellcheck disable=SC2086  # several macros
    verilator --cc --exe --build -O3 --x-assign fast --noassert --unroll-count 100000 --unroll-stmts 10000000 -Wno-fatal -Wno-lint \
        -Wno-style $defines -CFLAGS -O2 -Mdir "$dir" --top-module fv_kind -GLanes="$lanes" -GDBits=$dbits -o kind tests/formal/fv_kind.v \
        "$@" "$PWD/tests/formal/kind.cpp" >"$dir/log" 2>&1
}

count() {       # WHAT ARGUMENTS...: one run of the simulation in $dir; adds to cases, wrong
    local what=$1 line
    shift
    line=$("$dir/kind" "$@") || line="$line, 1 bad"
    [[ $line == *' 0 bad'* ]] || wrong+="; $what: $line"
    cases=$((cases + ${line%% *}))
}
together() {    # BUDGET NAME BITS CODING TABLE SELS: all codes at once, everything with at most BUDGET bits of input
    local budget=$1 name=$2 act
    shift 2
    act=$(((budget - codes * ($1 + select)) / values))
    [ $act -gt 8 ] && act=8
    [ $act -lt 1 ] && act=1
    count "$name, $codes codes, $act-bit activations" "$codes" "$lanes" "$select" "$values" $act "$@"
}
exhaust() {     # KIND; of dir, lanes, codes, select and values: sets cases, wrong
    local kind=$1 name bits coding table sels
    cases=0 wrong=
    while read -r _ name bits coding table sels; do
        count "$name, one lane" 1 "$lanes" 0 1 8 "$bits" "$coding" "$table" "$sels"
        [ "$bits" -gt 4 ] || together 17 "$name" "$bits" "$coding" "$table" "$sels"
    done < <(grep "^$kind " "$out/formats.txt" | only "$kind")
}
only() {        # tlut's three weights in five bits are all the same whatever the format was
    if [ "$1" = tlut ]; then echo 'tlut ternary 2 0 0 1'; else cat; fi
}

# The netlist of fv_kind.v, unrolled; its inputs in the cycle that resets are the codes, the selectors and the activations.
prove() {       # TAG KIND DEFINES LANES PROOF BITS CODING TABLE SOURCE...: 0 proved, 1 refuted, 2 open; says how in $said
    local tag=$out/$1 kind=$2 defines=$3 lanes=$4 with=$5 bits=$6 coding=$7 table=$8 dbits=24 cycles=10
    [ "$kind" = term ] && dbits=36
    [ "$kind" = bismo ] && cycles=$((8 * bits + 8))
    case $kind in dpred | laconic | tclp | tcle) cycles=30 ;; esac
    shift 8
    said=
    rm -f "$tag".{aig,map,keys,flat.aig,said}
    yosys -q -l "$tag.log" -p "
        read_verilog -formal -defer $defines tests/formal/fv_kind.v $*
        hierarchy -check -top fv_kind -chparam Lanes $lanes -chparam Planes $bits -chparam Coding $coding -chparam Table $table \
            -chparam DBits $dbits -chparam Cycles $cycles; proc; flatten; delete -output o:*; memory_map; opt_clean
        async2sync; dffunmap; opt_clean; setundef -undriven -anyseq; opt_expr; wreduce; opt_expr; techmap
        opt_expr; opt_merge; opt_clean; aigmap; opt_merge; opt_clean; write_aiger -zinit -map $tag.map $tag.aig" >"$tag.out" 2>&1 || return 1
    awk -v lanes="${with% *}" -v bytes=",${with#* }," '
        $1 == "input" && $4 == "codes_i"  { print "1", (int($3 / 8) < lanes ? "" : "-") $2 }
        $1 == "input" && $4 == "select_i" { print "2", (int($3 / 4) < lanes ? "" : "-") $2 }
        $1 == "input" && $4 == "sel_i"    { print "2", $2 }
        $1 == "input" && $4 == "x_i"      { print "3", (bytes == ",all," || index(bytes, "," int($3 / 8) ",") ? "" : "-") $2 }
    ' "$tag.map" | sort -s -k1,1n | cut -d' ' -f2 >"$tag.keys"
    yosys-abc -c "read_aiger $tag.aig; strash; fold; scorr; frames -F $((cycles + 2)) -i; orpos; write_aiger $tag.flat.aig" >>"$tag.out" 2>&1
    [ -s "$tag.keys" ] && [ -s "$tag.flat.aig" ] || return 1
    { (ulimit -t "$LIMIT" && exec "$out/enumerate" "$tag.flat.aig" "$tag.keys") >"$tag.said" 2>&1; } 2>/dev/null # without the shell's word of a process that was stopped
    local rc=$?
    said=$(tail -n 1 "$tag.said")
    case $rc in
    0 | 2) return $rc ;;
    137 | 152) said='no end' && return 2 ;;
    *) return 1 ;;
    esac
}

for kind in $KINDS; do
    if [ -z "${how[$kind]:-}" ]; then
        report 1 "$kind is described here" 'add it to the table in tests/formal/kinds.sh'
        continue
    fi
    IFS='|' read -r defines lanes places with quick <<<"${how[$kind]}"
    read -r codes select values <<<"$places"
    if ! verilate "$kind" "$out/$kind" "$defines" "$lanes" "${sources[@]}"; then
        report 1 "$kind multiplies every code by every activation" "see $out/$kind/log"
        continue
    fi
    dir=$out/$kind
    exhaust "$kind"
    if [ -z "$wrong" ] && [ "$cases" -gt 1000 ]; then
        report 0 "$kind multiplies every code by every activation" "$cases cases"
    else
        report 1 "$kind multiplies every code by every activation" "$cases cases${wrong}"
    fi
    while read -r _ name bits coding table sels; do
        [ "$bits" -gt 4 ] && continue
        [ "$FULL" = 1 ] || [[ " $quick " == *" $name "* ]] || continue
        SECONDS=0
        # Each further activation of a table kind is 2^8 times the cases: as many as 2^34 allow.
        [[ $kind != lut[34] ]] || with="99 $(seq -s, 0 $((values * 8 > 34 - codes * bits ? (34 - codes * bits) / 8 - 1 : values - 1)))"
        prove "$kind-$name" "$kind" "$defines" "$lanes" "$with" "$bits" "$coding" "$table" "${sources[@]}"
        case $? in
        0) report 0 "$kind is proved exact for all codes and activations" "$name, ${said#proved: }, $SECONDS s" ;;
        1) report 1 "$kind is proved exact for all codes and activations" "$name: $said: see $out/$kind-$name.*" ;;
        *) cases=0 wrong=
            together 26 "$name" "$bits" "$coding" "$table" "$sels"
            [ -z "$wrong" ] && [ "$cases" -gt 1000 ]
            report $? "$kind exact, $name: no proof within $LIMIT s of processor time, but all codes in simulation" "$cases cases$wrong, $SECONDS s" ;;
        esac
    done < <(grep "^$kind " "$out/formats.txt" | only "$kind")
done

# What can't fail shows nothing: a sign that is lost is noticed both ways.
mkdir -p "$out/bug"
sed "s/{{24{x_i\[i\*8+7\]}}, x_i/{{24{1'b0}}, x_i/" rtl/pe/tile_bitserial.v >"$out/bug/tile_bitserial.v"
if cmp -s rtl/pe/tile_bitserial.v "$out/bug/tile_bitserial.v"; then
    report 1 'a lost sign is noticed' 'adapt the seeded bug to the RTL'
else
    IFS='|' read -r defines lanes _ <<<"${how[bitserial]}"
    spoilt=("${sources[@]/#rtl\/pe\/tile_bitserial.v/$out/bug/tile_bitserial.v}")
    verilate bitserial "$out/bug/sim" "$defines" "$lanes" "${spoilt[@]}" || wrong=
    dir=$out/bug/sim codes=2 select=0 values=2
    exhaust bitserial
    [ -n "$wrong" ]
    report $? 'a lost sign is noticed by simulation' "$(cut -c1-80 <<<"$wrong")"
    prove bug bitserial "$defines" "$lanes" '99 all' 2 0 0 "${spoilt[@]}"
    [ $? = 1 ]
    report $? 'a lost sign is noticed by proof' "$said"
fi
exit $bad
