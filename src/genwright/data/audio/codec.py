"""Sounds: folders of files, with or without labels, cut into clips of one rate and one length.

How one file is opened and resampled is `sounds.py`'s, where labels are found `labels.py`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from statistics import median_low
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from genwright.data.audio.clips import TOP, Clip, ClipFormat, cut, digest, sixteen
from genwright.data.audio.files import RATES, length_at, opened, sounded, to_wav
from genwright.data.codec import Array, Chunk, Codec, Preview, ReadOptions, Rejected, Source
from genwright.data.labels import Labels, asked, write_labels
from genwright.data.preview import sound_as_html
from genwright.errors import DataError, RecipeError
from genwright.space import Real, Space

__all__ = ["AudioCodec", "Clip"]

AUTO_RATE, AUTO_LENGTH = 8_000, 8_192
"""Samples a second, and of a clip, at most where none are asked for: what one machine trains in hours."""
LONGEST = 2**20
"""Samples of a clip."""
CHUNK, CHUNK_BYTES = 256, 32 * 2**20
PAGE = "sounds.html"
SHOWN, SHOWN_BYTES = 24, 2**22
"""Clips of a preview at most, and what they may come to."""


class AudioCodec(Codec):
    """Sound files to clips `(1, T)` of values in [-1, 1], and back.

    A file that is longer than a clip gives several, which stay on one side of the split; the last is filled
    up with silence, or left out if less than half of it is there. A single file is split by position, train,
    val, test, without clips that lie across. Several channels become their mean.

    rate      samples a second. None: the commonest of the files, at most 8,000
    seconds   length of a clip. None: the median of the files, at most 8,192 samples
    stride    seconds from the beginning of one clip to that of the next. None: the length of a clip
    """

    reads: ClassVar[tuple[str, ...]] = (".wav", ".flac", ".ogg", ".mp3")
    default_family: ClassVar[str] = "diffusion"
    dial = "codec.seconds=0.25"

    def __init__(
        self,
        *,
        rate: Annotated[int, Ge(RATES[0]), Le(RATES[1])] | None = None,
        seconds: Annotated[float, Gt(0)] | None = None,
        stride: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        self._rate, self._seconds, self._stride = rate, seconds, stride
        self._form: ClipFormat | None = None
        self._draft: tuple[Source, ClipFormat] | None = None
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []

    @property
    def form(self) -> ClipFormat:
        assert self._form is not None, "fit or restore comes first"
        return self._form

    # -- in ------------------------------------------------------------------------------------

    def labels(self, source: Source) -> list[str]:
        return Labels(source.root, source.files).names()

    def default_labels(self, source: Source) -> list[str]:
        """The class folders, if no sound lies beside them."""
        labels = Labels(source.root, source.files)
        return ["label"] if "label" in labels.names() and not labels.loose else []

    def read(self, source: Source, reading: ReadOptions) -> Iterator[Chunk]:
        """Chunks of up to 256 `Clip`s, fewer where they are long."""
        labels = Labels(source.root, source.files)
        wanted = asked(reading, labels.names, f"the sounds in {source.root}")
        return self._chunks(source, labels, reading, wanted)

    def _chunks(
        self, source: Source, labels: Labels, reading: ReadOptions, wanted: Sequence[str]
    ) -> Iterator[Chunk]:
        form = self._form
        if form is None:
            if self._draft is None or self._draft[0] != source:
                self._draft = source, self._choose(source.files)
            form = self._draft[1]
        single = len(source.files) == 1

        def empty() -> Chunk:
            return Chunk([], [], {name: [] for name in reading.given}, None if single else [])

        chunk, held = empty(), 0
        chunk.bad += labels.read()
        for path in source.files:
            own = labels.of(path, wanted)
            if isinstance(own, Rejected):
                chunk.bad.append(own)
                continue
            group = str(own[reading.group]) if reading.group else ""
            for found in cut(path, labels.name(path), form):
                if isinstance(found, Rejected):
                    chunk.bad.append(found)
                    continue
                clip, place = found
                part = place.part(reading) if single else None
                if single and part is None and not place.whole:
                    continue
                if len(chunk) == CHUNK or (held and held + clip.samples.nbytes > CHUNK_BYTES):
                    yield chunk
                    chunk, held = empty(), 0
                held += clip.samples.nbytes
                key = digest(clip)
                group = group or key  # of the first clip, so that equal files are of one group
                chunk.examples.append(clip)
                chunk.keys.append(key)
                for name, values in chunk.given.items():
                    values.append(own[name])
                if part is not None:
                    chunk.parts = [*(chunk.parts or []), part]
                if chunk.groups is not None:
                    chunk.groups.append(group)
        if len(chunk) or chunk.bad:
            yield chunk

    def _choose(self, files: Sequence[Path]) -> ClipFormat:
        """From what the files declare. Clips are cut before the split is made, so all files count; nothing of
        what is to be heard in them does."""
        found: list[tuple[int, int]] = []
        for path in files:
            try:
                with opened(path) as sound:
                    found.append((sound.rate, sound.frames))
            except (OSError, ValueError):  # it is opened again, and told of
                continue
        rates = Counter(rate for rate, _ in found)
        usual = min(rates, key=lambda rate: (-rates[rate], rate), default=AUTO_RATE)
        rate = self._rate or min(usual, AUTO_RATE)
        if self._seconds is not None:
            length = max(1, round(self._seconds * rate))
        else:
            lengths = [length_at(frames, own, rate) for own, frames in found] or [AUTO_LENGTH]
            length = median_low(lengths)
            if len(set(lengths)) > 1 or length > AUTO_LENGTH:
                length = min(length, AUTO_LENGTH)
                length = length // 16 * 16 or length
        if length > LONGEST:
            raise RecipeError(
                f"a clip of {length / rate:g} seconds has {length:,} samples at {rate:,} a second, and "
                f"at most {LONGEST:,} are taken: lower codec.seconds or codec.rate"
            )
        return self._formed(rate, length)

    def _formed(self, rate: int, length: int) -> ClipFormat:
        stride = length if self._stride is None else max(1, round(self._stride * rate))
        return ClipFormat(rate, length, stride)

    def fit(self, chunks: Iterable[Chunk]) -> None:
        clips, padded, clipped = 0, 0, 0
        rates, formats = Counter[int](), Counter[str]()
        form: tuple[int, int] | None = None
        for chunk in chunks:
            for clip in chunk.examples:
                form = (clip.rate, len(clip.samples))
                clips += 1
                padded += clip.heard < len(clip.samples)
                clipped += clip.clipped
                rates[clip.file_rate] += 1
                formats[clip.format] += 1
        if form is None:
            raise DataError("there is no sound to learn from: add sounds, or mend those found unusable")
        rate, length = form
        self._form = self._formed(rate, length)
        self._facts = {
            "clips": clips,
            "rate": rate,
            "seconds": round(length / rate, 4),
            "samples": length,
            "rates": {str(rate): count for rate, count in sorted(rates.items())},
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

    def encode(self, examples: Sequence[Clip]) -> Array:
        """`(n, 1, T)` int16."""
        return np.stack([clip.samples for clip in examples])[:, None]

    def expand(self, compact: Array) -> Array:
        """-1 to 1, float32; `decode` finds every sample again exactly."""
        return compact.astype(np.float32) / np.float32(TOP)

    # -- out -----------------------------------------------------------------------------------

    def decode(self, x: Array, given: Mapping[str, Sequence[Any]]) -> list[Clip]:
        length = self.form.length
        return [Clip(sixteen(one), self.form.rate, length) for one in np.asarray(x)[:, 0]]

    def write(
        self, examples: Sequence[Clip], given: Mapping[str, Sequence[Any]], folder: Path
    ) -> list[Path]:
        """`sounds.html` to see and hear them, a WAV file for each, and `labels.csv` if anything was given.

        The folder is a labelled source again.
        """
        if not len(examples):
            return []
        folder.mkdir(parents=True, exist_ok=True)
        digits = max(5, len(str(len(examples) - 1)))
        files = [folder / f"{i:0{digits}d}.wav" for i in range(len(examples))]
        for path, clip in zip(files, examples, strict=True):
            path.write_bytes(to_wav(clip.samples, clip.rate))
        page = folder / PAGE
        page.write_text(_page(files, examples), encoding="utf-8")
        if not given:
            return [page, *files]
        return [page, *files, write_labels(files, given, folder)]

    def preview(self, examples: Sequence[Clip]) -> Preview:
        each = 2 * max((len(clip.samples) for clip in examples[:SHOWN]), default=1)
        some = examples[: max(1, min(SHOWN, SHOWN_BYTES // each))]
        return Preview("sounds", sounds=tuple(sounded(clip.samples, clip.rate) for clip in some))

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def state(self) -> dict[str, Any]:
        return {"form": asdict(self.form), "facts": self._facts, "warnings": self._warnings}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._form = ClipFormat(**state["form"])
        self._facts, self._warnings = dict(state["facts"]), list(state["warnings"])


def _page(files: Sequence[Path], examples: Sequence[Clip], most: int = 100) -> str:
    shown = "".join(
        sound_as_html(sounded(clip.samples, clip.rate).png, path.name, path.name)
        for path, clip in zip(files[:most], examples, strict=False)
    )
    more = f"<p>and {len(files) - most:,} more</p>" if len(files) > most else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(files[0].parent.name)}</title>{shown}{more}</html>\n"
    )
