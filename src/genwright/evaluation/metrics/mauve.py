"""MAUVE: two sets of texts as histograms over shared clusters of their features."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.special import rel_entr
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import normalize

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Comparison, Statistic
from genwright.options import Count, Positive

__all__ = ["Mauve"]

REPEATS = 5
"""Runs of k-means: its start moves the value."""
VARIANCE = 0.9
"""That the axes of the features keep which are clustered."""


class Mauve(Statistic):
    """MAUVE (Pillutla et al. 2021, arXiv:2102.01454): both sets of features in the cells of one k-means,
    then the area under exp(-scale KL(q|r)) and exp(-scale KL(p|r)) for r = w p + (1 - w) q, 0 < w < 1.

    As in the authors' code: features of length 1, the axes with 90 % of their variance, a tenth as many
    cells as examples of one side. The mean over 5 runs of k-means. Few examples make it optimistic (the
    authors take 5,000), and the absolute value says nothing: it hangs on the features, the number of cells
    and `scale`. Only values of one evidence compare. The interval keeps the cells and halves the examples.

    scale  of the divergences
    cells  of k-means; None: a tenth of the examples of one side, at most 500
    """

    name = "mauve"
    group = "fidelity"
    better = "higher"
    ideal = 1.0
    reads = "text"
    sees = ("order", "ladder", "missing_mode", "new_mode")
    how = "Higher is closer; compare only with the floor beside it, since the value itself is arbitrary."

    def __init__(self, *, scale: Positive = 5.0, cells: Count | None = None) -> None:
        self.scale, self.cells = scale, cells

    def least(self, evidence: Evidence) -> int:
        return 1000

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        """The cells `(n, REPEATS)`: clustering each half anew would take 24 times as long."""
        n = len(evidence.test)
        joint = np.concatenate([evidence.test.features, evidence.fake.features])
        cells = self.cells or min(500, max(2, round(min(n, len(joint) - n) / 10)))
        found = _clustered(joint, min(cells, len(joint)), rng)
        return found[:n], found[n:], self.frontier

    def frontier(self, test: Array, fake: Array, rng: np.random.Generator) -> float:
        """MAUVE of cells, the mean of the repeats."""
        cells = int(max(test.max(), fake.max())) + 1
        areas = []
        for real, made in zip(test.T, fake.T, strict=True):
            p, q = (np.bincount(some, minlength=cells) / len(some) for some in (real, made))
            areas.append(_area(p, q, self.scale))
        return float(np.mean(areas))


def _clustered(features: Array, cells: int, rng: np.random.Generator) -> Array:
    """The cell of each row in each of `REPEATS` runs of k-means, `(n, REPEATS)`."""
    order = np.lexsort(features.T)  # so that the order of the examples decides nothing
    rows = normalize(features[order])
    if not np.ptp(rows, axis=0).any():
        raise DataError(
            "mauve: all features are the same, so there is nothing to cluster", code="no-variety"
        )
    rows = PCA(n_components=VARIANCE, svd_solver="covariance_eigh").fit_transform(rows)
    result = np.empty((len(rows), REPEATS), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than cells: no harm
        for i, seed in enumerate(rng.integers(1 << 31, size=REPEATS).tolist()):
            result[order, i] = KMeans(cells, n_init=1, random_state=seed).fit_predict(rows)
    return result


def _area(p: Array, q: Array, scale: float) -> float:
    """Under the frontier of two histograms `(cells,)`; 25 mixtures, as in the authors' code."""
    weight = np.linspace(1e-6, 1 - 1e-6, 25)[:, None]
    r = weight * p + (1 - weight) * q
    x = np.exp(-scale * rel_entr(q, r).sum(1))
    y = np.exp(-scale * rel_entr(p, r).sum(1))
    # From (1, 0) to (0, 1): r goes from q to p.
    return float(-np.trapezoid(np.concatenate([[0], y, [1]]), np.concatenate([[1], x, [0]])))
