"""Contrastive codes: an encoder that knows two views of one example from all others, without labels: SimCLR
(Chen et al. 2020, arXiv:2002.05709); for rows SCARF (Bahri et al. 2022, arXiv:2106.15147).

It makes no examples. What it learns is a code, for a classifier of few labels, a search, or a judge:
`genwright probe` says what it is worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Batch, Cond, by_axis, by_example
from genwright.families.base import Phase
from genwright.families.capabilities import Encoder
from genwright.nets.roles import CondShape, Grid, Nets
from genwright.options import Count, Positive
from genwright.space import CondSpec, Space, Symbol
from genwright.variations import box, from_places, uniform

__all__ = [
    "HIDE",
    "TEMPERATURE",
    "Contrastive",
    "ContrastiveEncoder",
    "Views",
    "contrast",
    "fold",
    "nt_xent",
    "patches",
    "projection",
]

TEMPERATURE = 0.2
HIDE = -1
"""The symbol that hides another."""
PATCHES = 256
"""Positions that an encoder looks at, at most; finer grids are folded into channels."""
SYMBOL = 32
"""Channels that a symbol is told in, at most: one-hot, a text of 256 tokens out of 8,000 is 2 M numbers."""


class Contrastive(Encoder):
    """Codes in which views of one example are near and those of others far (SimCLR); makes no examples."""

    accepts = frozenset({"real", "symbol", "mixed"})
    loss_units = ("nats", "nats")
    max_width = None
    least_batch = 2  # an example is told from others
    phases = (Phase("fit", lr=3e-3, weight_decay=1e-2),)

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        code: Count = 128,
        head: Count = 64,
        temperature: Positive = TEMPERATURE,
    ) -> None:
        """code: numbers of a code.  head: numbers that views are compared by, which are thrown away after
        training, since they forget what views differ in (section 4.2 of the paper).  temperature: the lower,
        the more the nearest of the others count.  Conditions are not looked at."""
        super().__init__(space, cond, nets)
        self.temperature = temperature
        self.encoder = ContrastiveEncoder(space, nets, code)
        self.head = projection(code, head)
        self.views = Views(space)

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        return {"nt_xent": contrast(self.encoder, self.head, self.views, batch.x, self.temperature)}

    def encode(self, batch: Batch) -> Tensor:
        """What stands before the head `(B, code)`."""
        return self.encoder(batch.x).float()


class Views:
    """Another example with the same meaning, for any space; what varies is read off it:

    a grid    moved by up to an eighth, and what is all reals enlarged or shrunk by up to a fifth; never
              mirrored or turned, which changes a letter
    reals     on a grid: contrast, brightness, noise, and a box that hides up to half of each side
    symbols   on a grid: some hidden, some exchanged for those of other examples
    a row     3 in 10 values exchanged for those of other examples: a draw from each marginal (SCARF)
    """

    SHIFT, ZOOM, LIGHT, NOISE, BOX = 1 / 8, 0.2, 0.3, 0.15, 0.5
    HIDDEN, EXCHANGED, CORRUPTED = 0.15, 0.1, 0.3

    def __init__(self, space: Space) -> None:
        self.space = space
        real = space.real_mask()
        self.reals, self.symbols = (mask.nonzero().flatten().tolist() for mask in (real, ~real))

    def __call__(self, x: Tensor) -> Tensor:
        """`(B, stored, *grid)` to the same, with `HIDE` for a hidden symbol."""
        if not self.space.grid:
            return _exchanged(x, self.CORRUPTED)
        x = self._window(x)
        if self.reals:
            part = self._lit(x[:, self.reals])
            x[:, self.reals] = part.masked_fill(box(part, 0, self.BOX), 0.0)
        if self.symbols:
            some = _exchanged(x[:, self.symbols], self.EXCHANGED)
            x[:, self.symbols] = some.masked_fill(
                torch.rand(some.shape, device=x.device) < self.HIDDEN, HIDE
            )
        return x

    def _window(self, x: Tensor) -> Tensor:
        """Each example moved, and resized if it has reals alone, to the nearest position. From outside
        come the edge's reals and hidden symbols."""
        zoom = torch.ones(len(x), device=x.device)
        if not self.symbols:
            zoom = zoom + self.ZOOM * uniform(x, low=-1)
        for axis, size in enumerate(self.space.grid):
            far = min(size - 1, max(1.0, self.SHIFT * size)) * uniform(x, low=-1)
            middle = (size - 1) / 2
            away = torch.arange(size, device=x.device) - middle
            places = (middle + far[:, None] + zoom[:, None] * away).round().long()
            x = from_places(x, axis, places, "edge")
            if self.symbols:
                outside = by_axis((places < 0) | (places >= size), axis, x)
                x[:, self.symbols] = x[:, self.symbols].masked_fill(outside, HIDE)
        return x

    def _lit(self, x: Tensor) -> Tensor:
        """Contrast, brightness and noise, each of its own strength for each example."""
        contrast, light = (self.LIGHT * by_example(uniform(x, low=-1), x) for _ in range(2))
        noise = self.NOISE * by_example(uniform(x), x) * torch.randn_like(x)
        return x * (1 + contrast) + light + noise


