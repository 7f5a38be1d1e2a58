"""Several models by one measure: an order only where the difference is beyond the noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

from genwright.errors import DataError
from genwright.evaluation.metric import Measurement, difference_error
from genwright.evaluation.results import EvaluationReport, MetricResult
from genwright.evaluation.runner import ALPHA, WORTH, holm

__all__ = ["Order", "Ranking", "Round", "rank"]

AHEAD = 0.75
"""Of the metrics of one question that tell two models apart: a share that one must win."""

Win = tuple[str, str]
"""The better model and the worse."""


@dataclass(frozen=True)
class Order:
    """Who is before whom.

    ranks    by model, from 1; models that cannot be told apart share the better rank
    outcome  in words: "A before B", or "inconclusive"
    """

    ranks: Mapping[str, int]
    outcome: str


@dataclass(frozen=True)
class Round(Order):
    """By one metric; with its measurements by model."""

    metric: str
    measurements: Mapping[str, Measurement]


@dataclass(frozen=True)
class Ranking(Order):
    """Over all rounds: a model is before another if it is better in some question (fidelity, diversity,
    novelty, ...) and worse in none. It is better in a question if it is in three quarters of its metrics
    that tell the two apart; and to be farther from copying, say, than real examples are is no merit."""

    rounds: tuple[Round, ...]


def rank(judgements: Sequence[EvaluationReport]) -> Ranking:
    """A round for each metric that all could be asked and that passed its validation, and the order overall.

    So many pairs are compared that some would differ by chance: Holm (1979) over all of them, so that of
    equally good models one is put before another, in any round, in 1 of 20 rankings.
    Raises `DataError` where the models were not judged by one measure.
    """
    for what in ("data", "lens", "held-out examples"):
        found = {str(judgement.facts.get(what)) for judgement in judgements}
        if len(found) > 1:
            raise DataError(
                f"these cannot be ranked, since their {what} differ ({', '.join(sorted(found))}): compare "
                f"models of one data set, with one seed and one -n",
                code="not-comparable",
            )
    names = [judgement.title for judgement in judgements]
    if len(set(names)) < len(names):
        raise DataError(
            f"a model cannot be ranked against itself: name each once ({', '.join(names)})",
            code="ranked-twice",
        )
    asked = _asked(judgements)
    compared = [
        ((metric, _ordered(results, pair)), _p(results, pair))
        for metric, results in asked.items()
        for pair in combinations(names, 2)
    ]
    wins: dict[str, set[Win]] = {metric: set() for metric in asked}
    for (metric, win), _ in holm(compared, ALPHA):
        if _worth(asked[metric], win):
            wins[metric].add(win)
    rounds = tuple(_round(metric, results, wins[metric]) for metric, results in asked.items())
    groups = {metric: next(iter(results.values())).group for metric, results in asked.items()}
    overall = _overall(names, wins, groups)
    return Ranking(_ranks(names, overall), _words(names, overall), rounds)


def _asked(judgements: Sequence[EvaluationReport]) -> dict[str, dict[str, MetricResult]]:
    """For each metric that all models have a measurement of, their results by name."""
    tables = [{result.metric: result for result in judgement.results} for judgement in judgements]
    return {
        metric: {j.title: table[metric] for j, table in zip(judgements, tables, strict=True)}
        for metric in tables[0]
        if all(
            (result := table.get(metric)) is not None and result.model is not None and result.validated
            for table in tables
        )
    }


def _of_model(result: MetricResult) -> Measurement:
    assert result.model is not None
    return result.model


def _ordered(results: Mapping[str, MetricResult], pair: Win) -> Win:
    """The pair with the better one first."""
    a, b = pair
    return (a, b) if _gap(results, (a, b)) >= 0 else (b, a)


def _gap(results: Mapping[str, MetricResult], pair: Win) -> float:
    """By how much the second is worse than the first, neither being better than real."""
    near, far = (max(0.0, results[name].faulty(_of_model(results[name]))) for name in pair)
    return far - near


def _p(results: Mapping[str, MetricResult], pair: Win) -> float:
    """Chance of such a gap, in either direction, between equally good models."""
    gap, noise = abs(_gap(results, pair)), difference_error(*(_of_model(results[name]) for name in pair))
    if noise == 0:
        return 1.0 if gap == 0 else 0.0
    return 2 * NormalDist().cdf(-gap / noise)


def _worth(results: Mapping[str, MetricResult], win: Win) -> bool:
    return _gap(results, win) > WORTH * max(abs(_of_model(results[name]).value) for name in win)


def _round(metric: str, results: Mapping[str, MetricResult], wins: set[Win]) -> Round:
    names = sorted(results, key=lambda name: results[name].far(_of_model(results[name])))
    measurements = {name: _of_model(result) for name, result in results.items()}
    return Round(_ranks(list(results), wins), _words(names, wins), metric, measurements)


def _overall(names: Sequence[str], wins: Mapping[str, set[Win]], groups: Mapping[str, str]) -> set[Win]:
    ahead = set()
    for a, b in combinations(names, 2):
        better = set()
        for group in set(groups.values()):
            won = [wins[metric] for metric, of in groups.items() if of == group]
            mine, others = (sum(win in one for one in won) for win in ((a, b), (b, a)))
            if max(mine, others) >= AHEAD * (mine + others) > 0:
                better.add((a, b) if mine > others else (b, a))
        if len(better) == 1:
            ahead |= better
    return ahead


def _ranks(names: Sequence[str], wins: set[Win]) -> dict[str, int]:
    return {name: 1 + sum((other, name) in wins for other in names) for name in names}


def _words(names: Sequence[str], wins: set[Win]) -> str:
    """The wins in an order of the names."""
    place = {name: i for i, name in enumerate(names)}
    ordered = sorted(wins, key=lambda win: (place[win[0]], place[win[1]]))
    return "; ".join(f"{a} before {b}" for a, b in ordered) or "inconclusive"
