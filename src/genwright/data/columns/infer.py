"""Which kind of column some raw values make, and what it learns from them.

`fit_column` looks at the distinct values with their counts. In this order: nothing but missing or one
value is a constant; yes and no are boolean; dates, times and durations are moments; numbers are numbers,
unless they only count the rows; texts of several numbers or tags are that; what differs in (nearly) every row is an
identifier; all else is categorical.

Values are raw: texts as they stand in a CSV, or typed ones from Parquet or JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from genwright.data.columns.check_digits import check_digits_of
from genwright.data.columns.composite import Composite, composite
from genwright.data.columns.dates import DateFormat, fit_dates
from genwright.data.columns.durations import DurationFormat
from genwright.data.columns.fit import (
    FEW,
    ColumnStats,
    categorical,
    dated,
    identifier,
    numeric,
    plain_value,
)
from genwright.data.columns.formats import Format, FormatFit, MixedFormat
from genwright.data.columns.identifiers import Identifier, Shape
from genwright.data.columns.numbers import NumberFormat, decimal_comma, fit_numbers, parse_number
from genwright.data.columns.personal import looks_personal
from genwright.data.columns.scaling import NormalScores
from genwright.data.columns.tags import Tags, tags
from genwright.data.columns.types import (
    Boolean,
    Categorical,
    Column,
    Constant,
    Continuous,
    Datetime,
    Integer,
    Numeric,
)
from genwright.errors import DataError, RecipeError, RunError, suggest

__all__ = ["KINDS", "Column", "fit_column", "restore_column"]

KINDS: dict[str, type[Column]] = {
    kind.kind: kind
    for kind in (
        Continuous,
        Integer,
        Categorical,
        Boolean,
        Datetime,
        Composite,
        Tags,
        Constant,
        Identifier,
    )
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
    places: Sequence[int] = (),
    largest: int | None = None,
) -> Column:
    """Learn a column from raw training values, in the order of their rows.

    as_condition      a label that is given: integers, booleans and texts become one `Symbol` in
                      sorted order, other numbers a `Real`, and what is unknown is refused
    kind              one of `KINDS`, instead of what the values look like
    max_categories    most symbols beside the rest and missing
    counts            of the values in all rows, where `values` is only a sample of them
    rows              how many rows there are, where `values` is only a sample of them
    places            the row of the file, from 1, in which each of the `values` stands, to name it by
    largest           the largest whole number that the file's own type holds
    """
    stats = ColumnStats.of(name, values, counts, rows, places, largest)
    most = max_categories or (LABELS if as_condition else CATEGORIES)
    if as_condition:
        column = _condition(stats, most)
    else:
        column = _guessed(stats, most) if kind is None else _forced(stats, kind, most)
    if isinstance(column, Categorical) and (what := looks_personal(stats.counts)):  # few, or asked for
        column.notes.append(
            f"column {name!r} holds what looks like {what}, and rows that are made hold them as they stand: "
            f"codec.types.{name}=identifier makes fresh ones, codec.drop={name} leaves the column out"
        )
    if 0 < stats.not_numbers < stats.missing.get(None, 0):
        column.notes.append(
            f"column {name!r} is NaN in {stats.not_numbers:,} of its rows and empty in others: both come back empty"
        )
    return column


# -- choosing ------------------------------------------------------------------------------------


def _guessed(stats: ColumnStats, most: int) -> Column:
    name = stats.name
    if not stats.counts:
        note = f"column {name!r} is empty in every row; it is written back empty"
        if len(stats.missing) > 1:
            note += f", as {stats.missing_token!r} throughout"
        return Constant(name=name, about=stats.about(), notes=[note], value=stats.missing_token)
    if len(stats.counts) == 1 and not stats.missing:
        (value,) = stats.counts
        note = f"column {name!r} holds {value!r} in every row; it is written back, not modelled"
        return Constant(name=name, about=stats.about(top=stats.top()), notes=[note], value=value)
    if _is_boolean(stats):
        return categorical(Boolean, stats, 2)
    if check := check_digits_of(stats.counts):
        return _checked(stats, check, most)
    if dates := fit_dates(stats.counts):
        return dated(stats, dates)
    if fit := fit_numbers(stats.counts, most):
        names_rows = not fit.literals and not stats.missing and _counts_rows(stats, fit.format)
        if names_rows and (found := identifier(stats)):
            return found
        if _are_keys(stats, fit):
            return categorical(Categorical, stats, most)
        column = numeric(Integer if fit.format.whole else Continuous, stats, fit)
        if names_rows:
            column.notes.append(
                f"column {name!r} looks like an identifier, and the file's type has no room for fresh ones: it is "
                f"modelled as a number"
            )
        return column
    if several := _several(stats, most):
        return several
    if sets := tags(stats):
        return sets
    what = looks_personal(stats.counts) if len(stats.counts) > FEW else None
    if what and (fresh := identifier(stats, f"it holds {what}")):
        return fresh
    if _names_rows(stats, most):
        return identifier(stats) or categorical(Categorical, stats, most)
    return categorical(Categorical, stats, most)


def _names_rows(stats: ColumnStats, most: int) -> bool:
    """Whether nearly every value differs: two customers can have one name, and their names are still no categories."""
    return stats.unique or len(stats.counts) > max(most, 0.9 * stats.present)


def _checked(stats: ColumnStats, check: str, most: int) -> Column:
    """Codes with check digits: of persons fresh ones, and of goods too unless they come again."""
    fresh = None
    if check in ("iban", "luhn") or _names_rows(stats, most):
        fresh = identifier(stats, "its check digits are right")
    return fresh or categorical(Categorical, stats, most)


def _several(stats: ColumnStats, most: int) -> Column | None:
    """A column of texts of several numbers, where these are more than a few categories."""
    many = len(stats.counts) > min(most, stats.present / 2)
    return composite(stats) if many and _ID.fullmatch(stats.name) is None else None


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
    if len(stats.counts) + len(stats.missing) == 1:
        (value,) = stats.counts or stats.missing
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
    fit = fit_numbers(stats.counts, most) if stats.counts else None
    if fit and not fit.literals:
        # Whole numbers that differ in every row are learnt from only where near ones say something.
        if not _plain_integers(fit.format) or stats.unique:
            return None
        return numeric(Integer, stats, fit, "all", strict=True)
    if stats.unique or any(isinstance(value, date) for value in stats.counts):
        return None
    dates = fit_dates(stats.counts) if stats.counts else None
    if dates and all(dates.format.formats[0].exact(value) for value in stats.counts):
        return dated(stats, dates, "all", strict=True)  # in their order, so that there are nearest ones
    if _several(stats, CATEGORIES):
        return None
    return categorical(Categorical, stats, most, strict=True)


def _measured(stats: ColumnStats) -> Column | None:
    """A condition of numbers or dates."""
    if fit := fit_numbers(stats.counts):
        kind = Integer if fit.format.whole else Continuous
        column = numeric(kind, stats, fit, "none", strict=True)
        if not fit.literals and _counts_rows(stats, fit.format):
            column.notes.append(f"the condition {stats.name!r} looks as if it only counts the examples")
        return column
    if dates := fit_dates(stats.counts):
        return dated(stats, dates, "none", strict=True)
    return composite(stats, "none", strict=True) if stats.counts else None


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
        if found := identifier(stats):
            return found
        raise _refused(stats, kind, "such that the file's type has room for others", list(stats.counts))
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
        if dates := fit_dates(stats.counts):
            return dated(stats, dates)
        raise _refused(stats, "datetime", "dates of one common format", stats.counts)
    if kind == "composite":
        if several := composite(stats):
            return several
        raise _refused(stats, kind, "texts of several numbers with the same between them", stats.counts)
    if kind == "tags":
        if several_tags := tags(stats):
            return several_tags
        raise _refused(
            stats, kind, "texts of tags that come again, with the same between them", stats.counts
        )
    return _forced_number(stats, kind)


def _forced_number(stats: ColumnStats, kind: str) -> Numeric:
    fit = fit_numbers(stats.counts, 0)
    if fit is None:
        comma = decimal_comma(stats.counts)
        found = {value: parse_number(value, comma) for value in stats.counts}
        odd = [value for value, meant in found.items() if meant is None]
        finite = [value for value, meant in found.items() if meant is not None and np.isfinite(meant)]
        if len(odd) > FEW or not all(isinstance(v, str) for v in odd) or len(odd) == len(found):
            raise _refused(stats, kind, "numbers", odd)
        if not finite:
            raise _refused(stats, kind, "finite numbers", stats.counts)
        fit = FormatFit(NumberFormat.of(finite, comma), tuple(v for v in found if v not in set(finite)))
    if kind == "integer" and not fit.format.whole:
        raise _refused(
            stats, kind, "whole numbers", [v for v in stats.counts if fit.format.read(v) % 1 > 0]
        )
    return numeric(Integer if kind == "integer" else Continuous, stats, fit)


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


def _plain_integers(format: Format) -> bool:
    """Whether these are whole numbers that are written as such: 39, and not 39.0."""
    return all(
        isinstance(one, NumberFormat) and one.whole and not one.least and one.raw != "float"
        for one in format.formats
    )


def _bare_integers(format: Format) -> bool:
    return _plain_integers(format) and isinstance(format, NumberFormat) and format.is_bare


def _counts_rows(stats: ColumnStats, format: Format) -> bool:
    """Whether these integers only name or count the rows."""
    if not stats.unique or not _bare_integers(format):
        return False
    numbers = np.array([format.read(value) for value in stats.counts])
    ascending = bool((np.diff(numbers) > 0).all())
    dense = numbers.max() - numbers.min() < 2 * max(stats.rows, stats.total)
    return _ID.fullmatch(stats.name) is not None or (ascending and dense)


def _are_keys(stats: ColumnStats, fit: FormatFit) -> bool:
    """Whether these integers are identifiers that repeat: between two of them there is none."""
    if _ID.fullmatch(stats.name) is None or fit.literals or not _bare_integers(fit.format):
        return False
    numbers = [fit.format.read(value) for value in stats.counts]
    few = len(numbers) <= FEW or len(numbers) > stats.present / 1.5
    return not few and max(numbers) - min(numbers) > 4 * len(numbers)


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
        fields["format"] = _restored_format(fields["format"])
    if "text_values" in fields:
        own = fields["text_values"]
        fields["text_values"] = [float(v["float"]) if isinstance(v, dict) else v for v in own]
    if "parts" in fields:
        fields["parts"] = [restore_column(part) for part in fields["parts"]]
    if fields.get("scores") is not None:
        fields["scores"] = NormalScores(**fields["scores"])
    if "missing_tokens" not in fields:  # older versions knew one
        token = fields.pop("missing_token", None)
        fields["missing_tokens"] = [token] if fields.pop("missing", False) else []
    if kind == Identifier.kind:
        if "shapes" not in fields:
            shape = {
                key: fields.pop(key) for key in ("before", "after", "start", "width") if key in fields
            }
            fields["shapes"] = [shape]
        fields["shapes"] = [Shape(**shape) for shape in fields["shapes"]]
    return KINDS[kind](**fields)


def _restored_format(state: Mapping[str, Any]) -> Format:
    format = {_RENAMED.get(key, key): value for key, value in state.items()}
    if "parts" in format:
        return MixedFormat(tuple(map(_restored_format, format["parts"])))
    if "units" in format:
        lists = {key: tuple(format[key]) for key in ("units", "names")}
        return DurationFormat(**format | lists)
    return DateFormat(**format) if "step" in format else NumberFormat(**format)
