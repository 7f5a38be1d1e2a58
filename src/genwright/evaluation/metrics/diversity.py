"""Whether the generated examples are as varied as the real ones, and what of the real ones is missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.cache import once
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Comparison, Measurement, Metric, OfFeatures, Statistic, Z, wilson
from genwright.options import Count, Positive

__all__ = ["ClassScore", "ModesMissed", "Vendi", "fit_classes", "missed", "vendi"]

DRAWS = 200
"""Of counts, for the interval of `modes_missed`."""


# -- Vendi score --------------------------------------------------------------------------------


def vendi(features: Array) -> float:
    """Vendi score of `(n, d)` with the cosine kernel (Friedman & Dieng 2022, eq. 1): exp of the entropy of
    the eigenvalues of K / n. `n` equal examples give 1, `n` orthogonal ones n.

    The eigenvalues of X X' / n are those of X' X / n and zeros: the smaller of the two is taken.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    # A row of zeros has no direction: it is like other such rows, and unlike all else.
    rows = np.hstack([features / np.where(lengths > 0, lengths, 1), lengths == 0])
    gram = rows.T @ rows if rows.shape[1] < len(rows) else rows @ rows.T
    shares = np.linalg.eigvalsh(gram / len(rows))
    shares = shares[shares > 1e-15]
    return float(np.exp(-(shares * np.log(shares)).sum()))


