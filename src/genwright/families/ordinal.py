"""Symbols that stand in an order share what is smooth along it.

The bins of a number are symbols, and a table with a row of its own for each would learn of every bin by itself.
To its rows are added smooth functions of the rank, whose weights all bins learn together: cosines, as periodic
embeddings of numbers (Gorishniy et al. 2022, arXiv:2203.05556). What is true of one bin alone stays in its row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genwright.space import Span, Symbol

__all__ = ["OrdinalTable", "ordinal_basis"]

COSINES = 16
"""Of half a period and more over an alphabet, at most."""


def ordinal_basis(spans: Sequence[Span]) -> Tensor | None:
    """`(symbols of all spans, n)`: smooth functions of the rank of each symbol within its span, 0 elsewhere; None
    where no span is ordered."""
    ordered = [s for s in spans if isinstance(s, Symbol) and s.ordered and s.k > 2]
    if not ordered:
        return None
    blocks = [
        _cosines(s) if s in ordered else torch.zeros(s.k, 0) for s in spans if isinstance(s, Symbol)
    ]
    out: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
    return out


def _cosines(span: Symbol) -> Tensor:
    """`(k, n)`: the n-th of them goes through n half periods, and the finer it is the smaller."""
    n = torch.arange(1, min(COSINES, span.k - 1) + 1)
    rank = (torch.arange(span.k) + 0.5) / span.k
    return torch.cos(math.pi * torch.outer(rank, n)) / n.sqrt()


class OrdinalTable(nn.Module):
    """A table `(symbols, width)`: a row for each symbol and, where there is an order, what is smooth along it."""

    basis: Tensor | None

    def __init__(self, weight: Tensor, basis: Tensor | None) -> None:
        """weight: the rows at the start.  basis: of `ordinal_basis`, whose part starts with as much spread."""
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.register_buffer("basis", basis, persistent=False)
        self.smooth = None
        if basis is not None:
            spread = weight.std() / basis.square().sum(1).mean().sqrt()
            self.smooth = nn.Parameter(torch.randn(basis.shape[1], weight.shape[1]) * spread)

    def forward(self) -> Tensor:
        if self.smooth is None or self.basis is None:
            return self.weight
        return self.weight + self.basis @ self.smooth
