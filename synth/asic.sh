#!/usr/bin/env bash
# asic.sh - tiles of standard cells (OSU 0.18 um): area, slowest path, power at the activity of a simulated run. To compare kinds with.
# Usage: synth/asic.sh OUT_DIR [KIND:ROWS:LANES:WIDTHS ...]    WIDTHS: bits of a code, as 2,4,8
# Writes OUT_DIR/asic.txt and asic.json. Needs sta (OpenSTA) and qflow-tech-osu018: ./bootstrap --asic. Method: docs/synthesis.md.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
dir=$(realpath -m "$1")
shift
cd "$(dirname "$0")/.."
cells=/usr/share/qflow/tech/osu018/osu018_stdcells
if ! command -v sta >/dev/null || [ ! -r $cells.lib ]; then
    echo 'asic.sh: no sta or no OSU cells: ./bootstrap --asic' >&2
    exit 2
fi
[ $# -gt 0 ] || set -- mac:4:8:1,2,4,8 bitserial:4:8:1,2,4,8 lut:4:8:1,2,4,8 lut4:4:8:1,2,4 tlut:4:12:2
mkdir -p "$dir"

port_bits() {   # NETLIST PORT
    awk -v port="$2;" '($1 == "input" || $1 == "output") && $NF == port {
        n = 1; if (match($0, /\[[0-9]+:0\]/)) n = substr($0, RSTART + 1) + 1 }
        END { print n + 0 }' "$1"
}

names=()
for spec; do
    IFS=: read -r kind rows lanes widths <<<"$spec"
    out=$dir/$kind-${rows}x$lanes
    tile=$(synth/tile.sh "$kind" top)
    top=${tile%% *} params='' whole=0
    for p in ${tile#"$top"}; do params+=",.${p%%=*}(${p#*=})"; done
    case $kind in
    mac | tlut) whole=1 ;;
    bitserial | lut | lut3 | lut4 | popcount) ;;
    *) echo "asic.sh: kind '$kind' takes other cycles than asic_tb.v gives: mac, bitserial, lut, lut3, lut4, popcount, tlut" >&2; exit 2 ;;
    esac
    synth/tile.sh "$kind" osu018 "$rows" "$lanes" 1 "$out"
    for w in ${widths//,/ }; do
        iverilog -g2012 -o "$out-$w.vvp" -s asic_tb "-DTOP=$top" "-DPARAMS=$params" "-DROWS=$rows" "-DLANES=$lanes" -DUNITS=1 \
            "-DW_BITS=$(port_bits "$out.v" w_i)" "-DD_BITS=$(port_bits "$out.v" d_o)" "-DPLANES=$w" "-DWHOLE=$whole" -DCHUNKS=12 \
            synth/asic_tb.v "$out.v" $cells.v -y rtl/pe -y rtl/lib >"$out-$w.iverilog" 2>&1 || { cat "$out-$w.iverilog" >&2; exit 1; }
        rm -rf "$out-$w"
        mkdir "$out-$w"
        (cd "$out-$w" && vvp -n "$out-$w.vvp" >"$out-$w.sim")
        if ! grep -q '^PASS' "$out-$w.sim"; then
            echo "asic.sh: the netlist of $kind at $w bits computes something else: $(tail -n 1 "$out-$w.sim")" >&2
            exit 1
        fi
        read -r _ cycles _ < <(grep '^PASS' "$out-$w.sim")
        python3 synth/asic.py script "$out.json" "$out-$w/dump.vcd" "$cycles" $cells.lib "$out-bits.v" >"$out-$w.tcl"
        sta -no_splash -exit "$out-$w.tcl" >"$out-$w.sta" 2>&1
        rm -r "$out-$w"
    done
    names+=("$kind-${rows}x$lanes:$widths")
done
python3 synth/asic.py table "$dir" "${names[@]}" | tee "$dir/asic.txt"
