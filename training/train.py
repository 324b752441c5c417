#!/usr/bin/python3
"""Trains the bone network on simulated frames (make_lessons). `./do train` runs it.

Same seed, same machine, one thread: same weights. The log says each hundred
steps what the loss is; judge.py and export.py come after.
"""

import argparse
import sys
import time

import numpy as np
import torch
from torch.nn import functional

import lessons
import net as network


def loss_of(output, row, cosine, visible):
    band, weight, shadow = lessons.targets(row, cosine, visible, output.shape[2])
    surface = output[:, 0]
    cross = functional.binary_cross_entropy_with_logits(surface, band, weight=weight)
    known = (weight > 0).float()
    p = torch.sigmoid(surface) * known
    overlap = (p * band).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / ((p**2).sum((1, 2)) + (band**2).sum((1, 2)) + 1)
    dark = functional.binary_cross_entropy_with_logits(output[:, 1], shadow)
    return cross + 0.5 * dice.mean() + 0.3 * dark


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frames", help="folder that make_lessons wrote")
    parser.add_argument("-o", "--output", required=True, help="checkpoint, for export.py")
    parser.add_argument("--widths", default="4,8,16,32")
    parser.add_argument("--stem", action="store_true", help="half resolution body")
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", help="what is printed, also into this file")
    return parser.parse_args()


def say(options, text):
    print(text, flush=True)
    if options.log:
        with open(options.log, "a", encoding="utf-8") as file:
            print(text, file=file)


def train(net, data, options):
    random = np.random.default_rng(options.seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.rate, total_steps=options.steps, pct_start=0.05)
    start, total = time.time(), 0.0
    for step in range(1, options.steps + 1):
        rows = int(random.choice([96, 128, 160]))
        inputs, row, cosine, visible = lessons.batch(data, random, options.batch, rows, 96)
        loss = loss_of(net(inputs), row, cosine, visible)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % 100 == 0:
            say(options, f"step {step} of {options.steps}, loss {total / 100:.4f}, "
                         f"{time.time() - start:.0f} s")
            total = 0.0


def main():
    options = arguments()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True)
    net = network.Net([int(w) for w in options.widths.split(",")], options.stem)
    data = lessons.Lessons(options.frames)
    count = len(network.flat_weights(net))
    say(options, f"{len(data)} frames, {count} weights, {' '.join(sys.argv[1:])}")
    train(net, data, options)
    torch.save({"state": net.state_dict(), "widths": net.widths, "stem": net.has_stem,
                "command": " ".join(sys.argv[1:]), "frames": len(data)}, options.output)


if __name__ == "__main__":
    main()
