"""Examples to translate: one for each domain asked for, and of another domain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genwright.data.codec import Array
from genwright.data.dataset import Dataset, Split
from genwright.errors import DataError

__all__ = ["Sources"]


class Sources:
    """Examples with the domain of each, held-out ones where there are some.

    splits  the first is taken where it has an example of another domain
    """

    def __init__(self, splits: Sequence[Split]) -> None:
        self.splits = [split for split in splits if len(split)]

    @classmethod
    def of(cls, dataset: Dataset) -> Sources:
        return cls([dataset.splits["val"], dataset.splits["train"]])

    def draw(self, domains: Array, origins: Sequence[int], seed: int) -> Array:
        """A stored example for each of `domains` `(n,)`, of one of the `origins` that is another. None comes
        twice before all came once. Raises `DataError` where there is none."""
        rng = np.random.default_rng([seed, 7])
        parts: dict[int, Array] = {}
        for domain in np.unique(domains).tolist():
            places = np.flatnonzero(domains == domain)
            split, fit = self._of_another(domain, origins)
            turns = [rng.permutation(fit) for _ in range(-(-len(places) // len(fit)))]
            x, _ = split.gather(np.concatenate(turns)[: len(places)])
            parts |= dict(zip(places.tolist(), x, strict=True))
        return np.stack([parts[place] for place in range(len(domains))])

    def _of_another(self, domain: int, origins: Sequence[int]) -> tuple[Split, Array]:
        for split in self.splits:
            own = split.conditions(next(iter(split.given)))[:, 0]
            fit = np.flatnonzero(np.isin(own, origins) & (own != domain))
            if len(fit):
                return split, fit
        raise DataError("the data holds no example of another domain to translate: name files")
