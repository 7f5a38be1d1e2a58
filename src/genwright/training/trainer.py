"""The loop. One trainer serves every family: it knows phases, not losses.

Every step begins from a seed made of the run's seed, the step and the device's rank, and the loader's
place is one number; so what a save must hold is weights, optimiser state and a few counters, and a
training that was cut goes on bit for bit as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from genwright.batch import Batch
from genwright.errors import RecipeError, RunError
from genwright.families.base import Family, Phase
from genwright.recipe import TrainOptions
from genwright.storage.run import Run
from genwright.storage.tensors import required_bytes
from genwright.training import distributed
from genwright.training.checkpoint import Checkpoint
from genwright.training.ema import EMA
from genwright.training.monitor.checks import MOST, Issue, Monitor, TrainingDiverged
from genwright.training.monitor.coverage import Cover, affordable
from genwright.training.monitor.stats import ParameterGroups, StepStats
from genwright.training.optim import PhaseOptimizer, frozen, phase_parameters, rate
from genwright.training.precision import autocast, heldout_loss, not_finite
from genwright.training.stream import BatchStream
from genwright.training.threads import Threads

__all__ = ["Progress", "Trainer", "local_batch"]

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
    examples_per_second: float = 0.0
    seconds_left: float = math.inf


def local_batch(options: TrainOptions, family: Family) -> int:
    """Examples of one backward pass on this device. Raises `RecipeError` if they do not come out even."""
    total = options.batch_size or family.batch_size
    parts = options.accumulate * distributed.world()
    if total % parts:
        raise RecipeError(
            f"train.batch_size={total} cannot be split evenly into {options.accumulate} "
            f"accumulated parts on {distributed.world()} devices: choose a multiple of {parts}"
        )
    return total // parts


class Trainer:
    """Trains one family from one feed into one run folder.

    draw    makes samples of the averaged family at a check and puts them in the run's folder
    judge   gives figures of the averaged family's samples by name, the first to be chosen by: less is better
    report  is told of the progress after every step
    stop    says whether to end after this step (Ctrl-C)
    """

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
        self.stream, self.run, self.options, self.seed = stream, run, options, seed
        self.draw, self.judge, self.report, self.stop = draw, judge, report, stop
        self.cover: Cover | None = None
        self.batch = local_batch(options, family)
        self.progress = Progress()
        self.best, self.seconds = math.inf, 0.0
        rivals = not family.has_heldout
        self.monitor = Monitor(
            {
                phase.name: ParameterGroups(phase_parameters(self.family, phase))
                for phase in family.phases
            },
            family.diagnostics,
            swings=rivals,
            clips_adaptively=rivals and bool(family.space.grid),
        )
        self.gave_up = False
        self.cover_every = affordable(family) if options.cover is None else options.cover
        self.autocast = autocast(self.family, options.precision)
        self.threads = Threads(self.device, chooses=options.minutes is not None)

    # -- the loop ------------------------------------------------------------------------------

    def fit(self) -> bool:
        """Train to the end. False if `stop` ended it before."""
        # Only the first process writes; the others' view of the folder is not used after the start.
        own = self.run.lock() if distributed.is_main() else nullcontext()
        with torch.random.fork_rng(devices=_cuda(self.device)), own, self.threads:
            self._begin()
            began = time.monotonic() - self.seconds
            step, self._checked = self.saved, self._check_number()
            while not self._done(step):
                try:
                    terms = self._step(step)
                    step += 1
                    self.monitor.passed()
                    self.ema.update(step)
                    self._tell_time(time.monotonic() - began)
                    self._clock(step)
                    self.threads.look()
                    self._record(step, terms)
                    if self._look_up(step):
                        break
                except TrainingDiverged as ill:
                    step = self._go_back(ill.step, ill.issue)
            return self._done(step)

    def _look_up(self, step: int) -> bool:
        """A check, a save or a stop, if it is time for one and, but at the end, nothing odd is being watched:
        what is saved is what there is to go back to. Whether to stop."""
        check = self._check_number() > self._checked
        save = self._any(time.monotonic() - self._last_save > 60 * self.options.save_minutes)
        stop = self._any(bool(self.stop and self.stop()))
        if not self._done(step) and (
            not (check or save or stop) or self._any(not self.monitor.is_stable)
        ):
            return False
        if check or self._done(step):
            self._checked = self._check_number()
            self._check(step)
        elif save or stop:
            self._save(step)
        return stop

    def _any(self, flag: bool) -> bool:
        return distributed.agree(flag, self.device)

    def _tell_time(self, seconds: float) -> None:
        # Clocks differ between processes; where time decides, one of them counts.
        self.seconds = distributed.first_says(seconds, self.device) if self.options.minutes else seconds

    def _step(self, step: int) -> dict[str, Tensor]:
        """All phases once: the loss terms of the last round of each."""
        seen, draws = dict[str, Tensor](), 0
        factor = rate(self.family.clock.progress, self.options) * self.monitor.lr_scale
        self._seed(step)
        for phase in self.family.phases:
            with frozen(self.others[phase.name]):
                for _ in range(phase.repeats):
                    totals: dict[str, Tensor] = {}
                    for _ in range(self.options.accumulate):
                        batch = self.stream.next(self.batch, self.device, self._mix(step, draws))
                        draws += 1
                        self.family.diagnostic_values.clear()
                        with self.autocast:
                            terms = self.family.loss(batch, phase.name)
                        total = torch.stack(list(terms.values())).sum()
                        torch.autograd.backward(total / self.options.accumulate)
                        for name, term in terms.items():
                            totals[name] = (
                                totals.get(name, 0.0) + term.detach() / self.options.accumulate
                            )
                    self._finish(step, phase, batch, totals, factor)
                    seen |= totals
        distributed.share(self.family)
        return seen

    def _finish(
        self, step: int, phase: Phase, batch: Batch, terms: dict[str, Tensor], factor: float
    ) -> None:
        """Average, check, clip and step; nothing that is not finite gets as far as the weights."""
        optimizer, groups = self.optimizers[phase.name], self.monitor.groups[phase.name]
        distributed.average_grads(groups.parameters)
        norm, size, total, diagnostic_values, grads = groups.measure(
            terms, self.family.diagnostic_values
        )
        figures = (total, size, diagnostic_values, grads, groups.weigh, groups.mark)
        stats = StepStats(phase.name, step, *figures, factor, self.family.clock.progress)
        bad = "" if math.isfinite(total) else not_finite(terms, batch)
        issue = self.monitor.look(stats, bad)
        if issue is not None and not issue.recoverable:
            self._tell(step + 1, issue, "told")
            issue = None
        if self._any(issue is not None):
            raise TrainingDiverged(
                issue or Issue("elsewhere", "another process found fault with its part"), step + 1
            )
        most = min(self.options.clip, self.monitor.adaptive_clip_norm(phase.name))
        if size > most:
            nn.utils.clip_grads_with_norm_(groups.parameters, most, norm, foreach=True)
        optimizer.step(factor)

    def _tell(self, step: int, issue: Issue, did: str) -> None:
        """Of an alarm and what was done about it: who watches, and the run."""
        self.progress.notice = f"{issue.words} at step {step}: {did}"
        if distributed.is_main():
            self.run.log({"step": step, "guard": issue.cause, "words": issue.words, "did": did})

    def _go_back(self, step: int, issue: Issue) -> int:
        """To the last healthy state, to go on more gently and with other examples; the step of that state.

        Raises `RunError` where that has helped too often: what is on disk is that state, and the best one.
        """
        self.family.zero_grad(set_to_none=True)
        back, known = self.snapshot.go_back()
        if self.monitor.rollbacks >= MOST:
            self.gave_up = True
            self._tell(step, issue, f"given up, after going back {MOST} times")
            raise RunError(self._last_words(step, issue))
        self.monitor.rollback(known)
        self._tell(step, issue, f"back to step {back}, at half the rate")
        self._clock(back)
        self._checked = self._check_number()  # the checks since come again
        return back

    def _last_words(self, step: int, issue: Issue) -> str:
        kept, path = self.run.best or self.run.step, self.run.path
        robust = self.family.phases[0].lr
        slower = min((self.options.lr or robust) / 2 ** (MOST + 2), robust)
        weights = (
            f"the best weights (step {kept}) are kept in {path}" if kept else f"{path} has no weights"
        )
        found = f"{issue.words} at step {step}, after going back {MOST} times"
        return f"{found}; {weights}: {issue.advice(slower)}"

    def _seed(self, step: int) -> None:
        seed = self._mix(step, 0) ^ 0x5DEECE66D
        # `torch.manual_seed` asks every backend there could be, which takes as long as the clipping.
        torch.default_generator.manual_seed(seed)
        if self.device.type in ("cuda", "mps"):
            getattr(torch, self.device.type).manual_seed(seed)

    def _mix(self, step: int, draw: int) -> int:
        """A seed for one draw of one step on one device."""
        place = (step * 64 + draw) * distributed.world() + distributed.rank()
        return (self.seed * 0x9E3779B97F4A7C15 + place * 0xBF58476D1CE4E5B9) & 0x7FFF_FFFF_FFFF_FFFF

    # -- time ----------------------------------------------------------------------------------

    def _share(self, step: int) -> float:
        if self.options.minutes is not None:
            return min(1.0, self.seconds / (60 * self.options.minutes))
        return step / self.options.steps

    def _clock(self, step: int) -> None:
        """Tell families how far training has come."""
        for family in (self.family, self.ema.family):
            family.clock.step, family.clock.progress = step, self._share(step)
            family.clock.rollbacks = self.monitor.rollbacks

    def _done(self, step: int) -> bool:
        return self._share(step) >= 1

    def _check_number(self) -> int:
        # A hair above, so that 0.3 * 10 counts as 3.
        return int(self.family.clock.progress * self.options.checks + 1e-9)

    # -- checks --------------------------------------------------------------------------------

    def _check(self, step: int) -> None:
        """Held-out loss, cover, verdict, save, samples."""
        self._covered(step)
        val, score = self._validate(), self._judged(step)
        for issue in self.monitor.check(step, self._share(step), val):
            self._tell(step, issue, "told")
        if val is not None:
            self.progress.val = val
            if distributed.is_main():
                self.run.log({"step": step, "val_loss": val})
        found = score if self.by_judge else val
        better = found is not None and found < self.best
        if found is not None:
            self.best = self.progress.best = min(self.best, found)
        self._save(step, best=better)
        if self.draw is not None and self.options.samples and distributed.is_main():
            self.draw(self.ema.family, step)
        distributed.wait()

    def _covered(self, step: int) -> None:
        """How much of the data the samples cover, of the averaged weights and, where that is low, of the
        weights themselves: an average may be off for a while. The first process measures for all.

        Raises `TrainingDiverged` where both have collapsed."""
        due = self.cover_every and self._check_number() % self.cover_every == 0
        if self.cover is None or not (due or self._done(step)):
            return
        covered = 0.0
        for turn, family in enumerate((self.ema.family, self.family)):
            one = self.cover(family, turn) if distributed.is_main() else 0.0
            covered = max(covered, distributed.first_says(one, self.device))
            if not self.monitor.is_low(covered):
                break
        if distributed.is_main():
            self.run.log({"step": step, "coverage": covered})
        issue = self.monitor.cover(self._share(step), covered, not self.family.has_heldout)
        if issue is not None and issue.recoverable:
            raise TrainingDiverged(issue, step)
        if issue is not None:
            self._tell(step, issue, "told")

    @property
    def by_judge(self) -> bool:
        """Whether the judge chooses the weights that are kept."""
        keep = self.options.keep
        held = self.family.has_heldout and self.stream.held is not None and len(self.stream.held) > 0
        return self.judge is not None and (keep == "judge" or (keep == "auto" and not held))

    def _judged(self, step: int) -> float | None:
        """The figure to choose by, at every so many checks and at the end; the first process measures for
        all."""
        due = self.options.judge and self._check_number() % self.options.judge == 0
        if self.judge is None or not (due or self._done(step)):
            return None
        score = math.inf
        if distributed.is_main():
            found = self.judge(self.ema.family, step)
            self.run.log({"step": step, **{f"judge/{name}": value for name, value in found.items()}})
            score = next(iter(found.values()), math.inf)
        return distributed.first_says(score, self.device)

    def _validate(self) -> float | None:
        """The averaged weights' held-out loss; the first process measures for all."""
        family, held = self.ema.family, self.stream.held
        if not family.has_heldout or held is None or len(held) == 0:
            return None
        loss = 0.0
        if distributed.is_main():
            torch.manual_seed(0)
            batches = self.stream.heldout(256, HELD_OUT, self.device)
            loss = heldout_loss(family, batches, self.autocast)
        return distributed.first_says(loss, self.device)

    def _record(self, step: int, terms: dict[str, Tensor]) -> None:
        options, total = self.options, self.batch * self.options.accumulate * distributed.world()
        speed = step - self._first
        self.progress.step, self.progress.share = step, self._share(step)
        self.progress.busy = self.threads.words
        self.progress.examples_per_second = total * speed / max(time.monotonic() - self._started, 1e-9)
        if self.progress.share > 0:
            self.progress.seconds_left = self.seconds * (1 / self.progress.share - 1)
        if step % options.log_every == 0 or step == 1 or self._done(step):
            self.progress.terms = {name: float(t) for name, t in distributed.mean(terms).items()}
            if distributed.is_main():
                factor = rate(self.family.clock.progress, options)
                found = {f"loss/{name}": value for name, value in self.progress.terms.items()}
                found |= {
                    f"sign/{name}": float(value_name)
                    for name, value_name in self.family.diagnostic_values.items()
                }
                how = {"rate": factor, "threads": torch.get_num_threads()}
                self.run.log({"step": step, "examples": step * total, **how, **found})
        if self.report is not None and distributed.is_main():
            self.report(self.progress)

    # -- saving and going on -------------------------------------------------------------------

    def _begin(self) -> None:
        """From the run's last save, or from the start."""
        self.saved, self._last_save = self.run.step, time.monotonic()
        torch.manual_seed(self.seed)
        if not self.saved:
            first = self.stream.next(min(2048, max(2, 8 * self.batch)), self.device, self.seed)
            self.stream.loader.place = 0
            self.family.prepare(first)
            distributed.broadcast(self.family)
        self.optimizers = {
            phase.name: PhaseOptimizer(self.family, phase, self.options) for phase in self.family.phases
        }
        # While one phase is trained, the parameters of the others take no gradient.
        self.others = {
            name: [p for key, p in self.family.named_parameters() if key not in optimizer.parameters]
            for name, optimizer in self.optimizers.items()
        }
        self.ema = EMA(self.family, self.options.ema)
        self.snapshot = Checkpoint(self.family, self.optimizers, self.ema)
        if self.saved:
            state, meta = self.run.training_state()
            self.snapshot.restore(state, self.run.weights("last", self.device))
            self.stream.loader.place = meta["place"]
            self.best = math.inf if meta["best"] is None else meta["best"]
            self.seconds = meta["seconds"]
            self.monitor.restore(meta.get("guard") or Monitor().state())  # earlier versions saved none
        elif distributed.is_main():
            self.run.preflight(required_bytes(self.ema.family.state_dict(), self.snapshot.state()))
        self.snapshot.remember(self.saved, self.monitor.state())
        self.cover = Cover.of(self.family, self.stream, self.seed) if self.cover_every else None
        self._first, self._started = self.saved, time.monotonic()
        self._clock(self.saved)

    def _save(self, step: int, *, best: bool = False) -> None:
        if step <= self.saved:
            return
        if distributed.is_main():
            meta = {
                "place": self.stream.loader.place,
                "best": self.best if math.isfinite(self.best) else None,
                "seconds": self.seconds,
                "world": distributed.world(),
                "guard": self.monitor.state(),
            }
            self.run.save(step, self.ema.family.state_dict(), self.snapshot.state(), meta, best=best)
        self.saved, self._last_save = step, time.monotonic()
        self.snapshot.remember(step, self.monitor.state())
        distributed.wait()


def _cuda(device: torch.device) -> list[int]:
    return [device.index or 0] if device.type == "cuda" else []
