#!/usr/bin/env python3
# resnet8_layers.py - records convolutions of a CNN for accel compare: weights, and columns of activations after ReLU.
# SPDX-License-Identifier: Apache-2.0
"""Usage: tools/resnet8_layers.py FOLDER OUT

FOLDER holds pretrainedResnet_quant.tflite (MLPerf Tiny's ResNet8 for CIFAR-10, Apache-2.0) and cifar_bird.rgb, a picture of
32 x 32 pixels. The network is evaluated in integers with a rounding after every operator. Of each 3x3 convolution
whose input comes out of a ReLU, OUT gets the int8 weights with their scale for each output channel, and the inputs of
16 output pixels, spread over the picture, as columns.

The network's activations are bytes 0..255 after ReLU (int8 with zero point -128). A device multiplies signed int8 with
zero at zero, so they are halved, rounding up: 0..127. Zeros stay zeros."""
import struct
import sys
from operator import mul

COLUMNS = 16
RELU, CONV_2D, FULLY_CONNECTED, AVERAGE_POOL_2D, ADD = 1, 3, 9, 1, 0


class Table:
    """A flatbuffer table: fields by number."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        self.size = struct.unpack_from("<H", data, self.vtable)[0]

    def field(self, n):
        where = 4 + 2 * n
        offset = struct.unpack_from("<H", self.data, self.vtable + where)[0] if where < self.size else 0
        return self.at + offset if offset else None

    def scalar(self, n, kind, default=0):
        at = self.field(n)
        return default if at is None else struct.unpack_from("<" + kind, self.data, at)[0]

    def table(self, n):
        at = self.field(n)
        return None if at is None else Table(self.data, at + struct.unpack_from("<I", self.data, at)[0])

    def vector(self, n, kind):
        at = self.field(n)
        if at is None:
            return []
        at += struct.unpack_from("<I", self.data, at)[0]
        count = struct.unpack_from("<I", self.data, at)[0]
        return list(struct.unpack_from("<%d%s" % (count, kind), self.data, at + 4))

    def tables(self, n):
        at = self.field(n)
        if at is None:
            return []
        at += struct.unpack_from("<I", self.data, at)[0]
        count = struct.unpack_from("<I", self.data, at)[0]
        places = range(at + 4, at + 4 + 4 * count, 4)
        return [Table(self.data, p + struct.unpack_from("<I", self.data, p)[0]) for p in places]


class Tensor:
    def __init__(self, t, buffers):
        self.shape = t.vector(0, "i")
        q = t.table(4)
        self.scale = q.vector(2, "f") if q else []
        self.zero = (q.vector(3, "q") or [0])[0] if q else 0
        raw = bytes(b & 255 for b in buffers[t.scalar(2, "I")].vector(0, "B"))
        kind, size = {9: ("b", 1), 2: ("i", 4)}.get(t.scalar(1, "b"), ("b", 1))
        self.values = list(struct.unpack("<%d%s" % (len(raw) // size, kind), raw)) if raw else None
        self.relu = False           # the result of one: least value is the zero point


def clamp(v, low):
    return max(low, min(127, v))


def patches(x, kernel, stride, same):
    """Columns of x's values less their zero point, one an output pixel, padding as zeros."""
    _, height, width, depth = x.shape
    kh, kw = kernel
    if same:
        oh, ow = -(-height // stride), -(-width // stride)
        top = max(0, (oh - 1) * stride + kh - height) // 2
        left = max(0, (ow - 1) * stride + kw - width) // 2
    else:
        oh, ow, top, left = (height - kh) // stride + 1, (width - kw) // stride + 1, 0, 0
    v = [q - x.zero for q in x.values]
    for y in range(oh):
        for z in range(ow):
            column = []
            for i in range(y * stride - top, y * stride - top + kh):
                for j in range(z * stride - left, z * stride - left + kw):
                    inside = 0 <= i < height and 0 <= j < width
                    at = (i * width + j) * depth
                    column += v[at:at + depth] if inside else [0] * depth
            yield column


def dense(columns, w, bias, x, out, relu):
    """Every column by every row of w, requantized."""
    size = len(w.values) // w.shape[0]
    rows = [w.values[i * size:(i + 1) * size] for i in range(w.shape[0])]
    scale = [x.scale[0] * s / out.scale[0] for s in (w.scale if len(w.scale) > 1 else w.scale * len(rows))]
    low = out.zero if relu else -128
    out.values = [clamp(round((sum(map(mul, c, r)) + b) * s) + out.zero, low)
                  for c in columns for r, b, s in zip(rows, bias.values, scale)]


def evaluate(model, picture):
    """Yields (weights, columns, input) of every convolution; returns the scores."""
    graph = model.tables(2)[0]
    buffers = model.tables(4)
    codes = [max(c.scalar(0, "b"), c.scalar(3, "i")) for c in model.tables(1)]
    tensors = [Tensor(t, buffers) for t in graph.tables(0)]
    tensors[graph.vector(1, "i")[0]].values = [p - 128 for p in picture]
    scores = []
    for op in graph.tables(3):
        code, ins = codes[op.scalar(0, "I")], [tensors[i] for i in op.vector(1, "i")]
        out, options = tensors[op.vector(2, "i")[0]], op.table(4)
        x = ins[0]
        if code == CONV_2D:
            w = ins[1]
            columns = list(patches(x, w.shape[1:3], options.scalar(1, "i"), options.scalar(0, "b") == 0))
            yield w, columns, x
            out.relu = options.scalar(3, "b") == RELU
            dense(columns, w, ins[2], x, out, out.relu)
        elif code == FULLY_CONNECTED:
            dense([[q - x.zero for q in x.values]], ins[1], ins[2], x, out, False)
            scores = out.values
        elif code == ADD:
            a, b = ins
            out.relu = options.scalar(0, "b") == RELU
            out.values = [clamp(round(((p - a.zero) * a.scale[0] + (q - b.zero) * b.scale[0]) / out.scale[0]) + out.zero,
                                out.zero if out.relu else -128) for p, q in zip(a.values, b.values)]
        elif code == AVERAGE_POOL_2D:
            depth, n = x.shape[3], x.shape[1] * x.shape[2]
            out.values = [clamp(round(sum(x.values[c::depth]) / n), -128) for c in range(depth)]
        else:                       # a change of shape, or the softmax after the scores
            out.values = x.values
    return scores


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder = sys.argv[1]
    data = open(folder + "/pretrainedResnet_quant.tflite", "rb").read()
    picture = open(folder + "/cifar_bird.rgb", "rb").read()
    expected = next(l.split("\t") for l in open(folder + "/expected.tsv") if "bird" in l)
    run = evaluate(Table(data, struct.unpack_from("<I", data)[0]), picture)
    layers = []
    while True:
        try:
            w, columns, x = next(run)
        except StopIteration as end:
            scores = end.value
            break
        if not x.relu or w.shape[1:3] != [3, 3]:
            continue
        rows, cols = w.shape[0], len(columns[0])
        step = len(columns) / COLUMNS
        some = [columns[int((i + 0.5) * step)] for i in range(COLUMNS)]
        layers.append(b"layer conv3x3-%d %d %d %d\n" % (len(layers) + 1, rows, cols, COLUMNS)
                      + struct.pack("<%df" % rows, *w.scale) + struct.pack("<%db" % len(w.values), *w.values)
                      + b"".join(struct.pack("<%db" % cols, *[min(127, (v + 1) >> 1) for v in c]) for c in some))
    best = scores.index(max(scores))
    if best != 2:                   # airplane automobile bird ...
        sys.exit("resnet8_layers.py: the bird is taken for class %d: %s; expected %s" % (best, scores, expected))
    with open(sys.argv[2], "wb") as f:
        f.write(b"".join(layers))


main()
