#!/usr/bin/env bash
# kernel.sh - accel and libusb on a real Linux USB core without a board: a Debian kernel in QEMU, emulated in software, whose
# virtual host controller has the simulated board plugged in (sim/usbip.cpp). What runs there is tests/kernel/guest.sh.
# SPDX-License-Identifier: Apache-2.0
#
#   make test-kernel        (ACCEL, USBIP, OUT: other places of the two programs and of what is made)
#
# Both programs must run on any x86-64 processor. The kernel is Debian's; its package is fetched once into OUT.
set -euo pipefail
cd "$(dirname "$0")/.."
accel=$(realpath "${ACCEL:-build/kernel/accel}") usbip=$(realpath "${USBIP:-build/kernel/accel-usbip}") out=$(realpath "${OUT:-build/kernel}")
modules=(usb-common usbcore usbip-core vhci-hcd)

for c in qemu-system-x86_64 busybox cpio dpkg-deb; do
    command -v "$c" >/dev/null || { echo "kernel.sh: $c is missing: ./bootstrap --kernel" >&2; exit 1; }
done

if [ ! -e "$out/vmlinuz" ]; then
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
    (cd "$out" && apt-get -qq download "$package" 2>/dev/null)
    mkdir -p "$out/modules"
    for f in "${modules[@]}"; do wanted+=("*/$f.ko"); done
    dpkg-deb --fsys-tarfile "$out/$package"_*.deb | tar -x -C "$out" --transform='s:.*/:modules/:' --wildcards "${wanted[@]}" '*/vmlinuz-*'
    mv "$out"/modules/vmlinuz-* "$out/vmlinuz"
    rm "$out/$package"_*.deb
fi

root=$out/root
rm -rf "$root"
mkdir -p "$root"/{bin,modules,dev}
cp "$(command -v busybox)" "$root/bin/busybox"
install -m 755 tests/kernel/guest.sh "$root/init"
ln -s /bin/busybox "$root/bin/sh"
cp "$accel" "$usbip" "$root/bin/"
cp models/stories-ternary-tq2_0.gguf "$root/model.gguf"
for f in "${modules[@]}"; do cp "$out/modules/$f.ko" "$root/modules/"; done
# the board's firmware, by the name that the simulated board knows
for f in "$(dirname "$usbip")"/firmware/*.hex; do install -D -m 644 "$f" "$root$f"; done
# the loader and every library, where the loader looks for them
ldd "$accel" "$usbip" | grep -o '/[^ ]*' | grep -v : | sort -u | while read -r lib; do
    mkdir -p "$root$(dirname "$lib")"
    cp -L "$lib" "$root$lib"
done
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$out/root.gz"

timeout 900 qemu-system-x86_64 -machine q35 -cpu max -accel tcg -m 512 -smp 2 -nographic -no-reboot -net none -kernel "$out/vmlinuz" \
    -initrd "$out/root.gz" -append 'console=ttyS0 quiet panic=-1' </dev/null 2>&1 | stdbuf -oL tr -d '\r' | tee "$out/console" |
    grep --line-buffered -E '^(ok|not ok|up|speed:) '
grep -q '^up ' "$out/console" || { echo "not ok the machine comes to the end: $(tail -n 3 "$out/console" | tr '\n' ' ')"; exit 1; }
