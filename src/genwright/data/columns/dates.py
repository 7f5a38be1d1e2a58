"""Formats of moments, days, weeks, months, quarters, times of day and durations.

As numbers they are seconds since 1970, or since midnight, or as such. A pattern is `strptime`'s, read and written
here so that one is the inverse of the other on every machine, with some more directives:

    %q   the quarter                               %h   hours of a duration, which may be more than 23
    %D   days of a duration                        %P   the same with the word: 1 day, 2 days
    %-d  without a leading zero                    %^b  in capitals, %_p in small letters, %~b with one capital
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from genwright.data.columns.durations import fit_durations
from genwright.data.columns.formats import Format, FormatFit, MixedFormat, cover, spaced
from genwright.data.columns.month_names import ENGLISH, MONTH_NAMES, MonthNames
from genwright.data.columns.numbers import few_texts, parse_number

__all__ = ["DateFormat", "fit_dates"]

EPOCH = datetime(1970, 1, 1)
COMMON = 5
"""Rows from which an impossible day, such as 0000-00-00, stands for something."""

# -- patterns ------------------------------------------------------------------------------------

_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

_READ = {"Y": r"\d{4}", "G": r"\d{4}", "y": r"\d{2}", "V": r"\d{2}", "M": r"\d{2}", "S": r"\d{2}"}
_READ |= dict.fromkeys("mdHI", r"\d{1,2}") | {
    "f": r"\d{1,6}",
    "h": r"\d+",
    "D": r"\d+",
    "P": r"\d+ days?",
    "q": "[1-4]",
}
_READ |= {"j": r"\d{3}", "u": "[1-7]", "p": "[AaPp][Mm]"}
_READ |= {"a": "|".join(name[:3] for name in _WEEKDAYS), "A": "|".join(_WEEKDAYS)}

_WRITE: dict[str, Callable[[datetime], str]] = {
    "Y": lambda t: f"{t.year:04d}",
    "G": lambda t: f"{t.isocalendar().year:04d}",
    "y": lambda t: f"{t.year % 100:02d}",
    "V": lambda t: f"{t.isocalendar().week:02d}",
    "u": lambda t: str(t.isoweekday()),
    "m": lambda t: f"{t.month:02d}",
    "d": lambda t: f"{t.day:02d}",
    "j": lambda t: f"{t.timetuple().tm_yday:03d}",
    "q": lambda t: str((t.month + 2) // 3),
    "a": lambda t: _WEEKDAYS[t.weekday()][:3],
    "A": lambda t: _WEEKDAYS[t.weekday()],
    "H": lambda t: f"{t.hour:02d}",
    "I": lambda t: f"{(t.hour - 1) % 12 + 1:02d}",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "M": lambda t: f"{t.minute:02d}",
    "S": lambda t: f"{t.second:02d}",
    "f": lambda t: f"{t.microsecond:06d}",
    "h": lambda t: f"{(t - EPOCH) // timedelta(hours=1):02d}",
    "D": lambda t: str((t - EPOCH).days),
    "P": lambda t: f"{(t - EPOCH).days} day{'s' * ((t - EPOCH).days != 1)}",
}
_DIRECTIVE = re.compile(r"%([-^_~]?)([A-Za-z])")
_LEAP = 1972
"""The year of a day that names none, so that it may be the 29th of February."""


@cache
def _regex(pattern: str, language: str) -> re.Pattern[str]:
    months = MONTH_NAMES[language]
    read = _READ | {
        letter: "|".join(map(re.escape, names))
        for letter, names in (("B", months.full), ("b", months.short))
    }
    pieces = _DIRECTIVE.split(pattern)
    parts = [re.escape(pieces[0])]
    for letter, literal in zip(pieces[2::3], pieces[3::3], strict=True):
        parts.append(f"(?P<{letter}>{read[letter]}){re.escape(literal)}")
    return re.compile("".join(parts), re.I)


def _moment(pattern: str, text: str, language: str) -> datetime | None:
    found = _regex(pattern, language).fullmatch(text)
    try:
        return _meant(found.groupdict(), MONTH_NAMES[language]) if found else None
    except (ValueError, OverflowError):
        return None


def _meant(parts: Mapping[str, str], months: MonthNames) -> datetime:
    """The moment that the parts of a text mean: the first of a month, week or quarter. Raises `ValueError`."""
    n = {letter: int(text) for letter, text in parts.items() if text.isdecimal()}
    if "f" in parts:
        n["f"] = int(parts["f"].ljust(6, "0"))
    if "P" in parts:
        n["D"] = int(parts["P"].split()[0])
    hour = n.get("H", n.get("I", 0))
    if "p" in parts:
        if not 1 <= hour <= 12:
            raise ValueError("an hour of twelve")
        hour = hour % 12 + 12 * (parts["p"].lower() == "pm")
    if "D" in n or "h" in n:
        if max(hour - 23, n.get("M", 0) - 59, n.get("S", 0) - 59) > 0:
            raise ValueError("minutes of an hour")
        hours = n.get("h", hour)
        return EPOCH + timedelta(n.get("D", 0), n.get("S", 0), n.get("f", 0), 0, n.get("M", 0), hours)
    year = n.get("Y", _LEAP if "d" in n else EPOCH.year)
    if "y" in n:
        year = n["y"] + (1900 if n["y"] > 68 else 2000)
    month = n.get("m", 3 * n.get("q", 1) - 2)
    if name := parts.get("b", parts.get("B")):
        month = months.number(name)
    day = (
        date.fromisocalendar(n["G"], n["V"], n.get("u", 1))
        if "G" in n
        else date(year, month, n.get("d", 1))
    )
    if "j" in n:
        day += timedelta(days=n["j"] - 1)
        if day.year != year:
            raise ValueError("a day of the year")
    return datetime(day.year, day.month, day.day, hour, n.get("M", 0), n.get("S", 0), n.get("f", 0))


def _text(pattern: str, moment: datetime, digits: int, language: str) -> str:
    months = MONTH_NAMES[language]

    def one(found: re.Match[str]) -> str:
        flag, letter = found[1], found[2]
        if letter in "bB":
            text = (months.short if letter == "b" else months.full)[moment.month - 1]
        else:
            text = _WRITE[letter](moment)[: digits if letter == "f" else None]
        if flag == "-":
            return text.lstrip("0") or "0"
        return _CASES[flag](text) if flag else text

    return _DIRECTIVE.sub(one, pattern)


_CASES = {"^": str.upper, "_": str.lower, "~": str.capitalize}


@dataclass(frozen=True)
class DateFormat(Format):
    """The format of a column of moments; as numbers they are seconds since 1970, local where there is a zone.

    raw       what a raw value is: a text, or Python's int, date, datetime, datetime with a zone, time, timedelta
    pattern   of a text or an int: see above
    step      the resolution in seconds: a day, a minute, a second, a part of one
    zone      what ends every text: "Z", "+01:00", " CET", " Uhr", or nothing
    digits    of the fraction of a second
    padded    05.01.2024 rather than 5.1.2024, where the pattern does not say so
    language  of the names of months, see `MONTH_NAMES`
    """

    raw: Literal["text", "int", "date", "datetime", "zoned", "time", "duration"]
    pattern: str = ""
    step: float = 1.0
    zone: str = ""
    digits: int = 0
    padded: bool = True
    language: str = ENGLISH

    def read(self, value: Any) -> float:
        """Seconds; NaN where it is no moment of this pattern."""
        moment = None
        if isinstance(value, str | int) and not isinstance(value, bool):
            moment = self._read(str(value)) if self.pattern else None
        elif isinstance(value, datetime):
            moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)
        elif isinstance(value, time):
            moment = datetime.combine(EPOCH, value.replace(tzinfo=None))
        elif isinstance(value, timedelta):
            return value.total_seconds()
        return (moment - EPOCH).total_seconds() if moment is not None else math.nan

    def _read(self, text: str) -> datetime | None:
        return _moment(self._used, text.strip().removesuffix(self.zone), self.language)

    @property
    def _used(self) -> str:
        if self.padded:
            return self.pattern
        day, colon, rest = self.pattern.partition(":")  # minutes and seconds keep their zero
        return re.sub("%([dmHI])", r"%-\1", day) + colon + rest

    def write(self, numbers: Iterable[float]) -> list[Any]:
        steps: NDArray[np.float64] = np.rint(np.asarray(list(numbers), np.float64) / self.step)
        durations = [timedelta(microseconds=round(s * self.step * 1e6)) for s in steps.tolist()]
        if self.raw == "duration":
            return durations
        moments = [EPOCH + duration for duration in durations]
        if self.raw in ("text", "int"):
            written = (_text(self._used, moment, self.digits, self.language) for moment in moments)
            texts = [text + self.zone for text in written]
            return [int(text) for text in texts] if self.raw == "int" else texts
        if self.raw in ("date", "time"):
            return [moment.date() if self.raw == "date" else moment.time() for moment in moments]
        return [m.replace(tzinfo=UTC) for m in moments] if self.raw == "zoned" else moments

    def shaped(self, value: Any) -> bool:
        text = str(value).strip().removesuffix(self.zone)
        return bool(self.pattern) and _regex(self._used, self.language).fullmatch(text) is not None


# -- fitting -------------------------------------------------------------------------------------

_DAYS = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y"]
_DAYS += ["%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%m/%d/%y"]
_DAYS += ["%d/%m/%y", "%d.%m.%y", "%d-%b-%y", "%d%b%Y", "%Y.%m.%d", "%a, %d %b %Y", "%Y%m%d"]
_DAYS += ["%b %d %Y", "%B %d %Y", "%d/%b/%Y", "%A, %d %B %Y", "%A %d %B %Y", "%A, %B %d, %Y"]
_DAYS += ["%Y年%m月%d日", "%Y년 %m월 %d일"]
_NAMED = [
    "%d. %B %Y",
    "%d. %b %Y",
    "%d. %b. %Y",
    "%d %b. %Y",
    "%b. %d, %Y",
    "%d de %B de %Y",
    "%d de %B %Y",
]
_NAMED += ["%d-%B-%Y", "%B de %Y", "%b. %Y", "%Y年%m月"]
"""Days and months whose names other languages have, or a point behind them."""
_YEARLY = ["%d %b", "%b %d", "%d %B", "%B %d", "%d. %B", "%d. %b", "%d-%b", "%b-%d", "%m月%d日"]
"""Days of any year."""
_TIMES = ["", " %H:%M:%S", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f", " %H:%M", "T%H:%M"]
_TIMES += [" %I:%M %p", " %I:%M:%S %p", "T%H%M%S", " %I:%M%p", ", %I:%M:%S %p", ", %H:%M"]
_PERIODS = [
    "%Y-%m",
    "%Y/%m",
    "%m/%Y",
    "%m.%Y",
    "%b %Y",
    "%B %Y",
    "%b-%Y",
    "%b-%y",
    "%G-W%V",
    "%GW%V",
    "%G-W%V-%u",
]
_PERIODS += ["%YQ%q", "%Y-Q%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "%Y-%j", "%Y %b", "%Y %B", "%Y-%b"]
_LOGS = ["%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S"]
"""As `ctime` and web servers write them."""
_CLOCKS = ["%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p"]
_DURATIONS = ["%h:%M:%S", "%h:%M", "%h:%M:%S.%f", "%D days %H:%M:%S", "%P, %H:%M:%S"]
_FAMILIES = [
    [day + clock for day, clock in product(_DAYS, _TIMES)] + _PERIODS + _LOGS + _NAMED,
    _YEARLY,
    _CLOCKS,
    _DURATIONS,
]
_COMPACT = {14: "%Y%m%d%H%M%S", 12: "%Y%m%d%H%M", 8: "%Y%m%d", 6: "%Y%m", 5: "%H.%M", 4: "%H%M"}
"""Patterns of what may be a number as well, by its length."""
_LIKE = re.compile(r"(?=.*\d)[\w:/.,+\- ]{4,40}")
_ZONE = re.compile(r"(?<=:\d\d)(?:\.\d+)?(\s?(?:Z|[A-Z]{3,4}|h|Uhr|[+-]\d\d(?::?\d\d)?))$")
_SWAPPED = str.maketrans({"m": "d", "d": "m"})


def fit_dates(counts: Mapping[Any, int]) -> FormatFit | None:
    """The format of these raw values that are not missing, and what else there is; None where they are no
    moments."""
    values = list(counts)
    if all(isinstance(v, date | time | timedelta) for v in values):
        return FormatFit(_typed(values))
    if compact := _compact(counts):
        return compact
    if durations := fit_durations(counts):
        parts, left = durations
        return _sorted_out(parts[0] if len(parts) == 1 else MixedFormat(tuple(parts)), left, counts)
    some = [value.strip() if isinstance(value, str) else "" for value in spaced(values, 50)]
    if 2 * sum(parse_number(text) is None and bool(_LIKE.fullmatch(text)) for text in some) < len(some):
        return None
    fits = (_fitted(counts, patterns) for patterns in _FAMILIES)
    return next((fit for fit in fits if fit), None)


def _typed(values: list[Any]) -> DateFormat:
    kinds = {type(value) for value in values}
    if all(issubclass(kind, datetime) for kind in kinds):
        format = DateFormat("zoned" if all(v.tzinfo is not None for v in values) else "datetime")
    elif all(issubclass(kind, time) for kind in kinds):
        format = DateFormat("time")
    elif all(issubclass(kind, timedelta) for kind in kinds):
        format = DateFormat("duration")
    else:
        return DateFormat("date", step=86400.0)
    return replace(format, step=_step({format.read(value) for value in values}))


def _step(seconds: set[float]) -> float:
    """The coarsest resolution that keeps typed moments exact."""
    for step in (86400.0, 60.0, 1.0):
        if all(s % step == 0 for s in seconds):
            return step
    return 1e-6


def _compact(counts: Mapping[Any, int]) -> FormatFit | None:
    """Moments that may be numbers as well: 20240131, 202401, 0930, 09.30."""
    kinds = {type(value) for value in counts}
    if kinds not in ({int}, {str}):
        return None
    texts = [str(value) for value in counts]
    (width, _), *_ = Counter(map(len, texts)).most_common(1)
    # Any four digits may be a time: a leading zero says so, and that there are many and none is 0960.
    if width not in _COMPACT or len(texts) < (5 if width > 6 else 12 if width == 6 else 20):
        return None
    clock = width in (4, 5)
    if clock and not any(text[0] == "0" and len(text) == width for text in texts if kinds == {str}):
        return None
    shape = r"\d\d\.\d\d" if width == 5 else r"\d+"
    if 10 * sum(bool(re.fullmatch(shape, text)) for text in texts) < 9 * len(texts):
        return None
    pattern = _COMPACT[width]
    step = 1.0 if "%S" in pattern else 60.0 if "%M" in pattern else 86400.0
    format = DateFormat("int" if kinds == {int} else "text", pattern, step)
    left = {value: count for value, count in counts.items() if not format.exact(value)}
    plausible = clock or all("1800" <= str(v)[:4] <= "2199" for v in counts if v not in left)
    return _sorted_out(format, left, counts) if plausible and 10 * len(left) <= len(counts) else None


def _fitted(counts: Mapping[Any, int], patterns: list[str]) -> FormatFit | None:
    """By patterns of one family: moments do not mix with durations."""
    texts = {value: count for value, count in counts.items() if isinstance(value, str)}
    found, left = cover(texts, lambda some: _candidates(some, patterns))
    parts = [part for part in found if isinstance(part, DateFormat)]
    if not parts:
        return None
    swapped = _swapped(parts[0])
    # Where most are day/month, 01/13/2024 is an error and not month/day.
    if swapped != parts[0] and any(_directives(part) == _directives(swapped) for part in parts):
        parts = [part for part in parts if _directives(part) != _directives(swapped)]
        left = {value: n for value, n in texts.items() if not any(part.exact(value) for part in parts)}
    format = parts[0] if len(parts) == 1 else MixedFormat(tuple(parts))
    fit = _sorted_out(format, left | {v: n for v, n in counts.items() if v not in texts}, counts)
    if fit is None or swapped == parts[0]:
        return fit
    others = {*fit.literals, *fit.impossible}
    dates, either = [value for value in texts if value not in others], [_swapped(part) for part in parts]

    def readable(values: list[str]) -> bool:
        return all(any(math.isfinite(part.read(value)) for part in either) for value in values)

    return replace(fit, ambiguous=readable(spaced(dates, 100)) and readable(dates))


def _swapped(format: DateFormat) -> DateFormat:
    """The same with day and month the other way round, where that is as usual."""
    pattern = format.pattern
    either = {"d", "m"} <= set(_directives(format)) and not pattern.startswith("%Y")
    return replace(format, pattern=pattern.translate(_SWAPPED) if either else pattern)


def _directives(format: DateFormat) -> list[str]:
    return [letter for _, letter in _DIRECTIVE.findall(format.pattern) if letter in "Ymd"]


def _candidates(texts: list[str], patterns: Iterable[str]) -> Iterator[DateFormat]:
    """Formats that read some of a few of these texts, in each zone and each way to fill with zeros."""
    zones: dict[str, list[str]] = {}
    for text in texts:
        found = _ZONE.search(text)
        zones.setdefault(found[1] if found else "", []).append(text)
    for zone, some in sorted(zones.items(), key=lambda item: -len(item[1]))[:4]:
        bodies = [text.removesuffix(zone) for text in some]
        fractions = Counter(
            len(b.rpartition(".")[2]) for b in bodies if re.search(r":\d\d\.\d{1,6}$", b)
        )
        for language, pattern in _in_languages(patterns, bodies):
            if any(_moment(pattern, body.strip(), language) for body in spaced(bodies, 10)):
                for one in _variants(pattern):
                    for digits in [n for n, _ in fractions.most_common(3)] if "%f" in pattern else [0]:
                        step = 1.0 if "%S" in pattern else 60.0 if "%M" in pattern else 86400.0
                        step = 10.0**-digits if digits else step
                        yield DateFormat("text", one, step, zone, digits, language=language)


def _in_languages(patterns: Iterable[str], texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each pattern in English, and those that name a month in the other languages whose names occur."""
    patterns = list(patterns)
    yield from ((ENGLISH, pattern) for pattern in patterns)
    words = {word.casefold() for text in texts for word in re.findall(r"[^\W\d_]+", text)}
    named = [one for one in patterns if {*"bB"} & _letters(one) and not {*"aA"} & _letters(one)]
    for language, months in MONTH_NAMES.items():
        names = {name.casefold().rstrip(".") for name in (*months.full, *months.short)}
        if language != ENGLISH and names & words:
            yield from ((language, one) for one in named)


