"""The loop. One trainer serves every family: it knows phases, not losses.

Every step begins from a seed made of the run's seed, the step and the device's rank, and the loader's
place is one number; so what a save must hold is weights, optimiser state and a few counters, and a
training that was cut goes on bit for bit as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import count
from typing import Any

import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import RecipeError
from genwright.families.base import Family
from genwright.recipe import TrainOptions
from genwright.storage.run import Run
from genwright.training import distributed
from genwright.training.checkpoint import Saving
from genwright.training.ema import EMA
from genwright.training.hooks import (
    AverageWeights,
    DrawSamples,
    HeldoutLoss,
    Hook,
    JudgeSamples,
    MeasureCoverage,
    MeasureHeeding,
    Progress,
    Record,
)
from genwright.training.monitor.checks import TrainingDiverged
from genwright.training.monitor.monitor import Monitor
from genwright.training.optim import rate
from genwright.training.precision import autocast
from genwright.training.recovery import Recovery
from genwright.training.step import TrainStep
from genwright.training.stream import BatchStream
from genwright.training.threads import Threads
from genwright.training.timing import work_seconds

__all__ = ["Progress", "Trainer", "local_batch"]

EARLY_PASSES = 8
"""Passes over the training examples before the first check, from which some checks come before it."""
CHECKING = 0.2
"""Of the time of a training that time bounds, at most, before another check but the last."""


def local_batch(options: TrainOptions, family: Family) -> int:
    """Examples of one backward pass on this device. Raises `RecipeError` if they do not come out even."""
    total = options.batch_size or family.batch_size
    parts = options.accumulate * distributed.world()
    if total % parts:
        raise RecipeError(
            f"train.batch_size={total} cannot be split evenly into {options.accumulate} "
            f"accumulated parts on {distributed.world()} devices: choose a multiple of {parts}",
            code="uneven-batch",
        )
    return total // parts


class Trainer:
    """Trains one family from one stream into one run folder.

    draw    makes samples of the averaged family at a check and puts them in the run's folder
    judge   gives figures of the averaged family's samples by name, the first to be chosen by: less is better
    report  is told of the progress after every step
    stop    says whether to end after this step (Ctrl-C)

    Hooks find here besides: `step`, the steps so far; `steps`, how each phase takes one; `ema`; `scores`,
    what the check that is going on has found, by name; `worked`, the seconds of work so far (`work_seconds`).
    """

    ema: EMA

    def __init__(
        self,
        family: Family,
        stream: BatchStream,
        run: Run,
        options: TrainOptions,
        seed: int,
        *,
        draw: Callable[[Family, int], None] | None = None,
        judge: Callable[[Family, int], dict[str, float]] | None = None,
        report: Callable[[Progress], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self.device = distributed.device(options.device)
        self.family = family.to(self.device)
        self.stream, self.run, self.options, self.seed, self.stop = stream, run, options, seed, stop
        self.batch = local_batch(options, family)
        self.precision = autocast(self.family, options.precision)
        self.steps = {
            phase.name: TrainStep(self.family, phase, options, self.precision) for phase in family.phases
        }
        self.monitor = Monitor(
            {name: step.groups for name, step in self.steps.items()},
            family.diagnostics,
            adversarial=family.adversarial,
            clips_adaptively=family.adversarial and bool(family.space.grid),
        )
        self.progress, self.scores = Progress(), dict[str, float]()
        self.recovery = Recovery(self)
        self.step, self.seconds, self.worked, self._in_checks = 0, 0.0, 0.0, 0.0
        self.threads = Threads(self.device, chooses=options.minutes is not None, most=options.threads)
        self.saving = Saving(options.keep if judge is not None or options.keep == "last" else "loss")
        self.hooks: list[Hook] = [
            *(AverageWeights(), self.threads, MeasureCoverage(), HeldoutLoss(), MeasureHeeding()),
            *([] if judge is None else [JudgeSamples(judge)]),
            self.saving,
            *([] if draw is None else [DrawSamples(draw)]),
            Record(report),
        ]

    # -- the loop ------------------------------------------------------------------------------

    def fit(self) -> bool:
        """Train to the end. False if `stop` ended it before."""
        # Only the first process writes; the others' view of the folder is not used after the start.
        own = self.run.lock() if distributed.is_main() else nullcontext()
        with torch.random.fork_rng(devices=_cuda(self.device)), own, self.threads:
            self.begin()
            stopped = False
            while not (self.done or stopped):
                try:
                    terms = self.train_step()
                    self.step += 1
                    self.monitor.passed()
                    self._clock(time.monotonic() - self._began)
                    for hook in self.hooks:
                        hook.after_step(self, terms)
                    stopped = self._check_or_save()
                except TrainingDiverged as error:
                    self.recovery.go_back(error)
                    self._clock(self.seconds)
                    self._checked = self.check_number  # the checks since come again
            return self.done

    def begin(self) -> None:
        """Make ready for the first step, or for the first after the run's last save."""
        self.step = self.run.step
        torch.manual_seed(self.seed)
        if not self.step:
            few = min(2048, max(2, 8 * self.batch))
            if self.family.prepared_on is not None:
                few = min(self.family.prepared_on, self.stream.loader.n)
            first = self.stream.next(few, self.device, self.seed)
            self.stream.loader.place = 0
            self.family.prepare(first)
            distributed.broadcast(self.family)
        self.shared = distributed.SharedBuffers(self.family)
        for hook in self.hooks:
            hook.begin(self)
        self._began = time.monotonic() - self.seconds
        self._work_began = work_seconds(self.device) - self.worked
        self._clock(self.seconds)
        self._checked, self._doubled = self.check_number, self._doublings

    def train_step(self) -> dict[str, Tensor]:
        """All phases once: the loss terms of the last round of each."""
        terms = dict[str, Tensor]()
        lr_factor = rate(self.share, self.options) * self.monitor.lr_scale
        self._seed()
        batches = self._batches()
        for phase in self.family.phases:
            for _ in range(phase.repeats):
                terms |= self.steps[phase.name](batches, lr_factor, self.recovery.inspect)
        self.shared.average()
        return terms

    def _batches(self) -> Iterator[Batch]:
        """The batches of one step, one after the other."""
        for draw in count():
            yield self.stream.next(self.batch, self.device, self._mix(draw))

    def _check_or_save(self) -> bool:
        """A check, a save or a stop, if it is time for one and, but at the end, nothing odd is being watched:
        what is saved is what there is to go back to. Whether to stop."""
        check = self.check_number > self._checked
        if self.options.minutes is not None:
            check = check and not self._any(self._in_checks > CHECKING * self.seconds)
        early = self._doublings > self._doubled
        save = self._any(self.saving.minutes > self.options.save_minutes)
        stop = self._any(bool(self.stop and self.stop()))
        if not (check or early or save or stop or self.done):
            return False
        if not self.done and self._any(not self.monitor.is_stable):
            return False
        if check or self.done:
            self._checked = self.check_number
            self._check(self.hooks)
        elif early:
            self._doubled = self._doublings
            self._check([hook for hook in self.hooks if hook.early])
        else:
            self.saving.save(self)
        return stop

    def _check(self, hooks: Sequence[Hook]) -> None:
        began = time.monotonic()
        self.scores.clear()
        for hook in hooks:
            hook.check(self)
        distributed.wait()
        self._in_checks += time.monotonic() - began

    # -- what hooks ask and say ----------------------------------------------------------------

    def log(self, **record: Any) -> None:
        """A line of metrics, of this step unless it says another."""
        if distributed.is_main():
            self.run.log({"step": self.step} | record)

    @property
    def share(self) -> float:
        """Of the training, how much is over."""
        if self.options.minutes is not None:
            return min(1.0, self.seconds / (60 * self.options.minutes))
        assert self.options.steps is not None  # an experiment has settled it
        return self.step / self.options.steps

    @property
    def done(self) -> bool:
        return self.share >= 1

    @property
    def gave_up(self) -> bool:
        """Whether it has gone back too often."""
        return self.recovery.gave_up

    @property
    def by_judge(self) -> bool:
        """Whether the judge chooses the weights that are kept, and not the held-out loss."""
        return self.saving.by_judge

    @property
    def best(self) -> float:
        """The least score so far."""
        return self.saving.best

    @property
    def check_number(self) -> int:
        """Checks that are due by now. A hair above, so that 0.3 * 10 counts as 3."""
        return int(self.share * self.options.checks + 1e-9)

    @property
    def _doublings(self) -> int:
        """How often the passes over the training examples have come to twice as many, from the first pass on, where
        many of them come before the first check: the best weights on little data may lie behind by then."""
        loader = self.stream.loader
        passes = loader.place / loader.n
        before = self.share * self.options.checks
        if self.saving.by_judge or before >= 1 or passes < max(1, EARLY_PASSES * before):
            return 0
        return 1 + int(math.log2(passes))

    def is_due(self, every: int) -> bool:
        """Whether this check is one of every so many, or the last."""
        return self.done or self.check_number % every == 0

    # -- for an exact resume -------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """As JSON: all that is no tensor."""
        state: dict[str, Any] = {
            "place": self.stream.loader.place,
            "seconds": self.seconds,
            "worked": self.worked,
            "world": distributed.world(),
            "guard": self.monitor.state(),
        }
        return state | {key: value for hook in self.hooks for key, value in hook.state().items()}

    def restore(self, state: dict[str, Any]) -> None:
        self.stream.loader.place, self.seconds = state["place"], state["seconds"]
        self.worked = state.get("worked", 0.0)  # of earlier versions nobody knows
        self.monitor.restore(state.get("guard") or Monitor().state())  # earlier versions saved none
        for hook in self.hooks:
            hook.restore(state)

    # -- seeds, time and other processes -------------------------------------------------------

    def _seed(self) -> None:
        seed = self._mix(0) ^ 0x5DEECE66D
        # `torch.manual_seed` asks every backend there could be, which takes as long as the clipping.
        torch.default_generator.manual_seed(seed)
        if self.device.type in ("cuda", "mps"):
            getattr(torch, self.device.type).manual_seed(seed)

    def _mix(self, draw: int) -> int:
        """A seed for one draw of this step on this device."""
        place = (self.step * 64 + draw) * distributed.world() + distributed.rank()
        return (self.seed * 0x9E3779B97F4A7C15 + place * 0xBF58476D1CE4E5B9) & 0x7FFF_FFFF_FFFF_FFFF

    def _clock(self, seconds: float) -> None:
        """Tell families how far training has come."""
        # Clocks differ between processes; where time decides, one of them counts.
        shared = self.options.minutes is not None
        self.seconds = distributed.first_says(seconds, self.device) if shared else seconds
        self.worked = work_seconds(self.device) - self._work_began
        for family in (self.family, self.ema.family):
            family.clock.step, family.clock.progress = self.step, self.share
            family.clock.rollbacks = self.monitor.rollbacks

    def _any(self, flag: bool) -> bool:
        return distributed.agree(flag, self.device)


def _cuda(device: torch.device) -> list[int]:
    return [device.index or 0] if device.type == "cuda" else []
