"""Symbols that stand in an order share what is smooth along it.

The bins of a number are symbols, and a table with a row of its own for each would learn of every bin by itself.
To its rows are added smooth functions of the rank, whose weights all bins learn together: cosines, as periodic
embeddings of numbers (Gorishniy et al. 2022, arXiv:2203.05556). What is true of one bin alone stays in its row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from genwright.nets.known_rows import KnownRows
from genwright.space import Span, Symbol

__all__ = ["OrdinalTable", "SmoothRows"]

COSINES = 16
"""Of half a period and more over an alphabet, at most."""


class SmoothRows(nn.Module):
    """Adds to a table `(rows, width)`, a row for each symbol of all spans one after the other and behind them what
    else is wanted, what is smooth along the order of ordered symbols."""

    basis: Tensor
    """`(ordered spans, the most symbols of one, n)`: smooth functions of the rank."""
    cell: Tensor
    """Which of these cells, span by span, are symbols `(ordered symbols,)`."""
    row: Tensor
    """And which rows of the table they are `(ordered symbols,)`."""

    def __init__(self, spans: Sequence[Span], width: int, std: float = 0.0) -> None:
        """std: of what is added at the start."""
        super().__init__()
        self.smooth = None
        symbol = [span for span in spans if isinstance(span, Symbol)]
        ends = accumulate(span.k for span in symbol)
        # Of two symbols there is nothing between.
        ordered = [
            (s.k, end - s.k) for s, end in zip(symbol, ends, strict=True) if s.ordered and s.k > 2
        ]
        if not ordered:
            return
        k = torch.tensor([k for k, _ in ordered])
        basis = _cosines(k)
        symbols = torch.arange(int(k.max())) < k[:, None]
        row = torch.tensor([first for _, first in ordered])[:, None] + torch.arange(int(k.max()))
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("cell", symbols.flatten().nonzero().squeeze(1), persistent=False)
        self.register_buffer("row", row[symbols], persistent=False)
        std = std / float(basis[symbols].square().sum(1).mean().sqrt())
        self.smooth = nn.Parameter(torch.randn(len(k), basis.shape[2], width) * std)

    def forward(self, rows: Tensor) -> Tensor:
        if self.smooth is None:
            return rows
        added = torch.bmm(self.basis, self.smooth).flatten(0, 1)[self.cell]
        return rows.index_add(0, self.row, added.to(rows.dtype))


class OrdinalTable(nn.Module):
    """A table `(rows, width)` with what is smooth of it and what is known."""

    def __init__(self, rows: int, width: int, spans: Sequence[Span], std: float) -> None:
        """std: of the rows at the start, and of what is added to them."""
        super().__init__()
        self.along = SmoothRows(spans, width, std)
        self.known = KnownRows(spans, rows, width, std)
        self.weight = nn.Parameter(std * torch.randn(self.known.own, width))

    def forward(self) -> Tensor:
        table: Tensor = self.along(self.known(self.weight))
        return table


def _cosines(k: Tensor) -> Tensor:
    """For alphabets of `k` symbols `(spans,)` what is smooth along them `(spans, max(k), n)`: the n-th goes through n
    half periods, and the finer it is the smaller. An alphabet has fewer of them than symbols."""
    most = int(k.max())
    n = torch.arange(1, min(COSINES, most - 1) + 1)
    rank = (torch.arange(most) + 0.5) / k[:, None]
    return torch.cos(math.pi * rank[:, :, None] * n) / n.sqrt() * (n < k[:, None, None])
