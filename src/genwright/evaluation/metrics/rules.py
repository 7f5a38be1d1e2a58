"""Whether generated rows are possible at all, and keep the rules that all real ones keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.data.columns.formats import is_missing
from genwright.data.columns.identifiers import Identifier
from genwright.data.columns.types import Categorical, Column, Integer, Numeric
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Rate
from genwright.evaluation.views.table import (
    codes_of,
    columns_of,
    each,
    modelled,
    numbers_of,
    ranked_values,
    values_of,
)

__all__ = ["Constraints", "Validity", "impossible_cells", "rules_of"]

ENOUGH = 200
"""Training rows that a rule has to hold in, every one."""
BROKEN = 14
"""Rows that a rule must lose where a column is shuffled: e^-14 is how likely it then held by chance."""
EXACT = 1e-8
"""Of the spread of a column: what is left of a sum that holds."""
SLACK = 0.01
"""Of the range of the training values, that numbers may leave it by."""


class Validity(Rate):
    """The share of generated rows in which every value is possible: a known category; a number or moment
    that can be read, and is within the range of the training values widened by 1 %, and whole where they
    are; and nothing missing where nothing was.
    """

    name = "validity"
    group = "validity"
    better = "higher"
    ideal = 1.0
    reads = "row"
    sees = ("ladder",)
    how = "Share of rows in which every value could stand in a real row, each column by itself."

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        tests = impossible_cells(evidence)
        wrong = np.zeros(len(evidence.fake), dtype=bool)
        for name, test in tests.items():
            wrong |= test(values_of(evidence.fake, name))
        return int((~wrong).sum()), len(wrong)


def impossible_cells(evidence: Evidence) -> dict[str, Callable[[Sequence[Any]], Array]]:
    """For each column of the training rows, what says which raw values `(n,)` could not stand in it."""
    tests = {
        name: _possible(column, values_of(evidence.train, name))
        for name, column in columns_of(evidence).items()
    }
    return {name: partial(_fails, test) for name, test in tests.items()}


def _fails(test: Callable[[Any], bool], values: Sequence[Any]) -> Array:
    found: Array = each(values, test) == 0
    return found


def _possible(column: Column, train: Sequence[Any]) -> Callable[[Any], bool]:
    """Whether a raw value could stand in this column."""
    known = set(train)
    gaps = getattr(column, "missing", False) or any(is_missing(value) for value in known)
    if isinstance(column, Identifier):
        return lambda value: gaps or not is_missing(value)
    if not isinstance(column, Numeric):
        if isinstance(column, Categorical):
            known |= {*column.values, *(value for value, _ in column.pool)}
        return lambda value: gaps if is_missing(value) else value in known
    whole, read = isinstance(column, Integer), column.format.read
    numbers = [*column.point_masses, *(column.scores.numbers if column.scores else [])]
    numbers += [number for value in known if math.isfinite(number := read(value))]
    slack = SLACK * (max(numbers) - min(numbers))
    low, high, text_values = min(numbers) - slack, max(numbers) + slack, {*column.text_values, *known}

    def test(value: Any) -> bool:
        number = read(value)
        if math.isfinite(number):
            return low <= number <= high and not (whole and number % 1)
        return gaps if is_missing(value) else value in text_values

    return test


class Constraints(Rate):
    """The share of generated rows that keep every rule that all training rows keep:

        dependencies    a value of one column settles that of another
        inequalities    a <= b of numbers or moments
        sums            a linear relation of columns of numbers: a = b, a + b = c, a + b + c = 100

    A rule counts where it holds in 200 training rows or more, without exception, and would not hold with
    one of its columns shuffled: then the ranges alone see to it. What a rule does not speak of (a value
    that was never met, one that is missing) keeps it.
    """

    name = "constraints"
    group = "validity"
    better = "higher"
    ideal = 1.0
    reads = "row"
    sees = ("order", "ladder", "independence")
    how = "Share of rows that keep all rules that hold between columns in every training row."

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        table = _Table.of(evidence)
        kept = np.logical_and.reduce([rule(table.fake) for rule in _rules(table, rng)])
        return int(kept.sum()), len(kept)


def rules_of(evidence: Evidence, rng: np.random.Generator) -> Callable[[Sample], Array]:
    """What says which rows of a sample keep every rule of the training rows `(n,)`. Raises `DataError` where there
    is none."""
    table = _Table.of(evidence)
    found = _rules(table, rng)

    def kept(sample: Sample) -> Array:
        rows = table.read(sample)
        every: Array = np.logical_and.reduce([rule(rows) for rule in found])
        return every

    return kept


Rule = Callable[[Array], Array]
"""Which rows `(n, columns)` keep it `(n,)`."""


def _rules(table: _Table, rng: np.random.Generator) -> list[Rule]:
    if len(table.train) < ENOUGH:
        raise DataError(
            f"constraints needs {ENOUGH} training rows, there are {len(table.train)}",
            code="too-few-examples",
        )
    found = [rule for find in (_dependencies, _inequalities, _sums) for rule in find(table, rng)]
    if not found:
        raise DataError(
            "constraints: no rule between columns holds in every training row", code="no-rules"
        )
    return found


@dataclass(frozen=True)
class _Table:
    """Training and generated rows as numbers, `(n, columns)`: categories by their code.

    columns    by name
    known      the values of each in the training rows, by rank
    """

    columns: Mapping[str, Column]
    known: Mapping[str, Sequence[Any]]
    train: Array
    fake: Array

    @classmethod
    def of(cls, evidence: Evidence) -> _Table:
        columns = modelled(evidence)
        known = {name: ranked_values(values_of(evidence.train, name)) for name in columns}
        train, fake = (_as_numbers(columns, known, one) for one in (evidence.train, evidence.fake))
        return cls(columns, known, train, fake)

    def read(self, sample: Sample) -> Array:
        return _as_numbers(self.columns, self.known, sample)

    @property
    def numeric(self) -> Array:
        """Which columns are numbers or moments, infinite where there is none."""
        return np.array([isinstance(column, Numeric) for column in self.columns.values()])


def _as_numbers(
    columns: Mapping[str, Column], known: Mapping[str, Sequence[Any]], sample: Sample
) -> Array:
    rows = [
        numbers_of(column, values) if isinstance(column, Numeric) else codes_of(values, known[name])
        for name, column in columns.items()
        for values in [values_of(sample, name)]
    ]
    found: Array = np.stack(rows, axis=1).astype(np.float64)
    return found


def _dependencies(table: _Table, rng: np.random.Generator) -> Iterator[Rule]:
    """Each rule a -> b."""
    train = table.train
    mixed = train[rng.permutation(len(train))]
    for a in range(train.shape[1]):
        met, first, group, size = np.unique(
            train[:, a], return_index=True, return_inverse=True, return_counts=True
        )
        if size[size > 1].sum() < ENOUGH:
            continue
        settled: Array = (train[first[group]] == train).all(0)
        settled &= (mixed[first[group]] != mixed).sum(0) >= BROKEN
        settled[a] = False
        for b in np.flatnonzero(settled).tolist():
            yield partial(_keep_dependency, a, b, met, train[first, b])


def _keep_dependency(a: int, b: int, met: Array, settled: Array, rows: Array) -> Array:
    at = np.searchsorted(met, rows[:, a]).clip(0, len(met) - 1)
    found: Array = (met[at] != rows[:, a]) | (settled[at] == rows[:, b])
    return found


def _inequalities(table: _Table, rng: np.random.Generator) -> Iterator[Rule]:
    """Each rule a <= b."""
    for a, b in permutations(np.flatnonzero(table.numeric).tolist(), 2):
        left, right = table.train[:, a], table.train[:, b]
        both = np.isfinite(left) & np.isfinite(right)
        if both.sum() < ENOUGH:
            continue
        left, right = left[both], right[both]
        if (left <= right).all() and (left > rng.permutation(right)).sum() >= BROKEN:
            yield partial(_keep_inequality, a, b)


def _keep_inequality(a: int, b: int, rows: Array) -> Array:
    x, y = rows[:, a], rows[:, b]
    found: Array = (x <= y) | ~np.isfinite(x) | ~np.isfinite(y)
    return found


def _sums(table: _Table, rng: np.random.Generator) -> Iterator[Rule]:
    """All linear relations as one rule, if there are any.

    They are the null space of the columns, centred and scaled; so any number of columns, weights and
    totals is found at once. Columns with gaps are left out.
    """
    usable = table.numeric & np.isfinite(table.train).all(0)
    usable &= (table.train != np.median(table.train, axis=0)).sum(0) >= BROKEN
    x = table.train[:, usable]
    if not 2 <= x.shape[1] <= len(x) - ENOUGH // 2:
        return
    mean, spread = x.mean(0), x.std(0)
    scaled = (x - mean) / spread
    _, sizes, axes = np.linalg.svd(np.linalg.qr(scaled, mode="r"))
    null = axes[sizes < EXACT * math.sqrt(len(x))]
    if not len(null) or (np.abs(scaled @ null.T) > EXACT * 100).any():
        return

    def kept(rows: Array) -> Array:
        numbers = rows[:, usable]
        known = np.isfinite(numbers).all(axis=1, keepdims=True)
        left = np.where(known, numbers - mean, 0.0) / spread @ null.T
        found: Array = (np.abs(left) <= EXACT * 100).all(1)
        return found

    yield kept
