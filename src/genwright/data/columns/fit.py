"""Statistics of a column's raw values, and fitting a column of one type to them.

Which type it is was decided before, in `infer.py`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.data.columns.dates import DateFormat
from genwright.data.columns.formats import FormatFit, is_missing
from genwright.data.columns.identifiers import Identifier
from genwright.data.columns.numbers import NumberFormat, parse_number
from genwright.data.columns.scaling import Floats, NormalScores
from genwright.data.columns.types import Categorical, Datetime, Numeric

__all__ = [
    "FEW",
    "SURE",
    "ColumnStats",
    "categorical",
    "dated",
    "identifier",
    "numeric",
    "plain_value",
    "sentinels",
]

POOL = 5_000
"""Rarer categories that are remembered to draw from."""
FEW = 20
"""Distinct numbers that are still plain symbols."""
POINT_MASS = 0.03
"""The share of rows from which a single number becomes a symbol."""
MANY = 10
"""Distinct numbers that one of them can stand apart from."""
KEYS = 20_000
"""Known keys that are remembered to draw from."""
SURE = 20
"""Rows from which "every value differs" says something."""


@dataclass(frozen=True)
class ColumnStats:
    """Value counts of a column.

    counts    of the raw values that are not missing, in the order they were met
    missing   counts of what the other rows hold instead, such as "" or "NA", the commonest first; those of None
              are also of NaN, which are `not_numbers`
    rows      all there are; `total` of them were looked at
    values    all that were looked at, and the `places` in their file, from 1, where these are known
    largest   the largest whole number that the file's own type holds
    """

    name: str
    counts: dict[Any, int]
    missing: dict[Any, int]
    rows: int
    values: Sequence[Any] = ()
    places: Sequence[int] = ()
    largest: int | None = None
    not_numbers: int = 0

    @classmethod
    def of(
        cls,
        name: str,
        values: Sequence[Any],
        counts: Mapping[Any, int] | None,
        rows: int | None,
        places: Sequence[int] = (),
        largest: int | None = None,
    ) -> ColumnStats:
        present: Counter[Any] = Counter()
        absent: Counter[Any] = Counter()
        not_numbers = 0
        for value, count in (Counter(values) if counts is None else counts).items():
            raw = value.item() if isinstance(value, np.generic) else value
            if is_missing(raw):
                not_numbers += count if isinstance(raw, float) else 0
                absent[raw if isinstance(raw, str) else None] += count
            else:
                present[raw] += count
        tokens = sorted(absent, key=lambda token: (-absent[token], str(token)))
        missing = {token: absent[token] for token in tokens}
        total = present.total() + absent.total()
        return cls(
            name, dict(present), missing, max(rows or 0, total), values, places, largest, not_numbers
        )

    @property
    def missing_token(self) -> Any:
        """The commonest of them; where none is missing, what would stand for it."""
        return next(iter(self.missing), "" if all(isinstance(v, str) for v in self.counts) else None)

    @property
    def present(self) -> int:
        """Rows with a value."""
        return sum(self.counts.values())

    @property
    def total(self) -> int:
        return self.present + sum(self.missing.values())

    @property
    def unique(self) -> bool:
        return len(self.counts) >= SURE and len(self.counts) == self.present

    def shown(self, value: Any) -> str:
        """A value as a person finds it again: with its row."""
        try:
            return f"{plain_value(value)!r} in row {self.places[self.values.index(value)]:,}"
        except (ValueError, IndexError):  # in no sample, or of no file
            return repr(plain_value(value))

    def about(self, **more: Any) -> dict[str, Any]:
        """The facts of every type of column, as JSON."""
        share = sum(self.missing.values()) / self.total if self.total else 0.0
        sample = {"sample": self.total} if self.rows > self.total else {}
        return {"missing": round(share, 4), "distinct": len(self.counts), **sample, **more}

    def top(self, most: int = 5) -> list[list[Any]]:
        """The commonest values with their shares."""
        common = sorted(self.counts.items(), key=lambda item: -item[1])[:most]
        return [[plain_value(value), round(count / self.total, 4)] for value, count in common]


def plain_value(value: Any) -> Any:
    """A raw value as JSON has it."""
    return (
        value.isoformat()
        if isinstance(value, date | time)
        else str(value)
        if isinstance(value, timedelta)
        else value
    )


def ordered(values: Iterable[Any]) -> list[Any]:
    """Numbers before texts, each in their order."""
    return sorted(values, key=lambda v: (isinstance(v, str), v))


# -- numbers -------------------------------------------------------------------------------------


def dated(
    stats: ColumnStats, fit: FormatFit, point_masses: str = "heavy", strict: bool = False
) -> Numeric:
    column = numeric(Datetime, stats, fit, point_masses, strict)
    main = fit.format.formats[0]
    if fit.ambiguous and isinstance(main, DateFormat):
        first = "month/day" if main.pattern.startswith(("%m", "%-m")) else "day/month"
        column.notes.append(
            f"column {stats.name!r} could be day/month or month/day; it is read as {first}: write the "
            f"dates as 2024-12-31 if that is wrong"
        )
    return column


def numeric(
    kind: type[Numeric],
    stats: ColumnStats,
    fit: FormatFit,
    point_masses: str = "heavy",
    strict: bool = False,
) -> Numeric:
    """A column of numbers. `point_masses`: which of them become symbols: those that hold many rows or stand for
    something else ("heavy"; all, if there are few numbers), "all" or "none"."""
    format, apart = fit.format, {*fit.literals, *fit.impossible}
    located = {value: format.locate(value) for value in stats.counts if value not in apart}
    every = [number for _, number in located.values()]
    numbers = np.unique(every)
    counts, main = np.zeros((2, len(numbers)), np.int64)  # in all formats, and in the first
    for value, at in zip(located, np.searchsorted(numbers, every).tolist(), strict=True):
        counts[at] += stats.counts[value]
        main[at] += stats.counts[value] if located[value][0] == 0 else 0
    common: list[Any] = []
    if point_masses == "heavy":
        many = max(5, POINT_MASS * stats.total)
        if len(located) <= FEW and 2 * len(located) <= counts.sum():
            many = 1
        coded = sentinels(numbers, counts, kind is Datetime)
        heavy = (main >= many) | ((main > 0) & coded)
        # What is common in another format than the first is kept to the letter.
        common = [
            value
            for value, (i, number) in located.items()
            if i and (stats.counts[value] >= many or number in numbers[coded])
        ]
    else:
        heavy, main = np.full(len(numbers), point_masses != "none"), counts
    free = counts - np.where(heavy, main, 0)
    for value in common:
        free[np.searchsorted(numbers, located[value][1])] -= stats.counts[value]
    tokens = list(stats.missing) or ([stats.missing_token] if fit.impossible else [])
    missing = sum(stats.missing.values()) + sum(stats.counts[value] for value in fit.impossible)
    return kind(
        name=stats.name,
        about=_range(stats, fit, numbers, counts, np.where(heavy, main, 0))
        | {"missing": round(missing / stats.total, 4)},
        notes=_oddities(stats, fit),
        missing_tokens=tokens,
        format=format,
        point_masses=numbers[heavy].tolist(),
        text_values=[*fit.literals, *common],
        scores=NormalScores.fit(numbers[free > 0], free[free > 0]) if free.any() else None,
        fallback=int(main[heavy].argmax()) if heavy.any() else 0,
        strict=strict,
    )


def sentinels(numbers: Floats, counts: NDArray[np.int64], moments: bool) -> NDArray[np.bool_]:
    """Which numbers stand for something else, such as "unknown": moments at an end that are further from the next
    than twice the range of all others (9999-12-31); so far away and repeated, numbers of nines (999); and -1 where
    it is the only one below 0 and repeated."""
    found = np.zeros(len(numbers), bool)
    if len(numbers) < MANY:
        return found
    coded = np.array(
        [
            n > 1 and bool(re.fullmatch("-1|-?99+", f"{x:.16g}"))
            for x, n in zip(numbers, counts, strict=True)
        ]
    )
    found[0] = coded[0] and numbers[1] >= 0
    for low, high in ((1, 1), (1, 0), (0, 1)):
        rest = numbers[low : len(numbers) - high]
        far = 2 * (rest[-1] - rest[0])
        ends = [0] * low + [-1] * high
        gaps = [rest[0] - numbers[0]] * low + [numbers[-1] - rest[-1]] * high
        if min(gaps) > far and (moments or coded[ends].all()):
            found[ends] = True
            break
    return found


def _range(
    stats: ColumnStats,
    fit: FormatFit,
    numbers: Floats,
    counts: NDArray[np.int64],
    heavy: NDArray[np.int64],
) -> dict[str, Any]:
    """The facts of numbers; `heavy`: the rows of each point mass. Of several units, the numbers without them."""
    median = np.searchsorted(counts.cumsum(), counts.sum() / 2)
    parts = [part for part in fit.format.formats if isinstance(part, NumberFormat)]
    units = list(dict.fromkeys(f"{part.prefix}{part.suffix}".strip() for part in parts))
    format = replace(parts[0], prefix="", suffix="") if len(units) > 1 else fit.format
    shown = map(plain_value, format.write([numbers[0], numbers[median], numbers[-1]]))
    about = stats.about(**dict(zip(("min", "median", "max"), shown, strict=True)))
    if len(units) > 1:
        about["units"] = " and ".join(unit or "none" for unit in units)
    order = [i for i in np.argsort(-heavy, kind="stable").tolist() if heavy[i]][:5]
    if order:
        common = zip(fit.format.write(numbers[order]), heavy[order].tolist(), strict=True)
        about["top"] = [[plain_value(value), round(count / stats.total, 4)] for value, count in common]
    return about


def _oddities(stats: ColumnStats, fit: FormatFit) -> list[str]:
    """What is wrong with the raw values of numbers or moments, a sentence each."""

    def described(values: Sequence[Any], verb: str = "hold") -> tuple[str, str]:
        count = sum(stats.counts[v] for v in values)
        rows = f"1 row {verb}s" if count == 1 else f"{count:,} rows {verb}"
        return rows, ", ".join(map(stats.shown, values[:3]))

    what = "numbers" if isinstance(fit.format.formats[0], NumberFormat) else "dates or times"
    infinite = [value for value in fit.literals if math.isinf(parse_number(value) or 0.0)]
    texts = [value for value in fit.literals if parse_number(value) is None]
    start, notes = f"column {stats.name!r}", []
    if infinite:
        count = sum(stats.counts[value] for value in infinite)
        notes.append(f"{start} has {count:,} infinite values; each is kept as a symbol of its own")
    if texts:
        rows, shown = described(texts)
        notes.append(
            f"{start} holds {what}, but {rows} text ({shown}); each text is kept as a symbol of its own"
        )
    if fit.impossible:
        rows, shown = described(fit.impossible)
        notes.append(
            f"{start} holds {what}, but {rows} what cannot be one ({shown}); it counts as missing"
        )
    if fit.rewritten:
        rows, shown = described(fit.rewritten)
        now = ", ".join(
            map(repr, fit.format.write([fit.format.read(value) for value in fit.rewritten[:3]]))
        )
        notes.append(
            f"{start}: {rows} another format than the rest ({shown}) and will come back in that ({now})"
        )
    return notes


# -- text ----------------------------------------------------------------------------------------


def categorical(
    kind: type[Categorical], stats: ColumnStats, most: int, strict: bool = False
) -> Categorical:
    order = sorted(stats.counts, key=lambda value: (-stats.counts[value], str(value)))
    kept, rare = order[:most], order[most:]
    pool = rare[: KEYS if are_keys(rare) else POOL]
    rest, about, notes = None, stats.about(top=stats.top()), []
    if rare:
        rest = "(other)"
        while rest in stats.counts:
            rest = f"({rest})"
        share = sum(stats.counts[value] for value in rare) / stats.total
        about["rest"] = {
            "name": rest,
            "distinct": len(rare),
            "share": round(share, 4),
            "drawn": len(pool),
        }
        them = "them" if len(pool) == len(rare) else f"the {len(pool):,} commonest of them"
        notes.append(
            f"column {stats.name!r} has {len(order):,} different values: the {most:,} commonest are "
            f"kept, the rest ({share:.1%} of the rows) become one symbol, which is written as a draw from "
            f"{them}; codec.max_categories keeps more, codec.types.{stats.name}=identifier makes fresh ones"
        )
    values = ordered(kept)
    return kind(
        name=stats.name,
        about=about,
        notes=notes,
        missing_tokens=list(stats.missing) if stats.counts else [stats.missing_token],
        values=values,
        rest=rest,
        pool=[[value, stats.counts[value]] for value in pool],
        fallback=values.index(kept[0]) if kept else 0,
        strict=strict,
    )


def are_keys(values: Sequence[Any]) -> bool:
    """Whether these can only be drawn from those that are known: numbers of a typed file, codes of one shape."""
    shapes = {re.sub("[0-9]", "9", value) if isinstance(value, str) else "" for value in values}
    return len(shapes) == 1


def identifier(stats: ColumnStats, why: str = "") -> Identifier | None:
    """None where there is no room for fresh ones. why: it is one ("": every value, or nearly, differs)."""
    column = Identifier.fit(
        stats.name,
        stats.counts,
        rows=stats.rows,
        sampled=stats.rows > stats.total,
        largest=stats.largest,
        missing_tokens=list(stats.missing),
    )
    if column is None:
        return None
    why = why or f"{'' if stats.unique else 'nearly '}every value differs"
    shown = ", ".join(map(repr, column.decode(np.zeros((2, column.stored)), np.random.default_rng(0))))
    column.notes.append(
        f"column {stats.name!r} looks like an identifier ({why}): it is not "
        f"modelled, fresh ones are written ({shown}, ...); another type in codec.types models it"
    )
    column.about = stats.about(fresh=shown)
    return column
