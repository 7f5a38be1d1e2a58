"""Pictures: folders of files, with or without labels, and arrays in `.npz` files.

Where pictures and labels are found is `album.py`'s; how one file is opened and brought to the
common form is `pictures.py`'s; what that form is, `field.py`'s, from the training split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from genwright.data.codec import AS_READ, Codec, Preview, ReadOptions, Rejected, Rows, Source, Values
from genwright.data.columns.field import ColumnField
from genwright.data.field import Field
from genwright.data.image.augment import Augmentation
from genwright.data.image.field import ImageField
from genwright.data.image.files import CHUNK, CHUNK_BYTES, SHEET, ImageFiles
from genwright.data.image.ops import Crop, above, digest, pixels, sheet, to_image
from genwright.data.labels import write_labels

__all__ = ["ImageCodec"]


class ImageCodec(Codec):
    """Picture files to pictures, and back; labels, captions and further pictures beside them.

    size        height and width, one number for a square. None: the data's own where all pictures
                agree and no side is above 64; else a square from the median of the shorter sides,
                at most 64 and a multiple of 8
    crop        what is done with another shape: `center` cuts, `fit` pads with the background,
                `stretch` distorts
    channels    `auto`: grey if every picture is grey in all pixels; rgba if most have transparent
                pixels; else rgb
    depth       bits of a channel. `auto`: 16 if all pictures are grey and most have 16, else 8.
                Colour always has 8
    background  red, green and blue behind transparent pixels and beside fitted pictures
    augment     variations in training: names out of flip, shift, rotate, crop and scale, or names
                with strengths as in `{"rotate": 5}`. None by default: a mirrored letter is another
    """

    reads: ClassVar[tuple[str, ...]] = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".npz")
    main: ClassVar[str] = "image"
    field_types = (ImageField, ColumnField)
    default_family: ClassVar[str] = "diffusion"
    dial = "codec.size=32"

    def __init__(
        self,
        *,
        size: int | tuple[int, int] | None = None,
        crop: Crop = "center",
        channels: Literal["auto", "grey", "rgb", "rgba"] = "auto",
        depth: Literal["auto", 8, 16] = "auto",
        background: tuple[int, int, int] = (255, 255, 255),
        augment: tuple[Augmentation, ...] | dict[Augmentation, float] = (),
    ) -> None:
        self._depth = depth
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

    # -- in ------------------------------------------------------------------------------------

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        labels = {name: ColumnField(name) for name in ImageFiles(source).labels()}
        return {self.main: self._image(), **labels}

    def default_labels(self, source: Source) -> list[str]:
        """The class folders, if no picture lies beside them."""
        files = ImageFiles(source)
        return ["label"] if "label" in files.labels() and not files.loose else []

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Chunks of up to 256 `Picture`s, fewer where they are large."""
        files = ImageFiles(source, deep=self._depth == 16)
        others = [name for name in fields if name != self.main]
        wanted = [*others, *([options.group] if options.group else [])]

        def empty() -> Rows:
            groups: list[str] | None = None if options.group is None else []
            return Rows({name: [] for name in (self.main, *others)}, [], groups=groups)

        rows, held = empty(), 0
        for found in files.rows(wanted):
            if isinstance(found, Rejected):
                rows.rejected.append(found)
                continue
            picture, labels = found
            if len(rows) == CHUNK or (held and held + picture.pixels.nbytes > CHUNK_BYTES):
                yield rows
                rows, held = empty(), 0
            held += picture.pixels.nbytes
            rows.values[self.main].append(picture)
            rows.keys.append(digest(picture.pixels))
            for name in others:
                rows.values[name].append(labels[name])
            if rows.groups is not None and options.group is not None:
                rows.groups.append(str(labels[options.group]))
        if len(rows) or rows.rejected:
            yield rows

    # -- out -----------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """`sheet.png`, a PNG for each example, and `labels.csv` if there is anything beside them.

        The folder is a labelled source again: reading leaves out what is called `sheet.png`.
        """
        examples = values[self.main]
        if not len(examples):
            return []
        folder.mkdir(parents=True, exist_ok=True)
        contact = folder / SHEET
        contact.write_bytes(sheet(examples, columns=columns))
        digits = max(5, len(str(len(examples) - 1)))
        files = [folder / f"{i:0{digits}d}.png" for i in range(len(examples))]
        for path, example in zip(files, examples, strict=True):
            to_image(pixels(example)).save(path, "PNG")
        given = {name: some for name, some in values.items() if name != self.main}
        if not given:
            return [contact, *files]
        return [contact, *files, write_labels(files, given, folder)]

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        return Preview("png", png=sheet(values[self.main], columns=columns))

    def beside(
        self, sources: Values, values: Mapping[str, Values], fields: Mapping[str, Field]
    ) -> Preview:
        """Each source above what was made from it."""
        pairs = zip(map(pixels, sources), map(pixels, values[self.main]), strict=True)
        return Preview("png", png=sheet([above(source, made) for source, made in pairs]))
