"""Overlapping windows over an example that is larger than the grid, and one example out of them."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genwright.data.field import Partial
from genwright.tiled import Tiled
from genwright.tiling import OVERLAP, Tiles, padded

GRIDS = [
    ((8,), (8,)),
    ((9,), (8,)),
    ((100,), (8,)),
    ((33,), (1,)),
    ((7,), (3,)),
    ((20, 8), (8, 8)),
    ((17, 31), (8, 12)),
    ((5, 6, 7), (4, 3, 2)),
]
"""A grid, and a window on it."""


def example(grid: tuple[int, ...], channels: int = 2) -> torch.Tensor:
    return torch.randn(1, channels, *grid, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("grid", "window"), GRIDS)
def test_windows_cover_all_and_overlap(grid: tuple[int, ...], window: tuple[int, ...]) -> None:
    tiles = Tiles(grid, window)
    times = torch.zeros(grid)
    places = list(tiles.places())
    for place in places:
        assert tuple(times[place].shape) == window  # none reaches over an edge
        times[place] += 1
    assert times.min() >= 1
    assert len(places) == len(tiles) == len({str(place) for place in places})
    for size, side, starts in zip(grid, window, tiles.starts, strict=True):
        assert (starts[0], starts[-1]) == (0, size - side)
        overlaps = [before + side - start for before, start in pairwise(starts)]
        assert all(overlap >= int(OVERLAP * side) for overlap in overlaps)
        assert len(starts) <= 1 + -(-(size - side) // max(1, round(side * (1 - OVERLAP))))


@pytest.mark.parametrize(("grid", "window"), GRIDS)
def test_what_is_cut_and_blended_is_the_same(grid: tuple[int, ...], window: tuple[int, ...]) -> None:
    tiles, x = Tiles(grid, window), example(grid)
    cut = tiles.cut(x)
    assert cut.shape == (len(tiles), 2, *window)
    whole = tiles.blend(cut, [1] * len(grid))
    assert whole.dtype == x.dtype
    torch.testing.assert_close(whole, x)
    symbols = torch.randint(0, 9, (1, 1, *grid), generator=torch.Generator().manual_seed(0))
    again = tiles.blend(tiles.cut(symbols), [1] * len(grid))
    assert again.dtype == symbols.dtype
    assert torch.equal(again, symbols)


@pytest.mark.parametrize("kind", [torch.float32, torch.long])
def test_what_is_made_on_a_finer_grid_lies_where_it_belongs(kind: torch.dtype) -> None:
    """Each window made twice as high and three times as wide: the whole is what it would be at once."""
    tiles, x = Tiles((17, 31), (8, 12)), (10 * example((17, 31))).to(kind)

    def finer(x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(2, dim=2).repeat_interleave(3, dim=3)

    torch.testing.assert_close(tiles.blend(finer(tiles.cut(x)), [2, 3]), finer(x))


@pytest.mark.parametrize(("grid", "window"), GRIDS)
def test_a_flat_field_has_no_seams(grid: tuple[int, ...], window: tuple[int, ...]) -> None:
    tiles = Tiles(grid, window)
    whole = tiles.blend(torch.full((len(tiles), 1, *window), 0.7), [1] * len(grid))
    torch.testing.assert_close(whole, torch.full((1, 1, *grid), 0.7), rtol=1e-6, atol=0)


def test_neighbours_share_a_quarter_of_a_window() -> None:
    assert Tiles((160,), (64,)).starts == [[0, 48, 96]]
    assert Tiles((161,), (64,)).starts == [[0, 48, 96, 97]]


def test_windows_that_differ_go_over_into_each_other() -> None:
    """Two flat windows of other values: a ramp between them over what they share, and no step."""
    tiles = Tiles((112,), (64,))
    made = torch.tensor([0.0, 1.0]).view(2, 1, 1).expand(2, 1, 64)
    whole = tiles.blend(made, [1])[0, 0]
    assert tiles.starts == [[0, 48]]
    assert torch.equal(whole[:48], torch.zeros(48))
    assert torch.equal(whole[64:], torch.ones(48))
    steps = whole[47:65].diff()
    assert steps.min() >= 0
    assert steps.max() < 0.2  # a hard seam is 1
    torch.testing.assert_close(whole, 1 - whole.flip(0))  # neither side is preferred


def test_symbols_are_not_mixed_and_the_nearest_window_decides() -> None:
    tiles = Tiles((20, 8), (8, 8))
    number = torch.arange(len(tiles)).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    whole = tiles.blend(number, [1, 1])[0, 0]
    centre = torch.tensor(tiles.starts[0]) + 3.5
    away = (torch.arange(20)[:, None] - centre).abs()
    for row in range(20):
        (own,) = whole[row].unique().tolist()
        assert away[row, own] == away[row].min()


@pytest.mark.parametrize("least", [3, 4, 5, 6, 7, 13])
def test_what_is_too_small_is_mirrored_at_its_end(least: int) -> None:
    x = torch.tensor([1.0, 2.0, 3.0])[None, None]
    found = padded(x, [least])
    assert np.array_equal(found[0, 0], np.pad([1, 2, 3], (0, least - 3), "symmetric"))


def test_padding_leaves_alone_what_is_large_enough() -> None:
    x = example((5, 4), channels=3)
    assert torch.equal(padded(x, (5, 2)), x)
    found = padded(x, (4, 10))
    assert found.shape == (1, 3, 5, 10)
    assert np.array_equal(found, np.pad(x.numpy(), [(0, 0), (0, 0), (0, 0), (0, 6)], "symmetric"))
    symbols = padded(torch.tensor([[[4, 2]]]), (3,))
    assert (symbols.tolist(), symbols.dtype) == ([[[4, 2, 2]]], torch.long)


@pytest.mark.parametrize("grid", [(8, 8), (20, 23), (8, 31), (31, 9)])
def test_gaps_are_filled_by_one_window_after_its_neighbours(grid: tuple[int, int]) -> None:
    """A window is given what its neighbours have made: each gap is filled once, and no two fills are mixed."""
    value, before = (
        torch.rand(1, 2, *grid, generator=torch.Generator().manual_seed(1)) for _ in range(2)
    )
    one = torch.rand(1, 1, *grid, generator=torch.Generator().manual_seed(0)) < 0.3
    known = one.expand_as(value)  # as a mask says it of all channels
    calls, seeds, filled = list[int](), list[int](), list[int]()

    class Given:
        def part(self, value: Tensor, place: tuple[slice, ...]) -> tuple[Tensor, Tensor]:
            return value[(..., *place)], known[(..., *place)]

    def stored(n: int, asked: Partial, seed: int, options: dict[str, Any]) -> Tensor:
        """Each gap becomes the number of the window, and what is known stays."""
        seeds.append(seed)
        filled.append(int((~asked.known).sum()))
        number = torch.arange(len(calls), len(calls) + n).view(-1, 1, 1, 1) + 1.0
        calls.extend(range(n))
        assert not asked.known.flatten(1).all(1).any(), "nothing is to be made there"
        return torch.where(asked.known, asked.x, number.expand_as(asked.x))

    stubs: Any = SimpleNamespace(stored=stored), Given(), None, lambda encoded, n, seed: encoded
    tiled = Tiled(*stubs, lambda: False)
    tiles = Tiles(grid, (8, 8))
    whole = torch.cat(list(tiles.bands(tiled._filled(value, tiles, 3), [1, 1])), dim=2)
    assert torch.equal(value, before), "what a person gave is not written to"
    torch.testing.assert_close(whole[known], value[known])
    made = whole[~known]
    torch.testing.assert_close(made, made.round(), rtol=0, atol=1e-5)
    assert float(made.min()) == pytest.approx(1)
    assert sum(filled) == int((~known).sum())
    assert len(set(seeds)) == len(seeds)
    assert 1 < len(calls) <= len(tiles) or len(tiles) == 1
