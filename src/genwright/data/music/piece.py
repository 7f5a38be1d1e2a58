"""A piece of music: its notes on a grid of time, whatever file they come from.

Time is counted in steps, `steps` of them to a quarter note. Of a piano roll nothing says whether a key was struck
again or held, so that equal keys in a row are one note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Literal

import numpy as np

from genwright.data.codec import Array

__all__ = ["KEYS", "LOWEST", "ONSET", "PARTS", "PITCH", "SIZE", "VOICE", "Part", "Piece"]

ONSET, SIZE, PITCH, VOICE = range(4)
"""Columns of the notes: when it begins, how long it is, which key, and in which voice."""
KEYS, LOWEST = 88, 21
"""Of a piano, and the lowest of them as MIDI counts (A0)."""
PITCHES = 128
Part = Literal["all", "melody", "bass", "drums"]
PARTS: tuple[Part, ...] = ("melody", "bass", "drums")
"""What of a piece can be a field of its own."""


@dataclass(frozen=True)
class Piece:
    """Notes `(n, 4)` int32 in the order of their onsets, and what is known of them.

    length   in steps, with the silence at the end
    steps    to a quarter note
    metre    beats to a bar, and which note is one: (3, 4)
    tempo    quarter notes a minute
    key      "C major" (empty: it is not said)
    drums    voices whose pitches are instruments
    basses   voices that are called so
    named    title, composer: what else the file says
    """

    notes: Array = field(repr=False)
    length: int
    steps: int = 4
    metre: tuple[int, int] = (4, 4)
    tempo: float = 120.0
    key: str = ""
    drums: frozenset[int] = frozenset()
    basses: frozenset[int] = frozenset()
    named: Mapping[str, str] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Piece) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __len__(self) -> int:
        return len(self.notes)

    @cached_property
    def digest(self) -> str:
        """Of what is heard: equal notes at equal times, equal digest."""
        state = blake2b(f"{self.steps} {self.length} {sorted(self.drums)}".encode(), digest_size=16)
        rows = self.notes[:, :VOICE] if not self.drums else self.notes
        state.update(np.ascontiguousarray(np.unique(rows, axis=0), "<i4").tobytes())
        return state.hexdigest()

    @property
    def bar(self) -> int:
        """Steps to a bar, at least 1."""
        beats, unit = self.metre
        return max(1, round(4 * self.steps * beats / unit))

    @property
    def pitched(self) -> Array:
        """The notes of instruments that are no drums."""
        return self.notes[~np.isin(self.notes[:, VOICE], sorted(self.drums))]

    @property
    def seconds(self) -> float:
        return self.length / self.steps * 60 / self.tempo

    @classmethod
    def of(
        cls, notes: Sequence[Sequence[int]] | Array, length: int | None = None, **known: object
    ) -> Piece:
        """Of notes in any order.

        length  in steps (None: where the last note ends)
        """
        rows = np.asarray(notes, np.int32).reshape(-1, 4)
        rows = rows[np.lexsort((rows[:, PITCH], rows[:, VOICE], rows[:, ONSET]))]
        end = int((rows[:, ONSET] + rows[:, SIZE]).max(initial=0))
        return cls(rows, end if length is None else length, **known)  # type: ignore[arg-type]

    @classmethod
    def of_roll(cls, roll: Array, steps: int, lowest: int = LOWEST) -> Piece:
        """Of a piano roll `(T, keys)` that is true where a key sounds.

        lowest  the pitch of its first key
        """
        sounds = np.pad(np.asarray(roll, bool), ((1, 1), (0, 0)))
        edges = np.diff(sounds.astype(np.int8), axis=0)
        keys, begins = np.nonzero(edges.T == 1)
        _, ends = np.nonzero(edges.T == -1)
        columns = [begins, ends - begins, keys + lowest, np.zeros_like(keys)]
        return cls.of(np.stack(columns, axis=1), len(roll), steps=steps)

    def roll(self) -> Array:
        """`(T, 128)`, true where a pitch sounds; drums do not."""
        found = np.zeros((self.length, PITCHES), bool)
        for onset, size, pitch, _ in self.pitched.tolist():
            found[onset : onset + size, pitch] = True
        return found

    def window(self, begin: int, end: int) -> Piece:
        """What begins between two steps; a note that sounds on beyond them is cut off."""
        begins = self.notes[:, ONSET]
        rows = self.notes[(begins >= begin) & (begins < end)].copy()
        rows[:, ONSET] -= begin
        length = min(end, self.length) - begin
        rows[:, SIZE] = np.minimum(rows[:, SIZE], length - rows[:, ONSET])
        return replace(self, notes=rows, length=length)

    def sounding(self, begin: int, end: int) -> Piece:
        """The same with what sounds at the beginning already, as a piano roll has it."""
        rows = self.notes.copy()
        late = np.maximum(begin - rows[:, ONSET], 0)
        rows[:, SIZE] -= late
        rows[:, ONSET] += late
        return replace(self, notes=rows[rows[:, SIZE] > 0]).window(begin, end)

    def part(self, name: Part) -> Piece:
        """Some of its notes: the highest at each time, those of a bass (a voice of that name, or the lowest), or the
        drums."""
        if name == "all":
            return self
        if name == "drums":
            return replace(self, notes=self.notes[np.isin(self.notes[:, VOICE], sorted(self.drums))])
        if name == "bass" and self.basses:
            return replace(self, notes=self.notes[np.isin(self.notes[:, VOICE], sorted(self.basses))])
        return replace(self, notes=self._line(1 if name == "melody" else -1), drums=frozenset())

    def _line(self, sign: int) -> Array:
        """The notes that are the highest (1) or the lowest (-1) where they begin, cut off where the next begins."""
        rows = self.pitched
        order = np.lexsort((-sign * rows[:, PITCH], rows[:, ONSET]))
        kept: list[list[int]] = []
        for onset, size, pitch, voice in rows[order].tolist():
            if kept and kept[-1][ONSET] + kept[-1][SIZE] > onset:
                last = kept[-1]
                if last[ONSET] == onset or sign * last[PITCH] > sign * pitch:
                    continue
                last[SIZE] = onset - last[ONSET]
            kept.append([onset, size, pitch, voice])
        return np.asarray(kept, np.int32).reshape(-1, 4)
