"""From noise to data along the probability-flow ODE, in a chosen number of steps.

The base owns the walk over the times; a solver owns one step. `denoise(x, t)` is the estimate of the
clean example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from genwright.families.schedules import Schedule

__all__ = ["DPM", "SOLVERS", "Euler", "Heun", "Solver"]

Denoise = Callable[[Tensor, Tensor], Tensor]


class Solver(ABC):
    """Walks from the first to the last of the times."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def solve(self, denoise: Denoise, x: Tensor, times: Tensor) -> Tensor:
        for t, s in pairwise(times):
            x = self.step(denoise, x, t, s)
        return x

    @abstractmethod
    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """From time `t` to the less noisy time `s`."""


class Euler(Solver):
    """First order; one call of the network a step. On these schedules the same as DDIM
    (Song et al. 2021, arXiv:2010.02502)."""

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return x + (s - t) * self.schedule.slope(x, denoise(x, t), t)


class Heun(Solver):
    """Second order; two calls a step, one in the last (Karras et al. 2022, algorithm 1)."""

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        before = self.schedule.slope(x, denoise(x, t), t)
        guess = x + (s - t) * before
        if s == 0:
            return guess
        after = self.schedule.slope(guess, denoise(guess, s), s)
        return x + (s - t) * 0.5 * (before + after)


class DPM(Solver):
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2): second order with one call a
    step, by extrapolating the clean estimate from the step before. Made for few steps."""

    def solve(self, denoise: Denoise, x: Tensor, times: Tensor) -> Tensor:
        self._last: tuple[Tensor, Tensor] | None = None  # the estimate before, and its log-SNR
        return super().solve(denoise, x, times)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        schedule = self.schedule
        now = clean = denoise(x, t)
        at = self._half_log_snr(t)
        if s == 0:
            return clean
        h = self._half_log_snr(s) - at
        if self._last is not None and bool(torch.isfinite(self._last[1])):
            before, then = self._last
            ratio = (at - then) / h
            clean = now + (now - before) / (2 * ratio)
        self._last = (now, at)
        keep = schedule.sigma(s) / schedule.sigma(t)
        return keep * x + (schedule.alpha(s) - schedule.alpha(t) * keep) * clean

    def _half_log_snr(self, t: Tensor) -> Tensor:
        return (self.schedule.alpha(t) / self.schedule.sigma(t)).log()


SOLVERS: dict[str, type[Solver]] = {"euler": Euler, "heun": Heun, "dpm": DPM}
