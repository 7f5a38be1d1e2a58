"""A sound as a field: clips of one rate and one length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwright.data.audio.clips import TOP, Clip, ClipFormat, cut, sixteen
from genwright.data.audio.files import to_wav
from genwright.data.codec import Rejected
from genwright.data.field import Array, Field, Values
from genwright.errors import DataError
from genwright.space import Real, Space

__all__ = ["ClipField"]


class ClipField(Field):
    """Clips to `(1, T)` of values in [-1, 1], and back.

    form  how sounds are cut; chosen before they are read
    """

    kind = "clip"
    views = frozenset({"waveform"})
    suffix = ".wav"
    bridges = ("spectrogram",)

    def __init__(self, form: ClipFormat = ClipFormat(1, 1, 1)) -> None:  # noqa: B008 - frozen
        self.form = form
        self._clips = self._padded = self._clipped = 0
        self._rates, self._formats = Counter[int](), Counter[str]()
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []

    # -- learning ------------------------------------------------------------------------------

    def fit(self, values: Values) -> None:
        for clip in values:
            self._clips += 1
            self._padded += clip.heard < len(clip.samples)
            self._clipped += clip.clipped
            self._rates[clip.file_rate] += 1
            self._formats[clip.format] += 1

    def settle(self) -> None:
        clips, padded, clipped = self._clips, self._padded, self._clipped
        rates, formats = self._rates, self._formats
        if not clips:
            raise DataError(
                "there is no sound to learn from: add sounds, or mend those found unusable",
                code="no-examples",
            )
        rate, length = self.form.rate, self.form.length
        self._facts = {
            "clips": clips,
            "rate": rate,
            "seconds": round(length / rate, 4),
            "samples": length,
            **({"rates": {str(r): n for r, n in sorted(rates.items())}} if len(rates) > 1 else {}),
            "formats": dict(sorted(formats.items())),
            "filled_up": padded,
        }
        self._warnings = []
        say = self._warnings.append
        higher = sum(count for other, count in rates.items() if other > rate)
        lower = sum(count for other, count in rates.items() if 0 < other < rate)
        if higher:
            say(
                f"{higher:,} of {clips:,} clips have more than {rate:,} samples a second and are brought "
                f"to that: nothing above {rate // 2:,} Hz is kept; codec.rate keeps more"
            )
        if lower:
            say(
                f"{lower:,} of {clips:,} clips have fewer than {rate:,} samples a second and lack the high "
                f"tones that others have; lower codec.rate, or leave them out"
            )
        if padded:
            say(
                f"{padded:,} of {clips:,} clips are shorter than {length / rate:g} seconds and are filled "
                f"up with silence, which is learnt too; lower codec.seconds, or leave them out"
            )
        if clipped:
            say(
                f"{clipped:,} of {clips:,} clips are louder than 1 and are cut off there: scale them first"
            )

    @property
    def space(self) -> Space:
        return Space((self.form.length,), (Real(1, bounded=True),))

    # -- to tensors and back -------------------------------------------------------------------

    def encode(self, values: Values) -> Array:
        """`(n, 1, T)` int16."""
        return np.stack([clip.samples for clip in values])[:, None]

    def expand(self, compact: Array) -> Tensor:
        """-1 to 1, float32; `decode` finds every sample again exactly."""
        return torch.from_numpy(compact.astype(np.float32) / np.float32(TOP))

    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> list[Clip]:
        length = self.form.length
        return [Clip(sixteen(one), self.form.rate, length) for one in np.asarray(x)[:, 0]]

    # -- raw values ----------------------------------------------------------------------------

    def parse(self, given: Any) -> Clip:
        """A clip, or the first one of a sound file. Raises `DataError` for what is none."""
        if isinstance(given, Clip):
            return given
        if isinstance(given, np.ndarray):
            samples = np.zeros(self.form.length, np.int16)
            some = sixteen(given.reshape(-1)[: self.form.length])
            samples[: len(some)] = some
            return Clip(samples, self.form.rate, len(some))
        if not isinstance(given, str | Path):
            raise DataError(f"a sound is a path or an array, not {given!r}", code="not-a-sound")
        found = next(
            cut(Path(given).expanduser(), str(given), self.form), Rejected(str(given), "it is empty")
        )
        if isinstance(found, Rejected):
            raise DataError(f"{found.name} cannot be given: {found.reason}", code="not-a-sound")
        return found[0]

    def save(self, value: Any, path: Path) -> None:
        path.write_bytes(self.file_bytes(value))

    def file_bytes(self, value: Any) -> bytes:
        return to_wav(value.samples, value.rate)

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def state(self) -> dict[str, Any]:
        return {"form": asdict(self.form), "facts": self._facts, "warnings": self._warnings}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.form = ClipFormat(**state["form"])
        self._facts, self._warnings = dict(state["facts"]), list(state["warnings"])
