"""From a run, or from files of any origin, to the evidence that is judged.

Whatever is judged is read from files, a run's own samples too: the judge sees what a person gets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from genwright.data.dataset import Dataset
from genwright.errors import DataError
from genwright.evaluation import runner
from genwright.evaluation.baselines import BASELINES, Maker, baselines_for
from genwright.evaluation.evidence import Evidence, Pairs, Sample
from genwright.evaluation.galleries import galleries
from genwright.evaluation.metrics.likelihood import HeldoutLikelihood, likelihood_result
from genwright.evaluation.pairs import pairs_of
from genwright.evaluation.reference import MOST_FAKE, ReferenceData, reference_data
from genwright.evaluation.results import EvaluationReport
from genwright.experiment import open_data
from genwright.families.workers import single_threaded
from genwright.model import Model, Samples
from genwright.recipe import DataOptions, Plugin, Recipe

__all__ = [
    "EvaluationInput",
    "judged",
    "makers",
    "of_files",
    "of_run",
    "of_train_copy",
]

USUAL, FEWEST = 2_000, 200
"""Examples that are compared where no number is named, at most, and those that are made whatever it costs."""
WORK = 5e11
"""Floating point operations that making them may take: some 30 seconds of a core."""
TRIED = 8
"""Examples that are made to count the operations: as many as are made at once where few are wanted."""


@dataclass(frozen=True)
class EvaluationInput:
    """Evidence, what made it comparable, and what to say about it."""

    evidence: Evidence
    bench: ReferenceData
    facts: dict[str, Any]
    notes: tuple[str, ...]


def of_run(
    model: Model,
    n: int | None,
    seed: int,
    *,
    against: Path | None = None,
    extractor: str = "auto",
    sample: Callable[[int], Samples] | None = None,
) -> EvaluationInput:
    """A run's samples against what was held out of its data, or against other real data.

    n       examples of each to compare, at most (None: 2,000, or as many as `WORK` makes; 200 at least)
    sample  makes so many examples, where nothing but labels is given (None: the model does)
    """
    bench = reference_data(model.recipe, model.dataset, seed, extractor)
    rng = np.random.default_rng([seed, 1])
    held: Sample | None = None
    notes: list[str] = []
    most = USUAL if n is None else n
    if against is None:
        count = _count(most, bench.dataset)
    else:
        stored = bench.read(against)
        held, notes = bench.chosen(stored, min(most, MOST_FAKE), rng), [*stored.notes]
        count = len(held)
    if n is None and (fewer := _affordable(model, count, seed)) < count:
        notes.append(
            f"of {count:,} held-out examples {fewer:,} at most are compared, since making one takes long; -n {count} "
            f"asks for all"
        )
        count, held = fewer, held and held.take(np.arange(fewer))
    pairs = None if against is not None else pairs_of(model, bench, count, seed)
    if pairs is not None and not model.makes_from_labels:
        fake, held, odd = pairs.made, pairs.true, list[str]()
    else:
        made = model.sample(count, seed=seed) if sample is None else sample(count)
        fake, odd = bench.write_and_reload(made, count, rng)
    case = _case(bench, fake, held, count, seed, notes + odd, pairs=pairs)
    seen = [f"step {one['step']:,}: {one['words']}" for one in model.run.alarms()]
    case.facts["step"] = model.step
    case.facts["noticed in training"] = "; ".join(seen) or "nothing"
    return case


def of_train_copy(
    recipe: Recipe, dataset: Dataset, n: int, seed: int, *, extractor: str = "auto"
) -> EvaluationInput:
    """Training examples in the place of samples: what a model is held against, before there is one."""
    bench = reference_data(recipe, dataset, seed, extractor)
    count = _count(n, dataset)
    fake = bench.real(dataset.splits["train"], count, np.random.default_rng([seed, 1]))
    return _case(bench, fake, None, count, seed, [])


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
    codec: str = "auto",
) -> EvaluationInput:
    """Samples of any origin against real data. Without `holdout` a part of `real` is held out here, and
    examples of one `group` on one side.

    codec  which one reads them
    """
    share = 0.25 if holdout is None else 0.2
    data = DataOptions(
        path=str(real), label=label, group=group, val=share, test=share if holdout is None else 0.0
    )
    bench = reference_data(*open_data(Recipe(data=data, codec=Plugin(codec))), seed, extractor)
    rng = np.random.default_rng([seed, 1])
    made, exam = bench.read(fake, made=True), None if holdout is None else bench.read(holdout)
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
    notes = bench.named(made, fake) + notes
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
        claims=tuple(runner.claims(found, case.bench.field.rules())),
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
    if bench.field.parts or not train.given:
        return bench.decoded(maker(train.x, evidence.space, n, rng), {})
    (name, *_) = train.given
    labels = np.array(train.given[name])
    chosen = rng.permutation(labels)[:n] if n <= len(labels) else rng.choice(labels, n)
    x = np.empty((n, *train.x.shape[1:]), train.x.dtype)
    for value in np.unique(chosen):
        places = chosen == value
        x[places] = maker(train.x[labels == value], evidence.space, int(places.sum()), rng)
    return bench.decoded(x, {name: chosen.tolist()})


def _case(
    bench: ReferenceData,
    fake: Sample,
    held: Sample | None,
    n: int,
    seed: int,
    notes: list[str],
    reference: Sample | None = None,
    *,
    pairs: Pairs | None = None,
) -> EvaluationInput:
    """Equal numbers of everything but the training examples. What is not given is drawn from the splits."""
    rng = np.random.default_rng([seed, 3])
    splits = bench.dataset.splits
    train = bench.seen(rng, whole=reference is not None)
    given = held is not None
    held = held if held is not None else bench.real(splits["test"], n, rng)
    if reference is None and len(splits["val"]) >= n // 2:
        reference = bench.real(splits["val"], n, rng)
    if reference is None and not given and (half := len(held) // 2):
        notes.append(
            f"with {len(splits['val']):,} examples to choose by, half of the {len(held):,} held-out ones are the floor "
            f"of the others"
        )
        held, reference = held.take(np.arange(half)), held.take(np.arange(half, 2 * half))
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
    evidence = Evidence(bench.field.space, bench.extractor.name, train, held, fake, reference, pairs)
    facts = {
        "kind": bench.kind,
        "example": str(bench.field.space),
        "data": bench.dataset.key,
        "training examples": len(train),
        "held-out examples": len(held),
        "generated examples": len(fake),
        "lens": bench.extractor.name,
        "seed": seed,
    }
    return EvaluationInput(evidence, bench, facts, tuple(notes))


def _affordable(model: Model, count: int, seed: int) -> int:
    """Of so many examples those that `WORK` makes. Operations are counted, since a clock would say something else
    each time; a count within the threads of `side_by_side` would see none."""
    if count <= FEWEST or not model.makes_from_labels:
        return count
    with single_threaded(), FlopCounterMode(display=False) as counter:
        model.sample(TRIED, seed=seed)
    each = counter.get_total_flops() / TRIED
    return min(count, max(FEWEST, int(WORK / max(each, 1.0))))


def _count(n: int, dataset: Dataset) -> int:
    """How many to compare: no more than are held out."""
    held = len(dataset.splits["test"])
    if held < 10:
        raise DataError(
            f"only {held} examples are held out to judge by: give more data, raise data.test, or name a "
            f"holdout",
            code="too-few-examples",
        )
    return min(n, held, MOST_FAKE)
