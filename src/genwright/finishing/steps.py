"""The steps of finishing: each takes made examples and says which of them fail and why, or how good each is.

What is a copy, an impossible value or a broken rule is what the judge's own code says it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as has
from functools import cached_property

import numpy as np
import torch

from genwright.batch import Batch
from genwright.data.codec import Array, Values
from genwright.data.field import Field
from genwright.data.table.field import RowField
from genwright.data.text.field import TextField
from genwright.errors import DataError, GenwrightError, RecipeError, RunError, Unsupported, suggest
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metrics.copying import CopyTest
from genwright.evaluation.metrics.rules import impossible_cells, rules_of
from genwright.evaluation.neighbours import distinct, nearest_neighbours
from genwright.evaluation.reference import MOST_FAKE, MOST_TRAIN, ReferenceData, reference_data
from genwright.families.capabilities import DensityEstimator, generative
from genwright.model import Model
from genwright.pipeline import Asked

__all__ = [
    "DROPS",
    "RANKS",
    "Copies",
    "Invalid",
    "Likelihood",
    "Nearness",
    "Outcome",
    "RealExamples",
    "Step",
    "ranking",
]

NEIGHBOURS = 5
"""As in `CopyTest`: the distance to the fifth of the different training examples is no smaller for a copy."""
REPEATS = 0.001
"""The share of held-out examples that equal training examples, from which on an equal one shows nothing."""


@dataclass(frozen=True)
class Outcome:
    """What a step says of `n` examples.

    scores   `(n,)`, the higher the better; all alike of a step that only drops
    reasons  why an example is dropped, by its place; the others pass
    """

    scores: Array
    reasons: Mapping[int, str] = has(default_factory=dict)


class Step(ABC):
    """One step of finishing."""

    name: str
    """As a person asks for it, and as the counts name it."""

    @abstractmethod
    def __call__(self, values: Mapping[str, Values], asked: Asked) -> Outcome:
        """What it says of raw values by field, `n` each, which were made for what was asked."""


# -- real examples ---------------------------------------------------------------------------------


class RealExamples:
    """The data that a model was trained on, as the judge sees it: opened when a step first asks for it.

    n  examples that will be compared with it, in all
    """

    def __init__(self, model: Model, n: int) -> None:
        self.model, self.n = model, n

    @cached_property
    def data(self) -> ReferenceData:
        """With the features that the judge fits by default. Raises `RunError` where the data are not there."""
        try:
            return reference_data(self.model.recipe, self.model.dataset, 0, "auto")
        except GenwrightError as error:
            raise RunError(
                f"to drop or to rank examples they are compared with the training data, which cannot be "
                f"used: {error}; or leave that step out",
                code="no-training-data",
            ) from error

    @cached_property
    def train(self) -> Sample:
        return self.data.seen(np.random.default_rng([0, 3]), whole=False)

    @cached_property
    def held(self) -> Sample | None:
        """Examples that training did not learn from: the larger part of those held out."""
        splits = self.data.dataset.splits
        largest = max((splits["test"], splits["val"]), key=len)
        return (
            self.data.real(largest, MOST_FAKE, np.random.default_rng([0, 4])) if len(largest) else None
        )

    @property
    def evidence(self) -> Evidence:
        """The training examples alone, for what is learnt from them."""
        train = self.train
        return Evidence(self.data.field.space, self.data.extractor.name, train, train, train)

    def sample(self, values: Mapping[str, Values]) -> tuple[Sample | None, Array]:
        """Made examples as the judge sees them, and which one each of its rows is of: a text of a stream is as many
        rows as it has whole windows. None where there is no row."""
        raw, field = values[self.data.make], self.data.field
        if isinstance(field, TextField) and field.stream:
            windows = [field.windows(text) for text in raw]
            owners = np.repeat(np.arange(len(windows)), [len(some) for some in windows])
            x = np.concatenate(windows)
            return (self.data.decoded(x, {}) if len(x) else None), owners
        given = {name: some for name, some in values.items() if name != self.data.make}
        x = field.tensor(raw).numpy()
        if isinstance(field, RowField):
            raw = field.join([raw])  # numbered from 0
        return self.data.sample(x, raw, given), np.arange(len(x))


# -- what is dropped -------------------------------------------------------------------------------


class Invalid(Step):
    """Drops what cannot be read again and, of a table, rows with a value that could not stand in a real one or that
    break a rule which all training rows keep (see the metrics `validity` and `constraints`)."""

    name = "invalid"

    def __init__(self, model: Model, real: RealExamples) -> None:
        self.model, self.real = model, real
        self.row = isinstance(model.pipeline.made, RowField)
        if not self.row:
            return
        evidence = real.evidence
        self.impossible = impossible_cells(evidence)
        try:
            self.kept = rules_of(evidence, np.random.default_rng(0))
        except DataError:  # no rule holds, or there are too few rows to tell
            self.kept = lambda sample: np.ones(len(sample), dtype=bool)

    def __call__(self, values: Mapping[str, Values], asked: Asked) -> Outcome:
        made = values[self.model.pipeline.spec.make]
        reasons = unreadable(self.model.pipeline.made, made)
        if self.row:
            readable = [i for i in range(len(made)) if i not in reasons]
            some = {
                name: self.model.pipeline.fields[name].take(one, readable)
                for name, one in values.items()
            }
            reasons |= {readable[i]: why for i, why in self._rows(some).items()} if readable else {}
        return Outcome(np.zeros(len(made)), reasons)

    def _rows(self, values: Mapping[str, Values]) -> dict[int, str]:
        sample, _ = self.real.sample(values)
        assert sample is not None
        kept = self.kept(sample)
        reasons = {
            int(i): "a rule that every training row keeps is broken" for i in np.flatnonzero(~kept)
        }
        for name, test in self.impossible.items():
            cells = list(sample.raw[name]) if name in sample.raw.columns else list(sample.given[name])
            reasons |= {int(i): f"{name!r} is {cells[i]!r}" for i in np.flatnonzero(test(cells))}
        return reasons


def unreadable(field: Field, values: Values) -> dict[int, str]:
    """Why an example could not be read again, by its place."""
    if not _fault(field, values):
        return {}
    faults = {i: _fault(field, field.take(values, [i])) for i in range(len(values))}
    return {i: fault for i, fault in faults.items() if fault}


def _fault(field: Field, values: Values) -> str:
    try:
        compact = field.encode(values)
    except DataError as error:
        return str(error)
    real = np.issubdtype(compact.dtype, np.floating)
    return "a number in it is not finite" if real and not np.isfinite(compact).all() else ""


class Copies(Step):
    """Drops what is suspiciously near to one training example, as the metric `near_copies` has it, and what equals
    one, unless real examples do so too. A text of a stream is a copy if one of its windows is.

    Where too few examples were held out to learn what is near, those that equal one are dropped alone, and
    `note` says so.
    """

    name = "copies"

    def __init__(self, model: Model, real: RealExamples) -> None:
        self.real, self.note = real, ""
        self.known = frozenset(real.train.keys)
        held = real.held
        equal = 0.0 if held is None else float(np.mean([key in self.known for key in held.keys]))
        equal = max(equal, chance_of_match(real.train.keys))
        self.near: CopyTest | None = None
        try:
            if held is None:
                raise DataError("none is held out", code="too-few-examples")
            self.near = CopyTest(real.train.features, held.features, max(1, real.n))
        except DataError as error:
            if equal > REPEATS:
                raise Unsupported(
                    f"copies cannot be told here: about {equal:.0%} of unseen examples equal training examples, "
                    f"so that an equal one shows nothing; leave --drop copies out",
                    code="copies-untold",
                ) from error
            self.note = (
                "near copies are not told with so few examples held out: only equal ones were dropped"
            )
        if equal > REPEATS:
            self.known = frozenset()
            if self.near is not None:
                self.near.repeats = True
        if (there := len(real.data.dataset.splits["train"])) > MOST_TRAIN:
            self.note = f"copies were looked for among {MOST_TRAIN:,} of the {there:,} training examples"

    def __call__(self, values: Mapping[str, Values], asked: Asked) -> Outcome:
        scores = np.zeros(len(values[self.real.data.make]))
        sample, owners = self.real.sample(values)
        if sample is None:
            return Outcome(scores)
        near = np.zeros(len(sample), dtype=bool) if self.near is None else self.near(sample.features)
        reasons = {
            int(owners[i]): "far nearer to one than unseen ones are" for i in np.flatnonzero(near)
        }
        equal = [i for i, key in enumerate(sample.keys) if key in self.known]
        return Outcome(scores, reasons | {int(owners[i]): "equal to one" for i in equal})


def chance_of_match(keys: Sequence[str]) -> float:
    """How likely an unseen example equals a training example that is there once, from how many are there twice (Good
    1953, eq. 2): known better than by the held-out examples, which are fewer."""
    twice = sum(count == 2 for count in Counter(keys).values())
    return 2 * twice / max(1, len(keys))


DROPS: Mapping[str, type[Invalid] | type[Copies]] = {step.name: step for step in (Invalid, Copies)}
"""What can be dropped, by name."""


# -- what is best ----------------------------------------------------------------------------------


class Likelihood(Step):
    """The log-likelihood of each example under the model that made it, given what was asked for, in nats; of
    examples of several lengths by position, or else the shortest would win."""

    name = "likelihood"

    def __init__(self, model: Model) -> None:
        self.model = model
        assert isinstance(model.family, DensityEstimator)
        self.family = model.family

    @classmethod
    def of(cls, model: Model) -> Likelihood | None:
        """None where the family has no likelihood of an example, or takes many passes for one."""
        family, made = model.family, model.pipeline.made
        if (
            not isinstance(family, DensityEstimator)
            or not family.likelihood
            or family.likelihood_examples
        ):
            return None
        return cls(model) if model.bridge.keeps_likelihood and not made.stream else None

    @torch.no_grad()
    def __call__(self, values: Mapping[str, Values], asked: Asked) -> Outcome:
        pipeline, family = self.model.pipeline, self.family
        x = pipeline.made.tensor(values[pipeline.spec.make])
        mask = pipeline.made.space.valid(x)
        if pipeline.bridge.target.grid != pipeline.bridge.source.grid:
            mask = None
        found, chunk = [], generative(family).chunk
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for start in range(0, len(x), chunk):
                some = slice(start, start + chunk)
                seen = pipeline.bridge.forward(x[some].to(family.device))
                cond = {name: one[some].to(family.device) for name, one in asked.request.cond.items()}
                there = None if mask is None else mask[some].to(family.device)
                found.append(family.log_prob(Batch(seen, cond, there)).double().cpu())
        scores = torch.cat(found)
        if mask is not None:
            scores = scores / mask.flatten(1).sum(1).clamp(min=1)
        return Outcome(np.nan_to_num(scores.numpy(), nan=-np.inf, neginf=-np.inf))


class Nearness(Step):
    """Minus the distance to the fifth nearest of the different training examples, in the judge's features: how
    much an example lies where real ones do. A copy gains nothing by what it copies."""

    name = "nearness to real examples"

    def __init__(self, real: RealExamples) -> None:
        self.real = real
        features = real.train.features
        self.features = features[distinct(features)]
        if len(self.features) < NEIGHBOURS:
            raise DataError(
                f"the training data hold {len(self.features)} different examples, too few to be near to: "
                f"leave --best-of out",
                code="too-few-examples",
            )

    def __call__(self, values: Mapping[str, Values], asked: Asked) -> Outcome:
        sample, owners = self.real.sample(values)
        n = len(values[self.real.data.make])
        if sample is None:
            return Outcome(np.full(n, -np.inf))
        far = nearest_neighbours(sample.features, self.features, NEIGHBOURS)[0][:, -1]
        rows = np.bincount(owners, minlength=n)
        total = np.bincount(owners, weights=far, minlength=n)
        return Outcome(np.where(rows > 0, -total / np.maximum(rows, 1), -np.inf))


RANKS = ("auto", "likelihood", "nearness")
"""By what examples can be ranked: auto is the first that can be had."""


def ranking(model: Model, real: RealExamples, by: str = "auto") -> Step:
    """What says which example is best. Raises `Unsupported` where nothing can."""
    if by not in RANKS:
        raise RecipeError(f"nothing ranks by {by!r}; {suggest(by, RANKS)}", code="no-such-step")
    if by == "nearness":
        return Nearness(real)
    likelihood = Likelihood.of(model)
    if likelihood is not None:
        return likelihood
    if by == "likelihood":
        raise Unsupported(
            f"{model.family.name} has no likelihood of an example here that takes few passes: rank by nearness",
            code="no-ranking",
        )
    try:
        return Nearness(real)
    except GenwrightError as error:
        raise Unsupported(
            f"nothing can rank what this run makes: {model.family.name} has no likelihood here (autoregressive, "
            f"masked, flow and vae have one), and its training data cannot be compared with ({error}); put "
            f"them back, or leave --best-of out",
            code="no-ranking",
        ) from error


def steps_of(
    model: Model, drop: Sequence[str], best_of: int, n: int, rank: str | None = None
) -> list[Step]:
    """The steps that were asked for, ready: what stands in their way is said now.

    rank  by what the best are told, and all are to be ordered (None: they are not)
    """
    real = RealExamples(model, n * best_of)
    steps: list[Step] = [DROPS[name](model, real) for name in dict.fromkeys(drop)]
    return steps + ([ranking(model, real, rank or "auto")] if best_of > 1 or rank else [])
