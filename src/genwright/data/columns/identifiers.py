"""Identifiers: columns that only name their rows.

There is nothing to model in them and something to hide. None is kept; fresh ones of the same shape
are made, which are none of those that were there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genwright.data.columns.formats import is_missing
from genwright.data.columns.types import Column, Encoded, indices
from genwright.space import Span, Symbol

__all__ = ["Identifier"]

ENOUGH = 10**15
"""So many possible tokens that one drawn by chance is surely fresh."""


@dataclass(kw_only=True)
class Identifier(Column):
    """Names of rows, as a shape.

    before, after    for each place the characters that may stand there
    start, width     between them a number that counts up, filled with zeros; a width of 0: none
    whole            the raw values are integers
    """

    kind: ClassVar[str] = "identifier"
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    start: int = 1
    width: int = 0
    whole: bool = False
    missing: bool = False
    missing_token: Any = None

    @classmethod
    def fit(
        cls, name: str, values: Collection[Any], *, sampled: bool, missing: bool, missing_token: Any
    ) -> Identifier:
        """From distinct texts or integers; `sampled`: there are more of them than these.

        What ends in a number counts on after the largest; a long token is drawn place by place; all
        else is named after its column.
        """
        shape = _numbered(values, sampled) or _token(values)
        if shape is None:
            taken = [re.fullmatch(re.escape(name) + "-([0-9]+)", str(value)) for value in values]
            start = 1 + max((int(found[1]) for found in taken if found), default=0)
            shape = {"before": list(f"{name}-"), "start": start, "width": 6}
        return cls(name=name, missing=missing, missing_token=missing_token, **shape)

    @property
    def spans(self) -> tuple[Span, ...]:
        return (Symbol(2),) if self.missing else ()

    def encode(self, values: Sequence[Any]) -> Encoded:
        if not self.missing:
            return np.zeros((len(values), 0), dtype=np.float32)
        return np.array([[is_missing(value)] for value in values], dtype=np.float32).reshape(-1, 1)

    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        n = len(x)
        before, after = _strings(self.before, n, rng), _strings(self.after, n, rng)
        counter = [f"{self.start + i:0{self.width}d}" if self.width else "" for i in range(n)]
        fresh: list[Any] = [b + c + a for b, c, a in zip(before, counter, after, strict=True)]
        if self.whole:
            fresh = [int(text) for text in fresh]
        if not self.missing:
            return fresh
        return [self.missing_token if i else f for i, f in zip(indices(x[:, 0], 2), fresh, strict=True)]


def _strings(character_sets: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """`n` texts with one character of each set."""
    columns = [[a[i] for i in rng.integers(len(a), size=n).tolist()] for a in character_sets]
    return ["".join(letters) for letters in zip(*columns, strict=True)] if columns else [""] * n


def _numbered(values: Collection[Any], sampled: bool) -> dict[str, Any] | None:
    """The shape of names that end in a number, such as 17, AB-0017 or 0017.jpg."""
    found = [re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", str(value), re.S) for value in values]
    parts = [m.groups() for m in found if m]
    whole = all(isinstance(value, int) for value in values)
    if whole:
        parts = [("", str(value), "") for value in values]
    if len(parts) < len(found) or len({(_classes(head), _classes(tail)) for head, _, tail in parts}) > 1:
        return None
    heads, digits, tails = zip(*parts, strict=True)
    numbers = [int(text) for text in digits]
    # The largest number of all is probably not in a sample.
    unseen = (max(numbers) - min(numbers)) // 100 if sampled else 0
    width = len(digits[0]) if len({len(text) for text in digits}) == 1 else 1
    start = max(numbers) + 1 + unseen
    return {
        "before": _places(heads),
        "after": _places(tails),
        "start": start,
        "width": width,
        "whole": whole,
    }


def _token(values: Collection[Any]) -> dict[str, Any] | None:
    """The shape of long tokens such as a UUID: so many are possible that a drawn one is fresh."""
    texts = [str(value) for value in values]
    if len({len(text) for text in texts}) > 1 or not all(
        re.fullmatch(r"[\w-]+", text) for text in texts
    ):
        return None
    places = _places(texts)
    return {"before": places} if prod(map(len, places)) > ENOUGH else None


def _places(texts: Iterable[str]) -> list[str]:
    """The characters that stand at each place of texts of one length."""
    return ["".join(sorted(set(letters))) for letters in zip(*texts, strict=True)]


def _classes(text: str) -> str:
    return re.sub("[a-z]", "a", re.sub("[A-Z]", "A", re.sub("[0-9]", "9", text)))
