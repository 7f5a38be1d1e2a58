"""From a run, or from files of any origin, to the evidence that is judged.

Whatever is judged is read from files, a run's own samples too: the judge sees what a person gets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from genwright.data.codec import Array, Codec, ReadOptions
from genwright.data.dataset import Dataset, Split
from genwright.data.source import find
from genwright.errors import DataError
from genwright.evaluation import runner
from genwright.evaluation.baselines import BASELINES, Maker, baselines_for
from genwright.evaluation.evidence import Evidence, Sample, views_of
from genwright.evaluation.extractors.base import FeatureExtractor
from genwright.evaluation.extractors.learned import extractor_for
from genwright.evaluation.galleries import galleries
from genwright.evaluation.metrics.likelihood import HeldoutLikelihood, likelihood_result
from genwright.evaluation.results import EvaluationReport
from genwright.evaluation.views.flat import flat_of
from genwright.experiment import open_data
from genwright.model import Model, Samples
from genwright.recipe import DataOptions, Recipe

__all__ = [
    "MOST_TRAIN",
    "EvaluationInput",
    "ReferenceData",
    "bench_of",
    "judged",
    "makers",
    "of_files",
    "of_run",
]

MOST_TRAIN = 50_000
"""Training examples that copies are looked for among, at most."""
MOST_FAKE = 10_000


@dataclass(frozen=True)
class EvaluationInput:
    """Evidence, what made it comparable, and what to say about it."""

    evidence: Evidence
    bench: ReferenceData
    facts: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class LoadedExamples:
    """What files hold: examples as a codec stores them, a table's rows as they stand, labels, and what is
    odd about them."""

    x: Array
    rows: Sequence[Any]
    labels: Mapping[str, list[Any]]
    notes: list[str]


@dataclass(frozen=True)
class ReferenceData:
    """The data a set is held against, and the lens everything is seen through."""

    kind: str
    codec: Codec
    given: tuple[str, ...]
    dataset: Dataset
    extractor_of: Callable[[], FeatureExtractor]

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """Trained when it is first looked through: what is wrong with a file is said before."""
        return self.extractor_of()

    def sample(self, x: Array, raw: Any, given: Mapping[str, Sequence[Any]]) -> Sample:
        """Stored examples in every form that a metric reads."""
        labels = {name: [str(value) for value in values] for name, values in given.items()}
        keys = tuple(
            blake2b(np.ascontiguousarray(one).tobytes(), digest_size=16).hexdigest() for one in x
        )
        return Sample(
            x=x,
            flat=flat_of(x, self.codec.space),
            features=self.extractor(x),
            raw=raw,
            codec=self.codec,
            given=labels,
            keys=keys,
            digest=self._digest(keys, labels, raw),
            views=views_of(self.kind),
        )

    def _digest(self, keys: tuple[str, ...], labels: Mapping[str, Sequence[str]], raw: Any) -> bytes:
        """Of everything in a sample; all but the rows of a table follow from the codec and what is stored."""
        content = blake2b("".join([self.dataset.key, *keys]).encode(), digest_size=16)
        content.update(repr(sorted((name, list(values)) for name, values in labels.items())).encode())
        if self.kind == "table":
            content.update(raw.to_csv(index=False).encode("utf-8", "surrogatepass"))
        return content.digest()

    def decoded(self, x: Array, given: Mapping[str, Sequence[Any]]) -> Sample:
        """Stored examples that come from no file."""
        raw = self.codec.decode(x, given)
        return self.sample(x, raw, given or _columns(self.kind, raw, self.given))

    def real(self, split: Split, n: int, rng: np.random.Generator) -> Sample:
        """At most `n` examples of a split, in a random order."""
        return self.decoded(*_drawn(split, n, rng))

    def seen(self, rng: np.random.Generator, *, whole: bool) -> Sample:
        """What the maker saw, at random if it is much; with `whole`, also what is else kept for the floor."""
        splits = self.dataset.splits
        x, given = _drawn(splits["train"], MOST_TRAIN, rng)
        if whole:
            more, theirs = _drawn(splits["val"], MOST_TRAIN - len(x), rng)
            x, given = np.concatenate([x, more]), {name: given[name] + theirs[name] for name in given}
        return self.decoded(x, given)

    def read(self, path: Path) -> LoadedExamples:
        """The examples in files. Raises `DataError` where they are no two, or of another kind."""
        notes = []
        suffixes = {suffix.lower() for suffix in path.suffixes}
        if path.is_file() and not suffixes & {*self.codec.reads}:
            raise DataError(
                f"{path} is to be judged beside {self.kind} data, and is no {', '.join(self.codec.reads)}"
            )
        source = find(path, self.kind)
        given = self.given if self.kind != "table" else ()
        if missing := [name for name in given if name not in self.codec.labels(source)]:
            notes.append(f"{path} has no {', '.join(missing)}: nothing that reads labels was measured")
            given = ()
        stored: list[Array] = []
        rows: list[Any] = []
        labels: dict[str, list[Any]] = {name: [] for name in given}
        sizes: set[tuple[int, int]] = set()
        bad = 0
        for chunk in self.codec.read(source, ReadOptions(given, val=0.0, test=0.0)):
            bad += len(chunk.bad)
            if not len(chunk):
                continue
            if self.codec.layout == "stream":
                stored += [self._windows(text) for text in chunk.examples]
                continue
            stored.append(self.codec.expand(self.codec.encode(chunk.examples)))
            rows.append(chunk.examples)
            if self.kind == "image":
                sizes |= {(one.height, one.width) for one in chunk.examples}
            for name, values in chunk.given.items():
                labels[name] += values
        x = np.concatenate(stored) if stored else np.zeros((0, *self.codec.space.shape))
        if others := sorted(sizes - {self.codec.space.grid}):
            notes.append(
                f"some pictures in {path} are {' x '.join(map(str, others[0]))} and were brought to "
                f"{' x '.join(map(str, self.codec.space.grid))}, the size of the real ones"
            )
        if bad:
            notes.append(f"{bad:,} of the examples in {path} could not be read")
        if len(x) < 2:
            what = (
                f"whole windows of {self.codec.space.grid[0]} symbols (those of the real text are so long)"
                if self.codec.layout == "stream"
                else "usable examples"
            )
            raise DataError(f"{path} holds {len(x)} {what}; a judgement needs at least 2")
        return LoadedExamples(x, rows, labels, notes)

    def chosen(self, stored: LoadedExamples, n: int, rng: np.random.Generator) -> Sample:
        """At most `n` of them."""
        index = np.sort(rng.permutation(len(stored.x))[:n])
        labels = {name: [values[i] for i in index] for name, values in stored.labels.items()}
        if self.kind != "table":
            return self.decoded(stored.x[index], labels)
        # As they stand in the file: a codec brings what cannot be back to what can.
        import pandas as pd

        raw = pd.concat(stored.rows, ignore_index=True).iloc[index].reset_index(drop=True)
        return self.sample(stored.x[index], raw, _columns(self.kind, raw, self.given))

    def write_and_reload(
        self, samples: Samples, n: int, rng: np.random.Generator
    ) -> tuple[Sample, list[str]]:
        """Samples of a model, from the files that a person gets, and what is odd about them."""
        with tempfile.TemporaryDirectory() as folder:
            files = samples.write(folder)
            lines = [file for file in files if file.suffix == ".jsonl"]
            stored = self.read(lines[0] if self.kind == "text" and lines else Path(folder))
        return self.chosen(stored, n, rng), stored.notes

    def _windows(self, text: str) -> Array:
        """A document as whole windows of the stream's length, side by side."""
        length = self.codec.space.grid[0]
        ids = self.codec.expand(self.codec.encode([text]))
        whole = len(ids) // length
        return ids[: whole * length].reshape(whole, 1, length)


