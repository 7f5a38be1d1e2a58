"""Windows of numbers as their first step and the changes from each step to the next, whitened over the channels. Of a
channel that does not wander, but comes back to where it was, the numbers stand in the place of their changes.

Where numbers wander, a window moves little beside all that they do in years, and channels move with each other to the
last digit: both would be lost in the noise of a model that learns them on one scale. What is always equal stays so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genwright.data.field import Array

__all__ = ["Differences", "Whitening"]

NOTHING = 1e-10
"""Of the largest eigenvalue: what varies less does not vary."""
DECADES = 10.0
"""Times the least that the greatest is, of positive numbers that are learnt by their logarithm."""
WANDERS = 0.5
"""Of the variance within a window: what changes less from step to step wanders. It is 1 of numbers that correlate with
the next one by a half, and 0.25 of a random walk of 24 steps."""


@dataclass(frozen=True)
class Whitening:
    """Rows `(..., C)` to others of mean 0 and covariance 1, by principal components of what each channel is in units of
    its own deviation (Kessy et al. 2018, PCA-cor); a component that does not vary is 0.

    mean, scale  of each channel `(C,)`
    turn         principal components in the columns `(C, C)`
    wide         deviation of each `(C,)`
    """

    mean: Array
    scale: Array
    turn: Array
    wide: Array

    @classmethod
    def of(cls, rows: Array) -> Whitening:
        """From rows `(n, C)`."""
        mean, scale = rows.mean(0), rows.std(0)
        scale = np.where(scale > 1e-12 * np.maximum(1.0, np.abs(mean)), scale, 1.0)
        plain = (rows - mean) / scale
        values, turn = np.linalg.eigh(plain.T @ plain / len(rows))
        values = np.where(values > NOTHING * max(float(values.max()), 1e-300), values, 0.0)
        return cls(mean, scale, turn, np.sqrt(values))

    def whiten(self, rows: Array) -> Array:
        unit = np.divide(1.0, self.wide, out=np.zeros_like(self.wide), where=self.wide > 0)
        return np.asarray((rows - self.mean) / self.scale @ (self.turn * unit))

    def colour(self, white: Array) -> Array:
        """The inverse."""
        return np.asarray(white @ (self.turn * self.wide).T * self.scale + self.mean)

    def json(self) -> dict[str, Any]:
        return {name: getattr(self, name).tolist() for name in ("mean", "scale", "turn", "wide")}

    @classmethod
    def restored(cls, known: Mapping[str, Any]) -> Whitening:
        return cls(*(np.array(known[name]) for name in ("mean", "scale", "turn", "wide")))


@dataclass(frozen=True)
class Differences:
    """Windows `(n, T, C)` and back.

    logged    channels of which the logarithm is learnt `(C,)`
    wanders   channels of which changes are learnt `(C,)`
    first     of the first step
    change    of the later ones
    """

    logged: Array
    wanders: Array
    first: Whitening
    change: Whitening

    @classmethod
    def of(cls, windows: Array) -> Differences:
        """From windows `(n, T, C)` of at least two steps, NaN behind the end of one."""
        least, most = np.nanmin(windows, axis=(0, 1)), np.nanmax(windows, axis=(0, 1))
        logged = (least > 0) & (most > DECADES * np.maximum(least, 1e-300))
        x = _logged(windows, logged)
        within = np.nanvar(x, axis=1).mean(0)
        wanders = np.nanmean(np.diff(x, axis=1) ** 2, axis=(0, 1)) < WANDERS * within
        later = _later(x, wanders).reshape(-1, x.shape[2])
        first, change = Whitening.of(x[:, 0]), Whitening.of(later[np.isfinite(later).all(1)])
        return cls(logged, wanders, first, change)

    def forward(self, windows: Array) -> Array:
        x = _logged(windows, self.logged)
        first, later = self.first.whiten(x[:, :1]), self.change.whiten(_later(x, self.wanders))
        return np.concatenate([first, later], axis=1)

    def inverse(self, stored: Array) -> Array:
        first, later = self.first.colour(stored[:, :1]), self.change.colour(stored[:, 1:])
        x = np.concatenate([first, later], axis=1)
        x = np.where(self.wanders, x.cumsum(1), x)
        return np.where(self.logged, np.exp(np.clip(x, -700, 700)), x)

    def json(self) -> dict[str, Any]:
        return {
            "logged": self.logged.tolist(),
            "wanders": self.wanders.tolist(),
            "first": self.first.json(),
            "change": self.change.json(),
        }

    @classmethod
    def restored(cls, known: Mapping[str, Any]) -> Differences:
        first, change = (Whitening.restored(known[name]) for name in ("first", "change"))
        logged, wanders = (np.array(known[name], dtype=bool) for name in ("logged", "wanders"))
        return cls(logged, wanders, first, change)


def _logged(windows: Array, logged: Array) -> Array:
    """With the logarithm of some channels; of one that was not seen to be 0 or less, of the least there can be."""
    return np.where(logged, np.log(np.where(logged, np.maximum(windows, 1e-300), 1.0)), windows)


def _later(x: Array, wanders: Array) -> Array:
    """What is learnt of the steps behind the first `(n, T - 1, C)`."""
    return np.where(wanders, np.diff(x, axis=1), x[:, 1:])
