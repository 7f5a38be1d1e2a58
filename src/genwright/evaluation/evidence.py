"""What is evaluated, and what it is held against.

Four sets of examples: `train`, which the model saw; `test`, which it did not, and against which it is
measured; `reference`, further real ones, whose measurement against `test` is the real baseline (the report
calls it the floor); and `fake`, the generated ones. A metric names the *view* that it reads; any sample that
offers the view can be measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as has
from hashlib import blake2b
from typing import Any

import numpy as np

from genwright.data.codec import Codec, Preview
from genwright.data.field import Array, Field
from genwright.data.preview import in_lines
from genwright.errors import DataError
from genwright.evaluation.cache import array_digest
from genwright.space import Space

__all__ = ["VIEWS", "Evidence", "Pairs", "Sample"]

VIEWS = {
    "features": "numbers of a feature extractor, (n, f)",
    "flat": "the examples' own numbers in one row, (n, d)",
    "pixels": "pictures (n, C, H, W) in [-1, 1]",
    "waveform": "sounds (n, channels, samples) in [-1, 1]",
    "text": "a list of n texts",
    "row": "a frame of n rows with named columns",
    "level": "a list of n levels of tiles",
    "molecule": "a list of n SMILES",
    "music": "a list of n pieces of music",
    "series": "a list of n series of channels",
}
"""What a metric may read, with the form it comes in."""


@dataclass(frozen=True)
class Sample:
    """`n` examples in every form that a metric reads.

    x         stored `(n, stored, *grid)`: reals as the codec scales them, symbols by number
    flat      `(n, d)` float32: `x` with symbols one-hot, in one row
    features  `(n, f)` float64: what a feature extractor makes of `x`
    raw       the examples as the field has them (a list, or a frame of columns)
    given     raw values of the labels, by name, `n` each
    keys      digests of content: equal examples have an equal key
    digest    of all that is above, if it is known: what was measured of such a sample need not be again
    views     the names of the views it offers, see `VIEWS`
    """

    x: Array
    flat: Array
    features: Array
    raw: Any
    codec: Codec
    field: Field
    given: Mapping[str, Sequence[Any]] = has(default_factory=dict)
    keys: tuple[str, ...] = ()
    digest: bytes = b""
    views: frozenset[str] = frozenset({"features", "flat"})

    def __len__(self) -> int:
        return len(self.x)

    def preview(self, index: Sequence[int]) -> Preview:
        """A look at some of the examples."""
        main, values = self.codec.main, self.field.take(self.raw, index)
        if not isinstance(self.field, self.codec.field_types[0]):  # what lies beside its files
            return Preview("text", text=in_lines({main: [str(value) for value in values]}))
        return self.codec.preview({main: values}, {main: self.field})

    def view(self, name: str) -> Any:
        """The examples as a metric that reads `name` wants them. Raises `DataError` where they offer no
        such view."""
        if name not in self.views:
            offered = ", ".join(sorted(self.views))
            raise DataError(
                f"these examples have no view {name!r}; they offer {offered}", code="no-view"
            )
        forms = {"features": self.features, "flat": self.flat, "pixels": self.x, "waveform": self.x}
        return forms.get(name, self.raw)

    @property
    def conditions(self) -> Mapping[str, Sequence[Any]]:
        """The labels that were given: one that is a column of the row itself was not."""
        own = set(map(str, self.raw.columns)) if "row" in self.views else set()
        return {name: values for name, values in self.given.items() if name not in own}

    def take(self, index: Array) -> Sample:
        """The examples at `index`, in that order."""
        places = index.tolist()
        return replace(
            self,
            x=self.x[index],
            flat=self.flat[index],
            features=self.features[index],
            raw=self.field.take(self.raw, places),
            given={name: [values[i] for i in places] for name, values in self.given.items()},
            keys=tuple(self.keys[i] for i in places),
            digest=self.digest and blake2b(self.digest + array_digest(index), digest_size=16).digest(),
        )


@dataclass(frozen=True)
class Pairs:
    """What was given to a model, row by row with what it made of it and with what really belonged to it.

    given       raw values by name, `n` each
    made        `n` generated examples
    true        the `n` real examples that the conditions were taken from, held out of training
    known       which numbers of `true.x` were given `(n, stored, *grid)`; None: none
    draws       `(k, m, stored, *grid)`: k answers to each of the first m conditions, the first of which is
                `made.x`; None where an answer holds no number
    log_probs   `(b, c, c)`: in the i-th row the log-likelihoods of c true answers under condition i, of
                consecutive blocks of c examples; None where the model has no exact ones
    supervised  whether `true` are the right answers: an example that is to be brought to another domain
                (unpaired translation) has none
    baselines   what trivial answerers say to the same, by name
    asks        the fields of what is given, by name
    """

    given: Mapping[str, Sequence[Any]]
    made: Sample
    true: Sample
    known: Array | None = None
    draws: Array | None = None
    log_probs: Array | None = None
    supervised: bool = True
    baselines: Mapping[str, Pairs] = has(default_factory=dict)
    asks: Mapping[str, Field] = has(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether whole examples were asked for, and none of which a part is known."""
        return self.known is None

    @property
    def unknown(self) -> Array:
        """Which numbers were asked for `(n, stored, *grid)`."""
        return np.ones(self.true.x.shape, dtype=bool) if self.known is None else ~self.known

    def take(self, index: Array) -> Pairs:
        """The pairs at `index`, in that order; of a model's draws those that are among the first m."""
        places = index.tolist()
        draws = None
        if self.draws is not None:
            draws = self.draws[:, index[index < self.draws.shape[1]]]
        return replace(
            self,
            given={name: [values[i] for i in places] for name, values in self.given.items()},
            made=self.made.take(index),
            true=self.true.take(index),
            known=None if self.known is None else self.known[index],
            draws=draws,
            log_probs=None,
            baselines={name: one.take(index) for name, one in self.baselines.items()},
        )


@dataclass(frozen=True)
class Evidence:
    """One question: is `fake` as good as `test` says it should be?

    space      of `x`
    extractor  what made the features: its name, with a hash of its weights
    pairs      for a model that is given more than labels: what it made of what it was given
    """

    space: Space
    extractor: str
    train: Sample
    test: Sample
    fake: Sample
    reference: Sample | None = None
    pairs: Pairs | None = None

    @property
    def views(self) -> frozenset[str]:
        """The views that real and generated examples offer."""
        return self.train.views & self.test.views & self.fake.views

    @property
    def conditional(self) -> bool:
        """Whether anything was given to the model, so that it can be asked whether it is heeded."""
        labels = bool(self.train.conditions and self.fake.conditions)
        return labels or (self.pairs is not None and self.pairs.whole)

    @property
    def answered(self) -> bool:
        """Whether there are right answers to hold the model's own against."""
        return self.pairs is not None and self.pairs.supervised

    def answers(self) -> dict[str, Evidence]:
        """The same question about the answers of the model and of each trivial answerer, by name."""
        if self.pairs is None:
            return {}
        asked = {"model": self.pairs, **self.pairs.baselines}
        return {name: replace(self, fake=one.made, pairs=one) for name, one in asked.items()}

    def about(self, fake: Sample) -> Evidence:
        """The same question about another set. Of the pairs the reference answers with what is true; another
        set was given nothing."""
        pairs = self.pairs if fake is self.fake else None
        if self.pairs is not None and fake is self.reference:
            pairs = replace(self.pairs, made=self.pairs.true)
        return replace(self, fake=fake, pairs=pairs)
