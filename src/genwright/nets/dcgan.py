"""Plain stacks of strided convolutions with batch normalisation, as in DCGAN (Radford et al. 2016,
arXiv:1511.06434, section 3): down by strides and up by transposed convolutions, each layer but the one that
reads an example and the one that writes it normalised over the batch.

The first convolutional nets that adversarial training worked with, and what a course shows. While they are
trained, an answer hangs on the examples beside it: gradient penalties are not quite those of their papers
then. `conv` has residual blocks instead, and no normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.errors import Unsupported
from genwright.nets.blocks import FiLM, GridCondition, conv, pyramid, stride, with_grid
from genwright.nets.roles import CondShape, Grid, Net, Nets, Role, Size

__all__ = ["DCGANNets"]

_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_UP = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KERNEL = 5
"""Odd, so that strides of two round an odd axis up, as a pyramid does."""
STD = 0.02
"""The standard deviation of the first weights (section 4)."""


class DCGANLayer(nn.Module):
    """A map that leads to `channels`, then the norm, FiLM and what bends."""

    def __init__(
        self, lead: nn.Module, rank: int, channels: int, nets: DCGANNets, cond_shape: CondShape
    ) -> None:
        super().__init__()
        self.lead = _drawn(lead)
        self.norm = _NORM[rank - 1](channels)
        self.film = FiLM(cond_shape.vector, channels)
        self.drop = nn.Dropout(nets.dropout)

    def forward(self, x: Tensor, cond: Cond, slope: float = 0.0) -> Tensor:
        """slope: below 0."""
        out: Tensor = self.drop(F.leaky_relu(self.film(self.norm(self.lead(x)), cond), slope))
        return out


class DCGANEncoder(Net):
    """A grid `(B, n_in, *grid)` to a vector `(B, n_out)`."""

    def __init__(
        self,
        grid: Grid,
        n_in: int,
        n_out: int,
        nets: DCGANNets,
        cond_shape: CondShape,
        *,
        score: bool = False,
    ) -> None:
        super().__init__()
        grids, sizes = nets.levels(grid)
        rank = len(grid)
        steps = [stride(fine, coarse) for fine, coarse in pairwise(grids)]
        self.first = _drawn(conv(rank, n_in + cond_shape.grid, sizes[0], KERNEL, steps[0]))
        self.film = FiLM(cond_shape.vector, sizes[0])
        self.layers = nn.ModuleList()
        for i, size in enumerate(sizes):
            for j in range(nets.depth):
                if i + j:  # the first one stands before them
                    before, step = (size, 1) if j else (sizes[i - 1], steps[i])
                    lead = conv(rank, before, size, KERNEL, step, bias=False)
                    self.layers.append(DCGANLayer(lead, rank, size, nets, cond_shape))
        positions = sizes[-1] * math.prod(grids[-1])
        self.last = _drawn(nn.Linear(positions, n_out, bias=not score))

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        h = F.leaky_relu(self.film(self.first(with_grid(x, cond)), cond), 0.2)
        for layer in self.layers:
            h = layer(h, cond, 0.2)
        out: Tensor = self.last(h.flatten(1))
        return out


class DCGANDecoder(Net):
    """A vector `(B, n_in)` to a grid `(B, n_out, *grid)`."""

    def __init__(
        self, grid: Grid, n_in: int, n_out: int, nets: DCGANNets, cond_shape: CondShape
    ) -> None:
        super().__init__()
        grids, sizes = nets.levels(grid)
        grids, sizes, rank = grids[::-1], sizes[::-1], len(grid)
        seed = nn.Sequential(
            nn.Linear(n_in, sizes[0] * math.prod(grids[0]), bias=False),
            nn.Unflatten(1, (sizes[0], *grids[0])),
        )
        self.layers = nn.ModuleList()
        for i, size in enumerate(sizes):
            lead = _up(grids[i - 1], grids[i], sizes[i - 1], size, bias=False) if i else seed
            self.layers.append(DCGANLayer(lead, rank, size, nets, cond_shape))
            for _ in range(nets.depth - 1):
                lead = conv(rank, size, size, KERNEL, bias=False)
                self.layers.append(DCGANLayer(lead, rank, size, nets, cond_shape))
        self.last = _drawn(_up(grids[-2], grids[-1], sizes[-1], n_out))
        self.depth, self.condition = nets.depth, GridCondition(rank, [*sizes, n_out], cond_shape)

    def forward(self, z: Tensor, cond: Cond) -> Tensor:
        h = z
        for i, layer in enumerate(self.layers):
            h = layer(h, cond)
            if i % self.depth == 0:
                h = self.condition(h, cond, i // self.depth)
        out: Tensor = self.condition(self.last(h), cond, len(self.layers) // self.depth)
        return out


class DCGANNets(Nets):
    """Strided convolutions with batch normalisation for grids of one to three axes. `width` is that of the
    level next to the example, doubled at each coarser one; `depth` counts the convolutions of a level, of
    which the first strides. The paper has 128 and 1."""

    reads: ClassVar[Mapping[Role, frozenset[str]]] = {
        "encode": frozenset({"grid"}),
        "decode": frozenset({"grid"}),
    }
    sizes: ClassVar[Mapping[Size, tuple[int, int]]] = {
        "xs": (16, 1),
        "s": (32, 1),
        "m": (64, 1),
        "l": (128, 1),
    }

    def levels(self, grid: Grid) -> tuple[list[Grid], list[int]]:
        """Grids from that of an example to the coarsest, two at least, and the channels of all but the
        first."""
        self._grid(grid)
        if math.prod(grid) == 1:
            raise Unsupported(
                "the net 'dcgan' normalises over the places of a grid, and this has a single one: use "
                "net.name=conv",
                code="grid-too-small",
            )
        grids = pyramid(grid, smallest=2)
        grids = grids if len(grids) > 1 else 2 * grids
        return grids, [self.width * 2**i for i in range(len(grids) - 1)]

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
        self._vector(to_grid)
        return DCGANEncoder(from_grid, n_in, n_out, self, cond_shape, score=score)

    def decode(
        self, from_grid: Grid, to_grid: Grid, n_in: int, n_out: int, cond_shape: CondShape
    ) -> Net:
        self._vector(from_grid)
        return DCGANDecoder(to_grid, n_in, n_out, self, cond_shape)


def _up(coarse: Grid, fine: Grid, n_in: int, n_out: int, bias: bool = True) -> nn.Module:
    """A transposed convolution from one level of a pyramid to the one before."""
    step = stride(fine, coarse)
    rest = tuple(f - s * (c - 1) - 1 for f, s, c in zip(fine, step, coarse, strict=True))
    pad = (KERNEL // 2,) * len(fine)
    size = (KERNEL,) * len(fine)
    up: Callable[..., nn.Module] = _UP[len(fine) - 1]  # each wants a tuple of its own length
    return up(n_in, n_out, size, step, pad, rest, bias=bias)


def _drawn(module: nn.Module) -> nn.Module:
    """With the paper's first weights."""
    for name, p in module.named_parameters():
        if name.endswith("weight"):
            nn.init.normal_(p, std=STD)
    return module
