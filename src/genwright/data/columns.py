"""Which kind of column some raw values make, and what it learns from them.

`fit_column` looks at the distinct values with their counts. In this order: nothing but missing or one
value is a constant; yes and no are boolean; numbers are numbers, unless they only count the rows;
then dates; text that differs in (nearly) every row is an identifier; all else is categorical.

Values are raw: texts as they stand in a CSV, or typed ones from Parquet or JSON.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from genwright.data.identifiers import Identifier
from genwright.data.kinds import (
    Boolean,
    Categorical,
    Column,
    Constant,
    Continuous,
    Datetime,
    Integer,
    Numeric,
)
from genwright.data.scores import Scores
from genwright.data.spelling import Dates, Numbers, is_missing, number
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
POOL = 500
"""Rarer categories that are remembered to draw from."""
FEW = 20
"""Distinct numbers that are still plain symbols."""
ATOM = 0.03
"""The share of rows from which a single number becomes a symbol."""
SURE = 20
"""Rows from which "every value differs" says something."""

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
    held = _Held.of(name, values, counts, rows)
    if as_condition:
        return _condition(held, max_categories or LABELS)
    most = max_categories or CATEGORIES
    return _guessed(held, most) if kind is None else _forced(held, kind, most)


@dataclass(frozen=True)
class _Held:
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
    ) -> _Held:
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
        return [[_plain(value), round(count / self.total, 4)] for value, count in common]


def _plain(value: Any) -> Any:
    """A raw value as JSON has it."""
    return value.isoformat() if isinstance(value, date) else value


def _sorted(values: Iterable[Any]) -> list[Any]:
    """Numbers before texts, each in their order."""
    return sorted(values, key=lambda v: (isinstance(v, str), v))


# -- choosing ------------------------------------------------------------------------------------


def _guessed(held: _Held, most: int) -> Column:
    name = held.name
    if not held.counts:
        note = f"column {name!r} is empty in every row; it is written back empty"
        return Constant(name=name, about=held.about(), notes=[note], value=held.spelling)
    if len(held.counts) == 1 and not held.missing:
        (value,) = held.counts
        note = f"column {name!r} holds {value!r} in every row; it is written back, not modelled"
        return Constant(name=name, about=held.about(top=held.top()), notes=[note], value=value)
    if _is_boolean(held):
        return _categorical(Boolean, held, 2)
    numbers = _numbers(held)
    if numbers is not None:
        style, strays = numbers
        if style.whole and not strays and not held.missing and _counts_rows(held, style):
            return _identifier(held)
        return _numeric(Integer if style.whole else Continuous, held, style, strays)
    if dates := Dates.of(held.counts):
        return _datetime(held, *dates)
    # Nearly: two customers can have one name, and their names are still no categories.
    if held.unique or len(held.counts) > max(most, 0.9 * (held.total - held.missing)):
        return _identifier(held)
    return _categorical(Categorical, held, most)


def _condition(held: _Held, most: int) -> Column:
    """A condition is made by a person, who says 3 or Bachelors: symbols rather than quantiles."""
    few = len(held.counts) <= most
    if held.counts and few and _is_boolean(held, also_one=True):
        return _categorical(Boolean, held, 2, strict=True)
    numbers = _numbers(held) if held.counts else None
    if numbers is not None and not numbers[1]:
        style = numbers[0]
        counted = style.whole and style.least == 0 and style.raw != "float"
        atoms = "all" if counted and few else "none"
        return _numeric(Integer if style.whole else Continuous, held, style, [], atoms, strict=True)
    if few and not any(isinstance(value, date) for value in held.counts):
        return _categorical(Categorical, held, most, strict=True)
    if numbers is not None:
        kind = Integer if numbers[0].whole else Continuous
        return _numeric(kind, held, *numbers, "none", strict=True)
    if dates := Dates.of(held.counts):
        return _datetime(held, *dates, "none", strict=True)
    raise DataError(
        f"{held.name!r} has {len(held.counts):,} different texts, and a condition has at most {most:,}: "
        f"group them in a column with fewer, or do not give it as a condition"
    )


def _forced(held: _Held, kind: str, most: int) -> Column:
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
        return _identifier(held)
    if kind == "categorical":
        odd = [value for value in held.counts if isinstance(value, date)]
        if odd:
            raise _refused(held, kind, "texts or numbers", odd)
        return _categorical(Categorical, held, most)
    if kind == "boolean":
        if len(held.counts) <= 2:
            return _categorical(Boolean, held, 2)
        raise _refused(held, "boolean", "of two values", list(held.counts)[2:])
    if kind == "datetime":
        if dates := Dates.of(held.counts):
            return _datetime(held, *dates)
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
    return _numeric(Integer if kind == "integer" else Continuous, held, style, texts)


def _refused(held: _Held, kind: str, wanted: str, culprits: Iterable[Any]) -> DataError:
    culprits = list(culprits)
    rows = sum(held.counts[value] for value in culprits)
    shown = ", ".join(repr(_plain(value)) for value in culprits[:3])
    return DataError(
        f"column {held.name!r} cannot be {kind}: {rows:,} of {held.total:,} rows are not {wanted}, for "
        f"example {shown}; mend them or give the column another type"
    )


def _is_boolean(held: _Held, also_one: bool = False) -> bool:
    if all(isinstance(value, bool) for value in held.counts):
        return True
    spelled = {value.casefold() for value in held.counts if isinstance(value, str)}
    enough = len(held.counts) == 2 or also_one
    return enough and len(spelled) == len(held.counts) and any(spelled <= pair for pair in _TRUTH)


def _numbers(held: _Held) -> tuple[Numbers, list[str]] | None:
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


def _decimal_comma(held: _Held) -> bool:
    """Whether 3,14 means a number here. Groups of three digits alone would rather be thousands."""
    tails = [
        re.fullmatch(r"\s*[+-]?[0-9]+(?:,([0-9]+))?\s*", v) for v in held.counts if isinstance(v, str)
    ]
    decimals = {len(found[1]) for found in tails if found and found[1]}
    return bool(tails) and all(tails) and bool(decimals) and decimals != {3}


def _counts_rows(held: _Held, style: Numbers) -> bool:
    """Whether these integers only name or count the rows."""
    if not held.unique or style.least > 0 or style.raw == "float":
        return False
    numbers = np.array([style.read(value) for value in held.counts])
    ascending = bool((np.diff(numbers) > 0).all())
    dense = numbers.max() - numbers.min() < 2 * max(held.rows, held.total)
    return _ID.fullmatch(held.name) is not None or (ascending and dense)


# -- numbers -------------------------------------------------------------------------------------


def _datetime(
    held: _Held, style: Dates, ambiguous: bool, atoms: str = "heavy", strict: bool = False
) -> Column:
    column = _numeric(Datetime, held, style, [], atoms, strict)
    if ambiguous:
        first = "month/day" if style.form.startswith("%m") else "day/month"
        column.notes.append(
            f"column {held.name!r} could be day/month or month/day; it is read as {first}: write the "
            f"dates as 2024-12-31 if that is wrong"
        )
    return column


def _numeric(
    kind: type[Numeric],
    held: _Held,
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
    about = held.about(**dict(zip(("min", "median", "max"), map(_plain, seen), strict=True)))
    if heavy.any():
        order = [i for i in np.argsort(-counts, kind="stable").tolist() if heavy[i]][:5]
        common = zip(style.write(numbers[order]), counts[order].tolist(), strict=True)
        about["top"] = [[_plain(value), round(count / held.total, 4)] for value, count in common]
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


def _categorical(kind: type[Categorical], held: _Held, most: int, strict: bool = False) -> Categorical:
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
    values = _sorted(kept)
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


def _identifier(held: _Held) -> Identifier:
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
