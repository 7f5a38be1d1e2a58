"""Complete an example of which a part is known: prompt, infill, inpaint, impute, forecast.

The share that is hidden is drawn for each example from [0, 1], so that one model fills in any pattern, and with
all hidden it makes examples from nothing. A family that keeps known parts itself (`native`) is trained on whole
examples; any other is told the known parts as a condition, with a mark for what is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.batch import by_axis
from genwright.errors import Incompatible, RecipeError
from genwright.options import Count
from genwright.space import CondSpec, Space
from genwright.tasks.base import Ask, Example, Given, Infills, Request, Task, TaskSpec

__all__ = ["Complete", "Fill", "Holes", "boxes", "cells", "continued", "leading", "suffix"]

Holes = Literal["auto", "cells", "box", "suffix"]
Fill = Literal["smooth", "slope", "nothing"]
KNOWN = "known"
RELAXED = {"smooth": 4, "slope": 32}
"""Times that a place is brought nearer to what those around it say, at each level of a pyramid."""


class Complete(Task):
    """x is the whole example; what is given is a part of it, and its labels."""

    def __init__(
        self,
        *,
        make: str = "",
        given: Sequence[str] = (),
        holes: Holes = "auto",
        last: Count | None = None,
        align: Sequence[str] | None = None,
    ) -> None:
        """holes: what is hidden in training: `cells` of a row or positions anywhere, a `box` on a grid, or the
        `suffix` along the first axis; auto: cells of a row, a suffix or cells of a sequence, boxes on a grid.  last: so
        many places at the end of the first axis are hidden in every example, as where a horizon is forecast (None: any
        number).  align: given fields that lie on the grid of what is made, place by place (None: those of its
        frame)."""
        super().__init__(make=make, given=given)
        self.holes: Holes = holes
        self.last, self.align = last, tuple(align or ())
        self.fill: Fill = "nothing"
        """How numbers on a grid that are not known are given: see `continued`."""
        self._space: Space | None = None
        self._native = False

    def spec(self, fields: Mapping[str, Space], *, infills: Infills = "no") -> TaskSpec:
        given, space = self.others(fields), fields[self.make]
        if not space.grid and self.holes in ("box", "suffix"):
            raise RecipeError(
                f"task.holes={self.holes} is for examples on a grid, and this is {space}: use cells",
                code="holes-need-a-grid",
            )
        if not space.grid and space.stored < 2:
            raise Incompatible(
                f"an example of {space} has no part that could be known: choose task.name=generate",
                code="nothing-to-complete",
            )
        if self.last is not None and not (space.grid and self.last < space.grid[0]):
            raise RecipeError(
                f"task.last={self.last} hides the end of an example, and this is {space}: give fewer places than its "
                f"first axis has",
                code="holes-need-a-grid",
            )
        native = infills == "any"
        self._space, self._native = space, native
        asks = {name: Ask(name, one, missing="draw") for name, one in given.items()}
        asks[self.make] = Ask(self.make, space, partial=True, missing="open")
        # What lies on the places of x is known wherever they are, and is never left away.
        conds = {name: CondSpec(one) for name, one in given.items()}
        conds |= {n: CondSpec(one, drop=0.0, align=True) for n, one in given.items() if n in self.align}
        if not native:
            conds[KNOWN] = CondSpec(space.holed(), drop=0.0, align=bool(space.grid))
        return TaskSpec(self.make, space, conds, asks, native=native)

    def ask(self, example: Example, rng: torch.Generator) -> Given:
        x = example[self.make]
        return {name: example[name] for name in self.given} | {self.make: (x, self._hidden(x, rng))}

    def _hidden(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Which numbers are known `(B, stored, *grid)`."""
        if self.last is not None:
            return leading(x, x.shape[2] - self.last)
        kind = self.holes
        if kind == "auto":
            kind = "cells" if x.ndim <= 3 else "box"
        if (
            self._native
        ):  # what is learnt does not depend on it; a beginning is what every such family keeps
            kind = "suffix" if x.ndim > 2 else "cells"
        if kind == "cells":
            return cells(x, rng, self.cell_of).to(x.device)
        return {"box": boxes, "suffix": suffix}[kind](x, rng).to(x.device)

    def request(self, n: int, given: Given, rng: torch.Generator) -> Request:
        assert self._space is not None, "spec comes first"
        cond = {name: one for name, one in given.items() if isinstance(one, Tensor)}
        part = given.get(self.make)
        if self._native:
            return Request(cond, part if isinstance(part, tuple) else None)
        if not isinstance(part, tuple):
            like = next(iter(cond.values())).device if cond else rng.device
            x = torch.zeros(n, *self._space.shape, dtype=self._space.dtype, device=like)
            part = x, torch.zeros_like(x, dtype=torch.bool)
        x, known = part
        guess = None if self.fill == "nothing" else continued(x, known, self.fill)
        return Request(cond | {KNOWN: self._space.punch(x, known, guess)}, None, {"x": x, KNOWN: known})

    def finish(self, made: Tensor, request: Request) -> Tensor:
        if KNOWN not in request.keep:
            return super().finish(made, request)
        x, known = (request.keep[name].to(made.device) for name in ("x", KNOWN))
        return torch.where(known, x.to(made.dtype), made)


