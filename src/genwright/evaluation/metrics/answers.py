"""Answers of any kind beside the right ones: how near, whether the same, and whether found among others."""

from __future__ import annotations

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Pairs
from genwright.evaluation.metric import OfPairs
from genwright.options import Count

__all__ = ["ExactMatch", "FeatureDistance", "RetrievalRank", "pairs_in"]


def pairs_in(evidence: Evidence) -> Pairs:
    """What was given, made and right. Raises `DataError` where there are no pairs."""
    if evidence.pairs is None:
        raise DataError("there are no right answers to compare with", code="no-pairs")
    return evidence.pairs


class FeatureDistance(OfPairs):
    """The mean distance of the features of an answer from those of the right one: the perceptual reading, since
    a shift by a pixel moves all pixels and hardly what a network sees (Zhang et al. 2018, arXiv:1801.03924, who
    weigh the features of a network for pictures; here they are of the data's own extractor)."""

    name = "feature_distance"
    better = "lower"
    ideal = 0.0
    how = "How far each answer looks from the right one, in features: 0 is the same, shuffled is any other."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        pairs = pairs_in(evidence)
        far = np.linalg.norm(pairs.made.features - pairs.true.features, axis=1)
        return np.column_stack([far, np.ones(len(far))])


class ExactMatch(OfPairs):
    """The share of answers that are the right one, symbol for symbol."""

    name = "exact_match"
    better = "higher"
    ideal = 1.0
    share = True
    sees = ("ladder", "ignored", "collapse")
    how = "The share of answers that are the right one to the letter; 1 is all."

    def fits(self, evidence: Evidence) -> bool:
        return evidence.space.kind == "symbol"

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        pairs = pairs_in(evidence)
        same = [a == b for a, b in zip(pairs.made.keys, pairs.true.keys, strict=True)]
        return np.column_stack([same, np.ones(len(same))]).astype(np.float64)


class RetrievalRank(OfPairs):
    """The mean share of the right answers to other questions that come before the right one, a tie counting half.

    By the model's log-likelihood of each answer under what is given, where it has an exact one; else by the distance of
    their features from what was made. Those that equal the right answer are left out.

    among     answers that the right one is looked for among, itself one of them
    debiased  from each log-likelihood that of the answer under other questions is taken off, the logarithm of the
              mean: short and frequent answers are likely whatever is given (Lin et al. 2023, arXiv:2306.01879)
    """

    name = "retrieval_rank"
    better = "lower"
    ideal = 0.0
    share = True
    how = "The share of wrong answers that are taken for the right one before it: 0 is none, 0.5 is chance."

    def __init__(self, *, among: Count = 51, debiased: bool = False) -> None:
        self.among, self.debiased = among, debiased

    def fits(self, evidence: Evidence) -> bool:
        return bool(evidence.space.grid) and evidence.pairs is not None and evidence.pairs.whole

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        pairs = pairs_in(evidence)
        if pairs.log_probs is None:  # in an order that the right answers alone decide
            pairs = pairs.take(np.argsort(pairs.true.keys, kind="stable"))
            scores = _by_features(pairs, self.among)
        else:
            scores = pairs.log_probs
        if pairs.log_probs is not None and self.debiased:
            scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        blocks, size = scores.shape[:2]
        right = np.diagonal(scores, axis1=1, axis2=2)[..., None]
        before = (scores > right) + 0.5 * (scores == right)
        keys = np.unique(pairs.true.keys[: blocks * size], return_inverse=True)[1].reshape(blocks, size)
        other = keys[:, :, None] != keys[:, None, :]
        wrong, counts = before * other, np.maximum(other.sum(2), 1)
        share, taken = wrong.sum(2) / counts, wrong.sum(1) / counts
        # A pair says something by its question and by its answer, which stands among those of others; the mean
        # is that of the shares, and both count in the interval (the projection of Hoeffding 1948).
        value = share + taken - taken.mean()
        return np.stack([value.ravel(), np.ones(value.size)], axis=1)


def _by_features(pairs: Pairs, among: int) -> Array:
    """Minus the squared distance of each of a block of right answers from what was made `(b, c, c)`."""
    made, true = pairs.made.features, pairs.true.features
    size = min(among, len(made))
    blocks = len(made) // size
    a, b = (x[: blocks * size].reshape(blocks, size, -1) for x in (made, true))
    return np.asarray(-((a[:, :, None] - b[:, None]) ** 2).sum(3))
