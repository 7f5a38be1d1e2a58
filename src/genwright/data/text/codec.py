"""Texts: files, folders of files, lines of JSON; as documents or as one long stream."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from genwright.data.codec import (
    Array,
    Chunk,
    Codec,
    Gaps,
    Preview,
    ReadOptions,
    Rejected,
    Source,
    SplitName,
)
from genwright.data.text import tokenizer as tokenizers
from genwright.data.text.files import BLOCK, SCALAR, Document, TextFiles
from genwright.data.text.tokenizer import BPE, CODES, END, CharTokenizer, Tokenizer
from genwright.errors import DataError, RecipeError, suggest
from genwright.options import Count
from genwright.space import Space, Symbol

__all__ = ["SEPARATOR", "TextCodec"]

SEPARATOR = "\n\n␞\n\n"
"""What a decoded stream shows where a document ends. `text.split(SEPARATOR)` gives the documents."""

ROWS = 4096  # documents of a chunk, at most
LEARN = 1 << 24  # characters that BPE learns from, taken evenly: its trainer holds all words of them
EMPTY = "is empty"
GAP = r"(?<!\\)_"
"""A symbol to be made, where a part of a text is given."""
_UNITS = {"char": "character", "bpe": "piece"}


class TextCodec(Codec):
    """Texts to ids of characters or of BPE pieces, and back exactly.

    A .txt or .md file is a document, and so is a line of a .jsonl file; `.gz` behind any of these
    is read in place. There are two layouts:

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

    length    ids of an example, or predictions in a window of a stream
    unit      char: an id a character; bpe: pieces of words; auto: char up to 512 different ones
    vocab     ids of a BPE vocabulary
    layout    stream, documents, or auto
    field     of a .jsonl line: which one holds the text; the other plain values are labels
    encoding  of files without a byte order mark; None takes UTF-8, or else latin-1
    """

    reads = (".txt", ".md", ".jsonl", ".txt.gz", ".md.gz", ".jsonl.gz")
    default_family = "autoregressive"
    dial = "codec.length=64"

    def __init__(
        self,
        *,
        length: Count = 256,
        unit: Literal["auto", "char", "bpe"] = "auto",
        vocab: Annotated[int, Ge(BPE.least)] = 4096,
        layout: Literal["auto", "stream", "documents"] = "auto",
        field: str = "text",
        encoding: str | None = None,
    ) -> None:
        try:
            " ".encode(encoding or "utf-8")
        except LookupError:
            raise RecipeError(
                f"codec.encoding cannot be {encoding!r}: Python knows no such encoding of text"
            ) from None
        self.length, self.unit, self.vocab, self.wanted = length, unit, vocab, layout
        self.field, self.encoding = field, encoding
        self._alphabet: Tokenizer | None = None
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []
        self._latin: dict[str, None] = {}

    # -- in ------------------------------------------------------------------------------------

    def labels(self, source: Source) -> list[str]:
        return TextFiles(source, self.field, self.encoding).labels()

    def read(self, source: Source, reading: ReadOptions) -> Iterator[Chunk]:
        """Documents, or the pieces of a single file, each within one part of the split."""
        files = TextFiles(source, self.field, self.encoding)
        self._latin = files.latin
        asked = _asked(reading)
        known = files.labels() if asked else []
        for name in asked:
            if name not in known:
                raise DataError(f"{source.root} has no label {name!r}; {suggest(name, known)}")
        if reading.given and self.wanted == "stream":
            raise RecipeError(
                f"a window of a stream has no label of its own, so {', '.join(reading.given)} cannot be "
                f"given; set codec.layout=documents"
            )
        if not files.single or asked:
            yield from self._many(files, reading)
        elif self.wanted == "documents":
            raise RecipeError(
                f"{source.root} is one document; codec.layout=documents wants a folder of files, or a "
                f".jsonl file with a document a line; codec.layout=stream reads it as it is"
            )
        else:
            yield from self._one(files, source.files[0], reading)

    def _one(self, files: TextFiles, file: Path, reading: ReadOptions) -> Iterator[Chunk]:
        survey = files.survey(file)
        if isinstance(survey, Rejected):
            yield Chunk([], [], bad=[survey])  # no parts: nothing is split
            return
        if survey.blank:
            raise DataError(f"{file} {EMPTY}; there is no text to learn from")
        n = survey.characters
        # Rounded, since 1 - 0.15 - 0.05 is a little below 0.8 in floating point.
        ends: list[tuple[SplitName, int]] = [
            ("train", int(n * round(1 - reading.val - reading.test, 9))),
            ("val", int(n * round(1 - reading.test, 9))),
            ("test", n),
        ]
        start = 0
        for piece in files.pieces(file, survey):
            for part, end in ends:
                text, piece = piece[: max(0, end - start)], piece[max(0, end - start) :]
                if text:
                    # The position is in the key: a passage that comes twice is no duplicate document.
                    yield Chunk([text], [_digest(f"{start}:{text}")], parts=[part])
                    start += len(text)

    def _many(self, files: TextFiles, reading: ReadOptions) -> Iterator[Chunk]:
        def fresh() -> Chunk:
            groups: list[str] | None = [] if reading.group else None
            return Chunk([], [], given={name: [] for name in reading.given}, groups=groups)

        asked = _asked(reading)
        chunk, size, good, spoiled = fresh(), 0, 0, 0
        for item in files.documents():
            item = item if isinstance(item, Rejected) else _usable(item, asked)
            if isinstance(item, Rejected):
                chunk.bad.append(item)
                spoiled += item.reason != EMPTY
            else:
                chunk.examples.append(item.text)
                chunk.keys.append(_digest(item.text))
                for name in reading.given:
                    chunk.given[name].append(item.labels[name])
                if reading.group and chunk.groups is not None:
                    chunk.groups.append(str(item.labels[reading.group]))
                size, good = size + len(item.text), good + 1
            if size >= BLOCK or len(chunk) + len(chunk.bad) >= ROWS:
                yield chunk
                chunk, size = fresh(), 0
        if len(chunk) or chunk.bad:
            yield chunk
        if not good and not spoiled:
            raise DataError(f"every text in {files.source.root} {EMPTY}; there is nothing to learn from")

    # -- fit -----------------------------------------------------------------------------------

    def fit(self, chunks: Iterable[Chunk]) -> None:
        """Walks the training split two times, a third time for BPE; memory stays flat."""
        counts = np.zeros(CODES, np.int64)
        documents, single, labelled = 0, False, False
        for chunk in chunks:
            counts += tokenizers.count("".join(chunk.examples))
            documents += len(chunk)
            single = single or chunk.parts is not None
            labelled = labelled or bool(chunk.given)
        if not counts.any():
            raise DataError("the training split has no text; give more documents or lower val and test")
        self._warnings = []
        self._alphabet = self._learn(chunks, counts)

        tokens = longest = cut = 0
        for text in chain.from_iterable(chunk.examples for chunk in chunks):
            n = len(self._alphabet.encode(text))
            tokens, longest, cut = tokens + n, max(longest, n), cut + (n > self.length)
        few = documents < 8 or cut > 0.05 * documents
        stream = single or (self.wanted == "stream" if self.wanted != "auto" else few and not labelled)
        characters, size = int(counts.sum()), _utf8(counts)
        self._facts = {
            "layout": "stream" if stream else "documents",
            "unit": self._alphabet.kind,
            "vocabulary": self._alphabet.size,
            "documents": 1 if single else documents,
            "single": single,
            "tokens": tokens,
            "length": self.length if stream else min(self.length, longest + 1),
            "characters": characters,
            "bytes": size,
            "tokens_per_character": tokens / characters,
            "tokens_per_byte": tokens / size,
        }
        self._arrange()
        if stream and tokens + (0 if single else documents) <= self.length:
            raise DataError(
                f"the training split is {tokens:,} ids long and one window takes {self.length + 1:,}; "
                f"give more text, or lower codec.length below {tokens:,}"
            )
        self._warn(counts, 0 if stream else cut)

    def _learn(self, chunks: Iterable[Chunk], counts: Array) -> Tokenizer:
        different = np.count_nonzero(counts)
        unit = self.unit
        if unit == "auto":
            unit = "char" if different <= 512 or not tokenizers.bpe_installed() else "bpe"
            if unit == "char" and different > 512:
                self._warnings.append(
                    f"{different:,} different characters are many for an id each; BPE is made for that "
                    f"and needs the library 'tokenizers': pip install 'genwright[text]'"
                )
        if unit == "char":
            return CharTokenizer.of(counts)
        step = 1 + int(counts.sum()) // LEARN
        texts = chain.from_iterable(chunk.examples for chunk in chunks)
        return BPE.train(islice(texts, 0, None, step), self.vocab)

    def _arrange(self) -> None:
        """What follows from the facts."""
        self.layout = "stream" if self._facts["layout"] == "stream" else "examples"

    def _warn(self, counts: Array, cut: int) -> None:
        """Say what looks wrong with the training split."""
        facts, say = self._facts, self._warnings.append
        documents, tokens = facts["documents"], facts["tokens"]
        if cut:
            say(
                f"{cut:,} of {documents:,} documents are longer than {self.length} ids and are cut; "
                f"raise codec.length to keep them whole"
            )
        seen, rare = np.count_nonzero(counts), np.flatnonzero((counts > 0) & (counts < 5))
        if facts["unit"] == "char" and len(rare) > 0.1 * seen:
            shown = " ".join(repr(chr(code)) for code in rare[:10])
            say(
                f"{len(rare):,} of {seen:,} characters occur under 5 times, too rarely to learn: {shown}"
            )
        if tokens < 50_000:
            say(
                f"only {tokens:,} ids to learn from: a model will soon know them by heart; give more "
                f"text, or train a small model for a short time"
            )
        if self._latin:
            names = [*islice(self._latin, 3), *(["..."] if len(self._latin) > 3 else [])]
            say(
                f"{len(self._latin):,} files are not UTF-8 and were read as latin-1: {', '.join(names)}"
                f"; set codec.encoding if letters look wrong"
            )

    # -- encode and decode ---------------------------------------------------------------------

    @property
    def alphabet(self) -> Tokenizer:
        assert self._alphabet is not None, "fit or restore comes first"
        return self._alphabet

    @property
    def space(self) -> Space:
        """`(length + 1,)` of symbols for a stream, `(length,)` of symbols with pad 0 for documents."""
        size, length = self.alphabet.size, int(self._facts["length"])
        if self.layout == "stream":
            return Space((length + 1,), (Symbol(size),))
        return Space((length,), (Symbol(size, pad=END),))

    def encode(self, examples: Sequence[str]) -> Array:
        """n texts to ids, `(tokens,)` for a stream, else `(n, 1, length)`; uint16 if that holds all."""
        rows = [self.alphabet.encode(text) for text in examples]
        dtype = self.alphabet.dtype
        if self.layout == "stream":
            end = np.zeros(0 if self._facts["single"] else 1, dtype)
            return np.concatenate([np.zeros(0, dtype), *chain.from_iterable((row, end) for row in rows)])
        length = int(self._facts["length"])
        out = np.full((len(rows), 1, length), END, dtype)
        for i, row in enumerate(rows):
            out[i, 0, : len(row)] = row[:length]
        return out

    def prompt(self, text: str) -> Array:
        """Ids `(tokens,)` int64 of a text to go on from."""
        return self.alphabet.encode(text).astype(np.int64)

    def gaps(self, template: Any) -> Gaps:
        """A text in which each `_` is a symbol to be made; `\\_` is a line that stands. In a stream the text
        may go on behind it, a document ends with it."""
        if not isinstance(template, str) or not re.search(GAP, template):
            raise DataError(
                f"infill wants a text with a _ for each {_UNITS[self.alphabet.kind]} to be made, for example "
                f"To be ___ not (and \\_ for a _ that stands), got {template!r}"
            )
        ids: list[int] = []
        known: list[bool] = []
        for run in re.split(f"({GAP})", template):
            gap = re.fullmatch(GAP, run) is not None
            some = [END] if gap else self.prompt(run.replace("\\_", "_")).tolist()
            ids += some
            known += [not gap] * len(some)
        length = self.space.grid[0]
        if len(ids) > length:
            raise DataError(
                f"infill has {len(ids):,} symbols and an example of this model {length:,}: give fewer"
            )
        x = np.full((1, 1, length), END, np.int64)
        x[0, 0, : len(ids)] = ids
        mask = np.full((1, 1, length), self.layout != "stream")
        mask[0, 0, : len(ids)] = known
        return Gaps(x, mask, len(ids) if self.layout == "stream" else None)

    def decode(self, x: Array, given: Mapping[str, Sequence[Any]]) -> list[str]:
        """Ids `(n, 1, L)`, L any, to n texts: up to the first 0; in a stream each 0 is a `SEPARATOR`."""
        texts = []
        for row in np.asarray(x)[:, 0]:
            runs = np.split(row, np.flatnonzero(row == END))  # each but the first begins with its 0
            runs = runs if self.layout == "stream" else runs[:1]
            texts.append(SEPARATOR.join(self.alphabet.decode(run) for run in runs))
        return texts

    def write(
        self, examples: Sequence[str], given: Mapping[str, Sequence[Any]], folder: Path
    ) -> list[Path]:
        """`samples.txt` to read, and `samples.jsonl`, which this codec reads back."""
        folder.mkdir(parents=True, exist_ok=True)
        texts = [tokenizers.repair(text) for text in examples]
        labels = [{name: _plain(given[name][i]) for name in given} for i in range(len(texts))]
        shown, lines = folder / "samples.txt", folder / "samples.jsonl"
        with shown.open("w", encoding="utf-8", newline="") as out:
            for i, (text, label) in enumerate(zip(texts, labels, strict=True), 1):
                head = " ".join([f"──── {i}", *(f"{name}={value}" for name, value in label.items()), ""])
                out.write(f"{head.ljust(72, '─')}\n{text}\n\n")
        with lines.open("w", encoding="utf-8", newline="") as out:
            for text, label in zip(texts, labels, strict=True):
                out.write(json.dumps({self.field: text} | label, ensure_ascii=False) + "\n")
        return [shown, lines]

    def preview(self, examples: Sequence[str]) -> Preview:
        """The first 600 characters of the first 5."""
        shown = [text if len(text) <= 600 else text[:600] + " ..." for text in islice(examples, 5)]
        return Preview("text", text=f"\n{'─' * 72}\n".join(shown))

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def state(self) -> dict[str, Any]:
        return {"alphabet": self.alphabet.state(), "facts": self.facts(), "warnings": self.warnings()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._alphabet = tokenizers.restore(state["alphabet"])
        self._facts, self._warnings = dict(state["facts"]), list(state["warnings"])
        self._arrange()


def _asked(reading: ReadOptions) -> list[str]:
    """All labels that an example must have."""
    return list(dict.fromkeys([*reading.given, *([reading.group] if reading.group else [])]))


def _usable(document: Document, asked: Sequence[str]) -> Document | Rejected:
    """The document, or what keeps it from being an example."""
    missing = [name for name in asked if not isinstance(document.labels.get(name), SCALAR)]
    if missing:
        return Rejected(document.name, f"has no value for {', '.join(missing)}")
    return document if document.text.strip() else Rejected(document.name, EMPTY)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _utf8(counts: Array) -> int:
    """Bytes of all code points with counts `(CODES,)`."""
    return int(sum(counts[least:].sum() for least in (0, 0x80, 0x800, 0x10000)))


def _plain(value: Any) -> Any:
    """A label as JSON has it."""
    return value.item() if isinstance(value, np.generic) else value
