#!/usr/bin/env bash
# serial.sh - the accel command on a simulated board behind a serial port: every bit as on cpu:, whatever the cable does.
# SPDX-License-Identifier: Apache-2.0
#
#   ACCEL=build/accel BOARD=build/accel-board [KILLS=20] tests/serial.sh [memory]
#   ACCEL=build/accel BOARD=build/accel-board-small tests/serial.sh small
set -uo pipefail
accel=$(realpath "${ACCEL:-build/accel}") board=$(realpath "${BOARD:-build/accel-board}")
model=models/stories-ternary-tq2_0.gguf
dir=$(mktemp -d)
port=$dir/port
pid=
unplug() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null
    [ -z "$pid" ] || wait "$pid" 2>/dev/null
    pid=
}
trap 'unplug; [ ! -e "$dir/pid" ] || kill "$(cat "$dir/pid")" 2>/dev/null; rm -rf "$dir"' EXIT

# plug_in FLAG...: a fresh board at $port
plug_in() {
    unplug
    rm -f "$port"
    "$board" --link "$port" "$@" >"$dir/board" &
    pid=$!
    for _ in $(seq 100); do
        [ ! -e "$port" ] || return 0
        sleep 0.05
    done
    echo "not ok the simulated board starts: $(cat "$dir/board")"
    exit 1
}

# is NAME STATUS WORDS COMMAND...: the command ends with that status and says WORDS
is() {
    local name=$1 want=$2 words=$3 status=0
    shift 3
    timeout 300 "$@" >"$dir/out" 2>&1 || status=$?
    if [ "$status" = "$want" ] && grep -q -- "$words" "$dir/out"; then
        echo "ok $name"
    else
        echo "not ok $name: $* ended with $status, expected $want and '$words': $(tail -n 3 "$dir/out")"
    fi
}

# token NAME LEAST MOST FLAG...: on such a board the model is every bit as on cpu:, and two more tokens cost so many bytes
token() {
    local name=$1 least=$2 most=$3 n bytes=0
    shift 3
    for n in 1 3; do
        plug_in "$@"
        if ! timeout 300 "$accel" verify -d cpu: -d "serial:$port" -m "$model" -p 'Once' -n "$n" >"$dir/out" 2>&1; then
            echo "not ok $name: $(tail -n 3 "$dir/out")"
            return
        fi
        unplug
        bytes=$(($(awk '/bytes from the host/ { print $1 }' "$dir/board") - bytes))
    done
    if [ "$bytes" -ge "$least" ] && [ "$bytes" -le "$most" ]; then
        echo "ok $name"
    else
        echo "not ok $name: two tokens took $bytes bytes, not $least to $most"
    fi
}

if [ "${1:-}" = memory ]; then
    token 'weights that fit in the memory are sent once' 20000 40000 --memory 33554432
    token 'weights beyond the memory are streamed, the others kept' 1500000 2900000 --memory 400000
    plug_in --memory 33554432 --power 1500000
    is 'a board that loses its power while weights are stored gets them anew' 0 '^identical' \
        "$accel" verify -d cpu: -d "serial:$port" -m "$model" -p 'Once' -n 2
    plug_in --memory 33554432 --power 1600000
    is 'a board that loses its power later gets them anew' 0 '^identical' \
        "$accel" verify -d cpu: -d "serial:$port" -m "$model" -p 'Once' -n 4
    plug_in --memory 33554432 --faults 20000
    is 'weights are stored exactly over a bad cable' 0 '^identical' \
        "$accel" verify -d cpu: -d "serial:$port" -m "$model" -p 'Once' -n 2
    plug_in --memory 262144
    is 'bringup tests the memory' 0 'ok  *memory  *262144 bytes; 17 words' "$accel" bringup -d "serial:$port"
    if "$accel" peek -d "serial:$port" cpu | grep -q ' 0x[0-9a-f]*1  '; then
        is 'bringup has the firmware test the memory' 0 'ok  *memory test  *the firmware tested [1-9][0-9]* KiB' \
            "$accel" bringup -d "serial:$port"
        plug_in --memory 262144 --weak 100
        is 'bringup names the word that the firmware found wrong' 3 'DIFFERENT  *memory test  *the word at byte 100 lost' \
            "$accel" bringup -d "serial:$port"
        is 'a model whose weights lie in such memory equals cpu:' 0 '^identical' \
            "$accel" verify -d cpu: -d "serial:$port" -m "$model" -p 'Once' -n 1
        plug_in --memory 262144
    fi
    "$accel" poke -d "serial:$port" 132=0 32771=0x12345678
    is 'a word poked into the window of the memory is peeked there' 0 '12345678' "$accel" peek -d "serial:$port" 32771
    exit
