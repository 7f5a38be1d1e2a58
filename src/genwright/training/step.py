"""One optimiser step of one phase: forward, backward, measure, clip, step.

The trainer takes them, and who asks how long they take.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from genwright.batch import Batch
from genwright.families.base import Family, Phase
from genwright.recipe import TrainOptions
from genwright.training import distributed
from genwright.training.monitor.stats import ParameterGroups, StepStats
from genwright.training.optim import PhaseOptimizer, frozen
from genwright.training.precision import not_finite

__all__ = ["Inspect", "TrainStep"]

Inspect = Callable[[StepStats, str], float]
"""From the statistics of a step, and what in it is not finite ("" if all is): the largest norm of a gradient
to step by. It may raise, and then no weight has changed."""


class TrainStep:
    """Trains the parameters of one phase.

    groups     these parameters, by layer and part
    optimizer  of them
    """

    def __init__(
        self, family: Family, phase: Phase, options: TrainOptions, precision: torch.autocast
    ) -> None:
        self.family, self.phase, self.options, self.precision = family, phase, options, precision
        self.optimizer = PhaseOptimizer(family, phase, options)
        self.groups = ParameterGroups(self.optimizer.parameters)
        mine = self.optimizer.parameters
        # While one phase is trained, the parameters of the others take no gradient.
        self._others = [p for name, p in family.named_parameters() if name not in mine]

    def __call__(
        self, batches: Iterator[Batch], lr_factor: float, inspect: Inspect
    ) -> dict[str, Tensor]:
        """Step at a share of the learning rate on the next batches, of which there are `accumulate`; the
        terms of the loss, averaged over them. Nothing that is not finite gets as far as the weights."""
        with frozen(self._others):
            terms, last = self._backward(batches)
        groups, clock = self.groups, self.family.clock
        distributed.average_grads(groups.parameters)
        norm, size, loss, diagnostics, grads = groups.measure(terms, self.family.diagnostic_values)
        stats = StepStats(
            phase=self.phase.name,
            step=clock.step,
            loss=loss,
            grad_norm=size,
            diagnostic_values=diagnostics,
            grad_norms=grads,
            weight_norms=groups.weight_norms,
            checksums=groups.checksums,
            lr_factor=lr_factor,
            progress=clock.progress,
        )
        largest = inspect(stats, "" if math.isfinite(loss) else not_finite(terms, last))
        if size > (largest := min(self.options.clip, largest)):
            nn.utils.clip_grads_with_norm_(groups.parameters, largest, norm, foreach=True)
        self.optimizer.step(lr_factor)
        return terms

    def _backward(self, batches: Iterator[Batch]) -> tuple[dict[str, Tensor], Batch]:
        """Add up gradients; the mean of each term, and the last batch."""
        parts = self.options.accumulate
        totals: dict[str, Tensor] = {}
        for batch in islice(batches, parts):
            self.family.diagnostic_values.clear()
            with self.precision:
                terms = self.family.loss(batch, self.phase.name)
            total = torch.stack(list(terms.values())).sum()
            torch.autograd.backward(total / parts)
            for name, term in terms.items():
                totals[name] = totals.get(name, 0.0) + term.detach() / parts
        return totals, batch
