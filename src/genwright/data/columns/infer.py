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

from genwright.data.columns.fit import FEW, Held, categorical, dated, identifier, numeric, plain_value
from genwright.data.columns.formats import Dates, Numbers, number
from genwright.data.columns.identifiers import Identifier
from genwright.data.columns.scaling import Scores
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
    held = Held.of(name, values, counts, rows)
    if as_condition:
        return _condition(held, max_categories or LABELS)
    most = max_categories or CATEGORIES
    return _guessed(held, most) if kind is None else _forced(held, kind, most)


# -- choosing ------------------------------------------------------------------------------------


def _guessed(held: Held, most: int) -> Column:
    name = held.name
    if not held.counts:
        note = f"column {name!r} is empty in every row; it is written back empty"
        return Constant(name=name, about=held.about(), notes=[note], value=held.spelling)
    if len(held.counts) == 1 and not held.missing:
        (value,) = held.counts
        note = f"column {name!r} holds {value!r} in every row; it is written back, not modelled"
        return Constant(name=name, about=held.about(top=held.top()), notes=[note], value=value)
    if _is_boolean(held):
        return categorical(Boolean, held, 2)
    numbers = _numbers(held)
    if numbers is not None:
        style, strays = numbers
        if style.whole and not strays and not held.missing and _counts_rows(held, style):
            return identifier(held)
        return numeric(Integer if style.whole else Continuous, held, style, strays)
    if dates := Dates.of(held.counts):
        return dated(held, *dates)
    # Nearly: two customers can have one name, and their names are still no categories.
    if held.unique or len(held.counts) > max(most, 0.9 * (held.total - held.missing)):
        return identifier(held)
    return categorical(Categorical, held, most)


def _condition(held: Held, most: int) -> Column:
    """A condition is made by a person, who says 3 or Bachelors: symbols rather than quantiles."""
    column = _symbols(held, most) or _measured(held)
    if column is None:
        raise DataError(
            f"{held.name!r} has {len(held.counts):,} different texts in {held.total:,} examples, and a "
            f"condition has few that come again, at most {most:,}: group them in a column with fewer, or "
            f'do not give it as a condition (--label "" gives none)'
        )
    if len(held.counts) + (held.missing > 0) == 1:
        (value,) = held.counts or (held.spelling,)
        column.notes.append(
            f"the condition {held.name!r} is {value!r} in every example, so nothing can be told by it"
        )
    return column


def _symbols(held: Held, most: int) -> Column | None:
    """A condition of few values, none of which is better measured."""
    if len(held.counts) > most:
        return None
    if held.counts and _is_boolean(held, also_one=True):
        return categorical(Boolean, held, 2, strict=True)
    numbers = _numbers(held) if held.counts else None
    if numbers is not None and not numbers[1]:
        style = numbers[0]
        # Whole numbers that differ in every row are learnt from only where near ones say something.
        if not style.whole or style.least or style.raw == "float" or held.unique:
            return None
        return numeric(Integer, held, style, [], "all", strict=True)
    if held.unique or any(isinstance(value, date) for value in held.counts):
        return None
    return categorical(Categorical, held, most, strict=True)


def _measured(held: Held) -> Column | None:
    """A condition of numbers or dates."""
    if (numbers := _numbers(held)) is not None:
        style, strays = numbers
        column = numeric(
            Integer if style.whole else Continuous, held, style, strays, "none", strict=True
        )
        if not strays and _counts_rows(held, style):
            column.notes.append(f"the condition {held.name!r} looks as if it only counts the examples")
        return column
    if dates := Dates.of(held.counts):
        return dated(held, *dates, "none", strict=True)
    return None


