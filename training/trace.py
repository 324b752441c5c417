"""Bone from a map of logits: the best path through the columns.

In each column the path is at a row or says "no bone"; a step over k rows costs
k^1.5, a jump and a change to or from "no bone" cost a constant. (Viterbi;
the program's own is src/bone/path.c, this one is for judging while training.)
"""

import numpy as np

STEP, REACH, JUMP, ENTER = 0.025, 6, 2.7, 1.3


def best_path(logit, theta):
    """logit (rows, columns) -> row of the bone per column, NaN for none."""
    rows, columns = logit.shape
    score = np.clip(logit - theta, -6, 6) / 6
    value, none = score[:, 0].copy(), 0.0
    back = np.zeros((columns, rows), np.int32)  # row before; -1: none
    back_none = np.zeros(columns, np.int32)  # -1: none before too, else the row
    back[0] = back_none[0] = -1
    index = np.arange(rows)
    for x in range(1, columns):
        best, source = np.full(rows, none - ENTER), np.full(rows, -1)
        top = int(value.argmax())
        better = value[top] - JUMP > best
        best[better], source[better] = value[top] - JUMP, top
        for k in range(-REACH, REACH + 1):
            lo, hi = max(0, -k), min(rows, rows - k)
            moved = value[lo + k : hi + k] - STEP * abs(k) ** 1.5
            better = moved > best[lo:hi]
            best[lo:hi] = np.where(better, moved, best[lo:hi])
            source[lo:hi] = np.where(better, index[lo:hi] + k, source[lo:hi])
        back_none[x] = -1 if none >= value[top] - ENTER else top
        none = max(none, value[top] - ENTER)
        value, back[x] = score[:, x] + best, source
    path = np.full(columns, np.nan)
    at = int(value.argmax()) if value.max() > none else -1
    for x in range(columns - 1, -1, -1):
        if at >= 0:
            path[x] = at
        at = back[x][at] if at >= 0 else back_none[x]
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


def trace(logit, theta):
    path = best_path(logit, theta)
    return refine(logit, path), path
