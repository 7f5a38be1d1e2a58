"""`look`: how true its estimates are, how long it takes and how much memory it wants.

    python benchmarks/look.py estimates [DATA ...] [--size s]
    python benchmarks/look.py seconds [DATA ...]

`estimates` has beside what `look` says of a step the median of real ones, taken in turns, and their ratio; a step
that would take longer than `--most` seconds is measured with a smaller batch, and so estimated. `seconds` is a
whole `genwright look` each, with an empty cache, as wall clock, processor time and peak memory; by itself and
beside a busy program, the better of `--rounds` turns. DATA is a path or one of the sets below, which are made
where they are not there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from _report import say
from genwright.api import make_recipe
from genwright.errors import Incompatible
from genwright.experiment import Experiment, Untrained, open_data
from genwright.recipe import Plugin, Recipe
from genwright.registry import names
from genwright.training.rates import measure_again
from genwright.training.timing import seconds_per_step

ESTIMATED = ("digits", "adult", "pictures28", "text", "sounds", "wide")
TIMED = ("digits", "adult", "pictures64", "text", "sounds", "wide", "long")
BUSY = "while True: sum(range(10**6))"


# -- data ------------------------------------------------------------------------------------------


def rows(path: Path, n: int, numbers: int, texts: int) -> None:
    rng = np.random.default_rng(0)
    with path.open("w") as stream:
        stream.write(",".join(f"c{i}" for i in range(numbers + texts)) + "\n")
        for start in range(0, n, 10_000):
            count = min(10_000, n - start)
            x, k = rng.normal(size=(count, numbers)), rng.integers(0, 9, (count, texts))
            for some, kinds in zip(x, k, strict=True):
                stream.write(",".join([*(f"{v:.4f}" for v in some), *(f"k{v}" for v in kinds)]) + "\n")


def pictures(path: Path, n: int, side: int) -> None:
    rng = np.random.default_rng(0)
    path.mkdir()
    for i in range(n):
        small = Image.fromarray(rng.integers(0, 255, (7, 7, 3), dtype=np.uint8))
        small.resize((side, side), Image.Resampling.BICUBIC).save(path / f"{i}.png")


def sounds(path: Path, n: int) -> None:
    rng = np.random.default_rng(0)
    path.mkdir()
    for i in range(n):
        with wave.open(str(path / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            x = 12_000 * np.sin(np.arange(8000) * (0.1 + 0.002 * i)) + rng.normal(0, 300, 8000)
            file.writeframes(x.astype("<i2").tobytes())


def text(path: Path, characters: int) -> None:
    words = (__doc__ or "").split()
    some = np.random.default_rng(0).choice(words, characters // 5)
    path.write_text(" ".join(some)[:characters])


MADE: dict[str, Callable[[Path], None]] = {
    "pictures28": lambda path: pictures(path, 1_000, 28),
    "pictures64": lambda path: pictures(path, 2_000, 64),
    "sounds": lambda path: sounds(path, 500),
    "text": lambda path: text(path.with_suffix(".txt"), 10_000_000),
    "wide": lambda path: rows(path.with_suffix(".csv"), 60, 1_000, 0),
    "long": lambda path: rows(path.with_suffix(".csv"), 1_000_000, 12, 8),
}


def found(name: str, folder: Path, adult: Path) -> str:
    """The path of a data set, made if need be."""
    if name == "adult":
        return str(adult)
    if name not in MADE:
        return name
    if not (there := list(folder.glob(f"{name}*"))):
        MADE[name](folder / name)
        there = list(folder.glob(f"{name}*"))
    return str(there[0])


# -- are they true ---------------------------------------------------------------------------------


def within(recipe: Recipe, dataset: object, most: float) -> tuple[Recipe, float] | None:
    """The recipe with a batch of which a step takes no longer than `most`, and the estimate of it."""
    job = Experiment.on(recipe, dataset)  # type: ignore[arg-type]
    size = recipe.train.batch_size or job.model.family.batch_size
    least = max(4, job.model.family.least_batch)
    while True:
        sized = replace(recipe, train=replace(recipe.train, batch_size=size))
        cost = Untrained(sized, dataset).cost()  # type: ignore[arg-type]
        if cost.seconds <= most and cost.bytes < 4e9:
            return sized, cost.seconds
        if size == least:
            return None
        size = max(least, size // 4)


def estimates(name: str, path: str, args: argparse.Namespace) -> list[float]:
    recipe, dataset = open_data(make_recipe(path, size=args.size), sampled=True)
    ratios = []
    for family in args.family or names("families"):
        try:
            sized = within(replace(recipe, family=Plugin(family)), dataset, args.most)
        except Incompatible:
            continue
        if sized is None:
            continue
        one, _ = sized
        guesses, steps = list[float](), list[float]()
        for _ in range(args.rounds):
            job = Experiment.on(one, dataset)
            n = one.train.batch_size or job.model.family.batch_size
            batch = job.stream().next(n, torch.device("cpu"), 0)
            steps.append(seconds_per_step(job.model.family, batch, one.train, repeats=4))
            measure_again()
            guesses.append(Untrained(one, dataset).cost().seconds)
        step, guess = statistics.median(steps), statistics.median(guesses)
        ratios.append(guess / step)
        say(
            benchmark="look_estimates",
            data=name,
            family=family,
            size=args.size,
            batch=one.train.batch_size,
            ms_estimated=round(1e3 * guess, 1),
            ms_measured=round(1e3 * step, 1),
            ratio=round(guess / step, 2),
        )
    return ratios


# -- are they soon there ---------------------------------------------------------------------------


def seconds(name: str, path: str, rounds: int) -> None:
    for beside in ("nothing", "one busy program"):
        turns = [looked(path, busy=beside != "nothing") for _ in range(rounds)]
        say(
            benchmark="look_seconds",
            data=name,
            beside=beside,
            **min(turns, key=lambda turn: turn["seconds"]),
        )


def looked(path: str, *, busy: bool) -> dict[str, float]:
    """One `look` in a process of its own."""
    other = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    try:
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, "-m", "genwright", "look", path]
            began = time.monotonic()
            child = subprocess.Popen(
                command, env=os.environ | {"GENWRIGHT_CACHE": cache}, stdout=subprocess.PIPE
            )
            assert child.stdout is not None
            child.stdout.readline()
            first = time.monotonic() - began
            child.stdout.read()
            _, status, used = os.wait4(child.pid, 0)
            taken = time.monotonic() - began
    finally:
        if other is not None:
            other.kill()
            other.wait()
    assert status == 0, f"look {path} failed"
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "first_line": round(first, 1),
        "seconds": round(taken, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(peak / 1e6),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("estimates", "seconds"))
    options.add_argument("data", nargs="*")
    options.add_argument("--adult", type=Path, default=Path("adult.csv.gz"))
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "look-data")
    options.add_argument("--family", nargs="*")
    options.add_argument("--size", default="s")
    options.add_argument("--most", type=float, default=1.0)
    options.add_argument("--rounds", type=int, default=3)
    args = options.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    ratios = []
    for name in args.data or (ESTIMATED if args.what == "estimates" else TIMED):
        path = found(name, args.folder, args.adult)
        if args.what == "seconds":
            seconds(name, path, args.rounds)
        else:
            ratios += estimates(name, path, args)
    if ratios:
        far = [ratio for ratio in ratios if not 0.5 <= ratio <= 2]
        say(
            benchmark="look_estimates",
            families=len(ratios),
            least=round(min(ratios), 2),
            median=round(statistics.median(ratios), 2),
            most=round(max(ratios), 2),
            beyond_a_factor_of_two=len(far),
        )


if __name__ == "__main__":
    main()
