"""Whether generated examples lie where real ones do, and real ones where generated do: by the balls around
examples that reach to their k-th neighbour.

A generated example inside some real ball is believable (precision, density); a real ball that holds a
generated example is covered (coverage); a real example inside some generated ball is within reach (recall).
Even of two real sets these are not 1, except the clipped ones: read them beside the floor.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from genwright.data.codec import Array
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Comparison, HalfSample, Measurement, OfFeatures
from genwright.evaluation.neighbours import Balls, balls, balls_around, reach_of
from genwright.options import Count

__all__ = [
    "ClippedCoverage",
    "ClippedDensity",
    "Coverage",
    "Density",
    "Precision",
    "Recall",
    "expected_cover",
]


class Manifold(OfFeatures):
    """A number read off `Balls`."""

    def __init__(self, *, k: Count = 5) -> None:
        """k: the neighbour that a ball reaches to."""
        self.k = k

    @abstractmethod
    def score(self, found: Balls) -> float: ...

    def least(self, evidence: Evidence) -> int:
        """Each half has k neighbours to every example, and more than those."""
        return 4 * (self.k + 1)

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return self.score(balls(test, fake, self.k))

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        # One and the same sequence of halves for every metric here, so that distances are taken once.
        return super()._read(evidence, np.random.default_rng(0))

    def _of_parts(
        self, test: Array, fake: Array, compare: Comparison, parts: Sequence[HalfSample], seed: int
    ) -> Array:
        for rows, places in zip((test, fake), zip(*parts, strict=True), strict=True):
            reach_of(rows, places, self.k)
        return super()._of_parts(test, fake, compare, parts, seed)


class Capped(Manifold):
    """Of what is at most 1. The cap is put on the number, not on the halves: all at the cap, they would not
    stray, and the number would look sure."""

    def measure(self, evidence: Evidence, rng: np.random.Generator) -> float:
        return min(1.0, super().measure(evidence, rng))

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        measurement = super()._read(evidence, rng)
        value, spread = min(1.0, measurement.value), (measurement.high - measurement.low) / 2
        return replace(measurement, value=value, low=value - spread, high=value + spread)


class Precision(Manifold):
    """Share of generated examples inside some real ball (Kynkäänniemi et al. 2019, eq. 1 and 2)."""

    name = "precision"
    group = "fidelity"
    better = "higher"
    sees = ("order", "ladder", "new_mode", "independence")
    how = "the share of generated examples that lie near some real one; outliers inflate it"

    def score(self, found: Balls) -> float:
        return float((found.around > 0).mean())


class Recall(Manifold):
    """Share of real examples inside some generated ball (Kynkäänniemi et al. 2019, eq. 1 and 3)."""

    name = "recall"
    group = "diversity"
    better = "higher"
    sees = ("missing_mode", "collapse")
    how = "the share of real examples that lie near some generated one; generated outliers inflate it"

    def score(self, found: Balls) -> float:
        return float((found.reached > 0).mean())


class Density(Manifold):
    """Real balls around a generated example, relative to k (Naeem et al. 2020, eq. 4)."""

    name = "density"
    by_default = False
    group = "fidelity"
    better = "near"
    ideal = 1.0
    sees = ("order", "ladder", "new_mode", "independence")
    how = "about 1 where generated examples are as crowded by real ones as real ones are; may exceed 1"

    def score(self, found: Balls) -> float:
        return float(found.around.mean()) / found.k


class Coverage(Manifold):
    """Share of real balls that hold a generated example (Naeem et al. 2020, eq. 5); of two real sets of
    one size it is 1 - 2^-k."""

    name = "coverage"
    by_default = False
    group = "diversity"
    better = "higher"
    sees = ("missing_mode", "collapse")
    how = "the share of real examples with a generated one among their near neighbours"

    def score(self, found: Balls) -> float:
        return float((found.contained > 0).mean())


class ClippedDensity(Capped):
    """Clipped Density (Salvy et al. 2025, arXiv:2507.01761).

    As density, but a real ball is no larger than the median one, so that real outliers claim no room, and
    a generated example counts at most 1, so that crowded ones do not make up for bad ones. Divided by the
    same for real examples among themselves (each without its own ball), and at most 1: with a share f of
    the examples replaced by noise it is 1 - f. Held to that by a test, not to the authors' code.
    """

    name = "clipped_density"
    group = "fidelity"
    better = "higher"
    ideal = 1.0
    sees = ("order", "ladder", "new_mode", "independence")
    how = "about the share of generated examples that are as believable as real ones"

    def score(self, found: Balls) -> float:
        """Before it is set against real ones."""
        return float(np.minimum(found.clipped / found.k, 1).mean())

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        real = np.minimum(balls_around(test, self.k) / self.k, 1).mean()
        return super().compare(test, fake, rng) / float(real)


class ClippedCoverage(Capped):
    """Clipped Coverage (Salvy et al. 2025, arXiv:2507.01761).

    Each real ball counts by how many generated examples it holds, relative to k and at most 1. What comes
    of m good ones is known (`expected_cover`); the score is the share of the generated examples which,
    were just those good, would give what was found; at most 1. The radii are not clipped here: a large
    ball counts no more than any other, and the expectation holds for balls of exactly k neighbours.
    """

    name = "clipped_coverage"
    group = "diversity"
    better = "higher"
    ideal = 1.0
    sees = ("missing_mode", "collapse")
    how = "about the share of good generated examples that would cover the real ones as well as these do"

    def score(self, found: Balls) -> float:
        cover = float(np.minimum(found.contained / found.k, 1).mean())
        n, m = len(found.contained), len(found.around)
        counts = np.arange(2 * m + 1)  # chance may cover more than good ones do on average
        return float(np.interp(cover, expected_cover(n, found.k, counts), counts)) / m


def expected_cover(n: int, k: int, counts: Array) -> Array:
    """E min(1, c / k) for the number c of `counts` good examples that fall into the ball of a real one
    among `n`. The ball's share of the distribution is Beta(k, n - k), whatever that is, so c is
    beta-binomial."""
    from scipy.special import betaln, gammaln

    m = counts[:, None].astype(np.float64)
    c = np.arange(k)
    fits = c <= m
    left = np.where(fits, m - c, 0)
    log = (
        gammaln(m + 1)
        - gammaln(c + 1)
        - gammaln(left + 1)
        + betaln(k + c, n - k + left)
        - betaln(k, n - k)
    )
    return np.asarray(1 - np.where(fits, (1 - c / k) * np.exp(log), 0).sum(1))
