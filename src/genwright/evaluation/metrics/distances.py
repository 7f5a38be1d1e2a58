"""How far the generated examples lie from the real ones, as two sets of points: one number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from genwright.data.codec import Array
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Comparison, HalfSample, Measurement, OfFeatures, varied
from genwright.options import Count

__all__ = [
    "Frechet",
    "FrechetInfinity",
    "Kid",
    "SlicedWasserstein",
    "expected_frechet",
    "expected_frechet_of",
    "frechet",
    "kid",
]

BLOCK = 512
"""Rows and columns of a matrix of pairs that are in memory at a time."""


# -- Fréchet distance ---------------------------------------------------------------------------


def frechet(a: Array, b: Array) -> float:
    """Squared Fréchet distance of the Gaussians fitted to features `(n, d)` and `(m, d)`; Heusel et al.
    (2017), eq. 6: |mu1 - mu2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2).

    The product under the root is symmetric, so its eigenvalues are real, and neither complex numbers nor
    NaN come out of it, as they do of a root of C1 C2.
    """
    first, second = _covariance(a), _covariance(b)
    half = _root(first)
    cross = np.linalg.eigvalsh(half @ second @ half)
    shift = a.mean(0, dtype=np.float64) - b.mean(0, dtype=np.float64)
    gap = np.trace(first) + np.trace(second) - 2 * np.sqrt(cross.clip(0)).sum()
    return max(0.0, float(shift @ shift + gap))


def expected_frechet(eigenvalues: Array, n: int, m: int) -> float:
    """What `frechet` comes to for `n` and `m` independent draws of one distribution, whose covariance has
    these `eigenvalues` `(d,)`: the expansion to second order, (1/n + 1/m) [sum_i l_i + 1/2 sum_ij l_i l_j
    (1 + d_ij) / (l_i + l_j)].

    Simulated values of normal draws lie within 6 % of it for n >= 30 d; heavy tails give more.
    """
    spread = np.asarray(eigenvalues, dtype=np.float64).clip(0)
    product, total = np.multiply.outer(spread, spread), np.add.outer(spread, spread)
    pairs = np.divide(product, total, out=np.zeros_like(product), where=total > 0)
    return float((1 / n + 1 / m) * (spread.sum() + (pairs.sum() + np.trace(pairs)) / 2))


def expected_frechet_of(a: Array, n: int, m: int) -> float:
    """`expected_frechet` for draws of the distribution that features `a` `(., d)` are of."""
    return expected_frechet(np.linalg.eigvalsh(_covariance(a)), n, m)


def _covariance(a: Array) -> Array:
    """`(d, d)`, unbiased, of rows."""
    centred = a - a.mean(0, dtype=np.float64)
    return np.asarray(centred.T @ centred / (len(a) - 1), dtype=np.float64)


def _root(covariance: Array) -> Array:
    """The symmetric square root."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(values.clip(0))) @ vectors.T)


class Frechet(OfFeatures):
    """Squared Fréchet distance of two Gaussians fitted to the features (Heusel et al. 2017).

    The value is biased upwards by about `expected_frechet`, as 1/n (Chong & Forsyth 2020), and is for
    comparing with the floor at the same n; the interval is for what other examples, as many, would give.
    """

    name = "fd"
    group = "fidelity"
    better = "lower"
    ideal = 0.0
    sees = ("order", "ladder", "missing_mode", "new_mode", "independence")
    how = (
        "distance of mean and covariance in feature space; compare it with the floor only at the same n"
    )

    def least(self, evidence: Evidence) -> int:
        """Fewer give a covariance that is singular, or nearly."""
        return 2 * evidence.test.features.shape[1]

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return frechet(test, fake)


class FrechetInfinity(Frechet):
    """`Frechet` extrapolated to infinitely many examples (Chong & Forsyth 2020), by two points: of n and
    of n / 2. It may be slightly negative."""

    name = "fd_inf"
    sees = ("order", "ladder", "missing_mode", "new_mode", "independence")
    how = (
        "the Fréchet distance of features with its bias of few examples taken off; about 0 for real ones"
    )

    def least(self, evidence: Evidence) -> int:
        """Each half is a `Frechet` too."""
        return 2 * super().least(evidence)

    def at(self, value: float, halves: Array) -> float:
        """Without the bias, of which a half has twice that of the whole."""
        return 2 * value - float(halves.mean())

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        measurement = super()._read(evidence, rng)
        return replace(measurement, value=(measurement.low + measurement.high) / 2)


# -- kernel distance ----------------------------------------------------------------------------


def kid(x: Array, y: Array) -> float:
    """Squared maximum mean discrepancy of `(n, d)` and `(m, d)` with the kernel (x . y / d + 1)^3 of Binkowski
    et al. (2018), section 4: the unbiased estimate over all pairs of Gretton et al. (2012), eq. 3. It may be
    negative. Memory does not grow with the number of pairs."""
    return float(kid_of(x, y, np.ones((len(x), 1)), np.ones((len(y), 1)))[0])


def kid_of(x: Array, y: Array, in_x: Array, in_y: Array) -> Array:
    """`kid` of `h` parts of the two sets at once, `(h,)`: `in_x` `(n, h)` and `in_y` `(m, h)` are 1 where a row
    is in the part, else 0.

    With p = x . y / d the kernel is 1 + 3 p + 3 p^2 + p^3. The ones cancel, and the sums of p and p^2 over
    pairs are products of moments, exact at once; p^3 alone needs the pairs, and float32 is enough for it.
    """
    x, y = (z.astype(np.float64) / math.sqrt(z.shape[1]) for z in (x, y))
    low = [
        _unbiased(_low(a, a) - _low_own(a), _low(b, b) - _low_own(b), _low(a, b), len(a), len(b))
        for a, b in ((x[p > 0], y[q > 0]) for p, q in zip(in_x.T, in_y.T, strict=True))
    ]
    scale = max(float(np.abs(x).max()), float(np.abs(y).max())) or 1.0  # so that no cube overflows
    x, y = ((z / scale).astype(np.float32) for z in (x, y))
    return np.array(low) + scale**6 * _cubic_of(x, y, in_x, in_y)


