"""Several answers for a cell as one: of numbers, dates, times and durations the mean, of all else the most frequent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from genwright.data.columns.composite import Composite
from genwright.data.columns.fit import sentinels
from genwright.data.columns.formats import is_missing
from genwright.data.columns.scaling import nearest_index
from genwright.data.columns.tags import Tags
from genwright.data.columns.types import Column, Datetime, Numeric

__all__ = ["pooled_cells"]

NUMBER = object()
"""Stands for every number, or set of tags, where values are counted."""


def pooled_cells(column: Column | None, draws: Sequence[Sequence[Any]]) -> list[Any]:
    """Raw values `(k, n)`, k answers for each of n cells, as n values in the column's own format.

    A missing value counts where there is no other. Of equally frequent values it is the one that was drawn first. A
    mean is rounded as the column writes it; where few numbers are known it is the nearest of these.

    column  None: one that is not known, of which the most frequent value is taken
    """
    cells = [[v for v in cell if not is_missing(v)] or cell[:1] for cell in zip(*draws, strict=True)]
    if isinstance(column, Tags):
        return [_pooled_tags(column, cell) for cell in cells]
    if isinstance(column, Composite):
        return [_pooled_numbers(column, cell) for cell in cells]
    if not isinstance(column, Numeric):
        return [_most_frequent(cell) for cell in cells]
    apart = {*column.text_values, *column.format.write(_codes(column))}
    located = cache(column.format.locate)
    is_number = cache(lambda value: value not in apart and math.isfinite(located(value)[1]))

    def one(cell: Sequence[Any]) -> Any:
        value = _most_frequent([NUMBER if is_number(v) else v for v in cell])
        if value is not NUMBER:
            return value
        found = [located(v) for v in cell if is_number(v)]
        part = _most_frequent([part for part, _ in found])
        # Of a mixture those in one format: the others may be in another unit.
        return _written(column, part, _mean([number for other, number in found if other == part]))

    return [one(cell) for cell in cells]


def _pooled_numbers(column: Composite, cell: Sequence[Any]) -> Any:
    """Each of the numbers of a text by itself, unless most answers are another text."""
    split = [column.split(value) for value in cell]
    value = _most_frequent([v if some is None else NUMBER for v, some in zip(cell, split, strict=True)])
    if value is not NUMBER:
        return value
    numbers = zip(*(some for some in split if some is not None), strict=True)
    return column.joined(
        [
            pooled_cells(part, [[text] for text in texts])[0]
            for part, texts in zip(column.parts, numbers, strict=True)
        ]
    )


def _pooled_tags(column: Tags, cell: Sequence[Any]) -> Any:
    """The tags that most answers hold, unless most are another text; where none is, the most frequent answer."""
    split = [column.split(value) for value in cell]
    value = _most_frequent([v if some is None else NUMBER for v, some in zip(cell, split, strict=True)])
    if value is not NUMBER:
        return value
    cells = [some for some in split if some is not None]
    counts = Counter(tag for some in cells for tag in some)
    common = [tag for tag in column.tags if 2 * counts[tag] > len(cells)]
    return column.joined(common) if common else _most_frequent(cell)


def _most_frequent(values: Sequence[Any]) -> Any:
    """Of equally frequent values the first."""
    return Counter(values).most_common(1)[0][0]


def _mean(numbers: Sequence[float]) -> float:
    # Shares, because the sum of large numbers overflows; between the ends, because that of 29 equal ones is another.
    mean = math.fsum(number / len(numbers) for number in numbers)
    return min(max(mean, min(numbers)), max(numbers))


def _codes(column: Numeric) -> list[float]:
    """The point masses that stand for something else, such as 999 or 9999-12-31, so that no mean is taken of them."""
    free = [] if column.scores is None else column.scores.numbers
    numbers = np.union1d(column.point_masses, free)
    counts = np.where(
        np.isin(numbers, column.point_masses), 2, 1
    )  # a point mass is there more than once
    found = numbers[sentinels(numbers, counts, isinstance(column, Datetime))]
    return [number for number in found.tolist() if number in column.point_masses]


def _written(column: Numeric, part: int, number: float) -> Any:
    """A number within the range of the column, in one of its formats."""
    if column.scores is None:
        number = column.point_masses[int(nearest_index(np.array([number]), column.point_masses)[0])]
    form = column.format.formats[part]
    (value,) = form.write([number])
    if not isinstance(column, Datetime):
        return value
    # A month is written by its first day: of one that is more than half over, the next is nearer.
    (beyond,) = form.write([number + (number - form.read(value))])
    return min((value, beyond), key=lambda one: abs(form.read(one) - number))
