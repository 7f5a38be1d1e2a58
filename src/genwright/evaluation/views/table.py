"""Tables as their codec understands them: what a column holds, and its values as numbers or codes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.data.columns.composite import number_in, part_of
from genwright.data.columns.compound import Compound
from genwright.data.columns.formats import is_missing
from genwright.data.columns.identifiers import Identifier
from genwright.data.columns.infer import fit_column
from genwright.data.columns.tags import tag_in, tags_named
from genwright.data.columns.types import Column, Constant, Numeric
from genwright.data.table.field import RowField
from genwright.data.table.frames import raw
from genwright.errors import DataError, suggest
from genwright.evaluation.evidence import Evidence, Sample

__all__ = [
    "FREQUENT",
    "HUGE",
    "codes_of",
    "columns_of",
    "each",
    "folded",
    "modelled",
    "numbers_of",
    "one_by_one",
    "ranked_values",
    "values_of",
]

HUGE = float(np.finfo(np.float64).max)
FREQUENT = 9
"""Categories that are told from each other where columns meet; the rarer ones are one."""


def columns_of(evidence: Evidence) -> dict[str, Column]:
    """What the field knows of each column of the training rows; a label's is learnt from its values. Of a column of
    several numbers or tags each is a column."""
    train = evidence.train
    known = train.field.columns if isinstance(train.field, RowField) else {}
    names = dict.fromkeys([*map(str, train.view("row").columns), *train.given])
    columns = (known.get(name) or fit_column(name, values_of(train, name)) for name in names)
    return {one.name: one for column in columns for one in one_by_one(column)}


def one_by_one(column: Column) -> Sequence[Column]:
    """The columns of its numbers or tags; of any other column itself."""
    return column.part_columns() if isinstance(column, Compound) else [column]


def modelled(evidence: Evidence) -> dict[str, Column]:
    """Columns that vary and mean something."""
    columns = columns_of(evidence).items()
    found = {name: c for name, c in columns if not isinstance(c, Identifier | Constant)}
    if not found:
        raise DataError(
            "no column of the table varies and is more than a name of its row", code="no-variety"
        )
    return found


def values_of(sample: Sample, name: str) -> list[Any]:
    """The raw values of a column, or of one of the numbers or tags in it."""
    columns = sample.view("row").columns
    if name in columns:
        return raw(sample.view("row")[name])
    if name in sample.given:
        return list(sample.given[name])
    if part := part_of(name):
        return [number_in(value, part[1]) for value in values_of(sample, part[0])]
    for column, tag in tags_named(name):
        if column in columns or column in sample.given:
            return [tag_in(value, tag) for value in values_of(sample, column)]
    near = suggest(name, map(str, columns))
    raise DataError(
        f"some rows lack the column {name!r} of the training rows; {near}", code="no-such-column"
    )


def each(values: Sequence[Any], read: Callable[[Any], float]) -> Array:
    """`read` of every value, once for each distinct one."""
    known = {value: read(value) for value in dict.fromkeys(values)}
    return np.array([known[value] for value in values], dtype=np.float64)


def numbers_of(column: Numeric, values: Sequence[Any]) -> Array:
    """The numbers (of moments: seconds). Beyond them all stand what is missing, above, and other texts,
    below; so one order holds every value."""

    def read(value: Any) -> float:
        number = column.format.read(value)
        return number if math.isfinite(number) else math.inf if is_missing(value) else -math.inf

    return each(values, read)


def codes_of(values: Sequence[Any], known: Sequence[Any]) -> Array:
    """The place of each value among the known ones; behind them missing, and behind it all others."""
    place = {value: i for i, value in enumerate(known)}
    missing, other = len(known), len(known) + 1
    codes: Array = each(values, lambda v: missing if is_missing(v) else place.get(v, other))
    return codes.astype(np.int64)


def ranked_values(values: Sequence[Any]) -> list[Any]:
    """The distinct values that are there, the most frequent first."""
    counts: dict[Any, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    present = [value for value in counts if not is_missing(value)]
    return sorted(present, key=lambda value: (-counts[value], str(value)))


def folded(values: Sequence[Any], known: Sequence[Any], most: int = FREQUENT) -> Array:
    """Codes of the `most` frequent values; then one each for the rare, the missing and the unknown."""
    rare = np.arange(len(known)).clip(max=most)
    return np.concatenate([rare, [most + 1, most + 2]])[codes_of(values, known)]
