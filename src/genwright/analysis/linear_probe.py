"""Linear probe: a linear model predicts a label from the latent codes of unseen examples, and from other
features for comparison (Alain & Bengio 2016, arXiv:1610.01644; Chen et al. 2020, section 2.2).

    codes       of the run
    untrained   codes of the same architecture before training, begun from another seed
    numbers     the examples themselves, as a network sees them
    majority    the most frequent label of the training split, or its mean

The model is a logistic regression for a label of symbols, scored by accuracy, and a ridge regression for
numbers, scored by R2. It is fitted on the training split, its strength chosen on the examples to choose by,
and scored on those to judge by. A family is not told of any condition while it encodes, for a code could
simply repeat it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from genwright.batch import Batch
from genwright.data.codec import SplitName
from genwright.data.columns.field import ColumnField
from genwright.data.dataset import Dataset, Split
from genwright.data.field import Array
from genwright.data.loader import evenly
from genwright.errors import DataError, RecipeError, Unsupported, suggest
from genwright.evaluation.extractors.learned import PcaExtractor
from genwright.evaluation.metric import Z, wilson
from genwright.experiment import open_data
from genwright.families.capabilities import Encoder
from genwright.model import Model
from genwright.options import Count, Natural
from genwright.registry import check

__all__ = ["Probe", "ProbeScore", "fit_probe"]

MOST = 10_000
"""Unseen examples that are scored at most."""
LEAST = 20
"""Unseen examples under which nothing is said."""
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Of the regressions, as the inverse of the penalty (C of scikit-learn)."""
DRAWS = 1000
"""Bootstrap draws of the unseen examples."""


@dataclass(frozen=True)
class ProbeScore:
    """The score of one set of features with its 95 % interval, and how far the codes are ahead of it on the
    same examples, with that interval (None for the codes themselves)."""

    value: float
    low: float
    high: float
    ahead: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Probe:
    """The result of a linear probe.

    measure   "accuracy" or "R2"
    scores    by set of features, the codes first
    train, n  examples that were fitted on, and unseen ones that were scored
    """

    family: str
    label: str
    measure: str
    scores: dict[str, ProbeScore]
    dims: dict[str, int]
    train: int
    n: int
    seed: int

    @property
    def verdict(self) -> str:
        """In words, against each of the others."""
        parts = []
        for name, score in self.scores.items():
            if score.ahead is not None:
                _, low, high = score.ahead
                how = "beat" if low > 0 else "lose to" if high < 0 else "cannot be told from"
                parts.append(f"{how} {name}")
        return f"The codes {', '.join(parts)}."


