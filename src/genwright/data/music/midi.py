"""A piece as a Standard MIDI File (MIDI Manufacturers Association 1996, format 1)."""

from __future__ import annotations

import struct
from itertools import count

from genwright.data.music.piece import ONSET, PITCH, SIZE, VOICE, Piece
from genwright.data.music.theory import SCALES, TONICS

__all__ = ["to_midi"]

TICKS = 480
"""To a quarter note, where the steps divide it."""
DRUMS = 9
"""The channel of drums, counted from 0."""
BASS = 32
"""The program of a bass, counted from 0."""
SHARPS = {
    "major": (0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5),
    "minor": (-3, 4, -1, 6, 1, -4, 3, -2, 5, 0, -5, 2),
}
"""Of the key of each tonic from C on; flats are below 0."""


def to_midi(piece: Piece) -> bytes:
    """A track for what holds for all, and one for each voice, whose number is in its name."""
    ticks = TICKS if TICKS % piece.steps == 0 else 48 * piece.steps
    tracks = [_track(_facts(piece, ticks), piece.length * ticks // piece.steps)]
    channels = (channel for channel in count() if channel % 16 != DRUMS)
    for voice in sorted({*piece.notes[:, VOICE].tolist()}):
        drums = voice in piece.drums
        tracks.append(_track(_events(piece, voice, DRUMS if drums else next(channels) % 16, ticks), 0))
    head = struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), ticks)
    return head + b"".join(tracks)


def _facts(piece: Piece, ticks: int) -> list[tuple[int, bytes]]:
    beats, unit = piece.metre
    tempo = min(2**24 - 1, round(60e6 / piece.tempo))
    found = [
        (0, b"\xff\x51\x03" + tempo.to_bytes(3, "big")),
        (0, bytes([0xFF, 0x58, 4, beats, unit.bit_length() - 1, 24, 8])),
    ]
    if piece.key:
        tonic, mode = piece.key.split(" ")
        sharps = SHARPS[mode][TONICS.index(tonic)]
        found.append((0, b"\xff\x59\x02" + struct.pack("bB", sharps, list(SCALES).index(mode))))
    return found


def _events(piece: Piece, voice: int, channel: int, ticks: int) -> list[tuple[int, bytes]]:
    """Note-offs come before note-ons of the same time."""
    kind = "drums" if voice in piece.drums else "bass" if voice in piece.basses else "voice"
    name = f"{kind} {voice + 1}".encode()
    begin = [(0, 0, b"\xff\x03" + bytes([len(name)]) + name)]
    if voice not in piece.drums:
        begin.append((0, 0, bytes([0xC0 | channel, BASS if voice in piece.basses else 0])))
    scale = ticks // piece.steps
    for row in piece.notes[piece.notes[:, VOICE] == voice].tolist():
        onset, pitch = row[ONSET] * scale, row[PITCH]
        begin.append((onset, 2, bytes([0x90 | channel, pitch, 80])))
        begin.append((onset + row[SIZE] * scale, 1, bytes([0x80 | channel, pitch, 0])))
    return [(time, event) for time, _, event in sorted(begin, key=lambda one: one[:2])]


def _track(events: list[tuple[int, bytes]], end: int) -> bytes:
    """Times from the beginning to a chunk with times from event to event."""
    body, now = bytearray(), 0
    for time, event in events:
        body += _size(time - now) + event
        now = time
    body += _size(max(0, end - now)) + b"\xff\x2f\x00"
    return struct.pack(">4sI", b"MTrk", len(body)) + bytes(body)


def _size(number: int) -> bytes:
    """A variable-length quantity: seven bits a byte, the high bit set on all but the last."""
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(number & 0x7F | 0x80)
    return bytes(reversed(parts))
