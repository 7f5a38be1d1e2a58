"""The judge's distances and neighbours beside the packages that are commonly used for them, in turns.

    python benchmarks/judge_speed.py [--n 10000] [--dims 64 512] [--repeats 3]

kid    ours over all pairs, beside torchmetrics' maximum_mean_discrepancy with its polynomial kernel, in
       float64
prdc   precision, recall, density and coverage, beside the package prdc

Needs pip install torchmetrics prdc; one that is missing is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch

from _report import interleaved, say
from genwright.data.codec import Array
from genwright.evaluation import cache, neighbours
from genwright.evaluation.metrics import distances, manifold


def kid(real: Array, fake: Array) -> tuple[Callable[[], object], Callable[[], object]]:
    from torchmetrics.image.kid import poly_mmd

    a, b = torch.from_numpy(real), torch.from_numpy(fake)
    return lambda: [distances.kid(real, fake)], lambda: [float(poly_mmd(a, b))]


def prdc(real: Array, fake: Array) -> tuple[Callable[[], object], Callable[[], object]]:
    from prdc import compute_prdc

    metrics = [manifold.Precision(), manifold.Recall(), manifold.Density(), manifold.Coverage()]

    def ours() -> list[float]:
        cache.answers.clear()
        found = neighbours.balls(real, fake, 5)
        return [metric.score(found) for metric in metrics]

    return ours, lambda: list(compute_prdc(real, fake, nearest_k=5).values())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--n", type=int, default=10_000)
    options.add_argument("--dims", type=int, nargs="+", default=[64, 512])
    options.add_argument("--repeats", type=int, default=3)
    args = options.parse_args()
    for d in args.dims:
        rng = np.random.default_rng(d)
        real, fake = rng.normal(size=(args.n, d)), rng.normal(0.02, 1, size=(args.n, d))
        for name, pair in (("kid", kid), ("prdc", prdc)):
            with suppress(ImportError):
                ours, theirs = pair(real, fake)
                a, b = np.array(ours()), np.array(theirs())
                found = interleaved(args.repeats, ours=ours, theirs=theirs)
                say(
                    benchmark=f"judge_speed {name}",
                    n=args.n,
                    d=d,
                    seconds=round(found["ours"], 2),
                    times_faster=round(found["theirs"] / found["ours"], 2),
                    differ_by=float(np.abs(a - b).max()),
                    relative=float((np.abs(a - b) / np.abs(b)).max()),
                )


if __name__ == "__main__":
    main()
