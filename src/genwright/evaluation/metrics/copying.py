"""Whether the generated examples are copies of training examples.

Further real examples are also near to some training example; so every number here has real examples that the
maker did not see as its measure, and none of them reads a short distance alone as a copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Measurement, Metric, Rate, Z, wilson
from genwright.evaluation.neighbours import distinct, nearest_neighbours

__all__ = [
    "CopyTest",
    "ExactCopies",
    "Lookalike",
    "NearCopies",
    "NearestShare",
    "lookalikes",
]

Representation = Literal["features", "flat"]
"""Of a `Sample`: where distances are measured."""
Neighbours = Annotated[int, Ge(2)]

TAIL = 0.001
"""The share of real examples that may pass for near copies, at most."""
ALARM = 0.05
"""The chance that one of all the examples of an honest maker passes for a near copy."""

SEARCHED = 10_000
"""Examples of the larger set that `NearestShare` looks at, at most, if it is given more than a part."""


def _sorted(rows: Array) -> Array:
    """The rows in an order that depends on what they are, not on how they came."""
    contents = [row.tobytes() for row in rows]
    return rows[sorted(range(len(rows)), key=contents.__getitem__)]


def _rows(sample: Sample, form: Representation) -> Array:
    return sample.features if form == "features" else sample.flat


# -- copies --------------------------------------------------------------------------------------


class ExactCopies(Rate):
    """The share of generated examples whose content is that of a training example."""

    name = "exact_copies"
    reads = "flat"
    group = "novelty"
    better = "lower"
    ideal = 0.0
    sees = ("all_copied", "tenth_copied", "hundredth_copied")
    how = (
        "Share of generated examples that equal a training example; where real data repeat themselves, "
        "the floor says how many do by themselves."
    )

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        if not (evidence.train.keys and evidence.fake.keys):
            raise DataError(
                f"{self.name} compares digests of content, and these examples have none",
                code="no-digests",
            )
        seen = set(evidence.train.keys)
        return sum(key in seen for key in evidence.fake.keys), len(evidence.fake)


@dataclass(frozen=True)
class Lookalike:
    """A generated example, the training example it is most like, and the held-out one.

    ratio   of the distances to the nearest and to the k-th nearest of the different training examples:
            0 is a copy, near 1 is one among many neighbours
    """

    index: int
    train: int
    distance: float
    test: int
    test_distance: float
    ratio: float


def lookalikes(
    evidence: Evidence, most: int | None = None, *, form: Representation = "features", k: int = 5
) -> list[Lookalike]:
    """Generated examples (at most `most` of them), those that look most like copies first."""
    fake = _rows(evidence.fake, form)
    ratios, distances, train = _ratios(fake, _rows(evidence.train, form), k)
    to_test, test = (found[:, 0] for found in nearest_neighbours(fake, _rows(evidence.test, form)))
    order = np.lexsort([distances, ratios])[:most]
    return [
        Lookalike(
            int(i), int(train[i]), float(distances[i]), int(test[i]), float(to_test[i]), float(ratios[i])
        )
        for i in order
    ]


class NearCopies(Rate):
    """The share of generated examples that are suspiciously near to one training example.

    Nearness is the ratio of the distances to the nearest and to the `k`-th nearest of the different
    training examples, so that a dense region, where everything is near, does not count. What ratio is
    suspicious is learnt from the held-out examples: at most 0.1 % of them fall below it, and an honest
    maker has one chance in twenty that any of its examples does. Such a tail is rarer than the held-out
    examples can show, so it is extrapolated (see `_threshold`); the fewer they are, the lower it lies. In
    data of two or three dimensions honest examples do fall very near to others, and only copies that are
    all but exact are found. Where real examples repeat each other, equal ones are left to `exact_copies`.

    k       neighbours that say how dense a region is
    form    where distances are measured: features or flat
    """

    name = "near_copies"
    group = "novelty"
    better = "lower"
    ideal = 0.0
    sees = ("all_copied", "tenth_copied", "hundredth_copied")
    exchangeable = True
    how = (
        "Share of generated examples far nearer to one training example than real unseen ones ever are; "
        "above 0 means copies, and the gallery shows them."
    )

    def __init__(self, *, k: Neighbours = 5, form: Representation = "features") -> None:
        self.k, self.form = k, form

    def least(self, evidence: Evidence) -> int:
        return 50

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        test, fake, train = (
            _rows(sample, self.form) for sample in (evidence.test, evidence.fake, evidence.train)
        )
        found = CopyTest(train, test, len(fake), self.k, least=self.least(evidence))
        return int(found(fake).sum()), len(fake)


class CopyTest:
    """Which examples are suspiciously near to one training example, as `NearCopies` has it.

    train, test  `(n, d)` each, in the form that distances are measured in
    n            examples that will be asked about: one honest maker in twenty has any of them called a copy
    k            neighbours that say how dense a region is
    least        held-out examples that have to differ from all training examples
    Raises `DataError` where nearness tells no copy.
    """

    def __init__(self, train: Array, test: Array, n: int, k: Neighbours = 5, *, least: int = 50) -> None:
        self.train, self.k = train, k
        real = _ratios(test, train, k)[0]
        self.repeats = bool((real == 0).mean() > TAIL)
        """Whether real examples repeat each other: then an equal one shows nothing."""
        if self.repeats:
            real = real[real > 0]
        if len(real) < least:
            raise DataError(
                f"near_copies: all but {len(real)} of the held-out examples equal training examples, so "
                f"nearness tells no copy here; read exact_copies beside its floor, or remove the repeats",
                code="too-few-examples",
            )
        self.threshold = _threshold(real, n, train.shape[1])

    def __call__(self, made: Array) -> Array:
        """Which of `(n, d)` are copies `(n,)`."""
        ratios = _ratios(made, self.train, self.k)[0]
        found: Array = ratios < self.threshold
        return found & (ratios > 0) if self.repeats else found


def _ratios(queries: Array, train: Array, k: int) -> tuple[Array, Array, Array]:
    """For each query the ratio of the nearest and the k-th distance, the nearest one, and where it is."""
    kept = distinct(train)  # else a training example that is there k times would hide its copies
    distances, places = nearest_neighbours(queries, train[kept], k)
    near, far = distances[:, 0], distances[:, -1]
    ratios = np.divide(near, far, out=np.ones(len(near)), where=far > 0)
    return ratios, near, kept[places[:, 0]]


def _threshold(real: Array, n: int, width: int) -> float:
    """The ratio below which one of `n` honest examples falls with probability `ALARM`.

    Near 0 the chance of a ratio below r grows as r^a, where a is the dimension that the data really has.
    Hill (1975) estimates a from the smallest ratios of real examples: sum log(edge / r) over m of them is
    Gamma(m) / a. We take the lower end of its 95 % interval (Wilson & Hilferty 1931), and never more than
    `width`: with few examples, or on a grid of symbols, a would come out too large and raise false alarms.
    """
    allowed = int(TAIL * len(real))
    ordered = np.sort(real)
    tail = ordered[ordered > 0]
    m = max(10, len(tail) // 20)
    # Among symbols many ratios are equal; all that tie with the m-th are in, and the edge is the next one.
    edge = tail[min(np.searchsorted(tail, tail[m - 1], side="right"), len(tail) - 1)]
    m = max(1, int((tail < edge).sum()))
    total = float(np.log(edge / tail[:m]).sum())
    quantile = m * (1 - 1 / (9 * m) - Z / (3 * math.sqrt(m))) ** 3
    power = min(quantile / total, width) if total > 0 else width
    wanted = min(TAIL, ALARM / n)
    level = edge * min(1.0, wanted * len(real) / m) ** (1 / power)
    return float(min(level, ordered[allowed]))


class NearestShare(Metric):
    """The share of generated examples that are nearer to the training than to the held-out examples.

    Both sets are equally large: the larger is taken part by part (10,000 of it at most), so that the share
    does not hang on one draw of a part, and the mean is the number. A tie, such as with an example that both
    hold, counts half for each. The interval is Wilson's for fewer examples where many of them share a
    neighbour: if training and held-out examples are exchangeable, so are the counts c of generated
    examples that each is nearest to, and the number near the one half of N has variance N/4 var(c).

    form    where distances are measured: features or flat
    """

    name = "nearest_share"
    group = "novelty"
    better = "near"
    fault = "above"
    ideal = 0.5
    sees = ("all_copied",)
    exchangeable = True
    how = (
        "Share of generated examples nearer to training than to unseen examples: 0.5 where the maker took "
        "no more from the one than from the other. It says nothing of single copies."
    )

    def __init__(self, *, form: Representation = "features") -> None:
        self.form = form

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        fake, sides = (
            _rows(evidence.fake, self.form),
            [_sorted(_rows(sample, self.form)) for sample in (evidence.train, evidence.test)],
        )
        size = min(map(len, sides))
        parts = [_parts(side, size, rng) for side in sides]
        # One of the two is a single part: it is held against every part of the other.
        found = [_won(fake, train, test) for train, test in product(*parts)]
        (share, design), n = (float(x) for x in np.mean(found, axis=0)), len(fake)
        effective = max(1, round(n / max(1.0, design)))
        return Measurement(share, *wilson(round(share * effective), effective), n)


def _parts(rows: Array, size: int, rng: np.random.Generator) -> list[Array]:
    """Random parts of equal size, none of the rows in two of them."""
    order = rng.permutation(len(rows))
    most = min(len(rows), max(size, SEARCHED)) // size
    return [rows[np.sort(order[i * size : (i + 1) * size])] for i in range(most)]


def _won(fake: Array, train: Array, test: Array) -> tuple[float, float]:
    """The share nearer to `train` than to the `test`, as many, and how many times its variance is that of
    independent examples."""
    (to_train, one), (to_test, other) = (
        (found[:, 0] for found in nearest_neighbours(fake, side)) for side in (train, test)
    )
    won = (to_train < to_test) + 0.5 * (to_train == to_test)
    owners, credit = np.concatenate([one, other + len(train)]), np.concatenate([won, 1 - won])
    counts = np.bincount(owners, weights=credit, minlength=2 * len(train))
    return float(won.mean()), 2 * len(train) * float(counts.var(ddof=1)) / len(fake)
