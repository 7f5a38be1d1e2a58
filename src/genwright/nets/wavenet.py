"""Causal dilated convolutions over a sequence (WaveNet, van den Oord et al. 2016, arXiv:1609.03499).

Each block looks back by a dilation that doubles from block to block, so that what one place sees grows
with the power of the depth (section 2.1). Within a block

    z = tanh(W_f * h + V_f c) . sigmoid(W_g * h + V_g c)                                   (eq. 2 and 3)

goes to the next block by a residual and to the answer by a skip connection (figure 4). Unlike the paper
each block begins with a norm over the channels of a place, which lets it learn at the rates of a
Transformer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.nets.blocks import Gate, norm
from genwright.nets.roles import Cache, Causal, CondShape, Grid, ImageEncoder, Nets, Size
from genwright.options import Count, Share

__all__ = ["WaveNetNets"]


@dataclass
class WaveNetCache:
    """For each block the last inputs that a later place will look back at `(B, reach, width)`."""

    inputs: list[Tensor]
    length: int = 0

    def select(self, rows: Tensor) -> None:
        self.inputs = [seen[rows] for seen in self.inputs]


class WaveNetBlock(nn.Module):
    """`taps` places, `dilation` apart, the last of them the place itself."""

    def __init__(self, dilation: int, nets: WaveNetNets, cond_shape: CondShape, *, last: bool) -> None:
        super().__init__()
        width, taps = nets.width, nets.taps
        self.taps, self.dilation = taps, dilation
        self.reach = (taps - 1) * dilation
        self.gate = Gate(taps * width, width, cond_shape)
        self.drop = nn.Dropout(nets.dropout)
        self.skip = nn.Linear(width, width, bias=False)
        # Nobody reads what the last block hands on.
        self.on = None if last else nn.Linear(width, width, bias=False)
        if self.on is not None:
            nn.init.zeros_(self.on.weight)

    def forward(self, h: Tensor, past: Tensor, cond: Cond) -> tuple[Tensor, Tensor, Tensor]:
        """`(B, L, width)` and the normed inputs before it; the next `h`, the skip, the next past."""
        seen = torch.cat([past, norm(h)], dim=1)
        length = h.shape[1]
        taps = [seen[:, i * self.dilation : i * self.dilation + length] for i in range(self.taps)]
        z = self.drop(self.gate(torch.cat(taps, dim=-1), cond))
        h = h if self.on is None else h + self.on(z)
        return h, self.skip(z), seen[:, length:]


class WaveNet(Causal):
    """`(B, L, width)` to the same; position i sees itself and the `reach` positions before it."""

    def __init__(self, dilations: list[int], nets: WaveNetNets, cond_shape: CondShape) -> None:
        super().__init__()
        self.width = nets.width
        self.blocks = nn.ModuleList(
            WaveNetBlock(dilation, nets, cond_shape, last=i == len(dilations) - 1)
            for i, dilation in enumerate(dilations)
        )
        self.reach = (nets.taps - 1) * sum(dilations)
        self.last = nn.Linear(self.width, self.width, bias=False)

    def cache(self, batch: int, length: int, like: Tensor) -> WaveNetCache:
        reaches = [block.reach for block in self.blocks if isinstance(block, WaveNetBlock)]
        return WaveNetCache([like.new_zeros(batch, reach, self.width) for reach in reaches])

    def forward(self, h: Tensor, cond: Cond, cache: Cache | None = None) -> Tensor:
        past = self.cache(h.shape[0], 0, h) if cache is None else cache
        assert isinstance(past, WaveNetCache)
        total = h  # the input itself is a skip too: what stands directly before matters most
        for i, block in enumerate(self.blocks):
            h, skip, past.inputs[i] = block(h, past.inputs[i], cond)
            total = total + skip
        past.length += h.shape[1]
        return norm(total + self.last(F.relu(norm(total))))


class WaveNetNets(Nets):
    """Causal dilated gated convolutions over any sequence, for the causal role. A doubled dilation in
    each block, from 1 until a block looks across the whole sequence, then from 1 again."""

    reads = {"causal": frozenset({"grid"})}  # noqa: RUF012 - a constant of the class
    sizes = {"xs": (32, 4), "s": (96, 8), "m": (192, 16), "l": (384, 30)}  # noqa: RUF012

    def __init__(
        self,
        size: Size = "s",
        *,
        width: Count | None = None,
        depth: Count | None = None,
        dropout: Share = 0.0,
        image_encoder: ImageEncoder = "learned",
        taps: Annotated[int, Ge(2)] = 2,
        cycle: Count | None = None,
    ) -> None:
        """taps: places that a block sees.  cycle: blocks after which the dilation is 1 again (None: as
        many as cover the sequence)."""
        super().__init__(size, width=width, depth=depth, dropout=dropout, image_encoder=image_encoder)
        self.taps, self.cycle = taps, cycle

    def causal(
        self, length: int, cond_shape: CondShape, *, grid: Grid = (), channels: int = 1
    ) -> Causal:
        # 1 + (taps - 1) (2^n - 1) >= length
        cover = max(1, ((length - 1) // (self.taps - 1)).bit_length())
        cycle = self.cycle or cover
        dilations = [2 ** (i % min(cycle, cover)) for i in range(self.depth)]
        return WaveNet(dilations, self, cond_shape)
