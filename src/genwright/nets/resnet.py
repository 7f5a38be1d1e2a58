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
from genwright.nets.blocks import FiLM, GridCondition, conv, halvings, resize, with_grid
from genwright.nets.roles import CondShape, Grid, ImageEncoder, Net, Nets, Size
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
    """An example `(B, n_in, *from_grid)` to a vector or a coarser grid `(B, n_out, *to_grid)`. A score is taken
    of the sum over the places of the coarsest level."""

    def __init__(
        self,
        from_grid: Grid,
        to_grid: Grid,
        n_in: int,
        n_out: int,
        nets: ResNetNets,
        cond_shape: CondShape,
        *,
        score: bool = False,
    ) -> None:
        super().__init__()
        levels = halvings(from_grid, to_grid)
        sizes = nets.channels(levels)
        self.vector, self.pool, self.bend = not to_grid, score, nets.bend
        self.first = _layer(len(from_grid), n_in + cond_shape.grid, sizes[0])
        self.blocks = nn.ModuleList()
        for i, (level, size) in enumerate(zip(levels, sizes, strict=True)):
            for j in range(nets.depth):
                before = sizes[max(i - 1, 0)] if j == 0 else size
                # A level ends by going down to the next.
                after = levels[min(i + 1, len(levels) - 1)] if j == nets.depth - 1 else level
                self.blocks.append(ResNetBlock(after, before, size, cond_shape, nets))
        positions = 1 if score else math.prod(levels[-1])
        self.last = (
            nn.Linear(sizes[-1] * positions, n_out, bias=not score)
            if self.vector
            else _layer(len(to_grid), sizes[-1], n_out)
        )

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        h = self.first(with_grid(x, cond))
        for block in self.blocks:
            h = block(h, cond)
        h = self.bend(h)
        if self.vector:
            h = h.flatten(2).sum(2) if self.pool and h.ndim > 2 else h.flatten(1)
        out: Tensor = self.last(h)
        return out


class ResNetDecoder(Net):
    """A vector or a coarser grid `(B, n_in, *from_grid)` to an example `(B, n_out, *to_grid)`."""

    def __init__(
        self,
        from_grid: Grid,
        to_grid: Grid,
        n_in: int,
        n_out: int,
        nets: ResNetNets,
        cond_shape: CondShape,
    ) -> None:
        super().__init__()
        rank, levels = len(to_grid), halvings(to_grid, from_grid)
        sizes = nets.channels(levels)[::-1]
        levels = levels[::-1]
        self.coarsest, self.bend = levels[0], nets.bend
        self.first = (
            _layer(rank, n_in, sizes[0])
            if from_grid
            else nn.Linear(n_in, sizes[0] * math.prod(levels[0]))
        )
        self.blocks = nn.ModuleList()
        for i, (level, size) in enumerate(zip(levels, sizes, strict=True)):
            for j in range(nets.depth):
                before = sizes[max(i - 1, 0)] if j == 0 else size
                self.blocks.append(ResNetBlock(level, before, size, cond_shape, nets, up=True))
        self.last = _layer(rank, sizes[-1], n_out)
        self.depth, self.condition = nets.depth, GridCondition(rank, sizes, cond_shape)

    def forward(self, z: Tensor, cond: Cond) -> Tensor:
        h = self.first(z).view(z.shape[0], -1, *self.coarsest)
        for i, block in enumerate(self.blocks):
            h = block(h, cond)
            if i % self.depth == 0:
                h = self.condition(h, cond, i // self.depth)
        out: Tensor = self.last(self.bend(h))
        return out


class ResNetNets(Nets):
    """Residual encoders and decoders for rows and for grids of one to three axes. `width` is that
    of a row's layers; on a grid the finest level has a quarter of it."""

    reads = {"encode": frozenset({"grid"}), "decode": frozenset({"grid"})}  # noqa: RUF012 - a constant
    sizes = {"xs": (64, 1), "s": (128, 2), "m": (256, 2), "l": (512, 3)}  # noqa: RUF012

    def __init__(
        self,
        size: Size = "s",
        *,
        width: Count | None = None,
        depth: Count | None = None,
        dropout: Share = 0.0,
        image_encoder: ImageEncoder = "learned",
        smooth: bool = False,
    ) -> None:
        """width: channels of the first level (None: by size).  depth: blocks of a level (None: by size).
        dropout: share of activations silenced in training.  image_encoder: as in `Nets`.  smooth: SiLU instead of
        leaky ReLU, for where slopes are learnt."""
        super().__init__(size, width=width, depth=depth, dropout=dropout, image_encoder=image_encoder)
        self.bend: Bend = F.silu if smooth else _leaky

    def channels(self, levels: list[Grid]) -> list[int]:
        """Of each level, from fine to coarse: doubling, up to eight times the first."""
        if not levels[0]:
            return [self.width]
        return [max(self.width // 4, 1) * min(2**i, 8) for i in range(len(levels))]

    def encode(
        self,
        from_grid: Grid,
        to_grid: Grid,
        n_in: int,
        n_out: int,
        cond_shape: CondShape,
        *,
        score: bool = False,
    ) -> Net:
        return ResNetEncoder(from_grid, to_grid, n_in, n_out, self, cond_shape, score=score)

    def decode(
        self, from_grid: Grid, to_grid: Grid, n_in: int, n_out: int, cond_shape: CondShape
    ) -> Net:
        return ResNetDecoder(from_grid, to_grid, n_in, n_out, self, cond_shape)
