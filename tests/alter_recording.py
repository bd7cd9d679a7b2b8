#!/usr/bin/env python3
"""alter_recording.py - a recording in which the board got a bit of its results wrong: IN OUT N (the N-th byte of results).
SPDX-License-Identifier: Apache-2.0"""
import struct
import sys

HEADER, CHUNK, RESULT = 16, 16, 32


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return struct.pack("<I", crc ^ 0xFFFFFFFF)


def main(source, target, nth):
    data = bytearray(open(source, "rb").read())
    places = []  # where the bytes from the board lie in the file
    chunks = []
    at = HEADER
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        chunks.append((at, size))
        if data[at] == 2:
            places += range(at + CHUNK, at + CHUNK + size)
        at += CHUNK + size + 4
    wire = bytes(data[p] for p in places)
    at = 0
    while True:
        at = wire.index(b"\xc3\x5a", at)
        size = struct.unpack_from("<H", wire, at + 12)[0]
        if wire[at + 14:at + 16] != crc32c(wire[at:at + 14])[:2]:
            at += 1
            continue
        if wire[at + 2] == RESULT and nth < size:
            break
        nth -= size if wire[at + 2] == RESULT else 0
        at += 20 + size
    frame = bytearray(wire[at:at + 16 + size])
    frame[16 + nth] ^= 1
    frame += crc32c(frame)
    for i, byte in enumerate(frame):
        data[places[at + i]] = byte
    for begin, size in chunks:
        if any(begin <= places[at + i] < begin + CHUNK + size for i in (16 + nth, *range(16 + size, 20 + size))):
            end = begin + CHUNK + size
            data[end:end + 4] = crc32c(data[begin:end])
    open(target, "wb").write(data)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