def _forced(held: Held, kind: str, most: int) -> Column:
    """The kind a person asked for. Raises `DataError` with the values that stand in the way."""
    if kind not in KINDS:
        raise RecipeError(f"column {held.name!r} cannot be of type {kind!r}; {suggest(kind, KINDS)}")
    if kind == "constant" or not held.counts:
        common = max(held.counts, key=held.counts.__getitem__, default=held.spelling)
        return Constant(name=held.name, about=held.about(top=held.top()), value=common)
    if kind == "identifier":
        odd = [value for value in held.counts if not isinstance(value, str | int)]
        if odd:
            raise _refused(held, kind, "texts or integers", odd)
        return identifier(held)
    if kind == "categorical":
        odd = [value for value in held.counts if isinstance(value, date)]
        if odd:
            raise _refused(held, kind, "texts or numbers", odd)
        return categorical(Categorical, held, most)
    if kind == "boolean":
        if len(held.counts) <= 2:
            return categorical(Boolean, held, 2)
        raise _refused(held, "boolean", "of two values", list(held.counts)[2:])
    if kind == "datetime":
        if dates := Dates.of(held.counts):
            return dated(held, *dates)
        raise _refused(held, "datetime", "dates of one common format", held.counts)
    comma = _decimal_comma(held)
    strays = [value for value in held.counts if number(value, comma) is None]
    texts = [value for value in strays if isinstance(value, str)]
    if len(texts) > FEW or len(strays) > len(texts) or len(strays) == len(held.counts):
        raise _refused(held, kind, "numbers", strays)
    style = Numbers.of([value for value in held.counts if value not in set(texts)], comma)
    if not any(np.isfinite(style.read(value)) for value in held.counts):
        raise _refused(held, kind, "finite numbers", held.counts)
    if kind == "integer" and not style.whole:
        raise _refused(held, kind, "whole numbers", [v for v in held.counts if style.read(v) % 1 > 0])
    return numeric(Integer if kind == "integer" else Continuous, held, style, texts)


def _refused(held: Held, kind: str, wanted: str, culprits: Iterable[Any]) -> DataError:
    culprits = list(culprits)
    rows = sum(held.counts[value] for value in culprits)
    shown = ", ".join(repr(plain_value(value)) for value in culprits[:3])
    return DataError(
        f"column {held.name!r} cannot be {kind}: {rows:,} of {held.total:,} rows are not {wanted}, for "
        f"example {shown}; mend them or give the column another type"
    )


def _is_boolean(held: Held, also_one: bool = False) -> bool:
    if all(isinstance(value, bool) for value in held.counts):
        return True
    spelled = {value.casefold() for value in held.counts if isinstance(value, str)}
    enough = len(held.counts) == 2 or also_one
    return enough and len(spelled) == len(held.counts) and any(spelled <= pair for pair in _TRUTH)


def _numbers(held: Held) -> tuple[Numbers, list[str]] | None:
    """The spelling of the numbers, and the few texts among them; None where these are no numbers."""
    if any(isinstance(value, bool) for value in held.counts):
        return None
    comma = _decimal_comma(held)
    found = {value: number(value, comma) for value in held.counts}
    strays = [value for value, meant in found.items() if meant is None]
    numbers = [value for value, meant in found.items() if meant is not None]
    if not all(isinstance(v, str) for v in strays) or not any(
        np.isfinite(found[v] or 0.0) for v in numbers
    ):
        return None
    if len(strays) > FEW // 2 or sum(held.counts[v] for v in strays) > 0.05 * held.total:
        return None
    if any(isinstance(v, str) and re.fullmatch(r"\s*[+-]?0[0-9]+.*", v) for v in numbers):
        return None  # 02139 is a code: as a number it would lose its zero
    style = Numbers.of(numbers, comma)
    if style.raw != "float" and style.whole and style.digits is None:
        largest = max(abs(found[v] or 0.0) for v in numbers if np.isfinite(found[v] or 0.0))
        if largest >= 2**53:
            return None  # and so is what float64 cannot tell from its neighbour
    return style, strays


def _decimal_comma(held: Held) -> bool:
    """Whether 3,14 means a number here. Groups of three digits alone would rather be thousands."""
    tails = [
        re.fullmatch(r"\s*[+-]?[0-9]+(?:,([0-9]+))?\s*", v) for v in held.counts if isinstance(v, str)
    ]
    decimals = {len(found[1]) for found in tails if found and found[1]}
    return bool(tails) and all(tails) and bool(decimals) and decimals != {3}


def _counts_rows(held: Held, style: Numbers) -> bool:
    """Whether these integers only name or count the rows."""
    if not held.unique or style.least > 0 or style.raw == "float":
        return False
    numbers = np.array([style.read(value) for value in held.counts])
    ascending = bool((np.diff(numbers) > 0).all())
    dense = numbers.max() - numbers.min() < 2 * max(held.rows, held.total)
    return _ID.fullmatch(held.name) is not None or (ascending and dense)


# -- on disk -------------------------------------------------------------------------------------


def restore_column(state: Mapping[str, Any]) -> Column:
    """The column whose `state` this is."""
    fields = dict(state)
    kind = fields.pop("kind", None)
    if kind not in KINDS:
        raise RunError(f"this version knows no column of kind {kind!r}; {suggest(str(kind), KINDS)}")
    if "style" in fields:
        style = fields["style"]
        fields["style"] = Dates(**style) if "step" in style else Numbers(**style)
    if fields.get("scores") is not None:
        fields["scores"] = Scores(**fields["scores"])
    return KINDS[kind](**fields)
