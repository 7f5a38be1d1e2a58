"""Rows of a table for symbols whose vectors are known.

Of a few hundred texts no word is learnt that occurs in none of them. Where words have vectors from elsewhere, a row is
a linear map of its word's, which all words learn together (as frozen embeddings, Mikolov et al. 2013, arXiv:1309.4168;
as an output layer, Kumar and Tsvetkov 2019, arXiv:1812.04616).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from genwright import word_vectors
from genwright.space import Span, Symbol

__all__ = ["KnownRows"]


class KnownRows(nn.Module):
    """Completes a table of symbols, span after span and behind them what else is wanted, by rows for those that are
    known: the last of a span that has `vectors`."""

    vectors: Tensor
    """`(known, d)`. No part of a run: all hold the same."""
    order: Tensor
    """Which of the own rows and the known ones behind them is the row of each symbol `(rows,)`."""

    def __init__(
        self, spans: Sequence[Span], rows: int, width: int, std: float, *, bias: bool = False
    ) -> None:
        """rows: of the whole table.  std: of a row at the start.  bias: a number of its own for each symbol, how common
        it is, along one direction for all."""
        super().__init__()
        self.own = rows
        """How many rows are not known."""
        self.map = self.bias = self.along = None
        symbols = [span for span in spans if isinstance(span, Symbol)]
        ends = zip(symbols, accumulate(span.k for span in symbols), strict=True)
        known = [end for span, end in ends if span.vectors]
        if not known:
            return
        found = word_vectors.vectors()
        place = torch.cat([torch.arange(end - len(found), end) for end in known])
        self.own = rows - len(place)
        order, own = torch.empty(rows, dtype=torch.long), torch.ones(rows, dtype=torch.bool)
        own[place] = False
        order[own], order[place] = torch.arange(self.own), torch.arange(self.own, rows)
        self.register_buffer("vectors", found, persistent=False)
        self.register_buffer("order", order, persistent=False)
        self.times = len(known)
        self.map = nn.Parameter(torch.randn(found.shape[1], width) * (std / found.shape[1] ** 0.5))
        if bias:
            self.bias = nn.Parameter(torch.zeros(len(place)))
            self.along = nn.Parameter(torch.full((width,), width**-0.5))

    def forward(self, own: Tensor) -> Tensor:
        """From `(own, width)` to `(rows, width)`."""
        if self.map is None:
            return own
        known = (self.vectors @ self.map).repeat(self.times, 1)
        if self.bias is not None and self.along is not None:
            known = known + torch.outer(self.bias, self.along)
        return torch.cat([own, known.to(own.dtype)])[self.order]