def _cubic_of(x: Array, y: Array, in_x: Array, in_y: Array) -> Array:
    """`kid_of` with the kernel p^3, which costs most and is taken once for all parts."""
    blocks_x, blocks_y = _blocks(x, in_x), _blocks(y, in_y)
    across = sum(_sum(_cubes(a, b), p, q) for a, p in blocks_x for b, q in blocks_y)
    return _unbiased(_within(blocks_x), _within(blocks_y), across, in_x.sum(0), in_y.sum(0))


Sums = TypeVar("Sums", float, Array)


def _unbiased(within: Sums, other: Sums, across: Sums, n: Sums, m: Sums) -> Sums:
    """Of a kernel's sums over pairs of different rows of the one set, of the other, and across."""
    return within / (n * (n - 1)) + other / (m * (m - 1)) - 2 * across / (n * m)


def _low(x: Array, y: Array) -> float:
    """The sum of 3 p + 3 p^2 over all pairs, p = x . y."""
    return float(3 * x.sum(0) @ y.sum(0) + 3 * ((x.T @ x) * (y.T @ y)).sum())


def _low_own(x: Array) -> float:
    """The same over the pairs of a row with itself."""
    own = (x * x).sum(1)
    return float(3 * own.sum() + 3 * (own * own).sum())


def _cubes(x: Array, y: Array) -> Array:
    products = x @ y.T
    cubes = products * products
    cubes *= products
    return np.asarray(cubes)


def _within(blocks: list[tuple[Array, Array]]) -> Array:
    """The sums over all ordered pairs of different rows, by part."""
    total = np.zeros(blocks[0][1].shape[1])
    for i, (a, p) in enumerate(blocks):
        own = _cubes(a, a)
        np.fill_diagonal(own, 0)
        total += _sum(own, p, p)
        total += 2 * sum(_sum(_cubes(a, b), p, q) for b, q in blocks[i + 1 :])
    return total


def _sum(block: Array, left: Array, right: Array) -> Array:
    """Of the pairs `(n, m)` whose rows and columns are in a part, `(h,)`; added up in float64."""
    return np.einsum("nh,nh->h", left, block.astype(np.float64) @ right)


def _blocks(x: Array, in_x: Array) -> list[tuple[Array, Array]]:
    return [(x[i : i + BLOCK], in_x[i : i + BLOCK]) for i in range(0, len(x), BLOCK)]


def _members(n: int, parts: Sequence[Array]) -> Array:
    """Places of each part to `(n, h)`: 1 for those in it, else 0."""
    found = np.zeros((n, len(parts)))
    for h, places in enumerate(parts):
        found[places, h] = 1
    return found


class Kid(OfFeatures):
    """Kernel distance: `kid` of the features, over all pairs rather than the mean over drawn subsets
    (Binkowski et al. 2018)."""

    name = "kid"
    group = "fidelity"
    better = "lower"
    ideal = 0.0
    sees = ("order", "ladder", "missing_mode", "new_mode", "independence")
    how = "distance in feature space without the bias of few examples; about 0, or below, for real ones"

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return kid(test, fake)

    def _of_parts(
        self, test: Array, fake: Array, compare: Comparison, parts: Sequence[HalfSample], seed: int
    ) -> Array:
        return kid_of(
            test,
            fake,
            _members(len(test), [part[0] for part in parts]),
            _members(len(fake), [part[1] for part in parts]),
        )


# -- sliced Wasserstein -------------------------------------------------------------------------


class SlicedWasserstein(OfFeatures):
    """Sliced Wasserstein distance of order 1 (Bonneel et al. 2015): the mean, over random directions, of the
    distance between sorted projections; of order 2 one outlier would count as much as hundreds of examples.
    It reads `numbers`, needs no network and is biased upwards by few examples."""

    name = "sw"
    reads = "flat"
    group = "fidelity"
    better = "lower"
    ideal = 0.0
    sees = ("order", "ladder", "missing_mode", "new_mode", "independence")
    how = "distance of the examples' own numbers seen along random lines; compare it with the floor"

    def __init__(self, *, directions: Count = 128) -> None:
        """directions: how many lines are drawn."""
        self.directions = directions

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        """Where each example stands along each line."""
        test, fake = varied(self.name, evidence.test.flat), evidence.fake.flat
        lines = rng.normal(size=(test.shape[1], self.directions))
        lines /= np.linalg.norm(lines, axis=0)
        return test @ lines, fake @ lines, self.compare

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        points = min(len(test), len(fake))
        real, made = (_quantiles(x, points) for x in (test, fake))
        return float(np.abs(real - made).mean())


def _quantiles(x: Array, points: int) -> Array:
    """Of each column of `(n, lines)`, at shares (i + 1/2) / points: for n points, the sorted values."""
    x = np.sort(x, axis=0)
    place = ((np.arange(points) + 0.5) / points * len(x) - 0.5).clip(0, len(x) - 1)
    low = place.astype(int)
    high = np.minimum(low + 1, len(x) - 1)
    return np.asarray(x[low] + (place - low)[:, None] * (x[high] - x[low]))
