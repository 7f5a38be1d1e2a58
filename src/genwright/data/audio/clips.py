"""Clips: what sounds are cut into, all of one rate and one length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np

from genwright.data.audio.files import Sound, opened
from genwright.data.codec import Array, Place, Rejected

__all__ = ["TOP", "Clip", "ClipFormat", "cut", "digest", "sixteen"]

TOP = 2.0**15
"""A sample of 1.0 as 16 bits hold it."""
LOUD = 4.0
"""Above it floats are no samples of a sound from -1 to 1, but numbers on another scale."""
QUIET = 1e-4
"""What moves less is silence."""


@dataclass(frozen=True)
class ClipFormat:
    """What all sounds are cut to: `length` samples at `rate` a second, one clip every `stride` of them."""

    rate: int
    length: int
    stride: int


@dataclass(frozen=True)
class Clip:
    """Some samples `(T,)` int16, `rate` of them a second, and what is known of a clip that was read:

    heard     samples before those that fill it up with silence
    file_rate, format   of the file
    clipped   whether it was louder than 1
    """

    samples: Array = field(repr=False)
    rate: int
    heard: int = 0
    file_rate: int = 0
    format: str = ""
    clipped: bool = False


def cut(path: Path, name: str, form: ClipFormat) -> Iterator[tuple[Clip, Place] | Rejected]:
    """The clips of a file, one after the other, or why it has none."""
    try:
        with opened(path) as sound:
            whole = sound.length(form.rate)
            starts = [start for start in range(0, whole, form.stride) if _counts(start, whole, form)]
            for start in starts:
                where = name if len(starts) == 1 else f"{name} at {start / form.rate:.2f} s"
                samples = sound.piece(form.rate, start, form.length)
                clip = _clip(samples, sound, form)
                if isinstance(clip, str):
                    yield Rejected(where, clip)
                else:
                    yield clip, Place(start / whole, min(start + form.length, whole) / whole)
    except ValueError as error:
        yield Rejected(name, str(error))
    except OSError as error:
        yield Rejected(name, f"cannot be opened: {error.strerror or error}")


def _counts(start: int, whole: int, form: ClipFormat) -> bool:
    """Whether a clip that begins here is one: whole, the only one, or the last and half of it there."""
    rest = whole - start
    return start == 0 or rest >= form.length or (form.stride >= form.length and 2 * rest >= form.length)


def _clip(samples: Array, sound: Sound, form: ClipFormat) -> Clip | str:
    """The samples in the common form, or what is wrong with them."""
    if not len(samples):
        return "damaged or cut short: there are fewer samples than it declares"
    if not np.isfinite(samples).all():
        return "it holds values that are not finite"
    loud = float(np.abs(samples).max())
    if loud > LOUD:
        return f"its values go up to {loud:g}: scale them to -1 to 1"
    if float(np.ptp(samples)) < QUIET:
        return "silence: nothing can be heard in it"
    filled = np.zeros(form.length, np.float32)
    filled[: len(samples)] = samples
    # A resampled sound may stand a little above what it was: that is no fault of the file.
    clipped = loud > (1.0 if sound.rate == form.rate else 1.1)
    return Clip(sixteen(filled), form.rate, len(samples), sound.rate, sound.format, clipped)


def sixteen(x: Array) -> Array:
    """-1 to 1 as int16, rounded; what is louder is cut off."""
    values = np.nan_to_num(np.asarray(x, np.float64) * TOP)
    return np.rint(values).clip(-TOP, TOP - 1).astype(np.int16)


def digest(clip: Clip) -> str:
    state = blake2b(f"{clip.rate} {len(clip.samples)}".encode(), digest_size=16)
    state.update(np.ascontiguousarray(clip.samples).data)
    return state.hexdigest()
