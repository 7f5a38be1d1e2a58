"""What a training does beside its steps: each is a hook, called after every step and at every check.

The trainer calls its hooks in the order of its list. At a check they leave figures in `trainer.scores`, by
which the checkpoint chooses the best weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from genwright.families.base import Family
from genwright.families.capabilities import generative
from genwright.training import distributed
from genwright.training.ema import EMA
from genwright.training.monitor.checks import EARLY, LOW, TrainingDiverged
from genwright.training.monitor.coverage import Cover, affordable
from genwright.training.monitor.heeding import Heeding
from genwright.training.optim import rate
from genwright.training.precision import heldout_loss

if TYPE_CHECKING:
    from genwright.training.trainer import Trainer

__all__ = [
    "AverageWeights",
    "DrawSamples",
    "HeldoutLoss",
    "Hook",
    "JudgeSamples",
    "MeasureCoverage",
    "MeasureHeeding",
    "Progress",
    "Record",
]

HELD_OUT = 4096
"""Held-out examples that a check looks at, at most."""


@dataclass
class Progress:
    """Where a training stands, for a person who watches."""

    step: int = 0
    share: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    val: float | None = None
    best: float | None = None
    notice: str = ""
    busy: str = ""
    worked: float = 0.0
    examples_per_second: float = 0.0
    seconds_left: float = math.inf


class Hook:
    """Something beside the steps; what is not overridden does nothing."""

    early: ClassVar[bool] = False
    """Whether it is part of the checks of a training on little data before the first of all."""

    def begin(self, trainer: Trainer) -> None:
        """Before the first step, or the first after a resume; weights are those that it begins with."""

    def after_step(self, trainer: Trainer, terms: dict[str, Tensor]) -> None:
        """After step number `trainer.step`, whose terms of the loss are given."""

    def check(self, trainer: Trainer) -> None:
        """At a check, and at the end."""

    def state(self) -> dict[str, Any]:
        """What an exact resume needs, as JSON."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` of all hooks together gave."""


class AverageWeights(Hook):
    """The moving average of the weights."""

    def begin(self, trainer: Trainer) -> None:
        trainer.ema = EMA(trainer.family, trainer.options.ema)

    def after_step(self, trainer: Trainer, terms: dict[str, Tensor]) -> None:
        trainer.ema.update(trainer.step)


class Record(Hook):
    """The log, and the progress for a person who watches."""

    def __init__(self, report: Callable[[Progress], None] | None) -> None:
        self.report = report

    def begin(self, trainer: Trainer) -> None:
        self._first, self._started = trainer.step, time.monotonic()

    def after_step(self, trainer: Trainer, terms: dict[str, Tensor]) -> None:
        progress, options, step = trainer.progress, trainer.options, trainer.step
        total = trainer.batch * options.accumulate * distributed.world()
        passed = max(time.monotonic() - self._started, 1e-9)
        progress.step, progress.share, progress.worked = step, trainer.share, trainer.worked
        progress.examples_per_second = total * (step - self._first) / passed
        if progress.share > 0:
            progress.seconds_left = trainer.seconds * (1 / progress.share - 1)
        if step % options.log_every == 0 or step == 1 or trainer.done:
            progress.terms = {name: float(t) for name, t in distributed.mean(terms).items()}
            found = {f"loss/{name}": value for name, value in progress.terms.items()}
            own = trainer.family.diagnostic_values.items()
            how = {"rate": rate(progress.share, options), "threads": torch.get_num_threads()}
            trainer.log(examples=step * total, **how, **found, **{f"sign/{n}": float(v) for n, v in own})
        if self.report is not None and distributed.is_main():
            self.report(progress)


