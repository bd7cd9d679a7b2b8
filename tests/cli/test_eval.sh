#!/bin/sh
# test_eval.sh - accel eval and accel allocate as a user calls them, and the page.
# SPDX-License-Identifier: Apache-2.0
. tests/cli/lib.sh
S=$SHARED/data/stories260K
TERNARY=models/stories-ternary-tq2_0.gguf
TEXT=models/heldout.txt
command="eval"

accel() { # the command that is tested now
    "$ACCEL" "$command" "$@" >"$T/out" 2>"$T/err"
    rc=$?
}

expect "eval without a model is a usage error" 2 err 'eval MODEL' -f "$TEXT"
expect "eval without a text is a usage error" 2 err '-f FILE' "$TERNARY"
expect "a model that is not there is named" 13 err 'nowhere.gguf' nowhere.gguf -f "$TEXT"
printf 'short' >"$T/short"
expect "a text shorter than a chunk is refused" 11 err 'one chunk needs 512' "$TERNARY" -f "$T/short"
expect "a quantized model alone has a perplexity and no reference" 0 out '"reference": null' "$TERNARY" \
    -f "$TEXT" --chunks 1 --json
check 'len(d["rows"]) == 1 and "kl" not in d["rows"][0] and 1.1 < d["rows"][0]["perplexity"] < 1.5 and d["rows"][0]["pareto"]'
report $? "its line has no divergence"

expect "each kind of cache has a line" 0 out '"kv": "int2"' "$TERNARY" -f "$TEXT" --chunks 1 --kv f32 --kv int2 --json
check '[r["kv"] for r in d["rows"]] == ["f32", "int2"] and d["rows"][0]["kv_bytes_per_token"] == 6144 and d["rows"][1]["kv_bytes_per_token"] == 576
        and d["rows"][0]["perplexity"] != d["rows"][1]["perplexity"]'
report $? "its bytes for a token and its own perplexity"

if [ -e "$S/stories260K-F32.gguf" ]; then
    printf '* = int4:32\nblk.0.ffn_down.weight = int8:16\n' >"$T/mixed.plan"
    expect "formats, plans and ggml's types share a table" 0 out '^stories260K-Q4_0.gguf' "$S/stories260K-F32.gguf" \
        "$S/stories260K-Q4_0.gguf" -f "$S/stories260K-samples-dev.txt" --chunks 2 --format int8 --format int4:32 \
        --plan "$T/mixed.plan" --save "$T/eval.json"
    cp "$T/eval.json" "$T/out"
    check '[r["format"] for r in d["rows"]] == ["float", "int8:32", "int4:32", "mixed.plan", "-"]'
    report $? "the reference comes first, then each format, plan and file"
    check '(lambda f, a, b, m, q: f["kl"] == 0 and a["kl"] < m["kl"] < b["kl"] and b["bits_per_weight"] < m["bits_per_weight"] < a["bits_per_weight"]
            and abs(f["perplexity"] - 4.09) < 0.5 and q["same_top"] < 1)(*d["rows"])'
    report $? "more bits are nearer to the reference, and the plan lies between"
    for act in 4 8 16; do
        accel "$S/stories260K-F32.gguf" -f "$S/stories260K-samples-dev.txt" --chunks 2 --format int8 --act $act --save "$T/act$act.json"
    done
    [ "$rc" -eq 0 ] && python3 - "$T" <<'END'
