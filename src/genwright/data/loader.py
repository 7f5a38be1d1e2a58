"""Endless shuffled batches whose place can be written down.

Which example comes at which place is a pure function of the seed and the place, so that the whole state
of a loader is one number, and any number of devices agree without talking. An epoch's order is a
permutation computed place by place (a Feistel cipher on the example numbers), which takes no memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch

from genwright.batch import Batch
from genwright.data.codec import Array
from genwright.data.dataset import Split
from genwright.space import Symbol

__all__ = ["Loader", "in_order", "permute", "shuffled", "strata", "taken"]

_ROUNDS = 6
SMALL = 1 << 20
"""An epoch of so many examples is shuffled at once: 8 MiB at most."""


def permute(places: Array, n: int, seed: int) -> Array:
    """Where each of `places` in 0..n-1 goes under a permutation of n that depends on the seed.

    A Feistel network on the smallest even number of bits that holds n; what falls outside is sent
    through again until it falls inside (Black & Rogaway 2002, "cycle walking").
    """
    half = max(1, -(-(n - 1).bit_length() // 2))
    mask = np.uint64((1 << half) - 1)
    keys = np.frombuffer(hashlib.blake2b(f"{seed}:{n}".encode()).digest(), dtype=np.uint64)

    def cipher(x: Array) -> Array:
        left, right = x >> np.uint64(half), x & mask
        for key in keys[:_ROUNDS]:
            mixed = (right ^ key) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
            left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
        return (left << np.uint64(half)) | right

    with np.errstate(over="ignore"):
        out = cipher(places.astype(np.uint64))
        while (outside := out >= n).any():
            out[outside] = cipher(out[outside])
    return out.astype(np.int64)


def shuffled(places: Array, n: int, seed: int) -> Array:
    """`permute`, from a table of the whole epoch where that is small: it is the same for every batch."""
    return _table(n, seed)[places] if n <= SMALL else permute(places, n, seed)


@lru_cache(maxsize=2)
def _table(n: int, seed: int) -> Array:
    return permute(np.arange(n), n, seed)


class Loader:
    """Batches of one split.

    place   examples handed out so far, on all devices together: the whole state
    strata  numbers of the examples of each sort: they come in turn, however rare a sort is (None: each
            example as often as any other)
    """

    def __init__(
        self,
        split: Split,
        seed: int,
        *,
        rank: int = 0,
        world: int = 1,
        strata: Sequence[Array] | None = None,
    ) -> None:
        self.split, self.seed = split, seed
        self.strata = list(strata or ())
        self.rank, self.world = rank, world
        self.place = 0

    def next(self, size: int) -> Batch:
        """This device's share of the next `size * world` examples."""
        first = self.place + self.rank * size
        self.place += size * self.world
        return _batch(self.split, self._numbers(np.arange(first, first + size)))

    def _numbers(self, places: Array) -> Array:
        if not self.strata:
            return _in_epochs(places, len(self.split), self.seed, shuffled)
        numbers = np.empty_like(places)
        for i, stratum in enumerate(self.strata):
            here = places % len(self.strata) == i
            order = _in_epochs(places[here] // len(self.strata), len(stratum), self.seed + i, permute)
            numbers[here] = stratum[order]
        return numbers


def _in_epochs(places: Array, n: int, seed: int, order: Callable[[Array, int, int], Array]) -> Array:
    """Numbers below n, in another order in each epoch."""
    numbers = np.empty_like(places)
    for epoch in np.unique(places // n):
        here = places // n == epoch
        numbers[here] = order(places[here] % n, n, seed * 1_000_003 + int(epoch))
    return numbers


def strata(split: Split) -> list[Array]:
    """The numbers of the examples with each symbol of the first condition."""
    (name, column), *_ = split.given.items()
    span = column.spans[0]
    assert isinstance(span, Symbol), f"{name} has no symbols"
    symbols = split.conditions(name)[:, 0]
    found = [np.flatnonzero(symbols == symbol) for symbol in range(span.k)]
    return [numbers for numbers in found if len(numbers)]


def in_order(split: Split, size: int, most: int | None = None) -> Iterator[Batch]:
    """The split's examples in a fixed order; at most `most` of them, spread evenly over the split."""
    n = len(split)
    numbers = np.arange(n) if most is None or n <= most else np.linspace(0, n - 1, most).astype(np.int64)
    for start in range(0, len(numbers), size):
        yield _batch(split, numbers[start : start + size])


def taken(split: Split, numbers: Array) -> Batch:
    """The examples with these numbers, in this order."""
    return _batch(split, numbers)


def _batch(split: Split, numbers: Array) -> Batch:
    x, given = split.gather(numbers)
    stored = torch.from_numpy(np.ascontiguousarray(x))
    cond = {name: torch.from_numpy(values) for name, values in given.items()}
    for name, values in cond.items():
        if all(isinstance(span, Symbol) for span in split.given[name].spans):
            cond[name] = values.long()
    mask = split.codec.space.valid(stored)
    if split.window and split.part != "train":
        # A window's first token has nothing before it; the one before has already scored it.
        mask = torch.ones(len(stored), split.window, dtype=torch.bool)
        mask[:, 0] = False
    return Batch(stored, cond, mask)
