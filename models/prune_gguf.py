#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""prune_gguf.py - a copy of a GGUF v3 model with the smallest weights of every F16 matrix set to zero.

  python3 prune_gguf.py stories-f16.gguf out.gguf --keep 2:4     # the largest 2 of every 4 columns
  python3 prune_gguf.py stories-f16.gguf out.gguf --zeros 50     # the smallest half of every row

By magnitude alone, without training: what comes out shows how sparse matrices run, not how well a pruned model
tells stories.  Needs nothing but Python.
"""
import argparse
import array
import math
import struct
import sys

SIZES = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}
STRING, ARRAY, F16 = 8, 9, 1


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, code):
        value, = struct.unpack_from('<' + code, self.data, self.at)
        self.at += struct.calcsize('<' + code)
        return value

    def string(self):
        size = self.number('Q')
        self.at += size
        return bytes(self.data[self.at - size:self.at]).decode()

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            return self.number(SIZES[kind])
        kind, count = self.number('I'), self.number('Q')
        for _ in range(count):
            self.value(kind)
        return None


def matrices(data):
    """(offset, rows, columns) of every F16 matrix."""
    r = Reader(data)
    if bytes(data[:4]) != b'GGUF' or struct.unpack_from('<I', data, 4) != (3,):
        sys.exit('prune_gguf.py: not a GGUF v3 file')
    r.at = 8
    tensors, pairs = r.number('Q'), r.number('Q')
    meta = {}
    for _ in range(pairs):
        key = r.string()
        meta[key] = r.value(r.number('I'))
    found = []
    for _ in range(tensors):
        r.string()
        shape = [r.number('Q') for _ in range(r.number('I'))]
        kind, offset = r.number('I'), r.number('Q')
        if kind == F16 and len(shape) == 2:
            found.append((offset, shape[1], shape[0]))
    align = meta.get('general.alignment', 32)
    start = math.ceil(r.at / align) * align
    return [(start + offset, rows, cols) for offset, rows, cols in found]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('model')
    p.add_argument('out')
    how = p.add_mutually_exclusive_group(required=True)
    how.add_argument('--keep', metavar='N:M', help='the largest N of every M columns')
    how.add_argument('--zeros', metavar='PERCENT', type=int, help='the smallest PERCENT of every row')
    args = p.parse_args()
    with open(args.model, 'rb') as f:
        data = bytearray(f.read())
    for offset, rows, cols in matrices(data):
        keep, block = map(int, args.keep.split(':')) if args.keep else (cols - cols * args.zeros // 100, cols)
        for row in range(rows):
            at = offset + row * cols * 2
            v = array.array('H', data[at:at + cols * 2])
            for first in range(0, cols, block):
                # without its sign bit an F16 is ordered as an integer
                order = sorted(range(first, min(first + block, cols)), key=lambda i: v[i] & 0x7fff)
                for i in order[:max(0, len(order) - keep)]:
                    v[i] = 0
            data[at:at + cols * 2] = v.tobytes()
    with open(args.out, 'wb') as f:
        f.write(data)


if __name__ == '__main__':
    main()
