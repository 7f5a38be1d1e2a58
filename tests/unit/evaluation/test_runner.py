"""From readings to words."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.metric import Group, Measurement, OfFeatures
from genwright.evaluation.metrics.distances import Kid
from genwright.evaluation.ranking import rank
from genwright.evaluation.results import EvaluationReport, MetricResult
from genwright.evaluation.runner import _skill, claims, metrics, protocol, results
from genwright.testing.examples import evidence


def measurement(value: float, error: float = 0.01, n: int = 1000) -> Measurement:
    return Measurement(value, value - 1.96 * error, value + 1.96 * error, n)


def result(model: float, **more: object) -> MetricResult:
    base = MetricResult(
        metric="fd",
        group="fidelity",
        better="lower",
        how="",
        validated=True,
        model=measurement(model),
        real_baseline=measurement(1.0),
        train_copy=measurement(1.0),
        baselines={"marginals": measurement(5.0), "mix": measurement(3.0)},
    )
    made = replace(base, **more)  # type: ignore[arg-type]
    return replace(made, skill=_skill(made))


def said(*results: MetricResult) -> dict[str, str]:
    return {f.question: f.outcome for f in claims(results)}


REAL = "Can it not be told from real examples?"
TRIVIAL = "Is it better than trivial generators?"
NEW = "Is it new rather than copied?"


def test_skill_is_1_at_the_floor_and_0_at_the_best_baseline() -> None:
    assert result(1.0).skill == pytest.approx(1)
    assert result(3.0).skill == pytest.approx(0)
    assert result(5.0).skill == pytest.approx(-1)


def test_a_twin_of_another_metric_is_asked_by_its_name_alone() -> None:
    one = evidence(np.zeros((20, 2)), np.zeros((20, 2)))
    twins = {"density", "coverage"}
    by_default = {metric.name for metric in metrics(one)}
    assert not twins & by_default
    assert {f"clipped_{name}" for name in twins} < by_default
    assert {metric.name for metric in metrics(one, sorted(twins))} == twins


@pytest.mark.parametrize("better", ["lower", "higher", "near"])
def test_skill_knows_the_direction(better: str) -> None:
    sign = -1 if better == "higher" else 1
    model, real_baseline, trivial = (measurement(sign * v) for v in (2.0, 1.0, 3.0))
    found = replace(
        result(0), better=better, model=model, real_baseline=real_baseline, baselines={"t": trivial}
    )
    assert _skill(found) == pytest.approx(0.5)


def test_no_skill_where_trivial_generators_are_as_good_as_real() -> None:
    assert result(1.0, baselines={"t": measurement(1.01)}).skill is None
    assert result(1.0, real_baseline=None).skill is None


def test_the_verdict_follows_the_readings() -> None:
    assert said(result(1.0)) == {TRIVIAL: "supported", REAL: "supported"}
    assert said(result(1.5)) == {TRIVIAL: "supported", REAL: "not supported"}
    assert said(result(4.0)) == {TRIVIAL: "not supported", REAL: "not supported"}


def test_few_examples_support_nothing() -> None:
    few = replace(result(1.0), model=measurement(1.0, 0.3, 50))
    assert said(few)[REAL] == "inconclusive"


def test_copying_is_a_fault_of_its_own() -> None:
    copies = result(0.2, metric="exact_copies", group="novelty", real_baseline=measurement(0.0))
    assert said(copies) == {NEW: "not supported"}


def test_a_ratio_nearer_to_1_than_further_real_examples_is_no_fault() -> None:
    """Those of another season are of another variety than the held-out ones."""
    varied = "Is it as varied as the real examples?"

    def outcome(value: float, equal: float | None) -> str:
        more = {"metric": "vendi", "group": "diversity", "better": "near", "equal": equal}
        return said(result(value, real_baseline=measurement(0.6), **more))[varied]

    assert [outcome(value, 1.0) for value in (0.95, 1.3, 0.3, 1.6)] == [
        *("supported", "supported", "not supported", "not supported")
    ]
    assert outcome(0.95, None) == "not supported"


def test_only_what_is_nearer_than_real_is_copied() -> None:
    def outcome(value: float, fault: str) -> str:
        near = replace(
            result(1.0),
            metric="c_t",
            group="novelty",
            better="near",
            fault=fault,
            model=measurement(value),
        )
        return said(near)[NEW]

    assert outcome(0.5, "below") == outcome(1.5, "above") == "not supported"
    assert outcome(1.5, "below") == outcome(0.5, "above") == "supported"
    assert outcome(1.5, "either") == outcome(0.5, "either") == "not supported"


def test_what_a_generator_that_cannot_copy_shows_too_is_no_copying() -> None:
    """Held-out examples of later years are far from all that was learnt."""
    near = replace(
        result(1.0, metric="membership", group="novelty", real_baseline=measurement(0.05)),
        baselines={"copula": measurement(1.0), "mix": measurement(0.9)},
        exchangeable=True,
    )
    assert said(near)[NEW] == "supported"
    assert said(replace(near, baselines={"copula": measurement(0.1)}))[NEW] == "not supported"
    assert said(replace(near, baselines={"mix": measurement(1.0)}))[NEW] == "not supported"
    assert said(replace(near, exchangeable=False))[NEW] == "not supported"


def test_what_is_known_from_little_is_no_fault() -> None:
    """.99 that may be .34: half the width of the interval would call it 2.8 standard errors from .51."""
    share = replace(
        result(0),
        metric="nearest_share",
        group="novelty",
        better="near",
        fault="above",
        model=Measurement(0.99, 0.342, 1.0, 1000),
        real_baseline=Measurement(0.513, 0.478, 0.548, 1000),
    )
    assert said(share)[NEW] == "supported"
    assert said(replace(share, model=Measurement(0.99, 0.97, 1.0, 1000)))[NEW] == "not supported"


def test_one_of_many_metrics_needs_more_than_a_stray() -> None:
    """At two standard errors one of 20 strays by chance; Holm does not fall for it."""
    strays = result(1.0 + 2.2 * 0.0141)
    assert said(strays, *[result(1.0, metric=f"m{i}") for i in range(20)])[REAL] == "supported"


def test_an_unvalidated_metric_does_not_speak() -> None:
    assert said(result(9.0, validated=False)) == {}


def judged(title: str, value: float, error: float = 0.01) -> EvaluationReport:
    return EvaluationReport(title, (), {}, (replace(result(value), model=measurement(value, error)),))


def test_what_was_measured_differently_is_not_ranked() -> None:
    one, other = judged("a", 1.0), judged("b", 2.0)
    with pytest.raises(DataError, match=r"their lens differ \(pca-1, pca-2\)"):
        rank([replace(one, facts={"lens": "pca-1"}), replace(other, facts={"lens": "pca-2"})])


def outcomes(*judgements: EvaluationReport) -> list[str]:
    found = rank(judgements)
    return [one.outcome for one in (*found.rounds, found)]


def test_only_what_is_clear_is_ranked() -> None:
    found = rank([judged("a", 2.0), judged("b", 1.0)])
    assert found.rounds[0].ranks == found.ranks == {"a": 2, "b": 1}
    assert found.rounds[0].outcome == found.outcome == "b before a"
    noisy = rank([judged("a", 2.0, 1.0), judged("b", 1.0, 1.0)])
    assert noisy.outcome == noisy.rounds[0].outcome == "inconclusive"
    assert noisy.ranks == {"a": 1, "b": 1}
    assert outcomes(judged("a", 1.010, 1e-5), judged("b", 1.0, 1e-5)) == ["inconclusive"] * 2


def many(title: str, *values: float) -> EvaluationReport:
    """A judgement with a line for each value, of standard error 0.1."""
    results = [
        replace(result(v, metric=f"m{i}"), model=measurement(v, 0.1)) for i, v in enumerate(values)
    ]
    return EvaluationReport(title, (), {}, tuple(results))


def test_overall_one_is_before_another_if_better_in_some_question_and_worse_in_none() -> None:
    assert outcomes(many("a", 1, 1, 1, 2), many("b", 2, 2, 2, 1))[-1] == "a before b"
    assert outcomes(many("a", 1, 1, 2), many("b", 2, 2, 1))[-1] == "inconclusive"
    # What tells nobody apart does not count.
    assert outcomes(many("a", 1, 1, 1, 1), many("b", 1, 1, 1, 2))[-1] == "a before b"
    three = rank([many("a", 3, 3), many("b", 1, 1), many("c", 2, 2)])
    assert three.ranks == {"a": 3, "b": 1, "c": 2}
    assert three.rounds[0].outcome == "b before c; b before a; c before a"
    # Five times more like real column by column, and of no use.
    columns, useful = many("columns", 1, 1, 1, 1, 1, 3), many("useful", 2, 2, 2, 2, 2, 1)
    assert outcomes(columns, useful)[-1] == "columns before useful"
    for judgement in (columns, useful):
        object.__setattr__(
            judgement,
            "results",
            (*judgement.results[:5], replace(judgement.results[5], group="usefulness")),
        )
    assert outcomes(columns, useful)[-1] == "inconclusive"


def test_to_be_better_than_real_is_no_merit() -> None:
    assert outcomes(many("a", 0.2), many("b", 1.0)) == ["inconclusive", "inconclusive"]


def test_one_stray_of_many_comparisons_orders_nothing() -> None:
    """At 2.5 standard errors of the difference one of 40 strays by chance."""
    stray = 1 + 2.5 * 0.1 * 2**0.5
    assert outcomes(many("a", 1), many("b", stray))[-1] == "a before b"
    assert outcomes(many("a", *[1.0] * 40), many("b", stray, *[1.0] * 39))[-1] == "inconclusive"


def test_a_model_is_not_ranked_against_itself() -> None:
    with pytest.raises(DataError, match="name each once"):
        rank([judged("a", 1.0), judged("a", 1.0)])


class Broken(OfFeatures):
    name = "broken"
    group: ClassVar[Group] = "fidelity"
    better = "lower"
    how = "not at all"

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        raise ZeroDivisionError("oh")


def test_a_metric_that_breaks_ends_no_judgement() -> None:
    rng = np.random.default_rng(0)
    asked = evidence(rng.normal(size=(200, 2)), rng.normal(size=(200, 2)))
    broken, kid = results(asked, {"model": asked.fake}, [Broken(), Kid()], 0)
    assert broken.model is None
    assert broken.refused == "broken broke, which should not have happened: ZeroDivisionError: oh"
    assert kid.model is not None


def test_a_protocol_is_of_the_measure_and_not_of_what_is_measured() -> None:
    rng = np.random.default_rng(0)
    train, test, one, two = (rng.normal(size=(50, 3)) for _ in range(4))
    asked = metrics(evidence(test, one, train), ["fd", "kid"])
    known = protocol(evidence(test, one, train), asked, 0)
    assert known == protocol(evidence(test, two, train), asked, 0)
    others = [
        protocol(evidence(two, one, train), asked, 0),
        protocol(replace(evidence(test, one, train), extractor="another"), asked, 0),
        protocol(evidence(test, one, train), asked[:1], 0),
        protocol(evidence(test, one, train), asked, 1),
    ]
    assert len({known, *others}) == 5
