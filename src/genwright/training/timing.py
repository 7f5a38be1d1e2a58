"""How long a training step of a family takes here: a few real ones on one batch."""

from __future__ import annotations

import time

import torch

from genwright.batch import Batch
from genwright.families.base import Family
from genwright.recipe import TrainOptions
from genwright.training.optim import PhaseOptimizer
from genwright.training.precision import autocast

__all__ = ["seconds_per_step"]


def seconds_per_step(family: Family, batch: Batch, options: TrainOptions, repeats: int = 2) -> float:
    """The fastest of a few steps after one to warm up. The family is used up by it."""
    optimizers = {phase.name: PhaseOptimizer(family, phase, options) for phase in family.phases}
    precision = autocast(family, options.precision)
    times = []
    with torch.random.fork_rng():
        family.prepare(batch)
        for _ in range(1 + repeats):
            began = time.monotonic()
            for phase in family.phases:
                for _ in range(phase.repeats):
                    with precision:
                        total = torch.stack(list(family.loss(batch, phase.name).values())).sum()
                    torch.autograd.backward(total)
                    optimizers[phase.name].step(1.0)
            times.append(time.monotonic() - began)
    return min(times[1:])
