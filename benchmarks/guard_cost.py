"""What the guard costs in a step, and the look at the samples in a check.

    python benchmarks/guard_cost.py [--family gan] [--family diffusion] [--size s] [--rounds 300]

Two trainings of the same family on digits go step by step in turns: one is watched, the other only averages,
clips and checks that the loss is finite. In a check 256 samples are drawn and compared; that share is of a
training of 2,000 steps.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from _report import say
from genwright.api import make_recipe
from genwright.batch import Batch
from genwright.experiment import Experiment
from genwright.storage.run import Run
from genwright.training.hooks import Coverage
from genwright.training.optim import frozen
from genwright.training.step import Inspect, TrainStep
from genwright.training.trainer import Trainer

STEPS = 2000


class UnwatchedStep(TrainStep):
    """A step of a phase without its statistics."""

    def __call__(
        self, batches: Iterator[Batch], lr_factor: float, inspect: Inspect
    ) -> dict[str, Tensor]:
        with frozen(self._others):
            terms, _ = self._backward(batches)
        parameters = self.groups.parameters
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None], foreach=True)
        size, total = torch.stack([norm, torch.stack(list(terms.values())).sum()]).tolist()
        assert math.isfinite(total)
        if size > self.options.clip:
            nn.utils.clip_grads_with_norm_(parameters, self.options.clip, norm, foreach=True)
        self.optimizer.step(lr_factor)
        return terms


class Unwatched(Trainer):
    """No guard."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        phases, precision = self.family.phases, self.precision
        self.steps = {
            phase.name: UnwatchedStep(self.family, phase, self.options, precision) for phase in phases
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append")
    parser.add_argument("--size", default="s")
    parser.add_argument("--rounds", type=int, default=300)
    args = parser.parse_args()
    for name in args.family or ["gan", "vae", "diffusion", "autoregressive"]:
        recipe = make_recipe("digits", family=name, size=args.size, steps=STEPS)
        times: dict[type[Trainer], list[float]] = {Trainer: [], Unwatched: []}
        with tempfile.TemporaryDirectory() as folder:
            trainers = {}
            for kind in times:
                job = Experiment.of(recipe)
                run = Run.create(
                    Path(folder) / kind.__name__, recipe=recipe.toml(), plan="", codec={"codec": "image"}
                )
                trainers[kind] = kind(job.model.family, job.feed(), run, recipe.train, seed=0)
                with run.lock():
                    trainers[kind].begin()
            for step in range(args.rounds):
                order = list(trainers.items())
                for kind, trainer in order if step % 2 else reversed(order):
                    trainer.step = step
                    trainer._clock(0.0)
                    began = time.perf_counter()
                    trainer.train_step()
                    times[kind].append(time.perf_counter() - began)
            watched = trainers[Trainer]
            began = time.perf_counter()
            (look,) = [hook for hook in watched.hooks if isinstance(hook, Coverage)]
            if look.cover is not None:
                look.cover(watched.ema.family)
            cover = time.perf_counter() - began
        step = statistics.median(times[Unwatched])
        checks = recipe.train.checks // max(1, look.every)
        differences = [a - b for a, b in zip(times[Trainer], times[Unwatched], strict=True)]
        say(
            benchmark="guard cost",
            family=name,
            size=args.size,
            rounds=args.rounds,
            ms_unwatched=round(1e3 * step, 3),
            ms_guard=round(1e3 * statistics.median(differences), 3),
            share_of_step=round(statistics.median(differences) / step, 4),
            ms_cover=round(1e3 * cover, 1),
            share_of_cover=round(checks * cover / (STEPS * step), 4) if look.cover else 0.0,
        )


if __name__ == "__main__":
    main()
