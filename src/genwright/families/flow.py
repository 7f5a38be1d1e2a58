"""Normalizing flow: an invertible map from the data to a normal distribution, whose likelihood is exact.

    log p(x) = log N(f(x); 0, 1) + log |det df/dx|

f is a stack of steps: a learned mix of the channels, a normalisation, and a change of some numbers as
others say, by couplings (RealNVP, Dinh et al. 2017, arXiv:1605.08803) or one after the other (masked
autoregressive flow, Papamakarios et al. 2017, arXiv:1705.07057), affine or by splines (Durkan et al. 2019,
arXiv:1906.04032).
A grid is taken apart at several scales, finest details first (RealNVP, section 3.6).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from genwright.batch import Batch, Cond, by_channel
from genwright.families.base import Phase, summed
from genwright.families.capabilities import DensityEstimator, Encoder, LatentVariable
from genwright.families.dequantize import Dequantizer
from genwright.families.transforms import (
    ActNorm,
    Affine,
    AutoregressiveTransform,
    Chain,
    Coupling,
    Elementwise,
    Mix,
    Spline,
    Transform,
    Unbound,
)
from genwright.nets.cond import Conditioner
from genwright.nets.roles import CondShape, Grid, Nets
from genwright.options import Count, NonNegative
from genwright.space import CondSpec, Space

__all__ = ["Flow", "squeeze", "unsqueeze"]

FARTHEST = 1e15
"""Of a latent number from zero: its square is still finite in float32."""


class Flow(DensityEstimator, LatentVariable, Encoder):
    """A chain of invertible transforms, and a standard normal at its end."""

    accepts = frozenset({"real"})
    loss_units = ("nats a number", "nats an example")
    stacked = "steps"
    likelihood = "exact"
    bridges = ("dequantize",)  # a density over one-hot numbers may be as high as one likes

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        transform: Literal["affine", "spline"] = "spline",
        order: Literal["coupling", "autoregressive"] = "coupling",
        steps: Count = 6,
        bins: Annotated[int, Ge(2)] = 16,
        scales: Count = 3,
        mix: bool = True,
        levels: Annotated[int, Ge(2)] | None = 256,
        noise: NonNegative = 0.0,
    ) -> None:
        """transform: how one number is changed.  order: half of the numbers as the other half says, or each
        as those before it say (sampling then takes one turn for each).  steps: of the stack, at each scale.
        bins: pieces of a spline.  scales: of a grid, at most; an axis is halved where its size is even and 4
        or more.  mix: learn how to mix the channels between the steps (else only permute them).  levels: that
        numbers in [-1, 1] have; where training examples lie on so many, each is spread evenly over its share
        of the range, since of levels alone a density may be as high as one likes (Theis et al. 2016,
        arXiv:1511.01844, section 3.1).  noise: standard deviation of what is added to unbounded numbers in
        training, for the like reason, where many of them are equal."""
        super().__init__(space, cond, nets)
        self.latent_dim = space.stored * space.positions
        # The networks of a row bear larger steps than those of a grid, and leave fewer strays that way.
        self.phases = (Phase("fit", lr=2e-3 if space.grid else 5e-3, fan_in=2304),)
        self.levels, self.noise = Dequantizer(space, levels), noise
        self.causal = order == "autoregressive"
        self.quick = not self.causal
        self.conditioner = Conditioner(self.cond, space.grid, nets, "causal" if self.causal else "map")
        kind = Affine() if transform == "affine" else Spline(bins)
        self.unbound = Unbound(space.real_mask(bounded=True))
        self.by = _halvings(space.grid, scales)
        self.shapes: list[tuple[int, Grid]] = []  # within each scale
        self.chains = nn.ModuleList()
        channels, grid, cond_shape = space.stored, space.grid, self.conditioner.shape
        for by in self.by:
            channels, grid = channels * math.prod(by), _shorter(grid, by)
            cond_shape = replace(cond_shape, grid=cond_shape.grid * math.prod(by))
            self.shapes.append((channels, grid))
            self.chains.append(_chain(steps, channels, grid, kind, nets, cond_shape, mix, self.causal))
            channels //= 2  # the rest is done with

    # -- there and back ------------------------------------------------------------------------

    @property
    def lanes(self) -> int:
        """1: of its small products the last digits of a row hang on which row it is."""
        return 1

    def _cond_by_scale(self, cond: Cond) -> list[Cond]:
        """The condition at each scale: one on the grid goes along with it."""
        found = []
        for by in self.by:
            if cond.grid is not None:
                cond = replace(cond, grid=squeeze(cond.grid, by))
            found.append(cond)
        return found

    def _forward(self, x: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        """Stored examples to latents `(B, dim)` and log |det| `(B,)`."""
        x, total = self.unbound(x.float(), cond)
        done = []
        last = len(self.by) - 1
        for i, (by, scale_cond) in enumerate(zip(self.by, self._cond_by_scale(cond), strict=True)):
            x, log_det = self.chains[i](squeeze(x, by), scale_cond)
            total = total + log_det
            # What leaves is the half that the last coupling has just changed as the other half says: that
            # coupling is the learned prior of Glow's split.
            stay = x.shape[1] if i == last else x.shape[1] // 2
            done.append(x[:, stay:].flatten(1))
            x = x[:, :stay]
        z = torch.cat([*done, x.flatten(1)], dim=1)
        return z.clamp(-FARTHEST, FARTHEST), total

    def _inverse(self, z: Tensor, cond: Cond) -> Tensor:
        """Latents to stored examples."""
        sizes = [(c - c // 2) * math.prod(grid) for c, grid in self.shapes[:-1]]
        *done, rest = torch.split(z, [*sizes, z.shape[1] - sum(sizes)], dim=1)
        channels, grid = self.shapes[-1]
        x = rest.reshape(len(z), channels, *grid)
        conds = self._cond_by_scale(cond)
        for i in reversed(range(len(self.by))):
            if i < len(done):
                x = torch.cat([x, done[i].reshape(len(z), -1, *self.shapes[i][1])], dim=1)
            chain = self.chains[i]
            assert isinstance(chain, Transform)
            x = unsqueeze(chain.inverse(x, conds[i]), self.by[i])
        return self.unbound.inverse(x, cond)

    # -- training ------------------------------------------------------------------------------

    @torch.no_grad()
    def prepare(self, batch: Batch) -> None:
        """Whether numbers lie on levels, and the first scales (ActNorm)."""
        self.levels.fit(batch.x)
        cond = self.conditioner(batch.cond, len(batch), batch.x, self._none(batch))
        x, _ = self.unbound(self.levels.dequantize(batch.x.float()), cond)
        for i, (by, scale_cond) in enumerate(zip(self.by, self._cond_by_scale(cond), strict=True)):
            chain = self.chains[i]
            assert isinstance(chain, Transform)
            x = chain.prepare(squeeze(x, by), scale_cond)
            x = x[:, : x.shape[1] // 2]

    def _none(self, batch: Batch) -> dict[str, Tensor]:
        """No example goes without its conditions."""
        return {
            name: torch.zeros(len(batch), dtype=torch.bool, device=batch.x.device) for name in self.cond
        }

    def _log_prob(self, x: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        z, log_det = self._forward(x, self.conditioner(cond, len(x), x))
        return log_det - 0.5 * (z.square() + math.log(2 * math.pi)).sum(1)

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        """Nats of one number, so that the size of an example does not set the size of a gradient."""
        self.refuse_mask(batch)
        x = self.levels.dequantize(batch.x.float())
        if self.noise:
            free = ~self.unbound.bounded
            x = x + self.noise * by_channel(free, x) * torch.randn_like(x)
        numbers = self.space.stored * self.space.positions
        return {"nll": -self._log_prob(x, batch.cond).mean() / numbers}

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats of an example, its levels spread as in training."""
        self.refuse_mask(batch)
        return summed(-self._log_prob(self.levels.dequantize(batch.x.float()), batch.cond))

    # -- use -----------------------------------------------------------------------------------

    def log_prob(self, batch: Batch) -> Tensor:
        """The log-density of each example as it is stored, in nats `(B,)`; all of its positions count,
        whatever its mask, since the density of a part is not known."""
        return self._log_prob(batch.x, batch.cond)

    def encode(self, batch: Batch) -> Tensor:
        """The latent `(B, stored * positions)`, standard normal if the model is true."""
        return self._forward(batch.x, self.conditioner(batch.cond, len(batch), batch.x))[0]

    def decode(self, codes: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        return self._inverse(codes, self.conditioner(cond, len(codes), codes))

    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        *,
        temperature: NonNegative = 1.0,
    ) -> Tensor:
        """temperature: scale of the latent."""
        numbers = self.space.stored * self.space.positions
        z = temperature * torch.randn(n, numbers, generator=rng, device=self.device)
        return self._inverse(z, self.conditioner(given, n, z))


