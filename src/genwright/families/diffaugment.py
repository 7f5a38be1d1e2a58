"""Augmentation between data and critic, through which gradients flow (DiffAugment, Zhao et al. 2020,
arXiv:2006.10738), at a strength that adapts to how far the critic overfits (ADA, Karras et al. 2020,
arXiv:2006.06676).

Real and fake examples are changed alike, so that a critic with few examples to learn from cannot learn
them by heart, and a generator is still told how to make plain ones. Which changes there are depends on
the space; each is made to each example by itself with probability p:

    rank 1 to 3, reals alone    moved by up to an eighth of each axis, what comes in is 0; a box of half of
                                each axis set to 0
    the same, in a range        brightness and contrast as well
    a row, its reals            Gaussian noise
    symbols                     nothing: any other symbol would be another meaning, so that a space of
                                symbols alone, or of symbols and reals on a grid, has no augmentation
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genwright.errors import Incompatible
from genwright.space import Real, Space

__all__ = ["Augment"]

MOVE = 0.125
BOX = 0.5
NOISE = 0.1
"""Of unit variance."""


class Augment(nn.Module):
    """Changes embedded examples of one space, each change with probability `p`.

    adapts  `p` follows the critic, from 0; else it stays 1
    target  the mean sign of the critic's trust in real examples above which `p` rises
    ramp    examples after which `p` can have gone from 0 to 1
    moves   positions may be moved and hidden (not where a condition is aligned with them)

    Raises `Incompatible` for a space that has no augmentation.
    """

    def __init__(
        self, space: Space, *, adapts: bool, target: float, ramp: int, moves: bool = True
    ) -> None:
        super().__init__()
        self.adapts, self.target, self.ramp = adapts, target, ramp
        self.real = [slot.width for slot in space.slots() if isinstance(slot.span, Real)]
        plain = space.kind == "real"
        self.bounded = plain and all(getattr(span, "bounded", False) for span in space.spans)
        self.moves = bool(space.grid) and moves
        if (
            not self.real
            or (space.grid and not plain)
            or not (self.moves or self.bounded or not space.grid)
        ):
            raise Incompatible(
                f"family.augment has no changes that keep the meaning of {space}: it takes rows with "
                f"numbers, and grids of numbers alone; use family.augment=none"
            )
        self.rank = len(space.grid)
        # A buffer, so that a training that was cut goes on where it was.
        self.register_buffer("p", torch.tensor(0.0 if adapts else 1.0))

    p: Tensor

    @torch.no_grad()
    def follow(self, trust: Tensor) -> None:
        """One step of `p` up or down, by the critic's trust in a batch of real examples `(B,)`
        (r_t of section 3.1: the mean of its sign)."""
        if self.adapts:
            overfits = torch.sign(trust.sign().mean() - self.target)
            self.p.add_(overfits * len(trust) / self.ramp).clamp_(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, width, *grid)` to the same."""
        if not self.rank:
            return self._noise(x)
        if self.bounded:
            x = self._contrast(self._brightness(x))
        return self._hide(self._move(x)) if self.moves else x

    def _drawn(self, x: Tensor) -> Tensor:
        """Which examples are changed, `(B, 1, ...)`."""
        return self._uniform(x) < self.p

    def _uniform(self, x: Tensor) -> Tensor:
        return torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device)

    def _noise(self, x: Tensor) -> Tensor:
        size = torch.zeros(x.shape[1], device=x.device)
        for channels in self.real:
            size[channels] = NOISE
        return x + self._drawn(x) * size * torch.randn_like(x)

    def _brightness(self, x: Tensor) -> Tensor:
        return x + self._drawn(x) * (self._uniform(x) - 0.5)

    def _contrast(self, x: Tensor) -> Tensor:
        mean = x.flatten(1).mean(1).view(-1, *[1] * (x.ndim - 1))
        return torch.where(self._drawn(x), (x - mean) * (self._uniform(x) + 0.5) + mean, x)

    def _move(self, x: Tensor) -> Tensor:
        drawn = self._drawn(x)
        moved = x
        for axis in range(2, x.ndim):
            n = x.shape[axis]
            most = round(MOVE * n)
            if most:
                by = ((2 * most + 1) * self._uniform(x)).long().clamp_max(2 * most) - most
                shape = [1] * x.ndim
                shape[axis] = n
                source = torch.arange(n, device=x.device).view(shape) - by
                inside = (source >= 0) & (source < n)
                moved = moved.gather(axis, source.clamp(0, n - 1).expand_as(x)) * inside
        return torch.where(drawn, moved, x)

    def _hide(self, x: Tensor) -> Tensor:
        hidden = self._drawn(x)
        for axis in range(2, x.ndim):
            n = x.shape[axis]
            size = round(BOX * n)
            shape = [1] * x.ndim
            shape[axis] = n
            # The centre may be anywhere, so that the box is often cut by an edge.
            start = (self._uniform(x) * (n + 1 - size % 2)).long() - size // 2
            place = torch.arange(n, device=x.device).view(shape)
            hidden = hidden & (place >= start) & (place < start + size)
        return x * ~hidden
