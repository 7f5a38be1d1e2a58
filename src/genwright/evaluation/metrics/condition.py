"""Whether a conditional model heeds its conditions: a generated example beside its own condition, and beside
that of another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.cache import once
from genwright.evaluation.evidence import Evidence, Pairs
from genwright.evaluation.metric import Measurement, Metric, Z, wilson
from genwright.evaluation.metrics.diversity import fit_classes
from genwright.options import Count

__all__ = ["Heeded", "Mismatch", "as_numbers"]

BLOCK = 512
"""Rows of a matrix of distances that are in memory at a time."""
TREES = 100


@dataclass(frozen=True)
class Mismatch:
    """How far `n` examples are from their conditions.

    own     `(n,)` from the example's own condition
    others  `(n,)` from the conditions of the other examples, on average
    back    `(n,)` of the example's condition from the other examples, on average
    shares  whether each of `own` is 0 or 1
    """

    own: Array
    others: Array
    back: Array
    shares: bool = False


class Heeded(Metric):
    """1 - E d(example, its own condition) / E d(example, a condition of another example): 0 where what is
    given is ignored, since then any other condition fits as well; 1 where it is met exactly.

    For labels that few examples differ in, d is 0 where a classifier trained on the real training examples
    reads the given label off the generated one, else 1 (GAN-test of Shmelkov et al. 2018, arXiv:1807.09499);
    corrected for chance as here it is the kappa of Cohen (1960), eq. 1. For a label of many numbers d is the
    absolute difference from what a regressor reads off; several labels are averaged. Where pairs are there
    (a picture from a caption), d is the distance in features from the true example of a condition. The
    interval is the delta method for a ratio of U-statistics (Hoeffding 1948); of shares not narrower than
    Wilson's.

    label    which one to ask for (None: all that were given)
    classes  different values up to which a label of numbers is one of classes
    """

    name = "heeded"
    group = "condition"
    better = "higher"
    needs = frozenset({"condition"})
    sees = ("order", "ladder", "independence", "ignored")
    how = "0: what is given is ignored; the floor is what real examples reach with their own conditions."

    def __init__(self, *, label: str | None = None, classes: Count = 20) -> None:
        self.label, self.classes = label, classes

    def least(self, evidence: Evidence) -> int:
        return 20

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        if evidence.pairs is not None and evidence.pairs.whole:
            return _heeded([_of_pairs(evidence.pairs)])
        train, fake = evidence.train.conditions, evidence.fake.conditions
        wanted = [self.label] if self.label else [name for name in train if name in fake]
        if not wanted or any(name not in train or name not in fake for name in wanted):
            raise DataError(
                f"heeded needs a label on the training and on the generated examples, wanted "
                f"{self.label or 'any'}; training ones have {', '.join(train) or 'none'}, generated ones "
                f"{', '.join(fake) or 'none'}",
                code="no-labels",
            )
        return _heeded([self._of_label(evidence, name) for name in wanted])

    def _of_label(self, evidence: Evidence, name: str) -> Mismatch:
        train, fake = evidence.train, evidence.fake
        known, given = train.conditions[name], fake.conditions[name]
        numbers = as_numbers(known)
        if numbers is not None and len(np.unique(numbers)) > self.classes:
            asked = as_numbers(given)
            if asked is None:
                raise DataError(
                    f"heeded: the label {name!r} holds numbers, and the generated examples were given others",
                    code="not-a-number",
                )
            read_off = once(_regressed, train.features, numbers, fake.features)
            return _of_numbers(read_off, asked)
        labels = np.array([str(value) for value in known])
        if (n := len(np.unique(labels))) < 2 or n > len(labels) // 2:
            raise DataError(
                f"heeded: the label {name!r} has {n} values in {len(labels)} training examples, so none can "
                f"be learnt; choose another label",
                code="no-classes",
            )
        read_off = once(fit_classes, train.features, labels).predict(fake.features)
        return _of_classes(read_off, np.array([str(value) for value in given]))


def _heeded(found: Sequence[Mismatch]) -> Measurement:
    """The mean over what was given, with its interval."""
    n = len(found[0].own)
    values, influence, low, high = [], np.zeros(n), 0.0, 0.0
    for one in found:
        own, other = float(one.own.mean()), float(one.others.mean())
        if other == 0:
            raise DataError(
                "heeded: what was given is the same for all examples, so there is no other condition to "
                "compare with",
                code="no-variety",
            )
        values.append(1 - own / other)
        influence += (one.own - own) / other - own / other**2 * (one.others + one.back - 2 * other)
        if one.shares:
            least, most = wilson(round(own * n), n)
            low, high = low + (most - own) / other, high + (own - least) / other
    value = float(np.mean(values))
    error = Z * float(influence.std(ddof=1)) / math.sqrt(n) / len(found)
    below, above = max(error, low / len(found)), max(error, high / len(found))
    return Measurement(value, value - below, value + above, n)


def _of_classes(read_off: Array, given: Array) -> Mismatch:
    """0 where the class that is read off is the given one, else 1."""
    names, codes = np.unique(np.concatenate([read_off, given]), return_inverse=True)
    seen, told, n = codes[: len(given)], codes[len(given) :], len(given)
    own = (seen != told).astype(np.float64)
    given_as, seen_as = (np.bincount(some, minlength=len(names)) for some in (told, seen))
    others, back = n - given_as[seen] - own, n - seen_as[told] - own  # its own condition is no other
    return Mismatch(own, others / (n - 1), back / (n - 1), shares=True)


def _of_numbers(read_off: Array, given: Array) -> Mismatch:
    """The absolute difference of numbers `(n,)`."""
    own, n = np.abs(read_off - given), len(given)
    others, back = (_total(a, b) - own for a, b in ((read_off, given), (given, read_off)))
    return Mismatch(own, others / (n - 1), back / (n - 1))


def _total(a: Array, b: Array) -> Array:
    """sum_j |a_i - b_j| for each i, from sorted `b` and its running sums."""
    ordered = np.sort(b)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    below = np.searchsorted(ordered, a)
    return np.asarray(a * below - sums[below] + (sums[-1] - sums[below]) - a * (len(b) - below))


def _of_pairs(pairs: Pairs) -> Mismatch:
    """The distance in features of what was made from what is true."""
    made, true, n = pairs.made.features, pairs.true.features, len(pairs.made)
    if len(true) != n:
        raise DataError(
            f"heeded: {n} generated examples and {len(true)} true ones are no pairs: give one for each",
            code="unequal-pairs",
        )
    own = np.linalg.norm(made - true, axis=1)
    others, back = np.zeros(n), np.zeros(n)
    squares = np.einsum("nd,nd->n", true, true)
    for start in range(0, n, BLOCK):
        block = made[start : start + BLOCK]
        gaps = np.einsum("nd,nd->n", block, block)[:, None] + squares - 2 * block @ true.T
        far = np.sqrt(gaps.clip(0))
        others[start : start + BLOCK] = far.sum(1)
        back += far.sum(0)
    return Mismatch(own, (others - own) / (n - 1), (back - own) / (n - 1))


def as_numbers(values: Sequence[Any]) -> Array | None:
    """The values as finite numbers, if all of them are."""
    try:
        found = np.array([float(value) for value in values])
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found).all() else None


def _regressed(features: Array, numbers: Array, asked: Array) -> Array:
    """What gradient-boosted trees read off the features `asked`."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(max_iter=TREES, early_stopping=False, random_state=0)
    return np.asarray(model.fit(features, numbers).predict(asked), dtype=np.float64)
