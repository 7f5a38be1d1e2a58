"""Synthetic examples of each class: those that cannot be, that copy, and that look like another class are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genwright.augmenting.downstream import LabelledRows, Predictor
from genwright.data.codec import Array, Values
from genwright.errors import RunError, Unsupported
from genwright.finishing.finish import Finish
from genwright.finishing.steps import RealExamples
from genwright.model import Model, Samples

__all__ = ["Selected", "Selection"]

FOLDS = 5
UNLIKELY = 0.05
"""The share of real examples whose own class is called less likely than what is dropped."""
ROUNDS = 5
"""Times that examples of a class are made, at most."""


@dataclass
class Selected:
    """What was made and kept.

    samples  all that was kept, class by class
    asked    of each class, by its name
    kept     of each class
    dropped  why how many were left out
    notes    what is odd
    """

    samples: Samples | None
    asked: dict[str, int]
    kept: dict[str, int]
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Selection:
    """Makes and selects examples of a model whose label is one of the classes that a predictor knows."""

    def __init__(self, model: Model, real: RealExamples, predictor: Predictor, seed: int) -> None:
        self.model, self.real, self.predictor, self.seed = model, real, predictor, seed
        rows = predictor.read(real.train)
        self.classifier = predictor.fit(rows)
        self.least = self._least(rows)
        self.drop: tuple[str, ...] = ("invalid", "copies")
        self.notes: list[str] = []
        try:
            Finish(model, self.drop, n=1)
        except Unsupported as error:
            self.drop = ("invalid",)
            self.notes.append(str(error))

    def _least(self, rows: LabelledRows) -> float:
        """The probability of its own class that all but a few real examples reach out of fold."""
        fold = np.random.default_rng([self.seed, 11]).permutation(len(rows)) % FOLDS
        own = np.zeros(len(rows))
        for k in range(FOLDS):
            inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            if len(np.unique(rows.y[inside])) < 2:
                return 0.0
            found = self.predictor.probabilities(
                self.predictor.fit(rows.take(inside)), rows.take(outside)
            )
            own[outside] = found[np.arange(len(outside)), rows.y[outside]]
        return float(np.quantile(own, UNLIKELY))

    def __call__(self, wanted: Mapping[str, int]) -> Selected:
        """As many of each class as are wanted, or as many as can be had. Raises `RunError` where it is none."""
        raw = {str(value): value for value in self.predictor.labels(self.real.train)}
        found = Selected(None, dict(wanted), {}, notes=list(self.notes))
        parts = list[Samples]()
        for number, (name, n) in enumerate(sorted(wanted.items())):
            made = self._of_class(name, raw[name], n, number, found) if n else []
            found.kept[name] = sum(map(len, made))
            parts += made
        short = [
            f"{name} {found.kept[name]:,} of {n:,}" for name, n in wanted.items() if found.kept[name] < n
        ]
        if short:
            found.notes.append(f"fewer could be made than were wanted: {', '.join(short)}")
        if not parts:
            why = ", ".join(f"{count:,} {reason}" for reason, count in found.dropped.items() if count)
            raise RunError(
                f"no synthetic example passed ({why or 'none was wanted'}): train the run longer, or another family",
                code="none-passed",
            )
        found.samples = Samples.joined(parts)
        return found

    def _of_class(self, name: str, value: Any, n: int, number: int, found: Selected) -> list[Samples]:
        parts = list[Samples]()
        left = n
        for turn in range(ROUNDS):
            seed = self.seed + 1000 * (number + 1) + 100_000 * turn
            finish = Finish(self.model, self.drop, n=left, seed=seed)
            try:
                made = finish.sample({self.predictor.label: value})
            except RunError as error:
                if error.code != "none-passed":
                    raise
                self._count(finish, found)
                break
            self._count(finish, found)
            kept = self._of_its_class(made, name)
            wrong = "look like another class"
            found.dropped[wrong] = found.dropped.get(wrong, 0) + len(made) - len(kept)
            if len(kept):
                parts.append(self._taken(made, kept))
            left -= len(kept)
            if left <= 0:
                break
        return parts

    @staticmethod
    def _count(finish: Finish, found: Selected) -> None:
        for reason, count in finish.counts.dropped.items():
            found.dropped[reason] = found.dropped.get(reason, 0) + count

    def _of_its_class(self, made: Samples, name: str) -> list[int]:
        """Places of those that a classifier of real examples does not take for another class."""
        sample, owners = self.real.sample(made.values)
        if sample is None:
            return []
        rows = self.predictor.read(sample)
        own = self.predictor.probabilities(self.classifier, rows)[:, self.predictor.classes.index(name)]
        keep: Array = owners[own >= self.least]
        return sorted({int(i) for i in keep})

    def _taken(self, samples: Samples, places: list[int]) -> Samples:
        fields = samples.fields
        values: dict[str, Values] = {
            name: fields[name].take(some, places) for name, some in samples.values.items()
        }
        taken = self.model.samples(values)
        taken.provenance = samples.provenance
        return taken
