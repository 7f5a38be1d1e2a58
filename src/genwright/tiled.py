"""What a model makes of a value of any size: by overlapping windows of the grid that it was trained on, one row of them
at a time, so that memory does not grow with the windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from genwright.data.field import Field, Partial
from genwright.families.capabilities import chunk_seed
from genwright.pipeline import Asked
from genwright.space import Space
from genwright.tasks.base import Ask
from genwright.tiling import Tiles, padded

if TYPE_CHECKING:
    from genwright.model import Model

__all__ = ["Tiled"]


@dataclass
class Tiled:
    """A model whose task is local.

    given    the field of what it is applied to, and the ask
    asked    what is asked for of so many windows, encoded, with a seed
    stop     whether to end, asked before each row of windows
    options  of the sampler
    """

    model: Model
    given: Field
    ask: Ask
    asked: Callable[[Partial | Tensor, int, int], Asked]
    stop: Callable[[], bool]
    options: dict[str, Any] = field(default_factory=dict)

    def size(self, value: Any) -> list[int]:
        """The grid of what is made of a value."""
        return [n * f for n, f in zip(self.given.grid_of(value), self._scale, strict=True)]

    def whole(self, value: Any, seed: int, report: Callable[[float], None]) -> Any:
        """What is made of a value; where it is stopped, the rows that were made by then.

        report  is told of the share that is through
        """
        return self.model.pipeline.made.whole(self._bands(value, seed, report), self.size(value)[0])

    @property
    def _scale(self) -> list[int]:
        """How many times finer what is made is, along each axis."""
        grids = zip(self.model.pipeline.spec.space.grid, self.ask.space.grid, strict=True)
        return [made // given for made, given in grids]

    def _bands(self, value: Any, seed: int, report: Callable[[float], None]) -> Iterator[Any]:
        """Raw parts of what is made of a value, along the first axis."""
        spec, made, window = self.model.pipeline.spec, self.model.pipeline.made, self.ask.space.grid
        grid = self.given.grid_of(value)
        tiles = Tiles([max(pair) for pair in zip(grid, window, strict=True)], window)
        rows = (self._row(value, tiles, start, seed) for start in tiles.starts[0])
        size, first = self.size(value), 0
        for number, band in enumerate(tiles.bands(rows, self._scale)):
            part = band[(slice(None), slice(None), *(slice(n) for n in (size[0] - first, *size[1:])))]
            first += band.shape[2]
            if part.shape[2]:
                (raw,) = made.at(Space(tuple(part.shape[2:]), spec.space.spans)).decode(part.numpy())
                yield raw
            report((number + 1) / (len(tiles.starts[0]) + 1))
            if self.stop():
                return

    def _row(self, value: Any, tiles: Tiles, start: int, seed: int) -> Tensor:
        """What is made in one row of windows; those of which all is known are as they are."""
        window = tiles.window
        rows = slice(start, start + window[0])
        part = self.given.part(value, (rows, *[slice(None)] * (len(window) - 1)))
        x, known = (padded(t, (window[0], *tiles.grid[1:])) for t in part[:2])
        columns = [
            (
                slice(None),
                slice(None),
                slice(None),
                *(slice(at, at + n) for at, n in zip(corner, window[1:], strict=True)),
            )
            for corner in product(*tiles.starts[1:])
        ]
        cut, there = (torch.cat([t[place] for place in columns]) for t in (x, known))
        wanted = torch.arange(len(cut))
        if self.ask.partial:
            wanted = torch.nonzero(~there.flatten(1).all(1))[:, 0]
            if not len(wanted):
                return cut
        seed = chunk_seed(seed, start) if start else seed
        encoded = Partial(cut[wanted], there[wanted]) if self.ask.partial else cut[wanted]
        asked = self.asked(encoded, len(wanted), seed)
        found = self.model.stored(len(wanted), asked, seed, dict(self.options)).cpu()
        if len(wanted) == len(cut):
            return found
        out = cut.to(found.dtype)
        out[wanted] = found
        return out
