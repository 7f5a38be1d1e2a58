"""A batch of examples, the encoded conditions that a network reads beside them, and numbers that are laid
alongside a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

__all__ = ["Batch", "Cond", "by_axis", "by_channel", "by_example"]


@dataclass
class Batch:
    """`x` to make `(B, stored, *grid)`; `cond` given, by name, in stored form; `mask` `(B, *grid)`
    tells which positions of `x` count (None: all)."""

    x: Tensor
    cond: dict[str, Tensor] = field(default_factory=dict)
    mask: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device) -> Batch:
        def move(t: Tensor) -> Tensor:
            return t.to(device, non_blocking=True)

        return Batch(
            move(self.x),
            {name: move(t) for name, t in self.cond.items()},
            None if self.mask is None else move(self.mask),
        )


@dataclass
class Cond:
    """Encoded conditions: all that a network reads beside its input.

    `vector` `(B, D)` always; `tokens` `(B, T, D)` for cross-attention with `tokens_mask` `(B, T)`
    true where a token counts; `grid` `(B, C, *grid)` aligned with the input; `valid` `(B, *grid)` true where
    the input itself carries content (None: everywhere); `symbols` `(B, T)` what each token is a copy of, as a symbol
    of the input, -1 for none.
    """

    vector: Tensor
    tokens: Tensor | None = None
    tokens_mask: Tensor | None = None
    grid: Tensor | None = None
    valid: Tensor | None = None
    symbols: Tensor | None = None

    @classmethod
    def none(cls, like: Tensor) -> Cond:
        """No condition, for a batch of as many examples."""
        return cls(torch.zeros(len(like), 0, device=like.device))

    def rows(self, some: slice) -> Cond:
        """The conditions of some of the examples."""
        return self.map(lambda t: t[some])

    def map(self, change: Callable[[Tensor], Tensor]) -> Cond:
        """The same with each of its tensors changed."""
        rest = (self.tokens, self.tokens_mask, self.grid, self.valid, self.symbols)
        return Cond(change(self.vector), *(None if t is None else change(t) for t in rest))

    def plus(self, vector: Tensor) -> Cond:
        """The same, with `vector` added to the vector (a time, a noise level)."""
        return replace(self, vector=self.vector + vector)


# -- alongside a batch `(B, C, *grid)` -------------------------------------------------------------


def by_example(values: Tensor, like: Tensor) -> Tensor:
    """One value for each example: `(B,)` to `(B, 1, ...)`."""
    return values.view(-1, *[1] * (like.ndim - 1))


def by_channel(values: Tensor, like: Tensor) -> Tensor:
    """One value for each channel: `(C,)` to `(1, C, 1, ...)`."""
    return values.view(1, -1, *[1] * (like.ndim - 2))


def by_axis(values: Tensor, axis: int, like: Tensor) -> Tensor:
    """One value for each position of an axis of the grid: `(B, size)` to `(B, 1, ..., size, ...)`."""
    shape = [len(values), *[1] * (like.ndim - 1)]
    shape[axis + 2] = -1
    return values.view(shape)
