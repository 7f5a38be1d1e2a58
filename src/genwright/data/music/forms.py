"""How a piece is written as symbols: three forms, each of which is read back.

voices   at each step what each of V voices does `(V, T)`: the key that begins or sounds, that it is held, or silence
roll     at each step which of 88 keys sound `(88, T)`
tokens   notes one behind the other, with bars and places in them (after REMI, Huang and Yang 2020, arXiv:2002.00212):

             metre:3/4  bar  pitch:67 size:4  pitch:69 size:2  at:8 pitch:60 size:4  bar  drum:36  ...

         A note begins where the one before it ended, unless `at` says where. `voice` says whose the following are.

The first symbol of each form only fills an example up, behind its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from genwright.data.codec import Array
from genwright.data.music.piece import KEYS, LOWEST, PITCH, VOICE, Piece
from genwright.data.music.theory import top_down
from genwright.grammar import REFUSED, Grammar
from genwright.space import Space, Symbol

__all__ = ["END", "REST", "Roll", "Symbols", "Tokens", "Voices", "bars", "sorted_voices"]

END, REST, HOLD = 0, 1, 2
"""Of voices: behind the end, silence, and that a key is held on."""
FIRST = 3
"""Of voices: the number of the lowest pitch."""


@dataclass(frozen=True)
class Voices:
    """Pitches from `low` up to `high` in `count` voices.

    own   each voice of a piece is one; else the pitches that sound are sorted, the highest first, and nothing is said
          of whether one is held
    """

    length: int
    count: int
    low: int
    high: int
    own: bool

    @property
    def space(self) -> Space:
        k = FIRST + self.high - self.low + 1
        return Space((self.length,), tuple(Symbol(k, pad=END) for _ in range(self.count)))

    def encode(self, piece: Piece) -> Array:
        """`(V, T)`."""
        found = np.full((self.count, self.length), END, np.int64)
        pitches = self._own(piece) if self.own else top_down(piece, self.count).T.astype(np.int64)
        pitches = pitches[:, : self.length]
        numbers = np.where(pitches >= 0, pitches - self.low + FIRST, np.where(pitches == -1, REST, HOLD))
        found[:, : pitches.shape[1]] = numbers
        return found

    def _own(self, piece: Piece) -> Array:
        """Of each voice the pitch that begins `(V, T)`, -1 where it is silent and -2 where one is held."""
        found = np.full((self.count, piece.length), -1, np.int64)
        for onset, size, _, voice in piece.notes.tolist():
            if voice < self.count:
                found[voice, onset : onset + size] = -2
        for onset, _, pitch, voice in piece.notes.tolist():
            if voice < self.count:
                found[voice, onset] = pitch
        return found

    def decode(self, x: Array, steps: int) -> Piece:
        ended = np.flatnonzero((x == END).any(0))
        x = x[:, : int(ended[0]) if len(ended) else x.shape[1]]
        pitches = np.where(x >= FIRST, x - FIRST + self.low, -1)
        if not self.own:
            roll = np.zeros((x.shape[1], 128), bool)
            voice, at = np.nonzero(pitches >= 0)
            roll[at, pitches[voice, at]] = True
            return Piece.of_roll(roll, steps, 0)
        rows: list[list[int]] = []
        for number, line in enumerate(x):
            for onset in np.flatnonzero(line >= FIRST).tolist():
                after = np.flatnonzero(line[onset + 1 :] != HOLD)
                size = 1 + (int(after[0]) if len(after) else x.shape[1] - onset - 1)
                rows.append([onset, size, int(pitches[number, onset]), number])
        return Piece.of(rows, x.shape[1], steps=steps)

    def holds(self, piece: Piece) -> bool:
        """Whether it can be written so without loss of a pitch or a voice."""
        rows = piece.notes[:, PITCH]
        if piece.drums or not len(rows) or (self.own and int(piece.notes[:, VOICE].max()) >= self.count):
            return False
        return bool(self.low <= rows.min() and rows.max() <= self.high)

    def moved(self, x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        """`(B, V, T)`, each transposed by so many semitones `(B,)`."""
        return torch.where(x >= FIRST, (x + by[:, None, None]).clamp_min(FIRST), x)

    def grammar(self) -> Grammar | None:
        return None


@dataclass(frozen=True)
class Roll:
    """The 88 keys of a piano, and before them whether the piece has ended."""

    length: int

    @property
    def space(self) -> Space:
        return Space((self.length,), (Symbol(2, pad=1), *[Symbol(2)] * KEYS))

    def encode(self, piece: Piece) -> Array:
        """`(89, T)`."""
        found = np.zeros((1 + KEYS, self.length), np.int64)
        sounds = piece.roll()[: self.length, LOWEST : LOWEST + KEYS].T
        found[1:, : sounds.shape[1]] = sounds
        found[0, sounds.shape[1] :] = 1
        return found

    def decode(self, x: Array, steps: int) -> Piece:
        ended = np.flatnonzero(x[0] == 1)
        end = int(ended[0]) if len(ended) else x.shape[1]
        return Piece.of_roll(x[1:, :end].T > 0, steps, LOWEST)

    def holds(self, piece: Piece) -> bool:
        rows = piece.notes[:, PITCH]
        return (
            not piece.drums
            and len(rows) > 0
            and bool(rows.min() >= LOWEST and rows.max() < LOWEST + KEYS)
        )

    def moved(self, x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        """What would leave the keyboard is an octave nearer to its middle."""
        made = x.clone()
        for some in sorted({*by.tolist()}):
            rows = by == some
            keys, moved = x[rows, 1:], torch.zeros_like(x[rows, 1:])
            if some > 0:
                moved[:, some:] = keys[:, :-some]
                moved[:, KEYS - 12 : KEYS - 12 + some] |= keys[:, KEYS - some :]
            elif some < 0:
                moved[:, :some] = keys[:, -some:]
                moved[:, 12 + some : 12] |= keys[:, :-some]
            made[rows, 1:] = moved if some else keys
        return made

    def grammar(self) -> Grammar | None:
        return None


@dataclass(frozen=True)
class Tokens:
    """Notes of `voices` voices, of pitches from `low` up to `high` and of up to `longest` steps, in bars of up to `bar`
    steps.

    drums  the voices whose pitches are instruments, and these instruments
    """

    length: int
    voices: int
    low: int
    high: int
    longest: int
    bar: int
    metres: tuple[tuple[int, int], ...]
    drums: tuple[int, ...] = ()
    instruments: tuple[int, ...] = ()

    @cached_property
    def words(self) -> list[str]:
        return [
            "end",
            "bar",
            *(f"metre:{beats}/{unit}" for beats, unit in self.metres),
            *(f"at:{i}" for i in range(self.bar)),
            *(f"voice:{i}" for i in range(self.voices) if self.voices > 1),
            *(f"size:{i}" for i in range(1, self.longest + 1)),
            *(f"drum:{i}" for i in self.instruments),
            *(f"pitch:{i}" for i in range(self.low, self.high + 1)),
        ]

    @cached_property
    def numbers(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    @property
    def space(self) -> Space:
        return Space((self.length,), (Symbol(len(self.words), pad=END),))

    def encode(self, piece: Piece) -> Array:
        """`(1, L)`."""
        found = np.full((1, self.length), END, np.int64)
        ids = [self.numbers[word] for word in as_words(piece, self.longest)][: self.length]
        found[0, : len(ids)] = ids
        return found

    def decode(self, x: Array, steps: int) -> Piece:
        """What breaks off, or says nothing by itself, is left out."""
        words = [self.words[i] for i in np.asarray(x).ravel().tolist()]
        said = next((word.removeprefix("metre:") for word in words if word.startswith("metre:")), "")
        metre = next((one for one in self.metres if f"{one[0]}/{one[1]}" == said), self.metres[0])
        bar = Piece(np.empty((0, 4), np.int32), 0, steps, metre).bar
        rows: list[list[int]] = []
        begin, at, voice, pitch = -bar, 0, 0, -1
        for one in words:
            word, _, number = one.partition(":")
            if word == "end":
                break
            if word == "bar":
                begin, at = begin + bar, 0
            elif word == "at":
                at = int(number)
            elif word == "voice":
                voice = int(number)
            elif word == "pitch":
                pitch = int(number)
            elif word == "drum" and self.drums:
                rows.append(
                    [max(begin, 0) + at, 1, int(number), voice if voice in self.drums else self.drums[0]]
                )
            elif word == "size" and pitch >= 0:
                rows.append([max(begin, 0) + at, int(number), pitch, voice])
                at, pitch = at + int(number), -1
        notes = np.array(sorted({*map(tuple, rows)}), np.int32).reshape(-1, 4)
        there = frozenset(notes[:, VOICE].tolist())
        return Piece.of(notes, steps=steps, metre=metre, drums=there & frozenset(self.drums))

    def holds(self, piece: Piece) -> bool:
        return len(piece) > 0 and all(word in self.numbers for word in as_words(piece, self.longest))

    def moved(self, x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        first = self.numbers[f"pitch:{self.low}"]
        return torch.where(x >= first, (x + by[:, None, None]).clamp(first, len(self.words) - 1), x)

    def grammar(self) -> Grammar | None:
        """A pitch is followed by its size, and what says where or whose by a note."""
        free, before, within, after = (
            0,
            1,
            2,
            3,
        )  # states; `within` is behind a voice, `after` behind a pitch
        follows = torch.full((4, len(self.words)), REFUSED)
        for i, word in enumerate(self.words):
            kind = word.partition(":")[0]
            if kind in ("end", "bar", "metre"):
                follows[free, i] = free
            elif kind == "at":
                follows[free, i] = before
            elif kind == "voice":
                follows[[free, before], i] = within
            elif kind == "size":
                follows[after, i] = free
            else:
                follows[[free, before, within], i] = after if kind == "pitch" else free
        return Grammar(follows)


def as_words(piece: Piece, longest: int) -> Iterator[str]:
    """The words of a piece. A longer note is cut off there."""
    begin, at, whose = -piece.bar, 0, 0
    yield f"metre:{piece.metre[0]}/{piece.metre[1]}"
    for onset, size, pitch, voice in piece.notes.tolist():
        while onset >= begin + piece.bar:
            begin, at = begin + piece.bar, 0
            yield "bar"
        if onset - begin != at:
            at = onset - begin
            yield f"at:{at}"
        if voice != whose:
            whose = voice
            yield f"voice:{voice}"
        if voice in piece.drums:
            yield f"drum:{pitch}"
        else:
            yield f"pitch:{pitch}"
            yield f"size:{min(size, longest)}"
            at += min(size, longest)


def bars(piece: Piece, longest: int, most: int) -> list[tuple[int, int]]:
    """Where a piece is cut so that each part is as_words in at most `most` words, but for bars that have more."""
    ends = range(piece.bar, piece.length + piece.bar, piece.bar)
    costs = [0] * len(ends)
    at = -1
    for word in as_words(piece, longest):
        at += word == "bar"
        costs[min(max(at, 0), len(costs) - 1)] += 1
    if sum(costs) < most:
        return [(0, piece.length)]
    cuts, begin, held = list[tuple[int, int]](), 0, 0
    for end, cost in zip(ends, costs, strict=True):
        if held and held + cost + 4 > most:  # its metre, whose and where the first note is, and the end
            cuts.append((begin, end - piece.bar))
            begin, held = end - piece.bar, 0
        held += cost
    return [*cuts, (begin, piece.length)]


Symbols = Voices | Roll | Tokens


def sorted_voices(pieces: Sequence[Piece]) -> int:
    """The most pitches that sound at a time."""
    return max((int(piece.roll().sum(1).max(initial=0)) for piece in pieces), default=0)