def _letters(pattern: str) -> set[str]:
    return {letter for _, letter in _DIRECTIVE.findall(pattern)}


def _variants(pattern: str) -> Iterator[str]:
    """A pattern with and without leading zeros, in capitals and in small letters."""
    flags: list[tuple[str, str]] = [
        (letters, marks) for letters, marks in _FLAGS if re.search(f"%[{letters}]", pattern)
    ]
    for chosen in product(*(marks for _, marks in flags)):
        one = pattern
        for (letters, _), mark in zip(flags, chosen, strict=True):
            one = re.sub(f"%([{letters}])", rf"%{mark.strip()}\1", one)
        yield one


_FLAGS = [("dm", " -"), ("HIh", " -"), ("bB", " ^_~"), ("p", " _")]
"""Directives, and the flags they may have; a blank: none."""


def _sorted_out(format: Format, left: Mapping[Any, int], counts: Mapping[Any, int]) -> FormatFit | None:
    """What the format does not write; None where that is too much."""
    rewritten = [value for value in left if math.isfinite(format.read(value))]
    others = [value for value in left if value not in set(rewritten)]
    shaped = [value for value in others if format.shaped(value)]
    impossible = [value for value in shaped if counts[value] < COMMON]
    literals = [value for value in others if value not in set(impossible)]
    dates = len(counts) - len(others)
    texts = [value for value in literals if value not in set(shaped)]
    rows = sum(counts.values())
    if sum(counts[v] for v in rewritten) > rows / 2 or sum(counts[v] for v in impossible) > rows / 10:
        return None
    if (others and dates < 5) or not few_texts(texts, dates, counts):
        return None
    return FormatFit(format, tuple(literals), tuple(impossible), tuple(rewritten))
