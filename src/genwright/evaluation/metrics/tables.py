"""Likeness of tables: column by column, and two columns at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.data.columns.types import Column, Numeric
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Comparison, Statistic
from genwright.evaluation.views.table import (
    FREQUENT,
    HUGE,
    codes_of,
    folded,
    modelled,
    numbers_of,
    ranked_values,
    values_of,
)
from genwright.options import Count

__all__ = ["ColumnPairs", "ColumnShapes"]

ROWS = 100
"""Held-out rows to a joint cell, on average: with fewer, real rows look unlike real rows."""


class ColumnShapes(Statistic):
    """Each column by itself: the mean over the columns of 1 - the Kolmogorov-Smirnov distance of numbers
    and moments, and of 1 - the total variation of categories (SDMetrics: Column Shapes). What is missing is
    a value like others. Columns drawn each by itself pass it: it says nothing of rows.
    """

    name = "columns"
    group = "fidelity"
    better = "higher"
    ideal = 1.0
    reads = "row"
    sees = ("ladder", "missing_mode", "new_mode")
    how = "Whether each column by itself is as real: 1 is alike; it is blind to how they go together."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        """Numbers, and codes of categories, one column each."""
        test, fake, fars = [], [], []
        for name, column in modelled(evidence).items():
            real, made = values_of(evidence.test, name), values_of(evidence.fake, name)
            if isinstance(column, Numeric):
                fars.append(_kolmogorov)
                test.append(numbers_of(column, real))
                fake.append(numbers_of(column, made))
            else:
                fars.append(_variation)
                known = ranked_values(real)
                test.append(codes_of(real, known))
                fake.append(codes_of(made, known))

        def likeness(real: Array, made: Array, rng: np.random.Generator) -> float:
            return 1 - float(
                np.mean([far(a, b) for far, a, b in zip(fars, real.T, made.T, strict=True)])
            )

        return np.stack(test, 1).astype(np.float64), np.stack(fake, 1).astype(np.float64), likeness


def _kolmogorov(a: Array, b: Array) -> float:
    """sup |F_a - F_b|."""
    a, b = np.sort(a), np.sort(b)
    at = np.unique(np.concatenate([a, b]))
    below = [np.searchsorted(values, at, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


class ColumnPairs(Statistic):
    """Columns two by two: the mean over pairs of columns of 1 - the total variation of their joint histogram.

    Numbers are cut into 3 to 10 equal shares of the held-out rows, as many as leave 100 rows to a joint cell,
    where a value that holds several shares is a cell of its own; of categories the most frequent, as many,
    are told apart. Unlike a comparison of two correlations it is 1 only where the joint cells are alike,
    whatever the dependence.

    pairs    columns meet in at most so many pairs, drawn at random where there are more
    """

    name = "pairs"
    group = "fidelity"
    better = "higher"
    ideal = 1.0
    reads = "row"
    sees = ("order", "ladder", "missing_mode", "new_mode", "independence")
    how = "Whether columns go together two by two as in real rows: 1 is alike, up to the noise of the floor."

    def __init__(self, *, pairs: Count = 500) -> None:
        self.pairs = pairs

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        """The cell of each column."""
        columns = modelled(evidence)
        if len(columns) < 2:
            raise DataError(
                "pairs needs a table of two columns or more that vary, there is one",
                code="too-few-columns",
            )
        bins = int(np.clip(math.sqrt(len(evidence.test) / ROWS), 3, 10))
        binned = [
            _binned(column, values_of(evidence.test, name), values_of(evidence.fake, name), bins)
            for name, column in columns.items()
        ]
        couples = list(combinations(range(len(binned)), 2))
        if len(couples) > self.pairs:
            couples = [couples[i] for i in np.sort(rng.permutation(len(couples))[: self.pairs])]
        sizes = [one.size for one in binned]

        def likeness(real: Array, made: Array, rng: np.random.Generator) -> float:
            far = [
                _variation(*(cells[:, a] * sizes[b] + cells[:, b] for cells in (real, made)))
                for a, b in couples
            ]
            return 1 - float(np.mean(far))

        test, fake = (
            np.stack(cells, 1) for cells in zip(*((b.real, b.fake) for b in binned), strict=True)
        )
        return test, fake, likeness


@dataclass(frozen=True)
class _Binned:
    """A column in few cells: codes below `size` of the held-out and the generated rows."""

    real: Array
    fake: Array
    size: int


def _binned(column: Column, real: Sequence[Any], fake: Sequence[Any], bins: int) -> _Binned:
    if isinstance(column, Numeric):
        numbers, made = numbers_of(column, real), numbers_of(column, fake)
        cuts = _cuts(numbers, bins)
        return _Binned(np.searchsorted(cuts, numbers), np.searchsorted(cuts, made), len(cuts) + 1)
    known = ranked_values(real)
    few = min(bins, FREQUENT)
    return _Binned(folded(real, known, few), folded(fake, known, few), few + 3)


def _cuts(numbers: Array, bins: int) -> Array:
    """Ascending ends of cells, each of which still belongs to its cell."""
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return np.array([-HUGE, HUGE])
    ends, counts = np.unique(
        np.quantile(finite, np.arange(1, bins) / bins, method="inverted_cdf"), return_counts=True
    )
    atoms = np.nextafter(ends[counts > 1], -np.inf)
    return np.unique(np.concatenate([[-HUGE], ends, atoms, [HUGE]]))


def _variation(a: Array, b: Array) -> float:
    """The total variation of two samples of codes, counted from 0."""
    codes = a.astype(np.int64), b.astype(np.int64)
    size = 1 + max(int(some.max()) for some in codes)
    p, q = (np.bincount(some, minlength=size) / len(some) for some in codes)
    return float(np.abs(p - q).sum() / 2)
