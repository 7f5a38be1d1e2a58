"""What generated rows are worth: train on them, test on real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from genwright.data.codec import Array
from genwright.data.columns.types import Column, Numeric
from genwright.errors import DataError, suggest
from genwright.evaluation.cache import once
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Measurement, Metric
from genwright.evaluation.views.table import (
    codes_of,
    folded,
    modelled,
    numbers_of,
    ranked_values,
    values_of,
)

__all__ = ["TrainSyntheticTestReal"]

LEARNT = 0.02
"""A gain over a shuffled target from which something was learnt."""
RESAMPLES = 400
TREES = 100
FEW_TREES, FEW_ROWS = 20, 2_000
"""To find out what can be predicted at all."""


class TrainSyntheticTestReal(Metric):
    """What a model learnt from generated rows is worth on real ones (Esteban et al. 2017, arXiv:1706.02633).

    Gradient-boosted trees predict one column of the held-out rows from all others, learnt from as many
    generated rows as training rows. Macro-F1 of a category, R^2 of a number, as a share of what real rows
    give, where rows with a shuffled target give nothing:

        (generated - shuffled) / (real - shuffled)

    The interval is a bootstrap over the held-out rows, the same ones for all three; that other rows could
    have been generated is not in it.

    target    the column to predict. None: the label; without one, of the last three columns of categories
              the one that real rows predict best; without those, the last column. Categories beyond the
              nine most frequent are one
    """

    name = "tstr"
    group = "usefulness"
    better = "higher"
    ideal = 1.0
    reads = "row"
    sees = ("order", "ladder", "independence")
    how = "What a model trained on generated rows is worth on real ones: 1 as trained on real, 0 as chance."

    def __init__(self, *, target: str | None = None) -> None:
        self.target = target

    def least(self, evidence: Evidence) -> int:
        return 100

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        columns = modelled(evidence)
        if len(columns) < 2:
            raise DataError(
                "tstr needs a table of two columns or more that vary, there is one",
                code="too-few-columns",
            )
        task = _Task(columns, self._target(evidence, columns, rng), evidence.train)
        train, test, fake = (task.read(s) for s in (evidence.train, evidence.test, evidence.fake))
        n = min(len(train), len(fake))
        if not (n and len(test)):
            raise DataError(
                f"tstr: there is no row with a number in column {task.target!r}", code="no-numbers"
            )
        train, fake = train.draw(n, rng), fake.draw(n, rng)
        made = [task.predict(rows, test, TREES) for rows in (fake, train, train.shuffled(rng))]
        m = len(test)
        weights = np.vstack([np.ones(m), rng.multinomial(m, np.full(m, 1 / m), size=RESAMPLES)])
        generated, real, chance = (task.score(test.y, guess, weights) for guess in made)
        if real[0] - chance[0] < LEARNT:
            raise DataError(
                f"tstr: even real rows do not tell {task.target!r} from the other columns; set another target",
                code="not-predictable",
            )
        skill = (generated - chance) / np.maximum(real - chance, LEARNT / 2)
        low, high = np.quantile(skill[1:], [0.025, 0.975]).tolist()
        return Measurement(float(skill[0]), low, high, m)

    def _target(
        self, evidence: Evidence, columns: Mapping[str, Column], rng: np.random.Generator
    ) -> str:
        if self.target is not None:
            if self.target not in columns:
                raise DataError(
                    f"tstr has no column {self.target!r} to predict; {suggest(self.target, columns)}",
                    code="no-such-column",
                )
            return self.target
        if labels := [name for name in evidence.train.given if name in columns]:
            return labels[0]
        classes = [name for name, column in columns.items() if _is_class(column)][-3:]
        gains = {name: _gain(evidence, _Task(columns, name, evidence.train), rng) for name in classes}
        return max(gains, key=lambda name: gains[name]) if gains else list(columns)[-1]


def _is_class(column: Column) -> bool:
    """Also few numbers, each of which has a symbol, are classes: 0 and 1, one to five stars."""
    return not isinstance(column, Numeric) or column.scores is None


def _gain(evidence: Evidence, task: _Task, rng: np.random.Generator) -> float:
    """How far real rows are from chance to predicting all, by a few trees."""
    train, test = (task.read(s) for s in (evidence.train, evidence.test))
    few = train.draw(min(FEW_ROWS, len(train)), rng)
    made = [task.predict(rows, test, FEW_TREES) for rows in (few, few.shuffled(rng))]
    real, chance = (float(task.score(test.y, guess, np.ones((1, len(test))))[0]) for guess in made)
    return (real - chance) / max(1 - chance, LEARNT)


@dataclass(frozen=True)
class _Rows:
    """`x (n, columns)` with NaN where there is no number, and `y (n,)`."""

    x: Array
    y: Array

    def __len__(self) -> int:
        return len(self.y)

    def draw(self, n: int, rng: np.random.Generator) -> _Rows:
        """`n` of them, none twice."""
        index = np.sort(rng.permutation(len(self))[:n])
        return _Rows(self.x[index], self.y[index])

    def shuffled(self, rng: np.random.Generator) -> _Rows:
        return _Rows(self.x, rng.permutation(self.y))


class _Task:
    """To predict one column from all others. Categories are numbered by their frequency in `train`."""

    def __init__(self, columns: Mapping[str, Column], target: str, train: Sample) -> None:
        self.columns, self.target, self.classes = columns, target, _is_class(columns[target])
        self.known = {name: ranked_values(self._values(train, name)) for name in columns}

    def _values(self, sample: Sample, name: str) -> list[Any]:
        column, values = self.columns[name], values_of(sample, name)
        return numbers_of(column, values).tolist() if isinstance(column, Numeric) else values

    def read(self, sample: Sample) -> _Rows:
        """Rows without a number to predict are left out."""
        inputs = []
        for name, column in self.columns.items():
            values = self._values(sample, name)
            if name == self.target:
                y = folded(values, self.known[name]) if self.classes else np.array(values)
            else:
                numeric = isinstance(column, Numeric)
                inputs.append(np.array(values) if numeric else codes_of(values, self.known[name]))
        x = np.stack(inputs, axis=1).astype(np.float64)
        kept = np.isfinite(y)
        x, y = np.where(np.isfinite(x), x, np.nan)[kept], y[kept]
        order = np.lexsort([*x.T, y])  # so that the order in which rows came decides nothing
        return _Rows(x[order], y[order])

    def predict(self, rows: _Rows, test: _Rows, trees: int) -> Array:
        """The target of the held-out rows, learnt from `rows`."""
        if len(np.unique(rows.y)) == 1:
            return np.full(len(test), rows.y[0])
        # All contenders are held against the same real rows, and those with a shuffled target.
        return once(_predicted, rows.x, rows.y, test.x, self.classes, trees)

    def score(self, truth: Array, guess: Array, weights: Array) -> Array:
        """Macro-F1 or R^2, `(k,)`, for each of the `weights (k, n)` of the rows."""
        return (_macro_f1 if self.classes else _r2)(truth, guess, weights)


def _predicted(x: Array, y: Array, asked: Array, classes: bool, trees: int) -> Array:
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    model = kind(max_iter=trees, early_stopping=False, random_state=0)
    empty = np.isnan(x).all(axis=0)  # which its bins cannot take
    guess: Array = model.fit(np.where(empty, 0.0, x), y).predict(asked)
    return guess


def _macro_f1(truth: Array, guess: Array, weights: Array) -> Array:
    """The mean of 2 TP / (2 TP + FP + FN) over the classes that are there."""
    classes = np.unique(truth)
    is_, said = truth[:, None] == classes, guess[:, None] == classes
    hits, either = weights @ (is_ & said), weights @ (is_.astype(np.float64) + said)
    f1: Array = np.nanmean(
        np.divide(2 * hits, either, np.full_like(hits, np.nan), where=either > 0), axis=1
    )
    return f1


def _r2(truth: Array, guess: Array, weights: Array) -> Array:
    n = weights.sum(1)
    total = weights @ (truth - truth.mean()) ** 2 - (weights @ (truth - truth.mean())) ** 2 / n
    score: Array = 1 - (weights @ (truth - guess) ** 2) / np.maximum(total, np.finfo(np.float64).tiny)
    return score
