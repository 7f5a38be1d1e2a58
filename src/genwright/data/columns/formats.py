"""Formats of numbers and dates, read from raw values, so that new ones can be written in the same way.

A file says 39, 39.0 or 039; 31.12.2024 or 2024-12-31T00:00; "" or NA. This page answers which raw values
mean "missing", which number or moment a raw value means, and how to write a new one as the file
would have. `NumberFormat` and `DateFormat` are two-way: `write([read(v)])` gives `v` back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["DateFormat", "NumberFormat", "is_missing", "parse_number"]

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

EPOCH = datetime(1970, 1, 1)
FULL = 16
"""So many digits tell a float from any other; Python then writes the fewest that do."""


def is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in MISSING
    if value is None:
        return True
    try:
        return bool(value != value)  # NaN and NaT differ from themselves
    except TypeError:
        return True  # and pandas.NA refuses to say


# -- numbers -------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.I)


def parse_number(value: Any, comma: bool = False) -> float | None:
    """The number that `value` means, be it infinite, or None. With `comma`, 3,14 means one."""
    if isinstance(value, str):
        text = value.strip()
        if comma:
            text = text.replace(",", ".")
        return float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool | int | float | Decimal | np.number | np.bool_):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    return None


@dataclass(frozen=True)
class NumberFormat:
    """The format of a column of numbers.

    raw       what a raw value is: a text, or a number of Python's
    places    decimals that carry information: 0 for whole numbers, also for those written 39.0
    least     decimals that are always written, zeros or not
    digits    where some have an exponent, or all the digits of a float: how many count, in place of
              `places`
    comma     3,14 instead of 3.14
    """

    raw: Literal["text", "int", "float"]
    places: int
    least: int
    digits: int | None = None
    comma: bool = False

    @classmethod
    def of(cls, values: Collection[Any], comma: bool = False) -> NumberFormat:
        """From raw values that are all numbers."""
        if all(isinstance(v, str) for v in values):
            raw: Literal["text", "int", "float"] = "text"
        elif all(isinstance(v, int) for v in values):
            raw = "int"
        else:
            raw = "float"
        finite = [v for v in values if math.isfinite(parse_number(v, comma) or 0.0)]
        texts = [str(v).strip().replace(",", ".").lower() for v in finite]
        parts = [(text.partition("e")[0].lstrip("+-"), "e" in text) for text in texts]
        decimals = [len(mantissa.partition(".")[2]) for mantissa, _ in parts]
        plain = [n for n, (_, exponent) in zip(decimals, parts, strict=True) if not exponent]
        digits = max((len(mantissa.replace(".", "").lstrip("0")) for mantissa, _ in parts), default=0)
        whole = all((parse_number(v, comma) or 0.0).is_integer() for v in finite)
        by_digits = len(plain) < len(parts) or (digits >= FULL and not whole)
        places = 0 if whole else max(1, *decimals)
        # Without a point, 1e5 would come back as an integer's 100000.
        least = min(plain, default=1)
        return cls(raw, places, least, max(digits, 1) if by_digits else None, comma)

    @property
    def whole(self) -> bool:
        return self.places == 0

    def read(self, value: Any) -> float:
        """The number; NaN where it is none, or infinite."""
        found = parse_number(value, self.comma)
        return found if found is not None and math.isfinite(found) else math.nan

    def write(self, numbers: Iterable[float]) -> list[Any]:
        texts = [self._text(float(n)) for n in numbers]
        if self.raw == "text":
            return [t.replace(".", ",") for t in texts] if self.comma else texts
        return [int(t) for t in texts] if self.raw == "int" else [float(t) for t in texts]

    def _text(self, value: float) -> str:
        if self.digits is not None and not self.whole:
            text = repr(value) if self.digits >= FULL else f"{value:.{self.digits}g}"
            if "e" in text:
                return text
        else:
            text = f"{value:.{self.places}f}"
        whole, _, decimals = text.partition(".")
        decimals = decimals.rstrip("0").ljust(self.least, "0")
        text = f"{whole}.{decimals}" if decimals else whole
        return text.lstrip("-") if float(text) == 0 else text  # no "-0"


# -- dates ---------------------------------------------------------------------------------------

_DAYS = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y"]
_DAYS += ["%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%m/%d/%y"]
_DAYS += ["%d/%m/%y", "%d.%m.%y"]
_TIMES = ["", " %H:%M:%S", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f", " %H:%M", "T%H:%M"]
_TIMES += [" %I:%M %p", " %I:%M:%S %p"]
_DATE = re.compile(r"\s*(?:\d{1,4}[-/. ][\dA-Za-z]|[A-Za-z]{3,9} \d)[^\n]{3,40}")
_ZONE = re.compile(r"(?<=:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)$")
_SWAPPED = str.maketrans({"m": "d", "d": "m"})


def _zone(text: str) -> str:
    """The time zone at the end of a moment, as it is written, or nothing."""
    found = _ZONE.search(text)
    return found[1] if found else ""


def _moment(pattern: str, text: str) -> datetime | None:
    try:
        if pattern.startswith("%Y-%m-%d") and "%p" not in pattern and len(text) > 9:
            return datetime.fromisoformat(text)  # fifty times as fast
        return datetime.strptime(text, pattern)
    except ValueError:
        return None


@dataclass(frozen=True)
class DateFormat:
    """The format of a column of moments; as numbers they are seconds since 1970.

    raw       what a raw value is: a text, or Python's date, datetime, or datetime with a zone
    pattern   of a text, as `strptime` has it
    step      the resolution in seconds: a day, a minute, a second, a part of one
    zone      what ends every text: "Z", "+01:00", or nothing
    digits    of the fraction of a second
    padded    05.01.2024 rather than 5.1.2024
    """

    raw: Literal["text", "date", "datetime", "zoned"]
    pattern: str = ""
    step: float = 1.0
    zone: str = ""
    digits: int = 0
    padded: bool = True

    @classmethod
    def of(cls, values: Collection[Any]) -> tuple[DateFormat, bool] | None:
        """From distinct raw values; None where one of them is no moment, or written otherwise.

        Also tells whether day and month could as well be the other way round.
        """
        if all(isinstance(v, date) for v in values):
            return cls._of_typed(values), False
        if not all(isinstance(v, str) and _DATE.fullmatch(v) for v in values):
            return None
        zone = _zone(next(iter(values)))
        if any(_zone(v) != zone for v in values):
            return None
        texts = [v.strip().removesuffix(zone) for v in values]
        few = texts[:: len(texts) // 100 + 1]

        def fits(pattern: str, texts: list[str]) -> bool:
            return all(_moment(pattern, text) for text in texts)

        # Reading is lenient (5.1.2024 passes for 05.01.2024), so the pattern that also writes them as
        # they were goes first.
        candidates = [
            cls._of_texts(day + time, zone, texts)
            for day in _DAYS
            for time in _TIMES
            if fits(day + time, few)
        ]
        for candidate in sorted(candidates, key=lambda s: -s._kept(few)):
            if 2 * candidate._kept(few) >= len(few) and fits(candidate.pattern, texts):
                swapped = candidate.pattern.translate(_SWAPPED)
                ambiguous = (
                    swapped != candidate.pattern and swapped[:5] != "%Y-%d" and fits(swapped, texts)
                )
                return candidate, ambiguous
        return None

    @classmethod
    def _of_typed(cls, values: Collection[Any]) -> DateFormat:
        if not all(isinstance(v, datetime) for v in values):
            return cls("date", step=86400.0)
        format = cls("zoned" if all(v.tzinfo is not None for v in values) else "datetime")
        return cls(format.raw, step=_step({format.read(v) for v in values}))

    @classmethod
    def _of_texts(cls, pattern: str, zone: str, texts: list[str]) -> DateFormat:
        digits = max(len(t.rpartition(".")[2]) for t in texts) if "%f" in pattern else 0
        step = (
            10.0**-digits if digits else 1.0 if "%S" in pattern else 60.0 if "%M" in pattern else 86400.0
        )
        padded = cls("text", pattern, step, zone, digits)
        bare = replace(padded, padded=False)
        few = texts[:100]
        return bare if bare._kept(few) > padded._kept(few) else padded

    def _kept(self, texts: list[str]) -> int:
        """How many of these, that lack the zone, would be written exactly as they are."""
        return sum(self.write([self.read(text)]) == [text + self.zone] for text in texts)

    def read(self, value: Any) -> float:
        """Seconds since 1970; NaN where it is no moment of this pattern."""
        if isinstance(value, str):
            moment = (
                _moment(self.pattern, value.strip().removesuffix(self.zone)) if self.pattern else None
            )
            moment = moment.replace(tzinfo=None) if moment else None
        elif isinstance(value, datetime):
            moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)
        else:
            moment = None
        return (moment - EPOCH).total_seconds() if moment is not None else math.nan

    def write(self, numbers: Iterable[float]) -> list[Any]:
        steps: NDArray[np.float64] = np.rint(np.asarray(list(numbers), np.float64) / self.step)
        moments = [EPOCH + timedelta(microseconds=round(s * self.step * 1e6)) for s in steps.tolist()]
        if self.raw == "text":
            return [self._text(moment) for moment in moments]
        if self.raw == "date":
            return [moment.date() for moment in moments]
        return [m.replace(tzinfo=UTC) for m in moments] if self.raw == "zoned" else moments

    def _text(self, moment: datetime) -> str:
        pattern = self.pattern.replace("%f", f"{moment.microsecond:06d}"[: self.digits])
        text = moment.strftime(pattern)
        if not self.padded:  # minutes and seconds, after the first colon, keep their zero
            day, colon, rest = text.partition(":")
            text = re.sub(r"(?<!\d)0(?=\d)", "", day) + colon + rest
        return text + self.zone


def _step(seconds: set[float]) -> float:
    """The coarsest resolution that keeps typed moments exact."""
    for step in (86400.0, 60.0, 1.0):
        if all(s % step == 0 for s in seconds):
            return step
    return 1e-6
