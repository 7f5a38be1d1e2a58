"""From the rows of files to windows of series, some rows at a time.

Windows are cut within one series and one part of the split: those of training lie wholly before the first cut in time,
those to choose by between the cuts, those to judge by behind them; what lies across is left out. Where a horizon is to
be forecast, a window counts by what is to be forecast alone, and may look back across the cut, as it will in use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from genwright.data.codec import Array, SplitName
from genwright.data.series.clock import TimeStep
from genwright.data.series.series import Series, gaps

__all__ = ["Cuts", "Gaps", "Window", "Windower", "filled"]

Gaps = Literal["auto", "unknown", "interpolate", "ignore"]


@dataclass(frozen=True)
class Cuts:
    """The times at which training ends, and choosing."""

    val: float = np.inf
    test: float = np.inf

    @classmethod
    def of(cls, first: float, last: float, val: float, test: float) -> Cuts:
        """Shares of the time from the first to the last step."""
        whole = last - first
        return cls(
            first + round(1 - val - test, 9) * whole if val + test else np.inf,
            first + round(1 - test, 9) * whole if test else np.inf,
        )

    def part(self, begin: float, end: float) -> SplitName | None:
        """The part in which steps from `begin` to `end` lie; None: they lie across two."""
        if end <= self.val:
            return "train"
        if begin <= self.val:
            return None
        return "val" if end <= self.test else "test" if begin > self.test else None


@dataclass(frozen=True)
class Window:
    """Some steps of a series, its part of the split, and what does not change within it."""

    series: Series
    part: SplitName
    static: Mapping[str, Any]
    begin: int


@dataclass
class _Open:
    """A series that goes on: its rows that later windows still need.

    skipped  rows before those
    """

    held: Series
    static: Mapping[str, Any]
    skipped: int = 0
    next: int = 0
    counted: int = 0


@dataclass
class Windower:
    """Cuts windows of `length` steps, one every `stride`; with no length, each series is one.

    horizon  steps at the end of a window that are to be forecast (None: none)
    step     whether rows are laid on a grid of it, with unknown ones where times are missing (None: they are not)
    """

    length: int | None
    stride: int
    horizon: int | None
    step: TimeStep | None
    cuts: Cuts
    _open: dict[str, _Open] = field(default_factory=dict)

    def add(self, rows: Series, static: Mapping[str, Any]) -> Iterator[Window]:
        """More rows of a series, behind those that came before."""
        one = self._open.get(rows.name)
        if one is None:
            one = self._open[rows.name] = _Open(rows.part(0, 0), static)
        one.held = _joined(one.held, rows, self.step, self.length)
        if self.length is not None:
            yield from self._cut(one, self.length)

    def _cut(self, one: _Open, length: int) -> Iterator[Window]:
        while one.next - one.skipped + length <= len(one.held):
            begin = one.next - one.skipped
            window = one.held.part(begin, begin + length)
            first = length - self.horizon if self.horizon else 0
            part = self.cuts.part(float(window.times[first]), float(window.times[-1]))
            if part is not None:
                yield Window(window, part, one.static, one.next)
            one.counted += 1
            one.next += self.stride
        used = min(one.next - one.skipped, len(one.held))
        one.held, one.skipped = one.held.part(used, len(one.held)), one.skipped + used

    def end(self, name: str) -> Iterator[Window | int]:
        """A series has ended: it as a whole; or how many steps it has, where no window fits."""
        one = self._open.pop(name, None)
        if one is None:
            return
        if self.length is None:
            yield Window(one.held, "train", one.static, 0)
        elif not one.counted:
            yield one.skipped + len(one.held)

    def ended(self) -> Sequence[str]:
        """The names of the series that have not ended yet, in the order in which they began."""
        return list(self._open)


def _joined(held: Series, rows: Series, step: TimeStep | None, length: int | None) -> Series:
    """Rows behind others, with unknown steps between them where times are missing; of a gap longer than a window no
    more than that."""
    if step is not None and len(rows):
        before = held.times[-1:]
        many = np.rint(step.between(np.concatenate([before, rows.times]))).astype(np.int64)
        many = many.clip(1, None if length is None else length + 1)
        places = np.cumsum(many)
        if not len(before):
            places = np.concatenate([[0], places])
        else:
            places = places - 1
        size = int(places[-1]) + 1
        if size > len(rows):
            times = np.interp(np.arange(size), places, rows.times)
            if len(before) and places[0] > 0:
                times[: places[0]] = step.after(float(before[0]), np.arange(1, places[0] + 1))
            rows = Series(
                {n: _laid_out(v, places, size) for n, v in rows.channels.items()}, times, rows.name
            )
    channels = {
        name: np.concatenate([held.channels[name], values]) for name, values in rows.channels.items()
    }
    return Series(channels, np.concatenate([held.times, rows.times]), rows.name)


def _laid_out(values: Array, places: Array, size: int) -> Array:
    made: Array = (
        np.full(size, np.nan) if values.dtype.kind == "f" else np.full(size, "", dtype=values.dtype)
    )
    made[places] = values
    return made


def filled(series: Series) -> Series:
    """Gaps of numbers on the straight line between their neighbours, and of states as the one before."""
    channels = {}
    for name, values in series.channels.items():
        missing = gaps(values)
        if missing.any() and not missing.all():
            there = np.flatnonzero(~missing)
            values = values.copy()
            if values.dtype.kind == "f":
                values[missing] = np.interp(np.flatnonzero(missing), there, values[there])
            else:
                at = np.searchsorted(there, np.flatnonzero(missing), side="right") - 1
                values[missing] = values[there[at.clip(0)]]
        channels[name] = values
    return Series(channels, series.times, series.name)
