"""Whether a classifier can tell generated examples from real ones: right half of the time, if nothing can."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np

from genwright.data.codec import Array
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Rate, varied
from genwright.evaluation.neighbours import nearest_neighbours
from genwright.options import Count

__all__ = ["ClassifierTwoSample", "Classifiers"]

Classifiers = list[Any]
PARTS = 0.5, 0.7
"""Where the examples are cut: to learn from, to choose the classifier by, to be asked about."""


class ClassifierTwoSample(Rate):
    """How often a classifier is right about new examples (Lopez-Paz & Oquab 2017): gradient-boosted trees
    or a logistic regression on `numbers`, whichever does better on a part of its own.

    A real example and its copy fall into one part together: else the classifier would learn that the one
    is real, and be wrong about the other. So do real examples that share content (`Field.blocks`), with those
    generated that are nearest to them: else it would learn what the one series was that all windows are of, and
    tell its neighbour by it.
    """

    name = "c2st"
    reads = "flat"
    group = "fidelity"
    better = "near"
    ideal = 0.5
    sees: ClassVar[tuple[str, ...] | None] = ("order", "ladder", "new_mode", "independence")
    how = "0.5: a classifier cannot tell generated from real; 1: it always can"

    def __init__(self, *, most: Count = 5000) -> None:
        """most: examples of each that are looked at."""
        self.most = most

    def least(self, evidence: Evidence) -> int:
        """Enough to learn from, and to be asked about."""
        return 40

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[float, int]:
        n = min(len(evidence.test), len(evidence.fake), self.most)
        test, fake = self.numbers(evidence, rng)
        varied(self.name, test)
        real, some = (_some(len(rows), n, rng) for rows in (test, fake))
        rows, made = np.vstack([test[real], fake[some]]), np.repeat([False, True], n)
        blocks = evidence.test.field.blocks(evidence.test.field.take(evidence.test.raw, real.tolist()))
        share, parts = 1.0, None
        if blocks is not None:
            share, parts = blocks.share, _parts(_beside(rows, blocks.number), rng)
        if parts is None or any(len(set(made[part].tolist())) < 2 for part in parts):
            share, (order, pair) = 1.0, _pairs(rows, made)
            rows, made = rows[order], made[order]
            parts = _parts(pair, rng)
        learn, choose, ask = parts

        best, most = None, -1.0
        for one in self.classifiers(rng):
            if most < 1.0:  # none does better than the first that is always right
                found = float(_fit(one, rows[learn], made[learn]).score(rows[choose], made[choose]))
                best, most = (one, found) if found > most else (best, most)
        assert best is not None
        right = best.predict(rows[ask]) == made[ask]
        rate = np.mean([right[made[ask] == kind].mean() for kind in np.unique(made[ask])])
        asked = max(1, round(share * len(right)))
        return float(rate) * asked, asked

    def numbers(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array]:
        """What classifiers see of the test and of the generated examples `(n, d)` and `(m, d)`."""
        return evidence.test.flat, evidence.fake.flat

    def classifiers(self, rng: np.random.Generator) -> Classifiers:
        """Of which the best is asked."""
        return _classifiers(rng)


def _pairs(rows: Array, made: Array) -> tuple[Array, Array]:
    """An order of the rows by content, `(2n,)`, and in that order the number of each one's pair: the j-th
    real and the j-th generated example of one content are a pair."""
    _, content = np.unique(rows, axis=0, return_inverse=True)
    kind = 2 * content + made
    order = np.argsort(kind, kind="stable")
    kind = kind[order]
    which = np.arange(len(kind)) - np.searchsorted(kind, kind)
    _, pair = np.unique(kind // 2 * len(rows) + which, return_inverse=True)
    return order, pair


def _beside(rows: Array, block: Array) -> Array:
    """The block of each row `(2n,)`: that of the real ones `(n,)`, and of a generated one that of the real one nearest
    to it, each number in units of its deviation."""
    n = len(block)
    wide = rows[:n].std(0)
    scaled = rows[:, wide > 0] / wide[wide > 0]
    _, nearest = nearest_neighbours(scaled[n:], scaled[:n])
    return np.concatenate([block, block[nearest[:, 0]]])


def _parts(block: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Masks `(2n,)` of what is learnt from, chosen by and asked about; no block is in two of them."""
    many = int(block.max()) + 1
    place = rng.permutation(many)[block] / many
    return place < PARTS[0], (place >= PARTS[0]) & (place < PARTS[1]), place >= PARTS[1]


def _classifiers(rng: np.random.Generator) -> list[Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seed = int(rng.integers(2**31))
    return [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        HistGradientBoostingClassifier(early_stopping=False, random_state=seed),
    ]


def _fit(classifier: Any, rows: Array, made: Array) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Classes that a plane parts have no best plane; any that is found will do.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return classifier.fit(rows, made)


def _some(total: int, n: int, rng: np.random.Generator) -> Array:
    """Places of `n` of so many: the larger set is cut to the size of the smaller one."""
    return np.arange(n) if total == n else np.sort(rng.permutation(total)[:n])