def fit_probe(model: Model, label: str | None = None, n: int = 10_000, seed: int = 0) -> Probe:
    """Fit and score a linear probe of a run's codes.

    label   what is predicted from the codes (None: the run's first condition, else the data's own label)
    n       the most training examples to fit on
    Raises `Unsupported` where the family has no codes, `DataError` where there is no such label.
    """
    check({"n": n, "seed": seed}, {"n": Count, "seed": Natural}, where="probe")
    family = model.family
    if not isinstance(family, Encoder):
        raise Unsupported(
            f"{family.name} has no codes to probe: train a family that has (--family contrastive, vae)",
            code="no-encoder",
        )
    dataset, label = _labelled(model, label)
    column = dataset.fields[label]
    symbols = isinstance(column, ColumnField) and column.symbols
    most: dict[SplitName, int] = {"train": n, "val": MOST // 4, "test": MOST}
    parts = {part: _read(model, dataset.splits[part], label, most[part], symbols) for part in most}
    (x, truth), (_, asked) = parts["train"], parts["test"]
    if len(asked) < LEAST:
        raise DataError(
            f"a probe is scored on at least {LEAST} examples held out to judge by, and here are "
            f"{len(asked)}: give more data, or raise data.test in training",
            code="too-few-examples",
        )
    if len(np.unique(truth)) < 2:
        raise DataError(
            f"{label!r} is the same in all training examples, so there is nothing to read off",
            code="one-value",
        )
    sets = {
        "codes": [_codes(model, family, some) for some, _ in parts.values()],
        "untrained": [_codes(model, _untrained(model, x), some) for some, _ in parts.values()],
        "numbers": [_numbers(model, some) for some, _ in parts.values()],
        "majority": [np.zeros((len(some), 1)) for _, some in parts.values()],
    }
    rng = np.random.default_rng(seed)
    truths = [some for _, some in parts.values()]
    guesses = {name: _read_off(seen, truths, symbols, seed) for name, seen in sets.items()}
    draws = rng.integers(0, len(asked), (DRAWS, len(asked)))
    return Probe(
        family=model.family.name,
        label=label,
        measure="accuracy" if symbols else "R2",
        scores={name: _score(guesses, name, asked, symbols, draws) for name in guesses},
        dims={name: seen[0].shape[1] for name, seen in sets.items() if name != "majority"},
        train=len(truth),
        n=len(asked),
        seed=seed,
    )


# -- what is read ----------------------------------------------------------------------------------


def _labelled(model: Model, label: str | None) -> tuple[Dataset, str]:
    """The run's data with the label beside each example, and its name."""
    recipe, dataset = model.recipe, model.dataset
    codec, source = dataset.codec, dataset.source
    known = codec.labels(source)
    own = [*model.pipeline.scalars, *codec.default_labels(source)]
    wanted = label or next(iter(own), None)
    if wanted is None:
        raise DataError(
            f"{recipe.data.path} has no label to read off the codes"
            + (f": name one of its columns ({', '.join(known[:8])}) with --label" if known else ""),
            code="no-labels",
        )
    if wanted in dataset.fields:
        return dataset, wanted
    if wanted not in known:
        raise DataError(
            f"{recipe.data.path} has no label {wanted!r}; {suggest(wanted, known)}", code="no-such-field"
        )
    if wanted in dataset.fields[dataset.main].parts:
        raise RecipeError(
            f"{wanted!r} is part of what this run encodes, so that reading it off would prove nothing: train "
            f"with --label {wanted} to leave it out of the examples",
            code="label-in-example",
        )
    more = [name for name in dataset.fields if name != dataset.main]
    other = replace(recipe, data=replace(recipe.data, label=[*more, wanted]))
    return open_data(other)[1], wanted


def _read(model: Model, split: Split, label: str, most: int, symbols: bool) -> tuple[list[Batch], Array]:
    """At most `most` examples of a split in batches, stored, and what is to be read off `(n,)`."""
    numbers = evenly(len(split), most)
    if not len(numbers):
        return [], np.zeros(0)
    pipeline, cpu = model.pipeline, torch.device("cpu")
    batches = []
    for start in range(0, len(numbers), 256):
        some = numbers[start : start + 256]
        example = pipeline.example(split, some, cpu)
        x = example[pipeline.spec.make]
        mask = pipeline.counted(split, len(some), cpu)
        if mask is None:
            mask = pipeline.made.space.valid(x)
        batches.append(Batch(x, {name: example[name] for name in pipeline.scalars}, mask))
    truth = split.gather(numbers, [label])[label][:, 0]
    return batches, truth.astype(np.int64 if symbols else np.float64)


@torch.no_grad()
def _codes(model: Model, family: Encoder, batches: Sequence[Batch]) -> Array:
    """Codes `(n, dim)`, encoded without any condition."""
    found = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for batch in batches:
            some = Batch(batch.x, {}, batch.mask).to(family.device)
            some.x = model.bridge.forward(some.x)
            found.append(family.encode(some).flatten(1).double().cpu().numpy())
    return np.concatenate(found) if found else np.zeros((0, 1))


def _untrained(model: Model, batches: Sequence[Batch]) -> Encoder:
    """The same architecture from another seed, with the scales that training begins with."""
    other = replace(model.recipe, seed=model.recipe.seed + 1)
    family = Model(other, model.pipeline).family
    assert isinstance(family, Encoder)
    family.to(model.family.device)
    first = batches[0].to(family.device)
    cond = {name: value for name, value in first.cond.items() if name in family.cond}
    with torch.random.fork_rng():
        torch.manual_seed(other.seed)
        family.prepare(Batch(model.bridge.forward(first.x), cond, first.mask))
    return family.eval()


def _numbers(model: Model, batches: Sequence[Batch]) -> Array:
    backbone = PcaExtractor.backbone(model.pipeline.made.space)
    return np.concatenate([backbone(b.x).numpy() for b in batches]) if batches else np.zeros((0, 1))


# -- the linear model ------------------------------------------------------------------------------


def _read_off(seen: Sequence[Array], truths: Sequence[Array], symbols: bool, seed: int) -> Array:
    """Predictions of a linear model on the test split `(n,)`; `seen` and `truths` hold features and labels of
    the train, validation and test split."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (train, val, test), (truth, chosen_by, _) = seen, truths

    def fitted(strength: float) -> Any:
        linear: Any = Ridge(alpha=1 / strength)
        if symbols:
            linear = LogisticRegression(C=strength, max_iter=500, tol=1e-3, random_state=seed)
        return make_pipeline(StandardScaler(), linear).fit(train, truth)

    best = fitted(STRENGTHS[1])
    if len(val) >= LEAST and bool(train.any()):
        tried = [fitted(strength) for strength in STRENGTHS]
        best = max(tried, key=lambda linear: linear.score(val, chosen_by))
    return np.asarray(best.predict(test))


def _score(
    guesses: dict[str, Array], name: str, truth: Array, symbols: bool, draws: Array
) -> ProbeScore:
    """The score of one set of features, against the codes on the same bootstrap draws."""

    def measured(guess: Array) -> tuple[float, Array]:
        """On all examples, and on each draw of them."""
        if symbols:
            right = (guess == truth).astype(np.float64)
            return float(right.mean()), right[draws].mean(1)
        missed, squares = (guess - truth) ** 2, (truth - truth.mean()) ** 2
        means = truth[draws].mean(1)
        variances = (truth[draws] ** 2).mean(1) - means**2
        value = 1 - float(missed.sum()) / max(float(squares.sum()), 1e-12)
        return value, 1 - missed[draws].mean(1) / np.maximum(variances, 1e-12)

    value, drawn = measured(guesses[name])
    low, high = np.quantile(drawn, [0.025, 0.975])
    if symbols:
        low, high = wilson(round(value * len(truth)), len(truth))
    if name == "codes":
        return ProbeScore(value, float(low), float(high))
    codes, codes_drawn = measured(guesses["codes"])
    far = Z * float((codes_drawn - drawn).std())
    return ProbeScore(
        value, float(low), float(high), (codes - value, codes - value - far, codes - value + far)
    )
