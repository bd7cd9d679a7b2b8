#!/usr/bin/env bash
# expect.sh - areas and clocks as they are, against the committed table of synth/expected.txt.
# Usage: synth/expect.sh quick OUT_DIR              the tiles of the table that are marked so: for `make test`
#        synth/expect.sh tiles OUT_DIR              all of them
#        synth/expect.sh clocks OUT_DIR NEXTPNR     tiles placed and routed, synth/fmax.sh
#        synth/expect.sh board OUT_DIR BOARD        OUT_DIR/BOARD.report, as nextpnr left it
# An area that is more than 3 % larger is an error, and so is a clock that is more than 5 % slower. Whoever means it changes the
# table in the same commit; the line that it should have is printed.
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
what=$1 dir=$(realpath -m "$2") more=${3:-}
[ "$what" != clocks ] || more=$(realpath "$more")
cd "$(dirname "$0")/.." || exit 2
table=synth/expected.txt
mkdir -p "$dir"
failed=0

# within IS EXPECTED PERCENT: at most so much larger, or if PERCENT is negative smaller
within() {
    awk -v is="$1" -v expected="$2" -v percent="$3" 'BEGIN {
        limit = expected * (1 + percent / 100)
        exit !(is > 0 && expected > 0 && (percent > 0 ? is <= limit : is >= limit)) }'
}

# judge NAME LINE IS EXPECTED PERCENT
judge() {
    if within "$3" "$4" "$5"; then
        echo "ok $1 # $3, $4 expected"
    else
        echo "not ok $1: $3, $4 expected; if that is meant, the line in $table is: $2"
        failed=1
    fi
}

tile() {    # KIND TECHNOLOGY ROWS LANES UNITS AREA
    local out=$dir/expect-$1-$2-$3x$4 is
    synth/tile.sh "$1" "$2" "$3" "$4" "$5" "$out" >"$out.out" 2>&1 || rm -f "$out.stat"
    is=$(awk '
        $1 == "LUT4" || $1 == "SB_LUT4" { n += $2 }
        $1 == "CCU2C" { n += 2 * $2 }
        END { print n + 0 }' "$out.stat" 2>/dev/null)
    judge "tile $1 of $3 x $4 takes at most 3 % more LUT4 of $2 than expected" "tile $1 $2 $3 $4 $5 ${is:-0}" "${is:-0}" "$6" 3
}

case $what in
quick | tiles)
    while read -r _ kind tech rows lanes units area mark; do
        [ "$what" = tiles ] || [ "$mark" = quick ] || continue
        tile "$kind" "$tech" "$rows" "$lanes" "$units" "$area"
    done < <(grep '^tile ' "$table")
    # what the comparison is worth
    if within 103 100 3 && ! within 104 100 3 && ! within 0 100 3 && within 95 100 -5 && ! within 94 100 -5; then
        echo 'ok an area of 4 % more and a clock of 6 % less are not within the limits, 3 % and 5 % are'
    else
        echo 'not ok an area of 4 % more and a clock of 6 % less are not within the limits, 3 % and 5 % are'
        failed=1
    fi ;;
clocks)
    while read -r _ kind rows lanes units mhz; do
        out=$dir/fmax-$kind-${rows}x$lanes
        is=0 path=
        read -r is path < <(synth/fmax.sh "$kind" "$rows" "$lanes" "$units" "$out" "$more" 2>"$out.err")
        judge "tile $kind of $rows x $lanes runs at no less than 95 % of the expected MHz" "clock $kind $rows $lanes $units ${is:-0}" \
            "${is:-0}" "$mhz" -5
        [ -z "$path" ] || echo "  $path"
    done < <(grep '^clock ' "$table") ;;
board)
    read -r area mhz < <(awk -v b="$more" '$1 == "board" && $2 == b { print $3, $4 }' "$table")
    [ -n "${area:-}" ] || { echo "expect.sh: $table has no line for the board '$more'" >&2; exit 2; }
    read -r is clock < <(python3 - "$dir/$more.report" <<'PY'
import json, sys
r = json.load(open(sys.argv[1], encoding="utf-8"))
used = r["utilization"]
print(used.get("TRELLIS_COMB", used.get("ICESTORM_LC"))["used"], round(min(c["achieved"] for c in r["fmax"].values()), 1))
PY
)
    line="board $more ${is:-0} ${clock:-0}"
    judge "board $more takes at most 3 % more LUTs than expected" "$line" "${is:-0}" "$area" 3
    judge "board $more runs at no less than 95 % of the expected MHz" "$line" "${clock:-0}" "$mhz" -5 ;;
*) echo "expect.sh: '$what' is none of quick, tiles, clocks, board" >&2; exit 2 ;;
esac
exit $failed
