"""Whether the guard tells a training that ignores its condition, and no other: each family on digits with their labels.

    python benchmarks/heeding.py --steps 600

`right` has the true labels, `shuffled` labels that say nothing, `cut` the true ones and conditioners that read none.
`share` is the part of the training's time that the looks took.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from sklearn.datasets import load_digits

import genwright
from genwright.nets.cond import Conditioner
from genwright.storage.run import Run
from genwright.training.hooks import MeasureHeeding

FAMILIES = ("vae", "vqvae", "gan", "autoregressive", "masked", "diffusion", "flow", "energy")
forward, check = Conditioner.forward, MeasureHeeding.check
spent = 0.0


def timed(self: MeasureHeeding, trainer: Any) -> None:
    global spent
    start = time.perf_counter()
    check(self, trainer)
    spent += time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", default=FAMILIES)
    parser.add_argument("--worlds", nargs="+", default=["right", "shuffled", "cut"])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    global spent
    x, label = load_digits(return_X_y=True)
    x = np.minimum(16 * x.reshape(-1, 8, 8), 255).astype(np.uint8)
    for family in args.families:
        for world in args.worlds:
            labels = (
                label if world != "shuffled" else np.random.default_rng(args.seed).permutation(label)
            )
            read = (lambda self, given, *rest: forward(self, {}, *rest)) if world == "cut" else forward
            with (
                tempfile.TemporaryDirectory() as folder,
                patch.object(Conditioner, "forward", read),
                patch.object(MeasureHeeding, "check", timed),
            ):
                spent, start = 0.0, time.perf_counter()
                how = {"family": family, "size": "xs", "steps": args.steps, "seed": args.seed}
                genwright.train(x, label=labels.astype(str).tolist(), out=Path(folder) / "run", **how)
                whole = time.perf_counter() - start
                records = Run.open(Path(folder) / "run").metrics()
            scores = [r["heeds/label"] for r in records if "heeds/label" in r]
            told = [
                f"{r['guard']} at {r['step']}"
                for r in records
                if "guard" in r and "condition" in r["guard"]
            ]
            shown = " ".join(f"{score:.1f}" for score in scores)
            print(
                f"{family:15} {world:9} t {shown}  share {spent / whole:.2%}  {'; '.join(told) or 'silent'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
