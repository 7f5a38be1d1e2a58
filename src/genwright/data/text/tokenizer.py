"""Text to ids and back, exactly.

Alphabets with one interface. Two are learnt from the training split and still spell **any**
text, so that a held-out text or a prompt with a letter never seen costs a few ids more and is not
lost. Id 0 stands for no text: it ends a document, or fills up an example.

    Characters   0 | 16 nibbles | the characters of the training split, sorted
    BPE          0 | byte-level pieces, learnt on the spot (Sennrich et al. 2016, arXiv:1508.07909)
    words        those of a vocabulary made elsewhere (`words.py`)

The one thing that is not kept is a lone surrogate (half of a UTF-16 pair, which JSON can smuggle
in): it is no character and no file can hold it, so it becomes U+FFFD, the replacement character.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from genwright.data.text import utf8
from genwright.errors import RecipeError, missing_extra
from genwright.grammar import REFUSED, Grammar

__all__ = [
    "BPE",
    "CODES",
    "END",
    "CharTokenizer",
    "Tokenizer",
    "Unit",
    "bpe_installed",
    "count",
    "cut",
    "repair",
]

Unit = Literal["auto", "char", "bpe", "words"]
"""What one id is: a character, a piece of a word learnt here, or a word or part of one whose vector is known."""
END = 0
NIBBLES = 16
FIRST = 1 + NIBBLES  # id of the first character
CODES = 0x110000  # all code points of Unicode

_SURROGATE = re.compile("[\ud800-\udfff]")
_CUT = re.compile(r"[ \n](?=\S)")
_BEFORE_LINE = re.compile(r"(?=\n\S)")
_TAIL = 1 << 14


def repair(text: str) -> str:
    """The text with each lone surrogate replaced by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def points(text: str) -> NDArray[np.uint32]:
    """The code points of a repaired text `(characters,)`."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def count(text: str) -> NDArray[np.int64]:
    """How often each code point occurs `(CODES,)`."""
    return np.bincount(points(repair(text)), minlength=CODES)


def cut(text: str) -> int:
    """Where a text can be cut in two, late, so that the ids of the halves are the ids of the whole.

    Characters can be cut anywhere. BPE never joins across the last space or line end before a
    word, so the cut comes before that; a text whose last 16,384 characters have none is cut at
    its end, which costs BPE an id or two there. Known words cost one where the second half begins.
    """
    start = max(1, len(text) - _TAIL)
    ends = [match.start() for match in _CUT.finditer(text, start)]
    return ends[-1] if ends else len(text)


class Tokenizer(ABC):
    """Ids of a text and the text of ids. `decode(encode(text)) == repair(text)` for every text."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def size(self) -> int:
        """All ids are below it."""

    @abstractmethod
    def encode(self, text: str) -> NDArray[Any]:
        """Ids `(tokens,)` in `dtype`; never 0."""

    @abstractmethod
    def decode(self, ids: NDArray[Any]) -> str:
        """The text of ids `(tokens,)`. 0 adds nothing, and neither do bytes that complete no character."""

    @property
    @abstractmethod
    def grammar(self) -> Grammar | None:
        """Which ids may follow, so that all bytes complete characters (None: any may)."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """As JSON, for `restore`."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest of two types that holds every id."""
        return np.dtype(np.uint16 if self.size < 1 << 16 else np.uint32)