def of_run(
    model: Model, n: int, seed: int, *, against: Path | None = None, extractor: str = "auto"
) -> EvaluationInput:
    """A run's samples against what was held out of its data, or against other real data."""
    bench = bench_of(model.recipe, seed, extractor)
    rng = np.random.default_rng([seed, 1])
    held: Sample | None = None
    notes: list[str] = []
    if against is None:
        count = _count(n, bench.dataset)
    else:
        stored = bench.read(against)
        held, notes = bench.chosen(stored, min(n, MOST_FAKE), rng), stored.notes
        count = len(held)
    fake, odd = bench.write_and_reload(model.sample(count, seed=seed), count, rng)
    case = _case(bench, fake, held, count, seed, notes + odd)
    seen = [f"step {one['step']:,}: {one['words']}" for one in model.run.alarms()]
    case.facts["noticed in training"] = "; ".join(seen) or "nothing"
    return case


def of_files(
    fake: Path,
    real: Path,
    holdout: Path | None,
    n: int,
    seed: int,
    *,
    label: str | None = None,
    group: str | None = None,
    extractor: str = "auto",
) -> EvaluationInput:
    """Samples of any origin against real data. Without `holdout` a part of `real` is held out here, and
    examples of one `group` on one side."""
    share = 0.25 if holdout is None else 0.2
    data = DataOptions(
        path=str(real), label=label, group=group, val=share, test=share if holdout is None else 0.0
    )
    bench = bench_of(Recipe(data=data), seed, extractor)
    rng = np.random.default_rng([seed, 1])
    made, exam = bench.read(fake), None if holdout is None else bench.read(holdout)
    held: Sample | None = None
    reference: Sample | None = None
    notes: list[str] = []
    if exam is None:
        notes.append(
            "no holdout was named: if the maker saw all of the real data, then copying was judged "
            "against examples that it had seen too"
        )
        count = _count(n, bench.dataset)
    else:
        count = min(n, MOST_FAKE, len(exam.x))
        floor = len(exam.x) >= 2 * count  # enough for it too, and what was trained on is no floor
        held = bench.chosen(exam, (2 if floor else 1) * count, rng)
        if floor:
            order = rng.permutation(2 * count)
            held, reference = (held.take(part) for part in np.split(order, 2))
        notes += exam.notes
    sample = bench.chosen(made, count, rng)
    return _case(bench, sample, held, min(count, len(sample)), seed, notes + made.notes, reference)


