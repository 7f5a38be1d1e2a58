"""Reservoir sampling: a uniform sample of a stream whose length is not known, in flat memory.

Every row draws a random key and the rows of the smallest keys stay, which is a uniform sample without
replacement (Fan et al. 1962; Vitter 1985, "Random sampling with a reservoir", section 2). A row's key
depends on its place in the stream alone, so it does not matter how the stream is cut into chunks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Reservoir", "ReservoirCounter"]

Places = NDArray[np.int64]


class Reservoir:
    """Which rows of a stream belong to a uniform sample of at most `most`; it holds no row itself.

    Its owner keeps the rows, in the order of the stream, and drops those that it is not told to keep:

        rows += chunk
        if (kept := reservoir.add(len(chunk))) is not None:
            rows = [rows[i] for i in kept]

    Up to twice `most` rows are held at a time, so that most chunks drop none; `trim` ends the stream.
    """

    def __init__(self, most: int, seed: int = 0) -> None:
        self.most, self.seen = most, 0
        self._rng = np.random.default_rng(seed)
        self._keys = np.zeros(0)

    def add(self, n: int) -> Places | None:
        """Take `n` more rows in. Gives the places `(most,)`, ascending, of those to keep among all rows that
        are held, the new ones last; None where all stay for now."""
        self.seen += n
        self._keys = np.concatenate([self._keys, self._rng.random(n)])
        return self.trim() if len(self._keys) > 2 * self.most else None

    def trim(self) -> Places | None:
        """The places of the sample itself, as `add` gives them; None where all rows that are held are it."""
        if len(self._keys) <= self.most:
            return None
        kept = np.sort(np.argpartition(self._keys, self.most)[: self.most])
        self._keys = self._keys[kept]
        return kept


class ReservoirCounter:
    """Counts of the values of a stream, while no more than `different` differ, and a uniform sample of at
    most `most` of them, in their order."""

    def __init__(self, most: int = 100_000, different: int = 50_000) -> None:
        self.different = different
        self.counts: Counter[Any] | None = Counter()
        self._reservoir = Reservoir(most)
        self._values: list[Any] = []

    @property
    def seen(self) -> int:
        """Values so far."""
        return self._reservoir.seen

    def add(self, values: Sequence[Any]) -> None:
        if self.counts is not None:
            self.counts.update(values)
            if len(self.counts) > self.different:
                self.counts = None
        self._values += values
        self._keep(self._reservoir.add(len(values)))

    def sample(self) -> list[Any]:
        self._keep(self._reservoir.trim())
        return self._values

    def _keep(self, places: Places | None) -> None:
        if places is not None:
            self._values = [self._values[i] for i in places.tolist()]
