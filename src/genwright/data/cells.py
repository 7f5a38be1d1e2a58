"""Texts in the cells of a CSV, which a person may open in a program that takes some of them for formulas.

Only what the training data may not hold is changed: a text that a model made or that came with a request. The cells
of a table and labels are values of the training data, and a file that is read back must not change.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["FORMULA", "as_text", "csv_rows"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a formula begins with (OWASP, CSV injection)."""


def csv_rows(records: Iterable[Sequence[Any]], delimiter: str = ",") -> str:
    """Records as lines of a CSV, each with a line feed at its end. A value with a line break of any kind stands in
    quotes; `csv` before Python 3.13 sees to those of the line end that it is given alone."""
    records = [*records]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(records)
    if "\r" not in out.getvalue():
        return out.getvalue()
    lines = []
    for record in records:
        line = io.StringIO(newline="")
        csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow(record)
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


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
