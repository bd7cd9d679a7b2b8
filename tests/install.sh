#!/usr/bin/env bash
# install.sh - what `make install` installs is enough to build and run the README's sample, and uninstall removes it all.
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset MAKEFLAGS MAKELEVEL MFLAGS

# check NAME COMMAND...: one test; shows the command's output only if it fails.
check() {
    local name=$1
    shift
    if "$@" >"$dir/log" 2>&1; then
        echo "ok $name"
    else
        cat "$dir/log"
        echo "not ok $name: '$*' failed"
    fi
}

export PKG_CONFIG_PATH=$dir/usr/lib/pkgconfig
# The first ```c block of the README.
# shellcheck disable=SC2016  # backquotes of Markdown
sed -n '/^```c$/,/^```$/{/^```/d;p}' README.md >"$dir/job.c"

shared() {
    # shellcheck disable=SC2046  # the flags are words
    gcc -Wall -Wextra -Werror "$dir/job.c" -o "$dir/shared" $(pkg-config --cflags --libs accel) &&
        LD_LIBRARY_PATH=$dir/usr/lib "$dir/shared" >"$dir/shared.out" && readelf -d "$dir/shared" | grep 'NEEDED.*libaccel\.so\.'
}
static() {
    rm "$dir"/usr/lib/libaccel.so*
    # shellcheck disable=SC2046
    gcc "$dir/job.c" -o "$dir/static" $(pkg-config --static --cflags --libs accel) && "$dir/static" >"$dir/static.out"
}
# 10 - 20 + 30 and 30 + 40; the scale of the weights may be off by float32 rounding.
answer() {
    cat "$dir/shared.out"
    awk '{ exit !($1 > 19.9 && $1 < 20.1 && $2 > 69.9 && $2 < 70.1) }' "$dir/shared.out"
}
exports() {
    local extra
    extra=$(nm -D --defined-only build/libaccel.so | awk '{ print $3 }' | grep -v '^accel_\|^LIBACCEL_')
    echo "$extra"
    [ -z "$extra" ]
}
staged() {
    make -s install PREFIX=/opt/accel DESTDIR="$dir/stage" && test -x "$dir/stage/opt/accel/bin/accel" &&
        grep -x 'prefix=/opt/accel' "$dir/stage/opt/accel/lib/pkgconfig/accel.pc"
}
removed() {
    make -s uninstall PREFIX=/opt/accel DESTDIR="$dir/stage" && [ -z "$(find "$dir/stage" ! -type d)" ]
}

check 'make install succeeds' make -s install PREFIX="$dir/usr"
check 'the installed command starts' "$dir/usr/bin/accel" list
check 'the sample of the README builds and runs with the shared library' shared
check 'the sample of the README builds and runs with the static library' static
check 'the sample of the README computes the right product' answer
check 'both libraries give the sample the same result' cmp "$dir/shared.out" "$dir/static.out"
check 'the shared library shows only names that begin with accel_' exports
check 'DESTDIR stages files without changing the prefix' staged
check 'make uninstall leaves no file behind' removed
