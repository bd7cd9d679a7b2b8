#!/usr/bin/env python3
# shapes_layers.py - trains a small CNN on drawn shapes and records its convolutions for accel compare.
# SPDX-License-Identifier: Apache-2.0
"""Usage: tools/shapes_layers.py OUT        (needs numpy; about two minutes)

The network tells eight shapes apart (disc, ring, square, frame, stripes in three directions, cross) in pictures of 16 x 16 noisy
pixels, drawn here. Five 3x3 convolutions with ReLU follow a first one. Of each of the five OUT gets int8 weights with a scale for
each output channel, and, as columns, the int8 inputs of 16 output pixels of pictures that it was not trained on. Inputs come out
of a ReLU: 0..127. The format of the file: docs/compare.md. The same seed gives the same training, but for the last bits of
floats, which depend on numpy's build."""
import struct
import sys

import numpy as np

SIZE, CLASSES, COLUMNS, STEPS, BATCH, SEED = 16, 8, 16, 700, 64, 1
# input channels, output channels, stride
LAYERS = [(3, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)]


def draw(rng, n):
    """n pictures (n, SIZE, SIZE, 3) and their classes."""
    label = rng.integers(0, CLASSES, n)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    pictures = np.empty((n, SIZE, SIZE, 3), np.float32)
    for i, c in enumerate(label):
        cy, cx = rng.uniform(5, SIZE - 6, 2)
        r, phase, width = rng.uniform(3.5, 5.5), rng.uniform(0, 5), rng.uniform(1, 2)
        far, box = np.hypot(y - cy, x - cx), np.maximum(abs(y - cy), abs(x - cx))
        cross = (np.minimum(abs(y - cy), abs(x - cx)) < width) & (box < r)
        shape = [far < r, abs(far - r) < width, box < r, abs(box - r) < width, (y + phase) % 5 < 2.5, (x + phase) % 5 < 2.5,
                 (x + y + phase) % 7 < 3.5, cross][c]
        front, back = rng.uniform(0.2, 1, 3), rng.uniform(-1, -0.2, 3)
        pictures[i] = np.where(shape[..., None], front, back) + rng.normal(0, 0.3, (SIZE, SIZE, 3))
    return pictures, label


def patches(x, stride):
    """(n, height, width, 9 * depth) of x padded by one pixel."""
    p = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    v = np.lib.stride_tricks.sliding_window_view(p, (3, 3), (1, 2))[:, ::stride, ::stride]
    return np.ascontiguousarray(v.transpose(0, 1, 2, 4, 5, 3)).reshape(*v.shape[:3], -1)


def spread(g, stride, shape):
    """The transpose of patches: gradients of patches back to their pixels."""
    n, height, width, depth = shape
    out = np.zeros((n, height + 2, width + 2, depth), np.float32)
    g = g.reshape(*g.shape[:3], 3, 3, depth)
    for i in range(3):
        for j in range(3):
            out[:, i:i + height:stride, j:j + width:stride] += g[:, :, :, i, j]
    return out[:, 1:-1, 1:-1]


def forward(params, x):
    """Scores, and of every convolution its input's shape, its patches and its output. Outputs lose their mean over all
    pictures and pixels before the ReLU, so that about half of them pass, as in networks with batch normalization."""
    kept = []
    for (w, b), (_, _, stride) in zip(params, LAYERS):
        p = patches(x, stride)
        z = p @ w
        y = np.maximum(z - z.mean((0, 1, 2)) + b, 0)
        kept.append((x.shape, p, y))
        x = y
    w, b = params[-1]
    return x.mean((1, 2)) @ w + b, kept


def gradients(params, scores, kept, label):
    g = np.exp(scores - scores.max(1, keepdims=True))
    g /= g.sum(1, keepdims=True)
    g[np.arange(len(label)), label] -= 1
    g /= len(label)
    last = kept[-1][2]
    out = [(last.mean((1, 2)).T @ g, g.sum(0))]
    g = np.broadcast_to((g @ params[-1][0].T)[:, None, None] / (last.shape[1] * last.shape[2]), last.shape)
    for (w, _), (_, _, stride), (shape, p, y) in reversed(list(zip(params, LAYERS, kept))):
        g = np.where(y > 0, g, 0)
        gb = g.sum((0, 1, 2))
        g = g - g.mean((0, 1, 2))
        out.append((p.reshape(-1, p.shape[-1]).T @ g.reshape(-1, g.shape[-1]), gb))
        g = spread(g @ w.T, stride, shape)
    return out[::-1]


def train(rng):
    shapes = [(9 * i, o) for i, o, _ in LAYERS] + [(LAYERS[-1][1], CLASSES)]
    params = [(rng.normal(0, (2 / s[0]) ** 0.5, s).astype(np.float32), np.zeros(s[1], np.float32)) for s in shapes]
    speed = [(np.zeros_like(w), np.zeros_like(b)) for w, b in params]
    for step in range(STEPS):
        x, label = draw(rng, BATCH)
        scores, kept = forward(params, x)
        rate = 0.05 * (1 - step / STEPS)
        for i, (gw, gb) in enumerate(gradients(params, scores, kept, label)):
            w, b = params[i]
            speed[i] = (0.9 * speed[i][0] - rate * (gw + 1e-4 * w), 0.9 * speed[i][1] - rate * gb)
            params[i] = (w + speed[i][0], b + speed[i][1])
        if step % 50 == 49:
            print("step %d: %.0f %% of the batch right" % (step + 1, 100 * (scores.argmax(1) == label).mean()), flush=True)
    return params


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    rng = np.random.default_rng(SEED)
    params = train(rng)
    x, label = draw(rng, 512)
    scores, kept = forward(params, x)
    right = (scores.argmax(1) == label).mean()
    print("%.1f %% of 512 new pictures right" % (100 * right))
    if right < 0.9:
        sys.exit("shapes_layers.py: a network that has not learnt is no example")
    with open(sys.argv[1], "wb") as f:
        for n, ((w, _), (_, p, _)) in enumerate(zip(params, kept)):
            if n == 0:                          # its input is a picture
                continue
            scale = abs(w).max(0) / 127
            codes = np.rint(w / scale).astype(np.int8).T
            columns = p.reshape(-1, p.shape[-1])
            some = columns[((np.arange(COLUMNS) + 0.5) * len(columns) / COLUMNS).astype(int)]
            some = np.minimum(np.rint(some * (127 / np.quantile(columns, 0.9999))), 127).astype(np.int8)
            f.write(b"layer conv3x3-%d %d %d %d\n" % (n, *codes.shape, COLUMNS))
            f.write(struct.pack("<%df" % len(scale), *scale) + codes.tobytes() + some.tobytes())
            print("layer %d: %d x %d, %.0f %% of the activations are zero" % (n, *codes.shape, 100 * (some == 0).mean()))


main()
