"""Time stamps of a column: texts to seconds and back, and the step from one to the next.

Seconds count from 1970. Where texts end in an offset (+01:00) they are seconds of UTC, so that an hour that comes
twice when clocks are set back is two; else they are as the clock on the wall shows them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from genwright.data.columns.dates import DateFormat, fit_dates
from genwright.data.columns.formats import MixedFormat, is_missing
from genwright.data.columns.numbers import NumberFormat, parse_number
from genwright.data.field import Array

__all__ = ["TimeFormat", "TimeStep", "fit_clock", "fit_dated"]

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
MONTHS = ((28, 31, 1), (89, 92, 3), (181, 184, 6), (365, 366, 12))
"""Days of so many months, at least and at most."""
NAMES = {
    ("second", 1.0): "1 second",
    ("second", HOUR): "1 hour",
    ("second", DAY): "1 day",
    ("second", 7 * DAY): "1 week",
    ("month", 1.0): "1 month",
    ("month", 3.0): "1 quarter",
    ("month", 12.0): "1 year",
}


@dataclass(frozen=True)
class TimeFormat:
    """How a column writes its times: dates in one format or in one for each offset; none: numbers that count."""

    formats: tuple[DateFormat, ...] = ()
    number: NumberFormat | None = None

    @property
    def dated(self) -> bool:
        return bool(self.formats)

    def read(self, values: Sequence[Any]) -> Array:
        """Seconds, or numbers `(n,)`; NaN for what is no time."""
        known: dict[Any, float] = {}
        for value in dict.fromkeys(values):
            known[value] = self._one(value)
        return np.array([known[value] for value in values], np.float64)

    def _one(self, value: Any) -> float:
        if is_missing(value):
            return math.nan
        if not self.formats:
            found = parse_number(value)
            return math.nan if found is None else found
        for form in self.formats:
            if math.isfinite(seconds := form.read(value)):
                return seconds - _offset(form.zone)
        return math.nan

    def write(self, times: Array) -> list[Any]:
        if self.formats:
            form = self.formats[0]
            return form.write((np.asarray(times) + _offset(form.zone)).tolist())
        number = self.number or NumberFormat("text", 0, 0)
        return number.write(np.asarray(times).tolist())

    def json(self) -> dict[str, Any]:
        number = None if self.number is None else asdict(self.number)
        return {"formats": [asdict(form) for form in self.formats], "number": number}

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> TimeFormat:
        number = None if known["number"] is None else NumberFormat(**known["number"])
        return cls(tuple(DateFormat(**form) for form in known["formats"]), number)


def fit_clock(values: Sequence[Any]) -> TimeFormat | None:
    """How these times are written; None where they are none: dates, or numbers that are all whole or all even."""
    if (dated := fit_dated(values)) is not None:
        return dated
    counts = _present(values)
    numbers = [parse_number(value) for value in counts]
    if not counts or any(number is None or not math.isfinite(number) for number in numbers):
        return None
    return TimeFormat((), NumberFormat.of(list(counts)))


def fit_dated(values: Sequence[Any]) -> TimeFormat | None:
    """How these dates are written; None where they are none."""
    counts = _present(values)
    fit = fit_dates(counts) if counts else None
    if fit is None:
        return None
    parts = fit.format.parts if isinstance(fit.format, MixedFormat) else (fit.format,)
    dates = tuple(part for part in parts if isinstance(part, DateFormat))
    unread = sum(all(math.isnan(part.read(value)) for part in dates) for value in counts)
    if dates and len(dates) == len(parts) and dates[0].raw != "duration" and 10 * unread <= len(counts):
        return TimeFormat(dates)
    return None


def _present(values: Sequence[Any]) -> Counter[Any]:
    return Counter(value for value in values if not is_missing(value))


def _offset(zone: str) -> float:
    """Seconds by which a zone is ahead of UTC."""
    found = re.fullmatch(r"\s?([+-])(\d\d):?(\d\d)?", zone)
    if found is None:
        return 0.0
    seconds = int(found[2]) * HOUR + int(found[3] or 0) * MINUTE
    return -seconds if found[1] == "-" else seconds


@dataclass(frozen=True)
class TimeStep:
    """From one time to the next: so many seconds, or calendar months; or a number, where there are no dates."""

    unit: str = "number"
    size: float = 1.0

    @classmethod
    def of(cls, apart: Mapping[float, int], dated: bool) -> TimeStep:
        """The commonest of how far times are apart, in seconds or numbers, with how often."""
        if not apart:
            return cls("second" if dated else "number", 1.0)
        size = max(apart, key=lambda one: (apart[one], -one))
        if not dated:
            return cls("number", size)
        for low, high, months in MONTHS:
            if low * DAY <= size <= high * DAY:
                return cls("month", float(months))
        return cls("second", size)

    def between(self, times: Array) -> Array:
        """Steps from each time to the next `(n - 1,)`; of months the calendar's, which have several lengths."""
        if self.unit != "month":
            return np.asarray(np.diff(times) / self.size)
        months = _months(times)
        return np.asarray(np.diff(months) / self.size)

    def after(self, time: float, steps: Array) -> Array:
        """The times so many steps after one."""
        if self.unit != "month":
            return np.asarray(time + self.size * np.asarray(steps, np.float64))
        first = np.array([time]).astype("datetime64[s]")
        inside = time - first.astype("datetime64[M]").astype("datetime64[s]").astype(np.float64)[0]
        whole = first.astype("datetime64[M]") + (np.asarray(steps) * self.size).astype(np.int64)
        return np.asarray(whole.astype("datetime64[s]").astype(np.float64) + inside)

    @property
    def period(self) -> int:
        """Steps after which the calendar comes again: of hours a day, of days a week, of months a year; 1: none."""
        if self.unit == "month":
            return max(1, round(12 / self.size))
        if self.unit == "number":
            return 1
        cycle = 7 * DAY if self.size == DAY else 365 * DAY if self.size >= 7 * DAY else DAY
        return max(1, round(cycle / self.size)) if self.size < cycle else 1

    def __str__(self) -> str:
        if (named := NAMES.get((self.unit, self.size))) is not None:
            return named
        for unit, seconds in (("days", DAY), ("hours", HOUR), ("minutes", MINUTE)):
            if self.unit == "second" and self.size % seconds == 0:
                return f"{self.size / seconds:g} {unit}"
        return f"{self.size:g}" if self.unit == "number" else f"{self.size:g} {self.unit}s"


def _months(times: Array) -> Array:
    """Months since 1970, and shares of one for the days."""
    seconds = np.asarray(times, np.float64).astype("datetime64[s]")
    month = seconds.astype("datetime64[M]")
    day = (seconds - month.astype("datetime64[s]")).astype(np.float64) / (31 * DAY)
    return np.asarray(month.astype(np.int64) + day)
