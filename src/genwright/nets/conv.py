"""Residual convolutional networks between a grid and a vector or a coarser grid, for one to three axes.

No normalisation over the batch, and none over space either: the last layer of each block starts
at zero (Zhang et al. 2019, arXiv:1901.09321), which is what R3GAN (Huang et al. 2024,
arXiv:2501.05441) found to be enough, and it leaves gradient penalties well defined.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.nets.blocks import FiLM, GridCondition, conv, halvings, pyramid, resize, stride, with_grid
from genwright.nets.roles import CondShape, Grid, Net, Nets

__all__ = ["ConvDecoder", "ConvEncoder", "ConvGrow", "ConvNets", "ConvShrink"]


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


class ConvDown(Net):
    """From fine to coarse: blocks at each of the given grids, and a stride to the next."""

    def __init__(
        self, grids: list[Grid], n_in: int, width: int, depth: int, dropout: float, cond_shape: CondShape
    ) -> None:
        super().__init__()
        rank, self.sizes = len(grids[0]), _channels(width, len(grids))
        self.first = conv(rank, n_in + cond_shape.grid, self.sizes[0])
        self.levels = nn.ModuleList(
            nn.ModuleList(ConvBlock(rank, c, cond_shape, dropout) for _ in range(depth))
            for c in self.sizes
        )
        self.down = nn.ModuleList(
            conv(rank, self.sizes[i], self.sizes[i + 1], stride=stride(grids[i], grids[i + 1]))
            for i in range(len(grids) - 1)
        )

    def backbone(self, x: Tensor, cond: Cond) -> Tensor:
        h: Tensor = self.first(with_grid(x, cond))
        for i, level in enumerate(self.levels):
            if i:
                h = self.down[i - 1](h)
            for block in level:  # type: ignore[attr-defined]
                h = block(h, cond)
        return F.leaky_relu(h, 0.2)


class ConvEncoder(ConvDown):
    """A grid `(B, n_in, *grid)` to a vector `(B, n_out)`, or `(B,)` where `n_out` is None."""

    def __init__(
        self,
        grid: Grid,
        n_in: int,
        n_out: int | None,
        width: int,
        depth: int,
        dropout: float,
        cond_shape: CondShape,
    ) -> None:
        grids = pyramid(grid)
        super().__init__(grids, n_in, width, depth, dropout, cond_shape)
        self.n_out = n_out
        # Scores are only ever compared, so that a constant would go untrained.
        self.last = nn.Linear(self.sizes[-1] * math.prod(grids[-1]), n_out or 1, bias=n_out is not None)

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        out: Tensor = self.last(self.backbone(x, cond).flatten(1))
        return out if self.n_out else out.squeeze(1)


class ConvShrink(ConvDown):
    """A grid `(B, n_in, *grids[0])` to the coarsest one `(B, n_out, *grids[-1])`."""

    def __init__(
        self,
        grids: list[Grid],
        n_in: int,
        n_out: int,
        width: int,
        depth: int,
        dropout: float,
        cond_shape: CondShape,
    ) -> None:
        super().__init__(grids, n_in, width, depth, dropout, cond_shape)
        self.last = conv(len(grids[0]), self.sizes[-1], n_out)

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        out: Tensor = self.last(self.backbone(x, cond))
        return out


class ConvUp(Net):
    """From coarse to fine: blocks at each of the given grids (fine first), resized in between."""

    def __init__(
        self,
        grids: list[Grid],
        first: Callable[[int], nn.Module],
        n_out: int,
        width: int,
        depth: int,
        dropout: float,
        cond_shape: CondShape,
    ) -> None:
        """first: what makes the channels of the coarsest grid, from their number."""
        super().__init__()
        rank = len(grids[0])
        self.grids = grids[::-1]
        sizes = _channels(width, len(self.grids))[::-1]
        self.first = first(sizes[0])
        self.levels = nn.ModuleList(
            nn.ModuleList(ConvBlock(rank, c, cond_shape, dropout) for _ in range(depth)) for c in sizes
        )
        self.up = nn.ModuleList(conv(rank, sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1))
        self.last = conv(rank, sizes[-1], n_out)
        self.condition = GridCondition(rank, sizes, cond_shape)

    def forward(self, z: Tensor, cond: Cond) -> Tensor:
        h = self.first(z).view(z.shape[0], -1, *self.grids[0])
        for i, level in enumerate(self.levels):
            if i:
                h = self.up[i - 1](resize(h, self.grids[i]))
            h = self.condition(h, cond, i)
            for block in level:  # type: ignore[attr-defined]
                h = block(h, cond)
        out: Tensor = self.last(F.leaky_relu(h, 0.2))
        return out


class ConvDecoder(ConvUp):
    """A vector `(B, n_in)` to a grid `(B, n_out, *grid)`."""

    def __init__(
        self,
        grid: Grid,
        n_in: int,
        n_out: int,
        width: int,
        depth: int,
        dropout: float,
        cond_shape: CondShape,
    ) -> None:
        grids = pyramid(grid)

        def first(channels: int) -> nn.Module:
            return nn.Linear(n_in, channels * math.prod(grids[-1]))

        super().__init__(grids, first, n_out, width, depth, dropout, cond_shape)


class ConvGrow(ConvUp):
    """A coarse grid `(B, n_in, *grids[-1])` to the finest one `(B, n_out, *grids[0])`."""

    def __init__(
        self,
        grids: list[Grid],
        n_in: int,
        n_out: int,
        width: int,
        depth: int,
        dropout: float,
        cond_shape: CondShape,
    ) -> None:
        def first(channels: int) -> nn.Module:
            return conv(len(grids[0]), n_in, channels)

        super().__init__(grids, first, n_out, width, depth, dropout, cond_shape)


class ConvNets(Nets):
    """Convolutional encoders, decoders and scores for grids of one to three axes."""

    reads = {  # noqa: RUF012 - a constant of the class
        "encode": frozenset({"grid"}),
        "decode": frozenset({"grid"}),
        "score": frozenset({"grid"}),
        "shrink": frozenset({"grid"}),
        "grow": frozenset({"grid"}),
    }
    sizes = {"xs": (8, 1), "s": (32, 1), "m": (64, 2), "l": (96, 3)}  # noqa: RUF012

    def encode(self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        self._grid(grid)
        return ConvEncoder(grid, n_in, n_out, self.width, self.depth, self.dropout, cond_shape)

    def decode(self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        self._grid(grid)
        return ConvDecoder(grid, n_in, n_out, self.width, self.depth, self.dropout, cond_shape)

    def score(self, grid: Grid, n_in: int, cond_shape: CondShape) -> Net:
        self._grid(grid)
        return ConvEncoder(grid, n_in, None, self.width, self.depth, self.dropout, cond_shape)

    def shrink(self, grid: Grid, factor: int, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        self._grid(grid)
        grids = halvings(grid, factor)
        return ConvShrink(grids, n_in, n_out, self.width, self.depth, self.dropout, cond_shape)

    def grow(self, grid: Grid, factor: int, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        self._grid(grid)
        grids = halvings(grid, factor)
        return ConvGrow(grids, n_in, n_out, self.width, self.depth, self.dropout, cond_shape)
