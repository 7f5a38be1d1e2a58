"""Music: which notes it is made of, how long they are, whether it keeps to keys and to rules of harmony, and whether it
repeats itself or others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np

from genwright.data.codec import Array
from genwright.data.music.piece import ONSET, SIZE, Piece
from genwright.data.music.theory import (
    SCALES,
    TONICS,
    estimated_key,
    out_of_key,
    parallels,
    pitch_classes,
    top_down,
)
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Comparison, MeanScore, Rate, Statistic

__all__ = [
    "KeyControl",
    "MusicRepetition",
    "OutOfKey",
    "Parallels",
    "PitchClasses",
    "Rhythms",
    "TransposedCopies",
]

VOICES = 4
"""From the highest down, that are looked at for parallels."""
LONGEST, PLACES = 32, 64
"""Quarters of a quarter note of the longest note that is told from longer ones, and of a bar."""
RUN, MOTIF = 8, 3
"""Events one after the other that are looked for in other music, and in the same."""
COPIED = 0.5
"""Of a piece, by whose share of such runs it is called a copy."""


def _pieces(sample: Sample) -> list[Piece]:
    found: list[Piece] = sample.view("music")
    return found


class _Histogram(Statistic):
    """The Jensen-Shannon divergence (Lin 1991) between what generated and real pieces consist of, in nats."""

    group = "fidelity"
    better = "lower"
    ideal = 0.0
    reads = "music"
    sees: ClassVar[tuple[str, ...] | None] = ("ladder", "independence", "new_mode", "collapse")
    counted: Callable[[Piece], Array]
    """Counts of a piece `(k,)`."""

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        counted = type(self).counted
        test, fake = (
            np.stack([counted(piece) for piece in _pieces(one)])
            for one in (evidence.test, evidence.fake)
        )
        if not (test.any() and fake.any()):
            raise DataError(f"{self.name}: there are no notes to compare", code="no-notes")
        return test, fake, lambda test, fake, rng: jensen_shannon(test.sum(0), fake.sum(0))


def jensen_shannon(a: Array, b: Array) -> float:
    """Of counts."""
    p, q = a / max(a.sum(), 1e-300), b / max(b.sum(), 1e-300)
    middle = (p + q) / 2
    parts = [float((one[one > 0] * np.log(one[one > 0] / middle[one > 0])).sum()) for one in (p, q)]
    return sum(parts) / 2


def _degrees(piece: Piece) -> Array:
    """How long each pitch class sounds, from the tonic of the piece up, for major and minor `(24,)`."""
    tonic, mode = estimated_key(piece).split(" ")
    found = np.zeros((len(SCALES), 12))
    found[list(SCALES).index(mode)] = np.roll(pitch_classes(piece), -TONICS.index(tonic))
    return found.ravel()


class PitchClasses(_Histogram):
    """The Jensen-Shannon divergence between how long each of the twelve pitch classes, from the tonic of a piece up,
    sounds in generated and in real music, in nats. Tonics are estimated (Krumhansl and Kessler 1982)."""

    name = "pitch_classes"
    sees = ("ladder", "independence", "collapse")
    how = "Nats by which the mixture of pitch classes above the tonic differs from that of real music; 0 is the same."
    counted = staticmethod(_degrees)


def _rhythm(piece: Piece) -> Array:
    """How long notes are, and where in a bar they begin, in quarters of a quarter note."""
    scale = 4 / piece.steps
    size = np.minimum(np.rint(piece.notes[:, SIZE] * scale), LONGEST).astype(int)
    place = np.minimum(np.rint(piece.notes[:, ONSET] % piece.bar * scale), PLACES - 1).astype(int)
    return np.concatenate(
        [np.bincount(size, minlength=LONGEST + 1), np.bincount(place, minlength=PLACES)]
    )


class Rhythms(_Histogram):
    """The Jensen-Shannon divergence between how long notes of generated and of real music are, and where in a bar they
    begin, in nats; both halves in one distribution."""

    name = "rhythms"
    how = "Nats by which lengths of notes and their places in the bar differ from those of real music."
    counted = staticmethod(_rhythm)


class OutOfKey(MeanScore):
    """The share of time that notes of a piece sound outside of the scale of its own key, which is estimated by the
    profiles of Krumhansl and Kessler (1982); a minor scale has both sixths and sevenths."""

    name = "out_of_key"
    group = "validity"
    better = "near"
    fault = "above"
    reads = "music"
    sees = ("ladder", "independence")
    how = "Share of time outside of a piece's own key; real music leaves its key now and then."

    def scores(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        found = [out_of_key(piece) for piece in _pieces(evidence.fake)]
        return np.array([outside / max(1, heard) for outside, heard in found])


class Parallels(MeanScore):
    """The share of moves of two voices that go in parallel fifths or octaves, which the rules of counterpoint forbid
    (Fux 1725); voices are what sounds, from the highest down."""

    name = "parallels"
    group = "validity"
    better = "near"
    fault = "above"
    reads = "music"
    sees = ("independence",)
    how = "Share of moves of two voices in parallel fifths or octaves; Bach himself has some."

    def fits(self, evidence: Evidence) -> bool:
        return any(
            bool(top_down(piece, 2)[:, 1:].max(initial=-1) >= 0) for piece in _pieces(evidence.test)
        )

    def scores(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        found = [parallels(top_down(piece, VOICES)) for piece in _pieces(evidence.fake)]
        return np.array([wrong / max(1, moves) for wrong, moves in found])


# -- what comes again ------------------------------------------------------------------------------

Event = tuple[int, int, tuple[int, ...]]


@lru_cache(maxsize=1 << 14)
def _runs(piece: Piece, size: int = RUN) -> tuple[tuple[Event, ...], ...]:
    """Each run of `size` events of a piece. An event is by how much the highest note moves, after how many steps, and
    how far below it the others sound: the same in every key."""
    roll, onsets = piece.roll(), np.unique(piece.pitched[:, ONSET]).tolist()
    sounds = [np.flatnonzero(roll[onset]) for onset in onsets]
    tops = [int(pitches[-1]) for pitches in sounds]
    events: list[Event] = [
        (top - before, onset - last, tuple((top - pitches).tolist()))
        for before, last, top, onset, pitches in zip(
            tops, onsets, tops[1:], onsets[1:], sounds[1:], strict=False
        )
    ]
    return tuple(zip(*(events[i:] for i in range(size)), strict=False))


def _again(piece: Piece) -> float:
    """Of the motifs of a melody the share that came in it before."""
    runs = _runs(piece.part("melody"), MOTIF)
    return 1 - len({*runs}) / len(runs) if runs else 0.0


class MusicRepetition(MeanScore):
    """The share of runs of three moves of the melody that came in the same piece before, in the same key or another."""

    name = "music_repetition"
    group = "diversity"
    better = "near"
    reads = "music"
    sees = ()
    how = (
        "Share of runs of four notes that came in the piece before; a model that is stuck repeats more."
    )

    def scores(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        return np.array([_again(piece) for piece in _pieces(evidence.fake)])


class TransposedCopies(Rate):
    """The share of pieces of which half consists of music of training, in whatever key: of its runs of eight chords or
    notes, half or more come in one of the pieces."""

    name = "transposed_copies"
    group = "novelty"
    better = "near"
    fault = "above"
    reads = "music"
    sees = ("all_copied", "tenth_copied")
    how = "Share of pieces that are copied from training in some key; held-out music says how often tunes come again."

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        known: dict[tuple[Event, ...], list[int]] = {}
        for number, piece in enumerate(_pieces(evidence.train)):
            for run in {*_runs(piece)}:
                known.setdefault(run, []).append(number)
        made = _pieces(evidence.fake)
        return sum(_copied(_runs(piece), known) for piece in made), len(made)


def _copied(runs: Sequence[tuple[Event, ...]], known: dict[tuple[Event, ...], list[int]]) -> bool:
    """Whether one piece holds half of the runs."""
    counts: dict[int, int] = {}
    for run in runs:
        for number in known.get(run, ()):
            counts[number] = counts.get(number, 0) + 1
    return bool(counts) and max(counts.values()) >= COPIED * len(runs)


class KeyControl(Rate):
    """The share of pieces whose key, estimated by the profiles of Krumhansl and Kessler (1982), is the one that was
    asked for."""

    name = "key_control"
    group = "condition"
    better = "near"
    fault = "below"
    reads = "music"
    needs = frozenset({"condition"})
    sees = ("ignored",)
    how = (
        "Share of pieces that are heard in the key that was asked for; real ones are not always, either."
    )

    def fits(self, evidence: Evidence) -> bool:
        return "key" in evidence.fake.conditions

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        asked = evidence.fake.conditions.get("key")
        if asked is None:
            raise DataError(f"{self.name}: no key was given", code="no-key")
        made = _pieces(evidence.fake)
        return sum(estimated_key(piece) == key for piece, key in zip(made, asked, strict=True)), len(
            made
        )
