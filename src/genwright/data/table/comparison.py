"""A constraint on rows: a column compared with a value or with another column, as in `age >= 18` or `start <= end`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genwright.data.columns.formats import is_missing
from genwright.data.columns.numbers import parse_number
from genwright.data.columns.types import Column, Numeric
from genwright.data.constraint import OPERATORS, SIGN, Constraint
from genwright.data.table.frames import raw
from genwright.errors import DataError, RecipeError, suggest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ColumnComparison"]


class ColumnComparison(Constraint):
    """One of a column with a value, or of two columns. A row in which one of the two is missing keeps it, and so does
    a text among numbers.

    words    such as `age >= 18`; a value in quotes is no column's name
    columns  that are made, by name, in the order of their numbers
    names    of all columns, which are given ones too
    Raises `RecipeError` where it cannot be read.
    """

    def __init__(self, words: str, columns: Mapping[str, Column], names: Sequence[str]) -> None:
        self.words, self.columns = words, dict(columns)
        self.left, sign, right = _parsed(words, names)
        self.compare = OPERATORS[sign]
        self.right = right if right in names else None
        column = self.columns.get(self.left)
        self.ordered = isinstance(column, Numeric) or (column is None and sign not in ("==", "!=", "="))
        made = [name for name in (self.left, self.right) if name in self.columns and columns[name].spans]
        if not made:
            raise RecipeError(
                f"{words!r} speaks of no column that is made: it would hold always or never",
                code="no-such-column",
            )
        if not self.ordered and sign not in ("==", "!=", "="):
            raise RecipeError(
                f"{words!r}: {self.left!r} holds no numbers and no dates, so that it has no order; use == or !=",
                code="no-order",
            )
        self.places = np.concatenate(
            [np.full(column.stored, name in made) for name, column in self.columns.items()]
        )
        self.value: Any = None if self.right else self._value(right)

    def broken(self, values: pd.DataFrame) -> NDArray[np.bool_]:
        left = self._read(self.left, raw(values[self.left]))
        right = (
            self._read(self.right, raw(values[self.right])) if self.right else [self.value] * len(left)
        )
        wrong = [
            not (_absent(a) or _absent(b) or self.compare(a, b))
            for a, b in zip(left, right, strict=True)
        ]
        found: NDArray[np.bool_] = np.array(wrong, dtype=bool)[:, None] & self.places
        return found

    def _read(self, name: str, cells: Sequence[Any]) -> list[Any]:
        """Cells as what is compared: numbers, moments as numbers, or texts; None where there is none."""
        column = self.columns.get(name)
        if not self.ordered:
            return [None if is_missing(cell) else str(cell) for cell in cells]
        read = column.format.read if isinstance(column, Numeric) else _number
        return [None if is_missing(cell) else read(cell) for cell in cells]

    def _value(self, text: str) -> Any:
        bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"`" else text
        if not self.ordered:
            return bare
        (number,) = self._read(self.left, [bare])
        if number is None or not math.isfinite(number):
            number = _number(bare)
        if not math.isfinite(number):
            raise RecipeError(
                f"{self.words!r}: {bare!r} is neither a value that {self.left!r} can have nor another column",
                code="no-such-value",
            )
        return number


def _parsed(words: str, names: Sequence[str]) -> tuple[str, str, str]:
    """A column, a sign, and what stands behind it."""
    found = [
        (words[: m.start()].strip(), m.group(), words[m.end() :].strip()) for m in SIGN.finditer(words)
    ]
    if not found or not found[0][2]:
        raise RecipeError(
            f"{words!r} is no comparison: give a column, one of {' '.join(OPERATORS)} and a value or a column, as in "
            f"'age >= 18' or 'start <= end'",
            code="not-a-comparison",
        )
    for left, sign, right in found:
        for name in (left, left.strip("'\"`")):
            if name in names:
                return name, sign, right
    raise RecipeError(
        f"{words!r}: there is no column {found[0][0]!r}; {suggest(found[0][0], names)}",
        code="no-such-column",
    )


def _number(cell: Any) -> float:
    try:
        number = parse_number(cell)
    except DataError:
        number = None
    return math.nan if number is None else float(number)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
