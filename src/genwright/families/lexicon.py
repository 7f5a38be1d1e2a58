"""A lexicon: what a symbol of a given text becomes in the text to be made, learnt from pairs before training begins.

    t(y | x) by IBM model 1 (Brown et al. 1993, section 4.2), the expectation-maximisation of which is

    c(y, x) = sum over pairs, places of y and x in them of t(y | x) / sum_(x' of the pair) t(y | x')
    t(y | x) = c(y, x) / sum_y' c(y', x)

with an empty symbol in each given text, which explains what no other does. A few thousand pairs tell most of it, while
a network has to read them many times (Arthur et al. 2016, arXiv:1606.02006).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["MOST_SYMBOLS", "model_1"]

MOST_SYMBOLS = 8192
"""Of a vocabulary: the table of model 1 holds a number for any two."""
ROUNDS = 6
LINKS = 1 << 21
"""Pairs of places that are looked at at a time."""


def model_1(source: Tensor, target: Tensor, k: int) -> Tensor:
    """`(k, k)`: the probability of each symbol of the target given one of the source. A symbol counts once more as its
    own translation than pairs say, and one that was never met is only that.

    source, target  symbols of pairs `(N, S)` and `(N, T)`, negative where there is none
    """
    table = torch.full(((k + 1) * k,), 1.0 / k, device=source.device)
    source = torch.cat([source, torch.full_like(source[:, :1], k)], dim=1)
    step = max(1, LINKS // (source.shape[1] * target.shape[1]))
    counts = table
    for _ in range(ROUNDS):
        counts = torch.zeros_like(table)
        for x, y in zip(torch.split(source, step), torch.split(target, step), strict=True):
            links = (x[:, None] * k + y[:, :, None]).clamp_min(0)  # (N, T, S + 1)
            there = (x >= 0)[:, None] & (y >= 0)[:, :, None]
            share = table[links] * there
            share = share / share.sum(2, keepdim=True).clamp_min(1e-30)
            counts.index_add_(0, links.flatten(), share.flatten())
        rows = counts.view(k + 1, k)
        table = (rows / rows.sum(1, keepdim=True).clamp_min(1e-30)).flatten()
    own = counts.view(k + 1, k)[:k] + torch.eye(k, device=source.device)
    return own / own.sum(1, keepdim=True)
