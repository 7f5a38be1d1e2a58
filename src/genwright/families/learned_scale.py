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

from genwright.space import Space

__all__ = ["LearnedScale"]

GAIN = 10.0
LEAST = -5.0
"""Below e^-5 a channel is known to one part in 150 of its standard deviation; the density would go on growing
without the example getting any better."""


class LearnedScale(nn.Module):
    """Standard deviations of the real channels in a decoder's answer, 1 at first, and always unless `learn`."""

    def __init__(self, space: Space, *, learn: bool) -> None:
        super().__init__()
        self.space = space
        channels = space.real_channels
        self.slow = nn.Parameter(torch.zeros(channels)) if learn and channels else None

    def log(self) -> Tensor | None:
        """Their logarithms `(channels,)`, None where all are 1."""
        return None if self.slow is None else (GAIN * self.slow).clamp_min(LEAST)

    def nll(self, out: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        """`Space.nll` of the decoder's answer `(B,)`."""
        return self.space.nll(out, x, mask, self.log())

    def draw(
        self, out: Tensor, temperature: float, rng: torch.Generator, noise: bool | None = None
    ) -> Tensor:
        """Stored examples; with the noise of real channels (None: where they are unbounded; in a picture
        that noise is misfit rather than content)."""
        wanted = not self.space.bounded if noise is None else noise
        return self.space.draw(out, temperature, rng, self.log() if wanted else None)
