"""A piece to hear and to see: plucked strings out of a few sines, drums out of noise, and a picture of its roll."""

from __future__ import annotations

import io
import subprocess
import tempfile
import wave
from pathlib import Path
from shutil import which

import numpy as np
from PIL import Image

from genwright.data.audio.files import to_wav
from genwright.data.codec import Array, Sounded
from genwright.data.music.midi import to_midi
from genwright.data.music.piece import PITCH, Piece
from genwright.errors import GenwrightError

__all__ = ["RATE", "heard_and_seen", "pictured", "played"]

RATE = 11_025
"""Samples a second."""
LONGEST = 180
"""Seconds that are played of a piece."""
PARTIALS = (1.0, 0.45, 0.2, 0.1)
"""How loud each harmonic of a string is; higher ones die away sooner."""
RINGING = 0.25
"""Seconds that a string sounds on when it is let go."""
FONTS = (Path("/usr/share/sounds/sf2"), Path("/usr/share/soundfonts"))
WIDE, HIGH = 480, 96
PAPER, GRID = 246, 226
INKS = ((40, 90, 170), (190, 70, 50), (50, 140, 80), (150, 90, 170), (200, 140, 30), (60, 140, 150))


def played(piece: Piece, *, fluidsynth: bool = False) -> bytes:
    """A WAV file: of strings of our own, or by fluidsynth with a sound font of the machine. Raises `GenwrightError`
    where that is not installed."""
    return _by_fluidsynth(piece) if fluidsynth else to_wav(_strings(piece), RATE)


def heard_and_seen(piece: Piece, *, fluidsynth: bool = False) -> Sounded:
    return Sounded(played(piece, fluidsynth=fluidsynth), pictured(piece))


def _strings(piece: Piece) -> Array:
    """`(samples,)` int16."""
    step = 60 / piece.tempo / piece.steps
    seconds = min(LONGEST, piece.length * step) + RINGING
    heard = np.zeros(int(seconds * RATE) + 1, np.float32)
    made: dict[tuple[int, int, bool], Array] = {}
    for onset, size, pitch, voice in piece.notes.tolist():
        begin = round(onset * step * RATE)
        kind = (pitch, size, voice in piece.drums)
        if begin >= len(heard):
            continue
        if kind not in made:
            made[kind] = _drum(pitch) if kind[2] else _string(pitch, size * step)
        some = made[kind][: len(heard) - begin]
        heard[begin : begin + len(some)] += some
    loudest = float(np.abs(heard).max(initial=0.0)) or 1.0
    return np.rint(heard / loudest * 0.8 * (2**15 - 1)).astype(np.int16)


def _string(pitch: int, seconds: float) -> Array:
    """A plucked string: harmonics that die away, and a damper at the end."""
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    t = np.arange(int((seconds + RINGING) * RATE)) / RATE
    wave_, fade = np.zeros_like(t), 1.2 + 1.5 * frequency / 440
    for harmonic, loud in enumerate(PARTIALS, 1):
        if harmonic * frequency < RATE / 2:
            wave_ += (
                loud * np.sin(2 * np.pi * harmonic * frequency * t) * np.exp(-fade * harmonic**0.7 * t)
            )
    damper = np.clip(1 - (t - seconds) / RINGING, 0, 1)
    return (wave_ * damper * np.minimum(1, t * 400)).astype(np.float32)


def _drum(instrument: int) -> Array:
    """A burst of noise: deep and slow for the low instruments of General MIDI, bright and short for the others."""
    low = instrument in (35, 36, 41, 43, 45, 47)
    t = np.arange(int((0.25 if low else 0.12) * RATE)) / RATE
    noise = np.random.default_rng(instrument).normal(size=len(t)) * np.exp(-40 * t)
    thump = np.sin(2 * np.pi * 80 * t) * np.exp(-14 * t)
    return (0.8 * thump + 0.1 * noise if low else 0.3 * noise).astype(np.float32)


def _by_fluidsynth(piece: Piece) -> bytes:
    fonts = sorted(font for folder in FONTS for font in folder.glob("*.sf[23]"))
    program = which("fluidsynth")
    if program is None or not fonts:
        what = "a sound font (.sf2) in /usr/share/sounds/sf2" if program else "the program fluidsynth"
        raise GenwrightError(
            f"codec.sound=fluidsynth needs {what}, which is not there: install it, or leave codec.sound at strings",
            code="no-fluidsynth",
        )
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "a.mid", Path(folder) / "a.wav"
        score.write_bytes(to_midi(piece))
        words = [program, "-ni", "-q", "-r", str(RATE), "-F", str(sound), str(fonts[0]), str(score)]
        subprocess.run(words, capture_output=True, timeout=120, check=False)
        try:
            with wave.open(str(sound)) as made:
                held = np.frombuffer(made.readframes(made.getnframes()), "<i2")
                channels = made.getnchannels()
        except (OSError, EOFError, wave.Error):
            raise GenwrightError(
                f"fluidsynth made no sound with {fonts[0]}: leave codec.sound at strings",
                code="no-fluidsynth",
            ) from None
    return to_wav(held.reshape(-1, channels).mean(axis=1).astype(np.int16), RATE)


def pictured(piece: Piece, wide: int = WIDE, high: int = HIGH) -> bytes:
    """A PNG of the piano roll, time to the right and pitch up; a colour a voice."""
    rows = piece.notes
    low, top = (int(rows[:, PITCH].min()) - 1, int(rows[:, PITCH].max()) + 2) if len(rows) else (59, 61)
    tall, long = max(1, high // (top - low)), max(1, wide // max(1, piece.length))
    picture = np.full(((top - low) * tall, max(1, piece.length) * long, 3), PAPER, np.uint8)
    picture[:, :: piece.bar * long] = GRID
    for onset, size, pitch, voice in rows.tolist():
        y, gap = (top - 1 - pitch) * tall, int(long > 2)
        picture[y : y + tall, onset * long : (onset + size) * long - gap] = INKS[voice % len(INKS)]
    data = io.BytesIO()
    made = Image.fromarray(picture)
    if made.width > 2 * wide:
        made = made.resize((2 * wide, made.height), Image.Resampling.BOX)
    made.save(data, "PNG")
    return data.getvalue()
