"""Levels of games: their patterns of tiles, whether they can be played, how far they differ, what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from genwright.data.codec import Array
from genwright.data.level.field import LevelField
from genwright.data.level.files import Level
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Comparison, Rate, Statistic
from genwright.evaluation.metrics.condition import as_numbers

__all__ = ["LevelControl", "LevelVariety", "Playable", "TilePatterns", "divergence", "patterns"]

SMOOTH = 1e-5
"""Of a pattern that never comes, in parts of one that comes once."""
ALIKE = 0.5
"""Of what two real levels differ in on average: those that differ in less are alike."""
COMPARED = 300
"""Levels that are held against each other."""
TOLERANCE = 0.1
"""Of the range of a count, by which it may be missed: PCG Benchmark."""


class TilePatterns(Statistic):
    """The Kullback-Leibler divergence between the patterns of tiles of generated and of real levels, the mean of both
    directions and of windows of 2 x 2, 3 x 3 and 4 x 4 tiles, in nats.

    Lucas and Volz (2019, arXiv:1905.05077), equations 1 to 3, with their smoothing and a weight of one half.
    """

    name = "tile_patterns"
    group = "fidelity"
    better = "lower"
    ideal = 0.0
    reads = "level"
    sees = ("ladder", "new_mode", "independence", "collapse")
    sides = (2, 3, 4)
    how = "Nats by which small windows of tiles differ from those of real levels; 0 is the same mixture."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        test, fake = (_tiles(sample) for sample in (evidence.test, evidence.fake))
        sides = [side for side in self.sides if side <= min(test.shape[1:])]
        if not sides:
            raise DataError(
                f"{self.name} compares windows of {self.sides[0]} x {self.sides[0]} tiles, and these levels are "
                f"{test.shape[1]} x {test.shape[2]}",
                code="level-too-small",
            )
        # Of both together, so that a pattern has one number in both.
        numbered = [patterns(np.concatenate([test, fake]), side) for side in sides]
        rows = np.concatenate(numbered, axis=1)
        ends = np.cumsum([part.shape[1] for part in numbered])[:-1]

        def compare(test: Array, fake: Array, rng: np.random.Generator) -> float:
            pairs = zip(np.split(test, ends, axis=1), np.split(fake, ends, axis=1), strict=True)
            return float(np.mean([divergence(real, made) for real, made in pairs]))

        return rows[: len(test)], rows[len(test) :], compare


def _tiles(sample: Sample) -> Array:
    """Numbers of tiles `(n, H, W)`."""
    return np.asarray(sample.x[:, 0], np.int64)


def patterns(tiles: Array, side: int) -> Array:
    """The number of each window of `side` x `side` tiles in levels `(n, H, W)`: `(n, windows)`."""
    windows = np.lib.stride_tricks.sliding_window_view(tiles, (side, side), axis=(1, 2))
    flat = windows.reshape(len(tiles), -1, side * side)
    keys = np.zeros(flat.shape[:2], np.uint64)
    for place in range(side * side):  # a hash of the tiles, in which two windows meet once in 2^64
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + flat[..., place].astype(np.uint64) + np.uint64(1)
    return np.unique(keys, return_inverse=True)[1].reshape(keys.shape)


def divergence(real: Array, made: Array) -> float:
    """The mean of KL(real, made) and KL(made, real) of patterns by number."""
    size = int(max(real.max(), made.max())) + 1
    p, q = (_smoothed(np.bincount(one.ravel(), minlength=size)) for one in (real, made))
    return float(((p - q) * np.log(p / q)).sum() / 2)


def _smoothed(counts: Array) -> Array:
    """Shares, of which none is nothing: equation 2."""
    share = (counts + SMOOTH) / ((counts.sum() + SMOOTH) * (1 + SMOOTH))
    return np.asarray(share)


class Playable(Rate):
    """The share of levels that can be played to their end, by a search of the places that a player comes to
    (`data/level/play.py`): the `quality` of PCG Benchmark (Khalifa et al. 2025), in rules that are coarser."""

    name = "playable"
    group = "validity"
    better = "near"
    fault = "below"
    reads = "level"
    sees = ("ladder", "independence")
    how = "Share of levels that a search plays to their end; windows of real ones may not be either."

    def fits(self, evidence: Evidence) -> bool:
        field = evidence.fake.field
        return isinstance(field, LevelField) and field.game is not None

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        field = evidence.fake.field
        game = field.game if isinstance(field, LevelField) else None
        if game is None:
            raise DataError(
                f"{self.name}: whose rules hold is not known; name them by codec.game, with a legend.json that says "
                f"what the tiles are",
                code="no-game",
            )
        levels: list[Level] = evidence.fake.view("level")
        verdicts = {level: game.playable(level) for level in set(levels)}
        return sum(verdicts[level] for level in levels), len(levels)


class LevelVariety(Rate):
    """The share of levels that are unlike all that are left, where again and again the one that is most like the
    others is taken away: the `diversity` of PCG Benchmark (Khalifa et al. 2025), with Hamming distances.

    Two levels are alike to the degree that they differ in less than a share of their tiles. Of at most 300 levels.

    alike  that share (None: half of what two real levels differ in on average; PCG Benchmark takes 0.4 for most games)
    """

    name = "level_variety"
    group = "diversity"
    better = "near"
    fault = "below"
    reads = "level"
    sees = ("collapse",)
    how = "Share of levels that no other one resembles; lower than among real ones means repetition."

    def __init__(self, *, alike: Annotated[float, Gt(0), Le(1)] | None = None) -> None:
        self.alike = alike

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        test, fake = (_tiles(one)[:COMPARED] for one in (evidence.test, evidence.fake))
        n = min(len(test), len(fake))  # the share falls with the number of levels
        test, fake = (_sorted(one[:n].reshape(n, -1)) for one in (test, fake))
        alike = self.alike or ALIKE * float(_differences(test).sum()) / max(1, n * (n - 1))
        if not alike:
            raise DataError(f"{self.name}: all {n} real levels are the same", code="no-variety")
        return _unlike(_differences(fake), alike), n


def _sorted(tiles: Array) -> Array:
    """Rows in an order of their own: of two that are as like to others it matters which goes first."""
    return np.asarray(tiles[np.lexsort(tiles.T)])


def _differences(tiles: Array) -> Array:
    """The share of tiles in which levels `(n, tiles)` differ, `(n, n)`."""
    return np.stack([(tiles != one).mean(1) for one in tiles])


def _unlike(differ: Array, least: float) -> int:
    """How many levels are unlike those that are left when their turn comes."""
    n = len(differ)
    alike = np.maximum(0.0, 1.0 - differ / least)
    left = np.ones(n, bool)
    total = alike.sum(1)  # with itself, which counts 1
    for _ in range(n):
        worst = int(np.argmax(np.where(left, total, -np.inf)))
        if total[worst] <= 1 + 1e-9:
            break
        left[worst] = False
        total = total - alike[:, worst]
    return int(left.sum())


class LevelControl(Rate):
    """The share of levels that hold as many tiles of a kind as was asked for: the `controllability` of PCG Benchmark
    (Khalifa et al. 2025).

    Of labels that are numbers and bear the name of a tile or of a tag in `legend.json`. A count may be missed by a
    tenth of the range of those of training, or by one.
    """

    name = "level_control"
    group = "condition"
    better = "higher"
    ideal = 1.0
    reads = "level"
    needs = frozenset({"condition"})
    sees = ("independence", "ignored")
    how = "Share of levels with as many tiles of a kind as was asked for, within a tenth of the range."

    def fits(self, evidence: Evidence) -> bool:
        return bool(_asked(evidence.fake))

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        asked = _asked(evidence.fake)
        if not asked:
            raise DataError(
                f"{self.name}: no label has the name of a tile, or of a tag in legend.json, and counts it",
                code="no-counts",
            )
        levels = evidence.fake.view("level")
        met = np.ones(len(levels), bool)
        for name, (tiles, wanted) in asked.items():
            held = np.array([np.isin(level.tiles, tiles).sum() for level in levels])
            known = as_numbers(evidence.train.conditions.get(name, ()))
            spread = 0.0 if known is None or not len(known) else float(np.ptp(known))
            within = max(1.0, TOLERANCE * spread)
            met &= np.abs(held - wanted) <= within
        return int(met.sum()), len(met)


def _asked(sample: Sample) -> Mapping[str, tuple[list[str], Array]]:
    """The tiles that each label counts, and how many were asked for `(n,)`."""
    field = sample.field
    if not isinstance(field, LevelField):
        return {}
    found: dict[str, tuple[list[str], Array]] = {}
    for name, values in sample.conditions.items():
        tiles = sorted(field.form.legend.tagged(name.lower()) | ({name} & {*field.tiles}))
        numbers = as_numbers(values)
        if tiles and numbers is not None:
            found[name] = tiles, numbers
    return found
