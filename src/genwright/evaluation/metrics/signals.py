"""Pictures, volumes and other bounded signals beside the right ones: PSNR and SSIM.

Values lie in [-1, 1], so that their range is 2. Where a part of an example was given, what was to be made counts
alone: the rest is right by itself.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter1d

from genwright.data.codec import Array
from genwright.evaluation.evidence import Evidence, Pairs
from genwright.evaluation.metric import OfPairs
from genwright.evaluation.metrics.answers import pairs_in

__all__ = ["PeakSignalToNoise", "StructuralSimilarity", "psnr", "ssim_map"]

RANGE = 2.0
LEAST = (RANGE / 255) ** 2 / 12
"""The squared error of rounding to 256 levels: below it nothing is told apart in a file."""
SIGMA, REACH = 1.5, 5
"""Of the Gaussian window, which is 11 wide."""
K1, K2 = 0.01, 0.03
NUMBERS = 8_000_000
"""Numbers whose windows are compared, at most; of more, the first examples."""


def psnr(error: Array) -> Array:
    """Decibels of mean squared errors `(n,)`, at most those of rounding to 256 levels."""
    return np.asarray(10 * np.log10(RANGE**2 / np.maximum(error, LEAST)))


class PeakSignalToNoise(OfPairs):
    """10 log10(range^2 / mean squared error), its mean over examples."""

    name = "psnr"
    better = "higher"
    ideal = 10 * math.log10(RANGE**2 / LEAST)
    how = "Decibels: half a decibel more is a tenth less of squared error; 58.9 is right to the level."

    def fits(self, evidence: Evidence) -> bool:
        return bool(evidence.space.grid) and evidence.space.bounded

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        pairs = pairs_in(evidence)
        n, unknown = len(pairs.true), pairs.unknown.reshape(len(pairs.true), -1)
        gap = (pairs.made.x - pairs.true.x).reshape(n, -1)
        count = unknown.sum(1)
        error = np.where(unknown, gap, 0).astype(np.float64) ** 2
        asked = count > 0
        decibels = psnr(error.sum(1) / np.maximum(count, 1))
        return np.column_stack([np.where(asked, decibels, 0), asked]).astype(np.float64)


class StructuralSimilarity(OfPairs):
    """SSIM of Wang et al. (2004), equation 13: the means, the variances and the covariance in a Gaussian window 11
    wide about each place, of each channel by itself; the mean over the places whose window lies within. Of an
    example narrower than a window all places count, and what lies outside is mirrored."""

    name = "ssim"
    better = "higher"
    ideal = 1.0
    how = "Likeness of structure in small windows: 1 is the same, 0 none in common."

    def fits(self, evidence: Evidence) -> bool:
        return len(evidence.space.grid) > 1 and evidence.space.bounded

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        pairs = pairs_in(evidence)
        n = min(len(pairs.true), max(1, NUMBERS // pairs.true.x[0].size))
        found = ssim_map(pairs.made.x[:n], pairs.true.x[:n])
        within = _within(pairs, n)
        weight = within.reshape(n, -1).sum(1)
        total = (found * within).reshape(n, -1).sum(1)
        asked = weight > 0
        return np.column_stack([np.where(asked, total / np.maximum(weight, 1), 0), asked]).astype(
            np.float64
        )


def _within(pairs: Pairs, n: int) -> Array:
    """The numbers that count `(n, C, *grid)`: asked for, and with their window inside."""
    counted = pairs.unknown[:n].copy()
    if min(counted.shape[2:]) > 2 * REACH:
        for axis in range(2, counted.ndim):
            edge = np.moveaxis(counted, axis, 0)
            edge[:REACH] = edge[-REACH:] = False
    return counted


def ssim_map(a: Array, b: Array) -> Array:
    """SSIM about each number of examples `(n, C, *grid)` in [-1, 1], of the same shape."""
    a, b = (x.astype(np.float64) for x in (a, b))
    mean_a, mean_b, square_a, square_b, product = map(_blurred, (a, b, a * a, b * b, a * b))
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    covariance = product - mean_a * mean_b
    variances = square_a - mean_a**2 + square_b - mean_b**2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return np.asarray(above / ((mean_a**2 + mean_b**2 + c1) * (variances + c2)))


def _blurred(x: Array) -> Array:
    for axis in range(2, x.ndim):
        x = gaussian_filter1d(x, SIGMA, axis=axis, radius=REACH)
    return x