def _chain(
    steps: int,
    channels: int,
    grid: Grid,
    kind: Elementwise,
    nets: Nets,
    cond_shape: CondShape,
    mix: bool,
    causal: bool,
) -> Chain:
    """The steps of one scale."""
    parts: list[Transform] = []
    for i in range(steps):
        odd = i % 2 == 1
        if channels > 1:
            # After a flip the half that stayed is the one to be changed, and the first number of a row the
            # last.
            order = torch.arange(channels).flip(0) if odd else torch.randperm(channels)
            parts.append(Mix(order, learn=mix))
        parts.append(ActNorm(channels))
        parts.append(
            AutoregressiveTransform(channels, grid, kind, nets, cond_shape, backward=odd and bool(grid))
            if causal
            else Coupling(channels, grid, kind, nets, cond_shape, odd=odd)
        )
    return Chain(*parts)


def squeeze(x: Tensor, by: Grid) -> Tensor:
    """Positions into channels (RealNVP, section 3.6): axis i becomes `by[i]` times shorter."""
    batch, channels, *grid = x.shape
    split = [n for size, f in zip(grid, by, strict=True) for n in (size // f, f)]
    rank = len(grid)
    order = [0, 1, *range(3, 3 + 2 * rank, 2), *range(2, 2 + 2 * rank, 2)]
    small = [size // f for size, f in zip(grid, by, strict=True)]
    return x.reshape(batch, channels, *split).permute(order).reshape(batch, -1, *small)


def unsqueeze(y: Tensor, by: Grid) -> Tensor:
    """The way back of `squeeze`."""
    batch, _, *grid = y.shape
    rank = len(grid)
    order = [0, 1, *(n for i in range(rank) for n in (2 + rank + i, 2 + i))]
    large = [size * f for size, f in zip(grid, by, strict=True)]
    return y.reshape(batch, -1, *by, *grid).permute(order).reshape(batch, -1, *large)


def _halvings(grid: Grid, scales: int) -> list[Grid]:
    """By what each axis is made shorter on entering each scale; a single scale where nothing can be."""
    found: list[Grid] = []
    while len(found) < scales:
        by = tuple(2 if size % 2 == 0 and size >= 4 else 1 for size in grid)
        if found and math.prod(by) == 1:
            break
        found.append(by)
        grid = _shorter(grid, by)
    return found


def _shorter(grid: Grid, by: Grid) -> Grid:
    return tuple(size // f for size, f in zip(grid, by, strict=True))
