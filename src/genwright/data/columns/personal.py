"""What looks like an address, an account or a number of a person: of categories, rows that are made hold it as it
stands."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from genwright.data.columns.formats import spaced

__all__ = ["looks_personal"]

NEARLY = 0.9
"""The share of the different values that have to look alike."""
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_READ = {
    what: re.compile(pattern)
    for what, pattern in {
        "e-mail addresses": r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}",
        "addresses of network cards": r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}",
        "IP addresses": rf"(?:{_BYTE}\.){{3}}{_BYTE}|(?:[0-9A-Fa-f]{{0,4}}:){{3,7}}[0-9A-Fa-f]{{1,4}}",
        "telephone numbers": r"(?:\+|00)\d[\d ()/.-]{6,18}\d|\(\d{3}\) ?\d{3}-\d{4}",
        "account numbers": r"[A-Z]{2}\d{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}",
        "numbers of cards": r"(?:\d{4}[ -]){3}\d{4}",
        "numbers of persons": r"\d{3}-\d{2}-\d{4}",
    }.items()
}


def looks_personal(counts: Mapping[Any, int]) -> str | None:
    """What nearly all of these values look like, None where it is nothing of the kind."""

    def nearly_all(values: Collection[Any], pattern: re.Pattern[str]) -> bool:
        found = (isinstance(v, str) and pattern.fullmatch(v.strip()) for v in values)
        return sum(map(bool, found)) >= NEARLY * len(values) > 0

    some = spaced(list(counts), 50)
    return next(
        (what for what, one in _READ.items() if nearly_all(some, one) and nearly_all(counts, one)), None
    )
