"""Every registered metric on truths that are known; and that each check can fail."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from genwright import registry
from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import (
    Group,
    Measurement,
    Metric,
    OfFeatures,
    OfPairs,
    Rate,
    Statistic,
)
from genwright.evaluation.metrics import usefulness
from genwright.evaluation.validation import FILE, check_results, in_words, validated
from genwright.registry import names, resolve
from genwright.testing import check_metric, validate
from genwright.testing import metrics as checks
from genwright.testing import pairs as of_pairs
from genwright.testing.metrics import QUICK, SLOW, Subject, checks_for, run_checks, subject_of
from genwright.testing.pairs import PAIRED, PairSubject


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usefulness, "TREES", 25)


LONG = frozenset(
    {
        "singling_out",
        "c2st",
        "longest_copy",
        "tstr",
        "mauve",
        "novel_ngrams",
        "discriminative",
        "pitch_classes",
        "playable",
        "parallels",
        "valid_molecules",
        "unique_molecules",
        "autocorrelation",
        "attribute_inference",
        "internal_diversity",
        "transposed_copies",
        "lengths",
        "music_repetition",
        "ngram_js",
        "molecular_properties",
        "new_molecules",
        "rhythms",
        "clipped_coverage",
        "density",
        "distinct",
    }
)
"""Metrics whose quick checks take long too: for `make journey`."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.journey] if n in LONG else []) for n in names("metrics")],
)
def test_what_is_said_of_a_metric_is_what_its_checks_show(name: str) -> None:
    """The quick ones; `python -m genwright.testing.validate` writes what has changed."""
    subject = subject_of(name)
    found = run_checks(subject, checks_for(subject.metric, slow=False))
    said = {one: why for one, why in check_results()[name].items() if one not in SLOW}
    assert {one: bool(why) for one, why in found.items()} == {
        one: bool(why) for one, why in said.items()
    }, found


@pytest.mark.journey
@pytest.mark.parametrize("name", names("metrics"))
def test_what_is_said_of_intervals_is_so(name: str) -> None:
    found = run_checks(subject_of(name), SLOW)
    assert {one: bool(why) for one, why in found.items()} == {
        one: bool(check_results()[name][one]) for one in SLOW
    }


def test_every_metric_was_asked_and_none_else() -> None:
    assert set(check_results()) == set(names("metrics"))
    assert json.loads(FILE.read_text()) == check_results()
    for name, found in check_results().items():
        metric = resolve("metrics", name)
        assert set(found) == set(checks_for(metric())), name
        assert set(metric.sees or ()) <= set(PAIRED if issubclass(metric, OfPairs) else QUICK), name


def test_all_that_are_built_in_may_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {name for name in check_results() if not validated(name)} == set()
    assert (
        in_words("kid") == f"passes {len(check_results()['kid'])} checks on cases whose answer is known"
    )
    assert not validated("from_elsewhere")
    assert "not checked" in in_words("from_elsewhere")
    failed = {"kid": {"itself": "", "row_order": "1e-3 off"}}
    monkeypatch.setattr("genwright.evaluation.validation.check_results", lambda: failed)
    assert not validated("kid")
    assert in_words("kid") == "row order: 1e-3 off"


# -- a metric of another package -------------------------------------------------------------------

PLUGIN = """
import numpy as np
from genwright.evaluation.metric import Statistic

class Loudness(Statistic):
    \"\"\"Difference of the mean loudness of sounds.\"\"\"
    name, group, better, ideal, reads = "loudness", "fidelity", "lower", 0.0, "waveform"
    sees, how = ("ladder",), "lower is better"

    def rows(self, evidence, rng):
        sets = (evidence.test, evidence.fake)
        test, fake = (np.sqrt((one.view("waveform") ** 2).mean((1, 2)))[:, None] for one in sets)
        return test, fake, lambda test, fake, rng: float(abs(test.mean() - fake.mean()))
"""


