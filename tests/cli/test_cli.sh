#!/bin/sh
# test_cli.sh - the accel command as a user calls it: exit codes, messages, output.
# SPDX-License-Identifier: Apache-2.0
#
# $ACCEL_SLOW: if not empty, compares the perplexity of every reference model, which takes minutes.
. tests/cli/lib.sh
TERNARY=models/stories-ternary-tq2_0.gguf
INT2=models/stories-int2.gguf
F16=models/stories-f16.gguf

json() { # FILE: is it one JSON value?
    python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1"
}

field() { # NAME: a top-level field of $T/out
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$T/out" "$1"
}

have_cuda() { "$ACCEL" info -d none: 2>&1 | grep -q ' cuda:'; } # built in, GPU or not
have_sim() { "$ACCEL" list | grep -q '^sim:'; }

# ---- usage ----
expect "no command is a usage error" 2 err 'Usage: accel COMMAND'
expect "an unknown command is named" 2 err '"frobnicate"' frobnicate
expect "--help prints to standard output" 0 out 'perplexity' --help
expect "--version prints the version" 0 out '^accel [0-9]' --version
for c in list info run perplexity verify bench compare selftest bringup peek poke reset load update record replay; do
    expect "accel $c --help lists its flags" 0 out "Usage: accel $c" $c --help
    expect "accel $c refuses an unknown flag" 2 err "\"--nonsense\"; see accel $c --help" $c --nonsense
done
expect "a flag without its value is named" 2 err '^accel: -n needs a value' run -n
expect "a number that is none is quoted" 2 err '"twelve" is not valid' run -n twelve
expect "a negative count is refused" 2 err 'expected a whole number' run -n -3
expect "a temperature below 0 is refused" 2 err 'expected a number from 0 to 100' run -t -1
expect "top-p above 1 is refused" 2 err 'from 0 to 1' run --top-p=1.5
expect "an unknown format lists the known ones" 2 err 'bipolar1..bipolar8' run --format int9
expect "a format that cannot be says why" 2 err 'e5m2: its values .* 33 bits' run --format e5m2
expect "a group of 33 is refused" 2 err 'one of 16, 32' run --group 33
expect "a value for a switch is refused" 2 err 'takes no value' run --json=yes
expect "perplexity without a text is a usage error" 2 err '-f FILE' perplexity
expect "verify with three devices is a usage error" 2 err 'two devices' verify -d cpu: -d cpu: -d cpu:

expect "poke without a value is a usage error" 2 err 'no REGISTER=VALUE' poke scratch
expect "poke of nothing is a usage error" 2 err 'as in scratch=' poke
expect "a value beyond 32 bits is refused" 2 err '32 bits' poke scratch=0x100000000
expect "peek of a device without a link says so" 16 err 'cpu: has no link' peek -d cpu:
expect "reset of a device without a link says so" 16 err 'cpu: has no link' reset -d cpu:

expect "record without a command is a usage error" 2 err 'name a file and a command' record "$T/rec"
expect "record of a device without a link is a usage error" 2 err 'name one board' record "$T/rec" selftest -d cpu:
expect "record of an unknown command names it" 2 err '"frobnicate"' record "$T/rec" frobnicate
expect "replay without a file is a usage error" 2 err 'name one recording' replay -d cpu:

expect "update of nothing is a usage error" 2 err 'gateware FILE, --firmware FILE or both' update
expect "gateware for an unnamed board is refused, with the names" 2 err '--board has to; one of: ulx3s-85f' \
    update -d cpu: --gateware README.md
expect "gateware for an unknown board is refused" 2 err 'no board "icebreaker"' update --gateware README.md --board icebreaker
expect "a file that is no bitstream is refused" 3 err 'its preamble is missing' update --gateware README.md --board ulx3s-85f
expect "a board's own tool is named" 16 err 'apollo configure README.md' update --gateware README.md --board cynthion-usb
expect "update of a device without a link says so" 16 err 'cpu: has no link' update -d cpu: --gateware README.md --board orangecrab --force
expect "replay on a device without a link names accel-board" 16 err "accel-board has one" replay README.md -d cpu:
expect "replay of a file that is not there says so" 13 err 'No such file' replay "$T/none" -d cpu:

