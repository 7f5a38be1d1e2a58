"""A series as a field: windows of a fixed number of steps, a span for each channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genwright.data.columns.numbers import NumberFormat
from genwright.data.columns.reservoir import Reservoir
from genwright.data.field import Array, Blocks, Field, Partial, Rule, Values
from genwright.data.series.calibration import Calibration
from genwright.data.series.channels import Channel, NumberChannel, Scale, StateChannel, restored_channel
from genwright.data.series.differences import Differences
from genwright.data.series.forecast import Errors, framed, median_of, pasted, seasonal_naive
from genwright.data.series.form import SeriesForm
from genwright.data.series.overlaps import blocks_of
from genwright.data.series.reading import read_whole
from genwright.data.series.series import Series, gaps
from genwright.data.series.writing import write_series
from genwright.errors import DataError
from genwright.space import Real, Space, Span, Symbol

__all__ = ["SeriesField"]

SAMPLE = 2000
"""Training windows that scales are learnt from, at most."""
WANDERS = 0.5
"""Of the standard deviation of all: where the numbers of a window lie closer together, each has its own scale."""
DRAWS = 19
"""Answers that a forecast is made of: the median, and the interval that leaves out a tenth at either end."""
END = Symbol(2, pad=1)
"""Stands first where series have several lengths: 1 behind their last step."""


class SeriesField(Field):
    """Windows of series to `(stored, T)`, and back.

    Numbers are brought to zero mean and unit variance over all windows. Where they wander, so that the numbers of a
    window lie closer together than half of that, and a horizon is to be forecast, each window has its own level and
    scale instead, of the part that is known: they stand beside it as channels that do not change. Where there is a
    horizon, numbers are stored as how far they are from the season before, so that a model that says nothing says that.

    form  how series are cut and written; chosen before they are read
    """

    kind = "series"
    views = frozenset({"series"})

    def __init__(self, form: SeriesForm | None = None) -> None:
        self.form = form or SeriesForm(1)
        self.channels: tuple[Channel, ...] = ()
        self.padded = False
        self.period = 1
        self.start = 0.0
        self._errors = Errors()
        self._wide: dict[str, Array] = {}
        self._differences: Differences | None = None
        self._trust: dict[str, Calibration] = {}
        self._reservoir, self._sample = Reservoir(SAMPLE), list[Series]()
        self._states = {name: Counter[str]() for name in self.form.states}
        self._missing, self._lengths = dict.fromkeys(self.form.names, False), Counter[int]()
        self._first = np.inf
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []

    @property
    def frame(self) -> str | None:  # type: ignore[override]
        """What is known of each of its steps lies on them."""
        return "series"

    @property
    def suffix(self) -> str:  # type: ignore[override]  # as the form says
        return ".ts" if self.form.table is None else self.form.table.suffix

    @property
    def draws(self) -> int:  # type: ignore[override]
        """A forecast is several answers."""
        return DRAWS if self.form.horizon else 1

    # -- learning ------------------------------------------------------------------------------

    def fit(self, values: Values) -> None:
        for series in values:
            self._lengths[len(series)] += 1
            self._first = min(self._first, float(series.times[0]))
            for name in self.form.names:
                held = series.channels[name]
                self._missing[name] = self._missing[name] or bool(gaps(held).any())
                if name in self._states:
                    self._states[name].update(held[held != ""].tolist())
        self._sample += values
        self._keep(self._reservoir.add(len(values)))

    def _keep(self, places: Array | None) -> None:
        if places is not None:
            self._sample = [self._sample[i] for i in places.tolist()]

    def settle(self) -> None:
        self._keep(self._reservoir.trim())
        sample, seen, lengths = self._sample, self._reservoir.seen, self._lengths
        self._sample, self._reservoir, self._lengths = [], Reservoir(SAMPLE), Counter()
        if not seen:
            raise DataError(
                "there is no series to learn from: give more steps, or lower codec.length",
                code="no-examples",
            )
        self.start = float(self._first)
        self.padded = self.form.whole and (len(lengths) > 1 or next(iter(lengths)) < self.form.length)
        plain = {name: self._stacked(sample, name) for name in self.form.numbers}
        self.period = self._chosen_period(plain)
        self._warnings = []
        numbers = [self._number(name, values) for name, values in plain.items()]
        states = [self._state(name) for name in self.form.states]
        self.channels = (*numbers, *states)
        self._differences = self._learnt_differences(plain)
        if self.form.horizon:
            measured = self.answers & self.space.real_mask().numpy()
            plain_x = self._seasonal(self._windows(sample), 1)
            self._errors = Errors.of(plain_x, self.form.context, self.period, measured)
            self._wide = self._scales(plain_x)
        own = [one.name for one in numbers if one.scale.context]
        if self.form.scaling == "auto" and not self.form.horizon and not any(self._missing.values()):
            far = [c.name for c in numbers if self._wanders(plain[c.name], c.scale.std)]
            if far:
                self._warnings.append(
                    f"windows of {far[0]!r}{f' and {len(far) - 1} more' * (len(far) > 1)} move little beside all that "
                    f"it does: whole ones are learnt better with --set codec.scaling=differences"
                )
        self._facts = {
            "windows": seen,
            "steps": self.form.length,
            "step": str(self.form.step),
            "numbers": list(self.form.numbers),
            "states": {one.name: len(one.values) for one in states},
            "horizon": self.form.horizon,
            "season": self.period if self.period > 1 else 0,
            "own_scale": own,
            "unknown": [name for name in self.form.names if self._missing[name]],
        }
        if self.form.horizon and self.period == 1:
            self._warnings.append(
                "no season was found that forecasts better than the last value does: that one is the seasonal naive "
                "forecast here"
            )

    def _stacked(self, sample: Sequence[Series], name: str) -> Array:
        """The numbers of a channel `(n, T)`, NaN behind the end of a series."""
        made = np.full((len(sample), self.form.length), np.nan)
        for row, series in zip(made, sample, strict=True):
            row[: len(series)] = series.channels[name]
        return made

    def _number(self, name: str, values: Array) -> NumberChannel:
        there = values[~np.isnan(values)]
        mean = float(there.mean()) if there.size else 0.0
        std = float(there.std()) if there.size else 1.0
        if not std > 1e-12 * max(1.0, abs(mean)):
            self._warnings.append(f"channel {name!r} is the same at every step of the training windows")
            std = max(1.0, abs(mean))
        scale = Scale(mean, std)
        if self._own_level(values, std):
            scale = self._own_scale(values, mean, std)
        form = self.form.formats.get(name) or NumberFormat.of(
            [repr(v) for v in there[:1000].tolist()] or ["0"]
        )
        return NumberChannel(name, form, scale, self._missing[name])

    def _learnt_differences(self, plain: Mapping[str, Array]) -> Differences | None:
        if self.form.scaling != "differences" or not plain:
            return None
        if gappy := [name for name in plain if self._missing[name]]:
            raise DataError(
                f"codec.scaling=differences is for series without gaps, and {gappy[0]!r} has some: leave it out, or "
                f"draw gaps as a line with codec.gaps=interpolate",
                code="differences-of-gaps",
            )
        if self.form.length < 2:
            raise DataError(
                "codec.scaling=differences needs windows of two steps or more: raise codec.length, or leave it out",
                code="differences-of-gaps",
            )
        return Differences.of(np.stack(list(plain.values()), axis=2))

    def _own_level(self, values: Array, std: float) -> bool:
        """Whether each window is to have its own level and scale."""
        if self.form.scaling != "auto":
            return self.form.scaling == "window"
        return bool(self.form.horizon) and self._wanders(values, std)

    def _wanders(self, values: Array, std: float) -> bool:
        """Whether the numbers of a window lie close together beside all that they do."""
        known = (~np.isnan(values)).sum(1) > 1
        within = [float(np.nanstd(row)) for row in values[known]]
        return bool(within) and float(np.median(within)) < WANDERS * std

    def _own_scale(self, values: Array, mean: float, std: float) -> Scale:
        context = self.form.context
        back = min(self.period, context)
        usual = float(np.median([max(float(np.nanstd(row)), 1e-9 * std) for row in _some(values)]))
        first = Scale(mean, std, context, back, float(np.log(usual)), 1.0)
        _, far = first.own(values)
        wide = max(float(far.std()), 0.1)
        return Scale(mean, std, context, back, float(np.log(usual)), wide)

    def _chosen_period(self, plain: Mapping[str, Array]) -> int:
        """The period of the calendar, where repeating it forecasts better than the last value does."""
        period, context = self.form.step.period, self.form.context
        horizon = self.form.length - context or min(self.form.length // 2, period)
        context = self.form.length - horizon
        if not 1 < period <= context or not plain:
            return 1
        better = 0
        for values in plain.values():
            errors = []
            for back in (1, period):
                source = context - back + np.arange(horizon) % back
                errors.append(float(np.nanmean(np.abs(values[:, context:] - values[:, source]))))
            better += errors[1] < errors[0]
        return period if 2 * better > len(plain) else 1

    def _state(self, name: str) -> StateChannel:
        return StateChannel(name, tuple(sorted(self._states[name])) or ("",), self._missing[name])

    @property
    def space(self) -> Space:
        spans: list[Span] = [END] if self.padded else []
        for channel in self.channels:
            for span in channel.spans:
                if isinstance(span, Real) and spans and isinstance(spans[-1], Real):
                    spans[-1] = Real(spans[-1].n + span.n)
                else:
                    spans.append(span)
        return Space((self.form.length,), tuple(spans))

    def places(self) -> list[tuple[Channel, slice]]:
        """Each channel and where it is stored."""
        found, first = [], int(self.padded)
        for channel in self.channels:
            stored = sum(span.stored for span in channel.spans)
            found.append((channel, slice(first, first + stored)))
            first += stored
        return found

    @property
    def measured(self) -> Array:
        """Which of the stored channels are the numbers that `numbers` gives `(stored,)`."""
        found = np.zeros(self.space.stored, dtype=bool)
        for channel, where in self.places():
            found[where.start + channel.value_at] = isinstance(channel, NumberChannel)
        return found

    @property
    def answers(self) -> Array:
        """Which of the stored channels are measured `(stored,)`: the level of a window follows from what is known."""
        found = np.ones(self.space.stored, dtype=bool)
        for channel, where in self.places():
            found[where.start + channel.value_at + 1 : where.stop] = False
        return found

    # -- to tensors and back -------------------------------------------------------------------

    def encode(self, values: Values) -> Array:
        """`(n, stored, T)` float32. Raises `DataError` for another length, and a state that training has not seen."""
        for series in values:
            right = len(series) == self.form.length
            if not right and not (self.padded and 0 < len(series) < self.form.length):
                raise DataError(
                    f"the series has {len(series):,} steps, and this model makes {self.form.length}: cut it to that",
                    code="series-of-another-length",
                )
        return self._windows(values)

    def _windows(self, values: Sequence[Series]) -> Array:
        n, length = len(values), self.form.length
        out = np.zeros((n, self.space.stored, length), np.float32)
        if self.padded:
            for row, series in zip(out, values, strict=True):
                row[0, len(series) :] = 1
        for channel, where in self.places():
            number = isinstance(channel, NumberChannel)
            filler: Any = (
                0.0 if number else (channel.values[0] if isinstance(channel, StateChannel) else "")
            )
            block = [_padded(series.channels[channel.name], length, filler) for series in values]
            kind = np.float64 if number else np.str_
            stacked = np.stack(block).astype(kind) if block else np.zeros((0, length), kind)
            out[:, where] = channel.encode(stacked)
        if self._differences is not None and n:
            names = [channel.name for channel, _ in self._number_channels()]
            own = [np.stack([_held(one.channels[name], length) for one in values]) for name in names]
            stored = self._differences.forward(np.stack(own, axis=2))
            out[:, self.measured] = stored.transpose(0, 2, 1)
        out = self._seasonal(out, -1)
        if self.padded:  # behind its end a series is nothing
            ended = np.broadcast_to(out[:, :1] == 1, out[:, 1:].shape)
            out[:, 1:][ended] = 0
        return out

    def _scales(self, plain: Array) -> dict[str, Array]:
        """By channel how far numbers usually are from those of the season before `(1 + horizon,)`: those that are
        known, and those to be forecast, step by step. They are learnt in these units, however small beside all that the
        numbers do."""
        found = {}
        changes = self._seasonal(plain, -1)
        for channel, where in self._number_channels():
            off = changes[:, where.start + channel.value_at].astype(np.float64)
            known = off[:, min(self.period, self.form.context) : self.form.context]
            sizes = [float(np.sqrt((known**2).mean())) if known.size else 0.0]
            sizes += np.sqrt((off[:, self.form.context :] ** 2).mean(0)).tolist()
            found[channel.name] = np.maximum(sizes, 1e-2 * max(sizes) or 1.0).round(8)
        return found

    def _seasonal(self, x: Array, sign: int) -> Array:
        """Stored `(..., stored, T)` with each number but those of the first season as how far it is from the one a
        season before, in units of how far it usually is (-1), or that undone (1)."""
        if not self.form.horizon:
            return x
        made = x.copy()
        change = _summed if sign > 0 else _seasonal_differences
        for channel, where in self._number_channels():
            missing, at = channel.missing(x[..., where, :]), where.start + channel.value_at
            wide = self._wide.get(channel.name, np.ones(1 + self.form.horizon))
            made[..., at, :] = change(x[..., at, :], missing, wide, self.form.context, self.period)
        return made

    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> list[Series]:
        x = np.asarray(x)
        found = {
            channel.name: channel.decode(x[:, where])
            for channel, where in self.places()
            if isinstance(channel, StateChannel)
        }
        numbers = self._numbers_of(x)
        found |= {
            channel.name: channel.rounded(own)
            for (channel, _), own in zip(self._number_channels(), numbers, strict=True)
        }
        ends = np.full(len(x), self.form.length)
        if self.padded:
            ended = np.rint(x[:, 0]) == 1
            ends = np.where(ended.any(1), ended.argmax(1), self.form.length).clip(1)
        times = self.form.step.after(self.start, np.arange(self.form.length))
        return [
            Series({name: values[i, :end] for name, values in found.items()}, times[:end])
            for i, end in enumerate(ends.tolist())
        ]

    def numbers(self, x: Array) -> Array:
        """Stored `(..., stored, T)` as the numbers of its channels `(..., T, C)`, NaN where none is known."""
        x = np.asarray(x)
        made = np.stack(self._numbers_of(x.reshape(-1, *x.shape[-2:])), axis=2)
        return made.reshape(*x.shape[:-2], *made.shape[1:])

    def _numbers_of(self, x: Array) -> list[Array]:
        """Of each channel of numbers `(n, T)`."""
        if self._differences is not None:
            made = self._differences.inverse(x[:, self.measured].transpose(0, 2, 1).astype(np.float64))
            return list(made.transpose(2, 0, 1))
        x = self._seasonal(x, 1)
        return [channel.numbers(x[:, where]) for channel, where in self._number_channels()]

    def blocks(self, values: Values) -> Blocks | None:
        if (
            self.form.whole
            or self.form.stride >= self.form.length
            or not self.form.numbers
            or not len(values)
        ):
            return None
        return blocks_of(np.stack([self._stacked(values, name) for name in self.form.numbers], axis=2))

    def known(self, values: Values) -> list[bool]:
        return [all(c.known(one.channels[c.name]) for c in self.channels) for one in values]

    # -- gaps and forecasts --------------------------------------------------------------------

    def partial(self, values: Values) -> Partial:
        """Series with empty cells, or whose end is to be forecast. Raises `DataError` for one that is too short, and
        where differences are stored, of which a cell is none."""
        if self._differences is not None:
            raise DataError(
                "this model was trained on differences, in which no cell can be left out: train one with "
                "codec.scaling=series to fill cells",
                code="gaps-in-differences",
            )
        series = [framed(one, self.form).window for one in values]
        x = torch.from_numpy(self._windows(series))
        known = torch.ones(x.shape, dtype=torch.bool)
        for i, one in enumerate(series):
            for channel, where in self.places():
                missing = torch.from_numpy(gaps(one.channels[channel.name]))
                last = where.start + channel.value_at + 1
                known[i, where.start : last, : len(one)] &= ~missing
                if self.form.horizon:
                    known[i, last : where.stop, self.form.context :] = False
        return Partial(x.to(self.space.dtype), known)

    def kept(self, made: Values, given: Values) -> Values:
        return [pasted(one, whole, self.form) for one, whole in zip(made, given, strict=True)]

    def pooled(self, draws: Iterable[Values], given: Values = ()) -> Values | None:
        """Of a forecast the median and the interval that holds 80 %, of the model's answers as they were calibrated."""
        if not self.form.horizon:
            return None
        made = list(draws)
        answers: list[Sequence[Series]] = list(zip(*made, strict=True))
        if len(given) and self._trust:
            seasons = zip(*self._seasons_before(given, len(made)), strict=True)
            answers = [self._trusted(some, own) for some, own in zip(answers, seasons, strict=True)]
        return [median_of(some) for some in answers]

    def _seasons_before(self, given: Values, k: int) -> list[Values]:
        """k answers of the season before to series that are to go on."""
        asked = self.partial(given)
        answers = self._seasonal_naive(asked.x.numpy(), asked.known.numpy(), k)
        return [self.kept(self.decode(one), given) for one in answers]

    def _trusted(self, draws: Sequence[Series], season: Sequence[Series]) -> list[Series]:
        """Several answers to one question as they were calibrated."""
        channels = [dict(one.channels) for one in draws]
        for name, trust in self._trust.items():
            model, before = (np.stack([one.channels[name] for one in some]) for some in (draws, season))
            for one, values in zip(channels, trust.applied(model, before), strict=True):
                one[name] = values
        return [Series(own, one.times, one.name) for own, one in zip(channels, draws, strict=True)]

    # -- calibration ---------------------------------------------------------------------------

    def calibrate(self, draws: Array, true: Array, of: int) -> Mapping[str, Any]:
        ahead, season = slice(self.form.context, None), self._season_stored(true, len(draws))
        apart = 1 + (of - 1) * min(1.0, self.form.stride / max(1, self.form.horizon))
        self._trust = {}
        for channel, where in self._number_channels():
            at, counted = where.start + channel.value_at, ~channel.missing(true[:, where, ahead])
            own, model, before = (x[..., at, ahead] for x in (true, draws, season))
            self._trust[channel.name] = Calibration.of(model, before, own, counted, apart)
        return {name: trust.json() for name, trust in self._trust.items()}

    def calibrated(self, draws: Array) -> Array:
        if not self._trust:
            return draws
        made, ahead = draws.copy(), slice(self.form.context, None)
        season = self._season_stored(draws[0], len(draws))
        for channel, where in self._number_channels():
            if (trust := self._trust.get(channel.name)) is not None:
                own = (..., where.start + channel.value_at, ahead)
                made[own] = trust.applied(draws[own], season[own])
        return made

    def _season_stored(self, x: Array, k: int) -> Array:
        """k answers of the season before `(k, n, stored, T)` to windows of which the context is known."""
        known = np.zeros(x.shape, dtype=bool)
        known[..., : self.form.context] = True
        return self._seasonal_naive(x, known, k)

    def recall(self, calibration: Mapping[str, Any]) -> None:
        self._trust = {name: Calibration.restored(known) for name, known in calibration.items()}

    def _number_channels(self) -> list[tuple[NumberChannel, slice]]:
        return [(c, where) for c, where in self.places() if isinstance(c, NumberChannel)]

    def rules(self) -> Mapping[str, Rule]:
        return {"seasonal_naive": self._seasonal_naive} if self.form.horizon else {}

    def _seasonal_naive(self, x: Array, known: Array, k: int) -> Array:
        answers = seasonal_naive(self._seasonal(x, 1), known, k, self.period, self._errors)
        return self._seasonal(answers, -1)

    # -- raw values ----------------------------------------------------------------------------

    def parse(self, given: Any) -> Series:
        """A series, a file of one, or columns by name. Raises `DataError` for what is none."""
        if isinstance(given, Series):
            return given
        if isinstance(given, str | Path):
            return self.load(Path(given).expanduser())
        try:
            columns = {name: np.asarray(given[name]) for name in self.form.names}
        except (KeyError, TypeError):
            raise DataError(
                f"a series is columns by name ({', '.join(self.form.names)}), or a file of them",
                code="not-a-series",
            ) from None
        channels = {
            name: values.astype(np.float64 if name in self.form.numbers else np.str_)
            for name, values in columns.items()
        }
        steps = len(next(iter(channels.values())))
        return Series(channels, self.form.step.after(self.start, np.arange(steps)))

    def load(self, path: Path) -> Series:
        found = next(iter(read_whole(path, self.form)), None)
        if found is None:
            raise DataError(f"{path} holds no series", code="not-a-series")
        return found

    def save(self, value: Series, path: Path) -> None:
        write_series([value], self.form, path)

    def grid_of(self, value: Any) -> tuple[int, ...]:
        return (len(value),)

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def state(self) -> dict[str, Any]:
        return {
            "form": self.form.json(),
            "channels": [channel.json() for channel in self.channels],
            "padded": self.padded,
            "period": self.period,
            "start": self.start,
            "errors": self._errors.json(),
            "differences": None if self._differences is None else self._differences.json(),
            "wide": {name: wide.tolist() for name, wide in self._wide.items()},
            "facts": self._facts,
            "warnings": self._warnings,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.form = SeriesForm.of(state["form"])
        self.channels = tuple(map(restored_channel, state["channels"]))
        self.padded, self.period, self.start = state["padded"], state["period"], state["start"]
        self._errors = Errors.restored(state["errors"])
        differences = state.get("differences")
        self._differences = None if differences is None else Differences.restored(differences)
        self._wide = {name: np.array(wide) for name, wide in state.get("wide", {}).items()}
        self._facts, self._warnings = dict(state["facts"]), list(state["warnings"])


def _some(values: Array) -> Array:
    """Rows of which something is known."""
    some = values[(~np.isnan(values)).any(1)]
    return some if len(some) else np.zeros((1, values.shape[1]))


def _padded(values: Array, length: int, filler: Any) -> Array:
    if len(values) == length:
        return values
    return np.concatenate([values, np.full(length - len(values), filler)])


def _held(values: Array, length: int) -> Array:
    """Numbers with the last one repeated up to a length."""
    return np.concatenate([values, np.full(length - len(values), values[-1])])


def _seasonal_differences(x: Array, missing: Array, wide: Array, context: int, period: int) -> Array:
    """Numbers `(..., T)`, of which those behind the context are to be forecast, as `SeriesField._seasonal` has them."""
    back = min(period, context)
    made = x.astype(np.float64)
    made[..., back:context] = (x[..., back:context] - x[..., : context - back]) / wide[0]
    source = context - back + np.arange(x.shape[-1] - context) % back
    made[..., context:] = (x[..., context:] - x[..., source]) / wide[1:]
    return np.asarray(np.where(missing, 0.0, made).astype(x.dtype))


def _summed(x: Array, missing: Array, wide: Array, context: int, period: int) -> Array:
    """The inverse of `_seasonal_differences`."""
    back = min(period, context)
    made = x.astype(np.float64)
    for t in range(back, context):
        made[..., t] = made[..., t] * wide[0] + made[..., t - back]
        made[..., t][missing[..., t]] = 0.0
    source = context - back + np.arange(x.shape[-1] - context) % back
    made[..., context:] = made[..., context:] * wide[1:] + made[..., source]
    return np.asarray(np.where(missing, 0.0, made).astype(x.dtype))
