"""What a metric is, and how sure it is of itself.

Three kinds of number need three kinds of interval:

    Statistic   of two sets as wholes (FD, KID, coverage): half-sampling without replacement. The naive
                bootstrap repeats examples, which such statistics take for closeness
    Rate        how many of n: Wilson (1927)
    Mean        of one score for each example: normal, from the scores' own spread
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.judging.evidence import Evidence

__all__ = ["Group", "Mean", "Metric", "Rate", "Reading", "Statistic", "wilson"]

Group = Literal["fidelity", "diversity", "novelty", "likelihood", "usefulness", "validity"]
Z = 1.959964
"""Two-sided 95 % of a normal."""
HALVES = 24
"""Half-samples for one interval."""


@dataclass(frozen=True)
class Reading:
    """One number with its 95 % interval and the examples it is from."""

    value: float
    low: float
    high: float
    n: int

    @property
    def error(self) -> float:
        """The standard error behind the interval."""
        return (self.high - self.low) / 3.92


class Metric(ABC):
    """One question asked of an `Evidence`. A subclass says in its docstring what it measures and the
    source; options are keyword-only arguments of its constructor."""

    name: ClassVar[str]
    """As registered, e.g. "kid"."""
    group: ClassVar[Group]
    better: ClassVar[Literal["lower", "higher", "near"]]
    """"near": best where real examples are; the floor says where that is."""
    ideal: ClassVar[float | None] = None
    """Where the best there can be lies, if that is known without looking."""
    kinds: ClassVar[frozenset[str] | None] = None
    """Codecs it is for (None: all)."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Of "labels" and "spare", what it cannot do without."""
    validated: ClassVar[bool] = True
    """Whether it passes the battery; else it is printed as unvalidated."""
    how: ClassVar[str]
    """How to read it, in one sentence."""

    def least(self, evidence: Evidence) -> int:
        """The fewest examples of `held` and of `fake` it accepts."""
        return 10

    def read(self, evidence: Evidence, seed: int = 0) -> Reading:
        """The number and its interval. Raises `DataError` in a sentence where it cannot be had."""
        least, n = self.least(evidence), min(len(evidence.held), len(evidence.fake))
        if n < least:
            raise DataError(f"{self.name} needs {least} examples of each, there are {n}")
        sets = (("training", evidence.train), ("real", evidence.held), ("generated", evidence.fake))
        for what, sample in sets:
            if not (np.isfinite(sample.features).all() and np.isfinite(sample.numbers).all()):
                raise DataError(f"{self.name}: some {what} examples hold values that are not finite")
        reading = self._read(evidence, np.random.default_rng([seed, *self.name.encode()]))
        if not math.isfinite(reading.value):
            raise DataError(f"{self.name} came out as {reading.value}, so it is not shown")
        return reading

    @abstractmethod
    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Reading: ...


class Statistic(Metric):
    """A number of two sets as wholes."""

    @abstractmethod
    def measure(self, evidence: Evidence, rng: np.random.Generator) -> float:
        """The number. Deterministic in `evidence` and the state of `rng`."""

    def at(self, value: float, halves: Array) -> float:
        """Where the interval is centred; a statistic with a known bias takes it off here."""
        return value

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        state = rng.bit_generator.state
        value = self.measure(evidence, rng)
        halves = []
        for _ in range(HALVES):
            half = evidence.half(rng)
            inner = np.random.default_rng()
            inner.bit_generator.state = state
            halves.append(self.measure(half, inner))
        # A half drawn without replacement strays from the whole as far as the whole strays from the
        # truth: (n - m) / (n m) = 1 / n for m = n / 2.
        spread = float(np.std(halves, ddof=1))
        centre = self.at(value, np.array(halves))
        n = min(len(evidence.held), len(evidence.fake))
        return Reading(value, centre - Z * spread, centre + Z * spread, n)


class Rate(Metric):
    """A share of examples."""

    @abstractmethod
    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        """How many, and of how many."""

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        hits, n = self.count(evidence, rng)
        return Reading(hits / n, *wilson(hits, n), n)


class Mean(Metric):
    """The mean of one score for each example."""

    @abstractmethod
    def scores(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        """`(n,)`."""

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Reading:
        scores = np.asarray(self.scores(evidence, rng), dtype=np.float64)
        value, n = float(scores.mean()), len(scores)
        error = Z * float(scores.std(ddof=1)) / math.sqrt(n)
        return Reading(value, value - error, value + error, n)


def wilson(hits: int, n: int, z: float = Z) -> tuple[float, float]:
    """The interval of Wilson (1927) for a share of `hits` in `n`."""
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # The ends are exact at none and at all; rounding would leave them a hair inside.
    low, high = 0.0 if hits == 0 else middle - half, 1.0 if hits == n else middle + half
    return max(0.0, low), min(1.0, high)
