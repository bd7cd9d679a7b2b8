# lib.sh - what the tests of the command share: running it, and a line "ok NAME" or "not ok NAME" for each test.
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034  # some names are for the tests
#
# $ACCEL: the command to test (default build/accel). $ACCEL_SHARED: folder with reference models (default ../shared); tests that
# need it are skipped without. $QUICK: not empty for builds that are slow (sanitizers, coverage): fewer of what only takes time.
set -u
ACCEL=${ACCEL:-build/accel}
SHARED=${ACCEL_SHARED:-../shared}
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
failed=0
rc=0

# Run the command; status in $rc, output in $T/out and $T/err.
accel() {
    "$ACCEL" "$@" >"$T/out" 2>"$T/err"
    rc=$?
}

report() { # 0 or 1, name
    if [ "$1" -eq 0 ]; then
        echo "ok $2"
    else
        echo "not ok $2: exit code $rc"
        sed 's/^/    /' "$T/out" "$T/err" | head -20
        failed=1
    fi
}

# expect NAME STATUS FILE PATTERN ARGS...: the exit code, and a line of out or err.
expect() {
    name=$1 want=$2 file=$3 pattern=$4
    shift 4
    accel "$@"
    [ "$rc" -eq "$want" ] && grep -q -e "$pattern" "$T/$file"
    report $? "$name"
}

check() { # PYTHON: true of the JSON d in $T/out?
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); sys.exit(not eval("(" + sys.argv[2] + ")"))' "$T/out" "$1" 2>>"$T/err"
}
