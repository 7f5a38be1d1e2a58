"""How long a training step of a family takes here: a few real ones on one batch."""

from __future__ import annotations

import time
from itertools import cycle

import torch

from genwright.batch import Batch
from genwright.families.base import Family
from genwright.recipe import TrainOptions
from genwright.training.ema import EMA
from genwright.training.monitor.monitor import Monitor
from genwright.training.monitor.stats import StepStats
from genwright.training.precision import autocast
from genwright.training.step import TrainStep

__all__ = ["clock", "seconds_per_step", "work_seconds"]


def clock(device: torch.device) -> float:
    """Seconds, from any beginning. Where one thread does all, those that it ran: beside other programs it is kept
    waiting now and then, and how often says nothing of the work."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.thread_time() if alone else time.monotonic()


def work_seconds(device: torch.device) -> float:
    """Seconds of work, from any beginning: on a processor those that all threads of this process computed, so that
    other programs take none of them away; on another device those that went by."""
    return time.process_time() if device.type == "cpu" else time.monotonic()


def seconds_per_step(family: Family, batch: Batch, options: TrainOptions, repeats: int = 2) -> float:
    """The fastest of a few steps after one to warm up, each with all that the trainer does in a step: the
    parts that gradients are accumulated over, clipping, monitor and weight average. The family is used up.

    batch  all examples of a step
    """
    precision = autocast(family, options.precision)
    times = []
    with torch.random.fork_rng():
        family.prepare(batch)
        steps = [TrainStep(family, phase, options, precision) for phase in family.phases]
        monitor = Monitor({step.phase.name: step.groups for step in steps}, family.diagnostics)
        ema, batches = EMA(family, options.ema), cycle(_parts(batch, options.accumulate))

        def inspect(stats: StepStats, bad: str) -> float:
            monitor.look(stats, bad)
            return monitor.adaptive_clip_norm(stats.phase)

        for number in range(1, 2 + repeats):
            family.clock.step, began = number, clock(family.device)
            for step in steps:
                for _ in range(step.phase.repeats):
                    step(batches, 1.0, inspect)
            ema.update(number)
            times.append(clock(family.device) - began)
    return min(times[1:])


def _parts(batch: Batch, n: int) -> list[Batch]:
    """A batch in `n` parts of one size."""
    size = len(batch) // n
    places = [slice(i * size, (i + 1) * size) for i in range(n)]
    return [
        Batch(
            batch.x[place],
            {name: value[place] for name, value in batch.cond.items()},
            None if batch.mask is None else batch.mask[place],
        )
        for place in places
    ]
