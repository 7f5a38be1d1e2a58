"""That a file is synthetic, and what made it: said in the file itself, or in a JSON beside it.

.png         a text chunk `Comment` (PNG 1.2, section 4.2.3)
.wav         a comment `ICMT` of a list of kind `INFO` (RIFF, 1991)
all others   an entry of `synthetic.json` in their folder, by the name of the file

How examples were chosen is said of the folder: in the entry `.` of `synthetic.json`, whatever its files are.
"""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genwright.errors import RunError

__all__ = ["BESIDE", "Provenance", "mark_files", "mark_folder", "marked"]

BESIDE = "synthetic.json"
PNG_HEAD = 33
"""Bytes of a PNG up to its second chunk: the signature, and the header, which comes first."""


@dataclass(frozen=True)
class Provenance:
    """The run, the step of its weights, and the seed that examples were made from.

    source  what made the examples that these were made from, if they are synthetic too
    finish  how they were chosen, as JSON: what was asked for, made and dropped
    pooled  of how many draws each is one, as their mean and the most frequent value (None: it is a draw)
    real    fields beside what was made that are of real examples
    """

    run: str
    step: int
    seed: int
    source: Provenance | None = None
    finish: Mapping[str, Any] | None = None
    pooled: int | None = None
    real: tuple[str, ...] = ()

    def entry(self) -> dict[str, Any]:
        """As JSON; how they were chosen is said of the folder alone."""
        made = {"run": self.run, "step": self.step, "seed": self.seed}
        source = {} if self.source is None else {"source": self.source.entry()}
        pooled = {} if self.pooled is None else {"pooled": self.pooled}
        real = {"real": list(self.real)} if self.real else {}
        return {"synthetic": True, "maker": "genwright", **made, **pooled, **source, **real}


def mark_files(files: Sequence[Path], made: Provenance, folder: Path) -> None:
    """Say of each file in a folder what made it. What a file holds besides stays as it is.

    Raises `RunError` where another file has the name of the one beside them.
    """
    text = json.dumps(made.entry()).encode()  # in ASCII, whatever the run is called
    others = []
    for file in files:
        if file.suffix == ".png":
            _add_chunk(file, text)
        elif file.suffix == ".wav":
            file.write_bytes(_with_info(file.read_bytes(), text))
        else:
            others.append(file.relative_to(folder).as_posix())
    if others:
        _add(folder / BESIDE, dict.fromkeys(others, made.entry()))
    if made.finish is not None:
        mark_folder(made, folder)


def marked(data: bytes, suffix: str, made: Provenance) -> bytes:
    """The bytes of a file as `mark_files` leaves them: with what made it, where it can hold that."""
    text = json.dumps(made.entry()).encode()
    if suffix == ".png":
        return data[:PNG_HEAD] + _chunk(text) + data[PNG_HEAD:]
    return _with_info(data, text) if suffix == ".wav" else data


def mark_folder(made: Provenance, folder: Path, names: Sequence[str] = (".",)) -> None:
    """Say of a folder, or of files in it by their names, what made them, and how they were chosen. Raises as
    `mark_files`."""
    finish = {} if made.finish is None else {"finish": dict(made.finish)}
    _add(folder / BESIDE, dict.fromkeys(names, made.entry() | finish))


def _add(beside: Path, more: Mapping[str, object]) -> None:
    text = json.dumps(_entries(beside) | dict(more), indent=1)
    beside.write_text(text + "\n", encoding="utf-8")


def _entries(beside: Path) -> dict[str, object]:
    """What is said already of other files in the folder."""
    try:
        found = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RunError(
            f"{beside} exists and was not written by genwright: choose another folder with --out",
            code="file-exists",
        )
    return found


def _add_chunk(file: Path, text: bytes) -> None:
    """Behind the header of a PNG, which is never held whole: it may be hundreds of megabytes."""
    partial = file.with_name(f".{file.name}.part")
    with file.open("rb") as old, partial.open("wb") as new:
        new.write(old.read(PNG_HEAD) + _chunk(text))
        shutil.copyfileobj(old, new, 2**20)
    partial.replace(file)


def _chunk(text: bytes) -> bytes:
    body = b"tEXtComment\0" + text
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _with_info(wav: bytes, text: bytes) -> bytes:
    value = text + b"\0" * (2 - len(text) % 2)  # ended by a zero, and of an even length
    info = b"INFOICMT" + struct.pack("<I", len(value)) + value
    whole = wav[8:] + b"\0" * (len(wav) % 2) + b"LIST" + struct.pack("<I", len(info)) + info
    return b"RIFF" + struct.pack("<I", len(whole)) + whole
