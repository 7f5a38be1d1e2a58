"""The real data that a set is held against: how it is read, encoded and seen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from genwright.data.codec import Codec, ReadOptions, Source, Values
from genwright.data.columns.field import ColumnField
from genwright.data.columns.identifiers import Identifier
from genwright.data.dataset import Dataset, Split
from genwright.data.field import Array, Field
from genwright.data.member import ARCHIVES
from genwright.data.source import find
from genwright.data.table.field import RowField
from genwright.data.table.frames import raw as as_values
from genwright.data.text.field import TextField
from genwright.errors import DataError
from genwright.evaluation.comparability import check_comparable
from genwright.evaluation.evidence import Sample
from genwright.evaluation.extractors.base import FeatureExtractor
from genwright.evaluation.extractors.learned import extractor_for
from genwright.evaluation.views.flat import flat_of
from genwright.model import Samples
from genwright.recipe import Recipe

__all__ = ["MOST_FAKE", "MOST_TRAIN", "LoadedExamples", "ReferenceData", "reference_data"]

MOST_TRAIN = 50_000
"""Training examples that copies are looked for among, at most."""
MOST_FAKE = 10_000


@dataclass(frozen=True)
class LoadedExamples:
    """What files hold: stored examples, the same raw as they stand in the files, labels, and what is odd about
    them."""

    x: Array
    raw: Any
    labels: Mapping[str, list[Any]]
    notes: list[str]


@dataclass(frozen=True)
class ReferenceData:
    """The data a set is held against, and the features that everything is seen through.

    make   the name of the field that is judged
    field  that one, whole: with the columns that are given too
    given  names of the labels
    """

    codec: Codec
    make: str
    field: Field
    given: tuple[str, ...]
    dataset: Dataset
    extractor_of: Callable[[], FeatureExtractor]

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """Trained when it is first looked through: what is wrong with a file is said before."""
        return self.extractor_of()

    @property
    def kind(self) -> str:
        return self.dataset.codec_name

    @property
    def columns(self) -> dict[str, ColumnField]:
        """The labels that are fields of their own, beside what is judged."""
        return _labels(self.dataset, self.make)

    def sample(self, x: Array, raw: Any, given: Mapping[str, Sequence[Any]]) -> Sample:
        """Stored examples in every form that a metric reads."""
        labels = {name: [str(value) for value in values] for name, values in given.items()}
        keys = tuple(
            blake2b(np.ascontiguousarray(one).tobytes(), digest_size=16).hexdigest() for one in x
        )
        return Sample(
            x=x,
            flat=flat_of(x, self.field.space),
            features=self.extractor(x),
            raw=raw,
            codec=self.codec,
            field=self.field,
            given=labels,
            keys=keys,
            digest=self._digest(keys, labels, raw),
            views=frozenset({"features", "flat", *self.field.views}),
        )

    def _digest(self, keys: tuple[str, ...], labels: Mapping[str, Sequence[str]], raw: Any) -> bytes:
        """Of everything in a sample; all but the rows of a table follow from the field and what is stored."""
        content = blake2b("".join([self.dataset.key, *keys]).encode(), digest_size=16)
        content.update(repr(sorted((name, list(values)) for name, values in labels.items())).encode())
        if self.field.parts:
            content.update(raw.to_csv(index=False).encode("utf-8", "surrogatepass"))
        return content.digest()

    def decoded(self, x: Array, given: Mapping[str, Sequence[Any]]) -> Sample:
        """Stored examples that come from no file."""
        raw = self.field.decode(x)
        return self.sample(x, raw, given or self._own(raw))

    def _own(self, raw: Any) -> dict[str, list[Any]]:
        """The labels that are parts of the examples themselves."""
        return {name: list(raw[name]) for name in self.given if name in self.field.parts and name in raw}

    def drawn(
        self, split: Split, n: int, rng: np.random.Generator
    ) -> tuple[Array, dict[str, list[Any]]]:
        """At most `n` stored examples of a split, and the labels of each."""
        main = self.make
        found = split.gather(rng.permutation(len(split))[:n], [main, *self.columns])
        labels = {name: field.decode(found[name]) for name, field in self.columns.items()}
        return self.field.expand(found[main]).numpy(), labels

    def real(self, split: Split, n: int, rng: np.random.Generator) -> Sample:
        """At most `n` examples of a split, in a random order."""
        return self.decoded(*self.drawn(split, n, rng))

    def seen(self, rng: np.random.Generator, *, whole: bool) -> Sample:
        """What the maker saw, at random if it is much; with `whole`, also what is else kept for the floor."""
        splits = self.dataset.splits
        x, given = self.drawn(splits["train"], MOST_TRAIN, rng)
        if whole:
            more, theirs = self.drawn(splits["val"], MOST_TRAIN - len(x), rng)
            x, given = np.concatenate([x, more]), {name: given[name] + theirs[name] for name in given}
        return self.decoded(x, given)

    def read(self, path: Path, *, made: bool = False) -> LoadedExamples:
        """The examples in files, those that were `made` good or not. Raises `DataError` where they are no two, or of
        another kind."""
        suffixes = {*(suffix.lower() for suffix in path.suffixes), self.codec.ending(path)}
        if path.is_file() and not suffixes & {*self.codec.reads, *ARCHIVES}:
            raise DataError(
                f"{path} is to be judged beside {self.kind} data, and is no {self.codec.suffixes()}",
                code="wrong-kind-of-file",
            )
        source, notes = find(path, self.kind), list[str]()
        columns = self.columns
        there = self.codec.labels(source) if columns else []
        if missing := [name for name in columns if name not in there]:
            notes.append(f"{path} has no {', '.join(missing)}: nothing that reads labels was measured")
            columns = {}
        raws, labels, bad = self._values(source, columns, made)
        raw: Any = self.field.join(raws) if raws else None
        if raw is not None:
            notes += self._compare(raw, labels, columns, path)
        if raw is None:
            x = np.zeros((0, *self.field.space.shape))
        elif isinstance(self.field, TextField) and self.field.stream:
            x = np.concatenate([self.field.windows(text) for text in raw])
        else:
            x = (self.field.tensor_of_made(raw) if made else self.field.tensor(raw)).numpy()
        if raw is None or self.field.stream:
            raw = self.field.decode(x)
        notes += self.field.changed(raw, str(path))
        if bad:
            notes.append(f"{bad:,} of the examples in {path} could not be read")
        if len(x) < 2:
            what = (
                f"whole windows of {self.field.space.grid[0]} symbols (those of the real text are so long)"
                if self.field.stream
                else "usable examples"
            )
            raise DataError(
                f"{path} holds {len(x)} {what}; a judgement needs at least 2", code="too-few-examples"
            )
        return LoadedExamples(x, raw, labels, notes)

    def _values(
        self, source: Source, columns: Mapping[str, Field], made: bool
    ) -> tuple[list[Values], dict[str, list[Any]], int]:
        """Raw values of what is judged, chunk by chunk; those of the labels; and how many could not be read."""
        raws = list[Values]()
        labels: dict[str, list[Any]] = {name: [] for name in columns}
        bad = 0
        fields = {self.make: self.field, **columns}
        for rows in self.codec.read(source, fields, ReadOptions(val=0.0, test=0.0, made=made)):
            bad += len(rows.rejected)
            if len(rows):
                raws.append(rows.values[self.make])
                for name in labels:
                    labels[name] += rows.values[name]
        return raws, labels, bad

    def _compare(
        self, raw: Any, labels: Mapping[str, Any], columns: Mapping[str, ColumnField], path: Path
    ) -> list[str]:
        """What a file has beyond the real data, a sentence. Raises `DataError` for what stands in it in another
        way than there."""
        known, found = {name: field.column for name, field in columns.items()}, dict(labels)
        if isinstance(self.field, RowField):
            known |= self.field.columns
            found |= {str(name): as_values(raw[name]) for name in raw.columns}
        real = self.dataset.source.root
        check_comparable(known, found, path, real)
        more = [name for name in found if name not in known]
        return [f"{path} has {', '.join(more)}, which {real} has not: left out"] if more else []

    def named(self, made: LoadedExamples, path: Path) -> list[str]:
        """A sentence for each column in which identifiers of real records stand. Identifiers are no part of what is
        learnt and compared, and stored examples have fresh ones, so that the files are read for them."""
        columns = self.field.columns if isinstance(self.field, RowField) else {}
        names = [
            name for name, one in columns.items() if isinstance(one, Identifier) and name in made.raw
        ]
        known: dict[str, list[str]] = {name: [] for name in names}
        if names:
            for rows in self.codec.read(self.dataset.source, {self.make: self.field}):
                for name, values in known.items():
                    values += map(str, as_values(rows.values[self.make][name]))
        found = []
        for name, values in known.items():
            real = {*values}
            hits = sum(str(value) in real for value in as_values(made.raw[name]))
            if hits and len(real) == len(values):  # else they name no single record
                found.append(
                    f"{hits:,} of the {len(made.x):,} values of {name!r} in {path} are those of real records: whoever "
                    f"has the real data knows whom they name; write others"
                )
        return found

    def chosen(self, loaded: LoadedExamples, n: int, rng: np.random.Generator) -> Sample:
        """At most `n` of them."""
        index = np.sort(rng.permutation(len(loaded.x))[:n])
        labels = {name: [values[i] for i in index] for name, values in loaded.labels.items()}
        if self.field.judged_raw:
            return self.sample(loaded.x[index], self.field.take(loaded.raw, index.tolist()), labels)
        if not self.field.parts:
            return self.decoded(loaded.x[index], labels)
        # As they stand in the file: a field brings what cannot be back to what can.
        raw = self.field.take(loaded.raw, index.tolist()).reset_index(drop=True)
        return self.sample(loaded.x[index], raw, self._own(raw))

    def write_and_reload(
        self, samples: Samples, n: int, rng: np.random.Generator
    ) -> tuple[Sample, list[str]]:
        """Samples of a model, from the files that a person gets, and what is odd about them. Raises `DataError` where
        none can be read."""
        with tempfile.TemporaryDirectory() as folder:
            samples.write(folder)
            try:
                loaded = self.read(Path(folder), made=True)
            except DataError as error:  # the folder is one that a person never sees
                words = str(error).replace(f"{folder}/", "").replace(folder, "the samples")
                raise DataError(
                    f"nothing of the samples can be read: {words}", code=error.code
                ) from None
        return self.chosen(loaded, n, rng), loaded.notes


def _labels(dataset: Dataset, make: str) -> dict[str, ColumnField]:
    """The scalar fields that are no part of what is made."""
    parts = dataset.fields[make].parts
    return {
        name: field
        for name, field in dataset.fields.items()
        if isinstance(field, ColumnField) and name not in (make, *parts)
    }


def reference_data(recipe: Recipe, dataset: Dataset, seed: int, extractor: str) -> ReferenceData:
    """The data of a recipe, whole examples at a time, and the features made of it."""
    codec, train = dataset.codec, dataset.splits["train"]
    make = recipe.task.options.get("make") or dataset.main
    field = dataset.fields[make]
    if len(train) < 10:
        raise DataError(
            f"{recipe.data.path} leaves {len(train)} examples to compare with: give more",
            code="too-few-examples",
        )
    index = np.random.default_rng([seed, 2]).permutation(len(train))[:MOST_FAKE]
    label = recipe.data.label
    names = (label,) if isinstance(label, str) and label else tuple(label or ())
    names = names or tuple(dataset.options.given)
    columns = list(_labels(dataset, make))
    found = train.gather(index, [make, *columns[:1]])
    x = field.expand(found[make]).numpy()
    classes = [str(v) for v in dataset.fields[columns[0]].decode(found[columns[0]])] if columns else None

    def extractor_of() -> FeatureExtractor:
        return extractor_for(x, field.space, classes, extractor, seed, dataset.key, raw=field.decode)

    return ReferenceData(codec, make, field, names, dataset, extractor_of)