fi

if [ "${1:-}" = small ]; then           # a core without counters, requantizers and outliers
    plug_in
    is 'random jobs on a small board equal cpu:' 0 'every bit as on cpu:' "$accel" selftest -d "serial:$port" --jobs 1
    is 'bringup of a small board passes, and says that it counts nothing' 0 'skipped  *cable  *the device counts no frames' \
        "$accel" bringup -d "serial:$port"
    plug_in --faults 20000
    is 'a model on a small board over a bad cable equals cpu:' 0 '^identical' \
        "$accel" verify -d cpu: -d "serial:$port" -m "$model" -p 'Once' -n 1
    exit
fi

plug_in
is 'a simulated board says what it is' 0 'backend  *serial' "$accel" info -d "serial:$port"
is 'info tells of the link' 0 'link  *protocol 1 to 1' "$accel" info -d "serial:$port"
is 'peek reads a register by name' 0 '^ *64  magic  *0x4b4e494c' "$accel" peek -d "serial:$port" magic
is 'peek reads all registers that have a name' 0 '^ *86  rewound' "$accel" peek -d "serial:$port"
is 'what poke wrote peek reads, and reset keeps' 0 ' 0x12345678 ' sh -c "'$accel' poke -d 'serial:$port' scratch=0x12345678 &&
    '$accel' reset -d 'serial:$port' && '$accel' peek -d 'serial:$port' 67"
is 'a register that does not exist is named' 2 '"nonsense" is no register; .* scratch' "$accel" peek -d "serial:$port" nonsense
is 'peek --json names register and value' 0 '"value": 1263421772' "$accel" peek -d "serial:$port" 64 --json
is 'random jobs over a good cable equal cpu:' 0 'every bit as on cpu:' "$accel" selftest -d "serial:$port" --jobs 1
is 'bringup walks every step of a good board' 0 'ok  *cable  .* 0 were broken' "$accel" bringup -d "serial:$port"
is 'a model over a good cable equals cpu:' 0 '^identical' \
    "$accel" verify -d cpu: -d "serial:$port" -m "$model" -p 'Once' -n 2

is 'a session is recorded' 0 'ok  *cable' "$accel" record "$dir/session" bringup -d "serial:$port"
is 'the same board gives the recorded answers' 0 '^same answers: [1-9]' "$accel" replay "$dir/session" -d "serial:$port"
head -c 200000 "$dir/session" >"$dir/short"
is 'a recording cut off is replayed up to there' 0 'ends in the middle' "$accel" replay "$dir/short" -d "serial:$port"
is 'a file that is no recording is refused' 15 'does not begin with ACCELREC' "$accel" replay README.md -d "serial:$port"
python3 tests/alter_recording.py "$dir/session" "$dir/altered" 1000
is 'a result that differs from the recorded one is named' 3 'session 1, job [0-9]*: byte [0-9]* of its result is 0x' \
    "$accel" replay "$dir/altered" -d "serial:$port"
printf 'x' | dd of="$dir/session" bs=1 seek=3000 conv=notrunc 2>/dev/null
is 'a damaged recording is refused, with the place' 15 'at byte [0-9]* is damaged' "$accel" replay "$dir/session" -d "serial:$port"

