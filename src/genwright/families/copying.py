"""A pointer network that may copy or translate what is given (See et al. 2017, arXiv:1704.04368, section 2.2).

    p(v) = g p_said(v) + (1 - g) sum_i a_i t(v | v_i)                                            (eq. 9)

where g is the gate, a the attention to the tokens of what is given, v_i the symbol that the i-th of them stands for,
and t a lexicon (`lexicon.py`; of See et al. each symbol stands for itself alone). So a name that was never seen can be
said, as long as it stands there.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.families.lexicon import MOST_SYMBOLS, model_1

__all__ = ["Pointer"]

LEAST = 1e-30
"""Of a probability: what is not there to be copied has none."""
TRANSLATIONS = 16
"""Of each symbol, the likeliest of those that it becomes."""


class Pointer(nn.Module):
    """Attention to tokens `(B, T, dim)` from what a network made of each place `(B, L, width)`, a gate, and a lexicon
    of `k` symbols, in which each stands for itself until `learn` has seen pairs."""

    def __init__(self, width: int, dim: int, k: int) -> None:
        super().__init__()
        first = torch.zeros(k, min(k, TRANSLATIONS))
        first[:, 0] = 1.0
        self.register_buffer("share", first)
        self.register_buffer("becomes", torch.arange(k)[:, None].repeat(1, first.shape[1]))
        self.register_load_state_dict_pre_hook(_without_lexicon)  # type: ignore[no-untyped-call]
        self.query = nn.Linear(width, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.gate = nn.Linear(width, 1)
        nn.init.zeros_(self.gate.weight)

    share: Tensor
    """How probable each translation of a symbol is `(k, TRANSLATIONS)`."""
    becomes: Tensor
    """Which symbol it is."""

    def learn(self, source: Tensor, target: Tensor) -> None:
        """The lexicon of pairs of symbols `(N, S)` and `(N, T)`, negative where there is none."""
        k, most = self.share.shape
        if k <= MOST_SYMBOLS:
            share, becomes = model_1(source, target, k).topk(most)
            self.share.copy_(share / share.sum(1, keepdim=True))
            self.becomes.copy_(becomes)

    def log_prob(self, hidden: Tensor, said: Tensor, truth: Tensor, cond: Cond) -> Tensor:
        """Of the symbols `truth` `(B, L)`, which are said with the logarithms `said` `(B, L)`."""
        assert cond.symbols is not None
        given = cond.symbols.clamp_min(0)
        share, becomes = (of[given].unbind(2) for of in (self.share, self.becomes))  # of each (B, T)
        worth = torch.zeros(*truth.shape, given.shape[1], device=truth.device)
        for part, symbol in zip(share, becomes, strict=True):
            worth += (truth[:, :, None] == symbol[:, None]) * part[:, None]
        copied = (self._attention(hidden, cond) * worth).sum(2)
        return self._mixed(hidden, said, copied, cond)

    def logits(self, hidden: Tensor, logits: Tensor, cond: Cond) -> Tensor:
        """The logits `(B, k)` of what is said or copied at one place `(B, width)`."""
        assert cond.symbols is not None
        attention = self._attention(hidden[:, None], cond).squeeze(1)
        given = cond.symbols.clamp_min(0)
        share = attention[:, :, None] * self.share[given]
        becomes = self.becomes[given].flatten(1)
        copied = torch.zeros_like(logits).scatter_add(1, becomes, share.flatten(1))
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


def _without_lexicon(pointer: nn.Module, state: dict[str, Any], prefix: str, *others: Any) -> None:
    """Runs of before there were lexicons copy: each symbol stands for itself."""
    for name, own in pointer.named_buffers():
        state.setdefault(prefix + name, own.clone())
