#!/usr/bin/env bash
# handshake.sh - proves that buffers and handshakes lose, double and reorder nothing, and that the proofs can fail.
# For each module: reachability of its cover statements (z3), absence of a counterexample for BMC cycles (z3), the
# property for ever (abc, property-directed reachability), and a list of seeded bugs, each of which must be found.
# Usage: tests/formal/handshake.sh [MODULE...]       prints ok and not ok lines; outputs in build/formal/
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
out=${OUT:-build/formal}
bmc=${BMC:-12}
mkdir -p "$out"
bad=0

say() {     # STATUS NAME WHY
    if [ "$1" = 0 ]; then echo "ok $2"; else echo "not ok $2: $3"; bad=1; fi
}

# Every output is deleted before it is made: the proof of a file of an earlier run would prove nothing.
model() {   # TAG MODULE SOURCES: $out/TAG.smt2 and, for the unbounded proof, TAG.aig
    local tag=$1 module=$2
    shift 2
    rm -f "$out/$tag".smt2 "$out/$tag"-cover.smt2 "$out/$tag".aig
    yosys -q -l "$out/$tag.log" -p "
        read_verilog -formal tests/formal/fv_$module.v $*
        hierarchy -check -top fv_$module; proc; flatten; memory_map; opt_clean; async2sync; dffunmap; opt_clean
        write_smt2 -wires $out/$tag.smt2
        setundef -undriven -anyseq; opt_expr; techmap; opt_expr; opt_clean; aigmap; opt_clean
        write_aiger -zinit $out/$tag.aig" >"$out/$tag.out" 2>&1 && [ -s "$out/$tag.smt2" ] && [ -s "$out/$tag.aig" ]
}

unbounded() {   # TAG: scorr first finds registers that always agree
    timeout 300 yosys-abc -c "read_aiger $out/$1.aig; strash; fold; scorr; pdr -T 280" >"$out/$1.pdr" 2>&1
    grep -q 'Property proved\|Networks are equivalent\|The network has no latches. Used combinational command' "$out/$1.pdr"
}

prove() {   # MODULE SOURCES, then lines "sed script  what it breaks" on standard input
    local module=$1 file=$2
    shift
    local n=0 edit what
    if model "$module" "$module" "$@"; then
        timeout 300 yosys-smtbmc --noprogress -s z3 -t "$bmc" "$out/$module.smt2" >"$out/$module.bmc" 2>&1
        say $? "$module breaks no property within $bmc cycles" "see $out/$module.bmc"
        unbounded "$module"
        say $? "$module never breaks a property" "see $out/$module.pdr"
    else
        say 1 "$module can be read by yosys" "see $out/$module.out"
    fi
    rm -f "$out/$module-cover.smt2"
    yosys -q -p "read_verilog -formal -D COVER tests/formal/fv_$module.v $*
        hierarchy -check -top fv_$module; proc; flatten; memory_map; opt_clean; async2sync; dffunmap; opt_clean
        write_smt2 -wires $out/$module-cover.smt2" >"$out/$module-cover.out" 2>&1 &&
        timeout 300 yosys-smtbmc --noprogress -s z3 -c -t 30 "$out/$module-cover.smt2" >"$out/$module.cover" 2>&1
    say $? "each interesting state of $module can be reached" "see $out/$module.cover"
    while IFS=$'\t' read -r edit what; do
        n=$((n + 1))
        sed "$edit" "$file" >"$out/$module-bug$n.v"
        if cmp -s "$file" "$out/$module-bug$n.v"; then
            say 1 "$module: $what would be found" "the seeded bug '$edit' changes nothing: adapt it to the RTL"
            continue
        fi
        model "$module-bug$n" "$module" "$out/$module-bug$n.v" "${@:2}" &&
            timeout 300 yosys-smtbmc --noprogress -s z3 -t $((bmc + 4)) --dump-vcd "$out/$module-bug$n.vcd" "$out/$module-bug$n.smt2" \
                >"$out/$module-bug$n.bmc" 2>&1
        grep -q 'Assert failed' "$out/$module-bug$n.bmc"
        say $? "$module: $what would be found" "z3 finds no counterexample in $((bmc + 4)) cycles"
        unbounded "$module-bug$n"
        grep -q 'was asserted in frame' "$out/$module-bug$n.pdr"
        say $? "$module: $what would not be proved" "see $out/$module-bug$n.pdr"
    done
}

for module in "${@:-fifo weight_buffer plane_gather tile_drain}"; do
    for m in $module; do
        case $m in
        fifo)
            prove fifo rtl/lib/fifo.v <<'BUGS'
s/level != Full\[Aw:0\]/1'b1/	writing into a full buffer
s/if (valid_o && ready_i) rd/if (ready_i) rd/	reading an empty buffer
s/mem\[rd\[Aw-1:0\]\];/mem[wr[Aw-1:0]];/	reading at the wrong place
s/if (valid_i && ready_o) wr/if (valid_i \&\& ready_o \&\& !ready_i) wr/	losing an entry
BUGS
            ;;
        weight_buffer)
            prove weight_buffer rtl/core/weight_buffer.v <<'BUGS'
s/level != Full\[Aw:0\]/1'b1/	overwriting a word still kept
s/rewind_i ? base : rd/rewind_i ? base + 1'b1 : rd/	rewinding too little
s/wr - base/wr - rd/	freeing by reading
s/avail_o = rd != wr/avail_o = 1'b1/	reading a word that has not arrived
BUGS
            ;;
        plane_gather)
            prove plane_gather rtl/core/plane_gather.v <<'BUGS'
s/assign ready_o = !valid_o || ready_i;/assign ready_o = 1'b1;/	overwriting a word that waits
s/if (ready_o) valid_o <= take \&\& full/if (take) valid_o <= full/	sending a word twice
s/{Width{signed_i}}/{Width{1'b1}}/	filling unsigned codes with their sign
s/count + 4'd1 == planes_i/count == planes_i/	taking a plane too many
BUGS
            ;;
        tile_drain)     # z3 is slow with its adders; abc is not
            bmc=4 prove tile_drain rtl/pe/tile_drain.v <<'BUGS'
s/!busy || (last \&\& d_ready_i)/!busy || last/	overwriting the last slice before it is taken
s/if (d_valid_o \&\& d_ready_i) slice/if (d_valid_o) slice/	skipping a slice that waits
s/if (ready_o) kept <= valid_i/if (ready_o) kept <= kept || valid_i/	sending a chunk twice
BUGS
            ;;
        *) say 1 "$m is a module with a proof" "no such proof" ;;
        esac
    done
done
exit $bad
