"""A scalar beside an example: a category, a number or a date, as a field of any modality."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.data.columns.formats import is_missing
from genwright.data.columns.infer import Column, fit_column, restore_column
from genwright.data.columns.reservoir import ReservoirCounter
from genwright.data.columns.types import Numeric
from genwright.data.field import Array, Field, Values
from genwright.errors import DataError
from genwright.space import Space, Symbol

__all__ = ["ColumnField"]


class ColumnField(Field):
    """A label or a column that can be given: a person says 3 or Bachelors, so that what is unknown is refused."""

    kind = "column"

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._counter = ReservoirCounter()
        self._column: Column | None = None

    @property
    def column(self) -> Column:
        assert self._column is not None, "settle or restore comes first"
        return self._column

    def fit(self, values: Values) -> None:
        self._counter.add(values)

    def settle(self) -> None:
        counter, self._counter = self._counter, ReservoirCounter()
        self._column = fit_column(
            self.name, counter.sample(), as_condition=True, counts=counter.counts, rows=counter.seen
        )

    @property
    def space(self) -> Space:
        return Space((), self.column.spans)

    @property
    def symbols(self) -> bool:
        """Whether it is a category, which can be counted and drawn."""
        return all(isinstance(span, Symbol) for span in self.column.spans)

    def encode(self, values: Values) -> Array:
        """`(n, stored)`. Raises `DataError` for a value that training has not seen."""
        return self.column.encode(values)

    def given(self, values: Values) -> tuple[Tensor, Values]:
        """As the column itself writes them: "3" for 3."""
        distinct = {value: place for place, value in enumerate(dict.fromkeys(values))}
        places = [distinct[value] for value in values]
        exact = np.stack([self.column.exactly(value) for value in distinct])
        spelled = [self.column.spelled(value) for value in distinct]
        return self.expand(exact[places]), [spelled[place] for place in places]

    def parse(self, given: Any) -> Any:
        if not isinstance(given, Hashable):
            raise DataError(
                f"a value of {self.name!r} is a number or a text, not {given!r}", code="no-such-value"
            )
        return given

    def matching(self, compact: Array, value: Any) -> tuple[list[str], NDArray[np.bool_]]:
        if not self.symbols:
            return [], np.ones(len(compact), bool)
        x = self.column.exactly(value)
        return [f"{self.name}={self.column.spelled(value)}"], (np.asarray(compact) == x).all(axis=1)

    def expand(self, compact: Array) -> Tensor:
        stored = torch.from_numpy(np.ascontiguousarray(compact))
        return stored.long() if self.symbols else stored.float()

    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> list[Any]:
        return self.column.decode(np.asarray(x, np.float32), np.random.default_rng(0))

    def known(self, values: Values) -> list[bool]:
        found: dict[Any, bool] = {}
        for value in values:
            if value not in found:
                try:
                    self.column.encode([value])
                    found[value] = True
                except DataError:
                    found[value] = False
        return [found[value] for value in values]

    def drawn(self, n: int, rng: np.random.Generator) -> Tensor | None:
        """`n` stored values of a column of numbers or dates as they came in training, by their quantiles `(n,
        stored)`; None of one that is something else."""
        column = self.column
        if not isinstance(column, Numeric) or column.scores is None:
            return None
        numbers = column.scores.number(rng.standard_normal(n))
        return self.expand(column.encode(column.format.formats[0].write(numbers.tolist())))

    def usable(self, values: Values) -> list[bool]:
        """Which values of a file can be given: they are there, and training has seen them."""
        found: dict[Any, bool] = {}
        for value in dict.fromkeys(values):
            try:
                self.column.exactly(value)
                found[value] = not is_missing(value)
            except DataError:
                found[value] = False
        return [found[value] for value in values]

    def facts(self) -> dict[str, Any]:
        return self.column.facts()

    def warnings(self) -> list[str]:
        return self.column.warnings()

    def state(self) -> dict[str, Any]:
        return self.column.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        self._column = restore_column(state)
        self.name = self._column.name
