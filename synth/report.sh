#!/usr/bin/env bash
# report.sh - area of each kind's whole tile: operand registers, tables, trees, accumulators and drain.
# Usage: synth/report.sh OUT_DIR        writes OUT_DIR/report.json and OUT_DIR/report.txt, and prints the latter
# Settings: TILES="KIND:TECH:ROWS:LANES:UNITS ..."  what to synthesize, TECH being ecp5, ecp5dsp or ice40
#           JOBS=2  at once        CHECK=0  do not simulate small netlists against the RTL first
# A column of a width is left empty where the cycles of a step depend on more than the width: make compare measures those.
# Method and metric: docs/synthesis.md.
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
dir=$1
cd "$(dirname "$0")/.." || exit 1
: "${JOBS:=2}" "${CHECK:=1}"
# The long ones first. lut has the shape that its target is about; the areas of bitserial and mac hardly depend on their rows,
# which share nothing but activations and control. Kinds without a shape of their own here get 4 rows of their
# simulated lanes.
chosen="lut:ecp5:32:64:4 lut:ice40:16:64:2 bitserial:ecp5:8:64:1 lut4:ecp5:8:32:1 mac:ecp5:4:32:1 mac:ecp5dsp:4:32:1 bitserial:ice40:4:64:1 lut4:ice40:8:32:1 mac:ice40:2:32:1"
if [ -z "${TILES:-}" ]; then
    TILES=$chosen
    mapfile -t all < <(sed -n 's/.*\.name = "\([a-z0-9_]*\)".*/\1/p' driver/src/pack/kinds.c)
    for kind in "${all[@]}"; do
        case " $chosen" in *" $kind:"*) continue ;; esac
        lanes=$(awk -v kind="$kind" '$1 == kind { print $4; exit }' sim/models.txt)
        TILES+=" $kind:ecp5:4:${lanes:-32}:1 $kind:ice40:4:${lanes:-32}:1"
    done
fi
mkdir -p "$dir"
rm -f "$dir/report.json" "$dir/report.txt"

kinds=
for t in $TILES; do case "$kinds " in *" ${t%%:*} "*) ;; *) kinds+=" ${t%%:*}" ;; esac; done
if [ "$CHECK" = 1 ]; then
    synth/netlist_check.sh "$dir/check" "$kinds" | tee "$dir/check.txt"
    if grep -q '^not ok' "$dir/check.txt" || ! grep -q '^ok' "$dir/check.txt"; then
        echo 'report.sh: no area is reported of netlists that compute something else' >&2
        exit 1
    fi
fi

for t in $TILES; do
    IFS=: read -r kind tech rows lanes units <<<"$t"
    echo "synth/tile.sh $kind $tech $rows $lanes $units $dir/$kind-$tech"
done | xargs -P "$JOBS" -I CMD bash -c 'CMD || echo "report.sh: failed: CMD" >&2; exit 0'

# One line a tile: the counts of its .stat, then JSON and the table of them.
rm -f "$dir/counts"
for t in $TILES; do
    IFS=: read -r kind tech rows lanes units <<<"$t"
    [ -s "$dir/$kind-$tech.stat" ] || exit 1
    # cycles of a step: the code's width, one, or not known here
    case $kind in mac) steps=1 ;; bitserial | lut | lut3 | lut4 | popcount) steps=w ;; *) steps=0 ;; esac
    awk -v what="$kind $rows $lanes $units $tech" -v steps=$steps '
        FILENAME ~ /log$/ { if (sub(/^End of script.*CPU: user /, "")) seconds = $0 + 0; next }     # it holds other counts, too
        $1 == "LUT4" || $1 == "SB_LUT4" { lut = $2 }
        $1 == "CCU2C" || $1 == "SB_CARRY" { carry = $2 }
        $1 == "MULT18X18D" { dsp = $2 }
        $1 ~ /^TRELLIS_FF$|^SB_DFF/ { ff += $2 }
        END { print what, lut + 0, carry + 0, ff + 0, steps, dsp + 0, seconds }' "$dir/$kind-$tech.stat" "$dir/$kind-$tech.log"
done | sort -s -k5,5 >"$dir/counts" || exit 1
awk -v json="$dir/report.json" '
    BEGIN {
        printf "[" >json
        printf "%-10s %-7s %-9s %8s %8s %8s %5s %7s   LUT4eq per MAC/cycle at weights of   LUT4eq\n", "kind", "tech", "tile", "LUT4", "carry", "FF", "DSP", "seconds"
        printf "%-10s %-7s %-9s %8s %8s %8s %5s %7s %8s %8s %8s %8s %8s\n", "", "", "", "", "", "", "", "", "1 bit", "2 bit", "4 bit", "8 bit", "per lane"
    }
    {
        # An ECP5 carry cell replaces two LUT4s; an iCE40 carry sits beside a LUT4 that is counted already.
        eq = $6 + ($5 ~ /^ecp5/ ? 2 * $7 : 0)
        printf "%-10s %-7s %-9s %8d %8d %8d %5d %7d", $1, $5, $2 "x" $3, $6, $7, $8, $10, $11
        common = sprintf("\"kind\":\"%s\",\"lut4\":%d,\"ccu2c\":%d,\"ff\":%d,\"dsp\":%d,\"lut4eq\":%d,\"rows\":%d,\"lanes\":%d,\"scale_units\":%d,\"shape\":\"%dx%d\",\"flow\":\"%s\",\"seconds\":%d",
            $1, $6, $5 ~ /^ecp5/ ? $7 : 0, $8, $10, eq, $2, $3, $4, $2, $3, $5, $11)
        for (w = 1; w <= 8 && $9 != "0"; w *= 2) {
            per = eq * ($9 == "w" ? w : 1) / ($2 * $3)
            printf " %8.2f", per
            printf "%s\n{%s,\"format\":\"int%d\",\"lut4eq_per_mac\":%.2f}", sep, common, w, per >json
            sep = ","
        }
        if ($9 == "0") {
            printf "%s\n{%s,\"format\":null}", sep, common >json
            sep = ","
            printf " %8s %8s %8s %8s", "-", "-", "-", "-"
        }
        printf " %8.1f\n", eq / ($2 * $3)
    }
    END { print "\n]" >json }' "$dir/counts" >"$dir/report.txt"
cat "$dir/report.txt"
