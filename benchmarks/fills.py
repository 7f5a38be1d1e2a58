"""Holes in pictures of clothes filled in, beside fills that need no learning.

    python benchmarks/fills.py FOLDER [--family diffusion] [--steps 2000] [-n 1000]

FOLDER holds the four IDX files of Fashion-MNIST (Debian package `dataset-fashion-mnist`, MIT): models learn from the
60,000 and fill a box of 14 x 14 anywhere in n of the 10,000. `fd` is the Fréchet distance of whole pictures from others
of the 10,000, in the features of a contrastive network; `rmse` is of the holes, in levels of 256. `apart` is the root
mean squared difference of two fills of one hole, beside the model's own error: 0 where all fills of a hole are one.
Beside it stand the mean of what is known, the nearest known pixel, and diffusion from the edge of the hole
(scikit-image's biharmonic inpainting, which is needed here alone).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import genwright
from _fashion import judged, prepared
from _report import say
from photos import _biharmonic, _mean_fill, _nearest_fill

Array = np.ndarray
SIDE = 14


def holes(n: int, seed: int) -> Array:
    """Where something is to be made `(n, 28, 28)`."""
    rng, out = np.random.default_rng(seed), np.zeros((n, 28, 28), bool)
    for one, (y, x) in zip(out, rng.integers(0, 28 - SIDE + 1, (n, 2)), strict=True):
        one[y : y + SIDE, x : x + SIDE] = True
    return out


def plain(fill: Callable[[Array, tuple[int, int]], Array], x: Array, hole: Array) -> Array:
    alpha = np.where(hole, 0, 255).astype(np.uint8)
    made = [fill(np.dstack([a] * 3 + [b]), (28, 28))[..., 0] for a, b in zip(x, alpha, strict=True)]
    return np.where(hole, np.stack(made), x)


def root(x: Array, y: Array, where: Array) -> float:
    return round(float(np.sqrt(((x.astype(np.float64) - y)[where] ** 2).mean())), 2)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--family", default="diffusion")
    options.add_argument("--size", default="xs")
    options.add_argument("--steps", type=int, default=2000)
    options.add_argument("-n", type=int, default=1000)
    options.add_argument("--sampler-steps", type=int, default=16)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--set", nargs="*", default=[])
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train, held = prepared(args.folder, folder)
        began = time.process_time()
        model = genwright.train(
            train,
            family=args.family,
            label="",
            task="restore",
            size=args.size,
            steps=args.steps,
            seed=args.seed,
            settings=["task.how=inpaint", "data.val=0.02", "data.test=0", *args.set],
            out=folder / "run",
        )
        minutes = round((time.process_time() - began) / 60, 1)
        every = np.load(held)["images"]
        order = np.random.default_rng(args.seed).permutation(len(every))
        real, rest = every[order[: args.n]], folder / "rest.npz"
        np.savez(rest, images=every[order[args.n :]])
        hole = holes(args.n, args.seed)
        given = folder / "given"
        given.mkdir()
        for i, (x, h) in enumerate(zip(real, hole, strict=True)):
            alpha = np.where(h, 0, 255).astype(np.uint8)
            Image.fromarray(np.dstack([x, alpha]), "LA").save(given / f"{i:05d}.png")
        paths = sorted(given.glob("*.png"))
        some = {"steps": args.sampler_steps} if args.family == "diffusion" else {}
        draws = [np.stack(model.apply(paths, seed=args.seed + i, **some).examples) for i in range(2)]
        fills = {"model": draws[0]} | {
            name: plain(fill, real, hole)
            for name, fill in {
                "mean": _mean_fill,
                "nearest": _nearest_fill,
                "biharmonic": _biharmonic,
            }.items()
        }
        figures = {}
        for what, made in fills.items():
            np.savez(folder / f"{what}.npz", images=made)
            found = judged(folder / f"{what}.npz", train, rest, args.n, args.seed)
            figures[what] = {"fd": found["fd"], "rmse": root(made, real, hole)}
        say(
            benchmark="fills",
            family=args.family,
            cpu_minutes=minutes,
            steps=model.run.step,
            known_equal=bool(all(np.array_equal(d[~hole], real[~hole]) for d in draws)),
            apart=root(draws[0], draws[1], hole),
            floor=found["floors"].get("fd"),
            **figures,
        )


if __name__ == "__main__":
    main()
