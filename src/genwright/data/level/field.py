"""A level as a field: windows of tiles on one grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genwright.data.constraint import Constraint
from genwright.data.field import Array, Field, Partial, Values
from genwright.data.image.ops import open_mask
from genwright.data.level.constraint import constraint_of
from genwright.data.level.draw import palette
from genwright.data.level.files import Level, LevelFormat, read_levels, to_bytes
from genwright.data.level.legend import Legend
from genwright.data.level.play import Game, game_of, guess_game
from genwright.errors import DataError, suggest
from genwright.space import Space, Symbol

__all__ = ["LevelField", "LevelForm"]

GAPS = ("?", "*", "_", "~", "%")
"""Of these the first that is no tile stands for one to be made."""
RARE = 20
"""Tiles that come less often are said to be rare."""


@dataclass(frozen=True)
class LevelForm:
    """How levels are cut and written: windows of `height` x `width` tiles, one every `stride` columns.

    fill      the tile that stands where a row has ended (None: rows have to be even)
    form      of the files that are written
    game      whose rules say what is playable ("auto": that of which the tiles speak)
    legend    what the tiles are
    tilesets  of a map of Tiled, as its file names them
    ending    of the names of files of text ("": .txt)
    """

    height: int
    width: int
    stride: int = 1
    fill: str | None = None
    form: LevelFormat = "text"
    game: str = "auto"
    legend: Legend = field(default_factory=Legend)
    tilesets: tuple[Any, ...] = ()
    ending: str = ""

    def json(self) -> dict[str, Any]:
        return {
            "height": self.height,
            "width": self.width,
            "stride": self.stride,
            "fill": self.fill,
            "form": self.form,
            "game": self.game,
            "legend": self.legend.json(),
            "tilesets": list(self.tilesets),
            "ending": self.ending,
        }

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> LevelForm:
        """As `json` gave it."""
        legend = Legend.of(known["legend"], "the legend of the run")
        return cls(**{**known, "legend": legend, "tilesets": tuple(known["tilesets"])})


class LevelField(Field):
    """Levels to numbers of tiles `(1, H, W)`, and back; the tiles is that of the training split.

    form  how levels are cut and written; chosen before they are read
    """

    kind = "level"
    views = frozenset({"level"})

    def __init__(self, form: LevelForm | None = None) -> None:
        self.form = form or LevelForm(1, 1)
        self._counts = Counter[str]()
        self._levels = 0
        self.tiles: tuple[str, ...] = ()
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []

    @property
    def suffix(self) -> str:  # type: ignore[override]  # as the form says
        return self.form.ending or {"text": ".txt", "csv": ".csv", "tiled": ".tmj"}[self.form.form]

    # -- learning ------------------------------------------------------------------------------

    def fit(self, values: Values) -> None:
        for level in values:
            tiles, counts = np.unique(level.tiles, return_counts=True)
            self._counts.update(dict(zip(tiles.tolist(), counts.tolist(), strict=True)))
        self._levels += len(values)

    def settle(self) -> None:
        counts, levels = self._counts, self._levels
        self._counts, self._levels = Counter(), 0
        if not levels:
            raise DataError(
                "there is no level to learn from: add levels, or mend those found unusable",
                code="no-examples",
            )
        if len(counts) < 2:
            raise DataError(
                f"all levels consist of the one tile {next(iter(counts))!r}: there is nothing to learn",
                code="no-variety",
            )
        # The commonest first: what a picture shows as background.
        self.tiles = tuple(sorted(counts, key=lambda tile: (-counts[tile], tile)))
        game = self.form.game
        if game == "auto":
            game = guess_game(frozenset(self.tiles), self.form.legend) or ""
        self._facts = {
            "levels": levels,
            "height": self.form.height,
            "width": self.form.width,
            "tiles": {tile: counts[tile] for tile in self.tiles},
            "game": game,
            "gap": self.gap,
        }
        rare = [tile for tile in self.tiles if counts[tile] < RARE]
        unknown = [
            tile for tile in self.tiles if self.form.legend.tags and tile not in self.form.legend.tags
        ]
        self._warnings = []
        if rare:
            self._warnings.append(
                f"{len(rare)} of {len(self.tiles)} tiles come under {RARE} times, too rarely to learn: "
                f"{' '.join(map(repr, rare[:10]))}"
            )
        if unknown:
            self._warnings.append(
                f"the legend does not say what these tiles are: {' '.join(map(repr, unknown[:10]))}"
            )
        if not game:
            self._warnings.append(
                "whether a level can be played is not known: a legend.json with tags beside the levels says what "
                "the tiles are, and codec.game whose rules hold"
            )

    @property
    def space(self) -> Space:
        return Space((self.form.height, self.form.width), (Symbol(len(self.tiles)),))

    @property
    def game(self) -> Game | None:
        """Whose rules say what is playable; None where that is not known."""
        name = str(self._facts.get("game", ""))
        return game_of(name, self.form.legend) if name else None

    @property
    def gap(self) -> str:
        """What stands for a tile to be made."""
        return next((sign for sign in GAPS if sign not in self.tiles), "\ufffd")

    @cached_property
    def colours(self) -> dict[str, tuple[int, int, int]]:
        return palette(self.tiles, self.form.legend)

    # -- to tensors and back -------------------------------------------------------------------

    def encode(self, values: Values) -> Array:
        """`(n, 1, H, W)` uint8, or uint16 of more than 256 tiles. Raises `DataError` for a tile that training has not
        seen, and for another size."""
        dtype = np.uint8 if len(self.tiles) <= 256 else np.uint16
        out = np.empty((len(values), 1, *self.space.grid), dtype)
        for i, level in enumerate(values):
            self._check_size(level)
            out[i, 0] = self._numbers(level.tiles)
        return out

    def _check_size(self, level: Level) -> None:
        if level.grid != self.space.grid:
            (h, w), (height, width) = level.grid, self.space.grid
            raise DataError(
                f"the level has {h} x {w} tiles, and this model makes {height} x {width}: cut it to that size",
                code="level-of-another-size",
            )

    def _numbers(self, tiles: Array) -> Array:
        order = np.argsort(self.tiles)
        names = np.array(self.tiles)[order]
        at = np.searchsorted(names, tiles).clip(0, len(names) - 1)
        strange = names[at] != tiles
        if strange.any():
            y, x = np.argwhere(strange)[0].tolist()
            raise DataError(
                f"tile {str(tiles[y, x])!r} in row {y + 1}, column {x + 1} is not one that training has seen; "
                f"{suggest(str(tiles[y, x]), self.tiles)}",
                code="unknown-tile",
            )
        return order[at]

    def known(self, values: Values) -> list[bool]:
        tiles = set(self.tiles)
        return [tiles.issuperset(np.unique(level.tiles).tolist()) for level in values]

    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> list[Level]:
        names = np.array(self.tiles)
        return [Level(names[np.asarray(one[0], np.int64)]) for one in np.asarray(x)]

    # -- gaps ----------------------------------------------------------------------------------

    def partial(self, values: Values) -> Partial:
        """Levels in which the sign `gap` stands for each tile to be made."""
        xs, masks = [], []
        for level in values:
            self._check_size(level)
            known = level.tiles != self.gap
            self.check_gaps(level)
            xs.append(self._numbers(np.where(known, level.tiles, self.tiles[0])))
            masks.append(known)
        x, known = (torch.from_numpy(np.stack(some)[:, None]) for some in (xs, masks))
        return Partial(x.long(), known)

    def check_gaps(self, value: Level) -> None:
        gaps = value.tiles == self.gap
        if not gaps.any() or gaps.all():
            what = "no tile is" if not gaps.any() else "every tile is"
            raise DataError(
                f"{what} to be made: write {self.gap} for each that is, and leave the others",
                code="no-gaps-given",
            )

    def masked(self, value: Level, mask: Path) -> Level:
        """The level, with gaps where a grey picture of a pixel a tile is white."""
        white = open_mask(mask, value.grid, "level")
        return Level(np.where(white, self.gap, value.tiles))

    def constraint(self, words: str) -> Constraint:
        return constraint_of(words, self.tiles, self.form.legend, self.game)

    # -- raw values ----------------------------------------------------------------------------

    def parse(self, given: Any) -> Level:
        """A level of a text with a line a row, of rows of tiles, or of a file. Raises `DataError` for what is none."""
        if isinstance(given, Level):
            return given
        if isinstance(given, Path) or (isinstance(given, str) and "\n" not in given):
            return self.load(Path(given).expanduser())
        rows = given.splitlines() if isinstance(given, str) else given
        try:
            return Level.of([[str(tile) for tile in row] for row in rows], self.form.fill)
        except (TypeError, ValueError) as error:
            raise DataError(f"a level is rows of tiles: {error}", code="not-a-level") from None

    def load(self, path: Path) -> Level:
        try:
            found = next(read_levels(path, self.form.fill))
        except (OSError, ValueError, KeyError) as error:
            reason = f"{path.suffix} is no kind of level" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path} holds no level: {reason}", code="not-a-level") from None
        if isinstance(found, str):
            raise DataError(f"{path} holds no level: {found}", code="not-a-level")
        return found

    def save(self, value: Level, path: Path) -> None:
        path.write_bytes(to_bytes(value, self.form.form, self.form.tilesets))

    def grid_of(self, value: Level) -> tuple[int, ...]:
        return value.grid

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def state(self) -> dict[str, Any]:
        return {
            "form": self.form.json(),
            "tiles": list(self.tiles),
            "facts": self._facts,
            "warnings": self._warnings,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.form = LevelForm.of(state["form"])
        self.tiles = tuple(state["tiles"])
        self._facts, self._warnings = dict(state["facts"]), list(state["warnings"])
