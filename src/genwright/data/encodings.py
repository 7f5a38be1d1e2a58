"""In which encoding a text may be, where nobody says so.

UTF-8 tells itself apart: hardly any other text decodes as such. Of texts in other scripts than Latin,
charset-normalizer finds the old encoding by what they look like; of Latin ones it cannot tell cp1250 from cp1252, which
the alphabets of languages do.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from genwright.data.packed import open_unpacked
from genwright.errors import RecipeError

__all__ = ["check_encoding", "encodings"]

READ, SAMPLE = 1 << 22, 1 << 15
"""Bytes that are looked through, and bytes of lines that are not ASCII, at most."""
OTHER_SCRIPT = 0.45
"""The share of the bytes of words, those that are not ASCII throughout, from which they are no Latin ones."""
_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_CYRILLIC = ("cp1251", "koi8_r")
"""Which swap small letters and capitals."""
_ASIAN = ("big5", "cp932", "cp949", "euc_jp")
_WESTERN = (
    *("äöüß", "àâæçéèêëîïôùûüœ", "áéíñóúü", "àáâãçéêíóôõúü", "àèéìíîòóù", "áèéêëïóöü"),
    *("åäöé", "æøåéèòóô", "áðéíóúýþæö", "àçèéíïòóúü", "äõöüšž"),
)
"""Letters beyond ASCII of German, French, Spanish, Portuguese, Italian, Dutch, Swedish and Finnish; Danish and
Norwegian, Icelandic, Catalan and Estonian."""
_CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čšž", "čćđšž", "ăâîşţ")
"""Those of Polish, Czech, Slovak, Hungarian, Slovenian, Croatian, Romanian."""
_OTHERS = {
    "cp1250": _CENTRAL,
    "iso8859_2": _CENTRAL,
    "cp1254": ("çğıİöşüâîû",),  # Turkish
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž"),  # Lithuanian, Latvian
}
_SIGNS = frozenset("‘’“”„–—…«»‹›¿¡•°™€£\xa0\xad")
"""Quotes, dashes and the like, which stand beside letters of any language."""
FITS, DIFFERENT = 0.9, 3
"""The share of letters that are of one language, from which it is that one; and how many of those that cp1252 does not
have have to be there, or half of them."""


def check_encoding(name: str | None) -> None:
    """Raises `RecipeError` for the name of no encoding of text; None is for one that has to be found."""
    try:
        " ".encode(name or "utf-8")
    except LookupError:
        raise RecipeError(
            f"codec.encoding cannot be {name!r}: Python knows no such encoding of text",
            code="unknown-encoding",
        ) from None


def encodings(file: Path) -> Iterator[str]:
    """Encodings to try, one after the other; the last reads anything."""
    yield "utf-8-sig"
    if some := _lines(file):
        words = b" ".join(_WORD.findall(some))
        western = _counted(words, "cp1252")
        other = max(_share(western, letters) for letters in _WESTERN) < FITS
        if other and (name := _of_another_script(some) or _of_another_alphabet(words)):
            yield name
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


def _of_another_alphabet(words: bytes) -> str:
    """The encoding of words in Latin letters of a language that cp1252 does not have; else empty."""
    best, found = FITS, ""
    for name, languages in _OTHERS.items():
        read = _counted(words, name)
        small = {c.lower() for c in read}
        for letters in languages:
            own = {c for c in letters if c.encode(name).decode("cp1252", "replace") != c}
            enough = len(own & small) >= min(DIFFERENT, len(own) / 2)
            if enough and (share := _share(read, letters)) > best:
                best, found = share, name
    return found


def _counted(words: bytes, encoding: str) -> Counter[str]:
    """Characters that are not ASCII, without signs of print."""
    read = words.decode(encoding, "replace")
    return Counter(c for c in read if not c.isascii() and c not in _SIGNS)


def _share(found: Counter[str], letters: str) -> float:
    """Of some characters, the share that are letters of a language."""
    own = sum(n for c, n in found.items() if c in letters or c.lower() in letters)
    return own / max(1, found.total())


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
