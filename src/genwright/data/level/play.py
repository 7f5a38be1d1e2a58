"""Whether a level can be played: a search, for each kind of game, of the places that a player can come to.

    platform   from the left end to the right one, by walking, jumping and falling
    runner     all gold, by walking, climbing, hanging along ropes, falling and digging (Lode Runner)
    sokoban    all boxes on goals, by pushing; a search with a budget of states

Enemies are passed over and times do not count: what is reached here may still be hard, what is not cannot be. The
rules are coarser than those of an engine, so that a share says little without that of the game's own levels.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from genwright.data.codec import Array
from genwright.data.level.files import Level
from genwright.data.level.legend import Legend

__all__ = ["GAMES", "Game", "Platform", "Runner", "Sokoban", "game_of", "guess_game"]

Place = tuple[int, int]
"""Row and column."""


class Game(ABC):
    """The rules of a kind of game."""

    name: ClassVar[str]

    @abstractmethod
    def playable(self, level: Level) -> bool:
        """Whether it can be played to its end."""

    def missed(self, level: Level) -> list[Place]:
        """Places that a player should come to and cannot, for a level that is not playable; none where that cannot
        be said of single places."""
        return []


@dataclass(frozen=True)
class Platform(Game):
    """A platformer: a level is passed where a player who stands at its left end comes to stand at its right one.

    A jump rises by up to `rise` tiles; in the air each step up or down may go one tile aside, and so may one between
    them. What is not `solid` lets pass. The ends are `ends` columns wide, since a window may begin over a gap.
    """

    name = "platform"
    solid: frozenset[str]
    rise: int = 4
    ends: int = 6

    def playable(self, level: Level) -> bool:
        free, stands = self._ground(level)
        return bool(stands[:, -self.ends :][self._reached(free, stands)[:, -self.ends :]].any())

    def missed(self, level: Level) -> list[Place]:
        """Everything beyond the farthest column that was reached, one jump wide."""
        free, stands = self._ground(level)
        reached = self._reached(free, stands)
        last = int(np.flatnonzero(reached.any(0)).max(initial=0))
        height, width = level.grid
        columns = range(last, min(width, last + 2 * self.rise))
        return [(y, x) for x in columns for y in range(height)]

    def _ground(self, level: Level) -> tuple[Array, Array]:
        """Where there is nothing solid, and where one stands on something `(H + 1, W)`: above the level is a row of
        air, and below it nothing."""
        free = ~np.isin(level.tiles, sorted(self.solid))
        free = np.concatenate([np.ones_like(free[:1]), free])
        stands = np.zeros_like(free)
        stands[:-1] = free[:-1] & ~free[1:]
        return free, stands

    def _reached(self, free: Array, stands: Array) -> Array:
        """Places that are come through `(H + 1, W)`."""
        height, width = free.shape
        reached = np.zeros_like(free)
        start = next((x for x in range(min(self.ends, width)) if stands[:, x].any()), None)
        if start is None:
            return reached
        first = (int(np.flatnonzero(stands[:, start]).max()), start, 0)
        seen, queue = {first}, deque([first])
        while queue:
            state = queue.popleft()
            reached[state[:2]] = True
            for y2, x2, rise2 in self._moves(state, free, stands):
                if 0 <= y2 < height and 0 <= x2 < width and free[y2, x2]:
                    state = y2, x2, 0 if stands[y2, x2] and not rise2 else rise2
                    if state not in seen:
                        seen.add(state)
                        queue.append(state)
        return reached

    def _moves(
        self, state: tuple[int, int, int], free: Array, stands: Array
    ) -> Iterator[tuple[int, int, int]]:
        """Where one comes to from a place, with so many steps of a jump left, the last of them level."""
        y, x, rise = state
        if stands[y, x] and not rise:
            yield from ((y, x - 1, 0), (y, x + 1, 0))
            rise = self.rise + 1
        elif rise:
            yield from ((y, x + dx, 0) for dx in (-1, 0, 1))
        if rise > 1 and y > 0 and free[y - 1, x]:
            yield from ((y - 1, x + dx, rise - 1) for dx in (-1, 0, 1))
        if not rise and y + 1 < len(free):
            for dx in (-1, 0, 1):
                if free[y + 1, x] or (0 <= x + dx < free.shape[1] and free[y, x + dx]):
                    yield y + 1, x + dx, 0


@dataclass(frozen=True)
class Runner(Game):
    """Lode Runner: a level is solved where every piece of gold is reached from where the player begins.

    A brick that can be dug is passed downwards, if beside the place above it something is free, or can be dug in its
    turn, to dig from.
    """

    name = "runner"
    solid: frozenset[str]
    diggable: frozenset[str]
    ladder: frozenset[str]
    rope: frozenset[str]
    gold: frozenset[str]
    spawn: frozenset[str]

    def playable(self, level: Level) -> bool:
        gold = np.isin(level.tiles, sorted(self.gold))
        begins = int(np.isin(level.tiles, sorted(self.spawn)).sum())
        return begins == 1 and bool(gold.any()) and bool(self._reached(level)[gold].all())

    def missed(self, level: Level) -> list[Place]:
        gold = np.isin(level.tiles, sorted(self.gold)) & ~self._reached(level)
        return [(int(y), int(x)) for y, x in np.argwhere(gold)]

    def _reached(self, level: Level) -> Array:
        tiles = level.tiles
        solid, dig, ladder, rope = (
            np.isin(tiles, sorted(one)) for one in (self.solid, self.diggable, self.ladder, self.rope)
        )
        reached = np.zeros(tiles.shape, bool)
        starts = [(int(y), int(x)) for y, x in np.argwhere(np.isin(tiles, sorted(self.spawn)))]
        queue = deque(starts)
        reached[tuple(np.array(starts, int).reshape(-1, 2).T)] = True
        while queue:
            place = queue.popleft()
            for y, x in self._moves(place, solid, dig, ladder, rope):
                if not reached[y, x]:
                    reached[y, x] = True
                    queue.append((y, x))
        return reached

    def _moves(
        self, place: Place, solid: Array, dig: Array, ladder: Array, rope: Array
    ) -> Iterator[Place]:
        y, x = place
        height, width = solid.shape
        bottom = y + 1 == height
        held = bottom or solid[y + 1, x] or ladder[y + 1, x] or ladder[y, x] or rope[y, x]
        if not bottom and not solid[y + 1, x]:
            yield y + 1, x
        if not held:
            return
        beside = [x2 for x2 in (x - 1, x + 1) if 0 <= x2 < width]
        yield from ((y, x2) for x2 in beside if not solid[y, x2])
        if ladder[y, x] and y and not solid[y - 1, x]:
            yield y - 1, x
        if not bottom and dig[y + 1, x] and any(not solid[y, x2] or dig[y, x2] for x2 in beside):
            yield y + 1, x


@dataclass(frozen=True)
class Sokoban(Game):
    """Sokoban, in the characters that its levels are written in: # wall, @ player, $ box, . goal, + player on a goal,
    * box on a goal. A level that is not solved within `budget` states counts as not solved.

    A* over pushes: the least number that the boxes have to go to a goal each, whatever stands between.
    """

    name = "sokoban"
    budget: int = 20_000

    def playable(self, level: Level) -> bool:
        tiles = level.tiles
        wall = np.pad(tiles == "#", 1, constant_values=True)
        goals = self._places(tiles, ".+*")
        boxes, players = self._places(tiles, "$*"), self._places(tiles, "@+")
        if len(players) != 1 or not boxes or len(boxes) != len(goals):
            return False
        return self._solved(wall, frozenset(boxes), next(iter(players)), frozenset(goals))

    @staticmethod
    def _places(tiles: Array, which: str) -> set[Place]:
        return {(int(y) + 1, int(x) + 1) for y, x in np.argwhere(np.isin(tiles, list(which)))}

    def _solved(
        self, wall: Array, boxes: frozenset[Place], player: Place, goals: frozenset[Place]
    ) -> bool:
        far = _pushes(wall, goals)
        first = (_region(wall, boxes, player), boxes)
        seen, queue, number = {(min(first[0]), boxes)}, [(0, 0, 0, first)], 0
        while queue and len(seen) <= self.budget:
            _, _, cost, (region, boxes) = heapq.heappop(queue)
            if boxes == goals:
                return True
            for box, (dy, dx) in ((box, step) for box in boxes for step in _STEPS):
                behind, ahead = (box[0] - dy, box[1] - dx), (box[0] + dy, box[1] + dx)
                if behind not in region or wall[ahead] or ahead in boxes or ahead not in far:
                    continue
                after = boxes - {box} | {ahead}
                around = _region(wall, after, box)
                key = (min(around), after)
                if key not in seen:
                    seen.add(key)
                    number += 1
                    least = sum(far[one] for one in after)
                    heapq.heappush(queue, (cost + 1 + least, number, cost + 1, (around, after)))
        return False


_STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def _region(wall: Array, boxes: frozenset[Place], place: Place) -> set[Place]:
    """Where a player walks to without a push."""
    found, stack = {place}, [place]
    while stack:
        y, x = stack.pop()
        for dy, dx in _STEPS:
            there = (y + dy, x + dx)
            if there not in found and there not in boxes and not wall[there]:
                found.add(there)
                stack.append(there)
    return found


def _pushes(wall: Array, goals: frozenset[Place]) -> dict[Place, int]:
    """From where a box can be pushed to a goal at all, and by how many pushes: found by pulling from the goals."""
    far, queue = dict.fromkeys(goals, 0), deque(goals)
    while queue:
        y, x = queue.popleft()
        for dy, dx in _STEPS:
            there, player = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
            if there in far or wall[there]:
                continue
            if 0 <= player[0] < wall.shape[0] and 0 <= player[1] < wall.shape[1] and not wall[player]:
                far[there] = far[y, x] + 1
                queue.append(there)
    return far


GAMES: dict[str, type[Game]] = {game.name: game for game in (Platform, Runner, Sokoban)}


def guess_game(tiles: frozenset[str], legend: Legend) -> str | None:
    """The kind of game that tiles and their tags speak of, if they do."""
    if {"#", "$"} <= tiles <= set("# -_@+$*.") and tiles & {"@", "+"}:
        return Sokoban.name
    if legend.tagged("ladder", "rope") and legend.tagged("gold"):
        return Runner.name
    return Platform.name if legend.tagged("solid") else None


def game_of(name: str, legend: Legend) -> Game:
    """The game of a name, whose tiles a legend explains."""
    if name == Sokoban.name:
        return Sokoban()
    solid = legend.tagged("solid")
    if name == Platform.name:
        return Platform(solid)
    return Runner(
        solid,
        *(legend.tagged(tag) for tag in ("diggable", "ladder", "rope", "gold", "spawn")),
    )
