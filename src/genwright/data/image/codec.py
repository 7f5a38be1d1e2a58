"""Pictures: folders of files, with or without labels, and arrays in `.npz` files.

Where pictures and labels are found is `album.py`'s; how one file is opened and brought to the
common form is `pictures.py`'s; what that form is, is decided here, from the training split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median_low
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Generator, Tensor

from genwright.data.codec import Array, Chunk, Codec, Preview, ReadOptions, Rejected, Source
from genwright.data.image.augment import Augmentation, strengths, vary
from genwright.data.image.files import CHUNK, CHUNK_BYTES, SHEET, ImageFiles
from genwright.data.image.ops import (
    LARGEST_SIDE,
    Crop,
    ImageFormat,
    Picture,
    digest,
    fit_to,
    pixels,
    sheet,
    to_image,
)
from genwright.data.labels import asked, write_labels
from genwright.errors import DataError, RecipeError
from genwright.space import Real, Space

__all__ = ["ImageCodec"]

AUTO_SIDE = 64
"""The largest side that is chosen without being asked for: what one machine trains in hours."""
CHANNELS = {"grey": 1, "rgb": 3, "rgba": 4}


class ImageCodec(Codec):
    """Picture files to tensors `(C, H, W)` of values in [-1, 1], and back.

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
        self._size = (size, size) if isinstance(size, int) else size
        if self._size and not all(1 <= side <= LARGEST_SIDE for side in self._size):
            raise RecipeError(f"codec.size is 1 to {LARGEST_SIDE}, or two such numbers, not {size}")
        if not all(0 <= value <= 255 for value in background):
            raise RecipeError(f"codec.background is three numbers of 0 to 255, not {background}")
        if depth == 16 and channels in ("rgb", "rgba"):
            raise RecipeError(f"depth=16 is for grey pictures: with channels={channels} use depth=8")
        self._crop, self._channels, self._depth = crop, channels, depth
        self._background = background
        self._augment = strengths(augment)
        self._form: ImageFormat | None = None
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []

    @property
    def form(self) -> ImageFormat:
        assert self._form is not None, "fit or restore comes first"
        return self._form

    # -- in ------------------------------------------------------------------------------------

    def labels(self, source: Source) -> list[str]:
        return ImageFiles(source).labels()

    def default_labels(self, source: Source) -> list[str]:
        """The class folders, if no picture lies beside them."""
        album = ImageFiles(source)
        return ["label"] if "label" in album.labels() and not album.loose else []

    def read(self, source: Source, reading: ReadOptions) -> Iterator[Chunk]:
        """Chunks of up to 256 `Picture`s, fewer where they are large."""
        album = ImageFiles(source, deep=self._depth == 16)
        wanted = asked(reading, album.labels, f"the pictures in {source.root}")
        return self._chunks(album, reading, wanted)

    def _chunks(self, album: ImageFiles, reading: ReadOptions, wanted: Sequence[str]) -> Iterator[Chunk]:
        def empty() -> Chunk:
            groups: list[str] | None = None if reading.group is None else []
            return Chunk([], [], {name: [] for name in reading.given}, groups)

        chunk, held = empty(), 0
        for row in album.rows(wanted):
            if isinstance(row, Rejected):
                chunk.bad.append(row)
                continue
            picture, labels = row
            if len(chunk) == CHUNK or (held and held + picture.pixels.nbytes > CHUNK_BYTES):
                yield chunk
                chunk, held = empty(), 0
            held += picture.pixels.nbytes
            chunk.examples.append(picture)
            chunk.keys.append(digest(picture.pixels))
            for name, values in chunk.given.items():
                values.append(labels[name])
            if chunk.groups is not None and reading.group is not None:
                chunk.groups.append(str(labels[reading.group]))
        if len(chunk) or chunk.bad:
            yield chunk

    def fit(self, chunks: Iterable[Chunk]) -> None:
        census = ImageStats()
        for chunk in chunks:
            for example in chunk.examples:
                census.add(example)
        if not census.count:
            raise DataError(
                "there is no picture to learn from: add pictures, or mend those found unusable"
            )
        height, width, reason = self._choose_size(census)
        channels = self._choose_channels(census, height, width)
        depth = self._choose_depth(census, channels)
        self._form = ImageFormat(height, width, channels, depth, self._crop, self._background)
        self._facts = {
            "pictures": census.count,
            "height": height,
            "width": width,
            "size_from": reason,
            "channels": next(name for name, number in CHANNELS.items() if number == channels),
            "depth": depth,
            "formats": dict(sorted(census.formats.items())),
            **census.facts(),
            "enlarged": census.enlarged(self._form),
        }
        self._warnings = census.warnings(self._form)

    def _choose_size(self, census: ImageStats) -> tuple[int, int, str]:
        if self._size:
            return *self._size, "as asked"
        sizes = census.sizes
        if len(sizes) == 1:
            height, width = next(iter(sizes))
            if max(height, width) <= AUTO_SIDE:
                return height, width, "all pictures have this size"
        middle = median_low(min(size) for size in sizes.elements())
        side = min(AUTO_SIDE, middle if middle < 8 else middle // 8 * 8)
        reason = f"a square from the median of the shorter sides, {middle}, and at most {AUTO_SIDE}"
        return side, side, reason

    def _choose_channels(self, census: ImageStats, height: int, width: int) -> int:
        if self._channels != "auto":
            return CHANNELS[self._channels]
        transparent = census.kinds[2] + census.kinds[4]
        if 2 * transparent > census.count:
            return 4
        # A grey picture stays grey unless something coloured shows through or stands beside it.
        tinted = len(set(self._background)) > 1
        padded = self._crop == "fit" and any(h * width != w * height for h, w in census.sizes)
        coloured = census.kinds[3] + census.kinds[4] > 0 or (tinted and (transparent > 0 or padded))
        return 3 if coloured else 1

    def _choose_depth(self, census: ImageStats, channels: int) -> int:
        if self._depth == 16 and channels > 1:
            raise RecipeError("depth=16 is for grey pictures, and these have colours: add channels=grey")
        if self._depth != "auto":
            return self._depth
        return 16 if channels == 1 and 2 * census.deep > census.count else 8

    @property
    def space(self) -> Space:
        return Space((self.form.height, self.form.width), (Real(self.form.channels, bounded=True),))

    def encode(self, examples: Sequence[Picture | Array]) -> Array:
        """`(n, C, H, W)` uint8, or uint16 where pictures have 16 bits."""
        form = self.form
        out = np.empty((len(examples), form.height, form.width, form.channels), form.dtype)
        for i, example in enumerate(examples):
            out[i] = fit_to(pixels(example), form)
        return np.ascontiguousarray(out.transpose(0, 3, 1, 2))

    def expand(self, compact: Array) -> Array:
        """0 to 255 (or 65535) become -1 to 1, float32; `decode` finds every value again exactly."""
        x = compact.astype(np.float32)
        x /= np.float32(self.form.top / 2)
        x -= 1
        return x

    def augment(self, x: Tensor, rng: Generator) -> Tensor:
        return vary(x, rng, self._augment)

    # -- out -----------------------------------------------------------------------------------

    def decode(self, x: Array, given: Mapping[str, Sequence[Any]]) -> list[Array]:
        """n pictures `(H, W)` or `(H, W, C)`, uint8 or uint16."""
        top = self.form.top
        values = np.rint((np.asarray(x) + 1) * (top / 2)).clip(0, top).astype(self.form.dtype)
        values = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
        return list(values[..., 0] if self.form.channels == 1 else values)

    def write(
        self, examples: Sequence[Picture | Array], given: Mapping[str, Sequence[Any]], folder: Path
    ) -> list[Path]:
        """`sheet.png`, a PNG for each example, and `labels.csv` if anything was given.

        The folder is a labelled source again: reading leaves out what is called `sheet.png`.
        """
        if not len(examples):
            return []
        folder.mkdir(parents=True, exist_ok=True)
        contact = folder / SHEET
        contact.write_bytes(sheet(examples, columns=self.row))
        digits = max(5, len(str(len(examples) - 1)))
        files = [folder / f"{i:0{digits}d}.png" for i in range(len(examples))]
        for path, example in zip(files, examples, strict=True):
            to_image(pixels(example)).save(path, "PNG")
        if not given:
            return [contact, *files]
        return [contact, *files, write_labels(files, given, folder)]

    def preview(self, examples: Sequence[Picture | Array]) -> Preview:
        return Preview("png", png=sheet(examples, columns=self.row))

    def beside(self, sources: Sequence[Picture | Array], examples: Sequence[Picture | Array]) -> Preview:
        """Each source above what was made from it."""
        pairs = zip(map(pixels, sources), map(pixels, examples), strict=True)
        return Preview("png", png=sheet([np.concatenate(pair) for pair in pairs]))

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def state(self) -> dict[str, Any]:
        """The form, with the crop and the background that it was made with, and what was found."""
        form = asdict(self.form)
        return {
            "form": form | {"background": list(self.form.background)},
            "facts": self._facts,
            "warnings": self._warnings,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        form = dict(state["form"])
        self._form = ImageFormat(**form | {"background": tuple(form["background"])})
        self._facts, self._warnings = dict(state["facts"]), list(state["warnings"])


@dataclass
class ImageStats:
    """What the pictures of the training split are like."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """By height and width."""
    kinds: Counter[int] = field(default_factory=Counter)
    """By number of channels: 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha."""
    formats: Counter[str] = field(default_factory=Counter)
    count: int = 0
    animated: int = 0
    deep: int = 0
    """How many have 16 bits, and their brightest value:"""
    brightest: int = 0

    def add(self, example: Picture | Array) -> None:
        array = pixels(example)
        if isinstance(example, Picture):
            self.sizes[example.height, example.width] += 1
            self.formats[example.format] += 1
            self.animated += example.animated
        else:
            self.sizes[array.shape[0], array.shape[1]] += 1
        self.count += 1
        self.kinds[array.shape[2]] += 1
        if array.dtype == np.uint16:
            self.deep += 1
            self.brightest = max(self.brightest, int(array.max()))

    def facts(self) -> dict[str, Any]:
        by_area = sorted(self.sizes.elements(), key=lambda size: (size[0] * size[1], size))
        return {
            "sizes": {
                "different": len(self.sizes),
                "smallest": list(by_area[0]),
                "median": list(by_area[(self.count - 1) // 2]),
                "largest": list(by_area[-1]),
            },
            "grey": self.kinds[1] + self.kinds[2],
            "transparent": self.kinds[2] + self.kinds[4],
            "animated": self.animated,
            "sixteen_bit": self.deep,
        }

    def enlarged(self, form: ImageFormat) -> int:
        """How many pictures are smaller than what they are brought to."""
        choose = min if form.crop == "fit" else max
        return sum(
            number
            for (h, w), number in self.sizes.items()
            if choose(form.height / h, form.width / w) > 1
        )

    def warnings(self, form: ImageFormat) -> list[str]:
        said = []
        size = f"{form.width} x {form.height}"
        enlarged = self.enlarged(form)
        if enlarged:
            said.append(
                f"{enlarged} of {self.count} pictures are smaller than {size} and are enlarged: what "
                f"they lack is learnt as blur; choose a smaller size, or leave them out"
            )
        sides = [side for pair in self.sizes for side in pair]
        if max(sides) > 4 * min(sides):
            said.append(
                f"the sides of the pictures go from {min(sides)} to {max(sides)} pixels, and all are "
                f"brought to {size}: fine detail will differ between them"
            )
        if self.animated:
            said.append(f"{self.animated} pictures are animated: only the first frame of each is used")
        if form.depth == 8 and self.deep:
            said.append(f"{self.deep} pictures have 16 bits and are brought to 8")
        if form.depth == 16 and self.brightest < 2**15:
            said.append(
                f"the brightest value is {self.brightest} of 65535, so everything is dark: stretch the "
                f"pictures first, to let the model use the whole range"
            )
        return said
