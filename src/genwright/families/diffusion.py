"""Diffusion: learn to undo noise, then walk from noise to data.

One family for DDPM, EDM and flow matching, which are schedules, and for every kind of space: symbols are
noised as one-hot vectors and read back as the likeliest (as in Chen et al. 2023, arXiv:2208.04202).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from genwright.batch import Batch, Cond
from genwright.bounds import Count, NonNegative
from genwright.errors import RecipeError
from genwright.families.base import Family, Phase
from genwright.families.guidance import guided
from genwright.families.schedules import DDPM, EDM, Flow, Schedule
from genwright.families.solvers import SOLVERS
from genwright.nets.blocks import TimeEmbedding
from genwright.nets.cond import Conditioner
from genwright.nets.roles import Nets
from genwright.space import Real, Space, Symbol

__all__ = ["Diffusion"]

SCHEDULES: dict[str, type[Schedule]] = {"flow": Flow, "edm": EDM, "ddpm": DDPM}


class Diffusion(Family):
    """A network that removes noise, and a solver that uses it."""

    accepts = frozenset({"real", "symbol", "mixed"})
    phases = (Phase("fit", lr=2e-3, betas=(0.9, 0.99)),)

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, Space],
        nets: Nets,
        *,
        schedule: Literal["flow", "edm", "ddpm"] = "flow",
        betas: Literal["cosine", "linear"] | None = None,
        prediction: Literal["v", "epsilon"] | None = None,
    ) -> None:
        """schedule: flow matching, EDM or DDPM.  betas: how the noise of ddpm grows (None: cosine).
        prediction: what its network answers with, v or the noise (None: v)."""
        super().__init__(space, cond, nets)
        self.schedule = _schedule(schedule, betas, prediction)
        self.tell = Conditioner(cond, space.grid, nets, "map", extra=True)
        self.time = TimeEmbedding(nets.dim)
        self.net = nets.map(space.grid, space.width, space.width, self.tell.told)
        # The data's own centre and spread, by channel, set once by `prepare`.
        self.register_buffer("mean", torch.zeros(space.width))
        self.register_buffer("std", torch.ones(space.width))

    mean: Tensor
    std: Tensor

    def prepare(self, batch: Batch) -> None:
        """Centre and spread of the embedded data. All channels of a symbol share one spread, since
        a rare one brought to unit spread would drown the others."""
        x = self.space.embed(batch.x).movedim(1, 0).flatten(1)
        self.mean.copy_(x.mean(1))
        for slot in self.space.slots():
            channels = x[slot.width]
            spread = channels.std(1) if isinstance(slot.span, Real) else _rms(channels)
            self.std[slot.width] = spread.clamp_min(1e-2)
        bounded = [s for s in self.space.slots() if isinstance(s.span, Real) and s.span.bounded]
        for slot in bounded:  # the channels of a picture keep their balance
            self.std[slot.width] = self.std[slot.width].square().mean().sqrt()

    def _normal(self, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * len(self.space.grid))
        return (
            (self.space.embed(x) - self.mean.view(shape)) / self.std.view(shape) * self.schedule.data_std
        )

    def _plain(self, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * len(self.space.grid))
        return x / self.schedule.data_std * self.std.view(shape) + self.mean.view(shape)

    def _answer(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """The network's answer at time `t` `(B, 1, ...)`."""
        seen, number = self.schedule.shown(x, t)
        return self.net(seen, cond.plus(self.time(number))).float()

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        return {"denoise": self._errors(batch).mean()}

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean weighted squared error per number, at the training's times."""
        errors = self._errors(batch)
        return errors.sum(), torch.tensor(float(len(errors)), device=errors.device)

    def _errors(self, batch: Batch) -> Tensor:
        """Weighted squared error of each example `(B,)`, a mean over its numbers."""
        n, clean = len(batch), self._normal(batch.x)
        # Spread evenly over the batch, so that the loss is less noisy than with free draws.
        u = (torch.randperm(n, device=clean.device) + torch.rand(n, device=clean.device)) / n
        t = self.schedule.draw(u.clamp(1e-6, 1 - 1e-6)).view(-1, *[1] * (clean.ndim - 1))
        noise = torch.randn_like(clean)
        x = self.schedule.alpha(t) * clean + self.schedule.sigma(t) * noise
        answer = self._answer(x, t, self.tell(batch.cond, n, x))
        errors = self.schedule.loss(answer, x, noise, clean, t)
        if batch.mask is not None:
            share = batch.mask.float().flatten(1).mean(1).clamp_min(1e-6)
            return (errors * batch.mask[:, None]).flatten(1).mean(1) / share
        return errors.flatten(1).mean(1)

    def _sample(
        self,
        n: int,
        cond: dict[str, Tensor],
        rng: torch.Generator,
        *,
        steps: Count = 32,
        solver: Literal["euler", "heun", "dpm", "ancestral", "sde"] = "dpm",
        guidance_scale: float = 1.0,
        temperature: NonNegative = 1.0,
    ) -> Tensor:
        """steps: of the solver; 8 are often enough with `dpm`.  solver: euler, heun and dpm follow an ODE;
        ancestral and sde add fresh noise, and want more steps.  guidance_scale: above 1 exaggerates the
        condition.  temperature: spread of the noise."""
        schedule = self.schedule
        shape = (n, self.space.width, *self.space.grid)
        noise = torch.randn(shape, generator=rng, device=self.device)
        told = self.tell(cond, n, noise)
        untold = self.tell({}, n, noise) if cond else None
        low, high = self._bounds()

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            at = t.expand(n).view(-1, *[1] * (x.ndim - 1))
            answer = guided(lambda c: self._answer(x, at, c), told, untold, guidance_scale)
            return torch.minimum(torch.maximum(schedule.clean(answer, x, at), low), high)

        times = schedule.times(steps, self.device)
        x = SOLVERS[solver](schedule, rng, temperature).solve(
            denoise, temperature * schedule.sigma(times[0]) * noise, times
        )
        return self.space.draw(self._plain(x))

    def _bounds(self) -> tuple[Tensor, Tensor]:
        """The range of each channel that is known to have one, in normalised units."""
        low = self.mean.new_full((self.space.width,), -torch.inf)
        high = -low
        for slot in self.space.slots():
            if isinstance(slot.span, Symbol) or slot.span.bounded:
                low[slot.width] = 0.0 if isinstance(slot.span, Symbol) else -1.0
                high[slot.width] = 1.0
        shape = (1, -1, *[1] * len(self.space.grid))
        scale = self.schedule.data_std / self.std
        return ((low - self.mean) * scale).view(shape), ((high - self.mean) * scale).view(shape)


def _schedule(
    name: str, betas: Literal["cosine", "linear"] | None, prediction: Literal["v", "epsilon"] | None
) -> Schedule:
    if name == "ddpm":
        return DDPM(betas or "cosine", prediction or "v")
    for option, value in (("betas", betas), ("prediction", prediction)):
        if value is not None:
            raise RecipeError(
                f"family.{option}={value} says how a ddpm is made, and family.schedule is {name}: leave it "
                f"out, or set family.schedule=ddpm"
            )
    return SCHEDULES[name]()


def _rms(x: Tensor) -> Tensor:
    return (x - x.mean(1, keepdim=True)).square().mean().sqrt()
