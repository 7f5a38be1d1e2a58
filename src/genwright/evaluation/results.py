"""What an evaluation says: plain values, the same on the page, on the terminal and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from genwright.data.codec import Preview
from genwright.evaluation.metric import Group, Measurement

__all__ = ["Claim", "EvaluationReport", "Gallery", "MetricResult"]

HOLD_NONE = ("marginals", "copula")
"""Trivial generators that draw no training example nor a part of one."""


@dataclass(frozen=True)
class MetricResult:
    """One metric with its company.

    model          of the generated examples; None where it could not be measured, then `refused` says why
    real_baseline  of further real examples: as good as it gets with so many (the report says "floor")
    train_copy     of a copy of training examples (the report says "copycat")
    baselines      of trivial generators, by name
    validation     what its checks on known cases have shown; it speaks in the verdict only if `validated`
    skill          (best baseline - model) / (best baseline - real baseline): 1 is as good as real, 0 as bad
                   as trivial; None where the baselines are no worse than real
    lead           by how much the model is nearer to `real_baseline` than the best baseline, example by example;
                   None where the two did not answer the same questions
    heeded         the same beside the model's own answers to other questions: what is given makes that difference
    exchangeable, equal  see `Metric`
    """

    metric: str
    group: Group
    better: Literal["lower", "higher", "near"]
    how: str
    validated: bool
    model: Measurement | None
    real_baseline: Measurement | None = None
    train_copy: Measurement | None = None
    baselines: Mapping[str, Measurement] = field(default_factory=dict)
    skill: float | None = None
    refused: str = ""
    validation: str = ""
    fault: Literal["above", "below", "either"] = "either"
    lead: Measurement | None = None
    heeded: Measurement | None = None
    exchangeable: bool = False
    equal: float | None = None

    def far(self, measurement: Measurement) -> float:
        """How much worse than real `measurement` is, in the metric's own unit; below 0 where it is better.
        Without a real baseline, how much worse than 0."""
        centre = self.real_baseline.value if self.real_baseline is not None else 0.0
        gap = measurement.value - centre
        return abs(gap) if self.better == "near" else gap if self.better == "lower" else -gap

    def faulty(self, measurement: Measurement) -> float:
        """`far`, but below 0 on the side of the real baseline that is no fault, and 0 where real ones are worse."""
        if self.equal is not None and self.real_baseline is not None:
            of, real = (abs(one.value - self.equal) for one in (measurement, self.real_baseline))
            if of <= real:
                return 0.0
        if self.real_baseline is None or self.better != "near" or self.fault == "either":
            return self.far(measurement)
        gap = measurement.value - self.real_baseline.value
        return gap if self.fault == "above" else -gap

    @property
    def of_no_copier(self) -> Measurement | None:
        """Further real examples; of a metric that takes training and held-out ones to be of one kind, the worst of them
        and of trivial generators that hold no training example."""
        held = HOLD_NONE if self.exchangeable else ()
        known = [self.baselines[name] for name in held if name in self.baselines]
        if self.real_baseline is None:
            return None
        return max([self.real_baseline, *known], key=self.faulty)

    @property
    def best(self) -> str | None:
        """The baseline that is hardest to beat; None where nothing says which."""
        if not self.baselines or (self.better == "near" and self.real_baseline is None):
            return None
        return min(self.baselines, key=lambda name: self.far(self.baselines[name]))


@dataclass(frozen=True)
class Claim:
    """One sentence of the verdict."""

    outcome: Literal["supported", "not supported", "inconclusive"]
    question: str
    """Such as "Does it look real?"."""
    because: str
    instead: str = ""
    """The baseline that did better, where one can answer in the place of the model."""


@dataclass(frozen=True)
class Gallery:
    """Examples to look at, each row of them with a caption."""

    title: str
    note: str
    rows: tuple[tuple[str, Preview], ...]


@dataclass(frozen=True)
class EvaluationReport:
    """The whole report. `facts` is the data card: what was compared, sizes, seed, feature
    extractor, versions, command."""

    title: str
    claims: tuple[Claim, ...]
    facts: Mapping[str, Any]
    results: tuple[MetricResult, ...]
    galleries: tuple[Gallery, ...] = ()
    not_measured: tuple[str, ...] = ()
