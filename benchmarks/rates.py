"""Is the default rate robust? One family at rates over a decade around its own.

    python benchmarks/rates.py [--family diffusion] [--task digits] [--seeds 3] [--steps N]
        [--factors 0.316 0.562 1 1.78 3.16] [--set train.decay=none]

digits  the built-in 8 x 8 digits, a quarter of them held out to judge by and another for the floor: Fréchet
        distance in the features of a contrastive network that has learnt from the rest, of as many samples
        as are held out, a mean of `--sets` sets of them, since one set is off by a fifteenth. Less is better;
        the floor is that of real ones, and `fd_inf` and `kid` stand beside it, of which it is near 0
grid    the 25 modes in the plane of `modes.py`: the share of 2,500 samples that are of high quality

Trainings differ in nothing but the rate. `within` says of each rate whether its score is at most 10 % worse
than that of the best: yes or no where that is sure by two standard errors (between seeds; of the judge where
there is one seed), else open. The best of several is best by luck too, which leans to no.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch

import genwright
import modes
from _report import say
from genwright.evaluation import runner
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Measurement, wilson
from genwright.evaluation.reference import MOST_TRAIN, reference_data
from genwright.planning import choose_bridge
from genwright.registry import build
from genwright.space import Real, Space

DECADE = (0.316, 0.562, 1.0, 1.78, 3.16)
METRICS = ("fd", "fd_inf", "kid")
DIGITS = Space((8, 8), (Real(1, bounded=True),))
WORSE = 0.1
"""Share of the best score that another may be worse by."""


def usual(family: str, space: Space) -> float:
    """The rate of a family over a space, where none is named."""
    nets = build("nets", "auto", {}, "xs", where="net")
    target = choose_bridge(family, space)[1].plan(space)
    return float(build("families", family, {}, target, {}, nets, where="family").phases[0].lr)


def digits(lr: float, seed: int, args: argparse.Namespace) -> tuple[Measurement, dict[str, Any]]:
    """The distance of one training, and what else is worth knowing."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = [f"train.lr={lr}", "train.checks=1", "train.samples=0"]
        settings += ["data.val=0.25", "data.test=0.25", *args.set]
        model = genwright.train(
            "digits",
            family=args.family,
            size=args.size,
            steps=args.steps,
            seed=seed,
            out=out,
            settings=settings,
        )
        # One held-out part and one feature extractor for all trainings: the seed of split and judge stays.
        bench, rng = (
            reference_data(model.recipe, model.dataset, 0, "contrastive"),
            np.random.default_rng(0),
        )
        splits = bench.dataset.splits
        n = len(splits["test"])
        learnt, held = (bench.real(splits[part], MOST_TRAIN, rng) for part in ("train", "test"))
        other = bench.real(splits["val"], n, rng)
        space, extractor = bench.field.space, bench.extractor.name

        def read(fake: Sample) -> list[float]:
            evidence = Evidence(space, extractor, learnt, held, fake)
            return [metric.read(evidence, 0).value for metric in runner.metrics(evidence, METRICS)]

        sets = (bench.write_and_reload(model.sample(n, seed=i), n, rng)[0] for i in range(args.sets))
        found, floor = np.array([read(fake) for fake in sets]), read(other)
    mean, error = found.mean(axis=0), found[:, 0].std(ddof=1) / math.sqrt(args.sets)
    more = {"n": n, "sets": args.sets, "floors": [round(value, 4) for value in floor]}
    others = {name: round(float(value), 5) for name, value in zip(METRICS[1:], mean[1:], strict=True)}
    return Measurement(mean[0], mean[0] - 2 * error, mean[0] + 2 * error, n), more | others


def grid(lr: float, seed: int, args: argparse.Namespace) -> tuple[Measurement, dict[str, Any]]:
    """The share of high quality of one training."""
    law, rng = modes.Law("grid"), np.random.default_rng(seed)
    data = law.draw(100_000, rng)
    mean, std = data.mean(axis=0), data.std(axis=0)
    x = torch.from_numpy((data - mean) / std).float()
    bridge = choose_bridge(args.family, modes.SPACE)[1]
    bridge.fit(modes.SPACE, x[:20_000])
    how = argparse.Namespace(**vars(args), net="auto", minutes=None, batch=128, lr=lr)
    family, alarms = modes.train(modes.Points(x, bridge), how, {}, seed)
    made = bridge.inverse(family.sample(modes.N, seed=seed), torch.Generator().manual_seed(seed))
    found = law.measure(made.double().numpy() * std + mean)
    share = found["high_quality"]
    return Measurement(share, *wilson(round(share * modes.N), modes.N), modes.N), {
        "modes": found["modes"],
        "kl": found["kl"],
        "alarms": alarms,
        "real": law.measure(law.draw(modes.N, rng))["high_quality"],
    }


def within(score: float, error: float, best: float, its_error: float, lower: bool) -> str:
    """Whether a score is at most so much worse than the best."""
    far = score - (1 + WORSE) * best if lower else (1 - WORSE) * best - score
    unsure = 2 * math.hypot(error, (1 + WORSE if lower else 1 - WORSE) * its_error)
    return "open" if abs(far) <= unsure and score != best else "no" if far > 0 else "yes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--family", default="diffusion")
    parser.add_argument("--task", choices=("digits", "grid"), default="digits")
    parser.add_argument("--size", default="s")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument(
        "--steps", type=int, help="of a training; left out: 2,000 for digits, as usual, 12,000 for grid"
    )
    parser.add_argument("--factors", nargs="+", type=float, default=list(DECADE))
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="of trainings on digits"
    )
    parser.add_argument("--sets", type=int, default=16, help="of samples of one training, on digits")
    args = parser.parse_args()
    lower = args.task == "digits"
    args.steps = args.steps or (2000 if lower else 12_000)
    measure, space = (digits, DIGITS) if lower else (grid, modes.SPACE)
    rate = usual(args.family, space)
    about = {"benchmark": "rates", "family": args.family, "task": args.task, "steps": args.steps}
    score, error = dict[float, float](), dict[float, float]()
    for factor in args.factors:
        readings = []
        for seed in range(args.first, args.first + args.seeds):
            began = time.perf_counter()
            reading, more = measure(factor * rate, seed, args)
            readings.append(reading)
            say(
                **about,
                factor=factor,
                lr=factor * rate,
                seed=seed,
                score=[round(v, 4) for v in (reading.value, reading.low, reading.high)],
                **more,
                seconds=round(time.perf_counter() - began, 1),
            )
        values = [reading.value for reading in readings]
        score[factor] = fmean(values)
        error[factor] = stdev(values) / math.sqrt(len(values)) if values[1:] else readings[0].error
    best = (min if lower else max)(score, key=score.__getitem__)
    worst = (max if lower else min)(score, key=score.__getitem__)
    say(
        **about,
        lr=rate,
        size=args.size,
        seeds=args.seeds,
        scores={f: [round(score[f], 4), round(error[f], 4)] for f in score},
        best=best,
        to_best={f: round(score[f] / score[best], 4) for f in score},
        worst_to_best=round(score[worst] / score[best], 4),
        within={f: within(score[f], error[f], score[best], error[best], lower) for f in score},
    )


if __name__ == "__main__":
    main()
