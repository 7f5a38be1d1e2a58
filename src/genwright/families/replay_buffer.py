"""A replay buffer: chains of samples that training takes up again and again (Tieleman 2008; Du & Mordatch
2019, arXiv:1903.08689, section 3.2), each with the conditions it is walking under.

All of it is registered, so that it is saved with the weights: a training that was cut finds its chains where
they were, and samples can begin from them. Chains of several processes are brought together after each step
(see `exchange`), so that all hold the same and any of them can save it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genwright.batch import by_example
from genwright.space import Space

__all__ = ["Replay", "Taken"]

Gather = Callable[[Tensor], list[Tensor]]
LATEST = 1024
"""Batches of chains that are remembered for other processes, at most: more than one step has."""


@dataclass
class Taken:
    """Chains that are out of the buffer: their places, where they stand, their conditions, and which of
    them go without."""

    index: Tensor
    x: Tensor
    cond: dict[str, Tensor]
    drop_mask: dict[str, Tensor]


class Replay(nn.Module):
    """`size` chains in the normal form of a space."""

    x: Tensor
    drop_mask: Tensor

    def __init__(self, size: int, space: Space, cond: Mapping[str, Space]) -> None:
        super().__init__()
        self.size, self.spaces = size, dict(cond)
        self._latest: deque[Tensor] = deque(maxlen=LATEST)
        self.register_buffer("x", torch.randn(size, space.width, *space.grid))
        # Whether a chain goes without each condition, as some examples do in training.
        self.register_buffer("drop_mask", torch.zeros(size, len(cond), dtype=torch.bool))
        for name, one in self.spaces.items():
            self.register_buffer(f"given_{name}", torch.zeros(size, *one.shape, dtype=one.dtype))

    def _given(self, name: str) -> Tensor:
        return self.get_buffer(f"given_{name}")

    def fill(self, cond: Mapping[str, Tensor]) -> None:
        """Begin: noise, under the conditions of some examples in turn."""
        for name, value in cond.items():
            turn = torch.arange(self.size, device=value.device) % len(value)
            self._given(name).copy_(value[turn])

    def draw(
        self,
        n: int,
        cond: Mapping[str, Tensor],
        drop_mask: Mapping[str, Tensor],
        renew: float,
        std: float,
    ) -> Taken:
        """`n` chains to go on with, or all if there are fewer. A share `renew` of them begins from noise of
        standard deviation `std`, under the conditions of the examples at hand (but those of `drop_mask`)."""
        device = self.x.device
        n = min(n, self.size)
        index = torch.randperm(self.size, device=device)[:n]
        new = torch.rand(n, device=device) < renew
        noise = std * torch.randn(n, *self.x.shape[1:], device=device)
        given = {
            name: torch.where(by_example(new, value), value[:n], self._given(name)[index])
            for name, value in cond.items()
        }
        without = {
            name: torch.where(new, drop_mask[name][:n], self.drop_mask[index, i])
            for i, name in enumerate(self.spaces)
        }
        return Taken(index, torch.where(by_example(new, noise), noise, self.x[index]), given, without)

    def put(self, taken: Taken) -> None:
        """Chains back in their places."""
        self.x[taken.index] = taken.x
        for i, name in enumerate(self.spaces):
            self.drop_mask[taken.index, i] = taken.drop_mask[name]
            self._given(name)[taken.index] = taken.cond[name]
        self._latest.append(taken.index)

    def exchange(self, gather: Gather) -> None:
        """What each process has put since the last time, in all processes: where several have put to the
        same place, the last one's counts for all."""
        if not self._latest:
            return
        mine = torch.cat(list(self._latest))
        self._latest.clear()
        places = gather(mine)
        for buffer in self.buffers():
            for place, values in zip(places, gather(buffer[mine]), strict=True):
                buffer[place] = values

    def near(self, n: int, cond: Mapping[str, Tensor], rng: torch.Generator) -> Tensor:
        """Where to begin `n` samples: chains that walk under the most similar conditions, by chance among
        equals."""
        chance = torch.rand(n, self.size, generator=rng, device=self.x.device)
        away = torch.zeros_like(chance)
        for i, (name, space) in enumerate(self.spaces.items()):
            if name in cond:
                mine = space.embed(self._given(name)).flatten(1)
                away += torch.cdist(space.embed(cond[name]).flatten(1), mine)
                away += (away.max() + 1) * self.drop_mask[:, i]
        nearest = away <= away.min(1, keepdim=True).values + 1e-6
        return self.x[torch.where(nearest, chance, 2.0).argmin(1)]
