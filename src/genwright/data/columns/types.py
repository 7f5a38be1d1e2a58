"""Types of columns: raw values to spans of a `Space` and back.

A column has learnt from training values what it holds; it encodes raw values to `(n, stored)` channels
and decodes them in the format of its file. Seven kinds:

    continuous, integer, datetime    numbers: see `Numeric`
    categorical, boolean             one symbol a value; a rest and a missing one where they occur
    constant                         nothing to model: no span, written back
    identifier                       the same, but fresh ones are made: see `identifiers.py`

Missing values are a value: they get a symbol of their own and are generated. The same columns
stand for the conditions of every modality, so nothing here knows pandas. `infer.py` chooses
and `fit.py` fits them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genwright.data.columns.formats import DateFormat, NumberFormat, is_missing
from genwright.data.columns.scaling import NormalScores, nearest_index
from genwright.errors import DataError, suggest
from genwright.space import Real, Span, Symbol

__all__ = [
    "Boolean",
    "Categorical",
    "Column",
    "Constant",
    "Continuous",
    "Datetime",
    "Encoded",
    "Integer",
    "Numeric",
    "indices",
]

Encoded = NDArray[np.float32]


@dataclass(kw_only=True)
class Column(ABC):
    """What a column has learnt; every field is JSON.

    about     facts for people: the share of missing values, the number of distinct ones, a range
    notes     what looks wrong with the column, a sentence each
    """

    kind: ClassVar[str]
    name: str
    about: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    @abstractmethod
    def spans(self) -> tuple[Span, ...]:
        """What stands for a value; nothing where there is nothing to model."""

    @abstractmethod
    def encode(self, values: Sequence[Any]) -> Encoded:
        """Raw values to `(n, stored)`. A value unknown to the column is brought to the nearest thing
        it knows; a condition's column raises `DataError` instead."""

    def exactly(self, value: Any) -> Encoded:
        """One value that a person gives `(stored,)`. Raises `DataError` for one the column does not know,
        which `encode` would bring to the nearest."""
        return self.encode([value])[0]

    @abstractmethod
    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        """`(n, stored)` to raw values. `rng` draws what the channels leave open."""

    @property
    def stored(self) -> int:
        return sum(span.stored for span in self.spans)

    def facts(self) -> dict[str, Any]:
        """For people and machines, as JSON."""
        return {"kind": self.kind, **self.about}

    def warnings(self) -> list[str]:
        return list(self.notes)

    def state(self) -> dict[str, Any]:
        """Everything learnt, as JSON."""
        return {"kind": self.kind, **asdict(self)}


def _distinct(values: Sequence[Any]) -> tuple[list[Any], NDArray[np.int64]]:
    """The distinct values, and the place of each value among them: most columns repeat a lot."""
    table: dict[Any, int] = {}
    place = np.array([table.setdefault(value, len(table)) for value in values], dtype=np.int64)
    return list(table), place


def indices(channel: NDArray[Any], k: int) -> list[int]:
    """A channel of symbols `(n,)` as numbers below `k`, whatever a network made of it."""
    found: list[int] = np.rint(np.nan_to_num(channel)).clip(0, k - 1).astype(np.int64).tolist()
    return found


def _unknown(value: Any, name: str, known: Sequence[Any]) -> DataError:
    tail = suggest(str(value), [str(v) for v in known])
    return DataError(f"there is no {value!r} among the values of {name!r}; {tail}", code="no-such-value")


