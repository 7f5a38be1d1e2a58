"""Sounds in memory: waveforms with their rate, and files of Hugging Face, to sound files and back."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genwright.data.audio.clips import TOP, Clip
from genwright.data.audio.files import FLOAT, resampled, to_wav
from genwright.data.codec import Array
from genwright.data.containers import ObjectForm, as_array, as_tensor, column_form, mixed, numpy_dtype
from genwright.data.shards import unusable

__all__ = ["sound_as_given", "sound_form", "to_file"]

FILE, WAVE = {"bytes", "path"}, ("array", "sampling_rate")
SLOWEST = 1000
"""Samples a second from which on a whole number beside an array is its rate, and no label."""
MANY = 16
"""Channels that a sound has less of: a longer axis is time."""


def sound_form(value: Any, rate: int | None = None) -> ObjectForm | None:
    """Of a sound: whether its rate stands with it, and the dtype, axes and number of channels of its samples."""
    if isinstance(value, Mapping) and value.keys() == FILE:
        return {"as": "file"}
    if isinstance(value, Mapping) and {*WAVE} <= value.keys():
        return _form(value["array"], "dict", value["sampling_rate"])
    if (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[1], int | np.integer)
        and value[1] >= SLOWEST
    ):
        return _form(value[0], "pair", value[1])
    return None if rate is None else _form(value, "array", rate)


def _form(samples: Any, kind: str, rate: Any) -> ObjectForm | None:
    if not isinstance(samples, np.ndarray | torch.Tensor | list):
        return None
    shape = np.shape(samples)
    if len(shape) not in (1, 2) or (len(shape) == 2 and min(shape) > MANY):
        return None
    axes = "t" if len(shape) == 1 else "ct" if shape[0] <= shape[1] else "tc"
    column = column_form(samples)
    channels = min(shape) if len(shape) == 2 else 1
    return {"as": kind, **column, "rate": int(rate), "axes": axes, "channels": channels}


def to_file(value: Any, i: int, rate: int | None) -> tuple[str, bytes]:
    """The suffix and the bytes of a file of a sound. Raises `DataError` for what is none."""
    form = sound_form(value, rate)
    if form is None:
        raise mixed(i, value, "a sound")
    if form["as"] == "file":
        path = Path(value["path"] or "sound.wav")
        return path.suffix.lower(), value["bytes"] if value["bytes"] is not None else path.read_bytes()
    samples = value["array"] if form["as"] == "dict" else value[0] if form["as"] == "pair" else value
    array = as_array(samples)
    array = array.T if form["axes"] == "ct" else array.reshape(len(array), -1)
    if array.dtype.kind not in "iuf":
        raise unusable(
            i, f"its samples are {array.dtype}: give floats of -1 to 1, or integers of 16 or 32 bits"
        )
    if array.dtype.kind in "iu":
        info = np.iinfo(array.dtype)
        array = (array.astype(np.float64) - (info.min + info.max + 1) // 2) / (
            (info.max - info.min + 1) // 2
        )
    if not np.isfinite(array).all():
        raise unusable(i, "its samples are not all finite")
    return ".wav", _float_wav(array.astype("<f4"), form["rate"])


def _float_wav(samples: Array, rate: int) -> bytes:
    """Samples `(n, channels)` float32 as a WAV file."""
    channels, data = samples.shape[1], samples.tobytes()
    coding = struct.pack("<HHIIHH", FLOAT, channels, rate, 4 * channels * rate, 4 * channels, 32)
    body = (
        b"WAVEfmt "
        + struct.pack("<I", len(coding))
        + coding
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def sound_as_given(clip: Clip, form: ObjectForm) -> Any:
    """A clip as an object of a form, at the rate that it was given at."""
    if form["as"] == "file":
        return {"bytes": to_wav(clip.samples, clip.rate), "path": None}
    array = _cast(resampled(clip.samples / np.float32(TOP), clip.rate, form["rate"]), form)
    if form["as"] == "dict":
        return {"array": array, "sampling_rate": form["rate"]}
    return (array, form["rate"]) if form["as"] == "pair" else array


def _cast(samples: Array, form: ObjectForm) -> Any:
    dtype = numpy_dtype({"dtype": "float32", **form})
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        half = (info.max - info.min + 1) // 2
        whole = np.rint(samples.astype(np.float64) * half).clip(-half, half - 1)
        samples = whole + (info.min + info.max + 1) // 2
    samples = samples.astype(dtype)
    if form["axes"] != "t":
        samples = np.stack([samples] * form["channels"], 0 if form["axes"] == "ct" else 1)
    if form["of"] == "torch":
        return as_tensor(samples, form)
    return samples.tolist() if form["of"] == "list" else samples
