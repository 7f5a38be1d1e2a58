"""Uniform dequantization of numbers that lie on levels, as pixels do.

Of levels alone a density may be as high as one likes. Spread evenly over their shares of the range, its mean
bounds the likelihood of the levels from below (Theis et al. 2016, arXiv:1511.01844, section 3.1), so that
whatever is judged by its likelihood should be trained so too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genwright.batch import by_channel
from genwright.space import Space

__all__ = ["Dequantizer"]

NEAR, MOST = 1e-3, 0.9
"""How near to a level a number lies on it, in their distance; the share that shows them."""


class Dequantizer(nn.Module):
    """Which stored channels lie on `number` levels in [-1, 1]; found by `fit`.

    number  None: numbers are taken as they are
    """

    is_discrete: Tensor

    def __init__(self, space: Space, number: int | None) -> None:
        super().__init__()
        self.number = number
        self.register_buffer("bounded", space.real_mask(bounded=True), persistent=False)
        self.register_buffer("is_discrete", torch.zeros(space.stored, dtype=torch.bool))

    bounded: Tensor

    def fit(self, x: Tensor) -> None:
        """From stored examples `(B, stored, *grid)`."""
        if self.number is None:
            return
        place = (x.float() + 1) / 2 * (self.number - 1)
        near = ((place - place.round()).abs() < NEAR).movedim(1, 0).flatten(1)
        self.is_discrete.copy_(self.bounded & (near.float().mean(1) > MOST))

    def dequantize(self, x: Tensor) -> Tensor:
        """Stored examples, each level drawn anew from its share of the range."""
        if self.number is None or not bool(self.is_discrete.any()):
            return x
        x = x.float()
        level = ((x + 1) / 2 * (self.number - 1)).round()
        drawn = (level + torch.rand_like(x)) / self.number * 2 - 1
        return torch.where(by_channel(self.is_discrete, x), drawn, x)

    def quantize(self, x: Tensor) -> Tensor:
        """The way back: the level whose share of the range a number lies in."""
        if self.number is None or not bool(self.is_discrete.any()):
            return x
        level = ((x + 1) / 2 * self.number).floor().clamp(0, self.number - 1)
        return torch.where(by_channel(self.is_discrete, x), level / (self.number - 1) * 2 - 1, x)
