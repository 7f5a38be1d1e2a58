"""The rows of files as series, in the order of the source, and what of them cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genwright.data.codec import Array, Rejected
from genwright.data.columns.formats import is_missing
from genwright.data.columns.numbers import NumberFormat
from genwright.data.packed import suffix
from genwright.data.series.clock import TimeFormat, TimeStep
from genwright.data.series.form import SeriesForm
from genwright.data.series.layout import ColumnRoles, SeriesOptions, layout_of, values_in
from genwright.data.series.series import Series
from genwright.data.series.ts import LABEL, head_of_ts, read_ts
from genwright.data.series.windows import Cuts, Windower
from genwright.data.table import readers
from genwright.data.table.frames import TableFormat
from genwright.errors import DataError

__all__ = ["TS", "Stretch", "layout_of_file", "pieces", "read_whole"]

TS = ".ts"


@dataclass(frozen=True)
class Stretch:
    """Rows of a series, behind those that came before.

    static  what does not change within it, by name
    ends    names of series of which no rows follow
    """

    rows: Series
    static: Mapping[str, Any]
    ends: tuple[str, ...] = ()


def layout_of_file(file: Path, stated: SeriesOptions) -> ColumnRoles:
    """What the columns of a table or the dimensions of a .ts file are. Raises `DataError` for what is no series."""
    if suffix(file) != TS:
        return layout_of(file, stated)
    head, lengths, low, missing, total = head_of_ts(file), list[int](), 0.0, 0, 0
    values = dict[str, list[float]]()
    for found in read_ts(file, head):
        if isinstance(found, Rejected):
            continue
        series, _ = found
        lengths.append(len(series))
        low = max(low, float(series.times[-1]))
        missing, total = missing + int(series.gaps.sum()), total + len(series)
        for name, numbers in series.channels.items():
            held = values.setdefault(name, [])
            held += numbers[~np.isnan(numbers)].tolist() if len(held) < 5000 else []
    formats = {name: NumberFormat.of([repr(v) for v in held] or ["0"]) for name, held in values.items()}
    static = (LABEL,) if head.labelled else ()
    table = TableFormat(TS, head.channels)
    return ColumnRoles(
        table, "", "", TimeFormat(), head.channels, (), static, formats, lengths=tuple(lengths), last=low,
        unknown=missing / max(1, total),
    )  # fmt: skip


def pieces(
    file: Path, layout: ColumnRoles, form: SeriesForm, name: str = ""
) -> Iterator[Stretch | Rejected]:
    """The rows of a file, some at a time. Raises `DataError` where it lacks a channel.

    name  stands before those of its series, where there are several files
    """
    if lacking := [one for one in form.names if one not in layout.channels]:
        raise DataError(
            f"{file.name} has no channel {', '.join(map(repr, lacking))}, which the others have: move it elsewhere, or "
            f"mend it",
            code="columns-differ",
        )
    found = _of_ts(file, layout, name) if suffix(file) == TS else _of_table(file, layout, form, name)
    yield from found


def _of_ts(file: Path, layout: ColumnRoles, name: str) -> Iterator[Stretch | Rejected]:
    for found in read_ts(file, head_of_ts(file)):
        if isinstance(found, Rejected):
            yield found
            continue
        series, label = found
        called = f"{name}{series.name}"
        rows = Series(series.channels, series.times, called)
        yield Stretch(rows, {LABEL: label} if layout.static else {}, (called,))


def _of_table(
    file: Path, layout: ColumnRoles, form: SeriesForm, name: str
) -> Iterator[Stretch | Rejected]:
    last: dict[str, float] = {}
    first, before = 0, ""
    for frame, rejected in readers.rows(file, layout.table, []):
        yield from rejected
        n = len(frame)
        columns = {one: values_in(frame, one) for one in layout.table.columns}
        keys = [f"{name}{key}" for key in columns[layout.group]] if layout.group else [name] * n
        times = layout.clock.read(columns[layout.time]) if layout.time else first + np.arange(float(n))
        good, bad = _in_order(times, keys, last)
        yield from (_misplaced(file, first + i, float(times[i]), layout) for i in bad)
        held = {one: _channel(columns[one], one, form) for one in form.names}
        for key, index in _by_series(keys, good).items():
            ends = (before,) if layout.together and before and before != key else ()
            rows = Series({one: values[index] for one, values in held.items()}, times[index], key)
            static = {one: columns[one][index[0]] for one in layout.static}
            yield Stretch(rows, static, ends)
            before = key
        first += n


def _in_order(times: Array, keys: Sequence[str], last: dict[str, float]) -> tuple[list[int], list[int]]:
    """The places of the rows whose time is behind that of the row before of its series, and of the others."""
    good, bad = [], []
    for i, (time, key) in enumerate(zip(times.tolist(), keys, strict=True)):
        if time == time and time > last.get(key, -np.inf):
            last[key] = time
            good.append(i)
        else:
            bad.append(i)
    return good, bad


def _misplaced(file: Path, row: int, time: float, layout: ColumnRoles) -> Rejected:
    where = f"{file.name} row {row + 1}"
    if time != time:
        return Rejected(where, f"its {layout.time!r} is no time")
    return Rejected(
        where,
        "its time is not after that of the row before: an hour that comes twice when clocks are set back is told apart "
        "by an offset such as +01:00",
    )


def _by_series(keys: Sequence[str], good: Sequence[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for i in good:
        found.setdefault(keys[i], []).append(i)
    return found


def _channel(values: Sequence[Any], name: str, form: SeriesForm) -> Array:
    if name in form.states:
        return np.array(["" if is_missing(value) else str(value) for value in values], dtype=np.str_)
    plain = form.formats[name]
    known = {value: plain.read(value) for value in dict.fromkeys(values) if value == value}
    return np.array([known.get(value, np.nan) for value in values], np.float64)


def read_whole(file: Path, form: SeriesForm) -> Iterator[Series]:
    """Each series of a file as it is, its steps on the grid of the form. Raises `DataError`."""
    sheet, encoding = ("", "utf-8") if form.table is None else (form.table.sheet, form.table.encoding)
    old = None if encoding.startswith("utf") else encoding
    stated = SeriesOptions(form.time or None, form.group or None, sheet or None, old)
    layout = layout_of_file(file, stated)
    windower = Windower(None, 1, None, grid_step(layout, form), Cuts())
    for piece in pieces(file, layout, form):
        if isinstance(piece, Stretch):
            for _ in windower.add(piece.rows, piece.static):
                pass
    for name in windower.ended():
        for window in windower.end(name):
            if not isinstance(window, int):
                yield window.series


def grid_step(layout: ColumnRoles, form: SeriesForm) -> TimeStep | None:
    """The step of the grid that rows are laid on; None where they follow each other as they stand."""
    if form.gaps == "ignore" or not layout.time:
        return None
    return form.step if layout.even or form.gaps == "unknown" else None
