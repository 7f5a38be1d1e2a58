"""Stored examples as rows of plain numbers, for metrics that ask for no network."""

from __future__ import annotations

import numpy as np
import torch

from genwright.data.codec import Array
from genwright.space import Space, Symbol

__all__ = ["flat_of"]

HASHED = 512
"""Counters for the pairs of symbols in a text."""


def flat_of(x: Array, space: Space) -> Array:
    """Stored `(n, stored, *grid)` to `(n, d)` float32.

    A text becomes hashed counts of its symbols and of its pairs of symbols, since the place of a letter
    says nothing; anything else its embedded form (`Space.embed`), position by position.
    """
    if len(space.grid) == 1 and space.kind == "symbol" and space.stored == 1:
        return _counts(x[:, 0].astype(np.int64), space)
    embedded = space.embed(torch.from_numpy(np.ascontiguousarray(x)))
    return np.asarray(embedded.flatten(1).numpy(), dtype=np.float32)


def _counts(ids: Array, space: Space) -> Array:
    (span,) = space.spans
    assert isinstance(span, Symbol)
    pairs = (ids[:, :-1] * span.k + ids[:, 1:]) * 2 + 1
    hashed = np.concatenate([ids * 2, pairs], axis=1).astype(np.uint64)
    # Multiplication by an odd constant mixes upward; the upper bits choose the counter (Knuth 6.4).
    place = ((hashed * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(55)).astype(np.int64) % HASHED
    rows = np.repeat(np.arange(len(ids)), hashed.shape[1])
    counts = np.bincount(rows * HASHED + place.ravel(), minlength=len(ids) * HASHED)
    return np.sqrt(counts.reshape(len(ids), HASHED)).astype(np.float32)
