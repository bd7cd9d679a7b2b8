#!/usr/bin/env bash
# plugin.sh - builds the yosys pass of carry_fold.cc where it is missing or old, and prints its path.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."
out=${B:-build}/synth/carry_fold.so
mkdir -p "${out%/*}"
exec 9>"$out.lock"
flock 9                                     # several syntheses may start at once
if [ ! "$out" -nt synth/carry_fold.cc ]; then
    # what the headers depend on: yosys' own macros and language
    mapfile -t flags < <(yosys-config --cxxflags | tr ' ' '\n' | grep -E '^-(D|std|fPIC)')
    g++ "${flags[@]}" -O2 -Wall -isystem "$(yosys-config --datdir)/include" -isystem /usr/include/tcl8.6 -shared \
        -o "$out.new" synth/carry_fold.cc >&2
    mv "$out.new" "$out"
fi
echo "$out"
