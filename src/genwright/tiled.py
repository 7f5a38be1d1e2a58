"""What a model makes of a value of any size: by overlapping windows of the grid that it was trained on, one row of them
at a time, so that memory does not grow with the windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
        rows = (self._filled if self.ask.partial else self._answered)(value, tiles, seed)
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

    def _answered(self, value: Any, tiles: Tiles, seed: int) -> Iterator[Tensor]:
        """What is made in each row of windows."""
        for start in tiles.starts[0]:
            strip, *_ = self._strip(value, tiles, start)
            yield self._made(torch.cat([strip[place] for place in tiles.row()]), None, seed, start)

    def _filled(self, value: Any, tiles: Tiles, seed: int) -> Iterator[Tensor]:
        """Each row of windows with their gaps filled, one window after its neighbours, which it is given as known: two
        fills of one gap that do not know of each other would be mixed."""
        before, reached = None, 0
        for start in tiles.starts[0]:
            # Of their own: they are written to, and may be views of the value or of one channel.
            x, known = (t.clone() for t in self._strip(value, tiles, start))
            if before is not None:
                shared = reached - start
                x = torch.cat([before[:, :, -shared:], x[:, :, shared:].to(before.dtype)], dim=2)
                known[:, :, :shared] = True
            for turn, places in enumerate(tiles.turns()):
                cut, there = (torch.cat([t[place] for place in places]) for t in (x, known))
                gaps = torch.nonzero(~there.flatten(1).all(1))[:, 0]
                if len(gaps):
                    made = self._made(cut[gaps], there[gaps], seed, start, -turn)
                    x = x.to(made.dtype)
                    for number, one in zip(gaps.tolist(), made, strict=True):
                        x[places[number]] = one
                for place in places:
                    known[place] = True
            yield torch.cat([x[place] for place in tiles.row()])
            before, reached = x, start + tiles.window[0]

    def _strip(self, value: Any, tiles: Tiles, start: int) -> list[Tensor]:
        """A part of the value along the first axis that is as long as a window, and what is known of it."""
        rows = slice(start, start + tiles.window[0])
        part = self.given.part(value, (rows, *[slice(None)] * (len(tiles.window) - 1)))
        return [padded(t, (tiles.window[0], *tiles.grid[1:])) for t in part[:2]]

    def _made(self, cut: Tensor, known: Tensor | None, seed: int, *places: int) -> Tensor:
        """What is made of windows; where they lie decides on the seed."""
        for place in filter(None, places):
            seed = chunk_seed(seed, place)
        asked = self.asked(cut if known is None else Partial(cut, known), len(cut), seed)
        return self.model.stored(len(cut), asked, seed, dict(self.options)).cpu()
