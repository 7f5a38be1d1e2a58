"""Words and parts of words of a vocabulary that was made elsewhere, so that what is known of them can be used.

    0 | 256 bytes | no blank, a capital, capitals | the pieces of the vocabulary

A piece is a word in small letters or, behind `##`, what goes on with one (WordPiece, Wu et al. 2016,
arXiv:1609.08144: the longest that fits, from the left). A word has a blank before it where one usually stands; where it
does not, that is said, and so is a capital, so that any text comes back as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genwright.data.text import utf8
from genwright.data.text.tokenizer import END, Tokenizer, repair
from genwright.grammar import REFUSED, Grammar

__all__ = ["WordPieces"]

BYTES = 1
"""Id of the first byte."""
JOINED, CAPITAL, CAPITALS = range(BYTES + 256, BYTES + 259)
"""Before a word: no blank, its first letter is large, or all of them are."""
PIECES = CAPITALS + 1
MORE = "##"
_RUNS = re.compile(r"( ?)([A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+)|(.)", re.DOTALL)
_BLANK_AFTER = re.compile(r"[\w.,;:!?)\]}%’”]")


class WordPieces(Tokenizer):
    """Ids of the pieces of a vocabulary, in its order. Letters of other alphabets and signs are spelled by their UTF-8
    bytes, where they are no piece."""

    kind = "words"

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = list(pieces)
        self._ids = {piece: i for i, piece in enumerate(self.pieces, PIECES)}
        self._longest = max(map(len, self.pieces), default=0)
        self._spelled = lru_cache(1 << 16)(self._spell)

    @property
    def size(self) -> int:
        return PIECES + len(self.pieces)

    def encode(self, text: str) -> NDArray[Any]:
        return np.fromiter(self._encoded(repair(text)), dtype=self.dtype)

    def _encoded(self, text: str) -> Iterator[int]:
        before = ""
        for match in _RUNS.finditer(text):
            blank, word, _ = match.groups()
            pieces = self._spelled(word.lower()) if word else ()
            if not pieces:
                for sign in match.group():
                    yield from self._sign(sign)
            else:
                usual = _BLANK_AFTER.fullmatch(before) is not None
                if bool(blank) != usual:
                    yield JOINED if usual else BYTES + ord(" ")
                if word[0].isupper():
                    yield CAPITALS if len(word) > 1 and word.isupper() else CAPITAL
                yield from pieces
            before = match.group()[-1]

    def _sign(self, sign: str) -> Iterator[int]:
        if sign in self._ids and not _is_word(sign):
            yield self._ids[sign]
        else:
            yield from (BYTES + byte for byte in sign.encode())

    def _spell(self, word: str) -> tuple[int, ...]:
        """The longest pieces from the left; none where the vocabulary lacks a letter."""
        ids, start = list[int](), 0
        while start < len(word):
            mark = MORE if start else ""
            last = min(len(word), start + self._longest)  # a word may be of any length, such as a gene
            ends = (end for end in range(last, start, -1) if mark + word[start:end] in self._ids)
            end = next(ends, 0)
            if not end:
                return ()
            ids.append(self._ids[mark + word[start:end]])
            start = end
        return tuple(ids)

    def decode(self, ids: NDArray[Any]) -> str:
        text, held, marks, large = "", bytearray(), set[int](), False
        for i in np.asarray(ids, dtype=np.int64).tolist():
            if BYTES <= i < JOINED:
                held.append(i - BYTES)
                continue
            if held:
                text, held = text + held.decode("utf-8", "ignore"), bytearray()
            if i in (JOINED, CAPITAL, CAPITALS):
                marks.add(i)
            elif i >= PIECES:
                piece = self.pieces[i - PIECES]
                if piece.startswith(MORE):
                    text += piece[len(MORE) :].upper() if large else piece[len(MORE) :]
                elif _is_word(piece):
                    usual = _BLANK_AFTER.fullmatch(text[-1:]) is not None
                    large = CAPITALS in marks
                    word = piece.upper() if large else piece.capitalize() if CAPITAL in marks else piece
                    text += " " * (usual and JOINED not in marks) + word
                else:
                    text += piece
                marks = set()
        return text + held.decode("utf-8", "ignore")

    def spelled(self, ids: NDArray[Any]) -> int:
        """How many ids are bytes."""
        return int(np.sum(ids < JOINED))

    @cached_property
    def grammar(self) -> Grammar:
        follows = np.full((len(utf8.BYTES), self.size), REFUSED)
        follows[:, BYTES:JOINED] = utf8.BYTES
        follows[utf8.START, END] = follows[utf8.START, JOINED:] = utf8.START
        return Grammar(torch.from_numpy(follows))

    def state(self) -> dict[str, Any]:
        return {"kind": self.kind, "pieces": self.pieces}


def _is_word(piece: str) -> bool:
    """Whether a blank may stand before it, and not only as a sign of its own."""
    return piece.isascii() and piece.isalnum()
