#!/usr/bin/python3
"""The committed network: its file is whole, and plain numpy gives what torch gave."""

import hashlib
import json
import os
import struct
import sys
import unittest

try:
    import numpy as np
except ImportError:
    print("skipped: python3-numpy is not there")
    sys.exit(77)

ROOT = os.environ.get("ES_TEST_SOURCE") or os.path.join(os.path.dirname(__file__), "..")
MODEL = os.path.join(ROOT, "models/bone.esnn")
REFERENCE = os.path.join(ROOT, "tests/data/bone_net_reference.bin")


def read_model():
    with open(MODEL, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<I", data[8:12])
    return data[:8], json.loads(data[12 : 12 + length]), data[12 + length :]


def conv(x, weight, bias):
    """Zero padded cross-correlation, (in, h, w) -> (out, h, w)."""
    side = weight.shape[2]
    _, h, w = x.shape
    padded = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
    out = np.zeros((len(weight), h, w)) + bias[:, None, None]
    for y in range(side):
        for z in range(side):
            out += np.tensordot(weight[:, :, y, z], padded[:, y : y + h, z : z + w], 1)
    return out


class Numpy:
    """The U-Net in the order of the file."""

    def __init__(self, widths, weights):
        self.widths, self.weights, self.at = widths, weights, 0

    def layer(self, x, out, side=3):
        count = out * len(x) * side * side
        weight = self.weights[self.at : self.at + count].reshape(out, len(x), side, side)
        bias = self.weights[self.at + count : self.at + count + out]
        self.at += count + out
        return conv(x, weight.astype(float), bias.astype(float))

    def pair(self, x, out):
        for _ in range(2):
            x = np.maximum(self.layer(x, out), 0)
        return x

    def run(self, x):
        skips = []
        for level, width in enumerate(self.widths):
            if level:
                c, h, w = x.shape
                x = x.reshape(c, h // 2, 2, w // 2, 2).max((2, 4))
            x = self.pair(x, width)
            skips.append(x)
        for level in range(len(self.widths) - 2, -1, -1):
            x = x.repeat(2, 1).repeat(2, 2)
            x = self.pair(np.concatenate([skips[level], x]), self.widths[level])
        return self.layer(x, 2, 1)


class Model(unittest.TestCase):
    def test_the_file_is_whole_and_says_what_it_is(self):
        magic, header, weights = read_model()
        self.assertEqual(magic, b"ESNN1\0\0\0")
        self.assertEqual(hashlib.sha256(weights).hexdigest(), header["sha256"])
        self.assertLess(os.path.getsize(MODEL), 2 << 20)
        self.assertTrue(np.isfinite(np.frombuffer(weights, "<f4")).all())
        for key in ("widths", "spacing_mm", "temperature", "threshold", "grey", "trained"):
            self.assertIn(key, header)

    def test_the_card_names_these_weights(self):
        with open(os.path.join(ROOT, "models/bone.card.md"), encoding="utf-8") as file:
            self.assertIn(read_model()[1]["sha256"], file.read())

    def test_the_reliability_rises(self):
        curve = read_model()[1]["reliability"]
        self.assertGreater(len(curve), 1)
        for (x0, y0), (x1, y1) in zip(curve, curve[1:]):
            self.assertLess(x0, x1)
            self.assertLessEqual(y0, y1)
            self.assertTrue(0 <= y0 and y1 <= 1)

    def test_plain_numpy_gives_what_torch_gave(self):
        _, header, weights = read_model()
        with open(REFERENCE, "rb") as file:
            data = file.read()
        h, w = struct.unpack("<II", data[:8])
        planes = np.frombuffer(data[8:], "<f4").reshape(4, h, w)
        net = Numpy(header["widths"], np.frombuffer(weights, "<f4"))
        found = net.run(planes[:2].astype(float))
        self.assertEqual(net.at, len(net.weights))
        # Single precision over 15 layers; logits are some units large.
        self.assertLess(np.abs(found - planes[2:]).max(), 1e-4)
        self.assertGreater(planes[2:].std(), 0.1)


if __name__ == "__main__":
    unittest.main()