# The processor beside the core, where the board has one.
if "$accel" peek -d "serial:$port" cpu | grep -q ' 0x[0-9a-f]*1  '; then
    is 'bringup shows the firmware' 0 'ok  *firmware  *firmware [0-9]' "$accel" bringup -d "serial:$port"
    is 'the firmware tests the array' 0 'ok  *array test  .* jobs give the results' "$accel" bringup -d "serial:$port"
    "$accel" poke -d "serial:$port" cpu_argument=0 cpu_command=0x770006 # CRASH
    is 'a firmware that crashed is named, and jobs go on' 0 'begun anew 1 times, 2 errors logged' "$accel" bringup -d "serial:$port"
    hex=$(dirname "$board")/firmware/$("$accel" peek -d "serial:$port" kind rows lanes scale_units | awk '{ printf "%s%s", dash, $4; dash = "-" }').hex
    is 'firmware is loaded' 0 'bytes loaded, firmware [0-9.]* is ready' "$accel" load "$hex" -d "serial:$port"
    is 'bringup tests the array with the firmware that was loaded' 0 'ok  *array test' "$accel" bringup -d "serial:$port"
    sed '$d' "$hex" | tr 0 1 >"$dir/wrong.hex"
    is 'what is no program does not boot, and says so' 22 'does not boot' "$accel" load "$dir/wrong.hex" -d "serial:$port"
    is 'a board whose firmware does not boot runs jobs' 0 'every bit as on cpu:' "$accel" selftest -d "serial:$port" --jobs 1
    is 'a file that is no firmware is refused' 15 'line 1 is not a word' "$accel" load README.md -d "serial:$port"
    plug_in
fi

# accel update with an openFPGALoader that does nothing but pull the cable, and plug in a board a second later unless told not to.
mkdir "$dir/bin"
cat >"$dir/bin/openFPGALoader" <<END
#!/bin/sh
echo "\$*" | tee "$dir/loaded"
[ ! -e "$dir/fails" ] || exit 1
kill "\$(cat "$dir/pid")" 2>/dev/null
while [ -e "$port" ]; do sleep 0.05; done
[ -e "$dir/away" ] || (sleep 1; exec "$board" --link "$port") >/dev/null 2>&1 &
echo \$! >"$dir/pid"
END
chmod +x "$dir/bin/openFPGALoader"
# bitstream IDCODE COMMENT: as much of one as says what it is for
bitstream() { printf '\xff\0%s\0\xff\xff\xff\xbd\xb3\xff\xff\xff\xff;\0\0\0\xe2\0\0\0%b"\0\0\0' "$2" "$1"; }
bitstream '\x41\x11\x30\x43' 'Part: LFE5U-85F-6CABGA381' >"$dir/ulx3s.bit"
bitstream '\x41\x11\x10\x43' 'Part: LFE5U-25F-6CSFBGA285' >"$dir/orangecrab.bit"
bitstream '\x41\x11\x10\x43' 'no word of it' >"$dir/nameless.bit"
ulx3s=(--board ulx3s-85f --gateware "$dir/ulx3s.bit")
update() { PATH=$dir/bin:$PATH "$accel" update -d "serial:$port" "$@"; }
# is_update NAME STATUS WORDS FLAG...
is_update() {
    local name=$1 want=$2 words=$3
    shift 3
    rm -f "$dir/loaded"
    is "$name" "$want" "$words" env PATH="$dir/bin:$PATH" "$accel" update -d "serial:$port" "$@"
}
unloaded() { if [ -e "$dir/loaded" ]; then echo "not ok $1: openFPGALoader $(cat "$dir/loaded")"; else echo "ok $1"; fi; }
echo "$pid" >"$dir/pid"
is_update 'update loads gateware and shows what the board reports then' 0 '^after: .*protocol 1 to 1; .*build' "${ulx3s[@]}"
is 'openFPGALoader is told the board and the file' 0 "^--board ulx3s $dir/ulx3s.bit$" cat "$dir/loaded"
update "${ulx3s[@]}" 2>&1 | tr '\n' ' ' >"$dir/said"
is 'update says what it will do before it does it' 0 '^now: .* will:  *openFPGALoader .* --board ulx3s .* after:' cat "$dir/said"
is_update 'gateware for another FPGA is refused' 3 'IDCODE 0x41111043, ulx3s-85f has 0x41113043' --board ulx3s-85f --gateware "$dir/orangecrab.bit"
unloaded 'gateware for another FPGA is not loaded'
is_update 'gateware for another board of the same FPGA is refused' 3 'is for LFE5U-25F-6CSFBGA285, ulx3s-25f has' --board ulx3s-25f --gateware "$dir/orangecrab.bit"
unloaded 'gateware for another board of the same FPGA is not loaded'
is_update 'gateware that names no package is refused' 3 'another board of this FPGA; --force' --board orangecrab --gateware "$dir/nameless.bit"
is_update 'gateware that names no package is loaded by force' 0 '^--board orangeCrab ' --board orangecrab --gateware "$dir/nameless.bit" --force
is_update 'gateware that is cut off before it says anything is refused' 3 'does not say for which FPGA' --board orangecrab \
    --gateware <(head -c 40 "$dir/orangecrab.bit")
