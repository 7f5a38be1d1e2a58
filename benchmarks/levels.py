"""Levels that a run makes, beside real ones and a Markov model of tiles: playable, like real ones, and new.

    genwright train levels/mario --minutes 10 --out runs/mario
    python benchmarks/levels.py runs/mario [--n 500] [--seed 0]

The levels are those of github.com/TheVGLC/TheVGLC (MIT): `Super Mario Bros/Processed` and `Lode Runner/Processed`, a
folder of .txt for each game with its legend as `legend.json`.

The Markov model gives a tile by its left, lower and lower left neighbours, as Snodgrass and Ontañón (2014) do, from
the training split, with what two or one of them say where three were never met.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

import genwright
from _report import say
from genwright.data.field import Array
from genwright.data.level.field import LevelField
from genwright.evaluation.metrics.tiles import divergence, patterns
from genwright.model import Model

OUTSIDE = -1


class Markov:
    """A tile given those at its left, below it and below its left."""

    def __init__(self, tiles: Array) -> None:
        self.shape = tiles.shape[1:]
        self.counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for one in np.pad(tiles, ((0, 0), (0, 1), (1, 0)), constant_values=OUTSIDE):
            for y in range(self.shape[0]):
                for x in range(1, self.shape[1] + 1):
                    near = int(one[y, x - 1]), int(one[y + 1, x]), int(one[y + 1, x - 1])
                    for known in range(4):
                        self.counts[near[:known]][int(one[y, x])] += 1

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        height, width = self.shape
        made = np.full((n, height + 1, width + 1), OUTSIDE)
        for one in made:
            for y in reversed(range(height)):
                for x in range(1, width + 1):
                    near = int(one[y, x - 1]), int(one[y + 1, x]), int(one[y + 1, x - 1])
                    known = next(k for k in (3, 2, 1, 0) if near[:k] in self.counts)
                    tiles, counts = zip(*self.counts[near[:known]].items(), strict=True)
                    one[y, x] = rng.choice(tiles, p=np.array(counts) / sum(counts))
        return made[:, :-1, 1:]


def apart(real: Array, made: Array) -> float:
    """Tile-pattern KL of windows of 2, 3 and 4 tiles a side."""
    found = []
    for side in (2, 3, 4):
        both = patterns(np.concatenate([real, made]), side)
        found.append(divergence(both[: len(real)], both[len(real) :]))
    return float(np.mean(found))


def novelty(tiles: Array, train: Array) -> Array:
    """Of each level the share of tiles in which it differs from the training level that is nearest to it."""
    return np.array([(train != one).mean((1, 2)).min() for one in tiles])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--require", nargs="*", default=[], help="constraints, which are repaired")
    parser.add_argument("--set", nargs="*", default=[], help="sampler options, NAME=VALUE")
    args = parser.parse_args()
    model: Model = genwright.load(args.run)
    field = model.pipeline.made
    assert isinstance(field, LevelField)
    splits = {
        name: np.asarray(split.arrays["level"][:])[:, 0].astype(int)
        for name, split in model.dataset.splits.items()
    }
    rng = np.random.default_rng(args.seed)
    train, heldout = splits["train"], np.concatenate([splits["val"], splits["test"]])
    order = rng.permutation(len(train))
    # What is compared with is other windows of the same levels; levels never seen differ from them in their motifs.
    reference, other = train[order[: len(order) // 2]], train[order[len(order) // 2 :]]
    options = {name: float(value) for name, value in (one.split("=", 1) for one in args.set)}
    made = genwright.sample(args.run, args.n, require=args.require, seed=args.seed, **options)
    sets = {
        "training levels": other[: args.n],
        "held-out levels": heldout[rng.permutation(len(heldout))[: args.n]],
        "model": field.tensor(made.examples)[:, 0].numpy(),
        "markov": Markov(train).sample(args.n, rng),
    }
    for name, tiles in sets.items():
        far = novelty(tiles, train)
        say(
            which=name,
            n=len(tiles),
            playable=share(tiles, field),
            tile_patterns=round(apart(reference, tiles), 4),
            to_heldout=round(apart(heldout, tiles), 4),
            copies=int((far == 0).sum()),
            nearest=round(float(np.median(far)), 4),
            finish=made.provenance.finish if name == "model" and made.provenance else None,
        )


def share(tiles: Array, field: LevelField) -> float | None:
    """Of levels that can be played."""
    if field.game is None:
        return None
    return round(float(np.mean([field.game.playable(one) for one in field.decode(tiles[:, None])])), 4)


if __name__ == "__main__":
    main()
