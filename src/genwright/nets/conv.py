"""Residual convolutional networks between a grid and a vector or a coarser grid, for one to three axes.

No normalisation over the batch, and none over space either: the last layer of each block starts
at zero (Zhang et al. 2019, arXiv:1901.09321), which is what R3GAN (Huang et al. 2024,
arXiv:2501.05441) found to be enough, and it leaves gradient penalties well defined.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.nets.blocks import (
    FiLM,
    GridCondition,
    Straight,
    conv,
    halvings,
    resize,
    stride,
    with_grid,
)
from genwright.nets.roles import CondShape, Grid, Net, Nets

__all__ = ["ConvDecoder", "ConvEncoder", "ConvNets"]


class ConvBlock(nn.Module):
    """Two convolutions, FiLM between them, added to the input."""

    def __init__(self, rank: int, channels: int, cond_shape: CondShape, dropout: float) -> None:
        super().__init__()
        self.first = conv(rank, channels, channels)
        self.film = FiLM(cond_shape.vector, channels)
        self.drop = nn.Dropout(dropout)
        self.second = conv(rank, channels, channels, bias=False)
        nn.init.zeros_(self.second.weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        h = self.film(self.first(F.leaky_relu(x, 0.2)), cond)
        out: Tensor = x + self.second(self.drop(F.leaky_relu(h, 0.2)))
        return out


def _channels(width: int, levels: int) -> list[int]:
    """Doubling from fine to coarse, up to eight times the width."""
    return [width * min(2**i, 8) for i in range(levels)]


class ConvEncoder(Net):
    """A grid `(B, n_in, *from_grid)` to a vector or a coarser grid `(B, n_out, *to_grid)`: blocks at each level
    of a pyramid, and a stride to the next."""

    def __init__(
        self,
        from_grid: Grid,
        to_grid: Grid,
        n_in: int,
        n_out: int,
        nets: Nets,
        cond_shape: CondShape,
        *,
        score: bool = False,
    ) -> None:
        super().__init__()
        self.vector = not to_grid
        rank, grids = len(from_grid), halvings(from_grid, to_grid)
        sizes = _channels(nets.width, len(grids))
        self.first = conv(rank, n_in + cond_shape.grid, sizes[0])
        self.levels = nn.ModuleList(_level(rank, c, nets, cond_shape) for c in sizes)
        self.down = nn.ModuleList(
            conv(rank, sizes[i], sizes[i + 1], stride=stride(grids[i], grids[i + 1]))
            for i in range(len(grids) - 1)
        )
        self.last = (
            nn.Linear(sizes[-1] * math.prod(grids[-1]), n_out, bias=not score)
            if self.vector
            else conv(rank, sizes[-1], n_out)
        )

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        h: Tensor = self.first(with_grid(x, cond))
        for i, level in enumerate(self.levels):
            if i:
                h = self.down[i - 1](h)
            for block in level:  # type: ignore[attr-defined]
                h = block(h, cond)
        h = F.leaky_relu(h, 0.2)
        out: Tensor = self.last(h.flatten(1) if self.vector else h)
        return out


class ConvDecoder(Net):
    """A vector or a coarser grid `(B, n_in, *from_grid)` to a grid `(B, n_out, *to_grid)`: blocks at each level
    of a pyramid, resized in between."""

    def __init__(
        self,
        from_grid: Grid,
        to_grid: Grid,
        n_in: int,
        n_out: int,
        nets: Nets,
        cond_shape: CondShape,
    ) -> None:
        super().__init__()
        rank = len(to_grid)
        self.grids = halvings(to_grid, from_grid)[::-1]
        sizes = _channels(nets.width, len(self.grids))[::-1]
        self.first = (
            conv(rank, n_in, sizes[0])
            if from_grid
            else nn.Linear(n_in, sizes[0] * math.prod(self.grids[0]))
        )
        self.levels = nn.ModuleList(_level(rank, c, nets, cond_shape) for c in sizes)
        self.up = nn.ModuleList(conv(rank, sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1))
        self.last = conv(rank, sizes[-1], n_out)
        self.condition = GridCondition(rank, sizes, cond_shape)
        self.straight = Straight(rank, n_out, cond_shape)

    def begin(self, cond: Cond, answer: Tensor) -> None:
        if self.straight.begin(cond, answer):  # to which nothing by chance is added
            nn.init.zeros_(self.last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, z: Tensor, cond: Cond) -> Tensor:
        h = self.first(z).view(z.shape[0], -1, *self.grids[0])
        for i, level in enumerate(self.levels):
            if i:
                h = self.up[i - 1](resize(h, self.grids[i]))
            h = self.condition(h, cond, i)
            for block in level:  # type: ignore[attr-defined]
                h = block(h, cond)
        out: Tensor = self.straight(self.last(F.leaky_relu(h, 0.2)), cond)
        return out


def _level(rank: int, channels: int, nets: Nets, cond_shape: CondShape) -> nn.ModuleList:
    return nn.ModuleList(ConvBlock(rank, channels, cond_shape, nets.dropout) for _ in range(nets.depth))


class ConvNets(Nets):
    """Convolutional encoders and decoders for grids of one to three axes."""

    reads = {"encode": frozenset({"grid"}), "decode": frozenset({"grid"})}  # noqa: RUF012 - a constant
    sizes = {"xs": (8, 1), "s": (32, 1), "m": (64, 2), "l": (96, 3)}  # noqa: RUF012

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
        self._grid(from_grid)
        return ConvEncoder(from_grid, to_grid, n_in, n_out, self, cond_shape, score=score)

    def decode(
        self, from_grid: Grid, to_grid: Grid, n_in: int, n_out: int, cond_shape: CondShape
    ) -> Net:
        self._grid(to_grid)
        return ConvDecoder(from_grid, to_grid, n_in, n_out, self, cond_shape)
