"""Series that a run makes beside real ones, by TimeGAN's protocol and by ours; and forecasts beside the season before.

    genwright train stock.csv --set codec.name=series --set codec.time=rows ... --out runs/stocks
    python benchmarks/series.py windows runs/stocks ... [--n 3000] [--seeds 5]
    python benchmarks/series.py forecast runs/airline [--draws 19] [--seed 0]

The stocks are Google's, daily, 6 columns, of TimeGAN (Yoon et al. 2019, github.com/jsyoon0823/TimeGAN, MIT); hourly
temperatures are `sf-temps.csv` and `seattle-temps.csv` of PyPI vega_datasets (BSD); passengers of airlines by month are
in PyPI sktime (BSD).

`windows`, TimeGAN's protocol: overlapping windows of 24 steps of the whole series, one at each step, scaled to [0, 1]
by the least and greatest of each column; a GRU of 3 hidden units tells generated from real, trained for 2,000 steps of
128 of each on 80 % of both sets and asked about the rest (|accuracy - 0.5|); the generated set has its own lengths, and
as many of both classes are asked. The correlational score is that of Diffusion-TS (Yuan and Qiao 2024): the absolute
differences of all pairwise correlations, over windows, summed and divided by ten, of 1,000 of each. A run trained with
data.test=0 has seen every real window, as those of all published figures have.

Ours, the judge's `discriminative` on the same windows: a linear classifier of random convolutions, three of them, which
sees the last digit where the GRU does not. It is asked about another part of the time than it learnt from; `across`
stands for windows drawn from all over, as TimeGAN's are, where it knows a window by those that overlap it. Beside both
stand halves of the real windows (`real`), and halves that share nothing: every second part of four windows' length
(`apart`), which is what fresh data of the same kind would have.

By time: a run trained on the first part of the series is held against windows of the last part, which overlap none of
those it saw; each window less its mean and over its deviation, since a price is at another level later. Beside all
stand real windows against other real ones: the floor.

`forecast`: each held-out window of a run is asked as a person would: what came before the horizon is given. The error
of the median is in units of the training error of repeating the season before, whose own stands beside it.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

import genwright
from _report import say
from genwright.data.field import Array
from genwright.data.series.field import SeriesField
from genwright.data.series.series import Series
from genwright.evaluation.baselines import ruled
from genwright.evaluation.metrics.forecasts import crps, inside
from genwright.evaluation.metrics.series import Discriminative, correlations
from genwright.model import Model

SHOWN = 3000
"""Windows of each that the judge's classifiers see, at most."""
SCORED = 1000
"""Windows of each that a correlational score is of."""


class Gru(nn.Module):
    """The classifier of TimeGAN."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, max(1, channels // 2), batch_first=True)
        self.last = nn.Linear(max(1, channels // 2), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.gru(x)[1][0])[:, 0]


def discriminative(real: Array, made: Array, seed: int, steps: int = 2000) -> float:
    """|accuracy - 0.5| of a classifier on a fifth of both sets, of which it saw the rest."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    n = min(len(real), len(made))
    sets = [torch.tensor(x[rng.permutation(len(x))[:n]], dtype=torch.float32) for x in (real, made)]
    cut = int(0.8 * n)
    net = Gru(real.shape[2])
    optimiser = torch.optim.Adam(net.parameters())
    loss = nn.BCEWithLogitsLoss()
    truth = torch.cat([torch.ones(128), torch.zeros(128)])
    for _ in range(steps):
        batch = torch.cat([x[torch.randint(cut, (128,))] for x in sets])
        optimiser.zero_grad()
        loss(net(batch), truth).backward()
        optimiser.step()
    with torch.no_grad():
        right = [(net(x[cut:]) > 0) == bool(1 - i) for i, x in enumerate(sets)]
    return abs(float(torch.cat(right).float().mean()) - 0.5)


def correlational(real: Array, made: Array, rng: np.random.Generator) -> float:
    some = [x[rng.permutation(len(x))[:SCORED]] for x in (real, made)]
    return float(np.abs(correlations(some[0]) - correlations(some[1])).sum() / 10)


@dataclass(frozen=True)
class Windows:
    """What the judge's metric reads of a sample."""

    raw: Sequence[Series]
    field: SeriesField

    def __len__(self) -> int:
        return len(self.raw)

    def view(self, _: str) -> Sequence[Series]:
        return self.raw


def by_the_judge(field: SeriesField, real: Sequence[Series], made: Sequence[Series], seed: int) -> float:
    evidence: Any = SimpleNamespace(test=Windows(real, field), fake=Windows(made, field))
    right, asked = Discriminative(most=SHOWN).count(evidence, np.random.default_rng(seed))
    return abs(right / asked - 0.5)


def by_itself(x: Array) -> Array:
    """Each window less its mean, over its deviation."""
    return np.asarray((x - x.mean(1, keepdims=True)) / np.maximum(x.std(1, keepdims=True), 1e-9))