def test_a_metric_of_another_package_is_checked_by_the_same_checks_and_may_speak_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sound_metrics.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    table = dict(registry.KINDS["metrics"]) | {"loudness": "sound_metrics:Loudness"}
    monkeypatch.setitem(registry.KINDS, "metrics", table)
    monkeypatch.setattr(checks, "TRIALS", 20)
    registry._table.cache_clear()
    check_results.cache_clear()
    try:
        assert not validated("loudness")
        found = check_metric(resolve("metrics", "loudness"))
        assert set(found) >= {"itself", "real_baseline", "ladder", "interval"}
        assert not any(found.values()), found
        monkeypatch.setattr(sys, "argv", ["validate", "loudness"])
        before = FILE.read_bytes()
        validate.write_results()
        assert FILE.read_bytes() == before
        assert (tmp_path / "validation.json").is_file()
        check_results.cache_clear()
        assert validated("loudness")
    finally:
        monkeypatch.undo()
        registry._table.cache_clear()
        check_results.cache_clear()


def test_a_view_without_a_world_is_refused() -> None:
    class Graphs(Statistic):
        name, group, better, reads, how = "graphs", "fidelity", "lower", "graph", "?"

        def rows(self, evidence: Evidence, rng: np.random.Generator) -> None:
            raise AssertionError

    with pytest.raises(DataError) as refused:
        check_metric(Graphs)
    assert refused.value.code == "no-view"


# -- every check can fail --------------------------------------------------------------------------


class Good(OfFeatures):
    """Distance of the means: what the others below are spoilt versions of."""

    name = "good"
    group: ClassVar[Group] = "fidelity"
    better = "lower"
    ideal = 0.0
    how = "lower is better"

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return float(np.linalg.norm(test.mean(0) - fake.mean(0)))


class Blind(Good):
    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return 0.0


class Offset(Good):
    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return 40 + super().compare(test, fake, rng)


class Narrow(Good):
    """Its interval is a tenth of what it should be."""

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        r = super()._read(evidence, rng)
        return Measurement(r.value, r.value - 0.1 * r.error, r.value + 0.1 * r.error, r.n)


