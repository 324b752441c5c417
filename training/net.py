"""The bone network: a U-Net of plain 3x3 convolutions, and its file.

Input: 2 channels (grey in beam space, row / height), both sides multiples of
8 (of 16 with the stem). Output: 2 channels of logits (bone surface, shadow).
README.md says what is in a .esnn file.
"""

import hashlib
import json
import struct

import numpy as np
import torch
from torch import nn
from torch.nn import functional

MAGIC = b"ESNN1\0\0\0"


class Pair(nn.Module):
    """Two 3x3 convolutions, each with batch norm and ReLU."""

    def __init__(self, inside, out):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(n, out, 3, padding=1, bias=False) for n in (inside, out)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(out) for _ in range(2))

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms):
            x = functional.relu(norm(conv(x)))
        return x


class Net(nn.Module):
    """stem: a 3x3 convolution of stride 2 first, bilinear x2 of the logits last."""

    def __init__(self, widths=(4, 8, 16, 32), stem=False):
        super().__init__()
        self.widths, self.has_stem = tuple(widths), stem
        first = 2
        if stem:
            self.stem = nn.Conv2d(2, widths[0], 3, stride=2, padding=1, bias=False)
            self.stem_norm = nn.BatchNorm2d(widths[0])
            first = widths[0]
        self.down = nn.ModuleList(
            Pair(a, b) for a, b in zip((first,) + self.widths[:-1], self.widths)
        )
        self.up = nn.ModuleList(
            Pair(a + b, a) for a, b in reversed(list(zip(self.widths[:-1], self.widths[1:])))
        )
        self.head = nn.Conv2d(widths[0], 2, 1)
        # "Nothing here" is the state without features, so that evidence for
        # bone can grow without bound; it would saturate the other way round.
        nn.init.constant_(self.head.bias, -2.5)

    def forward(self, x):
        if self.has_stem:
            x = functional.relu(self.stem_norm(self.stem(x)))
        skips = []
        for level, pair in enumerate(self.down):
            x = pair(x if level == 0 else functional.max_pool2d(x, 2))
            skips.append(x)
        for level, pair in enumerate(self.up):
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = pair(torch.cat([skips[-2 - level], x], 1))
        x = self.head(x)
        if self.has_stem:
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return x


def folded(conv, norm):
    """Weights and bias of a convolution with its batch norm in them."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale


def layers(net):
    """(weight, bias) of each convolution in the order of execution."""
    if net.has_stem:
        yield folded(net.stem, net.stem_norm)
    for pair in list(net.down) + list(net.up):
        yield from (folded(c, n) for c, n in zip(pair.convs, pair.norms))
    yield net.head.weight, net.head.bias


def flat_weights(net):
    with torch.no_grad():
        parts = [p.double().numpy().ravel() for layer in layers(net) for p in layer]
    return np.concatenate(parts).astype("<f4")


def write(path, net, header):
    weights = flat_weights(net).tobytes()
    header = {
        "architecture": "unet",
        "widths": list(net.widths),
        "inputs": 2,
        "outputs": 2,
        "stem": int(net.has_stem),
        **header,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(MAGIC + struct.pack("<I", len(text)) + text + weights)


def read_header(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] != MAGIC:
        raise SystemExit(f"{path}: not a network: expected it to begin with ESNN1")
    (length,) = struct.unpack("<I", data[8:12])
    header = json.loads(data[12 : 12 + length])
    weights = np.frombuffer(data[12 + length :], "<f4")
    found = hashlib.sha256(weights.tobytes()).hexdigest()
    if found != header["sha256"]:
        raise SystemExit(f"{path}: the weights have sha256 {found}, the header says {header['sha256']}")
    return header, weights


def read(path):
    """The network of a file, its header; batch norms are put to identity."""
    header, weights = read_header(path)
    net = Net(header["widths"], bool(header["stem"])).eval()
    at = 0

    def take(shape):
        nonlocal at
        count = int(np.prod(shape))
        part = torch.from_numpy(weights[at : at + count].reshape(shape).copy())
        at += count
        return part

    convs = [(net.stem, net.stem_norm)] if net.has_stem else []
    for pair in list(net.down) + list(net.up):
        convs += list(zip(pair.convs, pair.norms))
    with torch.no_grad():
        for conv, norm in convs:
            norm.eps = 0.0
            conv.weight.copy_(take(conv.weight.shape))
            norm.bias.copy_(take(norm.bias.shape))
        net.head.weight.copy_(take(net.head.weight.shape))
        net.head.bias.copy_(take(net.head.bias.shape))
    if at != len(weights):
        raise SystemExit(f"{path}: {len(weights)} weights, expected {at}")
    return net, header


def with_rows(grey):
    """Grey (n, h, w) in 0..1 -> (n, 2, h, w): the second channel is row / height."""
    height = grey.shape[1]
    rows = (torch.arange(height, dtype=torch.float32) + 0.5) / height
    return torch.stack([grey, rows[None, :, None].expand_as(grey)], 1)


def logits(net, grey):
    """numpy (h, w) in 0..1 -> (2, h, w), padded with zeros to multiples of 8 or 16."""
    h, w = grey.shape
    step = 16 if net.has_stem else 8
    padded = np.zeros((-(-h // step) * step, -(-w // step) * step), np.float32)
    padded[:h, :w] = grey
    with torch.no_grad():
        return net(with_rows(torch.from_numpy(padded)[None]))[0].numpy()[:, :h, :w]
