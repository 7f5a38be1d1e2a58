"""Lines from all over a file, for a sample of its rows: a file may be sorted, and its head like no other part."""

from __future__ import annotations

from pathlib import Path

from genwright.data.packed import open_unpacked

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
    found, each = list[NumberedLine](), -(-most // PLACES)
    with open_unpacked(file) as stream:
        end = sum(map(len, iter(lambda: stream.read(_BLOCK), b"")))
    with open_unpacked(file) as stream:
        head = [line for _ in range(above) if (line := stream.readline())]
        number, begin = len(head), sum(map(len, head))
        at = begin
        for i in range(PLACES):
            place = begin + (end - begin) * i // PLACES
            while at < place and (block := stream.read(min(place - at, _BLOCK))):
                number, at = number + block.count(b"\n"), at + len(block)
            if i:  # it may be in the middle of a line
                rest = stream.readline()
                number, at = number + bool(rest), at + len(rest)
            for _ in range(each):
                if line := stream.readline():
                    number, at = number + 1, at + len(line)
                    found.append((number, line.decode(encoding)))
    return found
