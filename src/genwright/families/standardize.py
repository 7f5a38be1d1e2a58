"""Embedded examples at zero mean and unit variance, and back: what noise of a known size is added to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genwright.space import Real, Space, Symbol

__all__ = ["Scaling"]

LEAST = 1e-2
"""Standard deviation that a channel is taken to have at least."""


class Scaling(nn.Module):
    """The data's own mean and standard deviation, by channel; set once by `fit`."""

    mean: Tensor
    std: Tensor

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        self.register_buffer("mean", torch.zeros(space.width))
        self.register_buffer("std", torch.ones(space.width))

    def fit(self, x: Tensor) -> None:
        """From stored examples. All channels of a symbol share one scale, since a rare one brought to
        unit variance would drown the others; and so do those of a picture, to keep their balance."""
        h = self.space.embed(x).movedim(1, 0).flatten(1)
        self.mean.copy_(h.mean(1))
        for slot in self.space.slots():
            channels = h[slot.width]
            std = channels.std(1) if isinstance(slot.span, Real) else _rms(channels)
            std = std.clamp_min(LEAST)
            if isinstance(slot.span, Real) and slot.span.bounded:
                std = std.square().mean().sqrt()
            self.std[slot.width] = std

    def normal(self, x: Tensor) -> Tensor:
        """Stored `(B, stored, *grid)` to `(B, width, *grid)` of zero mean and unit variance."""
        return (self.space.embed(x) - self._along(self.mean)) / self._along(self.std)

    def plain(self, h: Tensor) -> Tensor:
        """Back to the embedded form, for `space.draw`."""
        return h * self._along(self.std) + self._along(self.mean)

    @property
    def scale(self) -> Tensor:
        """Of each channel, `(1, width, 1...)`."""
        return self._along(self.std)

    def bounds(self) -> tuple[Tensor, Tensor]:
        """The range of each channel in normal units, without end where none is known; `(1, width, 1...)`."""
        low = torch.full_like(self.mean, -torch.inf)
        high = -low
        for slot in self.space.slots():
            if isinstance(slot.span, Symbol) or slot.span.bounded:
                low[slot.width] = 0.0 if isinstance(slot.span, Symbol) else -1.0
                high[slot.width] = 1.0
        scale = 1 / self.std
        return self._along((low - self.mean) * scale), self._along((high - self.mean) * scale)

    def _along(self, channels: Tensor) -> Tensor:
        return channels.view(1, -1, *[1] * len(self.space.grid))


def _rms(x: Tensor) -> Tensor:
    return (x - x.mean(1, keepdim=True)).square().mean().sqrt()
