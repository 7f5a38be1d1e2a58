"""Likeness of tables: column by column, and two columns at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from genwright.bounds import Count
from genwright.data.codec import Array
from genwright.data.kinds import Column, Numeric
from genwright.errors import DataError
from genwright.judging.evidence import Evidence
from genwright.judging.frames import (
    FREQUENT,
    HUGE,
    codes_of,
    folded,
    modelled,
    numbers_of,
    ranked_values,
    values_of,
)
from genwright.judging.metric import Statistic

__all__ = ["ColumnPairs", "ColumnShapes"]


class ColumnShapes(Statistic):
    """Each column by itself: the mean over the columns of 1 - the Kolmogorov-Smirnov distance of numbers
    and moments, and of 1 - the total variation of categories (SDMetrics: Column Shapes). What is missing is
    a value like others. Columns drawn each by itself pass it: it says nothing of rows.
    """

    name = "columns"
    group = "fidelity"
    better = "higher"
    ideal = 1.0
    kinds = frozenset({"table"})
    how = "Whether each column by itself is as real: 1 is alike; it is blind to how they go together."

    def measure(self, evidence: Evidence, rng: np.random.Generator) -> float:
        shapes = []
        for name, column in modelled(evidence).items():
            real, fake = values_of(evidence.held, name), values_of(evidence.fake, name)
            if isinstance(column, Numeric):
                far = _kolmogorov(numbers_of(column, real), numbers_of(column, fake))
            else:
                known = ranked_values(real)
                far = _variation(codes_of(real, known), codes_of(fake, known), len(known) + 2)
            shapes.append(1 - far)
        return float(np.mean(shapes))


def _kolmogorov(a: Array, b: Array) -> float:
    """sup |F_a - F_b|."""
    a, b = np.sort(a), np.sort(b)
    at = np.unique(np.concatenate([a, b]))
    below = [np.searchsorted(values, at, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


class ColumnPairs(Statistic):
    """Columns two by two: the mean over pairs of columns of 1 - the total variation of their joint histogram.

    Numbers are cut at the deciles of the held-out rows, where a value that holds several deciles is a cell
    of its own; of categories the frequent ones are told apart. Unlike a comparison of two correlations it
    is 1 only where the joint cells are alike, whatever the dependence.

    pairs    columns meet in at most so many pairs, drawn at random where there are more
    """

    name = "pairs"
    group = "fidelity"
    better = "higher"
    ideal = 1.0
    kinds = frozenset({"table"})
    how = "Whether columns go together two by two as in real rows: 1 is alike, up to the noise of the floor."

    def __init__(self, *, pairs: Count = 500) -> None:
        self.pairs = pairs

    def measure(self, evidence: Evidence, rng: np.random.Generator) -> float:
        columns = modelled(evidence)
        if len(columns) < 2:
            raise DataError("pairs needs a table of two columns or more that vary, there is one")
        binned = [
            _binned(column, values_of(evidence.held, name), values_of(evidence.fake, name))
            for name, column in columns.items()
        ]
        couples = list(combinations(binned, 2))
        if len(couples) > self.pairs:
            couples = [couples[i] for i in np.sort(rng.permutation(len(couples))[: self.pairs])]
        far = [
            _variation(a.real * b.size + b.real, a.fake * b.size + b.fake, a.size * b.size)
            for a, b in couples
        ]
        return 1 - float(np.mean(far))


@dataclass(frozen=True)
class _Binned:
    """A column in few cells: codes below `size` of the held-out and the generated rows."""

    real: Array
    fake: Array
    size: int


def _binned(column: Column, real: Sequence[Any], fake: Sequence[Any]) -> _Binned:
    if isinstance(column, Numeric):
        numbers, made = numbers_of(column, real), numbers_of(column, fake)
        cuts = _cuts(numbers)
        return _Binned(np.searchsorted(cuts, numbers), np.searchsorted(cuts, made), len(cuts) + 1)
    known = ranked_values(real)
    return _Binned(folded(real, known), folded(fake, known), FREQUENT + 3)


def _cuts(numbers: Array) -> Array:
    """Ascending ends of cells, each of which still belongs to its cell."""
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return np.array([-HUGE, HUGE])
    ends, held = np.unique(
        np.quantile(finite, np.arange(1, 10) / 10, method="inverted_cdf"), return_counts=True
    )
    atoms = np.nextafter(ends[held > 1], -np.inf)
    return np.unique(np.concatenate([[-HUGE], ends, atoms, [HUGE]]))


def _variation(a: Array, b: Array, size: int) -> float:
    """The total variation of two samples of codes below `size`."""
    p, q = (np.bincount(codes, minlength=size) / len(codes) for codes in (a, b))
    return float(np.abs(p - q).sum() / 2)
