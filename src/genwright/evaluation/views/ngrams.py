"""Windows of rows of symbols, known by a rolling hash: which pieces of texts stand in other texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genwright.data.codec import Array
from genwright.data.text.tokenizer import points, repair

__all__ = ["Windows", "is_in", "likely"]

BITS = 22
"""Of a hash, that are looked up in a table."""


class Windows:
    """Hashes of all windows in rows of symbols, for any length: Karp & Rabin 1987, modulo 2^64.

    With s_j the hash of symbol j and b odd, the window of n from i is sum_j s_{i+j} b^j, the difference
    of two running sums of s_j b^j times b^-i. Two that differ are taken for equal about once in 2^64.
    """

    BASE = 0x9E3779B97F4A7C15

    def __init__(self, rows: Sequence[Array]) -> None:
        sizes = np.array([len(row) for row in rows], np.int64)
        symbols = np.concatenate([np.zeros(0, np.uint64), *rows]).astype(np.uint64)
        self.owner = np.repeat(np.arange(len(rows), dtype=np.int32), sizes)
        self.left = (np.cumsum(sizes)[self.owner] - np.arange(len(symbols))).astype(np.int32)
        self.sums = np.concatenate(
            [np.zeros(1, np.uint64), np.cumsum(_mixed(symbols) * _powers(self.BASE, len(symbols)))]
        )
        self.back = _powers(pow(self.BASE, -1, 1 << 64), len(symbols))

    @classmethod
    def of(cls, texts: Sequence[str]) -> Windows:
        """Of characters."""
        return cls([points(repair(text)) for text in texts])

    def hashes(self, n: int) -> tuple[Array, Array]:
        """Of all windows of `n` symbols within one row, and the rows that they are in."""
        starts = max(0, len(self.left) - n + 1)
        whole = self.left[:starts] >= n
        hashes = (self.sums[n:] - self.sums[:starts]) * self.back[:starts]
        return hashes[whole], self.owner[:starts][whole]

    def hashes_from(self, starts: Array, n: int) -> tuple[Array, Array]:
        """Of the windows of `n` symbols that begin in some places and end in the same row, and those places."""
        starts = starts[self.left[starts] >= n]
        return (self.sums[starts + n] - self.sums[starts]) * self.back[starts], starts


def _powers(base: int, n: int) -> Array:
    """1, base, base^2, ... modulo 2^64, `(n,)`."""
    factors = np.full(n, base, np.uint64)
    factors[:1] = 1
    return np.cumprod(factors)


def _mixed(x: Array) -> Array:
    """Neighbouring numbers to far ones: the finaliser of SplitMix64 (Steele et al. 2014)."""
    x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def is_in(few: Array, many: Array) -> Array:
    """Which of `few` are in `many`. What is not likely leaves little of `many` to sort."""
    some = np.sort(many[likely(few, many)])
    if not len(some):
        return np.zeros(len(few), bool)
    return some[np.searchsorted(some, few).clip(max=len(some) - 1)] == few


def likely(few: Array, many: Array) -> Array:
    """Which of `many` may be in `few`: all that are, and of others those that begin with the same bits."""
    high, table = np.uint64(64 - BITS), np.zeros(1 << BITS, bool)
    table[few >> high] = True
    return np.asarray(table[many >> high])
