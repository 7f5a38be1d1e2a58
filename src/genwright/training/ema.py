"""One moving average of the weights, one rule.

The width of the average is a share of the training so far (the power-function profile of Karras et al.
2024, arXiv:2312.02696, equations 121 and 127): short and long runs need no other number, and the first
steps fade by themselves.
"""

from __future__ import annotations

import copy

import numpy as np
import torch

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

    @torch.no_grad()
    def update(self, family: Family, step: int) -> None:
        """Follow after step number `step`, counted from 1."""
        if not self.width:
            return
        keep = (1 - 1 / step) ** (self.gamma + 1)
        torch._foreach_lerp_(list(self.family.parameters()), list(family.parameters()), 1 - keep)
        for mine, new in zip(self.family.buffers(), family.buffers(), strict=True):
            mine.copy_(new)
