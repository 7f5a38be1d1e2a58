"""Endless shuffled numbers of examples, whose place can be written down.

Which example comes at which place is a pure function of the seed and the place, so that the whole state
of a loader is one number, and any number of devices agree without talking. An epoch's order is a
permutation computed place by place (a Feistel cipher on the example numbers), which takes no memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from genwright.data.field import Array

__all__ = ["SMALL", "Loader", "evenly", "permute", "shuffled", "strata"]

_ROUNDS = 6
POOL = 64
"""Batches that are sorted by the size of their examples together."""
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
    """The numbers of the examples of a split, batch by batch.

    n       examples of the split
    place   examples handed out so far, on all devices together: the whole state
    strata  numbers of the examples of each sort: they come in turn, however rare a sort is (None: each
            example as often as any other)
    sizes   of the examples: those of a batch are of about the same size, so that little of it is filled up
            (None: as they come)
    """

    def __init__(
        self,
        n: int,
        seed: int,
        *,
        rank: int = 0,
        world: int = 1,
        strata: Sequence[Array] | None = None,
        sizes: Array | None = None,
    ) -> None:
        self.n, self.seed, self.sizes = n, seed, sizes
        self.strata = list(strata or ())
        self.rank, self.world = rank, world
        self.place = 0
        self._pool: tuple[tuple[int, int], Array] | None = None

    def next(self, size: int) -> Array:
        """This device's share of the next `size * world` examples, by number `(size,)`."""
        first, whole = self.place, size * self.world
        self.place += whole
        mine = slice(self.rank * size, (self.rank + 1) * size)
        if self.sizes is None:
            return self._numbers(np.arange(first, first + whole)[mine])
        # Far fewer than an epoch, or a batch would hold an example of two epochs twice.
        many = max(1, min(POOL, self.n // (4 * whole)))
        number, turn = divmod(first // whole, many)
        if self._pool is None or self._pool[0] != (number, whole):
            self._pool = (number, whole), self._batches(number, many, whole, self.sizes)
        return self._pool[1][turn, mine]

    def _batches(self, number: int, many: int, size: int, sizes: Array) -> Array:
        """The batches of a pool `(many, size)`, which are sorted within and come in any order."""
        pool = self._numbers(np.arange(number * many * size, (number + 1) * many * size))
        batches = pool[np.argsort(sizes[pool], kind="stable")].reshape(many, size)
        return batches[permute(np.arange(many), many, self.seed + number)]

    def _numbers(self, places: Array) -> Array:
        if not self.strata:
            return _in_epochs(places, self.n, self.seed, shuffled)
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


def strata(symbols: Array) -> list[Array]:
    """The numbers of the examples of each symbol `(n,)` that occurs, in the order of the symbols."""
    return [np.flatnonzero(symbols == symbol) for symbol in np.unique(symbols)]


def evenly(n: int, most: int | None = None) -> Array:
    """The numbers of `n` examples in order; at most `most` of them, spread evenly."""
    return np.arange(n) if most is None or n <= most else np.linspace(0, n - 1, most).astype(np.int64)
