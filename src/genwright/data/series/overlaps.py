"""Which windows overlap, by what they hold: where each was cut is not kept."""

from __future__ import annotations

import numpy as np

from genwright.data.field import Array, Blocks

__all__ = ["blocks_of"]

PARTS = 20
"""Blocks of one series, at least."""
FINE = 1e-3
"""Of a channel's deviation: what differs by less is the same, as what was stored in float32 is."""


def blocks_of(windows: Array) -> Blocks | None:
    """Windows `(n, T, C)`, NaN where nothing is known, in blocks that follow each other in time; None: none overlap.

    Two overlap where half of a window is the same. Blocks of one series touch at their ends.
    """
    n, length, _ = windows.shape
    half = max(2, length // 2)
    if n < 2 or half > length:
        return None
    series, place = _places(*_runs(windows, half))
    block, used = np.zeros(n, dtype=np.int64), 0.0
    number, count, end = -1, 0, (-1, -length)
    for i in np.lexsort([place, series]).tolist():
        now = int(series[i]), int(place[i])
        behind = now[1] - end[1] if now[0] == end[0] else length
        if behind >= length or count * PARTS >= n:
            number, count = number + 1, 0
        block[i], count, end = number, count + 1, now
        used += min(behind, length) / length
    return Blocks(block, used / n) if used < n else None


def _runs(windows: Array, half: int) -> tuple[Array, Array]:
    """A number for what the steps from each one on hold `(n, T - half + 1)`, by content, and whether that changes."""
    there = np.isfinite(windows)
    fine = FINE * np.maximum(np.where(there, windows, 0.0).std((0, 1)), 1e-300)
    held = np.rint(np.where(there, windows, np.nan) / fine)
    held = np.nan_to_num(held, nan=-(2.0**61)).clip(-(2.0**61), 2.0**61).astype(np.int64)
    rng = np.random.default_rng(0)
    weights = 2 * rng.integers(2**61, size=windows.shape[2] + half) + 1
    runs, moves = 0, False
    with np.errstate(over="ignore"):  # sums of products by random odd numbers, modulo 2^64
        steps = (held * weights[half:]).sum(2)
        ends = steps.shape[1] - half + 1
        for i in range(half):
            own = steps[:, i : i + ends]
            runs, moves = runs + own * weights[i], moves | (own != steps[:, :ends])
    return np.asarray(runs), np.asarray(moves)


def _places(runs: Array, moves: Array) -> tuple[Array, Array]:
    """The series of each window, numbered by content, and its place there, from equal runs `(n, m)`: weighted
    union-find. What stands still is equal wherever it does, and says nothing."""
    n = len(runs)
    parent, ahead = list(range(n)), [0] * n

    def root(i: int) -> tuple[int, int]:
        steps = 0
        while parent[i] != i:
            steps, i = steps + ahead[i], parent[i]
        return i, steps

    first: dict[int, tuple[int, int]] = {}
    for i, at in np.argwhere(moves).tolist():
        other, there = first.setdefault(int(runs[i, at]), (i, at))
        (a, above), (b, below) = root(i), root(other)
        if a != b:  # place of i + at = place of other + there
            parent[a], ahead[a] = b, below + there - at - above
    found = [root(i) for i in range(n)]
    least = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(least, [i for i, _ in found], runs.min(1))
    return np.array([least[i] for i, _ in found]), np.array([steps for _, steps in found])
