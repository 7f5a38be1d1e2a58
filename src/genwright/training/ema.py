"""One moving average of the weights, one rule.

The width of the average is a share of the training so far (the power-function profile of Karras et al.
2024, arXiv:2312.02696, equations 121 and 127): short and long runs need no other number, and the first
steps fade by themselves.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from genwright.families.base import Family

__all__ = ["EMA", "exponent"]


def exponent(width: float) -> float:
    """gamma of the profile t^gamma whose standard deviation is `width` of its length: the root of
    (gamma + 1)^(1/2) (gamma + 2)^-1 (gamma + 3)^(-1/2) = width, a cubic in gamma."""
    t = width**-2
    roots = np.roots([1, 7, 16 - t, 12 - t])
    return float(roots.real.max())


class EMA:
    """A copy of the family that follows it. With width 0 it is the family itself."""

    def __init__(self, family: Family, width: float) -> None:
        self.width = width
        self.family = copy.deepcopy(family).requires_grad_(False).eval() if width else family
        self.gamma = exponent(width) if width else 0.0
        # Walking a module tree takes as long as the arithmetic: once is enough.
        self._mine: tuple[list[Tensor], list[Tensor]] = (
            [*self.family.parameters()],
            [*self.family.buffers()],
        )
        self._theirs: tuple[list[Tensor], list[Tensor]] = [*family.parameters()], [*family.buffers()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow after step number `step`, counted from 1.

        Where training has gone back, `step` does so too, and the average with it: what it averages over is a
        share of the steps that led to where it is, not of all that were ever taken.
        """
        if not self.width:
            return
        keep = (1 - 1 / step) ** (self.gamma + 1)
        torch._foreach_lerp_(self._mine[0], self._theirs[0], 1 - keep)
        for mine, theirs in zip(self._mine[1], self._theirs[1], strict=True):
            mine.copy_(theirs)
