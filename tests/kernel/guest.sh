#!/bin/sh
# guest.sh - the first process of the virtual machine: the accel command on a simulated board that the kernel takes for a
# USB device. Prints ok and not ok lines on the console, then switches the machine off.
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086  # several words on purpose
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo 0 >/proc/sys/kernel/printk
echo # the firmware's escape codes stand at the beginning of the console's first line
for m in usb-common usbcore usbip-core vhci-hcd; do
    insmod "/modules/$m.ko" || echo "not ok the kernel loads $m"
done
pid=

unplug() {
    [ -z "$pid" ] || { kill $pid; wait $pid; } 2>/dev/null
    pid=
}

# plug_in FLAG...: a fresh board; returns when the kernel has given it its address and configuration
plug_in() {
    unplug
    until_unplugged
    accel-usbip "$@" >/tmp/board 2>&1 &
    pid=$!
    until_plugged
}
plugged() { [ -n "$(find /sys/bus/usb/devices/ -name '*-1:1.0')" ]; }
until_plugged() {
    for _ in $(seq 200); do
        plugged && return 0
        sleep 0.1
    done
    echo "not ok the kernel finds a board: $(cat /tmp/board)"
}
until_unplugged() {
    for _ in $(seq 200); do
        plugged || return 0
        sleep 0.1
    done
    echo "not ok the kernel notices that a board is gone"
}

# is NAME STATUS WORDS COMMAND...: the command ends with that status and says WORDS
is() {
    name=$1 want=$2 words=$3 status=0
    shift 3
    timeout 200 "$@" >/tmp/out 2>&1 || status=$?
    if [ $status = "$want" ] && grep -q -e "$words" /tmp/out; then
        echo "ok $name"
    else
        echo "not ok $name: $* ended with $status, expected $want and '$words': $(tail -n 3 /tmp/out | tr '\n' ' ')"
    fi
}

model=/model.gguf
plug_in --memory 262144
is 'the kernel enumerates a board and accel finds it' 0 'usb:serial=00000001' accel list
is 'bringup walks every step' 0 'ok  *cable  .* 0 were broken' accel bringup -d usb:
sed -n 's/^ok  *throughput  */speed: /p' /tmp/out # a figure, not a test of its own
if grep -q 'ok  *array test' /tmp/out && grep -q 'ok  *memory test' /tmp/out; then
    echo 'ok the firmware tests array and memory in it'
else
    echo "not ok the firmware tests array and memory in it: $(tr '\n' ' ' </tmp/out)"
fi
is 'a model over usbfs equals cpu:' 0 '^identical' accel verify -d cpu: -d usb: -m $model -p Once -n 1

accel selftest -d usb: --jobs 20 >/dev/null 2>&1 &
first=$!
sleep 2
is 'a board in use names its user' 13 "in use by process $first (accel)" accel info -d usb:
kill -9 $first
wait $first 2>/dev/null

opened=0
for i in 1 2 3 4 5 6 7 8 9 10; do
    accel selftest -d usb: --jobs 20 >/dev/null 2>&1 &
    first=$!
    sleep 0.$i
    kill -9 $first
    wait $first 2>/dev/null
    accel info -d usb: >/tmp/out 2>&1 && opened=$((opened + 1))
done
if [ $opened = 10 ]; then
    echo 'ok a board opens again after its user was killed, 10 times of 10'
else
    echo "not ok a board opens again after its user was killed: $opened times of 10: $(tail -n 2 /tmp/out)"
fi

plug_in --plan 'drop packet 40; damage packet 200; duplicate packet 300; flip bit 3 of byte 60000; truncate packet 500 to 5 bytes;
    stall out at packet 600; stall in at packet 700; nak 50 packets from 800; firmware hangs at cycle 300000; reset at byte 500000'
is 'a model over a cable with faults equals cpu:' 0 '^identical' accel verify -d cpu: -d usb: -m $model -p Once -n 1

plug_in --plan 'unplug at byte 200000, replug after 500 ms'
is 'a board unplugged in a job is told to be gone' 23 'is gone: was it unplugged' accel run -d usb: -m $model -p Once -n 20
until_plugged
is 'the same board plugged in again works' 0 '^identical' accel verify -d cpu: -d usb: -m $model -p Once -n 1
unplug
until_unplugged
is 'a board that is not there is asked for' 13 'no accel device (1209:0001) is plugged in' accel info -d usb:

echo "up $(cut -d' ' -f1 /proc/uptime) s"
poweroff -f
