"""Archives: many pictures in one array of a file, with labels in others, read in order and a few at a time.

This is what all of them have in common, and the one of NumPy, `.npz`; `npy.py` has single arrays, `idx.py` those of
MNIST.
"""

from __future__ import annotations

import warnings
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from genwright.data.codec import Array
from genwright.data.image.ops import MOST_PIXELS, faults, to_unsigned

__all__ = [
    "CHUNK",
    "CHUNK_BYTES",
    "WANTED",
    "Archive",
    "Head",
    "Npz",
    "Reader",
    "bomb",
    "npy_head",
    "opened_npz",
]

ARRAYS = ("images", "x", "data", "arr_0")
CHUNK = 256
"""Pictures held at a time, unless they are large:"""
CHUNK_BYTES = 32 * 2**20
LARGE, GAIN = 2**28, 100
"""Bytes that an array unpacks to, and how many for one of its file: what is above both may be a bomb."""
WANTED = (
    "of shape (n, h, w), (n, h, w, c) or (n, c, h, w), with c = 1, 3 or 4, as uint8, uint16 or float, of at "
    f"most {MOST_PIXELS // 10**6} megapixels each"
)


@dataclass(frozen=True)
class Head:
    """What one array declares, and how many bytes lie before its values."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int

    def __str__(self) -> str:
        return f"{self.dtype.newbyteorder('=')} {self.shape}"

    @property
    def size(self) -> int:
        """Bytes of the array and what lies before it."""
        return self.start + prod(self.shape) * self.dtype.itemsize

    @property
    def layout(self) -> str:
        """How the axes of an array of pictures are meant, "" where it is none."""
        shape, dtype = self.shape, self.dtype
        if dtype.kind not in "uf" or (dtype.kind == "u" and dtype.itemsize > 2):
            return ""
        layout = ""
        if len(shape) == 3:
            layout = "nhw"
        elif len(shape) == 4 and (shape[3] in (1, 3, 4) or shape[1] in (1, 3, 4)):
            layout = "nhwc" if shape[3] in (1, 3, 4) else "nchw"
        size = [length for length, axis in zip(shape, layout, strict=False) if axis in "hw"]
        return layout if layout and 0 < prod(size) <= MOST_PIXELS else ""


@dataclass(frozen=True)
class Reader:
    """The values of an array in their order, from a stream that stands at the first.

    called  how a person knows the array
    """

    head: Head
    stream: IO[bytes]
    called: str

    def take(self, k: int) -> Array:
        """The next `k` entries along the first axis. Raises `ValueError` where there are fewer."""
        shape = (k, *self.head.shape[1:])
        size = prod(shape) * self.head.dtype.itemsize
        data = self.stream.read(size)
        if len(data) < size:
            raise ValueError(f"{self.called} is cut short")
        return np.frombuffer(data, self.head.dtype).reshape(shape)

    def finish(self) -> None:
        """Read to the end, where checksums are. Raises `ValueError` where there are more values."""
        if self.stream.read(1):
            raise ValueError(f"{self.called} holds more than the {self.head} that it declares")


def npy_head(stream: IO[bytes], size: int) -> Head:
    """The head of an array as NumPy writes it, at the beginning of `size` bytes, with every promise checked that can be
    without its values. Raises `ValueError`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of heads written by Python 2
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("is in a version of the format that is not read here")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        head = Head(shape, dtype, stream.tell())
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are never loaded: save a plain array")
    if fortran:
        raise ValueError("is in Fortran order: save numpy.ascontiguousarray of it")
    if min(shape, default=0) < 0 or head.size != size:
        raise ValueError(f"declares {head} but takes {size} bytes")
    return head


class Archive(ABC):
    """Pictures and what stands beside them.

    format    in a word
    pictures  the name of their array
    count     how many there are
    labels    the names of the arrays of labels
    """

    format: ClassVar[str]
    pictures: str
    count: int
    labels: list[str]

    @abstractmethod
    def reader(self, name: str) -> AbstractContextManager[Reader]:
        """The values of one array."""

    def chunks(
        self, wanted: Sequence[str], deep: bool
    ) -> Iterator[tuple[Array, list[str], dict[str, list[Any]]]]:
        """Pictures `(k, h, w, c)`, why each cannot be used or "", and their labels, k at a time."""
        with ExitStack() as stack:
            pictures = stack.enter_context(self.reader(self.pictures))
            labels = {
                name: stack.enter_context(self.reader(name)) for name in self.labels if name in wanted
            }
            each = max(1, prod(pictures.head.shape[1:]) * pictures.head.dtype.itemsize)
            most = max(1, min(CHUNK, CHUNK_BYTES // each))
            for first in range(0, self.count, most):
                k = min(most, self.count - first)
                values = pictures.take(k)
                columns = {name: _listed(one.take(k)) for name, one in labels.items()}
                yield *_as_pictures(values, pictures.head.layout, deep), columns
            for one in (pictures, *labels.values()):
                one.finish()


def bomb(unpacked: int, packed: int) -> str:
    """What is wrong with an array of so many bytes that may be made to take all time and room, or ""."""
    if unpacked <= LARGE or unpacked <= GAIN * packed:
        return ""
    return f"unpacks to {unpacked >> 20} MB from {packed >> 10} kB and could be a decompression bomb"


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


# -- of NumPy ----------------------------------------------------------------------------------


class Npz(Archive):
    """Pictures and labels in one `.npz`. Raises `ValueError` if it holds no pictures we can read."""

    format = "npz"

    def __init__(self, file: zipfile.ZipFile, size: int) -> None:
        self.file, self.size = file, size
        self.members: dict[str, zipfile.ZipInfo] = {}
        self.heads: dict[str, Head] = {}
        refused: list[str] = []
        for member in file.infolist():
            name = member.filename.removesuffix(".npy")
            try:
                self.heads[name], self.members[name] = self._head(member), member
            except ValueError as error:
                refused.append(f"{name!r} {error}")
        fits = [name for name in ARRAYS if name in self.heads and self.heads[name].layout]
        if not fits:
            found = [f"{name!r} {head}" for name, head in self.heads.items()] + refused
            raise ValueError(
                f"no pictures in it: wanted an array {' or '.join(ARRAYS)} {WANTED}; "
                f"found {'; '.join(found) or 'nothing'}"
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
        with self.file.open(member) as stream:
            head = npy_head(stream, member.file_size)
        if fault := bomb(member.file_size, min(member.compress_size, self.size)):
            raise ValueError(f"{fault}: save it uncompressed with numpy.savez")
        return head

    @contextmanager
    def reader(self, name: str) -> Iterator[Reader]:
        with self.file.open(self.members[name]) as stream:
            stream.read(self.heads[name].start)
            yield Reader(self.heads[name], stream, f"the array {name!r}")


@contextmanager
def opened_npz(path: Path) -> Iterator[Npz]:
    with path.open("rb") as stream, zipfile.ZipFile(stream) as file:
        yield Npz(file, path.stat().st_size)
