"""The table of a comparison: a row for each model and for each of its company, in order where there is one.

A row's place comes from the judge's own ranking: models that cannot be told apart share one. What copies its training
examples has none, whatever its figures are, and neither has what did not come to its end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy.stats import t as student

from genwright.evaluation.metric import Measurement
from genwright.evaluation.ranking import Ranking, rank
from genwright.evaluation.results import EvaluationReport, MetricResult

__all__ = [
    "COPIES",
    "TRAINED",
    "Contender",
    "Leaderboard",
    "company_rows",
    "copied",
    "leaderboard",
    "pooled",
]

TRAINED, COPIES = "trained", "disqualified: it copies"
COPIED = 0.05
"""Of the way from real examples to a copy of training examples: a model that has surely gone so far copies."""
NAMES = {"real_baseline": "floor", "train_copy": "copycat"}
"""Of the company, as the report has them."""


@dataclass(frozen=True)
class Contender:
    """One contender.

    name      by which the ranking knows it
    family    or what it is else
    outcome   trained, stopped early, disqualified, failed, timed out or refused; of company what it is
    cause     why, in a sentence
    run       its folder, if it has one
    rank      from 1; None where it has none
    metrics   what was measured, by name
    """

    name: str
    family: str
    outcome: str
    cause: str = ""
    run: str | None = None
    rank: int | None = None
    tied: tuple[str, ...] = ()
    best: bool = False
    metrics: Mapping[str, Measurement] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As JSON values; what is not finite is null."""
        metrics = {name: _plain(one) for name, one in self.metrics.items()}
        known = {
            "name": self.name,
            "family": self.family,
            "rank": self.rank,
            "tied": list(self.tied),
            "best": self.best,
            "run": self.run,
            "outcome": self.outcome,
            "cause": self.cause,
        }
        return known | dict(self.about) | {"metrics": metrics}


def _plain(one: Measurement) -> dict[str, float | int | None]:
    bounds = {"value": one.value, "low": one.low, "high": one.high}
    return {name: v if math.isfinite(v) else None for name, v in bounds.items()} | {"n": one.n}


@dataclass(frozen=True)
class Leaderboard:
    """Rows in order, the questions that the metrics ask, and how the order came about.

    ranking  None where there are not two to rank
    folder   where it is written, with its runs
    """

    rows: tuple[Contender, ...]
    results: Mapping[str, MetricResult]
    ranking: Ranking | None
    folder: Path | None = None

    @property
    def best(self) -> Contender | None:
        return next((row for row in self.rows if row.best), None)

    def json(self) -> list[dict[str, Any]]:
        return [row.json() for row in self.rows]


def leaderboard(
    judged: Sequence[tuple[Contender, EvaluationReport]],
    others: Sequence[Contender],
    company: EvaluationReport | None,
) -> Leaderboard:
    """The table of all rows.

    judged   rows of models with their reports, whose titles are the names of the rows
    others   rows of what was not judged
    company  a report whose company stands in the table too
    """
    disqualified = [(replace(row, outcome=COPIES, cause=why), report) for row, report in judged
                    if row.outcome == TRAINED and (why := copied(report))]  # fmt: skip
    out = {row.name for row, _ in disqualified}
    fair = [(row, report) for row, report in judged if row.name not in out and row.outcome == TRAINED]
    unfair = [(row, report) for row, report in judged if row.name not in out and row.outcome != TRAINED]
    found = rank([report for _, report in fair]) if len(fair) > 1 else None
    placed = [_with(row, report) for row, report in _placed(fair, found)]
    rest = [_with(row, report) for row, report in (*disqualified, *unfair)]
    lines = company_rows(company) if company is not None else []
    results: dict[str, MetricResult] = {}
    for report in [report for _, report in judged] + ([company] if company else []):
        results = {one.metric: one for one in report.results} | results
    return Leaderboard((*placed, *rest, *others, *lines), results, found)


def _with(row: Contender, report: EvaluationReport) -> Contender:
    """The row with what was measured."""
    return replace(
        row, metrics={one.metric: one.model for one in report.results if one.model is not None}
    )