# ---- devices ----
expect "list shows the reference device" 0 out '^cpu:' list
accel list --json
[ "$rc" -eq 0 ] && json "$T/out"
report $? "list --json is JSON"
expect "info describes a device" 0 out 'PE kind' info -d cpu:
accel info -d cpu: --json
[ "$rc" -eq 0 ] && [ "$(field backend)" = cpu ]
report $? "info --json names the backend"
expect "info prints which kind runs which format" 0 out '^int4 .*yes' info
expect "info says why e5m2 is no format" 0 out '^all .*e5m2: ' info
accel info --json
[ "$rc" -eq 0 ] && json "$T/out" && grep -q '"int1"' "$T/out" && grep -q '"reason"' "$T/out"
report $? "info --json lists each kind's formats"
expect "an unknown device scheme has its own exit code" 14 err 'warp:' info -d warp:
expect "an unknown device parameter has the same one" 14 err 'depth' info -d cpu:depth=3
expect "selftest of the reference passes" 0 out '^passed: ' selftest -d cpu: --jobs 1
accel selftest -d cpu: --jobs 1 --json
[ "$rc" -eq 0 ] && [ "$(field passed)" = True ]
report $? "selftest --json tells whether it passed"

# ---- bad models ----
expect "a model that is not there is named" 13 err "$T/none.gguf" run -d cpu: -m "$T/none.gguf"
expect "a folder is no model" 13 err "$T" info -m "$T"
echo 'this is no model' >"$T/text.gguf"
expect "a file that is no GGUF is corrupt" 15 err 'text.gguf' run -d cpu: -m "$T/text.gguf"
: >"$T/empty.gguf"
expect "an empty file is corrupt" 15 err 'empty.gguf' info -m "$T/empty.gguf"
for size in 4 24 1000 30000 400000; do
    head -c $size $TERNARY >"$T/cut.gguf"
    expect "a model cut off after $size bytes is corrupt" 15 err 'cut.gguf' run -d cpu: -m "$T/cut.gguf"
done
sed 's/llama\.block_count/llama.block_cuont/' $TERNARY >"$T/key.gguf"
expect "a missing metadata key is named" 15 err 'llama.block_count' info -m "$T/key.gguf"
sed 's/blk\.3\.ffn_down/blk.3.ffn_dawn/' $TERNARY >"$T/tensor.gguf"
expect "a missing tensor is named" 15 err 'blk.3.ffn_down.weight' info -m "$T/tensor.gguf"

# ---- run ----
expect "run goes on with the prompt" 0 out '^Once upon a time[,.]* [a-z]' run -d cpu: -n 20
expect "an unknown kind of cache lists the known ones" 2 err 'int3 or int2, or two' run --kv int5
expect "run goes on with a cache of codes" 0 out '^cache           int4, 960 bytes for a token, and 196608 ' run -d cpu: -n 60 --kv int4
expect "run reports 100 % of the work on the device" 0 out '^on the device   100.00 %' run -d cpu: -n 5
accel run -d cpu: -n 30 -s 5
cp "$T/out" "$T/first"
accel run -d cpu: -n 30 -s 5
grep -v '^tokens/s' "$T/first" >"$T/a"
grep -v '^tokens/s' "$T/out" >"$T/b"
cmp -s "$T/a" "$T/b"
report $? "the same seed tells the same story"
accel run -d cpu: -n 30 -s 6
! [ "$(head -1 "$T/out")" = "$(head -1 "$T/first")" ]
report $? "another seed tells another story"
accel run -d cpu: -n 12 -t 0 --json
[ "$rc" -eq 0 ] && [ "$(field generated_tokens)" = 12 ] && [ "$(field device)" = cpu: ] &&
    [ "$(field device_mac_share)" = 1 ] && field tokens_per_second >/dev/null && field cycles_per_token >/dev/null &&
    field utilisation >/dev/null && field bits_per_weight >/dev/null && field pe >/dev/null && field text >/dev/null
report $? "run --json has every documented field"
accel run -d cpu: -n 400 -t 0 -p "Once upon a time" --json
[ "$rc" -eq 0 ] && [ "$(field stop)" = end ] && [ "$(field generated_tokens)" -lt 400 ]
report $? "a story ends where the model ends it"
expect "zero tokens print the prompt alone" 0 out '^Once upon a time$' run -d cpu: -n 0
accel run -d cpu: -p '' -n 5
[ "$rc" -eq 0 ]
report $? "an empty prompt starts from the start token"
expect "a prompt longer than the context is refused" 17 err 'prompt has .* tokens' \
    run -d cpu: -p "$(yes 'a long story' | head -400)"
