"""The loop. One trainer serves every family: it knows phases, not losses.

Every step begins from a seed made of the run's seed, the step and the device's rank, and the loader's
place is one number; so what a save must hold is weights, optimiser state and a few counters, and a
training that was cut goes on bit for bit as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from genwright.errors import RecipeError, RunError
from genwright.families.base import Family, Phase
from genwright.recipe import TrainOptions
from genwright.storage.tensors import required_bytes
from genwright.training import distributed
from genwright.training.ema import EMA
from genwright.training.feed import Feed
from genwright.training.guard import MOST, Alarm, Guard, Ill
from genwright.training.optim import PhaseOptimizer, rate
from genwright.training.run import Run

__all__ = ["Progress", "Trainer", "autocast", "local_batch"]

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
    examples_per_second: float = 0.0
    seconds_left: float = math.inf


def autocast(family: Family, precision: str) -> torch.autocast:
    """bfloat16 for matrix products, if asked for or known to help: on a GPU that has it, and on a CPU
    with bfloat16 instructions for everything but the MLP of a row (`benchmarks/kernels.py`)."""
    device = family.device
    on = precision == "bf16"
    if precision == "auto" and device.type == "cuda":
        on = torch.cuda.is_bf16_supported()
    elif precision == "auto" and device.type == "cpu":
        large = bool(family.space.grid) or any(phase.optimizer == "muon" for phase in family.phases)
        on = large and torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=on)


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
        feed: Feed,
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
        self.feed, self.run, self.options, self.seed = feed, run, options, seed
        self.draw, self.judge, self.report, self.stop = draw, judge, report, stop
        self.batch = local_batch(options, family)
        self.progress = Progress()
        self.best = math.inf
        self.seconds = 0.0
        self.guard = Guard()
        self.autocast = autocast(self.family, options.precision)

    # -- the loop ------------------------------------------------------------------------------

    def fit(self) -> bool:
        """Train to the end. False if `stop` ended it before."""
        # Only the first process writes; the others' view of the folder is not used after the start.
        own = self.run.lock() if distributed.is_main() else nullcontext()
        with torch.random.fork_rng(devices=_cuda(self.device)), own:
            self._begin()
            began = time.monotonic() - self.seconds
            step, check = self.saved, self._check_number()
            while not self._done(step):
                try:
                    terms = self._step(step)
                except Ill as ill:
                    step = self._go_back(step, ill.alarm)
                    continue
                step += 1
                self.guard.passed()
                self.ema.update(step)
                self._tell_time(time.monotonic() - began)
                self._clock(step)
                self._record(step, terms)
                if self._check_number() > check or self._done(step):
                    check = self._check_number()
                    self._check(step)
                elif self._any(time.monotonic() - self._last_save > 60 * self.options.save_minutes):
                    self._save(step)
                if self._any(bool(self.stop and self.stop())):
                    self._save(step)
                    break
            return self._done(step)

    def _any(self, flag: bool) -> bool:
        return distributed.agree(flag, self.device)

    def _tell_time(self, seconds: float) -> None:
        # Clocks differ between processes; where time decides, one of them counts.
        self.seconds = distributed.first_says(seconds, self.device) if self.options.minutes else seconds

    def _step(self, step: int) -> dict[str, Tensor]:
        """All phases once: the loss terms of the last round of each."""
        seen: dict[str, Tensor] = {}
        factor = rate(self.family.clock.progress, self.options) * self.guard.gentleness
        draws = 0
        self._seed(step)
        for phase in self.family.phases:
            optimizer = self.optimizers[phase.name]
            with _frozen(self.others[phase.name]):
                for _ in range(phase.repeats):
                    totals: dict[str, Tensor] = {}
                    for _ in range(self.options.accumulate):
                        batch = self.feed.next(self.batch, self.device, self._mix(step, draws))
                        draws += 1
                        with self.autocast:
                            terms = self.family.loss(batch, phase.name)
                        total = torch.stack(list(terms.values())).sum()
                        torch.autograd.backward(total / self.options.accumulate)
                        for name, term in terms.items():
                            totals[name] = (
                                totals.get(name, 0.0) + term.detach() / self.options.accumulate
                            )
                    self._finish(step, phase, optimizer, totals, factor)
                    seen |= totals
        return seen

    def _finish(
        self, step: int, phase: Phase, optimizer: PhaseOptimizer, terms: dict[str, Tensor], factor: float
    ) -> None:
        """Average, check, clip and step; nothing that is not finite gets as far as the weights."""
        parameters = list(optimizer.parameters.values())
        distributed.average_grads(parameters)
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(grads, foreach=True)
        # Both come to the host together: a GPU waits once.
        size, total = torch.stack([norm.float(), torch.stack(list(terms.values())).sum()]).tolist()
        bad = "" if math.isfinite(total) else _not_finite(terms)
        alarm = self.guard.look(phase.name, total, size, bad)
        if self._any(alarm is not None):
            raise Ill(
                alarm or Alarm("elsewhere", "another process found fault with its part of the step")
            )
        if size > self.options.clip:
            nn.utils.clip_grads_with_norm_(parameters, self.options.clip, norm, foreach=True)
        optimizer.step(factor)

    def _go_back(self, step: int, alarm: Alarm) -> int:
        """To the last healthy state, to go on more gently and with other examples; the step of that state.

        Raises `RunError` where that has helped too often: the weights on disk are those of that state.
        """
        words = f"{alarm.words} at step {step + 1}"
        self.family.zero_grad(set_to_none=True)
        self._restore(*self._healthy)
        if self.guard.setbacks >= MOST:
            phase = self.family.phases[0]
            slower = (self.options.lr or phase.lr) / 2 ** (MOST + 2)
            raise RunError(
                f"{words}, after going back {MOST} times; the last good state (step {self.saved}) is in "
                f"{self.run.path}: look for outliers in the data, or train with a lower rate "
                f"(--set train.lr={slower:g})"
            )
        self.guard.set_back(words)
        back = self._healthy_step
        self.progress.notice = f"{words}: back to step {back}, at half the rate"
        if distributed.is_main():
            self.run.log({"step": step, "guard": alarm.cause, "words": words, "back_to": back})
        self._clock(back)
        return back

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
            family.clock.setbacks = self.guard.setbacks

    def _done(self, step: int) -> bool:
        return self._share(step) >= 1

    def _check_number(self) -> int:
        # A hair above, so that 0.3 * 10 counts as 3.
        return int(self.family.clock.progress * self.options.checks + 1e-9)

    # -- checks --------------------------------------------------------------------------------

    def _check(self, step: int) -> None:
        """Held-out loss, verdict, save, samples."""
        val, score = self._validate(), self._judged(step)
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

    @property
    def by_judge(self) -> bool:
        """Whether the judge chooses the weights that are kept."""
        keep = self.options.keep
        held = self.family.has_heldout and self.feed.held is not None and len(self.feed.held) > 0
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

    @torch.no_grad()
    def _validate(self) -> float | None:
        """The averaged weights' held-out loss; the first process measures for all."""
        family = self.ema.family
        if not family.has_heldout or self.feed.held is None or len(self.feed.held) == 0:
            return None
        total = count = 0.0
        was_training = family.training
        family.eval()
        if distributed.is_main():
            torch.manual_seed(0)
            for batch in self.feed.heldout(256, HELD_OUT, self.device):
                with self.autocast:
                    one, n = family.heldout(batch)
                total, count = total + float(one), count + float(n)
        family.train(was_training)
        return distributed.first_says(total / max(count, 1.0), self.device)

    def _record(self, step: int, terms: dict[str, Tensor]) -> None:
        options, total = self.options, self.batch * self.options.accumulate * distributed.world()
        speed = step - self._first
        self.progress.step, self.progress.share = step, self._share(step)
        self.progress.examples_per_second = total * speed / max(time.monotonic() - self._started, 1e-9)
        if self.progress.share > 0:
            self.progress.seconds_left = self.seconds * (1 / self.progress.share - 1)
        if step % options.log_every == 0 or step == 1 or self._done(step):
            terms = distributed.mean(terms)
            self.progress.terms = {name: float(term) for name, term in terms.items()}
            if distributed.is_main():
                factor = rate(self.family.clock.progress, options)
                losses = {f"loss/{name}": value for name, value in self.progress.terms.items()}
                self.run.log({"step": step, "examples": step * total, "rate": factor, **losses})
        if self.report is not None and distributed.is_main():
            self.report(self.progress)

    # -- saving and going on -------------------------------------------------------------------

    def _begin(self) -> None:
        """From the run's last save, or from the start."""
        self.saved, self._last_save = self.run.step, time.monotonic()
        torch.manual_seed(self.seed)
        if not self.saved:
            first = self.feed.next(min(2048, max(2, 8 * self.batch)), self.device, self.seed)
            self.feed.loader.place = 0
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
        if self.saved:
            state, meta = self.run.training_state()
            self._restore(state, self.run.weights("last", self.device))
            self.feed.loader.place = meta["place"]
            self.best = math.inf if meta["best"] is None else meta["best"]
            self.seconds = meta["seconds"]
            self.guard.restore(meta.get("guard") or Guard().state())  # earlier versions saved none
        elif distributed.is_main():
            self.run.preflight(required_bytes(self.ema.family.state_dict(), self._state()))
        self._remember(self.saved)
        self._first, self._started = self.saved, time.monotonic()
        self._clock(self.saved)

    def _state(self) -> dict[str, Tensor]:
        state = {f"family/{name}": tensor for name, tensor in self.family.state_dict().items()}
        for phase, optimizer in self.optimizers.items():
            state |= {f"optimizer/{phase}/{name}": tensor for name, tensor in optimizer.state().items()}
        return state

    def _save(self, step: int, *, best: bool = False) -> None:
        if step <= self.saved:
            return
        if distributed.is_main():
            meta = {
                "place": self.feed.loader.place,
                "best": self.best if math.isfinite(self.best) else None,
                "seconds": self.seconds,
                "world": distributed.world(),
                "guard": self.guard.state(),
            }
            self.run.save(step, self.ema.family.state_dict(), self._state(), meta, best=best)
        self.saved, self._last_save = step, time.monotonic()
        self._remember(step)
        distributed.wait()

    def _remember(self, step: int) -> None:
        """Keep this state, on every process, to go back to. In the host's memory: a device has none to
        spare."""
        kept = [
            {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}
            for state in (self._state(), self.ema.family.state_dict())
        ]
        self._healthy, self._healthy_step = (kept[0], kept[1]), step

    def _restore(self, state: dict[str, Tensor], averaged: dict[str, Tensor]) -> None:
        """Family, optimisers and averaged weights."""
        split: dict[str, dict[str, Tensor]] = {"family": {}}
        for key, tensor in state.items():
            room, _, name = key.partition("/")
            if room == "optimizer":
                phase, _, name = name.partition("/")
                room = f"optimizer/{phase}"
            split.setdefault(room, {})[name] = tensor
        self.family.load_state_dict(split["family"])
        if self.options.ema:
            self.ema.family.load_state_dict(averaged)
        for phase, optimizer in self.optimizers.items():
            optimizer.restore(split.get(f"optimizer/{phase}", {}))


@contextmanager
def _frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    """No gradients for these."""
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)


def _not_finite(terms: dict[str, Tensor]) -> str:
    """The first term that is not."""
    return next((name for name, term in terms.items() if not bool(torch.isfinite(term))), "")


def _cuda(device: torch.device) -> list[int]:
    return [device.index or 0] if device.type == "cuda" else []
