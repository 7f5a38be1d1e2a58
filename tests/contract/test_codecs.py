"""Every registered codec keeps the contract of `genwright.testing`, and each law can be broken."""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genwright.data.audio.files import to_wav
from genwright.data.music.midi import to_midi
from genwright.data.music.piece import Piece
from genwright.data.text.codec import TextCodec
from genwright.registry import names, resolve
from genwright.testing.codecs import CODEC, CodecCase
from genwright.testing.contract import registered


def pictures(folder: Path, n: int) -> Path:
    """Colour pictures in class folders, with a number and a name of each in a sidecar."""
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["file", "weight", "town"])
        for i in range(n):
            name = f"{'ab'[i % 2]}/{i:05d}.png"
            (folder / name).parent.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / name)
            lines.writerow([name, i % 7 / 2, ("Ulm", "Kiel")[i // 2 % 2]])
    return folder


def arrays(folder: Path, n: int) -> Path:
    """Grey pictures and their labels in one `.npz`."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 12, 12), dtype=np.uint8)
    np.savez(folder / "some.npz", images=images, label=np.arange(n) % 3)
    return folder / "some.npz"


def picture_pairs(folder: Path, n: int) -> Path:
    """A picture, another one that it is to become, and a caption of both."""
    rng = np.random.default_rng(0)
    with (folder / "metadata.csv").open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["file_name", "target_file_name", "caption", "town"])
        for i in range(n):
            names = [f"{i:05d}.png", f"{i:05d}.target.png"]
            for name in names:
                Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / name)
            words = " ".join(rng.choice(["red", "blue", "a", "dog", "cat", "of", "two"], 7))
            lines.writerow([*names, words, ("Ulm", "Kiel")[i % 2]])
    return folder


def shard(folder: Path, n: int) -> Path:
    """A picture, another one, a caption and a number of each in one `.tar`."""
    rng = np.random.default_rng(0)
    with tarfile.open(folder / "some.tar", "w") as archive:
        for i in range(n):
            words = " ".join(rng.choice(["red", "blue", "a", "dog", "cat", "of", "two"], 7))
            pixels = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(2)]
            tails = {"png": png(pixels[0]), "target.png": png(pixels[1]), "txt": words.encode()}
            for tail, data in (tails | {"cls": str(i % 3).encode()}).items():
                about = tarfile.TarInfo(f"{i:05d}.{tail}")
                about.size = len(data)
                archive.addfile(about, BytesIO(data))
    return folder / "some.tar"


def png(pixels: np.ndarray) -> bytes:
    data = BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def questions(folder: Path, n: int) -> Path:
    """A prompt and its completion a line, and what they are about."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(n):
        asked, said = (" ".join(rng.choice(["why", "so", "nay", "yea", "it", "is"], k)) for k in (9, 4))
        lines.append(json.dumps({"prompt": asked, "completion": said, "topic": "ab"[i % 2]}))
    (folder / "some.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "some.jsonl"


def rows(folder: Path, n: int) -> Path:
    """Numbers, dates, categories, and some that are missing."""
    rng = np.random.default_rng(0)
    with (folder / "rows.csv").open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["id", "age", "rent", "town", "since", "pays"])
        for i in range(n):
            rent = "" if i % 6 == 5 else f"{500 + 10 * rng.integers(20)}.50"
            day = f"2024-0{1 + i % 9}-1{i % 10}"
            lines.writerow([i, int(rng.integers(20, 60)), rent, ("Ulm", "Bonn")[i % 2], day, i % 3 == 0])
    return folder / "rows.csv"


def documents(folder: Path, n: int) -> Path:
    """A text a line, with its kind."""
    rng = np.random.default_rng(0)
    lines = [
        json.dumps(
            {"text": " ".join(rng.choice(["ja", "nein", "Öl", "vielleicht", "日本"], 9)), "kind": k}
        )
        for k in (("mail", "note")[i % 2] for i in range(n))
    ]
    (folder / "some.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "some.jsonl"


def book(folder: Path, n: int) -> Path:
    """One long text."""
    rng = np.random.default_rng(0)
    words = rng.choice(["it", "was", "the", "age", "of", "reason,\n"], 20 * n)
    (folder / "book.txt").write_text(" ".join(words.tolist()))
    return folder / "book.txt"


def sounds(folder: Path, n: int) -> Path:
    """Clips in class folders."""
    rng = np.random.default_rng(0)
    for i in range(n):
        file = folder / "ab"[i % 2] / f"{i:05d}.wav"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(to_wav(rng.integers(-3000, 3000, 4000).astype(np.int16), 8000))
    return folder


def levels(folder: Path, n: int) -> Path:
    """Levels in class folders, with what their tiles are."""
    rng = np.random.default_rng(0)
    (folder / "legend.json").write_text('{"tiles": {"X": ["solid"], "-": ["empty"], "o": ["coin"]}}')
    for i in range(n):
        tiles = rng.choice(["-", "o"], (32, 48))
        tiles[-1] = "X"
        file = folder / "ab"[i % 2] / f"{i:05d}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join("".join(row) for row in tiles) + "\n")
    return folder


def molecules(folder: Path, n: int) -> Path:
    """A chain and a ring a line, with two properties."""
    rng = np.random.default_rng(0)
    with (folder / "some.csv").open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["smiles", "logp", "kind"])
        for i in range(n):
            chain = "".join(rng.choice(["C", "N", "O", "S"], 12))
            lines.writerow([f"{chain}c1ccc({'CNO'[i % 3]})cc1", i % 7 / 2, "ab"[i % 2]])
    return folder / "some.csv"


def rolls(folder: Path, n: int) -> Path:
    """Piano rolls of four voices in class folders."""
    rng = np.random.default_rng(0)
    for i in range(n):
        roll = np.zeros((240 + i % 8, 88), np.uint8)
        for voice in range(4):
            keys = 20 + 10 * voice + rng.integers(0, 9, len(roll))
            roll[np.arange(len(roll)), keys] = 1
        file = folder / "ab"[i % 2] / f"{i:05d}.npz"
        file.parent.mkdir(exist_ok=True)
        np.savez(file, roll=roll)
    return folder


def scores(folder: Path, n: int) -> Path:
    """MIDI files of a melody, chords and drums, in two metres."""
    rng = np.random.default_rng(0)
    for i in range(n):
        notes = [[4 * at, 4, 60 + int(rng.integers(12)), 0] for at in range(12)]
        notes += [
            [12 * at, 8, 40 + int(rng.integers(9)) + 7 * up, 1] for at in range(4) for up in (0, 1)
        ]
        notes += [[4 * at, 1, 36 + 2 * (at % 2), 2] for at in range(12)]
        piece = Piece.of(notes, metre=((3, 4), (4, 4))[i % 2], drums=frozenset({2}))
        (folder / f"{i:05d}.mid").write_bytes(to_midi(piece))
    return folder


def measurements(folder: Path, n: int) -> Path:
    """Two series behind each other, hour by hour: a number, a whole number that is sometimes missing, a state, and the
    town that each is of."""
    rng = np.random.default_rng(0)
    with (folder / "some.csv").open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["town", "time", "level", "people", "light"])
        for town in ("Ulm", "Kiel"):
            for i in range(n // 2 + 11):
                hour = np.datetime64("2024-01-01T00") + i
                people = "" if i % 17 == 5 else int(rng.integers(900))
                level = round(float(10 * np.sin(i / 4) + rng.normal()), 2)
                lines.writerow(
                    [
                        town,
                        str(hour).replace("T", " ") + ":00",
                        level,
                        people,
                        ["on", "off"][i % 24 < 9],
                    ]
                )
    return folder / "some.csv"


@dataclass(frozen=True)
class Kind:
    """A codec with one kind of source.

    chunk  the name of how much it holds at a time, which is set to `size`
    many   examples that fill some chunks
    but    laws that say nothing of such a source
    """

    codec: str
    make_source: Callable[[Path, int], Path]
    chunk: str
    size: int = 50
    options: dict[str, Any] = field(default_factory=dict)
    many: int = 100
    but: frozenset[str] = frozenset()


KINDS = {
    "image": Kind("image", pictures, "genwright.data.image.codec.CHUNK"),
    "image-arrays": Kind(
        "image",
        arrays,
        "genwright.data.image.archive.CHUNK",
        many=2000,
        but=frozenset({"damage-stays-where-it-is"}),  # of one archive nothing is left
    ),
    "image-pairs": Kind("image", picture_pairs, "genwright.data.image.codec.CHUNK"),
    "image-shards": Kind(
        "image",
        shard,
        "genwright.data.image.codec.CHUNK",
        but=frozenset({"damage-stays-where-it-is"}),  # an archive that is cut short is refused
    ),
    "table": Kind("table", rows, "genwright.data.table.readers.ROWS", many=400),
    "text": Kind("text", documents, "genwright.data.text.codec.ROWS", options={"length": 40}, many=200),
    "text-pairs": Kind(
        "text", questions, "genwright.data.text.codec.ROWS", options={"length": 60}, many=200
    ),
    "text-stream": Kind(
        "text",
        book,
        "genwright.data.text.files.BLOCK",
        2000,
        {"length": 40},
        many=200,
        but=frozenset({"damage-stays-where-it-is"}),  # of one text nothing is left
    ),
    "audio": Kind("audio", sounds, "genwright.data.audio.codec.CHUNK"),
    "level": Kind("level", levels, "genwright.data.level.codec.CHUNK"),
    "molecule": Kind("molecule", molecules, "genwright.data.molecule.codec.CHUNK", many=200),
    "music": Kind("music", rolls, "genwright.data.music.codec.CHUNK", 40, many=40),
    "music-notes": Kind(
        "music", scores, "genwright.data.music.codec.CHUNK", 40, {"length": 2500}, many=40
    ),
    "series": Kind(
        "series", measurements, "genwright.data.series.codec.CHUNK", options={"length": 12}, many=200
    ),
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], CodecCase]]:
    with pytest.MonkeyPatch.context() as patch:
        for kind in KINDS.values():
            patch.setattr(kind.chunk, kind.size)
        for room in ("sidecar", "text.files"):  # what is looked at to tell a text from a label
            patch.setattr(f"genwright.data.{room}.PROBE", 40)

        @cache
        def made(name: str) -> CodecCase:
            kind = KINDS[name]
            folder = tmp_path_factory.mktemp(name)
            return CodecCase(kind.codec, kind.make_source, folder, many=kind.many, options=kind.options)

        yield made


def test_every_codec_is_here() -> None:
    assert {kind.codec for kind in KINDS.values()} == set(names("codecs"))
    for kind in KINDS.values():
        assert resolve("codecs", kind.codec).contract_exceptions == frozenset()


LONG = "memory-is-flat"
"""A law that takes long: each time for one codec of files and one of rows, else for `make journey`."""


def cells() -> list[Any]:
    """Each kind of data with each law that holds of it."""
    which = [(name, law) for name in KINDS for law in CODEC.laws if law not in KINDS[name].but]
    rare = [law == LONG and name not in ("image", "table") for name, law in which]
    marks = [[pytest.mark.journey] if one else [] for one in rare]
    return [
        pytest.param(*one, marks=mark, id="-".join(one)) for one, mark in zip(which, marks, strict=True)
    ]


@pytest.mark.parametrize(("name", "law"), cells())
def test_a_codec_keeps_the_law(case: Callable[[str], CodecCase], name: str, law: str) -> None:
    CODEC.hold(law, case(name), name)


class Forgetful(TextCodec):
    """Writes no labels."""

    def write(self, values: Any, fields: Any, folder: Path, *, columns: int | None = None) -> list[Path]:
        return super().write({"text": values["text"]}, fields, folder, columns=columns)


def test_a_codec_that_forgets_what_is_beside_breaks_its_law(tmp_path: Path) -> None:
    with registered("codecs", Forgetful) as name:
        case = CodecCase(name, documents, tmp_path, options={"length": 40})
        with pytest.raises(
            AssertionError, match=r"'what-is-beside-comes-back'.*'kind'.*not in what was"
        ):
            CODEC.hold("what-is-beside-comes-back", case, name)
