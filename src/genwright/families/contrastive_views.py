"""Views: other examples with the same meaning, that a contrastive encoder learns to know as one."""

from __future__ import annotations

import torch
from torch import Tensor

from genwright.space import Real, Space, Symbol

__all__ = ["HIDE", "Views", "channels"]

HIDE = -1
"""The symbol that hides another."""


class Views:
    """Another example with the same meaning, for any space; what varies is read off it:

    a grid    moved by up to an eighth, and what is all reals enlarged or shrunk by up to a fifth; never
              mirrored or turned, which changes a letter
    reals     on a grid: contrast, brightness, noise, and a box that hides up to half of each side
    symbols   on a grid: some hidden, some exchanged for those of other examples
    a row     3 in 10 values exchanged for those of other examples: a draw from each marginal (SCARF)
    """

    SHIFT, ZOOM, LIGHT, NOISE, BOX = 1 / 8, 0.2, 0.3, 0.15, 0.5
    HIDDEN, EXCHANGED, CORRUPTED = 0.15, 0.1, 0.3

    def __init__(self, space: Space) -> None:
        self.space = space
        self.reals = channels(space, Real)
        self.symbols = channels(space, Symbol)

    def __call__(self, x: Tensor) -> Tensor:
        """`(B, stored, *grid)` to the same, with `HIDE` for a hidden symbol."""
        if not self.space.grid:
            return _exchanged(x, self.CORRUPTED)
        x = self._window(x)
        if self.reals:
            x[:, self.reals] = self._boxed(self._lit(x[:, self.reals]))
        if self.symbols:
            some = _exchanged(x[:, self.symbols], self.EXCHANGED)
            x[:, self.symbols] = some.masked_fill(
                torch.rand(some.shape, device=x.device) < self.HIDDEN, HIDE
            )
        return x

    def _window(self, x: Tensor) -> Tensor:
        """Each example moved, and resized if it has reals alone, to the nearest position. From outside
        come the edge's reals and hidden symbols."""
        zoom = torch.ones(len(x), device=x.device)
        if not self.symbols:
            zoom = zoom + self.ZOOM * _either(x)
        for axis, size in enumerate(self.space.grid):
            far = min(size - 1, max(1.0, self.SHIFT * size)) * _either(x)
            middle = (size - 1) / 2
            place = (
                middle + far[:, None] + zoom[:, None] * (torch.arange(size, device=x.device) - middle)
            )
            place = _along(place.round().long(), axis, x.ndim)
            inside = place.clamp(0, size - 1)
            x = x.gather(axis + 2, inside.expand_as(x))
            if self.symbols:
                x[:, self.symbols] = x[:, self.symbols].masked_fill(inside != place, HIDE)
        return x

    def _lit(self, x: Tensor) -> Tensor:
        """Contrast, brightness and noise, each of its own strength for each example."""
        shape = (len(x), *[1] * (x.ndim - 1))
        contrast, light = ((self.LIGHT * _either(x)).view(shape) for _ in range(2))
        noise = self.NOISE * torch.rand(shape, device=x.device) * torch.randn_like(x)
        return x * (1 + contrast) + light + noise

    def _boxed(self, x: Tensor) -> Tensor:
        """A box of zeros in each example (DeVries and Taylor 2017, arXiv:1708.04552)."""
        box = torch.ones(len(x), 1, *x.shape[2:], dtype=torch.bool, device=x.device)
        for axis, size in enumerate(x.shape[2:]):
            middle, half = (torch.rand(len(x), 1, device=x.device) for _ in range(2))
            place = torch.arange(size, device=x.device) + 0.5
            box &= _along((place - size * middle).abs() < size * self.BOX / 2 * half, axis, x.ndim)
        return x.masked_fill(box, 0.0)


def _either(x: Tensor) -> Tensor:
    """For each example a number from -1 to 1, `(B,)`."""
    return 2 * torch.rand(len(x), device=x.device) - 1


def _along(x: Tensor, axis: int, ndim: int) -> Tensor:
    """`(B, size)` to `(B, 1, ..., size, ...)`, along an axis of the grid."""
    shape = [len(x), *[1] * (ndim - 1)]
    shape[axis + 2] = x.shape[1]
    return x.view(shape)


def _exchanged(x: Tensor, share: float) -> Tensor:
    """A share of the values, each replaced by that of another example at the same place."""
    chosen = torch.rand(x.shape, device=x.device) < share
    other = torch.rand(x.shape, device=x.device).argsort(0)
    return torch.where(chosen, x.gather(0, other), x)


def channels(space: Space, what: type[Real] | type[Symbol]) -> list[int]:
    """The stored channels of one sort of span."""
    return [
        channel
        for slot in space.slots()
        if isinstance(slot.span, what)
        for channel in range(slot.stored.start, slot.stored.stop)
    ]
