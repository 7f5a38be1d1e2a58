"""Augmentation between data and critic, through which gradients flow (DiffAugment, Zhao et al. 2020,
arXiv:2006.10738), at a strength that adapts to how far the critic overfits (ADA, Karras et al. 2020,
arXiv:2006.06676).

Real and fake examples are changed alike, so that a critic with few examples to learn from cannot learn
them by heart, and a generator is still told how to make plain ones. Which changes there are depends on
the space; each is made to each example by itself with probability p:

    rank 1 to 3, reals alone    moved by up to an eighth of each axis, what comes in is 0; in a box of half
                                of each axis set to 0
    the same, in a range        brightness and contrast as well
    a row, its reals            Gaussian noise
    symbols                     nothing: any other symbol would be another meaning, so that a space of
                                symbols alone, or of symbols and reals on a grid, has no augmentation
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genwright.batch import by_channel, by_example
from genwright.errors import Incompatible
from genwright.space import Space
from genwright.variations import box, shift, uniform

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
        real = space.real_mask(embedded=True)
        self.bounded, self.row = space.bounded, not space.grid
        self.moves = bool(space.grid) and moves
        if not (real.any() if self.row else real.all() and (self.moves or self.bounded)):
            raise Incompatible(
                f"family.augment has no changes that keep the meaning of {space}: it takes rows with "
                f"numbers, and grids of numbers alone; use family.augment=none",
                code="no-augmentation",
            )
        self.register_buffer("real", real, persistent=False)
        # A buffer, so that a training that was cut goes on where it was.
        self.register_buffer("p", torch.tensor(0.0 if adapts else 1.0))

    real: Tensor
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
        if self.row:
            return x + self._drawn(x) * NOISE * by_channel(self.real, x) * torch.randn_like(x)
        if self.bounded:
            x = x + self._drawn(x) * (by_example(uniform(x), x) - 0.5)  # brightness
            mean = by_example(x.flatten(1).mean(1), x)
            x = torch.where(self._drawn(x), (x - mean) * (by_example(uniform(x), x) + 0.5) + mean, x)
        if self.moves:
            x = torch.where(self._drawn(x), shift(x, None, MOVE, "zero"), x)
            x = x.masked_fill(self._drawn(x) & box(x, BOX, BOX), 0.0)
        return x

    def _drawn(self, x: Tensor) -> Tensor:
        """Which examples are changed, `(B, 1, ...)`."""
        return by_example(uniform(x) < self.p, x)