expect "a full context stops the story" 0 out 'tokens/s' run -d cpu: --context 12 -n 50
accel run -d cpu: --context 12 -n 50 --json
[ "$rc" -eq 0 ] && [ "$(field stop)" = context ]
report $? "a full context is named as the reason"
expect "a deadline that passes has its own exit code" 18 err 'deadline' run -d cpu: --deadline 0.000001
expect "weights of 4 bits run too" 0 out '^bits/weight     4.0000' run -d cpu: -m $F16 --format int4 --group 64 -n 3
expect "weights of a format with selectors run too" 0 out '^bits/weight     3.0000' run -d cpu: -m $F16 --format fp3 --group 64 -n 3
expect "a format that cannot hold the weights names row and column" 16 err 'row 0, column [0-9]*: the weight is negative' \
    run -d cpu: -m $F16 --format uflint4 -n 3
"$ACCEL" run -d cpu: -n 250 2>"$T/err" | head -c 20 >"$T/out"
[ ! -s "$T/err" ] && [ "$(wc -c <"$T/out")" -eq 20 ]
report $? "a reader that leaves ends the story without a word"
if [ -w /dev/full ]; then
    "$ACCEL" run -d cpu: -n 5 >/dev/full 2>"$T/err"
    rc=$?
    [ "$rc" -eq 1 ] && grep -q 'writing the output failed' "$T/err"
    report $? "a full disk is an error"
fi
accel run -d cpu: -n 5
[ ! -s "$T/err" ]
report $? "nothing goes to standard error if it is no terminal"

# ---- info, perplexity, verify, bench ----
expect "info tells how tensors map" 0 out '^TQ2_0 .*ternary.*exact$' info -m $TERNARY
accel info -m $F16 --format int4 --json
[ "$rc" -eq 0 ] && [ "$(field parameters)" = 4984064 ]
report $? "info --json counts the parameters"
expect "perplexity prints its number" 0 out '^perplexity: 1\.3477$' \
    perplexity -d cpu: -m $TERNARY -f models/heldout.txt --chunks 2
expect "a model trained with two bits tells its stories" 0 out '^perplexity: 1\.3425$' \
    perplexity -d cpu: -m $INT2 -f models/heldout.txt --chunks 2
expect "and its logits are the simulated device's" 0 out '^identical$' verify -m $INT2 -d cpu: -d sim:pe=lut -n 2
accel perplexity -d cpu: -m $TERNARY -f models/heldout.txt --chunks 2 --json
[ "$rc" -eq 0 ] && [ "$(field scored_tokens)" = 510 ]
report $? "perplexity --json counts what was scored"
echo 'Too short.' >"$T/short.txt"
expect "a text shorter than a chunk is refused" 11 err 'longer text' perplexity -d cpu: -f "$T/short.txt"
expect "a text that is not there is named" 13 err 'none.txt' perplexity -d cpu: -f "$T/none.txt"
expect "a folder is no text" 13 err 'not a file' perplexity -d cpu: -f "$T"
expect "verify finds a device identical to itself" 0 out '^identical$' verify -d cpu: -d cpu: -n 3
expect "activations have 4, 8 or 16 bits" 2 err 'expected 4, 8 or 16' verify --act 12
accel verify -d cpu: -d cpu: -n 3 --json
[ "$rc" -eq 0 ] && [ "$(field identical)" = True ]
report $? "verify --json tells the verdict"
for kv in int5/int2 int4/f32 f32/int2 /int2 int4/ f32:jobs int4:job int4:jobs/int2 int4:; do
    expect "a cache of $kv is refused" 2 err 'as int4/int2' run --kv "$kv"
done
expect "keys and values have codes of two widths" 0 out '^cache           int3/int2, 672 bytes for a token' run -d cpu: -n 40 --kv int3/int2
expect "verify takes a cache of codes" 0 out '^identical$' verify -d cpu: -d cpu:path=reference -n 70 --kv int2
expect "and attention as jobs" 0 out '^identical$' verify -d cpu: -d cpu:path=reference -n 70 --kv int4/int2:jobs
expect "verify refuses more tokens than the context holds" 17 err 'do not fit' verify -d cpu: -d cpu: -n 600
expect "bench prints a row for each format" 0 out '^cpu: .* int3 ' \
    bench -d cpu: -m $F16 -n 1 --format int3 --format bipolar1