def judged(
    case: EvaluationInput,
    title: str,
    seed: int,
    wanted: Sequence[str] = (),
    likelihood: HeldoutLikelihood | None = None,
) -> EvaluationReport:
    """The verdict on a case, and on what its model makes of unseen examples where it can tell."""
    evidence = case.evidence
    asked = runner.metrics(evidence, wanted)
    others = runner.contenders(evidence, makers(case), seed)
    found = runner.results(evidence, others, asked, seed)
    if likelihood is not None:
        found.append(likelihood_result(likelihood))
    return EvaluationReport(
        title=title,
        claims=tuple(runner.claims(found)),
        facts=case.facts | {"protocol": runner.protocol(evidence, asked, seed)},
        results=tuple(found),
        galleries=galleries(evidence, seed),
        not_measured=case.notes,
    )


def makers(case: EvaluationInput) -> dict[str, Callable[[np.random.Generator], Sample]]:
    """The trivial generators, each making as many examples as there are to be judged."""
    return {
        name: partial(_made, case, maker)
        for name, maker in BASELINES.items()
        if name in (*baselines_for(case.evidence.space), "copycat")
    }


def _made(case: EvaluationInput, maker: Maker, rng: np.random.Generator) -> Sample:
    """Where there are labels, each class by itself and as often as it comes."""
    evidence, bench = case.evidence, case.bench
    train, n = evidence.train, len(evidence.fake)
    if bench.kind == "table" or not train.given:
        return bench.decoded(maker(train.x, evidence.space, n, rng), {})
    (name, *_) = train.given
    labels = np.array(train.given[name])
    chosen = rng.permutation(labels)[:n] if n <= len(labels) else rng.choice(labels, n)
    x = np.empty((n, *train.x.shape[1:]), train.x.dtype)
    for value in np.unique(chosen):
        places = chosen == value
        x[places] = maker(train.x[labels == value], evidence.space, int(places.sum()), rng)
    return bench.decoded(x, {name: chosen.tolist()})


