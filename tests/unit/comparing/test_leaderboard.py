from __future__ import annotations

from dataclasses import replace
from typing import Literal

from genwright.comparing.leaderboard import copied
from genwright.evaluation.metric import Measurement
from genwright.evaluation.results import Claim, EvaluationReport, MetricResult


def measurement(value: float, error: float = 0.01) -> Measurement:
    return Measurement(value, value - error, value + error, 1000)


NEAR = MetricResult(
    metric="singling_out",
    group="novelty",
    better="lower",
    how="",
    validated=True,
    model=measurement(0.10),
    real_baseline=measurement(0.0),
    train_copy=measurement(0.15),
    fault="above",
)


def why(
    result: MetricResult, outcome: Literal["not supported", "inconclusive"] = "not supported"
) -> str:
    claim = Claim(outcome, "Is it new rather than copied?", "")
    return copied(EvaluationReport("", (claim,), {}, (result,)))


def test_who_has_gone_part_of_the_way_to_a_copy_is_disqualified() -> None:
    assert why(NEAR) == (
        "by singling_out it has gone at least 60% of the way from real examples to a plain copy of training ones"
    )
    assert not why(NEAR, "inconclusive")
    assert not why(replace(NEAR, validated=False))
    assert not why(replace(NEAR, model=measurement(0.012)))


def test_what_a_generator_that_holds_no_example_shows_too_disqualifies_nobody() -> None:
    drawn = replace(NEAR, baselines={"marginals": measurement(0.1)})
    assert not why(drawn)
    assert why(replace(drawn, model=measurement(0.14)))
    assert why(replace(NEAR, baselines={"mix": measurement(0.1)}))
