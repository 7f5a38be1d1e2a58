"""Few-step sampling: what are 4 steps worth beside 50 of the same model?

    python benchmarks/few_steps.py FOLDER [--minutes 10] [--seed 0] [--n 2000] [--objectives meanflow denoise]
        [--steps 1 2 4 8 50] [--set NAME=VALUE ...] [--out OUT]

FOLDER      the four IDX files of Fashion-MNIST. The 60,000 are learnt from, the 10,000 judged by
objectives  meanflow learns to jump; denoise is plain flow matching, `--minutes` of training for each
OUT         where runs and pictures go, to be used again (left out: nowhere)

Each model is sampled with the solver that is its default, at each number of steps, from the same noise. It is
judged by Fréchet distance, KID, precision and recall in the features of a contrastive network that has learnt
from the 60,000, n of each. `ratio` is FD at 4 steps over FD at 50 (of other `--steps`: fewest from 4 on, and
the most). Its range is whatever the two intervals allow, which is wide, since the pictures share their noise
and their judges. `ratio_inf` is that of the distances without the bias of few examples.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import genwright
from _fashion import judged, kept, prepared
from _report import say


def trained(objective: str, train: Path, out: Path, args: argparse.Namespace) -> genwright.model.Model:
    """A model of the objective, from `out` if it lies there."""
    run = out / f"{objective}-run"
    if run.exists():
        return genwright.load(run)
    return genwright.train(
        train,
        family="diffusion",
        minutes=args.minutes,
        seed=args.seed,
        out=run,
        # A check looks at 4,096 held-out examples, as many as dozens of steps do.
        settings=[f"family.objective={objective}", "train.checks=2", "train.samples=0", *args.set],
    )


def compared(objective: str, by_steps: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Few steps against many of one model."""
    few, many = min((s for s in by_steps if s >= 4), default=min(by_steps)), max(by_steps)
    a, b = by_steps[few], by_steps[many]
    value, low, high = a["fd"]
    of, of_low, of_high = b["fd"]
    return {
        "objective": objective,
        "few": few,
        "many": many,
        "ratio": [round(r, 4) for r in (value / of, low / of_high, high / of_low)],
        "ratio_inf": round(a["fd_inf"][0] / b["fd_inf"][0], 4),
        "fd_of_many": b["fd"],
        "times_as_fast": round(b["seconds"] / a["seconds"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-n", "--n", type=int, default=2000)
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 2, 4, 8, 50])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="of the recipe")
    parser.add_argument(
        "--objectives",
        nargs="+",
        choices=("meanflow", "denoise"),
        default=["meanflow", "denoise"],
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = args.out or Path(folder)
        train, held = prepared(args.folder, out)
        protocol = {"benchmark": "few_steps", "minutes": args.minutes, "n": args.n, "seed": args.seed}
        summaries = []
        for objective in args.objectives:
            began = time.monotonic()
            model = trained(objective, train, out, args)
            seconds, by_steps = time.monotonic() - began, {}
            for steps in args.steps:
                began = time.monotonic()
                samples = model.sample(args.n, seed=args.seed, steps=steps)
                sampling = time.monotonic() - began
                made = kept(samples, out / f"{objective}-{steps}.npz")
                by_steps[steps] = {
                    **judged(made, train, held, args.n, args.seed),
                    "seconds": round(sampling, 2),
                }
                say(
                    **protocol,
                    objective=objective,
                    settings=args.set,
                    trained_steps=model.run.step,
                    trained_seconds=round(seconds, 1),
                    sampling_steps=steps,
                    **by_steps[steps],
                )
            summaries.append(compared(objective, by_steps))
        for summary in summaries:
            say(**protocol, **summary)


if __name__ == "__main__":
    main()
