"""Types of columns: raw values to spans of a `Space` and back.

A column has learnt from training values what it holds; it encodes raw values to `(n, stored)` channels
and decodes them in the format of its file. Nine kinds:

    continuous, integer, datetime    numbers: see `Numeric`
    composite                        texts of several numbers: see `composite.py`
    tags                             texts of several tags: see `tags.py`
    categorical, boolean             one symbol a value; a rest and a missing one where they occur
    constant                         nothing to model: no span, written back
    identifier                       the same, but fresh ones are made: see `identifiers.py`

Missing values are a value: each way to write one gets a symbol of its own and is generated. The same columns
stand for the conditions of every modality, so nothing here knows pandas. `infer.py` chooses
and `fit.py` fits them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genwright.data.columns.formats import Format, is_missing
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
    "distinct_values",
    "indices",
]

Encoded = NDArray[np.float32]
FEW = 20
"""Numbers that a sentence lists at most."""


@dataclass(kw_only=True)
class Column(ABC):
    """What a column has learnt; every field is JSON.

    about     facts for people: the share of missing values, the number of distinct ones, a range
    notes     what looks wrong with the column, a sentence each
    missing_tokens  ways to write a missing value, a symbol each, the commonest first
    """

    kind: ClassVar[str]
    name: str
    about: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing_tokens: list[Any] = field(default_factory=list)

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

    def spelled(self, value: Any) -> Any:
        """A value that a person gives, and that is known, as the column writes it."""
        return self.decode(self.exactly(value)[None], np.random.default_rng(0))[0]

    @abstractmethod
    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        """`(n, stored)` to raw values. `rng` draws what the channels leave open."""

    def decode_behind(self, first: int, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        """The same of rows that come behind `first` others: what has to differ in all of them does."""
        return self.decode(x, rng)

    @property
    def stored(self) -> int:
        return sum(span.stored for span in self.spans)

    @property
    def missing(self) -> bool:
        """Whether some values are missing."""
        return bool(self.missing_tokens)

    def _token(self, value: Any) -> int:
        """Which of the missing tokens a value is; the commonest for what is none."""
        return self.missing_tokens.index(value) if value in self.missing_tokens else 0

    def facts(self) -> dict[str, Any]:
        """For people and machines, as JSON."""
        return {"kind": self.kind, **self.about}

    def warnings(self) -> list[str]:
        return list(self.notes)

    def state(self) -> dict[str, Any]:
        """Everything learnt, as JSON."""
        return {"kind": self.kind, **_plain(self)}


def _plain(value: Any) -> Any:
    """As `dataclasses.asdict`, but lists of numbers are not copied one by one: of 1,000 columns that took seconds."""
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, list | tuple) and any(map(is_dataclass, value[:1])):
        return list(map(_plain, value))
    return value


def distinct_values(values: Sequence[Any]) -> tuple[list[Any], NDArray[np.int64]]:
    """The distinct values, and the place of each value among them: most columns repeat a lot."""
    table: dict[Any, int] = {}
    place = np.array([table.setdefault(value, len(table)) for value in values], dtype=np.int64)
    return list(table), place


def indices(channel: NDArray[Any], k: int) -> NDArray[np.int64]:
    """A channel of symbols `(n,)` as numbers below `k`, whatever a network made of it."""
    return np.rint(np.nan_to_num(channel)).clip(0, k - 1).astype(np.int64)


def _taken(values: Sequence[Any], index: NDArray[np.int64]) -> list[Any]:
    """The value at each index."""
    return [values[i] for i in index.tolist()]


def _unknown(value: Any, name: str, known: Sequence[Any], *, rest: bool = False) -> DataError:
    """rest: whether rarer values share one symbol, so that none of them can be asked for."""
    tail = suggest(str(value), [str(v) for v in known])
    tail += "; rarer ones share a symbol: codec.max_categories keeps more apart" if rest else ""
    return DataError(f"there is no {value!r} among the values of {name!r}; {tail}", code="no-such-value")


def _not_seen(value: Any, name: str, near: Sequence[Any]) -> DataError:
    """Of a number between two that training has seen."""
    return DataError(
        f"there is no {value!r} among the values of {name!r}; the nearest are {' and '.join(map(str, near))}",
        code="no-such-value",
    )


# -- numbers -------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Numeric(Column):
    """Numbers: a continuous part, as normal scores, and point masses.

    A number becomes its normal score, so that a heavy tail is no burden.

    A value that holds many rows (zero hours, zero gain) is no quantile but a point mass, a symbol of its
    own. So is a text among the numbers, and missing. The spans are then a symbol, whose first indices mean
    "a number", one for each format of a mixture, and a real that is 0 where the symbol is another. Where all
    are point masses there is no real.

    format          how the file writes its numbers or dates
    point_masses    numbers that are symbols, ascending, written in the first format
    text_values     other raw values that are symbols: texts among the numbers, infinite ones, common values
                    of another format than the first
    scores          of the numbers that are no point masses; None where all are
    fallback        the point mass for what the column cannot know, where there is nothing better
    strict          a condition: what is unknown is refused
    """

    format: Format
    point_masses: list[float] = field(default_factory=list)
    text_values: list[Any] = field(default_factory=list)
    scores: NormalScores | None = None
    fallback: int = 0
    strict: bool = False

    @property
    def symbols(self) -> int:
        """Symbols beside "a number"."""
        return len(self.point_masses) + len(self.text_values) + len(self.missing_tokens)

    @property
    def first(self) -> int:
        """The symbol of the first point mass: before it stand those of the numbers that are none."""
        return 0 if self.scores is None else len(self.format.formats)

    @property
    def spans(self) -> tuple[Span, ...]:
        if self.scores is None:
            return (Symbol(self.symbols),)
        return (
            (Symbol(self.first + self.symbols), Real(1)) if self.first + self.symbols > 1 else (Real(1),)
        )

    def encode(self, values: Sequence[Any]) -> Encoded:
        distinct, place = distinct_values(values)
        located = [self.format.locate(value) for value in distinct]
        numbers = np.array([number for _, number in located], dtype=np.float64)
        symbol, score = np.zeros(len(distinct)), np.zeros(len(distinct))
        own = {value: i for i, value in enumerate(self.text_values, self.first + len(self.point_masses))}
        is_own = np.array([value in own for value in distinct], dtype=bool)
        is_number = np.isfinite(numbers) & ~is_own
        free = is_number.copy()
        if self.point_masses:
            at = nearest_index(numbers, self.point_masses)
            exact = is_number & (np.array(self.point_masses)[at] == numbers)
            if self.scores is None and self.strict and (is_number & ~exact).any():
                row = int(np.flatnonzero(is_number & ~exact)[0])
                self._check_number(distinct[row], float(numbers[row]))
            taken = is_number if self.scores is None else exact
            symbol[taken] = self.first + at[taken]
            free &= ~taken
        if self.scores is not None and free.any():
            score[free] = self.scores.score(numbers[free])
            if self.first > 1:
                symbol[free] = [located[i][0] for i in np.flatnonzero(free).tolist()]
        for i in np.flatnonzero(~is_number).tolist():
            symbol[i] = own[distinct[i]] if is_own[i] else self._other(distinct[i])
        channels = (
            [symbol, score] if len(self.spans) == 2 else [symbol if self.scores is None else score]
        )
        return np.stack(channels, axis=1)[place].astype(np.float32)

    def exactly(self, value: Any) -> Encoded:
        number = self.format.read(value)
        if value not in self.text_values and not is_missing(value):
            if not np.isfinite(number):
                raise self._no_number(value)
            if number not in self.point_masses:
                self._check_number(value, number)
        return replace(self, strict=True).encode([value])[0]

    def spelled(self, value: Any) -> Any:
        """Its number to the letter, where the channels are too coarse for it."""
        number = self.format.read(value)
        if value in self.text_values or not np.isfinite(number):
            return super().spelled(value)
        part = self.format.formats[self.format.locate(value)[0]]
        return part.write([number])[0]

    @property
    def middle(self) -> float:
        """A number in the middle of those that it knows."""
        numbers = self.point_masses if self.scores is None else self.scores.numbers
        return numbers[len(numbers) // 2]

    @property
    def _ends(self) -> tuple[float, float]:
        """The least and the largest number; of those between which others are, where there are such."""
        numbers = self.point_masses if self.scores is None else self.scores.numbers
        return numbers[0], numbers[-1]

    def _check_number(self, value: Any, number: float) -> None:
        """Raise `DataError` for a number that is none of the point masses, and which training has not seen."""
        least, most = self._ends
        if not least <= number <= most:
            raise DataError(
                f"{value!r} is outside of what {self.name!r} was learnt from: {self._shown(least, most)}",
                code="out-of-range",
            )
        if self.scores is None:
            raise _not_seen(value, self.name, self.format.write(self._around(number)))
        if self.format.whole and not number.is_integer():
            raise _not_seen(value, self.name, self.format.write([np.floor(number), np.ceil(number)]))

    def _around(self, number: float) -> tuple[float, float]:
        """The point masses below and above a number that is none of them."""
        at = int(np.searchsorted(self.point_masses, number))
        return self.point_masses[at - 1], self.point_masses[at]

    def _shown(self, least: float, most: float) -> str:
        return " to ".join(map(str, self.format.write([least, most])))

    def _other(self, value: Any) -> int:
        """The symbol of what is no number and none of the texts; what cannot be one, such as 2022-02-31, is
        missing."""
        odd = is_missing(value) or not self.strict or self.format.shaped(value)
        if self.missing_tokens and odd:
            return self.first + self.symbols - len(self.missing_tokens) + self._token(value)
        if self.strict:
            raise self._no_number(value)
        return self.fallback if self.scores is None else 0

    def _no_number(self, value: Any) -> DataError:
        if self.scores is None and len(self.point_masses) <= FEW:
            return _unknown(value, self.name, self.format.write(self.point_masses))
        return DataError(
            f"{value!r} is not a value of {self.name!r}; wanted one of {self._shown(*self._ends)}",
            code="no-such-value",
        )

    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        symbols = [*self.format.write(self.point_masses), *self.text_values, *self.missing_tokens]
        if self.scores is None:
            return _taken(symbols, indices(x[:, 0], len(symbols)))
        first, index = self.first, np.zeros(len(x), dtype=np.int64)
        if len(self.spans) == 2:
            index = indices(x[:, 0], first + len(symbols))
        found = np.empty(len(x), dtype=object)
        is_symbol = index >= first
        found[is_symbol] = _taken(symbols, index[is_symbol] - first)
        for i, format in enumerate(self.format.formats):
            rows = np.flatnonzero(index == i)
            distinct, place = np.unique(self.scores.number(x[rows, -1]), return_inverse=True)
            found[rows] = _taken(format.write(distinct.tolist()), place)
        taken: list[Any] = found.tolist()
        return taken

    def state(self) -> dict[str, Any]:
        """Infinite floats, which JSON has not, as {"float": "inf"}."""
        own = [
            {"float": repr(v)} if isinstance(v, float) and np.isinf(v) else v for v in self.text_values
        ]
        return super().state() | {"text_values": own}


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
    pool        the rarer values with their counts, to draw from; of very many the commonest. Runs of older
                versions have none where there were many, and write the rest by its name
    fallback    the symbol for what the column cannot know, where there is no rest and no missing
    """

    kind: ClassVar[str] = "categorical"
    values: list[Any]
    rest: str | None = None
    pool: list[list[Any]] = field(default_factory=list)
    fallback: int = 0
    strict: bool = False

    @property
    def _first(self) -> int:
        """The symbol of the first missing token."""
        return len(self.values) + (self.rest is not None)

    @property
    def spans(self) -> tuple[Span, ...]:
        return (Symbol(self._first + len(self.missing_tokens)),)

    def encode(self, values: Sequence[Any]) -> Encoded:
        distinct, place = distinct_values(values)
        known = {value: i for i, value in enumerate(self.values)}
        codes = [known.get(value, -1) for value in distinct]
        codes = [self._other(v) if i < 0 else i for i, v in zip(codes, distinct, strict=True)]
        return np.array(codes, dtype=np.float32)[place][:, None]

    def exactly(self, value: Any) -> Encoded:
        return replace(self, strict=True).encode([value])[0]

    def _other(self, value: Any) -> int:
        """The symbol of what is none of the values."""
        if self.missing_tokens and is_missing(value):
            return self._first + self._token(value)
        if self.strict:  # what a person types: "3" for 3, "true" for True
            for normalize in (str, lambda v: str(v).strip().casefold()):
                found = [i for i, v in enumerate(self.values) if normalize(v) == normalize(value)]
                if len(found) == 1:
                    return found[0]
            raise _unknown(value, self.name, self.values, rest=self.rest is not None)
        if self.rest is not None:
            return len(self.values)
        return self._first if self.missing_tokens else self.fallback

    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        symbols = [*self.values]
        symbols += [self.rest] if self.rest is not None else []
        symbols += self.missing_tokens
        index = indices(x[:, 0], len(symbols))
        found = _taken(symbols, index)
        if self.pool:
            weights = np.array([count for _, count in self.pool], dtype=np.float64)
            rest = np.flatnonzero(index == len(self.values)).tolist()
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
