"""Which kind of column some raw values make, and what it learns from them.

`fit_column` looks at the distinct values with their counts. In this order: nothing but missing or one
value is a constant; yes and no are boolean; numbers are numbers, unless they only count the rows;
then dates; text that differs in (nearly) every row is an identifier; all else is categorical.

Values are raw: texts as they stand in a CSV, or typed ones from Parquet or JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from genwright.data.columns.fit import (
    FEW,
    ColumnStats,
    categorical,
    dated,
    identifier,
    numeric,
    plain_value,
)
from genwright.data.columns.formats import DateFormat, NumberFormat, parse_number
from genwright.data.columns.identifiers import Identifier
from genwright.data.columns.scaling import NormalScores
from genwright.data.columns.types import (
    Boolean,
    Categorical,
    Column,
    Constant,
    Continuous,
    Datetime,
    Integer,
)
from genwright.errors import DataError, RecipeError, RunError, suggest

__all__ = ["KINDS", "Column", "fit_column", "restore_column"]

KINDS: dict[str, type[Column]] = {
    kind.kind: kind
    for kind in (Continuous, Integer, Categorical, Boolean, Datetime, Constant, Identifier)
}

CATEGORIES = 100
"""Categories of a column of a table."""
LABELS = 1000
"""Categories of a condition."""

_TRUTH = [{"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"on", "off"}]
_ID = re.compile(
    r"(?i:(^|.*[\W_])(id|ids|idx|index|key|uuid|guid|rowid|rownum))|.*[a-z](Id|ID)|Unnamed: \d+"
)


def fit_column(
    name: str,
    values: Sequence[Any],
    *,
    as_condition: bool = False,
    kind: str | None = None,
    max_categories: int | None = None,
    counts: Mapping[Any, int] | None = None,
    rows: int | None = None,
) -> Column:
    """Learn a column from raw training values, in the order of their rows.

    as_condition      a label that is given: integers, booleans and texts become one `Symbol` in
                      sorted order, other numbers a `Real`, and what is unknown is refused
    kind              one of `KINDS`, instead of what the values look like
    max_categories    most symbols beside the rest and missing
    counts            of the values in all rows, where `values` is only a sample of them
    rows              how many rows there are, where `values` is only a sample of them
    """
    stats = ColumnStats.of(name, values, counts, rows)
    if as_condition:
        return _condition(stats, max_categories or LABELS)
    most = max_categories or CATEGORIES
    return _guessed(stats, most) if kind is None else _forced(stats, kind, most)


# -- choosing ------------------------------------------------------------------------------------


def _guessed(stats: ColumnStats, most: int) -> Column:
    name = stats.name
    if not stats.counts:
        note = f"column {name!r} is empty in every row; it is written back empty"
        return Constant(name=name, about=stats.about(), notes=[note], value=stats.missing_token)
    if len(stats.counts) == 1 and not stats.missing:
        (value,) = stats.counts
        note = f"column {name!r} holds {value!r} in every row; it is written back, not modelled"
        return Constant(name=name, about=stats.about(top=stats.top()), notes=[note], value=value)
    if _is_boolean(stats):
        return categorical(Boolean, stats, 2)
    numbers = _numbers(stats)
    if numbers is not None:
        format, text_values = numbers
        if format.whole and not text_values and not stats.missing and _counts_rows(stats, format):
            return identifier(stats)
        return numeric(Integer if format.whole else Continuous, stats, format, text_values)
    if dates := DateFormat.of(stats.counts):
        return dated(stats, *dates)
    # Nearly: two customers can have one name, and their names are still no categories.
    if stats.unique or len(stats.counts) > max(most, 0.9 * (stats.total - stats.missing)):
        return identifier(stats)
    return categorical(Categorical, stats, most)


def _condition(stats: ColumnStats, most: int) -> Column:
    """A condition is made by a person, who says 3 or Bachelors: symbols rather than quantiles."""
    column = _symbols(stats, most) or _measured(stats)
    if column is None:
        raise DataError(
            f"{stats.name!r} has {len(stats.counts):,} different texts in {stats.total:,} examples, and a "
            f"condition has few that come again, at most {most:,}: group them in a column with fewer, or "
            f'do not give it as a condition (--label "" gives none)',
            code="too-many-categories",
        )
    if len(stats.counts) + (stats.missing > 0) == 1:
        (value,) = stats.counts or (stats.missing_token,)
        column.notes.append(
            f"the condition {stats.name!r} is {value!r} in every example, so nothing can be told by it"
        )
    return column


def _symbols(stats: ColumnStats, most: int) -> Column | None:
    """A condition of few values, none of which is better measured."""
    if len(stats.counts) > most:
        return None
    if stats.counts and _is_boolean(stats, also_one=True):
        return categorical(Boolean, stats, 2, strict=True)
    numbers = _numbers(stats) if stats.counts else None
    if numbers is not None and not numbers[1]:
        format = numbers[0]
        # Whole numbers that differ in every row are learnt from only where near ones say something.
        if not format.whole or format.least or format.raw == "float" or stats.unique:
            return None
        return numeric(Integer, stats, format, [], "all", strict=True)
    if stats.unique or any(isinstance(value, date) for value in stats.counts):
        return None
    return categorical(Categorical, stats, most, strict=True)


def _measured(stats: ColumnStats) -> Column | None:
    """A condition of numbers or dates."""
    if (numbers := _numbers(stats)) is not None:
        format, text_values = numbers
        column = numeric(
            Integer if format.whole else Continuous, stats, format, text_values, "none", strict=True
        )
        if not text_values and _counts_rows(stats, format):
            column.notes.append(f"the condition {stats.name!r} looks as if it only counts the examples")
        return column
    if dates := DateFormat.of(stats.counts):
        return dated(stats, *dates, "none", strict=True)
    return None


def _forced(stats: ColumnStats, kind: str, most: int) -> Column:
    """The kind a person asked for. Raises `DataError` with the values that stand in the way."""
    if kind not in KINDS:
        raise RecipeError(
            f"column {stats.name!r} cannot be of type {kind!r}; {suggest(kind, KINDS)}",
            code="unknown-column-type",
        )
    if kind == "constant" or not stats.counts:
        common = max(stats.counts, key=stats.counts.__getitem__, default=stats.missing_token)
        return Constant(name=stats.name, about=stats.about(top=stats.top()), value=common)
    if kind == "identifier":
        odd = [value for value in stats.counts if not isinstance(value, str | int)]
        if odd:
            raise _refused(stats, kind, "texts or integers", odd)
        return identifier(stats)
    if kind == "categorical":
        odd = [value for value in stats.counts if isinstance(value, date)]
        if odd:
            raise _refused(stats, kind, "texts or numbers", odd)
        return categorical(Categorical, stats, most)
    if kind == "boolean":
        if len(stats.counts) <= 2:
            return categorical(Boolean, stats, 2)
        raise _refused(stats, "boolean", "of two values", list(stats.counts)[2:])
    if kind == "datetime":
        if dates := DateFormat.of(stats.counts):
            return dated(stats, *dates)
        raise _refused(stats, "datetime", "dates of one common format", stats.counts)
    comma = _decimal_comma(stats)
    text_values = [value for value in stats.counts if parse_number(value, comma) is None]
    texts = [value for value in text_values if isinstance(value, str)]
    if len(texts) > FEW or len(text_values) > len(texts) or len(text_values) == len(stats.counts):
        raise _refused(stats, kind, "numbers", text_values)
    format = NumberFormat.of([value for value in stats.counts if value not in set(texts)], comma)
    if not any(np.isfinite(format.read(value)) for value in stats.counts):
        raise _refused(stats, kind, "finite numbers", stats.counts)
    if kind == "integer" and not format.whole:
        raise _refused(stats, kind, "whole numbers", [v for v in stats.counts if format.read(v) % 1 > 0])
    return numeric(Integer if kind == "integer" else Continuous, stats, format, texts)


def _refused(stats: ColumnStats, kind: str, wanted: str, culprits: Iterable[Any]) -> DataError:
    culprits = list(culprits)
    rows = sum(stats.counts[value] for value in culprits)
    shown = ", ".join(repr(plain_value(value)) for value in culprits[:3])
    return DataError(
        f"column {stats.name!r} cannot be {kind}: {rows:,} of {stats.total:,} rows are not {wanted}, for "
        f"example {shown}; mend them or give the column another type",
        code="wrong-column-type",
    )


def _is_boolean(stats: ColumnStats, also_one: bool = False) -> bool:
    if all(isinstance(value, bool) for value in stats.counts):
        return True
    folded = {value.casefold() for value in stats.counts if isinstance(value, str)}
    enough = len(stats.counts) == 2 or also_one
    return enough and len(folded) == len(stats.counts) and any(folded <= pair for pair in _TRUTH)


def _numbers(stats: ColumnStats) -> tuple[NumberFormat, list[str]] | None:
    """The format of the numbers, and the few texts among them; None where these are no numbers."""
    if any(isinstance(value, bool) for value in stats.counts):
        return None
    comma = _decimal_comma(stats)
    found = {value: parse_number(value, comma) for value in stats.counts}
    text_values = [value for value, meant in found.items() if meant is None]
    numbers = [value for value, meant in found.items() if meant is not None]
    if not all(isinstance(v, str) for v in text_values) or not any(
        np.isfinite(found[v] or 0.0) for v in numbers
    ):
        return None
    if len(text_values) > FEW // 2 or sum(stats.counts[v] for v in text_values) > 0.05 * stats.total:
        return None
    if any(isinstance(v, str) and re.fullmatch(r"\s*[+-]?0[0-9]+.*", v) for v in numbers):
        return None  # 02139 is a code: as a number it would lose its zero
    format = NumberFormat.of(numbers, comma)
    if format.raw != "float" and format.whole and format.digits is None:
        largest = max(abs(found[v] or 0.0) for v in numbers if np.isfinite(found[v] or 0.0))
        if largest >= 2**53:
            return None  # and so is what float64 cannot tell from its neighbour
    return format, text_values


def _decimal_comma(stats: ColumnStats) -> bool:
    """Whether 3,14 means a number here. Groups of three digits alone would rather be thousands."""
    tails = [
        re.fullmatch(r"\s*[+-]?[0-9]+(?:,([0-9]+))?\s*", v) for v in stats.counts if isinstance(v, str)
    ]
    decimals = {len(found[1]) for found in tails if found and found[1]}
    return bool(tails) and all(tails) and bool(decimals) and decimals != {3}


def _counts_rows(stats: ColumnStats, format: NumberFormat) -> bool:
    """Whether these integers only name or count the rows."""
    if not stats.unique or format.least > 0 or format.raw == "float":
        return False
    numbers = np.array([format.read(value) for value in stats.counts])
    ascending = bool((np.diff(numbers) > 0).all())
    dense = numbers.max() - numbers.min() < 2 * max(stats.rows, stats.total)
    return _ID.fullmatch(stats.name) is not None or (ascending and dense)


# -- on disk -------------------------------------------------------------------------------------

_RENAMED = {
    "style": "format",
    "form": "pattern",
    "atoms": "point_masses",
    "strays": "text_values",
    "usual": "fallback",
    "spelling": "missing_token",
}
"""Keys of the states that older versions wrote."""


def restore_column(state: Mapping[str, Any]) -> Column:
    """The column whose `state` this is, or that of an older version. Raises `RunError`."""
    fields = {_RENAMED.get(key, key): value for key, value in state.items()}
    kind = fields.pop("kind", None)
    if kind not in KINDS:
        raise RunError(
            f"this version knows no column of kind {kind!r}; {suggest(str(kind), KINDS)}",
            code="unknown-column-type",
        )
    if "format" in fields:
        format = {_RENAMED.get(key, key): value for key, value in fields["format"].items()}
        fields["format"] = DateFormat(**format) if "step" in format else NumberFormat(**format)
    if fields.get("scores") is not None:
        fields["scores"] = NormalScores(**fields["scores"])
    return KINDS[kind](**fields)
