"""How long a training step takes here and what memory it wants: counted, and not run.

A few examples go through loss and gradient, whose operations are counted. How many examples they are is a prime
number that hardly any weight is a multiple of: whatever is, grows with the batch. The rates of this machine turn
counts into seconds.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from genwright.batch import Batch
from genwright.errors import GenwrightError
from genwright.families.base import Family
from genwright.recipe import TrainOptions
from genwright.training.operations import OperationCounter, Work
from genwright.training.optim import frozen, phase_parameters
from genwright.training.precision import autocast
from genwright.training.rates import seconds
from genwright.training.threads import one_thread

__all__ = ["FEW", "Cost", "StepWork", "free_memory", "step_work"]

FEW = 11
"""Examples that are counted."""
WEIGHTS = 5
"""Copies of the weights: their gradient, two moments of AdamW and the moving average beside themselves."""
UPDATE = 12
"""How often a step touches each parameter beside loss and gradient: norms, AdamW, the average of weights."""


@dataclass(frozen=True)
class Cost:
    """Of one training step: seconds here, and bytes at its peak, with the weights and what goes with them."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class StepWork:
    """What is done in a step on a few examples, from which that of any number follows.

    few      how many examples
    once     what is done however many there are
    growing  what is done for these few
    update   what is done to the parameters
    weights, results  bytes of the weights and what goes with them, and of results at their peak
    """

    few: int
    once: Work
    growing: Work
    update: Work
    weights: float
    results: float

    def cost(self, size: int, options: TrainOptions) -> Cost:
        """Of a step on `size` examples."""
        parts = options.accumulate
        times = size / parts / self.few
        work = {key: n + times * self.growing[key] for key, n in self.once.items()}
        taken = parts * seconds(work) + seconds(self.update)
        return Cost(taken, int(self.weights + times * self.results))

    def beyond(self, half: StepWork, times: float) -> StepWork:
        """The work on so many times the alike parts of an example that `half` has, of which this has two. All grows
        along a line, but for attention: each part looks at each."""

        def line(a: float, b: float) -> float:
            return max(0.0, a + (times - 1) * (b - a))

        def all_of(a: Work, b: Work) -> Work:
            found: Work = Counter()
            for key in b:
                square = (b[key] - 2 * a[key]) / 2 if key[:2] == ("attention", "flops") else 0
                found[key] = line(a[key], b[key]) + max(0, square) * (times - 1) * (times - 2)  # type: ignore[assignment]
            return found

        return StepWork(
            self.few,
            all_of(half.once, self.once),
            all_of(half.growing, self.growing),
            all_of(half.update, self.update),
            line(half.weights, self.weights),
            line(half.results, self.results),
        )


def step_work(family: Family, few: Batch, options: TrainOptions) -> StepWork:
    """The work of a step. The family is used up.

    few  a batch of some examples, `FEW` unless that is too few
    """
    with torch.random.fork_rng(devices=[]), one_thread():
        _leaving_out(len(few), partial(_prepared, family, few))
        counted = _counted(family, few, options)
    once = Counter({key: n - counted.growing[key] for key, n in counted.work.items()})
    weights = WEIGHTS * sum(p.numel() * p.element_size() for p in family.parameters())
    return StepWork(len(few), once, counted.growing, _update(family), weights, counted.peak)


def _counted(family: Family, batch: Batch, options: TrainOptions) -> OperationCounter:
    """The work of loss and gradient in all phases."""
    return _leaving_out(len(batch), partial(_passed, family, batch, options))


def _leaving_out(n: int, work: Callable[[OperationCounter], OperationCounter]) -> OperationCounter:
    """Some work on `n` examples, counted. A family that cannot go on with what was left out computes all of it."""
    try:
        return work(OperationCounter(n))
    except GenwrightError:
        raise
    except Exception:
        return work(OperationCounter(n, computes=True))


def _prepared(family: Family, batch: Batch, counter: OperationCounter) -> OperationCounter:
    """What comes before the first step."""
    with counter:
        family.prepare(batch)
    return counter


def _passed(
    family: Family, batch: Batch, options: TrainOptions, counter: OperationCounter
) -> OperationCounter:
    precision = autocast(family, options.precision)
    for phase in family.phases:
        mine = phase_parameters(family, phase)
        others = [p for name, p in family.named_parameters() if name not in mine]
        for _ in range(phase.repeats):
            with frozen(others), counter:
                with precision:
                    terms = family.loss(batch, phase.name)
                torch.autograd.backward(torch.stack(list(terms.values())).sum())
            for p in mine.values():
                p.grad = None
    return counter


def _update(family: Family) -> Work:
    """What a step does to the parameters, in all its phases."""
    work: Work = Counter()
    for phase in family.phases:
        sizes = [p.numel() for p in phase_parameters(family, phase).values()]
        work["plain", "calls", torch.float32] += phase.repeats * UPDATE * len(sizes)
        work["plain", "bytes", torch.float32] += phase.repeats * UPDATE * 4 * sum(sizes)
    return work


def free_memory() -> float:
    """Bytes of memory that are free on this machine; infinite where that cannot be known."""
    with suppress(OSError):
        if found := re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii")):
            return 1024.0 * int(found[1])
    with suppress(AttributeError, OSError, ValueError):  # of what there is at all, about half
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    return float("inf")
