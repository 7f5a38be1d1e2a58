"""Sampling of a token from logits, with the options that cut the unlikely ones off.

The options act in this order, each on what the former left:

    temperature   divides the logits; 0 takes the likeliest
    top_k         the k likeliest (Fan et al. 2018, arXiv:1805.04833, section 5.4)
    top_p         the fewest likeliest that together hold p (Holtzman et al. 2020, arXiv:1904.09751,
                  section 3.1)
    min_p         those at least p times as likely as the likeliest (Nguyen et al. 2024,
                  arXiv:2407.01082, section 3)

The likeliest always stays, so that every setting leaves something to draw from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["TokenSampler", "inverse_cdf_sample"]


@dataclass(frozen=True)
class TokenSampler:
    """Options of the sampler; None leaves one off."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    @property
    def cuts(self) -> bool:
        """Whether unlikely ones are cut off."""
        return not (self.top_k is None and self.top_p is None and self.min_p is None)

    def probs(self, logits: Tensor) -> Tensor:
        """Logits `(..., k)` to the probabilities that are drawn from, 0 for what is cut off."""
        logits = logits.float()
        if self.temperature == 1 and not self.cuts:
            return logits.softmax(-1)
        # The likeliest is at 0, so that the smallest temperature is no division of infinities.
        logits = logits - logits.amax(-1, keepdim=True)
        if self.temperature == 0:
            best = logits.argmax(-1, keepdim=True)
            return torch.zeros_like(logits).scatter(-1, best, 1.0)
        p = (logits / self.temperature).softmax(-1)
        if self.top_k is not None or self.top_p is not None:
            # By logits, which still differ where a high temperature has made the distribution flat.
            order = logits.argsort(dim=-1, descending=True, stable=True)
            ordered = p.gather(-1, order)
            if self.top_k is not None:
                ordered[..., self.top_k :] = 0
            if self.top_p is not None:
                total = ordered.double().cumsum(-1)
                before = total - ordered  # exactly 0 for the first, which therefore stays
                ordered = ordered.masked_fill(before >= self.top_p * total[..., -1:], 0)
            p = torch.zeros_like(p).scatter(-1, order, ordered)
        if self.min_p is not None:
            p = p.masked_fill(p < self.min_p * p.amax(-1, keepdim=True), 0)
        return p / p.sum(-1, keepdim=True) if self.cuts else p


def inverse_cdf_sample(probs: Tensor, u: Tensor) -> Tensor:
    """Inverse-CDF sampling: the symbol `(...)` whose share of the line from 0 to 1 holds `u` `(...)`, in [0,
    1).

    One number decides one symbol, so that what is drawn in one place never shifts what is drawn in
    another. A symbol of probability 0 has no share of the line and is never chosen.
    """
    ends = probs.cumsum(-1, dtype=torch.double)
    return torch.searchsorted(ends, u.double().unsqueeze(-1) * ends[..., -1:], right=True).squeeze(-1)