accel bench -d cpu: -m $TERNARY -n 1 --json
[ "$rc" -eq 0 ] && json "$T/out"
report $? "bench --json is JSON"
accel bench -d cpu: -d cpu: -m $TERNARY -n 1 --save "$T/bench.json"
[ "$rc" -eq 0 ] && json "$T/bench.json" && [ "$(grep -c '^cpu: ' "$T/out")" -eq 1 ]
report $? "bench --save writes JSON beside the table and measures a device once"
expect "bench names a file it cannot write" 13 err '/none/x' bench -d cpu: -m $TERNARY --save /none/x
expect "bench refuses a format for a quantized model" 2 err 'keep their format' bench -d cpu: -m $TERNARY -n 1 --format int4

# ---- GPUs ----
if have_cuda; then
    expect "cuda: takes a GPU's number and nothing else" 14 err "'x' is no GPU's number" info -d cuda:x
    if ! "$ACCEL" list | grep -q '^cuda:'; then
        expect "without a GPU cuda:0 says what is missing" 16 err 'cuda: .*\(driver\|no NVIDIA GPU\)' selftest -d cuda:0
    fi
fi

# ---- the simulated core ----
if have_sim; then
    expect "run reports cycles and utilisation of the simulated core" 0 out '^utilisation     0\.[0-9]* prefill' run -n 3
    expect "run projects a speed from cycles and bits" 0 out '^projected ' run -n 3
    for pe in $("$ACCEL" list | sed -n 's/^sim:pe=\([a-z0-9]*\),.*/\1/p' | sort -u); do
        if [ "$pe" = nm ]; then # it has room for two weights of every four
            expect "a dense model is not for sim:pe=nm" 16 err 'kind nm cannot run .* not 2:4' verify -d sim:pe=nm -n 1
        else
            expect "logits on sim:pe=$pe are identical to cpu:" 0 out '^identical$' verify -d "sim:pe=$pe" -n 1
            for act in 4 16; do
                expect "and with activations of $act bits" 0 out '^identical$' verify -d "sim:pe=$pe" -n 1 -p Once --act $act
            done
        fi
        expect "selftest of sim:pe=$pe passes in every format it runs" 0 out '^passed: ' selftest -d "sim:pe=$pe" --jobs 1
    done
    expect "a deadline in device time passes on the simulated core" 18 err 'deadline' run --deadline 0.00001
    expect "attention's products are jobs of the device" 0 out '^identical$' verify -d sim:pe=lut -n 36 --kv int4:jobs
    expect "a kind that cannot multiply by the cache's codes says so" 16 err "attention cannot be jobs of sim:pe=tlut.*leave ':jobs' out" \
        run -d sim:pe=tlut -n 2 --kv int4:jobs
    expect "an unknown PE kind lists the known ones" 14 err 'lut' info -d sim:pe=quantum
else
    echo "ok the simulated core runs the model # SKIP built without the simulator"
fi

# ---- reference models ----
S=$SHARED/data/stories260K
if [ -r "$S/reference-ppl.tsv" ]; then
    expect "greedy text of stories260K is the reference's" 0 out \
        'She wanted to play with it, but it was too high\.' run -d cpu: -m "$S/stories260K-Q8_0.gguf" -t 0 -n 60
    files="F32 Q8_0 Q5_0 Q4_0"
    [ -z "${ACCEL_SLOW:-}" ] || files="$files F16 pad256-F32 pad256-Q8_0 pad256-Q6_K pad256-Q5_0 pad256-Q4_1 \
        pad256-Q4_K_S pad256-IQ4_NL pad256-Q4_0 pad256-Q3_K_S pad256-Q2_K pad256-Q4_K_M-mixed"
    for f in $files; do
        accel perplexity -d cpu: -m "$S/stories260K-$f.gguf" -f "$S/stories260K-samples-dev.txt"
        awk -v f="stories260K-$f.gguf" -v got="$(sed 's/perplexity: //' "$T/out")" \
            '$1 == f { d = got / $3 - 1; ok = d < 0.01 && d > -0.01 } END { exit !ok }' "$S/reference-ppl.tsv"
        report $? "perplexity of stories260K-$f is within 1 % of the reference"
    done
else
    echo "ok perplexity is within 1 % of the references # SKIP no $S"
fi
exit $failed