class MeasureCoverage(Hook):
    """How much of the data the samples cover, of the averaged weights and, where that is low, of the weights
    themselves: an average may be off for a while. The first process measures for all."""

    cover: Cover | None = None

    def begin(self, trainer: Trainer) -> None:
        family, every = trainer.family, trainer.options.cover
        self.every = affordable(family) if every is None else every
        self.cover = Cover.of(family, trainer.stream, trainer.seed) if self.every else None

    def check(self, trainer: Trainer) -> None:
        if self.cover is None or not trainer.is_due(self.every):
            return
        covered = 0.0
        for turn, family in enumerate((trainer.ema.family, trainer.family)):
            one = self.cover(generative(family), turn) if distributed.is_main() else 0.0
            covered = max(covered, distributed.first_says(one, trainer.device))
            if covered >= LOW:
                break
        trainer.log(coverage=covered)
        # Adversarial networks have no held-out loss, and of a few steps nobody can ask for all kinds.
        blind = trainer.family.adversarial and trainer.step >= EARLY
        issue = trainer.monitor.check_coverage(trainer.share, covered, blind)
        if issue is not None and issue.recoverable:
            raise TrainingDiverged(issue, trainer.step)
        if issue is not None:
            trainer.recovery.report(issue, "told", trainer.step)


class MeasureHeeding(Hook):
    """Whether the averaged weights heed their conditions; the first process measures for all.

    last  the step of the last look
    """

    heeding: Heeding | None = None

    def __init__(self) -> None:
        self.last = 0

    def begin(self, trainer: Trainer) -> None:
        self.heeding = Heeding.of(trainer.family, trainer.stream, trainer.seed)

    def check(self, trainer: Trainer) -> None:
        heeding, step = self.heeding, trainer.step
        examples = trainer.batch * trainer.options.accumulate
        if heeding is None or step < self.last + heeding.every(examples):
            return
        self.last = step
        unseen = self._measured(trainer, heeding, seen=False)
        issues = trainer.monitor.check_heeding(
            step, trainer.share, unseen, lambda: self._measured(trainer, heeding, seen=True)
        )
        for issue in issues:
            trainer.recovery.report(issue, "told", step)
        trainer.log(**{f"heeds/{name}": score for name, score in unseen.items()})

    def _measured(self, trainer: Trainer, heeding: Heeding, *, seen: bool) -> dict[str, float]:
        found = dict[str, float]()
        if distributed.is_main():
            with trainer.precision:
                found = heeding(trainer.ema.family, trainer.step, seen=seen)
        return {
            name: score
            for name in sorted(trainer.family.cond)
            if not math.isnan(score := distributed.first_says(found.get(name, math.nan), trainer.device))
        }

    def state(self) -> dict[str, Any]:
        return {"heeding_step": self.last}

    def restore(self, state: dict[str, Any]) -> None:
        self.last = state.get("heeding_step", 0)


class HeldoutLoss(Hook):
    """The held-out loss of the averaged weights, and what it says beside the training loss."""

    early = True

    def check(self, trainer: Trainer) -> None:
        family, held = trainer.ema.family, trainer.stream.held
        if family.adversarial or held is None or len(held) == 0:
            return
        loss = 0.0
        if distributed.is_main():  # for all
            torch.manual_seed(0)
            batches = trainer.stream.heldout(256, HELD_OUT, trainer.device)
            loss = heldout_loss(family, batches, trainer.precision)
        loss = distributed.first_says(loss, trainer.device)
        trainer.scores["loss"] = trainer.progress.val = loss
        for issue in trainer.monitor.check(trainer.step, trainer.share, loss):
            trainer.recovery.report(issue, "told", trainer.step)
        trainer.log(val_loss=loss)


class JudgeSamples(Hook):
    """Figures of the averaged family's samples by name, the first to be chosen by; the first process
    measures for all."""

    def __init__(self, judge: Callable[[Family, int], dict[str, float]]) -> None:
        self.judge = judge

    def check(self, trainer: Trainer) -> None:
        if not trainer.is_due(trainer.options.judge):
            return
        score = math.inf
        if distributed.is_main():
            found = self.judge(trainer.ema.family, trainer.step)
            trainer.log(**{f"judge/{name}": value for name, value in found.items()})
            score = next(iter(found.values()), math.inf)
        trainer.scores["judge"] = distributed.first_says(score, trainer.device)


class DrawSamples(Hook):
    """Samples for people to look at, into the run's folder."""

    def __init__(self, draw: Callable[[Family, int], None]) -> None:
        self.draw = draw

    def check(self, trainer: Trainer) -> None:
        if trainer.options.samples and distributed.is_main():
            self.draw(trainer.ema.family, trainer.step)
