"""Sounds: folders of files, with or without labels, cut into clips of one rate and one length.

How one file is opened and resampled is `files.py`'s, where labels are found `labels.py`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from html import escape
from itertools import zip_longest
from pathlib import Path
from statistics import median_low
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le

from genwright.data.audio.clips import Clip, ClipFormat, cut, digest
from genwright.data.audio.field import ClipField
from genwright.data.audio.files import RATES, length_at, opened, sounded
from genwright.data.audio.objects import sound_as_given, sound_form, to_file
from genwright.data.codec import AS_READ, Place, Preview, ReadOptions, Rejected, Rows, Source, Values
from genwright.data.columns.field import ColumnField
from genwright.data.containers import Examples, ObjectForm, forms
from genwright.data.field import Field
from genwright.data.labels import FileCodec, FileRow, Layout, file_fields, goes_with, write_beside
from genwright.data.member import SHARDS
from genwright.data.packed import suffix
from genwright.data.preview import in_lines, sound_as_html
from genwright.data.shards import holds, laid_out, write_shard
from genwright.data.text.field import TextField
from genwright.data.text.tokenizer import Unit
from genwright.errors import RecipeError

__all__ = ["AudioCodec", "Clip"]

AUTO_RATE, AUTO_LENGTH = 16_000, 16_384
"""Samples a second, and of a clip, at most where none are asked for: what one machine trains in hours."""
LONGEST = 2**20
"""Samples of a clip."""
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
CHUNK, CHUNK_BYTES = 256, 32 * 2**20
PAGE = "sounds.html"
SHOWN, SHOWN_BYTES = 24, 2**22
"""Clips of a preview at most, and what they may come to."""


class AudioCodec(FileCodec):
    """Sound files to clips of one rate and one length, and back; labels, texts and further sounds beside them.

    A file that is longer than a clip gives several, which stay on one side of the split; the last is filled
    up with silence, or left out if less than half of it is there. A single file is split by position, train,
    val, test, without clips that lie across. Several channels become their mean.

    rate      samples a second. None: the commonest of the files, at most 16,000
    seconds   length of a clip. None: the median of the files, at most 16,384 samples
    stride    seconds from the beginning of one clip to that of the next. None: the length of a clip
    text_unit  of texts beside them, as `codec.unit` of a text: auto, char, bpe or words
    """

    reads: ClassVar[tuple[str, ...]] = (*SOUNDS, *SHARDS)
    main: ClassVar[str] = "audio"
    field_types = (ClipField, ColumnField, TextField)
    later = frozenset({"text_unit"})
    default_family: ClassVar[str] = "diffusion"
    dial = "codec.seconds=0.25"
    plural = "clips"

    def __init__(
        self,
        *,
        rate: Annotated[int, Ge(RATES[0]), Le(RATES[1])] | None = None,
        seconds: Annotated[float, Gt(0)] | None = None,
        stride: Annotated[float, Gt(0)] | None = None,
        text_unit: Unit = "auto",
    ) -> None:
        self._text = partial(TextField, layout="documents", tokenizer=text_unit)
        self._rate, self._seconds, self._stride = rate, seconds, stride

    @classmethod
    def sniff(cls, files: Sequence[Path]) -> float:
        """As sure of sounds with what says what they are, a table or captions, as of sounds alone."""
        own = cls.own(files)
        others = {*files} - {*own} - goes_with(files, own)
        return 0.5 if own and all(file.name == PAGE for file in others) else 0.0

    @classmethod
    def own(cls, files: Sequence[Path]) -> list[Path]:
        """Those of some files that hold examples."""
        read = [file for file in files if suffix(file) in cls.reads]
        return [file for file in read if suffix(file) not in SHARDS or holds(file, SOUNDS)]

    # -- in ------------------------------------------------------------------------------------

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        layout = self._layout(source, options)
        form = self._choose(layout.files)
        found: dict[str, Field] = {name: _clips(form) for name in (layout.main, *layout.further)}
        for name in layout.names():
            if name in layout.texts:
                found[name] = self._text()
            elif name not in found:
                found[name] = ColumnField(name)
        return found

    def _layout(self, source: Source, options: ReadOptions = AS_READ) -> Layout:
        return laid_out(source.root, source.files, SOUNDS, self.main, options.given)

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Chunks of up to 256 `Clip`s, fewer where they are long."""
        layout = self._layout(source, options)
        forms = {name: one.form for name, one in fields.items() if isinstance(one, ClipField)}
        if (
            not forms
        ):  # texts alone are wanted: the sounds are cut all the same, since a clip is an example
            forms = {layout.main: self._choose(layout.files)}
        others = [name for name in fields if name != layout.main]
        wanted = [*others, *([options.group] if options.group else [])]
        single = len(layout.mains) == 1

        def empty() -> Rows:
            return Rows({name: [] for name in fields}, [], groups=None if single else [])

        rows, held = empty(), 0
        rows.rejected += layout.read(wanted)
        taken = {*layout.mains[:: options.every]}
        for path in layout.files:
            if options.every > 1 and path not in taken:
                continue
            own = layout.of(path, wanted)
            if own is None:
                continue
            if isinstance(own, Rejected):
                rows.rejected.append(own)
                continue
            group = str(own.values[options.group]) if options.group else ""
            for found in _examples(own, layout, forms):
                if isinstance(found, Rejected):
                    rows.rejected.append(found)
                    continue
                clips, place, stem = found
                part = place.part(options) if single else None
                if single and part is None and not place.whole:
                    continue
                size = sum(clip.samples.nbytes for clip in clips.values())
                if len(rows) == CHUNK or (held and held + size > CHUNK_BYTES):
                    yield rows
                    rows, held = empty(), 0
                held += size
                key = digest(clips[layout.main])
                group = group or key  # of the first clip, so that equal files are of one group
                for name in fields:
                    rows.values[name].append(clips[name] if name in clips else own.values[name])
                rows.keys.append(key)
                rows.names.append(stem)
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
                f"at most {LONGEST:,} are taken: lower codec.seconds or codec.rate",
                code="clip-too-long",
            )
        return self._formed(rate, length)

    def _formed(self, rate: int, length: int) -> ClipFormat:
        stride = length if self._stride is None else max(1, round(self._stride * rate))
        return ClipFormat(rate, length, stride)

    # -- from memory ---------------------------------------------------------------------------

    @classmethod
    def form_of(cls, value: Any, rate: int | None = None) -> ObjectForm | None:
        return sound_form(value, rate)

    @classmethod
    def keep(cls, examples: Examples, folder: Path) -> tuple[Path, dict[str, ObjectForm]]:
        """As a shard of WAV files."""
        found, file = forms(examples, cls.form_of), folder / "sounds.tar"
        write_shard(file, examples, found, lambda value, i: to_file(value, i, examples.rate))
        return file, found

    def as_given(self, value: Any, form: ObjectForm) -> Any:
        return sound_as_given(value, form)

    # -- out -----------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """`sounds.html` to see and hear them, a WAV file for each sound, and a table if anything is beside them:
        `labels.csv`, or `metadata.csv` where that is more than labels. Texts alone become a text file each.

        The folder is a source with the same fields again.
        """
        if not any(map(len, values.values())):
            return []
        folder.mkdir(parents=True, exist_ok=True)
        files = write_beside(values, fields, folder, ClipField, self.main)
        sounds = file_fields(values, fields, ClipField, self.main)
        if not sounds:
            return files
        clips = [clip for name in sounds for clip in values[name]]
        n = len(clips) // len(sounds)
        order = [
            i + n * j for i in range(n) for j in range(len(sounds))
        ]  # what goes together side by side
        page = folder / PAGE
        shown = self.preview(values, fields).text
        page.write_text(
            _page([files[i] for i in order], [clips[i] for i in order], shown), encoding="utf-8"
        )
        return [page, *files]

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        """The sounds of an example side by side, and its texts in lines below."""
        sounds = file_fields(values, fields, ClipField, self.main)
        rows = list(zip(*(values[name] for name in sounds), strict=True))
        each = 2 * max((len(clip.samples) for row in rows[:SHOWN] for clip in row), default=1)
        most = max(1, min(SHOWN, SHOWN_BYTES // each) // max(1, len(sounds)))
        texts = {name: some for name, some in values.items() if isinstance(fields.get(name), TextField)}
        lines = in_lines({name: some[: most if sounds else SHOWN] for name, some in texts.items()})
        if not sounds:
            return Preview("text", text=lines)
        shown = tuple(sounded(clip.samples, clip.rate) for row in rows[:most] for clip in row)
        return Preview("sounds", sounds=shown, text=lines)


def _clips(form: ClipFormat) -> ClipField:
    field = ClipField(form)
    field.frame = "audio"  # all are cut at the same places
    return field


def _examples(
    row: FileRow, layout: Layout, forms: Mapping[str, ClipFormat]
) -> Iterator[tuple[dict[str, Clip], Place, str] | Rejected]:
    """The clips of a file and of those that go with it, cut at the same places, with a name for each; or why one
    has none."""
    form = forms.get(layout.main, next(iter(forms.values())))
    paths = {layout.main: row.path, **row.files}
    pieces = zip_longest(
        *(cut(path, layout.name(path), forms.get(name, form)) for name, path in paths.items())
    )
    found, number = next(pieces, None), 0
    while found is not None:
        after = next(pieces, None)
        stem = row.stem if number == 0 and after is None else f"{row.stem}-{number}"
        clips: dict[str, Clip] = {}
        where, bad = None, None
        for name, one in zip(paths, found, strict=True):
            if one is None:
                bad = bad or Rejected(stem, f"its {name} has ended already", orphan=True)
            elif isinstance(one, Rejected):
                bad = bad or one
            else:
                clips[name], where = one[0], where or one[1]
        if bad is not None:
            yield bad
        elif where is not None:
            yield clips, where, stem
        found, number = after, number + 1


def _page(files: Sequence[Path], examples: Sequence[Clip], text: str = "", most: int = 100) -> str:
    shown = "".join(
        sound_as_html(sounded(clip.samples, clip.rate).png, path.name, path.name)
        for path, clip in zip(files[:most], examples, strict=False)
    )
    more = f"<p>and {len(files) - most:,} more</p>" if len(files) > most else ""
    more += f'<pre dir="auto">{escape(text)}</pre>' if text else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(files[0].parent.name)}</title>{shown}{more}</html>\n"
    )
