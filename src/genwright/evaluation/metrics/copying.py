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
from genwright.evaluation.cache import once
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Measurement, Metric, Rate, Z, wilson
from genwright.evaluation.neighbours import distinct, nearest
from genwright.options import Count

__all__ = [
    "Authenticity",
    "DataCopying",
    "ExactCopies",
    "Lookalike",
    "NearCopies",
    "NearestShare",
    "lookalikes",
    "mann_whitney",
]

Representation = Literal["features", "numbers"]
"""Of a `Sample`: where distances are measured."""
Neighbours = Annotated[int, Ge(2)]

TAIL = 0.001
"""The share of real examples that may pass for near copies, at most."""
ALARM = 0.05
"""The chance that one of all the examples of an honest maker passes for a near copy."""
FILLED = 20
"""Examples of either kind that a cell needs (the tau of Meehan et al.)."""

SEARCHED = 10_000
"""Examples of the larger set that `NearestShare` looks at, at most, if it is given more than a part."""


def _sorted(rows: Array) -> Array:
    """The rows in an order that depends on what they are, not on how they came."""
    contents = [row.tobytes() for row in rows]
    return rows[sorted(range(len(rows)), key=contents.__getitem__)]


def _rows(sample: Sample, form: Representation) -> Array:
    return sample.features if form == "features" else sample.numbers


# -- copies --------------------------------------------------------------------------------------


class ExactCopies(Rate):
    """The share of generated examples whose content is that of a training example."""

    name = "exact_copies"
    group = "novelty"
    better = "lower"
    ideal = 0.0
    how = (
        "Share of generated examples that equal a training example; where real data repeat themselves, "
        "the floor says how many do by themselves."
    )

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        if not (evidence.train.keys and evidence.fake.keys):
            raise DataError(f"{self.name} compares digests of content, and these examples have none")
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
    held: int
    held_distance: float
    ratio: float


