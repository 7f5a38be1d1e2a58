"""What families of symbols share: an example as one sequence, and a head for each span.

The sequence goes position by position in row-major order and span by span at each: a text is read from
left to right, a row column by column, a picture of quantised pixels line by line. Place `p * C + c` holds
the c-th of C spans at position p. Every span has its own slice of the tables, so that a column with two
values is never offered the alphabet of its neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genwright.families.base import Phase
from genwright.families.capabilities import Generative
from genwright.families.ordinal import SmoothRows
from genwright.nets.known_rows import KnownRows
from genwright.nets.roles import Nets
from genwright.space import CondSpec, Space, Symbol

__all__ = ["SymbolFamily"]


class SymbolFamily(Generative):
    """A family over spaces of symbols alone; others reach it by a bridge."""

    accepts = frozenset({"symbol"})
    max_width = 65_536
    max_positions = 4_096
    large_products = True
    phases = (
        Phase("fit", lr=6e-3, betas=(0.9, 0.95), weight_decay=0.1, optimizer="muon", muon_lr=0.025),
    )

    def __init__(self, space: Space, cond: Mapping[str, CondSpec | Space], nets: Nets) -> None:
        super().__init__(space, cond, nets)
        self.channels = space.stored
        self.length = space.positions * self.channels
        self.sizes = [span.k for span in space.spans if isinstance(span, Symbol)]
        first = torch.tensor([0, *self.sizes[:-1]]).cumsum(0)
        self.register_buffer("first", first, persistent=False)

    first: Tensor
    """Where each span's symbols begin in a table of them all."""

    def _add_head(self, width: int) -> None:
        """The answer for each symbol, 0 at the start."""
        self.known_head = KnownRows(self.space.spans, sum(self.sizes), width, 0.0, bias=True)
        self.head = nn.Parameter(torch.zeros(self.known_head.own, width))
        self.smooth_head = SmoothRows(self.space.spans, width)

    def _heads(self) -> tuple[Tensor, ...]:
        """For each span `(k, width)`: the row of each symbol's logit. Parted at once: the gradient of a slice is as
        large as the whole."""
        return torch.split(self.smooth_head(self.known_head(self.head)), self.sizes)

    @property
    def pad(self) -> int | None:
        """The symbol that ends a text, if there is one."""
        return getattr(self.space.spans[0], "pad", None) if self.channels == 1 else None

    def _infill(
        self,
        x: Tensor,
        known: Tensor,
        given: dict[str, Tensor],
        rng: torch.Generator,
        **sampler_options: Any,
    ) -> Tensor:
        """By `_sample`, which in these families takes what is known beside the rest."""
        sample: Callable[..., Tensor] = self._sample
        return sample(len(x), given, rng, (x, known), **sampler_options)

    def _flat(self, x: Tensor) -> Tensor:
        """Stored `(B, C, *grid)` to a sequence `(B, P * C)`."""
        return x.reshape(len(x), self.channels, -1).transpose(1, 2).flatten(1)

    def _stored(self, ids: Tensor, grid: tuple[int, ...]) -> Tensor:
        """A sequence back to stored examples on `grid`."""
        return ids.view(len(ids), -1, self.channels).transpose(1, 2).reshape(-1, self.channels, *grid)
