"""Whether a family heeds its conditions: what examples cost under their own, beside what they cost under those of
others.

A paired test: the same examples with the same noise, so that little of the difference is chance. Each condition is
exchanged by itself, the others stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.families.base import Family
from genwright.families.capabilities import Generative
from genwright.families.translator import Translator
from genwright.training.stream import BatchStream

__all__ = ["Heeding"]

MANY, LEAST = 256, 128
"""Examples that are looked at, and pairs of them with different conditions below which nothing is said."""
CHUNK = 16
"""Examples of one difference."""
LARGE = 100.0
"""Of a t statistic: there is no more to know."""
SHARE = 0.01
"""Of the examples that go through the networks in training, those that go through them here, at most; a step counts
as three passes. In chunks that are smaller than a batch this is up to twice the share of the time."""


class Heeding:
    """Examples and their conditions: `heldout`, and `train`, which tell whether a condition that does not help with
    unseen examples has been learnt by heart."""

    def __init__(self, train: Batch, heldout: Batch | None = None) -> None:
        self.train, self.heldout = train, train if heldout is None else heldout

    @classmethod
    def of(cls, family: Family, stream: BatchStream, seed: int) -> Self | None:
        """The same whenever training begins or goes on; None of a family that makes nothing of conditions, and of a
        translator, whose loss chooses the domains itself."""
        loader, makes = (
            stream.loader,
            isinstance(family, Generative) and not isinstance(family, Translator),
        )
        if not family.cond or not makes or loader.n < LEAST:
            return None
        place, loader.place = loader.place, 0
        train = stream.next(min(MANY, loader.n), family.device, seed)
        loader.place = place
        held = next(stream.heldout(MANY, MANY, family.device), None)
        return cls(train, held if held is not None and len(held) >= LEAST else None)

    def every(self, batch: int) -> int:
        """Steps between two looks at the held-out examples, so that they stay within `SHARE`."""
        passes = 2 * len(self.heldout) * len(self.heldout.cond)
        return math.ceil(passes / (3 * SHARE * batch))

    def __call__(self, family: Family, turn: int, *, seen: bool = False) -> dict[str, float]:
        """The t statistic of the gain by each condition, by name: large where it is heeded, about 0 where it is
        ignored. A condition that too few examples differ in is not there.

        turn  another one pairs the examples in another way
        seen  of training examples
        """
        batch, found = self.train if seen else self.heldout, dict[str, float]()
        was_training = family.training
        family.eval()
        for name in sorted(batch.cond):
            gains = list(_gains(family, batch, name, turn))
            if len(gains) * CHUNK >= LEAST:
                found[name] = t_statistic(torch.stack(gains).double().cpu())
        family.train(was_training)
        return found


def t_statistic(x: Tensor) -> float:
    """Of the mean against 0, at most `LARGE`; 0 where all are, and of what is not finite, which others tell of."""
    mean, error = float(x.mean()), float(x.std()) / math.sqrt(len(x))
    if not mean or not math.isfinite(mean):
        return 0.0
    return max(-LARGE, min(LARGE, mean / max(error, abs(mean) / LARGE)))


@torch.no_grad()
def _gains(family: Family, batch: Batch, name: str, turn: int) -> Iterator[Tensor]:
    """By how much each chunk of pairs whose conditions differ costs less under its own than with these exchanged: what
    a condition costs by itself falls out."""
    cond = batch.cond[name]
    pairs = _pairs(cond, turn)
    pairs = pairs[(cond[pairs[:, 0]] != cond[pairs[:, 1]]).flatten(1).any(1)]
    for number, some in enumerate(torch.split(pairs, CHUNK // 2)):
        own, other = some.flatten(), some.flip(1).flatten()
        if len(own) < CHUNK:
            return
        part = Batch(
            batch.x[own],
            {key: one[own] for key, one in batch.cond.items()},
            None if batch.mask is None else batch.mask[own],
        )
        yield family.condition_gain(part, {name: cond[other]}, seed=turn * len(cond) + number)


def _pairs(cond: Tensor, turn: int) -> Tensor:
    """Pairs of examples `(n // 2, 2)`, of different conditions where there are enough: half the examples apart in the
    order of their conditions, which chance decides among equal ones."""
    n = len(cond) // 2
    chance = torch.randperm(len(cond), generator=torch.Generator().manual_seed(turn)).to(cond.device)
    kind = torch.unique(cond.flatten(1), dim=0, return_inverse=True)[1]
    order = chance[torch.argsort(kind[chance], stable=True)]
    pairs = torch.stack([order[:n], order[-n:]], dim=1)
    return pairs[torch.randperm(n, generator=torch.Generator().manual_seed(turn)).to(cond.device)]