def bench_of(recipe: Recipe, seed: int, extractor: str) -> ReferenceData:
    """The data of a recipe, whole rows at a time, and the lens made of it."""
    kind = find(recipe.data.path, recipe.codec.name).codec
    label = recipe.data.label
    if kind == "table":
        recipe = replace(recipe, data=replace(recipe.data, label=""))
    dataset = open_data(recipe)[2]
    codec = dataset.codec
    train = dataset.splits["train"]
    if len(train) < 10:
        raise DataError(f"{recipe.data.path} leaves {len(train)} examples to compare with: give more")
    index = np.random.default_rng([seed, 2]).permutation(len(train))[:MOST_FAKE]
    x, stored = train.gather(index)
    names = tuple(dataset.given) or (
        (label,) if isinstance(label, str) and label else tuple(label or ())
    )
    classes = None
    if stored:
        name = next(iter(stored))
        classes = [str(v) for v in train.given[name].decode(stored[name], np.random.default_rng(0))]

    def extractor_of() -> FeatureExtractor:
        return extractor_for(
            x,
            codec.space,
            classes,
            extractor,
            seed,
            dataset.key,
            raw=lambda stored: codec.decode(stored, {}),
        )

    return ReferenceData(kind, codec, names, dataset, extractor_of)


def _drawn(split: Split, n: int, rng: np.random.Generator) -> tuple[Array, dict[str, list[Any]]]:
    """At most `n` stored examples of a split, and the labels of each."""
    x, stored = split.gather(rng.permutation(len(split))[:n])
    return x, {
        name: list(split.given[name].decode(values, np.random.default_rng(0)))
        for name, values in stored.items()
    }


def _case(
    bench: ReferenceData,
    fake: Sample,
    held: Sample | None,
    n: int,
    seed: int,
    notes: list[str],
    reference: Sample | None = None,
) -> EvaluationInput:
    """Equal numbers of everything but the training examples. What is not given is drawn from the splits."""
    rng = np.random.default_rng([seed, 3])
    splits = bench.dataset.splits
    train = bench.seen(rng, whole=reference is not None)
    held = held if held is not None else bench.real(splits["test"], n, rng)
    if reference is None and len(splits["val"]) >= n // 2:
        reference = bench.real(splits["val"], n, rng)
    if caution := bench.extractor.caution(min(len(splits["train"]), MOST_FAKE)):
        notes.append(caution)
    if reference is None:
        notes.append("too few further real examples for a floor")
    elif len(reference) < n:
        n = len(reference)
    fake, held = (sample.take(np.arange(min(n, len(sample)))) for sample in (fake, held))
    reference = reference and reference.take(np.arange(min(n, len(reference))))
    known = set(held.keys)
    if (same := sum(key in known for key in fake.keys)) > len(fake) / 2:
        notes.insert(
            0,
            f"{same:,} of the {len(fake):,} generated examples equal held-out ones: their maker has seen the "
            f"exam, and nothing here shows how good it is; name another holdout",
        )
    evidence = Evidence(bench.codec.space, bench.extractor.name, train, held, fake, reference)
    facts = {
        "kind": bench.kind,
        "example": str(bench.codec.space),
        "data": bench.dataset.key,
        "training examples": len(train),
        "held-out examples": len(held),
        "generated examples": len(fake),
        "lens": bench.extractor.name,
        "seed": seed,
    }
    return EvaluationInput(evidence, bench, facts, tuple(notes))


def _count(n: int, dataset: Dataset) -> int:
    """How many to compare: no more than are held out."""
    held = len(dataset.splits["test"])
    if held < 10:
        raise DataError(
            f"only {held} examples are held out to judge by: give more data, raise data.test, or name a "
            f"holdout"
        )
    return min(n, held, MOST_FAKE)


def _columns(kind: str, raw: Any, names: Sequence[str]) -> dict[str, list[Any]]:
    """The labels that stand in a table's own columns."""
    return {name: list(raw[name]) for name in names if name in raw} if kind == "table" else {}
