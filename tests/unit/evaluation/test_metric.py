"""The three kinds of number, and the intervals they come with."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Group, MeanScore, Metric, OfFeatures, Rate, wilson
from genwright.registry import build, names
from genwright.testing.examples import evidence


class Shift(OfFeatures):
    """Difference of the means of the first feature."""

    name = "shift"
    group: ClassVar[Group] = "fidelity"
    better = "near"
    how = "0 is best"

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return float(fake[:, 0].mean() - test[:, 0].mean())


class Positive(Rate):
    """Share of generated examples above 0."""

    name = "positive"
    group: ClassVar[Group] = "fidelity"
    better = "near"
    how = "a half is best"

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        first = evidence.fake.features[:, 0]
        return int((first > 0).sum()), len(first)


class First(MeanScore):
    """Mean of the first feature."""

    name = "first"
    group: ClassVar[Group] = "fidelity"
    better = "near"
    how = "0 is best"

    def scores(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        return np.asarray(evidence.fake.features[:, 0])


def normal(seed: int, n: int = 100) -> Evidence:
    rng = np.random.default_rng(seed)
    return evidence(rng.normal(size=(n, 2)), rng.normal(0.5, 1, size=(n, 2)))


@pytest.mark.parametrize(("metric", "truth"), [(Shift(), 0.5), (Positive(), 0.6915), (First(), 0.5)])
def test_an_interval_holds_the_truth_as_often_as_it_says(
    metric: Shift | Positive | First, truth: float
) -> None:
    measurements = [metric.read(normal(seed), seed) for seed in range(200)]
    holds = np.mean([r.low <= truth <= r.high for r in measurements])
    assert 0.90 <= holds <= 0.99


def test_wilson_against_published_values() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 97)[0] == 0.0
    assert wilson(97, 97)[1] == 1.0


def test_the_same_seed_reads_the_same() -> None:
    assert Shift().read(normal(0), 3) == Shift().read(normal(0), 3)
    assert Shift().read(normal(0), 3) != Shift().read(normal(0), 4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    case = normal(0)
    case.fake.features[3, 1] = bad
    with pytest.raises(
        DataError, match="shift: some generated examples hold values that are not finite"
    ):
        Shift().read(case)


def test_too_few_are_refused_with_the_number_needed() -> None:
    with pytest.raises(DataError, match="shift needs 10 examples of each, there are 9"):
        Shift().read(normal(0, 9))


def test_a_half_repeats_nothing() -> None:
    seen: list[Array] = []

    class Seen(Shift):
        def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
            seen.extend([test, fake])
            return super().compare(test, fake, rng)

    Seen().read(normal(0))
    assert [len(rows) for rows in seen] == [100, 100] + [50] * 48
    assert all(len(np.unique(rows, axis=0)) == len(rows) for rows in seen)
    assert not np.array_equal(seen[2], seen[4])


@pytest.mark.parametrize("name", names("metrics"))
def test_the_same_fault_has_the_same_code_in_every_metric(name: str) -> None:
    made: Metric = build("metrics", name, {}, where="metric")
    rows = np.random.default_rng(0).normal(size=(1000, 2))
    broken = np.full((1000, 2), np.nan)
    for fake, code in ((rows[:3], "too-few-examples"), (broken, "not-finite")):
        with pytest.raises(DataError) as refused:
            made.read(evidence(rows, fake))
        assert refused.value.code == code
