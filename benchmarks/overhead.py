"""What the trainer costs beside the same network in a plain PyTorch loop.

    python benchmarks/overhead.py [--family diffusion] [--steps 60] [--rounds 5]

Both run the same family on digits with the same batch size and AdamW, in turns; the plain loop keeps the
data in one tensor, draws random rows and does nothing else. Ours shuffles without repetition, clips,
checks that all is finite, averages the weights and writes its log. Also: the loader's share of a step.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch

from _report import say
from genwright.api import make_recipe
from genwright.batch import Batch
from genwright.experiment import Experiment
from genwright.storage.run import Run
from genwright.training.trainer import Trainer


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--family", default="diffusion")
    options.add_argument("--size", default="s")
    options.add_argument("--steps", type=int, default=60)
    options.add_argument("--rounds", type=int, default=5)
    args = options.parse_args()
    settings = ["train.checks=0", "train.optimizer=adamw", "train.precision=fp32"]
    recipe = make_recipe(
        "digits", family=args.family, size=args.size, steps=args.steps, settings=settings
    )
    first = Experiment.of(recipe)
    cpu, rng = torch.device("cpu"), torch.Generator().manual_seed(0)
    whole = next(first.model.pipeline.batches(first.dataset.splits["train"], 10_000, None, cpu, rng))
    ours, plain, loading = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(args.rounds):
            job = Experiment.of(recipe)
            size = job.model.family.batch_size
            run = Run.create(
                Path(folder) / str(i), recipe=recipe.toml(), plan="", codec={"codec": "image"}
            )
            stream = job.stream()
            took = 0.0
            inner = stream.next

            def timed(*given: object, inner: object = inner) -> Batch:
                nonlocal took
                began = time.perf_counter()
                batch = inner(*given)  # type: ignore[operator]
                took += time.perf_counter() - began
                return batch

            stream.next = timed  # type: ignore[method-assign]
            marks: list[float] = []
            trainer = Trainer(
                job.model.family,
                stream,
                run,
                recipe.train,
                seed=0,
                report=lambda p, marks=marks: marks.append(time.perf_counter()),
            )
            for hook in trainer.hooks:
                hook.check = lambda trainer: None  # type: ignore[method-assign, misc]
            trainer.fit()
            ours += [after - before for before, after in pairwise(marks)]
            loading.append(took / (marks[-1] - marks[0]))

            family = Experiment.of(recipe).model.family
            family.prepare(whole)
            engines = {
                phase.name: torch.optim.AdamW(
                    [p for name in phase.trains for p in family.get_submodule(name).parameters()],
                    lr=phase.lr,
                    betas=phase.betas,
                    fused=True,
                )
                for phase in family.phases
            }
            marks = []
            for _ in range(args.steps):
                for phase in family.phases:
                    index = torch.randint(0, len(whole), (size,))
                    batch = Batch(whole.x[index], {name: c[index] for name, c in whole.cond.items()})
                    engines[phase.name].zero_grad()
                    torch.stack(list(family.loss(batch, phase.name).values())).sum().backward()
                    engines[phase.name].step()
                marks.append(time.perf_counter())
            plain += [after - before for before, after in pairwise(marks)]
    say(
        benchmark="overhead",
        family=args.family,
        size=args.size,
        ms_per_step_ours=round(1e3 * statistics.median(ours), 2),
        ms_per_step_plain=round(1e3 * statistics.median(plain), 2),
        speed_against_plain=round(statistics.median(plain) / statistics.median(ours), 3),
        loader_share=round(statistics.median(loading), 4),
    )


if __name__ == "__main__":
    main()
