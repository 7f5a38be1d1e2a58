"""Tiles: what pictures of any size are cut into, side by side and each as fine as it is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from genwright.data.codec import Rejected
from genwright.data.image.files import Row
from genwright.data.image.ops import Picture

__all__ = ["cut", "places"]


def places(size: tuple[int, int], tile: tuple[int, int]) -> list[tuple[int, int]]:
    """Where the tiles begin that fit into a picture: from the top left one as far as whole ones go."""
    down, across = (range(0, side - own + 1, own) for side, own in zip(size, tile, strict=True))
    return list(product(down, across))


def cut(row: Row, tile: tuple[int, int]) -> Iterator[Row | Rejected]:
    """The tiles of a picture and of those that lie beside it, in the same places, or why there are none."""
    pictures = [row.picture, *(one for one in row.values.values() if isinstance(one, Picture))]
    size, others = _size(pictures[0]), {_size(picture) for picture in pictures}
    found = places(size, tile)
    if len(others) > 1:
        yield Rejected(row.name, "what lies beside it is of another size, so that tiles would not fit")
    elif not found:
        (h, w), (height, width) = size, tile
        yield Rejected(row.name, f"it is {w} x {h}, smaller than a tile of {width} x {height}")
    for place in found if len(others) == 1 else ():
        beside = {
            name: _tile(one, place, tile) if isinstance(one, Picture) else one
            for name, one in row.values.items()
        }
        yield Row(_tile(row.picture, place, tile), beside, f"{row.name}-{place[0]}-{place[1]}")


def _size(picture: Picture) -> tuple[int, int]:
    height, width = picture.pixels.shape[:2]
    return height, width


def _tile(picture: Picture, place: tuple[int, int], tile: tuple[int, int]) -> Picture:
    (top, left), (height, width) = place, tile
    pixels = np.ascontiguousarray(picture.pixels[top : top + height, left : left + width])
    return Picture(pixels, height, width, picture.format, picture.animated)
