#!/usr/bin/env bash
# codes.sh - for one code pattern at a time, four lanes of 2 bits: bitserial and mac give D of the definition for all 8-bit
# activations. abc unrolls one run of the tiles and proves it (iprove), some 15 s a pattern.
# Without FULL=1 one pattern and a seeded bug; with it all 256 patterns of signed codes. CODES="..." chooses others.
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
out=${OUT:-build/formal}
mkdir -p "$out"
codes=${CODES:-27}
[ "${FULL:-0}" = 1 ] && codes=$(seq 0 255)
bad=0

prove() {   # TAG CODES SOURCE_OF_BITSERIAL
    rm -f "$out/$1.aig" "$out/$1.iprove"
    yosys -q -l "$out/$1.log" -p "
        read_verilog -formal -D NO_LUT tests/formal/fv_tiles.v rtl/pe/tile_drain.v rtl/pe/tile_mac.v $3
        hierarchy -check -top fv_tiles -chparam Codes $2; proc; flatten; delete -output o:*; memory_map; opt_clean
        async2sync; dffunmap; opt_clean; setundef -undriven -anyseq; opt_expr; wreduce; opt_expr; techmap
        opt_expr; opt_merge; opt_clean; aigmap; opt_merge; opt_clean; write_aiger -zinit $out/$1.aig" \
        >"$out/$1.out" 2>&1 && [ -s "$out/$1.aig" ] &&
        timeout 300 yosys-abc -c "read_aiger $out/$1.aig; strash; fold; scorr; frames -F 8 -i; orpos; dc2; iprove" \
            >"$out/$1.iprove" 2>&1
}

for c in $codes; do
    prove "codes-$c" "$c" rtl/pe/tile_bitserial.v
    if grep -aq '^UNSATISFIABLE' "$out/codes-$c.iprove"; then
        echo "ok bitserial and mac are exact for all activations with codes $c"
    else
        echo "not ok bitserial and mac are exact for all activations with codes $c: see $out/codes-$c.iprove"
        bad=1
    fi
done

sed 's/-((s <<< planes_i) >>> 1)/-(s <<< planes_i)/' rtl/pe/tile_bitserial.v >"$out/tile_bitserial_bug.v"
if cmp -s rtl/pe/tile_bitserial.v "$out/tile_bitserial_bug.v"; then
    echo 'not ok a wrong drain correction is not proved: adapt the seeded bug to the RTL'
    exit 1
fi
prove codes-bug 27 "$out/tile_bitserial_bug.v"
if grep -aq '^SATISFIABLE' "$out/codes-bug.iprove"; then
    echo 'ok a wrong drain correction is not proved'
else
    echo "not ok a wrong drain correction is not proved: see $out/codes-bug.iprove"
    bad=1
fi
exit $bad
