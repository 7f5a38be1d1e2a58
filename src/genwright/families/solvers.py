"""From noise to data in a chosen number of steps: along the probability-flow ODE, or with fresh noise at each
step along an SDE of the same marginals (Song et al. 2021, arXiv:2011.13456, section 4.3).

The base owns the walk over the times; a solver owns one step. `denoise(x, t)` is the estimate of the
clean example. A solver that goes in a straight line also says where to, `denoise(x, t, s)`: some networks
know where that line should point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from genwright.families.schedules import Schedule

__all__ = ["DPM", "SDE", "SOLVERS", "Ancestral", "Denoise", "Euler", "Heun", "Solver"]


class Denoise(Protocol):
    """The estimate of the clean example in `x` at time `t`, for a step to `s`."""

    def __call__(self, x: Tensor, t: Tensor, s: Tensor | None = None) -> Tensor: ...


class Solver(ABC):
    """Walks from the first to the last of the times.

    rng          of the fresh noise, where a solver takes any
    temperature  scale of that noise
    """

    def __init__(
        self, schedule: Schedule, rng: torch.Generator | None = None, temperature: float = 1.0
    ) -> None:
        self.schedule, self.rng, self.temperature = schedule, rng, temperature

    def solve(
        self,
        denoise: Denoise,
        x: Tensor,
        times: Tensor,
        after: Callable[[int], None] = lambda number: None,
    ) -> Tensor:
        """From noise `x` at the first of the times; `after` is told of each step, by its number from 1 on."""
        for number, (t, s) in enumerate(pairwise(times), 1):
            x = self.step(denoise, x, t, s)
            after(number)
        return x

    @abstractmethod
    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """From time `t` to the less noisy time `s`."""

    def _keeping(self, x: Tensor, clean: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The same noise at `s`, if the clean example is right."""
        alpha, sigma = self.schedule.alpha, self.schedule.sigma
        keep = sigma(s) / sigma(t)
        return keep * x + (alpha(s) - alpha(t) * keep) * clean

    def _renewing(self, x: Tensor, clean: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """A draw of what was at `s`, given `x` at `t` and the clean example (Kingma et al. 2021,
        arXiv:2107.00630, eq. 32, which holds for every schedule)."""
        alpha, sigma = self.schedule.alpha, self.schedule.sigma
        ratio = alpha(t) * sigma(s) / (alpha(s) * sigma(t))  # of the signal-to-noise ratios' roots
        share = 1 - ratio.square()
        z = torch.empty_like(x).normal_(generator=self.rng)
        fresh = self.temperature * sigma(s) * share.sqrt() * z
        return sigma(s) / sigma(t) * ratio * x + alpha(s) * share * clean + fresh


class Euler(Solver):
    """First order; one call of the network a step. As in DDIM (Song et al. 2021, arXiv:2010.02502,
    eq. 12 without noise), which is Euler's method for `flow` and `edm`."""

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return self._keeping(x, denoise(x, t, s), t, s)


class Heun(Solver):
    """Second order; two calls a step, one in the last (Karras et al. 2022, arXiv:2206.00364,
    algorithm 1)."""

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        clean = denoise(x, t)
        if s == 0:
            return self._keeping(x, clean, t, s)
        before = self.schedule.velocity(x, clean, t)
        guess = x + (s - t) * before
        after = self.schedule.velocity(guess, denoise(guess, s), s)
        return x + (s - t) * 0.5 * (before + after)


class Ancestral(Solver):
    """First order, with fresh noise at each step (Ho et al. 2020, arXiv:2006.11239, algorithm 2; DDIM
    with eta = 1). Wants many steps, and forgets the errors of earlier ones."""

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return self._renewing(x, denoise(x, t), t, s)


class DPM(Solver):
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2): second order with one call a
    step, by extrapolating the clean estimate from the step before. Made for few steps."""

    def solve(
        self,
        denoise: Denoise,
        x: Tensor,
        times: Tensor,
        after: Callable[[int], None] = lambda number: None,
    ) -> Tensor:
        self._last: tuple[Tensor, Tensor] | None = None  # the estimate before, and its log-SNR
        return super().solve(denoise, x, times, after)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        now = clean = denoise(x, t)
        if s == 0:
            return clean
        at = self._half_log_snr(t)
        if self._last is not None and bool(torch.isfinite(self._last[1])):
            before, then = self._last
            ratio = (at - then) / (self._half_log_snr(s) - at)
            clean = now + (now - before) / (2 * ratio)
        self._last = (now, at)
        return self._move(x, clean, t, s)

    def _move(self, x: Tensor, clean: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return self._keeping(x, clean, t, s)

    def _half_log_snr(self, t: Tensor) -> Tensor:
        return (self.schedule.alpha(t) / self.schedule.sigma(t)).log()


class SDE(DPM):
    """SDE-DPM-Solver++(2M) (the same paper, appendix B): `dpm` with fresh noise at each step."""

    def _move(self, x: Tensor, clean: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return self._renewing(x, clean, t, s)


SOLVERS: dict[str, type[Solver]] = {
    "euler": Euler,
    "heun": Heun,
    "dpm": DPM,
    "ancestral": Ancestral,
    "sde": SDE,
}
