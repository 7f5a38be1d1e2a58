"""The whole state of a training at one step: to save it, and to go back to it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from genwright.families.base import Family
from genwright.storage.tensors import required_bytes
from genwright.training import distributed
from genwright.training.ema import EMA
from genwright.training.hooks import Hook
from genwright.training.optim import PhaseOptimizer

if TYPE_CHECKING:
    from genwright.training.trainer import Trainer

__all__ = ["Checkpoint", "Saving"]


class Checkpoint:
    """Family, optimisers and averaged weights, now and as they were when last remembered.

    step  the one that is remembered
    """

    step: int

    def __init__(self, family: Family, optimizers: Mapping[str, PhaseOptimizer], ema: EMA) -> None:
        self.family, self.optimizers, self.ema = family, optimizers, ema

    def state(self) -> dict[str, Tensor]:
        """All but the averaged weights."""
        state = {f"family/{name}": tensor for name, tensor in self.family.state_dict().items()}
        for phase, optimizer in self.optimizers.items():
            state |= {f"optimizer/{phase}/{name}": tensor for name, tensor in optimizer.state().items()}
        return state

    def remember(self, step: int, known: dict[str, Any]) -> None:
        """Keep this state, on every process, to go back to, with what the monitor knew. In the host's
        memory: a device has none to spare."""
        self.step, self._known = step, known
        self._state, self._averaged = (
            {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}
            for state in (self.state(), self.ema.family.state_dict())
        )

    def go_back(self) -> tuple[int, dict[str, Any]]:
        """To what is remembered: its step, and what the monitor knew."""
        self.restore(self._state, self._averaged)
        return self.step, self._known

    def restore(self, state: Mapping[str, Tensor], averaged: Mapping[str, Tensor]) -> None:
        split: dict[str, dict[str, Tensor]] = {"family": {}}
        for key, tensor in state.items():
            room, _, name = key.partition("/")
            if room == "optimizer":
                phase, _, name = name.partition("/")
                room = f"optimizer/{phase}"
            split.setdefault(room, {})[name] = tensor
        self.family.load_state_dict(split["family"])
        if self.ema.width:
            self.ema.family.load_state_dict(averaged)
        for phase, optimizer in self.optimizers.items():
            optimizer.restore(split.get(f"optimizer/{phase}", {}))


class Saving(Hook):
    """Goes on from the run's last save, and saves: at every check the last weights, and the best ones if a
    score is the least so far.

    keep      the score to choose by; "auto" is the held-out loss where there is one
    by_judge  whether that is the judge's
    best      the least score
    """

    early = True
    checkpoint: Checkpoint
    by_judge: bool

    def __init__(self, keep: Literal["auto", "loss", "judge", "last"]) -> None:
        self.keep, self.best = keep, math.inf

    def begin(self, trainer: Trainer) -> None:
        run, held, self._last = trainer.run, trainer.stream.held, time.monotonic()
        has_loss = not trainer.family.adversarial and held is not None and len(held) > 0
        self.by_judge = self.keep == "judge" or (self.keep == "auto" and not has_loss)
        optimizers = {name: step.optimizer for name, step in trainer.steps.items()}
        self.checkpoint = Checkpoint(trainer.family, optimizers, trainer.ema)
        if run.step:
            state, meta = run.training_state()
            self.checkpoint.restore(state, run.weights("last", trainer.device))
            trainer.restore(meta)
        elif distributed.is_main():
            run.preflight(required_bytes(trainer.ema.family.state_dict(), self.checkpoint.state()))
        self.checkpoint.remember(trainer.step, trainer.monitor.state())

    def check(self, trainer: Trainer) -> None:
        score = trainer.scores.get("judge" if self.by_judge else "loss")
        better = score is not None and score < self.best and self.keep != "last"
        if score is not None:
            self.best = trainer.progress.best = min(self.best, score)
        self.save(trainer, best=better)

    def save(self, trainer: Trainer, *, best: bool = False) -> None:
        if trainer.step <= self.checkpoint.step:
            return
        if distributed.is_main():
            averaged = trainer.ema.family.state_dict()
            state, meta = self.checkpoint.state(), trainer.state()
            trainer.run.save(trainer.step, averaged, state, meta, best=best)
        self._last = time.monotonic()
        self.checkpoint.remember(trainer.step, trainer.monitor.state())
        distributed.wait()

    @property
    def minutes(self) -> float:
        """Since the last save."""
        return (time.monotonic() - self._last) / 60

    def state(self) -> dict[str, Any]:
        return {"best": self.best if math.isfinite(self.best) else None}

    def restore(self, state: dict[str, Any]) -> None:
        self.best = math.inf if state["best"] is None else state["best"]
