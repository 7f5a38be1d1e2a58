"""One sound: opened without being loaded, cut at any place and at any rate, written and drawn.

Every sound has one channel, the mean of those in its file, and numbers from -1 to 1:

    .wav               PCM of 8, 16, 24 or 32 bits and floats of 32 or 64 are read here, in place
    .flac, .ogg, .mp3  by the library soundfile, an extra
"""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import ceil, gcd
from pathlib import Path

import numpy as np

from genwright.data.codec import Array, Sounded
from genwright.data.image.ops import to_image
from genwright.errors import missing_extra

__all__ = ["RATES", "Sound", "length_at", "opened", "resampled", "sounded", "to_wav"]

RATES = 100, 768_000
"""Samples a second that a file may declare."""
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""Of a WAV file's samples: how they are coded."""
WHOLE = {(PCM, 1): "u1", (PCM, 2): "<i2", (PCM, 3): "u1", (PCM, 4): "<i4"}
CODED = {**WHOLE, (FLOAT, 4): "<f4", (FLOAT, 8): "<f8"}
"""By the code and the bytes of a sample; three bytes are put together later."""
REACH = 10
"""Samples on each side, of the slower of two rates, that a resampled one depends on."""


@dataclass(frozen=True)
class Sound:
    """What a file declares; `read` gives its samples from one to before another, `(n,)` float32."""

    rate: int
    frames: int
    channels: int
    format: str
    read: Callable[[int, int], Array]

    def length(self, rate: int) -> int:
        """How many samples it has at another rate."""
        return length_at(self.frames, self.rate, rate)

    def piece(self, rate: int, start: int, count: int) -> Array:
        """At most `count` samples `(n,)` from `start`, counted at `rate`: those of the whole sound resampled,
        though no more of it is read than they depend on."""
        up, down = _ratio(self.rate, rate)
        if up == down:
            return self.read(start, min(start + count, self.frames))
        reach = ceil(REACH * max(up, down) / up) + 1
        first = max(0, start // up - ceil(reach / down))  # in blocks of `down` samples, which give `up`
        last = min(self.frames, ceil((start + count) * down / up) + reach)
        found = resampled(self.read(first * down, last), self.rate, rate)
        return found[start - first * up :][:count]


def _ratio(old: int, new: int) -> tuple[int, int]:
    common = gcd(old, new)
    return new // common, old // common


def length_at(frames: int, old: int, new: int) -> int:
    """How many samples become of `frames` at another rate."""
    return -(-frames * new // old)


def resampled(x: Array, old: int, new: int) -> Array:
    """Samples `(..., n)` at another rate, `(..., length_at(n, old, new))` float32, without what is too high
    for it."""
    up, down = _ratio(old, new)
    if up == down:
        return x.astype(np.float32)
    from scipy.signal import resample_poly

    return np.asarray(resample_poly(x, up, down, axis=-1, window=_lowpass(max(up, down))), np.float32)


@lru_cache(maxsize=16)
def _lowpass(factor: int) -> Array:
    """The filter that scipy would design anew for each piece."""
    from scipy.signal import firwin

    return np.asarray(firwin(2 * REACH * factor + 1, 1 / factor, window=("kaiser", 5.0)))


# -- opening ---------------------------------------------------------------------------------------


@contextmanager
def opened(path: Path) -> Iterator[Sound]:
    """The sound in a file. Raises `ValueError` that says why there is none, `OSError`, and `GenwrightError`
    for a library that is not installed."""
    if not path.stat().st_size:
        raise ValueError("the file is empty")
    if path.suffix.lower() == ".wav":
        yield _checked(_wav(path))
    else:
        with _by_library(path) as sound:
            yield _checked(sound)


def _checked(sound: Sound) -> Sound:
    if not RATES[0] <= sound.rate <= RATES[1]:
        raise ValueError(f"it declares {sound.rate} samples a second, wanted {RATES[0]} to {RATES[1]:,}")
    if not sound.frames:
        raise ValueError("there is no sound in it")
    return sound


def _wav(path: Path) -> Sound:
    """RIFF: a chain of named parts, of which `fmt ` says how the samples in `data` are coded."""
    coding = b""
    with path.open("rb") as file:
        riff, _, kind = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if (riff, kind) != (b"RIFF", b"WAVE"):
            raise ValueError("not a WAV file, whatever its name says")
        while True:
            head = file.read(8)
            if len(head) < 8:
                raise ValueError("damaged or cut short: it ends before its samples")
            name, size = struct.unpack("<4sI", head)
            if name == b"data":
                break
            begin = file.tell()
            if name == b"fmt ":
                coding = file.read(min(size, 40))
            file.seek(begin + size + size % 2)
        start = file.tell()
    if len(coding) < 16:
        raise ValueError("damaged: it does not say how its samples are coded")
    tag, channels, rate, _, step, bits = struct.unpack("<HHIIHH", coding[:16])
    if tag == EXTENSIBLE and len(coding) >= 26:
        (tag,) = struct.unpack("<H", coding[24:26])
    width = step // channels if channels else 0
    if (tag, width) not in CODED or width * channels != step:
        raise ValueError(
            f"its samples are coded in a way that is not read here (format {tag} of {bits} bits): save it "
            f"as PCM of 16 bits"
        )
    there = path.stat().st_size - start
    if size == 0xFFFFFFFF:  # of what was written to a pipe: until the end
        size = there
    if size > there:
        raise ValueError(f"damaged or cut short: {there:,} of {size:,} bytes of sound are there")
    code = np.dtype(CODED[tag, width])
    shape = (size // step, channels, 3) if width == 3 else (size // step, channels)

    def read(first: int, last: int) -> Array:
        count = max(0, min(last, shape[0]) - first)
        with path.open("rb") as file:
            file.seek(start + first * step)
            values = np.frombuffer(file.read(count * step), code)
        return _mean(_numbers(values.reshape(count, *shape[1:]), width))

    name = f"{8 * width}-bit {'PCM' if tag == PCM else 'float'}"
    return Sound(rate, shape[0], channels, name, read)


def _numbers(values: Array, width: int) -> Array:
    """Samples as they are coded to -1 to 1, `(n, channels)`."""
    if values.dtype.kind == "f":
        return values
    if width == 1:
        return (values.astype(np.float32) - 128) / 128
    if width == 3:  # to the upper three bytes of four
        wide = values.astype(np.int32)
        values = (wide[..., 0] << 8) | (wide[..., 1] << 16) | (wide[..., 2] << 24)
    return values / (2.0**15 if width == 2 else 2.0**31)


def _mean(values: Array) -> Array:
    one = values[:, 0] if values.shape[1] == 1 else values.mean(axis=1)
    return one.astype(np.float32)


@contextmanager
def _by_library(path: Path) -> Iterator[Sound]:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the library it is made of
        raise missing_extra(f"reading {path.suffix.lower()} files", "soundfile", "audio") from error
    try:
        with path.open("rb") as stream, soundfile.SoundFile(stream) as file:

            def read(first: int, last: int) -> Array:
                file.seek(first)
                return _mean(file.read(last - first, dtype="float32", always_2d=True))

            yield Sound(file.samplerate, file.frames, file.channels, file.format, read)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"damaged, or no sound: {error.error_string}") from error


# -- to hear and to see ----------------------------------------------------------------------------


def to_wav(samples: Array, rate: int) -> bytes:
    """Samples `(n,)` int16 as a WAV file."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return data.getvalue()


def sounded(samples: Array, rate: int) -> Sounded:
    """Samples `(n,)` int16, to hear and to see."""
    return Sounded(to_wav(samples, rate), _drawn(samples))


def _drawn(samples: Array, wide: int = 240, high: int = 64) -> bytes:
    """A PNG of the wave: from the least to the largest sample of each column and the first of the next."""
    ends = np.linspace(0, len(samples), min(wide, len(samples)) + 1).astype(int)
    parts = [samples[a : b + 1].astype(np.float64) for a, b in pairwise(ends)]
    low, top = (np.array([pick(part) for part in parts]) for pick in (np.min, np.max))
    row = (np.arange(high)[::-1, None] + 0.5) / high * 2**16 - 2**15
    half = 2**15 / high
    ink = (row + half >= low) & (row - half <= top)
    picture = np.where(ink, 60, 235).astype(np.uint8).repeat(max(1, wide // len(parts)), axis=1)
    data = io.BytesIO()
    to_image(picture[..., None]).save(data, "PNG")
    return data.getvalue()
