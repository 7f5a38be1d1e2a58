"""An album: the pictures of a source, with what is known about each.

Pictures come from files of their own, or many from one `.npz` or `.tar`. Labels, captions and further pictures
come from class folders, a sidecar, captions and twin folders, as `labels.py` reads them, and of an
`.npz` every other one-dimensional array as long as the pictures is a label of its name.

A file called `sheet.png` is never an example: it is the contact sheet that lies beside generated
pictures. A `.tar` is read in place, as `shards.py` has it, and so is an `.npz`, in order and a few
pictures at a time; nothing is unpickled.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from genwright.data.codec import Array, Rejected, Source, suffix
from genwright.data.image.ops import (
    MOST_PIXELS,
    Picture,
    drop_redundant_channels,
    faults,
    header_size,
    open_picture,
    to_unsigned,
)
from genwright.data.labels import FileRow, lacking
from genwright.data.member import SHARDS
from genwright.data.shards import laid_out

__all__ = ["CHUNK", "CHUNK_BYTES", "PICTURES", "SHEET", "ImageFiles", "Row"]

SHEET = "sheet.png"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
ARRAYS = ("images", "x", "data", "arr_0")
CHUNK = 256
"""Pictures held at a time, unless they are large:"""
CHUNK_BYTES = 32 * 2**20


class Row(NamedTuple):
    """A picture, what stands beside it by field, and the name it is known by, without a suffix."""

    picture: Picture
    values: Mapping[str, Any]
    name: str


class ImageFiles:
    """The pictures of a source. `deep`: floats of an `.npz` become 16 bits instead of 8. `given`: fields that are
    asked for. `whole`: large ones are read in all their detail, and may have `most` pixels."""

    def __init__(
        self,
        source: Source,
        deep: bool = False,
        given: Sequence[str] = (),
        main: str = "image",
        *,
        whole: bool = False,
        most: int | None = None,
    ) -> None:
        self.deep, self.whole, self.most = deep, whole, most
        files = [path for path in source.files if path.name != SHEET]
        self.arrays = [path for path in files if _is_archive(path)]
        packed = any(suffix(path) in SHARDS for path in files)  # beside which nothing else may lie
        loose = files if packed else [path for path in files if not _is_archive(path)]
        self.layout = laid_out(source.root, loose, PICTURES, main, given)
        self.name = self.layout.name

    @property
    def main(self) -> str:
        """The field of the pictures themselves."""
        return self.layout.main

    def labels(self) -> list[str]:
        """The names of all fields beside the pictures, found in folders and in the heads of tables and arrays."""
        found = self.layout.names()
        for path in self.arrays:
            try:
                with opened_archive(path) as archive:
                    found += archive.labels
            except Exception:  # `rows` reads it again and tells why
                continue
        return [name for name in dict.fromkeys(found) if name != self.main]

    @property
    def loose(self) -> bool:
        """Whether some picture lies beside the class folders and has no label from elsewhere."""
        return self.layout.loose

    def count(self, tile: tuple[int, int] | None = None) -> int:
        """How many pictures there are, or tiles of this size, by names and heads alone."""
        if tile is not None and not self.arrays:
            sizes = (header_size(path) for path in self.layout.mains)
            return sum((h // tile[0]) * (w // tile[1]) for h, w in filter(None, sizes))
        found = 0
        for path in self.arrays:
            with suppress(Exception), opened_archive(path) as archive:  # `rows` tells what is wrong
                found += archive.count
        return found + len(self.layout.mains)

    def rows(self, wanted: Sequence[str], every: int = 1) -> Iterator[Row | Rejected]:
        """Every picture, or each so many-th, with what stands beside it, in the order of the source, or why it
        cannot be used.

        A picture without a value for one of the fields `wanted` cannot.
        """
        yield from self.layout.read(wanted)
        taken = {*self.layout.mains[::every]}
        for path in self.layout.files:
            if every > 1 and path not in taken:
                continue
            if (row := self.layout.of(path, wanted)) is not None:
                yield row if isinstance(row, Rejected) else self._from_file(row)
        for path in self.arrays:
            yield from self._from_archive(path, wanted, every)

    def _from_file(self, row: FileRow) -> Row | Rejected:
        pictures: dict[str, Any] = {}
        for field, path in {self.main: row.path, **row.files}.items():
            picture = open_picture(path, self.name(path), whole=self.whole, most=self.most)
            if isinstance(picture, Rejected):
                return picture
            if picture.height == picture.width == 1 and not self._all_dots:
                return Rejected(self.name(path), "a single pixel, among larger pictures")
            pictures[field] = picture
        return Row(pictures.pop(self.main), {**row.values, **pictures}, row.stem)

    @cached_property
    def _all_dots(self) -> bool:
        """Whether no picture has more than one pixel; the first larger one ends the search."""
        sizes = (header_size(path) for path in self.layout.files)
        return not self.arrays and all(size in ((1, 1), None) for size in sizes)

    def _from_archive(self, path: Path, wanted: Sequence[str], every: int) -> Iterator[Row | Rejected]:
        name, number = self.name(path), 0
        try:
            with opened_archive(path) as archive:
                for pictures, wrong, columns in archive.chunks(wanted, self.deep):
                    for i, array in enumerate(pictures):
                        labels = {label: values[i] for label, values in columns.items()}
                        missing = lacking(labels, wanted)
                        number += 1
                        if (number - 1) % every:
                            continue
                        if wrong[i]:
                            yield Rejected(f"{name}[{number - 1}]", wrong[i])
                        elif missing is not None:
                            yield Rejected(f"{name}[{number - 1}]", f"it has no {missing!r}")
                        else:
                            height, width = array.shape[:2]
                            picture = Picture(drop_redundant_channels(array), height, width, "npz")
                            yield Row(picture, labels, f"{name.removesuffix(path.suffix)}-{number - 1}")
        except ValueError as error:
            yield Rejected(name, str(error))
        except Exception as error:  # an archive of damaged bytes may raise anything
            yield Rejected(name, f"damaged, or no .npz archive: {error or type(error).__name__}")


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


# -- arrays ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """What one array of an archive declares, and where in its member the values start."""

    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


class Archive:
    """Pictures and labels in one `.npz`. Raises `ValueError` if it holds no pictures we can read."""

    def __init__(self, file: zipfile.ZipFile, size: int) -> None:
        self.file, self.size = file, size
        self.heads: dict[str, Head] = {}
        refused: list[str] = []
        for member in file.infolist():
            name = member.filename.removesuffix(".npy")
            try:
                self.heads[name] = self._head(member)
            except ValueError as error:
                refused.append(f"{name!r} {error}")
        fits = [name for name in ARRAYS if name in self.heads and _layout(self.heads[name])]
        if not fits:
            found = [f"{name!r} {head}" for name, head in self.heads.items()] + refused
            raise ValueError(
                f"no pictures in it: wanted an array {' or '.join(ARRAYS)} of shape (n, h, w), "
                f"(n, h, w, c) or (n, c, h, w), with c = 1, 3 or 4, as uint8, uint16 or float, of at "
                f"most {MOST_PIXELS // 10**6} megapixels each; found {'; '.join(found) or 'nothing'}"
            )
        self.pictures = fits[0]
        self.count = self.heads[self.pictures].shape[0]
        self.labels = [
            name
            for name, head in self.heads.items()
            if name != self.pictures and head.shape == (self.count,) and head.dtype.kind in "biufUS"
        ]

    def _head(self, member: zipfile.ZipInfo) -> Head:
        """The head of one array, with every promise checked that can be without its values."""
        with self.file.open(member) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of heads written by Python 2
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError("is in a version of the format that is not read here")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            start = stream.tell()
        if dtype.hasobject:
            raise ValueError("holds Python objects, which are never loaded: save a plain array")
        if fortran:
            raise ValueError("is in Fortran order: save numpy.ascontiguousarray of it")
        if min(shape, default=0) < 0 or start + prod(shape) * dtype.itemsize != member.file_size:
            raise ValueError(f"declares {dtype} {shape} but takes {member.file_size} bytes")
        if member.file_size > 2**28 and member.file_size > 100 * min(member.compress_size, self.size):
            raise ValueError(
                f"unpacks to {member.file_size >> 20} MB from {member.compress_size >> 10} kB and could "
                f"be a decompression bomb: save it uncompressed with numpy.savez"
            )
        return Head(member, shape, dtype, start)

    def chunks(
        self, wanted: Sequence[str], deep: bool
    ) -> Iterator[tuple[Array, list[str], dict[str, list[Any]]]]:
        """Pictures `(k, h, w, c)`, why each cannot be used or "", and their labels, k at a time."""
        head = self.heads[self.pictures]
        each = max(1, prod(head.shape[1:]) * head.dtype.itemsize)
        most = max(1, min(CHUNK, CHUNK_BYTES // each))
        names = [name for name in self.labels if name in wanted]
        with ExitStack() as stack:
            streams = {}
            for name in (self.pictures, *names):
                streams[name] = stack.enter_context(self.file.open(self.heads[name].member))
                streams[name].read(self.heads[name].start)
            for first in range(0, self.count, most):
                k = min(most, self.count - first)
                values = self._take(streams[self.pictures], self.pictures, k)
                columns = {name: _listed(self._take(streams[name], name, k)) for name in names}
                yield *_as_pictures(values, _layout(head), deep), columns

    def _take(self, stream: IO[bytes], name: str, k: int) -> Array:
        """The next `k` entries of an array, along its first axis."""
        head = self.heads[name]
        shape = (k, *head.shape[1:])
        size = prod(shape) * head.dtype.itemsize
        data = stream.read(size)
        if len(data) < size:
            raise ValueError(f"the array {name!r} is cut short")
        return np.frombuffer(data, head.dtype).reshape(shape)


@contextmanager
def opened_archive(path: Path) -> Iterator[Archive]:
    with path.open("rb") as stream, zipfile.ZipFile(stream) as file:
        yield Archive(file, path.stat().st_size)


def _layout(head: Head) -> str:
    """How the axes of an array of pictures are meant, "" where it is none."""
    shape, dtype = head.shape, head.dtype
    if dtype.kind not in "uf" or (dtype.kind == "u" and dtype.itemsize > 2):
        return ""
    layout = ""
    if len(shape) == 3:
        layout = "nhw"
    elif len(shape) == 4 and (shape[3] in (1, 3, 4) or shape[1] in (1, 3, 4)):
        layout = "nhwc" if shape[3] in (1, 3, 4) else "nchw"
    size = [length for length, axis in zip(shape, layout, strict=False) if axis in "hw"]
    return layout if layout and 0 < prod(size) <= MOST_PIXELS else ""


def _as_pictures(values: Array, layout: str, deep: bool) -> tuple[Array, list[str]]:
    """An array in its layout as uint8 or uint16 `(k, h, w, c)`; why each picture cannot be used, or ""."""
    if layout == "nhw":
        values = values[..., None]
    elif layout == "nchw":
        values = np.moveaxis(values, 1, -1)
    if values.dtype.kind == "u":
        return values.astype(values.dtype.newbyteorder("="), copy=False), [""] * len(values)
    wrong = faults(values)
    values = np.where(np.array(wrong)[:, None, None, None] == "", values, 0)
    return to_unsigned(values, np.uint16 if deep else np.uint8), wrong


def _listed(values: Array) -> list[Any]:
    """As Python's own numbers and strings."""
    if values.dtype.kind == "S":
        return [value.decode("utf-8", "replace") for value in values.tolist()]
    listed: list[Any] = values.tolist()
    return listed
