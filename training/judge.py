#!/usr/bin/python3
"""What a bone network (.esnn) is worth, on simulated and on real frames.

judge.py NET --simulated FOLDER   frames of make_lessons (use --unlike, another seed)
judge.py NET --labels FOLDER      recordings (the folder of *.igs.mha files), hand labels of
                                  tests/labels; a development set, see its README
Both may be given. The tracing is trace.py's with the header's threshold.
"""

import argparse
import json
import os
import zlib

import numpy as np
import torch

import lessons
import net as network
import trace as tracing

LABELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/labels")
STEP_MM = 0.4


# ---- simulated ---------------------------------------------------------------


def find(net, about, grey):
    """Row of the bone in each column of one frame; `about`: temperature and threshold."""
    odds = network.logits(net, grey)[:1] / np.float32(about["temperature"])
    return tracing.trace(odds, log_odds(about["threshold"]))[0][0]


def log_odds(p):
    return float(np.log(p / (1 - p)))


def logits_of(net, data, most):
    """Bone logits (n, rows, columns) of the first `most` frames."""
    return np.stack([network.logits(net, grey / np.float32(255))[0] for grey in data.grey[:most]])


def judge_simulated(logits, data, about):
    """Figures against the truth; (log-odds, right) of each found column."""
    n = len(logits)
    odds = logits / np.float32(about["temperature"])
    fine, paths = tracing.trace(odds, log_odds(about["threshold"]))
    here, there = np.isfinite(fine), np.isfinite(data.row[:n])
    off = np.abs(fine - data.row[:n]) * data.cosine[:n] * STEP_MM
    sure = there & data.visible[:n]
    empty = ~there.any(1)
    kept = here & (sure | ~there)
    frame, column = np.nonzero(kept)
    right = sure[kept] & (off[kept] <= 1)
    if not (here & sure).any():
        raise SystemExit(f"no bone found in {n} frames with {about}: was the network trained?")
    points = np.stack([odds[frame, paths[kept].astype(int), column], right], 1)
    return {
        "frames": n,
        "median_mm": float(np.median(off[here & sure])),
        "p95_mm": float(np.quantile(off[here & sure], 0.95)),
        "recall_percent": float(100 * (off[here & sure] <= 1).sum() / sure.sum()),
        "false_on_bone_free_percent": float(100 * here[empty].mean()) if empty.any() else 0.0,
    }, points


def calibrate(points, most_bins=8):
    """Isotonic curve (pool adjacent violators) from log-odds to the share that is right."""
    points = points[np.argsort(points[:, 0], kind="stable")]
    groups = [[p[:, 0].mean(), p[:, 1].mean(), len(p)] for p in np.array_split(points, most_bins)]
    k = 0
    while k + 1 < len(groups):
        (x0, y0, n0), (x1, y1, n1) = groups[k], groups[k + 1]
        if y0 <= y1 and x1 - x0 > 0.01:
            k += 1
            continue
        n = n0 + n1
        groups[k : k + 2] = [[(x0 * n0 + x1 * n1) / n, (y0 * n0 + y1 * n1) / n, n]]
        k = max(k - 1, 0)
    return [[round(float(x), 3), round(float(y), 4)] for x, y, _ in groups]


def temperature_of(points):
    """The one number that makes sigmoid(log-odds / t) most likely."""
    candidates = np.geomspace(0.05, 5, 150)
    right = points[:, 1].astype(bool)

    def cost(t):
        z = np.where(right, points[:, 0], -points[:, 0]) / t
        return np.logaddexp(0, -z).mean()

    return float(candidates[np.argmin([cost(t) for t in candidates])])


# ---- real --------------------------------------------------------------------


def read_mha(path):
    with open(path, "rb") as file:
        data = file.read()
    begin = data.index(b"\n", data.index(b"ElementDataFile")) + 1
    head = dict(line.split(" = ", 1) for line in data[:begin].decode("latin1").splitlines()
                if " = " in line)
    size = [int(n) for n in head["DimSize"].split()][::-1]
    body = data[begin:]
    if head.get("CompressedData", "False") == "True":
        body = zlib.decompress(body)
    return np.frombuffer(body, np.uint8)[: int(np.prod(size))].reshape(size)


