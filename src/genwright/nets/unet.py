"""A U-Net for one to three axes (Ronneberger et al. 2015; residual blocks and attention as in
Ho et al. 2020, arXiv:2006.11239): grid in, the same grid out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.nets.blocks import (
    Attention,
    FiLM,
    Straight,
    conv,
    groups,
    pyramid,
    resize,
    stride,
    with_grid,
)
from genwright.nets.roles import CondShape, Grid, Net, Nets

__all__ = ["UNet", "UNetNets"]


class UNetBlock(nn.Module):
    """Norm, convolution, FiLM, convolution, added to the input."""

    def __init__(self, rank: int, n_in: int, n_out: int, cond_shape: CondShape, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups(n_in), n_in)
        self.conv1 = conv(rank, n_in, n_out)
        self.norm2 = nn.GroupNorm(groups(n_out), n_out)
        self.film = FiLM(cond_shape.vector, n_out)
        self.drop = nn.Dropout(dropout)
        self.conv2 = conv(rank, n_out, n_out)
        self.skip = conv(rank, n_in, n_out, kernel=1) if n_in != n_out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.film(self.norm2(h), cond)
        out: Tensor = self.skip(x) + self.conv2(self.drop(F.silu(h)))
        return out


class UNet(Net):
    """`(B, n_in, *grid)` to `(B, n_out, *grid)`; attention at the coarsest level."""

    def __init__(self, grid: Grid, n_in: int, n_out: int, nets: Nets, cond_shape: CondShape) -> None:
        super().__init__()
        rank = len(grid)
        self.grids = pyramid(grid, smallest=5)
        sizes = [nets.width * min(2**i, 4) for i in range(len(self.grids))]

        def level(n_in: int, n_out: int) -> nn.ModuleList:
            return nn.ModuleList(
                UNetBlock(rank, n_in if i == 0 else n_out, n_out, cond_shape, nets.dropout)
                for i in range(nets.depth)
            )

        self.first = conv(rank, n_in + cond_shape.grid, sizes[0])
        self.fine = nn.ModuleList(level(c, c) for c in sizes[:-1])
        self.down = nn.ModuleList(
            conv(rank, sizes[i], sizes[i + 1], stride=stride(self.grids[i], self.grids[i + 1]))
            for i in range(len(sizes) - 1)
        )
        self.middle = level(sizes[-1], sizes[-1])
        self.attention = Attention(sizes[-1], tokens=cond_shape.vector if cond_shape.tokens else 0)
        self.last_middle = UNetBlock(rank, sizes[-1], sizes[-1], cond_shape, nets.dropout)
        self.up = nn.ModuleList(conv(rank, sizes[i + 1], sizes[i]) for i in range(len(sizes) - 1))
        self.coarse = nn.ModuleList(level(2 * c, c) for c in sizes[:-1])
        self.norm = nn.GroupNorm(groups(sizes[0]), sizes[0])
        self.last = conv(rank, sizes[0], n_out)
        nn.init.zeros_(self.last.weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.straight = Straight(rank, n_out, cond_shape)

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        h = self.first(with_grid(x, cond))
        skips = []
        for level, down in zip(self.fine, self.down, strict=True):
            for block in level:  # type: ignore[attr-defined]
                h = block(h, cond)
            skips.append(h)
            h = down(h)
        for block in self.middle:
            h = block(h, cond)
        h = self.last_middle(self.attention(h, cond), cond)
        for i in reversed(range(len(skips))):
            h = torch.cat([self.up[i](resize(h, self.grids[i])), skips[i]], dim=1)
            for block in self.coarse[i]:  # type: ignore[attr-defined]
                h = block(h, cond)
        out: Tensor = self.straight(self.last(F.silu(self.norm(h))), cond)
        return out


class UNetNets(Nets):
    """A U-Net, for the map role on grids of one to three axes."""

    reads = {"map": frozenset({"grid", "tokens"})}  # noqa: RUF012 - a constant of the class
    sizes = {"xs": (16, 1), "s": (32, 1), "m": (64, 2), "l": (128, 3)}  # noqa: RUF012

    def map(
        self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape, *, symbols: bool = False
    ) -> Net:
        self._grid(grid)
        return UNet(grid, n_in, n_out, self, cond_shape)
