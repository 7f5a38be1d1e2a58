"""Files of text to documents, and what is wrong with them. Never more than one document is held."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from genwright.data.codec import Rejected, Source
from genwright.data.text.tokenizer import cut, repair
from genwright.errors import DataError, suggest

__all__ = ["BLOCK", "SCALAR", "Document", "TextFileInfo", "TextFiles"]

BLOCK = 1 << 20  # characters read at once
PROBE = 1000  # lines searched for labels
SCALAR = (str, int, float, bool)

_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_BROKEN = (OSError, EOFError, zlib.error)  # what a damaged file or .gz raises


@dataclass(frozen=True)
class Document:
    """A text, where it stands, and the plain values that stand beside it."""

    name: str
    text: str
    labels: Mapping[str, Any]


@dataclass(frozen=True)
class TextFileInfo:
    """What one quick pass over a file tells. `blank`: nothing but white space."""

    encoding: str
    characters: int
    blank: bool


class TextFiles:
    """The files of a source.

    A .jsonl file has a document a line, in `field`; any other file is one. `.gz` behind a name is
    unpacked on the way. The label of a file is its first folder below the root.
    """

    def __init__(self, source: Source, field: str, encoding: str | None) -> None:
        self.source, self.field, self.encoding = source, field, encoding
        self.latin: dict[str, None] = {}
        """Names of files that were read as latin-1 for want of anything better, in order."""

    @property
    def single(self) -> bool:
        """Whether all is one document."""
        return len(self.source.files) == 1 and not _by_line(self.source.files[0])

    def labels(self) -> list[str]:
        """Names of labels, from the folders and from the first lines."""
        names = ["label"] if any(self._folder(file) for file in self.source.files) else []
        for file in [file for file in self.source.files if _by_line(file)][:1]:
            for line in islice(self._lines(file), PROBE):
                if not isinstance(line, Rejected):
                    names += [key for key, value in line[1].items() if isinstance(value, SCALAR)]
        return [name for name in dict.fromkeys(names) if name != self.field]

    def documents(self) -> Iterator[Document | Rejected]:
        """All documents. Raises `DataError` at the end if no line of any file had the field."""
        lines, hits, fields = 0, 0, set[str]()
        for file in self.source.files:
            folder = self._folder(file)
            labels = {"label": folder} if folder else {}
            if not _by_line(file):
                found = self.survey(file)
                if isinstance(found, TextFileInfo):
                    text = "".join(_blocks(file, found.encoding))
                    yield Document(self._name(file), text, labels)
                else:
                    yield found
                continue
            for line in self._lines(file):
                if isinstance(line, Rejected):
                    yield line
                    continue
                name, values = line
                lines, hits = lines + 1, hits + (self.field in values)
                fields.update(values)
                text = values.pop(self.field, None)
                if isinstance(text, str):
                    yield Document(name, repair(text), labels | values)
                else:
                    yield Rejected(name, f"has no text in the field {self.field!r}")
        if lines and not hits:
            raise DataError(
                f"no line of {self.source.root} has the field {self.field!r} "
                f"(codec.field names the one that holds the text); {suggest(self.field, fields)}"
            )

    def pieces(self, file: Path, survey: TextFileInfo) -> Iterator[str]:
        """A file in pieces of about `BLOCK` characters whose ids are the ids of the whole."""
        rest = ""
        for block in _blocks(file, survey.encoding):
            if rest:
                end = cut(rest)
                yield rest[:end]
                rest = rest[end:]
            rest += block
        yield rest

    def survey(self, file: Path) -> TextFileInfo | Rejected:
        """How a file is encoded and how many characters it has, or why it is no text."""
        name = self._name(file)
        try:
            stated = _mark(file) or self.encoding
            for encoding in [stated] if stated else ["utf-8", "latin-1"]:
                characters, control, blank = 0, 0, True
                try:
                    for block in _blocks(file, encoding):
                        if "\0" in block:
                            return Rejected(
                                name, "is binary: it holds NUL bytes (UTF-16? set codec.encoding)"
                            )
                        characters += len(block)
                        control += len(_CONTROL.findall(block)) if encoding == "latin-1" else 0
                        blank = blank and not block.strip()
                except UnicodeError:
                    continue
                if encoding == "latin-1" and not stated:
                    # Any byte is some letter of latin-1; only few control characters speak for text.
                    if control > 0.02 * characters:
                        return Rejected(
                            name, "is binary, or in an encoding that codec.encoding should name"
                        )
                    self.latin[name] = None
                return TextFileInfo(encoding, characters, blank)
            return Rejected(name, f"is not {stated} throughout; codec.encoding should name what it is")
        except _BROKEN as error:
            return Rejected(name, f"cannot be read: {error}")

    def _lines(self, file: Path) -> Iterator[tuple[str, dict[str, Any]] | Rejected]:
        """The objects of a .jsonl file and the names of their lines; blank lines are skipped."""
        name = self._name(file)
        try:
            encoding = _mark(file) or self.encoding or "utf-8"
            # A wrong byte spoils its line and not the file, so it is let through and looked for.
            with _open(file, encoding, errors="surrogateescape", newline="\n") as lines:
                for number, line in enumerate(lines, 1):
                    if "\0" in line:
                        yield Rejected(name, "is binary: it holds NUL bytes")
                        return
                    if line.strip():
                        yield _object(f"{name} line {number}", line, encoding)
        except (*_BROKEN, UnicodeError) as error:
            yield Rejected(name, f"cannot be read: {error}")

    def _name(self, file: Path) -> str:
        """What a person knows a file by."""
        root = self.source.root
        return file.relative_to(root).as_posix() if root in file.parents else file.name

    def _folder(self, file: Path) -> str | None:
        """The first folder below the root, if there is one."""
        first, _, rest = self._name(file).partition("/")
        return first if rest else None


def _by_line(file: Path) -> bool:
    return file.name.lower().removesuffix(".gz").endswith(".jsonl")


def _raw(file: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(file, "rb") if file.name.lower().endswith(".gz") else file.open("rb")


def _open(file: Path, encoding: str, *, errors: str = "strict", newline: str = "") -> io.TextIOWrapper:
    """Decoded, with the ends of lines as they are."""
    return io.TextIOWrapper(_raw(file), encoding=encoding, errors=errors, newline=newline)


def _blocks(file: Path, encoding: str) -> Iterator[str]:
    with _open(file, encoding) as text:
        while block := text.read(BLOCK):
            yield repair(block)  # utf-7 and the like can make half a pair


def _mark(file: Path) -> str | None:
    """The encoding that a byte order mark tells."""
    with _raw(file) as raw:
        head = raw.read(3)
    return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)


def _object(name: str, line: str, encoding: str) -> tuple[str, dict[str, Any]] | Rejected:
    try:
        line.encode()
    except UnicodeError:
        return Rejected(name, f"is not {encoding}")
    try:
        values = json.loads(line.strip())
    except (ValueError, RecursionError) as error:
        return Rejected(name, f"is not JSON: {error}")
    if not isinstance(values, dict):
        return Rejected(name, 'is not an object like {"text": "..."}')
    return name, values
