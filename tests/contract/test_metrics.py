"""Every registered metric on truths that are known; and that each check can fail."""

from __future__ import annotations

import json
import warnings
from typing import ClassVar

import numpy as np
import pytest

import validation
from genwright.data.codec import Array
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Group, Measurement, Metric, OfFeatures, Rate
from genwright.evaluation.metrics import usefulness
from genwright.evaluation.validation import in_words, results, validated
from genwright.registry import names
from validation import FILE, QUICK, SEES, SLOW, Subject, asked_of, check, metric


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usefulness, "TREES", 25)


@pytest.mark.parametrize("name", names("metrics"))
def test_what_is_said_of_a_metric_is_what_its_checks_show(name: str) -> None:
    """The quick ones; `python tests/validation.py` writes what has changed."""
    subject = Subject(metric(name))
    found = {one: check(subject, one) for one in asked_of(name)}
    said = {one: why for one, why in results()[name].items() if one not in SLOW}
    assert {one: bool(why) for one, why in found.items()} == {
        one: bool(why) for one, why in said.items()
    }, found


@pytest.mark.journey
@pytest.mark.parametrize("name", names("metrics"))
def test_what_is_said_of_intervals_is_so(name: str) -> None:
    subject = Subject(metric(name))
    assert {one: bool(check(subject, one)) for one in SLOW} == {
        one: bool(results()[name][one]) for one in SLOW
    }


def test_every_metric_was_asked_and_none_else() -> None:
    assert set(results()) == set(names("metrics"))
    assert json.loads(FILE.read_text()) == results()
    for name, checks in results().items():
        assert set(checks) == {*asked_of(name), *SLOW}, name
    assert set().union(*(who.split() for who in SEES.values())) <= set(names("metrics"))


def test_who_speaks_and_one_from_elsewhere_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    # Both take examples that are too ordinary for copies; they are shown, with this reason.
    silent = {"c_t", "authenticity"}
    assert {name for name in results() if not validated(name)} == silent
    assert all("not copied" in in_words(name) for name in silent)
    assert in_words("kid") == f"passes {len(results()['kid'])} checks on cases whose answer is known"
    assert not validated("from_elsewhere")
    assert "not checked" in in_words("from_elsewhere")
    failed = {"kid": {"itself": "", "row_order": "1e-3 off"}}
    monkeypatch.setattr("genwright.evaluation.validation.results", lambda: failed)
    assert not validated("kid")
    assert in_words("kid") == "row order: 1e-3 off"


# -- every check can fail --------------------------------------------------------------------------


class Good(OfFeatures):
    """Distance of the means: what the others below are spoilt versions of."""

    name = "good"
    group: ClassVar[Group] = "fidelity"
    better = "lower"
    ideal = 0.0
    how = "lower is better"

    def between(self, held: Array, fake: Array, rng: np.random.Generator) -> float:
        return float(np.linalg.norm(held.mean(0) - fake.mean(0)))


class Blind(Good):
    def between(self, held: Array, fake: Array, rng: np.random.Generator) -> float:
        return 0.0


class Offset(Good):
    def between(self, held: Array, fake: Array, rng: np.random.Generator) -> float:
        return 40 + super().between(held, fake, rng)


class Narrow(Good):
    """Its interval is a tenth of what it should be."""

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        r = super()._read(evidence, rng)
        return Measurement(r.value, r.value - 0.1 * r.error, r.value + 0.1 * r.error, r.n)


class First(Good):
    """Looks at the first half alone."""

    def between(self, held: Array, fake: Array, rng: np.random.Generator) -> float:
        return super().between(held[: len(held) // 2], fake, rng)


class Restless(Good):
    """Draws from no seed."""

    def between(self, held: Array, fake: Array, rng: np.random.Generator) -> float:
        return super().between(held, fake, rng) + float(np.random.default_rng().random())


class Fragile(Good):
    """By the logarithm of a range, which may be none."""

    def between(self, held: Array, fake: Array, rng: np.random.Generator) -> float:
        return float(np.log(np.ptp(fake, axis=0).min()))


class Loud(Good):
    def between(self, held: Array, fake: Array, rng: np.random.Generator) -> float:
        warnings.warn("not so sure", stacklevel=2)
        return super().between(held, fake, rng)


class Fourth(Good):
    """By fourth powers, where one example weighs all."""

    def between(self, held: Array, fake: Array, rng: np.random.Generator) -> float:
        return float(np.abs((held**4).mean(0) - (fake**4).mean(0)).mean())


class Backwards(Good):
    better = "higher"
    ideal = None

    def between(self, held: Array, fake: Array, rng: np.random.Generator) -> float:
        return float(np.abs(held.std(0) - fake.std(0)).mean())


class Unsure(Rate):
    """No copy is ever found."""

    name = "unsure"
    group: ClassVar[Group] = "novelty"
    better = "lower"
    how = "lower is better"

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        return 0, len(evidence.fake)


class Jealous(Unsure):
    """What varies little is called a copy."""

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        spread = evidence.fake.features.std() / evidence.held.features.std()
        return round(len(evidence.fake) * max(0.0, 1 - spread)), len(evidence.fake)


SPOILT: list[tuple[type[Metric], str]] = [
    (Offset, "itself"),
    (Narrow, "floor"),
    (First, "row_order"),
    (Restless, "seed"),
    (Fragile, "degenerate"),
    (Loud, "degenerate"),
    (Fourth, "outlier"),
    (Backwards, "order"),
    (Backwards, "ladder"),
    (Blind, "ladder"),
    (Blind, "independence"),
    (Blind, "missing_mode"),
    (Blind, "new_mode"),
    (Blind, "collapse"),
    (Unsure, "all_copied"),
    (Unsure, "tenth_copied"),
    (Unsure, "hundredth_copied"),
    (Jealous, "not_copied"),
]


@pytest.mark.parametrize(("spoilt", "name"), SPOILT, ids=lambda x: getattr(x, "__name__", x))
def test_a_spoilt_metric_fails(spoilt: type[Metric], name: str) -> None:
    assert check(Subject(spoilt()), name)


def test_all_checks_were_seen_to_fail() -> None:
    assert {name for _, name in SPOILT} == set(QUICK)


@pytest.mark.parametrize("name", ["itself", "floor", "row_order", "seed", "degenerate", "new_mode"])
def test_the_unspoilt_metric_passes(name: str) -> None:
    assert check(Subject(Good()), name) == ""


def test_an_interval_that_is_too_narrow_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "TRIALS", 60)
    for made, fails in ((Good(), False), (Narrow(), True)):
        validation._trials.cache_clear()
        monkeypatch.setattr(validation, "metric", lambda name, made=made: made)
        assert bool(check(Subject(made), "interval")) == fails
    validation._trials.cache_clear()
