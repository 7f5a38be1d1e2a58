"""Beam search: the likeliest sequence, as far as a few partial ones followed side by side can tell.

Sequences that end are compared by

    log p(y) / ((5 + |y|) / 6)^a                       (Wu et al. 2016, arXiv:1609.08144, eq. 14)

since the longer one is, the less probable it is. One that ends among the best takes a place of its own, and with as
many of them as are followed the search is over: with one it is greedy decoding. Nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genwright.grammar import Grammar

__all__ = ["Search", "beam_search"]


@dataclass(frozen=True)
class Search:
    """How many sequences are followed, and how much longer ones are preferred."""

    beams: int
    length_penalty: float = 0.6


def beam_search(
    read: Callable[[Tensor, int], Tensor],
    select: Callable[[Tensor], None],
    ids: Tensor,
    total: int,
    search: Search,
    *,
    pad: int | None = None,
    grammar: Grammar | None = None,
) -> Tensor:
    """The best sequence for each of n beginnings `(n, total)`, filled up with `pad`.

    read     logits `(n * beams, k)` of what comes at a place of sequences, of which those before it are known
    select   is told which rows `(n * beams,)` the next ones go on from
    ids      the beginnings `(n, places)`
    pad      the symbol that ends a sequence (None: all are of one length)
    grammar  which symbols may follow
    """
    (n, first), device, beams = ids.shape, ids.device, search.beams
    made = torch.full((n * beams, total), pad or 0, device=device)
    made[:, :first] = ids.repeat_interleave(beams, 0)
    score = torch.full((n, beams), -torch.inf, device=device)
    score[:, 0] = 0.0  # all begin alike, so that one is enough
    best = torch.full((n,), -torch.inf, device=device)
    found, ended = made[::beams].clone(), beams * torch.eq(ids, -1 if pad is None else pad).any(1)
    state = None if grammar is None else grammar.read(made[:, :first])
    for at in range(first, total):
        logits = read(made, at)
        if grammar is not None and state is not None:
            logits = logits.masked_fill(~grammar.allowed(state, total - at - 1), -torch.inf)
        k = logits.shape[1]
        every = (score.view(-1, 1) + logits.log_softmax(-1)).view(n, -1)
        # Of each sequence one continuation ends it at most, so that as many as are followed go on.
        top, index = every.topk(min(2 * beams, every.shape[1]))
        rows = index // k + beams * torch.arange(n, device=device)[:, None]
        symbol = index % k
        end = torch.zeros_like(symbol, dtype=torch.bool) if pad is None else symbol == pad
        closed = end | (at == total - 1)
        closed[:, beams:] = False
        closed &= top.isfinite() & (ended < beams)[:, None]
        value, which = (
            top.div(((6 + at - first) / 6) ** search.length_penalty).where(closed, -torch.inf).max(1)
        )
        better = value > best
        row, last = (t.gather(1, which[:, None]).squeeze(1)[better] for t in (rows, symbol))
        found[better] = made[row]
        found[better, at] = last
        best = torch.where(better, value, best)
        ended = ended + closed.sum(1)
        if at == total - 1 or bool((ended >= beams).all()):
            break
        score, on = top.masked_fill(end, -torch.inf).topk(beams)
        rows, symbol = (t.gather(1, on).flatten() for t in (rows, symbol))
        made = made[rows]
        made[:, at] = symbol
        select(rows)
        if grammar is not None and state is not None:
            state = grammar.after(state[rows], symbol)
    return found
