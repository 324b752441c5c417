#!/usr/bin/python3
"""From a checkpoint of train.py to what the program reads.

export.py CHECKPOINT --frames FOLDER -o models/bone.esnn [--onnx FILE] [--reference FILE]

FOLDER: frames of make_lessons of another seed, on which the threshold is
chosen and the confidence calibrated. --reference: one seeded input and the
network's output as raw little-endian floats, to hold other implementations
to: two uint32 (height, width), the input (2 x h x w), the output (2 x h x w).
"""

import argparse
import struct

import numpy as np
import torch

import judge
import lessons
import net as network


def load(path):
    kept = torch.load(path)
    net = network.Net(kept["widths"], kept["stem"])
    net.load_state_dict(kept["state"])
    return net.eval(), kept


def calibrate(net, folder, frames):
    """Temperature; the threshold that finds most bone at 1 % of false columns in
    bone-free frames; the reliability curve at these two."""
    data = lessons.Lessons(folder)
    logits = judge.logits_of(net, data, frames)
    _, points = judge.judge_simulated(logits, data, {"temperature": 0.4, "threshold": 0.5})
    about = {"temperature": round(0.4 * judge.temperature_of(points), 3)}
    best = None
    for threshold in (0.2, 0.3, 0.5, 0.7, 0.8, 0.9):
        trial = {**about, "threshold": threshold}
        result, points = judge.judge_simulated(logits, data, trial)
        print(f"{trial}: {result}", flush=True)
        good = result["recall_percent"] - 5 * max(result["false_on_bone_free_percent"] - 1, 0)
        if best is None or good > best[0]:
            best = good, {**trial, "reliability": judge.calibrate(points)}
    return best[1]


def write_reference(path, net, height=72, width=56, seed=7):
    random = np.random.default_rng(seed)
    grey = torch.from_numpy(random.random((1, height, width), np.float32))
    inputs = network.with_rows(grey)
    with torch.no_grad():
        output = net(inputs)
    with open(path, "wb") as file:
        file.write(struct.pack("<II", height, width))
        for part in (inputs, output):
            file.write(part.numpy().astype("<f4").tobytes())


def write_onnx(path, net):
    axes = {0: "n", 2: "height", 3: "width"}
    torch.onnx.export(net, network.with_rows(torch.zeros(1, 64, 64)), path, opset_version=11,
                      input_names=["frame"], output_names=["logits"],
                      dynamic_axes={"frame": axes, "logits": axes})


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--frames", required=True)
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--count", type=int, default=100, help="of the frames")
    parser.add_argument("--onnx")
    parser.add_argument("--reference")
    options = parser.parse_args()
    torch.set_num_threads(1)
    net, kept = load(options.checkpoint)
    calibration = calibrate(net, options.frames, options.count)
    network.write(options.output, net, {
        "name": "bone",
        "spacing_mm": 0.4,
        "grey": "raw/255",
        **calibration,
        "trained": "train.py " + kept["command"],
    })
    plain, _ = network.read(options.output)  # batch norms folded, as the program runs it
    if options.onnx:
        write_onnx(options.onnx, plain)
    if options.reference:
        write_reference(options.reference, plain)


if __name__ == "__main__":
    main()
