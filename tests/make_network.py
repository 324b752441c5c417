#!/usr/bin/python3
"""make_network.py FOLDER: a random bone network as FOLDER/net.esnn and, by
torch's exporter, as FOLDER/net.onnx with net.json; and models that must be
refused. Exits with 77 where torch or onnx is not installed."""
import json
import os
import struct
import sys

try:
    import onnx  # noqa: F401 (torch's exporter asks for it)
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as e:
    print(e)
    sys.exit(77)

FOLDER = sys.argv[1]
WIDTHS = [4, 8, 16, 32]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        down = zip([2] + WIDTHS, WIDTHS)
        up = [(a + b, a) for a, b in zip(WIDTHS, WIDTHS[1:])][::-1]
        pairs = [(i, o, o) for i, o in list(down) + up]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1)
                                   for i, m, o in pairs for a, b in ((i, m), (m, o)))
        self.head = nn.Conv2d(WIDTHS[0], 2, 1)

    def forward(self, x):
        convs, skips = iter(self.convs), []
        for level in range(len(WIDTHS)):
            x = F.max_pool2d(x, 2) if level else x
            x = F.relu(next(convs)(x))
            x = F.relu(next(convs)(x))
            skips.append(x)
        for skip in skips[-2::-1]:
            x = torch.cat([skip, F.interpolate(x, scale_factor=2, mode="nearest")], 1)
            x = F.relu(next(convs)(x))
            x = F.relu(next(convs)(x))
        return self.head(x)


def export(model, name, settings, height=48, width=40, free=True, channels=2):
    axes = {"in": {2: "h", 3: "w"}, "out": {2: "h", 3: "w"}} if free else None
    torch.onnx.export(model, torch.zeros(1, channels, height, width), f"{FOLDER}/{name}.onnx",
                      input_names=["in"], output_names=["out"], dynamic_axes=axes,
                      opset_version=11)
    with open(f"{FOLDER}/{name}.json", "w") as file:
        json.dump(settings, file)


class Halved(Net):
    def forward(self, x):
        return F.max_pool2d(super().forward(x), 2)


class Sigmoid(Net):
    def forward(self, x):
        return torch.sigmoid(super().forward(x))


class Flat(Net):
    def forward(self, x):
        return super().forward(x)[0]


os.makedirs(FOLDER, exist_ok=True)
torch.manual_seed(4)
net = Net().eval()
for p in net.parameters():
    if p.dim() > 1:
        nn.init.kaiming_normal_(p)
settings = {"spacing_mm": 0.4, "channels": ["grey", "depth"], "mean": 0, "std": 1,
            "output": "logit", "output_channel": 0, "multiple_of": 8, "name": "random"}
header = json.dumps({"architecture": "unet", "widths": WIDTHS, "inputs": 2, "outputs": 2,
                     "stem": 0, "spacing_mm": 0.4, "temperature": 1.0, "name": "random"}).encode()
with open(f"{FOLDER}/net.esnn", "wb") as file:
    file.write(b"ESNN1\0\0\0" + struct.pack("<I", len(header)) + header)
    for conv in list(net.convs) + [net.head]:
        file.write(conv.weight.detach().numpy().tobytes() + conv.bias.detach().numpy().tobytes())


def like(kind):
    other = kind().eval()
    other.load_state_dict(net.state_dict())
    return other


export(net, "net", settings)
export(net, "fixed", settings, free=False)
export(like(Sigmoid), "sigmoid", {**settings, "output": "probability"})
export(like(Halved), "halved", settings)
export(like(Flat), "flat", settings)
export(nn.Conv2d(3, 2, 1), "three", settings, channels=3)
for name, change in (("far", {"output_channel": 2}), ("typo", {"spacing": 0.4}),
                     ("spacing", {"spacing_mm": -1}), ("channels", {"channels": ["red"]}),
                     ("std", {"std": 0}), ("kind", {"output": "mask"}),
                     ("size", {"width": 56})):
    export(net, name, {**settings, **change}, free=name != "size")
for name, data in (("cut", open(f"{FOLDER}/net.onnx", "rb").read()[:5000]), ("text", b"hello"),
                   ("alone", open(f"{FOLDER}/net.onnx", "rb").read())):
    open(f"{FOLDER}/{name}.onnx", "wb").write(data)
    if name != "alone":
        json.dump(settings, open(f"{FOLDER}/{name}.json", "w"))
