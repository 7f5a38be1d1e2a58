"""The learned standard deviation of a decoder's real channels (sigma-VAE, Rybkin et al. 2021,
arXiv:2006.13202).

It has a long way to go: from 1, the data's own, to what the decoder leaves over, which is a fiftieth where
modes are narrow. A step of Adam moves a parameter by about the rate, so at a network's rate thousands of
steps would go by before the two terms of the bound are balanced. The logarithm is therefore `GAIN` times its
parameter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["LearnedScale"]

GAIN = 10.0
LEAST = -5.0
"""Below e^-5 a channel is known to one part in 150 of its standard deviation; the density would go on growing
without the example getting any better."""


class LearnedScale(nn.Module):
    """Standard deviations of `channels` real channels, 1 at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.slow = nn.Parameter(torch.zeros(channels))

    def log(self) -> Tensor:
        """Their logarithms `(channels,)`."""
        return (GAIN * self.slow).clamp_min(LEAST)