def continued(x: Tensor, known: Tensor, fill: Fill = "smooth") -> Tensor:
    """Numbers `(B, C, *grid)` where they are `known` (the same shape), and elsewhere what continues smoothly around
    them: the means of what is known in coarser and coarser blocks, brought back level by level (pull-push, Gortler
    et al. 1996, "The lumigraph", section 3.4) and relaxed at each. 0 where nothing is known.

    fill  `smooth`: towards the mean of its neighbours; `slope`: until it bends as its neighbours do, so that slopes
          at the edge of a hole go on in it (the biharmonic equation instead of Laplace's)
    """
    grid, weight = x.shape[2:], known.to(x.dtype)
    x = torch.where(known, x, 0.0)
    if max(grid) == 1 or bool(known.all()):
        return x
    rank, coarse = len(grid), [(size + 1) // 2 for size in grid]
    share = F.interpolate(weight, size=coarse, mode="area")
    mean = F.interpolate(x, size=coarse, mode="area") / share.clamp_min(1e-6)
    above = continued(mean, share > 0, fill)
    mode, pool = (
        ("linear", "bilinear", "trilinear")[rank - 1],
        (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1],
    )
    x = torch.where(known, x, F.interpolate(above, size=grid, mode=mode, align_corners=False))

    def around(x: Tensor) -> Tensor:
        return pool(F.pad(x, (1, 1) * rank, mode="replicate"), 3, stride=1)

    for _ in range(RELAXED[fill]):
        wanted = around(x)
        if fill == "slope":
            bend = x - wanted
            wanted = x - (bend - around(bend))
        x = torch.where(known, x, wanted)
    return x


def _uniform(x: Tensor, rng: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(len(x), *shape, generator=rng, device=rng.device)


def cells(x: Tensor, rng: torch.Generator, cell_of: Sequence[int] = ()) -> Tensor:
    """Each cell of a row, or each position of a grid with all its channels, hidden at a share of the example.

    cell_of  the cell that each number of a row belongs to (none: its own)
    """
    shape = x.shape[1:] if x.ndim == 2 else (1, *x.shape[2:])
    if x.ndim == 2 and len(cell_of):
        shape = torch.Size([max(cell_of) + 1])
    share = _uniform(x, rng, *[1] * len(shape))
    known = _uniform(x, rng, *shape) >= share
    if x.ndim == 2 and len(cell_of):
        known = known[:, list(cell_of)]
    return known.expand(x.shape)


def boxes(x: Tensor, rng: torch.Generator) -> Tensor:
    """A box anywhere on the grid hidden, whose sides are shares of the grid's up to all of it."""
    grid = x.shape[2:]
    volume = _uniform(x, rng)
    inside = torch.ones(len(x), 1, *grid, dtype=torch.bool, device=rng.device)
    for axis, size in enumerate(grid):
        side = (volume ** (1 / len(grid)) * size).ceil().clamp(1, size)
        begin = (_uniform(x, rng) * (size - side + 1)).floor()
        place = torch.arange(size, device=rng.device)
        along = (place >= begin[:, None]) & (place < (begin + side)[:, None])
        inside &= by_axis(along, axis, x)
    return (~inside).expand(x.shape)


def leading(x: Tensor, places: int) -> Tensor:
    """So many places along the first axis known, and all behind them hidden."""
    known = torch.arange(x.shape[2], device=x.device) < places
    return by_axis(known.expand(len(x), -1), 0, x).expand(x.shape)


def suffix(x: Tensor, rng: torch.Generator) -> Tensor:
    """All from some place along the first axis hidden."""
    size = x.shape[2]
    keep = (_uniform(x, rng) * size).floor()
    known = torch.arange(size, device=rng.device) < keep[:, None]
    return by_axis(known, 0, x).expand(x.shape)
