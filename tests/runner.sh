#!/usr/bin/env bash
# runner.sh - tests/run counts what programs say, and what they fail to say.
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
runner=$(realpath "$(dirname "$0")/run")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# expect NAME LAST_LINE STATUS SCRIPT: the runner over one program ends with that line and that status.
expect() {
    printf '#!/bin/sh\n%s\n' "$4" >program
    chmod +x program
    local out status=0
    out=$(TEST_TIMEOUT=1 "$runner" --suite s --env WORD=word ./program) || status=$?
    if [ "$(tail -n 1 <<<"$out")" = "$2" ] && [ "$status" = "$3" ]; then
        echo "ok $1"
    else
        echo "not ok $1: status $status, last line '$(tail -n 1 <<<"$out")'"
    fi
}

expect 'ok lines count as passed' '2 passed, 0 failed' 0 'echo ok one; echo ok two'
expect 'a not ok line counts as failed' '1 passed, 1 failed' 1 'echo ok one; echo not ok two: why'
expect 'a skipped test is counted apart' '1 passed, 0 failed, 1 skipped' 0 'echo ok one; echo ok two \# SKIP no data'
expect 'only skipped tests are no success' '0 passed, 0 failed, 1 skipped' 1 'echo ok one \# SKIP no data'
expect 'a program that says nothing fails' '0 passed, 1 failed' 1 ':'
expect 'a program that ends with an error after ok lines fails' '1 passed, 1 failed' 1 'echo ok one; exit 3'
expect 'a program that crashes fails' '1 passed, 1 failed' 1 'echo ok one; kill -SEGV $$'
expect 'a program that hangs fails' '1 passed, 1 failed' 1 'echo ok one; sleep 30'
# shellcheck disable=SC2016  # $WORD is for the program
expect 'the environment of a suite reaches its programs' '1 passed, 0 failed' 0 'echo "ok $WORD"'
expect 'each cmocka test counts as one' '1 passed, 1 failed, 1 skipped' 1 \
    'echo "[ RUN      ] a"; echo "[       OK ] a"; echo "[ RUN      ] b"; echo "[  FAILED  ] b";
     echo "[ RUN      ] c"; echo "[  SKIPPED ] c"; echo "[  FAILED  ] 1 test(s), listed below:"; echo "[  FAILED  ] b"; exit 1'
expect 'a crash counts against the cmocka test that was running' '1 passed, 1 failed' 1 \
    'echo "[ RUN      ] a"; echo "[       OK ] a"; echo "[ RUN      ] b"; kill -ABRT $$'

if python3 -c 'import sys, xml.dom.minidom as m; d = m.parse("build/test/junit.xml")
sys.exit(len(d.getElementsByTagName("testcase")) != 2 or len(d.getElementsByTagName("failure")) != 1)'; then
    echo 'ok junit.xml holds each test and each failure'
else
    echo 'not ok junit.xml holds each test and each failure'
fi
