"""Texts: files, folders of files, lines of JSON; as documents or as one long stream."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from genwright.data.arrow import ARROW, about
from genwright.data.codec import (
    AS_READ,
    Codec,
    OneFile,
    Preview,
    ReadOptions,
    Rejected,
    Rows,
    Source,
    SplitName,
    Values,
    beginning,
    write_once,
)
from genwright.data.columns.field import ColumnField
from genwright.data.containers import Examples, ObjectForm, forms, mixed, plain
from genwright.data.encodings import check_encoding
from genwright.data.field import Field
from genwright.data.labels import file_fields
from genwright.data.packed import suffix, tail, with_packed
from genwright.data.text import tokenizer as tokenizers
from genwright.data.text.field import SEPARATOR, TextField
from genwright.data.text.files import (
    BLOCK,
    PROMPT,
    QUESTIONS,
    SCALAR,
    Document,
    TextFiles,
    is_aligned,
    language,
    sure,
)
from genwright.data.text.tokenizer import BPE, Unit
from genwright.errors import DataError, RecipeError
from genwright.options import Count

__all__ = ["SEPARATOR", "TextCodec"]

ROWS = 4096
"""Documents of a chunk, at most."""
LENGTH = 256
"""Of an example, where none is named."""
ENOUGH = 4 * BLOCK
"""Bytes that are enough to look at."""
EMPTY = "is empty"
WRITTEN = (".txt", ".jsonl")
"""To read, and to be read back."""
PLAIN = with_packed(".txt", ".md")
"""Files that are a document each."""


class TextCodec(Codec):
    """Texts to ids of characters or of BPE pieces, and back exactly.

    A .txt or .md file is a document, and so is a line of a .jsonl file, of a .csv or .tsv of texts, and of
    two files that say the same in two languages (`x.en` and `x.es`); `.gz`, `.bz2`, `.xz` or `.zst` behind any of
    these is read in place. There are two layouts:

    **documents** (`layout == "examples"`): an example is one document, ids `(1, length)`, ended and
    filled up with 0; one that is too long is cut. Taken where labels are asked for, or where there
    are 8 documents or more and 95 % of them fit.

    **stream**: all documents, one after the other, are one row of ids, each ended by a 0 (a source
    that is a single file gets none), and an example is a window of it. The window has
    `length + 1` ids, the grid of the space: a network with a context of `length` makes `length`
    predictions in it, the last of them the id number `length + 1`. So a held-out loss compares with
    nanoGPT's `block_size = length`. Decoding shows a 0 as `SEPARATOR`.

    A single file is split by position, train, val, test, as nanoGPT does it (the training split is
    `text[:int(n * 0.9)]` for `val=0.1, test=0`); several documents are split by their content.

    length    ids of an example, or predictions in a window of a stream (None: 256, or fewer of a stream for
              which there is little time)
    unit      char: an id a character; bpe: pieces of words; words: English words and parts of them whose vectors are
              known, for few texts (`genwright[sentences]`); auto: char up to 512 different ones, else bpe
    vocab     ids of a BPE vocabulary
    shared    the texts of an example have one vocabulary, learnt from them all, so that what is made may copy what is
              given: for texts of one language, such as a text and its summary
    layout    stream, documents, or auto
    field     of a .jsonl line: which one holds the text. Other texts are fields too (a prompt, a summary), and
              other plain values are labels
    encoding  of files without a byte order mark; None takes UTF-8, or else what it looks like
    """

    reads = (*with_packed(".txt", ".md", ".jsonl", ".csv", ".tsv"), ARROW)
    main = "text"
    field_types = (TextField, ColumnField)
    later = frozenset({"shared"})
    default_family = "autoregressive"
    dial = "codec.length=64"
    context = "length"
    plural = "documents"
    sheet = "samples.txt"

    def __init__(
        self,
        *,
        length: Count | None = None,
        unit: Unit = "auto",
        vocab: Annotated[int, Ge(BPE.least)] = 4096,
        shared: bool = False,
        layout: Literal["auto", "stream", "documents"] = "auto",
        field: str = "text",
        encoding: str | None = None,
    ) -> None:
        check_encoding(encoding)
        self.length, self.unit, self.vocab, self.wanted = length or LENGTH, unit, vocab, layout
        self.field, self.encoding, self.shared = field, encoding, shared

    @classmethod
    def sniff(cls, files: Sequence[Path]) -> float:
        """Surer than a table is where lines hold texts, less sure where they may, and not at all of other tables."""
        if is_aligned(files):
            return 0.7
        plain = super().sniff(files)
        first = {suffix(file): file for file in reversed(files) if suffix(file) not in PLAIN}
        return min(map(sure, first.values()), default=plain) if plain else 0.0

    @classmethod
    def own(cls, files: Sequence[Path]) -> list[Path]:
        """Those of some files that hold texts: by their suffixes, or since they are the same in two languages."""
        pairs = [file for file in files if language(file)]
        if is_aligned(pairs):
            return pairs
        return [file for file in super().own(files) if file.suffix != ARROW or not about(file).files]

    # -- in ------------------------------------------------------------------------------------

    def _files(self, source: Source) -> TextFiles:
        return TextFiles(source, self.field, self.encoding)

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        files = self._files(source)
        text = TextField(
            length=self.length,
            tokenizer=self.unit,
            vocab=self.vocab,
            layout=self.wanted,
            single=files.single and not (options.given or options.group),
            labelled=bool(options.given),
        )
        found: dict[str, Field] = {files.main: text}
        for name in files.labels():
            found[name] = self._further(name) if name in files.texts else ColumnField(name)
        if self.shared:
            together = [field for field in found.values() if isinstance(field, TextField)]
            for field in together:
                field.together = together
        return found

    def default_given(self, source: Source) -> list[str]:
        """The prompt of a completion, the source of a target."""
        files = self._files(source)
        return [asks for asks, answers in QUESTIONS if files.main == answers and asks in files.texts]

    def _further(self, name: str) -> TextField:
        """A text beside the main one; what an answer has to do with stands at the end of a prompt."""
        return TextField(
            length=self.length,
            tokenizer=self.unit,
            vocab=self.vocab,
            layout="documents",
            keeps="end" if name == PROMPT else "start",
        )

    def labels(self, source: Source) -> list[str]:
        return self._files(source).labels()

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Documents, or the pieces of a single file, each within one part of the split."""
        files = self._files(source)
        others = [name for name in fields if name != files.main]
        asked = list(dict.fromkeys([*others, *([options.group] if options.group else [])]))
        if others and self.wanted == "stream":
            raise RecipeError(
                f"a window of a stream has no label of its own, so {', '.join(others)} cannot be "
                f"given; set codec.layout=documents",
                code="stream-has-no-labels",
            )
        if not files.single or asked:
            yield from self._many(files, list(fields), options)
        elif self.wanted == "documents":
            raise RecipeError(
                f"{source.root} is one document; codec.layout=documents wants a folder of files, or a "
                f".jsonl file with a document a line; codec.layout=stream reads it as it is",
                code="one-document",
            )
        else:
            yield from self._one(files, source.files[0], options)

    def count(self, source: Source) -> int:
        """Documents, or pieces of a single one."""
        return self._files(source).count()

    def enough(self, source: Source) -> int:
        files = self._files(source)
        return max(2, round(ENOUGH / files.size * files.count()))

    def _one(self, files: TextFiles, file: Path, options: ReadOptions) -> Iterator[Rows]:
        survey = files.survey(file)
        main, stem, number = files.main, file.name[: len(file.name) - len(tail(file))], 0
        if isinstance(survey, Rejected):
            yield Rows({main: []}, [], rejected=[survey])  # no parts: nothing is split
            return
        if survey.blank:
            raise DataError(f"{file} {EMPTY}; there is no text to learn from", code="no-examples")
        n = survey.characters
        # Rounded, since 1 - 0.15 - 0.05 is a little below 0.8 in floating point.
        ends: list[tuple[SplitName, int]] = [
            ("train", int(n * round(1 - options.val - options.test, 9))),
            ("val", int(n * round(1 - options.test, 9))),
            ("test", n),
        ]
        start = 0
        for place, piece in enumerate(files.pieces(file, survey)):
            if place % options.every:
                start += len(piece)
                continue
            for part, end in ends:
                text, piece = piece[: max(0, end - start)], piece[max(0, end - start) :]
                if text:
                    # The position is in the key: a passage that comes twice is no duplicate document.
                    key = _digest(f"{start}:{text}")
                    name = stem if number == 0 else f"{stem}-{number}"
                    yield Rows({main: [text]}, [key], [name], parts=[part], notes=_notes(files))
                    start, number = start + len(text), number + 1

    def _many(self, files: TextFiles, names: Sequence[str], options: ReadOptions) -> Iterator[Rows]:
        first, *others = files.source.files
        sampled = [beginning(first.name)] if options.every > 1 and not others else []

        def fresh() -> Rows:
            groups: list[str] | None = [] if options.group or files.conversing else None
            return Rows({name: [] for name in names}, [], groups=groups, notes=list(sampled))

        texts = [name for name in (files.main, *files.texts) if name in names]
        asked = list(dict.fromkeys([*names, *([options.group] if options.group else [])]))
        rows, size, good, spoiled = fresh(), 0, 0, 0
        where, group = "", ""
        for item in files.documents(asked, options.every):
            item = item if isinstance(item, Rejected) else _usable(item, asked, texts)
            if isinstance(item, Rejected):
                rows.rejected.append(item)
                spoiled += item.reason != EMPTY
            else:
                for name in names:
                    rows.values[name].append(item.values[name])
                # Of all texts, since one answer may be right for many questions.
                whole = "\0".join(item.values[name] for name in texts)
                rows.keys.append(_digest(whole))
                rows.names.append(item.stem)
                # What one line holds stays together: all answers of a conversation.
                where, group = item.name, group if item.name == where else rows.keys[-1]
                if rows.groups is not None:
                    rows.groups.append(str(item.values[options.group]) if options.group else group)
                size, good = size + len(whole), good + 1
            if size >= BLOCK or len(rows) + len(rows.rejected) >= ROWS:
                yield rows
                rows, size = fresh(), 0
        rows.notes += _notes(files)
        if len(rows) or rows.rejected or rows.notes:
            yield rows
        if not good and not spoiled:
            raise DataError(
                f"every text in {files.source.root} {EMPTY}; there is nothing to learn from",
                code="no-examples",
            )

    # -- from memory ---------------------------------------------------------------------------

    @classmethod
    def form_of(cls, value: Any, rate: int | None = None) -> ObjectForm | None:
        return {"of": "text"} if isinstance(value, str) else None

    @classmethod
    def takes(cls, examples: Examples) -> float:
        """Texts by themselves surely; of rows as sure as of their lines in a file: a table in a CSV, else JSON."""
        if "" in examples.names:
            return 0.9 if isinstance(examples.first(""), str) else 0.0
        head = [{name: plain(value) for name, value in row.items()} for row in examples.head]
        if not all(isinstance(value, (*SCALAR, type(None))) for row in head for value in row.values()):
            return 0.0
        with TemporaryDirectory() as folder:
            file = Path(folder) / ("head.csv" if examples.table is not None else "head.jsonl")
            with file.open("w", encoding="utf-8", errors="replace", newline="") as out:
                if examples.table is None:
                    out.writelines(json.dumps(row) + "\n" for row in head)
                else:
                    lines = csv.DictWriter(out, examples.names)
                    lines.writeheader()
                    lines.writerows(head)
            return sure(file)

    @classmethod
    def keep(cls, examples: Examples, folder: Path) -> tuple[Path, dict[str, ObjectForm]]:
        """As JSON lines; a single text without labels as itself, to be read as a stream."""
        found = forms(examples, cls.form_of)
        if examples.n == 1 and examples.names == [cls.main]:
            file = folder / "text.txt"
            file.write_text(tokenizers.repair(examples.first(cls.main)), encoding="utf-8", newline="")
            return file, found
        file = folder / "texts.jsonl"
        with file.open("w", encoding="ascii") as out:
            for i, row in enumerate(examples.rows()):
                line = {name: plain(value) for name, value in row.items()}
                for name, value in line.items():
                    if not isinstance(value, (*SCALAR, type(None))) or (
                        name == cls.main and not isinstance(value, str)
                    ):
                        raise mixed(i, value, "a text" if name == cls.main else "a text or a number")
                out.write(json.dumps(line) + "\n")
        return file, found

    # -- out -----------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """`samples.txt` to read, and `samples.jsonl`, which this codec reads back."""
        return write_once(self.appender(fields, folder), values)

    def one_file(self, fields: Mapping[str, Field], suffix: str) -> OneFile | None:
        return OneFile(None, WRITTEN) if suffix in WRITTEN else None

    def appender(
        self, fields: Mapping[str, Field], folder: Path, form: str | None = None, name: str = ""
    ) -> _Appended:
        return _Appended(self, fields, folder, name or "samples")

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        """The first 600 characters of the first 5."""
        some = {name: list(islice(values[name], 5)) for name in self._texts(values, fields)}
        shown = [text if len(text) <= 600 else text[:600] + " ..." for text in _side_by_side(some)]
        return Preview("text", text=f"\n{'─' * 24}\n".join(shown))

    def _texts(self, values: Mapping[str, Values], fields: Mapping[str, Field]) -> list[str]:
        """Fields of texts, the main one first."""
        return file_fields(values, fields, TextField, self.main)


