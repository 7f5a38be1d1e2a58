"""Langevin dynamics: steps down an energy, with noise, so that what is walked on follows exp(-E / T).

    y = x - a/2 dE/dx + sqrt(a T) noise

With a Metropolis test of each step (MALA, Roberts & Tweedie 1996) the distribution is exact whatever the step
size a: that is what an energy can do and a score alone cannot.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from genwright.batch import by_example

__all__ = ["Langevin", "gradient"]

EnergyFunction = Callable[[Tensor], Tensor]


def gradient(energy: EnergyFunction, x: Tensor, *, keep: bool = False) -> tuple[Tensor, Tensor]:
    """E `(B,)` and dE/dx at `x`; with `keep` the gradient can be differentiated again."""
    # Only the plain kernel of attention can be differentiated twice.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        x = x.detach().requires_grad_()
        e = energy(x)
        (slope,) = torch.autograd.grad(e.sum(), x, create_graph=keep)
    return e.detach(), slope


@dataclass
class Langevin:
    """One energy to walk on.

    energy       E of each example `(B,)`
    rng          of the noise (None: torch's own)
    temperature  T
    adjusted     whether each step is tested
    """

    energy: EnergyFunction
    rng: torch.Generator | None = None
    temperature: float = 1.0
    adjusted: bool = False

    def run(self, x: Tensor, scale: float, steps: int, size: float) -> tuple[Tensor, Tensor]:
        """`steps` of them, for a distribution that is as narrow as `scale` in some directions: where they
        end, and dE/dx there."""
        # The larger the example, the smaller the steps that still pass (Roberts & Rosenthal 1998).
        a = (size * scale) ** 2 * (x[0].numel() ** (-1 / 3) if self.adjusted else 1.0)
        at = gradient(self.energy, x)
        for _ in range(steps):
            drift = self._drift(at[1], a)
            y = x - drift + math.sqrt(a * self.temperature) * self._noise(x)
            there = gradient(self.energy, y)
            if not self.adjusted or self.temperature == 0:
                x, at = y, there
                continue
            back = self._drift(there[1], a)
            # log q(x|y) - log q(y|x)
            ways = ((y - x + drift).square() - (x - y + back).square()).flatten(1).sum(1)
            odds = (at[0] - there[0] + ways / (2 * a)) / self.temperature
            chance = torch.empty_like(odds).exponential_(generator=self.rng)
            passed = -chance < odds
            x = torch.where(by_example(passed, x), y, x)
            at = (
                torch.where(passed, there[0], at[0]),
                torch.where(by_example(passed, x), there[1], at[1]),
            )
        return x, at[1]

    def _drift(self, slope: Tensor, a: float) -> Tensor:
        # Cut off where it is far beyond the noise, so that no chain can leap away (MALTA).
        most = 4 * math.sqrt(a)
        return (0.5 * a * slope).clamp(-most, most)

    def _noise(self, x: Tensor) -> Tensor:
        return torch.empty_like(x).normal_(generator=self.rng)
