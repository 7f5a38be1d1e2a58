"""Normal scores: numbers of any distribution to about a standard normal one, and back.

A number's score is its quantile among the training values, as a standard normal has it
(van der Waerden 1952). The map is monotone, bends any heavy tail straight, and never leaves the
range it has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Floats", "NormalScores", "nearest_index", "quantiles"]

Floats = NDArray[np.float64]

KNOTS = 1000
SNAP = 1e-6
"""float32 keeps a score to about this; knots stay further apart: `CROWD`."""
CROWD = 1e-5


@dataclass(frozen=True)
class NormalScores:
    """Piecewise linear between knots: `numbers` and their `scores`, both ascending.

    A number at a knot comes back exactly, also from a float32. Up to `KNOTS` distinct numbers are all
    knots, unless two are so near in the quantile that float32 could not tell them apart.
    """

    numbers: list[float]
    scores: list[float]

    @classmethod
    def fit(cls, numbers: Floats, counts: NDArray[np.int64]) -> NormalScores:
        """From ascending distinct numbers. Over the rows, scores have zero mean and unit variance."""
        normal, shares = NormalDist(), quantiles(counts)
        pick = np.arange(len(numbers))
        if len(numbers) > KNOTS:
            # Even in the quantile where the rows are, and even in the score where the tails are.
            tails = [normal.cdf(z) for z in np.linspace(-5, 5, KNOTS // 5).tolist()]
            wanted = np.concatenate([np.linspace(0, 1, KNOTS - len(tails)), tails])
            pick = np.unique(np.searchsorted(shares, wanted).clip(0, len(numbers) - 1))
        scores = np.array([normal.inv_cdf(share) for share in shares[pick].tolist()])
        of_rows = _between(numbers, numbers[pick], scores)
        mean = float(np.average(of_rows, weights=counts))
        std = float(np.sqrt(np.average((of_rows - mean) ** 2, weights=counts)))
        scores = (scores - mean) / (std or 1.0)
        kept = [0]
        for i in range(1, len(scores)):
            if scores[i] - scores[kept[-1]] >= CROWD:
                kept.append(i)
        kept[-1] = len(scores) - 1 if len(kept) > 1 else 0  # the range stays whole
        return cls(numbers[pick][kept].tolist(), scores[kept].tolist())

    def score(self, numbers: ArrayLike) -> Floats:
        """NumberFormat outside the range are brought to its ends."""
        return _between(numbers, self.numbers, self.scores)

    def number(self, scores: ArrayLike) -> Floats:
        """The way back, for any scores."""
        z = np.nan_to_num(np.asarray(scores, np.float64))
        at = nearest_index(z, self.scores)
        near = np.abs(np.asarray(self.scores)[at] - z) < SNAP
        return np.where(near, np.asarray(self.numbers)[at], _between(z, self.scores, self.numbers))


def quantiles(counts: NDArray[np.int64]) -> Floats:
    """The share of rows below each of some ascending numbers, with half of its own."""
    return (np.cumsum(counts) - counts / 2) / counts.sum()


def nearest_index(x: Floats, ascending: ArrayLike) -> NDArray[np.int64]:
    """The index of the nearest number. Halves, because the gap of two large numbers overflows."""
    a = np.asarray(ascending, np.float64)
    right = np.searchsorted(a, x).clip(0, len(a) - 1)
    left = (right - 1).clip(0)
    return np.where(x / 2 - a[left] / 2 <= a[right] / 2 - x / 2, left, right)


def _between(x: ArrayLike, xs: ArrayLike, ys: ArrayLike) -> Floats:
    """The piecewise linear function through the ascending (xs, ys), level outside.

    Unlike `np.interp` it is exact at the knots and survives gaps that overflow.
    """
    a, b = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
    x = np.asarray(x, np.float64).clip(a[0], a[-1])
    right = np.searchsorted(a, x).clip(min(1, len(a) - 1), len(a) - 1)
    left = (right - 1).clip(0)
    gap = a[right] / 2 - a[left] / 2
    part = np.divide(x / 2 - a[left] / 2, gap, out=np.zeros_like(x), where=gap > 0)
    return b[left] * (1 - part) + b[right] * part
