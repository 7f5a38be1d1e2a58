"""Sounds: folders of files, with or without labels, cut into clips of one rate and one length.

How one file is opened and resampled is `files.py`'s, where labels are found `labels.py`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import median_low
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from genwright.data.audio.clips import Clip, ClipFormat, cut, digest
from genwright.data.audio.field import ClipField
from genwright.data.audio.files import RATES, length_at, opened, sounded, to_wav
from genwright.data.codec import AS_READ, Codec, Preview, ReadOptions, Rejected, Rows, Source, Values
from genwright.data.columns.field import ColumnField
from genwright.data.field import Field
from genwright.data.labels import Labels, write_labels
from genwright.data.preview import sound_as_html
from genwright.errors import RecipeError

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
    """Sound files to clips of one rate and one length, and back; labels beside them.

    A file that is longer than a clip gives several, which stay on one side of the split; the last is filled
    up with silence, or left out if less than half of it is there. A single file is split by position, train,
    val, test, without clips that lie across. Several channels become their mean.

    rate      samples a second. None: the commonest of the files, at most 8,000
    seconds   length of a clip. None: the median of the files, at most 8,192 samples
    stride    seconds from the beginning of one clip to that of the next. None: the length of a clip
    """

    reads: ClassVar[tuple[str, ...]] = (".wav", ".flac", ".ogg", ".mp3")
    main: ClassVar[str] = "audio"
    field_types = (ClipField, ColumnField)
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

    # -- in ------------------------------------------------------------------------------------

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        labels = {name: ColumnField(name) for name in self.labels(source)}
        return {self.main: ClipField(self._choose(source.files)), **labels}

    def labels(self, source: Source) -> list[str]:
        return Labels(source.root, source.files).names()

    def default_labels(self, source: Source) -> list[str]:
        """The class folders, if no sound lies beside them."""
        labels = Labels(source.root, source.files)
        return ["label"] if "label" in labels.names() and not labels.loose else []

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Chunks of up to 256 `Clip`s, fewer where they are long."""
        labels, clips = Labels(source.root, source.files), fields[self.main]
        assert isinstance(clips, ClipField)
        others = [name for name in fields if name != self.main]
        wanted = [*others, *([options.group] if options.group else [])]
        single = len(source.files) == 1

        def empty() -> Rows:
            return Rows({name: [] for name in (self.main, *others)}, [], groups=None if single else [])

        rows, held = empty(), 0
        rows.rejected += labels.read()
        for path in source.files:
            own = labels.of(path, wanted)
            if isinstance(own, Rejected):
                rows.rejected.append(own)
                continue
            group = str(own[options.group]) if options.group else ""
            for found in cut(path, labels.name(path), clips.form):
                if isinstance(found, Rejected):
                    rows.rejected.append(found)
                    continue
                clip, place = found
                part = place.part(options) if single else None
                if single and part is None and not place.whole:
                    continue
                if len(rows) == CHUNK or (held and held + clip.samples.nbytes > CHUNK_BYTES):
                    yield rows
                    rows, held = empty(), 0
                held += clip.samples.nbytes
                key = digest(clip)
                group = group or key  # of the first clip, so that equal files are of one group
                rows.values[self.main].append(clip)
                rows.keys.append(key)
                for name in others:
                    rows.values[name].append(own[name])
                if part is not None:
                    rows.parts = [*(rows.parts or []), part]
                if rows.groups is not None:
                    rows.groups.append(group)
        if len(rows) or rows.rejected:
            yield rows

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

    # -- out -----------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """`sounds.html` to see and hear them, a WAV file for each, and `labels.csv` if anything is beside them.

        The folder is a labelled source again.
        """
        examples = values[self.main]
        if not len(examples):
            return []
        folder.mkdir(parents=True, exist_ok=True)
        digits = max(5, len(str(len(examples) - 1)))
        files = [folder / f"{i:0{digits}d}.wav" for i in range(len(examples))]
        for path, clip in zip(files, examples, strict=True):
            path.write_bytes(to_wav(clip.samples, clip.rate))
        page = folder / PAGE
        page.write_text(_page(files, examples), encoding="utf-8")
        given = {name: some for name, some in values.items() if name != self.main}
        if not given:
            return [page, *files]
        return [page, *files, write_labels(files, given, folder)]

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        examples = values[self.main]
        each = 2 * max((len(clip.samples) for clip in examples[:SHOWN]), default=1)
        some = examples[: max(1, min(SHOWN, SHOWN_BYTES // each))]
        return Preview("sounds", sounds=tuple(sounded(clip.samples, clip.rate) for clip in some))


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
