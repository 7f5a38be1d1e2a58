"""Inputs larger than the grid a model was trained on: overlapping windows, and one example out of them.

Neighbouring windows overlap by a quarter; where they do, their parts are weighed by a raised cosine, so that no
seam is seen. An input smaller than a window is mirrored at its edges, and cut afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

__all__ = ["Tiles", "padded"]

OVERLAP = 0.25
"""Of a window, with the next one."""


def padded(x: Tensor, least: Sequence[int]) -> Tensor:
    """`x` `(B, C, *grid)` mirrored at the end of each axis until it has `least` positions there."""
    for axis, size in enumerate(least, 2):
        while (lack := size - x.shape[axis]) > 0:
            some = min(lack, x.shape[axis])
            x = torch.cat([x, x.flip(axis).narrow(axis, 0, some)], dim=axis)
    return x


class Tiles:
    """Windows `window` over a grid.

    grid    the whole, at least a window along each axis
    window  positions of a window along each axis
    """

    def __init__(self, grid: Sequence[int], window: Sequence[int]) -> None:
        self.grid, self.window = tuple(grid), tuple(window)
        self.starts = [_starts(size, side) for size, side in zip(self.grid, self.window, strict=True)]

    def __len__(self) -> int:
        return math.prod(map(len, self.starts))

    def places(self, scale: Sequence[int] | None = None) -> Iterator[tuple[slice, ...]]:
        """Where each window lies; with `scale`, where it lies on a grid so many times finer."""
        finer = scale or [1] * len(self.grid)
        for corner in product(*self.starts):
            yield tuple(
                slice(start * f, (start + side) * f)
                for start, side, f in zip(corner, self.window, finer, strict=True)
            )

    def row(self) -> list[tuple[slice, ...]]:
        """Where the windows of one row lie, of a part `(1, C, window, *grid)` that is as long as a window."""
        return [self._in_row(numbers) for numbers in product(*(range(len(s)) for s in self.starts[1:]))]

    def _in_row(self, numbers: Sequence[int]) -> tuple[slice, ...]:
        corner = [starts[i] for i, starts in zip(numbers, self.starts[1:], strict=True)]
        cut = (slice(at, at + n) for at, n in zip(corner, self.window[1:], strict=True))
        return (slice(None), slice(None), slice(None), *cut)

    def turns(self) -> list[list[tuple[slice, ...]]]:
        """The same, so that those of one turn do not overlap: every second one along each axis, and by itself the last,
        which may reach over two."""
        found: dict[tuple[int, ...], list[tuple[slice, ...]]] = {}
        for numbers in product(*(range(len(starts)) for starts in self.starts[1:])):
            turn = tuple(
                2 if 0 < i == len(starts) - 1 else i % 2
                for i, starts in zip(numbers, self.starts[1:], strict=True)
            )
            found.setdefault(turn, []).append(self._in_row(numbers))
        return list(found.values())

    def cut(self, x: Tensor) -> Tensor:
        """`x` `(1, C, *grid)` as windows `(len, C, *window)`."""
        return torch.cat([x[(slice(None), slice(None), *place)] for place in self.places()])

    def blend(self, made: Tensor, scale: Sequence[int]) -> Tensor:
        """Windows `(len, C, *(window * scale))` as one `(1, C, *(grid * scale))`; symbols are not mixed, the
        window whose middle is nearest decides."""
        many = len(made) // len(self.starts[0])
        return torch.cat(list(self.bands(torch.split(made, many), scale)), dim=2)

    def bands(self, made: Iterable[Tensor], scale: Sequence[int]) -> Iterator[Tensor]:
        """The same part by part along the first axis, each as soon as no later window reaches it: memory is that
        of one row of windows.

        made  for each place along the first axis, the windows there `(n, C, *(window * scale))`
        """
        rest = [n * f for n, f in zip(self.grid, scale, strict=True)][1:]
        side, starts = self.window[0] * scale[0], [start * scale[0] for start in self.starts[0]]
        row = Tiles(self.window[:1] + self.grid[1:], self.window)
        bump: Tensor | None = None
        for number, (windows, start) in enumerate(zip(made, starts, strict=True)):
            if bump is None:
                bump = _bump([n * f for n, f in zip(self.window, scale, strict=True)], windows.device)
                whole = windows.new_zeros(1, windows.shape[1], side, *rest)
                weight = torch.zeros(1, 1, side, *rest, device=windows.device)
            row._add(whole, weight, windows, bump, scale)
            done = starts[number + 1] - start if number + 1 < len(starts) else side
            part = whole[:, :, :done]
            yield part / weight[:, :, :done] if whole.is_floating_point() else part.clone()
            whole, weight = (_moved(t, done) for t in (whole, weight))

    def _add(
        self, whole: Tensor, weight: Tensor, windows: Tensor, bump: Tensor, scale: Sequence[int]
    ) -> None:
        """Lay windows onto a sum `(1, C, *(grid * scale))`, with the weights of what lies there."""
        for one, place in zip(windows, self.places(scale), strict=True):
            at = (slice(None), slice(None), *place)
            if windows.is_floating_point():
                whole[at] += bump * one
                weight[at] += bump
            else:
                nearer = bump > weight[at]
                whole[at] = torch.where(nearer, one, whole[at])
                weight[at] = torch.maximum(weight[at], bump)


def _moved(t: Tensor, by: int) -> Tensor:
    """What lies behind the first `by` places of the first axis of the grid, and zeros behind it."""
    out = torch.zeros_like(t)
    out[:, :, : t.shape[2] - by] = t[:, :, by:]
    return out


def _starts(size: int, side: int) -> list[int]:
    """Where windows begin: a stride of three quarters, the last one flush with the end."""
    stride = max(1, round(side * (1 - OVERLAP)))
    found = list(range(0, max(1, size - side + 1), stride))
    return found if found[-1] + side >= size else [*found, size - side]


def _bump(sides: Sequence[int], device: torch.device) -> Tensor:
    """A raised cosine over a window `(*sides,)`, nowhere quite 0."""
    bump = torch.ones([1] * len(sides), device=device)
    for axis, side in enumerate(sides):
        place = (torch.arange(side, device=device) + 0.5) / side
        along = (math.pi * place).sin().square() + 1e-3
        bump = bump * along.view([side if i == axis else 1 for i in range(len(sides))])
    return bump
