"""Whether what stands in files can be held against the real data: asked before anything is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genwright.data.columns.composite import Composite
from genwright.data.columns.dates import DateFormat, fit_dates
from genwright.data.columns.formats import Format, is_missing
from genwright.data.columns.tags import Tags
from genwright.data.columns.types import Categorical, Column, Datetime, Numeric
from genwright.errors import DataError, closest_name

__all__ = ["check_comparable"]

SHOWN = 2
"""Values of a side, at most, that are named."""


def check_comparable(
    columns: Mapping[str, Column], found: Mapping[str, Sequence[Any]], path: Path, real: Path
) -> None:
    """Raise `DataError` that names each column of the real data that is missing from a file, or whose values
    are written in another way there, with examples of both sides and the way out.

    columns  of the real data, by name
    found    raw values of the file, by name of their column
    """
    faults = [
        _missing(name, set(found) - set(columns), path, real)
        if name not in found
        else _unread(column, Counter(v for v in found[name] if not is_missing(v)), path, real)
        for name, column in columns.items()
    ]
    if said := [fault for fault in faults if fault]:
        raise DataError(
            f"{path} cannot be compared with {real}: {'; '.join(said)}", code="columns-not-comparable"
        )


def _missing(name: str, others: set[str], path: Path, real: Path) -> str:
    near = closest_name(name, sorted(others))
    way = f"rename its {near!r}" if near else f"add it, or leave it out of {real}"
    return f"there is no column {name!r} in {path}, and there is one in {real} ({way})"


def _unread(column: Column, values: Counter[Any], path: Path, real: Path) -> str:
    """What is wrong with values of a column and how to mend it, "" where nothing is."""
    if isinstance(column, Numeric):
        bad, known = _no_numbers(column, values), _written(column)
    elif isinstance(column, Composite):
        odd = [v for v in values if v not in column.text_values and column.split(v) is None]
        bad, known = odd if _most(odd, values) else [], [column.example]
    elif isinstance(column, Tags):
        odd = [
            v
            for v in values
            if v not in column.text_values and not {*(column.split(v) or ())} & {*column.tags}
        ]
        bad, known = odd if _most(odd, values) else [], [column.example]
    elif isinstance(column, Categorical) and (column.rest is None or column.pool):
        known = [*column.values, *(value for value, _ in column.pool)]
        bad = [] if set(known) & set(values) else list(values)
    else:  # nothing is compared, or what is unknown may be one of the rarer values
        return ""
    if not bad:
        return ""
    here, there = (" or ".join(map(repr, map(_plain, some[:SHOWN]))) for some in (bad, known))
    way = "write them alike in both files"
    if isinstance(column, Datetime) and (other := fit_dates(Counter(bad))):
        wanted, of = (_pattern(format) for format in (column.format, other.format))
        way = f"write its dates as {wanted}, not {of}" if of and wanted else way
    return f"the column {column.name!r} holds {here} in {path}, and {there} in {real} ({way})"


def _no_numbers(column: Numeric, values: Counter[Any]) -> list[Any]:
    """Values that are no numbers or dates of the column's format: where they are most of all, or dates of
    another format. A few that are wrong are the business of the metrics."""

    def is_read(value: Any) -> bool:
        return column.format.read(value) == column.format.read(value)

    bad = [value for value in values if value not in column.text_values and not is_read(value)]
    is_dated = isinstance(column, Datetime) and bool(bad) and fit_dates(values) is not None
    return bad if _most(bad, values) or is_dated else []


def _most(some: Sequence[Any], values: Counter[Any]) -> bool:
    """Whether these are more than half of all."""
    return 2 * sum(values[value] for value in some) > values.total()


def _written(column: Numeric) -> list[Any]:
    """Some numbers of the column, as its file has them."""
    some = column.scores.numbers[:SHOWN] if column.scores is not None else column.point_masses[:SHOWN]
    return [*column.format.write(some), *column.text_values]


def _pattern(format: Format) -> str:
    """How most dates of a format are written, "" where they are no texts."""
    first = format.formats[0]
    return first.pattern if isinstance(first, DateFormat) else ""


def _plain(value: Any) -> Any:
    """A text, a number or a truth as it is; a date of Python's as people write it."""
    return value if isinstance(value, str | bool | int | float) else str(value)
