"""What is judged, and what it is held against.

Four sets of examples of one kind: `train`, which the maker saw; `held`, which it did not, and against which
it is measured; `reference`, further real ones, whose measure against `held` is the floor; and `fake`. A
metric reads any of them in the form it understands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as has
from hashlib import blake2b
from typing import Any

from genwright.data.codec import Codec, Preview
from genwright.data.field import Array, Field
from genwright.evaluation.cache import digest
from genwright.space import Space

__all__ = ["Evidence", "Sample"]


@dataclass(frozen=True)
class Sample:
    """`n` examples in every form that a metric reads.

    x         stored `(n, stored, *grid)`: reals as the codec scales them, symbols by number
    numbers   `(n, d)` float32: `x` with symbols one-hot, and the labels likewise, in one row
    features  `(n, f)` float64: what a network or a projection makes of `numbers`
    raw       the examples as the field has them raw (a list, or a frame of columns)
    given     raw values of the labels, by name, `n` each
    keys      digests of content: equal examples have an equal key
    digest    of all that is above, if it is known: what was read of such a sample need not be read again
    """

    x: Array
    numbers: Array
    features: Array
    raw: Any
    codec: Codec
    field: Field
    given: Mapping[str, Sequence[Any]] = has(default_factory=dict)
    keys: tuple[str, ...] = ()
    digest: bytes = b""

    def __len__(self) -> int:
        return len(self.x)

    def preview(self, index: Sequence[int]) -> Preview:
        """A look at some of the examples."""
        main = self.codec.main
        return self.codec.preview({main: self.field.take(self.raw, index)}, {main: self.field})

    def take(self, index: Array) -> Sample:
        """The examples at `index`, in that order."""
        places = index.tolist()
        return replace(
            self,
            x=self.x[index],
            numbers=self.numbers[index],
            features=self.features[index],
            raw=self.field.take(self.raw, places),
            given={name: [values[i] for i in places] for name, values in self.given.items()},
            keys=tuple(self.keys[i] for i in places),
            digest=self.digest and blake2b(self.digest + digest(index), digest_size=16).digest(),
        )


@dataclass(frozen=True)
class Evidence:
    """One question: is `fake` as good as `held` says it should be?

    kind    the codec's name: image, table, text
    space   of `x`
    lens    what made `features`: its name, with a hash of its weights
    """

    kind: str
    space: Space
    extractor: str
    train: Sample
    held: Sample
    fake: Sample
    reference: Sample | None = None

    def about(self, fake: Sample) -> Evidence:
        """The same question about another set."""
        return replace(self, fake=fake)
