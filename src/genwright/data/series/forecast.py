"""What is to be made of a series that has gaps or ends, and what needs no model for it: the season before.

A forecast is several answers; of these a person gets the median and the interval that leaves out a tenth at either end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genwright.data.field import Array
from genwright.data.series.form import SeriesForm
from genwright.data.series.series import Series
from genwright.data.series.windows import filled
from genwright.errors import DataError

__all__ = [
    "HIGH",
    "LOW",
    "Errors",
    "Framed",
    "framed",
    "median_of",
    "pasted",
    "repeated",
    "seasonal_naive",
]

LOW, HIGH = "_low", "_high"
"""Ends of the names of the columns with the interval."""
LEVELS = 21
"""Quantiles of the errors of a rule that are kept."""


@dataclass(frozen=True)
class Framed:
    """The window of a series in which something is to be made, and where it begins."""

    window: Series
    begin: int


def framed(series: Series, form: SeriesForm) -> Framed:
    """The window that a model sees of a series: its end and the horizon behind it, or the steps around its gaps.

    Raises `DataError` where it is too short, and where it has no gaps, or gaps too far apart.
    """
    return _horizon(series, form) if form.horizon else _around_gaps(series, form)


def _horizon(series: Series, form: SeriesForm) -> Framed:
    unknown = series.unknown
    ahead = int(np.argmin(unknown[::-1])) if not unknown.all() else len(series)
    end, context = len(series) - ahead, form.context
    if ahead > form.horizon:
        raise DataError(
            f"{ahead:,} steps at the end are empty, and this model forecasts {form.horizon}: leave fewer empty, or "
            f"train with codec.horizon={ahead}",
            code="horizon-too-long",
        )
    if end < context:
        raise DataError(
            f"the series has {end:,} steps with values, and this model looks back on {context:,}: give more of it",
            code="series-too-short",
        )
    begin = end - context
    past = filled(series.part(begin, end))
    later = form.step.after(float(past.times[-1]), np.arange(1, form.horizon + 1))
    later[:ahead] = series.times[end:]
    channels = {
        name: np.concatenate([values, _nothing(values, form.horizon)])
        for name, values in past.channels.items()
    }
    return Framed(Series(channels, np.concatenate([past.times, later]), series.name), begin)


def _around_gaps(series: Series, form: SeriesForm) -> Framed:
    places = np.flatnonzero(series.gaps)
    n, length = len(series), form.length
    if not len(places):
        raise DataError(
            "a series to be filled has empty cells where something is to be made, and here none is empty: empty them, "
            "or train with codec.horizon to forecast",
            code="no-gaps-given",
        )
    if n < length and not form.whole:
        raise DataError(
            f"the series has {n:,} steps, and this model sees {length:,} at a time: give more of it",
            code="series-too-short",
        )
    first, last = int(places[0]), int(places[-1])
    if last - first >= length:
        raise DataError(
            f"its gaps lie over {last - first + 1:,} steps, and this model sees {length:,} at a time: give it in "
            f"pieces",
            code="gaps-too-far-apart",
        )
    middle = (first + last) // 2 - length // 2
    begin = min(max(middle, last + 1 - length, 0), first, max(0, n - length))
    return Framed(series.part(begin, begin + length), begin)


def _nothing(values: Array, n: int) -> Array:
    return np.full(n, np.nan) if values.dtype.kind == "f" else np.full(n, "", dtype=np.str_)


def pasted(made: Series, given: Series, form: SeriesForm) -> Series:
    """Of a forecast the steps behind the end of what was given; else this with its gaps filled."""
    frame = framed(given, form)
    if form.horizon:
        ahead = made.part(form.context, form.length)
        return Series(ahead.channels, frame.window.times[form.context :], given.name)
    channels = {}
    for name, values in given.channels.items():
        whole = values.astype(made.channels[name].dtype) if values.dtype.kind == "U" else values.copy()
        part = slice(frame.begin, frame.begin + len(made))
        empty = np.isnan(values[part]) if values.dtype.kind == "f" else values[part] == ""
        held = whole[part]
        whole = whole.astype(np.result_type(whole, made.channels[name]))
        whole[part] = np.where(empty, made.channels[name], held)
        channels[name] = whole
    return Series(channels, given.times, given.name)


def median_of(draws: Sequence[Series]) -> Series:
    """Several answers as their median, with the interval that leaves out a tenth at either end; of states the
    commonest. Of 19 answers the ends are the second from either side, so that a truth that is drawn as they are lies
    between in 80 %."""
    first = draws[0]
    channels: dict[str, Array] = {}
    for name, values in first.channels.items():
        every = [one.channels[name] for one in draws]
        if values.dtype.kind != "f":
            columns = zip(*(one.tolist() for one in every), strict=True)
            channels[name] = np.array([Counter(some).most_common(1)[0][0] for some in columns], np.str_)
            continue
        stacked = np.stack(every)
        channels[name] = np.median(stacked, axis=0)
        low, high = np.quantile(stacked, [0.1, 0.9], axis=0, method="weibull")
        channels |= {name + LOW: low, name + HIGH: high}
    return Series(channels, first.times, first.name)


# -- without a model -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Errors:
    """How far a rule is usually off in training, as quantiles `(LEVELS, stored, horizon)` of its absolute error."""

    quantiles: Array | None = None

    @classmethod
    def of(cls, x: Array, context: int, period: int, real: Array) -> Errors:
        """From stored training windows; real: which stored channels are numbers that are measured `(stored,)`."""
        known = np.zeros(x.shape, dtype=bool)
        known[..., :context] = True
        off = np.abs(repeated(x, known, period) - x)[..., context:] * real[:, None]
        return cls(np.quantile(off, np.linspace(0, 1, LEVELS), axis=0))

    def offsets(self, k: int) -> Array:
        """By how much k answers differ from the rule's own `(k, stored, horizon)`: the middle one not at all."""
        assert self.quantiles is not None, "there is no horizon"
        share = 2 * (np.arange(k) + 0.5) / k - 1
        at = np.abs(share) * (LEVELS - 1)
        low = np.floor(at).astype(np.int64).clip(0, LEVELS - 2)
        part = (at - low)[:, None, None]
        value = self.quantiles[low] * (1 - part) + self.quantiles[low + 1] * part
        return np.asarray(np.sign(share)[:, None, None] * value)

    def json(self) -> Any:
        return None if self.quantiles is None else np.round(self.quantiles, 6).tolist()

    @classmethod
    def restored(cls, known: Any) -> Errors:
        return cls(None if known is None else np.array(known))


