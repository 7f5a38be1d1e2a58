"""Several models by one measure: an order only where the difference is beyond the noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

from genwright.errors import DataError
from genwright.judging.judgement import Judgement, Line
from genwright.judging.metric import Reading
from genwright.judging.panel import WORTH

__all__ = ["Round", "contest"]


@dataclass(frozen=True)
class Round:
    """One metric over all models.

    readings  by model
    ranks     by model, from 1; models that cannot be told apart share the better rank
    outcome   in words: "A before B", or "inconclusive"
    """

    metric: str
    readings: Mapping[str, Reading]
    ranks: Mapping[str, int]
    outcome: str


def contest(judgements: Sequence[Judgement]) -> list[Round]:
    """One round for each metric that all could be asked and that passed the battery.

    Raises `DataError` where they were not judged by one measure.
    """
    for what in ("data", "lens", "held-out examples"):
        found = {str(judgement.facts.get(what)) for judgement in judgements}
        if len(found) > 1:
            raise DataError(
                f"these cannot be ranked, since their {what} differ ({', '.join(sorted(found))}): compare "
                f"models of one data set, with one seed and one -n"
            )
    names = [judgement.title for judgement in judgements]
    tables = [{line.metric: line for line in judgement.lines} for judgement in judgements]
    rounds = []
    for metric in tables[0]:
        lines = [table.get(metric) for table in tables]
        if any(line is None or line.model is None or not line.validated for line in lines):
            continue
        rounds.append(_round(names, [line for line in lines if line is not None]))
    return rounds


def _round(names: Sequence[str], lines: Sequence[Line]) -> Round:
    readings = {
        name: line.model for name, line in zip(names, lines, strict=True) if line.model is not None
    }
    # Holm's first step for every pair: no order is claimed that one of them would overthrow.
    pairs = len(names) * (len(names) - 1) / 2
    z = NormalDist().inv_cdf(1 - 0.025 / max(pairs, 1))
    bad = {name: _badness(line) for name, line in zip(names, lines, strict=True)}
    ahead = {
        (a, b)
        for one, other in combinations(names, 2)
        for a, b in ((one, other), (other, one))
        if _clear(bad[a], bad[b], readings[a], readings[b], z)
    }
    ranks = {name: 1 + sum((other, name) in ahead for other in names) for name in names}
    if not ahead:
        return Round(lines[0].metric, readings, ranks, "inconclusive")
    words = [f"{a} before {b}" for a, b in sorted(ahead, key=lambda pair: (bad[pair[0]], bad[pair[1]]))]
    return Round(lines[0].metric, readings, ranks, "; ".join(words))


def _badness(line: Line) -> float:
    """Lower is better."""
    assert line.model is not None
    if line.better == "near":
        centre = line.floor.value if line.floor is not None else 0.0
        return abs(line.model.value - centre)
    return line.model.value if line.better == "lower" else -line.model.value


def _clear(mine: float, other: float, a: Reading, b: Reading, z: float) -> bool:
    """Whether `mine` is better beyond the noise of both readings and beyond what is worth a word."""
    noise = z * math.hypot(a.error, b.error)
    worth = WORTH * max(abs(a.value), abs(b.value))
    return other - mine > max(noise, worth)
