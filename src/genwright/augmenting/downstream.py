"""The model that a label is predicted with: boosted trees of the other columns of a row, else a linear model of the
judge's features."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from genwright.data.codec import Array
from genwright.data.columns.types import Numeric
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metrics.diversity import fit_classes
from genwright.evaluation.views.table import codes_of, modelled, numbers_of, ranked_values, values_of

__all__ = ["LabelledRows", "Predictor"]

CLASSES = 100
"""Of a label at most."""
LEAF = 20
"""Examples in a leaf of a tree, where there are enough."""


@dataclass(frozen=True)
class LabelledRows:
    """What a label is predicted from `(n, d)`, and the number of the class of each `(n,)`."""

    x: Array
    y: Array

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: Array) -> LabelledRows:
        return LabelledRows(self.x[index], self.y[index])

    def joined(self, other: LabelledRows) -> LabelledRows:
        return LabelledRows(np.concatenate([self.x, other.x]), np.concatenate([self.y, other.y]))


class Predictor:
    """How examples are seen, and how a label is learnt from them.

    evidence  whose training examples say what classes and columns there are
    Raises `DataError` where the label is none of few classes.
    """

    def __init__(self, evidence: Evidence, label: str) -> None:
        self.label, self.trees = label, "row" in evidence.views
        train = evidence.train
        self.counts = Counter(map(str, self.labels(train)))
        self.classes = sorted(self.counts)
        if not 2 <= len(self.classes) <= CLASSES:
            raise DataError(
                f"{label!r} has {len(self.classes)} values in the training examples, and 2 to {CLASSES} classes are "
                f"wanted: name another label",
                code="no-classes",
            )
        self.columns = (
            {name: column for name, column in modelled(evidence).items() if name != label}
            if self.trees
            else {}
        )
        if self.trees and not self.columns:
            raise DataError(
                f"there is no column beside {label!r} to predict it from", code="too-few-columns"
            )
        self.known = {name: ranked_values(self._values(train, name)) for name in self.columns}

    def labels(self, sample: Sample) -> list[Any]:
        """The raw labels of a sample. Raises `DataError` where it has none of that name."""
        if self.label in sample.given:
            return list(sample.given[self.label])
        if self.trees:
            return values_of(sample, self.label)
        known = ", ".join(sample.given) or "none"
        raise DataError(f"these examples have no label {self.label!r}; known: {known}", code="no-labels")

    def read(self, sample: Sample) -> LabelledRows:
        """The examples whose class is known."""
        number = {name: i for i, name in enumerate(self.classes)}
        y = np.array([number.get(str(value), -1) for value in self.labels(sample)], dtype=np.int64)
        x = self._inputs(sample) if self.trees else np.asarray(sample.features, dtype=np.float64)
        return LabelledRows(x, y).take(np.flatnonzero(y >= 0))

    def fit(self, rows: LabelledRows) -> Any:
        """What predicts classes and probabilities, learnt from rows."""
        if not self.trees:
            return fit_classes(rows.x, rows.y)
        leaf = min(LEAF, max(2, len(rows) // 20))
        model = HistGradientBoostingClassifier(
            max_iter=60, early_stopping=False, min_samples_leaf=leaf, random_state=0
        )
        empty = np.isnan(rows.x).all(axis=0)  # which its bins cannot take
        return model.fit(np.where(empty, 0.0, rows.x), rows.y)

    def probabilities(self, model: Any, rows: LabelledRows) -> Array:
        """Of every class `(n, classes)`; 0 of one that the model has not seen."""
        found = np.zeros((len(rows), len(self.classes)))
        if len(rows):
            found[:, model.classes_] = model.predict_proba(rows.x)
        return found

    def _values(self, sample: Sample, name: str) -> list[Any]:
        column, values = self.columns[name], values_of(sample, name)
        return numbers_of(column, values).tolist() if isinstance(column, Numeric) else values

    def _inputs(self, sample: Sample) -> Array:
        inputs = []
        for name, column in self.columns.items():
            values = self._values(sample, name)
            numeric = isinstance(column, Numeric)
            inputs.append(np.array(values) if numeric else codes_of(values, self.known[name]))
        x = np.stack(inputs, axis=1).astype(np.float64)
        return np.where(np.isfinite(x), x, np.nan)
