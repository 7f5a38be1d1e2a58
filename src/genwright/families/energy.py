"""Energy-based models: one number for each example, low where data lie, `p(x) ~ exp(-E(x))`.

There are two ways to train it, and neither needs the normaliser. **denoising**: the energy of data under
noise of many levels, whose gradient is fitted by denoising score matching (Vincent 2011; Song & Ermon 2019,
arXiv:1907.05600); samples come by Langevin dynamics from the most noise to the least. **contrastive**: the
energy of data is lowered and that of the model's own samples raised, which short runs of Langevin steps keep
up to date in a replay buffer (Tieleman 2008; Du & Mordatch 2019, arXiv:1903.08689; Nijkamp et al. 2019,
arXiv:1904.09770); samples begin from there.

The network says how far the energy is from that of a Gaussian of the data's variance. For x = data + sigma
noise and u = x / sqrt(1 + sigma^2):

    E(x, sigma) = |u|^2 / 2 + net(u, sigma) / sigma

so that its input, and the target of its gradient, have unit size at every level of noise: this is what EDM
(Karras et al. 2022, arXiv:2206.00364, section 5) does for a denoiser, D(x) = x - sigma^2 dE/dx, as an energy
(Salimans & Ho 2021, "Should EBMs model the energy or the score?", have other forms of one).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from genwright.batch import Batch, Cond, by_example
from genwright.errors import RecipeError
from genwright.families.base import Phase, summed
from genwright.families.capabilities import Generative
from genwright.families.drafts import Draft, reached
from genwright.families.guidance import guided, guided_conds
from genwright.families.langevin import Langevin, gradient
from genwright.families.noise import Waves, example_mean, stratified
from genwright.families.replay_buffer import Replay
from genwright.families.standardize import Scaling
from genwright.nets.auto import Auto
from genwright.nets.blocks import TimeEmbedding
from genwright.nets.cond import Conditioner
from genwright.nets.resnet import ResNetNets
from genwright.nets.roles import Nets
from genwright.options import Count, Natural, NonNegative, Positive, Share
from genwright.space import CondSpec, Space

__all__ = ["Energy"]

NUMBERS = 1 << 22
"""In a replay buffer, at most, where its size is left open."""


class Energy(Generative):
    """An energy, and Langevin dynamics that go down on it."""

    accepts = frozenset({"real", "symbol", "mixed"})
    loss_units = ("weighted squared error", "weighted squared error")
    phases = (Phase("fit", lr=2e-3),)

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        objective: Literal["denoising", "contrastive"] = "denoising",
        sigma_min: Positive | None = None,
        sigma_max: Positive = 10.0,
        waves: Natural | None = None,
        chain: Count = 20,
        chain_step: Positive = 1.0,
        renew: Share = 0.05,
        regularise: NonNegative = 0.01,
        buffer: Count | None = None,
    ) -> None:
        """objective: denoising score matching at many levels of noise, or contrastive divergence with a
        replay buffer.  sigma_min: the least noise on the data, in their standard deviation (None: 0.01,
        contrastive 0.1, which has no other level).  sigma_max: the most (denoising).  waves: sines and
        cosines of each number that the network sees beside it, each twice as fine as the one before (None: 4
        in a row, 0 on a grid): what lies in many pieces is learnt several times faster.  The rest is for
        contrastive. chain: Langevin steps in each step of training.  chain_step: size of their noise, in
        sigma_min. renew: share of the chains that begin anew from noise.  regularise: weight of the squared
        answers of the network.  buffer: chains that are kept (None: 10,000, fewer of large examples)."""
        super().__init__(space, cond, nets)
        self.denoising = objective == "denoising"
        self.adversarial = not self.denoising  # its chains answer to what the energy learns
        self.low = sigma_min or (0.01 if self.denoising else 0.1)
        self.high = sigma_max if self.denoising else self.low
        if self.denoising and self.high <= self.low:
            raise RecipeError(
                f"family.sigma_max must be above family.sigma_min, got {self.high:g} and {self.low:g}",
                code="contradicting-options",
            )
        self.chain, self.chain_step = chain, chain_step
        self.renew, self.regularise = renew, regularise
        nets = _fitting(nets)
        self.scaling = Scaling(space)
        self.conditioner = Conditioner(self.cond, space.grid, nets, "encode", extra=self.denoising)
        self.time = TimeEmbedding(nets.dim) if self.denoising else None
        self.waves = Waves(space, (0 if space.grid else 4) if waves is None else waves, base=2.0)
        self.net = nets.encode(space.grid, (), self.waves.width, 1, self.conditioner.shape, score=True)
        size = buffer or max(128, min(10_000, NUMBERS // (space.width * space.positions)))
        spaces = {name: spec.space for name, spec in self.cond.items()}
        self.replay = None if self.denoising else Replay(size, space, spaces)

    def prepare(self, batch: Batch) -> None:
        self.scaling.fit(batch.x)
        if self.replay is not None:
            self.replay.fill(batch.cond)

    def exchange(self, gather: Callable[[Tensor], list[Tensor]]) -> None:
        if self.replay is not None:
            self.replay.exchange(gather)

    # -- the energy ----------------------------------------------------------------------------

    def energy(self, batch: Batch, sigma: float | None = None) -> Tensor:
        """E of each example `(B,)` among data with a noise `sigma`, in their std (None: the least;
        contrastive has no other): the lower, the likelier. There is no normaliser, and the less the noise,
        the more an error of the network counts."""
        x = self.scaling.normal(batch.x)
        at = x.new_tensor(self.low if sigma is None else min(max(sigma, self.low), self.high))
        return self._energy(x, at, self.conditioner(batch.cond, len(batch), x))

    def _energy(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """E of normal examples `(B, width, *grid)` at a noise `sigma`, `()` or `(B,)`."""
        return self._split_energy(x, sigma, cond)[0]

    def _split_energy(self, x: Tensor, sigma: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        """E, and the network's share in it."""
        sigma = sigma.expand(len(x))
        u = x / by_example((1 + sigma.square()).sqrt(), x)
        if self.time is not None:
            cond = cond.plus(self.time(sigma.log() / 4))
        # The energy of many numbers is a large number of which differences count.
        with torch.autocast(x.device.type, enabled=False):
            answer = self.net(self.waves(u.float()), cond).float().squeeze(1) / sigma
        return 0.5 * u.square().flatten(1).sum(1) + answer, answer

    # -- training ------------------------------------------------------------------------------

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        with torch.autocast(batch.x.device.type, enabled=False):
            if self.denoising:
                return {"denoise": self._errors(batch).mean()}
            return self._contrast(batch)

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean weighted squared error of denoising, per number, at the training's levels."""
        if not self.denoising:
            return super().heldout(batch)
        return summed(self._errors(batch).detach())

    def condition_gain(self, batch: Batch, others: Mapping[str, Tensor], *, seed: int) -> Tensor:
        """Of the energy itself where the loss is a contrast with a walk that reads the conditions too. The normalisers
        of conditions that are exchanged cancel."""
        if self.denoising:
            return super().condition_gain(batch, others, seed=seed)
        other = Batch(batch.x, {**batch.cond, **others})
        return (self.energy(other) - self.energy(batch)).mean()

    def _errors(self, batch: Batch) -> Tensor:
        """(1 + sigma^2) / sigma^2 |D(x + sigma e) - x|^2 of each example `(B,)`, a mean over its numbers."""
        n, clean = len(batch), self.scaling.normal(batch.x)
        sigma = self.low * (self.high / self.low) ** stratified(n, clean.device)
        wide = by_example(sigma, clean)
        x = clean + wide * torch.randn_like(clean)
        cond = self.conditioner(batch.cond, n, x)
        slope = gradient(lambda y: self._energy(y, sigma, cond), x, keep=torch.is_grad_enabled())[1]
        errors = (1 + wide.square()) * ((x - clean) / wide - wide * slope).square()
        return example_mean(errors, batch.mask)

    def _contrast(self, batch: Batch) -> dict[str, Tensor]:
        assert self.replay is not None
        n, sigma = len(batch), batch.x.new_tensor(self.low, dtype=torch.float32)
        drop_mask = self.conditioner.draw_drop_mask(n, batch.x)
        x = self.scaling.normal(batch.x)
        x = x + sigma * torch.randn_like(x)
        taken = self.replay.draw(n, batch.cond, drop_mask, self.renew, math.hypot(1, self.low))
        with torch.no_grad():
            cond = self.conditioner(taken.cond, len(taken.x), x, taken.drop_mask)
            walk = Langevin(lambda y: self._energy(y, sigma, cond))
            made, _ = walk.run(taken.x, self.low, self.chain, self.chain_step)
            if self.training:
                self.replay.put(replace(taken, x=made))
        on_data, answer = self._split_energy(x, sigma, self.conditioner(batch.cond, n, x, drop_mask))
        on_made, other = self._split_energy(
            made, sigma, self.conditioner(taken.cond, len(made), x, taken.drop_mask)
        )
        return {
            "contrast": on_data.mean() - on_made.mean(),
            "size": self.regularise * (answer.square().mean() + other.square().mean()),
        }

    # -- sampling ------------------------------------------------------------------------------

    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        *,
        steps: Count | None = None,
        corrections: Natural = 1,
        step_size: Positive = 1.0,
        adjusted: bool = True,
        temperature: NonNegative = 1.0,
        guidance_scale: float = 1.0,
    ) -> Tensor:
        """steps: levels of noise to go down (None: 32), or contrastive Langevin steps from the buffer
        (None: 200).  corrections: Langevin steps at each level.  step_size: of their noise, in the level's.
        adjusted: accept or refuse each Langevin step by the energy (Metropolis), so that a level's
        distribution is exact whatever the step.  temperature: samples follow exp(-E / temperature).
        guidance_scale: above 1 exaggerates the condition."""
        like = self.scaling.mean
        cond, uncond = guided_conds(self.conditioner, given, n, like, guidance_scale)

        def at(sigma: Tensor) -> Langevin:
            def energy(x: Tensor) -> Tensor:
                return guided(lambda c: self._energy(x, sigma, c), cond, uncond, guidance_scale)

            return Langevin(energy, rng, temperature, adjusted)

        if self.replay is not None:
            start = self.replay.near(n, given, rng)
            walk = at(self.scaling.mean.new_tensor(self.low))
            x, slope = walk.run(start, self.low, steps or 200, step_size)
        else:
            levels = self._levels(steps or 32)
            x = torch.empty(n, self.space.width, *self.space.grid, device=self.device)
            x = float(levels[0]) * x.normal_(generator=rng)
            for number, (sigma, lower) in enumerate(zip(levels, [*levels[1:], None], strict=True), 1):
                walk = at(sigma)
                x, slope = walk.run(x, float(sigma), corrections, step_size)
                reached(Draft(number, len(levels), functools.partial(self._example, x)))
                if lower is not None:
                    x = _down(x, slope, float(sigma), float(lower))
        # What is left of the noise is taken away (Jolicoeur-Martineau et al. 2020, arXiv:2009.05475).
        x = x - self.low**2 * slope
        return self._example(x)

    def _example(self, x: Tensor) -> Tensor:
        return self.space.draw(self.scaling.plain(x))

    def _levels(self, steps: int) -> Tensor:
        """From the most noise to the least (Karras et al. 2022, equation 5)."""
        if steps == 1:
            return torch.tensor([self.low], device=self.device)
        ramp = torch.linspace(0, 1, steps, device=self.device)
        high, low = self.high ** (1 / 7), self.low ** (1 / 7)
        return (high + ramp * (low - high)) ** 7


def _down(x: Tensor, slope: Tensor, sigma: float, lower: float) -> Tensor:
    """To a lower noise along the probability-flow ODE (Song et al. 2021, arXiv:2011.13456, equation 13), one
    step of Euler in the angle arctan(sigma): there u stands still where data are Gaussian."""
    angle, after = math.atan(sigma), math.atan(lower)
    u = math.cos(angle) * x
    velocity = sigma / math.cos(angle) * slope - sigma * u
    return (u + (after - angle) * velocity) / math.cos(after)


def _fitting(nets: Nets) -> Nets:
    """Where the choice is left to us, a smooth net without a norm: it is its slope that is learnt."""
    if not isinstance(nets, Auto):
        return nets
    return nets.in_size(ResNetNets, smooth=True)