def lit(frame):
    """u0, v0, u1, v1 without black columns and without black rows at the top."""
    bright = frame > 0.02 * frame.max()
    columns, rows = np.flatnonzero(bright.any(0)), np.flatnonzero(bright.any(1))
    return columns[0], rows[0], columns[-1] + 1, frame.shape[0]


def means(count, low, high, parts):
    """Matrix (parts, count) of means over equal parts of [low, high)."""
    edges = np.linspace(low, high, parts + 1)
    at = np.arange(count)
    share = np.clip(np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at), 0, 1)
    return (share / share.sum(1, keepdims=True)).astype(np.float32)


def to_beams(frame, mm):
    """Grey 0..1 at STEP_MM; and functions from its columns and rows to pixels."""
    u0, v0, u1, v1 = lit(frame)
    lines = int(round((u1 - u0) * mm[0] / STEP_MM))
    rows = int(round((v1 - v0) * mm[1] / STEP_MM))
    grey = means(frame.shape[0], v0, v1, rows) @ (frame / np.float32(255))
    grey = grey @ means(frame.shape[1], u0, u1, lines).T
    return (grey, lambda x: u0 - 0.5 + (x + 0.5) * (u1 - u0) / lines,
            lambda r: v0 - 0.5 + (r + 0.5) * (v1 - v0) / rows)


def distance(line, u, v):
    """Pixels from a point to a polyline."""
    a, b = line[:-1], line[1:]
    way = b - a
    t = np.clip((([u, v] - a) * way).sum(1) / (way**2).sum(1), 0, 1)
    return np.hypot(*(a + t[:, None] * way - [u, v]).T).min()


def judge_labels(net, about, folder, name, recording, mm):
    with open(os.path.join(LABELS, name), encoding="utf-8") as file:
        labels = json.load(file)["frames"]
    frames = read_mha(os.path.join(folder, recording))
    off, covered, hit, near, traced, wrong = [], 0, 0, 0, 0, 0
    for label in labels:
        line = np.array(label["surface"][0])
        grey, to_u, to_v = to_beams(frames[label["index"]], (mm, mm))
        fine = find(net, about, grey)
        for x, row in enumerate(fine):
            u, v = to_u(x), to_v(row)
            inside = line[0, 0] <= u <= line[-1, 0]
            covered += inside
            if not np.isfinite(row):
                continue
            d = distance(line, u, v) * mm
            end = line[0, 1] if u < line[0, 0] else line[-1, 1]
            if not inside and (v - end) * mm > -1.5:
                continue
            traced += 1
            wrong += d > 1.5
            if inside:
                off.append(d)
                hit += d <= 1
                near += d <= 1.5
    recall, precision = near / covered, (traced - wrong) / max(traced, 1)
    off = np.array(off if off else [np.nan])
    return {"mean_mm": float(off.mean()), "p95_mm": float(np.quantile(off, 0.95)),
            "recall_percent": float(100 * hit / covered),
            "f_at_1.5_mm": float(2 * recall * precision / max(recall + precision, 1e-9))}


def judge_empty(net, about, folder, recording, mm, step):
    claimed, columns = 0, 0
    for frame in read_mha(os.path.join(folder, recording))[::step]:
        grey, _, _ = to_beams(frame, mm)
        fine = find(net, about, grey)
        claimed += np.isfinite(fine).sum()
        columns += len(fine)
    return {"columns_claimed_percent": float(100 * claimed / columns)}


def judge_real(net, about, folder):
    return {
        "labels of bone": judge_labels(net, about, folder, "bone_l14.json",
                                       "BoneUltrasound_L14.igs.mha", 0.0854),
        "labels of spine phantom": judge_labels(net, about, folder, "spine_phantom.json",
                                                "SpinePhantomFreehand.igs.mha", 0.0854),
        "wires in water": judge_empty(net, about, folder,
                                      "fCal_Test_Calibration_3NWires.igs.mha", (0.0777, 0.0735), 6),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net")
    parser.add_argument("--simulated")
    parser.add_argument("--labels")
    parser.add_argument("--frames", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    net, header = network.read(options.net)
    result = {}
    if options.simulated:
        data = lessons.Lessons(options.simulated)
        logits = logits_of(net, data, options.frames)
        result["simulated"], points = judge_simulated(logits, data, header)
        result["reliability"] = calibrate(points)
    if options.labels:
        result.update(judge_real(net, header, options.labels))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
