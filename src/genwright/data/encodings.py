"""In which encoding a text may be, where nobody says so.

UTF-8 tells itself apart: hardly any other text decodes as such. Of texts in other scripts than Latin,
charset-normalizer finds the old encoding by what they look like; of Latin ones it cannot tell cp1250 from cp1252, and
the commoner is taken.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from genwright.data.packed import open_unpacked

__all__ = ["encodings"]

READ, SAMPLE = 1 << 22, 1 << 15
"""Bytes that are looked through, and bytes of lines that are not ASCII, at most."""
OTHER_SCRIPT = 0.45
"""The share of the bytes of words, those that are not ASCII throughout, from which they are no Latin ones."""
_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_CYRILLIC = ("cp1251", "koi8_r")
"""Which swap small letters and capitals."""
_ASIAN = ("big5", "cp932", "cp949", "euc_jp")


def encodings(file: Path) -> Iterator[str]:
    """Encodings to try, one after the other; the last reads anything."""
    yield "utf-8-sig"
    if other := _of_another_script(_lines(file)):
        yield other
    yield from ("cp1252", "latin-1")


def _lines(file: Path) -> bytes:
    """Of those at the beginning that are not ASCII."""
    kept = bytearray()
    with open_unpacked(file) as stream:
        for line in stream.read(READ).splitlines():
            if not line.isascii():
                kept += line[: SAMPLE - len(kept)] + b"\n"
            if len(kept) >= SAMPLE:
                break
    return bytes(kept)


def _of_another_script(some: bytes) -> str:
    """The encoding of some lines in Cyrillic, Greek, Chinese and the like; empty for Latin ones."""
    words = b"".join(_WORD.findall(some))
    if sum(byte > 0x7F for byte in words) < max(1.0, OTHER_SCRIPT * len(words)):
        return ""
    if _is_chinese(some):
        return "gb18030"
    from charset_normalizer import from_bytes

    best = from_bytes(some).best()
    if best is None:
        return next((name for name in _ASIAN if _reads(some, name)), "")
    if best.encoding in _CYRILLIC:
        return max(_CYRILLIC, key=lambda name: sum(map(str.islower, some.decode(name, "replace"))))
    return best.encoding


def _reads(some: bytes, encoding: str) -> bool:
    try:  # the last character may be cut off
        codecs.getincrementaldecoder(encoding)().decode(some)
    except UnicodeError:
        return False
    return True


def _is_chinese(some: bytes) -> bool:
    """Whether it is simplified Chinese: nearly all of it common characters of GB 2312 (rows 16 to 55), some of them
    from rows beyond those that Korean takes too, and no kana, which has the same place in Japanese."""
    found = [one for one in some.decode("gb18030", "replace") if not one.isascii()]
    rows = [code[0] - 0xA0 for one in found if (code := one.encode("gb2312", "ignore"))]
    common = [row for row in rows if 16 <= row <= 55]
    if len(common) < 0.7 * len(found) or 20 * sum(row in (4, 5) for row in rows) > len(found):
        return False
    return sum(row > 40 for row in common) > 0.15 * len(common)
