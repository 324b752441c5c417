"""Training frames of make_lessons, and batches of them."""

import os

import numpy as np
import torch

from net import with_rows

ROWS, LINES = 160, 112
BAND_ROWS = 1.15  # half width of the band about the bone that counts as bone


class Lessons:
    def __init__(self, folder, rows=ROWS, lines=LINES):
        grey = np.fromfile(os.path.join(folder, "grey.u8"), np.uint8)
        self.grey = grey.reshape(-1, rows, lines)
        truth = np.fromfile(os.path.join(folder, "truth.f32"), np.float32).reshape(-1, lines, 2)
        self.row, self.visible = truth[:, :, 0], truth[:, :, 1] > 0.5
        self.cosine = cosines(self.row)

    def __len__(self):
        return len(self.grey)


def cosines(row):
    """Of the bone's slope; where one neighbour is missing or far, from the other."""
    step = np.diff(row, axis=1)
    step[~(np.abs(step) < 4)] = np.nan
    sides = np.stack([np.pad(step, ((0, 0), (1, 0)), constant_values=np.nan),
                      np.pad(step, ((0, 0), (0, 1)), constant_values=np.nan)])
    known = np.isfinite(sides)
    slope = np.where(known, sides, 0).sum(0) / np.maximum(known.sum(0), 1)
    return (1 / np.sqrt(1 + slope**2)).astype(np.float32)


def batch(lessons, random, size, rows, lines):
    """(input, row, cosine, visible) of random crops, mirrored and changed in tone."""
    greys, curves = [], []
    for f in random.integers(0, len(lessons), size):
        start = random.integers(0, lessons.grey.shape[2] - lines + 1)
        roll = int(random.integers(-16, 17)) if random.random() < 0.3 else 0
        part = lessons.grey[f, max(roll, 0) : max(roll, 0) + rows + min(roll, 0),
                            start : start + lines]
        grey = np.zeros((rows, lines), np.float32)
        grey[max(-roll, 0) : max(-roll, 0) + len(part)] = part / np.float32(255)
        curve = np.stack([lessons.row[f] - roll, lessons.cosine[f],
                          lessons.visible[f]])[:, start : start + lines]
        if random.random() < 0.5:
            grey, curve = grey[:, ::-1], curve[:, ::-1]
        greys.append(change_tone(grey, random))
        curves.append(curve)
    curves = torch.from_numpy(np.stack(curves))
    return with_rows(torch.from_numpy(np.stack(greys))), curves[:, 0], curves[:, 1], curves[:, 2] > 0.5


def change_tone(grey, random):
    black = grey == 0
    grey = grey ** np.float32(np.exp(random.uniform(-0.5, 0.5)))
    grey = grey * np.float32(random.uniform(0.6, 1.3)) + np.float32(random.uniform(-0.03, 0.03))
    if random.random() < 0.4:
        noise = random.standard_normal(grey.shape, np.float32)
        grey = grey + np.float32(random.uniform(0, 0.05)) * noise
    if random.random() < 0.7:  # most scanners keep black what lies outside
        grey = np.where(black, 0, grey)
    return np.clip(grey, 0, 1).astype(np.float32)


def targets(row, cosine, visible, rows):
    """Band of bone, weight of each sample of it, shadow: (n, rows, lines) each."""
    r = torch.arange(rows, dtype=torch.float32)[None, :, None]
    there = torch.isfinite(row)[:, None]
    off = (r - torch.nan_to_num(row, nan=-1e4)[:, None]) * cosine[:, None]
    band = torch.exp(-0.5 * (off / BAND_ROWS) ** 2) * (there & visible[:, None])
    unsure = (there & ~visible[:, None]).expand_as(band)
    weight = (1 + 9 * band) * ~unsure
    return band, weight, (there & (off > 0)).float()