# -- numbers -------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Numeric(Column):
    """Numbers: a continuous part, as normal scores, and point masses.

    A number becomes its normal score, so that a heavy tail is no burden.

    A value that holds many rows (zero hours, zero gain) is no quantile but a point mass, a symbol of its
    own. So is a text among the numbers, and missing. The spans are then a symbol, whose index 0 means
    "a number", and a real that is 0 where the symbol is not. Where all are point masses there is no real.

    format          how the file writes its numbers or dates
    point_masses    numbers that are symbols, ascending
    text_values     texts among the numbers, symbols too
    missing         whether a symbol stands for missing, written as `missing_token`
    scores          of the numbers that are no point masses; None where all are
    fallback        the point mass for what the column cannot know, where there is nothing better
    strict          a condition: what is unknown is refused
    """

    format: NumberFormat | DateFormat
    point_masses: list[float] = field(default_factory=list)
    text_values: list[str] = field(default_factory=list)
    missing: bool = False
    missing_token: Any = None
    scores: NormalScores | None = None
    fallback: int = 0
    strict: bool = False

    @property
    def symbols(self) -> int:
        """Symbols beside "a number"."""
        return len(self.point_masses) + len(self.text_values) + self.missing

    @property
    def spans(self) -> tuple[Span, ...]:
        if self.scores is None:
            return (Symbol(self.symbols),)
        return (Symbol(1 + self.symbols), Real(1)) if self.symbols else (Real(1),)

    def encode(self, values: Sequence[Any]) -> Encoded:
        distinct, place = _distinct(values)
        numbers = np.array([self.format.read(value) for value in distinct], dtype=np.float64)
        symbol, score = np.zeros(len(distinct)), np.zeros(len(distinct))
        first = 0 if self.scores is None else 1
        is_number = np.isfinite(numbers)
        free = is_number.copy()
        if self.point_masses:
            at = nearest_index(numbers, self.point_masses)
            exact = is_number & (np.array(self.point_masses)[at] == numbers)
            if self.scores is None and self.strict and (is_number & ~exact).any():
                value = distinct[int(np.flatnonzero(is_number & ~exact)[0])]
                raise _unknown(value, self.name, self.format.write(self.point_masses))
            taken = is_number if self.scores is None else exact
            symbol[taken] = first + at[taken]
            free &= ~taken
        if self.scores is not None and free.any():
            score[free] = self.scores.score(numbers[free])
        for i in np.flatnonzero(~is_number).tolist():
            symbol[i] = self._other(distinct[i], first)
        channels = [symbol, score] if len(self.spans) == 2 else [symbol if first == 0 else score]
        return np.stack(channels, axis=1)[place].astype(np.float32)

    def exactly(self, value: Any) -> Encoded:
        number = self.format.read(value)
        if self.scores is not None and np.isfinite(number) and number not in self.point_masses:
            least, most = self.scores.numbers[0], self.scores.numbers[-1]
            if not least <= number <= most:
                shown = " to ".join(map(str, self.format.write([least, most])))
                raise DataError(
                    f"{value!r} is outside of what {self.name!r} was learnt from: {shown}",
                    code="out-of-range",
                )
        return replace(self, strict=True).encode([value])[0]

    def _other(self, value: Any, first: int) -> int:
        """The symbol of what is no number."""
        if isinstance(value, str) and value in self.text_values:
            return first + len(self.point_masses) + self.text_values.index(value)
        if self.strict and not (self.missing and is_missing(value)):
            if self.scores is None:
                raise _unknown(value, self.name, self.format.write(self.point_masses))
            known = ", ".join(
                str(v) for v in self.format.write([self.scores.numbers[0], self.scores.numbers[-1]])
            )
            raise DataError(
                f"{value!r} is not a value of {self.name!r}; wanted one like {known}",
                code="no-such-value",
            )
        if self.missing:
            return first + self.symbols - 1
        return self.fallback if first == 0 else 0

    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        symbols: list[Any] = [*self.format.write(self.point_masses), *self.text_values]
        symbols += [self.missing_token] if self.missing else []
        if self.scores is None:
            return [symbols[i] for i in indices(x[:, 0], len(symbols))]
        index = indices(x[:, 0], 1 + len(symbols)) if symbols else [0] * len(x)
        free = x[np.array(index, dtype=np.int64) == 0, -1]
        numbers = iter(self.format.write(self.scores.number(free)))
        return [symbols[i - 1] if i else next(numbers) for i in index]


class Continuous(Numeric):
    kind = "continuous"


class Integer(Numeric):
    kind = "integer"


class Datetime(Numeric):
    kind = "datetime"


# -- categories ----------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Categorical(Column):
    """One symbol for each of `values`, exactly as they are written; then the rest; then missing.

    rest        the name of all rarer values together, or None
    pool        the rarer values with their counts, to draw from; empty where they are too many, and
                then the rest is written by its name
    fallback    the symbol for what the column cannot know, where there is no rest and no missing
    """

    kind: ClassVar[str] = "categorical"
    values: list[Any]
    rest: str | None = None
    pool: list[list[Any]] = field(default_factory=list)
    missing: bool = False
    missing_token: Any = None
    fallback: int = 0
    strict: bool = False

    @property
    def spans(self) -> tuple[Span, ...]:
        return (Symbol(len(self.values) + (self.rest is not None) + self.missing),)

    def encode(self, values: Sequence[Any]) -> Encoded:
        distinct, place = _distinct(values)
        known = {value: i for i, value in enumerate(self.values)}
        codes = [known.get(value, -1) for value in distinct]
        codes = [self._other(v) if i < 0 else i for i, v in zip(codes, distinct, strict=True)]
        return np.array(codes, dtype=np.float32)[place][:, None]

    def exactly(self, value: Any) -> Encoded:
        return replace(self, strict=True).encode([value])[0]

    def _other(self, value: Any) -> int:
        """The symbol of what is none of the values."""
        last = self.spans[0].width - 1
        if self.missing and is_missing(value):
            return last
        if self.strict:  # what a person types: "3" for 3, "true" for True
            for normalize in (str, lambda v: str(v).strip().casefold()):
                found = [i for i, v in enumerate(self.values) if normalize(v) == normalize(value)]
                if len(found) == 1:
                    return found[0]
            raise _unknown(value, self.name, self.values)
        if self.rest is not None:
            return len(self.values)
        return last if self.missing else self.fallback

    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        symbols = [*self.values]
        symbols += [self.rest] if self.rest is not None else []
        symbols += [self.missing_token] if self.missing else []
        index = indices(x[:, 0], len(symbols))
        found = [symbols[i] for i in index]
        if self.pool:
            weights = np.array([count for _, count in self.pool], dtype=np.float64)
            rest = [row for row, i in enumerate(index) if i == len(self.values)]
            drawn = rng.choice(len(self.pool), size=len(rest), p=weights / weights.sum())
            for row, i in zip(rest, drawn.tolist(), strict=True):
                found[row] = self.pool[i][0]
        return found


class Boolean(Categorical):
    kind = "boolean"


@dataclass(kw_only=True)
class Constant(Column):
    """The same raw value in every row."""

    kind: ClassVar[str] = "constant"
    value: Any

    @property
    def spans(self) -> tuple[Span, ...]:
        return ()

    def encode(self, values: Sequence[Any]) -> Encoded:
        return np.zeros((len(values), 0), dtype=np.float32)

    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        return [self.value] * len(x)
