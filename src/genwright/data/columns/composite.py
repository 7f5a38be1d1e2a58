"""Several numbers in one text: 120/80, 48.8566, 2.3522, 34 x 26 x 6 cm.

Each number is a column of its own, with a format and spans of its own, so that a pressure keeps to an age and a place
to its town; what stands between the numbers is the same in all rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genwright.data.columns.compound import Compound, other_texts
from genwright.data.columns.fit import ColumnStats, numeric
from genwright.data.columns.formats import is_missing, spaced
from genwright.data.columns.numbers import few_texts, fit_numbers
from genwright.data.columns.types import (
    Column,
    Continuous,
    Encoded,
    Integer,
    Numeric,
    distinct_values,
)
from genwright.space import Span

__all__ = ["Composite", "composite", "number_in", "part_of"]

_NUMBER = re.compile(r"((?<![0-9])[+-]?[0-9]+(?:\.[0-9]+)?)")
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]")
LONG = 7
"""Digits from which a whole number in a text is a code: of a telephone, of an account."""
WIDE = 0.45
"""The share of the numbers of a width between the ends of those of a code."""
COUNTS = 0.9
"""The share of rows from which a whole number that differs counts them: of an order, of a file."""
DENSE = 4
"""Numbers for each row, between the ends of those that count them, at most."""


@dataclass(kw_only=True)
class Composite(Compound):
    """Texts of the same numbers of numbers, with the same between them.

    parts    the columns of the numbers
    between  the texts before the first number, between them and behind the last
    """

    kind: ClassVar[str] = "composite"
    parts: list[Numeric]
    between: list[str]

    def part_columns(self) -> Sequence[Column]:
        return self.parts

    def part_values(self, values: Sequence[Any], i: int) -> list[Any]:
        return [number_in(value, i) for value in values]

    @property
    def part_spans(self) -> tuple[Span, ...]:
        return tuple(span for part in self.parts for span in part.spans)

    def split(self, value: Any) -> list[str] | None:
        """The numbers of a text, as they stand there; None of one that is written in another way."""
        numbers, between = _split(value)
        return numbers if numbers and between == tuple(self.between) else None

    def encode(self, values: Sequence[Any]) -> Encoded:
        distinct, place = distinct_values(values)
        x = np.zeros((len(distinct), self.stored), np.float32)
        found = {i: numbers for i, v in enumerate(distinct) if (numbers := self.split(v)) is not None}
        first = self._first
        for part, texts in zip(self.parts, zip(*found.values(), strict=True), strict=bool(found)):
            x[list(found), first : first + part.stored] = part.encode(texts)
            first += part.stored
        for i in set(range(len(distinct))) - set(found):
            x[i, :1] = self._other(distinct[i])
        return x[place]

    def exactly(self, value: Any) -> Encoded:
        numbers = self.split(value)
        if numbers is None:
            if value not in self.text_values and not (is_missing(value) and self.missing_tokens):
                raise self._unknown(value)
            return replace(self, strict=True).encode([value])[0]
        found = [part.exactly(text) for part, text in zip(self.parts, numbers, strict=True)]
        return np.concatenate([np.zeros(self._first, np.float32), *found])

    @property
    def example(self) -> str:
        """A text of numbers in the middle of those that it knows."""
        return self.joined([part.format.write([part.middle])[0] for part in self.parts])

    def spelled(self, value: Any) -> Any:
        numbers = self.split(value)
        if numbers is None:
            return super().spelled(value)
        return self.joined([part.spelled(text) for part, text in zip(self.parts, numbers, strict=True)])

    def joined(self, numbers: Sequence[Any]) -> str:
        """The text of these numbers."""
        behind = self.between[1:]
        return self.between[0] + "".join(f"{n}{b}" for n, b in zip(numbers, behind, strict=True))

    def state(self) -> dict[str, Any]:
        return super().state() | {"parts": [part.state() for part in self.parts]}

    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        others, first, texts = self.others, self._first, list[list[Any]]()
        for part in self.parts:
            texts.append(part.decode(x[:, first : first + part.stored], rng))
            first += part.stored
        rows = zip(self._symbols(x), zip(*texts, strict=True), strict=True)
        return [others[symbol - 1] if symbol else self.joined(numbers) for symbol, numbers in rows]


def composite(stats: ColumnStats, point_masses: str = "heavy", strict: bool = False) -> Composite | None:
    """A column of texts that hold several numbers each; None where these are none, or codes: with zeros before them,
    of one width, one that counts the rows, one of many digits, or points between whole numbers."""
    first = Counter(_split(value)[1] for value in spaced(list(stats.counts), 50))
    if not first or 2 * max(first.values()) < first.total():  # long texts are split no further
        return None
    split = {value: _split(value) for value in stats.counts}
    shapes = Counter[tuple[str, ...]]()
    for value, (_, between) in split.items():
        shapes[between] += stats.counts[value]
    between = shapes.most_common(1)[0][0]
    found = {value: numbers for value, (numbers, other) in split.items() if other == between}
    others = [value for value in stats.counts if value not in found]
    if len(between) < 3 or not few_texts(others, len(found), stats.counts):
        return None
    counts = [Counter[str]() for _ in between[1:]]
    for value, numbers in found.items():
        for some, number in zip(counts, numbers, strict=True):
            some[number] += stats.counts[value]
    if "." in between or _are_codes(counts, between):
        return None
    parts = list[Numeric]()
    for i, some in enumerate(counts):
        if (part := _part(_part_name(stats.name, i), some, point_masses, strict)) is None:
            return None
        parts.append(part)
    about = stats.about(numbers=" and ".join(_range(part) for part in parts))
    return Composite(
        name=stats.name,
        about=about,
        notes=[
            *other_texts(stats, others, "several numbers in a text"),
            *(note for part in parts for note in part.notes),
        ],
        missing_tokens=list(stats.missing),
        parts=parts,
        between=list(between),
        text_values=others,
        strict=strict,
    )


def _split(value: Any) -> tuple[list[str], tuple[str, ...]]:
    """The numbers of a text, and what stands before, between and behind them."""
    pieces = _NUMBER.split(value) if isinstance(value, str) else [""]
    return pieces[1::2], tuple(pieces[::2])


def _are_codes(counts: Sequence[Mapping[str, int]], between: Sequence[str]) -> bool:
    """Whether these numbers name something."""
    if any(_LEADING_ZERO.match(text) for some in counts for text in some):
        return True
    whole = [some for some in counts if not any("." in text for text in some)]
    if whole and any(letter.isalpha() for letter in between[0]):
        return True
    if any(max(map(len, some)) >= LONG or _counts_rows(some) for some in whole):
        return True
    if len(whole) < len(counts) or any(len(set(map(len, some))) > 1 for some in whole):
        return False
    return set(between[1:-1]) <= {"-", " "} or all(map(_fill_their_width, whole))


def _counts_rows(counts: Mapping[str, int]) -> bool:
    """Whether nearly all of these numbers differ though there are few others between them."""
    rows, numbers = sum(counts.values()), [int(text) for text in counts]
    return len(numbers) > COUNTS * rows and max(numbers) - min(numbers) < DENSE * rows


def _fill_their_width(texts: Collection[str]) -> bool:
    """Whether numbers of one width lie anywhere among those of that width."""
    numbers = [int(text) for text in texts]
    return max(numbers) - min(numbers) > WIDE * 10 ** len(str(max(numbers)))


def _part(name: str, counts: dict[str, int], point_masses: str, strict: bool) -> Numeric | None:
    """The column of one of the numbers, if all of them come back as they were, but for -0.00."""
    fit = fit_numbers(counts, 0)
    if fit is None or fit.literals or fit.impossible or any(map(fit.format.read, fit.rewritten)):
        return None
    own = ColumnStats(name, counts, {}, sum(counts.values()))
    return numeric(Integer if fit.format.whole else Continuous, own, fit, point_masses, strict)


def _range(part: Numeric) -> str:
    return f"{part.about['min']} to {part.about['max']}"


# -- its numbers, where they are looked at one by one ------------------------------------------------


def _part_name(name: str, i: int) -> str:
    """The name of the i-th number of a column."""
    return f"{name}[{i + 1}]"


def part_of(name: str) -> tuple[str, int] | None:
    """The column of which this is the name of a number, and the place of that; None for another name."""
    found = re.fullmatch(r"(.+)\[([0-9]+)\]", name)
    return (found[1], int(found[2]) - 1) if found else None


def number_in(value: Any, i: int) -> Any:
    """The i-th number of a text as it stands there; a value with fewer of them, or none, as it is."""
    numbers, _ = _split(value)
    return numbers[i] if i < len(numbers) else value
