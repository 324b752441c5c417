"""Bone from a map of logits: the best path through the columns.

In each column the path is at a row or says "no bone"; a step over k rows costs
k^1.5, a jump and a change to or from "no bone" cost a constant. (Viterbi;
the program's own is src/bone/path.c, this one is for judging while training.)
"""

import numpy as np

STEP, REACH, JUMP, ENTER = 0.025, 6, 2.7, 1.3


def best_paths(odds, theta):
    """Log-odds (n, rows, columns) -> row of the bone per column (n, columns), NaN for none."""
    n, rows, columns = odds.shape
    score = np.clip(odds - theta, -6, 6) / 6
    value, none = score[:, :, 0].copy(), np.zeros(n)
    back = np.full((columns, n, rows), -1, np.int32)  # row before; -1: none
    back_none = np.full((columns, n), -1, np.int32)  # -1: none before too, else the row
    each, index = np.arange(n), np.arange(rows)
    for x in range(1, columns):
        top = value.argmax(1)
        highest = value[each, top]
        jumped = highest - JUMP > none - ENTER
        best = np.repeat(np.where(jumped, highest - JUMP, none - ENTER)[:, None], rows, 1)
        source = np.repeat(np.where(jumped, top, -1)[:, None], rows, 1)
        for k in range(-REACH, REACH + 1):
            lo, hi = max(0, -k), min(rows, rows - k)
            moved = value[:, lo + k : hi + k] - STEP * abs(k) ** 1.5
            better = moved > best[:, lo:hi]
            best[:, lo:hi] = np.where(better, moved, best[:, lo:hi])
            source[:, lo:hi] = np.where(better, index[lo:hi] + k, source[:, lo:hi])
        back_none[x] = np.where(none >= highest - ENTER, -1, top)
        none = np.maximum(none, highest - ENTER)
        value, back[x] = score[:, :, x] + best, source
    return walk_back(value, none, back, back_none)


def walk_back(value, none, back, back_none):
    columns, n = back_none.shape
    path, each = np.full((n, columns), np.nan), np.arange(n)
    at = np.where(value.max(1) > none, value.argmax(1), -1)
    for x in range(columns - 1, -1, -1):
        path[at >= 0, x] = at[at >= 0]
        at = np.where(at >= 0, back[x][each, np.maximum(at, 0)], back_none[x])
    return path


def refine(logit, path):
    """The centre of the probability within two rows of the path."""
    p = 1 / (1 + np.exp(-logit))
    fine = path.copy()
    for x in np.flatnonzero(np.isfinite(path)):
        r = int(path[x])
        lo, hi = max(0, r - 2), min(len(p), r + 3)
        weight = p[lo:hi, x]
        fine[x] = (weight * np.arange(lo, hi)).sum() / weight.sum()
    return fine


def trace(odds, theta):
    """(n, rows, columns) -> rows of the bone with fractions, and as the path found them."""
    paths = best_paths(odds, theta)
    return np.stack([refine(o, p) for o, p in zip(odds, paths)]), paths
