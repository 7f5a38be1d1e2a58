"""Words of people as a terminal can be given them."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """What a terminal can be given: no control or direction characters, for a file name may hold them."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())
