"""The calendar at each step of a window: the time of day, the day of the week and of the year, known also ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from genwright.data.field import Array, Field, Values
from genwright.data.series.clock import DAY
from genwright.data.series.forecast import framed
from genwright.data.series.form import SeriesForm
from genwright.data.series.series import Series
from genwright.errors import DataError
from genwright.space import Real, Space

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

__all__ = ["CalendarField"]

CYCLES = {"day": DAY, "week": 7 * DAY, "year": 365.2425 * DAY}
"""In seconds."""
MOST = 200_000
"""Times that one is looked for among."""


class CalendarField(Field):
    """The times of a window to a sine and a cosine of each cycle `(2 k, T)`. Values are series, of which only the times
    are read.

    form  of the series whose times these are
    """

    kind = "calendar"
    frame = "series"
    derived = True

    def __init__(self, form: SeriesForm | None = None) -> None:
        self.form = form or SeriesForm(1)
        self._span = [np.inf, -np.inf]

    def fit(self, values: Values) -> None:
        for series in values:
            low, high = float(series.times[0]), float(series.times[-1])
            self._span = [min(self._span[0], low), max(self._span[1], high)]

    def settle(self) -> None:
        if not np.isfinite(self._span).all():
            raise DataError(
                "there are no times to learn a calendar from: give more steps", code="no-examples"
            )

    @property
    def cycles(self) -> tuple[str, ...]:
        """Those that several steps fall into, and that a step does not fill."""
        step = self.form.step
        size = 30.44 * DAY * step.size if step.unit == "month" else step.size
        return tuple(name for name, length in CYCLES.items() if 2 * size < length) or ("year",)

    @property
    def space(self) -> Space:
        return Space((self.form.length,), (Real(2 * len(self.cycles), bounded=True),))

    def encode(self, values: Values) -> Array:
        """`(n, 2 k, T)` float32; of a series of another length the window in which something is to be made."""
        times = np.stack([self._times(series) for series in values]) if len(values) else np.zeros((0, 1))
        return self._features(times)

    def _times(self, series: Series) -> Array:
        if len(series) == self.form.length or self.form.whole:
            ahead = np.arange(1, self.form.length - len(series) + 1)
            last = float(series.times[-1])
            return np.concatenate([series.times, self.form.step.after(last, ahead)])
        return framed(series, self.form).window.times

    def _features(self, times: Array) -> Array:
        """`(n, T)` to `(n, 2 k, T)`."""
        turns = np.stack([times / CYCLES[name] for name in self.cycles], axis=1) * 2 * np.pi
        return np.concatenate([np.sin(turns), np.cos(turns)], axis=1).astype(np.float32)

    @cached_property
    def _known(self) -> tuple[Array, cKDTree]:
        """The times that training spans, and as long behind it, with a search tree of their features."""
        from scipy.spatial import cKDTree

        low, high = self._span
        size = 28 * DAY * self.form.step.size if self.form.step.unit == "month" else self.form.step.size
        many = min(MOST, 2 * int((high - low) / size) + 2 * self.form.length + 2)
        times = self.form.step.after(low, np.arange(many))
        return times, cKDTree(self._features(times[None])[0].T)

    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> list[Series]:
        """Series of no channels, each of which begins at the first known time that has such a calendar."""
        times, tree = self._known
        first = np.asarray(x)[:, :, 0]
        far, at = tree.query(first, k=min(8, len(times)))
        far, at = np.atleast_2d(far), np.atleast_2d(at)
        best = np.where(far <= far[:, :1] + 1e-4, at, len(times)).min(1)
        steps = np.arange(self.form.length)
        return [Series({}, self.form.step.after(float(times[i]), steps)) for i in best.tolist()]

    def facts(self) -> dict[str, Any]:
        return {"cycles": list(self.cycles)}

    def parse(self, given: Any) -> Series:
        if isinstance(given, Series):
            return given
        values: Sequence[Any] = [given] if isinstance(given, str) else given
        times = self.form.clock.read(values)
        if not np.isfinite(times).all():
            raise DataError(
                f"a calendar is given by the time of its first step, such as "
                f"{self.form.clock.write(np.array([self._span[0]]))[0]!r}, got {given!r}",
                code="no-such-value",
            )
        if len(times) == 1:
            times = self.form.step.after(float(times[0]), np.arange(self.form.length))
        return Series({}, times)

    def state(self) -> dict[str, Any]:
        return {"form": self.form.json(), "span": list(self._span)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.form, self._span = SeriesForm.of(state["form"]), list(state["span"])