import json, sys
kl = [json.load(open("%s/act%d.json" % (sys.argv[1], bits)))["rows"][1]["kl"] for bits in (4, 8, 16)]
sys.exit(not (kl[0] > 10 * kl[1] and kl[1] > kl[2]))
END
    report $? "activations of more bits are nearer to the reference"
    expect "an unknown format is refused with its name" 2 err 'no format "int9"' "$S/stories260K-F32.gguf" \
        -f "$S/stories260K-samples-dev.txt" --chunks 1 --format int9
    printf 'a b c\n' >"$T/bad.plan"
    expect "a wrong plan is refused with its line" 15 err 'bad.plan: line 1' "$S/stories260K-F32.gguf" \
        -f "$S/stories260K-samples-dev.txt" --chunks 1 --plan "$T/bad.plan"
    expect "a model of another vocabulary is refused" 11 err 'vocabulary of 1024' "$S/stories260K-F32.gguf" "$TERNARY" \
        -f "$S/stories260K-samples-dev.txt" --chunks 1
    if "$ACCEL" list | grep -q '^sim:pe=mac'; then
        expect "cycles are those of the device" 0 out '"cycles_per_token": [1-9]' "$S/stories260K-F32.gguf" -d sim:pe=mac \
            -f "$S/stories260K-samples-dev.txt" --chunks 1 -n 1 --json
    else
        echo "ok cycles are those of the device # SKIP built without the simulator"
    fi
    PYTHONDONTWRITEBYTECODE=1 python3 tools/eval_page.py "$T/eval.json" "$T/eval.html" >"$T/out" 2>"$T/err"
    rc=$?
    [ $rc -eq 0 ] && grep -q '<svg' "$T/eval.html" && grep -q 'mixed.plan' "$T/eval.html" &&
        ! grep -qiE '(src|href) *=|<script|<link|@import|url\(' "$T/eval.html"
    report $? "the page has a plot and loads nothing"
else
    echo "ok formats, plans and ggml's types share a table # SKIP no models in $S"
fi

# ---- allocate ----
command=allocate
expect "allocate without a budget is a usage error" 2 err '--budget 3.5bits' -m "$TERNARY" -o "$T/p"
expect "a budget without its unit is refused" 2 err 'bits, bytes or cycles' -m "$TERNARY" -o "$T/p" --budget 3.5
expect "an unknown way to pick is refused" 2 err '--by: no "chance"' -m "$TERNARY" -o "$T/p" --budget 3bits --by chance
expect "a quantized model is refused" 2 err 'quantized already' -m "$TERNARY" -o "$T/p" --budget 3bits
expect "a budget of no tokens is refused" 2 err 'two tokens' -m "$TERNARY" -o "$T/p" --budget 3bits -n 1
if [ -e "$S/stories260K-F32.gguf" ]; then
    few=512
    [ -z "${QUICK:-}" ] || few=64
    set -- -m "$S/stories260K-F32.gguf" -o "$T/p" -n "$few" --rtn --format int2:32 --format int4:32 --format int8:64
    expect "bisection needs no solver" 0 out '"by": "bisect"' "$@" --budget 5bits --by bisect --json
    check 'd["cost"] <= 5 and d["kl"] < d["uniform_kl"] and d["uniform"] == "int4:32"'
    report $? "its plan loses less than the best single format"
    expect "a budget below the narrowest format is refused" 11 err 'below the least, [2-9]' "$@" --budget 1bits --by bisect
    if "$ACCEL" allocate "$@" --budget 5bits --by loss --json >"$T/out" 2>"$T/err"; then
        check 'd["cost"] <= 5 and d["kl"] < 0.9 * d["uniform_kl"] and d["bound"] <= d["kl_foretold"]'
        report $? "the picks of the linear program lose less than the best single format"
        command="eval"
        expect "eval follows the plan within its budget" 0 out '"format": "p"' "$S/stories260K-F32.gguf" --plan "$T/p" \
            -f "$S/stories260K-samples-dev.txt" --chunks 1 --json
        check 'd["rows"][1]["bits_per_weight"] <= 5'
        report $? "its bits are those that were asked for"
        command=allocate
    elif grep -q 'without GLPK' "$T/err"; then
        echo "ok the picks of the linear program lose less than the best single format # SKIP built without GLPK"
    else
        rc=1
        report 1 "the picks of the linear program lose less than the best single format"
    fi
    expect "a device without counters has no cycles to spend" 16 err 'counts no cycles' "$@" --budget 1e6cycles --by bisect -d cpu:
    if "$ACCEL" list | grep -q '^sim:pe=mac'; then
        expect "a budget of measured cycles is kept" 0 out '"unit": "cycles"' "$@" --budget 30000cycles --by bisect -d sim:pe=mac --json
        check '0 < d["cost"] <= 30000'
        report $? "the plan's cycles are within it"
    else
        echo "ok a budget of measured cycles is kept # SKIP built without the simulator"
    fi
fi
exit $failed