def repeated(x: Array, known: Array, period: int) -> Array:
    """Stored `(n, stored, T)` with what is not known as it was a whole number of periods before; where nothing was
    known then, as the last known value, or the first."""
    size = x.shape[-1]
    places = np.broadcast_to(np.arange(size), x.shape)
    source = np.where(known, places, -1)
    for t in range(period, size):
        source[..., t] = np.where(source[..., t] >= 0, source[..., t], source[..., t - period])
    last = np.maximum.accumulate(np.where(known, places, -1), axis=-1)
    source = np.where(source >= 0, source, last)
    source = np.where(source >= 0, source, known.argmax(-1)[..., None])
    return np.asarray(np.take_along_axis(x, source, axis=-1))


def seasonal_naive(x: Array, known: Array, k: int, period: int, errors: Errors) -> Array:
    """k answers `(k, n, stored, T)` of the forecast that repeats the last period (of 1: the last value), as far apart
    as it was off in training; the middle one of an odd number is that forecast itself."""
    point = repeated(x, known, period)
    made = np.repeat(point[None], k, axis=0).astype(x.dtype)
    if k > 1 and errors.quantiles is not None:
        offsets = errors.offsets(k)[:, None]
        horizon = offsets.shape[-1]
        made[..., -horizon:] += np.where(known[..., -horizon:], 0.0, offsets).astype(x.dtype)
    return made
