"""A pointer network that may copy what is given (See et al. 2017, arXiv:1704.04368, section 2.2).

    p(v) = g p_said(v) + (1 - g) sum_(i: v_i = v) a_i                                            (eq. 9)

where g is the gate, a the attention to the tokens of what is given, and v_i the symbol that the i-th of them
stands for. So a name that was never seen can be said, as long as it stands there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond

__all__ = ["Pointer"]

LEAST = 1e-30
"""Of a probability: what is not there to be copied has none."""


class Pointer(nn.Module):
    """Attention to tokens `(B, T, dim)` from what a network made of each place `(B, L, width)`, and a gate."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.gate = nn.Linear(width, 1)
        nn.init.zeros_(self.gate.weight)

    def log_prob(self, hidden: Tensor, said: Tensor, truth: Tensor, cond: Cond) -> Tensor:
        """Of the symbols `truth` `(B, L)`, which are said with the logarithms `said` `(B, L)`."""
        assert cond.symbols is not None
        same = truth[:, :, None] == cond.symbols[:, None]
        copied = (self._attention(hidden, cond) * same).sum(2)
        return self._mixed(hidden, said, copied, cond)

    def logits(self, hidden: Tensor, logits: Tensor, cond: Cond) -> Tensor:
        """The logits `(B, k)` of what is said or copied at one place `(B, width)`."""
        assert cond.symbols is not None
        attention = self._attention(hidden[:, None], cond).squeeze(1)
        copied = torch.zeros_like(logits).scatter_add(1, cond.symbols.clamp_min(0), attention)
        return self._mixed(hidden, logits.log_softmax(1), copied, cond)

    def _attention(self, hidden: Tensor, cond: Cond) -> Tensor:
        """To each token that stands for a symbol, 0 to others `(B, L, T)`."""
        assert cond.tokens is not None
        assert cond.symbols is not None
        query, key = self.query(hidden), self.key(cond.tokens)
        scores = (query @ key.transpose(1, 2)).float() / key.shape[-1] ** 0.5
        there = (cond.symbols >= 0)[:, None]
        return scores.masked_fill(~there, -1e9).softmax(2) * there

    def _mixed(self, hidden: Tensor, said: Tensor, copied: Tensor, cond: Cond) -> Tensor:
        """Logarithms of both together. Where there is nothing to copy all is said."""
        assert cond.symbols is not None
        gate = self.gate(hidden).float().view(*hidden.shape[:-1], *[1] * (said.ndim - hidden.ndim + 1))
        some = (cond.symbols >= 0).any(1).view(-1, *[1] * (said.ndim - 1))
        say = torch.where(some, F.logsigmoid(gate), 0.0)
        copy = torch.where(some, F.logsigmoid(-gate), -torch.inf)
        return torch.logaddexp(say + said, copy + copied.clamp_min(LEAST).log())
