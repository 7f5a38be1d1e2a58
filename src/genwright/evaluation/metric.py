"""What a metric is, and how sure it is of itself.

Four kinds of number need four kinds of interval:

    Statistic   of two sets as wholes (FD, KID, coverage): half-sampling without replacement. The naive
                bootstrap repeats examples, which such statistics take for closeness
    Rate        how many of n: Wilson (1927)
    MeanScore   of one score for each example: normal, from the scores' own standard deviation
    OfPairs     of sums over pairs of an answer and the right one: the jackknife over pairs
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence

__all__ = [
    "Comparison",
    "Group",
    "HalfSample",
    "MeanScore",
    "Measurement",
    "Metric",
    "OfFeatures",
    "OfPairs",
    "Rate",
    "Statistic",
    "difference_error",
    "varied",
    "wilson",
]

Group = Literal[
    "accuracy", "fidelity", "diversity", "condition", "novelty", "likelihood", "usefulness", "validity"
]
Z = 1.959964
"""Two-sided 95 % of a normal."""
HALVES = 24
"""Half-samples for one interval."""


@dataclass(frozen=True)
class Measurement:
    """One number with its 95 % interval and the examples it is from."""

    value: float
    low: float
    high: float
    n: int

    @property
    def error(self) -> float:
        """The standard error behind the interval."""
        return (self.high - self.low) / (2 * Z)

    def toward(self, value: float) -> float:
        """The standard error on the side where `value` lies. A share near 1 that is known from little reaches
        far down and hardly up: that it is above a half is less sure than half of its width says (Newcombe
        1998 compares shares by the sides that face each other)."""
        return (self.high - self.value if value > self.value else self.value - self.low) / Z


def difference_error(a: Measurement, b: Measurement) -> float:
    """The standard error of the difference of two independent measurements."""
    return math.hypot(a.toward(b.value), b.toward(a.value))


class Metric(ABC):
    """One question asked of an `Evidence`. A subclass says in its docstring what it measures and the
    source; options are keyword-only arguments of its constructor."""

    name: ClassVar[str]
    """As registered, e.g. "kid"."""
    group: ClassVar[Group]
    better: ClassVar[Literal["lower", "higher", "near"]]
    """"near": best where real examples are; the real baseline says where that is."""
    fault: ClassVar[Literal["above", "below", "either"]] = "either"
    """Where better is "near": the side on which the verdict finds fault; a metric of copying finds none in
    examples that are farther away than real ones."""
    ideal: ClassVar[float | None] = None
    """Where the best there can be lies, if that is known without looking."""
    equal: ClassVar[float | None] = None
    """Of a ratio to the held-out examples, what examples just like them have. Further real ones may lie off it, where
    they are of another season: a model that is nearer to it than they are is at no fault."""
    reads: ClassVar[str] = "features"
    """The view of an example that it reads: one of `evidence.VIEWS`."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Of "labels", "reference" and "pairs", what it cannot do without; or "condition": it is asked only where
    something was given."""
    sees: ClassVar[tuple[str, ...] | None] = None
    """The faults that it claims to see, as `genwright.testing` names them (`order`, `missing_mode`,
    `collapse`, `all_copied`, ...); None: every one."""
    exchangeable: ClassVar[bool] = False
    """Whether it takes training and held-out examples to be of one kind, and calls copied what is nearer to the
    former. Where they are of other years, all that was learnt is: what has copied nothing is asked too."""
    by_default: ClassVar[bool] = True
    """Whether it is asked unless others are wanted by name; a twin of another metric is not."""
    how: ClassVar[str]
    """How to read it, in one sentence."""

    def least(self, evidence: Evidence) -> int:
        """The fewest examples of `test` and of `fake` it accepts."""
        return 10

    def fits(self, evidence: Evidence) -> bool:
        """Whether it is for examples of such a space; asked only where the view that it reads is there."""
        return True

    def read(self, evidence: Evidence, seed: int = 0) -> Measurement:
        """The number and its interval. Raises `DataError` in a sentence where it cannot be had."""
        self._check(evidence)
        return self.finite(self._read(evidence, self._rng(seed)))

    def finite(self, measurement: Measurement) -> Measurement:
        """The same. Raises `DataError` where it is no number."""
        if not math.isfinite(measurement.value):
            raise DataError(
                f"{self.name} came out as {measurement.value}, so it is not shown", code="not-finite"
            )
        return measurement

    def _rng(self, seed: int) -> np.random.Generator:
        return np.random.default_rng([seed, *self.name.encode()])

    def _check(self, evidence: Evidence) -> None:
        """Raise `DataError` for too few examples, or for values that are no numbers."""
        least, n = self.least(evidence), min(len(evidence.test), len(evidence.fake))
        if n < least:
            raise DataError(
                f"{self.name} needs {least} examples of each, there are {n}", code="too-few-examples"
            )
        sets = (("training", evidence.train), ("real", evidence.test), ("generated", evidence.fake))
        for what, sample in sets:
            if not (np.isfinite(sample.features).all() and np.isfinite(sample.flat).all()):
                raise DataError(
                    f"{self.name}: some {what} examples hold values that are not finite",
                    code="not-finite",
                )

    @abstractmethod
    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement: ...


Comparison = Callable[[Array, Array, np.random.Generator], float]
"""Rows of the test and of the generated examples to one number."""
HalfSample = tuple[Array, Array]
"""Places of half of the test and of half of the generated rows."""


class Statistic(Metric):
    """A number of two sets as wholes. What costs is done once, example by example; the number is then taken
    of the rows that came of it, of all and of halves."""

    @abstractmethod
    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        """A row for each test and for each generated example, and what compares the two sets;
        deterministic in `evidence` and the state of `rng`."""

    def at(self, value: float, halves: Array) -> float:
        """Where the interval is centred; a statistic with a known bias takes it off here."""
        return value

    def measure(self, evidence: Evidence, rng: np.random.Generator) -> float:
        """The number alone."""
        test, fake, compare = self.rows(evidence, rng)
        return compare(test, fake, rng)

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        test, fake, compare = self.rows(evidence, rng)
        seed = int(rng.integers(2**63))
        value = compare(test, fake, np.random.default_rng(seed))
        halves = self._of_parts(test, fake, compare, self._parts(len(test), len(fake), rng), seed)
        # A half drawn without replacement strays from the whole as far as the whole strays from the truth:
        # (n - m) / (n m) = 1 / n for m = n / 2. Where the part of a statistic rules that is quadratic in
        # the examples, as in a distance between sets that are alike, up to sqrt(3) times farther: such an
        # interval is too wide rather than too narrow.
        width = Z * float(np.std(halves, ddof=1))
        centre = self.at(value, halves)
        return Measurement(value, centre - width, centre + width, min(len(test), len(fake)))

    def _parts(self, n: int, m: int, rng: np.random.Generator) -> list[HalfSample]:
        """Halves of `n` and of `m` rows, drawn without replacement."""
        return [(_half(n, rng), _half(m, rng)) for _ in range(HALVES)]

    def _of_parts(
        self, test: Array, fake: Array, compare: Comparison, parts: Sequence[HalfSample], seed: int
    ) -> Array:
        """The number of each part, with the same draws of chance for all."""
        return np.array([compare(test[i], fake[j], np.random.default_rng(seed)) for i, j in parts])


def _half(n: int, rng: np.random.Generator) -> Array:
    return np.sort(rng.permutation(n)[: n // 2])


class OfFeatures(Statistic):
    """A statistic of the features."""

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        return varied(self.name, evidence.test.features), evidence.fake.features, self.compare

    @abstractmethod
    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        """The number of features `(n, d)` and `(m, d)`."""


def varied(name: str, real: Array) -> Array:
    """The rows of real examples. Raises `DataError` where they are all the same: an extractor that
    sees nothing would find everything perfect."""
    if not np.ptp(real, axis=0).any():
        raise DataError(
            f"{name}: all {len(real)} real examples have the same features, so that none is nearer than "
            f"another; give more varied examples, or other --features",
            code="no-variety",
        )
    return real


class Rate(Metric):
    """A share of examples."""

    @abstractmethod
    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[float, int]:
        """How many (a mean may lie between two numbers), and of how many."""

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        hits, n = self.count(evidence, rng)
        return Measurement(hits / n, *wilson(hits, n), n)


class MeanScore(Metric):
    """The mean of one score for each example."""

    @abstractmethod
    def scores(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        """`(n,)`."""

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        scores = np.asarray(self.scores(evidence, rng), dtype=np.float64)
        value, n = float(scores.mean()), len(scores)
        error = Z * float(scores.std(ddof=1)) / math.sqrt(n)
        return Measurement(value, value - error, value + error, n)


class OfPairs(Metric):
    """A number of answers beside the right ones. Each pair gives a row of numbers, and the number follows from
    their sums: a mean, a ratio of totals, or more. The interval is the jackknife over pairs (Efron and Stein
    1981), which for a mean is the normal one and for a ratio that of Cochran (1977, section 6.3)."""

    group = "accuracy"
    needs = frozenset({"pairs"})
    sees: ClassVar[tuple[str, ...] | None] = ("order", "ladder", "ignored", "collapse")
    share: ClassVar[bool] = False
    """Whether it is a share of what was asked: then no interval is narrower than Wilson's for as many pairs."""

    @abstractmethod
    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        """`(n, f)` of the pairs of `evidence`; deterministic in it and the state of `rng`."""

    def score(self, sums: Array) -> Array:
        """The number `(...)` of sums of rows `(..., f)`: here the ratio of the first two."""
        return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1e-300))

    def checked_rows(self, evidence: Evidence, seed: int = 0) -> Array:
        """The rows. Raises `DataError` for pairs that cannot be compared."""
        self._check(evidence)
        return self.rows(evidence, self._rng(seed))

    def _check(self, evidence: Evidence) -> None:
        super()._check(evidence)
        if evidence.pairs is None:
            raise DataError(f"{self.name} compares each answer with the right one", code="no-pairs")
        made, true = len(evidence.pairs.made), len(evidence.pairs.true)
        if made != true:
            raise DataError(
                f"{self.name}: {made} generated examples and {true} true ones are no pairs: give one for each",
                code="unequal-pairs",
            )

    def measured(self, rows: Array) -> Measurement:
        """The number of rows, with its interval. Raises `DataError` where no pair asks for anything."""
        if not rows.any():
            raise DataError(
                f"{self.name}: none of the {len(rows)} answers holds what it counts",
                code="nothing-asked",
            )
        value, n = float(self.score(rows.sum(0))), len(rows)
        error = Z * _jackknife(self.score(rows.sum(0) - rows))
        low, high = value - error, value + error
        if self.share:
            least, most = wilson(value * n, n)
            low, high = max(0.0, min(low, least)), min(1.0, max(high, most))
        return self.finite(Measurement(value, low, high, n))

    def lead(self, model: Array, other: Array) -> Measurement:
        """By how much the first rows are nearer to the best there can be than the others, pair by pair: what
        makes one question harder than another falls out."""
        n = min(len(model), len(other))
        near, far = (self._off(rows[:n]) for rows in (model, other))
        value = float(far[0] - near[0])
        error = Z * _jackknife((far - near)[1:])
        return Measurement(value, value - error, value + error, n)

    def _off(self, rows: Array) -> Array:
        """How far from `ideal`: of all pairs, and of all but each."""
        assert self.ideal is not None, "of answers it is known what the best would be"
        sums = rows.sum(0)
        return np.abs(self.score(np.concatenate([sums[None], sums - rows])) - self.ideal)

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        return self.measured(self.rows(evidence, rng))


def _jackknife(without: Array) -> float:
    """The standard error of a number, from those of all but each of n (Efron and Stein 1981)."""
    n = len(without)
    return math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))


def wilson(hits: float, n: int, z: float = Z) -> tuple[float, float]:
    """The interval of Wilson (1927) for a share of `hits` in `n`."""
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # The ends are exact at none and at all; rounding would leave them a hair inside.
    low, high = 0.0 if hits == 0 else middle - half, 1.0 if hits == n else middle + half
    return max(0.0, low), min(1.0, high)
