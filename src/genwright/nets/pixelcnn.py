"""Causal convolutions over a picture (Gated PixelCNN, van den Oord et al. 2016, arXiv:1606.05328).

Places are said row by row. Two stacks share the work, so that no place before is out of sight
(section 2.2, figure 1): a **vertical** one sees all columns of the rows above, a **horizontal** one the
places to the left in the same row and, at each layer, the vertical one. Both are gated:

    y = tanh(W_f * x + V_f c) . sigmoid(W_g * x + V_g c)                                   (eq. 2 and 4)

The input at a place tells of the symbols *before* it (the family shifts it), so that the horizontal
stack may look at its own place. The vertical stack shifts it back: the row above, whole, with its last
symbol, which otherwise only the row below its own would see.

Several symbols at one position (the colours of a pixel) are places of their own, one after the other,
for the horizontal stack; the vertical one has no order to keep among them and sees them as channels.

Unlike the paper the vertical stack is residual too, each block begins with a norm over the channels of a
place, and dilations widen the view (kernel 3, depth 6 and dilations 1, 2, 4 twice over see 15 rows up).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.errors import Unsupported
from genwright.nets.blocks import Gate, norm
from genwright.nets.roles import Cache, Causal, CondShape, Grid, ImageEncoder, Nets, Role, Size
from genwright.options import Count, Share

__all__ = ["PixelCNNNets"]


@dataclass
class PixelCNNCache:
    """What a growing picture is continued from.

    row     the input along the present row `(B, seen, width)`
    above   for each block the last rows of the vertical stack's input `(B, reach, W, width)`
    beside  for each block the vertical stack in the present row `(B, 1, W, width)`
    left    for each block the last inputs of the horizontal stack `(B, 1, reach, width)`
    """

    row: Tensor
    above: list[Tensor]
    beside: list[Tensor]
    left: list[Tensor]
    length: int = 0

    def select(self, rows: Tensor) -> None:
        self.row = self.row[rows]
        self.above, self.beside, self.left = (
            [seen[rows] for seen in kept] for kept in (self.above, self.beside, self.left)
        )


class PixelCNNBlock(nn.Module):
    """One layer of both stacks. `side` positions to each side, `dilation` apart."""

    def __init__(self, dilation: int, channels: int, nets: PixelCNNNets, cond_shape: CondShape) -> None:
        super().__init__()
        width, side = nets.width, nets.kernel // 2
        self.side, self.dilation, self.channels = side, dilation, channels
        # PixelCNNCache above, and positions to each side, that the vertical stack looks at.
        self.reach = side * dilation
        # Places to the left that the horizontal stack looks at.
        self.back = self.reach * channels + channels - 1
        self.vertical = Gate((side + 1) * (2 * side + 1) * width, width, cond_shape)
        self.horizontal = Gate(((side + 1) * channels + 1) * width, width, cond_shape)
        self.drop = nn.Dropout(nets.dropout)
        self.v_on = nn.Linear(width, width, bias=False)
        self.h_on = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.v_on.weight)
        nn.init.zeros_(self.h_on.weight)

    def down(self, v: Tensor, above: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        """`(B, R, W, width)` and the normed rows above it; the next `v`, the next rows above."""
        rows, columns = v.shape[1:3]
        seen = torch.cat([above, norm(v)], dim=1)
        wide = F.pad(seen, (0, 0, self.reach, self.reach))
        taps = [
            wide[:, i : i + rows, j : j + columns]
            for i in range(0, self.reach + 1, self.dilation)
            for j in range(0, 2 * self.reach + 1, self.dilation)
        ]
        v = v + self.v_on(self.drop(self.vertical(torch.cat(taps, dim=-1), cond)))
        return v, seen[:, rows:]

    def along(self, h: Tensor, left: Tensor, v: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        """`(B, R, N, width)`, the normed places to its left, and the vertical stack at its places."""
        places = h.shape[2]
        seen = torch.cat([left, norm(h)], dim=2)
        starts = [
            i * self.dilation * self.channels + c
            for i in range(self.side + 1)
            for c in range(self.channels)
        ]
        taps = [seen[:, :, i : i + places] for i in starts]
        z = self.horizontal(torch.cat([*taps, norm(v)], dim=-1), cond)
        return h + self.h_on(self.drop(z)), seen[:, :, places:]


class PixelCNN(Causal):
    """`(B, H * W * channels, width)` to the same; place i sees the places up to i."""

    def __init__(self, grid: Grid, channels: int, nets: PixelCNNNets, cond_shape: CondShape) -> None:
        super().__init__()
        self.grid, self.channels, self.width = grid, channels, nets.width
        self.first = nn.Linear(channels * self.width, self.width, bias=False)
        self.blocks = nn.ModuleList(
            PixelCNNBlock(2 ** (i % nets.cycle), channels, nets, cond_shape) for i in range(nets.depth)
        )

    def _above(self, rows: Tensor) -> Tensor:
        """Whole rows of the input, shifted back, `(B, R, W * channels, width)`, to the vertical stack's
        input for the rows below them."""
        return norm(self.first(rows.view(*rows.shape[:2], -1, self.channels * self.width)))

    def _at_places(self, v: Tensor) -> Tensor:
        return v.repeat_interleave(self.channels, dim=2)

    def cache(self, batch: int, length: int, like: Tensor) -> PixelCNNCache:
        columns = self.grid[1]
        blocks = [block for block in self.blocks if isinstance(block, PixelCNNBlock)]

        def zeros(*shape: int) -> Tensor:
            return like.new_zeros(batch, *shape, self.width)

        return PixelCNNCache(
            zeros(0),
            [zeros(block.reach, columns) for block in blocks],
            [],
            [zeros(1, block.back) for block in blocks],
        )

    def forward(self, h: Tensor, cond: Cond, cache: Cache | None = None) -> Tensor:
        h = norm(h)
        if cache is not None:
            assert isinstance(cache, PixelCNNCache)
            return self._continue(h, cond, cache)
        rows, columns = self.grid
        length = h.shape[1]
        h = F.pad(h, (0, 0, 0, rows * columns * self.channels - length))  # a picture not yet whole
        back = F.pad(h[:, 1:], (0, 0, 0, 1)).view(len(h), rows, -1, self.width)
        v = F.pad(self._above(back)[:, :-1], (0, 0, 0, 0, 1, 0))
        h = h.view(len(h), rows, -1, self.width)
        for block in self.blocks:
            assert isinstance(block, PixelCNNBlock)
            v, _ = block.down(v, v.new_zeros(len(v), block.reach, columns, self.width), cond)
            left = h.new_zeros(len(h), rows, block.back, self.width)
            h, _ = block.along(h, left, self._at_places(v), cond)
        return norm(h.flatten(1, 2)[:, :length])

    def _continue(self, h: Tensor, cond: Cond, cache: PixelCNNCache) -> Tensor:
        """New places behind those in the cache, row by row."""
        size, parts = self.grid[1] * self.channels, []
        while h.shape[1]:
            at = cache.length % size
            if at == 0:
                self._new_row(h[:, :1], cond, cache)
            piece, h = h[:, : size - at], h[:, size - at :]
            cache.row = torch.cat([cache.row, piece], dim=1)
            out = piece[:, None]
            for i, block in enumerate(self.blocks):
                assert isinstance(block, PixelCNNBlock)
                v = self._at_places(cache.beside[i])[:, :, at : at + piece.shape[1]]
                out, cache.left[i] = block.along(out, cache.left[i], v, cond)
            parts.append(out[:, 0])
            cache.length += piece.shape[1]
        return norm(torch.cat(parts, dim=1))

    def _new_row(self, first: Tensor, cond: Cond, cache: PixelCNNCache) -> None:
        """The vertical stack for a row that begins: `first` tells the last symbol of the row above."""
        if cache.length:
            v = self._above(torch.cat([cache.row[:, 1:], first], dim=1)[:, None])
        else:
            v = first.new_zeros(len(first), 1, self.grid[1], self.width)
        cache.row, cache.beside = first[:, :0], []
        for i, block in enumerate(self.blocks):
            assert isinstance(block, PixelCNNBlock)
            v, cache.above[i] = block.down(v, cache.above[i], cond)
            cache.beside.append(v)
            cache.left[i] = torch.zeros_like(cache.left[i])


class PixelCNNNets(Nets):
    """Causal gated convolutions over a grid of two axes, with a vertical and a horizontal stack, for the
    causal role."""

    reads = {"causal": frozenset({"grid"})}  # noqa: RUF012 - a constant of the class
    sizes = {"xs": (32, 2), "s": (64, 6), "m": (128, 9), "l": (256, 15)}  # noqa: RUF012

    def __init__(
        self,
        size: Size = "s",
        *,
        width: Count | None = None,
        depth: Count | None = None,
        dropout: Share = 0.0,
        image_encoder: ImageEncoder = "learned",
        kernel: Literal[3, 5, 7] = 3,
        cycle: Count = 3,
    ) -> None:
        """kernel: positions across that a block sees.  cycle: blocks after which the dilation, doubled from
        block to block, is 1 again (1: never above 1)."""
        super().__init__(size, width=width, depth=depth, dropout=dropout, image_encoder=image_encoder)
        self.kernel, self.cycle = kernel, cycle

    def slots(self, role: Role, grid: Grid, *, symbols: bool = False) -> frozenset[str]:
        if role == "causal" and len(grid) != 2:
            axes = f"{len(grid)} axes" if len(grid) > 1 else "one axis" if grid else "none"
            raise Unsupported(
                f"the net 'pixelcnn' reads a grid of two axes (a picture, a level), and this has {axes}: "
                f"use net.name=transformer or net.name=wavenet",
                code="wrong-axes",
            )
        return super().slots(role, grid, symbols=symbols)

    def causal(
        self, length: int, cond_shape: CondShape, *, grid: Grid = (), channels: int = 1
    ) -> Causal:
        self.slots("causal", grid)
        return PixelCNN(grid, channels, self, cond_shape)
