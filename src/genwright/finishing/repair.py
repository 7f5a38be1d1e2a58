"""Mending made examples that break a constraint: the places that break it are made again, and the rest is kept."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from genwright.data.codec import Array, Values
from genwright.data.constraint import Constraint
from genwright.data.loader import evenly
from genwright.errors import GenwrightError, RecipeError
from genwright.families.capabilities import Infilling, chunk_seed
from genwright.finishing.steps import Outcome, Step
from genwright.model import Model
from genwright.pipeline import Asked

__all__ = ["Repair", "Required", "constraints_of", "never_kept", "stated"]

TURNS = 10
"""Times that a place is made again, at most."""
KEY = "require"
ASKED = 500
"""Training examples that are asked whether they keep a constraint, at most."""


def stated(require: str | Path | Sequence[str]) -> list[str]:
    """The constraints that a person states: each in words, or those of a TOML file with `require = ["age >= 18"]`.
    Raises `RecipeError` for a file that holds none."""
    found: list[str] = []
    for one in [require] if isinstance(require, str | Path) else require:
        found += _of_file(Path(one)) if str(one).endswith(".toml") else [str(one)]
    return found


def _of_file(path: Path) -> list[str]:
    try:
        words = tomllib.loads(path.read_text(encoding="utf-8")).get(KEY)
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{path} is no TOML file that can be read: {error}", code="not-toml"
        ) from error
    if not isinstance(words, list) or not words or not all(isinstance(one, str) for one in words):
        raise RecipeError(
            f'{path} states no constraints: write {KEY} = ["age >= 18", "start <= end"]',
            code="no-constraints",
        )
    return words


class Required(Step):
    """Drops what breaks a constraint that was stated."""

    name = "broken"

    def __init__(self, model: Model, constraints: Sequence[Constraint]) -> None:
        self.make, self.constraints = model.pipeline.spec.make, list(constraints)

    def __call__(self, values: Mapping[str, Values], asked: Asked) -> Outcome:
        made, reasons = values[self.make], dict[int, str]()
        for one in self.constraints:
            wrong = one.broken(made)
            for i in np.flatnonzero(wrong.reshape(len(wrong), -1).any(1)).tolist():
                reasons.setdefault(i, f"not {one.words}")
        return Outcome(np.zeros(len(made)), reasons)


def never_kept(model: Model, constraints: Sequence[Constraint]) -> list[str]:
    """Of constraints that no training example keeps, a sentence each; nothing where the data are not there."""
    make = model.pipeline.spec.make
    try:
        train = model.dataset.splits["train"]
    except GenwrightError:
        return []
    if make not in train.arrays or not len(train):
        return []
    field, numbers = model.pipeline.fields[make], evenly(len(train), ASKED)
    values = field.decode(field.expand(train.gather(numbers, [make])[make]).numpy())
    found = []
    for one in constraints:
        wrong = one.broken(values)
        if wrong.reshape(len(wrong), -1).any(1).all():
            found.append(
                f"none of {len(wrong):,} training examples keeps {one.words!r}: few or none of what is made will pass"
            )
    return found


class Repair:
    """Resamples the places of examples that break a constraint by the family's own infilling; where there is none, or
    the places were given, an example stays as it is.

    possible  whether the family can keep the rest of an example
    """

    def __init__(self, model: Model, constraints: Sequence[Constraint]) -> None:
        self.model, self.constraints = model, list(constraints)
        pipeline = model.pipeline
        ask, bridge = pipeline.spec.asks.get(pipeline.spec.make), pipeline.bridge
        self.possible = ask is not None and ask.partial and bridge.target.shape == bridge.source.shape
        family = model.family
        self.prefix = (
            pipeline.spec.native and isinstance(family, Infilling) and family.infills == "prefix"
        )

    def __call__(
        self, values: dict[str, Values], asked: Asked, seed: int, options: Mapping[str, object]
    ) -> tuple[dict[str, Values], list[int]]:
        """The values with what could be mended, and which examples these are."""
        if not self.possible:
            return values, []
        pipeline, wrong = self.model.pipeline, self._places(values)
        before = rows = _rows(wrong)
        for turn in range(TURNS):
            if not rows:
                break
            again = chunk_seed(seed, -1 - turn)
            part = {name: pipeline.fields[name].take(one, rows) for name, one in values.items()}
            mended = self._made_again(part, wrong[rows], pipeline.chosen(asked, rows), again, options)
            values = self._with(values, rows, mended)
            wrong = self._places(values)
            rows = _rows(wrong)
        return values, sorted({*before} - {*rows})

    def _places(self, values: Mapping[str, Values]) -> Array:
        made = values[self.model.pipeline.spec.make]
        found: Array = np.logical_or.reduce([one.broken(made) for one in self.constraints])
        return found

    def _made_again(
        self,
        values: dict[str, Values],
        wrong: Array,
        asked: Asked,
        seed: int,
        options: Mapping[str, object],
    ) -> Values:
        """Raw values that are made, with those places of them made again."""
        pipeline = self.model.pipeline
        made = values[pipeline.spec.make]
        places = torch.from_numpy(wrong)
        if self.prefix:
            places = _from_the_first(places)
        given = asked.given.get(pipeline.spec.make)
        if isinstance(given, tuple):  # what a person gave stays
            places = places & ~given[1]
        if not bool(places.any()):
            return made
        x = pipeline.made.tensor(made)
        part = pipeline.continued(asked, x, ~places)
        part.gaps = None
        stored = self.model.stored(len(x), part, seed, dict(options))
        return pipeline.made.mended(
            made, pipeline.decoded(stored, part)[pipeline.spec.make], places.numpy()
        )

    def _with(self, values: dict[str, Values], rows: Sequence[int], made: Values) -> dict[str, Values]:
        """The values with others in some rows."""
        pipeline = self.model.pipeline
        name, field = pipeline.spec.make, pipeline.made
        n, number = len(values[name]), {row: i for i, row in enumerate(rows)}
        joined = field.join([values[name], made])
        order = [n + number[i] if i in number else i for i in range(n)]
        return {**values, name: field.take(joined, order)}


def _rows(places: Array) -> list[int]:
    found: list[int] = np.flatnonzero(places.reshape(len(places), -1).any(1)).tolist()
    return found


def _from_the_first(places: torch.Tensor) -> torch.Tensor:
    """All places from the first of any example on, in the order of a sequence: position by position, its channels
    together. Of several examples as many are known."""
    places = places.any(0, keepdim=True).expand(places.shape)
    flat = places.flatten(2).transpose(1, 2) if places.ndim > 2 else places[:, None]
    after = flat.flatten(1).long().cumsum(1) > 0
    back = after.view(flat.shape)
    return back.transpose(1, 2).reshape(places.shape) if places.ndim > 2 else back[:, 0]


def constraints_of(model: Model, require: str | Path | Sequence[str]) -> list[Constraint]:
    """Those of what a model makes. Raises as `Field.constraint`."""
    return [model.pipeline.made.constraint(words) for words in stated(require)]
