"""One channel of series as spans of a space, and back: numbers on one scale or on each window's own, and states.

number   Real(1); where some are not known, beside Symbol(2), which is 1 there (the number is then 0)
state    Symbol(k): its values in their order, and one more where some are not known
level    Real(2): of a number on the window's own scale, where it stands and how far it goes
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from genwright.data.columns.numbers import NumberFormat
from genwright.data.field import Array
from genwright.errors import DataError, suggest
from genwright.space import Real, Span, Symbol

__all__ = ["NumberChannel", "Scale", "StateChannel", "restored_channel"]

LEAST = 0.05
"""Of the usual scale of a window: a flatter one is taken to have so much."""


@dataclass(frozen=True)
class Scale:
    """How numbers are brought to about zero mean and unit variance: by the mean and standard deviation of all, or by
    where each window stands and how far it goes, which are kept beside it.

    context  steps at the beginning of a window from which its own are taken; 0: all use one scale
    back     of these the last ones, whose mean is the level
    """

    mean: float = 0.0
    std: float = 1.0
    context: int = 0
    back: int = 1
    middle: float = 0.0
    wide: float = 1.0

    def own(self, values: Array) -> tuple[Array, Array]:
        """The level and the scale of windows `(n, T)` as they are stored `(n,)` each, from what is known of their
        context."""
        begin = values[:, : self.context]
        known = ~np.isnan(begin)
        level = _mean(begin[:, -self.back :], known[:, -self.back :])
        level = np.where(np.isnan(level), _mean(begin, known), level)
        level = np.where(np.isnan(level), self.mean, level)
        far = np.sqrt(_mean((begin - level[:, None]) ** 2, known))
        usual = math.exp(self.middle)
        far = np.maximum(np.where(np.isnan(far), usual, far), LEAST * usual)
        return (
            ((level - self.mean) / self.std).astype(np.float32),
            ((np.log(far) - self.middle) / self.wide).astype(np.float32),
        )

    def meant(self, level: Array, far: Array) -> tuple[Array, Array]:
        """The same as numbers."""
        return (
            self.mean + self.std * level.astype(np.float64),
            np.exp(np.clip(self.middle + self.wide * far.astype(np.float64), -80, 80)),
        )


def _mean(values: Array, known: Array) -> Array:
    """Of what is known in each row; NaN where nothing is."""
    count = known.sum(1)
    total = np.where(known, np.nan_to_num(values), 0.0).sum(1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


@dataclass(frozen=True)
class NumberChannel:
    """gaps: whether some numbers are not known, which is then learnt too."""

    name: str
    form: NumberFormat
    scale: Scale = field(default_factory=Scale)
    gaps: bool = False

    @property
    def spans(self) -> tuple[Span, ...]:
        own = (Real(2),) if self.scale.context else ()
        return (*((Symbol(2),) if self.gaps else ()), Real(1), *own)

    @property
    def value_at(self) -> int:
        """Which of its stored channels holds the number."""
        return int(self.gaps)

    def missing(self, x: Array) -> Array:
        """Where stored `(..., stored, T)` say that no number is known `(..., T)`."""
        return x[..., 0, :] == 1 if self.gaps else np.zeros((*x.shape[:-2], x.shape[-1]), dtype=bool)

    def encode(self, values: Array) -> Array:
        """Numbers `(n, T)` to `(n, stored, T)`; what is not known is 0."""
        level, far = np.full(len(values), self.scale.mean), np.full(len(values), self.scale.std)
        parts = []
        if self.scale.context:
            stored = self.scale.own(values)
            level, far = self.scale.meant(*stored)
            parts = [np.repeat(one[:, None], values.shape[1], axis=1) for one in stored]
        missing = np.isnan(values)
        scaled = np.where(missing, 0.0, (values - level[:, None]) / far[:, None])
        head = [missing.astype(np.float32)] if self.gaps else []
        return np.stack([*head, scaled.astype(np.float32), *parts], axis=1).astype(np.float32)

    def numbers(self, x: Array) -> Array:
        """Stored `(n, stored, T)` to numbers `(n, T)`, NaN where they say that one is not known."""
        at = self.value_at
        scaled = x[:, at].astype(np.float64)
        if self.scale.context:
            own = x[:, at + 1 :, : self.scale.context].astype(np.float64).mean(2)
            level, far = self.scale.meant(own[:, 0], own[:, 1])
        else:
            level, far = np.full(len(x), self.scale.mean), np.full(len(x), self.scale.std)
        values = level[:, None] + far[:, None] * scaled
        return np.where(np.rint(x[:, 0]) == 1, np.nan, values) if self.gaps else values

    def decode(self, x: Array) -> Array:
        """The same, rounded as the file writes its numbers."""
        return self.rounded(self.numbers(x))

    def rounded(self, values: Array) -> Array:
        """Numbers as the file writes them."""
        there = ~np.isnan(values)
        written = self.form.write(values[there].tolist())
        values[there] = [self.form.read(one) for one in written]
        return values

    def known(self, values: Array) -> bool:
        return self.gaps or not np.isnan(values).any()

    def json(self) -> dict[str, Any]:
        return {"number": {**asdict(self)}}


@dataclass(frozen=True)
class StateChannel:
    """values: in their order; gaps: whether some are not known, which is one more symbol."""

    name: str
    values: tuple[str, ...]
    gaps: bool = False

    @property
    def spans(self) -> tuple[Span, ...]:
        return (Symbol(len(self.values) + self.gaps),)

    @property
    def value_at(self) -> int:
        return 0

    def encode(self, values: Array) -> Array:
        """Texts `(n, T)` to `(n, 1, T)`; what is not known is the last symbol, or the first where none stands for it.
        Raises `DataError` for a state that training has not seen."""
        number = {value: i for i, value in enumerate(self.values)}
        number.setdefault("", len(self.values) if self.gaps else 0)
        found, place = np.unique(values, return_inverse=True)
        for value in found.tolist():
            if value not in number:
                raise DataError(
                    f"{self.name!r} is {value!r}, which training has not seen; {suggest(value, self.values)}",
                    code="no-such-value",
                )
        ids = np.array([number[value] for value in found.tolist()], np.float32)
        return np.asarray(ids[place].reshape(values.shape)[:, None])

    def decode(self, x: Array) -> Array:
        names = np.array([*self.values, ""], dtype=np.str_)
        return np.asarray(names[np.rint(x[:, 0]).astype(np.int64).clip(0, len(names) - 1)])

    def known(self, values: Array) -> bool:
        own = {*self.values, ""} if self.gaps else {*self.values}
        return own.issuperset(np.unique(values).tolist())

    def json(self) -> dict[str, Any]:
        return {"state": asdict(self)}


Channel = NumberChannel | StateChannel


def restored_channel(known: Mapping[str, Any]) -> Channel:
    """As `json` gave it."""
    if "state" in known:
        return StateChannel(**{**known["state"], "values": tuple(known["state"]["values"])})
    held = dict(known["number"])
    return NumberChannel(
        held["name"], NumberFormat(**held["form"]), Scale(**held["scale"]), held["gaps"]
    )
