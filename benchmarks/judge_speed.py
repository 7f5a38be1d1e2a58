"""How long the judge takes: whole, from the command line to the verdict, and its distances and neighbours beside
the packages that are commonly used for them, in turns.

    python benchmarks/judge_speed.py whole [DATA ...] [--minutes 0.5] [--rounds 1] [--runs FOLDER]
    python benchmarks/judge_speed.py parts [--n 10000] [--dims 64 512] [--repeats 3]

whole  `genwright judge` of a run, with an empty cache: wall clock, processor time and peak memory; by itself and
       beside a busy program, the better of `--rounds` turns. DATA is a path or one of text5, pictures32, pictures64,
       adult and sounds, which are made where they are not there (adult: --adult). Each is trained for `--minutes`
       first, unless --runs has a run of it
kid    ours over all pairs, beside torchmetrics' maximum_mean_discrepancy with its polynomial kernel, in
       float64
prdc   precision, recall, density and coverage, beside the package prdc

The parts need pip install torchmetrics prdc; one that is missing is left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from _report import interleaved, say
from genwright.data.codec import Array
from genwright.evaluation import cache, neighbours
from genwright.evaluation.metrics import distances, manifold
from look import BUSY, MADE, found, pictures, text


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


WHOLE = ("text5", "pictures32", "pictures64", "adult", "sounds")
MADE["text5"] = lambda path: text(path.with_suffix(".txt"), 5_000_000)
MADE["pictures32"] = lambda path: pictures(path, 2_000, 32)


def whole(args: argparse.Namespace) -> None:
    """A row for each data set, by itself and beside a busy program."""
    for folder in (args.folder, args.runs):
        folder.mkdir(parents=True, exist_ok=True)
    for name in args.data or WHOLE:
        path = found(name, args.folder, args.adult)
        run = args.runs / Path(path).stem
        if not run.exists():
            train = ["train", path, "--minutes", str(args.minutes), "--out", str(run)]
            subprocess.run([sys.executable, "-m", "genwright", *train], check=True, capture_output=True)
        for beside in ("nothing", "one busy program"):
            turns = [judged(run, busy=beside != "nothing") for _ in range(args.rounds)]
            best = min(turns, key=lambda turn: turn["seconds"])
            say(
                benchmark="judge_speed whole",
                data=name,
                beside=beside,
                **best,
            )


def judged(run: Path, *, busy: bool) -> dict[str, float]:
    """One `judge` in a process of its own."""
    other = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    try:
        with tempfile.TemporaryDirectory() as scratch:
            command = [
                sys.executable,
                "-m",
                "genwright",
                "judge",
                str(run),
                "--out",
                f"{scratch}/report",
            ]
            began = time.monotonic()
            child = subprocess.Popen(
                command,
                env=os.environ | {"GENWRIGHT_CACHE": f"{scratch}/cache"},
                stdout=subprocess.DEVNULL,
            )
            _, status, used = os.wait4(child.pid, 0)
            taken = time.monotonic() - began
    finally:
        if other is not None:
            other.kill()
            other.wait()
    assert status == 0, f"judge {run} failed"
    return {
        "seconds": round(taken, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6),
    }


def parts(args: argparse.Namespace) -> None:
    """Ours and theirs in turns."""
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


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("whole", "parts"))
    options.add_argument("data", nargs="*")
    options.add_argument("--adult", type=Path, default=Path("adult.csv.gz"))
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "look-data")
    options.add_argument("--runs", type=Path, default=Path(tempfile.gettempdir()) / "judge-runs")
    options.add_argument("--minutes", type=float, default=0.5)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--n", type=int, default=10_000)
    options.add_argument("--dims", type=int, nargs="+", default=[64, 512])
    options.add_argument("--repeats", type=int, default=3)
    args = options.parse_args()
    (whole if args.what == "whole" else parts)(args)


if __name__ == "__main__":
    main()
