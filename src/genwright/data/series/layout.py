"""What the columns of a table of series are: the time, what tells series apart, what is measured, what does not change.

A file is walked twice, and nothing of it is kept but counts: which column tells series apart is seen where times begin
anew, and what does not change within any series is known only at its end.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.data.columns.formats import is_missing
from genwright.data.columns.numbers import NumberFormat, fit_numbers, parse_number
from genwright.data.columns.reservoir import ReservoirCounter
from genwright.data.series.clock import TimeFormat, TimeStep, fit_clock, fit_dated
from genwright.data.table import readers
from genwright.data.table.frames import TableFormat, raw
from genwright.errors import DataError, RecipeError, suggest

__all__ = [
    "BAD_SHARE",
    "FEW_BAD",
    "ROW_NUMBERS",
    "ColumnRoles",
    "SeriesOptions",
    "head_of",
    "layout_of",
    "time_column",
    "values_in",
]

ROW_NUMBERS = "rows"
"""As the name of the time: the number of the row is it."""
TIMES = ("time", "date", "datetime", "timestamp", "ds", "month", "year", "day", "t", "step")
"""Columns that hold times by their name, also where these are plain numbers."""
GROUPS = (
    "series",
    "series_id",
    "unique_id",
    "item_id",
    "group",
    "id",
    "symbol",
    "ticker",
    "station",
    "sensor",
)
"""Columns that tell series apart by their name."""
PROBE, LEAST = 200, 8
"""Rows that are looked at to know a series from a table, and how many there have to be."""
STATES, DIFFERENT = 50, 2000
"""Different texts of a channel at most; different values of a column that are counted."""
MANY = 100_000
"""Series in a file at most."""
FEW_BAD, BAD_SHARE = 3, 0.01
"""Rows whose time comes twice or too late, which are passed over: up to the larger of these."""
UNEVEN, SPARSE = 0.01, 0.05
"""Shares of steps that are no multiple of the commonest, and that are several of it, where rows still lie on a grid."""


@dataclass(frozen=True)
class ColumnRoles:
    """The roles of a file's columns, and what there is in it.

    time, group  columns; "" where there is none
    numbers, states, static  names of channels, and of what does not change within a series
    formats      how the numbers are written
    even         whether times lie on a grid of `step`, with few gaps
    together     whether the rows of a series lie together
    lengths      steps of each series, the commonest lengths with how many have them
    first, last  the least and the greatest time
    unknown      the share of cells and steps without a value
    """

    table: TableFormat
    time: str
    group: str
    clock: TimeFormat
    numbers: tuple[str, ...]
    states: tuple[str, ...]
    static: tuple[str, ...]
    formats: dict[str, NumberFormat] = field(default_factory=dict)
    step: TimeStep = field(default_factory=TimeStep)
    even: bool = True
    together: bool = True
    lengths: tuple[int, ...] = ()
    first: float = 0.0
    last: float = 0.0
    unknown: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        return (*self.numbers, *self.states)

    def without(self, names: Collection[str]) -> ColumnRoles:
        """The same without these columns. Raises `RecipeError` for one that is none, or that a series needs."""
        known = (*self.channels, *self.static)
        for name in names:
            if name in (self.time, self.group):
                does = "says when" if name == self.time else "tells series apart"
                raise RecipeError(
                    f"codec.drop: column {name!r} {does}, and cannot be left out; name another column of that kind "
                    f"(codec.time, codec.group), or read a table (codec.name=table)",
                    code="contradicting-options",
                )
            if name not in known and name not in self.table.columns:
                raise RecipeError(
                    f"codec.drop: there is no column {name!r}; {suggest(name, known)}",
                    code="no-such-column",
                )
        numbers, states, static = (
            tuple(name for name in some if name not in names)
            for some in (self.numbers, self.states, self.static)
        )
        if not (*numbers, *states):
            raise RecipeError(
                "codec.drop leaves no column to model: drop fewer", code="nothing-to-learn"
            )
        formats = {name: self.formats[name] for name in numbers}
        return replace(self, numbers=numbers, states=states, static=static, formats=formats)


def values_in(frame: Any, name: str) -> list[Any]:
    """The values of a column."""
    return raw(frame[name])


def head_of(
    file: Path, sheet: str | None = None, encoding: str | None = None
) -> tuple[TableFormat, list[dict[str, Any]]]:
    """The form of a table, and its first rows. Raises `DataError`."""
    form = readers.inspect(file, sheet=sheet, encoding=encoding)
    return form, readers.head(file, form, PROBE)


def time_column(
    form: TableFormat, rows: Sequence[dict[str, Any]], wanted: str | None = None
) -> str | None:
    """The column of times: the one that is `wanted`, else one of such a name, else the first of dates."""
    if wanted is not None:
        return wanted
    order = sorted(
        form.columns, key=lambda name: TIMES.index(name.lower()) if name.lower() in TIMES else 99
    )
    for name in order:
        values = [row[name] for row in rows]
        if not values or any(map(is_missing, values)):
            continue
        clock = fit_clock(values) if name.lower() in TIMES else fit_dated(values)
        if clock is None:
            continue
        times = clock.read(values)
        if np.isfinite(times).all() and (len(times) < 2 or float(np.ptp(times)) > 0):
            return name
    return None


@dataclass(frozen=True)
class SeriesOptions:
    """What a person says of a file of series, each None where nothing is said.

    time, group      columns: of times, and of what tells series apart
    sheet, encoding  of a workbook, and of a text
    """

    time: str | None = None
    group: str | None = None
    sheet: str | None = None
    encoding: str | None = None


def layout_of(file: Path, stated: SeriesOptions) -> ColumnRoles:
    """What the columns of a file are. Raises `DataError` for what is no series."""
    about = file.stat()
    return _layout(file, stated, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=32)
def _layout(file: Path, stated: SeriesOptions, size: int, changed: int) -> ColumnRoles:
    """Of a file as it is now."""
    time, group = stated.time, stated.group
    form, rows = head_of(file, stated.sheet, stated.encoding)
    for name in (time, group):
        if name not in (None, "", ROW_NUMBERS) and name not in form.columns:
            raise DataError(
                f"{file.name} has no column {name!r}; {suggest(str(name), form.columns)}",
                code="no-such-column",
            )
    named = "" if time == ROW_NUMBERS and time not in form.columns else time_column(form, rows, time)
    if named is None:
        raise DataError(
            f"{file.name} has no column of times (its columns are {', '.join(map(repr, form.columns[:6]))}): name it "
            f"with codec.time=COLUMN, or take each row for a step with codec.time={ROW_NUMBERS}",
            code="no-time-column",
        )
    clock = (fit_clock([row[named] for row in rows]) if named else None) or TimeFormat()
    if named and not np.isfinite(clock.read([row[named] for row in rows[:1]])).all():
        raise DataError(
            f"{file.name}: column {named!r} holds no times, but {rows[0][named]!r}: write dates such as 2024-01-31, or "
            f"numbers that count",
            code="no-time-column",
        )
    seen = _Columns(form.columns, named, clock, group)
    for number, times, frame in _chunks(file, form, named, clock):
        seen.add(number, times, frame)
    chosen = seen.group(file)
    return _measured(file, form, named, chosen, clock, seen)


def _chunks(
    file: Path, form: TableFormat, time: str, clock: TimeFormat
) -> Iterator[tuple[int, Array, dict[str, list[Any]]]]:
    """Rows some at a time: how many come before, their times, and their values by column."""
    first = 0
    for frame, _ in readers.rows(file, form, []):
        columns = {name: values_in(frame, name) for name in form.columns}
        n = len(frame)
        times = clock.read(columns[time]) if time else np.arange(first, first + n, dtype=np.float64)
        yield first, times, columns
        first += n


class _Order:
    """Whether times go up within each value of a column: of "", in the whole file."""

    def __init__(self) -> None:
        self.last: dict[Any, float] = {}
        self.rows = self.bad = self.runs = 0
        self.twice: tuple[int, Any] | None = None
        self.late: tuple[int, Any] | None = None
        self._before: Any = object()

    def add(self, number: int, times: Array, values: Sequence[Any]) -> None:
        for i, (time, value) in enumerate(zip(times.tolist(), values, strict=True)):
            if not math.isfinite(time):
                continue
            self.rows += 1
            self.runs += value != self._before
            self._before = value
            before = self.last.get(value)
            if before is None or time > before:
                self.last[value] = time
                continue
            self.bad += 1
            if time == before:
                self.twice = self.twice or (number + i + 1, value)
            else:
                self.late = self.late or (number + i + 1, value)

    @property
    def sound(self) -> bool:
        return self.bad <= max(FEW_BAD, BAD_SHARE * self.rows) and self.rows >= 2 * len(self.last)


class _Columns:
    """The first walk: which column tells series apart, and what the others hold."""

    def __init__(self, names: Sequence[str], time: str, clock: TimeFormat, group: str | None) -> None:
        self.time, self.clock, self.asked = time, clock, group
        others = [name for name in names if name != time]
        self.orders = {name: _Order() for name in ([group] if group is not None else ["", *others])}
        self.counters = {name: ReservoirCounter(DIFFERENT, DIFFERENT) for name in others}
        self.rows = 0

    def add(self, number: int, times: Array, columns: dict[str, list[Any]]) -> None:
        self.rows += len(times)
        for name, counter in self.counters.items():
            counter.add(columns[name])
        for name, order in list(self.orders.items()):
            order.add(number, times, columns[name] if name else [""] * len(times))
            few = len(order.last) <= min(MANY, max(20, order.rows // 2))
            if self.asked is None and name and not (few and not _measure(columns[name])):
                del self.orders[name]

    def group(self, file: Path) -> str:
        """The column that tells series apart; "" for a single series. Raises `DataError` where times do not go up."""
        sound = {name: order for name, order in self.orders.items() if order.sound}
        named = [name for name in sound if name.lower() in GROUPS]
        if named:
            return min(named, key=lambda name: GROUPS.index(name.lower()))
        if "" in sound:
            return ""
        if sound:
            return min(sound, key=lambda name: len(sound[name].last))
        order = self.orders.get("") or next(iter(self.orders.values()))
        raise self._disorder(file, order)

    def _disorder(self, file: Path, order: _Order) -> DataError:
        within = f" within {self.asked!r}" if self.asked else ""
        time = repr(self.time)
        if order.rows < 2 * len(order.last):
            return DataError(
                f"{file.name}: {len(order.last):,} series of {order.rows:,} rows{within}, and a series of one point "
                f"has no course: codec.group names what tells series apart",
                code="series-of-one-point",
            )
        if order.twice is not None:
            return DataError(
                f"{file.name}: the time in row {order.twice[0]:,} of {time} comes twice{within}, as in {order.bad:,} "
                f"of {order.rows:,} rows: name the column that tells series apart with codec.group, or keep one row of "
                f"each time",
                code="times-come-twice",
            )
        row = order.late[0] if order.late else 0
        return DataError(
            f"{file.name}: the time in row {row:,} of {time} lies before that of the row above{within}, as in "
            f"{order.bad:,} of {order.rows:,} rows: sort the rows by their time",
            code="times-not-in-order",
        )


def _measure(values: Sequence[Any]) -> bool:
    """Whether these are numbers with decimals, which tell no series apart."""
    some = [value for value in values[:50] if not is_missing(value)]
    numbers = [parse_number(value) for value in some]
    return (
        bool(some)
        and all(n is not None for n in numbers)
        and any(n is not None and n % 1 for n in numbers)
    )


@dataclass
class _Steps:
    """The second walk: how far times are apart, what does not change, and how long series are."""

    static: dict[str, bool]
    seen: dict[Any, tuple[Any, ...]] = field(default_factory=dict)
    last: dict[Any, float] = field(default_factory=dict)
    counts: Counter[Any] = field(default_factory=Counter)
    apart: Counter[float] = field(default_factory=Counter)
    missing: int = 0
    cells: int = 0
    low: float = math.inf
    high: float = -math.inf
    weekend: bool = False

    def add(
        self, times: Array, keys: Sequence[Any], columns: dict[str, list[Any]], channels: Sequence[str]
    ) -> None:
        for time, key in zip(times.tolist(), keys, strict=True):
            if not math.isfinite(time) or (key in self.last and time <= self.last[key]):
                continue
            if key in self.last and (len(self.apart) < DIFFERENT or time - self.last[key] in self.apart):
                self.apart[time - self.last[key]] += 1
            self.last[key] = time
            self.counts[key] += 1
            self.low, self.high = min(self.low, time), max(self.high, time)
        for name in [name for name, still in self.static.items() if still]:
            for key, value in zip(keys, columns[name], strict=True):
                held = self.seen.setdefault((name, key), (value,))[0]
                if held != value and held == held:
                    self.static[name] = False
                    break
        for name in channels:
            self.missing += sum(map(is_missing, columns[name]))
            self.cells += len(times)


def _measured(
    file: Path, form: TableFormat, time: str, group: str, clock: TimeFormat, seen: _Columns
) -> ColumnRoles:
    kinds, formats, notes = _kinds(file, seen, group)
    steps = _Steps(dict.fromkeys(kinds, True))
    for _, times, columns in _chunks(file, form, time, clock):
        keys = columns[group] if group else [""] * len(times)
        steps.add(times, keys, columns, [name for name in kinds if kinds[name] != "text"])
    static = tuple(name for name, still in steps.static.items() if still)
    channels = {name: kind for name, kind in kinds.items() if name not in static}
    if all(kind == "text" for kind in channels.values()):  # what never changes is measured all the same
        static, channels = (), kinds
    if left := [name for name, kind in channels.items() if kind == "text"]:
        notes.append(
            f"{file.name}: {', '.join(map(repr, left))} holds texts that hardly come again, and is left out"
        )
    numbers = tuple(name for name, kind in channels.items() if kind == "number")
    states = tuple(name for name, kind in channels.items() if kind == "state")
    if not numbers and not states:
        raise DataError(
            f"{file.name} has a column of times and none of numbers or states beside it: add what was measured",
            code="nothing-measured",
        )
    step = TimeStep.of(steps.apart, clock.dated)
    uneven, sparse, gaps = _evenness(steps.apart, step)
    even = uneven <= UNEVEN and sparse <= SPARSE
    if not even:
        notes.append(
            f"{file.name}: its steps are uneven ({uneven + sparse:.0%} are not {step}): rows are taken one after "
            f"the other, as if they were even; codec.gaps=unknown lays them on a grid"
        )
    elif gaps:
        notes.append(
            f"{file.name}: {gaps:,} steps of {step} are missing between its times"
            + (
                "; where it is one hour in spring, clocks were set forward"
                if clock.dated and step.size == 3600
                else ""
            )
        )
    order = seen.orders[group]
    notes += _left_out(file, order)
    gaps = gaps if even else 0  # rows that follow each other as they stand have none between them
    total = steps.cells + gaps * len(channels)
    return ColumnRoles(
        form,
        time,
        group,
        clock,
        numbers,
        states,
        static,
        {name: formats[name] for name in numbers},
        step,
        even,
        order.runs <= len(order.last),
        tuple(steps.counts.values()),
        steps.low,
        steps.high,
        (steps.missing + gaps * len(channels)) / max(1, total),
        (*form.notes, *notes),
    )


def _left_out(file: Path, order: _Order) -> list[str]:
    """What is said of rows whose time comes twice or too late."""
    if not order.bad:
        return []
    row = (order.twice or order.late or (0, ""))[0]
    return [
        f"{file.name}: {order.bad:,} rows are left out, whose time is not after that of the row before, first row "
        f"{row:,}; an hour that comes twice in autumn is told apart by an offset (+01:00)"
    ]


def _evenness(apart: Counter[float], step: TimeStep) -> tuple[float, float, int]:
    """The shares of steps that are no multiple of the commonest and that are several of it, and how many times are
    missing between these."""
    total = sum(apart.values())
    uneven = several = missing = 0
    for size, count in apart.items():
        days = size / 86400.0
        many = days / 30.44 / step.size if step.unit == "month" else size / step.size
        near = round(many)
        if near < 1 or abs(many - near) > (0.2 if step.unit == "month" else 1e-6):
            uneven += count
        elif near > 1:
            several += count
            missing += (near - 1) * count
    return uneven / max(1, total), several / max(1, total), missing


def _kinds(
    file: Path, seen: _Columns, group: str
) -> tuple[dict[str, str], dict[str, NumberFormat], list[str]]:
    """What each column holds: numbers, states, or texts that hardly come again."""
    kinds, formats = dict[str, str](), dict[str, NumberFormat]()
    for name, counter in seen.counters.items():
        if name == group:
            continue
        values = [value for value in counter.sample() if not is_missing(value)]
        counts = Counter(values)
        whole = counter.counts is not None
        if any(isinstance(value, bool) for value in counts):
            kinds[name] = "state"
        elif (fit := fit_numbers(counts, 0)) is not None and not (
            fit.format.whole and whole and len(counts) == 2 < len(values) // 10
        ):
            form = fit.format
            plain = form if isinstance(form, NumberFormat) else form.formats[0]
            kinds[name] = "number"
            formats[name] = plain if isinstance(plain, NumberFormat) else NumberFormat.of(values)
        else:
            kinds[name] = "state" if whole and 0 < len(counter.counts or ()) <= STATES else "text"
    return kinds, formats, []
