"""A text as a field: symbols of characters, byte-pair pieces or known words, documents or one long stream."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge

from genwright.data.field import Array, Field, Partial, Values
from genwright.data.text import tokenizer as tokenizers
from genwright.data.text.tokenizer import BPE, CODES, END, CharTokenizer, Tokenizer, Unit
from genwright.data.text.turns import are_turns
from genwright.data.text.words import WordPieces
from genwright.errors import DataError
from genwright.grammar import Grammar
from genwright.options import Count
from genwright.space import Space, Symbol
from genwright.word_vectors import vocabulary

__all__ = ["SEPARATOR", "TextField", "restore_tokenizer"]

SEPARATOR = "\n\n␞\n\n"
"""What a decoded stream shows where a document ends. `text.split(SEPARATOR)` gives the documents."""

LEARN = 1 << 24
"""Characters of the texts that are kept to learn from, about; of more, documents are taken evenly."""
GAP = r"(?<!\\)_"
"""A symbol to be made, where a part of a text is given."""
_UNITS = {"char": "character", "bpe": "piece", "words": "word"}


class TextField(Field):
    """Texts to ids of characters, byte-pair pieces or known words, and back exactly. The options are those of
    `TextCodec`.

    labelled  something is given beside the texts, so that they stay documents
    single    they are pieces of one document
    """

    kind = "text"
    views = frozenset({"text"})
    suffix = ".txt"

    def __init__(
        self,
        *,
        length: Count = 256,
        tokenizer: Unit = "auto",
        vocab: Annotated[int, Ge(BPE.least)] = 4096,
        layout: Literal["auto", "stream", "documents"] = "auto",
        single: bool = False,
        labelled: bool = False,
        keeps: Literal["start", "end"] = "start",
    ) -> None:
        self.length, self.unit, self.vocab, self.wanted = length, tokenizer, vocab, layout
        self.single, self.labelled, self.keeps = single, labelled, keeps
        self._counts = np.zeros(CODES, np.int64)
        self._documents, self._kept, self._held, self._step = 0, list[str](), 0, 1
        self.together: list[TextField] = [self]
        """Fields that share a vocabulary, learnt from the texts of them all."""
        self._tokenizer: Tokenizer | None = None
        self._seen = ""
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []

    # -- learning ------------------------------------------------------------------------------

    def fit(self, values: Values) -> None:
        """Counts of characters, and the texts themselves as long as they are few enough to hold."""
        self._tokenizer = None
        self._counts += tokenizers.count("".join(values))
        for text in values:
            if self._documents % self._step == 0:
                self._kept.append(text)
                self._held += len(text)
            self._documents += 1
            if self._held > 2 * LEARN and len(self._kept) > 1:
                self._kept, self._step = self._kept[::2], 2 * self._step
                self._held = sum(map(len, self._kept))

    def settle(self) -> None:
        counts, documents = self._counts, self._documents
        if not counts.any():
            raise DataError(
                "the training split has no text; give more documents or lower val and test",
                code="no-examples",
            )
        self._warnings = []
        if self._tokenizer is None:
            every = np.sum([field._counts for field in self.together], axis=0)
            tokenizer, seen = self._learn(every), "".join(map(chr, np.flatnonzero(every)))
            for field in self.together:
                field._tokenizer, field._seen = tokenizer, seen
        lengths = [len(self.tokenizer.encode(text)) for text in self._kept]
        characters, size = int(counts.sum()), _utf8(counts)
        if self.tokenizer.kind == "char":
            tokens = characters
        else:  # of the texts that were kept, which are all unless there is much text
            tokens = round(sum(lengths) * (characters / sum(map(len, self._kept))))
        longest = max(lengths) if self._step == 1 else self.length
        cut = round(sum(n > self.length for n in lengths) * documents / len(lengths))
        few = documents < 8 or cut > 0.05 * documents
        stream = self.single or (
            self.wanted == "stream" if self.wanted != "auto" else few and not self.labelled
        )
        self._facts = {
            "layout": "stream" if stream else "documents",
            "unit": self.tokenizer.kind,
            "vocabulary": self.tokenizer.size,
            **({"shared": True} if len(self.together) > 1 else {}),
            "documents": 1 if self.single else documents,
            "single": self.single,
            "tokens": tokens,
            "length": self.length if stream else min(self.length, longest + 1),
            **({"keeps": "end"} if self.keeps == "end" else {}),
            **({"turns": True} if self.keeps == "end" and are_turns(self._kept) else {}),
            "characters": characters,
            "bytes": size,
            "tokens_per_character": tokens / characters,
            "tokens_per_byte": tokens / size,
        }
        self.stream = stream
        if stream and tokens + (0 if self.single else documents) <= self.length:
            raise DataError(
                f"the training split is {tokens:,} ids long and one window takes {self.length + 1:,}; "
                f"give more text, or lower codec.length below {tokens:,}",
                code="text-too-short",
            )
        self._warn(counts, 0 if stream else cut)
        if isinstance(self.tokenizer, WordPieces):
            self._warn_unknown(self.tokenizer, sum(lengths))
        self._counts, self._kept = np.zeros(CODES, np.int64), []
        self._documents, self._held, self._step = 0, 0, 1

    def _learn(self, counts: Array) -> Tokenizer:
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
        if unit == "words":
            return WordPieces(vocabulary())
        texts = [text for field in self.together for text in field._kept]
        step = 1 + sum(map(len, texts)) // LEARN
        return BPE.train(texts[::step], self.vocab)

    def _warn(self, counts: Array, cut: int) -> None:
        """Say what looks wrong with the training split."""
        facts, say = self._facts, self._warnings.append
        documents, tokens = facts["documents"], facts["tokens"]
        if cut:
            say(
                f"{cut:,} of {documents:,} documents are longer than {self.length} ids, of which the "
                f"{self.keeps} is kept; "
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

    def _warn_unknown(self, words: WordPieces, ids: int) -> None:
        """Say where few words of the texts, in so many ids, are known."""
        share = sum(words.spelled(words.encode(text)) for text in self._kept) / ids
        if share > 0.25:
            self._warnings.append(
                f"{share:.0%} of the ids are bytes of what is no known word: the words are English, and another "
                f"language is better learnt in pieces (unit bpe) or characters (char)"
            )

    # -- to tensors and back -------------------------------------------------------------------

    @property
    def tokenizer(self) -> Tokenizer:
        assert self._tokenizer is not None, "settle or restore comes first"
        return self._tokenizer

    @property
    def space(self) -> Space:
        """`(length + 1,)` of symbols for a stream, `(length,)` of symbols with pad 0 for documents."""
        size, length = self.tokenizer.size, int(self._facts["length"])
        known = self.tokenizer.kind == WordPieces.kind
        if self.stream:
            return Space((length + 1,), (Symbol(size, vectors=known),))
        return Space((length,), (Symbol(size, pad=END, vectors=known),))

    @property
    def vocabulary(self) -> str | None:
        """The vocabulary that is shared with others, by its content."""
        if not self._facts.get("shared"):
            return None
        return blake2b(json.dumps(self.tokenizer.state()).encode(), digest_size=16).hexdigest()

    @property
    def grammar(self) -> Grammar | None:
        return self.tokenizer.grammar

    def encode(self, values: Values) -> Array:
        """n texts to ids, `(tokens,)` for a stream, else `(n, 1, length)`; uint16 if that holds all."""
        rows = [self.tokenizer.encode(text) for text in values]
        dtype = self.tokenizer.dtype
        if self.stream:
            end = np.zeros(0 if self._facts["single"] else 1, dtype)
            return np.concatenate([np.zeros(0, dtype), *chain.from_iterable((row, end) for row in rows)])
        length = int(self._facts["length"])
        out = np.full((len(rows), 1, length), END, dtype)
        for i, row in enumerate(rows):
            kept = row[-length:] if self._facts.get("keeps") == "end" else row[:length]
            out[i, 0, : len(kept)] = kept
        return out

    def windows(self, text: str) -> Array:
        """A document as whole windows of a stream `(n, 1, length)`, side by side."""
        (length,) = self.space.grid
        ids = self.encode([text])
        whole = len(ids) // length
        return ids[: whole * length].reshape(whole, 1, length)

    def prompt(self, value: Any) -> list[int]:
        """Ids of a text to go on from."""
        found: list[int] = self.tokenizer.encode(str(value)).tolist()
        return found

    def partial(self, values: Values) -> Partial:
        """Texts in which each `_` is a symbol to be made; `\\_` is a line that stands. In a stream the text may
        go on behind it, a document ends with it."""
        parts = [self._gaps(value) for value in values]
        x, known = (torch.from_numpy(np.concatenate([part[i] for part in parts])) for i in (0, 1))
        return Partial(x, known, parts[0][2])

    def _gaps(self, template: Any) -> tuple[Array, Array, int | None]:
        if not isinstance(template, str) or not re.search(GAP, template):
            raise DataError(
                f"infill wants a text with a _ for each {_UNITS[self.tokenizer.kind]} to be made, for example "
                f"To be ___ not (and \\_ for a _ that stands), got {template!r}",
                code="no-gaps-given",
            )
        ids: list[int] = []
        known: list[bool] = []
        for run in re.split(f"({GAP})", template):
            gap = re.fullmatch(GAP, run) is not None
            some = [END] if gap else self.prompt(run.replace("\\_", "_"))
            ids += some
            known += [not gap] * len(some)
        length = self.space.grid[0]
        if len(ids) > length:
            raise DataError(
                f"infill has {len(ids):,} symbols and an example of this model {length:,}: give fewer",
                code="text-too-long",
            )
        x = np.full((1, 1, length), END, np.int64)
        x[0, 0, : len(ids)] = ids
        mask = np.full((1, 1, length), not self.stream)
        mask[0, 0, : len(ids)] = known
        return x, mask, len(ids) if self.stream else None

    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> list[str]:
        """Ids `(n, 1, L)`, L any, to n texts: up to the first 0; in a stream each 0 is a `SEPARATOR`."""
        texts = []
        for row in np.asarray(x)[:, 0]:
            runs = np.split(row, np.flatnonzero(row == END))  # each but the first begins with its 0
            runs = runs if self.stream else runs[:1]
            texts.append(SEPARATOR.join(self.tokenizer.decode(run) for run in runs))
        return texts

    def in_progress(self, values: Values, x: Array, hidden: Array) -> list[str]:
        """With a `_` for each symbol that is hidden, as `partial` takes it, up to where the text ends."""
        texts = []
        for row, gaps in zip(x[:, 0], hidden[:, 0], strict=True):
            ends = np.flatnonzero((row == END) & ~gaps)
            stop = len(row) if self.stream or not len(ends) else int(ends[0])
            edges = np.flatnonzero(np.diff(gaps[:stop])) + 1
            runs = zip(np.split(row[:stop], edges), np.split(gaps[:stop], edges), strict=True)
            texts.append(
                "".join(
                    "_" * len(r) if len(g) and g[0] else self.decode(r[None, None])[0] for r, g in runs
                )
            )
        return texts

    # -- raw values ----------------------------------------------------------------------------

    def unseen(self, values: Values) -> str:
        """Characters of texts that training has not seen, each once, in the order of their code points."""
        return "".join(sorted({*tokenizers.repair("".join(map(str, values)))} - {*self._seen}))

    def cautions(self, values: Values, *, partial: bool = False) -> list[str]:
        if partial:  # the sign of a gap is no character of the text
            values = [re.sub(GAP, "", str(value)).replace("\\_", "_") for value in values]
        found, unseen = list[str](), self.unseen(values)
        if not partial and not all(str(value).strip() for value in values):
            found.append("is empty")
        if unseen and self._seen:
            named = " ".join(map(repr, unseen[:10])) + (" ..." if len(unseen) > 10 else "")
            found.append(f"holds characters that training has not seen: {named}")
        length = self.space.grid[0]
        texts = () if self.stream or partial else dict.fromkeys(map(str, values))
        if any(len(self.tokenizer.encode(text)) > length for text in texts):
            found.append(
                f"is longer than {length} ids, of which the {self._facts.get('keeps', 'start')} is kept"
            )
        return found

    def parse(self, given: Any) -> str:
        return str(given)

    def save(self, value: Any, path: Path) -> None:
        path.write_text(tokenizers.repair(value), encoding="utf-8")

    def load(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeError):
            raise DataError(
                f"{path} cannot be read as a text in UTF-8", code="unreadable-file"
            ) from None

    # -- what it knows -------------------------------------------------------------------------

    @property
    def in_turns(self) -> bool:
        return bool(self._facts.get("turns"))

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def state(self) -> dict[str, Any]:
        state = {"alphabet": self.tokenizer.state(), "facts": self.facts(), "warnings": self.warnings()}
        # Characters are the alphabet itself; pieces do not tell which of them came.
        return state if isinstance(self.tokenizer, CharTokenizer) else state | {"seen": self._seen}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._tokenizer = restore_tokenizer(state["alphabet"])
        self._facts, self._warnings = dict(state["facts"]), list(state["warnings"])
        self.stream = self._facts["layout"] == "stream"
        known = self._tokenizer
        self._seen = known.characters if isinstance(known, CharTokenizer) else state.get("seen", "")


def restore_tokenizer(state: Mapping[str, Any]) -> Tokenizer:
    """The alphabet that gave this state."""
    if state["kind"] == CharTokenizer.kind:
        return CharTokenizer(state["characters"])
    return WordPieces(state["pieces"]) if state["kind"] == WordPieces.kind else BPE(state["tokenizer"])


def _utf8(counts: Array) -> int:
    """Bytes of all code points with counts `(CODES,)`."""
    return int(sum(counts[least:].sum() for least in (0, 0x80, 0x800, 0x10000)))
