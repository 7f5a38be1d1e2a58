"""What columns have in common of which a text holds several things: numbers (`composite.py`) or tags (`tags.py`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from genwright.data.columns.fit import ColumnStats
from genwright.data.columns.formats import is_missing
from genwright.data.columns.types import Column, indices
from genwright.errors import DataError
from genwright.space import Span, Symbol

__all__ = ["Compound", "other_texts"]


@dataclass(kw_only=True)
class Compound(Column):
    """Texts of parts. The first span, where there is one, says whether it is such a text (0), one of a few others, or
    missing; then come those of the parts.

    text_values  other texts, symbols of their own
    strict       a condition: what is unknown is refused
    """

    text_values: list[Any] = field(default_factory=list)
    strict: bool = False

    @abstractmethod
    def part_columns(self) -> Sequence[Column]:
        """A column for each part."""

    @abstractmethod
    def part_values(self, values: Sequence[Any], i: int) -> list[Any]:
        """The i-th part of each raw value."""

    @property
    @abstractmethod
    def part_spans(self) -> tuple[Span, ...]:
        """What stands for the parts."""

    @property
    @abstractmethod
    def example(self) -> str:
        """A text that it knows."""

    @property
    def others(self) -> list[Any]:
        """What is none of these texts, a symbol each."""
        return [*self.text_values, *self.missing_tokens]

    @property
    def spans(self) -> tuple[Span, ...]:
        return (*([Symbol(1 + len(self.others))] if self.others else []), *self.part_spans)

    @property
    def _first(self) -> int:
        """The channel of the first part."""
        return int(bool(self.others))

    def _symbols(self, x: NDArray[Any]) -> list[int]:
        """What each row is: 0, or one more than its place among the others."""
        if not self.others:
            return [0] * len(x)
        return indices(x[:, 0], 1 + len(self.others)).tolist()

    def _other(self, value: Any) -> int:
        """The symbol of what is no such text; what is unknown is missing where that is known, else as good as 0."""
        if value in self.text_values:
            return 1 + self.text_values.index(value)
        if self.missing_tokens and (is_missing(value) or not self.strict):
            return 1 + len(self.text_values) + self._token(value)
        if self.strict:
            raise self._unknown(value)
        return 0

    def _unknown(self, value: Any) -> DataError:
        return DataError(
            f"{value!r} is not a value of {self.name!r}; wanted one such as {self.example!r}",
            code="no-such-value",
        )


def other_texts(stats: ColumnStats, others: Sequence[Any], holds: str) -> list[str]:
    """A sentence where some rows hold another text."""
    if not others:
        return []
    rows = sum(stats.counts[value] for value in others)
    shown = ", ".join(map(stats.shown, others[:3]))
    return [
        f"column {stats.name!r} holds {holds}, but {rows:,} of its rows hold another text ({shown}); each is kept as a "
        f"symbol of its own"
    ]