def windows(models: Sequence[Model], n: int, seeds: int) -> None:
    """Of several trainings on the same data, each asked with all seeds."""
    model, field = models[0], models[0].pipeline.made
    assert isinstance(field, SeriesField)
    real = {
        name: field.numbers(np.asarray(split.arrays["series"][:]))
        for name, split in model.dataset.splits.items()
        if len(split)
    }
    drawn = [one.sample(n, seed=seed).values["series"] for one in models for seed in range(seeds)]
    made = [field.numbers(field.encode(some)) for some in drawn]
    heldout = real.get("test")
    train = real["train"]
    low, high = train.min((0, 1)), train.max((0, 1))
    stored = np.asarray(model.dataset.splits["train"].arrays["series"][:])
    whole = field.decode(stored)
    part, within = np.divmod(np.arange(len(stored)), 4 * field.form.length)
    lone = copy.copy(field)  # whose windows share nothing, by its form
    lone.form = replace(field.form, stride=field.form.length)
    for which in ("model", "real", "apart"):
        for protocol, judged in {"ours": field, "across": lone}.items():
            scores = []
            for seed, some in enumerate(drawn):
                halves = np.array_split(np.random.default_rng(seed).permutation(len(stored)), 2)
                if which == "apart":
                    inside = within < 3 * field.form.length
                    halves = [np.flatnonzero(inside & (part % 2 == k)) for k in (0, 1)]
                both = (
                    (whole, some) if which == "model" else [[whole[i] for i in half] for half in halves]
                )
                scores.append(by_the_judge(judged, *both, seed))
            apart = f"{np.mean(scores):.3f} ± {np.std(scores):.3f}"
            say(
                protocol=protocol,
                which=which,
                discriminative=apart,
                trainings=len(models),
                seeds=seeds,
                n=n,
            )
    protocols = {"timegan": (train, lambda x: (x - low) / (high - low))}
    if heldout is not None:
        protocols["by time"] = (heldout, by_itself)
    for protocol, (against, scale) in protocols.items():
        for which in ("model", "real"):
            scores, apart = [], []
            for seed in range(len(made)):
                one, other = against, made[seed] if which == "model" else train
                if which == "real" and protocol == "timegan":  # two halves of the same windows
                    halves = np.array_split(np.random.default_rng(seed).permutation(len(against)), 2)
                    one, other = (against[half] for half in halves)
                scores.append(discriminative(scale(one), scale(other), seed))
                apart.append(correlational(one, other, np.random.default_rng(seed)))
            say(
                protocol=protocol,
                which=which,
                discriminative=f"{np.mean(scores):.3f} ± {np.std(scores):.3f}",
                correlational=f"{np.mean(apart):.4f} ± {np.std(apart):.4f}",
                trainings=len(models),
                seeds=seeds,
                n=n,
            )


def forecast(model: Model, draws: int, seed: int, most: int, part: str) -> None:
    field = model.pipeline.made
    assert isinstance(field, SeriesField)
    pipeline, splits = model.pipeline, model.dataset.splits
    split, began = splits[part], time.process_time()
    numbers = np.random.default_rng(seed).permutation(len(split))[:most]
    asked, truth = pipeline.cases(split, numbers, torch.Generator().manual_seed(seed))
    known = asked.given[pipeline.spec.make][1].numpy()
    made = [model.stored(len(numbers), asked, seed + i, {}).cpu().numpy() for i in range(draws)]
    answers = {
        "uncalibrated": np.stack(made),
        "model": field.calibrated(np.stack(made)),
        **ruled(field, truth.numpy(), known, draws),
    }
    train = field.numbers(np.asarray(splits["train"].arrays["series"][:]))
    back = field.period
    scale = np.nanmean(np.abs(train[:, back:] - train[:, :-back]), axis=(0, 1))
    true = field.numbers(truth.numpy())[:, field.form.context :]
    errors = {}
    for name, x in answers.items():
        found = field.numbers(x)[:, :, field.form.context :]
        errors[name] = np.abs(np.median(found, axis=0) - true) / scale
        say(
            which=name,
            part=part,
            mase=round(float(errors[name].mean()), 4),
            crps=round(float((crps(found, true) / scale).mean()), 4),
            covered=round(float(inside(found, true).mean()), 4),
            windows=len(numbers),
            horizon=field.form.horizon,
            season=back,
            seconds=round(time.process_time() - began, 1),
        )
    say(ratio=round(float(errors["model"].mean() / errors["seasonal_naive"].mean()), 4), part=part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["windows", "forecast"])
    parser.add_argument(
        "run", type=Path, nargs="+", help="of `windows` several trainings on the same data"
    )
    parser.add_argument("--n", type=int, default=3000, help="windows that are made, or asked about")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=19)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="test", choices=["val", "test"])
    args = parser.parse_args()
    models = [genwright.load(run) for run in args.run]
    if args.what == "windows":
        windows(models, args.n, args.seeds)
        return
    for model in models:
        forecast(model, args.draws, args.seed, args.n, args.part)


if __name__ == "__main__":
    main()
