"""Calling the command line without a new process, and small data to call it on."""

from __future__ import annotations

import io
import json
import random
import sys
import wave
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from genwright.cli.main import main

TALKS = ("--task", "pair", "--make", "completion", "--given", "prompt", "--set", "codec.length=24")
"""What makes the next turn of `dialogues`."""
TINY = ("--size", "xs", "--steps", "3", "--set", "train.checks=1", "--set", "train.samples=2")
"""Three steps of a small model."""


@dataclass(frozen=True)
class Said:
    """What a command left: its exit status and what it wrote."""

    code: int
    out: str
    err: str


def call(*args: object) -> Said:
    """The command line, in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before, sys.argv = sys.argv, ["genwright", *map(str, args)]
    code: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
    assert code is None or isinstance(code, int)
    return Said(code or 0, _written(out), _written(err))


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def done(*args: object) -> Said:
    """A command that works, and has nothing to complain of."""
    said = call(*args)
    assert (said.code, said.err) == (0, ""), said
    return said


def refused(*args: object, words: Iterable[str], code: int = 1) -> Said:
    """A command that ends with one sentence that holds these words."""
    said = call(*args)
    assert said.code == code, said
    assert said.err.startswith("genwright: "), said
    assert said.err.count("\n") == 1, said
    assert "should not have happened" not in said.err, said
    for word in words:
        assert word in said.err, (word, said.err)
    return said


def train(*more: object) -> tuple[object, ...]:
    """A tiny training on the table of the fixture `room`."""
    return ("train", "rows.csv", "--family", "vae", *TINY, *more)


# -- data ------------------------------------------------------------------------------------------


def pictures(folder: Path, count: int, *, side: int = 8, first: int = 0) -> Path:
    """A folder of grey pictures that differ."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        values = np.random.default_rng(i).integers(0, 256, (side, side), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{i:03d}.png")
    return folder


def classes(folder: Path) -> Path:
    """Pictures in the class folders a and b."""
    pictures(folder / "a", 15)
    pictures(folder / "b", 15, first=15)
    return folder


ROWS: list[tuple[object, ...]] = [
    (round(draw.gauss(0, 1), 3), draw.choice("abc"), draw.randint(0, 9))
    for draw in [random.Random(0)]
    for _ in range(80)
]


def table(
    path: Path,
    rows: Iterable[Sequence[object]] = ROWS,
    *,
    head: str = "x,y,z",
    sep: str = ",",
    encoding: str = "utf-8",
) -> Path:
    """A CSV with a number, a class and a small integer."""
    lines = [head.replace(",", sep), *(sep.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def text(path: Path) -> Path:
    path.write_text("the quick brown fox jumps over the lazy dog. " * 40, encoding="utf-8")
    return path


def dialogues(path: Path, count: int = 40) -> Path:
    """Dialogues of four turns, two of them the assistant's."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(count):
            turns = [("user", f"how is {i}?"), ("assistant", "it is odd" if i % 2 else "it is even")]
            turns += [("user", f"and {i + 1}?"), ("assistant", "you can tell")]
            said = [{"role": role, "content": content} for role, content in turns]
            file.write(json.dumps({"messages": said}) + "\n")
    return path


def levels(folder: Path, count: int = 24) -> Path:
    """A folder of small levels in text: floor, walls, and coins here and there."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    for i in range(count):
        rows = ["".join(rng.choice("--o") for _ in range(10)) for _ in range(7)]
        (folder / f"{i:02d}.txt").write_text("\n".join([*rows, "X" * 10]) + "\n", encoding="utf-8")
    return folder


def molecules(path: Path, count: int = 40) -> Path:
    """Chains and rings of carbon, some with an oxygen, as SMILES."""
    lines = ["C" * (1 + i % 6) + ("O", "c1ccccc1", "N", "=O")[i % 4] for i in range(count)]
    path.write_text("\n".join(dict.fromkeys(lines)) + "\n", encoding="utf-8")
    return path


def sounds(folder: Path, count: int, *, n: int = 64, rate: int = 4000) -> Path:
    """A folder of short noises that differ, as WAV files."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        with wave.open(str(folder / f"{i:03d}.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(rate)
            out.writeframes(np.random.default_rng(i).normal(0, 3000, n).astype("<i2").tobytes())
    return folder