def lookalikes(
    evidence: Evidence, most: int | None = None, *, form: Representation = "features", k: int = 5
) -> list[Lookalike]:
    """Generated examples (at most `most` of them), those that look most like copies first."""
    fake = _rows(evidence.fake, form)
    ratios, distances, train = _ratios(fake, _rows(evidence.train, form), k)
    to_held, held = (found[:, 0] for found in nearest(fake, _rows(evidence.held, form)))
    order = np.lexsort([distances, ratios])[:most]
    return [
        Lookalike(
            int(i), int(train[i]), float(distances[i]), int(held[i]), float(to_held[i]), float(ratios[i])
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
    form    where distances are measured: features or numbers
    """

    name = "near_copies"
    group = "novelty"
    better = "lower"
    ideal = 0.0
    how = (
        "Share of generated examples far nearer to one training example than real unseen ones ever are; "
        "above 0 means copies, and the gallery shows them."
    )

    def __init__(self, *, k: Neighbours = 5, form: Representation = "features") -> None:
        self.k, self.form = k, form

    def least(self, evidence: Evidence) -> int:
        return 50

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        held, fake, train = (
            _rows(sample, self.form) for sample in (evidence.held, evidence.fake, evidence.train)
        )
        real, made = (_ratios(rows, train, self.k)[0] for rows in (held, fake))
        if (real == 0).mean() > TAIL:  # real examples repeat each other: an equal one shows nothing
            real, made = real[real > 0], made[made > 0]
        if len(real) < self.least(evidence):
            raise DataError(
                f"{self.name}: all but {len(real)} of the held-out examples equal training examples, so "
                f"nearness tells no copy here; read exact_copies beside its floor, or remove the repeats"
            )
        threshold = _threshold(real, len(fake), train.shape[1])
        return int((made < threshold).sum()), len(fake)


def _ratios(queries: Array, train: Array, k: int) -> tuple[Array, Array, Array]:
    """For each query the ratio of the nearest and the k-th distance, the nearest one, and where it is."""
    kept = distinct(train)  # else a training example that is there k times would hide its copies
    distances, places = nearest(queries, train[kept], k)
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

    form    where distances are measured: features or numbers
    """

    name = "nearest_share"
    group = "novelty"
    better = "near"
    fault = "above"
    ideal = 0.5
    how = (
        "Share of generated examples nearer to training than to unseen examples: 0.5 where the maker took "
        "no more from the one than from the other. It says nothing of single copies."
    )

    def __init__(self, *, form: Representation = "features") -> None:
        self.form = form

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        fake, sides = (
            _rows(evidence.fake, self.form),
            [_sorted(_rows(sample, self.form)) for sample in (evidence.train, evidence.held)],
        )
        size = min(map(len, sides))
        parts = [_parts(side, size, rng) for side in sides]
        # One of the two is a single part: it is held against every part of the other.
        found = [_won(fake, train, held) for train, held in product(*parts)]
        (share, design), n = (float(x) for x in np.mean(found, axis=0)), len(fake)
        effective = max(1, round(n / max(1.0, design)))
        return Measurement(share, *wilson(round(share * effective), effective), n)


def _parts(rows: Array, size: int, rng: np.random.Generator) -> list[Array]:
    """Random parts of equal size, none of the rows in two of them."""
    order = rng.permutation(len(rows))
    most = min(len(rows), max(size, SEARCHED)) // size
    return [rows[np.sort(order[i * size : (i + 1) * size])] for i in range(most)]


def _won(fake: Array, train: Array, held: Array) -> tuple[float, float]:
    """The share nearer to `train` than to the `held`, as many, and how many times its variance is that of
    independent examples."""
    (to_train, one), (to_held, other) = (
        (found[:, 0] for found in nearest(fake, side)) for side in (train, held)
    )
    won = (to_train < to_held) + 0.5 * (to_train == to_held)
    owners, credit = np.concatenate([one, other + len(train)]), np.concatenate([won, 1 - won])
    counts = np.bincount(owners, weights=credit, minlength=2 * len(train))
    return float(won.mean()), 2 * len(train) * float(counts.var(ddof=1)) / len(fake)


class DataCopying(Metric):
    """C_T of Meehan, Chaudhuri & Dasgupta (2020, arXiv:2004.05675), on the scale of a standard normal.

    In each k-means cell of the training set, a Mann-Whitney test compares the distances to the training
    set of generated and of held-out examples. The paper averages the cells' z by the share w of held-out
    examples in them; that mean is divided by sqrt(sum w^2), its standard deviation, so that the result is
    a z itself. Cells with fewer than 20 of either are left out: a maker that misses a cell is not judged
    there. A maker that stays where the law is dense, or that collapsed there, is near to training examples
    too: read it as copying only where `nearest_share` agrees.

    cells   of k-means
    form    where distances are measured: features or numbers
    """

    name = "c_t"
    group = "novelty"
    better = "near"
    fault = "below"
    ideal = 0.0
    how = (
        "A z: below -2 generated examples lie nearer to the training set than unseen real ones, which is "
        "copying, or too little variety; above 2 farther, which is underfitting. Blind to a few copies."
    )

    def __init__(self, *, cells: Count = 5, form: Representation = "features") -> None:
        self.cells, self.form = cells, form

    def least(self, evidence: Evidence) -> int:
        return FILLED * self.cells

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        train = _sorted(_rows(evidence.train, self.form)).astype(np.float64)
        others = [_rows(sample, self.form) for sample in (evidence.held, evidence.fake)]
        (held, held_cells), (fake, fake_cells) = zip(
            (nearest(rows, train)[0][:, 0] for rows in others),
            _cells(train, others, self.cells, int(rng.integers(2**31))),
            strict=True,
        )
        scores, weights = [], []
        for cell in range(self.cells):
            real, made = held[held_cells == cell], fake[fake_cells == cell]
            if min(len(real), len(made)) >= FILLED:
                scores.append(mann_whitney(made, real)[1])
                weights.append(len(real))
        if not scores:
            raise DataError(
                f"{self.name}: no cell of the training set holds {FILLED} held-out and {FILLED} generated "
                f"examples; the two lie apart, or there are too few"
            )
        z = float(np.dot(weights, scores) / np.linalg.norm(weights))
        return Measurement(z, z - Z, z + Z, min(len(held), len(fake)))


def _cells(train: Array, others: list[Array], cells: int, seed: int) -> list[Array]:
    """The k-means cell of `train` that each row of the others is in."""
    centres = once(_centres, train, cells, seed)
    return [nearest(rows, centres)[1][:, 0] for rows in others]


def _centres(train: Array, cells: int, seed: int) -> Array:
    from sklearn.cluster import KMeans

    cells = min(cells, len(distinct(train)))
    return np.asarray(KMeans(cells, n_init=3, random_state=seed).fit(train).cluster_centers_)


def mann_whitney(a: Array, b: Array) -> tuple[float, float]:
    """P(a > b), ties half, and its z with the variance corrected for ties (0 where all are equal)."""
    _, inverse, counts = np.unique(np.concatenate([a, b]), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    m, n = len(a), len(b)
    u = float(ranks[:m].sum()) - m * (m + 1) / 2
    ties = float((counts.astype(np.float64) ** 3 - counts).sum()) / ((m + n) * (m + n - 1))
    variance = m * n / 12 * (m + n + 1 - ties)
    return u / (m * n), (u - m * n / 2) / math.sqrt(variance) if variance > 0 else 0.0


class Authenticity(Metric):
    """AuthPct of Alaa et al. (2022, arXiv:2102.08921), less that of the held-out examples.

    A generated example is authentic if it is farther from its nearest training example than that one is
    from its own nearest. Real unseen examples are so in some 71 % of cases, not in 50 or 100; hence the
    difference, in percentage points, with the interval of Newcombe (1998, method 10). Examples that are more
    ordinary than real ones, or collapsed, have fewer that are authentic without any being a copy.

    form    where distances are measured: features or numbers
    """

    name = "authenticity"
    group = "novelty"
    better = "near"
    fault = "below"
    ideal = 0.0
    how = (
        "Share of generated examples that keep their distance from the training example they are next to, "
        "less that of unseen real ones, in percentage points: negative means too near, or too little varied."
    )

    def __init__(self, *, form: Representation = "features") -> None:
        self.form = form

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        train = _rows(evidence.train, self.form)
        own = nearest(train, train, same=True)[0][:, 0]
        hits, sizes = [], []
        for sample in (evidence.fake, evidence.held):
            distances, places = nearest(_rows(sample, self.form), train)
            hits.append(int((distances[:, 0] > own[places[:, 0]]).sum()))
            sizes.append(len(sample))
        fake, held = (hit / n for hit, n in zip(hits, sizes, strict=True))
        (fake_low, fake_high), (held_low, held_high) = map(wilson, hits, sizes)
        low = fake - held - math.hypot(fake - fake_low, held_high - held)
        high = fake - held + math.hypot(fake_high - fake, held - held_low)
        return Measurement(100 * (fake - held), 100 * low, 100 * high, min(sizes))
