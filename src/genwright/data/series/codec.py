"""Series: CSV, TSV, JSON lines and Parquet with a column of times, and .ts files, as windows of steps.

What the columns are is `layout.py`'s, how windows are cut and split `windows.py`'s, what a window becomes `field.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from genwright.data.codec import (
    AS_READ,
    Appender,
    Codec,
    OneFile,
    Preview,
    ReadOptions,
    Rejected,
    Rows,
    Source,
    Values,
)
from genwright.data.columns.field import ColumnField
from genwright.data.encodings import check_encoding
from genwright.data.field import Field
from genwright.data.labels import lacking
from genwright.data.packed import BROKEN, bare, suffix, with_packed
from genwright.data.series.calendar import CalendarField
from genwright.data.series.clock import TimeFormat, TimeStep, fit_clock
from genwright.data.series.draw import as_curves
from genwright.data.series.field import SeriesField
from genwright.data.series.form import SeriesForm
from genwright.data.series.layout import LEAST, ColumnRoles, SeriesOptions, head_of, time_column
from genwright.data.series.reading import TS, grid_step, layout_of_file, pieces
from genwright.data.series.ts import head_of_ts
from genwright.data.series.windows import Cuts, Gaps, Window, Windower, filled
from genwright.data.series.writing import SERIES, SeriesWriter, write_series
from genwright.data.table.sheets import SHEETS
from genwright.errors import DataError, RecipeError
from genwright.options import Count

__all__ = ["SeriesCodec"]

TABLES = with_packed(".csv", ".tsv", ".jsonl")
CALENDAR = "calendar"
CHUNK = 512
SHEET, TABLE = "series.png", "series"
SHOWN = 24
MOST = 20_000
"""Windows at most, where it is not said how far apart they begin."""
USUAL, LONGEST = 24, 512
"""Steps of a window where none are asked for and no season says more; of a series that is one example."""
SHORT = 20
"""So many series, none of which is longer than that, are examples themselves."""
RARE = 0.005
"""Of all cells: where fewer are without a value, these are drawn as a line rather than learnt as unknown."""
REGULAR = 0.5
"""Of the steps: so many are alike where a table of dates is taken for a series."""
PROBED = 3


class SeriesCodec(Codec):
    """Series to windows of steps, and back; what does not change within a series, and the calendar, are labels.

    A table has a column of times and beside it what was measured, a column each; where several series lie in one table
    a column tells them apart. In a .ts file each line is a series. Windows are split by time, before they are cut: none
    reaches from one part into another.

    length   steps of a window. None: two seasons and the horizon, 24 where there is no season; and of many short
             series their own length
    stride   steps from the beginning of a window to that of the next. None: as few as give no more than 20,000
    horizon  steps at the end of a window that are to be forecast, with --task complete and task.last as many. None:
             none
    time     the column of times; "rows": each row is a step. None: one of such a name, or the first of dates
    group    the column that tells series apart. None: the one within which times go up
    sheet    of a workbook; None: the first with rows
    encoding of a CSV; None: UTF-8, or else what it looks like
    gaps     what becomes of steps and cells without a value: learnt as unknown, drawn as a line between their
             neighbours (interpolate), or passed over as if the rows followed each other (ignore); auto: a line where
             fewer than one in 200 is missing
    scaling  series: one scale for all windows; window: each has its own, of what is known of it; differences: the first
             step and the changes to the next ones, whitened over the channels, for whole windows of what wanders; auto:
             window where a horizon is to be forecast and the numbers wander, else series
    drop     columns to leave out: neither learnt nor made
    """

    reads: ClassVar[tuple[str, ...]] = (*TABLES, ".parquet", *SHEETS, TS)
    main: ClassVar[str] = "series"
    field_types = (SeriesField, CalendarField, ColumnField)
    default_family: ClassVar[str] = "diffusion"
    dial = "codec.length=24"
    plural = "windows"
    sheet = SHEET
    later: ClassVar[frozenset[str]] = frozenset({"drop", "sheet", "encoding"})

    def __init__(
        self,
        *,
        length: Annotated[int, Ge(2)] | None = None,
        stride: Count | None = None,
        horizon: Count | None = None,
        time: str | None = None,
        group: str | None = None,
        sheet: str | None = None,
        encoding: str | None = None,
        gaps: Gaps = "auto",
        scaling: str = "auto",
        drop: list[str] | None = None,
    ) -> None:
        if scaling not in ("auto", "series", "window", "differences"):
            raise RecipeError(
                f"codec.scaling is auto, series, window or differences, got {scaling!r}",
                code="unknown-scaling",
            )
        check_encoding(encoding)
        if length is not None and horizon is not None and horizon >= length:
            raise RecipeError(
                f"codec.horizon={horizon} leaves nothing to look back on in windows of codec.length={length}: raise "
                f"the length, or lower the horizon",
                code="horizon-too-long",
            )
        if horizon is not None and scaling == "differences":
            raise RecipeError(
                "codec.scaling=differences makes whole windows and forecasts none: leave it or codec.horizon out",
                code="unknown-scaling",
            )
        self._length, self._stride, self._horizon = length, stride, horizon
        self._gaps, self._scaling, self._drop = gaps, scaling, tuple(drop or ())
        self._stated = SeriesOptions(time, group, sheet, encoding)

    # -- which files ---------------------------------------------------------------------------

    @classmethod
    def sniff(cls, files: Sequence[Path]) -> float:
        """Surer than of a table where times go up in even steps in one of its columns."""
        if not super().sniff(files):
            return 0.0
        own = cls.own(files)
        found = [_evidence(file) for file in own[:: -(-len(own) // PROBED)]]
        return 0.7 if found and all(found) else 0.0

    @classmethod
    def because(cls, files: Sequence[Path]) -> str:
        found = next((words for file in cls.own(files)[:1] if (words := _evidence(file))), "")
        return found or super().because(files)

    # -- in ------------------------------------------------------------------------------------

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        layouts = self._layouts(source, options)
        form = self._form(source, layouts, options)
        found: dict[str, Field] = {self.main: SeriesField(form)}
        if form.clock.dated:
            found[CALENDAR] = CalendarField(form)
        for name in layouts[0].static:
            if name not in (self.main, CALENDAR):
                found[name] = ColumnField(name)
        return found

    def _layouts(self, source: Source, options: ReadOptions = AS_READ) -> list[ColumnRoles]:
        """Of each file. Raises `DataError` where the first is no series."""
        if not source.files:
            raise DataError(
                f"{source.root} holds no series; wanted {self.suffixes()}", code="no-usable-files"
            )
        layouts = [layout_of_file(file, self._stated) for file in source.files]
        return [
            # What was made has no such columns.
            one.without([name for name in self._drop if not options.made or name in one.table.columns])
            for one in layouts
        ]

    def _form(self, source: Source, layouts: Sequence[ColumnRoles], options: ReadOptions) -> SeriesForm:
        """From what there is; nothing of what was measured counts."""
        first = layouts[0]
        lengths = [length for layout in layouts for length in layout.lengths]
        if not lengths:
            raise DataError(f"{source.root} holds no series", code="no-rows")
        whole = self._whole(lengths)
        length = max(lengths) if whole else self._length or self._usual(first, max(lengths), options)
        horizon = self._horizon or 0
        if horizon >= length or length > max(lengths):
            raise self._too_long(source, length, max(lengths))
        unknown = max(layout.unknown for layout in layouts)
        gaps = self._gaps
        if gaps == "auto":
            gaps = "interpolate" if unknown < RARE else "unknown"
        room = sum(max(0, one - length + 1) for one in lengths)
        return SeriesForm(
            length,
            1 if whole else self._stride or max(1, -(-room // MOST)),
            horizon,
            whole,
            gaps,
            self._scaling,
            first.numbers,
            first.states,
            first.formats,
            first.time,
            first.group,
            first.clock,
            first.step,
            first.even,
            None if first.table.suffix == TS else first.table,
        )

    def _whole(self, lengths: Sequence[int]) -> bool:
        """Whether the series themselves are the examples: there are many, and they are short."""
        asked = self._length is not None or self._horizon is not None or self._stride is not None
        return not asked and len(lengths) >= SHORT and 2 <= max(lengths) <= LONGEST

    def _usual(self, layout: ColumnRoles, longest: int, options: ReadOptions) -> int:
        season, horizon = layout.step.period, self._horizon or 0
        wanted = 2 * season if season > 1 else USUAL
        shares = [share for share in (options.val, options.test) if share]
        if horizon:
            wanted = horizon + max(wanted, horizon)
        elif shares:  # a window has to lie within a part that is held out
            wanted = min(wanted, max(4, int(longest * min(shares)) - 1))
        room = int(longest * max(0.1, 1 - options.val - options.test))
        return max(horizon + 1, 2, min(wanted, max(2, room // 2)))

    def _too_long(self, source: Source, length: int, longest: int) -> DataError:
        horizon = f" of which {self._horizon} are forecast" if self._horizon else ""
        return DataError(
            f"a window has {length:,} steps{horizon}, and the longest series in {source.root} has {longest:,}: lower "
            f"codec.length{' and codec.horizon' if self._horizon else ''}, or give more steps",
            code="series-too-short",
        )

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Chunks of up to 512 windows; with `options.whole` each series is one, as it is."""
        layouts = self._layouts(source, options)
        kinds = (SeriesField, CalendarField)
        form = next((one.form for one in fields.values() if isinstance(one, kinds)), None)
        form = form or self._form(source, layouts, options)
        notes = list(dict.fromkeys(note for layout in layouts for note in layout.notes))
        if form.gaps == "interpolate" and any(layout.unknown for layout in layouts):
            notes.append("few steps have no value: they are drawn as a line between their neighbours")
        by_time = not (form.whole or options.whole or options.group)
        cuts = _cuts(layouts, options) if by_time else Cuts()
        rows = _Collected(fields, by_time and bool(options.val or options.test), options)
        rows.now.notes = list(notes)
        for file, layout in zip(source.files, layouts, strict=True):
            name = "" if len(source.files) == 1 else f"{_stem(file)}"
            for found in self._windows(file, layout, form, cuts, options, name):
                if rows.full:
                    yield rows.taken(notes)
                rows.add(found, file, form)
        if rows.any:
            yield rows.taken(notes)

    def _windows(
        self,
        file: Path,
        layout: ColumnRoles,
        form: SeriesForm,
        cuts: Cuts,
        options: ReadOptions,
        name: str,
    ) -> Iterator[Window | Rejected]:
        """The windows of a file, in its order."""
        one = form.whole or options.whole
        step = grid_step(layout, form)
        windower = Windower(None if one else form.length, form.stride, form.horizon or None, step, cuts)
        number = 0
        for piece in pieces(file, layout, form, name):
            if isinstance(piece, Rejected):
                yield piece
                continue
            before = [
                window for end in piece.ends if end != piece.rows.name for window in windower.end(end)
            ]
            after = windower.add(piece.rows, piece.static)
            ended = windower.end(piece.rows.name) if piece.rows.name in piece.ends else ()
            for some, called in (
                (before, "a series"),
                (after, piece.rows.name),
                (ended, piece.rows.name),
            ):
                for window in some:
                    if isinstance(window, Window):
                        number += 1
                        if (number - 1) % options.every:
                            continue
                    yield _checked(window, file, called, form, whole=options.whole)
        for called in windower.ended():
            for window in windower.end(called):
                yield _checked(window, file, called, form, whole=options.whole)

    def count(self, source: Source) -> int:
        layouts = self._layouts(source)
        form = self._form(source, layouts, AS_READ)
        lengths = [length for layout in layouts for length in layout.lengths]
        if form.whole:
            return len(lengths)
        return sum(max(0, (one - form.length) // form.stride + 1) for one in lengths)

    def wholes(self, source: Source) -> int:
        return sum(len(layout.lengths) for layout in self._layouts(source))

    def enough(self, source: Source) -> int:
        return 20_000

    def units(self, source: Source, total: int) -> int:
        return total

    # -- out -----------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """`series.png`, and a table in the form of those that were read with a column that tells the series apart."""
        if not any(map(len, values.values())):
            return []
        folder.mkdir(parents=True, exist_ok=True)
        field = _series_field(fields)
        series = values.get(self.main, [])
        path = folder / f"{TABLE}{field.suffix}"
        write_series(_named(series, values), field.form, path, _beside(values))
        picture = folder / SHEET
        picture.write_bytes(self.preview(values, fields, columns=columns).png)
        return [picture, path]

    def one_file(self, fields: Mapping[str, Field], suffix: str) -> OneFile | None:
        field = _series_field(fields)
        fits = field.form.table is not None and suffix == field.suffix
        return OneFile(None, (".png", suffix)) if fits else None

    def appender(
        self, fields: Mapping[str, Field], folder: Path, form: str | None = None, name: str = ""
    ) -> Appender | None:
        field = _series_field(fields)
        if field.form.table is None:
            return None
        return _Appended(self, fields, field, folder, name or TABLE)

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        """Curves of the series, a line for each channel, and the numbers of the first below them."""
        shown = list(islice(values.get(self.main, []), SHOWN))
        if not shown:
            return Preview("text")
        head = ", ".join(shown[0].channels)
        return Preview("png", png=as_curves(shown, columns), text=f"{len(shown[0]):,} steps of {head}")


class _Collected:
    """Windows on their way to rows."""

    def __init__(self, fields: Mapping[str, Field], parted: bool, options: ReadOptions) -> None:
        self.fields, self.parted, self.options = fields, parted, options
        static = [name for name, one in fields.items() if isinstance(one, ColumnField)]
        self.static = static
        self.wanted = list(dict.fromkeys([*static, *([options.group] if options.group else [])]))
        self.now = self._empty()

    def _empty(self) -> Rows:
        return Rows(
            {name: [] for name in self.fields},
            [],
            groups=[] if self.options.group else None,
            parts=[] if self.parted else None,
        )

    @property
    def full(self) -> bool:
        return len(self.now) + len(self.now.rejected) >= CHUNK

    @property
    def any(self) -> bool:
        return bool(len(self.now) or self.now.rejected or self.now.notes)

    def taken(self, notes: Sequence[str]) -> Rows:
        rows, self.now = self.now, self._empty()
        rows.notes = list(notes)
        return rows

    def add(self, found: Window | Rejected, file: Path, form: SeriesForm) -> None:
        if isinstance(found, Rejected):
            self.now.rejected.append(found)
            return
        name = found.series.name or _stem(file)
        missing = lacking(found.static, self.wanted)
        if missing is not None:
            self.now.rejected.append(Rejected(name, f"it has no {missing!r}"))
            return
        for field in self.fields:
            value = found.static[field] if field in self.static else found.series
            self.now.values[field].append(value)
        self.now.keys.append(found.series.digest)
        self.now.names.append(name if form.whole or self.options.whole else f"{name}-{found.begin}")
        if self.now.groups is not None:
            self.now.groups.append(str(found.static[str(self.options.group)]))
        if self.now.parts is not None:
            self.now.parts.append(found.part)


class _Appended:
    """A table of series, and a picture of the first ones."""

    def __init__(
        self,
        codec: SeriesCodec,
        fields: Mapping[str, Field],
        field: SeriesField,
        folder: Path,
        name: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.codec, self.fields, self.count = codec, fields, 0
        self.files = [folder / f"{name}{suffix}" for suffix in (".png", field.suffix)]
        self._writer = SeriesWriter(field.form, self.files[1])

    def add(self, values: Mapping[str, Values]) -> list[Path]:
        series = values[self.codec.main]
        if not self.count:
            self.files[0].write_bytes(self.codec.preview(values, self.fields).png)
        self._writer.add(_named(series, values, self.count), _beside(values))
        self.count += len(series)
        return self.files

    def close(self) -> None:
        self._writer.close()


# -- what they share -------------------------------------------------------------------------------


def _series_field(fields: Mapping[str, Field]) -> SeriesField:
    return next(field for field in fields.values() if isinstance(field, SeriesField))


def _named(series: Values, values: Mapping[str, Values], behind: int = 0) -> Values:
    """Series that were made, which have no name of their own, by their number; at the times that were given, if any."""
    times = values.get(CALENDAR, series)
    return [
        replace(one, name=str(behind + i + 1), times=given.times[: len(one)])
        for i, (one, given) in enumerate(zip(series, times, strict=True))
    ]


def _beside(values: Mapping[str, Values]) -> dict[str, Values]:
    """What does not change within a series."""
    return {name: some for name, some in values.items() if name not in (SeriesCodec.main, CALENDAR)}


def _stem(file: Path) -> str:
    return Path(bare(file)).stem


def _cuts(layouts: Sequence[ColumnRoles], options: ReadOptions) -> Cuts:
    first, last = min(one.first for one in layouts), max(one.last for one in layouts)
    return Cuts.of(first, last, options.val, options.test)


def _checked(
    found: Window | int, file: Path, name: str, form: SeriesForm, *, whole: bool
) -> Window | Rejected:
    """A window that can be used, or why it cannot."""
    called = name or _stem(file) if isinstance(found, int) or found.series.unknown.all() else name
    if isinstance(found, int):
        if found < 2:
            return Rejected(called, "a series of one step has no course: give at least two")
        return Rejected(
            called, f"it has {found:,} steps, and a window {form.length:,}: lower codec.length"
        )
    if whole:
        return found
    if form.whole and not 2 <= len(found.series) <= form.length:
        return Rejected(
            called, f"it has {len(found.series):,} steps, and 2 to {form.length:,} can be used here"
        )
    if found.series.unknown.all():
        return Rejected(f"{called}-{found.begin}", "none of its steps has a value")
    if form.gaps in ("interpolate", "ignore"):
        return Window(filled(found.series), found.part, found.static, found.begin)
    return found


# -- is it a series? -------------------------------------------------------------------------------


def _evidence(file: Path) -> str:
    """Why a file is one of series, in words; "" where it is none."""
    try:
        if suffix(file) == TS:
            head = head_of_ts(file)
            many = "a dimension" if head.dimensions == 1 else f"{head.dimensions} dimensions"
            return (
                f"{file.name} has the head of a .ts file and a series of {many} in each line behind it"
            )
        form, rows = head_of(file)
        time = time_column(form, rows)
    except (*BROKEN, DataError, UnicodeError):
        return ""
    if time is None or len(rows) < LEAST:
        return ""
    clock = fit_clock([row[time] for row in rows]) or TimeFormat()
    times = clock.read([row[time] for row in rows])
    others = [name for name in form.columns if name != time]
    runs = [(0, len(times))] if (np.diff(times) > 0).all() else _runs(times)
    steps = np.concatenate([np.diff(times[a:b]) for a, b in runs]) if runs else np.zeros(0)
    if len(steps) < LEAST - 1 or (steps <= 0).any() or not _measured(rows, others):
        return ""
    if len(runs) > 1 and not _distinguished(rows, runs, others):
        return ""
    sizes, counts = np.unique(np.round(steps, 6), return_counts=True)
    step = TimeStep.of(dict(zip(sizes.tolist(), counts.tolist(), strict=True)), clock.dated)
    near = np.rint(step.between(np.concatenate([times[a:b] for a, b in runs]))) == 1
    if near.sum() < REGULAR * len(steps):
        return ""
    return (
        f"column {time!r} holds times that go up in steps of {step}, and what stands beside it was measured then: "
        f"{', '.join(map(repr, [name for name in others if name != SERIES][:4]))} "
        f"(--set codec.name=table reads rows that stand for themselves)"
    )


def _runs(times: Any) -> list[tuple[int, int]]:
    """Runs of rows whose times go up, where there are some long ones: series behind each other."""
    ends = [0, *(np.flatnonzero(np.diff(times) <= 0) + 1).tolist(), len(times)]
    runs = [(a, b) for a, b in pairwise(ends) if b - a > 2]
    return runs if sum(b - a for a, b in runs) > 0.8 * len(times) else []


def _distinguished(
    rows: Sequence[Mapping[str, Any]], runs: Sequence[tuple[int, int]], names: Sequence[str]
) -> bool:
    """Whether some column has one value in each run and another in the next: dates of a plain table may go up by
    chance, and belong to nothing."""
    for name in names:
        held = [{row[name] for row in rows[a:b]} for a, b in runs]
        if all(len(one) == 1 for one in held) and all(a != b for a, b in pairwise(held)):
            return True
    return False


def _measured(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> bool:
    """Whether some column holds numbers that differ."""
    from genwright.data.columns.numbers import parse_number

    for name in names:
        numbers = {parse_number(row[name]) for row in rows}
        if None not in numbers and len(numbers) > 2:
            return True
        if len(numbers - {None}) > len(rows) // 2:
            return True
    return False
