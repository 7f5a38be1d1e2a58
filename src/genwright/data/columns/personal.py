"""What looks like an address, an account or a number of a person: of categories, rows that are made hold it as it
stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["looks_personal"]

NEARLY = 0.9
"""The share of the different values that have to look alike."""
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_READ = {
    what: re.compile(pattern)
    for what, pattern in {
        "e-mail addresses": r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}",
        "IP addresses": rf"(?:{_BYTE}\.){{3}}{_BYTE}|(?:[0-9A-Fa-f]{{0,4}}:){{3,7}}[0-9A-Fa-f]{{1,4}}",
        "telephone numbers": r"(?:\+|00)\d[\d ()/.-]{6,18}\d|\(\d{3}\) ?\d{3}-\d{4}",
        "account numbers": r"[A-Z]{2}\d{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}",
        "numbers of cards": r"(?:\d{4}[ -]){3}\d{4}",
        "numbers of persons": r"\d{3}-\d{2}-\d{4}",
    }.items()
}


def looks_personal(counts: Mapping[Any, int]) -> str | None:
    """What nearly all of these values look like, None where it is nothing of the kind."""
    texts = [value.strip() for value in counts if isinstance(value, str)]
    for what, pattern in _READ.items():
        found = sum(pattern.fullmatch(text) is not None for text in texts)
        if found and found >= NEARLY * len(counts):
            return what
    return None
