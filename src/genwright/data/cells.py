"""Texts in the cells of a CSV, which a person may open in a program that takes some of them for formulas.

Only what the training data may not hold is changed: a text that a model made or that came with a request. The cells
of a table and labels are values of the training data, and a file that is read back must not change.
"""

from __future__ import annotations

from typing import Any

__all__ = ["FORMULA", "as_text"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a formula begins with (OWASP, CSV injection)."""


def as_text(value: Any) -> Any:
    """The value of a cell, with an apostrophe before a text that would be taken for a formula. Numbers stay numbers."""
    if not isinstance(value, str) or not value.startswith(FORMULA) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
