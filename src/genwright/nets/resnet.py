"""Residual networks in which the blocks themselves go up and down a pyramid of grids (Gulrajani et al. 2017,
arXiv:1704.00028, appendix F; Miyato et al. 2018, arXiv:1802.05957, appendix B), and the same for a row.

There is no normalisation: the last layer of each block starts at zero instead (Zhang et al. 2019,
arXiv:1901.09321). So an example's score hangs on that example alone and gradient penalties are well
defined; and a critic of a row can tell apart what a norm over its few numbers would blur.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.nets.blocks import FiLM, GridCondition, conv, halvings, pyramid, resize, with_grid
from genwright.nets.roles import CondShape, Grid, Net, Nets, Size
from genwright.options import Count, Share

__all__ = ["ResNetNets"]


Bend = Callable[[Tensor], Tensor]


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _layer(rank: int, n_in: int, n_out: int, kernel: int = 3, bias: bool = True) -> nn.Module:
    """A convolution, or for a row a linear map."""
    return conv(rank, n_in, n_out, kernel, bias=bias) if rank else nn.Linear(n_in, n_out, bias=bias)


class ResNetBlock(nn.Module):
    """Two layers, FiLM between them, added to the input; both are brought to `grid` on the way."""

    def __init__(
        self,
        grid: Grid,
        n_in: int,
        n_out: int,
        cond_shape: CondShape,
        nets: ResNetNets,
        *,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.grid, self.up, self.bend = grid, up, nets.bend
        self.first = _layer(len(grid), n_in, n_out)
        self.film = FiLM(cond_shape.vector, n_out)
        self.drop = nn.Dropout(nets.dropout)
        self.second = _layer(len(grid), n_out, n_out, bias=False)
        self.skip = _layer(len(grid), n_in, n_out, kernel=1) if n_in != n_out else nn.Identity()
        nn.init.zeros_(self.second.weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        wide = resize(x, self.grid) if self.up else x
        h = self.bend(x)
        h = self.first(resize(h, self.grid) if self.up else h)
        h = self.second(self.drop(self.bend(self.film(h, cond))))
        out: Tensor = self.skip(wide) + h
        return (
            out if self.up or out.shape[2:] == self.grid else F.interpolate(out, self.grid, mode="area")
        )


class ResNetEncoder(Net):
    """An example `(B, n_in, *grid)` to a vector `(B, n_out)`, or `(B,)` where `n_out` is None."""

    def __init__(
        self,
        grid: Grid,
        n_in: int,
        n_out: int | None,
        nets: ResNetNets,
        cond_shape: CondShape,
        *,
        pool: bool,
    ) -> None:
        super().__init__()
        levels, sizes = nets.levels(grid)
        self.n_out, self.pool, self.bend = n_out, pool, nets.bend
        self.first = _layer(len(grid), n_in + cond_shape.grid, sizes[0])
        self.blocks = nn.ModuleList()
        for i, (level, size) in enumerate(zip(levels, sizes, strict=True)):
            for j in range(nets.depth):
                before = sizes[max(i - 1, 0)] if j == 0 else size
                # A level ends by going down to the next.
                after = levels[min(i + 1, len(levels) - 1)] if j == nets.depth - 1 else level
                self.blocks.append(ResNetBlock(after, before, size, cond_shape, nets))
        positions = 1 if pool else math.prod(levels[-1])
        # Scores are only ever compared, so that a constant would go untrained.
        self.last = nn.Linear(sizes[-1] * positions, n_out or 1, bias=n_out is not None)

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        h = self.first(with_grid(x, cond))
        for block in self.blocks:
            h = block(h, cond)
        h = self.bend(h)
        h = h.flatten(2).sum(2) if self.pool and h.ndim > 2 else h.flatten(1)
        out: Tensor = self.last(h)
        return out if self.n_out else out.squeeze(1)


class ResNetDecoder(Net):
    """A vector `(B, n_in)` to an example `(B, n_out, *grid)`."""

    def __init__(
        self, grid: Grid, n_in: int, n_out: int, nets: ResNetNets, cond_shape: CondShape
    ) -> None:
        super().__init__()
        levels, sizes = nets.levels(grid)
        levels, sizes = levels[::-1], sizes[::-1]
        self.coarsest, self.bend = levels[0], nets.bend
        self.first = nn.Linear(n_in, sizes[0] * math.prod(levels[0]))
        self.blocks = nn.ModuleList()
        for i, (level, size) in enumerate(zip(levels, sizes, strict=True)):
            for j in range(nets.depth):
                before = sizes[max(i - 1, 0)] if j == 0 else size
                self.blocks.append(ResNetBlock(level, before, size, cond_shape, nets, up=True))
        self.last = _layer(len(grid), sizes[-1], n_out)
        self.depth, self.condition = nets.depth, GridCondition(len(grid), sizes, cond_shape)

    def forward(self, z: Tensor, cond: Cond) -> Tensor:
        h = self.first(z).view(z.shape[0], -1, *self.coarsest)
        for i, block in enumerate(self.blocks):
            h = block(h, cond)
            if i % self.depth == 0:
                h = self.condition(h, cond, i // self.depth)
        out: Tensor = self.last(self.bend(h))
        return out


class ResNetShrink(Net):
    """A grid `(B, n_in, *grids[0])` to the coarsest one `(B, n_out, *grids[-1])`."""

    def __init__(
        self, grids: list[Grid], n_in: int, n_out: int, nets: ResNetNets, cond_shape: CondShape
    ) -> None:
        super().__init__()
        sizes = nets.channels(grids)
        rank = len(grids[0])
        self.first = _layer(rank, n_in + cond_shape.grid, sizes[0])
        self.blocks = nn.ModuleList()
        for i, (level, size) in enumerate(zip(grids, sizes, strict=True)):
            for j in range(nets.depth):
                before = sizes[max(i - 1, 0)] if j == 0 else size
                after = grids[min(i + 1, len(grids) - 1)] if j == nets.depth - 1 else level
                self.blocks.append(ResNetBlock(after, before, size, cond_shape, nets))
        self.last = _layer(rank, sizes[-1], n_out)

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        h = self.first(with_grid(x, cond))
        for block in self.blocks:
            h = block(h, cond)
        out: Tensor = self.last(_leaky(h))
        return out


class ResNetGrow(Net):
    """A coarse grid `(B, n_in, *grids[-1])` to the finest one `(B, n_out, *grids[0])`."""

    def __init__(
        self, grids: list[Grid], n_in: int, n_out: int, nets: ResNetNets, cond_shape: CondShape
    ) -> None:
        super().__init__()
        grids, sizes = grids[::-1], nets.channels(grids)[::-1]
        rank = len(grids[0])
        self.first = _layer(rank, n_in, sizes[0])
        self.blocks = nn.ModuleList()
        for i, (level, size) in enumerate(zip(grids, sizes, strict=True)):
            for j in range(nets.depth):
                before = sizes[max(i - 1, 0)] if j == 0 else size
                self.blocks.append(ResNetBlock(level, before, size, cond_shape, nets, up=True))
        self.last = _layer(rank, sizes[-1], n_out)
        self.depth, self.condition = nets.depth, GridCondition(rank, sizes, cond_shape)

    def forward(self, z: Tensor, cond: Cond) -> Tensor:
        h = self.first(z)
        for i, block in enumerate(self.blocks):
            h = block(h, cond)
            if i % self.depth == 0:
                h = self.condition(h, cond, i // self.depth)
        out: Tensor = self.last(_leaky(h))
        return out


class ResNetNets(Nets):
    """Residual encoders, decoders and scores for rows and for grids of one to three axes. `width` is that
    of a row's layers; on a grid the finest level has a quarter of it."""

    reads = {  # noqa: RUF012 - a constant of the class
        "encode": frozenset({"grid"}),
        "decode": frozenset({"grid"}),
        "score": frozenset({"grid"}),
        "shrink": frozenset({"grid"}),
        "grow": frozenset({"grid"}),
    }
    sizes = {"xs": (64, 1), "s": (128, 2), "m": (256, 2), "l": (512, 3)}  # noqa: RUF012

    def __init__(
        self,
        size: Size = "s",
        *,
        width: Count | None = None,
        depth: Count | None = None,
        dropout: Share = 0.0,
        smooth: bool = False,
    ) -> None:
        """width: channels of the first level (None: by size).  depth: blocks of a level (None: by size).
        dropout: share of activations silenced in training.  smooth: SiLU instead of leaky ReLU, for where
        slopes are learnt."""
        super().__init__(size, width=width, depth=depth, dropout=dropout)
        self.bend: Bend = F.silu if smooth else _leaky

    def levels(self, grid: Grid) -> tuple[list[Grid], list[int]]:
        """Grids from fine to coarse, and the channels of each: doubling, up to eight times the first."""
        if not grid:
            return [()], [self.width]
        levels = pyramid(grid)
        return levels, self.channels(levels)

    def channels(self, grids: list[Grid]) -> list[int]:
        """Of each grid, from fine to coarse."""
        first = max(self.width // 4, 1) if grids[0] else self.width
        return [first * min(2**i, 8) if grids[0] else first for i in range(len(grids))]

    def encode(self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        return ResNetEncoder(grid, n_in, n_out, self, cond_shape, pool=False)

    def decode(self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        return ResNetDecoder(grid, n_in, n_out, self, cond_shape)

    def score(self, grid: Grid, n_in: int, cond_shape: CondShape) -> Net:
        return ResNetEncoder(grid, n_in, None, self, cond_shape, pool=True)

    def shrink(self, grid: Grid, factor: int, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        return ResNetShrink(halvings(grid, factor) if grid else [()], n_in, n_out, self, cond_shape)

    def grow(self, grid: Grid, factor: int, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        return ResNetGrow(halvings(grid, factor) if grid else [()], n_in, n_out, self, cond_shape)
