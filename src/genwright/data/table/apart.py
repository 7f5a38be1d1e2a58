"""Lines from all over a file, for a sample of its rows: a file may be sorted, and its head like no other part."""

from __future__ import annotations

import gzip
from pathlib import Path

__all__ = ["PLACES", "NumberedLine", "lines_apart"]

PLACES = 20
"""From so many places a sample is read."""
_BLOCK = 1 << 20

NumberedLine = tuple[int, str]
"""Its number, from 1, and its text with the end of line."""


def lines_apart(file: Path, encoding: str, above: int, most: int) -> list[NumberedLine]:
    """About `most` lines, from `PLACES` places one after the other; none in an encoding in which a byte alone is
    no end of line. A packed file is unpacked to its end for it.

    above  lines at the beginning that are none of them
    """
    if encoding.startswith("utf-16"):
        return []
    found, each, end = list[NumberedLine](), -(-most // PLACES), 0
    with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb") as stream:
        while stream.read(_BLOCK):  # a packed stream knows no other way to its end
            end = stream.tell()
        stream.seek(0)
        number = sum(1 for _ in range(above) if stream.readline())
        begin = stream.tell()
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