is 'without openFPGALoader update says so and nothing happens' 13 'nothing was changed' env PATH=/nonexistent "$accel" update -d "serial:$port" "${ulx3s[@]}"
if [ -n "${hex:-}" ]; then
    is_update 'update loads firmware' 0 '^after: .*firmware [0-9]' --firmware "$hex"
    unloaded 'update of firmware alone leaves the gateware'
    is_update 'update loads firmware into the gateware that it has loaded' 0 'is ready' "${ulx3s[@]}" --firmware "$hex"
    is_update 'what is no firmware is refused before anything is loaded' 15 'line 1 is not a word' "${ulx3s[@]}" --firmware README.md
    unloaded 'what is no firmware stops the gateware too'
fi
: >"$dir/fails"
is_update 'an openFPGALoader that fails is an error that says so' 22 'ended with status 1' "${ulx3s[@]}"
rm "$dir/fails"
: >"$dir/away"
is_update 'a board that does not come back is an error that says so' 13 'was programmed, but does not answer' "${ulx3s[@]}"
rm "$dir/away"
is_update 'a silent board is not programmed' 13 'nothing was changed; --force' "${ulx3s[@]}"
is_update 'a silent board is programmed by force' 0 '^after: ' "${ulx3s[@]}" --force
kill "$(cat "$dir/pid")" && while [ -e "$port" ]; do sleep 0.05; done
rm "$dir/pid" # the number may be another process's later
plug_in

# The counts of lines of one that is killed, half written maybe, go where nobody reads them.
GCOV_PREFIX=$dir/counts "$accel" selftest -d "serial:$port" --jobs 3 >"$dir/first" 2>&1 &
first=$!
sleep 1
is 'a port in use names its user' 13 "in use by process $first (accel)" "$accel" info -d "serial:$port"
kill -9 "$first"
wait "$first" 2>/dev/null

kills=${KILLS:-20}
killed=0
for i in $(seq "$kills"); do
    GCOV_PREFIX=$dir/counts "$accel" selftest -d "serial:$port" --jobs 1 -s "$i" >/dev/null 2>&1 &
    victim=$!
    sleep "0.$((i * 37 % 30 + 10))"
    kill -9 "$victim"
    wait "$victim" 2>/dev/null
    timeout 60 "$accel" info -d "serial:$port" >/dev/null 2>"$dir/out" && killed=$((killed + 1))
done
if [ "$killed" = "$kills" ]; then
    echo "ok a board is as good as new after each of $kills users killed in mid-transfer"
else
    echo "not ok a board is as good as new after each of $kills users killed in mid-transfer: after $killed; $(cat "$dir/out")"
fi
is 'a model after all that equals cpu:' 0 '^identical' \
    "$accel" verify -d cpu: -d "serial:$port" -m "$model" -p 'Once' -n 1

plug_in --faults 20000
is 'a session over a bad cable is recorded' 0 'ok  *cable' "$accel" record "$dir/session" bringup -d "serial:$port"
is 'what was lost and sent again is no difference' 0 '^same answers: [1-9]' "$accel" replay "$dir/session" -d "serial:$port"
is 'a model over a bad cable equals cpu:' 0 '^identical' \
    "$accel" verify -d cpu: -d "serial:$port" -m "$model" -p 'Once' -n 2

is 'bringup sees that a cable is bad and says what to do' 0 'hint: .* try a shorter cable' "$accel" bringup -d "serial:$port"

plug_in --unplug 300000
is 'bringup stops where the cable is pulled' 23 '^FAILED  *[a-z ]*.*unplugged' "$accel" bringup -d "serial:$port"
plug_in --unplug 300000
is 'a cable pulled in mid-run is an error that says so' 23 'was it unplugged' \
    "$accel" run -d "serial:$port" -m "$model" -p 'Once' -n 20
plug_in
is 'plugged in again it works' 0 '^identical' \
    "$accel" verify -d cpu: -d "serial:$port" -m "$model" -p 'Once' -n 1
unplug
is 'a port that is not there is an error that says so' 13 'is the board plugged in' "$accel" info -d "serial:$port"
