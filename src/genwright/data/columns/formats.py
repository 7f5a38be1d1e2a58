"""Formats: how raw values write numbers, so that new numbers can be written in the same way.

A file says 39, 39.0, $1,039.00 or (39); 31.12.2024 or 2024Q4; "" or NA. A `Format` is two-way: `read` gives the
number that a raw value means, `write` gives raw values back, and a value is `exact` where `write([read(v)])` is
`v` to the letter. `numbers.py` has the formats of numbers, `dates.py` those of moments, days and times.

A column may be written in several ways: dates with and without a time, prices in $ and in EUR, offsets in
summer and in winter. That is a `MixedFormat`: `cover` finds its parts, and which part wrote a value is a symbol
beside the number.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Format", "FormatFit", "MixedFormat", "cover", "is_missing", "is_same", "spaced"]

MISSING = {
    "",
    "?",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
}
MISSING |= {
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
    "none",
    "NONE",
    "NAN",
    "na",
}
"""What `pandas.read_csv` takes for missing, and a few more forms met in the wild."""

PARTS = 6
"""Formats of a mixture, at most."""
RARE = 0.01
"""The share of rows below which a format is not one of a mixture."""
SAMPLE = 300
"""Distinct values that candidates are tried on."""


def is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in MISSING
    if value is None:
        return True
    try:
        return bool(value != value)  # NaN and NaT differ from themselves
    except TypeError:
        return True  # and pandas.NA refuses to say


def is_same(written: Any, value: Any) -> bool:
    """Whether two raw values are one, of one type: 1 is not 1.0."""
    return type(written) is type(value) and bool(written == value)


class Format(ABC):
    """One way to write numbers, or several. Frozen, and JSON by `dataclasses.asdict`."""

    @property
    def formats(self) -> tuple[Format, ...]:
        """Those of a mixture."""
        return (self,)

    @property
    def whole(self) -> bool:
        """Whether all its numbers are whole."""
        return False

    @abstractmethod
    def read(self, value: Any) -> float:
        """The number that a raw value means; NaN where it means none, or an infinite one. It is lenient: a
        person may write 5.1.2024 for 05.01.2024."""

    @abstractmethod
    def write(self, numbers: Iterable[float]) -> list[Any]:
        """Raw values of finite numbers."""

    def shaped(self, value: Any) -> bool:
        """Whether a value that is not read looks like one of these all the same: 2022-02-31."""
        return False

    def locate(self, value: Any) -> tuple[int, float]:
        """Which of the `formats` wrote a value, and the number that it means."""
        return 0, self.read(value)

    def exact(self, value: Any) -> bool:
        """Whether this very value would be written for what it means."""
        return self.writes(self.read(value), value)

    def writes(self, number: float, value: Any) -> bool:
        """Whether this very value would be written for a number."""
        if not math.isfinite(number):
            return False
        (written,) = self.write([number])
        return is_same(written, value)


@dataclass(frozen=True)
class MixedFormat(Format):
    """Several formats of one column, the commonest first."""

    parts: tuple[Format, ...]

    @property
    def formats(self) -> tuple[Format, ...]:
        return self.parts

    @property
    def whole(self) -> bool:
        return all(part.whole for part in self.parts)

    def read(self, value: Any) -> float:
        return self.locate(value)[1]

    def write(self, numbers: Iterable[float]) -> list[Any]:
        """As the commonest does."""
        return self.parts[0].write(numbers)

    def exact(self, value: Any) -> bool:
        return any(part.exact(value) for part in self.parts)

    def shaped(self, value: Any) -> bool:
        return any(part.shaped(value) for part in self.parts)

    def locate(self, value: Any) -> tuple[int, float]:
        """The first that writes it so; else the first that can read it."""
        readable = (0, math.nan)
        for i, part in enumerate(self.parts):
            number = part.read(value)
            if part.writes(number, value):
                return i, number
            if math.isfinite(number) and math.isnan(readable[1]):
                readable = i, number
        return readable


@dataclass(frozen=True)
class FormatFit:
    """The format of a column, and the raw values that it does not write.

    literals     kept as symbols of their own: "unknown", inf, 0000-00-00
    impossible   of its shape and yet nothing, such as 2022-02-31: they are missing
    rewritten    read, but written otherwise
    ambiguous    whether the parts of its dates could be meant in another order
    """

    format: Format
    literals: tuple[Any, ...] = ()
    impossible: tuple[Any, ...] = ()
    rewritten: tuple[Any, ...] = ()
    ambiguous: bool = False


def cover(
    counts: Mapping[Any, int], candidates: Callable[[list[Any]], Iterable[Format]]
) -> tuple[list[Format], dict[Any, int]]:
    """Formats that write the values exactly, the commonest first, and the values that none of them writes: greedy
    set cover, where the weight of a value is its count.

    candidates  formats for some values, the more usual first
    """
    left, found, total = dict(counts), list[Format](), sum(counts.values())
    while left and len(found) < PARTS:
        some = spaced(list(left), SAMPLE)
        weights = [
            (sum(left[v] for v in some if one.exact(v)), -i, one)
            for i, one in enumerate(candidates(some))
        ]
        best = max(weights, key=lambda entry: entry[:2], default=None)
        if best is None or not best[0]:
            break
        exact = {value for value in left if best[2].exact(value)}
        # A later part has to earn its symbol, and a single value is a symbol by itself.
        if found and (len(exact) < 2 or sum(left[v] for v in exact) < max(3, RARE * total)):
            break
        found.append(best[2])
        left = {value: count for value, count in left.items() if value not in exact}
    return found, left


def spaced(values: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the values, evenly."""
    return list(values[:: -(-len(values) // most) or 1])
