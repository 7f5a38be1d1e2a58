"""Several answers to one question, as a forecast of the right one: are they near, and as far apart as they should
be.

Numbers alone are looked at, and of those the ones that were asked for and are there. They are in units of the
standard deviation of the training examples, channel by channel.
"""

from __future__ import annotations

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.baselines import shut
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import OfPairs
from genwright.evaluation.metrics.answers import pairs_in

__all__ = ["Crps", "IntervalCoverage", "crps", "inside"]

SHARE = 0.8


class _OfDraws(OfPairs):
    """A number of several answers to each question."""

    def fits(self, evidence: Evidence) -> bool:
        return evidence.pairs is not None and evidence.pairs.draws is not None


class Crps(_OfDraws):
    """The continuous ranked probability score (Gneiting and Raftery 2007, equation 21): E|X - y| - E|X - X'| / 2
    of independent answers X, X' and the right one y, number by number; unbiased for any number of answers
    (Ferro 2014). It is least on average where the answers are drawn as the right ones are."""

    name = "crps"
    better = "lower"
    ideal = 0.0
    how = "How far several answers are from the right number, less how far from each other; 0: all are right."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        draws, true, counted, scale = _numbers(evidence)
        score = crps(draws, true) / scale
        return np.column_stack([(score * counted).sum(1), counted.sum(1)])


class IntervalCoverage(_OfDraws):
    """How often the right number lies in the central 80 % interval of several answers, between the first and the
    last tenth. Where some answers equal it, its rank among them is any of theirs, so that whatever is drawn as
    the right ones are has 80 %, with ties or without (Hamill 2001)."""

    name = "interval_coverage"
    better = "near"
    ideal = SHARE
    share = True
    sees = ("ladder", "ignored", "collapse")
    how = "0.8 is right: the 80 % interval of several answers holds the truth so often; below, they are too sure."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        draws, true, counted, _ = _numbers(evidence)
        return np.column_stack([(inside(draws, true) * counted).sum(1), counted.sum(1)])


def _numbers(evidence: Evidence) -> tuple[Array, Array, Array, Array]:
    """Answers `(k, m, d)`, the right ones `(m, d)`, which count `(m, d)`, and the standard deviations `(d,)`."""
    pairs, space = pairs_in(evidence), evidence.space
    if pairs.draws is None:
        raise DataError("there are no several answers to one question", code="no-draws")
    m = pairs.draws.shape[1]
    real = space.real_mask().numpy()
    if (own := pairs.true.field.answers) is not None:
        real = real & own
    there = pairs.unknown[:m] & ~shut(pairs.true.x[:m], evidence.train.x, space)
    train = evidence.train.x[:, real]
    std = train.std(axis=(0, *range(2, train.ndim)), dtype=np.float64)
    draws = pairs.draws[:, :, real].reshape(len(pairs.draws), m, -1)
    true, counted = (x[:, real].reshape(m, -1) for x in (pairs.true.x[:m], there))
    scale = np.repeat(np.where(std > 0, std, 1.0), space.positions)
    return draws, true, counted, scale


def crps(draws: Array, true: Array) -> Array:
    """Of answers `(k, ...)` and right numbers `(...)`.

    With the answers in order, the sum of |x_i - x_j| over i < j is the sum of (2 i - k + 1) x_i, i from 0."""
    k = len(draws)
    far = np.abs(draws - true).mean(0, dtype=np.float64)
    if k == 1:
        return np.asarray(far)
    weight = 2 * np.arange(k) - k + 1.0
    apart = np.tensordot(weight, np.sort(draws, axis=0), axes=1)
    return np.asarray(far - apart / (k * (k - 1)))


def inside(draws: Array, true: Array) -> Array:
    """How sure the right numbers `(...)` lie in the central 80 % of answers `(k, ...)`, from 0 to 1.

    Among k answers that are drawn as it is, the right number has each rank from 1 to k + 1 equally often; of
    these the middle 80 % are inside. One answer is taken as 9 that are the same."""
    if len(draws) == 1:
        draws = np.repeat(draws, 9, axis=0)
    k = len(draws)
    below, equal = (draws < true).sum(0), (draws == true).sum(0)
    # The ranks that it may have cover (below, below + equal + 1] out of k + 1.
    cut = (1 - SHARE) / 2 * (k + 1)
    low, high = np.maximum(below, cut), np.minimum(below + equal + 1, k + 1 - cut)
    return np.asarray((high - low).clip(0) / (equal + 1))
