"""Numbers and their bounds, for signatures: a type says what an option may be, and `registry.check`
turns it into the sentence a person reads."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

__all__ = ["Count", "Natural", "NonNegative", "Portion", "Positive", "Share"]

Count = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Lt(1)]
"""Of a whole that something must be left of."""
Portion = Annotated[float, Gt(0), Le(1)]
"""Of a whole that something must be taken of."""
