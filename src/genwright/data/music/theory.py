"""What a textbook of harmony says of notes: keys, scales, and intervals between voices."""

from __future__ import annotations

from functools import cache

import numpy as np

from genwright.data.codec import Array
from genwright.data.music.piece import PITCH, SIZE, Piece

__all__ = [
    "SCALES",
    "TONICS",
    "estimated_key",
    "key_of",
    "out_of_key",
    "parallels",
    "pitch_classes",
    "top_down",
]

TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 9, 10, 11),  # natural, harmonic and melodic together
}
PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
"""How well each semitone above the tonic fits (Krumhansl and Kessler 1982)."""
PERFECT = (0, 7)
"""Semitones of octaves and unisons, and of fifths, within an octave."""


def pitch_classes(piece: Piece) -> Array:
    """For how many steps each of the 12 sounds `(12,)`."""
    rows = piece.pitched
    return np.bincount(rows[:, PITCH] % 12, weights=rows[:, SIZE], minlength=12)


def estimated_key(piece: Piece) -> str:
    """The key whose profile goes best with how long each pitch class sounds (Krumhansl and Schmuckler; Krumhansl
    1990, chapter 4); C major where nothing speaks for any."""
    heard = pitch_classes(piece)
    if not np.ptp(heard):
        return "C major"
    fits = _fits() @ (heard - heard.mean())  # the correlations, but for a factor that all have
    mode, tonic = divmod(int(np.argmax(np.round(fits / fits.max(), 9))), 12)
    return f"{TONICS[tonic]} {list(PROFILES)[mode]}"


@cache
def _fits() -> Array:
    """The profile of each key at unit length, about its mean `(24, 12)`."""
    rows = np.array([np.roll(profile, tonic) for profile in PROFILES.values() for tonic in range(12)])
    rows = rows - rows.mean(1, keepdims=True)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def key_of(piece: Piece) -> str:
    """As the file says, or estimated."""
    return piece.key or estimated_key(piece)


def out_of_key(piece: Piece, key: str | None = None) -> tuple[int, int]:
    """Steps that sound outside of the scale of a key (None: the estimated one), and all that sound."""
    tonic, mode = (key or estimated_key(piece)).split(" ")
    heard = pitch_classes(piece)
    scale = [(TONICS.index(tonic) + degree) % 12 for degree in SCALES[mode]]
    return round(float(heard.sum() - heard[scale].sum())), round(float(heard.sum()))


def top_down(piece: Piece, voices: int) -> Array:
    """The pitches that sound at each step, the highest first `(T, voices)`; -1 where there are no more."""
    found = np.full((piece.length, voices), -1, np.int16)
    roll = piece.roll()[:, ::-1]
    at, down = np.nonzero(roll)
    rank = roll.cumsum(1)[at, down] - 1
    kept = rank < voices
    found[at[kept], rank[kept]] = roll.shape[1] - 1 - down[kept]
    return found


def parallels(lines: Array) -> tuple[int, int]:
    """Of voices `(T, V)`, pitches or -1: how often two of them move from a fifth or an octave to the same interval in
    one direction, and how often two move at all, from one step to the next where both sound."""
    first, second = np.triu_indices(lines.shape[1], 1)
    one, other = (lines[:, some].astype(int) for some in (first, second))  # (T, pairs)
    sound = (one >= 0) & (other >= 0)
    up, low = np.diff(one, axis=0), np.diff(other, axis=0)
    moved = sound[1:] & sound[:-1] & (up != 0) & (low != 0)
    between = (one - other) % 12
    same = (between[1:] == between[:-1]) & np.isin(between[1:], PERFECT)
    return int((moved & same & (np.sign(up) == np.sign(low))).sum()), int(moved.sum())