class CharTokenizer(Tokenizer):
    """One id a character. A character outside the alphabet is spelled by its UTF-8 bytes, two
    nibbles each (high, low), so `é` takes 4 ids where the training split has no `é`."""

    kind = "char"

    def __init__(self, characters: str) -> None:
        self.characters = "".join(sorted(set(repair(characters))))
        self._codes = points(self.characters)
        self._ids = np.zeros(CODES, self.dtype)  # 0: not in the alphabet
        self._ids[self._codes] = np.arange(FIRST, self.size)

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> CharTokenizer:
        """The alphabet of all code points with a count `(CODES,)`."""
        return cls("".join(map(chr, np.flatnonzero(counts))))

    @property
    def size(self) -> int:
        return FIRST + len(self.characters)

    def encode(self, text: str) -> NDArray[Any]:
        codes = points(repair(text))
        ids = self._ids[codes]
        unseen = codes[ids == 0]
        if not len(unseen):
            return ids
        # UTF-8 takes one byte more from each of these code points on. The gaps that this opens
        # are, in order, just as many as the nibbles of all unseen characters.
        sizes = 1 + sum((unseen >= least).astype(np.int64) for least in (0x80, 0x800, 0x10000))
        lengths = np.ones(len(ids), np.int64)
        lengths[ids == 0] = 2 * sizes
        ids = np.repeat(ids, lengths)
        utf8 = np.frombuffer(unseen.tobytes().decode("utf-32-le").encode(), np.uint8)
        ids[ids == 0] = 1 + np.stack([utf8 >> 4, utf8 & 15], axis=1).reshape(-1)
        return ids

    def decode(self, ids: NDArray[Any]) -> str:
        ids = np.asarray(ids, dtype=np.int64)
        nibbles = (ids > END) & (ids < FIRST)
        runs = np.split(ids, np.flatnonzero(np.diff(nibbles)) + 1)
        return "".join(self._text(run) for run in runs if len(run))

    def _text(self, ids: NDArray[np.int64]) -> str:
        """Of a run that is all nibbles or has none."""
        if not END < ids[0] < FIRST:
            return self._codes[ids[ids != END] - FIRST].tobytes().decode("utf-32-le")
        # A model may break off in the middle of a byte or of a character.
        high, low = (ids[: len(ids) // 2 * 2] - 1).reshape(-1, 2).T
        return (high * 16 + low).astype(np.uint8).tobytes().decode("utf-8", "ignore")

    @cached_property
    def grammar(self) -> Grammar:
        """A state of UTF-8 (their numbers are as there), or one with a high nibble waiting for the low one."""
        states = len(utf8.BYTES)
        follows = np.full((states * (1 + NIBBLES), self.size), REFUSED)
        follows[utf8.START, END] = follows[utf8.START, FIRST:] = utf8.START
        low = utf8.BYTES.reshape(states * NIBBLES, NIBBLES)
        follows[states:, 1:FIRST] = low
        waiting = np.arange(states, states * (1 + NIBBLES)).reshape(states, NIBBLES)
        possible = (low != REFUSED).any(1).reshape(states, NIBBLES)
        follows[:states, 1:FIRST] = np.where(possible, waiting, REFUSED)
        return Grammar(torch.from_numpy(follows))

    def state(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": self.characters}


class BPE(Tokenizer):
    """Byte-level byte pair encoding: ids of frequent pieces of words, and of single bytes.

    No normalisation and no space put in front, so that the text comes back as it was. Id i of the
    library is id i + 1 here: were the end a token of the library, a text that holds its name would
    be read as an end.
    """

    kind = "bpe"
    least = 1 + 256
    """The smallest vocabulary: the end and all bytes."""

    def __init__(self, tokenizer: str) -> None:
        """From the tokenizer's own JSON."""
        self._json = tokenizer
        self._tokenizer = _library().Tokenizer.from_str(tokenizer)

    @classmethod
    def train(cls, texts: Iterable[str], size: int) -> BPE:
        """Learn a vocabulary of `size` ids, or fewer where the texts are small. Deterministic."""
        if size < cls.least:
            raise RecipeError(
                f"a BPE vocabulary holds at least the end and 256 bytes, {cls.least} in all, got {size}",
                code="out-of-range",
            )
        lib = _library()
        tokenizer = lib.Tokenizer(lib.models.BPE())
        tokenizer.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = lib.decoders.ByteLevel()
        trainer = lib.trainers.BpeTrainer(
            vocab_size=size - 1,
            initial_alphabet=sorted(lib.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(map(repair, texts), trainer)
        return cls(tokenizer.to_str())

    @property
    def size(self) -> int:
        return 1 + int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> NDArray[Any]:
        # Lines, cut where `cut` would, are encoded on all cores and without one giant record.
        lines = _BEFORE_LINE.split(repair(text))
        found = self._tokenizer.encode_batch_fast(lines, add_special_tokens=False)
        return np.array([i + 1 for line in found for i in line.ids], dtype=self.dtype)

    def decode(self, ids: NDArray[Any]) -> str:
        ids = np.asarray(ids, dtype=np.int64)
        return b"".join(self._pieces[i - 1] for i in ids[ids != END]).decode("utf-8", "ignore")

    @cached_property
    def _pieces(self) -> list[bytes]:
        """What each id of the library spells."""
        tokens = map(self._tokenizer.id_to_token, range(self.size - 1))
        return [bytes(_BYTES[letter] for letter in token) for token in tokens]

    @cached_property
    def grammar(self) -> Grammar:
        follows = np.full((len(utf8.BYTES), self.size), REFUSED)
        follows[utf8.START, END] = utf8.START
        follows[:, 1:] = utf8.after(self._pieces)
        return Grammar(torch.from_numpy(follows))

    def state(self) -> dict[str, Any]:
        return {"kind": self.kind, "tokenizer": self._json}


def _byte_letters() -> dict[str, int]:
    """The byte that each letter of a byte-level piece stands for: itself where it can be seen, else the next
    letter that is free (Radford et al. 2019, GPT-2)."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {chr(256 + i): byte for i, byte in enumerate(rest)}


_BYTES = _byte_letters()


def bpe_installed() -> bool:
    """Whether the library that BPE needs is there."""
    try:
        import tokenizers  # noqa: F401
    except ImportError:
        return False
    return True


def _library() -> Any:
    """The optional library `tokenizers`, untyped."""
    try:
        import tokenizers
    except ImportError:
        raise missing_extra("text in BPE pieces (codec.unit=bpe)", "tokenizers", "text") from None
    return tokenizers
