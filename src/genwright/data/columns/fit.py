"""Statistics of a column's raw values, and fitting a column of one type to them.

Which type it is was decided before, in `infer.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from genwright.data.columns.formats import DateFormat, NumberFormat, is_missing
from genwright.data.columns.identifiers import Identifier
from genwright.data.columns.scaling import NormalScores
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
]

POOL = 500
"""Rarer categories that are remembered to draw from."""
FEW = 20
"""Distinct numbers that are still plain symbols."""
POINT_MASS = 0.03
"""The share of rows from which a single number becomes a symbol."""
SURE = 20
"""Rows from which "every value differs" says something."""


@dataclass(frozen=True)
class ColumnStats:
    """Value counts of a column.

    counts          of the raw values that are not missing, in the order they were met
    missing         rows without a value
    missing_token   what most of those hold instead, such as "" or "NA"
    rows            all there are; `total` of them were looked at
    """

    name: str
    counts: dict[Any, int]
    missing: int
    missing_token: Any
    rows: int

    @classmethod
    def of(
        cls, name: str, values: Sequence[Any], counts: Mapping[Any, int] | None, rows: int | None
    ) -> ColumnStats:
        present: Counter[Any] = Counter()
        absent: Counter[Any] = Counter()
        for value, count in (Counter(values) if counts is None else counts).items():
            raw = value.item() if isinstance(value, np.generic) else value
            if is_missing(raw):
                absent[raw if isinstance(raw, str) else None] += count
            else:
                present[raw] += count
        missing_token = min(absent, key=lambda s: (-absent[s], str(s)), default=None)
        if not absent and present and all(isinstance(v, str) for v in present):
            missing_token = ""
        total = present.total() + absent.total()
        return cls(name, dict(present), absent.total(), missing_token, max(rows or 0, total))

    @property
    def total(self) -> int:
        return sum(self.counts.values()) + self.missing

    @property
    def unique(self) -> bool:
        return len(self.counts) >= SURE and len(self.counts) == self.total - self.missing

    def about(self, **more: Any) -> dict[str, Any]:
        """The facts of every type of column, as JSON."""
        share = self.missing / self.total if self.total else 0.0
        sample = {"sample": self.total} if self.rows > self.total else {}
        return {"missing": round(share, 4), "distinct": len(self.counts), **sample, **more}

    def top(self, most: int = 5) -> list[list[Any]]:
        """The commonest values with their shares."""
        common = sorted(self.counts.items(), key=lambda item: -item[1])[:most]
        return [[plain_value(value), round(count / self.total, 4)] for value, count in common]


def plain_value(value: Any) -> Any:
    """A raw value as JSON has it."""
    return value.isoformat() if isinstance(value, date) else value


def ordered(values: Iterable[Any]) -> list[Any]:
    """NumberFormat before texts, each in their order."""
    return sorted(values, key=lambda v: (isinstance(v, str), v))


# -- numbers -------------------------------------------------------------------------------------


def dated(
    stats: ColumnStats,
    format: DateFormat,
    ambiguous: bool,
    point_masses: str = "heavy",
    strict: bool = False,
) -> Numeric:
    column = numeric(Datetime, stats, format, [], point_masses, strict)
    if ambiguous:
        first = "month/day" if format.pattern.startswith("%m") else "day/month"
        column.notes.append(
            f"column {stats.name!r} could be day/month or month/day; it is read as {first}: write the "
            f"dates as 2024-12-31 if that is wrong"
        )
    return column


def numeric(
    kind: type[Numeric],
    stats: ColumnStats,
    format: NumberFormat | DateFormat,
    text_values: list[str],
    point_masses: str = "heavy",
    strict: bool = False,
) -> Numeric:
    """A column of numbers. `point_masses`: which of them become symbols: those that hold many rows ("heavy";
    all, if there are few numbers), "all" or "none"."""
    weights: Counter[float] = Counter()
    missing = stats.missing
    infinite = 0
    for value, count in stats.counts.items():
        meant = format.read(value)
        if np.isfinite(meant):
            weights[meant] += count
        elif value not in text_values:
            infinite += count
    notes = []
    if infinite:
        missing += infinite
        notes.append(f"column {stats.name!r} has {infinite:,} infinite values; they count as missing")
    if text_values:
        shown = ", ".join(map(repr, text_values[:3]))
        rows = sum(stats.counts[text] for text in text_values)
        notes.append(
            f"column {stats.name!r} holds numbers, but {rows:,} rows hold text ({shown}); each text is "
            f"kept as a symbol of its own"
        )
    numbers = np.array(sorted(weights))
    counts = np.array([weights[x] for x in numbers.tolist()])
    heavy = counts >= max(5, POINT_MASS * stats.total)
    if point_masses != "heavy" or (len(numbers) <= FEW and 2 * len(numbers) <= counts.sum()):
        heavy = np.full(len(numbers), point_masses != "none")
    seen = format.write(
        [numbers[0], numbers[np.searchsorted(counts.cumsum(), counts.sum() / 2)], numbers[-1]]
    )
    about = stats.about(**dict(zip(("min", "median", "max"), map(plain_value, seen), strict=True)))
    if heavy.any():
        order = [i for i in np.argsort(-counts, kind="stable").tolist() if heavy[i]][:5]
        common = zip(format.write(numbers[order]), counts[order].tolist(), strict=True)
        about["top"] = [[plain_value(value), round(count / stats.total, 4)] for value, count in common]
    return kind(
        name=stats.name,
        about={**about, "missing": round(missing / stats.total, 4)},
        notes=notes,
        format=format,
        point_masses=numbers[heavy].tolist(),
        text_values=text_values,
        missing=missing > 0,
        missing_token=stats.missing_token,
        scores=None if heavy.all() else NormalScores.fit(numbers[~heavy], counts[~heavy]),
        fallback=int(counts[heavy].argmax()) if heavy.any() else 0,
        strict=strict,
    )


# -- text ----------------------------------------------------------------------------------------


def categorical(
    kind: type[Categorical], stats: ColumnStats, most: int, strict: bool = False
) -> Categorical:
    order = sorted(stats.counts, key=lambda value: (-stats.counts[value], str(value)))
    kept, rare = order[:most], order[most:]
    rest, about, notes = None, stats.about(top=stats.top()), []
    if rare:
        rest = "(other)"
        while rest in stats.counts:
            rest = f"({rest})"
        drawn = len(rare) <= POOL
        share = sum(stats.counts[value] for value in rare) / stats.total
        about["rest"] = {"name": rest, "distinct": len(rare), "share": round(share, 4), "drawn": drawn}
        notes.append(
            f"column {stats.name!r} has {len(order):,} different values: the {most:,} commonest are "
            f"kept, the rest ({share:.1%} of the rows) become one symbol, which is written as "
            f"{'a draw from them' if drawn else repr(rest)}; codec.max_categories keeps more"
        )
    values = ordered(kept)
    return kind(
        name=stats.name,
        about=about,
        notes=notes,
        values=values,
        rest=rest,
        pool=[[value, stats.counts[value]] for value in rare] if len(rare) <= POOL else [],
        missing=stats.missing > 0 or not stats.counts,
        missing_token=stats.missing_token,
        fallback=values.index(kept[0]) if kept else 0,
        strict=strict,
    )


def identifier(stats: ColumnStats) -> Identifier:
    column = Identifier.fit(
        stats.name,
        stats.counts,
        sampled=stats.rows > stats.total,
        missing=stats.missing > 0,
        missing_token=stats.missing_token,
    )
    nearly = "" if stats.unique else "nearly "
    shown = ", ".join(map(repr, column.decode(np.zeros((2, column.stored)), np.random.default_rng(0))))
    column.notes.append(
        f"column {stats.name!r} looks like an identifier ({nearly}every value differs): it is not "
        f"modelled, fresh ones are written ({shown}, ...); another type in codec.types models it"
    )
    column.about = stats.about(fresh=shown)
    return column
