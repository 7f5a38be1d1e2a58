"""What the tiles of a game are: a file `legend.json` beside the levels, as the Video Game Level Corpus has it.

    {"tiles":   {"X": ["solid", "ground"], "-": ["passable", "empty"]},
     "colours": {"X": "#8b5a2b"},
     "images":  {"X": "brick.png"}}

`colours` and `images` are ours, and optional: how a picture of a level shows the tile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from genwright.errors import DataError

__all__ = ["LEGEND", "Legend", "find_legend"]

LEGEND = "legend.json"


@dataclass(frozen=True)
class Legend:
    """Of each tile, by name, what it is (`tags`, lower case), its colour and a picture of it."""

    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)

    def tagged(self, *tags: str) -> frozenset[str]:
        """Tiles with one of these tags."""
        return frozenset(tile for tile, own in self.tags.items() if not set(tags).isdisjoint(own))

    def json(self) -> dict[str, Any]:
        """As its file has it, without images, which lie elsewhere."""
        return {
            "tiles": {tile: list(tags) for tile, tags in self.tags.items()},
            "colours": dict(self.colours),
        }

    @classmethod
    def of(cls, found: Any, name: str, folder: Path | None = None) -> Legend:
        """Of the JSON of a file `name`, whose images lie in `folder`. Raises `DataError`."""
        known = found if isinstance(found, dict) else {"tiles": None}
        tiles, colours, images = (
            cast(Any, known.get(part, {})) for part in ("tiles", "colours", "images")
        )
        plain = all(isinstance(part, dict) for part in (tiles, colours, images))
        if not plain or not all(isinstance(tags, list) for tags in tiles.values()):
            raise DataError(
                f'{name} is no legend of tiles: wanted {{"tiles": {{"X": ["solid"], ...}}}}, and with it '
                f'perhaps "colours" and "images"',
                code="bad-legend",
            )
        return cls(
            {str(tile): tuple(str(tag).lower() for tag in tags) for tile, tags in tiles.items()},
            {str(tile): str(colour) for tile, colour in colours.items()},
            {str(tile): str(folder / str(image)) for tile, image in images.items()} if folder else {},
        )


def find_legend(files: Sequence[Path]) -> Legend | None:
    """The legend that lies beside some files, or in the folder above. Raises `DataError` for one that is damaged."""
    for folder in dict.fromkeys(place for file in files for place in (file.parent, file.parent.parent)):
        file = folder / LEGEND
        if file.is_file():
            try:
                found = json.loads(file.read_text(encoding="utf-8-sig"))
            except (OSError, ValueError) as error:
                raise DataError(f"{file} cannot be read as JSON: {error}", code="bad-legend") from None
            return Legend.of(found, str(file), folder)
    return None
