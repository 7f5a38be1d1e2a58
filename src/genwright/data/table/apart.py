"""Lines from all over a file, for a sample of its rows: a file may be sorted, and its head like no other part."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PLACES", "Line", "lines_apart"]

PLACES = 20
"""From so many places a sample is read."""
_BLOCK = 1 << 20

Line = tuple[int, str]
"""Its number, from 1, and its text with the end of line."""


def lines_apart(file: Path, encoding: str, above: int, most: int) -> list[Line]:
    """About `most` lines, from `PLACES` places one after the other; none where a file cannot be read from its
    middle: packed, or of an encoding in which a byte alone is no end of line.

    above  lines at the beginning that are none of them
    """
    if file.suffix.lower() == ".gz" or encoding.startswith("utf-16"):
        return []
    found, each = list[Line](), -(-most // PLACES)
    with file.open("rb") as stream:
        number = sum(1 for _ in range(above) if stream.readline())
        begin, end = stream.tell(), file.stat().st_size
        for i in range(PLACES):
            place = begin + (end - begin) * i // PLACES
            while (left := place - stream.tell()) > 0:
                number += stream.read(min(left, _BLOCK)).count(b"\n")
            if i:
                number += bool(stream.readline())  # it may be in its middle
            for _ in range(each):
                if line := stream.readline():
                    number += 1
                    found.append((number, line.decode(encoding)))
    return found
