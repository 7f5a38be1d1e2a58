"""The whole state of a training at one step: to save it, and to go back to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from genwright.families.base import Family
from genwright.training.ema import EMA
from genwright.training.optim import PhaseOptimizer

__all__ = ["Checkpoint"]


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
        """Keep this state, on every process, to go back to, with what the guard knew. In the host's memory:
        a device has none to spare."""
        self.step, self._known = step, known
        self._state, self._averaged = (
            {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}
            for state in (self.state(), self.ema.family.state_dict())
        )

    def go_back(self) -> tuple[int, dict[str, Any]]:
        """To what is remembered: its step, and what the guard knew."""
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
