"""Constraints on levels: `playable`, or a count of tiles, as in `start == 1` or `gold >= 3`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from genwright.data.constraint import OPERATORS, SIGN, Constraint
from genwright.data.level.files import Level
from genwright.data.level.legend import Legend
from genwright.data.level.play import Game
from genwright.errors import RecipeError, suggest

__all__ = ["Solvable", "TileCount", "constraint_of"]

PLAYABLE = "playable"
AROUND = 2
"""Tiles on each side of a place that is not reached which are made again with it."""
PATCH = 6
"""Tiles a side of the place in which one that is missing may come."""


class Solvable(Constraint):
    """A level that a search plays to its end; made again is what lies around the places that it does not reach."""

    words = PLAYABLE

    def __init__(self, game: Game) -> None:
        self.game = game

    def broken(self, values: Sequence[Level]) -> NDArray[np.bool_]:
        return np.stack([self._places(level) for level in values])[:, None]

    def _places(self, level: Level) -> NDArray[np.bool_]:
        places = np.zeros(level.grid, bool)
        if self.game.playable(level):
            return places
        missed = self.game.missed(level)
        for y, x in missed:
            places[max(0, y - AROUND) : y + AROUND + 1, max(0, x - AROUND) : x + AROUND + 1] = True
        return places if missed else ~places


class TileCount(Constraint):
    """How many tiles of a kind a level may hold. Made again are those that are too many, or a patch where one that is
    missing may come.

    words    such as `start == 1`
    tiles    that are counted
    compare  of numbers: whether a count is allowed
    """

    def __init__(self, words: str, tiles: Sequence[str], sign: str, number: int) -> None:
        self.words, self.tiles, self.number = words, list(tiles), number
        self.compare = OPERATORS[sign]

    def broken(self, values: Sequence[Level]) -> NDArray[np.bool_]:
        return np.stack([self._places(level) for level in values])[:, None]

    def _places(self, level: Level) -> NDArray[np.bool_]:
        held = np.isin(level.tiles, self.tiles)
        n = int(held.sum())
        places = np.zeros(level.grid, bool)
        if self.compare(n, self.number):
            return places
        # Where it turns depends on the level alone, so that the same seed mends the same.
        rng = np.random.default_rng(list(blake2b(level.digest.encode(), digest_size=8).digest()))
        if n > self.number or not self._more():
            found = np.argwhere(held)
            for y, x in rng.permutation(found)[: max(1, n - self.number)]:
                places[y, x] = True
            return places
        for _ in range(max(1, self.number - n)):
            y, x = (int(rng.integers(max(1, side - PATCH + 1))) for side in level.grid)
            places[y : y + PATCH, x : x + PATCH] = True
        return places & ~held

    def _more(self) -> bool:
        """Whether more tiles could mend it."""
        return any(self.compare(n, self.number) for n in (self.number, self.number + 1))


def constraint_of(words: str, tiles: Collection[str], legend: Legend, game: Game | None) -> Constraint:
    """A constraint in words on levels of these tiles. Raises `RecipeError` for what is none."""
    if words.strip() == PLAYABLE:
        if game is None:
            raise RecipeError(
                f"{PLAYABLE!r}: whose rules hold is not known; train with codec.game, and a legend.json that says "
                f"what the tiles are",
                code="no-game",
            )
        return Solvable(game)
    match = re.fullmatch(rf"\s*(.+?)\s*({SIGN.pattern})\s*(\d+)\s*", words)
    if match is None:
        raise RecipeError(
            f"{words!r} is no constraint on a level: write {PLAYABLE}, or a tile or a tag of the legend and how "
            f"many of them, such as gold >= 3",
            code="not-a-constraint",
        )
    name, sign, number = match.groups()
    meant = legend.tagged(name.lower()) & {*tiles} or {name} & {*tiles}
    if not meant:
        tags = {tag for own in legend.tags.values() for tag in own}
        raise RecipeError(
            f"{words!r}: no tile is called {name!r}, and none is tagged so; {suggest(name, tags | {*tiles})}",
            code="no-such-tile",
        )
    return TileCount(words, sorted(meant), sign, int(number))