class _Appended:
    """Texts to read, and lines of JSON, behind each other in two files."""

    def __init__(self, codec: TextCodec, fields: Mapping[str, Field], folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.codec, self.fields, self.written = codec, fields, 0
        self.files = [folder / f"{name}{suffix}" for suffix in WRITTEN]
        self._shown, self._lines = (f.open("w", encoding="utf-8", newline="") for f in self.files)

    def add(self, values: Mapping[str, Values]) -> list[Path]:
        main = self.codec.main
        names = self.codec._texts(values, self.fields)
        texts = {name: [tokenizers.repair(text) for text in values[name]] for name in names}
        given = {name: list(map(_plain, some)) for name, some in values.items() if name not in texts}
        for i, text in enumerate(_side_by_side(texts)):
            labels = (f"{name}={some[i]}" for name, some in given.items())
            self.written += 1
            head = " ".join([f"──── {self.written}", *labels, ""])
            self._shown.write(f"{head.ljust(72, '─')}\n{text}\n\n")
        found = {self.codec.field if name == main else name: some for name, some in texts.items()}
        found |= given
        for row in zip(*found.values(), strict=True):
            self._lines.write(json.dumps(dict(zip(found, row, strict=True)), ensure_ascii=False) + "\n")
        for stream in (self._shown, self._lines):
            stream.flush()
        return self.files

    def close(self) -> None:
        for stream in (self._shown, self._lines):
            stream.close()


def _side_by_side(texts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The texts of an example as one, each under its name where there are several."""
    for row in zip(*texts.values(), strict=True):
        named = zip(texts, row, strict=True)
        yield row[0] if len(row) == 1 else "\n".join(f"[{name}] {text}" for name, text in named)


def _usable(document: Document, asked: Sequence[str], texts: Sequence[str]) -> Document | Rejected:
    """The document, or what keeps it from being an example."""
    values = document.values
    missing = [name for name in asked if not isinstance(values.get(name), SCALAR)]
    if missing:
        orphan = not {*texts}.isdisjoint(missing)
        return Rejected(document.name, f"has no value for {', '.join(missing)}", orphan=orphan)
    blank = [name for name in texts if not str(values[name]).strip()]
    if len(blank) == len(texts) and blank:
        return Rejected(document.name, EMPTY)
    wrong = [name for name in texts if not isinstance(values[name], str)]
    if blank or wrong:
        return Rejected(document.name, f"has no text in {(blank or wrong)[0]!r}", orphan=True)
    return document


def _notes(files: TextFiles) -> list[str]:
    """That some files are of an old encoding."""
    notes = []
    for encoding in dict.fromkeys(files.guessed.values()):
        own = [name for name, found in files.guessed.items() if found == encoding]
        names = [*own[:3], *(["..."] if len(own) > 3 else [])]
        notes.append(
            f"{len(own):,} files are not UTF-8 and were read as {encoding}: {', '.join(names)}"
            f"; set codec.encoding if letters look wrong"
        )
    return notes


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    """A label as JSON has it."""
    return value.item() if isinstance(value, np.generic) else value