def _exchanged(x: Tensor, share: float) -> Tensor:
    """A share of the values, each replaced by that of another example at the same place."""
    chosen = torch.rand(x.shape, device=x.device) < share
    other = torch.rand(x.shape, device=x.device).argsort(0)
    return torch.where(chosen, x.gather(0, other), x)


class ContrastiveEncoder(nn.Module):
    """An `encode` network behind embeddings for the symbols: stored `(B, stored, *grid)`, where a symbol may
    be `HIDE`, to `(B, code)`."""

    def __init__(self, space: Space, nets: Nets, code: int) -> None:
        super().__init__()
        self.space = space
        symbols = [span.k for span in space.spans if isinstance(span, Symbol)]
        # One more symbol, the last, says that something is hidden.
        self.symbols = nn.ModuleList(nn.Embedding(k + 1, min(k, SYMBOL)) for k in symbols)
        channels = space.real_channels + sum(min(k, SYMBOL) for k in symbols)
        self.patch, coarse = patches(space.grid)
        self.net = nets.encode(coarse, (), channels * math.prod(self.patch), code, CondShape())

    def forward(self, x: Tensor) -> Tensor:
        parts, symbols = [], iter(self.symbols)
        for slot in self.space.slots():
            part = x[:, slot.stored]
            if isinstance(slot.span, Symbol):
                index = part[:, 0].long()
                part = next(symbols)(torch.where(index == HIDE, slot.span.k, index)).movedim(-1, 1)
            parts.append(part)
        h = fold(torch.cat(parts, dim=1), self.patch)
        out: Tensor = self.net(h, Cond.none(h))
        return out


def patches(grid: Grid) -> tuple[Grid, Grid]:
    """How many positions of each axis are folded into one, and the grid that is left."""
    patch, coarse = [1] * len(grid), list(grid)
    while math.prod(coarse) > PATCHES:
        axis = coarse.index(max(coarse))
        patch[axis] *= 2
        coarse[axis] = -(-grid[axis] // patch[axis])
    return tuple(patch), tuple(coarse)


def fold(x: Tensor, patch: Grid) -> Tensor:
    """`(B, C, *grid)` to `(B, C * patches, *coarse)`: nothing is lost, and the grid is smaller."""
    for axis, size in enumerate(patch, start=2):
        missing = -x.shape[axis] % size
        x = F.pad(x, (0, 0) * (x.ndim - 1 - axis) + (0, missing))
        x = x.reshape(*x.shape[:axis], -1, size, *x.shape[axis + 1 :]).movedim(axis + 1, 1).flatten(1, 2)
    return x


def projection(code: int, out: int) -> nn.Module:
    """From codes to the numbers that views are compared by."""
    return nn.Sequential(nn.ReLU(), nn.Linear(code, code), nn.ReLU(), nn.Linear(code, out))


def contrast(
    encoder: nn.Module, head: nn.Module, views: Views, x: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """The loss of one batch: two views of each example, against those of all others."""
    first, second = head(encoder(torch.cat([views(x), views(x)]))).chunk(2)
    return nt_xent(first, second, temperature)


def nt_xent(first: Tensor, second: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """The normalised, temperature-scaled cross entropy of Chen et al. (2020), eq. 1: of the 2 B - 1 other
    views, which belongs to the same example? `first` and `second` `(B, d)` are views of the same."""
    with torch.autocast(first.device.type, enabled=False):
        z = torch.cat([first, second])
        z = F.normalize(z.to(torch.promote_types(z.dtype, torch.float32)), dim=1)
        alike = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
        return F.cross_entropy(alike, torch.arange(len(z), device=z.device).roll(len(first)))
