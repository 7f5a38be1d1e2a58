"""Residual multilayer perceptrons: all that a row needs, and a plain choice for any small grid."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.nets.blocks import FiLM
from genwright.nets.roles import CondShape, Grid, Net, Nets

__all__ = ["MLP", "MLPNets"]


class MLPBlock(nn.Module):
    """Norm, FiLM, a hidden layer twice as wide, and back, added to the input."""

    def __init__(self, width: int, cond_shape: CondShape, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.film = FiLM(cond_shape.vector, width)
        self.wide = nn.Linear(width, 2 * width)
        self.back = nn.Linear(2 * width, width)
        self.drop = nn.Dropout(dropout)
        nn.init.zeros_(self.back.weight)
        nn.init.zeros_(self.back.bias)

    def forward(self, h: Tensor, cond: Cond) -> Tensor:
        out = self.back(self.drop(F.silu(self.wide(self.film(self.norm(h), cond)))))
        return h + out


class MLP(Net):
    """`(B, *shape_in)` to `(B, *shape_out)`; whatever is given, as vector, tokens' mean or grid."""

    def __init__(
        self,
        n_in: int,
        shape_out: tuple[int, ...],
        nets: Nets,
        cond_shape: CondShape,
        *,
        score: bool = False,
    ) -> None:
        super().__init__()
        self.shape_out, width = shape_out, nets.width
        self.first = nn.Linear(n_in, width)
        self.blocks = nn.ModuleList(MLPBlock(width, cond_shape, nets.dropout) for _ in range(nets.depth))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, math.prod(shape_out), bias=not score)

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        h = x.flatten(1)
        if cond.grid is not None:
            h = torch.cat([h, cond.grid.to(h.dtype).flatten(1)], dim=1)
        h = self.first(h)
        for block in self.blocks:
            h = block(h, cond)
        out: Tensor = self.last(F.silu(self.norm(h)))
        return out.view(x.shape[0], *self.shape_out)


class MLPNets(Nets):
    """Multilayer perceptrons for every role but the causal one, on any small grid."""

    reads = {  # noqa: RUF012 - a constant of the class
        "map": frozenset({"grid"}),
        "encode": frozenset({"grid"}),
        "decode": frozenset({"grid"}),
    }
    sizes = {"xs": (64, 2), "s": (256, 3), "m": (512, 4), "l": (1024, 6)}  # noqa: RUF012

    def map(
        self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape, *, symbols: bool = False
    ) -> Net:
        return self.encode(grid, grid, n_in, n_out, cond_shape)

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
        wide = (n_in + cond_shape.grid) * math.prod(from_grid)
        return MLP(wide, (n_out, *to_grid), self, cond_shape, score=score)

    def decode(
        self, from_grid: Grid, to_grid: Grid, n_in: int, n_out: int, cond_shape: CondShape
    ) -> Net:
        wide = n_in * math.prod(from_grid) + cond_shape.grid * math.prod(to_grid)
        return MLP(wide, (n_out, *to_grid), self, cond_shape)
