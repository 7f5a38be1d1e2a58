"""Levels as pictures: a square of its colour for each tile, or a picture of the tile."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from genwright.data.codec import Array
from genwright.data.level.files import Level
from genwright.data.level.legend import Legend

__all__ = ["as_picture", "palette"]

SIDE = 8
"""Pixels of a tile."""
GOLDEN = 0.618034
"""Of a circle of hues: neighbours in a list come to lie far apart."""
TAGGED = {
    "empty": (226, 236, 246),
    "gold": (235, 180, 30),
    "coin": (235, 180, 30),
    "ladder": (160, 110, 60),
    "rope": (190, 150, 110),
    "spawn": (40, 120, 220),
    "enemy": (200, 50, 50),
    "pipe": (60, 150, 70),
    "question block": (220, 140, 30),
    "diggable": (170, 90, 60),
    "breakable": (170, 90, 60),
    "ground": (110, 75, 50),
    "solid": (90, 90, 100),
}
"""The colour of what is tagged so, the first that fits."""

Colour = tuple[int, int, int]


def palette(tiles: Sequence[str], legend: Legend) -> dict[str, Colour]:
    """The colour of each tile, the commonest first: as the legend says, by its tags, or one of its own."""
    found: dict[str, Colour] = {}
    for place, tile in enumerate(tiles):
        tags = legend.tags.get(tile, ())
        tagged = [colour for tag, colour in TAGGED.items() if tag in tags]
        if (said := _hex(legend.colours.get(tile, ""))) is not None:
            found[tile] = said
        elif tagged:
            found[tile] = tagged[0]
        elif place == 0:
            found[tile] = TAGGED["empty"]
        else:
            red, green, blue = colorsys.hls_to_rgb(place * GOLDEN % 1.0, 0.45, 0.5)
            found[tile] = round(255 * red), round(255 * green), round(255 * blue)
    return found


def _hex(colour: str) -> Colour | None:
    """`#rrggbb`."""
    try:
        number = int(colour.removeprefix("#"), 16) if len(colour) == 7 else None
    except ValueError:
        return None
    return None if number is None else (number >> 16, number >> 8 & 255, number & 255)


def as_picture(level: Level, colours: Mapping[str, Colour], images: Mapping[str, str]) -> Array:
    """`(8 H, 8 W, 3)`. A tile that has neither colour nor image is black."""
    names, places = np.unique(level.tiles, return_inverse=True)
    squares = np.stack(
        [_square(images.get(name), colours.get(name, (0, 0, 0))) for name in names.tolist()]
    )
    height, width = level.grid
    return (
        squares[places.reshape(height, width)]
        .transpose(0, 2, 1, 3, 4)
        .reshape(height * SIDE, width * SIDE, 3)
    )


@lru_cache(maxsize=4096)
def _square(image: str | None, colour: Colour) -> Array:
    """`(8, 8, 3)` of a tile."""
    if image is not None and Path(image).is_file():
        try:
            with Image.open(image, formats=("PNG", "GIF", "BMP")) as found:
                return np.asarray(found.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
        except OSError:  # a damaged picture of a tile is no reason not to show the level
            pass
    return np.full((SIDE, SIDE, 3), colour, np.uint8)