class Vendi(OfFeatures):
    """`vendi` of the generated examples over that of as many real ones, both centred on the real mean, so
    that the angles between them tell something (Friedman & Dieng 2022)."""

    name = "vendi"
    group = "diversity"
    better = "near"
    ideal = equal = 1.0
    sees = ("missing_mode", "collapse")
    how = "generated variety over real variety, whatever its quality: below 1 too alike, above 1 noisy"

    def compare(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        mean, n = test.mean(0), min(len(test), len(fake))  # the score grows with n
        real, made = ((x if len(x) == n else rng.permutation(x)[:n]) - mean for x in (test, fake))
        return vendi(made) / once(vendi, real)  # the real ones are the same for all contenders


# -- classes ------------------------------------------------------------------------------------


class ClassScore(Statistic):
    """exp E KL(p(y|x) || p(y)) of generated examples over that of real ones: the score of Salimans et al.
    (2016), with classes of this data's own, told by a logistic regression on the features of `train`."""

    name = "class_score"
    group = "diversity"
    better = "near"
    ideal = equal = 1.0
    needs = frozenset({"labels"})
    sees = ("missing_mode", "collapse")
    how = "below 1 where classes are missing or blurred; it does not see what differs within a class"

    def __init__(self, *, label: str | None = None, classes: Count = 100) -> None:
        """label: which one tells the class (the first, if not said). classes: the most there may be."""
        self.label = label
        self.classes = classes

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        """The classes' probabilities."""
        classifier = once(fit_classes, evidence.train.features, self._labels(evidence.train))
        test, fake = (
            classifier.predict_proba(sample.features) for sample in (evidence.test, evidence.fake)
        )
        return test, fake, lambda test, fake, rng: _class_score(fake) / _class_score(test)

    def _labels(self, train: Sample) -> Array:
        label = self.label or next(iter(train.given), "label")
        if label not in train.given:
            known = ", ".join(train.given) or "none"
            raise DataError(
                f"class_score needs a label of the training examples, and there is no {label!r}; "
                f"known: {known}",
                code="no-labels",
            )
        labels = np.array([str(value) for value in train.given[label]])
        if not 2 <= (n := len(np.unique(labels))) <= self.classes:
            raise DataError(
                f"class_score: the label {label!r} has {n} values, wanted 2 to {self.classes}; "
                f"choose another label",
                code="no-classes",
            )
        return labels


def fit_classes(features: Array, labels: Array) -> Any:
    """A logistic regression of labels `(n,)` on features `(n, f)`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(features, labels)


def _class_score(probabilities: Array) -> float:
    """exp of the mean divergence of `(n, classes)` from their mean."""
    tiny = np.finfo(np.float64).tiny
    logs, mean = np.log(probabilities.clip(tiny)), np.log(probabilities.mean(0).clip(tiny))
    return float(np.exp((probabilities * (logs - mean)).sum(1).mean()))


# -- modes --------------------------------------------------------------------------------------


def missed(
    evidence: Evidence, rng: np.random.Generator, *, per_cell: int = 50, level: float = 0.05
) -> Array:
    """Indices of the `test` examples in cells that the generated ones miss, `(missed,)`, rising.

    The cells are k-means of the training features, about one to `per_cell` held examples. A cell is missed
    when it holds significantly fewer generated than held examples: exact binomial test, given how many
    both are, Holm (1979) over the cells at `level`.
    """
    real, made = _cells(evidence, per_cell, rng)
    cells = _number(evidence, per_cell)
    test, fake = (np.bincount(x, minlength=cells) for x in (real, made))
    return np.flatnonzero(_missed(test, fake, level)[real])


def _missed(test: Array, fake: Array, level: float) -> Array:
    """Which cells are missed, by how many examples they hold, `(..., cells)`."""
    from scipy.special import bdtr

    share = fake.sum(-1, keepdims=True) / (test + fake).sum(-1, keepdims=True)
    p = bdtr(fake, test + fake, share)
    order = np.argsort(p, axis=-1, kind="stable")
    steps = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1) <= level
    found = np.empty(p.shape, dtype=bool)
    np.put_along_axis(found, order, np.logical_and.accumulate(steps, axis=-1), -1)
    return found


def _number(evidence: Evidence, per_cell: int) -> int:
    return max(10, len(evidence.test) // per_cell)


def _cells(evidence: Evidence, per_cell: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """The cell of each held and of each generated example."""
    points, cells = evidence.train.features, _number(evidence, per_cell)
    if (different := len(np.unique(points, axis=0))) < cells:
        raise DataError(
            f"modes_missed needs {cells} different training examples to tell modes by, there are {different}",
            code="no-variety",
        )
    means = once(_means, points, cells, int(rng.integers(2**31)))
    return means.predict(evidence.test.features), means.predict(evidence.fake.features)


def _means(points: Array, cells: int, seed: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(cells, n_init=1, random_state=seed).fit(points)


class ModesMissed(Metric):
    """Share of real examples in regions where generated ones are significantly too few (`missed`); the
    idea is that of Richardson & Weiss (2018), with one-sided exact tests and Holm's correction.

    A region is missed as a whole or not at all, and may be by a hair: to Wilson's interval for the share
    comes what the share strays by where the counts in the regions are drawn anew, each from the multinomial
    of what was seen.
    """

    name = "modes_missed"
    group = "diversity"
    better = "lower"
    ideal = 0.0
    sees = ("missing_mode", "collapse")
    how = "the share of real examples of kinds that are generated too rarely; few examples hide it"

    def __init__(self, *, per_cell: Count = 50, level: Positive = 0.05) -> None:
        """per_cell: held examples to a cell, about. level: of the test, over all cells."""
        self.per_cell = per_cell
        self.level = level

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        cells, n = _number(evidence, self.per_cell), len(evidence.test)
        test, fake = (np.bincount(x, minlength=cells) for x in _cells(evidence, self.per_cell, rng))
        hits = int(test[_missed(test, fake, self.level)].sum())
        again = [rng.multinomial(one.sum(), one / one.sum(), DRAWS) for one in (test, fake)]
        shares = (again[0] * _missed(again[0], again[1], self.level)).sum(1) / n
        strays = Z * float(np.std(shares))
        value, (low, high) = hits / n, wilson(hits, n)
        return Measurement(
            value,
            value - float(np.hypot(value - low, strays)),
            value + float(np.hypot(high - value, strays)),
            n,
        )
