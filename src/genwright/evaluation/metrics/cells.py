"""Cells of rows beside the right ones: categories that are right, numbers that are near.

Of a row of which a part was given, the cells that were to be made count; a label or a number that is made of
something else is a row of one cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.data.columns.compound import Compound
from genwright.data.columns.field import ColumnField
from genwright.data.columns.identifiers import Identifier
from genwright.data.columns.types import Column, Constant, Numeric
from genwright.data.table.field import RowField
from genwright.data.table.frames import raw
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import OfPairs
from genwright.evaluation.metrics.answers import pairs_in
from genwright.evaluation.views.table import numbers_of, one_by_one

__all__ = ["CellAccuracy", "CellError"]


@dataclass(frozen=True)
class _Cells:
    """One column of the answers, of the right ones and of the training rows, and which were asked for `(n,)`."""

    column: Column
    made: Sequence[Any]
    true: Sequence[Any]
    train: Sequence[Any]
    unknown: Array


def _columns(sample: Sample) -> dict[str, Column]:
    """The columns that the examples are made of; none where they are no rows."""
    if isinstance(sample.field, RowField):
        return dict(sample.field.columns)
    return {sample.field.name: sample.field.column} if isinstance(sample.field, ColumnField) else {}


def _values(sample: Sample, name: str) -> Sequence[Any]:
    return raw(sample.raw[name]) if isinstance(sample.field, RowField) else sample.raw


def _cells(evidence: Evidence) -> Iterator[_Cells]:
    """Of each column that varies and means something."""
    pairs, first = pairs_in(evidence), 0
    for name, column in _columns(pairs.true).items():
        places = slice(first, first + column.stored)
        first += column.stored
        if column.spans and not isinstance(column, Identifier | Constant):
            made, true, train = (_values(one, name) for one in (pairs.made, pairs.true, evidence.train))
            unknown = np.asarray(pairs.unknown[:, places].all(axis=1))
            if not isinstance(column, Compound):
                yield _Cells(column, made, true, train, unknown)
                continue
            for i, part in enumerate(column.part_columns()):
                a, b, c = (column.part_values(some, i) for some in (made, true, train))
                yield _Cells(part, a, b, c, unknown)


class _OfCells(OfPairs):
    """A number of the cells of some columns."""

    numeric = False

    def fits(self, evidence: Evidence) -> bool:
        columns = _columns(evidence.train).values()
        parts = [part for column in columns for part in one_by_one(column)]
        return not evidence.space.grid and any(isinstance(c, Numeric) == self.numeric for c in parts)

    def _asked(self, evidence: Evidence) -> list[_Cells]:
        return [one for one in _cells(evidence) if isinstance(one.column, Numeric) == self.numeric]


class CellAccuracy(_OfCells):
    """The share of categories that are the right ones, of all that were asked for."""

    name = "cell_accuracy"
    better = "higher"
    ideal = 1.0
    share = True
    how = "The share of categories that are right; 1 is all, constant the most frequent of each column."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        found = np.zeros((len(pairs_in(evidence).true), 2))
        for one in self._asked(evidence):
            right = np.array([str(a) == str(b) for a, b in zip(one.made, one.true, strict=True)])
            found += np.column_stack([right & one.unknown, one.unknown])
        return found


class CellError(_OfCells):
    """The root mean squared error of numbers in units of the standard deviation of the training rows, the mean over
    columns. Right cells without a number are left out; an answer without one counts as the training mean."""

    name = "cell_rmse"
    better = "lower"
    ideal = 0.0
    numeric = True
    how = "How far numbers are from the right ones, in standard deviations of the column: constant has about 1."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        """Of each column the squared error, and whether it was asked for `(n, 2 columns)`."""
        found = []
        for one in self._asked(evidence):
            assert isinstance(one.column, Numeric)
            made, true, train = (
                numbers_of(one.column, some) for some in (one.made, one.true, one.train)
            )
            train = train[np.isfinite(train)]
            std = float(train.std()) if len(train) else 0.0
            if not std:
                continue
            gap = (np.where(np.isfinite(made), made, train.mean()) - true) / std
            counted = one.unknown & np.isfinite(true)
            found += [np.where(counted, np.where(counted, gap, 0) ** 2, 0), counted]
        if not found:
            raise DataError("cell_rmse: no column of numbers varies", code="no-variety")
        return np.stack(found, axis=1).astype(np.float64)

    def score(self, sums: Array) -> Array:
        errors, counts = sums[..., ::2], sums[..., 1::2]
        roots = np.sqrt(errors.clip(0) / np.maximum(counts, 1)) * (counts > 0)
        return np.asarray(roots.sum(-1) / np.maximum((counts > 0).sum(-1), 1))
