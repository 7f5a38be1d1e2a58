"""How much of the data samples cover, cheaply: the judge's coverage of a few examples in a few dimensions.

The share of real examples that have a sample nearer than their k-th real neighbour (Naeem et al. 2020,
arXiv:2002.09797, eq. 5), beside the same share of other real examples. Looked at along the first principal
axes of the embedded examples, so that fine noise does not count as missing.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.families.base import Family
from genwright.families.capabilities import Generative
from genwright.families.translator import Translator
from genwright.training import distributed
from genwright.training.stream import BatchStream

__all__ = ["FEW", "LEAST", "MANY", "Cover", "affordable", "coverage"]

MANY, FEW, LEAST = 256, 96, 32
"""Examples to cover, and samples to cover them with: of a family whose samples take one pass of a network, of
another, and at least."""
K = 5
"""The neighbour that a ball reaches to."""
AXES = 16
"""Principal axes that examples are compared along."""
SMALL = 1024
"""Numbers of an example, embedded, of which some can be drawn by any sampler."""


def affordable(family: Family) -> int:
    """At every how many checks to draw samples for this: 0 is never."""
    # What a translator makes is as varied as what it is given.
    if not isinstance(family, Generative) or isinstance(family, Translator):
        return 0
    small = family.space.width * family.space.positions <= SMALL
    return 1 if family.quick else 5 if small else 0


class Cover:
    """Real examples, and what samples cover of them; 1 is as much as other real examples."""

    def __init__(self, family: Family, real: Batch) -> None:
        """real: an even number of examples, of which half are to be covered."""
        n = len(real) // 2
        x = _flat(family, real.x[: 2 * n])
        self._mean = x.mean(0)
        self._rows = x - self._mean
        # The axes by way of the examples' products, since an example may be wide.
        values, vectors = torch.linalg.eigh(self._rows @ self._rows.T)
        kept = values > 1e-9 * values[-1].clamp_min(1e-12)
        self._axes = (vectors[:, kept] / values[kept].sqrt())[:, -AXES:]
        seen = self._projected(x)
        self.n, self._real = n, seen[:n]
        self._cond = {name: value[:n] for name, value in real.cond.items()}
        self.real_baseline = coverage(self._real, seen[n:])

    @classmethod
    def of(cls, family: Family, stream: BatchStream, seed: int) -> Self | None:
        """From training examples, the same whenever training begins or goes on; None of too few, or where
        a family makes no samples."""
        loader = stream.loader
        if not isinstance(family, Generative):
            return None
        most = MANY if family.quick else FEW
        n = min(most, loader.n // (2 * distributed.world()))
        if n < LEAST:
            return None
        place, loader.place = loader.place, 0
        real = stream.next(2 * n, family.device, seed)
        loader.place = place
        return cls(family, real)

    def __call__(self, family: Generative, turn: int = 0) -> float:
        """Of `n` samples under the conditions of the real ones; another turn draws others."""
        made = family.sample(self.n, self._cond, seed=turn)
        return coverage(self._real, self._projected(_flat(family, made))) / max(self.real_baseline, 1e-9)

    def _projected(self, x: Tensor) -> Tensor:
        """Embedded `(B, d)` to the principal axes `(B, axes)`."""
        return (x - self._mean) @ self._rows.T @ self._axes


def coverage(real: Tensor, fake: Tensor) -> float:
    """Share of `(n, d)` with one of `(m, d)` within reach of their k-th neighbour; on its edge is within."""
    exact = "donot_use_mm_for_euclid_dist"
    reach = torch.cdist(real, real, compute_mode=exact).kthvalue(K + 1).values  # itself is its first
    near = torch.cdist(real, fake, compute_mode=exact).amin(1)
    return float((near <= reach * (1 + 1e-6) + 1e-6).double().mean())


def _flat(family: Family, x: Tensor) -> Tensor:
    """Stored `(B, ...)` to embedded `(B, d)`, on the host."""
    return family.space.embed(x.cpu()).flatten(1).double()
