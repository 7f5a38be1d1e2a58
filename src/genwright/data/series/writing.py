"""Series to files: the columns of the file that was read, with a column that tells several series apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genwright.data.codec import Values
from genwright.data.columns.numbers import NumberFormat
from genwright.data.field import Array
from genwright.data.series.forecast import HIGH, LOW
from genwright.data.series.form import SeriesForm
from genwright.data.series.series import Series
from genwright.data.series.ts import LABEL, write_ts
from genwright.data.table.frames import TableFormat, assemble
from genwright.data.table.readers import TableWriter

__all__ = ["SERIES", "STEP", "SeriesWriter", "write_series"]

SERIES, STEP = "series", "step"
"""Columns that are added where a file has none that tells series apart, and none of times."""


class SeriesWriter:
    """Series behind each other in one table; a text is whole after each `add`."""

    def __init__(self, form: SeriesForm, path: Path, *, several: bool = True) -> None:
        self.form, self.path, self.several = form, path, several
        self._writer: TableWriter | None = None
        self._count = 0

    def add(self, series: Sequence[Series], beside: Mapping[str, Values]) -> None:
        columns: dict[str, list[Any]] = {}
        for number, one in enumerate(series):
            for name, values in self._columns(one, self._count + number).items():
                columns.setdefault(name, []).extend(values)
            for name, held in beside.items():
                columns.setdefault(name, []).extend([held[number]] * len(one))
        self._count += len(series)
        table = self._table(list(columns))
        ordered = {name: columns[name] for name in table.columns}
        if self._writer is None:
            self._writer = TableWriter(
                table, self.path.parent, self.path.name.removesuffix(self.path.suffix)
            )
        self._writer.add(assemble(ordered, table))

    def _columns(self, series: Series, number: int) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        if self.several or self.form.group:
            found[self.form.group or SERIES] = [series.name or str(number + 1)] * len(series)
        if self.form.time:
            found[self.form.time] = self.form.clock.write(series.times)
        else:
            found[STEP] = [str(round(t)) for t in series.times.tolist()]
        return found | {
            name: written_values(name, values, self.form) for name, values in series.channels.items()
        }

    def _table(self, names: Sequence[str]) -> TableFormat:
        """The columns in the order of the file that was read, and what else there is behind them."""
        was = self.form.table
        assert was is not None, "files of .ts are no tables"
        ahead = [name for name in (SERIES, STEP) if name in names and name not in was.columns]
        known = [name for name in was.columns if name in names]
        ordered = [*ahead, *known, *(name for name in names if name not in (*ahead, *known))]
        types = dict(zip(was.columns, was.types, strict=True)) if was.types else {}
        kinds = {STEP: "int64"} if not self.form.time else {}
        found = tuple(types.get(_base(name), kinds.get(name, "string")) for name in ordered)
        return TableFormat(was.suffix, tuple(ordered), was.delimiter, types=found if types else ())

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _base(name: str) -> str:
    """The channel whose interval a column holds."""
    return name.removesuffix(LOW).removesuffix(HIGH)


def written_values(name: str, values: Array, form: SeriesForm, missing: Any = None) -> list[Any]:
    """The values of a channel as the file writes them; `missing` for what is not known."""
    if values.dtype.kind != "f":
        return [value or missing for value in values.tolist()]
    plain = form.formats.get(name) or form.formats.get(_base(name)) or NumberFormat("text", 6, 0)
    there = ~np.isnan(values)
    written = iter(plain.write(values[there].tolist()))
    return [next(written) if ok else missing for ok in there.tolist()]


def write_series(
    series: Sequence[Series], form: SeriesForm, path: Path, beside: Mapping[str, Values] | None = None
) -> None:
    """One file of series, with what stands beside each; a single one needs no column that tells it apart.

    beside  values by name, one for each series
    """
    beside = beside or {}
    if form.table is None:
        held = [
            [written_values(name, values, form, "?") for name, values in one.channels.items()]
            for one in series
        ]
        labels = [str(label) for label in beside[LABEL]] if LABEL in beside else None
        write_ts(path, [[[str(v) for v in part] for part in one] for one in held], labels)
        return
    writer = SeriesWriter(form, path, several=len(series) > 1)
    try:
        writer.add(series, beside)
    finally:
        writer.close()
