"""Restore an example from a damaged one: super-resolution, inpainting, denoising, deblurring, colouring.

Pairs are made from the examples themselves: what a person would have given is the example, damaged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.batch import by_channel
from genwright.errors import Incompatible, RecipeError
from genwright.options import Count, Positive
from genwright.space import CondSpec, Real, Space, Symbol
from genwright.tasks.base import Ask, Example, Given, Infills, Request, Task, TaskSpec
from genwright.tasks.complete import Complete, Fill

__all__ = ["How", "Restore", "blurred", "coarse", "grey", "noisy"]

How = Literal["super-resolution", "inpaint", "denoise", "deblur", "colour"]
DAMAGED = "damaged"
LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the brightness (ITU-R BT.601), as Pillow's grey."""


class Restore(Task):
    """x is the whole example; what is given is the example damaged, and its labels."""

    def __init__(
        self,
        *,
        make: str = "",
        given: Sequence[str] = (),
        how: How = "super-resolution",
        factor: Count = 2,
        noise: Positive = 0.25,
        blur: Positive = 1.5,
        fill: Fill | None = None,
    ) -> None:
        """how: what was done to what is given.  factor: so many times coarser along each axis (super-resolution).
        noise: standard deviation of the noise, where values go from -1 to 1 (denoise).  blur: standard deviation
        of a Gaussian, in positions (deblur).  fill: what stands in a hole at first: `smooth`, what continues around it,
        `slope`, what goes on with the slopes at its edge as well, or nothing (inpaint; None: smooth in new runs)."""
        super().__init__(make=make, given=given)
        self.how: How = how
        self.factor, self.noise, self.blur = factor, noise, blur
        self._holes = Complete(make=make, given=given, holes="box") if how == "inpaint" else None
        if self._holes is not None:
            self._holes.fill = fill or "nothing"
        self._space: Space | None = None

    def spec(self, fields: Mapping[str, Space], *, infills: Infills = "no") -> TaskSpec:
        given, space = self.others(fields), fields[self.make]
        if not space.grid:
            raise Incompatible(
                f"task.how={self.how} restores an example on a grid, and {self.make!r} is {space}: choose "
                f"task.name=complete, which fills in its cells",
                code="restore-needs-a-grid",
            )
        if self._holes is not None:
            self._holes.make = self.make
            if space.kind != "real":
                self._holes.fill = "nothing"
            return replace(self._holes.spec(fields, infills=infills), local=True)
        self._space = space
        damaged = self._damaged(space)
        asks = {name: Ask(name, one, missing="draw") for name, one in given.items()}
        asks[self.make] = Ask(self.make, damaged, missing="draw")
        conds = {name: CondSpec(one) for name, one in given.items()}
        conds[DAMAGED] = CondSpec(damaged, drop=0.0, align=True)
        return TaskSpec(self.make, space, conds, asks, local=True)

    def _damaged(self, space: Space) -> Space:
        """The space of what is given. Raises `RecipeError` or `Incompatible` where it cannot be."""
        real = space.kind == "real"
        if self.how == "super-resolution":
            if self.factor < 2 or any(size % self.factor for size in space.grid):
                sides = " x ".join(map(str, space.grid))
                divisors = [
                    f for f in range(2, min(space.grid) + 1) if not any(s % f for s in space.grid)
                ]
                way_out = (
                    f"choose {' or '.join(map(str, divisors))}" if divisors else "choose another size"
                )
                raise RecipeError(
                    f"task.factor={self.factor} does not divide {sides} into whole positions: {way_out}",
                    code="factor-does-not-divide",
                )
            return Space(tuple(size // self.factor for size in space.grid), space.spans)
        if not real:
            raise Incompatible(
                f"task.how={self.how} is for numbers, and {self.make!r} is {space}: choose inpaint or "
                f"super-resolution",
                code="restore-needs-numbers",
            )
        if self.how != "colour":
            return space
        if space.stored != len(LUMA):
            raise Incompatible(
                f"colouring makes red, green and blue, and {self.make!r} has {space.stored} channels: name data "
                f"with colours, or set its channels to rgb",
                code="colour-needs-channels",
            )
        return Space(space.grid, (Real(1, bounded=True),))

    def ask(self, example: Example, rng: torch.Generator) -> Given:
        if self._holes is not None:
            return self._holes.ask(example, rng)
        return {name: example[name] for name in self.given} | {
            self.make: self._damage(example[self.make], rng)
        }

    def _damage(self, x: Tensor, rng: torch.Generator) -> Tensor:
        assert self._space is not None, "spec comes first"
        if self.how == "super-resolution":
            return coarse(self._space, x, self.factor)
        if self.how == "denoise":
            return noisy(self._space, x, self.noise, rng)
        return blurred(x, self.blur) if self.how == "deblur" else grey(x)

    def request(self, n: int, given: Given, rng: torch.Generator) -> Request:
        if self._holes is not None:
            return self._holes.request(n, given, rng)
        cond = {name: one for name, one in given.items() if isinstance(one, Tensor)}
        if self.make in cond:
            cond[DAMAGED] = cond.pop(self.make)
        return Request(cond)

    def finish(self, made: Tensor, request: Request) -> Tensor:
        return made if self._holes is None else self._holes.finish(made, request)


def coarse(space: Space, x: Tensor, factor: int) -> Tensor:
    """Stored `x` at a coarser grid: the mean of the numbers of each block, the first of its symbols."""
    rank = len(space.grid)
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]
    first = (slice(None), slice(None), *[slice(None, None, factor)] * rank)
    parts = []
    for slot in space.slots():
        part = x[:, slot.stored]
        parts.append(part[first] if isinstance(slot.span, Symbol) else pool(part.float(), factor))
    return torch.cat([part.to(x.dtype) for part in parts], dim=1)


def noisy(space: Space, x: Tensor, std: float, rng: torch.Generator) -> Tensor:
    """With Gaussian noise; what is bounded stays within its bounds, as a file holds it."""
    noise = torch.randn(x.shape, generator=rng, device=rng.device).to(x.device)
    out = x + std * noise
    return out.clamp(-1, 1) if space.bounded else out


def blurred(x: Tensor, std: float) -> Tensor:
    """Convolved with a Gaussian along each axis of the grid, mirrored at the edges."""
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        reach = max(1, min(size - 1, math.ceil(3 * std))) if size > 1 else 0
        place = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
        kernel = (-0.5 * (place / std).square()).exp()
        rows = x.movedim(axis, -1)
        flat = rows.reshape(-1, 1, size)
        padded = F.pad(flat, (reach, reach), mode="reflect") if reach else flat
        rows = F.conv1d(padded, (kernel / kernel.sum()).view(1, 1, -1)).view(rows.shape)
        x = rows.movedim(-1, axis)
    return x


def grey(x: Tensor) -> Tensor:
    """The brightness of red, green and blue `(B, 1, *grid)`."""
    shares = torch.tensor(LUMA, device=x.device, dtype=x.dtype)
    return (x * by_channel(shares, x)).sum(1, keepdim=True)
