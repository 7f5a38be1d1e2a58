"""What families share that learn from noisy examples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genwright.space import Space

__all__ = ["Waves", "example_mean", "stratified"]


class Waves(nn.Module):
    """Embedded examples with `number` sines and cosines of each real number beside it, each `base` times as
    fine as the one before (Fourier features, Tancik et al. 2020, arXiv:2006.10739): a smooth network follows
    sharp changes that way. `width` channels come out."""

    reals: Tensor

    def __init__(self, space: Space, number: int, base: float) -> None:
        super().__init__()
        self.number, self.base = number, base
        reals = space.real_mask(embedded=True).nonzero().flatten()
        self.register_buffer("reals", reals, persistent=False)
        self.width = space.width + 2 * number * len(reals)

    def forward(self, x: Tensor) -> Tensor:
        angles = [self.base**i * x[:, self.reals] for i in range(self.number)]
        return torch.cat([x, *(wave for a in angles for wave in (a.sin(), a.cos()))], dim=1)


def stratified(n: int, device: torch.device) -> Tensor:
    """One number in each n-th of [0, 1), in any order `(n,)`: a loss over times or levels that are spread so is
    less noisy than with free draws."""
    return (torch.randperm(n, device=device) + torch.rand(n, device=device)) / n


def example_mean(errors: Tensor, mask: Tensor | None) -> Tensor:
    """`(B, C, *grid)` on average over the positions of `mask` `(B, *grid)`, for each example `(B,)`."""
    if mask is None:
        return errors.flatten(1).mean(1)
    share = mask.float().flatten(1).mean(1).clamp_min(1e-6)
    return (errors * mask[:, None]).flatten(1).mean(1) / share
