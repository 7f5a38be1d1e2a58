"""How far the forecasts of a model are to be trusted, learnt from held-out windows that it was not trained on.

The answers of the model are combined with those of the season before (Bates and Granger 1969), quantile by quantile
(Vincent 1912) and in the order of the model's (Schefzik et al. 2013), so that a model that knows nothing more says the
same; and they are drawn apart or together until their central 80 % hold the truth as often (split conformal prediction,
normalised by the width of the interval: Lei et al. 2018, section 5.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from genwright.data.field import Array

__all__ = ["SHARE", "Calibration"]

SHARE = 0.8
"""Of what comes, that the interval of a forecast is to hold."""
WEIGHTS = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True)
class Calibration:
    """Of one channel.

    weight  of the model's answers; the rest of 1 is that of the season before
    spread  times as far from their middle as they were
    """

    weight: float = 1.0
    spread: float = 1.0

    @classmethod
    def of(cls, draws: Array, season: Array, true: Array, counted: Array, apart: float) -> Calibration:
        """From k answers of the model and of the season before `(k, n, horizon)`, and the truth `(n, horizon)`.

        counted  which numbers of the truth are there `(n, horizon)`
        apart    how many of the n windows there would be room for if none overlapped another

        The weight is the least whose error is within a standard error of the best one (Breiman et al. 1984).
        """
        use = counted.any(1)
        draws, season, true, counted = draws[:, use], season[:, use], true[use], counted[use]
        if not len(true):
            return cls()
        middle, before = np.median(draws, axis=0), np.median(season, axis=0)
        far = np.abs(before + WEIGHTS[:, None, None] * (middle - before) - true)
        error = np.where(counted, far, 0.0).sum(2) / counted.sum(1)
        best = int(error.mean(1).argmin())
        doubt = (error - error[best]).std(1) / np.sqrt(max(1.0, min(apart, len(true))))
        weight = float(WEIGHTS[np.flatnonzero(error.mean(1) <= error[best].mean() + doubt)[0]])
        answers = cls(weight).applied(draws, season)
        low, middle, high = np.quantile(
            answers, [(1 - SHARE) / 2, 0.5, (1 + SHARE) / 2], axis=0, method="weibull"
        )
        off = true - middle
        side = np.where(off < 0, middle - low, high - middle)
        missed = np.abs(off[counted]) / np.maximum(side[counted], 1e-12)
        share = min(1.0, SHARE * (1 + 1 / max(1.0, apart)))
        return cls(weight, float(np.quantile(missed, share)) if side.any() else 1.0)

    def applied(self, draws: Array, season: Array) -> Array:
        """k answers `(k, ...)` as they are to be trusted.

        season  the answers of the season before `(k, ...)`
        """
        rank = np.argsort(np.argsort(draws, axis=0, kind="stable"), axis=0, kind="stable")
        alike = np.take_along_axis(np.sort(season, axis=0), rank, axis=0)
        both = self.weight * draws + (1 - self.weight) * alike
        middle = np.median(both, axis=0)
        return np.asarray(middle + self.spread * (both - middle), dtype=draws.dtype)

    def json(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def restored(cls, known: Mapping[str, Any]) -> Calibration:
        return cls(float(known["weight"]), float(known["spread"]))
