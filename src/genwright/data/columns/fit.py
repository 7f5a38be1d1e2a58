"""What the raw values of a column hold, and learning a column of one kind from it.

Which kind it is was decided before, in `data/columns.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from genwright.data.columns.formats import Dates, Numbers, is_missing
from genwright.data.columns.identifiers import Identifier
from genwright.data.columns.scaling import Scores
from genwright.data.columns.types import Categorical, Datetime, Numeric

__all__ = [
    "FEW",
    "SURE",
    "Held",
    "ReservoirCounter",
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
ATOM = 0.03
"""The share of rows from which a single number becomes a symbol."""
SURE = 20
"""Rows from which "every value differs" says something."""


class ReservoirCounter:
    """Values that come in pieces: how often each came, as long as not too many differ, and a sample of
    at most `most`, each as likely, in their order."""

    def __init__(self, most: int = 100_000, different: int = 50_000) -> None:
        self.most, self.different, self.seen = most, different, 0
        self.counts: Counter[Any] | None = Counter()
        self._rng = np.random.default_rng(0)
        self._values: list[Any] = []
        self._drawn = np.zeros(0)

    def add(self, values: Sequence[Any]) -> None:
        self.seen += len(values)
        if self.counts is not None:
            self.counts.update(values)
            if len(self.counts) > self.different:
                self.counts = None
        # Every value draws a number and the smallest numbers stay: how they are cut does not matter.
        self._values += values
        self._drawn = np.concatenate([self._drawn, self._rng.random(len(values))])
        if len(self._values) > 2 * self.most:
            self._cut()

    def _cut(self) -> None:
        kept = np.sort(np.argpartition(self._drawn, self.most)[: self.most])
        self._values, self._drawn = [self._values[i] for i in kept.tolist()], self._drawn[kept]

    def sample(self) -> list[Any]:
        if len(self._values) > self.most:
            self._cut()
        return self._values


@dataclass(frozen=True)
class Held:
    """What a column holds.

    counts      raw values that are not missing, in the order they were met
    missing     rows without a value, and how most of them are spelled
    rows        all there are; `total` of them were looked at
    """

    name: str
    counts: dict[Any, int]
    missing: int
    spelling: Any
    rows: int

    @classmethod
    def of(
        cls, name: str, values: Sequence[Any], counts: Mapping[Any, int] | None, rows: int | None
    ) -> Held:
        present: Counter[Any] = Counter()
        absent: Counter[Any] = Counter()
        for value, count in (Counter(values) if counts is None else counts).items():
            raw = value.item() if isinstance(value, np.generic) else value
            if is_missing(raw):
                absent[raw if isinstance(raw, str) else None] += count
            else:
                present[raw] += count
        spelling = min(absent, key=lambda s: (-absent[s], str(s)), default=None)
        if not absent and present and all(isinstance(v, str) for v in present):
            spelling = ""
        total = present.total() + absent.total()
        return cls(name, dict(present), absent.total(), spelling, max(rows or 0, total))

    @property
    def total(self) -> int:
        return sum(self.counts.values()) + self.missing

    @property
    def unique(self) -> bool:
        return len(self.counts) >= SURE and len(self.counts) == self.total - self.missing

    def about(self, **more: Any) -> dict[str, Any]:
        """The facts that every kind of column tells."""
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
    """Numbers before texts, each in their order."""
    return sorted(values, key=lambda v: (isinstance(v, str), v))


# -- numbers -------------------------------------------------------------------------------------


def dated(
    held: Held, style: Dates, ambiguous: bool, atoms: str = "heavy", strict: bool = False
) -> Numeric:
    column = numeric(Datetime, held, style, [], atoms, strict)
    if ambiguous:
        first = "month/day" if style.form.startswith("%m") else "day/month"
        column.notes.append(
            f"column {held.name!r} could be day/month or month/day; it is read as {first}: write the "
            f"dates as 2024-12-31 if that is wrong"
        )
    return column


def numeric(
    kind: type[Numeric],
    held: Held,
    style: Numbers | Dates,
    strays: list[str],
    atoms: str = "heavy",
    strict: bool = False,
) -> Numeric:
    """`atoms`: which numbers become symbols: those that hold many rows ("heavy"; all, if there are
    few numbers), "all" or "none"."""
    weights: Counter[float] = Counter()
    missing = held.missing
    infinite = 0
    for value, count in held.counts.items():
        meant = style.read(value)
        if np.isfinite(meant):
            weights[meant] += count
        elif value not in strays:
            infinite += count
    notes = []
    if infinite:
        missing += infinite
        notes.append(f"column {held.name!r} has {infinite:,} infinite values; they count as missing")
    if strays:
        shown = ", ".join(map(repr, strays[:3]))
        rows = sum(held.counts[stray] for stray in strays)
        notes.append(
            f"column {held.name!r} holds numbers, but {rows:,} rows hold text ({shown}); each text is "
            f"kept as a symbol of its own"
        )
    numbers = np.array(sorted(weights))
    counts = np.array([weights[x] for x in numbers.tolist()])
    heavy = counts >= max(5, ATOM * held.total)
    if atoms != "heavy" or (len(numbers) <= FEW and 2 * len(numbers) <= counts.sum()):
        heavy = np.full(len(numbers), atoms != "none")
    seen = style.write(
        [numbers[0], numbers[np.searchsorted(counts.cumsum(), counts.sum() / 2)], numbers[-1]]
    )
    about = held.about(**dict(zip(("min", "median", "max"), map(plain_value, seen), strict=True)))
    if heavy.any():
        order = [i for i in np.argsort(-counts, kind="stable").tolist() if heavy[i]][:5]
        common = zip(style.write(numbers[order]), counts[order].tolist(), strict=True)
        about["top"] = [[plain_value(value), round(count / held.total, 4)] for value, count in common]
    return kind(
        name=held.name,
        about={**about, "missing": round(missing / held.total, 4)},
        notes=notes,
        style=style,
        atoms=numbers[heavy].tolist(),
        strays=strays,
        missing=missing > 0,
        spelling=held.spelling,
        scores=None if heavy.all() else Scores.fit(numbers[~heavy], counts[~heavy]),
        usual=int(counts[heavy].argmax()) if heavy.any() else 0,
        strict=strict,
    )


# -- text ----------------------------------------------------------------------------------------


def categorical(kind: type[Categorical], held: Held, most: int, strict: bool = False) -> Categorical:
    order = sorted(held.counts, key=lambda value: (-held.counts[value], str(value)))
    kept, rare = order[:most], order[most:]
    rest, about, notes = None, held.about(top=held.top()), []
    if rare:
        rest = "(other)"
        while rest in held.counts:
            rest = f"({rest})"
        drawn = len(rare) <= POOL
        share = sum(held.counts[value] for value in rare) / held.total
        about["rest"] = {"name": rest, "distinct": len(rare), "share": round(share, 4), "drawn": drawn}
        notes.append(
            f"column {held.name!r} has {len(order):,} different values: the {most:,} commonest are "
            f"kept, the rest ({share:.1%} of the rows) become one symbol, which is written as "
            f"{'a draw from them' if drawn else repr(rest)}; codec.max_categories keeps more"
        )
    values = ordered(kept)
    return kind(
        name=held.name,
        about=about,
        notes=notes,
        values=values,
        rest=rest,
        pool=[[value, held.counts[value]] for value in rare] if len(rare) <= POOL else [],
        missing=held.missing > 0 or not held.counts,
        spelling=held.spelling,
        usual=values.index(kept[0]) if kept else 0,
        strict=strict,
    )


def identifier(held: Held) -> Identifier:
    column = Identifier.fit(
        held.name,
        held.counts,
        sampled=held.rows > held.total,
        missing=held.missing > 0,
        spelling=held.spelling,
    )
    nearly = "" if held.unique else "nearly "
    shown = ", ".join(map(repr, column.decode(np.zeros((2, column.stored)), np.random.default_rng(0))))
    column.notes.append(
        f"column {held.name!r} looks like an identifier ({nearly}every value differs): it is not "
        f"modelled, fresh ones are written ({shown}, ...); another type in codec.types models it"
    )
    column.about = held.about(fresh=shown)
    return column
