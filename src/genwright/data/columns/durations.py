"""Formats of durations with units: PT1H30M, P1D, P1Y6M (ISO 8601), 1h 30min. Those of a clock, 1:30:00, are in
`dates.py`, and those of one unit, 90 min, are numbers.

As numbers they are seconds, and months where they are made of years and months, which no seconds are the same as.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genwright.data.columns.formats import Format, cover, spaced

__all__ = ["DurationFormat", "fit_durations"]

SIZES = {
    "year": 12,
    "month": 1,
    "week": 604_800,
    "day": 86_400,
    "hour": 3600,
    "minute": 60,
    "second": 1,
}
"""Seconds, or months, of a unit, the largest first."""
FEW = 50
"""Values that say whether a column is worth a closer look."""
CALENDAR = ("year", "month")
CLOCK = ("hour", "minute", "second")

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_ISO = re.compile(
    rf"P(?:({_NUMBER})Y)?(?:({_NUMBER})M)?(?:({_NUMBER})W)?(?:({_NUMBER})D)?"
    rf"(?:T(?=[0-9])(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?"
)
_WORDS = {"w": "week", "d": "day", "h": "hour", "hr": "hour", "m": "minute", "min": "minute"}
_WORDS |= {"s": "second", "sec": "second"}
_SPOKEN = re.compile(rf"({_NUMBER})( ?)({'|'.join(sorted(_WORDS, key=len, reverse=True))})(?![a-z])( ?)")


@dataclass(frozen=True)
class Parsed:
    """A duration as it is written: of each unit the digits and its name, and what stands between."""

    sign: str
    digits: dict[str, str]
    names: dict[str, str]
    blank: str = ""
    gap: str = ""


def parse(value: Any) -> Parsed | None:
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not text[-1:].isalpha():  # of many columns no value gets further, and all end with their unit
        return None
    sign = "-" if text.startswith("-") else ""
    text = text.removeprefix("-")
    if found := _ISO.fullmatch(text):
        digits = {unit: part for unit, part in zip(SIZES, found.groups(), strict=True) if part}
        return Parsed(sign, digits, {}) if digits else None
    pieces = _SPOKEN.findall(text)
    if "".join(map("".join, pieces)) != text or not pieces:
        return None
    units = [_WORDS[name] for _, _, name, _ in pieces]
    if sorted(units, key=[*SIZES].index) != units or len({*units}) < len(units):
        return None
    digits = {unit: piece[0] for unit, piece in zip(units, pieces, strict=True)}
    names = {unit: piece[2] for unit, piece in zip(units, pieces, strict=True)}
    return Parsed(sign, digits, names, pieces[0][1], pieces[0][3])


@dataclass(frozen=True)
class DurationFormat(Format):
    """Durations with units.

    units   that are written, the largest first: the number of the first may be any
    names   of the units, where it is no ISO 8601: h, min
    digits  of the fraction of a second
    zeros   whether a unit is written of which there are none
    width   digits of each number but the first, filled with zeros
    blank, gap  between a number and its unit, and between units
    """

    units: tuple[str, ...]
    names: tuple[str, ...] = ()
    digits: int = 0
    zeros: bool = False
    width: int = 1
    blank: str = ""
    gap: str = ""

    @property
    def _step(self) -> float:
        return SIZES[self.units[-1]] * 10.0**-self.digits

    def read(self, value: Any) -> float:
        found = parse(value)
        if found is None or any(
            (unit in CALENDAR) != (self.units[0] in CALENDAR) for unit in found.digits
        ):
            return math.nan
        number = sum(SIZES[unit] * float(text) for unit, text in found.digits.items())
        return -number if found.sign else number

    def write(self, numbers: Iterable[float]) -> list[Any]:
        return [self._text(round(float(number) / self._step)) for number in numbers]

    def _text(self, steps: int) -> str:
        left, parts = abs(steps), dict[str, str]()
        for unit in self.units:
            size = round(SIZES[unit] / self._step)
            last = unit == self.units[-1]
            count, left = (left, 0) if last else divmod(left, size)
            text = f"{count / 10**self.digits:.{self.digits}f}" if last else str(count)
            first = unit == self.units[0] or (not parts and not self.zeros)
            if count or self.zeros or (last and not parts):
                parts[unit] = text if first else text.zfill(self.width)
        sign = "-" if steps < 0 else ""
        if self.names:
            called = dict(zip(self.units, self.names, strict=True))
            return sign + self.gap.join(
                f"{text}{self.blank}{called[unit]}" for unit, text in parts.items()
            )
        day, clock = (
            "".join(
                f"{text}{unit[0].upper()}" for unit, text in parts.items() if (unit in CLOCK) == late
            )
            for late in (False, True)
        )
        return f"{sign}P{day}{'T' if clock else ''}{clock}"


def fit_durations(counts: Mapping[Any, int]) -> tuple[list[Format], dict[Any, int]] | None:
    """Formats of durations, and the values that none of them writes; None where most are none, or all are of one
    unit in words, which are numbers."""
    some = spaced(list(counts), FEW)
    if 2 * sum(parse(value) is not None for value in some) < len(some):
        return None
    found = {value: parsed for value in counts if (parsed := parse(value))}
    if 2 * len(found) < len(counts) or all(p.names and len(p.digits) == 1 for p in found.values()):
        return None
    formats, left = cover({value: counts[value] for value in found}, _candidates)
    return (formats, left | {v: n for v, n in counts.items() if v not in found}) if formats else None


def _candidates(texts: list[str]) -> Iterator[DurationFormat]:
    """By the largest unit, and by each way to write a number; the units between are all there."""
    found = [parsed for text in texts if (parsed := parse(text))]
    order = [*SIZES]
    for calendar in (False, True):
        some = [one for one in found if all((unit in CALENDAR) == calendar for unit in one.digits)]
        if not some:
            continue
        named = {unit: name for one in some for unit, name in one.names.items()}
        last = max(order.index(unit) for one in some for unit in one.digits)
        digits = max(len(one.digits.get("second", "").partition(".")[2]) for one in some)
        for first in sorted({order.index(next(iter(one.digits))) for one in some}):
            units = tuple(unit for unit in order[first : last + 1] if unit != "week" or first == last)
            names = tuple(named.get(unit, "") for unit in units) if named else ()
            if not units or (names and not all(names)):
                continue
            gap = next((one.gap for one in some if len(one.digits) > 1), "")
            for zeros in (False, True):
                for width in (1, 2):
                    yield DurationFormat(units, names, digits, zeros, width, some[0].blank, gap)
