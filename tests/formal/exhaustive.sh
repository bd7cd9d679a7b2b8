#!/usr/bin/env bash
# exhaustive.sh - every case there is, of small ones: all codes times all activations, in each of the three codings.
# Four lanes of 2-bit codes with 4-bit activations; two lanes of 4-bit codes with full 8-bit activations, which is every
# entry and sign of the pair table for every pair of activations. Each row of the tile has its own code pattern, so
# that one beat tries many. FULL=1: 5-bit activations too.
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
out=${OUT:-build/formal}
sources=(rtl/pe/tile_drain.v rtl/pe/tile_mac.v rtl/pe/tile_bitserial.v)
rows=16     # a tile tries so many code patterns at once
bad=0

build() {   # PLANES TILE_LUT
    local dir
    dir=$out/exhaustive-$1-$(basename "$2" .v)
    rm -rf "$dir"
    mkdir -p "$dir"
    verilator --cc --exe --build -O3 --x-assign fast --noassert --unroll-count 100000 --unroll-stmts 10000000 -Wno-fatal \
        -Wno-WIDTH -Wno-UNUSED -CFLAGS "-O2 -DROWS=$rows" -Mdir "$dir" --top-module fv_tiles -GPlanes="$1" -GRows=$rows -o exhaustive \
        tests/formal/fv_tiles.v "${sources[@]}" "$2" "$PWD/tests/formal/exhaustive.cpp" >"$dir/log" 2>&1
    echo "$dir/exhaustive"
}

report() {  # NAME WANTED_STATUS OUTPUT...
    if grep -qE "$2" <<<"$3"; then echo "ok $1: $3"; else echo "not ok $1: $3"; bad=1; fi
}

none='0 bad mac, 0 bad bitserial, 0 bad lut, 0 bad lut4'
two=$(build 2 rtl/pe/tile_lut.v)
report 'every 2-bit code times every 4-bit activation in four lanes is exact' "^50331648 .*: $none" "$("$two" 4 4 2>&1)"
four=$(build 4 rtl/pe/tile_lut.v)
report 'every 4-bit code times every 8-bit activation in two lanes is exact' "^50331648 .*: $none" "$("$four" 2 8 2>&1)"
if [ "${FULL:-0}" = 1 ]; then
    report 'every 2-bit code times every 5-bit activation in four lanes is exact' "^805306368 .*: $none" "$("$two" 4 5 2>&1)"
fi
# and a table that is wrong in one entry is noticed
mkdir -p "$out"
sed 's/) - lane(x_i\[c\*TableK\*8+8/) + lane(x_i[c*TableK*8+8/' rtl/pe/tile_lut.v >"$out/tile_lut_bug.v"
cmp -s rtl/pe/tile_lut.v "$out/tile_lut_bug.v" && { echo 'not ok a wrong table entry is noticed: adapt the seeded bug'; exit 1; }
bug=$(build 2 "$out/tile_lut_bug.v")
report 'a wrong table entry is noticed' ' 0 bad bitserial, [1-9][0-9]* bad lut,' "$("$bug" 4 3 2>&1)"
exit $bad
