"""A list of objects in JSON, `[{...}, {...}]`, read as the lines of JSON that it could be: an object each.

Object after object is read, so that a large file takes no more memory than a small one. The text of an object stays as
it is, but for ends of lines between its values and blanks around them.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Generator
from typing import IO, Any

__all__ = ["ArrayLines", "begins_array"]

HEAD = 1 << 10
"""Bytes at the beginning within which a list has its first object."""
_BLOCK = 1 << 18
_FIRST = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{")
_BETWEEN, _ENDS = re.compile(r"[\s,]*"), re.compile(r"\s*[\r\n]\s*")


def begins_array(head: bytes) -> bool:
    """Whether a text that begins so is a list of objects."""
    return _FIRST.match(head) is not None


class ArrayLines(io.RawIOBase):
    """The objects of a list as lines of bytes. Reading raises `OSError` where it is no JSON."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._lines, self._left = stream, _lines(stream), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._lines, b"")
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

    def close(self) -> None:
        self._lines.close()
        self._stream.close()
        super().close()


def _lines(stream: IO[bytes]) -> Generator[bytes]:
    """What is no UTF-8 is let through, since it spoils an object and not the list."""
    decoder, number = json.JSONDecoder(), 0
    with io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape") as text:
        left, at = text.read(_BLOCK), 0
        at = left.index("[") + 1
        while True:
            match = _BETWEEN.match(left, at)
            at = match.end() if match else at
            if left.startswith("]", at):
                return
            try:
                _, end = decoder.raw_decode(left, at)
            except (ValueError, RecursionError) as error:
                more = text.read(max(_BLOCK, len(left) - at))
                if not more:
                    raise OSError(f"object {number + 1} of its list is no JSON: {error}") from None
                left, at = left[at:] + more, 0
                continue
            line = _ENDS.sub(" ", left[at:end])  # within a text none stands as it is
            yield line.encode("utf-8", "surrogateescape") + b"\n"
            at, number = end, number + 1
