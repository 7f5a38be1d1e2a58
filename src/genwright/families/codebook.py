"""A codebook: vectors that encodings are rounded to, and that follow the encodings they stand for.

Each code is the moving average of the encodings nearest to it (van den Oord et al. 2017, arXiv:1711.00937,
appendix A.1; Razavi et al. 2019, arXiv:1906.00446, section 2.1), so that it needs no gradient. A code that
stands for almost nothing is dead: no encoding will ever move it. It is put in the place of an encoding of
the present batch (Dhariwal et al. 2020, arXiv:2005.00341, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Codebook"]

DEAD = 0.05
"""Times the even share of the encodings: a code with less is dead."""


class Codebook(nn.Module):
    """`codes` vectors of `dim` numbers.

    The statistics are linear in what each device has seen, so that their mean over the devices is what one
    device would have gathered from all examples.
    """

    shared: ClassVar[Mapping[str, Literal["mean", "first"]]] = {
        "count": "mean",
        "total": "mean",
        "spare": "first",
    }

    def __init__(self, codes: int, dim: int, decay: float) -> None:
        super().__init__()
        self.codes, self.decay = codes, decay
        start = torch.randn(codes, dim)
        self.register_buffer("count", torch.ones(codes))
        self.register_buffer("total", start)
        self.register_buffer("spare", start.clone())

    count: Tensor
    """Encodings of a batch that each code stands for, a moving average `(codes,)`."""
    total: Tensor
    """Their sum `(codes, dim)`."""
    spare: Tensor
    """Encodings of the last batch, to put in the place of dead codes `(codes, dim)`."""

    def vectors(self) -> Tensor:
        """`(codes, dim)`."""
        return self.total / self.count.clamp_min(1e-12)[:, None]

    @torch.no_grad()
    def nearest(self, h: Tensor) -> Tensor:
        """The number of the code nearest to each encoding `(N, dim)`: `(N,)`."""
        with torch.autocast(h.device.type, enabled=False):
            h, codes = h.float(), self.vectors()
            # The squares of h are the same for every code.
            return (codes.square().sum(1) - 2 * h @ codes.T).argmin(1)

    @torch.no_grad()
    def begin(self, h: Tensor) -> None:
        """Every code is one of the encodings `(N, dim)`."""
        self.total.copy_(_some(h, self.codes))
        self.spare.copy_(self.total)
        self.count.fill_(1.0)

    @torch.no_grad()
    def follow(self, h: Tensor, index: Tensor, step: int) -> None:
        """Move to the encodings `(N, dim)` that have been given these codes `(N,)`. At the start a short
        memory is the better one, since everything moves."""
        keep = min(self.decay, (1 + step) / (10 + step))
        with torch.autocast(h.device.type, enabled=False):
            h = h.float()
            which = F.one_hot(index, self.codes).float()  # (N, codes)
            self.count.lerp_(which.sum(0), 1 - keep)
            self.total.lerp_(which.T @ h, 1 - keep)
            self.spare.copy_(_some(h, self.codes))

    @torch.no_grad()
    def repair(self) -> int:
        """Put the dead codes in the place of spare encodings, as if each had had its even share; how many."""
        even = self.count.mean()
        dead = self.count < DEAD * even
        self.count.copy_(torch.where(dead, even, self.count))
        self.total.copy_(torch.where(dead[:, None], even * self.spare, self.total))
        return int(dead.sum())

    def share(self) -> Tensor:
        """Of the encodings that each code stands for `(codes,)`."""
        return self.count / self.count.sum().clamp_min(1e-12)

    def used(self) -> Tensor:
        """Share of the codes that are not dead."""
        return (self.count >= DEAD * self.count.mean()).float().mean()

    def perplexity(self) -> Tensor:
        """How many codes used evenly would say as much: exp of the entropy of their shares."""
        return torch.special.entr(self.share()).sum().exp()

    def variety(self, index: Tensor) -> Tensor:
        """The same of the codes `(N,)` of one batch: a moving average is slow to see that they die."""
        share = torch.bincount(index, minlength=self.codes).float() / len(index)
        return torch.special.entr(share).sum().exp()


def _some(h: Tensor, n: int) -> Tensor:
    """`n` of the encodings, different ones where there are enough."""
    order = torch.randperm(len(h), device=h.device)
    return h[order.repeat(-(-n // len(h)))[:n]].float()