class First(Good):
    """Looks at the first half alone."""

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return super().compare(test[: len(test) // 2], fake, rng)


class Restless(Good):
    """Draws from no seed."""

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return super().compare(test, fake, rng) + float(np.random.default_rng().random())


class Fragile(Good):
    """By the logarithm of a range, which may be none."""

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return float(np.log(np.ptp(fake, axis=0).min()))


class Loud(Good):
    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        warnings.warn("not so sure", stacklevel=2)
        return super().compare(test, fake, rng)


class Fourth(Good):
    """By fourth powers, where one example weighs all."""

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return float(np.abs((test**4).mean(0) - (fake**4).mean(0)).mean())


class Backwards(Good):
    better = "higher"
    ideal = None

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        return float(np.abs(test.std(0) - fake.std(0)).mean())


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
        spread = evidence.fake.features.std() / evidence.test.features.std()
        return round(len(evidence.fake) * max(0.0, 1 - spread)), len(evidence.fake)


SPOILT: list[tuple[type[Metric], str]] = [
    (Offset, "itself"),
    (Narrow, "real_baseline"),
    (First, "row_order"),
    (Restless, "seed"),
    (Fragile, "degenerate"),
    (Loud, "degenerate"),
    (Fourth, "outlier"),
    (Backwards, "order"),
    (Backwards, "ladder"),
    (Blind, "ladder"),
    (Blind, "independence"),
    (Blind, "ignored"),
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
    assert run_checks(Subject(spoilt()), [name])[name]


def test_all_checks_were_seen_to_fail() -> None:
    assert {name for _, name in SPOILT} == set(QUICK)


@pytest.mark.parametrize(
    "name", ["itself", "real_baseline", "row_order", "seed", "degenerate", "new_mode"]
)
def test_the_unspoilt_metric_passes(name: str) -> None:
    assert run_checks(Subject(Good()), [name]) == {name: ""}


def test_an_interval_that_is_too_narrow_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "TRIALS", 60)
    for made, fails in ((Good(), False), (Narrow(), True)):
        assert bool(run_checks(Subject(made), SLOW)["interval"]) == fails


# -- and of those of answers -----------------------------------------------------------------------


class Near(OfPairs):
    """Mean distance of features: what the others below are spoilt versions of."""

    name, better, ideal, how = "near", "lower", 0.0, "lower is better"

    def gaps(self, made: Array, true: Array) -> Array:
        return np.linalg.norm(made - true, axis=1)

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        assert evidence.pairs is not None
        gaps = self.gaps(evidence.pairs.made.features, evidence.pairs.true.features)
        return np.column_stack([gaps, np.ones(len(gaps))])


class Blinded(Near):
    def gaps(self, made: Array, true: Array) -> Array:
        return np.zeros(len(made))


class Shifted(Near):
    def gaps(self, made: Array, true: Array) -> Array:
        return 1 + super().gaps(made, true)


class OfSets(Near):
    """Looks at what was made alone, whatever was asked."""

    def gaps(self, made: Array, true: Array) -> Array:
        return np.full(len(made), np.linalg.norm(made.mean(0) - true.mean(0)))


class Placed(Near):
    """The place of a pair counts."""

    def gaps(self, made: Array, true: Array) -> Array:
        return super().gaps(made, true) * np.arange(len(made))


class Uneasy(Near):
    def gaps(self, made: Array, true: Array) -> Array:
        return super().gaps(made, true) + float(np.random.default_rng().random())


class Brittle(Near):
    def gaps(self, made: Array, true: Array) -> Array:
        gaps = super().gaps(made, true)
        return gaps / np.ptp(true, axis=0).min()


class Steep(Near):
    """By the fourth power of the farthest, where one answer weighs all."""

    def gaps(self, made: Array, true: Array) -> Array:
        return np.full(len(made), super().gaps(made, true).max() ** 4)


class Certain(Near):
    def measured(self, rows: Array) -> Measurement:
        r = super().measured(rows)
        return Measurement(r.value, r.value - 0.1 * r.error, r.value + 0.1 * r.error, r.n)


SPOILT_PAIRS: list[tuple[type[OfPairs], str]] = [
    (Shifted, "itself"),
    (Certain, "real_baseline"),
    (Placed, "row_order"),
    (Uneasy, "seed"),
    (Brittle, "degenerate"),
    (Steep, "outlier"),
    (OfSets, "order"),
    (Blinded, "ladder"),
    (OfSets, "ignored"),
    (Blinded, "collapse"),
]


@pytest.mark.parametrize(("spoilt", "name"), SPOILT_PAIRS, ids=lambda x: getattr(x, "__name__", x))
def test_a_spoilt_metric_of_answers_fails(spoilt: type[OfPairs], name: str) -> None:
    assert run_checks(PairSubject(spoilt()), [name])[name]


def test_all_checks_of_answers_were_seen_to_fail_and_the_unspoilt_passes() -> None:
    assert {name for _, name in SPOILT_PAIRS} == set(PAIRED)
    assert run_checks(PairSubject(Near()), PAIRED) == dict.fromkeys(PAIRED, "")


def test_an_interval_of_answers_that_is_too_narrow_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_pairs, "TRIALS", 60)
    for made, fails in ((Near(), False), (Certain(), True)):
        assert bool(run_checks(PairSubject(made), SLOW)["interval"]) == fails


def test_a_metric_of_answers_that_fits_no_world_is_refused() -> None:
    class Misfit(Near):
        def fits(self, evidence: Evidence) -> bool:
            return False

    with pytest.raises(DataError) as refused:
        check_metric(Misfit)
    assert refused.value.code == "no-view"
