"""A rule that examples have to keep, as a person states it, and the places of an example that break it."""

from __future__ import annotations

import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["OPERATORS", "SIGN", "Constraint"]

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
SIGN = re.compile("<=|>=|==|!=|<|>|=")


class Constraint(ABC):
    """One rule of a field.

    words  as it was stated
    """

    words: str

    @abstractmethod
    def broken(self, values: Any) -> NDArray[np.bool_]:
        """Which places of raw values `(n, stored, *grid)` break it together: to make these again, with the rest kept,
        may mend the example. None of one that keeps it."""
