"""A finite automaton over symbols: which of them may come next, so that the whole can be read back.

A family that makes one symbol after the other draws among those alone that the automaton allows. What the
symbols stand for it does not know: that the bytes of a text complete characters is the field's own matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["Grammar"]

REFUSED = -1
"""Instead of a state."""


@dataclass(frozen=True)
class Grammar:
    """States from 0 on; a sequence begins in 0 and has to end there.

    follows  the state after each symbol `(states, k)`, REFUSED where the symbol may not come
    """

    follows: Tensor

    @cached_property
    def steps(self) -> Tensor:
        """Symbols that it takes to come back to 0 from each state, at least `(states,)`."""
        steps = torch.full((len(self.follows),), torch.inf, device=self.follows.device)
        steps[0] = 0.0
        while True:  # by one more symbol each time
            through = torch.where(self.follows < 0, torch.inf, steps[self.follows.clamp_min(0)])
            fewer = torch.minimum(steps, 1 + through.amin(1))
            if torch.equal(fewer, steps):
                return steps
            steps = fewer

    @cached_property
    def _steps_after(self) -> Tensor:
        """The same after each symbol of each state `(states, k)`; inf where it may not come."""
        return self.steps[self.follows.clamp_min(0)].masked_fill(self.follows < 0, torch.inf)

    def to(self, device: torch.device) -> Grammar:
        return Grammar(self.follows.to(device))

    def read(self, ids: Tensor) -> Tensor:
        """The state after symbols `(n, L)`, `(n,)`; after one that may not come it is 0."""
        state = torch.zeros(len(ids), dtype=torch.long, device=ids.device)
        for column in ids.unbind(1):
            state = self.after(state, column)
        return state

    def after(self, state: Tensor, symbol: Tensor) -> Tensor:
        return self.follows[state, symbol].clamp_min_(0)

    def allowed(self, state: Tensor, left: int | Tensor) -> Tensor:
        """Which symbols may come `(n, k)` where `left` places follow theirs (of each, `(n, 1)`)."""
        return self._steps_after[state] <= left