def _placed(
    fair: Sequence[tuple[Contender, EvaluationReport]], found: Ranking | None
) -> list[tuple[Contender, EvaluationReport]]:
    """Rows with their ranks, the best first; of those that are tied, the one that is nearer to real by more of the
    metrics that all were asked."""
    ranks = {row.name: 1 if found is None else found.ranks[row.name] for row, _ in fair}
    wins = {row.name: 0.0 for row, _ in fair}
    for one in found.rounds if found is not None else ():
        for name, place in one.ranks.items():
            wins[name] -= place
    distance = {row.name: _distance(report, fair) for row, report in fair}
    order = sorted(
        fair, key=lambda p: (ranks[p[0].name], -wins[p[0].name], distance[p[0].name], p[0].name)
    )
    placed = []
    for number, (row, report) in enumerate(order):
        tied = tuple(sorted(n for n in ranks if n != row.name and ranks[n] == ranks[row.name]))
        row = replace(row, rank=ranks[row.name], tied=tied, best=number == 0)
        placed.append((row, report))
    return placed


def _distance(report: EvaluationReport, fair: Sequence[tuple[Contender, EvaluationReport]]) -> float:
    """How many of the metrics put others nearer to real examples."""
    worse = 0.0
    for one in report.results:
        if one.model is None or not one.validated:
            continue
        for _, other in fair:
            theirs = next((r.model for r in other.results if r.metric == one.metric), None)
            if theirs is not None and max(0.0, one.faulty(theirs)) < max(0.0, one.faulty(one.model)):
                worse += 1
    return worse


def company_rows(report: EvaluationReport) -> list[Contender]:
    """What every model is held against, as rows of the same table."""
    found: dict[str, dict[str, Measurement]] = {"real_baseline": {}, "train_copy": {}}
    for one in report.results:
        for name, measured in (("real_baseline", one.real_baseline), ("train_copy", one.train_copy)):
            if measured is not None:
                found[name][one.metric] = measured
        for name, measured in one.baselines.items():
            found.setdefault(name, {})[one.metric] = measured
    words = {
        "real_baseline": "further real examples: as good as it gets",
        "train_copy": "a copy of training examples",
    }
    return [
        Contender(
            NAMES.get(name, name),
            NAMES.get(name, name),
            words.get(name, "a trivial generator"),
            metrics=m,
        )
        for name, m in found.items()
        if m
    ]


def copied(report: EvaluationReport) -> str:
    """Why a model is disqualified, in words; "" where it is not. The judge has to find it nearer to its training
    examples than new real ones are, and that by more than a little of what a plain copy is."""
    if not any("copied" in one.question and one.outcome == "not supported" for one in report.claims):
        return ""
    shares = {
        one.metric: share
        for one in report.results
        if one.group == "novelty" and one.validated and (share := _copied_share(one)) >= COPIED
    }
    if not shares:
        return ""
    worst = max(shares, key=lambda name: shares[name])
    return (
        f"by {worst} it has gone at least {shares[worst]:.0%} of the way from real examples to a plain copy of "
        f"training ones"
    )


def _copied_share(one: MetricResult) -> float:
    """How far a model has surely gone from what cannot have copied to a copy of training examples. A rare value of a
    column is found again where columns are drawn by themselves, too: that a judge has to say, but no example is copied.
    """
    one = replace(one, real_baseline=replace(one, exchangeable=True).of_no_copier)
    if one.model is None or one.real_baseline is None or one.train_copy is None:
        return 0.0
    whole = one.faulty(one.train_copy)
    if whole <= 0:
        return 0.0
    ends = (replace(one.model, value=v) for v in (one.model.low, one.model.high))
    return min(one.faulty(end) for end in ends) / whole


# -- several trainings of one candidate --------------------------------------------------------------


def pooled(title: str, reports: Sequence[EvaluationReport]) -> EvaluationReport:
    """The mean of several trainings, with intervals that hold how much they differ (Student's, beside that of the
    examples, which are the same for all and so are not averaged away)."""
    if len(reports) == 1:
        return replace(reports[0], title=title)
    first = reports[0]
    results = []
    for one in first.results:
        others = [
            next((r for r in report.results if r.metric == one.metric), None) for report in reports
        ]
        models = [r.model for r in others if r is not None and r.model is not None]
        whole = len(models) == len(reports)
        refused = one.refused or ("" if whole else f"{one.metric} could not be had of every training")
        results.append(replace(one, model=_mean(models) if whole else None, refused=refused, skill=None))
    claims = tuple(claim for report in reports for claim in report.claims)
    return replace(first, title=title, results=tuple(results), claims=claims)


def _mean(models: Iterable[Measurement]) -> Measurement:
    found = list(models)
    n, values = len(found), [one.value for one in found]
    value = fmean(values)
    among = float(np.std(values, ddof=1)) / math.sqrt(n) * float(student.ppf(0.975, n - 1))
    low = math.hypot(among, fmean(one.value - one.low for one in found))
    high = math.hypot(among, fmean(one.high - one.value for one in found))
    return Measurement(value, value - low, value + high, min(one.n for one in found))
