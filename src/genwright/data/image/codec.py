"""Pictures: files in folders, alone or with labels, captions and further pictures; arrays in `.npz`, `.npy` and
IDX; shards.

Where pictures and what stands beside them are found is `files.py`'s and `data/labels.py`'s; how one file is
opened and brought to the common form is `ops.py`'s; what that form is, `field.py`'s, from the training split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

from genwright.data.codec import AS_READ, Codec, Preview, ReadOptions, Rejected, Rows, Source, Values
from genwright.data.columns.field import ColumnField
from genwright.data.containers import Examples, ObjectForm
from genwright.data.field import Field
from genwright.data.image import idx, npy
from genwright.data.image.archive import CHUNK, CHUNK_BYTES
from genwright.data.image.field import ImageField
from genwright.data.image.files import PICTURES, SHEET, ImageFiles, Row, explains_arrays, holds_many
from genwright.data.image.objects import keep_pictures, picture_as_given, picture_form
from genwright.data.image.ops import Crop, Picture, above, digest, pixels, sheet
from genwright.data.image.tiles import cut
from genwright.data.labels import file_fields, goes_with, write_beside
from genwright.data.member import SHARDS
from genwright.data.packed import PACKED, suffix, with_packed
from genwright.data.preview import in_lines
from genwright.data.shards import holds
from genwright.data.text.field import TextField
from genwright.data.text.tokenizer import Unit
from genwright.errors import RecipeError
from genwright.variations import Augmentation

__all__ = ["ImageCodec"]

SHOWN = 100
"""Examples of a preview, at most."""


class ImageCodec(Codec):
    """Picture files to pictures, and back; labels, captions and further pictures beside them.

    size        height and width, one number for a square. None: the data's own where all pictures
                agree and no side is above 64; else a square from the median of the shorter sides,
                at most 64 and a multiple of 8
    crop        what is done with another shape: `center` cuts, `fit` pads with the background,
                `stretch` distorts; `tiles` makes as many examples of a picture as tiles of `size` fit
                side by side, unscaled, all on one side of the split
    channels    `auto`: grey if every picture is grey in all pixels; rgba if most have transparent
                pixels; else rgb
    depth       bits of a channel. `auto`: 16 if all pictures are grey and most have 16, else 8.
                Colour always has 8
    background  red, green and blue behind transparent pixels and beside fitted pictures
    augment     variations in training: names out of flip, shift, rotate, crop and scale, or names
                with strengths as in `{"rotate": 5}`. None by default: a mirrored letter is another
    text_unit   of texts beside them, as `codec.unit` of a text: auto, char, bpe or words
    """

    reads: ClassVar[tuple[str, ...]] = (*PICTURES, ".npz", npy.ENDING, *with_packed(idx.ENDING), *SHARDS)
    main: ClassVar[str] = "image"
    field_types = (ImageField, ColumnField, TextField)
    later = frozenset({"text_unit"})
    default_family: ClassVar[str] = "diffusion"
    dial = "codec.size=32"
    plural = "pictures"
    sheet = SHEET

    def __init__(
        self,
        *,
        size: int | tuple[int, int] | None = None,
        crop: Crop = "center",
        channels: Literal["auto", "grey", "rgb", "rgba"] = "auto",
        depth: Literal["auto", 8, 16] = "auto",
        background: tuple[int, int, int] = (255, 255, 255),
        augment: tuple[Augmentation, ...] | dict[Augmentation, float] = (),
        text_unit: Unit = "auto",
    ) -> None:
        self._text = partial(TextField, layout="documents", tokenizer=text_unit)
        self._depth, self._tile = depth, _tile(crop, size)
        self._image = partial(
            ImageField,
            size=size,
            crop=crop,
            channels=channels,
            depth=depth,
            background=background,
            augment=augment,
        )
        self._image()  # which refuses what contradicts itself

    @classmethod
    def sniff(cls, files: Sequence[Path]) -> float:
        """As sure of pictures with what says what they are, a table or captions, as of pictures alone."""
        own = cls.own(files)
        others = {*files} - {*own} - goes_with(files, own)
        beside = (file.name == SHEET or explains_arrays(file, own) for file in others)
        return 0.5 if own and all(beside) else 0.0

    @classmethod
    def own(cls, files: Sequence[Path]) -> list[Path]:
        """Those of some files that hold examples. An array that is alone shall say why it holds none."""
        read = [file for file in files if cls.ending(file) in cls.reads and file.name != SHEET]
        if len(files) > 1:
            read = [one for one in read if suffix(one) != npy.ENDING or npy.is_array_of_pictures(one)]
        return [file for file in read if suffix(file) not in SHARDS or holds(file, PICTURES)]

    @classmethod
    def ending(cls, file: Path) -> str:
        """Of the names of IDX files, with a hyphen or a dot and of any type, one."""
        if not idx.holds_pictures(file):
            return suffix(file)
        return idx.ENDING + "".join(one for one in PACKED if one == file.suffix.lower())

    @classmethod
    def accompanies(cls, file: Path, own: Sequence[Path]) -> bool:
        return explains_arrays(file, own) or super().accompanies(file, own)

    # -- in ------------------------------------------------------------------------------------

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        files = ImageFiles(source, given=options.given)
        found: dict[str, Field] = {files.main: self._image()}
        for name in files.labels():
            if name in files.layout.further:
                found[name] = self._image()
            elif name in files.layout.texts:
                found[name] = self._text()
            else:
                found[name] = ColumnField(name)
        return found

    def restored(self, state: Mapping[str, Any]) -> Field:
        """With the augmentation of this codec, which is no part of what was learnt."""
        if state["field"] != ImageField.kind:
            return super().restored(state)
        field = self._image()
        field.restore(state)
        return field

    def companions(self, source: Source, options: ReadOptions = AS_READ) -> list[Path]:
        return ImageFiles(source, given=options.given).companions(options.given)

    def default_labels(self, source: Source) -> list[str]:
        """The class folders, or what archives call so, if every picture has one."""
        files = ImageFiles(source)
        return ["label"] if "label" in files.labels() and not files.loose else []

    def count(self, source: Source) -> int:
        return ImageFiles(source).count(self._tile)

    def wholes(self, source: Source) -> int:
        return ImageFiles(source).count(None)

    def enough(self, source: Source) -> int:
        """More of what lies side by side in archives, small as it is."""
        return 2_000 if len(source.files) == 1 or any(map(holds_many, source.files)) else 500

    def units(self, source: Source, total: int) -> int:
        """Of archives each so many-th picture is taken, however few archives there are."""
        return total if any(map(holds_many, source.files)) else super().units(source, total)

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Chunks of up to 256 `Picture`s, fewer where they are large."""
        tile = None if options.whole else self._tile
        whole = options.whole or tile is not None
        files = ImageFiles(source, self._depth == 16, options.given, whole=whole, most=options.most)
        others = [name for name in fields if name != files.main]
        wanted = [*others, *([options.group] if options.group else [])]
        grouped = options.group is not None or tile is not None

        def empty() -> Rows:
            return Rows({name: [] for name in fields}, [], groups=[] if grouped else None)

        rows, held = empty(), 0
        for found, file in _examples(files.rows(wanted, options.every), tile):
            if isinstance(found, Rejected):
                rows.rejected.append(found)
                continue
            values = {files.main: found.picture, **found.values}
            size = sum(one.pixels.nbytes for one in values.values() if isinstance(one, Picture))
            if len(rows) == CHUNK or (held and held + size > CHUNK_BYTES):
                yield rows
                rows, held = empty(), 0
            held += size
            for name in fields:
                rows.values[name].append(values[name])
            rows.keys.append(digest(found.picture.pixels))
            rows.names.append(found.name)
            if rows.groups is not None:
                rows.groups.append(file if options.group is None else str(values[options.group]))
        if len(rows) or rows.rejected:
            yield rows

    # -- from memory ---------------------------------------------------------------------------

    @classmethod
    def form_of(cls, value: Any, rate: int | None = None) -> ObjectForm | None:
        return picture_form(value, rate)

    @classmethod
    def keep(cls, examples: Examples, folder: Path) -> tuple[Path, dict[str, ObjectForm]]:
        return keep_pictures(examples, folder)

    def as_given(self, value: Any, form: ObjectForm) -> Any:
        return picture_as_given(value, form)

    # -- out -----------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """`sheet.png`, a PNG for each picture, and a table if there is anything beside them: `labels.csv`, or
        `metadata.csv` where that is more than labels. Captions alone become a text file each.

        The folder is a source with the same fields again: reading leaves out what is called `sheet.png`.
        """
        if not any(map(len, values.values())):
            return []
        folder.mkdir(parents=True, exist_ok=True)
        files = write_beside(values, fields, folder, ImageField, self.main)
        if not self._pictures(values, fields):
            return files
        contact = folder / SHEET
        contact.write_bytes(self.preview(values, fields, columns=columns).png)
        return [contact, *files]

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        """The pictures of an example one above the other, and its texts in lines below the sheet."""
        pictures = self._pictures(values, fields)
        texts = {name: some for name, some in values.items() if isinstance(fields.get(name), TextField)}
        lines = in_lines({name: list(islice(some, SHOWN)) for name, some in texts.items()})
        if not pictures:
            return Preview("text", text=lines)
        rows = zip(*(map(pixels, values[name]) for name in pictures), strict=True)
        stacked = [reduce(above, row) for row in islice(rows, SHOWN)]
        return Preview("png", png=sheet(stacked, columns=columns), text=lines)

    def _pictures(self, values: Mapping[str, Values], fields: Mapping[str, Field]) -> list[str]:
        """Fields of pictures, the main one first."""
        return file_fields(values, fields, ImageField, self.main)

    def beside(
        self, sources: Values, values: Mapping[str, Values], fields: Mapping[str, Field]
    ) -> Preview:
        """Each source above what was made from it."""
        pairs = zip(map(pixels, sources), map(pixels, values[self.main]), strict=True)
        return Preview("png", png=sheet([above(source, made) for source, made in pairs]))


def _tile(crop: Crop, size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width of the tiles that pictures are cut into; None where they stay whole."""
    if crop != "tiles":
        return None
    if size is None:
        raise RecipeError(
            "codec.crop=tiles cuts pictures into tiles of codec.size, and none is named: --set codec.size=64",
            code="missing-option",
        )
    return (size, size) if isinstance(size, int) else size


def _examples(
    rows: Iterator[Row | Rejected], tile: tuple[int, int] | None
) -> Iterator[tuple[Row | Rejected, str]]:
    """Pictures, or their tiles, and what those of one picture have in common."""
    for row in rows:
        if tile is None or isinstance(row, Rejected):
            yield row, ""
            continue
        file = digest(row.picture.pixels)
        for one in cut(row, tile):
            yield one, file
